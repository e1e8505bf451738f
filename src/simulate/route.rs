//! Where each dialect is served: paths, credentials and the headers that it demands.

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};

use super::config::ApiKey;
use crate::dialect::Dialect;

/// What a path says about a request.
#[derive(Default)]
pub(super) struct Route {
    /// The model, where it is not in the body.
    pub(super) model: Option<String>,
    /// Whether the answer is streamed, where the body does not say.
    pub(super) stream: Option<bool>,
}

/// What stands before a dialect's own path, after the provider's prefix.
pub(super) const fn base(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAi
        | Dialect::Responses
        | Dialect::Anthropic
        | Dialect::Mistral
        | Dialect::Completions => "/v1",
        Dialect::Azure | Dialect::Bedrock | Dialect::Ollama => "",
        Dialect::Gemini => "/v1beta",
        Dialect::Vertex | Dialect::VertexAnthropic => "/v1/projects/sim/locations/sim",
        Dialect::Cohere => "/v2",
    }
}

/// Where a dialect lists its models.
pub(super) const fn models(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Gemini => "/v1beta/models",
        Dialect::Ollama => "/api/tags",
        Dialect::Azure => "/openai/models",
        Dialect::Bedrock => "/foundation-models",
        _ => "/v1/models",
    }
}

/// The route of this path; `None` if the dialect has no such path.
pub(super) fn of(dialect: Dialect, path: &str, query: &str) -> Option<Route> {
    let rest = path.strip_prefix(base(dialect))?;
    let fixed = |wanted: &str| (rest == wanted).then(Route::default);
    let has = |pair: &str| query.split('&').any(|given| given.starts_with(pair));
    match dialect {
        Dialect::OpenAi | Dialect::Mistral => fixed("/chat/completions"),
        Dialect::Responses => fixed("/responses"),
        Dialect::Anthropic => fixed("/messages"),
        Dialect::Cohere => fixed("/chat"),
        Dialect::Ollama => fixed("/api/chat"),
        Dialect::Completions => fixed("/completions"),
        Dialect::Azure => {
            let deployment = rest.strip_prefix("/openai/deployments/")?;
            let deployment = deployment.strip_suffix("/chat/completions")?;
            has("api-version=").then_some(())?;
            Some(Route { model: segment(deployment), stream: None })
        }
        Dialect::Bedrock => {
            let (model, verb) = rest.strip_prefix("/model/")?.rsplit_once('/')?;
            verbed(model, verb, ["converse", "converse-stream"])
        }
        Dialect::Gemini | Dialect::Vertex => {
            let folder =
                if dialect == Dialect::Gemini { "/models/" } else { "/publishers/google/models/" };
            let (model, verb) = rest.strip_prefix(folder)?.rsplit_once(':')?;
            let route = verbed(model, verb, ["generateContent", "streamGenerateContent"])?;
            // Without `alt=sse` a real one streams one JSON array, which nobody asks for.
            (route.stream == Some(false) || has("alt=sse")).then_some(route)
        }
        Dialect::VertexAnthropic => {
            let (model, verb) =
                rest.strip_prefix("/publishers/anthropic/models/")?.rsplit_once(':')?;
            verbed(model, verb, ["rawPredict", "streamRawPredict"])
        }
    }
}

fn verbed(model: &str, verb: &str, [whole, stream]: [&str; 2]) -> Option<Route> {
    let streams = verb == stream;
    (streams || verb == whole)
        .then(|| segment(model).map(|model| Route { model: Some(model), stream: Some(streams) }))?
}

/// A segment of a path, with its percent-encoding undone; nothing if it is none.
fn segment(text: &str) -> Option<String> {
    if text.is_empty() || text.contains('/') {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let pair = [*high, *low];
                let pair = std::str::from_utf8(&pair).ok()?;
                bytes.push(u8::from_str_radix(pair, 16).ok()?);
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

/// Whether the credential is the one that is demanded. Where none is configured, hosts that are
/// often open demand none, and the others that some is sent.
pub(super) fn admits(dialect: Dialect, headers: &HeaderMap, key: Option<&ApiKey>) -> bool {
    // A signature is taken for good: only AWS could check it.
    let signed = |value: &HeaderValue| value.as_bytes().starts_with(b"AWS4-HMAC-SHA256 ");
    if dialect == Dialect::Bedrock && headers.get(&AUTHORIZATION).is_some_and(signed) {
        return true;
    }
    let sent = credential(dialect, headers);
    let open = matches!(
        dialect,
        Dialect::OpenAi | Dialect::Responses | Dialect::Completions | Dialect::Ollama
    );
    match key {
        Some(key) => sent.is_some_and(|sent| key.matches(sent)),
        None => open || sent.is_some_and(|sent| !sent.is_empty()),
    }
}

/// The credential that a request has, as its dialect sends it.
pub(super) fn credential(dialect: Dialect, headers: &HeaderMap) -> Option<&[u8]> {
    let header = |name: &HeaderName| headers.get(name).map(HeaderValue::as_bytes);
    let bearer = || header(&AUTHORIZATION)?.strip_prefix(b"Bearer ");
    match dialect {
        Dialect::Anthropic => header(&X_API_KEY).or_else(bearer),
        Dialect::Azure => header(&API_KEY).or_else(bearer),
        Dialect::Gemini => header(&X_GOOG_API_KEY),
        _ => bearer(),
    }
}

/// A header that is demanded and lacks.
pub(super) fn lacks(dialect: Dialect, headers: &HeaderMap) -> Option<&'static str> {
    (dialect == Dialect::Anthropic && !headers.contains_key(&ANTHROPIC_VERSION))
        .then_some("anthropic-version: header is required")
}

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const API_KEY: HeaderName = HeaderName::from_static("api-key");
const X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
