//! The hub's request → the body of `POST /v2/chat`.

use bytes::Bytes;
use serde::Deserialize;

use super::messages::write_messages;
use crate::dialect::Target;
use crate::dialect::ir::{Effort, Reasoning, Request, ResponseFormat, Sampling, Tool, ToolChoice};
use crate::dialect::json;
use crate::dialect::media::refusal;
use crate::error::GatewayError;

/// The longest `k` (Cohere, 2026-11).
const K_MAX: u32 = 500;
/// Of how many tokens a level of thinking is a share where nobody set a limit.
const DEFAULT_MAX_TOKENS: u32 = 4096;

/// Writes the request for Cohere.
///
/// # Errors
/// The request asks for what Cohere cannot do: several answers, sound, video or documents, or an
/// image of a type that it does not take.
pub fn request(request: &Request, target: &Target<'_>) -> Result<Bytes, GatewayError> {
    if request.n.is_some_and(|n| n > 1) {
        return Err(refusal("n".into(), "must be 1: this model gives one answer"));
    }
    if request.modalities.iter().any(|kind| kind != "text") {
        return Err(refusal("modalities".into(), "must be [\"text\"]: this model writes text"));
    }
    let mut out = Vec::with_capacity(4096);
    out.push(b'{');
    json::text_member(&mut out, "model", target.upstream_model);
    // Cohere wants to be told, even if not.
    raw_member(&mut out, "stream", if request.stream { "true" } else { "false" });
    write_messages(&request.messages, &mut out)?;
    write_tools(request, &mut out);
    let limit = max_tokens(request, target);
    if let Some(limit) = limit {
        json::number_member(&mut out, "max_tokens", u64::from(limit));
    }
    write_sampling(&request.sampling, &mut out);
    write_stop(&request.stop, &mut out);
    write_format(&request.response_format, &mut out);
    write_thinking(request.reasoning, limit, target, &mut out);
    out.push(b'}');
    Ok(Bytes::from(out))
}

/// What is sent as `max_tokens`; without it Cohere goes on to the model's own limit.
fn max_tokens(request: &Request, target: &Target<'_>) -> Option<u32> {
    let of_model = if target.max_output == 0 { u32::MAX } else { target.max_output };
    let wanted = request.max_tokens.map(|wanted| wanted.min(of_model));
    match (wanted, target.credit_limit) {
        (Some(wanted), Some(limit)) => Some(wanted.min(limit).max(1)),
        (wanted, limit) => wanted.or(limit.map(|limit| limit.max(1))),
    }
}

/// Writes `tools`, `strict_tools` and `tool_choice`. Cohere has no word for a tool by name: only
/// the tools that may be called are then sent.
fn write_tools(request: &Request, out: &mut Vec<u8>) {
    let (names, choice) = match &request.tool_choice {
        None | Some(ToolChoice::Auto) => (None, None),
        Some(ToolChoice::None) => (None, Some("NONE")),
        Some(ToolChoice::Required) => (None, Some("REQUIRED")),
        Some(ToolChoice::Named(name)) => (Some(std::slice::from_ref(name)), Some("REQUIRED")),
        Some(ToolChoice::Allowed { names, required }) => {
            (Some(names.as_slice()), required.then_some("REQUIRED"))
        }
    };
    let may_be_called = |tool: &&Tool| names.is_none_or(|names| names.contains(&tool.name));
    let tools: Vec<&Tool> = request.tools.iter().filter(may_be_called).collect();
    if tools.is_empty() {
        return;
    }
    json::key(out, "tools");
    out.push(b'[');
    tools.iter().for_each(|tool| write_tool(tool, out));
    out.push(b']');
    if tools.iter().all(|tool| tool.strict == Some(true) && demands_something(tool)) {
        raw_member(out, "strict_tools", "true");
    }
    if let Some(choice) = choice {
        json::text_member(out, "tool_choice", choice);
    }
}

