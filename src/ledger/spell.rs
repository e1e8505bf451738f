//! How events are spelled in bytes. Kinds 1 to 9 came first; what they cannot say has a kind of its
//! own, and what they can say is said by them, so that every event has one spelling.

use std::sync::Arc;

use crate::terms::{AccountTerms, KeyTerms};
use crate::vocab::{AccountId, GenerationId, KeyId, NanoUsd};

use super::book::Book;
use super::entry::{Cause, Event, NOTE_MAX, NewKeyEntry};
use super::record::{GenerationRecord, id};
use super::terms;
use super::wire::{Malformed, Put, Take};

/// Spells an event.
pub(crate) fn put(event: &Event, to: &mut Put<'_>) {
    match event {
        Event::Held { generation, key, granted, placed_ms } => {
            to.u8(6);
            to.u128(generation.bits());
            to.text(key.as_str(), KeyId::LEN_MAX);
            to.i64(granted.0);
            to.u64(*placed_ms);
        }
        Event::HeldAhead { generation, key, placed_ms } => {
            to.u8(20);
            to.u128(generation.bits());
            to.text(key.as_str(), KeyId::LEN_MAX);
            to.u64(*placed_ms);
        }
        Event::Unused { cause, generation } => {
            to.u8(21);
            to.u8(*cause as u8);
            to.u128(generation.bits());
        }
        Event::Settled { cause, record } => {
            to.u8(7);
            to.u8(*cause as u8);
            record.put(to);
        }
        Event::Voided { cause, record } => {
            to.u8(8);
            to.u8(*cause as u8);
            record.put(to);
        }
        Event::Recorded { record } => {
            to.u8(9);
            record.put(to);
        }
        Event::ToppedUp { .. } | Event::Adjusted { .. } | Event::Moved { .. } => {
            put_money(event, to);
        }
        Event::AccountCreated { .. }
        | Event::AccountChanged { .. }
        | Event::OrganisationSet { .. }
        | Event::MemberSet { .. }
        | Event::MemberRemoved { .. }
        | Event::KeyCreated(_)
        | Event::KeyChanged { .. }
        | Event::KeyDisabled { .. }
        | Event::KeyDeleted { .. } => put_terms(event, to),
    }
}

fn put_money(event: &Event, to: &mut Put<'_>) {
    match event {
        Event::ToppedUp { account, method, amount, fee, receipt } => {
            let free = *fee == NanoUsd::ZERO;
            to.u8(if free { 2 } else { 18 });
            to.text(account.as_str(), AccountId::LEN_MAX);
            to.text(method.as_str(), AccountId::LEN_MAX);
            to.i64(amount.0);
            if !free {
                to.i64(fee.0);
            }
            to.text(receipt, NOTE_MAX);
        }
        Event::Adjusted { account, against, amount, reason, receipt } => {
            to.u8(3);
            to.text(account.as_str(), AccountId::LEN_MAX);
            against.put(to);
            to.i64(amount.0);
            to.text(reason, NOTE_MAX);
            to.text(receipt, NOTE_MAX);
        }
        Event::Moved { from, to: whom, amount, reason, receipt } => {
            to.u8(17);
            to.text(from.as_str(), AccountId::LEN_MAX);
            to.text(whom.as_str(), AccountId::LEN_MAX);
            to.i64(amount.0);
            to.text(reason, NOTE_MAX);
            to.text(receipt, NOTE_MAX);
        }
        _ => {}
    }
}

fn put_terms(event: &Event, to: &mut Put<'_>) {
    match event {
        Event::AccountCreated { account, terms } => {
            let plain = **terms == AccountTerms::default();
            to.u8(if plain { 1 } else { 10 });
            to.text(account.as_str(), AccountId::LEN_MAX);
            if !plain {
                terms::put_account(terms, to);
            }
        }
        Event::AccountChanged { account, terms } => {
            to.u8(11);
            to.text(account.as_str(), AccountId::LEN_MAX);
            terms::put_account(terms, to);
        }
        Event::OrganisationSet { organisation, terms } => {
            to.u8(12);
            to.text(organisation.as_str(), AccountId::LEN_MAX);
            terms::put_organisation(terms, to);
        }
        Event::MemberSet { account, user, terms } => {
            to.u8(13);
            to.text(account.as_str(), AccountId::LEN_MAX);
            to.text(user, NOTE_MAX);
            terms::put_member(terms, to);
        }
        Event::MemberRemoved { account, user } => {
            to.u8(14);
            to.text(account.as_str(), AccountId::LEN_MAX);
            to.text(user, NOTE_MAX);
        }
        Event::KeyCreated(new) => put_new_key(new, to),
        Event::KeyChanged { key, terms } => {
            to.u8(16);
            to.text(key.as_str(), KeyId::LEN_MAX);
            terms::put_key(terms, to);
        }
        Event::KeyDisabled { key } => {
            to.u8(5);
            to.text(key.as_str(), KeyId::LEN_MAX);
        }
        Event::KeyDeleted { key } => {
            to.u8(19);
            to.text(key.as_str(), KeyId::LEN_MAX);
        }
        _ => {}
    }
}

/// Spells a key, with its kind before it.
pub(crate) fn put_new_key(new: &NewKeyEntry, to: &mut Put<'_>) {
    let plain = is_plain(&new.terms);
    to.u8(if plain { 4 } else { 15 });
    to.text(new.key.as_str(), KeyId::LEN_MAX);
    to.text(new.account.as_str(), AccountId::LEN_MAX);
    to.hash(&new.hash);
    to.text(&new.shown, NOTE_MAX);
    if plain {
        to.text(&new.terms.label, NOTE_MAX);
        to.opt_u64(new.terms.limit.map(|limit| limit.0.max(0).cast_unsigned()));
        to.opt_u64(new.terms.expires_ms);
    } else {
        terms::put_key(&new.terms, to);
    }
}

