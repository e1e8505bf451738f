//! The ledger at work: a handle for requests, a queue, and the threads behind it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::vocab::{GenerationId, NanoUsd};

use super::activity::{Activity, ActivityQuery};
use super::keys::{KeyEntry, KeyTable};
use super::query::{GenerationPage, GenerationQuery};
use super::record::GenerationRecord;
use super::store::OpenError;
use super::store::dir::Dir;
use super::store::index::{Store, StoreFailed};
use super::store::progress::Progress;

mod archivist;
mod hold;
mod life;
mod manage;
mod pace;
mod people;
mod queue;
mod recent;
mod recover;
mod scribe;
mod stats;
mod writer;

pub use hold::{Charge, Durable, Hold, HoldAsk, HoldRefused};
pub use manage::{Made, ManageError};
pub use queue::{Condition, LedgerDown, Tell};
pub use recover::Recovery;
pub use stats::{COMMIT_BUCKETS_US, Stats};

use archivist::Archivist;
use queue::{Op, Shared};
use recent::Records;
use recover::{Recovered, recover};
use writer::Writer;

/// The wall clock: milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How a ledger is run.
#[derive(Clone)]
pub struct Options {
    /// How many operations can wait for the writer, open holds' ends included: also the bound on
    /// open holds. From 16 to 1,048,576.
    pub queue_capacity: u32,
    /// The size at which a new journal segment is begun, in bytes.
    pub segment_bytes: u64,
    /// The time between two checkpoints of the index.
    pub checkpoint_every: Duration,
    /// How many entries make a checkpoint due earlier.
    pub checkpoint_entries: usize,
    /// Whether all generations can be found by their upstream id; otherwise only the newest can,
    /// until a restart. Off unless said otherwise: a row of the index for every generation costs
    /// twice as much as all else that the ledger does for it.
    pub index_upstream_ids: bool,
    /// How many full segments of the journal stay as they are; older ones are compressed into the
    /// archive.
    pub archive_keep: usize,
    /// How often full segments are looked for.
    pub archive_every: Duration,
    /// Is told when writing begins to fail, and when it works again; must not block.
    pub tell: Tell,
    /// Whether accounts may ask for their prompts and answers to be kept: there is a key for that.
    pub keeps_content: bool,
    /// The wall clock.
    pub clock: Clock,
    /// Makes every write to the journal fail while it is set.
    #[cfg(test)]
    pub(crate) broken: Arc<AtomicBool>,
}

impl Options {
    /// The defaults, with a wall clock in milliseconds since 1970.
    pub fn new(clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self {
            queue_capacity: 65_536,
            segment_bytes: 64 << 20,
            checkpoint_every: Duration::from_secs(1),
            checkpoint_entries: 100_000,
            index_upstream_ids: false,
            archive_keep: 2,
            archive_every: Duration::from_secs(10),
            tell: Arc::new(|_| {}),
            keeps_content: false,
            clock: Arc::new(clock),
            #[cfg(test)]
            broken: Arc::default(),
        }
    }
}

/// A ledger that is open. Clones are cheap and share it; when the last one is dropped it is closed.
///
/// Holds may outlive it: those that end after it was closed are ended by the next start, by their
/// progress.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("healthy", &self.healthy()).finish_non_exhaustive()
    }
}

struct Inner {
    shared: Arc<Shared>,
    table: Arc<ArcSwap<KeyTable>>,
    records: Arc<Records>,
    keeps_content: bool,
    threads: Mutex<Option<Threads>>,
}

struct Threads {
    writer: JoinHandle<Result<(), LedgerDown>>,
    indexer: JoinHandle<Result<(), LedgerDown>>,
    archivist: JoinHandle<()>,
    /// Dropped to end the archivist.
    stop_archivist: SyncSender<()>,
    store: Arc<dyn Store>,
    /// Locked until the threads are done.
    dir: Dir,
}

