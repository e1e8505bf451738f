//! Streamed answers: events → `chat.completion.chunk`s.
//!
//! A chunk differs from the one before only in its delta, so everything in front of `choices` is
//! written once, when the answer begins, and copied.

use std::sync::Arc;

use crate::dialect::Bill;
use crate::dialect::ir::{Citation, Event, FinishReason, TokenLogprob};
use crate::dialect::sink::{AnswerShape, Passed, StreamSink};
use crate::dialect::{json, logprobs};
use crate::error::GatewayError;
use crate::vocab::Usage;

use super::fault::error_tail;

/// Appends the members that come before `choices`, of which the last is not followed by a comma,
/// after an opening brace.
pub(super) fn open(shape: &AnswerShape, object: &str, out: &mut Vec<u8>) {
    out.push(b'{');
    json::text_member(out, "id", &shape.id);
    json::text_member(out, "object", object);
    json::number_member(out, "created", shape.created);
    json::text_member(out, "model", &shape.model);
    json::text_member(out, "provider", &shape.provider);
}

/// The most choices that a request can ask for (OpenAI: `n` is at most 128, 2026-11).
pub(super) const CHOICES_MAX: usize = 128;

/// Writes the events of one answer as server-sent chunks.
#[derive(Debug)]
pub struct StreamWriter {
    /// `data: {…,"choices":[{"index":`
    prefix: Vec<u8>,
    choices: Vec<Choice>,
    usage: Option<Usage>,
    hide_reasoning: bool,
    reasoning_format: &'static str,
    metadata: Option<Arc<str>>,
}

#[derive(Clone, Debug, Default)]
struct Choice {
    /// The chunk with the role is out.
    begun: bool,
    reasoning: ReasoningIndex,
    /// `logprobs` of the next chunk.
    logprobs: Logprobs,
}

/// `logprobs` of a choice, as lists of JSON without brackets.
#[derive(Clone, Debug, Default)]
pub(super) struct Logprobs {
    content: Vec<u8>,
    refusal: Vec<u8>,
}

impl Logprobs {
    pub(super) fn add(&mut self, refusal: bool, tokens: &[TokenLogprob]) {
        let list = if refusal { &mut self.refusal } else { &mut self.content };
        logprobs::write(list, tokens);
    }

    fn is_empty(&self) -> bool {
        self.content.is_empty() && self.refusal.is_empty()
    }

    /// Appends `,"logprobs":…`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        json::key(out, "logprobs");
        if self.is_empty() {
            return out.extend_from_slice(b"null");
        }
        out.push(b'{');
        for (name, list) in [("content", &self.content), ("refusal", &self.refusal)] {
            json::key(out, name);
            if list.is_empty() {
                out.extend_from_slice(b"null");
            } else {
                out.push(b'[');
                out.extend_from_slice(list);
                out.push(b']');
            }
        }
        out.push(b'}');
    }
}

/// Counts blocks of reasoning, so that a client can put the pieces of each together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReasoningIndex {
    next: u64,
    open: bool,
}

impl ReasoningIndex {
    /// The index of the block that a piece of text belongs to.
    pub(super) const fn text(&mut self) -> u64 {
        self.open = true;
        self.next
    }

    /// The index of the block that a signature closes.
    pub(super) const fn signature(&mut self) -> u64 {
        self.open = false;
        self.next += 1;
        self.next - 1
    }

    /// The index of an encrypted block.
    pub(super) const fn encrypted(&mut self) -> u64 {
        if self.open {
            self.next += 1;
        }
        self.signature()
    }
}

const PREFIX_CHOICES: &[u8] = b",\"choices\":[{\"index\":";
const TAIL: &[u8] = b"},\"finish_reason\":null,\"logprobs\":null}]}\n\n";

/// The line that ends a stream.
const DONE: &[u8] = b"data: [DONE]\n\n";

