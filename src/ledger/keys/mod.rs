//! The hot side of the ledger: keys and accounts as requests see them.
//!
//! A [`KeyTable`] is an immutable snapshot that is swapped when a key, a member or an account is
//! made. What changes later stands inside: terms are swapped, balances are atomic. So finding a key
//! takes no lock.
//!
//! An account has one decisive number, `available` (balance less holds): a hold takes from it by
//! compare-and-swap, so two requests can never take the same credit. A key and a member have a
//! budget ([`Budget`]), under a lock of their own that is held for a few additions. A hold takes
//! from the key first, then from its member, then from the account, and gives back what the later
//! ones could not cover; in between another request may find a budget fuller than it is, and be
//! refused, but never the other way round.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::terms::{AccountTerms, OrganisationTerms};
use crate::vocab::{AccountId, KeyId, NanoUsd};

use super::entry::NewKeyEntry;
use super::state::{AccountState, KeyState, MemberName, MemberState, State};

mod account;
mod ahead;
mod budget;
mod key;

pub use account::{Account, Balance, Organisation};
#[cfg(feature = "host")]
pub(crate) use ahead::Ahead;
pub(crate) use budget::Budget;
pub use key::{KeyEntry, Member};

/// The keyed hash of a key.
pub type KeyHash = [u8; 32];

/// What did not suffice, and how much of it is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Short {
    Credit(NanoUsd),
    Limit(NanoUsd),
    Member(NanoUsd),
}

/// Every key, member and account: an immutable snapshot, found without a lock.
#[derive(Clone)]
pub struct KeyTable {
    pepper: Arc<Zeroizing<[u8; 32]>>,
    /// By the first half of the hash; the second half is compared in constant time.
    by_hash: HashMap<u128, Arc<KeyEntry>>,
    by_id: HashMap<KeyId, Arc<KeyEntry>>,
    accounts: HashMap<AccountId, Arc<Account>>,
    organisations: HashMap<AccountId, Arc<Organisation>>,
    members: HashMap<MemberName, Arc<Member>>,
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
            by_id: HashMap::new(),
            accounts: HashMap::new(),
            organisations: HashMap::new(),
            members: HashMap::new(),
        }
    }

    /// The table of a state.
    pub(crate) fn of(state: &State, pepper: [u8; 32]) -> Self {
        let mut table = Self::new(pepper);
        for (id, terms) in &state.organisations {
            table.set_organisation(id, terms.clone());
        }
        for (id, account) in &state.accounts {
            table.add_account(id.clone(), account);
        }
        let mut by_key: HashMap<&KeyId, Vec<(u64, NanoUsd)>> = HashMap::new();
        let mut by_member: HashMap<MemberName, Vec<(u64, NanoUsd)>> = HashMap::new();
        for hold in state.holds.values() {
            let one = (hold.placed_ms, hold.granted);
            by_key.entry(&hold.key).or_default().push(one);
            let key = state.keys.get(&hold.key);
            if let Some(user) = key.and_then(|key| key.entry.terms.member.clone()) {
                by_member.entry((hold.account.clone(), user)).or_default().push(one);
            }
        }
        let nothing = Vec::new();
        for (name, member) in &state.members {
            let holds = by_member.get(name).unwrap_or(&nothing);
            let budget = Budget::of(member.money, holds.iter().copied());
            table.add_member(name.clone(), member, budget);
        }
        for key in state.keys.values() {
            let holds = by_key.get(&key.entry.key).unwrap_or(&nothing);
            table.add_key(key, Budget::of(key.money, holds.iter().copied()));
        }
        table
    }

    /// Adds an account, or gives one its terms.
    pub(crate) fn add_account(&mut self, id: AccountId, state: &AccountState) {
        let account = Arc::new(Account::new(id.clone(), state));
        self.accounts.insert(id.clone(), account);
        self.set_account_terms(&id, state.terms.clone());
    }

    /// Gives an account its terms.
    pub(crate) fn set_account_terms(&self, id: &AccountId, terms: AccountTerms) {
        if let Some(account) = self.accounts.get(id) {
            let organisation = terms.organisation.as_ref();
            let organisation = organisation.and_then(|id| self.organisations.get(id).cloned());
            account.set_terms(terms, organisation);
        }
    }

    /// Adds an organisation, or gives one its terms.
    pub(crate) fn set_organisation(&mut self, id: &AccountId, terms: OrganisationTerms) {
        match self.organisations.get(id) {
            Some(organisation) => organisation.set_terms(terms),
            None => {
                let new = Arc::new(Organisation::new(id.clone(), terms));
                self.organisations.insert(id.clone(), new);
            }
        }
    }

    /// Adds a member.
    pub(crate) fn add_member(&mut self, name: MemberName, state: &MemberState, budget: Budget) {
        let member = Arc::new(Member::new(name.1.clone(), state, budget));
        self.members.insert(name, member);
    }

    /// Adds a key whose account is in the table; a key of an unknown account is left out. One that
    /// was deleted is found by its id only, until nothing refers to it.
    pub(crate) fn add_key(&mut self, key: &KeyState, budget: Budget) {
        let new = &key.entry;
        let Some(account) = self.accounts.get(&new.account) else { return };
        let member = new.terms.member.as_ref();
        let member =
            member.and_then(|user| self.members.get(&(new.account.clone(), user.clone())).cloned());
        let entry = Arc::new(KeyEntry::new(key, Arc::clone(account), member, budget));
        if !key.deleted {
            self.by_hash.insert(half(&new.hash).0, Arc::clone(&entry));
        }
        self.by_id.insert(new.key.clone(), entry);
    }

    /// Adds a new key.
    pub(crate) fn open_key(&mut self, entry: NewKeyEntry, created_ms: u64) {
        self.add_key(&KeyState::new(entry, created_ms), Budget::default());
    }

    /// Takes a key out: nobody finds it by its text any more.
    pub(crate) fn delete_key(&mut self, id: &KeyId) {
        if let Some(key) = self.by_id.get(id) {
            key.delete();
            self.by_hash.remove(&half(key.hash()).0);
        }
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
        bool::from(half(entry.hash()).1.ct_eq(rest)).then_some(entry)
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

    /// An organisation.
    pub fn organisation(&self, id: &str) -> Option<&Arc<Organisation>> {
        self.organisations.get(id)
    }

    /// Every organisation, in no order.
    pub fn organisations(&self) -> impl Iterator<Item = &Arc<Organisation>> {
        self.organisations.values()
    }

    /// A member of an account, also one that has left.
    pub fn member(&self, account: &AccountId, user: &str) -> Option<&Arc<Member>> {
        self.members.get(&(account.clone(), user.to_owned()))
    }

    /// The members of an account who have not left, in no order.
    pub fn members<'a>(&'a self, account: &'a AccountId) -> impl Iterator<Item = &'a Arc<Member>> {
        let of = self.members.iter().filter(move |(name, _)| name.0 == *account);
        of.map(|(_, member)| member).filter(|member| !member.removed())
    }

    /// Every key that is not deleted, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<KeyEntry>> {
        self.by_hash.values()
    }

    /// A key that is not deleted, by its public name.
    pub fn key(&self, id: &str) -> Option<&Arc<KeyEntry>> {
        self.by_id.get(id).filter(|key| !key.deleted())
    }
}

fn half(hash: &KeyHash) -> (u128, &[u8]) {
    let (first, rest) = hash.split_at(16);
    (first.iter().fold(0, |bits, byte| bits << 8 | u128::from(*byte)), rest)
}
