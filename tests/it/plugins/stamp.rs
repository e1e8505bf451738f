//! `example-stamp`: the hooks of the smallest plugin, on every surface.

use serde_json::json;
use turnpike::dialect::Surface;

use super::{ask, said, with, world};
use crate::support::stream;

const STAMP: &str = "[[plugins]]\nid = \"example-stamp\"\nenabled = \"default\"\n\
                     [plugins.options]\ntext = \"Be brief.\"\nfooter = \" [stamped]\"\n";

#[test]
fn a_text_goes_to_the_model_and_a_footer_to_the_client() {
    let world = world(STAMP);
    for (host, streamed) in [("open", false), ("open", true), ("anth", false), ("anth", true)] {
        world.say(&["One ", "answer."], streamed);
        let got = said(&world.chat(&ask(&format!("test/{host}"), "Hi", streamed)), streamed);
        assert_eq!(got.text, "One answer. [stamped]", "{host} {streamed}");
        assert_eq!(got.pipeline[0]["name"], "example-stamp", "{}", got.pipeline);
        let asked = world.asked(host);
        let told = match host {
            "open" => &asked["messages"][0]["content"],
            _ => &asked["system"],
        };
        assert!(told.to_string().contains("Be brief."), "{asked}");
    }
    world.say(&["Bare."], false);
    let off = with(ask("test/open", "Hi", false), json!({"id": "example-stamp", "enabled": false}));
    assert_eq!(said(&world.chat(&off), false).text, "Bare.");
    assert!(!world.asked("open").to_string().contains("brief"));
}

#[test]
fn every_surface_is_written_anew_in_its_own_format() {
    let world = world(STAMP);
    let paths = [
        (Surface::Responses, "/v1/responses", json!({"input": "Hi", "max_output_tokens": 50})),
        (
            Surface::Messages,
            "/v1/messages",
            json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 50}),
        ),
        (Surface::Completions, "/v1/completions", json!({"prompt": "Hi", "max_tokens": 50})),
    ];
    for (surface, path, members) in paths {
        for host in ["open", "anth"] {
            let mut body = members.clone();
            body["model"] = json!(format!("test/{host}"));
            body["stream"] = json!(true);
            world.say(&["One ", "answer."], true);
            let answer =
                world.gateway.client().send("POST", path, &[], body.to_string().as_bytes());
            let got = stream::read(surface, &answer);
            assert_eq!(got.text, "One answer. [stamped]", "{path} {host}");
            body["stream"] = json!(false);
            world.say(&["One ", "answer."], false);
            let answer =
                world.gateway.client().send("POST", path, &[], body.to_string().as_bytes());
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(answer.text().contains("One answer. [stamped]"), "{}", answer.text());
        }
    }
}

#[test]
fn cached_answers_have_been_through_plugins_and_presets_may_ask_for_them() {
    let stamp = STAMP.replace("\"default\"", "\"on_request\"");
    let preset = "[[presets]]\nslug = \"stamped\"\nmodel = \"test/open\"\n\
                  plugins = '[{\"id\":\"example-stamp\"}]'\n";
    let world = world(&format!("{preset}{stamp}"));
    world.say(&["Hello."], false);
    let body = ask("@preset/stamped", "Hi", false).to_string();
    for status in ["MISS", "HIT"] {
        let answer = world.gateway.client().chat_with(&body, &[("x-openrouter-cache", "true")]);
        assert_eq!(answer.header("x-openrouter-cache-status"), Some(status));
        assert_eq!(answer.content(), "Hello. [stamped]");
    }
    assert_eq!(world.requests("open"), 1);
    let body = ask("test/open", "Hi", false).to_string();
    let answer = world.gateway.client().chat_with(&body, &[("x-openrouter-cache", "true")]);
    assert_eq!(answer.content(), "Hello.", "another request, without the plugin");
}
