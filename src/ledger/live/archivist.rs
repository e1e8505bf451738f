//! The thread that packs old segments. It shares nothing with the writer: full segments are only
//! read, and what it writes are other files.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::ledger::store::compact::compact;
use crate::ledger::store::files::Files;
use crate::ledger::store::segments::Segments;

use super::queue::Shared;

/// Packs segments.
pub(super) struct Archivist {
    pub(super) shared: Arc<Shared>,
    pub(super) segments: Segments,
    /// How many full segments stay as they are.
    pub(super) keep: usize,
    /// How often it looks for more.
    pub(super) every: Duration,
}

impl Archivist {
    /// Works until the other end of `stop` is dropped.
    pub(super) fn run(self, stop: &Receiver<()>) {
        while stop.recv_timeout(self.every) == Err(RecvTimeoutError::Timeout) {
            let counters = &self.shared.counters;
            let closing = || self.shared.closing();
            match compact(&self.segments, self.keep, &Files::default(), &closing) {
                Ok(done) => {
                    counters.archived_segments.fetch_add(done.segments, Ordering::Relaxed);
                }
                // The journal holds what the archive does not: nothing is lost, and it tries again.
                Err(_) => {
                    counters.archive_errors.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}
