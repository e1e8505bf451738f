use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::schema::Schema;

fn unjudged(_: &str) -> Fit {
    Fit::Json
}

fn healed(text: &str) -> Option<String> {
    match heal(text, unjudged) {
        Healed::Sound(_) => Some(text.to_owned()),
        Healed::Repaired { json, .. } => Some(json),
        Healed::Beyond | Healed::TooLong => None,
    }
}

fn with(schema: &str, text: &str) -> Healed {
    let mut schema = Schema::read(schema);
    heal(text, |json| schema.judge(json))
}

#[test]
fn json_is_found() {
    for (text, json) in [
        ("\u{feff}{\"a\": 1}", "{\"a\": 1}"),
        ("```json\n{\"a\": 1}\n```", "{\"a\": 1}"),
        ("```\n[1, 2]\n```\n", "[1, 2]"),
        ("```json\n[1,\n 2,\n]\n```", "[1,\n 2\n]"),
        ("```json\n\"text\"\n```", "\"text\""),
        ("```json{\"a\": 1}```", "{\"a\": 1}"),
        ("```json\n{\"a\": 1}", "{\"a\": 1}"),
        ("```json\n{\"a\": [1, 2\n```", "{\"a\": [1, 2\n]}"),
        ("Here it is: {\"a\": 1} Hope it helps!", "{\"a\": 1}"),
        ("As [1] says, and [2, 3] too:\n{\"a\": [1]}\nSee {name}.", "{\"a\": [1]}"),
        ("Like {\"x\": 1}:\n```json\n{\"a\": 1}\n```\nDone.", "{\"a\": 1}"),
        ("Like {\"x\": ...}:\n```json\n{\"a\": 1}\n```", "{\"a\": 1}"),
        ("{\"a\": 1}}", "{\"a\": 1}"),
        ("{{\"a\": 1}}", "{\"a\": 1}"),
        ("{\"a\": 1}\n{\"a\": 1}", "{\"a\": 1}"),
        ("Nothing, so {}? No: {\"a\": 1}", "{\"a\": 1}"),
        ("{\"a\": \"```js\\nx\\n```\"", "{\"a\": \"```js\\nx\\n```\"}"),
    ] {
        assert_eq!(healed(text).as_deref(), Some(json), "{text}");
    }
}

#[test]
fn what_is_not_sure_is_left() {
    for text in [
        "I cannot do that.",
        "See [1] and [2].",
        "It is {} then.",
        "{\"a\": 1}\n{\"b\": 2}",
        "first {\"a\": 1}, then {\"b\": 2}",
        "{\"a\": 1}, {\"b\": 2}",
        "{ {\"a\": 1}, and {\"b\": 2} }",
        // A part of something larger.
        "{\"a\": {\"b\": 1}, \"c\": oops}",
        "{\"a\": {\"b\": 1}, \"c\": \"cut",
        "{\"a\", {\"b\": 1}}",
        "\"a\": {\"b\": 1}",
        "\"a\": {\"b\": 1}, \"c\": 2",
        "{\"a\": 1}, \"b\": 2}",
        "{\"a\": [1, 2}, \"b\": 3}",
        "[oops, {\"a\": 1}]",
        "{\"code\": \"say \"x\" ```json {\"a\": 1}```\"}",
        "['it: {\"a\": 1}",
        "",
        "\u{feff}",
    ] {
        assert_eq!(healed(text), None, "{text}");
    }
}

