//! The provider dialect Cohere v2.
//!
//! Out: [`request`] writes the hub's request as `POST /v2/chat` takes it. In: [`Reader`] turns the
//! events of a stream, and [`read_whole`] a whole answer, into the hub's events;
//! [`provider_fault`] says what an error answer means. Facts about the wire are of 2026-11 (SDK
//! `cohere` 7.3.1 and Cohere's API reference).
//!
//! What Cohere says before it calls tools, `tool_plan`, is reasoning here; a turn with calls gives
//! it back the same way. Offsets of citations count from the beginning of their block, and those
//! of the hub from the beginning of the answer's text: they are moved.
//!
//! Lost on the way out: `min_p`, `top_a`, `repetition_penalty`, negative penalties and seeds,
//! logprobs, `parallel_tool_calls`, `user`, `metadata`, `detail: original`, marks for a cache,
//! `is_error` of a result, reasoning of turns without calls, signed or encrypted reasoning,
//! verbosity, unknown fields. A schema goes on together with tools, although Cohere's guide says
//! that models refuse the two together (2026-11): that is theirs to judge. Temperatures above 1 are
//! 1, `top_p` is from 0.01 to 0.99. On the way in: citations of sources without a URL, and those of
//! reasoning.

mod fault;
mod messages;
mod reader;
mod request;
mod whole;
mod wire;

pub use fault::provider_fault;
pub use reader::Reader;
pub use request::request;
pub use whole::read_whole;

#[cfg(test)]
mod tests;
