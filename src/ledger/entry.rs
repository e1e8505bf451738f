//! Journal entries: what can happen to money, and how it is spelled in bytes.
//!
//! An entry's payload is `version · hash of the payload before · sequence · time · kind · body`.
//! On disk it stands in a frame: length (4 bytes, little-endian), CRC32C over everything else
//! (4), distance to the first entry of its group (2), payload. The distance lets recovery tell a
//! write that a crash cut short from bytes that rotted later (see `store::journal`).

use std::sync::Arc;

use crate::terms::{AccountTerms, KeyTerms, MemberTerms, OrganisationTerms};
use crate::vocab::{AccountId, GenerationId, KeyId, NanoUsd};

use super::book::{Book, Transfer};
use super::record::GenerationRecord;
use super::spell;
use super::wire::{Malformed, Put, Take};

/// The hash that the first entry of a journal is chained to.
pub const GENESIS: [u8; 32] = [0; 32];

/// The longest free text in an entry (label, reason, receipt), in bytes.
pub const NOTE_MAX: usize = 128;

/// The longest payload, in bytes. An entry with every text at its limit is shorter.
pub const PAYLOAD_MAX: usize = 8192;

/// The length of a frame's head, in bytes.
pub(crate) const FRAME_HEAD: usize = 10;

const VERSION: u8 = 1;

/// Who ended a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The gateway, in the normal course of a request.
    Asked,
    /// Nobody: the hold was dropped by a panic or at shutdown.
    Dropped,
    /// Recovery after a crash.
    Recovered,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An account was opened.
    AccountCreated {
        /// The account.
        account: AccountId,
        /// What it has agreed to.
        terms: Box<AccountTerms>,
    },
    /// An account's terms are others now.
    AccountChanged {
        /// The account.
        account: AccountId,
        /// All of them.
        terms: Box<AccountTerms>,
    },
    /// There is an organisation, or its terms are others now.
    OrganisationSet {
        /// Its id.
        organisation: AccountId,
        /// All of its terms.
        terms: Box<OrganisationTerms>,
    },
    /// An account has a member, or its terms are others now.
    MemberSet {
        /// The account.
        account: AccountId,
        /// Who, at most [`NOTE_MAX`] bytes.
        user: String,
        /// All of the terms.
        terms: MemberTerms,
    },
    /// Somebody is no member any more; the keys that were theirs stop working.
    MemberRemoved {
        /// The account.
        account: AccountId,
        /// Who.
        user: String,
    },
    /// Money came in for an account.
    ToppedUp {
        /// The account.
        account: AccountId,
        /// The payment method.
        method: AccountId,
        /// What the account has more now. More than nothing.
        amount: NanoUsd,
        /// What was paid beside it for the purchase. Not negative.
        fee: NanoUsd,
        /// The idempotency key.
        receipt: String,
    },
    /// An account was corrected by hand.
    Adjusted {
        /// The account.
        account: AccountId,
        /// Where the money comes from or goes to.
        against: Book,
        /// Positive: credit for the account. Negative: taken from it.
        amount: NanoUsd,
        /// Why, for people.
        reason: String,
        /// The idempotency key.
        receipt: String,
    },
    /// Credit went from one account to another.
    Moved {
        /// Who has less now.
        from: AccountId,
        /// Who has more.
        to: AccountId,
        /// More than nothing.
        amount: NanoUsd,
        /// Why, for people.
        reason: String,
        /// The idempotency key.
        receipt: String,
    },
    /// A key was made.
    KeyCreated(Box<NewKeyEntry>),
    /// A key's terms are others now.
    KeyChanged {
        /// The key.
        key: KeyId,
        /// All of them.
        terms: Box<KeyTerms>,
    },
    /// A key is gone for good.
    KeyDeleted {
        /// The key.
        key: KeyId,
    },
    /// A key was switched off.
    KeyDisabled {
        /// The key.
        key: KeyId,
    },
    /// Credit was set aside for a generation.
    Held {
        /// The generation.
        generation: GenerationId,
        /// Who asked; the account follows from it.
        key: KeyId,
        /// How much was set aside.
        granted: NanoUsd,
        /// When it was asked for, in milliseconds since 1970.
        placed_ms: u64,
    },
    /// A hold was placed for a generation that nobody has asked for yet. It sets nothing aside here:
    /// whoever takes it over sets aside what they need in memory.
    HeldAhead {
        /// The generation.
        generation: GenerationId,
        /// Who may take it over; the account follows from it.
        key: KeyId,
        /// When it was placed, in milliseconds since 1970.
        placed_ms: u64,
    },
    /// Nobody took a hold over that was placed ahead, or nothing came of it.
    Unused {
        /// Who ended it.
        cause: Cause,
        /// The generation that is none.
        generation: GenerationId,
    },
    /// A hold ended with a charge of the record's cost.
    Settled {
        /// Who ended it.
        cause: Cause,
        /// What for.
        record: Arc<GenerationRecord>,
    },
    /// A hold ended without a charge.
    Voided {
        /// Who ended it.
        cause: Cause,
        /// What is known about the generation; its cost is zero.
        record: Arc<GenerationRecord>,
    },
    /// A generation that needed no hold: free of charge, for instance from the cache.
    Recorded {
        /// What is known about it; its cost is zero.
        record: Arc<GenerationRecord>,
    },
}

