//! The provider dialect OpenAI Chat Completions, which most hosts speak with deviations.
//!
//! Towards the provider the client's own bytes go ([`request`]); the way back either passes
//! (`stream`) or is read into events here ([`Reader`], [`read_whole`]), tolerantly: hosts leave
//! out roles, indices and types, send usage in odd places and errors with status 200.

pub(crate) mod fault;
mod reader;
mod request;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

pub use self::fault::provider_fault;
pub use self::reader::{Reader, read_whole};
pub use self::request::request;
