//! Who serves models, and how they are reached.

use std::time::Duration;

use super::{DataPolicy, Share};
use crate::dialect::Dialect;
use crate::dialect::openai::Host;
use crate::vocab::ProviderId;

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
    /// Further credentials of the same kind, among which requests are spread.
    pub pool: Vec<Auth>,
    /// Limits on time.
    pub timeouts: Timeouts,
    /// An active health check, if one is configured.
    pub probe: Option<Probe>,
    /// What it does with prompts and answers, unless an endpoint says otherwise.
    pub policy: DataPolicy,
    /// What clients are told of the company.
    pub profile: Profile,
    /// What of `provider.options` it is handed on, by name; a name with dots goes inside objects.
    pub options: Vec<String>,
    /// It bills an answer although its client has left and the connection is closed.
    pub bills_on: bool,
    /// An answer that has begun is read to its end although its client has left.
    pub drains: bool,
    /// Whose key is used, and what that costs.
    pub access: Access,
    /// Environment variables that must be set for its endpoints to be live; empty: they are.
    pub missing: Vec<String>,
}

/// Whose key at a provider is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// The gateway's: its requests are for all accounts, at the list price.
    #[default]
    Shared,
    /// There are only accounts' own keys, each of which is an entry of its own.
    OwnOnly,
    /// An account's own key: the provider charges the account, and here it pays this share of the
    /// list price as a fee.
    Own(Share),
}

/// What clients are told of a provider's company.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Its privacy policy.
    pub privacy_policy_url: Option<String>,
    /// Its terms of service.
    pub terms_of_service_url: Option<String>,
    /// The page that tells of outages.
    pub status_page_url: Option<String>,
    /// The country of its headquarters, as in ISO 3166-1 alpha-2.
    pub headquarters: Option<String>,
    /// The countries of its data centres, as in ISO 3166-1 alpha-2.
    pub datacenters: Vec<String>,
}

impl Provider {
    /// A provider of which no more is known: no credential, the usual limits, nothing declared.
    pub fn new(id: ProviderId, dialect: Dialect, origin: Origin) -> Self {
        Self {
            name: id.to_string(),
            id,
            dialect,
            host: &Host::GENERIC,
            origin,
            base_path: String::new(),
            query: None,
            auth: Auth::None,
            pool: Vec::new(),
            timeouts: Timeouts::default(),
            probe: None,
            policy: DataPolicy::UNKNOWN,
            profile: Profile::default(),
            options: Vec::new(),
            bills_on: false,
            drains: false,
            access: Access::Shared,
            missing: Vec::new(),
        }
    }

    /// Its credentials, by their places in the pool of keys.
    pub fn credentials(&self) -> impl Iterator<Item = &Auth> {
        std::iter::once(&self.auth).chain(&self.pool)
    }

    /// Whether requests can go there: every variable that it needs is set.
    pub const fn is_live(&self) -> bool {
        self.missing.is_empty()
    }
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
#[derive(PartialEq, Eq)]
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
#[derive(PartialEq, Eq)]
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

/// An active health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What is asked.
    pub ask: ProbeAsk,
    /// Time between two probes.
    pub interval: Duration,
    /// Limit of one probe.
    pub timeout: Duration,
    /// Failures in a row that take the provider's endpoints out.
    pub failures: u32,
    /// Successes in a row that bring them back.
    pub successes: u32,
}

/// What a health check asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeAsk {
    /// A cheap GET of this absolute path, for instance `/v1/models`.
    Get(String),
    /// A completion of one token of the model that the provider knows by this name.
    Completion(String),
}
