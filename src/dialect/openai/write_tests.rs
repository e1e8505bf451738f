//! What is written for a host that takes everything says what was asked; which bodies pass; and
//! that rows agree with themselves.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::host::{Prefill, Replay, Thinking};
use super::*;
use crate::dialect::chat::read_request;
use crate::dialect::ir::{Event, FinishReason};
use crate::dialect::scan::scan;
use crate::dialect::{AnswerFault, Ask, Dialect, Surface, Target, passes, upstream_request};

fn at(host: &'static Host) -> Target<'static> {
    Target { host, ..Target::new("up", 8192) }
}

#[test]
fn hosts_are_found() {
    for host in Host::ALL {
        assert_eq!(Host::parse(host.name).map(|found| found.name), Some(host.name));
        for domain in host.domains {
            assert_eq!(Host::of_domain(domain).name, host.name, "{domain}");
            let below = format!("eu.{domain}");
            assert_eq!(Host::of_domain(&below).name, host.name, "{below}");
            let other = format!("not{domain}");
            assert_eq!(Host::of_domain(&other).name, "generic", "{other}");
        }
    }
    assert_eq!(Host::of_domain("my-res.openai.azure.com").name, "azure");
    assert_eq!(Host::of_domain("localhost").name, "generic");
}

#[test]
fn levels_ascend_and_flags_are_members() {
    for host in Host::ALL {
        if let Thinking::Effort(levels) = host.thinking {
            let places: Vec<_> = levels.iter().map(|level| level.percent()).collect();
            assert!(places.is_sorted(), "{}", host.name);
            assert!(!levels.is_empty(), "{}", host.name);
        }
        let name = host.limit.name;
        assert!(["max_tokens", "max_completion_tokens"].contains(&name), "{}", host.name);
    }
}

#[test]
fn a_generic_host_takes_every_body() {
    let head = scan(EVERYTHING.as_bytes()).unwrap();
    assert!(!head.notes.meets(Host::GENERIC.diverts()), "nothing diverts");
    assert!(passes(Surface::Chat, Dialect::OpenAi, &head, &Host::GENERIC));
}

const EVERYTHING: &str = r#"{"model":"m","messages":[{"role":"developer","name":"n","content":[
    {"type":"text","text":"t","cache_control":{"type":"ephemeral"}}]},{"role":"user","content":[
    {"type":"image_url","image_url":{"url":"https://a"}}]},{"role":"assistant","content":"x",
    "reasoning_content":"r"}],"n":2,"max_tokens":3,"max_completion_tokens":3,"stream":true,
    "reasoning":{"exclude":true},"include_reasoning":false,"temperature":2,"stop":["a"],"x":1,
    "tools":[{"type":"function","function":{"name":"f"}}],"response_format":{"type":"text"}}"#;

/// What the host gets for this body, and whether it is the body itself with other members.
fn sent(host: &'static Host, members: &str, credit_limit: Option<u32>) -> (Value, bool) {
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}],"odd" :  1{members}}}"#
    );
    let head = scan(body.as_bytes()).unwrap();
    let mut parsed = None;
    let mut ask =
        Ask { surface: Surface::Chat, body: body.as_bytes(), head: &head, parsed: &mut parsed };
    let target = Target { credit_limit, ..at(host) };
    let bytes = upstream_request(Dialect::OpenAi, &mut ask, &target).unwrap();
    let passed = bytes.windows(10).any(|at| at == b"\"odd\" :  1");
    assert_eq!(passed, parsed.is_none(), "a tree is made only where bytes cannot pass");
    (serde_json::from_slice(&bytes).unwrap(), passed)
}

