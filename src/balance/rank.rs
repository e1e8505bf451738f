//! Cost, and the choice of two.
//!
//! The cost of an endpoint is the wait that the next request must expect there, divided by its
//! weight: latency × (requests under way + 1) ÷ weight. Two rules complete it, both relative to
//! the other candidates of the same request:
//!
//! - *A floor.* A latency fades while nothing is sent, so that a slow endpoint gets another chance,
//!   but never below half of the best candidate's. Without a floor an endpoint that was slow a
//!   minute ago looks free of charge, and everything that arrives before its first answer runs
//!   there; with it, two requests under way make it as dear as the best.
//! - *Cold start.* An endpoint without a sample is taken for a typical one that has faded for ever:
//!   it stands at the floor. Zero would flood it, infinity would starve it, and so would the
//!   typical latency itself while little is going on: those in use fade a little between two
//!   requests and would win every time.

use super::ewma::Reading;
use super::health::Gauge;
use super::seed::{below, mix};

/// What is the least that is believed of some candidates, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    floor: f64,
}

/// The floor when no candidate has a sample. Any value does: all have the same.
const UNKNOWN_SECONDS: f64 = 1.0;
/// A weight below this counts as this.
const WEIGHT_MIN: f64 = 0.001;

impl Scale {
    /// The scale of these candidates.
    pub fn of(latencies: impl Iterator<Item = Option<Reading>>) -> Self {
        let settled = latencies.flatten().map(|reading| reading.settled);
        let best = settled.min_by(f64::total_cmp);
        Self { floor: best.map_or(UNKNOWN_SECONDS, |best| best / 2.0) }
    }

    /// The cost of a candidate: positive and finite.
    pub fn cost(&self, gauge: &Gauge, weight: f64) -> f64 {
        let latency = gauge.latency.map_or(self.floor, |reading| reading.faded.max(self.floor));
        let weight = if weight >= WEIGHT_MIN { weight } else { WEIGHT_MIN };
        latency * (f64::from(gauge.in_flight) + 1.0) / weight
    }
}

/// Draws two different ones of `count` candidates and gives the cheaper; the first drawn if they
/// cost the same. `None` if there is no candidate.
pub fn pick_of_two(seed: u64, count: usize, cost: impl Fn(usize) -> f64) -> Option<usize> {
    if count < 2 {
        return count.checked_sub(1);
    }
    let first = below(mix(seed), count);
    let step = 1 + below(mix(seed.wrapping_add(1)), count - 1);
    let second = (first + step) % count;
    Some(if cost(second) < cost(first) { second } else { first })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(settled: f64, faded: f64) -> Option<Reading> {
        Some(Reading { settled, faded })
    }

    fn gauge(latency: Option<Reading>, in_flight: u32) -> Gauge {
        Gauge { latency, in_flight, ..Gauge::default() }
    }

    #[test]
    fn the_unknown_and_the_faded_stand_at_the_floor() {
        let list = [reading(0.1, 0.1), reading(0.4, 0.4), reading(9.0, 0.001), None];
        let scale = Scale::of(list.into_iter());
        assert_eq!(scale.cost(&gauge(None, 0), 1.0), 0.05, "unknown");
        assert_eq!(scale.cost(&gauge(list[2], 0), 1.0), 0.05, "half of the best");
        assert_eq!(scale.cost(&gauge(list[0], 3), 2.0), 0.2, "queue and weight");
    }

    #[test]
    fn without_samples_only_queue_and_weight_count() {
        let scale = Scale::of([None, None].into_iter());
        assert!(scale.cost(&gauge(None, 0), 1.0) < scale.cost(&gauge(None, 1), 1.0));
        assert!(scale.cost(&gauge(None, 0), f64::NAN).is_finite(), "a bad weight does no harm");
        assert!(scale.cost(&gauge(None, u32::MAX), 0.0).is_finite());
    }

    #[test]
    fn two_different_ones_are_compared() {
        assert_eq!(pick_of_two(1, 0, |_| 1.0), None);
        assert_eq!(pick_of_two(1, 1, |_| 1.0), Some(0));
        let cost = |i: usize| [1.0, 2.0, 3.0][i];
        let mut counts = [0; 3];
        for seed in 0..3_000 {
            counts[pick_of_two(seed, 3, cost).expect("one of three")] += 1;
        }
        assert_eq!(counts[2], 0, "the dearest loses every comparison");
        assert!((1_900..2_100).contains(&counts[0]), "the cheapest wins two of three: {counts:?}");
        assert!((0..100).all(|seed| pick_of_two(seed, 2, cost) == Some(0)), "of two, the cheaper");
    }

    #[test]
    fn equals_share() {
        let counts = (0..10_000).fold([0; 4], |mut counts, seed| {
            counts[pick_of_two(seed, 4, |_| 1.0).expect("one of four")] += 1;
            counts
        });
        assert!(counts.iter().all(|n| (2_300..2_700).contains(n)), "{counts:?}");
    }
}
