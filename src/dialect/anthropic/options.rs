//! The options of a request: how tokens are drawn, where the answer ends, how the model thinks.

use super::request::raw_member;
use super::thinking::{Limits, Thinking, effort};
use crate::dialect::Surface;
use crate::dialect::ir::{Request, ResponseFormat, Sampling};
use crate::dialect::json;

pub(super) fn write_sampling(sampling: &Sampling, thinks: bool, out: &mut Vec<u8>) {
    // With thinking Anthropic wants temperature and top_k unset and top_p at 0.95 or above.
    // Without, newer models refuse temperature and top_p together, so of the two one that says
    // nothing (1, the default) is left out.
    let temperature = sampling.temperature.map(|t| t.min(1.0)).filter(|_| !thinks);
    let top_p = sampling.top_p.map(|p| if thinks { p.max(0.95) } else { p });
    let (temperature, top_p) = match (temperature, top_p) {
        (Some(t), Some(1.0)) => (Some(t), None),
        (Some(1.0), Some(p)) => (None, Some(p)),
        both => both,
    };
    if let Some(temperature) = temperature {
        json::key(out, "temperature");
        json::display(out, temperature);
    }
    if let Some(top_p) = top_p {
        json::key(out, "top_p");
        json::display(out, top_p);
    }
    if let Some(top_k) = sampling.top_k.filter(|k| *k > 0 && !thinks) {
        json::number_member(out, "top_k", u64::from(top_k));
    }
}

pub(super) fn write_options(request: &Request, out: &mut Vec<u8>) {
    let mut stops = request.stop.iter().filter(|stop| !stop.trim().is_empty()).peekable();
    if stops.peek().is_some() {
        json::key(out, "stop_sequences");
        out.push(b'[');
        for stop in stops {
            json::comma(out);
            json::string(out, stop);
        }
        out.push(b']');
    }
    if let Some(user) = request.user.as_deref().filter(|user| !user.is_empty()) {
        out.extend_from_slice(b",\"metadata\":{\"user_id\":");
        json::string(out, user);
        out.push(b'}');
    }
    if request.stream {
        raw_member(out, "stream", "true");
    }
}

/// Writes `thinking` and `output_config`. A client of Messages gets what it asked for in
/// Anthropic's own words, of which the newest models take fewer than the older: there a level is
/// one of effort, and no thinking is no word about it. So it is for every client of a model that
/// knows no budget.
pub(super) fn write_thinking(request: &Request, limits: Limits, out: &mut Vec<u8>) {
    let messages = request.surface == Surface::Messages;
    let asked = request.reasoning.unwrap_or_default();
    let thinking = match limits.thinking {
        Some(Thinking::Budget(_)) => Some("enabled"),
        Some(Thinking::Adaptive) => Some("adaptive"),
        None if messages && asked.enabled == Some(false) => Some("disabled"),
        None => None,
    };
    if let Some(kind) = thinking {
        json::key(out, "thinking");
        out.push(b'{');
        json::text_member(out, "type", kind);
        if let Some(Thinking::Budget(tokens)) = limits.thinking {
            json::number_member(out, "budget_tokens", u64::from(tokens));
        }
        if messages && asked.exclude && limits.thinks() {
            json::text_member(out, "display", "omitted");
        }
        out.push(b'}');
    }
    let effort = effort(request, limits);
    let schema = match &request.response_format {
        Some(ResponseFormat::JsonSchema { schema, .. }) => Some(schema),
        _ => None,
    };
    if effort.is_some() || schema.is_some() {
        json::key(out, "output_config");
        out.push(b'{');
        if let Some(effort) = effort {
            json::text_member(out, "effort", effort);
        }
        if let Some(schema) = schema {
            json::key(out, "format");
            out.push(b'{');
            json::text_member(out, "type", "json_schema");
            raw_member(out, "schema", schema.as_str());
            out.push(b'}');
        }
        out.push(b'}');
    }
}

/// Writes the tier, of which the surface's reader spells Anthropic's second word as OpenAI does.
pub(super) fn write_tier(request: &Request, out: &mut Vec<u8>) {
    match request.service_tier.as_deref() {
        Some("auto") => json::text_member(out, "service_tier", "auto"),
        Some("default") => json::text_member(out, "service_tier", "standard_only"),
        _ => {}
    }
}