/// A key as the journal keeps it: a keyed hash, never the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKeyEntry {
    /// The public name.
    pub key: KeyId,
    /// The account that pays.
    pub account: AccountId,
    /// BLAKE3 of the key, keyed with the ledger's secret.
    pub hash: [u8; 32],
    /// The first characters of the key, for people to recognise it.
    pub shown: String,
    /// What it may do.
    pub terms: KeyTerms,
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counts from 1 without gaps.
    pub seq: u64,
    /// When it was written, in milliseconds since 1970; never less than the entry before.
    pub time_ms: u64,
    /// What happened.
    pub event: Event,
}

impl Event {
    /// The movements of money that the event is: of a purchase or a charge also its fee or discount,
    /// and what plugins added to it.
    pub fn transfers(&self) -> [Option<Transfer>; 3] {
        let one = |debit, credit, amount| [Some(Transfer { debit, credit, amount }), None, None];
        match self {
            Self::AccountCreated { .. }
            | Self::AccountChanged { .. }
            | Self::OrganisationSet { .. }
            | Self::MemberSet { .. }
            | Self::MemberRemoved { .. }
            | Self::KeyCreated(_)
            | Self::KeyChanged { .. }
            | Self::KeyDisabled { .. }
            | Self::KeyDeleted { .. }
            | Self::Held { .. }
            | Self::HeldAhead { .. }
            | Self::Unused { .. }
            | Self::Voided { .. }
            | Self::Recorded { .. } => [None, None, None],
            Self::ToppedUp { account, method, amount, fee, .. } => {
                let cash = Book::CashIn(method.clone());
                let [bought, ..] = one(cash.clone(), Book::Customer(account.clone()), *amount);
                let paid = Transfer { debit: cash, credit: Book::Fees, amount: *fee };
                [bought, Some(paid).filter(|paid| paid.amount != NanoUsd::ZERO), None]
            }
            Self::Adjusted { account, against, amount, .. } => {
                let customer = Book::Customer(account.clone());
                let (debit, credit) = if amount.0 < 0 {
                    (customer, against.clone())
                } else {
                    (against.clone(), customer)
                };
                one(debit, credit, NanoUsd(amount.0.saturating_abs()))
            }
            Self::Moved { from, to, amount, .. } => {
                one(Book::Customer(from.clone()), Book::Customer(to.clone()), *amount)
            }
            Self::Settled { record, .. } => {
                let provider =
                    || record.provider.clone().map_or(Book::Unattributed, Book::Provider);
                // Who has a contract of their own pays the provider themselves: what we take is a fee.
                let own = record.details.upstream_cost.is_some();
                let credit = if own { Book::Fees } else { provider() };
                let customer = || Book::Customer(record.account.clone());
                // A provider has no part in what plugins cost.
                let plugins = record.details.plugins.clamp(NanoUsd::ZERO, record.cost);
                let [charge, ..] = one(customer(), credit, record.cost - plugins);
                let discount = record.details.discount;
                let given = || Transfer {
                    debit: Book::Promotions,
                    credit: if own { Book::Fees } else { provider() },
                    amount: discount,
                };
                let added = || Transfer { debit: customer(), credit: Book::Fees, amount: plugins };
                [
                    charge,
                    (discount != NanoUsd::ZERO).then(given),
                    (plugins != NanoUsd::ZERO).then(added),
                ]
            }
        }
    }

    /// The record, if the event ends a generation.
    pub fn record(&self) -> Option<&Arc<GenerationRecord>> {
        match self {
            Self::Settled { record, .. }
            | Self::Voided { record, .. }
            | Self::Recorded { record } => Some(record),
            Self::AccountCreated { .. }
            | Self::AccountChanged { .. }
            | Self::OrganisationSet { .. }
            | Self::MemberSet { .. }
            | Self::MemberRemoved { .. }
            | Self::ToppedUp { .. }
            | Self::Adjusted { .. }
            | Self::Moved { .. }
            | Self::KeyCreated(_)
            | Self::KeyChanged { .. }
            | Self::KeyDisabled { .. }
            | Self::KeyDeleted { .. }
            | Self::Held { .. }
            | Self::HeldAhead { .. }
            | Self::Unused { .. } => None,
        }
    }

