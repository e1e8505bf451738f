use proptest::prelude::*;

use super::*;

fn head(body: &str) -> Head {
    scan(body.as_bytes()).unwrap_or_else(|e| panic!("{body}: {e}"))
}

fn error(body: &[u8]) -> GatewayError {
    let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
    scan(body).expect_err(&shown)
}

/// A body around some members.
fn with(members: &str) -> String {
    format!(r#"{{"model":"a/b","messages":[{{"role":"user","content":"hi"}}],{members}}}"#)
}

#[test]
fn what_is_asked_for_is_read() {
    let head = head(
        r#" {"model":"a\/b", "models":["c","d"], "stream":true, "max_tokens":7, "n":3,
            "max_completion_tokens":9, "tools":[{"type":"function"}],
            "provider":{"order":["x"],"only":["y"],"ignore":["z"],"allow_fallbacks":false},
            "messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://i"}}]}],
            "stream_options":{"include_usage":true},"usage":{"include":true},"session_id":"s",
            "trace":{"a":1},"plugins":[],"transforms":[],"route":"fallback","preset":null} "#,
    );
    assert_eq!(head.model.as_deref(), Some("a/b"));
    assert_eq!(head.models, ["c", "d"]);
    assert!(head.stream && head.has_tools && head.has_images && head.has_media);
    assert_eq!((head.max_tokens, head.max_tokens_key), (Some(9), Key::MaxCompletionTokens));
    assert_eq!(head.n, 3);
    let prefs = head.provider.expect("preferences");
    assert_eq!(
        prefs,
        Prefs {
            order: vec!["x".into()],
            only: vec!["y".into()],
            ignore: vec!["z".into()],
            allow_fallbacks: false,
            ..Prefs::default()
        }
    );
}