impl StreamWriter {
    /// A writer at the beginning of an answer.
    pub fn new(shape: &AnswerShape) -> Self {
        let mut prefix = b"data: ".to_vec();
        open(shape, "chat.completion.chunk", &mut prefix);
        prefix.extend_from_slice(PREFIX_CHOICES);
        Self {
            prefix,
            choices: Vec::new(),
            usage: None,
            hide_reasoning: shape.hide_reasoning,
            reasoning_format: shape.reasoning_format,
            metadata: shape.metadata.clone(),
        }
    }
}

impl StreamSink for StreamWriter {
    fn write(&mut self, event: &Event, cost: Option<Bill>, wire: &mut Vec<u8>) {
        match event {
            Event::Start { .. } => self.begin(0, wire),
            Event::Logprobs { choice, refusal, tokens } => {
                if let Some(at) = self.place(*choice) {
                    self.choices[at].logprobs.add(*refusal, tokens);
                }
            }
            Event::Text { choice, text } => self.text(*choice, "content", text, wire),
            Event::Refusal { choice, text } => self.text(*choice, "refusal", text, wire),
            Event::Reasoning { .. }
            | Event::ReasoningSignature { .. }
            | Event::ReasoningSummary { .. }
            | Event::ReasoningEncrypted { .. } => {
                if !self.hide_reasoning {
                    self.reasoning(event, wire);
                }
            }
            Event::ToolStart { choice, index, id, name } => {
                self.open_delta(*choice, wire);
                tool_index(*index, wire);
                json::text_member(wire, "id", id);
                wire.extend_from_slice(b",\"type\":\"function\",\"function\":{\"name\":");
                json::string(wire, name);
                wire.extend_from_slice(b",\"arguments\":\"\"}}]");
                wire.extend_from_slice(TAIL);
            }
            Event::ToolArguments { choice, index, json } => {
                self.open_delta(*choice, wire);
                tool_index(*index, wire);
                wire.extend_from_slice(b",\"function\":{\"arguments\":");
                json::string(wire, json);
                wire.extend_from_slice(b"}}]");
                wire.extend_from_slice(TAIL);
            }
            Event::Citation { choice, citation } => {
                self.open_delta(*choice, wire);
                json::key(wire, "annotations");
                wire.push(b'[');
                annotation(wire, citation);
                wire.push(b']');
                wire.extend_from_slice(TAIL);
            }
            Event::Image { choice, url } => {
                self.open_delta(*choice, wire);
                json::key(wire, "images");
                wire.push(b'[');
                image(wire, url);
                wire.push(b']');
                wire.extend_from_slice(TAIL);
            }
            Event::Finish { choice, reason, native, .. } => {
                self.finish(*choice, *reason, native, wire);
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::End => self.end(cost, wire),
        }
    }

    fn abort(&mut self, error: &GatewayError, wire: &mut Vec<u8>) {
        wire.extend_from_slice(&self.prefix[..self.prefix.len() - PREFIX_CHOICES.len()]);
        error_tail(error, wire);
    }

    fn adopt(&mut self, _: &Passed, _: &mut Vec<u8>) -> bool {
        true
    }

    fn retell(&mut self, metadata: Option<Arc<str>>) {
        self.metadata = metadata;
    }
}

impl StreamWriter {
    fn text(&mut self, choice: u32, name: &'static str, text: &str, wire: &mut Vec<u8>) {
        self.open_delta(choice, wire);
        json::text_member(wire, name, text);
        match self.logprobs(choice) {
            None => wire.extend_from_slice(TAIL),
            Some(logprobs) => {
                wire.extend_from_slice(b"},\"finish_reason\":null");
                logprobs.write(wire);
                wire.extend_from_slice(b"}]}\n\n");
            }
        }
    }

    /// The log probabilities that wait for a chunk of this choice.
    fn logprobs(&mut self, choice: u32) -> Option<Logprobs> {
        let place = self.choices.get_mut(position(choice)?)?;
        if place.logprobs.is_empty() { None } else { Some(std::mem::take(&mut place.logprobs)) }
    }

