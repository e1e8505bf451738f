//! `[providers.probe]` → [`Probe`].

use super::fault::At;
use super::file;
use super::resolve::HOUR_MS;
use super::url;
use crate::catalog::{Probe, ProbeAsk};

/// Resolves a provider's health check.
pub(super) fn resolve(raw: &file::Probe, base_path: &str, at: &mut At<'_>) -> Probe {
    let ask = ask(raw, base_path, at);
    let interval = at.ms("interval_ms", raw.interval_ms, 100, HOUR_MS);
    let timeout = at.ms("timeout_ms", raw.timeout_ms, 1, HOUR_MS);
    if timeout > interval && !at.has("interval_ms") {
        at.fault("timeout_ms", "must not be above interval_ms");
    }
    Probe {
        ask,
        interval,
        timeout,
        failures: at.int32("failures", raw.failures, 1, 100),
        successes: at.int32("successes", raw.successes, 1, 100),
    }
}

fn ask(raw: &file::Probe, base_path: &str, at: &mut At<'_>) -> ProbeAsk {
    match (&raw.path, &raw.completion) {
        (Some(_), Some(_)) => at.fault("completion", "must not be given together with path"),
        (None, Some(model)) if model.is_empty() || model.len() > 256 => {
            at.fault("completion", "must be a model's name at the provider, of at most 256 bytes");
        }
        (None, Some(model)) => return ProbeAsk::Completion(model.clone()),
        (_, None) => {}
    }
    let path = raw.path.clone().unwrap_or_else(|| format!("{base_path}/models"));
    if let Err(wrong) = url::check_probe_path(&path) {
        at.fault("path", wrong);
    }
    ProbeAsk::Get(path)
}
