//! Errors of plugins, as the client is told.

use turnpike_plugin_api::Refusal;

use super::chain::Configured;
use crate::error::{Blocked, GatewayError, Kind};

/// The longest text of a refusal, in bytes.
const TEXT_MAX: usize = 2_048;
/// The most reasons, and the longest of them in bytes.
const REASONS_MAX: usize = 32;
const REASON_MAX: usize = 128;

/// A plugin refuses a request.
pub(super) fn refused(configured: &Configured, refusal: Refusal) -> GatewayError {
    let mut reasons = refusal.reasons;
    reasons.truncate(REASONS_MAX);
    reasons.iter_mut().for_each(|reason| cut(reason, REASON_MAX));
    let mut text = refusal.text;
    cut(&mut text, TEXT_MAX);
    let blocked = Blocked { plugin: configured.definition.id, code: refusal.code, reasons };
    GatewayError::new(kind(refusal.status), text).with_blocked(blocked)
}

/// A plugin has failed, and the operator wants such requests to fail.
pub(super) fn failed(configured: &Configured) -> GatewayError {
    let id = configured.definition.id;
    let text = format!(
        "The plugin `{id}` failed, and this gateway serves no request without it. Try again later."
    );
    GatewayError::new(Kind::Internal, text).with_detail(format!("the plugin {id} failed"))
}

/// The kind of error whose status a plugin wants.
fn kind(status: u16) -> Kind {
    match status {
        401 => Kind::Unauthenticated,
        402 => Kind::InsufficientCredits,
        403 => Kind::ContentPolicy,
        404 => Kind::NotFound,
        408 => Kind::RequestTimeout,
        413 => Kind::PayloadTooLarge,
        415 => Kind::UnsupportedMediaType,
        429 => Kind::RateLimited,
        500 => Kind::Internal,
        503 => Kind::Unavailable,
        504 => Kind::ProviderTimeout,
        501..=599 => Kind::ProviderFailed,
        _ => Kind::InvalidRequest,
    }
}

fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
}
