//! What an answer repeats of its request.

use super::request::REPEATED;
use crate::dialect::ir::{RawJson, Request};
use crate::dialect::json;

/// The members of the request that the answer repeats, without braces. Those that clients take for
/// granted are there always, with the defaults of OpenAI (2026-11).
pub fn echo(request: &Request) -> String {
    let mut out = b"\"store\":false,\"background\":false,\"previous_response_id\":null".to_vec();
    for (name, default) in REPEATED.into_iter().zip(DEFAULTS) {
        raw(&mut out, name, rest(request, name).unwrap_or(default));
    }
    let calls = if request.parallel_tool_calls == Some(false) { "false" } else { "true" };
    raw(&mut out, "parallel_tool_calls", calls);
    let sampling = &request.sampling;
    for (name, value) in [
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
    ] {
        json::key(&mut out, name);
        match value {
            Some(value) => json::display(&mut out, value),
            None => out.extend_from_slice(b"null"),
        }
    }
    if let Some(top_k) = sampling.top_k {
        json::number_member(&mut out, "top_k", u64::from(top_k));
    }
    for (name, value) in [
        ("max_output_tokens", request.max_tokens),
        ("top_logprobs", Some(request.logprobs.unwrap_or(0))),
    ] {
        match value {
            Some(value) => json::number_member(&mut out, name, u64::from(value)),
            None => raw(&mut out, name, "null"),
        }
    }
    raw(&mut out, "max_tool_calls", rest(request, "max_tool_calls").unwrap_or("null"));
    raw(&mut out, "truncation", rest(request, "truncation").unwrap_or("\"disabled\""));
    raw(&mut out, "metadata", request.metadata.as_ref().map_or("{}", RawJson::as_str));
    for (name, value) in [
        ("service_tier", Some(request.service_tier.as_deref().unwrap_or("auto"))),
        ("prompt_cache_key", request.prompt_cache_key.as_deref()),
        ("user", request.user.as_deref()),
    ] {
        json::key(&mut out, name);
        json::string_or_null(&mut out, value);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What stands for members that the client left out, in the order of [`REPEATED`].
const DEFAULTS: [&str; 5] = [
    "null",
    "[]",
    "\"auto\"",
    r#"{"format":{"type":"text"}}"#,
    r#"{"effort":null,"summary":null}"#,
];

/// A member as the client wrote it.
pub(super) fn rest<'r>(request: &'r Request, name: &str) -> Option<&'r str> {
    request.rest.iter().find(|(known, _)| known == name).map(|(_, raw)| raw.as_str())
}

/// Appends `"name":` and JSON as it is, without line breaks: it goes into lines of a stream.
pub(super) fn raw(out: &mut Vec<u8>, name: &'static str, json: &str) {
    json::key(out, name);
    if json.contains(['\n', '\r']) {
        // A string cannot hold one unescaped, so that only space between values is changed.
        out.extend(json.bytes().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { b }));
    } else {
        out.extend_from_slice(json.as_bytes());
    }
}
