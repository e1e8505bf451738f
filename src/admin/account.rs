//! What clients with management keys do to their own account, in OpenRouter's shapes (its API
//! reference on keys and activity, read 2026-11): `/v1/keys` and `/v1/activity`.
//!
//! OpenRouter names keys by a hash of their text. Here a key's public id stands in that place: it
//! says nothing about the text, and is what the ledger and the operator call the key.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Desk;
use super::desk::DeskError;
use super::fields::{KeyFields, Object, Wrong, clearable, given};
use crate::catalog::date;
use crate::error::{GatewayError, Kind};
use crate::ledger::state::Refused;
use crate::ledger::{ActivityQuery, KeyEntry, ManageError};
use crate::terms::{Reset, TEXT_MAX};
use crate::vocab::{AccountId, KeyId, NanoUsd};

/// The most keys in one answer.
const PAGE: usize = 100;

/// How many days `/v1/activity` tells of.
const ACTIVITY_DAYS: u64 = 30;

const DAY_MS: u64 = 86_400_000;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `GET /v1/keys`.
    List,
    /// `POST /v1/keys`.
    Create,
    /// `GET /v1/keys/{hash}`.
    Show(String),
    /// `PATCH /v1/keys/{hash}`.
    Change(String),
    /// `DELETE /v1/keys/{hash}`.
    Delete(String),
    /// `GET /v1/activity`.
    Activity,
}

impl Call {
    /// Whether it has a body.
    pub const fn has_body(&self) -> bool {
        matches!(self, Self::Create | Self::Change(_))
    }
}

/// Amounts as JSON numbers with all their digits.
type Dollars = Box<RawValue>;

fn dollars(amount: NanoUsd) -> Dollars {
    RawValue::from_string(amount.to_string()).unwrap_or_default()
}

fn rfc3339(unix_ms: u64) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(unix_ms);
    humantime::format_rfc3339_millis(at).to_string()
}

/// Carries a call out, for the account of the management key that makes it. Blocks.
///
/// Gives the status and the body.
///
/// # Errors
/// What to tell the client.
pub fn answer(
    desk: &Desk,
    caller: &KeyEntry,
    call: &Call,
    query: &[(String, String)],
    body: &[u8],
) -> Result<(u16, Vec<u8>), GatewayError> {
    if !caller.terms().management {
        return Err(GatewayError::new(
            Kind::Forbidden,
            "This needs a management key of the account. Ask whoever runs the gateway for one.",
        ));
    }
    let account = caller.account().id();
    match call {
        Call::List => list(desk, account, query),
        Call::Create => create(desk, account, body),
        Call::Show(hash) => {
            let key = find(desk, account, hash)?;
            spell(200, &Data { data: shown(&key, desk.now_ms()), key: None })
        }
        Call::Change(hash) => change(desk, account, hash, body),
        Call::Delete(hash) => {
            let key = find(desk, account, hash)?;
            desk.delete_key(key.id()).map_err(told)?;
            tracing::info!(key_id = %key.id(), account_id = %account, "A key was deleted.");
            Ok((200, b"{\"deleted\":true}".to_vec()))
        }
        Call::Activity => activity(desk, account, query),
    }
}

#[derive(Serialize)]
struct Data<'a, T> {
    data: T,
    /// The key itself, this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

fn spell(status: u16, body: &impl Serialize) -> Result<(u16, Vec<u8>), GatewayError> {
    let body = serde_json::to_vec(body).map_err(|error| {
        let text = "Turnpike failed; its log has the details.";
        GatewayError::new(Kind::Internal, text).with_detail(error.to_string())
    })?;
    Ok((status, body))
}

/// A key as OpenRouter shows it.
#[derive(Serialize)]
pub struct ShownKey {
    hash: String,
    name: String,
    label: String,
    disabled: bool,
    limit: Option<Dollars>,
    limit_remaining: Option<Dollars>,
    limit_reset: Option<&'static str>,
    include_byok_in_limit: bool,
    usage: Dollars,
    usage_daily: Dollars,
    usage_weekly: Dollars,
    usage_monthly: Dollars,
    byok_usage: Dollars,
    byok_usage_daily: Dollars,
    byok_usage_weekly: Dollars,
    byok_usage_monthly: Dollars,
    created_at: String,
    updated_at: Option<String>,
    expires_at: Option<String>,
    creator_user_id: Option<String>,
    is_management_key: bool,
}

