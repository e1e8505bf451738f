//! The provider dialect Anthropic Messages.
//!
//! Out: [`request`] writes the hub's request as `POST /v1/messages` takes it. In: [`Reader`] turns
//! the named events of a stream, and [`read_whole`] a whole message, into the hub's events;
//! [`provider_fault`] says what an error answer means. Facts about the wire are of 2026-11 (SDK
//! `anthropic` 2.12.0 and Anthropic's API reference).

mod blocks;
mod citations;
mod fault;
mod options;
mod reader;
mod request;
mod thinking;
mod usage;
mod vertex;
mod whole;

pub(in crate::dialect) use blocks::can_be_replayed;
pub use fault::provider_fault;
pub use reader::Reader;
pub use request::request;
pub(in crate::dialect) use thinking::{Limits, Thinking, effort, limits, max_tokens};
pub use thinking::{completion_limit, takes_prefill};
pub use vertex::{vertex_fault, vertex_path, vertex_request};
pub use whole::read_whole;

#[cfg(test)]
mod request_tests;
#[cfg(test)]
mod tests;
