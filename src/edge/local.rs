//! What the gateway answers itself: the catalog, the caller's credit, key and generations.

use bytes::Bytes;
use pingora::Result;
use pingora::proxy::Session;
use serde::Serialize;

use crate::edge::arrive::Route;
use crate::edge::gateway::Gateway;
use crate::edge::journey::Facts;
use crate::edge::{failure, generation, intake, models, reply};
use crate::error::GatewayError;
use crate::ledger::KeyEntry;
use crate::observe::Surface;
use crate::terms::Reset;
use crate::vocab::NanoUsd;

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
            generation::answer(gateway, &caller, id.as_deref())
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

/// Wraps an answer.
///
/// # Errors
/// It cannot be written as JSON.
pub(crate) fn data<T: Serialize>(data: T) -> std::result::Result<Bytes, GatewayError> {
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
