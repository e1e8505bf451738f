//! What must be true of the whole plugin.

mod found;
mod hostile;
mod streams;

use serde_json::{Value, json};
use turnpike_plugin_api::{Mark, Needs, Piece};
use turnpike_plugin_testkit::{Case, build, play};

use crate::DEFINITION;

#[test]
fn cases() {
    turnpike_plugin_testkit::cases(&DEFINITION, concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
}

#[test]
fn options() {
    turnpike_plugin_testkit::options(&DEFINITION, &json!({}));
}

#[test]
fn the_example_is_sound() {
    let text = include_str!("../../example.toml");
    let entry: toml::Table = text.parse().expect("TOML");
    let entry = &entry["plugins"][0];
    assert_eq!(entry["id"].as_str(), Some(DEFINITION.id));
    let options = serde_json::to_value(&entry["options"]).expect("JSON");
    build(&DEFINITION, &options).expect("sound options");
}

#[test]
fn every_detector_is_documented() {
    let about = DEFINITION.options[0].about;
    for builtin in crate::builtin::BUILTINS {
        assert!(about.contains(builtin.name), "{}", builtin.name);
        assert!(include_str!("../../README.md").contains(&format!("`{}`", builtin.name)));
    }
}

#[test]
fn only_what_is_wanted_is_asked_for() {
    let needs = |options: Value| build(&DEFINITION, &options).expect("sound options").needs();
    let all = Needs { text: true, tools: true, events: true, slow: true, ..Needs::HEAD };
    assert_eq!(needs(json!({})), all);
    assert_eq!(needs(json!({"input": false})), Needs { events: true, ..Needs::HEAD });
    let input = Needs { text: true, slow: true, ..Needs::HEAD };
    assert_eq!(needs(json!({"output": false, "tools": false})), input);
    assert_eq!(needs(json!({"output": false, "placeholders": true})), all, "values come back");
}

/// Wrong options, where they are wrong, and a part of what is said.
#[test]
fn wrong_options_are_named() {
    let pattern = |pattern: &str| json!({"patterns": [{"name": "x", "pattern": pattern}]});
    let named = |name: &str| json!({"patterns": [{"name": name, "pattern": "x"}]});
    let many: Vec<Value> =
        (0..33).map(|i| json!({"name": format!("p{i}"), "pattern": "x"})).collect();
    let cases = [
        (json!({"detectors": ["email", "mail"]}), "detectors.1", "there are"),
        (json!({"detectors": []}), "detectors", "there must be one"),
        (json!({"input": false, "output": false}), "input", "both"),
        (json!({"input": false, "placeholders": true}), "placeholders", "input"),
        (json!({"match_bytes_max": 0}), "match_bytes_max", "1 to 4096"),
        (json!({"match_bytes_max": 4097}), "match_bytes_max", "1 to 4096"),
        (json!({"actions": {"ip": "block"}}), "actions.ip", "no effect"),
        (json!({"actions": {"mail": "block"}}), "actions.mail", "there are"),
        (json!({"actions": {"email": "drop"}}), "", "unknown variant"),
        (json!({"patterns": many}), "patterns", "32"),
        (named("Email"), "patterns.0.name", "lower-case"),
        (named("email"), "patterns.0.name", "another"),
        (named(""), "patterns.0.name", "begin with a letter"),
        (pattern("a*"), "patterns.0.pattern", "empty"),
        (pattern("^"), "patterns.0.pattern", "empty"),
        (pattern("[a&&b]"), "patterns.0.pattern", "nothing"),
        (pattern("(a"), "patterns.0.pattern", "unclosed group"),
        (pattern(r"(a)\1"), "patterns.0.pattern", "backreferences are not supported"),
        (pattern("a(?=b)"), "patterns.0.pattern", "look-around"),
        (pattern("(?<=b)a"), "patterns.0.pattern", "look-around"),
        (pattern("a{257}"), "patterns.0.pattern", "match_bytes_max"),
        (pattern(r"a(?-u:\xff)"), "patterns.0.pattern", "invalid UTF-8"),
        (pattern(r"x(\w{0,100}){0,100}"), "patterns.0.pattern", "too large"),
        (pattern("((a{1,100}){1,100}){1,100}b"), "patterns.0.pattern", "too large"),
        (pattern("(a|b)*a(a|b){20}"), "patterns.0.pattern", "too large"),
        (pattern(&"a".repeat(4097)), "patterns.0.pattern", "4096"),
    ];
    for (options, option, part) in cases {
        let fault = build(&DEFINITION, &options).err().unwrap_or_else(|| panic!("{options}"));
        assert_eq!(fault.option, option, "{options}: {fault}");
        assert!(fault.why.contains(part), "{options}: {fault}");
    }
}

#[test]
fn nothing_prints_what_was_said() {
    let case: Case = serde_json::from_value(json!({
        "options": {"placeholders": true},
        "turns": [{"role": "user", "texts": ["I am secretive@example.com."]}],
    }))
    .expect("a case");
    let plugin = build(&DEFINITION, &case.options).expect("sound options");
    let played = play(&*plugin, &case, "debug");
    assert_eq!(played.texts(), [["I am [EMAIL_1]."]]);
    let notes = format!("{:?}", played.request.notes());
    assert!(!notes.contains("secretive") && notes.contains("email"), "{notes}");
}

/// The text of pieces of one kind.
fn text(pieces: &[Piece], wanted: turnpike_plugin_api::Kind) -> String {
    let texts = pieces.iter().filter_map(|piece| match piece {
        Piece::Text { kind, text, .. } if *kind == wanted => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

const FINISH: Mark = Mark::Finish { choice: 0 };
