//! The responses dialect, as a provider writes it (`POST /v1/responses`).

use serde::Deserialize;
use serde_json::{Value, json};

use super::{CREATED, IN_BAND, signature};
use crate::simulate::answer::{Answer, Finish, Pieces, Said};
use crate::simulate::ask::{Ask, Call, Content, Message, Text};
use crate::simulate::body::Body;
use crate::simulate::script::{Speaker, Wire};

/// Members that are passed over.
const KNOWN: &[&str] = &[
    "background",
    "conversation",
    "include",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "stream_options",
    "temperature",
    "text",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

#[derive(Deserialize)]
#[serde(untagged)]
enum Input<'a> {
    #[serde(borrow)]
    Items(Vec<Item<'a>>),
    #[serde(borrow)]
    Text(Text<'a>),
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    role: Option<Text<'a>>,
    #[serde(borrow, default)]
    content: Content<'a>,
    #[serde(borrow, default)]
    call_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    output: Content<'a>,
}

#[derive(Deserialize)]
struct Reasoning<'a> {
    #[serde(borrow, default)]
    effort: Option<Text<'a>>,
}

/// Reads a request.
pub(super) fn read(body: &[u8]) -> Result<Ask<'_>, String> {
    let mut body = Body::read(body)?;
    let reasoning: Option<Reasoning<'_>> = body.take("reasoning")?;
    let thinking = reasoning.is_some_and(|r| r.effort.is_none_or(|effort| effort.0 != "none"));
    let messages = match body.take::<Input<'_>>("input")? {
        None => Vec::new(),
        Some(Input::Text(text)) => vec![message("user", Content::Text(text.0))],
        Some(Input::Items(items)) => of_items(items)?,
    };
    let mut ask = Ask {
        model: body.take("model")?.unwrap_or_default(),
        system: body.take("instructions")?.unwrap_or_default(),
        messages,
        stream: body.take("stream")?.unwrap_or(false),
        max_tokens: body.take("max_output_tokens")?,
        tools: body.take("tools")?.unwrap_or_default(),
        tool_choice: body.take("tool_choice")?,
        thinking,
        ..Ask::default()
    };
    ask.unknown = body.unknown(KNOWN);
    Ok(ask)
}

fn message<'a>(role: &'static str, content: Content<'a>) -> Message<'a> {
    Message { role: Text(role.into()), content, tool_calls: None, tool_call_id: None }
}

/// Calls belong to the turn before them; reasoning says nothing to a simulated model.
fn of_items(items: Vec<Item<'_>>) -> Result<Vec<Message<'_>>, String> {
    let mut messages: Vec<Message<'_>> = Vec::new();
    for (i, item) in items.into_iter().enumerate() {
        match item.kind.as_ref().map_or("message", |kind| &*kind.0) {
            "message" => {
                let role = item.role.ok_or_else(|| format!("input[{i}].role: is required"))?;
                let content = item.content;
                messages.push(Message { role, content, tool_calls: None, tool_call_id: None });
            }
            "function_call" => {
                let id = item.call_id.ok_or_else(|| format!("input[{i}].call_id: is required"))?;
                if messages.last().is_none_or(|last| last.role.0 != "assistant") {
                    messages.push(message("assistant", Content::None));
                }
                if let Some(turn) = messages.last_mut() {
                    turn.tool_calls.get_or_insert_default().push(Call { id });
                }
            }
            "function_call_output" => {
                messages
                    .push(Message { tool_call_id: item.call_id, ..message("tool", item.output) });
            }
            "reasoning" => {}
            _ => return Err(format!("input[{i}].type: the simulator does not know it")),
        }
    }
    Ok(messages)
}

/// A whole answer. An empty one has no status.
pub(super) fn whole(answer: &Answer, usage: bool, empty: bool) -> Value {
    let output = if empty { Vec::new() } else { items(answer) };
    let mut response = response(answer, status(answer), output);
    if empty {
        response["status"] = Value::Null;
    }
    if usage {
        response["usage"] = self::usage(answer, empty);
    }
    response
}

/// A whole answer that failed.
pub(super) fn failed(answer: &Answer) -> Value {
    let mut response = response(answer, "failed", Vec::new());
    response["error"] = json!({"code": "server_error", "message": IN_BAND});
    response
}

const fn status(answer: &Answer) -> &'static str {
    match answer.finish {
        Finish::Length => "incomplete",
        Finish::Stop | Finish::ToolCalls => "completed",
    }
}

