//! The dialects gemini and vertex, as a provider writes them (`…:generateContent`).

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{IN_BAND, object, signature};
use crate::simulate::answer::{Answer, Finish, Said};
use crate::simulate::ask::{self, Ask, Content, Message, Stop, Text};
use crate::simulate::behaviour::ErrorBody;
use crate::simulate::body::Body;
use crate::simulate::script::{Speaker, Wire};

/// Members that are passed over.
const KNOWN: &[&str] = &["cachedContent", "labels", "safetySettings", "serviceTier", "store"];

#[derive(Deserialize)]
struct Turn<'a> {
    #[serde(borrow, default)]
    role: Option<Text<'a>>,
    #[serde(borrow)]
    parts: Vec<Part<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(default)]
    thought: bool,
    #[serde(borrow, default)]
    function_call: Option<Named<'a>>,
    #[serde(borrow, default)]
    function_response: Option<Named<'a>>,
}

/// A call, or the result of one.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config<'a> {
    max_output_tokens: Option<u64>,
    #[serde(borrow)]
    stop_sequences: Stop<'a>,
    candidate_count: Option<u64>,
    thinking_config: Option<Thinking>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Thinking {
    include_thoughts: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tool<'a> {
    #[serde(borrow, default)]
    function_declarations: Vec<&'a RawValue>,
}

/// Reads a request.
pub(super) fn read(body: &[u8]) -> Result<Ask<'_>, String> {
    let mut body = Body::read(body)?;
    let turns: Vec<Turn<'_>> = body.take("contents")?.unwrap_or_default();
    let system: Option<Turn<'_>> = body.take("systemInstruction")?;
    let config: Config<'_> = body.take("generationConfig")?.unwrap_or_default();
    let tools: Vec<Tool<'_>> = body.take("tools")?.unwrap_or_default();
    let mut ask = Ask {
        system: system.map_or(Content::None, |turn| Content::Parts(parts(turn.parts))),
        messages: turns.into_iter().map(message).collect(),
        max_tokens: config.max_output_tokens,
        stop: config.stop_sequences,
        tools: tools.into_iter().flat_map(|tool| tool.function_declarations).collect(),
        tool_choice: body.take("toolConfig")?,
        thinking: config.thinking_config.is_some_and(|t| t.include_thoughts == Some(true)),
        ..Ask::default()
    };
    if config.candidate_count.is_some_and(|n| n != 1) {
        return Err("candidateCount: the simulator gives one candidate".to_owned());
    }
    if ask.stop.0.len() > 5 {
        return Err("stopSequences: at most 5 are allowed".to_owned());
    }
    ask.unknown = body.unknown(KNOWN);
    Ok(ask)
}

fn message(turn: Turn<'_>) -> Message<'_> {
    let role = match turn.role {
        None => Text("user".into()),
        Some(role) if role.0 == "model" => Text("assistant".into()),
        // A foreign name is told to be one.
        Some(role) if role.0 == "assistant" => Text("not a role".into()),
        Some(role) => role,
    };
    let content = Content::Parts(parts(turn.parts));
    Message { role, content, tool_calls: None, tool_call_id: None }
}

fn parts(parts: Vec<Part<'_>>) -> Vec<ask::Part<'_>> {
    parts.into_iter().map(part).collect()
}

fn part(part: Part<'_>) -> ask::Part<'_> {
    let plain = |kind: &'static str| ask::Part {
        kind: Text(kind.into()),
        text: None,
        id: None,
        tool_use_id: None,
        content: Content::None,
    };
    match (part.function_call, part.function_response) {
        // Calls without ids go by their names.
        (Some(call), _) => ask::Part { id: call.id.or(Some(call.name)), ..plain("tool_use") },
        (_, Some(result)) => ask::Part {
            tool_use_id: result.id.or(Some(result.name)),
            content: result.response.map_or(Content::None, told),
            ..plain("tool_result")
        },
        (None, None) if part.thought => plain("thought"),
        (None, None) => ask::Part { text: part.text, ..plain("part") },
    }
}

/// A result's text: what its only member says, or the object as it stands.
fn told(response: &RawValue) -> Content<'_> {
    let value: Value = serde_json::from_str(response.get()).unwrap_or_default();
    let only = value.as_object().filter(|members| members.len() == 1);
    let text = only.and_then(|members| members.values().next()).and_then(Value::as_str);
    match text {
        Some(text) => Content::Text(text.to_owned().into()),
        None => Content::Text(response.get().into()),
    }
}

/// A whole answer. An empty one has no parts and no finish reason.
pub(super) fn whole(answer: &Answer, usage: bool, empty: bool) -> Value {
    let mut parts = Vec::new();
    if !empty {
        let thinking = answer.thinking.as_ref();
        parts.extend(thinking.map(|told| json!({"text": told.text, "thought": true})));
        let mut said = match &answer.said {
            Said::Text(pieces) => json!({"text": pieces.text}),
            Said::Call { name, arguments } => call(name, &arguments.text),
        };
        if thinking.is_some() {
            said["thoughtSignature"] = signature(answer).into();
        }
        parts.push(said);
    }
    last(answer, parts, usage, empty)
}

fn call(name: &str, arguments: &str) -> Value {
    json!({"functionCall": {"name": name, "args": object(arguments)}})
}

fn last(answer: &Answer, parts: Vec<Value>, usage: bool, empty: bool) -> Value {
    let mut value = chunk(answer, parts);
    if !empty {
        value["candidates"][0]["finishReason"] = match answer.finish {
            Finish::Stop | Finish::ToolCalls => "STOP".into(),
            Finish::Length => "MAX_TOKENS".into(),
        };
    }
    if usage {
        let completion = if empty { 0 } else { answer.completion_tokens() };
        let thoughts = if empty { 0 } else { answer.thinking_tokens() };
        value["usageMetadata"] = json!({
            "promptTokenCount": answer.prompt_tokens,
            "candidatesTokenCount": completion.saturating_sub(thoughts),
            "totalTokenCount": answer.prompt_tokens.saturating_add(completion),
        });
        if thoughts > 0 {
            value["usageMetadata"]["thoughtsTokenCount"] = thoughts.into();
        }
    }
    value
}

fn chunk(answer: &Answer, parts: Vec<Value>) -> Value {
    let content = json!({"parts": parts, "role": "model"});
    json!({
        "candidates": [{"content": content, "index": 0}],
        "modelVersion": answer.model, "responseId": format!("sim{}", answer.id),
    })
}

/// Writes the chunks of a streamed answer; the last one is the terminal one too.
pub(super) struct Chunks<'a> {
    answer: &'a Answer,
    /// The signature that closes the reasoning was not given yet.
    unsigned: bool,
}

