use std::sync::Arc;

use super::*;
use crate::catalog::{Catalog, Endpoint, Model, Origin, Provider};
use crate::dialect::Dialect;
use crate::observe::gauges::{CacheGauges, CommitTimes, ContentGauges, LedgerGauges};
use crate::observe::labels::{BreakerState, HedgeResult, Outcome};
use crate::observe::meters::Meters;
use crate::vocab::{EndpointId, ModelId, ProviderId};

/// A catalog of models `m/<n>`, each at a provider `p<n>`.
fn catalog(range: std::ops::Range<usize>) -> Catalog {
    Catalog::new(range.map(model).collect())
}

fn model(n: usize) -> Model {
    let id = ModelId::parse(&format!("m/{n}")).expect("an id");
    let origin = Origin { tls: false, host: "h".to_owned(), port: 80, authority: "h".to_owned() };
    let provider = ProviderId::parse(&format!("p{n}")).expect("an id");
    let endpoint = EndpointId::parse(&format!("p{n}/m")).expect("an id");
    let provider = Arc::new(Provider::new(provider, Dialect::OpenAi, origin));
    let endpoint = Arc::new(Endpoint::new(endpoint, provider, id.clone(), "m", 1));
    Model { endpoints: vec![endpoint], ..Model::new(id) }
}

fn report() -> Report {
    Report {
        surface: Surface::Chat,
        class: StatusClass::Ok,
        stream: true,
        cache: Some(CacheStatus::Miss),
        duration: Duration::from_millis(1_500),
        overhead: Some(Duration::from_micros(60)),
        fallbacks: 2,
        usage: Usage {
            prompt: 10,
            cache_read: 4,
            cache_write_5m: 1,
            cache_write_1h: 2,
            completion: 20,
            reasoning: 5,
            ..Usage::default()
        },
        cost: NanoUsd(500_000_000),
    }
}

fn rendered(metrics: &Metrics) -> String {
    metrics.render().expect("text")
}

#[track_caller]
fn assert_has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|l| l == *line), "{line} in\n{text}");
    }
}

fn series(text: &str) -> usize {
    text.lines().filter(|l| !l.starts_with('#')).count()
}

#[test]
fn a_request_counts_in_every_metric() {
    let metrics = Metrics::new().expect("metrics");
    let meters = Meters::new(&metrics, &catalog(0..1));
    for _ in 0..2 {
        metrics.finish(meters.model("m/0"), &report());
    }
    meters.provider("p0").attempt(Outcome::RateLimited);
    meters.provider("p0").attempt(Outcome::Ok);
    meters.provider("p0").first_token(Duration::from_millis(300));
    metrics.hedge(HedgeResult::Won);
    assert_has(
        &rendered(&metrics),
        &[
            r#"turnpike_requests_total{model="m/0",status="2xx",stream="true",surface="chat"} 2"#,
            r#"turnpike_request_duration_seconds_bucket{stream="true",surface="chat",le="1"} 0"#,
            r#"turnpike_request_duration_seconds_bucket{stream="true",surface="chat",le="2"} 2"#,
            r#"turnpike_request_duration_seconds_sum{stream="true",surface="chat"} 3"#,
            r#"turnpike_gateway_overhead_seconds_bucket{le="0.00005"} 0"#,
            r#"turnpike_gateway_overhead_seconds_bucket{le="0.0001"} 2"#,
            r#"turnpike_ttft_seconds_bucket{provider="p0",le="0.5"} 1"#,
            r#"turnpike_attempts_total{outcome="status_rate_limited",provider="p0"} 1"#,
            r#"turnpike_attempts_total{outcome="ok",provider="p0"} 1"#,
            "turnpike_fallbacks_total 4",
            r#"turnpike_hedges_total{result="won"} 1"#,
            r#"turnpike_tokens_total{kind="prompt",model="m/0"} 20"#,
            r#"turnpike_tokens_total{kind="cache_read",model="m/0"} 8"#,
            r#"turnpike_tokens_total{kind="cache_write",model="m/0"} 6"#,
            r#"turnpike_tokens_total{kind="completion",model="m/0"} 40"#,
            r#"turnpike_tokens_total{kind="reasoning",model="m/0"} 10"#,
            r#"turnpike_cost_usd_total{model="m/0"} 1"#,
            r#"turnpike_cache_total{status="miss"} 2"#,
        ],
    );
}

