//! `prices` of an endpoint → [`Tariff`].

use super::fault::At;
use super::file;
use crate::catalog::{Hours, Override, Prices, Tariff};
use crate::vocab::{BadPrice, PicoUsd};

/// The most overrides of one endpoint.
const OVERRIDES_MAX: usize = 32;

/// What reads a price.
type Parse = fn(&str) -> Result<PicoUsd, BadPrice>;

/// Resolves the prices.
pub(super) fn resolve(raw: &file::Prices, at: &mut At<'_>) -> Tariff {
    let base = base(raw, at);
    if raw.overrides.len() > OVERRIDES_MAX {
        at.fault("overrides", format!("has more than {OVERRIDES_MAX} entries"));
        return base.into();
    }
    let entry = |(i, raw)| over(raw, &mut at.element("overrides", i));
    Tariff::new(base, raw.overrides.iter().enumerate().map(entry).collect())
}

fn price(at: &mut At<'_>, key: &str, text: Option<&String>, parse: Parse) -> Option<PicoUsd> {
    match parse(text?) {
        Ok(price) => Some(price),
        Err(error) => {
            at.fault(key, error.to_string());
            None
        }
    }
}

fn base(raw: &file::Prices, at: &mut At<'_>) -> Prices {
    // A price that is forgotten would be a service given away.
    for (key, text) in [("prompt", &raw.prompt), ("completion", &raw.completion)] {
        if text.is_none() {
            at.fault(key, "is required, in dollars per million tokens; \"0\" if they are free");
        }
    }
    let mut token = |key: &str, text: &Option<String>| {
        price(at, key, text.as_ref(), PicoUsd::parse_per_million)
    };
    let tokens = Prices {
        prompt: token("prompt", &raw.prompt).unwrap_or_default(),
        completion: token("completion", &raw.completion).unwrap_or_default(),
        cache_read: token("cache_read", &raw.cache_read),
        cache_write_5m: token("cache_write_5m", &raw.cache_write_5m),
        cache_write_1h: token("cache_write_1h", &raw.cache_write_1h),
        reasoning: token("reasoning", &raw.reasoning),
        audio_prompt: token("audio_prompt", &raw.audio_prompt),
        audio_completion: token("audio_completion", &raw.audio_completion),
        ..Prices::default()
    };
    let mut unit = |key: &str, text: &Option<String>| {
        price(at, key, text.as_ref(), PicoUsd::parse_per_unit).unwrap_or_default()
    };
    Prices {
        request: unit("request", &raw.request),
        image: unit("image", &raw.image),
        search: unit("search", &raw.search),
        ..tokens
    }
}

fn over(raw: &file::PriceOverride, at: &mut At<'_>) -> Override {
    let min_prompt_tokens =
        raw.min_prompt_tokens.map(|n| at.int("min_prompt_tokens", n, 1, 1_000_000_000));
    let hours = hours(raw, at);
    if raw.min_prompt_tokens.is_none() && raw.utc_start.is_none() && raw.utc_end.is_none() {
        at.fault(
            "min_prompt_tokens",
            "or utc_start and utc_end are needed: without a condition these are the prices",
        );
    }
    let mut token = |key: &str, text: &Option<String>| {
        price(at, key, text.as_ref(), PicoUsd::parse_per_million)
    };
    Override {
        min_prompt_tokens,
        hours,
        prompt: token("prompt", &raw.prompt),
        completion: token("completion", &raw.completion),
        cache_read: token("cache_read", &raw.cache_read),
        cache_write_5m: token("cache_write_5m", &raw.cache_write_5m),
        cache_write_1h: token("cache_write_1h", &raw.cache_write_1h),
        reasoning: token("reasoning", &raw.reasoning),
        audio_prompt: token("audio_prompt", &raw.audio_prompt),
        audio_completion: token("audio_completion", &raw.audio_completion),
    }
}

fn hours(raw: &file::PriceOverride, at: &mut At<'_>) -> Option<Hours> {
    let mut time = |key: &str, text: &Option<String>, other: &Option<String>| match text {
        Some(text) => {
            let time = Hours::parse(text);
            if time.is_none() {
                at.fault(key, "must be a time of day in UTC as HHMM, for instance \"1630\"");
            }
            time
        }
        None => {
            if other.is_some() {
                at.fault(key, "is required: both ends of the hours are needed");
            }
            None
        }
    };
    let start = time("utc_start", &raw.utc_start, &raw.utc_end);
    let end = time("utc_end", &raw.utc_end, &raw.utc_start);
    let hours = Hours { start: start?, end: end? };
    if hours.start == hours.end {
        at.fault("utc_end", "is utc_start, which would be the whole day; leave both out for that");
    }
    Some(hours)
}
