//! What is known of one endpoint, and the guard that counts a request into it.
//!
//! A request that is let in holds an [`InFlight`] until its answer is complete, and reports its
//! outcome by consuming it. A guard that is dropped without a report (the client left, the gateway
//! failed) counts for nothing, but it always leaves the count and frees the trial.
//!
//! A rate limit is not an outage: the endpoint answers, quickly and on purpose, and says when to
//! come back. It therefore never reaches the breaker; the endpoint *cools* until then. The same
//! holds for a refused credential, which no number of trials can cure.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::Settings;
use super::breaker::{Breaker, BreakerState, Gate, Ticket};
use super::cap::Cap;
use super::ewma::PeakEwma;
use super::gauge::{Availability, Gauge, Trouble, Wait};
use super::probe::ProbeState;
use super::stats::{Ending, Memory, Recent, Stats};
use super::time::Nanos;
use super::window::{Count, Window};
use crate::catalog::Probe;
use crate::vocab::Usage;
use arc_swap::ArcSwap;

/// Shared by all threads: what is known of one endpoint.
///
/// A decision reads every endpoint of a model, and costs little more than the cache lines that it
/// touches. What it always reads comes first and fills two of them; hence the order.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct EndpointHealth {
    /// [`Settings::latency_decay`] in seconds, as the bits of an `f64`.
    latency_decay: AtomicU64,
    latency: [PeakEwma; 2],
    /// Seconds per output token, the wait for the first one included.
    token_time: PeakEwma,
    in_flight: AtomicU32,
    /// Of these, requests to which nothing has come back.
    waiting: AtomicU32,
    /// Share of prompt tokens that came from the provider's cache.
    cached: PeakEwma,
    cool_until: AtomicU64,
    probe: ProbeState,
    /// When the last failure or rate limit was, in nanoseconds; 0: never.
    trouble_at: AtomicU64,
    breaker: Breaker,
    cap: Cap,
    /// When something last came back, or the first of those that wait was sent, in nanoseconds.
    heard_at: AtomicU64,
    settings: ArcSwap<Settings>,
    /// Answers and failures of the last 30 seconds.
    outcomes: Window,
    /// Made at the first outcome.
    memory: OnceLock<Box<Memory>>,
}

/// How long an outage is remembered.
const OUTAGE_MEMORY: Duration = Duration::from_secs(30);
/// How long failures weigh in an endpoint's cost.
const TROUBLE_MEMORY: Duration = Duration::from_secs(300);
/// Silence towards fewer requests means nothing.
const SILENT_MIN: u32 = 3;
/// Nor does silence for this long, in seconds, …
const SILENT_SECONDS: f64 = 5.0;
/// … or for so many times the usual wait.
const SILENT_TIMES: f64 = 5.0;
/// Shorter answers say nothing about throughput, in tokens.
const TOKENS_MIN: u64 = 8;
/// The time constant of the share of cached tokens.
const CACHED_DECAY: Duration = Duration::from_secs(300);

impl EndpointHealth {
    /// An endpoint of which nothing is known.
    pub fn new(settings: Settings) -> Self {
        Self {
            latency_decay: AtomicU64::new(seconds_bits(settings.latency_decay)),
            latency: [PeakEwma::default(), PeakEwma::default()],
            token_time: PeakEwma::default(),
            in_flight: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            cached: PeakEwma::default(),
            cool_until: AtomicU64::new(0),
            probe: ProbeState::default(),
            trouble_at: AtomicU64::new(0),
            breaker: Breaker::default(),
            cap: Cap::default(),
            heard_at: AtomicU64::new(0),
            settings: ArcSwap::from_pointee(settings),
            outcomes: Window::default(),
            memory: OnceLock::new(),
        }
    }

    /// Puts new settings in force, keeping what is known.
    pub fn set_settings(&self, settings: Settings) {
        self.latency_decay.store(seconds_bits(settings.latency_decay), Ordering::Relaxed);
        self.settings.store(Arc::new(settings));
    }

