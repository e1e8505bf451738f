//! Invoices, and the events that wait for delivery.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::accounts::{Listing, checked_amount, done};
use super::door;
use super::input::{account_id, checked_note, in_path, queried};
use super::refusal::Refusal;
use super::router::AdminState;
use crate::error::Kind;
use crate::events::{InvoiceError, NewInvoice, view};
use crate::ledger::Made;

/// The longest reference of a payment, in bytes.
const REFERENCE_MAX: usize = 128;

impl From<InvoiceError> for Refusal {
    fn from(error: InvoiceError) -> Self {
        match error {
            InvoiceError::Unknown => Self::new(Kind::NotFound, "There is no such invoice."),
            InvoiceError::Conflict(why) => Self::conflict(why),
            InvoiceError::Ledger(error) => error.into(),
            InvoiceError::Store(error) => {
                tracing::error!(%error, "Invoices cannot be stored.");
                Self::new(Kind::Unavailable, "Invoices cannot be stored now; try again later.")
            }
        }
    }
}

pub(super) async fn list(
    State(state): State<AdminState>,
    query: Result<Query<Listing>, QueryRejection>,
) -> Result<Json<Value>, Refusal> {
    let page = queried(query)?.page()?;
    state
        .blocking(move |desk| {
            let invoices = desk.events().invoices();
            page.answer(invoices.iter().map(|one| (one.id.as_str(), one)), view)
        })
        .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Creation {
    account_id: String,
    amount_usd: String,
    idempotency_key: String,
}

/// Asks for a payment: 201, or 200 if it had been asked for before.
pub(super) async fn create(
    State(state): State<AdminState>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let body: Creation = door::read(request).await?;
    let new = NewInvoice {
        account: account_id("account_id", &body.account_id)?,
        amount: checked_amount(&body.amount_usd)?,
        idempotency_key: checked_note("idempotency_key", body.idempotency_key)?,
    };
    let (invoice, before) = state
        .blocking(move |desk| {
            desk.account(&new.account)?;
            Ok::<_, Refusal>(desk.events().invoice(new, desk.now_ms())?)
        })
        .await??;
    Ok(done(made(before), json!({"invoice": view(&invoice)})))
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Payment {
    /// What the payment is known by outside.
    reference: Option<String>,
}

/// The operator has the money: the credit is added, once.
pub(super) async fn paid(
    State(state): State<AdminState>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let id = in_path(id)?;
    let Payment { reference } = door::read(request).await?;
    let fits = |text: &str| text.len() <= REFERENCE_MAX && !text.chars().any(char::is_control);
    if !reference.as_deref().is_none_or(fits) {
        return Err(Refusal::invalid(format!(
            "`reference` must have at most {REFERENCE_MAX} bytes and no control characters."
        )));
    }
    let (invoice, before) = state
        .blocking(move |desk| desk.events().pay(desk.ledger(), &id, reference, desk.now_ms()))
        .await??;
    tracing::info!(invoice = invoice.id, repeated = before, "An invoice was paid.");
    Ok((StatusCode::OK, done(made(before), json!({"invoice": view(&invoice)})).1))
}

/// Nobody will pay it.
pub(super) async fn void(
    State(state): State<AdminState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Refusal> {
    let id = in_path(id)?;
    let (invoice, before) =
        state.blocking(move |desk| desk.events().void(&id, desk.now_ms())).await??;
    tracing::info!(invoice = invoice.id, repeated = before, "An invoice was voided.");
    Ok(done(made(before), json!({"invoice": view(&invoice)})).1)
}

const fn made(before: bool) -> Made {
    if before { Made::Before } else { Made::Now }
}

/// The events that were not delivered yet, oldest first.
pub(super) async fn events(State(state): State<AdminState>) -> Result<Json<Value>, Refusal> {
    let waiting = state.blocking(move |desk| desk.events().waiting()).await?;
    let rows: Vec<_> = waiting
        .iter()
        .map(|event| {
            json!({
                "id": event.id,
                "type": event.kind,
                "data": event.data,
                "created_ms": event.created_ms,
                "attempts": event.attempts,
                "next_ms": event.next_ms,
                "last_error": event.last_error,
            })
        })
        .collect();
    Ok(Json(json!({"data": rows})))
}
