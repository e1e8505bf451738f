//! The messages of a request and their parts.

use super::request::one_of;
use super::tools::{function_name, read_calls};
use crate::dialect::ir::{
    Assistant, CacheMark, FileSource, Message, Part, PartBody, ReasoningBlock, ReasoningBody,
    ToolCall,
};
use crate::dialect::tree::{Json, Members, Path};
use crate::error::GatewayError;

pub(in crate::dialect) type Object<'a> = Members<'a, Json<'a>>;

/// Reads `messages`.
pub(in crate::dialect) fn read_messages(
    json: Json<'_>,
    at: &Path<'_>,
) -> Result<Vec<Message>, GatewayError> {
    let items = json.array(at)?;
    if items.is_empty() {
        return Err(at.fault("must have at least one message"));
    }
    let mut messages = Vec::with_capacity(items.len());
    for (i, item) in items.into_iter().enumerate() {
        let message = read_message(item, messages.last(), &at.item(i))?;
        messages.push(message);
    }
    Ok(messages)
}

fn read_message(
    json: Json<'_>,
    before: Option<&Message>,
    at: &Path<'_>,
) -> Result<Message, GatewayError> {
    let mut members = json.object(at)?;
    let role = text_member(&mut members, "role", at)?;
    let name = text_member(&mut members, "name", at)?;
    match role.as_deref() {
        Some("system" | "developer") => {
            let parts = read_content(&mut members, &["text"], at)?;
            Ok(Message::System { parts: parts.ok_or_else(|| no_content(at))?, name })
        }
        Some("user") => {
            let parts = read_content(&mut members, &USER_PARTS, at)?;
            Ok(Message::User { parts: parts.ok_or_else(|| no_content(at))?, name })
        }
        Some("assistant") => read_assistant(members, name, at).map(Message::Assistant),
        Some("tool") => read_result(members, at),
        Some("function") => read_function_result(members, name, before, at),
        _ => Err(at.field("role").fault(one_of(&ROLES))),
    }
}

const ROLES: [&str; 6] = ["system", "developer", "user", "assistant", "tool", "function"];
const USER_PARTS: [&str; 6] =
    ["text", "image_url", "input_audio", "video_url", "input_video", "file"];
const RESULT_PARTS: [&str; 3] = ["text", "image_url", "file"];

fn no_content(at: &Path<'_>) -> GatewayError {
    at.field("content").fault("must be a string or an array of parts")
}

pub(in crate::dialect) fn text_member(
    members: &mut Object<'_>,
    name: &str,
    at: &Path<'_>,
) -> Result<Option<String>, GatewayError> {
    let at = at.field(name);
    members.take(name, &at)?.map(|json| Ok(json.text(&at)?.into_owned())).transpose()
}

fn read_assistant(
    mut members: Object<'_>,
    name: Option<String>,
    at: &Path<'_>,
) -> Result<Assistant, GatewayError> {
    let mut parts = read_content(&mut members, &["text", "refusal"], at)?.unwrap_or_default();
    if let Some(refusal) = text_member(&mut members, "refusal", at)? {
        parts.push(Part { body: PartBody::Refusal(refusal), cache: None });
    }
    let place = at.field("audio");
    if members.take("audio", &place)?.is_some() {
        return Err(place.fault("cannot be referred to here; give the text in `content`"));
    }
    let place = at.field("tool_calls");
    let calls = members.take("tool_calls", &place)?;
    let mut tool_calls = calls.map(|json| read_calls(json, &place)).transpose()?;
    let place = at.field("function_call");
    if let Some(json) = members.take("function_call", &place)? {
        let call = read_function_call(json, &place, at)?;
        tool_calls.get_or_insert_default().push(call);
    }
    let reasoning = read_reasoning(&mut members, at)?;
    Ok(Assistant { parts, name, reasoning, tool_calls: tool_calls.unwrap_or_default() })
}

/// The form of calls before there were ids; the id is made from the place.
fn read_function_call(
    json: Json<'_>,
    at: &Path<'_>,
    message: &Path<'_>,
) -> Result<ToolCall, GatewayError> {
    let mut members = json.object(at)?;
    let name = function_name(text_member(&mut members, "name", at)?, &at.field("name"))?;
    let arguments = text_member(&mut members, "arguments", at)?.unwrap_or_default();
    let index = match message {
        Path::Item(_, index) => *index,
        _ => 0,
    };
    Ok(ToolCall { id: format!("function_{index}"), name, arguments })
}

fn read_result(mut members: Object<'_>, at: &Path<'_>) -> Result<Message, GatewayError> {
    let call_id = text_member(&mut members, "tool_call_id", at)?.filter(|id| !id.is_empty());
    let call_id = call_id.ok_or_else(|| {
        at.field("tool_call_id").fault("must be the id of a call in the assistant message before")
    })?;
    let parts = read_content(&mut members, &RESULT_PARTS, at)?.ok_or_else(|| no_content(at))?;
    let place = at.field("is_error");
    let is_error = members.take("is_error", &place)?.map(|json| json.boolean(&place));
    Ok(Message::Tool { call_id, parts, is_error: is_error.transpose()?.unwrap_or(false) })
}

