//! A JSON text as a flat list of nodes that point into it.
//!
//! A tree of maps and strings costs an allocation per value, and a recursive reader can be driven
//! off its stack. The tape is one vector, filled in one pass with an explicit stack of bounded
//! depth; strings and numbers stay where they are in the text.

use super::key::BadBody;

/// Deepest nesting of arrays and objects.
pub(super) const DEPTH_MAX: usize = 256;
/// Most values and property names in one body: together with [`Node`]'s size it bounds the memory
/// of one tape to 16 MiB.
pub(super) const NODES_MAX: usize = 1 << 20;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Null,
    True,
    False,
    Number,
    /// A string without a backslash; the span excludes the quotes.
    Plain,
    /// A string with at least one escape; the span excludes the quotes.
    Escaped,
    Array,
    /// Its children are a property name ([`Shape::Plain`] or [`Shape::Escaped`]) and a value in
    /// turn.
    Object,
}

/// One value or property name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) shape: Shape,
    /// First byte of the value in the text.
    start: u32,
    /// The byte after its last; for containers the number of children.
    end: u32,
    /// Index of the first node after this one and all that it contains.
    pub(super) next: u32,
}

impl Node {
    /// The bytes of a scalar.
    pub(super) fn span<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// How many elements or members a container has.
    pub(super) fn count(&self) -> u32 {
        match self.shape {
            Shape::Array => self.end,
            Shape::Object => self.end / 2,
            Shape::Null
            | Shape::True
            | Shape::False
            | Shape::Number
            | Shape::Plain
            | Shape::Escaped => 0,
        }
    }
}

/// Reads one JSON text.
pub(super) fn read(text: &[u8]) -> Result<Vec<Node>, BadBody> {
    if u32::try_from(text.len()).is_err() {
        return Err(BadBody::TooComplex);
    }
    if simdutf8::basic::from_utf8(text).is_err() {
        return Err(BadBody::NotJson(0));
    }
    let mut reader = Reader { text, at: 0, nodes: Vec::new(), open: Vec::new() };
    reader.run()?;
    Ok(reader.nodes)
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    /// Indices of the containers that are not closed yet.
    open: Vec<u32>,
}

/// What may come next.
#[derive(Clone, Copy)]
enum Expect {
    /// A value; `or_close` right after `[`.
    Value { or_close: bool },
    /// A property name; `or_close` right after `{`.
    Name { or_close: bool },
    /// A comma, the end of the open container, or of the text.
    After,
}

