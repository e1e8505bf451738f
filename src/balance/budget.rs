//! How many retries the gateway may make in all.
//!
//! # The argument
//! "Up to three tries per request" bounds the tries of one request, not the load: when every
//! provider is down, every request is tried three times, and the gateway triples the traffic just
//! when its providers (and its own sockets and memory) can bear it least. A budget bounds what
//! matters. In any span of ten seconds
//!
//! > retries ≤ ratio × first attempts + reserve
//!
//! With the default ratio of 0.2 a total outage adds 20 % to the load, however many requests and
//! candidates there are. While one provider of several is down, few requests need a retry at all,
//! since breakers and latencies steer the rest away at once; the reserve (100) covers the moment
//! before they do, and lets a quiet gateway retry at all.
//!
//! The reserve is part of the same sliding span and so refills at a tenth per second. Nothing is
//! saved up over a quiet night to be spent in one burst.
//!
//! # Races
//! A retry is counted first, then judged, then taken back if it was one too many. Threads that
//! meet at the limit may refuse each other; they can never pass it together.

use std::time::Duration;

use super::time::Nanos;
use super::window::{Count, Window};

/// Limits on retries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BudgetSettings {
    /// Retries per first attempt, 0 to 10. Default 0.2.
    pub ratio: f64,
    /// Retries in ten seconds that need no first attempts. Default 100.
    pub reserve: u32,
}

impl Default for BudgetSettings {
    fn default() -> Self {
        Self { ratio: 0.2, reserve: 100 }
    }
}

/// The retries of all requests; shared by all threads.
#[derive(Debug, Default)]
pub struct RetryBudget {
    settings: BudgetSettings,
    window: Window,
}

const SPAN: Duration = Duration::from_secs(10);

impl RetryBudget {
    /// A budget with these limits.
    pub fn new(settings: BudgetSettings) -> Self {
        Self { settings, window: Window::default() }
    }

    /// A request makes its first attempt.
    pub fn deposit(&self, now: Nanos) {
        self.window.add(Count::First, SPAN, now);
    }

    /// A request wants to try again: whether it may. If so, the retry is counted.
    pub fn withdraw(&self, now: Nanos) -> bool {
        self.window.add(Count::Second, SPAN, now);
        let (first, retries) = self.window.sums(SPAN, now);
        let allowed = retries <= self.allowance(first);
        if !allowed {
            self.window.take_back(Count::Second, SPAN, now);
        }
        allowed
    }

    /// What may still be withdrawn, for metrics.
    pub fn left(&self, now: Nanos) -> u64 {
        let (first, retries) = self.window.sums(SPAN, now);
        self.allowance(first).saturating_sub(retries)
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count below 2^24 times a ratio, clamped below; casts of floats saturate"
    )]
    fn allowance(&self, first: u64) -> u64 {
        let earned = (first as f64 * self.settings.ratio.clamp(0.0, 10.0)) as u64;
        earned.saturating_add(u64::from(self.settings.reserve))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn at(ms: u64) -> Nanos {
        Nanos(ms * 1_000_000)
    }

    #[test]
    fn a_quiet_gateway_may_retry_and_the_reserve_refills() {
        let budget = RetryBudget::default();
        let spent = (0..1_000).filter(|_| budget.withdraw(at(500))).count();
        assert_eq!(spent, 100, "the reserve");
        assert_eq!(budget.left(at(500)), 0);
        assert_eq!((0..1_000).filter(|_| budget.withdraw(at(10_500))).count(), 100, "refilled");
    }

    #[test]
    fn nothing_is_saved_up() {
        let budget = RetryBudget::default();
        (0..10_000).for_each(|ms| budget.deposit(at(ms)));
        assert_eq!(budget.left(at(9_999)), 2_100);
        assert_eq!(budget.left(at(30_000)), 100);
    }

    #[test]
    fn a_total_outage_adds_a_fifth() {
        let budget = RetryBudget::default();
        let (mut first, mut retries) = (0_u32, 0_u32);
        for ms in 0..60_000 {
            first += 1;
            budget.deposit(at(ms));
            // Every request would like to try three more times.
            for _ in 0..3 {
                retries += u32::from(budget.withdraw(at(ms)));
            }
        }
        let factor = f64::from(first + retries) / f64::from(first);
        assert!(factor < 1.2 + 0.02, "load × {factor}");
        assert!(factor > 1.15, "but what is allowed is allowed: × {factor}");
    }

    #[test]
    fn threads_cannot_pass_the_limit_together() {
        let budget = RetryBudget::new(BudgetSettings { ratio: 0.5, reserve: 10 });
        let granted = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        budget.deposit(at(0));
                        for _ in 0..2 {
                            let ok = budget.withdraw(at(0));
                            granted.fetch_add(u64::from(ok), Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let granted = granted.load(Ordering::Relaxed);
        assert!((3_500..=4_010).contains(&granted), "{granted} of 4,010");
    }

    #[test]
    fn odd_settings_do_no_harm() {
        for ratio in [f64::NAN, f64::INFINITY, -1.0] {
            let budget = RetryBudget::new(BudgetSettings { ratio, reserve: 0 });
            assert!(!budget.withdraw(at(0)), "{ratio}: no first attempt, no retry");
        }
    }
}
