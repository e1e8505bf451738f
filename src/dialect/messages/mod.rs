//! The client surface Anthropic Messages: `POST /v1/messages`, with OpenRouter's additions.
//!
//! In: [`read_request`] checks a body and makes it the hub's request. Out: events become the named
//! events of a stream ([`StreamWriter`]) or one message ([`WholeWriter`]), and errors the object
//! that Anthropic's SDKs understand ([`error_body`]). Facts about the wire are of 2026-11 (SDK
//! `anthropic` 2.14.0, Anthropic's and OpenRouter's references).
//!
//! What the hub cannot carry is noted in [`Request::losses`](crate::dialect::ir::Request::losses):
//! tools that only Anthropic runs and their blocks in the history, `citations` and `context` of
//! documents, the place of a text between two calls, and a cache mark that has nothing to stand on.
//! What other models say and Anthropic's do not has a form here that clients hand back unchanged
//! (the module `replay`), a picture is a link in Markdown, and log probabilities have no place.

mod arguments;
mod blocks;
mod content;
mod fault;
mod replay;
mod request;
mod stream;
mod tools;
mod turns;
mod whole;
mod wire;

pub use fault::error_body;
pub use request::read_request;
pub use stream::StreamWriter;
pub use whole::WholeWriter;

#[cfg(test)]
mod request_tests;
#[cfg(test)]
mod roundtrip_tests;
#[cfg(test)]
mod stream_tests;
