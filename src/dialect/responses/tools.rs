//! Tools of a Responses request, and which of them is to be called.
//!
//! A custom tool takes free text. To every other dialect it is a function with one string,
//! [`INPUT`]; the answer's calls are turned back.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::request::raw_member;
use crate::dialect::chat::messages::{Object, text_member};
use crate::dialect::chat::request::one_of;
use crate::dialect::chat::tools::function_name;
use crate::dialect::ir::{Loss, RawJson, Tool, ToolChoice};
use crate::dialect::json;
use crate::dialect::tree::{Json, Path, raw_array, raw_object, tree};
use crate::error::GatewayError;

/// The most tools in one request; providers allow fewer.
const TOOLS_MAX: usize = 4096;

/// The one argument of the function that stands for a custom tool.
const INPUT: &str = "input";

const CUSTOM_SCHEMA: &str = r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}"#;

/// Reads `tools`. Those that a provider runs itself are left out and noted in `losses`.
pub(super) fn read_tools(
    raw: &RawValue,
    losses: &mut Vec<Loss>,
    at: &Path<'_>,
) -> Result<Vec<Tool>, GatewayError> {
    let mut tools: Vec<Tool> = Vec::new();
    for (i, item) in raw_array(raw, TOOLS_MAX, at)?.into_iter().enumerate() {
        let at = at.item(i);
        let mut members = raw_object(item, &at)?;
        match raw_member(&mut members, "type", &at)?.as_deref() {
            Some("function") => tools.push(read_function(item, &at)?),
            Some("custom") => tools.push(read_custom(item, &at)?),
            Some(_) => losses.push(Loss {
                param: at.to_string().into(),
                why: "is a tool that only its own provider runs",
            }),
            None => {
                return Err(at.field("type").fault("must be a string, for instance \"function\""));
            }
        }
    }
    Ok(tools)
}

fn read_function(raw: &RawValue, at: &Path<'_>) -> Result<Tool, GatewayError> {
    let mut members = raw_object(raw, at)?;
    let name = function_name(raw_member(&mut members, "name", at)?, &at.field("name"))?;
    let description = raw_member(&mut members, "description", at)?;
    let place = at.field("parameters");
    let parameters = members.take("parameters", &place)?;
    let parameters = parameters.map(|raw| raw_object(raw, &place).map(|_| RawJson::new(raw)));
    let parameters = parameters.transpose()?;
    let place = at.field("strict");
    let strict = members.take("strict", &place)?;
    let strict = strict.map(|raw| tree(raw, &place)?.boolean(&place)).transpose()?;
    // Strict is the default, but only for schemas that allow it: OpenAI rewrites others, which no
    // other provider does and where asking for it is an error.
    let fits = parameters.as_ref().is_some_and(|schema| is_strict(schema.as_str()));
    let strict = strict.or_else(|| fits.then_some(true));
    Ok(Tool { name, description, parameters, strict, cache: None })
}

/// Whether every object of a schema lists its properties, demands all of them, and allows no more.
fn is_strict(schema: &str) -> bool {
    fn fits(value: &Value) -> bool {
        let Value::Object(members) = value else {
            return !matches!(value, Value::Array(items) if !items.iter().all(fits));
        };
        if let Some(Value::Object(properties)) = members.get("properties") {
            let closed = members.get("additionalProperties") == Some(&Value::Bool(false));
            let required = members.get("required").and_then(Value::as_array);
            let count = required.map_or(0, Vec::len);
            if !closed || count != properties.len() || !properties.values().all(fits) {
                return false;
            }
        } else if members.get("type").and_then(Value::as_str) == Some("object") {
            return false;
        }
        members.iter().filter(|(name, _)| *name != "properties").all(|(_, value)| fits(value))
    }
    serde_json::from_str::<Value>(schema)
        .is_ok_and(|value| value.get("properties").is_some_and(Value::is_object) && fits(&value))
}

fn read_custom(raw: &RawValue, at: &Path<'_>) -> Result<Tool, GatewayError> {
    let mut members = raw_object(raw, at)?;
    let name = function_name(raw_member(&mut members, "name", at)?, &at.field("name"))?;
    let mut description = raw_member(&mut members, "description", at)?.unwrap_or_default();
    let place = at.field("format");
    if let Some(raw) = members.take("format", &place)? {
        let mut format = tree(raw, &place)?.object(&place)?;
        if text_member(&mut format, "type", &place)?.as_deref() == Some("grammar") {
            let syntax = text_member(&mut format, "syntax", &place)?;
            let definition = text_member(&mut format, "definition", &place)?;
            let definition =
                definition.ok_or_else(|| place.field("definition").fault("must be a string"))?;
            // No other dialect enforces a grammar; the model can still follow it.
            description.push_str("\n\n`input` must follow this grammar (");
            description.push_str(syntax.as_deref().unwrap_or("lark"));
            description.push_str("):\n");
            description.push_str(&definition);
        }
    }
    Ok(Tool {
        name,
        description: Some(description).filter(|text| !text.is_empty()),
        parameters: Some(RawJson::of_checked(CUSTOM_SCHEMA)),
        strict: Some(true),
        cache: None,
    })
}

