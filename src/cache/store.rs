//! Whole answers in memory, bounded in bytes.
//!
//! The store is cut into shards by the first byte of the key, so that a lookup rarely waits for
//! another; a shard's lock is held for a map lookup and a few index writes, and entries are freed
//! after it. Eviction is by least recent use within a shard. There are at most 16 shards, and
//! fewer in a small store, so that the largest entry that is allowed always fits into one.
//!
//! Invariants: the weight of all entries never exceeds [`Limits::bytes_max`]; an expired entry is
//! never handed out; an unfinished answer is never in the store.

use std::sync::Arc;

use parking_lot::Mutex;

use super::entry::{Entry, Fill, FillBudget};
use super::key::Key;
use super::lru::{Found, Lru};

/// Bounds of a store, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// All entries together, bookkeeping included.
    pub bytes_max: u64,
    /// The body of one entry, with 4 bytes for each of its chunks.
    pub entry_bytes_max: u64,
    /// All answers together that are being gathered and not yet stored (what they hold; their
    /// buffers, which grow by doubling, may take twice as much).
    pub fill_bytes_max: u64,
}

impl Default for Limits {
    /// 256 MiB of entries, 8 MiB for each, 64 MiB being gathered.
    fn default() -> Self {
        Self { bytes_max: 256 << 20, entry_bytes_max: 8 << 20, fill_bytes_max: 64 << 20 }
    }
}

/// Counters since the start, and what is held now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Lookups that found a live entry.
    pub hits: u64,
    /// Lookups that did not.
    pub misses: u64,
    /// Entries that were dropped because their time was over.
    pub expired: u64,
    /// Entries that were stored.
    pub stored: u64,
    /// Entries that had to make room.
    pub evicted: u64,
    /// Entries that were too large.
    pub refused: u64,
    /// Entries now.
    pub entries: u64,
    /// Their weight now, in bytes.
    pub bytes: u64,
    /// Bytes of answers that are being gathered now.
    pub fill_bytes: u64,
}

const SHARDS_MAX: u64 = 16;
/// How many entries one [`Store::sweep`] looks at in each shard.
const SWEEP: usize = 64;

/// The store. Shared by reference; every method takes `&self`.
pub struct Store {
    shards: Vec<Mutex<Lru>>,
    fills: Arc<FillBudget>,
    entry_bytes_max: u64,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Store {
    /// An empty store.
    pub fn new(limits: Limits) -> Self {
        let fit = limits.bytes_max / limits.entry_bytes_max.saturating_mul(2).max(1);
        // A power of two, so that every shard gets the same share of the keys.
        let shards = 1 << fit.clamp(1, SHARDS_MAX).ilog2();
        let share = limits.bytes_max / shards;
        Self {
            shards: (0..shards).map(|_| Mutex::new(Lru::new(share))).collect(),
            fills: Arc::new(FillBudget::new(limits.fill_bytes_max)),
            entry_bytes_max: limits.entry_bytes_max,
        }
    }

    /// The entry of this key, unless its time is over at `now_ms` (milliseconds since 1970).
    pub fn get(&self, key: &Key, now_ms: u64) -> Option<Arc<Entry>> {
        let found = self.shard(key)?.lock().find(key, now_ms);
        match found {
            Found::Live(entry) => Some(entry),
            Found::Expired(_) | Found::Nothing => None,
        }
    }

    /// Begins to gather an answer.
    pub fn fill(&self) -> Fill {
        Fill::new(self.entry_bytes_max, Arc::clone(&self.fills))
    }

    /// Stores a whole answer in place of what had its key. Returns `false` if it is too large;
    /// what had the key is then gone too, for it is outdated.
    pub fn put(&self, key: Key, entry: Entry) -> bool {
        let mut out = Vec::new();
        let Some(shard) = self.shard(&key) else { return false };
        let stored = shard.lock().insert(key, Arc::new(entry), &mut out);
        drop(out);
        stored
    }

    /// Removes the entry of this key; whether there was one.
    pub fn remove(&self, key: &Key) -> bool {
        let removed = self.shard(key).and_then(|shard| shard.lock().remove(key));
        removed.is_some()
    }

    /// Frees expired entries among the least recently used, a bounded number per call. For a
    /// background task, every few seconds; without it the memory is freed when room is needed.
    pub fn sweep(&self, now_ms: u64) {
        let mut out = Vec::new();
        for shard in &self.shards {
            shard.lock().sweep(now_ms, SWEEP, &mut out);
            out.clear();
        }
    }

    /// Counters and sizes.
    pub fn stats(&self) -> Stats {
        let mut sum = Stats { fill_bytes: self.fills.used(), ..Stats::default() };
        for shard in &self.shards {
            let shard = shard.lock();
            sum.hits += shard.counts.hits;
            sum.misses += shard.counts.misses;
            sum.expired += shard.counts.expired;
            sum.stored += shard.counts.stored;
            sum.evicted += shard.counts.evicted;
            sum.refused += shard.counts.refused;
            sum.entries += shard.len() as u64;
            sum.bytes += shard.bytes();
        }
        sum
    }

    fn shard(&self, key: &Key) -> Option<&Mutex<Lru>> {
        self.shards.get(usize::from(key[0]) & (self.shards.len() - 1))
    }
}

#[cfg(test)]
mod tests;