    /// The numbers now.
    #[inline(always)]
    pub fn gauge(&self, wait: Wait, now: Nanos) -> Gauge {
        let latency_decay = f64::from_bits(self.latency_decay.load(Ordering::Relaxed));
        Gauge {
            latency: self.ewma(wait).read_s(latency_decay, now),
            in_flight: self.in_flight(),
            availability: self.availability(now),
            token_seconds: self.token_time.settled(),
            cached: self.cached.settled().unwrap_or(0.0).min(1.0),
            capped: self.cap.is_reached(now),
            silent: self.is_silent(now),
            trouble: self.trouble(now),
        }
    }

    /// Uptime over the last minutes and hours, percentiles of latency and throughput.
    pub fn stats(&self, now: Nanos) -> Stats {
        self.memory.get().map_or_else(Stats::default, |memory| memory.stats(now))
    }

    /// Percentiles of latency and throughput over the last 5 minutes.
    pub fn recent(&self, now: Nanos) -> Recent {
        self.memory.get().map_or_else(Recent::default, |memory| memory.recent(now))
    }

    /// A timeout tells of silence after a minute, and until then every request that is sent there
    /// is lost. So silence counts as trouble as soon as it is far longer than any wait was.
    #[inline]
    fn is_silent(&self, now: Nanos) -> bool {
        if self.waiting.load(Ordering::Relaxed) < SILENT_MIN {
            return false;
        }
        let silence = now.since(Nanos(self.heard_at.load(Ordering::Relaxed))).as_secs_f64();
        let usual = self.latency.iter().filter_map(PeakEwma::settled).fold(0.0, f64::max);
        silence > SILENT_SECONDS.max(usual * SILENT_TIMES)
    }

    fn heard(&self, now: Nanos) {
        self.heard_at.fetch_max(now.0, Ordering::Relaxed);
    }

    /// What went wrong of late. Where nothing did, which is the rule, this is one load.
    #[inline]
    fn trouble(&self, now: Nanos) -> Trouble {
        let at = self.trouble_at.load(Ordering::Relaxed);
        if at == 0 || now.since(Nanos(at)) >= TROUBLE_MEMORY {
            return Trouble::default();
        }
        self.count_trouble(now)
    }

    #[cold]
    fn count_trouble(&self, now: Nanos) -> Trouble {
        let count = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let (good, bad) = self.outcomes.sums(OUTAGE_MEMORY, now);
        let minutes = self.memory.get().map_or([0; 3], |memory| memory.last_5m(now));
        Trouble {
            good_30s: count(good),
            bad_30s: count(bad),
            good_5m: count(minutes[Ending::Good as usize]),
            bad_5m: count(minutes[Ending::Bad as usize]),
            limited_5m: count(minutes[Ending::Limited as usize]),
        }
    }

    fn memory(&self) -> &Memory {
        self.memory.get_or_init(|| Box::new(Memory::new()))
    }

    fn ended(&self, how: Ending, now: Nanos) {
        match how {
            Ending::Good => self.outcomes.add(Count::First, OUTAGE_MEMORY, now),
            Ending::Bad => self.outcomes.add(Count::Second, OUTAGE_MEMORY, now),
            Ending::Limited => self.cap.limited(now),
        }
        if how != Ending::Good {
            self.trouble_at.fetch_max(now.0.max(1), Ordering::Relaxed);
        }
        self.memory().ended(how, now);
    }

    /// Requests under way.
    #[inline]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The breaker's state, for metrics.
    pub fn breaker_state(&self, now: Nanos) -> BreakerState {
        self.breaker.state(now)
    }

    /// Whether a request would be let in.
    #[inline]
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

    /// How long whoever refused us for a while is left alone.
    pub fn rate_limit_pause(&self, retry_after: Option<Duration>) -> Duration {
        let settings = self.settings.load();
        retry_after.map_or(settings.rate_limit_pause, |wait| wait.min(settings.retry_after_max))
    }

