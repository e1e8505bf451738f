//! What a request wants of a model.

use crate::dialect::Surface;
use crate::dialect::scan::Form;
use crate::observe;

/// What a request wants of a model, and in which format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// An answer.
    Answer(Surface),
    /// Vectors.
    Embed,
    /// An order of documents.
    Rerank,
}

impl Task {
    /// The form of the request's body.
    pub(crate) const fn form(self) -> Form {
        match self {
            Self::Answer(Surface::Chat) => Form::Chat,
            Self::Answer(Surface::Completions) => Form::Completions,
            Self::Answer(Surface::Responses) => Form::Responses,
            Self::Answer(Surface::Messages) => Form::Messages,
            Self::Embed => Form::Embeddings,
            Self::Rerank => Form::Rerank,
        }
    }

    /// The label in metrics and log lines.
    pub(crate) const fn label(self) -> observe::Surface {
        match self {
            Self::Answer(Surface::Chat) => observe::Surface::Chat,
            Self::Answer(Surface::Completions) => observe::Surface::Completions,
            Self::Answer(Surface::Responses) => observe::Surface::Responses,
            Self::Answer(Surface::Messages) => observe::Surface::Messages,
            Self::Embed => observe::Surface::Embeddings,
            Self::Rerank => observe::Surface::Rerank,
        }
    }
}

/// The format in which a client of this kind reads errors.
pub(crate) const fn errors_of(label: observe::Surface) -> Surface {
    match label {
        observe::Surface::Messages => Surface::Messages,
        observe::Surface::Responses => Surface::Responses,
        _ => Surface::Chat,
    }
}
