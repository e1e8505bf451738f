//! Answers that are not as they should be.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Reader, read_whole};
use crate::dialect::ir::{Event, FinishReason};
use crate::dialect::sse::Frame;
use crate::dialect::{AnswerFault, Reader as _};

fn read(datas: &[&str]) -> (Vec<Event>, Result<(), AnswerFault>) {
    let (mut reader, mut out) = (Reader::new(), Vec::new());
    for data in datas {
        if let Err(fault) = reader.read(&Frame { event: "", data }, &mut out) {
            return (out, Err(fault));
        }
    }
    (out, Ok(()))
}

fn whole(body: &str) -> Result<Vec<Event>, AnswerFault> {
    let mut out = Vec::new();
    let result = read_whole(body.as_bytes(), &mut out);
    assert!(result.is_ok() || out.is_empty(), "a fault leaves no events");
    result.map(|()| out)
}

fn in_band(code: Option<&str>, message: &str) -> AnswerFault {
    AnswerFault::InBand { code: code.map(Into::into), message: message.into() }
}

#[test]
fn faults_of_streams_are_named() {
    let garbled = |datas: &[&str]| matches!(read(datas).1, Err(AnswerFault::Garbled(_)));
    assert!(garbled(&["[]"]));
    assert!(garbled(&["nonsense"]));
    assert!(garbled(&[r#"{"type":"response.completed"}"#]));
    assert!(garbled(&[r#"{"type":"response.output_item.added","output_index":0}"#]));
    assert!(garbled(&[
        r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call"}}"#
    ]));
    assert!(garbled(&[
        r#"{"type":"response.function_call_arguments.delta","output_index":3,"delta":"{"}"#
    ]));
    assert_eq!(read(&["{"]).1, Err(AnswerFault::Truncated));
    for (data, fault) in [
        (r#"{"type":"error","code":"c","message":"m"}"#, in_band(Some("c"), "m")),
        (r#"{"type":"error","error":{"type":"t","message":"m"}}"#, in_band(Some("t"), "m")),
        (r#"{"type":"error"}"#, in_band(None, "no message")),
        (r#"{"error":{"message":"m"}}"#, in_band(None, "m")),
        (
            r#"{"type":"response.failed","response":{"error":{"code":"c","message":"m"}}}"#,
            in_band(Some("c"), "m"),
        ),
        (r#"{"type":"response.failed","response":{}}"#, in_band(Some("failed"), "no message")),
        (
            r#"{"type":"response.cancelled","response":{}}"#,
            in_band(Some("cancelled"), "no message"),
        ),
    ] {
        assert_eq!(read(&[data]).1, Err(fault), "{data}");
    }
    let long = format!(r#"{{"type":"error","message":"{}"}}"#, "é".repeat(5000));
    let Err(AnswerFault::InBand { message, .. }) = read(&[&long]).1 else { panic!("in band") };
    assert!(message.len() <= 1024);
}

#[test]
fn faults_of_whole_answers_are_named() {
    for (body, fault) in [
        ("", AnswerFault::Empty),
        (" \n", AnswerFault::Empty),
        (r#"{"object":"response"}"#, AnswerFault::Empty),
        (r#"{"object":"response","status":"#, AnswerFault::Truncated),
        (r#"{"object":"response","status":"in_progress","output":[]}"#, AnswerFault::Truncated),
        (r#"{"object":"response","status":"queued"}"#, AnswerFault::Truncated),
        (r#"{"error":{"code":"c","message":"m"}}"#, in_band(Some("c"), "m")),
        (
            r#"{"object":"response","status":"failed","error":{"code":"c","message":"m"}}"#,
            in_band(Some("c"), "m"),
        ),
        (r#"{"object":"response","status":"cancelled"}"#, in_band(Some("cancelled"), "no message")),
    ] {
        assert_eq!(whole(body), Err(fault), "{body}");
    }
    assert!(matches!(whole("{}"), Err(AnswerFault::Garbled(_))));
    assert!(matches!(whole("[1]"), Err(AnswerFault::Garbled(_))));
    assert!(matches!(whole("<html>"), Err(AnswerFault::Garbled(_))));
    let mut out = Vec::new();
    assert!(matches!(read_whole(b"\xff", &mut out), Err(AnswerFault::Garbled(_))));
}

#[test]
fn each_ending_has_its_finish_reason() {
    let call = r#"{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}"#;
    for (status, details, output, reason, native) in [
        ("completed", "null", "", FinishReason::Stop, "completed"),
        ("completed", "null", call, FinishReason::ToolCalls, "completed"),
        (
            "incomplete",
            r#"{"reason":"max_output_tokens"}"#,
            "",
            FinishReason::Length,
            "max_output_tokens",
        ),
        (
            "incomplete",
            r#"{"reason":"max_output_tokens"}"#,
            call,
            FinishReason::Length,
            "max_output_tokens",
        ),
        (
            "incomplete",
            r#"{"reason":"content_filter"}"#,
            "",
            FinishReason::ContentFilter,
            "content_filter",
        ),
        ("incomplete", "null", "", FinishReason::Length, "incomplete"),
    ] {
        let body = format!(
            r#"{{"object":"response","status":"{status}","incomplete_details":{details},"output":[{output}],"error":null}}"#
        );
        let events = whole(&body).unwrap();
        let finish = Event::Finish { choice: 0, reason, native: native.into(), stop: None };
        assert_eq!(events[events.len() - 2..], [finish, Event::End], "{body}");
    }
}

#[test]
fn nothing_after_the_end_counts() {
    let end = r#"{"type":"response.completed","response":{"status":"completed","output":[]}}"#;
    let (events, result) = read(&[end, r#"{"type":"error","message":"late"}"#, "garbage"]);
    assert_eq!(result, Ok(()));
    assert_eq!(events.last(), Some(&Event::End));
}

#[test]
fn usage_adds_up_whatever_is_sent() {
    let usage = |usage: &str| {
        let body =
            format!(r#"{{"object":"response","status":"completed","output":[],"usage":{usage}}}"#);
        whole(&body).unwrap().into_iter().find_map(|event| match event {
            Event::Usage(usage) => Some(usage),
            _ => None,
        })
    };
    let got = usage(r#"{"input_tokens":10,"input_tokens_details":{"cached_tokens":99,"cache_write_tokens":9},"output_tokens":5,"output_tokens_details":{"reasoning_tokens":9}}"#).unwrap();
    assert_eq!((got.prompt, got.cache_read, got.cache_write_5m), (10, 10, 0));
    assert_eq!((got.completion, got.reasoning), (5, 5));
    let beside = usage(r#"{"input_tokens":10,"output_tokens":5,"output_tokens_details":{"reasoning_tokens":7},"total_tokens":22}"#).unwrap();
    assert_eq!((beside.completion, beside.reasoning), (12, 7));
    assert_eq!(usage("null"), None);
    assert_eq!(usage("[]"), None);
    let absurd =
        usage(r#"{"input_tokens":-3,"output_tokens":"many","input_tokens_details":null}"#).unwrap();
    assert_eq!((absurd.prompt, absurd.completion), (0, 0));
}

#[test]
fn items_and_parts_are_bounded() {
    let item = |i: usize| {
        json!({"type": "response.output_text.delta", "output_index": i, "delta": "x"}).to_string()
    };
    let part = |i: usize| {
        json!({"type": "response.output_text.delta", "content_index": i, "delta": "x"}).to_string()
    };
    for datas in [(0..5000).map(item).collect::<Vec<_>>(), (0..5000).map(part).collect()] {
        let datas: Vec<&str> = datas.iter().map(String::as_str).collect();
        assert!(matches!(read(&datas).1, Err(AnswerFault::Garbled(_))));
    }
}

/// Events of any order and completeness.
fn any_data() -> impl Strategy<Value = Value> {
    let index = || 0_u64..3;
    let text = || prop::sample::select(vec!["", "a", "\"\\é"]);
    let item = (index(), prop::sample::select(vec!["message", "reasoning", "function_call", "custom_tool_call", "image_generation_call", "web_search_call"]), text())
        .prop_map(|(i, kind, text)| {
            json!({"type": kind, "id": format!("i{i}"), "call_id": format!("c{i}"), "name": "f", "arguments": text, "input": text, "result": text,
                "encrypted_content": text, "summary": [{"text": text}],
                "content": [{"text": text, "annotations": [{"type": "url_citation", "url": "u", "start_index": 1, "end_index": 2}]}, {"refusal": text}]})
        });
    let kind = prop::sample::select(vec![
        "response.output_text.delta",
        "response.output_text.done",
        "response.refusal.delta",
        "response.refusal.done",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_text.delta",
        "response.reasoning_text.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.custom_tool_call_input.delta",
        "response.custom_tool_call_input.done",
        "response.output_item.added",
        "response.output_item.done",
        "response.output_item.added",
        "response.output_item.done",
        "response.output_text.annotation.added",
        "response.created",
        "response.unheard_of",
    ]);
    (kind, index(), index(), item, text()).prop_map(|(kind, at, part, item, text)| {
        json!({"type": kind, "output_index": at, "content_index": part, "summary_index": part, "item": item, "delta": text, "text": text,
            "refusal": text, "arguments": text, "input": text, "annotation": {"type": "url_citation", "url": "u"},
            "response": {"id": "r", "output": []}})
    })
}

proptest! {
    #[test]
    fn events_keep_their_order_whatever_comes(datas in prop::collection::vec(any_data(), 0..30)) {
        let mut datas: Vec<String> = datas.iter().map(Value::to_string).collect();
        datas.push(json!({"type": "response.completed", "response": {"output": []}}).to_string());
        let (events, result) = read(&datas.iter().map(String::as_str).collect::<Vec<_>>());
        let mut calls = 0;
        for event in &events {
            match event {
                Event::ToolStart { index, .. } => {
                    prop_assert_eq!(*index, calls);
                    calls += 1;
                }
                Event::ToolArguments { index, json, .. } => {
                    prop_assert!(*index < calls && !json.is_empty());
                }
                Event::Text { text, .. } | Event::Reasoning { text, .. } | Event::ReasoningSummary { text, .. }
                | Event::Refusal { text, .. } => prop_assert!(!text.is_empty()),
                _ => {}
            }
        }
        if result.is_ok() {
            prop_assert_eq!(events.last(), Some(&Event::End));
        }
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), json in "[\\[\\]{}\",:a-z0-9 ]{0,80}") {
        let mut out = Vec::new();
        drop(read_whole(&bytes, &mut out));
        drop(read_whole(json.as_bytes(), &mut out));
        drop(read(&[&json]));
    }
}
