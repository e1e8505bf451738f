//! One model at one provider.

use std::sync::Arc;

use super::{DataPolicy, Params, Provider, Quantization, Tariff};
use crate::dialect::completions::Template;
use crate::vocab::{EndpointId, ModelId};

/// The class of service that a provider gives at a price of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tier {
    /// The usual one.
    #[default]
    Default,
    /// Cheaper and slower, and refused where capacity is short. Used only where it is asked for.
    Flex,
    /// Dearer and faster. Used only where it is asked for.
    Priority,
}

impl Tier {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Default, Self::Flex, Self::Priority];

    /// The name, as in `service_tier` and in tags.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Flex => "flex",
            Self::Priority => "priority",
        }
    }

    /// Reads a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.as_str() == name)
    }
}

/// One model at one provider.
#[derive(Debug)]
pub struct Endpoint {
    /// Unique in the catalog.
    pub id: EndpointId,
    /// Who serves it.
    pub provider: Arc<Provider>,
    /// The model's public id.
    pub model: ModelId,
    /// What the provider calls the model.
    pub upstream_model: String,
    /// The slug by which requests name it: `provider`, or `provider/variant`, for instance
    /// `deepinfra/turbo`, `google-vertex/us-east5`, `openai/flex`.
    pub tag: String,
    /// What it costs.
    pub prices: Tariff,
    /// Prompt and completion together, in tokens.
    pub context_length: u32,
    /// The longest completion, in tokens.
    pub max_output: u32,
    /// Relative share among equals; 1.0 is usual, at least 0.001.
    pub weight: f64,
    /// How a prompt is rendered, where the host serves raw completions.
    pub template: Option<Arc<Template>>,
    /// The request parameters that it takes.
    pub parameters: Params,
    /// The number format of its weights.
    pub quantization: Quantization,
    /// Where it runs, in the provider's words, for instance `us-east5`.
    pub region: Option<String>,
    /// What becomes of prompts and answers: the provider's policy with what the endpoint changes.
    pub policy: DataPolicy,
    /// The class of service.
    pub tier: Tier,
    /// Prompts are cached without being asked for.
    pub implicit_caching: bool,
    /// The provider screens prompts and refuses some.
    pub moderated: bool,
    /// When it is switched off, in seconds since 1970, if that is known.
    pub expires: Option<u64>,
}

impl Endpoint {
    /// An endpoint of which no more is known: free, with this context, all of which an answer may
    /// fill.
    pub fn new(
        id: EndpointId,
        provider: Arc<Provider>,
        model: ModelId,
        upstream_model: &str,
        context_length: u32,
    ) -> Self {
        Self {
            id,
            tag: provider.id.to_string(),
            model,
            upstream_model: upstream_model.to_owned(),
            prices: Tariff::default(),
            context_length,
            max_output: context_length,
            weight: 1.0,
            template: None,
            parameters: Params::NONE,
            quantization: Quantization::Unknown,
            region: None,
            policy: provider.policy,
            tier: Tier::Default,
            implicit_caching: false,
            moderated: false,
            expires: None,
            provider,
        }
    }

    /// Whether it has been switched off at this time, in seconds since 1970.
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}
