//! Wire formats, without I/O: bytes in, bytes and events out.
//!
//! A client speaks a [`Surface`], a provider a [`Dialect`]. Between the two stands the hub [`ir`]:
//! a surface is read into it, a dialect is written from it, and the answer travels back as
//! [`ir::Event`]s that the surface's [`sink`] writes. Where both sides speak the same format the
//! hub is not entered: the request is spliced and the answer's bytes pass.

pub mod abilities;
pub mod anthropic;
pub mod bedrock;
mod bill;
pub mod chat;
pub mod cohere;
pub mod completions;
#[cfg(test)]
mod conversation_tests;
pub mod embed;
pub mod frames;
pub mod gemini;
#[cfg(test)]
mod identity_tests;
pub(crate) mod ids;
pub mod ir;
pub(crate) mod json;
pub(crate) mod logprobs;
pub(crate) mod media;
pub mod messages;
pub mod mistral;
pub mod ollama;
pub mod openai;
pub mod options;
mod places;
pub mod preset;
mod remote;
pub mod rerank;
pub mod responses;
pub mod resume;
pub mod scan;
pub mod sink;
pub mod sse;
mod table;
pub mod tokens;
pub(crate) mod tree;
#[cfg(test)]
mod vectors;

use bytes::Bytes;

use self::ir::Event;
use self::sse::Frame;
use crate::error::GatewayError;

pub use self::bill::Bill;
pub use self::sink::{AnswerShape, StreamSink, WholeSink};
pub use self::table::{Dialect, Surface};

/// Why a provider's answer is not a good answer. None of these ends a stream as success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerFault {
    /// The provider reported an error inside a `200` answer.
    InBand {
        /// Its own code or type, if it gave one.
        code: Option<String>,
        /// Its message, bounded to [`crate::error::ProviderSaid::RAW_MAX`] bytes.
        message: String,
    },
    /// The answer ended without its dialect's terminal event, or JSON was cut short.
    Truncated,
    /// The answer is complete but has no content, no tool call and no finish reason.
    Empty,
    /// The bytes are not what the dialect allows.
    Garbled(&'static str),
    /// The answer is larger than the limit for a whole answer or for one event.
    TooLarge,
    /// It was to go on with what the client has of another provider's answer, and does not.
    Diverged,
    /// A plugin without which the request may not go on has failed.
    Plugin,
}

impl std::fmt::Display for AnswerFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InBand { code, .. } => {
                write!(f, "error inside the answer ({})", code.as_deref().unwrap_or("no code"))
            }
            Self::Truncated => f.write_str("the answer ended early"),
            Self::Empty => f.write_str("the answer is empty"),
            Self::Garbled(what) => write!(f, "the answer is garbled: {what}"),
            Self::TooLarge => f.write_str("the answer is too large"),
            Self::Diverged => f.write_str("the answer does not go on with its beginning"),
            Self::Plugin => f.write_str("a plugin failed"),
        }
    }
}

/// The text of a whole answer.
///
/// # Errors
/// It is not UTF-8, or there is none.
pub(crate) fn answer_text(body: &[u8]) -> Result<&str, AnswerFault> {
    let text = simdutf8::basic::from_utf8(body)
        .map_err(|_| AnswerFault::Garbled("the answer is not UTF-8"))?;
    if text.trim().is_empty() { Err(AnswerFault::Empty) } else { Ok(text) }
}

/// What a request is turned into for one attempt.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// What the provider calls the model.
    pub upstream_model: &'a str,
    /// The endpoint's longest completion, in tokens.
    pub max_output: u32,
    /// The limit on completion tokens that the caller's credit allows, if it is lower than what
    /// was asked for.
    pub credit_limit: Option<u32>,
    /// How the host departs from its dialect.
    pub host: &'static openai::Host,
    /// How a prompt is rendered for a host of raw completions.
    pub template: Option<&'a completions::Template>,
    /// The time, in seconds since 1970, for templates that print the date.
    pub now: u64,
}

impl<'a> Target<'a> {
    /// A target at a host that follows its dialect.
    pub const fn new(upstream_model: &'a str, max_output: u32) -> Self {
        let host = &openai::Host::GENERIC;
        Self { upstream_model, max_output, credit_limit: None, host, template: None, now: 0 }
    }
}

