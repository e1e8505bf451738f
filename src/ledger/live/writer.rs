//! The one thread that writes the journal, and the one that writes the index.
//!
//! The writer takes what waits, applies it to the state, and commits it as a group. While the
//! group's fdatasync runs the next group gathers by itself. A failed commit is tried again until
//! it succeeds, because the group is already part of the state: meanwhile nothing is acknowledged,
//! holds are refused, and who waits for one is told so.
//!
//! The index follows in checkpoints on a thread of its own, so that its work does not delay a
//! commit. What happens while it is busy gathers for the next checkpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::ledger::entry::{Cause, Event};
use crate::ledger::keys::{Ahead, KeyEntry, KeyTable};
use crate::ledger::state::{Receipt, Refused};
use crate::ledger::store::index::{Rows, Store, StoreFailed};
use crate::vocab::NanoUsd;

use super::Clock;
use super::life::bring_to_life;
use super::pace::Pace;
use super::queue::{
    BUG, Condition, End, GROUP_MAX, INDEX_DOWN, JOURNAL_DOWN, LedgerDown, Op, Reply, ReplyError,
    Shared,
};
use super::recent::{Recent, Records};
use super::scribe::Scribe;

/// How often a closing ledger tries to write before it gives up.
const TRIES_WHEN_CLOSING: u32 = 5;

/// The time between two looks for holds that were placed ahead in vain.
const SWEEP: Duration = Duration::from_secs(1);

/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(1);

pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) scribe: Scribe,
    pub(crate) records: Arc<Records>,
    pub(crate) table: Arc<ArcSwap<KeyTable>>,
    pub(crate) jobs: SyncSender<Rows>,
    pub(crate) indexer_busy: Arc<AtomicBool>,
    pub(crate) clock: Clock,
    pub(crate) checkpoint_every: Duration,
    pub(crate) checkpoint_entries: usize,
    pub(crate) upstream_ids: bool,
    /// Keys with holds that were placed ahead.
    pub(crate) watch: Vec<Arc<KeyEntry>>,
}

/// What is left to do for an operation once its group is durable.
#[derive(Default)]
struct After {
    replies: Vec<Arc<Reply>>,
    slots: Vec<u32>,
    records: Vec<Recent>,
    /// Holds placed ahead, and whose.
    ahead: Vec<(Arc<KeyEntry>, Ahead)>,
}

impl Writer {
    /// Works until the queue is closed and empty.
    pub(crate) fn run(mut self) -> Result<(), LedgerDown> {
        let mut ops = Vec::new();
        let mut after = After::default();
        let mut last_checkpoint = now();
        let mut last_sweep = last_checkpoint;
        let mut pace = Pace::default();
        loop {
            let mut patience = Duration::from_secs(60);
            if self.scribe.pending.len() > 0 {
                let left = self.checkpoint_every.saturating_sub(last_checkpoint.elapsed());
                patience = patience.min(left.max(Duration::from_millis(1)));
            }
            if !self.watch.is_empty() {
                let left = SWEEP.saturating_sub(last_sweep.elapsed());
                patience = patience.min(left.max(Duration::from_millis(1)));
            }
            let pause = || pace.pause(now());
            let Some(first) = self.shared.take(patience, pause, &mut ops) else { break };
            if !ops.is_empty() {
                pace.commit(ops.len(), now());
                self.group(first, &mut ops, &mut after)?;
            }
            if last_sweep.elapsed() >= SWEEP && !self.watch.is_empty() {
                self.sweep(false, &after)?;
                last_sweep = now();
            }
            let due = last_checkpoint.elapsed() >= self.checkpoint_every
                || self.scribe.pending.len() >= self.checkpoint_entries;
            if due && self.scribe.pending.len() > 0 {
                self.checkpoint();
                last_checkpoint = now();
            }
        }
        self.sweep(true, &after)?;
        self.scribe.journal.trim();
        let rows = self.scribe.pending.take_rows(&self.scribe.state, self.upstream_ids);
        self.jobs.send(rows).map_err(|_| LedgerDown)
    }

    fn checkpoint(&mut self) {
        if self.indexer_busy.swap(true, Ordering::AcqRel) {
            return;
        }
        let rows = self.scribe.pending.take_rows(&self.scribe.state, self.upstream_ids);
        if self.jobs.try_send(rows).is_err() {
            // It was idle, so it is gone: without it generations would gather in memory for ever.
            self.shared.mark(BUG, true);
        }
    }

