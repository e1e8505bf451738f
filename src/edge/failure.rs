//! When an attempt fails: what happened, what it means, and what the client is told if nothing
//! else helps. What it means is `attempt`'s table; here Pingora's errors become its outcomes.

use std::time::Duration;

use http::HeaderMap;
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType, RetryType};

use crate::attempt::{self, AttemptReport, Context, Next, Outcome, Penalty};
use crate::balance::Nanos;
use crate::catalog::{Auth, Provider};
use crate::dialect;
use crate::edge::clock;
use crate::edge::continuation;
use crate::edge::drain;
use crate::edge::gateway::Gateway;
use crate::edge::hedge;
use crate::edge::journey::{Attempt, Chat, Progress};
use crate::error::{GatewayError, Kind, ProviderSaid};
use crate::observe::Outcome as Mark;

/// No connection could be made: decides whether another try is made, and says so to Pingora.
pub(crate) fn connecting(gateway: &Gateway, chat: &mut Chat, error: &mut Error) {
    let outcome = not_connected(error.etype());
    if let Some(attempt) = &chat.attempt {
        attempt.upstream.turn_away();
    }
    error.set_retry(close(gateway, chat, outcome));
}

/// What it means that no connection could be made.
pub(crate) const fn not_connected(error: &ErrorType) -> Outcome {
    match error {
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => Outcome::ConnectTimeout,
        ErrorType::TLSHandshakeFailure
        | ErrorType::InvalidCert
        | ErrorType::HandshakeError
        | ErrorType::TLSWantX509Lookup => Outcome::Tls,
        _ => Outcome::ConnectRefused,
    }
}

/// Something failed after the connection was there.
pub(crate) fn proxying(
    gateway: &Gateway,
    session: &mut Session,
    chat: &mut Chat,
    error: &mut Error,
    reused: bool,
) {
    // Reading this error's retry type while it is undecided would panic.
    let stale = matches!(error.retry, RetryType::ReusedOnly) && reused;
    error.set_retry(false);
    hedge::settle(gateway, chat);
    if *error.esource() != ErrorSource::Downstream {
        continuation::end_softly(chat);
    }
    match &chat.attempt {
        // The client has its error, or its whole answer: what happens to the rest says nothing.
        Some(Attempt { progress: Progress::Aborted(outcome), .. }) => {
            let outcome = *outcome;
            close(gateway, chat, outcome);
            return;
        }
        Some(Attempt { progress: Progress::Answering(pipe), .. })
            if chat.committed && pipe.meter().complete =>
        {
            return;
        }
        _ => {}
    }
    if *error.esource() == ErrorSource::Downstream || drain::is_on(chat) {
        close(gateway, chat, Outcome::ClientGone);
        return;
    }
    let outcome = outcome(chat, error, stale);
    if close(gateway, chat, outcome) {
        // A second fill of the same request is not possible: its answer would go out unkept.
        if chat.cache.filling && session.cache.enabled() {
            session.cache.disable(pingora::cache::NoCacheReason::UpstreamError);
        }
        error.set_retry(true);
    }
}

/// What happened, from what the attempt recorded or else from Pingora's error.
fn outcome(chat: &Chat, error: &Error, stale: bool) -> Outcome {
    let Some(attempt) = &chat.attempt else { return Outcome::Internal };
    let refused = matches!(attempt.progress, Progress::Refused { .. });
    if !refused && attempt.watchdog.as_ref().is_some_and(super::watchdog::Watchdog::fired) {
        return if attempt.begun { Outcome::InterEventTimeout } else { Outcome::FirstTokenTimeout };
    }
    if let Some(outcome) = recorded(attempt) {
        return outcome;
    }
    match &attempt.progress {
        Progress::Waiting if *error.esource() == ErrorSource::Internal => Outcome::Internal,
        Progress::Waiting => match error.etype() {
            ErrorType::ReadTimedout | ErrorType::WriteTimedout if chat.ask.head.stream => {
                Outcome::FirstTokenTimeout
            }
            ErrorType::ReadTimedout | ErrorType::WriteTimedout => Outcome::AnswerTimeout,
            _ if stale => Outcome::StalePooledConnection,
            _ => Outcome::ConnectionReset,
        },
        Progress::Answering(pipe) if chat.committed && pipe.started() => match error.etype() {
            ErrorType::ReadTimedout => Outcome::InterEventTimeout,
            _ => Outcome::CutMidStream,
        },
        Progress::Answering(_)
        | Progress::Refused { .. }
        | Progress::Broken(..)
        | Progress::Aborted(_)
        | Progress::Failed(_) => match error.etype() {
            ErrorType::ReadTimedout if chat.ask.head.stream => Outcome::FirstTokenTimeout,
            ErrorType::ReadTimedout => Outcome::AnswerTimeout,
            _ => Outcome::EarlyEof,
        },
    }
}

