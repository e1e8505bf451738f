//! Journal entries: what can happen to money, and how it is spelled in bytes.
//!
//! An entry's payload is `version · hash of the payload before · sequence · time · kind · body`.
//! On disk it stands in a frame: length (4 bytes, little-endian), CRC32C over everything else
//! (4), distance to the first entry of its group (2), payload. The distance lets recovery tell a
//! write that a crash cut short from bytes that rotted later (see `store::journal`).

use std::sync::Arc;

use crate::vocab::{AccountId, GenerationId, KeyId, NanoUsd};

use super::book::{Book, Transfer};
use super::record::{GenerationRecord, id};
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
    },
    /// Money came in for an account.
    ToppedUp {
        /// The account.
        account: AccountId,
        /// The payment method.
        method: AccountId,
        /// More than nothing.
        amount: NanoUsd,
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
    /// A key was made.
    KeyCreated(Box<NewKeyEntry>),
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
    /// A name for people.
    pub label: String,
    /// The most that the key may ever spend.
    pub limit: Option<NanoUsd>,
    /// When it stops working, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
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
    /// The money that the event moves, if it moves any.
    pub fn transfer(&self) -> Option<Transfer> {
        match self {
            Self::AccountCreated { .. }
            | Self::KeyCreated(_)
            | Self::KeyDisabled { .. }
            | Self::Held { .. }
            | Self::Voided { .. }
            | Self::Recorded { .. } => None,
            Self::ToppedUp { account, method, amount, .. } => Some(Transfer {
                debit: Book::CashIn(method.clone()),
                credit: Book::Customer(account.clone()),
                amount: *amount,
            }),
            Self::Adjusted { account, against, amount, .. } => {
                let customer = Book::Customer(account.clone());
                let (debit, credit) = if amount.0 < 0 {
                    (customer, against.clone())
                } else {
                    (against.clone(), customer)
                };
                Some(Transfer { debit, credit, amount: NanoUsd(amount.0.saturating_abs()) })
            }
            Self::Settled { record, .. } => Some(Transfer {
                debit: Book::Customer(record.account.clone()),
                credit: record.provider.clone().map_or(Book::Unattributed, Book::Provider),
                amount: record.cost,
            }),
        }
    }

    /// The record, if the event ends a generation.
    pub fn record(&self) -> Option<&Arc<GenerationRecord>> {
        match self {
            Self::Settled { record, .. }
            | Self::Voided { record, .. }
            | Self::Recorded { record } => Some(record),
            Self::AccountCreated { .. }
            | Self::ToppedUp { .. }
            | Self::Adjusted { .. }
            | Self::KeyCreated(_)
            | Self::KeyDisabled { .. }
            | Self::Held { .. } => None,
        }
    }

    /// The event's name in exports.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AccountCreated { .. } => "account_created",
            Self::ToppedUp { .. } => "topped_up",
            Self::Adjusted { .. } => "adjusted",
            Self::KeyCreated(_) => "key_created",
            Self::KeyDisabled { .. } => "key_disabled",
            Self::Held { .. } => "held",
            Self::Settled { .. } => "settled",
            Self::Voided { .. } => "voided",
            Self::Recorded { .. } => "recorded",
        }
    }

    fn put(&self, to: &mut Put<'_>) {
        match self {
            Self::AccountCreated { account } => {
                to.u8(1);
                to.text(account.as_str(), AccountId::LEN_MAX);
            }
            Self::ToppedUp { account, method, amount, receipt } => {
                to.u8(2);
                to.text(account.as_str(), AccountId::LEN_MAX);
                to.text(method.as_str(), AccountId::LEN_MAX);
                to.i64(amount.0);
                to.text(receipt, NOTE_MAX);
            }
            Self::Adjusted { account, against, amount, reason, receipt } => {
                to.u8(3);
                to.text(account.as_str(), AccountId::LEN_MAX);
                against.put(to);
                to.i64(amount.0);
                to.text(reason, NOTE_MAX);
                to.text(receipt, NOTE_MAX);
            }
            Self::KeyCreated(new) => {
                to.u8(4);
                new.put(to);
            }
            Self::KeyDisabled { key } => {
                to.u8(5);
                to.text(key.as_str(), KeyId::LEN_MAX);
            }
            Self::Held { generation, key, granted, placed_ms } => {
                to.u8(6);
                to.u128(generation.bits());
                to.text(key.as_str(), KeyId::LEN_MAX);
                to.i64(granted.0);
                to.u64(*placed_ms);
            }
            Self::Settled { cause, record } => {
                to.u8(7);
                to.u8(*cause as u8);
                record.put(to);
            }
            Self::Voided { cause, record } => {
                to.u8(8);
                to.u8(*cause as u8);
                record.put(to);
            }
            Self::Recorded { record } => {
                to.u8(9);
                record.put(to);
            }
        }
    }

    fn take(from: &mut Take<'_>) -> Result<Self, Malformed> {
        Ok(match from.u8("entry kind")? {
            1 => Self::AccountCreated { account: take_account(from)? },
            2 => Self::ToppedUp {
                account: take_account(from)?,
                method: take_account(from)?,
                amount: NanoUsd(from.i64("amount")?),
                receipt: from.text(NOTE_MAX, "receipt")?.to_owned(),
            },
            3 => Self::Adjusted {
                account: take_account(from)?,
                against: Book::take(from)?,
                amount: NanoUsd(from.i64("amount")?),
                reason: from.text(NOTE_MAX, "reason")?.to_owned(),
                receipt: from.text(NOTE_MAX, "receipt")?.to_owned(),
            },
            4 => Self::KeyCreated(Box::new(NewKeyEntry::take(from)?)),
            5 => Self::KeyDisabled { key: take_key(from)? },
            6 => Self::Held {
                generation: GenerationId::from_bits(from.u128("generation id")?),
                key: take_key(from)?,
                granted: NanoUsd(from.i64("granted")?),
                placed_ms: from.u64("placed")?,
            },
            7 => Self::Settled { cause: take_cause(from)?, record: take_record(from)? },
            8 => Self::Voided { cause: take_cause(from)?, record: take_record(from)? },
            9 => Self::Recorded { record: take_record(from)? },
            _ => return Err(Malformed("entry kind")),
        })
    }
}

