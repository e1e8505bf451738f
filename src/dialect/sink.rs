//! What a surface does with the events of an answer.

use std::sync::Arc;

use super::ir::Event;
use crate::error::GatewayError;
use crate::vocab::{NanoUsd, Usage};

/// What every piece of an answer, or the whole answer, repeats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerShape {
    /// The generation's id: `gen-…`.
    pub id: String,
    /// When the answer began, in seconds since 1970.
    pub created: u64,
    /// The public id of the model that answers.
    pub model: String,
    /// The display name of the provider that answers.
    pub provider: String,
    /// Leave the reasoning out (`reasoning.exclude`); it is billed all the same.
    pub hide_reasoning: bool,
    /// What the form of the provider's reasoning is called; see
    /// [`super::Dialect::reasoning_format`].
    pub reasoning_format: &'static str,
    /// Members of the request that the answer repeats, as JSON: `"temperature":1,…`, without
    /// braces. Only Responses does that.
    pub echo: Option<Arc<str>>,
    /// `openrouter_metadata` as JSON, for a client that asked for it: a stream tells it with its end
    /// (to a whole answer the pipe adds it).
    pub metadata: Option<Arc<str>>,
}

/// Writes the events of one answer as a stream, as they come.
pub trait StreamSink: Send + Sync {
    /// Appends what the event means to the client to `wire`. `cost` is what the answer is charged;
    /// it is looked at with [`Event::End`] only, before which [`Event::Usage`] has come.
    fn write(&mut self, event: &Event, cost: Option<NanoUsd>, wire: &mut Vec<u8>);

    /// Appends what ends a stream whose beginning is with the client, and which went wrong: open
    /// blocks are closed where the surface demands it, and it never looks complete.
    fn abort(&mut self, error: &GatewayError, wire: &mut Vec<u8>);
}

/// Collects the events of one answer and writes it whole.
pub trait WholeSink: Send + Sync {
    /// Adds what the event carries. A choice that no request can ask for is ignored.
    fn write(&mut self, event: &Event);

    /// The answer as JSON.
    fn finish(self: Box<Self>, usage: Option<&Usage>, cost: Option<NanoUsd>) -> Vec<u8>;
}
