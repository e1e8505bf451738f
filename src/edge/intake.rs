//! From a sound head to a request that knows its caller and what it asks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use http::{HeaderName, header};
use pingora::Result;
use pingora::proxy::Session;

use crate::auth;
use crate::cache::{self, Intent};
use crate::dialect::{embed, preset, rerank, scan, tokens};
use crate::edge::arrive;
use crate::edge::body;
use crate::edge::choose;
use crate::edge::content::Gathered;
use crate::edge::gateway::Gateway;
use crate::edge::guard::Admission;
use crate::edge::journey::{Ask, CacheUse, Chat, Facts, Money};
use crate::edge::metadata;
use crate::edge::plugins;
use crate::edge::task::Task;
use crate::error::{GatewayError, Kind};
use crate::ledger::KeyEntry;
use crate::route::Plan;
use crate::stream::Asked;

// Names that are made once are found without reading them again.
static CACHE: HeaderName = HeaderName::from_static(cache::policy::HEADER_CACHE);
static CACHE_TTL: HeaderName = HeaderName::from_static(cache::policy::HEADER_TTL);
static CACHE_CLEAR: HeaderName = HeaderName::from_static(cache::policy::HEADER_CLEAR);
static API_KEY: HeaderName = HeaderName::from_static("x-api-key");
static SESSION_ID: HeaderName = HeaderName::from_static("x-session-id");

/// Finds out who calls.
///
/// # Errors
/// 401 with what to do.
pub(crate) fn caller(
    gateway: &Gateway,
    session: &Session,
    facts: &mut Facts,
) -> std::result::Result<Arc<KeyEntry>, GatewayError> {
    let header = |name: &HeaderName| session.get_header(name).map(http::HeaderValue::as_bytes);
    let presented = auth::credential(header(&header::AUTHORIZATION), header(&API_KEY))?;
    let entry = auth::authenticate(&gateway.ledger.keys(), presented, facts.arrived_ms)?;
    facts.caller = Some(Arc::clone(&entry));
    Ok(entry)
}

/// Reads the body and what it asks.
///
/// The outer error is the connection's, the inner one is for the client.
pub(crate) async fn chat(
    gateway: &Gateway,
    session: &mut Session,
    facts: &mut Facts,
    (caller, admission): (Arc<KeyEntry>, Admission),
    task: Task,
) -> Result<std::result::Result<Box<Chat>, GatewayError>> {
    let snapshot = gateway.now.load_full();
    let body = match body::read(session, snapshot.body, &gateway.body_memory).await? {
        Ok(body) => body,
        Err(error) => return Ok(Err(error)),
    };
    facts.bytes_in = body.bytes.len();
    let mut body = body;
    let content = Gathered::begin(gateway, &admission.rules.account, &body.bytes);
    let head = scan::scan_as(task.form(), &body.bytes);
    let mut preset = None;
    let head = match head.and_then(|head| {
        let named = preset::reference(&head).map(|named| named.slug);
        preset = named.or(admission.rules.key.preset.as_deref()).map(Into::into);
        choose::preset(&snapshot, &admission.rules.key, head, &mut body.bytes)
    }) {
        Ok(head) => head,
        Err(error) => return Ok(Err(error)),
    };
    let who = (&*caller, &admission);
    let plugins = plugins::begin(gateway, session, facts, who, (&head, &body.bytes), &snapshot);
    let plugins = match plugins {
        Ok(plugins) => plugins,
        Err(error) => return Ok(Err(error)),
    };
    let cache = cache_use(gateway, session, &snapshot, &admission, (task, &head, &body.bytes));
    let prompt_tokens = head.text.estimate_prompt_tokens();
    let open_stream = head.stream.then(|| gateway.metrics.open_stream());
    let asked = match asked(task, &body.bytes) {
        Ok(asked) => asked,
        Err(error) => return Ok(Err(error)),
    };
    let ask = Ask {
        body: body.bytes,
        head,
        parsed: None,
        asked,
        prompt_tokens,
        preset,
        session: session_id(session),
        _memory: body.memory,
    };
    Ok(Ok(Box::new(Chat {
        snapshot,
        caller,
        admission,
        task,
        metadata: metadata::wanted(session),
        plugins,
        ask,
        cache,
        plan: Plan::default(),
        conversation: None,
        money: Money::default(),
        hedged: false,
        reports: Vec::new(),
        attempt: None,
        committed: false,
        client_left: AtomicBool::new(false),
        first_byte: None,
        cut: None,
        legs: Vec::new(),
        recent: VecDeque::new(),
        resume: None,
        content,
        _open_stream: open_stream,
    })))
}

