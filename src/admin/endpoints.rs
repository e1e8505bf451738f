//! `GET /admin/v1/endpoints`: how every endpoint fares.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::router::AdminState;
use super::status::EndpointRow;

pub(super) async fn list(State(state): State<AdminState>) -> Result<Json<Value>, Refusal> {
    let status = state.status();
    let rows = state.blocking(move |_| status.endpoints()).await?;
    Ok(Json(json!({"data": rows.iter().map(view).collect::<Vec<_>>()})))
}

fn view(row: &EndpointRow) -> Value {
    json!({
        "id": row.id,
        "model": row.model,
        "provider": row.provider,
        "breaker": row.breaker.as_str(),
        "probe_healthy": row.probe_healthy,
        "in_flight": row.in_flight,
        "ttft_ms": row.ttft_ms,
        "retry_after_ms": row.retry_after_ms,
        "keys_resting": row.keys_resting,
    })
}
