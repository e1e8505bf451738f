//! Counters over the last minutes or hours, without locks: a ring of slices of time.
//!
//! A slice belongs to one tick. Whoever first counts in a new tick takes the oldest slice over and
//! clears it. A thread that counts into the slice at that very moment may lose its count; these
//! numbers are statistics, and what must not lose a count uses [`super::window`]. A span is exact
//! to the width of one slice.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::time::{Nanos, nanos_of};

/// `SLICES` slices of time, each with `KINDS` counters that stop at 2³² − 1.
#[derive(Debug)]
pub(super) struct Ring<const SLICES: usize, const KINDS: usize> {
    width: Duration,
    slices: [Slice<KINDS>; SLICES],
}

#[derive(Debug)]
struct Slice<const KINDS: usize> {
    /// 0: never used.
    tick: AtomicU64,
    counts: [AtomicU32; KINDS],
}

impl<const SLICES: usize, const KINDS: usize> Ring<SLICES, KINDS> {
    /// An empty ring whose slices are this long.
    pub(super) fn new(width: Duration) -> Self {
        let slice = |_| Slice {
            tick: AtomicU64::new(0),
            counts: std::array::from_fn(|_| AtomicU32::new(0)),
        };
        Self { width, slices: std::array::from_fn(slice) }
    }

    /// Counts one of this kind.
    pub(super) fn add(&self, kind: usize, now: Nanos) {
        let tick = self.tick(now);
        let slice = &self.slices[usize::try_from(tick % SLICES as u64).unwrap_or(0)];
        let seen = slice.tick.load(Ordering::Acquire);
        if seen != tick {
            if seen > tick {
                return;
            }
            let taken =
                slice.tick.compare_exchange(seen, tick, Ordering::AcqRel, Ordering::Acquire);
            if taken.is_ok() {
                slice.counts.iter().for_each(|count| count.store(0, Ordering::Relaxed));
            }
        }
        if let Some(count) = slice.counts.get(kind) {
            count.update(Ordering::Relaxed, Ordering::Relaxed, |n| n.saturating_add(1));
        }
    }

    /// The counts of the last so many slices, the present one included.
    pub(super) fn sums(&self, slices: u64, now: Nanos) -> [u64; KINDS] {
        let tick = self.tick(now);
        let mut sums = [0; KINDS];
        for slice in &self.slices {
            let seen = slice.tick.load(Ordering::Acquire);
            if seen == 0 || tick.saturating_sub(seen) >= slices {
                continue;
            }
            for (sum, count) in sums.iter_mut().zip(&slice.counts) {
                *sum += u64::from(count.load(Ordering::Relaxed));
            }
        }
        sums
    }

    fn tick(&self, now: Nanos) -> u64 {
        now.0 / nanos_of(self.width).max(1) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Nanos {
        Nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn slices_are_counted_apart_and_used_again() {
        let ring = Ring::<4, 2>::new(SECOND);
        assert_eq!(ring.sums(4, at(0)), [0, 0]);
        for second in 0..4 {
            ring.add(0, at(second));
        }
        ring.add(1, at(3));
        assert_eq!(ring.sums(4, at(3)), [4, 1]);
        assert_eq!(ring.sums(2, at(3)), [2, 1], "the present slice and the one before");
        assert_eq!(ring.sums(4, at(5)), [2, 1], "two have left");
        ring.add(0, at(5));
        assert_eq!(ring.sums(4, at(5)), [3, 1], "the slice of second 1 is used again");
        ring.add(0, at(1));
        assert_eq!(ring.sums(4, at(5)), [3, 1], "what comes too late is not counted");
        assert_eq!(ring.sums(4, at(50)), [0, 0]);
        ring.add(9, at(50));
        assert_eq!(ring.sums(4, at(50)), [0, 0], "no such kind");
    }

    #[test]
    fn many_threads_count_together() {
        let ring = Ring::<4, 1>::new(SECOND);
        ring.add(0, at(9));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..10_000).for_each(|_| ring.add(0, at(9))));
            }
        });
        assert_eq!(ring.sums(1, at(9)), [80_001]);
    }
}
