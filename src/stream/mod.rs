//! One attempt's answer: provider bytes in, client bytes out, usage overheard.
//!
//! A [`Pipe`] takes one of three paths. Where both sides stream in OpenAI's form, whole frames are
//! relayed as they are, without copying (`relay`). Where both sides send one JSON document, it
//! passes too (`whole`). Where both sides speak another format in common, its bytes pass and are
//! overheard (`echo`). Embeddings and ranks are written anew (`convert`). Everything else goes through the hub's events (`translate`). On every
//! path the pipe keeps a [`Meter`], and adds what the answer costs to its usage.
//!
//! Nothing comes out before the first semantic event, so that a failure before it can be retried
//! unseen; and nothing that is not complete ends as if it were. A stream that breaks off later is
//! taken out of its pipe as a [`Resume`], with which another provider's pipe goes on.

#[cfg(test)]
mod continued_tests;
mod convert;
mod delivered;
mod echo;
mod filter;
mod glance;
mod join;
mod meter;
mod relay;
mod seam;
mod splice;
mod stop;
#[cfg(test)]
mod tests;
mod translate;
mod whole;

use std::sync::Arc;

use bytes::Bytes;

use crate::catalog::Quote;
use crate::charge;
use crate::dialect::chat;
use crate::dialect::completions::Template;
use crate::dialect::frames::Framing;
use crate::dialect::ir::FinishReason;
use crate::dialect::openai::Host;
use crate::dialect::{AnswerFault, AnswerShape, Bill, Dialect, Surface};
use crate::error::GatewayError;
use crate::vocab::{GenerationId, ModelId, NanoUsd, Usage};

pub use self::convert::Asked;
use self::convert::Convert;
pub use self::delivered::{Continued, Delivered, Resume};
use self::echo::Echo;
pub use self::filter::Filter;
pub use self::meter::Meter;
use self::relay::Relay;
pub use self::seam::Seam;
use self::translate::Translate;
use self::whole::Whole;

/// What is held back before the first semantic event, at most, in bytes.
const HOLD_MAX: usize = 1 << 20;
/// The largest answer that is not streamed, in bytes.
const WHOLE_MAX: usize = 64 << 20;

/// What an answer looks like to the client, and what it costs.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The client's format.
    pub surface: Surface,
    /// What was asked, if not an answer in words.
    pub asked: Option<Asked>,
    /// How the provider departs from its dialect.
    pub host: &'static Host,
    /// What the prompt was rendered with, where the host serves raw completions.
    pub template: Option<Arc<Template>>,
    /// What an answer in the client's format repeats of the request.
    pub echo: Option<Arc<str>>,
    /// How the request was routed, as JSON, for a client that asked to be told.
    pub metadata: Option<Arc<str>>,
    /// The generation that is answered.
    pub generation: GenerationId,
    /// When the answer began, in seconds since 1970.
    pub created: u64,
    /// The public id of the model.
    pub model: ModelId,
    /// The provider's display name.
    pub provider: Arc<str>,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// What the answer is charged by.
    pub prices: Quote,
    /// Prompt tokens as estimated, for a provider that reports none.
    pub prompt_estimate: u64,
    /// The request as it came, whose tokens are counted at the end of an answer whose provider
    /// reports none.
    pub request: Bytes,
    /// The most completion tokens that were asked for, of all choices together: an estimate of a
    /// provider that reports none, or breaks off, stays below.
    pub completion_max: u64,
    /// The client wants no reasoning shown (`reasoning.exclude`). It is paid for all the same.
    pub hide_reasoning: bool,
}

impl Shape {
    fn answer(&self, dialect: Dialect) -> AnswerShape {
        AnswerShape {
            id: self.generation.to_string(),
            created: self.created,
            model: self.model.to_string(),
            provider: self.provider.to_string(),
            hide_reasoning: self.hide_reasoning,
            reasoning_format: dialect.reasoning_format(),
            echo: self.echo.clone(),
            metadata: self.metadata.clone(),
        }
    }

    fn cost(&self, meter: &Meter) -> NanoUsd {
        self.price(&meter.usage(self.prompt_estimate), meter.finish)
    }

    /// What the client is told of the cost.
    fn bill(&self, meter: &Meter) -> Bill {
        self.bill_of(&meter.usage(self.prompt_estimate), meter.finish)
    }

