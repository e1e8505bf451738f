use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn account(name: &str) -> AccountId {
    AccountId::parse(name).expect("an id")
}

fn key_of(body: &[u8]) -> Result<Key, BadBody> {
    let account = account("acme");
    key(Scope { account: &account, surface: "chat", stream: false, rules: b"" }, body)
}

fn same(a: &str, b: &str) -> bool {
    let (a_key, b_key) = (key_of(a.as_bytes()), key_of(b.as_bytes()));
    assert!(a_key.is_ok(), "{a} has a key: {a_key:?}");
    assert!(b_key.is_ok(), "{b} has a key: {b_key:?}");
    a_key == b_key
}

#[test]
fn spelling_does_not_matter() {
    for (a, b) in [
        (r#"{"a":1,"b":2}"#, r#" { "b" : 2 ,"a":1 } "#),
        (r#"{"a":{"x":1,"y":[1,2]}}"#, "{\"a\":\n{\"y\":[1, 2],\t\"x\":1}}"),
        (r#"{"a":"é\n"}"#, r#"{"\u0061":"\u00e9\u000a"}"#),
        (r#"{"a":"😀"}"#, r#"{"a":"\ud83d\uDE00"}"#),
        (r#"{"a":"/"}"#, r#"{"a":"\/"}"#),
        (r#"{"a":1}"#, r#"{"a":1.0}"#),
        (r#"{"a":0.5}"#, r#"{"a":0.500}"#),
        (r#"{"a":1}"#, r#"{"a":1,"user":"u","metadata":{"k":[1]},"trace":{}}"#),
        (r#"{"a":1}"#, r#"{"usage":{"include":true},"a":1,"session_id":"s"}"#),
        (r#"{"a":1}"#, r#"{"stream_options":{"include_usage":true},"a":1,"stream":false}"#),
        (r#"{"a":1}"#, r#"{"\u0075ser":"escaped name","a":1}"#),
    ] {
        assert!(same(a, b), "{a} = {b}");
    }
}

#[test]
fn meaning_does() {
    let texts = [
        "{}",
        "[]",
        "null",
        "0",
        r#""""#,
        r#"{"a":1}"#,
        r#"{"a":"1"}"#,
        r#"{"a":true}"#,
        r#"{"a":false}"#,
        r#"{"a":null}"#,
        r#"{"a":[1]}"#,
        r#"{"a":[[1]]}"#,
        r#"{"a":[1,2]}"#,
        r#"{"a":[2,1]}"#,
        r#"{"a":[12]}"#,
        r#"{"a":[]}"#,
        r#"{"a":{}}"#,
        r#"{"a":-1}"#,
        r#"{"a":10}"#,
        r#"{"a":1e0}"#,
        r#"{"a":1,"a":2}"#,
        r#"{"a":2,"a":1}"#,
        r#"{"a":1,"b":2}"#,
        r#"{"b":1,"a":2}"#,
        r#"{"ab":1}"#,
        r#"{"a":{"user":1}}"#,
        r#"{"a":{"user":2}}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"a":"\udc00\ud800"}"#,
        r#"{"a":"\ud800x"}"#,
        r#"{"a":"ud800"}"#,
        r#"{"a":"x\u0000"}"#,
        r#"{"a":"x"}"#,
        r#"{"a":"[1]"}"#,
        r#"{"a":" x"}"#,
    ];
    for (i, a) in texts.iter().enumerate() {
        for b in &texts[i + 1..] {
            assert!(!same(a, b), "{a} ≠ {b}");
        }
    }
}

#[test]
fn the_scope_is_part_of_the_key() {
    let (one, two) = (account("one"), account("two"));
    let scopes = [
        Scope { account: &one, surface: "chat", stream: false, rules: b"" },
        Scope { account: &one, surface: "chat", stream: true, rules: b"" },
        Scope { account: &two, surface: "chat", stream: false, rules: b"" },
        Scope { account: &one, surface: "messages", stream: false, rules: b"" },
        Scope { account: &one, surface: "", stream: false, rules: b"" },
        Scope { account: &one, surface: "chat", stream: false, rules: b"[]" },
    ];
    let keys: Vec<_> = scopes.iter().map(|s| key(*s, b"{}").expect("a key")).collect();
    for (i, a) in keys.iter().enumerate() {
        assert!(!keys[i + 1..].contains(a), "scope {i} has a key of its own");
    }
}

#[test]
fn what_is_not_json_is_refused() {
    for (text, at) in [
        ("", 0),
        (" ", 1),
        ("{", 1),
        ("[", 1),
        ("}", 0),
        ("{}x", 2),
        ("{} {}", 3),
        ("[1,]", 3),
        (r#"{"a":1,}"#, 7),
        (r#"{"a"}"#, 4),
        (r#"{"a":}"#, 5),
        ("{1:2}", 1),
        ("[1}", 2),
        (r#"{"a":1]"#, 6),
        ("[1 2]", 3),
        ("tru", 0),
        ("nul1", 0),
        ("truex", 4),
        ("01", 1),
        ("-", 1),
        ("1.", 2),
        (".5", 0),
        ("1e", 2),
        ("+1", 0),
        ("\"", 1),
        ("\"a\nb\"", 2),
        (r#""\x""#, 1),
        (r#""\u12g4""#, 1),
        (r#""\u12"#, 1),
        (r#""\"#, 1),
    ] {
        assert_eq!(key_of(text.as_bytes()), Err(BadBody::NotJson(at)), "{text:?}");
    }
    assert_eq!(key_of(b"\"\xff\""), Err(BadBody::NotJson(0)), "not UTF-8");
}

#[test]
fn depth_and_size_are_bounded() {
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    assert!(key_of(&nested(tape::DEPTH_MAX)).is_ok(), "the deepest that is allowed");
    assert_eq!(key_of(&nested(tape::DEPTH_MAX + 1)), Err(BadBody::TooDeep));
    assert_eq!(key_of(&vec![b'['; 10_000_000]), Err(BadBody::TooDeep));
    let wide = format!("[{}0]", "0,".repeat(tape::NODES_MAX));
    assert_eq!(key_of(wide.as_bytes()), Err(BadBody::TooComplex));
}

#[test]
fn pieces_around_the_buffer_are_not_lost() {
    let mut seen = std::collections::HashSet::new();
    for len in 900..1200 {
        let body = format!(r#"{{"a":"{}","b":1}}"#, "x".repeat(len));
        assert!(seen.insert(key_of(body.as_bytes()).expect("a key")), "{len} is new");
    }
}

/// Any JSON value, small.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        (-1000_i32..1000).prop_map(|n| Value::from(f64::from(n) / 8.0)),
        any::<String>().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::hash_map(".{0,6}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Spells a value with properties rotated, random white space and random escapes.
fn spell(value: &Value, noise: &mut impl FnMut() -> u8, out: &mut String) {
    let space = |noise: &mut dyn FnMut() -> u8, out: &mut String| {
        out.push_str(["", "", " ", "\n\t"][usize::from(noise() % 4)]);
    };
    space(noise, out);
    match value {
        Value::String(text) => spell_string(text, noise, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                spell(item, noise, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            for i in (1..members.len()).rev() {
                members.swap(i, usize::from(noise()) % (i + 1));
            }
            out.push('{');
            for (i, (name, item)) in members.into_iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                space(noise, out);
                spell_string(name, noise, out);
                space(noise, out);
                out.push(':');
                spell(item, noise, out);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
    space(noise, out);
}

fn spell_string(text: &str, noise: &mut impl FnMut() -> u8, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        if c < ' ' || c == '"' || c == '\\' || noise().is_multiple_of(3) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out.push('"');
}

/// Changes the `target`-th leaf (or empty container) of a value; returns whether there was one.
fn change(value: &mut Value, target: &mut usize) -> bool {
    match value {
        Value::Array(items) if !items.is_empty() => items.iter_mut().any(|v| change(v, target)),
        Value::Object(map) if !map.is_empty() => map.values_mut().any(|v| change(v, target)),
        _ if *target > 0 => {
            *target -= 1;
            false
        }
        leaf => {
            *leaf = match leaf {
                Value::Null => Value::Bool(false),
                Value::Bool(b) => Value::Bool(!*b),
                Value::Number(n) => Value::String(n.to_string()),
                Value::String(text) => Value::String(format!("{text}x")),
                Value::Array(_) | Value::Object(_) => Value::from(vec![Value::Null]),
            };
            true
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_spelling_has_one_key(value in values(), noise in prop::collection::vec(any::<u8>(), 64)) {
        let mut at = 0;
        let mut next = || { at += 1; noise[at % noise.len()].wrapping_add(u8::try_from(at / 64 % 256).unwrap()) };
        let mut spelled = String::new();
        spell(&value, &mut next, &mut spelled);
        prop_assert_eq!(key_of(spelled.as_bytes()), key_of(value.to_string().as_bytes()));
        prop_assert!(key_of(spelled.as_bytes()).is_ok(), "{}", spelled);
    }

    #[test]
    fn any_changed_leaf_changes_the_key(value in values(), target in 0_usize..16) {
        let body = |v: &Value| serde_json::json!({ "messages": v }).to_string();
        let mut changed = value.clone();
        let mut target = target;
        if change(&mut changed, &mut target) {
            prop_assert_ne!(key_of(body(&value).as_bytes()), key_of(body(&changed).as_bytes()));
        }
    }

    #[test]
    fn accepts_exactly_what_is_json(text in r#"[ \[\]{}":,0-9.eE+\-tfnulrase\\/]{0,24}"#) {
        let ours = key_of(text.as_bytes()).is_ok();
        let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
        prop_assert_eq!(ours, theirs, "{}", text);
    }
}
