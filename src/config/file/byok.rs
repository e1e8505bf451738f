//! The shape of `[[byok]]`.

use serde::{Deserialize, Serialize};

/// A provider's key that belongs to some accounts (bring your own key): their requests use it before
/// anything else, pay the provider through it, and are charged a fee here (`ledger.byok_fee`).
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Byok {
    /// The provider's id; it must be one that is asked with an API key. Required.
    pub provider: String,
    /// The accounts whose requests use the key; at least one. Required.
    pub accounts: Vec<String>,
    /// The key, as `env:NAME` or `file:/path`. Required.
    pub api_key: String,
    /// Whether the provider's own key of this gateway serves these accounts, at the full price,
    /// where theirs fails. Other providers do in any case. Default `true`.
    pub fallback: bool,
}

impl Default for Byok {
    fn default() -> Self {
        Self {
            provider: String::new(),
            accounts: Vec::new(),
            api_key: String::new(),
            fallback: true,
        }
    }
}
