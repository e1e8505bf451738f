//! A session that is built anew: the way round Pingora's 64 KiB limit for bodies that have been read.
//!
//! Pingora sends a body that was consumed before the proxy phase only from its retry buffer, and
//! a chunked HTTP/1 body may pass that buffer's size before its end is known. What the buffer
//! holds does not matter, since every attempt sends its own body. So the connection is taken out
//! of its session and read by a fresh one, which finds a request with a body of one byte, and
//! after it what the client has sent already of its next request.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::protocols::l4::virt::{VirtualSocket, VirtualSocketStream};
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The request that the fresh session reads.
const STAND_IN: &[u8] = b"POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\n ";

/// The most of a next request that is carried over, in bytes: Pingora reads no head from a longer
/// beginning than 1 MiB. A client whose connection closes instead sends its request again.
const PIPELINED_MAX: usize = 512 * 1024;

/// Replaces an HTTP/1 session whose body has been read to its end by one whose retry buffer is
/// neither empty nor overrun. Head, settings and connection stay.
///
/// # Errors
/// The session is not HTTP/1, or the stand-in cannot be read (a bug).
pub(super) async fn rebuild(session: &mut Session) -> Result<()> {
    let down = &mut *session.downstream_session;
    let mut request = down.req_header().clone();
    request.remove_header(&TRANSFER_ENCODING);
    request.remove_header(&EXPECT);
    request.insert_header(CONTENT_LENGTH, HeaderValue::from_static("1"))?;
    let mut keepalive = down.get_keepalive();
    let read_timeout = down.get_read_timeout();
    let write_timeout = down.get_write_timeout();
    let drain_timeout = down.get_total_drain_timeout();

    let old = std::mem::replace(down, ServerSession::new_http1(Box::new(nowhere())));
    let ServerSession::H1(old) = old else {
        *down = old;
        return Error::e_explain(ErrorType::InternalError, "only HTTP/1 sessions are rebuilt");
    };
    let mut bytes = BytesMut::from(STAND_IN);
    let stream = if old.will_keepalive() {
        let Some(reusable) = old.reuse().await? else {
            return Error::e_explain(ErrorType::InternalError, "the connection is not to be had");
        };
        let (stream, pipelined) = reusable.into_parts();
        let pipelined = pipelined.unwrap_or_default();
        if pipelined.len() <= PIPELINED_MAX {
            bytes.extend_from_slice(&pipelined);
        } else {
            keepalive = None;
        }
        stream
    } else {
        old.into_inner()
    };
    let mut fresh = ServerSession::new_http1(stream);
    fresh.set_pipelining_enabled(true);
    fresh.set_pipelined_prefix(bytes);
    fresh.read_request().await?;
    fresh.enable_retry_buffering();
    while fresh.read_request_body().await?.is_some() {}
    *fresh.req_header_mut() = request;
    fresh.set_keepalive(keepalive);
    fresh.set_read_timeout(read_timeout);
    fresh.set_write_timeout(write_timeout);
    fresh.set_total_drain_timeout(drain_timeout);
    fresh.set_ignore_info_resp(true);
    *down = fresh;
    Ok(())
}

/// A stream that is never used: it stands in while the real one changes hands.
fn nowhere() -> L4Stream {
    L4Stream::from(VirtualSocketStream::new(Box::new(Nowhere)))
}

#[derive(Debug)]
struct Nowhere;

impl AsyncRead for Nowhere {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Nowhere {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl VirtualSocket for Nowhere {
    fn set_socket_option(
        &self,
        _: pingora::protocols::l4::virt::VirtualSockOpt,
    ) -> std::io::Result<()> {
        Ok(())
    }
}
