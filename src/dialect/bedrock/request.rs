//! The hub's request → the body of `Converse` and `ConverseStream`.

use bytes::Bytes;

use super::blocks::{Block, Body, Conversation, conversation};
use super::fields;
use super::files::File;
use super::model::Family;
use super::tools;
use crate::dialect::Target;
use crate::dialect::ir::{CacheMark, Request, ResponseFormat, ToolChoice};
use crate::dialect::json;
use crate::dialect::media::refusal;
use crate::error::GatewayError;

/// The most cache marks in one request.
const MARKS_MAX: usize = 4;

/// What stands in for `response_format: json_object`, which Converse does not have.
const JSON_OBJECT: &str = "Answer with one valid JSON object and nothing else: no other text and \
                           no code fence.";

/// What stands in for a schema where a model takes none.
const FITS_SCHEMA: &str = "Answer with one valid JSON value and nothing else: no other text and \
                           no code fence. It must fit this JSON schema:";

/// How the form of the answer is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Not at all.
    Free,
    /// Some JSON, in the system's words.
    Object,
    /// A schema, by `outputConfig.textFormat`.
    Schema,
    /// A schema, as the arguments of a tool that must be called.
    Tool,
    /// A schema, in the system's words.
    Told,
}

impl Form {
    fn of(request: &Request, family: Family) -> Self {
        match &request.response_format {
            None | Some(ResponseFormat::Text) => Self::Free,
            Some(ResponseFormat::JsonObject) => Self::Object,
            Some(ResponseFormat::JsonSchema { .. }) if family.has_schemas() => Self::Schema,
            Some(ResponseFormat::JsonSchema { .. }) if family == Family::Plain => Self::Told,
            // The call that must be made is the answer already.
            Some(ResponseFormat::JsonSchema { .. })
                if matches!(request.tool_choice, Some(ToolChoice::Named(_))) =>
            {
                Self::Free
            }
            Some(ResponseFormat::JsonSchema { .. }) => Self::Tool,
        }
    }
}

