//! The hub's messages → Ollama's: text and, beside it, images as bare base64.

use crate::dialect::ir::{
    Assistant, Message, Part, PartBody, ReasoningBlock, ReasoningBody, ToolCall,
};
use crate::dialect::json;
use crate::dialect::media::{DataUrl, arguments_object, data_url, refusal};
use crate::error::GatewayError;

/// What a message holds.
struct Content<'r> {
    texts: Vec<&'r str>,
    /// Base64. Sound goes this way, too: servers tell by the bytes.
    images: Vec<&'r str>,
}

/// Writes `messages`.
pub(super) fn write_messages(messages: &[Message], out: &mut Vec<u8>) -> Result<(), GatewayError> {
    json::key(out, "messages");
    out.push(b'[');
    // Results follow the turn that made their calls.
    let mut calls: &[ToolCall] = &[];
    for (i, message) in messages.iter().enumerate() {
        match message {
            Message::System { parts, name } => {
                open("system", out);
                write_content(&content(parts, i)?, name.as_deref(), out);
            }
            Message::User { parts, name } => {
                open("user", out);
                write_content(&content(parts, i)?, name.as_deref(), out);
            }
            Message::Assistant(turn) => {
                calls = &turn.tool_calls;
                let content = content(&turn.parts, i)?;
                if content.texts.is_empty() && turn.tool_calls.is_empty() {
                    // A turn that says nothing.
                    continue;
                }
                open("assistant", out);
                write_content(&content, turn.name.as_deref(), out);
                write_turn(turn, out);
            }
            Message::Tool { call_id, parts, .. } => {
                open("tool", out);
                write_content(&content(parts, i)?, None, out);
                if let Some(call) = calls.iter().find(|call| call.id == *call_id) {
                    json::text_member(out, "tool_name", &call.name);
                }
                json::text_member(out, "tool_call_id", call_id);
            }
        }
        out.push(b'}');
    }
    out.push(b']');
    Ok(())
}

fn open(role: &str, out: &mut Vec<u8>) {
    json::comma(out);
    out.push(b'{');
    json::text_member(out, "role", role);
}

/// What a turn of the model has besides text.
fn write_turn(turn: &Assistant, out: &mut Vec<u8>) {
    let thinking: String = turn.reasoning.iter().filter_map(plain).collect();
    if !thinking.is_empty() {
        json::text_member(out, "thinking", &thinking);
    }
    if turn.tool_calls.is_empty() {
        return;
    }
    json::key(out, "tool_calls");
    out.push(b'[');
    for call in &turn.tool_calls {
        json::comma(out);
        out.push(b'{');
        json::text_member(out, "id", &call.id);
        json::key(out, "function");
        out.push(b'{');
        json::text_member(out, "name", &call.name);
        json::key(out, "arguments");
        out.extend_from_slice(arguments_object(&call.arguments).as_bytes());
        out.extend_from_slice(b"}}");
    }
    out.push(b']');
}

/// Reasoning that can be an open model's own: plain text without another family's mark.
fn plain(block: &ReasoningBlock) -> Option<&str> {
    let ours = matches!(block.format.as_deref(), None | Some("unknown"));
    match &block.body {
        ReasoningBody::Text { text, signature: None } if ours => Some(text),
        ReasoningBody::Text { .. } | ReasoningBody::Summary(_) | ReasoningBody::Encrypted(_) => {
            None
        }
    }
}

/// Writes `content` and `images`. Texts are put on lines of their own; the speaker's name goes
/// before them, as OpenRouter does it for dialects without names.
fn write_content(content: &Content<'_>, name: Option<&str>, out: &mut Vec<u8>) {
    json::key(out, "content");
    out.push(b'"');
    if let Some(name) = name.filter(|name| !name.is_empty() && !content.texts.is_empty()) {
        json::escape(out, name);
        out.extend_from_slice(b": ");
    }
    for (i, text) in content.texts.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(b"\\n");
        }
        json::escape(out, text);
    }
    out.push(b'"');
    if content.images.is_empty() {
        return;
    }
    json::key(out, "images");
    out.push(b'[');
    for data in &content.images {
        json::comma(out);
        out.push(b'"');
        json::escape(out, data);
        // The server wants it padded.
        let missing = if data.ends_with('=') { 0 } else { (4 - data.len() % 4) % 4 };
        out.extend_from_slice(&b"=="[..missing.min(2)]);
        out.push(b'"');
    }
    out.push(b']');
}

fn content(parts: &[Part], message: usize) -> Result<Content<'_>, GatewayError> {
    let mut content = Content { texts: Vec::new(), images: Vec::new() };
    for (j, part) in parts.iter().enumerate() {
        let at = |field: &str| format!("messages[{message}].content[{j}].{field}");
        match &part.body {
            PartBody::Text(text) | PartBody::Refusal(text) if text.is_empty() => {}
            PartBody::Text(text) | PartBody::Refusal(text) => content.texts.push(text),
            PartBody::Image { url, .. } => {
                let data = image(url).map_err(|what| refusal(at("image_url.url"), what))?;
                content.images.push(data);
            }
            PartBody::Audio { data, .. } if data.is_empty() => {
                return Err(refusal(at("input_audio.data"), "must be base64"));
            }
            PartBody::Audio { data, .. } => content.images.push(data),
            PartBody::Video(_) => {
                return Err(refusal(at("type"), "must not be a video: this model takes images"));
            }
            PartBody::File { .. } => {
                let what = "must not be \"file\": this model takes text, images and sound";
                return Err(refusal(at("type"), what));
            }
        }
    }
    Ok(content)
}

fn image(url: &str) -> Result<&str, &'static str> {
    let Some(DataUrl { media_type, base64, data }) = data_url(url) else {
        return Err("must be data:<type>;base64,<data>: this host does not fetch images");
    };
    let known = ["image/png", "image/jpeg", "image/jpg", "image/webp"];
    if !known.contains(&media_type.as_str()) {
        return Err("must be image/png, image/jpeg or image/webp");
    }
    if !base64 || data.is_empty() {
        return Err("must be data:<type>;base64,<data>");
    }
    Ok(data)
}
