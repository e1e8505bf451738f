//! Who asks, what it costs, and writing both down.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput};
use turnpike::auth;
use turnpike::ledger::entry::{Cause, Entry, Event};
use turnpike::ledger::{Charge, GenerationRecord, HoldAsk, KeyEntry, Ledger, Options};
use turnpike::observe::{AccessLine, Meters, Metrics, Report, StatusClass, Surface};
use turnpike::terms::{AccountTerms, KeyTerms};
use turnpike::vocab::{
    AccountId, EndpointId, GenerationId, KeyId, ModelId, NanoUsd, ProviderId, Usage,
};

use crate::data;

const NOW_MS: u64 = 1_767_225_600_000;
/// Holds in one measured group.
const GROUP: u64 = 256;

fn record(generation: GenerationId) -> GenerationRecord {
    let account = AccountId::parse("bench").expect("an account id");
    let key = KeyId::parse("key-1").expect("a key id");
    let mut record = GenerationRecord::bare(generation, NOW_MS, account, key);
    record.model = ModelId::parse("bench/model").ok();
    record.provider = ProviderId::parse("p0").ok();
    record.endpoint = EndpointId::parse("p0/model").ok();
    record.upstream_id = Some("chatcmpl-9d2c1b0a".to_owned());
    record.finish_reason = Some("stop".to_owned());
    record.native_finish_reason = Some("stop".to_owned());
    record.usage = Usage { prompt: 200, completion: 100, ..Usage::default() };
    record.cost = NanoUsd(90_000);
    record.status = 200;
    record.attempts = 1;
    record
}

/// A journal entry in bytes, chained to the one before.
pub(crate) fn entry(c: &mut Criterion) {
    let generation = GenerationId::new(NOW_MS, 42);
    let key = KeyId::parse("key-1").expect("a key id");
    let held = Event::Held { generation, key, granted: NanoUsd(250_000), placed_ms: NOW_MS };
    let settled = Event::Settled { cause: Cause::Asked, record: Arc::new(record(generation)) };
    let mut group = c.benchmark_group("ledger-entry");
    for (name, event) in [("held", held), ("settled", settled)] {
        let entry = Entry { seq: 1, time_ms: NOW_MS, event };
        let mut out = Vec::with_capacity(1024);
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                entry.write(black_box(&[7; 32]), 0, &mut out)
            });
        });
    }
    group.finish();
}

/// Holds taken, made durable together, and settled: the whole way to the disk and back, per hold.
pub(crate) fn hold_and_settle(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (ledger, key) = open(dir.path());
    let next = AtomicU64::new(1);
    let mut group = c.benchmark_group("ledger");
    group.throughput(Throughput::Elements(GROUP));
    group.measurement_time(Duration::from_secs(5)).sample_size(20);
    group.bench_function("256-holds-durable-and-settled", |b| {
        b.iter_batched(
            || next.fetch_add(GROUP, Relaxed),
            |first| hold_all(&ledger, &key, first),
            BatchSize::PerIteration,
        );
    });
    group.finish();
    ledger.close().expect("a ledger that closes");
}

fn hold_all(ledger: &Ledger, key: &Arc<KeyEntry>, first: u64) {
    let take = |n: u64| {
        let generation = GenerationId::new(NOW_MS, u128::from(first + n));
        let (want, floor) = (NanoUsd(250_000), NanoUsd(1000));
        let ask = HoldAsk { generation, want, floor, now_ms: NOW_MS };
        (generation, ledger.hold(key, ask).expect("a hold"))
    };
    let holds: Vec<_> = (0..GROUP).map(take).collect();
    for (_, hold) in &holds {
        wait(hold.durable()).expect("a durable hold");
    }
    for (generation, hold) in holds {
        hold.settle(Charge { cost: NanoUsd(90_000), record: record(generation) });
    }
}

fn open(dir: &std::path::Path) -> (Ledger, Arc<KeyEntry>) {
    let (ledger, _) = Ledger::open(dir, Options::new(|| NOW_MS)).expect("a ledger");
    let account = AccountId::parse("bench").expect("an account id");
    ledger.create_account(&account, AccountTerms::default()).expect("an account");
    let credit = NanoUsd::parse_dollars("1000000").expect("an amount");
    ledger.top_up(&account, credit, "bench", "first").expect("credit");
    let (_, secret) = ledger.create_key(&account, KeyTerms::default()).expect("a key");
    let key = ledger.keys().find(secret.reveal().as_bytes()).cloned().expect("the key");
    (ledger, key)
}

/// Runs a future on this thread.
fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}

/// From a key to its caller.
pub(crate) fn authenticate(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (ledger, _) = open(dir.path());
    let account = AccountId::parse("bench").expect("an account id");
    let (_, secret) = ledger.create_key(&account, KeyTerms::default()).expect("a key");
    let header = format!("Bearer {}", secret.reveal());
    c.bench_function("authenticate", |b| {
        b.iter(|| {
            let presented = header.strip_prefix("Bearer ").unwrap_or_default();
            auth::authenticate(&ledger.keys(), presented.as_bytes(), NOW_MS).expect("a caller")
        });
    });
    ledger.close().expect("a ledger that closes");
}

/// A line of the access log.
pub(crate) fn access_line(c: &mut Criterion) {
    let mut line = AccessLine::new(NOW_MS, GenerationId::new(NOW_MS, 42));
    line.key = KeyId::parse("key-1").ok();
    line.account = AccountId::parse("bench").ok();
    line.client = "127.0.0.1".parse().ok();
    line.set_request("POST", "/v1/chat/completions");
    line.set_model_requested("bench/model");
    line.model_served = ModelId::parse("bench/model").ok();
    line.provider = ProviderId::parse("p0").ok();
    line.endpoint = EndpointId::parse("p0/model").ok();
    line.status = Some(200);
    line.stream = true;
    line.ttft = Some(Duration::from_micros(1234));
    line.duration = Duration::from_micros(5678);
    line.usage = Some(Usage { prompt: 200, completion: 100, ..Usage::default() });
    line.cost = Some(NanoUsd(90_000));
    line.finish = Some("stop");
    let mut out = Vec::with_capacity(1024);
    c.bench_function("access-line", |b| {
        b.iter(|| {
            out.clear();
            line.write_json(&mut out);
            out.len()
        });
    });
}

/// The one update of the metrics per request.
pub(crate) fn metrics(c: &mut Criterion) {
    let metrics = Metrics::new().expect("metrics");
    let config = data::config(3);
    let meters = Meters::new(&metrics, &config.catalog);
    let report = Report {
        surface: Surface::Chat,
        class: StatusClass::Ok,
        stream: true,
        cache: None,
        duration: Duration::from_micros(5678),
        overhead: Some(Duration::from_micros(80)),
        fallbacks: 0,
        usage: Usage { prompt: 200, completion: 100, ..Usage::default() },
        cost: NanoUsd(90_000),
    };
    c.bench_function("metrics", |b| {
        b.iter(|| metrics.finish(meters.model(black_box("bench/model")), &report));
    });
}
