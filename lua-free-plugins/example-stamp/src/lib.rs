//! The smallest plugin, to be copied: it tells the model a text, and the client a footer.
//!
//! README.md makes a plugin of one's own from it, step by step.

use serde::Deserialize;
use serde_json::json;
use turnpike_plugin_api::{
    Ask, BadOption, Definition, Format, Keep, Kind, Mark, Needs, OptionDoc, Piece, Plugin, Refusal,
    Request, Run, Setup, Step, Surface,
};

/// What the gateway's table of plugins names.
pub const DEFINITION: Definition = Definition {
    id: "example-stamp",
    about: "Adds a text to the instructions of each request and a footer to its answer.",
    options: &[
        OptionDoc { name: "text", about: "What the model is told, 1 to 4,000 bytes. Required" },
        OptionDoc { name: "footer", about: "What each answer ends with, to 4,000 bytes. Optional" },
    ],
    per_request: &[],
    build,
};

/// The operator's options as they are written. A name that is not here is refused.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    text: String,
    footer: String,
}

/// The same for a request's own entry: it has no options, and says so if one is given.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {}

/// Runs once, when the configuration is read: what is wrong is told then, not to a client.
fn build(setup: &Setup<'_>) -> Result<Box<dyn Plugin>, BadOption> {
    let options: Options = setup.read()?;
    if options.text.is_empty() || options.text.len() > 4_000 {
        return Err(BadOption::new("text", "must have 1 to 4,000 bytes"));
    }
    if options.footer.len() > 4_000 {
        return Err(BadOption::new("footer", "must have at most 4,000 bytes"));
    }
    Ok(Box::new(Stamp(options)))
}

/// The instance: one for all requests, so it holds nothing of any of them.
struct Stamp(Options);

impl Plugin for Stamp {
    fn needs(&self) -> Needs {
        // What is not asked for here is not made, and its hook is not called. `text`: instructions
        // go after those that are there; `events`: the footer is a piece of the answer.
        Needs { text: true, events: !self.0.footer.is_empty(), ..Needs::HEAD }
    }

    fn begin(&self, ask: &Ask<'_>) -> Result<Option<Box<dyn Run>>, Refusal> {
        let Entry {} = ask.read()?;
        if matches!(ask.head.surface, Surface::Embeddings | Surface::Rerank) {
            return Ok(None); // Nobody is told anything there: none of our business.
        }
        let mut stamp = self.0.clone();
        if ask.head.format != Format::Text {
            stamp.footer.clear(); // JSON with a footer is no JSON.
        }
        Ok(Some(Box::new(Stamping { stamp, tools: false })))
    }
}

/// The part in one request: what it remembers of it goes here.
struct Stamping {
    stamp: Options,
    tools: bool,
}

impl Run for Stamping {
    fn on_request(&mut self, request: &mut Request) -> Result<Step, Refusal> {
        request.instruct(&self.stamp.text);
        request.note("Told the model the stamp.", json!({ "bytes": self.stamp.text.len() }));
        Ok(Step::Done)
    }

    fn on_begin(&mut self) {
        self.tools = false; // Another provider answers anew.
    }

    // Without `on_piece` each piece of text goes on as it came.

    fn on_mark(&mut self, mark: &Mark, out: &mut Vec<Piece>) -> Keep {
        match *mark {
            // An answer that calls a tool is for a program.
            Mark::ToolStart { .. } => self.tools = true,
            // What is put out goes before the mark: at the end of the choice.
            Mark::Finish { choice } if !self.tools => {
                let text = self.stamp.footer.clone();
                out.push(Piece::Text { choice, kind: Kind::Text, text });
            }
            _ => {}
        }
        Keep::Yes
    }
}

#[cfg(test)]
mod tests;
