//! What a durable entry changes for requests.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::ledger::entry::{Entry, Event};
use crate::ledger::keys::{Budget, KeyTable};
use crate::ledger::state::{AccountState, MemberState};
use crate::vocab::{AccountId, NanoUsd};

/// Shows requests what a durable entry changed. Holds and their ends are known to them already.
///
/// A table is only made anew where somebody is added or goes; it is the writer alone who does that.
pub(crate) fn bring_to_life(entry: &Entry, table: &ArcSwap<KeyTable>) {
    match &entry.event {
        Event::AccountCreated { account, terms } => {
            let state = AccountState {
                created_ms: entry.time_ms,
                terms: (**terms).clone(),
                ..AccountState::default()
            };
            renew(table, |next| next.add_account(account.clone(), &state));
        }
        Event::AccountChanged { account, terms } => {
            table.load().set_account_terms(account, (**terms).clone());
        }
        Event::OrganisationSet { organisation, terms } => {
            renew(table, |next| next.set_organisation(organisation, (**terms).clone()));
        }
        Event::MemberSet { account, user, terms } => {
            if let Some(member) = table.load().member(account, user) {
                member.set_terms(*terms);
                return;
            }
            let state =
                MemberState { terms: *terms, created_ms: entry.time_ms, ..MemberState::default() };
            let name = (account.clone(), user.clone());
            renew(table, |next| next.add_member(name, &state, Budget::default()));
        }
        Event::MemberRemoved { account, user } => {
            if let Some(member) = table.load().member(account, user) {
                member.remove();
            }
        }
        Event::KeyCreated(new) => {
            renew(table, |next| next.open_key((**new).clone(), entry.time_ms));
        }
        Event::KeyChanged { key, terms } => {
            if let Some(key) = table.load().key(key.as_str()) {
                key.set_terms((**terms).clone(), entry.time_ms);
            }
        }
        Event::KeyDisabled { key } => {
            if let Some(key) = table.load().key(key.as_str()) {
                let mut terms = (**key.terms()).clone();
                terms.disabled = true;
                key.set_terms(terms, entry.time_ms);
            }
        }
        Event::KeyDeleted { key } => renew(table, |next| next.delete_key(key)),
        // What is taken away was taken from the live balance before it was queued.
        Event::ToppedUp { account, amount, .. }
        | Event::Adjusted { account, amount, .. }
        | Event::Moved { to: account, amount, .. } => {
            if amount.0 > 0 {
                credit(table, account, *amount);
            }
        }
        Event::Held { .. }
        | Event::HeldAhead { .. }
        | Event::Unused { .. }
        | Event::Settled { .. }
        | Event::Voided { .. }
        | Event::Recorded { .. } => {}
    }
}

fn renew(table: &ArcSwap<KeyTable>, change: impl FnOnce(&mut KeyTable)) {
    let mut next = KeyTable::clone(&table.load());
    change(&mut next);
    table.store(Arc::new(next));
}

fn credit(table: &ArcSwap<KeyTable>, account: &AccountId, amount: NanoUsd) {
    if let Some(account) = table.load().account(account.as_str()) {
        account.credit(amount.0);
    }
}
