//! What an error answer means, and what an exception inside a stream says.

use std::borrow::Cow;

use serde::Deserialize;

use crate::dialect::media::bounded;
use crate::dialect::{AnswerFault, FaultClass, ProviderFault};
use crate::error::ProviderSaid;

/// An error answer, or the payload of an exception. The services do not agree on the spelling.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorBody<'a> {
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    #[serde(rename = "Message", borrow)]
    capital: Option<Cow<'a, str>>,
    #[serde(rename = "originalMessage", borrow)]
    original: Option<Cow<'a, str>>,
    #[serde(rename = "__type", borrow)]
    kind: Option<Cow<'a, str>>,
}

impl ErrorBody<'_> {
    fn text(&self) -> Option<&str> {
        let texts = [&self.message, &self.capital, &self.original];
        texts.into_iter().flatten().map(AsRef::as_ref).find(|text| !text.is_empty())
    }

    /// The exception's name, without the namespace before and the address behind it.
    fn name(&self) -> Option<&str> {
        let kind = self.kind.as_deref()?;
        let kind = kind.rsplit_once('#').map_or(kind, |(_, name)| name);
        let kind = kind.split_once(':').map_or(kind, |(name, _)| name);
        Some(kind).filter(|name| !name.is_empty())
    }

    /// The fault, if this is an error at all.
    pub(super) fn fault(&self) -> Option<AnswerFault> {
        let (name, text) = (self.name(), self.text());
        (name.is_some() || text.is_some())
            .then(|| told(name.unwrap_or_default(), text.unwrap_or_default()))
    }
}

/// The fault that an exception inside a stream is, from its name and payload.
pub(super) fn in_band(name: &str, payload: &str) -> AnswerFault {
    let body = serde_json::from_str::<ErrorBody<'_>>(payload).unwrap_or_default();
    told(name, body.text().unwrap_or_default())
}

/// The fault of this name and message, either of which may be empty.
pub(super) fn told(name: &str, message: &str) -> AnswerFault {
    let message = if message.is_empty() { "no message" } else { message };
    AnswerFault::InBand {
        code: Some(bounded(name, 128)).filter(|name| !name.is_empty()),
        message: bounded(message, ProviderSaid::RAW_MAX),
    }
}

/// Classifies an error answer by its text, its exception's name and its status, in this order of
/// trust.
///
/// Bedrock names the exception in the header `x-amzn-errortype` and often not in the body, so text
/// and status must do. A body that is no JSON (a proxy's or load balancer's) is not handed on: it
/// is told by its status alone.
pub fn provider_fault(status: u16, body: &[u8]) -> ProviderFault {
    let Ok(error) = serde_json::from_slice::<ErrorBody<'_>>(body) else {
        let message = format!("HTTP status {status} without an error object");
        return ProviderFault { class: by_status(status), code: None, message };
    };
    let text = error.text().unwrap_or("no message");
    let class = by_text(status, text)
        .or_else(|| error.name().and_then(by_name))
        .unwrap_or_else(|| by_status(status));
    ProviderFault {
        class,
        code: error.name().map(|name| bounded(name, 128)),
        message: bounded(text, ProviderSaid::RAW_MAX),
    }
}

/// Texts that say more than the `ValidationException` or `AccessDeniedException` that they come
/// with (seen 2026-11). Throttling is left to name and status: its texts speak of tokens too.
fn by_text(status: u16, text: &str) -> Option<FaultClass> {
    const TEXTS: [(&str, FaultClass); 17] = [
        ("input is too long", FaultClass::ContextLength),
        ("prompt is too long", FaultClass::ContextLength),
        ("too many input tokens", FaultClass::ContextLength),
        ("exceed context limit", FaultClass::ContextLength),
        ("context window", FaultClass::ContextLength),
        ("maximum context length", FaultClass::ContextLength),
        ("content filtering policy", FaultClass::ContentPolicy),
        ("blocked by our content filters", FaultClass::ContentPolicy),
        ("invalid_payment_instrument", FaultClass::Billing),
        ("security token included in the request", FaultClass::Authentication),
        ("request signature we calculated", FaultClass::Authentication),
        ("signature expired", FaultClass::Authentication),
        ("missing authentication token", FaultClass::Authentication),
        ("api key", FaultClass::Authentication),
        ("provided model identifier is invalid", FaultClass::NotFound),
        ("model is not ready", FaultClass::Overloaded),
        ("currently overloaded", FaultClass::Overloaded),
    ];
    if status == 429 && !text.contains("not ready") {
        return None;
    }
    let text = text.to_ascii_lowercase();
    let found = TEXTS.iter().find(|(part, _)| text.contains(part)).map(|(_, class)| *class);
    found.or_else(|| too_long(&text).then_some(FaultClass::ContextLength))
}

/// "… input tokens (5) exceeds the maximum of 4": the prompt, and not a picture or a parameter.
fn too_long(text: &str) -> bool {
    text.contains("exceeds the maximum")
        && ["input", "prompt", "context"].iter().any(|word| text.contains(word))
        && !["image", "document", "max_tokens", "maxtokens"].iter().any(|word| text.contains(word))
}

/// What an exception's name says; `ValidationException` is left to the status.
fn by_name(name: &str) -> Option<FaultClass> {
    Some(match name {
        "ThrottlingException" | "TooManyRequestsException" | "ServiceQuotaExceededException" => {
            FaultClass::RateLimited
        }
        "AccessDeniedException" => FaultClass::Permission,
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "IncompleteSignatureException"
        | "MissingAuthenticationTokenException"
        | "ExpiredTokenException" => FaultClass::Authentication,
        "ResourceNotFoundException" | "UnknownOperationException" => FaultClass::NotFound,
        "ModelTimeoutException" => FaultClass::Timeout,
        "ConflictException" => FaultClass::Conflict,
        "ModelNotReadyException" | "ServiceUnavailableException" => FaultClass::Overloaded,
        "ModelErrorException" | "ModelStreamErrorException" | "InternalServerException" => {
            FaultClass::Server
        }
        _ => return None,
    })
}

/// What a status says. 424 is Bedrock's word for a failure of the model itself.
const fn by_status(status: u16) -> FaultClass {
    match status {
        424 => FaultClass::Server,
        _ => FaultClass::of_status(status),
    }
}
