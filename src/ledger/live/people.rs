//! Organisations, accounts, members and keys, as the operator changes them. Every change is durable
//! before its call returns, and requests that come after see it; the calls block and are not for a
//! request's path.

use std::sync::Arc;

use crate::auth::KeyText;
use crate::ledger::entry::{Event, NewKeyEntry};
use crate::ledger::keys::KeyEntry;
use crate::ledger::state::Refused;
use crate::terms::{AccountTerms, KeyTerms, MemberTerms, OrganisationTerms};
use crate::vocab::{AccountId, KeyId};

use super::Ledger;
use super::manage::{ManageError, invalid, note};

impl Ledger {
    /// Opens an account without credit.
    ///
    /// # Errors
    /// There is such an account, the terms are not possible or name no organisation that there is,
    /// or the ledger cannot write.
    pub fn create_account(&self, id: &AccountId, terms: AccountTerms) -> Result<(), ManageError> {
        self.check_account(&terms)?;
        let terms = Box::new(terms);
        self.manage(Event::AccountCreated { account: id.clone(), terms }).map(|_| ())
    }

    /// Gives an account other terms, all of them.
    ///
    /// # Errors
    /// There is no such account, the terms are not possible or name no organisation that there is,
    /// or the ledger cannot write.
    pub fn change_account(&self, id: &AccountId, terms: AccountTerms) -> Result<(), ManageError> {
        self.check_account(&terms)?;
        let terms = Box::new(terms);
        self.manage(Event::AccountChanged { account: id.clone(), terms }).map(|_| ())
    }

    fn check_account(&self, terms: &AccountTerms) -> Result<(), ManageError> {
        checked(terms.check())?;
        if terms.content_days > 0 && !self.inner.keeps_content {
            let why = "must be 0: prompts and answers are kept by a gateway whose configuration has \
                       a key for them, [content] key";
            return Err(ManageError::Invalid("content_days", why.to_owned()));
        }
        Ok(())
    }

    /// Makes an organisation, or gives one other terms.
    ///
    /// # Errors
    /// The terms are not possible, or the ledger cannot write.
    pub fn set_organisation(
        &self,
        id: &AccountId,
        terms: OrganisationTerms,
    ) -> Result<(), ManageError> {
        checked(terms.check())?;
        let terms = Box::new(terms);
        self.manage(Event::OrganisationSet { organisation: id.clone(), terms }).map(|_| ())
    }

    /// Makes somebody a member of an account, or gives a member other terms.
    ///
    /// # Errors
    /// There is no such account, the terms are not possible, or the ledger cannot write.
    pub fn set_member(
        &self,
        account: &AccountId,
        user: &str,
        terms: MemberTerms,
    ) -> Result<(), ManageError> {
        checked(terms.check())?;
        let user = note("user", user, 1)?;
        self.manage(Event::MemberSet { account: account.clone(), user, terms }).map(|_| ())
    }

    /// Takes a member out of an account. The keys that were theirs stop working at once.
    ///
    /// # Errors
    /// The account has no such member, or the ledger cannot write.
    pub fn remove_member(&self, account: &AccountId, user: &str) -> Result<(), ManageError> {
        let user = note("user", user, 1)?;
        self.manage(Event::MemberRemoved { account: account.clone(), user }).map(|_| ())
    }

    /// Makes a key. Its text is returned here and never again.
    ///
    /// # Errors
    /// There is no such account or member, the terms are not possible, there is no randomness, or
    /// the ledger cannot write.
    pub fn create_key(
        &self,
        account: &AccountId,
        terms: KeyTerms,
    ) -> Result<(KeyId, KeyText), ManageError> {
        checked(terms.check())?;
        let (text, hash) = loop {
            let text = KeyText::from_random(&random::<32>()?);
            let hash = self.keys().hash(text.reveal().as_bytes());
            if !self.keys().taken(&hash) {
                break (text, hash);
            }
        };
        let name = u64::from_be_bytes(random::<8>()?);
        let key = KeyId::parse(&format!("key-{name:016x}")).map_err(|bad| invalid("key", &bad))?;
        self.manage(Event::KeyCreated(Box::new(NewKeyEntry {
            key: key.clone(),
            account: account.clone(),
            hash,
            shown: text.shown(),
            terms,
        })))?;
        Ok((key, text))
    }

    /// Gives a key other terms, all of them. Requests that run already end as they would have.
    ///
    /// # Errors
    /// There is no such key, the terms are not possible or name another member, or the ledger
    /// cannot write.
    pub fn change_key(&self, key: &KeyId, terms: KeyTerms) -> Result<(), ManageError> {
        checked(terms.check())?;
        self.manage(Event::KeyChanged { key: key.clone(), terms: Box::new(terms) }).map(|_| ())
    }

    /// Switches a key off. Requests that run already end as they would have.
    ///
    /// # Errors
    /// There is no such key, or the ledger cannot write.
    pub fn disable_key(&self, key: &KeyId) -> Result<(), ManageError> {
        self.manage(Event::KeyDisabled { key: key.clone() }).map(|_| ())
    }

    /// Deletes a key for good; what it was used for stays in the books.
    ///
    /// # Errors
    /// There is no such key, or the ledger cannot write.
    pub fn delete_key(&self, key: &KeyId) -> Result<(), ManageError> {
        self.manage(Event::KeyDeleted { key: key.clone() }).map(|_| ())
    }

    /// A key that is not deleted.
    ///
    /// # Errors
    /// There is none.
    pub fn key(&self, key: &KeyId) -> Result<Arc<KeyEntry>, ManageError> {
        let table = self.keys();
        table.key(key.as_str()).cloned().ok_or(ManageError::Refused(Refused::NoSuchKey))
    }

    /// Every key that is not deleted, oldest first.
    pub fn list_keys(&self) -> Vec<Arc<KeyEntry>> {
        let mut keys: Vec<_> = self.keys().keys().map(Arc::clone).collect();
        keys.sort_by(|a, b| (a.created_ms(), a.id()).cmp(&(b.created_ms(), b.id())));
        keys
    }
}

fn checked(checked: Result<(), (&'static str, String)>) -> Result<(), ManageError> {
    checked.map_err(|(field, why)| ManageError::Invalid(field, why))
}

fn random<const N: usize>() -> Result<[u8; N], ManageError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        ManageError::Invalid("randomness", format!("cannot be had from the system: {error}"))
    })?;
    Ok(bytes)
}
