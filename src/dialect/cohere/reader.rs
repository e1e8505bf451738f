//! A stream of events → the hub's events.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::{self, CALLS_MAX, CHOICE, Call, Cited, Content, Counters};
use crate::dialect::AnswerFault;
use crate::dialect::ir::Event;
use crate::dialect::media::bounded;
use crate::dialect::sse::Frame;

/// The most blocks of text whose beginnings are kept, for citations.
const BLOCKS_MAX: usize = 256;

const GARBLED: AnswerFault = AnswerFault::Garbled("an event is not as Cohere sends it");

/// Reads the events of one streamed answer.
#[derive(Default)]
pub struct Reader {
    started: bool,
    /// Something of the answer came.
    spoke: bool,
    ended: bool,
    calls: Vec<Progress>,
    /// How many characters of text came so far.
    chars: u64,
    /// The blocks of text: their index and where in the text they begin.
    blocks: Vec<(u64, u64)>,
}

/// A call that has begun.
struct Progress {
    wire_index: u64,
    /// Some of its arguments came, or it is over.
    filled: bool,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    index: Option<u64>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    /// Of an error.
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    message: Option<Message<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    error: Option<Cow<'a, str>>,
    usage: Option<Counters>,
}

/// A piece of the message. Each is an object where a whole message has a list.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_plan: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    citations: Option<&'a RawValue>,
}

type Outcome = Result<(), AnswerFault>;

impl Reader {
    /// A reader at the beginning of an answer.
    pub fn new() -> Self {
        Self::default()
    }

    fn event(&mut self, kind: &str, data: Data<'_>, out: &mut Vec<Event>) -> Outcome {
        let index = data.index.unwrap_or(0);
        let message = || data.delta.as_ref().and_then(|delta| delta.message.as_ref());
        match kind {
            "message-start" => {
                self.start(data.id, out);
                Ok(())
            }
            "message-end" => self.end(data.delta, out),
            "content-start" | "content-delta" => {
                if kind == "content-start" && self.blocks.len() < BLOCKS_MAX {
                    self.blocks.push((index, self.chars));
                }
                let Some(content) = object::<Content<'_>>(message().and_then(|m| m.content))?
                else {
                    return Ok(());
                };
                self.spoke = true;
                self.chars = self.chars.saturating_add(content.events(out));
                Ok(())
            }
            "tool-plan-delta" => {
                let plan = message().and_then(|m| m.tool_plan.clone());
                if let Some(text) = wire::some(plan) {
                    self.spoke = true;
                    out.push(Event::Reasoning { choice: CHOICE, text });
                }
                Ok(())
            }
            "tool-call-start" => {
                let call = object(message().and_then(|m| m.tool_calls))?.ok_or(GARBLED)?;
                self.open(index, call, out)
            }
            "tool-call-delta" => {
                let call = object::<Call<'_>>(message().and_then(|m| m.tool_calls))?;
                self.fill(index, call, out)
            }
            "tool-call-end" => {
                let at = self.calls.iter().rposition(|call| call.wire_index == index);
                at.into_iter().for_each(|at| self.close(at, out));
                Ok(())
            }
            "citation-start" => {
                if let Some(cited) = object::<Cited<'_>>(message().and_then(|m| m.citations))? {
                    let index = cited.content_index;
                    let known = self.blocks.iter().rev().find(|(at, _)| Some(*at) == index);
                    cited.events(known.map_or(0, |(_, base)| *base), out);
                }
                Ok(())
            }
            // content-end, citation-end, debug, and what is yet to be invented.
            _ => Ok(()),
        }
    }

    fn start(&mut self, id: Option<Cow<'_, str>>, out: &mut Vec<Event>) {
        if !self.started {
            self.started = true;
            let id = wire::some(id).map(|id| bounded(&id, 256));
            out.push(Event::Start { id, model: None });
        }
    }

    fn open(&mut self, wire_index: u64, call: Call<'_>, out: &mut Vec<Event>) -> Outcome {
        let (id, function) = (wire::some(call.id), call.function);
        let name = function.as_ref().and_then(|function| wire::some(function.name.clone()));
        let (Some(id), Some(name)) = (id, name) else {
            return Err(AnswerFault::Garbled("a call without id or name"));
        };
        if self.calls.len() >= CALLS_MAX {
            return Err(AnswerFault::Garbled("too many tool calls"));
        }
        self.spoke = true;
        let index = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        let json = function.and_then(|function| wire::some(function.arguments));
        self.calls.push(Progress { wire_index, filled: json.is_some() });
        out.push(Event::ToolStart { choice: CHOICE, index, id, name });
        if let Some(json) = json {
            out.push(Event::ToolArguments { choice: CHOICE, index, json });
        }
        Ok(())
    }

    fn fill(&mut self, wire_index: u64, call: Option<Call<'_>>, out: &mut Vec<Event>) -> Outcome {
        let at = self.calls.iter().rposition(|call| call.wire_index == wire_index);
        let at = at.ok_or(AnswerFault::Garbled("arguments without a call"))?;
        let json = call.and_then(|call| call.function).and_then(|f| wire::some(f.arguments));
        if let Some(json) = json {
            self.calls[at].filled = true;
            let index = u32::try_from(at).unwrap_or(u32::MAX);
            out.push(Event::ToolArguments { choice: CHOICE, index, json });
        }
        Ok(())
    }

    /// A call is over: without arguments it has the empty ones.
    fn close(&mut self, at: usize, out: &mut Vec<Event>) {
        let call = &mut self.calls[at];
        if !std::mem::replace(&mut call.filled, true) {
            let (index, json) = (u32::try_from(at).unwrap_or(u32::MAX), "{}".to_owned());
            out.push(Event::ToolArguments { choice: CHOICE, index, json });
        }
    }

    fn end(&mut self, delta: Option<Delta<'_>>, out: &mut Vec<Event>) -> Outcome {
        let delta = delta.ok_or(GARBLED)?;
        let Some(native) = delta.finish_reason else {
            return Err(match delta.error {
                Some(error) => wire::in_band(&error),
                None => self.cut(),
            });
        };
        (0..self.calls.len()).for_each(|at| self.close(at, out));
        wire::finish(&native, delta.error.as_deref(), !self.calls.is_empty(), out)?;
        if let Some(usage) = delta.usage.and_then(|counters| counters.usage()) {
            out.push(Event::Usage(usage));
        }
        self.ended = true;
        out.push(Event::End);
        Ok(())
    }

    const fn cut(&self) -> AnswerFault {
        if self.spoke { AnswerFault::Truncated } else { AnswerFault::Empty }
    }
}

