//! What OpenAI-like hosts send, read tolerantly.
//!
//! Where hosts differ in type a member is kept as raw JSON and interpreted later, so that an odd
//! value costs that value and not the whole answer.

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::dialect::AnswerFault;
use crate::dialect::ir::FinishReason;
use crate::dialect::sse::Frame;
use crate::vocab::Usage;

/// The longest id or model name of a provider that is kept, in bytes.
const NAME_MAX: usize = 256;

/// What a frame of a stream in OpenAI's form is.
pub(crate) enum Sent<'a> {
    /// A comment or a keep-alive.
    Nothing,
    /// The end of the stream.
    Done,
    /// JSON.
    Chunk(&'a str),
}

/// Tells what a frame is.
///
/// # Errors
/// It reports an error by its name.
pub(crate) fn sent<'a>(frame: &Frame<'a>) -> Result<Sent<'a>, AnswerFault> {
    match frame.data.trim() {
        "" => Ok(Sent::Nothing),
        "[DONE]" => Ok(Sent::Done),
        data if frame.event == "error" => Err(super::fault::in_band(data)),
        data => Ok(Sent::Chunk(data)),
    }
}

/// A chunk of a stream, or a whole answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Chunk<'a> {
    #[serde(borrow, default)]
    pub(crate) id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) model: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow, default)]
    pub(crate) usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) x_groq: Option<&'a RawValue>,
    /// Perplexity and xAI: addresses.
    #[serde(borrow, default)]
    pub(crate) citations: Option<&'a RawValue>,
    /// Perplexity: addresses with titles.
    #[serde(borrow, default)]
    pub(crate) search_results: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) error: Option<&'a RawValue>,
    /// MiniMax: how it went, in an answer with status 200.
    #[serde(borrow, default)]
    pub(crate) base_resp: Option<&'a RawValue>,
}

/// One choice of a [`Chunk`].
#[derive(Debug, Deserialize)]
pub(crate) struct Choice<'a> {
    #[serde(default)]
    pub(crate) index: Count,
    #[serde(borrow, default)]
    pub(crate) delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) finish_reason: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) logprobs: Option<&'a RawValue>,
    /// vLLM: the stop sequence that was hit, or a token's number.
    #[serde(borrow, default)]
    pub(crate) stop_reason: Option<&'a RawValue>,
    /// The same at SGLang.
    #[serde(borrow, default)]
    pub(crate) matched_stop: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) usage: Option<&'a RawValue>,
}

/// A delta or message.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Part<'a> {
    #[serde(borrow, default)]
    pub(crate) content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) reasoning: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) reasoning_content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) reasoning_details: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) refusal: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) tool_calls: Option<Vec<Call<'a>>>,
    /// The form before tools.
    #[serde(borrow, default)]
    pub(crate) function_call: Option<Function<'a>>,
    #[serde(borrow, default)]
    pub(crate) audio: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) images: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) annotations: Option<&'a RawValue>,
}

/// A tool call or a piece of one.
#[derive(Debug, Deserialize)]
pub(crate) struct Call<'a> {
    #[serde(borrow, default)]
    pub(crate) index: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) function: Option<Function<'a>>,
}

/// The function of a [`Call`].
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Function<'a> {
    #[serde(borrow, default)]
    pub(crate) name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) arguments: Option<&'a RawValue>,
}

/// A part of a message's content that is a list (Mistral), or of `reasoning_details`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Piece {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) text: Option<String>,
    pub(crate) summary: Option<String>,
    pub(crate) thinking: Vec<Self>,
    pub(crate) signature: Option<String>,
    pub(crate) data: Option<String>,
    pub(crate) id: Option<String>,
}

