//! What is refused and by what name, and what a request becomes.

use serde_json::{Value, json};

use super::{echo, read_request};
use crate::dialect::ir::{Effort, Message, PartBody, ReasoningBody, Request, ToolChoice};
use crate::dialect::tree::Path;

fn read(body: &Value) -> Request {
    read_request(body.to_string().as_bytes()).unwrap_or_else(|e| panic!("{body}: {}", e.message))
}

fn refused(body: &str) -> String {
    let Err(error) = read_request(body.as_bytes()) else { panic!("{body}") };
    assert_eq!(error.kind.status(), 400, "{body}");
    assert!(!error.message.contains("secret"), "no text of the prompt is repeated");
    error.param.unwrap_or_default()
}

fn item(item: &str) -> String {
    format!(r#"{{"input":[{{"role":"user","content":"secret"}},{item}]}}"#)
}

fn user(part: &str) -> String {
    format!(r#"{{"input":[{{"role":"user","content":[{part}]}}]}}"#)
}

fn with(members: &str) -> String {
    format!(r#"{{"input":"secret",{members}}}"#)
}

#[test]
fn faults_name_their_place() {
    for (body, param) in [
        ("{}".to_owned(), "input"),
        (r#"{"input":[]}"#.into(), "input"),
        (r#"{"input":5}"#.into(), "input"),
        ("[]".into(), ""),
        (r#"{"input":"a","input":"b"}"#.into(), "input"),
        (with(r#""x":1,"x":2"#), "x"),
        (with(r#""temperature":3"#), "temperature"),
        (with(r#""max_output_tokens":0"#), "max_output_tokens"),
        (with(r#""prompt":{"id":"pmpt_1"}"#), "prompt"),
        (with(r#""instructions":[]"#), "instructions"),
        (with(r#""reasoning":{"effort":"huge"}"#), "reasoning.effort"),
        (with(r#""reasoning":{"effort":"low","max_tokens":9}"#), "reasoning.max_tokens"),
        (with(r#""reasoning":{"summary":"long"}"#), "reasoning.summary"),
        (with(r#""text":{"format":{"type":"xml"}}"#), "text.format.type"),
        (with(r#""text":{"format":{"type":"json_schema","schema":{}}}"#), "text.format.name"),
        (with(r#""text":{"format":{"type":"json_schema","name":"a"}}"#), "text.format.schema"),
        (with(r#""text":{"verbosity":"mute"}"#), "text.verbosity"),
        (with(r#""tools":{}"#), "tools"),
        (with(r#""tools":[{"name":"f"}]"#), "tools[0].type"),
        (with(r#""tools":[{"type":"function","name":"a b"}]"#), "tools[0].name"),
        (
            with(r#""tools":[{"type":"function","name":"f","parameters":[]}]"#),
            "tools[0].parameters",
        ),
        (with(r#""tool_choice":"always""#), "tool_choice"),
        (with(r#""tool_choice":"required""#), "tool_choice"),
        (with(r#""tools":[{"type":"web_search"}],"tool_choice":"required""#), "tool_choice"),
        (
            with(
                r#""tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"function","name":"g"}"#,
            ),
            "tool_choice.name",
        ),
        (
            with(
                r#""tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"mcp"}]}"#,
            ),
            "tool_choice.tools",
        ),
    ] {
        assert_eq!(refused(&body), param, "{body}");
    }
}

#[test]
fn faults_in_the_input_name_their_place() {
    let call = r#"{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}"#;
    let output = r#"{"type":"function_call_output","call_id":"c","output":"x"}"#;
    for (body, param) in [
        (item(r#"{"role":"tool","content":"x"}"#), "input[1].role"),
        (item(r#"{"role":"user"}"#), "input[1].content"),
        (item(r#"{"type":"dream"}"#), "input[1].type"),
        (
            item(r#"{"type":"function_call","call_id":"c","name":"","arguments":""}"#),
            "input[1].name",
        ),
        (item(r#"{"type":"function_call","name":"f","arguments":""}"#), "input[1].call_id"),
        (item(&format!("{call},{call},{output}")), "input[2].call_id"),
        (item(&format!("{call},{output},{output}")), "input[3].call_id"),
        (
            item(r#"{"type":"reasoning","summary":[{"type":"summary_text"}]}"#),
            "input[1].summary[0].text",
        ),
        (user(r#"{"type":"output_text","text":"x"}"#), "input[0].content[0].type"),
        (user(r#"{"type":"input_image","image_url":"ftp://x"}"#), "input[0].content[0].image_url"),
        (user(r#"{"type":"input_image"}"#), "input[0].content[0].image_url"),
        (
            user(r#"{"type":"input_image","image_url":"https://x","detail":"best"}"#),
            "input[0].content[0].detail",
        ),
        (user(r#"{"type":"input_file"}"#), "input[0].content[0]"),
        (
            user(r#"{"type":"input_file","file_id":"f","file_url":"https://x"}"#),
            "input[0].content[0]",
        ),
        (
            user(r#"{"type":"input_audio","input_audio":{"data":"x"}}"#),
            "input[0].content[0].input_audio.format",
        ),
        (r#"{"input":[{"type":"web_search_call","id":"ws_1"}]}"#.into(), "input"),
    ] {
        assert_eq!(refused(&body), param, "{body}");
    }
}

#[test]
fn what_means_nothing_is_let_through() {
    let body = json!({
        "input": "x", "store": false, "background": false, "previous_response_id": null,
        "conversation": null, "prompt": null, "tools": null, "text": null, "reasoning": null,
        "models": ["a/b"], "provider": {"sort": "price"}, "include": [], "stream_options": {},
    });
    let request = read(&body);
    let mut names: Vec<&str> = request.rest.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["include", "models", "provider", "stream_options"]);
    assert!(request.losses.is_empty());
}

#[test]
fn a_reasoning_item_is_kept_byte_for_byte() {
    let request = read(&json!({"input": [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
         "content": [{"type": "reasoning_text", "text": "c"}], "encrypted_content": "gA+/=\u{2028}"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "ok"}]},
    ]}));
    let Message::Assistant(turn) = &request.messages[0] else { panic!("a turn") };
    let blocks: Vec<_> = turn
        .reasoning
        .iter()
        .map(|block| {
            assert_eq!(block.id.as_deref(), Some("rs_1"));
            assert_eq!(block.format.as_deref(), Some("openai-responses-v1"));
            match &block.body {
                ReasoningBody::Summary(text) => ("summary", text.as_str()),
                ReasoningBody::Text { text, signature: None } => ("text", text.as_str()),
                ReasoningBody::Text { .. } => panic!("nobody signed it"),
                ReasoningBody::Encrypted(data) => ("encrypted", data.as_str()),
            }
        })
        .collect();
    assert_eq!(
        blocks,
        [("summary", "a"), ("summary", "b"), ("text", "c"), ("encrypted", "gA+/=\u{2028}")]
    );
    assert!(matches!(&turn.parts[0].body, PartBody::Text(text) if text == "ok"));
}

#[test]
fn losses_are_told_by_place() {
    let request = read(&json!({
        "input": [{"role": "user", "content": "x"}, {"type": "mcp_list_tools", "id": "m"}, {"type": "computer_call_output", "call_id": "c"}],
        "tools": [{"type": "function", "name": "f"}, {"type": "image_generation"}, {"type": "openrouter:web_search"}],
        "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "image_generation"}, {"type": "function", "name": "f"}]},
    }));
    let params: Vec<&str> = request.losses.iter().map(|loss| loss.param.as_ref()).collect();
    assert_eq!(params, ["tools[1]", "tools[2]", "tool_choice.tools[0]", "input[1]", "input[2]"]);
    let expected = ToolChoice::Allowed { names: vec!["f".into()], required: false };
    assert!(request.tool_choice == Some(expected));
    assert_eq!(request.messages.len(), 1);
}

#[test]
fn strict_is_the_default_where_the_schema_allows_it() {
    let closed = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    let open =
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]});
    let nested = json!({"type": "object", "properties": {"a": open}, "required": ["a"], "additionalProperties": false});
    let free = json!({"type": "object", "properties": {"a": {"type": "object"}}, "required": ["a"], "additionalProperties": false});
    let some = json!({"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"], "additionalProperties": false});
    let any_of = json!({"type": "object", "properties": {"a": {"anyOf": [closed, {"type": "null"}]}}, "required": ["a"], "additionalProperties": false});
    let none =
        json!({"type": "object", "properties": {}, "required": [], "additionalProperties": false});
    for (schema, strict, expected) in [
        (&closed, Value::Null, Some(true)),
        (&any_of, Value::Null, Some(true)),
        (&none, Value::Null, Some(true)),
        (&closed, json!(false), Some(false)),
        (&open, Value::Null, None),
        (&open, json!(true), Some(true)),
        (&nested, Value::Null, None),
        (&free, Value::Null, None),
        (&some, Value::Null, None),
        (&Value::Null, Value::Null, None),
    ] {
        let tool = json!({"type": "function", "name": "f", "parameters": schema, "strict": strict});
        assert_eq!(
            read(&json!({"input": "x", "tools": [tool]})).tools[0].strict,
            expected,
            "{schema}"
        );
    }
}

#[test]
fn reasoning_and_options_are_read() {
    let request = read(&json!({
        "input": "x", "reasoning": {"effort": "xhigh", "summary": "auto", "context": "auto"}, "safety_identifier": "s", "user": "u",
        "top_k": 5, "top_logprobs": 3, "cache_control": {"type": "ephemeral"}, "modalities": ["text"],
    }));
    assert_eq!(request.reasoning.and_then(|r| r.effort), Some(Effort::ExtraHigh));
    assert_eq!(request.user.as_deref(), Some("s"));
    assert_eq!((request.sampling.top_k, request.logprobs), (Some(5), Some(3)));
    assert!(request.cache.is_some());
    for (body, logprobs) in [
        (json!({"input": "x", "top_logprobs": 0}), None),
        (json!({"input": "x", "include": ["message.output_text.logprobs"]}), Some(0)),
        (json!({"input": "x", "include": ["reasoning.encrypted_content"]}), None),
    ] {
        assert_eq!(read(&body).logprobs, logprobs, "{body}");
    }
}

#[test]
fn an_answer_repeats_what_openais_does() {
    let of = |body: Value| -> Value {
        serde_json::from_str(&format!("{{{}}}", echo(&read(&body)))).unwrap()
    };
    let least = of(json!({"input": "x"}));
    assert_eq!(
        least,
        json!({
            "store": false, "background": false, "previous_response_id": null, "instructions": null,
            "tools": [], "tool_choice": "auto", "text": {"format": {"type": "text"}},
            "reasoning": {"effort": null, "summary": null}, "parallel_tool_calls": true,
            "temperature": null, "top_p": null, "frequency_penalty": null, "presence_penalty": null,
            "max_output_tokens": null, "top_logprobs": 0,
            "max_tool_calls": null, "truncation": "disabled", "metadata": {}, "service_tier": "auto",
            "prompt_cache_key": null, "user": null,
        })
    );
    let body = json!({
        "input": "x", "instructions": "i\n", "tools": [{"type": "function", "name": "f"}, {"type": "web_search"}],
        "tool_choice": {"type": "function", "name": "f"}, "text": {"verbosity": "low"},
        "reasoning": {"effort": "low"}, "parallel_tool_calls": false, "temperature": 0.5, "top_p": 0.25,
        "max_output_tokens": 9, "max_tool_calls": 2, "truncation": "auto", "metadata": {"a": "b"},
        "service_tier": "flex", "prompt_cache_key": "k", "user": "u",
    });
    let got = of(body.clone());
    for (name, value) in body.as_object().unwrap().iter().filter(|(name, _)| *name != "input") {
        assert_eq!(&got[name], value, "{name}");
    }
}

#[test]
fn a_long_conversation_is_read_in_linear_time() {
    let call = |i: usize| {
        let id = format!("c{i}");
        [
            json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"}),
            json!({"type": "function_call_output", "call_id": id, "output": "x"}),
        ]
    };
    let (calls, outputs): (Vec<_>, Vec<_>) = (0..20_000).map(call).map(|[c, o]| (c, o)).unzip();
    let items: Vec<Value> = calls.into_iter().chain(outputs.into_iter().rev()).collect();
    assert_eq!(read(&json!({"input": items})).messages.len(), 20_001);
    // The place of the first call without an output is told, however many there are.
    assert_eq!(Path::Top("input").item(1).to_string(), "input[1]");
}
