//! What an endpoint has done in the last minutes and hours: uptime, and percentiles of latency and
//! throughput.
//!
//! The averages in [`super::ewma`] decide about the next request; these numbers are what people
//! look at, and what a caller's `preferred_min_throughput` and `preferred_max_latency` are held
//! against. A percentile comes from a histogram with five buckets to a doubling, so that it is
//! right to a tenth whatever its scale. An endpoint that has never been used has none of this in
//! memory; one that has, about 32 KiB.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::ring::Ring;
use super::time::Nanos;

/// How an attempt ended, as far as the endpoint's uptime is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// A complete answer.
    Good,
    /// A failure of the endpoint or of our standing with it.
    Bad,
    /// A rate limit: no outage, and told apart.
    Limited,
}

/// An endpoint's statistics at one moment. `None`: nothing was measured in that time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Share of attempts over the last 5 minutes that were answered, in percent. Rate limits and
    /// requests that were themselves at fault do not count.
    pub uptime_last_5m: Option<f64>,
    /// The same over 30 minutes.
    pub uptime_last_30m: Option<f64>,
    /// The same over a day.
    pub uptime_last_1d: Option<f64>,
    /// Attempts over the last 30 minutes.
    pub requests_last_30m: u64,
    /// Of these, rate limits.
    pub rate_limited_last_30m: u64,
    /// Time to the first token of streamed answers over the last 30 minutes, in seconds.
    pub latency_last_30m: Option<Percentiles>,
    /// Output tokens per second, from the request to the end of the answer, over the last 30
    /// minutes.
    pub throughput_last_30m: Option<Percentiles>,
}

/// The value that so many of the samples do not do worse than: at most this latency, at least this
/// throughput. So p99 is the worse end of both.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Percentiles {
    /// Half of them.
    pub p50: f64,
    /// Three quarters.
    pub p75: f64,
    /// Nine tenths.
    pub p90: f64,
    /// Nineteen of twenty.
    pub p95: f64,
    /// 99 of a hundred.
    pub p99: f64,
}

/// Percentiles over the last 5 minutes, at most a second old.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Recent {
    /// Time to the first token, in seconds.
    pub latency: Option<Percentiles>,
    /// How many streamed answers that was taken from.
    pub latencies: u64,
    /// Output tokens per second.
    pub throughput: Option<Percentiles>,
}

const MINUTE: Duration = Duration::from_secs(60);
const HALF_HOUR: Duration = Duration::from_secs(1_800);
/// Buckets of a histogram: 25 doublings.
const BUCKETS: usize = 125;
const BUCKETS_PER_DOUBLING: f64 = 5.0;
/// The least latency that is told apart, in seconds; the most is 55 minutes.
const LATENCY_UNIT: f64 = 0.000_1;
/// The least throughput that is told apart, in tokens per second; the most is 330,000.
const THROUGHPUT_UNIT: f64 = 0.01;
/// How long percentiles are kept before they are taken anew, in nanoseconds.
const RECENT_FOR: u64 = 1_000_000_000;

/// The memory behind the statistics of one endpoint.
#[derive(Debug)]
pub(super) struct Memory {
    minutes: Ring<30, 3>,
    day: Ring<48, 3>,
    latency: Ring<30, BUCKETS>,
    throughput: Ring<30, BUCKETS>,
    recent: ArcSwap<Recent>,
    /// When `recent` was taken, in nanoseconds; 0: never.
    recent_at: AtomicU64,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            minutes: Ring::new(MINUTE),
            day: Ring::new(HALF_HOUR),
            latency: Ring::new(MINUTE),
            throughput: Ring::new(MINUTE),
            recent: ArcSwap::from_pointee(Recent::default()),
            recent_at: AtomicU64::new(0),
        }
    }

    pub(super) fn ended(&self, how: Ending, now: Nanos) {
        self.minutes.add(how as usize, now);
        self.day.add(how as usize, now);
    }

    /// Good ones, bad ones and rate limits of the last 5 minutes.
    pub(super) fn last_5m(&self, now: Nanos) -> [u64; 3] {
        self.minutes.sums(5, now)
    }

    pub(super) fn latency(&self, took: Duration, now: Nanos) {
        self.latency.add(bucket(took.as_secs_f64(), LATENCY_UNIT), now);
    }

    /// Takes the tokens per second of one answer.
    pub(super) fn throughput(&self, rate: f64, now: Nanos) {
        self.throughput.add(bucket(rate, THROUGHPUT_UNIT), now);
    }

    pub(super) fn stats(&self, now: Nanos) -> Stats {
        let half_hour = self.minutes.sums(30, now);
        Stats {
            uptime_last_5m: uptime(self.minutes.sums(5, now)),
            uptime_last_30m: uptime(half_hour),
            uptime_last_1d: uptime(self.day.sums(48, now)),
            requests_last_30m: half_hour.iter().sum(),
            rate_limited_last_30m: half_hour[Ending::Limited as usize],
            latency_last_30m: latency(&self.latency.sums(30, now)),
            throughput_last_30m: throughput(&self.throughput.sums(30, now)),
        }
    }

    /// The percentiles of the last 5 minutes. They are taken anew by one caller per second; the
    /// others get the last ones.
    pub(super) fn recent(&self, now: Nanos) -> Recent {
        let taken = self.recent_at.load(Ordering::Acquire);
        if taken == 0 || now.0.saturating_sub(taken) >= RECENT_FOR {
            let stamp = now.0.max(1);
            let (acquire, release) = (Ordering::Acquire, Ordering::AcqRel);
            if self.recent_at.compare_exchange(taken, stamp, release, acquire).is_ok() {
                let latencies = self.latency.sums(5, now);
                let recent = Recent {
                    latency: latency(&latencies),
                    latencies: latencies.iter().sum(),
                    throughput: throughput(&self.throughput.sums(5, now)),
                };
                self.recent.store(Arc::new(recent));
                return recent;
            }
        }
        **self.recent.load()
    }
}

