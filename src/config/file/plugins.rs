//! The shape of `[[plugins]]`.

use serde::{Deserialize, Serialize};

/// What requests and answers go through, in this order. A plugin is listed once at most;
/// `lua-free-plugins/` has a folder for each, with its options.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plugin {
    /// The plugin's name. Required.
    pub id: String,
    /// Which requests it runs for: `on_request` (those that name it in `plugins`), `default` (all
    /// that do not switch it off there) or `always` (all; they may neither switch it off nor give it
    /// options). Default `"on_request"`.
    pub enabled: String,
    /// What becomes of a request if the plugin itself fails: `closed` (it fails) or `open` (it goes
    /// on without). Default `"closed"`.
    pub on_error: String,
    /// The most requests that it has under way at what it asks, 1 to 65536. Default `64`.
    pub calls_max: i64,
    /// The plugin's own options, as its folder lists them. Default `{}`.
    pub options: toml::Table,
}

impl Default for Plugin {
    fn default() -> Self {
        Self {
            id: String::new(),
            enabled: "on_request".to_owned(),
            on_error: "closed".to_owned(),
            calls_max: 64,
            options: toml::Table::new(),
        }
    }
}
