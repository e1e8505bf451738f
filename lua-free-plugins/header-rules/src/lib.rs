//! Rules about headers: what a request must have, what is refused, and what is set on the way to
//! the provider and to the client.
//!
//! It sees the head of a request and nothing of the conversation. See README.md for the options.

mod names;
mod options;
mod pattern;
mod rule;
mod template;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::json;
use turnpike_plugin_api::{
    Ask, BadOption, Definition, Needs, Plugin, Refusal, Request, Run, Setup, Step,
};

use rule::{Rules, Sets};

/// The plugin `header-rules`.
pub const DEFINITION: Definition = Definition {
    id: "header-rules",
    about: "Requires, refuses and sets headers by rules over the head of a request.",
    options: options::OPTIONS,
    per_request: &[],
    build,
};

fn build(setup: &Setup<'_>) -> Result<Box<dyn Plugin>, BadOption> {
    Ok(Box::new(HeaderRules(options::read(setup)?)))
}

struct HeaderRules(Rules);

/// A request's entry says nothing but that it wants this.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {}

impl Plugin for HeaderRules {
    fn needs(&self) -> Needs {
        Needs::HEAD
    }

    fn begin(&self, ask: &Ask<'_>) -> Result<Option<Box<dyn Run>>, Refusal> {
        let Entry {} = ask.read()?;
        let sets = self.0.apply(&ask.head)?;
        Ok((!sets.is_empty()).then(|| Box::new(Setting(sets)) as Box<dyn Run>))
    }
}

/// Headers that a request gets.
struct Setting(Sets);

impl Run for Setting {
    fn on_request(&mut self, request: &mut Request) -> Result<Step, Refusal> {
        let Sets { upstream, answer } = &self.0;
        // Names and values were looked at before, so each that there is is taken.
        let mut unfit: Vec<&str> = Vec::new();
        for (name, value) in upstream {
            match value {
                Some(value) => _ = request.upstream_header(name, value),
                None => unfit.push(name),
            }
        }
        for (name, value) in answer {
            match value {
                Some(value) => _ = request.answer_header(name, value),
                None => unfit.push(name),
            }
        }
        match unfit.len() {
            0 => {}
            1 => request.note(
                "1 header was not set: its value cannot stand in one.",
                json!({ "not_set": unfit }),
            ),
            many => request.note(
                format!("{many} headers were not set: their values cannot stand in one."),
                json!({ "not_set": unfit }),
            ),
        }
        Ok(Step::Done)
    }
}
