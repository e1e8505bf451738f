//! The bedrock dialect, as a provider writes it (`POST /model/{id}/converse[-stream]`). The framing
//! of the event stream is the gateway's own; what is in the frames is not.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{IN_BAND, object, signature};
use crate::dialect::bedrock::encode;
use crate::simulate::answer::{Answer, Finish, Said};
use crate::simulate::ask::{self, Ask, Content, Message, Stop, Text};
use crate::simulate::behaviour::ErrorBody;
use crate::simulate::body::Body;
use crate::simulate::script::{Speaker, Wire};

/// Members that are passed over.
const KNOWN: &[&str] = &[
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "outputConfig",
    "performanceConfig",
    "promptVariables",
    "requestMetadata",
    "serviceTier",
];

#[derive(Deserialize)]
struct Turn<'a> {
    #[serde(borrow)]
    role: Text<'a>,
    #[serde(borrow)]
    content: Vec<Block<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block<'a> {
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    /// In a result.
    #[serde(borrow, default)]
    json: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_use: Option<ToolUse<'a>>,
    #[serde(borrow, default)]
    tool_result: Option<ToolResult<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolUse<'a> {
    #[serde(borrow)]
    tool_use_id: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolResult<'a> {
    #[serde(borrow)]
    tool_use_id: Text<'a>,
    #[serde(borrow)]
    content: Vec<Block<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Inference<'a> {
    max_tokens: Option<u64>,
    #[serde(borrow)]
    stop_sequences: Stop<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Tools<'a> {
    #[serde(borrow)]
    tools: Vec<&'a RawValue>,
    #[serde(borrow)]
    tool_choice: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    thinking: Option<Thinking<'a>>,
}

#[derive(Deserialize)]
struct Thinking<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
}

/// Reads a request.
pub(super) fn read(body: &[u8]) -> Result<Ask<'_>, String> {
    let mut body = Body::read(body)?;
    let turns: Vec<Turn<'_>> = body.take("messages")?.unwrap_or_default();
    let system: Option<Vec<Block<'_>>> = body.take("system")?;
    let inference: Inference<'_> = body.take("inferenceConfig")?.unwrap_or_default();
    let tools: Option<Tools<'_>> = body.take("toolConfig")?;
    if tools.as_ref().is_some_and(|tools| tools.tools.is_empty()) {
        return Err("toolConfig.tools: at least one tool is required".to_owned());
    }
    let tools = tools.unwrap_or_default();
    let fields: Option<Fields<'_>> = body.take("additionalModelRequestFields")?;
    let thinking = fields.and_then(|fields| fields.thinking);
    for (at, turn) in turns.iter().enumerate() {
        let expected = if at % 2 == 0 { "user" } else { "assistant" };
        if turn.role.0 != expected {
            return Err(
                "A conversation must alternate between user and assistant roles, and start \
                        with a user message."
                    .to_owned(),
            );
        }
    }
    let mut ask = Ask {
        system: system.map_or(Content::None, |blocks| Content::Parts(parts(blocks))),
        messages: turns.into_iter().map(message).collect(),
        max_tokens: inference.max_tokens,
        stop: inference.stop_sequences,
        // A mark for the cache stands among the tools.
        tools: tools.tools.into_iter().filter(|tool| tool.get().contains("toolSpec")).collect(),
        tool_choice: tools.tool_choice,
        thinking: thinking.is_some_and(|thinking| thinking.kind.0 != "disabled"),
        ..Ask::default()
    };
    ask.unknown = body.unknown(KNOWN);
    Ok(ask)
}

fn message(turn: Turn<'_>) -> Message<'_> {
    let content = Content::Parts(parts(turn.content));
    Message { role: turn.role, content, tool_calls: None, tool_call_id: None }
}

fn parts(blocks: Vec<Block<'_>>) -> Vec<ask::Part<'_>> {
    blocks.into_iter().map(part).collect()
}

fn part(block: Block<'_>) -> ask::Part<'_> {
    let plain = |kind: &'static str| ask::Part {
        kind: Text(kind.into()),
        text: None,
        id: None,
        tool_use_id: None,
        content: Content::None,
    };
    match block {
        Block { tool_use: Some(call), .. } => {
            ask::Part { id: Some(call.tool_use_id), ..plain("tool_use") }
        }
        Block { tool_result: Some(result), .. } => ask::Part {
            tool_use_id: Some(result.tool_use_id),
            content: Content::Parts(parts(result.content)),
            ..plain("tool_result")
        },
        Block { text: Some(text), .. } => ask::Part { text: Some(text), ..plain("text") },
        Block { json, .. } => {
            ask::Part { text: json.map(|json| Text(json.get().into())), ..plain("other") }
        }
    }
}

/// A whole answer. An empty one has no blocks and no reason.
pub(super) fn whole(answer: &Answer, usage: bool, empty: bool) -> Value {
    let mut blocks = Vec::new();
    if !empty {
        blocks.extend(answer.thinking.as_ref().map(|told| {
            let text = json!({"text": told.text, "signature": signature(answer)});
            json!({"reasoningContent": {"reasoningText": text}})
        }));
        blocks.push(match &answer.said {
            Said::Text(pieces) => json!({"text": pieces.text}),
            Said::Call { name, arguments } => {
                let input = object(&arguments.text);
                json!({"toolUse": {"toolUseId": id(answer), "name": name, "input": input}})
            }
        });
    }
    let mut value = json!({
        "output": {"message": {"role": "assistant", "content": blocks}},
        "metrics": {"latencyMs": 1},
    });
    if !empty {
        value["stopReason"] = stop_reason(answer).into();
    }
    if usage {
        value["usage"] = self::usage(answer, empty);
    }
    value
}

fn id(answer: &Answer) -> String {
    format!("tooluse_sim{}", answer.id)
}

const fn stop_reason(answer: &Answer) -> &'static str {
    match answer.finish {
        Finish::Stop if answer.stopped_by.is_some() => "stop_sequence",
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
    }
}

fn usage(answer: &Answer, empty: bool) -> Value {
    let completion = if empty { 0 } else { answer.completion_tokens() };
    json!({
        "inputTokens": answer.prompt_tokens, "outputTokens": completion,
        "totalTokens": answer.prompt_tokens.saturating_add(completion),
    })
}

/// Writes the frames of a streamed answer.
pub(super) struct Frames<'a> {
    answer: &'a Answer,
    index: u64,
    /// Whether the block that is being written is one of reasoning; nothing between blocks.
    open: Option<bool>,
}

