//! A thousand slow streams at a time: what a chunk costs when it comes alone, and what an open
//! stream weighs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use memchr::memmem;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Fault;
use super::cases::STREAMS;
use super::conn::Conn;
use super::load::{Ask, Seen, micros, start_of};
use super::proc::{self, Cpu};
use super::provider::TOKEN_MS;

/// The time over which the streams start.
const RAMP: Duration = Duration::from_millis(800);
/// How long after their last start everything is taken to be steady.
const SETTLE: Duration = Duration::from_millis(200);
/// The shortest time that is worth measuring.
const WINDOW_MIN: Duration = Duration::from_millis(500);
const GRACE: Duration = Duration::from_secs(30);

/// What the steady part of the streams cost.
pub(super) struct Steady {
    /// CPU time per event that reached a client, in microseconds.
    pub(super) cpu_us_per_chunk: f64,
    pub(super) chunks_per_second: f64,
    /// Memory that the streams added, per stream, in bytes.
    pub(super) rss_per_stream: f64,
    /// Memory with all of them open.
    pub(super) rss_bytes: u64,
    /// How far each pause between two chunks was off, in microseconds.
    pub(super) off_us: Vec<u32>,
    pub(super) seen: Seen,
}

/// What the streams tell while they run.
#[derive(Default)]
struct Board {
    events: AtomicU64,
    /// Streams whose first event came.
    open: AtomicUsize,
    over: AtomicUsize,
}

/// Runs the streams, each of so many tokens. Gives nothing if the machine was too busy: streams
/// started so late that the first ended before there was anything steady to measure.
///
/// # Errors
/// They do not all start, or do not end.
pub(super) async fn run(ask: Arc<Ask>, tokens: u32, pids: &[u32]) -> Result<Option<Steady>, Fault> {
    let rss_before = proc::rss_bytes(pids)?;
    let board = Arc::new(Board::default());
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for at in 0..STREAMS {
        let wait = RAMP * u32::try_from(at).unwrap_or(0) / u32::try_from(STREAMS).unwrap_or(1);
        tasks.spawn(stream(Arc::clone(&ask), Arc::clone(&board), start + wait));
    }
    let all_open = async {
        while board.open.load(Relaxed) + board.over.load(Relaxed) < STREAMS {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(RAMP + GRACE, all_open).await.map_err(|_| "the streams do not start")?;
    sleep(SETTLE).await;

    // The first stream ends no sooner than this.
    let end = start + Duration::from_millis(u64::from(TOKEN_MS) * u64::from(tokens - 2));
    let cpu_before = Cpu::of(pids)?;
    let (from, events_before) = (Instant::now(), board.events.load(Relaxed));
    let window = end.saturating_duration_since(from);
    sleep_until(from + window / 2).await;
    let rss_bytes = proc::rss_bytes(pids)?;
    sleep_until(end).await;
    let cpu = Cpu::of(pids)?.since(&cpu_before);
    let events = board.events.load(Relaxed) - events_before;
    let took = from.elapsed();
    let too_early = board.over.load(Relaxed);

    let mut seen = Seen::default();
    let mut off_us = Vec::with_capacity(STREAMS * usize::try_from(tokens).unwrap_or(0));
    let all = async {
        while let Some(done) = tasks.join_next().await {
            let (part, off) = done.map_err(|e| e.to_string())?;
            seen.add(part);
            off_us.extend(off);
        }
        Ok::<_, Fault>(())
    };
    timeout(GRACE, all).await.map_err(|_| "the streams do not end")??;
    if seen.failures == 0 && (too_early > 0 || events == 0 || window < WINDOW_MIN) {
        return Ok(None);
    }
    let events = f64::from(u32::try_from(events).unwrap_or(u32::MAX).max(1));
    let added = rss_bytes.saturating_sub(rss_before) / STREAMS as u64;
    Ok(Some(Steady {
        cpu_us_per_chunk: cpu.as_secs_f64() * 1e6 / events,
        chunks_per_second: events / took.as_secs_f64(),
        rss_per_stream: f64::from(u32::try_from(added).unwrap_or(u32::MAX)),
        rss_bytes,
        off_us,
        seen,
    }))
}

/// One stream, on a connection of its own.
async fn stream(ask: Arc<Ask>, board: Arc<Board>, start: Instant) -> (Seen, Vec<u32>) {
    let mut seen = Seen::default();
    let mut off = Vec::new();
    sleep_until(start).await;
    let done = follow(&ask, &board, &mut off).await;
    board.over.fetch_add(1, Relaxed);
    match done {
        Ok(first_us) => {
            seen.answered = 1;
            seen.first_us.push(first_us);
        }
        Err(fault) => seen.fail(fault),
    }
    (seen, off)
}

/// Reads a stream to its end; gives the time to its first byte, in microseconds.
async fn follow(ask: &Ask, board: &Board, off: &mut Vec<u32>) -> Result<u32, Fault> {
    let mut conn = Conn::open(ask.to).await?;
    let pause = Duration::from_millis(u64::from(TOKEN_MS));
    let mut last: Option<Instant> = None;
    let mut half_end = false;
    let answer = conn.ask(&ask.request, |new| {
        let mut events = memmem::find_iter(new, b"\n\n").count() as u64;
        if half_end && new.starts_with(b"\n") && !new.starts_with(b"\n\n") {
            events += 1;
        }
        half_end = new.ends_with(b"\n") && !new.ends_with(b"\n\n");
        board.events.fetch_add(events, Relaxed);
        let now = Instant::now();
        match last.replace(now) {
            None => {
                board.open.fetch_add(1, Relaxed);
            }
            // The first token may come right after the preamble, and the end right after the
            // last: those pauses are none.
            Some(before) if now - before > pause / 2 => {
                off.push(micros((now - before).abs_diff(pause)));
            }
            Some(_) => {}
        }
    });
    let answer = answer.await?;
    ask.expected
        .check(answer, &conn.body)
        .map_err(|fault| format!("{fault}: {}", start_of(&conn.body)))?;
    Ok(micros(answer.first))
}
