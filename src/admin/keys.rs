//! API keys.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::accounts::{account_id, bad_id, in_path, next_page, page, queried};
use super::bank::{KeyRow, NewKey};
use super::door;
use super::refusal::Refusal;
use super::router::AdminState;
use crate::vocab::{KeyId, NanoUsd};

/// The longest name of a key, in bytes.
const LABEL_MAX: usize = 128;

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
    let account = match &query.account_id {
        Some(text) => Some(account_id("account_id", text)?),
        None => None,
    };
    let page = page(query.after, query.limit)?;
    let (bank, limit) = (state.bank(), page.limit);
    let rows = state.blocking(move || bank.keys(account.as_ref(), &page)).await??;
    let next = next_page(&rows, limit, |row| row.id.as_str());
    Ok(Json(json!({"data": rows.iter().map(view).collect::<Vec<_>>(), "next": next})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Creation {
    account_id: String,
    #[serde(default)]
    label: String,
    /// A decimal string.
    limit_usd: Option<String>,
    expires_ms: Option<u64>,
}

/// Makes a key and shows its secret, this once.
pub(super) async fn create(
    State(state): State<AdminState>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let body: Creation = door::read(request).await?;
    let account = account_id("account_id", &body.account_id)?;
    let limit = body.limit_usd.as_deref().map(checked_limit).transpose()?;
    let label = checked_label(body.label)?;
    let new = NewKey { account, label, limit, expires_ms: body.expires_ms };
    let bank = state.bank();
    let issued = state.blocking(move || bank.create_key(new)).await??;
    tracing::info!(key_id = %issued.row.id, account_id = %issued.row.account, "A key was made.");
    let mut body = view(&issued.row);
    body["key"] = json!(issued.secret.expose());
    Ok((StatusCode::CREATED, Json(body)))
}

/// Disables a key. It is kept, since past charges name it.
pub(super) async fn disable(
    State(state): State<AdminState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Refusal> {
    let id = KeyId::parse(&in_path(id)?).map_err(|why| bad_id("id", &why))?;
    let bank = state.bank();
    let row = state.blocking(move || bank.disable_key(&id)).await??;
    tracing::info!(key_id = %row.id, account_id = %row.account, "A key was disabled.");
    Ok(Json(view(&row)))
}

fn checked_label(label: String) -> Result<String, Refusal> {
    if label.len() > LABEL_MAX || label.chars().any(char::is_control) {
        return Err(Refusal::invalid(format!(
            "`label` must have at most {LABEL_MAX} bytes and no control characters."
        )));
    }
    Ok(label)
}

fn checked_limit(text: &str) -> Result<NanoUsd, Refusal> {
    match NanoUsd::parse_dollars(text) {
        Ok(limit) if limit >= NanoUsd::ZERO => Ok(limit),
        Ok(_) => Err(Refusal::invalid("`limit_usd` must not be negative.")),
        Err(why) => Err(Refusal::invalid(format!("`limit_usd` {why}."))),
    }
}

fn view(row: &KeyRow) -> Value {
    json!({
        "id": row.id,
        "account_id": row.account,
        "label": row.label,
        "shown": row.shown,
        "limit_usd": row.limit.map(|limit| limit.to_string()),
        "spent_usd": row.spent.to_string(),
        "expires_ms": row.expires_ms,
        "disabled": row.disabled,
        "created_ms": row.created_ms,
    })
}