impl Ledger {
    /// Opens the ledger in a directory, or makes one, and recovers what a crash left behind.
    ///
    /// # Errors
    /// Another process uses it, it cannot be read or written, or it is corrupt.
    pub fn open(root: impl AsRef<Path>, options: Options) -> Result<(Self, Recovery), OpenError> {
        let dir = Dir::create(root.as_ref())?;
        let slots = options.queue_capacity.clamp(16, 1 << 20);
        let recovered = recover(&dir, &options)?;
        let secret = dir.secret(recovered.scribe.state.keys.is_empty())?;
        // Only now are the notes of the last process of no more use.
        let path = dir.progress();
        let progress = Progress::create(&path, slots).map_err(OpenError::at(&path))?;
        let recovery = recovered.recovery.clone();
        let shared = Arc::new(Shared::new(slots as usize, progress, Arc::clone(&options.tell)));
        let table = KeyTable::of(&recovered.scribe.state, secret);
        Self::start(dir, recovered, shared, table, options).map(|ledger| (ledger, recovery))
    }

    fn start(
        dir: Dir,
        recovered: Recovered,
        shared: Arc<Shared>,
        table: KeyTable,
        options: Options,
    ) -> Result<Self, OpenError> {
        let Recovered { scribe, store, records, recovery: _ } = recovered;
        #[cfg(test)]
        let scribe = {
            let mut scribe = scribe;
            scribe.journal.broken = options.broken;
            scribe
        };
        let keeps_content = options.keeps_content;
        let table = Arc::new(ArcSwap::from_pointee(table));
        let (jobs, work) = std::sync::mpsc::sync_channel(1);
        let busy = Arc::new(AtomicBool::new(false));
        let writer = Writer {
            shared: Arc::clone(&shared),
            scribe,
            records: Arc::clone(&records),
            table: Arc::clone(&table),
            jobs,
            indexer_busy: Arc::clone(&busy),
            clock: options.clock,
            checkpoint_every: options.checkpoint_every,
            checkpoint_entries: options.checkpoint_entries,
            upstream_ids: options.index_upstream_ids,
            watch: Vec::new(),
        };
        let indexer = {
            let (shared, records) = (Arc::clone(&shared), Arc::clone(&records));
            let store = Arc::clone(&store);
            spawn("ledger-index", move || writer::index(&shared, &*store, &records, &busy, &work))?
        };
        let writer = {
            let shared = Arc::clone(&shared);
            spawn("ledger-writer", move || {
                let _alarm = Alarm(&shared);
                writer.run()
            })?
        };
        let (stop_archivist, stop) = std::sync::mpsc::sync_channel(1);
        let archivist = {
            let (keep, every) = (options.archive_keep, options.archive_every);
            let segments = dir.segments();
            let archivist = Archivist { shared: Arc::clone(&shared), segments, keep, every };
            spawn("ledger-archive", move || archivist.run(&stop))?
        };
        let threads = Threads { writer, indexer, archivist, stop_archivist, store, dir };
        let threads = Mutex::new(Some(threads));
        Ok(Self { inner: Arc::new(Inner { shared, table, records, keeps_content, threads }) })
    }

    /// The keys and accounts as they are now.
    pub fn keys(&self) -> arc_swap::Guard<Arc<KeyTable>> {
        self.inner.table.load()
    }

    /// Sets credit aside for a generation. Does not wait for the disk: see [`Hold::durable`].
    ///
    /// The balance never goes below zero by more than what open generations cost beyond their
    /// holds, since a charge is always posted in full.
    ///
    /// # Errors
    /// The account's credit or the key's limit does not reach, or the ledger is overloaded, closed
    /// or cannot write.
    pub fn hold(&self, key: &Arc<KeyEntry>, ask: HoldAsk) -> Result<Hold, HoldRefused> {
        Hold::place(&self.inner.shared, key, ask)
    }

    /// As [`Self::hold`]; but the generation may get another id than the one that is asked with,
    /// made up to a second before: that of a hold which is durable already
    /// ([`Hold::generation`] says which). For busy keys, so that nobody waits for the disk.
    ///
    /// # Errors
    /// Those of [`Self::hold`].
    pub fn hold_ahead(&self, key: &Arc<KeyEntry>, ask: HoldAsk) -> Result<Hold, HoldRefused> {
        Hold::place_ahead(&self.inner.shared, key, ask)
    }

