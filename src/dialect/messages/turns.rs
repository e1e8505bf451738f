//! The turns of a request → messages, and the rule that every call is answered.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::content::{
    BLOCKS_MAX, Content, Losses, Raw, content, mark, read_block, set_mark, string, text, text_part,
};
use super::replay::{ANTHROPIC, unwrap};
use crate::dialect::chat::request::one_of;
use crate::dialect::chat::tools::function_name;
use crate::dialect::ir::{
    Assistant, CacheMark, Message, Part, ReasoningBlock, ReasoningBody, ToolCall,
};
use crate::dialect::tree::{Path, raw_array, raw_object, tree};
use crate::error::GatewayError;

/// Reads `system`. Nothing said is no message.
pub(super) fn read_system(raw: &RawValue, at: &Path<'_>) -> Result<Option<Message>, GatewayError> {
    let parts = read_instructions(raw, at)?;
    Ok((!parts.is_empty()).then_some(Message::System { parts, name: None }))
}

fn read_instructions(raw: &RawValue, at: &Path<'_>) -> Result<Vec<Part>, GatewayError> {
    let blocks = match content(raw, at)? {
        Content::Text(text) if text.is_empty() => return Ok(Vec::new()),
        Content::Text(text) => return Ok(vec![text_part(text)]),
        Content::Blocks(blocks) => blocks,
    };
    let mut parts = Vec::with_capacity(blocks.len());
    for (i, raw) in blocks.into_iter().enumerate() {
        let at = at.item(i);
        let mut members = raw_object(raw, &at)?;
        if text(&mut members, "type", &at)?.as_deref() != Some("text") {
            return Err(at.field("type").fault("must be \"text\""));
        }
        let mut part = text_part(string(&mut members, "text", &at)?);
        part.cache = mark(&mut members, &at)?;
        parts.push(part);
    }
    Ok(parts)
}

/// Reads `messages` and appends them. Results come right after the calls that they answer, before
/// what else the user says in that turn.
pub(super) fn read_messages(
    raw: &RawValue,
    at: &Path<'_>,
    losses: &mut Losses,
    out: &mut Vec<Message>,
) -> Result<(), GatewayError> {
    let items = raw_array(raw, BLOCKS_MAX, at)?;
    if items.is_empty() {
        return Err(at.fault("must have at least one message"));
    }
    let mut turns = Turns { at, losses, out, said: Vec::new(), open: HashMap::new() };
    for (i, item) in items.into_iter().enumerate() {
        turns.read(item, i)?;
    }
    turns.close()?;
    if out.is_empty() {
        return Err(at.fault("must have some content that can be read here"));
    }
    Ok(())
}

struct Turns<'r> {
    at: &'r Path<'r>,
    losses: &'r mut Losses,
    out: &'r mut Vec<Message>,
    /// What was said since the model's last turn, apart from results.
    said: Vec<Message>,
    /// The calls of the model's last turn that are not answered yet, by id, with their places.
    open: HashMap<String, (usize, usize)>,
}

