//! The order among the endpoints that may be used.
//!
//! Classes come first: what the caller ordered; then those that are well and do what the caller
//! prefers; then those that are well; then those with an outage in the last 30 seconds, in silence,
//! with far more failures than their siblings, or with as much traffic as they take; then those that
//! would refuse.
//! Within a class a strict order holds where one is asked for; else one is drawn first
//! ([`super::score`]), and the others follow in ascending cost.

use std::cmp::Ordering;
use std::sync::Arc;

use super::numbers::Numbers;
use super::plan::{Candidate, Reason};
use super::score::{self, Lot, Price, Raw, Scale, Score};
use super::table::Row;
use super::{Features, Prefs};
use crate::balance::{Availability, Trouble, mix};
use crate::catalog::Tier;
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

/// An endpoint that may be used.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) row: usize,
    pub(super) index: usize,
    /// Its place in `provider.order`.
    order: Option<usize>,
    class: Class,
    /// First of its class, and why.
    first: Option<Reason>,
    /// Not of the tier that was asked for.
    other_tier: bool,
    /// Live signals speak for it, not at all, or against it; 1 unless asked.
    quality: u8,
    /// What a strict order goes by; less is better.
    key: f64,
    numbers: Numbers,
    price: Price,
    lot: Lot,
}

impl Entry {
    pub(super) fn new(
        (row, index): (usize, usize),
        rows: &[Arc<Row>],
        features: &Features<'_>,
        numbers: Numbers,
        price: Price,
    ) -> Self {
        let slot = &rows[row].slots[index];
        let cached = f64::from(numbers.cached_permille.min(1_000)) / 1_000.0;
        let raw = Raw::new(&numbers, price.at(cached));
        let order =
            features.prefs.and_then(|p| p.order.iter().position(|name| slot.is_named(name)));
        Self {
            row,
            index,
            order,
            class: class(&numbers, features.prefs, order.is_some()),
            first: None,
            other_tier: features.tier.is_some_and(|tier| slot.endpoint.tier != tier),
            quality: 1,
            key: 0.0,
            price,
            lot: Lot {
                raw,
                score: Score::default(),
                weight: slot.endpoint.weight,
                in_flight: numbers.in_flight,
            },
            numbers,
        }
    }

    const fn is_usable(&self) -> bool {
        self.numbers.availability.is_usable()
    }

    fn rung(&self, place: usize) -> Rung {
        let refuses = self.class == Class::Unavailable;
        Rung {
            class: self.class,
            order: self.order.unwrap_or(0),
            not_first: self.first.is_none(),
            availability: if refuses { self.numbers.availability } else { Availability::Ready },
            other_tier: self.other_tier,
            quality: self.quality,
            key: Key(self.key),
            place,
        }
    }

    fn reason(&self, sort: Option<Sort>) -> Reason {
        match (self.class, self.first, sort) {
            (Class::Ordered, ..) => Reason::Ordered,
            (Class::Unavailable, ..) => Reason::Unavailable(self.numbers.availability),
            (_, Some(reason), _) => reason,
            (_, None, Some(sort)) => Reason::Sorted(sort),
            (_, None, None) => Reason::Fallback,
        }
    }
}

/// What an entry is compared by. Entries are large and lie apart, so that going through them for
/// every comparison would be most of the time of a plan with many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rung {
    class: Class,
    order: usize,
    not_first: bool,
    availability: Availability,
    other_tier: bool,
    quality: u8,
    key: Key,
    /// Its place among the entries, which are in the order of models and endpoints.
    place: usize,
}

/// A number in IEEE 754's total order.
#[derive(Clone, Copy, Debug)]
struct Key(f64);

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key {}

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

