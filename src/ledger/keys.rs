//! The hot side of the ledger: keys and accounts as requests see them.
//!
//! A [`KeyTable`] is an immutable snapshot that is swapped when a key or an account is made. What
//! changes with every request, balances, is atomic inside it. So finding a key and reserving
//! credit take no lock.
//!
//! An account has one decisive number, `available` (balance less holds): a hold takes from it by
//! compare-and-swap, so two requests can never take the same credit. A key with a limit has
//! another, `committed` (spent and held). A hold takes from the key first and gives back what the
//! account could not cover; in between another request may find the key fuller than it is, and be
//! refused, but never the other way round.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::vocab::{AccountId, KeyId, NanoUsd};

use super::entry::NewKeyEntry;
use super::state::{AccountState, KeyState, State};

/// The keyed hash of a key.
pub type KeyHash = [u8; 32];

/// An account's live balance.
#[derive(Debug)]
pub struct Account {
    id: AccountId,
    created_ms: u64,
    available: AtomicI64,
    bought: AtomicI64,
    used: AtomicI64,
    held: AtomicI64,
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

/// A key as requests see it.
pub struct KeyEntry {
    id: KeyId,
    label: String,
    shown: String,
    account: Arc<Account>,
    hash: KeyHash,
    limit: Option<NanoUsd>,
    expires_ms: Option<u64>,
    created_ms: u64,
    disabled: AtomicBool,
    spent: AtomicI64,
    /// Spent and held: what counts against the limit.
    committed: AtomicI64,
}

impl fmt::Debug for KeyEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyEntry").field("id", &self.id).finish_non_exhaustive()
    }
}

impl KeyEntry {
    pub(crate) fn new(state: &KeyState, account: Arc<Account>) -> Self {
        let new = &state.entry;
        Self {
            id: new.key.clone(),
            label: new.label.clone(),
            shown: new.shown.clone(),
            account,
            hash: new.hash,
            limit: new.limit,
            expires_ms: new.expires_ms,
            created_ms: state.created_ms,
            disabled: AtomicBool::new(state.disabled),
            spent: AtomicI64::new(state.spent.0),
            committed: AtomicI64::new((state.spent + state.held).0),
        }
    }

    /// The key's public name.
    pub const fn id(&self) -> &KeyId {
        &self.id
    }

    /// Its name for people.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Its first characters, for people to recognise it by.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The account that pays.
    pub const fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// The most that it may ever spend.
    pub const fn limit(&self) -> Option<NanoUsd> {
        self.limit
    }

    /// When it stops working, in milliseconds since 1970.
    pub const fn expires_ms(&self) -> Option<u64> {
        self.expires_ms
    }

    /// When it was made, in milliseconds since 1970.
    pub const fn created_ms(&self) -> u64 {
        self.created_ms
    }

    /// Whether it was switched off.
    pub fn disabled(&self) -> bool {
        self.disabled.load(Ordering::Acquire)
    }

    /// Whether it has stopped working.
    pub fn expired(&self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|expires| now_ms >= expires)
    }

    /// What it has spent, ever.
    pub fn spent(&self) -> NanoUsd {
        NanoUsd(self.spent.load(Ordering::Acquire))
    }

    /// What its limit leaves for new holds; absent without a limit.
    pub fn limit_left(&self) -> Option<NanoUsd> {
        self.limit.map(|limit| limit - NanoUsd(self.committed.load(Ordering::Acquire)))
    }

    pub(crate) fn disable(&self) {
        self.disabled.store(true, Ordering::Release);
    }

    /// Reserves between `floor` and `want` from the key's limit and the account's credit.
    pub(crate) fn reserve(&self, want: NanoUsd, floor: NanoUsd) -> Result<NanoUsd, Short> {
        let want = want.0.max(0);
        let floor = floor.0.clamp(0, want);
        let from_key = self.commit(want, floor).map_err(|left| Short::Limit(NanoUsd(left)))?;
        match self.account.reserve(from_key, floor) {
            Ok(granted) => {
                if granted < from_key {
                    self.committed.fetch_sub(from_key - granted, Ordering::AcqRel);
                }
                Ok(NanoUsd(granted))
            }
            Err(available) => {
                self.committed.fetch_sub(from_key, Ordering::AcqRel);
                Err(Short::Credit(NanoUsd(available)))
            }
        }
    }

    fn commit(&self, want: i64, floor: i64) -> Result<i64, i64> {
        let Some(limit) = self.limit else {
            self.committed.fetch_add(want, Ordering::AcqRel);
            return Ok(want);
        };
        let mut committed = self.committed.load(Ordering::Acquire);
        loop {
            let left = limit.0.saturating_sub(committed);
            let take = left.clamp(0, want);
            if take < floor {
                return Err(left);
            }
            match self.committed.compare_exchange_weak(
                committed,
                committed + take,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Ok(take),
                Err(now) => committed = now,
            }
        }
    }

    /// Ends a hold of `granted` with a charge of `cost`.
    pub(crate) fn release(&self, granted: NanoUsd, cost: NanoUsd) {
        self.spent.fetch_add(cost.0, Ordering::AcqRel);
        self.committed.fetch_add(cost.0 - granted.0, Ordering::AcqRel);
        self.account.release(granted.0, cost.0);
    }
}

