//! What the index does not know yet.
//!
//! Between two checkpoints changes are only remembered by name; their values are spelled once, when
//! the checkpoint is written. A hold that is placed and ended in between leaves nothing but its
//! generation's place.

use std::collections::HashSet;
use std::sync::Arc;

use crate::ledger::book::Book;
use crate::ledger::entry::{Entry, Event};
use crate::ledger::record::GenerationRecord;
use crate::ledger::state::{MemberName, State};
use crate::vocab::{AccountId, GenerationId, KeyId};

use super::Place;
use super::index::{Rows, Store, StoreFailed};
use super::lists;
use super::rollups::Rollups;
use super::rows;

/// The changes since the last checkpoint.
#[derive(Default)]
pub(crate) struct Pending {
    accounts: HashSet<AccountId>,
    keys: HashSet<KeyId>,
    organisations: HashSet<AccountId>,
    members: HashSet<MemberName>,
    books: HashSet<Book>,
    receipts: Vec<String>,
    placed: HashSet<GenerationId>,
    gone: Vec<GenerationId>,
    ended: Vec<Ended>,
    rollups: Rollups,
    entries: usize,
}

/// A generation that ended.
pub(crate) struct Ended {
    /// The entry that ended it, and its time.
    pub(crate) seq: u64,
    pub(crate) time_ms: u64,
    pub(crate) record: Arc<GenerationRecord>,
    pub(crate) place: Place,
}

impl Pending {
    /// Nothing yet, after what the index knows.
    pub(crate) fn after(store: &dyn Store, indexed: Option<&State>) -> Result<Self, StoreFailed> {
        let Some(state) = indexed else { return Ok(Self::default()) };
        let rollups = Rollups::load(store, state.time_ms)?;
        Ok(Self { rollups, ..Self::default() })
    }

    /// How many entries are remembered.
    pub(crate) const fn len(&self) -> usize {
        self.entries
    }

    /// Remembers what an entry, which was applied to `state`, changed.
    pub(crate) fn note(&mut self, entry: &Entry, place: Place, state: &State) {
        self.entries += 1;
        self.rollups.note(entry);
        self.note_generation(entry, place);
        match &entry.event {
            Event::AccountCreated { account, .. } | Event::AccountChanged { account, .. } => {
                self.touch_account(account);
            }
            Event::OrganisationSet { organisation, .. } => {
                self.organisations.insert(organisation.clone());
            }
            Event::MemberSet { account, user, .. } | Event::MemberRemoved { account, user } => {
                self.members.insert((account.clone(), user.clone()));
            }
            Event::Moved { from, to, receipt, .. } => {
                self.touch_account(from);
                self.touch_account(to);
                self.receipts.push(receipt.clone());
            }
            Event::ToppedUp { account, receipt, .. } | Event::Adjusted { account, receipt, .. } => {
                self.touch_account(account);
                self.receipts.push(receipt.clone());
            }
            Event::KeyCreated(new) => self.touch_key(&new.key),
            Event::KeyChanged { key, .. }
            | Event::KeyDisabled { key }
            | Event::KeyDeleted { key } => self.touch_key(key),
            Event::Held { generation, key, .. } => {
                self.touch_spender(key, state);
                if let Some(key) = state.keys.get(key) {
                    self.touch_account(&key.entry.account);
                }
                self.placed.insert(*generation);
            }
            Event::HeldAhead { generation, .. } => {
                self.placed.insert(*generation);
            }
            Event::Unused { generation, .. } => self.end_hold(*generation),
            Event::Settled { record, .. } | Event::Voided { record, .. } => {
                self.touch_account(&record.account);
                self.touch_spender(&record.key, state);
                self.end_hold(record.id);
            }
            Event::Recorded { .. } => {}
        }
        for transfer in entry.event.transfers().into_iter().flatten() {
            for book in [transfer.debit, transfer.credit] {
                if !matches!(book, Book::Customer(_)) {
                    self.books.insert(book);
                }
            }
        }
    }

    fn end_hold(&mut self, id: GenerationId) {
        if !self.placed.remove(&id) {
            self.gone.push(id);
        }
    }

