//! Events → `text_completion` objects, streamed or whole.
//!
//! The form has no place for calls, refusals as such, citations and images: a refusal is text, the
//! others are left out, and no request of this surface can ask for them.

use std::sync::Arc;

use crate::dialect::chat;
use crate::dialect::ir::{Event, FinishReason};
use crate::dialect::json;
use crate::dialect::sink::{AnswerShape, Passed, StreamSink, WholeSink};
use crate::error::GatewayError;
use crate::vocab::{NanoUsd, Usage};

/// The most choices that a request can ask for (OpenAI, 2026-11).
const CHOICES_MAX: usize = 128;

/// The members that come before `choices`, after an opening brace.
fn open(shape: &AnswerShape, out: &mut Vec<u8>) {
    out.push(b'{');
    json::text_member(out, "id", &shape.id);
    json::text_member(out, "object", "text_completion");
    json::number_member(out, "created", shape.created);
    json::text_member(out, "model", &shape.model);
    json::text_member(out, "provider", &shape.provider);
}

/// One entry of `choices`.
fn choice(
    index: u32,
    text: &str,
    reasoning: Option<&str>,
    finish: Option<(FinishReason, &str)>,
    out: &mut Vec<u8>,
) {
    json::comma(out);
    out.push(b'{');
    json::text_member(out, "text", text);
    if let Some(reasoning) = reasoning {
        json::text_member(out, "reasoning", reasoning);
    }
    json::number_member(out, "index", u64::from(index));
    out.extend_from_slice(b",\"logprobs\":null");
    json::key(out, "finish_reason");
    json::string_or_null(out, finish.map(|(reason, _)| reason.as_str()));
    json::key(out, "native_finish_reason");
    json::string_or_null(out, finish.map(|(_, native)| native));
    out.push(b'}');
}

/// Writes a streamed answer.
#[derive(Debug)]
pub struct StreamWriter {
    /// `data: {…`
    prefix: Vec<u8>,
    usage: Option<Usage>,
    hide_reasoning: bool,
    metadata: Option<Arc<str>>,
}

impl StreamWriter {
    /// A writer at the beginning of an answer.
    pub fn new(shape: &AnswerShape) -> Self {
        let mut prefix = b"data: ".to_vec();
        open(shape, &mut prefix);
        Self {
            prefix,
            usage: None,
            hide_reasoning: shape.hide_reasoning,
            metadata: shape.metadata.clone(),
        }
    }

    fn chunk(
        &self,
        index: u32,
        text: &str,
        reasoning: Option<&str>,
        finish: Option<(FinishReason, &str)>,
        wire: &mut Vec<u8>,
    ) {
        wire.extend_from_slice(&self.prefix);
        wire.extend_from_slice(b",\"choices\":[");
        choice(index, text, reasoning, finish, wire);
        wire.extend_from_slice(b"]}\n\n");
    }
}

const DONE: &[u8] = b"data: [DONE]\n\n";

