//! Request features + catalog + health + seed → a plan: ordered candidates with reasons.
//!
//! # The argument
//! Where a request goes is decided once, by a pure function, before anything is sent: the same
//! features, table, health, seed and time give the same [`Plan`], so that a decision can be
//! replayed and explained. A plan is a list and not a single choice, because the second choice
//! should be made while the reasons for the first are at hand, not in the middle of a failure.
//!
//! 1. *Eligible* (hard): the model exists, `provider.only` and `provider.ignore` allow the
//!    provider, the prompt fits the context. What is dropped is dropped with a reason.
//! 2. *Rank*: those of `provider.order` in that order; then the cheaper of two random ones that
//!    are available ([`crate::balance::rank`]); then the other available ones in ascending cost;
//!    then those that are not available, the least bad first.
//! 3. *Fallback models* (`models`) follow in their order, each ranked in the same way.
//!
//! Health is looked at twice. The plan uses it to rank; [`Plan::next`] asks again at the moment of
//! each attempt, because a breaker may have opened since, and because only one request may be the
//! trial of a half-open one. If every candidate refuses, the least bad is tried all the same.

mod plan;
mod refuse;
mod suggest;
mod table;

pub use plan::{Admitted, Candidate, Dropped, Filter, Plan, Reason, plan};
pub use table::{RoutingTable, Slot};

use crate::balance::Wait;
pub use crate::dialect::scan::Prefs;

/// What routing needs to know of a request.
#[derive(Clone, Copy, Debug)]
pub struct Features<'a> {
    /// The model asked for; empty: the first of `models`.
    pub model: &'a str,
    /// Models to fall back to, in this order; may name `model` again.
    pub models: &'a [String],
    /// The caller's wishes about providers.
    pub prefs: Option<&'a Prefs>,
    /// Tokens in the prompt, estimated.
    pub prompt_tokens: u64,
    /// The longest completion that is asked for, in tokens.
    pub max_tokens: Option<u64>,
    /// What the caller waits for: the first token, or the whole answer.
    pub wait: Wait,
}

/// Models that one request may name.
pub const MODELS_MAX: usize = 32;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
