//! The hub's messages → what a template gets to see.
//!
//! Templates expect what their authors trained with: one system text, turns that alternate, one
//! call at a time. [`Settings`] says which of these a template insists on, and the conversation is
//! put into that shape here.
//!
//! A client's text may contain what the tokenizer takes for a token of its own, `<|im_end|>` for
//! instance, and could so speak in another role. The dialect sends text, not tokens, so such a text
//! gets a space after its first character: `< |im_end|>`. To the tokenizer it is then plain text,
//! and the model still reads what was meant, which an invisible character would make worse.

use std::collections::{HashMap, VecDeque};

use minijinja::value::{Value, ValueKind};

use super::template::{Calls, Settings, SystemRole, Thinking};
use crate::dialect::ir::{
    Assistant, Effort, Message, Part, PartBody, Reasoning, ReasoningBody, Request, Tool, ToolChoice,
};
use crate::dialect::media::{arguments_object, refusal};
use crate::error::GatewayError;

/// What a template is rendered with.
pub(super) struct Conversation {
    /// A list of maps with `role`, `content` and so on.
    pub(super) messages: Value,
    /// A list of tools as OpenAI has them; none if there are none.
    pub(super) tools: Option<Value>,
    /// Whether the last turn is the model's, which it is to go on with.
    pub(super) prefill: bool,
    /// Whether the model is to think, if the client says.
    pub(super) thinks: Option<bool>,
    /// How many bytes of text it holds.
    pub(super) size: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    System,
    User,
    Assistant,
    Tool,
}

struct Turn<'r> {
    role: Role,
    content: String,
    reasoning: Option<String>,
    calls: Vec<Call<'r>>,
    call_id: &'r str,
    /// The function whose result this is.
    name: &'r str,
}

struct Call<'r> {
    id: &'r str,
    name: &'r str,
    arguments: &'r str,
}

impl Conversation {
    /// Puts a request into the template's shape. `mark` is put where the model is to go on with a
    /// turn of its own.
    ///
    /// # Errors
    /// It holds what no template of text can show, or tools where the template has none.
    pub(super) fn of(
        request: &Request,
        settings: &Settings,
        mark: &str,
    ) -> Result<Self, GatewayError> {
        let tools = tools(request, settings)?;
        let mut turns = Vec::with_capacity(request.messages.len());
        // The functions that were called, by the calls' ids; a later call takes an id over.
        let mut called = HashMap::new();
        for (i, message) in request.messages.iter().enumerate() {
            let turn = turn(message, &called, i, settings)?;
            called.extend(turn.calls.iter().map(|call| (call.id, call.name)));
            turns.push(turn);
        }
        let mut turns = place_system(turns, settings);
        if settings.merge_turns {
            turns = merge(turns);
        }
        if !settings.parallel_calls {
            turns = one_call_each(turns);
        }
        let prefill = turns.last().is_some_and(|t| t.role == Role::Assistant && t.calls.is_empty());
        if prefill && settings.reasoning == Thinking::Open {
            let last = request.messages.len() - 1;
            let what = "must not be the assistant's: this model begins its answer with reasoning";
            return Err(refusal(format!("messages[{last}].role"), what));
        }
        let mut size = tools.as_ref().map_or(0, |(_, size)| *size);
        let mut messages = Vec::with_capacity(turns.len());
        let count = turns.len();
        for (i, turn) in turns.into_iter().enumerate() {
            size += turn.size();
            let mark = if prefill && i + 1 == count { mark } else { "" };
            messages.push(turn.value(settings, mark));
        }
        Ok(Self {
            messages: Value::from(messages),
            tools: tools.map(|(tools, _)| tools),
            prefill,
            thinks: request.reasoning.as_ref().and_then(thinks),
            size,
        })
    }
}

/// Whether the client wants reasoning; none where it does not say.
fn thinks(reasoning: &Reasoning) -> Option<bool> {
    match (reasoning.effort, reasoning.max_tokens, reasoning.enabled) {
        (Some(effort), ..) => Some(effort != Effort::None),
        (None, Some(_), _) => Some(true),
        (None, None, enabled) => enabled,
    }
}

fn turn<'r>(
    message: &'r Message,
    called: &HashMap<&'r str, &'r str>,
    index: usize,
    settings: &Settings,
) -> Result<Turn<'r>, GatewayError> {
    let plain = |role, content| Turn {
        role,
        content,
        reasoning: None,
        calls: Vec::new(),
        call_id: "",
        name: "",
    };
    Ok(match message {
        Message::System { parts, name } => plain(Role::System, text(parts, name, index)?),
        Message::User { parts, name } => plain(Role::User, text(parts, name, index)?),
        Message::Assistant(said) => {
            if !said.tool_calls.is_empty() && settings.tools == Calls::None {
                let what = "cannot be shown to this model: its chat template has no tools";
                return Err(refusal(format!("messages[{index}].tool_calls"), what));
            }
            let calls = said.tool_calls.iter().map(|call| Call {
                id: &call.id,
                name: &call.name,
                arguments: &call.arguments,
            });
            Turn {
                reasoning: thought(said),
                calls: calls.collect(),
                ..plain(Role::Assistant, text(&said.parts, &said.name, index)?)
            }
        }
        Message::Tool { call_id, parts, .. } => {
            let name = called.get(call_id.as_str()).copied().unwrap_or_default();
            Turn { call_id, name, ..plain(Role::Tool, text(parts, &None, index)?) }
        }
    })
}

