//! The provider's answer on its way to the client.
//!
//! **The header is held back until the answer has proved good.** A provider may send `200` and
//! then an error, nothing, or half a JSON document; as long as the client has seen nothing, another
//! provider can answer instead. Pingora would pass the header on at once, so it is given the
//! informational status 102, which Pingora does not write to a client, and the real header is
//! written when the first bytes of the answer are released ([`commit`]). Body filters are not
//! async; the write of a header goes into the session's buffer and is ready at once, so it is
//! polled a single time. The cache, which passes informational headers over, is given the real one
//! then, too.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use crate::attempt::Outcome;
use crate::dialect::frames::Framing;
use crate::dialect::{AnswerFault, Surface};
use crate::edge::clock;
use crate::edge::continuation;
use crate::edge::credit;
use crate::edge::failure;
use crate::edge::journey::{Attempt, Chat, Cut, Facts, Progress};
use crate::edge::metadata;
use crate::edge::plugins;
use crate::edge::reach;
use crate::edge::task::Task;
use crate::edge::upstream::DECIDED;
use crate::edge::watchdog::Watchdog;
use crate::error::GatewayError;
use crate::stream::{Pipe, Shape};
use crate::vocab::Usage;

/// The largest error body that is read, in bytes.
pub(super) const ERROR_BODY_MAX: usize = 64 * 1024;

/// The provider's header came. An answer waits until the hold is on disk; an error waits for its
/// body.
///
/// # Errors
/// The attempt has failed, or the ledger has.
pub(crate) async fn header(
    chat: &mut Chat,
    facts: &mut Facts,
    header: &mut ResponseHeader,
) -> Result<()> {
    if header.status.is_informational() {
        return Ok(());
    }
    let filter = plugins::filter(chat).map_err(|_| failed())?;
    let shape = shape(chat, facts);
    let Some(attempt) = &mut chat.attempt else {
        return Error::e_explain(ErrorType::InternalError, "an answer without an attempt");
    };
    let status = header.status.as_u16();
    if !(200..300).contains(&status) {
        return refused(attempt, header, status);
    }
    if attempt.header_only {
        attempt.progress = Progress::Failed(Outcome::EmptyAnswer);
        return Err(failed());
    }
    let content_type = header.headers.get(header::CONTENT_TYPE);
    let framing = Framing::of(content_type.map_or(b"", |value| value.as_bytes()));
    let Some(shape) = shape else {
        return Error::e_explain(ErrorType::InternalError, "an answer without a shape");
    };
    let dialect = attempt.upstream.provider.dialect;
    attempt.streams = framing != Framing::Whole;
    let passed = attempt.passed;
    let pipe = match continuation::take(chat) {
        Some((resume, how)) => Pipe::resumed(dialect, shape, framing, resume, how),
        None => {
            let mut pipe = Pipe::filtered(dialect, shape, framing, passed, filter);
            if continuation::may_be_needed(chat) || chat.money.short {
                pipe.keep_delivered();
            }
            pipe
        }
    };
    if let Some(attempt) = &mut chat.attempt {
        attempt.progress = Progress::Answering(Box::new(pipe));
    }
    if !chat.money.durable {
        wait_for_hold(chat, facts).await?;
    }
    hide(header)
}

/// No byte of an answer leaves before the hold is on disk. The write runs while the provider
/// thinks, so that there is usually nothing to wait for.
async fn wait_for_hold(chat: &mut Chat, facts: &mut Facts) -> Result<()> {
    if let Some(hold) = &chat.money.hold
        && hold.durable().await.is_err()
    {
        if let Some(attempt) = &mut chat.attempt {
            attempt.progress = Progress::Failed(Outcome::Internal);
        }
        facts.error = Some(credit::unavailable());
        return Err(Error::explain(DECIDED, "the ledger is unavailable").into_in());
    }
    chat.money.durable = true;
    Ok(())
}

/// What the answer of the attempt under way looks like to the client.
pub(super) fn shape(chat: &Chat, facts: &Facts) -> Option<Shape> {
    let attempt = chat.attempt.as_ref()?;
    let endpoint = &attempt.slot.endpoint;
    let head = &chat.ask.head;
    let limits = [head.max_tokens, chat.money.limit.map(u64::from)].into_iter().flatten();
    let mut most = limits.fold(u64::from(endpoint.max_output), u64::min);
    let mut prompt_estimate = chat.ask.prompt_tokens;
    if let Some(resumes) = &attempt.resumes {
        most = resumes.left.map_or(most, u64::from);
        prompt_estimate = resumes.prompt_tokens;
    }
    let parsed = chat.ask.parsed.as_deref();
    let surface = match chat.task {
        Task::Answer(surface) => surface,
        Task::Embed | Task::Rerank => Surface::Chat,
    };
    Some(Shape {
        surface,
        asked: chat.ask.asked.clone(),
        host: endpoint.provider.host,
        template: endpoint.template.clone(),
        metadata: chat.metadata.then(|| metadata::of(chat, attempt)),
        echo: parsed.and_then(|request| surface.echo(request)),
        generation: facts.id,
        created: facts.arrived_ms / 1000,
        model: endpoint.model.clone(),
        provider: endpoint.provider.name.as_str().into(),
        stream: head.stream,
        prices: credit::quote(chat, endpoint, facts.arrived_ms),
        prompt_estimate,
        request: chat.ask.body.clone(),
        completion_max: most.saturating_mul(u64::from(head.n.max(1))),
        hide_reasoning: parsed.is_some_and(|p| p.hides_reasoning()),
    })
}

