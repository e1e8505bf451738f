//! Two limits where Pingora has one: on the time to the first token, and on silence after it.
//!
//! Pingora has one read timeout per attempt, fixed before the request is sent: the longer of the
//! two. For the shorter one a timer shuts the HTTP/1 connection's socket down, which ends the read
//! with an error; [`Watchdog::fired`] then tells why. The file descriptor is duplicated, so that
//! its number cannot have passed to another connection meanwhile. A shared HTTP/2 connection must
//! not be cut: there the read timeout alone holds.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::socket::{MsgFlags, Shutdown, recv, shutdown};

/// Cuts an upstream connection unless it is dropped in time.
pub(super) struct Watchdog {
    fired: Arc<AtomicBool>,
    beats: Arc<AtomicU32>,
    task: tokio::task::JoinHandle<()>,
}

/// Silence is looked for this many times per limit, so that it is found at most so much too late.
const LOOKS: u32 = 4;

impl Watchdog {
    /// Starts the timer for the connection behind `fd`; `None` if the process is out of file
    /// descriptors (the read timeout still holds).
    pub(super) fn arm(fd: RawFd, after: Duration) -> Option<Self> {
        Self::start(fd, move |_, _| tokio::time::sleep(after))
    }

    /// Fires when no [`Self::beat`] has come for so long and nothing has arrived that we have not
    /// read: a client that reads slowly is not the provider's silence.
    pub(super) fn watch_gaps(fd: RawFd, limit: Duration) -> Option<Self> {
        Self::start(fd, move |fd, beats| async move {
            let (mut last, mut quiet) = (beats.load(Ordering::Relaxed), 0);
            while quiet < LOOKS {
                tokio::time::sleep(limit / LOOKS).await;
                let now = beats.load(Ordering::Relaxed);
                quiet = if now == last && !has_unread(fd) { quiet + 1 } else { 0 };
                last = now;
            }
        })
    }

    fn start<F>(fd: RawFd, wait: impl FnOnce(RawFd, Arc<AtomicU32>) -> F) -> Option<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let own = Duplicate(nix::unistd::dup(fd).ok()?);
        let (fired, beats) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let flag = Arc::clone(&fired);
        let wait = wait(own.0, Arc::clone(&beats));
        let task = tokio::spawn(async move {
            wait.await;
            flag.store(true, Ordering::Release);
            own.cut();
        });
        Some(Self { fired, beats, task })
    }

    /// Something came.
    pub(super) fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it was this timer that cut the connection.
    pub(super) fn fired(&self) -> bool {
        self.fired.load(Ordering::Acquire)
    }
}

/// Whether bytes wait in the socket.
fn has_unread(fd: RawFd) -> bool {
    recv(fd, &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT).is_ok_and(|n| n > 0)
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A file descriptor of our own, closed when dropped.
struct Duplicate(RawFd);

impl Duplicate {
    /// Takes the whole value on purpose: a block that names only the number would copy that and
    /// leave the descriptor to be closed, and its number to be given to another connection.
    fn cut(self) {
        if let Err(error) = shutdown(self.0, Shutdown::Both) {
            tracing::debug!(%error, "The connection was closed before its watchdog fired.");
        }
    }
}

impl Drop for Duplicate {
    fn drop(&mut self) {
        if let Err(error) = nix::unistd::close(self.0) {
            tracing::warn!(%error, "A duplicated file descriptor could not be closed.");
        }
    }
}