impl<'a> Frames<'a> {
    pub(super) const fn of(answer: &'a Answer) -> Self {
        Self { answer, index: 0, open: None }
    }

    fn delta(&mut self, wire: &mut Wire, thinks: bool, delta: &Value) {
        if self.open.is_some_and(|open| open != thinks) {
            self.close(wire);
        }
        self.open = Some(thinks);
        let data = json!({"contentBlockIndex": self.index, "delta": delta, "p": "abcdefgh"});
        frame(wire, "contentBlockDelta", &data);
    }

    fn close(&mut self, wire: &mut Wire) {
        if self.open == Some(true) {
            let delta = json!({"reasoningContent": {"signature": signature(self.answer)}});
            self.delta(wire, true, &delta);
        }
        if self.open.take().is_some() {
            frame(wire, "contentBlockStop", &json!({"contentBlockIndex": self.index, "p": "ab"}));
            self.index += 1;
        }
    }
}

fn frame(wire: &mut Wire, kind: &str, data: &Value) {
    wire.buf.extend_from_slice(&encode(kind, &data.to_string()));
    wire.end_event();
}

impl Speaker for Frames<'_> {
    fn open(&mut self, wire: &mut Wire) {
        frame(wire, "messageStart", &json!({"role": "assistant", "p": "abcd"}));
    }

    fn think(&mut self, wire: &mut Wire, text: &str) {
        self.delta(wire, true, &json!({"reasoningContent": {"text": text}}));
    }

    fn text(&mut self, wire: &mut Wire, text: &str) {
        self.delta(wire, false, &json!({"text": text}));
    }

    fn call(&mut self, wire: &mut Wire, name: &str) {
        self.close(wire);
        let start = json!({"toolUse": {"toolUseId": id(self.answer), "name": name}});
        let data = json!({"contentBlockIndex": self.index, "start": start, "p": "abc"});
        frame(wire, "contentBlockStart", &data);
    }

    fn arguments(&mut self, wire: &mut Wire, text: &str) {
        self.delta(wire, false, &json!({"toolUse": {"input": text}}));
    }

    fn finish(&mut self, wire: &mut Wire, _usage: bool) {
        self.close(wire);
    }

    fn finish_empty(&mut self, _wire: &mut Wire) {}

    fn done(&mut self, wire: &mut Wire, usage: bool, empty: bool) {
        if !empty {
            let stop = json!({"stopReason": stop_reason(self.answer), "p": "abcdef"});
            frame(wire, "messageStop", &stop);
        }
        if usage {
            let usage = self::usage(self.answer, empty);
            let data = json!({"usage": usage, "metrics": {"latencyMs": 1}, "p": "a"});
            frame(wire, "metadata", &data);
        }
    }

    fn error(&mut self, wire: &mut Wire) {
        frame(wire, "modelStreamErrorException", &json!({"message": IN_BAND}));
    }
}

/// The status and name of an error.
pub(super) const fn exception(kind: ErrorBody) -> (u16, &'static str) {
    match kind {
        ErrorBody::ContextLength | ErrorBody::ContentPolicy | ErrorBody::InvalidRequest => {
            (400, "ValidationException")
        }
        ErrorBody::Auth => (403, "UnrecognizedClientException"),
        ErrorBody::Billing | ErrorBody::Permission => (403, "AccessDeniedException"),
        ErrorBody::NotFound => (404, "ResourceNotFoundException"),
        ErrorBody::TooLarge => (413, "RequestEntityTooLargeException"),
        ErrorBody::RateLimit => (429, "ThrottlingException"),
        ErrorBody::Overloaded => (503, "ServiceUnavailableException"),
        ErrorBody::Server | ErrorBody::Html => (500, "InternalServerException"),
    }
}

/// The status and body of an error.
pub(super) fn error(kind: ErrorBody, message: &str) -> (u16, Value) {
    let text = match kind {
        ErrorBody::ContextLength => "Input is too long for requested model.",
        ErrorBody::ContentPolicy => "Output blocked by content filtering policy",
        ErrorBody::Auth => "The security token included in the request is invalid.",
        ErrorBody::Billing => {
            "Model access is denied due to INVALID_PAYMENT_INSTRUMENT: a valid payment instrument \
             must be provided."
        }
        ErrorBody::RateLimit => "Too many requests, please wait before trying again.",
        ErrorBody::Overloaded => "Bedrock is unable to process your request.",
        _ => message,
    };
    (exception(kind).0, json!({"message": text}))
}
