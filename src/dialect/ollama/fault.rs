//! What an error answer means.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::reader::error_text;
use crate::dialect::media::bounded;
use crate::dialect::{FaultClass, ProviderFault};
use crate::error::ProviderSaid;

/// `{"error": "…"}`.
#[derive(Deserialize)]
struct ErrorAnswer<'a> {
    #[serde(borrow)]
    error: &'a RawValue,
}

/// Classifies an error answer by its text and its status. Ollama has no codes.
///
/// A body that is no JSON (a proxy's) is not handed on: it is told by its status alone.
pub fn provider_fault(status: u16, body: &[u8]) -> ProviderFault {
    let read = serde_json::from_slice::<ErrorAnswer<'_>>(body).ok();
    let Some(text) = read.as_ref().and_then(|answer| error_text(answer.error.get())) else {
        let message = format!("HTTP status {status} without an error object");
        return ProviderFault { class: FaultClass::of_status(status), code: None, message };
    };
    let class = by_text(status, &text).unwrap_or_else(|| FaultClass::of_status(status));
    ProviderFault { class, code: None, message: bounded(&text, ProviderSaid::RAW_MAX) }
}

/// Texts that say more than the status that they come with (Ollama's source, 2026-08, and its
/// cloud, 2026-11).
fn by_text(status: u16, text: &str) -> Option<FaultClass> {
    let text = text.to_ascii_lowercase();
    let has = |part: &str| text.contains(part);
    match status {
        400 | 413 | 422 | 500 if has("context length") || has("context size") => {
            Some(FaultClass::ContextLength)
        }
        402 | 403 | 429 if has("usage limit") || has("subscription") || has("upgrade") => {
            Some(FaultClass::Billing)
        }
        400 | 500 if has("not found, try pulling it first") => Some(FaultClass::NotFound),
        _ => None,
    }
}
