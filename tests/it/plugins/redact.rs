//! `redact`: what is personal does not reach a provider, nor a client what it must not see.

use serde_json::json;
use turnpike::dialect::Surface;

use super::{ask, said, world};
use crate::support::stream;

const SECRET: &str = "ada.lovelace@example.org";

fn plugin(options: &str) -> String {
    format!("[[plugins]]\nid = \"redact\"\nenabled = \"always\"\n[plugins.options]\n{options}\n")
}

#[test]
fn nothing_personal_reaches_a_provider_and_placeholders_come_back_across_every_cut() {
    let world = world(&plugin("placeholders = true"));
    let text = format!("Write to {SECRET}, card 4111 1111 1111 1111.");
    for (host, streamed) in [("open", false), ("open", true), ("anth", false), ("anth", true)] {
        let answer = "Done: [EMAIL_1] has a letter.";
        for cut in 1..answer.len() {
            let pieces = [&answer[..cut], &answer[cut..]];
            world.say(&pieces, streamed);
            let body = ask(&format!("test/{host}"), &text, streamed);
            let got = said(&world.chat(&body), streamed);
            assert_eq!(got.text, format!("Done: {SECRET} has a letter."), "{host} cut at {cut}");
            let asked = world.asked(host).to_string();
            assert!(!asked.contains(SECRET) && !asked.contains("4111"), "{asked}");
            assert!(asked.contains("[EMAIL_1]"), "{asked}");
            assert!(!got.pipeline.to_string().contains(SECRET), "{}", got.pipeline);
            if !streamed {
                break;
            }
        }
    }
    assert!(!world.gateway.log("stderr").contains(SECRET));
    assert!(!world.gateway.log("access.log").contains(SECRET));
}

#[test]
fn an_answer_is_redacted_across_every_cut_of_its_stream() {
    let world = world(&plugin(""));
    let answer = format!("Ask {SECRET} or 192-not-an-ip, key AKIAIOSFODNN7EXAMPLE end.");
    for streamed in [false, true] {
        for cut in 1..answer.len() {
            world.say(&[&answer[..cut], &answer[cut..]], streamed);
            let got = said(&world.chat(&ask("test/open", "Who?", streamed)), streamed);
            assert!(!got.text.contains("lovelace") && !got.text.contains("AKIA"), "{}", got.text);
            assert!(
                got.text.starts_with("Ask [EMAIL") && got.text.ends_with(" end."),
                "{}",
                got.text
            );
            if !streamed {
                break;
            }
        }
    }
    // Other surfaces go through the same.
    world.say(&[&answer], true);
    let body = json!({"model": "test/anth", "stream": true, "max_tokens": 9,
        "messages": [{"role": "user", "content": "Who?"}]});
    let answer =
        world.gateway.client().send("POST", "/v1/messages", &[], body.to_string().as_bytes());
    let got = stream::read(Surface::Messages, &answer);
    assert!(got.text.starts_with("Ask [EMAIL"), "{}", got.text);
}

#[test]
fn what_is_blocked_is_refused_by_name_alone() {
    let world = world(&plugin("action = \"flag\"\nactions = { email = \"block\" }"));
    let answer = world.chat(&ask("test/open", &format!("Mail {SECRET}"), false));
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert_eq!(answer.json()["error"]["metadata"]["reasons"], json!(["email"]));
    assert!(!answer.text().contains(SECRET), "{}", answer.text());
    assert_eq!(world.requests("open"), 0);
    world.say(&["Fine."], false);
    let got = said(&world.chat(&ask("test/open", "card 4111 1111 1111 1111", false)), false);
    assert_eq!(got.text, "Fine.");
    assert!(world.asked("open").to_string().contains("4111"), "flagged only");
}