#[test]
fn bodies_pass_where_the_host_takes_all_of_them() {
    for (host, members, passed) in [
        ("generic", r#","reasoning":{"exclude":true},"top_a":1,"max_tokens":5"#, true),
        ("openai", r#","temperature":0.5,"tools":[],"max_completion_tokens":5"#, true),
        ("openai", r#","max_tokens":5"#, true),
        ("openai", r#","top_k":5"#, false),
        ("openai", r#","reasoning_effort":"low""#, true),
        ("openai", r#","reasoning":{"effort":"low"}"#, false),
        ("openai", r#","logprobs":true,"seed":1,"user":"u","store":true"#, true),
        ("azure", r#","max_tokens":5"#, true),
        ("groq", r#","max_tokens":5,"seed":1,"tool_choice":"auto","top_p":1"#, true),
        ("groq", r#","logprobs":true"#, false),
        ("deepseek", r#","max_tokens":5,"stream":true"#, true),
        ("deepseek", r#","max_completion_tokens":5"#, true),
        ("deepseek", r#","response_format":{"type":"json_object"}"#, false),
        ("mistral", "", false),
        ("perplexity", "", false),
        ("moonshot", r#","temperature":0.5"#, false),
        ("zai", r#","stop":"a""#, false),
        ("together", r#","logprobs":true"#, false),
        ("openrouter", r#","reasoning":{"effort":"low"},"include_reasoning":true"#, true),
        ("vllm", r#","top_k":5,"structured_outputs":{}"#, true),
    ] {
        let host = Host::parse(host).expect(host);
        assert_eq!(sent(host, members, None).1, passed, "{} {members}", host.name);
    }
}

#[test]
fn a_limit_of_credit_is_spelled_as_the_host_has_it() {
    let openai = Host::parse("openai").unwrap();
    assert_eq!(sent(openai, "", Some(9)).0["max_completion_tokens"], 9);
    assert_eq!(sent(openai, "", Some(9)).0.get("max_tokens"), None);
    assert_eq!(sent(&Host::GENERIC, "", Some(9)).0["max_tokens"], 9);
    let zai = Host::parse("zai").unwrap();
    assert_eq!(sent(zai, r#","max_completion_tokens":70"#, Some(9)).0["max_tokens"], 9);
}

#[test]
fn answers_pass_unless_reasoning_may_have_to_be_hidden() {
    for (host, members, passed) in [
        ("openai", r#","max_tokens":5,"logprobs":true,"top_k":1"#, true),
        ("openai", r#","reasoning":{"exclude":true}"#, false),
        ("vllm", r#","include_reasoning":false"#, false),
        ("openrouter", r#","reasoning":{"exclude":true}"#, true),
    ] {
        let body =
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":""}}]{members}}}"#);
        let head = scan(body.as_bytes()).unwrap();
        let host = Host::parse(host).unwrap();
        for dialect in [Dialect::OpenAi, Dialect::Azure] {
            assert_eq!(passes(Surface::Chat, dialect, &head, host), passed, "{members}");
        }
        assert!(!passes(Surface::Messages, Dialect::OpenAi, &head, host));
        assert!(!passes(Surface::Chat, Dialect::Mistral, &head, host));
    }
}

#[test]
fn azure_deployments_are_encoded() {
    assert_eq!(azure_path("gpt-5"), "/openai/deployments/gpt-5/chat/completions");
    assert_eq!(azure_path("a b/ü?"), "/openai/deployments/a%20b%2F%C3%BC%3F/chat/completions");
}

#[test]
fn every_row_writes_json_and_no_member_twice() {
    for host in Host::ALL {
        let mut read = read_request(EVERYTHING.as_bytes()).unwrap();
        // What some refuse.
        read.n = None;
        read.tools.clear();
        read.messages.truncate(1);
        read.messages.extend(read_request(PLAIN.as_bytes()).unwrap().messages);
        let bytes = write(&read, &at(host)).unwrap_or_else(|e| panic!("{}: {e}", host.name));
        let text = std::str::from_utf8(&bytes).unwrap();
        let twice = read_request(text.as_bytes());
        assert!(twice.is_ok() || host.name == "mistral", "{} {text}", host.name);
        let tree: Value = serde_json::from_str(text).unwrap();
        let members = tree.as_object().unwrap();
        for name in ["include_reasoning", "reasoning"] {
            let knows = matches!(host.thinking, Thinking::Either | Thinking::Object);
            assert!(knows || !members.contains_key(name), "{} {name}", host.name);
        }
        let count = text.matches("\"stream_options\":").count();
        assert_eq!(count, usize::from(host.stream_options), "{}", host.name);
        let prefills = matches!(host.prefill, Prefill::Flag(_) | Prefill::Continue);
        assert!(prefills || !text.contains("\"prefix\""), "{}", host.name);
        assert!(host.replay != Replay::Never || !text.contains("\"reasoning_content\""));
    }
}

const PLAIN: &str = r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"x",
    "reasoning_content":"r"},{"role":"user","content":"q"}]}"#;

#[test]
fn what_ended_an_answer_is_told() {
    for (choice, reason, stop) in [
        (r#""finish_reason":"stop","stop_reason":"END""#, Ok(FinishReason::Stop), Some("END")),
        (r#""finish_reason":"stop","stop_reason":128009"#, Ok(FinishReason::Stop), None),
        (r#""finish_reason":"stop","stop_reason":"end_turn""#, Ok(FinishReason::Stop), None),
        (r#""finish_reason":"stop","matched_stop":"\n\n""#, Ok(FinishReason::Stop), Some("\n\n")),
        (r#""finish_reason":"length","stop_reason":null"#, Ok(FinishReason::Length), None),
        (r#""finish_reason":"sensitive""#, Ok(FinishReason::ContentFilter), None),
        (r#""finish_reason":"content_filter: RECITATION""#, Ok(FinishReason::ContentFilter), None),
        (r#""finish_reason":"network_error""#, Err("network_error"), None),
        (r#""finish_reason":"abort""#, Err("abort"), None),
    ] {
        let body = format!(r#"{{"choices":[{{"message":{{"content":"x"}},{choice}}}]}}"#);
        let mut events = Vec::new();
        match (read_whole(body.as_bytes(), &mut events), reason) {
            (Ok(()), Ok(reason)) => assert!(
                events.iter().any(|event| matches!(event, Event::Finish { reason: r, stop: s, .. }
                    if *r == reason && s.as_deref() == stop)),
                "{choice} {events:?}"
            ),
            (Err(AnswerFault::InBand { code, .. }), Err(word)) => {
                assert_eq!(code.as_deref(), Some(word));
                assert!(events.is_empty(), "a fault leaves no events");
            }
            (got, _) => panic!("{choice} {got:?}"),
        }
    }
}

#[test]
fn minimax_says_in_an_answer_that_it_failed() {
    let read = |body: &str| read_whole(body.as_bytes(), &mut Vec::new());
    let failed =
        r#"{"id":"1","choices":null,"base_resp":{"status_code":1004,"status_msg":"login fail"}}"#;
    let fault = AnswerFault::InBand { code: Some("1004".into()), message: "login fail".into() };
    assert_eq!(read(failed), Err(fault));
    let good = r#"{"choices":[{"message":{"content":"x"}}],"base_resp":{"status_code":0,"status_msg":""}}"#;
    assert_eq!(read(good), Ok(()));
}

fn text() -> impl Strategy<Value = String> {
    "[a-z\"\\\\\n\u{e9}\u{1f600} ]{0,12}"
}

fn mark() -> impl Strategy<Value = Option<Value>> {
    prop::option::of(prop::sample::select(vec![
        json!({"type": "ephemeral"}),
        json!({"type": "ephemeral", "ttl": "5m"}),
        json!({"type": "ephemeral", "ttl": "1h"}),
    ]))
}

fn with(mut value: Value, name: &str, member: Option<Value>) -> Value {
    if let Some(member) = member {
        value[name] = member;
    }
    value
}

fn part() -> impl Strategy<Value = Value> {
    let body = prop_oneof![
        text().prop_map(|t| json!({"type": "text", "text": t})),
        text().prop_map(|t| json!({"type": "image_url", "image_url": {"url": format!("https://h/{t}"), "detail": "low"}})),
        Just(json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}})),
        Just(json!({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}})),
        Just(json!({"type": "video_url", "video_url": {"url": "https://h/v"}})),
        Just(json!({"type": "file", "file": {"filename": "f", "file_data": "https://h/f"}})),
        Just(json!({"type": "file", "file": {"file_id": "f"}})),
    ];
    (body, mark()).prop_map(|(body, mark)| with(body, "cache_control", mark))
}

fn content() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::from),
        prop::collection::vec(part(), 1..4).prop_map(Value::from),
    ]
}

fn reasoning() -> impl Strategy<Value = (&'static str, Value)> {
    let detail = prop_oneof![
        (text(), prop::option::of(text())).prop_map(|(t, by)| with(
            json!({"type": "reasoning.text", "text": t}),
            "signature",
            by.map(Value::from)
        )),
        text().prop_map(|t| json!({"type": "reasoning.summary", "summary": t, "id": "r"})),
        text().prop_map(|t| json!({"type": "reasoning.encrypted", "data": t, "format": "x-v1"})),
    ];
    prop_oneof![
        Just(("refusal", Value::Null)),
        text().prop_map(|t| ("reasoning_content", t.into())),
        prop::collection::vec(detail, 0..3).prop_map(|mut list| {
            for (i, detail) in list.iter_mut().enumerate() {
                detail["index"] = i.into();
            }
            ("reasoning_details", list.into())
        }),
    ]
}

/// A turn of the user's and the model's answer, with calls and their results.
fn exchange() -> impl Strategy<Value = Vec<Value>> {
    let name = prop::option::of("[a-z]{1,3}");
    (content(), name, text(), reasoning(), 0_usize..3, text()).prop_map(
        |(content, name, said, (member, reasoning), calls, result)| {
            let name = name.map(Value::from);
            let user = with(json!({"role": "user", "content": content}), "name", name.clone());
            let mut turn = with(json!({"role": "assistant", "content": said}), "name", name);
            turn[member] = reasoning;
            let ids: Vec<String> = (0..calls).map(|i| format!("call_{i}")).collect();
            if calls > 0 {
                turn["content"] = Value::Null;
                turn["tool_calls"] = ids
                    .iter()
                    .map(|id| {
                        let function = json!({"name": "f", "arguments": format!("{{{said}")});
                        json!({"id": id, "type": "function", "function": function})
                    })
                    .collect();
            }
            let results =
                ids.iter().map(|id| json!({"role": "tool", "tool_call_id": id, "content": result}));
            [user, turn].into_iter().chain(results).collect()
        },
    )
}

type Choices = Vec<(&'static str, Vec<Value>)>;

fn drawing() -> Choices {
    vec![
        ("temperature", vec![json!(0), json!(1.7)]),
        ("top_p", vec![json!(0.25)]),
        ("top_k", vec![json!(0), json!(40)]),
        ("min_p", vec![json!(0.1)]),
        ("top_a", vec![json!(0.1)]),
        ("seed", vec![json!(-3)]),
        ("frequency_penalty", vec![json!(-2), json!(0.1)]),
        ("presence_penalty", vec![json!(2)]),
        ("repetition_penalty", vec![json!(1.05)]),
        ("n", vec![json!(1), json!(3)]),
        ("stop", vec![json!("a"), json!(["a", "\n"])]),
        ("max_completion_tokens", vec![json!(1), json!(8192)]),
        ("logprobs", vec![json!(true)]),
        ("logit_bias", vec![json!({"1": 2})]),
    ]
}

fn forms() -> Choices {
    let schema =
        json!({"name": "s", "description": "d", "schema": {"z": 1, "a": 1.50}, "strict": true});
    let formats = vec![
        json!({"type": "text"}),
        json!({"type": "json_object"}),
        json!({"type": "json_schema", "json_schema": schema}),
    ];
    let reasoning = vec![
        json!({}),
        json!({"effort": "max"}),
        json!({"effort": "none", "exclude": true}),
        json!({"max_tokens": 5, "enabled": true}),
        json!({"enabled": false}),
    ];
    let choices = vec![
        json!("auto"),
        json!("none"),
        json!("required"),
        json!({"type": "function", "function": {"name": "f"}}),
        json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [
            {"type": "function", "function": {"name": "f"}}]}}),
    ];
    vec![
        ("stream", vec![json!(true)]),
        ("reasoning", reasoning),
        ("response_format", formats),
        ("verbosity", vec![json!("high")]),
        ("service_tier", vec![json!("flex")]),
        ("prompt_cache_key", vec![json!("k\"")]),
        ("modalities", vec![json!(["text", "image"])]),
        ("user", vec![json!("ü")]),
        ("cache_control", vec![json!({"type": "ephemeral", "ttl": "1h"})]),
        ("metadata", vec![json!({"b": "1", "a": "2"})]),
        ("odd \"one\"", vec![json!([1, 2.50])]),
        ("tool_choice", choices),
        ("parallel_tool_calls", vec![json!(false), json!(true)]),
    ]
}

/// Members, each with values that say something.
fn members() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    let tools = json!([
        {"type": "function", "function": {"name": "f", "description": "", "strict": false,
            "parameters": {"b": 1, "a": 2}}},
        {"type": "function", "function": {"name": "g"}, "cache_control": {"type": "ephemeral"}},
    ]);
    let all: Choices = drawing().into_iter().chain(forms()).collect();
    let count = all.len();
    prop::sample::subsequence(all, 0..=count).prop_flat_map(move |picked| {
        let tools = tools.clone();
        let one =
            |(name, values)| prop::sample::select::<Value>(values).prop_map(move |v| (name, v));
        let values: Vec<_> = picked.into_iter().map(one).collect();
        values.prop_map(move |mut members| {
            members.push(("tools", tools.clone()));
            members
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// What the hub carries survives. Not carried: the role `developer`, arguments that are empty,
    /// and media in the results of tools, which move.
    #[test]
    fn a_generic_host_gets_what_was_asked(
        system in prop::option::of(text()),
        exchanges in prop::collection::vec(exchange(), 1..4),
        members in members(),
    ) {
        let mut messages: Vec<Value> = Vec::new();
        messages.extend(system.map(|text| json!({"role": "system", "content": text})));
        messages.extend(exchanges.into_iter().flatten());
        let mut body: Map<String, Value> =
            members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        body.insert("model".into(), "up".into());
        body.insert("messages".into(), messages.into());
        let body = Value::from(body).to_string();
        let mut read = read_request(body.as_bytes()).unwrap();
        let bytes = write(&read, &at(&Host::GENERIC)).unwrap();
        let mut again = read_request(&bytes).unwrap();
        again.rest.retain(|(name, _)| name != "stream_options");
        read.rest.sort_by(|a, b| a.0.cmp(&b.0));
        again.rest.sort_by(|a, b| a.0.cmp(&b.0));
        prop_assert!(again == read, "{body}\n{}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn hosts_never_panic(
        exchanges in prop::collection::vec(exchange(), 1..3),
        members in members(),
        host in prop::sample::select(Host::ALL),
    ) {
        let mut body: Map<String, Value> =
            members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        body.insert("messages".into(), exchanges.into_iter().flatten().collect());
        let body = Value::from(body).to_string();
        let read = read_request(body.as_bytes()).unwrap();
        if let Ok(bytes) = write(&read, &at(host)) {
            let tree: Value = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(tree["model"].as_str(), Some("up"));
        }
    }
}
