//! The hub's messages → the items of a Responses request.
//!
//! Instructions go into `input` where they stand, not into `instructions`: OpenAI looks for the
//! word JSON, which its JSON mode demands, in `input` only, and some hosts know no `instructions`
//! (2026-11).

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::items::FORMAT;
use super::tools::input_of_arguments;
use crate::dialect::ir::{
    Assistant, FileSource, Message, Part, PartBody, ReasoningBlock, ReasoningBody, Request,
};
use crate::dialect::json;
use crate::dialect::media::{data_url, refusal};
use crate::error::GatewayError;

/// Writes `input`. Calls of the custom tools go out as such.
pub(super) fn write_input(
    request: &Request,
    customs: &[(String, &RawValue)],
    out: &mut Vec<u8>,
) -> Result<(), GatewayError> {
    let customs = customs.iter().map(|(name, _)| name.as_str()).collect();
    let mut writer = Writer { customs, custom_calls: HashSet::new() };
    json::key(out, "input");
    out.push(b'[');
    for (i, message) in request.messages.iter().enumerate() {
        match message {
            Message::System { parts, name } => said("system", name.as_deref(), parts, i, out)?,
            Message::User { parts, name } => said("user", name.as_deref(), parts, i, out)?,
            Message::Assistant(turn) => writer.turn(turn, i, out)?,
            Message::Tool { call_id, parts, .. } => writer.result(call_id, parts, i, out)?,
        }
    }
    out.push(b']');
    Ok(())
}

struct Writer<'r> {
    /// The names of custom tools.
    customs: HashSet<&'r str>,
    /// Ids of calls of custom tools that have no result yet.
    custom_calls: HashSet<&'r str>,
}

fn said(
    role: &str,
    name: Option<&str>,
    parts: &[Part],
    message: usize,
    out: &mut Vec<u8>,
) -> Result<(), GatewayError> {
    if parts.is_empty() {
        return Ok(());
    }
    json::comma(out);
    out.push(b'{');
    json::text_member(out, "type", "message");
    json::text_member(out, "role", role);
    json::key(out, "content");
    out.push(b'[');
    // The speaker's name goes before the first text, as OpenRouter does it for dialects without.
    let mut name = name.filter(|name| !name.is_empty());
    for (j, part) in parts.iter().enumerate() {
        let at = |field: &str| format!("messages[{message}].content[{j}].{field}");
        write_part(&part.body, &mut name, &at, out)?;
    }
    out.extend_from_slice(b"]}");
    Ok(())
}

impl<'r> Writer<'r> {
    fn turn(
        &mut self,
        turn: &'r Assistant,
        message: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), GatewayError> {
        let silent = turn.parts.is_empty() && turn.tool_calls.is_empty();
        if !silent {
            // OpenAI refuses reasoning that led to nothing.
            write_reasoning(&turn.reasoning, out);
        }
        if !turn.parts.is_empty() {
            json::comma(out);
            out.extend_from_slice(b"{\"type\":\"message\",\"role\":\"assistant\",\"content\":[");
            let mut name = turn.name.as_deref().filter(|name| !name.is_empty());
            for (j, part) in turn.parts.iter().enumerate() {
                let at = |field: &str| format!("messages[{message}].content[{j}].{field}");
                write_output(&part.body, &mut name, &at, out)?;
            }
            out.extend_from_slice(b"]}");
        }
        for call in &turn.tool_calls {
            let custom = self.customs.contains(call.name.as_str());
            json::comma(out);
            out.push(b'{');
            let kind = if custom { "custom_tool_call" } else { "function_call" };
            json::text_member(out, "type", kind);
            json::text_member(out, "call_id", &call.id);
            json::text_member(out, "name", &call.name);
            if custom {
                self.custom_calls.insert(&call.id);
                json::text_member(out, "input", &input_of_arguments(&call.arguments));
            } else {
                // A call without arguments; OpenAI wants JSON.
                let arguments = Some(call.arguments.as_str()).filter(|a| !a.trim().is_empty());
                json::text_member(out, "arguments", arguments.unwrap_or("{}"));
            }
            out.push(b'}');
        }
        Ok(())
    }

    fn result(
        &mut self,
        call_id: &str,
        parts: &[Part],
        message: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), GatewayError> {
        let custom = self.custom_calls.remove(call_id);
        let kind = if custom { "custom_tool_call_output" } else { "function_call_output" };
        json::comma(out);
        out.push(b'{');
        json::text_member(out, "type", kind);
        json::text_member(out, "call_id", call_id);
        match parts {
            [] => json::text_member(out, "output", ""),
            [Part { body: PartBody::Text(text), .. }] => json::text_member(out, "output", text),
            parts => {
                json::key(out, "output");
                out.push(b'[');
                for (j, part) in parts.iter().enumerate() {
                    let at = |field: &str| format!("messages[{message}].content[{j}].{field}");
                    write_part(&part.body, &mut None, &at, out)?;
                }
                out.push(b']');
            }
        }
        out.push(b'}');
        Ok(())
    }
}