#[test]
fn what_fits_the_schema_is_the_answer() {
    let schema = r#"{"type": "object", "required": ["b"]}"#;
    let Healed::Repaired { json, fit, .. } = with(schema, "Try {\"a\": 1}, or {\"b\": 2}.") else {
        panic!("one of them fits");
    };
    assert_eq!((&*json, fit), ("{\"b\": 2}", Fit::Schema));
    let Healed::Repaired { json, fit, .. } = with(schema, "So: {\"a\": 1,}") else {
        panic!("it can be repaired");
    };
    assert_eq!((&*json, fit), ("{\"a\": 1}", Fit::Misfit), "JSON is better than none");
    assert_eq!(with(schema, "{\"b\": 1} or {\"b\": 2}"), Healed::Beyond, "both fit");
    assert_eq!(with(schema, "{\"a\": 1}"), Healed::Sound(Fit::Misfit), "it is JSON");
    let Healed::Repaired { json, .. } = with(r#"{"type": "array"}"#, "These: [1, 2]") else {
        panic!("a list is asked for");
    };
    assert_eq!(json, "[1, 2]");
}

#[test]
fn sizes_are_bounded() {
    let long = format!("[{}", "1, ".repeat(TEXT_BYTES_MAX / 3 + 1));
    assert_eq!(heal(&long, unjudged), Healed::TooLong);
    for part in [
        "{",
        "[1 ",
        "{/*",
        "{\"a",
        "[\"a\" ",
        "{'",
        "{\"a\":1}, ",
        "{a:1} ",
        "``` ",
        "[{}",
        "}{",
        "#[",
    ] {
        let text = part.repeat((2 << 20) / part.len());
        if let Some(json) = healed(&text) {
            assert!(is_json(&json), "{part}");
        }
    }
}

/// JSON with texts that have in them what JSON is made of.
fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof!["[a-z ]{0,8}", "[{}\\[\\],:\"'“”#/*`\\\\\n\té-]{0,8}", "\\PC{0,8}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Such that reading them again gives the same.
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 4.0)),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        let members = prop::collection::btree_map(text.clone(), inner.clone(), 1..5);
        prop_oneof![
            prop::collection::vec(inner, 1..5).prop_map(Value::from),
            members.prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// An object, as JSON answers are.
fn object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-z]{1,6}", value(), 1..5)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

fn written(value: &Value, pretty: bool) -> String {
    if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) }
        .expect("JSON")
}

/// Where a text has brackets, commas and the like that are not within its strings.
fn structure(json: &str, wanted: &[char]) -> Vec<usize> {
    let (mut places, mut quoted, mut escaped) = (Vec::new(), false, false);
    for (at, c) in json.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if !quoted && wanted.contains(&c) => places.push(at),
            _ => {}
        }
    }
    places
}

fn same(text: &str, value: &Value) -> Result<(), TestCaseError> {
    let json = healed(text);
    let read = json.as_deref().and_then(|json| serde_json::from_str::<Value>(json).ok());
    prop_assert_eq!(read.as_ref(), Some(value), "{:?} became {:?}", text, json);
    Ok(())
}

