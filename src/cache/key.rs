//! The name of an answer: a hash over what was asked and by whom.
//!
//! OpenRouter hashes the body's bytes, so that two clients which order their properties
//! differently never share an answer. We hash the meaning instead. The order of properties, white
//! space, the escapes in a string and trailing zeros of a fraction do not matter; the order in
//! arrays, every value, and every property that we do not know do.
//!
//! The hash is BLAKE3 over a canonical, length-prefixed form, so that no two different meanings
//! spell the same bytes. It is a cryptographic hash on purpose: with a weaker one a caller could
//! construct two requests with one key. The scope (account, surface, streamed or not, the caller's
//! rules) is part of the hash: an answer never crosses accounts, nor gets around a key's policy.
//!
//! Properties that come twice are kept in their order, so that two parsers that disagree on which
//! one wins cannot be played against each other.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use super::tape::{self, Node, Shape};
use crate::vocab::AccountId;

/// The name of a stored answer.
pub type Key = [u8; 32];

/// Top-level fields that do not change the answer, and `stream`, which the scope holds.
///
/// `stream_options` only decides whether the usage is shown, which is settled when the answer is
/// replayed.
pub const LEFT_OUT: [&str; 7] =
    ["metadata", "session_id", "stream", "stream_options", "trace", "usage", "user"];

/// Who asks, and for which kind of answer.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The account that pays.
    pub account: &'a AccountId,
    /// The client's wire format, for instance `chat`.
    pub surface: &'a str,
    /// The answer is streamed.
    pub stream: bool,
    /// What restricts the caller to some models, providers or uses of data, and the suffix that its
    /// key adds to models, in a stable spelling; empty for neither. Such a caller shares answers
    /// only with those under the same rules.
    pub rules: &'a [u8],
}

/// Why a body has no key. The request is then answered without the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadBody {
    /// Not one JSON value in UTF-8; the offset of the first byte that does not fit, in bytes.
    NotJson(usize),
    /// More than 256 arrays and objects inside each other.
    TooDeep,
    /// More than 1,048,576 values and property names, or 4 GiB or more.
    TooComplex,
}

impl fmt::Display for BadBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(at) => write!(f, "the body is not JSON at offset {at}"),
            Self::TooDeep => f.write_str("the body is nested too deeply"),
            Self::TooComplex => f.write_str("the body has too many values"),
        }
    }
}

impl std::error::Error for BadBody {}

/// The key of the answer to `body`.
///
/// Memory is bounded: at most 16 bytes per value, 16 MiB in all, and what sorting the properties
/// of the open objects takes (at most 40 bytes per property).
///
/// # Errors
/// The body is not JSON, or is too deep or too complex to be worth a key.
pub fn key(scope: Scope<'_>, body: &[u8]) -> Result<Key, BadBody> {
    let nodes = tape::read(body)?;
    let mut canon = Canon { text: body, nodes: &nodes, out: Sink::new() };
    canon.out.bytes(b'a', scope.account.as_str().as_bytes());
    canon.out.bytes(b'f', scope.surface.as_bytes());
    canon.out.bytes(b'p', scope.rules);
    canon.out.tag(if scope.stream { b'S' } else { b'W' });
    canon.run();
    Ok(canon.out.finish())
}

/// Writes the canonical form of a tape, with an explicit stack.
struct Canon<'a> {
    text: &'a [u8],
    nodes: &'a [Node],
    out: Sink,
}

/// A container whose rest is still to be written.
enum Open<'a> {
    /// The next element and the number of those left.
    Array(u32, u32),
    /// The members left, in reverse order: the next one is the last.
    Object(Vec<Member<'a>>),
}

struct Member<'a> {
    name: Cow<'a, [u8]>,
    value: u32,
}

impl<'a> Canon<'a> {
    fn run(&mut self) {
        let mut stack: Vec<Open<'a>> = Vec::new();
        let mut next = Some(0);
        loop {
            if let Some(index) = next.take() {
                let top = stack.is_empty();
                if let Some(open) = self.begin(index, top) {
                    stack.push(open);
                }
            }
            match stack.last_mut() {
                None => return,
                Some(Open::Array(_, 0)) => drop(stack.pop()),
                Some(Open::Array(at, left)) => {
                    next = Some(*at);
                    *left -= 1;
                    *at = self.node(*at).map_or(*at, |node| node.next);
                }
                Some(Open::Object(members)) => match members.pop() {
                    Some(member) => {
                        self.out.bytes(b's', &member.name);
                        next = Some(member.value);
                    }
                    None => drop(stack.pop()),
                },
            }
        }
    }

