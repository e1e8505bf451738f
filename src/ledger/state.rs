//! The ledger's state machine: what the journal's entries add up to.
//!
//! [`State::apply`] is the only thing that changes a state, and it is deterministic: the writer
//! uses it before an entry is written, recovery when the journal is replayed, and `verify` when it
//! is checked. An entry that is refused leaves the state as it was, and a refused entry is never
//! written, so a sound journal replays without one refusal.
//!
//! A generation ends at most once. Ids of ended generations are kept in a window of the newest
//! [`State::WINDOW`]; they sort by time, so an older id is rare and is looked up in [`History`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use crate::vocab::{AccountId, GenerationId, KeyId, NanoUsd};

use super::book::Book;
use super::entry::{Entry, Event, GENESIS, NewKeyEntry};
use super::record::GenerationRecord;

/// The most that one top-up or adjustment may move: a thousand million dollars.
pub const TRANSFER_MAX: NanoUsd = NanoUsd::from_dollars(1_000_000_000);

/// The most that one generation can cost: a million dollars. A larger cost is a bug in a price.
pub const CHARGE_MAX: NanoUsd = NanoUsd::from_dollars(1_000_000);

/// The most that an account may have bought in its life, which keeps every sum within range.
const BOUGHT_MAX: i64 = 4_000_000_000_000_000_000;

/// What an account has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountState {
    /// When it was opened, in milliseconds since 1970.
    pub created_ms: u64,
    /// Credit bought or given, ever.
    pub bought: NanoUsd,
    /// Credit used up, ever.
    pub used: NanoUsd,
    /// Set aside by open holds.
    pub held: NanoUsd,
}

impl AccountState {
    /// Bought less used.
    pub fn balance(&self) -> NanoUsd {
        self.bought - self.used
    }

    /// What a new hold can take.
    pub fn available(&self) -> NanoUsd {
        self.balance() - self.held
    }
}

/// What is known about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyState {
    /// As it was made.
    pub entry: NewKeyEntry,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// It was switched off.
    pub disabled: bool,
    /// What it has spent, ever.
    pub spent: NanoUsd,
    /// Set aside by its open holds.
    pub held: NanoUsd,
}

impl KeyState {
    /// A key that has spent nothing.
    pub const fn new(entry: NewKeyEntry, created_ms: u64) -> Self {
        let nothing = NanoUsd::ZERO;
        Self { entry, created_ms, disabled: false, spent: nothing, held: nothing }
    }
}

/// An open hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldState {
    /// Who pays.
    pub account: AccountId,
    /// Who asked.
    pub key: KeyId,
    /// How much is set aside.
    pub granted: NanoUsd,
    /// When it was asked for, in milliseconds since 1970.
    pub placed_ms: u64,
}

/// Why an entry does not fit the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The sequence has a gap or a repetition.
    Sequence,
    /// Time ran backwards.
    Time,
    /// There is already such an account.
    AccountExists,
    /// There is no such account.
    NoSuchAccount,
    /// There is already such a key.
    KeyExists,
    /// There is no such key.
    NoSuchKey,
    /// The idempotency key was used before.
    ReceiptUsed,
    /// The amount is negative, zero or too large for the kind of entry.
    Amount,
    /// The generation has an open hold.
    HoldExists,
    /// The generation has no open hold.
    NoSuchHold,
    /// The generation has already ended.
    AlreadyEnded,
    /// The record names another account or key than the hold.
    WrongCaller,
    /// Whether the generation has ended could not be looked up.
    History(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sequence => "the sequence has a gap or a repetition",
            Self::Time => "time ran backwards",
            Self::AccountExists => "the account exists already",
            Self::NoSuchAccount => "there is no such account",
            Self::KeyExists => "the key exists already",
            Self::NoSuchKey => "there is no such key",
            Self::ReceiptUsed => "the idempotency key was used before, for another transfer",
            Self::Amount => "the amount is out of range for this kind of entry",
            Self::HoldExists => "the generation has an open hold already",
            Self::NoSuchHold => "the generation has no open hold",
            Self::AlreadyEnded => "the generation has ended already",
            Self::WrongCaller => "the record names another account or key than the hold",
            Self::History(why) => return write!(f, "old generations cannot be looked up: {why}"),
        })
    }
}

impl std::error::Error for Refused {}

/// Answers whether a generation older than the window has ended.
pub trait History {
    /// Whether the generation has ended.
    ///
    /// # Errors
    /// It cannot be looked up; the text says why.
    fn ended(&self, id: GenerationId) -> Result<bool, String>;
}

/// For a state that forgets nothing, or that starts from nothing.
pub struct NoHistory;

impl History for NoHistory {
    fn ended(&self, _: GenerationId) -> Result<bool, String> {
        Ok(false)
    }
}

/// What a transfer's idempotency key was used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The account that was topped up or adjusted.
    pub account: AccountId,
    /// The amount.
    pub amount: NanoUsd,
}

