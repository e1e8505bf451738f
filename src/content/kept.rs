//! What of a generation is kept, as bytes.

use bytes::Bytes;

use crate::dialect::scan::Form;

/// A request and its answer, as the client sent and got them.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    /// The form of the request.
    pub form: Form,
    /// The answer is a stream of events.
    pub stream: bool,
    /// The status that the client got; 0 if it got none.
    pub status: u16,
    /// The request's body.
    pub request: Bytes,
    /// The answer's body, as far as it went out.
    pub answer: Bytes,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("form", &self.form).finish_non_exhaustive()
    }
}

const FORMS: [Form; 6] = [
    Form::Chat,
    Form::Completions,
    Form::Responses,
    Form::Messages,
    Form::Embeddings,
    Form::Rerank,
];

impl Kept {
    /// Its size, in bytes.
    pub fn len(&self) -> usize {
        self.request.len() + self.answer.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let form = FORMS.iter().position(|form| *form == self.form).unwrap_or(0);
        let mut out = Vec::with_capacity(self.len() + 12);
        out.push(u8::try_from(form).unwrap_or(0));
        out.push(self.stream.into());
        out.extend_from_slice(&self.status.to_le_bytes());
        out.extend_from_slice(&(self.request.len() as u64).to_le_bytes());
        out.extend_from_slice(&self.request);
        out.extend_from_slice(&self.answer);
        out
    }

    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let (head, rest) = text.split_first_chunk::<12>()?;
        let [form, stream, low, high, len @ ..] = *head;
        let len = usize::try_from(u64::from_le_bytes(len)).ok()?;
        let (request, answer) = rest.split_at_checked(len)?;
        Some(Self {
            form: *FORMS.get(usize::from(form))?,
            stream: stream != 0,
            status: u16::from_le_bytes([low, high]),
            request: Bytes::copy_from_slice(request),
            answer: Bytes::copy_from_slice(answer),
        })
    }
}
