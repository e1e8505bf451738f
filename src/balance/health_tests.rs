//! Guards, cool-downs, probes, penalties, reloads, and many threads at once.

use super::*;
use crate::balance::HealthRegistry;
use crate::catalog::{Catalog, ProbeAsk};

fn at(ms: u64) -> Nanos {
    Nanos(ms * 1_000_000)
}

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn fresh() -> Arc<EndpointHealth> {
    Arc::new(EndpointHealth::new(Settings::default()))
}

fn admit(health: &Arc<EndpointHealth>, ms: u64) -> InFlight {
    health.admit(Wait::FirstToken, at(ms)).expect("available")
}

fn latency(health: &EndpointHealth, wait: Wait, ms: u64) -> f64 {
    health.gauge(wait, at(ms)).latency.expect("a sample").settled
}

#[test]
fn guards_count_and_measure() {
    let health = fresh();
    let (one, two) = (admit(&health, 0), admit(&health, 0));
    assert_eq!(health.in_flight(), 2);
    one.first_token(at(250));
    one.success(at(5_000));
    drop(two);
    assert_eq!(health.in_flight(), 0);
    assert!((latency(&health, Wait::FirstToken, 250) - 0.25).abs() < 1e-9, "not the whole time");
    assert_eq!(health.gauge(Wait::WholeAnswer, at(0)).latency, None, "measured apart");
    let whole = health.admit(Wait::WholeAnswer, at(0)).expect("available");
    whole.first_token(at(100));
    whole.success(at(3_000));
    assert!((latency(&health, Wait::WholeAnswer, 3_000) - 3.0).abs() < 1e-9);
}

#[test]
fn who_is_overtaken_was_at_least_as_slow() {
    let health = fresh();
    admit(&health, 0).beaten(at(9_000));
    assert_eq!(health.gauge(Wait::FirstToken, at(0)).latency, None, "nothing is known of it");
    let quick = admit(&health, 0);
    quick.first_token(at(200));
    quick.success(at(300));
    admit(&health, 300).beaten(at(400));
    assert!((latency(&health, Wait::FirstToken, 400) - 0.2).abs() < 1e-9, "it may have been quick");
    assert_eq!(health.recent(at(400)).latencies, 1);
    admit(&health, 400).beaten(at(2_400));
    assert!(latency(&health, Wait::FirstToken, 2_400) > 0.3, "it was not");
    assert_eq!(health.recent(at(2_400)).latencies, 2, "told where it is looked for the p95");
    assert_eq!(health.in_flight(), 0);
    assert_eq!(health.stats(at(2_400)).requests_last_30m, 1, "neither an answer nor a failure");
}

#[test]
fn silence_towards_several_is_noticed_long_before_their_timeout() {
    let health = fresh();
    let silent = |ms| health.gauge(Wait::FirstToken, at(ms)).silent;
    let mut waiting: Vec<_> = (0..3).map(|i| admit(&health, i)).collect();
    assert!(!silent(5_000) && silent(5_001), "after five seconds");
    let first = waiting.pop().expect("one");
    first.first_token(at(6_000));
    let more = admit(&health, 6_000);
    assert!(!silent(6_001), "something came back");
    first.success(at(60_000));
    drop((waiting, more));
    assert!(!silent(200_000), "nobody waits");
    let streams: Vec<_> = (0..5).map(|_| admit(&health, 200_000)).collect();
    streams.iter().for_each(|stream| stream.first_token(at(200_100)));
    assert!(!silent(290_000), "long answers are no silence");
}

#[test]
fn a_restart_measures_from_there() {
    let health = fresh();
    let mut guard = admit(&health, 0);
    guard.restart(at(900));
    guard.first_token(at(1_000));
    guard.success(at(1_000));
    assert!((latency(&health, Wait::FirstToken, 1_000) - 0.1).abs() < 1e-9);
}

#[test]
fn rate_limits_cool_and_never_open_the_breaker() {
    let health = fresh();
    for i in 0..50 {
        health.admit_anyway(Wait::FirstToken, at(i)).rate_limited(None, at(i));
    }
    assert_eq!(health.breaker_state(at(60)), BreakerState::Closed);
    assert_eq!(health.availability(at(60)), Availability::Cooling(at(1_049)));
    assert!(health.admit(Wait::FirstToken, at(60)).is_none());
    assert_eq!(health.availability(at(1_049)), Availability::Ready);

    admit(&health, 2_000).rate_limited(Some(secs(7)), at(2_000));
    assert_eq!(health.availability(at(8_999)), Availability::Cooling(at(9_000)));
    health.admit_anyway(Wait::FirstToken, at(3_000)).rate_limited(Some(secs(1)), at(3_000));
    assert_eq!(health.availability(at(8_999)), Availability::Cooling(at(9_000)), "the longer wins");
    admit(&health, 10_000).rate_limited(Some(secs(86_400)), at(10_000));
    assert_eq!(health.availability(at(10_000)), Availability::Cooling(at(70_000)), "capped");
}

#[test]
fn refused_credentials_cool_for_longer() {
    let health = fresh();
    admit(&health, 0).credentials(None, at(0));
    assert_eq!(health.availability(at(29_999)), Availability::Cooling(at(30_000)));
    assert_eq!(health.availability(at(30_000)), Availability::Ready);
    // Another credential is back before, and nothing was learned of how much it takes.
    admit(&health, 30_000).credentials(Some(secs(2)), at(30_000));
    assert_eq!(health.availability(at(31_999)), Availability::Cooling(at(32_000)));
    assert_eq!(health.stats(at(32_000)).rate_limited_last_30m, 0);
    assert!(!health.gauge(Wait::FirstToken, at(32_000)).capped);
}

