//! A body of `POST /v1/chat/completions` → the hub's request.

use serde_json::value::RawValue;

use super::messages::{cache_mark, read_messages};
use super::tools::{check_turns, read_choice, read_tools};
use crate::dialect::ir::{
    Effort, RawJson, Reasoning, Request, ResponseFormat, Sampling, Verbosity,
};
use crate::dialect::tree::{Body, Json, Path, raw_object, tree};
use crate::error::{GatewayError, Kind};

/// The members that are read as trees. All others are kept as text: schemas, because their key
/// order and number forms matter to the model, and what is not known here.
const TREE: [&str; 31] = [
    "model",
    "messages",
    "tool_choice",
    "parallel_tool_calls",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "top_a",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "n",
    "stop",
    "max_tokens",
    "max_completion_tokens",
    "stream",
    "reasoning",
    "reasoning_effort",
    "include_reasoning",
    "verbosity",
    "logprobs",
    "top_logprobs",
    "service_tier",
    "prompt_cache_key",
    "modalities",
    "user",
    "cache_control",
    "functions",
    "function_call",
];

/// Reads and checks a request.
///
/// # Errors
/// The body is not a JSON object (with the position), or a member has a wrong type or value, comes
/// twice, or breaks a rule of tool calls. `param` then names the place, as
/// `messages[2].content[0].type`, and the text says what is allowed. No text of the prompt is
/// repeated.
pub fn read_request(body: &[u8]) -> Result<Request, GatewayError> {
    let text = simdutf8::basic::from_utf8(body).map_err(|_| {
        GatewayError::new(Kind::InvalidRequest, "The body is not valid JSON: it is not UTF-8.")
    })?;
    let mut body = Body::parse(text, &TREE)?;
    refuse_legacy(&mut body)?;
    let tools = read(body.raw.take("tools", &TOOLS)?, &TOOLS, read_tools)?.unwrap_or_default();
    let choice = body.tree.take("tool_choice", &TOOL_CHOICE)?;
    let tool_choice = choice.map(|json| read_choice(json, &tools, &TOOL_CHOICE)).transpose()?;
    let messages = body.tree.take("messages", &MESSAGES)?;
    let messages = messages.ok_or_else(|| MESSAGES.fault("must be given"))?;
    let messages = read_messages(messages, &MESSAGES)?;
    check_turns(&messages, &MESSAGES)?;
    let mut request = Request { messages, tools, tool_choice, ..Request::default() };
    read_scalars(&mut body, &mut request)?;
    request.reasoning = read_reasoning(&mut body)?;
    const FORMAT: Path<'_> = Path::Top("response_format");
    request.response_format =
        read(body.raw.take("response_format", &FORMAT)?, &FORMAT, read_format)?;
    const METADATA: Path<'_> = Path::Top("metadata");
    request.metadata = read(body.raw.take("metadata", &METADATA)?, &METADATA, |raw, at| {
        raw_object(raw, at).map(|_| RawJson::new(raw))
    })?;
    request.rest = read_rest(body)?;
    Ok(request)
}

const MESSAGES: Path<'_> = Path::Top("messages");
const TOOLS: Path<'_> = Path::Top("tools");
const TOOL_CHOICE: Path<'_> = Path::Top("tool_choice");

fn read<V, T>(
    value: Option<V>,
    at: &Path<'_>,
    reader: impl FnOnce(V, &Path<'_>) -> Result<T, GatewayError>,
) -> Result<Option<T>, GatewayError> {
    value.map(|value| reader(value, at)).transpose()
}

/// What would need an answer in a form that is not written here.
fn refuse_legacy(body: &mut Body<'_>) -> Result<(), GatewayError> {
    for (name, instead) in [
        ("functions", "is no longer supported; use `tools`"),
        ("function_call", "is no longer supported; use `tool_choice`"),
    ] {
        let at = Path::Top(name);
        if body.tree.take(name, &at)?.is_some() {
            return Err(at.fault(instead));
        }
    }
    Ok(())
}

/// Takes a top-level member and reads it.
pub(in crate::dialect) fn top<'a, T>(
    body: &mut Body<'a>,
    name: &str,
    reader: impl FnOnce(Json<'a>, &Path<'_>) -> Result<T, GatewayError>,
) -> Result<Option<T>, GatewayError> {
    let at = Path::Top(name);
    read(body.tree.take(name, &at)?, &at, reader)
}

