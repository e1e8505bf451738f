//! Generations in the order in which they ended: all of them, and by account, key and model.
//!
//! | key | value |
//! |---|---|
//! | `i` list, second, sequence | the generations of a list that ended in this second |
//!
//! A list is named by eight bytes of a hash; two names that share them cost a look, since whoever
//! reads a list looks at the records themselves. A generation costs some five bytes per list, many
//! stand in a row, and a page is found by its time and sequence without reading what comes after.

use std::collections::BTreeMap;

use super::Place;
use super::index::{Rows, Store, StoreFailed};
use super::pending::Ended;
use super::rows::{after, seal, unseal};
use crate::ledger::record::GenerationRecord;
use crate::ledger::wire::Malformed;
use crate::vocab::ModelId;

const KIND: u8 = b'i';

/// How many generations go into one row, which keeps it well below 4 KiB.
const PER_ROW: usize = 128;

/// The length of a key up to its second.
const HEAD: usize = 1 + 8;

/// What a list has in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By<'a> {
    All,
    Account(&'a str),
    Key(&'a str),
    Model(&'a str),
}

impl By<'_> {
    /// The list's name: FNV-1a of what it is by.
    fn name(self) -> [u8; 8] {
        let (kind, text) = match self {
            Self::All => (0, ""),
            Self::Account(id) => (1, id),
            Self::Key(id) => (2, id),
            Self::Model(id) => (3, id),
        };
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        text.bytes().fold(step(0xcbf2_9ce4_8422_2325, kind), step).to_be_bytes()
    }
}

/// A generation in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// The sequence of the entry that ended it.
    pub(crate) seq: u64,
    pub(crate) place: Place,
}

/// A part of the time; lists are read backwards through it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// The first second.
    pub(crate) from: u64,
    /// The last second.
    pub(crate) to: u64,
    /// Only what ended before this entry.
    pub(crate) below: u64,
}

