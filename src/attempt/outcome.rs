//! How one try can fail.

use std::fmt;
use std::time::Duration;

use crate::dialect::{AnswerFault, FaultClass};

/// How one try failed, as a closed list. A complete answer is no outcome of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody listens there, or there is no way there.
    ConnectRefused,
    /// The provider's name has no address.
    Dns,
    /// The TLS handshake failed.
    Tls,
    /// No connection in time, TLS included.
    ConnectTimeout,
    /// The connection broke before the first byte of the answer.
    ConnectionReset,
    /// A pooled connection turned out to be closed: nothing of the request was processed.
    StalePooledConnection,
    /// No semantic event in time.
    FirstTokenTimeout,
    /// An answer that is not streamed was not complete in time.
    AnswerTimeout,
    /// A streamed answer fell silent.
    InterEventTimeout,
    /// The provider answered with an error status.
    Status {
        /// What it means, from status, code and text.
        class: FaultClass,
        /// The status.
        status: u16,
        /// When the provider wants to be asked again, if it said so.
        retry_after: Option<Duration>,
    },
    /// The provider reported an error inside a `200`, before the first token.
    InBandError,
    /// A complete answer with nothing in it.
    EmptyAnswer,
    /// The answer ended without its terminal event, before the first token.
    EarlyEof,
    /// The bytes are not what the dialect allows.
    Garbled,
    /// The answer, or one event of it, is larger than the limit.
    TooLarge,
    /// The answer broke off after its first token, for whatever reason.
    CutMidStream,
    /// The answer was to go on with what the client has of another one, and did not.
    Diverged,
    /// Another endpoint, asked beside this one, answered first.
    Beaten,
    /// The client left before the answer was complete.
    ClientGone,
    /// The caller's credit was used up in the middle of the answer.
    CreditOut,
    /// The gateway itself failed.
    Internal,
}

impl Outcome {
    /// The outcome of an answer that is no good. `began`: its first semantic event had come.
    pub const fn of_answer(fault: &AnswerFault, began: bool) -> Self {
        match fault {
            AnswerFault::TooLarge if !began => Self::TooLarge,
            AnswerFault::Garbled(_) if !began => Self::Garbled,
            AnswerFault::InBand { .. } if !began => Self::InBandError,
            AnswerFault::Truncated if !began => Self::EarlyEof,
            AnswerFault::Empty => Self::EmptyAnswer,
            AnswerFault::Diverged => Self::Diverged,
            AnswerFault::Plugin => Self::Internal,
            AnswerFault::TooLarge
            | AnswerFault::Garbled(_)
            | AnswerFault::InBand { .. }
            | AnswerFault::Truncated => Self::CutMidStream,
        }
    }

    /// A stable name for logs and metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::ConnectRefused => "connect_refused",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectionReset => "connection_reset",
            Self::StalePooledConnection => "stale_connection",
            Self::FirstTokenTimeout => "first_token_timeout",
            Self::AnswerTimeout => "answer_timeout",
            Self::InterEventTimeout => "inter_event_timeout",
            Self::Status { class, .. } => status_label(*class),
            Self::InBandError => "in_band_error",
            Self::EmptyAnswer => "empty_answer",
            Self::EarlyEof => "early_eof",
            Self::Garbled => "garbled",
            Self::TooLarge => "too_large",
            Self::CutMidStream => "cut_mid_stream",
            Self::Diverged => "diverged",
            Self::Beaten => "beaten",
            Self::ClientGone => "client_gone",
            Self::CreditOut => "credit_out",
            Self::Internal => "internal",
        }
    }
}

const fn status_label(class: FaultClass) -> &'static str {
    match class {
        FaultClass::ContextLength => "status_context_length",
        FaultClass::ContentPolicy => "status_content_policy",
        FaultClass::InvalidRequest => "status_invalid_request",
        FaultClass::Authentication => "status_authentication",
        FaultClass::Billing => "status_billing",
        FaultClass::Permission => "status_permission",
        FaultClass::NotFound => "status_not_found",
        FaultClass::Timeout => "status_timeout",
        FaultClass::Conflict => "status_conflict",
        FaultClass::RateLimited => "status_rate_limited",
        FaultClass::Overloaded => "status_overloaded",
        FaultClass::Server => "status_server",
    }
}

/// In a few words, for the client.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConnectRefused => "connection refused",
            Self::Dns => "name not resolved",
            Self::Tls => "TLS handshake failed",
            Self::ConnectTimeout => "no connection in time",
            Self::ConnectionReset | Self::StalePooledConnection => "connection closed early",
            Self::FirstTokenTimeout => "no first token in time",
            Self::AnswerTimeout => "no complete answer in time",
            Self::InterEventTimeout => "fell silent in the middle of the answer",
            Self::Status { status, .. } => return write!(f, "HTTP {status}"),
            Self::InBandError => "reported an error inside the answer",
            Self::EmptyAnswer => "empty answer",
            Self::EarlyEof => "answer ended before its first token",
            Self::Garbled => "unreadable answer",
            Self::TooLarge => "answer larger than the limit",
            Self::CutMidStream => "answer broke off",
            Self::Diverged => "did not go on with the answer that had begun",
            Self::Beaten => "another provider answered first",
            Self::ClientGone => "the client left",
            Self::CreditOut => "the credit was used up",
            Self::Internal => "error in the gateway",
        })
    }
}
