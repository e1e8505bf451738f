//! Prompts, answers and keys are in no log, no metric, no file of the ledger, and no error that
//! another party reads.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use turnpike::dialect::Dialect;
use turnpike::simulate::{Behaviour, End, Fault, Provider, Replay};

use crate::support::gateway::MODEL;
use crate::support::{Answer, Client, Gateway, Setup, providers};

const PROMPT: &str = "canary-prompt-5e1f";
const SYSTEM: &str = "canary-system-77aa";
const TOOL: &str = "canary_tool_0b2c";
const TOOL_TEXT: &str = "canary-tool-text-9d3e";
const ANSWER: &str = "canary-answer-c41d";
const CLIENT_HEADER: &str = "canary-header-2b8a";
const PROVIDER_KEY: &str = "provider-secret-canary";
const ADMIN_TOKEN: &str = "admin-token-of-the-test";

fn request(stream: bool) -> String {
    json!({
        "model": MODEL,
        "stream": stream,
        "max_tokens": 50,
        "user": "canary-user-31f0",
        "messages": [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": PROMPT},
        ],
        "tools": [{"type": "function", "function": {
            "name": TOOL, "description": TOOL_TEXT, "parameters": {"type": "object"},
        }}],
    })
    .to_string()
}

/// What may be nowhere: neither in a log nor in a file.
fn canaries(key: &str) -> Vec<String> {
    let mut all: Vec<String> =
        [PROMPT, SYSTEM, TOOL, TOOL_TEXT, ANSWER, CLIENT_HEADER, PROVIDER_KEY, ADMIN_TOKEN]
            .map(str::to_owned)
            .to_vec();
    all.push("canary-user-31f0".to_owned());
    all.push(key.to_owned());
    // Whoever sees the key's end could guess the rest as little as without.
    all.push(key[key.len() - 16..].to_owned());
    all
}

fn openai_whole() -> Replay {
    let body = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": ANSWER}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10},
    });
    Replay::json(200, body.to_string())
}

fn openai_stream(finished: bool) -> Replay {
    let chunk = |delta: Value, finish: Option<&str>| {
        let body = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        });
        format!("data: {body}\n\n")
    };
    let first = chunk(json!({"role": "assistant", "content": ANSWER}), None);
    let rest = [chunk(json!({}), Some("stop")), "data: [DONE]\n\n".to_owned()];
    if finished {
        Replay::sse([first].into_iter().chain(rest))
    } else {
        let fault =
            format!("data: {{\"error\":{{\"message\":\"bad {PROVIDER_KEY} {PROMPT}\"}}}}\n\n");
        Replay::sse([first, fault]).ending(End::Cut)
    }
}

fn anthropic_whole() -> Replay {
    let body = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [{"type": "text", "text": ANSWER}],
        "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 5, "output_tokens": 5},
    });
    Replay::json(200, body.to_string())
}

/// An error that repeats our key and the prompt in every place that it has.
fn tactless(status: u16) -> Replay {
    let body = json!({"error": {
        "message": format!("Key {PROVIDER_KEY} may not say {PROMPT}"),
        "type": "invalid_request_error",
        "code": format!("bad-{PROVIDER_KEY}"),
        "param": PROVIDER_KEY,
    }, PROVIDER_KEY: PROVIDER_KEY});
    let mut replay = Replay::json(status, body.to_string());
    replay.headers.push(("x-request-id".to_owned(), PROVIDER_KEY.to_owned()));
    replay
}

/// Errors whose bodies repeat the key around the length at which they are cut.
fn cut_in_the_key() -> Vec<Replay> {
    let at = |before: usize| {
        let text = format!("{}{PROVIDER_KEY} and so on", "x".repeat(before));
        [Replay::json(500, text.clone()), Replay::json(400, json!({"error": text}).to_string())]
    };
    (1_000..=1_030).step_by(6).flat_map(at).collect()
}

fn behave(provider: &Provider, replay: Replay) {
    provider.set(Behaviour::replaying(replay)).unwrap();
}

/// No part of our key that is long enough to help anybody.
fn assert_no_key(answer: &Answer, what: &str) {
    let text = format!("{:?} {}", answer.headers, answer.text());
    for length in [12, PROVIDER_KEY.len()] {
        assert!(!text.contains(&PROVIDER_KEY[..length]), "{what}: {text}");
    }
    assert!(!text.contains(ADMIN_TOKEN), "{what}: {text}");
}

