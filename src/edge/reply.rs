//! Answers that the gateway itself gives: JSON, and errors in the client's dialect.

use bytes::Bytes;
use http::HeaderValue;
use pingora::http::ResponseHeader;
use pingora::proxy::{FailToProxy, Session};
use pingora::{Error, ErrorSource, Result};

use crate::attempt::Outcome;
use crate::dialect::chat;
use crate::edge::journey::{Chat, Facts, Journey, Stage};
use crate::edge::{answer, failure};
use crate::error::GatewayError;
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
    let body = Bytes::from(chat::error_body(&error));
    let mut header = header(facts.id, error.kind.status(), body.len())?;
    if let Some(after) = error.retry_after {
        // Rounded up: coming back too early would only be refused again.
        let seconds = after.as_millis().div_ceil(1000).max(1);
        header
            .insert_header("retry-after", HeaderValue::from(u64::try_from(seconds).unwrap_or(1)))?;
    }
    if error.kind == crate::error::Kind::MethodNotAllowed
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
pub(crate) async fn refuse(
    session: &mut Session,
    facts: &mut Facts,
    error: GatewayError,
) -> Result<()> {
    if unread(session) > DRAIN_MAX {
        // Reading the rest of a large body only to throw it away is not worth the connection.
        session.set_keepalive(None);
    }
    self::error(session, facts, error).await
}

/// A body of at most this many bytes is read to its end, so that the connection can be kept.
const DRAIN_MAX: u64 = 256 * 1024;

/// Bytes of the body that the client may still send.
fn unread(session: &mut Session) -> u64 {
    if session.as_mut().is_body_done() {
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
        (_, Some(error)) => error,
        (Stage::Chat(chat), None) if sent => return cut(session, chat).await,
        (Stage::Chat(chat), None) if !chat.reports.is_empty() => failure::final_error(chat),
        (Stage::Chat(_) | Stage::Arrived | Stage::Answered, None) => {
            failure::internal(e.etype().as_str())
        }
    };
    if sent {
        return gone;
    }
    let status = told.kind.status();
    // Pingora closes the connection after a failed request: say so.
    session.set_keepalive(None);
    match error(session, facts, told).await {
        Ok(()) => FailToProxy { error_code: status, can_reuse_downstream: false },
        Err(_gone) => gone,
    }
}

/// Ends the stream of a client that has a part of the answer.
async fn cut(session: &mut Session, chat: &mut Chat) -> FailToProxy {
    let outcome = chat.reports.last().map_or(Outcome::CutMidStream, |r| r.outcome);
    let last = answer::abort(chat, outcome);
    if !last.is_empty()
        && let Err(error) = session.write_response_body(Some(last), true).await
    {
        tracing::debug!(%error, "The client left before its stream could be ended.");
    }
    FailToProxy { error_code: 200, can_reuse_downstream: false }
}
