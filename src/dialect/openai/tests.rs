use super::*;
use crate::dialect::ir::{Event, FinishReason};
use crate::dialect::sse::{Frame, Framer};
use crate::dialect::{AnswerFault, FaultClass, Reader as _};
use crate::error::ProviderSaid;
use crate::vocab::Usage;

fn read(stream: &str) -> Result<Vec<Event>, AnswerFault> {
    let (mut framer, mut reader, mut out) = (Framer::new(1 << 20), Reader::new(), Vec::new());
    let mut on = |frame: Frame<'_>| reader.read(&frame, &mut out);
    framer.push(stream.as_bytes(), &mut on)?;
    framer.finish(&mut on)?;
    Ok(out)
}

fn start(id: &str, model: &str) -> Event {
    Event::Start { id: Some(id.to_owned()), model: Some(model.to_owned()) }
}

fn text(choice: u32, text: &str) -> Event {
    Event::Text { choice, text: text.to_owned() }
}

fn finish(choice: u32, reason: FinishReason, native: &str) -> Event {
    Event::Finish { choice, reason, native: native.to_owned(), stop: None }
}

fn tool(index: u32, id: &str, name: &str) -> Event {
    Event::ToolStart { choice: 0, index, id: id.to_owned(), name: name.to_owned() }
}

fn arguments(index: u32, json: &str) -> Event {
    Event::ToolArguments { choice: 0, index, json: json.to_owned() }
}

#[test]
fn a_stream_of_text_is_read() {
    let events = read(concat!(
        "data: {\"id\":\"\",\"choices\":[],\"prompt_filter_results\":[]}\n\n",
        ": keep-alive\n\n",
        "data: {\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n",
        "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\",\"content\":null}}]}\n\n",
        "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"H\\u00e9\"}},{\"index\":1,\"delta\":{\"content\":\"B\"}}]}\n\n",
        "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"refusal\":\"no\"},\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":5}}\n\n",
        "data: {\"id\":\"c1\",\"choices\":[{\"index\":1,\"delta\":{},\"finish_reason\":\"eos\"}]}\n\n",
        "data: [DONE]\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"late\"}}]}\n\n",
    ));
    let usage = Usage { prompt: 9, completion: 5, ..Usage::default() };
    let want = vec![
        start("c1", "m"),
        Event::Reasoning { choice: 0, text: "hm".into() },
        text(0, "Hé"),
        text(1, "B"),
        Event::Refusal { choice: 0, text: "no".into() },
        finish(0, FinishReason::Length, "length"),
        Event::Usage(usage),
        finish(1, FinishReason::Stop, "eos"),
        Event::End,
    ];
    assert_eq!(events, Ok(want));
}

/// A stream of deltas of one choice.
fn deltas(list: &[&str]) -> Vec<Event> {
    let mut stream = String::new();
    for delta in list {
        stream.push_str(&format!("data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n"));
    }
    stream.push_str("data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
    let mut events = read(&stream).expect("a good stream");
    events.remove(0);
    events
}

#[test]
fn tool_calls_are_told_apart() {
    let end = finish(0, FinishReason::ToolCalls, "stop");
    for (name, list, mut want) in [
        (
            "as OpenAI sends them",
            vec![
                r#"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}"#,
                r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\""}}]}"#,
                r#"{"tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}]}"#,
                r#"{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}"#,
            ],
            vec![
                tool(0, "a", "f"),
                arguments(0, "{\"x\""),
                tool(1, "b", "g"),
                arguments(1, "{}"),
                arguments(0, ":1}"),
            ],
        ),
        (
            "id repeated (vLLM), later name empty (Mistral)",
            vec![
                r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"1"}}]}"#,
                r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"","arguments":"2"}}]}"#,
            ],
            vec![tool(0, "a", "f"), arguments(0, "1"), arguments(0, "2")],
        ),
        (
            "every call with index 0, arguments as object",
            vec![
                r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":{"x":1}}}]}"#,
                r#"{"tool_calls":[{"index":0,"id":"b","function":{"name":"f","arguments":{}}}]}"#,
            ],
            vec![
                tool(0, "a", "f"),
                arguments(0, "{\"x\":1}"),
                tool(1, "b", "f"),
                arguments(1, "{}"),
            ],
        ),
        (
            "neither index nor id",
            vec![
                r#"{"tool_calls":[{"function":{"name":"f","arguments":"1"}}]}"#,
                r#"{"tool_calls":[{"function":{"arguments":"2"}}]}"#,
                r#"{"tool_calls":[{"function":{"name":"g","arguments":null}}]}"#,
            ],
            vec![
                tool(0, "call_0_0", "f"),
                arguments(0, "1"),
                arguments(0, "2"),
                tool(1, "call_0_1", "g"),
            ],
        ),
        (
            "the form before tools",
            vec![
                r#"{"function_call":{"name":"f","arguments":"1"}}"#,
                r#"{"function_call":{"arguments":"2"}}"#,
            ],
            vec![tool(0, "call_0_0", "f"), arguments(0, "1"), arguments(0, "2")],
        ),
    ] {
        want.push(end.clone());
        assert_eq!(deltas(&list), want, "{name}");
    }
}

