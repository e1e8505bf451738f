//! Starting up: what the last process left behind becomes a sound ledger.
//!
//! 1. The index is opened, guarded. If it is damaged it is thrown away.
//! 2. The journal after the index's last entry is replayed; an index that does not match the
//!    journal is thrown away as well. The journal is the truth. Without an index all of it is read,
//!    and what it adds up to begins with the archive's snapshot if there is a sound one.
//! 3. A torn tail is cut off. It was never acknowledged.
//! 4. Every hold that is still open is ended by the rule of [`progress`](super::super::store).
//! 5. The index catches up.

use std::sync::Arc;

use crate::ledger::entry::{Cause, Event};
use crate::ledger::record::GenerationRecord;
use crate::ledger::state::State;
use crate::ledger::store::dir::Dir;
use crate::ledger::store::index::{Rows, Store, StoreFailed};
use crate::ledger::store::journal::Journal;
use crate::ledger::store::manifest::Manifest;
use crate::ledger::store::pending::Pending;
use crate::ledger::store::progress::Progress;
use crate::ledger::store::replay::{Line, Tail, replay};
use crate::ledger::store::runs::{self, Layers};
use crate::ledger::store::segments::Segments;
use crate::ledger::store::{OpenError, rows, snapshot};
use crate::vocab::{GenerationId, NanoUsd};

use super::Options;
use super::queue::GROUP_MAX;
use super::recent::{Recent, Records};
use super::scribe::Scribe;

/// What recovery found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Entries that the index did not know yet.
    pub replayed: u64,
    /// Open holds that were settled at their last progress.
    pub settled: u64,
    /// Open holds that were voided, because nothing had reached the client.
    pub voided: u64,
    /// Open holds that were placed ahead and taken back: nobody had asked for them, or nothing had
    /// reached the client.
    pub unused: u64,
    /// Bytes at the journal's end that a crash left half written, cut off.
    pub truncated_tail_bytes: u64,
    /// The index was built anew from the journal.
    pub rebuilt_index: bool,
    /// Why it was.
    pub rebuild_reason: Option<String>,
    /// Why the archive's snapshot could not be used where it was wanted.
    pub snapshot_refused: Option<String>,
}

const NO_INDEX: &str = "there was none";

/// How many entries the index learns at a time.
const CATCH_UP: usize = 50_000;

/// A sound ledger without its threads.
pub(crate) struct Recovered {
    pub(crate) scribe: Scribe,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) records: Arc<Records>,
    pub(crate) recovery: Recovery,
}

pub(crate) fn recover(dir: &Dir, options: &Options) -> Result<Recovered, OpenError> {
    let mut recovery = Recovery::default();
    let first = open_index(dir).map_err(|error| Trouble::Index(error.0)).and_then(|opened| {
        match opened {
            (store, Some(state)) => catch_up(dir, store, Some(Base::index(state)), options),
            // The snapshot saves time, and stands for what was moved away.
            (_, None) if !matches!(snapshot_base(dir), Ok(None)) => {
                Err(Trouble::Index(NO_INDEX.to_owned()))
            }
            (store, None) => catch_up(dir, store, None, options),
        }
    });
    let caught_up = match first {
        Ok(caught_up) => caught_up,
        Err(Trouble::Fatal(error)) => return Err(error),
        Err(Trouble::Index(reason)) => {
            recovery.rebuild_reason = Some(reason);
            rebuild(dir, options, &mut recovery)?
        }
    };
    let CaughtUp { state, pending, store, records, tail, replayed, from_nothing } = caught_up;
    recovery.replayed = replayed;
    recovery.truncated_tail_bytes = tail.torn_bytes;
    recovery.rebuilt_index = recovery.rebuild_reason.is_some() || (from_nothing && replayed > 0);
    if recovery.rebuilt_index && recovery.rebuild_reason.is_none() {
        recovery.rebuild_reason = Some(NO_INDEX.to_owned());
    }
    let journal = Journal::open(&dir.journal(), &tail, options.segment_bytes)?;
    let mut scribe = Scribe::new(state, pending, journal);
    end_open_holds(dir, &mut scribe, &records, options, &mut recovery)?;
    if scribe.pending.len() > 0 {
        let rows = scribe.pending.take_rows(&scribe.state, options.index_upstream_ids);
        store.apply(&rows).map_err(index_failed)?;
        records.indexed(rows.seq);
    }
    Ok(Recovered { scribe, store, records, recovery })
}