impl crate::dialect::Reader for Reader {
    fn read(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        let data = frame.data.trim();
        if self.ended || data.is_empty() {
            return Ok(());
        }
        if data == "[DONE]" {
            // Only message-end says that the answer is whole.
            return Err(self.cut());
        }
        let Ok(data) = serde_json::from_str::<Data<'_>>(data) else {
            return pass_unknown(data);
        };
        match (data.kind.clone(), &data.message) {
            (Some(kind), _) if kind != "error" => self.event(&kind, data, out),
            (_, Some(message)) => Err(wire::in_band(message)),
            (Some(_), None) => Err(wire::in_band("no message")),
            (None, None) => Err(GARBLED),
        }
    }
}

/// An event that does not have the members that it would have if it were known is passed over,
/// unless it is of a known type and so garbled.
fn pass_unknown(data: &str) -> Outcome {
    const KNOWN: [&str; 10] = [
        "message-start",
        "message-end",
        "content-start",
        "content-delta",
        "content-end",
        "tool-plan-delta",
        "tool-call-start",
        "tool-call-delta",
        "tool-call-end",
        "citation-start",
    ];
    #[derive(Deserialize)]
    struct Outline<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
    }
    match serde_json::from_str::<Outline<'_>>(data) {
        Ok(outline) if !KNOWN.contains(&outline.kind.as_ref()) => Ok(()),
        _ => Err(GARBLED),
    }
}

/// An object, or the only item of a list, which an older server sends.
fn object<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Result<Option<T>, AnswerFault> {
    let Some(raw) = raw.map(RawValue::get) else { return Ok(None) };
    if raw.starts_with('[') {
        let items: Vec<T> = serde_json::from_str(raw).map_err(|_| GARBLED)?;
        return Ok(items.into_iter().next());
    }
    serde_json::from_str(raw).map_err(|_| GARBLED)
}
