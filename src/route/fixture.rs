//! A small catalog for tests.

use std::sync::Arc;

use super::RoutingTable;
use crate::balance::{HealthRegistry, Settings};
use crate::catalog::{Auth, Catalog, Endpoint, Model, Origin, Prices, Provider, Timeouts};
use crate::dialect::Dialect;
use crate::vocab::{EndpointId, ModelId, ProviderId};

/// An endpoint of `model` at `provider` (a slug); the display name is the slug with a capital.
pub(super) fn endpoint(model: &str, provider: &str, context: u32, weight: f64) -> Arc<Endpoint> {
    let mut name = provider.to_owned();
    name[..1].make_ascii_uppercase();
    let origin = Origin { tls: false, host: "h".to_owned(), port: 1, authority: "h:1".to_owned() };
    let provider_entry = Provider {
        id: ProviderId::parse(provider).expect("a slug"),
        name,
        dialect: Dialect::OpenAi,
        host: &crate::dialect::openai::Host::GENERIC,
        origin,
        base_path: "/v1".to_owned(),
        query: None,
        auth: Auth::None,
        timeouts: Timeouts::default(),
        probe: None,
    };
    Arc::new(Endpoint {
        id: EndpointId::parse(&format!("{provider}/{model}")).expect("an id"),
        provider: Arc::new(provider_entry),
        model: ModelId::parse(model).expect("a model"),
        upstream_model: "m".to_owned(),
        prices: Prices::default(),
        context_length: context,
        max_output: context,
        weight,
        template: None,
    })
}

/// A catalog of these models, each with endpoints at these providers with these contexts.
pub(super) fn catalog(models: &[(&str, &[(&str, u32)])]) -> Arc<Catalog> {
    let model = |(id, hosts): &(&str, &[(&str, u32)])| Model {
        id: ModelId::parse(id).expect("a model"),
        name: (*id).to_owned(),
        created: 0,
        description: String::new(),
        context_length: 0,
        input_modalities: Vec::new(),
        output_modalities: Vec::new(),
        supported_parameters: Vec::new(),
        endpoints: hosts.iter().map(|(host, context)| endpoint(id, host, *context, 1.0)).collect(),
    };
    Arc::new(Catalog::new(models.iter().map(model).collect()))
}

/// The table of such a catalog, with endpoints of which nothing is known.
pub(super) fn table(models: &[(&str, &[(&str, u32)])]) -> RoutingTable {
    let catalog = catalog(models);
    RoutingTable::new(&catalog, &HealthRegistry::new(&catalog, Settings::default()))
}
