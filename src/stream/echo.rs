//! An answer in the client's own format, other than OpenAI's chat form: its bytes pass, and the
//! dialect's reader overhears what they say.

use bytes::Bytes;

use crate::dialect::ir::Event;
use crate::dialect::sse::{self, Cutter, EVENT_MAX};
use crate::dialect::{AnswerFault, Dialect, Reader};

use super::whole::Buffer;
use super::{HOLD_MAX, Meter, Shape};

/// The state of an answer that passes.
#[derive(Debug)]
pub(super) enum Echo {
    Stream(Box<Stream>),
    Whole { dialect: Dialect, buffer: Buffer, done: bool },
}

/// The state of a stream that passes.
pub(super) struct Stream {
    reader: Box<dyn Reader>,
    events: Vec<Event>,
    cutter: Cutter,
    /// The beginning of a frame whose end has not come yet.
    tail: Vec<u8>,
    /// Whole frames from before the first semantic event.
    held: Vec<u8>,
    scratch: String,
    /// A frame was read, so that a byte order mark can no longer come.
    begun: bool,
    /// The terminal event came.
    ended: bool,
    /// A choice has finished, and hosts of this dialect may leave the terminal event out.
    may_end: bool,
    softly: bool,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Echo {
    pub(super) fn new(dialect: Dialect, shape: &Shape) -> Self {
        if !shape.stream {
            return Self::Whole { dialect, buffer: Buffer::default(), done: false };
        }
        Self::Stream(Box::new(Stream {
            reader: dialect.reader(shape.host, shape.template.as_deref()),
            events: Vec::new(),
            cutter: Cutter::new(),
            tail: Vec::new(),
            held: Vec::new(),
            scratch: String::new(),
            begun: false,
            ended: false,
            may_end: false,
            softly: dialect.ends_softly(),
        }))
    }

    pub(super) fn push(
        &mut self,
        chunk: Bytes,
        shape: &Shape,
        meter: &mut Meter,
    ) -> Result<Option<Bytes>, AnswerFault> {
        match self {
            Self::Stream(stream) => stream.push(&chunk, shape, meter),
            Self::Whole { buffer, .. } => buffer.push(chunk).map(|()| None),
        }
    }

    pub(super) fn end(
        &mut self,
        shape: &Shape,
        meter: &mut Meter,
    ) -> Result<Option<Bytes>, AnswerFault> {
        match self {
            Self::Stream(stream) => stream.end(shape, meter),
            Self::Whole { done: true, .. } => Ok(None),
            Self::Whole { dialect, buffer, done } => {
                *done = true;
                let (body, mut events) = (buffer.take(), Vec::new());
                dialect.read_whole(shape.host, shape.template.as_deref(), &body, &mut events)?;
                events.iter().for_each(|event| meter.see(event));
                if !meter.semantic {
                    return Err(AnswerFault::Empty);
                }
                meter.complete = true;
                meter.count_rest(&shape.request);
                Ok(Some(body))
            }
        }
    }

    /// Takes no notice of what still comes.
    pub(super) fn stop(&mut self) {
        if let Self::Stream(stream) = self {
            stream.ended = true;
        }
    }

    /// Whole frames that came before a fault in the same chunk.
    pub(super) fn leftover(&mut self) -> Vec<u8> {
        match self {
            Self::Stream(stream) => std::mem::take(&mut stream.held),
            Self::Whole { .. } => Vec::new(),
        }
    }
}

impl Stream {
    fn push(
        &mut self,
        chunk: &Bytes,
        shape: &Shape,
        meter: &mut Meter,
    ) -> Result<Option<Bytes>, AnswerFault> {
        if self.ended {
            return Ok(None);
        }
        let (mut from, mut copied) = (0, None::<Vec<u8>>);
        let mut read = Ok(());
        while let Some(len) = self.cutter.find(&chunk[from..]) {
            let part = &chunk[from..from + len];
            if self.tail.len() + len > EVENT_MAX {
                read = Err(AnswerFault::TooLarge);
                break;
            }
            if self.tail.is_empty() {
                read = self.frame(part, meter);
            } else {
                let mut raw = std::mem::take(&mut self.tail);
                raw.extend_from_slice(part);
                read = self.frame(&raw, meter);
                copied = Some(raw);
                from += len;
                if read.is_err() || self.ended {
                    break;
                }
                continue;
            }
            if read.is_err() {
                break;
            }
            if let Some(all) = &mut copied {
                all.extend_from_slice(part);
            }
            from += len;
            if self.ended {
                break;
            }
        }
        let out = copied.map_or_else(|| chunk.slice(..from), Bytes::from);
        if let Err(fault) = read {
            self.held.extend_from_slice(&out);
            return Err(fault);
        }
        if !self.ended {
            if self.tail.len() + chunk.len() - from > EVENT_MAX {
                return Err(AnswerFault::TooLarge);
            }
            self.tail.extend_from_slice(&chunk[from..]);
        } else {
            meter.count_rest(&shape.request);
        }
        self.release(out, meter)
    }

