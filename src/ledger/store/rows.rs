//! The index's rows: how a state and the places of generations are spelled in a key-value store.
//!
//! | key | value |
//! |---|---|
//! | `m` | sequence, time, chain hash and totals of the last entry contained |
//! | `a` account | terms, bought, used, held |
//! | `o` organisation | terms |
//! | `n` account, user | a member: terms, spent, held |
//! | `k` key | the key with its terms, spent, held |
//! | `h` generation | an open hold |
//! | `b` book | balance |
//! | `r` idempotency key | what it was used for |
//! | `g` generation | its place in the journal |
//! | `u` hash of an upstream id | the place of the last generation with it |
//! | `i` … | lists of generations ([`super::lists`]) |
//! | `d` … | what each day adds up to ([`super::rollups`]) |
//!
//! The first ten are in sled: their values start with a version and end with CRC32C. Those of
//! generations (`g`, `u`, `i`) are in runs ([`super::runs`]), whose blocks have checksums.

use crate::terms::OrganisationTerms;
use crate::vocab::{AccountId, GenerationId, KeyId, NanoUsd};

use super::Place;
use super::index::{Store, StoreFailed};
use crate::ledger::book::Book;
use crate::ledger::entry::NOTE_MAX;
use crate::ledger::record::id;
use crate::ledger::spell;
use crate::ledger::state::{
    AccountState, HoldState, KeyState, MemberName, MemberState, Receipt, Spent, State,
};
use crate::ledger::terms;
use crate::ledger::wire::{Malformed, Put, Take};

/// 2: accounts and keys have terms.
const VERSION: u8 = 2;

/// The key of the row that says which entry is the last contained.
pub(crate) const META: &[u8] = b"m";

pub(crate) fn key(kind: u8, name: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + name.len());
    key.push(kind);
    key.extend_from_slice(name);
    key
}

pub(crate) fn book_key(book: &Book) -> Vec<u8> {
    let mut key = vec![b'b'];
    book.put(&mut Put(&mut key));
    key
}

/// The key of an upstream id. Ids are of any length, so they are hashed; that two share a hash is
/// found when the record is read.
pub(crate) fn upstream_key(upstream: &str) -> Vec<u8> {
    key(b'u', &blake3::hash(upstream.as_bytes()).as_bytes()[..8])
}

/// The key of a generation's place.
pub(crate) fn place_key(generation: GenerationId) -> Vec<u8> {
    key(b'g', &generation.bits().to_be_bytes())
}

/// The generation whose place has this key.
pub(crate) fn read_place_key(key: &[u8]) -> Result<GenerationId, Malformed> {
    let id: Option<&[u8; 16]> = key.get(1..).and_then(|id| id.try_into().ok());
    let id = id.ok_or(Malformed("key of a place"))?;
    Ok(GenerationId::from_bits(u128::from_be_bytes(*id)))
}

/// The first key after all that start with a prefix.
pub(crate) fn after(prefix: &[u8]) -> Vec<u8> {
    let mut after = prefix.to_vec();
    while let Some(last) = after.pop() {
        if let Some(next) = last.checked_add(1) {
            after.push(next);
            break;
        }
    }
    after
}

