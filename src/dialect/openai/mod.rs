//! The provider dialect OpenAI Chat Completions, which most hosts speak with deviations.
//!
//! Towards the provider the client's own bytes go ([`request`]) if it speaks the same and the host
//! takes all of it; if not, the request is written anew ([`write`](write())). The way back either
//! passes (`stream`) or is read into events here ([`Reader`], [`read_whole`]), tolerantly: hosts
//! leave out roles, indices and types, send usage in odd places and errors with status 200.
//! What hosts differ in is data: [`Host`].

pub(crate) mod fault;
mod host;
mod hosts;
mod message;
mod reader;
mod request;
mod sources;
mod tags;
#[cfg(test)]
mod tests;
mod thinking;
mod turns;
pub(crate) mod wire;
mod write;
#[cfg(test)]
mod write_tests;

pub use self::fault::provider_fault;
pub use self::host::{Host, Limit, Logprobs, Pieces, Prefill, Replay, Thinking};
pub(in crate::dialect) use self::hosts::MISTRAL;
pub use self::reader::{Reader, read_whole, read_whole_at};
pub use self::request::request;
pub use self::write::write;
pub(in crate::dialect) use self::write::write_for;

/// `/openai/deployments/{deployment}/chat/completions`, after the resource's base URL. Azure wants
/// `?api-version=…` behind it, which the edge appends.
pub fn azure_path(deployment: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = "/openai/deployments/".to_owned();
    for byte in deployment.bytes() {
        // The unreserved characters of RFC 3986.
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
            out.extend(['%', char::from(high), char::from(low)]);
        }
    }
    out.push_str("/chat/completions");
    out
}
