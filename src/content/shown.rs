//! Kept content in OpenRouter's words (`GET /generation/content`).

use serde::Serialize;
use serde_json::value::RawValue;

use super::Kept;
use crate::dialect::frames::{Frames, Framing};
use crate::dialect::ir::Event;
use crate::dialect::openai::Host;
use crate::dialect::scan::{Form, Key, scan_as};
use crate::dialect::{AnswerFault, Dialect};

#[derive(Serialize)]
struct Shown<'a> {
    input: Input<'a>,
    output: Output<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error<'a>>,
}

#[derive(Default, Serialize)]
struct Input<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<&'a RawValue>,
    /// What OpenRouter does not have: what stands beside the messages or the prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    documents: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Output<'a> {
    completion: Option<String>,
    reasoning: Option<String>,
    /// What is no text: calls of tools, vectors, ranks.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Error<'a> {
    status: u16,
    raw: &'a RawValue,
}

/// Writes kept content as JSON: `{"input":…,"output":…}`.
///
/// # Errors
/// What is kept is no request of its form.
pub fn show(kept: &Kept) -> Result<Box<RawValue>, &'static str> {
    let input = input(kept).ok_or("the request cannot be read")?;
    let whole = std::str::from_utf8(&kept.answer).ok();
    let raw: Option<&RawValue> = whole.and_then(|text| serde_json::from_str(text).ok());
    let failed = kept.status >= 400;
    let (completion, reasoning, plain) = if failed { (None, None, true) } else { said(kept) };
    let shown = Shown {
        input,
        output: Output { completion, reasoning, raw: raw.filter(|_| !failed && !plain) },
        error: raw.filter(|_| failed).map(|raw| Error { status: kept.status, raw }),
    };
    serde_json::value::to_raw_value(&shown).map_err(|_| "it cannot be written as JSON")
}

fn input(kept: &Kept) -> Option<Input<'_>> {
    let head = scan_as(kept.form, &kept.request).ok()?;
    let member = |key: Key| -> Option<&RawValue> {
        serde_json::from_slice(head.field(key)?.value.of(&kept.request)).ok()
    };
    Some(match kept.form {
        Form::Chat => Input { messages: member(Key::Messages), ..Input::default() },
        Form::Messages => Input {
            messages: member(Key::Messages),
            system: member(Key::System),
            ..Input::default()
        },
        Form::Completions => Input { prompt: member(Key::Prompt), ..Input::default() },
        Form::Embeddings => Input { prompt: member(Key::Input), ..Input::default() },
        Form::Rerank => Input {
            prompt: member(Key::Query),
            documents: member(Key::Documents),
            ..Input::default()
        },
        Form::Responses => {
            let input = member(Key::Input);
            let is_text = input.is_some_and(|input| input.get().starts_with('"'));
            let system = member(Key::Instructions);
            if is_text {
                Input { prompt: input, system, ..Input::default() }
            } else {
                Input { messages: input, system, ..Input::default() }
            }
        }
    })
}

/// What the answer says, what it thought, and whether that is all there is.
fn said(kept: &Kept) -> (Option<String>, Option<String>, bool) {
    let dialect = match kept.form {
        Form::Chat => Dialect::OpenAi,
        Form::Completions => Dialect::Completions,
        Form::Responses => Dialect::Responses,
        Form::Messages => Dialect::Anthropic,
        Form::Embeddings | Form::Rerank => return (None, None, false),
    };
    let mut events = Vec::new();
    // An answer that was cut is shown as far as it went.
    let _whole_or_cut = match kept.stream {
        true => read_stream(dialect, &kept.answer, &mut events),
        false => dialect.read_whole(&Host::GENERIC, None, &kept.answer, &mut events),
    };
    let (mut text, mut thought) = (String::new(), String::new());
    let mut plain = true;
    for event in &events {
        match event {
            Event::Text { text: more, .. } | Event::Refusal { text: more, .. } => {
                text.push_str(more);
            }
            Event::Reasoning { text: more, .. } | Event::ReasoningSummary { text: more, .. } => {
                thought.push_str(more);
            }
            Event::ToolStart { .. } | Event::Image { .. } => plain = false,
            _ => {}
        }
    }
    let some = |text: String| (!text.is_empty()).then_some(text);
    (some(text), some(thought), plain)
}

fn read_stream(dialect: Dialect, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), AnswerFault> {
    let Some(mut frames) = Frames::new(Framing::Sse) else { return Ok(()) };
    let mut reader = dialect.reader(&Host::GENERIC, None);
    frames.push(bytes, |frame| reader.read(&frame, events))?;
    frames.finish(|frame| reader.read(&frame, events))
}
