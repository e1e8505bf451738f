//! One attempt: the next candidate, its peer, and its request in its dialect.

use std::sync::Arc;
use std::time::Duration;

use pingora::upstreams::peer::HttpPeer;
use pingora::{ErrorType, Result};

use crate::attempt::Outcome;
use crate::balance::{InFlight, Nanos};
use crate::catalog::{Access, Endpoint};
use crate::dialect::{FaultClass, Target};
use crate::edge::clock;
use crate::edge::failure;
use crate::edge::gateway::Gateway;
use crate::edge::journey::{Attempt, Chat, Progress};
use crate::edge::peer::Upstream;
use crate::edge::random;
use crate::edge::watchdog::Watchdog;
use crate::edge::write::{self, Unwritten, Written};
use crate::error::GatewayError;
use crate::route::{Admitted, Slot};

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
            Some(attempt) if attempt.again || attempt.rekeyed => attempt,
            _ => match next_attempt(chat).await {
                Ok(attempt) => attempt,
                Err(error) => return Ok(Err(error)),
            },
        };
        // A new key needs no new connection.
        let again = attempt.again && !attempt.rekeyed;
        let upstream = Arc::clone(&attempt.upstream);
        chat.attempt = Some(Attempt { rekeyed: false, ..attempt });
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

/// Takes the plan's next candidate that may be asked now and whose dialect can say what is asked,
/// and writes its request.
async fn next_attempt(chat: &mut Chat) -> std::result::Result<Attempt, GatewayError> {
    let mut inexpressible = None;
    loop {
        let now = clock::now();
        let Some(Admitted { slot, guard, .. }) = chat.plan.next(now) else {
            return Err(match inexpressible {
                Some(error) if chat.reports.is_empty() => error,
                _ => failure::final_error(chat),
            });
        };
        let endpoint = Arc::clone(&slot.endpoint);
        let target = target(&endpoint, chat.money.limit);
        let upstream = match endpoint.provider.access {
            Access::Own(_) => chat.snapshot.own.upstream(chat.caller.account().id(), &slot),
            Access::Shared | Access::OwnOnly => {
                chat.snapshot.upstreams.get(&endpoint.provider.id).map(Arc::clone)
            }
        };
        let Some(upstream) = upstream else {
            return Err(failure::internal("an endpoint's provider is not among the upstreams"));
        };
        match write::body(chat, &endpoint, &target).await {
            Ok(mut written) => {
                written.body = write::with_tier(written.body, &chat.ask.head, &endpoint);
                let (body, dropped) = write::with_options(written.body, &chat.ask.head, &slot)?;
                written.body = body;
                let attempt = attempt(slot, guard, upstream, now, written);
                return Ok(Attempt { dropped, ..attempt });
            }
            Err(Unwritten::Wrong(error)) => return Err(error),
            Err(Unwritten::Inexpressible(error)) => {
                inexpressible.get_or_insert(error);
            }
        }
    }
}

/// What an endpoint's dialect must know to write a request to it.
pub(super) fn target(endpoint: &Endpoint, credit_limit: Option<u32>) -> Target<'_> {
    Target {
        credit_limit,
        host: endpoint.provider.host,
        template: endpoint.template.as_deref(),
        now: clock::unix_ms() / 1000,
        ..Target::new(&endpoint.upstream_model, endpoint.max_output)
    }
}

/// An attempt that is about to be made.
pub(super) fn attempt(
    slot: Arc<Slot>,
    guard: InFlight,
    upstream: Arc<Upstream>,
    started: Nanos,
    Written { body, passed, resumes }: Written,
) -> Attempt {
    Attempt {
        key: slot.keys.as_ref().map_or(0, |keys| keys.next(started)),
        slot,
        guard: Some(guard),
        upstream,
        body,
        token: None,
        dropped: Vec::new(),
        passed,
        started,
        connected: None,
        reused: false,
        again: false,
        rekeyed: false,
        header_only: false,
        watchdog: None,
        gap_fd: None,
        begun: false,
        shown: None,
        resumes,
        unsent: None,
        progress: Progress::Waiting,
        streams: false,
        race: None,
    }
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
    // A race has no socket, and keeps to its limits itself.
    if !(stream && http1) || attempt.race.is_some() {
        return;
    }
    if timeouts.first_token < timeouts.inter_event {
        attempt.watchdog = Watchdog::arm(fd, timeouts.first_token);
    }
    attempt.gap_fd = (timeouts.inter_event < timeouts.first_token).then_some(fd);
}
