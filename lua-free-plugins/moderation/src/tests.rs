use serde_json::{Value, json};
use turnpike_plugin_api::{
    Call, CallFault, NanoUsd, Plugin, Reply, Request, Role, Run, Step, Text, TextKind, Turn,
};
use turnpike_plugin_testkit::{Case, build, play};

use crate::DEFINITION;
use crate::inputs::{INPUT_BYTES_MAX, INPUTS_MAX};

fn options() -> Value {
    json!({"base_url": "https://mod.example/v1"})
}

fn with(change: &Value) -> Value {
    let mut options = options();
    for (name, value) in change.as_object().expect("an object") {
        options[name] = value.clone();
    }
    options
}

fn request(text: &str) -> Request {
    let mut turn = Turn::new(Role::User);
    turn.texts.push(Text::new(TextKind::Prose, text.to_owned()));
    Request::new(vec![turn])
}

fn run(plugin: &dyn Plugin) -> Box<dyn Run> {
    // Without a turn nothing is asked.
    play(plugin, &Case::default(), "begin").run.expect("a run")
}

/// Answers every call with as many results as it has inputs; the last one decides. Gives the inputs.
fn check(run: &mut dyn Run, request: &mut Request, last: &Value) -> (Vec<Vec<String>>, bool) {
    let mut calls = Vec::new();
    let mut step = run.on_request(request);
    loop {
        let call = match step {
            Ok(Step::Call(call)) => call,
            Ok(Step::Done) => return (calls, true),
            Err(_) => return (calls, false),
        };
        let body: Value = serde_json::from_slice(&call.body).expect("JSON");
        let inputs: Vec<String> = serde_json::from_value(body["input"].clone()).expect("texts");
        let fine = json!({"flagged": false, "categories": {"hate": false}});
        let mut results = vec![fine; inputs.len() - 1];
        results.push(last.clone());
        let body = json!({"results": results}).to_string().into_bytes();
        calls.push(inputs);
        step = run.on_reply(Ok(Reply { status: 200, body, kept: false }), request);
    }
}

