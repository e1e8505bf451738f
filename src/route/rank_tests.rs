//! Who comes first by what health says, without any health: the numbers are given.

use super::fixture::table;
use super::numbers::Measured;
use super::*;
use crate::balance::{Availability, Nanos, Trouble};

const FIVE: &[(&str, u32)] =
    &[("alpha", 8_000), ("beta", 8_000), ("gamma", 8_000), ("delta", 8_000), ("omega", 8_000)];

/// The order of providers with these numbers; those that are not named are as if never used.
fn order(features: &Features<'_>, seed: u64, numbers: &[(&str, Numbers)]) -> Vec<(String, Reason)> {
    let table = table(&[("a/b", FIVE)]);
    let made = plan_from(&table, features, seed, |slot, _| {
        let name = slot.endpoint.provider.id.as_str();
        numbers
            .iter()
            .find(|(known, _)| *known == name)
            .map_or_else(Numbers::default, |(_, n)| n.clone())
    });
    let candidates = made.expect("a plan").candidates.into_iter();
    candidates.map(|c| (c.slot.endpoint.provider.id.to_string(), c.why)).collect()
}

fn ask(model: &str) -> Features<'_> {
    Features { model, prompt_tokens: 10, expected_tokens: 10, ..Features::default() }
}

fn trouble(good: u32, bad: u32) -> Numbers {
    let trouble =
        Trouble { good_30s: good, bad_30s: bad, good_5m: good, bad_5m: bad, limited_5m: 0 };
    Numbers { trouble, ..Numbers::default() }
}

/// Whether this provider is first for any of many seeds, and its place at the best and worst.
fn places(numbers: &[(&str, Numbers)], name: &str) -> (usize, usize) {
    let place = |seed| {
        let order = order(&ask("a/b"), seed, numbers);
        order.iter().position(|(provider, _)| provider == name).expect("a candidate")
    };
    let places: Vec<usize> = (0..400).map(place).collect();
    (places.iter().copied().min().unwrap_or(9), places.iter().copied().max().unwrap_or(9))
}

#[test]
fn what_is_in_trouble_comes_after_what_is_well() {
    let capped = Numbers { capped: true, ..Numbers::default() };
    let cooling = Numbers { availability: Availability::Cooling(Nanos(5)), ..Numbers::default() };
    for (what, numbers, expected) in [
        ("nothing is known", Numbers::default(), true),
        ("two failures are no outage", trouble(0, 2), true),
        ("three of three are", trouble(0, 3), false),
        ("three of fifteen are", trouble(12, 3), false),
        ("three of sixteen are not", trouble(13, 3), true),
        ("far more failures than its siblings", trouble(60, 6), false),
        ("as much as it takes", capped, false),
        ("nothing comes back", Numbers { silent: true, ..Numbers::default() }, false),
        ("it would refuse", cooling, false),
    ] {
        let (best, worst) = places(&[("beta", numbers)], "beta");
        assert_eq!((best == 0, best == 4 && worst == 4), (expected, !expected), "{what}");
    }
}

#[test]
fn at_most_a_third_are_outliers_and_none_where_all_fail_alike() {
    let bad = trouble(60, 8);
    let two = [("alpha", trouble(60, 9)), ("beta", bad.clone())];
    assert_eq!(places(&two, "alpha"), (4, 4), "the worse of two");
    assert_eq!(places(&two, "beta").0, 0, "the other still takes part");
    let all = FIVE.iter().map(|(name, _)| (*name, bad.clone())).collect::<Vec<_>>();
    assert_eq!(places(&all, "delta").0, 0, "a common cause is nobody's");
    let later = Numbers { trouble: Trouble { bad_30s: 0, ..trouble(60, 9).trouble }, ..bad };
    assert_eq!(places(&[("beta", later)], "beta").0, 0, "after half a minute it is tried again");
}

#[test]
fn of_many_the_best_are_left_in_their_order() {
    let names: Vec<String> = (0..200).map(|i| format!("p{i}")).collect();
    let hosts: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 8_000)).collect();
    let table = table(&[("a/b", &hosts)]);
    let prefs = Prefs { sort: Some(crate::dialect::scan::Sort::Latency), ..Prefs::default() };
    let features = Features { prefs: Some(&prefs), ..ask("a/b") };
    // Latencies in no order, each twice, so that many are the same at the edge.
    let latency = |i: u64| i * 37 % 100 + 1;
    for well in [200, 64, 63, 10, 0] {
        let is_well = |i: u64| i * 71 % 200 < well;
        let made = plan_from(&table, &features, 5, |slot, _| {
            let name = slot.endpoint.provider.id.as_str();
            let i = name[1..].parse().expect("a number");
            Numbers { latency_us: latency(i), capped: !is_well(i), ..Numbers::default() }
        });
        let made = made.expect("a plan").candidates.into_iter();
        let got: Vec<String> = made.map(|c| c.slot.endpoint.provider.id.to_string()).collect();
        let mut all: Vec<u64> = (0..200).collect();
        all.sort_by_key(|i| (!is_well(*i), latency(*i), *i));
        let expected: Vec<String> = all[..64].iter().map(|i| format!("p{i}")).collect();
        assert_eq!(got, expected, "{well} are well");
    }
}

