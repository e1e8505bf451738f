//! A chat request for an OpenAI-like provider: the client's bytes with a few spans replaced.

use bytes::Bytes;

use crate::dialect::Target;
use crate::dialect::scan::lexer::Lexer;
use crate::dialect::scan::{Field, Form, Head, Key};
use crate::error::{GatewayError, Kind};

use super::host::Limit;

/// Splices the body of a request: the model's name, `stream_options`, the token limit, and its
/// name where the host takes one only; without the members that only the gateway reads. Everything
/// else stays byte for byte.
///
/// `head` must come from a scan of this `body`. One allocation, of the exact size.
///
/// # Errors
/// [`Kind::Internal`]: `head` belongs to another body.
pub fn request(body: &[u8], head: &Head, target: &Target<'_>) -> Result<Bytes, GatewayError> {
    let mut plan = Plan::new(head, target);
    plan.insert_missing(head, target);
    for field in &head.fields {
        plan.field(body, head, target, field);
    }
    plan.write(body)
        .ok_or_else(|| GatewayError::new(Kind::Internal, "The request could not be rewritten."))
}

/// What stands in the place of a span.
#[derive(Clone, Copy, Debug)]
enum Piece {
    Nothing,
    Static(&'static str),
    /// The model's name as a JSON string.
    Model,
    /// `"model":…,`
    ModelMember,
    Number(u32),
    /// The limit's name as the host has it.
    LimitName,
    /// `"max_tokens":…,`, or what the limit is called.
    LimitMember(u32),
}

#[derive(Clone, Copy, Debug)]
struct Edit {
    start: u32,
    end: u32,
    piece: Piece,
}

/// At most one edit per known member, one more for the limit's name, and four members put in.
const EDITS_MAX: usize = Key::ALL.len() + 5;

struct Plan<'a> {
    model: &'a str,
    /// What the host calls the token limit.
    limit: Limit,
    edits: [Edit; EDITS_MAX],
    len: usize,
}

impl<'a> Plan<'a> {
    const fn new(head: &Head, target: &Target<'a>) -> Self {
        let none = Edit { start: 0, end: 0, piece: Piece::Nothing };
        let model = target.upstream_model;
        let limit = match head.form {
            Form::Chat => target.host.limit,
            _ => Limit { name: head.max_tokens_key.name(), only: false },
        };
        Self { model, limit, edits: [none; EDITS_MAX], len: 0 }
    }

    fn push(&mut self, start: u32, end: u32, piece: Piece) {
        if let Some(slot) = self.edits.get_mut(self.len) {
            *slot = Edit { start, end, piece };
            self.len += 1;
        }
    }

    /// New members go to the front: what is asked follows, so each takes a comma along.
    fn insert_missing(&mut self, head: &Head, target: &Target<'_>) {
        let at = head.inside;
        if head.field(Key::Model).is_none() {
            self.push(at, at, Piece::ModelMember);
        }
        let told_by_options = matches!(head.form, Form::Chat | Form::Completions);
        if head.stream && told_by_options && head.field(Key::StreamOptions).is_none() {
            let member = "\"stream_options\":{\"include_usage\":true},";
            self.push(at, at, Piece::Static(member));
        }
        if let (None, Some(limit), None) =
            (head.max_tokens, target.credit_limit, head.field(head.max_tokens_key))
        {
            self.push(at, at, Piece::LimitMember(limit));
        }
        if head.form == Form::Responses && head.field(Key::Store).is_none() {
            // The provider would keep the answer.
            self.push(at, at, Piece::Static("\"store\":false,"));
        }
    }

    fn field(&mut self, body: &[u8], head: &Head, target: &Target<'_>, field: &Field) {
        let value = field.value;
        match field.key {
            Key::Model => self.push(value.start, value.end, Piece::Model),
            Key::StreamOptions if !head.stream => self.remove(field),
            Key::StreamOptions => self.stream_options(body, head, field),
            Key::Store if head.form == Form::Responses => {
                self.push(value.start, value.end, Piece::Static("false"));
            }
            Key::MaxTokens | Key::MaxCompletionTokens | Key::MaxOutputTokens => {
                if self.limit.only && field.key != head.max_tokens_key {
                    // Only one name is taken, and the other member has the say.
                    return self.remove(field);
                }
                if self.limit.only && field.key.name() != self.limit.name {
                    self.push(field.name.start, field.name.end, Piece::LimitName);
                }
                let Some(limit) = target.credit_limit else { return };
                let asked = std::str::from_utf8(value.of(body)).ok().and_then(|n| n.parse().ok());
                let replace = match asked {
                    Some(asked) => u64::from(limit) < asked,
                    None => head.max_tokens.is_none() && field.key == head.max_tokens_key,
                };
                if replace {
                    self.push(value.start, value.end, Piece::Number(limit));
                }
            }
            // It names none, and the endpoint's own may be put in.
            Key::ServiceTier if value.of(body) == b"null" => self.remove(field),
            key if key.gateway_only() => self.remove(field),
            _ => {}
        }
    }

