//! How each dialect is spoken: what is read of a request, and how an answer is written.
//!
//! The voices are the counterpart of `crate::dialect` in tests, and share no code with its readers
//! and writers (save the framing of AWS's event stream). Facts about the wire are of 2026-11.

mod anthropic;
mod bedrock;
mod cohere;
mod completions;
mod gemini;
mod mistral;
mod ollama;
mod openai;
mod responses;

use http::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::answer::Answer;
use super::ask::Ask;
use super::behaviour::ErrorBody;
use super::route::Route;
use super::script::Speaker;
use crate::dialect::Dialect;

/// What an error inside an answer says.
const IN_BAND: &str = "The simulated provider failed in the middle of its answer.";
/// When every simulated answer was made: fixed, so that equal requests give equal answers.
const CREATED: u64 = 1_767_225_600;
/// The same.
const CREATED_AT: &str = "2026-01-01T00:00:00Z";

/// Reads a request body, and what the path says.
///
/// # Errors
/// What a provider would say about it. The text never quotes the body.
pub(super) fn read<'a>(dialect: Dialect, body: &'a [u8], route: &Route) -> Result<Ask<'a>, String> {
    let mut ask = match dialect {
        Dialect::OpenAi | Dialect::Azure => openai::read(body),
        Dialect::Mistral => mistral::read(body),
        Dialect::Anthropic => anthropic::read(body),
        Dialect::VertexAnthropic => anthropic::read_vertex(body),
        Dialect::Responses => responses::read(body),
        Dialect::Gemini | Dialect::Vertex => gemini::read(body),
        Dialect::Bedrock => bedrock::read(body),
        Dialect::Cohere => cohere::read(body),
        Dialect::Ollama => ollama::read(body),
        Dialect::Completions => completions::read(body),
    }?;
    direct(&mut ask, route);
    Ok(ask)
}

/// Has the path's word about the model and the kind of answer count.
pub(super) fn direct(ask: &mut Ask<'_>, route: &Route) {
    if let Some(model) = &route.model {
        ask.model.0 = model.clone().into();
    }
    ask.stream = route.stream.unwrap_or(ask.stream);
}

/// What writes a streamed answer.
pub(super) fn speaker<'a>(
    dialect: Dialect,
    answer: &'a Answer,
    include_usage: bool,
) -> Box<dyn Speaker + 'a> {
    match dialect {
        Dialect::OpenAi => Box::new(openai::Chunks::of(answer, include_usage)),
        Dialect::Azure => Box::new(openai::Chunks::of_azure(answer, include_usage)),
        Dialect::Mistral => Box::new(mistral::Chunks(answer)),
        Dialect::Anthropic | Dialect::VertexAnthropic => Box::new(anthropic::Events::of(answer)),
        Dialect::Responses => Box::new(responses::Events::of(answer)),
        Dialect::Gemini | Dialect::Vertex => Box::new(gemini::Chunks::of(answer)),
        Dialect::Bedrock => Box::new(bedrock::Frames::of(answer)),
        Dialect::Cohere => Box::new(cohere::Events::of(answer)),
        Dialect::Ollama => Box::new(ollama::Lines(answer)),
        Dialect::Completions => Box::new(completions::Chunks::of(answer, include_usage)),
    }
}

/// The type of a streamed answer.
pub(super) const fn stream_type(dialect: Dialect) -> HeaderValue {
    HeaderValue::from_static(match dialect {
        Dialect::Bedrock => "application/vnd.amazon.eventstream",
        Dialect::Ollama => "application/x-ndjson",
        _ => "text/event-stream",
    })
}

/// A whole answer. `empty` leaves out content and finish reason.
pub(super) fn whole(dialect: Dialect, answer: &Answer, usage: bool, empty: bool) -> Vec<u8> {
    let value = match dialect {
        Dialect::OpenAi | Dialect::Azure => return openai::whole(answer, usage, empty),
        Dialect::Anthropic | Dialect::VertexAnthropic => {
            return anthropic::whole(answer, usage, empty);
        }
        Dialect::Mistral => mistral::whole(answer, usage, empty),
        Dialect::Responses => responses::whole(answer, usage, empty),
        Dialect::Gemini | Dialect::Vertex => gemini::whole(answer, usage, empty),
        Dialect::Bedrock => bedrock::whole(answer, usage, empty),
        Dialect::Cohere => cohere::whole(answer, usage, empty),
        Dialect::Ollama => ollama::whole(answer, usage, empty),
        Dialect::Completions => completions::whole(answer, usage, empty),
    };
    value.to_string().into_bytes()
}

