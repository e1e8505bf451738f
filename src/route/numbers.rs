//! What health says of an endpoint at the moment of a decision.
//!
//! The numbers are whole: a record of them is exact, so that a decision can be made again from the
//! record bit for bit.

use serde::{Deserialize, Serialize};

use super::Needs;
use crate::balance::{
    Availability, EndpointHealth, Gauge, Nanos, Percentiles, Reading, Trouble, Wait,
};

/// One endpoint's numbers. The default is an endpoint of which nothing is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Numbers {
    /// Whether it would take a request.
    #[serde(rename = "is", skip_serializing_if = "is_ready")]
    pub availability: Availability,
    /// What a caller waits for, as of the last sample, in microseconds; 0: never measured.
    #[serde(rename = "lat", skip_serializing_if = "is_zero")]
    pub latency_us: u64,
    /// The same, faded by the time since, in microseconds.
    #[serde(rename = "fad", skip_serializing_if = "is_zero")]
    pub faded_us: u64,
    /// Nanoseconds per output token; 0: never measured.
    #[serde(rename = "tok", skip_serializing_if = "is_zero")]
    pub token_ns: u64,
    /// Requests under way.
    #[serde(rename = "fly", skip_serializing_if = "is_zero_32")]
    pub in_flight: u32,
    /// Prompt tokens that came from the provider's cache, in thousandths.
    #[serde(rename = "hit", skip_serializing_if = "is_zero_32")]
    pub cached_permille: u32,
    /// It gets as much as it is known to take.
    #[serde(rename = "cap", skip_serializing_if = "is_false")]
    pub capped: bool,
    /// Several requests wait there, and nothing has come back for long.
    #[serde(rename = "mum", skip_serializing_if = "is_false")]
    pub silent: bool,
    /// What went wrong of late.
    #[serde(rename = "bad", skip_serializing_if = "is_calm")]
    pub trouble: Trouble,
    /// Percentiles; read only where a preference asks for them.
    #[serde(rename = "pct", skip_serializing_if = "Option::is_none")]
    pub measured: Option<Box<Measured>>,
}

/// What preferences and strict orders are held against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// p50, p75, p90 and p99 of the time to the first token over 5 minutes, in microseconds.
    #[serde(rename = "lat")]
    pub latency_us: Option<[u64; 4]>,
    /// The same percentiles of throughput, in thousandths of a token per second.
    #[serde(rename = "thr")]
    pub throughput: Option<[u64; 4]>,
    /// Attempts over 30 minutes.
    #[serde(rename = "req")]
    pub requests_30m: u64,
    /// Of those that count, how many were answered, in thousandths; 1000 where none was counted.
    #[serde(rename = "up")]
    pub uptime_permille: u32,
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            availability: Availability::Ready,
            latency_us: 0,
            faded_us: 0,
            token_ns: 0,
            in_flight: 0,
            cached_permille: 0,
            capped: false,
            silent: false,
            trouble: Trouble::default(),
            measured: None,
        }
    }
}

impl Numbers {
    /// The numbers of this endpoint now.
    pub fn read(health: &EndpointHealth, wait: Wait, needs: Needs, now: Nanos) -> Self {
        let (numbers, latency) = Self::read_unfaded(health, wait, needs, now);
        Self { faded_us: latency.as_ref().map_or(0, faded_us), ..numbers }
    }

    /// The same without the faded latency, of which only those that are slower than most are asked
    /// ([`faded_us`]): it takes longer than all the rest.
    #[inline(always)]
    pub(super) fn read_unfaded(
        health: &EndpointHealth,
        wait: Wait,
        needs: Needs,
        now: Nanos,
    ) -> (Self, Option<Reading>) {
        let gauge = health.gauge(wait, now);
        let measured = needs.percentiles.then(|| Box::new(Measured::read(health, now)));
        (Self { measured, ..Self::unfaded(&gauge) }, gauge.latency)
    }

    #[inline]
    fn unfaded(gauge: &Gauge) -> Self {
        Self {
            availability: gauge.availability,
            latency_us: gauge.latency.map_or(0, |latency| whole(latency.settled, 1e6).max(1)),
            faded_us: 0,
            token_ns: gauge.token_seconds.map_or(0, |seconds| whole(seconds, 1e9).max(1)),
            in_flight: gauge.in_flight,
            cached_permille: permille(gauge.cached),
            capped: gauge.capped,
            silent: gauge.silent,
            trouble: gauge.trouble,
            measured: None,
        }
    }
}

/// [`Numbers::faded_us`] of what was read.
#[inline]
pub(super) fn faded_us(latency: &Reading) -> u64 {
    whole(latency.faded(), 1e6)
}

impl Measured {
    fn read(health: &EndpointHealth, now: Nanos) -> Self {
        let (recent, stats) = (health.recent(now), health.stats(now));
        let four =
            |p: Percentiles, scale: f64| [p.p50, p.p75, p.p90, p.p99].map(|v| whole(v, scale));
        let uptime = stats.uptime_last_30m.map_or(1_000, |percent| whole(percent, 10.0));
        Self {
            latency_us: recent.latency.map(|p| four(p, 1e6)),
            throughput: recent.throughput.map(|p| four(p, 1e3)),
            requests_30m: stats.requests_last_30m,
            uptime_permille: u32::try_from(uptime).unwrap_or(1_000),
        }
    }
}

/// By way of a signed number, which takes fewer steps.
#[expect(
    clippy::cast_possible_truncation,
    reason = "measured values are positive and far below 2^63"
)]
#[inline]
fn whole(value: f64, scale: f64) -> u64 {
    u64::try_from((value * scale) as i64).unwrap_or(0)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share is between 0 and 1"
)]
#[inline]
const fn permille(share: f64) -> u32 {
    (share * 1e3) as u32
}

const fn is_zero(n: &u64) -> bool {
    *n == 0
}

const fn is_zero_32(n: &u32) -> bool {
    *n == 0
}

const fn is_false(b: &bool) -> bool {
    !*b
}

fn is_ready(availability: &Availability) -> bool {
    *availability == Availability::Ready
}

fn is_calm(trouble: &Trouble) -> bool {
    *trouble == Trouble::default()
}
