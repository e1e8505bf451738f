//! `openrouter_metadata`: how a request was routed, for a client that asks to be told.

use std::sync::Arc;

use http::HeaderName;
use pingora::proxy::Session;
use serde_json::json;

use crate::attempt::{self, AttemptReport, Outcome};
use crate::catalog::Endpoint;
use crate::dialect::abilities;
use crate::edge::clock;
use crate::edge::failure;
use crate::edge::journey::{Attempt, Chat};
use crate::edge::own;
use crate::edge::plugins;
use crate::route::{Candidate, Filter, Slot, auto};

/// The most endpoints that are listed as removed.
const REMOVED_MAX: usize = 64;

/// OpenRouter's header, and its older name (2026-11).
static WANTED: [HeaderName; 2] = [
    HeaderName::from_static("x-openrouter-metadata"),
    HeaderName::from_static("x-openrouter-experimental-metadata"),
];

/// Whether the client wants to be told.
pub(crate) fn wanted(session: &Session) -> bool {
    WANTED.iter().any(|name| {
        session.get_header(name).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"enabled"))
    })
}

/// What the client is told of an answer that is about to begin.
pub(crate) fn of(chat: &Chat, attempt: &Attempt) -> Arc<str> {
    told(chat, Some(attempt)).to_string().into()
}

/// What the client is told of an answer that was ended because the credit was used up.
pub(crate) fn out_of_credit(chat: &Chat, attempt: &Attempt) -> Arc<str> {
    let mut told = told(chat, Some(attempt));
    told["ended_by"] = json!({
        "reason": "credit",
        "message": "The credit of the account, or the limit of the key, is used up.",
    });
    told.to_string().into()
}

/// What the client is told of a request that no provider could answer.
pub(crate) fn of_failure(chat: &Chat) -> String {
    told(chat, None).to_string()
}

fn told(chat: &Chat, answering: Option<&Attempt>) -> serde_json::Value {
    let served = answering.map(|attempt| &*attempt.slot.endpoint);
    let available = chat.plan.candidates.iter().map(|candidate| shown(candidate, served));
    let available: Vec<_> = available.collect();
    let removed: Vec<_> = chat.plan.dropped().take(REMOVED_MAX).map(dropped).collect();
    let attempts = attempts(chat, answering);
    let requested = chat.ask.head.model.as_deref();
    let requested = requested.or(chat.ask.head.models.first().map(String::as_str));
    let auto = requested.is_some_and(|name| auto::suffixes(name).is_some());
    let strategy = match (attempts.len() > 1, auto) {
        _ if !chat.legs.is_empty() => "continuation",
        _ if chat.hedged => "hedge",
        (true, _) => "fallback",
        (false, true) => "auto",
        (false, false) => "direct",
    };
    let end = if served.is_some() { "" } else { ", none answered" };
    json!({
        "requested": requested,
        "strategy": strategy,
        "region": null,
        "summary": format!("{} of {} endpoints tried{end}", attempts.len(), available.len()),
        "attempt": attempts.len(),
        "is_byok": served.is_some_and(own::is_own),
        "endpoints": {
            "total": available.len() + removed.len(),
            "available": available,
            "removed": removed,
        },
        "attempts": attempts,
        "pipeline": plugins::pipeline(chat),
        "losses": answering.map_or_else(Vec::new, |attempt| losses(chat, attempt)),
    })
}

/// Who was tried, with what outcome; the one that answers comes last.
fn attempts(chat: &Chat, answering: Option<&Attempt>) -> Vec<serde_json::Value> {
    let tried = chat.reports.iter().map(|report| {
        let place = |c: &&Candidate| c.slot.endpoint.id == report.endpoint;
        let candidate = chat.plan.candidates.iter().find(place);
        json!({
            "provider": report.provider,
            "model": candidate.map(|c| c.slot.endpoint.model.as_str()),
            "endpoint": report.endpoint.as_str(),
            "status": status(report),
            "outcome": failure::mark(&report.outcome).as_str(),
            "ms": millis(report.ended.since(report.started)),
        })
    });
    let last = answering.map(|attempt| {
        let served = &attempt.slot.endpoint;
        json!({
            "provider": served.provider.name,
            "model": served.model.as_str(),
            "endpoint": served.id.as_str(),
            "status": 200,
            "outcome": "ok",
            "ms": millis(clock::now().since(attempt.started)),
        })
    });
    tried.chain(last).collect()
}

/// The provider's own status; where it gave none, or none that failed, what a client would be told.
/// None where nothing had failed.
fn status(report: &AttemptReport) -> Option<u16> {
    match report.outcome {
        Outcome::Status { status, .. } => Some(status),
        Outcome::Beaten => None,
        _ => Some(attempt::combine(std::slice::from_ref(report)).kind.status()),
    }
}

/// What of the request the provider could not be told.
fn losses(chat: &Chat, attempt: &Attempt) -> Vec<serde_json::Value> {
    let read = chat.ask.parsed.as_ref().filter(|_| !attempt.passed);
    let losses = read.map(|read| abilities::losses(read, attempt.upstream.provider.dialect));
    let losses = losses.unwrap_or_default().into_iter();
    let losses = losses.map(|loss| json!({"param": loss.param, "reason": loss.why}));
    let reason = "The operator does not let it through, or the request says it already.";
    let dropped = attempt.dropped.iter().map(|param| json!({"param": param, "reason": reason}));
    losses.chain(dropped).collect()
}

/// A candidate, why it stands where it stands, and what its place was reckoned from
/// ([`crate::route::score`]).
fn shown(candidate: &Candidate, served: Option<&Endpoint>) -> serde_json::Value {
    let (endpoint, score) = (&candidate.slot.endpoint, &candidate.score);
    json!({
        "provider": endpoint.provider.name,
        "model": endpoint.model.as_str(),
        "endpoint": endpoint.id.as_str(),
        "selected": served.is_some_and(|served| std::ptr::eq(served, &**endpoint)),
        "is_byok": own::is_own(endpoint),
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
