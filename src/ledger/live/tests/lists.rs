//! Pages of generations and what days add up to, against a list that is kept by hand.

use std::sync::atomic::AtomicU64;

use super::*;
use crate::ledger::{Activity, ActivityQuery, GenerationQuery, Leg, Sums};
use crate::vocab::{EndpointId, KeyId, ModelId, Usage};

/// Half past noon on a day in 2026.
const NOON: u64 = 20_700 * 86_400_000 + 43_200_000;

fn at(now: &Arc<AtomicU64>) -> Options {
    let now = Arc::clone(now);
    Options {
        checkpoint_every: Duration::from_secs(3_600),
        ..Options::new(move || now.load(Ordering::Relaxed))
    }
}

/// Ends a generation: every third is of the second model, and its number is its cost.
fn end(ledger: &Ledger, key: &Arc<KeyEntry>, n: u64) {
    let hold = ledger.hold(key, ask(n, 10, 0)).unwrap();
    let mut charge = charge(key, n, i64::try_from(n).unwrap());
    let model = if n.is_multiple_of(3) { "b/two" } else { "a/one" };
    charge.record.model = ModelId::parse(model).ok();
    charge.record.endpoint = EndpointId::parse(&format!("fast/{model}")).ok();
    charge.record.usage = Usage { prompt: n, completion: 2, ..Usage::default() };
    block_on(hold.durable()).unwrap();
    hold.settle(charge);
    // The writer is a thread of its own: what it has not shown yet is in no list.
    while ledger.generation(id(n)).unwrap().is_none() {
        thread::yield_now();
    }
}

/// Costs, page by page, of everything that a query finds; `pages` are at most `limit` long.
fn pages(ledger: &Ledger, query: &GenerationQuery) -> Vec<i64> {
    let mut query = query.clone();
    let mut found = Vec::new();
    loop {
        let page = ledger.generations(&query).unwrap();
        assert!(page.records.len() <= query.limit, "a page is no longer than asked for");
        let charged = page.records.iter().map(|record| record.cost.0).filter(|cost| *cost > 0);
        found.extend(charged);
        match page.next {
            // Its text is all that a caller has.
            Some(next) => query.after = crate::ledger::Cursor::parse(&next.to_string()),
            None => return found,
        }
    }
}

fn newest_first(mut all: Vec<i64>) -> Vec<i64> {
    all.reverse();
    all
}

#[test]
fn lists_are_complete_and_newest_first_wherever_records_are() {
    let dir = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicU64::new(NOON));
    let (mut ledger, first) = with_credit(dir.path(), at(&now), 1_000_000);
    let second = key(&ledger, KeyTerms::default());
    let ids: [KeyId; 2] = [first.id().clone(), second.id().clone()];
    let mut expected: Vec<(i64, u64, usize)> = Vec::new();
    for round in 0..4_u64 {
        // A new process each time: some are in memory, others in rows of their own checkpoint.
        for n in round * 40 + 1..=round * 40 + 40 {
            let which = usize::try_from(n / 7 % 2).unwrap();
            let ms = now.fetch_add(250 + n % 2 * 8_000_000, Ordering::Relaxed) + 250;
            let ms = ms + n % 2 * 8_000_000;
            let key = ledger.keys().key(ids[which].as_str()).cloned().unwrap();
            end(&ledger, &key, n);
            expected.push((i64::try_from(n).unwrap(), ms, which));
        }
        for limit in [1, 7, 1_000] {
            let all = GenerationQuery { limit, ..GenerationQuery::default() };
            let costs = |keep: &dyn Fn(&(i64, u64, usize)) -> bool| {
                newest_first(expected.iter().filter(|e| keep(e)).map(|e| e.0).collect())
            };
            assert_eq!(pages(&ledger, &all), costs(&|_| true), "all, {limit} a page");
            let of_key = GenerationQuery { key: Some(ids[1].clone()), ..all.clone() };
            assert_eq!(pages(&ledger, &of_key), costs(&|e| e.2 == 1), "of a key");
            let model = ModelId::parse("b/two").ok();
            let of_model = GenerationQuery { model: model.clone(), ..all.clone() };
            assert_eq!(pages(&ledger, &of_model), costs(&|e| e.0 % 3 == 0), "of a model");
            let account = GenerationQuery { account: Some(acme()), model, ..all.clone() };
            assert_eq!(pages(&ledger, &account), costs(&|e| e.0 % 3 == 0), "of both");
            let nobody = GenerationQuery { account: AccountId::parse("else").ok(), ..all.clone() };
            assert_eq!(pages(&ledger, &nobody), [0; 0]);
            let (from, to) = (expected[5].1, expected[expected.len() - 3].1);
            let between = GenerationQuery { from_ms: Some(from), to_ms: Some(to), ..all };
            let inside = costs(&|e| (from..to).contains(&e.1));
            assert_eq!(pages(&ledger, &between), inside, "between two times");
        }
        ledger.close().unwrap();
        drop(ledger);
        ledger = Ledger::open(dir.path(), at(&now)).unwrap().0;
    }
    drop(ledger);
    assert_sound(dir.path());
}