/// Reads a key as [`put_new_key`] spells it.
pub(crate) fn take_new_key(from: &mut Take<'_>) -> Result<NewKeyEntry, Malformed> {
    match from.u8("key kind")? {
        kind @ (4 | 15) => take_key_of(kind, from),
        _ => Err(Malformed("key kind")),
    }
}

/// Reads an event.
pub(crate) fn take(from: &mut Take<'_>) -> Result<Event, Malformed> {
    match from.u8("entry kind")? {
        6 => Ok(Event::Held {
            generation: GenerationId::from_bits(from.u128("generation id")?),
            key: take_key(from)?,
            granted: NanoUsd(from.i64("granted")?),
            placed_ms: from.u64("placed")?,
        }),
        20 => Ok(Event::HeldAhead {
            generation: GenerationId::from_bits(from.u128("generation id")?),
            key: take_key(from)?,
            placed_ms: from.u64("placed")?,
        }),
        21 => Ok(Event::Unused {
            cause: take_cause(from)?,
            generation: GenerationId::from_bits(from.u128("generation id")?),
        }),
        7 => Ok(Event::Settled { cause: take_cause(from)?, record: take_record(from)? }),
        8 => Ok(Event::Voided { cause: take_cause(from)?, record: take_record(from)? }),
        9 => Ok(Event::Recorded { record: take_record(from)? }),
        kind @ (2 | 3 | 17 | 18) => take_money(kind, from),
        kind => take_terms(kind, from),
    }
}

fn take_money(kind: u8, from: &mut Take<'_>) -> Result<Event, Malformed> {
    let account = take_account(from)?;
    let note = |from: &mut Take<'_>, what| -> Result<String, Malformed> {
        Ok(from.text(NOTE_MAX, what)?.to_owned())
    };
    Ok(match kind {
        2 | 18 => {
            let method = take_account(from)?;
            let amount = NanoUsd(from.i64("amount")?);
            let fee = NanoUsd(if kind == 18 { from.i64("fee")? } else { 0 });
            if kind == 18 && fee == NanoUsd::ZERO {
                return Err(Malformed("fee"));
            }
            Event::ToppedUp { account, method, amount, fee, receipt: note(from, "receipt")? }
        }
        3 => Event::Adjusted {
            account,
            against: Book::take(from)?,
            amount: NanoUsd(from.i64("amount")?),
            reason: note(from, "reason")?,
            receipt: note(from, "receipt")?,
        },
        _ => Event::Moved {
            from: account,
            to: take_account(from)?,
            amount: NanoUsd(from.i64("amount")?),
            reason: note(from, "reason")?,
            receipt: note(from, "receipt")?,
        },
    })
}

fn take_terms(kind: u8, from: &mut Take<'_>) -> Result<Event, Malformed> {
    Ok(match kind {
        1 => Event::AccountCreated { account: take_account(from)?, terms: Box::default() },
        5 => Event::KeyDisabled { key: take_key(from)? },
        10 => {
            let account = take_account(from)?;
            let terms = Box::new(terms::take_account(from)?);
            if *terms == AccountTerms::default() {
                return Err(Malformed("terms"));
            }
            Event::AccountCreated { account, terms }
        }
        11 => Event::AccountChanged {
            account: take_account(from)?,
            terms: Box::new(terms::take_account(from)?),
        },
        12 => Event::OrganisationSet {
            organisation: take_account(from)?,
            terms: Box::new(terms::take_organisation(from)?),
        },
        13 => Event::MemberSet {
            account: take_account(from)?,
            user: from.text(NOTE_MAX, "user")?.to_owned(),
            terms: terms::take_member(from)?,
        },
        14 => Event::MemberRemoved {
            account: take_account(from)?,
            user: from.text(NOTE_MAX, "user")?.to_owned(),
        },
        kind @ (4 | 15) => Event::KeyCreated(Box::new(take_key_of(kind, from)?)),
        16 => Event::KeyChanged { key: take_key(from)?, terms: Box::new(terms::take_key(from)?) },
        19 => Event::KeyDeleted { key: take_key(from)? },
        _ => return Err(Malformed("entry kind (written by a newer Turnpike?)")),
    })
}

/// Whether the first spelling of keys, which had a label, a limit and an expiry, can say it all.
fn is_plain(terms: &KeyTerms) -> bool {
    let KeyTerms { label, limit, expires_ms, .. } = terms;
    let plain = KeyTerms {
        label: label.clone(),
        limit: *limit,
        expires_ms: *expires_ms,
        ..KeyTerms::default()
    };
    plain == *terms
}

fn take_key_of(kind: u8, from: &mut Take<'_>) -> Result<NewKeyEntry, Malformed> {
    let key = take_key(from)?;
    let account = take_account(from)?;
    let hash = from.hash("key hash")?;
    let shown = from.text(NOTE_MAX, "shown")?.to_owned();
    let terms = if kind == 4 {
        let label = from.text(NOTE_MAX, "label")?.to_owned();
        let limit = from.opt_u64("limit")?;
        let limit = limit.map(i64::try_from).transpose().map_err(|_| Malformed("limit"))?;
        let expires_ms = from.opt_u64("expiry")?;
        KeyTerms { label, limit: limit.map(NanoUsd), expires_ms, ..KeyTerms::default() }
    } else {
        terms::take_key(from)?
    };
    if kind == 15 && is_plain(&terms) {
        return Err(Malformed("terms"));
    }
    Ok(NewKeyEntry { key, account, hash, shown, terms })
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
