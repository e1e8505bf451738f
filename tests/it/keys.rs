//! Several keys at one provider: requests are spread over them, and a key that is limited or refused
//! rests alone.

use std::io::Write as _;
use std::time::Duration;

use tempfile::NamedTempFile;
use turnpike::dialect::Dialect;
use turnpike::simulate::{Behaviour, Fault, FaultRule, Provider, Replay, Running};

use crate::support::gateway::MODEL;
use crate::support::{Gateway, Setup, ask, providers};

/// The key that every provider of the tests has.
const FIRST: &str = "provider-secret-canary";
const SECOND: &str = "second-secret-canary";
const THIRD: &str = "third-secret-canary";

struct World {
    running: Running,
    gateway: Gateway,
    _files: Vec<NamedTempFile>,
}

/// A gateway whose providers have three keys each.
fn world(hosts: &[(&str, Dialect)]) -> World {
    world_with(hosts, Setup::default())
}

fn world_with(hosts: &[(&str, Dialect)], setup: Setup) -> World {
    let running = providers(hosts);
    let files: Vec<NamedTempFile> = [SECOND, THIRD].iter().map(|key| file(key)).collect();
    let keys: Vec<String> =
        files.iter().map(|file| format!("\"file:{}\"", file.path().display())).collect();
    let provider = format!("api_keys = [{}]", keys.join(", "));
    let gateway = Gateway::start(&running, &Setup { provider, ..setup });
    World { running, gateway, _files: files }
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("a key");
    file
}

/// The key that the provider was last sent.
fn last_key(provider: &Provider) -> &'static str {
    let last = provider.last_request().expect("a request");
    let sent = ["authorization", "x-api-key"].iter().find_map(|name| last.headers.get(*name));
    let sent = sent.expect("a credential").to_str().expect("text");
    [FIRST, SECOND, THIRD].into_iter().find(|key| sent.ends_with(key)).expect("one of the keys")
}

/// Fails whoever has this key.
fn failing(fault: Fault, key: &str) -> FaultRule {
    FaultRule { key_ends: Some(key.to_owned()), retry_after: Some(30), ..FaultRule::always(fault) }
}

#[test]
fn requests_are_spread_over_all_keys() {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let world = world(&[("host", dialect)]);
        let host = world.running.provider("host").expect("a provider");
        let mut client = world.gateway.client();
        let mut seen = Vec::new();
        for _ in 0..9 {
            assert!(client.chat(&ask(MODEL, "Hello", false, 5)).is_good());
            seen.push(last_key(&host));
        }
        for key in [FIRST, SECOND, THIRD] {
            assert_eq!(seen.iter().filter(|sent| **sent == key).count(), 3, "{key} in {seen:?}");
        }
    }
}

#[test]
fn a_key_that_is_limited_or_refused_rests_while_the_others_serve() {
    for status in [429, 401, 402, 403] {
        for stream in [false, true] {
            let world = world(&[("host", Dialect::OpenAi)]);
            let host = world.running.provider("host").expect("a provider");
            let faults = vec![failing(Fault::Status(status), SECOND)];
            host.set(Behaviour { faults, ..Behaviour::default() }).expect("a behaviour");
            let mut client = world.gateway.client();
            for i in 0..12 {
                let answer = client.chat(&ask(MODEL, "Hello", stream, 5));
                assert!(answer.is_good(), "{status}, {i}: {}", answer.text());
                assert_ne!(last_key(&host), SECOND, "{status}, {i}");
            }
            let stats = host.stats();
            assert_eq!(stats.requests, 13, "{status}: the second key was asked once");
            assert!(!world.gateway.log("stderr").contains(SECOND), "no key is written down");
            drop(client);
            let World { mut gateway, .. } = world;
            gateway.signal("TERM");
            gateway.wait(Duration::from_secs(20));
            gateway.verify().expect("a sound ledger");
        }
    }
}

#[test]
fn where_all_keys_rest_another_provider_serves() {
    let world = world(&[("busy", Dialect::OpenAi), ("idle", Dialect::OpenAi)]);
    let (busy, idle) = (
        world.running.provider("busy").expect("a provider"),
        world.running.provider("idle").expect("a provider"),
    );
    let limited = FaultRule { retry_after: Some(30), ..FaultRule::always(Fault::Status(429)) };
    busy.set(Behaviour { faults: vec![limited], ..Behaviour::default() }).expect("a behaviour");
    let mut client = world.gateway.client();
    let mut body: serde_json::Value =
        serde_json::from_str(&ask(MODEL, "Hello", false, 5)).expect("JSON");
    body["provider"] = serde_json::json!({"order": ["busy"]});
    for _ in 0..20 {
        let answer = client.chat(&body.to_string());
        assert!(answer.is_good(), "{}", answer.text());
    }
    assert_eq!(busy.stats().requests, 3, "each key was asked once");
    assert_eq!(idle.stats().requests, 20);
    // Nobody is left: the client is told of the limit.
    body["provider"] = serde_json::json!({"only": ["busy"]});
    let answer = client.chat(&body.to_string());
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    for key in [FIRST, SECOND, THIRD] {
        assert!(!answer.text().contains(key));
    }
}

#[test]
fn a_request_does_not_go_through_all_keys() {
    let settings = vec![("routing", "attempts_max = 2".to_owned())];
    let setup = Setup { settings, ..Setup::default() };
    let world = world_with(&[("host", Dialect::OpenAi)], setup);
    let host = world.running.provider("host").expect("a provider");
    let limited = FaultRule { retry_after: Some(30), ..FaultRule::always(Fault::Status(429)) };
    host.set(Behaviour { faults: vec![limited], ..Behaviour::default() }).expect("a behaviour");
    let answer = world.gateway.client().chat(&ask(MODEL, "Hello", false, 5));
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert_eq!(host.stats().requests, 2, "two of three keys");
}

#[test]
fn a_key_that_a_provider_repeats_is_not_shown() {
    let world = world(&[("host", Dialect::OpenAi)]);
    let host = world.running.provider("host").expect("a provider");
    let mut client = world.gateway.client();
    let told =
        format!(r#"{{"error":{{"message":"{FIRST} {SECOND} {THIRD}: no such parameter"}}}}"#);
    let replay = Replay::json(400, told);
    host.set(Behaviour { replay: vec![replay], ..Behaviour::default() }).expect("a behaviour");
    for _ in 0..3 {
        let answer = client.chat(&ask(MODEL, "Hello", false, 5));
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.text().contains("*** *** ***: no such parameter"), "{}", answer.text());
    }
}
