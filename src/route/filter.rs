//! What removes endpoints: the hard filters, each by its name.

use serde::Serialize;

use super::Features;
use super::table::{Facts, Row, Slot};
use crate::catalog::{Endpoint, Model, Param, Params, Prices, Quantization, Tier, utc_minute};
use crate::dialect::Dialect;
use crate::dialect::scan::{MaxPrice, Prefs};
use crate::terms::Policy;

/// What removes endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// The key, or the account or organisation that it belongs to, may not use the model.
    PolicyModel,
    /// It may not use the provider.
    PolicyProvider,
    /// It may only use endpoints that do not train on what they are sent.
    PolicyTraining,
    /// It may only use endpoints that keep nothing.
    PolicyZdr,
    /// `provider.only` does not name it.
    Only,
    /// `provider.ignore` names it.
    Ignore,
    /// It is of a service tier that was not asked for, or not of the one that was.
    Tier,
    /// It has been switched off by its provider.
    Expired,
    /// It may keep or learn from prompts, and `provider.data_collection` is `deny`.
    DataCollection,
    /// It keeps prompts, and `provider.zdr` is on.
    Zdr,
    /// The model's author does not allow to learn from answers, and
    /// `provider.enforce_distillable_text` is on.
    Distillable,
    /// `provider.quantizations` does not name its own.
    Quantization,
    /// It costs more than `provider.max_price`.
    MaxPrice,
    /// The prompt, or prompt and completion, do not fit.
    Context,
    /// It does not take a parameter of the request, and `provider.require_parameters` is on.
    RequireParameters(#[serde(serialize_with = "name")] Param),
    /// Others of the model take this parameter.
    BetterParameters(#[serde(serialize_with = "name")] Param),
    /// `:extended` asks for the largest context.
    Extended,
    /// `provider.order` does not name it, and fallbacks are off.
    Order,
    /// It was not the first choice, and fallbacks are off.
    FallbacksOff,
}

fn name<S: serde::Serializer>(param: &Param, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(param.as_str())
}

impl Filter {
    /// The name in OpenRouter's `excluded_by` (its errors page, read 2026-08) where it has one, else
    /// ours.
    pub const fn code(self) -> &'static str {
        match self {
            Self::PolicyModel => "key_policy:models",
            Self::PolicyProvider => "key_policy:providers",
            Self::PolicyTraining => "data_policy:training",
            Self::PolicyZdr => "data_policy:zdr",
            Self::Only | Self::Ignore | Self::Order | Self::FallbacksOff => "allowed_providers",
            Self::Tier => "service_tier",
            Self::Expired => "expired",
            Self::DataCollection => "data_policy:training",
            Self::Zdr => "data_policy:zdr",
            Self::Distillable => "distillable",
            Self::Quantization => "quantization",
            Self::MaxPrice => "max_price",
            Self::Context => "context_length",
            Self::RequireParameters(_) | Self::BetterParameters(_) => "require_parameters",
            Self::Extended => "extended",
        }
    }

    /// Its place in an error's text: what the caller named first, what can hardly be changed last.
    pub(super) const fn place(self) -> u8 {
        match self {
            Self::Only => 0,
            Self::Ignore => 1,
            Self::DataCollection => 2,
            Self::Zdr => 3,
            Self::Distillable => 4,
            Self::Quantization => 5,
            Self::MaxPrice => 6,
            Self::RequireParameters(_) => 7,
            Self::BetterParameters(_) => 8,
            Self::Extended => 9,
            Self::Tier => 10,
            Self::Expired => 11,
            Self::Context => 12,
            Self::Order => 13,
            Self::FallbacksOff => 14,
            Self::PolicyModel => 15,
            Self::PolicyProvider => 16,
            Self::PolicyTraining => 17,
            Self::PolicyZdr => 18,
        }
    }

    /// Whether the caller's terms are behind it, not the request.
    pub const fn is_policy(self) -> bool {
        matches!(
            self,
            Self::PolicyModel | Self::PolicyProvider | Self::PolicyTraining | Self::PolicyZdr
        )
    }

    /// The request's field behind it.
    pub const fn field(self) -> &'static str {
        match self {
            Self::PolicyProvider | Self::PolicyTraining | Self::PolicyZdr => "provider",
            Self::Only => "provider.only",
            Self::Ignore => "provider.ignore",
            Self::Tier => "service_tier",
            Self::PolicyModel | Self::Expired | Self::Extended | Self::BetterParameters(_) => {
                "model"
            }
            Self::DataCollection => "provider.data_collection",
            Self::Zdr => "provider.zdr",
            Self::Distillable => "provider.enforce_distillable_text",
            Self::Quantization => "provider.quantizations",
            Self::MaxPrice => "provider.max_price",
            Self::Context => "messages",
            Self::RequireParameters(_) => "provider.require_parameters",
            Self::Order => "provider.order",
            Self::FallbacksOff => "provider.allow_fallbacks",
        }
    }
}

