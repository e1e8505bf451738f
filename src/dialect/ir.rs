//! The hub: one request model and one event model that every dialect is read into and written
//! from.

mod request;

pub use request::{
    Assistant, CacheMark, Effort, FileSource, Loss, Message, Part, PartBody, RawJson, Reasoning,
    ReasoningBlock, ReasoningBody, Request, ResponseFormat, Sampling, Tool, ToolCall, ToolChoice,
    Verbosity,
};

use crate::vocab::Usage;

/// One semantic step of an answer, streamed or whole (a whole answer is a list of these).
///
/// Order: at most one [`Event::Start`] first; then deltas; then [`Event::Finish`] per choice;
/// [`Event::Usage`] at any time, the later winning; [`Event::End`] last and only when the
/// provider's own terminal event was seen.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The provider began to answer.
    Start {
        /// The provider's id for the answer.
        id: Option<String>,
        /// The model that the provider says it used.
        model: Option<String>,
    },
    /// A piece of the answer's text.
    Text {
        /// Which choice (0 unless `n` > 1).
        choice: u32,
        /// The piece; never empty.
        text: String,
    },
    /// A piece of visible reasoning.
    Reasoning {
        /// Which choice.
        choice: u32,
        /// The piece; never empty.
        text: String,
    },
    /// The signature that closes a block of reasoning; it must be replayed unchanged.
    ReasoningSignature {
        /// Which choice.
        choice: u32,
        /// Opaque.
        signature: String,
    },
    /// A piece of the provider's own summary of reasoning that it does not show.
    ReasoningSummary {
        /// Which choice.
        choice: u32,
        /// The piece; never empty.
        text: String,
    },
    /// A block of reasoning that the provider shows only encrypted; it must be replayed unchanged.
    ReasoningEncrypted {
        /// Which choice.
        choice: u32,
        /// The provider's id for the block, or the id of the tool call that it belongs to.
        id: Option<String>,
        /// Opaque.
        data: String,
    },
    /// How likely tokens of the text or refusal were. It comes before the piece that they make up.
    Logprobs {
        /// Which choice.
        choice: u32,
        /// Whether they are of the refusal.
        refusal: bool,
        /// In order; never empty.
        tokens: Vec<TokenLogprob>,
    },
    /// A piece of a refusal.
    Refusal {
        /// Which choice.
        choice: u32,
        /// The piece; never empty.
        text: String,
    },
    /// A tool call begins.
    ToolStart {
        /// Which choice.
        choice: u32,
        /// 0, 1, 2 … in order of first appearance within the choice.
        index: u32,
        /// The call's id.
        id: String,
        /// The function's name.
        name: String,
    },
    /// A piece of a tool call's arguments, raw JSON text.
    ToolArguments {
        /// Which choice.
        choice: u32,
        /// As in [`Event::ToolStart`].
        index: u32,
        /// The piece; never empty.
        json: String,
    },
    /// A source that a part of the text rests on. It comes after that part.
    Citation {
        /// Which choice.
        choice: u32,
        /// The source.
        citation: Citation,
    },
    /// A picture that the model made.
    Image {
        /// Which choice.
        choice: u32,
        /// A `data:` URL, or where the provider keeps it.
        url: String,
    },
    /// A choice is complete.
    Finish {
        /// Which choice.
        choice: u32,
        /// Why, in OpenAI's words.
        reason: FinishReason,
        /// Why, in the provider's own words.
        native: String,
        /// The stop sequence that was hit, if the provider says.
        stop: Option<String>,
    },
    /// What was consumed so far; the later wins.
    Usage(Usage),
    /// The provider's terminal event was seen.
    End,
}

impl Event {
    /// Whether this event carries something of the answer: from here on, a failure is the
    /// client's to see.
    pub const fn is_semantic(&self) -> bool {
        match self {
            Self::Text { .. }
            | Self::Reasoning { .. }
            | Self::ReasoningSignature { .. }
            | Self::ReasoningSummary { .. }
            | Self::ReasoningEncrypted { .. }
            | Self::Refusal { .. }
            | Self::ToolStart { .. }
            | Self::ToolArguments { .. }
            | Self::Citation { .. }
            | Self::Image { .. }
            | Self::Finish { .. } => true,
            Self::Start { .. } | Self::Logprobs { .. } | Self::Usage(_) | Self::End => false,
        }
    }
}

/// A token of an answer and how likely it was.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprob {
    /// The token that was chosen.
    pub chosen: TopLogprob,
    /// The most likely tokens at its place, as many as were asked for at most.
    pub top: Vec<TopLogprob>,
}

/// How likely a token was at its place.
#[derive(Clone, Debug, PartialEq)]
pub struct TopLogprob {
    /// The token's text, as far as it is text.
    pub token: String,
    /// The natural logarithm of its probability, a JSON number in the provider's digits.
    pub logprob: String,
    /// Its bytes, which may be a part of a character; none for special tokens.
    pub bytes: Option<Vec<u8>>,
}

/// A source on the web, as OpenAI's `url_citation` has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Citation {
    /// Where it is.
    pub url: String,
    /// Its title; may be empty.
    pub title: String,
    /// The passage that is cited, if the provider gives it.
    pub content: Option<String>,
    /// The part of the choice's text that rests on it: from this character …
    pub start: u64,
    /// … to before this one. `0..0` where the provider does not say.
    pub end: u64,
}

/// Why a choice ended, in OpenAI's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// The model was done, or a stop sequence was hit.
    Stop,
    /// The token limit was reached.
    Length,
    /// The model wants tools to be called.
    ToolCalls,
    /// A content filter or refusal cut the answer.
    ContentFilter,
    /// The provider failed after a part of the answer.
    Error,
}

impl FinishReason {
    /// As spelled in a chat completion.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Error => "error",
        }
    }
}