    fn bill_of(&self, usage: &Usage, finish: Option<FinishReason>) -> Bill {
        Bill { cost: self.price(usage, finish), upstream: self.prices.paid_directly(usage) }
    }

    /// What a usage is charged: nothing if the answer had nothing in it.
    fn price(&self, usage: &Usage, finish: Option<FinishReason>) -> NanoUsd {
        match self.asked {
            // An embedding or a ranking has no completion.
            Some(_) => self.prices.cost(usage),
            None => charge::cost(&self.prices, usage, finish),
        }
    }
}

/// One attempt's answer on its way to the client.
#[derive(Debug)]
pub struct Pipe {
    shape: Shape,
    meter: Meter,
    path: Path,
    started: bool,
}

#[derive(Debug)]
enum Path {
    Relay(Box<Relay>),
    Whole(Whole),
    Echo(Dialect, Echo),
    Convert(Box<Convert>),
    Translate(Box<Translate>),
}

impl Path {
    fn of(dialect: Dialect, shape: &Shape, framing: Framing, passed: bool) -> Self {
        if let Some(asked) = &shape.asked {
            return Self::Convert(Box::new(Convert::new(dialect, asked.clone())));
        }
        match (passed, shape.surface, framing, shape.stream) {
            (true, Surface::Chat, Framing::Sse, true) => Self::Relay(Box::default()),
            (true, Surface::Chat, Framing::Whole, false) => Self::Whole(Whole::default()),
            (true, surface, Framing::Sse, true) | (true, surface, Framing::Whole, false)
                if surface != Surface::Chat && shape.metadata.is_none() =>
            {
                Self::Echo(dialect, Echo::new(dialect, shape))
            }
            _ => Self::Translate(Box::new(Translate::new(dialect, shape, framing))),
        }
    }
}

impl Pipe {
    /// A pipe for an answer in this dialect and framing. `passed` says whether the request went
    /// out as the client wrote it, so that its answer may come back as it is.
    pub fn new(dialect: Dialect, shape: Shape, framing: Framing, passed: bool) -> Self {
        let path = Path::of(dialect, &shape, framing, passed);
        let mut meter = Meter::up_to(shape.completion_max);
        if !matches!(path, Path::Convert(_)) {
            meter.keep_text();
        }
        Self { shape, meter, path, started: false }
    }

    /// A pipe for an answer that something else may change: it goes through the hub's events even
    /// where both sides speak the same format.
    pub fn filtered(
        dialect: Dialect,
        shape: Shape,
        framing: Framing,
        filter: Box<dyn Filter>,
    ) -> Self {
        let path = Path::Translate(Box::new(Translate::filtered(dialect, &shape, framing, filter)));
        let mut meter = Meter::up_to(shape.completion_max);
        meter.keep_text();
        Self { shape, meter, path, started: false }
    }

    /// A pipe that goes on with an answer which another provider began. It gives what the client
    /// is still to get, in the client's format, under the first provider's names.
    pub fn resumed(
        dialect: Dialect,
        shape: Shape,
        framing: Framing,
        resume: Resume,
        how: Continued,
    ) -> Self {
        let (path, delivered) = Translate::resume(dialect, &shape, framing, resume, how);
        let mut meter = Meter::up_to(shape.completion_max);
        meter.keep_text();
        meter.delivered = Some(Box::new(delivered));
        Self { shape, meter, path: Path::Translate(Box::new(path)), started: false }
    }

    /// Keeps what goes to the client, so that another provider can go on with it should this one
    /// fail. Of a whole answer nothing goes to the client before its end.
    pub fn keep_delivered(&mut self) {
        if self.shape.stream {
            self.meter.delivered = Some(Box::default());
        }
    }

    /// Whether another provider can go on where this one has stopped.
    pub fn is_resumable(&self) -> bool {
        self.meter.delivered.as_ref().is_some_and(|delivered| delivered.is_open())
    }

