//! The request's body, read whole before a provider is chosen.
//!
//! The model's name is in the body, so it must be read in `request_filter`, and every attempt then
//! sends its own rewritten body. Pingora 0.9.1 calls `request_body_filter` for a consumed body
//! only if its retry buffer (64 KiB) is neither empty nor overrun; what the buffer holds does not
//! matter, since the filter replaces it. So buffering is switched on for the tail of the body
//! only. HTTP/2 is primed with one frame and then polled past the buffer; where an HTTP/1 body
//! leaves the buffer unusable all the same (a chunked one over 64 KiB), the session is rebuilt
//! ([`super::replay`]).

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pingora::protocols::http::ServerSession;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::balance::Nanos;
use crate::edge::{clock, replay};
use crate::error::{GatewayError, Kind};

/// The size of Pingora's retry buffer in bytes (`BODY_BUF_LIMIT` in pingora-core 0.9.1).
pub(super) const RETRY_BUFFER: usize = 64 * 1024;

/// Limits on one request's body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    /// The largest body, in bytes.
    pub(crate) bytes_max: usize,
    /// The longest pause before a piece of the body; a body that is slower than
    /// [`BYTES_PER_SECOND_MIN`] as well is given up even without one.
    pub(crate) pause: Duration,
}

/// The slowest that a body may come on average, in bytes per second, after one pause.
const BYTES_PER_SECOND_MIN: usize = 16 * 1024;

/// A body and its share of the memory that all bodies together may take.
pub(crate) struct Body {
    /// The bytes as the client sent them.
    pub(crate) bytes: Bytes,
    /// Held as long as the bytes are.
    pub(crate) memory: OwnedSemaphorePermit,
}

/// Reads the body to its end.
///
/// The outer error is the connection's: there is nobody left to answer. The inner one is for the
/// client.
pub(crate) async fn read(
    session: &mut Session,
    limits: BodyLimits,
    memory: &std::sync::Arc<Semaphore>,
) -> Result<std::result::Result<Body, GatewayError>> {
    let length = match content_length(session) {
        Ok(length) => length,
        Err(error) => return Ok(Err(error)),
    };
    if length.is_some_and(|n| n > limits.bytes_max) {
        return Ok(Err(too_large(limits.bytes_max)));
    }
    let reserve = length.unwrap_or(limits.bytes_max).max(1);
    let Some(mut permit) = acquire(memory, reserve, limits.pause).await else {
        return Ok(Err(GatewayError::new(
            Kind::Unavailable,
            "The gateway is holding as many request bodies as it may; try again shortly.",
        )
        .with_retry_after(Duration::from_secs(1))));
    };
    let Read { bytes, kept } = match read_all(session, length, limits).await {
        Ok(Some(read)) => read,
        Ok(None) => return Ok(Err(too_large(limits.bytes_max))),
        Err(error) => {
            // Where the next request would begin is not known.
            session.set_keepalive(None);
            return refusal(&error, limits.pause).map(Err).ok_or_else(|| error.into_down());
        }
    };
    // A chunked body reserved the most it could be; give back what it was not.
    drop(permit.split(reserve.saturating_sub(bytes.len().max(1))));
    if bytes.is_empty() && length.is_none() {
        // httparse takes a chunk's missing size for the last chunk; another parser would not, and
        // what follows must not be taken for a request of its own.
        session.set_keepalive(None);
    }
    // Asking Pingora for its buffer would copy it.
    let usable = (1..=RETRY_BUFFER).contains(&kept);
    if !usable && !bytes.is_empty() && !session.as_downstream().is_http2() {
        // Boxed, because it is large and rare.
        Box::pin(replay::rebuild(session)).await?;
    }
    Ok(Ok(Body { bytes, memory: permit }))
}

/// What the client is told of a body that could not be read; `None` if there is nobody to tell.
fn refusal(error: &Error, pause: Duration) -> Option<GatewayError> {
    match error.etype() {
        ErrorType::ReadTimedout => Some(GatewayError::new(
            Kind::RequestTimeout,
            format!(
                "The request body came too slowly: with a pause of more than {} ms, or fewer than \
                 {BYTES_PER_SECOND_MIN} bytes per second.",
                pause.as_millis()
            ),
        )),
        ErrorType::Custom("InvalidChunk" | "InvalidTrailerEnd") => Some(GatewayError::new(
            Kind::InvalidRequest,
            "The request body's chunks are malformed (Transfer-Encoding: chunked, RFC 9112 \u{a7}7.1).",
        )),
        _ => None,
    }
}

async fn acquire(
    memory: &std::sync::Arc<Semaphore>,
    bytes: usize,
    patience: Duration,
) -> Option<OwnedSemaphorePermit> {
    let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
    if let Ok(permit) = std::sync::Arc::clone(memory).try_acquire_many_owned(permits) {
        return Some(permit);
    }
    let waiting = std::sync::Arc::clone(memory).acquire_many_owned(permits);
    tokio::time::timeout(patience, waiting).await.ok()?.ok()
}

