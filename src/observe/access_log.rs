//! Writes access lines without ever making a request wait.
//!
//! A line is spelled on the thread of its request and appended to a shared buffer under a lock
//! that is held for one copy. A thread of its own writes the buffer out: it wakes when the buffer
//! stops being empty, waits a few milliseconds for more, swaps the buffer for an empty one and
//! writes it in one call. A channel would cost an allocation per line and a wake-up per line.
//!
//! If the output is slower than the requests, the buffer fills to its bound, and further lines are
//! dropped and counted: a full disk or a stuck pipe must not stop the gateway.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::access::AccessLine;

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, which is appended to.
    File(PathBuf),
}

/// How lines are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    /// One JSON object per line.
    Json,
    /// `name=value` pairs.
    Text,
}

/// The bound of the buffer that is used unless the configuration says otherwise, in bytes.
pub const BUFFER_BYTES_DEFAULT: usize = 4 << 20;
/// How long the writer waits for more lines once there is one.
const BATCH: Duration = Duration::from_millis(25);

/// The access log. Shared by reference. Dropping it lets the writer finish what it has in the
/// background; [`Self::close`] waits for that.
pub struct AccessLog {
    shared: Arc<Shared>,
    format: LineFormat,
    bytes_max: usize,
}

impl std::fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessLog").field("format", &self.format).finish_non_exhaustive()
    }
}

struct Shared {
    pending: Mutex<Pending>,
    /// Signalled when the writer has something to do.
    work: Condvar,
    /// Signalled when the writer has done something.
    done: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    lines: u64,
    /// Lines that were ever appended.
    appended: u64,
    /// Of those, lines that are written or lost.
    settled: u64,
    urgent: bool,
    reopen: bool,
    closing: bool,
    closed: bool,
}

impl AccessLog {
    /// Opens the target and starts the writer thread. `bytes_max` bounds what waits to be written
    /// (what is being written may be as much again).
    ///
    /// # Errors
    /// The file cannot be opened, or the thread cannot be started.
    pub fn start(target: Target, format: LineFormat, bytes_max: usize) -> io::Result<Self> {
        let sink: Sink = match target {
            Target::Stdout => Sink::Stream(Box::new(io::stdout())),
            Target::Stderr => Sink::Stream(Box::new(io::stderr())),
            Target::File(path) => Sink::File(open(&path)?, path),
        };
        Self::start_sink(sink, format, bytes_max)
    }

