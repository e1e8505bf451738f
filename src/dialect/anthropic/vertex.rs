//! Anthropic Messages on Vertex AI: the model is in the path, and not in the body.

use bytes::Bytes;

use super::request::{Place, write};
use crate::dialect::ir::Request;
use crate::dialect::{ProviderFault, Target};
use crate::error::GatewayError;

/// `/publishers/anthropic/models/{model}:rawPredict`, after
/// `…/v1/projects/{project}/locations/{location}`.
pub fn vertex_path(model: &str, stream: bool) -> String {
    let verb = if stream { "streamRawPredict" } else { "rawPredict" };
    format!("/publishers/anthropic/models/{model}:{verb}")
}

/// Writes the request for Anthropic on Vertex AI.
///
/// # Errors
/// As [`super::request()`].
pub fn vertex_request(request: &Request, target: &Target<'_>) -> Result<Bytes, GatewayError> {
    write(request, target, Place::Vertex)
}

/// Classifies an error answer: Anthropic's own form, or Google's.
pub fn vertex_fault(status: u16, body: &[u8]) -> ProviderFault {
    let google = body.windows(8).any(|at| at == b"\"status\"");
    if google {
        crate::dialect::gemini::provider_fault(status, body)
    } else {
        super::provider_fault(status, body)
    }
}
