//! The end of every request: the charge, one log line, one update of the metrics.

use pingora::proxy::Session;
use pingora::{Error, ErrorSource};

use crate::charge::{self, Ended, Part, Pays};
use crate::dialect::ir::FinishReason;
use crate::edge::choose;
use crate::edge::clock;
use crate::edge::content;
use crate::edge::continuation;
use crate::edge::credit;
use crate::edge::drain;
use crate::edge::failure;
use crate::edge::gateway::Gateway;
use crate::edge::journey::{Attempt, Chat, Facts, Journey, Progress, Stage};
use crate::edge::plugins;
use crate::edge::record::{self, End};
use crate::ledger::Charge;
use crate::observe::{AccessLine, AttemptMark, CacheStatus, Outcome, Report, StatusClass};
use crate::stream::Meter;
use crate::vocab::{NanoUsd, Usage};

/// Closes the books on a request. Runs on every path but a panic, where the hold closes itself.
pub(crate) fn close(gateway: &Gateway, session: &Session, e: Option<&Error>, ctx: &mut Journey) {
    let facts = &ctx.facts;
    let mut line = AccessLine::new(facts.arrived_ms, facts.id);
    let request = session.req_header();
    line.set_request(request.method.as_str(), request.uri.path());
    line.surface = facts.surface;
    line.client = session.client_addr().and_then(|a| a.as_inet()).map(std::net::SocketAddr::ip);
    line.key = facts.caller.as_ref().map(|c| c.id().clone());
    line.account = facts.caller.as_ref().map(|c| c.account().id().clone());
    line.status = session.response_written().map(|r| r.status.as_u16());
    line.error = facts.error.as_ref().map(|e| e.kind.code());
    line.bytes_in = facts.bytes_in as u64;
    line.bytes_out = facts.bytes_out as u64;
    let mut client_left = e.is_some_and(|e| *e.esource() == ErrorSource::Downstream);
    let mut broken = false;
    let stage = std::mem::replace(&mut ctx.stage, Stage::Answered);
    if let Stage::Chat(chat) = stage {
        let mut chat = chat;
        if let Some(cut) = &chat.cut {
            broken = true;
            line.error = Some(cut.error.kind.code());
        }
        client_left |= drain::is_on(&chat);
        failure::close_aborted(gateway, &mut chat);
        close_chat(gateway, session, facts, *chat, client_left, &mut line);
    }
    line.duration = clock::now().since(facts.arrived);
    let class = match line.status {
        _ if client_left => StatusClass::Cancelled,
        _ if broken => StatusClass::Broken,
        Some(status) => StatusClass::of_status(status),
        None => StatusClass::Cancelled,
    };
    report(gateway, &line, class);
    if let Some(access) = &gateway.access {
        // A line that does not fit is counted by the log itself.
        access.write(&line);
    }
    if let Some(error) = &facts.error
        && let Some(detail) = &error.detail
    {
        let id = facts.id;
        if error.kind.fault() == crate::error::Fault::Gateway {
            tracing::error!(%id, code = error.kind.code(), detail, "A request has failed.");
        } else {
            tracing::debug!(%id, code = error.kind.code(), detail, "A request was refused.");
        }
    }
}

fn report(gateway: &Gateway, line: &AccessLine, class: StatusClass) {
    let now = gateway.now.load();
    let meter = match &line.model_served {
        Some(model) => now.meters.model(model.as_str()),
        None => now.meters.unknown(),
    };
    gateway.metrics.finish(
        meter,
        &Report {
            surface: line.surface,
            class,
            stream: line.stream,
            cache: line.cache,
            duration: line.duration,
            overhead: line.overhead,
            fallbacks: fallbacks(line),
            usage: line.usage.unwrap_or_default(),
            cost: line.cost.unwrap_or_default(),
        },
    );
}

/// Attempts that were made because an earlier one had failed; who was overtaken had not.
fn fallbacks(line: &AccessLine) -> u32 {
    let counted = line.tried().iter().filter(|mark| mark.outcome != Outcome::Beaten).count();
    u32::try_from(counted.saturating_sub(1)).unwrap_or(u32::MAX)
}

fn close_chat(
    gateway: &Gateway,
    session: &Session,
    facts: &Facts,
    mut chat: Chat,
    client_left: bool,
    line: &mut AccessLine,
) {
    let mut attempt = chat.attempt.take();
    let consumed = Consumed::of(&chat, attempt.as_ref(), client_left, facts.arrived_ms);
    let meter = attempt.as_ref().and_then(meter);
    line.stream = chat.ask.head.stream;
    line.cache = cache_status(&chat);
    line.ttft = chat.first_byte.map(|at| at.since(facts.arrived));
    line.finish = meter.and_then(|m| m.finish).map(FinishReason::as_str);
    if let Some(model) = &chat.ask.head.model {
        line.set_model_requested(model);
    }
    if chat.cache.hit {
        // Cached under this very name.
        let requested = chat.ask.head.model.as_deref();
        let model = requested.and_then(|name| chat.snapshot.table.model(name));
        line.model_served = model.map(|model| model.id.clone());
    }
    for report in &chat.reports {
        let outcome = failure::mark(&report.outcome);
        line.push_attempt(AttemptMark { endpoint: report.endpoint.clone(), outcome });
    }
    let (before, paid) = continuation::spent(&chat.legs);
    let last = attempt.as_ref().map(|attempt| &attempt.slot);
    if let Some(slot) = last.or(chat.legs.last().map(|leg| &leg.slot)).filter(|_| consumed.billed) {
        let endpoint = &slot.endpoint;
        line.model_served = Some(endpoint.model.clone());
        line.provider = Some(endpoint.provider.id.clone());
        line.endpoint = Some(endpoint.id.clone());
        let connected = attempt.as_ref().and_then(|attempt| attempt.connected);
        line.overhead = connected.map(|at| at.since(facts.arrived));
        line.usage = Some(before.and(&consumed.usage));
        line.cost = Some(paid + consumed.cost);
        if consumed.complete {
            let mark = AttemptMark { endpoint: endpoint.id.clone(), outcome: Outcome::Ok };
            line.push_attempt(mark);
        }
    }
    chat.admission.correct(line.usage.unwrap_or_default().total());
    // What they are told of it stands in the line by now.
    plugins::close(gateway, facts, &chat, line);
    let usage = &consumed.usage;
    let attempt_now = attempt.as_ref();
    let end = End { facts, chat: &chat, line, meter, attempt: attempt_now, usage, client_left };
    let mut record = record::of(gateway, session, &end);
    if consumed.billed {
        credit::explain(&mut record, &chat, attempt_now, usage);
    }
    if let Some(settings) = &chat.snapshot.hedging {
        gateway.hedges.budget.charge(settings, record.cost);
    }
    content::keep(facts, &mut chat, line.status);
    if let Some(hold) = chat.money.hold.take() {
        if consumed.billed {
            hold.settle(Charge { cost: record.cost, record });
        } else {
            hold.void(Some(record));
        }
    } else if chat.cache.hit
        && let Err(error) = gateway.ledger.record(record)
    {
        tracing::warn!(%error, "The record of a cached answer is lost.");
    }
    if let Some(attempt) = &mut attempt {
        finish_attempt(gateway, &chat, attempt, &consumed);
    }
}

