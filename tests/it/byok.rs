//! Accounts' own keys at providers: they are sent and nothing else is, a fee is charged instead of
//! the price, and where they fail the gateway's own key serves at the full price.

use std::io::Write as _;

use serde_json::Value;
use turnpike::dialect::Dialect;
use turnpike::simulate::{Behaviour, Fault, Running};
use turnpike::terms::KeyTerms;
use turnpike::vocab::NanoUsd;

use crate::support::gateway::MODEL;
use crate::support::{Answer, Client, Gateway, Setup, ask, providers};

/// [`Setup::prices`] as nano-dollars per token.
const PROMPT_NANO: u64 = 1_000;
const COMPLETION_NANO: u64 = 2_000;
const OWN_SECRET: &str = "own-secret-canary";

/// A file with the account's key.
fn own_key() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(OWN_SECRET.as_bytes()).expect("a key");
    file
}

/// The account's key at this provider.
fn own(provider: &str, key: &tempfile::NamedTempFile, more: &str) -> String {
    let path = key.path().display();
    format!(
        "[[byok]]\nprovider = \"{provider}\"\naccounts = [\"acme\"]\napi_key = \"file:{path}\"\n\
         {more}\n"
    )
}

fn nano(value: &Value) -> u64 {
    let dollars = value.as_f64().unwrap_or_else(|| panic!("no amount: {value}"));
    format!("{:.0}", dollars * 1e9).parse().unwrap_or_else(|e| panic!("{e}: {value}"))
}

/// The usage that an answer tells, of the last chunk that has one.
fn usage(answer: &Answer) -> Value {
    let text = answer.text();
    let of = |json: &str| serde_json::from_str::<Value>(json).ok().map(|v| v["usage"].clone());
    if let Some(usage) = of(&text).filter(Value::is_object) {
        return usage;
    }
    let mut chunks = text.lines().filter_map(|line| of(line.strip_prefix("data: ")?));
    chunks.rfind(Value::is_object).unwrap_or_else(|| panic!("no usage: {text}"))
}

fn list_price(usage: &Value) -> u64 {
    let tokens = |name: &str| usage[name].as_u64().expect("a count");
    tokens("prompt_tokens") * PROMPT_NANO + tokens("completion_tokens") * COMPLETION_NANO
}

/// The credential that a provider was last sent, and how many requests it has had.
fn sent(running: &Running, provider: &str) -> (String, u64) {
    let provider = running.provider(provider).expect("a provider");
    let request = provider.last_request().expect("a request");
    let secret = ["authorization", "x-api-key"].iter().find_map(|n| request.headers.get(*n));
    let secret = secret.expect("a credential").to_str().expect("text").to_owned();
    (secret, provider.stats().requests)
}

