//! Eligible → rank → plan, and the walk along a plan.

use std::mem;
use std::sync::Arc;

use serde::Serialize;

use super::filter::{Filter, Sieve, better, worse};
use super::numbers::Numbers;
use super::rank::{self, Field};
use super::refuse;
use super::score::{Price, Rates, Score};
use super::table::{Facts, Found, RoutingTable, Row, Slot};
use super::variant::{Catalogue, Named};
use super::{Features, MODELS_MAX, Prefs};
use crate::balance::{Availability, EndpointHealth, InFlight, Nanos, Reading, Wait, mix};
use crate::catalog::{Tier, utc_minute};
use crate::dialect::scan::Sort;
use crate::error::GatewayError;

/// Where a request may be answered, best first.
#[derive(Debug)]
pub struct Plan {
    /// Where, at most 64.
    pub candidates: Vec<Candidate>,
    /// The models that were asked for, with all their endpoints.
    rows: Vec<Arc<Row>>,
    /// A bit per model whose reasoning is to be switched on.
    thinking: u64,
    removed: Vec<Removed>,
    wait: Wait,
    /// A bit per candidate that was tried.
    tried: u64,
}

/// Where a request may be answered.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The endpoint.
    pub slot: Arc<Slot>,
    /// Why it stands where it stands.
    pub why: Reason,
    /// What its place was reckoned from.
    pub score: Score,
    /// The request asks for `:thinking` of a model that has no such entry: reasoning is switched on.
    pub thinking: bool,
}

/// Why a candidate stands where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The caller's `provider.order` names it.
    Ordered,
    /// A strict order was asked for.
    Sorted(Sort),
    /// It has the prompt of this conversation in its cache.
    Sticky,
    /// It was drawn.
    Picked,
    /// It was drawn to learn how it does.
    Explored,
    /// In ascending cost after the first choice.
    Fallback,
    /// It was not available when the plan was made.
    Unavailable(Availability),
}

/// An endpoint that a request may not use: its place, and what removed it.
#[derive(Clone, Copy, Debug)]
struct Removed {
    row: u32,
    index: u32,
    by: Filter,
}

/// An endpoint that is being tried, counted as busy.
#[derive(Debug)]
#[must_use = "dropping it means that the attempt is over"]
pub struct Admitted {
    /// The endpoint.
    pub slot: Arc<Slot>,
    /// Why it stood where it stood.
    pub why: Reason,
    /// As in [`Candidate`].
    pub thinking: bool,
    /// Every candidate had refused, and this was the least bad.
    pub last_resort: bool,
    /// Counts the request; takes its outcome.
    pub guard: InFlight,
}

const CANDIDATES_MAX: usize = 64;

/// Decides where a request may be answered. The same arguments and the same health give the same
/// plan.
///
/// # Errors
/// A model does not exist, nothing that serves it is left, or the prompt fits nowhere.
pub fn plan(
    table: &RoutingTable,
    features: &Features<'_>,
    seed: u64,
    now: Nanos,
) -> Result<Plan, GatewayError> {
    let (wait, needs) = (features.wait, features.needs());
    decide(table, features, seed, |_, health| Numbers::read_unfaded(health, wait, needs, now))
}

/// As [`plan`], with what health says of each endpoint from elsewhere.
///
/// # Errors
/// As [`plan`].
pub fn plan_from(
    table: &RoutingTable,
    features: &Features<'_>,
    seed: u64,
    mut numbers: impl FnMut(&Slot, &Features<'_>) -> Numbers,
) -> Result<Plan, GatewayError> {
    decide(table, features, seed, |slot, _| (numbers(slot, features), None))
}

/// As [`plan_from`]; health is handed over beside the slot, so that nobody need follow the slot, and
/// what numbers there are may have been left [unfaded](Numbers::read_unfaded).
fn decide(
    table: &RoutingTable,
    features: &Features<'_>,
    seed: u64,
    mut numbers: impl FnMut(&Slot, &EndpointHealth) -> (Numbers, Option<Reading>),
) -> Result<Plan, GatewayError> {
    if features.models.len() > MODELS_MAX {
        return Err(refuse::too_many_models());
    }
    let mut plan = Plan { wait: features.wait, ..Plan::default() };
    let together = features.together || features.prefs.is_some_and(|prefs| prefs.together);
    let (mut pool, mut pool_sort) = (Field::default(), None);
    for (i, name) in chain(features) {
        let found = table.find(name).map_err(|lost| refuse::lost(table, name, lost, i))?;
        plan.eligible(&mut pool, &found, features, &mut numbers);
        let sort = sort_of(features, &found);
        let seed = mix(seed.wrapping_add(u64::from(i)));
        if together {
            pool_sort = pool_sort.or(sort);
        } else {
            plan.add(mem::take(&mut pool), features, sort, seed);
        }
    }
    if together {
        plan.add(pool, features, pool_sort, mix(seed));
    }
    if plan.candidates.is_empty() {
        return Err(refuse::nothing_left(features, &plan));
    }
    Ok(plan)
}

/// The models asked for, each once, with their place.
fn chain<'a>(features: &Features<'a>) -> impl Iterator<Item = (u32, &'a str)> {
    let (model, models) = (features.model, features.models);
    let first = (!model.is_empty() || models.is_empty()).then_some(model);
    let rest = models.iter().enumerate().filter_map(move |(i, name)| {
        let again = name == model || models[..i].contains(name);
        (!again).then_some(name.as_str())
    });
    (0..).zip(first.into_iter().chain(rest))
}