/// Percent of good ones; `None` if there was neither a good nor a bad one.
fn uptime(counts: [u64; 3]) -> Option<f64> {
    let (good, bad) = (counts[Ending::Good as usize], counts[Ending::Bad as usize]);
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    (good + bad > 0).then(|| good as f64 * 100.0 / (good + bad) as f64)
}

/// The bucket of a value.
fn bucket(value: f64, unit: f64) -> usize {
    let doublings = (value / unit).log2();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the buckets; what is no number is the first"
    )]
    let bucket = (doublings * BUCKETS_PER_DOUBLING).clamp(0.0, (BUCKETS - 1) as f64) as usize;
    bucket
}

fn latency(counts: &[u64; BUCKETS]) -> Option<Percentiles> {
    percentiles(counts, |share| percentile(counts, share) * LATENCY_UNIT)
}

fn throughput(counts: &[u64; BUCKETS]) -> Option<Percentiles> {
    percentiles(counts, |share| percentile(counts, 1.0 - share) * THROUGHPUT_UNIT)
}

fn percentiles(counts: &[u64; BUCKETS], at: impl Fn(f64) -> f64) -> Option<Percentiles> {
    let all =
        Percentiles { p50: at(0.5), p75: at(0.75), p90: at(0.9), p95: at(0.95), p99: at(0.99) };
    counts.iter().any(|count| *count > 0).then_some(all)
}

/// Within a bucket the samples are taken to be spread evenly (on the scale of doublings).
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn percentile(counts: &[u64; BUCKETS], share: f64) -> f64 {
    let mut left = share * counts.iter().sum::<u64>() as f64;
    let mut place = 0.0;
    for (i, &count) in counts.iter().enumerate() {
        let count = count as f64;
        if count > 0.0 {
            place = i as f64 + (left / count).min(1.0);
            if left <= count {
                break;
            }
        }
        left -= count;
    }
    (place / BUCKETS_PER_DOUBLING).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Nanos {
        Nanos(seconds * 1_000_000_000)
    }

    fn near(got: f64, want: f64) -> bool {
        (got / want - 1.0).abs() < 0.1
    }

    #[test]
    fn percentiles_are_right_to_a_tenth_at_any_scale() {
        for scale in [0.001, 0.05, 1.0, 60.0] {
            let memory = Memory::new();
            for i in 1..=1_000_u32 {
                let sample = Duration::from_secs_f64(scale * f64::from(i) / 1_000.0);
                memory.latency(sample, at(100));
            }
            let got = memory.stats(at(100)).latency_last_30m.expect("samples");
            for (value, share) in
                [(got.p50, 0.5), (got.p75, 0.75), (got.p90, 0.9), (got.p95, 0.95), (got.p99, 0.99)]
            {
                assert!(near(value, scale * share), "p{share} of {scale} s: {value}");
            }
        }
    }

    #[test]
    fn the_high_percentiles_of_throughput_are_what_most_answers_reach() {
        let memory = Memory::new();
        (1..=1_000_u32).for_each(|i| memory.throughput(f64::from(i) / 10.0, at(100)));
        let got = memory.stats(at(100)).throughput_last_30m.expect("samples");
        for (value, reached) in [(got.p50, 50.0), (got.p75, 25.0), (got.p90, 10.0), (got.p99, 1.0)]
        {
            assert!(near(value, reached), "{value} for {reached}: {got:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_put_at_the_ends() {
        for (value, place) in
            [(0.0, 0), (-1.0, 0), (f64::NAN, 0), (f64::INFINITY, BUCKETS - 1), (1e-9, 0)]
        {
            assert_eq!(bucket(value, LATENCY_UNIT), place, "{value}");
        }
        assert_eq!(bucket(1e9, THROUGHPUT_UNIT), BUCKETS - 1);
    }

    #[test]
    fn uptime_has_three_memories() {
        let memory = Memory::new();
        assert_eq!(memory.stats(at(0)), Stats::default(), "nothing is known");
        (0..9).for_each(|_| memory.ended(Ending::Good, at(60)));
        memory.ended(Ending::Bad, at(60));
        memory.ended(Ending::Limited, at(60));
        let now = memory.stats(at(61));
        assert_eq!(now.uptime_last_5m, Some(90.0), "a rate limit is no outage");
        assert_eq!((now.requests_last_30m, now.rate_limited_last_30m), (11, 1));
        let later = memory.stats(at(60 + 600));
        assert_eq!((later.uptime_last_5m, later.uptime_last_30m), (None, Some(90.0)));
        let next = memory.stats(at(60 + 7_200));
        assert_eq!((next.uptime_last_30m, next.uptime_last_1d), (None, Some(90.0)));
        assert_eq!(memory.stats(at(200_000)), Stats::default(), "a day and more has passed");
    }

    #[test]
    fn recent_percentiles_are_taken_once_a_second() {
        let memory = Memory::new();
        memory.throughput(50.0, at(10));
        let first = memory.recent(at(10)).throughput.expect("a sample").p50;
        assert!(near(first, 50.0), "{first}");
        (0..9).for_each(|_| memory.throughput(200.0, at(10)));
        let again = memory.recent(at(10)).throughput.expect("a sample").p50;
        assert_eq!(again.to_bits(), first.to_bits(), "kept for a second");
        let fresh = memory.recent(at(12)).throughput.expect("samples").p50;
        assert!(near(fresh, 200.0), "{fresh}");
        assert_eq!(memory.recent(at(400)), Recent::default(), "five minutes have passed");
    }
}
