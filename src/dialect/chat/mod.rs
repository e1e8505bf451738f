//! The client surface `POST /v1/chat/completions`, in OpenRouter's superset of OpenAI's form.
//!
//! In: [`read_request`] checks a body and makes it the hub's request. Out: events become chunks
//! ([`StreamWriter`]) or one answer ([`WholeWriter`]), and errors the object that SDKs of OpenAI
//! and OpenRouter understand ([`error_body`], [`error_chunk`]).

mod answer;
mod fault;
pub(in crate::dialect) mod messages;
pub(in crate::dialect) mod request;
pub(in crate::dialect) mod tools;
mod whole;

pub use answer::StreamWriter;
pub(crate) use answer::metadata as write_metadata;
pub(crate) use answer::usage as write_usage;
pub(crate) use fault::{
    availability as write_availability, rate_limit as write_rate_limit, write_blocked,
};
pub use fault::{error_body, error_chunk};
pub use request::read_request;
pub use whole::WholeWriter;

#[cfg(test)]
mod answer_tests;
#[cfg(test)]
mod request_tests;
