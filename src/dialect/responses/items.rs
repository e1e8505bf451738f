//! The input of a Responses request: items → the hub's messages.
//!
//! Items that the model put out one after another are one turn. What a call returned goes right
//! behind its turn, wherever it stands in the input: OpenAI looks for it by its id only.

use std::collections::HashMap;

use super::tools::arguments_of_input;
use crate::dialect::chat::messages::{Object, read_url, required, text_member};
use crate::dialect::chat::request::one_of;
use crate::dialect::chat::tools::function_name;
use crate::dialect::ir::{
    Assistant, CacheMark, FileSource, Loss, Message, Part, PartBody, ReasoningBlock, ReasoningBody,
    ToolCall,
};
use crate::dialect::tree::{Json, Path};
use crate::error::GatewayError;

/// Whose form blocks of reasoning have where an item does not say.
pub(super) const FORMAT: &str = "openai-responses-v1";

/// What providers' own tools leave in a conversation, besides names that end in `_call`,
/// `_call_output` or `_output`.
const FOREIGN: [&str; 6] = [
    "mcp_list_tools",
    "mcp_approval_request",
    "mcp_approval_response",
    "compaction",
    "additional_tools",
    "program",
];

/// Reads `input`: a string, or items. Items that the hub does not carry are noted in `losses`.
pub(super) fn read_input(
    json: Json<'_>,
    losses: &mut Vec<Loss>,
    at: &Path<'_>,
) -> Result<Vec<Message>, GatewayError> {
    let items = match json {
        Json::Text(text) => {
            let parts = vec![plain(text.into_owned())];
            return Ok(vec![Message::User { parts, name: None }]);
        }
        Json::Array(items) if !items.is_empty() => items,
        Json::Array(_) => return Err(at.fault("must have at least one item")),
        _ => return Err(at.fault("must be a string or an array of items")),
    };
    let mut conversation = Conversation::default();
    for (i, item) in items.into_iter().enumerate() {
        read_item(item, &mut conversation, losses, &at.item(i))?;
    }
    conversation.finish(at)
}

fn plain(text: String) -> Part {
    Part { body: PartBody::Text(text), cache: None }
}

/// The conversation as far as it was read.
#[derive(Default)]
struct Conversation {
    entries: Vec<Entry>,
    /// Calls without a result: the entry that made each, and the item.
    open: HashMap<String, (usize, usize)>,
}

enum Entry {
    Said(Message),
    Turn {
        turn: Assistant,
        /// What its calls returned; once there is something, the turn is over.
        results: Vec<Message>,
    },
}

impl Conversation {
    /// Changes the turn that the model is in, or a new one.
    fn say(&mut self, change: impl FnOnce(&mut Assistant)) {
        if let Some(Entry::Turn { turn, results }) = self.entries.last_mut()
            && results.is_empty()
        {
            return change(turn);
        }
        let mut turn = Assistant::default();
        change(&mut turn);
        self.entries.push(Entry::Turn { turn, results: Vec::new() });
    }

    fn call(&mut self, call: ToolCall, at: &Path<'_>) -> Result<(), GatewayError> {
        let id = call.id.clone();
        self.say(|turn| turn.tool_calls.push(call));
        let index = match at {
            Path::Item(_, index) => *index,
            _ => 0,
        };
        match self.open.insert(id, (self.entries.len() - 1, index)) {
            None => Ok(()),
            Some(_) => Err(at.field("call_id").fault("is given to two calls")),
        }
    }

    fn result(&mut self, message: Message, at: &Path<'_>) -> Result<(), GatewayError> {
        let Message::Tool { call_id, .. } = &message else { return Ok(()) };
        let made = self.open.remove(call_id).and_then(|(entry, _)| self.entries.get_mut(entry));
        match made {
            Some(Entry::Turn { results, .. }) => {
                results.push(message);
                Ok(())
            }
            _ => Err(at
                .field("call_id")
                .fault("must be the id of a call before it that has no output yet")),
        }
    }

    fn finish(self, at: &Path<'_>) -> Result<Vec<Message>, GatewayError> {
        if let Some((_, first)) = self.open.values().min_by_key(|(_, item)| *item) {
            return Err(at
                .item(*first)
                .fault("must have its output in `input`: an item with the same `call_id`"));
        }
        let mut messages = Vec::with_capacity(self.entries.len());
        for entry in self.entries {
            match entry {
                Entry::Said(message) => messages.push(message),
                Entry::Turn { turn, mut results } => {
                    messages.push(Message::Assistant(turn));
                    messages.append(&mut results);
                }
            }
        }
        Ok(messages)
    }
}

const ITEMS: [&str; 6] = [
    "message",
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
    "reasoning",
];

