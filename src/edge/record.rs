//! What is kept about a request that was answered, from what was learned on its way.
//!
//! Facts about a request, never what it says: no field is filled from a prompt or an answer.

use std::time::Duration;

use http::{HeaderName, header};
use pingora::proxy::Session;

use crate::attempt::{AttemptReport, Outcome};
use crate::catalog::{Prices, Tier, utc_minute};
use crate::dialect::Surface;
use crate::dialect::scan::{Key, Span};
use crate::edge::clock;
use crate::edge::gateway::Gateway;
use crate::edge::journey::{self, Attempt, Chat, Facts};
use crate::edge::task::Task;
use crate::ledger::{ApiType, Details, GenerationRecord, Leg, Tried, UnitPrices};
use crate::observe::AccessLine;
use crate::route::auto;
use crate::stream::Meter;
use crate::vocab::{ModelId, NanoUsd, PicoUsd, Usage};

/// A request at its end.
#[derive(Clone, Copy)]
pub(crate) struct End<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) chat: &'a Chat,
    /// What the log says, with the usage and cost of all parts of the answer.
    pub(crate) line: &'a AccessLine,
    /// What was overheard of the last answer.
    pub(crate) meter: Option<&'a Meter>,
    /// The last attempt.
    pub(crate) attempt: Option<&'a Attempt>,
    /// What the last provider is paid for.
    pub(crate) usage: &'a Usage,
    pub(crate) client_left: bool,
}

/// The request's record.
pub(crate) fn of(gateway: &Gateway, session: &Session, end: &End<'_>) -> GenerationRecord {
    let End { facts, chat, line, meter, attempt, client_left, .. } = *end;
    let now = clock::now();
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
    record.legs = chat.legs.iter().map(leg).collect();
    record.details = details(session, end, &record);
    record.details.external_user = user_hash(gateway, chat);
    record
}

