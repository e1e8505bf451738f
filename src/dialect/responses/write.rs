//! The hub's request → the body of `POST /v1/responses`.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::echo::{raw, rest};
use super::input::write_input;
use super::request::{LOGPROBS, includes};
use super::tools::customs;
use crate::dialect::ir::{Effort, Reasoning, Request, ResponseFormat, Tool, ToolChoice, Verbosity};
use crate::dialect::json;
use crate::dialect::media::refusal;
use crate::dialect::{Surface, Target};
use crate::error::GatewayError;

/// The fewest tokens that OpenAI takes as `max_output_tokens` (API reference, 2026-11).
const LIMIT_MIN: u32 = 16;

/// What `include` has so that reasoning can be replayed.
const ENCRYPTED: &str = "reasoning.encrypted_content";

/// Members of a Responses request that mean nothing to the hub and reach a provider that speaks
/// the same. The others of [`Request::rest`] are the gateway's, or need state.
const PASSED: [&str; 3] = ["truncation", "prompt_cache_retention", "prompt_cache_options"];

/// Writes the request for OpenAI.
///
/// What Responses has no word for is left out, as OpenRouter does: stop sequences, seed,
/// penalties, `top_k`, `min_p`, `top_a`, marks for caching and names of speakers (a name goes in
/// front of the text). So are temperature, `top_p` and log probabilities where reasoning is asked
/// for: models that reason refuse them. A failed tool call is told by its text only.
///
/// # Errors
/// The request asks for several answers, for something other than text, or has a part that
/// Responses does not take.
pub fn write(request: &Request, target: &Target<'_>) -> Result<Bytes, GatewayError> {
    refuse_inexpressible(request)?;
    let native = (request.surface == Surface::Responses).then_some(request);
    let tools = native.and_then(|request| rest(request, "tools"));
    let customs = tools.map(customs).unwrap_or_default();
    let mut out = Vec::with_capacity(1024);
    out.push(b'{');
    json::text_member(&mut out, "model", target.upstream_model);
    write_input(request, &customs, &mut out)?;
    write_tools(request, &customs, &mut out);
    if let Some(limit) = limit(request, target) {
        json::number_member(&mut out, "max_output_tokens", u64::from(limit));
    }
    write_reasoning(request, target, &mut out);
    write_text(request, &mut out);
    for (name, value) in [
        ("service_tier", &request.service_tier),
        ("prompt_cache_key", &request.prompt_cache_key),
        ("user", &request.user),
    ] {
        if let Some(value) = value.as_deref().filter(|value| !value.is_empty()) {
            json::text_member(&mut out, name, value);
        }
    }
    if let Some(metadata) = &request.metadata {
        raw(&mut out, "metadata", metadata.as_str());
    }
    for name in PASSED {
        if let Some(value) = native.and_then(|request| rest(request, name)) {
            raw(&mut out, name, value);
        }
    }
    // Answers are not to be kept at the provider: nobody could ask for them again.
    raw(&mut out, "store", "false");
    if request.stream {
        raw(&mut out, "stream", "true");
    }
    out.push(b'}');
    Ok(Bytes::from(out))
}

fn refuse_inexpressible(request: &Request) -> Result<(), GatewayError> {
    if request.n.is_some_and(|n| n > 1) {
        return Err(refusal("n".into(), "must be 1: this model gives one answer"));
    }
    if request.modalities.iter().any(|kind| kind != "text") {
        return Err(refusal("modalities".into(), "must be [\"text\"]: this model writes text"));
    }
    Ok(())
}

/// The token limit, if there is one: none is needed where the client has no opinion.
fn limit(request: &Request, target: &Target<'_>) -> Option<u32> {
    let of_model = (target.max_output > 0).then_some(target.max_output);
    let limit = match (request.max_tokens, target.credit_limit) {
        (None, None) => return None,
        (asked, credit) => [asked, credit, of_model].into_iter().flatten().min()?,
    };
    // Less than OpenAI accepts is raised, unless it is credit that is short.
    let short = target.credit_limit.is_some_and(|credit| {
        credit < LIMIT_MIN && request.max_tokens.is_none_or(|asked| credit < asked)
    });
    Some(if short { limit } else { limit.max(LIMIT_MIN) })
}

