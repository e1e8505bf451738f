//! The objects of an answer in JSON: output items, the usage, the error.

use super::items::FORMAT;
use crate::dialect::Bill;
use crate::dialect::ir::{Citation, TokenLogprob};
use crate::dialect::json;
use crate::error::{GatewayError, Kind};
use crate::vocab::Usage;

/// An item of `output`.
pub(super) struct Item {
    pub(super) id: String,
    /// Says `in_progress` as long as the item is open.
    pub(super) status: &'static str,
    pub(super) body: Body,
}

/// What an item is.
pub(super) enum Body {
    Message(Vec<Part>),
    Reasoning {
        thoughts: Vec<Thought>,
        signature: Option<String>,
        encrypted: Option<String>,
        format: &'static str,
    },
    /// `arguments` of a custom tool's call are its input, once the call is complete.
    Call {
        call_id: String,
        name: String,
        arguments: String,
        custom: bool,
    },
    /// A picture; empty until it is there.
    Image(String),
}

/// A part of a message.
pub(super) struct Part {
    pub(super) refusal: bool,
    pub(super) text: String,
    /// How many characters of the answer's text came before.
    pub(super) base: u64,
    pub(super) citations: Vec<Citation>,
    pub(super) tokens: Vec<TokenLogprob>,
}

/// A part of a reasoning item.
pub(super) struct Thought {
    /// A summary, or else the reasoning itself.
    pub(super) summary: bool,
    /// Its place among those of its kind.
    pub(super) index: u64,
    pub(super) text: String,
}

/// Appends an item.
pub(super) fn item(out: &mut Vec<u8>, item: &Item) {
    out.push(b'{');
    json::text_member(out, "id", &item.id);
    match &item.body {
        Body::Message(parts) => {
            json::text_member(out, "type", "message");
            json::text_member(out, "status", item.status);
            json::text_member(out, "role", "assistant");
            list(out, "content", parts.iter(), part);
        }
        Body::Reasoning { thoughts, signature, encrypted, format } => {
            json::text_member(out, "type", "reasoning");
            list(out, "summary", thoughts.iter().filter(|t| t.summary), thought);
            if thoughts.iter().any(|thought| !thought.summary) {
                list(out, "content", thoughts.iter().filter(|t| !t.summary), thought);
            }
            if let Some(data) = encrypted {
                json::text_member(out, "encrypted_content", data);
            }
            if let Some(signature) = signature {
                json::text_member(out, "signature", signature);
            }
            // OpenAI itself would refuse an item with members that it does not know.
            if *format != FORMAT {
                json::text_member(out, "format", format);
            }
        }
        Body::Call { call_id, name, arguments, custom } => {
            let kind = if *custom { "custom_tool_call" } else { "function_call" };
            json::text_member(out, "type", kind);
            json::text_member(out, "status", item.status);
            json::text_member(out, "call_id", call_id);
            json::text_member(out, "name", name);
            json::text_member(out, if *custom { "input" } else { "arguments" }, arguments);
        }
        Body::Image(url) => {
            json::text_member(out, "type", "image_generation_call");
            json::text_member(out, "status", item.status);
            json::key(out, "result");
            // OpenAI has the bare base64 here.
            let result = url.split_once(";base64,").map_or(url.as_str(), |(_, data)| data);
            json::string_or_null(out, Some(result).filter(|result| !result.is_empty()));
        }
    }
    out.push(b'}');
}

/// Appends `"name":[…]`.
pub(super) fn list<T>(
    out: &mut Vec<u8>,
    name: &'static str,
    items: impl Iterator<Item = T>,
    write: impl Fn(&mut Vec<u8>, T),
) {
    json::key(out, name);
    out.push(b'[');
    for item in items {
        json::comma(out);
        write(out, item);
    }
    out.push(b']');
}

/// Appends a part of a message.
pub(super) fn part(out: &mut Vec<u8>, part: &Part) {
    out.push(b'{');
    if part.refusal {
        json::text_member(out, "type", "refusal");
        json::text_member(out, "refusal", &part.text);
    } else {
        json::text_member(out, "type", "output_text");
        json::text_member(out, "text", &part.text);
        list(out, "annotations", part.citations.iter(), |out, c| annotation(out, c, part.base));
        logprobs(out, &part.tokens);
    }
    out.push(b'}');
}

