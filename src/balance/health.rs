//! What is known of one endpoint, and the guard that counts a request into it.
//!
//! A request that is let in holds an [`InFlight`] until its answer is complete, and reports its
//! outcome by consuming it. A guard that is dropped without a report (the client left, the gateway
//! failed) counts for nothing, but it always leaves the count and frees the trial.
//!
//! A rate limit is not an outage: the endpoint answers, quickly and on purpose, and says when to
//! come back. It therefore never reaches the breaker; the endpoint *cools* until then. The same
//! holds for a refused credential, which no number of trials can cure.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::Settings;
use super::breaker::{Breaker, BreakerState, Gate, Ticket};
use super::ewma::{PeakEwma, Reading};
use super::probe::ProbeState;
use super::time::Nanos;
use crate::catalog::Probe;

/// Shared by all threads: what is known of one endpoint.
#[derive(Debug)]
pub struct EndpointHealth {
    settings: ArcSwap<Settings>,
    latency: [PeakEwma; 2],
    in_flight: AtomicU32,
    breaker: Breaker,
    cool_until: AtomicU64,
    probe: ProbeState,
}

/// What a caller waits for. Streamed and whole answers are measured apart: the first token of a
/// stream says nothing about the length of a whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The first token of a streamed answer.
    FirstToken,
    /// The end of an answer that is not streamed.
    WholeAnswer,
}

/// Whether an endpoint would take a request now; the least bad first, as [`Ord`] has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Availability {
    /// Yes.
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
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gauge {
    /// Latency, in seconds; `None` before the first sample.
    pub latency: Option<Reading>,
    /// Requests under way.
    pub in_flight: u32,
    /// Whether it would take one more.
    pub availability: Availability,
}

impl EndpointHealth {
    /// An endpoint of which nothing is known.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings: ArcSwap::from_pointee(settings),
            latency: [PeakEwma::default(), PeakEwma::default()],
            in_flight: AtomicU32::new(0),
            breaker: Breaker::default(),
            cool_until: AtomicU64::new(0),
            probe: ProbeState::default(),
        }
    }

    /// Puts new settings in force, keeping what is known.
    pub fn set_settings(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// The numbers now.
    pub fn gauge(&self, wait: Wait, now: Nanos) -> Gauge {
        Gauge {
            latency: self.ewma(wait).read(self.settings.load().latency_decay, now),
            in_flight: self.in_flight(),
            availability: self.availability(now),
        }
    }

    /// Requests under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The breaker's state, for metrics.
    pub fn breaker_state(&self, now: Nanos) -> BreakerState {
        self.breaker.state(now)
    }

    /// Whether a request would be let in.
    pub fn availability(&self, now: Nanos) -> Availability {
        if self.probe.is_down() {
            return Availability::Down;
        }
        let cool_until = Nanos(self.cool_until.load(Ordering::Relaxed));
        match self.breaker.gate(now) {
            Gate::Open(until) => Availability::Open(until.max(cool_until)),
            Gate::Closed | Gate::TrialFree | Gate::TrialTaken if now < cool_until => {
                Availability::Cooling(cool_until)
            }
            Gate::TrialTaken => Availability::Trying,
            Gate::TrialFree => Availability::Trial,
            Gate::Closed => Availability::Ready,
        }
    }

    /// Lets a request in, if the endpoint is available.
    pub fn admit(self: &Arc<Self>, wait: Wait, now: Nanos) -> Option<InFlight> {
        if !self.availability(now).is_usable() {
            return None;
        }
        let ticket = self.breaker.enter(now)?;
        Some(InFlight::new(self, ticket, wait, now))
    }

    /// Lets a request in whatever is known: the last resort when nothing else is left.
    pub fn admit_anyway(self: &Arc<Self>, wait: Wait, now: Nanos) -> InFlight {
        // The trial is taken if it is free, so that its outcome counts as one.
        let ticket = self.breaker.enter(now).unwrap_or_else(|| self.breaker.enter_anyway());
        InFlight::new(self, ticket, wait, now)
    }

    /// Takes the result of an active probe. Gives the new verdict if it has changed: whether the
    /// endpoint is up.
    pub fn probe_result(&self, ok: bool, probe: &Probe) -> Option<bool> {
        self.probe.result(ok, probe)
    }

    /// Forgets what probes said, because the endpoint is not probed any more.
    pub fn forget_probe(&self) {
        self.probe.forget();
    }

    fn ewma(&self, wait: Wait) -> &PeakEwma {
        match wait {
            Wait::FirstToken => &self.latency[0],
            Wait::WholeAnswer => &self.latency[1],
        }
    }

    fn cool(&self, pause: Duration, now: Nanos) {
        self.cool_until.fetch_max(now.after(pause).0, Ordering::Relaxed);
    }

    /// A failure costs four times the present latency, so that one in a thousand does not empty a
    /// good endpoint, but at least what it took: a timeout is a latency. Of an unknown endpoint it
    /// costs the maximum.
    fn failure_sample(&self, wait: Wait, took: Duration, now: Nanos) {
        let settings = self.settings.load();
        let known = self.ewma(wait).read(settings.latency_decay, now);
        let penalty = known.map_or(settings.failure_latency_max, |latency| {
            Duration::try_from_secs_f64(latency.settled * 4.0).unwrap_or(Duration::MAX)
        });
        let sample = penalty.min(settings.failure_latency_max).max(took);
        self.ewma(wait).observe(sample, settings.latency_decay, now);
    }
}

