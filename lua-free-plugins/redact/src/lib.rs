//! Personal data and secrets in requests and answers: found, and replaced, refused or noted.
//!
//! Built-in detectors and the operator's own patterns are automata that read a text once. Streamed
//! answers are looked through as they pass; what is found does not depend on where they are cut.
//! See README.md for the options and the limits.

mod builtin;
mod detector;
mod filter;
mod json;
mod options;
mod run;
mod scan;
mod shifts;
#[cfg(test)]
mod tests;
mod vault;

use std::sync::Arc;

use turnpike_plugin_api::{Ask, BadOption, Definition, Needs, Plugin, Refusal, Run, Setup};

use options::{Config, Entry};
use run::Redacting;

/// The plugin `redact`.
pub const DEFINITION: Definition = Definition {
    id: "redact",
    about: "Finds personal data and secrets in requests and answers, and replaces, refuses or \
            notes them.",
    options: options::OPTIONS,
    per_request: options::PER_REQUEST,
    build,
};

fn build(setup: &Setup<'_>) -> Result<Box<dyn Plugin>, BadOption> {
    Ok(Box::new(Redact(Arc::new(Config::read(setup)?))))
}

struct Redact(Arc<Config>);

impl Plugin for Redact {
    fn needs(&self) -> Needs {
        let Config { input, output, tools, placeholders, .. } = *self.0;
        Needs {
            text: input,
            // Placeholders must not be what a tool's text has already.
            tools: input && (tools || placeholders),
            events: output || placeholders,
            // A long conversation takes some milliseconds.
            slow: input,
            ..Needs::HEAD
        }
    }

    fn begin(&self, ask: &Ask<'_>) -> Result<Option<Box<dyn Run>>, Refusal> {
        let entry: Entry = ask.read()?;
        let policy = match entry.is_empty() {
            true => Arc::clone(&self.0.policy),
            false => self.0.policy(&entry)?,
        };
        Ok(Some(Box::new(Redacting::new(Arc::clone(&self.0), policy))))
    }
}
