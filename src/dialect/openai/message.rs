//! Writes messages.

use std::borrow::Cow;

use super::host::{Host, Pieces, Prefill, Replay};
use super::turns::{Body, Piece, Turn, thought};
use crate::dialect::ir::{
    CacheMark, FileSource, PartBody, ReasoningBlock, ReasoningBody, ToolCall,
};
use crate::dialect::json;
use crate::dialect::media::data_url;

/// Writes `messages`.
pub(super) fn write_messages(turns: &[Turn<'_>], host: &Host, out: &mut Vec<u8>) {
    json::key(out, "messages");
    out.push(b'[');
    for turn in turns {
        json::comma(out);
        out.push(b'{');
        json::text_member(out, "role", turn.role);
        if let Some(name) = turn.name {
            json::text_member(out, "name", name);
        }
        if let Some(id) = turn.call_id {
            json::text_member(out, "tool_call_id", &call_id(id, host));
        }
        write_content(turn, host, out);
        write_reasoning(turn.reasoning, host, out);
        write_calls(turn.calls, host, out);
        if let (true, Prefill::Flag(name)) = (turn.prefill, host.prefill) {
            raw_member(out, name, "true");
        }
        out.push(b'}');
    }
    out.push(b']');
}

/// About how long the messages are, so that a large request is not copied while it grows.
pub(super) fn size_hint(turns: &[Turn<'_>]) -> usize {
    let piece = |piece: &Piece<'_>| {
        64 + match &piece.body {
            Body::Text(text) => text.len() + text.len() / 16,
            Body::Thinking { text, .. } => text.len() + text.len() / 16,
            Body::Part(PartBody::Text(text) | PartBody::Refusal(text)) => text.len(),
            Body::Part(PartBody::Image { url, .. } | PartBody::Video(url)) => url.len(),
            Body::Part(PartBody::Audio { data, .. }) => data.len(),
            Body::Part(PartBody::File { source, .. }) => match source {
                FileSource::Url(text) | FileSource::Id(text) => text.len(),
            },
        }
    };
    let turn = |turn: &Turn<'_>| {
        let calls: usize = turn.calls.iter().map(|call| 128 + call.arguments.len()).sum();
        64 + calls + turn.pieces.iter().map(piece).sum::<usize>()
    };
    turns.iter().map(turn).sum()
}

fn write_content(turn: &Turn<'_>, host: &Host, out: &mut Vec<u8>) {
    json::key(out, "content");
    match turn.pieces.as_slice() {
        [] if !turn.calls.is_empty() => out.extend_from_slice(b"null"),
        [] => out.extend_from_slice(b"\"\""),
        [Piece { body: Body::Text(text), cache: None }] => json::string(out, text),
        pieces if host.joins_text && pieces.iter().all(Piece::is_text) => {
            out.push(b'"');
            for (i, piece) in pieces.iter().enumerate() {
                if i > 0 {
                    out.extend_from_slice(b"\\n\\n");
                }
                if let Body::Text(text) = &piece.body {
                    json::escape(out, text);
                }
            }
            out.push(b'"');
        }
        pieces => {
            out.push(b'[');
            for piece in pieces {
                json::comma(out);
                out.push(b'{');
                write_piece(&piece.body, host, out);
                write_mark(piece.cache, out);
                out.push(b'}');
            }
            out.push(b']');
        }
    }
}

fn write_piece(body: &Body<'_>, host: &Host, out: &mut Vec<u8>) {
    match (body, host.pieces) {
        (Body::Text(text), _) => {
            json::text_member(out, "type", "text");
            json::text_member(out, "text", text);
        }
        (Body::Thinking { text, signature }, _) => {
            json::text_member(out, "type", "thinking");
            json::key(out, "thinking");
            out.extend_from_slice(b"[{");
            json::text_member(out, "type", "text");
            json::text_member(out, "text", text);
            out.extend_from_slice(b"}]");
            if let Some(signature) = signature {
                json::text_member(out, "signature", signature);
            }
        }
        (Body::Part(part), Pieces::OpenAi) => write_part(part, host, out),
        (Body::Part(part), Pieces::Mistral) => write_mistral(part, out),
    }
}

fn write_part(part: &PartBody, host: &Host, out: &mut Vec<u8>) {
    let kind = match part {
        PartBody::Text(text) => {
            json::text_member(out, "type", "text");
            return json::text_member(out, "text", text);
        }
        PartBody::Refusal(text) => {
            json::text_member(out, "type", "refusal");
            return json::text_member(out, "refusal", text);
        }
        PartBody::Image { .. } => "image_url",
        PartBody::Audio { .. } => "input_audio",
        PartBody::Video(_) => "video_url",
        PartBody::File { .. } => "file",
    };
    json::text_member(out, "type", kind);
    json::key(out, kind);
    out.push(b'{');
    match part {
        PartBody::Text(_) | PartBody::Refusal(_) => {}
        PartBody::Image { url, detail } => {
            json::text_member(out, "url", url);
            if let Some(detail) = detail {
                json::text_member(out, "detail", detail);
            }
        }
        PartBody::Audio { data, format } => {
            json::text_member(out, "data", data);
            json::text_member(out, "format", format);
        }
        PartBody::Video(url) => json::text_member(out, "url", url),
        PartBody::File { name, source } => write_file(name.as_deref(), source, host, out),
    }
    out.push(b'}');
}

