//! A JSON lexer that builds nothing: it checks RFC 8259 and says where things are.
//!
//! It does not recurse (a bit per level remembers object or array), so hostile nesting costs
//! nothing but an error. Text must be valid UTF-8 already.

use super::text::plain_run;

/// Deepest nesting that is accepted.
pub(crate) const DEPTH_MAX: usize = 256;

/// Where a text stops being JSON, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Byte offset.
    pub(crate) at: usize,
    /// What is wrong there.
    pub(crate) what: &'static str,
}

/// A string as it stands in the document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    /// The bytes between the quotes, escapes included.
    pub(crate) raw: &'a [u8],
    /// Offset of the opening quote.
    pub(crate) start: usize,
    /// Offset after the closing quote.
    pub(crate) end: usize,
    /// Whether `raw` has escapes.
    pub(crate) escaped: bool,
    /// ASCII bytes of the unescaped text.
    pub(crate) ascii: usize,
    /// Other bytes of the unescaped text.
    pub(crate) wide: usize,
}

impl Text<'_> {
    /// The unescaped text; `None` for unpaired surrogates.
    pub(crate) fn unescape(&self) -> Option<String> {
        if !self.escaped {
            return std::str::from_utf8(self.raw).ok().map(str::to_owned);
        }
        let mut quoted = Vec::with_capacity(self.raw.len() + 2);
        quoted.push(b'"');
        quoted.extend_from_slice(self.raw);
        quoted.push(b'"');
        serde_json::from_slice(&quoted).ok()
    }

    /// Appends the text; `false` if it cannot be read, as half a pair of surrogates cannot.
    pub(crate) fn unescape_into(&self, out: &mut String) -> bool {
        match std::str::from_utf8(self.raw) {
            Ok(plain) if !self.escaped => out.push_str(plain),
            _ => match self.unescape() {
                Some(plain) => out.push_str(&plain),
                None => return false,
            },
        }
        true
    }
}

/// Watches a value while it is skipped.
pub(crate) trait Watch {
    /// A key of an object at any depth.
    fn key(&mut self, _key: &Text<'_>) {}
    /// A string value; `key` is the member it belongs to, `None` in an array.
    fn text(&mut self, _key: Option<&[u8]>, _text: &Text<'_>) {}
}

/// Watches nothing.
pub(crate) struct Blind;

impl Watch for Blind {}

/// A cursor over a document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lexer<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    /// A cursor at this offset.
    pub(crate) const fn new(body: &'a [u8], at: usize) -> Self {
        Self { body, at }
    }

    /// The offset of the next byte.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// A cursor after the next byte.
    pub(crate) const fn after(other: &Self) -> Self {
        Self { body: other.body, at: other.at + 1 }
    }

    /// The bytes of this span as text.
    pub(crate) fn slice(&self, start: usize, end: usize) -> Option<&'a str> {
        std::str::from_utf8(self.body.get(start..end)?).ok()
    }

    /// Skips white space and shows the next byte.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.body.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// A fault at the next byte.
    pub(crate) fn fault(&self, what: &'static str) -> Fault {
        let what = if self.at >= self.body.len() { "unexpected end of the document" } else { what };
        Fault { at: self.at.min(self.body.len()), what }
    }

    /// Takes the next byte, which must be this one.
    pub(crate) fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Fault> {
        if self.peek() != Some(byte) {
            return Err(self.fault(what));
        }
        self.at += 1;
        Ok(())
    }

