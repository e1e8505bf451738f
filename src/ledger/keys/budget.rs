//! What a key or a member spends, against its limit.

use parking_lot::Mutex;

use crate::ledger::state::Spent;
use crate::terms::{Reset, Span};
use crate::vocab::NanoUsd;

/// A limit on spending.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) most: NanoUsd,
    pub(crate) reset: Option<Reset>,
    /// What the account's own contracts cost counts, too.
    pub(crate) with_byok: bool,
}

impl Limit {
    /// What is left of the limit, where there is one.
    pub(crate) fn left(limit: Option<Self>, budget: &Budget, now_ms: u64) -> Option<NanoUsd> {
        limit.map(|limit| NanoUsd(budget.0.lock().at(now_ms).left(limit)))
    }
}

/// What was spent and is set aside. A hold counts in the period in which it was placed.
#[derive(Debug, Default)]
pub(crate) struct Budget(Mutex<Purse>);

#[derive(Clone, Copy, Debug, Default)]
struct Purse {
    money: Spent,
    /// Set aside in the periods of `money.span`.
    held: [i64; 3],
}

impl Purse {
    /// Begins the periods that a moment is in, if they are later ones.
    fn at(&mut self, now_ms: u64) -> &mut Self {
        for (i, reset) in Reset::ALL.into_iter().enumerate() {
            let period = reset.period(now_ms);
            let span = &mut self.money.span;
            if period > span.period[i] {
                (span.period[i], span.spent[i], span.byok[i]) = (period, 0, 0);
                self.held[i] = 0;
            }
        }
        self
    }

    fn left(&self, limit: Limit) -> i64 {
        let money = &self.money;
        let (spent, byok, held) = match limit.reset {
            None => (money.spent.0, money.byok.0, money.held.0),
            Some(reset) => {
                let i = reset as usize;
                (money.span.spent[i], money.span.byok[i], self.held[i])
            }
        };
        let byok = if limit.with_byok { byok } else { 0 };
        limit.most.0.saturating_sub(spent).saturating_sub(byok).saturating_sub(held)
    }

    /// Changes what is set aside by a hold that was placed at a moment.
    fn hold(&mut self, placed_ms: u64, change: i64) {
        self.money.held += NanoUsd(change);
        for (i, reset) in Reset::ALL.into_iter().enumerate() {
            if reset.period(placed_ms) == self.money.span.period[i] {
                self.held[i] += change;
            }
        }
    }
}

impl Budget {
    /// A budget that goes on from what was spent, and the holds that are open.
    pub(crate) fn of(money: Spent, holds: impl Iterator<Item = (u64, NanoUsd)>) -> Self {
        let mut purse = Purse { money: Spent { held: NanoUsd::ZERO, ..money }, held: [0; 3] };
        for (placed_ms, granted) in holds {
            purse.at(placed_ms).hold(placed_ms, granted.0);
        }
        Self(Mutex::new(purse))
    }

    /// Takes between `floor` and `want`; otherwise says what is left.
    pub(crate) fn take(
        &self,
        limit: Option<Limit>,
        (want, floor): (i64, i64),
        placed_ms: u64,
    ) -> Result<i64, i64> {
        let mut purse = self.0.lock();
        purse.at(placed_ms);
        let take = match limit {
            None => want,
            // One of an earlier period only grows: its limit has begun anew.
            Some(Limit { reset: Some(reset), .. })
                if reset.period(placed_ms) < purse.money.span.period[reset as usize] =>
            {
                want
            }
            Some(limit) => {
                let left = purse.left(limit);
                let take = left.clamp(0, want);
                if take < floor {
                    return Err(left);
                }
                take
            }
        };
        purse.hold(placed_ms, take);
        Ok(take)
    }

    /// Gives back what was taken and is not needed.
    pub(crate) fn give_back(&self, amount: i64, placed_ms: u64) {
        self.0.lock().hold(placed_ms, -amount);
    }

    /// Ends a hold of `granted`.
    pub(crate) fn end(&self, granted: i64, placed_ms: u64, cost: i64, byok: i64) {
        let mut purse = self.0.lock();
        purse.hold(placed_ms, -granted);
        purse.money.spent += NanoUsd(cost);
        purse.money.byok += NanoUsd(byok);
        purse.money.span.add(placed_ms, cost, byok);
    }

    /// What was spent until now, with the periods that `now_ms` is in.
    pub(crate) fn spent(&self, now_ms: u64) -> Spent {
        self.0.lock().at(now_ms).money
    }

    /// What was charged, ever.
    pub(crate) fn charged(&self) -> NanoUsd {
        self.0.lock().money.spent
    }
}

impl Spent {
    /// What was charged, and what was paid by own contracts, in the day, week or month of its
    /// latest change.
    pub fn in_period(&self, reset: Reset) -> (NanoUsd, NanoUsd) {
        let Span { spent, byok, .. } = self.span;
        (NanoUsd(spent[reset as usize]), NanoUsd(byok[reset as usize]))
    }
}
