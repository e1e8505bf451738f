//! Streams: wherever they are cut, they say what the whole text would.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use serde_json::json;
use turnpike_plugin_api::{Citation, Keep, Kind, Mark, Piece};
use turnpike_plugin_testkit::{Case, build, play};

use super::found::{redacted, rules};
use super::{FINISH, text};
use crate::DEFINITION;
use crate::detector::Detector;
use crate::filter::{Filter, Reading, Tally, Values};
use crate::json::Json;
use crate::scan::Rules;

static BUILT_IN: LazyLock<Rules> = LazyLock::new(|| rules(&[]));

/// The built-in detectors and patterns of many kinds.
static ALL: LazyLock<Rules> = LazyLock::new(|| {
    let patterns = [r"\bx\d+\b", "a.{0,9}b", "(?:ab|a)+c?", "é+", "(?m)^k.*$", r"\W{3,}", "z$"];
    let own = patterns.iter().map(|p| Arc::new(Detector::new("own", p, 24).expect("a pattern")));
    Rules::new(own.chain(BUILT_IN.list.iter().cloned()).collect())
});

/// Text with many matches, near misses and parts of both.
fn hostile() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("john.doe@example.com".to_owned()),
        Just("+49 170 1234567".to_owned()),
        Just("(415) 555-2671".to_owned()),
        Just("4111 1111 1111 1111".to_owned()),
        Just("DE89 3704 0044 0532 0130 00".to_owned()),
        Just("123-45-6789".to_owned()),
        Just("2001:db8::1".to_owned()),
        Just("192.168.0.1".to_owned()),
        Just("AKIAIOSFODNN7EXAMPLE".to_owned()),
        Just("sk-proj-abcdefghijklmnop1234".to_owned()),
        Just("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc".to_owned()),
        Just("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQ\nQg==\n".to_owned()),
        Just("-----END PRIVATE KEY-----".to_owned()),
        "[a-z @.+0-9é漢\\[\\]_-]{0,12}",
        "[abckxz0-9 \n]{0,8}",
        "[0-9 :./()-]{0,16}",
        "[ -~]{0,6}",
    ];
    prop::collection::vec((part, any::<prop::sample::Index>(), any::<bool>()), 1..8).prop_map(
        |parts| {
            let cut = |(part, at, whole): &(String, prop::sample::Index, bool)| -> String {
                let chars: Vec<char> = part.chars().collect();
                let end = if *whole { chars.len() } else { at.index(chars.len() + 1) };
                chars[..end].iter().collect()
            };
            parts.iter().map(cut).collect()
        },
    )
}

fn pieces(text: &str, cuts: &[prop::sample::Index]) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(chars.len() + 1)).collect();
    at.extend([0, chars.len()]);
    at.sort_unstable();
    at.windows(2).map(|ends| chars[ends[0]..ends[1]].iter().collect()).collect()
}

