//! The usual whole answer, read in one walk: one choice with a text, a finish reason and a usage.
//!
//! Most answers are that, and reading them member by member through serde costs a tenth of such a
//! request. Whatever is not exactly that (an error, a tool call, a member that comes twice, an
//! escape in a name) is left to the thorough reading, which must find the same in what is read here.

use crate::dialect::ir::FinishReason;
use crate::dialect::openai::wire;
use crate::dialect::scan::TextStats;
use crate::dialect::scan::lexer::{Blind, Lexer, Text};
use crate::vocab::Usage;

/// What such an answer says.
#[derive(Debug, PartialEq)]
pub(super) struct Glance<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) model: Option<&'a str>,
    pub(super) finish: FinishReason,
    pub(super) native: &'a str,
    pub(super) text: TextStats,
    pub(super) usage: Usage,
    /// Where the usage begins.
    pub(super) usage_at: usize,
    /// Whether `system_fingerprint` is there.
    pub(super) fingerprint: bool,
}

/// The longest id or model name that is kept, in bytes; a longer one is left to the other reading.
const NAME_MAX: usize = 256;

/// Reads the answer; `None`: it is not the usual one.
pub(super) fn glance(document: &str) -> Option<Glance<'_>> {
    let mut lexer = Lexer::new(document.as_bytes(), 0);
    lexer.peek().filter(|byte| *byte == b'{')?;
    lexer.expect(b'{', "an object").ok()?;
    let mut seen = 0_u8;
    let (mut id, mut model, mut choice, mut usage) = (None, None, None, None);
    let (mut first, mut fingerprint) = (true, false);
    while let Some(key) = lexer.member(&mut first).ok()? {
        let bit = match plain(&key)? {
            "id" => {
                id = name(&mut lexer)?;
                1
            }
            "model" => {
                model = name(&mut lexer)?;
                2
            }
            "choices" => {
                choice = Some(only_choice(&mut lexer)?);
                4
            }
            "usage" => {
                let (start, end) = lexer.value(1, &mut Blind).ok()?;
                usage = Some((start, document.get(start..end)?));
                8
            }
            "error" | "x_groq" | "base_resp" => {
                nothing(&mut lexer)?;
                continue;
            }
            other => {
                fingerprint |= other == "system_fingerprint";
                lexer.value(1, &mut Blind).ok()?;
                continue;
            }
        };
        if seen & bit != 0 {
            return None;
        }
        seen |= bit;
    }
    lexer.expect_end().ok()?;
    let (usage_at, usage) = usage?;
    let usage = wire::usage_of(usage, false)?;
    let OnlyChoice { finish, native, text } = choice?;
    Some(Glance { id, model, finish, native, text, usage, usage_at, fingerprint })
}

struct OnlyChoice<'a> {
    finish: FinishReason,
    native: &'a str,
    text: TextStats,
}

fn only_choice<'a>(lexer: &mut Lexer<'a>) -> Option<OnlyChoice<'a>> {
    (lexer.peek()? == b'[').then_some(())?;
    lexer.expect(b'[', "an array").ok()?;
    let mut first = true;
    lexer.element(&mut first).ok()?.then_some(())?;
    (lexer.peek()? == b'{').then_some(())?;
    lexer.expect(b'{', "an object").ok()?;
    let (mut seen, mut native, mut text) = (0_u8, None, None);
    let mut inner = true;
    while let Some(key) = lexer.member(&mut inner).ok()? {
        let bit = match plain(&key)? {
            "index" => {
                let (start, end) = lexer.value(2, &mut Blind).ok()?;
                (lexer.slice(start, end)? == "0").then_some(())?;
                1
            }
            "message" => {
                text = Some(message(lexer)?);
                2
            }
            "finish_reason" => {
                native = Some(plain(&string(lexer)?)?);
                4
            }
            "delta" | "usage" => {
                nothing(lexer)?;
                continue;
            }
            _ => {
                lexer.value(2, &mut Blind).ok()?;
                continue;
            }
        };
        if seen & bit != 0 {
            return None;
        }
        seen |= bit;
    }
    // A second choice is not the usual.
    (!lexer.element(&mut first).ok()?).then_some(())?;
    let native = native.filter(|word| !word.trim().is_empty() && word.len() <= NAME_MAX)?;
    Some(OnlyChoice { finish: wire::finish_reason(native)?, native, text: text? })
}