/// Everything that the entries so far add up to, save the records of ended generations.
#[derive(Clone, Debug)]
pub struct State {
    pub(crate) seq: u64,
    pub(crate) time_ms: u64,
    /// The hash that the next entry is chained to.
    pub(crate) head: [u8; 32],
    pub(crate) accounts: HashMap<AccountId, AccountState>,
    pub(crate) keys: HashMap<KeyId, KeyState>,
    pub(crate) holds: HashMap<GenerationId, HoldState>,
    pub(crate) receipts: HashMap<String, Receipt>,
    /// Every book that is no customer's.
    pub(crate) books: BTreeMap<Book, i128>,
    /// Σ of all debits and, equal to it, Σ of all credits.
    pub(crate) moved: i128,
    /// How many generations ended, and how many of them with a charge.
    pub(crate) ended_count: u64,
    pub(crate) charged_count: u64,
    ended: BTreeSet<GenerationId>,
    /// The newest id that ended.
    pub(crate) ended_max: GenerationId,
    /// Ids below this are looked up in history.
    pub(crate) ended_floor: GenerationId,
    window: usize,
}

impl Default for State {
    fn default() -> Self {
        Self::new(Self::WINDOW)
    }
}

impl State {
    /// How many ended generations are remembered by default.
    pub const WINDOW: usize = 65_536;

    /// An empty ledger that remembers `window` ended generations.
    pub fn new(window: usize) -> Self {
        Self {
            seq: 0,
            time_ms: 0,
            head: GENESIS,
            accounts: HashMap::new(),
            keys: HashMap::new(),
            holds: HashMap::new(),
            receipts: HashMap::new(),
            books: BTreeMap::new(),
            moved: 0,
            ended_count: 0,
            charged_count: 0,
            ended: BTreeSet::new(),
            ended_max: GenerationId::from_bits(0),
            ended_floor: GenerationId::from_bits(0),
            window,
        }
    }

    /// The sequence of the last entry applied; 0 for none.
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// What an account has.
    pub fn account(&self, id: &AccountId) -> Option<&AccountState> {
        self.accounts.get(id)
    }

    /// An open hold.
    pub fn hold(&self, id: GenerationId) -> Option<&HoldState> {
        self.holds.get(&id)
    }

    /// The sum of all balances, customers' and others': zero, always.
    pub fn sum_of_balances(&self) -> i128 {
        let customers: i128 =
            self.accounts.values().map(|a| i128::from(a.bought.0) - i128::from(a.used.0)).sum();
        customers + self.books.values().sum::<i128>()
    }

    /// Applies the next entry.
    ///
    /// # Errors
    /// The entry does not fit; the state is unchanged.
    pub fn apply(&mut self, entry: &Entry, history: &dyn History) -> Result<(), Refused> {
        if entry.seq != self.seq.saturating_add(1) {
            return Err(Refused::Sequence);
        }
        if entry.time_ms < self.time_ms {
            return Err(Refused::Time);
        }
        self.apply_event(&entry.event, entry.time_ms, history)?;
        self.book_transfer(&entry.event);
        self.seq = entry.seq;
        self.time_ms = entry.time_ms;
        Ok(())
    }

    fn apply_event(
        &mut self,
        event: &Event,
        time_ms: u64,
        history: &dyn History,
    ) -> Result<(), Refused> {
        match event {
            Event::AccountCreated { account } => {
                if self.accounts.contains_key(account) {
                    return Err(Refused::AccountExists);
                }
                let opened = AccountState { created_ms: time_ms, ..AccountState::default() };
                self.accounts.insert(account.clone(), opened);
            }
            Event::ToppedUp { account, amount, receipt, .. } => {
                if amount.0 <= 0 {
                    return Err(Refused::Amount);
                }
                self.buy(account, *amount, receipt)?;
            }
            Event::Adjusted { account, against, amount, receipt, .. } => {
                if amount.0 == 0 || matches!(against, Book::Customer(_)) {
                    return Err(Refused::Amount);
                }
                self.buy(account, *amount, receipt)?;
            }
            Event::KeyCreated(new) => self.create_key(new, time_ms)?,
            Event::KeyDisabled { key } => {
                self.keys.get_mut(key).ok_or(Refused::NoSuchKey)?.disabled = true;
            }
            Event::Held { generation, key, granted, placed_ms } => {
                self.refuse_known(*generation, history)?;
                self.place(*generation, key, *granted, *placed_ms)?;
            }
            Event::Settled { record, .. } => {
                if !(0..=CHARGE_MAX.0).contains(&record.cost.0) {
                    return Err(Refused::Amount);
                }
                self.finish(record, history)?;
                self.charged_count += 1;
            }
            Event::Voided { record, .. } => {
                if record.cost != NanoUsd::ZERO {
                    return Err(Refused::Amount);
                }
                self.finish(record, history)?;
            }
            Event::Recorded { record } => self.note(record, history)?,
        }
        Ok(())
    }

