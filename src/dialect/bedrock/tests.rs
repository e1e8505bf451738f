//! Answers that are not as they should be, and error answers.

use proptest::prelude::*;

use super::{Reader, provider_fault, read_whole};
use crate::dialect::ir::{Citation, Event, FinishReason};
use crate::dialect::sse::Frame;
use crate::dialect::{AnswerFault, FaultClass, Reader as _};

/// Frames as `<type> <payload>`.
fn read(frames: &[&str]) -> (Vec<Event>, Result<(), AnswerFault>) {
    let (mut reader, mut out) = (Reader::new(), Vec::new());
    for frame in frames {
        let (event, data) = frame.split_once(' ').unwrap();
        if let Err(fault) = reader.read(&Frame { event, data }, &mut out) {
            return (out, Err(fault));
        }
    }
    (out, Ok(()))
}

const START: &str = r#"messageStart {"role":"assistant"}"#;
const TEXT: &str = r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"text":"aé"}}"#;
const TOOL: &str =
    r#"contentBlockStart {"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"t","name":"w"}}}"#;
const STOP: &str = r#"messageStop {"stopReason":"end_turn"}"#;
const METADATA: &str = r#"metadata {"usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3},"metrics":{"latencyMs":9}}"#;

#[test]
fn faults_of_streams_are_named() {
    let garbled = |frames: &[&str]| matches!(read(frames).1, Err(AnswerFault::Garbled(_)));
    assert!(garbled(&["messageStart {"]));
    assert!(garbled(&["messageStop {}"]), "no reason");
    assert!(garbled(&[START, TEXT, START]), "a second message");
    assert!(garbled(&[START, TOOL, TOOL]), "the same block twice");
    assert!(garbled(&[START, r#"contentBlockStart {"contentBlockIndex":0}"#]));
    assert!(garbled(&[START, r#"contentBlockDelta {"delta":{"text":"a"}}"#]));
    assert!(garbled(&[START, r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"text":5}}"#]));
    assert!(garbled(&[START, STOP, TEXT]), "content after the end");
    let nameless = TOOL.replace(r#","name":"w""#, "");
    assert!(garbled(&[START, &nameless]));
    let in_band = |code: &str, message: &str| {
        Err(AnswerFault::InBand { code: Some(code.into()), message: message.into() })
    };
    let frame = r#"modelStreamErrorException {"originalStatusCode":500,"originalMessage":"boom"}"#;
    assert_eq!(read(&[START, TEXT, frame]).1, in_band("modelStreamErrorException", "boom"));
    let bare = "throttlingException <html>";
    assert_eq!(read(&[bare]).1, in_band("throttlingException", "no message"));
    let after = read(&[START, TEXT, STOP, bare]);
    assert_eq!(after.1, in_band("throttlingException", "no message"), "between stop and metadata");
    let long = format!(r#"validationException {{"message":"{}"}}"#, "é".repeat(5000));
    let Err(AnswerFault::InBand { message, .. }) = read(&[&long]).1 else { panic!("in band") };
    assert!(message.len() <= 1024);
}

#[test]
fn many_open_blocks_are_refused() {
    let tools: Vec<String> = (0..100).map(|i| TOOL.replace(":1,", &format!(":{i},"))).collect();
    let frames: Vec<&str> =
        std::iter::once(START).chain(tools.iter().map(String::as_str)).collect();
    assert!(matches!(read(&frames).1, Err(AnswerFault::Garbled(_))));
}

#[test]
fn pictures_come_one_at_a_time() {
    let image = r#"contentBlockStart {"contentBlockIndex":3,"start":{"image":{"format":"png"}}}"#;
    let other = image.replace(":3,", ":4,");
    assert!(matches!(read(&[START, image, &other]).1, Err(AnswerFault::Garbled(_))));
    let close = r#"contentBlockStop {"contentBlockIndex":3}"#;
    assert_eq!(read(&[START, image, close, &other]).1, Ok(()));
}

#[test]
fn usage_and_stop_come_in_either_order_and_only_both_are_the_end() {
    for order in [[STOP, METADATA], [METADATA, STOP]] {
        let (events, result) = read(&[START, TEXT, order[0]]);
        assert_eq!(result, Ok(()));
        assert!(!events.contains(&Event::End), "{order:?}");
        let late = "throttlingException {}";
        let (events, result) = read(&[START, TEXT, order[0], order[1], late, TEXT]);
        assert_eq!(result, Ok(()), "what comes after the end is not read");
        assert_eq!(events.last(), Some(&Event::End), "{order:?}");
    }
}

#[test]
fn blocks_that_are_not_the_clients_are_passed_over() {
    let server = TOOL.replace(r#""name":"w""#, r#""name":"web","type":"server_tool_use""#);
    let (events, result) = read(&[
        START,
        &server,
        r#"contentBlockDelta {"contentBlockIndex":1,"delta":{"toolUse":{"input":"{}"}}}"#,
        r#"contentBlockStop {"contentBlockIndex":1}"#,
        r#"contentBlockStart {"contentBlockIndex":2,"start":{"toolResult":{"toolUseId":"t"}}}"#,
        r#"contentBlockDelta {"contentBlockIndex":2,"delta":{"toolResult":[{"text":"x"}]}}"#,
        r#"contentBlockDelta {"contentBlockIndex":3,"delta":{"hologram":{"x":1}}}"#,
        r#"hologramStart {"text":5}"#,
        TEXT,
        STOP,
        METADATA,
    ]);
    assert_eq!(result, Ok(()));
    let texts = events.iter().filter(|event| event.is_semantic()).count();
    assert_eq!(texts, 2, "the text and the finish: {events:?}");
}

#[test]
fn stop_reasons_are_mapped() {
    for (native, reason) in [
        ("end_turn", FinishReason::Stop),
        ("stop_sequence", FinishReason::Stop),
        ("max_tokens", FinishReason::Length),
        ("model_context_window_exceeded", FinishReason::Length),
        ("tool_use", FinishReason::ToolCalls),
        ("guardrail_intervened", FinishReason::ContentFilter),
        ("content_filtered", FinishReason::ContentFilter),
        ("malformed_model_output", FinishReason::Error),
        ("malformed_tool_use", FinishReason::Error),
        ("yet_to_be_invented", FinishReason::Stop),
    ] {
        let body =
            format!(r#"{{"output":{{"message":{{"content":[]}}}},"stopReason":"{native}"}}"#);
        let mut events = Vec::new();
        read_whole(body.as_bytes(), &mut events).unwrap();
        let finish = Event::Finish { choice: 0, reason, native: native.into(), stop: None };
        assert!(events.contains(&finish), "{native}");
    }
    let (events, _) = read(&[START, TOOL, STOP]);
    let (choice, index) = (0, 0);
    assert!(events.contains(&Event::ToolArguments { choice, index, json: "{}".into() }));
    let called = |e: &Event| matches!(e, Event::Finish { reason: FinishReason::ToolCalls, .. });
    assert!(events.iter().any(called), "end_turn with calls means calls");
}

#[test]
fn encrypted_reasoning_in_pieces_is_one_block() {
    let piece = |data: &str| {
        format!(
            r#"contentBlockDelta {{"contentBlockIndex":0,"delta":{{"reasoningContent":{{"redactedContent":"{data}"}}}}}}"#
        )
    };
    for (pieces, expected) in [
        (vec!["QUI="], "QUI="),
        (vec!["QUI=", "Q0Q="], "QUJDRA=="),
        (vec!["not base64", "!"], "not base64!"),
    ] {
        let frames: Vec<String> = pieces.into_iter().map(piece).collect();
        let mut frames: Vec<&str> = frames.iter().map(String::as_str).collect();
        frames.extend([STOP, METADATA]);
        let (events, _) = read(&frames);
        let data = expected.to_owned();
        assert!(events.contains(&Event::ReasoningEncrypted { choice: 0, id: None, data }));
    }
    let large = piece(&"A".repeat(1 << 19));
    assert_eq!(read(&[&large, &large, &large]).1, Err(AnswerFault::TooLarge));
}

#[test]
fn citations_follow_the_text_that_rests_on_them() {
    let cite = r#"contentBlockDelta {"contentBlockIndex":1,"delta":{"citation":{"title":"T","sourceContent":[{"text":"x"},{"text":"y"}],"location":{"web":{"url":"https://a","domain":"a"}}}}}"#;
    let own = r#"contentBlockDelta {"contentBlockIndex":1,"delta":{"citation":{"title":"D","location":{"documentChar":{"documentIndex":0,"start":0,"end":4}}}}}"#;
    let more = TEXT.replace(":0,", ":1,");
    let close = r#"contentBlockStop {"contentBlockIndex":1}"#;
    let (events, result) = read(&[START, TEXT, cite, own, &more, &more, close, STOP, METADATA]);
    assert_eq!(result, Ok(()));
    let expected = Citation {
        url: "https://a".into(),
        title: "T".into(),
        content: Some("xy".into()),
        start: 2,
        end: 6,
    };
    let cited: Vec<&Event> =
        events.iter().filter(|e| matches!(e, Event::Citation { .. })).collect();
    assert_eq!(cited, [&Event::Citation { choice: 0, citation: expected }]);
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
    assert_eq!(fault(r#"{"output":{"message":{"content":[]}}}"#), AnswerFault::Empty);
    assert_eq!(fault(r#"{"output":{"message":{"content":[{"te"#), AnswerFault::Truncated);
    let text = r#"{"output":{"message":{"content":[{"text":"a"}]}}}"#;
    assert_eq!(fault(text), AnswerFault::Truncated);
    for body in ["<html>", "{}", "[]", r#"{"output":{"message":{"content":[{"text":1}]}}}"#, "{}x"]
    {
        assert!(matches!(fault(body), AnswerFault::Garbled(_)), "{body}");
    }
    let in_band = AnswerFault::InBand { code: Some("Boom".into()), message: "m".into() };
    assert_eq!(fault(r#"{"__type":"com.amazon#Boom:http://x","Message":"m"}"#), in_band);
}

fn check_classes(cases: &[(u16, &str, FaultClass)]) {
    for (status, body, class) in cases {
        let fault = provider_fault(*status, body.as_bytes());
        assert_eq!(fault.class, *class, "{status} {body}");
        assert!(!fault.message.contains('<'), "no HTML is handed on");
    }
}

#[test]
fn error_answers_are_classified_by_their_text() {
    let bodies: Vec<(u16, String, FaultClass)> = [
        (400, "Input is too long for requested model.", FaultClass::ContextLength),
        (400, "prompt is too long: 9 tokens > 8 maximum", FaultClass::ContextLength),
        (400, "input length and `max_tokens` exceed context limit: 9", FaultClass::ContextLength),
        (400, "Input tokens 9 exceeds the maximum number of tokens", FaultClass::ContextLength),
        (400, "This model's maximum context length is 8 tokens", FaultClass::ContextLength),
        (400, "input image exceeds the maximum size", FaultClass::InvalidRequest),
        (
            400,
            "The maximum tokens you requested exceeds the model limit",
            FaultClass::InvalidRequest,
        ),
        (400, "Output blocked by content filtering policy", FaultClass::ContentPolicy),
        (400, "The provided model identifier is invalid.", FaultClass::NotFound),
        (403, "The security token included in the request is invalid.", FaultClass::Authentication),
        (403, "The request signature we calculated does not match", FaultClass::Authentication),
        (
            403,
            "Authentication failed: make sure your API Key is valid.",
            FaultClass::Authentication,
        ),
        (403, "Model access is denied: INVALID_PAYMENT_INSTRUMENT", FaultClass::Billing),
        (408, "Model timed out", FaultClass::Timeout),
        (424, "The system encountered an unexpected error.", FaultClass::Server),
        (429, "Too many tokens, please wait before trying again.", FaultClass::RateLimited),
        (429, "Too many input tokens per day", FaultClass::RateLimited),
        (429, "Model is not ready for inference, please wait", FaultClass::Overloaded),
    ]
    .map(|(status, text, class)| (status, format!(r#"{{"message":"{text}"}}"#), class))
    .into();
    let cases: Vec<(u16, &str, FaultClass)> =
        bodies.iter().map(|(status, body, class)| (*status, body.as_str(), *class)).collect();
    check_classes(&cases);
}

#[test]
fn error_answers_are_classified_by_name_and_status() {
    check_classes(&[
        (400, r#"{"__type":"ValidationException"}"#, FaultClass::InvalidRequest),
        (400, r#"{"__type":"ServiceQuotaExceededException"}"#, FaultClass::RateLimited),
        (400, r#"{"__type":"com.amazon.coral#ThrottlingException"}"#, FaultClass::RateLimited),
        (403, r#"{"__type":"AccessDeniedException:http://a/x"}"#, FaultClass::Permission),
        (403, r#"{"Message":"You don't have access to the model"}"#, FaultClass::Permission),
        (404, r#"{"__type":"ResourceNotFoundException"}"#, FaultClass::NotFound),
        (500, r#"{"__type":"InternalServerException"}"#, FaultClass::Server),
        (503, "<html>secret</html>", FaultClass::Overloaded),
        (500, "{}", FaultClass::Server),
    ]);
    let fault = provider_fault(403, br#"{"__type":"a#AccessDeniedException:http://x"}"#);
    assert_eq!(fault.code.as_deref(), Some("AccessDeniedException"));
}

/// Frames that are right, with something changed.
fn mutated() -> impl Strategy<Value = String> {
    let think =
        r#"contentBlockDelta {"contentBlockIndex":2,"delta":{"reasoningContent":{"text":"h"}}}"#;
    let input = r#"contentBlockDelta {"contentBlockIndex":1,"delta":{"toolUse":{"input":"{"}}}"#;
    let close = r#"contentBlockStop {"contentBlockIndex":1}"#;
    let image = r#"contentBlockStart {"contentBlockIndex":3,"start":{"image":{"format":"png"}}}"#;
    let paint = r#"contentBlockDelta {"contentBlockIndex":3,"delta":{"image":{"source":{"bytes":"AA=="}}}}"#;
    let whole = [START, TEXT, TOOL, think, input, close, image, paint, STOP, METADATA];
    let swaps = [
        ("text", "signature"),
        ("\"", ""),
        (":0", ":1"),
        ("{", "["),
        (":1", ":-1"),
        (":2", ":99999999999999999999"),
        ("Delta", "Stop"),
        ("contentBlock", "message"),
        ("\"aé\"", "\"\""),
        ("\"w\"", "\"turnpike_structured_answer\""),
        ("Stop", "Exception"),
        ("index", "é"),
        ("AA==", "?"),
    ];
    (prop::sample::select(whole.to_vec()), prop::sample::select(swaps.to_vec()), 0_usize..2)
        .prop_map(|(frame, (from, to), how)| match how {
            0 => frame.to_owned(),
            _ => frame.replacen(from, to, 1),
        })
}

proptest! {
    #[test]
    fn hostile_events_never_break_the_order(frames in prop::collection::vec(mutated(), 0..14)) {
        let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
        let (events, _) = read(&frames);
        let place = |wanted: fn(&Event) -> bool| events.iter().position(wanted);
        if !events.is_empty() {
            prop_assert_eq!(place(|e| matches!(e, Event::Start { .. })), Some(0));
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