/// A whole answer with status 200 that is an error.
pub(super) fn in_band(dialect: Dialect, answer: &Answer) -> Vec<u8> {
    match dialect {
        Dialect::Anthropic | Dialect::VertexAnthropic => {
            anthropic::error(ErrorBody::Overloaded, 0, IN_BAND).1
        }
        Dialect::Responses => responses::failed(answer).to_string().into_bytes(),
        dialect => error(dialect, ErrorBody::Server, 0, IN_BAND).1,
    }
}

/// The status and body of an error; `message` is used where the kind has no text of its own.
pub(super) fn error(
    dialect: Dialect,
    kind: ErrorBody,
    prompt_tokens: u64,
    message: &str,
) -> (u16, Vec<u8>) {
    let (status, body) = match dialect {
        Dialect::OpenAi | Dialect::Responses | Dialect::Completions => {
            return openai::error(kind, prompt_tokens, message);
        }
        Dialect::Azure => return openai::azure_error(kind, prompt_tokens, message),
        Dialect::Anthropic | Dialect::VertexAnthropic => {
            return anthropic::error(kind, prompt_tokens, message);
        }
        Dialect::Mistral => mistral::error(kind, prompt_tokens, message),
        Dialect::Gemini => gemini::error(kind, prompt_tokens, message, false),
        Dialect::Vertex => gemini::error(kind, prompt_tokens, message, true),
        Dialect::Bedrock => bedrock::error(kind, message),
        Dialect::Cohere => cohere::error(kind, prompt_tokens, message),
        Dialect::Ollama => ollama::error(kind, message),
    };
    (status, body.to_string().into_bytes())
}

/// A header that says what an error is.
pub(super) fn error_header(dialect: Dialect, kind: ErrorBody) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_static("x-amzn-errortype");
    (dialect == Dialect::Bedrock)
        .then(|| (name, HeaderValue::from_static(bedrock::exception(kind).1)))
}

/// The header that carries a request's id.
pub(super) const fn request_id(dialect: Dialect) -> HeaderName {
    HeaderName::from_static(match dialect {
        Dialect::Anthropic | Dialect::VertexAnthropic => "request-id",
        Dialect::Bedrock => "x-amzn-requestid",
        _ => "x-request-id",
    })
}

/// The list of models.
pub(super) fn models(dialect: Dialect, ids: &[String]) -> Value {
    let entry = |id: &String| match dialect {
        Dialect::Anthropic | Dialect::VertexAnthropic => json!({
            "id": id, "type": "model", "display_name": id, "created_at": CREATED_AT,
        }),
        Dialect::Gemini | Dialect::Vertex => json!({"name": format!("models/{id}")}),
        Dialect::Bedrock => json!({"modelId": id}),
        Dialect::Cohere => json!({"name": id, "endpoints": ["chat"]}),
        Dialect::Ollama => json!({"name": id, "model": id, "modified_at": CREATED_AT}),
        _ => json!({"id": id, "object": "model", "created": CREATED, "owned_by": "sim"}),
    };
    let entries: Vec<Value> = ids.iter().map(entry).collect();
    match dialect {
        Dialect::Anthropic | Dialect::VertexAnthropic => {
            json!({"data": entries, "has_more": false})
        }
        Dialect::Gemini | Dialect::Vertex | Dialect::Cohere | Dialect::Ollama => {
            json!({"models": entries})
        }
        Dialect::Bedrock => json!({"modelSummaries": entries}),
        _ => json!({"object": "list", "data": entries}),
    }
}

/// The arguments of a call as an object.
fn object(arguments: &str) -> Value {
    serde_json::from_str(arguments).unwrap_or_else(|_| json!({}))
}

/// What looks like a signature, or like encrypted text.
fn signature(answer: &Answer) -> String {
    // "sim-signature-" in base64, and digits, which are base64 too; padded to whole groups.
    format!("c2ltLXNpZ25hdHVyZS0{:021}", answer.id)
}
