//! Records of generations, and the content that accounts may ask to be kept.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use turnpike::dialect::Dialect;
use turnpike::simulate::{Behaviour, Fault, Replay};
use turnpike::terms::AccountTerms;

use crate::support::gateway::MODEL;
use crate::support::{Answer, Client, Gateway, Setup, ask, providers};

const PROMPT: &str = "canary-prompt-of-records";
const ANSWER: &str = "canary-answer-of-records";

fn admin(gateway: &Gateway) -> Client {
    Client::new(gateway.admin, Some("admin-token-of-the-test".to_owned()))
}

fn id_of(answer: &Answer) -> String {
    answer.header("x-generation-id").expect("an id").to_owned()
}

/// The record of an answer, which is written when its request has ended.
fn record(gateway: &Gateway, id: &str) -> Value {
    let (mut client, deadline) = (gateway.client(), Instant::now() + Duration::from_secs(10));
    loop {
        let answer = client.get(&format!("/v1/generation?id={id}"));
        if answer.status == 200 {
            return answer.json()["data"].clone();
        }
        assert!(Instant::now() < deadline, "{id}: {}", answer.text());
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_record_says_who_asked_what_was_tried_and_what_it_cost() {
    let running = providers(&[("one", Dialect::OpenAi), ("two", Dialect::OpenAi)]);
    running.provider("one").unwrap().set(Behaviour::failing(Fault::Status(500))).unwrap();
    let gateway = Gateway::start(&running, &Setup::default());
    let body = json!({
        "model": MODEL, "max_tokens": 20, "user": "canary-user", "session_id": "s-1",
        "provider": {"order": ["one", "two"]},
        "messages": [{"role": "user", "content": PROMPT}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    });
    let headers = [
        ("http-referer", "https://app.example/chat?token=secret"),
        ("x-openrouter-title", "App"),
        ("user-agent", "records/1"),
        ("x-request-id", "r-1"),
    ];
    let answer = gateway.client().chat_with(&body.to_string(), &headers);
    assert!(answer.is_good(), "{}", answer.text());
    let shown = record(&gateway, &id_of(&answer));
    for (field, expected) in [
        ("http_referer", json!("https://app.example/chat")),
        ("origin", json!("https://app.example")),
        ("app_title", json!("App")),
        ("user_agent", json!("records/1")),
        ("request_id", json!("r-1")),
        ("session_id", json!("s-1")),
        ("surface", json!("chat")),
        ("api_type", json!("completions")),
        ("had_tools", json!(true)),
        ("provider_name", json!("two")),
        ("requested_model", json!(MODEL)),
        ("is_byok", json!(false)),
    ] {
        assert_eq!(shown[field], expected, "{field}: {shown}");
    }
    let responses = shown["provider_responses"].as_array().unwrap();
    assert_eq!(
        (&responses[0]["provider_name"], &responses[0]["status"]),
        (&json!("one"), &json!(500))
    );
    assert_eq!(responses.last().unwrap()["provider_name"], "two");
    assert_eq!(shown["prices"]["prompt"], 1_000_000, "pico-dollars: {shown}");
    let user = shown["external_user"].as_str().unwrap();
    assert!(user.starts_with("user-") && !user.contains("canary"), "{user}");
    let upstream = shown["upstream_id"].as_str().unwrap();
    assert_eq!(record(&gateway, upstream)["id"], shown["id"], "by the provider's id");
    assert_eq!(gateway.client().get("/v1/generation?id=nothing").status, 404);
}

#[test]
fn the_operator_pages_through_records() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let mut gateway = Gateway::start(&running, &Setup::default());
    let mut ids = Vec::new();
    for n in 0..7 {
        let answer = gateway.client().chat(&ask(MODEL, "Hi", false, 4));
        ids.push(id_of(&answer));
        record(&gateway, &ids[n]);
        if n == 3 {
            gateway.signal("TERM");
            assert!(gateway.wait(Duration::from_secs(20)).success());
            gateway.restart();
        }
    }
    ids.reverse();
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/admin/v1/generations?account=acme&limit=3{after}");
        let page = admin(&gateway).get(&path);
        assert_eq!(page.status, 200, "{}", page.text());
        let page = page.json();
        let rows = page["data"].as_array().unwrap();
        assert!(rows.len() <= 3 && rows.iter().all(|row| row["account"] == "acme"));
        found.extend(rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(found, ids, "all of them, the newest first, across a restart");
    let none = admin(&gateway).get("/admin/v1/generations?to=2020-01-01").json();
    assert_eq!(none, json!({"data": [], "next": null}));
    gateway.signal("TERM");
    assert!(gateway.wait(Duration::from_secs(20)).success());
    let listed = std::process::Command::new(env!("CARGO_BIN_EXE_turnpike"))
        .args(["generations", "list", "--data", "data", "--limit", "2"])
        .current_dir(gateway.dir.path())
        .output()
        .unwrap();
    let lines = String::from_utf8(listed.stdout).unwrap();
    let listed: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(listed.iter().map(|line| &line["id"]).collect::<Vec<_>>(), [&ids[0], &ids[1]]);
    gateway.verify().unwrap();
}

/// Whether a text is in any file below.
fn is_somewhere(dir: &Path, text: &str) -> bool {
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return is_somewhere(&path, text);
        }
        std::fs::read(&path).unwrap().windows(text.len()).any(|part| part == text.as_bytes())
    })
}

