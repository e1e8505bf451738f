//! The catalog as clients and operators see it.

use std::collections::HashSet;
use std::process::Command;

use serde_json::Value;
use turnpike::dialect::Dialect;

use crate::support::gateway::MODEL;
use crate::support::{Client, Gateway, Setup, ask, providers};

/// A gateway with the shipped catalog beside its own model.
fn shipped() -> (turnpike::simulate::Running, Gateway) {
    let providers = providers(&[("one", Dialect::OpenAi)]);
    let more = "[catalog]\nshipped = true\n".to_owned();
    let gateway = Gateway::start(&providers, &Setup { more, ..Setup::default() });
    (providers, gateway)
}

fn data(answer: &Value) -> &Vec<Value> {
    answer["data"].as_array().unwrap_or_else(|| panic!("{answer}"))
}

fn ids(answer: &Value) -> HashSet<&str> {
    data(answer).iter().map(|model| model["id"].as_str().expect("an id")).collect()
}

#[test]
fn the_shipped_catalog_is_listed_whole_and_by_page() {
    let (_providers, gateway) = shipped();
    let mut nobody = Client::new(gateway.address, None);
    let all = nobody.get("/api/v1/models").json();
    assert!(data(&all).len() >= 400, "{} models", data(&all).len());
    assert_eq!(all["total_count"], data(&all).len());
    assert!(ids(&all).contains(MODEL) && ids(&all).contains("~anthropic/claude-sonnet-latest"));
    assert!(data(&nobody.get("/api/v1/providers").json()).len() >= 60);
    let count = nobody.get("/api/v1/models/count").json();
    assert_eq!(count["data"]["count"], all["total_count"]);

    let mut seen = HashSet::new();
    let mut next = Some("/api/v1/models?limit=300&offset=0".to_owned());
    while let Some(path) = next {
        let page = nobody.get(&path).json();
        assert!(data(&page).len() <= 300);
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        next = page["links"]["next"].as_str().map(str::to_owned);
    }
    assert_eq!(seen.len(), data(&all).len(), "every model is on one page");

    let embeddings = nobody.get("/api/v1/embeddings/models").json();
    assert!(data(&embeddings).len() > 10);
    assert!(ids(&embeddings).is_disjoint(&ids(&all)), "by default those that answer in words");
    let everything = nobody.get("/api/v1/models?output_modalities=all").json();
    assert!(ids(&everything).is_superset(&ids(&embeddings)));
}

#[test]
fn filters_act_and_what_cannot_be_filtered_by_is_refused() {
    let (_providers, gateway) = shipped();
    let mut nobody = Client::new(gateway.address, None);
    let cheap = nobody.get("/v1/models?max_price=0.05&sort=pricing-low-to-high").json();
    let prices: Vec<f64> = data(&cheap)
        .iter()
        .map(|model| model["pricing"]["prompt"].as_str().expect("a price").parse().expect("one"))
        .collect();
    assert!(prices.len() > 5 && prices.is_sorted(), "{prices:?}");
    assert!(prices.iter().all(|price| *price <= 0.05e-6 + 1e-15), "{prices:?}");
    let at = nobody.get("/v1/models?providers=groq&model_authors=openai").json();
    let found = ids(&at);
    assert!(found.contains("openai/gpt-oss-120b"), "{found:?}");
    assert!(found.iter().all(|id| id.contains("openai/")), "{found:?}");
    for (query, param) in
        [("category=legal", "category"), ("sort=top-weekly", "sort"), ("colour=red", "colour")]
    {
        let refused = nobody.get(&format!("/v1/models?{query}"));
        assert_eq!(refused.status, 400, "{query}: {}", refused.text());
        assert!(refused.text().contains(param), "{query}: {}", refused.text());
    }
}

#[test]
fn endpoints_are_told_with_what_is_known_of_them() {
    let (_providers, gateway) = shipped();
    let mut client = gateway.client();
    let listed = client.get("/api/v1/models/openai/gpt-oss-120b/endpoints").json();
    let endpoints = listed["data"]["endpoints"].as_array().expect("endpoints");
    assert!(endpoints.len() > 5, "{}", endpoints.len());
    for endpoint in endpoints {
        assert_eq!(endpoint["status"], -10, "no key is set: {endpoint}");
        for member in ["uptime_last_30m", "latency_last_30m", "max_prompt_tokens"] {
            assert!(endpoint.as_object().expect("one").contains_key(member), "{member}");
        }
    }
    let missing = client.get("/api/v1/models/openai/gpt-oss-120b:batch/endpoints").json();
    assert_eq!(missing["data"]["endpoints"], serde_json::json!([]));
    let zdr = client.get("/api/v1/endpoints/zdr").json();
    assert!(data(&zdr).len() > 500, "{}", data(&zdr).len());
    let one = client.get("/api/v1/model/~anthropic/claude-sonnet-latest").json();
    assert_eq!(one["data"]["id"], "anthropic/claude-sonnet-5.5");
    let bare = client.get("/v1/models/openai/gpt-oss-120b").json();
    assert_eq!((&bare["id"], &bare["data"]["id"]), (&bare["data"]["id"], &bare["id"]));
    let taken = client.get("/v1/parameters/openai/gpt-oss-120b?provider=groq").json();
    let taken = taken["data"]["supported_parameters"].to_string();
    assert!(taken.contains("tools"), "{taken}");
    let nowhere = client.get("/v1/parameters/openai/gpt-oss-120b?provider=nobody");
    assert_eq!(nowhere.status, 404);
    let usable = client.get("/v1/models/user").json();
    assert_eq!(ids(&usable), HashSet::from([MODEL]), "what has a key here");
    let mut nobody = Client::new(gateway.address, None);
    assert_eq!(nobody.get("/v1/models/user").status, 401);
}

