//! The shape of `[webhooks]`.

use serde::{Deserialize, Serialize};

/// Where events of accounts and keys are sent: a balance or a limit that runs out, an invoice.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Webhooks {
    /// The URL that each event is posted to. Optional; without it events are only logged.
    pub url: Option<String>,
    /// What events are signed with, as `env:NAME` or `file:/path`: `whsec_` and base64 of 24 to 64
    /// bytes. Optional; required with `url`.
    pub secret: Option<String>,
    /// How long an attempt to deliver one may take, 100 to 60000 ms. Default `10000`.
    pub timeout_ms: i64,
    /// Whether the URL may lead into a private network or use a port of its own. Default `false`.
    pub private_networks: bool,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self { url: None, secret: None, timeout_ms: 10_000, private_networks: false }
    }
}
