//! What must be true of the whole plugin.

use proptest::prelude::*;
use serde_json::{Value, json};
use turnpike_plugin_api::Needs;
use turnpike_plugin_testkit::{Case, build, play};

use crate::DEFINITION;
use crate::names::{fit, may_stand};

#[test]
fn cases() {
    turnpike_plugin_testkit::cases(&DEFINITION, concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
}

#[test]
fn options() {
    let options = json!({"rules": [{"require": ["x-team"]}]});
    turnpike_plugin_testkit::options(&DEFINITION, &options);
    let plugin = build(&DEFINITION, &options).expect("sound options");
    assert_eq!(plugin.needs(), Needs::HEAD, "it sees nothing of the conversation");
}

#[test]
fn the_example_is_sound() {
    let entry: toml::Table = include_str!("../example.toml").parse().expect("TOML");
    let entry = &entry["plugins"][0];
    assert_eq!(entry["id"].as_str(), Some(DEFINITION.id));
    let options = serde_json::to_value(&entry["options"]).expect("JSON");
    build(&DEFINITION, &options).expect("sound options");
}

/// Wrong options, where they are wrong, and a part of what is said.
#[test]
fn wrong_options_are_named() {
    let rule = |rule: Value| json!({"rules": [rule]});
    let set = |name: &str, value: &str| rule(json!({"set_upstream": {name: value}}));
    let when = |when: Value| rule(json!({"match": when, "require": ["x-a"]}));
    let map = |map: Value| json!({"rules": [{"require": ["x-a"]}], "maps": {"m": map}});
    let many: Vec<Value> = (0..257).map(|_| json!({"require": ["x-a"]})).collect();
    let names: Vec<String> = (0..33).map(|i| format!("x-{i}")).collect();
    let cases = [
        (json!({}), "", "missing field `rules`"),
        (json!({"rules": []}), "rules", "there must be one"),
        (json!({"rules": many}), "rules", "256"),
        (rule(json!({})), "rules.0", "it does nothing"),
        (rule(json!({"sets": {}})), "", "unknown field `sets`"),
        (rule(json!({"require": names})), "rules.0.require", "32"),
        (rule(json!({"require": ["a b"]})), "rules.0.require.0", "no header's name"),
        (rule(json!({"require": ["x-a", "Authorization"]})), "rules.0.require.1", "credential"),
        (rule(json!({"require": ["a"], "require_status": 200})), "rules.0.require_status", "400"),
        (rule(json!({"require": ["a"], "require_code": "No"})), "rules.0.require_code", "lower"),
        (rule(json!({"deny": {}, "require_code": "x"})), "rules.0.require_code", "no effect"),
        (rule(json!({"deny": {"status": 418}})), "rules.0.deny.status", "one of"),
        (rule(json!({"deny": {"code": ""}})), "rules.0.deny.code", "1 to 64"),
        (rule(json!({"deny": {"text": ""}})), "rules.0.deny.text", "1 to 1024"),
        (rule(json!({"deny": {"reason": "x"}})), "", "unknown field `reason`"),
        (rule(json!({"deny": {}, "set_answer": {"x": "1"}})), "rules.0.deny", "sets nothing"),
        (set("Authorization", "x"), "rules.0.set_upstream.Authorization", "cannot be set"),
        (set("X-OpenRouter-Cache", "x"), "rules.0.set_upstream.X-OpenRouter-Cache", "cannot"),
        (set("host", "x"), "rules.0.set_upstream.host", "cannot be set"),
        (set("x-a", "a\r\nb: c"), "rules.0.set_upstream.x-a", "visible"),
        (set("x-a", "é"), "rules.0.set_upstream.x-a", "visible"),
        (set("x-a", "${user}"), "rules.0.set_upstream.x-a", "no variable"),
        (set("x-a", "${header:cookie}"), "rules.0.set_upstream.x-a", "credential"),
        (set("x-a", "${map:m}"), "rules.0.set_upstream.x-a", "no map"),
        (set("x-a", "${model"), "rules.0.set_upstream.x-a", "no end"),
        (rule(json!({"set_answer": {"X-A": "", "x-a": ""}})), "rules.0.set_answer.x-a", "twice"),
        (when(json!({"header": {"x-a": "~("}})), "rules.0.match.header.x-a", "unclosed"),
        (when(json!({"model": "~(?=a)"})), "rules.0.match.model", "look-around"),
        (when(json!({"key": "a".repeat(1025)})), "rules.0.match.key", "1024"),
        (when(json!({"account": "~(a{1000}){1000}"})), "rules.0.match.account", "size limit"),
        (when(json!({"surface": "web"})), "rules.0.match.surface", "chat"),
        (when(json!({"path": "/"})), "", "unknown field `path`"),
        (map(json!({"from": "team", "values": {}})), "maps.m.from", "no variable"),
        (map(json!({"from": "key", "values": {"~a": ""}})), "maps.m.values.~a", "no order"),
        (map(json!({"from": "key", "values": {"a": "\n"}})), "maps.m.values.a", "visible"),
        (map(json!({"from": "key", "values": {}, "default": "é"})), "maps.m.default", "visible"),
    ];
    for (options, option, part) in cases {
        let fault = build(&DEFINITION, &options).err().unwrap_or_else(|| panic!("{options}"));
        assert_eq!(fault.option, option, "{options}: {fault}");
        assert!(fault.why.contains(part), "{options}: {fault}");
    }
}

proptest! {
    /// Whatever a client sends, what is set is what was sent, or nothing: no line ends, no repair.
    #[test]
    fn what_is_set_can_stand_in_a_header(
        value in prop_oneof![any::<String>(), "[\\x00-\\x7f]{0,40}", "[ -~]{0,40}"],
        model in prop_oneof!["[\\x00-\\x7f]{0,40}", "[ -~]{0,40}"],
    ) {
        let case: Case = serde_json::from_value(json!({
            "options": {"rules": [{"set_upstream": {"x-a": "v${header:x-b}w${model}."}}]},
            "head": {"headers": {"x-b": value}, "model": model},
        })).expect("a case");
        let plugin = build(&DEFINITION, &case.options).expect("sound options");
        let played = play(&*plugin, &case, "set");
        let whole = format!("v{}w{model}.", value.trim_matches([' ', '\t']));
        let (set, notes) = (played.request.upstream_headers(), played.request.notes());
        if whole.bytes().all(may_stand) {
            prop_assert_eq!(set, [("x-a".to_owned(), whole)]);
            prop_assert!(notes.is_empty());
        } else {
            prop_assert!(set.is_empty(), "{set:?}");
            prop_assert_eq!(&notes[0].data, &json!({"not_set": ["x-a"]}), "names and no values");
        }
    }
}

#[test]
fn a_value_is_bounded_and_has_no_blanks_around_it() {
    assert_eq!(fit("  a b "), Some("a b"));
    assert_eq!(fit(&"a".repeat(4096)).map(str::len), Some(4096));
    assert_eq!(fit(&"a".repeat(4097)), None, "a part of a value is another value");
}
