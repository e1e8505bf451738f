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

/// A region that requests may be held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Region {
    /// The European Union.
    Eu,
    /// The United States.
    Us,
}

impl Region {
    /// Reads a name: `eu` or `us`.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "eu" => Some(Self::Eu),
            "us" => Some(Self::Us),
            _ => None,
        }
    }

    /// Whether a provider's name of a region means one here, for instance `us-east5`,
    /// `europe-west4`, `eu`.
    fn has_name(self, name: &str) -> bool {
        /// London and Zurich, by Google's and Amazon's names.
        const NOT_IN_THE_EU: [&str; 4] =
            ["europe-west2", "europe-west6", "eu-west-2", "eu-central-2"];
        let first = name.split(['-', '_', '/', '.']).next().unwrap_or_default();
        match self {
            Self::Eu => matches!(first, "eu" | "europe") && !NOT_IN_THE_EU.contains(&name),
            Self::Us => matches!(first, "us" | "usa"),
        }
    }

    /// Whether a country (ISO 3166-1 alpha-2) is one of its.
    fn has_country(self, code: &str) -> bool {
        /// The member states.
        const EU: [&str; 27] = [
            "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU",
            "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
        ];
        match self {
            Self::Eu => EU.contains(&code),
            Self::Us => code == "US",
        }
    }
}

/// One model at one provider.
#[derive(Clone, Debug)]
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

    /// Whether a provider's slug, a tag or a display name means this endpoint; a slug means all
    /// endpoints below it.
    pub fn is_at(&self, name: &str) -> bool {
        let below = |slug: &str| match slug.split_at_checked(name.len()) {
            Some((head, rest)) => {
                head.eq_ignore_ascii_case(name) && (rest.is_empty() || rest.starts_with('/'))
            }
            None => false,
        };
        !name.is_empty() && (below(&self.tag) || self.provider.name.eq_ignore_ascii_case(name))
    }

    /// Whether all of it runs in a region: its own region says so, or every data centre of the
    /// provider is there. What nobody says is not so.
    pub fn is_in(&self, region: Region) -> bool {
        match &self.region {
            Some(own) => region.has_name(own),
            None => {
                let countries = &self.provider.profile.datacenters;
                !countries.is_empty() && countries.iter().all(|code| region.has_country(code))
            }
        }
    }

    /// Whether it has been switched off at this time, in seconds since 1970.
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Origin, Profile};
    use crate::dialect::Dialect;
    use crate::vocab::ProviderId;

    fn endpoint(region: Option<&str>, datacenters: &[&str]) -> Endpoint {
        let origin = Origin { tls: false, host: "h".into(), port: 1, authority: "h:1".into() };
        let id = ProviderId::parse("google-vertex").unwrap();
        let datacenters = datacenters.iter().map(|&code| code.to_owned()).collect();
        let provider = Provider {
            name: "Google Vertex".into(),
            profile: Profile { datacenters, ..Profile::default() },
            ..Provider::new(id, Dialect::OpenAi, origin)
        };
        let (id, model) = (EndpointId::parse("e").unwrap(), ModelId::parse("m").unwrap());
        let tag = region.map_or("google-vertex".into(), |r| format!("google-vertex/{r}"));
        let endpoint = Endpoint::new(id, Arc::new(provider), model, "m", 1);
        Endpoint { region: region.map(str::to_owned), tag, ..endpoint }
    }

    #[test]
    fn names_mean_what_lies_below_them() {
        let east = endpoint(Some("us-east5"), &[]);
        for (name, expected) in [
            ("google-vertex", true),
            ("Google-Vertex/us-east5", true),
            ("google vertex", true),
            ("google-vertex/us", false),
            ("google", false),
            ("", false),
        ] {
            assert_eq!(east.is_at(name), expected, "{name:?}");
        }
    }

    #[test]
    fn regions_are_told_by_name_or_else_by_data_centres() {
        for (region, datacenters, eu, us) in [
            (Some("us-east5"), &[][..], false, true),
            (Some("europe-west4"), &["US"], true, false),
            (Some("europe-west2"), &[], false, false),
            (Some("global"), &["US"], false, false),
            (None, &["DE", "FI"], true, false),
            (None, &["DE", "US"], false, false),
            (None, &[], false, false),
        ] {
            let endpoint = endpoint(region, datacenters);
            let found = (endpoint.is_in(Region::Eu), endpoint.is_in(Region::Us));
            assert_eq!(found, (eu, us), "{region:?} {datacenters:?}");
        }
    }
}
