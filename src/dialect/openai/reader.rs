//! Chat completions → events.

use crate::dialect::ir::{Citation, Event, FinishReason};
use crate::dialect::logprobs::{self, OfChoice};
use crate::dialect::sse::Frame;
use crate::dialect::{AnswerFault, Reader as ReadFrames, answer_text};

use super::fault;
use super::host::Host;
use super::sources;
use super::tags::{Found, Tags};
use super::wire::{self, Call, Choice, Chunk, Function, Part, Piece, Sent};

/// Most choices in one answer.
const CHOICES_MAX: usize = 128;
/// Most tool calls in one choice.
const CALLS_MAX: usize = 1024;

/// Reads a stream of `chat.completion.chunk`s.
#[derive(Debug)]
pub struct Reader {
    host: &'static Host,
    /// The answer is whole: a delta beside the message is for show (Perplexity).
    whole: bool,
    started: bool,
    done: bool,
    /// A delta had something that no event can hold, for instance sound.
    opaque: bool,
    choices: Vec<Progress>,
}

impl Default for Reader {
    fn default() -> Self {
        Self::at(&Host::GENERIC)
    }
}

/// How far a choice has come.
#[derive(Debug, Default)]
struct Progress {
    seen: bool,
    finished: bool,
    calls: Vec<Known>,
    /// Where the host leaves reasoning in the text.
    tags: Option<Tags>,
}

/// A tool call that has begun.
#[derive(Debug)]
struct Known {
    wire_index: Option<u64>,
    id: String,
    /// Its [`Event::ToolStart`] is out.
    started: bool,
}

impl Reader {
    /// A reader at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// A reader of an answer of this host.
    pub const fn at(host: &'static Host) -> Self {
        Self { host, whole: false, started: false, done: false, opaque: false, choices: Vec::new() }
    }

    /// Whether every choice that was seen has a finish reason, and there is one at least: such a
    /// stream may end without `[DONE]`, which several hosts leave out.
    pub fn all_finished(&self) -> bool {
        let mut seen = self.choices.iter().filter(|c| c.seen).peekable();
        seen.peek().is_some() && seen.all(|c| c.finished)
    }

    /// Whether a delta had content that no event can hold, such as sound or images.
    pub(crate) const fn saw_opaque(&self) -> bool {
        self.opaque
    }

    /// Reads the JSON of a chunk or of a whole answer.
    pub(super) fn chunk(&mut self, data: &str, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        let chunk = Chunk::parse(data)?;
        fault::check(&chunk, data)?;
        let choices = chunk.choices.as_deref().unwrap_or_default();
        let id = wire::name(chunk.id);
        if !self.started && (id.is_some() || !choices.is_empty()) {
            self.started = true;
            out.push(Event::Start { id, model: wire::name(chunk.model) });
        }
        let mut cited = if self.whole { sources::of_chunk(&chunk) } else { at_the_end(&chunk) };
        for choice in choices {
            self.choice(choice, std::mem::take(&mut cited), out)?;
        }
        if let Some(usage) = wire::chunk_usage_at(&chunk, self.host.reasoning_beside) {
            out.push(Event::Usage(usage));
        }
        Ok(())
    }

    /// Reads a choice; `cited` is what stands beside it.
    fn choice(
        &mut self,
        wire: &Choice<'_>,
        cited: Vec<Citation>,
        out: &mut Vec<Event>,
    ) -> Result<(), AnswerFault> {
        let place = usize::try_from(wire.index.0).ok().filter(|&at| at < CHOICES_MAX);
        let (Some(at), Ok(choice)) = (place, u32::try_from(wire.index.0)) else {
            return Err(AnswerFault::Garbled("a choice has an index that was not asked for"));
        };
        if at >= self.choices.len() {
            let tags = self.host.think_tags;
            let begin = || Progress { tags: tags.then(Tags::default), ..Progress::default() };
            self.choices.resize_with(at + 1, begin);
        }
        let progress = &mut self.choices[at];
        progress.seen = true;
        progress.logprobs(choice, wire, out);
        let said =
            if self.whole { wire.message.or(wire.delta) } else { wire.delta.or(wire.message) };
        if let Some(raw) = said {
            let part: Option<Part<'_>> = serde_json::from_str(raw.get())
                .map_err(|_| AnswerFault::Garbled("a delta is not what it should be"))?;
            let part = part.unwrap_or_default();
            self.opaque |= wire::says_something(part.audio) || wire::says_something(part.images);
            progress.part(choice, &part, out)?;
        }
        if !progress.finished {
            out.extend(cited.into_iter().map(|citation| Event::Citation { choice, citation }));
        }
        if let Some(native) = wire::native_finish(wire.finish_reason) {
            progress.finish(choice, native, wire::stop_sequence(wire), out)?;
        }
        Ok(())
    }