/// What did not suffice, and how much of it is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Short {
    Credit(NanoUsd),
    Limit(NanoUsd),
}

/// Every key and account: an immutable snapshot, found without a lock.
#[derive(Clone)]
pub struct KeyTable {
    pepper: Arc<Zeroizing<[u8; 32]>>,
    /// By the first half of the hash; the second half is compared in constant time.
    by_hash: HashMap<u128, Arc<KeyEntry>>,
    accounts: HashMap<AccountId, Arc<Account>>,
}

impl fmt::Debug for KeyTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyTable")
            .field("keys", &self.by_hash.len())
            .field("accounts", &self.accounts.len())
            .finish_non_exhaustive()
    }
}

impl KeyTable {
    /// An empty table whose hashes are keyed with `pepper`.
    pub fn new(pepper: [u8; 32]) -> Self {
        Self {
            pepper: Arc::new(Zeroizing::new(pepper)),
            by_hash: HashMap::new(),
            accounts: HashMap::new(),
        }
    }

    /// The table of a state.
    pub(crate) fn of(state: &State, pepper: [u8; 32]) -> Self {
        let mut table = Self::new(pepper);
        for (id, account) in &state.accounts {
            table.add_account(Arc::new(Account::new(id.clone(), account)));
        }
        for key in state.keys.values() {
            table.add_key(key);
        }
        table
    }

    pub(crate) fn add_account(&mut self, account: Arc<Account>) {
        self.accounts.insert(account.id().clone(), account);
    }

    /// Adds a key whose account is in the table; a key of an unknown account is left out.
    pub(crate) fn add_key(&mut self, key: &KeyState) {
        if let Some(account) = self.accounts.get(&key.entry.account) {
            let entry = KeyEntry::new(key, Arc::clone(account));
            self.by_hash.insert(half(&key.entry.hash).0, Arc::new(entry));
        }
    }

    /// Adds a new account.
    pub(crate) fn open_account(&mut self, id: AccountId, created_ms: u64) {
        let state = AccountState { created_ms, ..AccountState::default() };
        self.add_account(Arc::new(Account::new(id, &state)));
    }

    /// Adds a new key.
    pub(crate) fn open_key(&mut self, entry: NewKeyEntry, created_ms: u64) {
        self.add_key(&KeyState::new(entry, created_ms));
    }

    /// The keyed hash of a key's text.
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        *blake3::keyed_hash(&self.pepper, key).as_bytes()
    }

    /// Finds a key by its text.
    pub fn find(&self, key: &[u8]) -> Option<&Arc<KeyEntry>> {
        let hash = self.hash(key);
        let (name, rest) = half(&hash);
        let entry = self.by_hash.get(&name)?;
        bool::from(half(&entry.hash).1.ct_eq(rest)).then_some(entry)
    }

    /// Whether a new key's hash would stand in the way of another's.
    pub(crate) fn taken(&self, hash: &KeyHash) -> bool {
        self.by_hash.contains_key(&half(hash).0)
    }

    /// An account.
    pub fn account(&self, id: &str) -> Option<&Arc<Account>> {
        self.accounts.get(id)
    }

    /// Every account, in no order.
    pub fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.accounts.values()
    }

    /// Every key, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<KeyEntry>> {
        self.by_hash.values()
    }

    /// A key by its public name; looks at every key.
    pub fn key(&self, id: &str) -> Option<&Arc<KeyEntry>> {
        self.keys().find(|key| key.id().as_str() == id)
    }
}

fn half(hash: &KeyHash) -> (u128, &[u8]) {
    let (first, rest) = hash.split_at(16);
    (first.iter().fold(0, |bits, byte| bits << 8 | u128::from(*byte)), rest)
}
