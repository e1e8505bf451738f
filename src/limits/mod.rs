//! How much may be asked in a minute and at the same time, counted as it is asked.
//!
//! A minute begins with the first request that finds none running, and lasts 60 seconds: so a limit
//! of N lets exactly N in before it is over. Time is an argument.

use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use crate::terms::Rates;

/// The length of the window, in milliseconds.
pub const WINDOW_MS: u64 = 60_000;

/// Counts for one key or account.
#[derive(Debug, Default)]
pub struct Meter {
    minute: Mutex<Minute>,
    running: AtomicU32,
}

#[derive(Debug, Default)]
struct Minute {
    began_ms: u64,
    requests: u32,
    tokens: u64,
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Requests in a minute.
    Requests,
    /// Tokens in a minute.
    Tokens,
    /// Requests at the same time.
    Concurrency,
}

/// A limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// Which one.
    pub what: What,
    /// How much it allows.
    pub limit: u64,
    /// How much of it is left.
    pub left: u64,
    /// When the minute ends, in milliseconds since 1970; now, where it is not about a minute.
    pub reset_ms: u64,
}

/// Tokens that were counted ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    began_ms: u64,
    tokens: u64,
}

impl Minute {
    fn at(&mut self, now_ms: u64) -> &mut Self {
        let empty = self.requests == 0 && self.tokens == 0;
        // Also after the clock was set back.
        if empty || now_ms.wrapping_sub(self.began_ms) >= WINDOW_MS {
            *self = Self { began_ms: now_ms, requests: 0, tokens: 0 };
        }
        self
    }

    const fn ends_ms(&self) -> u64 {
        self.began_ms.saturating_add(WINDOW_MS)
    }
}

impl Meter {
    /// Counts a request, if the limits of requests let it in. Afterwards
    /// [`Self::leave`] must be called, once.
    ///
    /// # Errors
    /// The limit that was reached; nothing was counted.
    pub fn enter(&self, rates: Rates, now_ms: u64) -> Result<(), Over> {
        let running = self.running.fetch_add(1, Ordering::AcqRel);
        if let Some(limit) = rates.concurrency
            && running >= limit
        {
            self.running.fetch_sub(1, Ordering::AcqRel);
            let limit = u64::from(limit);
            return Err(Over { what: What::Concurrency, limit, left: 0, reset_ms: now_ms });
        }
        let Some(limit) = rates.rpm else { return Ok(()) };
        let mut minute = self.minute.lock();
        let minute = minute.at(now_ms);
        if minute.requests >= limit {
            let (limit, reset_ms) = (u64::from(limit), minute.ends_ms());
            self.running.fetch_sub(1, Ordering::AcqRel);
            return Err(Over { what: What::Requests, limit, left: 0, reset_ms });
        }
        minute.requests += 1;
        Ok(())
    }

    /// A request that was let in has ended.
    pub fn leave(&self) {
        self.running.fetch_sub(1, Ordering::AcqRel);
    }

    /// A request that was let in here was refused elsewhere: it does not count.
    pub fn take_back(&self, rates: Rates, now_ms: u64) {
        self.leave();
        if rates.rpm.is_some() {
            let mut minute = self.minute.lock();
            let minute = minute.at(now_ms);
            minute.requests = minute.requests.saturating_sub(1);
        }
    }

    /// Counts tokens ahead, if the limit lets them in; `None` if it has none.
    ///
    /// # Errors
    /// The limit that was reached; nothing was counted.
    pub fn count(&self, rates: Rates, tokens: u64, now_ms: u64) -> Result<Option<Counted>, Over> {
        let Some(limit) = rates.tpm else { return Ok(None) };
        let mut minute = self.minute.lock();
        let minute = minute.at(now_ms);
        let left = limit.saturating_sub(minute.tokens);
        if tokens > left {
            return Err(Over { what: What::Tokens, limit, left, reset_ms: minute.ends_ms() });
        }
        minute.tokens += tokens;
        Ok(Some(Counted { began_ms: minute.began_ms, tokens }))
    }

    /// Corrects what was counted ahead, once it is known.
    pub fn correct(&self, counted: Counted, tokens: u64) {
        let mut minute = self.minute.lock();
        if minute.began_ms == counted.began_ms {
            minute.tokens = minute.tokens.saturating_sub(counted.tokens).saturating_add(tokens);
        }
    }

    /// How many requests run now.
    pub fn running(&self) -> u32 {
        self.running.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates() -> Rates {
        Rates { rpm: Some(3), tpm: Some(100), concurrency: Some(2) }
    }

    #[test]
    fn exactly_as_many_are_let_in() {
        let (meter, rates) = (Meter::default(), rates());
        meter.enter(rates, 1_000).unwrap();
        meter.enter(rates, 1_000).unwrap();
        assert_eq!(meter.enter(rates, 1_000).unwrap_err().what, What::Concurrency);
        meter.leave();
        meter.enter(rates, 1_001).unwrap();
        meter.leave();
        let over = meter.enter(rates, 1_002).unwrap_err();
        assert_eq!((over.what, over.limit, over.reset_ms), (What::Requests, 3, 61_000));
        assert_eq!(meter.running(), 1, "a refused one does not run");
        meter.enter(rates, 61_000).unwrap();
        meter.take_back(rates, 61_000);
        for _ in 0..3 {
            meter.enter(rates, 61_001).unwrap();
            meter.leave();
        }
        assert!(meter.enter(rates, 61_002).is_err(), "what was taken back was free again");
    }

    #[test]
    fn tokens_are_counted_ahead_and_corrected() {
        let (meter, rates) = (Meter::default(), rates());
        let first = meter.count(rates, 60, 0).unwrap().unwrap();
        let over = meter.count(rates, 60, 0).unwrap_err();
        assert_eq!((over.what, over.left), (What::Tokens, 40));
        meter.correct(first, 10);
        let second = meter.count(rates, 90, 1).unwrap().unwrap();
        assert!(meter.count(rates, 1, 59_999).is_err());
        assert!(meter.count(rates, 100, 60_000).is_ok(), "a new minute");
        meter.correct(second, 0);
        assert!(meter.count(rates, 1, 60_001).is_err(), "an old minute's is not given back");
        assert_eq!(meter.count(Rates::default(), 1_000, 0), Ok(None));
    }

    #[test]
    fn racing_requests_are_counted_once_each() {
        let rates = Rates { rpm: Some(1_000), ..Rates::default() };
        let meter = Meter::default();
        let let_in: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..500).filter(|_| meter.enter(rates, 5).is_ok()).count()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(let_in, 1_000);
    }
}
