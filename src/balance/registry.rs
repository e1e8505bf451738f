//! The health of all endpoints, by id.

use std::collections::HashMap;
use std::sync::Arc;

use super::Settings;
use super::health::EndpointHealth;
use crate::catalog::Catalog;
use crate::vocab::EndpointId;

/// The health of every endpoint of a catalog. A reload makes a new registry that keeps the health
/// of the endpoints which stay.
#[derive(Debug, Default)]
pub struct HealthRegistry {
    by_id: HashMap<EndpointId, Arc<EndpointHealth>>,
}

impl HealthRegistry {
    /// A registry for the endpoints of a catalog, of which nothing is known.
    pub fn new(catalog: &Catalog, settings: Settings) -> Self {
        Self::default().reload(catalog, settings)
    }

    /// A registry for a new catalog: endpoints that stay keep what is known of them, and requests
    /// that are under way keep counting; the others begin anew or are forgotten.
    #[must_use]
    pub fn reload(&self, catalog: &Catalog, settings: Settings) -> Self {
        let by_id = catalog.endpoints().map(|endpoint| {
            let health = self.by_id.get(&endpoint.id).map_or_else(
                || Arc::new(EndpointHealth::new(settings)),
                |known| {
                    known.set_settings(settings);
                    if endpoint.provider.probe.is_none() {
                        known.forget_probe();
                    }
                    Arc::clone(known)
                },
            );
            (endpoint.id.clone(), health)
        });
        Self { by_id: by_id.collect() }
    }

    /// The health of the endpoint of this id.
    pub fn get(&self, id: &str) -> Option<&Arc<EndpointHealth>> {
        self.by_id.get(id)
    }

    /// All endpoints, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&EndpointId, &Arc<EndpointHealth>)> {
        self.by_id.iter()
    }
}