/// Turns a provider's streamed events into ours. What must be remembered between events lives in
/// `self`.
///
/// Any cut of the bytes gives the same events, memory is bounded, and hostile input gives an
/// error, never a panic.
pub trait Reader: Send + Sync {
    /// Reads one frame.
    ///
    /// # Errors
    /// The frame reports an error or is not what the dialect allows.
    fn read(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) -> Result<(), AnswerFault>;
}

/// What a provider's error answer means, whatever its dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderFault {
    /// The class of the error, from status, code and text.
    pub class: FaultClass,
    /// The provider's own code or type.
    pub code: Option<String>,
    /// The provider's own message, bounded to [`crate::error::ProviderSaid::RAW_MAX`] bytes.
    pub message: String,
}

/// Classes of provider errors that are treated differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultClass {
    /// The prompt (or prompt and completion together) does not fit the model.
    ContextLength,
    /// The provider's content policy refuses the prompt.
    ContentPolicy,
    /// The request is wrong in another way.
    InvalidRequest,
    /// The provider does not accept our credential (401).
    Authentication,
    /// Our account at the provider has no credit (402, or billing states in other statuses).
    Billing,
    /// Our credential may not do this (403).
    Permission,
    /// The provider does not know the model or path (404).
    NotFound,
    /// The provider timed out waiting for us or for itself (408).
    Timeout,
    /// A conflict that another try may resolve (409).
    Conflict,
    /// Too many requests or tokens (429).
    RateLimited,
    /// The provider is overloaded (503, 529).
    Overloaded,
    /// Any other failure of the provider (5xx).
    Server,
}

impl FaultClass {
    /// What a status says where the body says nothing.
    pub const fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Authentication,
            402 => Self::Billing,
            403 => Self::Permission,
            404 => Self::NotFound,
            408 | 504 => Self::Timeout,
            409 | 425 => Self::Conflict,
            429 => Self::RateLimited,
            503 | 529 => Self::Overloaded,
            400..=499 => Self::InvalidRequest,
            _ => Self::Server,
        }
    }
}

/// A request as it came, and what is known of it.
pub struct Ask<'a> {
    /// The client's format.
    pub surface: Surface,
    /// The body.
    pub body: &'a [u8],
    /// What the scan found in it.
    pub head: &'a scan::Head,
    /// Its tree, kept between attempts; where the provider speaks the client's own format none is
    /// made.
    pub parsed: &'a mut Option<Box<ir::Request>>,
}

impl Ask<'_> {
    /// The tree of the request.
    ///
    /// # Errors
    /// The request is wrong.
    pub fn tree(&mut self) -> Result<&ir::Request, GatewayError> {
        match self.parsed {
            Some(request) => Ok(request),
            None => Ok(self.parsed.insert(Box::new(self.surface.read_request(self.body)?))),
        }
    }
}

/// Writes a request in a provider's dialect.
///
/// # Errors
/// The request is wrong, or holds something that the dialect cannot express; `param` is the
/// client's own word for it.
pub fn upstream_request(
    dialect: Dialect,
    ask: &mut Ask<'_>,
    target: &Target<'_>,
) -> Result<Bytes, GatewayError> {
    let passes = passes(ask.surface, dialect, ask.head, target.host);
    let diverts = ask.surface == Surface::Chat && ask.head.notes.meets(target.host.diverts());
    if passes && !diverts {
        return openai::request(ask.body, ask.head, target);
    }
    let surface = ask.surface;
    let written = dialect.write_request(ask.tree()?, target);
    written.map_err(|error| places::named_for(surface, error))
}

/// Whether client and provider speak the same format, so that the answer's bytes come back as they
/// are; and so do the request's, with a few members changed, if the host takes all of them.
///
/// Reasoning that is to stay hidden is taken out by the gateway where the host does not know how,
/// so such an answer is read and written anew.
pub fn passes(surface: Surface, dialect: Dialect, head: &scan::Head, host: &openai::Host) -> bool {
    match (surface, dialect) {
        (Surface::Chat, Dialect::OpenAi | Dialect::Azure) => !head.notes.meets(host.hides()),
        (Surface::Messages, Dialect::Anthropic)
        | (Surface::Responses, Dialect::Responses)
        | (Surface::Completions, Dialect::Completions) => true,
        _ => false,
    }
}

/// What a provider's error answer means.
pub fn provider_fault(dialect: Dialect, status: u16, body: &[u8]) -> ProviderFault {
    dialect.provider_fault(status, body)
}
