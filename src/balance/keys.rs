//! The keys that a provider gave us, at one of its endpoints: whose turn it is, and which rest.
//!
//! A rate limit or a refused credential is a matter of one key where there are several: that key
//! rests, and the endpoint goes on with the others. Only when all of them rest does the endpoint
//! cool, until the first is back. Keys rest at one endpoint alone, since providers count requests
//! by model. A new configuration begins with all keys rested.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::time::Nanos;

/// The keys of one endpoint: two or more.
#[derive(Debug)]
pub struct KeyPool {
    /// Until when each rests, in nanoseconds.
    rests_until: Box<[AtomicU64]>,
    /// Whose turn it is.
    turn: AtomicUsize,
}

impl KeyPool {
    /// A pool of so many keys; `None` where there is nothing to choose from.
    pub fn new(keys: usize) -> Option<Self> {
        (keys > 1).then(|| Self {
            rests_until: (0..keys).map(|_| AtomicU64::new(0)).collect(),
            turn: AtomicUsize::new(0),
        })
    }

    /// The key for the next request, by its place: the next in turn that does not rest, or, where
    /// all do, the one that is back first.
    pub fn next(&self, now: Nanos) -> usize {
        let all = self.rests_until.len();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let free = (0..all).map(|step| turn.wrapping_add(step) % all);
        let mut free = free.filter(|key| self.until(*key) <= now);
        free.next().unwrap_or_else(|| self.first_back().0)
    }

    /// Lets a key rest for so long. A shorter rest never ends a longer one.
    pub fn rest(&self, key: usize, pause: Duration, now: Nanos) {
        if let Some(until) = self.rests_until.get(key) {
            until.fetch_max(now.after(pause).0, Ordering::Relaxed);
        }
    }

    /// How long it takes until a key is free; `None` if one is.
    pub fn wait(&self, now: Nanos) -> Option<Duration> {
        let (_, until) = self.first_back();
        (until > now).then(|| until.since(now))
    }

    /// How many rest.
    pub fn resting(&self, now: Nanos) -> usize {
        (0..self.rests_until.len()).filter(|key| self.until(*key) > now).count()
    }

    fn until(&self, key: usize) -> Nanos {
        self.rests_until.get(key).map_or(Nanos(0), |until| Nanos(until.load(Ordering::Relaxed)))
    }

    fn first_back(&self) -> (usize, Nanos) {
        let all = (0..self.rests_until.len()).map(|key| (key, self.until(key)));
        all.min_by_key(|(_, until)| *until).unwrap_or((0, Nanos(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Nanos {
        Nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn one_key_is_no_pool() {
        assert!(KeyPool::new(0).is_none() && KeyPool::new(1).is_none());
    }

    #[test]
    fn keys_take_turns_and_those_that_rest_are_passed_over() {
        let pool = KeyPool::new(3).expect("a pool");
        let turns = |n: usize, now| (0..n).map(|_| pool.next(now)).collect::<Vec<_>>();
        assert_eq!(turns(4, at(1)), [0, 1, 2, 0]);
        pool.rest(1, Duration::from_secs(10), at(1));
        pool.rest(1, Duration::from_secs(1), at(1));
        assert!(!turns(30, at(10)).contains(&1), "the longer rest holds");
        assert_eq!([pool.resting(at(10)), pool.resting(at(11))], [1, 0]);
        assert!(turns(3, at(11)).contains(&1), "and then it is back");
    }

    #[test]
    fn where_all_rest_the_first_to_be_back_is_asked() {
        let pool = KeyPool::new(2).expect("a pool");
        pool.rest(0, Duration::from_secs(9), at(1));
        assert_eq!(pool.wait(at(1)), None, "the other is free");
        pool.rest(1, Duration::from_secs(3), at(1));
        assert_eq!(pool.wait(at(1)), Some(Duration::from_secs(3)));
        assert_eq!([pool.next(at(2)), pool.next(at(2))], [1, 1]);
        assert_eq!(pool.wait(at(4)), None);
    }
}
