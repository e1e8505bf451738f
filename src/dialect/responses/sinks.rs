//! Streamed and whole answers: events → the events of a Responses stream, or one `response`.

use std::sync::Arc;

use super::object::Failure;
use super::output::Output;
use crate::dialect::Bill;
use crate::dialect::ir::Event;
use crate::dialect::sink::{AnswerShape, Passed, StreamSink, WholeSink};
use crate::error::GatewayError;
use crate::vocab::Usage;

/// Writes the events of one answer as a stream.
///
/// Items are numbered as they begin. Calls stay open until the end, because only the provider
/// knows which one goes on; everything else is closed by what follows it.
pub struct StreamWriter(Output);

impl StreamWriter {
    /// A writer at the beginning of an answer.
    pub fn new(shape: &AnswerShape) -> Self {
        Self(Output::new(shape, false))
    }
}

impl StreamSink for StreamWriter {
    fn write(&mut self, event: &Event, cost: Option<Bill>, wire: &mut Vec<u8>) {
        match event {
            Event::End => self.0.end(cost, wire),
            event => self.0.take(event, wire),
        }
    }

    fn abort(&mut self, error: &GatewayError, wire: &mut Vec<u8>) {
        self.0.fail(Failure::of(error), None, wire);
    }

    fn adopt(&mut self, passed: &Passed, _: &mut Vec<u8>) -> bool {
        self.0.adopt(passed)
    }

    fn retell(&mut self, metadata: Option<Arc<str>>) {
        self.0.retell(metadata);
    }
}

/// Collects the events of one answer and writes it whole.
pub struct WholeWriter(Output);

impl WholeWriter {
    /// A writer at the beginning of an answer.
    pub fn new(shape: &AnswerShape) -> Self {
        Self(Output::new(shape, true))
    }
}

impl WholeSink for WholeWriter {
    fn write(&mut self, event: &Event) {
        self.0.take(event, &mut Vec::new());
    }

    fn finish(mut self: Box<Self>, usage: Option<&Usage>, cost: Option<Bill>) -> Vec<u8> {
        let mut out = Vec::new();
        self.0.usage = usage.copied().or(self.0.usage);
        self.0.end(cost, &mut out);
        out
    }
}
