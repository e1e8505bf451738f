//! What the Turnpike gateway and its plugins share.
//!
//! A plugin is a crate that depends on this one and on nothing else of Turnpike. It has a
//! [`Definition`], from which the gateway makes a [`Plugin`] for each entry of its configuration,
//! and from that a [`Run`] for each request. Hooks see views ([`Request`], [`Piece`], [`Record`]),
//! do no I/O and read no clock: what must be asked of the outside is a [`Call`], which the gateway
//! makes. So a plugin is tested like arithmetic.
//!
//! The vocabulary is here too: [ids](id), [money and token units](units) and the typed [usage]
//! vector.

pub mod answer;
pub mod call;
pub mod id;
pub mod plugin;
pub mod request;
pub mod units;
pub mod usage;

pub use answer::{Citation, Keep, Kind, Mark, Piece, Record};
pub use call::{Call, CallFault, Method, Reply};
pub use id::{AccountId, BadId, EndpointId, GenerationId, KeyId, ModelId, ProviderId};
pub use plugin::{
    Ask, BadOption, Definition, Format, Head, Needs, OptionDoc, Plugin, Refusal, Run, Secret,
    Setup, Step, Surface,
};
pub use request::{Note, Request, Role, Text, TextKind, Turn};
pub use units::{BadPrice, NanoUsd, PicoUsd};
pub use usage::Usage;
