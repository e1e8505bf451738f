//! Lines of a stream, or one whole answer → the hub's events.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::AnswerFault;
use crate::dialect::ir::{Event, FinishReason};
use crate::dialect::logprobs;
use crate::dialect::media::bounded;
use crate::dialect::sse::Frame;
use crate::error::ProviderSaid;
use crate::vocab::Usage;

/// The one choice that Ollama gives.
const CHOICE: u32 = 0;
/// The most calls in one answer.
const CALLS_MAX: u32 = 1024;
/// The longest id that is made up, without the call's place.
const ID_MAX: usize = 32;

const GARBLED: AnswerFault = AnswerFault::Garbled("a line is not as Ollama sends it");

/// Reads the lines of one streamed answer.
#[derive(Default)]
pub struct Reader {
    started: bool,
    ended: bool,
    /// Something of the answer came.
    spoke: bool,
    calls: u32,
    /// What ids that are made up begin with.
    id: String,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow)]
    created_at: Option<Cow<'a, str>>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
    done: Option<bool>,
    #[serde(borrow)]
    done_reason: Option<Cow<'a, str>>,
    prompt_eval_count: Option<u64>,
    eval_count: Option<u64>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<Cow<'a, str>>,
    #[serde(borrow)]
    thinking: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Call<'a>>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

impl Reader {
    /// A reader at the beginning of an answer.
    pub fn new() -> Self {
        Self::default()
    }

    fn line(&mut self, line: Line<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        if let Some(raw) = line.error {
            return Err(in_band(raw));
        }
        if line.message.is_none() && line.done.is_none() {
            return Err(GARBLED);
        }
        if !self.started {
            self.started = true;
            let time = line.created_at.as_deref().unwrap_or_default();
            self.id = time.chars().filter(char::is_ascii_alphanumeric).take(ID_MAX).collect();
            let model = some(line.model).map(|model| bounded(&model, 256));
            out.push(Event::Start { id: None, model });
        }
        let tokens = line.logprobs.map(logprobs::of_list).unwrap_or_default();
        if !tokens.is_empty() {
            out.push(Event::Logprobs { choice: CHOICE, refusal: false, tokens });
        }
        if let Some(message) = line.message {
            self.message(message, out)?;
        }
        if line.done == Some(true) {
            let native = line.done_reason.unwrap_or_default();
            if !self.spoke && matches!(native.as_ref(), "load" | "unload") {
                return Err(AnswerFault::Empty);
            }
            let reason = match native.as_ref() {
                "length" => FinishReason::Length,
                _ if self.calls > 0 => FinishReason::ToolCalls,
                // stop, and from older servers nothing.
                _ => FinishReason::Stop,
            };
            let native = bounded(&native, 64);
            out.push(Event::Finish { choice: CHOICE, reason, native, stop: None });
            if line.prompt_eval_count.is_some() || line.eval_count.is_some() {
                out.push(Event::Usage(Usage {
                    prompt: line.prompt_eval_count.unwrap_or(0),
                    completion: line.eval_count.unwrap_or(0),
                    ..Usage::default()
                }));
            }
            self.ended = true;
            out.push(Event::End);
        }
        Ok(())
    }

    fn message(&mut self, message: Message<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        if let Some(text) = some(message.thinking) {
            self.spoke = true;
            out.push(Event::Reasoning { choice: CHOICE, text });
        }
        if let Some(text) = some(message.content) {
            self.spoke = true;
            out.push(Event::Text { choice: CHOICE, text });
        }
        for call in message.tool_calls.unwrap_or_default() {
            self.call(call, out)?;
        }
        Ok(())
    }

    /// A call, which always comes whole.
    fn call(&mut self, call: Call<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        let index = self.calls;
        if index >= CALLS_MAX {
            return Err(AnswerFault::Garbled("too many tool calls"));
        }
        (self.calls, self.spoke) = (index + 1, true);
        let place = if self.id.is_empty() { "0" } else { &self.id };
        let id = some(call.id).unwrap_or_else(|| format!("call_{place}_{index}"));
        let name = call.function.name.into_owned();
        out.push(Event::ToolStart { choice: CHOICE, index, id, name });
        let json = match call.function.arguments.map(RawValue::get) {
            None | Some("null" | "\"\"") => "{}".to_owned(),
            // Some models' parsers leave the text as it was.
            Some(raw) if raw.starts_with('"') => serde_json::from_str(raw).map_err(|_| GARBLED)?,
            Some(raw) => raw.to_owned(),
        };
        out.push(Event::ToolArguments { choice: CHOICE, index, json });
        Ok(())
    }
}

impl crate::dialect::Reader for Reader {
    fn read(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        if self.ended {
            return Ok(());
        }
        let line = serde_json::from_str(frame.data).map_err(|_| GARBLED)?;
        self.line(line, out)
    }
}

/// Reads a whole answer and appends its events, of which the last is [`Event::End`].
///
/// # Errors
/// The body is an error, cut short, empty, or no answer of Ollama's. Nothing is then appended.
pub fn read_whole(body: &[u8], out: &mut Vec<Event>) -> Result<(), AnswerFault> {
    if body.trim_ascii().is_empty() {
        return Err(AnswerFault::Empty);
    }
    let line: Line<'_> = serde_json::from_slice(body)
        .map_err(|error| if error.is_eof() { AnswerFault::Truncated } else { GARBLED })?;
    let (mut reader, mut events) = (Reader::new(), Vec::new());
    reader.line(line, &mut events)?;
    if !reader.ended {
        return Err(if reader.spoke { AnswerFault::Truncated } else { AnswerFault::Empty });
    }
    out.append(&mut events);
    Ok(())
}

/// `error`: a text, or from Ollama's cloud an object with one.
fn in_band(raw: &RawValue) -> AnswerFault {
    let message = error_text(raw.get()).unwrap_or(Cow::Borrowed("no message"));
    AnswerFault::InBand { code: None, message: bounded(&message, ProviderSaid::RAW_MAX) }
}

pub(super) fn error_text(raw: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Said<'a> {
        #[serde(borrow)]
        message: Cow<'a, str>,
    }
    if raw.starts_with('{') {
        serde_json::from_str::<Said<'_>>(raw).ok().map(|said| said.message)
    } else {
        // Not derived: a bare `Cow` would be owned anyway.
        serde_json::from_str::<String>(raw).ok().map(Cow::Owned)
    }
}

fn some(text: Option<Cow<'_, str>>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(Cow::into_owned)
}
