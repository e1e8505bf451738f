//! Moderation of requests before they are routed.
//!
//! What the user said is sent to an endpoint of `OpenAI`'s form; what it flags is refused with the
//! names of the categories. See README.md for the options.

mod inputs;
mod options;
mod run;
mod verdict;

use std::sync::Arc;

use serde::Deserialize;
use turnpike_plugin_api::{Ask, BadOption, Definition, Needs, Plugin, Refusal, Run, Setup};

use options::{Config, Scope};
use run::Checking;

/// The plugin `moderation`.
pub const DEFINITION: Definition = Definition {
    id: "moderation",
    about: "Asks a moderation endpoint about what the user says, and refuses what it flags.",
    options: options::OPTIONS,
    per_request: &[],
    build,
};

fn build(setup: &Setup<'_>) -> Result<Box<dyn Plugin>, BadOption> {
    Ok(Box::new(Moderation(Arc::new(Config::read(setup)?))))
}

struct Moderation(Arc<Config>);

/// A request's entry says nothing but that it wants this.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {}

impl Plugin for Moderation {
    fn needs(&self) -> Needs {
        // Up to a megabyte is written as JSON and hashed.
        Needs { text: true, tools: self.0.scope == Scope::All, slow: true, ..Needs::HEAD }
    }

    fn origins(&self) -> Vec<String> {
        vec![self.0.origin.clone()]
    }

    fn begin(&self, ask: &Ask<'_>) -> Result<Option<Box<dyn Run>>, Refusal> {
        let Entry {} = ask.read()?;
        Ok(Some(Box::new(Checking::new(Arc::clone(&self.0)))))
    }
}

#[cfg(test)]
mod tests;
