//! What an answer costs, to the nano-dollar: `tests/prices/cases.jsonl`, whose charges Python's
//! fractions have computed (`tests/prices/check.py`), against the gateway's own arithmetic.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

use serde::Deserialize;
use turnpike::catalog::{Hours, Override, Prices, Share, Tariff};
use turnpike::vocab::{NanoUsd, PicoUsd, Usage};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    prices: List,
    minute: u16,
    usage: Usage,
    share_bp: Option<u16>,
    nano_usd: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    prompt: String,
    completion: String,
    cache_read: Option<String>,
    cache_write_5m: Option<String>,
    cache_write_1h: Option<String>,
    reasoning: Option<String>,
    audio_prompt: Option<String>,
    audio_completion: Option<String>,
    request: Option<String>,
    image: Option<String>,
    search: Option<String>,
    #[serde(default)]
    overrides: Vec<Over>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Over {
    min_prompt_tokens: Option<u64>,
    utc_start: Option<String>,
    utc_end: Option<String>,
    prompt: Option<String>,
    completion: Option<String>,
    cache_read: Option<String>,
    cache_write_5m: Option<String>,
    cache_write_1h: Option<String>,
}

fn token(text: &str) -> PicoUsd {
    PicoUsd::parse_per_million(text).unwrap()
}

fn tokens(text: Option<&String>) -> Option<PicoUsd> {
    text.map(|text| token(text))
}

fn unit(text: Option<&String>) -> PicoUsd {
    text.map_or(PicoUsd::ZERO, |text| PicoUsd::parse_per_unit(text).unwrap())
}

fn tariff(list: &List) -> Tariff {
    let base = Prices {
        prompt: token(&list.prompt),
        completion: token(&list.completion),
        cache_read: tokens(list.cache_read.as_ref()),
        cache_write_5m: tokens(list.cache_write_5m.as_ref()),
        cache_write_1h: tokens(list.cache_write_1h.as_ref()),
        reasoning: tokens(list.reasoning.as_ref()),
        audio_prompt: tokens(list.audio_prompt.as_ref()),
        audio_completion: tokens(list.audio_completion.as_ref()),
        request: unit(list.request.as_ref()),
        image: unit(list.image.as_ref()),
        search: unit(list.search.as_ref()),
    };
    let over = |over: &Over| Override {
        min_prompt_tokens: over.min_prompt_tokens,
        hours: over.utc_start.as_ref().map(|start| Hours {
            start: Hours::parse(start).unwrap(),
            end: Hours::parse(over.utc_end.as_ref().unwrap()).unwrap(),
        }),
        prompt: tokens(over.prompt.as_ref()),
        completion: tokens(over.completion.as_ref()),
        cache_read: tokens(over.cache_read.as_ref()),
        cache_write_5m: tokens(over.cache_write_5m.as_ref()),
        cache_write_1h: tokens(over.cache_write_1h.as_ref()),
        ..Override::default()
    };
    Tariff::new(base, list.overrides.iter().map(over).collect())
}

#[test]
fn every_case_costs_what_exact_arithmetic_says() {
    let (mut cases, mut wrong) = (0, Vec::new());
    for line in include_str!("prices/cases.jsonl").lines() {
        let case: Case = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let share = Share::basis_points(case.share_bp.unwrap_or(10_000));
        let quote = tariff(&case.prices).quote(case.minute).shared(share);
        let cost = quote.cost(&case.usage);
        if cost != NanoUsd(case.nano_usd) {
            wrong.push(format!("{}: {} instead of {}", case.name, cost.0, case.nano_usd));
        }
        cases += 1;
    }
    assert!(wrong.is_empty(), "{} of {cases}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(cases >= 200, "only {cases} cases");
}
