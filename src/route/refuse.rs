//! Errors of routing: what is wrong with the request, and what would help. Only this path formats.

use std::fmt::Write as _;

use super::filter::Filter;
use super::plan::Plan;
use super::suggest::suggest;
use super::table::{Lost, RoutingTable};
use super::variant::Catalogue;
use super::{Features, MODELS_MAX};
use crate::error::{Availability, GatewayError, Kind};

/// Names beyond these are not listed.
const LISTED_MAX: usize = 8;
/// Longer model names are not repeated whole, in characters.
const SHOWN_MAX: usize = 100;

pub(super) fn too_many_models() -> GatewayError {
    let text = format!("`models` may name at most {MODELS_MAX} models. Name fewer.");
    GatewayError::new(Kind::InvalidRequest, text).with_param("models")
}

/// A name that means no model. `place`: 0 for the model itself, else a fallback.
pub(super) fn lost(table: &RoutingTable, name: &str, lost: Lost<'_>, place: u32) -> GatewayError {
    let param = if place == 0 { "model" } else { "models" };
    let shown = shown(name);
    let (kind, code, text) = match lost {
        Lost::Unknown => return unknown(table, name, param),
        Lost::Clash => (
            Kind::InvalidRequest,
            "",
            format!(
                "`{shown}` has two suffixes that exclude each other. Use one of `:free`, \
                 `:extended` and `:thinking`."
            ),
        ),
        Lost::NoVariant { base, variant: Catalogue::Free } => (
            Kind::NoEndpoints,
            "free_variant_ended",
            format!(
                "There is no free variant of `{base}` here (any more). Use `{base}`, or add \
                 `:floor` to it for the lowest price."
            ),
        ),
        Lost::NoVariant { base, variant } => (
            Kind::ModelNotFound,
            "model_not_found",
            format!(
                "`{base}` has no variant `{}`. Use `{base}` without it.",
                variant.suffix().trim_start_matches(':')
            ),
        ),
        Lost::Online => (
            Kind::InvalidRequest,
            "",
            "`:online` needs a web search, which this gateway does not have. Leave the suffix out."
                .to_owned(),
        ),
        Lost::Preset(preset) => (
            Kind::InvalidRequest,
            "",
            format!(
                "`{shown}` names the preset `{}` as a fallback. A preset can stand in `model` or \
                 `preset` alone; put the models into the preset.",
                self::shown(preset)
            ),
        ),
    };
    let error = GatewayError::new(kind, text).with_param(param);
    if code.is_empty() { error } else { error.with_availability(availability(code, &[name])) }
}

fn unknown(table: &RoutingTable, name: &str, param: &str) -> GatewayError {
    let catalog = table.catalog();
    let close = suggest(name, catalog.models().iter().map(|model| model.id.as_str()));
    let mut text = format!("There is no model `{}` here.", shown(name));
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
    GatewayError::new(Kind::ModelNotFound, text)
        .with_param(param)
        .with_availability(availability("model_not_found", &[name]))
}

fn availability(code: &'static str, models: &[&str]) -> Availability {
    let models = models.iter().map(|name| shown(name)).collect();
    Availability { code, models, excluded_by: Vec::new(), providers: Vec::new(), field: None }
}

pub(super) fn nothing_left(features: &Features<'_>, plan: &Plan) -> GatewayError {
    let mut filters: Vec<Filter> = Vec::new();
    for (_, by) in plan.dropped() {
        if !filters.contains(&by) {
            filters.push(by);
        }
    }
    filters.sort_by_key(|filter| filter.place());
    // Tiers are closed to everybody who does not ask for them: that is news only where it is all.
    if filters.len() > 1 {
        filters.retain(|by| *by != Filter::Tier);
    }
    if filters == [Filter::Context] {
        return too_long(features, plan);
    }
    let mut text = format!("No endpoint of `{}` is left", shown(asked(features)));
    if !features.models.is_empty() {
        text.push_str(", nor of its fallbacks");
    }
    text.push_str(if filters.is_empty() { ": none can be asked here." } else { ": " });
    for (i, filter) in filters.iter().enumerate() {
        let before = if i == 0 { "" } else { "; " };
        put(&mut text, format_args!("{before}{} {}", removed(*filter), names(plan, *filter)));
    }
    if let Some(last) = filters.last() {
        let advice = if filters.len() == 1 { advice(*last) } else { LOOSEN };
        put(&mut text, format_args!(". {advice}"));
    }
    let field = filters.last().map(|filter| filter.field());
    let param = field.filter(|_| filters.len() == 1).unwrap_or("provider");
    // Where the caller's terms alone are behind it, asking otherwise does not help.
    let forbidden = !filters.is_empty() && filters.iter().all(|filter| filter.is_policy());
    GatewayError::new(if forbidden { Kind::Forbidden } else { Kind::NoEndpoints }, text)
        .with_param(param)
        .with_availability(constrained(features, plan, &filters))
}

const LOOSEN: &str = "Loosen what the request says under `provider`.";