    fn stream_options(&mut self, body: &[u8], head: &Head, field: &Field) {
        let value = field.value;
        if let Some(flag) = head.include_usage {
            self.push(flag.start, flag.end, Piece::Static("true"));
        } else if value.of(body).first() == Some(&b'{') {
            let inside = value.start + 1;
            let empty = Lexer::new(body, inside as usize).peek() == Some(b'}');
            let member = if empty { "\"include_usage\":true" } else { "\"include_usage\":true," };
            self.push(inside, inside, Piece::Static(member));
        } else {
            self.push(value.start, value.end, Piece::Static("{\"include_usage\":true}"));
        }
    }

    /// Removes a member with the comma after it. The last member takes the comma before it, and
    /// a run of removed members at the end goes as one.
    fn remove(&mut self, field: &Field) {
        if let Some(next) = field.next {
            self.push(field.lead, next, Piece::Nothing);
            return;
        }
        let mut start = field.lead;
        while let Some(last) = self.len.checked_sub(1).map(|i| self.edits[i]) {
            let removed = matches!(last.piece, Piece::Nothing) && last.start < last.end;
            if !removed || last.end != start {
                break;
            }
            start = last.start;
            self.len -= 1;
        }
        // The member before the run exists: what is asked (`messages`, `input`) is never removed.
        self.push(start.saturating_sub(1), field.value.end, Piece::Nothing);
    }

    fn write(&self, body: &[u8]) -> Option<Bytes> {
        let edits = self.edits.get(..self.len)?;
        let mut size = body.len();
        for edit in edits {
            let cut = edit.end.checked_sub(edit.start)? as usize;
            size = size.checked_sub(cut)?.checked_add(self.piece_len(edit.piece))?;
        }
        let mut out = Vec::with_capacity(size);
        let mut from = 0;
        for edit in edits {
            out.extend_from_slice(body.get(from..edit.start as usize)?);
            self.piece(edit.piece, &mut out);
            from = edit.end as usize;
        }
        out.extend_from_slice(body.get(from..)?);
        debug_assert_eq!(out.len(), size, "the size was known before");
        Some(Bytes::from(out))
    }

    fn piece_len(&self, piece: Piece) -> usize {
        match piece {
            Piece::Nothing => 0,
            Piece::Static(text) => text.len(),
            Piece::Model => quoted_len(self.model),
            Piece::ModelMember => "\"model\":,".len() + quoted_len(self.model),
            Piece::Number(n) => itoa::Buffer::new().format(n).len(),
            Piece::LimitName => "\"\"".len() + self.limit.name.len(),
            Piece::LimitMember(n) => {
                "\"\":,".len() + self.limit.name.len() + itoa::Buffer::new().format(n).len()
            }
        }
    }

    fn piece(&self, piece: Piece, out: &mut Vec<u8>) {
        match piece {
            Piece::Nothing => {}
            Piece::Static(text) => out.extend_from_slice(text.as_bytes()),
            Piece::Model => quote(self.model, out),
            Piece::ModelMember => {
                out.extend_from_slice(b"\"model\":");
                quote(self.model, out);
                out.push(b',');
            }
            Piece::Number(n) => out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
            Piece::LimitName => quote(self.limit.name, out),
            Piece::LimitMember(n) => {
                quote(self.limit.name, out);
                out.push(b':');
                out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
                out.push(b',');
            }
        }
    }
}

const fn needs_escape(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' => 1,
        0..0x20 => 5,
        _ => 0,
    }
}

/// The length of a text as a JSON string.
fn quoted_len(text: &str) -> usize {
    2 + text.len() + text.bytes().map(needs_escape).sum::<usize>()
}

/// Writes a text as a JSON string.
fn quote(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        match needs_escape(byte) {
            0 => out.push(byte),
            1 => out.extend_from_slice(&[b'\\', byte]),
            _ => {
                let [high, low] = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