    /// Takes out what another provider needs to go on; `None` if none can. `echo` is what an
    /// answer in the client's format repeats of the request.
    pub fn take_resume(&mut self, echo: Option<Arc<str>>) -> Option<Resume> {
        let Self { shape, meter, path, .. } = self;
        let delivered = *meter.delivered.take_if(|delivered| delivered.is_open())?;
        let dialect = match path {
            Path::Translate(translate) => {
                let (sink, wire) = translate.take_sink()?;
                return Some(Resume { sink, delivered, wire });
            }
            Path::Relay(_) => Dialect::OpenAi,
            Path::Echo(dialect, _) => *dialect,
            Path::Whole(_) | Path::Convert(_) => return None,
        };
        // What passed was the provider's own: a writer of ours goes on in its names.
        let mut answer = shape.answer(dialect);
        answer.echo = echo.or(answer.echo);
        meter.name(&mut answer);
        let mut sink = shape.surface.stream_sink(&answer);
        delivered.replay(&mut *sink);
        let mut first = Vec::new();
        if !sink.adopt(&delivered.passed, &mut first) {
            return None;
        }
        let mut wire = match path {
            Path::Relay(relay) => relay.leftover(),
            Path::Echo(_, echo) => echo.leftover(),
            _ => Vec::new(),
        };
        wire.append(&mut first);
        Some(Resume { sink, delivered, wire })
    }

    /// Takes bytes of the provider and gives what the client gets now.
    ///
    /// # Errors
    /// The answer is no good answer; the pipe takes no more bytes. What came before the fault in
    /// the same chunk is kept for [`Self::abort`].
    pub fn push(&mut self, chunk: Bytes) -> Result<Option<Bytes>, AnswerFault> {
        let Self { shape, meter, path, .. } = self;
        let out = match path {
            Path::Relay(relay) => relay.push(chunk, shape, meter)?,
            Path::Whole(whole) => {
                whole.push(chunk)?;
                None
            }
            Path::Echo(_, echo) => echo.push(chunk, shape, meter)?,
            Path::Convert(convert) => {
                convert.push(chunk)?;
                None
            }
            Path::Translate(translate) => translate.push(chunk, shape, meter)?,
        };
        Ok(self.hand_on(out))
    }

    /// Says that the provider sent its last byte and gives what the client gets last.
    ///
    /// # Errors
    /// The answer is cut short, empty, or no good answer for another reason.
    pub fn end(&mut self) -> Result<Option<Bytes>, AnswerFault> {
        let Self { shape, meter, path, .. } = self;
        let out = match path {
            Path::Relay(relay) => relay.end(shape, meter)?,
            Path::Whole(whole) => whole.end(shape, meter)?,
            Path::Echo(_, echo) => echo.end(shape, meter)?,
            Path::Convert(convert) => convert.end(shape, meter)?,
            Path::Translate(translate) => translate.end(shape, meter)?,
        };
        Ok(self.hand_on(out))
    }

    fn hand_on(&mut self, out: Option<Bytes>) -> Option<Bytes> {
        let out = out.filter(|bytes| !bytes.is_empty());
        self.started |= out.is_some();
        out
    }

    /// Whether bytes were handed on: from here on, the client has seen a part of this answer.
    pub const fn started(&self) -> bool {
        self.started
    }

    /// What was overheard so far.
    pub const fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The shape that the pipe was made with.
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// What the answer costs as far as it is known.
    pub fn cost(&self) -> NanoUsd {
        self.shape.cost(&self.meter)
    }

    /// The bytes that end a stream which the client already sees: what came before a fault in the
    /// same chunk, and a well-formed error. Empty for a client that asked for a whole answer: it has seen nothing yet and gets an error body.
    pub fn abort(&mut self, error: &GatewayError) -> Bytes {
        if !self.shape.stream {
            return Bytes::new();
        }
        let started = self.started;
        let kept = |leftover: Vec<u8>| if started { leftover } else { Vec::new() };
        let wire = match &mut self.path {
            Path::Relay(relay) => {
                let mut shape = self.shape.answer(Dialect::OpenAi);
                self.meter.name(&mut shape);
                let mut wire = kept(relay.leftover());
                chat::error_chunk(&shape, error, &mut wire);
                wire
            }
            Path::Echo(dialect, echo) => {
                let mut wire = kept(echo.leftover());
                let mut sink = self.shape.surface.stream_sink(&self.shape.answer(*dialect));
                sink.abort(error, &mut wire);
                wire
            }
            Path::Translate(translate) => {
                let mut wire = kept(translate.leftover());
                translate.abort(error, &mut wire);
                wire
            }
            Path::Whole(_) | Path::Convert(_) => Vec::new(),
        };
        Bytes::from(wire)
    }
}
