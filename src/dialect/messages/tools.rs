//! The tools of a request and which of them may be called.

use serde_json::value::RawValue;

use super::content::{Losses, mark, text};
use crate::dialect::chat::messages::text_member;
use crate::dialect::chat::request::one_of;
use crate::dialect::chat::tools::function_name;
use crate::dialect::ir::{RawJson, Tool, ToolChoice};
use crate::dialect::tree::{Json, Path, raw_array, raw_object, tree};
use crate::error::GatewayError;

/// The most tools in one request; providers allow fewer.
const TOOLS_MAX: usize = 4096;

/// Reads `tools`. A tool that Anthropic defines (`web_search_20250305`, `bash_20250124` …) means
/// nothing to another model, and is a loss.
pub(super) fn read_tools(
    raw: &RawValue,
    at: &Path<'_>,
    losses: &mut Losses,
) -> Result<Vec<Tool>, GatewayError> {
    let mut tools = Vec::new();
    for (i, item) in raw_array(raw, TOOLS_MAX, at)?.into_iter().enumerate() {
        tools.extend(read_tool(item, &at.item(i), losses)?);
    }
    Ok(tools)
}

fn read_tool(
    raw: &RawValue,
    at: &Path<'_>,
    losses: &mut Losses,
) -> Result<Option<Tool>, GatewayError> {
    let mut members = raw_object(raw, at)?;
    if text(&mut members, "type", at)?.is_some_and(|kind| kind != "custom") {
        losses.add(at, "is a tool that only Anthropic defines");
        return Ok(None);
    }
    let name = function_name(text(&mut members, "name", at)?, &at.field("name"))?;
    let description = text(&mut members, "description", at)?;
    let place = at.field("input_schema");
    let schema = members.take("input_schema", &place)?;
    let schema = schema.ok_or_else(|| place.fault("must be given: a JSON schema, an object"))?;
    raw_object(schema, &place)?;
    let place = at.field("strict");
    let strict = members.take("strict", &place)?.map(|raw| tree(raw, &place)?.boolean(&place));
    let (strict, cache) = (strict.transpose()?, mark(&mut members, at)?);
    Ok(Some(Tool { name, description, parameters: Some(RawJson::new(schema)), strict, cache }))
}

/// Reads `tool_choice`: which tools, and whether several calls in one turn are welcome if that is
/// said.
pub(super) fn read_choice(
    json: Json<'_>,
    tools: &[Tool],
    at: &Path<'_>,
) -> Result<(ToolChoice, Option<bool>), GatewayError> {
    let mut members = json.object(at)?;
    let kind = text_member(&mut members, "type", at)?;
    let place = at.field("disable_parallel_tool_use");
    let single = members.take("disable_parallel_tool_use", &place)?;
    let single = single.map(|json| json.boolean(&place)).transpose()?.unwrap_or(false);
    let choice = match kind.as_deref() {
        Some("auto") => ToolChoice::Auto,
        Some("none") => ToolChoice::None,
        Some("any") if tools.is_empty() => {
            return Err(at.fault("asks for a call, but no tool of `tools` can be called here"));
        }
        Some("any") => ToolChoice::Required,
        Some("tool") => {
            let name = text_member(&mut members, "name", at)?.unwrap_or_default();
            if !tools.iter().any(|tool| tool.name == name) {
                let what = "must be the name of one of `tools` that has an `input_schema`";
                return Err(at.field("name").fault(what));
            }
            ToolChoice::Named(name)
        }
        _ => return Err(at.field("type").fault(one_of(&["auto", "any", "tool", "none"]))),
    };
    Ok((choice, single.then_some(false)))
}
