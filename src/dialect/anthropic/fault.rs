//! What an error answer means.

use std::borrow::Cow;

use serde::Deserialize;

use crate::dialect::media::bounded;
use crate::dialect::{FaultClass, ProviderFault};
use crate::error::ProviderSaid;

#[derive(Deserialize)]
struct ErrorAnswer<'a> {
    #[serde(borrow)]
    error: Body<'a>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow)]
    details: Option<Details<'a>>,
}

#[derive(Deserialize)]
struct Details<'a> {
    #[serde(borrow)]
    error_code: Option<Cow<'a, str>>,
}

/// Classifies an error answer by its text, its type and its status, in this order of trust.
///
/// A body that is no JSON (a proxy's or load balancer's) is not handed on: it is told by its status
/// alone.
pub fn provider_fault(status: u16, body: &[u8]) -> ProviderFault {
    let Ok(ErrorAnswer { error }) = serde_json::from_slice::<ErrorAnswer<'_>>(body) else {
        let message = format!("HTTP status {status} without an error object");
        return ProviderFault { class: by_status(status), code: None, message };
    };
    let text = error.message.as_deref().unwrap_or("no message");
    let kind = error.kind.as_deref().unwrap_or_default();
    let detail = error.details.as_ref().and_then(|details| details.error_code.as_deref());
    let class = by_text(text)
        .or_else(|| (detail == Some("enforced_spend_limit_reached")).then_some(FaultClass::Billing))
        .or_else(|| by_kind(kind))
        .unwrap_or_else(|| by_status(status));
    ProviderFault {
        class,
        code: error.kind.as_deref().map(|kind| bounded(kind, 128)),
        message: bounded(text, ProviderSaid::RAW_MAX),
    }
}

/// Texts that say more than the type `invalid_request_error` that they come with.
fn by_text(text: &str) -> Option<FaultClass> {
    const TEXTS: [(&str, FaultClass); 5] = [
        ("prompt is too long", FaultClass::ContextLength),
        ("exceed context limit", FaultClass::ContextLength),
        ("exceeds the context window", FaultClass::ContextLength),
        ("credit balance is too low", FaultClass::Billing),
        ("content filtering policy", FaultClass::ContentPolicy),
    ];
    let text = text.to_ascii_lowercase();
    TEXTS.iter().find(|(part, _)| text.contains(part)).map(|(_, class)| *class)
}

/// What a type says. `invalid_request_error` is left to the status: Anthropic documents it for 400
/// and for any 4xx that has no type of its own (2026-11).
fn by_kind(kind: &str) -> Option<FaultClass> {
    Some(match kind {
        "request_too_large" => FaultClass::InvalidRequest,
        "authentication_error" => FaultClass::Authentication,
        "billing_error" => FaultClass::Billing,
        "permission_error" => FaultClass::Permission,
        "not_found_error" => FaultClass::NotFound,
        "conflict_error" => FaultClass::Conflict,
        "timeout_error" => FaultClass::Timeout,
        "rate_limit_error" => FaultClass::RateLimited,
        "overloaded_error" => FaultClass::Overloaded,
        _ => return None,
    })
}

fn by_status(status: u16) -> FaultClass {
    match status {
        401 => FaultClass::Authentication,
        402 => FaultClass::Billing,
        403 => FaultClass::Permission,
        404 => FaultClass::NotFound,
        408 => FaultClass::Timeout,
        409 | 425 => FaultClass::Conflict,
        429 => FaultClass::RateLimited,
        503 | 529 => FaultClass::Overloaded,
        504 => FaultClass::Timeout,
        400..=499 => FaultClass::InvalidRequest,
        _ => FaultClass::Server,
    }
}
