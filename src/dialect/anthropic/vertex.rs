//! Anthropic Messages on Vertex AI: the model is in the path, and not in the body.

use bytes::Bytes;

use super::request::{Place, write};
use crate::dialect::ir::{FileSource, Message, PartBody, Request};
use crate::dialect::media::{data_url, refusal};
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
/// As [`super::request()`]; or an image or document is a URL that Vertex AI would have to fetch.
pub fn vertex_request(request: &Request, target: &Target<'_>) -> Result<Bytes, GatewayError> {
    refuse_urls(request)?;
    write(request, target, Place::Vertex)
}

/// Vertex AI refuses what is not in the request itself ("URL sources are not supported",
/// anthropic-sdk-typescript #1038, 2026-05 to 2026-08).
fn refuse_urls(request: &Request) -> Result<(), GatewayError> {
    for (i, message) in request.messages.iter().enumerate() {
        let (Message::System { parts, .. }
        | Message::User { parts, .. }
        | Message::Tool { parts, .. }) = message
        else {
            continue;
        };
        for (j, part) in parts.iter().enumerate() {
            let (url, field) = match &part.body {
                PartBody::Image { url, .. } => (url, "image_url.url"),
                PartBody::File { source: FileSource::Url(url), .. } => (url, "file.file_data"),
                _ => continue,
            };
            if data_url(url).is_none() {
                let what = "must be data:<type>;base64,<data>: this provider fetches nothing";
                return Err(refusal(format!("messages[{i}].content[{j}].{field}"), what));
            }
        }
    }
    Ok(())
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
