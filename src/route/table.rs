//! Which endpoints serve a model, with their health at hand: made once per catalog.

use std::collections::HashMap;
use std::sync::Arc;

use super::score::Rates;
use super::variant::{Catalogue, Named};
use crate::balance::{EndpointHealth, HealthRegistry, KeyPool, mix};
use crate::catalog::{Catalog, Endpoint, Model, Params, Tier};
use crate::vocab::ModelId;

/// An endpoint and its health.
#[derive(Debug)]
pub struct Slot {
    /// What the catalog says.
    pub endpoint: Arc<Endpoint>,
    /// What experience says.
    pub health: Arc<EndpointHealth>,
    /// The provider's keys here, where it gave several.
    pub keys: Option<KeyPool>,
    /// A short mark of its id, by which the table of conversations remembers it.
    pub mark: u32,
}

impl Slot {
    /// An endpoint with its health.
    pub fn new(endpoint: Arc<Endpoint>, health: Arc<EndpointHealth>) -> Self {
        let mark = mark(endpoint.id.as_str());
        let keys = KeyPool::new(1 + endpoint.provider.pool.len());
        Self { endpoint, health, keys, mark }
    }

    /// Whether a name in a caller's wishes means this endpoint: its own slug, one above it
    /// (`google` above `google/us-east5`), its id, or its provider's display name. What is said of
    /// a provider is not said of its flex and priority tiers; these are named in full.
    pub fn is_named(&self, name: &str) -> bool {
        let endpoint = &self.endpoint;
        let own = |slug: &str| slug.eq_ignore_ascii_case(name);
        if own(&endpoint.tag) || own(endpoint.id.as_str()) {
            return true;
        }
        endpoint.tier == Tier::Default
            && (below(&endpoint.tag, name)
                || below(endpoint.provider.id.as_str(), name)
                || same_text(&endpoint.provider.name, name))
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

/// A model and its endpoints.
#[derive(Debug)]
pub struct Row {
    /// The model.
    pub model: Arc<Model>,
    /// Who serves it, in the catalog's order.
    pub slots: Vec<Arc<Slot>>,
    /// The same endpoints.
    pub(super) facts: Vec<Facts>,
}

/// What every decision reads of an endpoint, copied so that the facts of all lie in a row: to follow
/// each slot to its endpoint would take longer than to decide.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) health: Arc<EndpointHealth>,
    /// Where no override applies.
    pub(super) rates: Rates,
    pub(super) weight: f64,
    pub(super) parameters: Params,
    /// In seconds since 1970; the largest number: never.
    expires: u64,
    pub(super) context_length: u32,
    pub(super) mark: u32,
    pub(super) tier: Tier,
    pub(super) has_overrides: bool,
}

impl Facts {
    fn of(slot: &Arc<Slot>) -> Self {
        let endpoint = &slot.endpoint;
        Self {
            health: Arc::clone(&slot.health),
            rates: Rates::from(&endpoint.prices.base),
            weight: endpoint.weight,
            parameters: endpoint.parameters,
            expires: endpoint.expires.unwrap_or(u64::MAX),
            context_length: endpoint.context_length,
            mark: slot.mark,
            tier: endpoint.tier,
            has_overrides: !endpoint.prices.overrides().is_empty(),
        }
    }

