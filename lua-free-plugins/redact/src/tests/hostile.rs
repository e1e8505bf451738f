//! Patterns and texts that are made to be slow or to confuse.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;
use turnpike_plugin_api::{Kind, Mark, Piece};
use turnpike_plugin_testkit::{Case, build, play};

use super::found::{redacted, rules};
use super::{FINISH, text};
use crate::DEFINITION;
use crate::detector::Detector;
use crate::filter::{Filter, Reading, Tally, Values};
use crate::scan::Rules;

/// Patterns that take exponential or quadratic time where an engine goes back, with a text that
/// they almost match.
const SLOW: &[(&str, &str, &str)] = &[
    ("(a+)+$", "a", "!"),
    ("(a|aa)+$", "a", "!"),
    ("(a|a)*b", "a", "c"),
    ("([a-zA-Z]+)*1", "aZ", "-"),
    ("(.*)*x", "y", "\n"),
    (r"(\w+\s?)+\.$", "ab ", "!"),
    ("^(([a-z])+.)+[A-Z]([a-z])+$", "a", "!"),
    (r"(x+x+)+y", "x", "z"),
    (r"(?i)(?:\d{1,3}\.?)+#", "12.", "?"),
    ("a.{0,200}b", "a", "\n"),
];

#[test]
fn slow_patterns_read_a_megabyte() {
    for (pattern, unit, end) in SLOW {
        let detector = Detector::new("slow", pattern, 256).expect(pattern);
        let rules = Rules::new(vec![Arc::new(detector)]);
        let text = unit.repeat((1 << 20) / unit.len()) + end;
        let out = redacted(&rules, &text);
        assert!(out.len() <= text.len(), "{pattern}");
    }
}

/// What is held never exceeds what may be open.
#[test]
fn what_is_held_is_bounded() {
    for (pattern, unit, end) in SLOW {
        let limit = 64;
        let detector = Detector::new("slow", pattern, limit).expect(pattern);
        let rules = Rules::new(vec![Arc::new(detector)]);
        let nothing = Rules::new(Vec::new());
        let (mut filter, mut tally) = (Filter::default(), Tally::default());
        let mut with =
            Reading { acting: &rules, noting: &nothing, values: Values::Drop, tally: &mut tally };
        for _ in 0..200 {
            filter.read(&mut with, (*unit).to_owned(), false);
            let held = filter.held();
            assert!(held <= limit + unit.len(), "{pattern}: {held} bytes");
        }
        filter.read(&mut with, (*end).to_owned(), true);
        assert_eq!(filter.held(), 0, "{pattern}");
    }
}

/// Plain prose is held back by no more than its last word.
#[test]
fn prose_passes_word_by_word() {
    let rules = rules(&[]);
    let nothing = Rules::new(Vec::new());
    let (mut filter, mut tally) = (Filter::default(), Tally::default());
    let mut with =
        Reading { acting: &rules, noting: &nothing, values: Values::Drop, tally: &mut tally };
    let prose = "The gateway reads, in 12 steps (say), what 3 models wrote: \"all\" of it. ";
    for word in prose.repeat(20).split_inclusive(' ') {
        filter.read(&mut with, word.to_owned(), false);
        assert!(filter.held() <= 3, "after {word:?}: {}", filter.held());
    }
}

#[test]
fn a_long_match_goes_as_a_whole_and_a_slow_one_not_at_all() {
    let detector =
        |pattern| Rules::new(vec![Arc::new(Detector::new("x", pattern, 16).expect("a pattern"))]);
    let long = format!("a key_{} b", "0".repeat(1000));
    assert_eq!(redacted(&detector("key_[0-9]+"), &long), "a [X] b");
    let rules = detector("<[^>]*>");
    assert_eq!(redacted(&rules, "<0123456789abcd>"), "[X]", "16 bytes");
    assert_eq!(redacted(&rules, "<0123456789abcde>"), "<0123456789abcde>", "17 bytes");
}

#[test]
fn patterns_see_what_is_around_them() {
    let rule =
        |pattern| Rules::new(vec![Arc::new(Detector::new("x", pattern, 64).expect("a pattern"))]);
    assert_eq!(redacted(&rule(r"\bid\d+\b"), "id1 aid2 id3b id4"), "[X] aid2 id3b [X]");
    assert_eq!(redacted(&rule("^a"), "aa\na"), "[X]a\na", "only at the beginning");
    assert_eq!(redacted(&rule("(?m)^a$"), "a\nab\na"), "[X]\nab\n[X]");
    assert_eq!(redacted(&rule("a$"), "aa"), "a[X]");
    assert_eq!(redacted(&rule("(?i)straße"), "STRASSE Straße STRAßE"), "STRASSE [X] [X]");
    assert_eq!(redacted(&rule(r"\p{Han}{2,}"), "a漢字b漢"), "a[X]b漢");
}