fn streamed(rules: &Rules, pieces: &[String], json: bool) -> String {
    let nothing = Rules::new(Vec::new());
    let (mut filter, mut body, mut tally) = (Filter::default(), Json::default(), Tally::default());
    let mut with =
        Reading { acting: rules, noting: &nothing, values: Values::Drop, tally: &mut tally };
    let mut out = String::new();
    for piece in pieces.iter().map(String::as_str).chain([""]).zip(1..) {
        let last = piece.1 > pieces.len();
        out += &match json {
            true => body.read(&mut with, piece.0, last),
            false => filter.read(&mut with, piece.0.to_owned(), last),
        };
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_cut_says_the_same(text in hostile(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let whole = redacted(&ALL, &text);
        prop_assert_eq!(streamed(&ALL, &pieces(&text, &cuts), false), &*whole);
        let single: Vec<String> = text.chars().map(String::from).collect();
        prop_assert_eq!(streamed(&ALL, &single, false), whole, "one by one");
    }

    #[test]
    fn any_cut_of_json_says_the_same(
        text in hostile(),
        wild in any::<bool>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let text = if wild { text } else { json!({"a": [text, 1, "b"], "é\u{1}\n": text}).to_string() };
        let whole = streamed(&ALL, std::slice::from_ref(&text), true);
        prop_assert_eq!(streamed(&ALL, &pieces(&text, &cuts), true), &*whole);
        if !wild {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&whole).is_ok(), "{}", whole);
        }
    }

    /// What goes to the provider has nothing left that would be found.
    #[test]
    fn nothing_is_left(text in hostile()) {
        let case: Case = serde_json::from_value(json!({
            "options": {"output": false},
            "entry": {"detectors": ["ip"]},
            "turns": [{"role": "user", "texts": [text]}],
        })).expect("a case");
        let sent = play(&**PLUGIN, &case, "nothing is left").texts()[0][0].clone();
        prop_assert_eq!(redacted(&BUILT_IN, &sent), &*sent, "from {}", text);
    }

    /// The provider sees no value, and the client gets each back.
    #[test]
    fn placeholders_give_back_what_they_took(
        text in hostile(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let case: Case = serde_json::from_value(json!({
            "options": {"placeholders": true, "output": false},
            "turns": [
                {"role": "user", "texts": [text]},
                {"role": "assistant", "arguments": [json!({"q": text}).to_string()]},
            ],
        })).expect("a case");
        let plugin = &**PLUGIN;
        let mut played = play(plugin, &case, "placeholders");
        let sent = played.texts();
        let left = sent[0][0].clone();
        prop_assert_eq!(redacted(&USUAL, &left), &*left, "nothing is left");
        let run = played.run.as_mut().expect("a run");
        for (kind, sent, said) in [
            (Kind::Text, &sent[0][0], text.clone()),
            (Kind::Reasoning, &sent[0][0], text.clone()),
            (Kind::Arguments(1), &sent[1][0], json!({"q": text}).to_string()),
        ] {
            let mut out = Vec::new();
            for text in pieces(sent, &cuts) {
                run.on_piece(Piece::Text { choice: 0, kind, text }, &mut out);
            }
            run.on_mark(&FINISH, &mut out);
            prop_assert_eq!(super::text(&out, kind), said);
        }
    }
}

static USUAL: LazyLock<Rules> = LazyLock::new(|| {
    let usual = crate::builtin::BUILTINS.iter().filter(|builtin| builtin.usual);
    rules(&usual.map(|builtin| builtin.name).collect::<Vec<_>>())
});

static PLUGIN: LazyLock<Box<dyn turnpike_plugin_api::Plugin>> = LazyLock::new(|| {
    let options = json!({"placeholders": true, "output": false});
    build(&DEFINITION, &options).expect("sound options")
});

#[test]
fn calls_and_choices_may_come_in_turns() {
    let plugin = build(&DEFINITION, &json!({})).expect("sound options");
    let mut run = play(&*plugin, &Case::default(), "turns").run.expect("a run");
    let (one, two) = (Kind::Arguments(0), Kind::Arguments(1));
    let mut out = Vec::new();
    for (choice, kind, text) in [
        (0, one, "{\"to\":\"a@b."),
        (0, two, "{\"to\":\"c@"),
        (1, Kind::Text, "e@f."),
        (0, one, "example\"}"),
        (0, two, "d.example\"}"),
        (1, Kind::Text, "example"),
    ] {
        run.on_piece(Piece::Text { choice, kind, text: text.to_owned() }, &mut out);
        if kind == two {
            run.on_mark(&Mark::ToolStart { choice: 0, index: 1 }, &mut out);
        }
    }
    run.on_mark(&FINISH, &mut out);
    run.on_mark(&Mark::Finish { choice: 1 }, &mut out);
    for kind in [one, two] {
        assert_eq!(text(&out, kind), "{\"to\":\"[EMAIL]\"}");
    }
    assert_eq!(text(&out, Kind::Text), "[EMAIL]");
}

#[test]
fn log_probabilities_do_not_repeat_what_was_taken() {
    for (options, keep, notes) in [
        (json!({}), Keep::No, 1),
        (json!({"output": false}), Keep::Yes, 0),
        (json!({"output": false, "placeholders": true}), Keep::Yes, 0),
    ] {
        let plugin = build(&DEFINITION, &options).expect("sound options");
        let mut run = play(&*plugin, &Case::default(), "logprobs").run.expect("a run");
        let mut out = Vec::new();
        let kept = run.on_mark(&Mark::Logprobs { choice: 0 }, &mut out);
        assert_eq!((kept, run.on_end().len()), (keep, notes), "{options}");
        assert!(out.is_empty());
    }
}

#[test]
fn citations_follow_their_text() {
    let plugin = build(&DEFINITION, &json!({})).expect("sound options");
    let mut run = play(&*plugin, &Case::default(), "citations").run.expect("a run");
    let mut out = Vec::new();
    let citation = Citation {
        url: "https://example.com/".to_owned(),
        title: "Of a@b.example".to_owned(),
        content: Some("by c@d.example".to_owned()),
        start: 3,
        end: 14,
    };
    let text = |text: &str| Piece::Text { choice: 0, kind: Kind::Text, text: text.to_owned() };
    run.on_piece(text("By a@b."), &mut out);
    run.on_piece(Piece::Citation { choice: 0, citation }, &mut out);
    assert_eq!(out, [text("By ")], "it waits");
    run.on_piece(text("example it is."), &mut out);
    run.on_mark(&FINISH, &mut out);
    let Some(Piece::Citation { citation, .. }) =
        out.iter().find(|p| matches!(p, Piece::Citation { .. }))
    else {
        panic!("it comes")
    };
    assert_eq!((citation.start, citation.end), (3, 10), "it is where its text is");
    assert_eq!((&*citation.title, citation.content.as_deref()), ("Of [EMAIL]", Some("by [EMAIL]")));
    assert_eq!(super::text(&out, Kind::Text), "By [EMAIL] it is.");
}

#[test]
fn an_answer_that_begins_anew_forgets_the_one_before() {
    let plugin = build(&DEFINITION, &json!({})).expect("sound options");
    let mut run = play(&*plugin, &Case::default(), "anew").run.expect("a run");
    let text = |text: &str| Piece::Text { choice: 0, kind: Kind::Text, text: text.to_owned() };
    let mut out = Vec::new();
    run.on_piece(text("x@y.example or a@b"), &mut out);
    run.on_mark(&Mark::Logprobs { choice: 0 }, &mut out);
    run.on_begin();
    out.clear();
    run.on_piece(text(".example"), &mut out);
    run.on_mark(&FINISH, &mut out);
    assert_eq!(super::text(&out, Kind::Text), ".example");
    assert!(run.on_end().is_empty(), "nothing is noted of what nobody got");
}
