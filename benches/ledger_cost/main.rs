//! What the ledger adds to a request: 64 requests at a time on one core, with the ledger and without.
//!
//! A request here is what the gateway does for it and the ledger: the key is found, credit is held,
//! the hold is awaited as the first byte of an answer would, progress is noted before the first and
//! the last byte, and the charge is settled with its record. Without the ledger the same tasks take
//! the same turns and do nothing in them. All threads, the ledger's own included, share one core; CPU
//! time is the process's, so that nothing the ledger does is left out.
//!
//! `cargo bench --bench ledger_cost`; `TURNPIKE_COST_SECONDS` is the length of a phase (2 by default).

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "a benchmark that cannot be set up must not go on; it reads clocks and the environment"
)]

use std::future::Future;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use nix::unistd::Pid;
use tokio::runtime::Builder;
use tokio::task::LocalSet;
use turnpike::auth::authenticate;
use turnpike::ledger::{Charge, GenerationRecord, HoldAsk, KeyEntry, Ledger, Options};
use turnpike::terms::{AccountTerms, KeyTerms};
use turnpike::vocab::{AccountId, EndpointId, GenerationId, ModelId, NanoUsd, ProviderId, Usage};

const AT_A_TIME: u64 = 64;
const ROUNDS: usize = 5;
/// Requests a second; `None` for as many as there can be.
const PACES: [Option<u64>; 4] = [Some(500), Some(2_000), Some(5_000), None];

fn main() {
    one_core();
    let seconds =
        std::env::var("TURNPIKE_COST_SECONDS").map_or(2, |n| n.parse().expect("a number"));
    let length = Duration::from_secs(seconds);
    let dir = tempfile::tempdir().expect("a directory");
    let (ledger, secret) = open(dir.path());
    let mut out = std::io::stdout().lock();
    let head = "pace/s    requests  CPU µs with  without  added  wait for the hold µs p50  p99";
    writeln!(out, "{head}").expect("a terminal");
    let mut next = 1;
    for pace in PACES {
        // Rounds take turns, so that whatever disturbs the machine disturbs both.
        let mut rounds: Vec<[Phase; 2]> = (0..ROUNDS)
            .map(|_| {
                let with = phase(Some((&ledger, &secret)), pace, length, &mut next);
                let without = phase(None, pace, length, &mut next);
                [with, without]
            })
            .collect();
        rounds.sort_by(|a, b| (a[0].cpu_us - a[1].cpu_us).total_cmp(&(b[0].cpu_us - b[1].cpu_us)));
        let [with, without] = &rounds[ROUNDS / 2];
        let pace = pace.map_or_else(|| "most".to_owned(), |pace| pace.to_string());
        writeln!(
            out,
            "{pace:6}  {:10}  {:11.2}  {:7.2}  {:5.2}  {:24.0}  {:3.0}",
            with.requests,
            with.cpu_us,
            without.cpu_us,
            with.cpu_us - without.cpu_us,
            with.wait_us(50),
            with.wait_us(99),
        )
        .expect("a terminal");
    }
    let stats = ledger.stats();
    writeln!(out, "{} entries in {} commits", stats.entries, stats.commits).expect("a terminal");
    ledger.close().expect("a ledger that closes");
}

/// This thread, and all that it starts, on one core.
fn one_core() {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).expect("cores");
    let first = (0..CpuSet::count()).find(|core| allowed.is_set(*core).unwrap_or(false));
    let mut set = CpuSet::new();
    set.set(first.expect("a core")).expect("a core");
    sched_setaffinity(this, &set).expect("a core of one's own");
}

fn open(dir: &std::path::Path) -> (Ledger, Vec<u8>) {
    let (ledger, _) = Ledger::open(dir, Options::new(now_ms)).expect("a ledger");
    let account = AccountId::parse("bench").expect("an id");
    ledger.create_account(&account, AccountTerms::default()).expect("an account");
    let credit = NanoUsd::from_dollars(1_000_000);
    let _made = ledger.top_up(&account, credit, "bench", "first").expect("credit");
    let (_, secret) = ledger.create_key(&account, KeyTerms::default()).expect("a key");
    let secret = secret.reveal().as_bytes().to_vec();
    (ledger, secret)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}

