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

const TEXT: &str =
    r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"index":0}],"responseId":"r"}"#;
const THOUGHT: &str = r#"{"candidates":[{"content":{"parts":[{"text":"t","thought":true,"thoughtSignature":"s"}]},"index":1}]}"#;
const CALL: &str = r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"a":1},"id":"i"},"thoughtSignature":"s"}]}}]}"#;
const STOP: &str = r#"{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":2}}"#;
const IMAGE: &str = r#"{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]}}]}"#;

#[test]
fn faults_of_streams_are_named() {
    let garbled = |datas: &[&str]| matches!(read(datas).1, Err(AnswerFault::Garbled(_)));
    assert!(garbled(&["{"]), "a frame is whole");
    assert!(garbled(&["5"]));
    assert!(garbled(&[&TEXT.replace("\"index\":0", "\"index\":128")]));
    assert!(garbled(&[&TEXT.replace("\"index\":0", "\"index\":-1")]));
    assert!(garbled(&[&TEXT.replace("\"a\"", "1")]));
    assert!(garbled(&[&CALL.replace("\"name\":\"f\",", "")]), "a call without a name");
    assert!(garbled(&[&CALL.replace("{\"a\":1}", "[1]")]), "arguments are objects");
    assert!(garbled(&[&CALL.replace("\"id\"", "\"willContinue\":true,\"id\"")]));
    assert!(garbled(&[TEXT, STOP, TEXT]), "text after the end");
    assert!(garbled(&[TEXT, STOP, CALL]), "a call after the end");
    let signed = r#"{"candidates":[{"content":{"parts":[{"text":"","thoughtSignature":"s"}]}}]}"#;
    let (events, result) = read(&[TEXT, STOP, signed, STOP]);
    assert_eq!(result, Ok(()), "a late signature is no harm");
    let finishes = events.iter().filter(|e| matches!(e, Event::Finish { .. })).count();
    assert_eq!(finishes, 1, "a reason that is told twice counts once");
    let bare = r#"{"error":{}}"#;
    let fault = AnswerFault::InBand { code: None, message: "no message".into() };
    assert_eq!(read(&[bare]).1, Err(fault));
    let coded = r#"[{"error":{"code":429,"message":"key AIzaSyA1234567890"}}]"#;
    let fault = AnswerFault::InBand { code: Some("429".into()), message: "key ***".into() };
    assert_eq!(read(&[TEXT, coded]).1, Err(fault));
    let long = format!(r#"{{"error":{{"message":"{}"}}}}"#, "é ".repeat(5000));
    let Err(AnswerFault::InBand { message, .. }) = read(&[&long]).1 else { panic!("in band") };
    assert!(message.len() <= 1024);
}

#[test]
fn too_many_calls_are_refused() {
    let calls = vec![CALL; 1025];
    assert_eq!(read(&calls).1, Err(AnswerFault::TooLarge));
}

#[test]
fn finish_reasons_are_mapped() {
    for (native, called, reason) in [
        ("STOP", false, FinishReason::Stop),
        ("STOP", true, FinishReason::ToolCalls),
        ("FINISH_REASON_UNSPECIFIED", false, FinishReason::Stop),
        ("YET_TO_COME", true, FinishReason::ToolCalls),
        ("MAX_TOKENS", true, FinishReason::Length),
        ("CONTINUATION", false, FinishReason::Length),
        ("SAFETY", true, FinishReason::ContentFilter),
        ("NO_IMAGE", false, FinishReason::ContentFilter),
        ("OTHER", false, FinishReason::Error),
        ("MALFORMED_FUNCTION_CALL", true, FinishReason::Error),
        ("MISSING_THOUGHT_SIGNATURE", false, FinishReason::Error),
    ] {
        let end = STOP.replace("STOP", native);
        let (events, result) = read(&[if called { CALL } else { TEXT }, &end]);
        assert_eq!(result, Ok(()), "{native}");
        let finish = Event::Finish { choice: 0, reason, native: native.into(), stop: None };
        assert!(events.contains(&finish), "{native} {called}");
        if reason == FinishReason::Error {
            let alone = read(&[&end]).1;
            assert!(matches!(alone, Err(AnswerFault::InBand { .. })), "{native} alone");
        }
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
    for body in [" \n", "{}", r#"{"candidates":[]}"#, r#"{"candidates":[{"content":{}}]}"#, "[]"] {
        assert_eq!(fault(body), AnswerFault::Empty, "{body}");
    }
    assert_eq!(fault(r#"{"candidates":[{"con"#), AnswerFault::Truncated);
    assert_eq!(fault(TEXT), AnswerFault::Truncated);
    for body in ["<html>", "5", "{}x", "[5]"] {
        assert!(matches!(fault(body), AnswerFault::Garbled(_)), "{body}");
    }
    let mut out = Vec::new();
    let list = format!("[{TEXT}\n,{STOP}]");
    read_whole(list.as_bytes(), &mut out).unwrap();
    assert!(out.contains(&Event::Text { choice: 0, text: "a".into() }), "a stream without SSE");
    assert_eq!(out.last(), Some(&Event::End));
}

#[test]
fn pictures_are_counted() {
    let (events, _) = read(&[IMAGE, IMAGE, STOP]);
    let usage = events.iter().rev().find_map(|event| match event {
        Event::Usage(usage) => Some(usage.images),
        _ => None,
    });
    assert_eq!(usage, Some(2));
}

/// Status, its word, message, reason (`r:`) or quota (`q:`) in the details, and the class.
const ERRORS: [(u16, &str, &str, &str, FaultClass); 21] = [
    (
        400,
        "INVALID_ARGUMENT",
        "The input token count (9) exceeds the maximum number of tokens allowed (8).",
        "",
        FaultClass::ContextLength,
    ),
    (
        400,
        "INVALID_ARGUMENT",
        "API key not valid. Please pass a valid API key.",
        "r:API_KEY_INVALID",
        FaultClass::Authentication,
    ),
    (
        400,
        "INVALID_ARGUMENT",
        "API key expired. Please renew the API key.",
        "",
        FaultClass::Authentication,
    ),
    (400, "INVALID_ARGUMENT", "x", "", FaultClass::InvalidRequest),
    (
        400,
        "FAILED_PRECONDITION",
        "User location is not supported for the API use.",
        "",
        FaultClass::Permission,
    ),
    (
        400,
        "FAILED_PRECONDITION",
        "Not available in your country. Please enable billing.",
        "",
        FaultClass::Billing,
    ),
    (400, "FAILED_PRECONDITION", "x", "", FaultClass::InvalidRequest),
    (401, "UNAUTHENTICATED", "x", "r:ACCESS_TOKEN_EXPIRED", FaultClass::Authentication),
    (403, "PERMISSION_DENIED", "x", "r:BILLING_DISABLED", FaultClass::Billing),
    (403, "PERMISSION_DENIED", "x", "r:SERVICE_DISABLED", FaultClass::Permission),
    (
        403,
        "PERMISSION_DENIED",
        "Your API key was reported as leaked.",
        "",
        FaultClass::Authentication,
    ),
    (404, "NOT_FOUND", "models/x is not found for API version v1beta", "", FaultClass::NotFound),
    (
        429,
        "RESOURCE_EXHAUSTED",
        "x",
        "q:GenerateRequestsPerMinutePerProjectPerModel",
        FaultClass::RateLimited,
    ),
    (
        429,
        "RESOURCE_EXHAUSTED",
        "x",
        "q:GenerateRequestsPerDayPerProjectPerModel-FreeTier",
        FaultClass::Billing,
    ),
    (
        429,
        "RESOURCE_EXHAUSTED",
        "Resource exhausted. Please try again later.",
        "",
        FaultClass::RateLimited,
    ),
    (429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.", "", FaultClass::Billing),
    (499, "CANCELLED", "The operation was cancelled.", "", FaultClass::Server),
    (500, "INTERNAL", "x", "", FaultClass::Server),
    (503, "UNAVAILABLE", "The model is overloaded.", "", FaultClass::Overloaded),
    (504, "DEADLINE_EXCEEDED", "x", "", FaultClass::Timeout),
    (429, "", "x", "", FaultClass::RateLimited),
];

fn error(code: u16, status: &str, message: &str, detail: &str) -> String {
    let details = match detail.split_once(':') {
        Some(("r", reason)) => {
            format!(r#"{{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"{reason}"}}"#)
        }
        Some((_, quota)) => format!(
            r#"{{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{{"quotaMetric":"m","quotaId":"{quota}"}}]}},{{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.4s"}}"#
        ),
        None => String::new(),
    };
    format!(
        r#"{{"error":{{"code":{code},"message":"{message}","status":"{status}","details":[{details}]}}}}"#
    )
}

#[test]
fn error_answers_are_classified() {
    for (status, word, message, detail, class) in ERRORS {
        let body = error(status, word, message, detail);
        assert_eq!(provider_fault(status, body.as_bytes()).class, class, "{body}");
        let list = format!("[{body}]");
        assert_eq!(provider_fault(status, list.as_bytes()).class, class, "{list}");
    }
    for (status, body, class) in [
        (502, "<html>secret</html>", FaultClass::Server),
        (429, r#"{"error":"plain"}"#, FaultClass::RateLimited),
        (429, r#"{"error":{"details":{"a":1}}}"#, FaultClass::RateLimited),
    ] {
        let fault = provider_fault(status, body.as_bytes());
        assert_eq!(fault.class, class, "{body}");
        assert!(!fault.message.contains("secret"), "no HTML is handed on");
    }
    let leak = "Consumer 'api_key:AIzaSyA1234567890' has been suspended.";
    let fault = provider_fault(403, error(403, "PERMISSION_DENIED", leak, "").as_bytes());
    assert_eq!(fault.message, "Consumer 'api_key:***' has been suspended.");
    assert_eq!(fault.code.as_deref(), Some("PERMISSION_DENIED"));
}

/// Chunks that are right, with something changed.
fn mutated() -> impl Strategy<Value = String> {
    let swaps = [
        ("text", "thought"),
        ("\"", ""),
        (":0", ":1"),
        ("{", "["),
        ("functionCall", "inlineData"),
        ("inlineData", "executableCode"),
        ("1", "-1"),
        ("2", "99999999999999999999"),
        ("STOP", "MAX_TOKENS"),
        ("STOP", "OTHER"),
        ("STOP", ""),
        ("\"a\"", "null"),
        ("[{", "[null,{"),
        ("candidates", "promptFeedback"),
        ("index", "é"),
        ("", ""),
    ];
    let whole = vec![TEXT, THOUGHT, CALL, STOP, IMAGE];
    (prop::sample::select(whole), prop::sample::select(swaps.to_vec()), 0_usize..3).prop_map(
        |(data, (from, to), how)| match how {
            0 => data.to_owned(),
            1 => data.replacen(from, to, 1),
            _ => data.replace(from, to),
        },
    )
}

proptest! {
    #[test]
    fn hostile_chunks_never_break_the_order(datas in prop::collection::vec(mutated(), 0..14)) {
        let datas: Vec<&str> = datas.iter().map(String::as_str).collect();
        let (events, _) = read(&datas);
        if let Some(start) = events.iter().position(|e| matches!(e, Event::Start { .. })) {
            prop_assert_eq!(start, 0);
        }
        let mut finished = Vec::new();
        let mut ids = Vec::new();
        for event in &events {
            match event {
                Event::Text { choice, text } | Event::Reasoning { choice, text } => {
                    prop_assert!(!text.is_empty() && !finished.contains(choice));
                }
                Event::ToolStart { choice, index, id, name } => {
                    prop_assert!(!finished.contains(choice) && !name.is_empty());
                    prop_assert!(!ids.contains(&(*choice, id.clone())), "ids are unique");
                    let before = ids.iter().filter(|(of, _)| of == choice).count();
                    prop_assert_eq!(u32::try_from(before).unwrap(), *index);
                    ids.push((*choice, id.clone()));
                }
                Event::ToolArguments { json, .. } => {
                    prop_assert!(serde_json::from_str::<serde_json::Value>(json).unwrap().is_object());
                }
                Event::Finish { choice, .. } => {
                    prop_assert!(!finished.contains(choice));
                    finished.push(*choice);
                }
                Event::End => prop_assert!(false, "the pipe ends a stream"),
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

    #[test]
    fn changed_bytes_are_an_answer_or_a_fault(
        data in prop::sample::select(vec![TEXT, CALL, IMAGE, STOP]),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut body = format!("[{data},{STOP}]").into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        let mut out = Vec::new();
        prop_assert_eq!(read_whole(&body, &mut out).is_ok(), !out.is_empty());
    }
}

#[test]
fn hostile_lists_are_bounded() {
    let parts = vec!["{}"; 3000].join(",");
    let many = format!(r#"{{"candidates":[{{"content":{{"parts":[{parts}]}}}}]}}"#);
    assert!(matches!(read(&[&many]).1, Err(AnswerFault::Garbled(_))));
    let candidates = vec!["{}"; 129].join(",");
    let many = format!(r#"{{"candidates":[{candidates}]}}"#);
    assert!(matches!(read(&[&many]).1, Err(AnswerFault::Garbled(_))));
    // Sources that cannot be read, or are too many, are no fault of the answer.
    let url = "x".repeat(4000);
    let supports: Vec<String> = (0..4000)
        .map(|i| format!(r#"{{"segment":{{"endIndex":{i}}},"groundingChunkIndices":[0,0,7]}}"#))
        .collect();
    let chunk = format!(
        r#"{{"candidates":[{{"groundingMetadata":{{"groundingChunks":[{{"web":{{"uri":"{url}"}}}}],"groundingSupports":[{}]}}}}]}}"#,
        supports.join(",")
    );
    let (events, result) = read(&[TEXT, &chunk, &chunk, STOP]);
    assert_eq!(result, Ok(()));
    let citations = events.iter().filter(|e| matches!(e, Event::Citation { .. })).count();
    assert_eq!(citations, 256);
    let odd = TEXT.replace("\"index\":0", r#""groundingMetadata":5,"citationMetadata":[]"#);
    assert_eq!(read(&[&odd, STOP]).1, Ok(()));
}
