//! The request of an attempt: its body and path in the provider's dialect, and its signature.

use std::borrow::Cow;

use bytes::Bytes;
use pingora::http::RequestHeader;
use pingora::{ErrorType, OrErr as _, Result};

use crate::catalog::{Auth, Endpoint, Provider, Tier};
use crate::dialect::bedrock::{Credentials, Unsigned, sign};
use crate::dialect::{self, Dialect, Target, embed, options, rerank, scan};
use crate::edge::clock;
use crate::edge::continuation;
use crate::edge::fetch::Fetcher;
use crate::edge::journey::{Attempt, Chat, Resumes};
use crate::edge::plugins;
use crate::edge::task::Task;
use crate::error::GatewayError;
use crate::route::Slot;
use crate::stream::Asked;

/// Bodies from this size on are translated where blocking does no harm, in bytes.
pub(super) const LARGE_BODY: usize = 1 << 20;

/// Why a body could not be written.
pub(crate) enum Unwritten {
    /// The request itself is wrong, or cannot be completed: no candidate can help.
    Wrong(GatewayError),
    /// This provider's dialect cannot say what is asked; another's may.
    Inexpressible(GatewayError),
}

/// A request's body for one attempt.
pub(crate) struct Written {
    /// The body.
    pub(crate) body: Bytes,
    /// It is the client's own, in the client's own format.
    pub(crate) passed: bool,
    /// It asks for what comes after another provider's beginning.
    pub(crate) resumes: Option<Resumes>,
}

/// Writes the body.
pub(crate) async fn body(
    chat: &mut Chat,
    endpoint: &Endpoint,
    target: &Target<'_>,
) -> std::result::Result<Written, Unwritten> {
    let dialect = endpoint.provider.dialect;
    if let (Some(resume), Task::Answer(surface)) = (chat.resume.take(), chat.task) {
        // The media first: a provider that passed the request on has not had them fetched.
        let Chat { ask, snapshot, .. } = chat;
        let fetched = fetch_media(&mut ask.in_format(surface), &snapshot.fetcher, dialect).await;
        let text = resume.delivered().text();
        chat.resume = Some(resume);
        fetched.map_err(Unwritten::Wrong)?;
        return continuation::write(chat, surface, endpoint, target, &text);
    }
    let (body, passed) = first(chat, dialect, target).await?;
    Ok(Written { body, passed, resumes: None })
}

/// The body of a request whose answer has not begun, and whether it passed.
async fn first(
    chat: &mut Chat,
    dialect: Dialect,
    target: &Target<'_>,
) -> std::result::Result<(Bytes, bool), Unwritten> {
    match (&chat.ask.asked, chat.task) {
        (Some(Asked::Embed(request)), _) => embed::write(dialect, request, target)
            .map(|body| (body, false))
            .map_err(Unwritten::Inexpressible),
        (Some(Asked::Rerank(request)), _) => rerank::write(dialect, request, target)
            .map(|body| (body, false))
            .map_err(Unwritten::Inexpressible),
        (None, Task::Answer(surface)) => {
            let Chat { ask, snapshot, .. } = chat;
            answer(&mut ask.in_format(surface), &snapshot.fetcher, dialect, target).await
        }
        (None, Task::Embed | Task::Rerank) => Err(Unwritten::Wrong(
            crate::edge::failure::internal("an embedding request was not read"),
        )),
    }
}

/// The body of a request for an answer, and whether it passed.
pub(crate) async fn answer(
    ask: &mut dialect::Ask<'_>,
    fetcher: &Fetcher,
    dialect: Dialect,
    target: &Target<'_>,
) -> std::result::Result<(Bytes, bool), Unwritten> {
    let passed = dialect::passes(ask.surface, dialect, ask.head, target.host);
    if !passed {
        fetch_media(ask, fetcher, dialect).await.map_err(Unwritten::Wrong)?;
    }
    let large = ask.body.len() >= LARGE_BODY;
    let mut write = || dialect::upstream_request(dialect, ask, target);
    let written = if large { tokio::task::block_in_place(write) } else { write() };
    let body = written.map_err(Unwritten::Inexpressible)?;
    Ok((body, passed))
}

/// Names the service tier of an endpoint that is of one, unless the request did: it decides what
/// the provider does and charges. Only OpenAI's two formats have it (its API reference, 2026-09).
pub(crate) fn with_tier(body: Bytes, head: &scan::Head, endpoint: &Endpoint) -> Bytes {
    let dialect = endpoint.provider.dialect;
    let has_tiers = matches!(dialect, Dialect::OpenAi | Dialect::Responses);
    // What is `null` names none, and is not noted.
    let named = head.mentions("service_tier");
    if endpoint.tier == Tier::Default || !has_tiers || named {
        return body;
    }
    // Never an empty object: it names the model.
    let Some(inside) = body.iter().position(|byte| *byte == b'{').map(|at| at + 1) else {
        return body;
    };
    let member = format!("\"service_tier\":\"{}\",", endpoint.tier.as_str());
    [&body[..inside], member.as_bytes(), &body[inside..]].concat().into()
}

