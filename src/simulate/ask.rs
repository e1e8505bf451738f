//! What a provider reads of a request: one pass over the JSON, borrowing its text, no tree.
//!
//! Both dialects are read into one shape. The rules that the real ones enforce and that a
//! translator can get wrong are enforced here too ([`Ask::check`]), so that a test against the
//! simulator fails where the provider would have answered 400.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::dialect::Dialect;
use crate::dialect::resume::GO_ON;

/// A request for an answer.
#[derive(Default)]
pub(super) struct Ask<'a> {
    pub(super) model: Text<'a>,
    pub(super) messages: Vec<Message<'a>>,
    pub(super) system: Content<'a>,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) max_tokens: Option<u64>,
    pub(super) stop: Stop<'a>,
    pub(super) tools: Vec<&'a RawValue>,
    pub(super) tool_choice: Option<&'a RawValue>,
    pub(super) thinking: bool,
    pub(super) n: Option<u64>,
    /// The first top-level field that the dialect does not define.
    pub(super) unknown: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub(super) role: Text<'a>,
    #[serde(borrow, default)]
    pub(super) content: Content<'a>,
    #[serde(borrow, default)]
    pub(super) tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow, default)]
    pub(super) tool_call_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Call<'a> {
    #[serde(borrow)]
    pub(super) id: Text<'a>,
}

/// A content part or block; fields of other kinds are passed over.
#[derive(Deserialize)]
pub(super) struct Part<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) tool_use_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) content: Content<'a>,
}

#[derive(Default)]
pub(super) enum Content<'a> {
    #[default]
    None,
    Text(Cow<'a, str>),
    Parts(Vec<Part<'a>>),
}

impl<'a> Content<'a> {
    /// Every text in it, in order.
    pub(super) fn each(&self, visit: &mut impl FnMut(&str)) {
        match self {
            Self::None => {}
            Self::Text(text) => visit(text),
            Self::Parts(parts) => {
                for part in parts {
                    if let Some(text) = &part.text {
                        visit(&text.0);
                    }
                    part.content.each(visit);
                }
            }
        }
    }

    pub(super) fn parts(&self) -> &[Part<'a>] {
        match self {
            Self::Parts(parts) => parts,
            Self::None | Self::Text(_) => &[],
        }
    }

    fn has_text(&self) -> bool {
        match self {
            Self::None => false,
            Self::Text(_) => true,
            Self::Parts(parts) => parts.iter().any(|part| part.text.is_some()),
        }
    }
}

/// A string that borrows from the body unless it has escapes.
#[derive(Default, Debug, PartialEq, Eq)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

/// `stop`, `stop_sequences`: one string or a list.
#[derive(Default)]
pub(super) struct Stop<'a>(pub(super) Vec<Text<'a>>);

impl<'a> Ask<'a> {
    /// Reads a request body whose form is OpenAI's or Anthropic's.
    ///
    /// # Errors
    /// What a provider would say about it. The text never quotes the body.
    pub(super) fn read(form: &'static Form, body: &'a [u8]) -> Result<Self, String> {
        let mut from = serde_json::Deserializer::from_slice(body);
        let ask = from.deserialize_map(Fields(form)).and_then(|ask| from.end().map(|()| ask));
        ask.map_err(|e| {
            let kind = if e.is_data() { "has a wrong type" } else { "is not valid JSON" };
            format!("The request body {kind} (line {}, column {}).", e.line(), e.column())
        })
    }

