//! The hub's request → the body of `POST /completions`.

use bytes::Bytes;

use super::conversation::Conversation;
use super::jinja::RenderFault;
use super::template::Template;
use crate::dialect::ir::{Message, PartBody, Request, ResponseFormat, Sampling};
use crate::dialect::json;
use crate::dialect::media::refusal;
use crate::dialect::{Surface, Target};
use crate::error::{GatewayError, Kind};

/// Writes the request.
///
/// `max_tokens` is always written: the legacy default is 16 tokens. `response_format` goes on as
/// it came, which vLLM and others obey (vLLM `CompletionRequest`, 2026-11) and hosts that do not
/// know it ignore. Sampling parameters beyond OpenAI's have vLLM's names.
///
/// # Errors
/// The endpoint has no template, the template refuses the conversation, or the request asks for
/// what text completions cannot do.
pub fn request(request: &Request, target: &Target<'_>) -> Result<Bytes, GatewayError> {
    if let Some(i) = request.modalities.iter().position(|kind| kind != "text") {
        return Err(refusal(format!("modalities[{i}]"), "must be \"text\" for this model"));
    }
    // A prompt of the legacy surface goes on as it is.
    let raw = raw_prompt(request);
    let template = target.template.filter(|_| raw.is_none());
    let (prompt, with_tools) = match (raw, template) {
        (Some(prompt), _) => (prompt.to_owned(), false),
        (None, Some(template)) => render(request, template, target)?,
        (None, None) => {
            let text = "The endpoint serves raw text and has no chat template.";
            let error = GatewayError::new(Kind::Internal, text);
            return Err(error.with_detail("the endpoint has no `template`"));
        }
    };
    let mut out = Vec::with_capacity(prompt.len() + prompt.len() / 8 + 512);
    out.push(b'{');
    json::text_member(&mut out, "model", target.upstream_model);
    json::text_member(&mut out, "prompt", &prompt);
    json::number_member(&mut out, "max_tokens", u64::from(limit(request, target)));
    write_sampling(&request.sampling, &mut out);
    write_stop(request, template, &mut out);
    if let Some(n) = request.n.filter(|n| *n > 1) {
        json::number_member(&mut out, "n", u64::from(n));
    }
    write_format(request.response_format.as_ref(), &mut out);
    if let Some((_, bias)) = request.rest.iter().find(|(name, _)| name == "logit_bias") {
        raw_member(&mut out, "logit_bias", bias.as_str());
    }
    if with_tools && template.is_some_and(|t| t.settings().show_special_tokens) {
        raw_member(&mut out, "skip_special_tokens", "false");
    }
    if request.stream {
        raw_member(&mut out, "stream", "true");
        raw_member(&mut out, "stream_options", "{\"include_usage\":true}");
    }
    out.push(b'}');
    Ok(Bytes::from(out))
}

fn raw_prompt(request: &Request) -> Option<&str> {
    match request.messages.as_slice() {
        [Message::User { parts, .. }] if request.surface == Surface::Completions => {
            match parts.as_slice() {
                [part] => match &part.body {
                    PartBody::Text(text) => Some(text),
                    _ => None,
                },
                _ => None,
            }
        }
        _ => None,
    }
}

fn limit(request: &Request, target: &Target<'_>) -> u32 {
    let asked = request.max_tokens.unwrap_or(target.max_output).min(target.max_output);
    target.credit_limit.map_or(asked, |limit| limit.min(asked))
}

/// Stands where the model is to go on with a turn of its own; no template prints it.
const GOES_ON: &str = "\u{e000}goes-on\u{e000}";

/// The prompt, and whether it offers tools.
fn render(
    request: &Request,
    template: &Template,
    target: &Target<'_>,
) -> Result<(String, bool), GatewayError> {
    let rendered = |mark: &str| {
        let conversation = Conversation::of(request, template.settings(), mark)?;
        let prompt = template.render(&conversation, target.now);
        let prompt = prompt.map_err(|fault| explain(fault, template))?;
        Ok::<_, GatewayError>((prompt, conversation))
    };
    let (mut prompt, conversation) = rendered(GOES_ON)?;
    if conversation.prefill {
        // What ends a turn stands after the mark: the model's own turn stays open.
        let Some(end) = prompt.rfind(GOES_ON) else {
            let at = format!("messages[{}]", request.messages.len().saturating_sub(1));
            return Err(refusal(at, "cannot be gone on with in this model's chat template"));
        };
        prompt.truncate(end);
        // The mark keeps white space from being trimmed where the template would.
        if prompt.ends_with(char::is_whitespace) && !rendered("")?.0.starts_with(&prompt) {
            prompt.truncate(prompt.trim_end().len());
        }
    }
    Ok((prompt, conversation.tools.is_some()))
}

fn explain(fault: RenderFault, template: &Template) -> GatewayError {
    let wrong = |text: String| GatewayError::new(Kind::InvalidRequest, text).with_param("messages");
    match fault {
        RenderFault::Raised(Some(text)) => {
            wrong(format!("`messages` do not fit this model's chat template: {text}."))
        }
        RenderFault::Raised(None) => {
            wrong("`messages` do not fit this model's chat template.".to_owned())
        }
        RenderFault::TooLarge => {
            wrong("`messages` are too many for this model's chat template.".to_owned())
        }
        RenderFault::Broken(what) => {
            let error = GatewayError::new(Kind::Internal, "The model's chat template is broken.");
            error.with_detail(format!("template {}: {what}", template.name()))
        }
    }
}

fn write_sampling(sampling: &Sampling, out: &mut Vec<u8>) {
    let floats = [
        ("temperature", sampling.temperature),
        ("top_p", sampling.top_p),
        ("min_p", sampling.min_p),
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
        // OpenAI's range has 0, which hosts refuse and means nothing.
        ("repetition_penalty", sampling.repetition_penalty.filter(|p| *p > 0.0)),
    ];
    for (name, value) in floats {
        if let Some(value) = value {
            json::key(out, name);
            json::display(out, value);
        }
    }
    if let Some(top_k) = sampling.top_k.filter(|k| *k > 0) {
        json::number_member(out, "top_k", u64::from(top_k));
    }
    if let Some(seed) = sampling.seed {
        json::key(out, "seed");
        json::display(out, seed);
    }
}

/// The client's stop texts, and those that end the model's turn.
fn write_stop(request: &Request, template: Option<&Template>, out: &mut Vec<u8>) {
    let ours = template.map_or(&[][..], |template| template.settings().stop.as_slice());
    let mut stops: Vec<&str> = Vec::with_capacity(ours.len() + request.stop.len());
    for text in ours.iter().chain(request.stop.iter().filter(|text| !text.is_empty())) {
        if !stops.contains(&text.as_str()) {
            stops.push(text);
        }
    }
    if stops.is_empty() {
        return;
    }
    json::key(out, "stop");
    out.push(b'[');
    for text in stops {
        json::comma(out);
        json::string(out, text);
    }
    out.push(b']');
}

fn write_format(format: Option<&ResponseFormat>, out: &mut Vec<u8>) {
    match format {
        None | Some(ResponseFormat::Text) => {}
        Some(ResponseFormat::JsonObject) => {
            raw_member(out, "response_format", "{\"type\":\"json_object\"}");
        }
        Some(ResponseFormat::JsonSchema { name, description, schema, strict }) => {
            json::key(out, "response_format");
            out.extend_from_slice(b"{\"type\":\"json_schema\",\"json_schema\":{");
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
    }
}

fn raw_member(out: &mut Vec<u8>, name: &'static str, raw: &str) {
    json::key(out, name);
    out.extend_from_slice(raw.as_bytes());
}