/// A message that says something as its content, and nothing in any other way.
fn message(lexer: &mut Lexer<'_>) -> Option<TextStats> {
    (lexer.peek()? == b'{').then_some(())?;
    lexer.expect(b'{', "an object").ok()?;
    let (mut seen, mut first, mut stats) = (false, true, TextStats::default());
    while let Some(key) = lexer.member(&mut first).ok()? {
        match plain(&key)? {
            "content" if !std::mem::replace(&mut seen, true) => {
                let text = string(lexer)?;
                (!text.raw.is_empty()).then_some(())?;
                stats.add(&text);
            }
            "role" => {
                string(lexer)?;
            }
            // What holds nothing changes nothing.
            "annotations" => {
                let (start, end) = lexer.value(3, &mut Blind).ok()?;
                matches!(lexer.slice(start, end)?, "[]" | "null").then_some(())?;
            }
            _ => nothing(lexer)?,
        }
    }
    seen.then_some(stats)
}

/// A name without escapes.
fn plain<'a>(text: &Text<'a>) -> Option<&'a str> {
    if text.escaped { None } else { std::str::from_utf8(text.raw).ok() }
}

fn string<'a>(lexer: &mut Lexer<'a>) -> Option<Text<'a>> {
    (lexer.peek()? == b'"').then_some(())?;
    lexer.string().ok()
}

/// A name that is kept as it stands; another value than a string says nothing.
fn name<'a>(lexer: &mut Lexer<'a>) -> Option<Option<&'a str>> {
    let text = plain(&string(lexer)?)?;
    (text.len() <= NAME_MAX).then_some(Some(text).filter(|text| !text.is_empty()))
}

fn nothing(lexer: &mut Lexer<'_>) -> Option<()> {
    (lexer.peek()? == b'n').then_some(())?;
    lexer.value(3, &mut Blind).ok().map(|_| ())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Meter;
    use super::super::whole::{Places, read};
    use super::*;

    const USUAL: &str = r#"{"id":"c1","object":"chat.completion","created":1,"model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hi \"you\" é","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4}},"system_fingerprint":null}"#;

    /// Both readings of a document; the quick one must be what the thorough one is, if it is at all.
    fn compare(document: &str) -> bool {
        let Some(seen) = glance(document) else { return false };
        let (mut quick, mut thorough) = (Meter::up_to(100), Meter::up_to(100));
        quick.glance(&seen);
        let found = read(document, &mut thorough).expect(document);
        let places = Places { usage: Some(seen.usage_at), fingerprint: seen.fingerprint };
        assert_eq!(found, places, "{document}");
        assert_eq!(format!("{quick:?}"), format!("{thorough:?}"), "{document}");
        true
    }

    #[test]
    fn the_usual_answer_is_read_at_a_glance() {
        assert!(compare(USUAL));
        assert!(compare(&USUAL.replace("\"stop\"", "\"length\"").replace(":null", " : null ")));
        assert!(compare(&USUAL.replace("system_fingerprint", "other")));
        for (from, to) in [
            ("\"content\":\"Hi", "\"content\":\"\",\"x\":\"Hi"),
            ("\"refusal\":null", "\"tool_calls\":[]"),
            ("\"refusal\":null", "\"refusal\":\"no\""),
            ("\"refusal\":null", "\"reasoning\":\"hm\""),
            ("\"annotations\":[]", "\"content\":\"again\""),
            ("\"index\":0", "\"index\":1"),
            ("\"finish_reason\":\"stop\"", "\"finish_reason\":\"error\""),
            ("\"finish_reason\":\"stop\"", "\"finish_reason\":null"),
            ("\"stop\"}]", "\"stop\"},{\"index\":1}]"),
            ("\"usage\":{", "\"usage\":null,\"u\":{"),
            ("\"id\":\"c1\"", "\"id\":\"c1\",\"error\":{\"message\":\"x\"}"),
            ("\"id\"", "\"i\\u0064\""),
            ("\"model\":", "\"usage\":{},\"model\":"),
        ] {
            let other = USUAL.replacen(from, to, 1);
            assert_ne!(other, USUAL, "{from}");
            assert!(!compare(&other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_at_a_glance_is_read_alike(
            cut in 0_usize..USUAL.len(), len in 0_usize..24,
            piece in prop::sample::select(vec![
                "", "null", "{}", "[]", "\"\"", "\"a\"", "0", "1", ",", "{", "}", "[", "]", ":",
                "\"content\":\"b\"", "\"usage\":{\"prompt_tokens\":1}", "\"error\":1", "\\", "é",
            ]),
        ) {
            prop_assume!(USUAL.is_char_boundary(cut));
            let mut end = (cut + len).min(USUAL.len());
            while !USUAL.is_char_boundary(end) {
                end -= 1;
            }
            let end = end.max(cut);
            let document = format!("{}{piece}{}", &USUAL[..cut], &USUAL[end..]);
            compare(&document);
        }
    }
}
