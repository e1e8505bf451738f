//! What is only told or filtered by: policies, profiles, and the facts about models.

use super::fault::At;
use super::file;
use crate::catalog::date::{is_day_or_part, parse_day};
use crate::catalog::{DataPolicy, DefaultParameters, Profile, Reasoning, Retention};
use crate::dialect::Dialect;
use crate::dialect::ir::Effort;
use crate::vocab::ModelId;

/// A hundred years, in days.
const RETENTION_MAX: u32 = 36_500;

/// The policy, with what is not said taken from `inherited`.
pub(super) fn policy(raw: &file::Policy, inherited: DataPolicy, at: &mut At<'_>) -> DataPolicy {
    let days = raw.retention_days.map(|n| at.int32("retention_days", n, 0, RETENTION_MAX));
    DataPolicy {
        trains: raw.trains.unwrap_or(inherited.trains),
        retention: match days {
            None => inherited.retention,
            Some(0) => Retention::None,
            Some(days) => Retention::Days(days),
        },
        publishes: raw.publishes.unwrap_or(inherited.publishes),
    }
}

/// What clients are told of a provider's company.
pub(super) fn profile(raw: &file::Profile, at: &mut At<'_>) -> Profile {
    let mut link = |key: &str, text: &Option<String>| {
        let text = line(at, key, text.as_deref())?;
        if !text.starts_with("https://") && !text.starts_with("http://") {
            at.fault(key, "must begin with https://");
        }
        Some(text)
    };
    let privacy_policy_url = link("privacy_policy_url", &raw.privacy_policy_url);
    let terms_of_service_url = link("terms_of_service_url", &raw.terms_of_service_url);
    let status_page_url = link("status_page_url", &raw.status_page_url);
    if let Some(code) = &raw.headquarters {
        country(at, "headquarters", code);
    }
    if raw.datacenters.len() > 300 {
        at.fault("datacenters", "has more than 300 entries");
    }
    for (i, code) in raw.datacenters.iter().enumerate().take(300) {
        country(at, &format!("datacenters[{i}]"), code);
    }
    Profile {
        privacy_policy_url,
        terms_of_service_url,
        status_page_url,
        headquarters: raw.headquarters.clone(),
        datacenters: raw.datacenters.clone(),
    }
}

fn country(at: &mut At<'_>, key: &str, code: &str) {
    if code.len() != 2 || !code.bytes().all(|b| b.is_ascii_uppercase()) {
        at.fault(key, "must be a country as two capital letters, for instance \"US\"");
    }
}

/// A short text on one line.
pub(super) fn line(at: &mut At<'_>, key: &str, text: Option<&str>) -> Option<String> {
    let text = text?;
    if text.is_empty() || text.len() > 256 || text.chars().any(char::is_control) {
        at.fault(key, "must have 1 to 256 bytes and no control characters; or leave it out");
    }
    Some(text.to_owned())
}

/// The dated name, or the id in its place.
pub(super) fn canonical_slug(raw: &file::Model, at: &mut At<'_>) -> String {
    let Some(slug) = &raw.canonical_slug else { return raw.id.clone() };
    if let Err(error) = ModelId::parse(slug) {
        at.fault("canonical_slug", error.to_string());
    }
    slug.clone()
}

/// A model's series.
pub(super) fn family(text: Option<&str>, at: &mut At<'_>) -> Option<String> {
    let text = text?;
    let slug = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
    if text.is_empty() || text.len() > 64 || !text.bytes().all(slug) {
        at.fault("family", "must be lower-case letters, digits, - and . only, at most 64");
    }
    Some(text.to_owned())
}

/// The second at which a day begins.
pub(super) fn day(at: &mut At<'_>, key: &str, text: Option<&str>) -> Option<u64> {
    let day = parse_day(text?);
    if day.is_none() {
        at.fault(key, "must be a day as YYYY-MM-DD");
    }
    day
}

/// The day up to which a model knows the world.
pub(super) fn cutoff(text: Option<&str>, at: &mut At<'_>) -> Option<String> {
    let text = text?;
    if !is_day_or_part(text) {
        at.fault("knowledge_cutoff", "must be YYYY-MM-DD, YYYY-MM or YYYY");
    }
    Some(text.to_owned())
}

/// How a model reasons.
pub(super) fn reasoning(raw: &file::Reasoning, at: &mut At<'_>) -> Reasoning {
    let mut effort = |key: &str, name: &str| {
        let effort = Effort::NAMES.iter().find(|(known, _)| *known == name);
        if effort.is_none() {
            let names = Effort::NAMES.map(|(name, _)| name).join(", ");
            at.fault(key, format!("must be one of {names}"));
        }
        effort.map(|(_, effort)| *effort)
    };
    let known = raw.efforts.iter().enumerate();
    let efforts: Vec<Effort> =
        known.filter_map(|(i, name)| effort(&format!("efforts[{i}]"), name)).collect();
    let default_effort = raw.default_effort.as_deref().and_then(|n| effort("default_effort", n));
    if default_effort.is_some_and(|effort| !efforts.is_empty() && !efforts.contains(&effort)) {
        at.fault("default_effort", "must be one of efforts");
    }
    Reasoning {
        mandatory: raw.mandatory,
        default_enabled: raw.default_enabled,
        efforts,
        default_effort,
        supports_max_tokens: raw.supports_max_tokens,
    }
}

/// What a model's author recommends.
pub(super) fn default_parameters(
    raw: &file::DefaultParameters,
    at: &mut At<'_>,
) -> DefaultParameters {
    let mut number = |key: &str, value: Option<f64>, min: f64, max: f64| {
        value.map(|value| at.float(key, value, min, max))
    };
    DefaultParameters {
        temperature: number("temperature", raw.temperature, 0.0, 10.0),
        top_p: number("top_p", raw.top_p, 0.0, 1.0),
        top_k: number("top_k", raw.top_k, 0.0, 1_000_000.0),
        frequency_penalty: number("frequency_penalty", raw.frequency_penalty, -10.0, 10.0),
        presence_penalty: number("presence_penalty", raw.presence_penalty, -10.0, 10.0),
        repetition_penalty: number("repetition_penalty", raw.repetition_penalty, 0.0, 10.0),
    }
}

/// What becomes of an answer whose client leaves.
pub(super) fn drains(raw: &file::Provider, at: &mut At<'_>) -> bool {
    if !matches!(raw.on_disconnect.as_str(), "cancel" | "drain") {
        at.fault("on_disconnect", "must be cancel or drain");
    }
    raw.on_disconnect == "drain"
}

/// Whether a host of this dialect usually bills an answer whose connection is closed: OpenRouter's
/// list of providers that support cancellation, read 2026-08. Of OpenAI-like hosts some do (Groq,
/// Perplexity, Alibaba, MiniMax), which their entries say.
pub(super) const fn bills_on(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::Bedrock | Dialect::Gemini | Dialect::Vertex | Dialect::Mistral)
}