    fn buy(&mut self, account: &AccountId, amount: NanoUsd, receipt: &str) -> Result<(), Refused> {
        if amount.0.saturating_abs() > TRANSFER_MAX.0 {
            return Err(Refused::Amount);
        }
        if self.receipts.contains_key(receipt) {
            return Err(Refused::ReceiptUsed);
        }
        let state = self.accounts.get_mut(account).ok_or(Refused::NoSuchAccount)?;
        let bought = state.bought.0.checked_add(amount.0).ok_or(Refused::Amount)?;
        if bought.saturating_abs() > BOUGHT_MAX {
            return Err(Refused::Amount);
        }
        state.bought = NanoUsd(bought);
        let used_for = Receipt { account: account.clone(), amount };
        self.receipts.insert(receipt.to_owned(), used_for);
        Ok(())
    }

    fn create_key(&mut self, new: &NewKeyEntry, time_ms: u64) -> Result<(), Refused> {
        if !self.accounts.contains_key(&new.account) {
            return Err(Refused::NoSuchAccount);
        }
        if self.keys.contains_key(&new.key) {
            return Err(Refused::KeyExists);
        }
        self.keys.insert(new.key.clone(), KeyState::new(new.clone(), time_ms));
        Ok(())
    }

    fn place(
        &mut self,
        generation: GenerationId,
        key: &KeyId,
        granted: NanoUsd,
        placed_ms: u64,
    ) -> Result<(), Refused> {
        if granted.0 < 0 {
            return Err(Refused::Amount);
        }
        let key_state = self.keys.get_mut(key).ok_or(Refused::NoSuchKey)?;
        let account = key_state.entry.account.clone();
        let account_state = self.accounts.get_mut(&account).ok_or(Refused::NoSuchAccount)?;
        let account_held = account_state.held.0.checked_add(granted.0).ok_or(Refused::Amount)?;
        let key_held = key_state.held.0.checked_add(granted.0).ok_or(Refused::Amount)?;
        account_state.held = NanoUsd(account_held);
        key_state.held = NanoUsd(key_held);
        let hold = HoldState { account, key: key.clone(), granted, placed_ms };
        self.holds.insert(generation, hold);
        Ok(())
    }

    /// Ends a hold and charges the record's cost.
    fn finish(&mut self, record: &GenerationRecord, history: &dyn History) -> Result<(), Refused> {
        let Some(hold) = self.holds.get(&record.id) else {
            self.refuse_known(record.id, history)?;
            return Err(Refused::NoSuchHold);
        };
        if hold.account != record.account || hold.key != record.key {
            return Err(Refused::WrongCaller);
        }
        let granted = hold.granted;
        let account = self.accounts.get_mut(&record.account).ok_or(Refused::NoSuchAccount)?;
        let key = self.keys.get_mut(&record.key).ok_or(Refused::NoSuchKey)?;
        let used = account.used.0.checked_add(record.cost.0).ok_or(Refused::Amount)?;
        let spent = key.spent.0.checked_add(record.cost.0).ok_or(Refused::Amount)?;
        account.used = NanoUsd(used);
        account.held -= granted;
        key.spent = NanoUsd(spent);
        key.held -= granted;
        self.holds.remove(&record.id);
        self.remember(record.id);
        Ok(())
    }

    fn note(&mut self, record: &GenerationRecord, history: &dyn History) -> Result<(), Refused> {
        if record.cost != NanoUsd::ZERO {
            return Err(Refused::Amount);
        }
        let key = self.keys.get(&record.key).ok_or(Refused::NoSuchKey)?;
        if key.entry.account != record.account {
            return Err(Refused::WrongCaller);
        }
        self.refuse_known(record.id, history)?;
        self.remember(record.id);
        Ok(())
    }

    fn refuse_known(&self, id: GenerationId, history: &dyn History) -> Result<(), Refused> {
        if self.holds.contains_key(&id) {
            return Err(Refused::HoldExists);
        }
        let ended = self.ended.contains(&id)
            || (id < self.ended_floor && history.ended(id).map_err(Refused::History)?);
        if ended { Err(Refused::AlreadyEnded) } else { Ok(()) }
    }

    fn remember(&mut self, id: GenerationId) {
        self.ended_count += 1;
        self.ended_max = self.ended_max.max(id);
        self.ended.insert(id);
        while self.ended.len() > self.window {
            if let Some(oldest) = self.ended.pop_first() {
                let above = GenerationId::from_bits(oldest.bits().saturating_add(1));
                self.ended_floor = self.ended_floor.max(above);
            }
        }
    }

    fn book_transfer(&mut self, event: &Event) {
        let Some(transfer) = event.transfer() else { return };
        let amount = i128::from(transfer.amount.0);
        self.moved += amount;
        for (book, change) in [(transfer.debit, -amount), (transfer.credit, amount)] {
            // Customers' balances are kept with the accounts.
            if !matches!(book, Book::Customer(_)) {
                *self.books.entry(book).or_default() += change;
            }
        }
    }
}
