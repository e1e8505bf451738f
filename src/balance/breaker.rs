//! When an endpoint has failed enough to be left alone for a while.
//!
//! # The argument
//! Latency ([`super::ewma`]) steers traffic away from a failing endpoint but never stops it, and
//! every request that is sent there costs its caller a failed attempt. The breaker stops it:
//!
//! | state | requests | leaves it |
//! |---|---|---|
//! | closed | all | N failures in a row, or a failure rate over a sliding window → open |
//! | open | none | after a cool-down → half-open |
//! | half-open | one at a time, the trial | trial fails → open for twice as long; trial answers → closed |
//!
//! Failures in a row find an outage within N requests; the rate finds an endpoint that fails every
//! second request and would never fail N times in a row.
//!
//! A stream may take minutes, so a trial does not wait for its end: the first token closes the
//! breaker, but *on probation*: the next failure opens it again at once. Only a complete answer
//! ends the probation and resets the cool-down to its shortest.
//!
//! # Races
//! The whole state is one atomic word and every transition one compare-and-swap, so two threads
//! cannot both open it or both take the trial. Each opening starts a new *epoch*. A request carries
//! the epoch in which it began, and its outcome counts only in that one: what began before an
//! outage can neither end it nor, when it fails late, start it again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::seed::mix;
use super::time::Nanos;
use super::window::{Count, Window};

/// When a breaker opens and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Failures in a row that open it, 1 to 255. Default 5.
    pub failures_in_a_row: u8,
    /// Share of failures in the window that opens it, above 0 to 1. Default 0.5.
    pub failure_rate: f64,
    /// Outcomes in the window below which the share means nothing. Default 20.
    pub failure_rate_min: u32,
    /// The window. Default 10 s.
    pub window: Duration,
    /// The first cool-down; each further one is twice as long. Default 1 s.
    pub cool_down_min: Duration,
    /// The longest cool-down. Default 30 s.
    pub cool_down_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            failures_in_a_row: 5,
            failure_rate: 0.5,
            failure_rate_min: 20,
            window: Duration::from_secs(10),
            cool_down_min: Duration::from_secs(1),
            cool_down_max: Duration::from_secs(30),
        }
    }
}

/// What a breaker lets through, as shown in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Everything.
    Closed,
    /// One request at a time.
    HalfOpen,
    /// Nothing.
    Open,
}

impl BreakerState {
    /// The name as a label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// What a breaker would say to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Come in.
    Closed,
    /// Come in as the trial.
    TrialFree,
    /// Wait for the trial that is under way.
    TrialTaken,
    /// Not before this time.
    Open(Nanos),
}

/// A request's right to report its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    epoch: u8,
    trial: bool,
}

impl Ticket {
    /// Whether it is the trial of a half-open breaker.
    pub const fn is_trial(self) -> bool {
        self.trial
    }
}

/// The breaker of one endpoint.
#[derive(Debug, Default)]
pub struct Breaker {
    word: AtomicU64,
    /// Elsewhere, so that the word, which every decision reads, can stand beside others of its kind.
    window: Box<Window>,
}

/// The state, taken apart. The word holds from the top: until 40, trial 1, state 2, epoch 8,
/// doublings 5, in a row 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    state: BreakerState,
    /// Open until then, in milliseconds; 40 bits are 34 years.
    until_ms: u64,
    /// The trial is under way.
    trial: bool,
    /// Counts openings, wrapping.
    epoch: u8,
    /// How often the cool-down has been doubled.
    doublings: u8,
    /// Failures in a row.
    in_a_row: u8,
}

const UNTIL_MAX: u64 = (1 << 40) - 1;
const DOUBLINGS_MAX: u8 = 31;

impl Word {
    #[inline]
    const fn of(word: u64) -> Self {
        let [in_a_row, ..] = word.to_le_bytes();
        let [epoch, ..] = (word >> 13).to_le_bytes();
        let [doublings, ..] = (word >> 8 & 0x1f).to_le_bytes();
        let state = match word >> 21 & 0b11 {
            0 => BreakerState::Closed,
            1 => BreakerState::HalfOpen,
            _ => BreakerState::Open,
        };
        let trial = word >> 23 & 1 == 1;
        Self { state, until_ms: word >> 24, trial, epoch, doublings, in_a_row }
    }

    const fn word(self) -> u64 {
        let state = match self.state {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        };
        self.until_ms << 24
            | (self.trial as u64) << 23
            | state << 21
            | (self.epoch as u64) << 13
            | (self.doublings as u64) << 8
            | self.in_a_row as u64
    }

    #[inline]
    fn gate(self, now: Nanos) -> Gate {
        match self.state {
            BreakerState::Closed => Gate::Closed,
            BreakerState::HalfOpen if self.trial => Gate::TrialTaken,
            BreakerState::HalfOpen => Gate::TrialFree,
            BreakerState::Open if now.millis().min(UNTIL_MAX) >= self.until_ms => Gate::TrialFree,
            BreakerState::Open => Gate::Open(Nanos(self.until_ms.saturating_mul(1_000_000))),
        }
    }

    /// Opened by one more failure.
    fn opened(self, settings: &Settings, now: Nanos, seed: u64) -> Self {
        let wait = cool_down(settings, self.doublings, seed);
        Self {
            state: BreakerState::Open,
            until_ms: now.after(wait).millis().min(UNTIL_MAX),
            trial: false,
            epoch: self.epoch.wrapping_add(1),
            doublings: (self.doublings + 1).min(DOUBLINGS_MAX),
            in_a_row: 0,
        }
    }

