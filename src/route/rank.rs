//! The order among the endpoints that may be used.
//!
//! Classes come first: what the caller ordered; then those that are well and do what the caller
//! prefers; then those that are well; then those with an outage in the last 30 seconds, in silence,
//! with far more failures than their siblings, or with as much traffic as they take; then those that
//! would refuse.
//! Within a class a strict order holds where one is asked for; else one is drawn first
//! ([`super::score`]), and the others follow in ascending cost.

use std::borrow::Cow;
use std::sync::Arc;

use super::numbers::{Measured, Numbers, faded_us};
use super::plan::{Candidate, Reason};
use super::score::{self, Columns, Draw, Lot, Price, Samples, Scale};
use super::table::{Facts, Row, Slot};
use super::{Features, Prefs};
use crate::balance::{Availability, Reading, Trouble, mix};
use crate::dialect::scan::{Cutoffs, Sort};

/// Classes of candidates, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Ordered,
    Preferred,
    Well,
    TroubledPreferred,
    Troubled,
    Unavailable,
}

/// An endpoint that may be used: where it stands in the catalog, and what it is to the request.
#[derive(Clone, Copy, Debug)]
struct Entry {
    row: u32,
    index: u32,
    /// Its place in `provider.order`; 0 for those that are not named.
    order: u32,
    in_flight: u32,
    class: Class,
    /// Not of the tier that was asked for.
    other_tier: bool,
    /// Live signals speak for it, not at all, or against it; 1 unless asked.
    quality: u8,
    usable: bool,
}

impl Entry {
    /// Its class, whether it is of another tier, and its quality; less is better.
    #[inline]
    fn standing(&self) -> u32 {
        u32::from_be_bytes([0, self.class as u8, u8::from(self.other_tier), self.quality])
    }
}

/// What is said only of endpoints with which something is wrong, which are few as a rule.
#[derive(Clone, Copy, Debug)]
struct Unwell {
    place: usize,
    availability: Availability,
    trouble: Trouble,
}

/// The endpoints that are ranked together, each by its place. A column for each use, so that
/// going through a thousand of them touches what is needed alone.
#[derive(Debug, Default)]
pub(super) struct Field {
    entries: Vec<Entry>,
    lots: Vec<Lot>,
    /// What latencies have yet to be faded by; `None` where that has been done.
    readings: Vec<Option<Reading>>,
    samples: Samples,
    /// In the order of places.
    unwell: Vec<Unwell>,
    /// Shorter where nothing was asked for of those at the end.
    measured: Vec<Option<Box<Measured>>>,
}

impl Field {
    pub(super) fn reserve(&mut self, more: usize) {
        self.entries.reserve(more);
        self.lots.reserve(more);
        self.readings.reserve(more);
        self.samples.reserve(more);
    }

    /// Adds an endpoint, by its row and its place there.
    #[inline(always)]
    pub(super) fn push(
        &mut self,
        (row, index): (u32, u32),
        (facts, slot): (&Facts, &Slot),
        features: &Features<'_>,
        (numbers, reading): (Numbers, Option<Reading>),
        price: Price,
    ) {
        let prefs = features.prefs;
        let order = prefs.map_or(&[][..], |prefs| &prefs.order);
        let order = (0..).zip(order).find_map(|(at, name)| slot.is_named(name).then_some(at));
        let (place, availability) = (self.entries.len(), numbers.availability);
        let lot = Lot::new(&numbers, price, facts.weight);
        if availability.is_usable() {
            self.samples.take(&lot);
        }
        self.lots.push(lot);
        self.readings.push(reading);
        self.entries.push(Entry {
            row,
            index,
            order: order.unwrap_or(0),
            in_flight: numbers.in_flight,
            class: class(&numbers, prefs, order.is_some()),
            other_tier: features.tier.is_some_and(|tier| facts.tier != tier),
            quality: 1,
            usable: availability.is_usable(),
        });
        if availability != Availability::Ready || numbers.trouble != Trouble::default() {
            self.unwell.push(Unwell { place, availability, trouble: numbers.trouble });
        }
        if let Some(measured) = numbers.measured {
            self.measured.resize_with(place, || None);
            self.measured.push(Some(measured));
        }
    }

    fn availability(&self, place: usize) -> Availability {
        let found = self.unwell.binary_search_by_key(&place, |unwell| unwell.place);
        found.map_or(Availability::Ready, |at| self.unwell[at].availability)
    }

    fn measured(&self, place: usize) -> Option<&Measured> {
        self.measured.get(place)?.as_deref()
    }

