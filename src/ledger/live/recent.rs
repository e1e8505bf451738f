//! Records of the generations that ended last, and the way to older ones.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::ledger::record::GenerationRecord;
use crate::ledger::state::History;
use crate::ledger::store::index::{Store, StoreFailed};
use crate::ledger::store::{Place, journal, rows};
use crate::vocab::GenerationId;

/// How many records are kept in memory even when the index knows them.
const KEEP: usize = 1_024;

#[derive(Default)]
struct Inner {
    records: HashMap<GenerationId, Arc<GenerationRecord>>,
    order: VecDeque<(u64, GenerationId)>,
    indexed_seq: u64,
}

/// Every record: the last ones in memory, among them all that the index does not know yet, the
/// others in the journal by way of the index.
pub(crate) struct Records {
    inner: Mutex<Inner>,
    store: Arc<dyn Store>,
    journal: PathBuf,
}

impl Records {
    pub(crate) fn new(store: Arc<dyn Store>, journal: PathBuf) -> Self {
        Self { inner: Mutex::default(), store, journal }
    }

    /// Remembers records that are durable in the journal.
    pub(crate) fn add(&self, records: impl Iterator<Item = (u64, Arc<GenerationRecord>)>) {
        let mut inner = self.inner.lock();
        for (seq, record) in records {
            inner.order.push_back((seq, record.id));
            inner.records.insert(record.id, record);
        }
        inner.trim();
    }

    /// The index now knows everything up to `seq`.
    pub(crate) fn indexed(&self, seq: u64) {
        let mut inner = self.inner.lock();
        inner.indexed_seq = inner.indexed_seq.max(seq);
        inner.trim();
    }

    pub(crate) fn find(
        &self,
        id: GenerationId,
    ) -> Result<Option<Arc<GenerationRecord>>, StoreFailed> {
        if let Some(record) = self.inner.lock().records.get(&id) {
            return Ok(Some(Arc::clone(record)));
        }
        match rows::find(&*self.store, id)? {
            Some(place) => self.read(place),
            None => Ok(None),
        }
    }

    /// The last generation with this upstream id. Looks at every record in memory.
    pub(crate) fn find_upstream(
        &self,
        upstream: &str,
    ) -> Result<Option<Arc<GenerationRecord>>, StoreFailed> {
        let matches = |record: &&Arc<GenerationRecord>| {
            record.upstream_id.as_deref().is_some_and(|id| id == upstream)
        };
        let newest =
            self.inner.lock().records.values().filter(matches).max_by_key(|r| r.id).cloned();
        if newest.is_some() {
            return Ok(newest);
        }
        match rows::find_upstream(&*self.store, upstream)? {
            Some(place) => self.read(place),
            None => Ok(None),
        }
    }

    fn read(&self, place: Place) -> Result<Option<Arc<GenerationRecord>>, StoreFailed> {
        let entry = journal::read_at(&self.journal, place)
            .map_err(|error| StoreFailed(format!("journal: {error}")))?;
        Ok(entry.event.record().cloned())
    }
}

impl History for Records {
    fn ended(&self, id: GenerationId) -> Result<bool, String> {
        if self.inner.lock().records.contains_key(&id) {
            return Ok(true);
        }
        rows::find(&*self.store, id).map(|place| place.is_some()).map_err(|error| error.0)
    }
}

impl Inner {
    fn trim(&mut self) {
        while self.order.len() > KEEP
            && let Some((seq, id)) = self.order.front().copied()
            && seq <= self.indexed_seq
        {
            self.order.pop_front();
            self.records.remove(&id);
        }
    }
}