    /// Reads a whole frame.
    fn frame(&mut self, raw: &[u8], meter: &mut Meter) -> Result<(), AnswerFault> {
        let first = !std::mem::replace(&mut self.begun, true);
        let Some(frame) = sse::frame(raw, first, &mut self.scratch)? else { return Ok(()) };
        self.events.clear();
        self.reader.read(&frame, &mut self.events)?;
        if let Some(delivered) = &mut meter.delivered {
            delivered.pass(&frame);
        }
        for event in &self.events {
            meter.see(event);
            meter.hand_over(event);
            self.ended |= *event == Event::End;
            self.may_end |= self.softly && matches!(event, Event::Finish { .. });
        }
        if self.ended && !meter.semantic {
            return Err(AnswerFault::Empty);
        }
        meter.complete |= self.ended;
        Ok(())
    }

    /// Takes the end of the stream: without its terminal event it is cut short.
    fn end(&mut self, shape: &Shape, meter: &mut Meter) -> Result<Option<Bytes>, AnswerFault> {
        if self.ended {
            return Ok(None);
        }
        let mut raw = std::mem::take(&mut self.tail);
        self.frame(&raw, meter).map_err(|fault| match fault {
            AnswerFault::Garbled(_) => AnswerFault::Truncated,
            other => other,
        })?;
        raw.truncate(raw.trim_ascii_end().len());
        if !raw.is_empty() {
            raw.extend_from_slice(b"\n\n");
        }
        if !self.ended {
            if !self.may_end {
                return Err(if self.begun { AnswerFault::Truncated } else { AnswerFault::Empty });
            }
            (self.ended, meter.complete) = (true, true);
            raw.extend_from_slice(b"data: [DONE]\n\n");
        }
        meter.count_rest(&shape.request);
        self.release(Bytes::from(raw), meter)
    }

    /// Holds bytes back until something of the answer came.
    fn release(&mut self, out: Bytes, meter: &Meter) -> Result<Option<Bytes>, AnswerFault> {
        if meter.semantic && self.held.is_empty() {
            return Ok(Some(out));
        }
        if self.held.len() + out.len() > HOLD_MAX && !meter.semantic {
            return Err(AnswerFault::TooLarge);
        }
        self.held.extend_from_slice(&out);
        Ok(meter.semantic.then(|| Bytes::from(std::mem::take(&mut self.held))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::shape;
    use super::super::{Pipe, Shape};
    use super::*;
    use crate::dialect::Surface;
    use crate::dialect::frames::Framing;

    const EVENTS: [&str; 6] = [
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"m\",\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n",
        "event: ping\ndata: {\"type\":\"ping\"}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":3}}\n\n",
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    ];

    fn pipe(stream: bool) -> Pipe {
        let shape = Shape { surface: Surface::Messages, ..shape(stream) };
        let framing = if stream { Framing::Sse } else { Framing::Whole };
        Pipe::new(Dialect::Anthropic, shape, framing, true)
    }

    fn run(mut pipe: Pipe, pieces: &[&[u8]]) -> (Vec<u8>, Result<(), AnswerFault>, Pipe) {
        let mut out = Vec::new();
        for piece in pieces {
            match pipe.push(Bytes::copy_from_slice(piece)) {
                Ok(bytes) => out.extend_from_slice(&bytes.unwrap_or_default()),
                Err(fault) => return (out, Err(fault), pipe),
            }
        }
        let ended = pipe.end().map(|bytes| out.extend_from_slice(&bytes.unwrap_or_default()));
        (out, ended, pipe)
    }

    #[test]
    fn a_stream_passes_byte_for_byte_however_it_is_cut() {
        let all = EVENTS.concat();
        for cut in 0..=all.len() {
            let (head, tail) = all.as_bytes().split_at(cut);
            let (out, ended, pipe) = run(pipe(true), &[head, tail]);
            assert_eq!(ended, Ok(()), "cut at {cut}");
            assert_eq!(out, all.as_bytes(), "cut at {cut}");
            let usage = pipe.meter().usage(0);
            assert_eq!((usage.prompt, usage.completion, usage.estimated), (7, 3, false));
            assert!(pipe.meter().complete);
        }
    }

    #[test]
    fn nothing_leaves_before_the_first_semantic_event() {
        let mut pipe = pipe(true);
        for event in &EVENTS[..3] {
            assert_eq!(pipe.push(Bytes::from(*event)), Ok(None), "{event}");
        }
        let out = pipe.push(Bytes::from(EVENTS[3])).unwrap().unwrap();
        assert_eq!(out, EVENTS[..4].concat().as_bytes());
    }

    #[test]
    fn what_is_cut_short_or_fails_is_no_success() {
        let short = EVENTS[..5].concat();
        assert_eq!(run(pipe(true), &[short.as_bytes()]).1, Err(AnswerFault::Truncated));
        let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n";
        let failing = [EVENTS[..4].concat(), error.to_owned()].concat();
        let (_, ended, _) = run(pipe(true), &[failing.as_bytes()]);
        assert!(matches!(ended, Err(AnswerFault::InBand { .. })), "{ended:?}");
        let whole = br#"{"type":"message","id":"m","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;
        let (out, ended, _) = run(pipe(false), &[&whole[..40], &whole[40..]]);
        assert_eq!((out.as_slice(), ended), (&whole[..], Ok(())));
        assert_eq!(run(pipe(false), &[&whole[..60]]).1, Err(AnswerFault::Truncated));
    }
}