    fn reason(&self, place: usize, first: Option<(usize, Reason)>, sort: Option<Sort>) -> Reason {
        let first = first.filter(|(at, _)| *at == place).map(|(_, reason)| reason);
        match (self.entries[place].class, first, sort) {
            (Class::Ordered, ..) => Reason::Ordered,
            (Class::Unavailable, ..) => Reason::Unavailable(self.availability(place)),
            (_, Some(reason), _) => reason,
            (_, None, Some(sort)) => Reason::Sorted(sort),
            (_, None, None) => Reason::Fallback,
        }
    }

    /// The best `most` places, in order. `best`: the standing of the best class with usable
    /// endpoints; `first`: who comes first of its class.
    fn order(
        &self,
        keys: &[f64],
        (best, first): (Option<u32>, Option<usize>),
        most: usize,
    ) -> Vec<Rung> {
        let last = best.and_then(|best| self.last(keys, best, most));
        let none_after = (u32::MAX, u64::MAX);
        let last = best.zip(last).unwrap_or(none_after);
        let mut rungs = Vec::with_capacity(self.entries.len().min(most * 2));
        for (place, (entry, key)) in self.entries.iter().zip(keys).enumerate() {
            let (key, is_first) = (total_order(*key), first == Some(place));
            if (entry.standing(), key) <= last || is_first {
                rungs.push(Rung { group: self.group(place, entry, is_first), key, place });
            }
        }
        if rungs.len() > most {
            rungs.select_nth_unstable(most);
            rungs.truncate(most);
        }
        rungs.sort_unstable();
        rungs
    }

    /// The last of the keys of this standing that is among the best `most`, where there are more. What
    /// comes after it need not be compared, which with many is most of what there is.
    fn last(&self, keys: &[f64], standing: u32, most: usize) -> Option<u64> {
        let both = self.entries.iter().zip(keys);
        let (mut of_it, mut count) = (vec![0; self.entries.len()], 0);
        for (entry, key) in both {
            of_it[count] = total_order(*key);
            count += usize::from(entry.standing() == standing);
        }
        let at = most.checked_sub(1).filter(|at| *at < count)?;
        Some(*of_it[..count].select_nth_unstable(at).1)
    }

    /// The best first: class, place in the caller's order, who comes first, how available, tier,
    /// quality.
    #[inline]
    fn group(&self, place: usize, entry: &Entry, is_first: bool) -> u128 {
        let availability = match entry.class {
            Class::Unavailable => self.availability(place),
            _ => Availability::Ready,
        };
        let (kind, until) = match availability {
            Availability::Ready => (0_u8, 0),
            Availability::Trial => (1, 0),
            Availability::Trying => (2, 0),
            Availability::Cooling(until) => (3, until.0),
            Availability::Open(until) => (4, until.0),
            Availability::Down => (5, 0),
        };
        u128::from(entry.class as u8) << 120
            | u128::from(entry.order) << 88
            | u128::from(!is_first) << 84
            | u128::from(kind) << 80
            | u128::from(until) << 16
            | u128::from(entry.other_tier) << 8
            | u128::from(entry.quality)
    }
}

/// What an endpoint is compared by: of those in the same group the lesser key comes first, and of
/// those the one that comes first in the order of models and endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rung {
    group: u128,
    key: u64,
    place: usize,
}

