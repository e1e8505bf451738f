//! A stream of named events → the hub's events.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::citations::Cited;
use super::usage::Counters;
use crate::dialect::AnswerFault;
use crate::dialect::ir::{Event, FinishReason};
use crate::dialect::media::bounded;
use crate::dialect::sse::Frame;
use crate::error::ProviderSaid;

/// The most blocks that may be open at a time. They come one after another; a proxy may interleave
/// a few.
const OPEN_MAX: usize = 32;
/// The longest signature, in bytes.
const SIGNATURE_MAX: usize = 1 << 20;
/// The one choice that Anthropic gives.
const CHOICE: u32 = 0;

/// Reads the events of one streamed message.
#[derive(Default)]
pub struct Reader {
    /// The message's id, once it began.
    message: Option<String>,
    counters: Counters,
    open: Vec<(u64, Block)>,
    said: Said,
    /// Some block began.
    spoke: bool,
    finished: bool,
    ended: bool,
}

/// What was said so far.
#[derive(Default)]
pub(super) struct Said {
    /// Characters of text.
    chars: u64,
    /// Calls.
    pub(super) tools: u32,
}

/// What must be remembered of an open block until it closes.
enum Block {
    /// A block that is not for the client.
    Plain,
    Text(Cited),
    Thinking {
        signature: String,
    },
    /// A call; `input` is what came with its start, and is used if nothing else comes.
    Tool {
        index: u32,
        input: Option<String>,
    },
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    index: Option<u64>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(borrow)]
    content_block: Option<ContentBlock<'a>>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    usage: Option<Counters>,
    #[serde(borrow)]
    error: Option<ErrorBody<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    usage: Option<Counters>,
}

/// A content block, streamed or whole.
#[derive(Deserialize)]
struct ContentBlock<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    thinking: Option<Cow<'a, str>>,
    #[serde(borrow)]
    signature: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<Cow<'a, str>>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    citations: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    thinking: Option<Cow<'a, str>>,
    #[serde(borrow)]
    signature: Option<Cow<'a, str>>,
    #[serde(borrow)]
    partial_json: Option<Cow<'a, str>>,
    #[serde(borrow)]
    citation: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    stop_sequence: Option<Cow<'a, str>>,
    #[serde(borrow)]
    stop_details: Option<StopDetails<'a>>,
}

/// Why the model refused.
#[derive(Deserialize)]
pub(super) struct StopDetails<'a> {
    #[serde(borrow)]
    explanation: Option<Cow<'a, str>>,
}

/// `error` of an error event or body.
#[derive(Deserialize)]
pub(super) struct ErrorBody<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
}

impl ErrorBody<'_> {
    pub(super) fn fault(self) -> AnswerFault {
        let message = self.message.unwrap_or(Cow::Borrowed("no message"));
        AnswerFault::InBand {
            code: self.kind.map(|kind| bounded(&kind, 128)),
            message: bounded(&message, ProviderSaid::RAW_MAX),
        }
    }
}

impl Reader {
    /// A reader at the beginning of an answer.
    pub fn new() -> Self {
        Self::default()
    }

    fn start(&mut self, message: Message<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        let id = message.id.unwrap_or_default();
        if let Some(known) = &self.message {
            // Some proxies repeat it.
            let same = *known == id;
            return if same { Ok(()) } else { Err(AnswerFault::Garbled("a second message began")) };
        }
        let some = |text: &Cow<'_, str>| Some(bounded(text, 256)).filter(|text| !text.is_empty());
        out.push(Event::Start { id: some(&id), model: message.model.as_ref().and_then(some) });
        self.message = Some(id.into_owned());
        if let Some(counters) = message.usage {
            self.counters = counters;
            out.push(Event::Usage(self.counters.usage()));
        }
        Ok(())
    }

    fn open(&mut self, index: u64, block: ContentBlock<'_>, out: &mut Vec<Event>) -> Outcome {
        if self.open.len() >= OPEN_MAX || self.open.iter().any(|(at, _)| *at == index) {
            return Err(AnswerFault::Garbled("a block began twice, or too many are open"));
        }
        let kept = begin(&block, &mut self.said, out)?;
        self.spoke = true;
        self.open.push((index, kept));
        Ok(())
    }

    fn delta(&mut self, index: u64, delta: Delta<'_>, out: &mut Vec<Event>) -> Outcome {
        let block = self.open.iter_mut().find(|(at, _)| *at == index).map(|(_, block)| block);
        let block = block.ok_or(AnswerFault::Garbled("a delta without a block"))?;
        match (delta.kind.as_ref(), block) {
            ("text_delta", Block::Text(_)) => self.said.text(delta.text, out),
            ("citations_delta", Block::Text(cited)) => {
                delta.citation.into_iter().for_each(|raw| cited.add(raw));
            }
            ("thinking_delta", Block::Thinking { .. }) => thinking(delta.thinking, out),
            ("signature_delta", Block::Thinking { signature }) => {
                signature.push_str(delta.signature.as_deref().unwrap_or_default());
                if signature.len() > SIGNATURE_MAX {
                    return Err(AnswerFault::TooLarge);
                }
            }
            ("input_json_delta", Block::Tool { index, input }) => {
                if let Some(json) = delta.partial_json.filter(|json| !json.is_empty()) {
                    *input = None;
                    let (choice, index, json) = (CHOICE, *index, json.into_owned());
                    out.push(Event::ToolArguments { choice, index, json });
                }
            }
            // The input of the provider's own tools, and what is yet to be invented.
            _ => {}
        }
        Ok(())
    }

