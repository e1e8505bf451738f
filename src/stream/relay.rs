//! OpenAI's stream to a client that speaks the same: whole frames pass as they are.
//!
//! A frame is parsed only where it may matter: until something of the answer came, and afterwards
//! when it holds a finish reason, usage, an error or a choice other than the first. In JSON a
//! quote inside a string is escaped, so `"usage"` with both quotes is a real string of the
//! document and never a part of somebody's text.

use std::ops::Range;
use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::Finder;

use crate::dialect::chat::StreamWriter;
use crate::dialect::ir::Event;
use crate::dialect::openai::Reader;
use crate::dialect::scan::TextStats;
use crate::dialect::scan::lexer::{Lexer, Text, Watch};
use crate::dialect::sse::{self, Cutter, EVENT_MAX};
use crate::dialect::{AnswerFault, Dialect, Reader as _, StreamSink as _};

use super::{HOLD_MAX, Meter, Shape, splice};

/// The state of a relayed stream.
#[derive(Debug, Default)]
pub(super) struct Relay {
    reader: Reader,
    events: Vec<Event>,
    cutter: Cutter,
    /// The beginning of a frame whose end has not come yet.
    tail: Vec<u8>,
    /// Frames from before the first semantic event.
    held: Vec<u8>,
    scratch: String,
    /// A frame was read, so that a byte order mark can no longer come.
    begun: bool,
    /// A frame with data came.
    data: bool,
    /// The client saw a usage with its cost.
    charged: bool,
    /// The terminal event came.
    ended: bool,
}

/// What becomes of a frame.
enum Verdict {
    Keep,
    Drop,
    Replace(Vec<u8>),
}

impl Relay {
    pub(super) fn push(
        &mut self,
        chunk: Bytes,
        shape: &Shape,
        meter: &mut Meter,
    ) -> Result<Option<Bytes>, AnswerFault> {
        let mut out = Out::Nothing;
        let read = self.frames(&chunk, &mut out, shape, meter);
        let out = out.into_bytes(&chunk);
        if let Err(fault) = read {
            self.held.extend_from_slice(&out);
            return Err(fault);
        }
        self.release(out, meter)
    }

    fn frames(
        &mut self,
        chunk: &Bytes,
        out: &mut Out,
        shape: &Shape,
        meter: &mut Meter,
    ) -> Result<(), AnswerFault> {
        let mut from = 0;
        while let Some(len) = self.cutter.find(&chunk[from..]) {
            let whole = from..from + len;
            from = whole.end;
            if self.tail.len() + len > EVENT_MAX {
                return Err(AnswerFault::TooLarge);
            }
            if self.tail.is_empty() {
                let raw = &chunk[whole.clone()];
                match self.frame(raw, shape, meter)? {
                    Verdict::Keep => without_nulls(raw, |part| {
                        out.slice(chunk, whole.start + part.start..whole.start + part.end);
                    }),
                    Verdict::Drop => {}
                    Verdict::Replace(bytes) => out.copy(chunk, &bytes),
                }
                continue;
            }
            let mut raw = std::mem::take(&mut self.tail);
            raw.extend_from_slice(&chunk[whole]);
            match self.frame(&raw, shape, meter)? {
                Verdict::Keep => without_nulls(&raw, |part| out.copy(chunk, &raw[part])),
                Verdict::Drop => {}
                Verdict::Replace(bytes) => out.copy(chunk, &bytes),
            }
        }
        if self.ended {
            return Ok(());
        }
        if self.tail.len() + chunk.len() - from > EVENT_MAX {
            return Err(AnswerFault::TooLarge);
        }
        self.tail.extend_from_slice(&chunk[from..]);
        Ok(())
    }

