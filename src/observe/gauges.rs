//! Values that other parts keep and that are read when somebody scrapes.

use std::time::Duration;

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
    /// Hedges that may be made now, as far as their number is concerned.
    pub hedge_budget: u64,
    /// Access lines that were lost so far.
    pub access_log_dropped_total: u64,
    /// Prompts and answers that accounts have asked to be kept.
    pub content: ContentGauges,
}

/// Of prompts and answers that accounts have asked to be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContentGauges {
    /// Generations whose content was written.
    pub written_total: u64,
    /// Generations that were too large, or found no room.
    pub dropped_total: u64,
    /// Generations and clean-ups that the disk refused.
    pub failed_total: u64,
    /// Bytes that are kept.
    pub bytes: u64,
}

/// Of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerGauges {
    /// Entries written to the journal since the start.
    pub entries_total: u64,
    /// Group commits, and how long they took.
    pub commits: CommitTimes,
    /// Writes or syncs of the journal that failed.
    pub commit_errors_total: u64,
    /// Segments of the journal that were packed into the archive.
    pub archived_total: u64,
    /// Attempts to pack segments that failed.
    pub archive_errors_total: u64,
    /// Operations that wait for the writer.
    pub queue_depth: u64,
    /// Holds that are neither settled nor void.
    pub holds_open: u64,
    /// It takes operations.
    pub healthy: bool,
}

/// Durations of the group commits, as a histogram that the ledger keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitTimes {
    /// Upper bounds of the buckets in microseconds, rising.
    pub bounds_us: &'static [u64],
    /// How many commits fell into each bucket (not cumulative); the last is for those above all
    /// bounds.
    pub counts: Vec<u64>,
    /// All commits together.
    pub total: Duration,
}

impl CommitTimes {
    /// How many commits there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// Appends the histogram in Prometheus' text format. Spelled here, since the library can show
    /// only what was observed through itself, and the ledger does not know it.
    pub(super) fn write(&self, out: &mut String) {
        let (name, help) = names::LEDGER_COMMIT_SECONDS;
        out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} histogram\n"));
        let mut below = 0_u64;
        for (bound, count) in self.bounds_us.iter().zip(&self.counts) {
            below = below.saturating_add(*count);
            let le = Duration::from_micros(*bound).as_secs_f64();
            out.push_str(&format!("{name}_bucket{{le=\"{le}\"}} {below}\n"));
        }
        let (count, sum) = (self.count(), self.total.as_secs_f64());
        out.push_str(&format!(
            "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum}\n{name}_count {count}\n"
        ));
    }
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
    commit_errors: IntCounter,
    archived: IntCounter,
    archive_errors: IntCounter,
    queue: IntGauge,
    holds: IntGauge,
    healthy: IntGauge,
    cache_entries: IntGauge,
    cache_bytes: IntGauge,
    cache_evicted: IntCounter,
    breakers: IntGaugeVec,
    retry_budget: IntGauge,
    hedge_budget: IntGauge,
    dropped: IntCounter,
    content_written: IntCounter,
    content_dropped: IntCounter,
    content_failed: IntCounter,
    content_bytes: IntGauge,
}

impl Gauges {
    pub(super) fn new(r: &Registry) -> Result<Self, prometheus::Error> {
        gauges(r, names::BUILD, &["version"])?
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        Ok(Self {
            entries: counter(r, names::LEDGER_ENTRIES)?,
            commits: counter(r, names::LEDGER_COMMITS)?,
            commit_errors: counter(r, names::LEDGER_COMMIT_ERRORS)?,
            archived: counter(r, names::LEDGER_ARCHIVED)?,
            archive_errors: counter(r, names::LEDGER_ARCHIVE_ERRORS)?,
            queue: gauge(r, names::LEDGER_QUEUE)?,
            holds: gauge(r, names::HOLDS)?,
            healthy: gauge(r, names::LEDGER_HEALTHY)?,
            cache_entries: gauge(r, names::CACHE_ENTRIES)?,
            cache_bytes: gauge(r, names::CACHE_BYTES)?,
            cache_evicted: counter(r, names::CACHE_EVICTED)?,
            breakers: gauges(r, names::BREAKER, &["endpoint"])?,
            retry_budget: gauge(r, names::RETRY_BUDGET)?,
            hedge_budget: gauge(r, names::HEDGE_BUDGET)?,
            dropped: counter(r, names::ACCESS_DROPPED)?,
            content_written: counter(r, names::CONTENT_WRITTEN)?,
            content_dropped: counter(r, names::CONTENT_DROPPED)?,
            content_failed: counter(r, names::CONTENT_FAILED)?,
            content_bytes: gauge(r, names::CONTENT_BYTES)?,
        })
    }

    pub(super) fn apply(&mut self, now: &Readings) {
        raise(&self.entries, now.ledger.entries_total);
        raise(&self.commits, now.ledger.commits.count());
        raise(&self.commit_errors, now.ledger.commit_errors_total);
        raise(&self.archived, now.ledger.archived_total);
        raise(&self.archive_errors, now.ledger.archive_errors_total);
        set(&self.queue, now.ledger.queue_depth);
        set(&self.holds, now.ledger.holds_open);
        self.healthy.set(i64::from(now.ledger.healthy));
        set(&self.cache_entries, now.cache.entries);
        set(&self.cache_bytes, now.cache.bytes);
        raise(&self.cache_evicted, now.cache.evicted_total);
        set(&self.retry_budget, now.retry_budget);
        set(&self.hedge_budget, now.hedge_budget);
        raise(&self.dropped, now.access_log_dropped_total);
        raise(&self.content_written, now.content.written_total);
        raise(&self.content_dropped, now.content.dropped_total);
        raise(&self.content_failed, now.content.failed_total);
        set(&self.content_bytes, now.content.bytes);
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
