//! What the gateway answers itself: the catalog, the caller's credit, key and generations.

use bytes::Bytes;
use pingora::Result;
use pingora::proxy::Session;
use serde::Serialize;

use crate::edge::arrive::Route;
use crate::edge::gateway::Gateway;
use crate::edge::journey::Facts;
use crate::edge::{failure, intake, models, reply};
use crate::error::{GatewayError, Kind};
use crate::ledger::{GenerationRecord, KeyEntry};
use crate::observe::Surface;
use crate::terms::Reset;
use crate::vocab::{EndpointId, GenerationId, ModelId, NanoUsd, ProviderId};

/// The route as a label for metrics.
pub(crate) const fn surface(route: &Route) -> Surface {
    match route {
        Route::Ask(task) => task.label(),
        Route::CountTokens => Surface::Messages,
        Route::Models
        | Route::UserModels
        | Route::EmbeddingModels
        | Route::ZeroRetention
        | Route::Model(_)
        | Route::Wrapped(_)
        | Route::Parameters(..)
        | Route::Endpoints(_)
        | Route::Count
        | Route::Providers => Surface::Models,
        Route::Credits | Route::Key | Route::Generation(_) => Surface::Account,
    }
}

/// Answers.
///
/// # Errors
/// The client has gone.
pub(crate) async fn answer(
    gateway: &Gateway,
    session: &mut Session,
    facts: &mut Facts,
    route: Route,
) -> Result<()> {
    let body = match route {
        Route::CountTokens => intake::count_tokens(gateway, session, facts).await?,
        route => body(gateway, session, facts, route),
    };
    match body {
        Ok(body) => reply::json(session, facts, 200, body).await,
        Err(error) => reply::refuse(session, facts, error).await,
    }
}

fn body(
    gateway: &Gateway,
    session: &Session,
    facts: &mut Facts,
    route: Route,
) -> std::result::Result<Bytes, GatewayError> {
    match route {
        Route::Models
        | Route::UserModels
        | Route::EmbeddingModels
        | Route::ZeroRetention
        | Route::Model(_)
        | Route::Wrapped(_)
        | Route::Parameters(..)
        | Route::Endpoints(_)
        | Route::Count
        | Route::Providers => models::answer(gateway, session, facts, route),
        Route::Credits => {
            let caller = intake::caller(gateway, session, facts)?;
            credits(&caller)
        }
        Route::Key => {
            let caller = intake::caller(gateway, session, facts)?;
            key(&caller, facts.arrived_ms)
        }
        Route::Generation(id) => {
            let caller = intake::caller(gateway, session, facts)?;
            generation(gateway, &caller, id.as_deref())
        }
        Route::Ask(_) | Route::CountTokens => {
            Err(failure::internal("what has a body is not answered here"))
        }
    }
}

/// OpenRouter wraps every answer of its account API in `data`.
#[derive(Serialize)]
struct Data<T> {
    data: T,
}

fn data<T: Serialize>(data: T) -> std::result::Result<Bytes, GatewayError> {
    serde_json::to_vec(&Data { data })
        .map(Bytes::from)
        .map_err(|e| failure::internal("an answer could not be written").with_detail(e.to_string()))
}

/// Dollars as a JSON number with all its digits.
fn dollars(amount: NanoUsd) -> Box<serde_json::value::RawValue> {
    serde_json::value::RawValue::from_string(amount.to_string()).unwrap_or_default()
}

fn credits(caller: &KeyEntry) -> std::result::Result<Bytes, GatewayError> {
    #[derive(Serialize)]
    struct Credits {
        total_credits: Box<serde_json::value::RawValue>,
        total_usage: Box<serde_json::value::RawValue>,
    }
    let balance = caller.account().balance();
    data(Credits { total_credits: dollars(balance.bought), total_usage: dollars(balance.used) })
}

fn key(caller: &KeyEntry, now_ms: u64) -> std::result::Result<Bytes, GatewayError> {
    #[derive(Serialize)]
    struct Key<'a> {
        label: &'a str,
        limit: Option<Box<serde_json::value::RawValue>>,
        limit_remaining: Option<Box<serde_json::value::RawValue>>,
        limit_reset: Option<&'static str>,
        usage: Box<serde_json::value::RawValue>,
        is_free_tier: bool,
        is_management_key: bool,
        expires_at: Option<String>,
    }
    let spent = caller.spent();
    let terms = caller.terms();
    data(Key {
        label: &terms.label,
        limit: terms.limit.map(dollars),
        limit_remaining: caller.limit_left(now_ms).map(dollars),
        limit_reset: terms.reset.map(Reset::as_str),
        usage: dollars(spent),
        is_free_tier: false,
        is_management_key: terms.management,
        expires_at: terms.expires_ms.map(rfc3339),
    })
}

