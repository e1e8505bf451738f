//! What management needs of the ledger and the key table.

use std::fmt;

use crate::catalog::Secret;
use crate::vocab::{AccountId, KeyId, NanoUsd};

/// The ledger and the key table, as management sees them.
///
/// Every method may block (it is called on a thread for that), and has happened durably when it
/// returns `Ok`. Ids and amounts that come in are checked already.
pub trait Bank: Send + Sync + 'static {
    /// Opens an account without credit.
    ///
    /// # Errors
    /// [`BankError::Conflict`] if the id is taken.
    fn create_account(&self, new: NewAccount) -> Result<AccountRow, BankError>;

    /// One account.
    ///
    /// # Errors
    /// [`BankError::NotFound`] if there is none of this id.
    fn account(&self, id: &AccountId) -> Result<AccountRow, BankError>;

    /// A part of all accounts, in an order that does not change.
    ///
    /// # Errors
    /// The ledger is not available.
    fn accounts(&self, page: &Page) -> Result<Vec<AccountRow>, BankError>;

    /// Adds credit. A second call with the same idempotency key and the same contents changes
    /// nothing and says so.
    ///
    /// # Errors
    /// [`BankError::NotFound`] if there is no such account; [`BankError::Conflict`] if the
    /// idempotency key was used for something else.
    fn top_up(&self, top_up: TopUp) -> Result<TopUpDone, BankError>;

    /// Makes a key. Its secret is returned here and never again.
    ///
    /// # Errors
    /// [`BankError::NotFound`] if there is no such account.
    fn create_key(&self, new: NewKey) -> Result<IssuedKey, BankError>;

    /// Disables a key for good; a disabled key stays as it is.
    ///
    /// # Errors
    /// [`BankError::NotFound`] if there is no such key.
    fn disable_key(&self, id: &KeyId) -> Result<KeyRow, BankError>;

    /// A part of the keys of one account or of all, in an order that does not change.
    ///
    /// # Errors
    /// The key table is not available.
    fn keys(&self, account: Option<&AccountId>, page: &Page) -> Result<Vec<KeyRow>, BankError>;
}

/// Why the bank did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BankError {
    /// There is no such thing; what it is, for instance `account`.
    NotFound(&'static str),
    /// It contradicts what is there; for the client: what is wrong and what to do.
    Conflict(String),
    /// A value is not possible; for the client: what is wrong and what to do.
    Invalid(String),
    /// The ledger takes no operations now.
    Unavailable,
    /// A bug or damage; for the log only.
    Internal(String),
}

impl fmt::Display for BankError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(what) => write!(f, "no such {what}"),
            Self::Conflict(why) | Self::Invalid(why) => f.write_str(why),
            Self::Unavailable => f.write_str("the ledger takes no operations now"),
            Self::Internal(detail) => write!(f, "internal: {detail}"),
        }
    }
}

impl std::error::Error for BankError {}

/// Which part of a list is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Only what comes after the row of this id; `None` starts at the beginning.
    pub after: Option<String>,
    /// At most this many, 1–[`Page::LIMIT_MAX`].
    pub limit: usize,
}

impl Page {
    /// The size of a page unless the request gives one.
    pub const LIMIT_DEFAULT: usize = 100;
    /// The largest page.
    pub const LIMIT_MAX: usize = 1_000;
}

/// An account to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAccount {
    /// Its id.
    pub id: AccountId,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// Its id.
    pub id: AccountId,
    /// Credit bought or given, ever.
    pub bought: NanoUsd,
    /// Credit used up, ever.
    pub used: NanoUsd,
    /// Bought less used; what is reserved is still in it.
    pub balance: NanoUsd,
    /// Credit reserved for requests under way.
    pub held: NanoUsd,
    /// When it was opened, in milliseconds since 1970.
    pub created_ms: u64,
}

/// Credit to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopUp {
    /// To which account.
    pub account: AccountId,
    /// How much; more than zero.
    pub amount: NanoUsd,
    /// How it was paid: 1–32 of `a-z 0-9 _ -`.
    pub method: String,
    /// Names this top-up once and for all: 1–128 printable ASCII characters.
    pub idempotency_key: String,
}

/// A top-up that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopUpDone {
    /// The account now.
    pub account: AccountRow,
    /// It had happened before: nothing changed now.
    pub repeated: bool,
}

/// A key to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// Whose credit it spends.
    pub account: AccountId,
    /// A name for people, at most 128 bytes; empty if none was given.
    pub label: String,
    /// The most that it may ever spend; not negative.
    pub limit: Option<NanoUsd>,
    /// When it stops working, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
}

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Its public name.
    pub id: KeyId,
    /// Whose credit it spends.
    pub account: AccountId,
    /// A name for people.
    pub label: String,
    /// Its first characters, to recognise it by.
    pub shown: String,
    /// The most that it may ever spend.
    pub limit: Option<NanoUsd>,
    /// What it has spent, ever.
    pub spent: NanoUsd,
    /// When it stops working, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// It was switched off.
    pub disabled: bool,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

/// A key that was just made.
#[derive(Debug)]
pub struct IssuedKey {
    /// The key.
    pub row: KeyRow,
    /// What the caller sends; shown this once.
    pub secret: Secret,
}
