//! A small catalog for tests.

use std::sync::Arc;

use super::RoutingTable;
use crate::balance::{HealthRegistry, Settings};
use crate::catalog::{Catalog, Endpoint, Model, Origin, Provider};
use crate::dialect::Dialect;
use crate::vocab::{EndpointId, ModelId, ProviderId};

/// An endpoint of `model` at `provider` (a slug); the display name is the slug with a capital.
pub(super) fn endpoint(model: &str, provider: &str, context: u32, weight: f64) -> Arc<Endpoint> {
    let mut name = provider.to_owned();
    name[..1].make_ascii_uppercase();
    let origin = Origin { tls: false, host: "h".to_owned(), port: 1, authority: "h:1".to_owned() };
    let provider = ProviderId::parse(provider).expect("a slug");
    let id = EndpointId::parse(&format!("{provider}/{model}")).expect("an id");
    let provider = Provider { name, ..Provider::new(provider, Dialect::OpenAi, origin) };
    let model = ModelId::parse(model).expect("a model");
    Arc::new(Endpoint { weight, ..Endpoint::new(id, Arc::new(provider), model, "m", context) })
}

/// A catalog of these models, each with endpoints at these providers with these contexts.
pub(super) fn catalog(models: &[(&str, &[(&str, u32)])]) -> Arc<Catalog> {
    let model = |(id, hosts): &(&str, &[(&str, u32)])| Model {
        endpoints: hosts.iter().map(|(host, context)| endpoint(id, host, *context, 1.0)).collect(),
        ..Model::new(ModelId::parse(id).expect("a model"))
    };
    Arc::new(Catalog::new(models.iter().map(model).collect()))
}

/// The table of such a catalog, with endpoints of which nothing is known.
pub(super) fn table(models: &[(&str, &[(&str, u32)])]) -> RoutingTable {
    let catalog = catalog(models);
    RoutingTable::new(&catalog, &HealthRegistry::new(&catalog, Settings::default()))
}
