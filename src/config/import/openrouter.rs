//! OpenRouter's `GET /api/v1/models`, and `/models/{author}/{slug}/endpoints` (its API reference,
//! read 2026-09). What this gateway serves has the same form.
//!
//! Without the endpoints every model has one endpoint, at OpenRouter itself. With them it has
//! those; where their providers are reached is not told there, and must stand in another catalog.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Import, is_zero};
use crate::catalog::Param;
use crate::catalog::date::parse_day;
use crate::config::file;

#[derive(Deserialize)]
struct Models<'a> {
    #[serde(borrow)]
    data: Vec<Model<'a>>,
}

#[derive(Deserialize)]
struct Model<'a> {
    id: String,
    canonical_slug: Option<String>,
    name: Option<String>,
    #[serde(default)]
    created: i64,
    description: Option<String>,
    context_length: Option<i64>,
    architecture: Option<Architecture>,
    #[serde(borrow)]
    pricing: Pricing<'a>,
    top_provider: Option<TopProvider>,
    supported_parameters: Option<Vec<String>>,
    default_parameters: Option<file::DefaultParameters>,
    hugging_face_id: Option<String>,
    knowledge_cutoff: Option<String>,
    expiration_date: Option<String>,
    reasoning: Option<Reasoning>,
    #[serde(borrow)]
    alias_target: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Architecture {
    #[serde(default)]
    input_modalities: Vec<String>,
    #[serde(default)]
    output_modalities: Vec<String>,
    tokenizer: Option<String>,
    instruct_type: Option<String>,
}

#[derive(Deserialize)]
struct TopProvider {
    context_length: Option<i64>,
    max_completion_tokens: Option<i64>,
    #[serde(default)]
    is_moderated: bool,
}

#[derive(Deserialize)]
struct Reasoning {
    #[serde(default)]
    mandatory: bool,
    #[serde(default)]
    default_enabled: Option<bool>,
    supported_efforts: Option<Vec<String>>,
    default_effort: Option<String>,
    supports_max_tokens: Option<bool>,
}

/// Prices per token or unit, as texts.
#[derive(Deserialize)]
struct Pricing<'a> {
    #[serde(borrow)]
    prompt: Option<&'a RawValue>,
    #[serde(borrow)]
    completion: Option<&'a RawValue>,
    #[serde(borrow)]
    request: Option<&'a RawValue>,
    #[serde(borrow)]
    image: Option<&'a RawValue>,
    #[serde(borrow)]
    web_search: Option<&'a RawValue>,
    #[serde(borrow)]
    internal_reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    input_cache_read: Option<&'a RawValue>,
    #[serde(borrow)]
    input_cache_write: Option<&'a RawValue>,
    #[serde(borrow)]
    input_cache_write_1h: Option<&'a RawValue>,
    #[serde(borrow)]
    audio: Option<&'a RawValue>,
    #[serde(borrow)]
    audio_output: Option<&'a RawValue>,
    #[serde(borrow)]
    image_token: Option<&'a RawValue>,
    #[serde(borrow)]
    image_output: Option<&'a RawValue>,
    #[serde(borrow)]
    input_audio_cache: Option<&'a RawValue>,
    #[serde(borrow)]
    discount: Option<&'a RawValue>,
    min_prompt_tokens: Option<i64>,
    utc_start: Option<u16>,
    utc_end: Option<u16>,
    #[serde(borrow)]
    utc_days: Option<&'a RawValue>,
    #[serde(default, borrow)]
    overrides: Vec<Self>,
}

#[derive(Deserialize)]
struct Endpoints<'a> {
    #[serde(borrow)]
    data: Hosted<'a>,
}

#[derive(Deserialize)]
struct Hosted<'a> {
    id: String,
    #[serde(borrow)]
    endpoints: Vec<Endpoint<'a>>,
}

#[derive(Deserialize)]
struct Endpoint<'a> {
    tag: String,
    context_length: Option<i64>,
    max_completion_tokens: Option<i64>,
    quantization: Option<String>,
    #[serde(borrow)]
    pricing: Pricing<'a>,
    supported_parameters: Option<Vec<String>>,
    #[serde(default)]
    supports_implicit_caching: bool,
    service_tier: Option<String>,
}

const GATEWAY: &str = "openrouter";