/// Makes the index anew. What a snapshot says is not computed again; one that cannot be read or
/// does not fit the journal is left aside.
fn rebuild(dir: &Dir, options: &Options, recovery: &mut Recovery) -> Result<CaughtUp, OpenError> {
    let from = |base| {
        let store = Layers::recreate(&dir.index(), &dir.generations())
            .map_err(|error| Trouble::Fatal(index_failed(error)))?;
        catch_up(dir, Arc::new(store), base, options)
    };
    let base = snapshot_base(dir).unwrap_or_else(|error| {
        recovery.snapshot_refused = Some(error.to_string());
        None
    });
    let caught_up = match base {
        Some(base) => match from(Some(base)) {
            Err(Trouble::Index(reason)) => {
                recovery.snapshot_refused = Some(reason);
                from(None)
            }
            caught_up => caught_up,
        },
        None => from(None),
    };
    caught_up.map_err(|trouble| match trouble {
        Trouble::Fatal(error) => error,
        Trouble::Index(reason) => OpenError::Index(reason),
    })
}

/// What the archive's snapshot says; nothing if there is none.
fn snapshot_base(dir: &Dir) -> Result<Option<Base>, OpenError> {
    let archive = dir.archive();
    let Some(line) = Manifest::load(&archive)?.snapshot else { return Ok(None) };
    let state = snapshot::load(&archive, &line, State::WINDOW)?;
    Ok(Some(Base { state, indexed: false }))
}

/// What is known without the journal.
struct Base {
    state: State,
    /// The index has the generations as well.
    indexed: bool,
}

impl Base {
    const fn index(state: State) -> Self {
        Self { state, indexed: true }
    }
}

fn index_failed(error: StoreFailed) -> OpenError {
    OpenError::Index(error.0)
}

fn open_index(dir: &Dir) -> Result<(Arc<dyn Store>, Option<State>), StoreFailed> {
    let store = Layers::open(&dir.index(), &dir.generations())?;
    let state = rows::load(&store, State::WINDOW)?;
    if store.durable_rows() > state.as_ref().map_or(0, State::seq) {
        return Err(StoreFailed("it has generations of later entries than the rest".to_owned()));
    }
    Ok((Arc::new(store), state))
}

enum Trouble {
    /// The index is of no use; the journal may be sound.
    Index(String),
    Fatal(OpenError),
}

struct CaughtUp {
    state: State,
    pending: Pending,
    store: Arc<dyn Store>,
    records: Arc<Records>,
    tail: Tail,
    replayed: u64,
    from_nothing: bool,
}

