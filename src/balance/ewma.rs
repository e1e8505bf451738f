//! A moving average of waiting times that believes bad news at once and good news slowly.
//!
//! A plain average takes several samples to notice that an endpoint has become slow, and each of
//! them is a caller who waited. So a sample above the average replaces it (the peak), and samples
//! below it pull it down with the time constant τ: after a pause of `t` the old value keeps the
//! weight e^(−t/τ), whatever the number of samples in between (Finagle's "peak EWMA", Twitter
//! 2015). The value also fades while nothing is sent, so that an endpoint which was slow once is
//! tried again; how far it may fade is the business of `route::score`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::time::Nanos;

/// The average. Value and time are two atomics: whoever moves the time forward owns the weight of
/// the interval, so no interval is counted twice.
#[derive(Debug, Default)]
pub struct PeakEwma {
    /// Seconds as the bits of an `f64`; 0 means that there was no sample yet.
    value: AtomicU64,
    /// When the last sample came, in nanoseconds.
    stamp: AtomicU64,
}

/// What an average says at a given time, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// As of the last sample.
    pub settled: f64,
    /// The time since, in nanoseconds.
    idle: u64,
    /// The time constant, in seconds.
    decay: f64,
}

impl Reading {
    /// Faded by the time since the last sample. Not every reader needs it, and it takes longer than
    /// the rest of the reading.
    #[inline]
    pub fn faded(&self) -> f64 {
        self.settled * weight(Duration::from_nanos(self.idle), self.decay)
    }
}

/// Below any real latency, and above the mark for "no sample".
const SECONDS_MIN: f64 = 1e-9;
/// Above any allowed timeout.
const SECONDS_MAX: f64 = 86_400.0;

impl PeakEwma {
    /// Takes a sample.
    pub fn observe(&self, sample: Duration, decay: Duration, now: Nanos) {
        let sample = sample.as_secs_f64().clamp(SECONDS_MIN, SECONDS_MAX);
        self.take(sample, true, decay, now);
    }

    /// Forgets what was before, and begins with this sample.
    pub(super) fn begin_anew(&self, sample: Duration, now: Nanos) {
        let sample = sample.as_secs_f64().clamp(SECONDS_MIN, SECONDS_MAX);
        self.stamp.fetch_max(now.0, Ordering::Relaxed);
        self.value.store(sample.to_bits(), Ordering::Relaxed);
    }

    /// Takes a sample of something that is no waiting time: bad news counts like good news.
    pub(super) fn observe_evenly(&self, sample: f64, decay: Duration, now: Nanos) {
        self.take(sample.clamp(SECONDS_MIN, SECONDS_MAX), false, decay, now);
    }

    fn take(&self, sample: f64, peaks: bool, decay: Duration, now: Nanos) {
        let last = Nanos(self.stamp.fetch_max(now.0, Ordering::Relaxed));
        let keep = weight(now.since(last), decay.as_secs_f64());
        let update = |bits: u64| {
            let old = f64::from_bits(bits);
            let replaces = bits == 0 || peaks && sample >= old;
            let new = if replaces { sample } else { sample + (old - sample) * keep };
            new.to_bits()
        };
        self.value.update(Ordering::Relaxed, Ordering::Relaxed, update);
    }

    /// What the average says as of its last sample; `None` before the first.
    #[inline]
    pub(super) fn settled(&self) -> Option<f64> {
        let bits = self.value.load(Ordering::Relaxed);
        (bits != 0).then(|| f64::from_bits(bits))
    }

    /// What the average says now; `None` before the first sample.
    pub fn read(&self, decay: Duration, now: Nanos) -> Option<Reading> {
        self.read_s(decay.as_secs_f64(), now)
    }

    /// As [`Self::read`], with the time constant in seconds.
    #[inline]
    pub(super) fn read_s(&self, decay: f64, now: Nanos) -> Option<Reading> {
        let bits = self.value.load(Ordering::Relaxed);
        if bits == 0 {
            return None;
        }
        let settled = f64::from_bits(bits);
        let idle = now.0.saturating_sub(self.stamp.load(Ordering::Relaxed));
        Some(Reading { settled, idle, decay })
    }
}

/// What a value keeps of its weight after `idle`, with a time constant in seconds.
#[inline]
fn weight(idle: Duration, decay: f64) -> f64 {
    (-idle.as_secs_f64() / decay.max(SECONDS_MIN)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECAY: Duration = Duration::from_secs(10);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn at(ms: u64) -> Nanos {
        Nanos(ms * 1_000_000)
    }

    fn settled(ewma: &PeakEwma, now: Nanos) -> f64 {
        ewma.read(DECAY, now).expect("a sample").settled
    }

    #[test]
    fn a_peak_raises_at_once_and_falls_slowly() {
        let ewma = PeakEwma::default();
        assert_eq!(ewma.read(DECAY, at(0)), None, "no sample yet");
        ewma.observe(ms(100), DECAY, at(1_000));
        ewma.observe(ms(900), DECAY, at(2_000));
        assert!((settled(&ewma, at(2_000)) - 0.9).abs() < 1e-9, "peak at once");
        ewma.observe(ms(100), DECAY, at(3_000));
        assert!((settled(&ewma, at(3_000)) - (0.1 + 0.8 * (-0.1_f64).exp())).abs() < 1e-9);
        for second in 4..60 {
            ewma.observe(ms(100), DECAY, at(second * 1_000));
        }
        assert!(settled(&ewma, at(60_000)) < 0.11, "good news is believed after a while");
    }

    #[test]
    fn the_number_of_samples_does_not_matter_only_time() {
        let (few, many) = (PeakEwma::default(), PeakEwma::default());
        for ewma in [&few, &many] {
            ewma.observe(ms(1_000), DECAY, at(0));
        }
        for tick in 1..=10_000 {
            many.observe(ms(100), DECAY, at(tick));
        }
        few.observe(ms(100), DECAY, at(10_000));
        let (few, many) = (settled(&few, at(10_000)), settled(&many, at(10_000)));
        assert!((few - many).abs() < 1e-6, "{few} against {many}");
    }

    #[test]
    fn it_fades_when_read_and_clocks_may_disagree() {
        let ewma = PeakEwma::default();
        ewma.observe(ms(1_000), DECAY, at(20_000));
        let read = ewma.read(DECAY, at(30_000)).expect("a sample");
        assert!((read.faded() - (-1.0_f64).exp()).abs() < 1e-9);
        assert!((read.settled - 1.0).abs() < 1e-9);
        let early = ewma.read(DECAY, at(10_000)).expect("a sample");
        assert!((early.faded() - 1.0).abs() < 1e-9, "an earlier clock reads the settled value");
        ewma.observe(Duration::ZERO, DECAY, at(u64::MAX / 2_000_000));
        let late = ewma.read(Duration::ZERO, Nanos(u64::MAX)).expect("still a sample");
        assert!(late.faded().is_finite() && late.faded() >= 0.0);
    }
}
