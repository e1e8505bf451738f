//! Ids, units and usage: the words that every module shares.
//!
//! They live in the plugin API crate, which both sides of the plugin boundary speak.

pub use turnpike_plugin_api::{
    AccountId, BadId, BadPrice, EndpointId, GenerationId, KeyId, ModelId, NanoUsd, PicoUsd,
    ProviderId, Usage,
};