fn day_of(ledger: &Ledger, day: u64) -> Vec<Activity> {
    let day = u16::try_from(day).unwrap();
    let query = ActivityQuery { from_day: day, to_day: day, ..ActivityQuery::default() };
    ledger.activity(&query).unwrap()
}

#[test]
fn days_add_up_across_restarts_crashes_and_midnight() {
    let dir = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicU64::new(NOON));
    let (mut ledger, key) = with_credit(dir.path(), at(&now), 1_000_000);
    let id = key.id().clone();
    drop(key);
    for n in 1..=60 {
        let key = ledger.keys().key(id.as_str()).cloned().unwrap();
        end(&ledger, &key, n);
        now.fetch_add(3_600_000, Ordering::Relaxed);
        if n % 7 == 0 {
            ledger.close().unwrap();
            drop(ledger);
            if n % 2 == 0 {
                // As if the index had never been: it is built anew from the journal.
                fs::remove_dir_all(dir.path().join("index")).unwrap();
            }
            ledger = Ledger::open(dir.path(), at(&now)).unwrap().0;
        }
    }
    ledger.close().unwrap();
    drop(ledger);
    let (ledger, _) = Ledger::open(dir.path(), at(&now)).unwrap();
    let (mut requests, mut cost) = (0, NanoUsd::ZERO);
    for day in NOON / 86_400_000..=(NOON + 59 * 3_600_000) / 86_400_000 {
        let hours = (1..=60).filter(|n| (NOON + (n - 1) * 3_600_000) / 86_400_000 == day);
        let of_two: Vec<u64> = hours.clone().filter(|n| n.is_multiple_of(3)).collect();
        let rows = day_of(&ledger, day);
        assert_eq!(rows.len(), 2, "two endpoints on day {day}");
        let two = rows.iter().find(|row| {
            row.who.provider() == Some("fast") && {
                row.who.model.as_ref().is_some_and(|model| model.as_str() == "b/two")
            }
        });
        let expected = Sums {
            requests: of_two.len() as u64,
            prompt_tokens: of_two.iter().sum(),
            completion_tokens: 2 * of_two.len() as u64,
            cost: of_two.iter().map(|n| NanoUsd(i64::try_from(*n).unwrap())).sum(),
            ..Sums::default()
        };
        assert_eq!(two.unwrap().sums, expected, "day {day}");
        assert!(rows.iter().all(|row| row.who.account == acme() && row.who.key == id));
        requests += rows.iter().map(|row| row.sums.requests).sum::<u64>();
        cost = rows.iter().map(|row| row.sums.cost).fold(cost, |a, b| a + b);
    }
    assert_eq!((requests, cost), (60, NanoUsd(60 * 61 / 2)), "every request is on one day");
    let other = ActivityQuery {
        to_day: u16::MAX,
        account: AccountId::parse("acm").ok(),
        ..ActivityQuery::default()
    };
    assert_eq!(ledger.activity(&other).unwrap(), [], "names are compared whole");
}

#[test]
fn a_leg_counts_for_the_endpoint_that_gave_it() {
    let dir = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicU64::new(NOON));
    let (ledger, key) = with_credit(dir.path(), at(&now), 1_000);
    let hold = ledger.hold(&key, ask(1, 100, 0)).unwrap();
    let mut charge = charge(&key, 1, 50);
    charge.record.endpoint = EndpointId::parse("fast/m").ok();
    charge.record.usage = Usage { prompt: 30, completion: 9, ..Usage::default() };
    let usage = Usage { prompt: 10, completion: 4, estimated: true, ..Usage::default() };
    let endpoint = EndpointId::parse("slow/m").unwrap();
    charge.record.legs = vec![Leg { endpoint, usage, cost: NanoUsd(20) }];
    hold.settle(charge);
    ledger.close().unwrap();
    drop(ledger);
    let (ledger, _) = Ledger::open(dir.path(), at(&now)).unwrap();
    let rows = day_of(&ledger, NOON / 86_400_000);
    let of = |provider| rows.iter().find(|row| row.who.provider() == Some(provider)).unwrap().sums;
    let (slow, fast) = (of("slow"), of("fast"));
    assert_eq!((slow.requests, slow.legs, slow.estimated), (0, 1, 1));
    assert_eq!((slow.prompt_tokens, slow.completion_tokens, slow.cost), (10, 4, NanoUsd(20)));
    assert_eq!((fast.requests, fast.legs, fast.estimated), (1, 0, 0));
    assert_eq!((fast.prompt_tokens, fast.completion_tokens, fast.cost), (20, 5, NanoUsd(30)));
}