/// The header as the cache keeps it; nothing of the provider's own is handed on.
pub(crate) fn stored_header(stream: bool) -> Result<ResponseHeader> {
    let mut header = ResponseHeader::build_no_case(200, Some(8))?;
    header.insert_header(header::CONTENT_TYPE, content_type(stream))?;
    Ok(header)
}

const fn content_type(stream: bool) -> HeaderValue {
    if stream {
        HeaderValue::from_static("text/event-stream")
    } else {
        HeaderValue::from_static("application/json")
    }
}

/// An error status: its body is collected before anything is decided, since it may say why.
fn refused(attempt: &mut Attempt, header: &mut ResponseHeader, status: u16) -> Result<()> {
    let retry_after = failure::retry_after(&header.headers, clock::unix_ms());
    attempt.progress = Progress::Refused { status, retry_after, body: BytesMut::new() };
    if attempt.header_only {
        return Err(failed());
    }
    hide(header)
}

/// Makes Pingora keep the header to itself.
fn hide(header: &mut ResponseHeader) -> Result<()> {
    header.set_status(102)?;
    header.remove_header(&header::CONTENT_LENGTH);
    header.remove_header(&header::TRANSFER_ENCODING);
    Ok(())
}

/// The header of a cached answer, on its way to the client. (A provider's is hidden already.)
///
/// # Errors
/// None in practice: the values are plain.
pub(crate) fn outgoing_header(
    chat: &Chat,
    facts: &Facts,
    session: &mut Session,
    header: &mut ResponseHeader,
) -> Result<()> {
    if header.status.is_informational() || !chat.cache.hit {
        return Ok(());
    }
    dress(chat, facts, header)?;
    if let Some((age, left, source, length)) = super::cachestore::hit_facts(session) {
        header.insert_header("x-openrouter-cache-age", HeaderValue::from(age))?;
        header.insert_header("x-openrouter-cache-ttl", HeaderValue::from(left))?;
        header.insert_header("x-openrouter-cache-source-id", source.text().as_str())?;
        header.remove_header(&header::TRANSFER_ENCODING);
        header.insert_header(header::CONTENT_LENGTH, HeaderValue::from(length))?;
    }
    Ok(())
}

static GENERATION_ID: HeaderName = HeaderName::from_static("x-generation-id");
static BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What every answer carries.
fn dress(chat: &Chat, facts: &Facts, header: &mut ResponseHeader) -> Result<()> {
    header.insert_header(GENERATION_ID.clone(), facts.id.text().as_str())?;
    for (name, value) in chat.plugins.iter().flat_map(|plugins| &plugins.answer_headers) {
        header.insert_header(name.clone(), value)?;
    }
    if let crate::cache::Intent::Use { ttl_secs, .. } = chat.cache.intent {
        let status = if chat.cache.hit { "HIT" } else { "MISS" };
        header.insert_header("x-openrouter-cache-status", HeaderValue::from_static(status))?;
        header.insert_header("x-openrouter-cache-ttl", HeaderValue::from(ttl_secs))?;
    }
    if chat.ask.head.stream {
        // Proxies in between must not hold the stream back.
        header.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))?;
        header.insert_header(BUFFERING.clone(), HeaderValue::from_static("no"))?;
    }
    Ok(())
}

