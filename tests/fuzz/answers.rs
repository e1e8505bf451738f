//! What providers send.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::IgnoredAny;
use turnpike::catalog::Quote;
use turnpike::dialect::bedrock::encode;
use turnpike::dialect::completions::Template;
use turnpike::dialect::frames::{Frames, Framing};
use turnpike::dialect::ir::Event;
use turnpike::dialect::openai::Host;
use turnpike::dialect::sse::{self, Frame};
use turnpike::dialect::{AnswerFault, AnswerShape, Bill, Dialect, Surface, embed, rerank};
use turnpike::error::{GatewayError, Kind, ProviderSaid};
use turnpike::stream::{Pipe, Shape};
use turnpike::vocab::{GenerationId, ModelId, NanoUsd, Usage};

use crate::dice::Dice;
use crate::mutate;
use crate::run::{self, files};

const COST: Option<Bill> = Some(Bill { cost: NanoUsd(123_000), upstream: None });

/// The answers of this dialect and its kin, in the file of this name.
fn corpus(dialect: Dialect, file: &str) -> Vec<Vec<u8>> {
    let kin: &[Dialect] = match dialect {
        Dialect::OpenAi | Dialect::Azure | Dialect::Mistral => {
            &[Dialect::OpenAi, Dialect::Azure, Dialect::Mistral]
        }
        Dialect::Anthropic | Dialect::VertexAnthropic => {
            &[Dialect::Anthropic, Dialect::VertexAnthropic]
        }
        Dialect::Gemini | Dialect::Vertex => &[Dialect::Gemini, Dialect::Vertex],
        _ => &[],
    };
    files("vectors", |path| {
        let of = |dialect: &Dialect| path.contains(&format!("-to-{dialect}/"));
        path.ends_with(file) && (of(&dialect) || kin.iter().any(of))
    })
}

fn framing(dialect: Dialect) -> (Framing, &'static str) {
    match dialect {
        Dialect::Bedrock => (Framing::EventStream, "/answer.frames"),
        Dialect::Ollama => (Framing::Lines, "/answer.ndjson"),
        _ => (Framing::Sse, "/answer.sse"),
    }
}

/// The bytes on the wire: AWS's frames are written as lines, and may be damaged once more.
fn on_the_wire(dice: &mut Dice, framing: Framing, input: &[u8]) -> Vec<u8> {
    if framing != Framing::EventStream {
        return input.to_vec();
    }
    let text = String::from_utf8_lossy(input);
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    let mut bytes: Vec<u8> = lines
        .filter(|(kind, _)| kind.len() < 256)
        .flat_map(|(kind, payload)| encode(kind, payload))
        .collect();
    if dice.one_in(4) {
        mutate::raw(dice, &mut bytes, &[Vec::new()]);
    }
    bytes
}

/// Pieces of the bytes.
fn cut<'a>(dice: &mut Dice, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let longest = *dice.of(&[1, 7, 100, 1 << 14]);
    if bytes.len() > 4096 * longest {
        return vec![bytes];
    }
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let (head, tail) = bytes.split_at(bytes.len().min(1 + dice.below(longest)));
        pieces.push(head);
        bytes = tail;
    }
    pieces
}

/// What the reader makes of a stream; the events of each frame go to `on` together.
fn read(
    dialect: Dialect,
    host: &'static Host,
    template: Option<&Template>,
    framing: Framing,
    pieces: &[&[u8]],
    mut on: impl FnMut(&[Event]),
) -> Result<(), AnswerFault> {
    let mut frames = Frames::new(framing).expect("a stream");
    let mut reader = dialect.reader(host, template);
    let mut events = Vec::new();
    let mut each = |frame: Frame<'_>| {
        let result = reader.read(&frame, &mut events);
        on(&events);
        events.clear();
        result
    };
    for piece in pieces {
        frames.push(piece, &mut each)?;
    }
    frames.finish(&mut each)
}