impl NewKeyEntry {
    pub(crate) fn put(&self, to: &mut Put<'_>) {
        to.text(self.key.as_str(), KeyId::LEN_MAX);
        to.text(self.account.as_str(), AccountId::LEN_MAX);
        to.hash(&self.hash);
        to.text(&self.shown, NOTE_MAX);
        to.text(&self.label, NOTE_MAX);
        to.opt_u64(self.limit.map(|limit| limit.0.max(0).cast_unsigned()));
        to.opt_u64(self.expires_ms);
    }

    pub(crate) fn take(from: &mut Take<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            key: take_key(from)?,
            account: take_account(from)?,
            hash: from.hash("key hash")?,
            shown: from.text(NOTE_MAX, "shown")?.to_owned(),
            label: from.text(NOTE_MAX, "label")?.to_owned(),
            limit: match from.opt_u64("limit")? {
                None => None,
                Some(limit) => Some(NanoUsd(i64::try_from(limit).map_err(|_| Malformed("limit"))?)),
            },
            expires_ms: from.opt_u64("expiry")?,
        })
    }
}

fn take_account(from: &mut Take<'_>) -> Result<AccountId, Malformed> {
    id(from.text(AccountId::LEN_MAX, "account")?, AccountId::parse, "account")
}

fn take_key(from: &mut Take<'_>) -> Result<KeyId, Malformed> {
    id(from.text(KeyId::LEN_MAX, "key")?, KeyId::parse, "key")
}

fn take_cause(from: &mut Take<'_>) -> Result<Cause, Malformed> {
    match from.u8("cause")? {
        0 => Ok(Cause::Asked),
        1 => Ok(Cause::Dropped),
        2 => Ok(Cause::Recovered),
        _ => Err(Malformed("cause")),
    }
}

fn take_record(from: &mut Take<'_>) -> Result<Arc<GenerationRecord>, Malformed> {
    GenerationRecord::take(from).map(Arc::new)
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
        self.event.put(&mut put);
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
        let event = Event::take(&mut from)?;
        from.end("entry (bytes left over)")?;
        Ok((Self { seq, time_ms, event }, prev))
    }
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