    /// Remembers the generation that an entry ends, if it ends one, and nothing else of it.
    pub(crate) fn note_generation(&mut self, entry: &Entry, place: Place) {
        if let Some(record) = entry.event.record() {
            let (seq, time_ms, record) = (entry.seq, entry.time_ms, Arc::clone(record));
            self.ended.push(Ended { seq, time_ms, record, place });
        }
    }

    /// How many generations are remembered.
    pub(crate) const fn generations(&self) -> usize {
        self.ended.len()
    }

    fn touch_account(&mut self, id: &AccountId) {
        if !self.accounts.contains(id) {
            self.accounts.insert(id.clone());
        }
    }

    /// A key, and the member whose it is.
    fn touch_spender(&mut self, id: &KeyId, state: &State) {
        self.touch_key(id);
        if let Some(key) = state.keys.get(id)
            && let Some(user) = &key.entry.terms.member
        {
            self.members.insert((key.entry.account.clone(), user.clone()));
        }
    }

    fn touch_key(&mut self, id: &KeyId) {
        if !self.keys.contains(id) {
            self.keys.insert(id.clone());
        }
    }

    /// Everything in a state but its generations, as for an index that knows nothing.
    pub(crate) fn whole(state: &State) -> Rows {
        let mut all = Self {
            accounts: state.accounts.keys().cloned().collect(),
            keys: state.keys.keys().cloned().collect(),
            organisations: state.organisations.keys().cloned().collect(),
            members: state.members.keys().cloned().collect(),
            books: state.books.keys().cloned().collect(),
            receipts: state.receipts.keys().cloned().collect(),
            placed: state.holds.keys().copied().collect(),
            gone: Vec::new(),
            ended: Vec::new(),
            rollups: Rollups::default(),
            entries: 0,
        };
        all.take_rows(state, false)
    }

    /// Spells the changes as rows, with their values in `state`, and forgets them.
    pub(crate) fn take_rows(&mut self, state: &State, upstream_ids: bool) -> Rows {
        let mut pending = std::mem::take(self);
        let mut out = Rows { seq: state.seq, ..Rows::default() };
        pending.rollups.put_rows(&mut out);
        self.rollups = std::mem::take(&mut pending.rollups);
        out.put.push((rows::META.to_vec(), rows::meta(state)));
        for id in &pending.accounts {
            if let Some(account) = state.accounts.get(id) {
                out.put.push((rows::key(b'a', id.as_str().as_bytes()), rows::account(account)));
            }
        }
        for id in &pending.keys {
            if let Some(key) = state.keys.get(id) {
                out.put.push((rows::key(b'k', id.as_str().as_bytes()), rows::key_row(key)));
            }
        }
        for id in &pending.organisations {
            if let Some(terms) = state.organisations.get(id) {
                let key = rows::key(b'o', id.as_str().as_bytes());
                out.put.push((key, rows::organisation(terms)));
            }
        }
        for name in &pending.members {
            if let Some(member) = state.members.get(name) {
                out.put.push((rows::member_key(name), rows::member(member)));
            }
        }
        for book in &pending.books {
            let balance = state.books.get(book).copied().unwrap_or_default();
            out.put.push((rows::book_key(book), rows::book(balance)));
        }
        for name in &pending.receipts {
            if let Some(receipt) = state.receipts.get(name) {
                out.put.push((rows::key(b'r', name.as_bytes()), rows::receipt(receipt)));
            }
        }
        for id in &pending.placed {
            if let Some(hold) = state.holds.get(id) {
                out.put.push((rows::key(b'h', &id.bits().to_be_bytes()), rows::hold(hold)));
            }
        }
        let hold_key = |id: &GenerationId| rows::key(b'h', &id.bits().to_be_bytes());
        out.delete.extend(pending.gone.iter().map(hold_key));
        ended_rows(&pending.ended, upstream_ids, &mut out);
        lists::put_rows(&pending.ended, &mut out);
        out
    }
}

fn ended_rows(ended: &[Ended], upstream_ids: bool, out: &mut Rows) {
    for Ended { record, place, .. } in ended {
        out.put.push((rows::place_key(record.id), rows::place(*place)));
        if let Some(upstream) = record.upstream_id.as_deref().filter(|_| upstream_ids) {
            out.put.push((rows::upstream_key(upstream), rows::place(*place)));
        }
    }
}
