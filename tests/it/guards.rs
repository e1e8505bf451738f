//! What keys and accounts are allowed, at the door.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use turnpike::dialect::Dialect;
use turnpike::simulate::{Behaviour, Fault, FaultRule};
use turnpike::terms::{AccountTerms, KeyTerms, Policy};

use crate::support::gateway::MODEL;
use crate::support::{Answer, Client, Gateway, Setup, ask, providers};

fn keyed(policy: Policy) -> Setup {
    Setup { key: KeyTerms { policy, ..KeyTerms::default() }, ..Setup::default() }
}

/// How many of so many clients, all at once, are answered; every other one gets this status.
fn answered(gateway: &Gateway, clients: usize, refused: u16) -> (u32, Vec<Answer>) {
    let (good, barrier) = (AtomicU32::new(0), Barrier::new(clients));
    let others = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..clients)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = gateway.client();
                    barrier.wait();
                    let answer = client.chat(&ask(MODEL, "Say something", false, 8));
                    if answer.is_good() {
                        good.fetch_add(1, Ordering::Relaxed);
                        return None;
                    }
                    assert_eq!(answer.status, refused, "{}", answer.text());
                    Some(answer)
                })
            })
            .collect();
        threads.into_iter().filter_map(|t| t.join().expect("no panic")).collect::<Vec<_>>()
    });
    (good.into_inner(), others)
}

#[test]
fn a_management_key_cannot_ask() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let key = KeyTerms { management: true, ..KeyTerms::default() };
    let gateway = Gateway::start(&running, &Setup { key, ..Setup::default() });
    let mut client = gateway.client();
    let answer = client.chat(&ask(MODEL, "Hi", false, 8));
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert!(answer.text().contains("management key"), "{}", answer.text());
    let shown = client.get("/api/v1/key").json();
    assert_eq!(shown["data"]["is_management_key"], true, "{shown}");
}

#[test]
fn a_minute_lets_exactly_as_many_requests_in() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let setup = keyed(Policy { rpm: Some(7), ..Policy::default() });
    let gateway = Gateway::start(&running, &setup);
    let (good, refused) = answered(&gateway, 40, 429);
    assert_eq!((good, refused.len()), (7, 33));
    let (answer, body) = (&refused[0], refused[0].json());
    assert_eq!(answer.header("x-ratelimit-limit"), Some("7"));
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("0"));
    let reset = answer.header("x-ratelimit-reset").expect("a reset");
    assert_eq!(body["error"]["metadata"]["headers"]["X-RateLimit-Reset"], reset, "{body}");
    let after: u64 = answer.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((1..=60).contains(&after), "{after}");
    assert_eq!(body["error"]["code"], 429, "{body}");
}

#[test]
fn the_accounts_own_rate_counts_all_its_keys() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let policy = Policy { rpm: Some(5), ..Policy::default() };
    let account = AccountTerms { policy, ..AccountTerms::default() };
    let gateway = Gateway::start(&running, &Setup { account, ..Setup::default() });
    let (good, refused) = answered(&gateway, 20, 429);
    assert_eq!(good, 5);
    assert!(refused[0].text().contains("This account"), "{}", refused[0].text());
}

#[test]
fn tokens_in_a_minute_are_counted_before_they_are_used() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    // A prompt of 9 tokens by our count, and 8 for the answer.
    let each = 4 + "userSay something".len().div_ceil(4) as u64 + 8;
    let setup = keyed(Policy { tpm: Some(each * 6), ..Policy::default() });
    let gateway = Gateway::start(&running, &setup);
    let (good, _) = answered(&gateway, 30, 429);
    assert!(good >= 6, "{good}: answers may be shorter than what was counted ahead");
    let spent = gateway.client().chat(&ask(MODEL, "Say something", false, 4000));
    assert_eq!(spent.status, 429, "{}", spent.text());
    assert!(spent.text().contains("can never be answered"), "{}", spent.text());
}

#[test]
fn every_choice_of_an_answer_counts_in_a_minutes_tokens() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let gateway =
        Gateway::start(&running, &keyed(Policy { tpm: Some(3_000), ..Policy::default() }));
    let choices = |n: u32| {
        ask(MODEL, "Say something", false, 1_000).replacen('{', &format!("{{\"n\":{n},"), 1)
    };
    let four = gateway.client().chat(&choices(4));
    assert_eq!(four.status, 429, "{}", four.text());
    // The simulated provider refuses several choices; what counts is that it was asked.
    let two = gateway.client().chat(&choices(2));
    assert!(two.text().contains("one choice"), "{}", two.text());
}

#[test]
fn so_many_requests_run_at_the_same_time() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let setup = keyed(Policy { concurrency: Some(2), ..Policy::default() });
    let gateway = Gateway::start(&running, &setup);
    // The provider holds its answers back until all clients have asked.
    let slow = Behaviour { ttft_ms: 1_500, ..Behaviour::default() };
    running.provider("one").expect("a provider").set(slow).expect("a behaviour");
    let (good, refused) = answered(&gateway, 10, 429);
    assert_eq!((good, refused.len()), (2, 8));
    assert!(refused[0].text().contains("at the same time"), "{}", refused[0].text());
    let quick = Behaviour { ttft_ms: 1, ..Behaviour::default() };
    running.provider("one").expect("a provider").set(quick).expect("a behaviour");
    for _ in 0..5 {
        assert!(gateway.client().chat(&ask(MODEL, "Hi", false, 8)).is_good(), "they have ended");
    }
}

