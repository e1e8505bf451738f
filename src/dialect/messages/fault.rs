//! Errors as a client of Anthropic's sees them: as a body, or as the last event of a stream.

use std::borrow::Cow;

use crate::dialect::chat::{write_availability, write_blocked, write_rate_limit};
use crate::dialect::json;
use crate::error::{GatewayError, Kind};

/// Anthropic's type for each of our kinds (Anthropic's reference; the types that OpenRouter's
/// Messages surface uses, 2026-11). Statuses that Anthropic has no type for have the one of their
/// class.
const fn type_of(kind: Kind) -> &'static str {
    match kind {
        Kind::InvalidRequest
        | Kind::MethodNotAllowed
        | Kind::UnsupportedMediaType
        | Kind::ContextLength => "invalid_request_error",
        Kind::Unauthenticated => "authentication_error",
        Kind::InsufficientCredits => "billing_error",
        Kind::Forbidden | Kind::ContentPolicy => "permission_error",
        Kind::NotFound | Kind::ModelNotFound | Kind::NoEndpoints => "not_found_error",
        Kind::PayloadTooLarge | Kind::HeaderTooLarge => "request_too_large",
        Kind::RateLimited => "rate_limit_error",
        Kind::RequestTimeout | Kind::ProviderTimeout => "timeout_error",
        Kind::Internal | Kind::ProviderFailed => "api_error",
        Kind::Unavailable => "overloaded_error",
    }
}

/// The body of an error answer: `{"type":"error","error":{…}}`.
pub fn error_body(error: &GatewayError) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + error.message.len());
    write_error(error, &mut out);
    out
}

/// Appends the object.
pub(super) fn write_error(error: &GatewayError, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"error\",\"error\":{");
    json::text_member(out, "type", type_of(error.kind));
    json::text_member(out, "message", &message(error));
    json::text_member(out, "error_type", error.kind.code());
    if let Some(param) = &error.param {
        json::text_member(out, "param", param);
    }
    let told = error.provider.is_some() || error.availability.is_some() || error.limit.is_some();
    if told || error.blocked.is_some() {
        json::key(out, "metadata");
        out.push(b'{');
        metadata(error, out);
        out.push(b'}');
    }
    out.extend_from_slice(b"}}");
}

fn metadata(error: &GatewayError, out: &mut Vec<u8>) {
    if let Some(said) = &error.provider {
        json::text_member(out, "provider_name", &said.provider);
        json::text_member(out, "raw", &said.raw);
        if let Some(code) = &said.code {
            json::text_member(out, "provider_code", code);
        }
    }
    if let Some(why) = &error.availability {
        write_availability(out, why);
    }
    if let Some(limit) = &error.limit {
        write_rate_limit(out, limit);
    }
    if let Some(blocked) = &error.blocked {
        write_blocked(out, blocked);
    }
}

/// Clients (Claude Code, 2026-11) tell by Anthropic's own words that a conversation must be made
/// shorter, and go on by themselves when they see them.
fn message(error: &GatewayError) -> Cow<'_, str> {
    const WORDS: [&str; 2] = ["prompt is too long", "exceed context limit"];
    let lower = error.message.to_ascii_lowercase();
    let said = WORDS.iter().any(|words| lower.contains(words));
    if error.kind == Kind::ContextLength && !said {
        Cow::Owned(format!("prompt is too long: {}", error.message))
    } else {
        Cow::Borrowed(&error.message)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::error::ProviderSaid;

    fn body(error: &GatewayError) -> Value {
        serde_json::from_slice(&error_body(error)).unwrap()
    }

    #[test]
    fn every_kind_has_a_type_that_fits_its_status() {
        for kind in Kind::ALL {
            let got = body(&GatewayError::new(kind, "Say \"why\"."));
            let expected = match kind.status() {
                400 | 405 | 415 => "invalid_request_error",
                401 => "authentication_error",
                402 => "billing_error",
                403 => "permission_error",
                404 => "not_found_error",
                408 | 504 => "timeout_error",
                413 | 431 => "request_too_large",
                429 => "rate_limit_error",
                503 => "overloaded_error",
                _ => "api_error",
            };
            assert_eq!(got["type"], "error");
            assert_eq!(got["error"]["type"], expected, "{kind:?}");
            assert_eq!(got["error"]["error_type"], kind.code());
            assert!(got["error"]["message"].as_str().unwrap().ends_with("Say \"why\"."));
        }
    }

    #[test]
    fn what_is_known_is_told() {
        let said = ProviderSaid {
            provider: "Host".into(),
            status: 429,
            code: Some("slow_down".into()),
            raw: "{\"a\":1}".into(),
        };
        let error = GatewayError::new(Kind::RateLimited, "Later.").with_provider(said);
        let expected = json!({"type": "error", "error": {
            "type": "rate_limit_error", "message": "Later.", "error_type": "rate_limit_exceeded",
            "metadata": {"provider_name": "Host", "raw": "{\"a\":1}", "provider_code": "slow_down"},
        }});
        assert_eq!(body(&error), expected);
        let error = GatewayError::new(Kind::InvalidRequest, "No.").with_param("messages[0].role");
        assert_eq!(body(&error)["error"]["param"], "messages[0].role");
    }

    #[test]
    fn a_prompt_that_is_too_long_is_told_in_the_words_that_clients_look_for() {
        let message = |text: &str| {
            let error = GatewayError::new(Kind::ContextLength, text);
            body(&error)["error"]["message"].as_str().unwrap().to_owned()
        };
        assert_eq!(message("9 > 8 tokens"), "prompt is too long: 9 > 8 tokens");
        assert_eq!(message("Prompt is too long: 9 > 8"), "Prompt is too long: 9 > 8");
        let both = "input length and `max_tokens` exceed context limit: 9 + 1 > 8";
        assert_eq!(message(both), both);
    }
}
