//! OpenAI Responses: as a client surface, and as a provider dialect.
//!
//! The surface `POST /v1/responses` is OpenRouter's: OpenAI's without state. In: [`read_request`]
//! makes a body the hub's request. Out: events become the events of a stream ([`StreamWriter`]) or
//! one response ([`WholeWriter`]); both repeat members of the request ([`echo`]). What other
//! providers' reasoning needs for its replay rides in `signature` and `format` of reasoning items.
//!
//! The dialect: [`write()`] writes the hub's request, [`Reader`] and [`read_whole`] the answer. Its
//! errors are those of OpenAI's other API (`openai::provider_fault`).
//!
//! Facts about the wire are of 2026-11 (SDK `openai` 3.57 and 2.54, OpenAI's API reference,
//! OpenRouter's documentation).

mod echo;
mod input;
mod items;
mod object;
mod output;
mod reader;
mod request;
mod sinks;
mod tools;
mod wire;
mod write;

pub use echo::echo;
pub use reader::{Reader, read_whole};
pub use request::read_request;
pub use sinks::{StreamWriter, WholeWriter};
pub use write::write;

#[cfg(test)]
mod reader_tests;
#[cfg(test)]
mod request_tests;
#[cfg(test)]
mod sinks_tests;
#[cfg(test)]
mod write_tests;