fn read_item(
    json: Json<'_>,
    conversation: &mut Conversation,
    losses: &mut Vec<Loss>,
    at: &Path<'_>,
) -> Result<(), GatewayError> {
    let mut members = json.object(at)?;
    let kind = text_member(&mut members, "type", at)?;
    match kind.as_deref() {
        None | Some("message") => read_message(members, conversation, at),
        Some("function_call") => {
            let arguments = text_member(&mut members, "arguments", at)?.unwrap_or_default();
            conversation.call(read_call(members, arguments, at)?, at)
        }
        Some("custom_tool_call") => {
            let arguments = arguments_of_input(&required(&mut members, "input", at)?);
            conversation.call(read_call(members, arguments, at)?, at)
        }
        Some("function_call_output" | "custom_tool_call_output") => {
            conversation.result(read_result(members, at)?, at)
        }
        Some("reasoning") => {
            let mut blocks = read_reasoning(members, at)?;
            conversation.say(|turn| turn.reasoning.append(&mut blocks));
            Ok(())
        }
        Some("item_reference") => Err(at.field("type").fault(
            "must not be \"item_reference\": items are not kept here; send the item itself",
        )),
        Some(kind)
            if kind.ends_with("_call") || kind.ends_with("_output") || FOREIGN.contains(&kind) =>
        {
            let why = "is of a tool that only its own provider runs";
            losses.push(Loss { param: at.to_string().into(), why });
            Ok(())
        }
        Some(_) => Err(at.field("type").fault(one_of(&ITEMS))),
    }
}

const USER_PARTS: [&str; 5] =
    ["input_text", "input_image", "input_file", "input_audio", "input_video"];
const RESULT_PARTS: [&str; 3] = ["input_text", "input_image", "input_file"];
/// `input_text` too: some clients write what the model said as they write their own texts.
const ASSISTANT_PARTS: [&str; 3] = ["output_text", "refusal", "input_text"];

fn read_message(
    mut members: Object<'_>,
    conversation: &mut Conversation,
    at: &Path<'_>,
) -> Result<(), GatewayError> {
    let role = text_member(&mut members, "role", at)?;
    let name = None;
    match role.as_deref() {
        Some("system" | "developer") => {
            let parts = read_content(&mut members, "content", &["input_text"], at)?;
            conversation.entries.push(Entry::Said(Message::System { parts, name }));
        }
        Some("user") => {
            let parts = read_content(&mut members, "content", &USER_PARTS, at)?;
            conversation.entries.push(Entry::Said(Message::User { parts, name }));
        }
        Some("assistant") => {
            let mut parts = read_content(&mut members, "content", &ASSISTANT_PARTS, at)?;
            conversation.say(|turn| turn.parts.append(&mut parts));
        }
        _ => {
            let roles = ["user", "assistant", "system", "developer"];
            return Err(at.field("role").fault(one_of(&roles)));
        }
    }
    Ok(())
}

fn read_call(
    mut members: Object<'_>,
    arguments: String,
    at: &Path<'_>,
) -> Result<ToolCall, GatewayError> {
    let name = function_name(text_member(&mut members, "name", at)?, &at.field("name"))?;
    Ok(ToolCall { id: call_id(&mut members, at)?, name, arguments })
}

fn call_id(members: &mut Object<'_>, at: &Path<'_>) -> Result<String, GatewayError> {
    let id = text_member(members, "call_id", at)?.filter(|id| !id.is_empty());
    id.ok_or_else(|| at.field("call_id").fault("must be the id of a call, a string"))
}

fn read_result(mut members: Object<'_>, at: &Path<'_>) -> Result<Message, GatewayError> {
    let call_id = call_id(&mut members, at)?;
    let parts = read_content(&mut members, "output", &RESULT_PARTS, at)?;
    Ok(Message::Tool { call_id, parts, is_error: false })
}

/// Reads a reasoning item into the blocks that it holds; all have its id, by which they are put
/// together again. `signature` and `format` are OpenRouter's additions.
fn read_reasoning(
    mut members: Object<'_>,
    at: &Path<'_>,
) -> Result<Vec<ReasoningBlock>, GatewayError> {
    let id = text_member(&mut members, "id", at)?.filter(|id| !id.is_empty());
    let format = text_member(&mut members, "format", at)?;
    let format = format.unwrap_or_else(|| FORMAT.to_owned());
    let mut signature = text_member(&mut members, "signature", at)?;
    let mut bodies = Vec::new();
    for text in read_texts(&mut members, "summary", at)? {
        bodies.push(ReasoningBody::Summary(text));
    }
    let mut texts = read_texts(&mut members, "content", at)?;
    if texts.is_empty() && signature.is_some() {
        texts.push(String::new());
    }
    let last = texts.len().saturating_sub(1);
    for (i, text) in texts.into_iter().enumerate() {
        let signature = if i == last { signature.take() } else { None };
        bodies.push(ReasoningBody::Text { text, signature });
    }
    let data = text_member(&mut members, "encrypted_content", at)?;
    bodies.extend(data.filter(|data| !data.is_empty()).map(ReasoningBody::Encrypted));
    let block = |body| ReasoningBlock { id: id.clone(), body, format: Some(format.clone()) };
    Ok(bodies.into_iter().map(block).collect())
}

