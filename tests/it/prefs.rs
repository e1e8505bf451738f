//! What a caller can say about where its request goes, from end to end: every field of `provider`,
//! every suffix of a model's name, and what is told about the choice.

use serde_json::{Value, json};
use turnpike::dialect::Dialect;
use turnpike::simulate::{Behaviour, Fault, Running};

use crate::support::{Answer, Client, Gateway, Setup, providers};

/// `alpha` is the cheapest and fast, `beta` takes everything and keeps nothing, `gamma` keeps for
/// 30 days and has the largest context.
const MODELS: &str = r#"
[[models]]
id = "test/model"
aliases = ["test/other-name"]
[[models.endpoints]]
provider = "alpha"
upstream_model = "m"
context_length = 8000
quantization = "fp8"
parameters = ["max_tokens", "temperature"]
prices = { prompt = "1", completion = "2" }
[[models.endpoints]]
provider = "beta"
upstream_model = "m"
context_length = 8000
quantization = "bf16"
parameters = ["max_tokens", "temperature", "seed", "tools", "tool_choice"]
policy = { trains = false, retention_days = 0 }
prices = { prompt = "3", completion = "6", request = "0.002" }
[[models.endpoints]]
provider = "gamma"
upstream_model = "m"
variant = "turbo"
context_length = 32000
quantization = "mxfp4"
parameters = ["max_tokens"]
policy = { trains = false, retention_days = 30 }
prices = { prompt = "5", completion = "4" }
[[models.endpoints]]
provider = "alpha"
upstream_model = "m-flex"
tier = "flex"
context_length = 8000
parameters = ["max_tokens"]
prices = { prompt = "0.5", completion = "1" }

[[models]]
id = "test/model:free"
[[models.endpoints]]
provider = "gamma"
upstream_model = "m-free"
context_length = 4000
prices = { prompt = "0", completion = "0" }

[[models]]
id = "test/open"
distillable = true
reasoning = { efforts = ["low", "high"] }
[[models.endpoints]]
provider = "gamma"
upstream_model = "open"
context_length = 8000
parameters = ["max_tokens", "reasoning"]
prices = { prompt = "0.1", completion = "0.1" }
"#;

struct World {
    providers: Running,
    gateway: Gateway,
}

fn world() -> World {
    let hosts = ["alpha", "beta", "gamma"].map(|id| (id, Dialect::OpenAi));
    let providers = providers(&hosts);
    // The support's own model stands beside these.
    let models = vec![("test/plain".to_owned(), vec!["alpha".to_owned()])];
    let provider = "options = [\"own.a\", \"safe_prompt\", \"temperature\"]".to_owned();
    let setup = Setup { models, more: MODELS.to_owned(), provider, ..Setup::default() };
    let gateway = Gateway::start(&providers, &setup);
    World { providers, gateway }
}

fn behave(world: &World, id: &str, behaviour: Behaviour) {
    world.providers.provider(id).expect("a provider").set(behaviour).expect("a behaviour");
}

fn body(members: &Value) -> String {
    let mut body = json!({
        "model": "test/model",
        "max_tokens": 16,
        "messages": [{"role": "user", "content": "Hello there"}],
    });
    for (name, value) in members.as_object().expect("members") {
        body[name] = value.clone();
    }
    body.to_string()
}

fn send(client: &mut Client, members: &Value) -> Answer {
    client.chat_with(&body(members), &[("x-openrouter-metadata", "enabled")])
}

/// What is told of the routing, in a whole answer or in the last chunks of a stream.
fn told(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let streamed = answer.header("content-type").is_some_and(|t| t.contains("event-stream"));
    let parts = if streamed { answer.events() } else { vec![answer.text()] };
    let json = parts.iter().filter_map(|part| serde_json::from_str::<Value>(part).ok());
    let mut told = json.filter_map(|part| part.get("openrouter_metadata").cloned());
    told.next_back().unwrap_or_else(|| panic!("no metadata: {}", answer.text()))
}

/// Who answered.
fn provider(answer: &Answer) -> String {
    let told = told(answer);
    let last = told["attempts"].as_array().and_then(|attempts| attempts.last());
    last.expect("an attempt")["provider"].as_str().expect("a provider").to_owned()
}