    /// The rules beyond types.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub(super) fn check(&self, dialect: Dialect, strict: bool) -> Result<(), String> {
        if self.model.0.is_empty() {
            return Err("model: field required".to_owned());
        }
        if self.messages.is_empty() {
            return Err("messages: at least one message is required".to_owned());
        }
        if self.max_tokens == Some(0) {
            return Err("max_tokens: must be at least 1".to_owned());
        }
        let refuses = match dialect {
            Dialect::Anthropic
            | Dialect::VertexAnthropic
            | Dialect::Responses
            | Dialect::Gemini
            | Dialect::Vertex
            | Dialect::Cohere
            | Dialect::Mistral => true,
            Dialect::OpenAi
            | Dialect::Azure
            | Dialect::Bedrock
            | Dialect::Ollama
            | Dialect::Completions => strict,
        };
        match &self.unknown {
            Some(name) if refuses && Self::is_blocks(dialect) => {
                return Err(format!("{name}: Extra inputs are not permitted"));
            }
            Some(name) if refuses => {
                return Err(format!("Unrecognized request argument supplied: {name}"));
            }
            _ => {}
        }
        match dialect {
            Dialect::Ollama | Dialect::Completions => Ok(()),
            _ if Self::is_blocks(dialect) => self.check_blocks(dialect),
            _ => self.check_calls(),
        }
    }

    /// Whether calls and results are blocks of content.
    const fn is_blocks(dialect: Dialect) -> bool {
        matches!(
            dialect,
            Dialect::Anthropic
                | Dialect::VertexAnthropic
                | Dialect::Bedrock
                | Dialect::Gemini
                | Dialect::Vertex
        )
    }

    fn check_calls(&self) -> Result<(), String> {
        if self.n.is_some_and(|n| n != 1) {
            return Err("n: the simulator gives one choice".to_owned());
        }
        let mut open: Vec<&str> = Vec::new();
        for (i, message) in self.messages.iter().enumerate() {
            let role = &*message.role.0;
            if !["system", "developer", "user", "assistant", "tool", "function"].contains(&role) {
                return Err(format!("messages[{i}].role: not a role"));
            }
            if role == "tool" {
                let id = message.tool_call_id.as_ref().map_or("", |id| &*id.0);
                let Some(at) = open.iter().position(|open| *open == id) else {
                    return Err(format!("messages[{i}]: a tool message must answer a tool call"));
                };
                open.swap_remove(at);
            } else if !open.is_empty() {
                return Err(format!("messages[{i}]: every tool call must be answered first"));
            }
            if let Some(calls) = message.tool_calls.as_ref() {
                open.extend(calls.iter().map(|call| &*call.id.0));
            }
        }
        if open.is_empty() { Ok(()) } else { Err("messages: a tool call is not answered".into()) }
    }

    fn check_blocks(&self, dialect: Dialect) -> Result<(), String> {
        let anthropic = matches!(dialect, Dialect::Anthropic | Dialect::VertexAnthropic);
        if anthropic && self.max_tokens.is_none() {
            return Err("max_tokens: Field required".to_owned());
        }
        let mut asked: Vec<&str> = Vec::new();
        for (i, message) in self.messages.iter().enumerate() {
            if !["user", "assistant"].contains(&&*message.role.0) {
                return Err(format!("messages.{i}.role: Input should be 'user' or 'assistant'"));
            }
            check_blocks(i, &message.content)?;
            let parts = message.content.parts();
            let answers = parts.iter().filter_map(|part| part.tool_use_id.as_ref());
            for answer in answers {
                let Some(at) = asked.iter().position(|id| *id == answer.0) else {
                    return Err(format!("messages.{i}: tool_result without a tool_use before it"));
                };
                asked.swap_remove(at);
            }
            if !asked.is_empty() {
                return Err(format!("messages.{i}: tool_use ids without tool_result right after"));
            }
            let uses = parts.iter().filter(|part| part.kind.0 == "tool_use");
            asked.extend(uses.filter_map(|part| part.id.as_ref()).map(|id| &*id.0));
            let tool_part = |p: &Part<'_>| p.kind.0 == "tool_use" || p.kind.0 == "tool_result";
            let demanded = anthropic || dialect == Dialect::Bedrock;
            if demanded && self.tools.is_empty() && parts.iter().any(tool_part) {
                return Err("tools: required when messages have tool blocks".to_owned());
            }
        }
        if asked.is_empty() { Ok(()) } else { Err("messages: tool_use without tool_result".into()) }
    }

    /// The last text that the user wrote, where directives are looked for.
    pub(super) fn last_user_text(&self) -> Option<&str> {
        let user = |m: &&Message<'a>| m.role.0 == "user" && m.content.has_text();
        let asked = usize::from(self.is_asked_to_go_on());
        let message = self.messages.iter().rev().skip(asked).find(user)?;
        match &message.content {
            Content::Text(text) => Some(text),
            Content::None => None,
            Content::Parts(parts) => {
                parts.iter().rev().find_map(|part| part.text.as_ref()).map(|text| &*text.0)
            }
        }
    }

    /// Whether the request brings the result of a tool.
    pub(super) fn has_tool_result(&self) -> bool {
        self.messages.last().is_some_and(|last| {
            let result = |part: &Part<'_>| part.kind.0 == "tool_result";
            last.role.0 == "tool" || last.content.parts().iter().any(result)
        })
    }

    /// Whether the last message asks for the rest of an answer that was cut off.
    pub(super) fn is_asked_to_go_on(&self) -> bool {
        let said = |content: &Content<'a>| match content {
            Content::Text(text) => text == GO_ON,
            Content::Parts(parts) => match parts.as_slice() {
                [part] => part.text.as_ref().is_some_and(|text| text.0 == GO_ON),
                _ => false,
            },
            Content::None => false,
        };
        self.messages.last().is_some_and(|last| last.role.0 == "user" && said(&last.content))
    }

    /// The messages that come before the answer, and the answer's beginning.
    pub(super) fn prompt(&self) -> &[Message<'a>] {
        let said = usize::from(self.prefill().is_some());
        let asked = usize::from(self.is_asked_to_go_on());
        self.messages.get(..self.messages.len() - said - asked).unwrap_or_default()
    }

    /// The start of an answer that the model is to continue, if the last message is one, or the
    /// last but one, and the last asks for more.
    pub(super) fn prefill(&self) -> Option<&Content<'a>> {
        let asked = usize::from(self.is_asked_to_go_on());
        let last = self.messages.iter().rev().nth(asked)?;
        (last.role.0 == "assistant" && last.tool_calls.is_none()).then_some(&last.content)
    }
}

