//! `header-rules`: what a proxy in front would do with headers.

use serde_json::json;

use super::{ask, said, world};

const RULES: &str = r#"
[[plugins]]
id = "header-rules"
enabled = "always"
[plugins.options.maps.cost]
from = "header:x-team"
values = { blue = "42" }
default = "0"
[[plugins.options.rules]]
require = ["x-team"]
[[plugins.options.rules]]
match = { header = { x-team = "red*" } }
deny = { status = 403, code = "no_red", text = "Red teams are not served here." }
[[plugins.options.rules]]
set_upstream = { x-cost-center = "${map:cost}", x-model = "${model}" }
set_answer = { x-served-for = "${header:x-team}" }
"#;

#[test]
fn headers_are_required_refused_and_set_both_ways() {
    let world = world(RULES);
    for streamed in [false, true] {
        world.say(&["Fine."], streamed);
        let body = ask("test/open", "Hi", streamed).to_string();
        let send = |headers: &[(&str, &str)]| {
            let told = [("x-openrouter-metadata", "enabled")];
            world.gateway.client().chat_with(&body, &[&told[..], headers].concat())
        };
        let answer = send(&[]);
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.text().contains("x-team"), "{}", answer.text());
        let answer = send(&[("x-team", "red-2")]);
        assert_eq!(answer.status, 403, "{}", answer.text());
        assert_eq!(answer.json()["error"]["metadata"]["plugin_code"], "no_red");
        let answer = send(&[("x-team", "blue"), ("x-team", "red-3")]);
        assert_eq!(answer.header("x-served-for"), Some("blue, red-3"), "no line is overlooked");
        let answer = send(&[("X-Team", "blue")]);
        assert_eq!(answer.header("x-served-for"), Some("blue"));
        assert_eq!(said(&answer, streamed).text, "Fine.");
        let last = world.providers.provider("open").expect("a provider").last_request();
        let headers = last.expect("a request").headers.clone();
        assert_eq!(headers.get("x-cost-center").expect("set"), "42");
        assert_eq!(headers.get("x-model").expect("set"), "test/open");
        assert!(headers.get("x-team").is_none(), "nothing of the client's own head goes on");
    }
    assert_eq!(world.requests("open"), 4);
    let mut body = ask("test/open", "Hi", false);
    body["plugins"] = json!([{"id": "header-rules", "enabled": false}]);
    let answer = world.gateway.client().chat_with(&body.to_string(), &[("x-team", "blue")]);
    assert_eq!(answer.status, 403, "nobody switches it off: {}", answer.text());
}
