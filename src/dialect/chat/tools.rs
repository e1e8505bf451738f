//! Tools, calls, and the rule that every call is answered.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::messages::cache_mark;
use super::request::{one_of, raw_text};
use crate::dialect::ir::{Message, RawJson, Tool, ToolCall, ToolChoice};
use crate::dialect::tree::{Json, Path, raw_array, raw_object, tree};
use crate::error::GatewayError;

/// The most tools in one request; providers allow fewer.
const TOOLS_MAX: usize = 4096;

/// Checks the name of a function: 1 to 128 letters, digits, `_` and `-`.
pub(in crate::dialect) fn function_name(
    name: Option<String>,
    at: &Path<'_>,
) -> Result<String, GatewayError> {
    let ok = |name: &String| {
        (1..=128).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    name.filter(ok).ok_or_else(|| at.fault("must have 1 to 128 letters, digits, _ and -"))
}

/// Reads `tools`.
pub(in crate::dialect) fn read_tools(
    raw: &RawValue,
    at: &Path<'_>,
) -> Result<Vec<Tool>, GatewayError> {
    let items = raw_array(raw, TOOLS_MAX, at)?;
    items.into_iter().enumerate().map(|(i, item)| read_tool(item, &at.item(i))).collect()
}

fn read_tool(raw: &RawValue, at: &Path<'_>) -> Result<Tool, GatewayError> {
    let mut members = raw_object(raw, at)?;
    let place = at.field("type");
    let kind = members.take("type", &place)?.map(|raw| raw_text(raw, &place)).transpose()?;
    if kind.as_deref() != Some("function") {
        return Err(place.fault("must be \"function\" for this model"));
    }
    let outer_cache = members.take("cache_control", &at.field("cache_control"))?;
    let at = at.field("function");
    let function = members.take("function", &at)?.ok_or_else(|| at.fault("must be given"))?;
    let mut members = raw_object(function, &at)?;
    let place = at.field("name");
    let name = members.take("name", &place)?.map(|raw| raw_text(raw, &place)).transpose()?;
    let name = function_name(name, &place)?;
    let place = at.field("description");
    let description = members.take("description", &place)?;
    let description = description.map(|raw| raw_text(raw, &place)).transpose()?;
    let place = at.field("parameters");
    let parameters = members.take("parameters", &place)?;
    let parameters = parameters.map(|raw| raw_object(raw, &place).map(|_| RawJson::new(raw)));
    let place = at.field("strict");
    let strict = members.take("strict", &place)?.map(|raw| tree(raw, &place)?.boolean(&place));
    let place = at.field("cache_control");
    let cache = members.take("cache_control", &place)?.or(outer_cache);
    let cache = cache.map(|raw| cache_mark(tree(raw, &place)?, &place));
    Ok(Tool {
        name,
        description,
        parameters: parameters.transpose()?,
        strict: strict.transpose()?,
        cache: cache.transpose()?,
    })
}

/// Reads `tool_choice`.
pub(in crate::dialect) fn read_choice(
    json: Json<'_>,
    tools: &[Tool],
    at: &Path<'_>,
) -> Result<ToolChoice, GatewayError> {
    let choice = match json {
        Json::Text(text) => match text.as_ref() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" => ToolChoice::Required,
            _ => return Err(wrong_choice(at)),
        },
        Json::Object(_) => read_choice_object(json, tools, at)?,
        _ => return Err(wrong_choice(at)),
    };
    if tools.is_empty() && !matches!(choice, ToolChoice::Auto | ToolChoice::None) {
        return Err(at.fault("asks for a call, but `tools` is empty"));
    }
    Ok(choice)
}

fn wrong_choice(at: &Path<'_>) -> GatewayError {
    at.fault("must be \"auto\", \"none\", \"required\" or an object that names a function")
}

fn read_choice_object(
    json: Json<'_>,
    tools: &[Tool],
    at: &Path<'_>,
) -> Result<ToolChoice, GatewayError> {
    let mut members = json.object(at)?;
    let place = at.field("type");
    let kind = members.take("type", &place)?.map(|json| json.text(&place)).transpose()?;
    match kind.as_deref() {
        Some("function") => {
            let at = at.field("function");
            let function = members.take("function", &at)?.ok_or_else(|| at.fault("must be given"));
            known_name(function?, tools, &at).map(ToolChoice::Named)
        }
        Some("allowed_tools") => {
            let at = at.field("allowed_tools");
            let allowed = members.take("allowed_tools", &at)?;
            read_allowed(allowed.ok_or_else(|| at.fault("must be given"))?, tools, &at)
        }
        _ => Err(place.fault(one_of(&["function", "allowed_tools"]))),
    }
}

