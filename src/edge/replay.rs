//! A session that is read again: the way round Pingora's 64 KiB limit for chunked bodies.
//!
//! Pingora sends a body that was consumed before the proxy phase only from its retry buffer, and
//! a chunked HTTP/1 body may pass that buffer's size before its end is known. The connection is
//! then taken out of its session, put behind [`Rewound`], which first yields an equivalent request
//! with `Content-Length`, and read by a fresh session that knows the length in advance.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::protocols::l4::virt::{VirtualSocket, VirtualSocketStream};
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    Stream, TimingDigest, UniqueID, UniqueIDType,
};
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::body::RETRY_BUFFER;

/// Rebuilds the session's HTTP/1 request as one with `Content-Length` and `body`, read to its end
/// so that the retry buffer holds the tail.
///
/// # Errors
/// The session is not HTTP/1, or the rebuilt request cannot be read (a bug).
pub(super) async fn rebuild(session: &mut Session, body: &Bytes) -> Result<()> {
    let head = request_head(session, body.len());
    let keepalive = session.get_keepalive();
    let blank = ServerSession::new_http1(Box::new(nowhere()));
    let old = std::mem::replace(&mut *session.downstream_session, blank);
    let ServerSession::H1(h1) = old else {
        *session.downstream_session = old;
        return Error::e_explain(ErrorType::InternalError, "only HTTP/1 sessions are rebuilt");
    };
    let mut prefix = BytesMut::from(head.as_slice());
    prefix.extend_from_slice(body);
    let stream = Rewound { prefix: prefix.freeze(), inner: h1.into_inner() };
    let mut fresh = ServerSession::new_http1(Box::new(stream));
    fresh.read_request().await?;
    fresh.set_keepalive(keepalive);
    let mut read = 0;
    loop {
        if body.len() - read <= RETRY_BUFFER {
            fresh.enable_retry_buffering();
        }
        match fresh.read_request_body().await? {
            Some(part) => read += part.len(),
            None => break,
        }
    }
    *session.downstream_session = fresh;
    Ok(())
}

/// The request's head with `Content-Length` in place of `Transfer-Encoding`.
fn request_head(session: &Session, length: usize) -> Vec<u8> {
    let request = session.req_header();
    let mut head = Vec::with_capacity(1024);
    head.put_slice(request.method.as_str().as_bytes());
    head.push(b' ');
    head.put_slice(request.raw_path());
    head.put_slice(b" HTTP/1.1\r\n");
    for (name, value) in &request.headers {
        if name == http::header::TRANSFER_ENCODING || name == http::header::EXPECT {
            continue;
        }
        head.put_slice(name.as_str().as_bytes());
        head.put_slice(b": ");
        head.put_slice(value.as_bytes());
        head.put_slice(b"\r\n");
    }
    head.put_slice(format!("content-length: {length}\r\n\r\n").as_bytes());
    head
}

/// A connection whose read side first yields bytes that were read before.
#[derive(Debug)]
struct Rewound {
    prefix: Bytes,
    inner: Stream,
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let n = self.prefix.len().min(buf.remaining());
        let part = self.prefix.split_to(n);
        buf.put_slice(&part);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Rewound {
    async fn shutdown(&mut self) {
        self.inner.shutdown().await;
    }
}

impl UniqueID for Rewound {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for Rewound {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.selected_alpn_proto()
    }
}

impl GetTimingDigest for Rewound {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }
}

impl GetProxyDigest for Rewound {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.get_proxy_digest()
    }
}

impl GetSocketDigest for Rewound {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }
}

impl Peek for Rewound {}

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
