//! Keys, and the members whose keys they are, as requests see them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;

use crate::ledger::state::{KeyState, MemberState, Spent};
use crate::limits::Meter;
use crate::terms::{KeyTerms, MemberTerms};
use crate::vocab::{KeyId, NanoUsd};

use super::ahead::Stock;
use super::budget::{Budget, Limit};
use super::{Account, KeyHash, Short};

/// A member of an account: a budget that its keys share.
#[derive(Debug)]
pub struct Member {
    user: String,
    created_ms: u64,
    terms: ArcSwap<MemberTerms>,
    removed: AtomicBool,
    budget: Budget,
}

impl Member {
    pub(crate) fn new(user: String, state: &MemberState, budget: Budget) -> Self {
        Self {
            user,
            created_ms: state.created_ms,
            terms: ArcSwap::from_pointee(state.terms),
            removed: AtomicBool::new(state.removed),
            budget,
        }
    }

    /// Who.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// When they joined, in milliseconds since 1970.
    pub const fn created_ms(&self) -> u64 {
        self.created_ms
    }

    /// The terms now.
    pub fn terms(&self) -> MemberTerms {
        **self.terms.load()
    }

    /// Whether they have left.
    pub fn removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// What their keys spent, with the day, week and month that `now_ms` is in.
    pub fn spent(&self, now_ms: u64) -> Spent {
        self.budget.spent(now_ms)
    }

    pub(crate) fn set_terms(&self, terms: MemberTerms) {
        self.terms.store(Arc::new(terms));
        self.removed.store(false, Ordering::Release);
    }

    pub(crate) fn remove(&self) {
        self.removed.store(true, Ordering::Release);
    }

    fn limit(&self) -> Option<Limit> {
        let terms = self.terms.load();
        terms.limit.map(|most| Limit { most, reset: terms.reset, with_byok: false })
    }
}

/// A key as requests see it.
pub struct KeyEntry {
    id: KeyId,
    shown: String,
    account: Arc<Account>,
    member: Option<Arc<Member>>,
    hash: KeyHash,
    created_ms: u64,
    updated_ms: AtomicU64,
    terms: ArcSwap<KeyTerms>,
    deleted: AtomicBool,
    budget: Budget,
    meter: Meter,
    /// Holds that were placed ahead.
    pub(crate) stock: Stock,
    /// When its own limit refused something last, in milliseconds since 1970; 0: never.
    refused_ms: AtomicU64,
}

impl fmt::Debug for KeyEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyEntry").field("id", &self.id).finish_non_exhaustive()
    }
}

impl KeyEntry {
    pub(crate) fn new(
        state: &KeyState,
        account: Arc<Account>,
        member: Option<Arc<Member>>,
        budget: Budget,
    ) -> Self {
        let new = &state.entry;
        Self {
            id: new.key.clone(),
            shown: new.shown.clone(),
            account,
            member,
            hash: new.hash,
            created_ms: state.created_ms,
            updated_ms: AtomicU64::new(state.updated_ms),
            terms: ArcSwap::from_pointee(new.terms.clone()),
            deleted: AtomicBool::new(state.deleted),
            budget,
            meter: Meter::default(),
            stock: Stock::default(),
            refused_ms: AtomicU64::new(0),
        }
    }

    /// The key's public name.
    pub const fn id(&self) -> &KeyId {
        &self.id
    }

    /// Its first characters, for people to recognise it by.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The account that pays.
    pub const fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// The member whose key it is.
    pub const fn member(&self) -> Option<&Arc<Member>> {
        self.member.as_ref()
    }

    /// Its terms now.
    pub fn terms(&self) -> arc_swap::Guard<Arc<KeyTerms>> {
        self.terms.load()
    }

    /// What its requests in a minute and at the same time are counted with.
    pub const fn meter(&self) -> &Meter {
        &self.meter
    }

    /// When it was made, in milliseconds since 1970.
    pub const fn created_ms(&self) -> u64 {
        self.created_ms
    }

    /// When its terms were changed last, in milliseconds since 1970.
    pub fn updated_ms(&self) -> u64 {
        self.updated_ms.load(Ordering::Acquire)
    }

    /// Whether it was deleted.
    pub fn deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// Whether it works no more, or not now: it was switched off, or its member has left.
    pub fn disabled(&self) -> bool {
        self.terms.load().disabled || self.member.as_ref().is_some_and(|member| member.removed())
    }