fn list_key(list: [u8; 8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(HEAD + 4 + 8);
    key.push(KIND);
    key.extend_from_slice(&list);
    key
}

fn row_key(list: [u8; 8], second: u64, seq: u64) -> Vec<u8> {
    let mut key = list_key(list);
    key.extend_from_slice(&u32::try_from(second).unwrap_or(u32::MAX).to_be_bytes());
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

fn row(items: &[Item]) -> Vec<u8> {
    seal(|to| {
        let mut last = Item { seq: 0, place: Place { segment: 0, offset: 0 } };
        for item in items {
            to.u64(item.seq - last.seq);
            to.u64(item.place.segment - last.place.segment);
            let same = item.place.segment == last.place.segment;
            to.u64(item.place.offset - if same { last.place.offset } else { 0 });
            last = *item;
        }
    })
}

fn read_row(value: &[u8]) -> Result<Vec<Item>, Malformed> {
    unseal(value, |from| {
        let mut items: Vec<Item> = Vec::new();
        let mut last = Item { seq: 0, place: Place { segment: 0, offset: 0 } };
        let add = |a: u64, b: u64| a.checked_add(b).ok_or(Malformed("list"));
        while !from.0.is_empty() {
            if items.len() == PER_ROW {
                return Err(Malformed("list (too long)"));
            }
            let seq = add(last.seq, from.u64("sequence")?)?;
            let segment = add(last.place.segment, from.u64("segment")?)?;
            let base = if segment == last.place.segment { last.place.offset } else { 0 };
            let offset = add(base, from.u64("offset")?)?;
            last = Item { seq, place: Place { segment, offset } };
            items.push(last);
        }
        Ok(items)
    })
}

/// The lists that a generation is in.
pub(crate) fn names(record: &GenerationRecord) -> impl Iterator<Item = [u8; 8]> {
    let by = [
        Some(By::All),
        Some(By::Account(record.account.as_str())),
        Some(By::Key(record.key.as_str())),
        record.model.as_ref().map(ModelId::as_str).map(By::Model),
    ];
    by.into_iter().flatten().map(By::name)
}

/// Visits every list from its beginning, one after the other.
pub(crate) fn visit_all(
    store: &dyn Store,
    visit: &mut dyn FnMut([u8; 8], Item),
) -> Result<(), StoreFailed> {
    let mut result = Ok(());
    store.scan(&[KIND], &mut |key, value| {
        let list = key.get(1..).and_then(<[u8]>::first_chunk::<8>);
        match (list, read_row(value)) {
            (Some(list), Ok(items)) => items.into_iter().for_each(|item| visit(*list, item)),
            _ => result = Err(StoreFailed("a list's row is malformed".to_owned())),
        }
        result.is_ok()
    })?;
    result
}

/// Spells what ended since the last checkpoint, which must be in the order of the journal.
pub(crate) fn put_rows(ended: &[Ended], out: &mut Rows) {
    let mut lists: BTreeMap<([u8; 8], u64), Vec<Item>> = BTreeMap::new();
    for Ended { seq, time_ms, record, place } in ended {
        let item = Item { seq: *seq, place: *place };
        for list in names(record) {
            lists.entry((list, time_ms / 1_000)).or_default().push(item);
        }
    }
    for ((list, second), items) in &lists {
        for chunk in items.chunks(PER_ROW) {
            out.put.push((row_key(*list, *second, chunk[0].seq), row(chunk)));
        }
    }
}

/// Visits a list backwards, until `visit` has seen enough.
pub(crate) fn visit(
    store: &dyn Store,
    by: By<'_>,
    span: Span,
    visit: &mut dyn FnMut(Item) -> Result<bool, StoreFailed>,
) -> Result<(), StoreFailed> {
    let list = by.name();
    let prefix = list_key(list);
    let below = match span.to.checked_add(1).and_then(|next| u32::try_from(next).ok()) {
        Some(next) => row_key(list, next.into(), 0),
        None => after(&prefix),
    };
    let mut result = Ok(true);
    store.scan_back(&prefix, &below, &mut |key, value| {
        result = one_row(key, value, span, visit);
        matches!(result, Ok(true))
    })?;
    result.map(|_| ())
}

/// Visits a row's items backwards; says whether to go on.
fn one_row(
    key: &[u8],
    value: &[u8],
    span: Span,
    visit: &mut dyn FnMut(Item) -> Result<bool, StoreFailed>,
) -> Result<bool, StoreFailed> {
    let Some(second) = key.get(HEAD..).and_then(<[u8]>::first_chunk::<4>) else {
        return Err(StoreFailed("a list's row has a short key".to_owned()));
    };
    if u64::from(u32::from_be_bytes(*second)) < span.from {
        return Ok(false);
    }
    let items = read_row(value).map_err(|error| StoreFailed(error.to_string()))?;
    for item in items.into_iter().rev().filter(|item| item.seq < span.below) {
        if !visit(item)? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_short_and_round_trip() {
        let item = |n: u64| Item {
            seq: 1_000_000 + 2 * n,
            place: Place { segment: 900_000 + n / 50, offset: 10_000 + 350 * n },
        };
        let items: Vec<Item> = (0..100).map(item).collect();
        let bytes = row(&items);
        assert!(bytes.len() <= 520, "{} bytes for 100", bytes.len());
        assert_eq!(read_row(&bytes), Ok(items));
        assert!(read_row(&bytes[..bytes.len() - 1]).is_err());
        let most: Vec<Item> = (0..=PER_ROW as u64).map(item).collect();
        assert!(read_row(&row(&most)).is_err(), "longer than any that is written");
    }

    #[test]
    fn the_end_of_a_prefix_is_found() {
        assert_eq!(after(b"ab"), b"ac");
        assert_eq!(after(&[1, 0xff, 0xff]), [2]);
        let list = By::Key("k").name();
        let last = row_key(list, u64::from(u32::MAX), u64::MAX);
        assert!(last < after(&list_key(list)), "the last second is in its list");
        let one = row_key(list, 86_399, u64::MAX);
        assert!(one < row_key(list, 86_400, 0) && one > row_key(list, 86_399, 7));
    }
}