/// A number whose order is the total order of IEEE 754, as [`f64::total_cmp`] has it.
const fn total_order(number: f64) -> u64 {
    let bits = number.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

#[inline]
fn class(numbers: &Numbers, prefs: Option<&Prefs>, ordered: bool) -> Class {
    let troubled = is_outage(&numbers.trouble) || numbers.capped || numbers.silent;
    match (ordered, numbers.availability.is_usable(), troubled, is_preferred(numbers, prefs)) {
        (true, ..) => Class::Ordered,
        (false, false, ..) => Class::Unavailable,
        (false, true, false, true) => Class::Preferred,
        (false, true, false, false) => Class::Well,
        (false, true, true, true) => Class::TroubledPreferred,
        (false, true, true, false) => Class::Troubled,
    }
}

/// A significant outage in the last 30 seconds: at least three failures, and every fifth attempt
/// (OpenRouter calls an uptime below 80 % fit for fallback only; its provider docs, 2026-08).
const fn is_outage(trouble: &Trouble) -> bool {
    let (good, bad) = (trouble.good_30s as u64, trouble.bad_30s as u64);
    bad >= 3 && bad * 5 >= good + bad
}

/// Whether an endpoint does what the caller prefers. What was not measured is not held against it.
fn is_preferred(numbers: &Numbers, prefs: Option<&Prefs>) -> bool {
    let (Some(prefs), Some(measured)) = (prefs, &numbers.measured) else { return true };
    let holds = |cutoffs: &Cutoffs, values: Option<[u64; 4]>, ok: fn(u64, u64) -> bool| {
        values.is_none_or(|values| {
            cutoffs.0.iter().zip(values).all(|(cutoff, value)| cutoff.is_none_or(|c| ok(value, c)))
        })
    };
    holds(&prefs.min_throughput, measured.throughput, |value, least| value >= least)
        && holds(&prefs.max_latency, measured.latency_us, |value, most| value <= most)
}

/// Puts the endpoints of one model, or of all models together, in order. At most `most` are given,
/// each with its row and its place there.
pub(super) fn rank(
    mut field: Field,
    rows: &[Arc<Row>],
    features: &Features<'_>,
    (sort, seed, most): (Option<Sort>, u64, usize),
) -> Vec<(Candidate, u32, u32)> {
    eject_outliers(&mut field);
    if sort == Some(Sort::Exacto) {
        judge_quality(&mut field);
    }
    let scale = Scale::of(&mut field.samples);
    let readings = &field.readings;
    scale.fade(&mut field.lots, |place, lot| match &readings[place] {
        Some(reading) => score::real(faded_us(reading)),
        None => lot.faded_us,
    });
    let best = best(&field.entries);
    let drawn = best.filter(|_| matches!(sort, None | Some(Sort::Exacto)));
    let mut columns = Columns::of(&field.lots, &scale);
    let sums = columns.leave(field.entries.iter().map(|entry| Some(entry.standing()) == drawn));
    let draw = Draw { scale: &scale, lots: &field.lots, columns: &columns, sums };
    let fresh = || field.lots.iter().map(|lot| lot.price.fresh).collect();
    let (keys, first): (Cow<'_, [f64]>, _) = match sort {
        None | Some(Sort::Exacto) => {
            (Cow::Borrowed(&columns.cost), choose(&field, &draw, rows, features, seed))
        }
        Some(Sort::Price) => (fresh(), None),
        Some(Sort::Throughput) => by_measure(&field, false, seed),
        Some(Sort::Latency) => by_measure(&field, true, seed),
    };
    let rungs = field.order(&keys, (best, first.map(|(place, _)| place)), most);
    let candidate = |rung: Rung| {
        let place = rung.place;
        let Entry { row, index, .. } = field.entries[place];
        let slot = Arc::clone(&rows[row as usize].slots[index as usize]);
        let score = scale.score(&field.lots[place], draw.share(place));
        let why = field.reason(place, first, sort);
        (Candidate { slot, why, score, thinking: false }, row, index)
    };
    rungs.into_iter().map(candidate).collect()
}

/// The standing of the best class that has usable endpoints: one of them is drawn.
fn best(entries: &[Entry]) -> Option<u32> {
    let draws = |entry: &&Entry| !matches!(entry.class, Class::Ordered | Class::Unavailable);
    entries.iter().filter(draws).map(Entry::standing).min()
}

/// Who comes first: the endpoint that has the conversation in its cache, or the one that is drawn.
fn choose(
    field: &Field,
    draw: &Draw<'_>,
    rows: &[Arc<Row>],
    features: &Features<'_>,
    seed: u64,
) -> Option<(usize, Reason)> {
    let ordered = features.prefs.is_some_and(|prefs| !prefs.order.is_empty());
    let known = features.sticky.filter(|_| !ordered).and_then(|sticky| {
        let mark = |entry: &Entry| rows[entry.row as usize].facts[entry.index as usize].mark;
        draw.position(|place| mark(&field.entries[place]) == sticky)
    });
    if let Some(known) = known.filter(|known| draw.stays(*known)) {
        return Some((known, Reason::Sticky));
    }
    let (drawn, explored) = draw.first(seed, |place| field.entries[place].in_flight)?;
    Some((drawn, if explored { Reason::Explored } else { Reason::Picked }))
}

/// Keys by latency or throughput as measured; what was not measured is taken for the median. Now
/// and then one that was not measured comes first, or it never would be.
fn by_measure(
    field: &Field,
    by_latency: bool,
    seed: u64,
) -> (Cow<'static, [f64]>, Option<(usize, Reason)>) {
    let places = 0..field.entries.len();
    let values: Vec<Option<f64>> = places.map(|place| measure(field, place, by_latency)).collect();
    let mut known: Vec<f64> = values.iter().copied().flatten().collect();
    known.sort_unstable_by(f64::total_cmp);
    let median = known.get(known.len().saturating_sub(1) / 2).copied().unwrap_or(0.0);
    let keys = values.iter().map(|value| value.unwrap_or(median)).collect();
    if score::unit(mix(seed)) >= score::EXPLORE {
        return (keys, None);
    }
    let unknown =
        |(entry, value): (&Entry, &Option<f64>)| entry.class == Class::Preferred && value.is_none();
    let both = field.entries.iter().zip(&values).enumerate();
    let unknown: Vec<usize> = both.filter(|(_, both)| unknown(*both)).map(|(i, _)| i).collect();
    let drawn = crate::balance::below(mix(seed.wrapping_add(1)), unknown.len());
    (keys, unknown.get(drawn).map(|place| (*place, Reason::Explored)))
}

/// Seconds per token or to the first one, up to a constant: less is better.
#[expect(clippy::cast_precision_loss, reason = "measured numbers are far below 2^52")]
fn measure(field: &Field, place: usize, by_latency: bool) -> Option<f64> {
    let lot = &field.lots[place];
    let measured = field.measured(place).copied().unwrap_or_default();
    if by_latency {
        let average = (lot.latency_us > 0.0).then_some(lot.latency_us);
        measured.latency_us.map(|p| p[0] as f64).or(average)
    } else {
        let average = (lot.token_ns > 0.0).then(|| 1e12 / lot.token_ns);
        measured.throughput.map(|p| p[0] as f64).or(average).map(|rate| -rate)
    }
}

/// An endpoint is an outlier if it failed in the last 30 seconds and at least five times in 5
/// minutes, and its share of failures is above three times the median of its siblings and five
/// hundredths. At most a third of them are; the worst first.
fn eject_outliers(field: &mut Field) {
    const FAILURES_MIN: u32 = 5;
    let share = |trouble: &Trouble| {
        let (good, bad) = (f64::from(trouble.good_5m), f64::from(trouble.bad_5m));
        bad / (good + bad).max(1.0)
    };
    let failed = |trouble: &Trouble| trouble.bad_30s > 0 && trouble.bad_5m >= FAILURES_MIN;
    if !field.unwell.iter().any(|unwell| failed(&unwell.trouble)) {
        return;
    }
    let usable = field.unwell.iter().filter(|unwell| unwell.availability.is_usable());
    let mut shares: Vec<f64> = usable.map(|unwell| share(&unwell.trouble)).collect();
    shares.sort_unstable_by(f64::total_cmp);
    let all = field.entries.iter().filter(|entry| entry.usable).count();
    // Those with which nothing is wrong come before, each with a share of 0.
    let well = all - shares.len();
    let nth = |n: usize| n.checked_sub(well).map_or(Some(0.0), |n| shares.get(n).copied());
    let median = nth(all.saturating_sub(1) / 2).unwrap_or(0.0);
    let limit = (median * 3.0 + 0.05).max(nth(all - all / 3).unwrap_or(f64::INFINITY));
    for Unwell { place, trouble, .. } in &field.unwell {
        if !failed(trouble) || share(trouble) < limit {
            continue;
        }
        let class = &mut field.entries[*place].class;
        *class = match *class {
            Class::Preferred => Class::TroubledPreferred,
            Class::Well => Class::Troubled,
            other => other,
        };
    }
}

/// OpenRouter's three tiers for requests with tools (its Auto Exacto page, read 2026-09), by the
/// live signals that a gateway has: throughput and answered attempts, by median and median
/// deviation, where four endpoints or more have a hundred attempts in 30 minutes. Good ones come
/// first, then those of which too little is known, then those far below their siblings.
fn judge_quality(field: &mut Field) {
    const ATTEMPTS_MIN: u64 = 100;
    const ENDPOINTS_MIN: usize = 4;
    #[expect(clippy::cast_precision_loss, reason = "measured numbers are far below 2^52")]
    let signals = |measured: &Option<Box<Measured>>| {
        let measured = measured.as_ref().filter(|m| m.requests_30m >= ATTEMPTS_MIN)?;
        Some((measured.throughput?[0] as f64, f64::from(measured.uptime_permille)))
    };
    let known: Vec<(f64, f64)> = field.measured.iter().filter_map(signals).collect();
    if known.len() < ENDPOINTS_MIN {
        return;
    }
    let slow = lower_limit(known.iter().map(|(throughput, _)| *throughput), 1.5);
    let failing = lower_limit(known.iter().map(|(_, uptime)| *uptime), 2.0);
    for (entry, measured) in field.entries.iter_mut().zip(&field.measured) {
        entry.quality = match signals(measured) {
            None => 1,
            Some((throughput, uptime)) if throughput < slow || uptime < failing => 2,
            Some(_) => 0,
        };
    }
}

/// The median less so many standard deviations, as the median deviation tells them (1.4826 for a
/// normal distribution; Rousseeuw and Croux 1993).
fn lower_limit(values: impl Iterator<Item = f64>, deviations: f64) -> f64 {
    let median = |values: &mut Vec<f64>| {
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(0.0)
    };
    let mut values: Vec<f64> = values.collect();
    let middle = median(&mut values);
    let mut distances: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    // A thousandth of the median at least: where all are alike nobody is an outlier.
    let deviation = (median(&mut distances) * 1.4826).max(middle.abs() / 100.0);
    middle - deviations * deviation
}
