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
        Err(faults) => Err(Failure(list(path, &faults))),
    }
}

/// All faults, a line each.
pub(super) fn list(path: &Path, faults: &[config::Fault]) -> String {
    let mut text = String::new();
    for fault in faults {
        text.push_str(&format!("{fault}\n"));
    }
    text.push_str(&format!("{}: {} fault(s)", path.display(), faults.len()));
    text
}
