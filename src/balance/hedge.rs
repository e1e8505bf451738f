//! When a second endpoint is asked beside a slow first one, and how often that may be.
//!
//! # The argument
//! Most of the slowest answers are slow by bad luck, not because of what was asked: a request that
//! waits longer than nineteen of twenty did is better asked a second time elsewhere than waited
//! for. That holds while few are. When a provider is slow for everybody, a second request for each
//! would double the load and the cost just when both are high; so hedges have a budget. Over the
//! life of the process, at every moment,
//!
//! > hedges ≤ `requests_max` × requests, and
//! > spend on losers ≤ `spend_max` × charges.
//!
//! Every request and every charge pays its share in, a hedge takes one request and the estimated
//! price of its loser out, and nothing is lent. What a quiet hour has left over is kept, of requests
//! up to [`SAVED_MAX`], so that what follows it is no burst.
//!
//! # Races
//! What a hedge takes is taken in one step or not at all, so that threads that meet at the limit
//! cannot pass it together.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::stats::Recent;
use crate::catalog::Share;
use crate::vocab::NanoUsd;

/// When requests are hedged. What is not hedged at all has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HedgeSettings {
    /// Hedges, as a share of requests. Default 5 %.
    pub requests_max: Share,
    /// What those who lose may cost, as a share of charges. Default 2 %.
    pub spend_max: Share,
    /// The shortest time that the first endpoint is left alone. Default 100 ms.
    pub delay_min: Duration,
    /// The delay where too few answers were seen; `None`: no hedge there. Default 3 s.
    pub delay_default: Option<Duration>,
    /// Providers that bill an answer although its connection is closed take part.
    pub billed_losers: bool,
}

impl Default for HedgeSettings {
    fn default() -> Self {
        Self {
            requests_max: Share::basis_points(500),
            spend_max: Share::basis_points(200),
            delay_min: Duration::from_millis(100),
            delay_default: Some(Duration::from_secs(3)),
            billed_losers: false,
        }
    }
}

/// Of fewer answers the slowest twentieth says nothing.
const SAMPLES_MIN: u64 = 20;

impl HedgeSettings {
    /// How long the first token of an endpoint is waited for before another is asked: the time in
    /// which nineteen of twenty had come over the last minutes.
    pub fn delay(&self, recent: &Recent) -> Option<Duration> {
        let known = recent.latency.filter(|_| recent.latencies >= SAMPLES_MIN);
        match known {
            Some(latency) => {
                let p95 = Duration::try_from_secs_f64(latency.p95).unwrap_or(Duration::MAX);
                Some(p95.max(self.delay_min))
            }
            None => self.delay_default.map(|delay| delay.max(self.delay_min)),
        }
    }
}

/// The most hedges that are saved up.
pub const SAVED_MAX: u16 = 10;
/// Budgets are kept in parts of a request and of a nano-dollar: those of a [`Share`].
const PARTS: i64 = 10_000;

/// What hedges have left; shared by all threads.
#[derive(Debug, Default)]
pub struct HedgeBudget {
    /// In parts of a request.
    requests: AtomicI64,
    /// In parts of a nano-dollar.
    spend: AtomicI64,
}

/// Why a hedge may not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgeRefused {
    /// There were too many.
    Requests,
    /// Those who lost have cost too much.
    Spend,
}

impl HedgeBudget {
    /// A request is made.
    pub fn request(&self, settings: &HedgeSettings) {
        let share = i64::from(settings.requests_max.points());
        let most = i64::from(SAVED_MAX) * PARTS;
        self.requests.update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.saturating_add(share).min(most)
        });
    }

    /// A request was charged.
    pub fn charge(&self, settings: &HedgeSettings, cost: NanoUsd) {
        let share = cost.0.max(0).saturating_mul(i64::from(settings.spend_max.points()));
        self.spend.update(Ordering::Relaxed, Ordering::Relaxed, |left| left.saturating_add(share));
    }

    /// A hedge is wanted whose loser may cost so much: takes it out, if there is enough.
    ///
    /// # Errors
    /// There is not; nothing was taken.
    pub fn withdraw(&self, loser: NanoUsd) -> Result<(), HedgeRefused> {
        if !take(&self.requests, PARTS) {
            return Err(HedgeRefused::Requests);
        }
        if !take(&self.spend, parts(loser)) {
            self.requests.fetch_add(PARTS, Ordering::Relaxed);
            return Err(HedgeRefused::Spend);
        }
        Ok(())
    }

    /// The hedge was not made after all.
    pub fn undo(&self, loser: NanoUsd) {
        self.requests.fetch_add(PARTS, Ordering::Relaxed);
        self.refund(loser);
    }

    /// The loser has cost so much less than was taken.
    pub fn refund(&self, less: NanoUsd) {
        self.spend
            .update(Ordering::Relaxed, Ordering::Relaxed, |left| left.saturating_add(parts(less)));
    }

    /// Hedges that may be made now, as far as their number is concerned; for metrics.
    pub fn left(&self) -> u64 {
        u64::try_from(self.requests.load(Ordering::Relaxed) / PARTS).unwrap_or(0)
    }
}

fn parts(money: NanoUsd) -> i64 {
    money.0.max(0).saturating_mul(PARTS)
}

