//! End to end: the real binary, real sockets, simulated providers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests fail by panicking, and read clocks"
)]

mod support;

mod bodies;
mod byok;
mod cache;
mod carry;
mod catalog;
mod choices;
mod continuation;
mod crash;
mod events;
mod failover;
mod framing;
mod guards;
mod hedging;
mod keys;
mod lifecycle;
mod money;
mod payers;
mod plugins;
mod prefs;
mod privacy;
mod probes;
mod races;
mod records;
mod surface;
mod uptime;
mod vectors;
