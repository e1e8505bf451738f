//! Prepaid credit: accounts, holds, charges, and the journal that keeps them.
//!
//! # What is promised
//! - A hold is durable before the first byte of an answer goes to the client, so no answer is
//!   delivered without a line in the ledger.
//! - A generation is charged at most once: its id is the idempotency key.
//! - Σ debits = Σ credits, always: an entry cannot express anything else ([`Book`]).
//! - Two requests never take the same credit. A balance can go below zero only by what open
//!   generations cost beyond their holds.
//! - Nothing is acknowledged that is not durable. When the disk fails, holds are refused until it
//!   works again.
//!
//! # How
//! A request finds its key in a [`KeyTable`] and takes credit with a compare-and-swap. The hold goes
//! into a queue; one writer thread appends what waits to the journal ([`entry`]) as a group, with
//! one write and one fdatasync, and keeps the [`state`] that the entries add up to. The index (sled)
//! follows in checkpoints and only saves time: it can be rebuilt from the journal.
//!
//! After a crash every hold that is still open is settled at the progress that the gateway noted, or
//! voided if nothing had reached the client: see `store::progress` for the rule. A busy key's holds
//! are placed ahead of its requests; one that nobody took over is taken back.

// Some of the pure half is called by the host half only.
#![cfg_attr(not(feature = "host"), allow(dead_code, reason = "called by the host half"))]

mod activity;
mod agree;
mod book;
pub mod entry;
mod keys;
mod query;
mod record;
mod refused;
mod spell;
pub mod state;
mod terms;
mod wire;

#[cfg(feature = "host")]
mod export;
#[cfg(feature = "host")]
mod live;
#[cfg(feature = "host")]
mod reading;
#[cfg(feature = "host")]
mod store;
#[cfg(feature = "host")]
mod verify;

pub use activity::{Activity, ActivityQuery, Sums, Who};
pub use book::{Book, Transfer};
pub use keys::{Account, Balance, KeyEntry, KeyHash, KeyTable, Member, Organisation};
pub use query::{Cursor, GenerationPage, GenerationQuery};
pub use record::{ApiType, Details, GenerationRecord, Leg, Tried, UnitPrices};
pub use state::{CHARGE_MAX, Spent, TRANSFER_MAX};
pub use wire::Malformed;

#[cfg(feature = "host")]
pub use export::{ExportFormat, ExportRange, Imported, export, export_as, import};
#[cfg(feature = "host")]
pub use live::{
    COMMIT_BUCKETS_US, Charge, Clock, Condition, Durable, Hold, HoldAsk, HoldRefused, Ledger,
    LedgerDown, Made, ManageError, Options, RecordRefused, Recovery, Stats, Tell,
};
#[cfg(feature = "host")]
pub use reading::sum_records;
#[cfg(feature = "host")]
pub use store::OpenError;
#[cfg(feature = "host")]
pub use store::compact::Compacted;
#[cfg(feature = "host")]
pub use store::index::{Rows, Store, StoreFailed, Visit};
#[cfg(feature = "host")]
pub use verify::{VerifyFrom, VerifyReport, compact, verify, verify_from};

#[cfg(test)]
mod tests;