fn ms(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

fn leg(leg: &journey::Leg) -> Leg {
    Leg { endpoint: leg.slot.endpoint.id.clone(), usage: leg.usage, cost: leg.cost }
}

/// Who asked for what in which way, who failed, and at which prices.
fn details(session: &Session, end: &End<'_>, record: &GenerationRecord) -> Details {
    let End { facts, chat, line, meter, usage, .. } = *end;
    let head = &chat.ask.head;
    let asked = head.model.as_deref().or_else(|| head.models.first().map(String::as_str));
    let router = asked.filter(|name| auto::suffixes(name).is_some());
    let served = record.model.as_ref().map(ModelId::as_str);
    let requested = asked.filter(|name| router.is_none() && Some(*name) != served);
    let slot = end.attempt.map(|attempt| &attempt.slot);
    let slot = slot.or(chat.legs.last().map(|leg| &leg.slot));
    let endpoint = slot.map(|slot| &slot.endpoint).filter(|_| record.endpoint.is_some());
    let minute = utc_minute(facts.arrived_ms);
    let tier = endpoint.map(|endpoint| endpoint.tier).filter(|tier| *tier != Tier::Default);
    let region = endpoint.and_then(|endpoint| endpoint.region.as_deref());
    let leg_prices =
        |leg: &journey::Leg| unit_prices(&leg.slot.endpoint.prices.at(leg.usage.prompt, minute));
    let mut details = Details {
        requested_model: requested.map(Into::into),
        router: router.map(Into::into),
        preset: chat.ask.preset.clone(),
        session_id: body_text(chat, head.field(Key::SessionId).map(|field| field.value))
            .or_else(|| chat.ask.session.clone()),
        service_tier: tier.map(|tier| tier.as_str().into()),
        data_region: region.map(Into::into),
        error: line.error.map(Into::into),
        api: Some(api_of(chat.task)),
        had_tools: head.has_tools,
        tool_calls: meter.map_or(0, |meter| meter.tool_calls),
        media_prompt: head.text.media,
        cache_source: chat.cache.source,
        tried: chat.reports.iter().map(tried).collect(),
        prices: endpoint.map(|endpoint| unit_prices(&endpoint.prices.at(usage.prompt, minute))),
        leg_prices: chat.legs.iter().map(leg_prices).collect(),
        ..Details::default()
    };
    application(session, &mut details);
    details
}

// Names that are made once are found without reading them again.
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static HTTP_REFERER: HeaderName = HeaderName::from_static("http-referer");
static TITLE: HeaderName = HeaderName::from_static("x-openrouter-title");
static TITLE_ALIAS: HeaderName = HeaderName::from_static("x-title");

/// The texts of the head that say whose application asked.
fn application(session: &Session, details: &mut Details) {
    let text = |name: &HeaderName| header_text(session.get_header(name)?.as_bytes());
    let either = |name: &HeaderName, alias: &HeaderName| text(name).or_else(|| text(alias));
    details.request_id = text(&REQUEST_ID).map(Into::into);
    // A query may hold what is nobody's business.
    let referer = either(&HTTP_REFERER, &header::REFERER);
    let referer = referer.map(|url| url.split(['?', '#']).next().unwrap_or_default());
    // As at OpenRouter an application is known by its address; a title alone makes none.
    let title = either(&TITLE, &TITLE_ALIAS).filter(|_| referer.is_some());
    details.app_title = title.map(Into::into);
    let origin = text(&header::ORIGIN);
    let said = |origin: &&str| referer.is_some_and(|referer| referer.starts_with(*origin));
    details.origin = origin.filter(|origin| !said(origin)).map(Into::into);
    details.http_referer = referer.map(Into::into);
    details.user_agent = text(&header::USER_AGENT).map(Into::into);
}

/// A header's value, if it is a text that can stand on a line.
fn header_text(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok()?.trim();
    (!text.is_empty() && !text.contains(char::is_control)).then_some(text)
}

/// A string of the body.
fn body_text(chat: &Chat, at: Option<Span>) -> Option<Box<str>> {
    let text: String = serde_json::from_slice(at?.of(&chat.ask.body)).ok()?;
    (!text.is_empty() && !text.contains(char::is_control)).then(|| text.into())
}

/// Tells the users of an account apart without their names, which may be people's: a keyed hash.
fn user_hash(gateway: &Gateway, chat: &Chat) -> Option<Box<str>> {
    let user = external_user(chat)?;
    let account = chat.caller.account().id();
    let hash = gateway.ledger.keys().hash(format!("user\0{account}\0{user}").as_bytes());
    let hex = blake3::Hash::from_bytes(hash).to_hex();
    Some(format!("user-{}", hex.get(..24)?).into())
}

/// The caller's own name for its user: `user`, or Anthropic's `metadata.user_id`.
fn external_user(chat: &Chat) -> Option<Box<str>> {
    #[derive(serde::Deserialize)]
    struct Metadata {
        user_id: Option<String>,
    }
    if let Some(user) = body_text(chat, chat.ask.head.user) {
        return Some(user);
    }
    let metadata = chat.ask.head.metadata.filter(|_| api_of(chat.task) == ApiType::Messages)?;
    let metadata: Metadata = serde_json::from_slice(metadata.of(&chat.ask.body)).ok()?;
    let user = metadata.user_id.filter(|user| !user.contains(char::is_control))?;
    (!user.is_empty()).then(|| user.into())
}

const fn api_of(task: Task) -> ApiType {
    match task {
        Task::Answer(Surface::Chat) => ApiType::Chat,
        Task::Answer(Surface::Completions) => ApiType::Completions,
        Task::Answer(Surface::Responses) => ApiType::Responses,
        Task::Answer(Surface::Messages) => ApiType::Messages,
        Task::Embed => ApiType::Embeddings,
        Task::Rerank => ApiType::Rerank,
    }
}

fn tried(report: &AttemptReport) -> Tried {
    let status = match report.outcome {
        Outcome::Status { status, .. } => status,
        _ => 0,
    };
    Tried {
        endpoint: report.endpoint.clone(),
        outcome: report.outcome.label().into(),
        status,
        ms: ms(report.ended.since(report.started)),
    }
}

/// The prices that a charge was reckoned by, as they are kept.
fn unit_prices(prices: &Prices) -> UnitPrices {
    let some = |price: PicoUsd| (price != PicoUsd::ZERO).then_some(price);
    UnitPrices {
        prompt: prices.prompt,
        completion: prices.completion,
        cache_read: prices.cache_read,
        cache_write_5m: prices.cache_write_5m,
        cache_write_1h: prices.cache_write_1h,
        reasoning: prices.reasoning,
        audio_prompt: prices.audio_prompt,
        audio_completion: prices.audio_completion,
        request: some(prices.request),
        image: some(prices.image),
        search: some(prices.search),
    }
}