impl<'a> Chunk<'a> {
    /// Reads the JSON of a chunk or of a whole answer.
    pub(crate) fn parse(data: &'a str) -> Result<Self, AnswerFault> {
        let garbled = AnswerFault::Garbled("the JSON is not that of a chat completion");
        // Serde would take a list for an object.
        if !data.trim_start().starts_with('{') {
            return Err(garbled);
        }
        serde_json::from_str(data).map_err(|e| match e.classify() {
            serde_json::error::Category::Eof => AnswerFault::Truncated,
            _ => garbled,
        })
    }
}

/// The text of a JSON string; `None` for other values and for the empty string.
pub(crate) fn text(raw: Option<&RawValue>) -> Option<String> {
    let raw = raw?.get();
    if !raw.starts_with('"') || raw == "\"\"" {
        return None;
    }
    serde_json::from_str(raw).ok()
}

/// An id or name, if it is not too long to keep.
pub(crate) fn name(raw: Option<&RawValue>) -> Option<String> {
    text(raw).filter(|t| t.len() <= NAME_MAX)
}

/// The list of pieces in a value that may be one.
pub(crate) fn pieces(raw: Option<&RawValue>) -> Vec<Piece> {
    let list = raw.map(RawValue::get).filter(|raw| raw.starts_with('['));
    list.and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default()
}

/// Whether a value says anything: not null, not empty.
pub(crate) fn says_something(raw: Option<&RawValue>) -> bool {
    raw.is_some_and(|raw| !matches!(raw.get(), "null" | "\"\"" | "{}" | "[]" | "false" | "0"))
}

/// A host's own word for why it ended; `None` while it has not.
pub(crate) fn native_finish(raw: Option<&RawValue>) -> Option<String> {
    name(raw).filter(|word| !word.trim().is_empty())
}

/// The stop sequence that ended a choice, if the host says. Some proxies have a finish reason of
/// another API in the same place.
pub(crate) fn stop_sequence(choice: &Choice<'_>) -> Option<String> {
    const WORDS: [&str; 6] = ["stop", "end_turn", "eos", "eos_token", "stop_sequence", "length"];
    let said = name(choice.stop_reason).or_else(|| name(choice.matched_stop));
    let ended = choice.finish_reason.map(RawValue::get) == Some("\"stop\"");
    said.filter(|stop| ended && !WORDS.contains(&stop.as_str()))
}

/// A finish reason in OpenAI's words. `None`: the host failed.
///
/// Sources: OpenAI, Mistral (`model_length`), DeepSeek (`insufficient_system_resource`), Together
/// (`eos`), Z.ai (`sensitive`, `network_error`), vLLM (`abort`), Gemini in OpenAI's form
/// (`content_filter: …`), read 2026-11; unknown words count as `stop`.
pub(crate) fn finish_reason(native: &str) -> Option<FinishReason> {
    Some(match native {
        "length"
        | "max_tokens"
        | "model_length"
        | "model_context_window_exceeded"
        | "MAX_TOKENS" => FinishReason::Length,
        "tool_calls" | "function_call" | "tool_use" | "TOOL_CALL" => FinishReason::ToolCalls,
        "safety" | "SAFETY" | "refusal" | "sensitive" => FinishReason::ContentFilter,
        _ if native.starts_with("content_filter") => FinishReason::ContentFilter,
        "error" | "ERROR" | "insufficient_system_resource" | "network_error" | "abort" => {
            return None;
        }
        _ => FinishReason::Stop,
    })
}

/// A count of tokens: whatever a host sends there, capped so that sums of prices cannot overflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) u64);

