use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn full() -> AccessLine {
    let mut line = AccessLine::new(1_700_000_000_123, GenerationId::from_bits(0xabc));
    line.set_request("POST", "/v1/chat/completions?key=sk-secret#frag");
    line.set_model_requested("meta/llama:free");
    line.key = Some(KeyId::parse("key_1").expect("an id"));
    line.account = Some(AccountId::parse("acme").expect("an id"));
    line.client = Some("2001:db8::1".parse().expect("an address"));
    line.surface = Surface::Chat;
    line.model_served = Some(ModelId::parse("meta/llama").expect("an id"));
    line.provider = Some(ProviderId::parse("beta").expect("an id"));
    line.endpoint = Some(EndpointId::parse("beta/llama").expect("an id"));
    for (endpoint, outcome) in [("alpha/llama", Outcome::RateLimited), ("beta/llama", Outcome::Ok)]
    {
        let endpoint = EndpointId::parse(endpoint).expect("an id");
        line.push_attempt(AttemptMark { endpoint, outcome });
    }
    line.status = Some(200);
    line.stream = true;
    line.cache = Some(CacheStatus::Miss);
    line.ttft = Some(Duration::from_micros(250_007));
    line.duration = Duration::from_micros(1_500_120);
    line.overhead = Some(Duration::from_micros(85));
    line.usage = Some(Usage {
        prompt: 12,
        cache_read: 4,
        cache_write_5m: 1,
        cache_write_1h: 2,
        completion: 34,
        reasoning: 5,
        estimated: true,
        ..Usage::default()
    });
    line.cost = Some(NanoUsd(1_234_567));
    line.finish = Some("stop");
    (line.bytes_in, line.bytes_out) = (1_024, 20_480);
    line
}

fn json_of(line: &AccessLine) -> Value {
    let mut out = Vec::new();
    line.write_json(&mut out);
    assert!(out.is_ascii(), "only ASCII");
    assert_eq!(out.iter().filter(|b| **b < b' ').count(), 1, "one control character");
    assert_eq!(out.last(), Some(&b'\n'), "which is the line feed at the end");
    serde_json::from_slice(&out).expect("valid JSON")
}

fn text_of(line: &AccessLine) -> String {
    let mut out = Vec::new();
    line.write_text(&mut out);
    assert_eq!(out.iter().filter(|b| **b < b' ').count(), 1, "one line feed, at the end");
    String::from_utf8(out).expect("ASCII")
}

#[test]
fn a_full_line_has_every_field() {
    assert_eq!(
        json_of(&full()),
        json!({
            "ts_ms": 1_700_000_000_123_u64,
            "gen_ai.response.id": "gen-00000000000000000000000000000abc",
            "http.request.method": "POST",
            "url.path": "/v1/chat/completions",
            "http.response.status_code": 200,
            "surface": "chat",
            "key_id": "key_1",
            "account_id": "acme",
            "client.address": "2001:db8::1",
            "gen_ai.request.model": "meta/llama:free",
            "gen_ai.response.model": "meta/llama",
            "gen_ai.provider.name": "beta",
            "endpoint_id": "beta/llama",
            "gen_ai.request.stream": true,
            "cache": "miss",
            "attempts": 2,
            "tried": [
                {"endpoint": "alpha/llama", "outcome": "status_rate_limited"},
                {"endpoint": "beta/llama", "outcome": "ok"},
            ],
            "duration_ms": 1500.120,
            "ttft_ms": 250.007,
            "overhead_us": 85,
            "gen_ai.usage.input_tokens": 12,
            "gen_ai.usage.output_tokens": 34,
            "gen_ai.usage.reasoning.output_tokens": 5,
            "gen_ai.usage.cache_read.input_tokens": 4,
            "gen_ai.usage.cache_creation.input_tokens": 3,
            "usage_estimated": true,
            "cost_nano_usd": 1_234_567,
            "gen_ai.response.finish_reasons": ["stop"],
            "http.request.body.size": 1_024,
            "http.response.body.size": 20_480,
        })
    );
}

#[test]
fn an_early_end_leaves_out_what_is_not_known() {
    let mut line = AccessLine::new(5, GenerationId::from_bits(1));
    line.set_request("BREW", "/pot");
    line.error = Some("not_found");
    assert_eq!(
        json_of(&line),
        json!({
            "ts_ms": 5,
            "gen_ai.response.id": "gen-00000000000000000000000000000001",
            "http.request.method": "OTHER",
            "url.path": "/pot",
            "error.type": "not_found",
            "surface": "other",
            "gen_ai.request.stream": false,
            "attempts": 0,
            "duration_ms": 0.0,
            "http.request.body.size": 0,
            "http.response.body.size": 0,
        })
    );
}

#[test]
fn text_says_the_same() {
    let text = text_of(&full());
    for part in [
        "ts_ms=1700000000123 gen_ai.response.id=gen-",
        " url.path=/v1/chat/completions http.response.status_code=200 ",
        " tried=alpha/llama>status_rate_limited,beta/llama>ok ",
        " duration_ms=1500.120 ttft_ms=250.007 overhead_us=85 ",
        " cost_nano_usd=1234567 gen_ai.response.finish_reasons=stop ",
    ] {
        assert!(text.contains(part), "{part:?} in {text:?}");
    }
}

#[test]
fn queries_never_reach_the_line() {
    assert!(!text_of(&full()).contains("secret"), "the query may hold a key");
}

#[test]
fn hostile_texts_stay_in_their_field() {
    let mut line = AccessLine::new(0, GenerationId::from_bits(0));
    line.set_request("GET", "/a\r\nts_ms=1 \u{1b}[2J\u{9b}\"x");
    line.set_model_requested("m\",\"status\":200,\"x\":\"\u{2028}😀\\");
    let json = json_of(&line);
    assert_eq!(json["url.path"], "/a\r\nts_ms=1 \u{1b}[2J\u{9b}\"x");
    assert_eq!(json["gen_ai.request.model"], "m\",\"status\":200,\"x\":\"\u{2028}😀\\");
    assert_eq!(json.get("status"), None, "no field was forged");
    let text = text_of(&line);
    assert!(text.contains(r#"url.path="/a\u000d\u000ats_ms=1 \u001b[2J\u009b\"x" "#), "{text}");
}

#[test]
fn long_texts_and_many_attempts_are_cut() {
    let mut line = full();
    line.set_request("GET", &format!("/{}", "é".repeat(10_000)));
    line.set_model_requested(&"😀".repeat(10_000));
    for _ in 0..1_000 {
        let endpoint = EndpointId::parse("beta/llama").expect("an id");
        line.push_attempt(AttemptMark { endpoint, outcome: Outcome::Dns });
    }
    let json = json_of(&line);
    assert_eq!(json["url.path"].as_str().map(str::len), Some(255), "whole characters only");
    assert_eq!(json["gen_ai.request.model"].as_str().map(str::len), Some(256));
    assert_eq!(json["attempts"], 1_002, "all are counted");
    assert_eq!(json["tried"].as_array().map(Vec::len), Some(ATTEMPTS_MAX));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_text_gives_one_valid_line(path in any::<String>(), model in any::<String>()) {
        let mut line = AccessLine::new(0, GenerationId::from_bits(0));
        line.set_request("GET", &path);
        line.set_model_requested(&model);
        let json = json_of(&line);
        prop_assert_eq!(json["gen_ai.request.model"].as_str(), Some(clipped(&model)));
        let text = text_of(&line);
        prop_assert!(text.is_ascii());
    }
}
