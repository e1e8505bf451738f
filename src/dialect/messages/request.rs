//! A body of `POST /v1/messages` → the hub's request.

use serde_json::value::RawValue;

use super::content::{Losses, Raw, text};
use super::tools::{read_choice, read_tools};
use super::turns::{read_messages, read_system};
use crate::dialect::Surface;
use crate::dialect::chat::messages::{cache_mark, text_member};
use crate::dialect::chat::request::one_of;
use crate::dialect::ir::{Effort, RawJson, Reasoning, Request, ResponseFormat};
use crate::dialect::tree::{Body, Json, Path, raw_object};
use crate::error::{GatewayError, Kind};

/// The members that are read as trees. All others are kept as text: what the model sees as JSON,
/// because its key order and number forms matter, and what is not known here.
const TREE: [&str; 13] = [
    "model",
    "max_tokens",
    "stop_sequences",
    "temperature",
    "top_p",
    "top_k",
    "stream",
    "metadata",
    "thinking",
    "service_tier",
    "cache_control",
    "tool_choice",
    "user",
];

/// Reads and checks a request.
///
/// # Errors
/// The body is no JSON object (with the position), or a member has a wrong type or value, comes
/// twice, or breaks a rule of calls and results. `param` then names the place, as
/// `messages[2].content[0].type`, and the text says what is allowed. No text of the prompt is
/// repeated.
pub fn read_request(body: &[u8]) -> Result<Request, GatewayError> {
    let text = simdutf8::basic::from_utf8(body).map_err(|_| {
        GatewayError::new(Kind::InvalidRequest, "The body is not valid JSON: it is not UTF-8.")
    })?;
    let mut body = Body::parse(text, &TREE)?;
    let mut losses = Losses::default();
    let mut request = Request { surface: Surface::Messages, ..Request::default() };
    read_scalars(&mut body, &mut request)?;
    if let Some(raw) = body.raw.take("tools", &TOOLS)? {
        request.tools = read_tools(raw, &TOOLS, &mut losses)?;
    }
    if let Some(json) = body.tree.take("tool_choice", &CHOICE)? {
        let (choice, parallel) = read_choice(json, &request.tools, &CHOICE)?;
        (request.tool_choice, request.parallel_tool_calls) = (Some(choice), parallel);
    }
    if let Some(raw) = body.raw.take("system", &SYSTEM)? {
        request.messages.extend(read_system(raw, &SYSTEM)?);
    }
    let messages = body.raw.take("messages", &MESSAGES)?;
    let messages = messages.ok_or_else(|| MESSAGES.fault("must be given"))?;
    read_messages(messages, &MESSAGES, &mut losses, &mut request.messages)?;
    read_thinking(&mut body, &mut request, &mut losses)?;
    request.rest = read_rest(body)?;
    request.losses = losses.into_list();
    Ok(request)
}

const TOOLS: Path<'_> = Path::Top("tools");
const CHOICE: Path<'_> = Path::Top("tool_choice");
const SYSTEM: Path<'_> = Path::Top("system");
const MESSAGES: Path<'_> = Path::Top("messages");

/// Takes a top-level member and reads it.
fn top<'a, T>(
    body: &mut Body<'a>,
    name: &str,
    reader: impl FnOnce(Json<'a>, &Path<'_>) -> Result<T, GatewayError>,
) -> Result<Option<T>, GatewayError> {
    let at = Path::Top(name);
    body.tree.take(name, &at)?.map(|value| reader(value, &at)).transpose()
}

fn read_scalars(body: &mut Body<'_>, request: &mut Request) -> Result<(), GatewayError> {
    let text = |json: Json<'_>, at: &Path<'_>| json.text(at).map(std::borrow::Cow::into_owned);
    request.model = top(body, "model", text)?;
    let tokens = top(body, "max_tokens", |json, at| json.whole(1, u32::MAX, at))?;
    let absent = || Path::Top("max_tokens").fault("must be given: the longest answer in tokens");
    request.max_tokens = Some(tokens.ok_or_else(absent)?);
    request.stop = top(body, "stop_sequences", texts)?.unwrap_or_default();
    let mut range = |name: &str| top(body, name, |json, at| json.number(0.0, 1.0, at));
    request.sampling.temperature = range("temperature")?;
    request.sampling.top_p = range("top_p")?;
    request.sampling.top_k = top(body, "top_k", |json, at| json.whole(0, u32::MAX, at))?;
    request.stream = top(body, "stream", |json, at| json.boolean(at))?.unwrap_or(false);
    request.cache = top(body, "cache_control", cache_mark)?;
    // OpenAI's word for the tier without surcharge.
    let tier = top(body, "service_tier", text)?;
    request.service_tier =
        tier.map(|tier| if tier == "standard_only" { "default".into() } else { tier });
    let user = top(body, "metadata", |json, at| text_member(&mut json.object(at)?, "user_id", at))?;
    request.user = top(body, "user", text)?.or(user.flatten());
    Ok(())
}

