//! The events of a Responses stream, and a whole response → the hub's events.
//!
//! An item is told of several times: piece by piece, whole when it is done, and again in the last
//! event. What was told is remembered for each item, so that a host that leaves steps out is
//! understood and nothing comes twice.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::wire::{self, Data, Item, Response, citation};
use crate::dialect::ir::Event;
use crate::dialect::openai::wire::{name, says_something, text};
use crate::dialect::sse::Frame;
use crate::dialect::{AnswerFault, Reader as ReadFrames, answer_text, json, logprobs};

/// The most items in one answer, and the most parts in one item.
const ITEMS_MAX: usize = 4096;

/// A response gives one answer.
const CHOICE: u32 = 0;

/// Reads a streamed answer.
#[derive(Debug, Default)]
pub struct Reader {
    started: bool,
    ended: bool,
    items: HashMap<u64, Track>,
    /// How many parts all items have.
    parts: usize,
    /// How many calls began.
    calls: u32,
    /// Characters of text so far.
    chars: u64,
    /// Something of the answer came.
    spoke: bool,
    /// The last that came is a summary, whose next part is a new paragraph.
    in_summary: bool,
}

/// What was told of an item.
#[derive(Debug)]
struct Track {
    kind: Kind,
    /// Parts whose text came, each with the characters that came before it.
    said: Vec<(Part, u64)>,
    /// How many sources came.
    cited: usize,
    done: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Message,
    Reasoning,
    Call {
        index: u32,
        /// Its arguments came, or a piece of them.
        told: bool,
    },
    /// A call whose input is free text; it becomes the arguments of a function.
    Custom {
        index: u32,
        progress: Progress,
    },
    Image,
    /// Of a tool that the provider runs, or yet to be invented.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Begun,
    InText,
    Closed,
}

/// A part of an item, in the numbering of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Content(u64),
    Refusal(u64),
    Summary(u64),
}

type Outcome = Result<(), AnswerFault>;

impl Reader {
    /// A reader at the beginning of an answer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a call began.
    pub(super) const fn called(&self) -> bool {
        self.calls > 0
    }

    pub(super) fn start(&mut self, response: &Response<'_>, out: &mut Vec<Event>) {
        if !self.started {
            self.started = true;
            out.push(Event::Start { id: name(response.id), model: name(response.model) });
        }
    }

    fn track(&mut self, at: u64, kind: Kind) -> Result<&mut Track, AnswerFault> {
        if self.items.len() >= ITEMS_MAX && !self.items.contains_key(&at) {
            return Err(AnswerFault::Garbled("too many items"));
        }
        let new = || Track { kind, said: Vec::new(), cited: 0, done: false };
        Ok(self.items.entry(at).or_insert_with(new))
    }

    fn added(&mut self, at: u64, item: &Item<'_>, out: &mut Vec<Event>) -> Outcome {
        if self.items.contains_key(&at) {
            return Ok(());
        }
        let kind = match text(item.kind).as_deref() {
            Some("message") => Kind::Message,
            Some("reasoning") => Kind::Reasoning,
            Some("function_call") => Kind::Call { index: self.begin(item, out)?, told: false },
            Some("custom_tool_call") => {
                Kind::Custom { index: self.begin(item, out)?, progress: Progress::Begun }
            }
            Some("image_generation_call") => Kind::Image,
            _ => Kind::Other,
        };
        self.track(at, kind).map(|_| ())
    }

    fn begin(&mut self, item: &Item<'_>, out: &mut Vec<Event>) -> Result<u32, AnswerFault> {
        let id = text(item.call_id).or_else(|| text(item.id));
        let (Some(id), Some(name)) = (id, text(item.name)) else {
            return Err(AnswerFault::Garbled("a call without id or name"));
        };
        let index = self.calls;
        self.calls += 1;
        self.speak(out, Event::ToolStart { choice: CHOICE, index, id, name });
        Ok(index)
    }

    fn speak(&mut self, out: &mut Vec<Event>, event: Event) {
        self.spoke = true;
        self.in_summary = matches!(event, Event::ReasoningSummary { .. });
        out.push(event);
    }

