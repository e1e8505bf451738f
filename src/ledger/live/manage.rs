//! Accounts, keys and credit, as the operator changes them. Every change is durable before its
//! call returns; the calls block and are not for a request's path.

use std::fmt;
use std::sync::Arc;

use crate::auth::KeyText;
use crate::ledger::book::Book;
use crate::ledger::entry::{Event, NOTE_MAX, NewKeyEntry};
use crate::ledger::keys::{Balance, KeyEntry};
use crate::ledger::state::{Refused, TRANSFER_MAX};
use crate::vocab::{AccountId, BadId, KeyId, NanoUsd};

use super::Ledger;
use super::queue::{LedgerDown, Op, Reply, ReplyError};

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManageError {
    /// An argument is not valid: which, and why.
    Invalid(&'static str, String),
    /// The change does not fit what there is.
    Refused(Refused),
    /// The ledger cannot write at the moment. A transfer may have been made all the same: it is
    /// safe to try it again with the same idempotency key.
    Down,
}

impl fmt::Display for ManageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(what, why) => write!(f, "the {what} {why}"),
            Self::Refused(refused) => fmt::Display::fmt(refused, f),
            Self::Down => fmt::Display::fmt(&LedgerDown, f),
        }
    }
}

impl std::error::Error for ManageError {}

/// Whether a transfer was made by this call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// By this call.
    Now,
    /// By an earlier call with the same idempotency key, account and amount.
    Before,
}

/// What a new key is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewKey {
    /// A name for people, at most [`NOTE_MAX`] bytes.
    pub label: String,
    /// The most that it may ever spend; not negative.
    pub limit: Option<NanoUsd>,
    /// When it stops working, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
}

impl Ledger {
    /// Opens an account without credit.
    ///
    /// # Errors
    /// There is such an account, or the ledger cannot write.
    pub fn create_account(&self, id: &AccountId) -> Result<(), ManageError> {
        self.manage(Event::AccountCreated { account: id.clone() }).map(|_| ())
    }

    /// Adds credit that came in by `method` (an id such as `stripe` or `manual`). The same
    /// `idempotency_key` never adds it twice.
    ///
    /// # Errors
    /// There is no such account, an argument is not valid, the idempotency key was used for another
    /// transfer, or the ledger cannot write.
    pub fn top_up(
        &self,
        account: &AccountId,
        amount: NanoUsd,
        method: &str,
        idempotency_key: &str,
    ) -> Result<Made, ManageError> {
        if amount.0 <= 0 || amount > TRANSFER_MAX {
            let why = format!("must be above $0 and at most ${TRANSFER_MAX}");
            return Err(ManageError::Invalid("amount", why));
        }
        self.manage(Event::ToppedUp {
            account: account.clone(),
            method: method_id(method)?,
            amount,
            receipt: note("idempotency key", idempotency_key, 1)?,
        })
    }

    /// Corrects an account by hand: a positive amount is given to it, a negative one taken from it,
    /// against `against`, for instance [`Book::Promotions`], or [`Book::CashIn`] for a refund.
    ///
    /// # Errors
    /// As for [`Self::top_up`]; or more would be taken than is available.
    pub fn adjust(
        &self,
        account: &AccountId,
        amount: NanoUsd,
        against: Book,
        reason: &str,
        idempotency_key: &str,
    ) -> Result<Made, ManageError> {
        let too_large = amount.0 == 0 || amount > TRANSFER_MAX || amount < -TRANSFER_MAX;
        if too_large || matches!(against, Book::Customer(_)) {
            let why = format!("must not be $0, at most ${TRANSFER_MAX}, and against no customer");
            return Err(ManageError::Invalid("amount", why));
        }
        let event = Event::Adjusted {
            account: account.clone(),
            against,
            amount,
            reason: note("reason", reason, 0)?,
            receipt: note("idempotency key", idempotency_key, 1)?,
        };
        if amount.0 > 0 {
            return self.manage(event);
        }
        // Taken from the live balance first, so that no hold can take the same credit.
        let table = self.keys();
        let live =
            table.account(account.as_str()).ok_or(ManageError::Refused(Refused::NoSuchAccount))?;
        if !live.take_back(-amount.0) {
            let why = format!("is more than the ${} that are available", live.available());
            return Err(ManageError::Invalid("amount", why));
        }
        let made = self.manage(event);
        match made {
            Ok(Made::Now) | Err(ManageError::Down) => {}
            Ok(Made::Before) | Err(_) => live.credit(-amount.0),
        }
        made
    }

