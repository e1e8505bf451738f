//! API keys.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::door;
use super::fields::KeyFields;
use super::input::{account_id, in_path, key_id, page, queried};
use super::refusal::Refusal;
use super::router::AdminState;
use super::views;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    account_id: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn list(
    State(state): State<AdminState>,
    query: Result<Query<Listing>, QueryRejection>,
) -> Result<Json<Value>, Refusal> {
    let query = queried(query)?;
    let account = query.account_id.as_deref().map(|id| account_id("account_id", id)).transpose()?;
    let page = page(query.after, query.limit)?;
    state
        .blocking(move |desk| {
            let (table, now) = (desk.ledger().keys(), desk.now_ms());
            let ours = table
                .keys()
                .filter(|key| account.as_ref().is_none_or(|account| account == key.account().id()));
            page.answer(ours.map(|key| (key.id().as_str(), key)), |key| views::key(key, now))
        })
        .await
}

/// A key to be made: whose, and terms.
#[derive(Deserialize)]
struct Creation {
    account_id: String,
    #[serde(flatten)]
    fields: Value,
}

/// Makes a key and shows its secret, this once.
pub(super) async fn create(
    State(state): State<AdminState>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let body: Creation = door::read(request).await?;
    let account = account_id("account_id", &body.account_id)?;
    let fields: KeyFields = door::fields(body.fields)?;
    let (mut row, text) = state
        .blocking(move |desk| {
            let (key, text) = desk.create_key(&account, fields)?;
            Ok::<_, Refusal>((views::key(&key, desk.now_ms()), text))
        })
        .await??;
    tracing::info!(key_id = %row["id"], account_id = %row["account_id"], "A key was made.");
    row["key"] = json!(text.reveal());
    Ok((StatusCode::CREATED, Json(row)))
}

pub(super) async fn show(
    State(state): State<AdminState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Refusal> {
    let id = key_id(&in_path(id)?)?;
    let row = state
        .blocking(move |desk| desk.ledger().key(&id).map(|key| views::key(&key, desk.now_ms())));
    Ok(Json(row.await??))
}

pub(super) async fn change(
    State(state): State<AdminState>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    let id = key_id(&in_path(id)?)?;
    let fields: KeyFields = door::read(request).await?;
    let row = state
        .blocking(move |desk| {
            desk.change_key(&id, fields).map(|key| views::key(&key, desk.now_ms()))
        })
        .await??;
    tracing::info!(key_id = %row["id"], "A key's terms were changed.");
    Ok(Json(row))
}

/// Deletes a key for good. What it was used for stays in the books.
pub(super) async fn delete(
    State(state): State<AdminState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Refusal> {
    let id = key_id(&in_path(id)?)?;
    let row = state
        .blocking(move |desk| desk.delete_key(&id).map(|key| views::key(&key, desk.now_ms())))
        .await??;
    tracing::info!(key_id = %row["id"], account_id = %row["account_id"], "A key was deleted.");
    Ok(Json(row))
}
