//! What each day adds up to, by account, key, model and endpoint.
//!
//! | key | value |
//! |---|---|
//! | `d` day, account, key, model, endpoint | the day's [`Sums`] |
//!
//! Entries are in the order of their time, so that only the last day's sums can grow: these are
//! kept in memory, and read back at the start. They follow from the journal's settled and recorded
//! generations alone.

use std::collections::{HashMap, HashSet};

use super::index::{Rows, Store, StoreFailed};
use super::rows::{seal, unseal};
use crate::ledger::activity::{Activity, ActivityQuery, Sums, Who};
use crate::ledger::entry::{Entry, Event};
use crate::ledger::record::{GenerationRecord, id};
use crate::ledger::wire::{Malformed, Put, Take};
use crate::vocab::{AccountId, EndpointId, KeyId, ModelId, NanoUsd};

const KIND: u8 = b'd';

const DAY_MS: u64 = 86_400_000;

/// The last day's sums.
#[derive(Debug, Default)]
pub(crate) struct Rollups {
    day: u64,
    sums: HashMap<Who, Sums>,
    /// Not yet spelled.
    changed: HashSet<(u64, Who)>,
    /// Of days that are over, not yet spelled.
    over: HashMap<(u64, Who), Sums>,
}

impl Rollups {
    /// The sums of the day that the index's last entry is of.
    pub(crate) fn load(store: &dyn Store, time_ms: u64) -> Result<Self, StoreFailed> {
        let mut rollups = Self { day: time_ms / DAY_MS, ..Self::default() };
        scan_day(store, rollups.day, &mut |who, sums| {
            rollups.sums.insert(who, sums);
        })?;
        Ok(rollups)
    }

    /// Adds an entry.
    pub(crate) fn note(&mut self, entry: &Entry) {
        let (Event::Settled { record, .. } | Event::Recorded { record }) = &entry.event else {
            return;
        };
        let day = entry.time_ms / DAY_MS;
        if day != self.day {
            for at in self.changed.iter().filter(|(day, _)| *day == self.day) {
                if let Some(sums) = self.sums.remove(&at.1) {
                    self.over.insert(at.clone(), sums);
                }
            }
            self.sums.clear();
            self.day = day;
        }
        let who = |endpoint: &Option<EndpointId>| Who {
            account: record.account.clone(),
            key: record.key.clone(),
            model: record.model.clone(),
            endpoint: endpoint.clone(),
        };
        self.add(who(&record.endpoint), &last_part(record));
        for leg in &record.legs {
            let sums = Sums {
                legs: 1,
                estimated: leg.usage.estimated.into(),
                cost: leg.cost,
                ..Sums::of(&leg.usage)
            };
            self.add(who(&Some(leg.endpoint.clone())), &sums);
        }
    }

    fn add(&mut self, who: Who, more: &Sums) {
        self.sums.entry(who.clone()).or_default().add(more);
        self.changed.insert((self.day, who));
    }

    /// Spells what has changed.
    pub(crate) fn put_rows(&mut self, out: &mut Rows) {
        for (day, who) in std::mem::take(&mut self.changed) {
            let key = row_key(day, &who);
            let today = day == self.day;
            let sums =
                if today { self.sums.get(&who).copied() } else { self.over.remove(&(day, who)) };
            if let Some(sums) = sums {
                out.put.push((key, row(&sums)));
            }
        }
    }
}

/// What the provider that ended the answer did of it.
fn last_part(record: &GenerationRecord) -> Sums {
    let (usage, cost) = record.last_part();
    Sums {
        requests: 1,
        estimated: usage.estimated.into(),
        cost,
        upstream_cost: record.details.upstream_cost.unwrap_or_default(),
        ..Sums::of(&usage)
    }
}

fn day_prefix(day: u64) -> Vec<u8> {
    let mut key = vec![KIND];
    key.extend_from_slice(&u16::try_from(day).unwrap_or(u16::MAX).to_be_bytes());
    key
}

fn row_key(day: u64, who: &Who) -> Vec<u8> {
    let mut key = day_prefix(day);
    key.extend_from_slice(who.account.as_str().as_bytes());
    key.push(0);
    key.extend_from_slice(who.key.as_str().as_bytes());
    key.push(0);
    key.extend_from_slice(who.model.as_ref().map_or("", ModelId::as_str).as_bytes());
    key.push(0);
    key.extend_from_slice(who.endpoint.as_ref().map_or("", EndpointId::as_str).as_bytes());
    key
}

fn read_key(key: &[u8]) -> Result<Who, Malformed> {
    const WHAT: &str = "key of a day's sums";
    let text = std::str::from_utf8(key.get(3..).ok_or(Malformed(WHAT))?);
    let mut parts = text.map_err(|_| Malformed(WHAT))?.split('\0');
    let mut next = || parts.next().ok_or(Malformed(WHAT));
    let (account, key, model, endpoint) = (next()?, next()?, next()?, next()?);
    let optional = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let who = Who {
        account: id(account, AccountId::parse, WHAT)?,
        key: id(key, KeyId::parse, WHAT)?,
        model: optional(model).map(|text| id(&text, ModelId::parse, WHAT)).transpose()?,
        endpoint: optional(endpoint).map(|text| id(&text, EndpointId::parse, WHAT)).transpose()?,
    };
    if parts.next().is_some() { Err(Malformed(WHAT)) } else { Ok(who) }
}

fn row(sums: &Sums) -> Vec<u8> {
    seal(|to: &mut Put<'_>| {
        for count in sums.counts() {
            to.u64(count);
        }
        to.i64(sums.cost.0);
        to.i64(sums.upstream_cost.0);
    })
}

fn read_row(value: &[u8]) -> Result<Sums, Malformed> {
    unseal(value, |from: &mut Take<'_>| {
        let mut counts = [0; Sums::COUNTS];
        for count in &mut counts {
            *count = from.u64("sum")?;
        }
        let cost = NanoUsd(from.i64("cost")?);
        Ok(Sums::from_counts(counts, cost, NanoUsd(from.i64("upstream cost")?)))
    })
}

fn scan_day(
    store: &dyn Store,
    day: u64,
    each: &mut dyn FnMut(Who, Sums),
) -> Result<(), StoreFailed> {
    scan(store, &day_prefix(day), each)
}

fn scan(
    store: &dyn Store,
    prefix: &[u8],
    each: &mut dyn FnMut(Who, Sums),
) -> Result<(), StoreFailed> {
    let mut result = Ok(());
    store.scan(prefix, &mut |key, value| {
        result = read_key(key).and_then(|who| {
            each(who, read_row(value)?);
            Ok(())
        });
        result.is_ok()
    })?;
    result.map_err(|error| StoreFailed(error.to_string()))
}

/// The sums that a query asks for, day by day.
pub(crate) fn query(
    store: &dyn Store,
    query: &ActivityQuery,
) -> Result<Vec<Activity>, StoreFailed> {
    let mut found = Vec::new();
    for day in query.from_day..=query.to_day {
        let mut prefix = day_prefix(day.into());
        if let Some(account) = &query.account {
            prefix.extend_from_slice(account.as_str().as_bytes());
            prefix.push(0);
        }
        scan(store, &prefix, &mut |who, sums| {
            if query.wants(&who) {
                found.push(Activity { day, who, sums });
            }
        })?;
    }
    Ok(found)
}
