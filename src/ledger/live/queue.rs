//! Between the requests and the writer: the queue, what is durable, and who waits for it.
//!
//! Every operation gets a ticket, counted from 1 in queue order. The writer commits in that order
//! and publishes the last durable ticket, so "is my hold durable?" is one atomic load.
//!
//! The queue is bounded in a way that an end always fits: a hold is only let in if there is room
//! for it *and* for its end, for every hold that is open.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::ledger::entry::{Cause, Event};
use crate::ledger::keys::KeyEntry;
use crate::ledger::record::GenerationRecord;
use crate::ledger::state::Refused;
use crate::ledger::store::progress::Progress;
use crate::vocab::{GenerationId, NanoUsd};

use super::pace::Pause;
use super::stats::Counters;

/// While nothing comes for so long, a group in which all wait is not kept waiting.
const QUIET: Duration = Duration::from_micros(500);

/// The most operations in one commit.
pub(crate) const GROUP_MAX: usize = 512;

/// The ledger cannot make anything durable at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerDown;

impl fmt::Display for LedgerDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the ledger cannot write at the moment")
    }
}

impl std::error::Error for LedgerDown {}

/// What the writer is asked to do.
pub(crate) enum Op {
    Hold {
        key: Arc<KeyEntry>,
        generation: GenerationId,
        granted: NanoUsd,
        placed_ms: u64,
    },
    /// A hold for whoever asks next.
    Ahead {
        key: Arc<KeyEntry>,
        generation: GenerationId,
        placed_ms: u64,
    },
    End(Box<End>),
    Record(Box<GenerationRecord>),
    Manage(Box<Event>, Arc<Reply>),
    /// A transfer for which there is no credit: it is only asked whether it was made before.
    Repeat(Box<Event>, Arc<Reply>),
}

/// The end of a hold.
pub(crate) struct End {
    pub(crate) key: Arc<KeyEntry>,
    /// The ticket of the hold.
    pub(crate) ticket: u64,
    /// The progress slot that becomes free.
    pub(crate) slot: Option<u32>,
    pub(crate) cause: Cause,
    /// When the hold was placed, in milliseconds since 1970.
    pub(crate) placed_ms: u64,
    /// Settle, not void.
    pub(crate) charged: bool,
    pub(crate) record: GenerationRecord,
}

/// Where a management operation's outcome is waited for.
#[derive(Default)]
pub(crate) struct Reply {
    outcome: Mutex<Option<Result<(), ReplyError>>>,
    arrived: Condvar,
}

/// Why a management operation has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReplyError {
    /// The state machine refused it.
    Refused(Refused),
    /// The same transfer was made before.
    Repeated,
    /// The ledger cannot write.
    Down,
}

impl Reply {
    pub(crate) fn set(&self, outcome: Result<(), ReplyError>) {
        self.outcome.lock().get_or_insert(outcome);
        self.arrived.notify_all();
    }

    /// Waits for the outcome; a writer that is gone has none.
    pub(crate) fn wait(&self, shared: &Shared) -> Result<(), ReplyError> {
        let mut outcome = self.outcome.lock();
        loop {
            let gone = shared.writer_gone.load(Ordering::Acquire);
            match outcome.take() {
                Some(outcome) => return outcome,
                None if gone => return Err(ReplyError::Down),
                None => self.arrived.wait_for(&mut outcome, Duration::from_millis(100)),
            };
        }
    }
}

/// Why an operation was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotQueued {
    Full,
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sleep {
    /// The writer is at work and looks into the queue before it sleeps.
    Awake,
    /// It waits for ends to gather.
    Lingering,
    /// It waits for its pace; only a full group ends that early.
    Pacing,
    /// It waits for its pace while some open holds do not wait for it.
    Gathering,
    /// It waits for anything.
    Idle,
}

struct Queue {
    ops: VecDeque<Op>,
    /// The ticket of the newest operation.
    ticket: u64,
    /// Holds that were let in and whose ends were not.
    open: usize,
    /// Holds among `ops`.
    holds: usize,
    /// Somebody waits for an operation in the queue.
    urgent: bool,
    sleep: Sleep,
    closing: bool,
}