/// What happened, as far as the attempt has recorded it.
pub(crate) fn recorded(attempt: &Attempt) -> Option<Outcome> {
    match &attempt.progress {
        Progress::Failed(outcome) | Progress::Aborted(outcome) => Some(*outcome),
        Progress::Broken(_, outcome) => Some(*outcome),
        Progress::Refused { status, retry_after, body } => {
            let dialect = attempt.upstream.provider.dialect;
            let fault = dialect::provider_fault(dialect, *status, body);
            let (status, retry_after) = (*status, *retry_after);
            Some(Outcome::Status { class: fault.class, status, retry_after })
        }
        Progress::Answering(_) => attempt.race.as_ref().and_then(|race| race.broke()),
        Progress::Waiting => None,
    }
}

/// Ends the attempt under way: its report is kept, its endpoint learns, and the policy decides
/// whether another attempt follows.
pub(crate) fn close(gateway: &Gateway, chat: &mut Chat, outcome: Outcome) -> bool {
    let Some(mut attempt) = chat.attempt.take() else { return false };
    let now = clock::now();
    let policy = attempt::judge(&outcome);
    report(chat, &attempt, outcome, now);
    let other_key = rest_key(&attempt, &outcome, now);
    let attempts_max = chat.snapshot.attempts.attempts_max;
    let context = Context {
        // A request does not go through all keys of a large pool.
        other_key: other_key && chat.reports.len() < attempts_max as usize,
        sent: chat.committed,
        resumable: continuation::is_possible(chat, &attempt),
        resumes: attempt.resumes.is_some(),
        candidates_left: chat.plan.has_next() && chat.plan.tried() < attempts_max,
        same_retried: attempt.again,
    };
    let next = match attempt::decide(&policy, &context, || gateway.retries.withdraw(now)) {
        Next::AnotherEndpoint if chat.committed && !continuation::part(chat, &mut attempt) => {
            Next::GiveUp
        }
        next => next,
    };
    if !matches!(next, Next::SameEndpointOnce | Next::SameEndpointOtherKey) {
        punish(&mut attempt, &outcome, now);
    }
    match next {
        Next::GiveUp => {
            // Kept: it knows what the answer so far has cost, and how to end the client's stream.
            chat.attempt = Some(attempt);
            false
        }
        Next::AnotherEndpoint => true,
        Next::SameEndpointOnce => {
            chat.attempt = Some(Attempt { again: true, ..anew(attempt, now) });
            true
        }
        Next::SameEndpointOtherKey => {
            let key = attempt.slot.keys.as_ref().map_or(0, |keys| keys.next(now));
            chat.attempt = Some(Attempt { key, rekeyed: true, ..anew(attempt, now) });
            true
        }
    }
}

/// The same attempt from its beginning.
fn anew(mut attempt: Attempt, now: Nanos) -> Attempt {
    if let Some(guard) = &mut attempt.guard {
        guard.restart(now);
    }
    Attempt {
        progress: Progress::Waiting,
        watchdog: None,
        gap_fd: None,
        header_only: false,
        started: now,
        race: None,
        ..attempt
    }
}

/// Lets a key of several rest that was rate limited or refused. Says whether another is free.
pub(crate) fn rest_key(attempt: &Attempt, outcome: &Outcome, now: Nanos) -> bool {
    let Some(keys) = &attempt.slot.keys else { return false };
    let Outcome::Status { class, retry_after, .. } = outcome else { return false };
    if !attempt::is_of_key(outcome) {
        return false;
    }
    let health = &attempt.slot.health;
    let limited = *class == dialect::FaultClass::RateLimited;
    let pause = if limited {
        health.rate_limit_pause(*retry_after)
    } else {
        let (endpoint, key) = (&attempt.slot.endpoint.id, attempt.key);
        tracing::warn!(%endpoint, key, "A provider refuses one of its keys; the others serve.");
        health.credentials_pause()
    };
    keys.rest(attempt.key, pause, now);
    keys.wait(now).is_none()
}

/// What the endpoint is charged with: where several keys rest, a pause until the first is back.
fn penalty(attempt: &Attempt, outcome: &Outcome, now: Nanos) -> Penalty {
    let keys = attempt.slot.keys.as_ref().filter(|_| attempt::is_of_key(outcome));
    let Some(keys) = keys else { return attempt::judge(outcome).penalty };
    match (keys.wait(now), outcome) {
        // Another key is free, but no try is left for this request.
        (None, _) => Penalty::None,
        (wait, Outcome::Status { class: dialect::FaultClass::RateLimited, .. }) => {
            Penalty::RateLimited(wait)
        }
        // A refusal says nothing about how much traffic the endpoint takes.
        (wait, _) => Penalty::Credentials(wait),
    }
}

