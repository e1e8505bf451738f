//! Text completions → events.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::speech::Speech;
use super::template::Template;
use crate::dialect::ir::{Event, FinishReason};
use crate::dialect::openai::fault;
use crate::dialect::openai::wire::{self, Sent};
use crate::dialect::sse::Frame;
use crate::dialect::{AnswerFault, Reader as ReadFrames, answer_text};

/// Most choices in one answer.
const CHOICES_MAX: u64 = 128;

/// A chunk of a stream, or a whole answer; both have the same form.
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    model: Option<&'a RawValue>,
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: wire::Count,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    finish_reason: Option<&'a RawValue>,
    /// vLLM: the stop text that was hit, or the number of the token that was.
    #[serde(borrow, default)]
    stop_reason: Option<&'a RawValue>,
}

/// Reads a stream of text completions.
#[derive(Debug, Default)]
pub struct Reader {
    template: Option<Template>,
    started: bool,
    done: bool,
    id: String,
    choices: BTreeMap<u32, Progress>,
}

#[derive(Debug)]
struct Progress {
    speech: Speech,
    finished: bool,
}

impl Reader {
    /// A reader at the beginning of an answer. What is text, reasoning or a call depends on the
    /// template; without one all is text.
    pub fn new(template: Option<&Template>) -> Self {
        Self { template: template.cloned(), ..Self::default() }
    }

    fn chunk(&mut self, data: &str, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        let garbled = AnswerFault::Garbled("the JSON is not that of a text completion");
        // Serde would take a list for an object.
        if !data.trim_start().starts_with('{') {
            return Err(garbled);
        }
        let chunk: Chunk<'_> = serde_json::from_str(data)
            .map_err(|error| if error.is_eof() { AnswerFault::Truncated } else { garbled })?;
        let is_error = chunk.object.map(RawValue::get) == Some("\"error\"");
        if wire::says_something(chunk.error) || (is_error && chunk.choices.is_none()) {
            return Err(fault::in_band(data));
        }
        let choices = chunk.choices.unwrap_or_default();
        let id = wire::name(chunk.id);
        if !self.started && (id.is_some() || !choices.is_empty()) {
            self.started = true;
            self.id = id.clone().unwrap_or_default();
            out.push(Event::Start { id, model: wire::name(chunk.model) });
        }
        for choice in &choices {
            self.choice(choice, out)?;
        }
        if let Some(usage) = wire::usage(chunk.usage, false) {
            out.push(Event::Usage(usage));
        }
        Ok(())
    }

    fn choice(&mut self, wire: &Choice<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        let index = Some(wire.index.0).filter(|index| *index < CHOICES_MAX);
        let Some(choice) = index.and_then(|index| u32::try_from(index).ok()) else {
            return Err(AnswerFault::Garbled("a choice has an index that was not asked for"));
        };
        let settings = self.template.as_ref().map(Template::settings);
        let progress = self.choices.entry(choice).or_insert_with(|| Progress {
            speech: Speech::new(choice, self.id.clone(), settings),
            finished: false,
        });
        if progress.finished {
            return Ok(());
        }
        if let Some(text) = wire::text(wire.text) {
            progress.speech.push(&text, out);
        }
        if let Some(native) = wire::native_finish(wire.finish_reason) {
            let stop = wire::text(wire.stop_reason).filter(|stop| {
                // Those of the template are the model's own end.
                settings.is_none_or(|settings| !settings.stop.contains(stop))
            });
            progress.finish(choice, native, stop, out)?;
        }
        Ok(())
    }

    /// Ends the choices of a whole answer that gave no reason.
    fn finish_all(&mut self, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        for (&choice, progress) in &mut self.choices {
            if !progress.finished {
                progress.finish(choice, String::new(), None, out)?;
            }
        }
        Ok(())
    }
}

impl Progress {
    fn finish(
        &mut self,
        choice: u32,
        native: String,
        stop: Option<String>,
        out: &mut Vec<Event>,
    ) -> Result<(), AnswerFault> {
        let Some(mut reason) = wire::finish_reason(&native) else {
            let message = "the provider ended the answer with an error".to_owned();
            return Err(AnswerFault::InBand { code: Some(native), message });
        };
        self.speech.finish(out);
        if reason == FinishReason::Stop && self.speech.called() {
            reason = FinishReason::ToolCalls;
        }
        self.finished = true;
        out.push(Event::Finish { choice, reason, native, stop });
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

/// Reads a whole answer, an object `text_completion`.
///
/// # Errors
/// The answer reports an error, is cut short, is no text completion, or is empty. Nothing is then
/// appended.
pub fn read_whole(
    template: Option<&Template>,
    body: &[u8],
    out: &mut Vec<Event>,
) -> Result<(), AnswerFault> {
    let text = answer_text(body)?;
    let (mut reader, mut events) = (Reader::new(template), Vec::new());
    reader.chunk(text, &mut events)?;
    let says = events.iter().any(Event::is_semantic);
    reader.finish_all(&mut events)?;
    let says = says || events.iter().any(|e| e.is_semantic() && !matches!(e, Event::Finish { .. }));
    if !says {
        return Err(AnswerFault::Empty);
    }
    events.push(Event::End);
    out.append(&mut events);
    Ok(())
}
