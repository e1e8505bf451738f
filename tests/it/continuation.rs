//! Streams that break off in their middle and go on elsewhere: one answer in the client's format,
//! without a gap and without a repeat, that costs what both providers are owed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use turnpike::dialect::{Dialect, Surface};
use turnpike::simulate::{Behaviour, Fault, Replay, Running};

use crate::support::gateway::MODEL;
use crate::support::stream::{self, Streamed};
use crate::support::{Answer, Client, Gateway, Setup, providers};

const TOKENS: u32 = 40;
/// A model that takes the beginning of its answer, in Anthropic's name and in AWS's.
const TAKES_PREFILL: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";

/// Numbered words, so that a gap or a repeat shows.
fn whole_text() -> String {
    (0..TOKENS).map(|i| if i == 0 { "w0".to_owned() } else { format!(" w{i}") }).collect()
}

/// One stream: it begins at one provider and goes on at another.
#[derive(Clone)]
struct Case {
    surface: Surface,
    first: Dialect,
    second: Dialect,
    fault: Fault,
    /// Words that the second repeats if it is asked to go on.
    repeat: u32,
}

impl Case {
    const fn of(surface: Surface, first: Dialect, second: Dialect, fault: Fault) -> Self {
        Self { surface, first, second, fault, repeat: 0 }
    }

    fn name(&self) -> String {
        let Self { surface, first, second, fault, repeat } = self;
        format!("{surface}: {first} {fault}, then {second} repeating {repeat}")
    }

    fn outcome(&self) -> &'static str {
        match self.fault {
            Fault::HangAfter(_) => "inter_event_timeout",
            _ => "cut_mid_stream",
        }
    }
}

fn counting() -> Behaviour {
    Behaviour { tokens: TOKENS, numbered: true, ..Behaviour::default() }
}