#[test]
fn nothing_asked_for_gives_the_defaults() {
    let head =
        head(&with(r#""stream":null,"max_tokens":null,"n":null,"tools":null,"provider":null"#));
    assert!(!head.stream && !head.has_tools && !head.has_images && !head.has_media);
    assert_eq!((head.max_tokens, head.max_tokens_key, head.n), (None, Key::MaxTokens, 1));
    assert_eq!(head.provider, None);
    assert!(Prefs::default().allow_fallbacks, "fallbacks are on unless switched off");
}

#[test]
fn faults_name_their_member() {
    for (members, param) in [
        (r#""stream":"yes""#, "stream"),
        (r#""max_tokens":-1"#, "max_tokens"),
        (r#""max_tokens":0"#, "max_tokens"),
        (r#""max_tokens":1.5"#, "max_tokens"),
        (r#""max_tokens":"5""#, "max_tokens"),
        (r#""max_completion_tokens":99999999999"#, "max_completion_tokens"),
        (r#""n":129"#, "n"),
        (r#""model":"x""#, "model"),
        (r#""\u006dodel":"x""#, "model"),
        (r#""m\u006Fdel":"x""#, "model"),
        (r#""messages":[{}]"#, "messages"),
        (r#""stream":true,"str\u0065am":false"#, "stream"),
        (r#""models":"x""#, "models"),
        (r#""models":[""]"#, "models"),
        (r#""models":["\ud800"]"#, "models"),
        (r#""tools":{}"#, "tools"),
        (r#""plugins":{"id":"web"}"#, "plugins"),
        (r#""transforms":"middle-out""#, "transforms"),
        (r#""preset":1"#, "preset"),
        (r#""preset":"""#, "preset"),
        (r#""route":"other""#, "route"),
        (r#""prompt_cache_key":"a","prompt_cache_key":"b""#, "prompt_cache_key"),
        (r#""route":1"#, "route"),
        (r#""usage":1"#, "usage"),
        (r#""trace":[]"#, "trace"),
        (r#""session_id":1"#, "session_id"),
        (r#""stream_options":1"#, "stream_options"),
        (r#""stream_options":{"include_usage":1}"#, "stream_options.include_usage"),
        (
            r#""stream_options":{"include_usage":true,"include_usag\u0065":true}"#,
            "stream_options.include_usage",
        ),
        (r#""provider":[]"#, "provider"),
        (r#""provider":{"prefer":"price"}"#, "provider"),
        (r#""provider":{"order":"x"}"#, "provider.order"),
        (r#""provider":{"order":[],"order":[]}"#, "provider.order"),
        (r#""provider":{"allow_fallbacks":"no"}"#, "provider.allow_fallbacks"),
    ] {
        let error = error(with(members).as_bytes());
        assert_eq!(error.kind, Kind::InvalidRequest, "{members}");
        assert_eq!(error.param.as_deref(), Some(param), "{members}: {}", error.message);
    }
    for (body, param) in [
        (r#"{"model":"m"}"#, "messages"),
        (r#"{"model":"m","messages":[]}"#, "messages"),
        (r#"{"model":"m","messages":{}}"#, "messages"),
        (r#"{"model":"m","messages":null}"#, "messages"),
        (r#"{"model":"m","messages":[{},"x"]}"#, "messages[1]"),
        (r#"{"model":"","messages":[{}]}"#, "model"),
        (r#"{"model":null,"messages":[{}]}"#, "model"),
        (r#"{"messages":[{}]}"#, "model"),
        (r#"{"models":[],"messages":[{}]}"#, "model"),
    ] {
        let error = error(body.as_bytes());
        assert_eq!(error.param.as_deref(), Some(param), "{body}: {}", error.message);
    }
    let unknown = error(with(r#""provider":{"zero":true,"sorted":1}"#).as_bytes());
    assert_eq!(unknown.message, "Unrecognized key(s) in 'provider': 'zero', 'sorted'.");
}

#[test]
fn duplicates_that_nobody_acts_on_pass() {
    head(&with(r#""seed":1,"seed":2,"x":{"model":1,"model":2}"#));
}

#[test]
fn bad_json_says_where() {
    let text = "{\"model\":\"m\",\n \"é\": tru}";
    let error = error(text.as_bytes());
    assert_eq!(
        error.message,
        "The body is not valid JSON: expected a value at line 2 column 7 (byte 21)."
    );
}

#[test]
fn hostile_bodies_are_refused() {
    let deep = |n: usize| with(&format!("\"x\":{}{}", "[".repeat(n), "]".repeat(n)));
    head(&deep(255));
    assert!(error(deep(256).as_bytes()).message.contains("256 levels"), "too deep");
    error("[".repeat(1 << 20).as_bytes());
    error("{\"a\":".repeat(1 << 20).as_bytes());
    for bad in [
        "",
        " ",
        "[]",
        "1",
        "\"x\"",
        "{",
        "}",
        "{]",
        "{\"",
        "{\"a",
        "{\"a\"",
        "{\"a\":",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1,}",
        "{,}",
        "nul",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":.1}",
        "{\"a\":1e}",
        "{\"a\":-}",
        "{\"a\":+1}",
        "{\"a\":NaN}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\\u12",
        "{\"a\":\"\t\"}",
        "{\"a\":[1,]}",
        "{\"a\":[1 2]}",
        "{\"a\":1}x",
        "{\"a\" 1}",
        "\u{feff}{}",
        "{\"a\":\"b\0c\"}",
    ] {
        error(bad.as_bytes());
    }
    let not_utf8 = error(b"{\"model\":\"\xff\"}");
    assert!(not_utf8.message.contains("UTF-8 at line 1 column 11 (byte 10)"), "{not_utf8}");
}

#[test]
fn the_size_of_a_prompt_is_estimated() {
    let ascii = format!(r#"{{"model":"m","messages":[{{"content":"{}"}}]}}"#, "a".repeat(4000));
    assert_eq!(head(&ascii).estimate_prompt_tokens(), 1004);
    let wide = format!(r#"{{"model":"m","messages":[{{"content":"{}"}}]}}"#, "é".repeat(1000));
    assert_eq!(head(&wide).estimate_prompt_tokens(), 1004);
    let escaped =
        format!(r#"{{"model":"m","messages":[{{"content":"{}"}}]}}"#, "\\u00e9".repeat(1000));
    assert_eq!(head(&escaped).text, head(&wide).text, "escapes count as what they mean");
    let image = format!(
        r#"{{"model":"m","messages":[{{"c":[{{"image_url":{{"url":"data:{}"}}}}]}},{{}}]}}"#,
        "A".repeat(1 << 20)
    );
    assert_eq!(head(&image).estimate_prompt_tokens(), 1008);
    let sound = format!(
        r#"{{"model":"m","messages":[{{"c":[{{"input_audio":{{"data":"{}"}}}}]}}]}}"#,
        "A".repeat(1 << 20)
    );
    assert_eq!(head(&sound).estimate_prompt_tokens(), 1004);
    assert!(!head(&sound).has_images && head(&sound).has_media, "a sound is no image");
}

proptest! {
    #[test]
    fn the_lexer_agrees_with_serde_json(text in r#"[\[\]{}",:0-9a-f\\eE+\-. truns\u{e9}\n]{0,24}"#) {
        let mut lexer = Lexer::new(text.as_bytes(), 0);
        let ours = lexer.value(0, &mut Blind).and_then(|_| lexer.expect_end());
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours, theirs);
    }

    #[test]
    fn any_cut_of_a_good_body_is_an_error(cut in 0_usize..100) {
        let body = with(r#""x":[1,{"y":"\u00e9 \"z"},-1.5e3,null]"#);
        let cut = cut % body.len();
        prop_assert!(scan(&body.as_bytes()[..cut]).is_err());
    }
}

fn form_of(form: Form, body: &str) -> Head {
    scan_as(form, body.as_bytes()).unwrap_or_else(|e| panic!("{body}: {e}"))
}

#[test]
fn each_form_has_members_of_its_own() {
    let head = form_of(
        Form::Responses,
        r#"{"model":"m","instructions":"abcd","input":[{"role":"user","content":"efgh"}],
            "max_output_tokens":7,"stream":true,"store":false,"max_tokens":"rides along"}"#,
    );
    assert_eq!((head.max_tokens, head.max_tokens_key), (Some(7), Key::MaxOutputTokens));
    assert!(head.stream && head.text.ascii_bytes >= 8, "{:?}", head.text);
    let head = form_of(
        Form::Messages,
        r#"{"model":"m","system":[{"type":"text","text":"abcd"}],"max_tokens":9,
            "fallbacks":[{"model":"n"},{"model":"o"}],"messages":[{"role":"user","content":"x"}]}"#,
    );
    assert_eq!((head.max_tokens, head.models.len()), (Some(9), 2));
    let head = form_of(Form::Completions, r#"{"model":"m","prompt":"abcdefgh","n":2}"#);
    assert_eq!((head.n, head.text.ascii_bytes), (2, 8));
    let head = form_of(Form::Embeddings, r#"{"model":"m","input":[[1,2,3],[4,5]]}"#);
    assert_eq!(head.text.ascii_bytes, 5 * 4, "a number is a token");
    let head =
        form_of(Form::Rerank, r#"{"model":"m","query":"ab","documents":["cd",{"text":"ef"}]}"#);
    assert!(head.text.ascii_bytes >= 6, "{:?}", head.text);
}

#[test]
fn each_form_refuses_what_it_cannot_do() {
    for (form, body, param) in [
        (Form::Responses, r#"{"model":"m"}"#, "input"),
        (Form::Responses, r#"{"model":"m","input":5}"#, "input"),
        (Form::Responses, r#"{"model":"m","input":[]}"#, "input"),
        (Form::Responses, r#"{"model":"m","input":"x","store":true}"#, "store"),
        (Form::Messages, r#"{"model":"m","messages":[]}"#, "messages"),
        (
            Form::Messages,
            r#"{"model":"m","messages":[{}],"fallbacks":[{"model":"a","x":1}]}"#,
            "fallbacks",
        ),
        (
            Form::Messages,
            r#"{"model":"m","models":["a"],"messages":[{}],"fallbacks":[]}"#,
            "fallbacks",
        ),
        (Form::Completions, r#"{"model":"m","messages":[{}]}"#, "prompt"),
        (Form::Embeddings, r#"{"model":"m","input":{}}"#, "input"),
        (Form::Rerank, r#"{"model":"m","query":"x"}"#, "documents"),
    ] {
        let error = scan_as(form, body.as_bytes()).expect_err(body);
        assert_eq!(error.param.as_deref(), Some(param), "{body}");
    }
}
