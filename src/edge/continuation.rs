//! A stream that breaks off in its middle, and goes on at another endpoint.
//!
//! Pingora's loop over attempts does not mind that an answer has begun: the next attempt's header
//! is not written again, and its body goes on with the same answer. So the attempt that broke off
//! is [parted](part) into what its provider is paid ([`Leg`]) and what the next one needs
//! ([`crate::stream::Resume`]); the next request is [written](write) from both, and its answer's
//! pipe [takes](take) the client's stream over.

use crate::attempt::Outcome;
use crate::catalog::{Endpoint, utc_minute};
use bytes::{Bytes, BytesMut};
use pingora::proxy::Session;

use crate::dialect::resume::{self, Means};
use crate::dialect::scan::TextStats;
use crate::dialect::{self, Surface, Target};
use crate::edge::answer;
use crate::edge::journey::{Attempt, Chat, Facts, Leg, Progress, Resumes};
use crate::edge::metadata;
use crate::edge::task::Task;
use crate::edge::write::{LARGE_BODY, Unwritten, Written};
use crate::error::{GatewayError, Kind};
use crate::stream::{Continued, Resume, Seam};
use crate::vocab::{NanoUsd, Usage};

/// Whether an answer that is about to begin may have to be gone on with: only then is its text
/// kept.
pub(crate) fn may_be_needed(chat: &Chat) -> bool {
    is_allowed(chat) && has_next(chat)
}

/// Whether an answer of this kind may go on elsewhere at all.
fn is_allowed(chat: &Chat) -> bool {
    let head = &chat.ask.head;
    let allowed = head.provider.as_ref().and_then(|prefs| prefs.allow_continuation);
    head.stream
        && head.n <= 1
        // What plugins have made of the text is not what its provider wrote.
        && !chat.plugins.as_ref().is_some_and(|plugins| plugins.hears)
        && matches!(chat.task, Task::Answer(_))
        && chat.snapshot.attempts.continuations_max > 0
        && allowed.unwrap_or(true)
}

/// Whether somebody is left who may be asked.
fn has_next(chat: &Chat) -> bool {
    chat.plan.has_next() && chat.plan.tried() < chat.snapshot.attempts.attempts_max
}

/// Whether another endpoint may go on with what the client has.
pub(crate) fn is_possible(chat: &Chat, attempt: &Attempt) -> bool {
    let may_again = || {
        let legs = u32::try_from(chat.legs.len()).unwrap_or(u32::MAX);
        attempt.shown.is_none() || legs < chat.snapshot.attempts.continuations_max
    };
    match &attempt.progress {
        Progress::Answering(pipe) | Progress::Broken(pipe, _) => {
            pipe.is_resumable() && may_again() && is_allowed(chat)
        }
        Progress::Waiting
        | Progress::Refused { .. }
        | Progress::Aborted(_)
        | Progress::Failed(_) => chat.resume.is_some(),
    }
}

/// Whether it is worth ending the attempt under way for that.
pub(crate) fn would_help(chat: &Chat) -> bool {
    has_next(chat) && chat.attempt.as_ref().is_some_and(|attempt| is_possible(chat, attempt))
}

/// Ends an attempt so that the next can go on where it stopped; `false`: nobody can.
pub(crate) fn part(chat: &mut Chat, attempt: &mut Attempt) -> bool {
    let (Progress::Answering(pipe) | Progress::Broken(pipe, _)) = &mut attempt.progress else {
        if let (Some(resume), Some(bytes)) = (&mut chat.resume, attempt.unsent.take()) {
            resume.unsent(&bytes);
        }
        return chat.resume.is_some();
    };
    let echo = match (chat.task, &chat.ask.parsed) {
        (Task::Answer(surface), Some(request)) => surface.echo(request),
        _ => None,
    };
    let Some(mut resume) = pipe.take_resume(echo) else { return false };
    if let Some(bytes) = attempt.unsent.take() {
        resume.unsent(&bytes);
    }
    chat.resume = Some(Box::new(resume));
    // Who has given the client nothing is paid nothing.
    if attempt.shown.is_some() || pipe.started() {
        let usage = pipe.meter().usage(pipe.shape().prompt_estimate);
        let cost = pipe.cost();
        chat.legs.push(Leg { slot: attempt.slot.clone(), usage, cost });
        chat.money.cost = spent(&chat.legs).1;
        if let Err(error) = answer::note_cost(chat) {
            // What was noted before stands; the next note comes before the next byte.
            tracing::error!(%error, "The cost of a part of an answer could not be noted.");
        }
    }
    true
}