/// Puts the endpoints of one model, or of all models together, in order. At most `most` are given.
pub(super) fn rank(
    mut entries: Vec<Entry>,
    rows: &[Arc<Row>],
    features: &Features<'_>,
    (sort, seed, most): (Option<Sort>, u64, usize),
) -> Vec<(Candidate, usize, usize)> {
    eject_outliers(&mut entries);
    if sort == Some(Sort::Exacto) {
        judge_quality(&mut entries);
    }
    let usable = entries.iter().filter(|entry| entry.is_usable());
    let scale = Scale::of(usable.map(|entry| &entry.lot.raw));
    for entry in &mut entries {
        entry.lot.score = scale.score(&entry.lot.raw);
        entry.key = entry.lot.score.cost();
    }
    match sort {
        None | Some(Sort::Exacto) => choose(&mut entries, rows, &scale, features, seed),
        Some(Sort::Price) => entries.iter_mut().for_each(|entry| entry.key = entry.price.fresh),
        Some(Sort::Throughput | Sort::Latency) => {
            let worst = sort == Some(Sort::Latency);
            by_measure(&mut entries, worst, seed);
        }
    }
    let rungs = entries.iter().enumerate();
    let mut rungs: Vec<Rung> = rungs.map(|(place, entry)| entry.rung(place)).collect();
    if rungs.len() > most {
        rungs.select_nth_unstable(most);
        rungs.truncate(most);
    }
    rungs.sort_unstable();
    let candidate = |rung: Rung| {
        let entry = &entries[rung.place];
        let slot = Arc::clone(&rows[entry.row].slots[entry.index]);
        let (why, score) = (entry.reason(sort), entry.lot.score);
        let candidate = Candidate { slot, why, score, thinking: false };
        (candidate, entry.row, entry.index)
    };
    rungs.into_iter().map(candidate).collect()
}

/// Draws the first of the best class that has usable endpoints.
fn choose(
    entries: &mut [Entry],
    rows: &[Arc<Row>],
    scale: &Scale,
    features: &Features<'_>,
    seed: u64,
) {
    let draws = |entry: &Entry| entry.class != Class::Ordered && entry.class != Class::Unavailable;
    let place = |entry: &Entry| (entry.class, entry.other_tier, entry.quality);
    let Some(best) = entries.iter().filter(|entry| draws(entry)).map(place).min() else { return };
    let places: Vec<usize> = (0..entries.len()).filter(|i| place(&entries[*i]) == best).collect();
    let mut lots: Vec<Lot> = places.iter().map(|i| entries[*i].lot).collect();
    score::set_shares(&mut lots);
    for (place, lot) in places.iter().zip(&lots) {
        entries[*place].lot.score.share = lot.score.share;
    }
    let ordered = features.prefs.is_some_and(|prefs| !prefs.order.is_empty());
    let known = features.sticky.filter(|_| !ordered).and_then(|sticky| {
        let is_it = |i: &usize| rows[entries[*i].row].slots[entries[*i].index].mark == sticky;
        places.iter().position(is_it)
    });
    if let Some(known) = known
        && score::stays(&lots, known, entries[places[known]].price.cached)
    {
        entries[places[known]].first = Some(Reason::Sticky);
        return;
    }
    if let Some((drawn, explored)) = score::draw(scale, &lots, seed) {
        let reason = if explored { Reason::Explored } else { Reason::Picked };
        entries[places[drawn]].first = Some(reason);
    }
}

/// Orders by latency or throughput as measured; what was not measured is taken for the median. Now
/// and then one that was not measured comes first, or it never would be.
fn by_measure(entries: &mut [Entry], by_latency: bool, seed: u64) {
    let value = |entry: &Entry| measure(entry, by_latency);
    let mut known: Vec<f64> = entries.iter().filter_map(value).collect();
    known.sort_unstable_by(f64::total_cmp);
    let median = known.get(known.len().saturating_sub(1) / 2).copied().unwrap_or(0.0);
    for entry in entries.iter_mut() {
        entry.key = measure(entry, by_latency).unwrap_or(median);
    }
    if score::unit(mix(seed)) >= score::EXPLORE {
        return;
    }
    let unknown = |entry: &Entry| entry.class == Class::Preferred && value(entry).is_none();
    let unknown: Vec<usize> = (0..entries.len()).filter(|i| unknown(&entries[*i])).collect();
    let drawn = crate::balance::below(mix(seed.wrapping_add(1)), unknown.len());
    if let Some(i) = unknown.get(drawn) {
        entries[*i].first = Some(Reason::Explored);
    }
}

