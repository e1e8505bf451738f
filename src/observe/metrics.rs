//! All metrics of the process, in one registry.
//!
//! A request costs a few atomic additions: the series that it counts in were looked up before
//! (see [`crate::observe::meters`]). The first request of a kind looks its series up under a lock;
//! kinds that never occur have no series.

use std::collections::HashSet;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::{
    CounterVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry, TextEncoder,
};

use super::gauges::{Gauges, Readings};
use super::labels::{CacheStatus, CallResult, HedgeResult, StatusClass, Surface};
use super::meters::ModelMeter;
use super::names::{self, Name};
use crate::vocab::{NanoUsd, Usage};

/// Label of a model that the catalog does not have, and of requests that name none.
pub const UNKNOWN: &str = "unknown";
/// Label of catalog models and providers beyond the limits.
pub const OTHER: &str = "other";
/// The most models that get a label of their own, over the process's lifetime.
pub const MODELS_MAX: usize = 1_000;
/// The most providers that get a label of their own, over the process's lifetime.
pub const PROVIDERS_MAX: usize = 256;

/// A metric could not be set up: a bug, since all names are constants.
#[derive(Debug)]
pub struct BadMetric(prometheus::Error);

impl fmt::Display for BadMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the metrics cannot be set up: {}", self.0)
    }
}

impl std::error::Error for BadMetric {}

impl From<prometheus::Error> for BadMetric {
    fn from(error: prometheus::Error) -> Self {
        Self(error)
    }
}

/// What is known of a request when it has ended.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// What it was for.
    pub surface: Surface,
    /// How it ended.
    pub class: StatusClass,
    /// The answer was streamed.
    pub stream: bool,
    /// What the response cache did, if it was used.
    pub cache: Option<CacheStatus>,
    /// From arrival to the end.
    pub duration: Duration,
    /// Our own share of the time to the first byte, if there was an answer.
    pub overhead: Option<Duration>,
    /// Attempts after the first.
    pub fallbacks: u32,
    /// What was consumed; nothing for a cache hit.
    pub usage: Usage,
    /// What was charged.
    pub cost: NanoUsd,
}

type Source = Box<dyn Fn() -> Readings + Send + Sync>;

/// Every metric of the process. One instance, shared by reference.
pub struct Metrics {
    registry: Registry,
    pub(super) requests: IntCounterVec,
    duration: HistogramVec,
    durations: [[OnceLock<Histogram>; 2]; Surface::COUNT],
    overhead: Histogram,
    pub(super) ttft: HistogramVec,
    pub(super) attempts: IntCounterVec,
    fallbacks: IntCounter,
    hedges: IntCounterVec,
    plugin_runs: IntCounterVec,
    plugin_calls: IntCounterVec,
    plugin_seconds: HistogramVec,
    pub(super) tokens: IntCounterVec,
    pub(super) cost: CounterVec,
    in_flight: IntGauge,
    streams: IntGauge,
    cache: IntCounterVec,
    caches: [OnceLock<IntCounter>; CacheStatus::COUNT],
    gauges: Mutex<Gauges>,
    source: OnceLock<Source>,
    pub(super) models: Mutex<HashSet<String>>,
    pub(super) providers: Mutex<HashSet<String>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// All metrics at zero.
    ///
    /// # Errors
    /// Two metrics have one name, or a name is not allowed: a bug.
    pub fn new() -> Result<Self, BadMetric> {
        let registry = Registry::new();
        let r = &registry;
        Ok(Self {
            requests: counters(r, names::REQUESTS, &["surface", "status", "model", "stream"])?,
            duration: histograms(
                r,
                names::DURATION,
                &names::LATENCY_BUCKETS,
                &["surface", "stream"],
            )?,
            durations: Default::default(),
            overhead: histogram(r, names::OVERHEAD, &names::OVERHEAD_BUCKETS)?,
            ttft: histograms(r, names::TTFT, &names::LATENCY_BUCKETS, &["provider"])?,
            attempts: counters(r, names::ATTEMPTS, &["provider", "outcome"])?,
            fallbacks: counter(r, names::FALLBACKS)?,
            hedges: counters(r, names::HEDGES, &["result"])?,
            plugin_runs: counters(r, names::PLUGIN_RUNS, &["plugin", "outcome"])?,
            plugin_calls: counters(r, names::PLUGIN_CALLS, &["plugin", "result"])?,
            plugin_seconds: histograms(
                r,
                names::PLUGIN_SECONDS,
                &names::PLUGIN_BUCKETS,
                &["plugin"],
            )?,
            tokens: counters(r, names::TOKENS, &["model", "kind"])?,
            cost: register(r, CounterVec::new(opts(names::COST), &["model"])?)?,
            in_flight: gauge(r, names::IN_FLIGHT)?,
            streams: gauge(r, names::STREAMS)?,
            cache: counters(r, names::CACHE, &["status"])?,
            caches: Default::default(),
            gauges: Mutex::new(Gauges::new(r)?),
            source: OnceLock::new(),
            models: Mutex::default(),
            providers: Mutex::default(),
            registry,
        })
    }

