//! What a ledger costs as it grows: appending, look-ups, bytes on disk and the next start, small and
//! large side by side in one run.
//!
//! Look-ups are by our id, by the provider's id, and of pages: the newest hundred of a key before a
//! moment, and of a model.
//!
//! `TURNPIKE_BENCH_GENERATIONS` is the large size (100,000 unless said otherwise);
//! `TURNPIKE_BENCH_DIR` is where the ledgers go (a temporary directory unless said otherwise; about
//! 400 bytes a generation).

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench measures time, prints, and fails by panicking"
)]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "counts are far below 2^52, and numbers that look drawn may be cut"
)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use turnpike::ledger::{
    ApiType, Charge, GenerationQuery, GenerationRecord, HoldAsk, KeyEntry, Ledger, Options,
    UnitPrices,
};
use turnpike::terms::{AccountTerms, KeyTerms};
use turnpike::vocab::{
    AccountId, EndpointId, GenerationId, KeyId, ModelId, NanoUsd, PicoUsd, ProviderId, Usage,
};

const NOW_MS: u64 = 1_767_225_600_000;
/// The time, in milliseconds since 1970: it goes on with the generations.
static CLOCK: AtomicU64 = AtomicU64::new(NOW_MS);
/// Generations that are open at once.
const OPEN: u64 = 8_192;
/// Generations in one measured slice of appending.
const SLICE: u64 = 10_000;
/// Look-ups in one measurement.
const LOOKUPS: u64 = 20_000;
/// Set for the process that only opens the ledger in this directory.
const OPEN_ONLY: &str = "TURNPIKE_BENCH_LEDGER";
/// The size that the large ledger is compared with.
const SMALL: u64 = 10_000;

fn main() {
    if let Some(dir) = std::env::var_os(OPEN_ONLY) {
        return open_only(Path::new(&dir));
    }
    let large = std::env::var("TURNPIKE_BENCH_GENERATIONS").map_or(100_000, |text| {
        text.parse::<u64>().expect("TURNPIKE_BENCH_GENERATIONS is a whole number")
    });
    let at = std::env::var_os("TURNPIKE_BENCH_DIR");
    let dir = match &at {
        Some(path) => tempfile::tempdir_in(path),
        None => tempfile::tempdir(),
    }
    .expect("a directory");
    let small = measure(&dir.path().join("small"), SMALL);
    let large = measure(&dir.path().join("large"), large.max(SMALL));
    println!("large to small: append {:.2}", small.append / large.append);
    for ((what, small), (_, large)) in small.lookups.iter().zip(&large.lookups) {
        println!("large to small: {what} {:.2}", large / small);
    }
}

