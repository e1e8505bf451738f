//! What the query of a listing asks for: OpenRouter's filters and orders (its API reference, read
//! 2026-09), as far as the catalog has the facts. A filter without facts is refused: an answer that
//! ignored it would be wrong.

use std::cmp::Reverse;
use std::fmt;

use super::{Listed, Measured, cheapest};
use crate::catalog::{Modalities, Modality, Model, Param, Params, Region};
use crate::vocab::PicoUsd;

/// The page where a query names only its beginning, and the largest.
const LIMIT: (usize, usize) = (500, 1_000);
/// A day, in seconds.
const DAY: u64 = 86_400;

/// Filters that OpenRouter has and this catalog has no facts for.
const WITHOUT_FACTS: [&str; 11] = [
    "category",
    "min_intelligence_index",
    "max_intelligence_index",
    "min_coding_index",
    "max_coding_index",
    "min_agentic_index",
    "max_agentic_index",
    "min_tool_success_rate",
    "max_tool_success_rate",
    "use_rss",
    "use_rss_chat_links",
];

/// Orders that this catalog has no facts for.
const ORDERS_WITHOUT_FACTS: [&str; 6] = [
    "most-popular",
    "top-weekly",
    "intelligence-high-to-low",
    "coding-high-to-low",
    "agentic-high-to-low",
    "design-arena-elo-high-to-low",
];

/// What is wrong with a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadQuery {
    /// The parameter.
    pub param: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl fmt::Display for BadQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' {}", self.param, self.message)
    }
}

impl std::error::Error for BadQuery {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Newest,
    PriceUp,
    PriceDown,
    Context,
    Throughput,
    Latency,
}

impl Order {
    const NAMES: [(&'static str, Self); 6] = [
        ("newest", Self::Newest),
        ("pricing-low-to-high", Self::PriceUp),
        ("pricing-high-to-low", Self::PriceDown),
        ("context-high-to-low", Self::Context),
        ("throughput-high-to-low", Self::Throughput),
        ("latency-low-to-high", Self::Latency),
    ];
}

/// What the query of a listing asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// The pairs as they came, without those of the page.
    kept: Vec<(String, String)>,
    offset: Option<usize>,
    limit: Option<usize>,
    parameters: Params,
    input: Modalities,
    /// `None`: words. Empty: anything.
    output: Option<Modalities>,
    order: Option<Order>,
    words: Option<String>,
    context: u32,
    prompt_price: (Option<PicoUsd>, Option<PicoUsd>),
    completion_price: (Option<PicoUsd>, Option<PicoUsd>),
    tokenizer: Option<String>,
    authors: Vec<String>,
    providers: Vec<String>,
    distillable: Option<bool>,
    zdr: bool,
    region: Option<Region>,
    age_days: (Option<u64>, Option<u64>),
}

