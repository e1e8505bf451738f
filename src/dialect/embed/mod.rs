//! Embeddings: `POST /v1/embeddings` in OpenRouter's superset of OpenAI's form, and what the
//! providers' dialects make of it.
//!
//! There is no stream and there are no events here: [`read_request`] reads the client's body,
//! [`write()`] writes the provider's, [`read_answer`] reads the vectors and what they cost, and once
//! the caller has put a price to that, [`write_answer`] writes the client's answer.
//!
//! | dialect | path | what it takes |
//! |---|---|---|
//! | OpenAI, Azure | `/embeddings` | texts and tokens |
//! | Mistral | `/embeddings` | texts |
//! | Gemini | `:batchEmbedContents` | texts, images, sound, video, PDF; at most 100 |
//! | Vertex | `:predict` | texts; at most 250 (`gemini-embedding-001`: one) |
//! | Cohere | `/embed` | texts and images; at most 96 |
//! | Ollama | `/api/embed` | texts |
//!
//! The others refuse. Every provider is asked for floats, save those of OpenAI's form, which get
//! the client's `encoding_format`; whatever comes is turned into what the client asked for. A
//! float that passes keeps its digits.
//!
//! `input_type` is understood in Cohere's, Google's, Voyage's and NVIDIA's words. It goes on to
//! hosts of OpenAI's form as it is; Azure, Mistral and Ollama have no word for it and it is left
//! out there, as is `user` for all but OpenAI's form. Unknown members go to hosts of OpenAI's form
//! only. Cohere demands an `input_type`; without one it is `search_document`.
//!
//! Facts about the wires are of 2026-11 (SDKs `openai` 3.57.0, `cohere` 7.3.1, `google-genai`
//! 3.4.0, `mistralai` 3.7.0, Ollama's source at fb30760, OpenRouter's reference).

mod answer;
mod content;
mod request;
mod write;

use std::borrow::Cow;
use std::fmt;

use super::Dialect;
use super::ir::{Part, PartBody, RawJson};
use super::scan::TextStats;
use crate::vocab::Usage;

pub(in crate::dialect) use self::answer::wire_count;
pub use self::answer::{Answer, Vector, read_answer, write_answer};
pub use self::request::read_request;
pub use self::write::write;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(in crate::dialect) mod vectors;

/// A request for embeddings.
#[derive(Clone, PartialEq)]
pub struct Request {
    /// The model as the client names it, with variants.
    pub model: Option<String>,
    /// What is to be embedded.
    pub input: Input,
    /// How many dimensions the vectors are to have; at least 1.
    pub dimensions: Option<u32>,
    /// How the vectors are to be written; absent: as floats.
    pub encoding: Option<Encoding>,
    /// What the vectors are for, in the client's words.
    pub input_type: Option<String>,
    /// The client's end user.
    pub user: Option<String>,
    /// Members that are not read here, in the client's order, `provider` and `models` among them;
    /// a name never comes twice.
    pub rest: Vec<(String, RawJson)>,
}

/// What is to be embedded: one or more of a kind, at most [`Request::INPUTS_MAX`].
#[derive(Clone, PartialEq)]
pub enum Input {
    /// Texts, none empty.
    Texts(Vec<String>),
    /// Tokens of the model, none empty, at most [`Request::TOKENS_MAX`] in all.
    Tokens(Vec<Vec<u32>>),
    /// Texts, images and more, each embedded as one.
    Contents(Vec<Vec<Part>>),
}

/// How vectors are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As an array of numbers.
    #[default]
    Float,
    /// As base64 of the numbers, 32 bits each, the lowest byte first.
    Base64,
}

impl Request {
    /// The most inputs of one request (OpenAI, 2026-11).
    pub const INPUTS_MAX: usize = 2048;
    /// The most tokens of one request where they are given as such (OpenAI, 2026-11).
    pub const TOKENS_MAX: usize = 300_000;
    /// The most parts of one input.
    pub const PARTS_MAX: usize = 64;

    /// How many vectors are asked for.
    pub const fn count(&self) -> usize {
        match &self.input {
            Input::Texts(texts) => texts.len(),
            Input::Tokens(lists) => lists.len(),
            Input::Contents(contents) => contents.len(),
        }
    }

    /// About what the request consumes: what a hold must cover, and what stands in where the
    /// provider does not say. Tokens that are given as such are exact.
    pub fn estimate(&self) -> Usage {
        let mut stats = TextStats::default();
        let mut tokens = 0_usize;
        match &self.input {
            Input::Texts(texts) => texts.iter().for_each(|text| stats.add_plain(text)),
            Input::Tokens(lists) => tokens = lists.iter().map(Vec::len).sum(),
            Input::Contents(contents) => {
                for part in contents.iter().flatten() {
                    match &part.body {
                        PartBody::Text(text) | PartBody::Refusal(text) => stats.add_plain(text),
                        PartBody::Image { .. }
                        | PartBody::Audio { .. }
                        | PartBody::Video(_)
                        | PartBody::File { .. } => stats.media = stats.media.saturating_add(1),
                    }
                }
            }
        }
        let given = u64::try_from(tokens).unwrap_or(u64::MAX);
        let prompt = given.saturating_add(stats.estimate_prompt_tokens());
        Usage { prompt, estimated: true, ..Usage::default() }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("model", &self.model)
            .field("inputs", &self.count())
            .finish_non_exhaustive()
    }
}

/// What follows the provider's base URL; none if the dialect has no embeddings.
pub fn path(dialect: Dialect, upstream_model: &str) -> Option<Cow<'static, str>> {
    let owned = |path: String| Some(Cow::Owned(path));
    match dialect {
        Dialect::OpenAi | Dialect::Mistral => Some(Cow::Borrowed("/embeddings")),
        Dialect::Azure => owned(format!("/openai/deployments/{upstream_model}/embeddings")),
        Dialect::Gemini => owned(format!("/models/{upstream_model}:batchEmbedContents")),
        Dialect::Vertex => owned(format!("/publishers/google/models/{upstream_model}:predict")),
        Dialect::Cohere => Some(Cow::Borrowed("/embed")),
        Dialect::Ollama => Some(Cow::Borrowed("/api/embed")),
        Dialect::Responses
        | Dialect::Anthropic
        | Dialect::VertexAnthropic
        | Dialect::Bedrock
        | Dialect::Completions => None,
    }
}