/// The pieces that Pingora may take together before it writes the first: the one it waits for, and
/// its queue of four, with room to spare.
const RECENT_MAX: usize = 8;

/// Keeps a piece that is on its way to the client, until it is sure to be there.
pub(crate) fn remember(chat: &mut Chat, bytes: &Bytes) {
    let keeps = match &chat.attempt {
        Some(Attempt { progress: Progress::Answering(pipe), .. }) => pipe.is_resumable(),
        _ => false,
    };
    if !keeps {
        // What was kept before would no longer be the last.
        chat.recent.clear();
        return;
    }
    if chat.recent.len() == RECENT_MAX {
        chat.recent.pop_front();
    }
    chat.recent.push_back(bytes.clone());
}

/// Takes back what was handed to Pingora and never written: it filters several pieces before it
/// writes them, and forgets those before one that fails.
pub(crate) fn recover(session: &Session, chat: &mut Chat, facts: &mut Facts) {
    let recent = std::mem::take(&mut chat.recent);
    let mut lost = facts.bytes_out.saturating_sub(session.body_bytes_sent());
    if lost == 0 || recent.is_empty() {
        return;
    }
    let mut pieces = Vec::new();
    for piece in recent.into_iter().rev() {
        let from = piece.len().saturating_sub(lost);
        lost -= piece.len() - from;
        facts.bytes_out -= piece.len() - from;
        pieces.push(piece.slice(from..));
    }
    let mut bytes = BytesMut::new();
    pieces.iter().rev().for_each(|piece| bytes.extend_from_slice(piece));
    if let Some(content) = &mut chat.content {
        content.take_back(bytes.len());
    }
    if let Some(attempt) = &mut chat.attempt {
        attempt.unsent.iter().for_each(|rest| bytes.extend_from_slice(rest));
        attempt.unsent = Some(bytes.freeze());
    }
}

/// Keeps a stream that the client has a part of for whoever may go on with it, together with what
/// was not sent yet.
pub(crate) fn break_off(chat: &mut Chat, outcome: Outcome, released: Option<Bytes>) {
    let Some(attempt) = &mut chat.attempt else { return };
    let last = std::mem::replace(&mut attempt.progress, Progress::Failed(outcome));
    if let Progress::Answering(pipe) = last {
        attempt.progress = Progress::Broken(pipe, outcome);
        attempt.unsent = released;
    }
}

/// Ends a stream in good order whose provider said that its answer is complete, and broke off
/// before the terminal event that its dialect may leave out anyway.
pub(crate) fn end_softly(chat: &mut Chat) {
    let Some(Attempt { progress: Progress::Answering(pipe), upstream, unsent, .. }) =
        &mut chat.attempt
    else {
        return;
    };
    let finished = pipe.meter().finish.is_some() && !pipe.meter().complete;
    if chat.committed && finished && upstream.provider.dialect.ends_softly() {
        match pipe.end() {
            Ok(rest) => *unsent = answer::joined(unsent.take(), rest),
            // It is no complete answer: whoever asks next is told why it broke off.
            Err(fault) => tracing::debug!(%fault, "A finished answer broke off."),
        }
    }
}

/// What is still to be sent of an answer whose end has come.
pub(crate) fn rest(chat: &mut Chat) -> Bytes {
    chat.attempt.as_mut().and_then(|attempt| attempt.unsent.take()).unwrap_or_default()
}

/// What the providers that broke off are paid, together.
pub(crate) fn spent(legs: &[Leg]) -> (Usage, NanoUsd) {
    legs.iter().fold((Usage::default(), NanoUsd::ZERO), |(usage, cost), leg| {
        (usage.and(&leg.usage), cost + leg.cost)
    })
}

