//! The provider dialect Mistral: OpenAI's form, with strict members and rules of its own. Answers
//! are read by [`super::openai::Reader`], which knows Mistral's deviations.

use bytes::Bytes;

use crate::dialect::ir::Request;
use crate::dialect::{FaultClass, ProviderFault, Target};
use crate::error::{GatewayError, Kind};

/// Writes the request.
///
/// # Errors
/// The request asks for what the dialect cannot express.
pub fn request(_request: &Request, _target: &Target<'_>) -> Result<Bytes, GatewayError> {
    Err(GatewayError::new(Kind::Internal, "not built"))
}

/// What an error answer means.
pub fn provider_fault(status: u16, _body: &[u8]) -> ProviderFault {
    ProviderFault { class: FaultClass::of_status(status), code: None, message: String::new() }
}