/// The text of a message: its parts on lines of their own, as vLLM does it, after the speaker's
/// name, as OpenRouter does it for dialects without names.
fn text(parts: &[Part], name: &Option<String>, index: usize) -> Result<String, GatewayError> {
    let mut out = match name.as_deref() {
        Some(name) if !name.is_empty() && !parts.is_empty() => format!("{name}: "),
        _ => String::new(),
    };
    for (j, part) in parts.iter().enumerate() {
        let at = |field: &str| format!("messages[{index}].content[{j}].{field}");
        let what = "must be \"text\": this endpoint serves text only";
        match &part.body {
            PartBody::Text(text) | PartBody::Refusal(text) => {
                if j > 0 {
                    out.push('\n');
                }
                out.push_str(text);
            }
            PartBody::Image { .. }
            | PartBody::Audio { .. }
            | PartBody::Video(_)
            | PartBody::File { .. } => return Err(refusal(at("type"), what)),
        }
    }
    Ok(out)
}

/// The reasoning of a turn that is plain text.
fn thought(said: &Assistant) -> Option<String> {
    let texts = said.reasoning.iter().filter_map(|block| match &block.body {
        ReasoningBody::Text { text, .. } => Some(text.as_str()),
        ReasoningBody::Summary(_) | ReasoningBody::Encrypted(_) => None,
    });
    let text = texts.collect::<Vec<_>>().join("\n");
    Some(text).filter(|text| !text.is_empty())
}

/// Puts system messages where the template takes them.
fn place_system<'r>(turns: Vec<Turn<'r>>, settings: &Settings) -> Vec<Turn<'r>> {
    if settings.system == SystemRole::Anywhere {
        return turns;
    }
    let only_system = turns.iter().all(|turn| turn.role == Role::System);
    let mut out: Vec<Turn<'r>> = Vec::with_capacity(turns.len());
    for mut turn in turns {
        if turn.role == Role::System {
            let leading = out.iter().all(|turn| turn.role == Role::System);
            if settings.system == SystemRole::None || only_system || !leading {
                turn.role = Role::User;
            } else if let Some(first) = out.last_mut() {
                join(&mut first.content, &turn.content);
                continue;
            }
        }
        out.push(turn);
    }
    out
}

fn join(text: &mut String, more: &str) {
    if !text.is_empty() && !more.is_empty() {
        text.push_str("\n\n");
    }
    text.push_str(more);
}

/// Makes one turn of several in a row of the same role.
fn merge(turns: Vec<Turn<'_>>) -> Vec<Turn<'_>> {
    let mut out: Vec<Turn<'_>> = Vec::with_capacity(turns.len());
    for turn in turns {
        match out.last_mut() {
            Some(last)
                if last.role == turn.role
                    && matches!(turn.role, Role::User | Role::Assistant)
                    && last.calls.is_empty() =>
            {
                join(&mut last.content, &turn.content);
                last.reasoning = turn.reasoning.or(last.reasoning.take());
                last.calls = turn.calls;
            }
            _ => out.push(turn),
        }
    }
    out
}

/// Tells several calls of a turn one after the other, each with its result.
fn one_call_each(turns: Vec<Turn<'_>>) -> Vec<Turn<'_>> {
    let mut out = Vec::with_capacity(turns.len());
    let mut turns = VecDeque::from(turns);
    while let Some(mut turn) = turns.pop_front() {
        if turn.calls.len() < 2 {
            out.push(turn);
            continue;
        }
        let mut results = Vec::new();
        while turns.front().is_some_and(|next| next.role == Role::Tool) {
            results.extend(turns.pop_front());
        }
        let mut results: Vec<Option<Turn<'_>>> = results.into_iter().map(Some).collect();
        let by_id: HashMap<&str, usize> = (0..)
            .zip(&results)
            .filter_map(|(i, result)| Some((result.as_ref()?.call_id, i)))
            .collect();
        for call in std::mem::take(&mut turn.calls) {
            let result = by_id.get(call.id).and_then(|&i| results[i].take());
            out.push(Turn {
                role: Role::Assistant,
                content: std::mem::take(&mut turn.content),
                reasoning: turn.reasoning.take(),
                calls: vec![call],
                call_id: "",
                name: "",
            });
            out.extend(result);
        }
        out.extend(results.into_iter().flatten());
    }
    out
}

impl Turn<'_> {
    fn size(&self) -> usize {
        let calls = self.calls.iter().map(|call| call.name.len() + call.arguments.len() + 64);
        let reasoning = self.reasoning.as_ref().map_or(0, String::len);
        64 + self.content.len() + reasoning + calls.sum::<usize>()
    }

    fn value(self, settings: &Settings, mark: &str) -> Value {
        let told = |text: &str| Value::from(plain(text, &settings.special));
        let role = match self.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        };
        let content = plain(&self.content, &settings.special) + mark;
        let mut members = vec![("role", Value::from(role)), ("content", Value::from(content))];
        if let Some(reasoning) = &self.reasoning {
            members.push(("reasoning_content", told(reasoning)));
        }
        if !self.calls.is_empty() {
            let calls = self.calls.iter().map(|call| {
                let arguments = arguments_object(call.arguments);
                let function = Value::from_pairs([
                    ("name", told(call.name)),
                    ("arguments", json(&arguments, &settings.special)),
                ]);
                Value::from_pairs([
                    ("id", Value::from(fitting_id(call.id, settings))),
                    ("type", Value::from("function")),
                    ("function", function),
                ])
            });
            members.push(("tool_calls", calls.collect()));
        }
        if self.role == Role::Tool {
            members.push(("tool_call_id", Value::from(fitting_id(self.call_id, settings))));
            members.push(("name", told(self.name)));
        }
        Value::from_pairs(members)
    }
}

