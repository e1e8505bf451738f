//! Errors of the admin listener: `{"error":{"code","message","type"}}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::bank::BankError;
use crate::error::Kind;

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

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidRequest, message)
    }

    /// A bug: the client gets no details, the log does.
    pub(super) fn internal(detail: &str) -> Self {
        tracing::error!(detail, "An admin request failed.");
        Self::new(Kind::Internal, "Turnpike failed; its log has the details.")
    }
}

impl From<BankError> for Refusal {
    fn from(error: BankError) -> Self {
        match error {
            BankError::NotFound(what) => {
                Self::new(Kind::NotFound, format!("There is no such {what}."))
            }
            // The one status that callers never see, hence not a `Kind`.
            BankError::Conflict(why) => Self { status: 409, code: "conflict", message: why },
            BankError::Invalid(why) => Self::invalid(why),
            BankError::Unavailable => {
                Self::new(Kind::Unavailable, "The ledger takes no operations now; try again later.")
            }
            BankError::Internal(detail) => Self::internal(&detail),
        }
    }
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