    /// Takes the text of a part: a piece, or where nothing came before, the whole.
    fn say(&mut self, at: u64, part: Part, said: Said<'_>, out: &mut Vec<Event>) -> Outcome {
        let chars = self.chars;
        let kind = match part {
            Part::Content(_) | Part::Refusal(_) => Kind::Message,
            Part::Summary(_) => Kind::Reasoning,
        };
        let parts = self.parts;
        let track = self.track(at, kind)?;
        let known = track.said.iter().any(|(known, _)| *known == part);
        let Said { text, whole, logprobs } = said;
        let Some(mut text) = text.filter(|_| !(known && whole)) else { return Ok(()) };
        let reasons = matches!(track.kind, Kind::Reasoning);
        if !known {
            if parts >= ITEMS_MAX {
                return Err(AnswerFault::Garbled("too many parts"));
            }
            track.said.push((part, chars));
            self.parts += 1;
        }
        let choice = CHOICE;
        let event = match part {
            Part::Summary(_) => {
                if !known && self.in_summary {
                    text.insert_str(0, "\n\n");
                }
                Event::ReasoningSummary { choice, text }
            }
            Part::Content(_) if reasons => Event::Reasoning { choice, text },
            Part::Content(_) => {
                let tokens = logprobs.map(logprobs::of_list).unwrap_or_default();
                if !tokens.is_empty() {
                    out.push(Event::Logprobs { choice, refusal: false, tokens });
                }
                self.chars = chars.saturating_add(text.chars().count() as u64);
                Event::Text { choice, text }
            }
            Part::Refusal(_) => Event::Refusal { choice, text },
        };
        self.speak(out, event);
        Ok(())
    }

    fn cite(&mut self, at: u64, content: u64, raw: Option<&RawValue>, out: &mut Vec<Event>) {
        let Some(track) = self.items.get_mut(&at) else { return };
        track.cited += 1;
        let part = Part::Content(content);
        let base = track.said.iter().find(|(known, _)| *known == part).map_or(0, |(_, at)| *at);
        if let Some(citation) = raw.and_then(|raw| citation(raw, base)) {
            self.speak(out, Event::Citation { choice: CHOICE, citation });
        }
    }

    /// Takes a piece of a call's arguments or input; `None` says that there is no more.
    fn argue(&mut self, at: u64, piece: Option<String>, out: &mut Vec<Event>) -> Outcome {
        let Some(track) = self.items.get_mut(&at) else {
            return Err(AnswerFault::Garbled("arguments without a call"));
        };
        let (index, json) = match &mut track.kind {
            Kind::Call { index, told } => {
                *told |= piece.is_some();
                (*index, piece)
            }
            Kind::Custom { index, progress } => (*index, custom_input(progress, piece)),
            Kind::Message | Kind::Reasoning | Kind::Image | Kind::Other => return Ok(()),
        };
        if let Some(json) = json {
            self.speak(out, Event::ToolArguments { choice: CHOICE, index, json });
        }
        Ok(())
    }

    /// Takes all arguments or the whole input of a call, unless pieces of it came.
    fn argued(&mut self, at: u64, whole: Option<String>, out: &mut Vec<Event>) -> Outcome {
        let kind = self.items.get(&at).map(|track| track.kind);
        match kind {
            Some(Kind::Call { told: true, .. }) => Ok(()),
            Some(Kind::Custom { progress: Progress::Begun, .. }) => {
                self.argue(at, Some(whole.unwrap_or_default()), out)?;
                self.argue(at, None, out)
            }
            Some(Kind::Custom { .. }) => self.argue(at, None, out),
            _ if whole.is_none() => Ok(()),
            _ => self.argue(at, whole, out),
        }
    }

