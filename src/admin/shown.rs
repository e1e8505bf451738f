//! A generation in OpenRouter's words (`GET /generation`), with a few more of ours.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::catalog::date;
use crate::ledger::{ApiType, GenerationRecord, Leg, UnitPrices};
use crate::vocab::{EndpointId, ModelId, NanoUsd, ProviderId};

/// A generation. What OpenRouter has and we do not (workspaces, numbers of applications,
/// moderation, fetched pages) is `null`.
#[derive(Serialize)]
pub struct ShownGeneration<'a> {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    upstream_id: Option<&'a str>,
    request_id: Option<&'a str>,
    session_id: Option<&'a str>,
    preset_id: Option<&'a str>,
    workspace_id: Option<()>,
    app_id: Option<()>,
    app_title: Option<&'a str>,
    external_user: Option<&'a str>,
    origin: String,
    http_referer: Option<&'a str>,
    user_agent: Option<&'a str>,
    created_at: String,
    model: &'a str,
    requested_model: Option<&'a str>,
    variant: Option<&'a str>,
    router: Option<&'a str>,
    provider_name: Option<&'a str>,
    endpoint: Option<&'a str>,
    provider_responses: Vec<Response<'a>>,
    api_type: &'static str,
    surface: Option<&'static str>,
    streamed: bool,
    cancelled: bool,
    finish_reason: Option<&'a str>,
    native_finish_reason: Option<&'a str>,
    latency: Option<u32>,
    moderation_latency: Option<u32>,
    generation_time: u32,
    tokens_prompt: u64,
    tokens_completion: u64,
    native_tokens_prompt: u64,
    native_tokens_completion: u64,
    native_tokens_reasoning: u64,
    native_tokens_cached: u64,
    native_tokens_completion_images: Option<u64>,
    num_media_prompt: u32,
    num_media_completion: u64,
    num_input_audio_prompt: Option<u32>,
    num_search_results: Option<u64>,
    num_fetches: Option<u64>,
    web_search_engine: Option<&'a str>,
    had_tools: bool,
    tool_calls: u32,
    usage: Box<RawValue>,
    total_cost: Box<RawValue>,
    cache_discount: Option<Box<RawValue>>,
    discount: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plugins_cost: Option<Box<RawValue>>,
    upstream_inference_cost: Option<Box<RawValue>>,
    is_byok: bool,
    prices: Option<&'a UnitPrices>,
    service_tier: Option<&'a str>,
    data_region: Option<&'a str>,
    response_cache_source_id: Option<String>,
    cache_hit: bool,
    estimated: bool,
    attempts: u32,
    status: u16,
    error: Option<&'a str>,
    ended_by: Option<&'a str>,
    /// Parts of the answer whose providers broke off, before the one above went on.
    legs: Vec<Part<'a>>,
}

/// What one provider said to a request.
#[derive(Serialize)]
struct Response<'a> {
    provider_name: &'a str,
    endpoint_id: &'a str,
    model_permaslug: Option<&'a str>,
    id: Option<&'a str>,
    status: Option<u16>,
    outcome: &'a str,
    latency: u32,
    is_byok: bool,
    routed_service_tier: Option<&'a str>,
}

/// A part of an answer.
#[derive(Serialize)]
struct Part<'a> {
    endpoint: &'a str,
    tokens_prompt: u64,
    tokens_completion: u64,
    estimated: bool,
    cost: Box<RawValue>,
}

impl<'a> Part<'a> {
    fn of(leg: &'a Leg) -> Self {
        Self {
            endpoint: leg.endpoint.as_str(),
            tokens_prompt: leg.usage.prompt,
            tokens_completion: leg.usage.completion,
            estimated: leg.usage.estimated,
            cost: dollars(leg.cost),
        }
    }
}

/// Dollars as a JSON number with all its digits.
pub fn dollars(amount: NanoUsd) -> Box<RawValue> {
    RawValue::from_string(amount.to_string()).unwrap_or_default()
}

/// Milliseconds since 1970 as a date and time in UTC.
pub fn rfc3339(unix_ms: u64) -> String {
    let (secs, ms) = (unix_ms / 1_000, unix_ms % 1_000);
    let (hours, minutes, seconds) = (secs / 3_600 % 24, secs / 60 % 60, secs % 60);
    format!("{}T{hours:02}:{minutes:02}:{seconds:02}.{ms:03}Z", date::day_text(secs))
}