/// A key as its owner sees it: all but its text.
pub fn shown(key: &KeyEntry, now_ms: u64) -> ShownKey {
    let (terms, usage) = (key.terms(), key.usage(now_ms));
    let [daily, weekly, monthly] = Reset::ALL.map(|reset| usage.in_period(reset));
    let updated = Some(key.updated_ms()).filter(|at| *at != key.created_ms());
    ShownKey {
        hash: key.id().to_string(),
        name: terms.label.clone(),
        label: key.shown().to_owned(),
        disabled: key.disabled(),
        limit: terms.limit.map(dollars),
        limit_remaining: key.limit_left(now_ms).map(dollars),
        limit_reset: terms.reset.map(Reset::as_str),
        include_byok_in_limit: terms.byok_in_limit,
        usage: dollars(usage.spent),
        usage_daily: dollars(daily.0),
        usage_weekly: dollars(weekly.0),
        usage_monthly: dollars(monthly.0),
        byok_usage: dollars(usage.byok),
        byok_usage_daily: dollars(daily.1),
        byok_usage_weekly: dollars(weekly.1),
        byok_usage_monthly: dollars(monthly.1),
        created_at: rfc3339(key.created_ms()),
        updated_at: updated.map(rfc3339),
        expires_at: terms.expires_ms.map(rfc3339),
        creator_user_id: terms.member.clone(),
        is_management_key: terms.management,
    }
}

/// `GET /v1/key`: the caller's own key.
pub fn own(key: &KeyEntry, now_ms: u64) -> impl Serialize {
    /// OpenRouter's `rate_limit` of old, which says that there is none.
    #[derive(Serialize)]
    struct RateLimit {
        requests: i64,
        interval: &'static str,
        note: &'static str,
    }
    #[derive(Serialize)]
    struct Own {
        #[serde(flatten)]
        key: ShownKey,
        is_free_tier: bool,
        is_provisioning_key: bool,
        rate_limit: RateLimit,
    }
    let mut key = shown(key, now_ms);
    // The name that was given is what OpenRouter calls the label here.
    if !key.name.is_empty() {
        key.label.clone_from(&key.name);
    }
    let management = key.is_management_key;
    let note = "Limits in force are told in the headers of a 429.";
    Own {
        key,
        is_free_tier: false,
        is_provisioning_key: management,
        rate_limit: RateLimit { requests: -1, interval: "10s", note },
    }
}

/// The value of a parameter; one that is not known is refused.
fn parameter<'a>(
    query: &'a [(String, String)],
    known: &[&str],
    name: &str,
) -> Result<Option<&'a str>, GatewayError> {
    if let Some((other, _)) = query.iter().find(|(other, _)| !known.contains(&other.as_str())) {
        let shown: String = other.chars().take(TEXT_MAX).filter(|c| !c.is_control()).collect();
        let text = format!("There is no parameter `{shown}` here; there are {}.", known.join(", "));
        return Err(GatewayError::new(Kind::InvalidRequest, text).with_param(shown));
    }
    Ok(query.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str()))
}

fn wrong(param: &'static str, why: &str) -> GatewayError {
    GatewayError::new(Kind::InvalidRequest, format!("`{param}` {why}.")).with_param(param)
}

fn list(
    desk: &Desk,
    account: &AccountId,
    query: &[(String, String)],
) -> Result<(u16, Vec<u8>), GatewayError> {
    const KNOWN: [&str; 2] = ["include_disabled", "offset"];
    let all = match parameter(query, &KNOWN, "include_disabled")? {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(wrong("include_disabled", "must be true or false")),
    };
    let offset = parameter(query, &KNOWN, "offset")?.map(str::parse::<usize>).transpose();
    let offset = offset.map_err(|_| wrong("offset", "must be a whole number from 0"))?;
    let keys = desk.ledger().list_keys();
    let ours = keys.iter().filter(|key| key.account().id() == account && (all || !key.disabled()));
    let now_ms = desk.now_ms();
    let rows = ours.skip(offset.unwrap_or(0)).take(PAGE);
    let rows: Vec<_> = rows.map(|key| shown(key, now_ms)).collect();
    spell(200, &Data { data: rows, key: None })
}

