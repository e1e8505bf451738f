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

use crate::terms::{AccountTerms, MemberTerms, OrganisationTerms, Span};
use crate::vocab::{AccountId, GenerationId, KeyId, NanoUsd};

use super::book::Book;
use super::entry::{Entry, Event, GENESIS, NewKeyEntry};
use super::record::GenerationRecord;
pub use super::refused::Refused;

/// The most that one top-up or adjustment may move: a thousand million dollars.
pub const TRANSFER_MAX: NanoUsd = NanoUsd::from_dollars(1_000_000_000);

/// The most that one generation can cost: a million dollars. A larger cost is a bug in a price.
pub const CHARGE_MAX: NanoUsd = NanoUsd::from_dollars(1_000_000);

/// The most that an account may have bought in its life, which keeps every sum within range.
const BOUGHT_MAX: i64 = 4_000_000_000_000_000_000;

/// What an account has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountState {
    /// When it was opened, in milliseconds since 1970.
    pub created_ms: u64,
    /// What it has agreed to.
    pub terms: AccountTerms,
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

/// What was spent by a key or a member, and is set aside by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Charged, ever.
    pub spent: NanoUsd,
    /// Paid to providers by the account's own contracts, ever.
    pub byok: NanoUsd,
    /// Set aside by open holds.
    pub held: NanoUsd,
    /// The latest day, week and month.
    pub span: Span,
}

/// What is known about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyState {
    /// As it was made, with the terms that it has now.
    pub entry: NewKeyEntry,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When its terms were changed last, in milliseconds since 1970.
    pub updated_ms: u64,
    /// It is gone for good; kept for what still refers to it.
    pub deleted: bool,
    /// What it spent.
    pub money: Spent,
}

impl KeyState {
    /// A key that has spent nothing.
    pub fn new(entry: NewKeyEntry, created_ms: u64) -> Self {
        Self { entry, created_ms, updated_ms: created_ms, deleted: false, money: Spent::default() }
    }
}

/// A member of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberState {
    /// What they may do.
    pub terms: MemberTerms,
    /// When they joined, in milliseconds since 1970.
    pub created_ms: u64,
    /// They have left; kept for their keys, which do not work any more.
    pub removed: bool,
    /// What their keys spent together.
    pub money: Spent,
}

