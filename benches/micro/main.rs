//! What the parts of a request cost, each alone: reading and splicing it, choosing an endpoint,
//! relaying or translating the answer's chunks, and writing it down.
//!
//! Inputs are built as clients and providers send them. `benches/e2e` measures the whole.

#![expect(clippy::expect_used, reason = "a benchmark that can't be set up must not go on")]

mod answers;
mod data;
mod market;
mod money;
mod requests;
mod routes;
mod streams;

use criterion::{criterion_group, criterion_main};

/// As the gateway has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

criterion_group!(
    benches,
    requests::scan,
    requests::splice,
    requests::translate,
    requests::cache_key,
    routes::plan,
    market::catalog_load,
    answers::framing,
    answers::pipe_chunk,
    answers::sinks,
    answers::pipe_whole,
    money::entry,
    money::hold_and_settle,
    money::authenticate,
    money::access_line,
    money::metrics,
);
criterion_main!(benches);
