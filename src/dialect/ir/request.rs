//! The request model: what a client asks for, whatever its surface.
//!
//! Nothing here prints a prompt: the types that hold one have no `Debug`, save [`Request`], whose
//! `Debug` counts.

use std::borrow::Cow;
use std::fmt;

use crate::dialect::Surface;

/// JSON text that was checked, kept as written: key order and number forms matter to a model.
#[derive(Clone, PartialEq, Eq)]
pub struct RawJson(Box<str>);

impl RawJson {
    /// Keeps the text of a value that was parsed.
    pub fn new(value: &serde_json::value::RawValue) -> Self {
        Self(value.get().into())
    }

    /// Keeps a text that the caller knows to be one JSON value.
    pub(crate) fn of_checked(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Something of a request that does not reach the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The member, as in an error's `param`.
    pub param: Cow<'static, str>,
    /// Why it is lost; goes on from the name: `is not known to this provider`.
    pub why: &'static str,
}

/// A request for an answer, whatever its surface.
#[derive(Clone, Default, PartialEq)]
pub struct Request {
    /// The client's surface: [`Request::rest`] means something in its terms only.
    pub surface: Surface,
    /// The model as the client names it, with variants.
    pub model: Option<String>,
    /// The conversation; never empty. Entry `i` is the client's `messages[i]`.
    pub messages: Vec<Message>,
    /// The functions that the model may call.
    pub tools: Vec<Tool>,
    /// Which of them it may or must call; absent: its own choice.
    pub tool_choice: Option<ToolChoice>,
    /// Whether several calls in one turn are welcome; absent: they are.
    pub parallel_tool_calls: Option<bool>,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// How many answers; absent: one.
    pub n: Option<u32>,
    /// Texts at which the answer ends, at most [`Request::STOP_MAX`].
    pub stop: Vec<String>,
    /// The longest completion in tokens, reasoning included; at least 1.
    pub max_tokens: Option<u32>,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// How much the model is to think before it answers.
    pub reasoning: Option<Reasoning>,
    /// What form the answer must have.
    pub response_format: Option<ResponseFormat>,
    /// How wordy the answer is to be.
    pub verbosity: Option<Verbosity>,
    /// Log probabilities are wanted, and of so many alternatives (0 to 20).
    pub logprobs: Option<u32>,
    /// The provider's tier of service, in the client's words.
    pub service_tier: Option<String>,
    /// A key under which the provider may keep the prompt's cache.
    pub prompt_cache_key: Option<String>,
    /// Kinds of output that were asked for, for instance `text`; empty: text.
    pub modalities: Vec<String>,
    /// The client's end user.
    pub user: Option<String>,
    /// A mark on the whole prompt: cache as much of it as can be.
    pub cache: Option<CacheMark>,
    /// The client's labels, an object.
    pub metadata: Option<RawJson>,
    /// Fields that are not read here, in the client's order; a name never comes twice.
    pub rest: Vec<(String, RawJson)>,
    /// What the surface's reader saw and the hub does not carry, for instance a tool that only one
    /// provider runs.
    pub losses: Vec<Loss>,
}

impl Request {
    /// The most stop sequences (OpenAI and OpenRouter, 2026-08).
    pub const STOP_MAX: usize = 4;

