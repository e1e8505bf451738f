//! Who gets how much traffic: shares against the model, strict orders against the best that is to
//! be had, and decisions against their records. All in virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test support")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use turnpike::balance::{HealthRegistry, Nanos, Settings, Wait, mix};
use turnpike::catalog::{Catalog, Endpoint, Model, Origin, Prices, Provider};
use turnpike::dialect::Dialect;
use turnpike::dialect::scan::Prefs;
use turnpike::route::score::{EXPLORE, PRIOR};
use turnpike::route::{Features, Plan, Reason, Record, RoutingTable, plan};
use turnpike::vocab::{EndpointId, ModelId, PicoUsd, ProviderId, Usage};

const MODEL: &str = "meta/llama";
const START: Nanos = Nanos(1_000_000_000_000);

/// What an endpoint costs (dollars per million tokens of any kind) and how it does.
#[derive(Clone, Copy)]
struct Host {
    price: u64,
    first_token_ms: u64,
    tokens_per_second: u64,
    failures: u32,
}

const HOST: Host = Host { price: 1, first_token_ms: 0, tokens_per_second: 0, failures: 0 };

fn table(hosts: &[Host]) -> RoutingTable {
    let model = ModelId::parse(MODEL).unwrap();
    let endpoint = |(i, host): (usize, &Host)| {
        let origin =
            Origin { tls: false, host: "h".to_owned(), port: 1, authority: "h:1".to_owned() };
        let provider = ProviderId::parse(&format!("p{i}")).unwrap();
        let id = EndpointId::parse(&format!("p{i}/m")).unwrap();
        let provider = Arc::new(Provider::new(provider, Dialect::OpenAi, origin));
        let price = PicoUsd(host.price * 1_000_000);
        let prices = Prices { prompt: price, completion: price, ..Prices::default() };
        let bare = Endpoint::new(id, provider, model.clone(), "m", 100_000);
        Arc::new(Endpoint { prices: prices.into(), ..bare })
    };
    let endpoints = hosts.iter().enumerate().map(endpoint).collect();
    let catalog = Arc::new(Catalog::new(vec![Model { endpoints, ..Model::new(model.clone()) }]));
    let registry = HealthRegistry::new(&catalog, Settings::default());
    let table = RoutingTable::new(&catalog, &registry);
    for (i, host) in hosts.iter().enumerate() {
        measure(&table, i, host, START);
    }
    table
}

/// One answer of this host, and its failures.
fn measure(table: &RoutingTable, i: usize, host: &Host, now: Nanos) {
    let health = &table.slots(MODEL).unwrap()[i].health;
    for seed in 0..host.failures {
        let guard = health.admit_anyway(Wait::WholeAnswer, now);
        guard.failure(now, u64::from(seed));
    }
    if host.first_token_ms > 0 {
        let started = Nanos(now.0 - host.first_token_ms * 1_000_000);
        let guard = health.admit_anyway(Wait::FirstToken, started);
        guard.first_token(now);
        guard.success(now);
    }
    if host.tokens_per_second > 0 {
        answer(table, i, host, now);
    }
}

/// An answer of a hundred tokens.
fn answer(table: &RoutingTable, i: usize, host: &Host, now: Nanos) {
    let took = Duration::from_secs_f64(100.0 / host.tokens_per_second as f64);
    let health = &table.slots(MODEL).unwrap()[i].health;
    let took = u64::try_from(took.as_nanos()).unwrap();
    let guard = health.admit_anyway(Wait::WholeAnswer, Nanos(now.0 - took));
    guard.served(&Usage { prompt: 10, completion: 100, ..Usage::default() }, now);
    guard.success(now);
}

fn ask(model: &str) -> Features<'_> {
    Features { model, prompt_tokens: 500, expected_tokens: 500, ..Features::default() }
}

fn first(plan: &Plan) -> usize {
    plan.candidates[0].slot.endpoint.provider.id.as_str()[1..].parse().unwrap()
}

/// First choices of so many plans.
fn counts(table: &RoutingTable, features: &Features<'_>, plans: u64, hosts: usize) -> Vec<f64> {
    let mut counts = vec![0.0; hosts];
    for seed in 0..plans {
        let made = plan(table, features, mix(seed), START).unwrap();
        counts[first(&made)] += 1.0;
    }
    counts
}

/// The shares that the model's documentation promises.
fn expected(hosts: &[Host]) -> Vec<f64> {
    let cheapest = hosts.iter().map(|h| h.price).min().unwrap() as f64;
    let fastest = hosts.iter().map(|h| h.first_token_ms).filter(|ms| *ms > 0).min();
    let cost = |host: &Host| {
        let price = host.price as f64 / cheapest;
        let speed = fastest.map_or(1.0, |best| host.first_token_ms as f64 / best as f64);
        let failures = f64::from(host.failures);
        let answers = f64::from(u32::from(host.first_token_ms > 0));
        price * speed * (1.0 + 4.0 * failures / (failures + answers + PRIOR))
    };
    let weight = |host: &Host| 1.0 / (cost(host) * cost(host));
    let learning = |host: &Host| cheapest / host.price as f64;
    let weights: f64 = hosts.iter().map(weight).sum();
    let all_learning: f64 = hosts.iter().map(learning).sum();
    let share = |host: &Host| {
        (1.0 - EXPLORE) * weight(host) / weights + EXPLORE * learning(host) / all_learning
    };
    hosts.iter().map(share).collect()
}

