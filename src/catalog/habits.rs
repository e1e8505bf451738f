//! How long a model's answers to one caller usually are.
//!
//! Who asks for titles and who asks for essays may use the same model. So the percentile of
//! [`Typical`](super::Typical) is tracked per caller, too, from the model's own as a beginning: who
//! has asked little is near it. The table has a fixed size. A place in it is one atomic with a part
//! of the pair's hash and the estimate: no lock, no allocation. A pair that is used moves forward in
//! its row and a new one takes the last place, so that callers who come once push out none that
//! come again. Threads that move pairs at the same time may lose one, which is learned anew.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};

use super::typical::stepped;

/// Rows of the table.
const ROWS: usize = 1 << 13;
/// Places in a row. With eight bytes a place, the table takes half a mebibyte.
const PLACES: usize = 8;

/// The 95th percentile of output lengths of the callers and models that were used last.
pub struct Habits(Box<[[AtomicU64; PLACES]]>);

impl std::fmt::Debug for Habits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Habits").finish_non_exhaustive()
    }
}

impl Default for Habits {
    fn default() -> Self {
        Self((0..ROWS).map(|_| Default::default()).collect())
    }
}

impl Habits {
    /// The estimate for a caller and a model, in tokens from 16 to 10 million; absent where nothing
    /// is known.
    pub fn tokens(&self, caller: &str, model: &str) -> Option<u64> {
        let (row, tag) = self.row(caller, model);
        let known = row.iter().map(|place| place.load(Ordering::Relaxed));
        known.into_iter().find(|known| tag_of(*known) == tag).map(|known| whole(estimate(known)))
    }

    /// Learns from an answer of this many tokens. `model_tokens` is the model's own estimate, from
    /// which that of a new caller begins.
    pub fn learn(&self, caller: &str, model: &str, tokens: u64, model_tokens: u64) {
        let (row, tag) = self.row(caller, model);
        let next = |before: f64| packed(tag, stepped(before, tokens));
        let seen = |place: &AtomicU64| tag_of(place.load(Ordering::Relaxed)) == tag;
        let Some(at) = row.iter().position(seen) else {
            let free = row.iter().position(|place| place.load(Ordering::Relaxed) == 0);
            #[expect(clippy::cast_precision_loss, reason = "lengths of answers are small numbers")]
            let begin = model_tokens as f64;
            row[free.unwrap_or(PLACES - 1)].store(next(begin), Ordering::Relaxed);
            return;
        };
        let learned = next(estimate(row[at].load(Ordering::Relaxed)));
        let to = at.saturating_sub(1);
        if to != at {
            let other = row[to].load(Ordering::Relaxed);
            row[at].store(other, Ordering::Relaxed);
        }
        row[to].store(learned, Ordering::Relaxed);
    }

    fn row(&self, caller: &str, model: &str) -> (&[AtomicU64; PLACES], u64) {
        let mut hasher = DefaultHasher::new();
        (caller, model).hash(&mut hasher);
        let hash = hasher.finish();
        let low = usize::try_from(hash & 0xffff_ffff).unwrap_or(0);
        (&self.0[low % ROWS], (hash >> 32).max(1))
    }
}

const fn tag_of(place: u64) -> u64 {
    place >> 32
}

fn estimate(place: u64) -> f64 {
    f64::from(f32::from_bits(u32::try_from(place & 0xffff_ffff).unwrap_or(0)))
}

#[expect(clippy::cast_possible_truncation, reason = "an estimate needs no more than seven digits")]
fn packed(tag: u64, estimate: f64) -> u64 {
    tag << 32 | u64::from((estimate as f32).to_bits())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the estimate is kept between 16 and 10 million"
)]
const fn whole(estimate: f64) -> u64 {
    estimate as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_has_its_own_length() {
        let habits = Habits::default();
        assert_eq!(habits.tokens("a", "m"), None);
        habits.learn("a", "m", 1_000, 1_000);
        let begun = habits.tokens("a", "m").expect("known");
        assert!((990..=1_000).contains(&begun), "near the model's: {begun}");
        for _ in 0..2_000 {
            habits.learn("a", "m", 20, 1_000);
            habits.learn("b", "m", 9_000, 1_000);
        }
        let of = |caller, model| habits.tokens(caller, model).expect("known");
        assert!((16..=24).contains(&of("a", "m")), "{}", of("a", "m"));
        assert!((8_000..=10_500).contains(&of("b", "m")), "{}", of("b", "m"));
        assert_eq!(habits.tokens("a", "other"), None, "each model for itself");
    }

    #[test]
    fn who_comes_once_pushes_out_none_who_come_again() {
        let habits = Habits::default();
        for _ in 0..PLACES {
            habits.learn("regular", "m", 100, 100);
        }
        for stranger in 0..4 * ROWS * PLACES {
            habits.learn(&format!("stranger-{stranger}"), "m", 5_000, 1_000);
        }
        assert!(habits.tokens("regular", "m").expect("kept") < 200);
        let kept = (0..4 * ROWS * PLACES)
            .filter(|n| habits.tokens(&format!("stranger-{n}"), "m").is_some());
        assert!(kept.count() <= ROWS * PLACES, "the table is bounded");
    }
}
