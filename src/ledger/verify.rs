//! Checking a stopped ledger, and compacting it.
//!
//! The journal and its archive are only read. They are replayed from the first entry through the
//! same state machine that the gateway uses, and, apart from it, their transfers are added up book
//! by book. What the snapshot and the index say is compared with what the journal said when they
//! were written. The index is opened as the gateway would open it.
//!
//! Where the archive was moved away, checking begins with the snapshot, which is then trusted.
//!
//! A torn tail, open holds, or an index that is behind are no findings: that is how a crash leaves a
//! sound ledger, and the next start deals with them.
//!
//! Needs memory for every generation that ever ended, about 100 bytes each.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::path::Path;

use crate::vocab::GenerationId;

use super::book::Book;
use super::entry::GENESIS;
use super::record::GenerationRecord;
use super::state::{NoHistory, State};
use super::store::compact::{self, Compacted};
use super::store::dir::Dir;
use super::store::files::Files;
use super::store::index::{Store, StoreFailed};
use super::store::lists::{self, Item};
use super::store::manifest::{Manifest, hash_file};
use super::store::replay::{Line, replay};
use super::store::runs::Layers;
use super::store::segments::Segments;
use super::store::{OpenError, Place, rows, snapshot};

/// What to do about a part of the index that is wrong.
const REMEDY: &str = "remove `index` and `generations`: the next start makes them anew";

/// How many findings are listed before the check gives up.
const FINDINGS_MAX: usize = 50;

/// What [`verify`] counted and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Entries that were read.
    pub entries: u64,
    /// Segments in the archive.
    pub archived_segments: u64,
    /// Those of them whose files were moved away.
    pub archived_elsewhere: u64,
    /// The last entry that the snapshot contains; absent without a snapshot.
    pub snapshot_seq: Option<u64>,
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
        write!(f, "archived segments    {}", self.archived_segments)?;
        match self.archived_elsewhere {
            0 => writeln!(f)?,
            elsewhere => writeln!(f, ", {elsewhere} of them moved away")?,
        }
        match self.snapshot_seq {
            Some(seq) => writeln!(f, "snapshot             at entry {seq}")?,
            None => writeln!(f, "snapshot             none")?,
        }
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

/// Where a check begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VerifyFrom {
    /// With the first entry of all; nothing is trusted.
    #[default]
    Genesis,
    /// With the snapshot, which is trusted. Older entries that are there are checked for damage and
    /// for their chain only.
    Snapshot,
}

/// Checks the ledger in a directory from its first entry on.
///
/// # Errors
/// As for [`verify_from`].
pub fn verify(root: impl AsRef<Path>) -> Result<VerifyReport, OpenError> {
    verify_from(root, VerifyFrom::Genesis)
}

/// Checks the ledger in a directory.
///
/// # Errors
/// It is in use, is none, or cannot be read; or it has no snapshot to begin with. Damage is no
/// error but a finding.
pub fn verify_from(root: impl AsRef<Path>, from: VerifyFrom) -> Result<VerifyReport, OpenError> {
    let dir = Dir::existing(root.as_ref())?;
    let segments = dir.segments();
    let mut check = Check::new(&dir);
    if !check.archive(&segments, from)? {
        return Ok(check.finish());
    }
    let first = match from {
        VerifyFrom::Genesis => 0,
        VerifyFrom::Snapshot => segments.oldest()?.min(check.base_seq),
    };
    let journal = replay(&segments, first, &mut |line| {
        check.line(&line);
        Ok(())
    });
    match journal {
        Ok(tail) => {
            check.report.torn_tail_bytes = tail.torn_bytes;
            let trusted = (check.base_seq, check.base_head);
            if tail.start.is_some_and(|start| start.0 == trusted.0 && start != trusted) {
                check.find("snapshot: the journal does not continue it".to_owned());
            }
        }
        Err(OpenError::Corrupt(what)) => check.find(format!("journal: {what}")),
        Err(error) => return Err(error),
    }
    Ok(check.finish())
}

/// Packs all full segments but the newest `keep` of a stopped ledger into its archive.
///
/// # Errors
/// The ledger is in use, is none, cannot be read or written, or is corrupt. What was packed before
/// stays packed.
pub fn compact(root: impl AsRef<Path>, keep: usize) -> Result<Compacted, OpenError> {
    let dir = Dir::existing(root.as_ref())?;
    compact::compact(&dir.segments(), keep, &Files::default(), &|| false)
}

