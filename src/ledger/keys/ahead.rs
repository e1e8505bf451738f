//! Holds that are on disk before anybody asks for them.
//!
//! No byte of an answer may leave before its hold is durable. Where a key is busy and its providers
//! are fast, that wait would be the slowest part of a request. So each request of a busy key places a
//! hold ahead, for one that comes later, and takes one over that is durable already. The journal
//! says the same as ever; nobody waits for it.
//!
//! The stock of a key finds its size by itself: who finds it empty waits, and adds one more; who takes
//! one that lay there for long puts none back.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::vocab::GenerationId;

/// A hold older than this is not taken over any more: its id tells when it was made, and nobody
/// should wonder. In milliseconds.
const AGE_MAX: u64 = 1_000;

/// A stock whose holds lie for longer than this is larger than it need be. In milliseconds.
const AGE_PLENTY: u64 = 200;

/// A key whose requests follow each other sooner than this is busy. In milliseconds.
const BUSY: u64 = 100;

const DAY: u64 = 86_400_000;

/// A durable hold that nobody has asked for yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ahead {
    pub(crate) generation: GenerationId,
    /// When it was placed, in milliseconds since 1970.
    pub(crate) placed_ms: u64,
    /// The ticket of the operation that placed it.
    pub(crate) ticket: u64,
}

impl Ahead {
    /// Whether it may be taken over now. Limits count by the day, so it must be of the same.
    const fn is_fresh(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.placed_ms) <= AGE_MAX && now_ms / DAY == self.placed_ms / DAY
    }

    /// Whether another should be placed in its stead.
    pub(crate) const fn was_needed(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.placed_ms) <= AGE_PLENTY
    }
}

/// The stock of a key, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Stock {
    ready: Mutex<VecDeque<Ahead>>,
    /// When somebody asked last, in milliseconds since 1970.
    asked_ms: AtomicU64,
    /// The writer looks after it.
    pub(crate) watched: AtomicBool,
}

impl Stock {
    /// Notes that somebody asks; says whether the key is busy.
    pub(crate) fn ask(&self, now_ms: u64) -> bool {
        let last = self.asked_ms.swap(now_ms, Ordering::Relaxed);
        last != 0 && now_ms.saturating_sub(last) <= BUSY
    }

    /// Takes a fresh hold.
    pub(crate) fn take(&self, now_ms: u64) -> Option<Ahead> {
        let mut ready = self.ready.lock();
        if ready.front()?.is_fresh(now_ms) {
            return ready.pop_front();
        }
        // The stale ones are the writer's to end.
        if ready.back()?.is_fresh(now_ms) { ready.pop_back() } else { None }
    }

    /// Adds one that has become durable.
    pub(crate) fn add(&self, ahead: Ahead) {
        self.ready.lock().push_back(ahead);
    }

    /// Puts one back that was taken for nothing.
    pub(crate) fn put_back(&self, ahead: Ahead) {
        self.ready.lock().push_front(ahead);
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.ready.lock().len()
    }

    /// Takes those that nobody may take over any more, or all; says whether some are left.
    pub(crate) fn clear(&self, now_ms: u64, all: bool, stale: &mut Vec<GenerationId>) -> bool {
        let mut ready = self.ready.lock();
        ready.retain(|ahead| {
            let keep = !all && ahead.is_fresh(now_ms);
            if !keep {
                stale.push(ahead.generation);
            }
            keep
        });
        !ready.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ahead(n: u64, placed_ms: u64) -> Ahead {
        Ahead { generation: GenerationId::from_bits(n.into()), placed_ms, ticket: n }
    }

    #[test]
    fn the_oldest_fresh_one_is_taken() {
        let stock = Stock::default();
        assert_eq!(stock.take(10), None, "empty");
        stock.add(ahead(1, 5_000));
        stock.add(ahead(2, 5_900));
        assert_eq!(stock.take(6_000), Some(ahead(1, 5_000)));
        stock.put_back(ahead(1, 5_000));
        assert_eq!(stock.take(6_001), Some(ahead(2, 5_900)), "the first is too old");
        assert_eq!(stock.take(6_001), None);
        let mut stale = Vec::new();
        assert!(!stock.clear(6_001, false, &mut stale));
        assert_eq!(stale, [GenerationId::from_bits(1)]);
    }

    #[test]
    fn none_is_taken_over_into_another_day() {
        let stock = Stock::default();
        stock.add(ahead(1, DAY - 1));
        assert_eq!(stock.take(DAY), None);
        assert_eq!(stock.take(DAY - 1), Some(ahead(1, DAY - 1)));
    }

    #[test]
    fn only_what_is_stale_is_cleared_until_all_is() {
        let stock = Stock::default();
        stock.add(ahead(1, 1_000));
        stock.add(ahead(2, 2_000));
        let mut stale = Vec::new();
        assert!(stock.clear(2_500, false, &mut stale), "one is left");
        assert!(!stock.clear(2_500, true, &mut stale));
        assert_eq!(stale, [1, 2].map(GenerationId::from_bits));
    }

    #[test]
    fn a_busy_key_is_asked_often() {
        let stock = Stock::default();
        assert!(!stock.ask(1_000), "the first");
        assert!(stock.ask(1_100));
        assert!(!stock.ask(1_201));
    }
}
