//! The ollama dialect, as a server writes it (`POST /api/chat`).

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::{CREATED_AT, IN_BAND, object};
use crate::simulate::answer::{Answer, Finish, Said};
use crate::simulate::ask::{Ask, Content, Message, Stop, Text};
use crate::simulate::behaviour::ErrorBody;
use crate::simulate::body::Body;
use crate::simulate::script::{Speaker, Wire};

/// Members that are passed over.
const KNOWN: &[&str] = &["format", "keep_alive", "logprobs", "top_logprobs", "truncate", "shift"];

#[derive(Deserialize)]
struct Turn<'a> {
    #[serde(borrow)]
    role: Text<'a>,
    #[serde(borrow, default)]
    content: Option<Text<'a>>,
    #[serde(default)]
    tool_calls: Option<Vec<IgnoredAny>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Options<'a> {
    /// Negative: as long as the model likes.
    num_predict: Option<i64>,
    #[serde(borrow)]
    stop: Stop<'a>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Think<'a> {
    Flag(bool),
    #[serde(borrow)]
    Level(Text<'a>),
}

/// Reads a request. It streams unless told not to.
pub(super) fn read(body: &[u8]) -> Result<Ask<'_>, String> {
    let mut body = Body::read(body)?;
    let turns: Vec<Turn<'_>> = body.take("messages")?.unwrap_or_default();
    let options: Options<'_> = body.take("options")?.unwrap_or_default();
    let think: Option<Think<'_>> = body.take("think")?;
    let mut ask = Ask {
        model: body.take("model")?.unwrap_or_default(),
        messages: turns.into_iter().map(message).collect(),
        stream: body.take("stream")?.unwrap_or(true),
        max_tokens: options.num_predict.and_then(|n| u64::try_from(n).ok()),
        stop: options.stop,
        tools: body.take("tools")?.unwrap_or_default(),
        thinking: think.is_some_and(|think| match think {
            Think::Flag(on) => on,
            Think::Level(level) => !level.0.is_empty(),
        }),
        ..Ask::default()
    };
    ask.unknown = body.unknown(KNOWN);
    Ok(ask)
}

fn message(turn: Turn<'_>) -> Message<'_> {
    let content = turn.content.map_or(Content::None, |text| Content::Text(text.0));
    let tool_calls = turn.tool_calls.map(|_| Vec::new());
    Message { role: turn.role, content, tool_calls, tool_call_id: None }
}

/// A whole answer. An empty one says that the model was loaded, and no more.
pub(super) fn whole(answer: &Answer, usage: bool, empty: bool) -> Value {
    let mut message = json!({"role": "assistant", "content": ""});
    if !empty {
        if let Some(told) = &answer.thinking {
            message["thinking"] = told.text.as_str().into();
        }
        match &answer.said {
            Said::Text(pieces) => message["content"] = pieces.text.as_str().into(),
            Said::Call { name, arguments } => {
                message["tool_calls"] = calls(answer, name, &arguments.text);
            }
        }
    }
    last(answer, &message, usage, empty)
}

fn calls(answer: &Answer, name: &str, arguments: &str) -> Value {
    let function = json!({"index": 0, "name": name, "arguments": object(arguments)});
    json!([{"id": format!("call_sim{}", answer.id), "function": function}])
}

fn last(answer: &Answer, message: &Value, usage: bool, empty: bool) -> Value {
    let mut line = line(answer, message);
    line["done"] = true.into();
    line["done_reason"] = match answer.finish {
        _ if empty => "load".into(),
        Finish::Stop | Finish::ToolCalls => "stop".into(),
        Finish::Length => "length".into(),
    };
    if usage && !empty {
        line["total_duration"] = 3_000_000.into();
        line["load_duration"] = 1_000_000.into();
        line["prompt_eval_count"] = answer.prompt_tokens.into();
        line["prompt_eval_duration"] = 1_000_000.into();
        line["eval_count"] = answer.completion_tokens().into();
        line["eval_duration"] = 1_000_000.into();
    }
    line
}

fn line(answer: &Answer, message: &Value) -> Value {
    json!({"model": answer.model, "created_at": CREATED_AT, "message": message, "done": false})
}

/// Writes the lines of a streamed answer.
pub(super) struct Lines<'a>(pub(super) &'a Answer);

impl Lines<'_> {
    fn say(&self, wire: &mut Wire, member: &str, value: Value) {
        let mut message = json!({"role": "assistant", "content": ""});
        message[member] = value;
        put(wire, &line(self.0, &message));
    }
}

fn put(wire: &mut Wire, line: &Value) {
    wire.value(line);
    wire.buf.push(b'\n');
    wire.end_event();
}

impl Speaker for Lines<'_> {
    fn open(&mut self, wire: &mut Wire) {
        self.say(wire, "content", "".into());
    }

    fn think(&mut self, wire: &mut Wire, text: &str) {
        self.say(wire, "thinking", text.into());
    }

    fn text(&mut self, wire: &mut Wire, text: &str) {
        self.say(wire, "content", text.into());
    }

    /// A call comes whole.
    fn call(&mut self, wire: &mut Wire, name: &str) {
        let (Said::Text(arguments) | Said::Call { arguments, .. }) = &self.0.said;
        self.say(wire, "tool_calls", calls(self.0, name, &arguments.text));
    }

    fn arguments(&mut self, _wire: &mut Wire, _text: &str) {}

    fn finish(&mut self, _wire: &mut Wire, _usage: bool) {}

    fn finish_empty(&mut self, _wire: &mut Wire) {}

    fn done(&mut self, wire: &mut Wire, usage: bool, empty: bool) {
        let message = json!({"role": "assistant", "content": ""});
        put(wire, &last(self.0, &message, usage, empty));
    }

    fn error(&mut self, wire: &mut Wire) {
        put(wire, &json!({"error": IN_BAND}));
    }
}

/// The status and body of an error.
pub(super) fn error(kind: ErrorBody, message: &str) -> (u16, Value) {
    let (status, text) = match kind {
        ErrorBody::ContextLength => (400, "the input length exceeds the context length"),
        ErrorBody::ContentPolicy | ErrorBody::InvalidRequest => (400, message),
        ErrorBody::Auth => (401, "unauthorized"),
        ErrorBody::Billing => (402, "this model requires a subscription, upgrade for access"),
        ErrorBody::Permission => (403, message),
        ErrorBody::NotFound => (404, "model not found, try pulling it first"),
        ErrorBody::TooLarge => (413, message),
        ErrorBody::RateLimit => (429, "too many concurrent requests"),
        ErrorBody::Overloaded => (503, "server busy, please try again: too many pending requests"),
        ErrorBody::Server | ErrorBody::Html => (500, message),
    };
    (status, json!({"error": text}))
}
