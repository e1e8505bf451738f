//! Chunks of a stream → the hub's events.

use serde_json::value::RawValue;

use super::cite::{Positions, Sources};
use super::usage::Counters;
use super::wire::{Call, Candidate, Chunk, List, Part, Text, compact, in_band};
use crate::dialect::AnswerFault;
use crate::dialect::ir::{Event, FinishReason};
use crate::dialect::logprobs;
use crate::dialect::media::bounded;
use crate::dialect::sse::Frame;

/// Most choices in one answer; Gemini gives 8.
const CHOICES_MAX: usize = 128;
/// Most tool calls in one choice.
const CALLS_MAX: usize = 1024;
/// Most chunks in one list.
const DOCUMENTS_MAX: usize = 65_536;
/// The longest id of a call or an answer that is kept, in bytes.
const ID_MAX: usize = 256;

/// Reads a streamed answer.
///
/// There is no terminal event: the stream may end once every choice has finished.
#[derive(Debug, Default)]
pub struct Reader {
    started: bool,
    /// Made of the answer's id, for the ids of calls that have none.
    stem: String,
    counters: Counters,
    /// Pictures put out.
    images: u64,
    choices: Vec<Progress>,
    /// Something went out that cannot be taken back.
    spoke: bool,
    /// The answer came whole: until its end, thoughts can be taken back.
    whole: bool,
}

/// How far a choice has come.
#[derive(Debug, Default)]
struct Progress {
    finished: bool,
    /// The text has characters of more than a byte.
    wide: bool,
    /// The ids of its calls.
    calls: Vec<String>,
    sources: Sources,
}

type Outcome = Result<(), AnswerFault>;

impl Reader {
    /// A reader at the beginning of an answer.
    pub fn new() -> Self {
        Self::default()
    }

    /// A reader of an answer that came whole.
    pub(super) fn whole() -> Self {
        Self { whole: true, ..Self::default() }
    }

    /// Whether some choice was seen, and whether all that were have finished.
    pub(super) fn progress(&self) -> (bool, bool) {
        (!self.choices.is_empty(), self.choices.iter().all(|choice| choice.finished))
    }

    /// Reads a chunk, or a list of chunks as a stream without `alt=sse` has it.
    pub(super) fn document(&mut self, json: &str, out: &mut Vec<Event>) -> Outcome {
        if json.trim_start().starts_with('[') {
            let List(chunks) = serde_json::from_str::<List<&RawValue, DOCUMENTS_MAX>>(json)
                .map_err(|e| fault(&e))?;
            return chunks.into_iter().try_for_each(|raw| {
                let chunk = serde_json::from_str(raw.get()).map_err(|e| fault(&e))?;
                self.chunk(chunk, out)
            });
        }
        self.chunk(serde_json::from_str(json).map_err(|e| fault(&e))?, out)
    }

    fn chunk(&mut self, chunk: Chunk<'_>, out: &mut Vec<Event>) -> Outcome {
        if let Some(error) = chunk.error.filter(|raw| raw.get() != "null") {
            return Err(in_band(error));
        }
        if !self.started {
            self.start(&chunk, out);
        }
        for candidate in List::items(chunk.candidates.as_ref()) {
            self.candidate(candidate, out)?;
        }
        let blocked = chunk.prompt_feedback.and_then(|feedback| feedback.block_reason);
        if let Some(reason) = blocked.filter(|_| self.choices.is_empty()) {
            // Nothing was answered, by a filter's decision.
            self.choices.push(Progress { finished: true, ..Progress::default() });
            let (reason, native) = (FinishReason::ContentFilter, bounded(&reason.0, 64));
            out.push(Event::Finish { choice: 0, reason, native, stop: None });
        }
        if let Some(counters) = chunk.usage_metadata {
            self.counters.merge(counters);
            let mut usage = self.counters.usage();
            usage.images = self.images;
            out.push(Event::Usage(usage));
        }
        Ok(())
    }