/// Spells a value.
pub(crate) fn seal(body: impl FnOnce(&mut Put<'_>)) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    body(&mut Put(&mut bytes));
    let crc = crc32c::crc32c(&bytes).to_le_bytes();
    bytes.extend_from_slice(&crc);
    bytes
}

/// Reads a value.
pub(crate) fn unseal<T>(
    value: &[u8],
    body: impl FnOnce(&mut Take<'_>) -> Result<T, Malformed>,
) -> Result<T, Malformed> {
    let (bytes, crc) = value.split_last_chunk::<4>().ok_or(Malformed("index row"))?;
    if crc32c::crc32c(bytes).to_le_bytes() != *crc {
        return Err(Malformed("index row (checksum)"));
    }
    let mut from = Take(bytes);
    if from.u8("row version")? != VERSION {
        return Err(Malformed("row version"));
    }
    let value = body(&mut from)?;
    from.end("index row (bytes left over)")?;
    Ok(value)
}

pub(crate) fn meta(state: &State) -> Vec<u8> {
    seal(|to| {
        to.u64(state.seq);
        to.u64(state.time_ms);
        to.hash(&state.head);
        to.i128(state.moved);
        to.u64(state.ended_count);
        to.u64(state.charged_count);
        to.u128(state.ended_max.bits());
    })
}

pub(crate) fn account(state: &AccountState) -> Vec<u8> {
    seal(|to| {
        to.u64(state.created_ms);
        terms::put_account(&state.terms, to);
        to.i64(state.bought.0);
        to.i64(state.used.0);
        to.i64(state.held.0);
    })
}

pub(crate) fn key_row(state: &KeyState) -> Vec<u8> {
    seal(|to| {
        spell::put_new_key(&state.entry, to);
        to.u64(state.created_ms);
        to.u64(state.updated_ms);
        to.u8(state.deleted.into());
        put_spent(&state.money, to);
    })
}

pub(crate) fn organisation(terms: &OrganisationTerms) -> Vec<u8> {
    seal(|to| terms::put_organisation(terms, to))
}

pub(crate) fn member_key((account, user): &MemberName) -> Vec<u8> {
    let mut key = vec![b'n'];
    let mut put = Put(&mut key);
    put.text(account.as_str(), AccountId::LEN_MAX);
    put.text(user, NOTE_MAX);
    key
}

pub(crate) fn member(state: &MemberState) -> Vec<u8> {
    seal(|to| {
        terms::put_member(&state.terms, to);
        to.u64(state.created_ms);
        to.u8(state.removed.into());
        put_spent(&state.money, to);
    })
}

fn put_spent(money: &Spent, to: &mut Put<'_>) {
    to.i64(money.spent.0);
    to.i64(money.byok.0);
    to.i64(money.held.0);
    terms::put_span(&money.span, to);
}

pub(crate) fn hold(state: &HoldState) -> Vec<u8> {
    seal(|to| {
        to.text(state.account.as_str(), AccountId::LEN_MAX);
        to.text(state.key.as_str(), KeyId::LEN_MAX);
        to.i64(state.granted.0);
        to.u64(state.placed_ms);
        if state.ahead {
            to.u8(1);
        }
    })
}

pub(crate) fn book(balance: i128) -> Vec<u8> {
    seal(|to| to.i128(balance))
}

pub(crate) fn receipt(receipt: &Receipt) -> Vec<u8> {
    seal(|to| {
        to.text(receipt.account.as_str(), AccountId::LEN_MAX);
        to.i64(receipt.amount.0);
    })
}

/// Spells a place.
pub(crate) fn place(place: Place) -> Vec<u8> {
    let mut value = Vec::new();
    let mut to = Put(&mut value);
    to.u64(place.segment);
    to.u64(place.offset);
    value
}

/// Reads a place.
pub(crate) fn read_place(value: &[u8]) -> Result<Place, Malformed> {
    let mut from = Take(value);
    let place = Place { segment: from.u64("segment")?, offset: from.u64("offset")? };
    from.end("place (bytes left over)")?;
    Ok(place)
}

/// Where an ended generation stands in the journal.
pub(crate) fn find(
    store: &dyn Store,
    generation: GenerationId,
) -> Result<Option<Place>, StoreFailed> {
    let found = store.get(&place_key(generation))?;
    found.map(|value| read_place(&value)).transpose().map_err(damaged)
}

/// Where the last generation with an upstream id, or one with the same hash, stands in the journal.
pub(crate) fn find_upstream(
    store: &dyn Store,
    upstream: &str,
) -> Result<Option<Place>, StoreFailed> {
    let found = store.get(&upstream_key(upstream))?;
    found.map(|value| read_place(&value)).transpose().map_err(damaged)
}

fn damaged(error: Malformed) -> StoreFailed {
    StoreFailed(error.to_string())
}

/// Reads back the state that was written; absent if nothing ever was.
pub(crate) fn load(store: &dyn Store, window: usize) -> Result<Option<State>, StoreFailed> {
    let Some(row) = store.get(META)? else { return Ok(None) };
    let mut state = State::new(window);
    unseal(&row, |from| {
        state.seq = from.u64("sequence")?;
        state.time_ms = from.u64("time")?;
        state.head = from.hash("hash")?;
        state.moved = from.i128("moved")?;
        state.ended_count = from.u64("ended")?;
        state.charged_count = from.u64("charged")?;
        state.ended_max = GenerationId::from_bits(from.u128("newest")?);
        Ok(())
    })
    .map_err(damaged)?;
    state.ended_floor = GenerationId::from_bits(state.ended_max.bits().saturating_add(1));
    load_kind(store, b'a', |name, value| {
        let name = id(text(name)?, AccountId::parse, "account")?;
        state.accounts.insert(name, unseal(value, take_account)?);
        Ok(())
    })?;
    load_kind(store, b'o', |name, value| {
        let name = id(text(name)?, AccountId::parse, "organisation")?;
        state.organisations.insert(name, unseal(value, terms::take_organisation)?);
        Ok(())
    })?;
    load_kind(store, b'n', |name, value| {
        let mut from = Take(name);
        let account = from.text(AccountId::LEN_MAX, "account")?;
        let account = id(account, AccountId::parse, "account")?;
        let user = from.text(NOTE_MAX, "user")?.to_owned();
        from.end("member")?;
        state.members.insert((account, user), unseal(value, take_member)?);
        Ok(())
    })?;
    load_kind(store, b'k', |name, value| {
        let name = id(text(name)?, KeyId::parse, "key")?;
        state.keys.insert(name, unseal(value, take_key)?);
        Ok(())
    })?;
    load_kind(store, b'h', |name, value| {
        let generation = Take(name).u128("generation id")?;
        state.holds.insert(GenerationId::from_bits(generation), unseal(value, take_hold)?);
        Ok(())
    })?;
    load_kind(store, b'b', |name, value| {
        let mut from = Take(name);
        let book = Book::take(&mut from)?;
        from.end("book")?;
        state.books.insert(book, unseal(value, |from| from.i128("balance"))?);
        Ok(())
    })?;
    load_kind(store, b'r', |name, value| {
        state.receipts.insert(text(name)?.to_owned(), unseal(value, take_receipt)?);
        Ok(())
    })?;
    Ok(Some(state))
}

fn load_kind(
    store: &dyn Store,
    kind: u8,
    mut row: impl FnMut(&[u8], &[u8]) -> Result<(), Malformed>,
) -> Result<(), StoreFailed> {
    let mut result = Ok(());
    store.scan(&[kind], &mut |key, value| {
        result = row(key.get(1..).unwrap_or_default(), value);
        result.is_ok()
    })?;
    result.map_err(damaged)
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes)
        .ok()
        .filter(|text| text.len() <= NOTE_MAX)
        .ok_or(Malformed("row key"))
}

fn take_account(from: &mut Take<'_>) -> Result<AccountState, Malformed> {
    Ok(AccountState {
        created_ms: from.u64("created")?,
        terms: terms::take_account(from)?,
        bought: NanoUsd(from.i64("bought")?),
        used: NanoUsd(from.i64("used")?),
        held: NanoUsd(from.i64("held")?),
    })
}

fn take_key(from: &mut Take<'_>) -> Result<KeyState, Malformed> {
    Ok(KeyState {
        entry: spell::take_new_key(from)?,
        created_ms: from.u64("created")?,
        updated_ms: from.u64("updated")?,
        deleted: from.flag("deleted")?,
        money: take_spent(from)?,
    })
}

fn take_member(from: &mut Take<'_>) -> Result<MemberState, Malformed> {
    Ok(MemberState {
        terms: terms::take_member(from)?,
        created_ms: from.u64("created")?,
        removed: from.flag("removed")?,
        money: take_spent(from)?,
    })
}

fn take_spent(from: &mut Take<'_>) -> Result<Spent, Malformed> {
    Ok(Spent {
        spent: NanoUsd(from.i64("spent")?),
        byok: NanoUsd(from.i64("spent")?),
        held: NanoUsd(from.i64("held")?),
        span: terms::take_span(from)?,
    })
}

fn take_hold(from: &mut Take<'_>) -> Result<HoldState, Malformed> {
    Ok(HoldState {
        account: id(from.text(AccountId::LEN_MAX, "account")?, AccountId::parse, "account")?,
        key: id(from.text(KeyId::LEN_MAX, "key")?, KeyId::parse, "key")?,
        granted: NanoUsd(from.i64("granted")?),
        placed_ms: from.u64("placed")?,
        ahead: !from.0.is_empty() && from.flag("ahead")?,
    })
}

fn take_receipt(from: &mut Take<'_>) -> Result<Receipt, Malformed> {
    Ok(Receipt {
        account: id(from.text(AccountId::LEN_MAX, "account")?, AccountId::parse, "account")?,
        amount: NanoUsd(from.i64("amount")?),
    })
}
