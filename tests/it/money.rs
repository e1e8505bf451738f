//! Credit: what is set aside, what is charged, and what the caller is told of it.

use std::io::{Read as _, Write as _};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use turnpike::dialect::Dialect;
use turnpike::simulate::{Behaviour, Fault, Provider, Replay, Running};

use crate::support::gateway::MODEL;
use crate::support::{Answer, Client, Gateway, Setup, ask, eventually, providers, runtime};

/// What [`ask`] with [`PROMPT`] counts as: 13 ASCII bytes and one message.
const PROMPT: &str = "Say something";
const PROMPT_TOKENS: u64 = 4 + 4;
/// [`Setup::prices`] as nano-dollars per token.
const PROMPT_NANO: u64 = 1_000;
const COMPLETION_NANO: u64 = 2_000;

/// A prompt's tokens as the gateway estimates them, a little above what the simulator counts: a
/// message's role counts, too.
fn estimated(prompt: &str) -> u64 {
    4 + ("user".len() + prompt.len()).div_ceil(4) as u64
}

/// What is set aside for [`PROMPT`] and so many tokens of an answer.
fn hold(completion: u64) -> u64 {
    estimated(PROMPT) * PROMPT_NANO + completion * COMPLETION_NANO
}

const BOTH: [Dialect; 2] = [Dialect::OpenAi, Dialect::Anthropic];

fn cost(completion: u64) -> u64 {
    PROMPT_TOKENS * PROMPT_NANO + completion * COMPLETION_NANO
}

/// Nano-dollars as dollars with all digits.
fn dollars(nano: u64) -> &'static str {
    format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000).leak()
}

/// A JSON number of dollars in nano-dollars.
fn nano(value: &Value) -> u64 {
    let dollars = value.as_f64().unwrap_or_else(|| panic!("no amount: {value}"));
    // Nine digits after the point are exact: there are no sums here of more than thousands.
    format!("{:.0}", dollars * 1e9).parse().unwrap_or_else(|e| panic!("{e}: {value}"))
}

/// A provider that always answers with so many tokens, unless the limit is lower.
fn talkative(dialect: Dialect, tokens: u32) -> (Running, Provider) {
    let running = providers(&[("one", dialect)]);
    let provider = running.provider("one").unwrap();
    let ttft_ms = 1;
    provider.set(Behaviour { ttft_ms, tokens, ..Behaviour::default() }).unwrap();
    (running, provider)
}

/// Waits until no hold is open, and the accounts know.
fn settled(gateway: &Gateway) {
    let mut admin = Client::new(gateway.admin, Some("admin-token-of-the-test".to_owned()));
    eventually("every hold ends", || {
        let held = admin.get("/admin/v1/accounts/acme").json()["held_usd"].clone();
        (holds(gateway) == 0.0 && held == "0").then_some(())
    });
}

fn holds(gateway: &Gateway) -> f64 {
    let text = Client::new(gateway.admin, None).get("/metrics").text();
    assert!(text.contains("turnpike_holds_open"), "the metric is there: {text}");
    gateway.metric("turnpike_holds_open", &[])
}

/// Bought and used credit in nano-dollars.
fn credits(client: &mut Client) -> (u64, u64) {
    let answer = client.get("/api/v1/credits");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let data = &answer.json()["data"];
    (nano(&data["total_credits"]), nano(&data["total_usage"]))
}

/// What was used, once every hold has ended.
fn used(gateway: &Gateway) -> u64 {
    settled(gateway);
    credits(&mut gateway.client()).1
}

/// The generation of an answer, once its record is there.
fn generation(gateway: &Gateway, answer: &Answer) -> Value {
    record(gateway, answer.header("x-generation-id").expect("an id"))
}

fn record(gateway: &Gateway, id: &str) -> Value {
    let mut client = gateway.client();
    let answer = eventually("the record comes", || {
        let answer = client.get(&format!("/api/v1/generation?id={id}"));
        (answer.status == 200).then_some(answer)
    });
    answer.json()["data"].clone()
}

