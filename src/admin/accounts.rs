//! Accounts, their credit and their members.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::door;
use super::fields::{AccountFields, MemberFields, dollars};
use super::input::{Page, account_id, checked_note, in_path, page, queried};
use super::refusal::Refusal;
use super::router::AdminState;
use super::views;
use crate::ledger::{Book, Made};
use crate::terms::TEXT_MAX;
use crate::vocab::{AccountId, NanoUsd};

/// The longest payment method, in bytes.
const METHOD_MAX: usize = 32;

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

pub(super) async fn list(
    State(state): State<AdminState>,
    query: Result<Query<Listing>, QueryRejection>,
) -> Result<Json<Value>, Refusal> {
    let page = queried(query)?.page()?;
    state
        .blocking(move |desk| {
            let table = desk.ledger().keys();
            let rows = table.accounts().map(|account| (account.id().as_str(), account));
            page.answer(rows, |account| views::account(account))
        })
        .await
}

/// An account to be opened: its id, and terms.
#[derive(Deserialize)]
struct Creation {
    id: String,
    #[serde(flatten)]
    fields: Value,
}

pub(super) async fn create(
    State(state): State<AdminState>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let body: Creation = door::read(request).await?;
    let id = account_id("id", &body.id)?;
    let fields: AccountFields = door::fields(body.fields)?;
    let row = state
        .blocking(move |desk| {
            desk.create_account(&id, fields).map(|account| views::account(&account))
        })
        .await??;
    tracing::info!(account_id = %row["id"], "An account was opened.");
    Ok((StatusCode::CREATED, Json(row)))
}