/// Who a member is: the account and the user.
pub type MemberName = (AccountId, String);

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
    /// It was placed before anybody asked for it.
    pub ahead: bool,
}

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
    pub(crate) organisations: BTreeMap<AccountId, OrganisationTerms>,
    pub(crate) members: BTreeMap<MemberName, MemberState>,
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
            organisations: BTreeMap::new(),
            members: BTreeMap::new(),
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
        self.book_transfers(&entry.event);
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
            Event::ToppedUp { account, amount, fee, receipt, .. } => {
                if amount.0 <= 0 || !(0..=TRANSFER_MAX.0).contains(&fee.0) {
                    return Err(Refused::Amount);
                }
                self.buy(account, *amount, receipt)
            }
            Event::Adjusted { account, against, amount, receipt, .. } => {
                if amount.0 == 0 || matches!(against, Book::Customer(_)) {
                    return Err(Refused::Amount);
                }
                self.buy(account, *amount, receipt)
            }
            Event::Moved { from, to, amount, receipt, .. } => {
                self.move_credit(from, to, *amount, receipt)
            }
            Event::Held { generation, key, granted, placed_ms } => {
                self.refuse_known(*generation, history)?;
                self.place(*generation, key, *granted, *placed_ms)
            }
            Event::HeldAhead { generation, key, placed_ms } => {
                self.refuse_known(*generation, history)?;
                self.place_ahead(*generation, key, *placed_ms)
            }
            Event::Unused { generation, .. } => self.withdraw(*generation, history),
            Event::Settled { record, .. } => {
                let more = &record.details;
                let amounts = [record.cost, more.discount, more.plugins, record.paid_directly()];
                if !amounts.iter().all(|amount| (0..=CHARGE_MAX.0).contains(&amount.0)) {
                    return Err(Refused::Amount);
                }
                self.finish(record, history)?;
                self.charged_count += 1;
                Ok(())
            }
            Event::Voided { record, .. } => {
                if record.cost != NanoUsd::ZERO {
                    return Err(Refused::Amount);
                }
                self.finish(record, history)
            }
            Event::Recorded { record } => self.note(record, history),
            Event::AccountCreated { .. }
            | Event::AccountChanged { .. }
            | Event::OrganisationSet { .. }
            | Event::MemberSet { .. }
            | Event::MemberRemoved { .. }
            | Event::KeyCreated(_)
            | Event::KeyChanged { .. }
            | Event::KeyDisabled { .. }
            | Event::KeyDeleted { .. } => self.agree(event, time_ms),
        }
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

    fn move_credit(
        &mut self,
        from: &AccountId,
        to: &AccountId,
        amount: NanoUsd,
        receipt: &str,
    ) -> Result<(), Refused> {
        if amount.0 <= 0 || from == to {
            return Err(Refused::Amount);
        }
        let giver = self.accounts.get(from).ok_or(Refused::NoSuchAccount)?;
        if !self.accounts.contains_key(to) {
            return Err(Refused::NoSuchAccount);
        }
        if !self.receipts.contains_key(receipt) && giver.available() < amount {
            return Err(Refused::NotCovered);
        }
        let left = giver.bought.0.checked_sub(amount.0).ok_or(Refused::Amount)?;
        self.buy(to, amount, receipt)?;
        if let Some(giver) = self.accounts.get_mut(from) {
            giver.bought = NanoUsd(left);
        }
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
        let key_held = key_state.money.held.0.checked_add(granted.0).ok_or(Refused::Amount)?;
        account_state.held = NanoUsd(account_held);
        key_state.money.held = NanoUsd(key_held);
        if let Some(user) = &key_state.entry.terms.member
            && let Some(member) = self.members.get_mut(&(account.clone(), user.clone()))
        {
            member.money.held += granted;
        }
        let hold = HoldState { account, key: key.clone(), granted, placed_ms, ahead: false };
        self.holds.insert(generation, hold);
        Ok(())
    }

    fn place_ahead(
        &mut self,
        generation: GenerationId,
        key: &KeyId,
        placed_ms: u64,
    ) -> Result<(), Refused> {
        let account = self.keys.get(key).ok_or(Refused::NoSuchKey)?.entry.account.clone();
        let (key, granted) = (key.clone(), NanoUsd::ZERO);
        let hold = HoldState { account, key, granted, placed_ms, ahead: true };
        self.holds.insert(generation, hold);
        Ok(())
    }

    /// Takes back a hold that was placed ahead and that nobody used.
    fn withdraw(&mut self, id: GenerationId, history: &dyn History) -> Result<(), Refused> {
        if !self.holds.get(&id).is_some_and(|hold| hold.ahead) {
            if !self.holds.contains_key(&id) {
                self.refuse_known(id, history)?;
            }
            return Err(Refused::NoSuchHold);
        }
        self.holds.remove(&id);
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
        let (granted, placed_ms) = (hold.granted, hold.placed_ms);
        let account = self.accounts.get_mut(&record.account).ok_or(Refused::NoSuchAccount)?;
        let key = self.keys.get_mut(&record.key).ok_or(Refused::NoSuchKey)?;
        let byok = record.paid_directly();
        let used = account.used.0.checked_add(record.cost.0).ok_or(Refused::Amount)?;
        account.used = NanoUsd(used);
        account.held -= granted;
        key.money.end(granted, placed_ms, record.cost, byok);
        if let Some(user) = &key.entry.terms.member
            && let Some(member) = self.members.get_mut(&(record.account.clone(), user.clone()))
        {
            member.money.end(granted, placed_ms, record.cost, byok);
        }
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

    fn book_transfers(&mut self, event: &Event) {
        for transfer in event.transfers().into_iter().flatten() {
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
}

impl Spent {
    /// Ends a hold. What all charges of an account add up to is within range, so what those of one
    /// of its keys add up to is, too.
    fn end(&mut self, granted: NanoUsd, placed_ms: u64, cost: NanoUsd, byok: NanoUsd) {
        self.held -= granted;
        self.spent += cost;
        self.byok += byok;
        self.span.add(placed_ms, cost.0, byok.0);
    }
}
