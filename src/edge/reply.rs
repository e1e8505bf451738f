//! Answers that the gateway itself gives: JSON, and errors in the client's dialect.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use pingora::http::ResponseHeader;
use pingora::proxy::{FailToProxy, Session};
use pingora::{Error, ErrorSource, Result};

use crate::attempt::Outcome;
use crate::edge::journey::{Chat, Facts, Journey, Stage};
use crate::edge::task::errors_of;
use crate::edge::{answer, continuation, failure, metadata};
use crate::error::{GatewayError, Kind};
use crate::vocab::GenerationId;

/// Writes a whole JSON answer.
pub(crate) async fn json(
    session: &mut Session,
    facts: &mut Facts,
    status: u16,
    body: Bytes,
) -> Result<()> {
    let header = header(facts.id, status, body.len())?;
    send(session, facts, header, body).await
}

/// Writes an error. An error that the client cannot be told (it has gone) is not one of ours.
pub(crate) async fn error(
    session: &mut Session,
    facts: &mut Facts,
    error: GatewayError,
) -> Result<()> {
    error_with(session, facts, error, None).await
}

/// Writes an error, with `openrouter_metadata` beside it.
async fn error_with(
    session: &mut Session,
    facts: &mut Facts,
    error: GatewayError,
    metadata: Option<String>,
) -> Result<()> {
    let mut body = errors_of(facts.surface).error_body(&error);
    if let Some(metadata) = metadata {
        // An error's body is an object that is not empty.
        body.truncate(body.len().saturating_sub(1));
        body.extend_from_slice(b",\"openrouter_metadata\":");
        body.extend_from_slice(metadata.as_bytes());
        body.push(b'}');
    }
    let body = Bytes::from(body);
    let mut header = header(facts.id, error.kind.status(), body.len())?;
    if let Some(after) = error.retry_after {
        // Rounded up: coming back too early would only be refused again.
        let seconds = after.as_millis().div_ceil(1000).max(1);
        header
            .insert_header("retry-after", HeaderValue::from(u64::try_from(seconds).unwrap_or(1)))?;
    }
    if let Some(limit) = &error.limit {
        header.insert_header("x-ratelimit-limit", HeaderValue::from(limit.limit))?;
        header.insert_header("x-ratelimit-remaining", HeaderValue::from(limit.remaining))?;
        header.insert_header("x-ratelimit-reset", HeaderValue::from(limit.reset_ms))?;
    }
    if error.kind == Kind::MethodNotAllowed
        && let Some(allow) = &error.param
    {
        header.insert_header("allow", allow.as_str())?;
    }
    facts.error = Some(error);
    send(session, facts, header, body).await
}

fn header(id: GenerationId, status: u16, length: usize) -> Result<ResponseHeader> {
    let mut header = ResponseHeader::build_no_case(status, Some(8))?;
    header.insert_header("content-type", HeaderValue::from_static("application/json"))?;
    header.insert_header("content-length", HeaderValue::from(length))?;
    header.insert_header("x-generation-id", id.text().as_str())?;
    Ok(header)
}

async fn send(
    session: &mut Session,
    facts: &mut Facts,
    header: ResponseHeader,
    body: Bytes,
) -> Result<()> {
    facts.bytes_out += body.len();
    session.write_response_header(Box::new(header), false).await?;
    session.write_response_body(Some(body), true).await
}

/// Writes an error to a request whose body has perhaps not been read.
///
/// Pingora closes an HTTP/1 connection if the answer comes before the body's end, and a connection
/// that is closed while the client still sends is reset: the client may then never see its answer.
/// So a short rest is read first, which keeps the connection, and of a long one as much as comes
/// in a while is read afterwards.
pub(crate) async fn refuse(
    session: &mut Session,
    facts: &mut Facts,
    error: GatewayError,
) -> Result<()> {
    let rest = unread(session);
    let kept = rest <= DRAIN_MAX && session.get_keepalive().is_some();
    if rest > 0 && (!kept || session.drain_request_body().await.is_err()) {
        session.set_keepalive(None);
    }
    // The connection is at fault, or the client is too slow anyway.
    let over = matches!(error.kind, Kind::InvalidRequest | Kind::RequestTimeout);
    self::error(session, facts, error).await?;
    if unread(session) > 0 && !over {
        linger(session).await;
    }
    Ok(())
}