fn read_allowed(json: Json<'_>, tools: &[Tool], at: &Path<'_>) -> Result<ToolChoice, GatewayError> {
    let mut members = json.object(at)?;
    let place = at.field("mode");
    let mode = members.take("mode", &place)?.map(|json| json.text(&place)).transpose()?;
    let required = match mode.as_deref() {
        Some("auto") => false,
        Some("required") => true,
        _ => return Err(place.fault(one_of(&["auto", "required"]))),
    };
    let at = at.field("tools");
    let listed =
        members.take("tools", &at)?.ok_or_else(|| at.fault("must be given"))?.array(&at)?;
    let mut names = Vec::new();
    for (i, item) in listed.into_iter().enumerate() {
        let place = at.item(i);
        let mut members = item.object(&place)?;
        let at = place.field("function");
        let function = members.take("function", &at)?.ok_or_else(|| at.fault("must be given"))?;
        names.push(known_name(function, tools, &at)?);
    }
    if names.is_empty() {
        return Err(at.fault("must name at least one tool"));
    }
    Ok(ToolChoice::Allowed { names, required })
}

fn known_name(json: Json<'_>, tools: &[Tool], at: &Path<'_>) -> Result<String, GatewayError> {
    let mut members = json.object(at)?;
    let at = at.field("name");
    let name = members.take("name", &at)?.ok_or_else(|| at.fault("must be given"))?.text(&at)?;
    let known = tools.iter().any(|tool| tool.name == name);
    if known { Ok(name.into_owned()) } else { Err(at.fault("must be the name of one of `tools`")) }
}

/// Reads `tool_calls` of an assistant message.
pub(in crate::dialect) fn read_calls(
    json: Json<'_>,
    at: &Path<'_>,
) -> Result<Vec<ToolCall>, GatewayError> {
    let items = json.array(at)?;
    items.into_iter().enumerate().map(|(i, item)| read_call(item, &at.item(i))).collect()
}

fn read_call(json: Json<'_>, at: &Path<'_>) -> Result<ToolCall, GatewayError> {
    let mut members = json.object(at)?;
    let place = at.field("type");
    let kind = members.take("type", &place)?.map(|json| json.text(&place)).transpose()?;
    if kind.is_some_and(|kind| kind != "function") {
        return Err(place.fault("must be \"function\" for this model"));
    }
    let place = at.field("id");
    let id = members.take("id", &place)?.map(|json| json.text(&place)).transpose()?;
    let id = id.filter(|id| !id.is_empty()).ok_or_else(|| place.fault("must be given"))?;
    let at = at.field("function");
    let function = members.take("function", &at)?.ok_or_else(|| at.fault("must be given"))?;
    let mut members = function.object(&at)?;
    let place = at.field("name");
    let name = members.take("name", &place)?.map(|json| json.text(&place)).transpose()?;
    let name = function_name(name.map(Into::into), &place)?;
    let place = at.field("arguments");
    let arguments = members.take("arguments", &place)?.map(|json| json.text(&place)).transpose()?;
    let arguments = arguments.map(Into::into).unwrap_or_default();
    Ok(ToolCall { id: id.into_owned(), name, arguments })
}

/// Checks that each call of a turn is answered once, before anything else is said.
pub(in crate::dialect) fn check_turns(
    messages: &[Message],
    at: &Path<'_>,
) -> Result<(), GatewayError> {
    let mut turn = Turn::default();
    for (i, message) in messages.iter().enumerate() {
        match message {
            Message::Tool { call_id, .. } => match turn.open.remove(call_id.as_str()) {
                Some(_) => {}
                None => {
                    return Err(at.item(i).field("tool_call_id").fault(
                        "must be the id of a call, not answered yet, in the assistant message before",
                    ));
                }
            },
            Message::Assistant(said) => {
                turn.check_answered(at)?;
                turn.message = i;
                for (j, call) in said.tool_calls.iter().enumerate() {
                    if turn.open.insert(&call.id, j).is_some() {
                        let (calls, message) = ("tool_calls", at.item(i));
                        let calls = message.field(calls);
                        return Err(calls.item(j).field("id").fault("is given twice"));
                    }
                }
            }
            Message::System { .. } | Message::User { .. } => turn.check_answered(at)?,
        }
    }
    turn.check_answered(at)
}

/// The calls of a turn that are not answered yet, by id, with their places.
#[derive(Default)]
struct Turn<'m> {
    message: usize,
    open: HashMap<&'m str, usize>,
}

impl Turn<'_> {
    fn check_answered(&self, at: &Path<'_>) -> Result<(), GatewayError> {
        let Some(first) = self.open.values().min() else { return Ok(()) };
        let message = at.item(self.message);
        let calls = message.field("tool_calls");
        Err(calls
            .item(*first)
            .fault("must be answered by a message with role \"tool\" right after"))
    }
}