    /// How long whoever refused us for good is left alone.
    pub fn credentials_pause(&self) -> Duration {
        self.settings.load().credentials_pause
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

    #[inline]
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

fn seconds_bits(time: Duration) -> u64 {
    time.as_secs_f64().to_bits()
}

/// One request under way at an endpoint.
#[derive(Debug)]
#[must_use = "dropping it means that the request is over"]
pub struct InFlight {
    health: Arc<EndpointHealth>,
    ticket: Ticket,
    wait: Wait,
    started: Nanos,
    /// Something has come back.
    begun: AtomicBool,
}

impl InFlight {
    fn new(health: &Arc<EndpointHealth>, ticket: Ticket, wait: Wait, now: Nanos) -> Self {
        health.in_flight.fetch_add(1, Ordering::Relaxed);
        health.cap.admitted(now);
        if health.waiting.fetch_add(1, Ordering::Relaxed) == 0 {
            health.heard(now);
        }
        let begun = AtomicBool::new(false);
        Self { health: Arc::clone(health), ticket, wait, started: now, begun }
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
        self.begin(now);
        let settings = self.health.settings.load();
        if self.wait == Wait::FirstToken {
            self.sample(&settings, now);
            self.health.memory().latency(now.since(self.started), now);
        }
        self.health.breaker.alive(self.ticket, &settings.breaker);
    }

    fn begin(&self, now: Nanos) {
        if !self.begun.swap(true, Ordering::Relaxed) {
            self.health.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        self.health.heard(now);
    }

    /// What a complete answer consisted of. Call once, before [`Self::success`].
    pub fn served(&self, usage: &Usage, now: Nanos) {
        let took = now.since(self.started).as_secs_f64();
        let share = |part: u64, of: u64| {
            #[expect(clippy::cast_precision_loss, reason = "counts of tokens are small numbers")]
            (part as f64 / of.max(1) as f64)
        };
        if usage.completion >= TOKENS_MIN && took > 0.0 {
            let decay = self.health.settings.load().latency_decay;
            let per_token = took * share(1, usage.completion);
            self.health.token_time.observe_evenly(per_token, decay, now);
            self.health.memory().throughput(1.0 / per_token, now);
        }
        if usage.prompt > 0 {
            let cached = share(usage.cache_read.min(usage.prompt), usage.prompt);
            self.health.cached.observe_evenly(cached, CACHED_DECAY, now);
        }
    }

    /// The answer is complete.
    pub fn success(self, now: Nanos) {
        let settings = self.health.settings.load();
        if self.wait == Wait::WholeAnswer {
            self.sample(&settings, now);
        }
        self.begin(now);
        self.health.ended(Ending::Good, now);
        self.health.breaker.success(self.ticket, &settings.breaker, now);
    }

    /// The endpoint failed. Gives whether this opened its breaker, for the log.
    pub fn failure(self, now: Nanos, seed: u64) -> bool {
        self.health.failure_sample(self.wait, now.since(self.started), now);
        self.health.ended(Ending::Bad, now);
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
        self.begin(now);
        self.health.ended(Ending::Limited, now);
        self.health.cool(self.health.rate_limit_pause(retry_after), now);
    }

    /// Another endpoint, asked later, has answered first. That is no failure; but what has taken
    /// longer than usual already counts as a latency, since it would have taken no less. Without it
    /// the waits that are hedged would be missing from what is known, and it would look quick.
    pub fn beaten(self, now: Nanos) {
        let (took, ewma) = (now.since(self.started), self.health.ewma(self.wait));
        let usual = ewma.settled().unwrap_or(f64::INFINITY);
        if took.as_secs_f64() <= usual {
            return;
        }
        ewma.observe(took, self.health.settings.load().latency_decay, now);
        if self.wait == Wait::FirstToken {
            self.health.memory().latency(took, now);
        }
    }

    /// The endpoint refused us for a reason that only the operator can cure. `pause`: how long it
    /// is left alone, where it is known when another credential is back.
    pub fn credentials(self, pause: Option<Duration>, now: Nanos) {
        self.health.ended(Ending::Bad, now);
        self.health.cool(pause.unwrap_or_else(|| self.health.credentials_pause()), now);
    }

    fn sample(&self, settings: &Settings, now: Nanos) {
        let (took, ewma) = (now.since(self.started), self.health.ewma(self.wait));
        // What it was during an outage says nothing about what it is after it.
        if self.ticket.is_trial() {
            ewma.begin_anew(took, now);
        } else {
            ewma.observe(took, settings.latency_decay, now);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !*self.begun.get_mut() {
            self.health.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        // After a verdict the breaker has moved on and this frees nothing.
        self.health.breaker.release(self.ticket);
        self.health.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
