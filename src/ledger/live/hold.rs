//! Credit set aside for a generation, as a value that must end.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use parking_lot::Mutex;

use crate::error::{GatewayError, Kind};
use crate::ledger::entry::Cause;
use crate::ledger::keys::{KeyEntry, Short};
use crate::ledger::record::GenerationRecord;
use crate::ledger::state::CHARGE_MAX;
use crate::vocab::{GenerationId, NanoUsd};

use super::queue::{End, LedgerDown, Op, Shared};

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldAsk {
    /// The generation; its id is the charge's idempotency key.
    pub generation: GenerationId,
    /// What the generation will cost at most, or likely. Below zero counts as zero, and more than
    /// [`CHARGE_MAX`] as that.
    pub want: NanoUsd,
    /// The least that is worth starting with; counted as at most `want`.
    pub floor: NanoUsd,
    /// The wall clock, in milliseconds since 1970.
    pub now_ms: u64,
}

/// Why no hold was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldRefused {
    /// The account's credit does not reach.
    Credit {
        /// Balance less open holds.
        available: NanoUsd,
        /// What was asked for.
        want: NanoUsd,
        /// The least that would have done.
        floor: NanoUsd,
    },
    /// The key's own limit does not reach.
    Limit {
        /// The limit less what was spent and is held.
        available: NanoUsd,
        /// What was asked for.
        want: NanoUsd,
        /// The least that would have done.
        floor: NanoUsd,
    },
    /// The budget of the key's member does not reach.
    Member {
        /// The budget less what was spent and is held.
        available: NanoUsd,
        /// What was asked for.
        want: NanoUsd,
        /// The least that would have done.
        floor: NanoUsd,
    },
    /// The ledger is overloaded, closing, or cannot write.
    Unavailable,
}

impl HoldRefused {
    fn of(short: Short, want: NanoUsd, floor: NanoUsd) -> Self {
        match short {
            Short::Credit(available) => Self::Credit { available, want, floor },
            Short::Limit(available) => Self::Limit { available, want, floor },
            Short::Member(available) => Self::Member { available, want, floor },
        }
    }
}

impl fmt::Display for HoldRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credit { available, floor, .. } => write!(
                f,
                "This request needs at least ${floor} of credit, and the account has ${available} \
                 available. Add credit, or ask for less with a lower max_tokens."
            ),
            Self::Limit { available, floor, .. } => write!(
                f,
                "This request needs at least ${floor}, and the key's spending limit leaves \
                 ${available}. Use another key, or ask for less with a lower max_tokens."
            ),
            Self::Member { available, floor, .. } => write!(
                f,
                "This request needs at least ${floor}, and the budget of the key's member leaves \
                 ${available}. Ask an admin of the account, or ask for less with a lower max_tokens."
            ),
            Self::Unavailable => {
                f.write_str("Requests cannot be charged at the moment. Try again shortly.")
            }
        }
    }
}

impl std::error::Error for HoldRefused {}

impl From<HoldRefused> for GatewayError {
    fn from(refused: HoldRefused) -> Self {
        let kind = match refused {
            HoldRefused::Credit { .. } | HoldRefused::Limit { .. } => Kind::InsufficientCredits,
            HoldRefused::Member { .. } => Kind::Forbidden,
            HoldRefused::Unavailable => Kind::Unavailable,
        };
        Self::new(kind, refused.to_string())
    }
}

impl From<LedgerDown> for GatewayError {
    fn from(down: LedgerDown) -> Self {
        Self::from(HoldRefused::Unavailable).with_detail(down.to_string())
    }
}

/// How a hold ends with a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// What the account pays, from 0 to [`CHARGE_MAX`]; what lies outside is clamped.
    pub cost: NanoUsd,
    /// What for. Its id, account, key and cost are overwritten with the hold's and the charge's.
    pub record: GenerationRecord,
}

/// Reserved credit. It ends once: by [`Hold::settle`], by [`Hold::void`], or by being dropped, which
/// settles it at its last [progress](Hold::progress), or voids it if there was none.
pub struct Hold {
    shared: Arc<Shared>,
    key: Arc<KeyEntry>,
    generation: GenerationId,
    granted: NanoUsd,
    placed_ms: u64,
    ticket: u64,
    noted: Mutex<Noted>,
    ended: bool,
}

