//! How soon after a commit the next may begin.
//!
//! A commit costs the processor far more than an operation does. While few operations come, each
//! is committed at once, because somebody may be waiting for it. Under load commits keep a distance,
//! so that operations gather: a hold's commit runs while the provider thinks, and two hundred
//! commits a second are enough. Where providers answer at once, requests wait for their commit and
//! for nothing else: then it comes soon after all of them do, since nobody is left to gather.

use std::time::{Duration, Instant};

/// The shortest time between the beginnings of two commits under load.
const DISTANCE: Duration = Duration::from_millis(2);

/// The time between them while operations keep coming, or requests wait for something else.
const DISTANCE_MAX: Duration = Duration::from_millis(5);

/// More operations a second than this are a load. A request has two.
const LOAD: f64 = 6_000.0;

/// How long operations that nobody waits for may wait for company.
const LINGER: Duration = Duration::from_millis(2);

/// The same while more than [`BUSY`] of them come.
const LINGER_MAX: Duration = Duration::from_millis(8);

/// From so many operations a second on it is worth it to let them gather for longer.
const BUSY: f64 = 1_000.0;

/// The time over which the rate is taken.
const MEMORY: Duration = Duration::from_millis(20);

/// When commits began, and how many operations they held.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: Option<Instant>,
    /// Operations per second.
    rate: f64,
}

impl Pace {
    /// Takes note of a commit of so many operations that begins.
    #[expect(clippy::cast_precision_loss, reason = "a group has at most a few hundred")]
    pub(super) fn commit(&mut self, operations: usize, now: Instant) {
        if let Some(last) = self.last {
            let passed = now.saturating_duration_since(last).as_secs_f64().max(1e-6);
            let share = passed / (passed + MEMORY.as_secs_f64());
            self.rate += (operations as f64 / passed - self.rate) * share;
        }
        self.last = Some(now);
    }

    /// How long the next commit should wait.
    pub(super) fn pause(&self, now: Instant) -> Pause {
        match self.last {
            Some(last) if self.rate > LOAD => {
                let left = |distance: Duration| {
                    distance.saturating_sub(now.saturating_duration_since(last))
                };
                Pause { linger: LINGER_MAX, least: left(DISTANCE), most: left(DISTANCE_MAX) }
            }
            _ if self.rate > BUSY => Pause { linger: LINGER_MAX, ..Pause::default() },
            _ => Pause::default(),
        }
    }
}

/// How long a commit should wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pause {
    /// While nobody waits for any of its operations.
    pub(crate) linger: Duration,
    /// In any case.
    pub(crate) least: Duration,
    /// Unless every open hold waits for this commit and none comes any more.
    pub(crate) most: Duration,
}

impl Default for Pause {
    fn default() -> Self {
        Self { linger: LINGER, least: Duration::ZERO, most: Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Pause = Pause { linger: LINGER, least: Duration::ZERO, most: Duration::ZERO };
    const LONGER: Pause = Pause { linger: LINGER_MAX, ..NONE };
    const WHOLE: Pause = Pause { linger: LINGER_MAX, least: DISTANCE, most: DISTANCE_MAX };

    /// The pause after a second of commits of so many operations, one every so many microseconds.
    fn after(operations: usize, every_us: u64) -> Pause {
        let mut now = now();
        let mut pace = Pace::default();
        for _ in 0..1_000_000 / every_us {
            now += Duration::from_micros(every_us);
            pace.commit(operations, now);
        }
        pace.pause(now)
    }

    #[expect(clippy::disallowed_methods, reason = "any moment does to count from")]
    fn now() -> Instant {
        Instant::now()
    }

    #[test]
    fn only_a_load_keeps_commits_apart() {
        assert_eq!(Pace::default().pause(now()), NONE, "the first");
        assert_eq!(after(2, 4_000), NONE, "250 requests a second");
        assert_eq!(after(2, 1_000), LONGER, "a thousand requests a second");
        assert_eq!(after(1, 200), LONGER, "2,500 requests a second, one by one");
        assert_eq!(after(10, 400), WHOLE, "12,500 requests a second");
        assert_eq!(after(50, 2_000), WHOLE, "the same, at a distance");
        assert_eq!(after(8, 2_000), LONGER, "and 2,000 again");
    }

    #[test]
    fn a_burst_is_no_load() {
        let mut pace = Pace::default();
        let mut now = now();
        pace.commit(1, now);
        for _ in 0..3 {
            now += Duration::from_micros(300);
            pace.commit(4, now);
        }
        let Pause { least, most, .. } = pace.pause(now);
        assert_eq!((least, most), (Duration::ZERO, Duration::ZERO));
    }

    #[test]
    fn time_that_has_passed_counts() {
        let mut pace = Pace::default();
        let mut now = now();
        for _ in 0..100 {
            now += Duration::from_millis(1);
            pace.commit(100, now);
        }
        let after = |us| {
            let Pause { least, most, .. } = pace.pause(now + Duration::from_micros(us));
            (least.as_micros(), most.as_micros())
        };
        assert_eq!(after(1_500), (500, 3_500));
        assert_eq!(after(2_000), (0, 3_000));
        assert_eq!(after(4_000), (0, 1_000));
        assert_eq!(after(5_000), (0, 0));
    }
}