/// The name of the session, where the head has it (OpenRouter's `x-session-id`).
fn session_id(session: &Session) -> Option<Box<str>> {
    let value = session.get_header(&SESSION_ID)?.to_str().ok()?;
    (1..=scan::SESSION_ID_MAX).contains(&value.len()).then(|| value.into())
}

/// Answers `POST /v1/messages/count_tokens`: how many tokens a request has, as far as can be told
/// without the model's own tokenizer.
///
/// The outer error is the connection's, the inner one is for the client.
pub(crate) async fn count_tokens(
    gateway: &Gateway,
    session: &mut Session,
    facts: &mut Facts,
) -> Result<std::result::Result<Bytes, GatewayError>> {
    if let Err(error) = arrive::media(&session.req_header().headers) {
        return Ok(Err(error));
    }
    if let Err(error) = caller(gateway, session, facts) {
        return Ok(Err(error));
    }
    let limits = gateway.now.load().body;
    let body = match body::read(session, limits, &gateway.body_memory).await? {
        Ok(body) => body,
        Err(error) => return Ok(Err(error)),
    };
    facts.bytes_in = body.bytes.len();
    let head = match scan::scan_as(scan::Form::Messages, &body.bytes) {
        Ok(head) => head,
        Err(error) => return Ok(Err(error)),
    };
    if let Some(model) = &head.model
        && !choose::knows(&gateway.now.load(), model)
    {
        let text =
            format!("There is no model {model:?}; GET /v1/models lists those that there are.");
        return Ok(Err(GatewayError::new(Kind::ModelNotFound, text).with_param("model")));
    }
    let texts = tokio::task::block_in_place(|| tokens::count_body(&body.bytes));
    let tokens = texts + u64::from(head.text.messages) * tokens::PER_MESSAGE;
    Ok(Ok(Bytes::from(format!("{{\"input_tokens\":{tokens}}}"))))
}

/// What is asked, if not an answer in words: such requests are short and read at once.
pub(super) fn asked(task: Task, body: &[u8]) -> std::result::Result<Option<Asked>, GatewayError> {
    match task {
        Task::Answer(_) => Ok(None),
        Task::Embed => Ok(Some(Asked::Embed(Arc::new(embed::read_request(body)?)))),
        Task::Rerank => Ok(Some(Asked::Rerank(Arc::new(rerank::read_request(body)?)))),
    }
}

fn cache_use(
    gateway: &Gateway,
    session: &Session,
    snapshot: &crate::edge::gateway::Snapshot,
    admission: &Admission,
    (task, head, body): (Task, &scan::Head, &[u8]),
) -> CacheUse {
    let good = Arc::new(AtomicBool::new(false));
    let off = CacheUse {
        intent: Intent::Off,
        key: None,
        hit: false,
        source: None,
        filling: false,
        good: Arc::clone(&good),
    };
    if gateway.cache.is_none() {
        return off;
    }
    let header = |name: &HeaderName| session.get_header(name).map(http::HeaderValue::as_bytes);
    let asked = cache::Asked {
        cache: header(&CACHE),
        ttl: header(&CACHE_TTL),
        clear: header(&CACHE_CLEAR),
    };
    let intent = Intent::of(asked, snapshot.cache);
    if intent == Intent::Off {
        return off;
    }
    let (account, surface) = (admission.account(), task.label().as_str());
    let Ok(mut rules) = admission.rules.spelled() else { return off };
    rules.extend_from_slice(snapshot.plugins.fingerprint());
    let scope = cache::Scope { account, surface, stream: head.stream, rules: &rules };
    match cache::key(scope, body) {
        Ok(key) => CacheUse { intent, key: Some(key), good, ..off },
        // Too deep or too complex to be worth a key: answered without the cache.
        Err(_unkeyed) => off,
    }
}
