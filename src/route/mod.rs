//! Request features + catalog + health + seed → a plan: ordered candidates with reasons.
//!
//! # The argument
//! Where a request goes is decided once, by a pure function, before anything is sent: the same
//! features, table, health and seed give the same [`Plan`], so that a decision can be replayed and
//! explained ([`record`]). A plan is a list and not a single choice, because the second choice
//! should be made while the reasons for the first are at hand, not in the middle of a failure.
//!
//! 1. *Named*: what a name and its suffixes mean ([`variant`]).
//! 2. *Eligible* (hard): the request's own limits, on providers, policies, prices, parameters and
//!    context ([`filter`]). What is removed is removed by a filter with a name.
//! 3. *Rank*: those of `provider.order` in that order; then by a strict order if one is asked for;
//!    else one is drawn by price, speed and trouble ([`score`]) and the others follow; those in
//!    trouble come after those that are well, and those that would refuse come last (`rank`).
//! 4. *Fallback models* (`models`) follow in their order, each ranked in the same way, or all are
//!    ranked together (`provider.sort.partition`).
//!
//! Health is looked at twice. The plan uses it to rank; [`Plan::next`] asks again at the moment of
//! each attempt, because a breaker may have opened since, and because only one request may be the
//! trial of a half-open one. If every candidate refuses, the least bad is tried all the same.

pub mod auto;
pub mod filter;
pub mod numbers;
mod params;
mod plan;
mod rank;
pub mod record;
mod refuse;
pub mod score;
pub mod sticky;
mod suggest;
mod table;
pub mod variant;

pub use filter::Filter;
pub use numbers::Numbers;
pub use params::params_of;
pub use plan::{Admitted, Candidate, Plan, Reason, plan, plan_from};
pub use record::Record;
pub use score::Score;
pub use sticky::Conversations;
pub use table::{RoutingTable, Row, Slot};

pub use self::variant::Named;
use crate::balance::Wait;
use crate::catalog::{Params, Tier};
pub use crate::dialect::scan::Prefs;
use crate::terms::Policy;

/// What routing needs to know of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Features<'a> {
    /// The model asked for, with suffixes; empty: the first of `models`.
    pub model: &'a str,
    /// Models to fall back to, in this order, each with its own suffixes; may name `model` again.
    pub models: &'a [String],
    /// What the caller is restricted to, whatever it wishes.
    pub policies: &'a [&'a Policy],
    /// The caller's wishes about providers.
    pub prefs: Option<&'a Prefs>,
    /// Tokens in the prompt, estimated.
    pub prompt_tokens: u64,
    /// The longest completion that is asked for, in tokens.
    pub max_tokens: Option<u64>,
    /// The length of completion that is expected, in tokens; only prices depend on it.
    pub expected_tokens: u64,
    /// What the caller waits for: the first token, or the whole answer.
    pub wait: Wait,
    /// Parameters that not every endpoint takes and that the request has.
    pub params: Params,
    /// The service tier that is asked for.
    pub tier: Option<Tier>,
    /// `route: "sort"`: the endpoints of all models are ranked together.
    pub together: bool,
    /// The mark of the endpoint that has this conversation's prompt in its cache.
    pub sticky: Option<u32>,
    /// When the request arrived, in milliseconds since 1970: prices and expiry depend on it.
    pub unix_ms: u64,
}

impl Features<'_> {
    /// What must be known of health to decide.
    pub fn needs(&self) -> Needs {
        let prefs = self.prefs;
        let cutoffs =
            prefs.is_some_and(|p| !(p.min_throughput.is_empty() && p.max_latency.is_empty()));
        let named = |name: &str| name.contains(':');
        let sorted = prefs.is_some_and(|prefs| prefs.sort.is_some())
            || self.tier == Some(Tier::Priority)
            || named(self.model)
            || self.models.iter().any(|name| named(name));
        Needs { percentiles: cutoffs || sorted }
    }
}

/// What must be known of health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Percentiles of latency and throughput.
    pub percentiles: bool,
}

/// Models that one request may name.
pub const MODELS_MAX: usize = 32;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod rank_tests;
#[cfg(test)]
mod tests;
