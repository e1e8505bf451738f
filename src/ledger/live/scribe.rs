//! From events to durable entries: the state machine, the journal and what the index must learn.

use std::io;

use crate::ledger::entry::{Entry, Event};
use crate::ledger::state::{History, Refused, State};
use crate::ledger::store::Place;
use crate::ledger::store::journal::Journal;
use crate::ledger::store::pending::Pending;

/// Stages events as a group, commits the group, and hands the entries out again.
pub(crate) struct Scribe {
    pub(crate) state: State,
    pub(crate) pending: Pending,
    pub(crate) journal: Journal,
    /// The frames of the staged entries.
    bytes: Vec<u8>,
    /// The entries and where their frames start.
    staged: Vec<(Entry, usize)>,
    /// What the staged group is chained to.
    prev: [u8; 32],
    place: Option<Place>,
}

impl Scribe {
    pub(crate) fn new(state: State, pending: Pending, journal: Journal) -> Self {
        let prev = state.head;
        Self { state, pending, journal, bytes: Vec::new(), staged: Vec::new(), prev, place: None }
    }

    /// Applies an event to the state and stages its entry.
    pub(crate) fn stage(
        &mut self,
        event: Event,
        now_ms: u64,
        history: &dyn History,
    ) -> Result<(), Refused> {
        let seq = self.state.seq + 1;
        // A clock that was set back must not stop the ledger.
        let entry = Entry { seq, time_ms: now_ms.max(self.state.time_ms), event };
        self.state.apply(&entry, history)?;
        let back = u16::try_from(self.staged.len()).unwrap_or(u16::MAX);
        let start = self.bytes.len();
        self.state.head = entry.write(&self.state.head, back, &mut self.bytes);
        self.staged.push((entry, start));
        Ok(())
    }

    /// How many entries are staged.
    pub(crate) const fn staged(&self) -> usize {
        self.staged.len()
    }

    /// Makes the staged group durable. After an error the same group can be tried again.
    pub(crate) fn commit(&mut self) -> io::Result<()> {
        let Some((first, _)) = self.staged.first() else { return Ok(()) };
        let place = self.journal.room(self.bytes.len(), first.seq, &self.prev)?;
        self.journal.commit(&self.bytes)?;
        self.place = Some(place);
        Ok(())
    }

    /// After a commit: tells what the index must learn, shows each entry, and starts a new group.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(&Entry)) {
        let Some(base) = self.place.take() else { return };
        for (entry, start) in self.staged.drain(..) {
            let place = Place { segment: base.segment, offset: base.offset + start as u64 };
            self.pending.note(&entry, place, &self.state);
            each(&entry);
        }
        self.bytes.clear();
        self.prev = self.state.head;
    }
}