#[test]
fn what_callers_choose_makes_no_series() {
    let metrics = Metrics::new().expect("metrics");
    let meters = Meters::new(&metrics, &catalog(0..1));
    metrics.finish(meters.model("no/such-model"), &report());
    let before = series(&rendered(&metrics));
    for n in 0..10_000 {
        metrics.finish(meters.model(&format!("made/up-{n}")), &report());
        meters.provider(&format!("made-up-{n}")).attempt(Outcome::Ok);
    }
    let text = rendered(&metrics);
    assert_eq!(series(&text), before + 1, "only the attempts of `other` are new");
    assert!(!text.contains("made-up") && !text.contains("made/up"), "{text}");
    assert!(text.contains(r#"model="unknown""#), "{text}");
}

#[test]
fn labels_are_bounded_over_all_catalogs_of_a_process() {
    let metrics = Metrics::new().expect("metrics");
    for round in 0..5 {
        let meters = Meters::new(&metrics, &catalog(round * 600..(round + 1) * 600));
        for n in round * 600..(round + 1) * 600 {
            metrics.finish(meters.model(&format!("m/{n}")), &report());
            meters.provider(&format!("p{n}")).attempt(Outcome::Ok);
        }
    }
    let text = rendered(&metrics);
    let count = |prefix: &str| text.lines().filter(|l| l.starts_with(prefix)).count();
    assert_eq!(count("turnpike_requests_total{"), MODELS_MAX + 1, "1,000 and `other`");
    assert_eq!(count("turnpike_attempts_total{"), PROVIDERS_MAX + 1, "256 and `other`");
    assert_has(
        &text,
        &[
            r#"turnpike_requests_total{model="other",status="2xx",stream="true",surface="chat"} 2000"#,
        ],
    );
}

#[test]
fn a_new_catalog_counts_on() {
    let metrics = Metrics::new().expect("metrics");
    for _ in 0..2 {
        let meters = Meters::new(&metrics, &catalog(0..1));
        metrics.finish(meters.model("m/0"), &report());
    }
    let want =
        r#"turnpike_requests_total{model="m/0",status="2xx",stream="true",surface="chat"} 2"#;
    assert_has(&rendered(&metrics), &[want]);
}

#[test]
fn nothing_consumed_and_negative_costs_add_nothing() {
    let metrics = Metrics::new().expect("metrics");
    let meters = Meters::new(&metrics, &catalog(0..1));
    let mut free = report();
    (free.usage, free.cost) = (Usage::default(), NanoUsd(-5));
    metrics.finish(meters.model("m/0"), &free);
    let text = rendered(&metrics);
    assert!(!text.contains("turnpike_tokens_total{"), "{text}");
    assert!(!text.contains("turnpike_cost_usd_total{"), "{text}");
}

#[test]
fn what_is_under_way_ends_with_its_guard_even_in_a_panic() {
    let metrics = Metrics::new().expect("metrics");
    let (one, stream) = (metrics.enter(), metrics.open_stream());
    let two = metrics.enter();
    assert_has(&rendered(&metrics), &["turnpike_in_flight_requests 2", "turnpike_open_streams 1"]);
    drop((one, stream));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _two = two;
        panic!("on purpose");
    }));
    assert!(caught.is_err());
    assert_has(&rendered(&metrics), &["turnpike_in_flight_requests 0", "turnpike_open_streams 0"]);
}

