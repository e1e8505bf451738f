//! What an error answer means.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::{ErrorBody, Text};
use crate::dialect::{FaultClass, ProviderFault};

#[derive(Deserialize)]
struct ErrorAnswer<'a> {
    #[serde(borrow)]
    error: ErrorBody<'a>,
}

/// An entry of `details`: `google.rpc.ErrorInfo` has a reason, `google.rpc.QuotaFailure` says
/// which quota is used up.
#[derive(Default, Deserialize)]
struct Detail<'a> {
    #[serde(borrow)]
    reason: Option<Text<'a>>,
    #[serde(borrow)]
    violations: Option<Vec<Violation<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Violation<'a> {
    #[serde(borrow)]
    quota_id: Option<Text<'a>>,
}

/// Classifies an error answer by the reason in its details, its text, its status as a word, and
/// its status as a number, in this order of trust: a bad key is a 400, and so is a region, an
/// account without billing, and a prompt that is too long.
///
/// A body that is no JSON (a proxy's or load balancer's) is not handed on: it is told by its status
/// alone.
pub fn provider_fault(status: u16, body: &[u8]) -> ProviderFault {
    let text = String::from_utf8_lossy(body);
    // A stream's error is the one element of an array.
    let error = if text.trim_start().starts_with('[') {
        let list = serde_json::from_str::<Vec<ErrorAnswer<'_>>>(&text).ok();
        list.and_then(|list| list.into_iter().next())
    } else {
        serde_json::from_str::<ErrorAnswer<'_>>(&text).ok()
    };
    let Some(ErrorAnswer { error }) = error else {
        let message = format!("HTTP status {status} without an error object");
        return ProviderFault { class: FaultClass::of_status(status), code: None, message };
    };
    let raw = error.details.map_or("[]", RawValue::get);
    let details = serde_json::from_str::<Vec<Detail<'_>>>(raw).unwrap_or_default();
    let class = by_details(&details)
        .or_else(|| by_text(error.message.as_ref().map_or("", |message| &message.0)))
        .or_else(|| by_word(error.status.as_ref().map_or("", |word| &word.0)))
        // A word that blames the request does not outweigh a status that does not.
        .filter(|class| *class != FaultClass::InvalidRequest || status == 400)
        .unwrap_or_else(|| FaultClass::of_status(status));
    ProviderFault { class, code: error.code(), message: error.message() }
}

fn by_details(details: &[Detail<'_>]) -> Option<FaultClass> {
    let mut reasons = details.iter().filter_map(|detail| detail.reason.as_ref());
    let by_reason = reasons.find_map(|reason| match reason.0.as_ref() {
        "API_KEY_INVALID"
        | "ACCESS_TOKEN_EXPIRED"
        | "ACCESS_TOKEN_TYPE_UNSUPPORTED"
        | "CREDENTIALS_MISSING" => Some(FaultClass::Authentication),
        "BILLING_DISABLED" => Some(FaultClass::Billing),
        "SERVICE_DISABLED"
        | "CONSUMER_SUSPENDED"
        | "CONSUMER_INVALID"
        | "API_KEY_SERVICE_BLOCKED" => Some(FaultClass::Permission),
        _ => None,
    });
    // A quota of a day comes back tomorrow: that is no limit of rate that a short wait helps.
    let violations = details.iter().flat_map(|detail| detail.violations.iter().flatten());
    let mut quotas = violations.filter_map(|violation| violation.quota_id.as_ref());
    let a_day = quotas.any(|id| id.0.contains("PerDay")).then_some(FaultClass::Billing);
    by_reason.or(a_day)
}

/// Texts that say more than the status that they come with (as seen 2025-07 to 2026-11).
fn by_text(text: &str) -> Option<FaultClass> {
    const TEXTS: [(&str, FaultClass); 14] = [
        ("exceeds the maximum number of tokens", FaultClass::ContextLength),
        ("input token count", FaultClass::ContextLength),
        ("exceeds the context window", FaultClass::ContextLength),
        ("api key not valid", FaultClass::Authentication),
        ("api key expired", FaultClass::Authentication),
        ("api key was reported as leaked", FaultClass::Authentication),
        ("enable billing", FaultClass::Billing),
        ("credits are depleted", FaultClass::Billing),
        ("billing to be enabled", FaultClass::Billing),
        ("user location is not supported", FaultClass::Permission),
        ("prohibited_content", FaultClass::ContentPolicy),
        ("responsible ai", FaultClass::ContentPolicy),
        ("blocked by safety", FaultClass::ContentPolicy),
        ("violates our usage", FaultClass::ContentPolicy),
    ];
    let text = text.to_ascii_lowercase();
    TEXTS.iter().find(|(part, _)| text.contains(part)).map(|(_, class)| *class)
}

/// What a status means (google.rpc.Code).
fn by_word(word: &str) -> Option<FaultClass> {
    Some(match word {
        "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" => FaultClass::InvalidRequest,
        "UNAUTHENTICATED" => FaultClass::Authentication,
        "PERMISSION_DENIED" => FaultClass::Permission,
        "NOT_FOUND" => FaultClass::NotFound,
        "ABORTED" | "ALREADY_EXISTS" => FaultClass::Conflict,
        "RESOURCE_EXHAUSTED" => FaultClass::RateLimited,
        "DEADLINE_EXCEEDED" => FaultClass::Timeout,
        "UNAVAILABLE" => FaultClass::Overloaded,
        "INTERNAL" | "UNKNOWN" | "DATA_LOSS" | "CANCELLED" => FaultClass::Server,
        _ => return None,
    })
}
