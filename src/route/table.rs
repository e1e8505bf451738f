//! Which endpoints serve a model, with their health at hand: made once per catalog.

use std::collections::HashMap;
use std::sync::Arc;

use crate::balance::{EndpointHealth, HealthRegistry};
use crate::catalog::{Catalog, Endpoint};
use crate::vocab::ModelId;

/// An endpoint and its health.
#[derive(Debug)]
pub struct Slot {
    /// What the catalog says.
    pub endpoint: Arc<Endpoint>,
    /// What experience says.
    pub health: Arc<EndpointHealth>,
}

impl Slot {
    /// Whether a name in a caller's wishes means this endpoint.
    pub fn is_named(&self, name: &str) -> bool {
        let provider = &self.endpoint.provider;
        below(provider.id.as_str(), name)
            || self.endpoint.id.as_str().eq_ignore_ascii_case(name)
            || same_text(&provider.name, name)
    }
}

/// Whether `slug` is `name` or lies below it, as `google/us-east5` below `google`.
fn below(slug: &str, name: &str) -> bool {
    match slug.split_at_checked(name.len()) {
        Some((head, rest)) => {
            !name.is_empty()
                && head.eq_ignore_ascii_case(name)
                && (rest.is_empty() || rest.starts_with('/'))
        }
        None => false,
    }
}

/// Equality without regard to case, also beyond ASCII.
fn same_text(a: &str, b: &str) -> bool {
    a.chars().flat_map(char::to_lowercase).eq(b.chars().flat_map(char::to_lowercase))
}

/// The endpoints of every model of one catalog. Nothing is looked up per endpoint and request.
#[derive(Debug, Default)]
pub struct RoutingTable {
    catalog: Arc<Catalog>,
    by_model: HashMap<ModelId, Vec<Arc<Slot>>>,
}

impl RoutingTable {
    /// The table of a catalog. An endpoint that the registry does not know would be left out; a
    /// registry made for this catalog knows all.
    pub fn new(catalog: &Arc<Catalog>, registry: &HealthRegistry) -> Self {
        let slot = |endpoint: &Arc<Endpoint>| {
            let health = Arc::clone(registry.get(endpoint.id.as_str())?);
            Some(Arc::new(Slot { endpoint: Arc::clone(endpoint), health }))
        };
        let by_model = catalog
            .models()
            .iter()
            .map(|model| (model.id.clone(), model.endpoints.iter().filter_map(slot).collect()))
            .collect();
        Self { catalog: Arc::clone(catalog), by_model }
    }

    /// The endpoints of the model of this id.
    pub fn slots(&self, model: &str) -> Option<&[Arc<Slot>]> {
        self.by_model.get(model).map(Vec::as_slice)
    }

    /// The catalog that the table was made from.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_name_what_lies_below_them() {
        for (slug, name, expected) in [
            ("deepinfra", "DeepInfra", true),
            ("deepinfra/turbo", "deepinfra", true),
            ("deepinfra", "deepinfra/turbo", false),
            ("deepinfra2", "deepinfra", false),
            ("deepinfra", "", false),
            ("abc", "äbc", false),
        ] {
            assert_eq!(below(slug, name), expected, "{slug} named {name:?}");
        }
        assert!(same_text("Größe AI", "GRÖßE ai"));
        assert!(!same_text("Alpha", "Alpha "));
    }
}
