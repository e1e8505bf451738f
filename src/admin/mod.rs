//! The admin listener: health, readiness, metrics, and management of keys and credit.
//!
//! It is a listener of its own, so that nothing here can be reached through the port that callers
//! use. Health, readiness and metrics need no token, because probes and scrapers have none; they
//! say nothing about callers. Everything under `/admin/v1` needs the admin token, and without a
//! configured token there is no management at all.
//!
//! [`account`] is the part that clients with management keys reach through their own port; what
//! both do to the ledger is in [`Desk`]. The module does not know the balancer: it speaks to a
//! [`Status`], which the edge implements. It binds nothing: [`router()`] is served by whoever owns
//! the listener.

pub mod account;
pub mod status;

mod accounts;
mod desk;
mod door;
mod endpoints;
mod fields;
mod generations;
mod input;
mod invoices;
mod keys;
mod organisations;
mod probes;
mod refusal;
pub mod router;
pub mod shown;
mod views;

pub use desk::Desk;
pub(crate) use fields::{AccountFields, KeyFields, MemberFields, OrganisationFields};
pub use router::{AdminState, router};
pub use shown::ShownGeneration;
pub use status::{EndpointRow, NotReady, Status};

/// The description of both management APIs: the operator's below `/admin/v1`, and the one for
/// clients below `/v1`.
pub const OPENAPI: &str = include_str!("openapi.json");
