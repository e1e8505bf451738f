//! What streams and whole answers of Cohere's have in common.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::AnswerFault;
use crate::dialect::ir::{Citation, Event, FinishReason};
use crate::dialect::media::bounded;
use crate::error::ProviderSaid;
use crate::vocab::Usage;

/// The one choice that Cohere gives.
pub(super) const CHOICE: u32 = 0;
/// The most calls in one answer.
pub(super) const CALLS_MAX: usize = 1024;
/// The most sources of one citation that are looked at.
const SOURCES_MAX: usize = 64;
/// The longest address and title of a source, in bytes.
const URL_MAX: usize = 8192;
/// The longest passage of a source, in bytes.
const PASSAGE_MAX: usize = 16 << 10;

/// A block of content.
#[derive(Deserialize)]
pub(super) struct Content<'a> {
    #[serde(borrow)]
    pub(super) text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) thinking: Option<Cow<'a, str>>,
}

impl Content<'_> {
    /// The events of the block. Returns how many characters of text there are.
    pub(super) fn events(self, out: &mut Vec<Event>) -> u64 {
        if let Some(text) = some(self.thinking) {
            out.push(Event::Reasoning { choice: CHOICE, text });
        }
        let Some(text) = some(self.text) else { return 0 };
        let chars = text.chars().count();
        out.push(Event::Text { choice: CHOICE, text });
        u64::try_from(chars).unwrap_or(u64::MAX)
    }
}

/// A call, or a piece of one.
#[derive(Deserialize)]
pub(super) struct Call<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) function: Option<Function<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Function<'a> {
    #[serde(borrow)]
    pub(super) name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) arguments: Option<Cow<'a, str>>,
}

/// A citation as Cohere sends it.
#[derive(Deserialize)]
pub(super) struct Cited<'a> {
    start: Option<u64>,
    end: Option<u64>,
    pub(super) content_index: Option<u64>,
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sources: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow)]
    document: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_output: Option<&'a RawValue>,
}

/// What is looked for in a document or the output of a tool, whose members are the client's.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    url: Option<Cow<'a, str>>,
    #[serde(borrow)]
    title: Option<Cow<'a, str>>,
    #[serde(borrow)]
    snippet: Option<Cow<'a, str>>,
}

impl Cited<'_> {
    /// One event per source that has a URL. `base` is where the citation's block begins in the
    /// answer's text.
    pub(super) fn events(&self, base: u64, out: &mut Vec<Event>) {
        if self.kind.as_deref().is_some_and(|kind| kind != "TEXT_CONTENT") {
            return;
        }
        let sources: Option<Vec<Source<'_>>> =
            self.sources.and_then(|raw| serde_json::from_str(raw.get()).ok());
        for source in sources.unwrap_or_default().iter().take(SOURCES_MAX) {
            // What has other members, or others' types, names no place on the web.
            let document = source.document.or(source.tool_output);
            let read =
                document.and_then(|raw| serde_json::from_str::<Document<'_>>(raw.get()).ok());
            let Some(Document { url: Some(url), title, snippet }) = read else { continue };
            if !(url.starts_with("https://") || url.starts_with("http://")) || url.len() > URL_MAX {
                continue;
            }
            let (start, end) = (self.start.unwrap_or(0), self.end.unwrap_or(0));
            let moved = |at: u64| if end == 0 { 0 } else { base.saturating_add(at) };
            let citation = Citation {
                url: url.into_owned(),
                title: bounded(&title.unwrap_or_default(), URL_MAX),
                content: some(snippet).map(|text| bounded(&text, PASSAGE_MAX)),
                start: moved(start),
                end: moved(end),
            };
            out.push(Event::Citation { choice: CHOICE, citation });
        }
    }
}

/// `usage`. Counters are floats on the wire.
#[derive(Clone, Copy, Deserialize)]
pub(super) struct Counters {
    tokens: Option<Tokens>,
    billed_units: Option<Tokens>,
    cached_tokens: Option<f64>,
}

#[derive(Clone, Copy, Deserialize)]
struct Tokens {
    input_tokens: Option<f64>,
    output_tokens: Option<f64>,
}

impl Counters {
    /// The counters in our sense: what the model saw, or where Cohere does not say, what it bills.
    /// None if there are none.
    pub(super) fn usage(&self) -> Option<Usage> {
        let tokens = self.tokens.or(self.billed_units)?;
        let prompt = count(tokens.input_tokens);
        Some(Usage {
            prompt,
            cache_read: count(self.cached_tokens).min(prompt),
            completion: count(tokens.output_tokens),
            ..Usage::default()
        })
    }
}

/// A counter; what is no number of tokens is none.
fn count(value: Option<f64>) -> u64 {
    let value = value.unwrap_or(0.0).round().clamp(0.0, 9e15);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole, not negative and below 2^53"
    )]
    let whole = value as u64;
    whole
}

/// The end of an answer.
///
/// # Errors
/// The reason is that it failed.
pub(super) fn finish(
    native: &str,
    error: Option<&str>,
    called: bool,
    out: &mut Vec<Event>,
) -> Result<(), AnswerFault> {
    let failed = native.starts_with("ERROR") || native == "TIMEOUT";
    if failed && native != "ERROR_TOXIC" {
        let message = error.unwrap_or("the provider ended the answer with an error");
        return Err(AnswerFault::InBand {
            code: Some(bounded(native, 64)),
            message: bounded(message, ProviderSaid::RAW_MAX),
        });
    }
    let reason = match native {
        "MAX_TOKENS" => FinishReason::Length,
        "TOOL_CALL" => FinishReason::ToolCalls,
        // Of the API before this one; never documented here.
        "ERROR_TOXIC" => FinishReason::ContentFilter,
        _ if called => FinishReason::ToolCalls,
        // COMPLETE, STOP_SEQUENCE and reasons yet to be invented.
        _ => FinishReason::Stop,
    };
    let native = bounded(native, 64);
    out.push(Event::Finish { choice: CHOICE, reason, native, stop: None });
    Ok(())
}

/// An error inside an answer.
pub(super) fn in_band(message: &str) -> AnswerFault {
    AnswerFault::InBand { code: None, message: bounded(message, ProviderSaid::RAW_MAX) }
}

/// A text that says something.
pub(super) fn some(text: Option<Cow<'_, str>>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(Cow::into_owned)
}
