//! Which thresholds were crossed, and which of that was told already.
//!
//! A crossing is told once. It can be told again when the value was well on the other side in
//! between: a tenth above for a low balance, so that a balance that wavers does not ring all day.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::vocab::NanoUsd;

/// What was told already.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Told {
    /// Accounts whose low balance was told.
    low: BTreeSet<String>,
    /// Accounts for which credit was asked and whose balance has not been above since.
    asked: BTreeSet<String>,
    /// Keys by how much of their limit they have used: of which period, and which step was told.
    keys: BTreeMap<String, (u32, u8)>,
    /// Keys that were refused just below their limit: in which period, and the limit in nano-dollars.
    refused: BTreeMap<String, (u32, i64)>,
}

/// The steps of a key's limit that are told, in percent.
const STEPS: [u8; 2] = [NEAR, FULL];
/// The limit is near.
const NEAR: u8 = 80;
/// The limit is used up.
const FULL: u8 = 100;

impl Told {
    /// Whether an account's low balance is to be told now.
    pub(crate) fn low_balance(&mut self, id: &str, balance: NanoUsd, low: Option<NanoUsd>) -> bool {
        let Some(low) = low else {
            self.low.remove(id);
            return false;
        };
        if balance < low {
            return !self.low.contains(id) && self.low.insert(id.to_owned());
        }
        if balance.0 >= low.0.saturating_add(low.0 / 10) {
            self.low.remove(id);
        }
        false
    }

    /// Whether credit is to be bought for an account now.
    pub(crate) fn top_up(&mut self, id: &str, available: NanoUsd, below: Option<NanoUsd>) -> bool {
        if below.is_some_and(|below| available < below) {
            return !self.asked.contains(id) && self.asked.insert(id.to_owned());
        }
        self.asked.remove(id);
        false
    }

    /// The credit that was asked for has come: if that was not enough, more is asked for.
    pub(crate) fn topped_up(&mut self, id: &str) {
        self.asked.remove(id);
    }

    /// The step of its limit that a key has reached and that is to be told now: from what it has
    /// used of which limit, and whether that has refused a request. One that is refused near its
    /// limit has reached it: what is left is too little to be used.
    pub(crate) fn key_limit(
        &mut self,
        id: &str,
        period: u32,
        (used, limit, refused): (NanoUsd, Option<NanoUsd>, bool),
    ) -> Option<u8> {
        let reached = limit.filter(|limit| limit.0 > 0).map_or(0, |limit| {
            let percent = i128::from(used.0) * 100 / i128::from(limit.0);
            STEPS.into_iter().filter(|step| i128::from(*step) <= percent).max().unwrap_or(0)
        });
        if reached == 0 {
            self.keys.remove(id);
            self.refused.remove(id);
            return None;
        }
        let now = (period, limit.map_or(0, |limit| limit.0));
        if refused && self.refused.get(id) != Some(&now) {
            self.refused.insert(id.to_owned(), now);
        }
        // Kept, so that a restart, which forgets refusals, does not tell it again.
        let reached = if self.refused.get(id) == Some(&now) { FULL } else { reached };
        let before = self.keys.get(id).filter(|told| told.0 == period).map_or(0, |told| told.1);
        if self.keys.get(id) != Some(&(period, reached)) {
            self.keys.insert(id.to_owned(), (period, reached));
        }
        (reached > before).then_some(reached)
    }

    /// Forgets keys that are gone.
    pub(crate) fn keep_keys(&mut self, alive: impl Fn(&str) -> bool) {
        self.keys.retain(|id, _| alive(id));
        self.refused.retain(|id, _| alive(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn usd(dollars: i64) -> NanoUsd {
        NanoUsd::from_dollars(dollars)
    }

    #[test]
    fn a_low_balance_is_told_once_per_crossing() {
        let mut told = Told::default();
        let steps = [
            (20, false),
            (9, true),
            (8, false),
            // Not far enough above to be told again.
            (10, false),
            (9, false),
            (11, false),
            (9, true),
            (-1, false),
        ];
        for (balance, want) in steps {
            assert_eq!(told.low_balance("a", usd(balance), Some(usd(10))), want, "{balance}");
        }
        assert!(told.low_balance("b", usd(0), Some(usd(1))), "each account for itself");
        assert!(!told.low_balance("a", usd(-5), None), "without a threshold nothing is told");
        assert!(told.low_balance("a", usd(-5), Some(usd(10))), "a new threshold is a new one");
    }

    #[test]
    fn credit_is_asked_for_once_until_it_has_come() {
        let mut told = Told::default();
        assert!(told.top_up("a", usd(1), Some(usd(2))));
        assert!(!told.top_up("a", usd(0), Some(usd(2))), "asked already");
        assert!(!told.top_up("a", usd(2), Some(usd(2))));
        assert!(told.top_up("a", usd(1), Some(usd(2))), "it fell again");
        told.topped_up("a");
        assert!(told.top_up("a", usd(1), Some(usd(2))), "what came was not enough");
    }

    #[test]
    fn a_key_s_limit_is_told_by_steps_and_periods() {
        let mut told = Told::default();
        let limit = Some(usd(100));
        let steps = [
            (1, 79, None),
            (1, 80, Some(80)),
            (1, 99, None),
            (1, 100, Some(100)),
            (1, 120, None),
            (2, 0, None),
            (2, 100, Some(100)),
            (3, 85, Some(80)),
        ];
        for (period, used, want) in steps {
            assert_eq!(
                told.key_limit("k", period, (usd(used), limit, false)),
                want,
                "{period} {used}"
            );
        }
        assert_eq!(
            told.key_limit("k", 3, (usd(85), Some(usd(1_000)), false)),
            None,
            "a higher limit"
        );
        assert_eq!(
            told.key_limit("k", 3, (usd(900), Some(usd(1_000)), false)),
            Some(80),
            "begins anew"
        );
        assert_eq!(
            told.key_limit("k", 3, (usd(900), Some(usd(0)), false)),
            None,
            "nothing may be spent"
        );
    }
    #[test]
    fn a_key_that_is_refused_near_its_limit_has_reached_it() {
        let mut told = Told::default();
        let limit = Some(usd(100));
        let steps = [
            // Refused far below it: the request was too large.
            (1, 40, true, None),
            (1, 85, false, Some(80)),
            (1, 90, true, Some(100)),
            // A restart forgets the refusal.
            (1, 90, false, None),
            (1, 100, false, None),
            (2, 90, false, Some(80)),
            (2, 99, true, Some(100)),
        ];
        for (period, used, refused, want) in steps {
            let reached = (usd(used), limit, refused);
            assert_eq!(told.key_limit("k", period, reached), want, "{period} {used} {refused}");
        }
        let higher = Some(usd(110));
        assert_eq!(told.key_limit("k", 2, (usd(99), higher, false)), None, "a higher limit");
        assert_eq!(told.key_limit("k", 2, (usd(99), higher, true)), Some(100), "refused again");
    }
}
