//! Counting tokens where a provider does not.
//!
//! Every model has a tokenizer of its own and most are not published, so what is counted here is an
//! estimate and is marked so. It is OpenAI's `o200k_base`, by the crate `bpe-openai`, whose time
//! stays linear on hostile text. Its tables are unpacked when they are first needed.

use super::scan::lexer::{Lexer, Text, Watch};

/// What a message costs beside its text, in tokens.
pub const PER_MESSAGE: u64 = 4;
/// What an image or file is taken to cost, in tokens.
const PER_MEDIA: u64 = 1_000;
/// A string longer than this many bytes without a space is media, not text.
const MEDIA_MIN: usize = 4_096;

/// The tokens of a text.
pub fn count(text: &str) -> u64 {
    u64::try_from(bpe_openai::o200k_base().count(text)).unwrap_or(u64::MAX)
}

/// The tokens of the texts in a body, whatever its form. An image or file inside the body counts
/// 1,000; names of members, and what an address leads to, are not counted. Of more than 1 MiB of
/// text the first is counted, and the rest is taken to be like it.
pub fn count_body(body: &[u8]) -> u64 {
    let mut texts = Texts::default();
    // What cannot be read to its end is counted as far as it goes.
    let _rest = Lexer::new(body, 0).value(0, &mut texts).is_err();
    let Texts { media, tokens, counted, bytes } = texts;
    let rest = u128::from(tokens) * (bytes - counted) as u128 / counted.max(1) as u128;
    media.saturating_add(tokens).saturating_add(u64::try_from(rest).unwrap_or(u64::MAX))
}

/// How much text of a body is counted, in bytes: some hundredths of a second's work.
const COUNTED_MAX: usize = 1 << 20;

#[derive(Default)]
struct Texts {
    /// Tokens of images and files.
    media: u64,
    /// Tokens of the text that was counted.
    tokens: u64,
    /// Bytes of text that was counted, and of all text, as it stands in the body.
    counted: usize,
    bytes: usize,
}

impl Watch for Texts {
    fn key(&mut self, _key: &Text<'_>) {}

    fn text(&mut self, key: Option<&[u8]>, text: &Text<'_>) {
        let said_nothing: [&[u8]; 5] = [b"role", b"type", b"model", b"id", b"tool_call_id"];
        if key.is_some_and(|key| said_nothing.contains(&key)) {
            return;
        }
        let media = text.raw.starts_with(b"data:")
            || (text.raw.len() > MEDIA_MIN && !text.raw.contains(&b' '));
        if media {
            self.media += PER_MEDIA;
            return;
        }
        self.bytes += text.raw.len();
        let room = COUNTED_MAX.saturating_sub(self.counted);
        let mut part = *text;
        if part.raw.len() > room {
            // No escape and no character is cut in two before a space.
            let end = memchr::memrchr(b' ', &part.raw[..room]).unwrap_or(0);
            part.raw = &part.raw[..end];
        }
        self.counted += part.raw.len();
        self.tokens += part.unescape().map_or(0, |text| count(&text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_about_a_token_each() {
        assert_eq!(count(""), 0);
        assert_eq!(count("Hello world"), 2);
        assert!((30..60).contains(&count(&"river ".repeat(40))));
        let emoji = count("🦀🦀🦀");
        assert!((1..=12).contains(&emoji), "{emoji}");
    }

    #[test]
    fn a_body_counts_its_texts_and_media() {
        let body = br#"{"model":"a/b","messages":[{"role":"system","content":"Be brief, please."},
            {"role":"user","content":[{"type":"text","text":"What is the longest river?"},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]}"#;
        let tokens = count_body(body);
        assert!((PER_MEDIA + 6..PER_MEDIA + 20).contains(&tokens), "{tokens}");
        let alone = br#"{"role":"user","type":"text","model":"a/b","text":"Hello world"}"#;
        assert_eq!(count_body(alone), 2, "roles, kinds and ids say nothing");
    }

    #[test]
    fn a_long_body_is_counted_by_its_beginning() {
        let messages = |count| {
            let message = format!(r#"{{"content":"{}"}}"#, "river and sea ".repeat(1000));
            format!("[{}]", vec![message; count].join(","))
        };
        let few = count_body(messages(10).as_bytes());
        let many = count_body(messages(1000).as_bytes());
        assert!((99 * few..=101 * few).contains(&many), "{few} {many}");
        let one = format!(r#""{}""#, r"river\nand sea ".repeat(1_000_000));
        let many = count_body(one.as_bytes());
        assert!((3_500_000..=4_500_000).contains(&many), "{many}");
    }

    #[test]
    fn hostile_text_is_counted_in_reasonable_time() {
        // Quadratic tokenizers take minutes for this.
        assert!(count(&"a".repeat(200_000)) > 0);
        assert!(count(&" ".repeat(200_000)) > 0);
    }
}
