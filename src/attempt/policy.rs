//! Outcome → policy, and policy and circumstances → what to do next.

use std::time::Duration;

use super::outcome::Outcome;
use crate::balance::{InFlight, Nanos};
use crate::dialect::FaultClass;
use crate::error::Kind;

/// What to do after a failed try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try the plan's next candidate.
    AnotherEndpoint,
    /// Try the same endpoint again on a new connection. Nothing was processed, so this costs no
    /// retry of the budget and the endpoint's guard is kept.
    SameEndpointOnce,
    /// Try the same endpoint again with another of the provider's keys: that key alone was rate
    /// limited or refused. The endpoint's guard is kept.
    SameEndpointOtherKey,
    /// Tell the client.
    GiveUp,
}

/// What a try's failure says about the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Penalty {
    /// Nothing.
    None,
    /// It failed.
    Failure,
    /// It failed and may have said when to come back.
    Overloaded(Option<Duration>),
    /// It has had enough of us for now and may have said until when.
    RateLimited(Option<Duration>),
    /// It refuses us until the operator changes something, or, where it is known when another
    /// credential is back, for so long.
    Credentials(Option<Duration>),
    /// None, but it is known to take so long at least.
    Slow,
}

impl Penalty {
    /// Reports to the endpoint's health. Gives whether this opened its breaker, for the log.
    pub fn apply(self, guard: InFlight, now: Nanos, seed: u64) -> bool {
        match self {
            Self::None => drop(guard),
            Self::Failure => return guard.failure(now, seed),
            Self::Overloaded(retry_after) => return guard.overloaded(retry_after, now, seed),
            Self::RateLimited(retry_after) => guard.rate_limited(retry_after, now),
            Self::Credentials(pause) => guard.credentials(pause, now),
            Self::Slow => guard.beaten(now),
        }
        false
    }
}

/// The three answers to an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether another try can help.
    pub next: Next,
    /// What to think of the endpoint.
    pub penalty: Penalty,
    /// What the client is told if this is the only thing that went wrong.
    pub client: Kind,
}

impl Policy {
    const fn another(penalty: Penalty, client: Kind) -> Self {
        Self { next: Next::AnotherEndpoint, penalty, client }
    }

    const fn give_up(penalty: Penalty, client: Kind) -> Self {
        Self { next: Next::GiveUp, penalty, client }
    }
}

/// The table of the [module documentation](super).
pub const fn judge(outcome: &Outcome) -> Policy {
    match outcome {
        Outcome::ConnectRefused
        | Outcome::Dns
        | Outcome::Tls
        | Outcome::ConnectionReset
        | Outcome::InBandError
        | Outcome::EmptyAnswer
        | Outcome::EarlyEof
        | Outcome::Garbled
        | Outcome::TooLarge => Policy::another(Penalty::Failure, Kind::ProviderFailed),
        Outcome::ConnectTimeout | Outcome::FirstTokenTimeout | Outcome::AnswerTimeout => {
            Policy::another(Penalty::Failure, Kind::ProviderTimeout)
        }
        Outcome::InterEventTimeout => Policy::another(Penalty::Failure, Kind::ProviderTimeout),
        Outcome::StalePooledConnection => Policy {
            next: Next::SameEndpointOnce,
            ..Policy::another(Penalty::None, Kind::ProviderFailed)
        },
        Outcome::Status { class, retry_after, .. } => judge_status(*class, *retry_after),
        Outcome::CutMidStream => Policy::another(Penalty::Failure, Kind::ProviderFailed),
        // It said something else, which is its right.
        Outcome::Diverged => Policy::another(Penalty::None, Kind::ProviderFailed),
        // Nothing follows: the answer is there.
        Outcome::Beaten => Policy::give_up(Penalty::Slow, Kind::ProviderTimeout),
        Outcome::ClientGone => Policy::give_up(Penalty::None, Kind::RequestTimeout),
        Outcome::CreditOut => Policy::give_up(Penalty::None, Kind::InsufficientCredits),
        Outcome::Internal => Policy::give_up(Penalty::None, Kind::Internal),
    }
}

const fn judge_status(class: FaultClass, retry_after: Option<Duration>) -> Policy {
    match class {
        FaultClass::InvalidRequest => Policy::give_up(Penalty::None, Kind::InvalidRequest),
        FaultClass::ContextLength => Policy::another(Penalty::None, Kind::ContextLength),
        FaultClass::ContentPolicy => Policy::another(Penalty::None, Kind::ContentPolicy),
        FaultClass::Authentication
        | FaultClass::Billing
        | FaultClass::Permission
        | FaultClass::NotFound => Policy::another(Penalty::Credentials(None), Kind::ProviderFailed),
        FaultClass::Timeout => Policy::another(Penalty::Failure, Kind::ProviderTimeout),
        FaultClass::Conflict => Policy::another(Penalty::None, Kind::ProviderFailed),
        FaultClass::RateLimited => {
            Policy::another(Penalty::RateLimited(retry_after), Kind::RateLimited)
        }
        FaultClass::Overloaded => {
            Policy::another(Penalty::Overloaded(retry_after), Kind::Unavailable)
        }
        FaultClass::Server => Policy::another(Penalty::Failure, Kind::ProviderFailed),
    }
}

/// Whether a failure is a matter of the credential that was used, where there are several.
pub const fn is_of_key(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Status {
            class: FaultClass::RateLimited
                | FaultClass::Authentication
                | FaultClass::Billing
                | FaultClass::Permission,
            ..
        }
    )
}

/// The circumstances of a failed try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// Semantic bytes are with the client.
    pub sent: bool,
    /// Another endpoint may go on with what was sent.
    pub resumable: bool,
    /// This try was to do so. If it is refused as invalid, that may be for how it was asked.
    pub resumes: bool,
    /// The plan has a candidate that was not tried, and another attempt is allowed.
    pub candidates_left: bool,
    /// This endpoint has had its second chance in this attempt.
    pub same_retried: bool,
    /// The failure is a matter of the key that was used, and another of the endpoint's keys is
    /// free.
    pub other_key: bool,
}

/// What to do after a failed try. `withdraw` asks the retry budget; it is called at most once, and
/// only if everything else allows another try, so that no retry is counted that is not made.
pub fn decide(policy: &Policy, context: &Context, withdraw: impl FnOnce() -> bool) -> Next {
    if context.sent && !context.resumable {
        return Next::GiveUp;
    }
    let next = match policy.next {
        Next::GiveUp if context.resumes && policy.client == Kind::InvalidRequest => {
            Next::AnotherEndpoint
        }
        next => next,
    };
    match next {
        Next::GiveUp => Next::GiveUp,
        Next::AnotherEndpoint if context.other_key && !context.sent => {
            if withdraw() {
                Next::SameEndpointOtherKey
            } else {
                Next::GiveUp
            }
        }
        Next::SameEndpointOnce if !context.same_retried => Next::SameEndpointOnce,
        Next::SameEndpointOnce | Next::SameEndpointOtherKey | Next::AnotherEndpoint => {
            if context.candidates_left && withdraw() { Next::AnotherEndpoint } else { Next::GiveUp }
        }
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
