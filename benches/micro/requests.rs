//! Reading a request and writing it for a provider.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use turnpike::cache::key::{self, Scope};
use turnpike::dialect::{self, Ask, Dialect, Surface, Target, scan};
use turnpike::vocab::AccountId;

use crate::data;

const SIZES: [(&str, usize); 3] = [("1KB", 1024), ("32KB", 32 * 1024), ("1000KB", 1_024_000)];
const TARGET: Target<'static> = Target::new("gpt-4o-mini", 16_384);

/// One pass over a request's body.
pub(crate) fn scan(c: &mut Criterion) {
    each_size(c, "scan", |body| {
        black_box(scan::scan(black_box(body)).expect("a sound request"));
    });
}

/// From a scanned request to the provider's, in the same dialect.
pub(crate) fn splice(c: &mut Criterion) {
    let mut group = c.benchmark_group("splice");
    for (name, bytes) in SIZES {
        let body = data::chat_request(bytes);
        let head = scan::scan(&body).expect("a sound request");
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(name), &body, |b, body| {
            b.iter(|| {
                let (surface, parsed) = (Surface::Chat, &mut None);
                let mut ask = Ask { surface, body, head: &head, parsed };
                dialect::upstream_request(Dialect::OpenAi, &mut ask, &TARGET)
                    .expect("a request for the provider")
            });
        });
    }
    group.finish();
}

/// From a scanned request to Anthropic's, through the hub.
pub(crate) fn translate(c: &mut Criterion) {
    let mut group = c.benchmark_group("chat-to-anthropic");
    for (name, bytes) in SIZES {
        let body = data::chat_request(bytes);
        let head = scan::scan(&body).expect("a sound request");
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(name), &body, |b, body| {
            b.iter(|| {
                let (surface, parsed) = (Surface::Chat, &mut None);
                let mut ask = Ask { surface, body, head: &head, parsed };
                dialect::upstream_request(Dialect::Anthropic, &mut ask, &TARGET)
                    .expect("a request for the provider")
            });
        });
    }
    group.finish();
}

/// The canonical key of a request, for the cache.
pub(crate) fn cache_key(c: &mut Criterion) {
    let account = AccountId::parse("bench").expect("an account id");
    each_size(c, "cache-key", |body| {
        let scope = Scope { account: &account, surface: "chat", stream: true, rules: b"" };
        black_box(key::key(scope, black_box(body)).expect("a key"));
    });
}

fn each_size(c: &mut Criterion, name: &str, deed: impl Fn(&[u8])) {
    let mut group = c.benchmark_group(name);
    for (size, bytes) in SIZES {
        let body = data::chat_request(bytes);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(size), &body, |b, body| {
            b.iter(|| deed(body));
        });
    }
    group.finish();
}