    /// Keeps the record of a generation that cost nothing and had no hold. Does not wait.
    ///
    /// # Errors
    /// The record has a cost (which needs a hold), or the ledger is overloaded, closed or cannot
    /// write.
    pub fn record(&self, mut record: GenerationRecord) -> Result<(), RecordRefused> {
        if record.cost != NanoUsd::ZERO {
            return Err(RecordRefused::Charged);
        }
        if !self.healthy() {
            return Err(RecordRefused::Unavailable);
        }
        record.bound();
        let op = Op::Record(Box::new(record));
        self.inner.shared.push(op).map_err(|_| RecordRefused::Unavailable)?;
        Ok(())
    }

    /// The record of a generation that has ended. One that is not among the newest is read from
    /// disk.
    ///
    /// # Errors
    /// The disk cannot be read, or the ledger is closed.
    pub fn generation(
        &self,
        id: GenerationId,
    ) -> Result<Option<Arc<GenerationRecord>>, StoreFailed> {
        self.inner.records.find(id)
    }

    /// The newest generation that a provider gave this id.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn generation_by_upstream(
        &self,
        upstream: &str,
    ) -> Result<Option<Arc<GenerationRecord>>, StoreFailed> {
        self.inner.records.find_upstream(upstream)
    }

    /// A page of generations that have ended, the last that ended first.
    ///
    /// # Errors
    /// The disk cannot be read, or the ledger is closed.
    pub fn generations(&self, query: &GenerationQuery) -> Result<GenerationPage, StoreFailed> {
        self.inner.records.list(query)
    }

    /// What each day adds up to, by account, key, model and endpoint, in this order. Of today
    /// everything counts that ended before the last checkpoint, usually a second ago.
    ///
    /// # Errors
    /// The disk cannot be read, or the ledger is closed.
    pub fn activity(&self, query: &ActivityQuery) -> Result<Vec<Activity>, StoreFailed> {
        self.inner.records.activity(query)
    }

    /// Whether holds are taken: the ledger is open and can write.
    pub fn healthy(&self) -> bool {
        self.inner.shared.healthy()
    }

    /// The ledger's numbers now.
    pub fn stats(&self) -> Stats {
        let shared = &self.inner.shared;
        let (queue_depth, open_holds) = shared.depth();
        let mut stats = Stats {
            queue_depth,
            open_holds,
            held: NanoUsd(shared.held.load(Ordering::Relaxed)),
            healthy: shared.healthy(),
            ..Stats::default()
        };
        shared.counters.read(&mut stats);
        stats
    }

    /// Writes everything that waits, brings the index up to date, and gives the directory free.
    /// No hold is taken from now on. Calling it again does nothing.
    ///
    /// # Errors
    /// Not everything could be written: holds whose ends are missing are ended by the next start.
    pub fn close(&self) -> Result<(), LedgerDown> {
        self.inner.close()
    }
}

/// Why a record was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordRefused {
    /// It has a cost, which needs a hold.
    Charged,
    /// The ledger is overloaded, closed or cannot write.
    Unavailable,
}

impl fmt::Display for RecordRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Charged => "a generation that costs something needs a hold",
            Self::Unavailable => "the ledger cannot write at the moment",
        })
    }
}

impl std::error::Error for RecordRefused {}

impl Inner {
    fn close(&self) -> Result<(), LedgerDown> {
        let mut threads = self.threads.lock();
        let Some(threads) = threads.take() else { return Ok(()) };
        let Threads { writer, indexer, archivist, stop_archivist, store, dir } = threads;
        self.shared.close();
        drop(stop_archivist);
        let written = writer.join().unwrap_or(Err(LedgerDown));
        let indexed = indexer.join().unwrap_or(Err(LedgerDown));
        let archived = archivist.join().map_err(|_| LedgerDown);
        store.close();
        drop(dir);
        written.and(indexed).and(archived)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Nobody is left to be told; the next start recovers what is missing.
        let _closed_or_recovered_later = self.close();
    }
}

/// Says that the writer has ended, and takes the ledger down if it ended by a panic.
struct Alarm<'a>(&'a Shared);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.mark(queue::BUG, true);
        }
        self.0.writer_gone.store(true, Ordering::Release);
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, OpenError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|error| OpenError::Io(name.into(), error))
}

#[cfg(test)]
mod tests;