/// An id of the length that the template wants; the same for the call and its result.
fn fitting_id(id: &str, settings: &Settings) -> String {
    let length = settings.call_id_length;
    let fits = id.len() == length && id.bytes().all(|b| b.is_ascii_alphanumeric());
    if length == 0 {
        plain(id, &settings.special)
    } else if fits {
        id.to_owned()
    } else {
        blake3::hash(id.as_bytes()).to_hex().chars().take(length).collect()
    }
}

/// The tools that the model may call, and their size. None are shown where none may be called.
fn tools(request: &Request, settings: &Settings) -> Result<Option<(Value, usize)>, GatewayError> {
    let shown: Vec<&Tool> = match &request.tool_choice {
        None | Some(ToolChoice::Auto) => request.tools.iter().collect(),
        Some(ToolChoice::None) => return Ok(None),
        Some(ToolChoice::Allowed { names, required: false }) => {
            request.tools.iter().filter(|tool| names.contains(&tool.name)).collect()
        }
        Some(ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Allowed { .. }) => {
            let what = "must be \"auto\" or \"none\": this endpoint cannot force a call";
            return Err(refusal("tool_choice".into(), what));
        }
    };
    if shown.is_empty() {
        return Ok(None);
    }
    if settings.tools == Calls::None {
        let what = "cannot be given: the chat template of this endpoint's model has no tools";
        return Err(refusal("tools".into(), what));
    }
    let size = |tool: &&Tool| {
        let description = tool.description.as_ref().map_or(0, String::len);
        // With `indent` a schema grows, mostly by its depth.
        256 + description + tool.parameters.as_ref().map_or(0, |raw| 4 * raw.as_str().len())
    };
    let size = shown.iter().map(size).sum();
    Ok(Some((shown.into_iter().map(|tool| tool_value(tool, &settings.special)).collect(), size)))
}

fn tool_value(tool: &Tool, special: &[String]) -> Value {
    let mut function = vec![("name", Value::from(tool.name.as_str()))];
    if let Some(description) = &tool.description {
        function.push(("description", Value::from(plain(description, special))));
    }
    if let Some(parameters) = &tool.parameters {
        function.push(("parameters", json(parameters.as_str(), special)));
    }
    let function = Value::from_pairs(function);
    Value::from_pairs([("type", Value::from("function")), ("function", function)])
}

/// JSON as a value whose texts are plain. What cannot be read, such as JSON that is nested too
/// deeply, is a text.
fn json(text: &str, special: &[String]) -> Value {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => plain_value(&value, special),
        Err(_) => Value::from(plain(text, special)),
    }
}

fn plain_value(value: &Value, special: &[String]) -> Value {
    match value.kind() {
        ValueKind::String => Value::from(plain(value.as_str().unwrap_or_default(), special)),
        ValueKind::Seq => {
            value.try_iter().into_iter().flatten().map(|v| plain_value(&v, special)).collect()
        }
        ValueKind::Map => {
            let keys = value.try_iter().into_iter().flatten();
            Value::from_pairs(keys.map(|key| {
                let member = value.get_item(&key).unwrap_or_default();
                (plain_value(&key, special), plain_value(&member, special))
            }))
        }
        _ => value.clone(),
    }
}

/// The text with a space after the first character of whatever is a special token.
fn plain(text: &str, special: &[String]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    let firsts: Vec<char> = special.iter().filter_map(|token| token.chars().next()).collect();
    for (at, first) in text.match_indices(firsts.as_slice()) {
        if special.iter().any(|token| text[at..].starts_with(token.as_str())) {
            out.push_str(&text[copied..at + first.len()]);
            out.push(' ');
            copied = at + first.len();
        }
    }
    out.push_str(&text[copied..]);
    out
}
