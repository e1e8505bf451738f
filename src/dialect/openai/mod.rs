//! The provider dialect OpenAI Chat Completions, which most hosts speak with deviations.
//!
//! Towards the provider the client's own bytes go ([`request`]); the way back either passes
//! (`stream`) or is read into events here ([`Reader`], [`read_whole`]), tolerantly: hosts leave
//! out roles, indices and types, send usage in odd places and errors with status 200.

pub(crate) mod fault;
mod host;
mod reader;
mod request;
#[cfg(test)]
mod tests;
pub(crate) mod wire;
mod write;

pub use self::fault::provider_fault;
pub use self::host::Host;
pub use self::reader::{Reader, read_whole, read_whole_at};
pub use self::request::request;
pub use self::write::write;

/// `/openai/deployments/{deployment}/chat/completions`, after the resource's base URL.
pub fn azure_path(deployment: &str) -> String {
    format!("/openai/deployments/{deployment}/chat/completions")
}