/// A piece of the provider's body: what the client (and the cache) gets of it.
///
/// # Errors
/// The attempt has failed; what failed is kept in its progress.
pub(crate) fn body(chat: &mut Chat, body: &mut Option<Bytes>, end: bool) -> Result<()> {
    let (plugins, Some(attempt)) = (chat.plugins.as_deref(), &mut chat.attempt) else {
        return Error::e_explain(ErrorType::InternalError, "a body without an attempt");
    };
    match &mut attempt.progress {
        Progress::Refused { body: collected, .. } => {
            if let Some(part) = body.take() {
                let room = ERROR_BODY_MAX.saturating_sub(collected.len()).min(part.len());
                collected.extend_from_slice(&part[..room]);
            }
            if end || collected.len() == ERROR_BODY_MAX { Err(failed()) } else { Ok(()) }
        }
        Progress::Answering(pipe) => {
            match plugins::take(plugins, end, || feed(pipe, body.take(), end)) {
                (released, Ok(())) => {
                    if let Err(late) = late(attempt) {
                        // What it went on with is told, and must not be missing.
                        attempt.unsent = released.filter(|_| attempt.resumes.is_some());
                        return Err(late);
                    }
                    *body = released;
                    note_progress(chat, body.is_some())?;
                    if body.is_some() && !reach::goes_on(chat) {
                        *body = joined(body.take(), Some(reach::stop(chat)));
                    }
                    Ok(())
                }
                (released, Err(fault))
                    if !chat.committed && (released.is_none() || pipe.is_resumable()) =>
                {
                    // The client has nothing: whoever comes next may begin anew.
                    let outcome = Outcome::of_answer(&fault, released.is_some());
                    attempt.progress = Progress::Failed(outcome);
                    Err(failed())
                }
                (released, Err(fault)) if continuation::would_help(chat) => {
                    continuation::break_off(chat, Outcome::of_answer(&fault, true), released);
                    Err(failed())
                }
                (released, Err(fault)) => {
                    // The client has a part of the answer: its stream is ended in good order here,
                    // together with what the same batch still holds.
                    let first = released.is_some() && chat.first_byte.is_none();
                    if first {
                        note_progress(chat, true)?;
                    }
                    let outcome = Outcome::of_answer(&fault, true);
                    let told = failure::told(chat, &outcome);
                    let end = abort(chat, outcome, told);
                    *body = joined(released, Some(end));
                    Ok(())
                }
            }
        }
        Progress::Aborted(_) | Progress::Waiting | Progress::Failed(_) | Progress::Broken(..) => {
            *body = None;
            Ok(())
        }
    }
}

/// What the pipe releases of a part, and whether it is still good after it.
fn feed(
    pipe: &mut Pipe,
    part: Option<Bytes>,
    end: bool,
) -> (Option<Bytes>, std::result::Result<(), AnswerFault>) {
    let released = match part {
        Some(part) if !part.is_empty() => match pipe.push(part) {
            Ok(released) => released,
            Err(fault) => return (None, Err(fault)),
        },
        _ => None,
    };
    if !end {
        return (released, Ok(()));
    }
    match pipe.end() {
        Ok(rest) => (joined(released, rest), Ok(())),
        Err(fault) => (released, Err(fault)),
    }
}

pub(super) fn joined(first: Option<Bytes>, rest: Option<Bytes>) -> Option<Bytes> {
    match (first, rest) {
        (Some(first), Some(rest)) => {
            let mut both = BytesMut::with_capacity(first.len() + rest.len());
            both.extend_from_slice(&first);
            both.extend_from_slice(&rest);
            Some(both.freeze())
        }
        (first, rest) => first.or(rest),
    }
}

/// Holds an answer to its limits as its bytes come in. Comments and pings keep the connection
/// alive but are no token, and an answer that is not streamed may come in drops.
fn late(attempt: &mut Attempt) -> Result<()> {
    let Progress::Answering(pipe) = &attempt.progress else { return Ok(()) };
    let timeouts = &attempt.upstream.provider.timeouts;
    let waited = || clock::now().since(attempt.connected.unwrap_or(attempt.started));
    let late = if !pipe.shape().stream {
        (waited() > timeouts.whole_answer).then_some(Outcome::AnswerTimeout)
    } else if attempt.begun {
        if let Some(watchdog) = &attempt.watchdog {
            watchdog.beat();
        }
        None
    } else if pipe.meter().semantic {
        attempt.begun = true;
        // A connection that the timer has cut already has no more than this one token.
        let fired = attempt.watchdog.take().is_some_and(|watchdog| watchdog.fired());
        attempt.watchdog =
            attempt.gap_fd.and_then(|fd| Watchdog::watch_gaps(fd, timeouts.inter_event));
        fired.then_some(Outcome::FirstTokenTimeout)
    } else {
        (attempt.streams && waited() > timeouts.first_token).then_some(Outcome::FirstTokenTimeout)
    };
    match late {
        Some(outcome) => {
            // Kept: it may hold the beginning of the client's stream.
            let last = std::mem::replace(&mut attempt.progress, Progress::Failed(outcome));
            if let (Progress::Answering(pipe), true) = (last, attempt.resumes.is_some()) {
                attempt.progress = Progress::Broken(pipe, outcome);
            }
            Err(failed())
        }
        None => Ok(()),
    }
}

