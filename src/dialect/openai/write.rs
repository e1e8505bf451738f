//! The hub's request → a chat completion request, for surfaces and hosts where bytes can't pass.
//!
//! What a host does not take and does not change what is asked is left out, as OpenRouter does:
//! sampling parameters, log probabilities, labels. Lost beside: the role `developer` (written as
//! `system`, which every host knows), that a tool failed (the text says it), `stream_options` other
//! than the usage, and reasoning of earlier turns where the host does not take it back.

use bytes::Bytes;

use super::host::{Host, Logprobs, Pieces, Prefill};
use super::message::{raw_member, size_hint, write_mark, write_messages};
use super::thinking::write_thinking;
use super::turns::{Turn, turns};
use crate::dialect::ir::{Request, ResponseFormat, Tool, ToolChoice};
use crate::dialect::json;
use crate::dialect::media::refusal;
use crate::dialect::scan::{Form, Notes};
use crate::dialect::{Surface, Target};
use crate::error::GatewayError;

/// Writes the request for the target's host.
///
/// # Errors
/// The request asks for what the host cannot do: several answers, tools, kinds of media in or out,
/// more stop sequences than it takes, or a turn to be gone on with.
pub fn write(request: &Request, target: &Target<'_>) -> Result<Bytes, GatewayError> {
    write_for(target.host, request, target)
}

/// Writes the request for this host.
pub(in crate::dialect) fn write_for(
    host: &Host,
    request: &Request,
    target: &Target<'_>,
) -> Result<Bytes, GatewayError> {
    refuse_inexpressible(request, host)?;
    let turns = turns(request, host)?;
    let schemas = request.tools.iter().filter_map(|tool| tool.parameters.as_ref());
    let schemas: usize = schemas.map(|schema| 256 + schema.as_str().len()).sum();
    let mut out = Vec::with_capacity(1024 + schemas + size_hint(&turns));
    out.push(b'{');
    json::text_member(&mut out, "model", target.upstream_model);
    write_messages(&turns, host, &mut out);
    write_tools(request, host, &mut out);
    write_limit(request, host, target, &mut out);
    write_sampling(request, host, &mut out);
    write_format(&request.response_format, host, &mut out);
    write_thinking(request, host, target, &mut out);
    write_options(request, host, &mut out);
    write_stream(request, host, &turns, &mut out);
    write_rest(request, host, &mut out);
    out.push(b'}');
    Ok(Bytes::from(out))
}

fn refuse_inexpressible(request: &Request, host: &Host) -> Result<(), GatewayError> {
    let refuses = |name: &str| host.refuses.meets(Notes::member(name.as_bytes()));
    if request.n.is_some_and(|n| n > 1) && refuses("n") {
        return Err(refusal("n".into(), "must be 1: this provider gives one answer"));
    }
    if !request.tools.is_empty() && refuses("tools") {
        return Err(refusal("tools".into(), "must be left out: this provider does not take tools"));
    }
    if request.modalities.iter().any(|kind| kind != "text") && !host.takes("modalities") {
        let what = "must be [\"text\"]: this provider writes text";
        return Err(refusal("modalities".into(), what));
    }
    if request.stop.len() > host.stop_max {
        let what = format!("must have at most {} for this provider", host.stop_max);
        return Err(refusal("stop".into(), &what));
    }
    Ok(())
}

/// Writes `tools`, `tool_choice` and `parallel_tool_calls`; the latter two mean nothing without
/// the first, and OpenAI refuses them then.
fn write_tools(request: &Request, host: &Host, out: &mut Vec<u8>) {
    if request.tools.is_empty() {
        return;
    }
    let allowed = match &request.tool_choice {
        Some(ToolChoice::Allowed { names, .. }) if !host.allowed_tools => Some(names),
        _ => None,
    };
    json::key(out, "tools");
    out.push(b'[');
    for tool in &request.tools {
        if allowed.is_none_or(|names| names.contains(&tool.name)) {
            write_tool(tool, host, out);
        }
    }
    out.push(b']');
    if let Some(choice) = &request.tool_choice {
        json::key(out, "tool_choice");
        write_choice(choice, host, out);
    }
    if let (Some(parallel), true) = (request.parallel_tool_calls, host.takes("parallel_tool_calls"))
    {
        raw_member(out, "parallel_tool_calls", if parallel { "true" } else { "false" });
    }
}