pub(super) async fn show(
    State(state): State<AdminState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Refusal> {
    let id = account_id("id", &in_path(id)?)?;
    let row = state.blocking(move |desk| desk.account(&id).map(|account| views::account(&account)));
    Ok(Json(row.await??))
}

pub(super) async fn change(
    State(state): State<AdminState>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<Value>, Refusal> {
    let id = account_id("id", &in_path(id)?)?;
    let fields: AccountFields = door::read(request).await?;
    let row = state
        .blocking(move |desk| {
            desk.change_account(&id, fields).map(|account| views::account(&account))
        })
        .await??;
    tracing::info!(account_id = %row["id"], "An account's terms were changed.");
    Ok(Json(row))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payment {
    /// A decimal string, since a JSON number may be rounded on its way.
    amount_usd: String,
    method: String,
    idempotency_key: String,
    /// Whether the configured fee was paid beside it.
    #[serde(default)]
    purchase: bool,
}

/// Adds credit: 201, or 200 if this very top-up had happened before.
pub(super) async fn top_up(
    State(state): State<AdminState>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let account = account_id("id", &in_path(id)?)?;
    let body: Payment = door::read(request).await?;
    let amount = dollars("amount_usd", &body.amount_usd)?;
    let method = checked_method(body.method)?;
    let key = checked_note("idempotency_key", body.idempotency_key)?;
    let fee = state.blocking(move |desk| desk.events().fee_on(amount)).await?;
    let fee = if body.purchase { fee } else { NanoUsd::ZERO };
    let (status, mut row) = state
        .moved(account, move |desk, account| {
            Ok(desk.ledger().purchase(account, (amount, fee), &method, &key)?)
        })
        .await?;
    // What was booked before may have been booked with another fee.
    if status == StatusCode::CREATED {
        row["fee_usd"] = json!(fee.to_string());
    }
    Ok((status, row))
}

/// A correction by hand. `against` is `promotions`, or `cash-in:METHOD` where money goes back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Adjustment {
    amount_usd: String,
    reason: String,
    #[serde(default)]
    against: Option<String>,
    idempotency_key: String,
}

/// Gives credit, or takes some: 201, or 200 if this very one had happened before.
pub(super) async fn adjust(
    State(state): State<AdminState>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let account = account_id("id", &in_path(id)?)?;
    let body: Adjustment = door::read(request).await?;
    let amount = dollars("amount_usd", &body.amount_usd)?;
    let against = book(body.against.as_deref())?;
    let reason = checked_reason(body.reason)?;
    let key = checked_note("idempotency_key", body.idempotency_key)?;
    state
        .moved(account, move |desk, account| {
            Ok(desk.ledger().adjust(account, amount, against, &reason, &key)?)
        })
        .await
}

fn book(name: Option<&str>) -> Result<Book, Refusal> {
    let wrong = || Refusal::invalid("`against` must be \"promotions\" or \"cash-in:METHOD\".");
    match name {
        None | Some("promotions") => Ok(Book::Promotions),
        Some(name) => {
            let method = name.strip_prefix("cash-in:").ok_or_else(wrong)?;
            let method = checked_method(method.to_owned()).map_err(|_| wrong())?;
            AccountId::parse(&method).map(Book::CashIn).map_err(|_| wrong())
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    from: String,
    to: String,
    amount_usd: String,
    reason: String,
    idempotency_key: String,
}

/// Moves credit between accounts: 201, or 200 if this very transfer had happened before.
pub(super) async fn transfer(
    State(state): State<AdminState>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let body: Move = door::read(request).await?;
    let (from, to) = (account_id("from", &body.from)?, account_id("to", &body.to)?);
    let amount = dollars("amount_usd", &body.amount_usd)?;
    let reason = checked_reason(body.reason)?;
    let key = checked_note("idempotency_key", body.idempotency_key)?;
    let (made, row) = state
        .blocking(move |desk| {
            desk.account(&from)?;
            let made = desk.transfer((&from, &to), amount, &reason, &key)?;
            let (from, to) = (desk.account(&from)?, desk.account(&to)?);
            let row = json!({"from": views::account(&from), "to": views::account(&to)});
            Ok::<_, Refusal>((made, row))
        })
        .await??;
    tracing::info!(
        from = %row["from"]["id"], to = %row["to"]["id"], amount_usd = %amount,
        repeated = made == Made::Before, "Credit was moved."
    );
    Ok(done(made, row))
}

impl AdminState {
    /// Moves money of one account, and shows the account.
    async fn moved(
        &self,
        account: AccountId,
        deed: impl FnOnce(&super::Desk, &AccountId) -> Result<Made, Refusal> + Send + 'static,
    ) -> Result<(StatusCode, Json<Value>), Refusal> {
        let (made, row) = self
            .blocking(move |desk| {
                desk.account(&account)?;
                let made = deed(desk, &account)?;
                Ok::<_, Refusal>((made, views::account(&*desk.account(&account)?)))
            })
            .await??;
        tracing::info!(
            account_id = %row["id"], balance_usd = %row["balance_usd"],
            repeated = made == Made::Before, "Credit was changed."
        );
        Ok(done(made, json!({"account": row})))
    }
}

/// 201 for what was made now, 200 for what had been made before.
pub(super) fn done(made: Made, mut row: Value) -> (StatusCode, Json<Value>) {
    let repeated = made == Made::Before;
    row["repeated"] = json!(repeated);
    (if repeated { StatusCode::OK } else { StatusCode::CREATED }, Json(row))
}

pub(super) async fn members(
    State(state): State<AdminState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Refusal> {
    let id = account_id("id", &in_path(id)?)?;
    let rows = state
        .blocking(move |desk| {
            desk.account(&id)?;
            let (table, now) = (desk.ledger().keys(), desk.now_ms());
            let mut members: Vec<_> = table.members(&id).collect();
            members.sort_unstable_by(|a, b| a.user().cmp(b.user()));
            let rows: Vec<_> = members.iter().map(|member| views::member(member, now)).collect();
            Ok::<_, Refusal>(rows)
        })
        .await??;
    Ok(Json(json!({"data": rows})))
}

/// The account and the user in a path.
type MemberPath = Result<Path<(String, String)>, PathRejection>;

fn member_path(path: MemberPath) -> Result<(AccountId, String), Refusal> {
    let Path((id, user)) = path.map_err(|_| Refusal::invalid("The path cannot be read."))?;
    if user.is_empty() || user.len() > TEXT_MAX || user.chars().any(char::is_control) {
        let why = format!("`user` must have 1 to {TEXT_MAX} bytes and no control characters.");
        return Err(Refusal::invalid(why));
    }
    Ok((account_id("id", &id)?, user))
}

pub(super) async fn member(
    State(state): State<AdminState>,
    path: MemberPath,
) -> Result<Json<Value>, Refusal> {
    let (id, user) = member_path(path)?;
    let row = state.blocking(move |desk| {
        desk.member(&id, &user).map(|member| views::member(&member, desk.now_ms()))
    });
    Ok(Json(row.await??))
}

/// Makes somebody a member (201) or changes one (200).
pub(super) async fn set_member(
    State(state): State<AdminState>,
    path: MemberPath,
    request: Request,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let (id, user) = member_path(path)?;
    let fields: MemberFields = door::read(request).await?;
    let (made, row) = state
        .blocking(move |desk| {
            let (member, made) = desk.set_member(&id, &user, fields)?;
            Ok::<_, Refusal>((made, views::member(&member, desk.now_ms())))
        })
        .await??;
    let status = if made == Made::Now { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(row)))
}

pub(super) async fn remove_member(
    State(state): State<AdminState>,
    path: MemberPath,
) -> Result<Json<Value>, Refusal> {
    let (id, user) = member_path(path)?;
    state
        .blocking(move |desk| {
            desk.member(&id, &user)?;
            Ok::<_, Refusal>(desk.ledger().remove_member(&id, &user)?)
        })
        .await??;
    Ok(Json(json!({"deleted": true})))
}

pub(super) fn checked_amount(text: &str) -> Result<NanoUsd, Refusal> {
    let amount = dollars("amount_usd", text)?;
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

fn checked_reason(reason: String) -> Result<String, Refusal> {
    if reason.is_empty() || reason.chars().any(char::is_control) {
        return Err(Refusal::invalid("`reason` must not be empty or have control characters."));
    }
    Ok(reason)
}