/// What a phase took.
struct Phase {
    requests: u64,
    cpu_us: f64,
    waits: Vec<Duration>,
}

impl Phase {
    fn wait_us(&self, percent: usize) -> f64 {
        let at = self.waits.len() * percent / 100;
        self.waits.get(at).map_or(0.0, |wait| wait.as_secs_f64() * 1e6)
    }
}

fn cpu() -> Duration {
    let used = getrusage(UsageWho::RUSAGE_SELF).expect("what was used");
    let us = used.user_time().num_microseconds() + used.system_time().num_microseconds();
    Duration::from_micros(us.unsigned_abs())
}

fn phase(
    ledger: Option<(&Ledger, &[u8])>,
    pace: Option<u64>,
    length: Duration,
    next: &mut u64,
) -> Phase {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let tasks = LocalSet::new();
    let (done, first) = (Arc::new(AtomicU64::new(0)), *next);
    let (begun, used) = (now(), cpu());
    let waits = runtime.block_on(tasks.run_until(async {
        let workers: Vec<_> = (0..AT_A_TIME)
            .map(|n| {
                let ledger = ledger.map(|(ledger, secret)| (ledger.clone(), secret.to_vec()));
                let done = Arc::clone(&done);
                tokio::task::spawn_local(async move {
                    let mut waits = Vec::new();
                    while begun.elapsed() < length {
                        if let Some(pace) = pace {
                            // Each task's turns, evenly between those of the others.
                            let turn = (waits.len() as u64 * AT_A_TIME + n) * 1_000_000 / pace;
                            let at = begun + Duration::from_micros(turn);
                            tokio::time::sleep_until(at.into()).await;
                        }
                        let number = first + done.fetch_add(1, Relaxed);
                        waits.push(request(ledger.as_ref(), number).await);
                    }
                    waits
                })
            })
            .collect();
        let mut waits = Vec::new();
        for worker in workers {
            waits.extend(worker.await.expect("a task"));
        }
        waits
    }));
    let requests = done.load(Relaxed);
    *next = first + requests;
    let cpu_us =
        (cpu() - used).as_secs_f64() * 1e6 / f64::from(u32::try_from(requests).unwrap_or(u32::MAX));
    let mut waits = waits;
    waits.sort_unstable();
    Phase { requests, cpu_us, waits }
}

/// One request; gives how long it waited for its hold.
async fn request(ledger: Option<&(Ledger, Vec<u8>)>, number: u64) -> Duration {
    let Some((ledger, secret)) = ledger else {
        Turn(false).await;
        Turn(false).await;
        return Duration::ZERO;
    };
    let now_ms = now_ms();
    let table = ledger.keys();
    let key: Arc<KeyEntry> = authenticate(&table, secret, now_ms).expect("a caller");
    drop(table);
    let generation = GenerationId::new(now_ms, number.into());
    let (want, floor) = (NanoUsd(250_000), NanoUsd(1_000));
    let hold = ledger.hold(&key, HoldAsk { generation, want, floor, now_ms }).expect("a hold");
    // The provider is asked meanwhile.
    Turn(false).await;
    let begun = now();
    hold.durable().await.expect("a disk");
    let waited = begun.elapsed();
    hold.progress(NanoUsd(30_000)).expect("a note");
    Turn(false).await;
    hold.progress(NanoUsd(90_000)).expect("a note");
    hold.settle(Charge { cost: NanoUsd(90_000), record: record(generation, &key, now_ms) });
    waited
}

/// Lets the others have their turn.
struct Turn(bool);

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

fn record(generation: GenerationId, key: &KeyEntry, now_ms: u64) -> GenerationRecord {
    let (account, id) = (key.account().id().clone(), key.id().clone());
    let mut record = GenerationRecord::bare(generation, now_ms, account, id);
    record.model = ModelId::parse("bench/model").ok();
    record.provider = ProviderId::parse("p0").ok();
    record.endpoint = EndpointId::parse("p0/model").ok();
    record.upstream_id = Some("chatcmpl-9d2c1b0a".to_owned());
    record.finish_reason = Some("stop".to_owned());
    record.native_finish_reason = Some("stop".to_owned());
    record.usage = Usage { prompt: 200, completion: 100, ..Usage::default() };
    record.status = 200;
    record.attempts = 1;
    record
}
