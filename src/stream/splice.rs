//! Puts what an answer costs into the provider's own JSON, byte for byte otherwise.

use crate::dialect::Bill;
use crate::dialect::chat;
use crate::dialect::json;
use crate::dialect::scan::lexer::{Blind, Fault, Lexer};
use crate::vocab::Usage;

/// Where a member's value stands in an object, and where the object ends.
struct Place {
    value: Option<(usize, usize)>,
    /// The offset of the closing brace.
    close: usize,
    empty: bool,
}

/// Looks for a member of the object at this offset. The last of several of one name counts.
fn find(document: &[u8], at: usize, name: &[u8]) -> Result<Place, Fault> {
    let mut lexer = Lexer::new(document, at);
    lexer.expect(b'{', "expected an object")?;
    let mut place = Place { value: None, close: 0, empty: true };
    let mut first = true;
    while let Some(key) = lexer.member(&mut first)? {
        let value = lexer.value(1, &mut Blind)?;
        place.empty = false;
        if key.raw == name {
            place.value = Some(value);
        }
    }
    place.close = lexer.at() - 1;
    Ok(place)
}

/// Whether the document has a member of this name.
pub(super) fn has(document: &[u8], name: &[u8]) -> Result<bool, Fault> {
    Ok(find(document, 0, name)?.value.is_some())
}

/// Appends the document with `cost` in its member `usage`. `Ok(false)`, with nothing appended: it
/// has no such object.
pub(super) fn cost(document: &[u8], cost: Bill, out: &mut Vec<u8>) -> Result<bool, Fault> {
    match find(document, 0, b"usage")?.value {
        Some((start, _)) => cost_at(document, start, cost, out),
        None => Ok(false),
    }
}

/// The same, where the value of `usage` is known to begin at this offset.
pub(super) fn cost_at(
    document: &[u8],
    start: usize,
    cost: Bill,
    out: &mut Vec<u8>,
) -> Result<bool, Fault> {
    if document.get(start) != Some(&b'{') {
        return Ok(false);
    }
    let place = find(document, start, b"cost")?;
    // With space for a member at the front.
    out.reserve(document.len() + 64);
    let end = if let Some((start, end)) = place.value {
        out.extend_from_slice(&document[..start]);
        end
    } else {
        out.extend_from_slice(&document[..place.close]);
        out.extend_from_slice(if place.empty { b"\"cost\":" } else { b",\"cost\":" });
        place.close
    };
    cost.put(out);
    out.extend_from_slice(&document[end..]);
    Ok(true)
}

/// Appends the document with a `usage` of our own, in the place of what it has under that name.
pub(super) fn usage(
    document: &[u8],
    usage: &Usage,
    cost: Bill,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let place = find(document, 0, b"usage")?;
    let (start, end) = place.value.unwrap_or((place.close, place.close));
    out.reserve(document.len() + 256);
    out.extend_from_slice(&document[..start]);
    if place.value.is_none() {
        out.extend_from_slice(if place.empty { b"\"usage\":" } else { b",\"usage\":" });
    }
    chat::write_usage(out, usage, Some(cost));
    out.extend_from_slice(&document[end..]);
    Ok(())
}

/// The document with one more member at its end.
pub(super) fn member(document: &[u8], name: &str, value: &str) -> Result<Vec<u8>, Fault> {
    let place = find(document, 0, name.as_bytes())?;
    let mut out = Vec::with_capacity(document.len() + name.len() + value.len() + 4);
    out.extend_from_slice(&document[..place.close]);
    if !place.empty {
        out.push(b',');
    }
    json::string(&mut out, name);
    out.push(b':');
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(&document[place.close..]);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::NanoUsd;

    #[test]
    fn only_the_cost_changes() {
        for (before, after) in [
            (r#"{"usage":{"a":1}}"#, r#"{"usage":{"a":1,"cost":0.0000125}}"#),
            (r#" {"usage" : { } } "#, r#" {"usage" : { "cost":0.0000125} } "#),
            (
                r#"{"x":"\"usage\":{}","usage":{"cost": 1e-3, "b":2},"y":[]}"#,
                r#"{"x":"\"usage\":{}","usage":{"cost": 0.0000125, "b":2},"y":[]}"#,
            ),
        ] {
            let mut out = Vec::new();
            assert_eq!(
                cost(before.as_bytes(), NanoUsd(12_500).into(), &mut out),
                Ok(true),
                "{before}"
            );
            assert_eq!(String::from_utf8_lossy(&out), after);
        }
        for none in [r#"{"usage":null}"#, "{}", r#"{"x":{"usage":{}}}"#] {
            let mut out = Vec::new();
            assert_eq!(cost(none.as_bytes(), NanoUsd(1).into(), &mut out), Ok(false), "{none}");
            assert!(out.is_empty(), "nothing is written");
        }
    }

    #[test]
    fn a_missing_usage_is_added() {
        for (before, start, end) in [
            (r#"{"usage":null,"a":1}"#, r#"{"usage":{"prompt_tokens":3,"#, r#"},"a":1}"#),
            (r#"{"a":1} "#, r#"{"a":1,"usage":{"prompt_tokens":3,"#, "}} "),
            ("{}", r#"{"usage":{"prompt_tokens":3,"#, "}}"),
        ] {
            let mut out = Vec::new();
            let counted = Usage { prompt: 3, ..Usage::default() };
            assert_eq!(usage(before.as_bytes(), &counted, NanoUsd(5).into(), &mut out), Ok(()));
            let out = String::from_utf8_lossy(&out).into_owned();
            assert!(out.starts_with(start) && out.ends_with(end), "{before} → {out}");
            assert!(out.contains(r#""cost":0.000000005"#), "{out}");
        }
    }
}