impl Reader<'_> {
    fn run(&mut self) -> Result<(), BadBody> {
        let mut expect = Expect::Value { or_close: false };
        loop {
            self.skip_space();
            expect = match expect {
                Expect::Value { or_close } => {
                    if or_close && self.peek() == Some(b']') {
                        self.close()?
                    } else {
                        self.value()?
                    }
                }
                Expect::Name { or_close } => {
                    if or_close && self.peek() == Some(b'}') {
                        self.close()?
                    } else {
                        self.name()?
                    }
                }
                Expect::After => match (self.open.last(), self.peek()) {
                    (None, None) => return Ok(()),
                    (Some(_), Some(b',')) => {
                        self.at += 1;
                        match self.open_shape() {
                            Some(Shape::Object) => Expect::Name { or_close: false },
                            _ => Expect::Value { or_close: false },
                        }
                    }
                    (Some(_), Some(b']' | b'}')) => self.close()?,
                    _ => return Err(self.bad()),
                },
            };
        }
    }

    fn value(&mut self) -> Result<Expect, BadBody> {
        match self.peek() {
            Some(b'{') => self.open_container(Shape::Object),
            Some(b'[') => self.open_container(Shape::Array),
            Some(b'"') => {
                self.string()?;
                Ok(Expect::After)
            }
            Some(b't') => self.literal(b"true", Shape::True),
            Some(b'f') => self.literal(b"false", Shape::False),
            Some(b'n') => self.literal(b"null", Shape::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.bad()),
        }
    }

    fn name(&mut self) -> Result<Expect, BadBody> {
        if self.peek() != Some(b'"') {
            return Err(self.bad());
        }
        self.string()?;
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(self.bad());
        }
        self.at += 1;
        Ok(Expect::Value { or_close: false })
    }

    fn open_container(&mut self, shape: Shape) -> Result<Expect, BadBody> {
        if self.open.len() >= DEPTH_MAX {
            return Err(BadBody::TooDeep);
        }
        let start = self.at;
        let index = self.push(shape, start, 0)?;
        self.open.push(index);
        self.at += 1;
        Ok(match shape {
            Shape::Object => Expect::Name { or_close: true },
            _ => Expect::Value { or_close: true },
        })
    }

    fn close(&mut self) -> Result<Expect, BadBody> {
        let fits = matches!(
            (self.open_shape(), self.peek()),
            (Some(Shape::Array), Some(b']')) | (Some(Shape::Object), Some(b'}'))
        );
        if !fits {
            return Err(self.bad());
        }
        self.at += 1;
        let next = self.len();
        if let Some(node) = self.open.pop().and_then(|i| self.nodes.get_mut(i as usize)) {
            node.next = next;
        }
        Ok(Expect::After)
    }

    fn string(&mut self) -> Result<(), BadBody> {
        let start = self.at + 1;
        let mut at = start;
        let mut shape = Shape::Plain;
        loop {
            let rest = self.text.get(at..).unwrap_or_default();
            let Some(step) = memchr::memchr2(b'"', b'\\', rest) else {
                return Err(BadBody::NotJson(self.text.len()));
            };
            if let Some(control) = rest[..step].iter().position(|b| *b < 0x20) {
                return Err(BadBody::NotJson(at + control));
            }
            at += step;
            if self.text[at] == b'"' {
                break;
            }
            shape = Shape::Escaped;
            at += self.escape(at)?;
        }
        self.push(shape, start, at)?;
        self.at = at + 1;
        Ok(())
    }

    /// The length of the escape that begins at `at`, which is 2 or 6.
    fn escape(&self, at: usize) -> Result<usize, BadBody> {
        match self.text.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
            Some(b'u') => match self.text.get(at + 2..at + 6) {
                Some(hex) if hex.iter().all(u8::is_ascii_hexdigit) => Ok(6),
                _ => Err(BadBody::NotJson(at)),
            },
            _ => Err(BadBody::NotJson(at)),
        }
    }

    fn number(&mut self) -> Result<Expect, BadBody> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        self.push(Shape::Number, start, self.at)?;
        Ok(Expect::After)
    }

    fn digits(&mut self) -> Result<(), BadBody> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.bad()) } else { Ok(()) }
    }

    fn literal(&mut self, word: &[u8], shape: Shape) -> Result<Expect, BadBody> {
        let start = self.at;
        if !self.text.get(start..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(self.bad());
        }
        self.at += word.len();
        self.push(shape, start, self.at)?;
        Ok(Expect::After)
    }

    fn push(&mut self, shape: Shape, start: usize, end: usize) -> Result<u32, BadBody> {
        if self.nodes.len() >= NODES_MAX {
            return Err(BadBody::TooComplex);
        }
        if let Some(parent) = self.open.last().and_then(|i| self.nodes.get_mut(*i as usize)) {
            parent.end += 1;
        }
        let index = self.len();
        let place = |at: usize| u32::try_from(at).map_err(|_| BadBody::TooComplex);
        let (start, end) = (place(start)?, place(end)?);
        self.nodes.push(Node { shape, start, end, next: index + 1 });
        Ok(index)
    }

    fn len(&self) -> u32 {
        // At most NODES_MAX, so it always fits.
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    fn open_shape(&self) -> Option<Shape> {
        self.open.last().and_then(|i| self.nodes.get(*i as usize)).map(|node| node.shape)
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn bad(&self) -> BadBody {
        BadBody::NotJson(self.at)
    }
}
