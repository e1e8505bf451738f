//! `turnpike check`: is a configuration sound?

use std::path::Path;

use super::{Failure, say};
use crate::config;

/// Reads and resolves the configuration, and says what it holds or what is wrong with it.
pub(super) fn run(path: &Path) -> Result<(), Failure> {
    match config::load(path) {
        Ok(config) => {
            let endpoints = config.catalog.endpoints().count();
            let models = config.catalog.models().len();
            say(format_args!("{}: sound; {models} models, {endpoints} endpoints", path.display()));
            Ok(())
        }
        Err(faults) => Err(refuse(path, &faults)),
    }
}

/// All faults, a line each.
pub(super) fn refuse(path: &Path, faults: &config::Faults) -> Failure {
    Failure(format!("{faults}\n{}: {} fault(s)", path.display(), faults.0.len()))
}
