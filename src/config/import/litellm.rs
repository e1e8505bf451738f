//! LiteLLM's `model_prices_and_context_window.json` (read 2026-11): endpoints by name, with prices
//! in dollars per token. It does not say where providers are reached: that must stand in another
//! catalog, for instance the shipped one, whose ids are used.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::Import;
use crate::catalog::date::parse_day;
use crate::config::file;

type Entry<'a> = BTreeMap<String, &'a RawValue>;

/// LiteLLM's names of providers that are not those of the shipped catalog, which otherwise has `-`
/// for `_`.
const PROVIDERS: [(&str, &str); 11] = [
    ("together_ai", "togetherai"),
    ("vertex_ai-language-models", "google-vertex"),
    ("vertex_ai", "google-vertex"),
    ("vertex_ai-anthropic_models", "google-vertex-anthropic"),
    ("gemini", "google"),
    ("bedrock", "amazon-bedrock"),
    ("bedrock_converse", "amazon-bedrock"),
    ("cohere_chat", "cohere"),
    ("azure_ai", "azure-ai-foundry"),
    ("novita", "novita-ai"),
    ("moonshot", "moonshotai"),
];

/// Modes that have a surface here, with what such models put out.
const MODES: [(&str, &str); 5] = [
    ("chat", "text"),
    ("completion", "text"),
    ("responses", "text"),
    ("embedding", "embeddings"),
    ("rerank", "rerank"),
];

/// Flags → the parameters that they stand for.
const FLAGS: [(&str, &[&str]); 4] = [
    ("supports_function_calling", &["tools", "tool_choice"]),
    ("supports_parallel_function_calling", &["parallel_tool_calls"]),
    ("supports_response_schema", &["response_format", "structured_outputs"]),
    ("supports_reasoning", &["include_reasoning", "reasoning"]),
];

/// LiteLLM's prices per token → ours.
const TOKENS: [(&str, Key); 8] = [
    ("input_cost_per_token", |p| &mut p.prompt),
    ("output_cost_per_token", |p| &mut p.completion),
    ("cache_read_input_token_cost", |p| &mut p.cache_read),
    ("cache_creation_input_token_cost", |p| &mut p.cache_write_5m),
    ("cache_creation_input_token_cost_above_1hr", |p| &mut p.cache_write_1h),
    ("output_cost_per_reasoning_token", |p| &mut p.reasoning),
    ("input_cost_per_audio_token", |p| &mut p.audio_prompt),
    ("output_cost_per_audio_token", |p| &mut p.audio_completion),
];

type Key = fn(&mut file::Prices) -> &mut Option<String>;

pub(super) fn read(text: &str, into: &mut Import) -> Result<(), serde_json::Error> {
    let entries: BTreeMap<String, Entry<'_>> = serde_json::from_str(text)?;
    for (name, entry) in entries.iter().filter(|(name, _)| *name != "sample_spec") {
        one(name, entry, into);
    }
    Ok(())
}

fn text<'a>(entry: &Entry<'a>, key: &str) -> Option<&'a str> {
    entry.get(key).map(|raw| raw.get().trim_matches('"')).filter(|text| *text != "null")
}

fn one(name: &str, entry: &Entry<'_>, into: &mut Import) {
    let Some(theirs) = text(entry, "litellm_provider") else {
        return into.note(name, "left out: it names no provider");
    };
    let mode = text(entry, "mode").unwrap_or("chat");
    let Some((_, output)) = MODES.iter().find(|(known, _)| *known == mode) else {
        return into.note(name, format_args!("left out: the mode {mode:?} has no surface here"));
    };
    let upstream = name.strip_prefix(theirs).and_then(|rest| rest.strip_prefix('/'));
    let upstream = upstream.unwrap_or(name);
    let known = PROVIDERS.iter().find(|(other, _)| *other == theirs);
    let provider = known.map_or_else(|| theirs.replace('_', "-"), |(_, ours)| (*ours).to_owned());
    let id =
        if upstream.contains('/') { upstream.to_owned() } else { format!("{provider}/{upstream}") };
    let is = |flag: &str| text(entry, flag) == Some("true");
    let mut input_modalities = vec!["text".to_owned()];
    for (flag, kind) in [
        ("supports_vision", "image"),
        ("supports_pdf_input", "file"),
        ("supports_audio_input", "audio"),
        ("supports_video_input", "video"),
    ] {
        if is(flag) {
            input_modalities.push(kind.to_owned());
        }
    }
    let model = file::Model {
        id: id.clone(),
        input_modalities,
        output_modalities: vec![(*output).to_owned()],
        reasoning: is("supports_reasoning").then(file::Reasoning::default),
        ..file::Model::default()
    };
    if !into.model(model) {
        return;
    }
    let count = |key: &str| text(entry, key).and_then(|n| n.parse::<i64>().ok()).filter(|n| *n > 0);
    let context = count("max_input_tokens").or_else(|| count("max_tokens"));
    let mut parameters: Vec<&str> = vec!["temperature", "top_p", "max_tokens", "stop"];
    parameters.extend(FLAGS.iter().filter(|(flag, _)| is(flag)).flat_map(|(_, names)| *names));
    let words = *output == "text";
    let parameters = parameters.iter().filter(|_| words).map(|&name| name.to_owned()).collect();
    let expires = text(entry, "deprecation_date").filter(|day| parse_day(day).is_some());
    let endpoint = file::Endpoint {
        provider,
        upstream_model: upstream.to_owned(),
        context_length: context,
        max_output: count("max_output_tokens").filter(|n| context.is_none_or(|most| *n < most)),
        parameters: Some(parameters),
        expires: expires.map(str::to_owned),
        ..file::Endpoint::default()
    };
    price(&id, entry, words, endpoint, into);
}

