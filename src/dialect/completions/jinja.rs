//! Jinja as templates of models use it, and its bounds.
//!
//! A template comes from the operator, the conversation from a client: what a client sends can
//! make a template slow but must not make it endless. Fuel bounds the steps and the memory of one
//! rendering (minijinja 3.1 charges one unit for a step and one for 64 bytes), and the prompt has a
//! limit of its own that grows with the conversation.

use std::fmt;
use std::io;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind};

use super::conversation::Conversation;
use super::pyjson;
use super::strftime::strftime;
use super::template::Settings;

/// What one rendering may use; a thousand long turns need a tenth of it.
const FUEL: u64 = 5_000_000;
/// How deep macros may nest.
const DEPTH: usize = 64;
/// The longest prompt: so many bytes, and so many per byte of the conversation.
const PROMPT_BASE: usize = 256 << 10;
const PROMPT_FACTOR: usize = 8;

/// The longest text of `raise_exception` that is repeated.
const RAISED_MAX: usize = 200;

/// Why there is no prompt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RenderFault {
    /// The template refuses the conversation, in its own words if they are constant.
    Raised(Option<String>),
    /// The conversation takes too long or gets too large.
    TooLarge,
    /// The template is at fault: what, and in which line. No text of the conversation.
    Broken(String),
}

/// The environment that holds one template, under the name [`NAME`].
pub(super) fn environment(source: &str) -> Result<Environment<'static>, String> {
    let mut env = Environment::new();
    let mut syntax = SyntaxConfig::builder();
    syntax.trim_blocks(true).lstrip_blocks(true);
    env.set_syntax(syntax.build().map_err(|error| error.to_string())?);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(DEPTH);
    env.set_debug(false);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    env.add_filter("tojson", pyjson::tojson);
    env.add_function("raise_exception", |text: String| -> Result<Value, Error> {
        let error = Error::new(ErrorKind::InvalidOperation, "the template refuses");
        Err(error.with_source(Raised(text)))
    });
    let source = without_generation(source);
    env.add_template_owned(NAME, source).map_err(|error| {
        let line = error.line().unwrap_or_default();
        format!("line {line}: {error}")
    })?;
    Ok(env)
}

const NAME: &str = "template";

/// Renders the prompt, with the token that begins it.
pub(super) fn render(
    env: &Environment<'static>,
    conversation: &Conversation,
    settings: &Settings,
    now: u64,
) -> Result<String, RenderFault> {
    let template = env.get_template(NAME).map_err(|error| fault(&error, ""))?;
    let mut out = Capped {
        bytes: Vec::new(),
        limit: PROMPT_BASE + conversation.size.saturating_mul(PROMPT_FACTOR),
    };
    let context = context(conversation, settings, now);
    template
        .render_captured_to(context, &mut out)
        .map_err(|error| fault(&error, template.source()))?;
    String::from_utf8(out.bytes).map_err(|_| RenderFault::Broken("it is not UTF-8".to_owned()))
}

fn context(conversation: &Conversation, settings: &Settings, now: u64) -> Value {
    let mut variables: Vec<(String, Value)> =
        settings.variables.iter().map(|(name, v)| (name.clone(), v.value())).collect();
    let mut set = |name: &str, value: Value| variables.push((name.to_owned(), value));
    set("messages", conversation.messages.clone());
    if let Some(tools) = &conversation.tools {
        set("tools", tools.clone());
    }
    set("add_generation_prompt", Value::from(!conversation.prefill));
    set("bos_token", Value::from(settings.bos.as_str()));
    set("eos_token", Value::from(settings.eos.as_str()));
    if let Some(thinks) = conversation.thinks {
        set("enable_thinking", Value::from(thinks));
    }
    set("strftime_now", Value::from_function(move |format: String| strftime(&format, now)));
    Value::from_pairs(variables)
}

fn fault(error: &Error, source: &str) -> RenderFault {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(Raised(text)) = cause.downcast_ref() {
            // A text that is not in the template was put together from the conversation.
            let constant = text.len() <= RAISED_MAX && source.contains(text.as_str());
            return RenderFault::Raised(constant.then(|| text.clone()));
        }
        next = cause.source();
    }
    match error.kind() {
        ErrorKind::OutOfFuel | ErrorKind::WriteFailure => RenderFault::TooLarge,
        // The details could quote the conversation.
        kind => RenderFault::Broken(format!("{kind}, line {}", error.line().unwrap_or_default())),
    }
}

/// What `raise_exception` was called with.
#[derive(Debug)]
struct Raised(String);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("raise_exception")
    }
}

impl std::error::Error for Raised {}

struct Capped {
    bytes: Vec<u8>,
    limit: usize,
}

impl io::Write for Capped {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + piece.len() > self.limit {
            return Err(io::Error::other("the prompt is too large"));
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Transformers marks what a model has said with `{% generation %}` … `{% endgeneration %}`. The
/// marks mean nothing here, but the dashes in them strip white space, so they become a condition
/// that is always true.
fn without_generation(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        let Some(end) = tag.find("%}") else { break };
        let inside = &tag[2..end];
        match inside.trim_matches(['-', '+']).trim() {
            "generation" => {
                out.push_str(&format!("{{%{}%}}", inside.replace("generation", "if true")))
            }
            "endgeneration" => {
                out.push_str(&format!("{{%{}%}}", inside.replace("endgeneration", "endif")));
            }
            _ => out.push_str(&tag[..end + 2]),
        }
        rest = &tag[end + 2..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_generation_keep_their_dashes() {
        let source = "a {%- generation -%} b {% endgeneration %} c {% if x %}{%";
        let plain = "a {%- if true -%} b {% endif %} c {% if x %}{%";
        assert_eq!(without_generation(source), plain);
    }
}