fn write_tools(request: &Request, customs: &[(String, &RawValue)], out: &mut Vec<u8>) {
    let custom = |name: &str| customs.iter().find(|(known, _)| known == name);
    if !request.tools.is_empty() {
        json::key(out, "tools");
        out.push(b'[');
        for tool in &request.tools {
            json::comma(out);
            match custom(&tool.name) {
                Some((_, as_written)) => out.extend_from_slice(as_written.get().as_bytes()),
                None => write_tool(tool, request.surface, out),
            }
        }
        out.push(b']');
    }
    let named = |name: &str, out: &mut Vec<u8>| {
        out.push(b'{');
        let kind = if custom(name).is_some() { "custom" } else { "function" };
        json::text_member(out, "type", kind);
        json::text_member(out, "name", name);
        out.push(b'}');
    };
    match &request.tool_choice {
        None => {}
        // It means nothing without tools, and OpenAI then refuses it.
        Some(_) if request.tools.is_empty() => {}
        Some(ToolChoice::Auto) => json::text_member(out, "tool_choice", "auto"),
        Some(ToolChoice::None) => json::text_member(out, "tool_choice", "none"),
        Some(ToolChoice::Required) => json::text_member(out, "tool_choice", "required"),
        Some(ToolChoice::Named(name)) => {
            json::key(out, "tool_choice");
            named(name, out);
        }
        Some(ToolChoice::Allowed { names, required }) => {
            json::key(out, "tool_choice");
            out.extend_from_slice(b"{\"type\":\"allowed_tools\"");
            json::text_member(out, "mode", if *required { "required" } else { "auto" });
            json::key(out, "tools");
            out.push(b'[');
            for name in names {
                json::comma(out);
                named(name, out);
            }
            out.extend_from_slice(b"]}");
        }
    }
    if let Some(parallel) = request.parallel_tool_calls.filter(|_| !request.tools.is_empty()) {
        raw(out, "parallel_tool_calls", if parallel { "true" } else { "false" });
    }
}

fn write_tool(tool: &Tool, surface: Surface, out: &mut Vec<u8>) {
    out.push(b'{');
    json::text_member(out, "type", "function");
    json::text_member(out, "name", &tool.name);
    if let Some(description) = tool.description.as_deref().filter(|text| !text.is_empty()) {
        json::text_member(out, "description", description);
    }
    let parameters = tool.parameters.as_ref().map_or(NO_PARAMETERS, |schema| schema.as_str());
    raw(out, "parameters", parameters);
    // Responses takes silence for strict, chat and Messages for the opposite.
    match tool.strict {
        Some(true) => raw(out, "strict", "true"),
        Some(false) => raw(out, "strict", "false"),
        None if surface == Surface::Responses => {}
        None => raw(out, "strict", "false"),
    }
    out.push(b'}');
}

const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// What is asked for of the reasoning, as a level; none if nothing is.
fn effort(reasoning: Reasoning, request: &Request, target: &Target<'_>) -> Option<Effort> {
    match reasoning {
        Reasoning { enabled: Some(false), .. } => Some(Effort::None),
        Reasoning { effort: Some(effort), .. } => Some(effort),
        Reasoning { max_tokens: Some(tokens), .. } => {
            let whole = request.max_tokens.unwrap_or(target.max_output).max(1);
            let percent = u64::from(tokens) * 100 / u64::from(whole);
            // The nearest of the levels that every reasoning model has.
            let levels = [Effort::Low, Effort::Medium, Effort::High];
            levels.into_iter().min_by_key(|level| u64::from(level.percent()).abs_diff(percent))
        }
        Reasoning { enabled: Some(true), .. } => Some(Effort::Medium),
        Reasoning { .. } => None,
    }
}