/// The usage that an answer tells, whole or streamed.
fn usage(answer: &Answer) -> Value {
    let streamed = answer.header("content-type").is_some_and(|t| t.contains("event-stream"));
    if !streamed {
        return answer.json()["usage"].clone();
    }
    let mut chunks =
        answer.events().into_iter().filter_map(|e| serde_json::from_str::<Value>(&e).ok());
    chunks.rfind(|c| c["usage"].is_object()).expect("a usage chunk")["usage"].clone()
}

/// Calls the management API.
fn manage(gateway: &Gateway, path: &str, body: &Value) -> Value {
    let mut client = Client::new(gateway.admin, Some("admin-token-of-the-test".to_owned()));
    let answer = client.send("POST", path, &[], body.to_string().as_bytes());
    assert_eq!(answer.status, 201, "{path}: {}", answer.text());
    answer.json()
}

/// A new key of an account.
fn new_key(gateway: &Gateway, account: &str, limit: Option<&str>) -> Client {
    let body = serde_json::json!({"account_id": account, "limit_usd": limit});
    let made = manage(gateway, "/admin/v1/keys", &body);
    Client::new(gateway.address, Some(made["key"].as_str().expect("a key").to_owned()))
}

/// Rounds of requests by this many threads until, with nothing in flight, one is refused. Every
/// answer is a 402 or a good one of this cost. Gives the number of good ones.
fn spend(gateway: &Gateway, client: impl Fn() -> Client + Sync, threads: usize, each: u64) -> u64 {
    let tokens = 16;
    let good = AtomicU64::new(0);
    let send = |client: &mut Client, i: usize| {
        let stream = i % 2 == 1;
        let answer = client.chat(&ask(MODEL, PROMPT, stream, tokens));
        if answer.status == 402 {
            return false;
        }
        assert!(answer.is_good(), "{} {}", answer.status, answer.text());
        assert_eq!(nano(&usage(&answer)["cost"]), each, "{}", answer.text());
        good.fetch_add(1, Ordering::Relaxed);
        true
    };
    let barrier = Barrier::new(threads);
    loop {
        std::thread::scope(|scope| {
            for i in 0..threads {
                let (client, barrier, send) = (&client, &barrier, &send);
                scope.spawn(move || {
                    let mut client = client();
                    barrier.wait();
                    while send(&mut client, i) {}
                });
            }
        });
        // Refused while others were in flight says nothing; refused alone does.
        settled(gateway);
        if !send(&mut client(), 0) {
            return good.into_inner();
        }
    }
}

/// A request is affordable if, with nothing else in flight, the credit left covers the least that
/// is set aside for it: the prompt as estimated, and `max_tokens` or 16 tokens, whichever is less.
#[test]
fn concurrent_clients_spend_exactly_what_is_affordable() {
    for (dialect, tokens, affordable, left) in [
        // The answers are as long as they may be: a hold is little more than what they cost.
        (Dialect::OpenAi, 16, 150, 0),
        (Dialect::OpenAi, 16, 90, cost(16) - 1),
        // The answers are shorter than their holds: the last one leaves less than a hold.
        (Dialect::Anthropic, 4, 100, 3),
    ] {
        let (running, _) = talkative(dialect, tokens);
        let each = cost(tokens.into());
        // The last affordable request needs its whole hold, and then costs less.
        let credit = (affordable - 1) * each + hold(16) + left;
        let setup = Setup { credit: dollars(credit), ..Setup::default() };
        let gateway = Gateway::start(&running, &setup);
        let expected = (credit - hold(16)) / each + 1;
        assert_eq!(expected, affordable, "the test's own arithmetic");
        let good = spend(&gateway, || gateway.client(), 64, each);
        assert_eq!(good, affordable, "{dialect}, {tokens} tokens, {left} left over");
        let (bought, used) = credits(&mut gateway.client());
        assert_eq!((bought, used), (credit, good * each), "{dialect}");
        assert!(used <= bought, "the balance is never below 0");
        assert_eq!(gateway.metric("turnpike_holds_open", &[]), 0.0);
    }
}