/// Replays what the index does not know.
fn catch_up(
    dir: &Dir,
    store: Arc<dyn Store>,
    base: Option<Base>,
    options: &Options,
) -> Result<CaughtUp, Trouble> {
    let from_nothing = base.is_none();
    let indexed = base.as_ref().is_some_and(|base| base.indexed);
    let state = base.map(|base| base.state).unwrap_or_default();
    let pending = Pending::after(&*store, indexed.then_some(&state))
        .map_err(|error| Trouble::Index(error.to_string()))?;
    let (base_seq, base_head) = (state.seq, state.head);
    let segments = dir.segments();
    let durable_rows = store.durable_rows().min(base_seq);
    let from = if from_nothing || (indexed && durable_rows == base_seq) {
        base_seq
    } else {
        // What was moved away is not asked for.
        let oldest = segments.oldest().map_err(Trouble::Fatal)?;
        let wanted = if indexed { durable_rows } else { 0 };
        wanted.max(oldest.saturating_sub(1)).min(base_seq)
    };
    if !generations_fit(&*store, &segments).map_err(|error| Trouble::Index(error.0))? {
        return Err(Trouble::Index("its generations are not the journal's".to_owned()));
    }
    let records = Arc::new(Records::new(Arc::clone(&store), dir.segments()));
    if indexed {
        records.indexed(base_seq);
    }
    let mut learner = Learner {
        options,
        records,
        store,
        state,
        base_seq,
        base_head,
        from_nothing,
        indexed,
        durable_rows,
        pending,
        trouble: None,
    };
    let tail = replay(&segments, from, &mut |line| learner.learn(&line)).map_err(Trouble::Fatal)?;
    if !learner.indexed {
        learner.write_base();
    }
    let Learner { state, pending, store, records, trouble, .. } = learner;
    if let Some(trouble) = trouble {
        return Err(Trouble::Index(trouble));
    }
    if tail.start.is_some_and(|(seq, head)| seq == base_seq && head != base_head) {
        return Err(Trouble::Index(OTHER_JOURNAL.to_owned()));
    }
    if tail.seq < base_seq && tail.torn_bytes > 0 {
        // The index learns of an entry only once it is durable: so this is no torn tail.
        return Err(Trouble::Fatal(OpenError::Corrupt(format!(
            "the journal is damaged after entry {}, and the index knows of entries up to \
             {base_seq}: restore the journal from a copy, or, to accept their loss, remove the \
             index",
            tail.seq
        ))));
    }
    if tail.seq < base_seq {
        return Err(Trouble::Index(format!(
            "it contains entry {base_seq}, but the journal ends at {}",
            tail.seq
        )));
    }
    let replayed = tail.seq - base_seq;
    let from_nothing = !indexed;
    Ok(CaughtUp { state, pending, store, records, tail, replayed, from_nothing })
}

/// Whether the newest generation that the index has stands where it says: files of another ledger are
/// found so. `verify` looks at all of them.
fn generations_fit(store: &dyn Store, segments: &Segments) -> Result<bool, StoreFailed> {
    let mut newest = Ok(None);
    store.scan_back(b"g", b"h", &mut |key, value| {
        newest = rows::read_place_key(key).and_then(|id| Ok(Some((id, rows::read_place(value)?))));
        false
    })?;
    let Some((id, place)) = newest.map_err(|error| StoreFailed(error.to_string()))? else {
        return Ok(true);
    };
    Ok(match segments.read_at(place) {
        Ok(Some(entry)) => entry.event.record().is_some_and(|record| record.id == id),
        // Its segment was moved away.
        Ok(None) => true,
        Err(_) => false,
    })
}

const OTHER_JOURNAL: &str = "its last entry is not the journal's";

/// What the index must learn, entry by entry.
struct Learner<'a> {
    options: &'a Options,
    state: State,
    /// The last entry that the state contained at first, and its hash.
    base_seq: u64,
    base_head: [u8; 32],
    from_nothing: bool,
    /// The index has everything up to there.
    indexed: bool,
    /// The last entry whose generation the index has for sure.
    durable_rows: u64,
    pending: Pending,
    store: Arc<dyn Store>,
    records: Arc<Records>,
    trouble: Option<String>,
}

