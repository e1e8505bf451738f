//! The provider dialect AWS Bedrock: Converse and ConverseStream.
//!
//! Out: [`request`] writes the hub's request as `POST /model/{id}/converse` and `converse-stream`
//! take it, and [`path`] that path. In: [`Decoder`] cuts AWS's event stream into frames, [`Reader`]
//! turns these, and [`read_whole`] a whole answer, into the hub's events; [`provider_fault`] says
//! what an error answer means. With the feature `host`, `sign` signs a request. Facts about the wire
//! are of 2026-11 (the service model in `botocore` 1.44 and AWS's user guides).
//!
//! Choices and losses:
//!
//! * What a model takes is told by its id (`model.rs`); an opaque ARN tells nothing, so that neither
//!   cache marks nor thinking are sent there.
//! * A JSON schema goes into `outputConfig.textFormat`. Older Claude and Nova do not have it: they
//!   must call a tool whose arguments are the answer, which is handed on as text, and do not think.
//!   Models that cannot be made to call one (Llama, Command R, Jamba, Titan) are told the schema.
//!   `json_object` is told to every model.
//! * "No tool" cannot be said: with calls in the history the model is asked in words.
//! * Bedrock fetches nothing: images, documents and videos come as `data:` URLs.
//! * Dropped, as OpenRouter does: seed, penalties, `min_p`, `top_a`, logprobs, verbosity, `user`,
//!   `detail` of images, `parallel_tool_calls` (save for Claude from 4.5 on), labels that Bedrock's
//!   alphabet does not have, cache marks and the failure of a tool for models that do not know them,
//!   reasoning of other families, and unknown members, save Anthropic's `anthropic_beta`.
//! * Citations of the client's own documents have no address and are not handed on.

mod blocks;
mod eventstream;
mod fault;
mod fields;
mod files;
mod model;
mod open;
mod reader;
mod request;
#[cfg(feature = "host")]
mod sign;
mod tools;
mod usage;
mod whole;

pub use self::eventstream::{Decoder, encode};
pub use self::fault::provider_fault;
pub use self::reader::Reader;
pub use self::request::request;
#[cfg(feature = "host")]
pub use self::sign::{Credentials, SignFault, Unsigned, sign};
pub use self::whole::read_whole;

#[cfg(test)]
mod request_tests;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;

/// Whether the model of this id goes on with a turn of its own that is the last: Anthropic's do,
/// as far as they do at Anthropic.
pub fn takes_prefill(model: &str) -> bool {
    model::Family::of(model).is_claude()
        && (super::anthropic::takes_prefill(model) || !model.contains("claude-"))
}

/// `/model/{id}/converse` or `/model/{id}/converse-stream`. Ids and ARNs hold `:` and `/`, which
/// are sent percent-encoded.
pub fn path(model: &str, stream: bool) -> String {
    let verb = if stream { "converse-stream" } else { "converse" };
    let mut out = String::from("/model/");
    for byte in model.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out.push('/');
    out.push_str(verb);
    out
}