/// Adds the endpoint with its prices, and one more for each class of service that has its own.
fn price(id: &str, entry: &Entry<'_>, words: bool, endpoint: file::Endpoint, into: &mut Import) {
    let about = format!("{id} at {}", endpoint.provider);
    let mut base = of(&about, entry, "", words, into);
    base.overrides = long(&about, entry, into);
    base.search =
        into.price(&about, "input_cost_per_query", entry.get("input_cost_per_query").copied(), 0);
    unknown(&about, entry, into);
    let search = base.search.clone();
    let tiers = ["flex", "priority"];
    into.endpoint(id, file::Endpoint { prices: base, ..endpoint.clone() });
    for tier in tiers {
        let mut prices = of(&about, entry, &format!("_{tier}"), words, into);
        prices.search.clone_from(&search);
        let priced = entry.contains_key(&format!("input_cost_per_token_{tier}"));
        if priced {
            let tier = tier.to_owned();
            into.endpoint(id, file::Endpoint { tier, prices, ..endpoint.clone() });
        }
    }
}

/// The prices whose keys end in `suffix`.
fn of(
    about: &str,
    entry: &Entry<'_>,
    suffix: &str,
    words: bool,
    into: &mut Import,
) -> file::Prices {
    let mut prices = file::Prices::default();
    for (key, place) in TOKENS {
        let key = format!("{key}{suffix}");
        *place(&mut prices) = into.price(about, &key, entry.get(&key).copied(), 6);
    }
    if !words {
        // What puts out no words costs nothing by the word; a ranking costs by the query.
        prices.completion.get_or_insert_with(|| "0".to_owned());
        if entry.contains_key("input_cost_per_query") {
            prices.prompt.get_or_insert_with(|| "0".to_owned());
        }
    }
    prices
}

/// Prices of prompts beyond a length: keys that end in `_above_200k_tokens` and the like.
fn long(about: &str, entry: &Entry<'_>, into: &mut Import) -> Vec<file::PriceOverride> {
    let mut lengths: Vec<i64> = entry.keys().filter_map(|key| above(key)).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let one = |length: i64| {
        let prices = of(about, entry, &format!("_above_{length}k_tokens"), true, into);
        file::PriceOverride {
            min_prompt_tokens: Some(length * 1_000),
            prompt: prices.prompt,
            completion: prices.completion,
            cache_read: prices.cache_read,
            cache_write_5m: prices.cache_write_5m,
            cache_write_1h: prices.cache_write_1h,
            reasoning: prices.reasoning,
            audio_prompt: prices.audio_prompt,
            audio_completion: prices.audio_completion,
            ..file::PriceOverride::default()
        }
    };
    lengths.into_iter().map(one).collect()
}

/// The length in thousands that a key of a price stands for.
fn above(key: &str) -> Option<i64> {
    let (base, rest) = key.split_once("_above_")?;
    let known = TOKENS.iter().any(|(known, _)| *known == base);
    rest.strip_suffix("k_tokens")?.parse().ok().filter(|_| known)
}

/// Notes the prices that are not taken over.
fn unknown(about: &str, entry: &Entry<'_>, into: &mut Import) {
    for (key, value) in entry {
        let is_price = key.contains("cost") && value.get() != "null";
        let tier = key.strip_suffix("_flex").or_else(|| key.strip_suffix("_priority"));
        let base = tier.unwrap_or(key);
        let known = TOKENS.iter().any(|(known, _)| *known == base)
            || above(key).is_some()
            || key == "input_cost_per_query";
        if is_price && !known {
            into.note(about, format_args!("the price {key} is left out: it is not known here"));
        }
    }
}
