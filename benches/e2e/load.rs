//! Requests one after the other on some connections, and how long each took.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::Fault;
use super::check::Expected;
use super::conn::Conn;

/// What a phase may take beyond its time before it has failed.
const GRACE: Duration = Duration::from_secs(20);
/// A connection on which this much has failed tries no more.
const FAILURES_MAX: u64 = 20;

/// One request, and the answer that it must get.
pub(super) struct Ask {
    pub(super) to: SocketAddr,
    pub(super) request: Vec<u8>,
    pub(super) expected: Expected,
}

/// What a phase saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Answers that were right.
    pub(super) answered: u64,
    pub(super) failures: u64,
    /// The first failure.
    pub(super) fault: Option<Fault>,
    /// To the last byte of each answer, in microseconds.
    pub(super) whole_us: Vec<u32>,
    /// To the first byte of its body.
    pub(super) first_us: Vec<u32>,
    pub(super) took: Duration,
}

impl Seen {
    pub(super) fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.failures += other.failures;
        self.fault = self.fault.take().or(other.fault);
        self.whole_us.extend(other.whole_us);
        self.first_us.extend(other.first_us);
        self.took = self.took.max(other.took);
    }

    pub(super) fn fail(&mut self, fault: Fault) {
        self.failures += 1;
        self.fault.get_or_insert(fault);
    }
}

/// When the next request goes out.
#[derive(Clone, Copy)]
enum Pace {
    /// When the answer before is there.
    Closed,
    /// At its time, counted from the start of the phase.
    Every { first: Duration, then: Duration },
}

/// Connections and what is asked on them.
pub(super) struct Crowd {
    ask: Arc<Ask>,
    conns: Vec<Conn>,
}

impl Crowd {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub(super) async fn open(ask: Arc<Ask>, connections: usize) -> Result<Self, Fault> {
        let mut conns = Vec::with_capacity(connections);
        for _ in 0..connections {
            conns.push(Conn::open(ask.to).await?);
        }
        Ok(Self { ask, conns })
    }

    /// Asks as fast as answers come, for so long.
    ///
    /// # Errors
    /// The phase does not end.
    pub(super) async fn closed(&mut self, time: Duration) -> Result<Seen, Fault> {
        self.phase(time, |_| Pace::Closed).await
    }

    /// Asks so many times per second, spread evenly, for so long.
    ///
    /// # Errors
    /// The phase does not end.
    pub(super) async fn paced(&mut self, time: Duration, rate: u32) -> Result<Seen, Fault> {
        let conns = u32::try_from(self.conns.len()).unwrap_or(u32::MAX);
        let each = Duration::from_secs(1) * conns / rate.max(1);
        self.phase(time, |at| Pace::Every { first: each * at / conns, then: each }).await
    }

    async fn phase(&mut self, time: Duration, pace: impl Fn(u32) -> Pace) -> Result<Seen, Fault> {
        let mut tasks = JoinSet::new();
        let start = Instant::now();
        for (at, conn) in (0..).zip(self.conns.drain(..)) {
            let ask = Arc::clone(&self.ask);
            tasks.spawn(one(conn, ask, start, time, pace(at)));
        }
        let mut seen = Seen::default();
        let all = async {
            while let Some(done) = tasks.join_next().await {
                let (conn, part) = done.map_err(|e| e.to_string())?;
                self.conns.extend(conn);
                seen.add(part);
            }
            Ok::<_, Fault>(())
        };
        timeout(time + GRACE, all).await.map_err(|_| "answers do not come")??;
        seen.took = start.elapsed();
        Ok(seen)
    }
}

/// One connection's part of a phase. The connection comes back unless it broke for good.
async fn one(
    mut conn: Conn,
    ask: Arc<Ask>,
    start: Instant,
    time: Duration,
    pace: Pace,
) -> (Option<Conn>, Seen) {
    let mut seen = Seen::default();
    let end = start + time;
    let mut next = match pace {
        Pace::Closed => start,
        Pace::Every { first, .. } => start + first,
    };
    while seen.failures < FAILURES_MAX {
        if let Pace::Every { then, .. } = pace {
            sleep_until(next).await;
            next = (next + then).max(Instant::now());
        }
        if Instant::now() >= end {
            return (Some(conn), seen);
        }
        let closes = match conn.ask(&ask.request, |_| ()).await {
            Ok(answer) => match ask.expected.check(answer, &conn.body) {
                Ok(()) => {
                    seen.answered += 1;
                    seen.whole_us.push(micros(answer.whole));
                    seen.first_us.push(micros(answer.first));
                    answer.closes
                }
                Err(fault) => {
                    seen.fail(format!("{fault}: {}", start_of(&conn.body)));
                    true
                }
            },
            Err(fault) => {
                seen.fail(fault);
                true
            }
        };
        if closes {
            match Conn::open(ask.to).await {
                Ok(fresh) => conn = fresh,
                Err(fault) => {
                    seen.fail(fault);
                    return (None, seen);
                }
            }
        }
    }
    (Some(conn), seen)
}

/// Enough of a wrong answer to see what it is.
pub(super) fn start_of(body: &[u8]) -> String {
    String::from_utf8_lossy(body.get(..300).unwrap_or(body)).into_owned()
}

/// Whole microseconds.
pub(super) fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