    /// White space must be all that is left.
    pub(crate) fn expect_end(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.fault("unexpected data after the document")),
        }
    }

    /// The next member of an object whose `{` was taken: its key, with the cursor at its value.
    /// `None`: the object ended. `first` is true before the first member.
    pub(crate) fn member(&mut self, first: &mut bool) -> Result<Option<Text<'a>>, Fault> {
        if !self.more(first, b'}', "expected ',' or '}'")? {
            return Ok(None);
        }
        let key = self.key()?;
        self.peek();
        Ok(Some(key))
    }

    /// Whether another element follows in an array whose `[` was taken; the cursor is then at it.
    pub(crate) fn element(&mut self, first: &mut bool) -> Result<bool, Fault> {
        if !self.more(first, b']', "expected ',' or ']'")? {
            return Ok(false);
        }
        self.peek();
        Ok(true)
    }

    fn more(&mut self, first: &mut bool, close: u8, what: &'static str) -> Result<bool, Fault> {
        let was_first = std::mem::replace(first, false);
        match self.peek() {
            Some(b) if b == close => {
                self.at += 1;
                Ok(false)
            }
            _ if was_first => Ok(true),
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            _ => Err(self.fault(what)),
        }
    }

    fn key(&mut self) -> Result<Text<'a>, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.fault("expected a string as key"));
        }
        let key = self.string()?;
        self.expect(b':', "expected ':'")?;
        Ok(key)
    }

    /// Reads a string; the cursor must be at its opening quote.
    pub(crate) fn string(&mut self) -> Result<Text<'a>, Fault> {
        let start = self.at;
        let mut text = Text { raw: &[], start, end: start, escaped: false, ascii: 0, wide: 0 };
        self.at += 1;
        loop {
            let rest = self.body.get(self.at..).unwrap_or_default();
            let run = plain_run(rest);
            text.ascii += run.len - run.wide;
            text.wide += run.wide;
            self.at += run.len;
            match self.body.get(self.at) {
                None => return Err(self.fault("unterminated string")),
                Some(b'"') => {
                    text.raw = &self.body[start + 1..self.at];
                    self.at += 1;
                    text.end = self.at;
                    return Ok(text);
                }
                Some(b'\\') => {
                    text.escaped = true;
                    self.escape(&mut text)?;
                }
                Some(_) => return Err(self.fault("control character in a string")),
            }
        }
    }

    fn escape(&mut self, text: &mut Text<'_>) -> Result<(), Fault> {
        self.at += 1;
        match self.body.get(self.at) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                text.ascii += 1;
                Ok(())
            }
            Some(b'u') => {
                self.at += 1;
                let mut unit = 0_u32;
                for _ in 0..4 {
                    let digit = self.body.get(self.at).and_then(|&b| char::from(b).to_digit(16));
                    let Some(digit) = digit else {
                        return Err(self.fault("expected four hexadecimal digits"));
                    };
                    unit = unit << 4 | digit;
                    self.at += 1;
                }
                match unit {
                    0..0x80 => text.ascii += 1,
                    0x80..0x800 | 0xd800..0xe000 => text.wide += 2,
                    _ => text.wide += 3,
                }
                Ok(())
            }
            _ => Err(self.fault("unknown escape")),
        }
    }

    /// Skips one value, which may nest `DEPTH_MAX - depth` levels, and gives its span.
    pub(crate) fn value(
        &mut self,
        depth: usize,
        watch: &mut impl Watch,
    ) -> Result<(usize, usize), Fault> {
        self.peek();
        let start = self.at;
        let mut nest = Nest::new(depth);
        let mut key: Option<Text<'a>> = None;
        loop {
            let mut opened = false;
            match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    nest.push(open == b'{').map_err(|what| self.fault(what))?;
                    self.at += 1;
                    opened = true;
                }
                Some(b'"') => {
                    let text = self.string()?;
                    watch.text(key.as_ref().map(|k| k.raw), &text);
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                _ => return Err(self.fault("expected a value")),
            }
            // After a value, or at the start of a container: close what ends, or go to the next.
            loop {
                let Some(object) = nest.top() else { return Ok((start, self.at)) };
                if object {
                    key = self.member(&mut opened)?;
                    if let Some(key) = &key {
                        watch.key(key);
                        break;
                    }
                } else {
                    key = None;
                    if self.element(&mut opened)? {
                        break;
                    }
                }
                nest.pop();
                opened = false;
            }
        }
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), Fault> {
        if !self.body[self.at..].starts_with(word) {
            return Err(self.fault("expected a value"));
        }
        self.at += word.len();
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let rest = &self.body[self.at..];
        let len = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
        if len == 0 {
            return Err(self.fault("expected a digit"));
        }
        self.at += len;
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.body.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        if self.body.get(self.at) == Some(&b'0') {
            self.at += 1;
            if self.body.get(self.at).is_some_and(u8::is_ascii_digit) {
                return Err(self.fault("a number must not start with 0"));
            }
        } else {
            self.digits()?;
        }
        if self.body.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.body.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.body.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }
}

/// Open containers, a bit each: set for an object.
struct Nest {
    bits: [u64; DEPTH_MAX / 64],
    base: usize,
    depth: usize,
}

impl Nest {
    const fn new(base: usize) -> Self {
        Self { bits: [0; DEPTH_MAX / 64], base, depth: base }
    }

    fn push(&mut self, object: bool) -> Result<(), &'static str> {
        let word = self.bits.get_mut(self.depth / 64).ok_or("nested more than 256 levels deep")?;
        let bit = 1_u64 << (self.depth % 64);
        *word = if object { *word | bit } else { *word & !bit };
        self.depth += 1;
        Ok(())
    }

    fn top(&self) -> Option<bool> {
        if self.depth == self.base {
            return None;
        }
        let at = self.depth - 1;
        Some(self.bits[at / 64] >> (at % 64) & 1 == 1)
    }

    fn pop(&mut self) {
        self.depth -= 1;
    }
}

/// Line and column (in characters) of a byte offset, both from 1.
pub(crate) fn position(body: &[u8], at: usize) -> (usize, usize) {
    let before = &body[..at.min(body.len())];
    let line = memchr::memchr_iter(b'\n', before).count() + 1;
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |i| i + 1);
    let column = before[line_start..].iter().filter(|&&b| b & 0xc0 != 0x80).count() + 1;
    (line, column)
}