#[test]
fn the_cases_hold() {
    turnpike_plugin_testkit::cases(&DEFINITION, concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
}

#[test]
fn the_options_hold() {
    turnpike_plugin_testkit::options(&DEFINITION, &options());
}

#[test]
fn the_folder_holds() {
    turnpike_plugin_testkit::folder(&DEFINITION, env!("CARGO_MANIFEST_DIR"));
}

#[test]
fn wrong_options_are_named() {
    for (change, option) in [
        (json!({"base_url": null}), "base_url"),
        (json!({"base_url": "mod.example"}), "base_url"),
        (json!({"base_url": "ftp://mod.example"}), "base_url"),
        (json!({"base_url": "https://k@mod.example"}), "base_url"),
        (json!({"base_url": "https://mod.example/?a"}), "base_url"),
        (json!({"api_key": "the key itself"}), "api_key"),
        (json!({"api_key": "env:"}), "api_key"),
        (json!({"model": ""}), "model"),
        (json!({"scope": "everything"}), ""),
        (json!({"categories": []}), "categories"),
        (json!({"categories": ["a\nb"]}), "categories"),
        (json!({"thresholds": {"hate": 1.1}}), "thresholds.hate"),
        (json!({"thresholds": {"hate": -0.1}}), "thresholds.hate"),
        (json!({"thresholds": {"": 0.5}}), "thresholds"),
        (json!({"categories": ["hate"], "thresholds": {"violence": 0.5}}), "thresholds.violence"),
        (json!({"text_bytes_max": 1023}), "text_bytes_max"),
        (json!({"timeout_ms": 60_001}), "timeout_ms"),
        (json!({"cache_ttl_secs": 86_401}), "cache_ttl_secs"),
        (json!({"on_failure": "shrug"}), ""),
    ] {
        let bad = build(&DEFINITION, &with(&change)).err();
        let bad = bad.unwrap_or_else(|| panic!("{change} must be refused"));
        assert_eq!(bad.option, option, "{change}: {bad}");
        assert!(!bad.why.contains("the key itself"), "no secret is shown");
    }
}

#[test]
fn a_long_text_is_checked_to_its_end() {
    let plugin = build(&DEFINITION, &with(&json!({"text_bytes_max": 1 << 20}))).expect("options");
    let text = "word ".repeat(20_000);
    let fine = json!({"flagged": false, "categories": {"hate": false}});
    let mut first = request(&text);
    let (calls, passed) = check(&mut *run(&*plugin), &mut first, &fine);
    assert!(passed && calls.len() > 1, "{} calls", calls.len());
    assert!(calls.iter().flatten().all(|input| input.len() <= INPUT_BYTES_MAX));
    assert!(calls.iter().all(|inputs| inputs.len() <= INPUTS_MAX));
    assert!(calls.iter().flatten().map(String::len).sum::<usize>() >= text.len());
    assert_eq!(first.notes()[0].data["calls"], json!(calls.len()));
    assert_eq!(first.notes()[0].data["categories"], json!(["hate"]));
    let flagged = json!({"flagged": true, "categories": {"hate": true}});
    let (calls, passed) = check(&mut *run(&*plugin), &mut request(&text), &flagged);
    assert!(!passed && calls.len() == 1, "the first flag ends it");
}

#[test]
fn what_is_too_long_does_not_slip_through() {
    let fine = json!({"flagged": false, "categories": {"hate": false}});
    let text = "x".repeat(2000);
    let closed = build(&DEFINITION, &with(&json!({"text_bytes_max": 1024}))).expect("options");
    let refusal = run(&*closed).on_request(&mut request(&text)).expect_err("it is refused");
    assert_eq!((refusal.status, &*refusal.code), (413, "moderation_too_long"));
    let open = json!({"text_bytes_max": 1024, "on_failure": "open"});
    let open = build(&DEFINITION, &with(&open)).expect("options");
    let mut request = request(&text);
    let (calls, passed) = check(&mut *run(&*open), &mut request, &fine);
    assert!(passed && calls[0][0].len() == 1024, "what fits is checked");
    assert_eq!(request.notes()[0].data, json!({"failed": "too_long"}));
}

#[test]
fn every_failure_has_its_status_and_class() {
    let closed = build(&DEFINITION, &options()).expect("options");
    let open = build(&DEFINITION, &with(&json!({"on_failure": "open"}))).expect("options");
    let reply =
        |status, body: &str| Ok(Reply { status, body: body.as_bytes().to_vec(), kept: false });
    for (failed, status, class) in [
        (Err(CallFault::Unreachable), 502, "unreachable"),
        (Err(CallFault::Timeout), 503, "timeout"),
        (Err(CallFault::TooLarge), 502, "too_large"),
        (Err(CallFault::Busy), 503, "busy"),
        (Err(CallFault::Forbidden), 502, "forbidden"),
        (reply(401, "secret"), 502, "status"),
        (reply(429, "secret"), 503, "status"),
        (reply(200, "secret"), 502, "unreadable"),
        (reply(200, "{\"results\": []}"), 502, "unreadable"),
    ] {
        let mut request = request("private words");
        let mut checking = run(&*closed);
        let step = checking.on_request(&mut request);
        assert!(matches!(step, Ok(Step::Call(_))));
        let refusal = checking.on_reply(failed.clone(), &mut request).expect_err("it is refused");
        assert_eq!((refusal.status, &*refusal.code), (status, "moderation_failed"));
        assert!(!refusal.text.contains("secret") && !refusal.text.contains("private"));
        let mut checking = run(&*open);
        assert!(checking.on_request(&mut request).is_ok());
        assert!(matches!(checking.on_reply(failed, &mut request), Ok(Step::Done)));
        assert_eq!(request.notes()[0].data["failed"], json!(class));
        assert_eq!(request.fee(), NanoUsd::ZERO);
    }
}

#[test]
fn verdicts_are_kept_by_all_that_they_depend_on() {
    let keep = |options: &Value, text: &str| -> Option<String> {
        let plugin = build(&DEFINITION, options).expect("options");
        match run(&*plugin).on_request(&mut request(text)) {
            Ok(Step::Call(Call { keep, .. })) => keep.map(|(name, _)| name),
            other => panic!("it must ask: {other:?}"),
        }
    };
    assert_eq!(keep(&options(), "words"), None, "not unless it is asked for");
    let kept = with(&json!({"cache_ttl_secs": 60}));
    let name = keep(&kept, "words").expect("it is kept");
    assert!(!name.contains("words"), "the name does not tell the text");
    assert_eq!(keep(&kept, "words").as_ref(), Some(&name));
    assert_ne!(keep(&kept, "other words").as_ref(), Some(&name));
    let other = with(&json!({"cache_ttl_secs": 60, "model": "other"}));
    assert_ne!(keep(&other, "words").as_ref(), Some(&name));
}

#[test]
fn tools_are_seen_only_where_they_are_checked() {
    for (scope, tools) in [("last_user", false), ("user", false), ("all", true)] {
        let plugin = build(&DEFINITION, &with(&json!({"scope": scope}))).expect("options");
        assert_eq!(plugin.needs().tools, tools, "{scope}");
    }
}