struct Check {
    report: VerifyReport,
    state: State,
    /// The entry that the check begins after, and its hash; zeros at the beginning of all.
    base_seq: u64,
    base_head: [u8; 32],
    /// What the snapshot says, to be compared when its entry is reached.
    snapshot: Option<State>,
    /// Debits and credits of every book, added up apart from the state machine.
    books: BTreeMap<Book, (i128, i128)>,
    ended: HashMap<GenerationId, Place>,
    lists: Lists,
    /// The first segment that was read.
    first_segment: u64,
    index: Option<Index>,
}

/// What the index says.
struct Index {
    state: State,
    /// The last entry whose generation it has.
    generations_seq: u64,
    ended: HashMap<GenerationId, Place>,
    lists: Lists,
    compared: bool,
}

impl Check {
    fn new(dir: &Dir) -> Self {
        let mut check = Self {
            report: VerifyReport::default(),
            state: State::new(usize::MAX),
            base_seq: 0,
            base_head: GENESIS,
            snapshot: None,
            books: BTreeMap::new(),
            ended: HashMap::new(),
            lists: Lists::default(),
            first_segment: u64::MAX,
            index: None,
        };
        if dir.index().join("db").exists() {
            match read_index(dir) {
                Ok(index) => check.index = index,
                Err(error) => check.find(format!("index: {error}")),
            }
        }
        check.report.index_seq = check.index.as_ref().map(|index| index.state.seq);
        check
    }