    fn group(
        &mut self,
        first: u64,
        ops: &mut Vec<Op>,
        after: &mut After,
    ) -> Result<(), LedgerDown> {
        let now_ms = (self.clock)();
        let mut ticket = first;
        for op in ops.drain(..) {
            self.stage(ticket, op, now_ms, after);
            ticket += 1;
        }
        let count = self.scribe.staged();
        if count > 0 {
            let begun = now();
            self.commit(after)?;
            // Who waits goes on first.
            let took = begun.elapsed();
            self.shared.publish(ticket - 1);
            self.shared.counters.committed(count, took);
        } else {
            self.shared.publish(ticket - 1);
        }
        let Self { scribe, table, .. } = self;
        scribe.finish(|entry| {
            bring_to_life(entry, table);
            after.records.extend(Recent::of(entry));
        });
        self.records.add(after.records.drain(..));
        self.watch.extend(after.ahead.drain(..).filter_map(|(key, ahead)| {
            key.stock.add(ahead);
            (!key.stock.watched.swap(true, Ordering::Relaxed)).then_some(key)
        }));
        self.shared.progress.give_back(&after.slots);
        after.slots.clear();
        after.replies.drain(..).for_each(|reply| reply.set(Ok(())));
        Ok(())
    }

    /// Ends the holds placed ahead that nobody may take over any more, or all of them.
    fn sweep(&mut self, all: bool, after: &After) -> Result<(), LedgerDown> {
        let now_ms = (self.clock)();
        let mut stale = Vec::new();
        self.watch.retain(|key| {
            let some = key.stock.clear(now_ms, all, &mut stale);
            key.stock.watched.store(some, Ordering::Relaxed);
            some
        });
        for generations in stale.chunks(GROUP_MAX) {
            for generation in generations {
                let event = Event::Unused { cause: Cause::Asked, generation: *generation };
                if self.scribe.stage(event, now_ms, &*self.records).is_err() {
                    self.shared.counters.refused_ops.fetch_add(1, Ordering::Relaxed);
                }
            }
            let (count, begun) = (self.scribe.staged(), now());
            self.commit(after)?;
            self.shared.counters.committed(count, begun.elapsed());
            self.scribe.finish(|_| ());
            self.shared.withdraw(generations.len());
        }
        Ok(())
    }

    /// Commits the staged group, however often it takes.
    fn commit(&mut self, after: &After) -> Result<(), LedgerDown> {
        let mut tries = 0;
        loop {
            let Err(error) = self.scribe.commit() else {
                if tries > 0 {
                    self.shared.works(JOURNAL_DOWN);
                }
                return Ok(());
            };
            tries += 1;
            self.shared.counters.commit_errors.fetch_add(1, Ordering::Relaxed);
            self.shared.fails(JOURNAL_DOWN, &Condition::JournalFails(error.to_string()));
            // They may be durable later: who tries again does so with the same idempotency key.
            after.replies.iter().for_each(|reply| reply.set(Err(ReplyError::Down)));
            if tries >= TRIES_WHEN_CLOSING && self.shared.closing() {
                return Err(LedgerDown);
            }
            pause(tries);
        }
    }

    fn stage(&mut self, ticket: u64, op: Op, now_ms: u64, after: &mut After) {
        match op {
            Op::Hold { key, generation, granted, placed_ms } => {
                let key = key.id().clone();
                let event = Event::Held { generation, key, granted, placed_ms };
                if self.scribe.stage(event, now_ms, &*self.records).is_err() {
                    self.shared.counters.refused_ops.fetch_add(1, Ordering::Relaxed);
                    self.shared.refuse(ticket);
                }
            }
            Op::Ahead { key, generation, placed_ms } => {
                let event = Event::HeldAhead { generation, key: key.id().clone(), placed_ms };
                if self.scribe.stage(event, now_ms, &*self.records).is_ok() {
                    after.ahead.push((key, Ahead { generation, placed_ms, ticket }));
                } else {
                    self.shared.counters.refused_ops.fetch_add(1, Ordering::Relaxed);
                    self.shared.withdraw(1);
                }
            }
            Op::End(end) => self.stage_end(*end, now_ms, after),
            Op::Record(record) => {
                let event = Event::Recorded { record: Arc::new(*record) };
                if self.scribe.stage(event, now_ms, &*self.records).is_err() {
                    self.shared.counters.refused_ops.fetch_add(1, Ordering::Relaxed);
                }
            }
            Op::Manage(event, reply) => {
                let used_for = used_for(&event);
                match self.scribe.stage(*event, now_ms, &*self.records) {
                    Ok(()) => after.replies.push(reply),
                    Err(Refused::ReceiptUsed) if self.is_repeat(used_for) => {
                        reply.set(Err(ReplyError::Repeated));
                    }
                    Err(refused) => reply.set(Err(ReplyError::Refused(refused))),
                }
            }
            Op::Repeat(event, reply) => {
                let made_before = self.is_repeat(used_for(&event));
                reply.set(Err(if made_before {
                    ReplyError::Repeated
                } else {
                    ReplyError::Refused(Refused::NotCovered)
                }));
            }
        }
    }