/// Everything that is asked of an endpoint, made ready once per model.
pub(super) struct Sieve<'a> {
    features: &'a Features<'a>,
    model: &'a Model,
    prefs: Option<&'a Prefs>,
    quantizations: Vec<Quantization>,
    /// Tiers that may be used without being named.
    tiers: [bool; 3],
    tokens: u64,
    unix_s: u64,
    /// The model itself has been switched off.
    expired: bool,
}

impl<'a> Sieve<'a> {
    /// `admits`: whether the model's suffixes let in endpoints of the flex and priority tiers.
    pub(super) fn new(
        features: &'a Features<'a>,
        row: &'a Row,
        (flex, priority): (bool, bool),
    ) -> Self {
        let (model, unix_s) = (&*row.model, features.unix_ms / 1_000);
        let prefs = features.prefs;
        let wanted = prefs.map_or(&[][..], |prefs| &prefs.quantizations);
        let free = prefs.is_none_or(|prefs| prefs.order.is_empty())
            && features.tier != Some(Tier::Default);
        let asked = |tier| features.tier == Some(tier);
        Self {
            features,
            model,
            prefs,
            quantizations: wanted.iter().filter_map(|name| Quantization::parse(name)).collect(),
            tiers: [
                true,
                asked(Tier::Flex) || flex && free,
                asked(Tier::Priority) || priority && free,
            ],
            tokens: features.prompt_tokens.saturating_add(features.max_tokens.unwrap_or(1)),
            unix_s,
            expired: model.is_expired(unix_s),
        }
    }

    /// What forbids an endpoint, if anything does. Where nothing special is asked its facts suffice.
    #[inline]
    pub(super) fn removes(&self, facts: &Facts, slot: &Slot) -> Option<Filter> {
        let forbids = |policy: &&Policy| forbids(policy, &slot.endpoint, self.model);
        if let Some(by) = self.features.policies.iter().find_map(forbids) {
            return Some(by);
        }
        if let Some(prefs) = self.prefs
            && let Some(by) = self.preferences(prefs, facts, slot)
        {
            return Some(by);
        }
        let wanted = self.tiers[facts.tier as usize] || self.is_named_in_full(slot);
        if !wanted || facts.tier != Tier::Default && !self.can_be_told(&slot.endpoint) {
            return Some(Filter::Tier);
        }
        if facts.is_expired(self.unix_s) || self.expired {
            return Some(Filter::Expired);
        }
        (self.tokens > u64::from(facts.context_length)).then_some(Filter::Context)
    }

    /// Whether the provider will hear of the endpoint's tier, which is not the usual one. Where it would not, it would serve and
    /// charge another: the gateway names tiers in OpenAI's two formats, and Bedrock's writer hands on
    /// the one that the request itself asks for.
    fn can_be_told(&self, endpoint: &Endpoint) -> bool {
        match endpoint.provider.dialect {
            Dialect::OpenAi | Dialect::Responses => true,
            Dialect::Bedrock => self.features.tier == Some(endpoint.tier),
            _ => false,
        }
    }