fn write_tool(tool: &Tool, host: &Host, out: &mut Vec<u8>) {
    json::comma(out);
    out.push(b'{');
    json::text_member(out, "type", "function");
    json::key(out, "function");
    out.push(b'{');
    json::text_member(out, "name", &tool.name);
    if let Some(description) = &tool.description {
        json::text_member(out, "description", description);
    }
    match (&tool.parameters, host.pieces) {
        (Some(schema), _) => raw_member(out, "parameters", schema.as_str()),
        // Mistral demands a schema.
        (None, Pieces::Mistral) => {
            raw_member(out, "parameters", r#"{"type":"object","properties":{}}"#);
        }
        (None, Pieces::OpenAi) => {}
    }
    if let Some(strict) = tool.strict {
        raw_member(out, "strict", if strict { "true" } else { "false" });
    }
    out.push(b'}');
    write_mark(tool.cache.filter(|_| host.cache), out);
    out.push(b'}');
}

fn write_choice(choice: &ToolChoice, host: &Host, out: &mut Vec<u8>) {
    let word = match choice {
        ToolChoice::Auto | ToolChoice::Allowed { required: false, .. } => "auto",
        ToolChoice::Required | ToolChoice::Allowed { required: true, .. } => host.any_tool,
        ToolChoice::None | ToolChoice::Named(_) => "none",
    };
    match choice {
        ToolChoice::Named(name) => {
            out.push(b'{');
            write_function(name, out);
            out.push(b'}');
        }
        ToolChoice::Allowed { names, .. } if host.allowed_tools => {
            out.extend_from_slice(br#"{"type":"allowed_tools","allowed_tools":{"#);
            json::text_member(out, "mode", word);
            json::key(out, "tools");
            out.push(b'[');
            for name in names {
                json::comma(out);
                out.push(b'{');
                write_function(name, out);
                out.push(b'}');
            }
            out.extend_from_slice(b"]}}");
        }
        _ => json::string(out, word),
    }
}

fn write_function(name: &str, out: &mut Vec<u8>) {
    json::text_member(out, "type", "function");
    json::key(out, "function");
    out.push(b'{');
    json::text_member(out, "name", name);
    out.push(b'}');
}

/// Writes the longest completion, where the client or its credit sets one.
fn write_limit(request: &Request, host: &Host, target: &Target<'_>, out: &mut Vec<u8>) {
    let asked = [request.max_tokens, target.credit_limit].into_iter().flatten().min();
    let Some(asked) = asked else { return };
    let of_model = if target.max_output == 0 { u32::MAX } else { target.max_output };
    json::number_member(out, host.limit.name, u64::from(asked.min(of_model)));
}

fn write_sampling(request: &Request, host: &Host, out: &mut Vec<u8>) {
    let sampling = &request.sampling;
    for (name, value) in [
        ("temperature", sampling.temperature.map(|t| t.min(host.temperature_max))),
        ("top_p", sampling.top_p),
        ("min_p", sampling.min_p),
        ("top_a", sampling.top_a),
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
        ("repetition_penalty", sampling.repetition_penalty),
    ] {
        if let (Some(value), true) = (value, host.takes(name)) {
            json::key(out, name);
            json::display(out, value);
        }
    }
    if let (Some(top_k), true) = (sampling.top_k, host.takes("top_k")) {
        json::number_member(out, "top_k", u64::from(top_k));
    }
    if let (Some(seed), true) = (sampling.seed, host.takes("seed"))
        && !client_says(request, host.seed)
    {
        json::key(out, host.seed);
        json::display(out, seed);
    }
    if let (Some(n), false) = (request.n, host.refuses.meets(Notes::member(b"n"))) {
        json::number_member(out, "n", u64::from(n));
    }
    if !request.stop.is_empty() {
        write_texts(out, "stop", &request.stop);
    }
    if let (Some(count), true) = (request.logprobs, host.takes("logprobs")) {
        match host.logprobs {
            Logprobs::Count => json::number_member(out, "logprobs", u64::from(count.max(1))),
            Logprobs::Flag => {
                raw_member(out, "logprobs", "true");
                if count > 0 {
                    json::number_member(out, "top_logprobs", u64::from(count));
                }
            }
        }
    }
}

fn write_texts(out: &mut Vec<u8>, name: &'static str, texts: &[String]) {
    json::key(out, name);
    out.push(b'[');
    for text in texts {
        json::comma(out);
        json::string(out, text);
    }
    out.push(b']');
}

fn write_format(format: &Option<ResponseFormat>, host: &Host, out: &mut Vec<u8>) {
    match format {
        None => {}
        Some(ResponseFormat::Text) => raw_member(out, "response_format", r#"{"type":"text"}"#),
        Some(ResponseFormat::JsonSchema { name, description, schema, strict }) if host.schemas => {
            json::key(out, "response_format");
            out.extend_from_slice(br#"{"type":"json_schema","json_schema":{"#);
            json::text_member(out, "name", name);
            if let Some(description) = description {
                json::text_member(out, "description", description);
            }
            raw_member(out, "schema", schema.as_str());
            if let Some(strict) = strict {
                raw_member(out, "strict", if *strict { "true" } else { "false" });
            }
            out.extend_from_slice(b"}}");
        }
        // The schema is then among the instructions.
        Some(ResponseFormat::JsonObject | ResponseFormat::JsonSchema { .. }) => {
            raw_member(out, "response_format", r#"{"type":"json_object"}"#);
        }
    }
}

fn write_options(request: &Request, host: &Host, out: &mut Vec<u8>) {
    let known = |tier: &&str| host.tiers.is_none_or(|tiers| tiers.contains(tier));
    for (name, value) in [
        ("verbosity", request.verbosity.map(|verbosity| verbosity.as_str())),
        ("service_tier", request.service_tier.as_deref().filter(known)),
        ("prompt_cache_key", request.prompt_cache_key.as_deref()),
        ("user", request.user.as_deref()),
    ] {
        if let (Some(value), true) = (value, host.takes(name)) {
            json::text_member(out, name, value);
        }
    }
    if !request.modalities.is_empty() && host.takes("modalities") {
        write_texts(out, "modalities", &request.modalities);
    }
    if let (Some(metadata), true) = (&request.metadata, host.takes("metadata")) {
        raw_member(out, "metadata", metadata.as_str());
    }
    write_mark(request.cache.filter(|_| host.cache), out);
}

fn write_stream(request: &Request, host: &Host, turns: &[Turn<'_>], out: &mut Vec<u8>) {
    if request.stream {
        raw_member(out, "stream", "true");
        if host.stream_options {
            raw_member(out, "stream_options", r#"{"include_usage":true}"#);
        }
    }
    if host.prefill == Prefill::Continue && turns.last().is_some_and(|turn| turn.prefill) {
        for (name, value) in
            [("continue_final_message", "true"), ("add_generation_prompt", "false")]
        {
            if !client_says(request, name) {
                raw_member(out, name, value);
            }
        }
    }
}

/// Whether the client gave this member in the host's own words, which then stand.
pub(super) fn client_says(request: &Request, name: &str) -> bool {
    request.surface == Surface::Chat && request.rest.iter().any(|(key, _)| key == name)
}

/// Writes what the gateway does not know, in the client's order.
fn write_rest(request: &Request, host: &Host, out: &mut Vec<u8>) {
    if request.surface != Surface::Chat {
        return;
    }
    let ours = |name: &str| Form::Chat.key(name).is_some();
    for (name, value) in &request.rest {
        if !ours(name) && host.takes(name) {
            json::comma(out);
            json::string(out, name);
            out.push(b':');
            out.extend_from_slice(value.as_str().as_bytes());
        }
    }
}