    /// Whole frames that came before a fault in the same chunk.
    pub(super) fn leftover(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// Takes no notice of what still comes; gives what was held back.
    pub(super) fn stop(&mut self) -> Vec<u8> {
        self.ended = true;
        self.tail = Vec::new();
        self.leftover()
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
        if !meter.semantic {
            return Ok(None);
        }
        Ok(Some(Bytes::from(std::mem::take(&mut self.held))))
    }

    fn frame(
        &mut self,
        raw: &[u8],
        shape: &Shape,
        meter: &mut Meter,
    ) -> Result<Verdict, AnswerFault> {
        if self.ended {
            return Ok(Verdict::Drop);
        }
        if meter.semantic && !may_matter(raw) && passes_by(raw, meter) {
            return Ok(Verdict::Keep);
        }
        self.read(raw, shape, meter)
    }

    /// Parses a frame.
    fn read(
        &mut self,
        raw: &[u8],
        shape: &Shape,
        meter: &mut Meter,
    ) -> Result<Verdict, AnswerFault> {
        let first = !std::mem::replace(&mut self.begun, true);
        let Some(frame) = sse::frame(raw, first, &mut self.scratch)? else {
            return Ok(if meter.semantic { Verdict::Keep } else { Verdict::Drop });
        };
        self.data = true;
        self.events.clear();
        self.reader.read(&frame, &mut self.events)?;
        let (mut has_usage, mut ended) = (false, false);
        for event in &self.events {
            meter.see(event);
            meter.hand_over(event);
            has_usage |= matches!(event, Event::Usage(_));
            ended |= matches!(event, Event::End);
        }
        meter.semantic |= self.reader.saw_opaque();
        if self.reader.saw_opaque()
            && let Some(delivered) = &mut meter.delivered
        {
            delivered.lose();
        }
        if ended {
            return self.conclude(shape, meter);
        }
        if has_usage && shape.metadata.is_some() && says_nothing(&self.events) {
            // The last chunk says it, with how the request was routed: once is enough.
            return Ok(Verdict::Drop);
        }
        if has_usage {
            let mut out = Vec::with_capacity(raw.len() + 40);
            if !frame.event.is_empty() {
                out.extend_from_slice(b"event: ");
                out.extend_from_slice(frame.event.as_bytes());
                out.push(b'\n');
            }
            out.extend_from_slice(b"data: ");
            let from = out.len();
            let spliced = splice::cost(frame.data.as_bytes(), shape.bill(meter), &mut out);
            if spliced == Ok(true) {
                self.charged = true;
                // Between tokens a line feed is white space, and inside a string there is none.
                out[from..].iter_mut().filter(|b| **b == b'\n').for_each(|b| *b = b' ');
                out.extend_from_slice(b"\n\n");
                let mut rest = Vec::with_capacity(out.len());
                without_nulls(&out, |part| rest.extend_from_slice(&out[part]));
                return Ok(Verdict::Replace(rest));
            }
        }
        Ok(Verdict::Keep)
    }

    /// Ends the stream, after a usage of our own if the client has not seen one with its cost.
    fn conclude(&mut self, shape: &Shape, meter: &mut Meter) -> Result<Verdict, AnswerFault> {
        if !meter.semantic {
            return Err(AnswerFault::Empty);
        }
        self.ended = true;
        meter.complete = true;
        if self.charged && meter.is_reported() && shape.metadata.is_none() {
            return Ok(Verdict::Keep);
        }
        meter.count_rest(&shape.request);
        let usage = meter.usage(shape.prompt_estimate);
        let mut answer = shape.answer(Dialect::OpenAi);
        meter.name(&mut answer);
        let mut writer = StreamWriter::new(&answer);
        let mut wire = Vec::with_capacity(512);
        writer.write(&Event::Usage(usage), None, &mut wire);
        writer.write(&Event::End, Some(shape.bill_of(&usage, meter.finish)), &mut wire);
        Ok(Verdict::Replace(wire))
    }

    pub(super) fn end(
        &mut self,
        shape: &Shape,
        meter: &mut Meter,
    ) -> Result<Option<Bytes>, AnswerFault> {
        if self.ended {
            return Ok(None);
        }
        let mut raw = std::mem::take(&mut self.tail);
        // Without an empty line at its end a last frame may be cut short.
        let verdict = self.read(&raw, shape, meter).map_err(|fault| match fault {
            AnswerFault::Garbled(_) => AnswerFault::Truncated,
            other => other,
        })?;
        let mut out = match verdict {
            Verdict::Keep => {
                raw.truncate(raw.trim_ascii_end().len());
                if !raw.is_empty() {
                    raw.extend_from_slice(b"\n\n");
                }
                raw
            }
            Verdict::Drop => Vec::new(),
            Verdict::Replace(bytes) => bytes,
        };
        if !self.ended {
            if !self.data {
                return Err(AnswerFault::Empty);
            }
            if !self.reader.all_finished() {
                return Err(AnswerFault::Truncated);
            }
            match self.conclude(shape, meter)? {
                Verdict::Replace(bytes) => out.extend_from_slice(&bytes),
                Verdict::Keep | Verdict::Drop => out.extend_from_slice(b"data: [DONE]\n\n"),
            }
        }
        self.release(Bytes::from(out), meter)
    }
}

/// Whether a chunk is there for its usage alone.
fn says_nothing(events: &[Event]) -> bool {
    events.iter().all(|event| matches!(event, Event::Usage(_) | Event::Start { .. }))
}

/// Output that stays a slice of the chunk as long as it can.
enum Out {
    Nothing,
    Slice(Range<usize>),
    Copied(Vec<u8>),
}

impl Out {
    fn slice(&mut self, chunk: &Bytes, range: Range<usize>) {
        match self {
            Self::Nothing => *self = Self::Slice(range),
            Self::Slice(have) if have.end == range.start => have.end = range.end,
            _ => self.copy(chunk, &chunk[range]),
        }
    }

