//! Errors of the admin listener: `{"error":{"code","message","type"}}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::desk::DeskError;
use super::fields::{Wrong, spelled};
use crate::error::Kind;
use crate::ledger::ManageError;
use crate::ledger::state::Refused;

/// A request that is not carried out.
#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
}

impl Refusal {
    pub(super) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { status: kind.status(), code: kind.code(), message: message.into() }
    }

    /// It contradicts what is there: the one status that a `Kind` has not, since models' callers
    /// never see it.
    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self { status: 409, code: "conflict", message: message.into() }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidRequest, message)
    }

    /// A bug: the client gets no details, the log does.
    pub(super) fn internal(detail: &str) -> Self {
        tracing::error!(detail, "An admin request failed.");
        Self::new(Kind::Internal, "Turnpike failed; its log has the details.")
    }
}

impl From<Wrong> for Refusal {
    fn from((field, why): Wrong) -> Self {
        Self::invalid(format!("`{field}` {why}."))
    }
}

impl From<DeskError> for Refusal {
    fn from(error: DeskError) -> Self {
        match error {
            DeskError::Wrong(wrong) => wrong.into(),
            DeskError::Ledger(error) => error.into(),
        }
    }
}

impl From<ManageError> for Refusal {
    fn from(error: ManageError) -> Self {
        match error {
            ManageError::Invalid("randomness", why) => Self::internal(&why),
            ManageError::Invalid(field, why) => spelled((field, why)).into(),
            ManageError::Down => {
                Self::new(Kind::Unavailable, "The ledger takes no operations now; try again later.")
            }
            ManageError::Refused(refused) => {
                let message = sentence(&refused);
                match refused {
                    Refused::NoSuchAccount
                    | Refused::NoSuchKey
                    | Refused::NoSuchOrganisation
                    | Refused::NoSuchMember => Self::new(Kind::NotFound, message),
                    Refused::AccountExists
                    | Refused::KeyExists
                    | Refused::MemberIsFixed
                    | Refused::NotCovered
                    | Refused::ReceiptUsed => Self::conflict(message),
                    Refused::Amount => Self::invalid(message),
                    Refused::Sequence
                    | Refused::Time
                    | Refused::HoldExists
                    | Refused::NoSuchHold
                    | Refused::AlreadyEnded
                    | Refused::WrongCaller
                    | Refused::History(_) => Self::internal(&message),
                }
            }
        }
    }
}

/// A text that begins in small letters, as a sentence.
fn sentence(text: &impl std::fmt::Display) -> String {
    let text = text.to_string();
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), chars.as_str()))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = json!({
            "error": {"code": self.status, "message": self.message, "type": self.code},
        });
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"turnpike admin\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