fn read_scalars(body: &mut Body<'_>, request: &mut Request) -> Result<(), GatewayError> {
    let text = |json: Json<'_>, at: &Path<'_>| json.text(at).map(std::borrow::Cow::into_owned);
    let boolean = |json: Json<'_>, at: &Path<'_>| json.boolean(at);
    let tokens = |json: Json<'_>, at: &Path<'_>| json.whole(1, u32::MAX, at);
    request.model = top(body, "model", text)?;
    request.user = top(body, "user", text)?;
    request.stream = top(body, "stream", boolean)?.unwrap_or(false);
    request.parallel_tool_calls = top(body, "parallel_tool_calls", boolean)?;
    request.n = top(body, "n", |json, at| json.whole(1, 128, at))?;
    request.stop = top(body, "stop", read_stop)?.unwrap_or_default();
    let longest = top(body, "max_tokens", tokens)?;
    request.max_tokens = top(body, "max_completion_tokens", tokens)?.or(longest);
    request.cache = top(body, "cache_control", cache_mark)?;
    request.service_tier = top(body, "service_tier", text)?;
    request.prompt_cache_key = top(body, "prompt_cache_key", text)?;
    request.verbosity = top(body, "verbosity", read_verbosity)?;
    let wanted = top(body, "logprobs", boolean)?;
    let alternatives = top(body, "top_logprobs", |json, at| json.whole(0, 20, at))?;
    if alternatives.is_some() && wanted != Some(true) {
        return Err(Path::Top("top_logprobs").fault("needs `logprobs` to be true"));
    }
    request.logprobs = wanted.filter(|wanted| *wanted).map(|_| alternatives.unwrap_or(0));
    request.modalities = top(body, "modalities", texts)?.unwrap_or_default();
    request.sampling = read_sampling(body)?;
    Ok(())
}

pub(in crate::dialect) fn read_sampling(body: &mut Body<'_>) -> Result<Sampling, GatewayError> {
    let mut range =
        |name: &str, min: f64, max: f64| top(body, name, |json, at| json.number(min, max, at));
    let mut sampling = Sampling {
        temperature: range("temperature", 0.0, 2.0)?,
        top_p: range("top_p", 0.0, 1.0)?,
        min_p: range("min_p", 0.0, 1.0)?,
        top_a: range("top_a", 0.0, 1.0)?,
        frequency_penalty: range("frequency_penalty", -2.0, 2.0)?,
        presence_penalty: range("presence_penalty", -2.0, 2.0)?,
        repetition_penalty: range("repetition_penalty", 0.0, 2.0)?,
        ..Sampling::default()
    };
    sampling.top_k = top(body, "top_k", |json, at| json.whole(0, u32::MAX, at))?;
    sampling.seed = top(body, "seed", |json, at| json.integer(at))?;
    Ok(sampling)
}

pub(in crate::dialect) fn read_stop(
    json: Json<'_>,
    at: &Path<'_>,
) -> Result<Vec<String>, GatewayError> {
    let what = "must be a string or an array of at most 4 strings";
    match json {
        Json::Text(text) => Ok(vec![text.into_owned()]),
        Json::Array(items) if items.len() <= Request::STOP_MAX => texts(Json::Array(items), at),
        _ => Err(at.fault(what)),
    }
}

fn texts(json: Json<'_>, at: &Path<'_>) -> Result<Vec<String>, GatewayError> {
    let items = json.array(at)?.into_iter().enumerate();
    items.map(|(i, item)| Ok(item.text(&at.item(i))?.into_owned())).collect()
}

/// `reasoning`, and its short forms `reasoning_effort` and `include_reasoning`.
pub(in crate::dialect) fn read_reasoning(
    body: &mut Body<'_>,
) -> Result<Option<Reasoning>, GatewayError> {
    let full = top(body, "reasoning", read_reasoning_object)?;
    let short = top(body, "reasoning_effort", read_effort)?;
    let include = top(body, "include_reasoning", |json, at| json.boolean(at))?;
    if full.is_none() && short.is_none() && include.is_none() {
        return Ok(None);
    }
    let explicit = full.is_some();
    let mut reasoning = full.unwrap_or_default();
    if let Some(effort) = short {
        let clash = reasoning.effort.is_some_and(|e| e != effort) || reasoning.max_tokens.is_some();
        if clash {
            return Err(Path::Top("reasoning_effort").fault("must not contradict `reasoning`"));
        }
        reasoning.effort = Some(effort);
    }
    // The older field says whether to show reasoning, where the newer object does not.
    if !explicit && include == Some(false) {
        reasoning.exclude = true;
    }
    Ok(Some(reasoning))
}