/// How writing goes, told when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The journal cannot be written, for this reason; no hold is taken. It is tried again.
    JournalFails(String),
    /// The index cannot be written, for this reason; no hold is taken. It is tried again.
    IndexFails(String),
    /// What failed works again.
    Works,
    /// Full segments cannot be packed, for this reason: the journal grows. It is tried again.
    ArchiveFails(String),
    /// They can be packed again.
    Archives,
    /// The index's files cannot be merged, for this reason: look-ups get slower. It is tried again.
    UpkeepFails(String),
    /// They can be merged again.
    Upkeep,
}

/// Who is told of a [`Condition`].
pub type Tell = Arc<dyn Fn(&Condition) + Send + Sync>;

impl Queue {
    /// A group could grow.
    fn may_gather(&self) -> bool {
        !self.closing && (1..GROUP_MAX).contains(&self.ops.len())
    }

    /// Every open hold but those that nobody has asked for waits for the next commit: nobody is at
    /// work whose operation could join it.
    const fn all_wait(&self, ahead: usize) -> bool {
        self.holds > 0 && self.holds >= self.open.saturating_sub(ahead)
    }
}

/// Why the ledger takes no holds, as bits.
pub(crate) const JOURNAL_DOWN: u8 = 1;
pub(crate) const INDEX_DOWN: u8 = 2;
pub(crate) const CLOSED: u8 = 4;
pub(crate) const BUG: u8 = 8;

/// What requests and the writer share.
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
    capacity: usize,
    durable: AtomicU64,
    down: AtomicU8,
    waiters: Mutex<Waiters>,
    /// Tickets of holds that the state machine refused: they never become durable.
    refused: Mutex<Vec<u64>>,
    any_refused: AtomicBool,
    /// The writer has ended: nothing will be done any more.
    pub(crate) writer_gone: AtomicBool,
    pub(crate) held: AtomicI64,
    /// Of the open holds, those that nobody has asked for.
    ahead: AtomicUsize,
    pub(crate) progress: Progress,
    tell: Tell,
    pub(crate) counters: Counters,
}

#[derive(Default)]
struct Waiters {
    by_ticket: BTreeMap<(u64, u64), Waker>,
    next_id: u64,
}

impl Shared {
    pub(crate) fn new(capacity: usize, progress: Progress, tell: Tell) -> Self {
        Self {
            queue: Mutex::new(Queue {
                ops: VecDeque::new(),
                ticket: 0,
                open: 0,
                holds: 0,
                urgent: false,
                sleep: Sleep::Awake,
                closing: false,
            }),
            work: Condvar::new(),
            capacity,
            durable: AtomicU64::new(0),
            down: AtomicU8::new(0),
            waiters: Mutex::default(),
            refused: Mutex::default(),
            any_refused: AtomicBool::new(false),
            writer_gone: AtomicBool::new(false),
            held: AtomicI64::new(0),
            ahead: AtomicUsize::new(0),
            progress,
            tell,
            counters: Counters::default(),
        }
    }

    pub(crate) fn healthy(&self) -> bool {
        self.down.load(Ordering::Acquire) == 0
    }

    /// Marks that writing fails, and tells of it unless that was known.
    pub(crate) fn fails(&self, reason: u8, condition: &Condition) {
        let known = self.down.load(Ordering::Acquire) & reason != 0;
        self.mark(reason, true);
        if !known {
            (self.tell)(condition);
        }
    }

    /// Tells of a condition that refuses no holds.
    pub(crate) fn tell(&self, condition: &Condition) {
        (self.tell)(condition);
    }

    /// Marks that writing works again, and tells of it.
    pub(crate) fn works(&self, reason: u8) {
        self.mark(reason, false);
        (self.tell)(&Condition::Works);
    }

    /// Sets or clears a reason to take no holds, and wakes everybody when one is set.
    pub(crate) fn mark(&self, reason: u8, down: bool) {
        if down {
            self.down.fetch_or(reason, Ordering::AcqRel);
            let waiting = std::mem::take(&mut self.waiters.lock().by_ticket);
            waiting.into_values().for_each(Waker::wake);
        } else {
            self.down.fetch_and(!reason, Ordering::AcqRel);
        }
    }