#[test]
fn exacto_takes_the_proven_first_and_those_that_lag_last() {
    let known = |tokens_per_second: u64, uptime_permille| Numbers {
        measured: Some(Box::new(Measured {
            latency_us: None,
            throughput: Some([tokens_per_second * 1_000; 4]),
            requests_30m: 500,
            uptime_permille,
        })),
        ..Numbers::default()
    };
    let lists = [
        ("alpha", known(60, 999)),
        ("beta", known(62, 998)),
        ("gamma", known(20, 999)),
        ("delta", known(61, 900)),
    ];
    for seed in 0..100 {
        let got = order(&ask("a/b:exacto"), seed, &lists);
        let names: Vec<&str> = got.iter().map(|(name, _)| name.as_str()).collect();
        assert!(["alpha", "beta"].contains(&names[0]), "{names:?}: a proven one");
        assert_eq!(names[2], "omega", "{names:?}: then the unknown");
        assert!(["gamma", "delta"].contains(&names[4]), "{names:?}: slow or failing last");
    }
    let too_few = &lists[..3];
    let firsts: std::collections::HashSet<String> =
        (0..100).map(|seed| order(&ask("a/b:exacto"), seed, too_few)[0].0.clone()).collect();
    assert!(firsts.len() >= 4, "three say nothing: as without the suffix: {firsts:?}");
}

#[test]
fn tiers_are_closed_unless_they_are_asked_for() {
    use crate::balance::{HealthRegistry, Settings};
    use crate::catalog::{Catalog, Endpoint, Model, Tier};
    use crate::vocab::ModelId;
    let plain = fixture::catalog(&[("a/b", &FIVE[..3])]);
    let tiers = [(Tier::Default, ""), (Tier::Flex, "/flex"), (Tier::Priority, "/priority")];
    let endpoints = plain.endpoints().zip(tiers).map(|(endpoint, (tier, variant))| {
        let (id, provider) = (endpoint.id.clone(), std::sync::Arc::clone(&endpoint.provider));
        let tag = format!("{}{variant}", provider.id);
        let bare = Endpoint::new(id, provider, endpoint.model.clone(), "m", 8_000);
        std::sync::Arc::new(Endpoint { tier, tag, ..bare })
    });
    let model = Model::new(ModelId::parse("a/b").expect("an id"));
    let catalog =
        std::sync::Arc::new(Catalog::new(vec![Model { endpoints: endpoints.collect(), ..model }]));
    let table = RoutingTable::new(&catalog, &HealthRegistry::new(&catalog, Settings::default()));
    let names = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let only = |list| Some(Prefs { only: names(list), ..Prefs::default() });
    let order = |list| Some(Prefs { order: names(list), ..Prefs::default() });
    for (model, tier, prefs, expected) in [
        ("a/b", None, None, &["alpha"][..]),
        ("a/b:floor", None, None, &["alpha", "beta"]),
        ("a/b:nitro", None, None, &["alpha", "gamma"]),
        ("a/b:nitro", Some(Tier::Default), None, &["alpha"]),
        ("a/b:floor", None, order(&["alpha"]), &["alpha"]),
        ("a/b", Some(Tier::Flex), None, &["beta"]),
        ("a/b", Some(Tier::Priority), None, &["gamma", "alpha"]),
        ("a/b", None, only(&["beta/flex"]), &["beta"]),
        ("a/b", None, only(&["alpha", "beta"]), &["alpha"]),
        ("a/b", None, order(&["gamma/priority"]), &["gamma", "alpha"]),
    ] {
        let features = Features { tier, prefs: prefs.as_ref(), ..ask(model) };
        let made = plan(&table, &features, 3, Nanos(1)).expect("a plan");
        let mut got: Vec<_> =
            made.candidates.iter().map(|c| c.slot.endpoint.provider.id.as_str()).collect();
        if tier != Some(Tier::Priority) && prefs.as_ref().is_none_or(|p| p.order.is_empty()) {
            got.sort_unstable();
        }
        assert_eq!(got, expected, "{model}, {tier:?}, {prefs:?}");
    }
}

#[test]
fn a_tier_that_the_provider_would_not_hear_of_is_not_used() {
    use crate::balance::{HealthRegistry, Settings};
    use crate::catalog::{Catalog, Endpoint, Model, Provider, Tier};
    use crate::dialect::Dialect;
    use std::sync::Arc;
    let (flex, asked) = ("a/b:floor", Some(Tier::Flex));
    for (dialect, model, tier, expected) in [
        (Dialect::OpenAi, flex, None, true),
        (Dialect::Responses, flex, None, true),
        (Dialect::Gemini, flex, None, false),
        (Dialect::Azure, flex, None, false),
        (Dialect::Bedrock, flex, None, false),
        (Dialect::Bedrock, "a/b", asked, true),
        (Dialect::Vertex, "a/b", asked, false),
    ] {
        let plain = fixture::endpoint("a/b", "alpha", 8_000, 1.0);
        let origin = plain.provider.origin.clone();
        let provider = Arc::new(Provider::new(plain.provider.id.clone(), dialect, origin));
        let bare = Endpoint::new(plain.id.clone(), provider, plain.model.clone(), "m", 8_000);
        let endpoint = Arc::new(Endpoint { tier: Tier::Flex, ..bare });
        let of_one = Model { endpoints: vec![endpoint], ..Model::new(plain.model.clone()) };
        let catalog = Arc::new(Catalog::new(vec![of_one]));
        let table =
            RoutingTable::new(&catalog, &HealthRegistry::new(&catalog, Settings::default()));
        let made = plan(&table, &Features { tier, ..ask(model) }, 3, Nanos(1));
        assert_eq!(made.is_ok(), expected, "{dialect:?}, {model}");
    }
}