/// The scheme and host of an address.
fn origin_of(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split('/').next().filter(|host| !host.is_empty())?;
    url.get(..scheme.len() + 3 + host.len())
}

fn provider_of(endpoint: &EndpointId) -> &str {
    endpoint.as_str().split('/').next().unwrap_or_default()
}

impl<'a> ShownGeneration<'a> {
    /// Shows a record.
    #[expect(clippy::too_many_lines, reason = "one line per field")]
    pub fn of(record: &'a GenerationRecord) -> Self {
        let (usage, more) = (&record.usage, &record.details);
        let origin = more.origin.as_deref();
        let origin = origin.or_else(|| more.http_referer.as_deref().and_then(origin_of));
        let model = record.model.as_ref().map(ModelId::as_str);
        let asked = more.requested_model.as_deref().or(more.router.as_deref());
        Self {
            id: record.id.to_string(),
            account: None,
            key: None,
            upstream_id: record.upstream_id.as_deref(),
            request_id: more.request_id.as_deref(),
            session_id: more.session_id.as_deref(),
            preset_id: more.preset.as_deref(),
            workspace_id: None,
            app_id: None,
            app_title: more.app_title.as_deref(),
            external_user: more.external_user.as_deref(),
            origin: origin.unwrap_or_default().to_owned(),
            http_referer: more.http_referer.as_deref(),
            user_agent: more.user_agent.as_deref(),
            created_at: rfc3339(record.created_ms),
            model: model.or(asked).unwrap_or_default(),
            requested_model: asked.or(model),
            variant: record.variant(),
            router: more.router.as_deref(),
            provider_name: record.provider.as_ref().map(ProviderId::as_str),
            endpoint: record.endpoint.as_ref().map(EndpointId::as_str),
            provider_responses: responses(record),
            api_type: match more.api {
                Some(ApiType::Embeddings) => "embeddings",
                Some(ApiType::Rerank) => "rerank",
                Some(_) | None => "completions",
            },
            surface: more.api.map(ApiType::as_str),
            streamed: record.streamed,
            cancelled: record.cancelled,
            finish_reason: record.finish_reason.as_deref(),
            native_finish_reason: record.native_finish_reason.as_deref(),
            latency: record.ttft_ms,
            moderation_latency: None,
            generation_time: record.generation_ms,
            tokens_prompt: usage.prompt,
            tokens_completion: usage.completion,
            native_tokens_prompt: usage.prompt,
            native_tokens_completion: usage.completion,
            native_tokens_reasoning: usage.reasoning,
            native_tokens_cached: usage.cache_read,
            native_tokens_completion_images: None,
            num_media_prompt: more.media_prompt,
            num_media_completion: usage.images,
            num_input_audio_prompt: None,
            num_search_results: (usage.searches > 0).then_some(usage.searches),
            num_fetches: None,
            web_search_engine: None,
            had_tools: more.had_tools,
            tool_calls: more.tool_calls,
            usage: dollars(record.cost),
            total_cost: dollars(record.cost),
            cache_discount: record.cache_discount().map(dollars),
            discount: (more.discount != NanoUsd::ZERO).then(|| dollars(more.discount)),
            plugins_cost: (more.plugins != NanoUsd::ZERO).then(|| dollars(more.plugins)),
            upstream_inference_cost: more.upstream_cost.map(dollars),
            is_byok: more.upstream_cost.is_some(),
            prices: more.prices.as_ref(),
            service_tier: more.service_tier.as_deref(),
            data_region: more.data_region.as_deref(),
            response_cache_source_id: more.cache_source.map(|id| id.to_string()),
            cache_hit: record.cache_hit,
            estimated: usage.estimated,
            attempts: record.attempts,
            status: record.status,
            error: more.error.as_deref(),
            ended_by: more.ended_by.as_deref(),
            legs: record.legs.iter().map(Part::of).collect(),
        }
    }
}

impl ShownGeneration<'_> {
    /// Says whose it is as well, for operators.
    #[must_use]
    pub fn with_owner(record: &GenerationRecord) -> ShownGeneration<'_> {
        ShownGeneration {
            account: Some(record.account.as_str()),
            key: Some(record.key.as_str()),
            ..ShownGeneration::of(record)
        }
    }
}

