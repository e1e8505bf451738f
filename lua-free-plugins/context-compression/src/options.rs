//! What the operator sets, and what a request may.

use serde::Deserialize;
use turnpike_plugin_api::{BadOption, OptionDoc, Setup};

/// The most messages of a conversation with Anthropic's models, as OpenRouter's message transforms
/// page has it (2026-08).
const ANTHROPIC_MESSAGES_MAX: usize = 1_000;

/// The operator's options, documented.
pub(crate) const OPTIONS: &[OptionDoc] = &[
    OptionDoc {
        name: "default_context_max",
        about: "Requests without an entry of their own are compressed if their model's context has at most so many tokens, 0 to 100,000,000; 0: none of them. Default 8192",
    },
    OptionDoc {
        name: "answer_tokens",
        about: "Tokens left for the answer where the request has no limit, 0 to 1,000,000, and a quarter of the context at most. Default 512",
    },
    OptionDoc {
        name: "margin_percent",
        about: "By how much a prompt may be longer than estimated, 0 to 50. Default 5",
    },
    OptionDoc {
        name: "messages_max",
        about: "The most messages of a conversation, instructions not counted, 2 to 100,000. Default 1000 for models whose name begins with anthropic/, no limit for others",
    },
];

/// What a request's entry may say, documented.
pub(crate) const PER_REQUEST: &[OptionDoc] =
    &[OptionDoc { name: "engine", about: "Only middle-out. Default \"middle-out\"" }];

/// The operator's options as they are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    default_context_max: u64,
    answer_tokens: u64,
    margin_percent: u64,
    messages_max: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            default_context_max: 8_192,
            answer_tokens: 512,
            margin_percent: 5,
            messages_max: None,
        }
    }
}

/// A request's entry.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Entry {
    /// It says nothing that is not so anyway, but a wrong name is refused.
    pub(crate) engine: Option<Engine>,
}

/// How prompts are made to fit.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) enum Engine {
    /// The middle goes first.
    #[serde(rename = "middle-out")]
    MiddleOut,
}

/// The operator's options, judged.
pub(crate) struct Config {
    pub(crate) default_context_max: u64,
    answer_tokens: u64,
    margin_percent: u64,
    messages_max: Option<usize>,
}

impl Config {
    pub(crate) fn read(setup: &Setup<'_>) -> Result<Self, BadOption> {
        let options: Options = setup.read()?;
        let Options { default_context_max, answer_tokens, margin_percent, messages_max } = options;
        for (name, value, max) in [
            ("default_context_max", default_context_max, 100_000_000),
            ("answer_tokens", answer_tokens, 1_000_000),
            ("margin_percent", margin_percent, 50),
        ] {
            if value > max {
                return Err(BadOption::new(name, format!("must be 0 to {max}")));
            }
        }
        if messages_max.is_some_and(|max| !(2..=100_000).contains(&max)) {
            return Err(BadOption::new("messages_max", "must be 2 to 100000"));
        }
        Ok(Self { default_context_max, answer_tokens, margin_percent, messages_max })
    }

    /// The most tokens that a prompt may have by estimate; `None` where the context is not known.
    ///
    /// What the client asks for as the answer's limit is left free in full: gateway and providers
    /// refuse a request whose prompt and limit together exceed the context.
    pub(crate) fn prompt_max(&self, context: u64, max_tokens: Option<u64>) -> Option<u64> {
        if context == 0 {
            return None;
        }
        let answer = max_tokens.unwrap_or_else(|| self.answer_tokens.min(context / 4));
        let exact = u128::from(context.saturating_sub(answer)) * 100;
        u64::try_from(exact / u128::from(100 + self.margin_percent)).ok()
    }

    /// The most messages of a conversation with this model, if there is such a limit.
    pub(crate) fn messages_max(&self, model: &str) -> Option<usize> {
        let anthropic = model.strip_prefix('~').unwrap_or(model).starts_with("anthropic/");
        self.messages_max.or(anthropic.then_some(ANTHROPIC_MESSAGES_MAX))
    }
}
