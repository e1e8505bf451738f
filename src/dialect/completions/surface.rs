//! A body of `POST /v1/completions` → the hub's request.

use crate::dialect::Surface;
use crate::dialect::chat::request::{
    read_format, read_reasoning, read_rest, read_sampling, read_stop, top,
};
use crate::dialect::ir::{Message, Part, PartBody, RawJson, Request};
use crate::dialect::tree::{Body, Json, Path, raw_object};
use crate::error::{GatewayError, Kind};

/// The members that are read as trees.
const TREE: [&str; 24] = [
    "model",
    "prompt",
    "suffix",
    "echo",
    "best_of",
    "logprobs",
    "n",
    "stop",
    "max_tokens",
    "stream",
    "user",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "top_a",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "reasoning",
    "reasoning_effort",
    "include_reasoning",
    "prompt_cache_key",
];

/// Reads and checks a request.
///
/// The prompt is one text, given as such or as the only one of a list: several texts would be
/// several conversations. Tokens mean something to one model only and are refused, as are `suffix`
/// and `echo: true`, which ask for what a chat cannot give, and a `best_of` above `n`. Log
/// probabilities have no place in the answer and are dropped.
///
/// # Errors
/// The body is no JSON object, or a member has a wrong type or value; `param` names the place.
pub fn read_request(body: &[u8]) -> Result<Request, GatewayError> {
    let text = simdutf8::basic::from_utf8(body).map_err(|_| {
        GatewayError::new(Kind::InvalidRequest, "The body is not valid JSON: it is not UTF-8.")
    })?;
    let mut body = Body::parse(text, &TREE)?;
    let prompt = top(&mut body, "prompt", read_prompt)?;
    let prompt = prompt.ok_or_else(|| Path::Top("prompt").fault(PROMPT))?;
    let parts = vec![Part { body: PartBody::Text(prompt), cache: None }];
    let mut request = Request {
        surface: Surface::Completions,
        messages: vec![Message::User { parts, name: None }],
        ..Request::default()
    };
    refuse(&mut body)?;
    read_scalars(&mut body, &mut request)?;
    let at = Path::Top("response_format");
    let format = body.raw.take("response_format", &at)?;
    request.response_format = format.map(|raw| read_format(raw, &at)).transpose()?;
    let at = Path::Top("metadata");
    let metadata = body.raw.take("metadata", &at)?;
    let metadata = metadata.map(|raw| raw_object(raw, &at).map(|_| RawJson::new(raw)));
    request.metadata = metadata.transpose()?;
    request.rest = read_rest(body)?;
    Ok(request)
}

const PROMPT: &str = "must be a text, or a list of one text";

fn read_prompt(json: Json<'_>, at: &Path<'_>) -> Result<String, GatewayError> {
    let text = match json {
        Json::Text(text) => text,
        Json::Array(mut items) => match (items.len(), items.pop()) {
            (_, Some(Json::Number(..) | Json::Array(_))) => {
                return Err(at.fault("must be a text: tokens cannot be passed on to this model"));
            }
            (1, Some(Json::Text(text))) => text,
            _ => return Err(at.fault(PROMPT)),
        },
        _ => return Err(at.fault(PROMPT)),
    };
    if text.is_empty() {
        return Err(at.fault("must not be empty"));
    }
    Ok(text.into_owned())
}

/// What would need an answer that a chat cannot give.
fn refuse(body: &mut Body<'_>) -> Result<(), GatewayError> {
    let says = |json: Json<'_>, at: &Path<'_>| json.text(at).map(|text| !text.is_empty());
    if top(body, "suffix", says)? == Some(true) {
        return Err(Path::Top("suffix").fault("is not supported by this model"));
    }
    if top(body, "echo", |json, at| json.boolean(at))? == Some(true) {
        return Err(Path::Top("echo").fault("must be false for this model"));
    }
    Ok(())
}

fn read_scalars(body: &mut Body<'_>, request: &mut Request) -> Result<(), GatewayError> {
    let text = |json: Json<'_>, at: &Path<'_>| json.text(at).map(std::borrow::Cow::into_owned);
    request.model = top(body, "model", text)?;
    request.user = top(body, "user", text)?;
    request.prompt_cache_key = top(body, "prompt_cache_key", text)?;
    request.stream = top(body, "stream", |json, at| json.boolean(at))?.unwrap_or(false);
    request.n = top(body, "n", |json, at| json.whole(1, 128, at))?;
    let best_of = top(body, "best_of", |json, at| json.whole(1, 128, at))?;
    if best_of.is_some_and(|best_of| best_of != request.n.unwrap_or(1)) {
        return Err(Path::Top("best_of").fault("must be the same as `n`"));
    }
    request.stop = top(body, "stop", read_stop)?.unwrap_or_default();
    request.max_tokens = top(body, "max_tokens", |json, at| json.whole(1, u32::MAX, at))?;
    request.logprobs = top(body, "logprobs", |json, at| json.whole(0, 20, at))?;
    request.sampling = read_sampling(body)?;
    request.reasoning = read_reasoning(body)?;
    Ok(())
}