impl Turns<'_> {
    fn read(&mut self, raw: &RawValue, i: usize) -> Result<(), GatewayError> {
        let at = self.at.item(i);
        let mut members = raw_object(raw, &at)?;
        let role = text(&mut members, "role", &at)?;
        let place = at.field("content");
        let raw = members.take("content", &place)?;
        let raw = || raw.ok_or_else(|| place.fault("must be given"));
        match role.as_deref() {
            Some("user") => self.user(raw()?, &place),
            Some("assistant") => self.assistant(raw()?, i, &place),
            Some("system") => {
                self.said.extend(read_system(raw()?, &place)?);
                Ok(())
            }
            _ => Err(at.field("role").fault(one_of(&["user", "assistant", "system"]))),
        }
    }

    fn user(&mut self, raw: &RawValue, at: &Path<'_>) -> Result<(), GatewayError> {
        let mut parts = Vec::new();
        match content(raw, at)? {
            Content::Text(text) => parts.push(text_part(text)),
            Content::Blocks(blocks) => {
                for (j, raw) in blocks.into_iter().enumerate() {
                    let at = at.item(j);
                    let mut members = raw_object(raw, &at)?;
                    let kind = string(&mut members, "type", &at)?;
                    if kind == "tool_result" {
                        self.result(members, &at)?;
                    } else if !read_block(&kind, &mut members, &at, self.losses, &mut parts)? {
                        self.unknown(&mut members, &at, &mut parts)?;
                    }
                }
            }
        }
        if !parts.is_empty() {
            self.said.push(Message::User { parts, name: None });
        }
        Ok(())
    }

    /// A block that nothing is known of: what it says is lost, but not where it ends the part of
    /// the prompt that is cached.
    fn unknown(
        &mut self,
        members: &mut Raw<'_>,
        at: &Path<'_>,
        parts: &mut [Part],
    ) -> Result<(), GatewayError> {
        self.losses.add(at, "is a block that only Anthropic reads");
        let cache = mark(members, at)?;
        set_mark(parts, cache, at, self.losses);
        Ok(())
    }

    fn result(&mut self, mut members: Raw<'_>, at: &Path<'_>) -> Result<(), GatewayError> {
        let call_id = text(&mut members, "tool_use_id", at)?.unwrap_or_default();
        if self.open.remove(&call_id).is_none() {
            return Err(at.field("tool_use_id").fault(
                "must be the id of a `tool_use` block, not answered yet, in the assistant message \
                 before",
            ));
        }
        let place = at.field("is_error");
        let is_error = members.take("is_error", &place)?;
        let is_error = is_error.map(|raw| tree(raw, &place)?.boolean(&place)).transpose()?;
        let place = at.field("content");
        let mut parts = Vec::new();
        match members.take("content", &place)?.map(|raw| content(raw, &place)).transpose()? {
            None => {}
            Some(Content::Text(text)) => parts.push(text_part(text)),
            Some(Content::Blocks(blocks)) => {
                for (k, raw) in blocks.into_iter().enumerate() {
                    let at = place.item(k);
                    let mut members = raw_object(raw, &at)?;
                    let kind = string(&mut members, "type", &at)?;
                    if !read_block(&kind, &mut members, &at, self.losses, &mut parts)? {
                        self.unknown(&mut members, &at, &mut parts)?;
                    }
                }
            }
        }
        let cache = mark(&mut members, at)?;
        set_mark(&mut parts, cache, at, self.losses);
        let is_error = is_error.unwrap_or(false);
        self.out.push(Message::Tool { call_id, parts, is_error });
        Ok(())
    }

    fn assistant(&mut self, raw: &RawValue, i: usize, at: &Path<'_>) -> Result<(), GatewayError> {
        let goes_on = self.said.is_empty() && !self.open.is_empty();
        let mut turn = match self.out.pop() {
            // Two messages of the model are one turn.
            Some(Message::Assistant(turn)) if goes_on => turn,
            before => {
                self.out.extend(before);
                self.close()?;
                Assistant::default()
            }
        };
        match content(raw, at)? {
            Content::Text(text) => turn.parts.push(text_part(text)),
            Content::Blocks(blocks) => {
                for (j, raw) in blocks.into_iter().enumerate() {
                    self.said_block(raw, &mut turn, (i, j), &at.item(j))?;
                }
            }
        }
        self.say(turn);
        Ok(())
    }

    /// Ends the turns of the user.
    fn close(&mut self) -> Result<(), GatewayError> {
        if let Some((i, j)) = self.open.values().min() {
            let message = self.at.item(*i);
            let at = message.field("content");
            return Err(at.item(*j).fault(
                "must be answered by a `tool_result` block in the user message right after",
            ));
        }
        self.out.append(&mut self.said);
        Ok(())
    }

    fn say(&mut self, turn: Assistant) {
        let silent =
            turn.parts.is_empty() && turn.reasoning.is_empty() && turn.tool_calls.is_empty();
        if !silent {
            self.out.push(Message::Assistant(turn));
        }
    }

    fn said_block(
        &mut self,
        raw: &RawValue,
        turn: &mut Assistant,
        place: (usize, usize),
        at: &Path<'_>,
    ) -> Result<(), GatewayError> {
        let mut members = raw_object(raw, at)?;
        match string(&mut members, "type", at)?.as_str() {
            "thinking" => {
                let thought = string(&mut members, "thinking", at)?;
                let signature = text(&mut members, "signature", at)?;
                self.think(signed(thought, signature.as_deref()), turn);
            }
            "redacted_thinking" => {
                let data = string(&mut members, "data", at)?;
                let data = unwrap(&data);
                let body = ReasoningBody::Encrypted(data.opaque.to_owned());
                self.think(Some(block(body, data.id, data.format)), turn);
            }
            "tool_use" => {
                let (call, cache) = read_call(members, at)?;
                if self.open.insert(call.id.clone(), place).is_some() {
                    return Err(at.field("id").fault("is given twice"));
                }
                turn.tool_calls.push(call);
                // The hub marks no calls: a little less is cached.
                set_mark(&mut turn.parts, cache, at, self.losses);
            }
            "text" => {
                read_block("text", &mut members, at, self.losses, &mut turn.parts)?;
            }
            _ => self.unknown(&mut members, at, &mut turn.parts)?,
        }
        Ok(())
    }

    /// Adds reasoning to a turn. A signed block of Anthropic's must come back in its place: where
    /// something was said before it, it begins a turn of its own, which Anthropic reads as one
    /// with the turn before.
    fn think(&mut self, thought: Option<ReasoningBlock>, turn: &mut Assistant) {
        let Some(thought) = thought else { return };
        let bound = thought.format.as_deref() == Some(ANTHROPIC);
        if bound && !turn.parts.is_empty() && turn.tool_calls.is_empty() {
            self.say(std::mem::take(turn));
        }
        turn.reasoning.push(thought);
    }
}

/// Reasoning with its signature. Without one it is only text, and whose it was is not known.
fn signed(text: String, signature: Option<&str>) -> Option<ReasoningBlock> {
    let Some(signature) = signature.filter(|signature| !signature.is_empty()) else {
        let body = ReasoningBody::Text { text, signature: None };
        let empty = matches!(&body, ReasoningBody::Text { text, .. } if text.is_empty());
        return (!empty).then_some(ReasoningBlock { id: None, body, format: None });
    };
    let by = unwrap(signature);
    let body = ReasoningBody::Text { text, signature: Some(by.opaque.to_owned()) };
    Some(block(body, by.id, by.format))
}

fn block(body: ReasoningBody, id: Option<&str>, format: &str) -> ReasoningBlock {
    ReasoningBlock { id: id.map(str::to_owned), body, format: Some(format.to_owned()) }
}

fn read_call(
    mut members: Raw<'_>,
    at: &Path<'_>,
) -> Result<(ToolCall, Option<CacheMark>), GatewayError> {
    let id = text(&mut members, "id", at)?.filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| at.field("id").fault("must be given"))?;
    let name = function_name(text(&mut members, "name", at)?, &at.field("name"))?;
    let place = at.field("input");
    let input = members.take("input", &place)?;
    if let Some(raw) = input {
        raw_object(raw, &place)?;
    }
    let arguments = input.map_or("{}", |raw| raw.get()).to_owned();
    let cache = mark(&mut members, at)?;
    Ok((ToolCall { id, name, arguments }, cache))
}
