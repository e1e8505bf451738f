//! Reranking: `POST /v1/rerank` in OpenRouter's form, which is Cohere's and Jina's, and what the
//! providers' dialects make of it.
//!
//! As with [`super::embed`] there is no stream: [`read_request`] reads the client's body, [`write()`]
//! writes the provider's, [`read_answer`] reads the results and what they cost, and once the caller
//! has put a price to that, [`write_answer`] writes the client's answer. Documents in it are the
//! client's own; those of the provider are not looked at.
//!
//! Cohere is asked at `/rerank`, text only. So is every host of OpenAI's form (Jina, Together,
//! vLLM, DeepInfra, Novita, Voyage), which may take images. The other dialects refuse.
//!
//! Cohere bills searches: a query with up to 100 documents is one. They are counted as
//! [`crate::vocab::Usage::searches`], so that a price per search applies to them; the others count
//! tokens, which are [`crate::vocab::Usage::prompt`].
//!
//! A host that does not know `top_n` gives more results than were asked for: the rest is cut.
//! `return_documents: false` leaves the documents out of the answer and goes to no provider.
//! Unknown members go to hosts of OpenAI's form, to Cohere only `max_tokens_per_doc`.
//!
//! Facts about the wires are of 2026-11 (SDK `cohere` 7.3.1, Jina's, Together's, vLLM's and
//! Novita's references, OpenRouter's reference).

mod answer;
mod request;
mod write;

use std::borrow::Cow;
use std::fmt;

use super::Dialect;
use super::ir::RawJson;
use super::scan::TextStats;
use crate::vocab::Usage;

pub use self::answer::{Answer, Hit, read_answer, write_answer};
pub use self::request::read_request;
pub use self::write::write;

#[cfg(test)]
mod tests;

/// A request to put documents in order.
#[derive(Clone, PartialEq)]
pub struct Request {
    /// The model as the client names it, with variants.
    pub model: Option<String>,
    /// What the documents are held against; not empty.
    pub query: String,
    /// The documents, 1 to [`Request::DOCUMENTS_MAX`].
    pub documents: Vec<Document>,
    /// How many results are wanted, at least 1; absent: all.
    pub top_n: Option<u32>,
    /// Leave the documents out of the answer (`return_documents: false`).
    pub hide_documents: bool,
    /// Members that are not read here, in the client's order, `provider` and `models` among them;
    /// a name never comes twice.
    pub rest: Vec<(String, RawJson)>,
}

/// A document: a text, an image, or both.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// The text.
    pub text: Option<String>,
    /// `http:`, `https:` or `data:` URL.
    pub image: Option<String>,
}

impl Request {
    /// The most documents. Cohere advises against more than 1000 and refuses more than 10000
    /// (2026-11).
    pub const DOCUMENTS_MAX: usize = 10_000;

    /// About what the request consumes: what a hold must cover, and what stands in where the
    /// provider does not say. Every document is read with the query; Cohere counts a document anew
    /// for every 500 tokens of the two, and 100 of them as a search (2026-11).
    pub fn estimate(&self, dialect: Dialect) -> Usage {
        let tokens = |text: &str| {
            let mut stats = TextStats::default();
            stats.add_plain(text);
            stats.estimate_prompt_tokens()
        };
        let query = tokens(&self.query);
        let (mut prompt, mut chunks) = (0_u64, 0_u64);
        for document in &self.documents {
            let text = document.text.as_deref().map_or(0, tokens);
            let image = if document.image.is_some() { PER_IMAGE } else { 0 };
            prompt = prompt.saturating_add(query + text + image);
            chunks =
                chunks.saturating_add(text.div_ceil(CHUNK.saturating_sub(query).max(1)).max(1));
        }
        if dialect == Dialect::Cohere {
            let searches = chunks.div_ceil(100);
            return Usage { searches, estimated: true, ..Usage::default() };
        }
        Usage { prompt, estimated: true, ..Usage::default() }
    }
}

/// The tokens of query and document that Cohere counts as one document.
const CHUNK: u64 = 500;
/// What an image is taken to cost, in tokens, as in a prompt.
const PER_IMAGE: u64 = 1_000;

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("model", &self.model)
            .field("documents", &self.documents.len())
            .finish_non_exhaustive()
    }
}

/// What follows the provider's base URL; none if the dialect does not rerank.
pub const fn path(dialect: Dialect, _upstream_model: &str) -> Option<Cow<'static, str>> {
    match dialect {
        Dialect::Cohere | Dialect::OpenAi => Some(Cow::Borrowed("/rerank")),
        Dialect::Responses
        | Dialect::Azure
        | Dialect::Anthropic
        | Dialect::Gemini
        | Dialect::Vertex
        | Dialect::VertexAnthropic
        | Dialect::Bedrock
        | Dialect::Mistral
        | Dialect::Ollama
        | Dialect::Completions => None,
    }
}
