//! The shapes of `[[auto]]` and `[[presets]]`.

use serde::{Deserialize, Serialize};

/// A rule of `turnpike/auto`: the first rule of which every condition holds names the models for a
/// request. Conditions that are absent always hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auto {
    /// Models, with suffixes if wanted, the first choice first. Required.
    pub models: Vec<String>,
    /// Only prompts of at least this many tokens, 1 to 1000000000. Optional.
    pub prompt_tokens_min: Option<i64>,
    /// Only prompts of at most this many tokens, 1 to 1000000000. Optional.
    pub prompt_tokens_max: Option<i64>,
    /// Only requests with tools, or only those without. Optional.
    pub tools: Option<bool>,
    /// Only requests with pictures, or only those without. Optional.
    pub images: Option<bool>,
    /// Only requests with code (a Markdown fence) in them, or only those without. Optional.
    pub code: Option<bool>,
    /// Only callers whose `provider.max_price.prompt` is at most this, in dollars per million
    /// tokens, in quotes. Optional.
    pub prompt_price_max: Option<String>,
}

/// What requests may build on, as `@preset/slug` in `model` or as `preset`. What a request says
/// itself wins.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preset {
    /// Its name: lower-case letters, digits, `-`, `_` and `.`. Required.
    pub slug: String,
    /// The model, with suffixes if wanted. Optional.
    pub model: Option<String>,
    /// Models to fall back to. Default `[]`.
    pub models: Vec<String>,
    /// What the model is told before the conversation, unless the request tells it something.
    /// Optional.
    pub system: Option<String>,
    /// Sampling parameters, as a JSON object in quotes, for instance `{"temperature":0.2}`.
    /// Optional.
    pub parameters: Option<String>,
    /// Preferences among providers, as a JSON object in quotes, as in requests. Optional.
    pub provider: Option<String>,
    /// The plugins of a request that has no `plugins` of its own, as JSON in quotes, for instance
    /// `'[{"id":"web"}]'`. Optional.
    pub plugins: Option<String>,
}
