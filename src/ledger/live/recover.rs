//! Starting up: what the last process left behind becomes a sound ledger.
//!
//! 1. The index is opened, guarded. If it is damaged it is thrown away.
//! 2. The journal after the index's last entry is replayed (without an index, all of it); an index
//!    that does not match the journal is thrown away as well. The journal is the truth.
//! 3. A torn tail is cut off. It was never acknowledged.
//! 4. Every hold that is still open is ended by the rule of [`progress`](super::super::store).
//! 5. The index catches up.

use std::path::Path;
use std::sync::Arc;

use crate::ledger::entry::{Cause, Event};
use crate::ledger::record::GenerationRecord;
use crate::ledger::state::State;
use crate::ledger::store::dir::Dir;
use crate::ledger::store::index::{SledStore, Store, StoreFailed};
use crate::ledger::store::journal::Journal;
use crate::ledger::store::pending::Pending;
use crate::ledger::store::progress::Progress;
use crate::ledger::store::replay::{Line, Tail, replay};
use crate::ledger::store::{OpenError, rows};
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
    /// Bytes at the journal's end that a crash left half written, cut off.
    pub truncated_tail_bytes: u64,
    /// The index was built anew from the journal.
    pub rebuilt_index: bool,
    /// Why it was.
    pub rebuild_reason: Option<String>,
}

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
    let first = open_index(&dir.index())
        .map_err(|error| Trouble::Index(error.0))
        .and_then(|(store, state)| catch_up(dir, store, state, options));
    let caught_up = match first {
        Ok(caught_up) => caught_up,
        Err(Trouble::Fatal(error)) => return Err(error),
        Err(Trouble::Index(reason)) => {
            let store = SledStore::recreate(&dir.index()).map_err(index_failed)?;
            recovery.rebuild_reason = Some(reason);
            match catch_up(dir, Arc::new(store), None, options) {
                Ok(caught_up) => caught_up,
                Err(Trouble::Fatal(error)) => return Err(error),
                Err(Trouble::Index(reason)) => return Err(OpenError::Index(reason)),
            }
        }
    };
    let CaughtUp { state, pending, store, records, tail, replayed, from_nothing } = caught_up;
    recovery.replayed = replayed;
    recovery.truncated_tail_bytes = tail.torn_bytes;
    recovery.rebuilt_index = recovery.rebuild_reason.is_some() || (from_nothing && replayed > 0);
    if recovery.rebuilt_index && recovery.rebuild_reason.is_none() {
        recovery.rebuild_reason = Some("there was none".to_owned());
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

fn index_failed(error: StoreFailed) -> OpenError {
    OpenError::Index(error.0)
}

fn open_index(path: &Path) -> Result<(Arc<dyn Store>, Option<State>), StoreFailed> {
    let store = SledStore::open(path)?;
    let state = rows::load(&store, State::WINDOW)?;
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
    indexed: Option<State>,
    options: &Options,
) -> Result<CaughtUp, Trouble> {
    let from_nothing = indexed.is_none();
    let mut pending = Pending::after(&*store, indexed.as_ref())
        .map_err(|error| Trouble::Index(error.to_string()))?;
    let mut state = indexed.unwrap_or_default();
    let (base_seq, base_head) = (state.seq, state.head);
    let records = Arc::new(Records::new(Arc::clone(&store), dir.journal()));
    let mut trouble = None;
    let mut visit = |line: Line| {
        if line.entry.seq <= base_seq {
            if line.entry.seq == base_seq && line.hash != base_head {
                trouble = Some("its last entry is not the journal's".to_owned());
            }
            return Ok(());
        }
        if trouble.is_some() {
            return Ok(());
        }
        if let Err(refused) = state.apply(&line.entry, &*records) {
            let what = format!("entry {} does not fit: {refused}", line.entry.seq);
            if from_nothing {
                return Err(OpenError::Corrupt(what));
            }
            trouble = Some(what);
            return Ok(());
        }
        state.head = line.hash;
        records.add(Recent::of(&line.entry).into_iter());
        pending.note(&line.entry, line.place, &state);
        if pending.len() >= CATCH_UP {
            let rows = pending.take_rows(&state, options.index_upstream_ids);
            match store.apply(&rows) {
                Ok(()) => records.indexed(rows.seq),
                Err(error) => trouble = Some(error.0),
            }
        }
        Ok(())
    };
    let tail = replay(&dir.journal(), base_seq, &mut visit).map_err(Trouble::Fatal)?;
    if let Some(trouble) = trouble {
        return Err(Trouble::Index(trouble));
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
    Ok(CaughtUp { state, pending, store, records, tail, replayed, from_nothing })
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
            let (account, key) = (hold.account.clone(), hold.key.clone());
            let mut record = GenerationRecord::bare(*id, hold.placed_ms, account, key);
            record.recovered = true;
            let note = notes.get(id);
            record.cost = note.copied().unwrap_or(NanoUsd::ZERO);
            let (cause, record) = (Cause::Recovered, Arc::new(record));
            let event = if note.is_some() {
                recovery.settled += 1;
                Event::Settled { cause, record }
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
