//! What both management APIs do to the ledger: the operator's on the admin listener, and the one
//! for clients with management keys.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::auth::KeyText;
use crate::content::{Keeper, Owner};
use crate::events::Events;
use crate::ledger::state::Refused;
use crate::ledger::{
    Account, Clock, GenerationRecord, KeyEntry, Ledger, Made, ManageError, Member, Organisation,
};
use crate::vocab::{AccountId, KeyId, NanoUsd};

use super::fields::{AccountFields, KeyFields, MemberFields, OrganisationFields, Wrong};

/// The ledger, with what changes of it need besides. Everything blocks until it is durable.
pub struct Desk {
    ledger: Ledger,
    clock: Clock,
    events: Arc<Events>,
    content: Option<Arc<Keeper>>,
    /// Held from reading terms until they are changed, so that no change is lost.
    changing: Mutex<()>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}

/// Why a change was not made.
#[derive(Debug)]
pub(crate) enum DeskError {
    /// A field is not possible.
    Wrong(Wrong),
    /// The ledger does not take it.
    Ledger(ManageError),
}

impl From<Wrong> for DeskError {
    fn from(wrong: Wrong) -> Self {
        Self::Wrong(wrong)
    }
}

impl From<ManageError> for DeskError {
    fn from(error: ManageError) -> Self {
        Self::Ledger(error)
    }
}

impl From<Refused> for DeskError {
    fn from(refused: Refused) -> Self {
        Self::Ledger(ManageError::Refused(refused))
    }
}

impl Desk {
    /// A desk over this ledger. `clock` gives milliseconds since 1970, `content` is what is kept of
    /// prompts and answers.
    pub fn new(
        ledger: Ledger,
        clock: Clock,
        events: Arc<Events>,
        content: Option<Arc<Keeper>>,
    ) -> Self {
        Self { ledger, clock, events, content, changing: Mutex::new(()) }
    }

    /// Deletes what is kept of a generation's prompt and answer, if anything is.
    pub(crate) fn forget(&self, record: &GenerationRecord) -> std::io::Result<bool> {
        let owner = Owner { account: record.account.clone(), generation: record.id };
        self.content.as_ref().map_or(Ok(false), |keeper| keeper.delete(&owner))
    }

    /// Deletes what is kept of all of an account's; says of how many generations.
    pub(crate) fn forget_account(&self, account: &AccountId) -> std::io::Result<u64> {
        self.content.as_ref().map_or(Ok(0), |keeper| keeper.delete_account(account))
    }

    /// The ledger.
    pub(crate) const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Invoices, and what happens to accounts.
    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    /// Milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        (self.clock)()
    }

    /// Prompts and answers are only kept where there is a key to encrypt them with.
    fn can_keep(&self, terms: &crate::terms::AccountTerms) -> Result<(), DeskError> {
        if terms.content_days > 0 && self.content.is_none() {
            let why = "needs a key in the configuration's [content]; nothing is kept without it";
            return Err(DeskError::Wrong(("content_days", why.to_owned())));
        }
        Ok(())
    }

    pub(crate) fn account(&self, id: &AccountId) -> Result<Arc<Account>, DeskError> {
        let table = self.ledger.keys();
        Ok(table.account(id.as_str()).cloned().ok_or(Refused::NoSuchAccount)?)
    }

    pub(crate) fn create_account(
        &self,
        id: &AccountId,
        fields: AccountFields,
    ) -> Result<Arc<Account>, DeskError> {
        let mut terms = crate::terms::AccountTerms::default();
        fields.apply(&mut terms)?;
        self.can_keep(&terms)?;
        self.ledger.create_account(id, terms)?;
        self.account(id)
    }

    pub(crate) fn change_account(
        &self,
        id: &AccountId,
        fields: AccountFields,
    ) -> Result<Arc<Account>, DeskError> {
        let _one_at_a_time = self.changing.lock();
        let account = self.account(id)?;
        let mut terms = (*account.terms()).clone();
        fields.apply(&mut terms)?;
        self.can_keep(&terms)?;
        self.ledger.change_account(id, terms)?;
        Ok(account)
    }

    pub(crate) fn create_key(
        &self,
        account: &AccountId,
        fields: KeyFields,
    ) -> Result<(Arc<KeyEntry>, KeyText), DeskError> {
        let mut terms = crate::terms::KeyTerms::default();
        fields.apply(&mut terms)?;
        let (id, text) = self.ledger.create_key(account, terms)?;
        Ok((self.ledger.key(&id)?, text))
    }

    pub(crate) fn change_key(
        &self,
        id: &KeyId,
        fields: KeyFields,
    ) -> Result<Arc<KeyEntry>, DeskError> {
        let _one_at_a_time = self.changing.lock();
        let key = self.ledger.key(id)?;
        let mut terms = (**key.terms()).clone();
        fields.apply(&mut terms)?;
        self.ledger.change_key(id, terms)?;
        Ok(key)
    }

    pub(crate) fn delete_key(&self, id: &KeyId) -> Result<Arc<KeyEntry>, DeskError> {
        let key = self.ledger.key(id)?;
        self.ledger.delete_key(id)?;
        Ok(key)
    }

    pub(crate) fn organisation(&self, id: &AccountId) -> Result<Arc<Organisation>, DeskError> {
        let table = self.ledger.keys();
        Ok(table.organisation(id.as_str()).cloned().ok_or(Refused::NoSuchOrganisation)?)
    }

    /// Makes an organisation or changes one. Also says whether it is new.
    pub(crate) fn set_organisation(
        &self,
        id: &AccountId,
        fields: OrganisationFields,
    ) -> Result<(Arc<Organisation>, Made), DeskError> {
        let _one_at_a_time = self.changing.lock();
        let known = self.organisation(id).ok();
        let mut terms = known.as_ref().map(|known| (*known.terms()).clone()).unwrap_or_default();
        fields.apply(&mut terms)?;
        self.ledger.set_organisation(id, terms)?;
        let made = if known.is_some() { Made::Before } else { Made::Now };
        Ok((self.organisation(id)?, made))
    }

    pub(crate) fn member(&self, account: &AccountId, user: &str) -> Result<Arc<Member>, DeskError> {
        self.account(account)?;
        let table = self.ledger.keys();
        let member = table.member(account, user).filter(|member| !member.removed());
        Ok(member.cloned().ok_or(Refused::NoSuchMember)?)
    }

    /// Makes somebody a member or changes one. Also says whether they are new.
    pub(crate) fn set_member(
        &self,
        account: &AccountId,
        user: &str,
        fields: MemberFields,
    ) -> Result<(Arc<Member>, Made), DeskError> {
        let _one_at_a_time = self.changing.lock();
        self.account(account)?;
        let known = self.member(account, user).ok();
        let mut terms = known.as_ref().map(|known| known.terms()).unwrap_or_default();
        fields.apply(&mut terms)?;
        self.ledger.set_member(account, user, terms)?;
        let made = if known.is_some() { Made::Before } else { Made::Now };
        Ok((self.member(account, user)?, made))
    }

    /// Moves credit between two accounts.
    pub(crate) fn transfer(
        &self,
        (from, to): (&AccountId, &AccountId),
        amount: NanoUsd,
        reason: &str,
        idempotency_key: &str,
    ) -> Result<Made, DeskError> {
        Ok(self.ledger.transfer((from, to), amount, reason, idempotency_key)?)
    }
}
