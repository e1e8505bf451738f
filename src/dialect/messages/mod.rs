//! The client surface Anthropic Messages: `POST /v1/messages`.

use crate::dialect::ir::{Event, Request};
use crate::dialect::sink::{AnswerShape, StreamSink, WholeSink};
use crate::error::{GatewayError, Kind};
use crate::vocab::{NanoUsd, Usage};

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

/// The body of an error answer.
pub fn error_body(_error: &GatewayError) -> Vec<u8> {
    Vec::new()
}
