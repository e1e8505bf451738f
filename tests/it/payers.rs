//! The table of who pays when (`src/charge.rs`), row by row through the gateway. What is simpler to
//! see stands in `money` (complete, broken off, failed, left), `continuation` and `cache`.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use serde_json::Value;
use turnpike::dialect::Dialect;
use turnpike::simulate::{Behaviour, Provider, Replay, Running};
use turnpike::terms::AccountTerms;

use crate::support::gateway::MODEL;
use crate::support::{Client, Gateway, Setup, ask, providers, runtime};

/// [`Setup::prices`] as nano-dollars per token.
const PROMPT_NANO: u64 = 1_000;
const COMPLETION_NANO: u64 = 2_000;
/// Counts as 9 tokens: 14 bytes and a role, and a message.
const PROMPT: &str = "Say something.";
const PROMPT_TOKENS: u64 = 4 + 5;

fn replaying(dialect: Dialect, replay: Replay) -> (Running, Provider) {
    let running = providers(&[("one", dialect)]);
    let provider = running.provider("one").unwrap();
    provider.set(Behaviour::replaying(replay)).unwrap();
    (running, provider)
}

fn nano(value: &Value) -> u64 {
    let dollars = value.as_f64().unwrap_or_else(|| panic!("no amount: {value}"));
    format!("{:.0}", dollars * 1e9).parse().unwrap_or_else(|e| panic!("{e}: {value}"))
}

/// What the account has used, once every hold has ended.
fn used(gateway: &Gateway) -> u64 {
    let mut admin = Client::new(gateway.admin, Some("admin-token-of-the-test".to_owned()));
    let deadline = Instant::now() + Duration::from_secs(20);
    while admin.get("/admin/v1/accounts/acme").json()["held_usd"] != "0" {
        assert!(Instant::now() < deadline, "every hold ends");
        std::thread::yield_now();
    }
    nano(&gateway.client().get("/api/v1/credits").json()["data"]["total_usage"])
}

fn dollars(nano: u64) -> &'static str {
    format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000).leak()
}

/// A stream of so many words that takes no notice of any limit and tells no usage.
fn endless(words: usize) -> Replay {
    let chunk = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\
                 \"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\
                 \"finish_reason\":null}]}\n\n";
    let end = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\
               \"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
               data: [DONE]\n\n";
    Replay::sse(std::iter::repeat_n(chunk, words).chain([end]))
}

#[test]
fn a_stream_past_its_credit_ends_in_good_order_on_every_surface() {
    let (running, _) = replaying(Dialect::OpenAi, endless(6_000));
    let messages = format!("[{{\"role\":\"user\",\"content\":\"{PROMPT}\"}}]");
    let chat = format!("\"messages\":{messages}");
    for (path, input, limit, ends) in [
        (
            "/api/v1/chat/completions",
            chat.clone(),
            "max_tokens",
            vec!["\"finish_reason\":\"length\"", "[DONE]"],
        ),
        (
            "/api/v1/messages",
            chat.clone(),
            "max_tokens",
            vec!["\"stop_reason\":\"max_tokens\"", "message_stop"],
        ),
        (
            "/api/v1/responses",
            format!("\"input\":\"{PROMPT}\""),
            "max_output_tokens",
            vec!["response.incomplete", "max_output_tokens"],
        ),
        (
            "/api/v1/completions",
            format!("\"prompt\":\"{PROMPT}\""),
            "max_tokens",
            vec!["\"finish_reason\":\"length\"", "[DONE]"],
        ),
    ] {
        // Enough for the prompt and 64 tokens, which is what is asked for.
        let credit = 40 * PROMPT_NANO + 64 * COMPLETION_NANO;
        let setup = Setup { credit: dollars(credit), ..Setup::default() };
        let gateway = Gateway::start(&running, &setup);
        let body = format!("{{\"model\":\"{MODEL}\",\"stream\":true,\"{limit}\":64,{input}}}");
        let headers = [("x-openrouter-metadata", "enabled")];
        let answer = gateway.client().send("POST", path, &headers, body.as_bytes());
        let text = answer.text();
        assert_eq!(answer.status, 200, "{path}: {text}");
        assert!(answer.whole, "{path}: the stream is closed properly");
        for end in ends {
            assert!(
                text.contains(end),
                "{path}: {end} in {}",
                &text[text.len().saturating_sub(1_500)..]
            );
        }
        assert!(text.contains("\"ended_by\""), "{path}: why, in openrouter_metadata");
        let words = text.matches("word").count();
        assert!((64..6_000).contains(&words), "{path}: {words} words");
        let used = used(&gateway);
        assert!(used <= credit && used > 64 * COMPLETION_NANO, "{path}: {used} of {credit}");
    }
}

