//! Every other pairing: provider bytes → events → what the client asked for.

use std::sync::Arc;

use bytes::Bytes;

use crate::dialect::frames::{Frames, Framing};
use crate::dialect::ir::Event;
use crate::dialect::sse::Frame;
use crate::dialect::{AnswerFault, Dialect, Reader, StreamSink, WholeSink};
use crate::error::GatewayError;
use crate::vocab::{NanoUsd, Usage};

use super::convert::with_metadata;
use super::delivered::{Continued, Delivered, Resume};
use super::filter::Filter;
use super::join::Join;
use super::whole::Buffer;
use super::{HOLD_MAX, Meter, Shape, WHOLE_MAX};

/// The state of a translated answer.
pub(super) struct Translate {
    source: Source,
    sink: Option<Sink>,
    wire: Vec<u8>,
    /// Choices that began, and those that ended, a bit each.
    open: (u128, u128),
    /// Whether the dialect's hosts may leave out the terminal event.
    lenient: bool,
    /// The beginning of an answer came.
    begun: bool,
    /// The terminal event came.
    ended: bool,
    /// Another provider's answer is gone on with.
    joined: Option<Box<Joined>>,
    /// Something else may change the answer.
    filter: Option<Box<Filtering>>,
}

/// A filter, and what it puts out.
struct Filtering {
    filter: Box<dyn Filter>,
    list: Vec<Event>,
}

/// What was there before.
struct Joined {
    join: Join,
    before: (Usage, NanoUsd),
    /// What the client gets of the events at hand.
    list: Vec<Event>,
}

impl std::fmt::Debug for Translate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Translate").field("ended", &self.ended).finish_non_exhaustive()
    }
}

enum Source {
    Stream { frames: Frames, reader: Box<dyn Reader>, events: Vec<Event> },
    Whole { buffer: Buffer, dialect: Dialect },
}

enum Sink {
    Stream(Box<dyn StreamSink>),
    Whole(Box<dyn WholeSink>),
}

impl Translate {
    pub(super) fn new(dialect: Dialect, shape: &Shape, framing: Framing) -> Self {
        let source = match Frames::new(framing) {
            Some(frames) => {
                let reader = dialect.reader(shape.host, shape.template.as_deref());
                Source::Stream { frames, reader, events: Vec::new() }
            }
            None => Source::Whole { buffer: Buffer::default(), dialect },
        };
        let answer = shape.answer(dialect);
        let sink = if shape.stream {
            Sink::Stream(shape.surface.stream_sink(&answer))
        } else {
            Sink::Whole(shape.surface.whole_sink(&answer))
        };
        Self {
            source,
            sink: Some(sink),
            wire: Vec::new(),
            open: (0, 0),
            lenient: dialect.ends_softly(),
            begun: false,
            ended: false,
            joined: None,
            filter: None,
        }
    }

    /// The same for an answer that a filter may change.
    pub(super) fn filtered(
        dialect: Dialect,
        shape: &Shape,
        framing: Framing,
        filter: Box<dyn Filter>,
    ) -> Self {
        let filter = Some(Box::new(Filtering { filter, list: Vec::new() }));
        Self { filter, ..Self::new(dialect, shape, framing) }
    }

    /// Goes on with an answer that another provider began.
    pub(super) fn resume(
        dialect: Dialect,
        shape: &Shape,
        framing: Framing,
        resume: Resume,
        how: Continued,
    ) -> (Self, Delivered) {
        let Resume { mut sink, delivered, wire } = resume;
        sink.retell(how.metadata);
        let join = Join::new(&delivered, how.seam);
        let this = Self {
            sink: Some(Sink::Stream(sink)),
            wire,
            joined: Some(Box::new(Joined { join, before: how.before, list: Vec::new() })),
            ..Self::new(dialect, shape, framing)
        };
        (this, delivered)
    }

