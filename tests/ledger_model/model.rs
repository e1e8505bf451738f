//! The model: a few maps and additions.

use std::collections::{BTreeMap, BTreeSet};

use turnpike::terms::Reset;

/// What a key or a member spent, and may spend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Purse {
    pub(crate) limit: Option<(i64, Option<Reset>)>,
    /// By the day on which a request was placed, counted from 1970.
    pub(crate) by_day: BTreeMap<u64, i64>,
    /// The latest moment that it was asked about.
    pub(crate) latest_ms: u64,
}

/// A day, week or month, as anything that is the same for all its moments: told without the code
/// under test. Years 2026 and 2027.
pub(crate) fn period(reset: Reset, ms: u64) -> u64 {
    /// 2026-01-01, a Thursday.
    const START: u64 = 20_454;
    let day = ms / 86_400_000;
    match reset {
        Reset::Daily => day,
        // Counted from Monday 2025-12-29.
        Reset::Weekly => (day + 3 - START) / 7,
        Reset::Monthly => {
            let months = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            let mut left = day - START;
            let mut number = 0;
            for len in months.iter().cycle() {
                if left < *len {
                    break;
                }
                left -= len;
                number += 1;
            }
            number
        }
    }
}

impl Purse {
    pub(crate) fn spent(&self) -> i64 {
        self.by_day.values().sum()
    }

    /// What was spent in the period that a moment is in.
    pub(crate) fn spent_in(&self, reset: Reset, ms: u64) -> i64 {
        let wanted = period(reset, ms);
        let inside = |day: &u64| period(reset, day * 86_400_000) == wanted;
        self.by_day.iter().filter(|(day, _)| inside(day)).map(|(_, spent)| spent).sum()
    }

    /// What the limit lets a hold of `want` have that was placed at a moment; `held` are the other
    /// holds, as moments and amounts.
    fn allows(&self, want: i64, placed_ms: u64, held: &[(u64, i64)]) -> i64 {
        let Some((limit, reset)) = self.limit else { return want };
        let left = match reset {
            None => limit - self.spent() - held.iter().map(|(_, held)| held).sum::<i64>(),
            Some(reset) if period(reset, placed_ms) < period(reset, self.latest_ms) => return want,
            Some(reset) => {
                let now = period(reset, placed_ms);
                let held = held.iter().filter(|(ms, _)| period(reset, *ms) == now);
                limit - self.spent_in(reset, placed_ms) - held.map(|(_, held)| held).sum::<i64>()
            }
        };
        left.clamp(0, want)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) bought: i64,
    pub(crate) used: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) removed: bool,
    pub(crate) purse: Purse,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) account: u8,
    pub(crate) member: Option<u8>,
    pub(crate) deleted: bool,
    pub(crate) purse: Purse,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) key: u8,
    /// What the journal says was set aside.
    pub(crate) granted: i64,
    /// What the process has set aside beyond that.
    pub(crate) extended: i64,
    pub(crate) placed_ms: u64,
    /// The last note of progress.
    pub(crate) note: Option<i64>,
}

/// Who paid for what is not a customer's: what came in, fees, gifts, what providers are owed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Books {
    pub(crate) debits: i128,
    pub(crate) cash: i64,
    pub(crate) fees: i64,
    pub(crate) gifts: i64,
    pub(crate) owed: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) accounts: BTreeMap<u8, Account>,
    pub(crate) members: BTreeMap<(u8, u8), Member>,
    pub(crate) keys: BTreeMap<u8, Key>,
    pub(crate) receipts: BTreeMap<u64, (u8, i64)>,
    pub(crate) open: BTreeMap<u64, Open>,
    /// Of these, those that nobody has asked for.
    pub(crate) ahead: BTreeSet<u64>,
    pub(crate) ended: BTreeSet<u64>,
    pub(crate) charged: u64,
    pub(crate) books: Books,
    pub(crate) entries: u64,
}