/// Writes `reasoning` and `include`, and what goes only without reasoning.
fn write_reasoning(request: &Request, target: &Target<'_>, out: &mut Vec<u8>) {
    let level = request.reasoning.and_then(|reasoning| effort(reasoning, request, target));
    let native = match request.surface {
        Surface::Responses => Native::of(request),
        Surface::Chat | Surface::Completions | Surface::Messages => Native::default(),
    };
    let thinks = level.is_some_and(|level| level != Effort::None) || native.summary.is_some();
    // Without a summary nothing of the reasoning is ever shown.
    let shown = thinks && !request.hides_reasoning() && request.surface != Surface::Responses;
    let summary = native.summary.as_deref().or(shown.then_some("auto"));
    if level.is_some() || summary.is_some() {
        json::key(out, "reasoning");
        out.push(b'{');
        if let Some(level) = level {
            json::text_member(out, "effort", level.as_str());
        }
        if let Some(summary) = summary {
            json::text_member(out, "summary", summary);
        }
        out.push(b'}');
    }
    let logprobs = request.logprobs.filter(|_| !thinks);
    let wanted =
        [(thinks || native.encrypted).then_some(ENCRYPTED), logprobs.is_some().then_some(LOGPROBS)];
    if wanted.iter().any(Option::is_some) {
        json::key(out, "include");
        out.push(b'[');
        for name in wanted.into_iter().flatten() {
            json::comma(out);
            json::string(out, name);
        }
        out.push(b']');
    }
    if thinks {
        return;
    }
    if let Some(alternatives) = logprobs.filter(|&alternatives| alternatives > 0) {
        json::number_member(out, "top_logprobs", u64::from(alternatives));
    }
    let sampling = &request.sampling;
    for (name, value) in [("temperature", sampling.temperature), ("top_p", sampling.top_p)] {
        if let Some(value) = value {
            json::key(out, name);
            json::display(out, value);
        }
    }
}

/// What a Responses client says that the hub has no word for.
#[derive(Default)]
struct Native {
    /// `reasoning.summary`.
    summary: Option<String>,
    /// `include` asks for what encrypted reasoning there is.
    encrypted: bool,
}

impl Native {
    fn of(request: &Request) -> Self {
        #[derive(serde::Deserialize)]
        struct Summary {
            #[serde(alias = "generate_summary")]
            summary: Option<String>,
        }
        let reasoning = rest(request, "reasoning");
        let summary = reasoning.and_then(|raw| serde_json::from_str::<Summary>(raw).ok());
        Self {
            summary: summary.and_then(|summary| summary.summary),
            encrypted: includes(request, ENCRYPTED),
        }
    }
}

fn write_text(request: &Request, out: &mut Vec<u8>) {
    if request.response_format.is_none() && request.verbosity.is_none() {
        return;
    }
    json::key(out, "text");
    out.push(b'{');
    if let Some(format) = &request.response_format {
        json::key(out, "format");
        out.push(b'{');
        match format {
            ResponseFormat::Text => json::text_member(out, "type", "text"),
            ResponseFormat::JsonObject => json::text_member(out, "type", "json_object"),
            ResponseFormat::JsonSchema { name, description, schema, strict } => {
                json::text_member(out, "type", "json_schema");
                json::text_member(out, "name", name);
                if let Some(description) = description {
                    json::text_member(out, "description", description);
                }
                raw(out, "schema", schema.as_str());
                if let Some(strict) = strict {
                    raw(out, "strict", if *strict { "true" } else { "false" });
                }
            }
        }
        out.push(b'}');
    }
    if let Some(verbosity) = request.verbosity.map(Verbosity::as_str) {
        json::text_member(out, "verbosity", verbosity);
    }
    out.push(b'}');
}