#[test]
fn the_limit_of_a_key_is_kept_by_concurrent_clients() {
    let (running, _) = talkative(Dialect::OpenAi, 4);
    let gateway = Gateway::start(&running, &Setup::default());
    let affordable = 40;
    let limit = (affordable - 1) * cost(4) + hold(16);
    let body = serde_json::json!({"account_id": "acme", "limit_usd": dollars(limit)});
    let made = manage(&gateway, "/admin/v1/keys", &body);
    let key = made["key"].as_str().expect("a key");
    let client = || Client::new(gateway.address, Some(key.to_owned()));
    assert_eq!(spend(&gateway, client, 32, cost(4)), affordable);
    let shown = client().get("/api/v1/key").json();
    let spent = affordable * cost(4);
    assert_eq!(nano(&shown["data"]["usage"]), spent, "{shown}");
    assert_eq!(nano(&shown["data"]["limit"]), limit, "{shown}");
    assert_eq!(nano(&shown["data"]["limit_remaining"]), limit - spent, "{shown}");
    let refused = client().chat(&ask(MODEL, PROMPT, false, 16));
    let text = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!(refused.status, 402, "{text}");
    for number in [limit - spent, hold(16)] {
        let number = dollars(number).trim_end_matches('0');
        assert!(text.contains(number), "{number} in {text:?}");
    }
    // Another key of the account is not concerned.
    assert!(gateway.client().chat(&ask(MODEL, PROMPT, false, 16)).is_good());
}

#[test]
fn short_credit_gives_a_shorter_answer_and_then_a_refusal_with_numbers() {
    for dialect in BOTH {
        let (running, provider) = talkative(dialect, 5_000);
        let affordable = 100;
        let credit = hold(affordable) + COMPLETION_NANO - 1;
        let setup = Setup { credit: dollars(credit), ..Setup::default() };
        let gateway = Gateway::start(&running, &setup);
        let mut client = gateway.client();
        let answer = client.chat(&ask(MODEL, PROMPT, false, 1_000));
        assert!(answer.is_good(), "{dialect}: {}", answer.text());
        let body = provider.last_request().unwrap().body.clone().unwrap();
        let sent: Value = serde_json::from_slice(&body).unwrap();
        let limit = sent["max_tokens"].as_u64().or(sent["max_completion_tokens"].as_u64());
        assert_eq!(limit, Some(affordable), "{dialect}: {sent}");
        let json = answer.json();
        assert_eq!(json["choices"][0]["finish_reason"], "length", "{dialect}: {json}");
        assert_eq!(json["usage"]["completion_tokens"], affordable, "{dialect}: {json}");
        assert_eq!(used(&gateway), cost(affordable), "{dialect}");
        let refused = client.chat(&ask(MODEL, PROMPT, true, 1_000));
        assert_eq!(refused.status, 402, "{dialect}: {}", refused.text());
        let error = refused.json()["error"].clone();
        let text = error["message"].as_str().unwrap();
        let numbers = [
            "1000 tokens",
            "about 9",
            dollars(hold(1_000)).trim_end_matches('0'),
            "afford 0",
            dollars(credit - cost(affordable)).trim_end_matches('0'),
        ];
        for number in numbers {
            assert!(text.contains(number), "{dialect}: {number:?} in {text:?}");
        }
        assert!(refused.header("x-generation-id").is_some());
        assert_eq!(provider.stats().requests, 1, "{dialect}: the refused one went nowhere");
        assert_eq!(holds(&gateway), 0.0);
    }
}