/// What happens, with few accounts, keys and generations, so that they meet often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Do {
    Account(u8),
    Member(u8, u8, Option<i64>),
    Leave(u8, u8),
    Key(u8, u8, Option<u8>, Option<(i64, Option<Reset>)>),
    KeyTerms(u8, Option<(i64, Option<Reset>)>),
    KeyGone(u8),
    TopUp(u8, i64, i64, u64),
    Adjust(u8, i64, u64),
    Move(u8, u8, i64, u64),
    Hold(u64, u8, i64, u64),
    Ahead(u64, u8, u64),
    Unused(u64),
    /// Generation, cost, discount.
    Settle(u64, i64, i64),
    Void(u64),
    Record(u64, u8),
}

impl Model {
    /// Whether the step is allowed; if so, does it.
    pub(crate) fn does(&mut self, step: Do) -> bool {
        let done = self.try_to(step);
        self.entries += u64::from(done);
        done
    }

    #[expect(clippy::too_many_lines, reason = "one rule per step")]
    fn try_to(&mut self, step: Do) -> bool {
        match step {
            Do::Account(a) => {
                !self.accounts.contains_key(&a)
                    && self.accounts.insert(a, Account::default()).is_none()
            }
            Do::Member(a, m, limit) => {
                if !self.accounts.contains_key(&a) {
                    return false;
                }
                let member = self.members.entry((a, m)).or_default();
                member.removed = false;
                member.purse.limit = limit.map(|limit| (limit, None));
                true
            }
            Do::Leave(a, m) => match self.members.get_mut(&(a, m)) {
                Some(member) if !member.removed => {
                    member.removed = true;
                    true
                }
                _ => false,
            },
            Do::Key(k, a, m, limit) => {
                let is_member = |m: u8| self.members.get(&(a, m)).is_some_and(|m| !m.removed);
                let fits = self.accounts.contains_key(&a)
                    && !self.keys.contains_key(&k)
                    && m.is_none_or(is_member);
                let purse = Purse { limit, ..Purse::default() };
                let key = Key { account: a, member: m, purse, ..Key::default() };
                fits && self.keys.insert(k, key).is_none()
            }
            Do::KeyTerms(k, limit) => {
                let key = self.keys.get_mut(&k).filter(|key| !key.deleted);
                key.map(|key| key.purse.limit = limit).is_some()
            }
            Do::KeyGone(k) => {
                let key = self.keys.get_mut(&k).filter(|key| !key.deleted);
                key.map(|key| key.deleted = true).is_some()
            }
            Do::TopUp(a, n, fee, r) => {
                let done = n > 0 && fee >= 0 && self.buys(a, n, r);
                if done {
                    self.books.cash += n + fee;
                    self.books.fees += fee;
                    self.books.debits += i128::from(n + fee);
                }
                done
            }
            Do::Adjust(a, n, r) => {
                let done = n != 0 && self.buys(a, n, r);
                if done {
                    self.books.gifts += n;
                    self.books.debits += i128::from(n.abs());
                }
                done
            }
            Do::Move(from, to, n, r) => self.moves(from, to, n, r),
            Do::Hold(g, k, n, placed_ms) => {
                let fits = n >= 0
                    && self.keys.contains_key(&k)
                    && !self.open.contains_key(&g)
                    && !self.ended.contains(&g);
                let open = Open { key: k, granted: n, extended: 0, placed_ms, note: None };
                fits && self.open.insert(g, open).is_none()
            }
            Do::Ahead(g, k, placed_ms) => {
                self.try_to(Do::Hold(g, k, 0, placed_ms)) && self.ahead.insert(g)
            }
            Do::Unused(g) => self.ahead.remove(&g) && self.open.remove(&g).is_some(),
            Do::Settle(g, cost, discount) => {
                let done = cost >= 0 && discount >= 0 && self.ends(g, cost);
                if done {
                    self.charged += 1;
                    self.books.gifts += discount;
                    self.books.owed += cost + discount;
                    self.books.debits += i128::from(cost + discount);
                }
                done
            }
            Do::Void(g) => self.ends(g, 0),
            Do::Record(g, k) => {
                self.keys.contains_key(&k) && !self.open.contains_key(&g) && self.ended.insert(g)
            }
        }
    }

