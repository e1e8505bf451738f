//! `GET /v1/generation`: what is kept about an answer, for whoever paid for it.

use bytes::Bytes;

use crate::admin::ShownGeneration;
use crate::edge::failure;
use crate::edge::gateway::Gateway;
use crate::edge::local::data;
use crate::error::{GatewayError, Kind};
use crate::ledger::{GenerationRecord, KeyEntry};
use crate::vocab::GenerationId;

/// Answers `GET /v1/generation?id=`, by our id or the provider's.
///
/// # Errors
/// There is no such generation on the caller's account, or it cannot be read.
pub(crate) fn answer(
    gateway: &Gateway,
    caller: &KeyEntry,
    id: Option<&str>,
) -> Result<Bytes, GatewayError> {
    let record = find(gateway, caller, id)?;
    data(ShownGeneration::of(&record))
}

/// The generation, if it is one of the caller's account.
///
/// # Errors
/// There is none, or it cannot be read.
pub(crate) fn find(
    gateway: &Gateway,
    caller: &KeyEntry,
    id: Option<&str>,
) -> Result<std::sync::Arc<GenerationRecord>, GatewayError> {
    let Some(id) = id.filter(|id| !id.is_empty()) else {
        return Err(GatewayError::new(
            Kind::InvalidRequest,
            "Name the generation: GET /v1/generation?id=gen-…; the id is in the X-Generation-Id \
             header of every answer.",
        )
        .with_param("id"));
    };
    let found = match GenerationId::parse(id) {
        Some(id) => gateway.ledger.generation(id),
        None => gateway.ledger.generation_by_upstream(id),
    };
    let found = found
        .map_err(|e| failure::internal("the ledger cannot be read").with_detail(e.to_string()))?;
    // Another account's generation does not exist for this caller.
    found.filter(|record| record.account == *caller.account().id()).ok_or_else(|| {
        GatewayError::new(Kind::NotFound, "There is no generation with this id on your account.")
    })
}
