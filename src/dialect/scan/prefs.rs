//! The request's `provider` object: the caller's preferences among providers, as plain data.

use serde::{Deserialize, Serialize};

use super::lexer::{Blind, Lexer};
use super::prefs_read;
use super::{Oops, refuse};
use crate::vocab::PicoUsd;

/// What the caller prefers. Every field acts; any other key is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Prefs {
    /// Providers to try first, in this order; empty: no order.
    pub order: Vec<String>,
    /// The only providers allowed; empty: all are.
    pub only: Vec<String>,
    /// Providers never to use.
    pub ignore: Vec<String>,
    /// Whether providers beside the first choice (or beside `order`) may be tried.
    pub allow_fallbacks: bool,
    /// Whether a provider may be used only if it takes everything that is asked.
    pub require_parameters: bool,
    /// `data_collection: "deny"`: no provider that keeps prompts for longer than it takes to answer
    /// them, or may train on them.
    pub deny_collection: bool,
    /// Only providers that keep nothing.
    pub zdr: bool,
    /// Only models whose author allows to train others on their answers.
    pub distillable: bool,
    /// The only quantizations allowed, each one of [`QUANTIZATIONS`]; empty: all are.
    pub quantizations: Vec<String>,
    /// A strict order instead of a weighted choice.
    pub sort: Option<Sort>,
    /// Whether the endpoints of all `models` are ranked together instead of model by model.
    pub together: bool,
    /// Endpoints with less throughput come last, in thousandths of a token per second.
    pub min_throughput: Cutoffs,
    /// Endpoints with more latency come last, in microseconds.
    pub max_latency: Cutoffs,
    /// Endpoints that cost more are not used.
    pub max_price: MaxPrice,
    /// Whether another endpoint may go on with a stream that breaks off; absent: as configured.
    pub allow_continuation: Option<bool>,
    /// Parameters for one provider alone: its name, and an object in JSON. They decide nothing, and
    /// are no part of a recorded decision.
    #[serde(skip)]
    pub options: Vec<(String, String)>,
}

impl Default for Prefs {
    fn default() -> Self {
        Self {
            order: Vec::new(),
            only: Vec::new(),
            ignore: Vec::new(),
            allow_fallbacks: true,
            require_parameters: false,
            deny_collection: false,
            zdr: false,
            distillable: false,
            quantizations: Vec::new(),
            sort: None,
            together: false,
            min_throughput: Cutoffs::default(),
            max_latency: Cutoffs::default(),
            max_price: MaxPrice::default(),
            allow_continuation: None,
            options: Vec::new(),
        }
    }
}

/// What endpoints can be ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// The cheapest for this request first.
    Price,
    /// The most output tokens per second first.
    Throughput,
    /// The shortest time to the first token first.
    Latency,
    /// The most reliable with tools first.
    Exacto,
}

impl Sort {
    /// The order of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "price" => Self::Price,
            "throughput" => Self::Throughput,
            "latency" => Self::Latency,
            "exacto" => Self::Exacto,
            _ => return None,
        })
    }
}

/// What must hold at the 50th, 75th, 90th and 99th percentile of the last 5 minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cutoffs(pub [Option<u64>; 4]);

impl Cutoffs {
    /// The names of the percentiles.
    pub const NAMES: [&'static str; 4] = ["p50", "p75", "p90", "p99"];

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

/// The most that each thing may cost. `None`: anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaxPrice {
    /// Per input token.
    pub prompt: Option<PicoUsd>,
    /// Per output token.
    pub completion: Option<PicoUsd>,
    /// Per request.
    pub request: Option<PicoUsd>,
    /// Per image put in or out.
    pub image: Option<PicoUsd>,
    /// Per audio token.
    pub audio: Option<PicoUsd>,
}

/// How numbers may be stored (OpenRouter's names, 2026-11).
pub const QUANTIZATIONS: [&str; 12] = [
    "int4", "int8", "fp4", "mxfp4", "nvfp4", "fp6", "fp8", "mxfp8", "fp16", "bf16", "fp32",
    "unknown",
];

/// The keys, in the order of [`Prefs::member`].
const KEYS: [&str; 15] = [
    "order",
    "only",
    "ignore",
    "allow_fallbacks",
    "require_parameters",
    "data_collection",
    "zdr",
    "enforce_distillable_text",
    "quantizations",
    "sort",
    "preferred_min_throughput",
    "preferred_max_latency",
    "max_price",
    "options",
    "allow_continuation",
];

impl Prefs {
    /// Reads the value of `provider`.
    pub(super) fn read(lexer: &mut Lexer<'_>) -> Result<Option<Self>, Oops> {
        match lexer.peek() {
            Some(b'n') => {
                lexer.value(1, &mut Blind)?;
                return Ok(None);
            }
            Some(b'{') => lexer.expect(b'{', "expected an object")?,
            _ => return Err(refuse("provider", "'provider' must be an object")),
        }
        let mut prefs = Self::default();
        let (mut seen, mut unknown) = ([false; KEYS.len()], Vec::new());
        let mut first = true;
        while let Some(key) = lexer.member(&mut first)? {
            let name = key.unescape().unwrap_or_else(|| "\u{fffd}".to_owned());
            let Some(place) = KEYS.iter().position(|known| *known == name) else {
                lexer.value(2, &mut Blind)?;
                if unknown.len() < 8 {
                    unknown.push(format!("'{}'", name.chars().take(40).collect::<String>()));
                }
                continue;
            };
            let param = format!("provider.{name}");
            if std::mem::replace(&mut seen[place], true) {
                return Err(refuse(&param, format!("'{param}' is given twice")));
            }
            prefs.member(lexer, &name, &param)?;
        }
        if !unknown.is_empty() {
            let text = format!("Unrecognized key(s) in 'provider': {}", unknown.join(", "));
            return Err(refuse("provider", text));
        }
        Ok(Some(prefs))
    }

    fn member(&mut self, lexer: &mut Lexer<'_>, name: &str, param: &str) -> Result<(), Oops> {
        use prefs_read as read;
        match name {
            "order" => self.order = read::names(lexer, param)?,
            "only" => self.only = read::names(lexer, param)?,
            "ignore" => self.ignore = read::names(lexer, param)?,
            "allow_fallbacks" => self.allow_fallbacks = read::flag(lexer, param, true)?,
            "require_parameters" => self.require_parameters = read::flag(lexer, param, false)?,
            "data_collection" => {
                let choice = read::choice(lexer, param, &["allow", "deny"])?;
                self.deny_collection = choice == Some("deny");
            }
            "zdr" => self.zdr = read::flag(lexer, param, false)?,
            "enforce_distillable_text" => self.distillable = read::flag(lexer, param, false)?,
            "quantizations" => self.quantizations = read::quantizations(lexer, param)?,
            "sort" => (self.sort, self.together) = read::sort(lexer, param)?,
            "preferred_min_throughput" => {
                self.min_throughput = read::cutoffs(lexer, param, 1e3)?;
            }
            "preferred_max_latency" => self.max_latency = read::cutoffs(lexer, param, 1e6)?,
            "max_price" => self.max_price = read::max_price(lexer, param)?,
            "allow_continuation" => self.allow_continuation = read::boolean(lexer, param)?,
            _ => self.options = read::options(lexer, param)?,
        }
        Ok(())
    }
}
