//! What happens to an answer on its way to the client.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput};
use turnpike::dialect::frames::Framing;
use turnpike::dialect::ir::Event;
use turnpike::dialect::sse::{Framer, SseFault};
use turnpike::dialect::{AnswerShape, Dialect, Surface};
use turnpike::stream::Pipe;

use crate::{data, streams};

/// Chunks per measured stream.
const CHUNKS: u32 = 1000;

/// Cutting a stream into events: one event per chunk, and all in chunks of 16 KB.
pub(crate) fn framing(c: &mut Criterion) {
    let chunks: Vec<Bytes> = (0..CHUNKS).map(streams::openai_chunk).collect();
    let wire: Vec<u8> = chunks.concat();
    let mut group = c.benchmark_group("sse-framing");
    group.throughput(Throughput::Elements(u64::from(CHUNKS)));
    group.bench_function("event-per-chunk", |b| {
        b.iter(|| frames(chunks.iter().map(|chunk| &chunk[..])));
    });
    group.bench_function("16KB-chunks", |b| b.iter(|| frames(wire.chunks(16 * 1024))));
    group.finish();
}

fn frames<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> u32 {
    let mut framer = Framer::new(1 << 20);
    let mut count = 0;
    for chunk in chunks {
        let pushed = framer.push(chunk, |frame| {
            black_box(frame);
            count += 1;
            Ok::<(), SseFault>(())
        });
        pushed.expect("sound events");
    }
    count
}

/// A chunk of a stream through the pipe: passed on, or translated.
pub(crate) fn pipe_chunk(c: &mut Criterion) {
    let mut group = c.benchmark_group("pipe");
    group.throughput(Throughput::Elements(u64::from(CHUNKS)));
    let cases = [
        (Dialect::OpenAi, Surface::Chat, "openai-relayed"),
        (Dialect::Anthropic, Surface::Chat, "anthropic-to-chat"),
        (Dialect::Gemini, Surface::Chat, "gemini-to-chat"),
        (Dialect::Bedrock, Surface::Chat, "bedrock-to-chat"),
        (Dialect::OpenAi, Surface::Messages, "openai-to-messages"),
        (Dialect::OpenAi, Surface::Responses, "openai-to-responses"),
    ];
    for (dialect, surface, name) in cases {
        group.bench_function(name, |b| {
            b.iter_batched(
                || streams::begun(dialect, surface, CHUNKS),
                push_all,
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// An event of an answer as each surface writes it.
pub(crate) fn sinks(c: &mut Criterion) {
    let mut group = c.benchmark_group("sink");
    group.throughput(Throughput::Elements(u64::from(CHUNKS)));
    let text = |n: u32| Event::Text { choice: 0, text: format!(" word{n}") };
    let events: Vec<Event> = (0..CHUNKS).map(text).collect();
    for surface in Surface::ALL {
        group.bench_function(surface.name(), |b| {
            let mut wire = Vec::with_capacity(4096);
            b.iter(|| {
                let mut sink = surface.stream_sink(&AnswerShape::default());
                for event in &events {
                    wire.clear();
                    sink.write(event, None, &mut wire);
                    black_box(&wire);
                }
            });
        });
    }
    group.finish();
}

fn push_all((mut pipe, chunks): (Pipe, Vec<Bytes>)) -> Pipe {
    for chunk in chunks {
        black_box(pipe.push(chunk).expect("a sound chunk"));
    }
    pipe
}

/// A whole answer of 1 KB through the pipe.
pub(crate) fn pipe_whole(c: &mut Criterion) {
    let answer = data::openai_answer();
    let shape = streams::shape(Surface::Chat, false);
    let mut group = c.benchmark_group("pipe");
    group.throughput(Throughput::Bytes(answer.len() as u64));
    group.bench_function("openai-whole-1KB", |b| {
        b.iter(|| {
            let mut pipe = Pipe::new(Dialect::OpenAi, shape.clone(), Framing::Whole, true);
            let first = pipe.push(answer.clone()).expect("a sound answer");
            (first, pipe.end().expect("a whole answer"))
        });
    });
    group.finish();
}
