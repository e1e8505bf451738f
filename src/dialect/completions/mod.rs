//! Text completions: the legacy client surface `POST /v1/completions`, and hosts that serve a raw
//! model, for which the gateway renders the chat template.
//!
//! *Surface.* [`read_request`] takes one prompt and makes it a user's message, as OpenRouter does
//! for chat models; events become `text_completion` objects ([`StreamWriter`], [`WholeWriter`]).
//!
//! *Dialect.* [`request`] renders the conversation with the endpoint's [`Template`] and asks for its
//! continuation; [`Reader`] and [`read_whole`] find reasoning and calls in the text that comes
//! back, as the template says they are spelled. Hosts: vLLM, llama.cpp, TGI and others that speak
//! OpenAI's legacy form (their sources and docs, 2026-11).
//!
//! What the dialect loses: `verbosity`, `service_tier`, `user`, `metadata`, cache marks, log
//! probabilities, `top_a`, `parallel_tool_calls`, `strict` of tools and the mark of a failed tool
//! result are dropped; reasoning of earlier turns is repeated only where the template does.
//! Refused are media, a forced tool choice, tools for a template without them, and to go on with
//! an assistant turn where the prompt itself opens the reasoning.

mod answer;
mod conversation;
mod jinja;
mod pyjson;
mod reader;
mod request;
mod speech;
mod strftime;
mod surface;
mod template;
#[cfg(test)]
mod tests;

pub use self::answer::{StreamWriter, WholeWriter};
pub use self::reader::{Reader, read_whole};
pub use self::request::request;
pub use self::surface::read_request;
pub use self::template::{Calls, Settings, SystemRole, Template, Thinking, Variable};
