//! Errors as the client sees them, and the one table that gives each its status and code.
//!
//! A [`GatewayError`] has two texts: `message` is for the client and says what to do; `detail` is
//! for the log and never leaves the process. Neither may hold a key, a prompt or an answer. How an
//! error is spelled on the wire is the business of the client's dialect (`dialect::chat`).

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Whose fault an error is: it decides the log level and whether another try can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request is wrong; sending it again will not help.
    Client,
    /// A provider failed, refused or could not be reached.
    Provider,
    /// Turnpike itself failed.
    Gateway,
}

/// What went wrong, as a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The body is not valid JSON, or a field has a wrong type or value.
    InvalidRequest,
    /// No key was sent, or the key is unknown, disabled or expired.
    Unauthenticated,
    /// The account's credit does not cover the request.
    InsufficientCredits,
    /// The key may not do this.
    Forbidden,
    /// A provider's or our own content policy refuses the request.
    ContentPolicy,
    /// There is no such route.
    NotFound,
    /// The catalog has no such model.
    ModelNotFound,
    /// The model exists, but the caller's own restrictions leave no endpoint.
    NoEndpoints,
    /// The route exists, but not for this method.
    MethodNotAllowed,
    /// The client took too long to send its request.
    RequestTimeout,
    /// The body is larger than the configured limit.
    PayloadTooLarge,
    /// The header is larger than the limit.
    HeaderTooLarge,
    /// The body is not JSON by its `Content-Type`, or is compressed.
    UnsupportedMediaType,
    /// The prompt does not fit any candidate's context.
    ContextLength,
    /// A rate limit, of ours or of every provider that was tried.
    RateLimited,
    /// A bug in Turnpike.
    Internal,
    /// Every provider that was tried failed or answered garbage.
    ProviderFailed,
    /// No provider is available, or the gateway is draining or its ledger is unavailable.
    Unavailable,
    /// Every provider that was tried took too long.
    ProviderTimeout,
}

impl Kind {
    /// Every kind, for tests and documentation.
    pub const ALL: [Self; 19] = [
        Self::InvalidRequest,
        Self::Unauthenticated,
        Self::InsufficientCredits,
        Self::Forbidden,
        Self::ContentPolicy,
        Self::NotFound,
        Self::ModelNotFound,
        Self::NoEndpoints,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::PayloadTooLarge,
        Self::HeaderTooLarge,
        Self::UnsupportedMediaType,
        Self::ContextLength,
        Self::RateLimited,
        Self::Internal,
        Self::ProviderFailed,
        Self::Unavailable,
        Self::ProviderTimeout,
    ];

    /// Whose fault it is, the HTTP status, and the stable code (OpenRouter's `error_type`
    /// vocabulary). No other place picks a status.
    pub const fn policy(self) -> (Fault, u16, &'static str) {
        match self {
            Self::InvalidRequest => (Fault::Client, 400, "invalid_request"),
            Self::Unauthenticated => (Fault::Client, 401, "authentication"),
            Self::InsufficientCredits => (Fault::Client, 402, "payment_required"),
            Self::Forbidden => (Fault::Client, 403, "permission_denied"),
            Self::ContentPolicy => (Fault::Client, 403, "content_policy_violation"),
            Self::NotFound => (Fault::Client, 404, "not_found"),
            Self::ModelNotFound => (Fault::Client, 404, "model_not_found"),
            Self::NoEndpoints => (Fault::Client, 404, "no_endpoints"),
            Self::MethodNotAllowed => (Fault::Client, 405, "method_not_allowed"),
            Self::RequestTimeout => (Fault::Client, 408, "timeout"),
            Self::PayloadTooLarge => (Fault::Client, 413, "payload_too_large"),
            Self::HeaderTooLarge => (Fault::Client, 431, "header_too_large"),
            Self::UnsupportedMediaType => (Fault::Client, 415, "unsupported_media_type"),
            Self::ContextLength => (Fault::Client, 400, "context_length_exceeded"),
            Self::RateLimited => (Fault::Provider, 429, "rate_limit_exceeded"),
            Self::Internal => (Fault::Gateway, 500, "server"),
            Self::ProviderFailed => (Fault::Provider, 502, "provider_unavailable"),
            Self::Unavailable => (Fault::Provider, 503, "provider_overloaded"),
            Self::ProviderTimeout => (Fault::Provider, 504, "timeout"),
        }
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        self.policy().1
    }

