//! What happens to an answer on its way to the client.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput};
use turnpike::dialect::frames::Framing;
use turnpike::dialect::ir::Event;
use turnpike::dialect::sse::{Framer, SseFault};
use turnpike::dialect::{AnswerShape, Dialect, Surface};
use turnpike::stream::Pipe;

use crate::data;

/// Chunks per measured stream.
const CHUNKS: u32 = 1000;

/// Cutting a stream into events: one event per chunk, and all in chunks of 16 KB.
pub(crate) fn framing(c: &mut Criterion) {
    let chunks: Vec<Bytes> = (0..CHUNKS).map(data::openai_chunk).collect();
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
    let chunks = |chunk: fn(u32) -> Bytes| (0..CHUNKS).map(chunk).collect::<Vec<_>>();
    let openai = chunks(data::openai_chunk);
    let start = data::openai_chunk(0);
    group.bench_function("openai-relayed", |b| {
        b.iter_batched(
            || (begun(Dialect::OpenAi, Surface::Chat, &start), openai.clone()),
            push_all,
            BatchSize::LargeInput,
        );
    });
    let cases = [
        (Dialect::Anthropic, Surface::Chat, data::anthropic_start(), chunks(data::anthropic_chunk)),
        (Dialect::Gemini, Surface::Chat, data::gemini_chunk(0), chunks(data::gemini_chunk)),
        (Dialect::Bedrock, Surface::Chat, data::bedrock_start(), chunks(data::bedrock_chunk)),
        (Dialect::OpenAi, Surface::Messages, data::openai_chunk(0), openai.clone()),
        (Dialect::OpenAi, Surface::Responses, data::openai_chunk(0), openai.clone()),
    ];
    for (dialect, surface, start, chunks) in cases {
        group.bench_function(format!("{dialect}-to-{surface}"), |b| {
            b.iter_batched(
                || (begun(dialect, surface, &start), chunks.clone()),
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

fn framing_of(dialect: Dialect) -> Framing {
    if dialect == Dialect::Bedrock { Framing::EventStream } else { Framing::Sse }
}

fn begun(dialect: Dialect, surface: Surface, start: &Bytes) -> Pipe {
    let passed = dialect == Dialect::OpenAi && surface == Surface::Chat;
    let shape = data::shape(surface, true);
    let mut pipe = Pipe::new(dialect, shape, framing_of(dialect), passed);
    pipe.push(start.clone()).expect("a sound start");
    pipe
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
    let shape = data::shape(Surface::Chat, false);
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
