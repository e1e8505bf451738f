//! Identical requests: one is paid for, the others are free.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use turnpike::dialect::Dialect;
use turnpike::simulate::{Behaviour, Fault, FaultRule, Provider, Running};

use crate::support::gateway::MODEL;
use crate::support::{Answer, Client, Gateway, Setup, ask, providers, runtime};

const ON: (&str, &str) = ("x-openrouter-cache", "true");
const STATUS: &str = "x-openrouter-cache-status";

fn cached(client: &mut Client, body: &str) -> Answer {
    client.chat_with(body, &[ON])
}

fn status(answer: &Answer) -> &str {
    answer.header(STATUS).unwrap_or("none")
}

fn number(answer: &Answer, name: &str) -> u64 {
    let value = answer.header(name).unwrap_or_else(|| panic!("{name}: {:?}", answer.headers));
    value.parse().expect("a number")
}

fn only(providers: &Running) -> Provider {
    providers.providers().into_iter().next().expect("a provider")
}

/// Providers with these ids, and a gateway over them.
fn start(names: &[(&str, Dialect)], settings: &[(&'static str, &str)]) -> (Running, Gateway) {
    let providers = providers(names);
    let settings = settings.iter().map(|(name, lines)| (*name, (*lines).to_owned())).collect();
    let gateway = Gateway::start(&providers, &Setup { settings, ..Setup::default() });
    (providers, gateway)
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn used(client: &mut Client) -> f64 {
    client.get("/v1/credits").json()["data"]["total_usage"].as_f64().expect("a number")
}

/// The record of an answer, once it is there.
fn record(client: &mut Client, answer: &Answer) -> Value {
    let id = answer.header("x-generation-id").expect("a generation id").to_owned();
    let mut found = Value::Null;
    wait_until("the record", || {
        let answer = client.get(&format!("/v1/generation?id={id}"));
        if answer.status == 200 {
            found = answer.json()["data"].clone();
        }
        answer.status == 200
    });
    found
}

#[test]
fn one_is_paid_for_and_the_others_are_free() {
    for (dialect, stream, hits) in [
        (Dialect::OpenAi, false, 999),
        (Dialect::OpenAi, true, 199),
        (Dialect::Anthropic, false, 99),
        (Dialect::Anthropic, true, 99),
    ] {
        let what = format!("{dialect} stream={stream}");
        let (providers, gateway) = start(&[("one", dialect)], &[]);
        let mut client = gateway.client();
        let body = ask(MODEL, "Once and for all", stream, 40);
        let first = cached(&mut client, &body);
        assert!(first.is_good(), "{what}: {}", first.text());
        assert_eq!(status(&first), "MISS", "{what}");
        assert_eq!(number(&first, "x-openrouter-cache-ttl"), 300, "{what}");
        let paid = record(&mut client, &first)["total_cost"].as_f64().expect("a cost");
        assert!(paid > 0.0, "{what}");
        let mut ids = HashSet::from([first.header("x-generation-id").unwrap().to_owned()]);
        let source = first.header("x-generation-id").unwrap().to_owned();
        let mut last = None;
        for i in 0..hits {
            let hit = cached(&mut client, &body);
            assert_eq!((hit.status, status(&hit)), (200, "HIT"), "{what} {i}: {}", hit.text());
            assert!(hit.whole && hit.body == first.body, "{what} {i}: {}", hit.text());
            assert_eq!(hit.header("content-type"), first.header("content-type"), "{what}");
            assert!(number(&hit, "x-openrouter-cache-age") < 60, "{what}");
            assert!((200..=300).contains(&number(&hit, "x-openrouter-cache-ttl")), "{what}");
            assert_eq!(hit.header("x-openrouter-cache-source-id"), Some(source.as_str()));
            assert!(ids.insert(hit.header("x-generation-id").unwrap().to_owned()), "{what}");
            last = Some(hit);
        }
        assert_eq!(only(&providers).stats().requests, 1, "{what}: one upstream call");
        let shown = record(&mut client, &last.expect("a hit"));
        assert_eq!(shown["total_cost"].as_f64(), Some(0.0), "{what}: {shown}");
        assert_eq!(shown["cache_hit"], true, "{what}: {shown}");
        assert!((used(&mut client) - paid).abs() < 1e-12, "{what}: only the first is paid for");
        assert_eq!(gateway.metric("turnpike_cache_total", &["hit"]), f64::from(hits), "{what}");
    }
}

#[test]
fn nothing_is_kept_unasked() {
    let (providers, gateway) = start(&[("one", Dialect::OpenAi)], &[]);
    let mut client = gateway.client();
    let body = ask(MODEL, "Do not keep this", false, 8);
    for headers in
        [&[][..], &[("x-openrouter-cache", "false")], &[("x-openrouter-cache-ttl", "60")]]
    {
        let answer = client.chat_with(&body, headers);
        assert_eq!((answer.is_good(), status(&answer)), (true, "none"), "{headers:?}");
    }
    assert_eq!(only(&providers).stats().requests, 3);
    assert_eq!(status(&cached(&mut client, &body)), "MISS", "what was not asked for is not there");
    let (providers, gateway) = start(&[("one", Dialect::OpenAi)], &[("cache", "enabled = false")]);
    let mut client = gateway.client();
    for _ in 0..2 {
        assert_eq!(status(&cached(&mut client, &body)), "none", "the operator says no");
    }
    assert_eq!(only(&providers).stats().requests, 2);
}

#[test]
fn the_key_is_what_was_asked_and_by_whom() {
    let (_providers, gateway) = start(&[("one", Dialect::OpenAi)], &[]);
    let mut client = gateway.client();
    let first = format!(
        r#"{{"model":"{MODEL}","messages":[{{"role":"user","content":"Keys"}}],"temperature":0.5,"max_tokens":8}}"#
    );
    let reordered = format!(
        "{{ \"max_tokens\": 8,\n\"temperature\": 0.50, \"messages\": [ {{\"content\": \"\\u004beys\",\"role\":\"user\"}} ],\n \"model\":\"{MODEL}\" }}"
    );
    let answer = cached(&mut client, &first);
    assert_eq!((answer.is_good(), status(&answer)), (true, "MISS"), "{}", answer.text());
    let same = cached(&mut client, &reordered);
    assert_eq!((status(&same), &same.body), ("HIT", &answer.body));
    let change = |key: &str, value: Value| {
        let mut body: Value = serde_json::from_str(&first).unwrap();
        body[key] = value;
        body.to_string()
    };
    for (key, value) in [
        ("temperature", json!(0.6)),
        ("stream", json!(true)),
        ("max_tokens", json!(9)),
        ("messages", json!([{"role": "user", "content": "keys"}])),
        ("seed", json!(1)),
        ("provider", json!({"only": ["one"]})),
    ] {
        let other = cached(&mut client, &change(key, value.clone()));
        assert_eq!((other.is_good(), status(&other)), (true, "MISS"), "{key} {value}");
    }
    for (key, value) in [("stream", json!(false)), ("user", json!("somebody"))] {
        let same = cached(&mut client, &change(key, value.clone()));
        assert_eq!(status(&same), "HIT", "{key} {value}");
    }
    let mut other = Client::new(gateway.address, Some(another_account(&gateway)));
    let answer = cached(&mut other, &first);
    assert_eq!((answer.is_good(), status(&answer)), (true, "MISS"), "accounts share nothing");
    assert_eq!(status(&cached(&mut other, &first)), "HIT");
}

/// Opens another account with credit; gives its key.
fn another_account(gateway: &Gateway) -> String {
    let mut admin = Client::new(gateway.admin, Some("admin-token-of-the-test".to_owned()));
    let mut post = |path: &str, body: Value| {
        let answer = admin.send("POST", path, &[], body.to_string().as_bytes());
        assert_eq!(answer.status, 201, "{path}: {}", answer.text());
        answer.json()
    };
    post("/admin/v1/accounts", json!({"id": "other"}));
    let payment = json!({"amount_usd": "5", "method": "test", "idempotency_key": "another"});
    post("/admin/v1/accounts/other/top-ups", payment);
    let key = post("/admin/v1/keys", json!({"account_id": "other"}));
    key["key"].as_str().expect("a key").to_owned()
}

#[test]
fn a_clear_asks_again() {
    let (providers, gateway) = start(&[("one", Dialect::OpenAi)], &[]);
    let mut client = gateway.client();
    let body = ask(MODEL, "Clear", false, 8);
    assert_eq!(status(&cached(&mut client, &body)), "MISS");
    let old = cached(&mut client, &body);
    assert_eq!(status(&old), "HIT");
    let clear = [ON, ("x-openrouter-cache-clear", "true")];
    let new = client.chat_with(&body, &clear);
    assert_eq!((new.is_good(), status(&new)), (true, "MISS"));
    assert_eq!(only(&providers).stats().requests, 2);
    let hit = cached(&mut client, &body);
    assert_eq!(status(&hit), "HIT");
    assert_eq!(hit.body, new.body, "the new answer replaced the old one");
    assert_ne!(
        hit.header("x-openrouter-cache-source-id"),
        old.header("x-openrouter-cache-source-id")
    );
}

/// An answer that expires is asked for anew and paid for anew, whenever exactly that happens.
#[test]
fn entries_expire_and_nothing_is_free_that_was_not_kept() {
    let (providers, gateway) = start(&[("one", Dialect::OpenAi)], &[]);
    let body = ask(MODEL, "A second", false, 8);
    let headers = [ON, ("x-openrouter-cache-ttl", "1")];
    let first = gateway.client().chat_with(&body, &headers);
    assert_eq!(status(&first), "MISS");
    let paid = record(&mut gateway.client(), &first)["total_cost"].as_f64().unwrap();
    let one = only(&providers);
    let deadline = Instant::now() + Duration::from_secs(20);
    let misses: usize = std::thread::scope(|scope| {
        let ask = || {
            let mut client = gateway.client();
            let mut misses = 0;
            while one.stats().requests < 4 {
                assert!(Instant::now() < deadline, "it does not expire");
                let answer = client.chat_with(&body, &headers);
                assert!(answer.is_good(), "{}", answer.text());
                assert!(number(&answer, "x-openrouter-cache-ttl") <= 1);
                misses += usize::from(status(&answer) == "MISS");
                std::thread::sleep(Duration::from_millis(1));
            }
            misses
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|t| t.join().expect("a thread")).sum()
    });
    assert_eq!(misses as u64 + 1, one.stats().requests, "one miss for each upstream call");
    let owed = paid * f64::from(u32::try_from(misses).unwrap() + 1);
    let mut client = gateway.client();
    wait_until("each of them is paid for", || (used(&mut client) - owed).abs() < 1e-12);
}

#[test]
fn only_good_whole_answers_are_kept() {
    let (providers, gateway) =
        start(&[("one", Dialect::OpenAi)], &[("routing", "breaker_failures = 200")]);
    let one = only(&providers);
    let mut client = gateway.client();
    let faults = [
        Fault::Status(500),
        Fault::Status(429),
        Fault::Error(turnpike::simulate::ErrorBody::InvalidRequest),
        Fault::Empty,
        Fault::EmptyBody,
        Fault::Garbage,
        Fault::CutBefore,
        Fault::CutAfter(4),
        Fault::InBand,
        Fault::InBandAfter(4),
        Fault::Reset,
    ];
    for fault in faults {
        for stream in [false, true] {
            let what = format!("{fault} stream={stream}");
            let body = ask(MODEL, &what, stream, 12);
            one.set(Behaviour::failing(fault)).unwrap();
            let bad = cached(&mut client, &body);
            assert!(!bad.is_good(), "{what}: {}", bad.text());
            one.set(Behaviour::default()).unwrap();
            let good = cached(&mut client, &body);
            assert_eq!((good.is_good(), status(&good)), (true, "MISS"), "{what}");
            let hit = cached(&mut client, &body);
            assert_eq!((status(&hit), &hit.body), ("HIT", &good.body), "{what}");
        }
    }
}

#[test]
fn a_client_that_leaves_spoils_nothing() {
    let (providers, gateway) = start(&[("one", Dialect::OpenAi)], &[]);
    let one = only(&providers);
    let slow = Behaviour { tokens: 40, token_ms: 20.0, numbered: true, ..Behaviour::default() };
    one.set(slow.clone()).unwrap();
    let body = ask(MODEL, "Bye", true, 100);
    let client = gateway.client();
    let mut stream = client.connect();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\nx-openrouter-cache: true\r\ncontent-length: {}\r\n\r\n",
        gateway.key,
        body.len()
    );
    stream.get_mut().write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("w2") {
        let mut part = [0; 512];
        let n = stream.read(&mut part).expect("the beginning of a stream");
        assert!(n > 0, "the stream ended: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&part[..n]);
    }
    drop(stream);
    let gone = one.wait_until(Duration::from_secs(10), |s| s.in_flight == 0);
    runtime().block_on(gone).expect("the provider's answer is cancelled, or comes to its end");
    one.set(Behaviour { token_ms: 0.0, ..slow }).unwrap();
    let mut client = gateway.client();
    let good = cached(&mut client, &body);
    assert_eq!((good.is_good(), status(&good)), (true, "MISS"), "{}", good.text());
    assert!(good.content().contains("w39"), "{}", good.content());
    let hit = cached(&mut client, &body);
    assert_eq!((status(&hit), &hit.body), ("HIT", &good.body));
}

/// Sends the same request from so many clients at once.
fn at_once(gateway: &Gateway, clients: usize, body: &str) -> Vec<Answer> {
    let ready = Barrier::new(clients);
    std::thread::scope(|scope| {
        let one = || {
            let mut client = gateway.client();
            ready.wait();
            cached(&mut client, body)
        };
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|t| t.join().expect("an answer")).collect()
    })
}

#[test]
fn identical_requests_at_once_are_one() {
    for stream in [false, true] {
        let (providers, gateway) = start(&[("one", Dialect::OpenAi)], &[]);
        let one = only(&providers);
        one.set(Behaviour { ttft_ms: 1_000, token_ms: 1.0, ..Behaviour::default() }).unwrap();
        let answers = at_once(&gateway, 100, &ask(MODEL, "All together now", stream, 30));
        assert_eq!(one.stats().requests, 1, "stream={stream}");
        assert!(answers.iter().all(Answer::is_good), "stream={stream}");
        assert!(answers.iter().all(|a| a.body == answers[0].body), "stream={stream}");
        let misses = answers.iter().filter(|a| status(a) == "MISS").count();
        assert_eq!(misses, 1, "stream={stream}");
        let ids: HashSet<_> = answers.iter().map(|a| a.header("x-generation-id")).collect();
        assert_eq!(ids.len(), 100, "stream={stream}");
    }
}

#[test]
fn those_who_wait_survive_the_death_of_what_they_wait_for() {
    for (fault, stream) in
        [(Fault::CutAfter(4), true), (Fault::InBandAfter(4), true), (Fault::CutBefore, false)]
    {
        let what = format!("{fault} stream={stream}");
        let (providers, gateway) = start(&[("one", Dialect::OpenAi)], &[]);
        let one = only(&providers);
        let behaviour = Behaviour {
            ttft_ms: 300,
            faults: vec![FaultRule { first: Some(1), ..FaultRule::always(fault) }],
            ..Behaviour::default()
        };
        one.set(behaviour).unwrap();
        let body = ask(MODEL, "Hard times", stream, 20);
        let answers = at_once(&gateway, 24, &body);
        let bad = answers.iter().filter(|a| !a.is_good()).count();
        assert_eq!(bad, 1, "{what}: the first one's client sees it, nobody else");
        let good = answers.iter().find(|a| a.is_good()).unwrap();
        assert!(answers.iter().filter(|a| a.is_good()).all(|a| a.content() == good.content()));
        assert!(one.stats().requests <= 3, "{what}: {}", one.stats().requests);
        let hit = cached(&mut gateway.client(), &body);
        assert_eq!(status(&hit), "HIT", "{what}: the second one's answer is kept");
        assert_eq!(hit.content(), good.content(), "{what}");
    }
}

#[test]
fn an_answer_of_the_second_provider_is_kept() {
    let faults = [
        Fault::Status(500),
        Fault::Reset,
        Fault::InBand,
        Fault::Empty,
        Fault::CutBefore,
        Fault::Garbage,
        // A whole answer may still be exchanged when a part of it has come.
        Fault::CutAfter(4),
    ];
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let (providers, gateway) =
            start(&[("bad", dialect), ("good", dialect)], &[("routing", "breaker_failures = 200")]);
        let (bad, good) = (providers.provider("bad").unwrap(), providers.provider("good").unwrap());
        let mut client = gateway.client();
        for fault in faults {
            bad.set(Behaviour::failing(fault)).unwrap();
            for stream in [false, true] {
                if stream && fault == Fault::CutAfter(4) {
                    continue;
                }
                let what = format!("{dialect} {fault} stream={stream}");
                let mut body: Value = serde_json::from_str(&ask(MODEL, &what, stream, 12)).unwrap();
                body["provider"] = json!({"order": ["bad", "good"]});
                let body = body.to_string();
                let (asked_bad, asked_good) = (bad.stats().requests, good.stats().requests);
                let first = cached(&mut client, &body);
                assert_eq!((first.is_good(), status(&first)), (true, "MISS"), "{what}");
                assert_eq!(bad.stats().requests, asked_bad + 1, "{what}: it was tried");
                let second = cached(&mut client, &body);
                assert_eq!((status(&second), &second.body), ("HIT", &first.body), "{what}");
                assert_eq!(good.stats().requests, asked_good + 1, "{what}: one good call");
            }
        }
    }
}

#[test]
fn what_is_too_large_is_served_and_not_kept() {
    let (providers, gateway) =
        start(&[("one", Dialect::OpenAi)], &[("cache", "entry_bytes_max = 8192")]);
    let one = only(&providers);
    one.set(Behaviour { bytes: 40_000, ttft_ms: 20, ..Behaviour::default() }).unwrap();
    let mut client = gateway.client();
    for stream in [false, true] {
        let body = ask(MODEL, "Much", stream, 4096);
        let before = one.stats().requests;
        for _ in 0..2 {
            let answer = cached(&mut client, &body);
            assert_eq!((answer.is_good(), status(&answer)), (true, "MISS"), "stream={stream}");
            assert!(answer.content().len() >= 20_000, "{}", answer.content().len());
        }
        assert_eq!(one.stats().requests, before + 2, "stream={stream}");
        // They must not wait for each other in a row: there will be nothing to share.
        one.set(Behaviour { ttft_ms: 300, ..one.behaviour() }).unwrap();
        let began = Instant::now();
        let answers = at_once(&gateway, 40, &body);
        assert!(answers.iter().all(Answer::is_good), "stream={stream}");
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    }
    let small = ask(MODEL, "Little", false, 4);
    one.set(Behaviour::default()).unwrap();
    assert_eq!(status(&cached(&mut client, &small)), "MISS");
    assert_eq!(status(&cached(&mut client, &small)), "HIT", "small ones are kept");
}