    fn buys(&mut self, a: u8, n: i64, r: u64) -> bool {
        let fits = self.accounts.contains_key(&a) && !self.receipts.contains_key(&r);
        if fits {
            self.receipts.insert(r, (a, n));
            self.accounts.get_mut(&a).unwrap().bought += n;
        }
        fits
    }

    fn moves(&mut self, from: u8, to: u8, n: i64, r: u64) -> bool {
        let there = self.accounts.contains_key(&from) && self.accounts.contains_key(&to);
        if n <= 0 || from == to || !there {
            return false;
        }
        let held: i64 = self.holds_of(from).map(|open| open.granted).sum();
        let giver = &self.accounts[&from];
        let covered = giver.bought - giver.used - held >= n;
        if !covered || !self.buys(to, n, r) {
            return false;
        }
        self.accounts.get_mut(&from).unwrap().bought -= n;
        self.books.debits += i128::from(n);
        true
    }

    fn ends(&mut self, g: u64, cost: i64) -> bool {
        let Some(open) = self.open.remove(&g) else { return false };
        self.ahead.remove(&g);
        let key = self.keys.get_mut(&open.key).unwrap();
        let day = open.placed_ms / 86_400_000;
        *key.purse.by_day.entry(day).or_default() += cost;
        self.accounts.get_mut(&key.account).unwrap().used += cost;
        if let Some(member) = key.member {
            let member = self.members.get_mut(&(key.account, member)).unwrap();
            *member.purse.by_day.entry(day).or_default() += cost;
        }
        self.ended.insert(g)
    }

    fn holds_of(&self, a: u8) -> impl Iterator<Item = &Open> {
        self.open.values().filter(move |open| self.keys[&open.key].account == a)
    }

    /// What is set aside of an account by its open holds, by the journal alone.
    pub(crate) fn held(&self, a: u8) -> i64 {
        self.holds_of(a).map(|open| open.granted).sum()
    }

    /// What an account has for new holds, in the process that runs.
    pub(crate) fn available(&self, a: u8) -> i64 {
        let held: i64 = self.holds_of(a).map(|open| open.granted + open.extended).sum();
        self.accounts[&a].bought - self.accounts[&a].used - held
    }

    /// What a hold of a key's gets between `floor` and `want`.
    pub(crate) fn grants(
        &mut self,
        k: u8,
        (want, floor): (i64, i64),
        placed_ms: u64,
    ) -> Option<i64> {
        let (account, member) = (self.keys[&k].account, self.keys[&k].member);
        let held = |of: &dyn Fn(&Key) -> bool| -> Vec<(u64, i64)> {
            let mine = self.open.values().filter(|open| of(&self.keys[&open.key]));
            mine.map(|open| (open.placed_ms, open.granted + open.extended)).collect()
        };
        let of_key: Vec<_> = (self.open.values().filter(|open| open.key == k))
            .map(|open| (open.placed_ms, open.granted + open.extended))
            .collect();
        let of_member = held(&|key| key.account == account && key.member == member);
        let available = self.available(account);
        let purse = &mut self.keys.get_mut(&k).unwrap().purse;
        purse.latest_ms = purse.latest_ms.max(placed_ms);
        let mut take = purse.allows(want, placed_ms, &of_key);
        if take < floor {
            return None;
        }
        if let Some(member) = member {
            let purse = &mut self.members.get_mut(&(account, member)).unwrap().purse;
            purse.latest_ms = purse.latest_ms.max(placed_ms);
            take = purse.allows(take, placed_ms, &of_member);
            if take < floor {
                return None;
            }
        }
        let take = available.clamp(0, take);
        (take >= floor).then_some(take)
    }

    /// Ends what a crash left open, by the stated rule; gives how many were settled and voided.
    pub(crate) fn recover(&mut self) -> (u64, u64) {
        let open: Vec<_> = self.open.iter().map(|(g, open)| (*g, open.note)).collect();
        let settled = open.iter().filter(|(_, note)| note.is_some()).count() as u64;
        for (g, note) in &open {
            let ended = note.map_or(Do::Void(*g), |cost| Do::Settle(*g, cost, 0));
            assert!(self.does(ended), "the hold is open");
        }
        (settled, open.len() as u64 - settled)
    }
}