    fn start(&mut self, chunk: &Chunk<'_>, out: &mut Vec<Event>) {
        let some = |text: &Option<Text<'_>>| {
            let text = text.as_ref().map(|text| bounded(&text.0, ID_MAX));
            text.filter(|text| !text.is_empty())
        };
        let (id, model) = (some(&chunk.response_id), some(&chunk.model_version));
        if id.is_none() && model.is_none() && chunk.candidates.is_none() {
            return;
        }
        self.started = true;
        let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        self.stem = id.iter().flat_map(|id| id.chars()).filter(fits).take(24).collect();
        out.push(Event::Start { id, model });
    }

    fn candidate(&mut self, candidate: &Candidate<'_>, out: &mut Vec<Event>) -> Outcome {
        let choice = candidate.index;
        let at = usize::try_from(choice).ok().filter(|&at| at < CHOICES_MAX);
        let at = at.ok_or(AnswerFault::Garbled("a candidate has an index out of range"))?;
        if at >= self.choices.len() {
            self.choices.resize_with(at + 1, Progress::default);
        }
        let tokens = candidate.logprobs_result.map(logprobs::of_gemini).unwrap_or_default();
        if !tokens.is_empty() && !self.choices[at].finished {
            out.push(Event::Logprobs { choice, refusal: false, tokens });
        }
        let parts = candidate.content.as_ref().and_then(|content| content.parts.as_ref());
        for part in List::items(parts) {
            self.part(choice, at, part, out)?;
        }
        let progress = &mut self.choices[at];
        if progress.finished {
            return Ok(());
        }
        let positions = Positions { ascii: !progress.wide };
        if let Some(raw) = candidate.grounding_metadata {
            progress.sources.ground(raw, positions);
        }
        if let Some(raw) = candidate.citation_metadata {
            progress.sources.recite(raw, positions);
        }
        match &candidate.finish_reason {
            Some(native) if !native.0.is_empty() => self.finish(choice, at, &native.0, out),
            _ => Ok(()),
        }
    }

    fn part(&mut self, choice: u32, at: usize, part: &Part<'_>, out: &mut Vec<Event>) -> Outcome {
        let before = out.len();
        let signature = part.thought_signature.as_ref().map(|text| text.0.as_ref());
        let signature = signature.filter(|text| !text.is_empty());
        if let Some(call) = &part.function_call {
            self.call(choice, at, call, signature, out)?;
        } else {
            self.say(choice, at, part, out);
            if let Some(data) = signature {
                let data = data.to_owned();
                out.push(Event::ReasoningEncrypted { choice, id: None, data });
            }
        }
        if self.choices[at].finished && out.len() > before {
            let only_signed = matches!(out[before..], [Event::ReasoningEncrypted { .. }]);
            out.truncate(before);
            // A signature is of use only to the next request; anything else is the answer's.
            return if only_signed {
                Ok(())
            } else {
                Err(AnswerFault::Garbled("a candidate goes on after its end"))
            };
        }
        self.spoke |= out[before..].iter().any(|event| {
            let thought =
                matches!(event, Event::Reasoning { .. } | Event::ReasoningEncrypted { .. });
            !(self.whole && thought)
        });
        Ok(())
    }

    /// Text, a thought, a picture, or what Google's own tool for code did, as fenced text. Sound
    /// and what is yet to be invented is passed over.
    fn say(&mut self, choice: u32, at: usize, part: &Part<'_>, out: &mut Vec<Event>) {
        let thought = part.thought == Some(true);
        if let Some(text) = part.text.as_ref().filter(|text| !text.0.is_empty()) {
            let text = text.0.clone().into_owned();
            if thought {
                out.push(Event::Reasoning { choice, text });
            } else {
                self.text(choice, at, text, out);
            }
            return;
        }
        if thought {
            // Drafts of a picture.
            return;
        }
        if let Some(blob) =
            part.inline_data.as_ref().filter(|b| b.mime_type.0.starts_with("image/"))
        {
            self.images += 1;
            let url = format!("data:{};base64,{}", blob.mime_type.0, blob.data.0);
            out.push(Event::Image { choice, url });
        } else if let Some(file) =
            part.file_data.as_ref().filter(|f| f.mime_type.0.starts_with("image/"))
        {
            self.images += 1;
            out.push(Event::Image { choice, url: file.file_uri.0.clone().into_owned() });
        } else if let Some(code) = &part.executable_code {
            let language = code.language.0.to_ascii_lowercase();
            let text = format!("\n```{language}\n{}\n```\n", code.code.0.trim_end());
            self.text(choice, at, text, out);
        } else if let Some(result) = &part.code_execution_result {
            let text = format!("\n```\n{}\n```\n", result.output.0.trim_end());
            self.text(choice, at, text, out);
        }
    }

    fn text(&mut self, choice: u32, at: usize, text: String, out: &mut Vec<Event>) {
        self.choices[at].wide |= !text.is_ascii();
        out.push(Event::Text { choice, text });
    }

    fn call(
        &mut self,
        choice: u32,
        at: usize,
        call: &Call<'_>,
        signature: Option<&str>,
        out: &mut Vec<Event>,
    ) -> Outcome {
        if call.partial_args.is_some() || call.will_continue == Some(true) {
            return Err(AnswerFault::Garbled("arguments are streamed though not asked for"));
        }
        let name = call.name.as_ref().map(|name| name.0.as_ref()).unwrap_or_default();
        if name.is_empty() {
            return Err(AnswerFault::Garbled("a functionCall without a name"));
        }
        let json = match call.args.map(RawValue::get) {
            None | Some("null") => "{}".to_owned(),
            Some(args) if args.starts_with('{') => compact(args),
            Some(_) => {
                return Err(AnswerFault::Garbled("the args of a functionCall are no object"));
            }
        };
        let calls = &mut self.choices[at].calls;
        if calls.len() >= CALLS_MAX {
            return Err(AnswerFault::TooLarge);
        }
        let index = u32::try_from(calls.len()).unwrap_or(u32::MAX);
        let given = call.id.as_ref().map(|id| id.0.as_ref());
        let given = given.filter(|id| (1..=ID_MAX).contains(&id.len()));
        let id = match given.filter(|id| !calls.iter().any(|known| known == id)) {
            Some(id) => id.to_owned(),
            None if self.stem.is_empty() => {
                format!("call_{:016x}_{choice}_{index}", digest(&[name, &json]))
            }
            None => format!("call_{}_{choice}_{index}", self.stem),
        };
        calls.push(id.clone());
        if let Some(data) = signature {
            let (id, data) = (Some(id.clone()), data.to_owned());
            out.push(Event::ReasoningEncrypted { choice, id, data });
        }
        out.push(Event::ToolStart { choice, index, id, name: name.to_owned() });
        out.push(Event::ToolArguments { choice, index, json });
        Ok(())
    }

    fn finish(&mut self, choice: u32, at: usize, native: &str, out: &mut Vec<Event>) -> Outcome {
        let progress = &mut self.choices[at];
        let called = !progress.calls.is_empty();
        let reason = reason(native, called);
        if reason == FinishReason::Error && !self.spoke {
            // Nothing was said yet, so another try may do better.
            let message = format!("the model's answer ended with {}", bounded(native, 64));
            return Err(AnswerFault::InBand { code: Some(bounded(native, 64)), message });
        }
        progress.finished = true;
        for citation in progress.sources.take() {
            out.push(Event::Citation { choice, citation });
        }
        self.spoke = true;
        out.push(Event::Finish { choice, reason, native: bounded(native, 64), stop: None });
        Ok(())
    }
}