impl Learner<'_> {
    fn learn(&mut self, line: &Line<'_>) -> Result<(), OpenError> {
        if self.trouble.is_some() {
            return Ok(());
        }
        let seq = line.entry.seq;
        if seq == self.base_seq && line.hash != self.base_head {
            self.trouble = Some(OTHER_JOURNAL.to_owned());
            return Ok(());
        }
        if seq <= self.base_seq {
            // The state has it; the index may lack the generation.
            if !self.indexed {
                self.pending.note(&line.entry, line.place, &self.state);
                self.write_some(seq);
            } else if seq > self.durable_rows {
                self.pending.note_generation(&line.entry, line.place);
                if self.pending.generations() >= CATCH_UP || seq == self.base_seq {
                    self.write_generations(seq);
                }
            }
            return Ok(());
        }
        if !self.indexed {
            self.write_base();
        }
        if let Err(refused) = self.state.apply(&line.entry, &*self.records) {
            let what = format!("entry {seq} does not fit: {refused}");
            if self.from_nothing {
                return Err(OpenError::Corrupt(what));
            }
            self.trouble = Some(what);
            return Ok(());
        }
        self.state.head = line.hash;
        self.records.add(Recent::of(&line.entry).into_iter());
        self.pending.note(&line.entry, line.place, &self.state);
        self.write_some(seq);
        Ok(())
    }

    /// The index has all generations up to the base's: now it gets the base itself.
    fn write_base(&mut self) {
        self.indexed = true;
        if self.from_nothing {
            return;
        }
        let mut rows = self.pending.take_rows(&self.state, self.options.index_upstream_ids);
        rows.put.extend(Pending::whole(&self.state).put);
        self.write(&rows);
    }

    /// Generations up to an entry that the rest of the index contains already.
    fn write_generations(&mut self, seq: u64) {
        let mut rows = self.pending.take_rows(&self.state, self.options.index_upstream_ids);
        rows.put.retain(|(key, _)| runs::is_ours(key));
        rows.seq = seq;
        self.write(&rows);
    }

    fn write_some(&mut self, seq: u64) {
        if self.pending.len() >= CATCH_UP {
            let mut rows = self.pending.take_rows(&self.state, self.options.index_upstream_ids);
            rows.seq = seq;
            if !self.indexed {
                // A crash here must not leave an index that seems to be whole.
                rows.put.retain(|(key, _)| key != rows::META);
            }
            self.write(&rows);
        }
    }

    fn write(&mut self, rows: &Rows) {
        match self.store.apply(rows) {
            Ok(()) => self.records.indexed(rows.seq),
            Err(error) => self.trouble = Some(error.0),
        }
    }
}

fn end_open_holds(
    dir: &Dir,
    scribe: &mut Scribe,
    records: &Records,
    options: &Options,
    recovery: &mut Recovery,
) -> Result<(), OpenError> {
    if scribe.state.holds.is_empty() {
        return Ok(());
    }
    let path = dir.progress();
    let notes = Progress::left_behind(&path).map_err(OpenError::at(&path))?;
    let now_ms = (options.clock)();
    let mut open: Vec<GenerationId> = scribe.state.holds.keys().copied().collect();
    open.sort_unstable();
    for group in open.chunks(GROUP_MAX) {
        for id in group {
            let Some(hold) = scribe.state.holds.get(id) else { continue };
            let (account, key, ahead) = (hold.account.clone(), hold.key.clone(), hold.ahead);
            let mut record = GenerationRecord::bare(*id, hold.placed_ms, account, key);
            record.recovered = true;
            let note = notes.get(id);
            record.cost = note.copied().unwrap_or(NanoUsd::ZERO);
            let (cause, record) = (Cause::Recovered, Arc::new(record));
            let event = if note.is_some() {
                recovery.settled += 1;
                Event::Settled { cause, record }
            } else if ahead {
                // It may be that nobody ever asked for it.
                recovery.unused += 1;
                Event::Unused { cause, generation: *id }
            } else {
                recovery.voided += 1;
                Event::Voided { cause, record }
            };
            scribe
                .stage(event, now_ms, records)
                .map_err(|refused| OpenError::Corrupt(format!("hold {id}: {refused}")))?;
        }
        scribe.commit().map_err(OpenError::at(&dir.journal()))?;
        let mut ended = Vec::new();
        scribe.finish(|entry| {
            ended.extend(Recent::of(entry));
        });
        records.add(ended.into_iter());
    }
    Ok(())
}
