//! Active health checks that ask for a completion of one token.

use serde_json::Value;
use turnpike::dialect::Dialect;
use turnpike::simulate::{Behaviour, Fault};

use crate::support::gateway::MODEL;
use crate::support::{Gateway, Setup, ask, eventually, providers};

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    eventually(what, || done().then_some(()));
}

fn setup() -> Setup {
    let probe = "[providers.probe]\ncompletion = \"probed-model\"\ninterval_ms = 100\n\
                 timeout_ms = 100\nfailures = 2\nsuccesses = 2";
    Setup { provider: probe.to_owned(), ..Setup::default() }
}

const CHANGED: &str = "A probe has changed";

#[test]
fn a_provider_of_any_dialect_answers_a_short_completion() {
    let hosts = [
        ("openai", Dialect::OpenAi),
        ("responses", Dialect::Responses),
        ("anthropic", Dialect::Anthropic),
        ("gemini", Dialect::Gemini),
        ("bedrock", Dialect::Bedrock),
        ("cohere", Dialect::Cohere),
        ("mistral", Dialect::Mistral),
        ("ollama", Dialect::Ollama),
    ];
    let providers = providers(&hosts);
    let gateway = Gateway::start(&providers, &setup());
    let spent = |gateway: &Gateway| gateway.client().get("/v1/credits").json();
    let before = spent(&gateway);
    for (id, _) in hosts {
        let provider = providers.provider(id).expect("a provider");
        wait_until(id, || provider.stats().completed >= 4);
        assert_eq!(provider.stats().refused, 0, "{id} takes the probe");
        let last = provider.last_request().expect("a request");
        let body: Value = serde_json::from_slice(last.body.as_deref().expect("a body")).unwrap();
        let whole = format!("{} {body}", last.path);
        assert!(whole.contains("probed-model") && whole.contains("Hi"), "{id}: {whole}");
        let limit = if id == "responses" { "16" } else { "1" };
        let limits = ["max_tokens", "max_output_tokens", "maxOutputTokens", "maxTokens"];
        let limits = limits.iter().chain(&["num_predict", "max_completion_tokens"]);
        let mut limits = limits.map(|name| format!("\"{name}\":{limit}"));
        assert!(limits.any(|member| whole.contains(&member)), "{id}: {whole}");
    }
    assert!(!gateway.log("stderr").contains(CHANGED), "{}", gateway.log("stderr"));
    assert_eq!(spent(&gateway), before, "nobody's credit is used");
}

#[test]
fn a_provider_that_serves_no_completion_is_out_until_it_does() {
    let providers = providers(&[("one", Dialect::Anthropic), ("two", Dialect::OpenAi)]);
    let gateway = Gateway::start(&providers, &setup());
    let mut client = gateway.client();
    let one = providers.provider("one").expect("a provider");
    // A rate limit is no outage.
    one.set(Behaviour::failing(Fault::Status(429))).expect("a behaviour");
    let seen = one.stats().completed;
    wait_until("it is probed", || one.stats().completed >= seen + 5);
    assert!(!gateway.log("stderr").contains(CHANGED));
    one.set(Behaviour::failing(Fault::Status(500))).expect("a behaviour");
    wait_until("it is out", || gateway.log("stderr").contains("\"up\":false"));
    let mut body: Value = serde_json::from_str(&ask(MODEL, "Hello", false, 5)).expect("JSON");
    body["provider"] = serde_json::json!({"order": ["one"]});
    let answer = client.chat(&body.to_string());
    assert!(answer.is_good(), "{}", answer.text());
    one.set(Behaviour::default()).expect("a behaviour");
    wait_until("it is back", || gateway.log("stderr").contains("\"up\":true"));
}