/// A key's terms in OpenRouter's words.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fields {
    #[serde(deserialize_with = "given")]
    name: Option<String>,
    #[serde(deserialize_with = "clearable")]
    limit: Option<Option<serde_json::Number>>,
    #[serde(deserialize_with = "clearable")]
    limit_reset: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    include_byok_in_limit: Option<bool>,
    #[serde(deserialize_with = "clearable")]
    expires_at: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    disabled: Option<bool>,
    #[serde(deserialize_with = "clearable")]
    creator_user_id: Option<Option<String>>,
}

impl Fields {
    fn read(body: &[u8]) -> Result<Self, GatewayError> {
        let read: Result<Object<Self>, _> = serde_json::from_slice(body);
        read.map(|Object(fields)| fields).map_err(|error| {
            let text = format!("The body is not as expected: {error}.");
            GatewayError::new(Kind::InvalidRequest, text)
        })
    }

    fn terms(self) -> Result<KeyFields, GatewayError> {
        let expires_ms = match self.expires_at {
            None => None,
            Some(None) => Some(None),
            Some(Some(text)) => Some(Some(date::parse_time(&text).ok_or_else(|| {
                wrong("expires_at", "must be a time in UTC, for instance 2027-12-31T23:59:59Z")
            })?)),
        };
        Ok(KeyFields {
            label: self.name,
            limit_usd: self.limit.map(|limit| limit.as_ref().map(decimal)),
            limit_reset: self.limit_reset,
            include_byok_in_limit: self.include_byok_in_limit,
            expires_ms,
            disabled: self.disabled,
            member: self.creator_user_id,
            ..KeyFields::default()
        })
    }
}

