//! Exporting a stopped ledger, and importing an export into an empty one.
//!
//! An export has one line for every entry: what people and spreadsheets read, and as its last
//! field the entry itself, as it stands in the journal (base64). An import reads only that field. It
//! checks the chain of hashes from the first entry on and applies every entry, so an imported ledger
//! has the same balances, records and chain, or there is none.
//!
//! The entries of keys contain keyed hashes, which say nothing without the ledger's `secret`. That
//! file is not part of an export: for the same keys to work, copy it as well.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, Write};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::book::Transfer;
use super::entry::{Cause, Entry, Event, Frame, GENESIS};
use super::record::GenerationRecord;
use super::state::{NoHistory, State};
use super::store::OpenError;
use super::store::dir::Dir;
use super::store::journal::Journal;
use super::store::replay::{Line, Tail, replay};

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// A JSON object a line.
    Jsonl,
    /// Comma-separated values with a header, for spreadsheets. Control characters in texts become
    /// spaces, and a text that a spreadsheet would take for a formula begins with an apostrophe.
    Csv,
}

/// Which entries are exported, by their time in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportRange {
    /// The first millisecond.
    pub from_ms: u64,
    /// The millisecond after the last.
    pub to_ms: u64,
}

impl ExportRange {
    /// Everything, which is what an import needs.
    pub const ALL: Self = Self { from_ms: 0, to_ms: u64::MAX };
}

/// Writes every entry of a stopped ledger as a line of JSON, and returns how many there are.
///
/// # Errors
/// As for [`export_as`].
pub fn export(root: impl AsRef<Path>, out: &mut dyn Write) -> Result<u64, OpenError> {
    export_as(root, ExportFormat::Jsonl, ExportRange::ALL, out)
}

/// Writes entries of a stopped ledger, one a line, and returns how many there are.
///
/// # Errors
/// The ledger is in use, is none, cannot be read or is corrupt; or `out` fails.
pub fn export_as(
    root: impl AsRef<Path>,
    format: ExportFormat,
    range: ExportRange,
    out: &mut dyn Write,
) -> Result<u64, OpenError> {
    let dir = Dir::existing(root.as_ref())?;
    let failed = |error: std::io::Error| OpenError::Io("the export's output".into(), error);
    let mut text = String::new();
    if format == ExportFormat::Csv {
        writeln!(out, "{CSV_HEADER}").map_err(failed)?;
    }
    let mut count = 0;
    replay(&dir.segments(), 0, &mut |line| {
        if !(range.from_ms..range.to_ms).contains(&line.entry.time_ms) {
            return Ok(());
        }
        let exported = Exported::of(&line);
        match format {
            ExportFormat::Jsonl => {
                serde_json::to_writer(&mut *out, &exported).map_err(|e| failed(e.into()))?;
            }
            ExportFormat::Csv => {
                text.clear();
                exported.csv(&mut text);
                out.write_all(text.as_bytes()).map_err(failed)?;
            }
        }
        out.write_all(b"\n").map_err(failed)?;
        count += 1;
        Ok(())
    })?;
    out.flush().map_err(failed)?;
    Ok(count)
}

/// What [`import`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Entries.
    pub entries: u64,
    /// The hash of the last one, in hex.
    pub head: String,
    /// There are keys, but the directory lacks the file `secret` of the ledger that was exported:
    /// until it is there, the ledger does not open.
    pub secret_missing: bool,
}

/// Reads an export of a whole ledger, in either format, into a directory that has no ledger.
///
/// The journal gets its name only once it is whole, so an import that fails leaves no ledger.
///
/// # Errors
/// The directory has a ledger, or cannot be written; the export is not whole, or was changed.
pub fn import(root: impl AsRef<Path>, from: &mut dyn BufRead) -> Result<Imported, OpenError> {
    let dir = Dir::create(root.as_ref())?;
    let journal = dir.journal();
    let empty = fs::read_dir(&journal).map_err(OpenError::at(&journal))?.next().is_none();
    if !empty || dir.archive().exists() || dir.index().exists() {
        let what = "there is a ledger already; import into an empty directory";
        return Err(OpenError::Import(what.to_owned()));
    }
    let staging = dir.staging();
    if staging.exists() {
        fs::remove_dir_all(&staging).map_err(OpenError::at(&staging))?;
    }
    fs::create_dir(&staging).map_err(OpenError::at(&staging))?;
    let state = match Importer::new(&staging).and_then(|importer| importer.run(from)) {
        Ok(state) => state,
        Err(error) => {
            // The error is what matters; the next import clears the rest away.
            let _left_for_the_next = fs::remove_dir_all(&staging);
            return Err(error);
        }
    };
    fs::rename(&staging, &journal).map_err(OpenError::at(&journal))?;
    super::store::dir::sync_dir(root.as_ref()).map_err(OpenError::at(root.as_ref()))?;
    Ok(Imported {
        entries: state.seq,
        head: blake3::Hash::from_bytes(state.head).to_hex().to_string(),
        secret_missing: !state.keys.is_empty() && !root.as_ref().join("secret").exists(),
    })
}

/// Entries in one write of an import.
const GROUP: usize = 512;