fn response(answer: &Answer, status: &str, output: Vec<Value>) -> Value {
    let incomplete = match status {
        "incomplete" => json!({"reason": "max_output_tokens"}),
        _ => Value::Null,
    };
    json!({
        "id": format!("resp_sim{}", answer.id), "object": "response", "created_at": CREATED,
        "status": status, "background": false, "error": null, "incomplete_details": incomplete,
        "instructions": null, "max_output_tokens": null, "model": answer.model, "output": output,
        "parallel_tool_calls": true, "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null}, "store": false, "temperature": 1.0,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "truncation": "disabled", "usage": null, "user": null, "metadata": {},
    })
}

fn usage(answer: &Answer, empty: bool) -> Value {
    let completion = if empty { 0 } else { answer.completion_tokens() };
    json!({
        "input_tokens": answer.prompt_tokens, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": answer.thinking_tokens()},
        "total_tokens": answer.prompt_tokens.saturating_add(completion),
    })
}

fn items(answer: &Answer) -> Vec<Value> {
    let thinking = answer.thinking.as_ref().map(|thinking| reasoning(answer, Some(thinking)));
    let said = match &answer.said {
        Said::Text(pieces) => said(answer, status(answer), vec![part(&pieces.text)]),
        Said::Call { name, arguments } => call(answer, name, &arguments.text, "completed"),
    };
    thinking.into_iter().chain([said]).collect()
}

fn reasoning(answer: &Answer, told: Option<&Pieces>) -> Value {
    let summary: Vec<Value> = told.map(|told| summary(&told.text)).into_iter().collect();
    json!({
        "id": format!("rs_sim{}", answer.id), "type": "reasoning", "summary": summary,
        "encrypted_content": told.map(|_| signature(answer)),
    })
}

fn summary(text: &str) -> Value {
    json!({"type": "summary_text", "text": text})
}

fn said(answer: &Answer, status: &str, content: Vec<Value>) -> Value {
    let id = format!("msg_sim{}", answer.id);
    json!({"id": id, "type": "message", "role": "assistant", "status": status, "content": content})
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn call(answer: &Answer, name: &str, arguments: &str, status: &str) -> Value {
    json!({
        "id": format!("fc_sim{}", answer.id), "type": "function_call",
        "call_id": format!("call_sim{}", answer.id), "name": name, "arguments": arguments,
        "status": status,
    })
}

/// Writes the events of a streamed answer.
pub(super) struct Events<'a> {
    answer: &'a Answer,
    sequence: u64,
    index: u64,
    open: Open,
}

/// The item that is being written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    None,
    Reasoning,
    Message,
    Call,
}

impl<'a> Events<'a> {
    pub(super) const fn of(answer: &'a Answer) -> Self {
        Self { answer, sequence: 0, index: 0, open: Open::None }
    }

