//! The ledger against a model that is too simple to be wrong: random operations, and crashes at
//! every write.
//!
//! By default some seconds' worth. The long run:
//! `TURNPIKE_MODEL_STEPS=400000 TURNPIKE_MODEL_CRASHES=500 cargo test --release --test ledger_model
//! -- --nocapture`. A failure tells its seed; `TURNPIKE_MODEL_SEED` runs it again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests fail by panicking, and read clocks"
)]

mod crash;
mod disk;
mod model;
mod pure;

/// Draws numbers.
struct Dice(u64);

impl Dice {
    /// The seed that was asked for, or a new one; tells it.
    fn new(test: &str) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let drawn = u64::from(now.subsec_nanos()) << 20 | 1;
        let seed = number("TURNPIKE_MODEL_SEED", drawn);
        eprintln!("{test}: seed {seed}");
        Self(seed.max(1))
    }

    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    fn amount(&mut self, below: u64) -> i64 {
        i64::try_from(self.roll(below)).unwrap()
    }

    fn pick(&mut self, below: usize) -> usize {
        usize::try_from(self.roll(below as u64)).unwrap()
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }
}

/// A number from the environment.
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}