/// A text of somebody who is named, with the name in front once.
fn text_member(out: &mut Vec<u8>, name: &mut Option<&str>, text: &str) {
    json::key(out, "text");
    out.push(b'"');
    if let Some(name) = name.take() {
        json::escape(out, name);
        out.extend_from_slice(b": ");
    }
    json::escape(out, text);
    out.push(b'"');
}

/// A part of what is said to the model.
fn write_part(
    body: &PartBody,
    name: &mut Option<&str>,
    at: &impl Fn(&str) -> String,
    out: &mut Vec<u8>,
) -> Result<(), GatewayError> {
    json::comma(out);
    out.push(b'{');
    match body {
        PartBody::Text(text) | PartBody::Refusal(text) => {
            json::text_member(out, "type", "input_text");
            text_member(out, name, text);
        }
        PartBody::Image { url, detail } => {
            json::text_member(out, "type", "input_image");
            json::text_member(out, "image_url", url);
            json::text_member(out, "detail", detail.as_deref().unwrap_or("auto"));
        }
        PartBody::File { name, source } => write_file(name.as_deref(), source, out),
        PartBody::Audio { data, format } if matches!(format.as_str(), "wav" | "mp3") => {
            json::text_member(out, "type", "input_audio");
            json::key(out, "input_audio");
            out.push(b'{');
            json::text_member(out, "data", data);
            json::text_member(out, "format", format);
            out.push(b'}');
        }
        PartBody::Audio { .. } => {
            return Err(refusal(at("input_audio.format"), "must be \"wav\" or \"mp3\""));
        }
        PartBody::Video(_) => {
            let what = "must not be a video: this model takes images, sound and documents";
            return Err(refusal(at("type"), what));
        }
    }
    out.push(b'}');
    Ok(())
}

/// A part of what the model said.
fn write_output(
    body: &PartBody,
    name: &mut Option<&str>,
    at: &impl Fn(&str) -> String,
    out: &mut Vec<u8>,
) -> Result<(), GatewayError> {
    json::comma(out);
    out.push(b'{');
    match body {
        PartBody::Text(text) => {
            json::text_member(out, "type", "output_text");
            text_member(out, name, text);
        }
        PartBody::Refusal(text) => {
            json::text_member(out, "type", "refusal");
            json::text_member(out, "refusal", text);
        }
        PartBody::Image { .. }
        | PartBody::Audio { .. }
        | PartBody::Video(_)
        | PartBody::File { .. } => {
            return Err(refusal(at("type"), "must be text in what the model said"));
        }
    }
    out.push(b'}');
    Ok(())
}

fn write_file(name: Option<&str>, source: &FileSource, out: &mut Vec<u8>) {
    json::text_member(out, "type", "input_file");
    match source {
        FileSource::Id(id) => json::text_member(out, "file_id", id),
        FileSource::Url(url) => match data_url(url) {
            None => json::text_member(out, "file_url", url),
            Some(data) => {
                // A document that is sent along must be named.
                let default = match data.media_type.as_str() {
                    "application/pdf" => "document.pdf",
                    _ => "document.txt",
                };
                let name = name.filter(|name| !name.trim().is_empty()).unwrap_or(default);
                json::text_member(out, "filename", name);
                json::text_member(out, "file_data", url);
            }
        },
    }
}

/// Writes the blocks that OpenAI can read again, each with its summary. The id belongs to the
/// encrypted content, which OpenAI checks; an item without it would be looked for in OpenAI's
/// store and not be found.
fn write_reasoning(blocks: &[ReasoningBlock], out: &mut Vec<u8>) {
    let mut before: Vec<&ReasoningBlock> = Vec::new();
    for block in blocks {
        let ours = matches!(block.format.as_deref(), None | Some(FORMAT));
        let ReasoningBody::Encrypted(data) = &block.body else {
            if ours {
                before.push(block);
            }
            continue;
        };
        let mates = std::mem::take(&mut before);
        if !ours {
            continue;
        }
        let same = |mate: &&&ReasoningBlock| mate.id.is_none() || mate.id == block.id;
        json::comma(out);
        out.extend_from_slice(b"{\"type\":\"reasoning\"");
        if let Some(id) = &block.id {
            json::text_member(out, "id", id);
        }
        json::key(out, "summary");
        out.push(b'[');
        for mate in mates.iter().filter(same) {
            if let ReasoningBody::Summary(text) = &mate.body {
                json::comma(out);
                out.extend_from_slice(b"{\"type\":\"summary_text\"");
                json::text_member(out, "text", text);
                out.push(b'}');
            }
        }
        out.push(b']');
        json::text_member(out, "encrypted_content", data);
        out.push(b'}');
    }
}
