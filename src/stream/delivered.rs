//! What the client has of an answer: kept so that another provider can go on with it.

use std::sync::Arc;

use bytes::Bytes;

use crate::dialect::ir::Event;
use crate::dialect::sink::Passed;
use crate::dialect::{StreamSink, sse};
use crate::error::GatewayError;
use crate::vocab::{NanoUsd, Usage};

/// The most that is kept, in bytes: what is longer cannot be gone on with.
const KEPT_MAX: usize = 256 << 10;
/// The most steps that are kept: text of one kind in a row is one step.
const STEPS_MAX: usize = 1 << 10;

/// What the client has of an answer.
#[derive(Default)]
pub struct Delivered {
    steps: Vec<Event>,
    bytes: usize,
    /// It holds something that nobody can go on from, or too much.
    lost: bool,
    finished: bool,
    pub(super) passed: Passed,
    /// Where a passing chunk's text is unescaped, so that not each takes memory anew.
    scratch: String,
}

impl std::fmt::Debug for Delivered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivered").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Delivered {
    /// Adds a step.
    pub(super) fn see(&mut self, event: &Event) {
        match event {
            Event::Text { choice: 0, text } => self.hear(text),
            Event::Reasoning { choice: 0, text } => {
                if let Some(Event::Reasoning { text: all, .. }) = self.steps.last_mut() {
                    all.push_str(text);
                    self.charge(text.len());
                } else {
                    self.add(event, text.len());
                }
            }
            Event::ToolArguments { choice: 0, index, json } => match self.steps.last_mut() {
                Some(Event::ToolArguments { index: last, json: all, .. }) if last == index => {
                    all.push_str(json);
                    self.charge(json.len());
                }
                _ => self.add(event, json.len()),
            },
            Event::ReasoningSummary { choice: 0, text }
            | Event::ReasoningSignature { choice: 0, signature: text }
            | Event::ReasoningEncrypted { choice: 0, data: text, .. }
            | Event::ToolStart { choice: 0, name: text, .. } => self.add(event, text.len()),
            Event::Citation { choice: 0, citation } => self.add(event, citation.url.len()),
            Event::Finish { .. } => self.finished = true,
            Event::Start { .. } | Event::Usage(_) | Event::End => {}
            // A refusal and a picture are no beginning of anything, and of several answers it
            // cannot be told which of them goes on.
            _ => self.lose(),
        }
    }

    /// An empty text to write a chunk's into.
    pub(super) fn take_scratch(&mut self) -> String {
        std::mem::take(&mut self.scratch)
    }

    /// Gives it back.
    pub(super) fn give_scratch(&mut self, mut text: String) {
        text.clear();
        self.scratch = text;
    }

    /// Adds text.
    pub(super) fn hear(&mut self, text: &str) {
        if self.lost {
            return;
        }
        match self.steps.last_mut() {
            Some(Event::Text { text: all, .. }) => {
                all.push_str(text);
                self.charge(text.len());
            }
            _ => self.add(&Event::Text { choice: 0, text: text.to_owned() }, text.len()),
        }
    }

    fn add(&mut self, event: &Event, size: usize) {
        if self.lost {
            return;
        }
        if self.steps.len() == STEPS_MAX {
            return self.lose();
        }
        self.steps.push(event.clone());
        self.charge(size);
    }

    fn charge(&mut self, size: usize) {
        self.bytes += size;
        if self.bytes > KEPT_MAX {
            self.lose();
        }
    }

    /// From here on nobody can go on with this answer.
    pub(super) fn lose(&mut self) {
        self.lost = true;
        self.steps = Vec::new();
    }

    /// Whether another provider can go on with it.
    pub const fn is_open(&self) -> bool {
        !self.lost && !self.finished
    }

    /// The text.
    pub fn text(&self) -> String {
        let texts = self.steps.iter().filter_map(|step| match step {
            Event::Text { text, .. } => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    /// The calls in their order: name and arguments so far.
    pub(super) fn calls(&self) -> Vec<(String, String)> {
        let mut calls: Vec<(u32, String, String)> = Vec::new();
        for step in &self.steps {
            match step {
                Event::ToolStart { index, name, .. } => {
                    calls.push((*index, name.clone(), String::new()));
                }
                Event::ToolArguments { index, json, .. } => {
                    if let Some(call) = calls.iter_mut().find(|call| call.0 == *index) {
                        call.2.push_str(json);
                    }
                }
                _ => {}
            }
        }
        calls.into_iter().map(|(_, name, arguments)| (name, arguments)).collect()
    }

    /// Has a writer take all steps, whose words are with the client already.
    pub(super) fn replay(&self, sink: &mut dyn StreamSink) {
        let mut said = Vec::new();
        for step in &self.steps {
            sink.write(step, None, &mut said);
            said.clear();
        }
    }

    /// Takes note of a frame that passed, in a format that numbers and names its parts.
    pub(super) fn pass(&mut self, frame: &sse::Frame<'_>) {
        if !self.lost {
            self.passed.note(frame.event, frame.data);
        }
    }
}

/// A stream whose provider failed after the client had a part of it, and with which another may
/// go on.
pub struct Resume {
    pub(super) sink: Box<dyn StreamSink>,
    pub(super) delivered: Delivered,
    /// What was written and is not with the client.
    pub(super) wire: Vec<u8>,
}

impl std::fmt::Debug for Resume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resume").field("delivered", &self.delivered).finish_non_exhaustive()
    }
}

impl Resume {
    /// What the client has.
    pub const fn delivered(&self) -> &Delivered {
        &self.delivered
    }

    /// Puts bytes that were written but did not get to the client before all others.
    pub fn unsent(&mut self, bytes: &[u8]) {
        self.wire.splice(0..0, bytes.iter().copied());
    }

    /// The bytes that end the client's stream in error, if nobody goes on with it.
    pub fn abort(&mut self, error: &GatewayError) -> Bytes {
        let mut wire = std::mem::take(&mut self.wire);
        self.sink.abort(error, &mut wire);
        Bytes::from(wire)
    }
}

/// How another provider goes on, and what came before it.
#[derive(Debug)]
pub struct Continued {
    /// How it was made to.
    pub seam: super::Seam,
    /// What was consumed and charged before.
    pub before: (Usage, NanoUsd),
    /// How the request was routed, once more, for a client that asked to be told.
    pub metadata: Option<Arc<str>>,
}
