//! Events → `text_completion` objects, streamed or whole.
//!
//! The form has no place for calls, refusals as such, citations and images: a refusal is text, the
//! others are left out, and no request of this surface can ask for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::dialect::Bill;
use crate::dialect::chat;
use crate::dialect::ir::{Event, FinishReason, TokenLogprob};
use crate::dialect::sink::{AnswerShape, Passed, StreamSink, WholeSink};
use crate::dialect::{json, logprobs};
use crate::error::GatewayError;
use crate::vocab::Usage;

/// The most choices that a request can ask for (OpenAI, 2026-11).
const CHOICES_MAX: usize = 128;

/// Where a choice is listed; none for a number that no request can ask for.
fn position(choice: u32) -> Option<usize> {
    usize::try_from(choice).ok().filter(|&at| at < CHOICES_MAX)
}

/// The members that come before `choices`, after an opening brace.
fn open(shape: &AnswerShape, out: &mut Vec<u8>) {
    out.push(b'{');
    json::text_member(out, "id", &shape.id);
    json::text_member(out, "object", "text_completion");
    json::number_member(out, "created", shape.created);
    json::text_member(out, "model", &shape.model);
    json::text_member(out, "provider", &shape.provider);
}

/// An entry of `choices`: a piece, or all of it.
#[derive(Clone, Copy, Default)]
struct Entry<'e> {
    index: u32,
    text: &'e str,
    reasoning: Option<&'e str>,
    finish: Option<(FinishReason, &'e str)>,
    /// The tokens of the text, and how many characters came before them.
    logprobs: (&'e [TokenLogprob], u64),
}

impl Entry<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        json::comma(out);
        out.push(b'{');
        json::text_member(out, "text", self.text);
        if let Some(reasoning) = self.reasoning {
            json::text_member(out, "reasoning", reasoning);
        }
        json::number_member(out, "index", u64::from(self.index));
        json::key(out, "logprobs");
        match self.logprobs {
            ([], _) => out.extend_from_slice(b"null"),
            (tokens, chars) => logprobs::write_flat(out, tokens, chars),
        }
        json::key(out, "finish_reason");
        json::string_or_null(out, self.finish.map(|(reason, _)| reason.as_str()));
        json::key(out, "native_finish_reason");
        json::string_or_null(out, self.finish.map(|(_, native)| native));
        out.push(b'}');
    }
}

/// Writes a streamed answer.
#[derive(Debug)]
pub struct StreamWriter {
    /// `data: {…`
    prefix: Vec<u8>,
    usage: Option<Usage>,
    hide_reasoning: bool,
    metadata: Option<Arc<str>>,
    /// Tokens of each choice that wait for their text, and the characters of those before.
    tokens: BTreeMap<u32, (Vec<TokenLogprob>, u64)>,
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
            tokens: BTreeMap::new(),
        }
    }

    fn chunk(&self, entry: Entry<'_>, wire: &mut Vec<u8>) {
        wire.extend_from_slice(&self.prefix);
        wire.extend_from_slice(b",\"choices\":[");
        entry.write(wire);
        wire.extend_from_slice(b"]}\n\n");
    }

    /// A chunk that takes the tokens with it that wait.
    fn text(&mut self, entry: Entry<'_>, wire: &mut Vec<u8>) {
        let Some((tokens, chars)) = self.tokens.get_mut(&entry.index) else {
            return self.chunk(entry, wire);
        };
        let (waiting, before) = (std::mem::take(tokens), *chars);
        *chars = chars.saturating_add(characters(&waiting));
        self.chunk(Entry { logprobs: (&waiting, before), ..entry }, wire);
    }
}

fn characters(tokens: &[TokenLogprob]) -> u64 {
    tokens.iter().map(|token| token.chosen.token.chars().count() as u64).sum()
}

const DONE: &[u8] = b"data: [DONE]\n\n";

impl StreamSink for StreamWriter {
    fn write(&mut self, event: &Event, cost: Option<Bill>, wire: &mut Vec<u8>) {
        match event {
            Event::Text { choice: index, text } | Event::Refusal { choice: index, text } => {
                self.text(Entry { index: *index, text, ..Entry::default() }, wire);
            }
            Event::Reasoning { choice: index, text }
            | Event::ReasoningSummary { choice: index, text } => {
                if !self.hide_reasoning {
                    let (index, reasoning) = (*index, Some(text.as_str()));
                    self.chunk(Entry { index, reasoning, ..Entry::default() }, wire);
                }
            }
            Event::Logprobs { choice, tokens, .. } => {
                if position(*choice).is_some() {
                    self.tokens.entry(*choice).or_default().0.extend_from_slice(tokens);
                }
            }
            Event::Finish { choice: index, reason, native, .. } => {
                let (index, finish) = (*index, Some((*reason, native.as_str())));
                self.text(Entry { index, finish, ..Entry::default() }, wire);
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
    tokens: Vec<TokenLogprob>,
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
        let Some(at) = position(choice) else { return };
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
            Event::Logprobs { choice, tokens, .. } => {
                self.with(*choice, |c| c.tokens.extend_from_slice(tokens));
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

    fn finish(mut self: Box<Self>, usage: Option<&Usage>, cost: Option<Bill>) -> Vec<u8> {
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
            let (text, logprobs) = (whole.text.as_str(), (whole.tokens.as_slice(), 0));
            Entry { index, text, reasoning, finish, logprobs }.write(&mut out);
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
