//! A socket with no network behind it: what is written into it is thrown away, and what is read from
//! it is what a future sends.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use bytes::{Buf as _, Bytes};
use pingora::connectors::L4Connect;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::l4::stream::Stream;
use pingora::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use pingora::{Error, ErrorType, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Pieces that may wait to be read: none but the next.
const AHEAD: usize = 1;

/// What runs behind a socket; says at its end whether what it sent is complete.
type Running = Pin<Box<dyn Future<Output = bool> + Send>>;

/// Makes a socket that one connection can be made to.
pub(super) fn open<F>(run: impl FnOnce(Sender<Bytes>) -> F) -> Door
where
    F: Future<Output = bool> + Send + 'static,
{
    let (out, pieces) = channel(AHEAD);
    let running: Running = Box::pin(run(out));
    let running = Mutex::new(Some(running));
    Door(Mutex::new(Some(Socket { running, pieces, piece: Bytes::new(), complete: false })))
}

/// What Pingora connects through.
pub(super) struct Door(Mutex<Option<Socket>>);

/// The connection.
struct Socket {
    /// Run when somebody reads. The mutex is never locked: it makes the future shareable.
    running: Mutex<Option<Running>>,
    pieces: Receiver<Bytes>,
    /// What is left of the piece that is being read.
    piece: Bytes,
    complete: bool,
}

#[async_trait]
impl L4Connect for Door {
    async fn connect(&self, _: &SocketAddr) -> Result<Stream> {
        let socket = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match socket {
            Some(socket) => Ok(Stream::from(VirtualSocketStream::new(Box::new(socket)))),
            None => Error::e_explain(ErrorType::InternalError, "a race is run once"),
        }
    }
}

impl Socket {
    /// The next piece that is not empty; `None` at the end.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(future) = running
            && let Poll::Ready(complete) = future.as_mut().poll(cx)
        {
            self.complete = complete;
            *running = None;
        }
        loop {
            // The sender lives in the future: without it the channel is at its end.
            match ready!(self.pieces.poll_recv(cx)) {
                Some(piece) if piece.is_empty() => {}
                next => return Poll::Ready(next),
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        if socket.piece.is_empty() {
            match ready!(socket.poll_piece(cx)) {
                Some(piece) => socket.piece = piece,
                None if socket.complete => return Poll::Ready(Ok(())),
                None => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            }
        }
        let length = socket.piece.len().min(buffer.remaining());
        buffer.put_slice(&socket.piece[..length]);
        socket.piece.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl VirtualSocket for Socket {
    fn set_socket_option(&self, _: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").finish_non_exhaustive()
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn address() -> SocketAddr {
        SocketAddr::Inet((Ipv4Addr::LOCALHOST, 1).into())
    }

    async fn sent(pieces: &'static [&'static str], complete: bool) -> (Vec<u8>, io::Result<usize>) {
        let door = open(|out| async move {
            for piece in pieces {
                out.send(Bytes::from_static(piece.as_bytes())).await.expect("somebody reads");
            }
            complete
        });
        let mut stream = door.connect(&address()).await.expect("a connection");
        stream.write_all(b"thrown away").await.expect("it takes anything");
        let mut read = Vec::new();
        let end = stream.read_to_end(&mut read).await;
        assert!(door.connect(&address()).await.is_err(), "it is run once");
        (read, end)
    }

    #[tokio::test]
    async fn what_is_sent_is_read_to_its_end() {
        let (read, end) = sent(&["ab", "", "c", "defgh"], true).await;
        assert_eq!(read, b"abcdefgh");
        assert_eq!(end.expect("a proper end"), 8);
    }

    #[tokio::test]
    async fn what_is_not_complete_does_not_end_as_if_it_were() {
        let (read, end) = sent(&["abc"], false).await;
        assert_eq!(read, b"abc");
        assert_eq!(end.expect_err("no proper end").kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn nothing_runs_that_is_not_read() {
        let (told, mut heard) = channel(9);
        let door = open(|out| async move {
            for piece in ["a", "b", "c", "d"] {
                told.send(piece).await.expect("somebody listens");
                out.send(piece.into()).await.expect("somebody reads");
            }
            true
        });
        let mut stream = door.connect(&address()).await.expect("a connection");
        assert!(heard.try_recv().is_err(), "nobody has read");
        assert_eq!(stream.read_u8().await.expect("a byte"), b'a');
        let mut begun = 0;
        while heard.try_recv().is_ok() {
            begun += 1;
        }
        assert!(begun <= 3, "one is read, one waits, one is being sent: {begun}");
        drop(stream);
        assert!(heard.recv().await.is_none(), "dropped with the connection");
    }
}
