//! What the gateway tells of its catalog: models, endpoints, providers.

use std::sync::Arc;

use bytes::Bytes;
use pingora::proxy::Session;

use crate::balance;
use crate::catalog::listing::{self, Live, Percentiles, Query, Scope, View};
use crate::catalog::{Catalog, Endpoint, Model};
use crate::edge::arrive::{Route, pairs};
use crate::edge::gateway::{Gateway, Snapshot};
use crate::edge::journey::Facts;
use crate::edge::{clock, failure, intake};
use crate::error::{GatewayError, Kind};

/// The body of an answer about the catalog.
///
/// # Errors
/// What to tell the client: a query that cannot be answered, an unknown model, a missing key.
pub(crate) fn answer(
    gateway: &Gateway,
    session: &Session,
    facts: &mut Facts,
    route: Route,
) -> Result<Bytes, GatewayError> {
    let snapshot = gateway.now.load_full();
    let live = |endpoint: &Endpoint| measured(&snapshot, endpoint);
    let view = View { catalog: &snapshot.catalog, live: &live, now_ms: clock::unix_ms() };
    match route {
        Route::Models => {
            let query = query(session)?;
            match &snapshot.models_json {
                Some(usual) if query.is_empty() => Ok(usual.clone()),
                _ => Ok(view.models(Scope::All, &query, path(session))),
            }
        }
        Route::UserModels => {
            intake::caller(gateway, session, facts)?;
            Ok(view.models(Scope::Usable, &query(session)?, path(session)))
        }
        Route::EmbeddingModels => {
            Ok(view.models(Scope::Embeddings, &query(session)?, path(session)))
        }
        Route::Count => Ok(view.count(&query(session)?)),
        Route::Providers => Ok(listing::providers(&snapshot.catalog)),
        Route::ZeroRetention => Ok(view.zero_retention(is_caller(gateway, session, facts))),
        Route::Model(id) => find(&snapshot, &id, true).map(|(model, _)| view.one(model)),
        Route::Wrapped(id) => find(&snapshot, &id, true).map(|(model, _)| view.one(model)),
        Route::Endpoints(id) => {
            let perf = is_caller(gateway, session, facts);
            find(&snapshot, &id, false).map(|(model, hosts)| view.endpoints(model, hosts, perf))
        }
        Route::Parameters(id, provider) => {
            let (model, _) = find(&snapshot, &id, true)?;
            listing::parameters(model, provider.as_deref()).ok_or_else(|| {
                let text = format!(
                    "No endpoint of {} is at this provider. GET /v1/models/{}/endpoints lists those \
                     that there are.",
                    model.id, model.id
                );
                GatewayError::new(Kind::NotFound, text).with_param("provider")
            })
        }
        Route::Ask(_)
        | Route::CountTokens
        | Route::Credits
        | Route::Key
        | Route::Account(_)
        | Route::OpenApi
        | Route::Generation(_)
        | Route::Content(_)
        | Route::ForgetContent(_) => Err(failure::internal("this is not about the catalog")),
    }
}

/// What is measured of an endpoint: nothing of those that are never asked.
fn measured(snapshot: &Snapshot, endpoint: &Endpoint) -> Live {
    let Some(health) = snapshot.health.get(endpoint.id.as_str()) else { return Live::default() };
    let stats = health.stats(clock::now());
    let scaled = |of: balance::Percentiles, by: f64| Percentiles {
        p50: of.p50 * by,
        p75: of.p75 * by,
        p90: of.p90 * by,
        p99: of.p99 * by,
    };
    Live {
        uptime_last_5m: stats.uptime_last_5m,
        uptime_last_30m: stats.uptime_last_30m,
        uptime_last_1d: stats.uptime_last_1d,
        // Seconds there, milliseconds here.
        latency_last_30m: stats.latency_last_30m.map(|of| scaled(of, 1_000.0)),
        throughput_last_30m: stats.throughput_last_30m.map(|of| scaled(of, 1.0)),
    }
}

/// Whether the request brings a good key; a bad one is as none here.
fn is_caller(gateway: &Gateway, session: &Session, facts: &mut Facts) -> bool {
    intake::caller(gateway, session, facts).is_ok()
}

fn path(session: &Session) -> &str {
    session.req_header().uri.path()
}

fn query(session: &Session) -> Result<Query, GatewayError> {
    Query::parse(pairs(session.req_header())).map_err(|bad| {
        let text = format!("The query parameter {bad}.");
        GatewayError::new(Kind::InvalidRequest, text).with_param(bad.param)
    })
}

/// The model of an id or another name; with `hosted`, only if its variant is hosted.
fn find<'a>(
    snapshot: &'a Arc<Snapshot>,
    id: &str,
    hosted: bool,
) -> Result<(&'a Model, bool), GatewayError> {
    listing::find(&snapshot.catalog, id).filter(|(_, there)| *there || !hosted).ok_or_else(|| {
        let text = format!("There is no model {id:?}. GET /v1/models lists those that there are.");
        GatewayError::new(Kind::ModelNotFound, text)
    })
}

/// Providers beyond these are not named.
const NAMED_MAX: usize = 8;

/// What to tell of a model that is listed and that nobody can be asked for: which environment
/// variables would change that. `None` for other models.
pub(crate) fn how_to_wake(catalog: &Catalog, id: &str) -> Option<GatewayError> {
    let (model, _) = listing::find(catalog, id)?;
    let missing = model.missing();
    if !model.endpoints.is_empty() || missing.is_empty() {
        return None;
    }
    let sets: Vec<String> =
        missing.iter().take(NAMED_MAX).map(|variables| variables.join(" and ")).collect();
    let more = if missing.len() > NAMED_MAX { " (or those of other providers)" } else { "" };
    let text = format!(
        "The model {} is listed, but no provider of it has its credential here. Set {}{more} in \
         the gateway's environment and read the configuration again; or name another model.",
        model.id,
        sets.join(", or "),
    );
    Some(GatewayError::new(Kind::NoEndpoints, text).with_param("model"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::catalog::{Origin, Provider};
    use crate::dialect::Dialect;
    use crate::vocab::{EndpointId, ModelId, ProviderId};

    #[test]
    fn a_sleeping_model_says_what_would_wake_it() {
        let host = |id: &str, missing: &[&str]| {
            let origin = Origin { tls: false, host: "h".into(), port: 1, authority: "h:1".into() };
            let provider = Provider {
                missing: missing.iter().map(|&name| name.to_owned()).collect(),
                ..Provider::new(ProviderId::parse(id).unwrap(), Dialect::OpenAi, origin)
            };
            let (id, model) = (EndpointId::parse(id).unwrap(), ModelId::parse("a/m").unwrap());
            Arc::new(Endpoint::new(id, Arc::new(provider), model, "m", 1))
        };
        let dormant = vec![host("one", &["ONE_KEY"]), host("two", &["TWO_REGION", "TWO_KEY"])];
        let model = |endpoints| Model {
            dormant: dormant.clone(),
            endpoints,
            ..Model::new(ModelId::parse("a/m").unwrap())
        };
        let told = how_to_wake(&Catalog::new(vec![model(Vec::new())]), "a/m:nitro").unwrap();
        assert_eq!(told.kind, Kind::NoEndpoints);
        assert!(told.message.contains("ONE_KEY, or TWO_REGION and TWO_KEY"), "{}", told.message);
        let live = Catalog::new(vec![model(vec![host("live", &[])])]);
        assert_eq!(how_to_wake(&live, "a/m"), None, "another reason");
        assert_eq!(how_to_wake(&live, "a/other"), None);
    }
}