fn texts(json: Json<'_>, at: &Path<'_>) -> Result<Vec<String>, GatewayError> {
    let items = json.array(at)?.into_iter().enumerate();
    items.map(|(i, item)| Ok(item.text(&at.item(i))?.into_owned())).collect()
}

/// `thinking`, and `output_config` with its `effort` and `format`.
fn read_thinking(
    body: &mut Body<'_>,
    request: &mut Request,
    losses: &mut Losses,
) -> Result<(), GatewayError> {
    const CONFIG: Path<'_> = Path::Top("output_config");
    const FORMAT: Path<'_> = Path::Top("output_format");
    let mut reasoning = top(body, "thinking", read_thinking_object)?;
    if let Some(raw) = body.raw.take("output_config", &CONFIG)? {
        let mut config = raw_object(raw, &CONFIG)?;
        let place = CONFIG.field("format");
        let format = config.take("format", &place)?.map(|raw| read_format(raw, &place));
        request.response_format = format.transpose()?;
        if let Some(effort) = read_config_effort(&mut config, &CONFIG)? {
            set_effort(&mut reasoning, effort, losses);
        }
    }
    // The form before `output_config`, which SDKs of 2025 send.
    if let Some(raw) = body.raw.take("output_format", &FORMAT)? {
        let format = read_format(raw, &FORMAT)?;
        request.response_format.get_or_insert(format);
    }
    request.reasoning = reasoning;
    Ok(())
}

fn read_config_effort(config: &mut Raw<'_>, at: &Path<'_>) -> Result<Option<Effort>, GatewayError> {
    const LEVELS: [&str; 5] = ["low", "medium", "high", "xhigh", "max"];
    let Some(level) = text(config, "effort", at)? else { return Ok(None) };
    let named = Effort::NAMES.iter().find(|(name, _)| *name == level && LEVELS.contains(name));
    let (_, effort) = named.ok_or_else(|| at.field("effort").fault(one_of(&LEVELS)))?;
    Ok(Some(*effort))
}

/// The hub knows a level or a number of tokens, not both.
fn set_effort(reasoning: &mut Option<Reasoning>, effort: Effort, losses: &mut Losses) {
    let reasoning = reasoning.get_or_insert_default();
    if reasoning.max_tokens.is_some() {
        losses.add("output_config.effort", "gives way to `thinking.budget_tokens`");
    } else if reasoning.enabled == Some(false) {
        losses.add("output_config.effort", "has no meaning here without thinking");
    } else {
        reasoning.effort = Some(effort);
    }
}

fn read_thinking_object(json: Json<'_>, at: &Path<'_>) -> Result<Reasoning, GatewayError> {
    const KINDS: [&str; 4] = ["enabled", "disabled", "adaptive", "between_tools"];
    let mut members = json.object(at)?;
    let kind = text_member(&mut members, "type", at)?;
    let place = at.field("budget_tokens");
    let budget = members.take("budget_tokens", &place)?;
    let display = text_member(&mut members, "display", at)?;
    let exclude = match display.as_deref() {
        None | Some("summarized") => false,
        Some("omitted") => true,
        Some(_) => return Err(at.field("display").fault(one_of(&["summarized", "omitted"]))),
    };
    let on = Reasoning { enabled: Some(true), exclude, ..Reasoning::default() };
    match kind.as_deref() {
        Some("enabled") => {
            let budget = budget.ok_or_else(|| place.fault("must be given"))?;
            Ok(Reasoning { max_tokens: Some(budget.whole(1, u32::MAX, &place)?), ..on })
        }
        Some("adaptive" | "between_tools") => Ok(on),
        Some("disabled") => Ok(Reasoning { enabled: Some(false), ..Reasoning::default() }),
        _ => Err(at.field("type").fault(one_of(&KINDS))),
    }
}

/// A schema has no name here, and other providers want one.
const FORMAT_NAME: &str = "answer";

fn read_format(raw: &RawValue, at: &Path<'_>) -> Result<ResponseFormat, GatewayError> {
    let mut members = raw_object(raw, at)?;
    if text(&mut members, "type", at)?.as_deref() != Some("json_schema") {
        return Err(at.field("type").fault("must be \"json_schema\""));
    }
    let place = at.field("schema");
    let schema = members.take("schema", &place)?.ok_or_else(|| place.fault("must be given"))?;
    raw_object(schema, &place)?;
    let (name, schema) = (FORMAT_NAME.to_owned(), RawJson::new(schema));
    Ok(ResponseFormat::JsonSchema { name, description: None, schema, strict: Some(true) })
}

/// What is not acted on here, as written.
fn read_rest(body: Body<'_>) -> Result<Vec<(String, RawJson)>, GatewayError> {
    let mut seen = std::collections::HashSet::new();
    let mut rest = Vec::new();
    for (name, raw) in body.raw.into_rest() {
        if !seen.insert(name.clone()) {
            let bounded: String = name.chars().take(64).collect();
            return Err(Path::Top(&bounded).fault("is given twice"));
        }
        rest.push((name.into_owned(), RawJson::new(raw)));
    }
    Ok(rest)
}
