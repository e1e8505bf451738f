//! A stream that the gateway itself ends, in good order: at the length that the credit reached.

use std::sync::Arc;

use bytes::Bytes;

use crate::dialect::Dialect;
use crate::dialect::ir::{Event, FinishReason};
use crate::vocab::{NanoUsd, PicoUsd, Usage};

use super::{Path, Pipe};

/// Why the answer ended, where the provider's own words would stand.
const NATIVE: &str = "credit_exhausted";

impl Pipe {
    /// Ends the stream after what the client has, as if the provider had reached a limit on its
    /// length, with usage and cost as far as it came. What the provider still sends is dropped.
    /// `metadata` replaces what the client is told of the request's way, and `before` is what other
    /// providers did for the same answer.
    ///
    /// `None`, with nothing changed for the client: it is no stream, has ended, or is one that
    /// nobody can go on with; it can only be [aborted](Pipe::abort).
    pub fn stop(
        &mut self,
        choices: u32,
        metadata: Option<Arc<str>>,
        before: (Usage, NanoUsd),
    ) -> Option<Bytes> {
        if !self.shape.stream || self.meter.complete || !self.started {
            return None;
        }
        let (mut sink, mut wire) = match &mut self.path {
            Path::Relay(relay) => {
                let mut answer = self.shape.answer(Dialect::OpenAi);
                self.meter.name(&mut answer);
                (self.shape.surface.stream_sink(&answer), relay.stop())
            }
            Path::Translate(translate) => translate.stop()?,
            Path::Echo(..) => {
                let resume = self.take_resume(None)?;
                if let Path::Echo(_, echo) = &mut self.path {
                    echo.stop();
                }
                (resume.sink, resume.wire)
            }
            Path::Whole(_) | Path::Convert(_) => return None,
        };
        sink.retell(metadata);
        let (reason, native) = (FinishReason::Length, NATIVE.to_owned());
        for choice in 0..choices.max(1) {
            let native = native.clone();
            sink.write(&Event::Finish { choice, reason, native, stop: None }, None, &mut wire);
        }
        self.meter.finish = Some(reason);
        self.meter.native_finish = Some(native);
        self.meter.complete = true;
        let usage = before.0.and(&self.meter.usage(self.shape.prompt_estimate));
        sink.write(&Event::Usage(usage), None, &mut wire);
        sink.write(&Event::End, Some(self.shape.bill(&self.meter) + before.1), &mut wire);
        Some(Bytes::from(wire))
    }

    /// What the answer would cost if so many completion tokens were counted.
    pub fn cost_of(&self, completion: u64) -> NanoUsd {
        let usage = self.meter.usage(self.shape.prompt_estimate);
        self.shape.prices.cost(&Usage { completion, ..usage })
    }

    /// The most that one more token of the answer can cost by the list.
    pub fn token_price(&self) -> PicoUsd {
        let prompt = self.meter.usage(self.shape.prompt_estimate).prompt;
        self.shape.prices.prices(prompt).completion_at_most()
    }
}
