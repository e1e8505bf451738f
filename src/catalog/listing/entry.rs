//! Models and endpoints as JSON.

use serde::Serialize;

use super::{Live, Percentiles, cheapest};
use crate::catalog::date::day_text;
use crate::catalog::{
    DefaultParameters, Endpoint, Hours, Modalities, Modality, Model, Override, Param, Params,
    Prices, Reasoning, Tariff,
};
use crate::dialect::ir::Effort;
use crate::vocab::PicoUsd;

/// A model in a list.
#[derive(Serialize)]
pub(super) struct Entry<'a> {
    id: &'a str,
    canonical_slug: &'a str,
    object: &'static str,
    owned_by: &'a str,
    name: &'a str,
    created: u64,
    description: &'a str,
    context_length: u32,
    architecture: Architecture<'a>,
    pricing: Pricing,
    top_provider: TopProvider,
    /// Always null: no limits of a request are known beforehand.
    per_request_limits: (),
    supported_parameters: Names<Param>,
    default_parameters: Defaults,
    /// Always null: nothing here speaks.
    supported_voices: (),
    hugging_face_id: Option<&'a str>,
    knowledge_cutoff: Option<&'a str>,
    expiration_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Thinks>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias_target: Option<Target<'a>>,
    links: Details,
}

#[derive(Serialize)]
struct Target<'a> {
    slug: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct Details {
    details: String,
}

impl<'a> Entry<'a> {
    /// The model, under its id or an alias, with the prices of a minute of the day.
    pub(super) fn new(model: &'a Model, alias: Option<&'a str>, minute: u16) -> Self {
        let id = model.id.as_str();
        let cheapest = cheapest(model);
        // An id without an author is owned, for want of a better word, by who serves it.
        let server = cheapest.map_or("", |e| e.provider.id.as_str());
        Self {
            id: alias.unwrap_or(id),
            canonical_slug: &model.canonical_slug,
            object: "model",
            owned_by: model.author().unwrap_or(server),
            name: &model.name,
            created: model.created,
            description: &model.description,
            context_length: model.context_length,
            architecture: Architecture::new(model),
            pricing: cheapest.map_or_else(Pricing::default, |e| Pricing::new(&e.prices, minute)),
            top_provider: TopProvider {
                context_length: cheapest.map_or(0, |e| e.context_length),
                max_completion_tokens: cheapest.map_or(0, |e| e.max_output),
                is_moderated: cheapest.is_some_and(|e| e.moderated),
            },
            per_request_limits: (),
            supported_parameters: parameters(model.supported_parameters),
            default_parameters: Defaults::of(&model.default_parameters),
            supported_voices: (),
            hugging_face_id: model.hugging_face_id.as_deref(),
            knowledge_cutoff: model.knowledge_cutoff.as_deref(),
            expiration_date: model.expires.map(day_text),
            reasoning: model.reasoning.as_ref().map(Thinks::of),
            alias_target: alias.map(|_| Target { slug: id, name: &model.name }),
            links: Details { details: format!("/api/v1/models/{id}/endpoints") },
        }
    }
}

#[derive(Serialize)]
pub(super) struct Architecture<'a> {
    /// For instance `text+image->text`.
    modality: String,
    input_modalities: Names<Modality>,
    output_modalities: Names<Modality>,
    tokenizer: &'a str,
    instruct_type: Option<&'a str>,
}

impl<'a> Architecture<'a> {
    pub(super) fn new(model: &'a Model) -> Self {
        let (input, output) = (model.input_modalities, model.output_modalities);
        Self {
            modality: format!("{input}->{output}"),
            input_modalities: modalities(input),
            output_modalities: modalities(output),
            tokenizer: model.tokenizer.as_deref().unwrap_or("Other"),
            instruct_type: model.instruct_type.as_deref(),
        }
    }
}

/// A list of names.
pub(super) struct Names<T>(Vec<T>, fn(&T) -> &'static str);

impl<T> Serialize for Names<T> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(self.1))
    }
}

pub(super) fn parameters(set: Params) -> Names<Param> {
    Names(set.iter().collect(), |param| param.as_str())
}

fn modalities(set: Modalities) -> Names<Modality> {
    Names(set.iter().collect(), |modality| modality.as_str())
}

#[derive(Serialize)]
struct Defaults {
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<Whole>,
    frequency_penalty: Option<f64>,
    presence_penalty: Option<f64>,
    repetition_penalty: Option<f64>,
}

/// A number that SDKs want without a fraction.
struct Whole(f64);

impl Serialize for Whole {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[expect(clippy::cast_possible_truncation, reason = "configured within a million")]
        to.serialize_i64(self.0.round() as i64)
    }
}

impl Defaults {
    fn of(defaults: &DefaultParameters) -> Self {
        Self {
            temperature: defaults.temperature,
            top_p: defaults.top_p,
            top_k: defaults.top_k.map(Whole),
            frequency_penalty: defaults.frequency_penalty,
            presence_penalty: defaults.presence_penalty,
            repetition_penalty: defaults.repetition_penalty,
        }
    }
}

#[derive(Serialize)]
struct Thinks {
    mandatory: bool,
    default_enabled: bool,
    supported_efforts: Option<Vec<&'static str>>,
    default_effort: Option<&'static str>,
    supports_max_tokens: bool,
}