fn content_length(session: &Session) -> std::result::Result<Option<usize>, GatewayError> {
    let Some(value) = session.get_header(http::header::CONTENT_LENGTH) else { return Ok(None) };
    value.to_str().ok().and_then(|v| v.trim().parse().ok()).map(Some).ok_or_else(|| {
        GatewayError::new(Kind::InvalidRequest, "The Content-Length header is not a number.")
    })
}

fn too_large(bytes_max: usize) -> GatewayError {
    GatewayError::new(
        Kind::PayloadTooLarge,
        format!("The request body is larger than {bytes_max} bytes, which is the most allowed."),
    )
}

/// The time that a body may take.
struct Pace {
    begun: Nanos,
    pause: Duration,
}

impl Pace {
    /// Waits for the next piece of a body of which so many bytes have come.
    async fn next<T>(&self, received: usize, read: impl Future<Output = Result<T>>) -> Result<T> {
        let mut read = pin!(read);
        // Mostly the piece is there already, and needs no timer.
        if let Poll::Ready(piece) = poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx))).await {
            return piece;
        }
        let earned = Duration::from_millis((received / (BYTES_PER_SECOND_MIN / 1000)) as u64);
        let left = (self.pause + earned).saturating_sub(clock::now().since(self.begun));
        match tokio::time::timeout(left.min(self.pause), read).await {
            Ok(piece) => piece,
            Err(_elapsed) => Error::e_explain(ErrorType::ReadTimedout, "the body is too slow"),
        }
    }
}

/// A body that was read to its end.
struct Read {
    bytes: Bytes,
    /// How much of it went through Pingora's retry buffer, in bytes.
    kept: usize,
}

/// Reads to the end; `None` if there is more than the limit.
async fn read_all(
    session: &mut Session,
    length: Option<usize>,
    limits: BodyLimits,
) -> Result<Option<Read>> {
    let BodyLimits { bytes_max, pause } = limits;
    let pace = Pace { begun: clock::now(), pause };
    if session.get_header(http::header::EXPECT).is_some() {
        let down = &mut session.downstream_session;
        // Pingora takes any answer before the body's end for a reason to close, this one too.
        down.set_close_on_response_before_downstream_finish(false);
        down.write_continue_response().await?;
        down.set_close_on_response_before_downstream_finish(true);
    }
    match &mut *session.downstream_session {
        ServerSession::H2(h2) => {
            h2.enable_retry_buffering();
            let mut out = BytesMut::with_capacity(length.unwrap_or(8 * 1024));
            let mut primed = false;
            loop {
                let read = async {
                    if !primed {
                        return h2.read_body_bytes().await;
                    }
                    poll_fn(|cx| h2.poll_read_body_bytes(cx)).await.transpose().map_err(|e| {
                        Error::because(ErrorType::ReadError, "reading an HTTP/2 body", e)
                    })
                };
                let next = pace.next(out.len(), read).await?;
                let Some(part) = next else {
                    return Ok(Some(Read { kept: out.len(), bytes: out.freeze() }));
                };
                primed |= !part.is_empty();
                if out.len() + part.len() > bytes_max {
                    return Ok(None);
                }
                out.extend_from_slice(&part);
            }
        }
        h1 => read_h1(h1, length, bytes_max, &pace).await,
    }
}

async fn read_h1(
    h1: &mut ServerSession,
    length: Option<usize>,
    bytes_max: usize,
    pace: &Pace,
) -> Result<Option<Read>> {
    let mut out = BytesMut::new();
    let mut kept = None;
    loop {
        if length.is_none_or(|n| n.saturating_sub(out.len()) <= RETRY_BUFFER) {
            h1.enable_retry_buffering();
            kept.get_or_insert(0);
        }
        let next = pace.next(out.len(), h1.read_request_body()).await?;
        let Some(part) = next else {
            return Ok(Some(Read { bytes: out.freeze(), kept: kept.unwrap_or(0) }));
        };
        kept = kept.map(|kept| kept + part.len());
        if out.is_empty() && length == Some(part.len()) {
            // The whole body in one read: no copy.
            drain(h1).await?;
            return Ok(Some(Read { bytes: part, kept: kept.unwrap_or(0) }));
        }
        if out.len() + part.len() > bytes_max {
            return Ok(None);
        }
        if out.is_empty() {
            out.reserve(length.unwrap_or(16 * 1024));
        }
        out.extend_from_slice(&part);
    }
}

/// Reads the end of a body whose last byte has been read, so that the session knows it is done.
async fn drain(h1: &mut ServerSession) -> Result<()> {
    while h1.read_request_body().await?.is_some() {}
    Ok(())
}