fn speaking() -> Behaviour {
    let body = json!({
        "id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": ANSWER}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10},
    });
    Behaviour::replaying(Replay::json(200, body.to_string()))
}

fn keeping(days: u16) -> Setup {
    Setup {
        settings: vec![("content", "key = \"env:CONTENT_KEY\"".to_owned())],
        account: AccountTerms { content_days: days, ..AccountTerms::default() },
        ..Setup::default()
    }
}

#[test]
fn content_is_kept_for_who_asked_and_in_clear_nowhere() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    running.provider("one").unwrap().set(speaking()).unwrap();
    let mut gateway = Gateway::start(&running, &keeping(3));
    let answer = gateway.client().chat(&ask(MODEL, PROMPT, false, 9));
    assert_eq!(answer.content(), ANSWER);
    let id = id_of(&answer);
    record(&gateway, &id);
    let path = format!("/v1/generation/content?id={id}");
    let deadline = Instant::now() + Duration::from_secs(10);
    while gateway.metric("turnpike_content_written_total", &[]) < 1.0 {
        assert!(Instant::now() < deadline, "it is written");
        std::thread::sleep(Duration::from_millis(2));
    }
    let kept = gateway.client().get(&path);
    assert_eq!(kept.status, 200, "{}", kept.text());
    let kept = kept.json();
    assert_eq!(kept["data"]["output"]["completion"], ANSWER);
    assert!(kept["data"]["input"]["messages"].to_string().contains(PROMPT), "{kept}");
    let body = json!({"id": "other"}).to_string();
    assert_eq!(
        admin(&gateway).send("POST", "/admin/v1/accounts", &[], body.as_bytes()).status,
        201
    );
    let body = json!({"account_id": "other"}).to_string();
    let key = admin(&gateway).send("POST", "/admin/v1/keys", &[], body.as_bytes()).json();
    let mut other = Client::new(gateway.address, key["key"].as_str().map(str::to_owned));
    assert_eq!(other.get(&path).status, 404, "another account's does not exist");
    assert_eq!(other.send("DELETE", &path, &[], b"").status, 404);
    for text in [PROMPT, ANSWER] {
        assert!(!is_somewhere(gateway.dir.path(), text), "{text} is in no file");
    }
    assert!(gateway.data().join("content").is_dir());
    assert_eq!(gateway.client().send("DELETE", &path, &[], b"").status, 200);
    assert_eq!(gateway.client().get(&path).status, 404, "deleted");
    assert_eq!(gateway.client().send("DELETE", &path, &[], b"").status, 404, "once");
    gateway.kill();
}

#[test]
fn nothing_is_kept_of_who_has_not_asked() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    running.provider("one").unwrap().set(speaking()).unwrap();
    let mut gateway = Gateway::start(&running, &keeping(0));
    let answer = gateway.client().chat(&ask(MODEL, PROMPT, false, 9));
    let id = id_of(&answer);
    record(&gateway, &id);
    let kept = gateway.client().get(&format!("/v1/generation/content?id={id}"));
    assert_eq!(kept.status, 404, "{}", kept.text());
    gateway.signal("TERM");
    assert!(gateway.wait(Duration::from_secs(20)).success());
    assert!(!gateway.data().join("content").exists());
    for text in [PROMPT, ANSWER] {
        assert!(!is_somewhere(gateway.dir.path(), text), "{text} is in no file");
    }
}