    /// Reads an event that does not have the members that it would have if it were known: it is
    /// passed over, unless it is of a known type and so garbled.
    fn read_unknown(&mut self, data: &str) -> Outcome {
        const GARBLED: AnswerFault = AnswerFault::Garbled("an event is not as Anthropic sends it");
        let Ok(outline) = serde_json::from_str::<Outline<'_>>(data) else { return Err(GARBLED) };
        let inner = |inner: Option<Kind<'_>>, known: &[&str]| {
            inner.is_none_or(|inner| known.contains(&inner.kind.as_ref()))
        };
        match outline.kind.as_ref() {
            "content_block_start" if !inner(outline.content_block, &BLOCKS) => {
                let index = outline.index.ok_or(GARBLED)?;
                if self.message.is_none() || self.open.len() >= OPEN_MAX {
                    return Err(GARBLED);
                }
                self.spoke = true;
                self.open.push((index, Block::Plain));
                Ok(())
            }
            "content_block_delta" if !inner(outline.delta, &DELTAS) => Ok(()),
            "message_start" | "error" => Err(GARBLED),
            kind if KNOWN.contains(&kind) => Err(GARBLED),
            _ => Ok(()),
        }
    }

    fn close(&mut self, index: u64, out: &mut Vec<Event>) {
        if let Some(place) = self.open.iter().position(|(at, _)| *at == index) {
            let (_, block) = self.open.swap_remove(place);
            end(block, &self.said, out);
        }
    }

    fn message_delta(&mut self, data: Data<'_>, out: &mut Vec<Event>) {
        let delta = data.delta;
        if let Some(native) = delta.as_ref().and_then(|d| d.stop_reason.as_deref()) {
            // Blocks that a proxy forgot to close.
            let mut open = std::mem::take(&mut self.open);
            open.sort_unstable_by_key(|(index, _)| *index);
            open.into_iter().for_each(|(_, block)| end(block, &self.said, out));
            if !self.finished {
                self.finished = true;
                let details = delta.as_ref().and_then(|d| d.stop_details.as_ref());
                let stop = delta.as_ref().and_then(|d| d.stop_sequence.as_deref());
                finish(Ending { native, stop, details, called: self.said.tools > 0 }, out);
            }
        }
        if let Some(counters) = &data.usage {
            self.counters.merge(counters);
            out.push(Event::Usage(self.counters.usage()));
        }
    }
}

type Outcome = Result<(), AnswerFault>;

impl crate::dialect::Reader for Reader {
    fn read(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        if self.ended || frame.data.is_empty() {
            return Ok(());
        }
        let Ok(data) = serde_json::from_str::<Data<'_>>(frame.data) else {
            return self.read_unknown(frame.data);
        };
        match (data.kind.as_ref(), &self.message) {
            ("error", _) => {
                let error = data.error.unwrap_or(ErrorBody { kind: None, message: None });
                Err(error.fault())
            }
            ("message_start", _) => match data.message {
                Some(message) => self.start(message, out),
                None => Err(AnswerFault::Garbled("message_start without a message")),
            },
            (kind, None) if KNOWN.contains(&kind) => {
                Err(AnswerFault::Garbled("an event before message_start"))
            }
            ("content_block_start", _) => match (data.index, data.content_block) {
                (Some(index), Some(block)) => self.open(index, block, out),
                _ => Err(AnswerFault::Garbled("content_block_start without a block")),
            },
            ("content_block_delta", _) => match (data.index, data.delta) {
                (Some(index), Some(delta)) => self.delta(index, delta, out),
                _ => Err(AnswerFault::Garbled("content_block_delta without a delta")),
            },
            ("content_block_stop", _) => {
                data.index.into_iter().for_each(|index| self.close(index, out));
                Ok(())
            }
            ("message_delta", _) => {
                self.message_delta(data, out);
                Ok(())
            }
            ("message_stop", _) if !self.finished => {
                Err(if self.spoke { AnswerFault::Truncated } else { AnswerFault::Empty })
            }
            ("message_stop", _) => {
                self.ended = true;
                out.push(Event::End);
                Ok(())
            }
            // ping, and what is yet to be invented.
            _ => Ok(()),
        }
    }
}

/// The least that an event has.
#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    index: Option<u64>,
    #[serde(borrow)]
    content_block: Option<Kind<'a>>,
    #[serde(borrow)]
    delta: Option<Kind<'a>>,
}

/// The least that a block or delta has.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