fn digest(events: &[Event], into: &mut blake3::Hasher) {
    for event in events {
        into.update(format!("{event:?}").as_bytes());
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn check_wire(framer: &mut sse::Framer, wire: &[u8]) {
    framer
        .push(wire, |frame| {
            assert!(frame.data == "[DONE]" || is_json(frame.data), "JSON is streamed");
            Ok::<_, AnswerFault>(())
        })
        .expect("events are streamed");
}

fn shape(dice: &mut Dice, dialect: Dialect) -> AnswerShape {
    AnswerShape {
        id: "gen-fuzz".into(),
        model: "author/model".into(),
        provider: "Host".into(),
        hide_reasoning: dice.one_in(4),
        reasoning_format: dialect.reasoning_format(),
        ..AnswerShape::default()
    }
}

fn any_template(dice: &mut Dice, templates: &[Template]) -> Option<Template> {
    (!dice.one_in(3)).then(|| dice.of(templates).clone())
}

fn templates() -> Vec<Template> {
    Template::shipped_names().filter_map(Template::shipped).collect()
}

/// A dialect's stream: any cut gives the same events, and each surface can write them.
fn streams(dialect: Dialect) {
    let (framing, file) = framing(dialect);
    let (name, corpus) = (format!("{dialect} stream"), corpus(dialect, file));
    let templates = templates();
    run::Target { name: &name, corpus: &corpus }.run(|dice, input| {
        let bytes = on_the_wire(dice, framing, input);
        let host = *dice.of(Host::ALL);
        let template = any_template(dice, &templates);
        let surface = *dice.of(&Surface::ALL);
        let shape = shape(dice, dialect);
        let mut sink = surface.stream_sink(&shape);
        let mut framer = sse::Framer::new(1 << 25);
        let (mut wire, mut whole) = (Vec::new(), blake3::Hasher::new());
        let mut ended = false;
        let result = read(dialect, host, template.as_ref(), framing, &[&bytes], |events| {
            digest(events, &mut whole);
            for event in events.iter().filter(|_| !ended) {
                sink.write(event, COST, &mut wire);
            }
            ended |= events.contains(&Event::End);
            check_wire(&mut framer, &wire);
            wire.clear();
        });
        if !ended {
            sink.abort(&GatewayError::new(Kind::Internal, "x"), &mut wire);
            check_wire(&mut framer, &wire);
        }
        let pieces = cut(dice, &bytes);
        let mut parts = blake3::Hasher::new();
        let again = read(dialect, host, template.as_ref(), framing, &pieces, |events| {
            digest(events, &mut parts);
        });
        assert_eq!(result, again, "any cut gives the same end");
        assert_eq!(whole.finalize(), parts.finalize(), "any cut gives the same events");
    });
}

/// A dialect's whole answer, and each surface's.
fn wholes(dialect: Dialect) {
    let (name, corpus) = (format!("{dialect} whole"), corpus(dialect, "/answer.json"));
    let templates = templates();
    run::Target { name: &name, corpus: &corpus }.run(|dice, body| {
        let template = any_template(dice, &templates);
        let mut events = Vec::new();
        let host = *dice.of(Host::ALL);
        let read = dialect.read_whole(host, template.as_ref(), body, &mut events);
        if read.is_ok() {
            assert_eq!(events.last(), Some(&Event::End), "a whole answer ends");
        }
        let mut sink = dice.of(&Surface::ALL).whole_sink(&shape(dice, dialect));
        events.iter().for_each(|event| sink.write(event));
        let answer = sink.finish(Some(&Usage::default()), COST);
        let answer = std::str::from_utf8(&answer).expect("text is written");
        assert!(is_json(answer), "JSON is written");
    });
}

/// A dialect's error answers.
fn faults(dialect: Dialect) {
    let name = format!("{dialect} fault");
    let mut corpus = corpus(dialect, "/answer.json");
    corpus.extend(
        [
            r#"{"error":{"message":"m","type":"t","param":"p","code":"context_length_exceeded"}}"#,
            r#"[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[]}}]"#,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            r#"{"message":"m","detail":[{"loc":["body"],"msg":"m","type":"t"}],"code":3000}"#,
            "<html><body>502 Bad Gateway</body></html>",
        ]
        .map(|text| format!("{text}\n").into_bytes()),
    );
    run::Target { name: &name, corpus: &corpus }.run(|dice, body| {
        let status = *dice.of(&[400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 503, 529, 999]);
        let fault = dialect.provider_fault(status, body);
        assert!(fault.message.len() <= ProviderSaid::RAW_MAX, "a bounded message");
        assert!(
            fault.code.is_none_or(|code| code.len() <= ProviderSaid::RAW_MAX),
            "a bounded code"
        );
    });
}

/// The whole of what happens to an answer, passed on or translated.
fn pipes(dialect: Dialect) {
    let (framing, file) = framing(dialect);
    let (name, mut corpus) = (format!("{dialect} pipe"), corpus(dialect, file));
    let streams = corpus.len();
    corpus.extend(self::corpus(dialect, "/answer.json"));
    assert!(streams > 0, "there are streams");
    run::Target { name: &name, corpus: &corpus }.run(|dice, input| {
        let framing = if dice.one_in(3) { Framing::Whole } else { framing };
        let bytes = on_the_wire(dice, framing, input);
        let shape = Shape {
            surface: *dice.of(&Surface::ALL),
            asked: None,
            host: dice.of::<&Host>(Host::ALL),
            template: None,
            echo: None,
            metadata: dice.one_in(3).then(|| Arc::from("{\"a\":1}")),
            generation: GenerationId::new(1_767_225_600_000, 42),
            created: 1_767_225_600,
            model: ModelId::parse("bench/model").expect("a model id"),
            provider: "Fuzz".into(),
            stream: !dice.one_in(3),
            prices: Quote::default(),
            prompt_estimate: 200,
            request: Bytes::from_static(b"{\"messages\":[]}"),
            completion_max: 4096,
            hide_reasoning: dice.one_in(3),
        };
        let mut pipe = Pipe::new(dialect, shape, framing, dice.one_in(2));
        let mut result = Ok(());
        for piece in cut(dice, &bytes) {
            if let Err(fault) = pipe.push(Bytes::copy_from_slice(piece)) {
                result = Err(fault);
                break;
            }
        }
        if result.and_then(|()| pipe.end().map(drop)).is_err() {
            let _last = pipe.abort(&GatewayError::new(Kind::Internal, "x"));
        }
        let _cost = pipe.cost();
    });
}

macro_rules! dialects {
    ($($module:ident: $dialect:ident),*) => {$(
        mod $module {
            use super::Dialect;

            #[test]
            fn streams() {
                super::streams(Dialect::$dialect);
            }

            #[test]
            fn wholes() {
                super::wholes(Dialect::$dialect);
            }

            #[test]
            fn faults() {
                super::faults(Dialect::$dialect);
            }

            #[test]
            fn pipes() {
                super::pipes(Dialect::$dialect);
            }
        }
    )*};
}

dialects!(
    openai: OpenAi, responses: Responses, azure: Azure, anthropic: Anthropic, gemini: Gemini,
    vertex: Vertex, vertex_anthropic: VertexAnthropic, bedrock: Bedrock, cohere: Cohere,
    mistral: Mistral, ollama: Ollama, completions: Completions
);

/// What cuts a stream into frames, alone: any cut gives the same frames.
fn cutters(name: &str, framing: Framing, files_of: &str) {
    let corpus = files("vectors", |path| path.ends_with(files_of));
    run::Target { name, corpus: &corpus }.run(|dice, input| {
        let bytes = on_the_wire(dice, framing, input);
        let frames = |pieces: &[&[u8]]| {
            let mut got = blake3::Hasher::new();
            let mut frames = Frames::new(framing).expect("a stream");
            let mut on = |frame: Frame<'_>| {
                got.update(format!("{frame:?}").as_bytes());
                Ok(())
            };
            let pushed = pieces.iter().try_for_each(|piece| frames.push(piece, &mut on));
            let result = pushed.and_then(|()| frames.finish(&mut on));
            (result, got.finalize())
        };
        let pieces = cut(dice, &bytes);
        assert_eq!(frames(&[&bytes]), frames(&pieces), "any cut gives the same frames");
    });
}

#[test]
fn server_sent_events() {
    cutters("sse", Framing::Sse, "/answer.sse");
}

#[test]
fn lines() {
    cutters("lines", Framing::Lines, "/answer.ndjson");
}

#[test]
fn event_stream() {
    cutters("event stream", Framing::EventStream, "/answer.frames");
}

#[test]
fn embeddings() {
    let answers = files("vectors-embed", |path| path.ends_with("/answer.json"));
    let requests = files("vectors-embed", |path| path.ends_with("/request.json"));
    let requests: Vec<_> =
        requests.iter().filter_map(|body| embed::read_request(body).ok()).collect();
    run::Target { name: "embed answer", corpus: &answers }.run(|dice, body| {
        let (dialect, request) = (*dice.of(&Dialect::ALL), dice.of(&requests));
        if let Ok(answer) = embed::read_answer(dialect, body, request) {
            let written = embed::write_answer(&answer, &shape(dice, dialect), None, COST);
            assert!(std::str::from_utf8(&written).is_ok_and(is_json), "JSON is written");
        }
    });
}

#[test]
fn reranking() {
    let answers = files("vectors-rerank", |path| path.ends_with("/answer.json"));
    let requests = files("vectors-rerank", |path| path.ends_with("/request.json"));
    let requests: Vec<_> =
        requests.iter().filter_map(|body| rerank::read_request(body).ok()).collect();
    run::Target { name: "rerank answer", corpus: &answers }.run(|dice, body| {
        let request = dice.of(&requests);
        if let Ok(answer) = rerank::read_answer(body, request) {
            let shape = shape(dice, Dialect::Cohere);
            let written = rerank::write_answer(&answer, request, &shape, None, COST);
            assert!(std::str::from_utf8(&written).is_ok_and(is_json), "JSON is written");
        }
    });
}
