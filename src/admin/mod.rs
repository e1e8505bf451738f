//! The admin listener: health, readiness, metrics, and management of keys and credit.
//!
//! It is a listener of its own, so that nothing here can be reached through the port that callers
//! use. Health, readiness and metrics need no token, because probes and scrapers have none; they
//! say nothing about callers. Everything under `/admin/v1` needs the admin token, and without a
//! configured token there is no management at all.
//!
//! The module knows neither the ledger nor the balancer: it speaks to a [`Bank`] and a
//! [`Status`], which the edge implements over the real ones. It binds nothing: [`router()`] is
//! served by whoever owns the listener.

pub mod bank;
pub mod status;

mod accounts;
mod door;
mod endpoints;
pub mod generations;
mod keys;
mod probes;
mod refusal;
pub mod router;
pub mod shown;

pub use bank::{
    AccountRow, Bank, BankError, IssuedKey, KeyRow, NewAccount, NewKey, Page, TopUp, TopUpDone,
};
pub use generations::Generations;
pub use router::{AdminState, router};
pub use shown::ShownGeneration;
pub use status::{EndpointRow, NotReady, Status};
