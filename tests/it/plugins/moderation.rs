//! `moderation`: an endpoint is asked before the model.

use serde_json::json;

use super::{Engine, ask, said, world};
use crate::support::eventually;

#[test]
fn what_is_flagged_is_refused_with_its_reasons() {
    let flagged = |yes: bool| {
        json!({"id": "m", "model": "m", "results": [{
            "flagged": yes, "categories": {"violence": yes, "hate": false},
            "category_scores": {"violence": if yes { 0.9 } else { 0.1 }, "hate": 0.0},
        }]})
    };
    let engine = Engine::start(200, &flagged(true));
    let world = world(&format!(
        "[[plugins]]\nid = \"moderation\"\nenabled = \"always\"\n[plugins.options]\n\
         base_url = \"http://{}/v1\"\napi_key = \"env:SIM_KEY\"\n",
        engine.address
    ));
    for surface in ["chat", "messages"] {
        let mut client = world.gateway.client();
        let body = ask("test/open", "something bad", false).to_string();
        let answer = match surface {
            "chat" => client.chat(&body),
            _ => client.send("POST", "/v1/messages", &[], body.as_bytes()),
        };
        assert_eq!(answer.status, 403, "{surface}: {}", answer.text());
        let error = answer.json()["error"].clone();
        assert_eq!(error["metadata"]["reasons"], json!(["violence"]), "{error}");
        assert!(!answer.text().contains("something bad"), "{error}");
    }
    assert_eq!(world.requests("open"), 0, "no model is asked");
    let seen = engine.seen();
    assert!(seen[0].line.starts_with("POST /v1/moderations "), "{}", seen[0].line);
    assert!(seen[0].head.contains("authorization: bearer provider-secret-canary"));
    assert!(seen[0].body.contains("something bad"));
    engine.answers(200, flagged(false).to_string());
    world.say(&["Fine."], true);
    let got = said(&world.chat(&ask("test/open", "something good", true)), true);
    assert_eq!(got.text, "Fine.");
    engine.answers(500, "");
    let answer = world.chat(&ask("test/open", "x", false));
    assert_eq!(answer.status, 502, "closed by default: {}", answer.text());
    let mut body = ask("test/open", "x", false);
    body["plugins"] = json!([{"id": "moderation", "enabled": false}]);
    assert_eq!(world.chat(&body).status, 403, "nobody can switch it off");
    eventually("three refusals are counted", || {
        let labels = ["moderation", "refused"];
        let refused = world.gateway.metric("turnpike_plugin_runs_total", &labels);
        ((refused - 3.0).abs() < 0.1).then_some(())
    });
}
