//! The books: every place where money can be, and the transfers between them.
//!
//! A transfer debits one book and credits another with the same amount. That is all the journal
//! can express, so an entry that creates or destroys money cannot be written down: the sum of all
//! balances is zero after every entry.

use std::fmt;

use crate::vocab::{AccountId, NanoUsd, ProviderId};

use super::record::id;
use super::wire::{Malformed, Put, Take};

/// One book. A balance is what was credited less what was debited.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Book {
    /// What we owe a customer: prepaid credit not yet used.
    Customer(AccountId),
    /// What we owe a provider for the generations it served.
    Provider(ProviderId),
    /// What came in by a payment method; its balance is negative or zero.
    CashIn(AccountId),
    /// What was given away; its balance is negative or zero.
    Promotions,
    /// Charges whose provider is not known, because the gateway died before it could say.
    Unattributed,
    /// What the operator earned: fees on purchases, and on answers of the customers' own contracts.
    Fees,
}

impl fmt::Display for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Customer(account) => write!(f, "customer:{account}"),
            Self::Provider(provider) => write!(f, "provider:{provider}"),
            Self::CashIn(method) => write!(f, "cash-in:{method}"),
            Self::Promotions => f.write_str("promotions"),
            Self::Unattributed => f.write_str("unattributed"),
            Self::Fees => f.write_str("fees"),
        }
    }
}

impl Book {
    pub(crate) fn put(&self, to: &mut Put<'_>) {
        match self {
            Self::Customer(account) => {
                to.u8(0);
                to.text(account.as_str(), AccountId::LEN_MAX);
            }
            Self::Provider(provider) => {
                to.u8(1);
                to.text(provider.as_str(), ProviderId::LEN_MAX);
            }
            Self::CashIn(method) => {
                to.u8(2);
                to.text(method.as_str(), AccountId::LEN_MAX);
            }
            Self::Promotions => to.u8(3),
            Self::Unattributed => to.u8(4),
            Self::Fees => to.u8(5),
        }
    }

    pub(crate) fn take(from: &mut Take<'_>) -> Result<Self, Malformed> {
        Ok(match from.u8("book")? {
            0 => Self::Customer(id(
                from.text(AccountId::LEN_MAX, "customer")?,
                AccountId::parse,
                "customer",
            )?),
            1 => Self::Provider(id(
                from.text(ProviderId::LEN_MAX, "provider")?,
                ProviderId::parse,
                "provider",
            )?),
            2 => Self::CashIn(id(
                from.text(AccountId::LEN_MAX, "method")?,
                AccountId::parse,
                "method",
            )?),
            3 => Self::Promotions,
            4 => Self::Unattributed,
            5 => Self::Fees,
            _ => return Err(Malformed("book")),
        })
    }
}

/// A movement of money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The book whose balance falls.
    pub debit: Book,
    /// The book whose balance rises.
    pub credit: Book,
    /// How much; never negative.
    pub amount: NanoUsd,
}