struct Measured {
    /// Generations per second in the last slices.
    append: f64,
    /// Mean times, in microseconds.
    lookups: [(&'static str, f64); 4],
}

fn measure(dir: &Path, count: u64) -> Measured {
    println!("{count} generations");
    CLOCK.store(NOW_MS, Relaxed);
    let (ledger, key) = create(dir);
    let mut slices = Vec::new();
    let mut done = 0;
    while done < count {
        let begun = Instant::now();
        append(&ledger, &key, done, SLICE.min(count - done));
        slices.push(SLICE.min(count - done) as f64 / begun.elapsed().as_secs_f64());
        done += SLICE;
    }
    // The median of the last hundred slices: a checkpoint may fall into some.
    let from = slices.len().saturating_sub(100);
    let newest = &mut slices[from..];
    newest.sort_by(f64::total_cmp);
    let append = newest[newest.len() / 2];
    println!("  append          {append:.0} generations/s");
    ledger.close().expect("a ledger that closes");
    drop((key, ledger));
    let mut all = 0;
    for part in ["journal", "archive", "index", "generations"] {
        let bytes = size(&dir.join(part));
        all += bytes;
        println!("  {part:<15} {:.1} bytes/generation", bytes as f64 / count as f64);
    }
    println!("  on disk         {:.1} bytes/generation", all as f64 / count as f64);
    start(dir);
    let (ledger, _) = Ledger::open(dir, options()).expect("a ledger");
    let lookups = look_up(&ledger, count);
    for (what, us) in lookups {
        println!("  {what:<15} {us:.1} µs");
    }
    ledger.close().expect("a ledger that closes");
    Measured { append, lookups }
}

/// Opens the ledger in a process of its own, as a gateway's start does.
fn start(dir: &Path) {
    let this = std::env::current_exe().expect("the bench's own path");
    let status = std::process::Command::new(this).env(OPEN_ONLY, dir).status();
    assert!(status.expect("a process").success(), "it opens");
}

fn open_only(dir: &Path) {
    let begun = Instant::now();
    let (ledger, recovery) = Ledger::open(dir, options()).expect("a ledger");
    println!("  start           {:.3} s", begun.elapsed().as_secs_f64());
    assert_eq!((recovery.replayed, recovery.rebuilt_index), (0, false), "{recovery:?}");
    ledger.close().expect("a ledger that closes");
}

fn options() -> Options {
    // As the gateway's default is.
    Options { index_upstream_ids: true, ..Options::new(|| CLOCK.load(Relaxed)) }
}

fn create(dir: &Path) -> (Ledger, Arc<KeyEntry>) {
    let (ledger, _) = Ledger::open(dir, options()).expect("a ledger");
    let account = AccountId::parse("bench").expect("an account id");
    ledger.create_account(&account, AccountTerms::default()).expect("an account");
    let credit = NanoUsd::parse_dollars("100000000").expect("an amount");
    ledger.top_up(&account, credit, "bench", "first").expect("credit");
    let (_, secret) = ledger.create_key(&account, KeyTerms::default()).expect("a key");
    let key = ledger.keys().find(secret.reveal().as_bytes()).cloned().expect("the key");
    (ledger, key)
}

/// The n-th generation: five thousand begin in a second.
fn generation(n: u64) -> GenerationId {
    GenerationId::new(NOW_MS + n / 5, scatter(n))
}

/// A number that looks drawn, as the random part of an id does.
fn scatter(n: u64) -> u128 {
    let mut x = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    u128::from(x ^ (x >> 31)) << 10 | u128::from(n & 0x3ff)
}

fn record(n: u64, account: &AccountId, key: &KeyId) -> GenerationRecord {
    const MODELS: [(&str, &str); 4] = [
        ("openai/gpt-5-mini", "openai/openai/gpt-5-mini"),
        ("anthropic/claude-sonnet-4.5", "anthropic/anthropic/claude-sonnet-4.5"),
        ("meta-llama/llama-3.3-70b-instruct", "groq/meta-llama/llama-3.3-70b-instruct"),
        ("deepseek/deepseek-v3.2", "deepseek/deepseek/deepseek-v3.2"),
    ];
    let x = scatter(n) as u64;
    let (model, endpoint) = MODELS[(x % 4) as usize];
    let mut record =
        GenerationRecord::bare(generation(n), NOW_MS + n / 5, account.clone(), key.clone());
    record.model = ModelId::parse(model).ok();
    record.endpoint = EndpointId::parse(endpoint).ok();
    record.provider = endpoint.split('/').next().and_then(|p| ProviderId::parse(p).ok());
    record.upstream_id = Some(upstream(n));
    record.finish_reason = Some("stop".to_owned());
    record.native_finish_reason = Some("stop".to_owned());
    record.streamed = true;
    let prompt = 200 + x % 8_000;
    record.usage = Usage {
        prompt,
        cache_read: if x.is_multiple_of(3) { prompt / 2 } else { 0 },
        completion: 20 + x % 1_500,
        ..Usage::default()
    };
    record.latency_ms = 300 + (x % 900) as u32;
    record.ttft_ms = Some(320 + (x % 900) as u32);
    record.generation_ms = 1_000 + (x % 20_000) as u32;
    record.status = 200;
    record.attempts = 1;
    let details = &mut record.details;
    details.api = Some(ApiType::Chat);
    details.app_title = Some("Example Assistant".into());
    details.http_referer = Some("https://assistant.example.com/".into());
    details.user_agent = Some("OpenAI/Python 1.99.1".into());
    details.prices = Some(UnitPrices {
        prompt: PicoUsd(250_000),
        completion: PicoUsd(2_000_000),
        cache_read: Some(PicoUsd(25_000)),
        ..UnitPrices::default()
    });
    record
}

/// Holds taken and settled, so many open at once.
fn append(ledger: &Ledger, key: &Arc<KeyEntry>, first: u64, count: u64) {
    let account = key.account().id().clone();
    let mut done = first;
    while done < first + count {
        let end = (done + OPEN).min(first + count);
        CLOCK.store(NOW_MS + end / 5, Relaxed);
        let holds: Vec<_> = (done..end)
            .map(|n| {
                let ask = HoldAsk {
                    generation: generation(n),
                    want: NanoUsd(2_500_000),
                    floor: NanoUsd(1_000),
                    now_ms: NOW_MS + n / 5,
                };
                (n, ledger.hold(key, ask).expect("a hold"))
            })
            .collect();
        for (n, hold) in holds {
            let record = record(n, &account, key.id());
            hold.settle(Charge { cost: NanoUsd(900_000 + n as i64 % 7_777), record });
        }
        done = end;
        // The queue is empty when little waits; without that appending would only fill it.
        while ledger.stats().queue_depth > 512 {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// The provider's id of the n-th generation.
fn upstream(n: u64) -> String {
    format!("chatcmpl-{:029x}", scatter(n + 7) << 40)
}

/// Mean times of look-ups, spread over all generations.
fn look_up(ledger: &Ledger, count: u64) -> [(&'static str, f64); 4] {
    let some = |each: u64| (0..each).map(|n| (scatter(n * 31) % u128::from(count)) as u64);
    let timed = |each: u64, find: &dyn Fn(u64)| {
        let begun = Instant::now();
        some(each).for_each(find);
        begun.elapsed().as_secs_f64() * 1e6 / each as f64
    };
    let key = ledger.list_keys()[0].id().clone();
    let page = |query: GenerationQuery| {
        let page = ledger.generations(&query).expect("a readable ledger");
        assert!(!page.records.is_empty());
    };
    let query = |n: u64| GenerationQuery {
        to_ms: Some(NOW_MS + n / 5 + 60_000),
        limit: 100,
        ..GenerationQuery::default()
    };
    [
        (
            "by id",
            timed(LOOKUPS, &|n| {
                let found = ledger.generation(generation(n)).expect("a readable ledger");
                assert!(found.is_some(), "generation {n}");
            }),
        ),
        (
            "by upstream id",
            timed(LOOKUPS, &|n| {
                let found = ledger.generation_by_upstream(&upstream(n)).expect("a readable ledger");
                assert!(found.is_some(), "generation {n}");
            }),
        ),
        (
            "page of a key",
            timed(LOOKUPS / 100, &|n| {
                page(GenerationQuery { key: Some(key.clone()), ..query(n) });
            }),
        ),
        (
            "page of a model",
            timed(LOOKUPS / 100, &|n| {
                let model = ModelId::parse("deepseek/deepseek-v3.2").ok();
                page(GenerationQuery { model, ..query(n) });
            }),
        ),
    ]
}

fn size(path: &Path) -> u64 {
    let Ok(files) = fs::read_dir(path) else { return 0 };
    files
        .map(|file| {
            let file = file.expect("a readable entry");
            let kind = file.metadata().expect("metadata");
            if kind.is_dir() { size(&file.path()) } else { kind.len() }
        })
        .sum()
}
