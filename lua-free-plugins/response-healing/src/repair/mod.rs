//! Reads JSON as it was meant and writes it as it should be.
//!
//! One pass from a bracket to the one that closes it. What is sound is copied byte by byte; each
//! repair replaces the few bytes that it is about. Nothing is made up: a value that is missing, a
//! word that is no value and a text that does not end are no JSON and stay so.

mod kinds;
mod strings;

pub(crate) use kinds::{Kind, Kinds};

/// How deep brackets may be nested: what `serde_json` reads.
pub(crate) const DEPTH_MAX: usize = 127;

/// What fences a block of code.
pub(crate) const FENCE: &str = "```";

/// JSON that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repaired {
    /// The JSON, repaired.
    pub(crate) json: String,
    /// Where it ended in the text that was read.
    pub(crate) end: usize,
    /// What was repaired.
    pub(crate) kinds: Kinds,
}

/// Why there is no JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The bracket does not begin any.
    Stray,
    /// It does, but what follows is beyond repair, or cut short.
    Broken,
}

/// A failure, and how far the text was read.
pub(crate) type Failed = (Failure, usize);

/// Reads the JSON that begins with the bracket at `start`.
///
/// # Errors
/// There is none, or it is beyond repair.
pub(crate) fn repair(text: &str, start: usize) -> Result<Repaired, Failed> {
    let mut repair = Repair {
        text,
        at: start,
        copied: start,
        json: String::new(),
        kinds: Kinds::default(),
        open: Vec::new(),
        committed: false,
        before: Before::Other,
        gap: Gap::None,
    };
    match repair.document() {
        Ok(()) => {
            repair.copy(repair.at);
            Ok(Repaired { json: repair.json, end: repair.at, kinds: repair.kinds })
        }
        Err(Stuck) if repair.committed => Err((Failure::Broken, repair.at)),
        Err(Stuck) => Err((Failure::Stray, repair.at)),
    }
}

/// It cannot go on.
struct Stuck;

type Done = Result<(), Stuck>;

/// What is open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Object,
    Array,
}

impl Open {
    const fn closer(self) -> char {
        match self {
            Self::Object => '}',
            Self::Array => ']',
        }
    }
}

/// What may come next.
#[derive(Clone, Copy)]
enum Expect {
    /// A member or element, or the end of what was just opened.
    First,
    /// A member or element.
    Item,
    /// A comma, or the end of what is open.
    Next,
}

/// The value before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Text,
    Number,
    Other,
}

/// What separates a value from the one before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    None,
    Space,
    Line,
}

struct Repair<'a> {
    text: &'a str,
    at: usize,
    /// Up to here the text has been copied or replaced.
    copied: usize,
    json: String,
    kinds: Kinds,
    open: Vec<Open>,
    /// What was read is JSON: nothing else begins like that.
    committed: bool,
    before: Before,
    gap: Gap,
}

