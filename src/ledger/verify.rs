//! Checking a stopped ledger, and exporting it.
//!
//! The journal is only read. It is replayed from its first entry through the same state machine
//! that the gateway uses, and, apart from it, its transfers are added up book by book. What the
//! index says is then compared with what the journal said when the index was last written. The
//! index is opened as the gateway would open it.
//!
//! A torn tail, open holds, or an index that is behind are no findings: that is how a crash leaves a
//! sound ledger, and the next start deals with them.
//!
//! Needs memory for every generation that ever ended, about 100 bytes each.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::Write;
use std::path::Path;

use serde::Serialize;

use crate::vocab::GenerationId;

use super::book::{Book, Transfer};
use super::entry::{Cause, Entry, Event};
use super::record::GenerationRecord;
use super::state::{NoHistory, State};
use super::store::dir::Dir;
use super::store::index::{SledStore, Store, StoreFailed};
use super::store::replay::{Line, replay};
use super::store::{OpenError, Place, rows};

/// How many findings are listed before the check gives up.
const FINDINGS_MAX: usize = 50;

/// What [`verify`] counted and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Entries in the journal.
    pub entries: u64,
    /// Accounts.
    pub accounts: usize,
    /// Keys.
    pub keys: usize,
    /// Generations that were charged.
    pub generations_charged: u64,
    /// Generations that ended without a charge.
    pub generations_free: u64,
    /// Holds that are open: the next start ends them.
    pub open_holds: usize,
    /// Σ of all debits, in nano-dollars.
    pub total_debits: i128,
    /// Σ of all credits, in nano-dollars.
    pub total_credits: i128,
    /// Bytes at the end that a crash left half written: the next start cuts them off.
    pub torn_tail_bytes: u64,
    /// The last entry that the index contains; absent without an index.
    pub index_seq: Option<u64>,
    /// What is wrong. Nothing, in a sound ledger.
    pub findings: Vec<String>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    pub const fn ok(&self) -> bool {
        self.findings.is_empty()
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "entries              {}", self.entries)?;
        writeln!(f, "accounts             {}", self.accounts)?;
        writeln!(f, "keys                 {}", self.keys)?;
        writeln!(f, "generations charged  {}", self.generations_charged)?;
        writeln!(f, "generations free     {}", self.generations_free)?;
        writeln!(f, "open holds           {}", self.open_holds)?;
        writeln!(f, "total debits         {} nano-USD", self.total_debits)?;
        writeln!(f, "total credits        {} nano-USD", self.total_credits)?;
        writeln!(f, "torn tail            {} bytes", self.torn_tail_bytes)?;
        match self.index_seq {
            Some(seq) => writeln!(f, "index                at entry {seq}")?,
            None => writeln!(f, "index                none (built at the next start)")?,
        }
        for finding in &self.findings {
            writeln!(f, "WRONG                {finding}")?;
        }
        write!(f, "{}", if self.ok() { "sound" } else { "NOT SOUND" })
    }
}

/// Checks the ledger in a directory.
///
/// # Errors
/// It is in use, is none, or cannot be read. Damage is no error but a finding.
pub fn verify(root: impl AsRef<Path>) -> Result<VerifyReport, OpenError> {
    let dir = Dir::existing(root.as_ref())?;
    let mut check = Check::new(&dir);
    let journal = replay(&dir.journal(), 0, &mut |line| {
        check.line(&line);
        Ok(())
    });
    match journal {
        Ok(tail) => check.report.torn_tail_bytes = tail.torn_bytes,
        Err(OpenError::Corrupt(what)) => check.find(format!("journal: {what}")),
        Err(error) => return Err(error),
    }
    Ok(check.finish())
}

struct Check {
    report: VerifyReport,
    state: State,
    /// Debits and credits of every book, added up apart from the state machine.
    books: BTreeMap<Book, (i128, i128)>,
    ended: HashMap<GenerationId, Place>,
    index: Option<Index>,
}

/// What the index says.
struct Index {
    state: State,
    ended: HashMap<GenerationId, Place>,
    compared: bool,
}

impl Check {
    fn new(dir: &Dir) -> Self {
        let mut check = Self {
            report: VerifyReport::default(),
            state: State::new(usize::MAX),
            books: BTreeMap::new(),
            ended: HashMap::new(),
            index: None,
        };
        if dir.index().join("db").exists() {
            match read_index(&dir.index()) {
                Ok(index) => check.index = index,
                Err(error) => check.find(format!("index: {error}")),
            }
        }
        check.report.index_seq = check.index.as_ref().map(|index| index.state.seq);
        check
    }