    /// The stable code.
    pub const fn code(self) -> &'static str {
        self.policy().2
    }

    /// Whose fault it is.
    pub const fn fault(self) -> Fault {
        self.policy().0
    }
}

/// What a provider said when it refused, bounded and scrubbed of secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSaid {
    /// The provider's display name.
    pub provider: String,
    /// The HTTP status that it sent.
    pub status: u16,
    /// The provider's own error code or type, if it gave one.
    pub code: Option<String>,
    /// At most [`ProviderSaid::RAW_MAX`] bytes of its body.
    pub raw: String,
}

impl ProviderSaid {
    /// The longest excerpt of a provider's error body that is handed on, in bytes.
    pub const RAW_MAX: usize = 1024;
}

/// Why nothing could serve a request, for programs: OpenRouter's `availability` (its errors page,
/// read 2026-08).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Availability {
    /// The reason in one word, for instance `constraint_filtered`.
    pub code: &'static str,
    /// The models that were asked for.
    pub models: Vec<String>,
    /// The filters that removed endpoints.
    pub excluded_by: Vec<&'static str>,
    /// Slugs of the providers that were removed.
    pub providers: Vec<String>,
    /// The request's field behind the last filter.
    pub field: Option<&'static str>,
}

/// A limit of the caller's that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// How much it allows.
    pub limit: u64,
    /// How much of it is left.
    pub remaining: u64,
    /// When it begins anew, in milliseconds since 1970.
    pub reset_ms: u64,
}

/// A plugin that refused a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Its name.
    pub plugin: &'static str,
    /// Its own stable name for what it refused.
    pub code: Cow<'static, str>,
    /// Names of what it found.
    pub reasons: Vec<String>,
}

/// An error on its way to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayError {
    /// What went wrong.
    pub kind: Kind,
    /// For the client: what is wrong and what to do about it.
    pub message: String,
    /// The request field at fault, if one is.
    pub param: Option<String>,
    /// For the log only.
    pub detail: Option<String>,
    /// When trying again may help.
    pub retry_after: Option<Duration>,
    /// What the last provider said, if one answered.
    pub provider: Option<ProviderSaid>,
    /// Why nothing could serve the request, if that is the error.
    pub availability: Option<Box<Availability>>,
    /// The caller's own limit, if that is the error.
    pub limit: Option<RateLimit>,
    /// The plugin that refused the request, if one did.
    pub blocked: Option<Box<Blocked>>,
}

impl GatewayError {
    /// An error with a text for the client.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            kind,
            message,
            param: None,
            detail: None,
            retry_after: None,
            provider: None,
            availability: None,
            limit: None,
            blocked: None,
        }
    }

    /// Names the request field at fault.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Adds what only the log may see.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Says when trying again may help.
    #[must_use]
    pub const fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Adds why nothing could serve the request.
    #[must_use]
    pub fn with_availability(mut self, why: Availability) -> Self {
        self.availability = Some(Box::new(why));
        self
    }

    /// Adds the caller's own limit.
    #[must_use]
    pub const fn with_limit(mut self, limit: RateLimit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Adds the plugin that refused the request.
    #[must_use]
    pub fn with_blocked(mut self, blocked: Blocked) -> Self {
        self.blocked = Some(Box::new(blocked));
        self
    }

    /// Adds what the provider said.
    #[must_use]
    pub fn with_provider(mut self, said: ProviderSaid) -> Self {
        self.provider = Some(said);
        self
    }
}

impl fmt::Display for GatewayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.kind.status(), self.kind.code(), self.message)
    }
}

impl std::error::Error for GatewayError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_an_error_status_and_a_code() {
        for kind in Kind::ALL {
            let (fault, status, code) = kind.policy();
            assert!((400..600).contains(&status), "{kind:?} has an error status");
            assert!(!code.is_empty(), "{kind:?} has a code");
            assert!(fault != Fault::Client || status < 500, "{kind:?}: a client's fault is a 4xx");
        }
    }
}
