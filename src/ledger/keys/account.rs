//! Accounts as requests see them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::ledger::state::AccountState;
use crate::limits::Meter;
use crate::terms::{AccountTerms, OrganisationTerms};
use crate::vocab::{AccountId, NanoUsd};

/// An account's live balance.
#[derive(Debug)]
pub struct Account {
    id: AccountId,
    created_ms: u64,
    terms: ArcSwap<AccountTerms>,
    organisation: ArcSwapOption<Organisation>,
    meter: Meter,
    available: AtomicI64,
    bought: AtomicI64,
    used: AtomicI64,
    held: AtomicI64,
}

/// An organisation, which accounts belong to.
#[derive(Debug)]
pub struct Organisation {
    id: AccountId,
    terms: ArcSwap<OrganisationTerms>,
}

impl Organisation {
    pub(crate) fn new(id: AccountId, terms: OrganisationTerms) -> Self {
        Self { id, terms: ArcSwap::from_pointee(terms) }
    }

    /// Its id.
    pub const fn id(&self) -> &AccountId {
        &self.id
    }

    /// Its terms now.
    pub fn terms(&self) -> Arc<OrganisationTerms> {
        self.terms.load_full()
    }

    pub(crate) fn set_terms(&self, terms: OrganisationTerms) {
        self.terms.store(Arc::new(terms));
    }
}

/// What an account has, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Credit bought or given, ever.
    pub bought: NanoUsd,
    /// Credit used up, ever.
    pub used: NanoUsd,
    /// Set aside by open holds.
    pub held: NanoUsd,
    /// Bought less used.
    pub balance: NanoUsd,
}

impl Account {
    pub(crate) fn new(id: AccountId, state: &AccountState) -> Self {
        Self {
            id,
            created_ms: state.created_ms,
            terms: ArcSwap::from_pointee(state.terms.clone()),
            organisation: ArcSwapOption::empty(),
            meter: Meter::default(),
            available: AtomicI64::new(state.available().0),
            bought: AtomicI64::new(state.bought.0),
            used: AtomicI64::new(state.used.0),
            held: AtomicI64::new(state.held.0),
        }
    }

    /// The account's id.
    pub const fn id(&self) -> &AccountId {
        &self.id
    }

    /// When it was opened, in milliseconds since 1970.
    pub const fn created_ms(&self) -> u64 {
        self.created_ms
    }

    /// Its terms now.
    pub fn terms(&self) -> Arc<AccountTerms> {
        self.terms.load_full()
    }

    /// The organisation that it belongs to.
    pub fn organisation(&self) -> Option<Arc<Organisation>> {
        self.organisation.load_full()
    }

    /// What its requests in a minute and at the same time are counted with.
    pub const fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(crate) fn set_terms(&self, terms: AccountTerms, organisation: Option<Arc<Organisation>>) {
        self.terms.store(Arc::new(terms));
        self.organisation.store(organisation);
    }

    /// What a new hold can take.
    pub fn available(&self) -> NanoUsd {
        NanoUsd(self.available.load(Ordering::Acquire))
    }

    /// The balance now. Under load the four numbers may be a request apart.
    pub fn balance(&self) -> Balance {
        let bought = NanoUsd(self.bought.load(Ordering::Acquire));
        let used = NanoUsd(self.used.load(Ordering::Acquire));
        let held = NanoUsd(self.held.load(Ordering::Acquire));
        Balance { bought, used, held, balance: bought - used }
    }

    /// Takes between `floor` and `want`; otherwise says what is available.
    pub(crate) fn reserve(&self, want: i64, floor: i64) -> Result<i64, i64> {
        let mut available = self.available.load(Ordering::Acquire);
        loop {
            let take = available.clamp(0, want.max(0));
            if take < floor {
                return Err(available);
            }
            match self.available.compare_exchange_weak(
                available,
                available - take,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => {
                    self.held.fetch_add(take, Ordering::AcqRel);
                    return Ok(take);
                }
                Err(now) => available = now,
            }
        }
    }

    /// Ends a hold of `granted` with a charge of `cost`.
    pub(crate) fn release(&self, granted: i64, cost: i64) {
        self.used.fetch_add(cost, Ordering::AcqRel);
        self.held.fetch_sub(granted, Ordering::AcqRel);
        self.available.fetch_add(granted - cost, Ordering::AcqRel);
    }

    /// Takes bought credit away, if as much is available.
    pub(crate) fn take_back(&self, amount: i64) -> bool {
        let taken = self.reserve(amount, amount).is_ok();
        if taken {
            self.held.fetch_sub(amount, Ordering::AcqRel);
            self.bought.fetch_sub(amount, Ordering::AcqRel);
        }
        taken
    }

    /// Adds bought credit.
    pub(crate) fn credit(&self, amount: i64) {
        self.bought.fetch_add(amount, Ordering::AcqRel);
        self.available.fetch_add(amount, Ordering::AcqRel);
    }
}
