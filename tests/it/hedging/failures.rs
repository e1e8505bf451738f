//! What fails while two are asked: the other answers, or the next is asked; and a client that leaves.

use serde_json::{Value, json};
use turnpike::dialect::Dialect;
use turnpike::simulate::{ErrorBody, Fault};

use super::{COST, EAGER, NEVER_MS, PATIENT, Stage, body, counting, eventually, tried, whole_text};
use crate::support::Setup;

#[test]
fn a_second_one_that_fails_leaves_the_first() {
    for (fault, outcome) in [
        (Fault::Status(500), "status_server"),
        (Fault::Reset, "connection_reset"),
        (Fault::InBand, "in_band_error"),
        (Fault::CutBefore, "early_eof"),
        (Fault::Empty, "empty_answer"),
        (Fault::EmptyBody, "empty_answer"),
        (Fault::Garbage, "garbled"),
    ] {
        let stage = Stage::openai(EAGER);
        stage.set("one", counting(1_200));
        stage.fails("two", 1, fault);
        let answer = stage.expect(&[outcome, "ok"]);
        assert_eq!(stage.line(&answer)["gen_ai.provider.name"], "one", "{fault}");
        assert_eq!(stage.hedges("failed"), 1, "{fault}");
        stage.close(COST);
    }
}

#[test]
fn a_first_one_that_fails_leaves_the_second() {
    for (fault, outcome) in [
        (Fault::CutBefore, "early_eof"),
        (Fault::HangAfterHeader, "first_token_timeout"),
        (Fault::Hang, "first_token_timeout"),
    ] {
        let mut setup = Setup { prices: ("0", "2"), ..Setup::default() };
        setup.timeouts.push(("one".to_owned(), "first_token_ms = 900".to_owned()));
        let stage = Stage::with([Dialect::OpenAi; 3], EAGER, setup);
        // It fails when the second has been asked, and before that answers.
        stage.fails("one", 600, fault);
        stage.set("two", counting(2_500));
        stage.expect(&[outcome, "ok"]);
        assert_eq!(stage.requests(), [1, 1, 0], "{fault}");
        assert_eq!(stage.hedges("won"), 1, "{fault}");
        stage.close(COST);
    }
}

#[test]
fn who_fails_before_it_is_slow_is_followed_as_ever() {
    let stage = Stage::openai(EAGER);
    stage.fails("one", 1, Fault::Status(500));
    stage.set("two", counting(1_200));
    // The next attempt may be hedged in its turn.
    stage.expect(&["status_server", "beaten", "ok"]);
    assert_eq!(stage.requests(), [1, 1, 1]);
    stage.close(COST);
}

#[test]
fn if_both_fail_the_next_is_asked() {
    let mut setup = Setup { prices: ("0", "2"), ..Setup::default() };
    setup.timeouts.push(("one".to_owned(), "first_token_ms = 900".to_owned()));
    let stage = Stage::with([Dialect::OpenAi; 3], EAGER, setup);
    stage.fails("one", 1, Fault::Hang);
    stage.fails("two", 1, Fault::Status(503));
    stage.expect(&["status_overloaded", "first_token_timeout", "ok"]);
    assert_eq!(stage.requests(), [1, 1, 1]);
    assert_eq!(stage.hedges("failed"), 1);
    stage.fails("three", 1, Fault::Status(429));
    let answer = stage.ask();
    assert_eq!(answer.status, 502, "{}", answer.text());
    for name in ["one", "two", "three"] {
        assert!(answer.text().contains(&format!("{name}: ")), "{name}: {}", answer.text());
    }
    stage.close(COST);
}

#[test]
fn a_provider_that_refuses_tells_the_client_why() {
    let mut setup = Setup { prices: ("0", "2"), ..Setup::default() };
    setup.settings.push(("timeouts", "first_token_ms = 5000".to_owned()));
    let stage = Stage::with([Dialect::OpenAi; 3], EAGER, setup);
    stage.fails("one", 1, Fault::Error(ErrorBody::InvalidRequest));
    let answer = stage.ask();
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("one refuses the request as invalid:"), "{}", answer.text());
    assert_eq!(stage.requests(), [1, 0, 0]);
}

#[test]
fn a_stale_connection_is_replaced() {
    let stage = Stage::openai(PATIENT);
    let mut client = stage.gateway.client();
    stage.check(&client.chat(&body(json!({}))), &["ok"]);
    stage.fails("one", 1, Fault::ResetReused);
    stage.check(&client.chat(&body(json!({}))), &["ok"]);
    assert_eq!(stage.requests()[1], 0, "nobody else was asked");
}

#[test]
fn a_winner_that_breaks_off_is_gone_on_with() {
    let mut setup = Setup { prices: ("0", "2"), ..Setup::default() };
    setup.settings.push(("timeouts", "inter_event_ms = 400".to_owned()));
    let stage = Stage::with([Dialect::OpenAi; 3], EAGER, setup);
    stage.set("one", counting(NEVER_MS));
    for (fault, outcome) in [
        (Fault::CutAfter(7), "cut_mid_stream"),
        (Fault::EndAfter(7), "cut_mid_stream"),
        (Fault::HangAfter(7), "inter_event_timeout"),
    ] {
        stage.fails("two", 1, fault);
        let answer = stage.ask();
        assert_eq!(answer.content(), whole_text(), "{fault}: {}", answer.text());
        assert_eq!(tried(&stage.line(&answer)), ["beaten", outcome, "ok"], "{fault}");
    }
}

#[test]
fn a_client_that_leaves_takes_both_with_it() {
    let stage = Stage::openai(EAGER);
    stage.set("one", counting(NEVER_MS));
    stage.set("two", counting(NEVER_MS));
    let connection = stage.open(json!({}));
    for name in ["one", "two"] {
        stage.until(name, "it is asked", |stats| stats.in_flight == 1);
    }
    drop(connection);
    for name in ["one", "two"] {
        stage.until(name, "its connection is closed", |stats| stats.cancelled == 1);
    }
    eventually("a line in the log", || {
        let log = stage.gateway.log("access.log");
        let line: Value = serde_json::from_str(log.lines().next()?).ok()?;
        assert_eq!(tried(&line), ["client_gone", "client_gone"], "{line}");
        Some(())
    });
    assert_eq!(stage.hedges("cancelled"), 1);
    stage.close(0);
}