    fn find(&mut self, what: String) {
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(what);
        }
    }

    fn line(&mut self, line: &Line) {
        let entry = &line.entry;
        self.report.entries += 1;
        if let Err(refused) = self.state.apply(entry, &NoHistory) {
            self.find(format!("entry {}: {refused}", entry.seq));
            self.state.seq = entry.seq;
        }
        self.state.head = line.hash;
        for transfer in entry.event.transfers().into_iter().flatten() {
            if transfer.amount.0 < 0 {
                self.find(format!("entry {}: moves a negative amount", entry.seq));
            }
            let amount = i128::from(transfer.amount.0);
            self.books.entry(transfer.debit).or_default().0 += amount;
            self.books.entry(transfer.credit).or_default().1 += amount;
        }
        if let Some(record) = entry.event.record() {
            self.ended.insert(record.id, line.place);
        }
        if self.index.as_ref().is_some_and(|index| index.state.seq == entry.seq) {
            self.compare_index();
        }
    }

    /// The state is as it was when the index was written.
    fn compare_index(&mut self) {
        let Some(mut index) = self.index.take() else { return };
        index.compared = true;
        let mut differ = |what: &str, same: bool| {
            if !same {
                self.report.findings.push(format!("index: its {what} are not the journal's"));
            }
        };
        differ("chain and totals", {
            let (a, b) = (&index.state, &self.state);
            (a.head, a.time_ms, a.moved) == (b.head, b.time_ms, b.moved)
                && (a.ended_count, a.charged_count) == (b.ended_count, b.charged_count)
        });
        differ("accounts", index.state.accounts == self.state.accounts);
        differ("keys", index.state.keys == self.state.keys);
        differ("organisations", index.state.organisations == self.state.organisations);
        differ("members", index.state.members == self.state.members);
        differ("open holds", index.state.holds == self.state.holds);
        differ("books", index.state.books == self.state.books);
        differ("idempotency keys", index.state.receipts == self.state.receipts);
        differ("generations", index.ended == self.ended);
        self.index = Some(index);
    }

    fn finish(mut self) -> VerifyReport {
        if let Some(index) = &self.index
            && !index.compared
            && index.state.seq > 0
        {
            let seq = index.state.seq;
            self.find(format!("index: it contains entry {seq}, which the journal lacks"));
        }
        let (mut debits, mut credits) = (0, 0);
        for (book, (debit, credit)) in std::mem::take(&mut self.books) {
            debits += debit;
            credits += credit;
            let balance = match &book {
                Book::Customer(account) => {
                    self.state.accounts.get(account).map(|a| i128::from(a.balance().0))
                }
                Book::Provider(_)
                | Book::CashIn(_)
                | Book::Promotions
                | Book::Unattributed
                | Book::Fees => self.state.books.get(&book).copied(),
            };
            if balance != Some(credit - debit) {
                self.find(format!("{book}: its transfers do not add up to its balance"));
            }
        }
        if debits != credits || self.state.sum_of_balances() != 0 {
            self.find(format!("debits {debits} and credits {credits} are not equal"));
        }
        let mut held: HashMap<_, i128> = HashMap::new();
        for hold in self.state.holds.values() {
            *held.entry(&hold.account).or_default() += i128::from(hold.granted.0);
        }
        let wrong: Vec<String> = (self.state.accounts.iter())
            .filter(|(id, account)| {
                i128::from(account.held.0) != held.get(id).copied().unwrap_or_default()
            })
            .map(|(id, _)| format!("customer:{id}: what is held is not the sum of its holds"))
            .collect();
        wrong.into_iter().for_each(|finding| self.find(finding));
        let state = &self.state;
        VerifyReport {
            accounts: state.accounts.len(),
            keys: state.keys.len(),
            generations_charged: state.charged_count,
            generations_free: state.ended_count - state.charged_count,
            open_holds: state.holds.len(),
            total_debits: debits,
            total_credits: credits,
            ..self.report
        }
    }
}