#[test]
fn an_overload_is_a_failure_with_a_pause() {
    let health = fresh();
    for _ in 0..5 {
        health.admit_anyway(Wait::FirstToken, at(0)).overloaded(Some(secs(9)), at(0), 1);
    }
    assert_eq!(health.availability(at(0)), Availability::Open(at(9_000)));
    assert_eq!(health.availability(at(8_000)), Availability::Cooling(at(9_000)));
    assert_eq!(health.availability(at(9_000)), Availability::Trial);
}

#[test]
fn failures_cost_latency_within_bounds() {
    let health = fresh();
    admit(&health, 0).failure(at(1), 1);
    assert!((latency(&health, Wait::FirstToken, 1) - 5.0).abs() < 1e-9, "unknown: the maximum");

    let health = fresh();
    let guard = admit(&health, 0);
    guard.first_token(at(100));
    guard.success(at(100));
    admit(&health, 100).failure(at(101), 1);
    assert!((latency(&health, Wait::FirstToken, 101) - 0.4).abs() < 1e-9, "fast failures are dear");
    admit(&health, 101).failure(at(60_101), 1);
    assert!((latency(&health, Wait::FirstToken, 60_101) - 60.0).abs() < 1e-9, "a timeout is");
    admit(&health, 60_101).failure(at(60_102), 1);
    assert!(latency(&health, Wait::FirstToken, 60_102) > 59.0, "a peak is not lowered at once");
}

#[test]
fn a_lost_guard_frees_the_trial() {
    let health = fresh();
    for _ in 0..5 {
        admit(&health, 0).failure(at(0), 7);
    }
    let trial = admit(&health, 2_000);
    assert_eq!(health.availability(at(2_000)), Availability::Trying);
    drop(trial);
    assert_eq!(health.availability(at(2_000)), Availability::Trial);
    let trial = admit(&health, 2_000);
    trial.rate_limited(Some(secs(1)), at(2_000));
    assert_eq!(health.availability(at(2_000)), Availability::Cooling(at(3_000)));
    assert_eq!(health.availability(at(3_000)), Availability::Trial, "alive, but not yet trusted");
    let last_resort = health.admit_anyway(Wait::FirstToken, at(3_000));
    assert_eq!(health.availability(at(3_000)), Availability::Trying, "takes a free trial");
    last_resort.success(at(3_000));
    assert_eq!(health.availability(at(3_000)), Availability::Ready);
}

#[test]
fn probes_take_out_and_bring_back() {
    let probe = Probe {
        ask: ProbeAsk::Get("/v1/models".to_owned()),
        interval: secs(5),
        timeout: secs(1),
        failures: 2,
        successes: 1,
    };
    let health = fresh();
    assert_eq!(health.probe_result(false, &probe), None);
    assert_eq!(health.probe_result(false, &probe), Some(false));
    assert_eq!(health.availability(at(0)), Availability::Down);
    assert!(health.admit(Wait::FirstToken, at(0)).is_none());
    drop(health.admit_anyway(Wait::FirstToken, at(0)));
    assert_eq!(health.probe_result(true, &probe), Some(true));
    assert_eq!(health.availability(at(0)), Availability::Ready);
}

#[test]
fn the_least_bad_comes_first() {
    let mut all = [
        Availability::Down,
        Availability::Open(at(1)),
        Availability::Cooling(at(9)),
        Availability::Cooling(at(2)),
        Availability::Trying,
        Availability::Trial,
        Availability::Ready,
    ];
    all.sort_unstable();
    assert_eq!(all[0], Availability::Ready);
    assert_eq!(all[3], Availability::Cooling(at(2)), "the one that is back first");
    assert_eq!(all[6], Availability::Down);
    assert_eq!(all.iter().filter(|a| a.is_usable()).count(), 2);
}

#[test]
fn an_empty_catalog_has_an_empty_registry() {
    let registry = HealthRegistry::new(&Catalog::default(), Settings::default());
    assert!(registry.get("a/b").is_none());
    assert_eq!(registry.iter().count(), 0);
}

#[test]
fn hammered_from_threads_the_count_returns_to_zero() {
    let health = fresh();
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let health = &health;
            scope.spawn(move || {
                for i in 0..4_000_u64 {
                    let now = at(i * 3);
                    let guard = health
                        .admit(Wait::FirstToken, now)
                        .unwrap_or_else(|| health.admit_anyway(Wait::FirstToken, now));
                    match (i + thread) % 7 {
                        0 => drop(guard),
                        1 | 2 => drop(guard.failure(now, i)),
                        3 => guard.rate_limited(None, now),
                        _ => {
                            guard.first_token(now);
                            guard.success(now);
                        }
                    }
                }
            });
        }
    });
    assert_eq!(health.in_flight(), 0);
    let later = at(12_000 + 31_000);
    assert!(health.admit(Wait::FirstToken, later).is_some(), "no trial was lost");
}

#[test]
fn what_every_decision_reads_lies_in_two_cache_lines() {
    let last = std::mem::offset_of!(EndpointHealth, cap) + size_of::<u64>();
    assert_eq!((align_of::<EndpointHealth>(), last), (64, 128));
}