    fn reasoning(&mut self, event: &Event, wire: &mut Vec<u8>) {
        let choice = match event {
            Event::Reasoning { choice, .. }
            | Event::ReasoningSignature { choice, .. }
            | Event::ReasoningSummary { choice, .. }
            | Event::ReasoningEncrypted { choice, .. } => *choice,
            _ => return,
        };
        self.open_delta(choice, wire);
        let mut unlisted = ReasoningIndex::default();
        let place = position(choice).and_then(|at| self.choices.get_mut(at));
        let blocks = place.map_or(&mut unlisted, |c| &mut c.reasoning);
        if let Event::Reasoning { text, .. } | Event::ReasoningSummary { text, .. } = event {
            json::text_member(wire, "reasoning", text);
        }
        json::key(wire, "reasoning_details");
        wire.push(b'[');
        let format = self.reasoning_format;
        match event {
            Event::Reasoning { text, .. } => {
                detail(wire, "reasoning.text", &[("text", text)], format, blocks.text());
            }
            Event::ReasoningSummary { text, .. } => {
                detail(wire, "reasoning.summary", &[("summary", text)], format, blocks.text());
            }
            Event::ReasoningSignature { signature, .. } => {
                let members = [("signature", signature.as_str())];
                detail(wire, "reasoning.text", &members, format, blocks.signature());
            }
            Event::ReasoningEncrypted { id, data, .. } => {
                encrypted(wire, id.as_deref(), data, format, blocks.encrypted());
            }
            _ => {}
        }
        wire.push(b']');
        wire.extend_from_slice(TAIL);
    }

    fn finish(&mut self, choice: u32, reason: FinishReason, native: &str, wire: &mut Vec<u8>) {
        self.open_delta(choice, wire);
        wire.extend_from_slice(b"},\"finish_reason\":\"");
        wire.extend_from_slice(reason.as_str().as_bytes());
        wire.extend_from_slice(b"\",\"native_finish_reason\":");
        json::string(wire, native);
        self.logprobs(choice).unwrap_or_default().write(wire);
        wire.extend_from_slice(b"}]}\n\n");
    }

    fn end(&self, cost: Option<Bill>, wire: &mut Vec<u8>) {
        if self.usage.is_some() || cost.is_some() || self.metadata.is_some() {
            let shape = &self.prefix[..self.prefix.len() - PREFIX_CHOICES.len()];
            wire.extend_from_slice(shape);
            wire.extend_from_slice(b",\"choices\":[],\"usage\":");
            usage(wire, &self.usage.unwrap_or_default(), cost);
            metadata(wire, self.metadata.as_deref());
            wire.extend_from_slice(b"}\n\n");
        }
        wire.extend_from_slice(DONE);
    }

    /// Opens a chunk up to `"delta":{`, after the chunk with the role if there was none yet.
    fn open_delta(&mut self, choice: u32, wire: &mut Vec<u8>) {
        self.begin(choice, wire);
        self.open_chunk(choice, wire);
    }

    /// Where a choice is kept.
    fn place(&mut self, choice: u32) -> Option<usize> {
        let at = position(choice)?;
        if at >= self.choices.len() {
            self.choices.resize(at + 1, Choice::default());
        }
        Some(at)
    }

    fn begin(&mut self, choice: u32, wire: &mut Vec<u8>) {
        let Some(at) = self.place(choice) else { return };
        if !self.choices[at].begun {
            self.choices[at].begun = true;
            self.open_chunk(choice, wire);
            wire.extend_from_slice(b"\"role\":\"assistant\",\"content\":\"\"");
            wire.extend_from_slice(TAIL);
        }
    }