/// The size at which an imported journal begins a new segment, in bytes.
const SEGMENT_BYTES: u64 = 64 << 20;

struct Importer<'a> {
    staging: &'a Path,
    journal: Journal,
    state: State,
    group: Vec<u8>,
    in_group: u16,
    first: u64,
    prev: [u8; 32],
}

impl<'a> Importer<'a> {
    fn new(staging: &'a Path) -> Result<Self, OpenError> {
        let tail = Tail { head: GENESIS, ..Tail::default() };
        Ok(Self {
            staging,
            journal: Journal::open(staging, &tail, SEGMENT_BYTES)?,
            state: State::new(usize::MAX),
            group: Vec::new(),
            in_group: 0,
            first: 1,
            prev: GENESIS,
        })
    }

    fn run(mut self, from: &mut dyn BufRead) -> Result<State, OpenError> {
        let mut text = String::new();
        let mut number = 0_u64;
        loop {
            text.clear();
            number += 1;
            let read = from.read_line(&mut text);
            if read.map_err(|error| OpenError::Io("the export".into(), error))? == 0 {
                break;
            }
            let wrong = |what: String| OpenError::Import(format!("line {number}: {what}"));
            let line = text.trim_end_matches(['\n', '\r']);
            if line.is_empty() || (number == 1 && line == CSV_HEADER) {
                continue;
            }
            let payload = payload_of(line).map_err(wrong)?;
            self.add(&payload).map_err(wrong)?;
            if usize::from(self.in_group) == GROUP {
                self.write()?;
            }
        }
        self.write()?;
        if self.state.seq == 0 {
            return Err(OpenError::Import("it has no entries".to_owned()));
        }
        self.journal.trim();
        Ok(self.state)
    }

    fn add(&mut self, payload: &[u8]) -> Result<(), String> {
        let (entry, prev) = Entry::read(payload).map_err(|error| error.to_string())?;
        if entry.seq != self.state.seq + 1 {
            let (want, got) = (self.state.seq + 1, entry.seq);
            return Err(format!("entry {got} stands where entry {want} should: is it the whole?"));
        }
        if prev != self.state.head {
            return Err("the chain of hashes is broken: the export was changed".to_owned());
        }
        self.state.apply(&entry, &NoHistory).map_err(|refused| refused.to_string())?;
        self.state.head = Frame::write(payload, self.in_group, &mut self.group);
        self.in_group += 1;
        Ok(())
    }

    fn write(&mut self) -> Result<(), OpenError> {
        if self.in_group > 0 {
            let failed = OpenError::at(self.staging);
            self.journal
                .room(self.group.len(), self.first, &self.prev)
                .and_then(|_| self.journal.commit(&self.group))
                .map_err(failed)?;
        }
        self.group.clear();
        self.in_group = 0;
        self.first = self.state.seq + 1;
        self.prev = self.state.head;
        Ok(())
    }
}

/// The entry in a line of an export, in either format, whose hash must be the one beside it.
fn payload_of(line: &str) -> Result<Vec<u8>, String> {
    #[derive(Deserialize)]
    struct Needed {
        hash: String,
        entry: String,
    }
    let not_a_line = || "this is no line of an export that can be imported".to_owned();
    let needed = if line.starts_with('{') {
        serde_json::from_str(line).map_err(|_| not_a_line())?
    } else {
        let (rest, entry) = line.rsplit_once(',').ok_or_else(not_a_line)?;
        let (_, hash) = rest.rsplit_once(',').ok_or_else(not_a_line)?;
        Needed { hash: hash.to_owned(), entry: entry.to_owned() }
    };
    let payload = BASE64.decode(&needed.entry).map_err(|_| not_a_line())?;
    if blake3::hash(&payload).to_hex().as_str() != needed.hash {
        return Err("the entry is not what its hash says: the export was changed".to_owned());
    }
    Ok(payload)
}

/// One line of an export.
#[derive(Serialize)]
struct Exported<'a> {
    seq: u64,
    time_ms: u64,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    transfer: Option<ExportedTransfer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fee: Option<ExportedTransfer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plugins: Option<ExportedTransfer>,
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
    hash: String,
    /// The entry as it stands in the journal, in base64.
    entry: String,
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

impl<'a> Exported<'a> {
    fn of(line: &'a Line<'_>) -> Self {
        let event = &line.entry.event;
        let [first, second, third] = event.transfers();
        let record = event.record().map(|record| &**record);
        let mut out = Self {
            seq: line.entry.seq,
            time_ms: line.entry.time_ms,
            kind: event.name(),
            transfer: first.map(ExportedTransfer::of),
            fee: second.map(ExportedTransfer::of),
            plugins: third.map(ExportedTransfer::of),
            account: record.map(|record| record.account.as_str()),
            key: record.map(|record| record.key.as_str()),
            generation: record.map(|record| record.id.to_string()),
            granted_nano_usd: None,
            cause: None,
            note: None,
            idempotency_key: None,
            record,
            hash: blake3::Hash::from_bytes(line.hash).to_hex().to_string(),
            entry: BASE64.encode(line.payload),
        };
        out.describe(event);
        out
    }

