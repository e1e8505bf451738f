//! What the errors of OpenAI-like hosts mean.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::dialect::{AnswerFault, FaultClass, ProviderFault};
use crate::error::ProviderSaid;

use super::wire::{self, Chunk};

/// How much of an error body is looked at, in bytes.
const BODY_MAX: usize = 64 << 10;

/// Whether a chunk or an answer with status 200 is an error instead.
pub(crate) fn check(chunk: &Chunk<'_>, data: &str) -> Result<(), AnswerFault> {
    let is_error = chunk.object.map(RawValue::get) == Some("\"error\"");
    if wire::says_something(chunk.error) || (is_error && chunk.choices.is_none()) {
        return Err(in_band(data));
    }
    if chunk.choices.as_ref().is_some_and(|choices| !choices.is_empty()) {
        return Ok(());
    }
    match chunk.base_resp.and_then(|raw| serde_json::from_str(raw.get()).ok()) {
        Some(BaseResp { status_code, status_msg }) if status_code != 0 => {
            Err(AnswerFault::InBand {
                code: Some(status_code.to_string()),
                message: excerpt(&status_msg),
            })
        }
        _ => Ok(()),
    }
}

/// MiniMax's word on how it went.
#[derive(Default, Deserialize)]
#[serde(default)]
struct BaseResp {
    status_code: i64,
    status_msg: String,
}

/// The fault that some JSON reports.
pub(crate) fn in_band(data: &str) -> AnswerFault {
    let said = Said::read(data.as_bytes());
    AnswerFault::InBand { code: said.code, message: said.message }
}

/// Reads the body of an answer with an error status. The message is bounded and has nothing that
/// looks like a key.
pub fn provider_fault(status: u16, body: &[u8]) -> ProviderFault {
    let said = Said::read(body);
    let class = classify(status, &said);
    let message = if said.message.is_empty() {
        format!("The provider answered with status {status}.")
    } else {
        said.message
    };
    ProviderFault { class, code: said.code, message }
}

/// What an error says, whatever its shape.
#[derive(Debug, Default)]
struct Said {
    code: Option<String>,
    message: String,
    /// All words that tell the class, in lower case.
    words: String,
}

impl Said {
    fn read(body: &[u8]) -> Self {
        let body = &body[..body.len().min(BODY_MAX)];
        let text = String::from_utf8_lossy(body);
        let Ok(mut value) = serde_json::from_str::<Value>(&text) else {
            // A proxy's page of HTML says nothing that a client could use.
            let plain = text.trim();
            let message = if plain.starts_with('<') { "" } else { plain };
            return Self::new(None, None, message);
        };
        if let Value::Array(list) = &mut value {
            value = if list.is_empty() { Value::Null } else { list.swap_remove(0) };
        }
        let error = value.get("error").filter(|e| !e.is_null());
        let inner = error.filter(|e| e.is_object()).unwrap_or(&value);
        let message = error
            .and_then(Value::as_str)
            .or_else(|| message_of(inner))
            .or_else(|| message_of(&value))
            .unwrap_or_default();
        let code = scalar(inner.get("code")).or_else(|| scalar(value.get("code")));
        let code = code.or_else(|| scalar(value.get("statusCode")));
        let kind = scalar(inner.get("type")).or_else(|| scalar(inner.get("status")));
        let mut said = Self::new(code, kind, message);
        // Azure says there which policy was broken.
        if let Some(cause) = scalar(inner.get("innererror").and_then(|cause| cause.get("code"))) {
            said.words.push(' ');
            said.words.push_str(&cause.to_lowercase());
        }
        said
    }

    fn new(code: Option<String>, kind: Option<String>, message: &str) -> Self {
        let words = [code.as_deref(), kind.as_deref(), Some(message)];
        let words = words.into_iter().flatten().collect::<Vec<_>>().join(" ").to_lowercase();
        let numeric = code.as_ref().is_some_and(|c| c.bytes().all(|b| b.is_ascii_digit()));
        let code = if numeric { kind.or(code) } else { code.or(kind) };
        let code = code.map(|c| c.chars().take(128).collect());
        Self { code, message: excerpt(message), words }
    }

    fn has(&self, needles: &[&str]) -> bool {
        needles.iter().any(|needle| self.words.contains(needle))
    }
}

/// `message`, `detail` (a text, or FastAPI's list of `{msg}`) or `msg`, also one level deeper.
fn message_of(value: &Value) -> Option<&str> {
    text_of(value, &["message", "detail", "msg", "error"], |inner| {
        text_of(inner, &["message", "detail", "msg"], |_| None)
    })
}