#[test]
fn shares_are_those_of_the_model() {
    // Chi-square at 99.9 %, by degrees of freedom.
    const CRITICAL: [f64; 6] = [0.0, 10.83, 13.82, 16.27, 18.47, 20.52];
    let host = |price, first_token_ms, failures| Host { price, first_token_ms, failures, ..HOST };
    let worlds: [&[Host]; 6] = [
        &[host(1, 0, 0), host(2, 0, 0), host(3, 0, 0)],
        &[host(10, 0, 0), host(11, 0, 0), host(12, 0, 0), host(100, 0, 0)],
        &[host(1, 300, 0), host(2, 100, 0), host(3, 200, 0)],
        &[host(1, 0, 2), host(2, 0, 0), host(3, 0, 1)],
        &[host(4, 200, 2), host(5, 100, 0), host(6, 120, 1), host(7, 90, 0), host(9, 80, 0)],
        &[host(1, 0, 0), host(50, 0, 0)],
    ];
    for (i, hosts) in worlds.iter().enumerate() {
        let table = table(hosts);
        let plans = 20_000;
        let seen = counts(&table, &ask(MODEL), plans, hosts.len());
        let want: Vec<f64> = expected(hosts).iter().map(|share| share * plans as f64).collect();
        let chi: f64 = seen.iter().zip(&want).map(|(n, want)| (n - want).powi(2) / want).sum();
        assert!(chi < CRITICAL[hosts.len() - 1], "world {i}: {seen:?} for {want:?}: {chi}");
        let told = plan(&table, &ask(MODEL), 1, START).unwrap();
        for candidate in &told.candidates {
            let name = candidate.slot.endpoint.provider.id.as_str();
            let at: usize = name[1..].parse().unwrap();
            let share = want[at] / plans as f64;
            assert!((candidate.score.share - share).abs() < 1e-4, "world {i}, {name}: told");
        }
    }
}

#[test]
fn equals_share_evenly_and_what_is_queued_decides_among_them() {
    let table = table(&[HOST; 4]);
    let seen = counts(&table, &ask(MODEL), 20_000, 4);
    let chi: f64 = seen.iter().map(|n| (n - 5_000.0).powi(2) / 5_000.0).sum();
    assert!(chi < 16.27, "{seen:?}");
    let slots = table.slots(MODEL).unwrap();
    let busy: Vec<_> =
        (0..10).map(|_| slots[0].health.admit_anyway(Wait::FirstToken, START)).collect();
    let seen = counts(&table, &ask(MODEL), 20_000, 4);
    assert!(seen[0] < 1_700.0, "drawn twice, or to learn: a sixteenth and a little: {seen:?}");
    drop(busy);
}

#[test]
fn nitro_takes_the_fastest_and_floor_the_cheapest_that_is_well() {
    let host = |price, tokens_per_second| Host { price, tokens_per_second, ..HOST };
    let hosts = [host(1, 20), host(2, 150), host(3, 90), host(9, 60), host(4, 0)];
    let table = table(&hosts);
    let nitro = format!("{MODEL}:nitro");
    let seen = counts(&table, &ask(&nitro), 2_000, hosts.len());
    let best = 150.0;
    // The one that was never measured does as badly as the worst.
    let speeds = [20.0, 150.0, 90.0, 60.0, 20.0];
    let got: f64 = seen.iter().zip(speeds).map(|(n, speed)| n / 2_000.0 * speed).sum();
    assert!(got >= 0.95 * best, "{got} of {best}: {seen:?}");
    assert!(seen[4] > 0.0, "what was never measured is looked at: {seen:?}");

    let floor = format!("{MODEL}:floor");
    let seen = counts(&table, &ask(&floor), 1_000, hosts.len());
    assert_eq!(seen[0], 1_000.0, "the cheapest, always");
    let health = &table.slots(MODEL).unwrap()[0].health;
    for seed in 0..4 {
        health.admit_anyway(Wait::WholeAnswer, START).failure(START, seed);
    }
    let seen = counts(&table, &ask(&floor), 1_000, hosts.len());
    assert_eq!(seen[1], 1_000.0, "not the one that fails");
    let prefs = Prefs { allow_fallbacks: false, ..Prefs::default() };
    let features = Features { prefs: Some(&prefs), ..ask(&floor) };
    let made = plan(&table, &features, 1, START).unwrap();
    assert_eq!((made.candidates.len(), first(&made)), (1, 1));
}

