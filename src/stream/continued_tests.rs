//! Streams of two providers that are one to the client: cut anywhere, in any chunks.

use proptest::prelude::*;
use serde_json::Value;

use super::tests::shape;
use super::*;
use crate::error::Kind;
use crate::vocab::Usage;

const TEXT: &str = "Zwölf Bögen, w1 w2 w3 — and one more.";

/// OpenAI's stream of this text, a chunk for each piece.
fn openai(text: &str) -> String {
    let mut out = String::new();
    let mut chunk = |delta: Value, finish: Value| {
        let choice = serde_json::json!({"index": 0, "delta": delta, "finish_reason": finish});
        let chunk = serde_json::json!({"id": "c1", "object": "chat.completion.chunk",
            "created": 1, "model": "m-1", "choices": [choice]});
        out.push_str(&format!("data: {chunk}\n\n"));
    };
    chunk(serde_json::json!({"role": "assistant", "content": ""}), Value::Null);
    for c in text.chars() {
        chunk(serde_json::json!({"content": c}), Value::Null);
    }
    chunk(serde_json::json!({}), "stop".into());
    out + "data: {\"id\":\"c1\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\
           \"completion_tokens\":5,\"total_tokens\":14}}\n\ndata: [DONE]\n\n"
}

/// Anthropic's.
fn anthropic(text: &str) -> String {
    let mut out = String::new();
    let mut event = |name: &str, data: Value| {
        out.push_str(&format!("event: {name}\ndata: {data}\n\n"));
    };
    event(
        "message_start",
        serde_json::json!({"type": "message_start", "message": {"id": "msg_1",
        "model": "m-1", "usage": {"input_tokens": 9, "output_tokens": 1}}}),
    );
    event(
        "content_block_start",
        serde_json::json!({"type": "content_block_start", "index": 0,
        "content_block": {"type": "text", "text": ""}}),
    );
    for c in text.chars() {
        event(
            "content_block_delta",
            serde_json::json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "text_delta", "text": c}}),
        );
    }
    event("content_block_stop", serde_json::json!({"type": "content_block_stop", "index": 0}));
    event(
        "message_delta",
        serde_json::json!({"type": "message_delta",
        "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}}),
    );
    event("message_stop", serde_json::json!({"type": "message_stop"}));
    out
}

fn stream_of(dialect: Dialect, text: &str) -> String {
    match dialect {
        Dialect::Anthropic => anthropic(text),
        _ => openai(text),
    }
}

fn feed(pipe: &mut Pipe, bytes: &[u8], chunk: usize, out: &mut Vec<u8>) {
    for piece in bytes.chunks(chunk) {
        let piece = pipe.push(Bytes::copy_from_slice(piece)).expect("good bytes");
        out.extend_from_slice(&piece.unwrap_or_default());
    }
}

/// The client's bytes: the first provider's stream up to `cut`, and the second's.
fn two(
    surface: Surface,
    (first, second): (Dialect, Dialect),
    cut: usize,
    chunk: usize,
) -> Option<(String, Pipe)> {
    let shape = Shape { surface, ..shape(true) };
    let own = [(Surface::Chat, Dialect::OpenAi), (Surface::Messages, Dialect::Anthropic)];
    let passes = own.contains(&(surface, first));
    let mut pipe = Pipe::new(first, shape.clone(), Framing::Sse, passes);
    pipe.keep_delivered();
    let (whole, mut out) = (stream_of(first, TEXT), Vec::new());
    feed(&mut pipe, &whole.as_bytes()[..cut.min(whole.len())], chunk, &mut out);
    if !pipe.started() || !pipe.is_resumable() {
        return None;
    }
    let resume = pipe.take_resume(None)?;
    let said = resume.delivered().text();
    let rest = TEXT.strip_prefix(said.as_str()).expect("what was delivered is what was said");
    let seam = Seam::Exact { blank: said[said.trim_end().len()..].to_owned() };
    let before = (Usage { prompt: 3, completion: 2, ..Usage::default() }, NanoUsd(7));
    let how = Continued { seam, before, metadata: Some("{\"told\":2}".into()) };
    let mut pipe = Pipe::resumed(second, shape, Framing::Sse, resume, how);
    feed(&mut pipe, stream_of(second, rest).as_bytes(), chunk, &mut out);
    out.extend_from_slice(&pipe.end().expect("a good end").unwrap_or_default());
    Some((String::from_utf8(out).expect("UTF-8"), pipe))
}

/// What the surface's own reader makes of a stream.
fn read(surface: Surface, stream: &str) -> (String, Usage, usize) {
    let dialect = match surface {
        Surface::Chat => Dialect::OpenAi,
        Surface::Messages => Dialect::Anthropic,
        Surface::Responses => Dialect::Responses,
        Surface::Completions => Dialect::Completions,
    };
    let shape = Shape { surface, ..shape(true) };
    let mut reader = dialect.reader(shape.host, None);
    let mut frames = crate::dialect::frames::Frames::new(Framing::Sse).expect("frames");
    let mut events = Vec::new();
    frames
        .push(stream.as_bytes(), |frame| reader.read(&frame, &mut events))
        .unwrap_or_else(|fault| panic!("{surface}: {fault:?} in {stream}"));
    let (mut text, mut usage, mut ends) = (String::new(), Usage::default(), 0);
    for event in events {
        match event {
            crate::dialect::ir::Event::Text { text: piece, .. } => text.push_str(&piece),
            crate::dialect::ir::Event::Usage(told) => usage = told,
            crate::dialect::ir::Event::Finish { .. } => ends += 1,
            _ => {}
        }
    }
    (text, usage, ends)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn two_streams_are_one_wherever_the_first_is_cut(
        cut in 1_usize..9_000, chunk in 1_usize..400,
        surface in prop::sample::select(Surface::ALL.to_vec()),
        first in prop::sample::select(vec![Dialect::OpenAi, Dialect::Anthropic]),
        second in prop::sample::select(vec![Dialect::OpenAi, Dialect::Anthropic]),
    ) {
        let Some((stream, pipe)) = two(surface, (first, second), cut, chunk) else { return Ok(()) };
        let (text, usage, ends) = read(surface, &stream);
        prop_assert_eq!(&text, TEXT, "{}", stream);
        prop_assert_eq!(ends, 1, "{}", stream);
        // What the second reports, and what was there before.
        prop_assert_eq!((usage.prompt, usage.completion), (12, 7), "{}", stream);
        prop_assert!(pipe.meter().complete);
        prop_assert!(stream.contains("told"), "{}", stream);
    }
}

#[test]
fn a_second_failure_leaves_what_a_third_needs() {
    let shape = shape(true);
    let mut pipe = Pipe::new(Dialect::OpenAi, shape.clone(), Framing::Sse, true);
    pipe.keep_delivered();
    let (whole, mut out) = (openai("one two"), Vec::new());
    feed(&mut pipe, &whole.as_bytes()[..whole.find(" ").map_or(0, |_| 700)], 50, &mut out);
    let resume = pipe.take_resume(None).expect("a beginning");
    let said = resume.delivered().text();
    let how = || Continued {
        seam: Seam::Asked,
        before: (Usage::default(), NanoUsd::ZERO),
        metadata: None,
    };
    let mut pipe = Pipe::resumed(Dialect::OpenAi, shape, Framing::Sse, resume, how());
    let broken = pipe.push(Bytes::from_static(b"data: {\"error\":{\"message\":\"x\"}}\n\n"));
    assert!(broken.is_err());
    let mut resume = pipe.take_resume(None).expect("the same beginning");
    assert_eq!(resume.delivered().text(), said);
    let error = GatewayError::new(Kind::ProviderFailed, "m");
    let end = resume.abort(&error);
    let end = String::from_utf8_lossy(&end);
    assert!(end.contains("\"finish_reason\":\"error\"") && end.ends_with("[DONE]\n\n"), "{end}");
}
