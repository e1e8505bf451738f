//! `[routing.hedging]`.

use serde::{Deserialize, Serialize};

/// A second endpoint is asked when the first is slow: whichever gives its first token first answers,
/// and the other is cancelled. Only its winner is charged to the client; what the other has cost is
/// the operator's. Streamed answers alone, at endpoints of the same model.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hedging {
    /// Whether requests are hedged. Default `false`.
    pub enabled: bool,
    /// The most hedges, as a share of requests, 0 % to 100 % with at most two decimal places.
    /// Default `"5%"`.
    pub requests_max: String,
    /// The most that cancelled answers may cost, by the price of their prompts, as a share of what
    /// is charged, 0 % to 100 % with at most two decimal places. Default `"2%"`.
    pub spend_max: String,
    /// An endpoint is waited for as long as its p95 of the time to the first token over the last 5
    /// minutes, but at least so long, 1 to 3600000 ms. Default `100`.
    pub delay_min_ms: i64,
    /// How long it is waited for where fewer than 20 streamed answers were seen in that time, 0 to
    /// 3600000 ms; 0: it is not hedged then. Default `3000`.
    pub delay_default_ms: i64,
    /// Whether providers take part that bill an answer although its connection is closed (see
    /// `bills_after_cancel`). Default `false`.
    pub billed_losers: bool,
}

impl Default for Hedging {
    fn default() -> Self {
        Self {
            enabled: false,
            requests_max: "5%".to_owned(),
            spend_max: "2%".to_owned(),
            delay_min_ms: 100,
            delay_default_ms: 3_000,
            billed_losers: false,
        }
    }
}
