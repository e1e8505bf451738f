//! What changes who may do what: accounts, organisations, members and keys in the state machine.

use super::entry::{Event, NewKeyEntry};
use super::state::{AccountState, KeyState, MemberState, Refused, State};
use crate::terms::{AccountTerms, KeyTerms};
use crate::vocab::KeyId;

impl State {
    /// Applies an event that moves no money.
    pub(crate) fn agree(&mut self, event: &Event, time_ms: u64) -> Result<(), Refused> {
        match event {
            Event::AccountCreated { account, terms } => {
                if self.accounts.contains_key(account) {
                    return Err(Refused::AccountExists);
                }
                self.organisation_exists(terms)?;
                let terms = (**terms).clone();
                let opened = AccountState { created_ms: time_ms, terms, ..AccountState::default() };
                self.accounts.insert(account.clone(), opened);
            }
            Event::AccountChanged { account, terms } => {
                self.organisation_exists(terms)?;
                let state = self.accounts.get_mut(account).ok_or(Refused::NoSuchAccount)?;
                state.terms = (**terms).clone();
            }
            Event::OrganisationSet { organisation, terms } => {
                self.organisations.insert(organisation.clone(), (**terms).clone());
            }
            Event::MemberSet { account, user, terms } => {
                if !self.accounts.contains_key(account) {
                    return Err(Refused::NoSuchAccount);
                }
                let name = (account.clone(), user.clone());
                let new = MemberState { created_ms: time_ms, ..MemberState::default() };
                let member = self.members.entry(name).or_insert(new);
                (member.terms, member.removed) = (*terms, false);
            }
            Event::MemberRemoved { account, user } => {
                let name = (account.clone(), user.clone());
                let member = self.members.get_mut(&name).filter(|member| !member.removed);
                member.ok_or(Refused::NoSuchMember)?.removed = true;
            }
            Event::KeyCreated(new) => self.create_key(new, time_ms)?,
            Event::KeyChanged { key, terms } => self.change_key(key, terms, time_ms)?,
            Event::KeyDisabled { key } => {
                let state = self.live_key(key)?;
                state.entry.terms.disabled = true;
                state.updated_ms = time_ms;
            }
            Event::KeyDeleted { key } => self.live_key(key)?.deleted = true,
            Event::ToppedUp { .. }
            | Event::Adjusted { .. }
            | Event::Moved { .. }
            | Event::Held { .. }
            | Event::HeldAhead { .. }
            | Event::Unused { .. }
            | Event::Settled { .. }
            | Event::Voided { .. }
            | Event::Recorded { .. } => {}
        }
        Ok(())
    }

    fn organisation_exists(&self, terms: &AccountTerms) -> Result<(), Refused> {
        match &terms.organisation {
            Some(id) if !self.organisations.contains_key(id) => Err(Refused::NoSuchOrganisation),
            Some(_) | None => Ok(()),
        }
    }

    fn live_key(&mut self, key: &KeyId) -> Result<&mut KeyState, Refused> {
        self.keys.get_mut(key).filter(|key| !key.deleted).ok_or(Refused::NoSuchKey)
    }

    fn create_key(&mut self, new: &NewKeyEntry, time_ms: u64) -> Result<(), Refused> {
        if !self.accounts.contains_key(&new.account) {
            return Err(Refused::NoSuchAccount);
        }
        if self.keys.contains_key(&new.key) {
            return Err(Refused::KeyExists);
        }
        if let Some(user) = &new.terms.member {
            let member = self.members.get(&(new.account.clone(), user.clone()));
            if member.is_none_or(|member| member.removed) {
                return Err(Refused::NoSuchMember);
            }
        }
        self.keys.insert(new.key.clone(), KeyState::new(new.clone(), time_ms));
        Ok(())
    }

    fn change_key(&mut self, key: &KeyId, terms: &KeyTerms, time_ms: u64) -> Result<(), Refused> {
        let state = self.live_key(key)?;
        if state.entry.terms.member != terms.member {
            return Err(Refused::MemberIsFixed);
        }
        state.entry.terms = terms.clone();
        state.updated_ms = time_ms;
        Ok(())
    }
}
