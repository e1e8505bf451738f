//! What the SDKs of OpenAI and OpenRouter need to find in answers and errors.

use serde_json::{Value, json};

use super::*;
use crate::dialect::Bill;
use crate::dialect::ir::{Event, FinishReason};
use crate::dialect::{AnswerShape, StreamSink as _, WholeSink as _};
use crate::error::{GatewayError, Kind, ProviderSaid};
use crate::vocab::{NanoUsd, Usage};

fn shape() -> AnswerShape {
    AnswerShape {
        id: "gen-1".into(),
        created: 7,
        model: "lab/\"quoted\"".into(),
        provider: "Prov".into(),
        reasoning_format: "anthropic-claude-v1",
        ..AnswerShape::default()
    }
}

/// The payloads of a stream; the last must be `[DONE]`.
fn payloads(wire: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(wire).unwrap();
    let mut frames: Vec<&str> = text.split_terminator("\n\n").collect();
    assert_eq!(frames.pop(), Some("data: [DONE]"), "a stream ends in [DONE]");
    let json = |frame: &&str| serde_json::from_str(frame.strip_prefix("data: ").unwrap()).unwrap();
    frames.iter().map(json).collect()
}

fn stream(events: &[Event], cost: Option<Bill>) -> Vec<Value> {
    let mut writer = StreamWriter::new(&shape());
    let mut wire = Vec::new();
    events.iter().for_each(|event| writer.write(event, cost, &mut wire));
    payloads(&wire)
}

fn whole(events: &[Event], usage: Option<&Usage>, cost: Option<Bill>) -> Value {
    let mut writer = WholeWriter::new(&shape());
    events.iter().for_each(|event| writer.write(event));
    serde_json::from_slice(&Box::new(writer).finish(usage, cost)).unwrap()
}

fn usage() -> Usage {
    Usage {
        prompt: 100,
        cache_read: 60,
        cache_write_5m: 10,
        cache_write_1h: 5,
        completion: 30,
        reasoning: 12,
        ..Usage::default()
    }
}

fn events() -> Vec<Event> {
    let (choice, index) = (0, 0);
    vec![
        Event::Start { id: Some("msg_1".into()), model: None },
        Event::Reasoning { choice, text: "H".into() },
        Event::Reasoning { choice, text: "m".into() },
        Event::ReasoningSignature { choice, signature: "SIG".into() },
        Event::ReasoningEncrypted { choice, id: None, data: "ENC".into() },
        Event::Text { choice, text: "O\n".into() },
        Event::Text { choice, text: "K \u{1f980}".into() },
        Event::ToolStart { choice, index, id: "t\"1".into(), name: "w".into() },
        Event::ToolArguments { choice, index, json: "{\"c\":".into() },
        Event::ToolArguments { choice, index, json: "1}".into() },
        Event::Finish {
            choice,
            reason: FinishReason::ToolCalls,
            native: "tool_use".into(),
            stop: None,
        },
        Event::Usage(usage()),
        Event::End,
    ]
}

fn usage_json() -> Value {
    json!({
        "prompt_tokens": 100, "completion_tokens": 30, "total_tokens": 130,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 15},
        "completion_tokens_details": {"reasoning_tokens": 12},
        "cost": 0.0015,
    })
}

#[test]
fn a_stream_has_the_form_of_openai_with_openrouters_additions() {
    let chunks = stream(&events(), Some(NanoUsd(1_500_000).into()));
    let deltas: Vec<&Value> = chunks[..chunks.len() - 1]
        .iter()
        .map(|chunk| {
            assert_eq!(chunk["id"], "gen-1");
            assert_eq!(chunk["object"], "chat.completion.chunk");
            assert_eq!(chunk["created"], 7);
            assert_eq!(chunk["model"], "lab/\"quoted\"");
            assert_eq!(chunk["provider"], "Prov");
            assert_eq!(chunk["choices"][0]["index"], 0);
            assert_eq!(chunk["choices"][0]["logprobs"], Value::Null);
            &chunk["choices"][0]["delta"]
        })
        .collect();
    let detail = |index: u64, name: &str, text: &str, kind: &str| json!([{"type": kind, name: text, "format": "anthropic-claude-v1", "index": index}]);
    let tool = |function: Value| json!({"tool_calls": [{"index": 0, "function": function}]});
    let expected = [
        json!({"role": "assistant", "content": ""}),
        json!({"reasoning": "H", "reasoning_details": detail(0, "text", "H", "reasoning.text")}),
        json!({"reasoning": "m", "reasoning_details": detail(0, "text", "m", "reasoning.text")}),
        json!({"reasoning_details": detail(0, "signature", "SIG", "reasoning.text")}),
        json!({"reasoning_details": detail(1, "data", "ENC", "reasoning.encrypted")}),
        json!({"content": "O\n"}),
        json!({"content": "K \u{1f980}"}),
        json!({"tool_calls": [{"index": 0, "id": "t\"1", "type": "function",
            "function": {"name": "w", "arguments": ""}}]}),
        tool(json!({"arguments": "{\"c\":"})),
        tool(json!({"arguments": "1}"})),
        json!({}),
    ];
    assert_eq!(deltas.len(), expected.len());
    for (got, wanted) in deltas.iter().zip(&expected) {
        assert_eq!(*got, wanted);
    }
    let finish = &chunks[chunks.len() - 2]["choices"][0];
    assert_eq!(finish["finish_reason"], "tool_calls");
    assert_eq!(finish["native_finish_reason"], "tool_use");
    let last = &chunks[chunks.len() - 1];
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"], usage_json());
}