    fn send(&mut self, wire: &mut Wire, kind: &str, mut data: Value) {
        data["type"] = kind.into();
        data["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        wire.event(kind, &data);
    }

    /// An event about the item that is open.
    fn about(&mut self, wire: &mut Wire, kind: &str, mut data: Value) {
        let id = match self.open {
            Open::None | Open::Message => "msg",
            Open::Reasoning => "rs",
            Open::Call => "fc",
        };
        data["item_id"] = format!("{id}_sim{}", self.answer.id).into();
        data["output_index"] = self.index.into();
        self.send(wire, kind, data);
    }

    fn begin(&mut self, wire: &mut Wire, kind: Open, item: Value) -> bool {
        if self.open == kind {
            return false;
        }
        self.close(wire);
        self.open = kind;
        let data = json!({"output_index": self.index, "item": item});
        self.send(wire, "response.output_item.added", data);
        true
    }

    fn close(&mut self, wire: &mut Wire) {
        let answer = self.answer;
        let item = match (self.open, &answer.said, &answer.thinking) {
            (Open::Reasoning, _, Some(told)) => {
                let text = told.text.as_str();
                let done = json!({"summary_index": 0, "text": text});
                self.about(wire, "response.reasoning_summary_text.done", done);
                let done = json!({"summary_index": 0, "part": summary(text)});
                self.about(wire, "response.reasoning_summary_part.done", done);
                reasoning(answer, Some(told))
            }
            (Open::Message, Said::Text(pieces), _) => {
                let text = pieces.text.as_str();
                let done = json!({"content_index": 0, "text": text, "logprobs": []});
                self.about(wire, "response.output_text.done", done);
                let done = json!({"content_index": 0, "part": part(text)});
                self.about(wire, "response.content_part.done", done);
                said(answer, status(answer), vec![part(text)])
            }
            (Open::Call, Said::Call { name, arguments }, _) => {
                let done = json!({"name": name, "arguments": arguments.text});
                self.about(wire, "response.function_call_arguments.done", done);
                call(answer, name, &arguments.text, "completed")
            }
            _ => return,
        };
        let data = json!({"output_index": self.index, "item": item});
        self.send(wire, "response.output_item.done", data);
        self.open = Open::None;
        self.index += 1;
    }
}

impl Speaker for Events<'_> {
    fn open(&mut self, wire: &mut Wire) {
        for kind in ["response.created", "response.in_progress"] {
            let response = response(self.answer, "in_progress", Vec::new());
            self.send(wire, kind, json!({"response": response}));
        }
    }

    fn think(&mut self, wire: &mut Wire, text: &str) {
        if self.begin(wire, Open::Reasoning, reasoning(self.answer, None)) {
            let added = json!({"summary_index": 0, "part": summary("")});
            self.about(wire, "response.reasoning_summary_part.added", added);
        }
        let delta = json!({"summary_index": 0, "delta": text});
        self.about(wire, "response.reasoning_summary_text.delta", delta);
    }

    fn text(&mut self, wire: &mut Wire, text: &str) {
        if self.begin(wire, Open::Message, said(self.answer, "in_progress", Vec::new())) {
            let added = json!({"content_index": 0, "part": part("")});
            self.about(wire, "response.content_part.added", added);
        }
        let delta = json!({"content_index": 0, "delta": text, "logprobs": []});
        self.about(wire, "response.output_text.delta", delta);
    }

    fn call(&mut self, wire: &mut Wire, name: &str) {
        self.begin(wire, Open::Call, call(self.answer, name, "", "in_progress"));
    }

    fn arguments(&mut self, wire: &mut Wire, text: &str) {
        self.about(wire, "response.function_call_arguments.delta", json!({"delta": text}));
    }

    /// The last event is also the terminal one: see [`Speaker::done`].
    fn finish(&mut self, wire: &mut Wire, _usage: bool) {
        self.close(wire);
    }

    fn finish_empty(&mut self, _wire: &mut Wire) {}

    fn done(&mut self, wire: &mut Wire, usage: bool, empty: bool) {
        let response = whole(self.answer, usage, empty);
        let kind = match self.answer.finish {
            Finish::Length => "response.incomplete",
            Finish::Stop | Finish::ToolCalls => "response.completed",
        };
        self.send(wire, kind, json!({"response": response}));
    }

    fn error(&mut self, wire: &mut Wire) {
        let error = json!({"type": "server_error", "code": "server_error", "message": IN_BAND,
                           "param": null});
        self.send(wire, "error", json!({"error": error}));
    }
}
