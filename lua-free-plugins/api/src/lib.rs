//! The vocabulary that the Turnpike gateway and its plugins share.
//!
//! Everything here is plain data without I/O: [ids](id), [money and token units](units) and the
//! typed [usage] vector. A plugin depends on this crate and on nothing else of Turnpike.

pub mod id;
pub mod units;
pub mod usage;

pub use id::{AccountId, BadId, EndpointId, GenerationId, KeyId, ModelId, ProviderId};
pub use units::{BadPrice, NanoUsd, PicoUsd};
pub use usage::Usage;
