//! A connection: the socket, and what faults do to it below HTTP.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// How many bytes a slow header sends one at a time, and the wait before each.
const SLOW_BYTES: u32 = 64;
const SLOW_EACH: Duration = Duration::from_millis(20);

/// What the requests of a connection share with its socket.
#[derive(Default)]
pub(super) struct Conn {
    requests: AtomicU32,
    reset: AtomicBool,
    slow: AtomicU32,
    blocked: AtomicBool,
}

impl Conn {
    /// Counts a request; says whether the connection has carried one before.
    pub(super) fn is_reused(&self) -> bool {
        self.requests.fetch_add(1, Relaxed) > 0
    }

    /// Closing will be a TCP reset.
    pub(super) fn reset_on_close(&self) {
        self.reset.store(true, Relaxed);
    }

    /// The next bytes go out one at a time.
    pub(super) fn be_slow(&self) {
        self.slow.store(SLOW_BYTES, Relaxed);
    }

    /// The peer does not take what was written.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed)
    }
}

/// The socket.
pub(super) struct Socket {
    stream: TcpStream,
    conn: Arc<Conn>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(super) const fn new(stream: TcpStream, conn: Arc<Conn>) -> Self {
        Self { stream, conn, sleep: None }
    }

    fn poll_slow(&mut self, cx: &mut Context<'_>, byte: &[u8]) -> Poll<io::Result<usize>> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(SLOW_EACH)));
        ready!(sleep.as_mut().poll(cx));
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, byte))?;
        self.sleep = None;
        self.conn.slow.fetch_sub(1, Relaxed);
        Poll::Ready(Ok(written))
    }

    fn note<T>(&self, written: Poll<T>) -> Poll<T> {
        if self.conn.blocked.load(Relaxed) != written.is_pending() {
            self.conn.blocked.store(written.is_pending(), Relaxed);
        }
        written
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match buf.get(..1) {
            Some(byte) if self.conn.slow.load(Relaxed) > 0 => self.poll_slow(cx, byte),
            _ => Pin::new(&mut self.stream).poll_write(cx, buf),
        };
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.conn.slow.load(Relaxed) > 0 {
            let first = bufs.iter().find(|buf| !buf.is_empty());
            return self.poll_write(cx, first.map_or(&[], |buf| buf));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.conn.reset.load(Relaxed) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.conn.reset.load(Relaxed) {
            // Where the socket is gone already, there is nothing to reset.
            self.stream.set_zero_linger().unwrap_or(());
        }
    }
}