/// The client's stream, for the pipe of the attempt that goes on with it.
pub(crate) fn take(chat: &mut Chat) -> Option<(Resume, Continued)> {
    let attempt = chat.attempt.as_ref()?;
    let seam = attempt.resumes.as_ref()?.seam.clone();
    let metadata = chat.metadata.then(|| metadata::of(chat, attempt));
    let how = Continued { seam, before: spent(&chat.legs), metadata };
    chat.resume.take().map(|resume| (*resume, how))
}

/// The shortest continuation that credit is set aside for, in tokens.
const SHORTEST: u64 = 16;

/// Writes the request for what comes after `text`.
///
/// # Errors
/// This provider cannot go on with it, or the credit does not reach.
pub(crate) fn write(
    chat: &mut Chat,
    surface: Surface,
    endpoint: &Endpoint,
    target: &Target<'_>,
    text: &str,
) -> Result<Written, Unwritten> {
    let (body, head) = (&*chat.ask.body, &chat.ask.head);
    let mut tree = dialect::Ask { surface, body, head, parsed: &mut chat.ask.parsed };
    let request = tree.tree().map_err(Unwritten::Wrong)?;
    let dialect = endpoint.provider.dialect;
    let means = resume::means(request, dialect, target, text).ok_or_else(|| {
        let text = "An answer of this form cannot be gone on with by another provider.";
        Unwritten::Inexpressible(GatewayError::new(Kind::ProviderFailed, text))
    })?;
    let used = u32::try_from(spent(&chat.legs).0.completion).unwrap_or(u32::MAX);
    let rest = |limit: u32| match means {
        Means::Anew => limit,
        Means::Exact | Means::Asked => limit.saturating_sub(used).max(1),
    };
    let left = request.max_tokens.map(rest);
    let target = Target { credit_limit: target.credit_limit.map(rest), ..*target };
    let write = || {
        let next = resume::request(request, means, text, left);
        dialect.write_request(&next, &target)
    };
    let large = body.len() >= LARGE_BODY;
    let written = if large { tokio::task::block_in_place(write) } else { write() };
    let body = written.map_err(Unwritten::Inexpressible)?;
    let seam = match means {
        Means::Anew | Means::Asked => Seam::Asked,
        Means::Exact => Seam::Exact { blank: text[text.trim_end().len()..].to_owned() },
    };
    let mut said = TextStats::default();
    said.add_plain(text);
    let prompt_tokens = chat.ask.prompt_tokens + said.estimate_prompt_tokens();
    let left = [left, target.credit_limit].into_iter().flatten().min();
    let resumes = Resumes { seam, left, prompt_tokens };
    set_aside(chat, endpoint, &resumes)?;
    Ok(Written { body, passed: false, resumes: Some(resumes) })
}

/// Sets more credit aside where what is left of it does not cover the rest of the answer.
fn set_aside(chat: &mut Chat, endpoint: &Endpoint, resumes: &Resumes) -> Result<(), Unwritten> {
    let (usage, cost) = spent(&chat.legs);
    let typical = || chat.snapshot.typical(&chat.plan, chat.caller.id());
    let typical = || typical().saturating_sub(usage.completion);
    let tokens = resumes.left.map_or_else(typical, u64::from).max(SHORTEST);
    let tokens = tokens.min(u64::from(endpoint.max_output));
    let Some(hold) = &mut chat.money.hold else { return Ok(()) };
    let prices = endpoint.prices.at(resumes.prompt_tokens, utc_minute(hold.placed_ms()));
    let prompt = prices.prompt_at_most().times(resumes.prompt_tokens) + prices.request.times(1);
    let answer = prices.completion_at_most().times(tokens);
    let need = cost + NanoUsd::from_pico_up(prompt + answer);
    let short = need - hold.granted();
    if short <= NanoUsd::ZERO {
        return Ok(());
    }
    hold.extend(short).map_err(|refused| Unwritten::Wrong(refused.into()))
}