/// Reads and forgets what the client still sends.
async fn linger(session: &mut Session) {
    let discard = async { while let Ok(Some(_)) = session.read_request_body().await {} };
    if tokio::time::timeout(LINGER, discard).await.is_err() {
        tracing::debug!("A client goes on sending a body that was refused.");
    }
}

/// How long the rest of a refused body is read.
const LINGER: Duration = Duration::from_secs(5);

/// A body of at most this many bytes is read to its end, so that the connection can be kept.
const DRAIN_MAX: u64 = 256 * 1024;

/// Bytes of an HTTP/1 body that the client may still send.
fn unread(session: &mut Session) -> u64 {
    let waits = session.get_header(http::header::EXPECT).is_some();
    if session.as_downstream().is_http2() || session.as_mut().is_body_done() {
        return 0;
    }
    if waits && session.body_bytes_read() == 0 {
        // It waits for permission to send, and will not get it.
        return 0;
    }
    if session.get_header(http::header::EXPECT).is_some() {
        // The client waits for a word that it will not get, and may send the body or not.
        return u64::MAX;
    }
    let length = session.get_header(http::header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    length.and_then(|v| v.parse().ok()).unwrap_or(u64::MAX)
}

/// The end of a request that no attempt could answer.
pub(crate) async fn failed(session: &mut Session, e: &Error, ctx: &mut Journey) -> FailToProxy {
    let gone = FailToProxy { error_code: 0, can_reuse_downstream: false };
    if *e.esource() == ErrorSource::Downstream {
        return gone;
    }
    let sent = session.response_written().is_some_and(|r| !r.status.is_informational());
    let Journey { stage, facts, .. } = ctx;
    let told = match (&mut *stage, facts.error.take()) {
        (Stage::Chat(chat), told) if sent => return cut(session, chat, told).await,
        (_, Some(error)) => error,
        (Stage::Chat(chat), None) if !chat.reports.is_empty() => failure::final_error(chat),
        (Stage::Chat(_) | Stage::Arrived | Stage::Answered, None) => {
            failure::internal(e.etype().as_str())
        }
    };
    if sent {
        return gone;
    }
    let metadata = match stage {
        Stage::Chat(chat) if chat.metadata && told.kind != Kind::Internal => {
            Some(metadata::of_failure(chat))
        }
        Stage::Chat(_) | Stage::Arrived | Stage::Answered => None,
    };
    let status = told.kind.status();
    // Pingora closes the connection after a failed request: say so.
    session.set_keepalive(None);
    match error_with(session, facts, told, metadata).await {
        Ok(()) => FailToProxy { error_code: status, can_reuse_downstream: false },
        Err(_gone) => gone,
    }
}

/// Ends the stream of a client that has a part of the answer, or all of it.
async fn cut(session: &mut Session, chat: &mut Chat, told: Option<GatewayError>) -> FailToProxy {
    let last = if answer::is_complete(chat) {
        continuation::rest(chat)
    } else {
        let outcome = chat.reports.last().map_or(Outcome::CutMidStream, |r| r.outcome);
        let told = told.or_else(|| failure::broke_off(chat));
        let told = told.unwrap_or_else(|| failure::told(chat, &outcome));
        answer::abort(chat, outcome, told)
    };
    if chat.ask.head.stream
        && let Err(error) = session.write_response_body(Some(last), true).await
    {
        tracing::debug!(%error, "The client left before its stream could be ended.");
    }
    FailToProxy { error_code: 200, can_reuse_downstream: false }
}
