//! The API as a client sees it.

use turnpike::dialect::Dialect;
use turnpike::simulate::{Behaviour, Fault, FaultRule};

use crate::support::gateway::MODEL;
use crate::support::{Gateway, Setup, ask, providers};

#[test]
fn both_dialects_answer_whole_and_streamed() {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let providers = providers(&[("one", dialect)]);
        let gateway = Gateway::start(&providers, &Setup::default());
        let mut client = gateway.client();
        let whole = client.chat(&ask(MODEL, "Say something", false, 12));
        assert!(whole.is_good(), "{dialect}: {whole:?}");
        assert_eq!(whole.content().split(' ').count(), 12, "{dialect}: {}", whole.text());
        let usage = &whole.json()["usage"];
        assert_eq!(usage["completion_tokens"], 12, "{dialect}: {usage}");
        assert!(usage["cost"].as_f64().is_some_and(|c| c > 0.0), "{dialect}: {usage}");
        let streamed = client.chat(&ask(MODEL, "Say something", true, 12));
        assert!(streamed.is_good(), "{dialect}: {}", streamed.text());
        assert_eq!(streamed.content(), whole.content(), "{dialect}: the same words");
    }
}

#[test]
fn a_client_that_asks_is_told_where_its_request_failed() {
    let providers = providers(&[("one", Dialect::OpenAi), ("two", Dialect::Anthropic)]);
    for name in ["one", "two"] {
        let broken = Behaviour {
            faults: vec![FaultRule::always(Fault::Status(500))],
            ..Behaviour::default()
        };
        providers.provider(name).expect("a provider").set(broken).expect("a behaviour");
    }
    let gateway = Gateway::start(&providers, &Setup::default());
    let mut client = gateway.client();
    let body = ask(MODEL, "Say something", false, 12);
    let silent = client.chat(&body).json();
    assert_eq!(silent.get("openrouter_metadata"), None, "{silent}");
    let asked = [("x-openrouter-metadata", "enabled")];
    let chat = client.chat_with(&body, &asked);
    let messages = client.send("POST", "/v1/messages", &asked, body.as_bytes());
    for told in [chat, messages] {
        assert_eq!(told.status, 502, "{}", told.text());
        let json = told.json();
        let metadata = &json["openrouter_metadata"];
        assert_eq!(metadata["attempt"], 2, "{json}");
        assert_eq!(metadata["endpoints"]["total"], 2, "{json}");
        let tried = metadata["attempts"].as_array().expect("attempts");
        assert!(
            tried.iter().all(|one| one["outcome"] == "status_server" && one["status"] == 500),
            "{json}"
        );
        assert!(json["error"].is_object(), "{json}");
    }
}
