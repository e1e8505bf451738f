//! The cohere dialect, as a provider writes it (`POST /v2/chat`).

use serde::Deserialize;
use serde_json::{Value, json};

use super::IN_BAND;
use crate::simulate::answer::{Answer, Finish, Said};
use crate::simulate::ask::{Ask, Text};
use crate::simulate::behaviour::ErrorBody;
use crate::simulate::body::Body;
use crate::simulate::script::{Speaker, Wire};

/// Members that are passed over.
const KNOWN: &[&str] = &[
    "citation_options",
    "documents",
    "frequency_penalty",
    "k",
    "logprobs",
    "p",
    "presence_penalty",
    "priority",
    "raw_prompting",
    "response_format",
    "safety_mode",
    "seed",
    "strict_tools",
    "temperature",
];

#[derive(Deserialize)]
struct Thinking<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
}

/// Reads a request.
pub(super) fn read(body: &[u8]) -> Result<Ask<'_>, String> {
    let mut body = Body::read(body)?;
    let thinking: Option<Thinking<'_>> = body.take("thinking")?;
    let mut ask = Ask {
        model: body.take("model")?.unwrap_or_default(),
        messages: body.take("messages")?.unwrap_or_default(),
        stream: body.take("stream")?.unwrap_or(false),
        max_tokens: body.take("max_tokens")?,
        stop: body.take("stop_sequences")?.unwrap_or_default(),
        tools: body.take("tools")?.unwrap_or_default(),
        tool_choice: body.take("tool_choice")?,
        thinking: thinking.is_some_and(|thinking| thinking.kind.0 == "enabled"),
        ..Ask::default()
    };
    let choice = ask.tool_choice.map(serde_json::value::RawValue::get);
    if choice.is_some_and(|choice| !["\"REQUIRED\"", "\"NONE\""].contains(&choice)) {
        return Err("tool_choice: must be REQUIRED or NONE".to_owned());
    }
    ask.unknown = body.unknown(KNOWN);
    Ok(ask)
}

/// A whole answer. An empty one has neither content nor reason.
pub(super) fn whole(answer: &Answer, usage: bool, empty: bool) -> Value {
    let mut content = Vec::new();
    let mut message = json!({"role": "assistant"});
    if !empty {
        let thinking = answer.thinking.as_ref();
        content.extend(thinking.map(|told| json!({"type": "thinking", "thinking": told.text})));
        match &answer.said {
            Said::Text(pieces) => content.push(json!({"type": "text", "text": pieces.text})),
            Said::Call { name, arguments } => {
                message["tool_calls"] = json!([call(answer, name, &arguments.text)]);
            }
        }
    }
    message["content"] = content.into();
    let mut value = json!({"id": id(answer), "message": message});
    if !empty {
        value["finish_reason"] = reason(answer).into();
    }
    if usage {
        value["usage"] = self::usage(answer, empty);
    }
    value
}

fn id(answer: &Answer) -> String {
    format!("sim-{:016x}", answer.id)
}

fn call(answer: &Answer, name: &str, arguments: &str) -> Value {
    let function = json!({"name": name, "arguments": arguments});
    json!({"id": format!("{name}_sim{}", answer.id), "type": "function", "function": function})
}

const fn reason(answer: &Answer) -> &'static str {
    match answer.finish {
        Finish::Stop if answer.stopped_by.is_some() => "STOP_SEQUENCE",
        Finish::Stop => "COMPLETE",
        Finish::Length => "MAX_TOKENS",
        Finish::ToolCalls => "TOOL_CALL",
    }
}

fn usage(answer: &Answer, empty: bool) -> Value {
    let completion = if empty { 0 } else { answer.completion_tokens() };
    let tokens = json!({"input_tokens": answer.prompt_tokens, "output_tokens": completion});
    json!({"billed_units": tokens, "tokens": tokens, "cached_tokens": 0})
}

/// Writes the events of a streamed answer.
pub(super) struct Events<'a> {
    answer: &'a Answer,
    index: u64,
    open: Open,
}

/// What is being written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    None,
    Thinking,
    Text,
    Call,
}