#[test]
fn a_whole_answer_says_the_same_as_the_stream() {
    let answer = whole(&events(), Some(&usage()), Some(NanoUsd(1_500_000).into()));
    let expected = json!({
        "id": "gen-1", "object": "chat.completion", "created": 7, "model": "lab/\"quoted\"",
        "provider": "Prov",
        "choices": [{
            "index": 0,
            "message": {
                "role": "assistant", "content": "O\nK \u{1f980}", "refusal": null, "reasoning": "Hm",
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "Hm", "signature": "SIG",
                     "format": "anthropic-claude-v1", "index": 0},
                    {"type": "reasoning.encrypted", "data": "ENC",
                     "format": "anthropic-claude-v1", "index": 1},
                ],
                "tool_calls": [{"index": 0, "id": "t\"1", "type": "function",
                    "function": {"name": "w", "arguments": "{\"c\":1}"}}],
            },
            "finish_reason": "tool_calls", "native_finish_reason": "tool_use", "logprobs": null,
        }],
        "system_fingerprint": null, "usage": usage_json(),
    });
    assert_eq!(answer, expected);
}

#[test]
fn content_is_null_only_where_something_else_was_said() {
    let choice = 0;
    let finish = |reason| Event::Finish { choice, reason, native: "x".into(), stop: None };
    let empty = whole(&[finish(FinishReason::Length)], None, None);
    assert_eq!(empty["choices"][0]["message"]["content"], "");
    assert_eq!(empty.get("usage"), None, "no usage is made up");
    let refused =
        [Event::Refusal { choice, text: "No.".into() }, finish(FinishReason::ContentFilter)];
    let refused = whole(&refused, None, None);
    assert_eq!(refused["choices"][0]["message"]["content"], Value::Null);
    assert_eq!(refused["choices"][0]["message"]["refusal"], "No.");
}

#[test]
fn hidden_reasoning_is_nowhere() {
    let mut writer = StreamWriter::new(&AnswerShape { hide_reasoning: true, ..shape() });
    let mut wire = Vec::new();
    events().iter().for_each(|event| writer.write(event, None, &mut wire));
    for chunk in payloads(&wire) {
        assert!(!chunk["choices"].to_string().contains("reasoning"), "{chunk}");
    }
    let mut writer = WholeWriter::new(&AnswerShape { hide_reasoning: true, ..shape() });
    events().iter().for_each(|event| writer.write(event));
    let answer: Value = serde_json::from_slice(&Box::new(writer).finish(None, None)).unwrap();
    assert_eq!(answer["choices"][0]["message"]["reasoning"], Value::Null);
    assert_eq!(answer["choices"][0]["message"].get("reasoning_details"), None);
}

#[test]
fn each_choice_begins_with_its_role_and_absurd_ones_are_harmless() {
    let text = |choice| Event::Text { choice, text: "x".into() };
    let chunks = stream(&[text(1), text(0), text(1), text(u32::MAX), Event::End], None);
    let seen: Vec<(u64, bool)> = chunks
        .iter()
        .map(|c| &c["choices"][0])
        .map(|c| (c["index"].as_u64().unwrap(), c["delta"].get("role").is_some()))
        .collect();
    let expected = [(1, true), (1, false), (0, true), (0, false), (1, false)];
    assert_eq!(seen[..5], expected);
    assert_eq!(seen[5], (u64::from(u32::MAX), false));
    assert_eq!(whole(&[text(u32::MAX)], None, None)["choices"].as_array().unwrap().len(), 1);
}

fn fault() -> GatewayError {
    GatewayError::new(Kind::ProviderFailed, "Provider \"Prov\" failed")
        .with_param("model")
        .with_detail("for the log only")
        .with_provider(ProviderSaid {
            provider: "Prov".into(),
            status: 529,
            code: Some("overloaded_error".into()),
            raw: "{\"a\":1}\n".into(),
        })
}

#[test]
fn errors_have_the_form_of_openrouter() {
    let expected = json!({
        "code": 502, "message": "Provider \"Prov\" failed", "type": "provider_unavailable",
        "param": "model",
        "metadata": {"error_type": "provider_unavailable", "provider_name": "Prov",
            "raw": "{\"a\":1}\n", "provider_code": "overloaded_error"},
    });
    let body: Value = serde_json::from_slice(&error_body(&fault())).unwrap();
    assert_eq!(body, json!({"error": expected}));
    let mut wire = Vec::new();
    error_chunk(&shape(), &fault(), &mut wire);
    let chunks = payloads(&wire);
    assert_eq!(chunks.len(), 1);
    assert_eq!(chunks[0]["error"], expected);
    assert_eq!(chunks[0]["choices"][0]["finish_reason"], "error");
    assert_eq!(chunks[0]["choices"][0]["delta"], json!({"content": ""}));
    assert_eq!(chunks[0]["id"], "gen-1");
    let plain = GatewayError::new(Kind::NotFound, "No such route.");
    let body: Value = serde_json::from_slice(&error_body(&plain)).unwrap();
    assert_eq!(body["error"]["param"], Value::Null);
    assert_eq!(body["error"]["metadata"], json!({"error_type": "not_found"}));
}