fn read_reasoning_object(json: Json<'_>, at: &Path<'_>) -> Result<Reasoning, GatewayError> {
    let mut members = json.object(at)?;
    let place = at.field("effort");
    let effort = read(members.take("effort", &place)?, &place, read_effort)?;
    let place = at.field("max_tokens");
    let tokens = |json: Json<'_>, at: &Path<'_>| json.whole(1, u32::MAX, at);
    let max_tokens = read(members.take("max_tokens", &place)?, &place, tokens)?;
    if effort.is_some() && max_tokens.is_some() {
        return Err(place.fault("must not be given together with `reasoning.effort`"));
    }
    let boolean = |json: Json<'_>, at: &Path<'_>| json.boolean(at);
    let place = at.field("exclude");
    let exclude = read(members.take("exclude", &place)?, &place, boolean)?.unwrap_or(false);
    let place = at.field("enabled");
    let enabled = read(members.take("enabled", &place)?, &place, boolean)?;
    Ok(Reasoning { effort, max_tokens, exclude, enabled })
}

pub(in crate::dialect) fn read_effort(
    json: Json<'_>,
    at: &Path<'_>,
) -> Result<Effort, GatewayError> {
    let text = json.text(at)?;
    Effort::NAMES
        .iter()
        .find(|(name, _)| *name == text)
        .map(|(_, effort)| *effort)
        .ok_or_else(|| at.fault(one_of(&Effort::NAMES.map(|(name, _)| name))))
}

/// Reads `verbosity`.
pub(in crate::dialect) fn read_verbosity(
    json: Json<'_>,
    at: &Path<'_>,
) -> Result<Verbosity, GatewayError> {
    let text = json.text(at)?;
    let found = Verbosity::NAMES.iter().find(|(name, _)| *name == text);
    found
        .map(|(_, verbosity)| *verbosity)
        .ok_or_else(|| at.fault(one_of(&Verbosity::NAMES.map(|(name, _)| name))))
}

pub(in crate::dialect) fn read_format(
    raw: &RawValue,
    at: &Path<'_>,
) -> Result<ResponseFormat, GatewayError> {
    let mut members = raw_object(raw, at)?;
    let place = at.field("type");
    let kind = read(members.take("type", &place)?, &place, raw_text)?.unwrap_or_default();
    match kind.as_str() {
        "text" => Ok(ResponseFormat::Text),
        "json_object" => Ok(ResponseFormat::JsonObject),
        "json_schema" => {
            let place = at.field("json_schema");
            let schema = members.take("json_schema", &place)?;
            read_schema(schema.ok_or_else(|| place.fault("must be given"))?, &place)
        }
        _ => Err(place.fault(one_of(&["text", "json_object", "json_schema"]))),
    }
}

fn read_schema(raw: &RawValue, at: &Path<'_>) -> Result<ResponseFormat, GatewayError> {
    let mut members = raw_object(raw, at)?;
    let place = at.field("name");
    let name = read(members.take("name", &place)?, &place, raw_text)?;
    let name = name.ok_or_else(|| place.fault("must be given"))?;
    let place = at.field("description");
    let description = read(members.take("description", &place)?, &place, raw_text)?;
    let place = at.field("strict");
    let strict = members.take("strict", &place)?.map(|raw| tree(raw, &place)?.boolean(&place));
    let strict = strict.transpose()?;
    let place = at.field("schema");
    let schema = members.take("schema", &place)?.ok_or_else(|| place.fault("must be given"))?;
    raw_object(schema, &place)?;
    Ok(ResponseFormat::JsonSchema { name, description, schema: RawJson::new(schema), strict })
}

/// A string that was kept as text.
pub(in crate::dialect) fn raw_text(raw: &RawValue, at: &Path<'_>) -> Result<String, GatewayError> {
    serde_json::from_str(raw.get()).map_err(|_| at.fault("must be a string"))
}

/// What is not acted on here, as written.
pub(in crate::dialect) fn read_rest(
    body: Body<'_>,
) -> Result<Vec<(String, RawJson)>, GatewayError> {
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

/// `must be one of "a", "b"`.
pub(in crate::dialect) fn one_of(names: &[&str]) -> String {
    format!("must be one of \"{}\"", names.join("\", \""))
}