    /// As [`Endpoint::is_expired`].
    pub(super) const fn is_expired(&self, now: u64) -> bool {
        self.expires <= now
    }
}

impl Row {
    fn new(model: Arc<Model>, slots: Vec<Arc<Slot>>) -> Self {
        let facts = slots.iter().map(Facts::of).collect();
        Self { model, slots, facts }
    }
}

/// The endpoints of every model of one catalog. Nothing is looked up per endpoint and request.
#[derive(Debug, Default)]
pub struct RoutingTable {
    catalog: Arc<Catalog>,
    by_model: HashMap<ModelId, Arc<Row>>,
    /// There is a web search for `:online`.
    online: bool,
}

/// What a name with its suffixes means.
#[derive(Debug)]
pub(super) struct Found<'t, 'n> {
    pub(super) row: &'t Arc<Row>,
    pub(super) named: Named<'n>,
    /// The model has no entry with this suffix; the plain one stands in for it.
    pub(super) stands_in: bool,
}

/// Why a name means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost<'n> {
    /// There is no such model.
    Unknown,
    /// Two suffixes that exclude each other.
    Clash,
    /// The model is there, but not with this suffix.
    NoVariant { base: &'n str, variant: Catalogue },
    /// `:online`: there is no web search.
    Online,
    /// A preset, where it cannot stand.
    Preset(&'n str),
}

impl RoutingTable {
    /// The table of a catalog. An endpoint that the registry does not know would be left out; a
    /// registry made for this catalog knows all.
    pub fn new(catalog: &Arc<Catalog>, registry: &HealthRegistry) -> Self {
        let slot = |endpoint: &Arc<Endpoint>| {
            let health = Arc::clone(registry.get(endpoint.id.as_str())?);
            Some(Arc::new(Slot::new(Arc::clone(endpoint), health)))
        };
        let row = |model: &Arc<Model>| {
            let slots = model.endpoints.iter().filter_map(slot).collect();
            Arc::new(Row::new(Arc::clone(model), slots))
        };
        let by_model = catalog.models().iter().map(|model| (model.id.clone(), row(model)));
        Self { by_model: by_model.collect(), catalog: Arc::clone(catalog), online: false }
    }

    /// The same, where there is a web search for `:online` or not.
    #[must_use]
    pub const fn with_online(mut self, online: bool) -> Self {
        self.online = online;
        self
    }

    /// The endpoints of the model that a name with its suffixes means.
    pub fn slots_of(&self, name: &str) -> Option<&[Arc<Slot>]> {
        self.find(name).ok().map(|found| found.row.slots.as_slice())
    }

    /// The endpoints of the model of this id.
    pub fn slots(&self, model: &str) -> Option<&[Arc<Slot>]> {
        self.by_model.get(model).map(|row| row.slots.as_slice())
    }

    /// The model of this id, dated name or alias, without suffixes.
    pub fn row(&self, name: &str) -> Option<&Arc<Row>> {
        if let Some(row) = self.by_model.get(name) {
            return Some(row);
        }
        let (model, _) = self.catalog.resolve(name)?;
        self.by_model.get(model.id.as_str())
    }

    /// The model that a name with its suffixes means.
    pub fn model(&self, name: &str) -> Option<&Arc<Model>> {
        self.find(name).ok().map(|found| &found.row.model)
    }

    /// What a name means, suffixes included. An id that is spelled like a suffix wins.
    pub(super) fn find<'t, 'n>(&'t self, name: &'n str) -> Result<Found<'t, 'n>, Lost<'n>> {
        if let Some(row) = self.row(name) {
            let named = Named { base: name, ..Named::default() };
            return Ok(Found { row, named, stands_in: false });
        }
        let named = Named::parse(name);
        if let Some(preset) = named.preset {
            return Err(Lost::Preset(preset));
        }
        if named.clash {
            return Err(Lost::Clash);
        }
        let (row, stands_in) = self.entry(&named)?;
        if named.online && !self.online {
            return Err(Lost::Online);
        }
        Ok(Found { row, named, stands_in })
    }

    fn entry<'n>(&self, named: &Named<'n>) -> Result<(&Arc<Row>, bool), Lost<'n>> {
        let Some(variant) = named.catalogue else {
            return self.row(named.base).map(|row| (row, false)).ok_or(Lost::Unknown);
        };
        if let Some(row) = self.row(&format!("{}{}", named.base, variant.suffix())) {
            return Ok((row, false));
        }
        let base = self.row(named.base).ok_or(Lost::Unknown)?;
        let stands_in = match variant {
            Catalogue::Free => false,
            Catalogue::Extended => true,
            Catalogue::Thinking => base.model.reasoning.is_some(),
        };
        let missing = Lost::NoVariant { base: named.base, variant };
        stands_in.then_some((base, true)).ok_or(missing)
    }

    /// The catalog that the table was made from.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }
}

/// A mark of an id: 24 bits.
fn mark(id: &str) -> u32 {
    let hash = id.bytes().fold(0_u64, |hash, byte| mix(hash ^ u64::from(byte)));
    u32::try_from(hash >> 40).unwrap_or_default()
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