impl StreamSink for StreamWriter {
    fn write(&mut self, event: &Event, cost: Option<NanoUsd>, wire: &mut Vec<u8>) {
        match event {
            Event::Text { choice, text } | Event::Refusal { choice, text } => {
                self.chunk(*choice, text, None, None, wire);
            }
            Event::Reasoning { choice, text } | Event::ReasoningSummary { choice, text } => {
                if !self.hide_reasoning {
                    self.chunk(*choice, "", Some(text), None, wire);
                }
            }
            Event::Finish { choice, reason, native, .. } => {
                self.chunk(*choice, "", None, Some((*reason, native)), wire);
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::End => {
                if self.usage.is_some() || cost.is_some() {
                    wire.extend_from_slice(&self.prefix);
                    wire.extend_from_slice(b",\"choices\":[],\"usage\":");
                    chat::write_usage(wire, &self.usage.unwrap_or_default(), cost);
                    chat::write_metadata(wire, self.metadata.as_deref());
                    wire.extend_from_slice(b"}\n\n");
                }
                wire.extend_from_slice(DONE);
            }
            Event::Start { .. }
            | Event::ReasoningSignature { .. }
            | Event::ReasoningEncrypted { .. }
            | Event::ToolStart { .. }
            | Event::ToolArguments { .. }
            | Event::Citation { .. }
            | Event::Image { .. } => {}
        }
    }

    fn abort(&mut self, error: &GatewayError, wire: &mut Vec<u8>) {
        wire.extend_from_slice(&self.prefix);
        // `{"error":{…}}` without its outer braces.
        let body = chat::error_body(error);
        wire.push(b',');
        wire.extend_from_slice(body.get(1..body.len().saturating_sub(1)).unwrap_or_default());
        wire.extend_from_slice(
            b",\"choices\":[{\"text\":\"\",\"index\":0,\"logprobs\":null,\"finish_reason\":\"error\",\"native_finish_reason\":null}]}\n\n",
        );
        wire.extend_from_slice(DONE);
    }

    fn adopt(&mut self, _: &Passed, _: &mut Vec<u8>) -> bool {
        true
    }

    fn retell(&mut self, metadata: Option<Arc<str>>) {
        self.metadata = metadata;
    }
}

/// Collects the events of one answer and writes it whole.
pub struct WholeWriter {
    head: Vec<u8>,
    choices: Vec<Whole>,
    hide_reasoning: bool,
}

#[derive(Clone, Default)]
struct Whole {
    text: String,
    reasoning: String,
    finish: Option<(FinishReason, String)>,
}

impl WholeWriter {
    /// A writer at the beginning of an answer.
    pub fn new(shape: &AnswerShape) -> Self {
        let mut head = Vec::with_capacity(256);
        open(shape, &mut head);
        Self { head, choices: Vec::new(), hide_reasoning: shape.hide_reasoning }
    }

    fn with(&mut self, choice: u32, change: impl FnOnce(&mut Whole)) {
        let place = usize::try_from(choice).ok().filter(|&at| at < CHOICES_MAX);
        let Some(at) = place else { return };
        if at >= self.choices.len() {
            self.choices.resize(at + 1, Whole::default());
        }
        change(&mut self.choices[at]);
    }
}

impl WholeSink for WholeWriter {
    fn write(&mut self, event: &Event) {
        match event {
            Event::Text { choice, text } | Event::Refusal { choice, text } => {
                self.with(*choice, |c| c.text.push_str(text));
            }
            Event::Reasoning { choice, text } | Event::ReasoningSummary { choice, text } => {
                self.with(*choice, |c| c.reasoning.push_str(text));
            }
            Event::Finish { choice, reason, native, .. } => {
                self.with(*choice, |c| c.finish = Some((*reason, native.clone())));
            }
            Event::Start { .. }
            | Event::ReasoningSignature { .. }
            | Event::ReasoningEncrypted { .. }
            | Event::ToolStart { .. }
            | Event::ToolArguments { .. }
            | Event::Citation { .. }
            | Event::Image { .. }
            | Event::Usage(_)
            | Event::End => {}
        }
    }

    fn finish(mut self: Box<Self>, usage: Option<&Usage>, cost: Option<NanoUsd>) -> Vec<u8> {
        if self.choices.is_empty() {
            self.choices.push(Whole::default());
        }
        let mut out = self.head;
        json::key(&mut out, "choices");
        out.push(b'[');
        for (index, whole) in (0..).zip(&self.choices) {
            let reasoning = Some(whole.reasoning.as_str());
            let reasoning = reasoning.filter(|text| !text.is_empty() && !self.hide_reasoning);
            let finish = whole.finish.as_ref().map(|(reason, native)| (*reason, native.as_str()));
            choice(index, &whole.text, reasoning, finish, &mut out);
        }
        out.push(b']');
        if usage.is_some() || cost.is_some() {
            json::key(&mut out, "usage");
            chat::write_usage(&mut out, &usage.copied().unwrap_or_default(), cost);
        }
        out.push(b'}');
        out
    }
}
