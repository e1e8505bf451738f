//! What can be asked for: models, the providers that host them, and what each costs.
//!
//! A [`Catalog`] is an immutable snapshot that is built once (by `config`) and swapped whole.

pub mod listing;
pub mod price;
pub mod typical;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::dialect::Dialect;
use crate::dialect::completions::Template;
use crate::dialect::openai::Host;
use crate::vocab::{EndpointId, ModelId, ProviderId};

pub use price::Prices;
pub use typical::Typical;

/// A company or host that serves models.
#[derive(Debug)]
pub struct Provider {
    /// Its slug, as in `provider.order`.
    pub id: ProviderId,
    /// Its display name, as shown in answers.
    pub name: String,
    /// The wire format of its endpoints.
    pub dialect: Dialect,
    /// How it departs from the dialect.
    pub host: &'static Host,
    /// Where it is reached.
    pub origin: Origin,
    /// Path prefix of every request, without a trailing slash, for instance `/v1`.
    pub base_path: String,
    /// The query of every request, without `?`; Azure's API version is told there.
    pub query: Option<String>,
    /// The credential that is sent; never printed.
    pub auth: Auth,
    /// Limits on time.
    pub timeouts: Timeouts,
    /// An active health check, if one is configured.
    pub probe: Option<Probe>,
}

/// Scheme, host and port of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// TLS or not.
    pub tls: bool,
    /// Host name or IP address (IPv6 without brackets).
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// What is sent as `Host`: the host with the port unless it is the scheme's own.
    pub authority: String,
}

/// How requests to a provider are authenticated.
pub enum Auth {
    /// Nothing is sent.
    None,
    /// `Authorization: Bearer <secret>`.
    Bearer(Secret),
    /// A header of this (lower-case) name with the secret as its value, for instance `x-api-key`.
    Header(String, Secret),
    /// Each request is signed (AWS Signature Version 4).
    Aws(Box<AwsKeys>),
    /// `Authorization: Bearer` with a token that Google gives for this key of a service account.
    ServiceAccount(Secret),
}

/// What requests to AWS are signed with.
pub struct AwsKeys {
    /// For instance `us-east-1`.
    pub region: String,
    /// The access key's id.
    pub access_key: Secret,
    /// Its secret.
    pub secret_key: Secret,
    /// The token of a temporary key.
    pub session_token: Option<Secret>,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Bearer(_) => "Bearer(***)",
            Self::Header(..) => "Header(***)",
            Self::Aws(_) => "Aws(***)",
            Self::ServiceAccount(_) => "ServiceAccount(***)",
        })
    }
}

/// A text that is never printed and is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(zeroize::Zeroizing<String>);

impl Secret {
    /// Wraps the text.
    pub fn new(text: String) -> Self {
        Self(zeroize::Zeroizing::new(text))
    }

    /// The text, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Limits on the time that a provider may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For TCP, and again for TLS on top.
    pub connect: Duration,
    /// From the request being sent to the first semantic event of a streamed answer.
    pub first_token: Duration,
    /// Between two reads of a streamed answer.
    pub inter_event: Duration,
    /// From the request being sent to the end of an answer that is not streamed.
    pub whole_answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            first_token: Duration::from_secs(60),
            inter_event: Duration::from_secs(60),
            whole_answer: Duration::from_secs(300),
        }
    }
}

/// An active health check: a cheap GET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Absolute path, for instance `/v1/models`.
    pub path: String,
    /// Time between two probes.
    pub interval: Duration,
    /// Limit of one probe.
    pub timeout: Duration,
    /// Failures in a row that take the provider's endpoints out.
    pub failures: u32,
    /// Successes in a row that bring them back.
    pub successes: u32,
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
    /// Prices in force.
    pub prices: Prices,
    /// Prompt and completion together, in tokens.
    pub context_length: u32,
    /// The longest completion, in tokens.
    pub max_output: u32,
    /// Relative share among equals; 1.0 is usual, at least 0.001.
    pub weight: f64,
    /// How a prompt is rendered, where the host serves raw completions.
    pub template: Option<Arc<Template>>,
}

/// A model and who hosts it.
#[derive(Debug)]
pub struct Model {
    /// `author/slug`.
    pub id: ModelId,
    /// Display name.
    pub name: String,
    /// When it was published, in seconds since 1970.
    pub created: u64,
    /// Free text.
    pub description: String,
    /// The largest of its endpoints' contexts, in tokens.
    pub context_length: u32,
    /// For instance `text`, `image`.
    pub input_modalities: Vec<String>,
    /// For instance `text`.
    pub output_modalities: Vec<String>,
    /// Request parameters that at least one endpoint takes.
    pub supported_parameters: Vec<String>,
    /// Who hosts it; never empty.
    pub endpoints: Vec<Arc<Endpoint>>,
}

/// Everything that can be asked for, as an immutable snapshot.
#[derive(Debug, Default)]
pub struct Catalog {
    models: HashMap<ModelId, Arc<Model>>,
    order: Vec<Arc<Model>>,
}

impl Catalog {
    /// A catalog of these models, listed in this order. A model that comes twice keeps its first
    /// place and its last contents; `config` refuses duplicates before.
    pub fn new(models: Vec<Model>) -> Self {
        let order: Vec<Arc<Model>> = models.into_iter().map(Arc::new).collect();
        let models = order.iter().map(|m| (m.id.clone(), Arc::clone(m))).collect();
        Self { models, order }
    }

    /// The model of this id.
    pub fn model(&self, id: &str) -> Option<&Arc<Model>> {
        self.models.get(id)
    }

    /// All models in the order of the configuration.
    pub fn models(&self) -> &[Arc<Model>] {
        &self.order
    }

    /// All endpoints of all models.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.order.iter().flat_map(|m| &m.endpoints)
    }
}
