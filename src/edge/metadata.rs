//! `openrouter_metadata`: how a request was routed, for a client that asks to be told.

use std::sync::Arc;

use pingora::proxy::Session;
use serde_json::json;

use crate::dialect::abilities;
use crate::edge::clock;
use crate::edge::failure;
use crate::edge::journey::{Attempt, Chat};
use crate::route::{Candidate, Filter, Slot, auto};
use crate::vocab::EndpointId;

/// The most endpoints that are listed as removed.
const REMOVED_MAX: usize = 64;

/// Whether the client wants to be told (OpenRouter's header, and its older name, 2026-11).
pub(crate) fn wanted(session: &Session) -> bool {
    ["x-openrouter-metadata", "x-openrouter-experimental-metadata"].iter().any(|name| {
        session.get_header(*name).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"enabled"))
    })
}

/// What the client is told of an answer that is about to begin.
pub(crate) fn of(chat: &Chat, attempt: &Attempt) -> Arc<str> {
    let head = &chat.ask.head;
    let served = &attempt.slot.endpoint;
    let available: Vec<_> =
        chat.plan.candidates.iter().map(|candidate| shown(candidate, &served.id)).collect();
    let removed: Vec<_> = chat.plan.dropped().take(REMOVED_MAX).map(dropped).collect();
    let tried = chat.reports.iter().map(|report| {
        let place = |c: &&Candidate| c.slot.endpoint.id == report.endpoint;
        let candidate = chat.plan.candidates.iter().find(place);
        json!({
            "provider": report.provider,
            "model": candidate.map(|c| c.slot.endpoint.model.as_str()),
            "endpoint": report.endpoint.as_str(),
            "status": failure::mark(&report.outcome).as_str(),
            "ms": millis(report.ended.since(report.started)),
        })
    });
    let last = json!({
        "provider": served.provider.name,
        "model": served.model.as_str(),
        "endpoint": served.id.as_str(),
        "status": "ok",
        "ms": millis(clock::now().since(attempt.started)),
    });
    let attempts: Vec<_> = tried.chain([last]).collect();
    let losses = match &chat.ask.parsed {
        Some(request) if !attempt.passed => abilities::losses(request, served.provider.dialect),
        _ => Vec::new(),
    };
    let losses: Vec<_> =
        losses.iter().map(|loss| json!({"param": loss.param, "reason": loss.why})).collect();
    let requested = head.model.as_deref().or(head.models.first().map(String::as_str));
    let auto = requested.is_some_and(|name| auto::suffixes(name).is_some());
    let strategy = match (chat.reports.is_empty(), auto) {
        (false, _) => "fallback",
        (true, true) => "auto",
        (true, false) => "direct",
    };
    let told = json!({
        "requested": requested,
        "strategy": strategy,
        "region": null,
        "summary": format!("{} of {} endpoints tried", attempts.len(), available.len()),
        "attempt": attempts.len(),
        "is_byok": false,
        "endpoints": {
            "total": available.len() + removed.len(),
            "available": available,
            "removed": removed,
        },
        "attempts": attempts,
        "losses": losses,
    });
    told.to_string().into()
}

/// A candidate, why it stands where it stands, and what its place was reckoned from
/// ([`crate::route::score`]).
fn shown(candidate: &Candidate, served: &EndpointId) -> serde_json::Value {
    let (endpoint, score) = (&candidate.slot.endpoint, &candidate.score);
    json!({
        "provider": endpoint.provider.name,
        "model": endpoint.model.as_str(),
        "endpoint": endpoint.id.as_str(),
        "selected": endpoint.id == *served,
        "reason": candidate.why,
        "score": {
            "expected_usd": score.price_pico / 1e12,
            "price": rounded(score.price),
            "speed": rounded(score.speed),
            "trouble": rounded(score.trouble),
            "share": rounded(score.share),
        },
    })
}

/// An endpoint that was not asked, and the filter that removed it.
fn dropped((slot, by): (&Arc<Slot>, Filter)) -> serde_json::Value {
    let endpoint = &slot.endpoint;
    json!({
        "provider": endpoint.provider.name,
        "model": endpoint.model.as_str(),
        "endpoint": endpoint.id.as_str(),
        "filter": by,
        "field": by.field(),
    })
}

/// To four digits, for people.
fn rounded(factor: f64) -> f64 {
    (factor * 1e4).round() / 1e4
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
