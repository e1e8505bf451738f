//! The API as a client sees it.

use turnpike::dialect::Dialect;

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