#[test]
fn a_model_without_a_key_says_which_variable_is_missing() {
    let (_providers, gateway) = shipped();
    let mut client = gateway.client();
    let refused = client.chat(&ask("openai/gpt-oss-120b", "x", false, 4));
    assert_eq!(refused.status, 404, "{}", refused.text());
    assert!(refused.text().contains("_API_KEY"), "{}", refused.text());
    let good = client.chat(&ask(MODEL, "x", false, 4));
    assert!(good.is_good(), "{}", good.text());
}

#[test]
fn a_catalog_file_is_routed_to_once_its_key_is_set() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let url = running.providers()[0].base_url();
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("more.jsonl");
    let provider = |id: &str, key: &str| {
        format!(
            "{{\"provider\":{{\"id\":\"{id}\",\"dialect\":\"openai\",\"base_url\":\"{url}\",\
             \"api_key\":\"env:{key}\"}}}}\n"
        )
    };
    let endpoint = |provider: &str, prompt: &str| {
        format!(
            "{{\"of\":\"cat/m\",\"endpoint\":{{\"provider\":\"{provider}\",\"upstream_model\":\"m\",\
             \"context_length\":100000,\"prices\":{{\"prompt\":\"{prompt}\",\"completion\":\"1\"}}}}}}\n"
        )
    };
    let rows = [
        provider("awake", "SIM_KEY"),
        provider("asleep", "SURELY_NOT_SET_KEY"),
        "{\"model\":{\"id\":\"cat/m\",\"canonical_slug\":\"cat/m-2026\"}}\n".to_owned(),
        endpoint("awake", "2"),
        endpoint("asleep", "1"),
    ];
    std::fs::write(&path, rows.concat()).expect("a catalog file");
    let more = format!("[catalog]\nfiles = [{path:?}]\n");
    let gateway = Gateway::start(&running, &Setup { more, ..Setup::default() });
    let mut client = gateway.client();
    for _ in 0..5 {
        let answer = client.chat(&ask("cat/m", "x", false, 4));
        assert!(answer.is_good(), "{}", answer.text());
    }
    let listed = client.get("/v1/models/cat/m-2026/endpoints").json();
    let endpoints = listed["data"]["endpoints"].as_array().expect("endpoints");
    let told: Vec<(&str, i64)> = endpoints
        .iter()
        .map(|e| (e["tag"].as_str().expect("a tag"), e["status"].as_i64().expect("a status")))
        .collect();
    assert_eq!(told, [("awake", 0), ("asleep", -10)], "the cheaper one is never asked");
    let checked = Command::new(env!("CARGO_BIN_EXE_turnpike"))
        .args(["catalog", "check"])
        .arg(&path)
        .output()
        .expect("check runs");
    let told = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(told.trim(), "1 models, 2 providers, 2 endpoints");
}

#[test]
fn what_endpoints_did_is_told_to_callers() {
    let providers = providers(&[("one", Dialect::OpenAi)]);
    let gateway = Gateway::start(&providers, &Setup::default());
    let mut client = gateway.client();
    for _ in 0..3 {
        assert!(client.chat(&ask(MODEL, "x", true, 12)).is_good());
    }
    let path = format!("/v1/models/{MODEL}/endpoints");
    let told = client.get(&path).json()["data"]["endpoints"][0].clone();
    assert_eq!(told["uptime_last_30m"], 100.0, "{told}");
    for member in ["latency_last_30m", "throughput_last_30m"] {
        assert!(told[member]["p50"].as_f64().is_some_and(|n| n > 0.0), "{member}: {told}");
    }
    let public = Client::new(gateway.address, None).get(&path).json();
    let public = &public["data"]["endpoints"][0];
    assert_eq!(public["uptime_last_30m"], 100.0, "{public}");
    assert!(public["latency_last_30m"].is_null(), "{public}");
}

#[test]
fn long_prompts_are_charged_by_their_own_prices() {
    let providers = providers(&[("one", Dialect::OpenAi)]);
    let more_prices = "overrides = [{ min_prompt_tokens = 60, completion = \"200\" }]";
    let gateway = Gateway::start(&providers, &Setup { more_prices, ..Setup::default() });
    let mut client = gateway.client();
    for (words, completion) in [(1, 2.0), (200, 200.0)] {
        let answer = client.chat(&ask(MODEL, &"word ".repeat(words), false, 12)).json();
        let usage = &answer["usage"];
        let tokens = |key: &str| usage[key].as_f64().expect("a count");
        let expected =
            (tokens("prompt_tokens") * 1.0 + tokens("completion_tokens") * completion) / 1e6;
        let cost = usage["cost"].as_f64().expect("a cost");
        assert!((cost - expected).abs() < 1e-12, "{words} words: {usage}");
    }
}

#[test]
fn the_shipped_catalog_is_sound_for_the_command_line_too() {
    let run = |args: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_turnpike")).args(args).output().expect("runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        text
    };
    let checked = run(&["catalog", "check"]);
    let last = checked.lines().last().expect("a line");
    let counts: Vec<usize> = last.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(counts[0] >= 400 && counts[1] >= 60 && counts[2] >= 2_000, "{last}");
    let shown = run(&["catalog", "show", "~anthropic/claude-sonnet-latest"]);
    assert!(shown.starts_with("anthropic/claude-sonnet-5.5"), "{shown}");
    assert!(shown.contains("prompt $"), "{shown}");
    let same = run(&["catalog", "diff", "shipped", "shipped"]);
    assert_eq!(same.trim(), "0 models and 0 endpoints added or removed, 0 prices changed");
}