/// Sends every kind of request; gives how many reached the proxy.
fn traffic(gateway: &Gateway, one: &Provider, two: &Provider) -> usize {
    let mut client = gateway.client();
    let mut sent = 0;
    let mut chat = |stream: bool, what: &str| {
        sent += 1;
        let headers =
            [("x-canary", CLIENT_HEADER), ("cookie", CLIENT_HEADER), ("x-title", CLIENT_HEADER)];
        let answer = client.chat_with(&request(stream), &headers);
        assert!(!answer.text().contains(&gateway.key), "{what}");
        assert_no_key(&answer, what);
        answer
    };
    // Good answers: whole, streamed, translated.
    behave(one, openai_whole());
    two.set(Behaviour::failing(Fault::Status(500))).unwrap();
    assert_eq!(chat(false, "whole").content(), ANSWER);
    behave(one, openai_stream(true));
    assert_eq!(chat(true, "stream").content(), ANSWER);
    one.set(Behaviour::failing(Fault::Reset)).unwrap();
    behave(two, anthropic_whole());
    assert_eq!(chat(false, "fallback").content(), ANSWER);
    // Broken off.
    behave(one, openai_stream(false));
    two.set(Behaviour::failing(Fault::Reset)).unwrap();
    let broken = chat(true, "broken off");
    assert!(!broken.is_good(), "{}", broken.text());
    // Both refuse, in a tactless way.
    for status in [400, 401, 403, 404, 413, 422, 429, 500, 503, 529] {
        behave(one, tactless(status));
        behave(two, tactless(status));
        for stream in [false, true] {
            let answer = chat(stream, &format!("status {status}"));
            assert!(answer.status >= 400, "{status}: {}", answer.text());
        }
    }
    for replay in cut_in_the_key() {
        behave(one, replay.clone());
        behave(two, replay);
        assert!(chat(false, "cut in the key").status >= 400);
    }
    // Answers that are none.
    for replay in [
        Replay::json(200, format!("{{\"error\":{{\"message\":\"{PROVIDER_KEY} {PROMPT}\"}}}}")),
        Replay::json(200, format!("{ANSWER} {PROVIDER_KEY}")),
        Replay::sse([format!("data: {{\"{ANSWER}\": \"{PROVIDER_KEY}\"\n\n")]),
        Replay::sse([format!("event: error\ndata: {{\"error\":\"{PROVIDER_KEY}\"}}\n\n")]),
    ] {
        behave(one, replay.clone());
        behave(two, replay);
        for stream in [false, true] {
            assert!(chat(stream, "no answer").status >= 400);
        }
    }
    sent + refused(gateway)
}

/// Requests that go nowhere.
fn refused(gateway: &Gateway) -> usize {
    let key = gateway.key.as_str();
    let mut client = gateway.client();
    let broken = format!("{{\"model\":\"{MODEL}\",\"messages\":[{{\"{PROMPT}\":\"{SYSTEM}");
    let wrong = json!({"model": MODEL, "messages": PROMPT, "stream": ANSWER}).to_string();
    let twice = format!("{{\"model\":\"{MODEL}\",\"model\":\"{PROMPT}\",\"messages\":[]}}");
    let no_messages = json!({"model": MODEL, "prompt": PROMPT}).to_string();
    for body in [&broken, &wrong, &twice, &no_messages] {
        let answer = client.chat(body);
        assert_eq!(answer.status, 400, "{}", answer.text());
        for canary in [PROMPT, SYSTEM, ANSWER] {
            assert!(!answer.text().contains(canary), "{}", answer.text());
        }
    }
    let statuses = [
        (Client::new(gateway.address, None).chat(&request(false)), 401),
        (Client::new(gateway.address, Some(format!("{key}x"))).chat(&request(false)), 401),
        (Client::new(gateway.address, Some(PROMPT.to_owned())).chat(&request(false)), 401),
        (client.get(&format!("/v1/nothing?key={key}&q={PROMPT}")), 404),
        (client.get(&format!("/v1/generation?id={PROMPT}")), 404),
        (client.send("PUT", "/v1/chat/completions", &[], request(false).as_bytes()), 405),
        (client.get("/v1/credits"), 200),
        (client.get("/v1/key"), 200),
    ];
    for (answer, status) in &statuses {
        assert_eq!(answer.status, *status, "{}", answer.text());
        for secret in [key, PROMPT, PROVIDER_KEY] {
            assert!(!answer.text().contains(secret), "{}", answer.text());
        }
    }
    4 + statuses.len()
}

/// The admin listener, with and without its token.
fn administration(gateway: &Gateway) -> Vec<String> {
    let mut wrong = Client::new(gateway.admin, Some(format!("{ADMIN_TOKEN}-not")));
    assert_eq!(wrong.get("/admin/v1/keys").status, 401);
    let mut admin = Client::new(gateway.admin, Some(ADMIN_TOKEN.to_owned()));
    let body = json!({"account_id": "acme", "label": "second"}).to_string();
    let made = admin.send("POST", "/admin/v1/keys", &[], body.as_bytes());
    assert_eq!(made.status, 201, "{}", made.text());
    let second = made.json()["key"].as_str().unwrap().to_owned();
    let mut client = Client::new(gateway.address, Some(second.clone()));
    assert_eq!(client.get("/v1/key").status, 200);
    let listed = admin.get("/admin/v1/keys").text();
    assert!(listed.contains("second") && !listed.contains(&second), "{listed}");
    vec![second, listed, admin.get("/admin/v1/endpoints").text(), admin.get("/metrics").text()]
}

