//! What paths and queries bring.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use serde_json::{Value, json};

use super::refusal::Refusal;
use crate::vocab::{AccountId, BadId, KeyId};

/// The longest idempotency key, in bytes.
const IDEMPOTENCY_KEY_MAX: usize = 128;

/// Which part of a list is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Only what comes after the row of this id; `None` starts at the beginning.
    after: Option<String>,
    /// At most this many, 1–[`Page::LIMIT_MAX`].
    limit: usize,
}

impl Page {
    /// The size of a page unless the request gives one.
    const LIMIT_DEFAULT: usize = 100;
    /// The largest page.
    const LIMIT_MAX: usize = 1_000;

    /// The most rows that are wanted.
    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// The rows of this page, by id, and what to give as `after` for the next one.
    pub(super) fn answer<'a, T>(
        &self,
        rows: impl Iterator<Item = (&'a str, T)>,
        view: impl Fn(T) -> Value,
    ) -> Json<Value> {
        let after = |id: &str| self.after.as_deref().is_none_or(|after| id > after);
        let mut rows: Vec<_> = rows.filter(|(id, _)| after(id)).collect();
        rows.sort_unstable_by(|a, b| a.0.cmp(b.0));
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next = rows.last().filter(|_| more).map(|(id, _)| (*id).to_owned());
        let data: Vec<Value> = rows.into_iter().map(|(_, row)| view(row)).collect();
        Json(json!({"data": data, "next": next}))
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

/// The account id in this field.
pub(super) fn account_id(field: &str, text: &str) -> Result<AccountId, Refusal> {
    AccountId::parse(text).map_err(|why| bad_id(field, &why))
}

/// The key's id in a path.
pub(super) fn key_id(text: &str) -> Result<KeyId, Refusal> {
    KeyId::parse(text).map_err(|why| bad_id("id", &why))
}

fn bad_id(field: &str, why: &BadId) -> Refusal {
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

/// An idempotency key.
pub(super) fn checked_note(field: &str, key: String) -> Result<String, Refusal> {
    let fits = key.bytes().all(|b| b.is_ascii_graphic());
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_MAX || !fits {
        return Err(Refusal::invalid(format!(
            "`{field}` must be 1 to {IDEMPOTENCY_KEY_MAX} printable ASCII characters without \
             spaces; use a new one for each payment and the same one to try again."
        )));
    }
    Ok(key)
}