#[test]
fn a_conversation_stays_where_its_prompt_is_cached_while_that_pays() {
    let table = |cached: u64, price: u64| {
        let hosts = [Host { price: 10, ..HOST }, Host { price, ..HOST }];
        let plain = table(&hosts);
        let catalog = plain.catalog();
        let endpoints = catalog.endpoints().enumerate().map(|(i, endpoint)| {
            let cache_read = (i == 0).then_some(PicoUsd(cached * 1_000_000));
            let prices = Prices { cache_read, ..endpoint.prices.base };
            let id = endpoint.id.clone();
            let (provider, model) = (Arc::clone(&endpoint.provider), endpoint.model.clone());
            let bare = Endpoint::new(id, provider, model, "m", 100_000);
            Arc::new(Endpoint { prices: prices.into(), ..bare })
        });
        let model = Model::new(ModelId::parse(MODEL).unwrap());
        let model = Model { endpoints: endpoints.collect(), ..model };
        let catalog = Arc::new(Catalog::new(vec![model]));
        RoutingTable::new(&catalog, &HealthRegistry::new(&catalog, Settings::default()))
    };
    for (cached, other, stays) in [(1, 9, true), (1, 6, true), (1, 5, false), (9, 9, false)] {
        let table = table(cached, other);
        let mark = table.slots(MODEL).unwrap()[0].mark;
        let features = Features { sticky: Some(mark), ..ask(MODEL) };
        let made = |seed| plan(&table, &features, seed, START).unwrap();
        let all = (0..200).all(|seed| made(seed).candidates[0].why == Reason::Sticky);
        assert_eq!(all, stays, "cached at {cached}, the other at {other}");
        let order = Prefs { order: vec!["p1".to_owned()], ..Prefs::default() };
        let ordered = Features { prefs: Some(&order), ..features };
        assert_eq!(first(&plan(&table, &ordered, 1, START).unwrap()), 1, "an order wins");
    }
}

/// Ten thousand requests of many kinds while endpoints become better and worse.
#[test]
fn ten_thousand_decisions_are_the_same_when_made_again_from_their_records() {
    let host = |price, first_token_ms, tokens_per_second| Host {
        price,
        first_token_ms,
        tokens_per_second,
        failures: 0,
    };
    let hosts = [host(1, 100, 50), host(2, 80, 90), host(2, 120, 70), host(5, 60, 200)];
    let live = table(&hosts);
    // Another process, which has seen nothing.
    let cold = table(&hosts.map(|h| Host { first_token_ms: 0, tokens_per_second: 0, ..h }));
    let prefs = [
        None,
        Some(Prefs { order: vec!["p2".to_owned()], ..Prefs::default() }),
        Some(Prefs { ignore: vec!["p0".to_owned()], ..Prefs::default() }),
    ];
    let names = [MODEL.to_owned(), format!("{MODEL}:nitro"), format!("{MODEL}:exacto")];
    let mut guards = HashMap::new();
    for i in 0..10_000_u64 {
        let draw = mix(i);
        let now = Nanos(START.0 + i * 7_000_000);
        let at = (draw % 4) as usize;
        match draw >> 8 & 15 {
            0 => measure(&live, at, &Host { failures: 1, ..hosts[at] }, now),
            1 => live.slots(MODEL).unwrap()[at]
                .health
                .admit_anyway(Wait::FirstToken, now)
                .rate_limited(None, now),
            2 => drop(guards.remove(&at)),
            3 => {
                let health = &live.slots(MODEL).unwrap()[at].health;
                guards.insert(at, health.admit_anyway(Wait::FirstToken, now));
            }
            _ => measure(&live, at, &hosts[at], now),
        }
        let features = Features {
            prefs: prefs[(draw >> 16 & 3) as usize % 3].as_ref(),
            prompt_tokens: draw >> 20 & 0xffff,
            sticky: (draw >> 40 & 1 == 1).then(|| live.slots(MODEL).unwrap()[at].mark),
            unix_ms: i,
            ..ask(&names[(draw >> 44) as usize % 3])
        };
        let (record, made) = Record::plan(&live, &features, draw, now);
        let unrecorded = plan(&live, &features, draw, now).unwrap();
        assert_eq!(told(&unrecorded), told(made.as_ref().unwrap()), "{record:?}");
        let line = serde_json::to_string(&record).unwrap();
        let read: Record = serde_json::from_str(&line).unwrap();
        assert_eq!(told(&read.decide(&cold).unwrap()), told(&made.unwrap()), "{line}");
    }
}

/// All that a plan says, its numbers to the bit.
fn told(plan: &Plan) -> Vec<(String, Reason, [u64; 5])> {
    let told = plan.candidates.iter().map(|candidate| {
        let score = &candidate.score;
        let bits = [score.price_pico, score.price, score.speed, score.trouble, score.share];
        (candidate.slot.endpoint.id.to_string(), candidate.why, bits.map(f64::to_bits))
    });
    let removed = plan
        .dropped()
        .map(|(slot, by)| (format!("{} {by:?}", slot.endpoint.id), Reason::Fallback, [0; 5]));
    told.chain(removed).collect()
}
