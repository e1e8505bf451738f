//! How the bytes of an answer are cut into frames: server-sent events, lines of JSON, or AWS's
//! event stream.

mod lines;

use super::AnswerFault;
use super::bedrock::Decoder;
use super::sse::{self, EVENT_MAX, Frame};

pub use self::lines::Lines;

/// A way to cut an answer into frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One JSON document.
    Whole,
    /// `text/event-stream`.
    Sse,
    /// `application/x-ndjson`: one JSON document a line (Ollama).
    Lines,
    /// `application/vnd.amazon.eventstream` (Bedrock).
    EventStream,
}

impl Framing {
    /// What a `Content-Type` announces.
    pub fn of(content_type: &[u8]) -> Self {
        let is = |name: &[u8]| {
            content_type.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name))
        };
        if is(b"text/event-stream") {
            Self::Sse
        } else if is(b"application/x-ndjson") || is(b"application/jsonl") {
            Self::Lines
        } else if is(b"application/vnd.amazon.eventstream") {
            Self::EventStream
        } else {
            Self::Whole
        }
    }
}

/// Cuts a streamed answer into frames, whatever the cut of its bytes; bounded by
/// [`EVENT_MAX`].
#[derive(Debug)]
pub enum Frames {
    /// Server-sent events.
    Sse(sse::Framer),
    /// Lines; a frame's data is the line.
    Lines(Lines),
    /// AWS's event stream; a frame's event is the event's or exception's type.
    EventStream(Decoder),
}

impl Frames {
    /// At the beginning of a stream; none for an answer that is not streamed.
    pub fn new(framing: Framing) -> Option<Self> {
        match framing {
            Framing::Whole => None,
            Framing::Sse => Some(Self::Sse(sse::Framer::new(EVENT_MAX))),
            Framing::Lines => Some(Self::Lines(Lines::new(EVENT_MAX))),
            Framing::EventStream => Some(Self::EventStream(Decoder::new(EVENT_MAX))),
        }
    }

    /// Takes bytes and hands on the frames that are whole.
    ///
    /// # Errors
    /// The bytes are no such stream, an event is too large, or `on` has an error.
    pub fn push(
        &mut self,
        bytes: &[u8],
        on: impl FnMut(Frame<'_>) -> Result<(), AnswerFault>,
    ) -> Result<(), AnswerFault> {
        match self {
            Self::Sse(framer) => framer.push(bytes, on),
            Self::Lines(lines) => lines.push(bytes, on),
            Self::EventStream(decoder) => decoder.push(bytes, on),
        }
    }

    /// Takes the end of the stream and hands on what it completes.
    ///
    /// # Errors
    /// The stream ends within a frame, or as for [`Frames::push`].
    pub fn finish(
        &mut self,
        on: impl FnMut(Frame<'_>) -> Result<(), AnswerFault>,
    ) -> Result<(), AnswerFault> {
        match self {
            Self::Sse(framer) => framer.finish(on),
            Self::Lines(lines) => lines.finish(on),
            Self::EventStream(decoder) => decoder.finish(),
        }
    }
}
