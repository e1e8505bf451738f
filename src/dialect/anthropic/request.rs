//! The hub's request → the body of `POST /v1/messages`.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::blocks::{Block, Body, Conversation, Source, conversation};
use super::options::{write_options, write_sampling, write_thinking, write_tier};
use super::thinking::limits;
use crate::dialect::ir::{CacheMark, Message, Request, ResponseFormat, Tool, ToolChoice};
use crate::dialect::json;
use crate::dialect::media::refusal;
use crate::dialect::{Surface, Target};
use crate::error::GatewayError;

/// The most cache marks in one request.
const MARKS_MAX: usize = 4;

/// What stands in for `response_format: json_object`, which Anthropic does not have.
const JSON_OBJECT: &str = "Answer with one valid JSON object and nothing else: no other text and \
                           no code fence.";

/// Writes the request for Anthropic.
///
/// What Anthropic has no word for and does not change what is asked is left out, as OpenRouter
/// does: seed, penalties, `min_p`, `top_a`, logprobs, `detail` of images and unknown fields.
///
/// # Errors
/// The request asks for what Anthropic cannot do: several answers, sound or video in or out, an
/// upload at another provider, a media type that it does not take, or more than 4 cache marks.
pub fn request(request: &Request, target: &Target<'_>) -> Result<Bytes, GatewayError> {
    write(request, target, Place::Anthropic)
}

/// Who serves the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Anthropic: the model is named in the body.
    Anthropic,
    /// Vertex AI: the model is in the path, the version in the body.
    Vertex,
}

/// The version that Vertex AI wants in the body (Google's reference, 2026-11).
const VERTEX_VERSION: &str = "vertex-2023-10-16";

pub(super) fn write(
    request: &Request,
    target: &Target<'_>,
    place: Place,
) -> Result<Bytes, GatewayError> {
    refuse_inexpressible(request)?;
    let mut conversation = conversation(request)?;
    let mark = whole_mark(request, &mut conversation, place)?;
    let limits = limits(request, target);
    let mut out = Vec::with_capacity(1024 + size_hint(&conversation));
    out.push(b'{');
    match place {
        Place::Anthropic => json::text_member(&mut out, "model", target.upstream_model),
        Place::Vertex => json::text_member(&mut out, "anthropic_version", VERTEX_VERSION),
    }
    json::number_member(&mut out, "max_tokens", u64::from(limits.max_tokens));
    write_system(&conversation, &request.response_format, &mut out);
    write_tools(request, &mut out);
    write_turns(&conversation, &mut out);
    write_sampling(&request.sampling, limits.thinks(), &mut out);
    write_options(request, &mut out);
    write_thinking(request, limits, &mut out);
    write_mark(mark, &mut out);
    if place == Place::Anthropic && request.surface == Surface::Messages {
        write_tier(request, &mut out);
    }
    out.push(b'}');
    Ok(Bytes::from(out))
}

fn refuse_inexpressible(request: &Request) -> Result<(), GatewayError> {
    if request.n.is_some_and(|n| n > 1) {
        return Err(refusal("n".into(), "must be 1: this model gives one answer"));
    }
    if request.modalities.iter().any(|kind| kind != "text") {
        return Err(refusal("modalities".into(), "must be [\"text\"]: this model writes text"));
    }
    Ok(())
}

/// Checks the number of marks, and gives back the mark on the whole prompt as far as there is room
/// for it. Vertex AI does not take that one ("Extra inputs are not permitted", 2026-05); there it
/// is put where Anthropic would put it: on the last block that can have one.
fn whole_mark(
    request: &Request,
    conversation: &mut Conversation<'_>,
    place: Place,
) -> Result<Option<CacheMark>, GatewayError> {
    let in_turns = conversation.turns.iter().flat_map(|turn| &turn.blocks);
    let marks = conversation.system.iter().chain(in_turns).filter(|block| block.cache.is_some());
    let marks = marks.count() + request.tools.iter().filter(|tool| tool.cache.is_some()).count();
    if marks > MARKS_MAX {
        return Err(refusal("cache_control".into(), "may be given at most 4 times for this model"));
    }
    let Some(mark) = request.cache.filter(|_| marks < MARKS_MAX) else { return Ok(None) };
    if place == Place::Anthropic {
        return Ok(Some(mark));
    }
    let blocks = conversation.turns.iter_mut().flat_map(|turn| &mut turn.blocks).rev();
    let can = |block: &&mut Block<'_>| {
        !matches!(block.body, Body::Thinking { .. } | Body::RedactedThinking(_))
    };
    if let Some(last) = blocks.into_iter().find(can) {
        last.cache.get_or_insert(mark);
    }
    Ok(None)
}

