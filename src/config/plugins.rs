//! `[[plugins]]`: what requests and answers go through.

use std::collections::HashSet;

use turnpike_plugin_api::Setup;

use super::fault::{At, Faults};
use super::file;
use super::outside::{Outside, secret};
use crate::plugins::{Chain, Configured, Enabled, OnError, table};

/// Resolves every `[[plugins]]`.
pub(super) fn resolve(raw: &[file::Plugin], outside: Outside<'_>, faults: &mut Faults) -> Chain {
    let (mut plugins, mut names) = (Vec::new(), HashSet::new());
    let mut fingerprint = blake3::Hasher::new();
    for (i, raw) in raw.iter().enumerate() {
        let mut at = At::new(format!("plugins[{i}]"), faults);
        if !names.insert(raw.id.as_str()) {
            at.fault("id", "names a plugin that another entry names");
            continue;
        }
        if let Some(plugin) = one(raw, outside, &mut at) {
            // What is in memory only, so that its form is free to change.
            fingerprint.update(format!("{raw:?}").as_bytes());
            plugins.push(plugin);
        }
    }
    let bytes = fingerprint.finalize().as_bytes().to_vec();
    let fingerprint = if plugins.is_empty() { Vec::new() } else { bytes };
    Chain::new(plugins, fingerprint)
}

fn one(raw: &file::Plugin, outside: Outside<'_>, at: &mut At<'_>) -> Option<Configured> {
    let enabled = match raw.enabled.as_str() {
        "on_request" => Enabled::OnRequest,
        "default" => Enabled::Default,
        "always" => Enabled::Always,
        _ => {
            at.fault("enabled", "must be \"on_request\", \"default\" or \"always\"");
            Enabled::OnRequest
        }
    };
    let on_error = match raw.on_error.as_str() {
        "open" => OnError::Open,
        "closed" => OnError::Closed,
        _ => {
            at.fault("on_error", "must be \"closed\" or \"open\"");
            OnError::Closed
        }
    };
    let calls_max = at.size("calls_max", raw.calls_max, 1, 65_536);
    let Some(definition) = table::find(&raw.id) else {
        let names: Vec<&str> = table::ALL.iter().map(|definition| definition.id).collect();
        let text = match raw.id.as_str() {
            "" => "is required".to_owned(),
            _ => format!("is no plugin of this build, which has {}", names.join(", ")),
        };
        at.fault("id", text);
        return None;
    };
    let options = match serde_json::to_value(&raw.options) {
        Ok(options) => options,
        Err(error) => {
            at.fault("options", format!("cannot be handed on: {error}"));
            return None;
        }
    };
    let read = |reference: &str| lookup(reference, outside);
    match (definition.build)(&Setup { options: &options, secret: &read }) {
        Ok(plugin) => {
            let plugin = Configured::new(definition, plugin);
            Some(Configured { enabled, on_error, calls_max, ..plugin })
        }
        Err(bad) => {
            let key =
                if bad.option.is_empty() { String::new() } else { format!(".{}", bad.option) };
            at.fault(&format!("options{key}"), bad.why);
            None
        }
    }
}

/// A secret by its reference; the text says what is wrong.
fn lookup(reference: &str, outside: Outside<'_>) -> Result<String, String> {
    let mut faults = Faults::none();
    let found = secret(&mut At::new("secret", &mut faults), "it", reference, outside);
    match found {
        Some(secret) => Ok(secret.expose().to_owned()),
        None => Err(faults.0.into_iter().next().map_or_else(String::new, |fault| fault.message)),
    }
}
