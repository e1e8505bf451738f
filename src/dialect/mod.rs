//! Wire formats, without I/O: bytes in, bytes and events out.
//!
//! A client speaks a *surface* ([`chat`]), a provider a *dialect* ([`Dialect`]). Between the two
//! stands the hub [`ir`]: a surface is read into it, a dialect is written from it, and the answer
//! travels back as [`ir::Event`]s. Where both sides speak the same format the hub is not entered:
//! the request is spliced ([`openai`]) and the answer's bytes pass.

pub mod anthropic;
pub mod chat;
pub mod ir;
pub(crate) mod json;
pub mod openai;
pub mod scan;
pub mod sse;

use std::fmt;

use bytes::Bytes;

use self::ir::Event;
use self::sse::Frame;
use crate::error::GatewayError;

/// A provider's wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI Chat Completions: `POST {base}/chat/completions`.
    OpenAi,
    /// Anthropic Messages: `POST {base}/messages`.
    Anthropic,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 2] = [Self::OpenAi, Self::Anthropic];

    /// The name as written in the config.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }

    /// The dialect of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.name() == name)
    }

    /// What follows the provider's base URL (which ends in the API version, `/v1`).
    pub const fn path(self) -> &'static str {
        match self {
            Self::OpenAi => "/chat/completions",
            Self::Anthropic => "/messages",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

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
}

impl fmt::Display for AnswerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InBand { code, .. } => {
                write!(f, "error inside the answer ({})", code.as_deref().unwrap_or("no code"))
            }
            Self::Truncated => f.write_str("the answer ended early"),
            Self::Empty => f.write_str("the answer is empty"),
            Self::Garbled(what) => write!(f, "the answer is garbled: {what}"),
            Self::TooLarge => f.write_str("the answer is too large"),
        }
    }
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

/// Writes a chat request in a provider's dialect.
///
/// `parsed` keeps the request's tree between attempts; where the provider speaks the client's own
/// format no tree is made.
///
/// # Errors
/// The request is wrong, or holds something that the dialect cannot express.
pub fn upstream_request(
    dialect: Dialect,
    body: &[u8],
    head: &scan::Head,
    parsed: &mut Option<Box<ir::Request>>,
    target: &Target<'_>,
) -> Result<Bytes, GatewayError> {
    match dialect {
        Dialect::OpenAi => openai::request(body, head, target),
        Dialect::Anthropic => {
            let request = match parsed {
                Some(request) => request,
                None => parsed.insert(Box::new(chat::read_request(body)?)),
            };
            anthropic::request(request, target)
        }
    }
}

/// What a provider's error answer means.
pub fn provider_fault(dialect: Dialect, status: u16, body: &[u8]) -> ProviderFault {
    match dialect {
        Dialect::OpenAi => openai::provider_fault(status, body),
        Dialect::Anthropic => anthropic::provider_fault(status, body),
    }
}
