use serde_json::json;
use turnpike_plugin_api::{Keep, Mark};
use turnpike_plugin_testkit::{Case, build, play, say};

use crate::DEFINITION;

#[test]
fn the_cases_hold() {
    turnpike_plugin_testkit::cases(&DEFINITION, concat!(env!("CARGO_MANIFEST_DIR"), "/cases"));
}

#[test]
fn the_options_hold() {
    turnpike_plugin_testkit::options(&DEFINITION, &json!({"text": "t", "footer": "f"}));
}

#[test]
fn what_is_wrong_is_named() {
    let long = "x".repeat(4_001);
    for (options, option) in [
        (json!({}), "text"),
        (json!({"text": ""}), "text"),
        (json!({"text": long}), "text"),
        (json!({"text": "t", "footer": long}), "footer"),
    ] {
        let bad = build(&DEFINITION, &options).err().expect("a fault");
        assert_eq!(bad.option, option, "{bad}");
    }
}

#[test]
fn an_answer_that_calls_a_tool_has_no_footer() {
    let plugin = build(&DEFINITION, &json!({"text": "t", "footer": "f"})).expect("a plugin");
    let mut run = play(&*plugin, &Case::default(), "tools").run.expect("a run");
    run.on_begin();
    let mut out = Vec::new();
    assert_eq!(run.on_mark(&Mark::ToolStart { choice: 0, index: 0 }, &mut out), Keep::Yes);
    assert_eq!(run.on_mark(&Mark::Finish { choice: 0 }, &mut out), Keep::Yes);
    assert!(out.is_empty());
    assert_eq!(say(&mut *run, &["a".to_owned()], true).text, "af", "an answer begins anew");
}

#[test]
fn the_folder_holds() {
    turnpike_plugin_testkit::folder(&DEFINITION, env!("CARGO_MANIFEST_DIR"));
}