    /// Says where the values come from that other parts keep; asked at every scrape, on the
    /// scraper's thread. Returns `false` if there was a source already, which then stays.
    pub fn set_source(&self, source: impl Fn() -> Readings + Send + Sync + 'static) -> bool {
        self.source.set(Box::new(source)).is_ok()
    }

    /// Counts a request as under way until the guard is dropped.
    pub fn enter(&self) -> InFlight {
        self.in_flight.inc();
        InFlight { gauge: self.in_flight.clone() }
    }

    /// Counts a streamed answer as open until the guard is dropped.
    pub fn open_stream(&self) -> InFlight {
        self.streams.inc();
        InFlight { gauge: self.streams.clone() }
    }

    /// Counts a second attempt that has ended, or was not made.
    pub fn hedge(&self, result: HedgeResult) {
        self.hedges.with_label_values(&[result.as_str()]).inc();
    }

    /// Counts a plugin's part in a request that has ended.
    pub fn plugin_run(&self, plugin: &'static str, outcome: &'static str) {
        self.plugin_runs.with_label_values(&[plugin, outcome]).inc();
    }

    /// Counts what a plugin asked of the outside.
    pub fn plugin_call(&self, plugin: &'static str, result: CallResult) {
        self.plugin_calls.with_label_values(&[plugin, result.as_str()]).inc();
    }

    /// Notes how long a plugin took before its request was routed.
    pub fn plugin_time(&self, plugin: &'static str, took: Duration) {
        self.plugin_seconds.with_label_values(&[plugin]).observe(took.as_secs_f64());
    }

    /// Counts a request that has ended. The one call per request.
    pub fn finish(&self, model: &ModelMeter, report: &Report) {
        let stream = usize::from(report.stream);
        model.count(self, report);
        if let Some(by_stream) = self.durations.get(report.surface.index()) {
            let labels = [report.surface.as_str(), bool_label(report.stream)];
            by_stream[stream]
                .get_or_init(|| self.duration.with_label_values(&labels))
                .observe(report.duration.as_secs_f64());
        }
        if let Some(overhead) = report.overhead {
            self.overhead.observe(overhead.as_secs_f64());
        }
        if report.fallbacks > 0 {
            self.fallbacks.inc_by(u64::from(report.fallbacks));
        }
        if let Some(status) = report.cache
            && let Some(counter) = self.caches.get(status.index())
        {
            counter.get_or_init(|| self.cache.with_label_values(&[status.as_str()])).inc();
        }
    }

    /// All metrics in Prometheus' text format, version 0.0.4.
    ///
    /// # Errors
    /// A series cannot be spelled: a bug.
    pub fn render(&self) -> Result<String, BadMetric> {
        let readings = self.source.get().map(|source| source()).unwrap_or_default();
        let mut gauges = self.gauges.lock();
        gauges.apply(&readings);
        // Gathered under the lock: another scrape must not see half of what was applied.
        let families = self.registry.gather();
        drop(gauges);
        let mut out = String::with_capacity(16 << 10);
        TextEncoder::new().encode_utf8(&families, &mut out)?;
        readings.ledger.commits.write(&mut out);
        Ok(out)
    }
}

/// Something that is under way; dropping it ends it, also in a panic.
#[derive(Debug)]
pub struct InFlight {
    gauge: IntGauge,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

pub(super) const fn bool_label(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

fn opts((name, help): Name) -> Opts {
    Opts::new(name, help)
}

fn register<C: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

pub(super) fn counter(registry: &Registry, name: Name) -> Result<IntCounter, prometheus::Error> {
    register(registry, IntCounter::with_opts(opts(name))?)
}

fn counters(
    registry: &Registry,
    name: Name,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    register(registry, IntCounterVec::new(opts(name), labels)?)
}

pub(super) fn gauge(registry: &Registry, name: Name) -> Result<IntGauge, prometheus::Error> {
    register(registry, IntGauge::with_opts(opts(name))?)
}

pub(super) fn gauges(
    registry: &Registry,
    name: Name,
    labels: &[&str],
) -> Result<prometheus::IntGaugeVec, prometheus::Error> {
    register(registry, prometheus::IntGaugeVec::new(opts(name), labels)?)
}

fn histogram(
    registry: &Registry,
    (name, help): Name,
    buckets: &[f64],
) -> Result<Histogram, prometheus::Error> {
    let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    register(registry, Histogram::with_opts(opts)?)
}

fn histograms(
    registry: &Registry,
    (name, help): Name,
    buckets: &[f64],
    labels: &[&str],
) -> Result<HistogramVec, prometheus::Error> {
    let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    register(registry, HistogramVec::new(opts, labels)?)
}

#[cfg(test)]
mod tests;