impl<'a> Chunks<'a> {
    pub(super) const fn of(answer: &'a Answer) -> Self {
        Self { answer, unsigned: answer.thinking.is_some() }
    }

    fn part(&self, wire: &mut Wire, part: Value) {
        wire.event("", &chunk(self.answer, vec![part]));
    }
}

impl Speaker for Chunks<'_> {
    /// Nothing comes before the first token; so that a cut there shows, an empty part does.
    fn open(&mut self, wire: &mut Wire) {
        self.part(wire, json!({"text": ""}));
    }

    fn think(&mut self, wire: &mut Wire, text: &str) {
        self.part(wire, json!({"text": text, "thought": true}));
    }

    fn text(&mut self, wire: &mut Wire, text: &str) {
        self.part(wire, json!({"text": text}));
    }

    /// A call comes whole.
    fn call(&mut self, wire: &mut Wire, name: &str) {
        let (Said::Text(arguments) | Said::Call { arguments, .. }) = &self.answer.said;
        let mut part = call(name, &arguments.text);
        if std::mem::take(&mut self.unsigned) {
            part["thoughtSignature"] = signature(self.answer).into();
        }
        self.part(wire, part);
    }

    fn arguments(&mut self, _wire: &mut Wire, _text: &str) {}

    fn finish(&mut self, _wire: &mut Wire, _usage: bool) {}

    fn finish_empty(&mut self, _wire: &mut Wire) {}

    fn done(&mut self, wire: &mut Wire, usage: bool, empty: bool) {
        let mut part = json!({"text": ""});
        if self.unsigned && !empty {
            part["thoughtSignature"] = signature(self.answer).into();
        }
        wire.event("", &last(self.answer, vec![part], usage, empty));
    }

    fn error(&mut self, wire: &mut Wire) {
        wire.event("", &error(ErrorBody::Server, 0, IN_BAND, false).1);
    }
}

/// The status and body of an error.
pub(super) fn error(
    kind: ErrorBody,
    prompt_tokens: u64,
    message: &str,
    vertex: bool,
) -> (u16, Value) {
    let too_long = format!(
        "The input token count ({prompt_tokens}) exceeds the maximum number of tokens allowed \
         (1048576)."
    );
    let (code, status, text) = match kind {
        ErrorBody::ContextLength => (400, "INVALID_ARGUMENT", too_long.as_str()),
        ErrorBody::ContentPolicy => (400, "INVALID_ARGUMENT", POLICY),
        ErrorBody::InvalidRequest => (400, "INVALID_ARGUMENT", message),
        ErrorBody::Auth if vertex => (401, "UNAUTHENTICATED", BAD_TOKEN),
        ErrorBody::Auth => (400, "INVALID_ARGUMENT", BAD_KEY),
        ErrorBody::Billing => (400, "FAILED_PRECONDITION", NO_BILLING),
        ErrorBody::Permission => (403, "PERMISSION_DENIED", message),
        ErrorBody::NotFound => (404, "NOT_FOUND", message),
        ErrorBody::TooLarge => (413, "INVALID_ARGUMENT", message),
        ErrorBody::RateLimit => (429, "RESOURCE_EXHAUSTED", RATE_LIMIT),
        ErrorBody::Overloaded => (503, "UNAVAILABLE", OVERLOADED),
        ErrorBody::Server | ErrorBody::Html => (500, "INTERNAL", message),
    };
    let mut error = json!({"code": code, "message": text, "status": status});
    match kind {
        ErrorBody::Auth if !vertex => {
            error["details"] = json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID", "domain": "googleapis.com"}]);
        }
        ErrorBody::RateLimit => {
            error["details"] = json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": "1s"}]);
        }
        _ => {}
    }
    (code, json!({"error": error}))
}

const POLICY: &str = "The prompt could not be submitted. It contains words that violate Google's \
                      Responsible AI practices.";
const BAD_TOKEN: &str = "Request had invalid authentication credentials.";
const BAD_KEY: &str = "API key not valid. Please pass a valid API key.";
const NO_BILLING: &str =
    "The free tier is not available here. Please enable billing on your project.";
const RATE_LIMIT: &str = "You exceeded your current quota: too many requests in a minute.";
const OVERLOADED: &str = "The model is overloaded. Please try again later.";
