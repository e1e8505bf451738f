use std::collections::BTreeMap;

use super::*;
use crate::config::fault::Faults;

fn read(source: Source, text: &str, endpoints: &[String]) -> Import {
    import(source, text, endpoints).unwrap_or_else(|error| panic!("{error}"))
}

/// The endpoint of a model at a provider.
fn endpoint<'a>(import: &'a Import, of: &str, provider: &str, tier: &str) -> &'a file::Endpoint {
    let rows = import.sheet.endpoints.iter().map(|row| &row.entry);
    let found = rows.filter(|(id, e)| id == of && e.provider == provider && e.tier == tier);
    let found: Vec<&file::Endpoint> = found.map(|(_, endpoint)| endpoint).collect();
    assert_eq!(found.len(), 1, "{of} at {provider}, {tier}: {:?}", import.notes);
    found[0]
}

/// What is written and read again is the same.
fn round_trips(import: &Import) {
    let mut text = Vec::new();
    import.sheet.write(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let (mut again, mut faults) = (Sheet::default(), Faults::none());
    again.read("again", &text, &mut faults);
    assert!(faults.0.is_empty(), "{faults}");
    let endpoints = |sheet: &Sheet| -> Vec<(String, file::Endpoint)> {
        sheet.endpoints.iter().map(|row| row.entry.clone()).collect()
    };
    assert_eq!(endpoints(&again), endpoints(&import.sheet));
    let models = |sheet: &Sheet| -> Vec<file::Model> {
        sheet.models.iter().map(|row| row.entry.clone()).collect()
    };
    assert_eq!(models(&again), models(&import.sheet));
}

const OPENROUTER: &str = r#"{"data":[
 {"id":"acme/big-1","canonical_slug":"acme/big-1-20260101","name":"Acme: Big 1","created":1767225600,
  "description":"A model.","context_length":200000,
  "architecture":{"modality":"text+image->text","input_modalities":["text","image","smell"],
   "output_modalities":["text"],"tokenizer":"Other","instruct_type":null},
  "pricing":{"prompt":"0.000003","completion":"0.000015","request":"0","image":"0.0048",
   "web_search":"0.01","internal_reasoning":"0","input_cache_read":"0.0000003",
   "input_cache_write":"0.00000375","image_token":"0.000001","overrides":[
    {"min_prompt_tokens":128000,"prompt":"0.000006","completion":"0.0000225"},
    {"utc_start":1630,"utc_end":30,"prompt":"0.0000015"},{"utc_days":[1],"prompt":"0"}]},
  "top_provider":{"context_length":190000,"max_completion_tokens":64000,"is_moderated":true},
  "per_request_limits":null,"supported_parameters":["tools","max_tokens","mood"],
  "default_parameters":{"temperature":0.7},"expiration_date":"2027-01-31",
  "reasoning":{"mandatory":true,"supported_efforts":["low","high"],"default_effort":"low"}},
 {"id":"openrouter/auto","name":"Auto","pricing":{"prompt":"-1","completion":"-1"},
  "context_length":2000000},
 {"id":"~acme/big-latest","name":"Latest","pricing":{"prompt":"0","completion":"0"},
  "alias_target":{"slug":"acme/big-1","name":"x"}}
]}"#;

const ENDPOINTS: &str = r#"{"data":{"id":"acme/big-1","name":"Big 1","endpoints":[
 {"name":"Fast | acme/big-1","tag":"fast/turbo","context_length":100000,"max_completion_tokens":8000,
  "quantization":"fp8","pricing":{"prompt":"0.000002","completion":"0.00001"},
  "supported_parameters":["stop"],"supports_implicit_caching":true},
 {"name":"Acme | acme/big-1","tag":"acme/flex","context_length":200000,"max_completion_tokens":null,
  "quantization":null,"pricing":{"prompt":"0.0000015","completion":"0.0000075"}}]}}"#;