impl Query {
    /// Reads decoded pairs of names and values.
    ///
    /// # Errors
    /// A parameter is unknown, has a value that is not allowed, or asks for what is not known.
    pub fn parse(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, BadQuery> {
        let mut query = Self::default();
        for (name, value) in pairs {
            if let Err(message) = query.take(&name, &value) {
                return Err(BadQuery { param: name, message });
            }
            if name != "offset" && name != "limit" {
                query.kept.push((name, value));
            }
        }
        Ok(query)
    }

    /// Whether nothing is asked for, so that the usual list is the answer.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.offset.is_none() && self.limit.is_none()
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "offset" => self.offset = Some(number(value)?),
            "limit" => self.limit = Some(limit(value)?),
            "supported_parameters" => self.parameters = parameters(value)?,
            "input_modalities" => self.input = modalities(value)?,
            "output_modalities" if value == "all" => self.output = Some(Modalities::default()),
            "output_modalities" => self.output = Some(modalities(value)?),
            "sort" => self.order = Some(order(value)?),
            "q" => self.words = Some(value.to_lowercase()).filter(|q| !q.is_empty()),
            "context" => self.context = number(value)?,
            "min_price" => self.prompt_price.0 = Some(price(value)?),
            "max_price" => self.prompt_price.1 = Some(price(value)?),
            "min_output_price" => self.completion_price.0 = Some(price(value)?),
            "max_output_price" => self.completion_price.1 = Some(price(value)?),
            "arch" => self.tokenizer = Some(value.to_owned()),
            "model_authors" => self.authors = list(value),
            "providers" => self.providers = list(value),
            "distillable" => self.distillable = Some(boolean(value)?),
            "zdr" => self.zdr = boolean(value)?,
            "region" => {
                let region = Region::parse(value).ok_or("must be eu or us")?;
                self.region = Some(region);
            }
            "min_age_days" => self.age_days.0 = Some(number(value)?),
            "max_age_days" => self.age_days.1 = Some(number(value)?),
            name if WITHOUT_FACTS.contains(&name) => {
                return Err(
                    "is not supported: this catalog has no facts for it; leave it out".into()
                );
            }
            _ => return Err("is no parameter of this listing; leave it out".into()),
        }
        Ok(())
    }

    /// Where the page begins and how long it may be; `None` where none was asked for.
    pub(super) fn page(&self) -> Option<(usize, usize)> {
        (self.offset.is_some() || self.limit.is_some())
            .then(|| (self.offset.unwrap_or(0), self.limit.unwrap_or(LIMIT.0)))
    }

    /// The address of the next page.
    pub(super) fn next(&self, path: &str, offset: usize, limit: usize) -> String {
        let mut next = format!("{path}?offset={offset}&limit={limit}");
        for (name, value) in &self.kept {
            next.push('&');
            next.push_str(name);
            next.push('=');
            escape(value, &mut next);
        }
        next
    }

    /// Whether what the model puts out is asked for.
    pub(super) fn fits_output(&self, model: &Model) -> bool {
        match self.output {
            None => model.output_modalities.contains(Modality::Text),
            Some(wanted) => model.output_modalities.contains_all(wanted),
        }
    }

    /// Whether the model passes the other filters; `now` is in seconds since 1970.
    pub(super) fn fits(&self, listed: &Listed<'_>, now: u64) -> bool {
        let model = listed.model;
        model.supported_parameters.contains_all(self.parameters)
            && model.input_modalities.contains_all(self.input)
            && model.context_length >= self.context
            && self.distillable.is_none_or(|wanted| wanted == model.distillable)
            && self.fits_age(model.created, now)
            && self.fits_names(listed)
            && self.fits_prices(model)
            && self.fits_endpoints(model)
    }

    /// A model of unknown age passes no limit of age.
    fn fits_age(&self, created: u64, now: u64) -> bool {
        let (min, max) = self.age_days;
        if min.is_none() && max.is_none() {
            return true;
        }
        let days = now.saturating_sub(created) / DAY;
        created > 0 && min.is_none_or(|min| days >= min) && max.is_none_or(|max| days <= max)
    }

    fn fits_names(&self, listed: &Listed<'_>) -> bool {
        let model = listed.model;
        let has = |text: &str, q: &str| text.to_lowercase().contains(q);
        let words = self.words.as_ref().is_none_or(|q| {
            has(listed.alias.unwrap_or(model.id.as_str()), q)
                || has(&model.name, q)
                || has(&model.description, q)
        });
        let tokenizer = self.tokenizer.as_ref().is_none_or(|wanted| {
            model.tokenizer.as_deref().unwrap_or("Other").eq_ignore_ascii_case(wanted)
        });
        let author =
            |wanted: &String| model.author().is_some_and(|a| a.eq_ignore_ascii_case(wanted));
        words && tokenizer && (self.authors.is_empty() || self.authors.iter().any(author))
    }

    fn fits_prices(&self, model: &Model) -> bool {
        let within = |price: PicoUsd, (min, max): (Option<PicoUsd>, Option<PicoUsd>)| {
            min.is_none_or(|min| price >= min) && max.is_none_or(|max| price <= max)
        };
        cheapest(model).is_none_or(|endpoint| {
            let prices = endpoint.prices.base;
            within(prices.prompt, self.prompt_price)
                && within(prices.completion, self.completion_price)
        })
    }

    /// Whether one endpoint has all that is asked of endpoints.
    fn fits_endpoints(&self, model: &Model) -> bool {
        if self.providers.is_empty() && !self.zdr && self.region.is_none() {
            return true;
        }
        model.all_endpoints().any(|endpoint| {
            (self.providers.is_empty() || self.providers.iter().any(|name| endpoint.is_at(name)))
                && (!self.zdr || endpoint.policy.zero_retention())
                && self.region.is_none_or(|region| endpoint.is_in(region))
        })
    }

    /// Puts the models in the order that is asked for; those that lack the number come last.
    pub(super) fn sort(&self, found: &mut [Listed<'_>], live: Measured<'_>) {
        let prices = |listed: &Listed<'_>| {
            cheapest(listed.model).map(|e| (e.prices.base.prompt, e.prices.base.completion))
        };
        let best = |listed: &Listed<'_>, of: fn(super::Live) -> Option<f64>, sign: f64| {
            let numbers = listed.model.endpoints.iter().filter_map(|e| of(live(e)));
            numbers.map(|n| n * sign).fold(f64::INFINITY, f64::min)
        };
        let Some(order) = self.order else { return };
        match order {
            Order::Newest => found.sort_by_key(|listed| Reverse(listed.model.created)),
            Order::PriceUp => found.sort_by_key(|l| (prices(l).is_none(), prices(l))),
            Order::PriceDown => found.sort_by_key(|l| Reverse(prices(l))),
            Order::Context => found.sort_by_key(|l| Reverse(l.model.context_length)),
            Order::Throughput => {
                let fast = |l: &Listed<'_>| best(l, |v| Some(v.throughput_last_30m?.p50), -1.0);
                found.sort_by(|a, b| fast(a).total_cmp(&fast(b)));
            }
            Order::Latency => {
                let late = |l: &Listed<'_>| best(l, |v| Some(v.latency_last_30m?.p50), 1.0);
                found.sort_by(|a, b| late(a).total_cmp(&late(b)));
            }
        }
    }
}