    /// Takes an item that is complete, and tells what was not told of it.
    pub(super) fn done(&mut self, at: u64, item: &Item<'_>, out: &mut Vec<Event>) -> Outcome {
        self.added(at, item, out)?;
        let Some(track) = self.items.get_mut(&at) else { return Ok(()) };
        if std::mem::replace(&mut track.done, true) {
            return Ok(());
        }
        let (kind, cited) = (track.kind, track.cited);
        match kind {
            Kind::Message | Kind::Reasoning => {
                for (i, part) in (0..).zip(item.summary.as_deref().unwrap_or_default()) {
                    self.say(at, Part::Summary(i), Said::whole(part.text), out)?;
                }
                for (i, part) in (0..).zip(item.content.as_deref().unwrap_or_default()) {
                    let logprobs = part.logprobs;
                    let said = Said { logprobs, ..Said::whole(part.text) };
                    self.say(at, Part::Content(i), said, out)?;
                    self.say(at, Part::Refusal(i), Said::whole(part.refusal), out)?;
                    for raw in part.annotations.iter().flatten().filter(|_| cited == 0) {
                        self.cite(at, i, Some(raw), out);
                    }
                }
                if let Some(data) = text(item.encrypted_content).filter(|_| kind == Kind::Reasoning)
                {
                    let id = text(item.id);
                    self.speak(out, Event::ReasoningEncrypted { choice: CHOICE, id, data });
                }
                Ok(())
            }
            Kind::Call { .. } => self.argued(at, text(item.arguments), out),
            Kind::Custom { .. } => self.argued(at, text(item.input), out),
            Kind::Image => {
                if let Some(data) = text(item.result) {
                    let format = name(item.output_format).unwrap_or_else(|| "png".to_owned());
                    let url = format!("data:image/{format};base64,{data}");
                    self.speak(out, Event::Image { choice: CHOICE, url });
                }
                Ok(())
            }
            Kind::Other => Ok(()),
        }
    }

    fn end(&mut self, data: &Data<'_>, kind: &str, out: &mut Vec<Event>) -> Outcome {
        let raw = data.response.ok_or(AnswerFault::Garbled("the last event has no response"))?;
        let mut response: Response<'_> = wire::object(raw.get())?;
        self.start(&response, out);
        if !self.spoke && kind != "failed" {
            // A host that streams nothing but the end.
            for (at, item) in (0..).zip(response.output.as_deref().unwrap_or_default()) {
                self.done(at, &wire::object(item.get())?, out)?;
            }
        }
        self.close_calls(out)?;
        let silent = !self.spoke && response.status.is_none_or(|raw| raw.get() == "null");
        if silent && kind == "completed" {
            return Err(AnswerFault::Empty);
        }
        // The event's name says how it ended, even where the object does not.
        let status = serde_json::value::to_raw_value(kind).ok();
        response.status = status.as_deref();
        wire::ending(&response, self.called(), out)?;
        self.ended = true;
        Ok(())
    }

    /// Closes the inputs that no event closed.
    fn close_calls(&mut self, out: &mut Vec<Event>) -> Outcome {
        let open =
            |track: &Track| matches!(track.kind, Kind::Custom { progress: Progress::InText, .. });
        let mut open: Vec<u64> =
            self.items.iter().filter(|(_, track)| open(track)).map(|(at, _)| *at).collect();
        open.sort_unstable();
        open.into_iter().try_for_each(|at| self.argue(at, None, out))
    }

