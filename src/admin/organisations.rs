//! Organisations: what several accounts are restricted to together.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use serde_json::Value;

use super::accounts::Listing;
use super::door;
use super::fields::OrganisationFields;
use super::input::{account_id, in_path, queried};
use super::refusal::Refusal;
use super::router::AdminState;
use super::views;
use crate::ledger::Made;

pub(super) async fn list(
    State(state): State<AdminState>,
    query: Result<Query<Listing>, QueryRejection>,
) -> Result<Json<Value>, Refusal> {
    let page = queried(query)?.page()?;
    state
        .blocking(move |desk| {
            let table = desk.ledger().keys();
            let rows = table.organisations().map(|one| (one.id().as_str(), one));
            page.answer(rows, |one| views::organisation(one))
        })
        .await
}

pub(super) async fn show(
    State(state): State<AdminState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Refusal> {
    let id = account_id("id", &in_path(id)?)?;
    let row =
        state.blocking(move |desk| desk.organisation(&id).map(|one| views::organisation(&one)));
    Ok(Json(row.await??))
}

/// Makes an organisation (201) or changes one (200).
pub(super) async fn set(
    State(state): State<AdminState>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let id = account_id("id", &in_path(id)?)?;
    let fields: OrganisationFields = door::read(request).await?;
    let (made, row) = state
        .blocking(move |desk| {
            desk.set_organisation(&id, fields).map(|(one, made)| (made, views::organisation(&one)))
        })
        .await??;
    tracing::info!(organisation = %row["id"], "An organisation's terms were set.");
    let status = if made == Made::Now { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(row)))
}
