//! Text completions: the legacy client surface, and hosts that serve a raw model.

use bytes::Bytes;

use crate::dialect::ir::{Event, Request};
use crate::dialect::sse::Frame;
use crate::dialect::{AnswerFault, FaultClass, ProviderFault, Target};
use crate::error::{GatewayError, Kind};

use crate::dialect::sink::{AnswerShape, StreamSink, WholeSink};
use crate::vocab::{NanoUsd, Usage};

/// Writes the request.
///
/// # Errors
/// The request asks for what the dialect cannot express.
pub fn request(_request: &Request, _target: &Target<'_>) -> Result<Bytes, GatewayError> {
    Err(GatewayError::new(Kind::Internal, "not built"))
}

/// Reads a streamed answer.
#[derive(Debug, Default)]
pub struct Reader;

impl Reader {
    /// A reader at the beginning of an answer.
    pub fn new(_template: Option<&Template>) -> Self {
        Self
    }
}

impl crate::dialect::Reader for Reader {
    fn read(&mut self, _frame: &Frame<'_>, _out: &mut Vec<Event>) -> Result<(), AnswerFault> {
        Err(AnswerFault::Garbled("not built"))
    }
}

/// Reads a whole answer.
///
/// # Errors
/// The body is an error, cut short, empty, or not of this dialect.
pub fn read_whole(
    _template: Option<&Template>,
    _body: &[u8],
    _out: &mut Vec<Event>,
) -> Result<(), AnswerFault> {
    Err(AnswerFault::Garbled("not built"))
}

/// What an error answer means.
pub fn provider_fault(status: u16, _body: &[u8]) -> ProviderFault {
    ProviderFault { class: FaultClass::of_status(status), code: None, message: String::new() }
}

/// Reads and checks a request.
///
/// # Errors
/// The body is no JSON object, or a member has a wrong type or value; `param` names the place.
pub fn read_request(_body: &[u8]) -> Result<Request, GatewayError> {
    Err(GatewayError::new(Kind::Internal, "not built"))
}

/// Writes a streamed answer.
#[derive(Debug)]
pub struct StreamWriter;

impl StreamWriter {
    /// A writer at the beginning of an answer.
    pub fn new(_shape: &AnswerShape) -> Self {
        Self
    }
}

impl StreamSink for StreamWriter {
    fn write(&mut self, _event: &Event, _cost: Option<NanoUsd>, _wire: &mut Vec<u8>) {}

    fn abort(&mut self, _error: &GatewayError, _wire: &mut Vec<u8>) {}
}

/// Writes a whole answer.
#[derive(Debug)]
pub struct WholeWriter;

impl WholeWriter {
    /// A writer at the beginning of an answer.
    pub fn new(_shape: &AnswerShape) -> Self {
        Self
    }
}

impl WholeSink for WholeWriter {
    fn write(&mut self, _event: &Event) {}

    fn finish(self: Box<Self>, _usage: Option<&Usage>, _cost: Option<NanoUsd>) -> Vec<u8> {
        Vec::new()
    }
}

/// A chat template of a model.
#[derive(Debug)]
pub struct Template;

impl Template {
    /// A template that is shipped in `conf/templates`, by name.
    pub fn shipped(_name: &str) -> Option<Self> {
        None
    }
}
