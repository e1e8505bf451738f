//! Active health checks: each provider that has a probe is asked at its own interval, and what it
//! answers goes to the health of all its endpoints.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::{Error, ErrorType, OkOrErr as _, Result};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::catalog::{Endpoint, Probe, ProbeAsk};
use crate::dialect::{Dialect, Surface, Target};
use crate::edge::clock;
use crate::edge::gateway::Gateway;
use crate::edge::peer::Upstream;
use crate::edge::task::Task;
use crate::edge::write;
use crate::error::GatewayError;
use crate::vocab::ProviderId;

/// What a completion is asked with.
const QUESTION: &[u8] =
    br#"{"model":"probe","messages":[{"role":"user","content":"Hi"}],"max_tokens":1}"#;
/// The same for OpenAI's Responses, which take no limit below this (its API reference, 2026-09).
const QUESTION_16: &[u8] =
    br#"{"model":"probe","messages":[{"role":"user","content":"Hi"}],"max_tokens":16}"#;

/// Asks each provider that has a probe. The list is looked at every second, so that a reload starts
/// and ends probes.
pub(super) async fn run(gateway: Arc<Gateway>) {
    let connector = Arc::new(Connector::new(None));
    let mut running: HashMap<ProviderId, (Arc<Upstream>, JoinHandle<()>)> = HashMap::new();
    loop {
        let snapshot = gateway.now.load_full();
        running.retain(|id, (upstream, task)| {
            let same = snapshot.upstreams.get(id).is_some_and(|now| Arc::ptr_eq(now, upstream));
            if !same {
                task.abort();
            }
            same
        });
        for (id, upstream) in &snapshot.upstreams {
            if upstream.provider.probe.is_some() && !running.contains_key(id) {
                let probing =
                    for_ever(Arc::clone(&gateway), Arc::clone(&connector), Arc::clone(upstream));
                running.insert(id.clone(), (Arc::clone(upstream), tokio::spawn(probing)));
            }
        }
        drop(snapshot);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn for_ever(gateway: Arc<Gateway>, connector: Arc<Connector>, upstream: Arc<Upstream>) {
    let Some(probe) = upstream.provider.probe.clone() else { return };
    loop {
        let asked = tokio::time::timeout(probe.timeout, ask(&connector, &upstream, &probe)).await;
        let ok = matches!(asked, Ok(Ok(true)));
        let snapshot = gateway.now.load_full();
        let ours = |e: &&Arc<Endpoint>| e.provider.id == upstream.provider.id;
        for endpoint in snapshot.catalog.endpoints().filter(ours) {
            let Some(health) = snapshot.health.get(endpoint.id.as_str()) else { continue };
            if let Some(up) = health.probe_result(ok, &probe) {
                tracing::warn!(endpoint = %endpoint.id, up, "A probe has changed an endpoint's state.");
            }
        }
        drop(snapshot);
        if !gateway.draining.load(Ordering::Relaxed) {
            tracing::debug!(provider = %upstream.provider.id, ok, "A provider has been probed.");
        }
        tokio::time::sleep(probe.interval).await;
    }
}

/// One probe. Gives whether the answer is good.
async fn ask(connector: &Connector, upstream: &Upstream, probe: &Probe) -> Result<bool> {
    let Some(address) = upstream.address().await else {
        return Error::e_explain(ErrorType::ConnectNoRoute, "the provider's name has no address");
    };
    let peer = upstream.peer(address, probe.timeout);
    let (head, body) = request(upstream, &probe.ask).await?;
    let (mut session, _reused) = connector.get_http_session(&*peer).await?;
    session.write_request_header(Box::new(head)).await?;
    if let Some(body) = body {
        session.write_request_body(body, true).await?;
    }
    session.finish_request_body().await?;
    session.read_response_header().await?;
    let several = !upstream.provider.pool.is_empty();
    let good = session.response_header().is_some_and(|h| is_good(h.status.as_u16(), several));
    while session.read_response_body().await?.is_some() {}
    connector.release_http_session(session, &*peer, Some(probe.interval.saturating_mul(2))).await;
    Ok(good)
}

/// Whether a status speaks for the provider. A rate limit does; and where there are several keys, so
/// does the refusal of the one that was used.
const fn is_good(status: u16, several_keys: bool) -> bool {
    status < 400 || status == 429 || several_keys && matches!(status, 401..=403)
}

async fn request(upstream: &Upstream, ask: &ProbeAsk) -> Result<(RequestHeader, Option<Bytes>)> {
    match ask {
        ProbeAsk::Get(path) => Ok((upstream.probe_request(path)?, None)),
        ProbeAsk::Completion(model) => {
            let (head, body) = completion(upstream, model).await?;
            Ok((head, Some(body)))
        }
    }
}

/// A request for as short a completion as the provider gives, in its dialect.
async fn completion(upstream: &Upstream, model: &str) -> Result<(RequestHeader, Bytes)> {
    let dialect = upstream.provider.dialect;
    let target = Target {
        host: upstream.provider.host,
        now: clock::unix_ms() / 1000,
        ..Target::new(model, u32::MAX)
    };
    let body = question(dialect, &target).map_err(|error| {
        Error::explain(ErrorType::InternalError, format!("no probe can be written: {error}"))
    })?;
    let path = write::path(Task::Answer(Surface::Chat), dialect, model, false);
    let mut head = upstream.request(0, path.as_deref(), false, body.len())?;
    if let Some(token) = upstream.token().await.ok().or_err(TOKEN, "the provider gives no token")? {
        head.insert_header("authorization", token)?;
    }
    write::signed(&mut head, &upstream.provider, &body)?;
    Ok((head, body))
}

fn question(dialect: Dialect, target: &Target<'_>) -> std::result::Result<Bytes, GatewayError> {
    let question = match dialect {
        // No template is needed for this.
        Dialect::Completions => {
            let body = json!({"model": target.upstream_model, "prompt": "Hi", "max_tokens": 1});
            return Ok(body.to_string().into());
        }
        Dialect::Responses => QUESTION_16,
        _ => QUESTION,
    };
    dialect.write_request(&Surface::Chat.read_request(question)?, target)
}

const TOKEN: ErrorType = ErrorType::Custom("token");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_speaks_for_a_provider() {
        let good = |several| (100..600).filter(move |status| is_good(*status, several));
        assert_eq!(good(false).filter(|status| *status >= 400).collect::<Vec<_>>(), [429]);
        assert_eq!(good(true).filter(|s| *s >= 400).collect::<Vec<_>>(), [401, 402, 403, 429]);
    }

    #[test]
    fn every_dialect_can_be_asked_for_a_short_completion() {
        for dialect in Dialect::ALL {
            let body = question(dialect, &Target::new("m", u32::MAX)).expect("a body");
            let told: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            assert!(told.to_string().contains("Hi"), "{dialect}: {told}");
        }
    }
}
