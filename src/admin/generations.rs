//! Generations for the operator: pages of their records.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::Desk;
use super::input::{account_id, in_path, page, queried};
use super::refusal::Refusal;
use super::router::AdminState;
use super::shown::ShownGeneration;
use crate::catalog::date;
use crate::error::Kind;
use crate::ledger::{Cursor, GenerationQuery, GenerationRecord};
use crate::vocab::{GenerationId, KeyId, ModelId, ProviderId};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    account: Option<String>,
    key: Option<String>,
    model: Option<String>,
    provider: Option<String>,
    from: Option<String>,
    to: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

impl Wanted {
    fn query(self) -> Result<GenerationQuery, Refusal> {
        let page = page(None, self.limit)?;
        let wrong = |name: &str| Refusal::invalid(format!("`{name}` is not possible."));
        Ok(GenerationQuery {
            account: self.account.as_deref().map(|id| account_id("account", id)).transpose()?,
            key: self.key.as_deref().map(KeyId::parse).transpose().map_err(|_| wrong("key"))?,
            model: self
                .model
                .as_deref()
                .map(ModelId::parse)
                .transpose()
                .map_err(|_| wrong("model"))?,
            provider: (self.provider.as_deref().map(ProviderId::parse).transpose())
                .map_err(|_| wrong("provider"))?,
            from_ms: self.from.as_deref().map(|text| time("from", text)).transpose()?,
            to_ms: self.to.as_deref().map(|text| time("to", text)).transpose()?,
            after: (self.after.as_deref())
                .map(|text| Cursor::parse(text).ok_or_else(|| wrong("after")))
                .transpose()?,
            limit: page.limit(),
        })
    }
}

/// Reads a point in time.
pub(super) fn time(name: &str, text: &str) -> Result<u64, Refusal> {
    date::parse_time(text).ok_or_else(|| {
        Refusal::invalid(format!(
            "`{name}` must be a day (2026-11-26), a time in UTC (2026-11-26T08:30:00Z), or \
             milliseconds since 1970."
        ))
    })
}

pub(super) async fn list(
    State(state): State<AdminState>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Refusal> {
    let query = queried(query)?.query()?;
    let page = state.blocking(move |desk| desk.ledger().generations(&query)).await?;
    let page = page.map_err(|why| Refusal::internal(&why.0))?;
    let data = page.records.iter().map(|record| ShownGeneration::with_owner(record)).collect();
    json(&Listed { data, next: page.next.map(|next| next.to_string()) })
}

pub(super) async fn show(
    State(state): State<AdminState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let id = in_path(id)?;
    let record = state.blocking(move |desk| find(desk, &id)).await??;
    json(&ShownGeneration::with_owner(&record))
}

/// Deletes what is kept of one.
pub(super) async fn forget(
    State(state): State<AdminState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let id = in_path(id)?;
    let deleted = state
        .blocking(move |desk| {
            let record = find(desk, &id)?;
            desk.forget(&record).map_err(|why| Refusal::internal(&why.to_string()))
        })
        .await??;
    if !deleted {
        return Err(Refusal::new(Kind::NotFound, "Nothing is kept of this generation."));
    }
    json(&Deleted { deleted: 1 })
}

/// Deletes what is kept of an account's generations.
pub(super) async fn forget_account(
    State(state): State<AdminState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let account = account_id("id", &in_path(id)?)?;
    let named = account.clone();
    let deleted = state
        .blocking(move |desk| {
            desk.account(&account)?;
            let done = desk.forget_account(&account);
            done.map_err(|why| Refusal::internal(&why.to_string()))
        })
        .await??;
    tracing::info!(account_id = %named, deleted, "An account's kept content was deleted.");
    json(&Deleted { deleted })
}

#[derive(Serialize)]
struct Deleted {
    deleted: u64,
}

/// A record, by our id or by the provider's.
fn find(desk: &Desk, id: &str) -> Result<Arc<GenerationRecord>, Refusal> {
    let found = match GenerationId::parse(id) {
        Some(id) => desk.ledger().generation(id),
        None => desk.ledger().generation_by_upstream(id),
    };
    let found = found.map_err(|why| Refusal::internal(&why.0))?;
    found.ok_or_else(|| Refusal::new(Kind::NotFound, "There is no such generation."))
}

#[derive(Serialize)]
struct Listed<'a> {
    data: Vec<ShownGeneration<'a>>,
    next: Option<String>,
}

/// Written as text at once: a tree of values would round amounts.
fn json(body: &impl Serialize) -> Result<Response, Refusal> {
    let text = serde_json::to_string(body).map_err(|why| Refusal::internal(&why.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}