#[test]
fn reasoning_comes_in_many_forms() {
    let reasoning = |t: &str| Event::Reasoning { choice: 0, text: t.to_owned() };
    let got = deltas(&[
        r#"{"reasoning":"a","reasoning_content":"a"}"#,
        r#"{"reasoning":{"odd":1},"content":[{"type":"thinking","thinking":[{"type":"text","text":"b"}]},{"type":"text","text":"c"}]}"#,
        r#"{"reasoning_details":[{"type":"reasoning.text","signature":"s"},{"type":"reasoning.encrypted","data":"d"}]}"#,
    ]);
    let want = vec![
        reasoning("a"),
        reasoning("b"),
        text(0, "c"),
        Event::ReasoningSignature { choice: 0, signature: "s".into() },
        Event::ReasoningEncrypted { choice: 0, id: None, data: "d".into() },
        finish(0, FinishReason::Stop, "stop"),
    ];
    assert_eq!(got, want);
}

#[test]
fn errors_inside_answers_are_faults() {
    let in_band = |code: Option<&str>, message: &str| {
        Err(AnswerFault::InBand { code: code.map(str::to_owned), message: message.to_owned() })
    };
    for (data, want) in [
        (
            r#"{"error":{"message":"m","type":"server_error","code":null}}"#,
            in_band(Some("server_error"), "m"),
        ),
        (r#"{"error":{"message":"m","code":502}}"#, in_band(Some("502"), "m")),
        (r#"{"error":"text"}"#, in_band(None, "text")),
        (r#"{"object":"error","message":"m","type":"t"}"#, in_band(Some("t"), "m")),
        (
            r#"{"choices":[{"delta":{"content":""},"finish_reason":"error"}],"error":{"code":"c","message":"m"}}"#,
            in_band(Some("c"), "m"),
        ),
        (
            r#"{"choices":[{"delta":{},"finish_reason":"insufficient_system_resource"}]}"#,
            in_band(
                Some("insufficient_system_resource"),
                "the provider ended the answer with an error",
            ),
        ),
    ] {
        assert_eq!(read(&format!("data: {data}\n\n")), want, "{data}");
    }
    assert_eq!(read("event: error\ndata: {\"message\":\"m\"}\n\n"), in_band(None, "m"));
    assert!(read("data: {\"error\":null,\"choices\":null}\n\n").is_ok(), "null is no error");
}

#[test]
fn hostile_streams_are_faults() {
    for data in [
        "nonsense",
        "[]",
        "{\"choices\":{}}",
        "{\"choices\":[{\"index\":128,\"delta\":{}}]}",
        "{\"choices\":[{\"index\":1e30,\"delta\":{}}]}",
        "{\"choices\":[{\"delta\":\"x\"}]}",
        "{\"choices\":[{\"delta\":{\"tool_calls\":{}}}]}",
    ] {
        let got = read(&format!("data: {data}\n\n"));
        assert!(matches!(got, Err(AnswerFault::Garbled(_))), "{data}: {got:?}");
    }
    let many = r#"{"function":{"name":"f"}},"#.repeat(1025);
    let many = format!("data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{many}{{}}]}}}}]}}\n\n");
    assert!(matches!(read(&many), Err(AnswerFault::Garbled(_))), "too many calls");
    let deep = format!("data: {{\"x\":{}\n\n", "[".repeat(100_000));
    assert!(read(&deep).is_err(), "deep nesting");
}

#[test]
fn a_whole_answer_is_read() {
    let mut out = Vec::new();
    let body = r#"

        {"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":
        "assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f",
        "arguments":"{}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}"#;
    assert_eq!(read_whole(body.as_bytes(), &mut out), Ok(()));
    let want = vec![
        start("c", "m"),
        tool(0, "a", "f"),
        arguments(0, "{}"),
        finish(0, FinishReason::ToolCalls, "stop"),
        Event::Usage(Usage { prompt: 1, ..Usage::default() }),
        Event::End,
    ];
    assert_eq!(out, want);
}

#[test]
fn a_bad_whole_answer_is_a_fault() {
    for (body, want) in [
        ("", AnswerFault::Empty),
        ("\n\n", AnswerFault::Empty),
        ("{}", AnswerFault::Empty),
        (r#"{"choices":[]}"#, AnswerFault::Empty),
        (r#"{"choices":[{"message":{"content":""},"finish_reason":null}]}"#, AnswerFault::Empty),
        (r#"{"choices":[{"message":{"content":"a"#, AnswerFault::Truncated),
    ] {
        assert_eq!(read_whole(body.as_bytes(), &mut Vec::new()), Err(want), "{body}");
    }
    for body in [&b"<html>"[..], b"\xff", b"[1]"] {
        let got = read_whole(body, &mut Vec::new());
        assert!(matches!(got, Err(AnswerFault::Garbled(_))), "{got:?}");
    }
    let mut out = Vec::new();
    let unfinished = br#"{"choices":[{"message":{"content":"x"}}]}"#;
    assert_eq!(read_whole(unfinished, &mut out), Ok(()));
    assert!(out.contains(&finish(0, FinishReason::Stop, "")), "a missing reason is stop");
}

#[test]
fn usage_is_normalised() {
    let usage = |json: &str| {
        let body = format!(r#"{{"choices":[{{"message":{{"content":"x"}}}}],{json}}}"#);
        let mut out = Vec::new();
        read_whole(body.as_bytes(), &mut out).expect("a good answer");
        out.into_iter().find_map(|e| if let Event::Usage(u) = e { Some(u) } else { None })
    };
    let plain = Usage { prompt: 10, completion: 5, ..Usage::default() };
    for (json, want) in [
        (r#""usage":null"#, None),
        (r#""usage":{}"#, None),
        (r#""usage":"odd""#, None),
        (
            r#""usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":3,"audio_tokens":1},"completion_tokens_details":{"reasoning_tokens":2,"audio_tokens":1}}"#,
            Some(Usage {
                cache_read: 4,
                cache_write_5m: 3,
                audio_prompt: 1,
                reasoning: 2,
                audio_completion: 1,
                ..plain
            }),
        ),
        (
            // xAI: reasoning stands beside the completion.
            r#""usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":22,"completion_tokens_details":{"reasoning_tokens":7}}"#,
            Some(Usage { completion: 12, reasoning: 7, ..plain }),
        ),
        (
            r#""usage":{"prompt_tokens":10,"completion_tokens":5.0,"prompt_cache_hit_tokens":8,"prompt_tokens_details":null}"#,
            Some(Usage { cache_read: 8, ..plain }),
        ),
        (
            // Moonshot, Perplexity.
            r#""usage":{"prompt_tokens":10,"completion_tokens":5,"cached_tokens":4,"num_search_queries":3}"#,
            Some(Usage { cache_read: 4, searches: 3, ..plain }),
        ),
        (
            r#""x_groq":{"id":"r","usage":{"prompt_tokens":10,"completion_tokens":5,"total_time":0.1}}"#,
            Some(plain),
        ),
        (
            r#""usage":{"prompt_tokens":-1,"completion_tokens":"x","prompt_tokens_details":{"cached_tokens":99}}"#,
            Some(Usage::default()),
        ),
        (
            r#""usage":{"prompt_tokens":18446744073709551615,"completion_tokens":1e300}"#,
            Some(Usage { prompt: 1 << 32, completion: 1 << 32, ..Usage::default() }),
        ),
    ] {
        assert_eq!(usage(json), want, "{json}");
    }
}

/// Status, body; class, code, message.
type Case = (u16, &'static str, FaultClass, Option<&'static str>, &'static str);

const PROVIDER_ERRORS: &[Case] = &[
    (
        400,
        r#"{"error":{"message":"This model's maximum context length is 8192 tokens.","type":"invalid_request_error","code":"context_length_exceeded"}}"#,
        FaultClass::ContextLength,
        Some("context_length_exceeded"),
        "This model's maximum context length is 8192 tokens.",
    ),
    (
        400,
        r#"{"object":"error","message":"Please reduce the length of the messages.","type":"BadRequestError","code":400}"#,
        FaultClass::ContextLength,
        Some("BadRequestError"),
        "Please reduce the length of the messages.",
    ),
    (
        400,
        r#"{"error":{"code":"content_filter","message":"m","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
        FaultClass::ContentPolicy,
        Some("content_filter"),
        "m",
    ),
    (
        400,
        r#"{"error":{"message":"Invalid value: 'x'","type":"invalid_request_error","param":"temperature","code":null}}"#,
        FaultClass::InvalidRequest,
        Some("invalid_request_error"),
        "Invalid value: 'x'",
    ),
    (
        400,
        r#"{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***56"}"#,
        FaultClass::Authentication,
        Some("Client specified an invalid argument"),
        "Incorrect API key provided: xa***56",
    ),
    (
        400,
        r#"{"error":{"message":"m","code":"tool_use_failed"}}"#,
        FaultClass::Server,
        Some("tool_use_failed"),
        "m",
    ),
    (
        400,
        r#"{"error":{"message":"The response was filtered.","type":null,"param":"prompt","code":null,"status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
        FaultClass::ContentPolicy,
        Some("400"),
        "The response was filtered.",
    ),
    (
        404,
        r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#,
        FaultClass::NotFound,
        Some("DeploymentNotFound"),
        "The API deployment for this resource does not exist.",
    ),
    (
        401,
        r#"{"statusCode":401,"message":"Unauthorized. Access token is missing."}"#,
        FaultClass::Authentication,
        Some("401"),
        "Unauthorized. Access token is missing.",
    ),
    (401, r#"{"detail":"Unauthorized"}"#, FaultClass::Authentication, None, "Unauthorized"),
    (
        401,
        r#"{"error":{"message":"Incorrect API key provided: sk-proj-1234567890abcdef. See","code":"invalid_api_key"}}"#,
        FaultClass::Authentication,
        Some("invalid_api_key"),
        "Incorrect API key provided: *** See",
    ),
    (
        402,
        r#"{"error":{"message":"Insufficient Balance","code":"invalid_request_error"}}"#,
        FaultClass::Billing,
        Some("invalid_request_error"),
        "Insufficient Balance",
    ),
    (
        403,
        r#"{"error":{"message":"Country not supported","code":"unsupported_country_region_territory"}}"#,
        FaultClass::Permission,
        Some("unsupported_country_region_territory"),
        "Country not supported",
    ),
    (
        404,
        r#"{"error":{"message":"The model `x` does not exist","code":"model_not_found"}}"#,
        FaultClass::NotFound,
        Some("model_not_found"),
        "The model `x` does not exist",
    ),
    (408, "", FaultClass::Timeout, None, "The provider answered with status 408."),
    (409, "{}", FaultClass::Conflict, None, "The provider answered with status 409."),
    (
        413,
        r#"{"error":{"message":"Request too large on tokens per minute","code":"rate_limit_exceeded"}}"#,
        FaultClass::RateLimited,
        Some("rate_limit_exceeded"),
        "Request too large on tokens per minute",
    ),
    (
        422,
        r#"{"detail":[{"type":"extra_forbidden","loc":["body","x"],"msg":"Extra inputs are not permitted"}]}"#,
        FaultClass::InvalidRequest,
        None,
        "Extra inputs are not permitted",
    ),
    (
        429,
        r#"{"message":"Requests rate limit exceeded"}"#,
        FaultClass::RateLimited,
        None,
        "Requests rate limit exceeded",
    ),
    (
        429,
        r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","code":"insufficient_quota"}}"#,
        FaultClass::Billing,
        Some("insufficient_quota"),
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    (498, "", FaultClass::Overloaded, None, "The provider answered with status 498."),
    (
        500,
        "<html><body>Internal</body></html>",
        FaultClass::Server,
        None,
        "The provider answered with status 500.",
    ),
    (502, "upstream connect error", FaultClass::Server, None, "upstream connect error"),
    (
        503,
        r#"[{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}]"#,
        FaultClass::Overloaded,
        Some("UNAVAILABLE"),
        "overloaded",
    ),
    (529, r#"{"error":{"message":{"detail":"x"}}}"#, FaultClass::Overloaded, None, "x"),
    (504, "null", FaultClass::Timeout, None, "The provider answered with status 504."),
];

#[test]
fn provider_errors_are_classed() {
    for &(status, body, class, code, message) in PROVIDER_ERRORS {
        let fault = provider_fault(status, body.as_bytes());
        assert_eq!(fault.class, class, "{status} {body}");
        assert_eq!(fault.code.as_deref(), code, "{status} {body}");
        assert_eq!(fault.message, message, "{status} {body}");
    }
}

#[test]
fn provider_errors_are_bounded_and_scrubbed() {
    let long = format!("{{\"error\":\"{}\"}}", "é".repeat(5000));
    assert!(provider_fault(500, long.as_bytes()).message.len() <= ProviderSaid::RAW_MAX);
    let huge = "x".repeat(1 << 20);
    assert!(provider_fault(500, huge.as_bytes()).message.len() <= ProviderSaid::RAW_MAX);
    assert!(provider_fault(500, b"\xff\xfe").message.contains('\u{fffd}'), "any bytes are read");
    let secret = fault::excerpt("Bearer abcdefgh123, (gsk_12345678) \"sk-or-v1-00ff\" task-force");
    assert_eq!(secret, "Bearer ***, (***) \"***\" task-force");
}
