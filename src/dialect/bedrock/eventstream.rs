//! AWS's event stream: bytes → frames, and back.
//!
//! A frame is its length, the length of its headers, a checksum of these two, the headers, the
//! payload and a checksum of all before (AWS's reference of the event stream encoding, 2026-11).
//! Frames are parsed, and both checksums are compared, by AWS's own crate; here their bytes are
//! collected, within bounds that are looked at before anything is kept.

use aws_smithy_eventstream::frame::{read_message_from, write_message_to};
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};

use super::fault::{in_band, told};
use crate::dialect::AnswerFault;
use crate::dialect::sse::Frame;

/// The two lengths at the beginning of a frame, in bytes.
const LENGTHS: usize = 8;
/// What a frame has besides headers and payload, in bytes.
const OVERHEAD: usize = 16;
/// The most bytes of headers in a frame. Bedrock sends three short ones, about 100 bytes; each
/// takes more memory than bytes, so AWS's own limit of 128 KiB would be too generous.
const HEADERS_MAX: usize = 16 << 10;
/// What is kept of the buffer between frames, in bytes: one huge frame must not hold memory for
/// the rest of the stream.
const KEPT: usize = 64 << 10;

const DAMAGED: AnswerFault = AnswerFault::Garbled("a frame of the event stream is damaged");

/// Cuts a stream into frames. A frame's event is the `:event-type` or `:exception-type`, its data
/// the payload.
pub struct Decoder {
    /// The beginning of a frame whose end has not come yet.
    partial: Vec<u8>,
    limit: usize,
}

impl std::fmt::Debug for Decoder {
    /// Counts: the bytes are an answer's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("partial", &self.partial.len()).finish_non_exhaustive()
    }
}

impl Decoder {
    /// A decoder that refuses frames of more than `limit` bytes.
    pub const fn new(limit: usize) -> Self {
        Self { partial: Vec::new(), limit }
    }

    /// Takes the next bytes and hands on each frame that they complete.
    ///
    /// # Errors
    /// A frame is too large or damaged, reports an error that has no exception's name, or `on`
    /// fails.
    pub fn push(
        &mut self,
        chunk: &[u8],
        mut on: impl FnMut(Frame<'_>) -> Result<(), AnswerFault>,
    ) -> Result<(), AnswerFault> {
        let mut rest = chunk;
        loop {
            if self.partial.is_empty() {
                // Whole frames are read where they are.
                match length(rest, self.limit)?.and_then(|length| rest.split_at_checked(length)) {
                    Some((frame, after)) => {
                        hand_on(frame, &mut on)?;
                        rest = after;
                    }
                    None => {
                        self.partial.extend_from_slice(rest);
                        return Ok(());
                    }
                }
                continue;
            }
            let known = length(&self.partial, self.limit)?;
            let wanted = known.unwrap_or(LENGTHS).saturating_sub(self.partial.len());
            let (more, after) = rest.split_at(wanted.min(rest.len()));
            self.partial.extend_from_slice(more);
            rest = after;
            if more.len() < wanted {
                return Ok(());
            }
            if known.is_some() {
                let frame = std::mem::take(&mut self.partial);
                hand_on(&frame, &mut on)?;
                if frame.capacity() <= KEPT {
                    self.partial = frame;
                    self.partial.clear();
                }
            }
        }
    }

    /// How many bytes are kept.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.partial.len()
    }

    /// Says that the stream is over.
    ///
    /// # Errors
    /// It ends within a frame.
    pub fn finish(&mut self) -> Result<(), AnswerFault> {
        if self.partial.is_empty() { Ok(()) } else { Err(AnswerFault::Truncated) }
    }
}

/// The length of the frame that begins here, once its lengths are there and can be right.
fn length(bytes: &[u8], limit: usize) -> Result<Option<usize>, AnswerFault> {
    let Some((total, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let Some(headers) = rest.first_chunk::<4>() else { return Ok(None) };
    let number = |bytes: &[u8; 4]| usize::try_from(u32::from_be_bytes(*bytes));
    let (Ok(total), Ok(headers)) = (number(total), number(headers)) else {
        return Err(AnswerFault::TooLarge);
    };
    if total > limit {
        return Err(AnswerFault::TooLarge);
    }
    if total < OVERHEAD || headers > total - OVERHEAD || headers > HEADERS_MAX {
        return Err(AnswerFault::Garbled("the lengths of a frame cannot be right"));
    }
    Ok(Some(total))
}

/// Reads a whole frame. Frames of a type yet to be invented are passed over.
fn hand_on(
    frame: &[u8],
    on: &mut impl FnMut(Frame<'_>) -> Result<(), AnswerFault>,
) -> Result<(), AnswerFault> {
    let message = read_message_from(frame).map_err(|_| DAMAGED)?;
    let data = std::str::from_utf8(message.payload()).map_err(|_| DAMAGED)?;
    let header = |name: &str| {
        let found = message.headers().iter().find(|header| header.name().as_str() == name);
        found.and_then(|header| header.value().as_string().ok()).map_or("", |value| value.as_str())
    };
    match header(":message-type") {
        "event" => on(Frame { event: header(":event-type"), data }),
        "exception" => {
            let name = header(":exception-type");
            if is_exception(name) {
                on(Frame { event: name, data })
            } else {
                // A reader knows exceptions by their names, so one without must not reach it.
                Err(in_band(name, data))
            }
        }
        // An error that the service's model does not know; it has no payload.
        "error" => Err(told(header(":error-code"), header(":error-message"))),
        _ => Ok(()),
    }
}

/// Whether a frame's type is that of an exception.
pub(super) fn is_exception(kind: &str) -> bool {
    kind.ends_with("Exception")
}

/// Writes a frame of this event type (or exception type, if it ends in `Exception`). A frame that
/// is too long to be written is empty.
pub fn encode(kind: &str, payload: &str) -> Vec<u8> {
    let (message_type, name) = if is_exception(kind) {
        ("exception", ":exception-type")
    } else {
        ("event", ":event-type")
    };
    let header = |name: &'static str, value: &str| {
        Header::new(name, HeaderValue::String(value.to_owned().into()))
    };
    let message = Message::new(payload.as_bytes().to_vec())
        .add_header(header(name, kind))
        .add_header(header(":content-type", "application/json"))
        .add_header(header(":message-type", message_type));
    let mut out = Vec::with_capacity(payload.len() + 128);
    match write_message_to(&message, &mut out) {
        Ok(()) => out,
        Err(_) => Vec::new(),
    }
}
