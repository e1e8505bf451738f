//! Fits a conversation to the context of its model by taking out its middle.
//!
//! Whole exchanges go first, from the middle outward; if that is not enough, the longest texts are
//! shortened in their middle. Instructions and the end of the conversation stay. See README.md.

mod groups;
mod options;
mod plan;
mod trim;

use std::sync::Arc;

use serde_json::json;
use turnpike_plugin_api::{
    Ask, BadOption, Definition, Needs, Plugin, Refusal, Request, Run, Setup, Step, Surface, Turn,
};

use options::{Config, Entry};
use plan::{Limits, Plan, Verdict};

/// The plugin `context-compression`.
pub const DEFINITION: Definition = Definition {
    id: "context-compression",
    about: "Fits a conversation to the context of its model by taking out its middle.",
    options: options::OPTIONS,
    per_request: options::PER_REQUEST,
    build,
};

fn build(setup: &Setup<'_>) -> Result<Box<dyn Plugin>, BadOption> {
    Ok(Box::new(Compression(Arc::new(Config::read(setup)?))))
}

struct Compression(Arc<Config>);

impl Plugin for Compression {
    fn needs(&self) -> Needs {
        Needs { text: true, tools: true, ..Needs::HEAD }
    }

    fn begin(&self, ask: &Ask<'_>) -> Result<Option<Box<dyn Run>>, Refusal> {
        let Entry { engine: _ } = ask.read()?;
        let (config, head) = (&self.0, &ask.head);
        let conversation = match head.surface {
            Surface::Chat | Surface::Responses | Surface::Messages => true,
            Surface::Completions => false,
            // Every text there has its own answer.
            Surface::Embeddings | Surface::Rerank => return Ok(None),
        };
        let small = head.context > 0 && head.context <= config.default_context_max;
        if ask.options.is_none() && !small {
            return Ok(None);
        }
        let tokens = config.prompt_max(head.context, head.max_tokens);
        let messages = config.messages_max(head.model).filter(|_| conversation);
        // Plugins before this one may add to the prompt; what is not near the limit is not looked at.
        let near = tokens.is_some_and(|max| head.prompt_tokens > max / 2);
        let run = Compressing { limits: Limits { tokens, messages }, prompt: head.prompt_tokens };
        Ok((near || messages.is_some()).then(|| Box::new(run) as Box<dyn Run>))
    }
}

/// The part in one request.
struct Compressing {
    limits: Limits,
    /// Tokens of the prompt as it came: more than its turns have, where it has tools.
    prompt: u64,
}

impl Run for Compressing {
    fn on_request(&mut self, request: &mut Request) -> Result<Step, Refusal> {
        let turns = request.turns().iter().filter(|turn| !turn.is_removed());
        let told: u64 = turns.map(|turn| turn.tokens).sum();
        let before = self.prompt.max(told);
        match plan::make(request.turns(), self.limits, before) {
            Verdict::Fits => {}
            Verdict::Hopeless => self.give_up(request, before),
            Verdict::Plan(plan) => self.apply(&plan, request, before),
        }
        Ok(Step::Done)
    }
}

impl Compressing {
    fn apply(&self, plan: &Plan, request: &mut Request, before: u64) {
        for turn in &plan.removed {
            request.remove(*turn);
        }
        for cut in &plan.cuts {
            if let Some(text) = request.text_mut(cut.turn, cut.text) {
                let short = trim::middle(text.as_str(), cut.bytes_max);
                text.set(short);
            }
        }
        let (turns, texts) = (plan.removed.len(), plan.cuts.len());
        let summary = format!(
            "Turns taken out of the middle: {turns}; texts shortened: {texts}. About {before} \
             tokens became {}.",
            plan.tokens
        );
        let data = json!({
            "engine": "middle-out",
            "fits": true,
            "turns_removed": turns,
            "texts_shortened": texts,
            "tokens_before": before,
            "tokens_after": plan.tokens,
            "tokens_max": self.limits.tokens,
            "messages_max": self.limits.messages,
        });
        request.note(summary, data);
    }

    fn give_up(&self, request: &mut Request, before: u64) {
        let data = json!({
            "engine": "middle-out",
            "fits": false,
            "tokens_before": before,
            "tokens_max": self.limits.tokens,
            "messages_max": self.limits.messages,
        });
        let summary = "The conversation does not fit, and taking out its middle would not help: it \
                       was left as it is.";
        request.note(summary, data);
    }
}

/// Whether a turn is there for this plugin: an earlier one may have taken it out.
const fn is_live(turn: &Turn) -> bool {
    !turn.is_removed()
}

#[cfg(test)]
mod tests;
