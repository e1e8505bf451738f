//! Identical answers: when, under which key, and a bounded store in memory.
//!
//! Two requests get the same answer only if nothing that changes the answer differs: the [key](mod@key)
//! is a hash over the request's meaning, not over its bytes, and over who asks. Whether the cache
//! is used at all is the caller's choice ([`policy`]), because a cached answer is the same answer
//! again, which is not what every caller wants. The [`store`] holds whole answers only; an answer
//! becomes visible when it is complete ([`entry::Fill`]), never before. Its bounds are bytes, not
//! entries, since answers differ in size by four orders of magnitude.
//!
//! Nothing here does I/O or reads a clock: times are milliseconds since 1970, passed in.

pub mod entry;
pub mod key;
pub mod policy;
pub mod store;

mod lru;
mod tape;

pub use entry::{Entry, Fill, Meta};
pub use key::{BadBody, Key, Scope, key};
pub use policy::{Asked, Intent, Settings, Standing};
pub use store::{Limits, Stats, Store};