/// `provider.sort` stands before the model's suffix; the flex tier is chosen by price and the
/// priority tier by throughput unless something else is asked.
fn sort_of(features: &Features<'_>, found: &Found<'_, '_>) -> Option<Sort> {
    let asked = features.prefs.and_then(|prefs| prefs.sort).or(found.named.sort);
    let of_tier = || match features.tier? {
        Tier::Flex => Some(Sort::Price),
        Tier::Priority => Some(Sort::Throughput),
        Tier::Default => None,
    };
    asked.or_else(of_tier)
}

impl Plan {
    /// Endpoints that the request may not use, and what removed each. Of several filters that would
    /// remove it, the first is named.
    pub fn dropped(&self) -> impl Iterator<Item = (&Arc<Slot>, Filter)> {
        self.removed.iter().filter_map(|removed| {
            let slot = self.rows.get(removed.row as usize)?.slots.get(removed.index as usize)?;
            Some((slot, removed.by))
        })
    }

    /// Passes the hard filters and takes the numbers of what is left.
    fn eligible(
        &mut self,
        field: &mut Field,
        found: &Found<'_, '_>,
        features: &Features<'_>,
        numbers: &mut impl FnMut(&Slot, &EndpointHealth) -> (Numbers, Option<Reading>),
    ) {
        let row = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        self.rows.push(Arc::clone(found.row));
        let Named { catalogue, flex, priority, .. } = found.named;
        let thinks = found.stands_in && catalogue == Some(Catalogue::Thinking);
        self.thinking |= u64::from(thinks) << row;
        let sieve = Sieve::new(features, found.row, (flex, priority));
        let (slots, facts) = (&found.row.slots, &found.row.facts);
        let mut left: Vec<u32> = Vec::with_capacity(slots.len());
        for (index, (slot, facts)) in (0..).zip(slots.iter().zip(facts)) {
            match sieve.removes(facts, slot) {
                Some(by) => self.removed.push(Removed { row, index, by }),
                None => left.push(index),
            }
        }
        self.keep_better(&mut left, row, found, features);
        if features.tier == Some(Tier::Flex) {
            self.keep_flex(&mut left, row, facts);
        }
        let minute = utc_minute(features.unix_ms);
        let (prompt, completion) = (features.prompt_tokens, features.expected_tokens);
        field.reserve(left.len());
        for index in left {
            let (slot, facts) = (&slots[index as usize], &facts[index as usize]);
            let special = || Rates::from(&slot.endpoint.prices.at(prompt, minute));
            let rates = if facts.has_overrides { special() } else { facts.rates };
            let numbers = numbers(slot, &facts.health);
            let price = Price::new(&rates, prompt, completion);
            field.push((row, index), (facts, slot), features, numbers, price);
        }
    }

    /// Filters that compare the endpoints of a model with each other.
    fn keep_better(
        &mut self,
        left: &mut Vec<u32>,
        row: u32,
        found: &Found<'_, '_>,
        features: &Features<'_>,
    ) {
        let facts = |index: u32| &found.row.facts[index as usize];
        let wanted = better(features.params, left.iter().map(|index| facts(*index).parameters));
        let extended = found.stands_in && found.named.catalogue == Some(Catalogue::Extended);
        let contexts = left.iter().map(|index| facts(*index).context_length);
        let largest = if extended { contexts.max() } else { None };
        if wanted.is_empty() && largest.is_none() {
            return;
        }
        left.retain(|index| {
            let facts = facts(*index);
            let short = largest.is_some_and(|largest| facts.context_length < largest);
            let by = worse(wanted, facts.parameters);
            let by = by.or(short.then_some(Filter::Extended));
            self.removed.extend(by.map(|by| Removed { row, index: *index, by }));
            by.is_none()
        });
    }