    /// Whether text is held back that may be a part of a tag.
    fn holds(&self) -> bool {
        self.choices.iter().any(|c| c.tags.as_ref().is_some_and(Tags::holds))
    }

    /// Ends the choices of a whole answer that gave no reason.
    fn finish_all(&mut self, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        for (choice, progress) in (0..).zip(&mut self.choices) {
            if progress.seen {
                progress.finish(choice, String::new(), None, out)?;
            }
        }
        Ok(())
    }
}

impl ReadFrames for Reader {
    fn read(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        if self.done {
            return Ok(());
        }
        match wire::sent(frame)? {
            Sent::Nothing => Ok(()),
            Sent::Done => {
                self.done = true;
                out.push(Event::End);
                Ok(())
            }
            Sent::Chunk(json) => self.chunk(json, out),
        }
    }
}

impl Progress {
    fn logprobs(&self, choice: u32, wire: &Choice<'_>, out: &mut Vec<Event>) {
        let Some(raw) = wire.logprobs.filter(|_| !self.finished) else { return };
        let OfChoice { content, refusal } = logprobs::of_choice(raw);
        for (tokens, refusal) in [(content, false), (refusal, true)] {
            if !tokens.is_empty() {
                out.push(Event::Logprobs { choice, refusal, tokens });
            }
        }
    }

    fn part(
        &mut self,
        choice: u32,
        part: &Part<'_>,
        out: &mut Vec<Event>,
    ) -> Result<(), AnswerFault> {
        self.reasoning(choice, part, out);
        if let Some(text) = wire::text(part.content) {
            self.text(choice, text, out);
        }
        for piece in wire::pieces(part.content) {
            for text in piece.thinking.into_iter().filter_map(|t| t.text) {
                push_text(text, out, |text| Event::Reasoning { choice, text });
            }
            push_text(piece.signature.unwrap_or_default(), out, |signature| {
                Event::ReasoningSignature { choice, signature }
            });
            self.text(choice, piece.text.unwrap_or_default(), out);
        }
        if let Some(text) = wire::text(part.refusal) {
            out.push(Event::Refusal { choice, text });
        }
        for call in part.tool_calls.as_deref().unwrap_or_default() {
            self.call(choice, call, out)?;
        }
        if let Some(function) = &part.function_call {
            let at = if self.calls.is_empty() { self.begin(None, String::new())? } else { 0 };
            self.function(choice, at, function, out);
        }
        let cited = sources::annotations(part.annotations);
        out.extend(cited.map(|citation| Event::Citation { choice, citation }));
        let pictures = sources::pictures(part.images).into_iter();
        out.extend(pictures.map(|url| Event::Image { choice, url }));
        Ok(())
    }

    /// Hands on reasoning: as the details have it if they have its text, or as it stands.
    fn reasoning(&mut self, choice: u32, part: &Part<'_>, out: &mut Vec<Event>) {
        let details = wire::pieces(part.reasoning_details);
        let says = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        if !details.iter().any(|detail| says(&detail.text) || says(&detail.summary)) {
            let plain = wire::text(part.reasoning).or_else(|| wire::text(part.reasoning_content));
            push_text(plain.unwrap_or_default(), out, |text| Event::Reasoning { choice, text });
        }
        for detail in details {
            let Piece { kind, text, summary, signature, data, id, .. } = detail;
            push_text(text.unwrap_or_default(), out, |text| Event::Reasoning { choice, text });
            push_text(summary.unwrap_or_default(), out, |text| Event::ReasoningSummary {
                choice,
                text,
            });
            match (signature, data) {
                (Some(signature), _) if !signature.is_empty() => {
                    out.push(Event::ReasoningSignature { choice, signature });
                }
                (_, Some(data)) if kind == "reasoning.encrypted" => {
                    out.push(Event::ReasoningEncrypted { choice, id, data });
                }
                _ => {}
            }
        }
    }

    /// Hands on text, without the reasoning that a host may have left in it.
    fn text(&mut self, choice: u32, text: String, out: &mut Vec<Event>) {
        match &mut self.tags {
            Some(tags) => tags.push(text, |found| push_found(found, choice, out)),
            None => push_text(text, out, |text| Event::Text { choice, text }),
        }
    }

