//! A body of `POST /v1/responses` → the hub's request.

use serde_json::value::RawValue;

use super::echo::rest;
use super::items::read_input;
use super::tools::{read_choice, read_tools};
use crate::dialect::Surface;
use crate::dialect::chat::messages::{Object, cache_mark, text_member};
use crate::dialect::chat::request::{one_of, raw_text, read_effort, read_verbosity};
use crate::dialect::ir::{
    Message, Part, PartBody, RawJson, Reasoning, Request, ResponseFormat, Verbosity,
};
use crate::dialect::tree::{Body, Json, Members, Path, raw_object, tree};
use crate::error::{GatewayError, Kind};

/// The members that are read as trees. All others are kept as text: schemas, because their key
/// order and number forms matter to the model, what the answer repeats, and what is not known here.
const TREE: [&str; 20] = [
    "model",
    "input",
    "store",
    "previous_response_id",
    "conversation",
    "background",
    "prompt",
    "stream",
    "parallel_tool_calls",
    "max_output_tokens",
    "temperature",
    "top_p",
    "top_k",
    "top_logprobs",
    "service_tier",
    "prompt_cache_key",
    "modalities",
    "user",
    "safety_identifier",
    "cache_control",
];

/// Members that are read here and that the answer repeats as the client wrote them: they stay in
/// [`Request::rest`] too.
pub(super) const REPEATED: [&str; 5] =
    ["instructions", "tools", "tool_choice", "text", "reasoning"];

/// Reads and checks a request.
///
/// What is not carried: the ids of messages and calls, `phase` of messages, annotations of earlier
/// answers. Tools that a provider runs itself, and what they left in the
/// conversation, are noted in [`Request::losses`].
///
/// # Errors
/// The body is not a JSON object, or a member has a wrong type or value, comes twice, needs state
/// that the gateway does not keep, or breaks a rule of tool calls. `param` then names the place, as
/// `input[2].content[0].type`, and the text says what is allowed. No text of the prompt is
/// repeated.
pub fn read_request(body: &[u8]) -> Result<Request, GatewayError> {
    let text = simdutf8::basic::from_utf8(body).map_err(|_| {
        GatewayError::new(Kind::InvalidRequest, "The body is not valid JSON: it is not UTF-8.")
    })?;
    let mut body = Body::parse(text, &TREE)?;
    refuse_state(&mut body)?;
    let mut request = Request { surface: Surface::Responses, ..Request::default() };
    let kept = read_repeated(&mut body, &mut request)?;
    read_scalars(&mut body, &mut request)?;
    const INPUT: Path<'_> = Path::Top("input");
    let input = body
        .tree
        .take("input", &INPUT)?
        .ok_or_else(|| INPUT.fault("must be given: a string or an array of items"))?;
    let mut messages = read_input(input, &mut request.losses, &INPUT)?;
    request.messages.append(&mut messages);
    if request.messages.is_empty() {
        return Err(INPUT.fault("must have at least one item that this model can be given"));
    }
    const METADATA: Path<'_> = Path::Top("metadata");
    if let Some(raw) = body.raw.take("metadata", &METADATA)? {
        raw_object(raw, &METADATA)?;
        request.metadata = Some(RawJson::new(raw));
    }
    request.rest = kept;
    read_rest(body, &mut request.rest)?;
    if request.logprobs.is_none() && includes(&request, LOGPROBS) {
        request.logprobs = Some(0);
    }
    Ok(request)
}

/// What `include` has if log probabilities are wanted.
pub(super) const LOGPROBS: &str = "message.output_text.logprobs";

/// Whether the client's `include` has this.
pub(super) fn includes(request: &Request, what: &str) -> bool {
    let include = rest(request, "include");
    let include = include.and_then(|raw| serde_json::from_str::<Vec<String>>(raw).ok());
    include.is_some_and(|list| list.iter().any(|name| name == what))
}