#[derive(Clone, Copy, Default)]
struct Noted {
    slot: Option<u32>,
    turn: u32,
    cost: Option<NanoUsd>,
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold")
            .field("generation", &self.generation)
            .field("granted", &self.granted)
            .finish_non_exhaustive()
    }
}

impl Hold {
    pub(crate) fn place(
        shared: &Arc<Shared>,
        key: &Arc<KeyEntry>,
        ask: HoldAsk,
    ) -> Result<Self, HoldRefused> {
        let granted = reserve(shared, key, ask)?;
        let op = Op::Hold {
            key: Arc::clone(key),
            generation: ask.generation,
            granted,
            placed_ms: ask.now_ms,
        };
        let Ok(ticket) = shared.push(op) else {
            key.release(granted, ask.now_ms, NanoUsd::ZERO, NanoUsd::ZERO);
            return Err(HoldRefused::Unavailable);
        };
        Ok(Self::granted_as(shared, key, (ask.generation, ticket), granted, ask.now_ms))
    }

    pub(crate) fn place_ahead(
        shared: &Arc<Shared>,
        key: &Arc<KeyEntry>,
        ask: HoldAsk,
    ) -> Result<Self, HoldRefused> {
        let now_ms = ask.now_ms;
        let busy = key.stock.ask(now_ms);
        let Some(ahead) = key.stock.take(now_ms) else {
            let hold = Self::place(shared, key, ask)?;
            if busy {
                place_another(shared, key, ask.generation.twin(), now_ms);
            }
            return Ok(hold);
        };
        let granted = match reserve(shared, key, ask) {
            Ok(granted) => granted,
            Err(refused) => {
                key.stock.put_back(ahead);
                return Err(refused);
            }
        };
        shared.take_over();
        if ahead.was_needed(now_ms) {
            place_another(shared, key, ask.generation, now_ms);
        }
        Ok(Self::granted_as(shared, key, (ahead.generation, ahead.ticket), granted, now_ms))
    }

    fn granted_as(
        shared: &Arc<Shared>,
        key: &Arc<KeyEntry>,
        (generation, ticket): (GenerationId, u64),
        granted: NanoUsd,
        placed_ms: u64,
    ) -> Self {
        shared.held.fetch_add(granted.0, Ordering::Relaxed);
        Self {
            shared: Arc::clone(shared),
            key: Arc::clone(key),
            generation,
            granted,
            placed_ms,
            ticket,
            noted: Mutex::default(),
            ended: false,
        }
    }

    /// Sets more aside, for a generation that turns out to cost more than was thought. The
    /// journal keeps what was set aside at first: only this process counts with more.
    ///
    /// # Errors
    /// The credit, or the key's own limit, does not reach; nothing has changed.
    pub fn extend(&mut self, extra: NanoUsd) -> Result<(), HoldRefused> {
        let extra = NanoUsd(extra.0.clamp(0, CHARGE_MAX.0));
        self.key
            .reserve(extra, extra, self.placed_ms)
            .map_err(|short| HoldRefused::of(short, extra, extra))?;
        self.granted += extra;
        self.shared.held.fetch_add(extra.0, Ordering::Relaxed);
        Ok(())
    }

    /// How much was set aside.
    pub const fn granted(&self) -> NanoUsd {
        self.granted
    }

    /// When it was placed, in milliseconds since 1970.
    pub const fn placed_ms(&self) -> u64 {
        self.placed_ms
    }

    /// The generation that it was set aside for.
    pub const fn generation(&self) -> GenerationId {
        self.generation
    }

    /// The key that it was set aside by.
    pub const fn key(&self) -> &Arc<KeyEntry> {
        &self.key
    }

    /// Resolves when the hold is durable, and to an error when the ledger cannot make it so.
    /// Nothing may reach the client before.
    pub fn durable(&self) -> Durable {
        Durable { shared: Arc::clone(&self.shared), ticket: self.ticket, waiter: None }
    }

