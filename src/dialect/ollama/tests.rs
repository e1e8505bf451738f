//! Answers that are not as they should be, and error answers.

use proptest::prelude::*;

use super::{Reader, provider_fault, read_whole};
use crate::dialect::ir::{Event, FinishReason};
use crate::dialect::sse::Frame;
use crate::dialect::{AnswerFault, FaultClass, Reader as _};

fn read(lines: &[&str]) -> (Vec<Event>, Result<(), AnswerFault>) {
    let (mut reader, mut out) = (Reader::new(), Vec::new());
    for data in lines {
        if let Err(fault) = reader.read(&Frame { event: "", data }, &mut out) {
            return (out, Err(fault));
        }
    }
    (out, Ok(()))
}

const TEXT: &str = r#"{"model":"m","created_at":"2026","message":{"role":"assistant","content":"a"},"done":false}"#;
const CALL: &str = r#"{"message":{"content":"","tool_calls":[{"function":{"name":"w","arguments":{"a":1}}}]},"done":false}"#;
const END: &str = r#"{"message":{"content":""},"done":true,"done_reason":"stop","prompt_eval_count":1,"eval_count":2}"#;

#[test]
fn faults_of_streams_are_named() {
    let garbled = |lines: &[&str]| matches!(read(lines).1, Err(AnswerFault::Garbled(_)));
    for line in ["{", "[]", "5", "{}", r#"{"model":"m"}"#, "data: {}"] {
        assert!(garbled(&[line]), "{line}");
    }
    assert!(garbled(&[&TEXT.replace("\"a\"", "5")]), "a text that is a number");
    assert!(garbled(&vec![CALL; 1100]), "calls are bounded");
    let in_band =
        |message: &str| Err(AnswerFault::InBand { code: None, message: message.to_owned() });
    assert_eq!(read(&[TEXT, r#"{"error":"x"}"#]).1, in_band("x"));
    assert_eq!(read(&[r#"{"error":{"message":"x","code":5}}"#]).1, in_band("x"));
    assert_eq!(read(&[r#"{"error":5}"#]).1, in_band("no message"));
    let long = format!(r#"{{"error":"{}"}}"#, "é".repeat(5000));
    let Err(AnswerFault::InBand { message, .. }) = read(&[&long]).1 else { panic!("in band") };
    assert!(message.len() <= 1024);
}

#[test]
fn after_the_end_nothing_is_read() {
    let (events, result) = read(&[TEXT, END, "garbage", TEXT]);
    assert_eq!(result, Ok(()));
    assert_eq!(events.last(), Some(&Event::End));
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Text { .. })).count(), 1);
}

#[test]
fn ids_that_are_made_up_are_the_same_every_time_and_differ_within_an_answer() {
    let ids = |lines: &[&str]| -> Vec<String> {
        let starts = read(lines).0.into_iter().filter_map(|event| match event {
            Event::ToolStart { id, .. } => Some(id),
            _ => None,
        });
        starts.collect()
    };
    assert_eq!(ids(&[TEXT, CALL, CALL, END]), ["call_2026_0", "call_2026_1"]);
    assert_eq!(ids(&[CALL, END]), ["call_0_0"], "no time");
    let odd = CALL.replacen('{', r#"{"created_at":"../../\"\u0000é","#, 1);
    assert_eq!(ids(&[&odd]), ["call_0_0"], "nothing of a strange time");
}

#[test]
fn arguments_are_an_object_whatever_the_model_wrote() {
    for (wire, expected) in [
        (r#"{"a":1.50}"#, r#"{"a":1.50}"#),
        ("null", "{}"),
        (r#""""#, "{}"),
        (r#""{\"a\":\"é\"}""#, "{\"a\":\"é\"}"),
    ] {
        let (events, _) = read(&[&CALL.replace(r#"{"a":1}"#, wire)]);
        let (choice, index) = (0, 0);
        let json = expected.to_owned();
        assert_eq!(events.last(), Some(&Event::ToolArguments { choice, index, json }), "{wire}");
    }
}

#[test]
fn reasons_are_mapped() {
    for (native, reason) in [
        ("stop", FinishReason::Stop),
        ("length", FinishReason::Length),
        ("", FinishReason::Stop),
        ("new", FinishReason::Stop),
    ] {
        let (events, _) = read(&[TEXT, &END.replace("stop", native)]);
        let finish = Event::Finish { choice: 0, reason, native: native.into(), stop: None };
        assert!(events.contains(&finish), "{native}");
    }
    let (events, _) = read(&[CALL, &END.replace("stop", "length")]);
    let cut = |event: &Event| matches!(event, Event::Finish { reason: FinishReason::Length, .. });
    assert!(events.iter().any(cut), "a call that may be cut is not promised");
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
    assert_eq!(fault(r#"{"message":{"content":""},"done":false}"#), AnswerFault::Empty);
    assert_eq!(fault(r#"{"message":{"conte"#), AnswerFault::Truncated);
    assert_eq!(fault(TEXT), AnswerFault::Truncated);
    for body in ["<html>", "{}", "[]", r#"{"message":5}"#, "{}x"] {
        assert!(matches!(fault(body), AnswerFault::Garbled(_)), "{body}");
    }
}

#[test]
fn error_answers_are_classified() {
    let cases = [
        (400, "the input length exceeds the context length", FaultClass::ContextLength),
        (400, "\\\"x\\\" does not support thinking", FaultClass::InvalidRequest),
        (401, "unauthorized", FaultClass::Authentication),
        (403, "this model requires a subscription, upgrade for access", FaultClass::Billing),
        (404, "model \\\"x\\\" not found, try pulling it first", FaultClass::NotFound),
        (429, "you have reached your weekly usage limit", FaultClass::Billing),
        (429, "too many concurrent requests", FaultClass::RateLimited),
        (500, "llama runner process has terminated", FaultClass::Server),
        (503, "server busy, please try again.", FaultClass::Overloaded),
    ];
    for (status, text, class) in cases {
        let fault = provider_fault(status, format!(r#"{{"error":"{text}"}}"#).as_bytes());
        assert_eq!(fault.class, class, "{status} {text}");
        assert_eq!(fault.message, text.replace("\\\"", "\""));
    }
    let page = provider_fault(502, b"<html>secret</html>");
    assert_eq!(page.class, FaultClass::Server);
    assert!(!page.message.contains("secret"), "no HTML is handed on");
}

/// Lines that are right, with something changed.
fn mutated() -> impl Strategy<Value = String> {
    let swaps = [
        ("content", "thinking"),
        ("\"", ""),
        ("false", "true"),
        ("{", "["),
        ("stop", "load"),
        ("1", "-1"),
        ("2", "99999999999999999999"),
        ("\"a\"", "null"),
        ("message", "error"),
        ("", ""),
    ];
    let whole = [TEXT, CALL, END].to_vec();
    (prop::sample::select(whole), prop::sample::select(swaps.to_vec()), 0_usize..2).prop_map(
        |(line, (from, to), how)| match how {
            0 => line.to_owned(),
            _ => line.replacen(from, to, 1),
        },
    )
}

proptest! {
    #[test]
    fn hostile_lines_never_break_the_order(lines in prop::collection::vec(mutated(), 0..14)) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let (events, _) = read(&lines);
        if let Some(end) = events.iter().position(|e| matches!(e, Event::End)) {
            prop_assert_eq!(end, events.len() - 1);
            prop_assert_eq!(events.iter().filter(|e| matches!(e, Event::Finish { .. })).count(), 1);
        }
        let starts = events.iter().filter(|e| matches!(e, Event::Start { .. })).count();
        prop_assert!(starts <= 1);
    }

    #[test]
    fn any_bytes_are_an_answer_or_a_fault(body in any::<Vec<u8>>(), status in any::<u16>()) {
        let mut out = Vec::new();
        prop_assert_eq!(read_whole(&body, &mut out).is_ok(), !out.is_empty());
        prop_assert!(provider_fault(status, &body).message.len() <= 1024);
    }
}
