//! Embeddings and ranks: one JSON document of the provider's, written anew for the client.

use std::sync::Arc;

use bytes::Bytes;

use crate::dialect::{AnswerFault, Dialect, embed, rerank};
use crate::vocab::Usage;

use super::whole::Buffer;
use super::{Meter, Shape};

/// What was asked, where that is not an answer in words.
#[derive(Clone, Debug)]
pub enum Asked {
    /// `POST /v1/embeddings`.
    Embed(Arc<embed::Request>),
    /// `POST /v1/rerank`.
    Rerank(Arc<rerank::Request>),
}

impl Asked {
    /// What it consumes, for a hold and for a provider that does not say.
    pub fn estimate(&self, dialect: Dialect) -> Usage {
        match self {
            Self::Embed(request) => request.estimate(),
            Self::Rerank(request) => request.estimate(dialect),
        }
    }
}

/// The state of such an answer.
#[derive(Debug)]
pub(super) struct Convert {
    dialect: Dialect,
    asked: Asked,
    buffer: Buffer,
    done: bool,
}

impl Convert {
    pub(super) fn new(dialect: Dialect, asked: Asked) -> Self {
        Self { dialect, asked, buffer: Buffer::default(), done: false }
    }

    pub(super) fn push(&mut self, chunk: Bytes) -> Result<(), AnswerFault> {
        self.buffer.push(chunk)
    }

    pub(super) fn end(
        &mut self,
        shape: &Shape,
        meter: &mut Meter,
    ) -> Result<Option<Bytes>, AnswerFault> {
        if std::mem::replace(&mut self.done, true) {
            return Ok(None);
        }
        let (body, answer) = (self.buffer.take(), shape.answer(self.dialect));
        let out = match &self.asked {
            Asked::Embed(request) => {
                let read = embed::read_answer(self.dialect, &body, request)?;
                let usage = self.charge(read.usage, meter);
                let cost = Some(shape.bill_of(&usage, None));
                embed::write_answer(&read, &answer, Some(&usage), cost)
            }
            Asked::Rerank(request) => {
                let read = rerank::read_answer(&body, request)?;
                let usage = self.charge(read.usage, meter);
                let cost = Some(shape.bill_of(&usage, None));
                rerank::write_answer(&read, request, &answer, Some(&usage), cost)
            }
        };
        Ok(Some(Bytes::from(with_metadata(out, shape.metadata.as_deref()))))
    }

    fn charge(&self, told: Option<Usage>, meter: &mut Meter) -> Usage {
        let usage = told.unwrap_or_else(|| self.asked.estimate(self.dialect));
        meter.report(usage);
        (meter.semantic, meter.complete) = (true, true);
        usage
    }
}

/// A whole answer with how it was routed, if that was asked for.
pub(super) fn with_metadata(mut out: Vec<u8>, metadata: Option<&str>) -> Vec<u8> {
    if let Some(metadata) = metadata
        && out.pop() == Some(b'}')
    {
        out.extend_from_slice(b",\"openrouter_metadata\":");
        out.extend_from_slice(metadata.as_bytes());
        out.push(b'}');
    }
    out
}
