//! Texts and their quotes.

use super::{Done, Kind, Repair, Stuck};

/// How a text is quoted.
#[derive(Clone, Copy)]
struct Quotes {
    /// What may close it.
    closers: &'static [char],
    /// The closing quote is also the apostrophe.
    apostrophe: bool,
}

/// The quotes that a text which begins with this character has; `None`: it is no quote.
const fn quotes(opener: char) -> Option<Quotes> {
    Some(match opener {
        '"' => Quotes { closers: &['"'], apostrophe: false },
        '\'' => Quotes { closers: &['\''], apostrophe: true },
        '“' => Quotes { closers: &['”'], apostrophe: false },
        '”' | '„' => Quotes { closers: &['”', '“'], apostrophe: false },
        '‘' | '’' => Quotes { closers: &['’'], apostrophe: true },
        _ => return None,
    })
}

impl Repair<'_> {
    pub(super) fn is_quote(&self) -> bool {
        self.peek().is_some_and(|c| quotes(c).is_some())
    }

    /// Goes over a text, and gives it the quotes and escapes that JSON has. What it says stays.
    pub(super) fn string(&mut self) -> Done {
        let opener = self.peek().ok_or(Stuck)?;
        let own = quotes(opener).ok_or(Stuck)?;
        self.quote(opener);
        loop {
            let special = |c: char| {
                c.is_ascii_control() && c != '\x7f'
                    || matches!(c, '"' | '\\')
                    || own.closers.contains(&c)
            };
            let rest = self.rest();
            let Some(len) = rest.find(special) else { return Err(self.cut_short()) };
            self.at += len;
            match self.peek() {
                Some('\\') => self.escape()?,
                Some(c) if own.closers.contains(&c) => {
                    if own.apostrophe && self.is_within_word(c) {
                        self.at += c.len_utf8();
                        continue;
                    }
                    self.quote(c);
                    return Ok(());
                }
                Some('"') => self.replace(1, "\\\""),
                Some(c) => self.control(c),
                None => return Err(Stuck),
            }
        }
    }

    /// An opening or closing quote.
    fn quote(&mut self, c: char) {
        if c == '"' {
            self.at += 1;
        } else {
            self.replace(c.len_utf8(), "\"");
            self.kinds.add(Kind::Quotes);
        }
    }

    /// Whether letters or digits are on both sides of this character: then it is an apostrophe.
    fn is_within_word(&self, c: char) -> bool {
        let before = self.text[..self.at].chars().next_back();
        let after = self.text[self.at + c.len_utf8()..].chars().next();
        before.is_some_and(char::is_alphanumeric) && after.is_some_and(char::is_alphanumeric)
    }

    fn escape(&mut self) -> Done {
        let rest = self.rest().as_bytes();
        let hex = rest.get(2..6).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        match rest.get(1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') if hex => self.at += 6,
            Some(b'\'') => {
                self.replace(2, "'");
                self.kinds.add(Kind::Quotes);
            }
            Some(_) => return Err(Stuck),
            None => return Err(self.cut_short()),
        }
        Ok(())
    }

    fn control(&mut self, c: char) {
        match c {
            '\n' => self.replace(1, "\\n"),
            '\r' => self.replace(1, "\\r"),
            '\t' => self.replace(1, "\\t"),
            c => self.replace(1, &format!("\\u{:04x}", u32::from(c))),
        }
        self.kinds.add(Kind::Controls);
    }
}