fn removed(filter: Filter) -> String {
    match filter {
        Filter::PolicyModel | Filter::PolicyProvider => {
            "this key, or its account, may not use".to_owned()
        }
        Filter::PolicyTraining => "what trains on prompts is closed to this key:".to_owned(),
        Filter::PolicyZdr => "what keeps prompts is closed to this key:".to_owned(),
        Filter::Only => "`provider.only` removed".to_owned(),
        Filter::Ignore => "`provider.ignore` removed".to_owned(),
        Filter::Tier => "the service tier removed".to_owned(),
        Filter::Expired => "switched off by now is".to_owned(),
        Filter::DataCollection => "`provider.data_collection: \"deny\"` removed".to_owned(),
        Filter::Zdr => "`provider.zdr` removed".to_owned(),
        Filter::Distillable => "`provider.enforce_distillable_text` removed".to_owned(),
        Filter::Quantization => "`provider.quantizations` removed".to_owned(),
        Filter::MaxPrice => "`provider.max_price` removed".to_owned(),
        Filter::Context => "the context is too short of".to_owned(),
        Filter::RequireParameters(param) => {
            format!("`provider.require_parameters` with `{}` removed", param.as_str())
        }
        Filter::BetterParameters(param) => format!("`{}` is not taken by", param.as_str()),
        Filter::Extended => "a larger context is to be had than that of".to_owned(),
        Filter::Order => "`provider.order` with `allow_fallbacks: false` removed".to_owned(),
        Filter::FallbacksOff => "`allow_fallbacks: false` removed".to_owned(),
    }
}

/// What to change, where one filter alone is behind it.
const fn advice(filter: Filter) -> &'static str {
    match filter {
        Filter::PolicyModel
        | Filter::PolicyProvider
        | Filter::PolicyTraining
        | Filter::PolicyZdr => "Choose another model, or ask whoever manages the key.",
        Filter::Only => "Name a provider that serves this model in `provider.only`.",
        Filter::Ignore => "Leave one of them out of `provider.ignore`.",
        Filter::Tier => "Leave `service_tier` out, or name the tier's own slug in `provider.only`.",
        Filter::Expired => "Choose another model.",
        Filter::DataCollection | Filter::Zdr => {
            "Choose a model with a provider that keeps nothing, or allow this one to."
        }
        Filter::Distillable => "Choose a model whose author allows it, or leave it out.",
        Filter::Quantization => "Allow another quantization.",
        Filter::MaxPrice => "Raise `provider.max_price`, or choose a cheaper model.",
        Filter::RequireParameters(_) => {
            "Leave the parameter out, or allow it to be dropped with `require_parameters: false`."
        }
        Filter::Context | Filter::BetterParameters(_) | Filter::Extended => LOOSEN,
        Filter::Order | Filter::FallbacksOff => {
            "Name a provider that serves this model in `provider.order`, or allow fallbacks."
        }
    }
}

fn too_long(features: &Features<'_>, plan: &Plan) -> GatewayError {
    let contexts = plan.dropped().map(|(slot, _)| slot.endpoint.context_length);
    let largest = contexts.max().unwrap_or(0);
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
    GatewayError::new(Kind::ContextLength, text)
        .with_param("messages")
        .with_availability(constrained(features, plan, &[Filter::Context]))
}

/// For programs: which filters were behind it, and whom they removed.
fn constrained(features: &Features<'_>, plan: &Plan, filters: &[Filter]) -> Availability {
    let mut excluded_by: Vec<&'static str> = Vec::new();
    for filter in filters {
        if !excluded_by.contains(&filter.code()) {
            excluded_by.push(filter.code());
        }
    }
    let private = |code: &&str| code.starts_with("data_policy");
    let code = match &*excluded_by {
        [] => "no_endpoints",
        codes if codes.iter().all(private) => "privacy_restricted",
        _ => "constraint_filtered",
    };
    let mut providers: Vec<String> = Vec::new();
    for (slot, _) in plan.dropped() {
        let provider = slot.endpoint.provider.id.as_str();
        if providers.len() < LISTED_MAX && !providers.iter().any(|known| known == provider) {
            providers.push(provider.to_owned());
        }
    }
    let models = std::iter::once(asked(features)).chain(features.models.iter().map(String::as_str));
    let mut named: Vec<String> = Vec::new();
    for model in models.take(LISTED_MAX).map(shown) {
        if !named.contains(&model) {
            named.push(model);
        }
    }
    let field = filters.last().map(|filter| filter.field());
    Availability { code, models: named, excluded_by, providers, field }
}

fn asked<'a>(features: &Features<'a>) -> &'a str {
    let first = features.models.first().map_or("", String::as_str);
    if features.model.is_empty() { first } else { features.model }
}

/// The providers that a filter removed: `Alpha, Beta and 3 more`.
fn names(plan: &Plan, filter: Filter) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (slot, _) in plan.dropped().filter(|(_, by)| *by == filter) {
        let name = slot.endpoint.provider.name.as_str();
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
