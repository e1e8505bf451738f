//! What a piece of a streamed answer costs, and a request of some length.

#![allow(missing_docs, reason = "criterion's macros make functions without documentation")]
#![allow(clippy::expect_used, reason = "a bench speaks by panicking")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::json;
use turnpike_plugin_api::{Kind, Piece};
use turnpike_plugin_redact::DEFINITION;
use turnpike_plugin_testkit::{Case, build, play};

const PROSE: &str = "The gateway reads what 3 models wrote, and lets it go word by word. In 2024 \
                     (or so) it was said that nothing, not even \"this\", takes longer than it must. ";

fn stream(c: &mut Criterion) {
    let words: Vec<&str> = PROSE.split_inclusive(' ').collect();
    let pieces: Vec<String> = words.chunks(5).map(<[&str]>::concat).collect();
    let plain = json!({});
    let own = json!({"placeholders": true, "patterns": [
        {"name": "ticket", "pattern": r"\bPROJ-[0-9]{1,6}\b"},
        {"name": "staff", "pattern": r"(?i)[a-z.]+@corp\.example"},
        {"name": "number", "pattern": r"\b\d{6,10}\b"},
    ]});
    for (name, options) in [("piece", &plain), ("piece, three patterns", &own)] {
        let plugin = build(&DEFINITION, options).expect("sound options");
        let mut run = play(&*plugin, &Case::default(), name).run.expect("a run");
        let (mut out, mut next) = (Vec::new(), pieces.iter().cycle());
        c.bench_function(name, |b| {
            b.iter(|| {
                let text = next.next().expect("it goes round").clone();
                run.on_piece(Piece::Text { choice: 0, kind: Kind::Text, text }, &mut out);
                black_box(&out);
                out.clear();
            });
        });
    }
}

fn request(c: &mut Criterion) {
    let case: Case = serde_json::from_value(json!({
        "turns": [{"role": "user", "texts": [PROSE.repeat(400)]}],
    }))
    .expect("a case");
    let plugin = build(&DEFINITION, &json!({})).expect("sound options");
    let mut group = c.benchmark_group("request");
    group.throughput(Throughput::Bytes(PROSE.len() as u64 * 400));
    group.bench_function("prose", |b| b.iter(|| black_box(play(&*plugin, &case, "request"))));
    group.finish();
    c.bench_function("build", |b| b.iter(|| build(&DEFINITION, &json!({})).map(|_| ())));
}

criterion_group!(benches, stream, request);
criterion_main!(benches);