    /// Notes that `cost` is used up, for recovery should the process be killed (see
    /// `store::progress`): to be called just before the first byte of the answer goes to the
    /// client, and again with the exact cost just before the last.
    ///
    /// # Errors
    /// The note could not be written: whatever was about to be sent must not be.
    pub fn progress(&self, cost: NanoUsd) -> Result<(), LedgerDown> {
        let cost = NanoUsd(cost.0.clamp(0, CHARGE_MAX.0));
        let progress = &self.shared.progress;
        let mut noted = self.noted.lock();
        let slot = match noted.slot {
            Some(slot) => slot,
            None => *noted.slot.insert(progress.take().ok_or(LedgerDown)?),
        };
        let turn = noted.turn;
        progress.note(slot, turn, self.generation, cost).map_err(|_| LedgerDown)?;
        // Turn 0 would wipe both halves: after an overflow, which takes four billion notes, the
        // turns go on from 1.
        noted.turn = turn.checked_add(1).unwrap_or(1);
        noted.cost = Some(cost);
        Ok(())
    }

    /// Ends the hold with a charge, also if it is more than was set aside. Does not wait.
    pub fn settle(mut self, charge: Charge) {
        let mut record = charge.record;
        record.cost = charge.cost;
        self.end(Cause::Asked, true, record);
    }

    /// Ends the hold without a charge. Does not wait.
    pub fn void(mut self, record: Option<GenerationRecord>) {
        let record = record.unwrap_or_else(|| self.bare_record());
        self.end(Cause::Asked, false, record);
    }

    fn bare_record(&self) -> GenerationRecord {
        let account = self.key.account().id().clone();
        GenerationRecord::bare(self.generation, self.placed_ms, account, self.key.id().clone())
    }

    fn end(&mut self, cause: Cause, charged: bool, mut record: GenerationRecord) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        record.id = self.generation;
        record.account = self.key.account().id().clone();
        record.key = self.key.id().clone();
        let cost = if charged { record.cost.0.clamp(0, CHARGE_MAX.0) } else { 0 };
        record.cost = NanoUsd(cost);
        if !charged {
            record.details.upstream_cost = None;
            record.details.discount = NanoUsd::ZERO;
            record.details.plugins = NanoUsd::ZERO;
        }
        record.bound();
        let byok = record.paid_directly();
        let key = Arc::clone(&self.key);
        let slot = self.noted.lock().slot;
        let (ticket, placed_ms) = (self.ticket, self.placed_ms);
        let end = End { key, ticket, slot, cause, placed_ms, charged, record };
        // A closed ledger leaves the hold open in the journal: the next start ends it by its note.
        // Otherwise there is always room.
        let _queued_or_left_to_recovery = self.shared.push(Op::End(Box::new(end)));
        // Only after the end is queued may another hold take what is freed: so the journal, too,
        // has them in this order.
        self.shared.held.fetch_sub(self.granted.0, Ordering::Relaxed);
        self.key.release(self.granted, self.placed_ms, NanoUsd(cost), byok);
    }
}

/// Sets credit aside in memory.
fn reserve(shared: &Shared, key: &KeyEntry, ask: HoldAsk) -> Result<NanoUsd, HoldRefused> {
    if !shared.healthy() {
        return Err(HoldRefused::Unavailable);
    }
    let want = NanoUsd(ask.want.0.clamp(0, CHARGE_MAX.0));
    let floor = NanoUsd(ask.floor.0.clamp(0, want.0));
    key.reserve(want, floor, ask.now_ms).map_err(|short| HoldRefused::of(short, want, floor))
}

/// Has a hold placed for who comes next.
fn place_another(shared: &Shared, key: &Arc<KeyEntry>, generation: GenerationId, placed_ms: u64) {
    // Where there is no room for it, who comes next waits for their own.
    let _placed_or_no_room = shared.push(Op::Ahead { key: Arc::clone(key), generation, placed_ms });
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let cost = self.noted.lock().cost;
        let mut record = self.bare_record();
        record.cancelled = true;
        record.cost = cost.unwrap_or_default();
        self.end(Cause::Dropped, cost.is_some(), record);
    }
}

/// Waits until a hold is durable: see [`Hold::durable`]. Needs no particular runtime.
pub struct Durable {
    shared: Arc<Shared>,
    ticket: u64,
    waiter: Option<u64>,
}

impl Future for Durable {
    type Output = Result<(), LedgerDown>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.shared.outcome(self.ticket) {
            return Poll::Ready(outcome);
        }
        let this = &mut *self;
        this.shared.wait(this.ticket, &mut this.waiter, context.waker());
        // It may have become durable before the waker was in its place.
        match this.shared.outcome(this.ticket) {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        if let Some(id) = self.waiter {
            self.shared.forget(self.ticket, id);
        }
    }
}
