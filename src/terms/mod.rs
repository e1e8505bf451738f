//! What keys, members, accounts and organisations are allowed: terms as data, and what follows
//! from them. Nothing here knows who is who; see `ledger` for that.

mod pattern;
mod period;
mod policy;

pub use pattern::matches;
pub use period::{Reset, Span};
pub use policy::{Policy, Rates};

use crate::vocab::{AccountId, NanoUsd};

/// The longest text in terms (a name, a user, a slug), in bytes.
pub const TEXT_MAX: usize = 128;

/// What a key may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyTerms {
    /// A name for people, at most [`TEXT_MAX`] bytes.
    pub label: String,
    /// The most that it may spend: ever, or in one period of `reset`. Not negative.
    pub limit: Option<NanoUsd>,
    /// When the limit begins anew; never where it is absent.
    pub reset: Option<Reset>,
    /// What providers cost that are paid with the account's own contract counts against the limit
    /// too.
    pub byok_in_limit: bool,
    /// When it stops working, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// It is switched off.
    pub disabled: bool,
    /// It manages keys, and cannot ask models.
    pub management: bool,
    /// The member of the account whose key it is, at most [`TEXT_MAX`] bytes; for the key's life.
    pub member: Option<String>,
    /// The preset of requests that name none.
    pub preset: Option<String>,
    /// The suffix of models that are asked for without one, without its colon, for instance
    /// `floor`.
    pub variant: Option<String>,
    /// What it is restricted to.
    pub policy: Policy,
}

/// What an account has agreed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountTerms {
    /// A name for people, at most [`TEXT_MAX`] bytes.
    pub name: String,
    /// The organisation that it belongs to.
    pub organisation: Option<AccountId>,
    /// What all its keys together are restricted to.
    pub policy: Policy,
    /// Below this balance somebody is told. More than nothing.
    pub low_balance: Option<NanoUsd>,
    /// When and how much credit is bought by itself.
    pub auto_top_up: Option<AutoTopUp>,
    /// For how many days prompts and answers are kept, encrypted; 0 for not at all.
    pub content_days: u16,
    /// The gateway's operator may learn from what is kept, for a discount.
    pub discount_logging: bool,
}

/// Credit that is bought by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoTopUp {
    /// When less than this is available. Not negative.
    pub below: NanoUsd,
    /// How much is bought then. More than nothing.
    pub amount: NanoUsd,
}

/// What an organisation is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrganisationTerms {
    /// A name for people, at most [`TEXT_MAX`] bytes.
    pub name: String,
    /// What each of its accounts is restricted to.
    pub policy: Policy,
}

/// What a member of an account may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberTerms {
    /// Its part.
    pub role: Role,
    /// The most that its keys may spend together: ever, or in one period of `reset`.
    pub limit: Option<NanoUsd>,
    /// When the limit begins anew; never where it is absent.
    pub reset: Option<Reset>,
}

/// A member's part in an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Uses it.
    #[default]
    Member,
    /// Manages it, too.
    Admin,
}

impl Role {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
        }
    }

    /// The role of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Member, Self::Admin].into_iter().find(|role| role.as_str() == name)
    }
}

impl KeyTerms {
    /// Checks what a caller has put together.
    ///
    /// # Errors
    /// The field that is not possible, and why.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        short("label", &self.label)?;
        limit(self.limit, self.reset)?;
        for (name, text) in
            [("member", &self.member), ("preset", &self.preset), ("variant", &self.variant)]
        {
            if let Some(text) = text {
                short(name, text)?;
                if text.is_empty() {
                    return Err((name, "must not be empty".to_owned()));
                }
            }
        }
        self.policy.check()
    }

    /// Whether it has stopped working by its date.
    pub fn expired(&self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|expires| now_ms >= expires)
    }
}

impl AccountTerms {
    /// Checks what a caller has put together.
    ///
    /// # Errors
    /// The field that is not possible, and why.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        short("name", &self.name)?;
        if self.low_balance.is_some_and(|low| low.0 <= 0) {
            return Err(("low_balance", "must be more than 0".to_owned()));
        }
        if let Some(auto) = self.auto_top_up {
            if auto.below.0 < 0 {
                return Err(("auto_top_up.below", "must not be negative".to_owned()));
            }
            if auto.amount.0 <= 0 {
                return Err(("auto_top_up.amount", "must be more than 0".to_owned()));
            }
        }
        if self.discount_logging && self.content_days == 0 {
            let why = "needs content_days: without kept content there is nothing to learn from";
            return Err(("discount_logging", why.to_owned()));
        }
        self.policy.check()
    }
}

impl OrganisationTerms {
    /// Checks what a caller has put together.
    ///
    /// # Errors
    /// The field that is not possible, and why.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        short("name", &self.name)?;
        self.policy.check()
    }
}

impl MemberTerms {
    /// Checks what a caller has put together.
    ///
    /// # Errors
    /// The field that is not possible, and why.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        limit(self.limit, self.reset)
    }
}

fn short(field: &'static str, text: &str) -> Result<(), (&'static str, String)> {
    if text.len() > TEXT_MAX {
        return Err((field, format!("must have at most {TEXT_MAX} bytes")));
    }
    Ok(())
}

fn limit(limit: Option<NanoUsd>, reset: Option<Reset>) -> Result<(), (&'static str, String)> {
    match limit {
        Some(limit) if limit.0 < 0 => Err(("limit", "must not be negative".to_owned())),
        None if reset.is_some() => Err(("limit_reset", "needs a limit".to_owned())),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
