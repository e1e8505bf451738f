//! `turnpike check`: is a configuration sound?

use std::path::Path;
use std::sync::Arc;

use super::{Failure, say};
use crate::catalog::Model;
use crate::config;
use crate::plugins::Configured;

/// Reads and resolves the configuration, and says what it holds or what is wrong with it.
pub(super) fn run(path: &Path) -> Result<(), Failure> {
    match config::load(path) {
        Ok(config) => {
            let endpoints = config.catalog.endpoints().count();
            let models = config.catalog.models().len();
            say(format_args!("{}: sound; {models} models, {endpoints} endpoints", path.display()));
            let shown = |plugin: &Configured| {
                format!("{} ({})", plugin.definition.id, plugin.enabled.as_str())
            };
            let plugins: Vec<String> = config.plugins.plugins().iter().map(shown).collect();
            if !plugins.is_empty() {
                say(format_args!("plugins, in this order: {}", plugins.join(", ")));
            }
            let hosts = |model: &Arc<Model>| model.dormant.len();
            let asleep: usize = config.catalog.models().iter().map(hosts).sum();
            if asleep > 0 {
                say(format_args!(
                    "{asleep} more endpoints are only listed: environment variables that their \
                     providers need are not set"
                ));
            }
            Ok(())
        }
        Err(faults) => Err(refuse(path, &faults)),
    }
}

/// All faults, a line each.
pub(super) fn refuse(path: &Path, faults: &config::Faults) -> Failure {
    Failure(format!("{faults}\n{}: {} fault(s)", path.display(), faults.0.len()))
}