fn take(from: &AtomicI64, wanted: i64) -> bool {
    let enough = |left: i64| (left >= wanted).then(|| left - wanted);
    from.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enough).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::Percentiles;
    use super::*;
    use proptest::prelude::*;

    fn settings(requests: u16, spend: u16) -> HedgeSettings {
        HedgeSettings {
            requests_max: Share::basis_points(requests),
            spend_max: Share::basis_points(spend),
            ..HedgeSettings::default()
        }
    }

    fn recent(latencies: u64, p95: f64) -> Recent {
        let latency = Percentiles { p95, ..Percentiles::default() };
        Recent { latencies, latency: Some(latency), ..Recent::default() }
    }

    #[test]
    fn the_delay_is_the_p95_where_enough_answers_were_seen() {
        let settings = HedgeSettings::default();
        let ms = Duration::from_millis;
        assert_eq!(settings.delay(&recent(20, 0.75)), Some(ms(750)));
        assert_eq!(settings.delay(&recent(20, 0.01)), Some(ms(100)), "the shortest");
        assert_eq!(settings.delay(&recent(19, 0.75)), Some(ms(3_000)), "too few");
        assert_eq!(settings.delay(&Recent::default()), Some(ms(3_000)), "none");
        let careful = HedgeSettings { delay_default: None, ..settings };
        assert_eq!(careful.delay(&recent(19, 0.75)), None, "nobody knows when");
        assert_eq!(careful.delay(&recent(20, 0.75)), Some(ms(750)));
    }

    #[test]
    fn one_of_twenty_requests_is_hedged() {
        let (budget, settings) = (HedgeBudget::default(), settings(500, 10_000));
        assert_eq!(budget.withdraw(NanoUsd(0)), Err(HedgeRefused::Requests), "nothing is lent");
        let hedged = (0..1_000).filter(|_| {
            budget.request(&settings);
            budget.withdraw(NanoUsd(0)).is_ok()
        });
        assert_eq!(hedged.count(), 50);
    }

    #[test]
    fn a_quiet_night_is_no_burst() {
        let (budget, settings) = (HedgeBudget::default(), settings(500, 10_000));
        (0..100_000).for_each(|_| budget.request(&settings));
        assert_eq!(budget.left(), u64::from(SAVED_MAX));
        let hedged = (0..1_000).filter(|_| budget.withdraw(NanoUsd(0)).is_ok()).count();
        assert_eq!(hedged, usize::from(SAVED_MAX));
    }

    #[test]
    fn what_losers_cost_is_bounded_by_charges() {
        let (budget, settings) = (HedgeBudget::default(), settings(10_000, 200));
        budget.request(&settings);
        budget.charge(&settings, NanoUsd(5_000));
        assert_eq!(budget.withdraw(NanoUsd(101)), Err(HedgeRefused::Spend), "2 % are 100");
        assert_eq!(budget.withdraw(NanoUsd(100)), Ok(()), "the refusal took nothing");
        budget.request(&settings);
        assert_eq!(budget.withdraw(NanoUsd(1)), Err(HedgeRefused::Spend));
        budget.refund(NanoUsd(30));
        assert_eq!(budget.withdraw(NanoUsd(30)), Ok(()), "what the loser did not cost");
        budget.undo(NanoUsd(30));
        assert_eq!(budget.withdraw(NanoUsd(30)), Ok(()), "it was not made");
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Request,
        Charge(u32),
        Hedge(u32, u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Request),
            4 => (0..10_000_u32).prop_map(Step::Charge),
            3 => (0..1_000_u32, 0..=100_u8).prop_map(|(cost, used)| Step::Hedge(cost, used)),
        ]
    }

    proptest! {
        /// Whatever happens in whatever order, the two inequalities hold.
        #[test]
        fn the_budget_is_never_passed(
            requests in 0..=10_000_u16,
            spend in 0..=10_000_u16,
            steps in prop::collection::vec(step(), 0..200),
        ) {
            let (budget, settings) = (HedgeBudget::default(), settings(requests, spend));
            let (mut asked, mut charged, mut hedged, mut lost) = (0_i64, 0_i64, 0_i64, 0_i64);
            for step in steps {
                match step {
                    Step::Request => {
                        budget.request(&settings);
                        asked += 1;
                    }
                    Step::Charge(cost) => {
                        budget.charge(&settings, NanoUsd(i64::from(cost)));
                        charged += i64::from(cost);
                    }
                    Step::Hedge(cost, used) => {
                        let cost = i64::from(cost);
                        if budget.withdraw(NanoUsd(cost)).is_ok() {
                            let used = cost * i64::from(used) / 100;
                            budget.refund(NanoUsd(cost - used));
                            hedged += 1;
                            lost += used;
                        }
                    }
                }
                prop_assert!(hedged * PARTS <= asked * i64::from(requests));
                prop_assert!(lost * PARTS <= charged * i64::from(spend));
            }
        }

        /// Threads that meet at the limit do not pass it together.
        #[test]
        fn threads_together_take_no_more_than_there_is(saved in 0..=SAVED_MAX) {
            let (budget, settings) = (HedgeBudget::default(), settings(10_000, 10_000));
            (0..saved).for_each(|_| budget.request(&settings));
            let granted: usize = std::thread::scope(|scope| {
                let take = || (0..20).filter(|_| budget.withdraw(NanoUsd(0)).is_ok()).count();
                let threads: Vec<_> = (0..3).map(|_| scope.spawn(take)).collect();
                threads.into_iter().map(|t| t.join().expect("no panic")).sum()
            });
            prop_assert_eq!(granted, usize::from(saved));
        }
    }
}