impl crate::dialect::Reader for Reader {
    fn read(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        let data = frame.data.trim();
        // Some proxies end every stream as OpenAI does.
        if data.is_empty() || data == "[DONE]" {
            return Ok(());
        }
        match self.document(data, out) {
            // A frame is whole, so what is cut short within it is no JSON.
            Err(AnswerFault::Truncated) => Err(AnswerFault::Garbled("a chunk is cut short")),
            other => other,
        }
    }
}

fn fault(error: &serde_json::Error) -> AnswerFault {
    if error.is_eof() {
        AnswerFault::Truncated
    } else {
        AnswerFault::Garbled("not an answer of Gemini's")
    }
}

/// What a reason to end means (SDK `google-genai` 3.6.1; as OpenRouter tells them, where the call
/// or the answer was malformed, the reason is `error`).
fn reason(native: &str, called: bool) -> FinishReason {
    match native {
        "MAX_TOKENS" | "CONTINUATION" => FinishReason::Length,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "NO_IMAGE"
        | "MODEL_ARMOR"
        | "ESCALATION" => FinishReason::ContentFilter,
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MALFORMED_RESPONSE"
        | "MISSING_THOUGHT_SIGNATURE"
        | "LANGUAGE"
        | "OTHER"
        | "IMAGE_OTHER"
        | "PUP_LIMITED_DISABLED" => FinishReason::Error,
        // STOP, and reasons yet to be invented.
        _ if called => FinishReason::ToolCalls,
        _ => FinishReason::Stop,
    }
}

/// FNV-1a over texts: stable, so that the same answer gives the same ids.
fn digest(texts: &[&str]) -> u64 {
    let bytes = texts.iter().flat_map(|text| text.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
