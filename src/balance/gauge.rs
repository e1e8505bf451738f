//! What can be told of an endpoint at one moment.

use serde::{Deserialize, Serialize};

use super::ewma::Reading;
use super::time::Nanos;

/// What a caller waits for. Streamed and whole answers are measured apart: the first token of a
/// stream says nothing about the length of a whole answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// The first token of a streamed answer.
    #[default]
    FirstToken,
    /// The end of an answer that is not streamed.
    WholeAnswer,
}

/// Whether an endpoint would take a request now; the least bad first, as [`Ord`] has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// Yes.
    #[default]
    Ready,
    /// Yes, one request at a time: its breaker is half-open and the trial is free.
    Trial,
    /// No: the trial is under way.
    Trying,
    /// No: rate limited, or our credential was refused, until this time.
    Cooling(Nanos),
    /// No: its breaker is open until this time.
    Open(Nanos),
    /// No: active probes say so.
    Down,
}

impl Availability {
    /// Whether a request would be let in.
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Ready | Self::Trial)
    }
}

/// An endpoint's numbers at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gauge {
    /// Latency, in seconds; `None` before the first sample.
    pub latency: Option<Reading>,
    /// Requests under way.
    pub in_flight: u32,
    /// Whether it would take one more.
    pub availability: Availability,
    /// Seconds per output token, the wait for the first one included; `None` before the first
    /// complete answer of some length.
    pub token_seconds: Option<f64>,
    /// Share of prompt tokens that came from the provider's cache, 0 to 1.
    pub cached: f64,
    /// Whether it gets as much as it is known to take before it answers 429.
    pub capped: bool,
    /// Whether several requests wait and nothing has come back for far longer than usual.
    pub silent: bool,
    /// What went wrong of late; all zero where nothing did.
    pub trouble: Trouble,
}

/// What went wrong at an endpoint of late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Answers over the last 30 seconds.
    pub good_30s: u32,
    /// Failures over the last 30 seconds.
    pub bad_30s: u32,
    /// Answers over the last 5 minutes.
    pub good_5m: u32,
    /// Failures over the last 5 minutes.
    pub bad_5m: u32,
    /// Rate limits over the last 5 minutes.
    pub limited_5m: u32,
}