impl Count {
    /// No answer has more tokens.
    const MAX: u64 = 1 << 32;
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Count;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("anything")
            }
            fn visit_u64<E: Error>(self, n: u64) -> Result<Count, E> {
                Ok(Count(n.min(Count::MAX)))
            }
            fn visit_i64<E: Error>(self, n: i64) -> Result<Count, E> {
                Ok(Count(u64::try_from(n).unwrap_or(0).min(Count::MAX)))
            }
            fn visit_f64<E: Error>(self, n: f64) -> Result<Count, E> {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "the cast saturates, and NaN gives 0"
                )]
                Ok(Count((n as u64).min(Count::MAX)))
            }
            fn visit_bool<E: Error>(self, _: bool) -> Result<Count, E> {
                Ok(Count(0))
            }
            fn visit_str<E: Error>(self, _: &str) -> Result<Count, E> {
                Ok(Count(0))
            }
            fn visit_unit<E: Error>(self) -> Result<Count, E> {
                Ok(Count(0))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Count(0))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Count(0))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireUsage {
    prompt_tokens: Count,
    completion_tokens: Count,
    total_tokens: Count,
    prompt_tokens_details: Option<Details>,
    completion_tokens_details: Option<Details>,
    /// DeepSeek.
    prompt_cache_hit_tokens: Count,
    /// Mistral.
    num_cached_tokens: Count,
    /// Moonshot.
    cached_tokens: Count,
    /// Perplexity.
    num_search_queries: Count,
    server_tool_use_details: Option<ServerTools>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Count,
    cache_write_tokens: Count,
    audio_tokens: Count,
    reasoning_tokens: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ServerTools {
    web_search_requests: Count,
}

/// The usage that a host reports; `None` if there is none or it cannot be read.
///
/// Details that exceed their whole are cut to it. xAI leaves reasoning out of
/// `completion_tokens` (the total tells, and `beside` where it is missing), the others do not
/// (2026-11).
pub(crate) fn usage(raw: Option<&RawValue>, beside: bool) -> Option<Usage> {
    usage_of(raw?.get(), beside)
}

/// The usage that is written in this JSON.
pub(crate) fn usage_of(raw: &str, beside: bool) -> Option<Usage> {
    if !raw.starts_with('{') || raw == "{}" {
        return None;
    }
    let wire: WireUsage = serde_json::from_str(raw).ok()?;
    let input = wire.prompt_tokens_details.unwrap_or_default();
    let output = wire.completion_tokens_details.unwrap_or_default();
    let prompt = wire.prompt_tokens.0;
    let reasoning = output.reasoning_tokens.0;
    let mut completion = wire.completion_tokens.0;
    let total = wire.total_tokens.0;
    if total == prompt + completion + reasoning || (beside && total == 0) {
        completion += reasoning;
    }
    let cached = [
        input.cached_tokens,
        wire.prompt_cache_hit_tokens,
        wire.num_cached_tokens,
        wire.cached_tokens,
    ];
    let cache_read = cached.map(|c| c.0).into_iter().max().unwrap_or(0).min(prompt);
    Some(Usage {
        prompt,
        cache_read,
        cache_write_5m: input.cache_write_tokens.0.min(prompt - cache_read),
        audio_prompt: input.audio_tokens.0.min(prompt),
        completion,
        reasoning: reasoning.min(completion),
        audio_completion: output.audio_tokens.0.min(completion),
        searches: wire
            .server_tool_use_details
            .map_or(0, |s| s.web_search_requests.0)
            .max(wire.num_search_queries.0),
        ..Usage::default()
    })
}

/// The usage of a chunk, wherever the host put it: on top, in the last choice (Moonshot), or in
/// `x_groq`.
pub(crate) fn chunk_usage(chunk: &Chunk<'_>) -> Option<Usage> {
    chunk_usage_at(chunk, false)
}

/// The same at a host that may leave reasoning `beside` the completion.
pub(crate) fn chunk_usage_at(chunk: &Chunk<'_>, beside: bool) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Groq<'a> {
        #[serde(borrow, default)]
        usage: Option<&'a RawValue>,
    }
    let choices = chunk.choices.as_deref().unwrap_or_default();
    usage(chunk.usage, beside)
        .or_else(|| choices.iter().rev().find_map(|c| usage(c.usage, beside)))
        .or_else(|| {
            usage(serde_json::from_str::<Groq<'_>>(chunk.x_groq?.get()).ok()?.usage, beside)
        })
}
