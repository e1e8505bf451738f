//! The end of every request: the charge, one log line, one update of the metrics.

use std::time::Duration;

use pingora::proxy::Session;
use pingora::{Error, ErrorSource};

use crate::dialect::ir::FinishReason;
use crate::edge::clock;
use crate::edge::gateway::Gateway;
use crate::edge::journey::{Attempt, Chat, Facts, Journey, Progress, Stage};
use crate::ledger::{Charge, GenerationRecord};
use crate::observe::{AccessLine, AttemptNote, Done};
use crate::stream::Meter;
use crate::vocab::{NanoUsd, Usage};

/// Closes the books on a request. Runs on every path but a panic, where the hold closes itself.
pub(crate) fn close(gateway: &Gateway, session: &Session, e: Option<&Error>, ctx: &mut Journey) {
    let ended = clock::now();
    let client_left = e.is_some_and(|e| *e.esource() == ErrorSource::Downstream);
    let status = session.response_written().map_or(0, |r| r.status.as_u16());
    let stage = std::mem::replace(&mut ctx.stage, Stage::Answered);
    let outcome = match stage {
        Stage::Chat(chat) => chat_outcome(gateway, &ctx.facts, chat, client_left, status),
        Stage::Arrived | Stage::Answered => Summary::default(),
    };
    let facts = &ctx.facts;
    let duration = ended.since(facts.arrived);
    let done = Done {
        surface: facts.surface.name(),
        status,
        duration,
        ttft: outcome.ttft,
        overhead: outcome.overhead,
        usage: outcome.usage,
        cost: outcome.cost,
        stream: outcome.stream,
        cached: outcome.cached,
        attempts: outcome.attempts.len(),
    };
    let now = gateway.now.load();
    gateway.metrics.done(now.meters.model(outcome.model.as_deref()), &done);
    let request = session.req_header();
    gateway.access.write(&AccessLine {
        ts_ms: facts.arrived_ms,
        id: facts.id,
        key: facts.caller.as_ref().map(|c| c.id.as_str()),
        account: facts.caller.as_ref().map(|c| c.account.id.as_str()),
        method: request.method.as_str(),
        path: request.uri.path(),
        client: session.client_addr().map(ToString::to_string),
        model_requested: outcome.requested.as_deref(),
        model: outcome.model.as_deref(),
        provider: outcome.provider.as_deref(),
        endpoint: outcome.endpoint.as_deref(),
        attempts: &outcome.attempts,
        error: facts.error.as_ref().map(|e| e.kind.code()),
        detail: facts.error.as_ref().and_then(|e| e.detail.as_deref()),
        finish: outcome.finish.map(FinishReason::as_str),
        client_left,
        bytes_in: facts.bytes_in,
        bytes_out: facts.bytes_out,
        done: &done,
    });
}

/// What the log line and the metrics say of a chat completion.
#[derive(Default)]
struct Summary {
    requested: Option<String>,
    model: Option<String>,
    provider: Option<String>,
    endpoint: Option<String>,
    attempts: Vec<AttemptNote>,
    ttft: Option<Duration>,
    overhead: Option<Duration>,
    usage: Usage,
    cost: NanoUsd,
    finish: Option<FinishReason>,
    stream: bool,
    cached: bool,
}

fn chat_outcome(
    gateway: &Gateway,
    facts: &Facts,
    mut chat: Box<Chat>,
    client_left: bool,
    status: u16,
) -> Summary {
    let attempt = chat.attempt.take();
    let meter = attempt.as_ref().and_then(meter);
    let charge = Consumed::of(&chat, meter, client_left);
    let mut summary = Summary {
        requested: chat.ask.head.model.take(),
        attempts: notes(&chat, attempt.as_ref(), meter),
        ttft: chat.first_byte.map(|at| at.since(facts.arrived)),
        usage: charge.usage,
        cost: charge.cost(attempt.as_ref()),
        finish: meter.and_then(|m| m.finish),
        stream: chat.ask.head.stream,
        cached: chat.cache.hit,
        ..Summary::default()
    };
    if let Some(attempt) = &attempt {
        let endpoint = &attempt.admitted.slot().endpoint;
        summary.model = Some(endpoint.model.to_string());
        summary.provider = Some(endpoint.provider.id.to_string());
        summary.endpoint = Some(endpoint.id.to_string());
        summary.overhead = attempt.connected.map(|at| at.since(facts.arrived));
        if charge.complete {
            attempt.admitted.succeeded(clock::now());
            chat.snapshot.learn_length(&endpoint.model, charge.usage.completion);
            gateway.metrics.attempt(&endpoint.provider.id, "ok");
        }
    }
    let record = record(facts, &chat, &summary, attempt.as_ref(), meter, (client_left, status));
    if let Some(hold) = chat.money.hold.take() {
        if charge.billed {
            hold.settle(Charge { cost: summary.cost, record });
        } else {
            hold.void(Some(record));
        }
    } else if chat.cache.hit {
        gateway.ledger.record(record);
    }
    summary
}