    /// Checks the archive's files against the manifest and reads the snapshot. Whether it makes
    /// sense to go on.
    fn archive(&mut self, segments: &Segments, from: VerifyFrom) -> Result<bool, OpenError> {
        let manifest = match Manifest::load(segments.archive()) {
            Ok(manifest) => manifest,
            Err(OpenError::Corrupt(what)) => {
                self.find(format!("archive: {what}"));
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        for line in &manifest.segments {
            self.report.archived_segments += 1;
            let path = segments.packed_path(line.first_seq);
            match hash_file(&path) {
                Ok(hash) if hash == line.blake3 => {}
                Ok(_) => self.find(format!(
                    "archive: {} is not the file that the manifest lists",
                    path.display()
                )),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.report.archived_elsewhere += 1;
                }
                Err(error) => return Err(OpenError::Io(path, error)),
            }
        }
        let snapshot = match &manifest.snapshot {
            None => None,
            Some(line) => match snapshot::load(segments.archive(), line, usize::MAX) {
                Ok(state) => Some(state),
                Err(error) => {
                    self.find(format!("snapshot: {error}"));
                    None
                }
            },
        };
        self.report.snapshot_seq = snapshot.as_ref().map(State::seq);
        match (from, snapshot) {
            (VerifyFrom::Genesis, snapshot) => self.snapshot = snapshot,
            (VerifyFrom::Snapshot, Some(state)) => self.begin_with(state),
            (VerifyFrom::Snapshot, None) => {
                self.find("snapshot: there is none to begin with".to_owned());
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Trusts a state.
    fn begin_with(&mut self, state: State) {
        let opening = |balance: i128| (-balance.min(0), balance.max(0));
        for (book, balance) in &state.books {
            self.books.insert(book.clone(), opening(*balance));
        }
        for (id, account) in &state.accounts {
            let balance = i128::from(account.balance().0);
            self.books.insert(Book::Customer(id.clone()), opening(balance));
        }
        (self.base_seq, self.base_head) = (state.seq, state.head);
        self.state = state;
        if let Some(index) = &mut self.index {
            // What the journal said then is not known.
            index.compared = index.state.seq <= self.base_seq;
        }
    }

    fn find(&mut self, what: String) {
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(what);
        }
    }

    fn line(&mut self, line: &Line<'_>) {
        let entry = &line.entry;
        self.report.entries += 1;
        self.first_segment = self.first_segment.min(line.place.segment);
        if let Some(record) = entry.event.record() {
            self.ended.insert(record.id, line.place);
            self.lists.note(entry.seq, record, line.place);
        }
        if self.index.as_ref().is_some_and(|index| index.generations_seq == entry.seq) {
            self.compare_generations();
        }
        if entry.seq <= self.base_seq {
            if entry.seq == self.base_seq && line.hash != self.base_head {
                self.find("snapshot: its last entry is not the journal's".to_owned());
            }
            return;
        }
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
        if let Some(snapshot) = self.snapshot.take_if(|snapshot| snapshot.seq == entry.seq) {
            self.compare("snapshot", &snapshot);
        }
        if self.index.as_ref().is_some_and(|index| index.state.seq == entry.seq) {
            self.compare_index();
        }
    }

    /// The state is as it was when the index was written.
    fn compare_index(&mut self) {
        let Some(mut index) = self.index.take() else { return };
        index.compared = true;
        self.compare("index", &index.state);
        self.index = Some(index);
    }

    /// The journal has ended those generations that the index has.
    fn compare_generations(&mut self) {
        let Some(mut index) = self.index.take() else { return };
        // Of what was moved away the index still knows.
        let all = index.ended.len();
        index.ended.retain(|_, place| place.segment >= self.first_segment);
        if index.ended != self.ended {
            self.find(format!("generations: they are not the journal's; {REMEDY}"));
        }
        if all == index.ended.len() && index.lists != self.lists {
            self.find(format!("generations: their lists are not the journal's; {REMEDY}"));
        }
        self.index = Some(index);
    }

    /// Compares what was written down with what the journal adds up to.
    fn compare(&mut self, name: &str, written: &State) {
        let (a, b) = (written, &self.state);
        let same = [
            ("chain and totals", {
                (a.head, a.time_ms, a.moved) == (b.head, b.time_ms, b.moved)
                    && (a.ended_count, a.charged_count) == (b.ended_count, b.charged_count)
            }),
            ("accounts", a.accounts == b.accounts),
            ("keys", a.keys == b.keys),
            ("organisations", a.organisations == b.organisations),
            ("members", a.members == b.members),
            ("open holds", a.holds == b.holds),
            ("books", a.books == b.books),
            ("idempotency keys", a.receipts == b.receipts),
        ];
        for (what, _) in same.into_iter().filter(|(_, same)| !same) {
            self.find(format!("{name}: its {what} are not the journal's"));
        }
    }

    fn finish(mut self) -> VerifyReport {
        if let Some(snapshot) = &self.snapshot {
            let seq = snapshot.seq;
            self.find(format!("snapshot: it contains entry {seq}, which the journal lacks"));
        }
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

fn read_index(dir: &Dir) -> Result<Option<Index>, StoreFailed> {
    let store = Layers::open(&dir.index(), &dir.generations())?;
    let Some(state) = rows::load(&store, usize::MAX)? else { return Ok(None) };
    let mut ended = HashMap::new();
    let mut damage = None;
    store.scan(b"g", &mut |key, value| {
        match rows::read_place_key(key).and_then(|id| Ok((id, rows::read_place(value)?))) {
            Ok((id, place)) => {
                ended.insert(id, place);
            }
            Err(error) => damage = Some(StoreFailed(error.to_string())),
        }
        damage.is_none()
    })?;
    if let Some(error) = damage {
        return Err(error);
    }
    let lists = Lists::read(&store)?;
    let generations_seq = store.durable_rows();
    Ok(Some(Index { state, generations_seq, ended, lists, compared: false }))
}

/// What lists of generations come to: of each, how many there are and a hash over all of them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Lists(HashMap<[u8; 8], (u64, u64)>);

impl Lists {
    fn note(&mut self, seq: u64, record: &GenerationRecord, place: Place) {
        for list in lists::names(record) {
            self.add(list, Item { seq, place });
        }
    }

    fn add(&mut self, list: [u8; 8], item: Item) {
        let (count, hash) = self.0.entry(list).or_default();
        *count += 1;
        for number in [item.seq, item.place.segment, item.place.offset] {
            *hash = (hash.rotate_left(23) ^ number).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn read(store: &dyn Store) -> Result<Self, StoreFailed> {
        let mut all = Self::default();
        lists::visit_all(store, &mut |list, item| all.add(list, item))?;
        Ok(all)
    }
}