    /// As [`Self::start`], with any output.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start_on(
        output: Box<dyn Write + Send>,
        format: LineFormat,
        bytes_max: usize,
    ) -> io::Result<Self> {
        Self::start_sink(Sink::Stream(output), format, bytes_max)
    }

    fn start_sink(sink: Sink, format: LineFormat, bytes_max: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            pending: Mutex::default(),
            work: Condvar::new(),
            done: Condvar::new(),
            dropped: AtomicU64::new(0),
        });
        let writer = Writer { shared: Arc::clone(&shared), sink, failing: false };
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run())?;
        Ok(Self { shared, format, bytes_max })
    }

    /// Appends a line. Returns `false` if it was dropped, because the buffer is full or the log
    /// is closed. Never waits for the output.
    pub fn write(&self, line: &AccessLine) -> bool {
        thread_local! {
            static SPELLED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        SPELLED.with_borrow_mut(|spelled| {
            spelled.clear();
            match self.format {
                LineFormat::Json => line.write_json(spelled),
                LineFormat::Text => line.write_text(spelled),
            }
            self.append(spelled)
        })
    }

    /// Appends a line that is spelled already, its line break included. As [`Self::write`].
    pub fn append(&self, line: &[u8]) -> bool {
        let mut pending = self.shared.pending.lock();
        if pending.closing || pending.bytes.len() + line.len() > self.bytes_max {
            drop(pending);
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let wake = pending.bytes.is_empty();
        pending.bytes.extend_from_slice(line);
        pending.lines += 1;
        pending.appended += 1;
        // The writer must not sleep through its batch time while the buffer runs full.
        let half_full = pending.bytes.len() >= self.bytes_max / 2 && !pending.urgent;
        pending.urgent |= half_full;
        drop(pending);
        if wake || half_full {
            self.shared.work.notify_one();
        }
        true
    }

    /// Lines that were lost: the buffer was full, the output failed, or the log was closed.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Waits until every line appended so far is written (or lost); `false` if that takes longer
    /// than `limit`.
    pub fn flush(&self, limit: Duration) -> bool {
        let mut pending = self.shared.pending.lock();
        let goal = pending.appended;
        if pending.settled >= goal {
            return true;
        }
        pending.urgent = true;
        self.shared.work.notify_one();
        !self.shared.done.wait_while_for(&mut pending, |p| p.settled < goal, limit).timed_out()
    }

    /// Has the file opened anew by its path, after it was moved away. No effect on streams. If
    /// that fails, the old file stays in use and the failure is logged.
    pub fn reopen(&self) {
        self.shared.pending.lock().reopen = true;
        self.shared.work.notify_one();
    }

    /// Takes no more lines and waits until the rest is written; `false` if that takes longer than
    /// `limit`, because the output is stuck.
    pub fn close(&self, limit: Duration) -> bool {
        let mut pending = self.shared.pending.lock();
        pending.closing = true;
        self.shared.work.notify_one();
        !self.shared.done.wait_while_for(&mut pending, |p| !p.closed, limit).timed_out()
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.shared.pending.lock().closing = true;
        self.shared.work.notify_one();
    }
}

enum Sink {
    Stream(Box<dyn Write + Send>),
    File(File, PathBuf),
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stream(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Self::File(file, _) => file.write_all(bytes),
        }
    }
}

fn open(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

struct Writer {
    shared: Arc<Shared>,
    sink: Sink,
    failing: bool,
}

impl Writer {
    fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            let (lines, reopen, last) = self.next(&mut batch);
            if reopen {
                self.reopen();
            }
            if !batch.is_empty() {
                let result = self.sink.write(&batch);
                self.note(&result, lines);
                batch.clear();
            }
            let mut pending = self.shared.pending.lock();
            pending.settled += lines;
            pending.closed = last;
            self.shared.done.notify_all();
            if last {
                return;
            }
        }
    }

    /// Waits for work and takes it: how many lines are in `batch`, whether to reopen the file,
    /// and whether this was the last.
    fn next(&self, batch: &mut Vec<u8>) -> (u64, bool, bool) {
        let mut pending = self.shared.pending.lock();
        self.shared
            .work
            .wait_while(&mut pending, |p| p.bytes.is_empty() && !p.closing && !p.reopen);
        self.shared.work.wait_while_for(
            &mut pending,
            |p| !p.closing && !p.urgent && !p.reopen,
            BATCH,
        );
        std::mem::swap(&mut pending.bytes, batch);
        pending.urgent = false;
        let lines = std::mem::take(&mut pending.lines);
        (lines, std::mem::take(&mut pending.reopen), pending.closing)
    }

    fn reopen(&mut self) {
        if let Sink::File(file, path) = &mut self.sink {
            match open(path) {
                Ok(new) => *file = new,
                Err(error) => {
                    tracing::error!(%error, "The access log cannot be opened anew.");
                }
            }
        }
    }

    /// Counts lost lines; logs the first failure of a row and the recovery.
    fn note(&mut self, result: &io::Result<()>, lines: u64) {
        match result {
            Ok(()) if self.failing => {
                self.failing = false;
                tracing::info!("The access log is written again.");
            }
            Ok(()) => {}
            Err(error) => {
                self.shared.dropped.fetch_add(lines, Ordering::Relaxed);
                if !self.failing {
                    self.failing = true;
                    tracing::error!(%error, "The access log cannot be written; lines are lost.");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
