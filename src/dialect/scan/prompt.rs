//! What is asked in the forms that have no chat messages, and the members of one form alone.

use super::keys::Key;
use super::lexer::{Blind, Lexer};
use super::{Oops, Scan, refuse, text};

/// Most entries of `fallbacks` (OpenRouter, 2026-11).
const FALLBACKS_MAX: usize = 3;

impl Scan<'_> {
    /// What is asked in a form without `messages`: a text, or a list of texts, items or tokens.
    pub(super) fn prompt(&mut self, name: &str) -> Result<(), Oops> {
        let mut inside = Lexer::after(&self.lexer);
        match self.lexer.peek() {
            Some(b'"') => {}
            Some(b'[') if inside.peek() == Some(b']') => {
                return Err(refuse(name, format!("'{name}' must not be empty")));
            }
            Some(b'[') => {}
            _ => return Err(refuse(name, format!("'{name}' must be a string or an array"))),
        }
        self.prose()
    }

    /// Counts the text of a member, whatever its shape; numbers are tokens.
    pub(super) fn prose(&mut self) -> Result<(), Oops> {
        let mut prompt = text::Prompt { text: self.head.text, ..text::Prompt::default() };
        let (start, end) = self.lexer.value(1, &mut prompt)?;
        let raw = self.lexer.slice(start, end).unwrap_or_default().as_bytes();
        let first = raw.iter().find(|b| !b.is_ascii_whitespace() && **b != b'[');
        if raw.first() == Some(&b'[') && first.is_some_and(u8::is_ascii_digit) {
            let tokens = memchr::memchr_iter(b',', raw).count() + 1;
            prompt.text.ascii_bytes += 4 * tokens as u64;
        }
        prompt.text.messages += 1;
        self.head.text = prompt.text;
        self.head.has_images |= prompt.images;
        self.head.has_media |= prompt.media;
        Ok(())
    }

    /// OpenRouter's `fallbacks` of the Messages surface: `[{"model": …}]`.
    pub(super) fn fallbacks(&mut self) -> Result<(), Oops> {
        let wrong = || {
            let text = "'fallbacks' must be an array of at most 3 objects with only 'model'";
            refuse("fallbacks", text)
        };
        match self.lexer.peek() {
            Some(b'n') => {
                self.lexer.value(1, &mut Blind)?;
                return Ok(());
            }
            Some(b'[') => self.lexer.expect(b'[', "expected an array")?,
            _ => return Err(wrong()),
        }
        if self.has(Key::Models) {
            return Err(refuse("fallbacks", "'fallbacks' and 'models' must not both be given"));
        }
        let mut first = true;
        while self.lexer.element(&mut first)? {
            if self.lexer.peek() != Some(b'{') || self.head.models.len() == FALLBACKS_MAX {
                return Err(wrong());
            }
            self.lexer.expect(b'{', "expected an object")?;
            let (mut first, mut model) = (true, None);
            while let Some(key) = self.lexer.member(&mut first)? {
                if key.raw != b"model" || model.is_some() {
                    return Err(wrong());
                }
                model = Some(self.model()?);
            }
            self.head.models.push(model.flatten().ok_or_else(wrong)?);
        }
        Ok(())
    }
}
