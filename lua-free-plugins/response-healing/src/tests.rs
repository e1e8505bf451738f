use serde_json::{Value, json};
use turnpike_plugin_testkit::{Case, HeadCase, build, play};

use crate::DEFINITION;

#[test]
fn the_cases_hold() {
    turnpike_plugin_testkit::cases(&DEFINITION, concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
}

#[test]
fn the_options_hold() {
    turnpike_plugin_testkit::options(&DEFINITION, &json!({}));
}

#[test]
fn the_folder_holds() {
    turnpike_plugin_testkit::folder(&DEFINITION, env!("CARGO_MANIFEST_DIR"));
}

#[test]
fn choices_are_told_apart_and_an_answer_begins_anew() {
    let plugin = build(&DEFINITION, &json!({})).expect("a plugin");
    let head = HeadCase { json: Some(json!({"type": "object"})), ..HeadCase::default() };
    let mut run = play(&*plugin, &Case { head, ..Case::default() }, "n").run.expect("a run");
    run.on_begin();
    run.on_answer(0, &mut "no".to_owned());
    run.on_begin();
    let mut texts = ["{\"a\": 1}", "{'a': 1}", "", "nothing", "[1]"].map(str::to_owned);
    for (choice, text) in (0..).zip(&mut texts) {
        run.on_answer(choice, text);
    }
    assert_eq!(texts, ["{\"a\": 1}", "{\"a\": 1}", "", "nothing", "[1]"]);
    let notes = run.on_end();
    let choices = json!({"choices": [
        {"choice": 1, "repaired": ["quotes"], "json": true, "valid": true},
        {"choice": 3, "repaired": [], "json": false, "valid": false},
        {"choice": 4, "repaired": [], "json": true, "valid": false},
    ]});
    assert_eq!((notes.len(), &notes[0].data), (1, &choices));
    assert_eq!(run.on_end(), [], "they are told once");
}

#[test]
fn a_schema_that_is_too_large_is_not_read() {
    let plugin = build(&DEFINITION, &json!({})).expect("a plugin");
    let schema = json!({"type": "object", "title": "x".repeat(300_000)});
    let head = HeadCase { json: Some(schema), ..HeadCase::default() };
    let mut run = play(&*plugin, &Case { head, ..Case::default() }, "large").run.expect("a run");
    let mut text = "```\n{}\n```".to_owned();
    run.on_answer(0, &mut text);
    assert_eq!(text, "{}");
    assert_eq!(run.on_end()[0].data["choices"][0]["valid"], Value::Null);
}