/// The types of blocks that are read.
const BLOCKS: [&str; 4] = ["text", "thinking", "redacted_thinking", "tool_use"];
/// The types of deltas that are read.
const DELTAS: [&str; 4] = ["text_delta", "thinking_delta", "signature_delta", "input_json_delta"];

/// The events that belong to a message.
const KNOWN: [&str; 5] = [
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
];

/// The beginning of a block, or with what came with it, all of it.
fn begin(
    block: &ContentBlock<'_>,
    said: &mut Said,
    out: &mut Vec<Event>,
) -> Result<Block, AnswerFault> {
    match block.kind.as_ref() {
        "text" => {
            let mut cited = Cited::new(said.chars);
            block.citations.into_iter().for_each(|raw| cited.add_all(raw));
            said.text(block.text.clone(), out);
            return Ok(Block::Text(cited));
        }
        "thinking" => {
            thinking(block.thinking.clone(), out);
            let signature = block.signature.clone().unwrap_or_default().into_owned();
            return Ok(Block::Thinking { signature });
        }
        "redacted_thinking" => {
            let data = block.data.as_deref().unwrap_or_default();
            if !data.is_empty() {
                out.push(Event::ReasoningEncrypted {
                    choice: CHOICE,
                    id: None,
                    data: data.to_owned(),
                });
            }
        }
        "tool_use" => {
            let (Some(id), Some(name)) = (&block.id, &block.name) else {
                return Err(AnswerFault::Garbled("a tool_use without id or name"));
            };
            let index = said.tools;
            said.tools = said.tools.checked_add(1).ok_or(AnswerFault::TooLarge)?;
            let (id, name) = (id.clone().into_owned(), name.clone().into_owned());
            out.push(Event::ToolStart { choice: CHOICE, index, id, name });
            let input = block.input.map(|raw| raw.get()).filter(|raw| *raw != "null");
            return Ok(Block::Tool { index, input: Some(input.unwrap_or("{}").to_owned()) });
        }
        // The provider's own tools and their results, and what is yet to be invented.
        _ => {}
    }
    Ok(Block::Plain)
}

fn end(block: Block, said: &Said, out: &mut Vec<Event>) {
    match block {
        Block::Text(cited) => cited.end(CHOICE, said.chars, out),
        Block::Thinking { signature } if !signature.is_empty() => {
            out.push(Event::ReasoningSignature { choice: CHOICE, signature });
        }
        Block::Tool { index, input: Some(json) } => {
            out.push(Event::ToolArguments { choice: CHOICE, index, json });
        }
        Block::Plain | Block::Thinking { .. } | Block::Tool { .. } => {}
    }
}

/// A whole block at once. One of a type that is not read is passed over, whatever its members.
pub(super) fn whole_block(raw: &RawValue, said: &mut Said, out: &mut Vec<Event>) -> Outcome {
    let Ok(block) = serde_json::from_str::<ContentBlock<'_>>(raw.get()) else {
        let kind = serde_json::from_str::<Kind<'_>>(raw.get());
        let unknown = kind.is_ok_and(|kind| !BLOCKS.contains(&kind.kind.as_ref()));
        return if unknown { Ok(()) } else { Err(AnswerFault::Garbled("a block is garbled")) };
    };
    let kept = begin(&block, said, out)?;
    end(kept, said, out);
    Ok(())
}

impl Said {
    fn text(&mut self, text: Option<Cow<'_, str>>, out: &mut Vec<Event>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.chars = self.chars.saturating_add(text.chars().count() as u64);
            out.push(Event::Text { choice: CHOICE, text: text.into_owned() });
        }
    }
}

fn thinking(text: Option<Cow<'_, str>>, out: &mut Vec<Event>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        out.push(Event::Reasoning { choice: CHOICE, text: text.into_owned() });
    }
}

/// How a message ended.
pub(super) struct Ending<'a, 'd> {
    /// `stop_reason`.
    pub(super) native: &'a str,
    /// `stop_sequence`.
    pub(super) stop: Option<&'a str>,
    pub(super) details: Option<&'a StopDetails<'d>>,
    /// Tools were called.
    pub(super) called: bool,
}

/// The end of a message, with what a refusal says of itself.
pub(super) fn finish(ending: Ending<'_, '_>, out: &mut Vec<Event>) {
    let Ending { native, stop, details, called } = ending;
    let reason = match native {
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::ContentFilter,
        // end_turn, stop_sequence, pause_turn and reasons yet to be invented: with calls made,
        // clients look for them only under the one word.
        _ if called => FinishReason::ToolCalls,
        _ => FinishReason::Stop,
    };
    let explanation = details.and_then(|details| details.explanation.as_deref());
    if let (FinishReason::ContentFilter, Some(text)) = (reason, explanation)
        && !text.is_empty()
    {
        out.push(Event::Refusal { choice: CHOICE, text: text.to_owned() });
    }
    let (native, stop) = (bounded(native, 64), stop.map(str::to_owned));
    out.push(Event::Finish { choice: CHOICE, reason, native, stop });
}