    /// What it has been charged, ever.
    pub fn spent(&self) -> NanoUsd {
        self.budget.charged()
    }

    /// What it spent, with the day, week and month that `now_ms` is in.
    pub fn usage(&self, now_ms: u64) -> Spent {
        self.budget.spent(now_ms)
    }

    /// What its own limit leaves for new holds at a moment; absent without a limit.
    pub fn limit_left(&self, now_ms: u64) -> Option<NanoUsd> {
        Limit::left(self.limit(), &self.budget, now_ms)
    }

    /// What the key's limit and its member's budget leave for new holds at a moment; absent where
    /// there is neither.
    pub fn left(&self, now_ms: u64) -> Option<NanoUsd> {
        let budget = self.member.as_ref();
        let budget = budget.and_then(|one| Limit::left(one.limit(), &one.budget, now_ms));
        let limit = self.limit_left(now_ms);
        limit.into_iter().chain(budget).min()
    }

    /// Whether its own limit has refused a request in the limit's period that `now_ms` is in, since
    /// its terms were changed last and this process began.
    pub fn refused_by_limit(&self, now_ms: u64) -> bool {
        let at = self.refused_ms.load(Ordering::Relaxed);
        let reset = self.terms.load().reset;
        at != 0 && reset.is_none_or(|reset| reset.period(at) == reset.period(now_ms))
    }

    pub(crate) const fn hash(&self) -> &KeyHash {
        &self.hash
    }

    pub(crate) fn set_terms(&self, terms: KeyTerms, now_ms: u64) {
        self.terms.store(Arc::new(terms));
        self.refused_ms.store(0, Ordering::Relaxed);
        self.updated_ms.store(now_ms, Ordering::Release);
    }

    pub(crate) fn delete(&self) {
        self.deleted.store(true, Ordering::Release);
    }

    fn limit(&self) -> Option<Limit> {
        let terms = self.terms.load();
        let with_byok = terms.byok_in_limit;
        terms.limit.map(|most| Limit { most, reset: terms.reset, with_byok })
    }

    /// Reserves between `floor` and `want` from the key's budget, its member's and the account's
    /// credit, for a hold that was placed at a moment.
    pub(crate) fn reserve(
        &self,
        want: NanoUsd,
        floor: NanoUsd,
        placed_ms: u64,
    ) -> Result<NanoUsd, Short> {
        let want = want.0.max(0);
        let floor = floor.0.clamp(0, want);
        let key = self.budget.take(self.limit(), (want, floor), placed_ms).map_err(|left| {
            self.refused_ms.store(placed_ms.max(1), Ordering::Relaxed);
            Short::Limit(NanoUsd(left))
        })?;
        let granted = self.reserve_shared(key, floor, placed_ms);
        let used = granted.unwrap_or(NanoUsd::ZERO).0;
        if used < key {
            self.budget.give_back(key - used, placed_ms);
        }
        granted
    }

    /// What the key shares with others: the member's budget and the account's credit.
    fn reserve_shared(&self, want: i64, floor: i64, placed_ms: u64) -> Result<NanoUsd, Short> {
        let credit = |want| {
            let granted = self.account.reserve(want, floor);
            granted.map(NanoUsd).map_err(|available| Short::Credit(NanoUsd(available)))
        };
        let Some(member) = &self.member else { return credit(want) };
        let share = member
            .budget
            .take(member.limit(), (want, floor), placed_ms)
            .map_err(|left| Short::Member(NanoUsd(left)))?;
        let granted = credit(share);
        let used = granted.unwrap_or(NanoUsd::ZERO).0;
        if used < share {
            member.budget.give_back(share - used, placed_ms);
        }
        granted
    }

    /// Ends a hold of `granted`, placed at a moment, with a charge of `cost`; `byok` is what the
    /// account's own contract with the provider cost.
    pub(crate) fn release(&self, granted: NanoUsd, placed_ms: u64, cost: NanoUsd, byok: NanoUsd) {
        self.budget.end(granted.0, placed_ms, cost.0, byok.0);
        if let Some(member) = &self.member {
            member.budget.end(granted.0, placed_ms, cost.0, byok.0);
        }
        self.account.release(granted.0, cost.0);
    }
}
