//! The hub's request → the body of `POST /api/chat`.

use bytes::Bytes;

use super::messages::write_messages;
use crate::dialect::Target;
use crate::dialect::ir::{Effort, Reasoning, Request, ResponseFormat, Tool, ToolChoice};
use crate::dialect::json;
use crate::dialect::media::refusal;
use crate::error::GatewayError;

/// Writes the request for Ollama.
///
/// # Errors
/// The request asks for what Ollama cannot do: several answers, output other than text, documents,
/// video, or an image that is not in the request itself.
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
    // Without a word it would be a stream.
    raw_member(&mut out, "stream", if request.stream { "true" } else { "false" });
    write_messages(&request.messages, &mut out)?;
    write_tools(request, &mut out);
    match &request.response_format {
        None | Some(ResponseFormat::Text) => {}
        Some(ResponseFormat::JsonObject) => json::text_member(&mut out, "format", "json"),
        Some(ResponseFormat::JsonSchema { schema, .. }) => {
            raw_member(&mut out, "format", schema.as_str());
        }
    }
    if let Some(think) = think(request.reasoning) {
        raw_member(&mut out, "think", think);
    }
    if let Some(top) = request.logprobs {
        raw_member(&mut out, "logprobs", "true");
        if top > 0 {
            json::number_member(&mut out, "top_logprobs", u64::from(top));
        }
    }
    write_options(request, target, &mut out);
    out.push(b'}');
    Ok(Bytes::from(out))
}

/// Writes the tools that may be called. There is no word for which must be.
fn write_tools(request: &Request, out: &mut Vec<u8>) {
    let names = match &request.tool_choice {
        None | Some(ToolChoice::Auto | ToolChoice::Required) => None,
        Some(ToolChoice::None) => return,
        Some(ToolChoice::Named(name)) => Some(std::slice::from_ref(name)),
        Some(ToolChoice::Allowed { names, .. }) => Some(names.as_slice()),
    };
    let may_be_called = |tool: &&Tool| names.is_none_or(|names| names.contains(&tool.name));
    let mut tools = request.tools.iter().filter(may_be_called).peekable();
    if tools.peek().is_none() {
        return;
    }
    json::key(out, "tools");
    out.push(b'[');
    for tool in tools {
        json::comma(out);
        out.extend_from_slice(b"{\"type\":\"function\",\"function\":{");
        json::text_member(out, "name", &tool.name);
        if let Some(description) = tool.description.as_deref().filter(|text| !text.is_empty()) {
            json::text_member(out, "description", description);
        }
        let schema = tool.parameters.as_ref().map(|raw| raw.as_str());
        raw_member(out, "parameters", schema.unwrap_or(r#"{"type":"object","properties":{}}"#));
        out.extend_from_slice(b"}}");
    }
    out.push(b']');
}

/// What is sent as `think`. Levels mean something to some models; to the others any is on. They are
/// mapped as Ollama's own OpenAI face maps them.
fn think(reasoning: Option<Reasoning>) -> Option<&'static str> {
    Some(match reasoning? {
        Reasoning { enabled: Some(false), .. } => "false",
        Reasoning { max_tokens: Some(_), .. } => "true",
        Reasoning { effort: Some(effort), .. } => match effort {
            Effort::None => "false",
            Effort::Minimal | Effort::Low => "\"low\"",
            Effort::Medium => "\"medium\"",
            Effort::High => "\"high\"",
            Effort::ExtraHigh | Effort::Max => "\"max\"",
        },
        Reasoning { enabled: Some(true), .. } => "true",
        Reasoning { .. } => return None,
    })
}

/// Writes `options`, where everything about drawing tokens has its place: at the top it would be
/// passed over without a word.
fn write_options(request: &Request, target: &Target<'_>, out: &mut Vec<u8>) {
    let mut options = b"{".to_vec();
    if let Some(limit) = num_predict(request, target) {
        json::number_member(&mut options, "num_predict", u64::from(limit));
    }
    let sampling = &request.sampling;
    let numbers = [
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("min_p", sampling.min_p),
        ("repeat_penalty", sampling.repetition_penalty),
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
    ];
    for (name, value) in numbers {
        if let Some(value) = value {
            json::key(&mut options, name);
            json::display(&mut options, value);
        }
    }
    if let Some(k) = sampling.top_k {
        json::number_member(&mut options, "top_k", u64::from(k));
    }
    if let Some(seed) = sampling.seed {
        json::key(&mut options, "seed");
        json::display(&mut options, seed);
    }
    let mut stops = request.stop.iter().filter(|stop| !stop.is_empty()).peekable();
    if stops.peek().is_some() {
        json::key(&mut options, "stop");
        options.push(b'[');
        for stop in stops {
            json::comma(&mut options);
            json::string(&mut options, stop);
        }
        options.push(b']');
    }
    if options.len() > 1 {
        options.push(b'}');
        json::key(out, "options");
        out.append(&mut options);
    }
}

/// The longest answer; without it Ollama goes on until the model stops.
fn num_predict(request: &Request, target: &Target<'_>) -> Option<u32> {
    let of_model = if target.max_output == 0 { u32::MAX } else { target.max_output };
    let wanted = request.max_tokens.map(|wanted| wanted.min(of_model));
    match (wanted, target.credit_limit) {
        (Some(wanted), Some(limit)) => Some(wanted.min(limit).max(1)),
        (wanted, limit) => wanted.or(limit.map(|limit| limit.max(1))),
    }
}

fn raw_member(out: &mut Vec<u8>, name: &'static str, raw: &str) {
    json::key(out, name);
    out.extend_from_slice(raw.as_bytes());
}