/// Runs cases through one gateway, each with two providers of its own.
fn run(cases: &[Case], upstream_model: Option<&'static str>) {
    let names: Vec<(String, String)> =
        (0..cases.len()).map(|i| (format!("first{i}"), format!("second{i}"))).collect();
    let wanted = cases.iter().zip(&names).flat_map(|(case, (first, second))| {
        [(first.as_str(), case.first), (second.as_str(), case.second)]
    });
    let providers = providers(&wanted.collect::<Vec<_>>());
    let mut setup = patient();
    setup.upstream_model = upstream_model;
    setup.max_output = 4096;
    for (case, (first, second)) in cases.iter().zip(&names) {
        spoil(&providers, first, Behaviour { faults: rules(case.fault), ..counting() });
        spoil(&providers, second, Behaviour { repeat: case.repeat, ..counting() });
        for (name, dialect) in [(first, case.first), (second, case.second)] {
            if dialect == Dialect::Completions {
                setup.templates.push((name.clone(), "chatml"));
            }
        }
    }
    let gateway = Gateway::start(&providers, &setup);
    let mut wrong = Vec::new();
    for (case, (first, second)) in cases.iter().zip(&names) {
        let one = || one_case(&gateway, case, first, second);
        if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(one)) {
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            wrong.push(format!("{}: {text}", case.name()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn one_case(gateway: &Gateway, case: &Case, first: &str, second: &str) {
    let mut client = gateway.client();
    let answer = send(&mut client, case.surface, &[first, second], "Count", json!({}));
    let streamed = stream::read(case.surface, &answer);
    assert_eq!(streamed.text, whole_text(), "{}", answer.text());
    assert_eq!(tried(gateway, &answer), [case.outcome(), "ok"], "{}", answer.text());
}

fn rules(fault: Fault) -> Vec<turnpike::simulate::FaultRule> {
    vec![turnpike::simulate::FaultRule::always(fault)]
}

/// No breaker, no budget, and quick to notice silence.
fn patient() -> Setup {
    let routing = "retry_budget_reserve = 100000\nbreaker_failures = 255\nattempts_max = 8";
    Setup {
        settings: vec![
            ("routing", routing.to_owned()),
            ("timeouts", "inter_event_ms = 400\nfirst_token_ms = 20000".to_owned()),
        ],
        ..Setup::default()
    }
}

fn spoil(providers: &Running, id: &str, behaviour: Behaviour) {
    providers.provider(id).expect("a provider").set(behaviour).expect("a behaviour");
}

/// Asks for a stream on a surface, at these providers in this order.
fn send(
    client: &mut Client,
    surface: Surface,
    order: &[&str],
    prompt: &str,
    more: Value,
) -> Answer {
    let (path, mut body) = match surface {
        Surface::Chat => (
            "/v1/chat/completions",
            json!({"messages": [{"role": "user", "content": prompt}], "max_tokens": 1000}),
        ),
        Surface::Completions => ("/v1/completions", json!({"prompt": prompt, "max_tokens": 1000})),
        Surface::Responses => {
            ("/v1/responses", json!({"input": prompt, "max_output_tokens": 1000}))
        }
        Surface::Messages => (
            "/v1/messages",
            json!({"messages": [{"role": "user", "content": prompt}], "max_tokens": 1000}),
        ),
    };
    body["model"] = json!(MODEL);
    body["stream"] = json!(true);
    body["provider"] = json!({"order": order, "only": order});
    for (name, value) in more.as_object().expect("an object") {
        match (name.as_str(), value) {
            ("provider", Value::Object(prefs)) => {
                for (name, value) in prefs {
                    body["provider"][name] = value.clone();
                }
            }
            _ => body[name] = value.clone(),
        }
    }
    client.send("POST", path, &[], body.to_string().as_bytes())
}

/// The outcomes of an answer's attempts.
fn tried(gateway: &Gateway, answer: &Answer) -> Vec<String> {
    let id = answer.header("x-generation-id").expect("a generation id");
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let log = gateway.log("access.log");
        if let Some(line) = log.lines().rev().find(|l| l.contains(id) && l.ends_with('}')) {
            let line: Value = serde_json::from_str(line).expect("a JSON line");
            let outcome = |t: &Value| t["outcome"].as_str().unwrap_or_default().to_owned();
            return line["tried"].as_array().into_iter().flatten().map(outcome).collect();
        }
        assert!(Instant::now() < deadline, "no line for {id}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The record of an answer, once it is there.
fn record(client: &mut Client, answer: &Answer) -> Value {
    let id = answer.header("x-generation-id").expect("a generation id");
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let found = client.get(&format!("/v1/generation?id={id}"));
        if found.status == 200 {
            return found.json()["data"].clone();
        }
        assert!(Instant::now() < deadline, "no record of {id}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

const FAULTS: [fn(u32) -> Fault; 5] =
    [Fault::CutAfter, Fault::ResetAfter, Fault::EndAfter, Fault::HangAfter, Fault::InBandAfter];

#[test]
fn every_way_of_breaking_off_on_every_surface() {
    let own = |surface| match surface {
        Surface::Chat => Dialect::OpenAi,
        Surface::Completions => Dialect::Completions,
        Surface::Responses => Dialect::Responses,
        Surface::Messages => Dialect::Anthropic,
    };
    let mut cases = Vec::new();
    for surface in Surface::ALL {
        for fault in FAULTS {
            // What passes, and what is translated, before and after.
            cases.push(Case::of(surface, own(surface), Dialect::Anthropic, fault(7)));
            cases.push(Case::of(surface, Dialect::Gemini, own(surface), fault(7)));
        }
    }
    run(&cases, None);
}

#[test]
fn every_dialect_breaks_off_and_goes_on() {
    let mut cases = Vec::new();
    // The others differ from these in their paths and credentials.
    let alike = [Dialect::Azure, Dialect::Vertex, Dialect::VertexAnthropic];
    let dialects = Dialect::ALL.into_iter().filter(|dialect| !alike.contains(dialect));
    for (i, dialect) in dialects.enumerate() {
        let cut = u32::try_from(i).expect("few") * 3 + 1;
        cases.push(Case::of(Surface::Chat, dialect, Dialect::OpenAi, Fault::CutAfter(cut)));
        cases.push(Case::of(Surface::Chat, Dialect::OpenAi, dialect, Fault::CutAfter(cut)));
        cases.push(Case::of(Surface::Messages, dialect, dialect, Fault::InBandAfter(cut)));
    }
    run(&cases, None);
    run(&cases, Some(TAKES_PREFILL));
}

#[test]
fn who_repeats_words_is_cut_short() {
    let mut cases = Vec::new();
    for surface in Surface::ALL {
        for repeat in [1, 3, 100] {
            let case = Case::of(surface, Dialect::OpenAi, Dialect::Gemini, Fault::CutAfter(9));
            cases.push(Case { repeat, ..case });
        }
    }
    run(&cases, None);
}

const TOOL: &str = r#"{"type":"function","function":{"name":"get_weather","parameters":{"type":"object",
    "properties":{"city":{"type":"string"},"country":{"type":"string"},"days":{"type":"integer"}}}}}"#;

/// The request for a call, in a surface's words.
fn tools(surface: Surface) -> Value {
    let tool: Value = serde_json::from_str(TOOL).expect("JSON");
    let function = &tool["function"];
    match surface {
        Surface::Chat | Surface::Completions => json!({"tools": [tool]}),
        Surface::Responses => json!({"tools": [{"type": "function", "name": function["name"],
            "parameters": function["parameters"]}]}),
        Surface::Messages => json!({"tools": [{"name": function["name"],
            "input_schema": function["parameters"]}]}),
    }
}

#[test]
fn a_call_that_was_half_sent_is_finished() {
    let dialects = [Dialect::OpenAi, Dialect::Anthropic, Dialect::Responses];
    let providers = providers(&[
        ("bad-0", dialects[0]),
        ("bad-1", dialects[1]),
        ("bad-2", dialects[2]),
        ("good", Dialect::OpenAi),
        ("other", Dialect::OpenAi),
    ]);
    for bad in ["bad-0", "bad-1", "bad-2"] {
        spoil(&providers, bad, Behaviour { faults: rules(Fault::CutAfter(3)), ..counting() });
    }
    // Somebody who calls with other arguments.
    let call = |json: &str| {
        let call = json!({"index": 0, "id": "c", "type": "function",
            "function": {"name": "get_weather", "arguments": json}});
        let chunk = |delta: Value, finish: Value| {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
            format!("data: {}\n\n", json!({"id": "x", "model": "m", "choices": [choice]}))
        };
        let done = "data: [DONE]\n\n".to_owned();
        let called = chunk(json!({"tool_calls": [call]}), Value::Null);
        Replay::sse([called, chunk(json!({}), json!("tool_calls")), done])
    };
    spoil(&providers, "other", Behaviour::replaying(call("{\"city\":\"Rome\"}")));
    let gateway = Gateway::start(&providers, &patient());
    let mut client = gateway.client();
    for surface in [Surface::Chat, Surface::Responses, Surface::Messages] {
        let expected = send(&mut client, surface, &["good"], "The weather", tools(surface));
        let Streamed { calls: expected, .. } = stream::read(surface, &expected);
        assert_eq!(expected.len(), 1, "{surface}");
        for bad in ["bad-0", "bad-1", "bad-2"] {
            let answer = send(&mut client, surface, &[bad, "good"], "The weather", tools(surface));
            let streamed = stream::read(surface, &answer);
            assert_eq!(streamed.calls, expected, "{surface} {bad}: {}", answer.text());
            assert_eq!(tried(&gateway, &answer), ["cut_mid_stream", "ok"], "{surface} {bad}");
            // A call that comes out otherwise cannot be gone on with.
            let answer = send(&mut client, surface, &[bad, "other"], "The weather", tools(surface));
            let outcomes = tried(&gateway, &answer);
            assert_eq!(outcomes, ["cut_mid_stream", "diverged"], "{surface} {bad}");
            stream::assert_failed(surface, &answer);
            // But by somebody else it may.
            let order = [bad, "other", "good"];
            let answer = send(&mut client, surface, &order, "The weather", tools(surface));
            let streamed = stream::read(surface, &answer);
            assert_eq!(streamed.calls, expected, "{surface} {bad}: {}", answer.text());
        }
    }
}

#[test]
fn both_providers_are_paid_and_both_are_shown() {
    let providers = providers(&[("bad", Dialect::OpenAi), ("good", Dialect::OpenAi)]);
    spoil(&providers, "bad", Behaviour { faults: rules(Fault::CutAfter(10)), ..counting() });
    spoil(&providers, "good", counting());
    let mut gateway = Gateway::start(&providers, &patient());
    let mut client = gateway.client();
    let whole = send(&mut client, Surface::Chat, &["good"], "Count", json!({}));
    let alone = stream::read(Surface::Chat, &whole).usage;
    let prefs = json!({"order": ["bad", "good"], "only": ["bad", "good"]});
    let body = json!({"model": MODEL, "stream": true, "max_tokens": 1000, "provider": prefs,
        "messages": [{"role": "user", "content": "Count"}]});
    let told = ("x-openrouter-metadata", "enabled");
    let answer = client.chat_with(&body.to_string(), &[told]);
    let streamed = stream::read(Surface::Chat, &answer);
    assert_eq!(streamed.text, whole_text());
    let usage = &streamed.usage;
    let tokens = |usage: &Value, name: &str| usage[name].as_u64().expect("a count");
    let prompt = tokens(usage, "prompt_tokens");
    assert!(prompt > 2 * tokens(&alone, "prompt_tokens"), "both prompts are paid: {usage}");
    // The first provider's ten words are estimated, the other's thirty are its own count.
    let completion = tokens(usage, "completion_tokens");
    assert!((36..=60).contains(&completion), "{usage}");
    let cost = usage["cost"].as_f64().expect("a cost");
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let owed = (prompt as f64 + 2.0 * completion as f64) / 1e6;
    assert!((cost - owed).abs() < 1e-12, "{cost} for {owed}: {usage}");
    let record = record(&mut client, &answer);
    assert_eq!(record["total_cost"].as_f64(), Some(cost), "{record}");
    assert_eq!(record["tokens_prompt"].as_u64(), Some(prompt), "{record}");
    assert_eq!(record["attempts"], 2, "{record}");
    let leg = &record["legs"][0];
    assert!(leg["endpoint"].as_str().is_some_and(|name| name.starts_with("bad/")), "{record}");
    assert!(leg["cost"].as_f64() > Some(0.0) && leg["cost"].as_f64() < Some(cost), "{record}");
    assert_eq!(record["provider_name"], "good", "{record}");
    let metadata = streamed.metadata.expect("openrouter_metadata");
    assert_eq!(metadata["strategy"], "continuation", "{metadata}");
    let attempts = metadata["attempts"].as_array().expect("a list");
    let shown = attempts.iter().map(|a| json!([a["provider"], a["status"], a["outcome"]]));
    let shown: Vec<_> = shown.collect();
    assert_eq!(
        shown,
        [json!(["bad", 502, "cut_mid_stream"]), json!(["good", 200, "ok"])],
        "{metadata}"
    );
    gateway.signal("TERM");
    assert!(gateway.wait(Duration::from_secs(20)).success());
    gateway.verify().expect("the ledger adds up");
}

#[test]
fn nobody_goes_on_against_the_callers_or_the_operators_will() {
    for operator in [true, false] {
        let providers = providers(&[("bad", Dialect::OpenAi), ("good", Dialect::OpenAi)]);
        spoil(&providers, "bad", Behaviour { faults: rules(Fault::CutAfter(5)), ..counting() });
        spoil(&providers, "good", counting());
        let mut setup = patient();
        if operator {
            setup.settings.push(("routing", "continuations_max = 0".to_owned()));
        }
        let gateway = Gateway::start(&providers, &setup);
        let more = match operator {
            true => json!({}),
            false => json!({"provider": {"allow_continuation": false}}),
        };
        for surface in Surface::ALL {
            let mut client = gateway.client();
            let answer = send(&mut client, surface, &["bad", "good"], "Count", more.clone());
            stream::assert_failed(surface, &answer);
            assert_eq!(tried(&gateway, &answer), ["cut_mid_stream"], "{surface}");
        }
    }
}

#[test]
fn a_stream_goes_on_as_often_as_is_allowed() {
    let names = ["one", "two", "three", "four"];
    let providers = providers(&names.map(|name| (name, Dialect::OpenAi)));
    for name in names {
        spoil(&providers, name, Behaviour { faults: rules(Fault::CutAfter(9)), ..counting() });
    }
    spoil(&providers, "three", counting());
    let gateway = Gateway::start(&providers, &patient());
    let mut client = gateway.client();
    let answer = send(&mut client, Surface::Chat, &["one", "two", "three"], "Count", json!({}));
    assert_eq!(stream::read(Surface::Chat, &answer).text, whole_text(), "{}", answer.text());
    let order = ["one", "two", "four", "three"];
    let answer = send(&mut client, Surface::Chat, &order, "Count", json!({}));
    stream::assert_failed(Surface::Chat, &answer);
    assert_eq!(tried(&gateway, &answer), ["cut_mid_stream"; 3], "two times, not three");
}

#[test]
fn who_fails_before_it_goes_on_is_passed_over() {
    let providers = providers(&[
        ("bad", Dialect::OpenAi),
        ("refuses", Dialect::Anthropic),
        ("down", Dialect::Gemini),
        ("good", Dialect::OpenAi),
    ]);
    spoil(&providers, "bad", Behaviour { faults: rules(Fault::CutAfter(9)), ..counting() });
    let refuses = Fault::Error(turnpike::simulate::ErrorBody::InvalidRequest);
    spoil(&providers, "refuses", Behaviour::failing(refuses));
    spoil(&providers, "down", Behaviour::failing(Fault::Status(500)));
    spoil(&providers, "good", counting());
    let gateway = Gateway::start(&providers, &patient());
    let mut client = gateway.client();
    for surface in Surface::ALL {
        let order = ["bad", "refuses", "down", "good"];
        let answer = send(&mut client, surface, &order, "Count", json!({}));
        assert_eq!(stream::read(surface, &answer).text, whole_text(), "{surface}");
        let outcomes = ["cut_mid_stream", "status_invalid_request", "status_server", "ok"];
        assert_eq!(tried(&gateway, &answer), outcomes, "{surface}: {}", answer.text());
        let answer = send(&mut client, surface, &order[..3], "Count", json!({}));
        stream::assert_failed(surface, &answer);
        assert_eq!(tried(&gateway, &answer), outcomes[..3], "{surface}: {}", answer.text());
        assert!(answer.text().contains("The answer of bad broke off"), "{}", answer.text());
        let record = record(&mut client, &answer);
        assert!(record["total_cost"].as_f64() > Some(0.0), "what was delivered: {record}");
    }
}

#[test]
fn json_goes_on_exactly_or_not_at_all() {
    let providers = providers(&[
        ("bad", Dialect::OpenAi),
        ("asked", Dialect::OpenAi),
        ("handed", Dialect::Mistral),
    ]);
    spoil(&providers, "bad", Behaviour { faults: rules(Fault::CutAfter(9)), ..counting() });
    for name in ["asked", "handed"] {
        spoil(&providers, name, counting());
    }
    let gateway = Gateway::start(&providers, &patient());
    let mut client = gateway.client();
    let formed = json!({"response_format": {"type": "json_object"}});
    let order = ["bad", "asked", "handed"];
    let answer = send(&mut client, Surface::Chat, &order, "Count", formed.clone());
    assert_eq!(stream::read(Surface::Chat, &answer).text, whole_text(), "{}", answer.text());
    assert_eq!(providers.provider("asked").expect("a provider").stats().requests, 0);
    let answer = send(&mut client, Surface::Chat, &order[..2], "Count", formed);
    stream::assert_failed(Surface::Chat, &answer);
}

#[test]
fn an_answer_that_went_on_elsewhere_is_whole_or_not_in_the_cache() {
    let providers = providers(&[("bad", Dialect::OpenAi), ("good", Dialect::OpenAi)]);
    spoil(&providers, "bad", Behaviour { faults: rules(Fault::CutAfter(9)), ..counting() });
    spoil(&providers, "good", counting());
    let gateway = Gateway::start(&providers, &patient());
    let body = json!({"model": MODEL, "stream": true, "max_tokens": 1000,
        "provider": {"order": ["bad", "good"]}, "messages": [{"role": "user", "content": "Count"}]});
    let body = body.to_string();
    for _ in 0..3 {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (mut client, body) = (gateway.client(), body.clone());
                std::thread::spawn(move || {
                    client.chat_with(&body, &[("x-openrouter-cache", "true")])
                })
            })
            .collect();
        for thread in threads {
            let answer = thread.join().expect("an answer");
            assert_eq!(stream::read(Surface::Chat, &answer).text, whole_text());
        }
    }
}

#[test]
fn credit_that_does_not_reach_ends_the_stream_in_order() {
    let names = [("bad", Dialect::OpenAi), ("good", Dialect::OpenAi)];
    let providers = providers(&names);
    spoil(&providers, "bad", Behaviour { faults: rules(Fault::CutAfter(30)), ..counting() });
    spoil(&providers, "good", counting());
    let mut setup = patient();
    // A prompt of a thousand tokens at a dollar per thousand; the answer is nearly free.
    setup.prices = ("1000", "1");
    let prompt = "count ".repeat(700);
    for (credit, enough) in [("1.6", false), ("100", true)] {
        setup.credit = credit;
        let mut gateway = Gateway::start(&providers, &setup);
        let mut client = gateway.client();
        let answer = send(&mut client, Surface::Chat, &["bad", "good"], &prompt, json!({}));
        assert_eq!(answer.status, 200, "{credit}: {}", answer.text());
        if enough {
            assert_eq!(stream::read(Surface::Chat, &answer).text, whole_text());
        } else {
            stream::assert_failed(Surface::Chat, &answer);
            assert!(answer.text().contains("credit"), "{}", answer.text());
        }
        gateway.signal("TERM");
        assert!(gateway.wait(Duration::from_secs(20)).success());
        gateway.verify().expect("the ledger adds up");
    }
}