    /// Makes a key. Its text is returned here and never again.
    ///
    /// # Errors
    /// There is no such account, an argument is not valid, there is no randomness, or the ledger
    /// cannot write.
    pub fn create_key(
        &self,
        account: &AccountId,
        new: NewKey,
    ) -> Result<(KeyId, KeyText), ManageError> {
        if new.limit.is_some_and(|limit| limit.0 < 0) {
            return Err(ManageError::Invalid("limit", "must not be negative".to_owned()));
        }
        let label = note("label", &new.label, 0)?;
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
            label,
            limit: new.limit,
            expires_ms: new.expires_ms,
        })))?;
        Ok((key, text))
    }

    /// Switches a key off for good. Requests that run already end as they would have.
    ///
    /// # Errors
    /// There is no such key, or the ledger cannot write.
    pub fn disable_key(&self, key: &KeyId) -> Result<(), ManageError> {
        self.manage(Event::KeyDisabled { key: key.clone() }).map(|_| ())
    }

    /// What an account has.
    pub fn account(&self, id: &AccountId) -> Option<Balance> {
        self.keys().account(id.as_str()).map(|account| account.balance())
    }

    /// Every account, by id.
    pub fn list_accounts(&self) -> Vec<(AccountId, Balance)> {
        let table = self.keys();
        let mut accounts: Vec<_> =
            table.accounts().map(|account| (account.id().clone(), account.balance())).collect();
        accounts.sort_by(|a, b| a.0.cmp(&b.0));
        accounts
    }

    /// Every key, oldest first.
    pub fn list_keys(&self) -> Vec<Arc<KeyEntry>> {
        let mut keys: Vec<_> = self.keys().keys().map(Arc::clone).collect();
        keys.sort_by(|a, b| (a.created_ms(), a.id()).cmp(&(b.created_ms(), b.id())));
        keys
    }

    fn manage(&self, event: Event) -> Result<Made, ManageError> {
        if !self.healthy() {
            return Err(ManageError::Down);
        }
        let reply = Arc::new(Reply::default());
        let op = Op::Manage(Box::new(event), Arc::clone(&reply));
        self.inner.shared.push(op).map_err(|_| ManageError::Down)?;
        match reply.wait(&self.inner.shared) {
            Ok(()) => Ok(Made::Now),
            Err(ReplyError::Repeated) => Ok(Made::Before),
            Err(ReplyError::Refused(refused)) => Err(ManageError::Refused(refused)),
            Err(ReplyError::Down) => Err(ManageError::Down),
        }
    }
}

fn method_id(method: &str) -> Result<AccountId, ManageError> {
    AccountId::parse(method).map_err(|bad| invalid("method", &bad))
}

fn invalid(what: &'static str, bad: &BadId) -> ManageError {
    ManageError::Invalid(what, bad.to_string())
}

fn note(what: &'static str, text: &str, min: usize) -> Result<String, ManageError> {
    if (min..=NOTE_MAX).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(ManageError::Invalid(what, format!("must have {min} to {NOTE_MAX} bytes")))
}

fn random<const N: usize>() -> Result<[u8; N], ManageError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        ManageError::Invalid("randomness", format!("cannot be had from the system: {error}"))
    })?;
    Ok(bytes)
}
