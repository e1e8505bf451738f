//! Server-sent events: bytes → frames, as the WHATWG standard has it.
//!
//! Lines end in LF, CRLF or CR; an empty line ends a frame. [`Cutter`] finds the ends of frames in
//! bytes that come in any cut, looking at each byte once; [`frame`] reads one whole frame; and
//! [`Framer`] is both together with a bounded buffer for the frame that is not complete yet.

use super::AnswerFault;

/// The largest event that is accepted from a provider, in bytes.
pub const EVENT_MAX: usize = 16 << 20;

/// What a framer keeps of its buffer between frames, in bytes: one huge event must not hold memory
/// for the rest of the stream.
const PARTIAL_KEEP: usize = 16 << 10;

/// One event of a stream, borrowed from the framer's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The `event:` field, empty if absent.
    pub event: &'a str,
    /// The `data:` lines, joined by line feeds.
    pub data: &'a str,
}

/// Why bytes are no stream of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SseFault {
    /// An event is larger than the limit.
    TooLarge,
    /// An event is not valid UTF-8.
    NotUtf8,
}

impl From<SseFault> for AnswerFault {
    fn from(fault: SseFault) -> Self {
        match fault {
            SseFault::TooLarge => Self::TooLarge,
            SseFault::NotUtf8 => Self::Garbled("an event is not UTF-8"),
        }
    }
}

/// Finds where frames end, chunk by chunk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cutter {
    /// The current line has bytes.
    in_line: bool,
    /// The last byte was a CR, so that an LF would belong to it.
    after_cr: bool,
    /// That CR ended an empty line: the frame ends with it, or with the LF that may follow.
    after_frame: bool,
}

impl Cutter {
    /// A cutter at the beginning of a stream.
    pub const fn new() -> Self {
        Self { in_line: false, after_cr: false, after_frame: false }
    }

    /// The offset after the empty line that ends the frame, or `None` if the frame goes on after
    /// these bytes. The next call must get the bytes that follow.
    ///
    /// A CR as the last byte ends a frame only when the next byte is known, so that the two bytes
    /// of a CRLF never part; no host that we know ends its lines in CR alone.
    pub fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            at = usize::from(bytes[0] == b'\n');
            if std::mem::take(&mut self.after_frame) {
                return Some(at);
            }
        }
        while at < bytes.len() {
            let rest = &bytes[at..];
            let Some(len) = memchr::memchr2(b'\n', b'\r', rest) else {
                self.in_line = true;
                return None;
            };
            let empty = len == 0 && !self.in_line;
            self.in_line = false;
            at += len + 1;
            if rest[len] == b'\r' {
                match bytes.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => {
                        self.after_cr = true;
                        self.after_frame = empty;
                        return None;
                    }
                }
            }
            if empty {
                return Some(at);
            }
        }
        None
    }
}

/// Reads one whole frame, which may have a byte order mark if it is the `first` of its stream.
/// `None`: it has no data, only comments or other fields. `scratch` takes the data if it spans
/// several lines.
///
/// # Errors
/// The bytes are not valid UTF-8.
pub fn frame<'a>(
    raw: &'a [u8],
    first: bool,
    scratch: &'a mut String,
) -> Result<Option<Frame<'a>>, SseFault> {
    let text = simdutf8::basic::from_utf8(raw).map_err(|_| SseFault::NotUtf8)?;
    let text = if first { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text };
    let (mut event, mut data) = ("", None::<&str>);
    let mut joined = false;
    for line in Lines(text) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => event = value,
            "data" => match data {
                None => data = Some(value),
                Some(first) => {
                    if !joined {
                        scratch.clear();
                        scratch.push_str(first);
                        joined = true;
                    }
                    scratch.push('\n');
                    scratch.push_str(value);
                }
            },
            _ => {}
        }
    }
    let data = if joined { Some(scratch.as_str()) } else { data };
    Ok(data.map(|data| Frame { event, data }))
}

/// The lines of a text, without their ends; a CRLF gives an extra empty line, which says nothing.
struct Lines<'a>(&'a str);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let end = memchr::memchr2(b'\n', b'\r', self.0.as_bytes()).unwrap_or(self.0.len());
        let (line, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        Some(line)
    }
}

/// Cuts a stream into frames.
#[derive(Debug)]
pub struct Framer {
    cutter: Cutter,
    /// The beginning of a frame whose end has not come yet.
    partial: Vec<u8>,
    scratch: String,
    limit: usize,
    first: bool,
}

impl Framer {
    /// A framer that refuses events of more than `limit` bytes.
    pub const fn new(limit: usize) -> Self {
        Self {
            cutter: Cutter::new(),
            partial: Vec::new(),
            scratch: String::new(),
            limit,
            first: true,
        }
    }

