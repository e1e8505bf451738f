//! A stream of events → the hub's events.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::eventstream::is_exception;
use super::fault::in_band;
use super::open::{Block, Citation, Content, ToolUse};
use super::usage::Counters;
use crate::dialect::AnswerFault;
use crate::dialect::ir::Event;
use crate::dialect::media::bounded;
use crate::dialect::sse::Frame;

/// Reads the events of one streamed message.
///
/// The end is said when both `messageStop` and `metadata` have come, in either order; a stream
/// without `metadata` ends softly.
#[derive(Default)]
pub struct Reader {
    content: Content,
    began: bool,
    finished: bool,
    metered: bool,
}

/// The payload of any event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    content_block_index: Option<u64>,
    #[serde(borrow)]
    start: Option<Start<'a>>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    stop_reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    additional_model_response_fields: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<Counters<'a>>,
}

/// One of these, or what is yet to be invented.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start<'a> {
    #[serde(borrow)]
    tool_use: Option<ToolUse<'a>>,
    #[serde(borrow)]
    image: Option<ImageStart<'a>>,
}

#[derive(Deserialize)]
struct ImageStart<'a> {
    #[serde(borrow)]
    format: Cow<'a, str>,
}

/// One of these, or what is yet to be invented.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delta<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tool_use: Option<Input<'a>>,
    #[serde(borrow)]
    reasoning_content: Option<Reasoning<'a>>,
    #[serde(borrow)]
    citation: Option<Citation<'a>>,
    #[serde(borrow)]
    image: Option<Image<'a>>,
}

#[derive(Deserialize)]
struct Input<'a> {
    #[serde(borrow)]
    input: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reasoning<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    signature: Option<Cow<'a, str>>,
    #[serde(borrow)]
    redacted_content: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Image<'a> {
    #[serde(borrow)]
    source: Option<Source<'a>>,
}

/// Where the bytes of an image are.
#[derive(Deserialize)]
pub(super) struct Source<'a> {
    #[serde(borrow)]
    pub(super) bytes: Option<Cow<'a, str>>,
}

impl Reader {
    /// A reader at the beginning of an answer.
    pub fn new() -> Self {
        Self::default()
    }

    fn begin(&mut self, out: &mut Vec<Event>) {
        if !self.began {
            self.began = true;
            out.push(Event::Start { id: None, model: None });
        }
    }

    fn start(&mut self, data: Data<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        let (Some(index), Some(start)) = (data.content_block_index, data.start) else {
            return Err(AnswerFault::Garbled("contentBlockStart without a block"));
        };
        let block = match (start.tool_use, start.image) {
            (Some(call), _) => self.content.call(&call, out)?,
            (None, Some(image)) => Block::image(&image.format),
            (None, None) => Block::Hidden,
        };
        self.content.open(index, block)
    }

    fn delta(&mut self, data: Data<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        let (Some(index), Some(delta)) = (data.content_block_index, data.delta) else {
            return Err(AnswerFault::Garbled("contentBlockDelta without a delta"));
        };
        let content = &mut self.content;
        if let Some(text) = delta.text {
            let block = content.at(index, text_from)?;
            if matches!(block, Block::Text { .. }) {
                content.text(&text, out);
            }
        } else if let Some(call) = delta.tool_use {
            let block = content.at(index, |_| Block::Hidden)?;
            let input = call.input.unwrap_or_default();
            if let Some(text) = block.input(&input, out) {
                content.text(text, out);
            }
        } else if let Some(reasoning) = delta.reasoning_content {
            let block = content.at(index, |_| Block::reasoning())?;
            block.think(&reasoning.text.unwrap_or_default(), out);
            let (signature, secret) = (reasoning.signature, reasoning.redacted_content);
            block.sign(&signature.unwrap_or_default(), &secret.unwrap_or_default())?;
        } else if let Some(citation) = delta.citation {
            content.at(index, text_from)?.cite(&citation);
        } else if let Some(source) = delta.image.and_then(|image| image.source) {
            let block = content.at(index, |_| Block::Hidden)?;
            block.paint(&source.bytes.unwrap_or_default())?;
        }
        Ok(())
    }

    fn stop(&mut self, data: Data<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        let Some(native) = data.stop_reason else {
            return Err(AnswerFault::Garbled("messageStop without stopReason"));
        };
        let stop = data.additional_model_response_fields.and_then(stop_sequence);
        self.finished = true;
        self.content.finish(&native, stop, out);
        Ok(())
    }
}

const fn text_from(from: u64) -> Block {
    Block::Text { from, citations: Vec::new() }
}

impl crate::dialect::Reader for Reader {
    fn read(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        if self.finished && self.metered {
            return Ok(());
        }
        if is_exception(frame.event) {
            return Err(in_band(frame.event, frame.data));
        }
        if !KNOWN.contains(&frame.event) {
            // What is yet to be invented.
            return Ok(());
        }
        let Ok(data) = serde_json::from_str::<Data<'_>>(frame.data) else {
            return Err(AnswerFault::Garbled("an event is not as Bedrock sends it"));
        };
        if self.finished && frame.event != "metadata" {
            return Err(AnswerFault::Garbled("an event after messageStop"));
        }
        let first = !self.began;
        self.begin(out);
        match frame.event {
            "messageStart" if !first && self.content.spoke => {
                return Err(AnswerFault::Garbled("a second message began"));
            }
            "contentBlockStart" => self.start(data, out)?,
            "contentBlockDelta" => self.delta(data, out)?,
            "contentBlockStop" => {
                data.content_block_index.into_iter().for_each(|at| self.content.close(at, out));
            }
            "messageStop" => self.stop(data, out)?,
            "metadata" => {
                if let Some(counters) = data.usage {
                    out.push(Event::Usage(counters.usage()));
                }
                self.metered = true;
            }
            _ => {}
        }
        if self.finished && self.metered {
            out.push(Event::End);
        }
        Ok(())
    }
}

/// The events that are read.
const KNOWN: [&str; 6] = [
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
];

/// The stop sequence that Claude says it hit, which the request asks for by
/// `additionalModelResponseFieldPaths`.
pub(super) fn stop_sequence(fields: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Fields<'a> {
        #[serde(borrow)]
        stop_sequence: Option<Cow<'a, str>>,
        #[serde(borrow)]
        delta: Option<Inner<'a>>,
    }
    #[derive(Deserialize)]
    struct Inner<'a> {
        #[serde(borrow)]
        stop_sequence: Option<Cow<'a, str>>,
    }
    let fields: Fields<'_> = serde_json::from_str(fields.get()).ok()?;
    let inner = fields.delta.and_then(|delta| delta.stop_sequence);
    fields.stop_sequence.or(inner).map(|stop| bounded(&stop, 1024))
}
