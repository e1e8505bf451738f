//! `context-compression`: what does not fit loses its middle.

use serde_json::{Value, json};
use turnpike::dialect::Dialect;

use crate::support::{Gateway, Setup, providers};

/// A model with a context of 8,000 tokens.
const MODEL: &str = "[[models]]\nid = \"test/small\"\n[[models.endpoints]]\nprovider = \"one\"\n\
     upstream_model = \"m\"\ncontext_length = 8000\nmax_output = 4096\n\
     prices = { prompt = \"1\", completion = \"1\" }\n";

/// A conversation of so many exchanges of about 400 tokens each.
fn long(exchanges: usize) -> Value {
    let text = "word ".repeat(160);
    let mut messages = vec![json!({"role": "system", "content": "Stay."})];
    for i in 0..exchanges {
        messages.push(json!({"role": "user", "content": format!("question {i} {text}")}));
        messages.push(json!({"role": "assistant", "content": format!("answer {i} {text}")}));
    }
    messages.push(json!({"role": "user", "content": "And now?"}));
    json!({"model": "test/small", "max_tokens": 100, "messages": messages})
}

#[test]
fn the_middle_goes_by_default_on_small_models_and_by_transforms() {
    let providers = providers(&[("one", Dialect::OpenAi)]);
    let plugin = "[[plugins]]\nid = \"context-compression\"\nenabled = \"default\"\n";
    let setup = Setup { more: format!("{MODEL}{plugin}"), ..Setup::default() };
    let gateway = Gateway::start(&providers, &setup);
    let told = [("x-openrouter-metadata", "enabled")];
    let ask = |body: &Value| gateway.client().chat_with(&body.to_string(), &told);
    let mut body = long(30);
    let answer = ask(&body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let stage = &answer.json()["openrouter_metadata"]["pipeline"][0];
    assert_eq!(stage["type"], "context_compression", "{stage}");
    let last = providers.provider("one").expect("a provider").last_request().expect("a request");
    let asked: Value = serde_json::from_slice(last.body.as_ref().expect("a body")).expect("JSON");
    let messages = asked["messages"].as_array().expect("messages");
    assert!((10..45).contains(&messages.len()), "{} messages", messages.len());
    assert_eq!(messages[0]["content"], "Stay.");
    assert!(messages[1]["content"].as_str().is_some_and(|text| text.starts_with("question 0 ")));
    assert_eq!(messages[messages.len() - 1]["content"], "And now?");
    let roles: Vec<&Value> = messages[1..].iter().map(|message| &message["role"]).collect();
    assert!(roles.windows(2).all(|pair| pair[0] != pair[1]), "they still take turns: {roles:?}");
    assert!(asked.get("transforms").is_none() && asked.get("plugins").is_none());
    body["transforms"] = json!([]);
    let answer = ask(&body);
    assert_eq!(answer.status, 400, "switched off: {}", answer.text());
    assert_eq!(answer.json()["error"]["type"], "context_length_exceeded");
    body["transforms"] = json!(["middle-out"]);
    assert_eq!(ask(&body).status, 200);
    body["transforms"] = json!(["other"]);
    let answer = ask(&body);
    assert_eq!(answer.json()["error"]["param"], "transforms[0]", "{}", answer.text());
}