    /// Writes a scalar, or the head of a container, which is returned.
    fn begin(&mut self, index: u32, top: bool) -> Option<Open<'a>> {
        let node = self.node(index)?;
        let span = node.span(self.text);
        match node.shape {
            Shape::Null => self.out.tag(b'n'),
            Shape::True => self.out.tag(b't'),
            Shape::False => self.out.tag(b'u'),
            Shape::Number => self.out.bytes(b'd', plain_number(span)),
            Shape::Plain => self.out.bytes(b's', span),
            Shape::Escaped => self.out.bytes(b's', &unescape(span)),
            Shape::Array => {
                self.out.count(b'[', u64::from(node.count()));
                return Some(Open::Array(index + 1, node.count()));
            }
            Shape::Object => {
                let members = self.members(index + 1, node.count(), top);
                self.out.count(b'{', members.len() as u64);
                return Some(Open::Object(members));
            }
        }
        None
    }

    /// The members of an object in reverse canonical order.
    fn members(&self, first: u32, count: u32, top: bool) -> Vec<Member<'a>> {
        let mut members = Vec::with_capacity(count as usize);
        let mut at = first;
        for _ in 0..count {
            let (Some(name), Some(value)) = (self.node(at), self.node(at + 1)) else { break };
            let span = name.span(self.text);
            let text = match name.shape {
                Shape::Escaped => Cow::Owned(unescape(span)),
                _ => Cow::Borrowed(span),
            };
            if !(top && is_left_out(&text)) {
                members.push(Member { name: text, value: at + 1 });
            }
            at = value.next;
        }
        // Equal names keep their order in the text; the whole is reversed for `pop`.
        members.sort_by(|a, b| match b.name.cmp(&a.name) {
            Ordering::Equal => b.value.cmp(&a.value),
            other => other,
        });
        members
    }

    fn node(&self, index: u32) -> Option<Node> {
        self.nodes.get(index as usize).copied()
    }
}

fn is_left_out(name: &[u8]) -> bool {
    LEFT_OUT.iter().any(|left| left.as_bytes() == name)
}

/// A number without the zeros that end its fraction: `1.0` is `1`, `0.50` is `0.5`. Numbers with
/// an exponent stay as they are spelled.
fn plain_number(text: &[u8]) -> &[u8] {
    if !text.contains(&b'.') || text.iter().any(|b| matches!(b, b'e' | b'E')) {
        return text;
    }
    let zeros = text.iter().rev().take_while(|b| **b == b'0').count();
    let text = &text[..text.len() - zeros];
    text.strip_suffix(b".").unwrap_or(text)
}

/// The bytes that a string's escapes stand for. Half a surrogate pair becomes the three bytes that
/// it would have in UTF-8, which no valid text contains.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let (unit, len) = match rest.get(1) {
            Some(b'u') => (hex4(rest.get(2..6)), 6),
            Some(b'b') => (0x08, 2),
            Some(b'f') => (0x0c, 2),
            Some(b'n') => (0x0a, 2),
            Some(b'r') => (0x0d, 2),
            Some(b't') => (0x09, 2),
            Some(other) => (u32::from(*other), 2),
            None => break,
        };
        rest = rest.get(len..).unwrap_or_default();
        let low = match rest {
            [b'\\', b'u', ..] if (0xd800..0xdc00).contains(&unit) => hex4(rest.get(2..6)),
            _ => 0,
        };
        if (0xdc00..0xe000).contains(&low) {
            push_code(&mut out, 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
            rest = rest.get(6..).unwrap_or_default();
        } else {
            push_code(&mut out, unit);
        }
    }
    out.extend_from_slice(rest);
    out
}

/// Four hexadecimal digits; the tape has checked them.
fn hex4(digits: Option<&[u8]>) -> u32 {
    digits
        .unwrap_or_default()
        .iter()
        .fold(0, |sum, digit| sum * 16 + char::from(*digit).to_digit(16).unwrap_or_default())
}

fn push_code(out: &mut Vec<u8>, code: u32) {
    match char::from_u32(code) {
        Some(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        None => out.extend(
            [0xe0 | code >> 12 & 0x0f, 0x80 | code >> 6 & 0x3f, 0x80 | code & 0x3f]
                .map(|byte| byte.to_le_bytes()[0]),
        ),
    }
}

/// A hasher behind a small buffer, since most pieces are a few bytes.
struct Sink {
    hasher: blake3::Hasher,
    buffer: [u8; Self::SIZE],
    len: usize,
}

impl Sink {
    const SIZE: usize = 1024;

    fn new() -> Self {
        let hasher = blake3::Hasher::new_derive_key("turnpike 2026-11 cache key of a request");
        Self { hasher, buffer: [0; Self::SIZE], len: 0 }
    }

    fn tag(&mut self, tag: u8) {
        self.write(&[tag]);
    }

    fn count(&mut self, tag: u8, count: u64) {
        self.tag(tag);
        self.write(&count.to_le_bytes());
    }

    fn bytes(&mut self, tag: u8, bytes: &[u8]) {
        self.count(tag, bytes.len() as u64);
        self.write(bytes);
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.len + bytes.len() > Self::SIZE {
            self.hasher.update(&self.buffer[..self.len]);
            self.len = 0;
        }
        match self.buffer.get_mut(self.len..self.len + bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            None => {
                self.hasher.update(bytes);
            }
        }
    }

    fn finish(mut self) -> Key {
        self.hasher.update(&self.buffer[..self.len]);
        *self.hasher.finalize().as_bytes()
    }
}

#[cfg(test)]
mod tests;