/// Every file below, with its bytes.
fn files(dir: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}

fn holds(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[test]
fn no_prompt_answer_or_key_is_in_a_log_a_metric_or_a_file() {
    for level in ["debug", "trace"] {
        let running = providers(&[("one", Dialect::OpenAi), ("two", Dialect::Anthropic)]);
        let (one, two) = (running.provider("one").unwrap(), running.provider("two").unwrap());
        let mut gateway = Gateway::start(&running, &Setup::default());
        gateway.kill();
        let path = gateway.dir.path().join("turnpike.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let quiet = "level = \"info\"";
        assert!(text.contains(quiet));
        std::fs::write(&path, text.replace(quiet, &format!("level = \"{level}\""))).unwrap();
        gateway.restart();
        let sent = traffic(&gateway, &one, &two);
        let shown = administration(&gateway);
        gateway.signal("TERM");
        assert!(gateway.wait(Duration::from_secs(20)).success());
        let mut secrets = canaries(&gateway.key);
        secrets.push(shown[0].clone());
        let mut found: Vec<(String, Vec<u8>)> = ["stdout", "stderr", "access.log"]
            .map(|name| (name.to_owned(), gateway.log(name).into_bytes()))
            .to_vec();
        found.extend(shown[1..].iter().map(|text| ("admin".to_owned(), text.clone().into_bytes())));
        files(&gateway.data(), &mut found);
        assert!(found.iter().any(|(path, _)| path.contains("journal")), "the ledger is searched");
        for (place, bytes) in &found {
            for secret in &secrets {
                let text = || {
                    let text = String::from_utf8_lossy(bytes).into_owned();
                    text.lines()
                        .filter(|l| l.contains(secret.as_str()))
                        .take(3)
                        .collect::<Vec<_>>()
                        .join("\n")
                };
                assert!(!holds(bytes, secret), "{level}: {secret:?} in {place}: {}", text());
            }
        }
        let log = gateway.log("stderr");
        assert!(log.contains("A request was refused"), "{level} logs the detail: {log}");
        check_access_log(&gateway.log("access.log"), sent + 1);
    }
}

/// One line per request, each a JSON object with what is known of it.
fn check_access_log(log: &str, requests: usize) {
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    assert_eq!(lines.len(), requests, "{log}");
    let mut ids: Vec<&str> =
        lines.iter().map(|line| line["gen_ai.response.id"].as_str().expect("an id")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), requests, "an id for each");
    for line in &lines {
        for field in ["ts_ms", "http.response.status_code", "attempts", "http.response.body.size"] {
            assert!(line[field].is_u64(), "{field}: {line}");
        }
        assert!(line["duration_ms"].is_number(), "{line}");
        assert_eq!(line["client.address"], "127.0.0.1", "{line}");
        let status = line["http.response.status_code"].as_u64().unwrap();
        assert_eq!(line["error.type"].is_string(), status >= 400 || is_broken(line), "{line}");
    }
    let whole = &lines[0];
    for (field, expected) in [
        ("http.request.method", json!("POST")),
        ("url.path", json!("/v1/chat/completions")),
        ("http.response.status_code", json!(200)),
        ("surface", json!("chat")),
        ("account_id", json!("acme")),
        ("gen_ai.request.model", json!(MODEL)),
        ("gen_ai.response.model", json!(MODEL)),
        ("gen_ai.request.stream", json!(false)),
        ("gen_ai.usage.input_tokens", json!(5)),
        ("gen_ai.usage.output_tokens", json!(5)),
        ("cost_nano_usd", json!(15_000)),
        ("gen_ai.response.finish_reasons", json!(["stop"])),
        ("http.request.body.size", json!(request(false).len())),
    ] {
        assert_eq!(whole[field], expected, "{field}: {whole}");
    }
    assert!(whole["key_id"].is_string() && whole["ttft_ms"].is_number(), "{whole}");
    let fallback = &lines[2];
    assert_eq!(fallback["gen_ai.provider.name"], "two", "{fallback}");
    let tried = fallback["tried"].as_array().expect("a list");
    assert_eq!(tried.last().unwrap()["outcome"], "ok", "{fallback}");
    assert_eq!(fallback["attempts"], tried.len(), "{fallback}");
}

/// A stream that was ended with an error after its status had gone out.
fn is_broken(line: &Value) -> bool {
    line["http.response.status_code"] == 200 && line["error.type"] == "provider_unavailable"
}

/// Log lines are written by a thread of their own; none is lost, and none comes twice.
#[test]
fn the_access_log_has_a_line_for_every_request_as_it_goes() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let gateway = Gateway::start(&running, &Setup::default());
    let mut client = gateway.client();
    for n in 1..=20 {
        assert_eq!(client.get("/v1/credits").status, 200);
        let deadline = Instant::now() + Duration::from_secs(10);
        while gateway.log("access.log").lines().count() < n {
            assert!(Instant::now() < deadline, "line {n} comes: {}", gateway.log("access.log"));
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(gateway.log("access.log").lines().count(), n);
    }
}