    fn preferences(&self, prefs: &Prefs, facts: &Facts, slot: &Slot) -> Option<Filter> {
        let named = |list: &[String]| list.iter().any(|name| slot.is_named(name));
        let endpoint = || &*slot.endpoint;
        let quantized = || self.quantizations.iter().any(|q| endpoint().quantization.matches(*q));
        let is_too_dear = || {
            let minute = utc_minute(self.features.unix_ms);
            is_too_dear(prefs, &endpoint().prices.at(self.features.prompt_tokens, minute))
        };
        if !prefs.only.is_empty() && !named(&prefs.only) {
            return Some(Filter::Only);
        }
        if !prefs.ignore.is_empty() && named(&prefs.ignore) {
            return Some(Filter::Ignore);
        }
        if prefs.deny_collection && endpoint().policy.collects() {
            return Some(Filter::DataCollection);
        }
        if prefs.zdr && !endpoint().policy.zero_retention() {
            return Some(Filter::Zdr);
        }
        if prefs.distillable && !self.model.distillable {
            return Some(Filter::Distillable);
        }
        if !self.quantizations.is_empty() && !quantized() {
            return Some(Filter::Quantization);
        }
        if prefs.max_price != MaxPrice::default() && is_too_dear() {
            return Some(Filter::MaxPrice);
        }
        if prefs.require_parameters {
            let missing = missing(self.features.params, facts.parameters);
            return missing.iter().next().map(Filter::RequireParameters);
        }
        None
    }

    /// A tier's own slug in `order` or `only` asks for it.
    fn is_named_in_full(&self, slot: &Slot) -> bool {
        let Some(prefs) = self.prefs else { return false };
        let tag = &slot.endpoint.tag;
        prefs.order.iter().chain(&prefs.only).any(|name| tag.eq_ignore_ascii_case(name))
    }
}

/// What of a policy forbids an endpoint.
fn forbids(policy: &Policy, endpoint: &Endpoint, model: &Model) -> Option<Filter> {
    let data = endpoint.policy;
    if !policy.allows_model(model.id.as_str()) {
        return Some(Filter::PolicyModel);
    }
    if !policy.allows_provider(endpoint.provider.id.as_str()) {
        return Some(Filter::PolicyProvider);
    }
    if policy.no_training && (data.trains || data.publishes) {
        return Some(Filter::PolicyTraining);
    }
    (policy.zdr && !data.zero_retention()).then_some(Filter::PolicyZdr)
}

fn is_too_dear(prefs: &Prefs, prices: &Prices) -> bool {
    let max = &prefs.max_price;
    let audio = prices
        .audio_prompt
        .unwrap_or(prices.prompt)
        .max(prices.audio_completion.unwrap_or(prices.completion));
    [
        (max.prompt, prices.prompt),
        (max.completion, prices.completion),
        (max.request, prices.request),
        (max.image, prices.image),
        (max.audio, audio),
    ]
    .into_iter()
    .any(|(max, price)| max.is_some_and(|max| price > max))
}

/// What an endpoint does not take. Either form of the limit, of reasoning and of JSON will do: the
/// gateway writes the one that is taken.
fn missing(asked: Params, taken: Params) -> Params {
    const SAME: [&[Param]; 3] = [
        &[Param::MaxTokens, Param::MaxCompletionTokens],
        &[Param::Reasoning, Param::ReasoningEffort, Param::IncludeReasoning],
        &[Param::ResponseFormat, Param::StructuredOutputs],
    ];
    let mut taken = taken;
    for group in SAME.map(Params::of) {
        if !taken.without(taken.without(group)).is_empty() {
            taken = taken.union(group);
        }
    }
    asked.without(taken)
}

/// Parameters for which a model's other endpoints are passed over as soon as one takes them
/// (OpenRouter's provider routing page, read 2026-08).
const BETTER: [Param; 3] = [Param::Tools, Param::ResponseFormat, Param::Verbosity];

/// The parameters of a request that decide between the endpoints of a model: those that some take
/// and others do not.
pub(super) fn better(asked: Params, endpoints: impl Iterator<Item = Params> + Clone) -> Params {
    let wanted = BETTER.into_iter().filter(|param| asked.contains(*param));
    let some = |param: &Param| {
        endpoints.clone().any(|taken| missing(Params::of(&[*param]), taken).is_empty())
    };
    wanted.filter(some).collect()
}

/// The first of these parameters that an endpoint does not take.
pub(super) fn worse(wanted: Params, taken: Params) -> Option<Filter> {
    missing(wanted, taken).iter().next().map(Filter::BetterParameters)
}