    fn stage_end(&mut self, end: End, now_ms: u64, after: &mut After) {
        let End { key, ticket, slot, cause, charged, placed_ms, record } = end;
        after.slots.extend(slot);
        let (cost, byok, begun) = (record.cost, record.paid_directly(), placed_ms);
        let record = Arc::new(record);
        let event = if charged {
            Event::Settled { cause, record }
        } else {
            Event::Voided { cause, record }
        };
        let refused = if self.shared.take_refused(ticket) {
            Some(Refused::NoSuchHold)
        } else {
            self.scribe.stage(event, now_ms, &*self.records).err()
        };
        let Some(refused) = refused else { return };
        // The generation's one charge stands elsewhere: this one is taken back.
        self.shared.counters.refused_ops.fetch_add(1, Ordering::Relaxed);
        key.release(NanoUsd::ZERO, begun, -cost, -byok);
        if refused == Refused::Amount {
            self.shared.mark(BUG, true);
        }
    }

    fn is_repeat(&self, used_for: Option<(String, Receipt)>) -> bool {
        used_for
            .is_some_and(|(name, receipt)| self.scribe.state.receipts.get(&name) == Some(&receipt))
    }
}

fn used_for(event: &Event) -> Option<(String, Receipt)> {
    match event {
        Event::ToppedUp { account, amount, receipt, .. }
        | Event::Adjusted { account, amount, receipt, .. } => {
            Some((receipt.clone(), Receipt { account: account.clone(), amount: *amount }))
        }
        Event::Moved { to, amount, receipt, .. } => {
            Some((receipt.clone(), Receipt { account: to.clone(), amount: *amount }))
        }
        Event::AccountCreated { .. }
        | Event::AccountChanged { .. }
        | Event::OrganisationSet { .. }
        | Event::MemberSet { .. }
        | Event::MemberRemoved { .. }
        | Event::KeyCreated(_)
        | Event::KeyChanged { .. }
        | Event::KeyDisabled { .. }
        | Event::KeyDeleted { .. }
        | Event::Held { .. }
        | Event::HeldAhead { .. }
        | Event::Unused { .. }
        | Event::Settled { .. }
        | Event::Voided { .. }
        | Event::Recorded { .. } => None,
    }
}

/// Writes the index until there is nobody left to tell it what.
pub(crate) fn index(
    shared: &Shared,
    store: &dyn Store,
    records: &Records,
    busy: &AtomicBool,
    jobs: &Receiver<Rows>,
) -> Result<(), LedgerDown> {
    let mut complained = false;
    for rows in jobs {
        let mut tries = 0;
        while let Err(error) = store.apply(&rows).and_then(|()| sync_notes(shared)) {
            tries += 1;
            shared.fails(INDEX_DOWN, &Condition::IndexFails(error.0));
            if tries >= TRIES_WHEN_CLOSING && shared.closing() {
                return Err(LedgerDown);
            }
            pause(tries);
            // sled refuses everything after a failure. If it cannot be opened either, the next try
            // to write says so.
            let _reopened_or_tried_again = store.reopen();
        }
        if tries > 0 {
            shared.works(INDEX_DOWN);
        }
        match store.complaint() {
            Some(why) if !complained => shared.tell(&Condition::UpkeepFails(why)),
            None if complained => shared.tell(&Condition::Upkeep),
            Some(_) | None => {}
        }
        complained = store.complaint().is_some();
        records.indexed(rows.seq);
        shared.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        busy.store(false, Ordering::Release);
    }
    // What could not be sealed is read from the journal at the next start.
    let _sealed_or_read_again = store.seal();
    Ok(())
}

fn sync_notes(shared: &Shared) -> Result<(), StoreFailed> {
    shared.progress.sync().map_err(|error| StoreFailed(error.to_string()))
}

/// Waits longer with every try, from 20 ms.
fn pause(tries: u32) {
    thread::sleep(Duration::from_millis(20).saturating_mul(1 << tries.min(6)).min(PAUSE_MAX));
}

#[expect(clippy::disallowed_methods, reason = "the writer times its own commits and checkpoints")]
fn now() -> Instant {
    Instant::now()
}