fn check_blocks(i: usize, content: &Content<'_>) -> Result<(), String> {
    let blank = |text: &str| text.trim().is_empty();
    match content {
        Content::Text(text) if text.is_empty() => {
            Err(format!("messages.{i}: all messages must have non-empty content"))
        }
        Content::None => Err(format!("messages.{i}.content: Field required")),
        Content::Parts(parts) if parts.is_empty() => {
            Err(format!("messages.{i}: all messages must have non-empty content"))
        }
        Content::Parts(parts) => {
            let is_blank =
                |p: &Part<'_>| p.kind.0 == "text" && p.text.as_ref().is_none_or(|t| blank(&t.0));
            match parts.iter().any(is_blank) {
                true => Err(format!("messages.{i}: text content blocks must be non-empty")),
                false => Ok(()),
            }
        }
        Content::Text(_) => Ok(()),
    }
}

/// A form of requests: OpenAI's or Anthropic's, and those that are near to them.
pub(super) struct Form {
    pub(super) openai: bool,
    /// Fields that are passed over.
    pub(super) known: &'static [&'static [&'static str]],
    /// Fields of OpenAI's that are unknown here.
    pub(super) refuses: &'static [&'static str],
    /// A field that turns thinking on, if it has one of these values.
    pub(super) thinks: Option<(&'static str, &'static [&'static str])>,
}

/// Reads the top-level fields of a request.
struct Fields(&'static Form);

impl<'de> Visitor<'de> for Fields {
    type Value = Ask<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ask<'de>, A::Error> {
        let Form { openai, known, refuses, thinks } = *self.0;
        let mut ask = Ask::default();
        while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
            match &*key {
                name if refuses.contains(&name) => {
                    ask.unknown = Some(name.to_owned());
                    map.next_value::<IgnoredAny>()?;
                }
                "model" => ask.model = map.next_value()?,
                "messages" => ask.messages = map.next_value()?,
                "stream" => ask.stream = map.next_value::<Option<bool>>()?.unwrap_or(false),
                "tools" => {
                    ask.tools = map.next_value::<Option<Vec<&'de RawValue>>>()?.unwrap_or_default();
                }
                "tool_choice" => ask.tool_choice = map.next_value()?,
                "max_tokens" => {
                    ask.max_tokens = map.next_value::<Option<u64>>()?.or(ask.max_tokens)
                }
                "max_completion_tokens" if openai => {
                    ask.max_tokens = map.next_value::<Option<u64>>()?.or(ask.max_tokens);
                }
                "n" if openai => ask.n = map.next_value()?,
                "stop" if openai => ask.stop = map.next_value()?,
                "stop_sequences" if !openai => ask.stop = map.next_value()?,
                "stream_options" if openai => {
                    let options: Option<StreamOptions> = map.next_value()?;
                    ask.include_usage = options.is_some_and(|o| o.include_usage.unwrap_or(false));
                }
                "system" if !openai => ask.system = map.next_value()?,
                "thinking" if !openai => {
                    let thinking: Option<Thinking<'de>> = map.next_value()?;
                    ask.thinking = thinking.is_some_and(|t| t.kind.0 != "disabled");
                }
                name if thinks.is_some_and(|(field, _)| field == name) => {
                    let value: Option<Text<'de>> = map.next_value()?;
                    let on = thinks.map_or(&[][..], |(_, values)| values);
                    ask.thinking |= value.is_some_and(|value| on.contains(&&*value.0));
                }
                name => {
                    let known = known.iter().any(|names| names.contains(&name));
                    if !known && ask.unknown.is_none() {
                        ask.unknown = Some(name.chars().take(64).collect());
                    }
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(ask)
    }
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Thinking<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(Borrow)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Content<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a list of parts, or null")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Content::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Content::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Content::None)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = seq.next_element()? {
                    parts.push(part);
                }
                Ok(Content::Parts(parts))
            }

            /// Blocks that the simulator does not look into have content of other shapes.
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Content::None)
            }
        }
        from.deserialize_any(Any)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Stop<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Stop<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a list of strings, or null")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Stop(vec![Text(Cow::Owned(text.to_owned()))]))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Stop::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(text) = seq.next_element()? {
                    list.push(text);
                }
                Ok(Stop(list))
            }
        }
        from.deserialize_any(Any)
    }
}
