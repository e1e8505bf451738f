//! A whole message → the hub's events.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::reader::{Ending, ErrorBody, Said, StopDetails, finish, whole_block};
use super::usage::Counters;
use crate::dialect::AnswerFault;
use crate::dialect::ir::Event;
use crate::dialect::media::bounded;

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    stop_reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    stop_sequence: Option<Cow<'a, str>>,
    #[serde(borrow)]
    stop_details: Option<StopDetails<'a>>,
    usage: Option<Counters>,
    #[serde(borrow)]
    error: Option<ErrorBody<'a>>,
}

/// Reads a whole answer and appends its events, of which the last is [`Event::End`].
///
/// # Errors
/// The body is an error, cut short, empty, or no message of Anthropic's. Nothing is then appended.
pub fn read_whole(body: &[u8], out: &mut Vec<Event>) -> Result<(), AnswerFault> {
    if body.trim_ascii().is_empty() {
        return Err(AnswerFault::Empty);
    }
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|error| {
        if error.is_eof() {
            AnswerFault::Truncated
        } else {
            AnswerFault::Garbled("the body is no message of Anthropic's")
        }
    })?;
    if let Some(error) = answer.error {
        return Err(error.fault());
    }
    if answer.kind.as_deref() != Some("message") {
        return Err(AnswerFault::Garbled("the body is no message of Anthropic's"));
    }
    let content = answer.content.unwrap_or_default();
    let Some(native) = answer.stop_reason else {
        return Err(if content.is_empty() { AnswerFault::Empty } else { AnswerFault::Truncated });
    };
    let some = |text: Cow<'_, str>| Some(bounded(&text, 256)).filter(|text| !text.is_empty());
    let (id, model) = (answer.id.and_then(some), answer.model.and_then(some));
    let mut events = vec![Event::Start { id, model }];
    let mut said = Said::default();
    for block in content {
        whole_block(block, &mut said, &mut events)?;
    }
    let (stop, details) = (answer.stop_sequence.as_deref(), answer.stop_details.as_ref());
    finish(Ending { native: &native, stop, details, called: said.tools > 0 }, &mut events);
    if let Some(counters) = answer.usage {
        events.push(Event::Usage(counters.usage()));
    }
    events.push(Event::End);
    out.append(&mut events);
    Ok(())
}