/// Seconds per token or to the first one, up to a constant: less is better.
#[expect(clippy::cast_precision_loss, reason = "measured numbers are far below 2^52")]
fn measure(entry: &Entry, by_latency: bool) -> Option<f64> {
    let numbers = &entry.numbers;
    let measured = numbers.measured.as_deref().copied().unwrap_or_default();
    if by_latency {
        let average = (numbers.latency_us > 0).then_some(numbers.latency_us);
        measured.latency_us.map(|p| p[0]).or(average).map(|us| us as f64)
    } else {
        let average = (numbers.token_ns > 0).then(|| 1e12 / numbers.token_ns as f64);
        measured.throughput.map(|p| p[0] as f64).or(average).map(|rate| -rate)
    }
}

/// An endpoint is an outlier if it failed in the last 30 seconds and at least five times in 5
/// minutes, and its share of failures is above three times the median of its siblings and five
/// hundredths. At most a third of them are; the worst first.
fn eject_outliers(entries: &mut [Entry]) {
    const FAILURES_MIN: u32 = 5;
    let share = |entry: &Entry| {
        let trouble = &entry.numbers.trouble;
        let (good, bad) = (f64::from(trouble.good_5m), f64::from(trouble.bad_5m));
        bad / (good + bad).max(1.0)
    };
    let failed = |entry: &Entry| {
        let trouble = &entry.numbers.trouble;
        trouble.bad_30s > 0 && trouble.bad_5m >= FAILURES_MIN
    };
    if !entries.iter().any(failed) {
        return;
    }
    let mut shares: Vec<f64> =
        entries.iter().filter(|entry| entry.is_usable()).map(share).collect();
    shares.sort_unstable_by(f64::total_cmp);
    let median = shares.get(shares.len().saturating_sub(1) / 2).copied().unwrap_or(0.0);
    let most = shares.len() / 3;
    let limit = (median * 3.0 + 0.05)
        .max(shares.get(shares.len() - most.min(shares.len())).copied().unwrap_or(f64::INFINITY));
    for entry in entries.iter_mut() {
        if !failed(entry) || share(entry) < limit {
            continue;
        }
        entry.class = match entry.class {
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
fn judge_quality(entries: &mut [Entry]) {
    const ATTEMPTS_MIN: u64 = 100;
    const ENDPOINTS_MIN: usize = 4;
    #[expect(clippy::cast_precision_loss, reason = "measured numbers are far below 2^52")]
    let signals = |entry: &Entry| {
        let measured =
            entry.numbers.measured.as_ref().filter(|m| m.requests_30m >= ATTEMPTS_MIN)?;
        Some((measured.throughput?[0] as f64, f64::from(measured.uptime_permille)))
    };
    let known: Vec<(f64, f64)> = entries.iter().filter_map(signals).collect();
    if known.len() < ENDPOINTS_MIN {
        return;
    }
    let slow = lower_limit(known.iter().map(|(throughput, _)| *throughput), 1.5);
    let failing = lower_limit(known.iter().map(|(_, uptime)| *uptime), 2.0);
    for entry in entries {
        entry.quality = match signals(entry) {
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

/// Keeps the endpoints of the flex tier alone, if there are some: that is what the tier is asked
/// for. Gives the others.
pub(super) fn keep_flex(entries: &mut Vec<Entry>, rows: &[Arc<Row>]) -> Vec<Entry> {
    let is_flex = |e: &Entry| rows[e.row].slots[e.index].endpoint.tier == Tier::Flex;
    if entries.iter().any(is_flex) {
        entries.extract_if(.., |entry| !is_flex(entry)).collect()
    } else {
        Vec::new()
    }
}
