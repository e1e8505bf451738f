//! The hub's request → the body of `generateContent`.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::contents::{Conversation, Speaker, conversation};
use super::parts::Part;
use super::thinking::{self, Model, max_output_tokens};
use crate::dialect::ir::{Request, ResponseFormat, Sampling, Tool, ToolChoice};
use crate::dialect::json;
use crate::dialect::media::refusal;
use crate::dialect::{Surface, Target};
use crate::error::GatewayError;

/// The most answers to one request (Vertex AI's reference, 2026-11).
const CANDIDATES_MAX: u32 = 8;
/// The most texts at which an answer ends (both references, 2026-11).
const STOP_MAX: usize = 5;

/// Writes the request for Gemini, on the Gemini API and on Vertex AI alike.
///
/// # Errors
/// The request asks for what Gemini cannot do: more than 8 answers, more than 5 stop sequences,
/// sound as output, media of a type that it does not take, an upload at another provider, anything
/// but text in a system message; or, before generation 3, tools together with a demand for JSON.
pub fn request(request: &Request, target: &Target<'_>) -> Result<Bytes, GatewayError> {
    let model = Model::named(target.upstream_model);
    refuse_inexpressible(request, model)?;
    let conversation = conversation(request, model)?;
    let mut out = Vec::with_capacity(1024 + size_hint(&conversation));
    out.push(b'{');
    if !conversation.system.is_empty() {
        json::key(&mut out, "systemInstruction");
        out.push(b'{');
        write_parts(&conversation.system, &mut out);
        out.push(b'}');
    }
    write_contents(&conversation, &mut out);
    if !leaves_tools_out(request, model) {
        write_tools(request, &mut out);
    }
    json::key(&mut out, "generationConfig");
    let before = out.len();
    out.push(b'{');
    write_limits(request, target, &mut out);
    write_sampling(&request.sampling, model, &mut out);
    write_form(request, &mut out);
    thinking::write(request, target, model, &mut out);
    if out.len() == before + 1 {
        out.truncate(before - ",\"generationConfig\":".len());
    } else {
        out.push(b'}');
    }
    out.push(b'}');
    Ok(Bytes::from(out))
}

fn refuse_inexpressible(request: &Request, model: Model) -> Result<(), GatewayError> {
    if request.n.is_some_and(|n| n > CANDIDATES_MAX) {
        return Err(refusal("n".into(), "must be at most 8 for this model"));
    }
    if stops(request).count() > STOP_MAX {
        return Err(refusal("stop".into(), "must have at most 5 texts for this model"));
    }
    if request.modalities.iter().any(|kind| modality(kind).is_none()) {
        let what = "must be of \"text\" and \"image\" for this model";
        return Err(refusal("modalities".into(), what));
    }
    let tools = !request.tools.is_empty() && request.tool_choice != Some(ToolChoice::None);
    if tools && wants_json(request) && model.refuses_json_with_tools() {
        let what = "cannot be combined with `tools` for this model";
        return Err(refusal("response_format".into(), what));
    }
    Ok(())
}

/// What `none` means, where the tools' mere presence would be refused.
fn leaves_tools_out(request: &Request, model: Model) -> bool {
    request.tool_choice == Some(ToolChoice::None)
        && wants_json(request)
        && model.refuses_json_with_tools()
}

const fn wants_json(request: &Request) -> bool {
    matches!(
        request.response_format,
        Some(ResponseFormat::JsonObject | ResponseFormat::JsonSchema { .. })
    )
}

fn modality(kind: &str) -> Option<&'static str> {
    match kind {
        "text" => Some("TEXT"),
        "image" => Some("IMAGE"),
        _ => None,
    }
}

fn stops(request: &Request) -> impl Iterator<Item = &str> {
    request.stop.iter().map(String::as_str).filter(|stop| !stop.is_empty())
}

/// About how long the texts are, so that a large request is not copied while it grows.
fn size_hint(conversation: &Conversation<'_>) -> usize {
    fn size(part: &Part<'_>) -> usize {
        64 + match part {
            Part::Text { text, .. } => text.len() + text.len() / 16,
            Part::Inline { data, .. } => data.len(),
            Part::File { uri, .. } => uri.len(),
            Part::Call { args, signature, .. } => args.len() + signature.map_or(0, str::len),
            Part::Answer { response, media, .. } => {
                response.len() + media.iter().map(size).sum::<usize>()
            }
        }
    }
    let in_contents = conversation.contents.iter().flat_map(|content| &content.parts);
    conversation.system.iter().chain(in_contents).map(size).sum()
}

