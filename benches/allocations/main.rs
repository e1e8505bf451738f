//! What a chunk of an answer costs in allocations, from the provider's bytes to the client's.
//!
//! Apart from the timings (`benches/micro`), because counting replaces the allocator. It runs in a
//! moment, and prints a table.

#![expect(clippy::expect_used, reason = "a benchmark that can't be set up must not go on")]
#![expect(clippy::print_stdout, reason = "the table is the result")]

#[path = "../micro/streams.rs"]
mod streams;

use turnpike::dialect::{Dialect, Surface};

/// Chunks per stream.
const CHUNKS: u32 = 1000;

fn main() {
    println!("allocations and bytes allocated per chunk, over {CHUNKS} chunks of one token each\n");
    println!("| stream | allocations | bytes |\n|---|---|---|");
    for dialect in [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini, Dialect::Bedrock] {
        for surface in Surface::ALL {
            let (mut pipe, chunks) = streams::begun(dialect, surface, CHUNKS);
            let counted = allocation_counter::measure(|| {
                for chunk in chunks {
                    pipe.push(chunk).expect("a sound chunk");
                }
            });
            let per_chunk = |sum: u64| {
                let (whole, rest) = (sum / u64::from(CHUNKS), sum % u64::from(CHUNKS));
                format!("{whole}.{:02}", rest * 100 / u64::from(CHUNKS))
            };
            println!(
                "| {dialect} to {surface} | {} | {} |",
                per_chunk(counted.count_total),
                per_chunk(counted.bytes_total)
            );
        }
    }
}
