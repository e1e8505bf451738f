//! The provider dialect OpenAI Chat Completions, which most hosts speak with deviations.
//!
//! Towards the provider the client's own bytes go ([`request`]); the way back either passes
//! (`stream::relay`) or is read into events here, tolerantly: hosts leave out roles, indices and
//! types, send usage in odd places and errors with status 200.

mod request;

pub use self::request::request;