/// One request under way at an endpoint.
#[derive(Debug)]
#[must_use = "dropping it means that the request is over"]
pub struct InFlight {
    health: Arc<EndpointHealth>,
    ticket: Ticket,
    wait: Wait,
    started: Nanos,
}

impl InFlight {
    fn new(health: &Arc<EndpointHealth>, ticket: Ticket, wait: Wait, now: Nanos) -> Self {
        health.in_flight.fetch_add(1, Ordering::Relaxed);
        Self { health: Arc::clone(health), ticket, wait, started: now }
    }

    /// When the request began.
    pub const fn started(&self) -> Nanos {
        self.started
    }

    /// Begins anew at the same endpoint, after a stale pooled connection.
    pub fn restart(&mut self, now: Nanos) {
        self.started = now;
    }

    /// The answer has begun: its first semantic event came. Call once.
    pub fn first_token(&self, now: Nanos) {
        let settings = self.health.settings.load();
        if self.wait == Wait::FirstToken {
            self.sample(&settings, now);
        }
        self.health.breaker.alive(self.ticket, &settings.breaker);
    }

    /// The answer is complete.
    pub fn success(self, now: Nanos) {
        let settings = self.health.settings.load();
        if self.wait == Wait::WholeAnswer {
            self.sample(&settings, now);
        }
        self.health.breaker.success(self.ticket, &settings.breaker, now);
    }

    /// The endpoint failed. Gives whether this opened its breaker, for the log.
    pub fn failure(self, now: Nanos, seed: u64) -> bool {
        self.health.failure_sample(self.wait, now.since(self.started), now);
        self.health.breaker.failure(self.ticket, &self.health.settings.load().breaker, now, seed)
    }

    /// The endpoint failed and said when to come back: a failure and a pause.
    pub fn overloaded(self, retry_after: Option<Duration>, now: Nanos, seed: u64) -> bool {
        if let Some(pause) = retry_after {
            self.health.cool(pause.min(self.health.settings.load().retry_after_max), now);
        }
        self.failure(now, seed)
    }

    /// The endpoint has had enough of us for now.
    pub fn rate_limited(self, retry_after: Option<Duration>, now: Nanos) {
        let settings = self.health.settings.load();
        let pause = retry_after
            .map_or(settings.rate_limit_pause, |wait| wait.min(settings.retry_after_max));
        self.health.cool(pause, now);
    }

    /// The endpoint refused us for a reason that only the operator can cure.
    pub fn credentials(self, now: Nanos) {
        self.health.cool(self.health.settings.load().credentials_pause, now);
    }

    fn sample(&self, settings: &Settings, now: Nanos) {
        let took = now.since(self.started);
        self.health.ewma(self.wait).observe(took, settings.latency_decay, now);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // After a verdict the breaker has moved on and this frees nothing.
        self.health.breaker.release(self.ticket);
        self.health.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