    /// The event's name in exports.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AccountCreated { .. } => "account_created",
            Self::AccountChanged { .. } => "account_changed",
            Self::OrganisationSet { .. } => "organisation_set",
            Self::MemberSet { .. } => "member_set",
            Self::MemberRemoved { .. } => "member_removed",
            Self::ToppedUp { .. } => "topped_up",
            Self::Adjusted { .. } => "adjusted",
            Self::Moved { .. } => "moved",
            Self::KeyCreated(_) => "key_created",
            Self::KeyChanged { .. } => "key_changed",
            Self::KeyDeleted { .. } => "key_deleted",
            Self::KeyDisabled { .. } => "key_disabled",
            Self::Held { .. } => "held",
            Self::HeldAhead { .. } => "held_ahead",
            Self::Unused { .. } => "unused",
            Self::Settled { .. } => "settled",
            Self::Voided { .. } => "voided",
            Self::Recorded { .. } => "recorded",
        }
    }
}

impl Entry {
    /// Appends the entry's frame to `out` and returns the hash that the next entry is chained to.
    ///
    /// `prev` is the hash of the entry before, `back` how many entries before this one its group
    /// began.
    pub fn write(&self, prev: &[u8; 32], back: u16, out: &mut Vec<u8>) -> [u8; 32] {
        let start = out.len();
        out.extend_from_slice(&[0; FRAME_HEAD]);
        let mut put = Put(out);
        put.u8(VERSION);
        put.hash(prev);
        put.u64(self.seq);
        put.u64(self.time_ms);
        spell::put(&self.event, &mut put);
        frame(out, start, back)
    }

    /// Reads a payload and the hash that it is chained to.
    ///
    /// # Errors
    /// The payload is not an entry of a known version, or has bytes left over.
    pub fn read(payload: &[u8]) -> Result<(Self, [u8; 32]), Malformed> {
        let mut from = Take(payload);
        if from.u8("version")? != VERSION {
            return Err(Malformed("version (written by a newer Turnpike?)"));
        }
        let prev = from.hash("previous hash")?;
        let seq = from.u64("sequence")?;
        let time_ms = from.u64("time")?;
        let event = spell::take(&mut from)?;
        from.end("entry (bytes left over)")?;
        Ok((Self { seq, time_ms, event }, prev))
    }
}

/// Fills in the head of the frame that begins at `start`, and returns the hash of its payload.
fn frame(out: &mut [u8], start: usize, back: u16) -> [u8; 32] {
    let len = out.len() - start - FRAME_HEAD;
    // No entry comes near 4 GiB: every part of it is bounded.
    let len = u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
    let back = back.to_le_bytes();
    let payload = &out[start + FRAME_HEAD..];
    let hash = *blake3::hash(payload).as_bytes();
    let crc = frame_crc(len, back, payload).to_le_bytes();
    out[start..start + 4].copy_from_slice(&len);
    out[start + 4..start + 8].copy_from_slice(&crc);
    out[start + 8..start + FRAME_HEAD].copy_from_slice(&back);
    hash
}

/// A frame as it stands at the front of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) back: u16,
    /// The length of the whole frame.
    pub(crate) len: usize,
}

impl<'a> Frame<'a> {
    /// Appends a frame with a payload as it was written elsewhere, and returns its hash.
    pub(crate) fn write(payload: &[u8], back: u16, out: &mut Vec<u8>) -> [u8; 32] {
        let start = out.len();
        out.extend_from_slice(&[0; FRAME_HEAD]);
        out.extend_from_slice(payload);
        frame(out, start, back)
    }

    /// The frame at the front of `bytes`, if a whole and undamaged one stands there.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (head, rest) = bytes.split_at_checked(FRAME_HEAD).ok_or(Malformed("frame head"))?;
        let mut from = Take(head);
        let mut four = |what| -> Result<[u8; 4], Malformed> {
            from.bytes(4, what)?.try_into().map_err(|_| Malformed(what))
        };
        let len = four("length")?;
        let crc = u32::from_le_bytes(four("checksum")?);
        let back = [head[8], head[9]];
        let payload_len = u32::from_le_bytes(len) as usize;
        if !(1..=PAYLOAD_MAX).contains(&payload_len) {
            return Err(Malformed("length"));
        }
        let payload = rest.get(..payload_len).ok_or(Malformed("frame (cut short)"))?;
        if frame_crc(len, back, payload) != crc {
            return Err(Malformed("frame (checksum)"));
        }
        Ok(Self { payload, back: u16::from_le_bytes(back), len: FRAME_HEAD + payload_len })
    }
}

fn frame_crc(len: [u8; 4], back: [u8; 2], payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&len), &back), payload)
}
