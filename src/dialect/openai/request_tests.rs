use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::dialect::openai::Host;
use crate::dialect::scan::scan;

const PLAIN: Target<'static> = Target::new("up/stream", 4096);

fn spliced(body: &str, target: &Target<'_>) -> String {
    let head = scan(body.as_bytes()).expect("a good body");
    let out = request(body.as_bytes(), &head, target).expect("a splice");
    String::from_utf8(out.to_vec()).expect("UTF-8")
}

#[test]
fn bytes_that_need_not_change_stay() {
    for (body, want) in [
        (
            r#"{ "model" : "a/b" , "messages" : [ {"role":"user"} ], "x":1.0e5 }"#,
            r#"{ "model" : "up/stream" , "messages" : [ {"role":"user"} ], "x":1.0e5 }"#,
        ),
        (
            r#"{"models":["a"],"provider":{},"messages":[{}],"route":null,"usage":{},"trace":{}}"#,
            r#"{"model":"up/stream","messages":[{}]}"#,
        ),
        (
            r#"{"usage":{} , "model":"m","provider":null,"messages":[{}] , "trace":{} }"#,
            r#"{ "model":"up/stream","messages":[{}]  }"#,
        ),
        (
            r#"{"model":"m","messages":[{}],"stream":true}"#,
            r#"{"stream_options":{"include_usage":true},"model":"up/stream","messages":[{}],"stream":true}"#,
        ),
        (
            r#"{"model":"m","messages":[{}],"stream":true,"stream_options":{"include_usage":false,"o":1}}"#,
            r#"{"model":"up/stream","messages":[{}],"stream":true,"stream_options":{"include_usage":true,"o":1}}"#,
        ),
        (
            r#"{"model":"m","messages":[{}],"stream":true,"stream_options":{ }}"#,
            r#"{"model":"up/stream","messages":[{}],"stream":true,"stream_options":{"include_usage":true }}"#,
        ),
        (
            r#"{"model":"m","messages":[{}],"stream":true,"stream_options":{"o":1}}"#,
            r#"{"model":"up/stream","messages":[{}],"stream":true,"stream_options":{"include_usage":true,"o":1}}"#,
        ),
        (
            r#"{"model":"m","stream_options":null,"stream":true,"messages":[{}]}"#,
            r#"{"model":"up/stream","stream_options":{"include_usage":true},"stream":true,"messages":[{}]}"#,
        ),
        (
            r#"{"model":"m","stream_options":{"include_usage":true},"messages":[{}]}"#,
            r#"{"model":"up/stream","messages":[{}]}"#,
        ),
        (
            r#"{"model":"m","service_tier": null,"messages":[{}]}"#,
            r#"{"model":"up/stream","messages":[{}]}"#,
        ),
        (
            r#"{"model":"m","service_tier":"flex","messages":[{}]}"#,
            r#"{"model":"up/stream","service_tier":"flex","messages":[{}]}"#,
        ),
        (
            r#"{"\u006dodel":"m","messages":[{"content":"\u006d\n\"model\""}]}"#,
            r#"{"\u006dodel":"up/stream","messages":[{"content":"\u006d\n\"model\""}]}"#,
        ),
    ] {
        assert_eq!(spliced(body, &PLAIN), want, "{body}");
    }
}