/// About how long the texts are, so that a large request is not copied while it grows.
fn size_hint(conversation: &Conversation<'_>) -> usize {
    fn size(body: &Body<'_>) -> usize {
        64 + match body {
            Body::Text { text, .. } => text.len() + text.len() / 16,
            Body::Image(source) | Body::Document { source, .. } => match source {
                Source::Base64 { data, .. } => data.len(),
                Source::Url(url) => url.len(),
                Source::Text(text) => text.len(),
            },
            Body::ToolUse { input, .. } => input.len(),
            Body::ToolResult { content, .. } => content.iter().map(size).sum(),
            Body::Thinking { text, signature } => text.len() + signature.len(),
            Body::RedactedThinking(data) => data.len(),
        }
    }
    let in_turns = conversation.turns.iter().flat_map(|turn| &turn.blocks);
    conversation.system.iter().chain(in_turns).map(|block| size(&block.body)).sum()
}

fn write_system(
    conversation: &Conversation<'_>,
    format: &Option<ResponseFormat>,
    out: &mut Vec<u8>,
) {
    let json_object = matches!(format, Some(ResponseFormat::JsonObject));
    match (conversation.system.as_slice(), json_object) {
        ([], false) => {}
        ([Block { body: Body::Text { name: None, text }, cache: None }], false) => {
            json::text_member(out, "system", text);
        }
        ([], true) => json::text_member(out, "system", JSON_OBJECT),
        (blocks, _) => {
            json::key(out, "system");
            out.push(b'[');
            blocks.iter().for_each(|block| write_block(block, out));
            if json_object {
                let body = Body::Text { name: None, text: JSON_OBJECT };
                write_block(&Block { body, cache: None }, out);
            }
            out.push(b']');
        }
    }
}

fn write_turns(conversation: &Conversation<'_>, out: &mut Vec<u8>) {
    json::key(out, "messages");
    out.push(b'[');
    for turn in &conversation.turns {
        json::comma(out);
        out.push(b'{');
        json::text_member(out, "role", if turn.assistant { "assistant" } else { "user" });
        json::key(out, "content");
        match turn.blocks.as_slice() {
            [Block { body: Body::Text { name: None, text }, cache: None }] => {
                json::string(out, text);
            }
            blocks => {
                out.push(b'[');
                blocks.iter().for_each(|block| write_block(block, out));
                out.push(b']');
            }
        }
        out.push(b'}');
    }
    out.push(b']');
}

fn write_block(block: &Block<'_>, out: &mut Vec<u8>) {
    json::comma(out);
    out.push(b'{');
    write_body(&block.body, out);
    write_mark(block.cache, out);
    out.push(b'}');
}

fn write_body(body: &Body<'_>, out: &mut Vec<u8>) {
    match body {
        Body::Text { name, text } => {
            json::text_member(out, "type", "text");
            json::key(out, "text");
            out.push(b'"');
            if let Some(name) = name {
                json::escape(out, name);
                out.extend_from_slice(b": ");
            }
            json::escape(out, text);
            out.push(b'"');
        }
        Body::Image(source) => {
            json::text_member(out, "type", "image");
            write_source(source, out);
        }
        Body::Document { title, source } => {
            json::text_member(out, "type", "document");
            if let Some(title) = title.filter(|title| !title.trim().is_empty()) {
                json::text_member(out, "title", title);
            }
            write_source(source, out);
        }
        Body::ToolUse { id, name, input } => {
            json::text_member(out, "type", "tool_use");
            json::text_member(out, "id", id);
            json::text_member(out, "name", name);
            raw_member(out, "input", input);
        }
        Body::ToolResult { id, content, is_error } => {
            json::text_member(out, "type", "tool_result");
            json::text_member(out, "tool_use_id", id);
            write_result(content, out);
            if *is_error {
                raw_member(out, "is_error", "true");
            }
        }
        Body::Thinking { text, signature } => {
            json::text_member(out, "type", "thinking");
            json::text_member(out, "thinking", text);
            json::text_member(out, "signature", signature);
        }
        Body::RedactedThinking(data) => {
            json::text_member(out, "type", "redacted_thinking");
            json::text_member(out, "data", data);
        }
    }
}

