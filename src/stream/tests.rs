use proptest::prelude::*;

use super::*;
use crate::catalog::Prices;
use crate::dialect::ir::FinishReason;
use crate::dialect::openai::Host;
use crate::error::Kind;
use crate::vocab::{PicoUsd, Usage};

const ROLE: &str = r#"data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#;
const HI: &str = r#"data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{"index":0,"delta":{"content":"Hi \"usage\":{} \"error\": 1 [DONE]"},"finish_reason":null}]}"#;
const FIN: &str = r#"data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const USE: &str = r#"data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m-1","choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500}}"#;
const DONE: &str = "data: [DONE]";
/// What [`USE`] becomes: 1,000 × 1,000 + 500 × 2,000 pico-dollars are 2,000 nano-dollars.
const COSTS: &str = r#""total_tokens":1500,"cost":0.000002}}"#;

/// A pipe whose request went out as it came wherever both sides speak OpenAI's form.
fn pipe_of(dialect: Dialect, shape: Shape, sse: bool) -> Pipe {
    let framing = if sse { Framing::Sse } else { Framing::Whole };
    Pipe::new(dialect, shape, framing, dialect == Dialect::OpenAi)
}

pub(super) fn shape(stream: bool) -> Shape {
    Shape {
        surface: Surface::Chat,
        asked: None,
        host: &Host::GENERIC,
        template: None,
        echo: None,
        request: Bytes::from_static(br#"{"messages":[{"role":"user","content":"Hello world"}]}"#),
        metadata: None,
        generation: GenerationId::from_bits(7),
        created: 1_700_000_000,
        model: ModelId::parse("a/b").expect("an id"),
        provider: "Host".into(),
        stream,
        prices: Prices { prompt: PicoUsd(1_000), completion: PicoUsd(2_000), ..Prices::default() }
            .into(),
        prompt_estimate: 40,
        completion_max: 1_000,
        hide_reasoning: false,
    }
}

fn frames(list: &[&str], end: &str) -> String {
    list.iter().map(|frame| format!("{frame}{end}{end}")).collect()
}

/// The bytes that a client sees in the end, an error chunk included.
fn seen(mut pipe: Pipe, chunks: &[&[u8]]) -> String {
    let error = GatewayError::new(Kind::ProviderFailed, "m");
    let mut got = Vec::new();
    for chunk in chunks {
        match pipe.push(Bytes::copy_from_slice(chunk)) {
            Ok(out) => got.extend_from_slice(&out.unwrap_or_default()),
            Err(_) if pipe.started() => {
                got.extend_from_slice(&pipe.abort(&error));
                return String::from_utf8(got).expect("UTF-8");
            }
            Err(_) => return String::new(),
        }
    }
    match pipe.end() {
        Ok(out) => got.extend_from_slice(&out.unwrap_or_default()),
        Err(_) if pipe.started() => got.extend_from_slice(&pipe.abort(&error)),
        Err(_) => return String::new(),
    }
    String::from_utf8(got).expect("UTF-8")
}

type Ran = (Result<String, AnswerFault>, Pipe);

/// Sends chunks through a pipe; the text is what the client got.
fn run(mut pipe: Pipe, chunks: &[&[u8]]) -> Ran {
    let mut got = Vec::new();
    for chunk in chunks {
        match pipe.push(Bytes::copy_from_slice(chunk)) {
            Ok(out) => got.extend_from_slice(&out.unwrap_or_default()),
            Err(fault) => return (Err(fault), pipe),
        }
    }
    let end = pipe.end();
    match end {
        Ok(out) => got.extend_from_slice(&out.unwrap_or_default()),
        Err(fault) => return (Err(fault), pipe),
    }
    (Ok(String::from_utf8(got).expect("UTF-8")), pipe)
}

fn relay(stream: &str) -> Ran {
    run(pipe_of(Dialect::OpenAi, shape(true), true), &[stream.as_bytes()])
}

#[test]
fn a_stream_passes_with_its_cost() {
    let stream = frames(&[ROLE, HI, HI, FIN, USE, DONE], "\n");
    let (got, pipe) = relay(&stream);
    let want = stream.replace(r#""total_tokens":1500}}"#, COSTS);
    assert_eq!(got.as_ref(), Ok(&want));
    let meter = pipe.meter();
    assert!(meter.complete && meter.semantic);
    assert_eq!(meter.finish, Some(FinishReason::Stop));
    assert_eq!(meter.native_finish.as_deref(), Some("stop"));
    assert_eq!(meter.upstream_id.as_deref(), Some("c1"));
    assert_eq!(meter.upstream_model.as_deref(), Some("m-1"));
    let usage = Usage { prompt: 1000, completion: 500, ..Usage::default() };
    assert_eq!(meter.usage(40), usage);
    let text = r#"Hi "usage":{} "error": 1 [DONE]"#;
    assert_eq!(meter.output_bytes, 2 * text.len() as u64, "parsed or not, text counts once");
    assert_eq!(pipe.cost(), NanoUsd(2_000));
}

#[test]
fn plain_chunks_are_not_copied() {
    let mut pipe = pipe_of(Dialect::OpenAi, shape(true), true);
    assert_eq!(pipe.push(Bytes::from(frames(&[ROLE], "\n"))), Ok(None), "held back");
    assert!(!pipe.started());
    let first = pipe.push(Bytes::from(frames(&[HI], "\n"))).expect("good");
    assert_eq!(first, Some(Bytes::from(frames(&[ROLE, HI], "\n"))));
    for end in ["\n", "\r\n"] {
        let chunk = Bytes::from(frames(&[HI, ": note", HI, FIN], end));
        let out = pipe.push(chunk.clone()).expect("good").expect("bytes");
        assert_eq!((out.as_ptr(), out.len()), (chunk.as_ptr(), chunk.len()), "{end:?}");
    }
    let half = Bytes::from(format!("{HI}\n\n{}", &HI[..100]));
    let out = pipe.push(half.clone()).expect("good").expect("bytes");
    assert_eq!((out.as_ptr(), out.len()), (half.as_ptr(), HI.len() + 2), "whole frames only");
}

#[test]
fn a_missing_usage_is_counted_before_the_end() {
    for (stream, complete) in [
        (frames(&[ROLE, HI, FIN, DONE], "\n"), "with [DONE]"),
        (frames(&[ROLE, HI, FIN], "\n"), "without [DONE]"),
        (frames(&[ROLE, HI, FIN], "\n") + DONE, "[DONE] without an empty line"),
    ] {
        let (got, pipe) = relay(&stream);
        let got = got.expect(complete);
        let usage = r#""choices":[],"usage":{"prompt_tokens":2,"completion_tokens":13,"#;
        assert!(got.contains(usage), "{complete}: {got}");
        assert!(got.contains(r#""cost":0.000000028}"#), "{complete}: {got}");
        assert!(got.contains(r#"{"id":"c1","object":"chat.completion.chunk""#), "{got}");
        assert!(got.ends_with("}\n\ndata: [DONE]\n\n"), "{complete}: {got}");
        assert_eq!(got.matches("[DONE]\n").count(), 1, "{complete}");
        assert!(pipe.meter().complete && pipe.meter().usage(40).estimated, "{complete}");
    }
}

#[test]
fn usage_in_odd_places_is_charged() {
    let with_finish = FIN.replace(
        "}]}",
        r#"}],"usage":{"prompt_tokens":1000,"completion_tokens":500,"cost":9.5,"total_tokens":1500}}"#,
    );
    let (got, _) = relay(&frames(&[ROLE, HI, &with_finish, DONE], "\n"));
    let got = got.expect("good");
    assert!(got.contains(r#""cost":0.000002,"total"#), "a provider's cost is replaced: {got}");
    assert!(!got.contains("9.5"), "{got}");
    let groq = FIN
        .replace("}]}", r#"}],"x_groq":{"usage":{"prompt_tokens":1000,"completion_tokens":500}}}"#);
    let (got, pipe) = relay(&frames(&[ROLE, HI, &groq, DONE], "\n"));
    let got = got.expect("good");
    assert!(got.contains(r#""prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500,"#));
    assert!(got.contains(r#""cost":0.000002}"#), "{got}");
    assert!(!pipe.meter().usage(40).estimated);
    let lines = USE.replace(",\"usage\"", ",\ndata: \"usage\"");
    let (got, _) = relay(&frames(&[ROLE, HI, FIN, &lines, DONE], "\n"));
    assert!(got.expect("good").contains(
        &USE.replace(r#""total_tokens":1500}}"#, COSTS).replace(",\"usage\"", ", \"usage\"")
    ));
}

#[test]
fn bad_streams_are_faults() {
    let error = r#"data: {"error":{"message":"m","code":"c"}}"#;
    let in_band = || AnswerFault::InBand { code: Some("c".into()), message: "m".into() };
    let long_error = error.replace("\"m\"", &format!("\"m\",\"pad\":\"{}\"", "x".repeat(80)));
    for (stream, want) in [
        (String::new(), AnswerFault::Empty),
        (": note\n\n".to_owned(), AnswerFault::Empty),
        (frames(&[ROLE], "\n"), AnswerFault::Truncated),
        (frames(&[ROLE, HI], "\n"), AnswerFault::Truncated),
        (frames(&[ROLE, HI], "\n") + &FIN[..FIN.len() - 9], AnswerFault::Truncated),
        (frames(&[ROLE, HI, FIN], "\n") + &USE[..USE.len() - 9], AnswerFault::Truncated),
        (frames(&[ROLE, HI], "\n") + HI, AnswerFault::Truncated),
        (frames(&[ROLE, DONE], "\n"), AnswerFault::Empty),
        (frames(&[ROLE, error, DONE], "\n"), in_band()),
        (frames(&[ROLE, HI, error], "\n"), in_band()),
        (frames(&[ROLE, HI, &long_error], "\n"), in_band()),
        (
            frames(&[ROLE, HI], "\n")
                + "event: error\ndata: {\"message\":\"m\",\"code\":\"c\"}\n\n",
            in_band(),
        ),
        (
            frames(&["data: nonsense"], "\n"),
            AnswerFault::Garbled("the JSON is not that of a chat completion"),
        ),
    ] {
        let (got, pipe) = relay(&stream);
        assert_eq!(got, Err(want), "{stream}");
        assert!(!pipe.meter().complete, "{stream}");
    }
    let two = FIN.replace("\"index\":0", "\"index\":1");
    let other = HI.replace("\"index\":0", "\"index\": 1");
    let (got, _) = relay(&frames(&[ROLE, HI, &other, FIN], "\n"));
    assert_eq!(got, Err(AnswerFault::Truncated), "a second choice is open");
    let (got, _) = relay(&frames(&[ROLE, HI, &other, FIN, &two], "\n"));
    assert!(got.is_ok(), "both choices are finished");
}

#[test]
fn what_is_held_back_is_bounded() {
    let mut pipe = pipe_of(Dialect::OpenAi, shape(true), true);
    let role = Bytes::from(frames(&[ROLE], "\n").repeat(100));
    let fault = (0..10_000).find_map(|_| pipe.push(role.clone()).err());
    assert_eq!(fault, Some(AnswerFault::TooLarge));
    let mut pipe = pipe_of(Dialect::OpenAi, shape(true), true);
    let open = Bytes::from(vec![b'x'; 1 << 20]);
    let fault = (0..32).find_map(|_| pipe.push(open.clone()).err());
    assert_eq!(fault, Some(AnswerFault::TooLarge), "an endless event");
    let mut pipe = pipe_of(Dialect::OpenAi, shape(false), false);
    let fault = (0..100).find_map(|_| pipe.push(open.clone()).err());
    assert_eq!(fault, Some(AnswerFault::TooLarge), "an endless document");
    let mut pipe = pipe_of(Dialect::OpenAi, shape(true), true);
    let notes = Bytes::from(": keep-alive\n\n".repeat(1000));
    assert!((0..1000).all(|_| pipe.push(notes.clone()) == Ok(None)), "waiting is no fault");
}

const WHOLE: &str = r#"{"id":"c1","object":"chat.completion","created":1,"model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hi \"usage\""},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500}}"#;

#[test]
fn a_whole_answer_passes_with_its_cost() {
    let whole = |body: &str| run(pipe_of(Dialect::OpenAi, shape(false), false), &[body.as_bytes()]);
    let (got, pipe) = whole(WHOLE);
    let charged = WHOLE.replace(r#""total_tokens":1500}}"#, COSTS);
    assert_eq!(got, Ok(charged.replacen('{', "{\"system_fingerprint\":null,", 1)));
    for told in [r#""system_fingerprint" : "fp_1","#, r#""system_fingerprint":null,"#] {
        let told = |body: &str| body.replacen(r#""model""#, &format!("{told}\"model\""), 1);
        assert_eq!(whole(&told(WHOLE)).0, Ok(told(&charged)), "what a provider has is kept");
    }
    assert!(pipe.meter().complete);
    assert_eq!(pipe.meter().output_bytes, 10);
    assert_eq!(pipe.meter().finish, Some(FinishReason::Stop));
    let (start, _) = WHOLE.split_once(",\"usage\":").expect("a usage");
    for body in [format!("\n{start}}}"), format!("{start},\"usage\":null}}")] {
        let (got, pipe) = whole(&body);
        let got = got.expect("good");
        let usage = serde_json::from_str::<serde_json::Value>(&got).expect("JSON")["usage"].take();
        assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&2.into(), &4.into()));
        assert_eq!(usage["cost"], 0.000_000_01);
        assert!(pipe.meter().usage(40).estimated);
    }
    let call = WHOLE.replace(r#""content":"Hi \"usage\"""#, r#""content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]"#);
    let got = whole(&call).0.expect("a tool call is an answer");
    assert!(got.starts_with(r#"{"system_fingerprint":null,"id":"c1","#), "{got}");
    for (body, want) in [
        ("", AnswerFault::Empty),
        (r#"{"choices":[],"usage":{}}"#, AnswerFault::Empty),
        (r#"{"choices":[{"message":{"content":""},"finish_reason":""}]}"#, AnswerFault::Empty),
        (&WHOLE[..200], AnswerFault::Truncated),
        (
            r#"{"error":{"message":"m","code":"c"}}"#,
            AnswerFault::InBand { code: Some("c".into()), message: "m".into() },
        ),
    ] {
        assert_eq!(whole(body).0, Err(want), "{body}");
    }
}

#[test]
fn a_stream_becomes_a_whole_answer_and_back() {
    let stream = frames(&[ROLE, HI, FIN, USE, DONE], "\n");
    let (got, pipe) = run(pipe_of(Dialect::OpenAi, shape(false), true), &[stream.as_bytes()]);
    let got: serde_json::Value = serde_json::from_str(&got.expect("good")).expect("JSON");
    assert_eq!(got["choices"][0]["message"]["content"], r#"Hi "usage":{} "error": 1 [DONE]"#);
    assert_eq!(
        (&got["id"], &got["model"]),
        (&"gen-00000000000000000000000000000007".into(), &"a/b".into())
    );
    assert_eq!(got["usage"]["cost"], 0.000_002);
    assert!(pipe.meter().complete);
    let (got, _) = run(pipe_of(Dialect::OpenAi, shape(true), false), &[WHOLE.as_bytes()]);
    let got = got.expect("good");
    assert!(got.contains(r#""delta":{"content":"Hi \"usage\""}"#), "{got}");
    assert!(got.contains(r#""cost":0.000002}"#) && got.ends_with("data: [DONE]\n\n"), "{got}");
    for (stream, want) in [
        (frames(&[ROLE, HI], "\n"), AnswerFault::Truncated),
        (frames(&[ROLE, DONE], "\n"), AnswerFault::Empty),
        (String::new(), AnswerFault::Empty),
    ] {
        let pipe = pipe_of(Dialect::OpenAi, shape(false), true);
        assert_eq!(run(pipe, &[stream.as_bytes()]).0, Err(want), "{stream}");
    }
    let pipe = pipe_of(Dialect::OpenAi, shape(false), true);
    assert!(run(pipe, &[frames(&[ROLE, HI, FIN], "\n").as_bytes()]).0.is_ok(), "no [DONE]");
}

const ANTHROPIC: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"c-1","content":[],"stop_reason":null,"usage":{"input_tokens":1000,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type":"ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Größe"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":500}}

event: message_stop
data: {"type":"message_stop"}

"#;

#[test]
fn another_dialect_is_translated() {
    let pipe = |stream| pipe_of(Dialect::Anthropic, shape(stream), true);
    let singles: Vec<&[u8]> = ANTHROPIC.as_bytes().chunks(1).collect();
    let (got, ran) = run(pipe(true), &singles);
    let got = got.expect("a good answer");
    assert!(got.contains(r#""delta":{"content":"Größe"}"#), "{got}");
    assert!(got.contains(r#""cost":0.000002}"#) && got.ends_with("data: [DONE]\n\n"), "{got}");
    assert_eq!(ran.meter().finish, Some(FinishReason::Stop));
    assert_eq!(ran.meter().native_finish.as_deref(), Some("end_turn"));
    assert_eq!(ran.meter().upstream_id.as_deref(), Some("msg_1"));
    assert_eq!(seen(pipe(true), &[ANTHROPIC.as_bytes()]), got, "cut or not");
    let (got, _) = run(pipe(false), &singles);
    let got: serde_json::Value = serde_json::from_str(&got.expect("good")).expect("JSON");
    assert_eq!(got["choices"][0]["message"]["content"], "Größe");
    assert_eq!(got["usage"]["cost"], 0.000_002);
    let (cut, _) = ANTHROPIC.split_once("event: message_stop").expect("an end");
    let (got, ran) = run(pipe(true), &[cut.as_bytes()]);
    assert_eq!(got, Err(AnswerFault::Truncated), "this dialect has no end but its own");
    assert!(!ran.meter().complete);
}

#[test]
fn an_aborted_stream_ends_well_formed() {
    let mut pipe = pipe_of(Dialect::OpenAi, shape(true), true);
    pipe.push(Bytes::from(frames(&[ROLE, HI], "\n"))).expect("good");
    let error = GatewayError::new(Kind::ProviderFailed, "The provider failed.");
    let wire = pipe.abort(&error);
    let text = std::str::from_utf8(&wire).expect("UTF-8");
    let (chunk, done) = text.split_once("\n\n").expect("two events");
    assert_eq!(done, "data: [DONE]\n\n");
    let chunk: serde_json::Value =
        serde_json::from_str(chunk.trim_start_matches("data: ")).expect("JSON");
    assert_eq!((&chunk["id"], &chunk["error"]["code"]), (&"c1".into(), &502.into()));
    assert_eq!(chunk["choices"][0]["finish_reason"], "error");
    assert!(!pipe.meter().complete);
    for (upstream_sse, prefix) in [(true, format!("{HI}\n\n")), (false, String::new())] {
        let mut pipe = pipe_of(Dialect::OpenAi, shape(true), upstream_sse);
        let fault = pipe
            .push(Bytes::from(frames(&[ROLE, HI], "\n")))
            .and_then(|_| pipe.push(Bytes::from(frames(&[HI, "data: {\"error\":\"x\"}"], "\n"))))
            .and_then(|_| pipe.end());
        assert!(fault.is_err(), "the provider failed");
        let wire = pipe.abort(&error);
        assert!(wire.starts_with(format!("{prefix}data: {{\"id\":").as_bytes()), "{wire:?}");
        assert!(wire.ends_with(b"data: [DONE]\n\n"), "{wire:?}");
    }
    let mut whole = pipe_of(Dialect::OpenAi, shape(false), false);
    assert!(whole.abort(&error).is_empty(), "nothing was begun");
}

/// Streams as hosts send them.
fn vectors() -> Vec<String> {
    let spaced =
        [ROLE, HI, FIN, USE].map(|f| f.replace("\":", "\" : ").replace("data:", "data:  "));
    let deepseek = HI.replace("\"content\":\"Hi", "\"content\":null,\"reasoning_content\":\"Hi");
    let azure = r#"data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,"content_filter_results":{}}]}"#;
    let tool = r#"data: {"id":"c1","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"a","type":"function","function":{"name":"f","arguments":"{\"usage\":1}"}}]},"finish_reason":null}]}"#;
    let wide = HI.replace("Hi", "Größe 😀 \\u00e9");
    let note = ": keep-alive";
    vec![
        frames(&[ROLE, HI, HI, FIN, USE, DONE], "\n"),
        frames(&[ROLE, HI, FIN, USE, DONE], "\r\n"),
        frames(&[ROLE, &wide, FIN, DONE], "\r"),
        frames(&[note, note, ROLE, &deepseek, note, HI, FIN, USE, DONE], "\n"),
        frames(&[azure, ROLE, HI, FIN, USE, DONE], "\n"),
        frames(&[&spaced[0], &spaced[1], &spaced[2], &spaced[3], DONE], "\n"),
        frames(&[ROLE, tool, tool, FIN], "\n"),
        format!("\u{feff}{}", frames(&[ROLE, HI, FIN, DONE, HI], "\n")),
        frames(&[ROLE, HI, FIN, USE], "\n") + DONE,
        frames(&[ROLE, &wide], "\n"),
        frames(&[ROLE, HI], "\n") + "data: {\"error\":\"x\"}\n\n",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_gives_the_client_the_same(
        which in 0_usize..11,
        cuts in prop::collection::vec(0_usize..4000, 0..8),
        stream in any::<bool>(),
    ) {
        let vectors = vectors();
        let bytes = vectors[which].as_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|c| c % (bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let (mut chunks, mut from) = (Vec::new(), 0);
        for cut in cuts {
            chunks.push(&bytes[from..cut]);
            from = cut;
        }
        chunks.push(&bytes[from..]);
        let pipe = || pipe_of(Dialect::OpenAi, shape(stream), true);
        let (whole, one) = run(pipe(), &[bytes]);
        let (cut, two) = run(pipe(), &chunks);
        prop_assert_eq!(&cut, &whole);
        prop_assert_eq!(one.meter().usage(40), two.meter().usage(40));
        let singles: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(&run(pipe(), &singles).0, &whole);
        // A fault in the first bytes is retried unseen; later it is not, and cuts change nothing.
        let (one, two) = (seen(pipe(), &chunks), seen(pipe(), &singles));
        prop_assert!(one.is_empty() || one == two, "{} / {}", one, two);
    }

    #[test]
    fn hostile_bytes_never_panic(
        parts in prop::collection::vec(prop::sample::select(vec![
            ROLE, HI, FIN, USE, DONE, "data: ", "\n\n", "\r", "{", "}", "\"usage\":", "\"delta\":{",
            "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"usage\":{\"cost\":{}}}", "[[[[",
            "\\u", "null", ",", ":",
        ]), 0..16),
        stream in any::<bool>(),
        sse in any::<bool>(),
    ) {
        let text = parts.concat();
        let (got, pipe) = run(pipe_of(Dialect::OpenAi, shape(stream), sse), &[text.as_bytes()]);
        prop_assert_eq!(got.is_ok(), pipe.meter().complete);
    }
}

#[test]
fn what_no_report_counts_is_estimated_and_bounded() {
    const START: &str = r#"data: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"m-1","content":[],"stop_reason":null,"usage":{"input_tokens":30,"output_tokens":1}}}"#;
    const OPEN: &str = r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    const TEXT: &str = r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"eight le"}}"#;
    let began = |completion_max: u64| {
        let mut pipe = pipe_of(Dialect::Anthropic, Shape { completion_max, ..shape(true) }, true);
        let wire = frames(&[START, OPEN, TEXT, TEXT, TEXT], "\n");
        assert!(pipe.push(Bytes::from(wire)).expect("good").is_some());
        pipe
    };
    // The report at the start says nothing of the 24 letters since.
    let usage = Usage { prompt: 30, completion: 6, estimated: true, ..Usage::default() };
    assert_eq!(began(1_000).meter().usage(40), usage);
    assert_eq!(began(4).meter().usage(40), Usage { completion: 4, ..usage });
    // A report at the end does.
    let mut pipe = began(4);
    let end = [
        r#"data: {"type":"content_block_stop","index":0}"#,
        r#"data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}"#,
        r#"data: {"type":"message_stop"}"#,
    ];
    assert!(pipe.push(Bytes::from(frames(&end, "\n"))).is_ok());
    let told = Usage { prompt: 30, completion: 9, ..Usage::default() };
    assert_eq!(pipe.meter().usage(40), told, "a provider's own counts are not bounded");
    // Reports that run along miss only what came after the last.
    let counted = HI.replace("}]}", r#"}],"usage":{"prompt_tokens":30,"completion_tokens":90}}"#);
    let mut pipe = pipe_of(Dialect::OpenAi, shape(true), true);
    assert!(pipe.push(Bytes::from(frames(&[ROLE, &counted, HI], "\n"))).is_ok());
    let usage = pipe.meter().usage(40);
    assert!(usage.completion >= 90 && usage.estimated, "{usage:?}");
}

#[test]
fn a_usage_or_fingerprint_that_says_nothing_is_left_out() {
    let with = |frame: &str| {
        let frame = frame.replacen(",\"choices\"", ", \"system_fingerprint\": null,\"choices\"", 1);
        frame.replacen("}]}", "}],\"usage\":null}", 1)
    };
    let stream = [with(ROLE), with(HI), with(FIN), USE.to_owned(), DONE.to_owned()];
    let stream = stream.join("\n\n") + "\n\n";
    let (got, _) = run(pipe_of(Dialect::OpenAi, shape(true), true), &[stream.as_bytes()]);
    let got = got.expect("a good stream");
    assert!(!got.contains("\"usage\":null") && !got.contains("fingerprint"), "{got}");
    assert!(got.contains(HI) && got.contains(COSTS), "{got}");
}