fn write_contents(conversation: &Conversation<'_>, out: &mut Vec<u8>) {
    json::key(out, "contents");
    out.push(b'[');
    for content in &conversation.contents {
        json::comma(out);
        out.push(b'{');
        let role = match content.speaker {
            Speaker::User | Speaker::Functions => "user",
            Speaker::Model => "model",
        };
        json::text_member(out, "role", role);
        write_parts(&content.parts, out);
        out.push(b'}');
    }
    out.push(b']');
}

fn write_parts(parts: &[Part<'_>], out: &mut Vec<u8>) {
    json::key(out, "parts");
    out.push(b'[');
    for part in parts {
        json::comma(out);
        out.push(b'{');
        write_part(part, out);
        out.push(b'}');
    }
    out.push(b']');
}

fn write_part(part: &Part<'_>, out: &mut Vec<u8>) {
    let signature = match part {
        Part::Text { name, text, signature } => {
            json::key(out, "text");
            out.push(b'"');
            if let Some(name) = name {
                json::escape(out, name);
                out.extend_from_slice(b": ");
            }
            json::escape(out, text);
            out.push(b'"');
            *signature
        }
        Part::Inline { mime, data } => {
            open(out, "inlineData");
            json::text_member(out, "mimeType", mime);
            json::text_member(out, "data", data);
            out.push(b'}');
            None
        }
        Part::File { mime, uri } => {
            open(out, "fileData");
            json::text_member(out, "mimeType", mime);
            json::text_member(out, "fileUri", uri);
            out.push(b'}');
            None
        }
        Part::Call { id, name, args, signature } => {
            open(out, "functionCall");
            write_id(*id, out);
            json::text_member(out, "name", name);
            raw_member(out, "args", args);
            out.push(b'}');
            *signature
        }
        Part::Answer { id, name, response, media } => {
            open(out, "functionResponse");
            write_id(*id, out);
            json::text_member(out, "name", name);
            raw_member(out, "response", response);
            if !media.is_empty() {
                write_parts(media, out);
            }
            out.push(b'}');
            None
        }
    };
    if let Some(signature) = signature {
        json::text_member(out, "thoughtSignature", signature);
    }
}

fn open(out: &mut Vec<u8>, name: &'static str) {
    json::key(out, name);
    out.push(b'{');
}

fn write_id(id: Option<&str>, out: &mut Vec<u8>) {
    if let Some(id) = id {
        json::text_member(out, "id", id);
    }
}

fn raw_member(out: &mut Vec<u8>, name: &'static str, raw: &str) {
    json::key(out, name);
    out.extend_from_slice(raw.as_bytes());
}

/// Writes `tools` and `toolConfig`.
///
/// Names may be restricted only where a call must be made; where none must, the tools that are not
/// allowed are left out.
fn write_tools(request: &Request, out: &mut Vec<u8>) {
    if request.tools.is_empty() {
        return;
    }
    let (mode, names, offered) = match &request.tool_choice {
        None => (None, &[][..], None),
        Some(ToolChoice::Auto) => (Some("AUTO"), &[][..], None),
        Some(ToolChoice::None) => (Some("NONE"), &[][..], None),
        Some(ToolChoice::Required) => (Some("ANY"), &[][..], None),
        Some(ToolChoice::Named(name)) => (Some("ANY"), std::slice::from_ref(name), None),
        Some(ToolChoice::Allowed { names, required: true }) => (Some("ANY"), &names[..], None),
        Some(ToolChoice::Allowed { names, required: false }) => {
            (Some("AUTO"), &[][..], Some(names))
        }
    };
    out.extend_from_slice(b",\"tools\":[{\"functionDeclarations\":[");
    for tool in &request.tools {
        if offered.is_none_or(|names| names.contains(&tool.name)) {
            write_tool(tool, out);
        }
    }
    out.extend_from_slice(b"]}]");
    let Some(mode) = mode else { return };
    out.extend_from_slice(b",\"toolConfig\":{\"functionCallingConfig\":{");
    json::text_member(out, "mode", mode);
    if !names.is_empty() {
        write_texts(out, "allowedFunctionNames", names.iter().map(String::as_str));
    }
    out.extend_from_slice(b"}}");
}

fn write_texts<'t>(out: &mut Vec<u8>, name: &'static str, texts: impl Iterator<Item = &'t str>) {
    json::key(out, name);
    out.push(b'[');
    for text in texts {
        json::comma(out);
        json::string(out, text);
    }
    out.push(b']');
}