fn read_index(path: &Path) -> Result<Option<Index>, StoreFailed> {
    let store = SledStore::open(path)?;
    let Some(state) = rows::load(&store, usize::MAX)? else { return Ok(None) };
    let mut ended = HashMap::new();
    let mut damage = None;
    store.scan(b"g", &mut |_, value| {
        match rows::read_places(value) {
            Ok(places) => ended.extend(places),
            Err(error) => damage = Some(StoreFailed(error.to_string())),
        }
        damage.is_none()
    })?;
    match damage {
        Some(error) => Err(error),
        None => Ok(Some(Index { state, ended, compared: false })),
    }
}

/// One line of an export.
#[derive(Serialize)]
struct Exported<'a> {
    seq: u64,
    time_ms: u64,
    kind: &'static str,
    hash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    transfer: Option<ExportedTransfer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fee: Option<ExportedTransfer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    granted_nano_usd: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a GenerationRecord>,
}

#[derive(Serialize)]
struct ExportedTransfer {
    debit: String,
    credit: String,
    amount_nano_usd: i64,
}

impl ExportedTransfer {
    fn of(transfer: Transfer) -> Self {
        Self {
            debit: transfer.debit.to_string(),
            credit: transfer.credit.to_string(),
            amount_nano_usd: transfer.amount.0,
        }
    }
}

/// Writes every entry of a stopped ledger as a line of JSON, and returns how many there are. Hashes
/// of keys are left out.
///
/// # Errors
/// The ledger is in use, is none, cannot be read or is corrupt; or `out` fails.
pub fn export(root: impl AsRef<Path>, out: &mut dyn Write) -> Result<u64, OpenError> {
    let dir = Dir::existing(root.as_ref())?;
    let failed = |error: std::io::Error| OpenError::Io("the export's output".into(), error);
    let mut count = 0;
    replay(&dir.journal(), 0, &mut |line| {
        let exported = Exported::of(&line.entry, &line.hash);
        serde_json::to_writer(&mut *out, &exported).map_err(|error| failed(error.into()))?;
        out.write_all(b"\n").map_err(failed)?;
        count += 1;
        Ok(())
    })?;
    out.flush().map_err(failed)?;
    Ok(count)
}

impl<'a> Exported<'a> {
    fn of(entry: &'a Entry, hash: &[u8; 32]) -> Self {
        let [first, second] = entry.event.transfers();
        let mut line = Self {
            seq: entry.seq,
            time_ms: entry.time_ms,
            kind: entry.event.name(),
            hash: blake3::Hash::from_bytes(*hash).to_hex().to_string(),
            transfer: first.map(ExportedTransfer::of),
            fee: second.map(ExportedTransfer::of),
            account: None,
            key: None,
            generation: None,
            granted_nano_usd: None,
            cause: None,
            note: None,
            idempotency_key: None,
            record: entry.event.record().map(|record| &**record),
        };
        match &entry.event {
            Event::AccountCreated { account, .. } | Event::AccountChanged { account, .. } => {
                line.account = Some(account.as_str());
            }
            Event::OrganisationSet { organisation, .. } => {
                line.account = Some(organisation.as_str());
            }
            Event::MemberSet { account, user, .. } | Event::MemberRemoved { account, user } => {
                line.account = Some(account.as_str());
                line.note = Some(user);
            }
            Event::Moved { reason, receipt, .. } => {
                line.note = Some(reason);
                line.idempotency_key = Some(receipt);
            }
            Event::ToppedUp { receipt, .. } => line.idempotency_key = Some(receipt),
            Event::Adjusted { reason, receipt, .. } => {
                line.note = Some(reason);
                line.idempotency_key = Some(receipt);
            }
            Event::KeyCreated(new) => {
                line.key = Some(new.key.as_str());
                line.account = Some(new.account.as_str());
                line.note = Some(&new.terms.label);
            }
            Event::KeyChanged { key, .. }
            | Event::KeyDisabled { key }
            | Event::KeyDeleted { key } => line.key = Some(key.as_str()),
            Event::Held { generation, key, granted, .. } => {
                line.generation = Some(generation.to_string());
                line.key = Some(key.as_str());
                line.granted_nano_usd = Some(granted.0);
            }
            Event::Settled { cause, .. } | Event::Voided { cause, .. } => {
                line.cause = Some(match cause {
                    Cause::Asked => "asked",
                    Cause::Dropped => "dropped",
                    Cause::Recovered => "recovered",
                });
            }
            Event::Recorded { .. } => {}
        }
        line
    }
}
