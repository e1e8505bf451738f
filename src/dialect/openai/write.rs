//! The hub's request → a chat completion request, for surfaces and hosts where bytes can't pass.

use bytes::Bytes;

use crate::dialect::Target;
use crate::dialect::ir::Request;
use crate::error::{GatewayError, Kind};

/// Writes the request.
///
/// # Errors
/// The request asks for what the host cannot do.
pub fn write(_request: &Request, _target: &Target<'_>) -> Result<Bytes, GatewayError> {
    Err(GatewayError::new(Kind::Internal, "not built"))
}