    fn event(&mut self, kind: &str, data: &Data<'_>, out: &mut Vec<Event>) -> Outcome {
        let at = data.output_index.0;
        let content = Part::Content(data.content_index.0);
        let refusal = Part::Refusal(data.content_index.0);
        let summary = Part::Summary(data.summary_index.0);
        let logprobs = data.logprobs;
        let piece = || Said { text: text(data.delta), whole: false, logprobs };
        match kind {
            "error" => return Err(wire::in_band(data.error, data)),
            "response.created" | "response.in_progress" | "response.queued" => {
                if let Some(raw) = data.response {
                    self.start(&wire::object(raw.get())?, out);
                }
            }
            "response.output_item.added" | "response.output_item.done" => {
                let raw = data.item.ok_or(AnswerFault::Garbled("an event without its item"))?;
                let item = wire::object(raw.get())?;
                return match kind {
                    "response.output_item.added" => self.added(at, &item, out),
                    _ => self.done(at, &item, out),
                };
            }
            "response.output_text.delta" => return self.say(at, content, piece(), out),
            "response.output_text.done" => {
                let said = Said { logprobs, ..Said::whole(data.text) };
                return self.say(at, content, said, out);
            }
            "response.refusal.delta" => return self.say(at, refusal, piece(), out),
            "response.refusal.done" => {
                return self.say(at, refusal, Said::whole(data.refusal), out);
            }
            "response.reasoning_summary_text.delta" => {
                return self.say(at, summary, piece(), out);
            }
            "response.reasoning_summary_text.done" => {
                return self.say(at, summary, Said::whole(data.text), out);
            }
            "response.reasoning_text.delta" => {
                self.track(at, Kind::Reasoning)?;
                return self.say(at, content, piece(), out);
            }
            "response.reasoning_text.done" => {
                self.track(at, Kind::Reasoning)?;
                return self.say(at, content, Said::whole(data.text), out);
            }
            "response.output_text.annotation.added" => {
                self.cite(at, data.content_index.0, data.annotation, out);
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                if let Some(piece) = text(data.delta) {
                    return self.argue(at, Some(piece), out);
                }
            }
            "response.function_call_arguments.done" => {
                return self.argued(at, text(data.arguments), out);
            }
            "response.custom_tool_call_input.done" => {
                return self.argued(at, text(data.input), out);
            }
            "response.completed"
            | "response.incomplete"
            | "response.failed"
            | "response.cancelled" => {
                let kind = kind.strip_prefix("response.").unwrap_or(kind);
                return self.end(data, kind, out);
            }
            // Steps of the provider's own tools, parts that begin and end, and what is yet to be
            // invented.
            _ => {}
        }
        Ok(())
    }
}

/// What an event has of a part's text, if it has any: a piece, or all of it.
struct Said<'a> {
    text: Option<String>,
    whole: bool,
    logprobs: Option<&'a RawValue>,
}

impl<'a> Said<'a> {
    fn whole(raw: Option<&'a RawValue>) -> Self {
        Self { text: text(raw), whole: true, logprobs: None }
    }
}

/// A piece of a custom tool's input as a piece of the arguments of a function.
fn custom_input(progress: &mut Progress, piece: Option<String>) -> Option<String> {
    let mut out = Vec::new();
    match (*progress, &piece) {
        (Progress::Closed, _) | (Progress::Begun, None) => return None,
        (Progress::Begun, Some(_)) => out.extend_from_slice(b"{\"input\":\""),
        (Progress::InText, _) => {}
    }
    match piece {
        Some(piece) => {
            json::escape(&mut out, &piece);
            *progress = Progress::InText;
        }
        None => {
            out.extend_from_slice(b"\"}");
            *progress = Progress::Closed;
        }
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

impl ReadFrames for Reader {
    fn read(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        let json = frame.data.trim();
        if self.ended || json.is_empty() || json == "[DONE]" {
            return Ok(());
        }
        let data: Data<'_> = wire::object(json)?;
        let kind = text(data.kind);
        let kind = kind.as_deref().unwrap_or(frame.event);
        if kind.is_empty() && says_something(data.error) {
            return Err(wire::in_band(data.error, &data));
        }
        self.event(kind, &data, out)
    }
}

/// Reads a whole answer, an object `response`.
///
/// # Errors
/// The body is an error, cut short, empty, or not of this dialect. Nothing is then appended.
pub fn read_whole(body: &[u8], out: &mut Vec<Event>) -> Result<(), AnswerFault> {
    let response: Response<'_> = wire::object(answer_text(body)?)?;
    if response.status.is_none() && says_something(response.error) {
        return Err(wire::in_band(response.error, &Data::default()));
    }
    let named = text(response.object).as_deref() == Some("response");
    if !named && response.output.is_none() {
        return Err(AnswerFault::Garbled("the body is no response"));
    }
    if response.status.is_none() && response.output.as_deref().is_none_or(<[_]>::is_empty) {
        return Err(AnswerFault::Empty);
    }
    let (mut reader, mut events) = (Reader::new(), Vec::new());
    reader.start(&response, &mut events);
    for (at, item) in (0..).zip(response.output.as_deref().unwrap_or_default()) {
        reader.done(at, &wire::object(item.get())?, &mut events)?;
    }
    wire::ending(&response, reader.called(), &mut events)?;
    out.append(&mut events);
    Ok(())
}