/// What the ledger reads at the scrape of this number.
fn ledger_gauges(n: u64) -> LedgerGauges {
    LedgerGauges {
        entries_total: 100 + n,
        commits: CommitTimes {
            bounds_us: &[100, 2_500],
            counts: vec![4, 5, 1],
            total: Duration::from_millis(12),
        },
        commit_errors_total: 1,
        archived_total: 6,
        archive_errors_total: 9,
        queue_depth: 3,
        holds_open: 2 - n,
        healthy: n == 0,
    }
}

#[test]
fn readings_are_taken_at_each_scrape_and_replace_the_last() {
    let metrics = Metrics::new().expect("metrics");
    let endpoint = |n: u64| EndpointId::parse(&format!("p/{n}")).expect("an id");
    let scrapes = std::sync::atomic::AtomicU64::new(0);
    assert!(metrics.set_source(move || {
        let n = scrapes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Readings {
            ledger: ledger_gauges(n),
            cache: CacheGauges { entries: 1, bytes: 2, evicted_total: 3 },
            breakers: vec![(endpoint(n), BreakerState::Open)],
            retry_budget: 7,
            hedge_budget: 8,
            access_log_dropped_total: 9,
            content: ContentGauges {
                written_total: 10,
                dropped_total: 11,
                failed_total: 12,
                bytes: 13,
            },
        }
    }));
    assert!(!metrics.set_source(Readings::default), "one source");
    assert_has(
        &rendered(&metrics),
        &[
            "turnpike_ledger_entries_total 100",
            "turnpike_ledger_commits_total 10",
            "turnpike_ledger_commit_errors_total 1",
            "turnpike_ledger_archived_segments_total 6",
            "turnpike_ledger_archive_errors_total 9",
            r#"turnpike_ledger_commit_seconds_bucket{le="0.0001"} 4"#,
            r#"turnpike_ledger_commit_seconds_bucket{le="0.0025"} 9"#,
            r#"turnpike_ledger_commit_seconds_bucket{le="+Inf"} 10"#,
            "turnpike_ledger_commit_seconds_sum 0.012",
            "turnpike_ledger_commit_seconds_count 10",
            "turnpike_ledger_queue_depth 3",
            "turnpike_holds_open 2",
            "turnpike_ledger_healthy 1",
            "turnpike_cache_entries 1",
            "turnpike_cache_bytes 2",
            "turnpike_cache_evicted_total 3",
            "turnpike_retry_budget 7",
            "turnpike_hedge_budget 8",
            "turnpike_access_log_dropped_total 9",
            "turnpike_content_written_total 10",
            "turnpike_content_dropped_total 11",
            "turnpike_content_failed_total 12",
            "turnpike_content_bytes 13",
            r#"turnpike_breaker_state{endpoint="p/0"} 2"#,
        ],
    );
    let text = rendered(&metrics);
    assert_has(
        &text,
        &[
            "turnpike_ledger_entries_total 101",
            "turnpike_ledger_commits_total 10",
            "turnpike_holds_open 1",
            "turnpike_ledger_healthy 0",
            r#"turnpike_breaker_state{endpoint="p/1"} 2"#,
        ],
    );
    assert!(!text.contains("p/0"), "an endpoint that is gone is not shown");
}

#[test]
fn concurrent_counting_loses_nothing() {
    let metrics = Metrics::new().expect("metrics");
    let meters = Meters::new(&metrics, &catalog(0..1));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    metrics.finish(meters.model("m/0"), &report());
                }
            });
        }
    });
    assert_has(
        &rendered(&metrics),
        &[
            r#"turnpike_requests_total{model="m/0",status="2xx",stream="true",surface="chat"} 8000"#,
            r#"turnpike_request_duration_seconds_count{stream="true",surface="chat"} 8000"#,
            r#"turnpike_cost_usd_total{model="m/0"} 4000"#,
        ],
    );
}