/// Who was asked, with what outcome; the one that answered comes last.
fn responses(record: &GenerationRecord) -> Vec<Response<'_>> {
    let more = &record.details;
    let failed = more.tried.iter().map(|tried| Response {
        provider_name: provider_of(&tried.endpoint),
        endpoint_id: tried.endpoint.as_str(),
        model_permaslug: None,
        id: None,
        status: (tried.status > 0).then_some(tried.status),
        outcome: &tried.outcome,
        latency: tried.ms,
        is_byok: false,
        routed_service_tier: None,
    });
    let answered = record.endpoint.as_ref().map(|endpoint| Response {
        provider_name: provider_of(endpoint),
        endpoint_id: endpoint.as_str(),
        model_permaslug: record.model.as_ref().map(ModelId::as_str),
        id: record.upstream_id.as_deref(),
        status: Some(200),
        outcome: if record.cancelled { "cancelled" } else { "answered" },
        latency: record.generation_ms,
        is_byok: more.upstream_cost.is_some(),
        routed_service_tier: more.service_tier.as_deref(),
    });
    failed.chain(answered).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Details, Tried};
    use crate::vocab::{AccountId, GenerationId, KeyId, PicoUsd, Usage};

    fn record() -> GenerationRecord {
        let (account, key) = (AccountId::parse("a").unwrap(), KeyId::parse("k").unwrap());
        GenerationRecord::bare(GenerationId::from_bits(7), 1_767_225_600_123, account, key)
    }

    #[test]
    fn times_are_dates_in_utc() {
        assert_eq!(rfc3339(1_767_225_600_123), "2026-01-01T00:00:00.123Z");
        assert_eq!(rfc3339(1_767_225_599_000), "2025-12-31T23:59:59.000Z");
    }

    #[test]
    fn the_origin_is_the_referer_s_where_none_was_sent() {
        let mut record = record();
        assert_eq!(ShownGeneration::of(&record).origin, "");
        record.details.http_referer = Some("https://app.example/a/b".into());
        assert_eq!(ShownGeneration::of(&record).origin, "https://app.example");
        record.details.origin = Some("https://other.example".into());
        assert_eq!(ShownGeneration::of(&record).origin, "https://other.example");
        for odd in ["", "app", "https://", "://x"] {
            assert!(origin_of(odd).is_none_or(|origin| origin == "://x"), "{odd}");
        }
    }

    #[test]
    fn what_was_asked_tried_and_saved_is_shown() {
        let mut record = record();
        record.model = ModelId::parse("a/m").ok();
        record.endpoint = EndpointId::parse("fast/m").ok();
        record.usage = Usage { prompt: 1_000, cache_read: 600, ..Usage::default() };
        record.cost = NanoUsd(5);
        record.details = Details {
            requested_model: Some("a/m:nitro".into()),
            tried: vec![Tried {
                endpoint: EndpointId::parse("slow/m").unwrap(),
                outcome: "dns".into(),
                status: 0,
                ms: 12,
            }],
            prices: Some(UnitPrices {
                prompt: PicoUsd(1_000_000),
                cache_read: Some(PicoUsd(100_000)),
                ..UnitPrices::default()
            }),
            ..Details::default()
        };
        let text = serde_json::to_string(&ShownGeneration::with_owner(&record)).unwrap();
        let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(shown["variant"], "nitro");
        assert_eq!(shown["requested_model"], "a/m:nitro");
        // 600 tokens at nine tenths of a dollar a million.
        assert!(text.contains(r#""cache_discount":0.00054,"#), "{text}");
        assert!(text.contains(r#""total_cost":0.000000005,"#), "{text}");
        assert_eq!((&shown["account"], &shown["key"]), (&"a".into(), &"k".into()));
        let responses = shown["provider_responses"].as_array().unwrap();
        assert_eq!(responses.len(), 2);
        assert_eq!(
            (&responses[0]["outcome"], &responses[0]["status"]),
            (&"dns".into(), &().into())
        );
        assert_eq!(responses[1]["provider_name"], "fast");
        assert_eq!(shown["is_byok"], false);
    }
}
