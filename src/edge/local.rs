//! What the gateway answers itself: the catalog, the caller's credit, key and generations.

use bytes::Bytes;
use pingora::Result;
use pingora::proxy::Session;
use serde::Serialize;

use crate::admin::{self, account};
use crate::edge::arrive::Route;
use crate::edge::gateway::Gateway;
use crate::edge::journey::Facts;
use crate::edge::{account_api, content, failure, generation, intake, models, reply};
use crate::error::GatewayError;
use crate::ledger::KeyEntry;
use crate::observe::Surface;
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
        Route::Credits
        | Route::Key
        | Route::Account(_)
        | Route::OpenApi
        | Route::Generation(_)
        | Route::Content(_)
        | Route::ForgetContent(_) => Surface::Account,
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
        Route::Account(call) => {
            return match account_api::answer(gateway, session, facts, call).await? {
                Ok((status, body)) => reply::json(session, facts, status, body).await,
                Err(error) => reply::refuse(session, facts, error).await,
            };
        }
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
            data(account::own(&caller, facts.arrived_ms))
        }
        Route::Generation(id) => {
            let caller = intake::caller(gateway, session, facts)?;
            generation::answer(gateway, &caller, id.as_deref())
        }
        Route::Content(id) => {
            let caller = intake::caller(gateway, session, facts)?;
            content::show(gateway, &caller, id.as_deref())
        }
        Route::ForgetContent(id) => {
            let caller = intake::caller(gateway, session, facts)?;
            content::forget(gateway, &caller, id.as_deref())
        }
        Route::OpenApi => Ok(Bytes::from_static(admin::OPENAPI.as_bytes())),
        Route::Ask(_) | Route::CountTokens | Route::Account(_) => {
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