#[test]
fn the_token_limit_follows_the_credit() {
    let target = Target { credit_limit: Some(100), ..PLAIN };
    for (limits, want) in [
        ("", r#""max_tokens":100,"#),
        (r#""max_tokens":50,"#, r#""max_tokens":50,"#),
        (r#""max_tokens":500,"#, r#""max_tokens":100,"#),
        (r#""max_tokens":null,"#, r#""max_tokens":100,"#),
        (r#""max_completion_tokens":101,"#, r#""max_completion_tokens":100,"#),
        (r#""max_completion_tokens":null,"#, r#""max_completion_tokens":100,"#),
        (
            r#""max_tokens":null,"max_completion_tokens":70,"#,
            r#""max_tokens":null,"max_completion_tokens":70,"#,
        ),
        (
            r#""max_tokens":900,"max_completion_tokens":70,"#,
            r#""max_tokens":100,"max_completion_tokens":70,"#,
        ),
    ] {
        let body = format!(r#"{{{limits}"model":"m","messages":[{{}}]}}"#);
        let want = format!(r#"{{{want}"model":"up/stream","messages":[{{}}]}}"#);
        assert_eq!(spliced(&body, &target), want, "{body}");
    }
}

#[test]
fn the_token_limit_has_the_hosts_name() {
    let openai = Target { host: Host::parse("openai").expect("a row"), ..PLAIN };
    let deepseek = Target { host: Host::parse("deepseek").expect("a row"), ..PLAIN };
    let poor = |target| Target { credit_limit: Some(9), ..target };
    for (target, limits, want) in [
        (openai, r#""max_tokens" :50,"#, r#""max_completion_tokens" :50,"#),
        (openai, r#""max_completion_tokens":50,"#, r#""max_completion_tokens":50,"#),
        (openai, r#""max_tokens":1,"max_completion_tokens":2,"#, r#""max_completion_tokens":2,"#),
        (openai, r#""max_completion_tokens":2,"max_tokens":1,"#, r#""max_completion_tokens":2,"#),
        (
            openai,
            r#""max_completion_tokens":null,"max_tokens":1,"#,
            r#""max_completion_tokens":1,"#,
        ),
        (openai, r#""max_tokens":null,"#, r#""max_completion_tokens":null,"#),
        (poor(openai), "", r#""max_completion_tokens":9,"#),
        (poor(openai), r#""max_tokens":50,"#, r#""max_completion_tokens":9,"#),
        (poor(openai), r#""max_tokens":null,"#, r#""max_completion_tokens":9,"#),
        (poor(deepseek), r#""max_completion_tokens":50,"#, r#""max_tokens":9,"#),
        (deepseek, r#""max_tokens":1,"max_completion_tokens":2,"#, r#""max_tokens":2,"#),
    ] {
        let body = format!(r#"{{{limits}"model":"m","messages":[{{}}]}}"#);
        let want = format!(r#"{{{want}"model":"up/stream","messages":[{{}}]}}"#);
        assert_eq!(spliced(&body, &target), want, "{body}");
    }
    let last = r#"{"model":"m","messages":[{}],"max_completion_tokens":2,"max_tokens":1}"#;
    let want = r#"{"model":"up/stream","messages":[{}],"max_completion_tokens":2}"#;
    assert_eq!(spliced(last, &openai), want);
}

#[test]
fn a_model_name_is_escaped() {
    let target = Target { upstream_model: "a\"b\\c\u{1}ü", ..PLAIN };
    let out = spliced(r#"{"model":"m","messages":[{}]}"#, &target);
    assert_eq!(out, "{\"model\":\"a\\\"b\\\\c\\u0001ü\",\"messages\":[{}]}");
}

#[test]
fn a_foreign_head_is_an_error() {
    let head = scan(br#"{"usage":{},"stream":true,"messages":[{}],"model":"m"}"#).expect("good");
    assert!(request(b"{}", &head, &PLAIN).is_err(), "spans outside the body are noticed");
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z\"\\\\\n\u{e9}\u{1f600} ]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z\"\n]{0,6}", inner), 0..4)
                .prop_map(|m| Value::from(m.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Members in random order, with random others between.
fn document() -> impl Strategy<Value = Vec<(String, Value)>> {
    let known = prop::sample::subsequence(
        vec![
            ("models".to_owned(), json!(["x", "y"])),
            ("provider".to_owned(), json!({"order": ["a"], "allow_fallbacks": false})),
            ("plugins".to_owned(), json!([])),
            ("transforms".to_owned(), Value::Null),
            ("route".to_owned(), json!("fallback")),
            ("preset".to_owned(), Value::Null),
            ("usage".to_owned(), json!({"include": true})),
            ("session_id".to_owned(), json!("s")),
            ("trace".to_owned(), json!({"a": {"b": [1]}})),
            ("stream".to_owned(), json!(true)),
            ("stream_options".to_owned(), json!({"include_obfuscation": false})),
            ("max_tokens".to_owned(), json!(500)),
            ("tools".to_owned(), json!([{"type": "function"}])),
            ("n".to_owned(), json!(2)),
        ],
        0..=14,
    );
    let other = prop::collection::vec(("o_[a-z]{1,6}", value()), 0..5);
    (known, other).prop_flat_map(|(known, other)| {
        let mut all = known;
        all.push(("model".to_owned(), json!("m/odel")));
        all.push(("messages".to_owned(), json!([{"role": "user", "content": "hi \"model\": 1"}])));
        let mut names = std::collections::HashSet::new();
        all.extend(other.into_iter().filter(|(k, _)| names.insert(k.clone())));
        Just(all).prop_shuffle()
    })
}

/// Writes a document with the given white space between tokens and every `nth` letter of its
/// keys escaped.
fn written(members: &[(String, Value)], space: &str, nth: usize) -> String {
    let mut out = format!("{space}{{");
    for (i, (key, value)) in members.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let mut name = String::new();
        for (j, c) in key.chars().enumerate() {
            if nth > 0 && j % nth == 0 {
                name.push_str(&format!("\\u{:04x}", c as u32));
            } else {
                name.push(c);
            }
        }
        out.push_str(&format!("{comma}{space}\"{name}\"{space}:{space}{value}{space}"));
    }
    out.push_str(&format!("{space}}}{space}"));
    out
}

/// The same change made on a tree.
fn edited(members: &[(String, Value)], target: &Target<'_>) -> Value {
    let mut tree: Map<String, Value> = members.iter().cloned().collect();
    for (key, name) in Key::ALL {
        if key.gateway_only() {
            tree.remove(name);
        }
    }
    tree.insert("model".to_owned(), target.upstream_model.into());
    if tree.get("stream") == Some(&json!(true)) {
        let options = tree.entry("stream_options").or_insert_with(|| json!({}));
        options["include_usage"] = json!(true);
    } else {
        tree.remove("stream_options");
    }
    if let Some(limit) = target.credit_limit {
        let asked = tree.get("max_tokens").and_then(Value::as_u64);
        tree.insert("max_tokens".to_owned(), json!(asked.unwrap_or(u64::MAX).min(limit.into())));
    }
    tree.into()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_splice_is_an_edit_of_the_tree(
        members in document(),
        space in prop::sample::select(vec!["", " ", "\n\t ", "\r\n"]),
        nth in 0_usize..4,
        credit_limit in prop::option::of(1_u32..1000),
    ) {
        let target = Target { credit_limit, ..PLAIN };
        let body = written(&members, space, nth);
        let out = spliced(&body, &target);
        let tree: Value = serde_json::from_str(&out).expect("the splice is valid JSON");
        prop_assert_eq!(tree, edited(&members, &target), "{}", body);
        // What was spliced once has nothing left to splice.
        prop_assert_eq!(spliced(&out, &target), out);
    }
}