fn write_result(content: &[Body<'_>], out: &mut Vec<u8>) {
    match content {
        [] => {}
        [Body::Text { name: None, text }] => json::text_member(out, "content", text),
        bodies => {
            json::key(out, "content");
            out.push(b'[');
            for body in bodies {
                json::comma(out);
                out.push(b'{');
                write_body(body, out);
                out.push(b'}');
            }
            out.push(b']');
        }
    }
}

fn write_source(source: &Source<'_>, out: &mut Vec<u8>) {
    json::key(out, "source");
    out.push(b'{');
    match source {
        Source::Base64 { media_type, data } => {
            json::text_member(out, "type", "base64");
            json::text_member(out, "media_type", media_type);
            json::text_member(out, "data", data);
        }
        Source::Url(url) => {
            json::text_member(out, "type", "url");
            json::text_member(out, "url", url);
        }
        Source::Text(text) => {
            json::text_member(out, "type", "text");
            json::text_member(out, "media_type", "text/plain");
            json::text_member(out, "data", text);
        }
    }
    out.push(b'}');
}

fn write_mark(mark: Option<CacheMark>, out: &mut Vec<u8>) {
    let mark = match mark {
        None => return,
        Some(CacheMark::Default) => r#"{"type":"ephemeral"}"#,
        Some(CacheMark::FiveMinutes) => r#"{"type":"ephemeral","ttl":"5m"}"#,
        Some(CacheMark::Hour) => r#"{"type":"ephemeral","ttl":"1h"}"#,
    };
    raw_member(out, "cache_control", mark);
}

pub(super) fn raw_member(out: &mut Vec<u8>, name: &'static str, raw: &str) {
    json::key(out, name);
    out.extend_from_slice(raw.as_bytes());
}

/// Writes `tools` and `tool_choice`.
fn write_tools(request: &Request, out: &mut Vec<u8>) {
    if request.tools.is_empty() {
        return write_stand_ins(request, out);
    }
    let allowed = match &request.tool_choice {
        Some(ToolChoice::Allowed { names, .. }) => Some(names),
        _ => None,
    };
    json::key(out, "tools");
    out.push(b'[');
    for tool in &request.tools {
        if allowed.is_none_or(|names| names.contains(&tool.name)) {
            write_tool(tool, out);
        }
    }
    out.push(b']');
    write_choice(request, out);
}

/// Anthropic refuses calls in the history where no tools are given. The called ones are declared
/// again, and none may be called, which is what no tools means.
fn write_stand_ins(request: &Request, out: &mut Vec<u8>) {
    let calls = request.messages.iter().flat_map(|message| match message {
        Message::Assistant(turn) => turn.tool_calls.as_slice(),
        _ => &[],
    });
    let mut names: Vec<&str> = calls.map(|call| call.name.as_str()).collect();
    if names.is_empty() {
        return;
    }
    names.sort_unstable();
    names.dedup();
    json::key(out, "tools");
    out.push(b'[');
    for name in names {
        json::comma(out);
        out.push(b'{');
        json::text_member(out, "name", name);
        raw_member(out, "input_schema", NO_PARAMETERS);
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"tool_choice\":{\"type\":\"none\"}");
}

const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

fn write_tool(tool: &Tool, out: &mut Vec<u8>) {
    json::comma(out);
    out.push(b'{');
    json::text_member(out, "name", &tool.name);
    if let Some(description) = tool.description.as_deref().filter(|text| !text.is_empty()) {
        json::text_member(out, "description", description);
    }
    json::key(out, "input_schema");
    match tool.parameters.as_ref().map(|raw| raw.as_str().trim()) {
        None => out.extend_from_slice(NO_PARAMETERS.as_bytes()),
        Some(schema) if has_type(schema) => out.extend_from_slice(schema.as_bytes()),
        Some(schema) => {
            // The type is demanded, and an object is the only one that a tool can take.
            let members = schema.strip_prefix('{').unwrap_or(schema).trim_start();
            let comma = if members.starts_with('}') { "" } else { "," };
            out.extend_from_slice(b"{\"type\":\"object\"");
            out.extend_from_slice(comma.as_bytes());
            out.extend_from_slice(members.as_bytes());
        }
    }
    if tool.strict == Some(true) {
        raw_member(out, "strict", "true");
    }
    write_mark(tool.cache, out);
    out.push(b'}');
}

fn has_type(schema: &str) -> bool {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "type")]
        kind: Option<IgnoredAny>,
    }
    // What cannot be read here is left as it is, for the provider to judge.
    serde_json::from_str::<Typed>(schema).map_or(true, |typed| typed.kind.is_some())
}

fn write_choice(request: &Request, out: &mut Vec<u8>) {
    let single = request.parallel_tool_calls == Some(false);
    let (kind, name) = match &request.tool_choice {
        None if !single => return,
        None | Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) => {
            ("auto", None)
        }
        Some(ToolChoice::Required | ToolChoice::Allowed { required: true, .. }) => ("any", None),
        Some(ToolChoice::Named(name)) => ("tool", Some(name)),
        Some(ToolChoice::None) => ("none", None),
    };
    json::key(out, "tool_choice");
    out.push(b'{');
    json::text_member(out, "type", kind);
    if let Some(name) = name {
        json::text_member(out, "name", name);
    }
    if single && kind != "none" {
        raw_member(out, "disable_parallel_tool_use", "true");
    }
    out.push(b'}');
}