    fn copy(&mut self, chunk: &Bytes, bytes: &[u8]) {
        if let Self::Copied(all) = self {
            all.extend_from_slice(bytes);
            return;
        }
        let mut all = Vec::with_capacity(chunk.len() + bytes.len());
        if let Self::Slice(range) = self {
            all.extend_from_slice(&chunk[range.clone()]);
        }
        all.extend_from_slice(bytes);
        *self = Self::Copied(all);
    }

    fn into_bytes(self, chunk: &Bytes) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::Slice(range) => chunk.slice(range),
            Self::Copied(all) => Bytes::from(all),
        }
    }
}

/// Frames shorter than this are parsed: `[DONE]`, comments, and nothing that costs.
const SHORT: usize = 64;

struct Needles {
    finish: Finder<'static>,
    usage: Finder<'static>,
    null: Finder<'static>,
    error: Finder<'static>,
    index: Finder<'static>,
    delta: Finder<'static>,
}

static NEEDLES: LazyLock<Needles> = LazyLock::new(|| Needles {
    finish: Finder::new("\"finish_reason\""),
    usage: Finder::new("\"usage\""),
    null: Finder::new("null"),
    error: Finder::new("\"error\""),
    index: Finder::new("\"index\""),
    delta: Finder::new("\"delta\""),
});

/// Hands on the parts of a frame around members that say nothing and that OpenRouter's SDK takes
/// only with a value: OpenAI sends a null usage with every chunk because the gateway asks for the
/// usage at the end. Quotes inside a string are escaped, so that what is found is a member.
fn without_nulls(raw: &[u8], mut on: impl FnMut(Range<usize>)) {
    const NAMES: [&[u8]; 2] = [b"\"usage\"", b"\"system_fingerprint\""];
    let mut kept = 0;
    for at in NEEDLES.null.find_iter(raw) {
        let Some(before) = raw[kept..at].trim_ascii_end().strip_suffix(b":") else { continue };
        let before = before.trim_ascii_end();
        let Some(before) = NAMES.iter().find_map(|name| before.strip_suffix(*name)) else {
            continue;
        };
        // A first member stays: nobody that we know sends one.
        let Some(before) = before.trim_ascii_end().strip_suffix(b",") else { continue };
        on(kept..kept + before.len());
        kept = at + b"null".len();
    }
    on(kept..raw.len());
}

