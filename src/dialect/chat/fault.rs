//! Errors as a client of chat completions sees them: as a body, or as the last chunk of a stream.

use super::answer;
use crate::dialect::json;
use crate::dialect::sink::AnswerShape;
use crate::error::{Availability, Blocked, GatewayError, RateLimit};

/// The body of an error answer: `{"error":{…}}`.
pub fn error_body(error: &GatewayError) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + error.message.len());
    out.extend_from_slice(b"{\"error\":");
    error_object(&mut out, error);
    out.push(b'}');
    out
}

/// Appends the chunk that ends a stream whose beginning is already with the client, and the line
/// after it that ends every stream.
pub fn error_chunk(shape: &AnswerShape, error: &GatewayError, wire: &mut Vec<u8>) {
    wire.extend_from_slice(b"data: ");
    answer::open(shape, "chat.completion.chunk", wire);
    error_tail(error, wire);
}

/// What stands in that chunk after the members that every chunk has, and the last line.
pub(super) fn error_tail(error: &GatewayError, wire: &mut Vec<u8>) {
    json::key(wire, "error");
    error_object(wire, error);
    wire.extend_from_slice(
        b",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\",\"logprobs\":null}]}\n\n",
    );
    answer::done(wire);
}

fn error_object(out: &mut Vec<u8>, error: &GatewayError) {
    out.push(b'{');
    json::number_member(out, "code", u64::from(error.kind.status()));
    json::text_member(out, "message", &error.message);
    json::text_member(out, "type", error.kind.code());
    json::key(out, "param");
    json::string_or_null(out, error.param.as_deref());
    json::key(out, "metadata");
    out.push(b'{');
    json::text_member(out, "error_type", error.kind.code());
    if let Some(said) = &error.provider {
        json::text_member(out, "provider_name", &said.provider);
        json::text_member(out, "raw", &said.raw);
        if let Some(code) = &said.code {
            json::text_member(out, "provider_code", code);
        }
    }
    if let Some(why) = &error.availability {
        availability(out, why);
    }
    if let Some(limit) = &error.limit {
        rate_limit(out, limit);
    }
    if let Some(blocked) = &error.blocked {
        write_blocked(out, blocked);
    }
    out.extend_from_slice(b"}}");
}

/// Appends the members `plugin`, `plugin_code` and `reasons` (OpenRouter's name in its errors of
/// moderation, read 2026-08).
pub(crate) fn write_blocked(out: &mut Vec<u8>, blocked: &Blocked) {
    json::text_member(out, "plugin", blocked.plugin);
    json::text_member(out, "plugin_code", &blocked.code);
    texts(out, "reasons", blocked.reasons.iter().map(String::as_str));
}

/// Appends the member `headers`: the caller's limit, as in the answer's header.
pub(crate) fn rate_limit(out: &mut Vec<u8>, limit: &RateLimit) {
    json::key(out, "headers");
    out.push(b'{');
    let mut number = itoa::Buffer::new();
    json::text_member(out, "X-RateLimit-Limit", number.format(limit.limit));
    json::text_member(out, "X-RateLimit-Remaining", number.format(limit.remaining));
    json::text_member(out, "X-RateLimit-Reset", number.format(limit.reset_ms));
    out.push(b'}');
}

/// Appends the member `availability`: why nothing could serve the request.
pub(crate) fn availability(out: &mut Vec<u8>, why: &Availability) {
    json::key(out, "availability");
    out.push(b'{');
    json::text_member(out, "code", why.code);
    texts(out, "requested_models", why.models.iter().map(String::as_str));
    texts(out, "excluded_by", why.excluded_by.iter().copied());
    texts(out, "affected_providers", why.providers.iter().map(String::as_str));
    if let Some(field) = why.field {
        json::text_member(out, "field", field);
    }
    out.push(b'}');
}

fn texts<'a>(out: &mut Vec<u8>, name: &'static str, list: impl Iterator<Item = &'a str>) {
    json::key(out, name);
    out.push(b'[');
    for (i, text) in list.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        json::string(out, text);
    }
    out.push(b']');
}
