//! Damage that knows JSON, server-sent events and text.

use std::ops::Range;

use serde_json::{Map, Value, json};

use crate::dice::Dice;

/// The largest input that is made.
const INPUT_MAX: usize = 1 << 20;

const WORDS: &[&str] = &[
    "role",
    "content",
    "type",
    "text",
    "index",
    "delta",
    "choices",
    "message",
    "tool_calls",
    "id",
    "function",
    "name",
    "arguments",
    "input",
    "error",
    "code",
    "usage",
    "finish_reason",
    "stop",
    "system",
    "user",
    "assistant",
    "tool",
    "developer",
    "tool_result",
    "tool_use",
    "thinking",
    "signature",
    "data:image/png;base64,iVBORw0KGgo=",
    "https://a/b.png",
    "image_url",
    "source",
    "reasoning",
    "reasoning_details",
    "encrypted_content",
    "summary",
    "output",
    "item",
    "[DONE]",
    "response.completed",
    "message_stop",
    "content_block_start",
    "candidates",
    "parts",
    "stop",
    "functionCall",
    "",
    "\u{0}",
    "\u{feff}",
    "\u{2028}",
    "e\u{301}",
    "\u{10ffff}",
    "<think>",
    "</think>",
    "<tool_call>",
    "[TOOL_CALLS]",
    "<|im_end|>",
    "{{ x }}",
    "{% raw %}",
    "\"",
    "\\",
];

const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "-1",
    "1",
    "2",
    "127",
    "128",
    "255",
    "256",
    "65536",
    "2147483647",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "1e308",
    "1e309",
    "-1e400",
    "1e-400",
    "0.1",
    "1.0",
    "1E+2",
    "01",
    "1.",
    ".5",
    "NaN",
    "0x10",
];

const SCRAPS: &[&[u8]] = &[
    b"\n",
    b"\n\n",
    b"\r",
    b"\r\n\r\n",
    b"data: ",
    b"data:[DONE]\n\n",
    b"event: error\n",
    b":\n",
    b"\0",
    b"\"",
    b"\\",
    b"\\u",
    b"\\ud800",
    b"\\u0000",
    b",",
    b":",
    b"{",
    b"}",
    b"[",
    b"]",
    b"null",
    b"true",
    b"\xe2\x82",
    b"\xf0\x9f\x98",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\"\":",
    b"{}",
    b"[]",
    b"id: \n",
    b"retry: 1\n",
    b"/*",
    b"//",
];

/// An input made of one entry of the corpus and pieces of others.
/// One in so many is `huge`.
pub(crate) fn input(dice: &mut Dice, corpus: &[Vec<u8>], huge: usize) -> Vec<u8> {
    let mut bytes = dice.of(corpus).clone();
    for _ in 0..dice.below(3) {
        structured(dice, &mut bytes, corpus);
    }
    if !dice.one_in(3) {
        for _ in 0..=dice.below(4) {
            raw(dice, &mut bytes, corpus);
        }
    }
    if dice.one_in(huge) {
        if dice.one_in(2) {
            blow_up(dice, &mut bytes);
        } else {
            nest(dice, &mut bytes, 20_000);
        }
    }
    bytes.truncate(INPUT_MAX);
    bytes
}