/// A key of another account, which has credit.
fn other_account(gateway: &Gateway) -> Client {
    let mut admin = Client::new(gateway.admin, Some("admin-token-of-the-test".to_owned()));
    let mut post = |path: &str, body: &[u8]| {
        let answer = admin.send("POST", path, &[], body);
        assert!(answer.status < 300, "{path}: {}", answer.text());
        answer.json()
    };
    post("/admin/v1/accounts", br#"{"id":"other"}"#);
    post(
        "/admin/v1/accounts/other/top-ups",
        br#"{"amount_usd":"5","method":"test","idempotency_key":"another"}"#,
    );
    let key = post("/admin/v1/keys", br#"{"account_id":"other"}"#);
    Client::new(gateway.address, Some(key["key"].as_str().expect("a key").to_owned()))
}

fn record(gateway: &Gateway, answer: &Answer) -> Value {
    let id = answer.header("x-generation-id").expect("an id").to_owned();
    let mut client = gateway.client();
    for _ in 0..10_000 {
        let answer = client.get(&format!("/api/v1/generation?id={id}"));
        if answer.status == 200 {
            return answer.json()["data"].clone();
        }
        std::thread::yield_now();
    }
    panic!("no record of {id}");
}

#[test]
fn an_own_key_is_sent_and_a_fee_is_charged() {
    let key = own_key();
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let running = providers(&[("cheap", dialect), ("mine", dialect)]);
        let gateway =
            Gateway::start(&running, &Setup { more: own("mine", &key, ""), ..Setup::default() });
        let told = [("X-OpenRouter-Metadata", "enabled")];
        for stream in [false, true] {
            let answer = gateway.client().chat_with(&ask(MODEL, "Hello", stream, 20), &told);
            assert!(answer.is_good(), "{}", answer.text());
            let (secret, _) = sent(&running, "mine");
            assert!(secret.ends_with(OWN_SECRET), "the account's key: {secret}");
            let usage = usage(&answer);
            let (list, fee) = (list_price(&usage), nano(&usage["cost"]));
            assert_eq!(fee, (list * 5 + 50) / 100, "{usage}");
            assert_eq!(usage["is_byok"], true, "{usage}");
            assert_eq!(nano(&usage["cost_details"]["upstream_inference_cost"]), list, "{usage}");
            assert!(answer.text().contains("\"is_byok\":true"), "{}", answer.text());
            let record = record(&gateway, &answer);
            assert_eq!(nano(&record["total_cost"]), fee, "{record}");
            assert_eq!(nano(&record["upstream_inference_cost"]), list, "{record}");
            assert_eq!(record["is_byok"], true, "{record}");
        }
        // Nothing of it is for others, and nothing is written down.
        let mut other = other_account(&gateway);
        for _ in 0..10 {
            running.providers().iter().for_each(turnpike::simulate::Provider::reset_counters);
            let answer = other.chat(&ask(MODEL, "Hello", false, 20));
            let usage = usage(&answer);
            assert_eq!(usage["is_byok"], Value::Null, "{usage}");
            assert_eq!(nano(&usage["cost"]), list_price(&usage));
            let asked = ["cheap", "mine"].into_iter().find(|name| {
                running.provider(name).is_some_and(|provider| provider.stats().requests > 0)
            });
            let (secret, _) = sent(&running, asked.expect("a provider"));
            assert!(secret.ends_with("provider-secret-canary"), "{secret}");
        }
        assert!(!gateway.log("stdout").contains(OWN_SECRET));
        assert!(!gateway.log("stderr").contains(OWN_SECRET));
    }
}

#[test]
fn where_it_fails_the_gateways_own_key_serves_at_the_full_price() {
    let key = own_key();
    for (fallback, good) in [(true, true), (false, false)] {
        let running = providers(&[("mine", Dialect::OpenAi)]);
        let more = own("mine", &key, &format!("fallback = {fallback}"));
        let gateway = Gateway::start(&running, &Setup { more, ..Setup::default() });
        let provider = running.provider("mine").unwrap();
        let mut failing = Behaviour::failing(Fault::Status(429));
        failing.faults[0].first = Some(1);
        provider.set(failing).unwrap();
        let answer = gateway.client().chat(&ask(MODEL, "Hello", false, 20));
        assert_eq!(answer.is_good(), good, "{}", answer.text());
        assert!(!answer.text().contains(OWN_SECRET));
        if good {
            let (secret, requests) = sent(&running, "mine");
            assert!(secret.ends_with("provider-secret-canary"), "{secret}");
            assert_eq!(requests, 2);
            let usage = usage(&answer);
            assert_eq!(nano(&usage["cost"]), list_price(&usage));
            assert_eq!(record(&gateway, &answer)["is_byok"], false);
        }
    }
}

#[test]
fn a_provider_without_a_key_of_the_gateways_serves_those_who_bring_theirs() {
    let key = own_key();
    let running = providers(&[("mine", Dialect::OpenAi)]);
    let setup = Setup { more: own("mine", &key, ""), ..Setup::default() };
    let mut gateway = Gateway::start(&running, &setup);
    gateway.kill();
    let path = gateway.dir.path().join("turnpike.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("api_key = \"env:SIM_KEY\"\n", "")).unwrap();
    gateway.restart();
    let answer = gateway.client().chat(&ask(MODEL, "Hello", false, 20));
    assert!(answer.is_good(), "{}", answer.text());
    assert!(sent(&running, "mine").0.ends_with(OWN_SECRET));
    let refused = other_account(&gateway).chat(&ask(MODEL, "Hello", false, 20));
    assert_eq!(refused.status, 404, "{}", refused.text());
    assert!(refused.text().contains("a key of their own"), "{}", refused.text());
    assert_eq!(running.provider("mine").unwrap().stats().requests, 1, "it was not asked");
}

#[test]
fn a_keys_limit_counts_what_the_provider_takes_only_if_it_is_to() {
    let key = own_key();
    for counted in [false, true] {
        let running = providers(&[("mine", Dialect::OpenAi)]);
        let limit = Some(NanoUsd(100_000));
        let terms = KeyTerms { limit, byok_in_limit: counted, ..KeyTerms::default() };
        let setup =
            Setup { key: terms, more: own("mine", &key, "fallback = false"), ..Setup::default() };
        let gateway = Gateway::start(&running, &setup);
        // Each takes some 60,000 nano-dollars at the provider, and a twentieth of that here.
        let asked = || gateway.client().chat(&ask(MODEL, "Hello", false, 25)).status;
        let statuses: Vec<u16> = (0..6).map(|_| asked()).collect();
        let refused = statuses.iter().filter(|status| **status != 200).count();
        assert_eq!(refused > 0, counted, "{statuses:?}");
    }
}

/// Credit is needed for the fee alone: the gateway's own price is not, until its key would serve.
#[test]
fn who_has_credit_for_the_fee_alone_gets_the_whole_answer() {
    let key = own_key();
    let running = providers(&[("cheap", Dialect::OpenAi), ("mine", Dialect::OpenAi)]);
    let behaviour = Behaviour { tokens: 500, ..Behaviour::default() };
    running.providers().iter().for_each(|one| one.set(behaviour.clone()).unwrap());
    // 1,000 tokens cost some 2,000,000 nano-dollars by the list, and 100,000 as a fee.
    let more = own("mine", &key, "");
    let gateway = Gateway::start(&running, &Setup { credit: "0.00015", more, ..Setup::default() });
    let answer = gateway.client().chat(&ask(MODEL, "Hello", false, 1_000));
    assert!(answer.is_good(), "{}", answer.text());
    let usage = usage(&answer);
    assert_eq!((&usage["completion_tokens"], &usage["is_byok"]), (&500.into(), &true.into()));
}
