//! Who may manage, and how much a request may bring.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq;

use super::fields::Object;
use super::refusal::Refusal;
use super::router::AdminState;
use crate::catalog::Secret;
use crate::error::Kind;

/// The largest body of a management request, in bytes.
pub(super) const BODY_BYTES_MAX: usize = 64 << 10;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Lets a request with the admin token pass.
pub(super) async fn guard(
    State(state): State<AdminState>,
    request: Request,
    next: Next,
) -> Response {
    let sent = request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes());
    match check(state.token(), sent) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn check(token: Option<&Secret>, sent: Option<&[u8]>) -> Result<(), Refusal> {
    let Some(token) = token.filter(|token| !token.expose().is_empty()) else {
        return Err(Refusal::new(
            Kind::Forbidden,
            "Management is switched off, because no admin token is configured. Set `token` in the \
             `[admin]` section of the configuration to `env:NAME` or `file:PATH` and reload.",
        ));
    };
    let Some(sent) = sent.and_then(bearer) else {
        return Err(Refusal::new(
            Kind::Unauthenticated,
            "Send the admin token as `Authorization: Bearer <token>`.",
        ));
    };
    // Hashed first, so that neither contents nor length show in the time that it takes.
    let (want, got) = (blake3::hash(token.expose().as_bytes()), blake3::hash(sent));
    if bool::from(want.as_bytes().ct_eq(got.as_bytes())) {
        Ok(())
    } else {
        Err(Refusal::new(Kind::Unauthenticated, "This is not the admin token."))
    }
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Reads a bounded JSON body.
pub(super) async fn read<T: DeserializeOwned>(request: Request) -> Result<T, Refusal> {
    let is_json = request.headers().get(header::CONTENT_TYPE).is_some_and(|value| {
        let essence = value.as_bytes().split(|b| *b == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
    });
    if !is_json {
        return Err(Refusal::new(
            Kind::UnsupportedMediaType,
            "The body must be JSON, with `Content-Type: application/json`.",
        ));
    }
    let bytes = collect(request.into_body()).await?;
    let read: Result<Object<T>, _> = serde_json::from_slice(&bytes);
    read.map(|Object(body)| body).map_err(|error| unexpected(&error))
}

/// Reads the terms in a body of which other fields were read already.
pub(super) fn fields<T: DeserializeOwned>(rest: serde_json::Value) -> Result<T, Refusal> {
    serde_json::from_value(rest).map_err(|error| unexpected(&error))
}

fn unexpected(error: &serde_json::Error) -> Refusal {
    Refusal::invalid(format!("The body is not as expected: {error}."))
}

async fn collect(body: Body) -> Result<axum::body::Bytes, Refusal> {
    let read = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, BODY_BYTES_MAX));
    let Ok(read) = read.await else {
        return Err(Refusal::new(Kind::RequestTimeout, "The body took too long to arrive."));
    };
    read.map_err(|error| {
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(next) = cause {
            if next.is::<LengthLimitError>() {
                let message = format!("The body must have at most {BODY_BYTES_MAX} bytes.");
                return Refusal::new(Kind::PayloadTooLarge, message);
            }
            cause = next.source();
        }
        Refusal::invalid("The body could not be read.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_opens_the_door() {
        let token = Secret::new("s3cret".to_owned());
        for (sent, want) in [
            (None, 401),
            (Some("Bearer s3cret"), 0),
            (Some("bearer   s3cret "), 0),
            (Some("Bearer s3cre"), 401),
            (Some("Bearer s3crets"), 401),
            (Some("Bearer "), 401),
            (Some("Bearer"), 401),
            (Some("Basic s3cret"), 401),
            (Some("s3cret"), 401),
            (Some(""), 401),
        ] {
            let status = |token| match check(token, sent.map(str::as_bytes)) {
                Ok(()) => 0,
                Err(refusal) => refusal.into_response().status().as_u16(),
            };
            assert_eq!(status(Some(&token)), want, "{sent:?}");
            assert_eq!(status(None), 403, "{sent:?} without a configured token");
            let empty = Secret::new(String::new());
            assert_eq!(status(Some(&empty)), 403, "{sent:?}: an empty token is none");
        }
    }
}
