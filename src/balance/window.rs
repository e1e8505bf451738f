//! Two counts over a sliding span of time, without locks.
//!
//! The span is cut into ten buckets. A bucket is one atomic word that holds the number of its
//! tick and both counts, so that starting a new tick and counting in it is one compare-and-swap:
//! no thread can count into a bucket that another is about to clear. The price is that the span
//! is exact only to a tenth.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::time::{Nanos, nanos_of};

const BUCKETS: usize = 10;
const COUNT_BITS: u32 = 20;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
const TICK_MASK: u64 = (1 << 24) - 1;

/// Two counts over the last span. Each bucket counts to 1,048,575 and stays there.
#[derive(Debug, Default)]
pub(crate) struct Window {
    buckets: [AtomicU64; BUCKETS],
}

/// Which of the two counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    First,
    Second,
}

/// A bucket's word, taken apart.
#[derive(Clone, Copy)]
struct Bucket {
    tick: u64,
    first: u64,
    second: u64,
}

impl Bucket {
    const fn of(word: u64) -> Self {
        Self {
            tick: word >> (2 * COUNT_BITS),
            first: word >> COUNT_BITS & COUNT_MAX,
            second: word & COUNT_MAX,
        }
    }

    const fn word(self) -> u64 {
        self.tick << (2 * COUNT_BITS) | self.first << COUNT_BITS | self.second
    }
}

impl Window {
    /// Counts one.
    pub(crate) fn add(&self, what: Count, span: Duration, now: Nanos) {
        self.change(what, span, now, |n| (n + 1).min(COUNT_MAX));
    }

    /// Takes one back that was just counted.
    pub(crate) fn take_back(&self, what: Count, span: Duration, now: Nanos) {
        self.change(what, span, now, |n| n.saturating_sub(1));
    }

    /// Both counts over the last span.
    pub(crate) fn sums(&self, span: Duration, now: Nanos) -> (u64, u64) {
        let tick = tick(span, now);
        self.buckets.iter().map(|b| Bucket::of(b.load(Ordering::Relaxed))).fold(
            (0, 0),
            |(first, second), b| {
                // Also a bucket that a thread with a slightly later clock has begun.
                let age = tick.wrapping_sub(b.tick) & TICK_MASK;
                let recent = age < BUCKETS as u64 || age == TICK_MASK;
                if recent { (first + b.first, second + b.second) } else { (first, second) }
            },
        )
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        for bucket in &self.buckets {
            bucket.store(0, Ordering::Relaxed);
        }
    }

    fn change(&self, what: Count, span: Duration, now: Nanos, step: impl Fn(u64) -> u64) {
        let tick = tick(span, now);
        let slot = &self.buckets[usize::try_from(tick % BUCKETS as u64).unwrap_or(0)];
        let update = |word: u64| {
            let mut bucket = Bucket::of(word);
            if bucket.tick != tick {
                bucket = Bucket { tick, first: 0, second: 0 };
            }
            match what {
                Count::First => bucket.first = step(bucket.first),
                Count::Second => bucket.second = step(bucket.second),
            }
            bucket.word()
        };
        slot.update(Ordering::Relaxed, Ordering::Relaxed, update);
    }
}

/// The number of the tick in 24 bits, which is half a year of seconds. An empty bucket may look
/// recent; it counts nothing.
fn tick(span: Duration, now: Nanos) -> u64 {
    let width = (nanos_of(span) / BUCKETS as u64).max(1);
    (now.0 / width + 1) & TICK_MASK
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Nanos {
        Nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn counts_leave_after_the_span() {
        let window = Window::default();
        for second in 0..10 {
            window.add(Count::First, SPAN, at(second));
        }
        window.add(Count::Second, SPAN, at(9));
        assert_eq!(window.sums(SPAN, at(9)), (10, 1));
        assert_eq!(window.sums(SPAN, at(12)), (7, 1), "three seconds have left");
        assert_eq!(window.sums(SPAN, at(60)), (0, 0), "all have left");
        window.add(Count::First, SPAN, at(60));
        assert_eq!(window.sums(SPAN, at(60)), (1, 0), "old buckets are reused empty");
    }

    #[test]
    fn a_fresh_window_is_empty_at_any_time() {
        for now in [0, 1, 5, 20, 1 << 24, u64::MAX / 1_000_000_000] {
            let window = Window::default();
            assert_eq!(window.sums(SPAN, at(now)), (0, 0), "at {now} s");
            window.add(Count::Second, SPAN, at(now));
            assert_eq!(window.sums(SPAN, at(now)), (0, 1), "at {now} s");
        }
    }

    #[test]
    fn counts_can_be_taken_back_and_cleared() {
        let window = Window::default();
        window.take_back(Count::First, SPAN, at(1));
        assert_eq!(window.sums(SPAN, at(1)), (0, 0), "never below zero");
        window.add(Count::First, SPAN, at(1));
        window.add(Count::First, SPAN, at(1));
        window.take_back(Count::First, SPAN, at(1));
        assert_eq!(window.sums(SPAN, at(1)), (1, 0));
        window.clear();
        assert_eq!(window.sums(SPAN, at(1)), (0, 0));
    }

    #[test]
    fn no_count_is_lost_among_threads() {
        let window = Window::default();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for i in 0..10_000_u64 {
                        window.add(Count::First, SPAN, at(i % 10));
                        window.add(Count::Second, SPAN, at(i % 10));
                    }
                });
            }
        });
        assert_eq!(window.sums(SPAN, at(9)), (80_000, 80_000));
    }
}