    /// Whether the client wants reasoning to stay hidden.
    pub fn hides_reasoning(&self) -> bool {
        self.reasoning.as_ref().is_some_and(|r| r.exclude)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("model", &self.model)
            .field("messages", &self.messages.len())
            .field("tools", &self.tools.len())
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

/// One turn of the conversation.
#[derive(Clone, PartialEq)]
pub enum Message {
    /// What the operator tells the model (roles `system` and `developer`).
    System {
        /// What is said.
        parts: Vec<Part>,
        /// Who says it, if several speak.
        name: Option<String>,
    },
    /// What the user says.
    User {
        /// What is said.
        parts: Vec<Part>,
        /// Who says it, if several speak.
        name: Option<String>,
    },
    /// What the model said.
    Assistant(Assistant),
    /// What a tool call returned. It follows the turn that made the call.
    Tool {
        /// The call's id; each call of a turn has exactly one result.
        call_id: String,
        /// What was returned.
        parts: Vec<Part>,
        /// The call failed.
        is_error: bool,
    },
}

/// A turn of the model.
#[derive(Clone, Default, PartialEq)]
pub struct Assistant {
    /// What was said.
    pub parts: Vec<Part>,
    /// Who said it, if several speak.
    pub name: Option<String>,
    /// Reasoning that preceded, to be replayed where it is signed.
    pub reasoning: Vec<ReasoningBlock>,
    /// The calls that were made; ids are unique within the turn.
    pub tool_calls: Vec<ToolCall>,
}

/// A piece of a turn.
#[derive(Clone, PartialEq)]
pub struct Part {
    /// The piece.
    pub body: PartBody,
    /// The prompt up to here is to be cached.
    pub cache: Option<CacheMark>,
}

/// What a piece of a turn is.
#[derive(Clone, PartialEq)]
pub enum PartBody {
    /// Text.
    Text(String),
    /// The text of a refusal by the model.
    Refusal(String),
    /// An image.
    Image {
        /// `http:`, `https:` or `data:` URL.
        url: String,
        /// `auto`, `low`, `high` or `original`.
        detail: Option<String>,
    },
    /// Sound.
    Audio {
        /// Base64.
        data: String,
        /// For instance `wav`.
        format: String,
    },
    /// A moving picture: `http:`, `https:` or `data:` URL.
    Video(String),
    /// A document.
    File {
        /// The document's name.
        name: Option<String>,
        /// Where it is.
        source: FileSource,
    },
}

/// Where a document is.
#[derive(Clone, PartialEq)]
pub enum FileSource {
    /// `http:`, `https:` or `data:` URL.
    Url(String),
    /// Uploaded to a provider before.
    Id(String),
}

/// A mark for a provider's prompt cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheMark {
    /// For the provider's default lifetime: no `ttl` was given.
    Default,
    /// For 5 minutes.
    FiveMinutes,
    /// For an hour.
    Hour,
}

/// A block of reasoning that the client hands back.
#[derive(Clone, PartialEq)]
pub struct ReasoningBlock {
    /// The provider's id for it, or the id of the tool call that it belongs to.
    pub id: Option<String>,
    /// The block.
    pub body: ReasoningBody,
    /// Whose form it has, for instance `anthropic-claude-v1`; blocks of one family of models mean
    /// nothing to another.
    pub format: Option<String>,
}

/// What a block of reasoning is.
#[derive(Clone, PartialEq)]
pub enum ReasoningBody {
    /// Text, with the signature that proves it unchanged.
    Text {
        /// The text.
        text: String,
        /// Opaque.
        signature: Option<String>,
    },
    /// A summary of reasoning that is not shown.
    Summary(String),
    /// Reasoning that only the provider can read.
    Encrypted(String),
}

/// A call that the model made.
#[derive(Clone, PartialEq)]
pub struct ToolCall {
    /// Its id; not empty.
    pub id: String,
    /// The function's name; see [`Tool::name`].
    pub name: String,
    /// What the model wrote as arguments: usually a JSON object, but not by any guarantee.
    pub arguments: String,
}

/// A function that the model may call.
#[derive(Clone, PartialEq)]
pub struct Tool {
    /// 1 to 128 letters, digits, `_` and `-`.
    pub name: String,
    /// What it does, for the model.
    pub description: Option<String>,
    /// JSON schema of its arguments, an object.
    pub parameters: Option<RawJson>,
    /// Whether the arguments must fit the schema.
    pub strict: Option<bool>,
    /// The prompt up to here is to be cached.
    pub cache: Option<CacheMark>,
}

/// Which tools the model may or must call.
#[derive(Clone, PartialEq)]
pub enum ToolChoice {
    /// As it likes.
    Auto,
    /// None.
    None,
    /// At least one, whichever.
    Required,
    /// This one.
    Named(String),
    /// Any of these, at least one if `required`.
    Allowed {
        /// Names of tools; not empty.
        names: Vec<String>,
        /// Whether one must be called.
        required: bool,
    },
}

/// How tokens are drawn. Every field is in the range of OpenAI or OpenRouter where it is given.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sampling {
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// 0 to 1.
    pub top_p: Option<f64>,
    /// At least 0; 0 means no limit.
    pub top_k: Option<u32>,
    /// 0 to 1.
    pub min_p: Option<f64>,
    /// 0 to 1.
    pub top_a: Option<f64>,
    /// Any whole number.
    pub seed: Option<i64>,
    /// -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// -2 to 2.
    pub presence_penalty: Option<f64>,
    /// 0 to 2.
    pub repetition_penalty: Option<f64>,
}

/// How much the model is to think.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasoning {
    /// A level. Never together with `max_tokens`.
    pub effort: Option<Effort>,
    /// A number of tokens; at least 1.
    pub max_tokens: Option<u32>,
    /// Do not show the reasoning.
    pub exclude: bool,
    /// On or off without a level; on means [`Effort::Medium`].
    pub enabled: Option<bool>,
}

/// Levels of thinking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Not at all.
    None,
    /// A tenth of the answer.
    Minimal,
    /// A fifth.
    Low,
    /// A half.
    Medium,
    /// Four fifths.
    High,
    /// Nearly all of it.
    ExtraHigh,
    /// As [`Effort::ExtraHigh`].
    Max,
}

impl Effort {
    /// Every level and its name on the wire.
    pub const NAMES: [(&'static str, Self); 7] = [
        ("none", Self::None),
        ("minimal", Self::Minimal),
        ("low", Self::Low),
        ("medium", Self::Medium),
        ("high", Self::High),
        ("xhigh", Self::ExtraHigh),
        ("max", Self::Max),
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::ExtraHigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// The share of the completion that goes into thinking, in percent (OpenRouter, 2026-08).
    pub const fn percent(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Minimal => 10,
            Self::Low => 20,
            Self::Medium => 50,
            Self::High => 80,
            Self::ExtraHigh | Self::Max => 95,
        }
    }
}

/// Levels of wordiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Terse.
    Low,
    /// As usual.
    Medium,
    /// At length.
    High,
}

impl Verbosity {
    /// Every level and its name on the wire.
    pub const NAMES: [(&'static str, Self); 3] =
        [("low", Self::Low), ("medium", Self::Medium), ("high", Self::High)];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// What form the answer must have.
#[derive(Clone, PartialEq)]
pub enum ResponseFormat {
    /// Free text.
    Text,
    /// Some JSON object.
    JsonObject,
    /// JSON that fits a schema.
    JsonSchema {
        /// The schema's name.
        name: String,
        /// What the answer is, for the model.
        description: Option<String>,
        /// The schema, an object.
        schema: RawJson,
        /// Whether the answer must fit exactly.
        strict: Option<bool>,
    },
}