fn text_of<'v>(
    value: &'v Value,
    names: &[&str],
    deeper: impl Fn(&'v Value) -> Option<&'v str>,
) -> Option<&'v str> {
    names.iter().find_map(|name| match value.get(*name)? {
        Value::String(text) if !text.is_empty() => Some(text.as_str()),
        Value::Array(list) => list.first().and_then(|e| e.get("msg").or(Some(e))?.as_str()),
        inner @ Value::Object(_) => deeper(inner),
        _ => None,
    })
}

fn scalar(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

const CONTEXT: [&str; 10] = [
    "context_length_exceeded",
    "context length",
    "context window",
    "maximum context",
    "prompt is too long",
    "input is too long",
    "prompt too long",
    "reduce the length of the",
    "too many input tokens",
    "exceeds the maximum number of tokens",
];
const POLICY: [&str; 8] = [
    "content_filter",
    "content_policy",
    "content policy",
    "content management policy",
    "responsibleaipolicyviolation",
    "safety system",
    "moderation",
    "flagged as",
];
const BILLING: [&str; 12] = [
    "insufficient_quota",
    "insufficient balance",
    "insufficient_balance",
    "insufficient credit",
    "insufficient funds",
    "billing_hard_limit",
    "billing_not_active",
    "exceeded your current quota",
    "credit balance is too low",
    "spend_limit",
    "spending limit",
    "payment required",
];
const KEY: [&str; 4] =
    ["invalid_api_key", "api_key_invalid", "incorrect api key", "invalid api key"];

/// Sources: the hosts' error pages as gathered 2026-11; status alone is not enough, because hosts
/// report billing as 400, 403 or 429 and a prompt that is too long as 400, 413, 422 or 500.
fn classify(status: u16, said: &Said) -> FaultClass {
    let refused = matches!(status, 400 | 403 | 413 | 422 | 451 | 500);
    match status {
        400..=403 | 429 if said.has(&BILLING) => FaultClass::Billing,
        413 if said.has(&["rate_limit"]) => FaultClass::RateLimited,
        _ if refused && said.has(&CONTEXT) => FaultClass::ContextLength,
        400 | 403 | 422 | 451 if said.has(&POLICY) => FaultClass::ContentPolicy,
        400 | 403 if said.has(&KEY) => FaultClass::Authentication,
        400 | 422 if said.has(&["model_not_found", "model_not_exist", "deploymentnotfound"]) => {
            FaultClass::NotFound
        }
        // Groq: the model wrote a bad call; another try may do better.
        400 if said.has(&["tool_use_failed"]) => FaultClass::Server,
        401 => FaultClass::Authentication,
        402 => FaultClass::Billing,
        403 => FaultClass::Permission,
        404 => FaultClass::NotFound,
        408 | 504 | 524 => FaultClass::Timeout,
        409 | 425 => FaultClass::Conflict,
        // Bedrock behind an OpenAI face: the model failed.
        424 => FaultClass::Server,
        429 => FaultClass::RateLimited,
        // 498: Groq's flex tier has no room.
        498 | 503 | 529 => FaultClass::Overloaded,
        400..=499 => FaultClass::InvalidRequest,
        _ => FaultClass::Server,
    }
}

/// A bounded piece of a provider's text without anything that looks like a key.
pub(crate) fn excerpt(text: &str) -> String {
    const PREFIXES: [&str; 9] =
        ["sk-", "sk_", "gsk_", "xai-", "AIza", "hf_", "r8_", "key-", "pplx-"];
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-_*.".contains(c);
    let mut out = String::with_capacity(text.len().min(ProviderSaid::RAW_MAX));
    let mut rest = text;
    let mut after_bearer = false;
    while !rest.is_empty() && out.len() < ProviderSaid::RAW_MAX {
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        let secret = word.len() >= 8
            && (after_bearer || PREFIXES.iter().any(|prefix| word.starts_with(prefix)));
        out.push_str(if secret { "***" } else { word });
        if !word.is_empty() {
            after_bearer = word.eq_ignore_ascii_case("bearer");
        }
        let gap = tail.find(is_word).unwrap_or(tail.len());
        out.push_str(&tail[..gap]);
        rest = &tail[gap..];
    }
    out.truncate(out.floor_char_boundary(ProviderSaid::RAW_MAX));
    out
}