    /// What writes the client's stream, and what it wrote that is not with the client.
    pub(super) fn take_sink(&mut self) -> Option<(Box<dyn StreamSink>, Vec<u8>)> {
        match self.sink.take() {
            Some(Sink::Stream(sink)) => Some((sink, std::mem::take(&mut self.wire))),
            Some(Sink::Whole(_)) | None => None,
        }
    }

    /// The same, of a stream that ends here: what still comes is dropped.
    pub(super) fn stop(&mut self) -> Option<(Box<dyn StreamSink>, Vec<u8>)> {
        let taken = self.take_sink()?;
        self.ended = true;
        Some(taken)
    }

    pub(super) fn push(
        &mut self,
        chunk: Bytes,
        shape: &Shape,
        meter: &mut Meter,
    ) -> Result<Option<Bytes>, AnswerFault> {
        if self.ended {
            return Ok(None);
        }
        match &mut self.source {
            Source::Whole { buffer, .. } => {
                buffer.push(chunk)?;
                return Ok(None);
            }
            Source::Stream { frames, reader, events } => {
                let mut events = std::mem::take(events);
                let read = frames.push(&chunk, |frame: Frame<'_>| reader.read(&frame, &mut events));
                // What came before a fault counts, and what comes after the end does not.
                let taken = self.take(&events, shape, meter);
                self.keep(events);
                taken?;
                if !self.ended {
                    read?;
                }
            }
        }
        self.release(meter)
    }

    pub(super) fn end(
        &mut self,
        shape: &Shape,
        meter: &mut Meter,
    ) -> Result<Option<Bytes>, AnswerFault> {
        if self.ended {
            return Ok(None);
        }
        let mut events = Vec::new();
        match &mut self.source {
            Source::Whole { buffer, dialect } => {
                let template = shape.template.as_deref();
                dialect.read_whole(shape.host, template, &buffer.take(), &mut events)?;
            }
            Source::Stream { frames, reader, .. } => {
                let last = frames.finish(|frame: Frame<'_>| reader.read(&frame, &mut events));
                // Without an empty line at its end a last event may be cut short.
                last.map_err(|fault| match fault {
                    AnswerFault::Garbled(_) => AnswerFault::Truncated,
                    other => other,
                })?;
            }
        }
        self.take(&events, shape, meter)?;
        if !self.ended {
            let (began, finished) = self.open;
            if !self.begun {
                return Err(AnswerFault::Empty);
            }
            if !self.lenient || began == 0 || began != finished {
                return Err(AnswerFault::Truncated);
            }
            self.take(&[Event::End], shape, meter)?;
        }
        self.release(meter)
    }

    /// Gives the list of events back, so that it need not be allocated again.
    fn keep(&mut self, mut list: Vec<Event>) {
        list.clear();
        if let Source::Stream { events, .. } = &mut self.source {
            *events = list;
        }
    }

    fn take(
        &mut self,
        events: &[Event],
        shape: &Shape,
        meter: &mut Meter,
    ) -> Result<(), AnswerFault> {
        for event in events {
            if self.ended {
                break;
            }
            self.begun = true;
            meter.see(event);
            self.note(event);
            if matches!(event, Event::End) {
                self.conclude(shape, meter)?;
                continue;
            }
            if let Some(joined) = &mut self.joined {
                let taken = joined.join.take(event, &mut joined.list);
                self.say_joined(meter);
                taken?;
                continue;
            }
            if let Some(Filtering { filter, list }) = self.filter.as_deref_mut() {
                let taken = filter.take(event.clone(), list);
                let mut list = std::mem::take(list);
                list.drain(..).for_each(|event| self.say(&event, meter));
                if let Some(filtering) = &mut self.filter {
                    filtering.list = list;
                }
                taken?;
                continue;
            }
            self.say(event, meter);
        }
        let is_whole = matches!(self.sink, Some(Sink::Whole(_)));
        if is_whole && usize::try_from(meter.output_bytes).unwrap_or(usize::MAX) > WHOLE_MAX {
            return Err(AnswerFault::TooLarge);
        }
        Ok(())
    }

    fn say(&mut self, event: &Event, meter: &mut Meter) {
        meter.hand_over(event);
        match &mut self.sink {
            Some(Sink::Stream(writer)) => writer.write(event, None, &mut self.wire),
            Some(Sink::Whole(writer)) => writer.write(event),
            None => {}
        }
    }

    /// Says what is new to the client.
    fn say_joined(&mut self, meter: &mut Meter) {
        let (Some(joined), Some(Sink::Stream(sink))) = (&mut self.joined, &mut self.sink) else {
            return;
        };
        for event in joined.list.drain(..) {
            meter.hand_over(&event);
            sink.write(&event, None, &mut self.wire);
        }
    }

    fn note(&mut self, event: &Event) {
        let bit = |choice: &u32| 1_u128.checked_shl(*choice).unwrap_or(0);
        match event {
            Event::Text { choice, .. }
            | Event::Reasoning { choice, .. }
            | Event::ReasoningSignature { choice, .. }
            | Event::ReasoningSummary { choice, .. }
            | Event::ReasoningEncrypted { choice, .. }
            | Event::Refusal { choice, .. }
            | Event::ToolStart { choice, .. }
            | Event::ToolArguments { choice, .. }
            | Event::Citation { choice, .. }
            | Event::Image { choice, .. } => self.open.0 |= bit(choice),
            Event::Finish { choice, .. } => {
                self.open.0 |= bit(choice);
                self.open.1 |= bit(choice);
            }
            Event::Start { .. } | Event::Logprobs { .. } | Event::Usage(_) | Event::End => {}
        }
    }

    /// Ends the answer with its usage, estimated if the provider gave none, and its cost.
    fn conclude(&mut self, shape: &Shape, meter: &mut Meter) -> Result<(), AnswerFault> {
        if !meter.semantic {
            return Err(AnswerFault::Empty);
        }
        self.ended = true;
        meter.complete = true;
        meter.count_rest(&shape.request);
        let mut usage = meter.usage(shape.prompt_estimate);
        let mut cost = shape.bill_of(&usage, meter.finish);
        if let Some(joined) = &mut self.joined {
            joined.join.settle(&mut joined.list);
            (usage, cost) = (joined.before.0.and(&usage), cost + joined.before.1);
        }
        self.say_joined(meter);
        let cost = Some(cost);
        let retold = self.retold(shape);
        match self.sink.take() {
            Some(Sink::Stream(mut writer)) => {
                if retold.is_some() {
                    writer.retell(retold);
                }
                writer.write(&Event::Usage(usage), None, &mut self.wire);
                writer.write(&Event::End, cost, &mut self.wire);
            }
            Some(Sink::Whole(writer)) => {
                let answer = writer.finish(Some(&usage), cost);
                self.wire = with_metadata(answer, retold.or(shape.metadata.clone()).as_deref());
            }
            None => {}
        }
        Ok(())
    }

    /// What is told of the routing once the filter has seen all of the answer.
    fn retold(&mut self, shape: &Shape) -> Option<Arc<str>> {
        let filter = &mut self.filter.as_mut()?.filter;
        filter.end();
        filter.retold(shape.metadata.as_deref()?)
    }

    /// Ends the client's stream in error.
    pub(super) fn abort(&mut self, error: &GatewayError, wire: &mut Vec<u8>) {
        if let Some(Sink::Stream(writer)) = &mut self.sink {
            writer.abort(error, wire);
        }
    }

    /// What was written and not handed on, before a fault.
    pub(super) fn leftover(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.wire)
    }

    /// Hands on what was written, once something of the answer came.
    fn release(&mut self, meter: &Meter) -> Result<Option<Bytes>, AnswerFault> {
        if !meter.semantic {
            let held = self.wire.len();
            return if held > HOLD_MAX { Err(AnswerFault::TooLarge) } else { Ok(None) };
        }
        Ok(Some(Bytes::from(std::mem::take(&mut self.wire))))
    }
}
