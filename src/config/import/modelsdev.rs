//! models.dev's `api.json` (read 2026-08): providers, each with its models. Prices are in dollars
//! per million tokens.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Import;
use crate::catalog::date::{is_day_or_part, parse_day};
use crate::config::file;

#[derive(Deserialize)]
struct Provider<'a> {
    name: Option<String>,
    #[serde(default)]
    env: Vec<String>,
    npm: Option<String>,
    api: Option<String>,
    #[serde(default, borrow)]
    models: BTreeMap<String, Model<'a>>,
}

#[derive(Deserialize)]
struct Model<'a> {
    name: Option<String>,
    family: Option<String>,
    #[serde(default)]
    reasoning: bool,
    #[serde(default)]
    tool_call: bool,
    #[serde(default)]
    temperature: bool,
    #[serde(default)]
    structured_output: bool,
    #[serde(default)]
    open_weights: bool,
    knowledge: Option<String>,
    release_date: Option<String>,
    status: Option<String>,
    modalities: Option<Modalities>,
    #[serde(borrow)]
    cost: Option<BTreeMap<String, &'a RawValue>>,
    limit: Option<Limit>,
}

#[derive(Deserialize)]
struct Modalities {
    #[serde(default)]
    input: Vec<String>,
    #[serde(default)]
    output: Vec<String>,
}

#[derive(Deserialize)]
struct Limit {
    context: Option<i64>,
    output: Option<i64>,
}

/// Packages of the AI SDK → dialect, and where it is spoken if the provider does not say.
const PACKAGES: [(&str, &str, &str); 12] = [
    ("@ai-sdk/openai-compatible", "openai", ""),
    ("@ai-sdk/openai", "openai", "https://api.openai.com/v1"),
    ("@ai-sdk/anthropic", "anthropic", "https://api.anthropic.com/v1"),
    ("@ai-sdk/google", "gemini", "https://generativelanguage.googleapis.com/v1beta"),
    ("@ai-sdk/mistral", "mistral", "https://api.mistral.ai/v1"),
    ("@ai-sdk/cohere", "cohere", "https://api.cohere.com/v2"),
    ("@ai-sdk/groq", "openai", "https://api.groq.com/openai/v1"),
    ("@ai-sdk/xai", "openai", "https://api.x.ai/v1"),
    ("@ai-sdk/deepinfra", "openai", "https://api.deepinfra.com/v1/openai"),
    ("@ai-sdk/togetherai", "openai", "https://api.together.xyz/v1"),
    ("@ai-sdk/cerebras", "openai", "https://api.cerebras.ai/v1"),
    ("@ai-sdk/perplexity", "openai", "https://api.perplexity.ai"),
];

/// The keys of `cost` that are prices here.
const PRICES: [&str; 7] =
    ["input", "output", "cache_read", "cache_write", "reasoning", "input_audio", "output_audio"];

pub(super) fn read(text: &str, into: &mut Import) -> Result<(), serde_json::Error> {
    let providers: BTreeMap<String, Provider<'_>> = serde_json::from_str(text)?;
    for (id, provider) in &providers {
        let Some(row) = row(id, provider, into) else { continue };
        into.provider(row);
        for (upstream, model) in &provider.models {
            one(id, upstream, model, into);
        }
    }
    Ok(())
}

fn row(id: &str, provider: &Provider<'_>, into: &mut Import) -> Option<file::Provider> {
    let npm = provider.npm.as_deref().unwrap_or_default();
    let Some((_, dialect, usual)) = PACKAGES.iter().find(|(package, ..)| *package == npm) else {
        into.note(id, format_args!("left out with its models: {npm:?} has no dialect here"));
        return None;
    };
    let base_url = provider.api.clone().unwrap_or_else(|| (*usual).to_owned());
    if base_url.is_empty() {
        into.note(id, "left out with its models: nobody says where it is reached");
        return None;
    }
    let key = provider.env.iter().find(|name| name.ends_with("KEY") || name.ends_with("TOKEN"));
    let Some(key) = key.or(provider.env.first()) else {
        into.note(id, "left out with its models: nobody says where its key is");
        return None;
    };
    Some(file::Provider {
        id: id.to_owned(),
        name: provider.name.clone(),
        dialect: (*dialect).to_owned(),
        base_url: base_url.trim_end_matches('/').to_owned(),
        api_key: Some(format!("env:{key}")),
        ..file::Provider::default()
    })
}

