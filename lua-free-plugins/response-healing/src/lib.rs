//! Repairs answers that should be JSON and are nearly so.
//!
//! An answer that is JSON is not touched, and what it says never is: quotes, commas, brackets and
//! what stands around it are put right, values are not made up. See README.md.

mod heal;
mod repair;
mod schema;

use serde::Deserialize;
use serde_json::{Value, json};
use turnpike_plugin_api::{
    Ask, BadOption, Definition, Format, Needs, Note, Plugin, Refusal, Run, Setup,
};

use heal::Healed;
use repair::Kinds;
use schema::{Fit, SCHEMA_BYTES_MAX, Schema};

/// The most choices that a note speaks of.
const CHOICES_MAX: usize = 64;

/// The plugin `response-healing`.
pub const DEFINITION: Definition = Definition {
    id: "response-healing",
    about: "Repairs answers that should be JSON and are nearly so; streamed answers are left alone.",
    options: &[],
    per_request: &[],
    build,
};

/// There are no options: any that is given is refused.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {}

fn build(setup: &Setup<'_>) -> Result<Box<dyn Plugin>, BadOption> {
    let Options {} = setup.read()?;
    Ok(Box::new(Healing))
}

struct Healing;

impl Plugin for Healing {
    fn needs(&self) -> Needs {
        // Answers may have megabytes, and schemas may be long.
        Needs { answer: true, slow: true, ..Needs::HEAD }
    }

    fn begin(&self, ask: &Ask<'_>) -> Result<Option<Box<dyn Run>>, Refusal> {
        let Options {} = ask.read()?;
        if ask.head.stream {
            return Ok(None);
        }
        let schema = match ask.head.format {
            Format::Text => return Ok(None),
            Format::Json => None,
            // One that is too large is not read: then nobody knows what fits.
            Format::Schema(schema) if schema.len() > SCHEMA_BYTES_MAX => Some(String::new()),
            Format::Schema(schema) => Some(schema.to_owned()),
        };
        Ok(Some(Box::new(Judging { wanted: schema, schema: None, seen: Vec::new() })))
    }
}

/// The part in one request.
struct Judging {
    /// The schema as it was sent.
    wanted: Option<String>,
    /// It is read when there is something to check.
    schema: Option<Schema>,
    seen: Vec<Seen>,
}

/// What was done to a choice that was not all right.
struct Seen {
    choice: u32,
    kinds: Kinds,
    /// `None`: it was too long to tell.
    json: Option<bool>,
    fit: Fit,
}

impl Run for Judging {
    fn on_begin(&mut self) {
        self.seen.clear();
    }

    fn on_answer(&mut self, choice: u32, text: &mut String) {
        // A choice that calls a tool says nothing.
        if text.trim().is_empty() {
            return;
        }
        if let Some(wanted) = self.wanted.take() {
            self.schema = Some(Schema::read(&wanted));
        }
        let schema = &mut self.schema;
        let fit = |json: &str| schema.as_mut().map_or(Fit::Json, |schema| schema.judge(json));
        let (kinds, json, fit) = match heal::heal(text, fit) {
            Healed::Sound(fit) => (Kinds::default(), Some(true), fit),
            Healed::Repaired { json, kinds, fit } => {
                *text = json;
                (kinds, Some(true), fit)
            }
            Healed::Beyond => (Kinds::default(), Some(false), Fit::Misfit),
            Healed::TooLong => (Kinds::default(), None, Fit::Unknown),
        };
        let sound = kinds.is_empty() && matches!(fit, Fit::Json | Fit::Schema);
        if !sound && self.seen.len() < CHOICES_MAX {
            self.seen.push(Seen { choice, kinds, json, fit });
        }
    }

    fn on_end(&mut self) -> Vec<Note> {
        let seen = std::mem::take(&mut self.seen);
        if seen.is_empty() {
            return Vec::new();
        }
        let choices: Vec<Value> = seen.iter().map(Seen::shown).collect();
        vec![Note { summary: summary(&seen), data: json!({ "choices": choices }) }]
    }
}

impl Seen {
    fn shown(&self) -> Value {
        let (repaired, valid) = (self.kinds.names(), self.fit.valid());
        json!({ "choice": self.choice, "repaired": repaired, "json": self.json, "valid": valid })
    }
}

fn summary(seen: &[Seen]) -> String {
    let mut kinds = Kinds::default();
    seen.iter().for_each(|seen| kinds.add_all(seen.kinds));
    let repaired = match kinds.names().join(", ") {
        names if names.is_empty() => None,
        names => Some(format!("The answer's JSON was repaired: {names}.")),
    };
    let is = |wanted: fn(&Seen) -> bool| seen.iter().any(wanted);
    let faults = [
        (is(|seen| seen.json == Some(false)), "The answer is no JSON, and was left as it is."),
        (is(|seen| seen.json.is_none()), "The answer is too long to be looked at."),
        (
            is(|seen| seen.json == Some(true) && seen.fit == Fit::Misfit),
            "The answer does not fit the schema.",
        ),
        (
            is(|seen| seen.json == Some(true) && seen.fit == Fit::Unknown),
            "The answer could not be checked against the schema.",
        ),
    ];
    let faults = faults.into_iter().filter(|(is, _)| *is).map(|(_, text)| text.to_owned());
    repaired.into_iter().chain(faults).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
