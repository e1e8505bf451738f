//! Names of the metrics, what they mean, and the buckets of the histograms.

/// A metric's name and its help text.
pub type Name = (&'static str, &'static str);

/// Requests by surface, class of status, model and streaming.
pub const REQUESTS: Name = ("turnpike_requests_total", "Requests that ended.");
/// Whole duration by surface and streaming.
pub const DURATION: Name =
    ("turnpike_request_duration_seconds", "From a request's arrival to the end of its answer.");
/// Time to the first token by provider.
pub const TTFT: Name =
    ("turnpike_ttft_seconds", "From an attempt's start to its first token, by provider.");
/// Our own share.
pub const OVERHEAD: Name = (
    "turnpike_gateway_overhead_seconds",
    "The gateway's own share of the time to the first byte of an answer.",
);
/// Attempts by provider and outcome.
pub const ATTEMPTS: Name = ("turnpike_attempts_total", "Attempts at providers that ended.");
/// Attempts after the first.
pub const FALLBACKS: Name =
    ("turnpike_fallbacks_total", "Attempts that were made because an earlier one failed.");
/// Second attempts beside slow first ones.
pub const HEDGES: Name = (
    "turnpike_hedges_total",
    "Second attempts beside slow first ones, by what became of them; refused: the budget was spent.",
);
/// Tokens by model and kind.
pub const TOKENS: Name = (
    "turnpike_tokens_total",
    "Tokens by model and kind; cache_read and cache_write are part of prompt, reasoning is part \
     of completion.",
);
/// Money by model.
pub const COST: Name =
    ("turnpike_cost_usd_total", "What was charged, approximately: the ledger has the exact sums.");
/// Requests now.
pub const IN_FLIGHT: Name = ("turnpike_in_flight_requests", "Requests that have not ended.");
/// Streams now.
pub const STREAMS: Name = ("turnpike_open_streams", "Streamed answers that have not ended.");
/// The response cache by status.
pub const CACHE: Name = ("turnpike_cache_total", "Requests that use the response cache.");
/// Entries of the response cache.
pub const CACHE_ENTRIES: Name = ("turnpike_cache_entries", "Answers in the response cache.");
/// Bytes of the response cache.
pub const CACHE_BYTES: Name = ("turnpike_cache_bytes", "Bytes held by the response cache.");
/// Evictions of the response cache.
pub const CACHE_EVICTED: Name =
    ("turnpike_cache_evicted_total", "Cached answers that had to make room for others.");
/// Holds now.
pub const HOLDS: Name = ("turnpike_holds_open", "Credit holds that are neither settled nor void.");
/// Entries in the ledger.
pub const LEDGER_ENTRIES: Name =
    ("turnpike_ledger_entries_total", "Entries written to the journal since the start.");
/// Group commits.
pub const LEDGER_COMMITS: Name = ("turnpike_ledger_commits_total", "Group commits.");
/// Group commits that failed.
pub const LEDGER_COMMIT_ERRORS: Name =
    ("turnpike_ledger_commit_errors_total", "Writes or syncs of the journal that failed.");
/// Duration of a group commit.
pub const LEDGER_COMMIT_SECONDS: Name =
    ("turnpike_ledger_commit_seconds", "Duration of a group commit, with its fdatasync.");
/// What waits for the ledger.
pub const LEDGER_QUEUE: Name =
    ("turnpike_ledger_queue_depth", "Operations that wait for the ledger's writer.");
/// Whether the ledger works.
pub const LEDGER_HEALTHY: Name =
    ("turnpike_ledger_healthy", "1 while the ledger takes operations, else 0.");
/// Packed segments.
pub const LEDGER_ARCHIVED: Name = (
    "turnpike_ledger_archived_segments_total",
    "Full segments of the journal that were packed into the archive.",
);
/// Packing that failed.
pub const LEDGER_ARCHIVE_ERRORS: Name = (
    "turnpike_ledger_archive_errors_total",
    "Attempts to pack segments that failed; they are made again, and nothing is lost.",
);
/// Breakers by endpoint.
pub const BREAKER: Name =
    ("turnpike_breaker_state", "0 closed, 1 half open, 2 open (the endpoint is left out).");
/// Access lines lost.
pub const ACCESS_DROPPED: Name =
    ("turnpike_access_log_dropped_total", "Access log lines that could not be written.");
/// Content that was kept.
pub const CONTENT_WRITTEN: Name =
    ("turnpike_content_written_total", "Generations whose prompt and answer were kept.");
/// Content that was not kept.
pub const CONTENT_DROPPED: Name = (
    "turnpike_content_dropped_total",
    "Generations to be kept that were too large or found no room.",
);
/// Content that the disk refused.
pub const CONTENT_FAILED: Name =
    ("turnpike_content_failed_total", "Generations to be kept, and clean-ups, that failed.");
/// How much content there is.
pub const CONTENT_BYTES: Name =
    ("turnpike_content_bytes", "Bytes of kept prompts and answers, encrypted.");
/// What is left of the retry budget.
pub const RETRY_BUDGET: Name =
    ("turnpike_retry_budget", "Retries that may be made now before the budget is empty.");
/// Plugins' parts in requests.
pub const PLUGIN_RUNS: Name =
    ("turnpike_plugin_runs_total", "Requests that a plugin took part in, by how it did.");
/// Time that plugins took.
pub const PLUGIN_SECONDS: Name = (
    "turnpike_plugin_seconds",
    "Time of a plugin before a request is routed, with what it asked of the outside.",
);
/// What plugins ask of the outside.
pub const PLUGIN_CALLS: Name =
    ("turnpike_plugin_calls_total", "What plugins asked of the outside, by result.");
/// What is left of the hedges' budget.
pub const HEDGE_BUDGET: Name =
    ("turnpike_hedge_budget", "Hedges that may be made now, as far as their number is concerned.");
/// What is running.
pub const BUILD: Name = ("turnpike_build_info", "Always 1; the version is a label.");

/// For whole requests and first tokens, in seconds: a cache hit takes half a millisecond, a
/// reasoning model minutes.
pub const LATENCY_BUCKETS: [f64; 19] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0,
    30.0, 60.0, 120.0, 300.0,
];

/// For plugins, in seconds: most take microseconds, a search up to a minute.
pub const PLUGIN_BUCKETS: [f64; 13] =
    [0.000_01, 0.000_05, 0.000_2, 0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// For the gateway's own share, in seconds.
pub const OVERHEAD_BUCKETS: [f64; 13] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_2, 0.000_4, 0.000_8, 0.001_6, 0.003_2, 0.006_4,
    0.0125, 0.025, 0.1,
];