fn one(provider: &str, upstream: &str, raw: &Model<'_>, into: &mut Import) {
    let id =
        if upstream.contains('/') { upstream.to_owned() } else { format!("{provider}/{upstream}") };
    let about = format!("{id} at {provider}");
    if raw.status.as_deref() == Some("deprecated") {
        into.note(&about, "left out: it is deprecated");
        return;
    }
    let model = describe(&about, &id, raw, into);
    if !into.model(model) {
        return;
    }
    let limit = raw.limit.as_ref();
    let context = limit.and_then(|limit| limit.context).filter(|n| *n > 0);
    let output = limit.and_then(|limit| limit.output).filter(|n| *n > 0);
    let prices = prices(&about, raw.cost.as_ref(), into);
    let endpoint = file::Endpoint {
        provider: provider.to_owned(),
        upstream_model: upstream.to_owned(),
        context_length: context,
        max_output: output.filter(|n| context.is_none_or(|context| *n < context)),
        parameters: Some(parameters(raw)),
        prices,
        ..file::Endpoint::default()
    };
    into.endpoint(&id, endpoint);
}

fn describe(about: &str, id: &str, raw: &Model<'_>, into: &mut Import) -> file::Model {
    let default = file::Model::default();
    let mut kinds = |list: Option<&Vec<String>>, default: Vec<String>, allowed: &[&str]| {
        let Some(list) = list.filter(|list| !list.is_empty()) else { return default };
        let named = |kind: &String| if kind == "pdf" { "file".to_owned() } else { kind.clone() };
        let (known, other): (Vec<String>, Vec<String>) =
            list.iter().map(named).partition(|kind| allowed.contains(&kind.as_str()));
        for kind in other {
            into.note(about, format_args!("the modality {kind:?} is left out"));
        }
        if known.is_empty() { default } else { known }
    };
    let modalities = raw.modalities.as_ref();
    let inputs = ["text", "image", "file", "audio", "video"];
    let outputs = ["text", "image", "audio", "video"];
    let input_modalities = kinds(modalities.map(|m| &m.input), default.input_modalities, &inputs);
    let output_modalities =
        kinds(modalities.map(|m| &m.output), default.output_modalities, &outputs);
    let slug = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
    let published = raw.release_date.as_deref().and_then(parse_day);
    file::Model {
        id: id.to_owned(),
        name: raw.name.clone(),
        family: raw.family.clone().filter(|family| family.bytes().all(slug)),
        created: published.and_then(|secs| i64::try_from(secs).ok()).unwrap_or(0),
        input_modalities,
        output_modalities,
        open_weights: raw.open_weights,
        knowledge_cutoff: raw.knowledge.clone().filter(|day| is_day_or_part(day)),
        reasoning: raw.reasoning.then(file::Reasoning::default),
        ..default
    }
}

fn parameters(raw: &Model<'_>) -> Vec<String> {
    let given: [(bool, &[&str]); 4] = [
        (raw.temperature, &["temperature", "top_p"]),
        (true, &["max_tokens", "stop"]),
        (raw.structured_output, &["response_format", "structured_outputs"]),
        (raw.tool_call, &["tools", "tool_choice"]),
    ];
    let reasoning: (bool, &[&str]) = (raw.reasoning, &["include_reasoning", "reasoning"]);
    let takes = given.iter().chain([&reasoning]).filter(|(takes, _)| *takes);
    takes.flat_map(|(_, names)| names.iter().map(|&name| name.to_owned())).collect()
}

fn prices(
    about: &str,
    cost: Option<&BTreeMap<String, &RawValue>>,
    into: &mut Import,
) -> file::Prices {
    let Some(cost) = cost else { return file::Prices::default() };
    let long = cost.get("context_over_200k").copied();
    for (key, value) in cost {
        if !PRICES.contains(&key.as_str()) && key != "context_over_200k" && value.get() != "null" {
            into.note(about, format_args!("the price {key} is left out: it is not known here"));
        }
    }
    let mut overrides = Vec::new();
    match long.map(|long| serde_json::from_str::<BTreeMap<String, &RawValue>>(long.get())) {
        None => {}
        Some(Ok(long)) => {
            let mut price = |key: &str| into.price(about, key, long.get(key).copied(), 0);
            overrides.push(file::PriceOverride {
                min_prompt_tokens: Some(200_000),
                prompt: price("input"),
                completion: price("output"),
                cache_read: price("cache_read"),
                cache_write_5m: price("cache_write"),
                ..file::PriceOverride::default()
            });
        }
        Some(Err(_)) => into.note(about, "context_over_200k is left out: it is no table of prices"),
    }
    let mut price = |key: &str| into.price(about, key, cost.get(key).copied(), 0);
    file::Prices {
        prompt: price("input"),
        completion: price("output"),
        cache_read: price("cache_read"),
        cache_write_5m: price("cache_write"),
        reasoning: price("reasoning"),
        audio_prompt: price("input_audio"),
        audio_completion: price("output_audio"),
        overrides,
        ..file::Prices::default()
    }
}
