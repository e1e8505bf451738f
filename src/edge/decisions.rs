//! The file of decisions: what each was made from, a JSON object per line.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::observe::access_log::BUFFER_BYTES_DEFAULT;
use crate::observe::{AccessLog, LineFormat, Target};
use crate::route::Record;

/// Appends records without making a request wait, up to a size.
pub(crate) struct Decisions {
    log: AccessLog,
    path: PathBuf,
    bytes_max: u64,
    /// Bytes that the file may still grow by.
    left: AtomicU64,
    full: AtomicBool,
}

impl Decisions {
    /// Opens the file; what it holds already counts.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn open(path: &Path, bytes_max: u64) -> io::Result<Self> {
        let log =
            AccessLog::start(Target::File(path.into()), LineFormat::Json, BUFFER_BYTES_DEFAULT)?;
        let (path, left) = (path.to_owned(), AtomicU64::new(0));
        let opened = Self { log, path, bytes_max, left, full: AtomicBool::new(false) };
        opened.measure();
        Ok(opened)
    }

    /// Waits until all is written, at most this long; `false` if that was not enough.
    pub(crate) fn close(&self, limit: Duration) -> bool {
        self.log.close(limit)
    }

    /// Has the file opened anew by its path, after it was moved away.
    pub(crate) fn reopen(&self) {
        self.log.reopen();
        self.measure();
    }

    /// What the file holds already counts; one that is not there holds nothing.
    fn measure(&self) {
        let held = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        self.left.store(self.bytes_max.saturating_sub(held), Ordering::Relaxed);
        self.full.store(false, Ordering::Relaxed);
    }

    /// Appends a record, unless the file is full or its disk too slow: the first is said once, the
    /// second is counted by the log.
    pub(crate) fn write(&self, record: &Record) {
        let mut line = match serde_json::to_vec(record) {
            Ok(line) => line,
            Err(error) => {
                tracing::error!(%error, "A decision cannot be written.");
                return;
            }
        };
        line.push(b'\n');
        let take = |left: u64| left.checked_sub(line.len() as u64);
        if self.left.try_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
            self.log.append(&line);
        } else if !self.full.swap(true, Ordering::Relaxed) {
            tracing::warn!("The file of decisions is full; no more are written.");
        }
    }
}