fn write_file(name: Option<&str>, source: &FileSource, host: &Host, out: &mut Vec<u8>) {
    match source {
        FileSource::Id(id) => {
            // An upload has a name of its own.
            if let Some(name) = name.filter(|_| host.file_urls) {
                json::text_member(out, "filename", name);
            }
            json::text_member(out, "file_id", id);
        }
        FileSource::Url(url) => {
            // OpenAI demands a name.
            let pdf = || data_url(url).is_some_and(|data| data.media_type == "application/pdf");
            let stand_in = || if pdf() { "document.pdf" } else { "document" };
            let name = name.or_else(|| (!host.file_urls).then(stand_in));
            if let Some(name) = name {
                json::text_member(out, "filename", name);
            }
            json::text_member(out, "file_data", url);
        }
    }
}

fn write_mistral(part: &PartBody, out: &mut Vec<u8>) {
    match part {
        PartBody::Text(text) | PartBody::Refusal(text) => {
            json::text_member(out, "type", "text");
            json::text_member(out, "text", text);
        }
        PartBody::Image { url, .. } => {
            json::text_member(out, "type", "image_url");
            json::text_member(out, "image_url", url);
        }
        PartBody::Audio { data, .. } => {
            json::text_member(out, "type", "input_audio");
            json::text_member(out, "input_audio", data);
        }
        PartBody::Video(url) => {
            json::text_member(out, "type", "video_url");
            json::text_member(out, "video_url", url);
        }
        PartBody::File { source: FileSource::Id(id), .. } => {
            json::text_member(out, "type", "file");
            json::text_member(out, "file_id", id);
        }
        PartBody::File { name, source: FileSource::Url(url) } => {
            json::text_member(out, "type", "document_url");
            json::text_member(out, "document_url", url);
            if let Some(name) = name {
                json::text_member(out, "document_name", name);
            }
        }
    }
}

/// Writes `"cache_control":…`, if there is a mark.
pub(super) fn write_mark(mark: Option<CacheMark>, out: &mut Vec<u8>) {
    let mark = match mark {
        None => return,
        Some(CacheMark::Default) => r#"{"type":"ephemeral"}"#,
        Some(CacheMark::FiveMinutes) => r#"{"type":"ephemeral","ttl":"5m"}"#,
        Some(CacheMark::Hour) => r#"{"type":"ephemeral","ttl":"1h"}"#,
    };
    raw_member(out, "cache_control", mark);
}

/// Writes a member whose value is JSON.
pub(super) fn raw_member(out: &mut Vec<u8>, name: &'static str, raw: &str) {
    json::key(out, name);
    out.extend_from_slice(raw.as_bytes());
}

fn write_reasoning(blocks: &[ReasoningBlock], host: &Host, out: &mut Vec<u8>) {
    if blocks.is_empty() {
        return;
    }
    let name = match host.replay {
        Replay::Text(name) | Replay::InToolLoop(name) => name,
        Replay::Either => "reasoning_content",
        Replay::Details => return write_details(blocks, out),
        Replay::Never | Replay::Tags | Replay::Piece => return,
    };
    let thought = thought(blocks);
    if !thought.is_empty() {
        json::text_member(out, name, &thought);
    }
    if host.replay == Replay::Either && !says_it_all(blocks) {
        write_details(blocks, out);
    }
}

/// Whether the text is all that the blocks hold.
fn says_it_all(blocks: &[ReasoningBlock]) -> bool {
    match blocks {
        [ReasoningBlock { id: None, body, format: None }] => {
            matches!(body, ReasoningBody::Text { text, signature: None } if !text.is_empty())
        }
        _ => false,
    }
}

fn write_details(blocks: &[ReasoningBlock], out: &mut Vec<u8>) {
    json::key(out, "reasoning_details");
    out.push(b'[');
    for (index, block) in (0..).zip(blocks) {
        json::comma(out);
        out.push(b'{');
        match &block.body {
            ReasoningBody::Text { text, signature } => {
                json::text_member(out, "type", "reasoning.text");
                json::text_member(out, "text", text);
                if let Some(signature) = signature {
                    json::text_member(out, "signature", signature);
                }
            }
            ReasoningBody::Summary(text) => {
                json::text_member(out, "type", "reasoning.summary");
                json::text_member(out, "summary", text);
            }
            ReasoningBody::Encrypted(data) => {
                json::text_member(out, "type", "reasoning.encrypted");
                json::text_member(out, "data", data);
            }
        }
        if let Some(id) = &block.id {
            json::text_member(out, "id", id);
        }
        if let Some(format) = &block.format {
            json::text_member(out, "format", format);
        }
        json::number_member(out, "index", index);
        out.push(b'}');
    }
    out.push(b']');
}

fn write_calls(calls: &[ToolCall], host: &Host, out: &mut Vec<u8>) {
    if calls.is_empty() {
        return;
    }
    json::key(out, "tool_calls");
    out.push(b'[');
    for call in calls {
        json::comma(out);
        out.push(b'{');
        json::text_member(out, "id", &call_id(&call.id, host));
        json::text_member(out, "type", "function");
        json::key(out, "function");
        out.push(b'{');
        json::text_member(out, "name", &call.name);
        // An empty text is no JSON, and several hosts parse it.
        let empty = call.arguments.trim().is_empty();
        json::text_member(out, "arguments", if empty { "{}" } else { &call.arguments });
        out.extend_from_slice(b"}}");
    }
    out.push(b']');
}

/// A call's id as the host takes it. What does not fit Mistral's form is spelled as 9 letters and
/// digits of its hash, so that a call and its result always agree.
fn call_id<'r>(id: &'r str, host: &Host) -> Cow<'r, str> {
    const LENGTH: usize = 9;
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let fits = id.len() == LENGTH && id.bytes().all(|b| b.is_ascii_alphanumeric());
    if !host.short_ids || fits {
        return Cow::Borrowed(id);
    }
    let hash = blake3::hash(id.as_bytes());
    let letter = |byte: &u8| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]);
    Cow::Owned(hash.as_bytes().iter().take(LENGTH).map(letter).collect())
}
