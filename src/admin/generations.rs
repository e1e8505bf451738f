//! Generations for the operator: pages of their records.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::accounts::{account_id, in_path, page, queried};
use super::bank::BankError;
use super::refusal::Refusal;
use super::router::AdminState;
use super::shown::ShownGeneration;
use crate::catalog::date;
use crate::ledger::{Cursor, GenerationPage, GenerationQuery, GenerationRecord};
use crate::vocab::{KeyId, ModelId, ProviderId};

/// The records of generations, as management sees them. Every method may block.
pub trait Generations: Send + Sync + 'static {
    /// A page of them.
    ///
    /// # Errors
    /// They cannot be read.
    fn page(&self, query: &GenerationQuery) -> Result<GenerationPage, BankError>;

    /// One, by our id or by the provider's.
    ///
    /// # Errors
    /// [`BankError::NotFound`] if there is none; or they cannot be read.
    fn one(&self, id: &str) -> Result<Arc<GenerationRecord>, BankError>;
}

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
            limit: page.limit,
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
    let generations = state.generations();
    let page = state.blocking(move || generations.page(&query)).await??;
    let data = page.records.iter().map(|record| ShownGeneration::with_owner(record)).collect();
    json(&Listed { data, next: page.next.map(|next| next.to_string()) })
}

pub(super) async fn show(
    State(state): State<AdminState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    let id = in_path(id)?;
    let generations = state.generations();
    let record = state.blocking(move || generations.one(&id)).await??;
    json(&ShownGeneration::with_owner(&record))
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