#[test]
fn openrouters_models_are_read() {
    let import = read(Source::OpenRouter, OPENROUTER, &[]);
    let host = endpoint(&import, "acme/big-1", "openrouter", "default");
    assert_eq!(host.prices.prompt.as_deref(), Some("3"));
    assert_eq!(host.prices.completion.as_deref(), Some("15"));
    assert_eq!(host.prices.cache_read.as_deref(), Some("0.3"));
    assert_eq!(host.prices.cache_write_5m.as_deref(), Some("3.75"));
    assert_eq!(host.prices.image.as_deref(), Some("0.0048"));
    assert_eq!(host.prices.search.as_deref(), Some("0.01"));
    assert_eq!(host.prices.request, None, "free of charge is the default");
    assert_eq!(host.prices.overrides.len(), 2);
    assert_eq!(host.prices.overrides[1].utc_end.as_deref(), Some("0030"));
    assert_eq!((host.context_length, host.max_output), (Some(190_000), Some(64_000)));
    assert!(host.moderated);
    let model = &import.sheet.models[0].entry;
    assert_eq!(model.canonical_slug.as_deref(), Some("acme/big-1-20260101"));
    assert_eq!(model.expires.as_deref(), Some("2027-01-31"));
    assert_eq!(model.reasoning.as_ref().map(|r| r.efforts.len()), Some(2));
    for told in ["smell", "mood", "image_token", "certain days", "prompt is -1", "another model"] {
        assert!(import.notes.iter().any(|note| note.contains(told)), "{told}: {:?}", import.notes);
    }
    round_trips(&import);
}

#[test]
fn openrouters_endpoints_take_the_place_of_its_own() {
    let import = read(Source::OpenRouter, OPENROUTER, &[ENDPOINTS.to_owned()]);
    let fast = endpoint(&import, "acme/big-1", "fast", "default");
    assert_eq!(fast.variant.as_deref(), Some("turbo"));
    assert_eq!((fast.quantization.as_str(), fast.implicit_caching), ("fp8", true));
    assert_eq!(fast.prices.prompt.as_deref(), Some("2"));
    endpoint(&import, "acme/big-1", "acme", "flex");
    assert!(import.sheet.endpoints.iter().all(|row| row.entry.1.provider != "openrouter"));
    round_trips(&import);
}

#[test]
fn what_the_gateway_serves_has_the_same_prices_when_read() {
    use crate::catalog::listing::{Live, Query, Scope, View};
    let (_, catalog) =
        crate::config::judge_catalog(&[]).unwrap_or_else(|faults| panic!("{faults}"));
    let view = View { catalog: &catalog, live: &|_| Live::default(), now_ms: 1_767_225_600_000 };
    let all = Query::parse([("output_modalities".to_owned(), "all".to_owned())]).unwrap();
    let body = view.models(Scope::All, &all, "/v1/models");
    let import = read(Source::OpenRouter, std::str::from_utf8(&body).unwrap(), &[]);
    let imported: BTreeMap<&str, &file::Prices> = import
        .sheet
        .endpoints
        .iter()
        .map(|row| (row.entry.0.as_str(), &row.entry.1.prices))
        .collect();
    let shown: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let mut compared = 0;
    for model in shown["data"].as_array().unwrap().iter().filter(|m| m["alias_target"].is_null()) {
        let prices = imported[model["id"].as_str().unwrap()];
        for (told, read) in [("prompt", &prices.prompt), ("completion", &prices.completion)] {
            let told =
                crate::vocab::PicoUsd::parse_per_unit(model["pricing"][told].as_str().unwrap());
            let read = crate::vocab::PicoUsd::parse_per_million(read.as_deref().unwrap());
            assert_eq!(told, read, "{}", model["id"]);
        }
        compared += 1;
    }
    assert!(compared > 400, "{compared} models");
    round_trips(&import);
}

const MODELS_DEV: &str = r#"{
 "acme":{"id":"acme","env":["ACME_REGION","ACME_API_KEY"],"npm":"@ai-sdk/openai-compatible",
  "api":"https://api.acme.test/v1/","name":"Acme","doc":"https://acme.test","models":{
   "big-1":{"id":"big-1","name":"Big 1","family":"big","attachment":true,"reasoning":true,
    "tool_call":true,"temperature":true,"knowledge":"2025-06","release_date":"2026-01-01",
    "modalities":{"input":["text","image","pdf"],"output":["text"]},"open_weights":false,
    "cost":{"input":0.15,"output":1e1,"cache_read":0.075,"context_over_200k":{"input":0.3,"output":20},
     "colour":1},
    "limit":{"context":400000,"output":128000}},
   "old":{"id":"old","name":"Old","status":"deprecated","cost":{"input":1,"output":1}},
   "unpriced":{"id":"unpriced","name":"Unpriced","limit":{"context":1000,"output":1000}}}},
 "odd":{"id":"odd","env":["ODD_KEY"],"npm":"@odd/sdk","name":"Odd","models":{}}}"#;