fn read_function_result(
    mut members: Object<'_>,
    name: Option<String>,
    before: Option<&Message>,
    at: &Path<'_>,
) -> Result<Message, GatewayError> {
    let call = match before {
        Some(Message::Assistant(turn)) => {
            turn.tool_calls.last().filter(|call| name.as_deref() == Some(call.name.as_str()))
        }
        _ => None,
    };
    let call = call.ok_or_else(|| {
        at.field("name").fault("must name the function called in the assistant message before")
    })?;
    let parts = read_content(&mut members, &["text"], at)?.unwrap_or_default();
    Ok(Message::Tool { call_id: call.id.clone(), parts, is_error: false })
}

/// Reads `content`: a string, or parts of the allowed types. None if there is none.
fn read_content(
    members: &mut Object<'_>,
    allowed: &[&str],
    message: &Path<'_>,
) -> Result<Option<Vec<Part>>, GatewayError> {
    let at = message.field("content");
    let mut parts = match members.take("content", &at)? {
        None => return Ok(None),
        Some(Json::Text(text)) => {
            vec![Part { body: PartBody::Text(text.into_owned()), cache: None }]
        }
        Some(Json::Array(items)) => items
            .into_iter()
            .enumerate()
            .map(|(i, item)| read_part(item, allowed, &at.item(i)))
            .collect::<Result<_, _>>()?,
        Some(_) => return Err(no_content(message)),
    };
    // A mark on the message, as some clients place it, is a mark on its end.
    let at = message.field("cache_control");
    if let Some(json) = members.take("cache_control", &at)? {
        let mark = cache_mark(json, &at)?;
        if let Some(last) = parts.last_mut() {
            last.cache.get_or_insert(mark);
        }
    }
    Ok(Some(parts))
}

pub(in crate::dialect) fn read_part(
    json: Json<'_>,
    allowed: &[&str],
    at: &Path<'_>,
) -> Result<Part, GatewayError> {
    let mut members = json.object(at)?;
    let place = at.field("type");
    let kind = members.take("type", &place)?.map(|json| json.text(&place)).transpose()?;
    let kind = kind.filter(|k| allowed.contains(&k.as_ref()));
    let kind = kind.ok_or_else(|| place.fault(one_of(allowed)))?;
    let body = match kind.as_ref() {
        "text" => PartBody::Text(required(&mut members, "text", at)?),
        "refusal" => PartBody::Refusal(required(&mut members, "refusal", at)?),
        "image_url" => read_image(&mut members, at)?,
        "input_audio" => {
            let (mut audio, place) = inner(&mut members, "input_audio", at)?;
            let at = place.of(at);
            let data = required(&mut audio, "data", &at)?;
            PartBody::Audio { data, format: required(&mut audio, "format", &at)? }
        }
        "file" => {
            let (file, place) = inner(&mut members, "file", at)?;
            read_file(file, &place.of(at))?
        }
        name => {
            let (mut video, place) = inner(&mut members, name, at)?;
            let at = place.of(at);
            PartBody::Video(read_url(required(&mut video, "url", &at)?, &at.field("url"))?)
        }
    };
    let place = at.field("cache_control");
    let cache = members.take("cache_control", &place)?;
    Ok(Part { body, cache: cache.map(|json| cache_mark(json, &place)).transpose()? })
}

/// The name of a member, to be placed under its object.
#[derive(Clone, Copy)]
struct Name<'n>(&'n str);

impl<'n> Name<'n> {
    const fn of<'p>(self, parent: &'p Path<'p>) -> Path<'p>
    where
        'n: 'p,
    {
        parent.field(self.0)
    }
}

fn inner<'a, 'n>(
    members: &mut Object<'a>,
    name: &'n str,
    at: &Path<'_>,
) -> Result<(Object<'a>, Name<'n>), GatewayError> {
    let at = at.field(name);
    let json = members.take(name, &at)?.ok_or_else(|| at.fault("must be given"))?;
    Ok((json.object(&at)?, Name(name)))
}

pub(in crate::dialect) fn required(
    members: &mut Object<'_>,
    name: &str,
    at: &Path<'_>,
) -> Result<String, GatewayError> {
    let text = text_member(members, name, at)?;
    text.ok_or_else(|| at.field(name).fault("must be a string"))
}

fn read_image(members: &mut Object<'_>, at: &Path<'_>) -> Result<PartBody, GatewayError> {
    let at = at.field("image_url");
    let (url, detail) = match members.take("image_url", &at)? {
        Some(Json::Text(url)) => (url.into_owned(), None),
        Some(json) => {
            let mut image = json.object(&at)?;
            (required(&mut image, "url", &at)?, text_member(&mut image, "detail", &at)?)
        }
        None => return Err(at.fault("must be given")),
    };
    const DETAILS: [&str; 4] = ["auto", "low", "high", "original"];
    if detail.as_deref().is_some_and(|d| !DETAILS.contains(&d)) {
        return Err(at.field("detail").fault(one_of(&DETAILS)));
    }
    Ok(PartBody::Image { url: read_url(url, &at.field("url"))?, detail })
}