/// What would need a memory of earlier answers.
fn refuse_state(body: &mut Body<'_>) -> Result<(), GatewayError> {
    for name in ["store", "background"] {
        let at = Path::Top(name);
        let wanted = body.tree.take(name, &at)?.map(|json| json.boolean(&at)).transpose()?;
        if wanted == Some(true) {
            let what = match name {
                "store" => "must be false or left out: answers are not kept here",
                _ => {
                    "must be false or left out: an answer comes only on the request's own connection"
                }
            };
            return Err(at.fault(what));
        }
    }
    for (name, what) in [
        (
            "previous_response_id",
            "must be null or left out: answers are not kept here; send the whole conversation in `input`",
        ),
        (
            "conversation",
            "must be null or left out: conversations are not kept here; send all of it in `input`",
        ),
        (
            "prompt",
            "must be left out: templates are not kept here; send the text in `instructions`",
        ),
    ] {
        let at = Path::Top(name);
        if body.tree.take(name, &at)?.is_some() {
            return Err(at.fault(what));
        }
    }
    Ok(())
}

/// Reads the members of [`REPEATED`], and gives them back as they were written.
fn read_repeated(
    body: &mut Body<'_>,
    request: &mut Request,
) -> Result<Vec<(String, RawJson)>, GatewayError> {
    let mut kept = Vec::new();
    let mut take = |name: &str| {
        let raw = body.raw.take(name, &Path::Top(name))?;
        if let Some(raw) = raw {
            kept.push((name.to_owned(), RawJson::new(raw)));
        }
        Ok::<_, GatewayError>(raw)
    };
    if let Some(raw) = take("instructions")? {
        let body = PartBody::Text(raw_text(raw, &Path::Top("instructions"))?);
        let parts = vec![Part { body, cache: None }];
        request.messages.push(Message::System { parts, name: None });
    }
    const TOOLS: Path<'_> = Path::Top("tools");
    if let Some(raw) = take("tools")? {
        request.tools = read_tools(raw, &mut request.losses, &TOOLS)?;
    }
    const CHOICE: Path<'_> = Path::Top("tool_choice");
    if let Some(raw) = take("tool_choice")? {
        let choice = read_choice(tree(raw, &CHOICE)?, &request.tools, &mut request.losses)?;
        request.tool_choice = Some(choice);
    }
    if let Some(raw) = take("text")? {
        (request.response_format, request.verbosity) = read_text(raw, &Path::Top("text"))?;
    }
    if let Some(raw) = take("reasoning")? {
        let at = Path::Top("reasoning");
        request.reasoning = Some(read_reasoning(tree(raw, &at)?.object(&at)?, &at)?);
    }
    Ok(kept)
}

fn read_scalars(body: &mut Body<'_>, request: &mut Request) -> Result<(), GatewayError> {
    let text = |json: Json<'_>, at: &Path<'_>| json.text(at).map(std::borrow::Cow::into_owned);
    let boolean = |json: Json<'_>, at: &Path<'_>| json.boolean(at);
    request.model = top(body, "model", text)?;
    request.stream = top(body, "stream", boolean)?.unwrap_or(false);
    request.parallel_tool_calls = top(body, "parallel_tool_calls", boolean)?;
    request.max_tokens = top(body, "max_output_tokens", |json, at| json.whole(1, u32::MAX, at))?;
    request.sampling.temperature = top(body, "temperature", |json, at| json.number(0.0, 2.0, at))?;
    request.sampling.top_p = top(body, "top_p", |json, at| json.number(0.0, 1.0, at))?;
    request.sampling.top_k = top(body, "top_k", |json, at| json.whole(0, u32::MAX, at))?;
    let logprobs = top(body, "top_logprobs", |json, at| json.whole(0, 20, at))?;
    request.logprobs = logprobs.filter(|&alternatives| alternatives > 0);
    request.service_tier = top(body, "service_tier", text)?;
    request.prompt_cache_key = top(body, "prompt_cache_key", text)?;
    request.cache = top(body, "cache_control", cache_mark)?;
    let user = top(body, "user", text)?;
    request.user = top(body, "safety_identifier", text)?.or(user);
    request.modalities = top(body, "modalities", |json, at| {
        let items = json.array(at)?.into_iter().enumerate();
        items.map(|(i, item)| text(item, &at.item(i))).collect()
    })?
    .unwrap_or_default();
    Ok(())
}

