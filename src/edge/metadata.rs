//! `openrouter_metadata`: how a request was routed, for a client that asks to be told.

use std::sync::Arc;

use pingora::proxy::Session;
use serde_json::json;

use crate::dialect::abilities;
use crate::edge::failure;
use crate::edge::journey::{Attempt, Chat};

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
    let available = chat.plan.candidates.iter().map(|candidate| {
        let endpoint = &candidate.slot.endpoint;
        json!({
            "provider": endpoint.provider.name,
            "model": endpoint.model.as_str(),
            "selected": endpoint.id == served.id,
        })
    });
    let available: Vec<_> = available.collect();
    let tried = chat.reports.iter().map(|report| {
        json!({"provider": report.provider, "status": failure::mark(&report.outcome).as_str()})
    });
    let last = json!({"provider": served.provider.name, "status": "ok"});
    let attempts: Vec<_> = tried.chain([last]).collect();
    let losses = match &chat.ask.parsed {
        Some(request) if !attempt.passed => abilities::losses(request, served.provider.dialect),
        _ => Vec::new(),
    };
    let losses: Vec<_> =
        losses.iter().map(|loss| json!({"param": loss.param, "reason": loss.why})).collect();
    let requested = head.model.as_deref().or(head.models.first().map(String::as_str));
    let strategy = match (chat.reports.is_empty(), chat.legs.is_empty()) {
        (true, _) => "direct",
        (false, true) => "fallback",
        (false, false) => "continuation",
    };
    let told = json!({
        "requested": requested,
        "strategy": strategy,
        "region": null,
        "summary": format!("{} of {} endpoints tried", attempts.len(), available.len()),
        "attempt": attempts.len(),
        "is_byok": false,
        "endpoints": {"total": available.len(), "available": available},
        "attempts": attempts,
        "losses": losses,
    });
    told.to_string().into()
}
