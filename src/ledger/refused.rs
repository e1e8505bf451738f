//! Why the state machine refuses an entry.

use std::fmt;

/// Why an entry does not fit the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The sequence has a gap or a repetition.
    Sequence,
    /// Time ran backwards.
    Time,
    /// There is already such an account.
    AccountExists,
    /// There is no such account.
    NoSuchAccount,
    /// There is already such a key.
    KeyExists,
    /// There is no such key.
    NoSuchKey,
    /// There is no such organisation.
    NoSuchOrganisation,
    /// The account has no such member.
    NoSuchMember,
    /// The key belongs to a member for its life.
    MemberIsFixed,
    /// There is not as much credit in the account.
    NotCovered,
    /// The idempotency key was used before.
    ReceiptUsed,
    /// The amount is negative, zero or too large for the kind of entry.
    Amount,
    /// The generation has an open hold.
    HoldExists,
    /// The generation has no open hold.
    NoSuchHold,
    /// The generation has already ended.
    AlreadyEnded,
    /// The record names another account or key than the hold.
    WrongCaller,
    /// Whether the generation has ended could not be looked up.
    History(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sequence => "the sequence has a gap or a repetition",
            Self::Time => "time ran backwards",
            Self::AccountExists => "the account exists already",
            Self::NoSuchAccount => "there is no such account",
            Self::KeyExists => "the key exists already",
            Self::NoSuchKey => "there is no such key",
            Self::NoSuchOrganisation => "there is no such organisation",
            Self::NoSuchMember => "the account has no such member",
            Self::MemberIsFixed => "a key belongs to its member for its life; make another key",
            Self::NotCovered => "the account does not have as much credit",
            Self::ReceiptUsed => "the idempotency key was used before, for another transfer",
            Self::Amount => "the amount is out of range for this kind of entry",
            Self::HoldExists => "the generation has an open hold already",
            Self::NoSuchHold => "the generation has no open hold",
            Self::AlreadyEnded => "the generation has ended already",
            Self::WrongCaller => "the record names another account or key than the hold",
            Self::History(why) => return write!(f, "old generations cannot be looked up: {why}"),
        })
    }
}

impl std::error::Error for Refused {}
