//! What the admin listener shows of the running gateway.

use crate::observe::labels::BreakerState;
use crate::vocab::{EndpointId, ModelId, ProviderId};

/// The state of the gateway. Methods return at once: they read what is in memory.
pub trait Status: Send + Sync + 'static {
    /// Why the gateway should get no requests now; nothing if it should.
    fn not_ready(&self) -> Vec<NotReady>;

    /// Every endpoint of the catalog in force.
    fn endpoints(&self) -> Vec<EndpointRow>;
}

/// A reason to send requests elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReady {
    /// It is still starting, for instance replaying the ledger's journal.
    Starting,
    /// It is shutting down and finishes what it has.
    Draining,
    /// The ledger takes no operations, so that nothing can be charged.
    LedgerDown,
}

impl NotReady {
    /// The text in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Draining => "draining",
            Self::LedgerDown => "ledger_down",
        }
    }
}

/// An endpoint's health.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointRow {
    /// Which endpoint.
    pub id: EndpointId,
    /// Its model.
    pub model: ModelId,
    /// Its provider.
    pub provider: ProviderId,
    /// Whether it is used.
    pub breaker: BreakerState,
    /// What its active health check says, if it has one.
    pub probe_healthy: Option<bool>,
    /// Requests under way.
    pub in_flight: u64,
    /// Smoothed time to the first token in milliseconds, once it was measured.
    pub ttft_ms: Option<f64>,
    /// How much longer its provider asked not to be used, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Of the keys that it has, those that rest after a refusal; `None` where it has one at most.
    pub keys_resting: Option<u64>,
}