/// A good answer is told to the endpoint's health and to the model's typical length.
fn finish_attempt(gateway: &Gateway, chat: &Chat, attempt: &mut Attempt, consumed: &Consumed) {
    let endpoint = &attempt.slot.endpoint;
    let meter = chat.snapshot.meters.provider(endpoint.provider.id.as_str());
    if let Some(at) = attempt.shown {
        meter.first_token(at.since(attempt.started));
    }
    if !consumed.complete {
        return;
    }
    meter.attempt(Outcome::Ok);
    let completion = continuation::spent(&chat.legs).0.completion + consumed.usage.completion;
    chat.snapshot.learn_length(&endpoint.model, chat.caller.id(), completion);
    if let Some(guard) = attempt.guard.take() {
        let now = clock::now();
        guard.served(&consumed.usage, now);
        guard.success(now);
        choose::remember(gateway, chat, attempt.slot.mark, &consumed.usage, now);
    }
}

const fn cache_status(chat: &Chat) -> Option<CacheStatus> {
    match chat.cache.intent {
        crate::cache::Intent::Off => None,
        crate::cache::Intent::Use { .. } if chat.cache.hit => Some(CacheStatus::Hit),
        crate::cache::Intent::Use { clear: true, .. } => Some(CacheStatus::Cleared),
        crate::cache::Intent::Use { .. } => Some(CacheStatus::Miss),
    }
}

fn meter(attempt: &Attempt) -> Option<&Meter> {
    match &attempt.progress {
        Progress::Answering(pipe) | Progress::Broken(pipe, _) => Some(pipe.meter()),
        Progress::Waiting
        | Progress::Refused { .. }
        | Progress::Aborted(_)
        | Progress::Failed(_) => None,
    }
}

/// What the last provider's part used and costs, by the table of [`crate::charge`].
struct Consumed {
    usage: Usage,
    cost: NanoUsd,
    billed: bool,
    complete: bool,
}

impl Consumed {
    fn of(chat: &Chat, attempt: Option<&Attempt>, client_left: bool, arrived_ms: u64) -> Self {
        // Parts of earlier providers are paid for all the same.
        let billed = !chat.legs.is_empty();
        let nothing =
            Self { usage: Usage::default(), cost: NanoUsd::ZERO, billed, complete: false };
        if let Some(cut) = &chat.cut {
            let cost = chat.money.cost - continuation::spent(&chat.legs).1;
            return Self { usage: cut.usage, cost, billed: true, complete: false };
        }
        let Some(attempt) = attempt.filter(|_| !chat.cache.hit) else { return nothing };
        let pipe = match &attempt.progress {
            Progress::Answering(pipe) | Progress::Broken(pipe, _) => Some(pipe),
            Progress::Waiting
            | Progress::Refused { .. }
            | Progress::Aborted(_)
            | Progress::Failed(_) => None,
        };
        let complete = pipe.is_some_and(|pipe| pipe.meter().complete);
        let under_way = pipe.is_some() || matches!(attempt.progress, Progress::Waiting);
        let ended = match (complete, client_left) {
            (true, _) => Ended::Complete,
            (false, true) => Ended::ClientLeft,
            (false, false) => Ended::Failed,
        };
        let pays = charge::pays(Part {
            ended,
            asked: under_way && attempt.connected.is_some(),
            begun: attempt.shown.is_some(),
            bills_on: attempt.upstream.provider.bills_on,
        });
        match (pays, pipe) {
            (Pays::Counted | Pays::Delivered, Some(pipe)) if attempt.shown.is_some() => Self {
                usage: pipe.meter().usage(pipe.shape().prompt_estimate),
                cost: pipe.cost(),
                billed: true,
                complete: complete && !client_left,
            },
            (Pays::Prompt, _) => {
                let prompt = attempt.resumes.as_ref().map(|resumes| resumes.prompt_tokens);
                let prompt = prompt.unwrap_or(chat.ask.prompt_tokens);
                let usage = Usage { prompt, estimated: true, ..Usage::default() };
                let quote = credit::quote(chat, &attempt.slot.endpoint, arrived_ms);
                Self { usage, cost: quote.cost(&usage), billed: true, complete: false }
            }
            _ => nothing,
        }
    }
}