pub(super) fn read(
    text: &str,
    endpoints: &[String],
    into: &mut Import,
) -> Result<(), serde_json::Error> {
    let models: Models<'_> = serde_json::from_str(text)?;
    let mut hosted: Vec<Hosted<'_>> = Vec::with_capacity(endpoints.len());
    for text in endpoints {
        hosted.push(serde_json::from_str::<Endpoints<'_>>(text)?.data);
    }
    let mut through = false;
    for model in models.data {
        if model.alias_target.is_some() {
            into.note(&model.id, "left out: it is a name of another model; give that a family");
            continue;
        }
        let described = describe(&model, into);
        if !into.model(described) {
            continue;
        }
        let of_model = hosted.iter().filter(|hosted| hosted.id == model.id);
        let mut listed = of_model.flat_map(|hosted| &hosted.endpoints).peekable();
        if listed.peek().is_none() {
            through = true;
            let endpoint = at_gateway(&model, into);
            into.endpoint(&model.id, endpoint);
        }
        for endpoint in listed {
            let endpoint = at_provider(&model, endpoint, into);
            into.endpoint(&model.id, endpoint);
        }
    }
    for hosted in &hosted {
        if !into.sheet.models.iter().any(|row| row.entry.id == hosted.id) {
            into.note(&hosted.id, "its endpoints are left out: the models do not have it");
        }
    }
    if through {
        into.provider(file::Provider {
            id: GATEWAY.to_owned(),
            name: Some("OpenRouter".to_owned()),
            dialect: "openai".to_owned(),
            base_url: "https://openrouter.ai/api/v1".to_owned(),
            api_key: Some("env:OPENROUTER_API_KEY".to_owned()),
            ..file::Provider::default()
        });
    }
    Ok(())
}

fn describe(model: &Model<'_>, into: &mut Import) -> file::Model {
    let id = &model.id;
    let default = file::Model::default();
    let architecture = model.architecture.as_ref();
    let mut kinds = |list: Option<&Vec<String>>, default: Vec<String>, allowed: &[&str]| {
        let Some(list) = list.filter(|list| !list.is_empty()) else { return default };
        let (known, other): (Vec<String>, Vec<String>) =
            list.iter().cloned().partition(|kind| allowed.contains(&kind.as_str()));
        for kind in other {
            into.note(id, format_args!("the modality {kind:?} is left out: it is not known here"));
        }
        known
    };
    let inputs = ["text", "image", "file", "audio", "video"];
    let outputs = ["text", "image", "audio", "video", "embeddings", "rerank"];
    let input_modalities =
        kinds(architecture.map(|a| &a.input_modalities), default.input_modalities, &inputs);
    let output_modalities =
        kinds(architecture.map(|a| &a.output_modalities), default.output_modalities, &outputs);
    let filled = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
    let day = |text: &String| parse_day(text.get(..10).unwrap_or(text)).is_some();
    file::Model {
        id: id.clone(),
        name: model.name.clone(),
        canonical_slug: model.canonical_slug.clone().filter(|slug| slug != id),
        created: model.created,
        description: model.description.clone().unwrap_or_default(),
        input_modalities,
        output_modalities,
        tokenizer: filled(architecture.and_then(|a| a.tokenizer.as_ref())),
        instruct_type: filled(architecture.and_then(|a| a.instruct_type.as_ref())),
        hugging_face_id: filled(model.hugging_face_id.as_ref()),
        knowledge_cutoff: filled(model.knowledge_cutoff.as_ref()),
        expires: filled(model.expiration_date.as_ref())
            .filter(day)
            .map(|text| text.chars().take(10).collect()),
        reasoning: model.reasoning.as_ref().map(|reasoning| file::Reasoning {
            mandatory: reasoning.mandatory,
            default_enabled: reasoning.default_enabled.unwrap_or(false),
            efforts: reasoning.supported_efforts.clone().unwrap_or_default(),
            default_effort: reasoning.default_effort.clone(),
            supports_max_tokens: reasoning.supports_max_tokens.unwrap_or(false),
        }),
        default_parameters: model.default_parameters.clone().unwrap_or_default(),
        ..default
    }
}

fn at_gateway(model: &Model<'_>, into: &mut Import) -> file::Endpoint {
    let top = model.top_provider.as_ref();
    let context = top.and_then(|top| top.context_length).or(model.context_length);
    file::Endpoint {
        provider: GATEWAY.to_owned(),
        upstream_model: model.id.clone(),
        context_length: context,
        max_output: limit(top.and_then(|top| top.max_completion_tokens), context),
        moderated: top.is_some_and(|top| top.is_moderated),
        parameters: parameters(&model.id, model.supported_parameters.as_deref(), into),
        prices: prices(&model.id, &model.pricing, into),
        ..file::Endpoint::default()
    }
}

fn at_provider(model: &Model<'_>, raw: &Endpoint<'_>, into: &mut Import) -> file::Endpoint {
    let (provider, variant) = match raw.tag.split_once('/') {
        Some((provider, variant)) => (provider, Some(variant.to_owned())),
        None => (raw.tag.as_str(), None),
    };
    let about = format!("{} at {}", model.id, raw.tag);
    let tier = raw.service_tier.clone().or_else(|| variant.clone());
    let tier = tier.filter(|tier| matches!(tier.as_str(), "flex" | "priority"));
    file::Endpoint {
        provider: provider.to_owned(),
        upstream_model: model.id.clone(),
        variant,
        tier: tier.unwrap_or_else(|| "default".to_owned()),
        quantization: raw.quantization.clone().unwrap_or_else(|| "unknown".to_owned()),
        context_length: raw.context_length,
        max_output: limit(raw.max_completion_tokens, raw.context_length),
        implicit_caching: raw.supports_implicit_caching,
        parameters: parameters(&about, raw.supported_parameters.as_deref(), into),
        prices: prices(&about, &raw.pricing, into),
        ..file::Endpoint::default()
    }
}

/// A limit that is one: below the context.
fn limit(most: Option<i64>, context: Option<i64>) -> Option<i64> {
    most.filter(|most| *most > 0 && context.is_none_or(|context| *most < context))
}

fn parameters(about: &str, list: Option<&[String]>, into: &mut Import) -> Option<Vec<String>> {
    let (known, other): (Vec<String>, Vec<String>) =
        list?.iter().cloned().partition(|name| Param::parse(name).is_some());
    if !other.is_empty() {
        into.note(
            about,
            format_args!("parameters not known here are left out: {}", other.join(", ")),
        );
    }
    Some(known)
}

fn prices(about: &str, raw: &Pricing<'_>, into: &mut Import) -> file::Prices {
    let lost = [
        ("image_token", raw.image_token),
        ("image_output", raw.image_output),
        ("input_audio_cache", raw.input_audio_cache),
        ("discount", raw.discount),
    ];
    for (key, price) in lost {
        let price = price.map(|price| price.get().trim_matches('"'));
        if price.is_some_and(|price| price != "null" && !is_zero(price)) {
            into.note(
                about,
                format_args!("the price {key} is left out: it cannot be charged here"),
            );
        }
    }
    let unit = |price: Option<String>| price.filter(|price| !is_zero(price));
    file::Prices {
        prompt: into.price(about, "prompt", raw.prompt, 6),
        completion: into.price(about, "completion", raw.completion, 6),
        cache_read: into.price(about, "input_cache_read", raw.input_cache_read, 6),
        cache_write_5m: into.price(about, "input_cache_write", raw.input_cache_write, 6),
        cache_write_1h: into.price(about, "input_cache_write_1h", raw.input_cache_write_1h, 6),
        reasoning: into.price(about, "internal_reasoning", raw.internal_reasoning, 6),
        audio_prompt: into.price(about, "audio", raw.audio, 6),
        audio_completion: into.price(about, "audio_output", raw.audio_output, 6),
        request: unit(into.price(about, "request", raw.request, 0)),
        image: unit(into.price(about, "image", raw.image, 0)),
        search: unit(into.price(about, "web_search", raw.web_search, 0)),
        overrides: raw.overrides.iter().filter_map(|over| override_of(about, over, into)).collect(),
    }
}

fn override_of(about: &str, raw: &Pricing<'_>, into: &mut Import) -> Option<file::PriceOverride> {
    if raw.utc_days.is_some() {
        into.note(about, "a price for certain days is left out: only hours are known here");
        return None;
    }
    let clock = |time: u16| format!("{time:04}");
    Some(file::PriceOverride {
        min_prompt_tokens: raw.min_prompt_tokens,
        utc_start: raw.utc_start.map(clock),
        utc_end: raw.utc_end.map(clock),
        prompt: into.price(about, "prompt", raw.prompt, 6),
        completion: into.price(about, "completion", raw.completion, 6),
        cache_read: into.price(about, "input_cache_read", raw.input_cache_read, 6),
        cache_write_5m: into.price(about, "input_cache_write", raw.input_cache_write, 6),
        cache_write_1h: into.price(about, "input_cache_write_1h", raw.input_cache_write_1h, 6),
        reasoning: into.price(about, "internal_reasoning", raw.internal_reasoning, 6),
        audio_prompt: into.price(about, "audio", raw.audio, 6),
        audio_completion: into.price(about, "audio_output", raw.audio_output, 6),
    })
}
