//! A model in words.

use crate::catalog::date::day_text;
use crate::catalog::{DataPolicy, Endpoint, Hours, How, Model, Override, Retention, Tariff};
use crate::vocab::PicoUsd;

/// The model and its endpoints, a line each.
pub(super) fn model(model: &Model, how: How) -> Vec<String> {
    let mut lines = vec![format!("{}  {}", model.id, model.name)];
    match how {
        How::Id => {}
        How::Canonical => lines.push("found by its dated name".to_owned()),
        How::Alias => lines.push("found by an alias".to_owned()),
        How::Latest => lines.push("the newest of its family".to_owned()),
    }
    if model.created > 0 {
        lines.push(format!("published {}", day_text(model.created)));
    }
    lines.push(format!(
        "{} -> {}, {} tokens of context",
        model.input_modalities, model.output_modalities, model.context_length
    ));
    let parameters: Vec<&str> = model.supported_parameters.iter().map(|p| p.as_str()).collect();
    lines.push(format!("takes {}", parameters.join(", ")));
    lines.extend(model.all_endpoints().map(|endpoint| self::endpoint(endpoint)));
    lines
}

fn endpoint(endpoint: &Endpoint) -> String {
    let mut line = format!(
        "  {}  {}  {} + {} tokens  {}",
        endpoint.tag,
        endpoint.upstream_model,
        endpoint.context_length,
        endpoint.max_output,
        prices(&endpoint.prices),
    );
    line += &format!("; {}", policy(endpoint.policy));
    if let Some(expires) = endpoint.expires {
        line += &format!("; until {}", day_text(expires));
    }
    line
}

fn policy(policy: DataPolicy) -> String {
    let kept = match policy.retention {
        Retention::None => "keeps nothing".to_owned(),
        Retention::Days(days) => format!("keeps for {days} days"),
        Retention::Unknown => "may keep for ever".to_owned(),
    };
    let trains = if policy.trains { ", may train" } else { "" };
    let publishes = if policy.publishes { ", may publish" } else { "" };
    format!("{kept}{trains}{publishes}")
}

/// Prices in dollars per million tokens, or per unit.
pub(super) fn prices(tariff: &Tariff) -> String {
    let base = tariff.base;
    let mut parts = vec![
        format!("prompt ${}", base.prompt.per_million_text()),
        format!("completion ${}", base.completion.per_million_text()),
    ];
    let tokens = [
        ("cache read", base.cache_read),
        ("cache write", base.cache_write_5m),
        ("cache write 1h", base.cache_write_1h),
        ("reasoning", base.reasoning),
        ("sound in", base.audio_prompt),
        ("sound out", base.audio_completion),
    ];
    parts.extend(tokens.into_iter().filter_map(|(name, price)| told(name, price)));
    for (name, price) in [("request", base.request), ("image", base.image), ("search", base.search)]
    {
        if price > PicoUsd::ZERO {
            parts.push(format!("{name} ${} each", price.per_unit_text()));
        }
    }
    parts.extend(tariff.overrides().iter().map(condition));
    parts.join(", ")
}

fn told(name: &str, price: Option<PicoUsd>) -> Option<String> {
    price.map(|price| format!("{name} ${}", price.per_million_text()))
}

fn condition(over: &Override) -> String {
    let mut when = Vec::new();
    if let Some(tokens) = over.min_prompt_tokens {
        when.push(format!("beyond {tokens} tokens"));
    }
    if let Some(hours) = over.hours {
        when.push(format!("{}-{} UTC", Hours::text(hours.start), Hours::text(hours.end)));
    }
    let prices = [
        told("prompt", over.prompt),
        told("completion", over.completion),
        told("cache read", over.cache_read),
        told("cache write", over.cache_write_5m),
        told("cache write 1h", over.cache_write_1h),
        told("reasoning", over.reasoning),
        told("sound in", over.audio_prompt),
        told("sound out", over.audio_completion),
    ];
    let prices: Vec<String> = prices.into_iter().flatten().collect();
    format!("({}: {})", when.join(", "), prices.join(", "))
}
