//! JSON written straight into a buffer, because an answer's chunks are too many for a tree.
//!
//! Only what the writers need: strings, whole numbers, and the commas between the members of an
//! object. The caller puts the brackets, so what it writes can be read off the code.

use std::fmt::Display;
use std::io::Write;

/// Which bytes of a string must be escaped: the quote, the backslash and the control characters.
const ESCAPED: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 0x20 {
        table[b] = true;
        b += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table
};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends the text as the inside of a JSON string, without the quotes.
pub(crate) fn escape(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut clean = 0;
    let mut at = next_escaped(bytes, 0);
    while at < bytes.len() {
        out.extend_from_slice(&bytes[clean..at]);
        escape_byte(out, bytes[at]);
        clean = at + 1;
        at = next_escaped(bytes, clean);
    }
    out.extend_from_slice(&bytes[clean..]);
}

/// The offset of the first byte at or after `from` that must be escaped, or the length.
///
/// Looks at eight bytes at a time: a prompt is long and mostly clean.
fn next_escaped(bytes: &[u8], from: usize) -> usize {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let has_zero = |word: u64| word.wrapping_sub(LOW) & !word & HIGH;
    let mut at = from;
    while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*eight);
        let control = word.wrapping_sub(LOW * 0x20) & !word & HIGH;
        let quote = has_zero(word ^ (LOW * b'"' as u64));
        let backslash = has_zero(word ^ (LOW * b'\\' as u64));
        if control | quote | backslash != 0 {
            // A borrow may flag a byte above the first true one, never below it.
            break;
        }
        at += 8;
    }
    bytes[at..].iter().position(|&b| ESCAPED[usize::from(b)]).map_or(bytes.len(), |n| at + n)
}

fn escape_byte(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Appends the text as a JSON string.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escape(out, text);
    out.push(b'"');
}

/// Appends the text as a JSON string, or `null`.
pub(crate) fn string_or_null(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => string(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends a whole number.
pub(crate) fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends what prints itself as JSON, for instance an amount of money or a float.
pub(crate) fn display(out: &mut Vec<u8>, value: impl Display) {
    // Writing into a vector cannot fail.
    let _infallible = write!(out, "{value}");
}

/// Appends a separating comma, unless the byte before opens an object or array.
pub(crate) fn comma(out: &mut Vec<u8>) {
    if !matches!(out.last(), Some(b'{' | b'[') | None) {
        out.push(b',');
    }
}

/// Appends `"name":`, after a comma where one is needed. The name needs no escaping.
pub(crate) fn key(out: &mut Vec<u8>, name: &'static str) {
    comma(out);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends `"name":"text"`.
pub(crate) fn text_member(out: &mut Vec<u8>, name: &'static str, text: &str) {
    key(out, name);
    string(out, text);
}

/// Appends `"name":number`.
pub(crate) fn number_member(out: &mut Vec<u8>, name: &'static str, value: u64) {
    key(out, name);
    number(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn escaped(text: &str) -> String {
        let mut out = Vec::new();
        string(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_ascii_byte_at_every_offset_survives() {
        for byte in 0..128_u8 {
            for before in 0..17 {
                let text = format!("{}{}tail", "é".repeat(before), char::from(byte));
                let back: String = serde_json::from_str(&escaped(&text)).unwrap();
                assert_eq!(back, text, "byte {byte} after {before}");
            }
        }
        assert_eq!(escaped("a\"\\\n\u{1}"), r#""a\"\\\n\u0001""#);
    }

    proptest! {
        #[test]
        fn any_text_round_trips(text in any::<String>()) {
            let back: String = serde_json::from_str(&escaped(&text)).unwrap();
            prop_assert_eq!(back, text);
        }
    }
}