#[test]
fn every_preference_decides_who_answers() {
    let world = world();
    let mut client = world.gateway.client();
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    let two = json!(["test/model", "test/open"]);
    for (members, expected) in [
        (json!({"provider": {"only": ["beta"]}}), "beta"),
        (json!({"provider": {"only": ["GAMMA"]}}), "gamma"),
        (json!({"provider": {"only": ["gamma/turbo"]}}), "gamma"),
        (json!({"provider": {"ignore": ["alpha", "gamma"]}}), "beta"),
        (json!({"provider": {"order": ["nobody", "gamma", "beta"]}}), "gamma"),
        (json!({"provider": {"order": ["beta"], "allow_fallbacks": false}}), "beta"),
        (json!({"provider": {"data_collection": "deny"}}), "beta"),
        (json!({"provider": {"data_collection": "allow", "sort": "price"}}), "alpha"),
        (json!({"provider": {"zdr": true}}), "beta"),
        (json!({"provider": {"quantizations": ["fp4"]}}), "gamma"),
        (json!({"provider": {"quantizations": ["bf16", "fp32"]}}), "beta"),
        (json!({"provider": {"sort": "price"}}), "alpha"),
        (json!({"provider": {"sort": {"by": "price", "partition": "model"}}}), "alpha"),
        (json!({"provider": {"max_price": {"prompt": 2}}}), "alpha"),
        (json!({"provider": {"max_price": {"completion": 4.5}, "ignore": ["alpha"]}}), "gamma"),
        (json!({"provider": {"max_price": {"request": "0.001"}, "ignore": ["alpha"]}}), "gamma"),
        (json!({"provider": {"require_parameters": true}, "seed": 7}), "beta"),
        (json!({"tools": tools}), "beta"),
        (json!({"models": two, "provider": {"enforce_distillable_text": true}}), "gamma"),
        (
            json!({"models": two, "provider": {"sort": {"by": "price", "partition": "none"}}}),
            "gamma",
        ),
        (json!({"models": two, "route": "sort", "provider": {"sort": "price"}}), "gamma"),
        (json!({"models": two, "route": "fallback", "provider": {"sort": "price"}}), "alpha"),
        (json!({"provider": {"sort": "price", "allow_continuation": false}}), "alpha"),
        (json!({"provider": {"options": {}, "sort": "price"}}), "alpha"),
    ] {
        for _ in 0..3 {
            assert_eq!(provider(&send(&mut client, &members)), expected, "{members}");
        }
    }
}

#[test]
fn fallbacks_can_be_switched_off() {
    let world = world();
    behave(&world, "alpha", Behaviour::failing(Fault::Status(500)));
    let mut client = world.gateway.client();
    let cheapest = json!({"provider": {"sort": "price"}});
    assert_eq!(provider(&send(&mut client, &cheapest)), "gamma", "prompt and answer are short");
    let only_first = json!({"provider": {"order": ["alpha"], "allow_fallbacks": false}});
    let answer = send(&mut client, &only_first);
    assert_eq!(answer.status, 502, "{}", answer.text());
}

