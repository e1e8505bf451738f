//! What cannot be expressed, and that a large request is not slow.

use super::request;
use crate::dialect::Target;
use crate::dialect::chat::read_request;

const TARGET: Target<'_> = Target::new("m", 8192);

fn refused(body: &str) -> String {
    let read = read_request(body.as_bytes()).unwrap();
    let error = request(&read, &TARGET).unwrap_err();
    assert_eq!(error.kind.status(), 400, "{body}");
    error.param.unwrap()
}

fn user(part: &str) -> String {
    format!(r#"{{"messages":[{{"role":"user","content":[{part}]}}]}}"#)
}

#[test]
fn what_anthropic_cannot_do_is_refused_by_name() {
    let file = |file: &str| user(&format!(r#"{{"type":"file","file":{{{file}}}}}"#));
    let marks = r#"{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}"#;
    for (body, param) in [
        (r#"{"n":2,"messages":[{"role":"user","content":"x"}]}"#.to_owned(), "n"),
        (
            r#"{"modalities":["text","audio"],"messages":[{"role":"user","content":"x"}]}"#.into(),
            "modalities",
        ),
        (r#"{"messages":[{"role":"user","content":" \n"}]}"#.into(), "messages"),
        (
            user(r#"{"type":"video_url","video_url":{"url":"https://a"}}"#),
            "messages[0].content[0].type",
        ),
        (file(r#""file_id":"file-1""#), "messages[0].content[0].file.file_id"),
        (
            file(r#""file_data":"data:application/zip;base64,AA==""#),
            "messages[0].content[0].file.file_data",
        ),
        (
            file(r#""file_data":"data:text/plain;base64,//4=""#),
            "messages[0].content[0].file.file_data",
        ),
        (
            user(r#"{"type":"image_url","image_url":{"url":"data:image/png,raw"}}"#),
            "messages[0].content[0].image_url.url",
        ),
        (user(&[marks; 5].join(",")), "cache_control"),
    ] {
        assert_eq!(refused(&body), param, "{body}");
    }
}

#[test]
fn long_conversations_are_written_whole_and_in_order() {
    let text = "All work \\u00e9 and no play\\n".repeat(2_000);
    let turns: Vec<String> = (0..20)
        .map(|i| {
            let role = if i % 2 == 0 { "user" } else { "assistant" };
            format!(r#"{{"role":"{role}","content":"{i}{text}"}}"#)
        })
        .chain([r#"{"role":"user","content":"end"}"#.to_owned()])
        .collect();
    let body = format!(r#"{{"messages":[{}]}}"#, turns.join(","));
    let read = read_request(body.as_bytes()).unwrap();
    let bytes = request(&read, &TARGET).unwrap();
    let out: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    for i in 0..20 {
        let got = out["messages"][i]["content"].as_str().unwrap();
        let expected = format!("{i}{}", "All work é and no play\n".repeat(2_000));
        assert_eq!(got, expected, "{i}");
    }
}
