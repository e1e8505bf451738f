//! Turnpike: one OpenAI-compatible endpoint in front of every model provider.
//!
//! # The journey of a request
//! | step | module | what |
//! |---|---|---|
//! | arrive, who | [`auth`] | credential → caller |
//! | what | [`dialect`] | body → request, scanned once |
//! | where | [`catalog`], [`balance`], [`route`] | model → endpoints → plan |
//! | hold | [`ledger`] | credit is reserved, durably, before the first byte of the answer |
//! | maybe cached | [`cache`] | identical answers, free |
//! | attempt | [`attempt`] | one try and what its outcome means |
//! | answer | [`stream`] | provider bytes → events → client bytes, usage overheard |
//! | account | [`ledger`], `observe` | usage → price → settle; one log line, one metrics update |
//!
//! # Invariants
//! - Only `edge` names Pingora, and nothing below `edge` is async or reads a clock.
//! - Money is an integer, rounded once per request, and every hold is settled or voided once.
//! - The same dialect on both sides: bytes pass unchanged.
//! - A stream that is not complete never ends as if it were.
//! - No prompt, answer or key in a log line, an error text or `Debug` output.
//! - Nothing is unbounded.

pub mod error;
pub mod limits;
pub mod terms;
pub mod vocab;

pub mod auth;

pub mod dialect;

pub mod catalog;

pub mod balance;

pub mod route;

pub mod ledger;

pub mod cache;

pub mod attempt;

pub mod charge;

pub mod stream;

pub mod plugins;

pub mod config;

pub mod reconcile;

#[cfg(feature = "host")]
pub mod content;

#[cfg(feature = "host")]
pub mod observe;

pub mod payment;

#[cfg(feature = "host")]
pub mod events;

#[cfg(feature = "host")]
pub mod admin;

#[cfg(feature = "host")]
pub mod simulate;

#[cfg(feature = "edge")]
pub mod edge;

#[cfg(feature = "edge")]
pub mod cli;