    fn describe(&mut self, event: &'a Event) {
        match event {
            Event::AccountCreated { account, .. } | Event::AccountChanged { account, .. } => {
                self.account = Some(account.as_str());
            }
            Event::OrganisationSet { organisation, .. } => {
                self.account = Some(organisation.as_str());
            }
            Event::MemberSet { account, user, .. } | Event::MemberRemoved { account, user } => {
                self.account = Some(account.as_str());
                self.note = Some(user);
            }
            Event::Moved { from, reason, receipt, .. } => {
                self.account = Some(from.as_str());
                self.note = Some(reason);
                self.idempotency_key = Some(receipt);
            }
            Event::ToppedUp { account, receipt, .. } => {
                self.account = Some(account.as_str());
                self.idempotency_key = Some(receipt);
            }
            Event::Adjusted { account, reason, receipt, .. } => {
                self.account = Some(account.as_str());
                self.note = Some(reason);
                self.idempotency_key = Some(receipt);
            }
            Event::KeyCreated(new) => {
                self.key = Some(new.key.as_str());
                self.account = Some(new.account.as_str());
                self.note = Some(&new.terms.label);
            }
            Event::KeyChanged { key, .. }
            | Event::KeyDisabled { key }
            | Event::KeyDeleted { key } => self.key = Some(key.as_str()),
            Event::Held { generation, key, granted, .. } => {
                self.generation = Some(generation.to_string());
                self.key = Some(key.as_str());
                self.granted_nano_usd = Some(granted.0);
            }
            Event::HeldAhead { generation, key, .. } => {
                self.generation = Some(generation.to_string());
                self.key = Some(key.as_str());
            }
            Event::Unused { cause, generation } => {
                self.generation = Some(generation.to_string());
                self.cause = Some(name(*cause));
            }
            Event::Settled { cause, .. } | Event::Voided { cause, .. } => {
                self.cause = Some(name(*cause));
            }
            Event::Recorded { .. } => {}
        }
    }
}

const fn name(cause: Cause) -> &'static str {
    match cause {
        Cause::Asked => "asked",
        Cause::Dropped => "dropped",
        Cause::Recovered => "recovered",
    }
}

/// The columns of a spreadsheet. `hash` and `entry` must stay the last ones: an import looks there.
const CSV_HEADER: &str = "seq,time_ms,kind,account,key,generation,debit,credit,amount_nano_usd,\
fee_debit,fee_credit,fee_nano_usd,granted_nano_usd,cause,note,idempotency_key,model,provider,\
endpoint,prompt_tokens,completion_tokens,cached_tokens,reasoning_tokens,cost_nano_usd,\
finish_reason,latency_ms,generation_ms,status,hash,entry";

impl Exported<'_> {
    fn csv(&self, out: &mut String) {
        let record = self.record;
        number(out, Some(self.seq));
        number(out, Some(self.time_ms));
        field(out, Some(self.kind));
        field(out, self.account);
        field(out, self.key);
        field(out, self.generation.as_deref());
        for transfer in [&self.transfer, &self.fee] {
            let transfer = transfer.as_ref();
            field(out, transfer.map(|t| t.debit.as_str()));
            field(out, transfer.map(|t| t.credit.as_str()));
            number(out, transfer.map(|t| t.amount_nano_usd));
        }
        number(out, self.granted_nano_usd);
        field(out, self.cause);
        field(out, self.note);
        field(out, self.idempotency_key);
        field(out, record.and_then(|r| r.model.as_ref()).map(|id| id.as_str()));
        field(out, record.and_then(|r| r.provider.as_ref()).map(|id| id.as_str()));
        field(out, record.and_then(|r| r.endpoint.as_ref()).map(|id| id.as_str()));
        number(out, record.map(|r| r.usage.prompt));
        number(out, record.map(|r| r.usage.completion));
        number(out, record.map(|r| r.usage.cache_read));
        number(out, record.map(|r| r.usage.reasoning));
        number(out, record.map(|r| r.cost.0));
        field(out, record.and_then(|r| r.finish_reason.as_deref()));
        number(out, record.map(|r| r.latency_ms));
        number(out, record.map(|r| r.generation_ms));
        number(out, record.map(|r| r.status));
        field(out, Some(&self.hash));
        out.push_str(&self.entry);
    }
}

fn number(out: &mut String, value: Option<impl std::fmt::Display>) {
    if let Some(value) = value {
        // Writing to a string does not fail.
        let _infallible = write!(out, "{value}");
    }
    out.push(',');
}

/// A text in quotes where it needs them.
fn field(out: &mut String, value: Option<&str>) {
    let value = value.unwrap_or_default();
    let formula = value.starts_with(['=', '+', '-', '@']);
    let quoted = formula || value.contains(|c: char| c == ',' || c == '"' || c.is_control());
    if quoted {
        out.push('"');
        if formula {
            out.push('\'');
        }
        for c in value.chars() {
            match c {
                '"' => out.push_str("\"\""),
                c if c.is_control() => out.push(' '),
                c => out.push(c),
            }
        }
        out.push('"');
    } else {
        out.push_str(value);
    }
    out.push(',');
}
