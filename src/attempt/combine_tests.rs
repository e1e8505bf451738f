//! Which error wins, and what its text says.

use super::*;
use crate::dialect::FaultClass;

fn report(provider: &str, outcome: Outcome) -> AttemptReport {
    AttemptReport {
        endpoint: EndpointId::parse(&format!("{provider}/m")).expect("an id"),
        provider: provider.to_owned(),
        outcome,
        started: Nanos(1_000_000),
        ended: Nanos(13_000_000),
        message: None,
        said: None,
    }
}

fn status(class: FaultClass, status: u16, retry_s: Option<u64>) -> Outcome {
    Outcome::Status { class, status, retry_after: retry_s.map(Duration::from_secs) }
}

fn all(outcomes: &[Outcome]) -> GatewayError {
    let reports: Vec<_> = outcomes
        .iter()
        .zip(["Alpha", "Beta", "Gamma", "Delta"])
        .map(|(outcome, provider)| report(provider, *outcome))
        .collect();
    combine(&reports)
}

#[test]
fn the_error_that_helps_wins() {
    use FaultClass as F;
    let limited = |s| status(F::RateLimited, 429, s);
    let busy = |s| status(F::Overloaded, 503, s);
    let broken = status(F::Server, 500, Some(3));
    let (long, policy) = (status(F::ContextLength, 400, None), status(F::ContentPolicy, 400, None));
    let invalid = status(F::InvalidRequest, 400, None);
    let late = Outcome::FirstTokenTimeout;
    let rows: &[(&[Outcome], u16, Option<u64>)] = &[
        (&[], 503, None),
        (&[limited(Some(9)), limited(None), limited(Some(4))], 429, Some(4)),
        (&[limited(None)], 429, None),
        (&[late, Outcome::ConnectTimeout, Outcome::AnswerTimeout], 504, None),
        (&[busy(Some(5)), busy(None)], 503, Some(5)),
        (&[limited(Some(2)), busy(Some(5))], 503, Some(2)),
        (&[busy(None), limited(Some(2)), busy(None)], 503, Some(2)),
        (&[limited(Some(2)), broken], 502, None),
        (&[late, Outcome::ConnectRefused], 502, None),
        (&[broken, Outcome::EmptyAnswer, Outcome::Garbled], 502, None),
        (&[long, long], 400, None),
        (&[long, policy], 403, None),
        (&[long, broken], 502, None),
        (&[broken, long], 502, None),
        (&[limited(Some(2)), long], 429, Some(2)),
        (&[broken, invalid], 400, None),
        (&[status(F::Authentication, 401, None)], 502, None),
        (&[Outcome::StalePooledConnection, limited(Some(1))], 429, Some(1)),
        (&[Outcome::StalePooledConnection], 502, None),
        (&[broken, Outcome::CutMidStream], 502, None),
        (&[Outcome::Beaten, limited(Some(1))], 429, Some(1)),
        (&[broken, Outcome::Internal], 500, None),
    ];
    for (outcomes, expected, retry_s) in rows {
        let error = all(outcomes);
        assert_eq!(error.kind.status(), *expected, "{outcomes:?}: {error}");
        assert_eq!(error.retry_after, retry_s.map(Duration::from_secs), "{outcomes:?}");
    }
}

#[test]
fn texts_say_what_to_do() {
    let limited = Outcome::Status {
        class: FaultClass::RateLimited,
        status: 429,
        retry_after: Some(Duration::from_millis(1_200)),
    };
    assert_eq!(
        all(&[limited, limited]).message,
        "Every provider that was tried is rate limited (Alpha: HTTP 429; Beta: HTTP 429). Ask \
         again in 2 s, or name fallback models in `models`."
    );
    assert_eq!(
        all(&[Outcome::ConnectRefused, status(FaultClass::Server, 500, None)]).message,
        "Every provider that was tried failed (Alpha: connection refused; Beta: HTTP 500). Ask \
         again in a moment, or name fallback models in `models`."
    );
    let refused = all(&[status(FaultClass::Authentication, 401, None)]);
    assert!(refused.message.contains("operator"), "{refused}");
    let mixed = all(&[status(FaultClass::Billing, 402, None), Outcome::Dns]);
    assert!(!mixed.message.contains("operator"), "asking again may help: {mixed}");
    assert_eq!(
        mixed.detail.as_deref(),
        Some("Alpha/m status_billing after 12 ms, Beta/m dns after 12 ms")
    );
}

#[test]
fn the_providers_words_reach_the_client_but_not_the_log() {
    let said = ProviderSaid {
        provider: "Alpha".to_owned(),
        status: 422,
        code: Some("bad_field".to_owned()),
        raw: "{\"error\":\"PROMPT\"}".to_owned(),
    };
    let mut bad = report("Alpha", status(FaultClass::InvalidRequest, 422, None));
    bad.message = Some("temperature must be below 2, not in PROMPT".to_owned());
    bad.said = Some(said.clone());
    let error = combine(&[report("Beta", Outcome::Tls), bad.clone()]);
    assert_eq!(
        error.message,
        "Alpha refuses the request as invalid: temperature must be below 2, not in PROMPT. \
         Correct it; sending it again unchanged will not help."
    );
    assert_eq!(error.provider, Some(said.clone()));
    assert!(!error.detail.unwrap_or_default().contains("PROMPT"), "nothing of it in the log");

    bad.outcome = status(FaultClass::Server, 500, None);
    let error = combine(&[bad, report("Beta", Outcome::Tls)]);
    assert_eq!(error.provider, Some(said), "the last that said something");
    assert!(!error.message.contains("PROMPT"));
}

#[test]
fn long_lists_are_bounded() {
    let many: Vec<_> = (0..40).map(|_| report("Alpha", Outcome::Dns)).collect();
    let error = combine(&many);
    assert!(error.message.contains("; and 32 more)."), "{error}");
}
