//! What active probes say: an endpoint is out after some failures in a row and back after some
//! successes in a row.
//!
//! Probes find an outage that traffic has not met yet, and the end of one without spending a
//! caller's request on it. They never replace the breaker: a provider may answer its list of
//! models and fail every completion.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::catalog::Probe;

/// The verdict of the probes so far. The word holds from the top: down 1, and the number of
/// results in a row that speak against the verdict.
#[derive(Debug, Default)]
pub struct ProbeState(AtomicU64);

const DOWN: u64 = 1 << 63;

impl ProbeState {
    /// Takes the result of one probe. Gives the new verdict if it has changed: whether it is up.
    pub fn result(&self, ok: bool, probe: &Probe) -> Option<bool> {
        let next = |word: u64| {
            let (down, against) = (word & DOWN, (word & !DOWN) + 1);
            let needed = if down == 0 { probe.failures } else { probe.successes };
            if ok == (down == 0) {
                down
            } else if against >= u64::from(needed.max(1)) {
                down ^ DOWN
            } else {
                down | against
            }
        };
        let old = self.0.update(Ordering::AcqRel, Ordering::Acquire, next);
        ((next(old) ^ old) & DOWN != 0).then_some(ok)
    }

    /// Whether the probes say that it is down; false before the first.
    #[inline]
    pub fn is_down(&self) -> bool {
        self.0.load(Ordering::Acquire) & DOWN != 0
    }

    /// Forgets the verdict, because there is no probe any more.
    pub fn forget(&self) {
        self.0.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::catalog::ProbeAsk;

    fn probe(failures: u32, successes: u32) -> Probe {
        let ask = ProbeAsk::Get("/v1/models".to_owned());
        let (interval, timeout) = (Duration::from_secs(5), Duration::from_secs(1));
        Probe { ask, interval, timeout, failures, successes }
    }

    #[test]
    fn thresholds_are_in_a_row() {
        let (state, probe) = (ProbeState::default(), probe(3, 2));
        let results = [
            (false, None),
            (false, None),
            (true, None),
            (false, None),
            (false, None),
            (false, Some(false)),
            (false, None),
            (true, None),
            (false, None),
            (true, None),
            (true, Some(true)),
            (true, None),
        ];
        for (i, (ok, changed)) in results.into_iter().enumerate() {
            assert_eq!(state.result(ok, &probe), changed, "result {i}");
        }
        assert!(!state.is_down());
    }

    #[test]
    fn zero_thresholds_mean_one() {
        let (state, probe) = (ProbeState::default(), probe(0, 0));
        assert_eq!(state.result(false, &probe), Some(false));
        assert_eq!(state.result(true, &probe), Some(true));
        state.result(false, &probe);
        state.forget();
        assert!(!state.is_down());
    }
}
