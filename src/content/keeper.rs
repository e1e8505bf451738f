//! The queue, and the thread that empties it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;

use super::seal::SALT_LEN;
use super::{Folder, Kept, MasterKey, Owner};
use crate::vocab::AccountId;

/// How many jobs can wait; their bytes are bounded apart from that.
const JOBS_MAX: usize = 4_096;

/// How often the thread looks for days that are over.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

const DAY_MS: u64 = 86_400_000;

/// What is kept at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// All files together, in bytes.
    pub bytes_max: u64,
    /// One request with its answer, in bytes.
    pub generation_bytes_max: u64,
    /// All that waits to be written, in bytes.
    pub queue_bytes_max: u64,
}

/// Something to be kept.
#[derive(Debug)]
pub struct Job {
    /// Whose.
    pub owner: Owner,
    /// The last day on which it is kept, counted from 1970.
    pub last_day: u64,
    /// Random bytes.
    pub salt: [u8; SALT_LEN],
    /// What.
    pub kept: Kept,
}

/// What was kept and what was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Generations written.
    pub written: u64,
    /// Generations that were too large, or found the queue or the disk's share full.
    pub dropped: u64,
    /// Generations and sweeps that the disk refused.
    pub failed: u64,
    /// Bytes of all files, as of the last count.
    pub bytes: u64,
}

#[derive(Default)]
struct Counters {
    written: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    bytes: AtomicU64,
    queued: AtomicU64,
}

/// Keeps content, and hands it out.
pub struct Keeper {
    folder: Folder,
    key: Arc<MasterKey>,
    limits: Limits,
    counters: Arc<Counters>,
    queue: Mutex<Option<SyncSender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Keeper {
    /// Starts the thread. `clock` tells the milliseconds since 1970.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(
        folder: Folder,
        key: MasterKey,
        limits: Limits,
        clock: impl Fn() -> u64 + Send + 'static,
    ) -> std::io::Result<Self> {
        let (queue, jobs) = sync_channel(JOBS_MAX);
        let (key, counters) = (Arc::new(key), Arc::new(Counters::default()));
        let worker = Worker {
            folder: folder.clone(),
            key: Arc::clone(&key),
            limits,
            counters: Arc::clone(&counters),
            clock: Box::new(clock),
        };
        let thread =
            thread::Builder::new().name("content".to_owned()).spawn(move || worker.run(&jobs))?;
        let (queue, thread) = (Mutex::new(Some(queue)), Mutex::new(Some(thread)));
        Ok(Self { folder, key, limits, counters, queue, thread })
    }

    /// How much of one generation is worth gathering, in bytes.
    pub const fn generation_bytes_max(&self) -> u64 {
        self.limits.generation_bytes_max
    }

    /// Has something kept. Never waits: what does not fit is dropped and counted.
    pub fn keep(&self, job: Job) {
        let len = job.kept.len() as u64;
        let counters = &self.counters;
        let waiting = counters.queued.fetch_add(len, Ordering::Relaxed);
        let fits = len <= self.limits.generation_bytes_max
            && waiting.saturating_add(len) <= self.limits.queue_bytes_max;
        let taken =
            fits && self.queue.lock().as_ref().is_some_and(|queue| queue.try_send(job).is_ok());
        if !taken {
            counters.queued.fetch_sub(len, Ordering::Relaxed);
            self.dropped();
        }
    }

    /// Counts something that was too large to be gathered.
    pub fn dropped(&self) {
        self.counters.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// What is kept of a generation at this time, in milliseconds since 1970.
    ///
    /// # Errors
    /// The file cannot be read, or not be opened with this key.
    pub fn find(&self, owner: &Owner, now_ms: u64) -> std::io::Result<Option<Kept>> {
        let Some(file) = self.folder.read(owner, now_ms / DAY_MS)? else { return Ok(None) };
        let text = self.key.open(owner, &file).map_err(std::io::Error::other)?;
        let kept = Kept::read(&text).ok_or_else(|| std::io::Error::other("not what was kept"))?;
        Ok(Some(kept))
    }

    /// Deletes what is kept of a generation; says whether there was something.
    ///
    /// # Errors
    /// The file system's: then it may still be there.
    pub fn delete(&self, owner: &Owner) -> std::io::Result<bool> {
        let len = self.folder.delete(owner)?;
        self.freed(len.unwrap_or(0));
        Ok(len.is_some())
    }

    /// Deletes all that is kept of an account; says how many generations that were.
    ///
    /// # Errors
    /// The file system's: then some may still be there.
    pub fn delete_account(&self, account: &AccountId) -> std::io::Result<u64> {
        let (count, bytes) = self.folder.delete_account(account)?;
        self.freed(bytes);
        Ok(count)
    }

    fn freed(&self, bytes: u64) {
        let less = |known: u64| Some(known.saturating_sub(bytes));
        // The closure always has a value.
        let _before = self.counters.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// What was kept and what was not.
    pub fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            written: read(&self.counters.written),
            dropped: read(&self.counters.dropped),
            failed: read(&self.counters.failed),
            bytes: read(&self.counters.bytes),
        }
    }

    /// Writes what waits, and ends the thread. Nothing is kept from now on.
    pub fn close(&self) {
        drop(self.queue.lock().take());
        if let Some(thread) = self.thread.lock().take() {
            // A panic of the thread has been told by its own message.
            let _ended = thread.join();
        }
    }
}

struct Worker {
    folder: Folder,
    key: Arc<MasterKey>,
    limits: Limits,
    counters: Arc<Counters>,
    clock: Box<dyn Fn() -> u64 + Send>,
}

impl Worker {
    fn run(self, jobs: &Receiver<Job>) {
        let mut swept = self.sweep();
        loop {
            match jobs.recv_timeout(SWEEP_EVERY) {
                Ok(job) => self.write(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if (self.clock)() / DAY_MS != swept {
                swept = self.sweep();
            }
        }
    }

    /// Removes what is over and counts what is left; returns today.
    fn sweep(&self) -> u64 {
        let today = (self.clock)() / DAY_MS;
        let counted = self.folder.sweep(today).and_then(|()| self.folder.bytes());
        match counted {
            Ok(bytes) => self.counters.bytes.store(bytes, Ordering::Relaxed),
            Err(error) => {
                self.counters.failed.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, "Kept content whose time is over could not be removed.");
            }
        }
        today
    }

    fn write(&self, job: Job) {
        let Job { owner, last_day, salt, kept } = job;
        let counters = &self.counters;
        counters.queued.fetch_sub(kept.len() as u64, Ordering::Relaxed);
        let text = kept.write();
        let sealed = self.key.seal(&owner, &salt, &text).map_err(std::io::Error::other);
        let written = sealed.and_then(|sealed| {
            let len = sealed.len() as u64;
            if counters.bytes.load(Ordering::Relaxed) + len > self.limits.bytes_max {
                return Ok(None);
            }
            self.folder.write(last_day, &owner, &sealed).map(|()| Some(len))
        });
        match written {
            Ok(Some(len)) => {
                counters.written.fetch_add(1, Ordering::Relaxed);
                counters.bytes.fetch_add(len, Ordering::Relaxed);
            }
            Ok(None) => {
                counters.dropped.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                let before = counters.failed.fetch_add(1, Ordering::Relaxed);
                // The first says it; the counter says the rest.
                if before == 0 {
                    tracing::error!(%error, "Content could not be kept.");
                }
            }
        }
    }
}
