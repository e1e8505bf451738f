//! Health and latency of endpoints, and the choice among equals.
//!
//! # The argument
//! The best predictor of how long an endpoint will keep a caller waiting is how long it kept the
//! last ones waiting, weighted towards the present and towards bad news ([`ewma`]), times the
//! queue that we ourselves have built there. What becomes of these numbers is the business of
//! routing (`route::score`).
//!
//! What an endpoint has done over minutes and hours is kept apart, for people and for callers who
//! state what they want ([`stats`]); the load at which it begins to refuse is learned (`cap`).
//!
//! Cost alone is slow to notice an outage, so four things take an endpoint out of the first rank:
//! a [`breaker`] for failures, a cool-down for rate limits and refused credentials
//! ([`health`]), and active probes ([`probe`]). None of them is a wall: when nothing else is left
//! the least bad endpoint is tried all the same, because a wrong guess about health must not turn
//! into an outage of our own. What keeps that from becoming a storm is the [`budget`]; how far the
//! slow answers of an endpoint that is in order are [hedged](hedge) has a budget of its own.
//!
//! # Shape
//! Every number is an atomic; nothing locks, nothing reads a clock ([`Nanos`] is an argument) and
//! nothing draws random numbers (a seed is an argument). [`EndpointHealth`] is shared by all
//! threads and outlives a reload of the catalog, by endpoint id ([`HealthRegistry`]).

pub mod breaker;
pub mod budget;
mod cap;
pub mod ewma;
mod gauge;
pub mod health;
pub mod hedge;
mod keys;
pub mod probe;
mod registry;
mod ring;
mod seed;
pub mod stats;
mod time;
mod window;

use std::time::Duration;

pub use breaker::BreakerState;
pub use budget::{BudgetSettings, RetryBudget};
pub use ewma::Reading;
pub use gauge::{Availability, Gauge, Trouble, Wait};
pub use health::{EndpointHealth, InFlight};
pub use hedge::{HedgeBudget, HedgeRefused, HedgeSettings};
pub use keys::KeyPool;
pub use registry::HealthRegistry;
pub use seed::{below, mix};
pub use stats::{Percentiles, Recent, Stats};
pub use time::Nanos;

/// How quickly endpoints are judged. One set for all endpoints; `config` fills and checks it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Time in which the memory of a latency fades to 37 %. Default 10 s.
    pub latency_decay: Duration,
    /// What a failure is counted as, at most, unless it took longer. Default 5 s.
    pub failure_latency_max: Duration,
    /// The breaker.
    pub breaker: breaker::Settings,
    /// The longest time that a provider's `Retry-After` is honoured for. Default 60 s.
    pub retry_after_max: Duration,
    /// The pause after a rate limit without `Retry-After`. Default 1 s.
    pub rate_limit_pause: Duration,
    /// The pause after a refusal that only the operator can cure: credential, billing, a model
    /// that the provider does not know. Default 30 s.
    pub credentials_pause: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            latency_decay: Duration::from_secs(10),
            failure_latency_max: Duration::from_secs(5),
            breaker: breaker::Settings::default(),
            retry_after_max: Duration::from_secs(60),
            rate_limit_pause: Duration::from_secs(1),
            credentials_pause: Duration::from_secs(30),
        }
    }
}