/// Writes the request for Bedrock.
///
/// # Errors
/// The request asks for what Converse cannot do: several answers, output that is no text, files that
/// are not in the request, a media type that it does not take, more than 4 cache marks, or tools
/// with names of more than 64 characters.
pub fn request(request: &Request, target: &Target<'_>) -> Result<Bytes, GatewayError> {
    refuse_inexpressible(request)?;
    tools::check_names(request)?;
    let family = Family::of(target.upstream_model);
    let conversation = conversation(request, family)?;
    check_marks(request, &conversation, family)?;
    let form = Form::of(request, family);
    let mut out = Vec::with_capacity(1024 + size_hint(&conversation));
    out.push(b'{');
    write_system(request, &conversation, form, family, &mut out);
    write_turns(&conversation, family, &mut out);
    tools::write(request, family, form, &mut out);
    fields::write(request, target, family, form, &mut out);
    write_schema(request, form, &mut out);
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

fn check_marks(
    request: &Request,
    conversation: &Conversation<'_>,
    family: Family,
) -> Result<(), GatewayError> {
    let in_turns = conversation.turns.iter().flat_map(|turn| &turn.blocks);
    let marks = conversation.system.iter().chain(in_turns).filter(|block| block.cache.is_some());
    let on_tools = request.tools.iter().filter(|tool| tool.cache.is_some()).count();
    let marks = marks.count() + if family.is_claude() { on_tools } else { 0 };
    if marks > MARKS_MAX && family.takes_marks() {
        return Err(refusal("cache_control".into(), "may be given at most 4 times for this model"));
    }
    Ok(())
}

/// About how long the texts are, so that a large request is not copied while it grows.
fn size_hint(conversation: &Conversation<'_>) -> usize {
    fn size(body: &Body<'_>) -> usize {
        64 + match body {
            Body::Text { text, .. } => text.len() + text.len() / 16,
            Body::File(file) => file.data.len(),
            Body::ToolUse { input, .. } => input.len(),
            Body::ToolResult { content, .. } => content.iter().map(size).sum(),
            Body::Reasoning { text, signature } => text.len() + signature.len(),
            Body::RedactedReasoning(data) => data.len(),
        }
    }
    let in_turns = conversation.turns.iter().flat_map(|turn| &turn.blocks);
    conversation.system.iter().chain(in_turns).map(|block| size(&block.body)).sum()
}

fn write_system(
    request: &Request,
    conversation: &Conversation<'_>,
    form: Form,
    family: Family,
    out: &mut Vec<u8>,
) {
    let (_, must_not_call) = tools::declared(request);
    let mut added = Vec::new();
    if must_not_call && form != Form::Tool {
        added.push(tools::NO_CALLS.to_owned());
    }
    match (form, &request.response_format) {
        (Form::Object, _) => added.push(JSON_OBJECT.to_owned()),
        (Form::Told, Some(ResponseFormat::JsonSchema { schema, .. })) => {
            added.push(format!("{FITS_SCHEMA}\n{}", schema.as_str()));
        }
        _ => {}
    }
    if conversation.system.is_empty() && added.is_empty() {
        return;
    }
    json::key(out, "system");
    out.push(b'[');
    conversation.system.iter().for_each(|block| write_block(block, family, out));
    for text in &added {
        json::comma(out);
        out.push(b'{');
        json::text_member(out, "text", text);
        out.push(b'}');
    }
    out.push(b']');
}

fn write_turns(conversation: &Conversation<'_>, family: Family, out: &mut Vec<u8>) {
    json::key(out, "messages");
    out.push(b'[');
    for turn in &conversation.turns {
        json::comma(out);
        out.push(b'{');
        json::text_member(out, "role", if turn.assistant { "assistant" } else { "user" });
        json::key(out, "content");
        out.push(b'[');
        turn.blocks.iter().for_each(|block| write_block(block, family, out));
        out.extend_from_slice(b"]}");
    }
    out.push(b']');
}

fn write_block(block: &Block<'_>, family: Family, out: &mut Vec<u8>) {
    json::comma(out);
    out.push(b'{');
    write_body(&block.body, family, out);
    out.push(b'}');
    write_mark(block.cache, family, out);
}

/// A mark is a block of its own, behind what is to be cached. Only Claude has a lifetime of an hour;
/// five minutes are what all have.
pub(super) fn write_mark(mark: Option<CacheMark>, family: Family, out: &mut Vec<u8>) {
    if !family.takes_marks() {
        return;
    }
    let point: &[u8] = match mark {
        None => return,
        Some(CacheMark::Hour) if family.is_claude() => {
            br#"{"cachePoint":{"type":"default","ttl":"1h"}}"#
        }
        Some(CacheMark::Default | CacheMark::FiveMinutes | CacheMark::Hour) => {
            br#"{"cachePoint":{"type":"default"}}"#
        }
    };
    json::comma(out);
    out.extend_from_slice(point);
}

fn write_body(body: &Body<'_>, family: Family, out: &mut Vec<u8>) {
    match body {
        Body::Text { name, text } => {
            json::key(out, "text");
            out.push(b'"');
            if let Some(name) = name {
                json::escape(out, name);
                out.extend_from_slice(b": ");
            }
            json::escape(out, text);
            out.push(b'"');
        }
        Body::File(file) => write_file(file, out),
        Body::ToolUse { id, name, input } => {
            out.extend_from_slice(b"\"toolUse\":{");
            json::text_member(out, "toolUseId", id);
            json::text_member(out, "name", name);
            json::key(out, "input");
            out.extend_from_slice(input.as_bytes());
            out.push(b'}');
        }
        Body::ToolResult { id, content, is_error } => {
            out.extend_from_slice(b"\"toolResult\":{");
            json::text_member(out, "toolUseId", id);
            json::key(out, "content");
            out.push(b'[');
            for body in content {
                json::comma(out);
                out.push(b'{');
                write_body(body, family, out);
                out.push(b'}');
            }
            out.push(b']');
            if *is_error && family.takes_marks() {
                // Like cache points, a status is taken by Claude and Nova only.
                json::text_member(out, "status", "error");
            }
            out.push(b'}');
        }
        Body::Reasoning { text, signature } => {
            out.extend_from_slice(b"\"reasoningContent\":{\"reasoningText\":{");
            json::text_member(out, "text", text);
            json::text_member(out, "signature", signature);
            out.extend_from_slice(b"}}");
        }
        Body::RedactedReasoning(data) => {
            out.extend_from_slice(b"\"reasoningContent\":{");
            json::text_member(out, "redactedContent", data);
            out.push(b'}');
        }
    }
}

fn write_file(file: &File<'_>, out: &mut Vec<u8>) {
    json::key(out, file.kind);
    out.push(b'{');
    json::text_member(out, "format", file.format);
    if let Some(name) = &file.name {
        json::text_member(out, "name", name);
    }
    out.extend_from_slice(b",\"source\":{\"bytes\":\"");
    // The data was checked: it needs no escaping, only its padding.
    out.extend_from_slice(file.data.as_bytes());
    let padding = file.data.len().next_multiple_of(4) - file.data.len();
    out.extend_from_slice(&b"=="[..padding.min(2)]);
    out.extend_from_slice(b"\"}}");
}

fn write_schema(request: &Request, form: Form, out: &mut Vec<u8>) {
    let Some(ResponseFormat::JsonSchema { name, description, schema, .. }) =
        request.response_format.as_ref().filter(|_| form == Form::Schema)
    else {
        return;
    };
    json::key(out, "outputConfig");
    out.extend_from_slice(
        b"{\"textFormat\":{\"type\":\"json_schema\",\"structure\":{\"jsonSchema\":{",
    );
    // A string that holds JSON.
    json::text_member(out, "schema", schema.as_str());
    json::text_member(out, "name", name);
    if let Some(description) = description.as_deref().filter(|text| !text.is_empty()) {
        json::text_member(out, "description", description);
    }
    out.extend_from_slice(b"}}}}");
}