    /// Keeps the endpoints of the flex tier alone, if there are some: that is what the tier is asked
    /// for.
    fn keep_flex(&mut self, left: &mut Vec<u32>, row: u32, facts: &[Facts]) {
        let is_flex = |index: &u32| facts[*index as usize].tier == Tier::Flex;
        if left.iter().any(is_flex) {
            let others = left.extract_if(.., |index| !is_flex(index));
            let by = Filter::Tier;
            self.removed.extend(others.map(|index| Removed { row, index, by }));
        }
    }

    /// Ranks endpoints and adds them after those that are there.
    fn add(&mut self, field: Field, features: &Features<'_>, sort: Option<Sort>, seed: u64) {
        let most = CANDIDATES_MAX - self.candidates.len();
        let mut ranked = rank::rank(field, &self.rows, features, (sort, seed, most));
        if let Some(prefs) = features.prefs.filter(|prefs| !prefs.allow_fallbacks) {
            self.cut(&mut ranked, prefs);
        }
        let thinking = self.thinking;
        self.candidates.extend(ranked.into_iter().map(|(candidate, row, _)| Candidate {
            thinking: thinking >> row & 1 == 1,
            ..candidate
        }));
    }

    /// Leaves what the caller wants to have tried: the first choice, or what `order` names.
    fn cut(&mut self, ranked: &mut Vec<(Candidate, u32, u32)>, prefs: &Prefs) {
        let ordered = ranked.iter().take_while(|(c, ..)| c.why == Reason::Ordered).count();
        let (keep, by) = if prefs.order.is_empty() {
            (ranked.len().min(1), Filter::FallbacksOff)
        } else {
            (ordered, Filter::Order)
        };
        let others = ranked.drain(keep..);
        self.removed.extend(others.map(|(_, row, index)| Removed { row, index, by }));
    }

    /// Lets the request in at the next candidate: the first that was not tried and lets it in; if
    /// all refuse, the least bad of them. `None` when all have been tried.
    pub fn next(&mut self, now: Nanos) -> Option<Admitted> {
        let wait = self.wait;
        let admit = |(i, candidate): (usize, &Candidate)| {
            let guard = candidate.slot.health.admit(wait, now)?;
            Some((i, guard, false))
        };
        let (i, guard, last_resort) = self.untried().find_map(admit).or_else(|| {
            let badness =
                |(_, candidate): &(usize, &Candidate)| candidate.slot.health.availability(now);
            let (i, least_bad) = self.untried().min_by_key(badness)?;
            Some((i, least_bad.slot.health.admit_anyway(wait, now), true))
        })?;
        self.tried |= 1 << i;
        let Candidate { slot, why, thinking, .. } = self.candidates[i].clone();
        Some(Admitted { slot, why, thinking, last_resort, guard })
    }

    /// The candidates that were not tried, in their order.
    pub fn rest(&self) -> impl Iterator<Item = &Candidate> {
        self.untried().map(|(_, candidate)| candidate)
    }

    /// Says that an endpoint was tried beside the one that [`Self::next`] gave.
    pub fn also_tried(&mut self, slot: &Arc<Slot>) {
        let is = |(_, candidate): &(usize, &Candidate)| Arc::ptr_eq(&candidate.slot, slot);
        let at = self.untried().find(is).map(|(i, _)| i);
        self.tried |= at.map_or(0, |i| 1 << i);
    }

    /// Whether there is a candidate that was not tried.
    pub fn has_next(&self) -> bool {
        self.untried().next().is_some()
    }

    /// How many candidates were tried.
    pub const fn tried(&self) -> u32 {
        self.tried.count_ones()
    }

    fn untried(&self) -> impl Iterator<Item = (usize, &Candidate)> {
        let open = |(i, _): &(usize, &Candidate)| self.tried >> i & 1 == 0;
        self.candidates.iter().enumerate().take(CANDIDATES_MAX).filter(open)
    }
}

/// A plan without candidates.
impl Default for Plan {
    fn default() -> Self {
        let (candidates, rows, removed) = (Vec::new(), Vec::new(), Vec::new());
        Self { candidates, rows, thinking: 0, removed, wait: Wait::FirstToken, tried: 0 }
    }
}