fn write_tool(tool: &Tool, out: &mut Vec<u8>) {
    json::comma(out);
    out.extend_from_slice(b"{\"type\":\"function\",\"function\":{");
    json::text_member(out, "name", &tool.name);
    if let Some(description) = tool.description.as_deref().filter(|text| !text.is_empty()) {
        json::text_member(out, "description", description);
    }
    // Cohere demands a schema.
    let schema = tool.parameters.as_ref().map(|raw| raw.as_str());
    raw_member(out, "parameters", schema.unwrap_or(r#"{"type":"object","properties":{}}"#));
    out.extend_from_slice(b"}}");
}

/// Whether a tool has a required parameter: Cohere's strict mode, which is for all tools at once,
/// refuses those that have none.
fn demands_something(tool: &Tool) -> bool {
    #[derive(Deserialize)]
    struct Schema {
        #[serde(default)]
        required: Vec<serde::de::IgnoredAny>,
    }
    let schema = tool.parameters.as_ref().map(|raw| serde_json::from_str::<Schema>(raw.as_str()));
    matches!(schema, Some(Ok(schema)) if !schema.required.is_empty())
}

fn write_sampling(sampling: &Sampling, out: &mut Vec<u8>) {
    let positive = |penalty: Option<f64>| penalty.filter(|p| *p > 0.0).map(|p| p.min(1.0));
    let numbers = [
        ("temperature", sampling.temperature.map(|t| t.min(1.0))),
        ("p", sampling.top_p.map(|p| p.clamp(0.01, 0.99))),
        ("frequency_penalty", positive(sampling.frequency_penalty)),
        ("presence_penalty", positive(sampling.presence_penalty)),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            json::key(out, name);
            json::display(out, value);
        }
    }
    if let Some(k) = sampling.top_k.filter(|k| *k > 0) {
        json::number_member(out, "k", u64::from(k.min(K_MAX)));
    }
    if let Some(seed) = sampling.seed.and_then(|seed| u64::try_from(seed).ok()) {
        json::number_member(out, "seed", seed);
    }
}

fn write_stop(stop: &[String], out: &mut Vec<u8>) {
    let mut stops = stop.iter().filter(|stop| !stop.is_empty()).peekable();
    if stops.peek().is_none() {
        return;
    }
    json::key(out, "stop_sequences");
    out.push(b'[');
    for stop in stops {
        json::comma(out);
        json::string(out, stop);
    }
    out.push(b']');
}

fn write_format(format: &Option<ResponseFormat>, out: &mut Vec<u8>) {
    let schema = match format {
        None | Some(ResponseFormat::Text) => return,
        Some(ResponseFormat::JsonObject) => None,
        Some(ResponseFormat::JsonSchema { schema, .. }) => Some(schema.as_str()),
    };
    json::key(out, "response_format");
    out.push(b'{');
    json::text_member(out, "type", "json_object");
    if let Some(schema) = schema {
        raw_member(out, "json_schema", schema);
    }
    out.push(b'}');
}

/// Writes `thinking`. Models that can think do so unless told otherwise, so no word of the client's
/// is no word here.
fn write_thinking(
    reasoning: Option<Reasoning>,
    limit: Option<u32>,
    target: &Target<'_>,
    out: &mut Vec<u8>,
) {
    let of_model = if target.max_output == 0 { DEFAULT_MAX_TOKENS } else { target.max_output };
    let whole = u64::from(limit.unwrap_or(of_model));
    let share = |effort: Effort| (whole * u64::from(effort.percent()) / 100).max(1);
    let budget = match reasoning {
        None => return,
        Some(
            Reasoning { enabled: Some(false), .. } | Reasoning { effort: Some(Effort::None), .. },
        ) => {
            return raw_member(out, "thinking", r#"{"type":"disabled"}"#);
        }
        Some(Reasoning { max_tokens: Some(tokens), .. }) => u64::from(tokens),
        Some(Reasoning { effort: Some(effort), .. }) => share(effort),
        Some(Reasoning { enabled: Some(true), .. }) => share(Effort::Medium),
        Some(Reasoning { .. }) => return,
    };
    // Some of the limit is for the answer.
    let room = limit.map_or(u64::MAX, |limit| u64::from(limit.saturating_sub(1)));
    json::key(out, "thinking");
    out.push(b'{');
    json::text_member(out, "type", "enabled");
    json::number_member(out, "token_budget", budget.min(room).max(1));
    out.push(b'}');
}

pub(super) fn raw_member(out: &mut Vec<u8>, name: &'static str, raw: &str) {
    json::key(out, name);
    out.extend_from_slice(raw.as_bytes());
}
