//! Web search for any model.
//!
//! What the user said last is searched for, once per request, by the engine that the operator
//! configured. The results are told to the model as data, and links to them in its answer become
//! citations. See README.md for the options.

mod cite;
mod clean;
mod domains;
mod engine;
mod options;
mod run;
mod sources;

use std::sync::Arc;

use turnpike_plugin_api::{
    Ask, BadOption, Definition, Needs, Plugin, Refusal, Run, Setup, Surface,
};

use options::{Config, Entry, Wish};
use run::Searching;

/// The plugin `web`.
pub const DEFINITION: Definition = Definition {
    id: "web",
    about: "Searches the web for what the user asks, tells the model of the results, and cites those that it links to.",
    options: options::OPTIONS,
    per_request: options::PER_REQUEST,
    build,
};

fn build(setup: &Setup<'_>) -> Result<Box<dyn Plugin>, BadOption> {
    Ok(Box::new(Web(Arc::new(Config::read(setup)?))))
}

struct Web(Arc<Config>);

impl Plugin for Web {
    fn needs(&self) -> Needs {
        // An engine's answer may be a megabyte to be read.
        Needs { text: true, events: true, slow: true, ..Needs::HEAD }
    }

    fn origins(&self) -> Vec<String> {
        vec![self.0.origin.clone()]
    }

    fn begin(&self, ask: &Ask<'_>) -> Result<Option<Box<dyn Run>>, Refusal> {
        // Whoever gets here asked for it: by `:online`, by an entry, or by the operator's default.
        match ask.head.surface {
            Surface::Chat | Surface::Responses | Surface::Messages | Surface::Completions => {}
            Surface::Embeddings | Surface::Rerank => return Ok(None),
        }
        let wish = Wish::judge(ask.read::<Entry>()?, &self.0)?;
        Ok(Some(Box::new(Searching::new(Arc::clone(&self.0), wish, ask.head.unix_ms))))
    }
}

#[cfg(test)]
mod tests;
