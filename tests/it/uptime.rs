//! Uptime beyond any single provider's: five of them, each failing 5 % of the time in every way that
//! the simulator knows, and whoever asks gets a correct and complete answer.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use turnpike::dialect::{Dialect, Surface};
use turnpike::simulate::{Behaviour, Fault, FaultRule, Running};

use crate::support::gateway::MODEL;
use crate::support::{Client, Gateway, Setup, providers, runtime, stream};

const TOKENS: u32 = 24;
/// The share of requests at which a provider fails.
const FAILING: f64 = 0.05;
/// Of 10,000 answers at most one may be wrong.
const WRONG_MAX: f64 = 0.0001;

/// What goes wrong, as often as each other. (That nobody listens is the other way: [`refuse`].)
const FAULTS: [Fault; 13] = [
    Fault::Reset,
    Fault::Hang,
    Fault::Status(429),
    Fault::Status(500),
    Fault::Status(503),
    Fault::InBand,
    Fault::InBandAfter(11),
    Fault::CutBefore,
    Fault::CutAfter(13),
    Fault::ResetAfter(5),
    Fault::EndAfter(17),
    Fault::HangAfter(3),
    Fault::Empty,
];

const NAMES: [(&str, Dialect); 5] = [
    ("one", Dialect::OpenAi),
    ("two", Dialect::Anthropic),
    ("three", Dialect::Gemini),
    ("four", Dialect::OpenAi),
    ("five", Dialect::Mistral),
];

/// Requests; more when asked for by hand.
fn requests() -> usize {
    std::env::var("UPTIME_REQUESTS").ok().and_then(|n| n.parse().ok()).unwrap_or(3_000)
}

#[test]
fn five_failing_providers_are_one_that_does_not() {
    let providers = providers(&NAMES);
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let rate = FAILING / FAULTS.len() as f64;
    let rule = |fault| FaultRule { rate, ..FaultRule::always(fault) };
    let failing = Behaviour {
        tokens: TOKENS,
        numbered: true,
        faults: FAULTS.map(rule).to_vec(),
        ..Behaviour::default()
    };
    for (name, _) in NAMES {
        providers.provider(name).unwrap().set(failing.clone()).unwrap();
    }
    let timeouts = "first_token_ms = 1000\ninter_event_ms = 900\nwhole_answer_ms = 1000";
    let setup = Setup { settings: vec![("timeouts", timeouts.to_owned())], ..Setup::default() };
    let gateway = Gateway::start(&providers, &setup);
    let (total, next, over) = (requests(), AtomicUsize::new(0), AtomicBool::new(false));
    let wrong = Mutex::new(Vec::new());
    let began = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| refuse(&providers, &over));
        let askers: Vec<_> = (0..32)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = gateway.client();
                    let number = || Some(next.fetch_add(1, Ordering::Relaxed));
                    while let Some(i) = number().filter(|i| *i < total) {
                        if let Err(what) = one(&mut client, i) {
                            wrong.lock().unwrap().push(what);
                        }
                    }
                })
            })
            .collect();
        askers.into_iter().for_each(|asker| asker.join().unwrap());
        over.store(true, Ordering::Relaxed);
    });
    let wrong = wrong.into_inner().unwrap();
    let outcome = |name: &str| gateway.metric("turnpike_attempts_total", &[name]);
    let (cut, silent) = (outcome("cut_mid_stream"), outcome("inter_event_timeout"));
    eprintln!(
        "{total} requests in {:?}: {} wrong; {} attempts, {cut} cut and {silent} silent in the middle",
        began.elapsed(),
        wrong.len(),
        gateway.metric("turnpike_attempts_total", &[]),
    );
    assert!(cut + silent > 0.0, "some streams were gone on with");
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let share = wrong.len() as f64 / total as f64;
    assert!(share <= WRONG_MAX, "{} of {total}: {:?}", wrong.len(), wrong.first());
}

/// Nobody hammers a provider that is down, nor those that are left: what is tried in all is hardly
/// more than what was asked.
#[test]
fn an_outage_under_load_costs_hardly_an_attempt() {
    for fault in [None, Some(Fault::Status(500)), Some(Fault::CutAfter(5))] {
        let providers = providers(&NAMES);
        let good = Behaviour { tokens: TOKENS, numbered: true, ..Behaviour::default() };
        for (name, _) in NAMES {
            providers.provider(name).unwrap().set(good.clone()).unwrap();
        }
        let down = providers.provider("one").unwrap();
        match fault {
            None => runtime().block_on(down.close()),
            Some(fault) => {
                let faults = vec![FaultRule::always(fault)];
                down.set(Behaviour { faults, ..good }).unwrap();
            }
        }
        let gateway = Gateway::start(&providers, &Setup::default());
        let (total, next) = (requests(), AtomicUsize::new(0));
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    let mut client = gateway.client();
                    let number = || Some(next.fetch_add(1, Ordering::Relaxed));
                    while let Some(i) = number().filter(|i| *i < total) {
                        one(&mut client, i).unwrap();
                    }
                });
            }
        });
        let attempts = gateway.metric("turnpike_attempts_total", &[]);
        let what = fault.map_or_else(|| "refuse".to_owned(), |fault| fault.to_string());
        eprintln!("{what}: {total} requests in {:?}, {attempts} attempts", began.elapsed());
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let most = total as f64 * 1.1;
        assert!(attempts <= most, "{what}: {attempts} attempts for {total} requests");
    }
}

/// One request; says what is wrong with its answer.
fn one(client: &mut Client, number: usize) -> Result<(), String> {
    let streams = number.is_multiple_of(2);
    let body = json!({
        "model": MODEL,
        "stream": streams,
        "max_tokens": 1000,
        "messages": [{"role": "user", "content": format!("Count, please ({number})")}],
    });
    let answer = client.chat(&body.to_string());
    let words = (0..TOKENS).map(|i| format!("w{i}")).collect::<Vec<_>>().join(" ");
    let read = || {
        if streams { stream::read(Surface::Chat, &answer).text } else { answer.content() }
    };
    let text = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read));
    match text {
        Ok(text) if answer.is_good() && text == words => Ok(()),
        _ => Err(format!("{number}: {} {}", answer.status, answer.text())),
    }
}

/// Has one provider after the other listen to nobody for a moment.
fn refuse(providers: &Running, over: &AtomicBool) {
    for (name, _) in NAMES.iter().cycle() {
        let provider = providers.provider(name).unwrap();
        std::thread::sleep(Duration::from_millis(500));
        if over.load(Ordering::Relaxed) {
            return;
        }
        runtime().block_on(provider.close());
        std::thread::sleep(Duration::from_millis(25));
        provider.open().unwrap();
    }
}
