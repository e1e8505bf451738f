//! The routes, and what their handlers share.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{MethodRouter, delete, get, post};
use tokio::sync::Semaphore;

use super::desk::Desk;
use super::refusal::Refusal;
use super::status::Status;
use super::{accounts, door, endpoints, generations, invoices, keys, organisations, probes};
use crate::catalog::Secret;
use crate::error::Kind;
use crate::observe::Metrics;

/// The most requests that block a thread at the same time; further ones wait.
const BLOCKING_MAX: usize = 16;

/// What the handlers need. A clone shares everything.
#[derive(Clone)]
pub struct AdminState {
    desk: Arc<Desk>,
    status: Arc<dyn Status>,
    metrics: Arc<Metrics>,
    token: Option<Arc<Secret>>,
    permits: Arc<Semaphore>,
}

impl std::fmt::Debug for AdminState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminState").field("token", &self.token).finish_non_exhaustive()
    }
}

impl AdminState {
    /// `token` is the admin token; without one there is no management.
    pub fn new(
        desk: Arc<Desk>,
        status: Arc<dyn Status>,
        metrics: Arc<Metrics>,
        token: Option<Secret>,
    ) -> Self {
        let permits = Arc::new(Semaphore::new(BLOCKING_MAX));
        Self { desk, status, metrics, token: token.map(Arc::new), permits }
    }

    pub(super) fn status(&self) -> Arc<dyn Status> {
        Arc::clone(&self.status)
    }

    pub(super) fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    pub(super) fn token(&self) -> Option<&Secret> {
        self.token.as_deref()
    }

    /// Runs what may block on a thread for that. It is carried out to its end even if the client
    /// leaves.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Desk) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let desk = Arc::clone(&self.desk);
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|error| Refusal::internal(&error.to_string()))?;
        tokio::task::spawn_blocking(move || {
            let result = work(&desk);
            drop(permit);
            result
        })
        .await
        .map_err(|error| Refusal::internal(&error.to_string()))
    }
}

/// The methods of a path and what answers them.
type Methods = fn() -> MethodRouter<AdminState>;

/// What is below `/admin/v1`; `openapi.json` describes it, and a test holds them together.
const MANAGEMENT: [(&str, Methods); 20] = [
    ("/accounts", || get(accounts::list).post(accounts::create)),
    ("/accounts/{id}", || get(accounts::show).patch(accounts::change)),
    ("/accounts/{id}/top-ups", || post(accounts::top_up)),
    ("/accounts/{id}/adjustments", || post(accounts::adjust)),
    ("/accounts/{id}/members", || get(accounts::members)),
    ("/accounts/{id}/members/{user}", || {
        get(accounts::member).put(accounts::set_member).delete(accounts::remove_member)
    }),
    ("/transfers", || post(accounts::transfer)),
    ("/organisations", || get(organisations::list)),
    ("/organisations/{id}", || get(organisations::show).put(organisations::set)),
    ("/keys", || get(keys::list).post(keys::create)),
    ("/keys/{id}", || get(keys::show).patch(keys::change).delete(keys::delete)),
    ("/invoices", || get(invoices::list).post(invoices::create)),
    ("/invoices/{id}/paid", || post(invoices::paid)),
    ("/invoices/{id}/void", || post(invoices::void)),
    ("/events", || get(invoices::events)),
    ("/generations", || get(generations::list)),
    ("/generations/{id}", || get(generations::show)),
    ("/generations/{id}/content", || delete(generations::forget)),
    ("/accounts/{id}/content", || delete(generations::forget_account)),
    ("/endpoints", || get(endpoints::list)),
];

/// The admin listener's routes. Serve them on a listener that callers cannot reach, by default on
/// loopback.
pub fn router(state: AdminState) -> Router {
    let management = MANAGEMENT
        .iter()
        .fold(Router::new(), |router, (path, route)| router.route(path, route()))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(state.clone(), door::guard));
    Router::new()
        .route("/healthz", get(probes::healthz))
        .route("/readyz", get(probes::readyz))
        .route("/metrics", get(probes::metrics))
        .route("/admin/v1/openapi.json", get(probes::openapi))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .nest("/admin/v1", management)
        .layer(map_response(seal))
        .with_state(state)
}

async fn not_found() -> Refusal {
    Refusal::new(Kind::NotFound, "There is no such path on the admin listener.")
}

async fn method_not_allowed() -> Refusal {
    Refusal::new(Kind::MethodNotAllowed, "This path does not take this method.")
}

/// Nothing of this listener may be kept or reinterpreted by what stands between.
async fn seal(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests;
