//! Accounts and their credit.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::bank::{AccountRow, NewAccount, Page, TopUp};
use super::door;
use super::refusal::Refusal;
use super::router::AdminState;
use crate::vocab::{AccountId, BadId, NanoUsd};

/// The longest payment method, in bytes.
const METHOD_MAX: usize = 32;
/// The longest idempotency key, in bytes.
const IDEMPOTENCY_KEY_MAX: usize = 128;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    after: Option<String>,
    limit: Option<usize>,
}

impl Listing {
    pub(super) fn page(self) -> Result<Page, Refusal> {
        page(self.after, self.limit)
    }
}

/// Checks what part of a list is wanted.
pub(super) fn page(after: Option<String>, limit: Option<usize>) -> Result<Page, Refusal> {
    let limit = limit.unwrap_or(Page::LIMIT_DEFAULT);
    if !(1..=Page::LIMIT_MAX).contains(&limit) {
        return Err(Refusal::invalid(format!("`limit` must be 1 to {}.", Page::LIMIT_MAX)));
    }
    Ok(Page { after, limit })
}

pub(super) async fn list(
    State(state): State<AdminState>,
    query: Result<Query<Listing>, QueryRejection>,
) -> Result<Json<Value>, Refusal> {
    let page = queried(query)?.page()?;
    let bank = state.bank();
    let limit = page.limit;
    let rows = state.blocking(move || bank.accounts(&page)).await??;
    let next = next_page(&rows, limit, |row| row.id.as_str());
    Ok(Json(json!({"data": rows.iter().map(view).collect::<Vec<_>>(), "next": next})))
}

/// What to give as `after` for the next page, if there may be one.
pub(super) fn next_page<T>(rows: &[T], limit: usize, id: impl Fn(&T) -> &str) -> Option<&str> {
    rows.last().filter(|_| rows.len() >= limit).map(id)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Creation {
    id: String,
}

pub(super) async fn create(
    State(state): State<AdminState>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let body: Creation = door::read(request).await?;
    let new = NewAccount { id: account_id("id", &body.id)? };
    let bank = state.bank();
    let row = state.blocking(move || bank.create_account(new)).await??;
    tracing::info!(account_id = %row.id, "An account was opened.");
    Ok((StatusCode::CREATED, Json(view(&row))))
}

pub(super) async fn show(
    State(state): State<AdminState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Refusal> {
    let id = account_id("id", &in_path(id)?)?;
    let bank = state.bank();
    let row = state.blocking(move || bank.account(&id)).await??;
    Ok(Json(view(&row)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payment {
    /// A decimal string, since a JSON number may be rounded on its way.
    amount_usd: String,
    method: String,
    idempotency_key: String,
}

/// Adds credit: 201, or 200 if this very top-up had happened before.
pub(super) async fn top_up(
    State(state): State<AdminState>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let account = account_id("id", &in_path(id)?)?;
    let body: Payment = door::read(request).await?;
    let top_up = TopUp {
        account,
        amount: checked_amount(&body.amount_usd)?,
        method: checked_method(body.method)?,
        idempotency_key: checked_idempotency_key(body.idempotency_key)?,
    };
    let (amount, bank) = (top_up.amount, state.bank());
    let done = state.blocking(move || bank.top_up(top_up)).await??;
    let account_id = &done.account.id;
    tracing::info!(%account_id, amount_usd = %amount, repeated = done.repeated, "Credit was added.");
    let status = if done.repeated { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(json!({"account": view(&done.account), "repeated": done.repeated}))))
}

fn view(row: &AccountRow) -> Value {
    json!({
        "id": row.id,
        "bought_usd": row.bought.to_string(),
        "used_usd": row.used.to_string(),
        "balance_usd": row.balance.to_string(),
        "held_usd": row.held.to_string(),
        "created_ms": row.created_ms,
    })
}

fn checked_amount(text: &str) -> Result<NanoUsd, Refusal> {
    let amount = NanoUsd::parse_dollars(text)
        .map_err(|why| Refusal::invalid(format!("`amount_usd` {why}.")))?;
    if amount <= NanoUsd::ZERO {
        return Err(Refusal::invalid("`amount_usd` must be more than 0."));
    }
    Ok(amount)
}

fn checked_method(method: String) -> Result<String, Refusal> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    if method.is_empty() || method.len() > METHOD_MAX || !method.bytes().all(fits) {
        return Err(Refusal::invalid(format!(
            "`method` must be 1 to {METHOD_MAX} of a-z, 0-9, _ and -, for instance \"card\"."
        )));
    }
    Ok(method)
}

fn checked_idempotency_key(key: String) -> Result<String, Refusal> {
    let fits = key.bytes().all(|b| b.is_ascii_graphic());
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_MAX || !fits {
        return Err(Refusal::invalid(format!(
            "`idempotency_key` must be 1 to {IDEMPOTENCY_KEY_MAX} printable ASCII characters \
             without spaces; use a new one for each payment and the same one to try again."
        )));
    }
    Ok(key)
}

/// The account id in this field.
pub(super) fn account_id(field: &str, text: &str) -> Result<AccountId, Refusal> {
    AccountId::parse(text).map_err(|why| bad_id(field, &why))
}

pub(super) fn bad_id(field: &str, why: &BadId) -> Refusal {
    Refusal::invalid(format!("`{field}` {why}."))
}

/// The one variable part of a path.
pub(super) fn in_path(id: Result<Path<String>, PathRejection>) -> Result<String, Refusal> {
    id.map(|Path(id)| id).map_err(|_| Refusal::invalid("The id in the path cannot be read."))
}

/// The query of a path.
pub(super) fn queried<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Refusal> {
    query
        .map(|Query(query)| query)
        .map_err(|why| Refusal::invalid(format!("The query is not as expected: {why}.")))
}