/// Keeps what is to be said of an attempt that has ended.
pub(crate) fn report(chat: &mut Chat, attempt: &Attempt, outcome: Outcome, now: Nanos) {
    chat.snapshot.meters.provider(attempt.upstream.provider.id.as_str()).attempt(mark(&outcome));
    let (message, said) = said(attempt);
    let endpoint = &attempt.slot.endpoint;
    chat.reports.push(AttemptReport {
        endpoint: endpoint.id.clone(),
        provider: endpoint.provider.name.clone(),
        outcome,
        started: attempt.started,
        ended: now,
        message,
        said,
    });
}

/// Tells the endpoint's health of an attempt that has ended.
pub(crate) fn punish(attempt: &mut Attempt, outcome: &Outcome, now: Nanos) {
    if let Some(guard) = attempt.guard.take()
        && penalty(attempt, outcome, now).apply(guard, now, super::random::u64())
    {
        tracing::warn!(endpoint = %attempt.slot.endpoint.id, "An endpoint is taken out for now.");
    }
}

/// An answer that went wrong in its middle may all the same have ended in good order, as far as
/// Pingora could see: then its attempt is ended here, when the request is.
pub(crate) fn close_aborted(gateway: &Gateway, chat: &mut Chat) {
    if let Some(Attempt { progress: Progress::Aborted(outcome), guard: Some(_), .. }) =
        &chat.attempt
    {
        let outcome = *outcome;
        close(gateway, chat, outcome);
    }
}

/// The provider's own message and what it answered, without our credential.
fn said(attempt: &Attempt) -> (Option<String>, Option<ProviderSaid>) {
    let Progress::Refused { status, body, .. } = &attempt.progress else { return (None, None) };
    let provider = &attempt.upstream.provider;
    // Before anything is cut: half of a key would not be found.
    let mut raw = scrub(&String::from_utf8_lossy(body), provider);
    let fault = dialect::provider_fault(provider.dialect, *status, raw.as_bytes());
    raw.truncate(raw.floor_char_boundary(ProviderSaid::RAW_MAX));
    let said = ProviderSaid {
        provider: provider.name.clone(),
        status: *status,
        code: fault.code.map(|code| scrub(&code, provider)),
        raw,
    };
    (Some(scrub(&fault.message, provider)), Some(said))
}

/// Providers have been seen to repeat a key in their error texts.
fn scrub(text: &str, provider: &Provider) -> String {
    provider.credentials().fold(text.to_owned(), |text, auth| match auth {
        Auth::None | Auth::ServiceAccount(_) => text,
        Auth::Aws(keys) => {
            let text = text.replace(keys.secret_key.expose(), "***");
            match &keys.session_token {
                Some(token) => text.replace(token.expose(), "***"),
                None => text,
            }
        }
        Auth::Bearer(secret) | Auth::Header(_, secret) => text.replace(secret.expose(), "***"),
    })
}

/// What the client is told when no attempt has succeeded.
pub(crate) fn final_error(chat: &Chat) -> GatewayError {
    broke_off(chat).unwrap_or_else(|| attempt::combine(&chat.reports))
}

/// What the client is told of a stream that broke off and that nobody could go on with: whatever
/// the others said was said to our request for the rest, not to the client's.
pub(crate) fn broke_off(chat: &Chat) -> Option<GatewayError> {
    let middle = |report: &&AttemptReport| {
        matches!(
            report.outcome,
            Outcome::CutMidStream | Outcome::InterEventTimeout | Outcome::Diverged
        )
    };
    let report = chat.reports.iter().rev().find(middle).filter(|_| !chat.legs.is_empty())?;
    Some(attempt::combine(std::slice::from_ref(report)))
}

/// What the client is told of one outcome.
pub(crate) fn told(chat: &Chat, outcome: &Outcome) -> GatewayError {
    let now = clock::now();
    let Some(attempt) = &chat.attempt else { return internal("an outcome without an attempt") };
    let endpoint = &attempt.slot.endpoint;
    attempt::combine(&[AttemptReport {
        endpoint: endpoint.id.clone(),
        provider: endpoint.provider.name.clone(),
        outcome: *outcome,
        started: attempt.started,
        ended: now,
        message: None,
        said: None,
    }])
}

/// A bug, told without detail.
pub(crate) fn internal(detail: &str) -> GatewayError {
    GatewayError::new(Kind::Internal, "The gateway failed; the operator's log says how.")
        .with_detail(detail)
}

/// The outcome as a label for metrics and log lines; a test has every label parse.
pub(crate) fn mark(outcome: &Outcome) -> Mark {
    Mark::parse(outcome.label()).unwrap_or(Mark::Internal)
}

/// How long the provider asks us to stay away: `retry-after-ms` (OpenAI), or `Retry-After` in
/// seconds or as a date (RFC 9110 §10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap, unix_ms: u64) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
    if let Some(ms) = text("retry-after-ms").and_then(|v| v.parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(ms / 1000.0).ok();
    }
    let value = text("retry-after")?;
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = httpdate::parse_http_date(value).ok()?;
    let at_ms = at.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis();
    Some(Duration::from_millis(u64::try_from(at_ms).ok()?.saturating_sub(unix_ms)))
}