/// Plays a request with placeholders, and an answer in these pieces.
fn talk(input: &str, kind: Kind, answer: &[&str]) -> (String, String) {
    let case: Case = serde_json::from_value(json!({
        "options": {"placeholders": true, "patterns": [{"name": "quote", "pattern": "<[^>]{1,20}>"}]},
        "turns": [{"role": "user", "texts": [input]}],
    }))
    .expect("a case");
    let plugin = build(&DEFINITION, &case.options).expect("sound options");
    let mut played = play(&*plugin, &case, "talk");
    let sent = played.texts().concat().concat();
    let run = played.run.as_mut().expect("a run");
    let mut out = Vec::new();
    for piece in answer {
        run.on_piece(Piece::Text { choice: 0, kind, text: (*piece).to_owned() }, &mut out);
    }
    run.on_mark(&FINISH, &mut out);
    (sent, text(&out, kind))
}

#[test]
fn values_come_back_as_what_they_are_in_json() {
    let call = Kind::Arguments(0);
    let (sent, got) = talk("see <a\"b\\c>", call, &["{\"to\": \"[QUO", "TE_1]\"}"]);
    assert_eq!((&*sent, &*got), ("see [QUOTE_1]", r#"{"to": "<a\"b\\c>"}"#));
    let (_, got) = talk("see <a>", call, &[r#"{"n":4111111111111111,"ok":tr"#, "ue,\"x\":1.5e3}"]);
    assert_eq!(got, r#"{"n":"[CARD]","ok":true,"x":1.5e3}"#, "a number becomes a string");
}

#[test]
fn what_a_request_has_already_is_no_placeholder() {
    let text = "[EMAIL_1] is not a@b.example, nor is [EMAIL_3]; c@d.example is another.";
    let (sent, got) =
        talk(text, Kind::Text, &["[EMAIL_1] [EMAIL_2] [EMAIL_3] [EMAIL_4] [EMAIL_5]"]);
    let expected = "[EMAIL_1] is not [EMAIL_2], nor is [EMAIL_3]; [EMAIL_4] is another.";
    assert_eq!(sent, expected);
    assert_eq!(got, "[EMAIL_1] a@b.example [EMAIL_3] c@d.example [EMAIL_5]");
}

#[test]
fn broken_json_passes_and_says_nothing_it_should_not() {
    let call = Kind::Arguments(0);
    for broken in
        [r#"{"a": "\ud800x"}"#, r#"{"a": "\q"}"#, r#"{"a": "\u12"}"#, r#"{"a": "b"#, "\\", "\"\\"]
    {
        assert_eq!(talk("", call, &[broken]).1, broken);
    }
    let escaped = r#"{"a":"\ud83d\ude00 \u0061@b.example\nx"}"#;
    assert_eq!(talk("", call, &[escaped]).1, "{\"a\":\"😀 [EMAIL]\\nx\"}");
    assert_eq!(talk("", call, &[r#"{a@b.example: "x"#]).1, r#"{"[EMAIL]": "x"#);
    let newline = r#"["\na@b.example"]"#;
    assert_eq!(talk("", call, &[newline]).1, r#"["\n[EMAIL]"]"#, "the escape stays whole");
}

#[test]
fn marks_of_a_choice_come_after_its_text() {
    let plugin = build(&DEFINITION, &json!({})).expect("sound options");
    for mark in [
        Mark::ToolStart { choice: 0, index: 0 },
        Mark::Opaque { choice: 0 },
        Mark::Image { choice: 0 },
        FINISH,
    ] {
        let mut run = play(&*plugin, &Case::default(), "marks").run.expect("a run");
        let mut out = Vec::new();
        for (choice, kind) in [(0, Kind::Text), (1, Kind::Text), (0, Kind::Reasoning)] {
            run.on_piece(Piece::Text { choice, kind, text: "word".to_owned() }, &mut out);
        }
        assert_eq!(text(&out, Kind::Text), "word", "another kind ends what came before");
        run.on_mark(&mark, &mut out);
        assert_eq!(text(&out, Kind::Reasoning), "word", "{mark:?}");
        assert_eq!(text(&out, Kind::Text), "word", "{mark:?}: the other choice goes on");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever JSON is looked through stays JSON, of the same shape.
    #[test]
    fn json_stays_json(texts in prop::collection::vec(any::<String>(), 1..4), number in any::<u64>()) {
        let value = json!({"a": texts, "n": number, "mail": "\n\"x@y.example\""});
        let said = value.to_string();
        let (_, got) = talk("", Kind::Arguments(0), &[&said]);
        let got: serde_json::Value = serde_json::from_str(&got).expect("JSON");
        prop_assert_eq!(&got["mail"], "\n\"[EMAIL]\"");
        prop_assert_eq!(got["a"].as_array().map(Vec::len), Some(texts.len()));
    }

    /// No text makes it panic or lose what is no match.
    #[test]
    fn any_text_passes(text in any::<String>()) {
        let rules = rules(&["jwt"]);
        prop_assert_eq!(redacted(&rules, &text), text);
    }
}