/// Reads `tool_choice`.
pub(super) fn read_choice(
    json: Json<'_>,
    tools: &[Tool],
    losses: &mut Vec<Loss>,
) -> Result<ToolChoice, GatewayError> {
    const AT: Path<'_> = Path::Top("tool_choice");
    let choice = match json {
        Json::Text(text) => match text.as_ref() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" => ToolChoice::Required,
            _ => return Err(wrong_choice()),
        },
        Json::Object(_) => read_choice_object(json.object(&AT)?, tools, losses)?,
        _ => return Err(wrong_choice()),
    };
    if tools.is_empty() && !matches!(choice, ToolChoice::Auto | ToolChoice::None) {
        return Err(AT.fault("asks for a call, but `tools` has no function or custom tool"));
    }
    Ok(choice)
}

fn wrong_choice() -> GatewayError {
    const AT: Path<'_> = Path::Top("tool_choice");
    AT.fault(
        "must be \"auto\", \"none\", \"required\", {\"type\":\"function\",\"name\":…}, \
         {\"type\":\"custom\",\"name\":…} or {\"type\":\"allowed_tools\",…}",
    )
}

fn read_choice_object(
    mut members: Object<'_>,
    tools: &[Tool],
    losses: &mut Vec<Loss>,
) -> Result<ToolChoice, GatewayError> {
    const AT: Path<'_> = Path::Top("tool_choice");
    match text_member(&mut members, "type", &AT)?.as_deref() {
        Some("function" | "custom") => known_name(members, tools, &AT).map(ToolChoice::Named),
        Some("allowed_tools") => read_allowed(members, tools, losses),
        // A tool that only its own provider runs cannot be forced elsewhere.
        _ => Err(wrong_choice()),
    }
}

fn read_allowed(
    mut members: Object<'_>,
    tools: &[Tool],
    losses: &mut Vec<Loss>,
) -> Result<ToolChoice, GatewayError> {
    const AT: Path<'_> = Path::Top("tool_choice");
    let required = match text_member(&mut members, "mode", &AT)?.as_deref() {
        Some("auto") => false,
        Some("required") => true,
        _ => return Err(AT.field("mode").fault(one_of(&["auto", "required"]))),
    };
    let at = AT.field("tools");
    let listed = members.take("tools", &at)?.ok_or_else(|| at.fault("must be given"))?;
    let mut names = Vec::new();
    for (i, item) in listed.array(&at)?.into_iter().enumerate() {
        let at = at.item(i);
        let mut members = item.object(&at)?;
        match text_member(&mut members, "type", &at)?.as_deref() {
            Some("function" | "custom") => names.push(known_name(members, tools, &at)?),
            _ => losses.push(Loss {
                param: at.to_string().into(),
                why: "is a tool that only its own provider runs",
            }),
        }
    }
    if names.is_empty() {
        return Err(at.fault("must name at least one function or custom tool"));
    }
    Ok(ToolChoice::Allowed { names, required })
}

fn known_name(
    mut members: Object<'_>,
    tools: &[Tool],
    at: &Path<'_>,
) -> Result<String, GatewayError> {
    let name = text_member(&mut members, "name", at)?;
    name.filter(|name| tools.iter().any(|tool| tool.name == *name)).ok_or_else(|| {
        at.field("name").fault("must be the name of a function or custom tool in `tools`")
    })
}

/// A custom tool's text as the arguments of the function that stands for it.
pub(super) fn arguments_of_input(input: &str) -> String {
    let mut out = b"{\"input\":".to_vec();
    json::string(&mut out, input);
    out.push(b'}');
    String::from_utf8_lossy(&out).into_owned()
}

/// The text in such arguments; all of them where the model did not keep to the form.
pub(super) fn input_of_arguments(arguments: &str) -> String {
    let object = serde_json::from_str::<serde_json::Map<String, Value>>(arguments);
    match object.ok().and_then(|mut members| members.remove(INPUT)) {
        Some(Value::String(input)) => input,
        _ => arguments.to_owned(),
    }
}

/// The custom tools in a `tools` that was checked: their names, and as they were written.
pub(super) fn customs(tools: &str) -> Vec<(String, &RawValue)> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(rename = "type")]
        kind: String,
        #[serde(default)]
        name: String,
    }
    let list = serde_json::from_str::<Vec<&RawValue>>(tools).unwrap_or_default();
    let named = |raw: &'_ RawValue| {
        let named = serde_json::from_str::<Named>(raw.get()).ok()?;
        (named.kind == "custom").then_some(named.name)
    };
    list.into_iter().filter_map(|raw| Some((named(raw)?, raw))).collect()
}
