//! Plays a script as an HTTP body, on time.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::conn::Conn;
use super::replay::End;
use super::script::{Piece, Script};
use super::state::InFlight;

/// A body that follows its script's times.
pub(super) struct Play {
    wire: Bytes,
    pieces: Arc<[Piece]>,
    next: usize,
    /// Where the next piece starts.
    at: usize,
    /// When the header was handed over.
    start: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
    /// While a cut waits for the socket.
    turn: Option<Pin<Box<Sleep>>>,
    end: End,
    /// How many more times a cut lets the connection flush.
    flushes: u8,
    sized: bool,
    error: bool,
    conn: Arc<Conn>,
    guard: InFlight,
}

impl Play {
    pub(super) fn new(script: Script, conn: Arc<Conn>, mut guard: InFlight) -> Self {
        let error = script.status.as_u16() >= 400;
        if script.wire.is_empty() && script.end == End::Clean {
            // A body that is over before it starts is never polled.
            guard.complete(error);
        }
        let timed = script.pieces.iter().any(|piece| piece.due > Duration::ZERO);
        Self {
            wire: script.wire,
            pieces: script.pieces,
            next: 0,
            at: 0,
            start: timed.then(Instant::now),
            sleep: None,
            turn: None,
            end: script.end,
            flushes: 2,
            sized: script.sized,
            error,
            conn,
            guard,
        }
    }

    /// Ready when the next piece is due.
    fn wait(&mut self, due: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let Some(start) = self.start.filter(|_| due > Duration::ZERO) else {
            return Poll::Ready(());
        };
        let at = start + due;
        let sleep = match &mut self.sleep {
            Some(sleep) => {
                if sleep.deadline() != at {
                    sleep.as_mut().reset(at);
                }
                sleep
            }
            None => self.sleep.insert(Box::pin(sleep_until(at))),
        };
        sleep.as_mut().poll(cx)
    }

    fn finish(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.end {
            End::Clean => {
                self.guard.complete(self.error);
                Poll::Ready(None)
            }
            End::Hang => Poll::Pending,
            End::Cut | End::Reset => {
                ready!(self.flushed(cx));
                if self.end == End::Reset {
                    self.conn.reset_on_close();
                }
                self.guard.broken();
                Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())))
            }
        }
    }

    /// An error ends the connection at once and would take what is still buffered with it: so the
    /// connection gets turns to write before it, and time while its socket is full.
    fn flushed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.flushes > 0 {
            if let Some(turn) = &mut self.turn {
                ready!(turn.as_mut().poll(cx));
                self.turn = None;
            }
            if self.conn.is_blocked() {
                self.turn = Some(Box::pin(sleep(Duration::from_millis(1))));
                continue;
            }
            self.flushes -= 1;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl Body for Play {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        while let Some(piece) = this.pieces.get(this.next).copied() {
            ready!(this.wait(piece.due, cx));
            this.next += 1;
            let data = this.wire.slice(this.at..piece.end);
            this.at = piece.end;
            if data.is_empty() {
                continue;
            }
            this.guard.sent(data.len());
            if this.at == this.wire.len() && this.end == End::Clean {
                this.guard.complete(this.error);
            }
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        this.finish(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.end == End::Clean && self.at == self.wire.len()
    }

    fn size_hint(&self) -> SizeHint {
        if self.sized {
            SizeHint::with_exact((self.wire.len() - self.at) as u64)
        } else {
            SizeHint::default()
        }
    }
}
