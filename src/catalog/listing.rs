//! The catalog as clients list it: `GET /v1/models`.
//!
//! The objects are OpenRouter's (its public API reference, read 2026-09) with OpenAI's fields
//! (`object`, `owned_by`) beside them, so that SDKs of both understand them. A listing is built
//! once per catalog and sent as it stands. Prices are those of the model's cheapest endpoint, as
//! decimal strings in dollars per token or unit. A special price that an endpoint does not have is
//! left out: clients take its presence as the ability to cache.

use bytes::Bytes;
use serde::Serialize;

use super::{Catalog, Endpoint, Modalities, Modality, Model, Param, Params, Prices};
use crate::vocab::PicoUsd;

/// The body of `GET /v1/models`: all models in the order of the configuration.
pub fn all(catalog: &Catalog) -> Bytes {
    let data: Vec<Entry<'_>> = catalog.models().iter().map(|m| Entry::new(m)).collect();
    json(&List { object: "list", data })
}

/// The body of `GET /v1/models/{id}`, in OpenAI's shape: the bare object.
pub fn one(model: &Model) -> Bytes {
    json(&Entry::new(model))
}

/// OpenRouter wraps most answers in `data`.
#[derive(Serialize)]
struct Data<T> {
    data: T,
}

/// The body of `GET /v1/models/count`.
pub fn count(catalog: &Catalog) -> Bytes {
    #[derive(Serialize)]
    struct Count {
        count: usize,
    }
    json(&Data { data: Count { count: catalog.models().len() } })
}

/// The body of `GET /v1/providers`, in the order of the catalog.
pub fn providers(catalog: &Catalog) -> Bytes {
    #[derive(Serialize)]
    struct Entry<'a> {
        name: &'a str,
        slug: &'a str,
        privacy_policy_url: Option<&'a str>,
        terms_of_service_url: Option<&'a str>,
        status_page_url: Option<&'a str>,
    }
    let data = catalog.providers().iter().map(|provider| Entry {
        name: &provider.name,
        slug: provider.id.as_str(),
        privacy_policy_url: provider.profile.privacy_policy_url.as_deref(),
        terms_of_service_url: provider.profile.terms_of_service_url.as_deref(),
        status_page_url: provider.profile.status_page_url.as_deref(),
    });
    json(&Data { data: data.collect::<Vec<_>>() })
}

/// The body of `GET /v1/models/{author}/{slug}/endpoints`.
pub fn endpoints(model: &Model) -> Bytes {
    #[derive(Serialize)]
    struct Listed<'a> {
        id: &'a str,
        name: &'a str,
        created: u64,
        description: &'a str,
        architecture: Architecture<'a>,
        endpoints: Vec<Hosted<'a>>,
    }
    #[derive(Serialize)]
    struct Hosted<'a> {
        name: String,
        model_id: &'a str,
        model_name: &'a str,
        provider_name: &'a str,
        tag: &'a str,
        context_length: u32,
        max_completion_tokens: u32,
        pricing: Pricing,
        supported_parameters: Names<Param>,
    }
    let endpoints = model.all_endpoints().map(|endpoint| Hosted {
        name: format!("{} | {}", endpoint.provider.name, model.id),
        model_id: model.id.as_str(),
        model_name: &model.name,
        provider_name: &endpoint.provider.name,
        tag: &endpoint.tag,
        context_length: endpoint.context_length,
        max_completion_tokens: endpoint.max_output,
        pricing: Pricing::new(&endpoint.prices.base),
        supported_parameters: parameters(endpoint.parameters),
    });
    json(&Data {
        data: Listed {
            id: model.id.as_str(),
            name: &model.name,
            created: model.created,
            description: &model.description,
            architecture: Architecture::new(model),
            endpoints: endpoints.collect(),
        },
    })
}

fn json(value: &impl Serialize) -> Bytes {
    #[expect(clippy::expect_used, reason = "texts and numbers always have a JSON form")]
    let text = serde_json::to_vec(value).expect("plain data");
    text.into()
}

/// The endpoint that costs least for a prompt token and a completion token together, the earlier
/// of equals.
fn cheapest(model: &Model) -> Option<&Endpoint> {
    let price = |e: &Endpoint| {
        let Prices { prompt, completion, request, .. } = e.prices.base;
        (u128::from(prompt.0) + u128::from(completion.0), request)
    };
    model.all_endpoints().map(AsRef::as_ref).min_by_key(|e| price(e))
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    id: &'a str,
    canonical_slug: &'a str,
    object: &'static str,
    owned_by: &'a str,
    name: &'a str,
    created: u64,
    description: &'a str,
    context_length: u32,
    architecture: Architecture<'a>,
    pricing: Pricing,
    top_provider: TopProvider,
    /// Always null: no limits of a request are known beforehand.
    per_request_limits: (),
    supported_parameters: Names<Param>,
}