/// Appends `,"logprobs":[…]`.
pub(super) fn logprobs(out: &mut Vec<u8>, tokens: &[TokenLogprob]) {
    json::key(out, "logprobs");
    out.push(b'[');
    crate::dialect::logprobs::write(out, tokens);
    out.push(b']');
}

/// Appends a source. The hub counts from the beginning of the answer's text, a client from that
/// of the part.
pub(super) fn annotation(out: &mut Vec<u8>, citation: &Citation, base: u64) {
    out.extend_from_slice(b"{\"type\":\"url_citation\"");
    json::number_member(out, "start_index", citation.start.saturating_sub(base));
    json::number_member(out, "end_index", citation.end.saturating_sub(base));
    json::text_member(out, "url", &citation.url);
    json::text_member(out, "title", &citation.title);
    if let Some(content) = &citation.content {
        json::text_member(out, "content", content);
    }
    out.push(b'}');
}

/// Appends a part of a reasoning item.
pub(super) fn thought(out: &mut Vec<u8>, thought: &Thought) {
    out.push(b'{');
    json::text_member(out, "type", if thought.summary { "summary_text" } else { "reasoning_text" });
    json::text_member(out, "text", &thought.text);
    out.push(b'}');
}

/// Appends `"usage":{…}`, with OpenRouter's `cost`, or `null`.
pub(super) fn usage(out: &mut Vec<u8>, usage: Option<&Usage>, cost: Option<Bill>) {
    json::key(out, "usage");
    if usage.is_none() && cost.is_none() {
        return out.extend_from_slice(b"null");
    }
    let usage = usage.copied().unwrap_or_default();
    out.push(b'{');
    json::number_member(out, "input_tokens", usage.prompt);
    json::key(out, "input_tokens_details");
    out.push(b'{');
    json::number_member(out, "cached_tokens", usage.cache_read);
    let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
    json::number_member(out, "cache_write_tokens", written);
    out.push(b'}');
    json::number_member(out, "output_tokens", usage.completion);
    json::key(out, "output_tokens_details");
    out.push(b'{');
    json::number_member(out, "reasoning_tokens", usage.reasoning);
    out.push(b'}');
    json::number_member(out, "total_tokens", usage.total());
    if usage.searches > 0 {
        json::key(out, "server_tool_use_details");
        out.push(b'{');
        json::number_member(out, "web_search_requests", usage.searches);
        out.push(b'}');
    }
    if let Some(cost) = cost {
        json::key(out, "cost");
        cost.put(out);
    }
    out.push(b'}');
}

/// Why an answer failed: what stands in `error`, and OpenRouter's stable code beside it.
#[derive(Clone, Copy)]
pub(super) struct Failure<'e> {
    pub(super) code: &'static str,
    pub(super) message: &'e str,
    pub(super) error_type: &'static str,
}

impl<'e> Failure<'e> {
    /// The few codes of OpenAI's that OpenRouter maps to (2026-08). A prompt that a policy refuses
    /// is `invalid_prompt` at OpenAI too.
    pub(super) fn of(error: &'e GatewayError) -> Self {
        let code = match error.kind {
            Kind::RateLimited => "rate_limit_exceeded",
            Kind::InvalidRequest | Kind::ContextLength | Kind::ContentPolicy => "invalid_prompt",
            Kind::Unauthenticated
            | Kind::InsufficientCredits
            | Kind::Forbidden
            | Kind::NotFound
            | Kind::ModelNotFound
            | Kind::NoEndpoints
            | Kind::MethodNotAllowed
            | Kind::RequestTimeout
            | Kind::PayloadTooLarge
            | Kind::HeaderTooLarge
            | Kind::UnsupportedMediaType
            | Kind::Internal
            | Kind::ProviderFailed
            | Kind::Unavailable
            | Kind::ProviderTimeout => "server_error",
        };
        Self { code, message: &error.message, error_type: error.kind.code() }
    }
}