#[test]
fn a_stream_past_its_members_budget_ends_though_the_account_is_rich() {
    let (running, _) = replaying(Dialect::OpenAi, endless(6_000));
    let gateway = Gateway::start(&running, &Setup::default());
    let budget = 40 * PROMPT_NANO + 64 * COMPLETION_NANO;
    let mut admin = Client::new(gateway.admin, Some("admin-token-of-the-test".to_owned()));
    let member = format!("{{\"role\":\"member\",\"limit_usd\":\"{}\"}}", dollars(budget));
    let path = "/admin/v1/accounts/acme/members/ann";
    let made = admin.send("PUT", path, &[], member.as_bytes());
    assert!(made.status < 300, "{}", made.text());
    let key = br#"{"account_id":"acme","member":"ann"}"#;
    let made = admin.send("POST", "/admin/v1/keys", &[], key).json();
    let mut ann = Client::new(gateway.address, Some(made["key"].as_str().unwrap().to_owned()));
    let answer = ann.chat(&ask(MODEL, PROMPT, true, 64));
    assert!(answer.text().contains("\"finish_reason\":\"length\""), "{}", answer.text());
    let used = used(&gateway);
    assert!(used <= budget && used > 64 * COMPLETION_NANO, "{used} of {budget}");
}

#[test]
fn a_stream_past_its_hold_goes_on_while_there_is_credit() {
    let (running, _) = replaying(Dialect::OpenAi, endless(3_000));
    let gateway = Gateway::start(&running, &Setup { credit: "1", ..Setup::default() });
    let answer = gateway.client().chat(&ask(MODEL, PROMPT, true, 64));
    assert!(answer.is_good(), "{}", answer.text());
    assert_eq!(answer.content().matches("word").count(), 3_000);
}

#[test]
fn an_answer_with_nothing_in_it_is_free() {
    let whole = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"error"}],"usage":{"prompt_tokens":1003,"completion_tokens":7,"total_tokens":1010}}"#;
    let (running, _) = replaying(Dialect::OpenAi, Replay::json(200, whole));
    let gateway = Gateway::start(&running, &Setup::default());
    let answer = gateway.client().chat(&ask(MODEL, PROMPT, false, 64));
    if answer.status == 200 {
        assert_eq!(nano(&answer.json()["usage"]["cost"]), 0, "{}", answer.text());
    }
    assert_eq!(used(&gateway), 0);
}

#[test]
fn who_leaves_a_provider_that_bills_on_pays_the_prompt() {
    for (bills_on, expected) in [(true, PROMPT_TOKENS * PROMPT_NANO), (false, 0)] {
        let running = providers(&[("one", Dialect::OpenAi)]);
        let provider = running.provider("one").unwrap();
        provider.set(Behaviour { ttft_ms: 600_000, ..Behaviour::default() }).unwrap();
        let provider_lines = format!("bills_after_cancel = {bills_on}");
        let setup = Setup { provider: provider_lines, ..Setup::default() };
        let gateway = Gateway::start(&running, &setup);
        let body = ask(MODEL, PROMPT, true, 64);
        let mut request = String::new();
        write!(
            request,
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            gateway.key,
            body.len()
        )
        .unwrap();
        let mut stream = gateway.client().connect();
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        let asked = provider.wait_until(Duration::from_secs(20), |s| s.requests == 1);
        runtime().block_on(asked).expect("the provider is asked");
        drop(stream);
        let told = provider.wait_until(Duration::from_secs(20), |s| s.cancelled == 1);
        runtime().block_on(told).expect("the provider is told");
        assert_eq!(used(&gateway), expected, "bills on: {bills_on}");
    }
}

#[test]
fn who_leaves_a_provider_that_is_drained_pays_for_the_whole_answer() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let provider = running.provider("one").unwrap();
    let tokens = 400;
    provider.set(Behaviour { tokens, token_ms: 1.0, ..Behaviour::default() }).unwrap();
    let setup = Setup { provider: "on_disconnect = \"drain\"".to_owned(), ..Setup::default() };
    let gateway = Gateway::start(&running, &setup);
    let body = ask(MODEL, PROMPT, true, 2_000);
    assert!(gateway.client().chat(&body).is_good());
    let who_stays = used(&gateway);
    assert!(who_stays > u64::from(tokens) * COMPLETION_NANO);
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        gateway.key,
        body.len()
    );
    let mut client = gateway.client().connect();
    client.get_mut().write_all(request.as_bytes()).unwrap();
    let mut some = [0; 256];
    client.read_exact(&mut some).unwrap();
    drop(client);
    assert_eq!(used(&gateway), 2 * who_stays, "as much as who stays");
    assert_eq!(provider.stats().cancelled, 0, "it was listened to");
}

#[test]
fn who_lets_its_content_be_learned_from_gets_the_discount() {
    let whole = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1003,"completion_tokens":77,"total_tokens":1080}}"#;
    let (running, _) = replaying(Dialect::OpenAi, Replay::json(200, whole));
    let account =
        AccountTerms { discount_logging: true, content_days: 30, ..AccountTerms::default() };
    let gateway = Gateway::start(&running, &Setup { account, ..Setup::default() });
    let answer = gateway.client().chat(&ask(MODEL, PROMPT, false, 100));
    assert!(answer.is_good(), "{}", answer.text());
    // 99 % of 1,157,000 nano-dollars.
    let expected = (1_003 * PROMPT_NANO + 77 * COMPLETION_NANO) * 99 / 100;
    assert_eq!(nano(&answer.json()["usage"]["cost"]), expected, "{}", answer.text());
    assert_eq!(used(&gateway), expected);
}
