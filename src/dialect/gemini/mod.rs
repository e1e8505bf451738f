//! The provider dialect Google Gemini: `generateContent` on the Gemini API and on Vertex AI.
//!
//! Out: [`request()`] writes the hub's request; [`path`] and [`vertex_path`] name the model, which
//! is not in the body. In: [`Reader`] turns the chunks of a stream, and [`read_whole`] a whole
//! answer, into the hub's events; [`provider_fault`] says what an error answer means. Facts about
//! the wire are of 2026-11 (SDK `google-genai` 3.6.1, ai.google.dev and docs.cloud.google.com, and
//! the issues of other gateways where those are silent).
//!
//! What Gemini has no word for and does not change what is asked is left out, as OpenRouter does:
//! `min_p`, `top_a`, `repetition_penalty`, `logit_bias`, `verbosity`, `parallel_tool_calls`,
//! `strict` of tools, names of schemas, marks for the cache (Gemini caches by itself), `detail` of
//! images, names of files, `user`, `metadata`, `service_tier` and unknown fields; and of answers
//! sound and safety ratings. What would change the question is refused; see
//! [`request()`].

mod cite;
mod contents;
mod fault;
mod parts;
mod path;
mod reader;
mod request;
mod signature;
mod thinking;
mod usage;
mod whole;
mod wire;

pub use fault::provider_fault;
pub use path::{path, vertex_path};
pub use reader::Reader;
pub use request::request;
pub use whole::read_whole;

#[cfg(test)]
mod request_tests;
#[cfg(test)]
mod tests;
