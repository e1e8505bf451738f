//! What an error answer means.

use std::borrow::Cow;

use serde::Deserialize;

use crate::dialect::media::bounded;
use crate::dialect::{FaultClass, ProviderFault};
use crate::error::ProviderSaid;

/// `{"id", "message"}`, or `{"message"}`.
#[derive(Deserialize)]
struct ErrorAnswer<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
}

/// Classifies an error answer by its text and its status. Cohere has no codes.
///
/// A body that is no JSON (a proxy's or load balancer's) is not handed on: it is told by its status
/// alone.
pub fn provider_fault(status: u16, body: &[u8]) -> ProviderFault {
    let Ok(ErrorAnswer { message }) = serde_json::from_slice::<ErrorAnswer<'_>>(body) else {
        let message = format!("HTTP status {status} without an error object");
        return ProviderFault { class: by_status(status), code: None, message };
    };
    let class = by_text(status, &message).unwrap_or_else(|| by_status(status));
    ProviderFault { class, code: None, message: bounded(&message, ProviderSaid::RAW_MAX) }
}

/// Texts that say more than the status that they come with (2026-11).
fn by_text(status: u16, text: &str) -> Option<FaultClass> {
    let text = text.to_ascii_lowercase();
    let has = |part: &str| text.contains(part);
    match status {
        400 | 413 | 422 if has("too many tokens") || has("context length") => {
            Some(FaultClass::ContextLength)
        }
        // A trial key's month is over; its minute only says "per minute".
        429 if has("/ month") || has("per month") || has("monthly") => Some(FaultClass::Billing),
        400 if has("invalid api token") || has("invalid api key") => {
            Some(FaultClass::Authentication)
        }
        400 if has("blocked") => Some(FaultClass::ContentPolicy),
        _ => None,
    }
}

/// 498: the prompt or the answer has a token that is on a list of forbidden ones; 499: the request
/// was given up (Cohere's list of errors, 2026-11).
fn by_status(status: u16) -> FaultClass {
    match status {
        498 => FaultClass::ContentPolicy,
        499 => FaultClass::Timeout,
        status => FaultClass::of_status(status),
    }
}
