use super::*;

fn names(text: &str) -> Result<(String, Vec<&'static str>), Failure> {
    let repaired = repair(text, 0).map_err(|(failure, _)| failure)?;
    Ok((repaired.json, repaired.kinds.names()))
}

#[test]
fn each_kind_is_repaired() {
    for (text, json, kinds) in [
        (r#"{"a": 1, }"#, r#"{"a": 1 }"#, "commas"),
        ("[1, 2,]", "[1, 2]", "commas"),
        ("[1, 2, // more\n]", "[1, 2  \n]", "commas, comments"),
        (r#"{"a": 1,, "b": 2}"#, r#"{"a": 1, "b": 2}"#, "commas"),
        ("{\"a\": 1 \"b\": 2}", "{\"a\": 1 ,\"b\": 2}", "commas"),
        (r#"{"a": "x" "b": 2}"#, r#"{"a": "x" ,"b": 2}"#, "commas"),
        (r#"[{"a": 1}{"a": 2} [3]]"#, r#"[{"a": 1},{"a": 2} ,[3]]"#, "commas"),
        ("[1 -3]", "", ""),
        ("[1 2 true null -3]", "[1 ,2 ,true ,null ,-3]", "commas"),
        ("[\"a\"\n\"b\"]", "[\"a\"\n,\"b\"]", "commas"),
        (r#"{"a": [1, {"b": 2"#, "", ""),
        (r#"{"a": [1, {"b": "2""#, r#"{"a": [1, {"b": "2"}]}"#, "brackets"),
        ("{\"a\": [1, 2\n", "{\"a\": [1, 2\n]}", "brackets"),
        ("[[1, 2], [3\n```", "[[1, 2], [3\n]]", "brackets"),
        (r#"{"a": {"b": [1}, "c": 2}"#, r#"{"a": {"b": [1]}, "c": 2}"#, "brackets"),
        ("{\"a\": [1,\n```", "{\"a\": [1\n]}", "brackets, commas"),
        (r"{'a': 'x'}", r#"{"a": "x"}"#, "quotes"),
        (r#"{'a': 'it\'s "so" it's'}"#, r#"{"a": "it's \"so\" it's"}"#, "quotes"),
        (r#"{"a": "it\'s"}"#, r#"{"a": "it's"}"#, "quotes"),
        (r#"{“a”: „b“, ‘c’: ’d’}"#, r#"{"a": "b", "c": "d"}"#, "quotes"),
        (
            "{a: 1, b_c: {$d: 2, 3: 4, é: 5}}",
            r#"{"a": 1, "b_c": {"$d": 2, "3": 4, "é": 5}}"#,
            "keys",
        ),
        (r#"{"a": True, "b": [False, None]}"#, r#"{"a": true, "b": [false, null]}"#, "literals"),
        ("{\"a\": 1, # one\n\"b\": /* two */ 2}", "{\"a\": 1,  \n\"b\":   2}", "comments"),
        ("{\"a\": \"x\ny\tz\u{1}\r\"}", r#"{"a": "x\ny\tz\u0001\r"}"#, "control_characters"),
    ] {
        let got = names(text).map(|(json, kinds)| (json, kinds.join(", ")));
        let want = (json.to_owned(), kinds.to_owned());
        if json.is_empty() {
            assert!(got.is_err(), "{text}: {got:?}");
        } else {
            assert_eq!(got, Ok(want), "{text}");
        }
    }
}

#[test]
fn what_is_sound_is_copied() {
    for json in [
        "[]",
        "{ }",
        r#"{"a": [1, -0.5e+10, "ü\u00e9\\\"", null, true, {"b": {}}], "c" : [ [ ] ]}"#,
        "[\"“‘'//#/*\", \"\u{7f}\"]",
    ] {
        assert_eq!(names(json), Ok((json.to_owned(), vec![])), "{json}");
    }
}

#[test]
fn nothing_is_made_up() {
    for text in [
        // Cut short, perhaps within a value.
        r#"{"a": "x"#,
        r#"{"a": "x\"#,
        r#"{"a": "x\u00"#,
        r#"{"a": 12"#,
        r#"{"a": tr"#,
        r#"{"a":"#,
        r#"{"a": 1,"#,
        r#"{"a": 1, "b"#,
        r#"{"a": 1, "b""#,
        r#"{"a": 1 /* x"#,
        "[\"a\", ",
        // Values that are missing or no values.
        r#"{"a": }"#,
        r#"{"a": 1, "b": , "c": 2}"#,
        "[\"a\",, 1]",
        r#"{"a": yes}"#,
        r#"{"a": NaN}"#,
        r#"{"a": undefined}"#,
        r#"{"a": "x" + "y"}"#,
        r#"{"a": 01}"#,
        r#"{"a": 1.}"#,
        r#"{"a": .5}"#,
        r#"{"a": +1}"#,
        r#"{"a": 1_000}"#,
        r#"{"a": 0x1F}"#,
        r#"{"a": ...}"#,
        // More than one thing can be meant.
        r#"{"a": "say "hi" to"}"#,
        r#"["a" "b"]"#,
        r#"{"a": "x""b": 1}"#,
        r#"{"a": 1 b: 2}"#,
        r#"{"a": "C:\dir"}"#,
        r#"{"a": 1]"#,
    ] {
        assert_eq!(names(text), Err(Failure::Broken), "{text}");
    }
}

#[test]
fn brackets_of_prose_are_told_from_json() {
    for text in ["{name}", "{{a}}", "[see below]", "[1, p. 3]", "{", "[", "{name: the name}", "{}"]
    {
        let failure = names(text).err();
        let want = (text != "{}").then_some(Failure::Stray);
        assert_eq!(failure, want, "{text}");
    }
}

#[test]
fn nesting_has_a_limit() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(names(&nested(DEPTH_MAX)).is_ok());
    assert_eq!(names(&nested(DEPTH_MAX + 1)), Err(Failure::Broken));
    assert!(serde_json::from_str::<serde_json::Value>(&nested(DEPTH_MAX)).is_ok());
    let open = "[".repeat(1_000_000);
    assert_eq!(repair(&open, 0), Err((Failure::Broken, DEPTH_MAX)), "it is not read any further");
}