/// The texts of a reasoning item's parts.
fn read_texts(
    members: &mut Object<'_>,
    name: &str,
    at: &Path<'_>,
) -> Result<Vec<String>, GatewayError> {
    let at = at.field(name);
    let Some(json) = members.take(name, &at)? else { return Ok(Vec::new()) };
    let items = json.array(&at)?.into_iter().enumerate();
    items.map(|(i, item)| required(&mut item.object(&at.item(i))?, "text", &at.item(i))).collect()
}

/// Reads a string, or parts of the allowed types.
fn read_content(
    members: &mut Object<'_>,
    name: &str,
    allowed: &[&str],
    at: &Path<'_>,
) -> Result<Vec<Part>, GatewayError> {
    let at = at.field(name);
    match members.take(name, &at)? {
        Some(Json::Text(text)) => Ok(vec![plain(text.into_owned())]),
        Some(Json::Array(items)) => items
            .into_iter()
            .enumerate()
            .map(|(i, item)| read_part(item, allowed, &at.item(i)))
            .collect(),
        _ => Err(at.fault("must be a string or an array of parts")),
    }
}

fn read_part(json: Json<'_>, allowed: &[&str], at: &Path<'_>) -> Result<Part, GatewayError> {
    let mut members = json.object(at)?;
    let kind = text_member(&mut members, "type", at)?;
    let kind = kind.filter(|kind| allowed.contains(&kind.as_str()));
    let kind = kind.ok_or_else(|| at.field("type").fault(one_of(allowed)))?;
    let body = match kind.as_str() {
        "input_text" | "output_text" => PartBody::Text(required(&mut members, "text", at)?),
        "refusal" => PartBody::Refusal(required(&mut members, "refusal", at)?),
        "input_image" => read_image(&mut members, at)?,
        "input_file" => read_file(&mut members, at)?,
        "input_video" => PartBody::Video(read_url(
            required(&mut members, "video_url", at)?,
            &at.field("video_url"),
        )?),
        _ => {
            let at = at.field("input_audio");
            let audio =
                members.take("input_audio", &at)?.ok_or_else(|| at.fault("must be given"))?;
            let mut audio = audio.object(&at)?;
            let data = required(&mut audio, "data", &at)?;
            PartBody::Audio { data, format: required(&mut audio, "format", &at)? }
        }
    };
    // OpenAI's mark for its own prompt cache (gpt-5.6 and later); lifetimes differ too much from
    // the other providers' to be carried over.
    let mark = members.take("prompt_cache_breakpoint", &at.field("prompt_cache_breakpoint"))?;
    Ok(Part { body, cache: mark.map(|_| CacheMark::Default) })
}

fn read_image(members: &mut Object<'_>, at: &Path<'_>) -> Result<PartBody, GatewayError> {
    const DETAILS: [&str; 4] = ["auto", "low", "high", "original"];
    let detail = text_member(members, "detail", at)?;
    if detail.as_deref().is_some_and(|detail| !DETAILS.contains(&detail)) {
        return Err(at.field("detail").fault(one_of(&DETAILS)));
    }
    if let Some(url) = text_member(members, "image_url", at)? {
        return Ok(PartBody::Image { url: read_url(url, &at.field("image_url"))?, detail });
    }
    if text_member(members, "file_id", at)?.is_some() {
        let what = "refers to an upload, and images are not kept here; send `image_url`";
        return Err(at.field("file_id").fault(what));
    }
    Err(at.field("image_url").fault("must be given"))
}

fn read_file(members: &mut Object<'_>, at: &Path<'_>) -> Result<PartBody, GatewayError> {
    let name = text_member(members, "filename", at)?;
    let mut url = |name: &str| {
        let url = text_member(members, name, at)?.filter(|url| !url.is_empty());
        url.map(|url| read_url(url, &at.field(name))).transpose()
    };
    let urls = (url("file_data")?, url("file_url")?);
    let source = match (urls, text_member(members, "file_id", at)?) {
        ((Some(url), None) | (None, Some(url)), None) => FileSource::Url(url),
        ((None, None), Some(id)) => FileSource::Id(id),
        _ => return Err(at.fault("must have one of `file_data`, `file_url` and `file_id`")),
    };
    Ok(PartBody::File { name, source })
}
