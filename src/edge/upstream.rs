//! One attempt: the next candidate, its peer, and its request in its dialect.

use std::sync::Arc;
use std::time::Duration;

use pingora::http::RequestHeader;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use crate::attempt::Outcome;
use crate::dialect::{self, Dialect, FaultClass, Surface, Target};
use crate::edge::clock;
use crate::edge::failure;
use crate::edge::gateway::Gateway;
use crate::edge::journey::{Attempt, Chat, Progress};
use crate::edge::random;
use crate::edge::task::Task;
use crate::edge::watchdog::Watchdog;
use crate::error::GatewayError;
use crate::route::Admitted;

/// Bodies from this size on are translated where blocking does no harm, in bytes.
const LARGE_BODY: usize = 1 << 20;

/// The marker of an error that has been decided and recorded already.
pub(super) const DECIDED: ErrorType = ErrorType::Custom("turnpike");

/// Moves on to the next candidate (or stays, after a stale connection) and gives its peer.
///
/// # Errors
/// No candidate is left, or none can be asked: the request ends here.
pub(crate) async fn next_peer(
    gateway: &Gateway,
    chat: &mut Chat,
) -> Result<std::result::Result<Box<HttpPeer>, GatewayError>> {
    loop {
        let attempt = match chat.attempt.take() {
            Some(attempt) if attempt.again => attempt,
            _ => match next_attempt(chat).await {
                Ok(attempt) => attempt,
                Err(error) => return Ok(Err(error)),
            },
        };
        let (upstream, again) = (Arc::clone(&attempt.upstream), attempt.again);
        chat.attempt = Some(attempt);
        match upstream.token().await {
            Ok(token) => chat.attempt.as_mut().into_iter().for_each(|a| a.token.clone_from(&token)),
            Err(why) => {
                tracing::warn!(provider = %upstream.provider.id, why, "No token can be had.");
                let class = FaultClass::Authentication;
                let outcome = Outcome::Status { class, status: 401, retry_after: None };
                if failure::close(gateway, chat, outcome) {
                    continue;
                }
                return Ok(Err(failure::final_error(chat)));
            }
        }
        match upstream.address().await {
            Some(address) => {
                let limit = read_timeout(chat, &upstream.provider.timeouts);
                let mut peer = upstream.peer(address, limit);
                if again {
                    // Where one pooled connection is stale its neighbours are, too.
                    peer.group_key = random::u64();
                }
                return Ok(Ok(peer));
            }
            None if failure::close(gateway, chat, Outcome::Dns) => {}
            None => return Ok(Err(failure::final_error(chat))),
        }
    }
}

/// Takes the plan's next candidate that may be asked now, and writes its request.
async fn next_attempt(chat: &mut Chat) -> std::result::Result<Attempt, GatewayError> {
    let now = clock::now();
    let Some(Admitted { slot, guard, .. }) = chat.plan.next(now) else {
        return Err(failure::final_error(chat));
    };
    let endpoint = Arc::clone(&slot.endpoint);
    let target = Target {
        credit_limit: chat.money.limit,
        host: endpoint.provider.host,
        template: endpoint.template.as_deref(),
        now: clock::unix_ms() / 1000,
        ..Target::new(&endpoint.upstream_model, endpoint.max_output)
    };
    let Some(upstream) = chat.snapshot.upstreams.get(&endpoint.provider.id).map(Arc::clone) else {
        return Err(failure::internal("an endpoint's provider is not among the upstreams"));
    };
    let dialect = endpoint.provider.dialect;
    let Task::Answer(surface) = chat.task;
    let passed = dialect::passes(surface, dialect, &chat.ask.head, target.host);
    if !passed {
        fetch_media(chat, surface, dialect).await?;
    }
    let ask = &mut chat.ask;
    let mut write = || {
        let (body, head) = (&*ask.body, &ask.head);
        let mut ask = dialect::Ask { surface, body, head, parsed: &mut ask.parsed };
        dialect::upstream_request(dialect, &mut ask, &target)
    };
    let body =
        if ask.body.len() >= LARGE_BODY { tokio::task::block_in_place(write) } else { write() }?;
    Ok(Attempt {
        slot,
        guard: Some(guard),
        upstream,
        body,
        token: None,
        passed,
        started: now,
        connected: None,
        reused: false,
        again: false,
        header_only: false,
        watchdog: None,
        gap_fd: None,
        begun: false,
        progress: Progress::Waiting,
        streams: false,
    })
}

/// Fetches what the request only points to, if the provider does not do so itself.
async fn fetch_media(
    chat: &mut Chat,
    surface: Surface,
    dialect: Dialect,
) -> std::result::Result<(), GatewayError> {
    let Chat { ask, snapshot, .. } = chat;
    let (body, head) = (&*ask.body, &ask.head);
    let mut tree = dialect::Ask { surface, body, head, parsed: &mut ask.parsed };
    let urls = tree.tree()?.to_fetch(dialect);
    if urls.is_empty() {
        return Ok(());
    }
    let fetched = snapshot.fetcher.fetch(&urls).await?;
    if let Some(request) = &mut ask.parsed {
        request.put_fetched(&urls, &fetched);
    }
    Ok(())
}

/// Pingora's one read timeout: the longest silence that is allowed at any point of the answer.
fn read_timeout(chat: &Chat, timeouts: &crate::catalog::Timeouts) -> Duration {
    if chat.ask.head.stream {
        timeouts.first_token.max(timeouts.inter_event)
    } else {
        timeouts.whole_answer
    }
}

/// A connection is there: the timer for the first token starts.
pub(crate) fn connected(chat: &mut Chat, reused: bool, fd: std::os::fd::RawFd, http1: bool) {
    let stream = chat.ask.head.stream;
    let Some(attempt) = &mut chat.attempt else { return };
    attempt.reused = reused;
    attempt.connected = Some(clock::now());
    let timeouts = &attempt.upstream.provider.timeouts;
    if !(stream && http1) {
        return;
    }
    if timeouts.first_token < timeouts.inter_event {
        attempt.watchdog = Watchdog::arm(fd, timeouts.first_token);
    }
    attempt.gap_fd = (timeouts.inter_event < timeouts.first_token).then_some(fd);
}

/// Replaces the head: nothing of the client's reaches the provider.
///
/// # Errors
/// There is no attempt (a bug).
pub(crate) fn write_head(chat: &Chat, head: &mut RequestHeader) -> Result<()> {
    let Some(attempt) = &chat.attempt else {
        return Error::e_explain(ErrorType::InternalError, "a request head without an attempt");
    };
    let (model, stream) = (&attempt.slot.endpoint.upstream_model, chat.ask.head.stream);
    let mut fresh = attempt.upstream.request(model, stream, attempt.body.len())?;
    fresh.set_version(head.version);
    if let Some(token) = &attempt.token {
        fresh.insert_header("authorization", token.clone())?;
    }
    *head = fresh;
    Ok(())
}
