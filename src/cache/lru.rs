//! One shard of the store: a map and a list in order of use, linked by indices.

use std::collections::HashMap;
use std::sync::Arc;

use super::entry::Entry;
use super::key::Key;

/// No slot.
const NONE: u32 = u32::MAX;

/// Counters of one shard.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) expired: u64,
    pub(super) stored: u64,
    pub(super) evicted: u64,
    pub(super) refused: u64,
}

/// What a lookup found.
pub(super) enum Found {
    Live(Arc<Entry>),
    /// It had expired and was taken out. Carried so that the caller frees it after the lock.
    Expired(#[expect(dead_code, reason = "held only to be dropped later")] Arc<Entry>),
    Nothing,
}

struct Slot {
    key: Key,
    entry: Arc<Entry>,
    weight: u64,
    /// Towards the most recently used.
    newer: u32,
    /// Towards the least recently used.
    older: u32,
}

/// A map bounded by the weight of its entries.
pub(super) struct Lru {
    map: HashMap<Key, u32>,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
    bytes: u64,
    max: u64,
    pub(super) counts: Counts,
}

impl Lru {
    pub(super) fn new(max: u64) -> Self {
        Self {
            map: HashMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            newest: NONE,
            oldest: NONE,
            bytes: 0,
            max,
            counts: Counts::default(),
        }
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn find(&mut self, key: &Key, now_ms: u64) -> Found {
        let Some(&at) = self.map.get(key) else {
            self.counts.misses += 1;
            return Found::Nothing;
        };
        let Some(entry) = self.slot(at).map(|slot| Arc::clone(&slot.entry)) else {
            return Found::Nothing;
        };
        if entry.is_expired(now_ms) {
            self.counts.expired += 1;
            self.counts.misses += 1;
            self.take(at);
            return Found::Expired(entry);
        }
        self.counts.hits += 1;
        self.unlink(at);
        self.link(at);
        Found::Live(entry)
    }

    /// Stores the entry unless it weighs more than the whole shard may. What it displaces is
    /// added to `out`, for the caller to free after the lock.
    pub(super) fn insert(
        &mut self,
        key: Key,
        entry: Arc<Entry>,
        out: &mut Vec<Arc<Entry>>,
    ) -> bool {
        let weight = entry.weight();
        out.extend(self.remove(&key));
        if weight > self.max {
            self.counts.refused += 1;
            return false;
        }
        while self.bytes + weight > self.max {
            let Some(evicted) = self.take(self.oldest) else { break };
            self.counts.evicted += 1;
            out.push(evicted);
        }
        let slot = Slot { key, entry, weight, newer: NONE, older: NONE };
        let Some(at) = self.place(slot) else {
            self.counts.refused += 1;
            return false;
        };
        self.map.insert(key, at);
        self.link(at);
        self.bytes += weight;
        self.counts.stored += 1;
        true
    }

    pub(super) fn remove(&mut self, key: &Key) -> Option<Arc<Entry>> {
        let at = *self.map.get(key)?;
        self.take(at)
    }

    /// Removes the least recently used entries that have expired, at most `most` of them.
    pub(super) fn sweep(&mut self, now_ms: u64, most: usize, out: &mut Vec<Arc<Entry>>) {
        let mut at = self.oldest;
        for _ in 0..most {
            let Some(slot) = self.slot(at) else { return };
            let newer = slot.newer;
            if slot.entry.is_expired(now_ms) {
                self.counts.expired += 1;
                out.extend(self.take(at));
            }
            at = newer;
        }
    }

    /// Takes the slot out of list and map.
    fn take(&mut self, at: u32) -> Option<Arc<Entry>> {
        self.unlink(at);
        let slot = self.slots.get_mut(at as usize)?.take()?;
        self.map.remove(&slot.key);
        self.bytes -= slot.weight;
        self.free.push(at);
        Some(slot.entry)
    }

    fn place(&mut self, slot: Slot) -> Option<u32> {
        if let Some(at) = self.free.pop() {
            *self.slots.get_mut(at as usize)? = Some(slot);
            return Some(at);
        }
        let at = u32::try_from(self.slots.len()).ok().filter(|at| *at != NONE)?;
        self.slots.push(Some(slot));
        Some(at)
    }

    fn link(&mut self, at: u32) {
        let older = self.newest;
        match self.slot_mut(older) {
            Some(slot) => slot.newer = at,
            None => self.oldest = at,
        }
        if let Some(slot) = self.slot_mut(at) {
            (slot.newer, slot.older) = (NONE, older);
        }
        self.newest = at;
    }

    fn unlink(&mut self, at: u32) {
        let Some((newer, older)) = self.slot(at).map(|slot| (slot.newer, slot.older)) else {
            return;
        };
        match self.slot_mut(newer) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
        match self.slot_mut(older) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn slot(&self, at: u32) -> Option<&Slot> {
        self.slots.get(at as usize)?.as_ref()
    }

    fn slot_mut(&mut self, at: u32) -> Option<&mut Slot> {
        self.slots.get_mut(at as usize)?.as_mut()
    }

    /// The keys from the most to the least recently used, and whether every link and counter
    /// agrees with the map.
    #[cfg(test)]
    pub(super) fn check(&self) -> Vec<Key> {
        let (mut keys, mut at, mut newer, mut bytes) = (Vec::new(), self.newest, NONE, 0);
        while let Some(slot) = self.slot(at) {
            assert_eq!(slot.newer, newer, "links go both ways");
            assert_eq!(self.map.get(&slot.key), Some(&at), "the map knows the slot");
            keys.push(slot.key);
            bytes += slot.weight;
            (newer, at) = (at, slot.older);
        }
        assert_eq!(self.oldest, newer, "the list ends at the oldest");
        assert_eq!(keys.len(), self.map.len(), "list and map have the same entries");
        assert_eq!(keys.len() + self.free.len(), self.slots.len(), "no slot is lost");
        assert_eq!(bytes, self.bytes, "the weight is the sum");
        assert!(bytes <= self.max, "the bound holds");
        keys
    }
}
