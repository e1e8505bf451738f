//! What is kept about a request that was answered, from what was learned on its way.

use std::time::Duration;

use pingora::proxy::Session;

use crate::edge::clock;
use crate::edge::journey::{Attempt, Chat, Facts};
use crate::ledger::{GenerationRecord, Leg};
use crate::observe::AccessLine;
use crate::stream::Meter;
use crate::vocab::NanoUsd;

/// A request at its end.
#[derive(Clone, Copy)]
pub(crate) struct End<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) chat: &'a Chat,
    /// What the log says, with usage and cost.
    pub(crate) line: &'a AccessLine,
    /// What was overheard of the last answer.
    pub(crate) meter: Option<&'a Meter>,
    /// The last attempt.
    pub(crate) attempt: Option<&'a Attempt>,
    pub(crate) client_left: bool,
}

/// The request's record.
pub(crate) fn of(_: &Session, end: &End<'_>) -> GenerationRecord {
    let End { facts, chat, line, meter, attempt, client_left } = *end;
    let now = clock::now();
    let ms = |d: Duration| u32::try_from(d.as_millis()).unwrap_or(u32::MAX);
    let (account, key) = (chat.caller.account().id().clone(), chat.caller.id().clone());
    let mut record = GenerationRecord::bare(facts.id, facts.arrived_ms, account, key);
    record.model = line.model_served.clone();
    record.provider = line.provider.clone();
    record.endpoint = line.endpoint.clone();
    record.upstream_id = meter.and_then(|m| m.upstream_id.clone());
    record.streamed = line.stream;
    record.cancelled = client_left;
    record.finish_reason = line.finish.map(str::to_owned);
    record.native_finish_reason = meter.and_then(|m| m.native_finish.clone());
    record.usage = line.usage.unwrap_or_default();
    record.cost = line.cost.unwrap_or(NanoUsd::ZERO);
    record.cache_hit = chat.cache.hit;
    record.latency_ms = ms(now.since(facts.arrived));
    record.ttft_ms = line.ttft.map(ms);
    record.generation_ms = attempt.map_or(0, |a| ms(now.since(a.started)));
    record.attempts = u32::try_from(line.tried().len()).unwrap_or(u32::MAX);
    record.status = line.status.unwrap_or(0);
    record.legs = chat
        .legs
        .iter()
        .map(|leg| Leg { endpoint: leg.slot.endpoint.id.clone(), usage: leg.usage, cost: leg.cost })
        .collect();
    record
}
