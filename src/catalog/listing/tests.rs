use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::catalog::{
    DataPolicy, Hours, Origin, Override, Params, Prices, Provider, Retention, Tariff,
};
use crate::dialect::Dialect;
use crate::vocab::{EndpointId, ModelId, PicoUsd, ProviderId};

fn endpoint(provider: &str, model: &ModelId, prompt: u64, prices: Prices) -> Endpoint {
    let origin = Origin { tls: false, host: "h".into(), port: 80, authority: "h".into() };
    let provider = Provider {
        name: provider.to_uppercase(),
        ..Provider::new(ProviderId::parse(provider).unwrap(), Dialect::OpenAi, origin)
    };
    let id = EndpointId::parse(&format!("{}/m", provider.id)).unwrap();
    let prices = Prices { prompt: PicoUsd(prompt), ..prices };
    Endpoint {
        prices: prices.into(),
        max_output: 100,
        ..Endpoint::new(id, Arc::new(provider), model.clone(), "m", 1_000)
    }
}

fn model(id: &str, endpoints: &[(&str, u64, Prices)]) -> Model {
    let id = ModelId::parse(id).unwrap();
    let host = |(p, n, prices): &(&str, u64, Prices)| Arc::new(endpoint(p, &id, *n, *prices));
    Model {
        endpoints: endpoints.iter().map(host).collect(),
        name: "A \"name\"".into(),
        created: 7,
        description: "What it is.".into(),
        context_length: 2_000,
        input_modalities: [Modality::Text, Modality::Image].into_iter().collect(),
        supported_parameters: Params::of(&[Param::Seed]),
        ..Model::new(id.clone())
    }
}

/// As seen at noon of some day in 2026, with nothing measured.
fn view(catalog: &Catalog) -> View<'_> {
    View { catalog, live: &|_| Live::default(), now_ms: 1_782_043_200_000 }
}

