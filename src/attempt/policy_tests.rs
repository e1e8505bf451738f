//! The table, row by row.

use super::*;

const HINT: Option<Duration> = Some(Duration::from_secs(7));

fn status(class: FaultClass, status: u16) -> Outcome {
    Outcome::Status { class, status, retry_after: HINT }
}

/// Outcome, next, penalty, status for the client.
fn table() -> Vec<(Outcome, Next, Penalty, u16)> {
    use FaultClass as F;
    use Next::{AnotherEndpoint as Another, GiveUp, SameEndpointOnce as Same};
    use Penalty::{Credentials, Failure, None, Overloaded, RateLimited, Slow};
    vec![
        (Outcome::ConnectRefused, Another, Failure, 502),
        (Outcome::Dns, Another, Failure, 502),
        (Outcome::Tls, Another, Failure, 502),
        (Outcome::ConnectTimeout, Another, Failure, 504),
        (Outcome::ConnectionReset, Another, Failure, 502),
        (Outcome::StalePooledConnection, Same, None, 502),
        (Outcome::FirstTokenTimeout, Another, Failure, 504),
        (Outcome::AnswerTimeout, Another, Failure, 504),
        (Outcome::InterEventTimeout, Another, Failure, 504),
        (status(F::RateLimited, 429), Another, RateLimited(HINT), 429),
        (status(F::Overloaded, 529), Another, Overloaded(HINT), 503),
        (status(F::Timeout, 408), Another, Failure, 504),
        (status(F::Conflict, 409), Another, None, 502),
        (status(F::Server, 500), Another, Failure, 502),
        (status(F::Authentication, 401), Another, Credentials(Option::None), 502),
        (status(F::Billing, 402), Another, Credentials(Option::None), 502),
        (status(F::Permission, 403), Another, Credentials(Option::None), 502),
        (status(F::NotFound, 404), Another, Credentials(Option::None), 502),
        (status(F::ContextLength, 400), Another, None, 400),
        (status(F::ContentPolicy, 400), Another, None, 403),
        (status(F::InvalidRequest, 422), GiveUp, None, 400),
        (Outcome::InBandError, Another, Failure, 502),
        (Outcome::EmptyAnswer, Another, Failure, 502),
        (Outcome::EarlyEof, Another, Failure, 502),
        (Outcome::Garbled, Another, Failure, 502),
        (Outcome::TooLarge, Another, Failure, 502),
        (Outcome::CutMidStream, Another, Failure, 502),
        (Outcome::Diverged, Another, None, 502),
        (Outcome::Beaten, GiveUp, Slow, 504),
        (Outcome::ClientGone, GiveUp, None, 408),
        (Outcome::CreditOut, GiveUp, None, 402),
        (Outcome::Internal, GiveUp, None, 500),
    ]
}

#[test]
fn every_row_is_as_documented() {
    for (outcome, next, penalty, client) in table() {
        let policy = judge(&outcome);
        assert_eq!(policy.next, next, "{outcome:?}: next");
        assert_eq!(policy.penalty, penalty, "{outcome:?}: penalty");
        assert_eq!(policy.client.status(), client, "{outcome:?}: client");
    }
}

#[test]
fn labels_are_distinct() {
    let mut labels: Vec<&str> = table().iter().map(|row| row.0.label()).collect();
    labels.sort_unstable();
    labels.dedup();
    assert_eq!(labels.len(), table().len());
}

