//! The thread that packs old segments. It shares nothing with the writer: full segments are only
//! read, and what it writes are other files.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::ledger::store::compact::compact;
use crate::ledger::store::files::Files;
use crate::ledger::store::segments::Segments;

use super::queue::{Condition, Shared};

/// How often the time between two tries doubles at most.
const DOUBLINGS_MAX: u32 = 8;

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
    /// Works until the other end of `stop` is dropped. What fails is told once, and tried again
    /// less and less often: the journal holds what the archive does not, so nothing is lost.
    pub(super) fn run(self, stop: &Receiver<()>) {
        let mut failures = 0;
        while stop.recv_timeout(pause(self.every, failures)) == Err(RecvTimeoutError::Timeout) {
            let counters = &self.shared.counters;
            let closing = || self.shared.closing();
            match compact(&self.segments, self.keep, &Files::default(), &closing) {
                Ok(done) => {
                    counters.archived_segments.fetch_add(done.segments, Ordering::Relaxed);
                    if failures > 0 {
                        self.shared.tell(&Condition::Archives);
                    }
                    failures = 0;
                }
                Err(error) => {
                    counters.archive_errors.fetch_add(1, Ordering::Relaxed);
                    if failures == 0 {
                        self.shared.tell(&Condition::ArchiveFails(error.to_string()));
                    }
                    failures += 1;
                }
            }
        }
    }
}

/// The time until it looks again, after so many failures in a row.
fn pause(every: Duration, failures: u32) -> Duration {
    every.saturating_mul(1 << failures.min(DOUBLINGS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_make_it_patient() {
        let every = Duration::from_secs(10);
        assert_eq!(pause(every, 0), every);
        assert_eq!(pause(every, 3), 8 * every);
        assert_eq!(pause(every, u32::MAX), 256 * every);
        assert_eq!(pause(Duration::MAX, 5), Duration::MAX);
    }
}
