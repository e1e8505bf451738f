//! A whole answer → the hub's events.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::fault::ErrorBody;
use super::open::{Block, Citation, Content, Passage, ToolUse};
use super::reader::{Source, stop_sequence};
use super::usage::Counters;
use crate::dialect::AnswerFault;
use crate::dialect::ir::Event;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(borrow)]
    output: Option<Output<'a>>,
    #[serde(borrow)]
    stop_reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    usage: Option<Counters<'a>>,
    #[serde(borrow)]
    additional_model_response_fields: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    message: Option<Message<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<Vec<ContentBlock<'a>>>,
}

/// One of these, or what is not for the client or is yet to be invented.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContentBlock<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tool_use: Option<ToolUse<'a>>,
    #[serde(borrow)]
    reasoning_content: Option<Reasoning<'a>>,
    #[serde(borrow)]
    citations_content: Option<Cited<'a>>,
    #[serde(borrow)]
    image: Option<Image<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reasoning<'a> {
    #[serde(borrow)]
    reasoning_text: Option<ReasoningText<'a>>,
    #[serde(borrow)]
    redacted_content: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct ReasoningText<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    signature: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Cited<'a> {
    #[serde(borrow)]
    content: Option<Vec<Passage<'a>>>,
    #[serde(borrow)]
    citations: Option<Vec<Citation<'a>>>,
}

#[derive(Deserialize)]
struct Image<'a> {
    #[serde(borrow)]
    format: Option<Cow<'a, str>>,
    #[serde(borrow)]
    source: Option<Source<'a>>,
}

/// Reads a whole answer and appends its events, of which the last is [`Event::End`].
///
/// # Errors
/// The body is an error, cut short, empty, or no answer of Converse's. Nothing is then appended.
pub fn read_whole(body: &[u8], out: &mut Vec<Event>) -> Result<(), AnswerFault> {
    const GARBLED: AnswerFault = AnswerFault::Garbled("the body is no answer of Converse's");
    if body.trim_ascii().is_empty() {
        return Err(AnswerFault::Empty);
    }
    let answer: Answer<'_> = serde_json::from_slice(body)
        .map_err(|error| if error.is_eof() { AnswerFault::Truncated } else { GARBLED })?;
    let Some(output) = answer.output else {
        let error = serde_json::from_slice::<ErrorBody<'_>>(body).unwrap_or_default();
        return Err(error.fault().unwrap_or(GARBLED));
    };
    let blocks = output.message.and_then(|message| message.content).unwrap_or_default();
    let Some(native) = answer.stop_reason else {
        return Err(if blocks.is_empty() { AnswerFault::Empty } else { AnswerFault::Truncated });
    };
    let mut events = vec![Event::Start { id: None, model: None }];
    let mut content = Content::default();
    for block in blocks {
        whole_block(block, &mut content, &mut events)?;
    }
    let stop = answer.additional_model_response_fields.and_then(stop_sequence);
    content.finish(&native, stop, &mut events);
    if let Some(counters) = answer.usage {
        events.push(Event::Usage(counters.usage()));
    }
    events.push(Event::End);
    out.append(&mut events);
    Ok(())
}

fn whole_block(
    block: ContentBlock<'_>,
    content: &mut Content,
    out: &mut Vec<Event>,
) -> Result<(), AnswerFault> {
    if let Some(text) = block.text {
        content.text(&text, out);
    } else if let Some(call) = block.tool_use {
        let mut kept = content.call(&call, out)?;
        let input = call.input.map(RawValue::get).filter(|raw| *raw != "null");
        if let Some(text) = kept.input(input.unwrap_or_default(), out) {
            content.text(text, out);
        }
        content.end(kept, out);
    } else if let Some(reasoning) = block.reasoning_content {
        let mut kept = Block::reasoning();
        if let Some(said) = reasoning.reasoning_text {
            kept.think(&said.text.unwrap_or_default(), out);
            kept.sign(&said.signature.unwrap_or_default(), "")?;
        }
        kept.sign("", &reasoning.redacted_content.unwrap_or_default())?;
        content.end(kept, out);
    } else if let Some(cited) = block.citations_content {
        let mut kept = content.text_block();
        for passage in cited.content.unwrap_or_default() {
            content.text(&passage.text.unwrap_or_default(), out);
        }
        cited.citations.unwrap_or_default().iter().for_each(|citation| kept.cite(citation));
        content.end(kept, out);
    } else if let Some(image) = block.image {
        let mut kept = Block::image(&image.format.unwrap_or_default());
        kept.paint(&image.source.and_then(|source| source.bytes).unwrap_or_default())?;
        content.end(kept, out);
    }
    Ok(())
}