fn meter(attempt: &Attempt) -> Option<&Meter> {
    match &attempt.progress {
        Progress::Answering(pipe) => Some(pipe.meter()),
        Progress::Waiting
        | Progress::Refused { .. }
        | Progress::Aborted(_)
        | Progress::Failed(_) => None,
    }
}

/// What an answer used, and whether the caller pays for it.
///
/// Complete answers are paid for as the provider counted them. Of an answer that was cut, by the
/// client or by the provider, what had been delivered is paid for. An answer of which the client
/// saw nothing is free.
struct Consumed {
    usage: Usage,
    billed: bool,
    complete: bool,
}

impl Consumed {
    fn of(chat: &Chat, meter: Option<&Meter>, client_left: bool) -> Self {
        if let Some(cut) = &chat.cut {
            return Self { usage: cut.usage, billed: true, complete: false };
        }
        let Some(meter) = meter.filter(|_| chat.first_byte.is_some() && !chat.cache.hit) else {
            return Self { usage: Usage::default(), billed: false, complete: false };
        };
        let complete = meter.complete && !client_left;
        Self { usage: meter.usage(chat.ask.prompt_tokens), billed: true, complete }
    }

    fn cost(&self, attempt: Option<&Attempt>) -> NanoUsd {
        match attempt {
            Some(attempt) if self.billed => {
                attempt.admitted.slot().endpoint.prices.cost(&self.usage)
            }
            _ => NanoUsd::ZERO,
        }
    }
}

fn notes(chat: &Chat, attempt: Option<&Attempt>, meter: Option<&Meter>) -> Vec<AttemptNote> {
    let mut notes: Vec<AttemptNote> = chat
        .reports
        .iter()
        .map(|r| AttemptNote { endpoint: r.endpoint.clone(), outcome: r.outcome.code() })
        .collect();
    if let Some(attempt) = attempt.filter(|_| meter.is_some_and(|m| m.complete)) {
        let endpoint = attempt.admitted.slot().endpoint.id.clone();
        notes.push(AttemptNote { endpoint, outcome: "ok" });
    }
    notes
}

fn record(
    facts: &Facts,
    chat: &Chat,
    summary: &Summary,
    attempt: Option<&Attempt>,
    meter: Option<&Meter>,
    (client_left, status): (bool, u16),
) -> GenerationRecord {
    let now = clock::now();
    let ms = |d: Duration| u32::try_from(d.as_millis()).unwrap_or(u32::MAX);
    let text = |t: &Option<String>| t.clone().unwrap_or_default();
    GenerationRecord {
        id: facts.id,
        created_ms: facts.arrived_ms,
        account: chat.caller.account.id.clone(),
        key: chat.caller.id.clone(),
        model: summary.model.clone().or_else(|| summary.requested.clone()).unwrap_or_default(),
        provider: text(&summary.provider),
        endpoint: text(&summary.endpoint),
        upstream_id: meter.and_then(|m| m.upstream_id.clone()),
        streamed: summary.stream,
        cancelled: client_left,
        finish_reason: summary.finish.map(|f| f.as_str().to_owned()),
        native_finish_reason: meter.and_then(|m| m.native_finish.clone()),
        usage: summary.usage,
        cost: summary.cost,
        cache_hit: summary.cached,
        latency_ms: ms(now.since(facts.arrived)),
        ttft_ms: summary.ttft.map(ms),
        generation_ms: attempt.map_or(0, |a| ms(now.since(a.started))),
        attempts: u8::try_from(summary.attempts.len()).unwrap_or(u8::MAX),
        status,
    }
}
