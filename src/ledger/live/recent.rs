//! Records of the generations that ended last, and the way to older ones.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::ledger::activity::{Activity, ActivityQuery};
use crate::ledger::entry::Entry;
use crate::ledger::query::{Cursor, GenerationPage, GenerationQuery};
use crate::ledger::record::GenerationRecord;
use crate::ledger::state::History;
use crate::ledger::store::index::{Store, StoreFailed};
use crate::ledger::store::lists::{self, By};
use crate::ledger::store::segments::Segments;
use crate::ledger::store::{Place, rollups, rows};
use crate::vocab::GenerationId;

/// How many records are kept in memory even when the index knows them.
const KEEP: usize = 1_024;

/// A generation that ended, with its entry's sequence and time.
#[derive(Clone)]
pub(crate) struct Recent {
    seq: u64,
    time_ms: u64,
    record: Arc<GenerationRecord>,
}

impl Recent {
    /// The generation that an entry ends, if it ends one.
    pub(crate) fn of(entry: &Entry) -> Option<Self> {
        let record = Arc::clone(entry.event.record()?);
        Some(Self { seq: entry.seq, time_ms: entry.time_ms, record })
    }
}

#[derive(Default)]
struct Inner {
    records: HashMap<GenerationId, Arc<GenerationRecord>>,
    /// In the order of the journal.
    order: VecDeque<Recent>,
    indexed_seq: u64,
}

/// Every record: the last ones in memory, among them all that the index does not know yet, the
/// others in the journal by way of the index.
pub(crate) struct Records {
    inner: Mutex<Inner>,
    store: Arc<dyn Store>,
    segments: Segments,
}

impl Records {
    pub(crate) fn new(store: Arc<dyn Store>, segments: Segments) -> Self {
        Self { inner: Mutex::default(), store, segments }
    }

    /// Remembers records that are durable in the journal.
    pub(crate) fn add(&self, records: impl Iterator<Item = Recent>) {
        let mut inner = self.inner.lock();
        for recent in records {
            inner.records.insert(recent.record.id, Arc::clone(&recent.record));
            inner.order.push_back(recent);
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
            // Another's id may have the same hash.
            Some(place) => Ok(self.read(place)?.filter(|record| matches(&record))),
            None => Ok(None),
        }
    }

    /// A page of generations. What the index does not know yet is found in memory.
    pub(crate) fn list(&self, query: &GenerationQuery) -> Result<GenerationPage, StoreFailed> {
        let limit = query.limit.clamp(1, GenerationQuery::LIMIT_MAX);
        let mut page = Builder { query, limit, looks: 0, page: GenerationPage::default() };
        let indexed = {
            let inner = self.inner.lock();
            let new = inner.order.iter().rev().take_while(|r| r.seq > inner.indexed_seq);
            for recent in new {
                if !page.look(recent) {
                    return Ok(page.page);
                }
            }
            inner.indexed_seq
        };
        let end = |ms: u64| ms.saturating_sub(1) / 1_000;
        let to = query.to_ms.map_or(u64::MAX, end);
        let below = indexed.saturating_add(1);
        let span = lists::Span {
            from: query.from_ms.unwrap_or(0) / 1_000,
            to: query.after.map_or(to, |after| to.min(after.time_ms / 1_000)),
            below: query.after.map_or(below, |after| below.min(after.seq)),
        };
        let by = match (&query.key, &query.account, &query.model) {
            (Some(key), ..) => By::Key(key.as_str()),
            (_, Some(account), _) => By::Account(account.as_str()),
            (_, _, Some(model)) => By::Model(model.as_str()),
            _ => By::All,
        };
        let span = self.to_the_millisecond(by, span, query.to_ms)?;
        lists::visit(&*self.store, by, span, &mut |item| {
            let entry = self.entry(item.place)?;
            let recent = entry.as_ref().and_then(Recent::of);
            Ok(recent.is_none_or(|recent| page.look(&recent)))
        })?;
        Ok(page.page)
    }

    /// Leaves out what ended in the last second of a span and yet too late.
    fn to_the_millisecond(
        &self,
        by: By<'_>,
        mut span: lists::Span,
        to_ms: Option<u64>,
    ) -> Result<lists::Span, StoreFailed> {
        let Some(to_ms) = to_ms.filter(|to| !to.is_multiple_of(1_000) && to / 1_000 == span.to)
        else {
            return Ok(span);
        };
        let mut items = Vec::new();
        let second = lists::Span { from: span.to, ..span };
        lists::visit(&*self.store, by, second, &mut |item| {
            items.push(item);
            Ok(true)
        })?;
        // They are in the order of time, the last first.
        let (mut low, mut high) = (0, items.len());
        while low < high {
            let middle = low.midpoint(high);
            let entry = self.entry(items[middle].place)?;
            if entry.is_some_and(|entry| entry.time_ms >= to_ms) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if let Some(too_late) = low.checked_sub(1).and_then(|at| items.get(at)) {
            span.below = span.below.min(too_late.seq);
        }
        Ok(span)
    }

    /// What days add up to.
    pub(crate) fn activity(&self, query: &ActivityQuery) -> Result<Vec<Activity>, StoreFailed> {
        rollups::query(&*self.store, query)
    }

    fn read(&self, place: Place) -> Result<Option<Arc<GenerationRecord>>, StoreFailed> {
        Ok(self.entry(place)?.and_then(|entry| entry.event.record().cloned()))
    }

    /// The entry at a place; absent if its segment was moved away.
    fn entry(&self, place: Place) -> Result<Option<Entry>, StoreFailed> {
        self.segments.read_at(place).map_err(|error| StoreFailed(format!("journal: {error}")))
    }
}

/// A page while it is being filled.
struct Builder<'a> {
    query: &'a GenerationQuery,
    limit: usize,
    looks: usize,
    page: GenerationPage,
}

impl Builder<'_> {
    /// Takes a generation into the page if it is wanted; says whether there is room for more.
    fn look(&mut self, recent: &Recent) -> bool {
        if self.query.after.is_some_and(|after| recent.seq >= after.seq) {
            return true;
        }
        // What comes now ended even earlier.
        if self.query.from_ms.is_some_and(|from| recent.time_ms < from) {
            return false;
        }
        if self.page.records.len() == self.limit || self.looks == GenerationQuery::LOOKS_MAX {
            // There is at least this one more: the next page begins with it.
            let (time_ms, seq) = (recent.time_ms, recent.seq + 1);
            self.page.next = Some(Cursor { time_ms, seq });
            return false;
        }
        self.looks += 1;
        if self.query.wants(&recent.record, recent.time_ms) {
            self.page.records.push(Arc::clone(&recent.record));
        }
        true
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
            && let Some(oldest) = self.order.pop_front_if(|oldest| oldest.seq <= self.indexed_seq)
        {
            self.records.remove(&oldest.record.id);
        }
    }
}