#[test]
fn models_devs_providers_are_read() {
    let import = read(Source::ModelsDev, MODELS_DEV, &[]);
    let provider = &import.sheet.providers[0].entry;
    assert_eq!(provider.api_key.as_deref(), Some("env:ACME_API_KEY"));
    assert_eq!(provider.base_url, "https://api.acme.test/v1");
    let host = endpoint(&import, "acme/big-1", "acme", "default");
    assert_eq!(host.prices.prompt.as_deref(), Some("0.15"));
    assert_eq!(host.prices.completion.as_deref(), Some("10"));
    assert_eq!(host.prices.overrides[0].min_prompt_tokens, Some(200_000));
    assert_eq!(host.prices.overrides[0].prompt.as_deref(), Some("0.3"));
    assert_eq!(host.max_output, Some(128_000));
    let model = &import.sheet.models[0].entry;
    assert_eq!(model.created, 1_767_225_600);
    assert_eq!(model.input_modalities, ["text", "image", "file"]);
    for told in ["colour", "deprecated", "no price", "@odd/sdk"] {
        assert!(import.notes.iter().any(|note| note.contains(told)), "{told}: {:?}", import.notes);
    }
    round_trips(&import);
}

const LITELLM: &str = r#"{
 "sample_spec":{"litellm_provider":"one of","mode":"one of"},
 "acme-big":{"litellm_provider":"openai","mode":"chat","max_input_tokens":128000,
  "max_output_tokens":16384,"max_tokens":16384,"input_cost_per_token":2.5e-06,
  "output_cost_per_token":1e-05,"cache_read_input_token_cost":1.25e-06,
  "input_cost_per_token_above_200k_tokens":5e-06,"input_cost_per_token_flex":1.25e-06,
  "output_cost_per_token_flex":5e-06,"input_cost_per_image":0.001,"supports_function_calling":true,
  "supports_vision":true,"deprecation_date":"2027-01-31"},
 "together_ai/org/vectors":{"litellm_provider":"together_ai","mode":"embedding",
  "max_input_tokens":512,"input_cost_per_token":8e-09},
 "rank":{"litellm_provider":"cohere","mode":"rerank","max_tokens":4096,"input_cost_per_query":0.002,
  "input_cost_per_token":0.0,"output_cost_per_token":0.0},
 "picture":{"litellm_provider":"openai","mode":"image_generation","output_cost_per_image":0.04},
 "odd":{"mode":"chat"},
 "precise":{"litellm_provider":"openai","mode":"chat","max_tokens":1000,
  "input_cost_per_token":7.999999999999999e-08,"output_cost_per_token":1e-06}}"#;

#[test]
fn litellms_prices_are_read() {
    let import = read(Source::LiteLlm, LITELLM, &[]);
    let host = endpoint(&import, "openai/acme-big", "openai", "default");
    assert_eq!(host.prices.prompt.as_deref(), Some("2.5"));
    assert_eq!(host.prices.completion.as_deref(), Some("10"));
    assert_eq!(host.prices.cache_read.as_deref(), Some("1.25"));
    assert_eq!(host.prices.overrides[0].prompt.as_deref(), Some("5"));
    assert_eq!(host.expires.as_deref(), Some("2027-01-31"));
    assert_eq!((host.context_length, host.max_output), (Some(128_000), Some(16_384)));
    assert!(host.parameters.as_ref().unwrap().iter().any(|name| name == "tools"));
    let flex = endpoint(&import, "openai/acme-big", "openai", "flex");
    assert_eq!(flex.prices.prompt.as_deref(), Some("1.25"));
    let vectors = endpoint(&import, "org/vectors", "togetherai", "default");
    assert_eq!(vectors.prices.prompt.as_deref(), Some("0.008"));
    assert_eq!(vectors.prices.completion.as_deref(), Some("0"));
    let rank = endpoint(&import, "cohere/rank", "cohere", "default");
    assert_eq!(rank.prices.search.as_deref(), Some("0.002"));
    for told in ["input_cost_per_image", "image_generation", "no provider", "7.999999999999999e-08"]
    {
        assert!(import.notes.iter().any(|note| note.contains(told)), "{told}: {:?}", import.notes);
    }
    round_trips(&import);
}

#[test]
fn what_has_another_form_is_refused() {
    for (name, source) in Source::NAMES {
        assert_eq!(Source::parse(name), Some(source));
        let wrong = import(source, "[1]", &[]).expect_err(name);
        assert!(wrong.contains("not of this form"), "{name}: {wrong}");
    }
}
