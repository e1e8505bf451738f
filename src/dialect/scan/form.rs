//! What the bodies of the several paths have in common, and in what they differ.

use super::keys::Key;

/// The form of a request body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Form {
    /// `POST /v1/chat/completions`.
    #[default]
    Chat,
    /// `POST /v1/completions`.
    Completions,
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1/messages`, and its `count_tokens`.
    Messages,
    /// `POST /v1/embeddings`.
    Embeddings,
    /// `POST /v1/rerank`.
    Rerank,
}

impl Form {
    /// The member that holds what the model is to answer.
    pub(super) const fn prompt(self) -> Key {
        match self {
            Self::Chat | Self::Messages => Key::Messages,
            Self::Completions => Key::Prompt,
            Self::Responses | Self::Embeddings => Key::Input,
            Self::Rerank => Key::Documents,
        }
    }

    /// The member that limits the answer, where none is given.
    pub(super) const fn limit(self) -> Key {
        match self {
            Self::Responses => Key::MaxOutputTokens,
            _ => Key::MaxTokens,
        }
    }

    /// The member of this name, if the gateway acts on it in this form.
    pub fn key(self, name: &str) -> Option<Key> {
        let found = Key::ALL.iter().find(|(key, known)| *known == name && self.knows(*key));
        found.map(|(key, _)| *key)
    }

    /// Whether this member means something in this form; if not, it rides along like any that we
    /// do not know.
    pub(super) fn knows(self, key: Key) -> bool {
        let answers = !matches!(self, Self::Embeddings | Self::Rerank);
        match key {
            Key::Model
            | Key::Models
            | Key::Provider
            | Key::Plugins
            | Key::Transforms
            | Key::Route
            | Key::Preset
            | Key::SessionId
            | Key::Trace => true,
            Key::Usage | Key::PromptCacheKey | Key::ServiceTier => answers,
            Key::Stream => answers,
            Key::StreamOptions | Key::N => matches!(self, Self::Chat | Self::Completions),
            Key::MaxTokens => answers && self != Self::Responses,
            Key::MaxCompletionTokens => self == Self::Chat,
            Key::MaxOutputTokens | Key::Store | Key::Instructions => self == Self::Responses,
            Key::Tools => answers && self != Self::Completions,
            Key::Messages => matches!(self, Self::Chat | Self::Messages),
            Key::System | Key::Fallbacks => self == Self::Messages,
            Key::Query => self == Self::Rerank,
            Key::Prompt | Key::Input | Key::Documents => key == self.prompt(),
        }
    }
}
