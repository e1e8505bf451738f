//! Credit, as the operator changes it. Every change is durable before its
//! call returns; the calls block and are not for a request's path.

use std::fmt;
use std::sync::Arc;

use crate::ledger::book::Book;
use crate::ledger::entry::{Event, NOTE_MAX};
use crate::ledger::keys::Balance;
use crate::ledger::state::{Refused, TRANSFER_MAX};
use crate::vocab::{AccountId, BadId, NanoUsd};

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

impl Ledger {
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
        self.purchase(account, (amount, NanoUsd::ZERO), method, idempotency_key)
    }

    /// As [`Self::top_up`], with a fee that was paid beside the credit and is booked as a transfer of
    /// its own.
    ///
    /// # Errors
    /// As for [`Self::top_up`]; or the fee is negative or too large.
    pub fn purchase(
        &self,
        account: &AccountId,
        (amount, fee): (NanoUsd, NanoUsd),
        method: &str,
        idempotency_key: &str,
    ) -> Result<Made, ManageError> {
        if !(0..=TRANSFER_MAX.0).contains(&fee.0) {
            let why = format!("must not be negative and at most ${TRANSFER_MAX}");
            return Err(ManageError::Invalid("fee", why));
        }
        if amount.0 <= 0 || amount > TRANSFER_MAX {
            let why = format!("must be above $0 and at most ${TRANSFER_MAX}");
            return Err(ManageError::Invalid("amount", why));
        }
        self.manage(Event::ToppedUp {
            account: account.clone(),
            method: method_id(method)?,
            amount,
            fee,
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
        self.take(account, -amount, event)
    }

    /// Moves credit from one account to another.
    ///
    /// # Errors
    /// There is no such account, an argument is not valid, more would be moved than is available,
    /// the idempotency key was used for another transfer, or the ledger cannot write.
    pub fn transfer(
        &self,
        (from, to): (&AccountId, &AccountId),
        amount: NanoUsd,
        reason: &str,
        idempotency_key: &str,
    ) -> Result<Made, ManageError> {
        if amount.0 <= 0 || amount > TRANSFER_MAX {
            let why = format!("must be above $0 and at most ${TRANSFER_MAX}");
            return Err(ManageError::Invalid("amount", why));
        }
        if from == to {
            let why = "must be another account than the one that gives".to_owned();
            return Err(ManageError::Invalid("to", why));
        }
        if self.keys().account(to.as_str()).is_none() {
            return Err(ManageError::Refused(Refused::NoSuchAccount));
        }
        let event = Event::Moved {
            from: from.clone(),
            to: to.clone(),
            amount,
            reason: note("reason", reason, 0)?,
            receipt: note("idempotency key", idempotency_key, 1)?,
        };
        self.take(from, amount, event)
    }

    /// Takes credit from an account: first from the live balance, so that no hold can take the same.
    ///
    /// What was made before by the same idempotency key needs no credit now.
    fn take(
        &self,
        account: &AccountId,
        amount: NanoUsd,
        event: Event,
    ) -> Result<Made, ManageError> {
        let table = self.keys();
        let live =
            table.account(account.as_str()).ok_or(ManageError::Refused(Refused::NoSuchAccount))?;
        if !live.take_back(amount.0) {
            return match self.ask(|reply| Op::Repeat(Box::new(event), reply)) {
                Err(ManageError::Refused(Refused::NotCovered)) => {
                    let why = format!("is more than the ${} that are available", live.available());
                    Err(ManageError::Invalid("amount", why))
                }
                answer => answer,
            };
        }
        let made = self.manage(event);
        match made {
            Ok(Made::Now) | Err(ManageError::Down) => {}
            Ok(Made::Before) | Err(_) => live.credit(amount.0),
        }
        made
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

    pub(super) fn manage(&self, event: Event) -> Result<Made, ManageError> {
        self.ask(|reply| Op::Manage(Box::new(event), reply))
    }

    fn ask(&self, op: impl FnOnce(Arc<Reply>) -> Op) -> Result<Made, ManageError> {
        if !self.healthy() {
            return Err(ManageError::Down);
        }
        let reply = Arc::new(Reply::default());
        self.inner.shared.push(op(Arc::clone(&reply))).map_err(|_| ManageError::Down)?;
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

pub(super) fn invalid(what: &'static str, bad: &BadId) -> ManageError {
    ManageError::Invalid(what, bad.to_string())
}

pub(super) fn note(what: &'static str, text: &str, min: usize) -> Result<String, ManageError> {
    if (min..=NOTE_MAX).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(ManageError::Invalid(what, format!("must have {min} to {NOTE_MAX} bytes")))
}