/// A JSON number as decimal text, to the nano-dollar.
fn decimal(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() => {
            let text = format!("{value:.9}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => number.to_string(),
    }
}

fn create(desk: &Desk, account: &AccountId, body: &[u8]) -> Result<(u16, Vec<u8>), GatewayError> {
    let fields = Fields::read(body)?;
    if fields.name.as_deref().is_none_or(str::is_empty) {
        return Err(wrong("name", "is required, so that the key can be told from others"));
    }
    let (key, text) = desk.create_key(account, fields.terms()?).map_err(told)?;
    tracing::info!(key_id = %key.id(), account_id = %account, "A key was made.");
    spell(201, &Data { data: shown(&key, desk.now_ms()), key: Some(text.reveal()) })
}

fn change(
    desk: &Desk,
    account: &AccountId,
    hash: &str,
    body: &[u8],
) -> Result<(u16, Vec<u8>), GatewayError> {
    let key = find(desk, account, hash)?;
    let fields = Fields::read(body)?;
    if fields.creator_user_id.is_some() {
        return Err(wrong("creator_user_id", "cannot be changed; make another key"));
    }
    let key = desk.change_key(key.id(), fields.terms()?).map_err(told)?;
    tracing::info!(key_id = %key.id(), account_id = %account, "A key's terms were changed.");
    spell(200, &Data { data: shown(&key, desk.now_ms()), key: None })
}

/// A key of the account. One of another account does not exist for this caller.
fn find(
    desk: &Desk,
    account: &AccountId,
    hash: &str,
) -> Result<std::sync::Arc<KeyEntry>, GatewayError> {
    let key = KeyId::parse(hash).ok().and_then(|id| desk.ledger().key(&id).ok());
    key.filter(|key| key.account().id() == account)
        .ok_or_else(|| GatewayError::new(Kind::NotFound, "Your account has no key with this hash."))
}

/// Why a change was not made, in the words of clients.
fn told(error: DeskError) -> GatewayError {
    let invalid = |(field, why): Wrong| {
        let field = match field {
            "limit_usd" => "limit",
            "label" => "name",
            "member" => "creator_user_id",
            "expires_ms" => "expires_at",
            other => other,
        };
        wrong(field, &why)
    };
    match error {
        DeskError::Wrong(wrong) => invalid(wrong),
        DeskError::Ledger(ManageError::Invalid("randomness", why)) => {
            let text = "Turnpike failed; its log has the details.";
            GatewayError::new(Kind::Internal, text).with_detail(why)
        }
        DeskError::Ledger(ManageError::Invalid(field, why)) => {
            invalid(super::fields::spelled((field, why)))
        }
        DeskError::Ledger(ManageError::Refused(Refused::NoSuchMember)) => {
            wrong("creator_user_id", "names nobody who is a member of the account")
        }
        DeskError::Ledger(ManageError::Refused(refused)) => {
            GatewayError::new(Kind::InvalidRequest, format!("It cannot be done: {refused}."))
        }
        DeskError::Ledger(ManageError::Down) => GatewayError::new(
            Kind::Unavailable,
            "The ledger takes no operations now; try again shortly.",
        ),
    }
}

/// A row of `/v1/activity`.
#[derive(Serialize)]
struct Row {
    date: String,
    model: Option<String>,
    model_permaslug: Option<String>,
    endpoint_id: Option<String>,
    provider_name: Option<String>,
    usage: Dollars,
    byok_usage_inference: Dollars,
    requests: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
    reasoning_tokens: u64,
}

fn activity(
    desk: &Desk,
    account: &AccountId,
    query: &[(String, String)],
) -> Result<(u16, Vec<u8>), GatewayError> {
    const KNOWN: [&str; 2] = ["date", "api_key_hash"];
    let today = desk.now_ms() / DAY_MS;
    let (first, last) = (today.saturating_sub(ACTIVITY_DAYS), today.saturating_sub(1));
    let day = match parameter(query, &KNOWN, "date")? {
        None => None,
        Some(text) => {
            let seconds = date::parse_day(text);
            let day = seconds.map(|seconds| seconds * 1_000 / DAY_MS);
            let told =
                format!("must be one of the last {ACTIVITY_DAYS} days in UTC, as 2026-11-25");
            Some(
                day.filter(|day| (first..=last).contains(day))
                    .ok_or_else(|| wrong("date", &told))?,
            )
        }
    };
    let key = match parameter(query, &KNOWN, "api_key_hash")? {
        None => None,
        Some(hash) => Some(find(desk, account, hash)?.id().clone()),
    };
    let short = |day: u64| u16::try_from(day).unwrap_or(u16::MAX);
    let wanted = ActivityQuery {
        from_day: short(day.unwrap_or(first)),
        to_day: short(day.unwrap_or(last)),
        account: Some(account.clone()),
        key,
        provider: None,
    };
    let days = desk.ledger().activity(&wanted).map_err(|error| {
        let text = "Turnpike failed; its log has the details.";
        GatewayError::new(Kind::Internal, text).with_detail(error.0)
    })?;
    let rows: Vec<Row> = days
        .iter()
        .rev()
        .map(|day| Row {
            date: date::day_text(u64::from(day.day) * DAY_MS / 1_000),
            model: day.who.model.as_ref().map(ToString::to_string),
            model_permaslug: day.who.model.as_ref().map(ToString::to_string),
            endpoint_id: day.who.endpoint.as_ref().map(ToString::to_string),
            provider_name: day.who.provider().map(str::to_owned),
            usage: dollars(day.sums.cost),
            byok_usage_inference: dollars(day.sums.upstream_cost),
            requests: day.sums.requests,
            prompt_tokens: day.sums.prompt_tokens,
            completion_tokens: day.sums.completion_tokens,
            reasoning_tokens: day.sums.reasoning_tokens,
        })
        .collect();
    spell(200, &Data { data: rows, key: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_to_the_nano_dollar() {
        for (json, text) in [("10", "10"), ("0.1", "0.1"), ("1e-9", "0.000000001"), ("-1", "-1")] {
            assert_eq!(decimal(&serde_json::from_str(json).unwrap()), text);
        }
    }

    #[test]
    fn unknown_parameters_are_refused() {
        let query = [("offset".to_owned(), "3".to_owned())];
        assert_eq!(parameter(&query, &["offset"], "offset").unwrap(), Some("3"));
        assert!(parameter(&query, &["date"], "date").is_err());
    }
}
