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

const START: &str = r#"{"type":"message-start","id":"m","delta":{"message":{"role":"assistant"}}}"#;
const TEXT: &str =
    r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"a"}}}}"#;
const CALL: &str = r#"{"type":"tool-call-start","index":3,"delta":{"message":{"tool_calls":{"id":"t","function":{"name":"w","arguments":""}}}}}"#;
const PIECE: &str = r#"{"type":"tool-call-delta","index":3,"delta":{"message":{"tool_calls":{"function":{"arguments":"{}"}}}}}"#;
const CITE: &str = r#"{"type":"citation-start","index":0,"delta":{"message":{"citations":{"start":0,"end":1,"content_index":0,"sources":[{"document":{"url":"https://a.b"}}]}}}}"#;
const END: &str = r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"tokens":{"input_tokens":1.0,"output_tokens":2}}}}"#;

#[test]
fn faults_of_streams_are_named() {
    let garbled = |datas: &[&str]| matches!(read(datas).1, Err(AnswerFault::Garbled(_)));
    for data in ["{", "[]", "5", r#"{"a":1}"#, r#"{"type":"message-end"}"#] {
        assert!(garbled(&[data]), "{data}");
    }
    assert!(garbled(&[START, PIECE]), "arguments without a call");
    assert!(garbled(&[START, &CALL.replace("\"id\":\"t\",", "")]), "a call without an id");
    assert!(garbled(&[START, &TEXT.replace("\"a\"", "5")]), "a text that is a number");
    let same = vec![CALL; 1100];
    assert!(garbled(&same), "calls are bounded");
    assert_eq!(read(&[START, "[DONE]"]).1, Err(AnswerFault::Empty));
    let bare = r#"{"type":"message-end","delta":{"usage":{}}}"#;
    assert_eq!(read(&[START, TEXT, bare]).1, Err(AnswerFault::Truncated), "no reason");
    let in_band = |code: Option<&str>, message: &str| {
        Err(AnswerFault::InBand { code: code.map(Into::into), message: message.into() })
    };
    assert_eq!(read(&[r#"{"type":"error","message":"x"}"#]).1, in_band(None, "x"));
    assert_eq!(read(&[r#"{"message":"x"}"#]).1, in_band(None, "x"));
    assert_eq!(read(&[r#"{"type":"error"}"#]).1, in_band(None, "no message"));
    let timeout = r#"{"type":"message-end","delta":{"finish_reason":"TIMEOUT"}}"#;
    let said = "the provider ended the answer with an error";
    assert_eq!(read(&[START, TEXT, timeout]).1, in_band(Some("TIMEOUT"), said));
    let long = format!(r#"{{"message":"{}"}}"#, "é".repeat(5000));
    let Err(AnswerFault::InBand { message, .. }) = read(&[&long]).1 else { panic!("in band") };
    assert!(message.len() <= 1024);
}

#[test]
fn after_the_end_nothing_is_read() {
    let (events, result) = read(&[START, TEXT, END, "[DONE]", "garbage", TEXT]);
    assert_eq!(result, Ok(()));
    assert_eq!(events.last(), Some(&Event::End));
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Text { .. })).count(), 1);
}

#[test]
fn finish_reasons_are_mapped() {
    for (native, reason) in [
        ("COMPLETE", FinishReason::Stop),
        ("STOP_SEQUENCE", FinishReason::Stop),
        ("MAX_TOKENS", FinishReason::Length),
        ("TOOL_CALL", FinishReason::ToolCalls),
        ("ERROR_TOXIC", FinishReason::ContentFilter),
        ("NEW", FinishReason::Stop),
    ] {
        let body = format!(r#"{{"id":"a","message":{{"content":[]}},"finish_reason":"{native}"}}"#);
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
    assert_eq!(fault(r#"{"message":{}}"#), AnswerFault::Empty);
    assert_eq!(fault(r#"{"message":{"conte"#), AnswerFault::Truncated);
    assert_eq!(fault(r#"{"message":{"content":[{"text":"a"}]}}"#), AnswerFault::Truncated);
    for body in ["<html>", "{}", "[]", r#"{"message":5}"#, "{}x", r#"{"message":{"content":5}}"#] {
        assert!(matches!(fault(body), AnswerFault::Garbled(_)), "{body}");
    }
    let failed = r#"{"message":{},"finish_reason":"ERROR"}"#;
    assert!(matches!(fault(failed), AnswerFault::InBand { code: Some(_), .. }));
}

#[test]
fn absurd_counters_are_bounded() {
    for usage in ["-5", "1e300", "0.4", "null"] {
        let body = format!(
            r#"{{"message":{{}},"finish_reason":"COMPLETE","usage":{{"tokens":{{"input_tokens":{usage},"output_tokens":{usage}}},"cached_tokens":9}}}}"#
        );
        let mut events = Vec::new();
        read_whole(body.as_bytes(), &mut events).unwrap();
        let Some(Event::Usage(usage)) = events.iter().find(|e| matches!(e, Event::Usage(_))) else {
            panic!("usage")
        };
        assert!(usage.cache_read <= usage.prompt && usage.prompt <= 1 << 53);
    }
}

#[test]
fn error_answers_are_classified() {
    let cases = [
        (400, "too many tokens: size limit exceeded by 20 tokens", FaultClass::ContextLength),
        (400, "invalid request: temperature must be between", FaultClass::InvalidRequest),
        (401, "invalid api token", FaultClass::Authentication),
        (402, "Please add or update your payment method", FaultClass::Billing),
        (403, "x", FaultClass::Permission),
        (404, "model 'x' not found", FaultClass::NotFound),
        (422, "x", FaultClass::InvalidRequest),
        (429, "You are using a Trial key, limited to 1000 API calls / month", FaultClass::Billing),
        (429, "You are past the per minute request limit", FaultClass::RateLimited),
        (498, "blocked", FaultClass::ContentPolicy),
        (499, "request cancelled", FaultClass::Timeout),
        (500, "internal server error", FaultClass::Server),
        (501, "x", FaultClass::Server),
        (503, "x", FaultClass::Overloaded),
        (504, "x", FaultClass::Timeout),
    ];
    for (status, text, class) in cases {
        for body in [
            format!(r#"{{"id":"i","message":"{text}"}}"#),
            format!(r#"{{"message":"{text}","extra":{{}}}}"#),
        ] {
            let fault = provider_fault(status, body.as_bytes());
            assert_eq!((fault.class, fault.message.as_str()), (class, text), "{status}");
        }
    }
    let page = provider_fault(503, b"<html>secret</html>");
    assert_eq!(page.class, FaultClass::Overloaded);
    assert!(!page.message.contains("secret"), "no HTML is handed on");
}

/// Events that are right, with something changed.
fn mutated() -> impl Strategy<Value = String> {
    let whole = [START, TEXT, CALL, PIECE, CITE, END, r#"{"type":"tool-call-end","index":3}"#];
    let swaps = [
        ("text", "thinking"),
        ("\"", ""),
        (":0", ":18446744073709551615"),
        ("{", "["),
        ("COMPLETE", "ERROR"),
        ("1", "-1"),
        ("2", "99999999999999999999"),
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
        if let Some(end) = events.iter().position(|e| matches!(e, Event::End)) {
            prop_assert_eq!(end, events.len() - 1);
            prop_assert_eq!(events.iter().filter(|e| matches!(e, Event::Finish { .. })).count(), 1);
        }
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
