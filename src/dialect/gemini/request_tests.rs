//! Large requests, and what only other surfaces can ask for.

use super::request;
use crate::dialect::Target;
use crate::dialect::chat::read_request;
use crate::dialect::ir::{FileSource, Message, Part, PartBody, Request};

const TARGET: Target<'_> = Target::new("gemini-2.5-flash", 8192);

fn part(body: PartBody) -> Part {
    Part { body, cache: None }
}

fn text(text: &str) -> Part {
    part(PartBody::Text(text.to_owned()))
}

#[test]
fn long_conversations_are_written_whole_and_in_order() {
    let text = "All work \\u00e9 and no play\\n".repeat(2_000);
    let turns: Vec<String> = (0..21)
        .map(|i| {
            let role = if i % 2 == 0 { "user" } else { "assistant" };
            format!(r#"{{"role":"{role}","content":"{i}{text}"}}"#)
        })
        .collect();
    let body = format!(r#"{{"messages":[{}]}}"#, turns.join(","));
    let read = read_request(body.as_bytes()).unwrap();
    let bytes = request(&read, &TARGET).unwrap();
    let out: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    for i in 0..21 {
        let got = out["contents"][i]["parts"][0]["text"].as_str().unwrap();
        let expected = format!("{i}{}", "All work é and no play\n".repeat(2_000));
        assert_eq!(got, expected, "{i}");
    }
}

#[test]
fn what_only_other_surfaces_can_say_is_judged_too() {
    let user = || Message::User { parts: vec![text("x")], name: None };
    let image = part(PartBody::Image { url: "https://a".to_owned(), detail: None });
    let picture = Message::System { parts: vec![text("a"), image], name: None };
    let stray =
        Message::Tool { call_id: "none".to_owned(), parts: vec![text("a")], is_error: false };
    let bucket = FileSource::Url("gs://bucket/a.csv".to_owned());
    let cases = [
        (
            Request { messages: vec![picture, user()], ..Request::default() },
            Err("messages[0].content[1].type"),
        ),
        (
            Request { messages: vec![user(), stray], ..Request::default() },
            Err("messages[1].tool_call_id"),
        ),
        (
            Request {
                messages: vec![user()],
                stop: ["a", "b", "c", "d", "e", "f"].map(str::to_owned).to_vec(),
                ..Request::default()
            },
            Err("stop"),
        ),
        (
            Request {
                messages: vec![Message::User {
                    parts: vec![part(PartBody::File { name: None, source: bucket })],
                    name: None,
                }],
                ..Request::default()
            },
            Ok(r#"{"fileData":{"mimeType":"text/csv","fileUri":"gs://bucket/a.csv"}}"#),
        ),
    ];
    for (asked, expected) in cases {
        match (request(&asked, &TARGET), expected) {
            (Ok(bytes), Ok(part)) => {
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                assert!(text.contains(part), "{text}");
            }
            (Err(error), Err(param)) => assert_eq!(error.param.as_deref(), Some(param)),
            (got, expected) => panic!("{:?} for {expected:?}", got.map_err(|e| e.param)),
        }
    }
}
