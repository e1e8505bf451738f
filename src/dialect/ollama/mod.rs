//! The provider dialect of Ollama's own API.
//!
//! Out: [`request`] writes the hub's request as `POST /api/chat` takes it. In: [`Reader`] turns the
//! lines of a stream, and [`read_whole`] a whole answer, into the hub's events; [`provider_fault`]
//! says what an error answer means. Facts about the wire are of 2026-11 (Ollama's source at
//! fb30760, its `docs/api.md`, and the SDK `ollama` 0.6.3).
//!
//! A line with `done: true` is the terminal event. Newer servers give calls an id and take
//! `tool_call_id` with a result; older ones know neither and go by `tool_name`: both are sent, and
//! an id that is missing is made from the answer's time and the call's place.
//!
//! Lost on the way out: a tool can't be demanded (`tool_choice` leaves out the tools that may not
//! be called, no more), `parallel_tool_calls`, `top_a`, `user`, `metadata`, `detail`, marks for a
//! cache, `is_error` of a result, budgets of thinking (on is on), signed or encrypted
//! reasoning, verbosity, unknown fields. On the way in: durations. A server that found the prompt
//! in its cache may leave out its count, which then is 0.

mod fault;
mod messages;
mod reader;
mod request;

pub use fault::provider_fault;
pub use reader::{Reader, read_whole};
pub use request::request;

#[cfg(test)]
mod tests;
