//! A limit on the time to the first token that is shorter than the limit between two reads.
//!
//! Pingora has one read timeout per attempt, fixed before the request is sent. Where the limit on
//! the first token is the shorter one, a timer shuts the HTTP/1 connection's socket down, which
//! ends the read with an error; [`Watchdog::fired`] then tells why. The file descriptor is
//! duplicated, so that its number cannot have passed to another connection meanwhile. A shared
//! HTTP/2 connection must not be cut: there the read timeout alone holds.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::socket::{Shutdown, shutdown};

/// Cuts an upstream connection unless it is dropped in time.
pub(super) struct Watchdog {
    fired: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Watchdog {
    /// Starts the timer for the connection behind `fd`; `None` if the process is out of file
    /// descriptors (the read timeout still holds).
    pub(super) fn arm(fd: RawFd, after: Duration) -> Option<Self> {
        let own = Duplicate(nix::unistd::dup(fd).ok()?);
        let fired = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&fired);
        let task = tokio::spawn(async move {
            tokio::time::sleep(after).await;
            flag.store(true, Ordering::Release);
            if let Err(error) = shutdown(own.0, Shutdown::Both) {
                tracing::debug!(%error, "The connection was closed before its watchdog fired.");
            }
        });
        Some(Self { fired, task })
    }

    /// Whether it was this timer that cut the connection.
    pub(super) fn fired(&self) -> bool {
        self.fired.load(Ordering::Acquire)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A file descriptor of our own, closed when dropped.
struct Duplicate(RawFd);

impl Drop for Duplicate {
    fn drop(&mut self) {
        if let Err(error) = nix::unistd::close(self.0) {
            tracing::warn!(%error, "A duplicated file descriptor could not be closed.");
        }
    }
}