/// The schema goes unchanged into `parametersJsonSchema`: the other field, `parameters`, takes a
/// subset of OpenAPI only, so `$ref`, `additionalProperties` or a list of types would have to be
/// rewritten, and what the model sees would not be what the client asked for. Google's own CLI
/// hands on the schemas of MCP servers in this way (2026-11).
fn write_tool(tool: &Tool, out: &mut Vec<u8>) {
    json::comma(out);
    out.push(b'{');
    json::text_member(out, "name", &tool.name);
    if let Some(description) = tool.description.as_deref().filter(|text| !text.is_empty()) {
        json::text_member(out, "description", description);
    }
    if let Some(schema) = tool.parameters.as_ref().map(|raw| raw.as_str().trim()) {
        json::key(out, "parametersJsonSchema");
        if has_type(schema) {
            out.extend_from_slice(schema.as_bytes());
        } else {
            // The type is demanded, and an object is the only one that a function can take.
            let members = schema.strip_prefix('{').unwrap_or(schema).trim_start();
            let comma = if members.starts_with('}') { "" } else { "," };
            out.extend_from_slice(b"{\"type\":\"object\"");
            out.extend_from_slice(comma.as_bytes());
            out.extend_from_slice(members.as_bytes());
        }
    }
    out.push(b'}');
}

fn has_type(schema: &str) -> bool {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "type")]
        kind: Option<IgnoredAny>,
    }
    // What cannot be read here is left as it is, for the provider to judge.
    serde_json::from_str::<Typed>(schema).map_or(true, |typed| typed.kind.is_some())
}

fn write_limits(request: &Request, target: &Target<'_>, out: &mut Vec<u8>) {
    if let Some(max) = max_output_tokens(request, target) {
        json::number_member(out, "maxOutputTokens", u64::from(max));
    }
    if let Some(n) = request.n.filter(|n| *n > 1) {
        json::number_member(out, "candidateCount", u64::from(n));
    }
    if stops(request).next().is_some() {
        write_texts(out, "stopSequences", stops(request));
    }
}

fn write_sampling(sampling: &Sampling, model: Model, out: &mut Vec<u8>) {
    // 2 is just outside of Gemini's range for penalties.
    let penalty =
        |value: Option<f64>| value.map(|p| p.min(1.99)).filter(|_| model.takes_penalties());
    let floats = [
        ("temperature", sampling.temperature),
        ("topP", sampling.top_p),
        ("presencePenalty", penalty(sampling.presence_penalty)),
        ("frequencyPenalty", penalty(sampling.frequency_penalty)),
    ];
    for (name, value) in floats {
        if let Some(value) = value {
            json::key(out, name);
            json::display(out, value);
        }
    }
    if let Some(top_k) = sampling.top_k.filter(|k| *k > 0) {
        json::number_member(out, "topK", u64::from(top_k));
    }
    if let Some(seed) = sampling.seed {
        // Gemini's is of 32 bits; the same seed still gives the same one.
        let seed = i32::try_from(seed).map_or_else(|_| seed.rem_euclid(1 << 31), i64::from);
        json::key(out, "seed");
        json::display(out, seed);
    }
}

/// What the answer is to look like.
fn write_form(request: &Request, out: &mut Vec<u8>) {
    if let Some(top) = request.logprobs {
        raw_member(out, "responseLogprobs", "true");
        if top > 0 {
            json::number_member(out, "logprobs", u64::from(top));
        }
    }
    if wants_json(request) {
        json::text_member(out, "responseMimeType", "application/json");
    }
    if let Some(ResponseFormat::JsonSchema { schema, .. }) = &request.response_format {
        raw_member(out, "responseJsonSchema", schema.as_str());
    }
    if request.modalities.iter().any(|kind| kind != "text") {
        let kinds = request.modalities.iter().filter_map(|kind| modality(kind));
        write_texts(out, "responseModalities", kinds);
    }
    write_image_config(request, out);
}

/// OpenRouter's `image_config` (2026-11); members that Gemini does not have are left out.
fn write_image_config(request: &Request, out: &mut Vec<u8>) {
    #[derive(Deserialize)]
    struct ImageConfig {
        aspect_ratio: Option<String>,
        image_size: Option<String>,
    }
    if request.surface != Surface::Chat {
        return;
    }
    let raw = request.rest.iter().find(|(name, _)| name == "image_config");
    let config = raw.and_then(|(_, raw)| serde_json::from_str::<ImageConfig>(raw.as_str()).ok());
    let Some(config) = config else { return };
    if config.aspect_ratio.is_none() && config.image_size.is_none() {
        return;
    }
    open(out, "imageConfig");
    if let Some(ratio) = &config.aspect_ratio {
        json::text_member(out, "aspectRatio", ratio);
    }
    if let Some(size) = &config.image_size {
        json::text_member(out, "imageSize", size);
    }
    out.push(b'}');
}
