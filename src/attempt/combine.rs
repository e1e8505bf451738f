//! Several failed tries → the one error that the client sees.
//!
//! The client can act on one thing only, so the error says what would help: to wait (429, 503), to
//! ask again (502, 504), to change the request (400, 403), or to call the operator. A request that
//! one provider refused as too long and another failed to answer is not the client's fault yet:
//! asking again may help, so the provider's failure wins.

use std::fmt::Write as _;
use std::time::Duration;

use super::outcome::Outcome;
use super::policy::{Next, Penalty, judge};
use crate::balance::Nanos;
use crate::error::{Fault, GatewayError, Kind, ProviderSaid};
use crate::vocab::EndpointId;

/// One failed try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptReport {
    /// Where.
    pub endpoint: EndpointId,
    /// The provider's display name.
    pub provider: String,
    /// How it failed.
    pub outcome: Outcome,
    /// When it began.
    pub started: Nanos,
    /// When it failed.
    pub ended: Nanos,
    /// The provider's own error message, bounded and scrubbed; for the client only, since it may
    /// quote the request.
    pub message: Option<String>,
    /// What the provider answered, if it did.
    pub said: Option<ProviderSaid>,
}

/// Tries beyond these are not listed in texts.
const LISTED_MAX: usize = 8;

/// The error that the client sees, from the failed tries of its request in their order.
pub fn combine(reports: &[AttemptReport]) -> GatewayError {
    let Some(last) = reports.last() else {
        return GatewayError::new(
            Kind::Unavailable,
            "No provider could be tried. Try again in a moment.",
        );
    };
    let kind = kind_of(reports, last);
    let retry_after = retry_after(reports, kind);
    let mut error = GatewayError::new(kind, text(reports, last, kind, retry_after))
        .with_detail(detail(reports));
    error.retry_after = retry_after;
    error.provider = reports.iter().rev().find_map(|report| report.said.clone());
    error
}

fn kind_of(reports: &[AttemptReport], last: &AttemptReport) -> Kind {
    let verdict = judge(&last.outcome);
    if verdict.next == Next::GiveUp {
        return verdict.client;
    }
    let mut kinds = counted(reports).map(|report| judge(&report.outcome).client);
    let of_providers = |kind: &Kind| kind.fault() == Fault::Provider;
    let Some(first) = kinds.by_ref().find(of_providers) else {
        return verdict.client;
    };
    kinds.filter(of_providers).fold(first, |sum, kind| match (sum, kind) {
        _ if sum == kind => sum,
        (Kind::RateLimited | Kind::Unavailable, Kind::RateLimited | Kind::Unavailable) => {
            Kind::Unavailable
        }
        _ => Kind::ProviderFailed,
    })
}

/// The tries that say something: a stale pooled connection, and one that was overtaken, were followed
/// by a better one.
fn counted(reports: &[AttemptReport]) -> impl Iterator<Item = &AttemptReport> {
    let silent = |report: &AttemptReport| {
        matches!(report.outcome, Outcome::StalePooledConnection | Outcome::Beaten)
    };
    let all_silent = reports.iter().all(silent);
    reports.iter().filter(move |report| all_silent || !silent(report))
}

/// The shortest wait that a provider named, where waiting is what helps.
fn retry_after(reports: &[AttemptReport], kind: Kind) -> Option<Duration> {
    let hints = reports.iter().filter_map(|report| match &report.outcome {
        Outcome::Status { retry_after, .. } => *retry_after,
        _ => None,
    });
    matches!(kind, Kind::RateLimited | Kind::Unavailable).then(|| hints.min()).flatten()
}

fn text(
    reports: &[AttemptReport],
    last: &AttemptReport,
    kind: Kind,
    retry_after: Option<Duration>,
) -> String {
    let provider = &last.provider;
    let mut text = match kind {
        Kind::InvalidRequest | Kind::ContextLength | Kind::ContentPolicy => {
            return client_text(last, kind);
        }
        Kind::Internal => {
            return "The gateway failed. Try again; if it happens again, tell its operator the \
                    generation id."
                .to_owned();
        }
        _ if last.outcome == Outcome::ClientGone => {
            return "The client left before the answer was complete.".to_owned();
        }
        _ if matches!(last.outcome, Outcome::CutMidStream | Outcome::Diverged) => {
            return format!(
                "The answer of {provider} broke off. What was delivered is charged. Ask again."
            );
        }
        Kind::RateLimited => "Every provider that was tried is rate limited".to_owned(),
        Kind::Unavailable => "Every provider that was tried is overloaded".to_owned(),
        Kind::ProviderTimeout => "Every provider that was tried took too long".to_owned(),
        _ => "Every provider that was tried failed".to_owned(),
    };
    list(reports, &mut text);
    match retry_after {
        _ if counted(reports).all(needs_operator) => text.push_str(
            " The gateway's own account with the provider was refused, or its catalog is wrong: \
             asking again will not help until the gateway's operator has set that right.",
        ),
        Some(wait) => put(
            &mut text,
            format_args!(" Ask again in {} s, or name fallback models in `models`.", ceil(wait)),
        ),
        None if kind == Kind::ProviderTimeout => {
            text.push_str(" Ask again, shorten the request, or name fallback models in `models`.")
        }
        None => text.push_str(" Ask again in a moment, or name fallback models in `models`."),
    }
    text
}

/// What is wrong with the request, in the provider's words if it gave some.
fn client_text(last: &AttemptReport, kind: Kind) -> String {
    let (what, help) = match kind {
        Kind::ContextLength => (
            "finds the prompt and the completion asked for too long for the model",
            "Shorten the prompt, lower `max_tokens`, or choose a model with a larger context.",
        ),
        Kind::ContentPolicy => (
            "refuses the request under its content policy",
            "Change the prompt, or choose another model or provider.",
        ),
        _ => (
            "refuses the request as invalid",
            "Correct it; sending it again unchanged will not help.",
        ),
    };
    let provider = &last.provider;
    match last.message.as_deref().map(str::trim) {
        Some(words) if !words.is_empty() => {
            let stop = if words.ends_with(['.', '!', '?']) { "" } else { "." };
            format!("{provider} {what}: {words}{stop} {help}")
        }
        _ => format!("{provider} {what}. {help}"),
    }
}

fn needs_operator(report: &AttemptReport) -> bool {
    judge(&report.outcome).penalty == Penalty::Credentials(None)
}

/// ` (A: HTTP 500; B: connection refused).`
fn list(reports: &[AttemptReport], text: &mut String) {
    let mut before = " (";
    for report in counted(reports).take(LISTED_MAX) {
        put(text, format_args!("{before}{}: {}", report.provider, report.outcome));
        before = "; ";
    }
    let more = counted(reports).count().saturating_sub(LISTED_MAX);
    if more > 0 {
        put(text, format_args!("; and {more} more"));
    }
    text.push_str(").");
}

/// For the log: endpoints, outcomes and times; nothing that a provider said.
fn detail(reports: &[AttemptReport]) -> String {
    let mut text = String::new();
    for (i, report) in reports.iter().enumerate() {
        let before = if i == 0 { "" } else { ", " };
        let took = report.ended.since(report.started).as_millis();
        let (endpoint, label) = (&report.endpoint, report.outcome.label());
        put(&mut text, format_args!("{before}{endpoint} {label} after {took} ms"));
    }
    text
}

/// Seconds, rounded up: a client that waits for less asks in vain.
fn ceil(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    text.write_fmt(what).unwrap_or_default();
}

#[cfg(test)]
#[path = "combine_tests.rs"]
mod tests;
