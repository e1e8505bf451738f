//! The provider dialect Mistral: OpenAI's form, with strict members and rules of its own. Answers
//! are read by [`super::openai::Reader`], which knows Mistral's deviations.
//!
//! Facts are of 2026-11 (SDK `mistralai` 3.7.0 and Mistral's API reference); those that OpenAI-like
//! hosts have words for are the host row `mistral`. What Mistral does not know is answered with 422
//! `extra_forbidden`, so it is left out: `user`, `store`, `logit_bias`, `min_p`, `top_a`, cache
//! marks, a speaker's name (it goes in front of the text), and any member that is on neither list.
//! `seed` becomes `random_seed`, "required" "any", temperatures end at 1.5, and ids of calls that do
//! not have Mistral's 9 letters and digits are spelled anew. A turn of the model at the end is gone
//! on with (`prefix`). Refused: video.

use bytes::Bytes;

use crate::dialect::ir::Request;
use crate::dialect::openai::{self, MISTRAL};
use crate::dialect::{FaultClass, ProviderFault, Target};
use crate::error::GatewayError;

/// Writes the request.
///
/// # Errors
/// The request asks for what Mistral cannot do: video, or other output than text.
pub fn request(request: &Request, target: &Target<'_>) -> Result<Bytes, GatewayError> {
    openai::write_for(&MISTRAL, request, target)
}

/// What an error answer means: `{"message"}`, `{"object": "error", "message", "type", "code"}`, or
/// FastAPI's `{"detail"}`, which may stand in `message`.
pub fn provider_fault(status: u16, body: &[u8]) -> ProviderFault {
    let mut fault = openai::provider_fault(status, body);
    if fault.code.as_deref() == Some("invalid_model") {
        fault.class = FaultClass::NotFound;
    }
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_classed() {
        for (status, body, class, code, message) in [
            (401, r#"{"detail":"Unauthorized"}"#, FaultClass::Authentication, None, "Unauthorized"),
            (
                400,
                r#"{"object":"error","message":"Invalid model: nope","type":"invalid_model","param":null,"code":"1500"}"#,
                FaultClass::NotFound,
                Some("invalid_model"),
                "Invalid model: nope",
            ),
            (
                422,
                r#"{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","user"],"msg":"Extra inputs are not permitted"}]},"type":"invalid_request_error","param":null,"code":null}"#,
                FaultClass::InvalidRequest,
                Some("invalid_request_error"),
                "Extra inputs are not permitted",
            ),
            (
                400,
                r#"{"object":"error","message":"Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length","type":"invalid_request_prompt","param":null,"code":"3051"}"#,
                FaultClass::ContextLength,
                Some("invalid_request_prompt"),
                "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
            ),
            (
                429,
                r#"{"message":"Requests rate limit exceeded"}"#,
                FaultClass::RateLimited,
                None,
                "Requests rate limit exceeded",
            ),
        ] {
            let fault = provider_fault(status, body.as_bytes());
            assert_eq!(fault.class, class, "{body}");
            assert_eq!(fault.code.as_deref(), code, "{body}");
            assert_eq!(fault.message, message, "{body}");
        }
    }
}
