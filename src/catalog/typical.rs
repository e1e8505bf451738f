//! How long a model's answers usually are: the expected output where a request sets no limit.
//!
//! A hold on the model's longest possible answer would refuse callers who have credit enough for
//! any real answer; a hold on the mean would be passed half of the time. So the 95th percentile is
//! tracked, by stochastic approximation: each answer moves the estimate up by 19 parts if it was
//! longer and down by one part if it was not, so that it rests where 5 % are longer. The step is a
//! share of the estimate, which lets it find any scale in a few hundred answers. One atomic, no
//! lock, no history.

use std::sync::atomic::{AtomicU64, Ordering};

/// The 95th percentile of a model's output lengths, in tokens.
#[derive(Debug)]
pub struct Typical(AtomicU64);

/// The expectation before anything is known, in tokens.
const COLD: f64 = 1024.0;
/// One part of a step, as a share of the estimate.
const PART: f64 = 0.005;
/// The share of answers that are longer than the estimate, in parts.
const UP: f64 = 19.0;

impl Typical {
    /// The estimate in tokens, at least 16.
    pub fn tokens(&self) -> u64 {
        let estimate = f64::from_bits(self.0.load(Ordering::Relaxed));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the estimate is kept between 16 and 10 million"
        )]
        {
            estimate as u64
        }
    }

    /// Learns from an answer of this many tokens.
    pub fn learn(&self, tokens: u64) {
        let step = |bits: u64| Some(stepped(f64::from_bits(bits), tokens).to_bits());
        // The closure always returns a value.
        let _previous = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
    }
}

/// An estimate after an answer of this many tokens, from 16 to 10 million.
pub(super) fn stepped(estimate: f64, tokens: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "lengths of answers are small numbers")]
    let length = tokens as f64;
    let factor = if length > estimate { 1.0 + PART * UP } else { 1.0 - PART };
    (estimate * factor).clamp(16.0, 1e7)
}

impl Default for Typical {
    fn default() -> Self {
        Self(AtomicU64::new(COLD.to_bits()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_near_the_95th_percentile() {
        for scale in [20, 400, 9_000] {
            let typical = Typical::default();
            // Lengths spread evenly over 0..scale: the 95th percentile is 0.95 scale.
            for i in 0..20_000_u64 {
                typical.learn(i.wrapping_mul(7_919) % 1_000 * scale / 1_000);
            }
            let (low, high) = (scale * 80 / 100, scale * 115 / 100);
            let tokens = typical.tokens();
            assert!((low.max(16)..=high.max(24)).contains(&tokens), "scale {scale}: {tokens}");
        }
    }
}