    const fn closed(self) -> Self {
        Self { state: BreakerState::Closed, until_ms: 0, trial: false, ..self }
    }
}

impl Breaker {
    /// What a request would be told now.
    #[inline]
    pub fn gate(&self, now: Nanos) -> Gate {
        self.load().gate(now)
    }

    /// The state for metrics; an open breaker whose cool-down is over counts as half-open.
    pub fn state(&self, now: Nanos) -> BreakerState {
        match self.gate(now) {
            Gate::Closed => BreakerState::Closed,
            Gate::TrialFree | Gate::TrialTaken => BreakerState::HalfOpen,
            Gate::Open(_) => BreakerState::Open,
        }
    }

    /// Lets a request in, as the trial if need be. The ticket must come back through exactly one
    /// of [`Self::success`], [`Self::failure`] and [`Self::release`].
    pub fn enter(&self, now: Nanos) -> Option<Ticket> {
        let entered = self.step(|word| match word.gate(now) {
            Gate::Closed => Some(word),
            Gate::TrialFree => {
                Some(Word { state: BreakerState::HalfOpen, trial: true, until_ms: 0, ..word })
            }
            Gate::TrialTaken | Gate::Open(_) => None,
        });
        let word = entered?;
        Some(Ticket { epoch: word.epoch, trial: word.trial })
    }

    /// Lets a request in whatever the state: the last resort. Its success closes the breaker; its
    /// failure changes nothing unless the breaker is closed.
    pub fn enter_anyway(&self) -> Ticket {
        Ticket { epoch: self.load().epoch, trial: false }
    }

    /// The answer has begun. Closes an open breaker on probation.
    pub fn alive(&self, ticket: Ticket, settings: &Settings) {
        self.step(|word| match word.state {
            BreakerState::Closed => None,
            BreakerState::HalfOpen | BreakerState::Open if word.epoch == ticket.epoch => {
                let in_a_row = settings.failures_in_a_row.saturating_sub(1);
                Some(Word { in_a_row, ..word.closed() })
            }
            BreakerState::HalfOpen | BreakerState::Open => None,
        });
    }

    /// The answer is complete.
    pub fn success(&self, ticket: Ticket, settings: &Settings, now: Nanos) {
        let word = self.load();
        if word.epoch != ticket.epoch {
            return;
        }
        self.window.add(Count::First, settings.window, now);
        let clean = Word { doublings: 0, in_a_row: 0, ..word.closed() };
        if word != clean {
            self.step(|word| {
                (word.epoch == ticket.epoch).then(|| Word {
                    doublings: 0,
                    in_a_row: 0,
                    ..word.closed()
                })
            });
        }
    }

    /// The attempt failed. Gives whether this opened the breaker.
    pub fn failure(&self, ticket: Ticket, settings: &Settings, now: Nanos, seed: u64) -> bool {
        if self.load().epoch != ticket.epoch {
            return false;
        }
        self.window.add(Count::Second, settings.window, now);
        let too_many = self.rate_is_too_high(settings, now);
        let word = self.step(|word| match word.state {
            _ if word.epoch != ticket.epoch => None,
            BreakerState::Closed => {
                let in_a_row = word.in_a_row.saturating_add(1);
                if too_many || in_a_row >= settings.failures_in_a_row {
                    Some(word.opened(settings, now, seed))
                } else {
                    Some(Word { in_a_row, ..word })
                }
            }
            BreakerState::HalfOpen if ticket.trial => Some(word.opened(settings, now, seed)),
            BreakerState::HalfOpen | BreakerState::Open => None,
        });
        let opened = word.is_some_and(|word| word.state == BreakerState::Open);
        if opened {
            self.window.clear();
        }
        opened
    }

    /// The attempt ended without a verdict on the endpoint: a trial is free again.
    pub fn release(&self, ticket: Ticket) {
        if ticket.trial {
            self.step(|word| {
                let mine = word.epoch == ticket.epoch && word.state == BreakerState::HalfOpen;
                (mine && word.trial).then_some(Word { trial: false, ..word })
            });
        }
    }

    fn rate_is_too_high(&self, settings: &Settings, now: Nanos) -> bool {
        let (good, bad) = self.window.sums(settings.window, now);
        let all = good + bad;
        #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^24")]
        let rate = bad as f64 / all.max(1) as f64;
        all >= u64::from(settings.failure_rate_min) && rate >= settings.failure_rate
    }

    #[inline]
    fn load(&self) -> Word {
        Word::of(self.word.load(Ordering::Acquire))
    }

    /// One transition; gives the state after it, or `None` if `change` refused.
    fn step(&self, change: impl Fn(Word) -> Option<Word>) -> Option<Word> {
        let mut old = self.word.load(Ordering::Acquire);
        loop {
            let new = change(Word::of(old))?;
            if new.word() == old {
                return Some(new);
            }
            let swap = self.word.compare_exchange_weak(
                old,
                new.word(),
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match swap {
                Ok(_) => return Some(new),
                Err(seen) => old = seen,
            }
        }
    }
}

/// The cool-down after so many doublings, ± 20 % by seed, so that endpoints (and gateways) which
/// failed together are not tried together.
fn cool_down(settings: &Settings, doublings: u8, seed: u64) -> Duration {
    let factor = 1_u32 << doublings.min(DOUBLINGS_MAX);
    let plain = settings.cool_down_min.saturating_mul(factor).min(settings.cool_down_max);
    let percent = u32::try_from(80 + mix(seed) % 41).unwrap_or(100);
    (plain.saturating_mul(percent) / 100).min(settings.cool_down_max)
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