/// Damage to bytes that need not be text.
pub(crate) fn raw(dice: &mut Dice, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    let at = dice.below(bytes.len() + 1);
    match dice.below(12) {
        0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
        1 if at < bytes.len() => bytes[at] = dice.next().to_le_bytes()[0],
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(some(dice, bytes.len(), 64))),
        4 => drop(bytes.drain(some(dice, bytes.len(), 4096))),
        5 => {
            let piece = bytes[some(dice, bytes.len(), 512)].to_vec();
            insert(bytes, at, &piece);
        }
        6 => {
            let other = dice.of(corpus);
            let from = dice.below(other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        7 => {
            let other = dice.of(corpus);
            let piece = &other[some(dice, other.len(), 1024)];
            insert(bytes, at, piece);
        }
        8 => number(dice, bytes),
        9 => {
            let depth = *dice.of(&[3, 60, 127, 128, 129, 600]);
            nest(dice, bytes, depth);
        }
        10 => {
            let scrap = *dice.of(&[b"a".as_slice(), b"\\n", "é".as_bytes(), b"\\\\", b" "]);
            let long = scrap.repeat(1 << dice.below(13));
            insert(bytes, at, &long);
        }
        _ => {
            let scrap = *dice.of(SCRAPS);
            insert(bytes, at, scrap);
        }
    }
}

/// Opens arrays or objects, so many.
fn nest(dice: &mut Dice, bytes: &mut Vec<u8>, depth: usize) {
    let at = dice.below(bytes.len() + 1);
    let open: &[u8] = if dice.one_in(2) { b"[" } else { b"{\"a\":" };
    insert(bytes, at, &open.repeat(depth));
}

/// A range of at most `max` bytes.
fn some(dice: &mut Dice, length: usize, max: usize) -> Range<usize> {
    let start = dice.below(length + 1);
    start..start + dice.below((length - start).min(max) + 1)
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    let length = bytes.len();
    bytes.extend_from_slice(piece);
    bytes.copy_within(at..length, at + piece.len());
    bytes[at..at + piece.len()].copy_from_slice(piece);
}

/// Puts another number in a number's place.
fn number(dice: &mut Dice, bytes: &mut Vec<u8>) {
    let from = dice.below(bytes.len() + 1);
    let Some(start) = bytes[from..].iter().position(u8::is_ascii_digit) else { return };
    let start = from + start;
    let length = bytes[start..].iter().take_while(|b| b.is_ascii_digit()).count();
    let other = dice.of(NUMBERS);
    drop(bytes.splice(start..start + length, other.bytes()));
}

/// One piece many times over, which shows what is not linear.
fn blow_up(dice: &mut Dice, bytes: &mut Vec<u8>) {
    let range = if dice.one_in(2) {
        some(dice, bytes.len(), 40)
    } else {
        // A whole line, or what is between two commas.
        let mark = if dice.one_in(2) { b'\n' } else { b',' };
        let start = dice.below(bytes.len() + 1);
        let next = |from: usize| {
            let found = bytes[from..].iter().position(|b| *b == mark);
            found.map_or(bytes.len(), |at| from + at + 1)
        };
        let start = next(start);
        start..next(start)
    };
    let piece = bytes[range.clone()].to_vec();
    if piece.is_empty() {
        return;
    }
    let times = (INPUT_MAX >> dice.below(6)) / piece.len();
    insert(bytes, range.end, &piece.repeat(times));
}

/// Damage to a value within a JSON document, or within one line of many.
fn structured(dice: &mut Dice, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    let Some(range) = document(dice, bytes) else { return };
    let Ok(mut value) = serde_json::from_slice::<Value>(&bytes[range.clone()]) else { return };
    let donor = dice.of(corpus);
    let donor = document(dice, donor)
        .and_then(|range| serde_json::from_slice(&donor[range]).ok())
        .unwrap_or(Value::Null);
    damage(dice, &mut value, &donor, 0);
    drop(bytes.splice(range, value.to_string().into_bytes()));
}

/// Where a JSON document is: all of the bytes, or the part of a line that begins with a brace.
fn document(dice: &mut Dice, bytes: &[u8]) -> Option<Range<usize>> {
    let whole = bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
    if whole && bytes.ends_with(b"}\n") && bytes.get(1) == Some(&b'\n') {
        return Some(0..bytes.len());
    }
    let from = dice.below(bytes.len() + 1);
    let start = from + bytes[from..].iter().position(|b| *b == b'\n')? + 1;
    let end = start + bytes[start..].iter().position(|b| *b == b'\n')?;
    let brace = start + bytes[start..end].iter().position(|b| *b == b'{')?;
    Some(brace..end)
}

/// Goes down to a random place and changes what is there.
fn damage(dice: &mut Dice, value: &mut Value, donor: &Value, depth: usize) {
    let descend = depth < 12 && !dice.one_in(5);
    match value {
        Value::Object(members) if descend && !members.is_empty() => {
            let at = dice.below(members.len());
            if let Some((_, inner)) = members.iter_mut().nth(at) {
                let donor = pick(dice, donor);
                damage(dice, inner, donor, depth + 1);
            }
        }
        Value::Array(items) if descend && !items.is_empty() => {
            let at = dice.below(items.len());
            let donor = pick(dice, donor);
            damage(dice, &mut items[at], donor, depth + 1);
        }
        Value::Object(members) if !dice.one_in(4) => change_members(dice, members, donor),
        Value::Array(items) if !dice.one_in(4) => {
            let at = dice.below(items.len() + 1);
            match dice.below(4) {
                0 if at < items.len() => drop(items.remove(at)),
                1 if at < items.len() => {
                    let copies = vec![items[at].clone(); 1 << dice.below(9)];
                    items.extend(copies);
                }
                2 => items.reverse(),
                _ => items.insert(at, pick(dice, donor).clone()),
            }
        }
        other => *other = replacement(dice, other, donor),
    }
}

fn change_members(dice: &mut Dice, members: &mut Map<String, Value>, donor: &Value) {
    let at = dice.below(members.len());
    let key = members.keys().nth(at).cloned().unwrap_or_default();
    match dice.below(4) {
        0 => drop(members.remove(&key)),
        1 => {
            let value = members.remove(&key).unwrap_or_default();
            members.insert((*dice.of(WORDS)).to_owned(), value);
        }
        2 => {
            let value = replacement(dice, &Value::Null, donor);
            members.insert((*dice.of(WORDS)).to_owned(), value);
        }
        _ => match donor {
            Value::Object(others) => members.extend(others.clone()),
            other => drop(members.insert(key, other.clone())),
        },
    }
}

fn replacement(dice: &mut Dice, old: &Value, donor: &Value) -> Value {
    match dice.below(12) {
        0 => Value::Null,
        1 => json!(dice.one_in(2)),
        2 => json!({}),
        3 => json!([]),
        4 => json!(""),
        5 => json!([old]),
        6 => json!({"type": old, "text": old}),
        7 => serde_json::from_str(dice.of::<&str>(NUMBERS)).unwrap_or_default(),
        8 => json!(*dice.of::<&str>(WORDS)),
        9 => {
            let word = *dice.of(WORDS);
            json!(word.repeat(1 << dice.below(10)))
        }
        10 => json!(old.to_string()),
        _ => donor.clone(),
    }
}

/// A value within another.
fn pick<'a>(dice: &mut Dice, value: &'a Value) -> &'a Value {
    match value {
        Value::Object(members) if !members.is_empty() && !dice.one_in(3) => {
            members.values().nth(dice.below(members.len())).unwrap_or(value)
        }
        Value::Array(items) if !items.is_empty() && !dice.one_in(3) => dice.of(items),
        _ => value,
    }
}
