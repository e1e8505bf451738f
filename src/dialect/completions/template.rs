//! A chat template and what is known of the model that it is for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use minijinja::Environment;
use minijinja::value::Value;
use serde::Deserialize;

use super::conversation::Conversation;
use super::jinja::{self, RenderFault};

/// A template, compiled; cheap to clone. `Debug` shows its name only.
#[derive(Clone)]
pub struct Template(Arc<Inner>);

struct Inner {
    name: String,
    settings: Settings,
    env: Environment<'static>,
}

/// What a template's text does not say. In a file it is TOML; see `conf/templates/README.md`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The token that begins a text, which the template knows as `bos_token`.
    pub bos: String,
    /// The token that ends a turn or text, which the template knows as `eos_token`.
    pub eos: String,
    /// Whether the prompt keeps [`Settings::bos`] at its beginning. vLLM and llama.cpp add it
    /// themselves (2026-11), and a doubled one makes answers worse.
    pub bos_in_prompt: bool,
    /// Texts at which the model's turn is over; added to the client's.
    pub stop: Vec<String>,
    /// Texts, or beginnings of texts, that the tokenizer would take for its own. Where a client's
    /// text has one, a space is put after its first character.
    pub special: Vec<String>,
    /// Where system messages may stand.
    pub system: SystemRole,
    /// Whether turns of the same role in a row become one, with a blank line between.
    pub merge_turns: bool,
    /// How calls are spelled in an answer.
    pub tools: Calls,
    /// Whether a turn may make several calls; if not, they are told one after the other.
    pub parallel_calls: bool,
    /// The length that ids of calls must have; 0: any.
    pub call_id_length: usize,
    /// Whether the host must not hide special tokens in answers, because they mark calls.
    pub show_special_tokens: bool,
    /// Whether and how the model shows its reasoning.
    pub reasoning: Thinking,
    /// More variables for the template.
    pub variables: BTreeMap<String, Variable>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bos: String::new(),
            eos: String::new(),
            bos_in_prompt: false,
            stop: Vec::new(),
            special: Vec::new(),
            system: SystemRole::Anywhere,
            merge_turns: false,
            tools: Calls::None,
            parallel_calls: true,
            call_id_length: 0,
            show_special_tokens: false,
            reasoning: Thinking::None,
            variables: BTreeMap::new(),
        }
    }
}

/// Where a template takes system messages.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum SystemRole {
    /// Wherever they stand.
    Anywhere,
    /// One, at the beginning. Later ones become the user's words.
    First,
    /// Nowhere: all become the user's words.
    None,
}

/// How a model spells calls.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Calls {
    /// It makes none.
    None,
    /// `<tool_call>{"name": …, "arguments": …}</tool_call>`, one after the other (Hermes, Qwen).
    Hermes,
    /// An answer that is `{"name": …, "parameters": …}`, maybe after `<|python_tag|>` (Llama 3.1)
    /// or `<|python_start|>` (Llama 4).
    Llama,
    /// `[TOOL_CALLS][{"name": …, "arguments": …}, …]` (Mistral).
    Mistral,
}

/// How a model shows its reasoning.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Thinking {
    /// Not at all.
    None,
    /// The answer may begin with `<think>…</think>`.
    Tags,
    /// The prompt ends in `<think>`, so the answer begins with reasoning, up to `</think>`.
    Open,
}

/// The value of a variable.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub enum Variable {
    /// A truth.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

impl Variable {
    pub(super) fn value(&self) -> Value {
        match self {
            Self::Flag(flag) => Value::from(*flag),
            Self::Number(number) => Value::from(*number),
            Self::Text(text) => Value::from(text.as_str()),
        }
    }
}

impl Settings {
    /// Reads settings from TOML.
    ///
    /// # Errors
    /// The text is no TOML, or has an unknown key or a wrong value.
    pub fn parse(toml: &str) -> Result<Self, String> {
        toml::from_str(toml).map_err(|error| error.to_string())
    }
}

macro_rules! shipped {
    ($($name:literal: $jinja:literal),* $(,)?) => {
        &[$((
            $name,
            include_str!(concat!("../../../conf/templates/", $jinja, ".jinja")),
            include_str!(concat!("../../../conf/templates/", $name, ".toml")),
        )),*]
    };
}

/// The templates that are shipped: name, text, settings.
const SHIPPED: &[(&str, &str, &str)] = shipped! {
    "chatml": "chatml",
    "deepseek-r1": "deepseek-v3",
    "deepseek-v2": "deepseek-v2",
    "deepseek-v3": "deepseek-v3",
    "gemma-2": "gemma",
    "gemma-3": "gemma",
    "llama-3": "llama-3",
    "llama-3.1": "llama-3.1",
    "llama-3.2": "llama-3.1",
    "llama-4": "llama-4",
    "mistral-nemo": "mistral-v3",
    "mistral-v1": "mistral-v1",
    "mistral-v3": "mistral-v3",
    "mistral-v7": "mistral-v7",
    "mistral-v7-tekken": "mistral-v7",
    "phi-3": "phi-3",
    "phi-4": "phi-4",
    "qwen2.5": "qwen2.5",
    "qwen3": "qwen3",
};

impl Template {
    /// A template that is shipped in `conf/templates`, by name. It is compiled once.
    pub fn shipped(name: &str) -> Option<Self> {
        static COMPILED: [OnceLock<Option<Template>>; SHIPPED.len()] =
            [const { OnceLock::new() }; SHIPPED.len()];
        let at = SHIPPED.iter().position(|(known, ..)| *known == name)?;
        let compile = || {
            let (name, source, toml) = SHIPPED[at];
            Self::from_source(name, source, Settings::parse(toml).ok()?).ok()
        };
        COMPILED[at].get_or_init(compile).clone()
    }

    /// The names of the templates that are shipped, in order.
    pub fn shipped_names() -> impl Iterator<Item = &'static str> {
        SHIPPED.iter().map(|(name, ..)| *name)
    }

    /// Compiles a template's text, as it stands in a model's `tokenizer_config.json` or
    /// `chat_template.jinja`.
    ///
    /// # Errors
    /// What is wrong with the text, and in which line.
    pub fn from_source(name: &str, source: &str, settings: Settings) -> Result<Self, String> {
        if let Some(text) = settings.special.iter().chain(&settings.stop).find(|t| t.is_empty()) {
            return Err(format!("`special` and `stop` must not hold the empty text {text:?}"));
        }
        let env = jinja::environment(source)?;
        Ok(Self(Arc::new(Inner { name: name.to_owned(), settings, env })))
    }

    /// The name, as the configuration gives it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What is known besides the text.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The prompt. `now` is the time in seconds since 1970.
    pub(super) fn render(
        &self,
        conversation: &Conversation,
        now: u64,
    ) -> Result<String, RenderFault> {
        let settings = self.settings();
        let mut prompt = jinja::render(&self.0.env, conversation, settings, now)?;
        if !settings.bos_in_prompt && !settings.bos.is_empty() {
            let begin = prompt.len() - prompt.trim_start().len();
            if prompt[begin..].starts_with(&settings.bos) {
                prompt.drain(..begin + settings.bos.len());
            }
        }
        Ok(prompt)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&self.0.name).finish()
    }
}
