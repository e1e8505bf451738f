//! Eligible → rank → plan, and the walk along a plan.

use std::sync::Arc;

use super::refuse;
use super::table::{RoutingTable, Slot};
use super::{Features, MODELS_MAX, Prefs};
use crate::balance::health::Gauge;
use crate::balance::rank::{Scale, pick_of_two};
use crate::balance::{Availability, InFlight, Nanos, Wait, mix};
use crate::error::GatewayError;

/// Where a request may be answered, best first.
#[derive(Debug)]
pub struct Plan {
    /// Where, at most 64.
    pub candidates: Vec<Candidate>,
    /// Where not, and why.
    pub dropped: Vec<Dropped>,
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
}

/// Why a candidate stands where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The caller's `provider.order` names it.
    Ordered,
    /// The cheaper of two random ones.
    Picked,
    /// In ascending cost after the pick.
    Fallback,
    /// It was not available when the plan was made.
    Unavailable(Availability),
}

/// An endpoint that a request may not use.
#[derive(Clone, Debug)]
pub struct Dropped {
    /// The endpoint.
    pub slot: Arc<Slot>,
    /// What removed it.
    pub by: Filter,
}

/// What removes endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// `provider.only` does not name it.
    Only,
    /// `provider.ignore` names it.
    Ignore,
    /// The prompt, or prompt and completion, do not fit.
    Context,
    /// `provider.order` does not name it, and fallbacks are off.
    Order,
    /// It was not the first choice, and fallbacks are off.
    FallbacksOff,
}

/// An endpoint that is being tried, counted as busy.
#[derive(Debug)]
#[must_use = "dropping it means that the attempt is over"]
pub struct Admitted {
    /// The endpoint.
    pub slot: Arc<Slot>,
    /// Why it stood where it stood.
    pub why: Reason,
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
    if features.models.len() > MODELS_MAX {
        return Err(refuse::too_many_models());
    }
    let mut plan = Plan { wait: features.wait, ..Plan::default() };
    for (i, model) in chain(features) {
        let Some(slots) = table.slots(model) else {
            return Err(refuse::unknown_model(table, model, i));
        };
        let seed = mix(seed.wrapping_add(u64::from(i)));
        plan.add_model(slots, features, seed, now);
    }
    if plan.candidates.is_empty() {
        return Err(refuse::nothing_left(features, &plan.dropped));
    }
    plan.candidates.truncate(CANDIDATES_MAX);
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

/// An eligible endpoint and what decides its place.
struct Ranked<'a> {
    slot: &'a Arc<Slot>,
    /// Its place in `provider.order`.
    order: Option<usize>,
    availability: Availability,
    cost: f64,
}

impl Ranked<'_> {
    /// Ordered ones, available ones, the others.
    const fn class(&self) -> u8 {
        match self.order {
            Some(_) => 0,
            None if self.availability.is_usable() => 1,
            None => 2,
        }
    }

    fn compare(&self, other: &Self) -> std::cmp::Ordering {
        let by_class = self.class().cmp(&other.class());
        let by_order = || self.order.cmp(&other.order);
        let by_badness = || match self.class() {
            2 => self.availability.cmp(&other.availability),
            _ => std::cmp::Ordering::Equal,
        };
        let by_cost = || self.cost.total_cmp(&other.cost);
        by_class.then_with(by_order).then_with(by_badness).then_with(by_cost)
    }
}

impl Plan {
    fn add_model(&mut self, slots: &[Arc<Slot>], features: &Features<'_>, seed: u64, now: Nanos) {
        let mut ranked = self.eligible(slots, features, now);
        ranked.sort_by(Ranked::compare);
        let ordered = ranked.iter().take_while(|r| r.class() == 0).count();
        let usable = ranked.iter().skip(ordered).take_while(|r| r.class() == 1).count();
        let pick = pick_of_two(seed, usable, |i| ranked[ordered + i].cost);
        if let Some(pick) = pick {
            ranked[ordered..=ordered + pick].rotate_right(1);
        }
        let keep = self.kept(&ranked, features.prefs, ordered);
        let reason = |i: usize, r: &Ranked<'_>| match r.class() {
            0 => Reason::Ordered,
            1 if i == ordered => Reason::Picked,
            1 => Reason::Fallback,
            _ => Reason::Unavailable(r.availability),
        };
        let kept = ranked.iter().take(keep).enumerate();
        self.candidates
            .extend(kept.map(|(i, r)| Candidate { slot: Arc::clone(r.slot), why: reason(i, r) }));
    }

    /// Passes the hard filters and takes the numbers of what is left.
    fn eligible<'a>(
        &mut self,
        slots: &'a [Arc<Slot>],
        features: &Features<'_>,
        now: Nanos,
    ) -> Vec<Ranked<'a>> {
        let mut gauges = Vec::with_capacity(slots.len());
        for slot in slots {
            match filter(slot, features) {
                Some(by) => self.dropped.push(Dropped { slot: Arc::clone(slot), by }),
                None => gauges.push((slot, slot.health.gauge(features.wait, now))),
            }
        }
        let usable = gauges.iter().filter(|(_, gauge)| gauge.availability.is_usable());
        let scale = Scale::of(usable.map(|(_, gauge)| gauge.latency));
        let order = features.prefs.map_or(&[][..], |prefs| &prefs.order);
        let rank = |(slot, gauge): (&'a Arc<Slot>, Gauge)| Ranked {
            slot,
            order: order.iter().position(|name| slot.is_named(name)),
            availability: gauge.availability,
            cost: scale.cost(&gauge, slot.endpoint.weight),
        };
        gauges.into_iter().map(rank).collect()
    }

    /// How many of the ranked ones the caller wants to have tried.
    fn kept(&mut self, ranked: &[Ranked<'_>], prefs: Option<&Prefs>, ordered: usize) -> usize {
        let Some(prefs) = prefs.filter(|prefs| !prefs.allow_fallbacks) else {
            return ranked.len();
        };
        let (keep, by) = if prefs.order.is_empty() {
            (ranked.len().min(1), Filter::FallbacksOff)
        } else {
            (ordered, Filter::Order)
        };
        let dropped = ranked.iter().skip(keep);
        self.dropped.extend(dropped.map(|r| Dropped { slot: Arc::clone(r.slot), by }));
        keep
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
        let Candidate { slot, why } = self.candidates[i].clone();
        Some(Admitted { slot, why, last_resort, guard })
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
        let (candidates, dropped) = (Vec::new(), Vec::new());
        Self { candidates, dropped, wait: Wait::FirstToken, tried: 0 }
    }
}

/// What forbids an endpoint, if anything does.
fn filter(slot: &Slot, features: &Features<'_>) -> Option<Filter> {
    let named = |list: &[String]| list.iter().any(|name| slot.is_named(name));
    if let Some(prefs) = features.prefs {
        if !prefs.only.is_empty() && !named(&prefs.only) {
            return Some(Filter::Only);
        }
        if named(&prefs.ignore) {
            return Some(Filter::Ignore);
        }
    }
    let tokens = features.prompt_tokens.saturating_add(features.max_tokens.unwrap_or(1));
    (tokens > u64::from(slot.endpoint.context_length)).then_some(Filter::Context)
}