fn read(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

fn query(pairs: &[(&str, &str)]) -> Query {
    let owned = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Query::parse(owned).unwrap_or_else(|bad| panic!("{bad}"))
}

fn ids(listing: &Value) -> Vec<&str> {
    let data = listing["data"].as_array().unwrap();
    data.iter().map(|model| model["id"].as_str().unwrap()).collect()
}

#[test]
fn a_model_is_listed_with_its_cheapest_endpoint() {
    let dear = Prices { image: PicoUsd(9), ..Prices::default() };
    let cheap =
        Prices { completion: PicoUsd(600_000), cache_read: Some(PicoUsd(0)), ..Prices::default() };
    let model = model("meta/llama", &[("dear", 900_000, dear), ("cheap", 150_000, cheap)]);
    let expected = json!({
        "id": "meta/llama",
        "canonical_slug": "meta/llama",
        "object": "model",
        "owned_by": "meta",
        "name": "A \"name\"",
        "created": 7,
        "description": "What it is.",
        "context_length": 2000,
        "architecture": {
            "modality": "text+image->text",
            "input_modalities": ["text", "image"],
            "output_modalities": ["text"],
            "tokenizer": "Other",
            "instruct_type": null
        },
        "pricing": {
            "prompt": "0.00000015",
            "completion": "0.0000006",
            "request": "0",
            "image": "0",
            "web_search": "0",
            "input_cache_read": "0"
        },
        "top_provider": {
            "context_length": 1000, "max_completion_tokens": 100, "is_moderated": false
        },
        "per_request_limits": null,
        "supported_parameters": ["seed"],
        "default_parameters": {
            "temperature": null, "top_p": null, "top_k": null, "frequency_penalty": null,
            "presence_penalty": null, "repetition_penalty": null
        },
        "supported_voices": null,
        "hugging_face_id": null,
        "knowledge_cutoff": null,
        "expiration_date": null,
        "links": {"details": "/api/v1/models/meta/llama/endpoints"}
    });
    let catalog = Catalog::new(vec![model]);
    let mut one = read(&view(&catalog).one(&catalog.models()[0]));
    let data = one.as_object_mut().unwrap().remove("data");
    assert_eq!(one, expected, "bare, as OpenAI has it");
    assert_eq!(data.as_ref(), Some(&expected), "and wrapped, as OpenRouter has it");
    let listed = read(&view(&catalog).models(Scope::All, &Query::default(), "/v1/models"));
    let links = json!({"next": null});
    let list = json!({"object": "list", "data": [expected], "total_count": 1, "links": links});
    assert_eq!(listed, list);
}

#[test]
fn equals_keep_their_order_and_bare_ids_name_their_server() {
    let twins = [("first", 5, Prices::default()), ("second", 5, Prices::default())];
    let catalog = Catalog::new(vec![model("bare", &twins)]);
    assert_eq!(read(&view(&catalog).one(&catalog.models()[0]))["owned_by"], "first");
}

/// Three models: a cheap one of 2020, a dear one of 2026 that keeps nothing, and vectors.
fn three() -> Catalog {
    let id = |id: &str| ModelId::parse(id).unwrap();
    let price = |n: u64| Prices { completion: PicoUsd(n), ..Prices::default() };
    let old = Model {
        created: 1_577_836_800,
        tokenizer: Some("Llama3".into()),
        ..model("meta/old", &[("alpha", 100_000, price(200_000))])
    };
    let mut private = endpoint("beta", &id("openai/new"), 3_000_000, price(9_000_000));
    private.policy = DataPolicy { trains: false, retention: Retention::None, publishes: false };
    private.region = Some("eu".into());
    private.parameters = Params::of(&[Param::Tools]);
    private.tag = "beta/eu".into();
    let new = Model {
        created: 1_781_000_000,
        family: Some("gpt".into()),
        context_length: 100_000,
        supported_parameters: Params::of(&[Param::Tools, Param::Seed]),
        endpoints: vec![Arc::new(private)],
        distillable: true,
        ..model("openai/new", &[])
    };
    let vectors = Model {
        output_modalities: [Modality::Embeddings].into_iter().collect(),
        ..model("openai/vectors", &[("alpha", 1, Prices::default())])
    };
    Catalog::new(vec![old, new, vectors])
}

#[test]
fn each_filter_keeps_what_it_asks_for() {
    let catalog = three();
    let latest = "~openai/gpt-latest";
    for (pairs, expected) in [
        (&[][..], &["meta/old", "openai/new", latest][..]),
        (&[("output_modalities", "all")], &["meta/old", "openai/new", "openai/vectors", latest]),
        (&[("output_modalities", "embeddings")], &["openai/vectors"]),
        (&[("input_modalities", "image")], &["meta/old", "openai/new", latest]),
        (&[("input_modalities", "audio")], &[]),
        (&[("supported_parameters", "tools")], &["openai/new", latest]),
        (&[("supported_parameters", "tools,stop")], &[]),
        (&[("q", "OLD")], &["meta/old"]),
        (&[("q", "-latest")], &[latest]),
        (&[("context", "50000")], &["openai/new", latest]),
        (&[("max_price", "0.1")], &["meta/old"]),
        (&[("min_price", "0.2")], &["openai/new", latest]),
        (&[("max_output_price", "0.1")], &[]),
        (&[("min_output_price", "9")], &["openai/new", latest]),
        (&[("arch", "llama3")], &["meta/old"]),
        (&[("model_authors", "meta,x")], &["meta/old"]),
        (&[("providers", "beta")], &["openai/new", latest]),
        (&[("providers", "BETA/eu")], &["openai/new", latest]),
        (&[("distillable", "true")], &["openai/new", latest]),
        (&[("distillable", "false")], &["meta/old"]),
        (&[("zdr", "true")], &["openai/new", latest]),
        (&[("region", "eu")], &["openai/new", latest]),
        (&[("region", "us")], &[]),
        (&[("region", "eu"), ("providers", "alpha")], &[]),
        (&[("max_age_days", "365")], &["openai/new", latest]),
        (&[("min_age_days", "365")], &["meta/old"]),
        (&[("sort", "newest"), ("q", "e")], &["openai/new", latest, "meta/old"]),
        (&[("sort", "pricing-high-to-low")], &["openai/new", latest, "meta/old"]),
        (&[("sort", "pricing-low-to-high")], &["meta/old", "openai/new", latest]),
        (&[("sort", "context-high-to-low")], &["openai/new", latest, "meta/old"]),
    ] {
        let listed = read(&view(&catalog).models(Scope::All, &query(pairs), "/v1/models"));
        assert_eq!(ids(&listed), expected, "{pairs:?}");
        let count = read(&view(&catalog).count(&query(pairs)));
        assert_eq!(count["data"]["count"], expected.len(), "{pairs:?}");
    }
    let alias = read(&view(&catalog).models(Scope::All, &query(&[("q", "-latest")]), "/"));
    assert_eq!(alias["data"][0]["alias_target"]["slug"], "openai/new");
    let vectors = view(&catalog).models(Scope::Embeddings, &Query::default(), "/");
    assert_eq!(ids(&read(&vectors)), ["openai/vectors"]);
}

#[test]
fn what_is_measured_gives_an_order() {
    let catalog = three();
    let live = |endpoint: &Endpoint| {
        let n = if endpoint.provider.id.as_str() == "alpha" { 10.0 } else { 20.0 };
        let all = Percentiles { p50: n, p75: n, p90: n, p99: n };
        Live { latency_last_30m: Some(all), throughput_last_30m: Some(all), ..Live::default() }
    };
    let view = View { live: &live, ..view(&catalog) };
    for (sort, first) in
        [("latency-low-to-high", "meta/old"), ("throughput-high-to-low", "openai/new")]
    {
        let listed = read(&view.models(Scope::All, &query(&[("sort", sort)]), "/"));
        assert_eq!(ids(&listed)[0], first, "{sort}");
    }
    let (model, _) = find(&catalog, "meta/old").unwrap();
    let shown = |perf| read(&view.endpoints(model, true, perf))["data"]["endpoints"][0].clone();
    assert_eq!(shown(true)["latency_last_30m"]["p99"], 10.0);
    assert!(shown(false)["latency_last_30m"].is_null(), "for callers only");
}

#[test]
fn pages_link_to_the_next() {
    let catalog = three();
    let all = [("output_modalities", "all"), ("limit", "2"), ("q", "e ")];
    let first = read(&view(&catalog).models(Scope::All, &query(&all[..2]), "/v1/models"));
    assert_eq!((ids(&first).len(), &first["total_count"]), (2, &json!(4)));
    let next = "/v1/models?offset=2&limit=2&output_modalities=all";
    assert_eq!(first["links"]["next"], next);
    let last = [("offset", "2"), ("limit", "2"), ("output_modalities", "all")];
    let last = read(&view(&catalog).models(Scope::All, &query(&last), "/v1/models"));
    assert_eq!((ids(&last).len(), &last["links"]["next"]), (2, &Value::Null));
    let beyond = [("offset", "9")];
    let beyond = read(&view(&catalog).models(Scope::All, &query(&beyond), "/v1/models"));
    assert_eq!((ids(&beyond).len(), &beyond["links"]["next"]), (0, &Value::Null));
    assert_eq!(query(&all).next("/m", 2, 2), "/m?offset=2&limit=2&output_modalities=all&q=e%20");
}

#[test]
fn what_cannot_be_answered_is_refused() {
    for (name, value, why) in [
        ("category", "programming", "no facts"),
        ("min_coding_index", "1", "no facts"),
        ("sort", "top-weekly", "no facts"),
        ("sort", "best", "must be one of newest"),
        ("limit", "0", "from 1 to 1000"),
        ("limit", "1001", "from 1 to 1000"),
        ("offset", "-1", "whole number"),
        ("max_price", "cheap", "decimal"),
        ("zdr", "1", "true or false"),
        ("region", "moon", "eu or us"),
        ("supported_parameters", "tool", "none of"),
        ("output_modalities", "smell", "none of"),
        ("sorted", "newest", "no parameter"),
    ] {
        let bad = Query::parse([(name.to_owned(), value.to_owned())]).expect_err(name);
        assert_eq!(bad.param, name);
        assert!(bad.message.contains(why), "{name}={value}: {bad}");
    }
}

#[test]
fn prices_under_conditions_are_told() {
    let night = Override {
        hours: Some(Hours { start: 16 * 60 + 30, end: 30 }),
        prompt: Some(PicoUsd(1_000_000)),
        ..Override::default()
    };
    let long = Override {
        min_prompt_tokens: Some(200_000),
        prompt: Some(PicoUsd(6_000_000)),
        cache_read: Some(PicoUsd(600_000)),
        ..Override::default()
    };
    let base = Prices { prompt: PicoUsd(3_000_000), ..Prices::default() };
    let id = ModelId::parse("a/m").unwrap();
    let mut host = endpoint("p", &id, 0, base);
    host.prices = Tariff::new(base, vec![long, night]);
    let catalog = Catalog::new(vec![Model { endpoints: vec![Arc::new(host)], ..Model::new(id) }]);
    assert!(depends_on_time(&catalog));
    let pricing = |now_ms: u64| {
        let view = View { now_ms, ..view(&catalog) };
        read(&view.one(&catalog.models()[0]))["pricing"].clone()
    };
    let midnight = pricing(1_781_913_600_000);
    assert_eq!(midnight["prompt"], "0.000001", "what applies now");
    let noon = pricing(1_781_913_600_000 + 12 * 3_600_000);
    assert_eq!(noon["prompt"], "0.000003");
    assert_eq!(
        noon["overrides"],
        json!([
            {"min_prompt_tokens": 200_000, "prompt": "0.000006", "input_cache_read": "0.0000006"},
            {"utc_start": 1630, "utc_end": 30, "prompt": "0.000001"}
        ])
    );
}

#[test]
fn endpoints_tell_what_requests_may_ask_for() {
    let catalog = three();
    let (model, hosted) = find(&catalog, "openai/new:nitro").unwrap();
    assert!(hosted, "how to route is dropped");
    let listed = read(&view(&catalog).endpoints(model, hosted, true));
    let endpoint = &listed["data"]["endpoints"][0];
    for (member, expected) in [
        ("tag", json!("beta/eu")),
        ("quantization", json!("unknown")),
        ("status", json!(0)),
        ("max_prompt_tokens", Value::Null),
        ("uptime_last_30m", Value::Null),
        ("supports_implicit_caching", json!(false)),
        (
            "supports_tool_choice",
            json!({"auto": false, "function": false, "none": false, "required": false}),
        ),
        ("supported_parameters", json!(["tools"])),
    ] {
        assert_eq!(endpoint[member], expected, "{member}");
    }
    let zdr = read(&view(&catalog).zero_retention(false));
    assert_eq!(zdr["data"].as_array().unwrap().len(), 1);
    assert_eq!(zdr["data"][0]["model_id"], "openai/new");
    let (model, hosted) = find(&catalog, "openai/new:free").unwrap();
    let none = read(&view(&catalog).endpoints(model, hosted, true));
    assert_eq!(none["data"]["endpoints"], json!([]), "a variant that nobody hosts");
    assert!(find(&catalog, "openai/new:odd").is_none());
    assert!(find(&catalog, "~openai/gpt-latest").is_some());
    let taken = parameters(model, Some("beta")).unwrap();
    assert_eq!(read(&taken)["data"]["supported_parameters"], json!(["tools"]));
    assert!(parameters(model, Some("alpha")).is_none());
}

#[test]
fn an_empty_catalog_is_an_empty_list() {
    let catalog = Catalog::default();
    let listed = view(&catalog).models(Scope::All, &Query::default(), "/v1/models");
    assert_eq!(listed, r#"{"object":"list","data":[],"total_count":0,"links":{"next":null}}"#);
}
