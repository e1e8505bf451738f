//! What happens to an answer on its way to the client.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput};
use turnpike::dialect::Dialect;
use turnpike::dialect::sse::{Framer, SseFault};
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
    let openai: Vec<Bytes> = (0..CHUNKS).map(data::openai_chunk).collect();
    let start = data::openai_chunk(0);
    group.bench_function("openai-relayed", |b| {
        b.iter_batched(
            || (begun(Dialect::OpenAi, &start), openai.clone()),
            push_all,
            BatchSize::LargeInput,
        );
    });
    let anthropic: Vec<Bytes> = (0..CHUNKS).map(data::anthropic_chunk).collect();
    let start = data::anthropic_start();
    group.bench_function("anthropic-translated", |b| {
        b.iter_batched(
            || (begun(Dialect::Anthropic, &start), anthropic.clone()),
            push_all,
            BatchSize::LargeInput,
        );
    });
    let gemini: Vec<Bytes> = (0..CHUNKS).map(data::gemini_chunk).collect();
    let start = data::gemini_chunk(0);
    group.bench_function("gemini-translated", |b| {
        b.iter_batched(
            || (begun(Dialect::Gemini, &start), gemini.clone()),
            push_all,
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn begun(dialect: Dialect, start: &Bytes) -> Pipe {
    let mut pipe = Pipe::new(dialect, data::shape(true), true);
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
    let shape = data::shape(false);
    let mut group = c.benchmark_group("pipe");
    group.throughput(Throughput::Bytes(answer.len() as u64));
    group.bench_function("openai-whole-1KB", |b| {
        b.iter(|| {
            let mut pipe = Pipe::new(Dialect::OpenAi, shape.clone(), false);
            let first = pipe.push(answer.clone()).expect("a sound answer");
            (first, pipe.end().expect("a whole answer"))
        });
    });
    group.finish();
}