#[test]
fn measured_speed_decides_where_it_is_asked_for() {
    let world = world();
    let slow = |ttft_ms, token_ms| Behaviour { ttft_ms, token_ms, ..Behaviour::default() };
    // The cheapest is the slowest to begin, and the fastest once it has begun.
    behave(&world, "alpha", slow(600, 0.0));
    behave(&world, "beta", slow(60, 10.0));
    behave(&world, "gamma", slow(1, 100.0));
    let mut client = world.gateway.client();
    for host in ["alpha", "beta", "gamma"] {
        for _ in 0..2 {
            let members = json!({"stream": true, "provider": {"only": [host]}});
            let answer = send(&mut client, &members);
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
    // One choice in a hundred is spent on learning, but only where there is something to learn.
    for (members, expected) in [
        (json!({"provider": {"sort": "latency"}}), "gamma"),
        (json!({"provider": {"sort": "throughput"}}), "beta"),
        (json!({"model": "test/model:nitro"}), "beta"),
        (json!({"provider": {"sort": "price", "preferred_max_latency": 0.35}}), "gamma"),
        (
            json!({"provider": {"sort": "price", "preferred_max_latency": {"p90": 0.35},
                                "ignore": ["gamma"]}}),
            "beta",
        ),
        (json!({"provider": {"sort": "price", "preferred_min_throughput": {"p50": 15}}}), "alpha"),
        (json!({"provider": {"sort": "price", "preferred_min_throughput": 1000}}), "alpha"),
    ] {
        let mut asked = members.clone();
        asked["stream"] = json!(true);
        assert_eq!(provider(&send(&mut client, &asked)), expected, "{members}");
    }
}

#[test]
fn every_suffix_decides_who_answers() {
    let world = world();
    let mut client = world.gateway.client();
    for (model, expected) in [
        ("test/model:free", "m-free"),
        ("test/model:free:nitro", "m-free"),
        ("test/model:extended", "m"),
        ("test/model:floor", "m-flex"),
        ("test/model:nitro:floor", "m-flex"),
        ("test/other-name:floor", "m-flex"),
        ("test/open:exacto", "open"),
        ("test/open:thinking", "open"),
        ("test/plain:exacto", "test/plain"),
    ] {
        let answer = send(&mut client, &json!({"model": model}));
        let host = provider(&answer);
        let last = world.providers.provider(&host).expect("a provider").last_request();
        let seen: Value =
            serde_json::from_slice(last.expect("a request").body.as_deref().expect("a body"))
                .expect("JSON");
        assert_eq!(seen["model"], expected, "{model} at {host}");
        assert_eq!(model.contains(":extended"), host == "gamma" && expected == "m", "{model}");
        let thinks = seen.get("reasoning").is_some() || seen.get("reasoning_effort").is_some();
        assert_eq!(thinks, model.contains(":thinking"), "{model}: {seen}");
    }
}

/// What the provider was last sent.
fn sent(world: &World, host: &str) -> Value {
    let last = world.providers.provider(host).expect("a provider").last_request();
    serde_json::from_slice(last.expect("a request").body.as_deref().expect("a body")).expect("JSON")
}

#[test]
fn options_reach_the_provider_that_they_are_for() {
    let world = world();
    let mut client = world.gateway.client();
    let options = json!({
        "ALPHA": {"own": {"a": [1.0e5], "b": 2}, "safe_prompt": true, "temperature": 2, "x": 0},
        "beta": {"safe_prompt": false},
    });
    for (host, stream) in [("alpha", false), ("alpha", true), ("beta", false), ("gamma", false)] {
        let members = json!({"provider": {"only": [host], "options": options}, "temperature": 1,
                             "stream": stream});
        let answer = send(&mut client, &members);
        let seen = sent(&world, host);
        let expected = match host {
            "alpha" => (json!({"a": [1.0e5]}), json!(true)),
            "beta" => (Value::Null, json!(false)),
            _ => (Value::Null, Value::Null),
        };
        assert_eq!((seen["own"].clone(), seen["safe_prompt"].clone()), expected, "{host}: {seen}");
        assert_eq!(seen["temperature"], 1, "nothing that was said is replaced");
        assert!(seen.get("provider").is_none() && seen.get("x").is_none(), "{seen}");
        let told = told(&answer);
        let losses = told["losses"].as_array().expect("a list").iter();
        let losses: Vec<&str> = losses.filter_map(|loss| loss["param"].as_str()).collect();
        let dropped =
            ["own.b", "x", "temperature"].map(|name| format!("provider.options.ALPHA.{name}"));
        let expected = if host == "alpha" { dropped.to_vec() } else { Vec::new() };
        assert_eq!(losses, expected, "{host}");
    }
}

#[test]
fn no_tier_is_no_tier() {
    let world = world();
    let mut client = world.gateway.client();
    for tier in [json!(null), json!("flex")] {
        let members = json!({"model": "test/model:floor", "service_tier": tier});
        assert_eq!(provider(&send(&mut client, &members)), "alpha");
        assert_eq!(sent(&world, "alpha")["service_tier"], "flex", "{tier}");
    }
}

#[test]
fn what_cannot_be_had_says_what_to_change() {
    let world = world();
    let mut client = world.gateway.client();
    for (members, status, words, excluded) in [
        (json!({"provider": {"only": ["nobody"]}}), 404, "`provider.only`", "allowed_providers"),
        (
            json!({"provider": {"order": ["nobody"], "allow_fallbacks": false}}),
            404,
            "`provider.order`",
            "allowed_providers",
        ),
        (
            json!({"model": "test/open", "provider": {"zdr": true}}),
            404,
            "`provider.zdr`",
            "data_policy:zdr",
        ),
        (
            json!({"model": "test/open", "provider": {"data_collection": "deny"}}),
            404,
            "`provider.data_collection: \"deny\"`",
            "data_policy:training",
        ),
        (
            json!({"provider": {"enforce_distillable_text": true}}),
            404,
            "`provider.enforce_distillable_text`",
            "distillable",
        ),
        (json!({"provider": {"max_price": {"prompt": 0.1}}}), 404, "Raise", "max_price"),
        (
            json!({"provider": {"quantizations": ["int4"]}}),
            404,
            "`provider.quantizations`",
            "quantization",
        ),
        (
            json!({"provider": {"require_parameters": true}, "top_k": 3}),
            404,
            "`top_k`",
            "require_parameters",
        ),
        (json!({"max_tokens": 40_000}), 400, "largest context", "context_length"),
        (json!({"model": "test/open:free"}), 404, "no free variant", ""),
        (json!({"model": "test/model:thinking"}), 404, "no variant `thinking`", ""),
        (json!({"model": "test/model:free:extended"}), 400, "exclude each other", ""),
        (json!({"model": "test/model:online"}), 400, "web search", ""),
        (json!({"model": "test/model@preset/mine"}), 404, "no preset", ""),
        (json!({"preset": "mine"}), 404, "no preset", ""),
        (json!({"models": ["test/open", "@preset/mine"]}), 400, "as a fallback", ""),
        (json!({"provider": {"options": {"alpha": 1}}}), 400, "provider.options.alpha", ""),
        (json!({"provider": {"fastest": true}}), 400, "'fastest'", ""),
    ] {
        let answer = send(&mut client, &members);
        assert_eq!(answer.status, status, "{members}: {}", answer.text());
        let error = &answer.json()["error"];
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(words), "{members}: {message}");
        let why = error["metadata"]["availability"]["excluded_by"].clone();
        let named = why.as_array().is_some_and(|list| list.contains(&json!(excluded)));
        assert!(excluded.is_empty() || named, "{members}: {error}");
    }
}

#[test]
fn the_choice_is_explained() {
    let world = world();
    behave(&world, "alpha", Behaviour::failing(Fault::Status(500)));
    let mut client = world.gateway.client();
    let members =
        json!({"provider": {"order": ["alpha", "beta"], "quantizations": ["fp8", "bf16"]}});
    let answer = send(&mut client, &members);
    assert_eq!(provider(&answer), "beta");
    let told = told(&answer);
    let available = told["endpoints"]["available"].as_array().expect("a list").clone();
    let reasons: Vec<_> =
        available.iter().map(|e| (e["endpoint"].clone(), e["reason"].clone())).collect();
    assert_eq!(reasons.len(), 2, "{told}");
    assert!(reasons.iter().all(|(_, reason)| *reason == "ordered"), "{told}");
    assert!(available.iter().all(|e| e["score"]["expected_usd"].as_f64() > Some(0.0)), "{told}");
    let removed = told["endpoints"]["removed"].as_array().expect("a list");
    let filters: Vec<_> = removed.iter().map(|e| e["filter"].clone()).collect();
    assert_eq!(filters, ["quantization", "quantization"], "{told}");
    let attempts = told["attempts"].as_array().expect("a list");
    let outcomes: Vec<_> = attempts.iter().map(|a| json!([a["status"], a["outcome"]])).collect();
    assert_eq!(outcomes, [json!([500, "status_server"]), json!([200, "ok"])], "{told}");
    assert!(attempts.iter().all(|a| a["ms"].is_u64()), "{told}");
}

#[test]
fn a_session_stays_with_its_endpoint() {
    let world = world();
    let mut client = world.gateway.client();
    let session = |name: &str| json!({"session_id": name, "provider": {"only": ["alpha", "beta"]}});
    let mut seen = Vec::new();
    for _ in 0..6 {
        let answer = send(&mut client, &session("of-its-own"));
        let metadata = told(&answer);
        let list = metadata["endpoints"]["available"].as_array().expect("a list").clone();
        seen.push((provider(&answer), list[0]["reason"].clone()));
    }
    // The cheaper one keeps what it got; the dearer one has no cached price that would pay for it.
    let after: Vec<_> = seen.iter().skip_while(|(host, _)| host != "alpha").skip(1).collect();
    assert!(after.iter().all(|(host, why)| host == "alpha" && why == "sticky"), "{seen:?}");
}