/// Takes a top-level member and reads it.
fn top<'a, T>(
    body: &mut Body<'a>,
    name: &str,
    reader: impl FnOnce(Json<'a>, &Path<'_>) -> Result<T, GatewayError>,
) -> Result<Option<T>, GatewayError> {
    let at = Path::Top(name);
    body.tree.take(name, &at)?.map(|json| reader(json, &at)).transpose()
}

fn read_reasoning(mut members: Object<'_>, at: &Path<'_>) -> Result<Reasoning, GatewayError> {
    let mut take = |name: &str| members.take(name, &at.field(name));
    let place = at.field("effort");
    let effort = take("effort")?.map(|json| read_effort(json, &place)).transpose()?;
    let place = at.field("max_tokens");
    let max_tokens = take("max_tokens")?.map(|json| json.whole(1, u32::MAX, &place)).transpose()?;
    if effort.is_some() && max_tokens.is_some() {
        return Err(place.fault("must not be given together with `reasoning.effort`"));
    }
    let place = at.field("exclude");
    let exclude = take("exclude")?.map(|json| json.boolean(&place)).transpose()?.unwrap_or(false);
    let place = at.field("enabled");
    let enabled = take("enabled")?.map(|json| json.boolean(&place)).transpose()?;
    for name in ["summary", "generate_summary"] {
        const SUMMARIES: [&str; 3] = ["auto", "concise", "detailed"];
        let summary = text_member(&mut members, name, at)?;
        if summary.is_some_and(|summary| !SUMMARIES.contains(&summary.as_str())) {
            return Err(at.field(name).fault(one_of(&SUMMARIES)));
        }
    }
    Ok(Reasoning { effort, max_tokens, exclude, enabled })
}

type Text = (Option<ResponseFormat>, Option<Verbosity>);

fn read_text(raw: &RawValue, at: &Path<'_>) -> Result<Text, GatewayError> {
    let mut members = raw_object(raw, at)?;
    let place = at.field("verbosity");
    let verbosity = members.take("verbosity", &place)?;
    let verbosity = verbosity.map(|raw| read_verbosity(tree(raw, &place)?, &place)).transpose()?;
    let place = at.field("format");
    let format = members.take("format", &place)?;
    Ok((format.map(|raw| read_format(raw, &place)).transpose()?, verbosity))
}

fn read_format(raw: &RawValue, at: &Path<'_>) -> Result<ResponseFormat, GatewayError> {
    let mut members = raw_object(raw, at)?;
    match raw_member(&mut members, "type", at)?.unwrap_or_default().as_str() {
        "text" => Ok(ResponseFormat::Text),
        "json_object" => Ok(ResponseFormat::JsonObject),
        "json_schema" => {
            let name = raw_member(&mut members, "name", at)?;
            let name = name.ok_or_else(|| at.field("name").fault("must be given"))?;
            let description = raw_member(&mut members, "description", at)?;
            let place = at.field("strict");
            let strict = members.take("strict", &place)?;
            let strict = strict.map(|raw| tree(raw, &place)?.boolean(&place)).transpose()?;
            let place = at.field("schema");
            let schema = members.take("schema", &place)?;
            let schema = schema.ok_or_else(|| place.fault("must be given"))?;
            raw_object(schema, &place)?;
            Ok(ResponseFormat::JsonSchema {
                name,
                description,
                schema: RawJson::new(schema),
                strict,
            })
        }
        _ => Err(at.field("type").fault(one_of(&["text", "json_object", "json_schema"]))),
    }
}

/// A string member of an object that was kept as text.
pub(super) fn raw_member(
    members: &mut Members<'_, &RawValue>,
    name: &str,
    at: &Path<'_>,
) -> Result<Option<String>, GatewayError> {
    let at = at.field(name);
    members.take(name, &at)?.map(|raw| raw_text(raw, &at)).transpose()
}

/// What is not acted on here, as written.
fn read_rest(body: Body<'_>, rest: &mut Vec<(String, RawJson)>) -> Result<(), GatewayError> {
    let mut seen = std::collections::HashSet::new();
    for (name, raw) in body.raw.into_rest() {
        if !seen.insert(name.clone()) {
            let bounded: String = name.chars().take(64).collect();
            return Err(Path::Top(&bounded).fault("is given twice"));
        }
        rest.push((name.into_owned(), RawJson::new(raw)));
    }
    Ok(())
}