/// Adds what the request's `provider.options` say for this provider. Gives the body, and what was
/// dropped.
///
/// # Errors
/// None in practice: both have been read before.
pub(crate) fn with_options(
    body: Bytes,
    head: &scan::Head,
    slot: &Slot,
) -> std::result::Result<(Bytes, Vec<String>), GatewayError> {
    let prefs = head.provider.as_ref();
    let given = prefs.and_then(|prefs| prefs.options.iter().find(|(name, _)| slot.is_named(name)));
    let Some((name, given)) = given else { return Ok((body, Vec::new())) };
    let added = options::add(&body, given, &slot.endpoint.provider.options)?;
    let named = |path: String| format!("provider.options.{name}.{path}");
    Ok((added.body.unwrap_or(body), added.dropped.into_iter().map(named).collect()))
}

/// Fetches what the request only points to, if the provider does not do so itself.
async fn fetch_media(
    ask: &mut dialect::Ask<'_>,
    fetcher: &Fetcher,
    dialect: Dialect,
) -> std::result::Result<(), GatewayError> {
    let urls = ask.tree()?.to_fetch(dialect);
    if urls.is_empty() {
        return Ok(());
    }
    let fetched = fetcher.fetch(&urls).await?;
    if let Some(request) = ask.parsed.as_mut() {
        request.put_fetched(&urls, &fetched);
    }
    Ok(())
}

/// The path after the provider's base URL; `None`: that of every request to this provider.
pub(crate) fn path(
    task: Task,
    dialect: Dialect,
    model: &str,
    stream: bool,
) -> Option<Cow<'static, str>> {
    match task {
        Task::Answer(_) => dialect.path_varies().then(|| dialect.path(model, stream)),
        Task::Embed => embed::path(dialect, model),
        Task::Rerank => rerank::path(dialect, model),
    }
}

/// Replaces the head: nothing of the client's reaches the provider.
///
/// # Errors
/// There is no attempt (a bug), or the request cannot be signed.
pub(crate) fn head(chat: &Chat, head: &mut RequestHeader) -> Result<()> {
    let Some(attempt) = &chat.attempt else {
        return pingora::Error::e_explain(
            ErrorType::InternalError,
            "a request head without an attempt",
        );
    };
    let fresh = head_of(attempt, chat.task, chat.ask.head.stream)?;
    let mut fresh = with_headers(fresh, plugins::upstream_headers(chat))?;
    fresh.set_version(head.version);
    *head = fresh;
    Ok(())
}

/// The head with headers that plugins have set.
///
/// # Errors
/// None in practice: they have been looked at.
pub(crate) fn with_headers(
    mut head: RequestHeader,
    headers: &[(String, String)],
) -> Result<RequestHeader> {
    for (name, value) in headers {
        head.insert_header(name.clone(), value)?;
    }
    Ok(head)
}

/// The head of an attempt's request.
///
/// # Errors
/// The request cannot be signed.
pub(crate) fn head_of(attempt: &Attempt, task: Task, stream: bool) -> Result<RequestHeader> {
    let model = &attempt.slot.endpoint.upstream_model;
    let path = path(task, attempt.upstream.provider.dialect, model, stream);
    let mut fresh =
        attempt.upstream.request(attempt.key, path.as_deref(), stream, attempt.body.len())?;
    if let Some(token) = &attempt.token {
        fresh.insert_header("authorization", token.clone())?;
    }
    signed(&mut fresh, &attempt.upstream.provider, &attempt.body)?;
    Ok(fresh)
}

/// Signs a request, where the provider wants that.
///
/// # Errors
/// It cannot be signed.
pub(crate) fn signed(head: &mut RequestHeader, provider: &Provider, body: &[u8]) -> Result<()> {
    let Auth::Aws(keys) = &provider.auth else { return Ok(()) };
    let secret =
        |secret: &crate::catalog::Secret| zeroize::Zeroizing::new(secret.expose().to_owned());
    let credentials = Credentials {
        access_key: keys.access_key.expose().to_owned(),
        secret_key: secret(&keys.secret_key),
        session_token: keys.session_token.as_ref().map(secret),
    };
    let path = head.uri.path().to_owned();
    let unsigned = Unsigned {
        method: "POST",
        authority: &provider.origin.authority,
        path: &path,
        headers: &[("content-type", "application/json")],
        body,
    };
    let added =
        sign(&unsigned, &credentials, &keys.region, clock::unix_ms() / 1000).map_err(|_| {
            pingora::Error::explain(ErrorType::InternalError, "the request cannot be signed")
        })?;
    for (name, value) in added {
        let mut value = http::HeaderValue::from_str(&value)
            .or_err(ErrorType::InvalidHTTPHeader, "a signature that no header may hold")?;
        value.set_sensitive(true);
        head.insert_header(name, value)?;
    }
    Ok(())
}
