//! Values that other parts keep and that are read when somebody scrapes.

use prometheus::{IntCounter, IntGauge, IntGaugeVec, Registry};

use super::labels::BreakerState;
use super::metrics::{counter, gauge, gauges};
use super::names;
use crate::vocab::EndpointId;

/// The most endpoints whose breaker is shown.
pub const ENDPOINTS_MAX: usize = 10_000;

/// What is read at a scrape. Values named `total` only grow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readings {
    /// Of the ledger.
    pub ledger: LedgerGauges,
    /// Of the response cache.
    pub cache: CacheGauges,
    /// Of every endpoint's breaker.
    pub breakers: Vec<(EndpointId, BreakerState)>,
    /// Retries that may be made now.
    pub retry_budget: u64,
    /// Access lines that were lost so far.
    pub access_log_dropped_total: u64,
}

/// Of the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerGauges {
    /// Entries in the journal.
    pub entries_total: u64,
    /// Group commits.
    pub commits_total: u64,
    /// Operations that wait for the writer.
    pub queue_depth: u64,
    /// Holds that are neither settled nor void.
    pub holds_open: u64,
    /// It takes operations.
    pub healthy: bool,
}

/// Of the response cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheGauges {
    /// Answers held.
    pub entries: u64,
    /// Bytes held.
    pub bytes: u64,
    /// Answers that had to make room.
    pub evicted_total: u64,
}

/// The series behind [`Readings`].
pub(super) struct Gauges {
    entries: IntCounter,
    commits: IntCounter,
    queue: IntGauge,
    holds: IntGauge,
    healthy: IntGauge,
    cache_entries: IntGauge,
    cache_bytes: IntGauge,
    cache_evicted: IntCounter,
    breakers: IntGaugeVec,
    retry_budget: IntGauge,
    dropped: IntCounter,
}

impl Gauges {
    pub(super) fn new(r: &Registry) -> Result<Self, prometheus::Error> {
        gauges(r, names::BUILD, &["version"])?
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        Ok(Self {
            entries: counter(r, names::LEDGER_ENTRIES)?,
            commits: counter(r, names::LEDGER_COMMITS)?,
            queue: gauge(r, names::LEDGER_QUEUE)?,
            holds: gauge(r, names::HOLDS)?,
            healthy: gauge(r, names::LEDGER_HEALTHY)?,
            cache_entries: gauge(r, names::CACHE_ENTRIES)?,
            cache_bytes: gauge(r, names::CACHE_BYTES)?,
            cache_evicted: counter(r, names::CACHE_EVICTED)?,
            breakers: gauges(r, names::BREAKER, &["endpoint"])?,
            retry_budget: gauge(r, names::RETRY_BUDGET)?,
            dropped: counter(r, names::ACCESS_DROPPED)?,
        })
    }

    pub(super) fn apply(&mut self, now: &Readings) {
        raise(&self.entries, now.ledger.entries_total);
        raise(&self.commits, now.ledger.commits_total);
        set(&self.queue, now.ledger.queue_depth);
        set(&self.holds, now.ledger.holds_open);
        self.healthy.set(i64::from(now.ledger.healthy));
        set(&self.cache_entries, now.cache.entries);
        set(&self.cache_bytes, now.cache.bytes);
        raise(&self.cache_evicted, now.cache.evicted_total);
        set(&self.retry_budget, now.retry_budget);
        raise(&self.dropped, now.access_log_dropped_total);
        // Endpoints that a new catalog no longer has must not stay on show.
        self.breakers.reset();
        for (endpoint, state) in now.breakers.iter().take(ENDPOINTS_MAX) {
            let value = i64::try_from(state.index()).unwrap_or(i64::MAX);
            self.breakers.with_label_values(&[endpoint.as_str()]).set(value);
        }
    }
}

/// Brings a counter up to a sum that is kept elsewhere.
fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

fn set(gauge: &IntGauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}
