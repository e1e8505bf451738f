//! Faults in requests are named, and what is right is read.

use proptest::prelude::*;

use super::read_request;
use crate::dialect::ir::{Effort, Message, ToolChoice};
use crate::error::{GatewayError, Kind};

fn fault(body: &str) -> GatewayError {
    let error = read_request(body.as_bytes()).expect_err(body);
    assert_eq!(error.kind, Kind::InvalidRequest, "{body}");
    error
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn faults_name_their_place() {
    let one = r#"[{"role":"user","content":"x"}]"#;
    let tools = r#""tools":[{"type":"function","function":{"name":"a"}}]"#;
    let with = |rest: &str| format!(r#"{{"messages":{one},{rest}}}"#);
    let says = |message: &str| format!(r#"{{"messages":[{message}]}}"#);
    let part = |part: &str| says(&format!(r#"{{"role":"user","content":[{part}]}}"#));
    let call = r#"{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"w"}}]}"#;
    let cases = [
        ("{}".to_owned(), "messages"),
        (r#"{"messages":[]}"#.into(), "messages"),
        (r#"{"messages":"x"}"#.into(), "messages"),
        (says("5"), "messages[0]"),
        (says(r#"{"role":"narrator","content":"x"}"#), "messages[0].role"),
        (says(r#"{"content":"x"}"#), "messages[0].role"),
        (says(r#"{"role":"user"}"#), "messages[0].content"),
        (says(r#"{"role":"user","content":5}"#), "messages[0].content"),
        (says(r#"{"role":"user","content":"a","content":"b"}"#), "messages[0].content"),
        (part(r#"{"type":"text"}"#), "messages[0].content[0].text"),
        (part(r#"{"type":"text","text":"a"},{"type":"poem"}"#), "messages[0].content[1].type"),
        (
            part(r#"{"type":"image_url","image_url":{"url":"ftp://a"}}"#),
            "messages[0].content[0].image_url.url",
        ),
        (
            part(r#"{"type":"image_url","image_url":{"url":"data:,","detail":"x"}}"#),
            "messages[0].content[0].image_url.detail",
        ),
        (
            part(r#"{"type":"input_audio","input_audio":{"data":"a"}}"#),
            "messages[0].content[0].input_audio.format",
        ),
        (part(r#"{"type":"file","file":{}}"#), "messages[0].content[0].file"),
        (
            part(r#"{"type":"text","text":"a","cache_control":{"type":"x"}}"#),
            "messages[0].content[0].cache_control.type",
        ),
        (
            part(r#"{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"2h"}}"#),
            "messages[0].content[0].cache_control.ttl",
        ),
        (
            says(r#"{"role":"system","content":[{"type":"image_url"}]}"#),
            "messages[0].content[0].type",
        ),
        (
            says(r#"{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"a b"}}]}"#),
            "messages[0].tool_calls[0].function.name",
        ),
        (
            says(r#"{"role":"assistant","tool_calls":[{"id":"","function":{"name":"a"}}]}"#),
            "messages[0].tool_calls[0].id",
        ),
        (
            says(
                r#"{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"a","arguments":{}}}]}"#,
            ),
            "messages[0].tool_calls[0].function.arguments",
        ),
        (
            says(r#"{"role":"assistant","reasoning_details":[{"text":"a"}]}"#),
            "messages[0].reasoning_details[0].type",
        ),
        (says(call), "messages[0].tool_calls[0]"),
        (
            says(&format!(r#"{call},{{"role":"tool","tool_call_id":"b","content":"x"}}"#)),
            "messages[1].tool_call_id",
        ),
        (says(&format!(r#"{call},{{"role":"user","content":"x"}}"#)), "messages[0].tool_calls[0]"),
        (says(r#"{"role":"tool","tool_call_id":"a","content":"x"}"#), "messages[0].tool_call_id"),
        (says(r#"{"role":"function","name":"a","content":"x"}"#), "messages[0].name"),
        (with(r#""temperature":3"#), "temperature"),
        (with(r#""temperature":"1""#), "temperature"),
        (with(r#""top_p":-0.1"#), "top_p"),
        (with(r#""max_tokens":0"#), "max_tokens"),
        (with(r#""max_completion_tokens":1.5"#), "max_completion_tokens"),
        (with(r#""n":129"#), "n"),
        (with(r#""stop":["a","b","c","d","e"]"#), "stop"),
        (with(r#""stop":[5]"#), "stop[0]"),
        (with(r#""stream":"yes""#), "stream"),
        (with(r#""stream":true,"stream":false"#), "stream"),
        (with(r#""future":1,"future":2"#), "future"),
        (with(r#""reasoning":{"effort":"huge"}"#), "reasoning.effort"),
        (with(r#""reasoning":{"effort":"low","max_tokens":5}"#), "reasoning.max_tokens"),
        (with(r#""reasoning":{"effort":"low"},"reasoning_effort":"high""#), "reasoning_effort"),
        (with(r#""response_format":{"type":"xml"}"#), "response_format.type"),
        (with(r#""response_format":{"type":"json_schema"}"#), "response_format.json_schema"),
        (
            with(
                r#""response_format":{"type":"json_schema","json_schema":{"name":"a","schema":5}}"#,
            ),
            "response_format.json_schema.schema",
        ),
        (with(r#""metadata":5"#), "metadata"),
        (with(r#""tools":{}"#), "tools"),
        (with(r#""tools":[{"type":"openrouter:web_search"}]"#), "tools[0].type"),
        (with(r#""tools":[{"type":"function","function":{"name":""}}]"#), "tools[0].function.name"),
        (
            with(r#""tools":[{"type":"function","function":{"name":"a","parameters":[]}}]"#),
            "tools[0].function.parameters",
        ),
        (with(r#""tool_choice":"required""#), "tool_choice"),
        (with(&format!(r#"{tools},"tool_choice":"always""#)), "tool_choice"),
        (
            with(&format!(
                r#"{tools},"tool_choice":{{"type":"function","function":{{"name":"b"}}}}"#
            )),
            "tool_choice.function.name",
        ),
        (with(r#""functions":[]"#), "functions"),
    ];
    for (body, param) in cases {
        let error = fault(&body);
        assert_eq!(error.param.as_deref(), Some(param), "{body}");
        assert!(error.message.contains(param), "{}", error.message);
    }
}

#[test]
fn bad_json_is_told_with_its_position_and_not_quoted() {
    for (body, part) in [
        ("{\"messages\":\n[}", "line 2 column"),
        ("\"my secret prompt\"", "line 1"),
        ("[1]", "one JSON object"),
        ("{} {}", "line 1"),
        ("", "line 1"),
    ] {
        let message = fault(body).message;
        assert!(message.contains(part), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
    assert!(read_request(b"{\"a\":\"\xff\"}").is_err());
}

#[test]
fn hostile_shapes_are_refused() {
    let deep = format!(r#"{{"messages":{}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
    fault(&deep);
    fault(&format!(r#"{{"messages":[{}0]}}"#, "0,".repeat(1_100_000)));
    let deep_schema = format!(
        r#"{{"messages":[{{"role":"user","content":"x"}}],"future":{}1{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert_eq!(read_request(deep_schema.as_bytes()).unwrap().rest.len(), 1);
    let many: Vec<String> = (0..2000).map(|i| format!("\"k{i}\":0")).collect();
    fault(&format!("{{{}}}", many.join(",")));
}

#[test]
fn what_is_right_is_read() {
    let body = r#"{"model":"a/b:nitro","messages":[{"role":"developer","content":"s"},
        {"role":"user","content":"u","name":"Ann"}],"max_tokens":5,"max_completion_tokens":6,
        "temperature":0,"seed":-3,"stop":null,"tool_choice":"auto","reasoning_effort":"xhigh",
        "include_reasoning":false,"provider":{"z":1.0,"a":1e2},"stream_options":null}"#;
    let request = read_request(body.as_bytes()).unwrap();
    assert_eq!(request.model.as_deref(), Some("a/b:nitro"));
    assert_eq!(request.max_tokens, Some(6));
    assert_eq!((request.sampling.temperature, request.sampling.seed), (Some(0.0), Some(-3)));
    assert!(request.tool_choice == Some(ToolChoice::Auto));
    assert!(request.reasoning.is_some_and(|r| r.effort == Some(Effort::ExtraHigh)));
    assert!(request.hides_reasoning());
    assert!(
        matches!(&request.messages[1], Message::User { name: Some(name), .. } if name == "Ann")
    );
    let rest: Vec<(&str, &str)> =
        request.rest.iter().map(|(name, raw)| (name.as_str(), raw.as_str())).collect();
    assert_eq!(rest, [("provider", r#"{"z":1.0,"a":1e2}"#), ("stream_options", "null")]);
    assert!(!format!("{request:?}").contains("Ann"), "Debug does not show the conversation");
}

proptest! {
    #[test]
    fn a_changed_byte_never_panics(at in 0_usize..400, byte in any::<u8>()) {
        let mut body = br#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"},
            {"type":"image_url","image_url":{"url":"https://a"}}]},{"role":"assistant","tool_calls":
            [{"id":"a","type":"function","function":{"name":"w","arguments":"{}"}}]},
            {"role":"tool","tool_call_id":"a","content":"r"}],"tools":[{"type":"function",
            "function":{"name":"w","parameters":{}}}],"stop":["a"],"n":1}"#.to_vec();
        let at = at % body.len();
        body[at] = byte;
        if let Err(error) = read_request(&body) {
            prop_assert_eq!(error.kind, Kind::InvalidRequest);
        }
    }
}
