//! What to simulate: providers, where they listen, and how they behave.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Deserializer};

use super::behaviour::Behaviour;
use crate::dialect::Dialect;

/// The largest request body that is read, in bytes.
pub const BODY_MAX: usize = 128 * 1024 * 1024;
/// The most providers that one simulator holds.
pub const PROVIDERS_MAX: usize = 4096;

/// A simulator: one or more providers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Everything that looks random follows from it.
    #[serde(default)]
    pub seed: u64,
    /// A listener that serves `/_sim/state` only, so that a provider whose own listener is closed
    /// can be opened again.
    #[serde(default)]
    pub control: Option<SocketAddr>,
    /// The providers (`[[provider]]` in the file).
    #[serde(default, rename = "provider")]
    pub providers: Vec<ProviderConfig>,
}

/// One simulated provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// Its name, for control, statistics and addressed directives: `A-Z a-z 0-9 - _ .`.
    pub id: String,
    /// Where it listens. Port 0 takes a free port. Providers with the same address (and a port
    /// that is not 0) share the listener and differ by `prefix`.
    #[serde(default = "loopback")]
    pub listen: SocketAddr,
    /// Whether its listener is open at first. A closed one refuses connections. Providers that
    /// share a listener open and close together.
    #[serde(default = "yes")]
    pub listening: bool,
    /// What stands before its dialect's paths (`/v1/…`): empty, or `/` and more.
    #[serde(default)]
    pub prefix: String,
    /// Its wire format.
    #[serde(deserialize_with = "dialect")]
    pub dialect: Dialect,
    /// The credential that it demands. Without one, the dialects of hosts that are often open
    /// (openai, responses, completions, ollama) demand none, and the others that some key is sent.
    #[serde(default)]
    pub api_key: Option<ApiKey>,
    /// The models that it serves; others are answered with 404. Empty: every name is served.
    #[serde(default)]
    pub models: Vec<String>,
    /// Refuses top-level request fields that its dialect does not define. (Anthropic, Responses,
    /// Gemini, Cohere and Mistral always do; of the OpenAI-like hosts only some.)
    #[serde(default)]
    pub strict: bool,
    /// Answers what [`Behaviour::replay`] says, to any path, credential and body, and 501 when there
    /// is nothing to replay. So a provider of any dialect can stand in.
    #[serde(default)]
    pub replay_only: bool,
    /// The largest request body that is kept for [`super::Provider::last_request`], in bytes. Of a
    /// larger one only length and hash are kept.
    #[serde(default = "record_body_max")]
    pub record_body_max: usize,
    /// How it behaves until told otherwise.
    #[serde(default)]
    pub behaviour: Behaviour,
}

const fn loopback() -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0)
}

const fn yes() -> bool {
    true
}

const fn record_body_max() -> usize {
    1024 * 1024
}

impl ProviderConfig {
    /// A provider on a free loopback port, with the default behaviour.
    pub fn new(id: impl Into<String>, dialect: Dialect) -> Self {
        Self {
            id: id.into(),
            listen: loopback(),
            listening: yes(),
            prefix: String::new(),
            dialect,
            api_key: None,
            models: Vec::new(),
            strict: false,
            replay_only: false,
            record_body_max: record_body_max(),
            behaviour: Behaviour::default(),
        }
    }

    /// The same, behaving like this.
    #[must_use]
    pub fn behaving(mut self, behaviour: Behaviour) -> Self {
        self.behaviour = behaviour;
        self
    }

    /// The same, but answering only what it is told to replay.
    #[must_use]
    pub const fn replaying_only(mut self) -> Self {
        self.replay_only = true;
        self
    }

    /// The same, serving only these models.
    #[must_use]
    pub fn serving(mut self, models: &[&str]) -> Self {
        self.models = models.iter().map(|&model| model.to_owned()).collect();
        self
    }
}

impl Config {
    /// These providers, with seed 0.
    pub fn of(providers: impl IntoIterator<Item = ProviderConfig>) -> Self {
        Self { seed: 0, control: None, providers: providers.into_iter().collect() }
    }

    /// Reads a TOML file's text and checks it.
    ///
    /// # Errors
    /// The text is not TOML, has unknown keys, or a value is not allowed.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let config: Self = toml::from_str(text).map_err(|e| vec![e.to_string()])?;
        let faults = config.faults();
        if faults.is_empty() { Ok(config) } else { Err(faults) }
    }

    /// Everything that is wrong with it, each with its place.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.providers.is_empty() || self.providers.len() > PROVIDERS_MAX {
            faults.push(format!("provider: 1 to {PROVIDERS_MAX} are needed"));
        }
        for (i, provider) in self.providers.iter().enumerate() {
            let at = format!("provider[{i}]");
            provider.faults(&at, &mut faults);
            let before = self.providers.iter().take(i);
            for other in before {
                if other.id == provider.id {
                    faults.push(format!("{at}.id: is already taken"));
                }
                if other.shares(provider) && other.prefix == provider.prefix {
                    faults.push(format!("{at}.prefix: is already taken on this listener"));
                }
                if other.shares(provider) && other.listening != provider.listening {
                    faults.push(format!("{at}.listening: differs on a shared listener"));
                }
            }
        }
        faults
    }
}

impl ProviderConfig {
    /// Whether both use one listener.
    pub(super) fn shares(&self, other: &Self) -> bool {
        self.listen == other.listen && self.listen.port() != 0
    }

    fn faults(&self, at: &str, faults: &mut Vec<String>) {
        let id_ok = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if self.id.is_empty() || self.id.len() > 64 || !self.id.bytes().all(id_ok) {
            faults.push(format!("{at}.id: 1 to 64 of A-Z a-z 0-9 - _ ."));
        }
        let prefix_ok =
            self.prefix.is_empty() || (self.prefix.starts_with('/') && !self.prefix.ends_with('/'));
        if !prefix_ok || self.prefix.starts_with("/_sim") {
            faults.push(format!("{at}.prefix: empty, or `/` and more, without `/` at the end"));
        }
        if let Err(bad) = self.behaviour.check() {
            faults.push(format!("{at}.behaviour.{bad}"));
        }
    }
}

/// A credential: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ApiKey(String);

impl ApiKey {
    /// Wraps a credential.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    pub(super) fn matches(&self, sent: &[u8]) -> bool {
        self.0.as_bytes() == sent
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(***)")
    }
}

fn dialect<'de, D: Deserializer<'de>>(from: D) -> Result<Dialect, D::Error> {
    let name = String::deserialize(from)?;
    Dialect::parse(&name).ok_or_else(|| {
        let names = Dialect::ALL.map(Dialect::name).join(", ");
        serde::de::Error::custom(format_args!("unknown dialect, expected one of {names}"))
    })
}