proptest! {
    #[test]
    fn json_is_never_touched(value in value(), pretty: bool) {
        prop_assert_eq!(heal(&written(&value, pretty), unjudged), Healed::Sound(Fit::Json));
    }

    #[test]
    fn fences_and_prose_go(
        value in object(), pretty: bool, fence in 0..3_usize,
        before in "[A-Za-z ,.!\n]{0,30}", after in "[A-Za-z .!\n]{0,30}",
    ) {
        let json = written(&value, pretty);
        let block = ["", "```", "```json"][fence];
        let end = if fence == 0 { "" } else { "\n```\n" };
        let after = after.trim_start_matches([',', ':', '"']);
        same(&format!("{before}\n{block}\n{json}{end} {after}"), &value)?;
    }

    #[test]
    fn commas_too_many_go(value in object(), pretty: bool, fenced: bool) {
        let mut json = written(&value, pretty);
        for at in structure(&json, &['}', ']']).into_iter().rev() {
            json.insert(at, ',');
        }
        same(&if fenced { format!("```json\n{json}\n```") } else { json }, &value)?;
    }

    #[test]
    fn brackets_at_the_end_are_closed(value in object(), pretty: bool, count in 1..9_usize, fenced: bool) {
        let json = written(&value, pretty);
        let mut cut = json.as_str();
        for _ in 0..count {
            cut = cut.trim_end().strip_suffix(['}', ']']).unwrap_or(cut);
        }
        // A number may be cut as well.
        let end = if fenced { "\n```" } else { "\n" };
        let begin = if fenced { "```json\n" } else { "" };
        same(&format!("{begin}{cut}{end}"), &value)?;
    }

    #[test]
    fn python_is_read(value in object()) {
        let json = written(&value, false);
        let mut python = String::new();
        let mut quoted = false;
        let mut escaped = false;
        for c in json.chars() {
            let opens = c == '"' && !escaped;
            escaped = quoted && c == '\\' && !escaped;
            quoted ^= opens;
            match c {
                '"' if opens => python.push('\''),
                '\'' => python.push_str("\\'"),
                c => python.push(c),
            }
        }
        for (json, own) in [("true", "True"), ("false", "False"), ("null", "None")] {
            for at in structure(&json_like(&python), &[json.chars().next().unwrap_or(' ')]).into_iter().rev() {
                if python[at..].starts_with(json) {
                    python.replace_range(at..at + json.len(), own);
                }
            }
        }
        same(&python, &value)?;
    }

    #[test]
    fn line_breaks_in_texts_are_escaped(value in object()) {
        // Without backslashes, so that those that are there are of escapes.
        let json = written(&value, false).replace("\\\\", "/");
        let value = serde_json::from_str(&json).expect("JSON");
        same(&json.replace("\\n", "\n").replace("\\t", "\t"), &value)?;
    }

    #[test]
    fn any_text_stays_or_becomes_json(
        text in prop_oneof!["\\PC{0,60}", "[{}\\[\\]\",:'“” \n`#/*\\\\a-c01TrueNone-]{0,60}"],
    ) {
        match heal(&text, unjudged) {
            Healed::Sound(_) => prop_assert!(is_json(&text)),
            Healed::Repaired { json, kinds, .. } => {
                prop_assert!(is_json(&json) && !is_json(&text));
                prop_assert!(!kinds.is_empty(), "{:?} became {:?}", text, json);
                prop_assert_eq!(heal(&json, unjudged), Healed::Sound(Fit::Json), "once is enough");
            }
            Healed::Beyond | Healed::TooLong => {}
        }
    }

    #[test]
    fn damaged_json_stays_or_becomes_json(
        value in object(), pretty: bool,
        damage in prop::collection::vec((any::<prop::sample::Index>(), "[{}\\[\\]\",:'“ \n`#/*a1]{0,2}", any::<bool>()), 1..4),
    ) {
        let mut text = written(&value, pretty);
        for (at, with, replaced) in damage {
            let places: Vec<(usize, char)> = text.char_indices().collect();
            let Some((at, c)) = (!places.is_empty()).then(|| *at.get(&places)) else { continue };
            text.replace_range(at..at + if replaced { c.len_utf8() } else { 0 }, &with);
        }
        if let Some(json) = healed(&text) {
            prop_assert!(is_json(&json), "{:?} became {:?}", text, json);
        }
    }
}

/// A text in single quotes, with places of the same bytes, in double ones.
fn json_like(python: &str) -> String {
    python.replace('"', "_").replace("\\'", "__").replace('\'', "\"")
}

proptest! {
    /// A closing bracket that is missing within may have stood elsewhere; of all else there is one
    /// way to put it right, or none.
    #[test]
    fn what_is_lost_is_put_back_or_missed(
        value in object(), pretty: bool, at in any::<prop::sample::Index>(),
    ) {
        let json = written(&value, pretty);
        let mut text = json.clone();
        text.remove(*at.get(&structure(&json, &['{', '[', ':', ',', '"'])));
        if !is_json(&text) && healed(&text).is_some() {
            same(&text, &value)?;
        }
    }
}