/// Whether a frame may hold something that must be read.
fn may_matter(raw: &[u8]) -> bool {
    if raw.len() < SHORT || !raw.starts_with(b"data:") {
        return true;
    }
    let told = |needle: &Finder<'_>| values(raw, needle).any(|at| raw.get(at) != Some(&b'n'));
    let other_choice =
        |at: usize| raw.get(at) != Some(&b'0') || raw.get(at + 1).is_some_and(u8::is_ascii_digit);
    told(&NEEDLES.finish)
        || told(&NEEDLES.usage)
        || told(&NEEDLES.error)
        || values(raw, &NEEDLES.index).any(other_choice)
}

/// The offsets of the values of every member with this name.
fn values<'a>(raw: &'a [u8], needle: &'a Finder<'_>) -> impl Iterator<Item = usize> + 'a {
    needle.find_iter(raw).filter_map(|at| {
        let mut lexer = Lexer::new(raw, at + needle.needle().len());
        lexer.expect(b':', "a member").ok()?;
        lexer.peek()?;
        Some(lexer.at())
    })
}

/// Overhears a frame in which nothing matters but its text; `false` if it must be read, because
/// somebody may have to go on with more than text.
fn passes_by(raw: &[u8], meter: &mut Meter) -> bool {
    let Some(delivered) = &mut meter.delivered else {
        output(raw, meter);
        return true;
    };
    let text = delivered.take_scratch();
    let mut heard = Heard { text, stats: TextStats::default(), more: false };
    let read =
        values(raw, &NEEDLES.delta).all(|at| Lexer::new(raw, at).value(0, &mut heard).is_ok());
    let plain = read && !heard.more;
    if plain {
        meter.put_out_plain(heard.stats, &heard.text);
    }
    if let Some(delivered) = &mut meter.delivered {
        if plain {
            delivered.hear(&heard.text);
        }
        delivered.give_scratch(heard.text);
    }
    plain
}

/// Hears what a delta says, and whether it holds anything but text.
struct Heard {
    text: String,
    stats: TextStats,
    more: bool,
}

impl Watch for Heard {
    fn key(&mut self, key: &Text<'_>) {
        // Of what is no text here, only what is null says nothing; that is seen by its strings.
        self.more |= matches!(key.raw, b"tool_calls" | b"reasoning_details" | b"function_call");
    }

    fn text(&mut self, key: Option<&[u8]>, text: &Text<'_>) {
        match key {
            Some(b"role") => {}
            Some(b"content") => {
                self.stats.add(text);
                self.more |= !text.unescape_into(&mut self.text);
            }
            _ => self.more = true,
        }
    }
}

/// Counts the text that a frame puts out.
fn output(raw: &[u8], meter: &mut Meter) {
    let mut output = Output::to(meter);
    for at in values(raw, &NEEDLES.delta) {
        // What cannot be read is the client's to see, and counts as far as it went.
        let _unreadable = Lexer::new(raw, at).value(0, &mut output).is_err();
    }
}

/// Counts what a delta or message puts out.
#[derive(Debug)]
pub(super) struct Output<'m> {
    meter: &'m mut Meter,
    /// Inside `reasoning_details`, which repeats the text of `reasoning`.
    details: bool,
}

impl<'m> Output<'m> {
    pub(super) const fn to(meter: &'m mut Meter) -> Self {
        Self { meter, details: false }
    }
}

impl Watch for Output<'_> {
    fn key(&mut self, key: &Text<'_>) {
        match key.raw {
            b"reasoning_details" => self.details = true,
            b"content" | b"reasoning" | b"reasoning_content" | b"refusal" | b"tool_calls"
            | b"role" => self.details = false,
            _ => {}
        }
    }

    fn text(&mut self, key: Option<&[u8]>, text: &Text<'_>) {
        match key {
            Some(b"role" | b"id" | b"type" | b"format" | b"signature" | b"data") => {}
            Some(b"text" | b"summary") if self.details => {}
            _ => self.meter.put_out_text(text),
        }
    }
}
