//! What stands in for what a request does not say, from end to end: presets and `turnpike/auto`;
//! and decisions, recorded and made again.

use std::process::Command;

use serde_json::{Value, json};
use turnpike::dialect::Dialect;
use turnpike::simulate::Running;

use crate::support::{Gateway, Setup, providers};

const MORE: &str = r#"
[[auto]]
models = ["test/tools"]
tools = true
[[auto]]
models = ["test/cheap", "test/tools"]
prompt_price_max = "1"
[[auto]]
models = ["test/code"]
code = true
prompt_tokens_max = 1000

[[presets]]
slug = "brief"
model = "test/cheap"
system = "Answer in one sentence."
parameters = '{"temperature":0.2,"seed":7}'
provider = '{"only":["beta"]}'
"#;

fn start(decisions: bool) -> (Running, Gateway) {
    let providers = providers(&[("alpha", Dialect::OpenAi), ("beta", Dialect::OpenAi)]);
    let both = || vec!["alpha".to_owned(), "beta".to_owned()];
    let models = ["test/tools", "test/cheap", "test/code"].map(|id| (id.to_owned(), both()));
    let more = MORE.to_owned();
    let mut setup = Setup { models: models.to_vec(), more, ..Setup::default() };
    if decisions {
        setup.settings.push(("routing", "decisions = \"decisions.jsonl\"".to_owned()));
    }
    let gateway = Gateway::start(&providers, &setup);
    (providers, gateway)
}

/// What the provider that was asked last has seen.
fn seen(providers: &Running, host: &str) -> Value {
    let last = providers.provider(host).expect("a provider").last_request().expect("a request");
    serde_json::from_slice(last.body.as_deref().expect("a body")).expect("JSON")
}

fn body(members: &Value) -> String {
    let mut body = json!({"max_tokens": 16, "messages": [{"role": "user", "content": "Hello"}]});
    for (name, value) in members.as_object().expect("members") {
        body[name] = value.clone();
    }
    body.to_string()
}

#[test]
fn auto_chooses_by_the_operators_rules() {
    let (providers, gateway) = start(false);
    let mut client = gateway.client();
    let only = json!({"only": ["alpha"]});
    let cheap = json!({"only": ["alpha"], "max_price": {"prompt": 1}});
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    let code = json!([{"role": "user", "content": "What is this? ```rust\nfn main() {}```"}]);
    for (members, expected) in [
        (json!({"model": "turnpike/auto", "provider": only, "tools": tools}), "test/tools"),
        (json!({"model": "openrouter/auto", "provider": cheap}), "test/cheap"),
        (json!({"model": "turnpike/auto:floor", "provider": only, "messages": code}), "test/code"),
    ] {
        let answer = client.chat(&body(&members));
        assert_eq!(answer.status, 200, "{members}: {}", answer.text());
        assert_eq!(seen(&providers, "alpha")["model"], expected, "{members}");
    }
    let answer = client.chat(&body(&json!({"model": "turnpike/auto"})));
    assert_eq!(answer.status, 404, "no rule fits: {}", answer.text());
    assert!(answer.text().contains("no rule"), "{}", answer.text());
}

#[test]
fn presets_fill_in_what_the_request_does_not_say() {
    let (providers, gateway) = start(false);
    let mut client = gateway.client();
    for members in [
        json!({"model": "@preset/brief"}),
        json!({"model": "test/cheap@preset/brief:floor"}),
        json!({"model": "test/cheap", "preset": "brief"}),
    ] {
        let answer = client.chat(&body(&members));
        assert_eq!(answer.status, 200, "{members}: {}", answer.text());
        let seen = seen(&providers, "beta");
        assert_eq!(seen["model"], "test/cheap", "{members}");
        assert_eq!((&seen["temperature"], &seen["seed"]), (&json!(0.2), &json!(7)), "{members}");
        assert_eq!(seen["messages"][0]["content"], "Answer in one sentence.", "{members}");
        assert!(seen.get("provider").is_none() && seen.get("preset").is_none(), "{seen}");
    }
    let own =
        json!({"model": "test/code@preset/brief", "provider": {"only": ["alpha"]}, "seed": 9});
    assert_eq!(client.chat(&body(&own)).status, 200);
    let seen = seen(&providers, "alpha");
    assert_eq!((&seen["model"], &seen["seed"]), (&json!("test/code"), &json!(9)));
    let answer = client.chat(&body(&json!({"model": "@preset/none"})));
    assert_eq!(answer.status, 404, "{}", answer.text());
}

#[test]
fn recorded_decisions_are_explained_and_made_again() {
    let (_providers, mut gateway) = start(true);
    let mut client = gateway.client();
    let mut last = String::new();
    for i in 0..20 {
        let model = if i % 2 == 0 { "test/cheap" } else { "test/code:nitro" };
        let answer = client.chat(&body(&json!({"model": model, "stream": i % 3 == 0})));
        assert_eq!(answer.status, 200, "{}", answer.text());
        last = answer.header("x-generation-id").expect("an id").to_owned();
    }
    gateway.signal("TERM");
    gateway.wait(std::time::Duration::from_secs(30));
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_turnpike"))
            .args(args)
            .current_dir(gateway.dir.path())
            .env("SIM_KEY", "provider-secret-canary")
            .env("ADMIN_TOKEN", "admin-token-of-the-test")
            .output()
            .expect("the command runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    let text = run(&["route", "replay", "decisions.jsonl", "-c", "turnpike.toml"]);
    assert!(text.starts_with("20 decisions, 20 identical"), "{text}");
    assert!(text.contains("0 elsewhere, 0 refused"), "{text}");
    let text = run(&["route", "explain", &last, "-c", "turnpike.toml"]);
    assert!(text.contains("test/code:nitro") && text.contains("Sorted(Throughput)"), "{text}");
    assert!(!text.contains("This is not what was decided"), "{text}");

    // Over a catalog in which one of the two is ten times as dear.
    let old = std::fs::read_to_string(gateway.dir.path().join("turnpike.toml")).expect("a file");
    let dear = "prices = { prompt = \"10\", completion = \"20\" }";
    let new = old.replacen("prices = { prompt = \"1\", completion = \"2\" }", dear, 4);
    std::fs::write(gateway.dir.path().join("new.toml"), new).expect("a file");
    let args = ["route", "replay", "decisions.jsonl", "--catalog", "new.toml"];
    let text = run(&[&args[..], &["-c", "turnpike.toml"]].concat());
    assert!(text.starts_with("20 decisions, 20 identical"), "{text}");
    assert!(text.contains("expected price +"), "{text}");
}
