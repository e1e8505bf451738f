//! `[[auto]]` and `[[presets]]`: what stands in for what a request does not say.

use std::collections::HashMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::fault::{At, Faults};
use super::file;
use crate::catalog::{Catalog, Param};
use crate::dialect::preset::Preset;
use crate::dialect::scan;
use crate::route::auto::Rule;
use crate::route::variant::Named;
use crate::vocab::PicoUsd;

/// The most rules, and the most presets.
const COUNT_MAX: usize = 10_000;
/// The longest prompt that a rule can speak of, in tokens.
const TOKENS_MAX: u64 = 1_000_000_000;
/// The longest system prompt, in bytes.
const SYSTEM_MAX: usize = 1 << 20;
/// The most models of one rule or preset.
const MODELS_MAX: usize = 32;

/// Resolves every `[[auto]]`.
pub(super) fn auto(raw: &[file::Auto], catalog: &Catalog, faults: &mut Faults) -> Vec<Rule> {
    if raw.len() > COUNT_MAX {
        faults.add("auto", format!("has more than {COUNT_MAX} entries"));
        return Vec::new();
    }
    let rule = |(i, raw): (usize, &file::Auto)| {
        let mut at = At::new(format!("auto[{i}]"), faults);
        let at = &mut at;
        if raw.models.is_empty() {
            at.fault("models", "is empty; at least one model is needed");
        }
        models(at, &raw.models, catalog);
        let tokens = |at: &mut At<'_>, key, value: Option<i64>| {
            value.map(|tokens| at.int(key, tokens, 1, TOKENS_MAX))
        };
        let min = tokens(at, "prompt_tokens_min", raw.prompt_tokens_min);
        let max = tokens(at, "prompt_tokens_max", raw.prompt_tokens_max);
        if max < min && max.is_some() {
            at.fault("prompt_tokens_max", "must be at least prompt_tokens_min");
        }
        let price = raw.prompt_price_max.as_deref().map(PicoUsd::parse_per_million);
        if let Some(Err(error)) = &price {
            at.fault("prompt_price_max", format!("is no price: {error}"));
        }
        Rule {
            models: raw.models.clone(),
            prompt_tokens_min: min,
            prompt_tokens_max: max,
            tools: raw.tools,
            images: raw.images,
            code: raw.code,
            price_max: price.and_then(Result::ok),
        }
    };
    raw.iter().enumerate().map(rule).collect()
}

/// Resolves every `[[presets]]`.
pub(super) fn presets(
    raw: &[file::Preset],
    catalog: &Catalog,
    faults: &mut Faults,
) -> HashMap<String, Preset> {
    if raw.len() > COUNT_MAX {
        faults.add("presets", format!("has more than {COUNT_MAX} entries"));
        return HashMap::new();
    }
    let mut presets = HashMap::new();
    for (i, raw) in raw.iter().enumerate() {
        let mut at = At::new(format!("presets[{i}]"), faults);
        let at = &mut at;
        let sound = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
        if raw.slug.is_empty() || raw.slug.len() > 64 || !raw.slug.chars().all(sound) {
            let text = "must be 1 to 64 lower-case letters, digits, `-`, `_` and `.`";
            at.fault("slug", text);
        }
        if let Some(model) = &raw.model {
            known(at, "model", model, catalog);
        }
        models(at, &raw.models, catalog);
        if raw.system.as_ref().is_some_and(|text| text.is_empty() || text.len() > SYSTEM_MAX) {
            at.fault("system", format!("must have 1 to {SYSTEM_MAX} bytes"));
        }
        let preset = Preset {
            model: raw.model.clone(),
            models: raw.models.clone(),
            system: raw.system.clone(),
            parameters: parameters(at, raw.parameters.as_deref()),
            provider: provider(at, raw.provider.as_deref()),
            plugins: raw.plugins.clone(),
        };
        if let Some(plugins) = &raw.plugins {
            scanned(at, "plugins", &format!("\"plugins\":{plugins}"));
        }
        if presets.insert(raw.slug.clone(), preset).is_some() {
            at.fault("slug", format!("is {}, which another preset has", raw.slug));
        }
    }
    presets
}

fn models(at: &mut At<'_>, names: &[String], catalog: &Catalog) {
    if names.len() > MODELS_MAX {
        at.fault("models", format!("has more than {MODELS_MAX} entries"));
    }
    for (i, name) in names.iter().take(MODELS_MAX).enumerate() {
        known(at, &format!("models[{i}]"), name, catalog);
    }
}

/// The catalog must have the model, whatever suffixes follow its name.
fn known(at: &mut At<'_>, key: &str, name: &str, catalog: &Catalog) {
    let named = Named::parse(name);
    let variant = named.catalogue.map_or("", |variant| variant.suffix());
    let names = [name, &format!("{}{variant}", named.base), named.base];
    if named.preset.is_some() || !names.iter().any(|name| catalog.resolve(name).is_some()) {
        at.fault(key, format!("there is no model `{name}`"));
    }
}

/// The members of a JSON object, each with its value as it was written.
fn object(at: &mut At<'_>, key: &str, text: &str) -> Vec<(String, String)> {
    let Ok(members) = serde_json::from_str::<Map<String, Value>>(text) else {
        at.fault(key, "must be a JSON object in quotes");
        return Vec::new();
    };
    let raw = |(name, value): (String, Value)| {
        let value = serde_json::value::to_raw_value(&value).ok()?;
        Some((name, RawValue::get(&value).to_owned()))
    };
    members.into_iter().filter_map(raw).collect()
}

fn parameters(at: &mut At<'_>, text: Option<&str>) -> Vec<(String, String)> {
    let Some(text) = text else { return Vec::new() };
    let members = object(at, "parameters", text);
    let settable = |name: &str| {
        let structured = Param::parse(name).is_none_or(|p| p == Param::StructuredOutputs);
        !structured && name != Param::Tools.as_str()
    };
    for (name, _) in &members {
        if !settable(name) {
            at.fault("parameters", format!("`{name}` is no parameter that a preset can set"));
            return Vec::new();
        }
    }
    let list: Vec<String> =
        members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    scanned(at, "parameters", &list.join(","));
    members
}

fn provider(at: &mut At<'_>, text: Option<&str>) -> Vec<(String, String)> {
    let Some(text) = text else { return Vec::new() };
    let members = object(at, "provider", text);
    if !at.has("provider") {
        scanned(at, "provider", &format!("\"provider\":{text}"));
    }
    members
}

/// What a preset adds must be sound in a request.
fn scanned(at: &mut At<'_>, key: &str, members: &str) {
    let comma = if members.is_empty() { "" } else { "," };
    let body = format!("{{\"model\":\"m\",\"messages\":[{{}}]{comma}{members}}}");
    if let Err(error) = scan::scan(body.as_bytes()) {
        at.fault(key, format!("is refused: {}", error.message));
    }
}