    fn call(
        &mut self,
        choice: u32,
        call: &Call<'_>,
        out: &mut Vec<Event>,
    ) -> Result<(), AnswerFault> {
        let none = Function::default();
        let function = call.function.as_ref().unwrap_or(&none);
        let wire_index = call.index.and_then(|raw| raw.get().parse::<u64>().ok());
        let id = wire::name(call.id).unwrap_or_default();
        let named = wire::says_something(function.name);
        let known = match wire_index {
            // Some hosts give every call the index 0: a new id with a name is a new call.
            Some(index) => {
                self.calls.iter().rposition(|k| k.wire_index == Some(index)).filter(|&at| {
                    id.is_empty()
                        || self.calls[at].id.is_empty()
                        || self.calls[at].id == id
                        || !named
                })
            }
            None if !id.is_empty() => self.calls.iter().position(|k| k.id == id),
            None if named => None,
            None => self.calls.len().checked_sub(1),
        };
        let at = match known {
            Some(at) => at,
            None => self.begin(wire_index, String::new())?,
        };
        if self.calls[at].id.is_empty() {
            self.calls[at].id = id;
        }
        self.function(choice, at, function, out);
        Ok(())
    }

    fn begin(&mut self, wire_index: Option<u64>, id: String) -> Result<usize, AnswerFault> {
        if self.calls.len() >= CALLS_MAX {
            return Err(AnswerFault::Garbled("too many tool calls"));
        }
        self.calls.push(Known { wire_index, id, started: false });
        Ok(self.calls.len() - 1)
    }

    /// Starts a call when its name or its first arguments come, and hands on the arguments.
    fn function(&mut self, choice: u32, at: usize, wire: &Function<'_>, out: &mut Vec<Event>) {
        let index = u32::try_from(at).unwrap_or(u32::MAX);
        let name = wire::text(wire.name).unwrap_or_default();
        let json = match wire.arguments {
            // Mistral and TGI send the object itself.
            Some(raw) if raw.get().starts_with('{') => Some(raw.get().to_owned()),
            raw => wire::text(raw),
        };
        let call = &mut self.calls[at];
        if !call.started && (!name.is_empty() || json.is_some()) {
            call.started = true;
            if call.id.is_empty() {
                call.id = format!("call_{choice}_{index}");
            }
            out.push(Event::ToolStart { choice, index, id: call.id.clone(), name });
        }
        if let Some(json) = json {
            out.push(Event::ToolArguments { choice, index, json });
        }
    }

    fn finish(
        &mut self,
        choice: u32,
        native: String,
        stop: Option<String>,
        out: &mut Vec<Event>,
    ) -> Result<(), AnswerFault> {
        if self.finished {
            return Ok(());
        }
        let Some(mut reason) = wire::finish_reason(&native) else {
            let message = "the provider ended the answer with an error".to_owned();
            return Err(AnswerFault::InBand { code: Some(native), message });
        };
        if let Some(tags) = &mut self.tags {
            tags.flush(|found| push_found(found, choice, out));
        }
        if reason == FinishReason::Stop && self.calls.iter().any(|c| c.started) {
            reason = FinishReason::ToolCalls;
        }
        self.finished = true;
        out.push(Event::Finish { choice, reason, native, stop });
        Ok(())
    }
}

fn push_text(text: String, out: &mut Vec<Event>, event: impl FnOnce(String) -> Event) {
    if !text.is_empty() {
        out.push(event(text));
    }
}

fn push_found(found: Found, choice: u32, out: &mut Vec<Event>) {
    match found {
        Found::Reasoning(text) => push_text(text, out, |text| Event::Reasoning { choice, text }),
        Found::Text(text) => push_text(text, out, |text| Event::Text { choice, text }),
    }
}

/// The sources that stand beside the choices, once their text is whole.
fn at_the_end(chunk: &Chunk<'_>) -> Vec<Citation> {
    let first = chunk.choices.as_deref().and_then(<[_]>::first);
    let ends = first.is_some_and(|choice| wire::native_finish(choice.finish_reason).is_some());
    if ends { sources::of_chunk(chunk) } else { Vec::new() }
}

/// Reads a whole answer of a host that follows OpenAI.
///
/// # Errors
/// As [`read_whole_at`].
pub fn read_whole(body: &[u8], out: &mut Vec<Event>) -> Result<(), AnswerFault> {
    read_whole_at(&Host::GENERIC, body, out)
}

/// Reads a whole answer, an object `chat.completion`.
///
/// # Errors
/// The answer reports an error, is cut short, is no chat completion, or has no content, no tool
/// call and no finish reason. Nothing is then appended.
pub fn read_whole_at(
    host: &'static Host,
    body: &[u8],
    out: &mut Vec<Event>,
) -> Result<(), AnswerFault> {
    let text = answer_text(body)?;
    let from = out.len();
    let read = whole(host, text, out);
    if read.is_err() {
        out.truncate(from);
    }
    read
}

fn whole(host: &'static Host, text: &str, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
    let (mut reader, from) = (Reader { whole: true, ..Reader::at(host) }, out.len());
    reader.chunk(text, out)?;
    if !reader.opaque && !reader.holds() && !out[from..].iter().any(Event::is_semantic) {
        return Err(AnswerFault::Empty);
    }
    reader.finish_all(out)?;
    out.push(Event::End);
    Ok(())
}
