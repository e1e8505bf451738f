//! The load at which an endpoint begins to answer 429, learned.
//!
//! A rate limit with `Retry-After` stops all traffic for a while and then lets all of it come back
//! at once, into the next 429. So the load at which the limit was met is remembered, and what goes
//! beyond four fifths of it goes elsewhere first. The limit is not ours to know: other customers
//! share it and it changes with the hour. So what was learned grows, doubling every quarter of a
//! minute, until it is met again or forgotten; and it never falls below a request per second, so that
//! a long refusal is not followed by a long recovery.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::time::Nanos;
use super::window::{Count, Window};

/// The span over which load is measured.
const SPAN: Duration = Duration::from_secs(10);
/// What is kept of the load that was too much.
const KEEP: f64 = 0.8;
/// Time in which a learned cap doubles, in seconds.
const DOUBLES_IN: f64 = 15.0;
/// The least load that is taken for too much, in requests per second.
const RATE_MIN: f64 = 1.0;
/// A cap of which nothing was heard for so long is forgotten, in seconds.
const FORGOTTEN_AFTER: f64 = 600.0;
/// 429s that follow each other within this time are one lesson, in seconds.
const ONE_LESSON: f64 = 1.0;

/// The load of one endpoint, and the most that it has been seen to take. The first word is all that
/// a decision reads where nothing has been learned.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Cap {
    /// Requests per second as the bits of an `f64`; 0: none is known.
    learned: AtomicU64,
    /// When it was learned, in nanoseconds.
    at: AtomicU64,
    load: Window,
}

impl Cap {
    /// A request is on its way.
    pub(super) fn admitted(&self, now: Nanos) {
        self.load.add(Count::First, SPAN, now);
    }

    /// The endpoint has answered 429.
    pub(super) fn limited(&self, now: Nanos) {
        let age = now.since(Nanos(self.at.load(Ordering::Relaxed))).as_secs_f64();
        let known = self.learned.load(Ordering::Relaxed) != 0;
        if known && age < ONE_LESSON {
            return;
        }
        let met = self.rate(now).max(RATE_MIN) * KEEP;
        let cap = self.cap(now).map_or(met, |cap| cap.min(met));
        self.learned.store(cap.to_bits(), Ordering::Relaxed);
        self.at.store(now.0, Ordering::Relaxed);
    }

    /// Whether the endpoint already gets as much as it is known to take.
    #[inline]
    pub(super) fn is_reached(&self, now: Nanos) -> bool {
        self.cap(now).is_some_and(|cap| self.rate(now) >= cap)
    }

    /// What the endpoint is believed to take, in requests per second.
    #[inline]
    pub(super) fn cap(&self, now: Nanos) -> Option<f64> {
        let bits = self.learned.load(Ordering::Relaxed);
        if bits == 0 {
            return None;
        }
        let age = now.since(Nanos(self.at.load(Ordering::Relaxed))).as_secs_f64();
        (age < FORGOTTEN_AFTER).then(|| f64::from_bits(bits) * (age / DOUBLES_IN).exp2())
    }

    /// Requests per second over the last [`SPAN`].
    fn rate(&self, now: Nanos) -> f64 {
        let (admitted, _) = self.load.sums(SPAN, now);
        #[expect(clippy::cast_precision_loss, reason = "counts stay below 2^24")]
        let admitted = admitted as f64;
        admitted / SPAN.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Nanos {
        Nanos(ms * 1_000_000)
    }

    /// So many requests per second for ten seconds, from this second on.
    fn load(cap: &Cap, per_second: u64, from: u64) {
        for i in 0..per_second * 10 {
            cap.admitted(at(from * 1_000 + i * 1_000 / per_second));
        }
    }

    #[test]
    fn the_load_that_was_too_much_is_remembered_and_grows_back() {
        let cap = Cap::default();
        load(&cap, 50, 0);
        assert!(!cap.is_reached(at(9_999)), "nothing is known yet");
        cap.limited(at(9_999));
        cap.limited(at(10_100));
        let learned = cap.cap(at(9_999)).expect("learned");
        assert!((learned - 40.0).abs() < 1.0, "four fifths of fifty, once: {learned}");
        assert!(cap.is_reached(at(9_999)));
        load(&cap, 30, 10);
        assert!(!cap.is_reached(at(19_999)), "thirty are fewer than forty");
        load(&cap, 200, 20);
        assert!(cap.is_reached(at(29_999)));
        let later = cap.cap(at(24_999)).expect("still known");
        assert!((later - 2.0 * learned).abs() < 2.0, "doubled after 15 seconds: {later}");
        assert_eq!(cap.cap(at(700_000)), None, "forgotten");
    }

    #[test]
    fn a_single_request_that_is_refused_leaves_a_cap_that_lets_some_through() {
        let cap = Cap::default();
        cap.admitted(at(1_000));
        cap.limited(at(1_010));
        assert!(!cap.is_reached(at(1_020)), "a request per second is always tried");
        load(&cap, 5, 2);
        assert!(cap.is_reached(at(11_999)));
        assert!(!cap.is_reached(at(24_000)), "ten seconds later there is no load");
    }
}
