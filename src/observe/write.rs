//! Spelling one line, as JSON or as `name=value` text, into a buffer that is reused.
//!
//! Both spellings are pure ASCII without control characters: whatever a caller put into a path or
//! a model name cannot begin a new line, forge a field or speak to a terminal.

use crate::vocab::NanoUsd;

/// Where a line's fields go, in order.
pub(super) trait Fields {
    fn text(&mut self, name: &str, value: &str);
    fn number(&mut self, name: &str, value: u64);
    fn flag(&mut self, name: &str, value: bool);
    /// Microseconds, shown as milliseconds with three decimal places.
    fn millis(&mut self, name: &str, micros: u64);
    fn money(&mut self, name: &str, value: NanoUsd);
    /// A list with one text.
    fn single(&mut self, name: &str, value: &str);
    /// A list of pairs.
    fn pairs<'a>(
        &mut self,
        name: &str,
        keys: (&str, &str),
        pairs: &mut dyn Iterator<Item = (&'a str, &'a str)>,
    );
}

/// One JSON object and a line feed.
pub(super) struct Json<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Json<'a> {
    pub(super) fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    pub(super) fn end(self) {
        self.out.extend_from_slice(b"}\n");
    }

    /// Names are constants of ours, which need no escapes.
    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

impl Fields for Json<'_> {
    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        quoted(self.out, value);
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        decimal(self.out, value);
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.name(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn millis(&mut self, name: &str, micros: u64) {
        self.name(name);
        thousandths(self.out, micros);
    }

    fn money(&mut self, name: &str, value: NanoUsd) {
        self.name(name);
        self.out.extend_from_slice(itoa::Buffer::new().format(value.0).as_bytes());
    }

    fn single(&mut self, name: &str, value: &str) {
        self.name(name);
        self.out.push(b'[');
        quoted(self.out, value);
        self.out.push(b']');
    }

    fn pairs<'a>(
        &mut self,
        name: &str,
        keys: (&str, &str),
        pairs: &mut dyn Iterator<Item = (&'a str, &'a str)>,
    ) {
        self.name(name);
        self.out.push(b'[');
        for (i, (left, right)) in pairs.enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            let mut object = Json { out: self.out, first: true };
            object.out.push(b'{');
            object.text(keys.0, left);
            object.text(keys.1, right);
            self.out.push(b'}');
        }
        self.out.push(b']');
    }
}

/// `name=value` with spaces between, and a line feed.
pub(super) struct Text<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Text<'a> {
    pub(super) const fn begin(out: &'a mut Vec<u8>) -> Self {
        Self { out, first: true }
    }

    pub(super) fn end(self) {
        self.out.push(b'\n');
    }

    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b' ');
        }
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'=');
    }

    fn word(&mut self, value: &str) {
        let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'=' | b'\\');
        if !value.is_empty() && value.bytes().all(plain) {
            self.out.extend_from_slice(value.as_bytes());
        } else {
            quoted(self.out, value);
        }
    }
}

impl Fields for Text<'_> {
    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.word(value);
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        decimal(self.out, value);
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.name(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn millis(&mut self, name: &str, micros: u64) {
        self.name(name);
        thousandths(self.out, micros);
    }

    fn money(&mut self, name: &str, value: NanoUsd) {
        self.name(name);
        self.out.extend_from_slice(itoa::Buffer::new().format(value.0).as_bytes());
    }

    fn single(&mut self, name: &str, value: &str) {
        self.text(name, value);
    }

    fn pairs<'a>(
        &mut self,
        name: &str,
        _keys: (&str, &str),
        pairs: &mut dyn Iterator<Item = (&'a str, &'a str)>,
    ) {
        self.name(name);
        for (i, (left, right)) in pairs.enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            self.word(left);
            self.out.push(b'>');
            self.word(right);
        }
    }
}

fn decimal(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn thousandths(out: &mut Vec<u8>, value: u64) {
    decimal(out, value / 1_000);
    let rest = value % 1_000;
    let digit = |n: u64| b'0' + u8::try_from(n % 10).unwrap_or_default();
    out.extend_from_slice(&[b'.', digit(rest / 100), digit(rest / 10), digit(rest)]);
}

/// A JSON string in printable ASCII.
fn quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    // Nearly every text is plain.
    let plain = |b: &u8| matches!(*b, b' '..=b'~') && !matches!(*b, b'"' | b'\\');
    if text.as_bytes().iter().all(plain) {
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend_from_slice(&[b'\\', if c == '"' { b'"' } else { b'\\' }]),
            ' '..='~' => {
                let mut byte = [0];
                out.extend_from_slice(c.encode_utf8(&mut byte).as_bytes());
            }
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    const DIGITS: &[u8; 16] = b"0123456789abcdef";
                    let digit = |shift: u16| DIGITS[usize::from(*unit >> shift & 0xf)];
                    out.extend_from_slice(b"\\u");
                    out.extend_from_slice(&[digit(12), digit(8), digit(4), digit(0)]);
                }
            }
        }
    }
    out.push(b'"');
}