/// Without `max_tokens` an answer may be longer than was expected; short credit limits it.
#[test]
fn without_max_tokens_short_credit_is_not_overdrawn() {
    let (running, _) = talkative(Dialect::OpenAi, 5_000);
    let setup = Setup { credit: dollars(cost(4_096) * 3), ..Setup::default() };
    let gateway = Gateway::start(&running, &setup);
    let body =
        serde_json::json!({"model": MODEL, "messages": [{"role": "user", "content": PROMPT}]});
    let good = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = gateway.client();
                loop {
                    let answer = client.chat(&body.to_string());
                    if answer.status == 402 {
                        return;
                    }
                    assert!(answer.is_good(), "{}", answer.text());
                    good.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let (bought, used) = (credits(&mut gateway.client()).0, used(&gateway));
    assert!(good.into_inner() > 0 && used <= bought, "{used} of {bought}");
}

#[test]
fn the_account_api_tells_what_an_answer_cost() {
    let (running, _) = talkative(Dialect::OpenAi, 7);
    let gateway = Gateway::start(&running, &Setup { credit: "5", ..Setup::default() });
    let mut client = gateway.client();
    assert_eq!(credits(&mut client), (5_000_000_000, 0));
    manage(&gateway, "/admin/v1/accounts", &serde_json::json!({"id": "other"}));
    let mut other = new_key(&gateway, "other", None);
    let mut total = 0;
    for (stream, tokens) in [(false, 64), (true, 64), (true, 5)] {
        let answer = client.chat(&ask(MODEL, PROMPT, stream, tokens));
        assert!(answer.is_good(), "{}", answer.text());
        let id = answer.header("x-generation-id").unwrap();
        let shown = generation(&gateway, &answer);
        let completion = u64::from(tokens).min(7);
        let each = cost(completion);
        assert_eq!(nano(&usage(&answer)["cost"]), each);
        total += each;
        assert_eq!(used(&gateway), total, "cost is the difference of the balance");
        for (field, expected) in [
            ("id", Value::from(id)),
            ("model", MODEL.into()),
            ("provider_name", "one".into()),
            ("streamed", stream.into()),
            ("cancelled", false.into()),
            ("finish_reason", if tokens == 5 { "length" } else { "stop" }.into()),
            ("tokens_prompt", PROMPT_TOKENS.into()),
            ("tokens_completion", completion.into()),
            ("native_tokens_prompt", PROMPT_TOKENS.into()),
            ("native_tokens_completion", completion.into()),
            ("native_tokens_cached", 0.into()),
            ("native_tokens_reasoning", 0.into()),
            ("is_byok", false.into()),
            ("estimated", false.into()),
            ("attempts", 1.into()),
            ("cache_hit", false.into()),
        ] {
            assert_eq!(shown[field], expected, "{field}: {shown}");
        }
        assert_eq!(nano(&shown["total_cost"]), each, "{shown}");
        assert_eq!(nano(&shown["usage"]), each, "{shown}");
        assert!(shown["upstream_id"].as_str().is_some_and(|id| id.contains("chatcmpl")), "{shown}");
        assert!(shown["created_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{shown}");
        // By the provider's id, too; and another account sees neither.
        let upstream = shown["upstream_id"].as_str().unwrap().to_owned();
        assert_eq!(record(&gateway, &upstream)["id"], id);
        for id in [id, &upstream] {
            let hidden = other.get(&format!("/api/v1/generation?id={id}"));
            assert_eq!(hidden.status, 404, "{}", hidden.text());
            assert!(!hidden.text().contains("one"), "{}", hidden.text());
        }
    }
    let key = client.get("/api/v1/key").json()["data"].clone();
    assert_eq!(nano(&key["usage"]), total, "{key}");
    assert!(key["limit"].is_null() && key["limit_remaining"].is_null(), "{key}");
    assert_eq!(client.get("/api/v1/generation?id=gen-nonsense").status, 404);
    assert_eq!(client.get("/api/v1/generation").status, 400);
    assert_eq!(Client::new(gateway.address, None).get("/api/v1/credits").status, 401);
    assert_eq!(credits(&mut other), (0, 0));
}

const CACHED_WHOLE: &str = r#"{"id":"chatcmpl-c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1003,"completion_tokens":77,"total_tokens":1080,"prompt_tokens_details":{"cached_tokens":901},"completion_tokens_details":{"reasoning_tokens":33}}}"#;
const CACHED_STREAM: [&str; 4] = [
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":1003,\"completion_tokens\":77,\"total_tokens\":1080,\"prompt_tokens_details\":{\"cached_tokens\":901},\"completion_tokens_details\":{\"reasoning_tokens\":33}}}\n\n",
    "data: [DONE]\n\n",
];
/// Fresh 102, read 901, out 77, all counted apart.
const CACHED_ANTHROPIC: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":52,"cache_creation_input_tokens":50,"cache_read_input_tokens":901,"output_tokens":77}}"#;

/// Every kind of token at its own price, summed exactly and rounded once.
#[test]
fn cached_tokens_are_charged_at_their_own_price_to_the_nano_dollar() {
    let replay = |stream: bool, dialect: Dialect| match (dialect, stream) {
        (Dialect::Anthropic, _) => Replay::json(200, CACHED_ANTHROPIC),
        (_, true) => Replay::sse(CACHED_STREAM),
        (_, false) => Replay::json(200, CACHED_WHOLE),
    };
    // Pico-dollars per token: prompt 137,300, completion 549,100, read 13,730, written 171,625.
    let openai = 102 * 137_300 + 901 * 13_730 + 77 * 549_100;
    let anthropic = 52 * 137_300 + 50 * 171_625 + 901 * 13_730 + 77 * 549_100;
    for (dialect, stream, pico) in [
        (Dialect::OpenAi, false, openai),
        (Dialect::OpenAi, true, openai),
        (Dialect::Anthropic, false, anthropic),
    ] {
        let running = providers(&[("one", dialect)]);
        running
            .provider("one")
            .unwrap()
            .set(Behaviour::replaying(replay(stream, dialect)))
            .unwrap();
        let setup = Setup {
            prices: ("0.1373", "0.5491"),
            more_prices: "cache_read = \"0.01373\", cache_write_5m = \"0.171625\"",
            ..Setup::default()
        };
        let gateway = Gateway::start(&running, &setup);
        let expected: u64 = (pico + 500) / 1_000;
        let answer = gateway.client().chat(&ask(MODEL, PROMPT, stream, 100));
        assert!(answer.is_good(), "{dialect} {stream}: {}", answer.text());
        let told = usage(&answer);
        assert_eq!(nano(&told["cost"]), expected, "{dialect} {stream}: {told}");
        assert_eq!(told["prompt_tokens"], 1_003, "{dialect} {stream}: {told}");
        assert_eq!(told["prompt_tokens_details"]["cached_tokens"], 901, "{dialect}: {told}");
        let shown = generation(&gateway, &answer);
        assert_eq!(nano(&shown["total_cost"]), expected, "{shown}");
        assert_eq!(shown["native_tokens_cached"], 901, "{shown}");
        assert_eq!(used(&gateway), expected, "{dialect} {stream}");
    }
}

/// The prompt tokens of an answer that broke off: the openai dialect tells them at the end only.
fn told_prompt(dialect: Dialect, prompt: &str) -> u64 {
    match dialect {
        Dialect::Anthropic => 4 + prompt.len().div_ceil(4) as u64,
        _ => estimated(prompt),
    }
}

/// Sends a request and reads until `enough`, then leaves. Gives what came.
fn leave_early(gateway: &Gateway, body: &str, enough: impl Fn(&str) -> bool) -> String {
    let client = gateway.client();
    let mut stream = client.connect();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        gateway.key,
        body.len()
    );
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    let (mut seen, mut part) = (Vec::new(), [0; 4096]);
    while !enough(&String::from_utf8_lossy(&seen)) {
        let n = stream.read(&mut part).unwrap();
        assert!(n > 0, "the answer ended: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&part[..n]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

fn cancelled(provider: &Provider) {
    let waiting = provider.wait_until(Duration::from_secs(20), |s| s.cancelled == 1);
    runtime().block_on(waiting).expect("the provider is told");
}

#[test]
fn a_client_that_leaves_pays_for_what_was_used() {
    for dialect in BOTH {
        let (running, provider) = talkative(dialect, 2_000);
        let gateway = Gateway::start(&running, &Setup::default());
        // Mid-stream.
        let slow = format!("{PROMPT} [[sim token_ms=5]]");
        let words = 20;
        let body = ask(MODEL, &slow, true, 2_000);
        let seen = leave_early(&gateway, &body, |text| text.matches("\"content\"").count() > words);
        cancelled(&provider);
        let id = seen.lines().find_map(|l| {
            l.to_ascii_lowercase().strip_prefix("x-generation-id: ").map(str::to_owned)
        });
        let shown = record(&gateway, id.expect("an id").trim());
        let paid = used(&gateway);
        let prompt = told_prompt(dialect, &slow);
        assert_eq!(shown["cancelled"], true, "{dialect}: {shown}");
        assert_eq!(nano(&shown["total_cost"]), paid, "{dialect}: {shown}");
        let completion = shown["tokens_completion"].as_u64().unwrap();
        assert_eq!(paid, prompt * PROMPT_NANO + completion * COMPLETION_NANO, "{dialect}: {shown}");
        // The words have two to eight letters; what was under way when it left counts, too.
        assert!((words as u64 / 2..1_000).contains(&completion), "{dialect}: {shown}");
        // Before the first token.
        provider.reset_counters();
        let body = ask(MODEL, &format!("{PROMPT} [[sim ttft_ms=600000]]"), true, 100);
        let asked = |_: &str| provider.stats().requests == 1;
        let before = gateway.metric("turnpike_requests_total", &[]);
        let client = gateway.client();
        let mut stream = client.connect();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            gateway.key,
            body.len()
        );
        stream.get_mut().write_all(head.as_bytes()).unwrap();
        eventually("the provider is asked", || asked("").then_some(()));
        assert_eq!(holds(&gateway), 1.0, "{dialect}");
        drop(stream);
        cancelled(&provider);
        eventually("the request ends", || {
            (gateway.metric("turnpike_requests_total", &[]) > before).then_some(())
        });
        assert_eq!(used(&gateway), paid, "{dialect}: nothing came, nothing is charged");
    }
}

#[test]
fn an_answer_that_breaks_off_is_charged_as_far_as_it_came() {
    for dialect in BOTH {
        let (running, _) = talkative(dialect, 64);
        let gateway = Gateway::start(&running, &Setup::default());
        let mut before = 0;
        for (fault, most) in [("cut_after:30", 64), ("in_band_after:30", 64), ("cut_after:30", 31)]
        {
            let prompt = format!("{PROMPT} [[sim token_ms=1 fault={fault}]]");
            let answer = gateway.client().chat(&ask(MODEL, &prompt, true, most));
            assert_eq!(answer.status, 200, "{dialect}: {}", answer.text());
            assert!(!answer.is_good() && answer.whole, "{dialect}: {}", answer.text());
            let delivered = answer.content();
            assert_eq!(delivered.split(' ').count(), 30, "{dialect}: {delivered}");
            let paid = used(&gateway) - before;
            before += paid;
            let prompt = told_prompt(dialect, &prompt);
            // Four letters are a token, but never more than were asked for and set aside.
            let completion = (delivered.len().div_ceil(4) as u64).min(most.into());
            let shown = generation(&gateway, &answer);
            assert_eq!(shown["tokens_completion"], completion, "{dialect} {fault}: {shown}");
            assert_eq!(shown["estimated"], true, "{dialect} {fault}: {shown}");
            assert_eq!(
                paid,
                prompt * PROMPT_NANO + completion * COMPLETION_NANO,
                "{dialect} {fault} {most}"
            );
        }
    }
}

/// A broken-off answer whose length is estimated cannot cost more than was set aside for it.
#[test]
fn an_estimate_never_overdraws() {
    for dialect in BOTH {
        for fault in [Fault::CutAfter(60), Fault::NoUsage] {
            let (running, provider) = talkative(dialect, 64);
            provider.set(Behaviour { tokens: 64, ..Behaviour::failing(fault) }).unwrap();
            let setup = Setup { credit: dollars(hold(64)), ..Setup::default() };
            let gateway = Gateway::start(&running, &setup);
            let answer = gateway.client().chat(&ask(MODEL, PROMPT, true, 64));
            assert_eq!(answer.status, 200, "{dialect} {fault}: {}", answer.text());
            assert!(answer.content().len() > 4 * 64, "{dialect} {fault}: long words");
            let used = used(&gateway);
            assert!(used <= hold(64), "{dialect} {fault}: {used} of {}", hold(64));
            assert!(used > cost(30), "{dialect} {fault}: {used}");
        }
    }
}

#[test]
fn what_failed_is_free() {
    const FAULTS: [&str; 9] = [
        "empty",
        "empty_body",
        "status:500",
        "status:400",
        "status:401",
        "reset",
        "in_band",
        "cut_before",
        "garbage",
    ];
    for dialect in BOTH {
        let (running, provider) = talkative(dialect, 8);
        // A model for each, so that no breaker stands before the next.
        let model =
            |fault: &str, stream: bool| format!("test/{}-{stream}", fault.replace(':', "-"));
        let models = FAULTS.iter().flat_map(|f| [model(f, false), model(f, true)]);
        let models = models.map(|id| (id, vec!["one".to_owned()])).collect();
        let gateway = Gateway::start(&running, &Setup { models, ..Setup::default() });
        for fault in FAULTS {
            for stream in [false, true] {
                let asked = provider.stats().requests;
                let prompt = format!("{PROMPT} [[sim fault={fault}]]");
                let body = ask(&model(fault, stream), &prompt, stream, 8);
                let answer = gateway.client().chat(&body);
                assert!(answer.status >= 400, "{dialect} {fault} {stream}: {}", answer.text());
                assert!(provider.stats().requests > asked, "{dialect} {fault} {stream}");
            }
        }
        assert_eq!(used(&gateway), 0, "{dialect}");
        assert_eq!(gateway.metric("turnpike_holds_open", &[]), 0.0);
    }
}

#[test]
fn an_answer_without_usage_is_charged_as_it_says() {
    for dialect in BOTH {
        let (running, _) = talkative(dialect, 64);
        let gateway = Gateway::start(&running, &Setup::default());
        let mut before = 0;
        for stream in [false, true] {
            let prompt = format!("{PROMPT} [[sim fault=no_usage]]");
            let answer = gateway.client().chat(&ask(MODEL, &prompt, stream, 64));
            assert!(answer.is_good(), "{dialect} {stream}: {}", answer.text());
            let paid = used(&gateway) - before;
            before += paid;
            assert!(paid > 0, "{dialect} {stream}");
            assert_eq!(nano(&usage(&answer)["cost"]), paid, "{dialect} {stream}");
            assert_eq!(generation(&gateway, &answer)["estimated"], true, "{dialect} {stream}");
        }
    }
}

#[test]
fn a_free_model_needs_no_credit() {
    for dialect in BOTH {
        let (running, _) = talkative(dialect, 8);
        let setup = Setup { credit: "0", prices: ("0", "0"), ..Setup::default() };
        let gateway = Gateway::start(&running, &setup);
        for stream in [false, true] {
            let answer = gateway.client().chat(&ask(MODEL, PROMPT, stream, 8));
            assert!(answer.is_good(), "{dialect}: {}", answer.text());
            assert_eq!(nano(&usage(&answer)["cost"]), 0, "{dialect}");
            let shown = generation(&gateway, &answer);
            assert_eq!(nano(&shown["total_cost"]), 0, "{shown}");
            assert_eq!(shown["tokens_completion"], 8, "{shown}");
        }
        assert_eq!(used(&gateway), 0);
        // One that is not free is refused.
        let setup = Setup { credit: "0", ..Setup::default() };
        let gateway = Gateway::start(&running, &setup);
        assert_eq!(gateway.client().chat(&ask(MODEL, PROMPT, false, 1)).status, 402);
    }
}