    fn open_chunk(&self, choice: u32, wire: &mut Vec<u8>) {
        wire.extend_from_slice(&self.prefix);
        json::number(wire, u64::from(choice));
        wire.extend_from_slice(b",\"delta\":{");
    }
}

/// Where a choice is listed; none for a number that no request can ask for.
pub(super) fn position(choice: u32) -> Option<usize> {
    usize::try_from(choice).ok().filter(|&at| at < CHOICES_MAX)
}

/// Opens `"tool_calls":[{"index":…`.
fn tool_index(index: u32, wire: &mut Vec<u8>) {
    json::key(wire, "tool_calls");
    wire.extend_from_slice(b"[{\"index\":");
    json::number(wire, u64::from(index));
}

/// An encrypted entry of `reasoning_details`.
pub(super) fn encrypted(out: &mut Vec<u8>, id: Option<&str>, data: &str, format: &str, index: u64) {
    match id {
        Some(id) => {
            detail(out, "reasoning.encrypted", &[("id", id), ("data", data)], format, index)
        }
        None => detail(out, "reasoning.encrypted", &[("data", data)], format, index),
    }
}

/// One entry of `annotations`.
pub(super) fn annotation(out: &mut Vec<u8>, citation: &Citation) {
    json::comma(out);
    out.extend_from_slice(b"{\"type\":\"url_citation\",\"url_citation\":{");
    json::text_member(out, "url", &citation.url);
    json::text_member(out, "title", &citation.title);
    if let Some(content) = &citation.content {
        json::text_member(out, "content", content);
    }
    json::number_member(out, "start_index", citation.start);
    json::number_member(out, "end_index", citation.end);
    out.extend_from_slice(b"}}");
}

/// One entry of `images`.
pub(super) fn image(out: &mut Vec<u8>, url: &str) {
    json::comma(out);
    out.extend_from_slice(b"{\"type\":\"image_url\",\"image_url\":{");
    json::text_member(out, "url", url);
    out.extend_from_slice(b"}}");
}

/// One entry of `reasoning_details`.
pub(super) fn detail(
    out: &mut Vec<u8>,
    kind: &str,
    members: &[(&'static str, &str)],
    format: &str,
    index: u64,
) {
    json::comma(out);
    out.push(b'{');
    json::text_member(out, "type", kind);
    for (name, text) in members {
        json::text_member(out, name, text);
    }
    json::text_member(out, "format", format);
    json::number_member(out, "index", index);
    out.push(b'}');
}

/// `openrouter_metadata`, if it was asked for.
pub(crate) fn metadata(out: &mut Vec<u8>, metadata: Option<&str>) {
    if let Some(metadata) = metadata {
        json::key(out, "openrouter_metadata");
        out.extend_from_slice(metadata.as_bytes());
    }
}

/// The object `usage`, in OpenAI's names with OpenRouter's `cost`.
pub(crate) fn usage(out: &mut Vec<u8>, usage: &Usage, cost: Option<Bill>) {
    out.push(b'{');
    json::number_member(out, "prompt_tokens", usage.prompt);
    json::number_member(out, "completion_tokens", usage.completion);
    json::number_member(out, "total_tokens", usage.total());
    json::key(out, "prompt_tokens_details");
    out.push(b'{');
    json::number_member(out, "cached_tokens", usage.cache_read);
    let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
    json::number_member(out, "cache_write_tokens", written);
    if usage.audio_prompt > 0 {
        json::number_member(out, "audio_tokens", usage.audio_prompt);
    }
    out.push(b'}');
    json::key(out, "completion_tokens_details");
    out.push(b'{');
    json::number_member(out, "reasoning_tokens", usage.reasoning);
    if usage.audio_completion > 0 {
        json::number_member(out, "audio_tokens", usage.audio_completion);
    }
    out.push(b'}');
    if usage.searches > 0 {
        json::key(out, "server_tool_use_details");
        out.push(b'{');
        json::number_member(out, "web_search_requests", usage.searches);
        out.push(b'}');
    }
    if let Some(cost) = cost {
        json::key(out, "cost");
        cost.put(out);
    }
    out.push(b'}');
}

/// Appends the line that ends a stream.
pub(super) fn done(wire: &mut Vec<u8>) {
    wire.extend_from_slice(DONE);
}
