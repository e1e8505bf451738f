//! What a plugin sees of an answer.

use std::fmt;
use std::time::Duration;

use crate::{EndpointId, GenerationId, ModelId, NanoUsd, Usage};

/// A piece of an answer that a plugin may change, drop or add.
#[derive(Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text.
    Text {
        /// Which choice (0 unless several were asked for).
        choice: u32,
        /// What kind of text.
        kind: Kind,
        /// The text; an empty one is dropped.
        text: String,
    },
    /// A source that a part of the text rests on; it comes after that part.
    Citation {
        /// Which choice.
        choice: u32,
        /// The source.
        citation: Citation,
    },
}

/// Kinds of text in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The answer proper.
    Text,
    /// Visible reasoning.
    Reasoning,
    /// The provider's own summary of reasoning that it does not show.
    Summary,
    /// A refusal by the model.
    Refusal,
    /// Arguments of the tool call of this number within the choice: JSON text in pieces.
    Arguments(u32),
}

/// Which kind, and how long; no text.
impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { choice, kind, text } => {
                write!(f, "Text({choice}, {kind:?}, {} bytes)", text.len())
            }
            Self::Citation { choice, .. } => write!(f, "Citation({choice})"),
        }
    }
}

/// A source on the web.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Citation {
    /// Where it is.
    pub url: String,
    /// Its title; may be empty.
    pub title: String,
    /// The passage that is cited.
    pub content: Option<String>,
    /// The part of the choice's text that rests on it: from this character …
    pub start: u64,
    /// … to before this one. `0..0` where that is not known.
    pub end: u64,
}

/// Something of an answer that is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A tool call begins.
    ToolStart {
        /// Which choice.
        choice: u32,
        /// Its number within the choice.
        index: u32,
    },
    /// Log probabilities of tokens of the text: they repeat it.
    Logprobs {
        /// Which choice.
        choice: u32,
    },
    /// A signature of reasoning, or reasoning that only the provider can read.
    Opaque {
        /// Which choice.
        choice: u32,
    },
    /// A picture.
    Image {
        /// Which choice.
        choice: u32,
    },
    /// A choice is complete.
    Finish {
        /// Which choice.
        choice: u32,
    },
}

impl Mark {
    /// Which choice it belongs to.
    pub const fn choice(self) -> u32 {
        match self {
            Self::ToolStart { choice, .. }
            | Self::Logprobs { choice }
            | Self::Opaque { choice }
            | Self::Image { choice }
            | Self::Finish { choice } => choice,
        }
    }
}

/// Whether a [`Mark`] goes to the client. [`Mark::ToolStart`] and [`Mark::Finish`] always do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The generation.
    pub generation: GenerationId,
    /// The model that answered.
    pub model: Option<ModelId>,
    /// The endpoint that answered.
    pub endpoint: Option<EndpointId>,
    /// What was consumed.
    pub usage: Usage,
    /// What was charged.
    pub cost: NanoUsd,
    /// The status that the client got.
    pub status: u16,
    /// From arrival to end.
    pub took: Duration,
}