fn read_file(mut file: Object<'_>, at: &Path<'_>) -> Result<PartBody, GatewayError> {
    let name = text_member(&mut file, "filename", at)?;
    let data = text_member(&mut file, "file_data", at)?;
    let source = match (data, text_member(&mut file, "file_id", at)?) {
        (Some(url), None) => FileSource::Url(read_url(url, &at.field("file_data"))?),
        (None, Some(id)) => FileSource::Id(id),
        _ => return Err(at.fault("must have either `file_data` or `file_id`")),
    };
    Ok(PartBody::File { name, source })
}

pub(in crate::dialect) fn read_url(url: String, at: &Path<'_>) -> Result<String, GatewayError> {
    let known =
        |scheme: &str| url.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme));
    if known("https://") || known("http://") || known("data:") {
        Ok(url)
    } else {
        Err(at.fault("must be a URL that begins with https:, http: or data:"))
    }
}

/// Reads `cache_control`.
pub(in crate::dialect) fn cache_mark(
    json: Json<'_>,
    at: &Path<'_>,
) -> Result<CacheMark, GatewayError> {
    let mut members = json.object(at)?;
    if text_member(&mut members, "type", at)?.as_deref() != Some("ephemeral") {
        return Err(at.field("type").fault("must be \"ephemeral\""));
    }
    match text_member(&mut members, "ttl", at)?.as_deref() {
        None => Ok(CacheMark::Default),
        Some("5m") => Ok(CacheMark::FiveMinutes),
        Some("1h") => Ok(CacheMark::Hour),
        Some(_) => Err(at.field("ttl").fault(one_of(&["5m", "1h"]))),
    }
}

/// Reads `reasoning_details`, or the plain text in `reasoning` or `reasoning_content`.
pub(in crate::dialect) fn read_reasoning(
    members: &mut Object<'_>,
    at: &Path<'_>,
) -> Result<Vec<ReasoningBlock>, GatewayError> {
    let plain = text_member(members, "reasoning", at)?;
    let plain = text_member(members, "reasoning_content", at)?.or(plain);
    let at = at.field("reasoning_details");
    let Some(json) = members.take("reasoning_details", &at)? else {
        let text = plain.filter(|text| !text.is_empty());
        let body = text.map(|text| ReasoningBody::Text { text, signature: None });
        let block = body.map(|body| ReasoningBlock { id: None, body, format: None });
        return Ok(block.into_iter().collect());
    };
    let mut blocks = Vec::new();
    let mut open = None;
    for (i, item) in json.array(&at)?.into_iter().enumerate() {
        read_detail(item, &mut blocks, &mut open, &at.item(i))?;
    }
    Ok(blocks)
}

/// Reads one entry. Clients that collect a stream's pieces hand them back as they came: text
/// under the same index belongs to one block until its signature. `open` is the index of the block
/// that may go on.
fn read_detail(
    json: Json<'_>,
    blocks: &mut Vec<ReasoningBlock>,
    open: &mut Option<i64>,
    at: &Path<'_>,
) -> Result<(), GatewayError> {
    let mut members = json.object(at)?;
    let kind = text_member(&mut members, "type", at)?;
    let id = text_member(&mut members, "id", at)?;
    let format = text_member(&mut members, "format", at)?;
    let index = members.take("index", &at.field("index"))?;
    let index = index.map(|json| json.integer(&at.field("index"))).transpose()?;
    match kind.as_deref() {
        Some("reasoning.text") => {
            let piece = text_member(&mut members, "text", at)?.unwrap_or_default();
            let by = text_member(&mut members, "signature", at)?;
            let closed = by.is_some();
            match blocks.last_mut().map(|block| &mut block.body) {
                Some(ReasoningBody::Text { text, signature: signature @ None })
                    if index.is_some() && *open == index =>
                {
                    text.push_str(&piece);
                    *signature = by;
                }
                _ => {
                    let body = ReasoningBody::Text { text: piece, signature: by };
                    blocks.push(ReasoningBlock { id, body, format });
                }
            }
            *open = index.filter(|_| !closed);
        }
        Some("reasoning.encrypted") => {
            let data = required(&mut members, "data", at)?;
            blocks.push(ReasoningBlock { id, body: ReasoningBody::Encrypted(data), format });
            *open = None;
        }
        Some("reasoning.summary") => {
            let piece = text_member(&mut members, "summary", at)?.unwrap_or_default();
            match blocks.last_mut().map(|block| &mut block.body) {
                Some(ReasoningBody::Summary(text)) if index.is_some() && *open == index => {
                    text.push_str(&piece);
                }
                _ => {
                    blocks.push(ReasoningBlock { id, body: ReasoningBody::Summary(piece), format });
                }
            }
            *open = index;
        }
        // The gateway's own tool calls are for reading, not for replay.
        Some(_) => *open = None,
        None => return Err(at.field("type").fault("must be a string")),
    }
    Ok(())
}
