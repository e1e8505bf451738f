//! The hub's messages → Cohere's.

use crate::dialect::ir::{Assistant, Message, Part, PartBody, ReasoningBlock, ReasoningBody};
use crate::dialect::json;
use crate::dialect::media::{DataUrl, arguments_object, data_url, refusal};
use crate::error::GatewayError;

/// What stands in a result whose only content is an image.
const IMAGE_FOLLOWS: &str = "See the image in the next message.";

/// A piece of content.
enum Piece<'r> {
    Text { name: Option<&'r str>, text: &'r str },
    Image { url: &'r str, detail: Option<&'r str> },
}

/// Writes `messages`. Cohere takes text in results of tools only: their images follow in a message
/// of the user, after the last result of the turn.
pub(super) fn write_messages(messages: &[Message], out: &mut Vec<u8>) -> Result<(), GatewayError> {
    json::key(out, "messages");
    out.push(b'[');
    let mut pending: Vec<Piece<'_>> = Vec::new();
    for (i, message) in messages.iter().enumerate() {
        if !matches!(message, Message::Tool { .. }) {
            flush(&mut pending, out);
        }
        match message {
            Message::System { parts, name } => {
                open("system", out);
                write_content(&pieces(parts, name.as_deref(), i)?, out);
                out.push(b'}');
            }
            Message::User { parts, name } => {
                open("user", out);
                write_content(&pieces(parts, name.as_deref(), i)?, out);
                out.push(b'}');
            }
            Message::Assistant(turn) => write_turn(turn, i, out)?,
            Message::Tool { call_id, parts, .. } => {
                let all = pieces(parts, None, i)?;
                let (mut texts, images): (Vec<_>, Vec<_>) =
                    all.into_iter().partition(|piece| matches!(piece, Piece::Text { .. }));
                if texts.is_empty() && !images.is_empty() {
                    texts.push(Piece::Text { name: None, text: IMAGE_FOLLOWS });
                }
                open("tool", out);
                json::text_member(out, "tool_call_id", call_id);
                write_content(&texts, out);
                out.push(b'}');
                pending.extend(images);
            }
        }
    }
    flush(&mut pending, out);
    out.push(b']');
    Ok(())
}

fn flush(pending: &mut Vec<Piece<'_>>, out: &mut Vec<u8>) {
    if !pending.is_empty() {
        open("user", out);
        write_content(pending, out);
        out.push(b'}');
        pending.clear();
    }
}

fn open(role: &str, out: &mut Vec<u8>) {
    json::comma(out);
    out.push(b'{');
    json::text_member(out, "role", role);
}

/// A turn of the model. One that says nothing is left out.
fn write_turn(turn: &Assistant, message: usize, out: &mut Vec<u8>) -> Result<(), GatewayError> {
    let content = pieces(&turn.parts, turn.name.as_deref(), message)?;
    if content.is_empty() && turn.tool_calls.is_empty() {
        return Ok(());
    }
    open("assistant", out);
    if !content.is_empty() {
        write_content(&content, out);
    }
    if !turn.tool_calls.is_empty() {
        let plan: String = turn.reasoning.iter().filter_map(plain).collect();
        if !plan.is_empty() {
            json::text_member(out, "tool_plan", &plan);
        }
        json::key(out, "tool_calls");
        out.push(b'[');
        for call in &turn.tool_calls {
            json::comma(out);
            out.push(b'{');
            json::text_member(out, "id", &call.id);
            out.extend_from_slice(b",\"type\":\"function\",\"function\":{");
            json::text_member(out, "name", &call.name);
            json::text_member(out, "arguments", &arguments_object(&call.arguments));
            out.extend_from_slice(b"}}");
        }
        out.push(b']');
    }
    out.push(b'}');
    Ok(())
}

/// Reasoning that can be Cohere's own: plain text without another family's mark.
fn plain(block: &ReasoningBlock) -> Option<&str> {
    let ours = matches!(block.format.as_deref(), None | Some("unknown"));
    match &block.body {
        ReasoningBody::Text { text, signature: None } if ours => Some(text),
        ReasoningBody::Text { .. } | ReasoningBody::Summary(_) | ReasoningBody::Encrypted(_) => {
            None
        }
    }
}

fn write_content(pieces: &[Piece<'_>], out: &mut Vec<u8>) {
    json::key(out, "content");
    match pieces {
        [] => json::string(out, ""),
        [Piece::Text { name, text }] => write_text(*name, text, out),
        pieces => {
            out.push(b'[');
            for piece in pieces {
                json::comma(out);
                out.push(b'{');
                write_piece(piece, out);
                out.push(b'}');
            }
            out.push(b']');
        }
    }
}

fn write_piece(piece: &Piece<'_>, out: &mut Vec<u8>) {
    match piece {
        Piece::Text { name, text } => {
            json::text_member(out, "type", "text");
            json::key(out, "text");
            write_text(*name, text, out);
        }
        Piece::Image { url, detail } => {
            json::text_member(out, "type", "image_url");
            json::key(out, "image_url");
            out.push(b'{');
            json::text_member(out, "url", url);
            if let Some(detail) = detail {
                json::text_member(out, "detail", detail);
            }
            out.push(b'}');
        }
    }
}

fn write_text(name: Option<&str>, text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    if let Some(name) = name {
        json::escape(out, name);
        out.extend_from_slice(b": ");
    }
    json::escape(out, text);
    out.push(b'"');
}

/// The pieces of a message. The speaker's name goes before the first text, as OpenRouter does it
/// for dialects without names. Empty texts are left out.
fn pieces<'r>(
    parts: &'r [Part],
    name: Option<&'r str>,
    message: usize,
) -> Result<Vec<Piece<'r>>, GatewayError> {
    let mut name = name.filter(|name| !name.is_empty());
    let mut out = Vec::with_capacity(parts.len());
    for (j, part) in parts.iter().enumerate() {
        let at = |field: &str| format!("messages[{message}].content[{j}].{field}");
        out.push(match &part.body {
            PartBody::Text(text) | PartBody::Refusal(text) if text.is_empty() => continue,
            PartBody::Text(text) | PartBody::Refusal(text) => {
                Piece::Text { name: name.take(), text }
            }
            PartBody::Image { url, detail } => {
                check_image(url).map_err(|what| refusal(at("image_url.url"), what))?;
                let detail = detail.as_deref().filter(|detail| *detail != "original");
                Piece::Image { url, detail }
            }
            PartBody::File { .. } => {
                let what = "must not be \"file\": this model takes text and images";
                return Err(refusal(at("type"), what));
            }
            PartBody::Audio { .. } => {
                return Err(refusal(at("type"), "must not be \"input_audio\": this model is deaf"));
            }
            PartBody::Video(_) => {
                return Err(refusal(at("type"), "must not be a video: this model takes images"));
            }
        });
    }
    Ok(out)
}

fn check_image(url: &str) -> Result<(), &'static str> {
    let Some(DataUrl { media_type, base64, data }) = data_url(url) else { return Ok(()) };
    let known = ["image/png", "image/jpeg", "image/jpg", "image/gif", "image/webp"];
    if !known.contains(&media_type.as_str()) {
        return Err("must be image/png, image/jpeg, image/gif or image/webp");
    }
    if !base64 || data.is_empty() {
        return Err("must be data:<type>;base64,<data>");
    }
    Ok(())
}