#[test]
fn a_refused_request_is_not_left_running() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let setup = keyed(Policy { concurrency: Some(1), ..Policy::default() });
    let gateway = Gateway::start(&running, &setup);
    let mut client = gateway.client();
    for body in ["{", "{\"model\":\"no/such\",\"messages\":[]}", "[]"] {
        assert!(client.chat(body).status < 429, "{body}");
    }
    let broken =
        Behaviour { faults: vec![FaultRule::always(Fault::Status(500))], ..Behaviour::default() };
    running.provider("one").expect("a provider").set(broken).expect("a behaviour");
    assert!(client.chat(&ask(MODEL, "Hi", false, 8)).status >= 500);
    running.provider("one").expect("a provider").set(Behaviour::default()).expect("a behaviour");
    assert!(client.chat(&ask(MODEL, "Hi", false, 8)).is_good());
}

#[test]
fn models_and_providers_are_closed_by_the_key_and_by_the_account() {
    let running = providers(&[("one", Dialect::OpenAi), ("two", Dialect::OpenAi)]);
    let only_two = Policy { ignored_providers: vec!["on*".to_owned()], ..Policy::default() };
    let gateway = Gateway::start(&running, &keyed(only_two));
    for _ in 0..6 {
        assert!(gateway.client().chat(&ask(MODEL, "Hi", false, 8)).is_good());
    }
    let seen = |name: &str| running.provider(name).expect("a provider").stats().requests;
    assert_eq!((seen("one"), seen("two")), (0, 6));

    let policy = Policy { allowed_models: vec!["other/*".to_owned()], ..Policy::default() };
    let account = AccountTerms { policy, ..AccountTerms::default() };
    let gateway = Gateway::start(&running, &Setup { account, ..Setup::default() });
    let answer = gateway.client().chat(&ask(MODEL, "Hi", false, 8));
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert!(answer.text().contains("key_policy:models"), "{}", answer.text());
    assert_eq!((seen("one"), seen("two")), (0, 6), "nobody was asked");
}

#[test]
fn what_keeps_prompts_is_closed_to_a_key_of_zero_retention() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let gateway = Gateway::start(&running, &keyed(Policy { zdr: true, ..Policy::default() }));
    // Nothing is declared for the provider, so the worst is assumed.
    let answer = gateway.client().chat(&ask(MODEL, "Hi", false, 8));
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert!(answer.text().contains("data_policy:zdr"), "{}", answer.text());
}

#[test]
fn a_key_has_a_preset_and_a_variant_of_its_own() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let key = KeyTerms {
        preset: Some("short".to_owned()),
        variant: Some("floor".to_owned()),
        ..KeyTerms::default()
    };
    let more = "[[presets]]\nslug = \"short\"\nparameters = '{\"max_tokens\":3}'\n".to_owned();
    let gateway = Gateway::start(&running, &Setup { key, more, ..Setup::default() });
    let body = format!(r#"{{"model":"{MODEL}","messages":[{{"role":"user","content":"Hi"}}]}}"#);
    let answer = gateway.client().chat(&body);
    assert!(answer.is_good(), "{}", answer.text());
    assert_eq!(answer.json()["usage"]["completion_tokens"], 3, "{}", answer.text());
}

/// Two keys of one account share its cached answers only as far as both may have them.
#[test]
fn a_cached_answer_is_no_way_around_a_policy() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let gateway = Gateway::start(&running, &Setup::default());
    let cache = [("X-OpenRouter-Cache", "true")];
    let body = ask(MODEL, "Say something", false, 8);
    assert!(gateway.client().chat_with(&body, &cache).is_good());
    let policy = json!({"allowed_models": ["other/*"]});
    let mut restricted = other_key(&gateway, &json!({"account_id": "acme", "policy": policy}));
    let answer = restricted.chat_with(&body, &cache);
    assert_eq!(answer.status, 403, "{}", answer.text());
    let mut alike = other_key(&gateway, &json!({"account_id": "acme", "label": "another"}));
    for client in [&mut gateway.client(), &mut alike] {
        let hit = client.chat_with(&body, &cache);
        assert_eq!(hit.header("x-openrouter-cache-status"), Some("HIT"));
    }
}

/// A key's own suffix asks for another answer with the same words.
#[test]
fn a_cached_answer_is_not_given_to_a_key_with_a_suffix_of_its_own() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let gateway = Gateway::start(&running, &Setup::default());
    let cache = [("X-OpenRouter-Cache", "true")];
    let body = ask(MODEL, "Say something", false, 8);
    assert!(gateway.client().chat_with(&body, &cache).is_good());
    let mut suffixed = other_key(&gateway, &json!({"account_id": "acme", "variant": "nitro"}));
    for status in ["MISS", "HIT"] {
        let answer = suffixed.chat_with(&body, &cache);
        assert_eq!(answer.header("x-openrouter-cache-status"), Some(status), "{}", answer.text());
    }
}

/// A client with another key, made over the management API.
fn other_key(gateway: &Gateway, wanted: &serde_json::Value) -> Client {
    let mut admin = Client::new(gateway.admin, Some("admin-token-of-the-test".to_owned()));
    let made = admin.send("POST", "/admin/v1/keys", &[], wanted.to_string().as_bytes()).json();
    Client::new(gateway.address, Some(made["key"].as_str().expect("a key").to_owned()))
}

#[test]
fn an_embedding_counts_its_input_in_a_minutes_tokens() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let gateway = Gateway::start(&running, &keyed(Policy { tpm: Some(50), ..Policy::default() }));
    // What an answer in words would need does not fit; the input does, and ten times that not.
    let embed = |words: usize| {
        let body = json!({"model": MODEL, "input": "word ".repeat(words)}).to_string();
        gateway.client().send("POST", "/api/v1/embeddings", &[], body.as_bytes())
    };
    let words = embed(4);
    assert_ne!(words.status, 429, "{}", words.text());
    let many = embed(400);
    assert_eq!(many.status, 429, "{}", many.text());
}
