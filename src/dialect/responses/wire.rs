//! What providers of Responses send, read tolerantly: members are kept as raw JSON and interpreted
//! where they are needed, so that an odd value costs that value and not the whole answer.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::AnswerFault;
use crate::dialect::ir::{Citation, Event, FinishReason};
use crate::dialect::media::bounded;
use crate::dialect::openai::fault::excerpt;
use crate::dialect::openai::wire::{Count, name, says_something, text};
use crate::vocab::Usage;

/// An event of a stream.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Data<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) response: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) item: Option<&'a RawValue>,
    pub(super) output_index: Count,
    pub(super) content_index: Count,
    pub(super) summary_index: Count,
    #[serde(borrow)]
    pub(super) delta: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) text: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) input: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) annotation: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) code: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) message: Option<&'a RawValue>,
}

/// A response, whole or as a stream's first and last events have it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Response<'a> {
    #[serde(borrow)]
    pub(super) object: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) model: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) status: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) incomplete_details: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) output: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
}

/// An item of `output`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Item<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) call_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) name: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) input: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) content: Option<Vec<Content<'a>>>,
    #[serde(borrow)]
    pub(super) summary: Option<Vec<Content<'a>>>,
    #[serde(borrow)]
    pub(super) encrypted_content: Option<&'a RawValue>,
    /// Of a picture: base64.
    #[serde(borrow)]
    pub(super) result: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) output_format: Option<&'a RawValue>,
}

/// A part of an item.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Content<'a> {
    #[serde(borrow)]
    pub(super) text: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) annotations: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub(super) logprobs: Option<&'a RawValue>,
}

/// An object of the wire.
pub(super) fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, AnswerFault> {
    const GARBLED: AnswerFault = AnswerFault::Garbled("the JSON is not that of a response");
    // Serde would take a list for an object.
    if !json.trim_start().starts_with('{') {
        return Err(GARBLED);
    }
    serde_json::from_str(json).map_err(|error| match error.classify() {
        serde_json::error::Category::Eof => AnswerFault::Truncated,
        _ => GARBLED,
    })
}

/// The fault that an error object tells of; `outer` may have what it lacks.
pub(super) fn in_band(error: Option<&RawValue>, outer: &Data<'_>) -> AnswerFault {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Error<'a> {
        #[serde(borrow)]
        code: Option<&'a RawValue>,
        #[serde(rename = "type", borrow)]
        kind: Option<&'a RawValue>,
        #[serde(borrow)]
        message: Option<&'a RawValue>,
    }
    let plain = text(error);
    let error = error.and_then(|raw| object::<Error<'_>>(raw.get()).ok()).unwrap_or_default();
    let code = name(error.code).or_else(|| name(outer.code)).or_else(|| name(error.kind));
    let message = text(error.message).or_else(|| text(outer.message)).or(plain);
    AnswerFault::InBand {
        code: code.map(|code| bounded(&code, 128)),
        message: message.map_or_else(|| "no message".to_owned(), |message| excerpt(&message)),
    }
}

/// How a response ended: a fault, or the events that say so.
pub(super) fn ending(
    response: &Response<'_>,
    called: bool,
    out: &mut Vec<Event>,
) -> Result<(), AnswerFault> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Details<'a> {
        #[serde(borrow)]
        reason: Option<&'a RawValue>,
    }
    let status = name(response.status).unwrap_or_else(|| "completed".to_owned());
    let done = if called { FinishReason::ToolCalls } else { FinishReason::Stop };
    let (reason, native) = match status.as_str() {
        "completed" => (done, status),
        "incomplete" => {
            let details = response.incomplete_details.map(RawValue::get);
            let details = details.and_then(|raw| object::<Details<'_>>(raw).ok());
            let why = details.and_then(|details| name(details.reason)).unwrap_or(status);
            let reason = match why.as_str() {
                "content_filter" => FinishReason::ContentFilter,
                // The answer is not whole, whatever the word for it.
                _ => FinishReason::Length,
            };
            (reason, why)
        }
        "in_progress" | "queued" => return Err(AnswerFault::Truncated),
        _ => {
            let fault = in_band(response.error, &Data::default());
            let AnswerFault::InBand { code, message } = fault else { return Err(fault) };
            return Err(AnswerFault::InBand { code: code.or(Some(bounded(&status, 64))), message });
        }
    };
    if says_something(response.error) {
        return Err(in_band(response.error, &Data::default()));
    }
    let native = bounded(&native, 64);
    out.push(Event::Finish { choice: 0, reason, native, stop: None });
    out.extend(usage(response.usage).map(Event::Usage));
    out.push(Event::End);
    Ok(())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireUsage {
    input_tokens: Count,
    input_tokens_details: Option<InputDetails>,
    output_tokens: Count,
    output_tokens_details: Option<OutputDetails>,
    total_tokens: Count,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InputDetails {
    cached_tokens: Count,
    cache_write_tokens: Count,
    audio_tokens: Count,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Count,
}

/// The usage that a provider reports; details that exceed their whole are cut to it. A provider
/// whose total says that reasoning stands beside the output (xAI in chat, 2026-11) is believed.
fn usage(raw: Option<&RawValue>) -> Option<Usage> {
    let wire: WireUsage = object(raw?.get()).ok()?;
    let input = wire.input_tokens_details.unwrap_or_default();
    let prompt = wire.input_tokens.0;
    let reasoning = wire.output_tokens_details.map_or(0, |details| details.reasoning_tokens.0);
    let mut completion = wire.output_tokens.0;
    if reasoning > 0 && wire.total_tokens.0 == prompt + completion + reasoning {
        completion += reasoning;
    }
    let cache_read = input.cached_tokens.0.min(prompt);
    Some(Usage {
        prompt,
        cache_read,
        cache_write_5m: input.cache_write_tokens.0.min(prompt - cache_read),
        audio_prompt: input.audio_tokens.0.min(prompt),
        completion,
        reasoning: reasoning.min(completion),
        ..Usage::default()
    })
}

/// A source on the web; other annotations (files of the provider's own tools) are passed over.
/// `base`: how many characters of the answer came before the part.
pub(super) fn citation(raw: &RawValue, base: u64) -> Option<Citation> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Annotation<'a> {
        #[serde(rename = "type", borrow)]
        kind: Option<&'a RawValue>,
        #[serde(borrow)]
        url: Option<&'a RawValue>,
        #[serde(borrow)]
        title: Option<&'a RawValue>,
        #[serde(borrow)]
        content: Option<&'a RawValue>,
        start_index: Count,
        end_index: Count,
    }
    let wire: Annotation<'_> = object(raw.get()).ok()?;
    if text(wire.kind).as_deref() != Some("url_citation") {
        return None;
    }
    let (start, end) = (wire.start_index.0, wire.end_index.0);
    let known = end > 0;
    Some(Citation {
        url: text(wire.url)?,
        title: text(wire.title).unwrap_or_default(),
        content: text(wire.content),
        start: if known { base.saturating_add(start) } else { 0 },
        end: if known { base.saturating_add(end) } else { 0 },
    })
}
