//! Counters for metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::vocab::NanoUsd;

/// The upper bounds of the commit latency histogram's buckets, in microseconds; the last bucket
/// has none.
pub const COMMIT_BUCKETS_US: [u64; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) entries: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) commit_errors: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
    pub(crate) refused_ops: AtomicU64,
    pub(crate) archived_segments: AtomicU64,
    pub(crate) archive_errors: AtomicU64,
    commit_ns: AtomicU64,
    last_commit_ns: AtomicU64,
    buckets: [AtomicU64; COMMIT_BUCKETS_US.len() + 1],
}

/// The ledger's numbers at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Entries written since the start.
    pub entries: u64,
    /// Groups made durable since the start.
    pub commits: u64,
    /// Writes or syncs of the journal that failed since the start.
    pub commit_errors: u64,
    /// Checkpoints of the index since the start.
    pub checkpoints: u64,
    /// Operations that the state machine refused since the start, for instance a second settle.
    pub refused_ops: u64,
    /// Segments of the journal that were packed into the archive since the start.
    pub archived_segments: u64,
    /// Attempts to pack segments that failed since the start. They are made again.
    pub archive_errors: u64,
    /// The time that all commits took together.
    pub commit_time: Duration,
    /// The time that the last commit took.
    pub last_commit: Duration,
    /// Commits by duration, not cumulative; bounds in [`COMMIT_BUCKETS_US`].
    pub commit_buckets: [u64; COMMIT_BUCKETS_US.len() + 1],
    /// Operations that wait for the writer.
    pub queue_depth: usize,
    /// Holds that are open.
    pub open_holds: usize,
    /// What they have set aside together.
    pub held: NanoUsd,
    /// Holds are being taken.
    pub healthy: bool,
}

impl Counters {
    pub(crate) fn committed(&self, entries: usize, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.entries.fetch_add(entries as u64, Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.commit_ns.fetch_add(ns, Ordering::Relaxed);
        self.last_commit_ns.store(ns, Ordering::Relaxed);
        let bucket = COMMIT_BUCKETS_US.partition_point(|bound| bound * 1_000 < ns);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self, into: &mut Stats) {
        into.entries = self.entries.load(Ordering::Relaxed);
        into.commits = self.commits.load(Ordering::Relaxed);
        into.commit_errors = self.commit_errors.load(Ordering::Relaxed);
        into.checkpoints = self.checkpoints.load(Ordering::Relaxed);
        into.refused_ops = self.refused_ops.load(Ordering::Relaxed);
        into.archived_segments = self.archived_segments.load(Ordering::Relaxed);
        into.archive_errors = self.archive_errors.load(Ordering::Relaxed);
        into.commit_time = Duration::from_nanos(self.commit_ns.load(Ordering::Relaxed));
        into.last_commit = Duration::from_nanos(self.last_commit_ns.load(Ordering::Relaxed));
        for (to, from) in into.commit_buckets.iter_mut().zip(&self.buckets) {
            *to = from.load(Ordering::Relaxed);
        }
    }
}
