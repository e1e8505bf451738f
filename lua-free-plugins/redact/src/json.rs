//! JSON text that comes in pieces, of which only what its strings say is looked through.
//!
//! Strings are read as they are meant, without escapes, and written anew; so what is replaced never
//! takes a quote or a part of an escape with it, and JSON stays JSON. A number or word in which
//! something is found becomes a string. What is no JSON passes as it is, byte by byte.

use crate::filter::{Filter, Reading};

/// Numbers and words that are longer pass unseen: no detector finds one in so long a number, and
/// JSON has no such words.
const TOKEN_BYTES_MAX: usize = 256;

/// A JSON text.
#[derive(Debug, Default)]
pub(crate) struct Json {
    filter: Filter,
    state: State,
    /// What has been read of a string, without escapes, and not been looked through.
    plain: String,
    /// A number or word as it comes, or the beginning of an escape.
    token: String,
    /// The first half of a pair of escapes for one character.
    high: Option<u16>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Between strings.
    #[default]
    Outside,
    /// In a number or word that is too long.
    Long,
    /// In a string.
    String,
    /// In an escape.
    Escape,
}

impl Json {
    /// The text that can go out once this piece is there; `last`: the text ends with it.
    pub(crate) fn read(&mut self, with: &mut Reading<'_>, text: &str, last: bool) -> String {
        let mut out = String::with_capacity(text.len() + self.token.len() + 8);
        for c in text.chars() {
            match self.state {
                State::Outside | State::Long => self.outside(with, c, &mut out),
                State::String => self.string(with, c, &mut out),
                State::Escape => self.escape(with, c, &mut out),
            }
        }
        match self.state {
            State::String | State::Escape if last => {
                self.half(with, &mut out);
                self.say(with, true, &mut out);
                out.push_str(&self.token);
            }
            State::String | State::Escape => self.say(with, false, &mut out),
            State::Outside | State::Long if last => self.token(with, &mut out),
            State::Outside | State::Long => {}
        }
        if last {
            *self = Self::default();
        }
        out
    }

    fn outside(&mut self, with: &mut Reading<'_>, c: char, out: &mut String) {
        let between =
            matches!(c, '"' | '{' | '}' | '[' | ']' | ':' | ',') || c.is_ascii_whitespace();
        match (between, self.state) {
            (false, State::Long) => out.push(c),
            (false, _) => {
                self.token.push(c);
                if self.token.len() > TOKEN_BYTES_MAX {
                    out.push_str(&self.token);
                    self.token.clear();
                    self.state = State::Long;
                }
            }
            (true, _) => {
                self.token(with, out);
                out.push(c);
                self.state = if c == '"' { State::String } else { State::Outside };
            }
        }
    }

    /// A number or word is complete.
    fn token(&mut self, with: &mut Reading<'_>, out: &mut String) {
        if self.token.is_empty() {
            return;
        }
        match Filter::whole(with, &self.token) {
            Some(text) => {
                out.push('"');
                write(&text, out);
                out.push('"');
            }
            None => out.push_str(&self.token),
        }
        self.token.clear();
    }

    fn string(&mut self, with: &mut Reading<'_>, c: char, out: &mut String) {
        match c {
            '\\' => {
                self.token.push(c);
                self.state = State::Escape;
            }
            '"' => {
                self.half(with, out);
                self.say(with, true, out);
                out.push(c);
                self.state = State::Outside;
            }
            c => {
                self.half(with, out);
                self.plain.push(c);
            }
        }
    }

    fn escape(&mut self, with: &mut Reading<'_>, c: char, out: &mut String) {
        self.token.push(c);
        let short = match (self.token.len(), c) {
            (2, 'n') => '\n',
            (2, 't') => '\t',
            (2, 'r') => '\r',
            (2, 'b') => '\u{8}',
            (2, 'f') => '\u{c}',
            (2, '"' | '\\' | '/') => c,
            (2, 'u') => return,
            (3..=5, c) if c.is_ascii_hexdigit() => return,
            (6, c) if c.is_ascii_hexdigit() => return self.unit(with, out),
            // It is no JSON.
            _ => {
                self.half(with, out);
                return self.raw(with, out);
            }
        };
        self.half(with, out);
        self.plain.push(short);
        self.token.clear();
        self.state = State::String;
    }

    /// An escape of a UTF-16 unit is complete.
    fn unit(&mut self, with: &mut Reading<'_>, out: &mut String) {
        let unit = self.token.get(2..).and_then(|hex| u16::from_str_radix(hex, 16).ok());
        let unit = unit.unwrap_or_default();
        if let Some(high) = self.high {
            if let Some(Ok(c)) = char::decode_utf16([high, unit]).next() {
                self.high = None;
                self.plain.push(c);
                self.token.clear();
                self.state = State::String;
                return;
            }
            self.half(with, out);
        }
        match char::from_u32(u32::from(unit)) {
            Some(c) => {
                self.plain.push(c);
                self.token.clear();
                self.state = State::String;
            }
            None if unit < 0xDC00 => {
                self.high = Some(unit);
                self.token.clear();
                self.state = State::String;
            }
            None => self.raw(with, out),
        }
    }

    /// A half without its other half is no text: what is before it is complete, and it passes.
    fn half(&mut self, with: &mut Reading<'_>, out: &mut String) {
        if let Some(high) = self.high.take() {
            self.say(with, true, out);
            out.push_str(&format!("\\u{high:04x}"));
        }
    }

    /// So does an escape that means nothing.
    fn raw(&mut self, with: &mut Reading<'_>, out: &mut String) {
        self.say(with, true, out);
        out.push_str(&self.token);
        self.token.clear();
        self.state = State::String;
    }

    /// Looks through what was read of a string; `last`: it ends here.
    fn say(&mut self, with: &mut Reading<'_>, last: bool, out: &mut String) {
        if last || !self.plain.is_empty() {
            let text = self.filter.read(with, std::mem::take(&mut self.plain), last);
            write(&text, out);
        }
    }
}

/// Writes what a JSON string says.
fn write(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
}