impl<'a> Events<'a> {
    pub(super) const fn of(answer: &'a Answer) -> Self {
        Self { answer, index: 0, open: Open::None }
    }

    fn event(&self, wire: &mut Wire, kind: &str, message: &Value) {
        let delta = json!({"message": message});
        wire.event(kind, &json!({"type": kind, "index": self.index, "delta": delta}));
    }

    /// A piece of a block, which is begun if it is not open.
    fn piece(&mut self, wire: &mut Wire, kind: Open, name: &str, text: &str) {
        if self.open != kind {
            self.close(wire);
            self.open = kind;
            let content = json!({"type": name, name: ""});
            self.event(wire, "content-start", &json!({"content": content}));
        }
        self.event(wire, "content-delta", &json!({"content": {name: text}}));
    }

    fn close(&mut self, wire: &mut Wire) {
        let kind = match self.open {
            Open::None => return,
            Open::Thinking | Open::Text => "content-end",
            Open::Call => "tool-call-end",
        };
        wire.event(kind, &json!({"type": kind, "index": self.index}));
        // Calls are counted from 0, whatever stood before them.
        self.index += 1;
        self.open = Open::None;
    }
}

impl Speaker for Events<'_> {
    fn open(&mut self, wire: &mut Wire) {
        let message = json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [],
                             "citations": []});
        let delta = json!({"message": message});
        let data = json!({"type": "message-start", "id": id(self.answer), "delta": delta});
        wire.event("message-start", &data);
    }

    fn think(&mut self, wire: &mut Wire, text: &str) {
        self.piece(wire, Open::Thinking, "thinking", text);
    }

    fn text(&mut self, wire: &mut Wire, text: &str) {
        self.piece(wire, Open::Text, "text", text);
    }

    fn call(&mut self, wire: &mut Wire, name: &str) {
        self.close(wire);
        self.open = Open::Call;
        self.index = 0;
        let call = call(self.answer, name, "");
        self.event(wire, "tool-call-start", &json!({"tool_calls": call}));
    }

    fn arguments(&mut self, wire: &mut Wire, text: &str) {
        let call = json!({"function": {"arguments": text}});
        self.event(wire, "tool-call-delta", &json!({"tool_calls": call}));
    }

    fn finish(&mut self, wire: &mut Wire, _usage: bool) {
        self.close(wire);
    }

    fn finish_empty(&mut self, _wire: &mut Wire) {}

    fn done(&mut self, wire: &mut Wire, usage: bool, empty: bool) {
        let mut delta = json!({});
        if !empty {
            delta["finish_reason"] = reason(self.answer).into();
        }
        if usage {
            delta["usage"] = self::usage(self.answer, empty);
        }
        end(wire, self.answer, &delta);
    }

    fn error(&mut self, wire: &mut Wire) {
        end(wire, self.answer, &json!({"finish_reason": "ERROR", "error": IN_BAND}));
    }
}

fn end(wire: &mut Wire, answer: &Answer, delta: &Value) {
    let data = json!({"type": "message-end", "id": id(answer), "delta": delta});
    wire.event("message-end", &data);
}

/// The status and body of an error.
pub(super) fn error(kind: ErrorBody, prompt_tokens: u64, message: &str) -> (u16, Value) {
    let too_long = format!(
        "too many tokens: total number of tokens in the prompt cannot exceed 128000 - received \
         {prompt_tokens}."
    );
    let (status, text) = match kind {
        ErrorBody::ContextLength => (400, too_long.as_str()),
        ErrorBody::ContentPolicy => (498, "the prompt has a blocked token"),
        ErrorBody::InvalidRequest => (400, message),
        ErrorBody::Auth => (401, "invalid api token"),
        ErrorBody::Billing => (402, "Please add or update your payment method to continue."),
        ErrorBody::Permission => (403, message),
        ErrorBody::NotFound => (404, message),
        ErrorBody::TooLarge => (413, message),
        ErrorBody::RateLimit => (429, "Please wait and try again later."),
        ErrorBody::Overloaded => (503, "The service is overloaded."),
        ErrorBody::Server | ErrorBody::Html => (500, message),
    };
    (status, json!({"id": "sim-error", "message": text}))
}