fn number<T: std::str::FromStr>(value: &str) -> Result<T, String> {
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    let number = digits.then(|| value.parse().ok()).flatten();
    number.ok_or_else(|| "must be a whole number".to_owned())
}

fn limit(value: &str) -> Result<usize, String> {
    number(value)
        .ok()
        .filter(|limit| (1..=LIMIT.1).contains(limit))
        .ok_or_else(|| format!("must be a whole number from 1 to {}", LIMIT.1))
}

fn boolean(value: &str) -> Result<bool, String> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// A price in dollars per million tokens.
fn price(value: &str) -> Result<PicoUsd, String> {
    PicoUsd::parse_per_million(value)
        .map_err(|error| format!("{error}; it is in dollars per million tokens"))
}

fn list(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn parameters(value: &str) -> Result<Params, String> {
    let one = |name: String| {
        Param::parse(&name).ok_or_else(|| {
            let names: Vec<&str> = Param::ALL.iter().map(|param| param.as_str()).collect();
            format!("has {name:?}, which is none of {}", names.join(", "))
        })
    };
    list(value).into_iter().map(one).collect()
}

fn modalities(value: &str) -> Result<Modalities, String> {
    let one = |name: String| {
        Modality::parse(&name).ok_or_else(|| {
            let names = Modality::ALL.map(Modality::as_str).join(", ");
            format!("has {name:?}, which is none of {names}")
        })
    };
    list(value).into_iter().map(one).collect()
}

fn order(value: &str) -> Result<Order, String> {
    let known = Order::NAMES.iter().find(|(name, _)| *name == value);
    known.map(|(_, order)| *order).ok_or_else(|| {
        let names = Order::NAMES.map(|(name, _)| name).join(", ");
        if ORDERS_WITHOUT_FACTS.contains(&value) {
            return format!("is {value}, which this catalog has no facts for; there are {names}");
        }
        format!("must be one of {names}")
    })
}

/// Percent-encodes what has a meaning in a query.
fn escape(text: &str, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~,/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}