impl<'a> Entry<'a> {
    fn new(model: &'a Model) -> Self {
        let id = model.id.as_str();
        let cheapest = cheapest(model);
        // An id without an author is owned, for want of a better word, by who serves it.
        let server = cheapest.map_or("", |e| e.provider.id.as_str());
        Self {
            id,
            canonical_slug: &model.canonical_slug,
            object: "model",
            owned_by: model.author().unwrap_or(server),
            name: &model.name,
            created: model.created,
            description: &model.description,
            context_length: model.context_length,
            architecture: Architecture::new(model),
            pricing: cheapest.map_or_else(Pricing::default, |e| Pricing::new(&e.prices.base)),
            top_provider: TopProvider {
                context_length: cheapest.map_or(0, |e| e.context_length),
                max_completion_tokens: cheapest.map_or(0, |e| e.max_output),
                is_moderated: cheapest.is_some_and(|e| e.moderated),
            },
            per_request_limits: (),
            supported_parameters: parameters(model.supported_parameters),
        }
    }
}

#[derive(Serialize)]
struct Architecture<'a> {
    /// For instance `text+image->text`.
    modality: String,
    input_modalities: Names<Modality>,
    output_modalities: Names<Modality>,
    tokenizer: &'a str,
    instruct_type: Option<&'a str>,
}

impl<'a> Architecture<'a> {
    fn new(model: &'a Model) -> Self {
        let (input, output) = (model.input_modalities, model.output_modalities);
        Self {
            modality: format!("{input}->{output}"),
            input_modalities: modalities(input),
            output_modalities: modalities(output),
            tokenizer: model.tokenizer.as_deref().unwrap_or("Other"),
            instruct_type: model.instruct_type.as_deref(),
        }
    }
}

/// A list of names.
struct Names<T>(Vec<T>, fn(&T) -> &'static str);

impl<T> Serialize for Names<T> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(self.1))
    }
}

fn parameters(set: Params) -> Names<Param> {
    Names(set.iter().collect(), |param| param.as_str())
}

fn modalities(set: Modalities) -> Names<Modality> {
    Names(set.iter().collect(), |modality| modality.as_str())
}

#[derive(Default, Serialize)]
struct Pricing {
    prompt: String,
    completion: String,
    request: String,
    image: String,
    web_search: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    internal_reasoning: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_cache_read: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_cache_write: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_cache_write_1h: Option<String>,
}

impl Pricing {
    fn new(prices: &Prices) -> Self {
        Self {
            prompt: prices.prompt.per_unit_text(),
            completion: prices.completion.per_unit_text(),
            request: prices.request.per_unit_text(),
            image: prices.image.per_unit_text(),
            web_search: prices.search.per_unit_text(),
            internal_reasoning: prices.reasoning.map(PicoUsd::per_unit_text),
            input_cache_read: prices.cache_read.map(PicoUsd::per_unit_text),
            input_cache_write: prices.cache_write_5m.map(PicoUsd::per_unit_text),
            input_cache_write_1h: prices.cache_write_1h.map(PicoUsd::per_unit_text),
        }
    }
}

#[derive(Serialize)]
struct TopProvider {
    context_length: u32,
    max_completion_tokens: u32,
    is_moderated: bool,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::catalog::{Origin, Provider};
    use crate::dialect::Dialect;
    use crate::vocab::{EndpointId, ModelId, ProviderId};

    fn endpoint(provider: &str, model: &ModelId, prompt: u64, prices: Prices) -> Arc<Endpoint> {
        let origin = Origin { tls: false, host: "h".into(), port: 80, authority: "h".into() };
        let provider = Provider::new(ProviderId::parse(provider).unwrap(), Dialect::OpenAi, origin);
        let id = EndpointId::parse(&format!("{}/m", provider.id)).unwrap();
        let prices = Prices { prompt: PicoUsd(prompt), ..prices };
        Arc::new(Endpoint {
            prices: prices.into(),
            max_output: 100,
            ..Endpoint::new(id, Arc::new(provider), model.clone(), "m", 1_000)
        })
    }

    fn model(id: &str, endpoints: &[(&str, u64, Prices)]) -> Model {
        let id = ModelId::parse(id).unwrap();
        Model {
            endpoints: endpoints
                .iter()
                .map(|(p, n, prices)| endpoint(p, &id, *n, *prices))
                .collect(),
            name: "A \"name\"".into(),
            created: 7,
            description: "What it is.".into(),
            context_length: 2_000,
            input_modalities: [Modality::Text, Modality::Image].into_iter().collect(),
            supported_parameters: Params::of(&[Param::Seed]),
            ..Model::new(id)
        }
    }

    #[test]
    fn a_model_is_listed_with_its_cheapest_endpoint() {
        let dear = Prices { image: PicoUsd(9), ..Prices::default() };
        let cheap = Prices {
            completion: PicoUsd(600_000),
            cache_read: Some(PicoUsd(0)),
            ..Prices::default()
        };
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
            "supported_parameters": ["seed"]
        });
        assert_eq!(serde_json::from_slice::<Value>(&one(&model)).unwrap(), expected);
        let listed: Value = serde_json::from_slice(&all(&Catalog::new(vec![model]))).unwrap();
        assert_eq!(listed, json!({"object": "list", "data": [expected]}));
    }

    #[test]
    fn equals_keep_their_order_and_bare_ids_name_their_server() {
        let twins = [("first", 5, Prices::default()), ("second", 5, Prices::default())];
        let listed: Value = serde_json::from_slice(&one(&model("bare", &twins))).unwrap();
        assert_eq!(listed["owned_by"], "first");
    }

    #[test]
    fn an_empty_catalog_is_an_empty_list() {
        assert_eq!(all(&Catalog::default()), r#"{"object":"list","data":[]}"#);
    }
}
