//! Answers that are not as they should be, and error answers.

use proptest::prelude::*;

use super::{Reader, provider_fault, read_whole};
use crate::dialect::ir::{Event, FinishReason};
use crate::dialect::sse::Frame;
use crate::dialect::{AnswerFault, FaultClass, Reader as _};

fn read(datas: &[&str]) -> (Vec<Event>, Result<(), AnswerFault>) {
    let (mut reader, mut out) = (Reader::new(), Vec::new());
    for data in datas {
        if let Err(fault) = reader.read(&Frame { event: "", data }, &mut out) {
            return (out, Err(fault));
        }
    }
    (out, Ok(()))
}

const START: &str = r#"{"type":"message_start","message":{"id":"m","usage":{"input_tokens":1}}}"#;
const TEXT: &str =
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"a"}}"#;
const TOOL: &str = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"w","input":{}}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

#[test]
fn faults_of_streams_are_named() {
    let garbled = |datas: &[&str]| matches!(read(datas).1, Err(AnswerFault::Garbled(_)));
    assert!(garbled(&["{"]));
    assert!(garbled(&["[]"]));
    assert!(garbled(&[TEXT]), "a block before the message");
    assert!(garbled(&[START, TEXT, TEXT]), "the same block twice");
    assert!(garbled(&[START, &START.replace("\"m\"", "\"n\"")]), "another message");
    assert!(garbled(&[START, r#"{"type":"content_block_start","index":0}"#]));
    assert!(garbled(&[
        START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":5}}"#
    ]));
    assert!(garbled(&[
        START,
        r#"{"type":"content_block_delta","index":9,"delta":{"type":"text_delta","text":"a"}}"#
    ]));
    assert!(garbled(&[
        START,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use"}}"#
    ]));
    assert_eq!(read(&[START, STOP]).1, Err(AnswerFault::Empty));
    assert_eq!(read(&[START, TEXT, STOP]).1, Err(AnswerFault::Truncated), "no stop_reason");
    let bare = r#"{"type":"error"}"#;
    let fault = AnswerFault::InBand { code: None, message: "no message".into() };
    assert_eq!(read(&[bare]).1, Err(fault));
    let long = format!(r#"{{"type":"error","error":{{"message":"{}"}}}}"#, "é".repeat(5000));
    let Err(AnswerFault::InBand { message, .. }) = read(&[&long]).1 else { panic!("in band") };
    assert!(message.len() <= 1024);
}

#[test]
fn many_open_blocks_are_refused() {
    let blocks: Vec<String> = (0..100).map(|i| TEXT.replace(":0,", &format!(":{i},"))).collect();
    let datas: Vec<&str> =
        std::iter::once(START).chain(blocks.iter().map(String::as_str)).collect();
    assert!(matches!(read(&datas).1, Err(AnswerFault::Garbled(_))));
}

#[test]
fn a_call_left_open_is_closed_and_end_turn_with_calls_means_calls() {
    let delta = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#;
    let (events, result) = read(&[START, TOOL, delta, delta, STOP]);
    assert_eq!(result, Ok(()));
    let finishes: Vec<&Event> =
        events.iter().filter(|e| matches!(e, Event::Finish { .. })).collect();
    let (choice, index) = (0, 0);
    let finish = Event::Finish {
        choice,
        reason: FinishReason::ToolCalls,
        native: "end_turn".into(),
        stop: None,
    };
    assert_eq!(finishes, [&finish]);
    assert!(events.contains(&Event::ToolArguments { choice, index, json: "{}".into() }));
    assert_eq!(events.last(), Some(&Event::End));
}

#[test]
fn stop_reasons_are_mapped() {
    for (native, reason) in [
        ("end_turn", FinishReason::Stop),
        ("stop_sequence", FinishReason::Stop),
        ("pause_turn", FinishReason::Stop),
        ("max_tokens", FinishReason::Length),
        ("model_context_window_exceeded", FinishReason::Length),
        ("tool_use", FinishReason::ToolCalls),
        ("refusal", FinishReason::ContentFilter),
    ] {
        let body = format!(r#"{{"type":"message","content":[],"stop_reason":"{native}"}}"#);
        let mut events = Vec::new();
        read_whole(body.as_bytes(), &mut events).unwrap();
        let finish = Event::Finish { choice: 0, reason, native: native.into(), stop: None };
        assert!(events.contains(&finish), "{native}");
    }
}

#[test]
fn faults_of_whole_answers_are_named() {
    let fault = |body: &str| {
        let mut out = Vec::new();
        let fault = read_whole(body.as_bytes(), &mut out).unwrap_err();
        assert!(out.is_empty());
        fault
    };
    assert_eq!(fault(" \n"), AnswerFault::Empty);
    assert_eq!(fault(r#"{"type":"message","content":[]}"#), AnswerFault::Empty);
    assert_eq!(fault(r#"{"type":"message","content":[{"ty"#), AnswerFault::Truncated);
    let text = r#"{"type":"message","content":[{"type":"text","text":"a"}]}"#;
    assert_eq!(fault(text), AnswerFault::Truncated);
    for body in ["<html>", "{}", "[]", r#"{"type":"list"}"#, "{}x"] {
        assert!(matches!(fault(body), AnswerFault::Garbled(_)), "{body}");
    }
    let odd = r#"{"type":"message","content":[{"type":"new","text":1},{"type":"text","text":"a"}],"stop_reason":"end_turn"}"#;
    let mut out = Vec::new();
    read_whole(odd.as_bytes(), &mut out).unwrap();
    assert!(out.contains(&Event::Text { choice: 0, text: "a".into() }));
}

#[test]
fn error_answers_are_classified() {
    let error = |kind: &str, message: &str| {
        format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}}}}"#)
    };
    let invalid = "invalid_request_error";
    let limit = r#"{"error":{"type":"rate_limit_error","message":"x","details":{"error_code":"enforced_spend_limit_reached"}}}"#;
    let cases: [(u16, String, FaultClass); 20] = [
        (400, error(invalid, "prompt is too long: 9 > 8"), FaultClass::ContextLength),
        (
            400,
            error(invalid, "input length and `max_tokens` exceed context limit: 9"),
            FaultClass::ContextLength,
        ),
        (400, error(invalid, "Your credit balance is too low to"), FaultClass::Billing),
        (
            400,
            error(invalid, "Output blocked by content filtering policy"),
            FaultClass::ContentPolicy,
        ),
        (400, error(invalid, "max_tokens: Field required"), FaultClass::InvalidRequest),
        (401, error("authentication_error", "x"), FaultClass::Authentication),
        (402, error("billing_error", "x"), FaultClass::Billing),
        (403, error("permission_error", "x"), FaultClass::Permission),
        (404, error("not_found_error", "x"), FaultClass::NotFound),
        (408, error(invalid, "x"), FaultClass::Timeout),
        (409, error(invalid, "x"), FaultClass::Conflict),
        (422, error(invalid, "x"), FaultClass::InvalidRequest),
        (409, error("conflict_error", "x"), FaultClass::Conflict),
        (413, error("request_too_large", "x"), FaultClass::InvalidRequest),
        (429, error("rate_limit_error", "x"), FaultClass::RateLimited),
        (429, limit.to_owned(), FaultClass::Billing),
        (500, error("api_error", "x"), FaultClass::Server),
        (504, error("timeout_error", "x"), FaultClass::Timeout),
        (529, error("overloaded_error", "x"), FaultClass::Overloaded),
        (503, "<html>secret</html>".to_owned(), FaultClass::Overloaded),
    ];
    for (status, body, class) in cases {
        let fault = provider_fault(status, body.as_bytes());
        assert_eq!(fault.class, class, "{status} {body}");
        assert!(!fault.message.contains('<'), "no HTML is handed on");
    }
    assert_eq!(provider_fault(418, b"").class, FaultClass::InvalidRequest);
    assert_eq!(provider_fault(599, b"").class, FaultClass::Server);
}

/// Events that are right, with something changed.
fn mutated() -> impl Strategy<Value = String> {
    let delta = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"b","partial_json":"{","signature":"s"}}"#;
    let end = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#;
    let whole = [START, TEXT, TOOL, delta, end, STOP, r#"{"type":"content_block_stop","index":0}"#];
    let swaps = [
        ("text", "thinking"),
        ("\"", ""),
        (":0", ":1"),
        ("{", "["),
        ("tool_use", "redacted_thinking"),
        ("1", "-1"),
        ("2", "99999999999999999999"),
        ("text_delta", "signature_delta"),
        ("text_delta", "input_json_delta"),
        ("\"a\"", "null"),
        ("index", "é"),
        ("", ""),
    ];
    (prop::sample::select(whole.to_vec()), prop::sample::select(swaps.to_vec()), 0_usize..2)
        .prop_map(|(data, (from, to), how)| match how {
            0 => data.to_owned(),
            _ => data.replacen(from, to, 1),
        })
}

proptest! {
    #[test]
    fn hostile_events_never_break_the_order(datas in prop::collection::vec(mutated(), 0..14)) {
        let datas: Vec<&str> = datas.iter().map(String::as_str).collect();
        let (events, _) = read(&datas);
        let place = |wanted: fn(&Event) -> bool| events.iter().position(wanted);
        if let Some(start) = place(|e| matches!(e, Event::Start { .. })) {
            prop_assert_eq!(start, 0);
        }
        if let Some(end) = place(|e| matches!(e, Event::End)) {
            prop_assert_eq!(end, events.len() - 1);
            let finish = place(|e| matches!(e, Event::Finish { .. }));
            prop_assert!(finish.is_some());
        }
        let finishes = events.iter().filter(|e| matches!(e, Event::Finish { .. })).count();
        prop_assert!(finishes <= 1);
        for event in &events {
            match event {
                Event::Text { text, .. } | Event::Reasoning { text, .. } => {
                    prop_assert!(!text.is_empty());
                }
                Event::ToolArguments { json, .. } => prop_assert!(!json.is_empty()),
                _ => {}
            }
        }
    }

    #[test]
    fn any_bytes_are_an_answer_or_a_fault(body in any::<Vec<u8>>(), status in any::<u16>()) {
        let mut out = Vec::new();
        prop_assert_eq!(read_whole(&body, &mut out).is_ok(), !out.is_empty());
        prop_assert!(provider_fault(status, &body).message.len() <= 1024);
    }
}