/// Ends a stream that the client has a part of; gives the bytes that do so.
pub(crate) fn abort(chat: &mut Chat, outcome: Outcome, error: GatewayError) -> Bytes {
    if chat.cut.is_some() {
        // It has been ended, and what it costs is known.
        return Bytes::new();
    }
    let (mut usage, mut last) = (Usage::default(), Bytes::new());
    chat.money.cost = continuation::spent(&chat.legs).1;
    if let Some(attempt) = &mut chat.attempt {
        let progress = std::mem::replace(&mut attempt.progress, Progress::Aborted(outcome));
        if let Progress::Answering(mut pipe) | Progress::Broken(mut pipe, _) = progress {
            if pipe.started() {
                usage = pipe.meter().usage(pipe.shape().prompt_estimate);
                chat.money.cost += pipe.cost();
            }
            let unsent = attempt.unsent.take();
            last = joined(unsent, Some(pipe.abort(&error))).unwrap_or_default();
        }
    }
    if let Some(mut resume) = chat.resume.take() {
        last = resume.abort(&error);
    }
    chat.cut = Some(Cut { usage, error });
    if let Err(error) = note_cost(chat) {
        // The stream ends all the same; the charge itself is queued at the end of the request.
        tracing::error!(%error, "The cost of a cut answer could not be noted.");
    }
    last
}

/// Before the first bytes and before the last ones go out, what they cost is noted where it
/// survives a crash of the process.
fn note_progress(chat: &mut Chat, released: bool) -> Result<()> {
    let Some(Attempt { shown, progress: Progress::Answering(pipe), .. }) = &chat.attempt else {
        return Ok(());
    };
    let meter = pipe.meter();
    if !released || (shown.is_some() && !meter.complete) {
        return Ok(());
    }
    chat.money.cost = continuation::spent(&chat.legs).1 + pipe.cost();
    if let Err(error) = note_cost(chat) {
        if let Some(attempt) = &mut chat.attempt {
            attempt.progress = Progress::Failed(Outcome::Internal);
        }
        return Err(error);
    }
    let Some(Attempt { guard, shown, progress: Progress::Answering(pipe), .. }) = &mut chat.attempt
    else {
        return Ok(());
    };
    let meter = pipe.meter();
    if shown.is_none() {
        let now = clock::now();
        *shown = Some(now);
        chat.first_byte.get_or_insert(now);
        if let Some(guard) = guard {
            guard.first_token(now);
        }
    }
    if meter.complete {
        chat.cache.good.store(true, Ordering::Release);
    }
    Ok(())
}

/// Notes the cost so far beside the journal.
///
/// # Errors
/// The note could not be written: the bytes that it stands for must not go out.
pub(super) fn note_cost(chat: &Chat) -> Result<()> {
    match &chat.money.hold {
        Some(hold) => hold.progress(chat.money.cost).map_err(|down| {
            Error::explain(DECIDED, format!("the cost could not be noted: {down}")).into_in()
        }),
        None => Ok(()),
    }
}

/// Bytes on their way to the client: the header goes before the first of them.
///
/// # Errors
/// The client does not take the header.
pub(crate) fn commit(
    session: &mut Session,
    chat: &mut Chat,
    facts: &mut Facts,
    body: &Option<Bytes>,
    end: bool,
) -> Result<()> {
    let length = body.as_ref().map_or(0, Bytes::len);
    facts.bytes_out += length;
    if let Some(bytes) = body.as_ref().filter(|bytes| !bytes.is_empty()) {
        continuation::remember(chat, bytes);
        if let Some(content) = &mut chat.content {
            content.add(bytes);
        }
    }
    if chat.committed || chat.cache.hit || length == 0 {
        return Ok(());
    }
    let mut header = stored_header(chat.ask.head.stream)?;
    dress(chat, facts, &mut header)?;
    if !chat.ask.head.stream && (end || is_complete(chat)) {
        header.insert_header(header::CONTENT_LENGTH, HeaderValue::from(length))?;
    } else if session.req_header().version != http::Version::HTTP_2 {
        header.insert_header(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"))?;
    }
    chat.committed = true;
    let written = pin!(session.downstream_session.write_response_header(Box::new(header)));
    match written.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result.map_err(Error::into_down),
        Poll::Pending => {
            Error::e_explain(ErrorType::WriteError, "the client does not take the header")
                .map_err(|e: Box<Error>| e.into_down())
        }
    }
}

/// The answer has come to its proper end. (One that is not streamed is released only then.)
pub(crate) fn is_complete(chat: &Chat) -> bool {
    matches!(&chat.attempt, Some(Attempt { progress: Progress::Answering(pipe), .. })
        if pipe.meter().complete)
}

/// The error that ends an attempt whose outcome has been recorded.
pub(super) fn failed() -> Box<Error> {
    Error::explain(DECIDED, "the attempt failed").into_up()
}
