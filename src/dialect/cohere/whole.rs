//! A whole answer → the hub's events.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::{self, CALLS_MAX, CHOICE, Call, Cited, Content, Counters};
use crate::dialect::AnswerFault;
use crate::dialect::ir::Event;
use crate::dialect::media::bounded;

const GARBLED: AnswerFault = AnswerFault::Garbled("the body is no answer of Cohere's");

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
    /// Of an answer an object, of an error a text.
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    usage: Option<Counters>,
}

#[derive(Default, Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<Vec<Content<'a>>>,
    #[serde(borrow)]
    tool_plan: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow)]
    citations: Option<Vec<Cited<'a>>>,
}

/// Reads a whole answer and appends its events, of which the last is [`Event::End`].
///
/// # Errors
/// The body is an error, cut short, empty, or no answer of Cohere's. Nothing is then appended.
pub fn read_whole(body: &[u8], out: &mut Vec<Event>) -> Result<(), AnswerFault> {
    if body.trim_ascii().is_empty() {
        return Err(AnswerFault::Empty);
    }
    let answer: Answer<'_> = serde_json::from_slice(body)
        .map_err(|error| if error.is_eof() { AnswerFault::Truncated } else { GARBLED })?;
    let raw = answer.message.ok_or(GARBLED)?.get();
    if raw.starts_with('"') {
        let text: Cow<'_, str> = serde_json::from_str(raw).map_err(|_| GARBLED)?;
        return Err(wire::in_band(&text));
    }
    let message: Option<Message<'_>> = serde_json::from_str(raw).map_err(|_| GARBLED)?;
    let message = message.unwrap_or_default();
    let id = wire::some(answer.id).map(|id| bounded(&id, 256));
    let mut events = vec![Event::Start { id, model: None }];
    let called = message_events(message, &mut events)?;
    let Some(native) = answer.finish_reason else {
        let spoke = events.len() > 1;
        return Err(if spoke { AnswerFault::Truncated } else { AnswerFault::Empty });
    };
    wire::finish(&native, None, called, &mut events)?;
    if let Some(usage) = answer.usage.and_then(|counters| counters.usage()) {
        events.push(Event::Usage(usage));
    }
    events.push(Event::End);
    out.append(&mut events);
    Ok(())
}

/// The events of a message, and whether tools are called.
fn message_events(message: Message<'_>, out: &mut Vec<Event>) -> Result<bool, AnswerFault> {
    if let Some(text) = wire::some(message.tool_plan) {
        out.push(Event::Reasoning { choice: CHOICE, text });
    }
    let (mut chars, mut bases) = (0_u64, Vec::new());
    for content in message.content.unwrap_or_default() {
        bases.push(chars);
        chars = chars.saturating_add(content.events(out));
    }
    let calls = message.tool_calls.unwrap_or_default();
    let called = !calls.is_empty();
    if calls.len() > CALLS_MAX {
        return Err(AnswerFault::Garbled("too many tool calls"));
    }
    for (index, call) in (0..).zip(calls) {
        let function = call.function.ok_or(AnswerFault::Garbled("a call without a function"))?;
        let (Some(id), Some(name)) = (wire::some(call.id), wire::some(function.name)) else {
            return Err(AnswerFault::Garbled("a call without id or name"));
        };
        out.push(Event::ToolStart { choice: CHOICE, index, id, name });
        let json = wire::some(function.arguments).unwrap_or_else(|| "{}".to_owned());
        out.push(Event::ToolArguments { choice: CHOICE, index, json });
    }
    for cited in message.citations.unwrap_or_default() {
        let block = cited.content_index.and_then(|index| usize::try_from(index).ok());
        cited.events(block.and_then(|at| bases.get(at)).copied().unwrap_or(0), out);
    }
    Ok(called)
}
