//! A hundred clients at the same moment, for something that is enough for some of them: exactly as
//! many get it.

use std::io::{BufReader, Write as _};
use std::net::TcpStream;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use turnpike::dialect::Dialect;
use turnpike::simulate::{Behaviour, Fault, FaultRule, Running};
use turnpike::terms::{KeyTerms, Policy, Reset};
use turnpike::vocab::NanoUsd;

use crate::support::gateway::MODEL;
use crate::support::{Answer, Gateway, Setup, ask, providers};

const CLIENTS: usize = 100;
const PROMPT: &str = "Say something";
const TOKENS: u32 = 16;
/// What is set aside for a request: the prompt as it is estimated before it is counted, and the whole
/// answer. In tokens, and by [`Setup`]'s prices in nano-dollars.
const TOKENS_AHEAD: u64 = 9 + TOKENS as u64;
const HOLD: u64 = 9 * 1_000 + TOKENS as u64 * 2_000;
/// What it costs.
const COST: u64 = 8 * 1_000 + TOKENS as u64 * 2_000;

fn talkative() -> Running {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let behaviour = Behaviour { ttft_ms: 1, tokens: TOKENS, ..Behaviour::default() };
    running.provider("one").unwrap().set(behaviour).unwrap();
    running
}

/// Nano-dollars as dollars with all digits.
fn dollars(nano: u64) -> &'static str {
    format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000).leak()
}

fn amount(nano: u64) -> NanoUsd {
    NanoUsd(i64::try_from(nano).unwrap())
}

/// One request of each of a hundred clients, all at once.
fn race(gateway: &Gateway) -> Vec<Answer> {
    let barrier = Barrier::new(CLIENTS);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = gateway.client();
                    barrier.wait();
                    client.chat(&ask(MODEL, PROMPT, false, TOKENS))
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("a client")).collect()
    })
}

/// Of all answers so many are good, and the others are refused with this status.
fn exactly(good: usize, refused: u16, answers: &[Answer], what: &str) {
    let count = answers.iter().filter(|answer| answer.is_good()).count();
    let others: Vec<u16> =
        answers.iter().map(|a| a.status).filter(|s| *s != 200 && *s != refused).collect();
    assert_eq!((count, others), (good, vec![]), "{what}");
}

/// The account's numbers once no hold is open: used, and what is held, in nano-dollars.
fn used(gateway: &Gateway) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(20);
    while gateway.metric("turnpike_holds_open", &[]) > 0.0 {
        assert!(Instant::now() < deadline, "every hold ends");
        std::thread::sleep(Duration::from_millis(5));
    }
    let data = gateway.client().get("/api/v1/credits").json()["data"].clone();
    let nano = |name: &str| -> u64 {
        let dollars = data[name].as_f64().expect("an amount");
        format!("{:.0}", dollars * 1e9).parse().expect("a whole number")
    };
    assert!(nano("total_usage") <= nano("total_credits"), "no negative balance: {data}");
    nano("total_usage")
}

#[test]
fn an_account_worth_some_requests_answers_exactly_these() {
    for worth in [1, 7, 37] {
        let running = talkative();
        let credit = dollars(worth * HOLD);
        let gateway = Gateway::start(&running, &Setup { credit, ..Setup::default() });
        let answers = race(&gateway);
        let good = usize::try_from(worth).unwrap();
        exactly(good, 402, &answers, &format!("worth {worth}"));
        assert_eq!(used(&gateway), worth * COST, "worth {worth}");
        assert_eq!(running.provider("one").unwrap().stats().requests, worth, "sent on");
    }
}

#[test]
fn the_limit_of_a_key_lets_exactly_so_many_pass() {
    let worth = 23;
    for reset in [None, Some(Reset::Daily), Some(Reset::Weekly), Some(Reset::Monthly)] {
        let running = talkative();
        let limit = Some(amount(worth * HOLD));
        let key = KeyTerms { limit, reset, ..KeyTerms::default() };
        let gateway = Gateway::start(&running, &Setup { key, ..Setup::default() });
        let answers = race(&gateway);
        exactly(usize::try_from(worth).unwrap(), 402, &answers, &format!("{reset:?}"));
        assert_eq!(used(&gateway), worth * COST, "{reset:?}");
    }
}

/// A key whose only restriction is this.
fn restricted(policy: Policy) -> Setup {
    let key = KeyTerms { policy, ..KeyTerms::default() };
    Setup { key, ..Setup::default() }
}

#[test]
fn requests_and_tokens_in_a_minute_are_counted_exactly() {
    let requests = Policy { rpm: Some(31), ..Policy::default() };
    let tokens = Policy { tpm: Some(19 * TOKENS_AHEAD), ..Policy::default() };
    for (policy, good, limit) in [(requests, 31, 31), (tokens, 19, 19 * TOKENS_AHEAD)] {
        let running = talkative();
        let gateway = Gateway::start(&running, &restricted(policy));
        let answers = race(&gateway);
        exactly(good, 429, &answers, &format!("{limit} in a minute"));
        for refused in answers.iter().filter(|answer| answer.status == 429) {
            let number = |name: &str| -> u64 {
                let value = refused.header(name).unwrap_or_else(|| panic!("no {name}"));
                value.parse().expect("a number")
            };
            assert!((1..=60).contains(&number("retry-after")), "{refused:?}");
            assert_eq!(number("x-ratelimit-limit"), limit);
            assert!(number("x-ratelimit-remaining") < TOKENS_AHEAD);
            assert!(number("x-ratelimit-reset") > 1_700_000_000_000, "milliseconds since 1970");
        }
        assert_eq!(used(&gateway), good as u64 * COST, "who is refused pays nothing");
    }
}

#[test]
fn at_the_same_time_there_are_exactly_as_many_as_may_be() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let provider = running.provider("one").unwrap();
    let hang = vec![FaultRule::always(Fault::Hang)];
    provider.set(Behaviour { faults: hang, ..Behaviour::default() }).unwrap();
    let policy = Policy { concurrency: Some(13), ..Policy::default() };
    let gateway = Gateway::start(&running, &restricted(policy));
    let body = ask(MODEL, PROMPT, true, TOKENS);
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        gateway.key,
        body.len()
    );
    let barrier = Barrier::new(CLIENTS);
    // Those that are let in hang until their connections are dropped.
    let streams: Vec<_> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let stream = gateway.client().connect();
                    barrier.wait();
                    stream.get_ref().write_all(request.as_bytes()).expect("it is sent");
                    stream.get_ref().set_nonblocking(true).expect("a socket option");
                    stream
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("a client")).collect()
    });
    let refused = || {
        let told = |stream: &&BufReader<TcpStream>| {
            let mut start = [0; 12];
            let came = stream.get_ref().peek(&mut start).is_ok();
            assert!(!came || start == *b"HTTP/1.1 429", "{}", String::from_utf8_lossy(&start));
            came
        };
        streams.iter().filter(told).count()
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while provider.stats().requests < 13 || refused() < CLIENTS - 13 {
        assert!(
            Instant::now() < deadline,
            "{} hang and {} are refused",
            provider.stats().requests,
            refused()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!((provider.stats().requests, refused()), (13, CLIENTS - 13));
    drop(streams);
    // Who has left makes room.
    provider.set(Behaviour::default()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !gateway.client().chat(&ask(MODEL, PROMPT, false, TOKENS)).is_good() {
        assert!(Instant::now() < deadline, "the others are gone");
        std::thread::sleep(Duration::from_millis(10));
    }
}