#[test]
fn circumstances_only_ever_forbid() {
    for (outcome, ..) in table() {
        let policy = judge(&outcome);
        for bits in 0..128_u8 {
            let context = Context {
                sent: bits & 1 != 0,
                candidates_left: bits & 2 != 0,
                same_retried: bits & 4 != 0,
                resumable: bits & 16 != 0,
                resumes: bits & 32 != 0,
                other_key: bits & 64 != 0 && is_of_key(&outcome),
            };
            let budget = bits & 8 != 0;
            let mut asked = 0;
            let next = decide(&policy, &context, || {
                asked += 1;
                budget
            });
            let expected = match policy.next {
                _ if context.sent && !context.resumable => Next::GiveUp,
                Next::GiveUp if !(context.resumes && is_refused(&outcome)) => Next::GiveUp,
                Next::SameEndpointOnce if !context.same_retried => Next::SameEndpointOnce,
                _ if context.other_key && !context.sent && budget => Next::SameEndpointOtherKey,
                _ if context.other_key && !context.sent => Next::GiveUp,
                _ if context.candidates_left && budget => Next::AnotherEndpoint,
                _ => Next::GiveUp,
            };
            assert_eq!(next, expected, "{outcome:?} in {context:?}, budget {budget}");
            let counts = matches!(next, Next::AnotherEndpoint | Next::SameEndpointOtherKey);
            assert!(asked <= 1 && (!counts || asked == 1), "{outcome:?}");
            let in_vain = asked > 0 && !context.candidates_left && !context.other_key;
            assert!(!in_vain, "no retry is counted in vain");
        }
    }
}

/// Whether the request itself is at fault.
fn is_refused(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Status { class: FaultClass::InvalidRequest, .. })
}

#[test]
fn answers_become_outcomes() {
    use crate::dialect::AnswerFault as Fault;
    let in_band = Fault::InBand { code: None, message: String::new() };
    let rows = [
        (&in_band, Outcome::InBandError, Outcome::CutMidStream),
        (&Fault::Truncated, Outcome::EarlyEof, Outcome::CutMidStream),
        (&Fault::Garbled("x"), Outcome::Garbled, Outcome::CutMidStream),
        (&Fault::Empty, Outcome::EmptyAnswer, Outcome::EmptyAnswer),
        (&Fault::TooLarge, Outcome::TooLarge, Outcome::CutMidStream),
    ];
    for (fault, before, after) in rows {
        assert_eq!(Outcome::of_answer(fault, false), before, "{fault:?} before the first token");
        assert_eq!(Outcome::of_answer(fault, true), after, "{fault:?} after it");
    }
}

#[test]
fn penalties_reach_the_health() {
    use crate::balance::{Availability, BreakerState, EndpointHealth, Settings, Wait};
    use std::sync::Arc;
    let after = |outcome: Outcome, times: u32| {
        let health = Arc::new(EndpointHealth::new(Settings::default()));
        for _ in 0..times {
            let guard = health.admit_anyway(Wait::FirstToken, Nanos(0));
            judge(&outcome).penalty.apply(guard, Nanos(0), 1);
        }
        assert_eq!(health.in_flight(), 0, "{outcome:?} leaves");
        (health.availability(Nanos(0)), health.breaker_state(Nanos(0)))
    };
    let cooling = |s: u64| Availability::Cooling(Nanos(s * 1_000_000_000));
    let ready = (Availability::Ready, BreakerState::Closed);
    assert_eq!(after(status(FaultClass::RateLimited, 429), 9), (cooling(7), BreakerState::Closed));
    let refused = status(FaultClass::Authentication, 401);
    assert_eq!(after(refused, 9), (cooling(30), BreakerState::Closed));
    assert_eq!(after(Outcome::ConnectRefused, 4), ready);
    assert_eq!(after(Outcome::ConnectRefused, 5).1, BreakerState::Open);
    assert_eq!(after(status(FaultClass::Overloaded, 503), 5).1, BreakerState::Open);
    for blameless in [
        Outcome::Beaten,
        Outcome::ClientGone,
        Outcome::CreditOut,
        Outcome::Internal,
        Outcome::StalePooledConnection,
        status(FaultClass::InvalidRequest, 400),
        status(FaultClass::ContextLength, 400),
    ] {
        assert_eq!(after(blameless, 50), ready, "{blameless:?}");
    }
}
