//! Errors of routing: what is wrong with the request, and what would help. Only this path formats.

use std::fmt::Write as _;

use super::plan::{Dropped, Filter};
use super::suggest::suggest;
use super::table::RoutingTable;
use super::{Features, MODELS_MAX};
use crate::error::{GatewayError, Kind};

/// Names beyond these are not listed.
const LISTED_MAX: usize = 8;
/// Longer model names are not repeated whole, in characters.
const SHOWN_MAX: usize = 100;

pub(super) fn too_many_models() -> GatewayError {
    let text = format!("`models` may name at most {MODELS_MAX} models. Name fewer.");
    GatewayError::new(Kind::InvalidRequest, text).with_param("models")
}

/// `place`: 0 for the model itself, else a fallback.
pub(super) fn unknown_model(table: &RoutingTable, model: &str, place: u32) -> GatewayError {
    let catalog = table.catalog();
    let close = suggest(model, catalog.models().iter().map(|model| model.id.as_str()));
    let mut text = format!("There is no model `{}` here.", shown(model));
    match close.split_last() {
        None => text.push_str(" GET /v1/models lists what there is."),
        Some((last, rest)) => {
            text.push_str(" Did you mean ");
            for id in rest {
                put(&mut text, format_args!("`{id}` or "));
            }
            put(&mut text, format_args!("`{last}`? GET /v1/models lists what there is."));
        }
    }
    let param = if place == 0 { "model" } else { "models" };
    GatewayError::new(Kind::ModelNotFound, text).with_param(param)
}

pub(super) fn nothing_left(features: &Features<'_>, dropped: &[Dropped]) -> GatewayError {
    if !dropped.is_empty() && dropped.iter().all(|d| d.by == Filter::Context) {
        return too_long(features, dropped);
    }
    let mut text = format!("No endpoint of `{}` is left", shown(asked(features)));
    if !features.models.is_empty() {
        text.push_str(", nor of its fallbacks");
    }
    text.push_str(if dropped.is_empty() { ": none is configured." } else { ": " });
    let mut before = "";
    for (filter, name) in [
        (Filter::Only, "`provider.only` removed"),
        (Filter::Ignore, "`provider.ignore` removed"),
        (Filter::Context, "the context is too short of"),
        (Filter::Order, "`provider.order` with `allow_fallbacks: false` removed"),
        (Filter::FallbacksOff, "`allow_fallbacks: false` removed"),
    ] {
        let names = names(dropped, filter);
        if !names.is_empty() {
            put(&mut text, format_args!("{before}{name} {names}"));
            before = "; ";
        }
    }
    if !dropped.is_empty() {
        text.push_str(". Loosen what the request says under `provider`.");
    }
    GatewayError::new(Kind::NoEndpoints, text).with_param("provider")
}

fn too_long(features: &Features<'_>, dropped: &[Dropped]) -> GatewayError {
    let largest = dropped.iter().map(|d| d.slot.endpoint.context_length).max().unwrap_or(0);
    let prompt = features.prompt_tokens;
    let completion = match features.max_tokens {
        Some(max) => format!(" and up to {max} for the completion"),
        None => String::new(),
    };
    let text = format!(
        "The largest context of `{}` is {largest} tokens, but the request needs about {prompt} \
         for the prompt{completion}. Shorten the prompt, lower `max_tokens`, or choose a model \
         with a larger context.",
        shown(asked(features))
    );
    GatewayError::new(Kind::ContextLength, text).with_param("messages")
}

fn asked<'a>(features: &Features<'a>) -> &'a str {
    let first = features.models.first().map_or("", String::as_str);
    if features.model.is_empty() { first } else { features.model }
}

/// The providers that a filter removed: `Alpha, Beta and 3 more`.
fn names(dropped: &[Dropped], filter: Filter) -> String {
    let mut names: Vec<&str> = Vec::new();
    for one in dropped.iter().filter(|d| d.by == filter) {
        let name = one.slot.endpoint.provider.name.as_str();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut text = names.iter().take(LISTED_MAX).copied().collect::<Vec<_>>().join(", ");
    if names.len() > LISTED_MAX {
        put(&mut text, format_args!(" and {} more", names.len() - LISTED_MAX));
    }
    text
}

/// A model name as it may be repeated: short, and without control characters.
fn shown(model: &str) -> String {
    let mut text: String = model
        .chars()
        .take(SHOWN_MAX)
        .map(|c| if c.is_control() || c == '`' { '\u{fffd}' } else { c })
        .collect();
    if model.chars().nth(SHOWN_MAX).is_some() {
        text.push('…');
    }
    text
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    text.write_fmt(what).unwrap_or_default();
}