    /// Queues an operation and returns its ticket.
    pub(crate) fn push(&self, op: Op) -> Result<u64, NotQueued> {
        let mut queue = self.queue.lock();
        if queue.closing {
            return Err(NotQueued::Closed);
        }
        let room = self.capacity.saturating_sub(queue.ops.len() + queue.open);
        let (need, urgent) = match &op {
            Op::Hold { .. } => (2, true),
            // Nobody may be refused for the sake of those who might come.
            Op::Ahead { .. } => (2 + self.capacity / 2, false),
            Op::Manage(..) | Op::Repeat(..) => (1, true),
            Op::Record(_) => (1, false),
            // Its room was set aside with the hold.
            Op::End(_) => (0, false),
        };
        if room < need {
            return Err(NotQueued::Full);
        }
        match &op {
            Op::Hold { .. } => {
                queue.open += 1;
                queue.holds += 1;
            }
            Op::Ahead { .. } => {
                queue.open += 1;
                self.ahead.fetch_add(1, Ordering::Relaxed);
            }
            Op::End(_) => queue.open = queue.open.saturating_sub(1),
            Op::Record(_) | Op::Manage(..) | Op::Repeat(..) => {}
        }
        queue.ops.push_back(op);
        queue.ticket += 1;
        queue.urgent |= urgent;
        let wake = match queue.sleep {
            Sleep::Awake => false,
            Sleep::Lingering => urgent || queue.ops.len() >= GROUP_MAX,
            Sleep::Pacing => queue.ops.len() >= GROUP_MAX,
            Sleep::Gathering => {
                let ahead = self.ahead.load(Ordering::Relaxed);
                queue.ops.len() >= GROUP_MAX || queue.all_wait(ahead)
            }
            Sleep::Idle => true,
        };
        if wake {
            queue.sleep = Sleep::Awake;
            self.work.notify_one();
        }
        Ok(queue.ticket)
    }

    /// Waits for work, at most for `patience`. Returns up to [`GROUP_MAX`] operations and the
    /// ticket of the first of them; or nothing when time is up; or `None` when the queue is closed
    /// and empty.
    ///
    /// `pause` is the time until the next commit should begin: meanwhile operations gather.
    pub(crate) fn take(
        &self,
        patience: Duration,
        pause: impl Fn() -> Pause,
        out: &mut Vec<Op>,
    ) -> Option<u64> {
        let mut queue = self.queue.lock();
        if queue.ops.is_empty() && !queue.closing {
            queue.sleep = Sleep::Idle;
            self.work.wait_for(&mut queue, patience);
        }
        let hurry = queue.urgent || queue.closing || queue.ops.len() >= GROUP_MAX;
        if !queue.ops.is_empty() && !hurry {
            queue.sleep = Sleep::Lingering;
            self.work.wait_for(&mut queue, pause().linger);
        }
        self.gather(&mut queue, pause());
        queue.sleep = Sleep::Awake;
        if queue.ops.is_empty() && queue.closing {
            return None;
        }
        let first = queue.ticket + 1 - queue.ops.len() as u64;
        let count = queue.ops.len().min(GROUP_MAX);
        let before = out.len();
        out.extend(queue.ops.drain(..count));
        let holds = out[before..].iter().filter(|op| matches!(op, Op::Hold { .. })).count();
        queue.holds = queue.holds.saturating_sub(holds);
        if queue.ops.is_empty() {
            queue.urgent = false;
        }
        Some(first)
    }