impl Repair<'_> {
    fn document(&mut self) -> Done {
        let mut expect = self.value()?;
        while let Some(open) = self.open.last().copied() {
            self.skip()?;
            expect = match (expect, self.peek()) {
                (Expect::First | Expect::Next, Some('}')) => self.close(Open::Object)?,
                (Expect::First | Expect::Next, Some(']')) => self.close(Open::Array)?,
                (Expect::Next, Some(',')) => self.comma(open)?,
                (Expect::First, _) if self.is_end() && !self.committed => return Err(Stuck),
                (Expect::First | Expect::Next, _) if self.is_end() => {
                    self.close_all();
                    return Ok(());
                }
                (Expect::First | Expect::Item, _) => self.item(open)?,
                (Expect::Next, next) => self.missing_comma(open, next)?,
            };
        }
        Ok(())
    }

    fn item(&mut self, open: Open) -> Result<Expect, Stuck> {
        if open == Open::Array {
            return self.value();
        }
        let quoted = self.is_quote();
        self.key()?;
        self.skip()?;
        if self.peek() != Some(':') {
            return Err(Stuck);
        }
        self.at += 1;
        // `{name: what it is}` is prose as well.
        self.committed |= quoted;
        self.skip()?;
        let expect = self.value()?;
        self.committed = true;
        Ok(expect)
    }

    fn key(&mut self) -> Done {
        if self.is_quote() {
            return self.string();
        }
        let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '-');
        let len = self.rest().find(|c| !word(c)).unwrap_or(0);
        if len == 0 {
            return Err(Stuck);
        }
        self.replace(0, "\"");
        self.at += len;
        self.replace(0, "\"");
        self.kinds.add(Kind::Keys);
        Ok(())
    }

    fn value(&mut self) -> Result<Expect, Stuck> {
        let open = match self.peek() {
            Some('{') => Open::Object,
            Some('[') => Open::Array,
            _ => {
                self.scalar()?;
                return Ok(Expect::Next);
            }
        };
        if self.open.len() == DEPTH_MAX {
            // Nothing that begins here or within is shallow enough to be looked at again.
            self.committed = true;
            return Err(Stuck);
        }
        self.committed |= !self.open.is_empty();
        self.at += 1;
        self.open.push(open);
        Ok(Expect::First)
    }

    fn scalar(&mut self) -> Done {
        if self.is_quote() {
            self.string()?;
            // Numbers in brackets are found in prose; texts in quotes hardly.
            self.committed = true;
            self.before = Before::Text;
            return Ok(());
        }
        match self.peek() {
            Some('-' | '0'..='9') => self.number(),
            _ => self.literal(),
        }
    }

    fn number(&mut self) -> Done {
        let rest = self.rest();
        let len = number_len(rest).ok_or(Stuck)?;
        match rest[len..].chars().next() {
            Some(c) if c.is_alphanumeric() || matches!(c, '.' | '_') => return Err(Stuck),
            Some(_) => {}
            // More digits may have been to come.
            None => return Err(self.cut_short()),
        }
        self.at += len;
        self.before = Before::Number;
        Ok(())
    }

    fn literal(&mut self) -> Done {
        let rest = self.rest();
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let len = rest.find(|c| !word(c)).unwrap_or(rest.len());
        match &rest[..len] {
            "true" | "false" | "null" => self.at += len,
            python @ ("True" | "False" | "None") => {
                let json = match python {
                    "True" => "true",
                    "False" => "false",
                    _ => "null",
                };
                self.replace(len, json);
                self.kinds.add(Kind::Literals);
            }
            _ => return Err(Stuck),
        }
        self.before = Before::Other;
        Ok(())
    }

    /// A closing bracket; those of what is open within are missing if it is not theirs.
    fn close(&mut self, closed: Open) -> Result<Expect, Stuck> {
        if !self.open.contains(&closed) {
            return Err(Stuck);
        }
        while let Some(open) = self.open.pop() {
            if open == closed {
                break;
            }
            self.insert(open.closer());
            self.kinds.add(Kind::Brackets);
        }
        self.at += 1;
        self.before = Before::Other;
        Ok(Expect::Next)
    }

    /// The end of the text, or of the block of code: what is open is closed.
    fn close_all(&mut self) {
        while let Some(open) = self.open.pop() {
            self.insert(open.closer());
        }
        self.kinds.add(Kind::Brackets);
    }

    /// A comma: one that is followed by nothing is too many.
    fn comma(&mut self, open: Open) -> Result<Expect, Stuck> {
        let Some(after) = self.ahead(self.at + 1) else { return Err(self.cut_short()) };
        let rest = &self.text[after..];
        match rest.chars().next() {
            // Something was to follow.
            None => Err(self.cut_short()),
            Some('}' | ']') => Ok(self.drop_comma()),
            Some('`') if rest.starts_with(FENCE) => Ok(self.drop_comma()),
            // In an array, something between them may be missing.
            Some(',') if open == Open::Object => Ok(self.drop_comma()),
            Some(_) => {
                self.at += 1;
                Ok(Expect::Item)
            }
        }
    }

    fn drop_comma(&mut self) -> Expect {
        self.replace(1, "");
        self.kinds.add(Kind::Commas);
        Expect::Next
    }

    /// Something follows a value without a comma. It is put there if nothing else can be meant: a
    /// text may also be one that has quotes in it.
    fn missing_comma(&mut self, open: Open, next: Option<char>) -> Result<Expect, Stuck> {
        let (gap, before) = (self.gap, self.before);
        let quote = self.is_quote();
        let meant = match (open, next) {
            (Open::Object, _) => quote && (before != Before::Text || gap > Gap::None),
            (Open::Array, _) if quote => before != Before::Text || gap == Gap::Line,
            (Open::Array, Some('{' | '[')) => true,
            (Open::Array, Some('-')) => before != Before::Number && gap > Gap::None,
            (Open::Array, Some(c)) => c.is_ascii_alphanumeric() && gap > Gap::None,
            (Open::Array, None) => false,
        };
        if !meant {
            return Err(Stuck);
        }
        self.insert(',');
        self.kinds.add(Kind::Commas);
        Ok(Expect::Item)
    }

    /// The text ends where it should not: it was read to its end, and nothing within it is more
    /// than a part.
    fn cut_short(&mut self) -> Stuck {
        (self.at, self.committed) = (self.text.len(), true);
        Stuck
    }

    /// Goes over white space, and takes out comments.
    fn skip(&mut self) -> Done {
        let from = self.at;
        while self.at < self.text.len() {
            let blank = blank_len(self.rest());
            if blank > 0 {
                self.at += blank;
                continue;
            }
            match comment_len(self.rest()) {
                Some(0) => break,
                Some(len) => {
                    self.replace(len, " ");
                    self.kinds.add(Kind::Comments);
                }
                None => return Err(self.cut_short()),
            }
        }
        self.gap = match &self.text[from..self.at] {
            "" => Gap::None,
            passed if passed.contains('\n') => Gap::Line,
            _ => Gap::Space,
        };
        Ok(())
    }

    /// Where white space and comments end; `None`: a comment does not.
    fn ahead(&self, mut at: usize) -> Option<usize> {
        loop {
            let rest = &self.text[at..];
            let len = blank_len(rest);
            let len = if len > 0 { len } else { comment_len(rest)? };
            if len == 0 {
                return Some(at);
            }
            at += len;
        }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn is_end(&self) -> bool {
        self.rest().is_empty() || self.rest().starts_with(FENCE)
    }

    fn copy(&mut self, to: usize) {
        self.json.push_str(&self.text[self.copied..to]);
        self.copied = to;
    }

    /// Writes something else instead of the next so many bytes, and goes on after them.
    fn replace(&mut self, bytes: usize, with: &str) {
        self.copy(self.at);
        self.json.push_str(with);
        self.at += bytes;
        self.copied = self.at;
    }

    fn insert(&mut self, c: char) {
        self.copy(self.at);
        self.json.push(c);
    }
}

/// How many bytes of white space a text begins with.
fn blank_len(text: &str) -> usize {
    let blank = |c: u8| matches!(c, b' ' | b'\t' | b'\n' | b'\r');
    text.bytes().take_while(|c| blank(*c)).count()
}

/// How long the comment is that a text begins with; 0: it begins with none; `None`: it does not
/// end.
fn comment_len(text: &str) -> Option<usize> {
    if let Some(inner) = text.strip_prefix("/*") {
        return inner.find("*/").map(|len| len + 4);
    }
    if text.starts_with("//") || text.starts_with('#') {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    Some(0)
}

/// How long the number is that a text begins with, as JSON has numbers.
fn number_len(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        rest.iter().take_while(|c| c.is_ascii_digit()).count()
    };
    let start = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(start);
    if whole == 0 || whole > 1 && bytes[start] == b'0' {
        return None;
    }
    let mut at = start + whole;
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at + 1 + sign);
        if exponent == 0 {
            return None;
        }
        at += 1 + sign + exponent;
    }
    Some(at)
}

#[cfg(test)]
mod tests;