/// Milliseconds since 1970 as a date and time in UTC.
fn rfc3339(unix_ms: u64) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(unix_ms);
    humantime::format_rfc3339_millis(at).to_string()
}

fn generation(
    gateway: &Gateway,
    caller: &KeyEntry,
    id: Option<&str>,
) -> std::result::Result<Bytes, GatewayError> {
    let Some(id) = id.filter(|id| !id.is_empty()) else {
        return Err(GatewayError::new(
            Kind::InvalidRequest,
            "Name the generation: GET /v1/generation?id=gen-…; the id is in the X-Generation-Id \
             header of every answer.",
        )
        .with_param("id"));
    };
    let found = match GenerationId::parse(id) {
        Some(id) => gateway.ledger.generation(id),
        None => gateway.ledger.generation_by_upstream(id),
    };
    let found = found
        .map_err(|e| failure::internal("the ledger cannot be read").with_detail(e.to_string()))?;
    // Another account's generation does not exist for this caller.
    match found.filter(|record| record.account == *caller.account().id()) {
        Some(record) => data(Shown::of(&record)),
        None => Err(GatewayError::new(
            Kind::NotFound,
            "There is no generation with this id on your account.",
        )),
    }
}

/// A generation in OpenRouter's words (`GET /generation`).
#[derive(Serialize)]
struct Shown<'a> {
    id: String,
    upstream_id: Option<&'a str>,
    created_at: String,
    model: Option<&'a str>,
    provider_name: Option<&'a str>,
    endpoint: Option<&'a str>,
    api_type: &'static str,
    streamed: bool,
    cancelled: bool,
    finish_reason: Option<&'a str>,
    native_finish_reason: Option<&'a str>,
    latency: Option<u32>,
    generation_time: u32,
    tokens_prompt: u64,
    tokens_completion: u64,
    native_tokens_prompt: u64,
    native_tokens_completion: u64,
    native_tokens_reasoning: u64,
    native_tokens_cached: u64,
    usage: Box<serde_json::value::RawValue>,
    total_cost: Box<serde_json::value::RawValue>,
    is_byok: bool,
    estimated: bool,
    attempts: u32,
    cache_hit: bool,
    /// Parts of the answer whose providers broke off, before the one above went on.
    legs: Vec<ShownLeg<'a>>,
}

/// A part of an answer, as `GET /v1/generation` shows it.
#[derive(Serialize)]
struct ShownLeg<'a> {
    endpoint: &'a str,
    tokens_prompt: u64,
    tokens_completion: u64,
    estimated: bool,
    cost: Box<serde_json::value::RawValue>,
}

impl<'a> ShownLeg<'a> {
    fn of(leg: &'a crate::ledger::Leg) -> Self {
        Self {
            endpoint: leg.endpoint.as_str(),
            tokens_prompt: leg.usage.prompt,
            tokens_completion: leg.usage.completion,
            estimated: leg.usage.estimated,
            cost: dollars(leg.cost),
        }
    }
}

impl<'a> Shown<'a> {
    fn of(record: &'a GenerationRecord) -> Self {
        let usage = &record.usage;
        Self {
            id: record.id.to_string(),
            upstream_id: record.upstream_id.as_deref(),
            created_at: rfc3339(record.created_ms),
            model: record.model.as_ref().map(ModelId::as_str),
            provider_name: record.provider.as_ref().map(ProviderId::as_str),
            endpoint: record.endpoint.as_ref().map(EndpointId::as_str),
            api_type: "completions",
            streamed: record.streamed,
            cancelled: record.cancelled,
            finish_reason: record.finish_reason.as_deref(),
            native_finish_reason: record.native_finish_reason.as_deref(),
            latency: record.ttft_ms,
            generation_time: record.generation_ms,
            tokens_prompt: usage.prompt,
            tokens_completion: usage.completion,
            native_tokens_prompt: usage.prompt,
            native_tokens_completion: usage.completion,
            native_tokens_reasoning: usage.reasoning,
            native_tokens_cached: usage.cache_read,
            usage: dollars(record.cost),
            total_cost: dollars(record.cost),
            is_byok: false,
            estimated: usage.estimated,
            attempts: record.attempts,
            cache_hit: record.cache_hit,
            legs: record.legs.iter().map(ShownLeg::of).collect(),
        }
    }
}
