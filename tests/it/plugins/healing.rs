//! `response-healing`: JSON that is not quite JSON.

use serde_json::{Value, json};

use super::{ask, said, with, world};

#[test]
fn what_is_asked_for_as_json_is_repaired_and_the_rest_is_left_alone() {
    let world = world("[[plugins]]\nid = \"response-healing\"\n");
    let sick = "Sure! ```json\n{name: 'Rome', \"warm\": True,}\n```";
    for host in ["open", "anth"] {
        world.say(&[sick], false);
        let plain = ask(&format!("test/{host}"), "A city", false);
        let mut body = with(plain.clone(), json!({"id": "response-healing"}));
        assert_eq!(said(&world.chat(&body), false).text, sick, "no JSON was asked for");
        body["response_format"] = json!({"type": "json_object"});
        if host == "anth" {
            // Anthropic's form of it has a schema.
            let schema = json!({"type": "object", "additionalProperties": true});
            let named = json!({"name": "city", "schema": schema});
            body["response_format"] = json!({"type": "json_schema", "json_schema": named});
        }
        let got = said(&world.chat(&body), false);
        let healed: Value = serde_json::from_str(&got.text).expect(&got.text);
        assert_eq!(healed, json!({"name": "Rome", "warm": true}));
        let stage = &got.pipeline[0];
        assert_eq!(stage["type"], "response_healing", "{stage}");
        assert!(stage["data"].to_string().contains("code_fence"), "{stage}");
        world.say(&["{\"name\": \"Ro"], false);
        let got = said(&world.chat(&body), false);
        assert_eq!(got.text, "{\"name\": \"Ro", "nothing is made up");
        world.say(&[sick], true);
        body["stream"] = json!(true);
        assert_eq!(said(&world.chat(&body), true).text, sick, "streams pass");
    }
}
