//! The provider dialect Cohere v2.

use bytes::Bytes;

use crate::dialect::ir::{Event, Request};
use crate::dialect::sse::Frame;
use crate::dialect::{AnswerFault, FaultClass, ProviderFault, Target};
use crate::error::{GatewayError, Kind};

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
    pub fn new() -> Self {
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
pub fn read_whole(_body: &[u8], _out: &mut Vec<Event>) -> Result<(), AnswerFault> {
    Err(AnswerFault::Garbled("not built"))
}

/// What an error answer means.
pub fn provider_fault(status: u16, _body: &[u8]) -> ProviderFault {
    ProviderFault { class: FaultClass::of_status(status), code: None, message: String::new() }
}
