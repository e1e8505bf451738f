//! Health, readiness and metrics.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::refusal::Refusal;
use super::router::AdminState;
use super::status::NotReady;

/// The process is up and answers: nothing more.
pub(super) async fn healthz() -> Json<serde_json::Value> {
    Json(json!({"status": "ok"}))
}

/// Whether a load balancer should send requests here.
pub(super) async fn readyz(State(state): State<AdminState>) -> Response {
    let reasons: Vec<_> = state.status().not_ready().into_iter().map(NotReady::as_str).collect();
    if reasons.is_empty() {
        return Json(json!({"status": "ready"})).into_response();
    }
    let body = json!({"status": "not ready", "reasons": reasons});
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

/// What this listener and the account's part of the other one offer, as OpenAPI 3.1.
pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], super::OPENAPI).into_response()
}

/// All metrics for Prometheus.
pub(super) async fn metrics(State(state): State<AdminState>) -> Result<Response, Refusal> {
    let metrics = state.metrics();
    let text = state.blocking(move |_| metrics.render()).await?;
    let text = text.map_err(|error| Refusal::internal(&error.to_string()))?;
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