    /// Lets a group grow.
    fn gather(&self, queue: &mut MutexGuard<'_, Queue>, Pause { least, most, .. }: Pause) {
        if !least.is_zero() && queue.may_gather() {
            queue.sleep = Sleep::Pacing;
            self.work.wait_for(queue, least);
        }
        let mut left = most.saturating_sub(least);
        while !left.is_zero() && queue.may_gather() {
            let all_wait = queue.all_wait(self.ahead.load(Ordering::Relaxed));
            let ticket = queue.ticket;
            let step = if all_wait { left.min(QUIET) } else { left };
            queue.sleep = if all_wait { Sleep::Pacing } else { Sleep::Gathering };
            let in_time = !self.work.wait_for(queue, step).timed_out();
            match (all_wait, in_time) {
                // A busy proxy has more in its sockets than here: as long as something comes, it is
                // worth waiting.
                (true, _) if queue.ticket == ticket => return,
                (false, false) => return,
                (true, _) | (false, true) => left = left.saturating_sub(QUIET),
            }
        }
    }

    /// Lets no more operations in; the writer ends when it has done those that are there.
    pub(crate) fn close(&self) {
        let mut queue = self.queue.lock();
        queue.closing = true;
        self.work.notify_all();
        drop(queue);
        self.mark(CLOSED, true);
    }

    /// Whether [`Self::close`] was called.
    pub(crate) fn closing(&self) -> bool {
        self.queue.lock().closing
    }

    /// How many operations wait and how many holds are open.
    pub(crate) fn depth(&self) -> (usize, usize) {
        let queue = self.queue.lock();
        (queue.ops.len(), queue.open.saturating_sub(self.ahead.load(Ordering::Relaxed)))
    }

    /// Somebody takes a hold over that was placed ahead.
    pub(crate) fn take_over(&self) {
        self.ahead.fetch_sub(1, Ordering::Relaxed);
    }

    /// So many holds that were placed ahead are none any more.
    pub(crate) fn withdraw(&self, count: usize) {
        let mut queue = self.queue.lock();
        queue.open = queue.open.saturating_sub(count);
        self.ahead.fetch_sub(count, Ordering::Relaxed);
    }

    /// Marks a hold that the state machine refused.
    pub(crate) fn refuse(&self, ticket: u64) {
        self.refused.lock().push(ticket);
        self.any_refused.store(true, Ordering::Release);
    }

    /// Whether a hold was refused; forgets it.
    pub(crate) fn take_refused(&self, ticket: u64) -> bool {
        if !self.any_refused.load(Ordering::Acquire) {
            return false;
        }
        let mut refused = self.refused.lock();
        match refused.iter().position(|known| *known == ticket) {
            Some(at) => {
                refused.swap_remove(at);
                true
            }
            None => false,
        }
    }

    /// Everything up to `ticket` is durable: wakes who waited for it.
    pub(crate) fn publish(&self, ticket: u64) {
        self.durable.store(ticket, Ordering::Release);
        let woken = {
            let mut waiters = self.waiters.lock();
            if waiters.by_ticket.is_empty() {
                return;
            }
            let later = waiters.by_ticket.split_off(&(ticket + 1, 0));
            std::mem::replace(&mut waiters.by_ticket, later)
        };
        woken.into_values().for_each(Waker::wake);
    }

    /// Whether an operation is durable; absent while that is open.
    pub(crate) fn outcome(&self, ticket: u64) -> Option<Result<(), LedgerDown>> {
        let durable = self.durable.load(Ordering::Acquire) >= ticket;
        if self.any_refused.load(Ordering::Acquire) && self.refused.lock().contains(&ticket) {
            return Some(Err(LedgerDown));
        }
        if durable {
            return Some(Ok(()));
        }
        let lost = self.down.load(Ordering::Acquire) & (JOURNAL_DOWN | BUG) != 0;
        lost.then_some(Err(LedgerDown))
    }

    /// Has `waker` woken when `ticket` is durable or the ledger goes down. `id` names the waiter
    /// between calls.
    pub(crate) fn wait(&self, ticket: u64, id: &mut Option<u64>, waker: &Waker) {
        let mut waiters = self.waiters.lock();
        let id = *id.get_or_insert_with(|| {
            waiters.next_id += 1;
            waiters.next_id
        });
        waiters.by_ticket.insert((ticket, id), waker.clone());
    }

    /// The waiter is gone.
    pub(crate) fn forget(&self, ticket: u64, id: u64) {
        self.waiters.lock().by_ticket.remove(&(ticket, id));
    }
}