    /// Takes the next bytes and hands on each frame that they complete. A frame that lies in one
    /// chunk is borrowed from it.
    ///
    /// # Errors
    /// An event is too large or not UTF-8, or `on` fails; the framer is of no use afterwards.
    pub fn push<E: From<SseFault>>(
        &mut self,
        chunk: &[u8],
        mut on: impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = chunk;
        while let Some(end) = self.cutter.find(rest) {
            let (head, tail) = rest.split_at(end);
            rest = tail;
            if self.partial.len() + head.len() > self.limit {
                return Err(SseFault::TooLarge.into());
            }
            let raw = if self.partial.is_empty() {
                head
            } else {
                self.partial.extend_from_slice(head);
                &self.partial
            };
            let first = std::mem::replace(&mut self.first, false);
            if let Some(frame) = frame(raw, first, &mut self.scratch)? {
                on(frame)?;
            }
            self.partial.clear();
            self.partial.shrink_to(PARTIAL_KEEP);
        }
        if self.partial.len() + rest.len() > self.limit {
            return Err(SseFault::TooLarge.into());
        }
        self.partial.extend_from_slice(rest);
        Ok(())
    }

    /// Says that the stream is over and hands on a last frame that lacks its empty line: some
    /// providers leave it out. Such a frame may be cut short; then its data is no whole document.
    ///
    /// # Errors
    /// The last frame is not UTF-8, or `on` fails.
    pub fn finish<E: From<SseFault>>(
        &mut self,
        mut on: impl FnMut(Frame<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let raw = std::mem::take(&mut self.partial);
        match frame(&raw, self.first, &mut self.scratch)? {
            Some(frame) => on(frame),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Got = Vec<(String, String)>;

    fn frames(chunks: &[&[u8]]) -> Result<Got, SseFault> {
        let (mut framer, mut got) = (Framer::new(1 << 16), Got::new());
        let mut on = |f: Frame<'_>| {
            got.push((f.event.to_owned(), f.data.to_owned()));
            Ok::<_, SseFault>(())
        };
        for chunk in chunks {
            framer.push(chunk, &mut on)?;
        }
        framer.finish(&mut on)?;
        Ok(got)
    }

    fn texts(list: &[(&str, &str)]) -> Got {
        list.iter().map(|(e, d)| ((*e).to_owned(), (*d).to_owned())).collect()
    }

    #[test]
    fn frames_are_read_as_the_standard_says() {
        for (bytes, want) in [
            ("data: a\n\ndata: b\n\n", texts(&[("", "a"), ("", "b")])),
            ("data:a\r\n\r\ndata:  b\r\n\r\n", texts(&[("", "a"), ("", " b")])),
            ("data: a\r\rdata: b\r\r", texts(&[("", "a"), ("", "b")])),
            ("\u{feff}data: a\n\n", texts(&[("", "a")])),
            (": keep-alive\n\ndata: a\n\n", texts(&[("", "a")])),
            (": note\nevent: e\ndata: 1\ndata\ndata: 2\nid: 7\n\n", texts(&[("e", "1\n\n2")])),
            ("event: only\n\n\n\n\r\n", texts(&[])),
            ("data: é\u{2028}x\n\n", texts(&[("", "é\u{2028}x")])),
            ("data: last", texts(&[("", "last")])),
            ("data\n\n", texts(&[("", "")])),
            ("", texts(&[])),
        ] {
            assert_eq!(frames(&[bytes.as_bytes()]).as_ref(), Ok(&want), "{bytes:?}");
        }
    }

    #[test]
    fn events_are_bounded() {
        let mut framer = Framer::new(10);
        let on = |_: Frame<'_>| Ok::<_, SseFault>(());
        assert_eq!(framer.push(b"data: 345", on), Ok(()));
        assert_eq!(framer.push(b"67", on), Err(SseFault::TooLarge), "an open event");
        let mut framer = Framer::new(10);
        assert_eq!(framer.push(b"data: 34567\n\n", on), Err(SseFault::TooLarge), "a whole event");
        assert_eq!(frames(&[b"data: \xff\n\n"]), Err(SseFault::NotUtf8));
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_frames(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    "data: a", "data:", "data: é", "event: x", ": c", "\n", "\r", "\r\n", "\n\n",
                    "\r\n\r\n", "\u{feff}", "x", "😀",
                ]), 0..24),
            cuts in prop::collection::vec(0_usize..200, 0..6),
        ) {
            let bytes = parts.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|c| c % (bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for cut in cuts {
                chunks.push(&bytes[from..cut]);
                from = cut;
            }
            chunks.push(&bytes[from..]);
            prop_assert_eq!(frames(&chunks), frames(&[&bytes]));
            let singles: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(frames(&singles), frames(&[&bytes]));
        }
    }
}