impl Thinks {
    fn of(reasoning: &Reasoning) -> Self {
        let name = |effort: &Effort| {
            let known = Effort::NAMES.iter().find(|(_, known)| known == effort);
            known.map_or("none", |(name, _)| *name)
        };
        let efforts: Vec<&'static str> = reasoning.efforts.iter().map(name).collect();
        Self {
            mandatory: reasoning.mandatory,
            default_enabled: reasoning.default_enabled,
            supported_efforts: Some(efforts).filter(|efforts| !efforts.is_empty()),
            default_effort: reasoning.default_effort.as_ref().map(name),
            supports_max_tokens: reasoning.supports_max_tokens,
        }
    }
}

#[derive(Default, Serialize)]
struct Pricing {
    prompt: String,
    completion: String,
    request: String,
    image: String,
    web_search: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    internal_reasoning: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_cache_read: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_cache_write: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_cache_write_1h: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_output: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    overrides: Vec<Over>,
}

impl Pricing {
    /// What applies to a short prompt at this minute of the day, and what else may.
    fn new(tariff: &Tariff, minute: u16) -> Self {
        let prices: Prices = tariff.at(0, minute);
        Self {
            prompt: prices.prompt.per_unit_text(),
            completion: prices.completion.per_unit_text(),
            request: prices.request.per_unit_text(),
            image: prices.image.per_unit_text(),
            web_search: prices.search.per_unit_text(),
            internal_reasoning: prices.reasoning.map(PicoUsd::per_unit_text),
            input_cache_read: prices.cache_read.map(PicoUsd::per_unit_text),
            input_cache_write: prices.cache_write_5m.map(PicoUsd::per_unit_text),
            input_cache_write_1h: prices.cache_write_1h.map(PicoUsd::per_unit_text),
            audio: prices.audio_prompt.map(PicoUsd::per_unit_text),
            audio_output: prices.audio_completion.map(PicoUsd::per_unit_text),
            overrides: tariff.overrides().iter().map(Over::of).collect(),
        }
    }
}

/// Prices under conditions.
#[derive(Serialize)]
struct Over {
    #[serde(skip_serializing_if = "Option::is_none")]
    min_prompt_tokens: Option<u64>,
    /// `HHMM` as a number, as OpenRouter has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    utc_start: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    utc_end: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completion: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_cache_read: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_cache_write: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_cache_write_1h: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    internal_reasoning: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_output: Option<String>,
}

impl Over {
    fn of(over: &Override) -> Self {
        let text = |price: Option<PicoUsd>| price.map(PicoUsd::per_unit_text);
        let clock = |minute: u16| minute / 60 * 100 + minute % 60;
        Self {
            min_prompt_tokens: over.min_prompt_tokens,
            utc_start: over.hours.map(|Hours { start, .. }| clock(start)),
            utc_end: over.hours.map(|Hours { end, .. }| clock(end)),
            prompt: text(over.prompt),
            completion: text(over.completion),
            input_cache_read: text(over.cache_read),
            input_cache_write: text(over.cache_write_5m),
            input_cache_write_1h: text(over.cache_write_1h),
            internal_reasoning: text(over.reasoning),
            audio: text(over.audio_prompt),
            audio_output: text(over.audio_completion),
        }
    }
}

#[derive(Serialize)]
struct TopProvider {
    context_length: u32,
    max_completion_tokens: u32,
    is_moderated: bool,
}

/// An endpoint in a list.
#[derive(Serialize)]
pub(super) struct Hosted<'a> {
    name: String,
    model_id: &'a str,
    model_name: &'a str,
    provider_name: &'a str,
    tag: &'a str,
    quantization: &'static str,
    context_length: u32,
    max_completion_tokens: u32,
    /// Always null: a prompt may fill the context.
    max_prompt_tokens: (),
    pricing: Pricing,
    supported_parameters: Names<Param>,
    supports_implicit_caching: bool,
    supports_tool_choice: ToolChoice,
    service_tier: &'static str,
    /// 0: requests can go there. -10: a credential is missing here.
    status: i8,
    uptime_last_5m: Option<f64>,
    uptime_last_30m: Option<f64>,
    uptime_last_1d: Option<f64>,
    latency_last_30m: Option<Percentiles>,
    throughput_last_30m: Option<Percentiles>,
}

#[derive(Serialize)]
struct ToolChoice {
    auto: bool,
    function: bool,
    none: bool,
    required: bool,
}

impl<'a> Hosted<'a> {
    pub(super) fn new(model: &'a Model, endpoint: &'a Endpoint, live: Live, minute: u16) -> Self {
        let choice = endpoint.parameters.contains(Param::ToolChoice);
        Self {
            name: format!("{} | {}", endpoint.provider.name, model.id),
            model_id: model.id.as_str(),
            model_name: &model.name,
            provider_name: &endpoint.provider.name,
            tag: &endpoint.tag,
            quantization: endpoint.quantization.as_str(),
            context_length: endpoint.context_length,
            max_completion_tokens: endpoint.max_output,
            max_prompt_tokens: (),
            pricing: Pricing::new(&endpoint.prices, minute),
            supported_parameters: parameters(endpoint.parameters),
            supports_implicit_caching: endpoint.implicit_caching,
            supports_tool_choice: ToolChoice {
                auto: choice,
                function: choice,
                none: choice,
                required: choice,
            },
            service_tier: endpoint.tier.as_str(),
            status: if endpoint.provider.is_live() { 0 } else { -10 },
            uptime_last_5m: live.uptime_last_5m,
            uptime_last_30m: live.uptime_last_30m,
            uptime_last_1d: live.uptime_last_1d,
            latency_last_30m: live.latency_last_30m,
            throughput_last_30m: live.throughput_last_30m,
        }
    }
}
