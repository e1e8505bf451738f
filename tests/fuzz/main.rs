//! Hostile input for every reader: no panic, no hang, no memory beyond its bound, whatever the
//! bytes, and what is written is always JSON.
//!
//! Inputs are made of the files in `tests/vectors*` by seeded, structure-aware damage, so that a
//! run can be repeated. By default a run is short. The long one, 10 million inputs per target:
//!
//! ```text
//! TURNPIKE_FUZZ_INPUTS=10_000_000 cargo test --release --no-default-features --test fuzz
//! ```
//!
//! `TURNPIKE_FUZZ_SEED` begins elsewhere; a failure names the `TURNPIKE_FUZZ_REPLAY` that runs its
//! input alone (name the target's test, too).

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "helpers of tests fail by panicking, and read clocks"
)]

mod allocations;
mod answers;
mod dice;
mod mutate;
mod requests;
mod run;
