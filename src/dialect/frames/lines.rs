//! One JSON document a line, as Ollama streams.

use crate::dialect::AnswerFault;
use crate::dialect::sse::Frame;

/// What is kept of the buffer between lines, in bytes.
const PARTIAL_KEEP: usize = 16 << 10;

/// Cuts a stream into lines that are not blank.
#[derive(Debug)]
pub struct Lines {
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    limit: usize,
}

impl Lines {
    /// A cutter that refuses lines of more than `limit` bytes.
    pub const fn new(limit: usize) -> Self {
        Self { partial: Vec::new(), limit }
    }

    /// Takes the next bytes and hands on each line that they complete.
    ///
    /// # Errors
    /// A line is too large or not UTF-8, or `on` fails.
    pub fn push(
        &mut self,
        chunk: &[u8],
        mut on: impl FnMut(Frame<'_>) -> Result<(), AnswerFault>,
    ) -> Result<(), AnswerFault> {
        let mut rest = chunk;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let head = &rest[..end];
            rest = &rest[end + 1..];
            if self.partial.len() + head.len() > self.limit {
                return Err(AnswerFault::TooLarge);
            }
            if self.partial.is_empty() {
                line(head, &mut on)?;
                continue;
            }
            self.partial.extend_from_slice(head);
            line(&self.partial, &mut on)?;
            self.partial.clear();
            self.partial.shrink_to(PARTIAL_KEEP);
        }
        if self.partial.len() + rest.len() > self.limit {
            return Err(AnswerFault::TooLarge);
        }
        self.partial.extend_from_slice(rest);
        Ok(())
    }

    /// Says that the stream is over and hands on a last line without an end.
    ///
    /// # Errors
    /// The line is not UTF-8, or `on` fails.
    pub fn finish(
        &mut self,
        mut on: impl FnMut(Frame<'_>) -> Result<(), AnswerFault>,
    ) -> Result<(), AnswerFault> {
        line(&std::mem::take(&mut self.partial), &mut on)
    }
}

fn line(
    bytes: &[u8],
    on: &mut impl FnMut(Frame<'_>) -> Result<(), AnswerFault>,
) -> Result<(), AnswerFault> {
    let text = simdutf8::basic::from_utf8(bytes)
        .map_err(|_| AnswerFault::Garbled("a line is not UTF-8"))?
        .trim();
    if text.is_empty() { Ok(()) } else { on(Frame { event: "", data: text }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Result<Vec<String>, AnswerFault> {
        let (mut lines, mut got) = (Lines::new(8), Vec::new());
        let mut on = |frame: Frame<'_>| {
            got.push(frame.data.to_owned());
            Ok(())
        };
        for piece in pieces {
            lines.push(piece, &mut on)?;
        }
        lines.finish(&mut on)?;
        Ok(got)
    }

    #[test]
    fn any_cut_gives_the_same_lines() {
        let bytes = "{\"é\"}\r\n\n {1}\n{2}".as_bytes();
        let whole = lines(&[bytes]);
        assert_eq!(whole, Ok(vec!["{\"é\"}".to_owned(), "{1}".to_owned(), "{2}".to_owned()]));
        for cut in 0..bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            assert_eq!(lines(&[head, tail]), whole, "cut at {cut}");
        }
        let singles: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(lines(&singles), whole);
    }

    #[test]
    fn lines_are_bounded_and_text() {
        assert_eq!(lines(&[b"123456789"]), Err(AnswerFault::TooLarge), "an open line");
        assert_eq!(lines(&[b"1234", b"56789\n"]), Err(AnswerFault::TooLarge), "a whole line");
        assert!(matches!(lines(&[b"\xff\n"]), Err(AnswerFault::Garbled(_))));
    }
}
