//! What can be asked for: models, the providers that host them, and what each costs.
//!
//! A [`Catalog`] is an immutable snapshot that is built once (by `config`) and swapped whole.

pub mod date;
mod endpoint;
pub mod habits;
pub mod listing;
mod modality;
mod model;
pub mod params;
pub mod policy;
pub mod price;
mod provider;
pub mod quantization;
pub mod share;
pub mod tariff;
pub mod typical;

use std::collections::HashMap;
use std::sync::Arc;

use crate::vocab::ModelId;

pub use endpoint::{Endpoint, Region, Tier};
pub use habits::Habits;
pub use modality::{Modalities, Modality};
pub use model::{DefaultParameters, Model, Reasoning};
pub use params::{Param, Params};
pub use policy::{DataPolicy, Retention};
pub use price::Prices;
pub use provider::{
    Access, Auth, AwsKeys, Origin, Probe, ProbeAsk, Profile, Provider, Secret, Timeouts,
};
pub use quantization::Quantization;
pub use share::Share;
pub use tariff::{Hours, Override, Quote, Tariff, utc_minute};
pub use typical::Typical;

/// Everything that can be asked for, as an immutable snapshot.
#[derive(Debug, Default)]
pub struct Catalog {
    models: HashMap<ModelId, Arc<Model>>,
    /// Other names of models, and what each is.
    names: HashMap<Box<str>, (Arc<Model>, How)>,
    order: Vec<Arc<Model>>,
    providers: Vec<Arc<Provider>>,
}

/// How a name led to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It is the model's id.
    Id,
    /// It is the model's dated name.
    Canonical,
    /// It is another of the model's names.
    Alias,
    /// It is `~author/family-latest`, and the model is the newest of the family.
    Latest,
}

impl Catalog {
    /// A catalog of these models, listed in this order, and of the providers that host them. A
    /// model that comes twice keeps its first place and its last contents; `config` refuses
    /// duplicates before.
    pub fn new(models: Vec<Model>) -> Self {
        Self::with_providers(models, Vec::new())
    }

    /// As [`Self::new`], with providers that are listed whether they host a model or not.
    pub fn with_providers(models: Vec<Model>, mut providers: Vec<Arc<Provider>>) -> Self {
        let order: Vec<Arc<Model>> = models.into_iter().map(Arc::new).collect();
        let models = order.iter().map(|m| (m.id.clone(), Arc::clone(m))).collect();
        let mut listed: std::collections::HashSet<_> =
            providers.iter().map(|provider| provider.id.clone()).collect();
        for endpoint in order.iter().flat_map(|model| model.all_endpoints()) {
            if listed.insert(endpoint.provider.id.clone()) {
                providers.push(Arc::clone(&endpoint.provider));
            }
        }
        let names = names(&order);
        Self { models, names, order, providers }
    }

    /// The model of this id.
    pub fn model(&self, id: &str) -> Option<&Arc<Model>> {
        self.models.get(id)
    }

    /// The model that a name means, and how: an id, a dated name, an alias, or
    /// `~author/family-latest`.
    pub fn resolve(&self, name: &str) -> Option<(&Arc<Model>, How)> {
        if let Some(model) = self.models.get(name) {
            return Some((model, How::Id));
        }
        self.names.get(name).map(|(model, how)| (model, *how))
    }

    /// All models in the order of the configuration.
    pub fn models(&self) -> &[Arc<Model>] {
        &self.order
    }

    /// All endpoints of all models that can be asked.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.order.iter().flat_map(|m| &m.endpoints)
    }

    /// All providers, whether they can be asked or not.
    pub fn providers(&self) -> &[Arc<Provider>] {
        &self.providers
    }

    /// The names `~author/family-latest`, each with the model that it means.
    pub fn latest(&self) -> impl Iterator<Item = (&str, &Arc<Model>)> {
        let latest = self.names.iter().filter(|(_, (_, how))| *how == How::Latest);
        latest.map(|(name, (model, _))| (&**name, model))
    }
}

/// The names of models beside their ids. An alias stands before a dated name, the earlier model
/// before the later.
fn names(models: &[Arc<Model>]) -> HashMap<Box<str>, (Arc<Model>, How)> {
    let mut names: HashMap<Box<str>, (Arc<Model>, How)> = HashMap::new();
    for model in models {
        for alias in &model.aliases {
            names.entry(alias.as_str().into()).or_insert((Arc::clone(model), How::Alias));
        }
    }
    for model in models.iter().filter(|model| model.canonical_slug != model.id.as_str()) {
        let name = model.canonical_slug.as_str().into();
        names.entry(name).or_insert((Arc::clone(model), How::Canonical));
    }
    for (family, newest) in newest(models) {
        names.entry(family.into()).or_insert((newest, How::Latest));
    }
    names
}

/// The newest model of each family that can be asked, or, if none can, the newest. The higher
/// version is the newer one, then the later published, then the later told: not every source knows
/// when a model was published, while its slug has the version. Variants are no models of their own
/// here.
fn newest(models: &[Arc<Model>]) -> HashMap<String, Arc<Model>> {
    let mut newest: HashMap<String, Arc<Model>> = HashMap::new();
    let rank = |model: &Model| (!model.endpoints.is_empty(), version(model), model.created);
    for model in models.iter().filter(|model| model.variant().is_none()) {
        let (Some(author), Some(family)) = (model.author(), &model.family) else { continue };
        let best =
            newest.entry(format!("~{author}/{family}-latest")).or_insert_with(|| model.clone());
        if rank(model) >= rank(best) {
            *best = Arc::clone(model);
        }
    }
    newest
}

/// The numbers in a slug, dates left out: `[4, 5, 0]` in `claude-sonnet-4.5`.
fn version(model: &Model) -> [u16; 3] {
    let slug = model.id.as_str().rsplit('/').next().unwrap_or_default();
    let numbers = slug.split(|c: char| !c.is_ascii_digit()).filter(|n| (1..=3).contains(&n.len()));
    let mut version = [0; 3];
    for (part, number) in version.iter_mut().zip(numbers) {
        *part = number.parse().unwrap_or_default();
    }
    version
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;
    use crate::vocab::{EndpointId, ProviderId};

    fn model(id: &str, created: u64, live: bool) -> Model {
        let origin = Origin { tls: false, host: "h".into(), port: 1, authority: "h:1".into() };
        let provider = Provider {
            missing: if live { Vec::new() } else { vec!["KEY".into()] },
            ..Provider::new(
                ProviderId::parse(if live { "live" } else { "dormant" }).unwrap(),
                Dialect::OpenAi,
                origin,
            )
        };
        let id = ModelId::parse(id).unwrap();
        let endpoint = EndpointId::parse(&format!("{}/{id}", provider.id)).unwrap();
        let endpoint = Endpoint::new(endpoint, Arc::new(provider), id.clone(), "m", 10);
        let (endpoints, dormant) = if live {
            (vec![Arc::new(endpoint)], Vec::new())
        } else {
            (Vec::new(), vec![Arc::new(endpoint)])
        };
        Model { created, family: Some("big".into()), endpoints, dormant, ..Model::new(id) }
    }

    #[test]
    fn latest_is_the_newest_that_can_be_asked() {
        let catalog = Catalog::new(vec![
            model("a/big-1", 1, true),
            model("a/big-2", 2, true),
            model("a/big-2:free", 9, true),
            model("a/big-3", 3, false),
            model("b/big-1", 1, false),
        ]);
        let found = |name: &str| catalog.resolve(name).map(|(m, how)| (m.id.to_string(), how));
        assert_eq!(found("~a/big-latest"), Some(("a/big-2".to_owned(), How::Latest)));
        assert_eq!(found("~b/big-latest"), Some(("b/big-1".to_owned(), How::Latest)));
        assert_eq!(found("~a/small-latest"), None);
        assert_eq!(catalog.latest().count(), 2);
        let providers: Vec<&str> = catalog.providers().iter().map(|p| p.id.as_str()).collect();
        assert_eq!(providers, ["live", "dormant"]);
        assert_eq!(catalog.endpoints().count(), 3, "dormant endpoints are not routed to");
        let missing = catalog.model("b/big-1").unwrap();
        assert_eq!(missing.missing(), [&["KEY".to_owned()][..]]);
    }

    #[test]
    fn versions_are_told_by_slugs() {
        for (id, expected) in [
            ("anthropic/claude-3.5-sonnet", [3, 5, 0]),
            ("anthropic/claude-sonnet-5", [5, 0, 0]),
            ("openai/gpt-4o-2024-11-20", [4, 11, 20]),
            ("mistralai/mistral-large-2512", [0, 0, 0]),
        ] {
            assert_eq!(version(&Model::new(ModelId::parse(id).unwrap())), expected, "{id}");
        }
        let catalog = Catalog::new(vec![model("a/big-5.5", 0, true), model("a/big-5", 9, true)]);
        let (newest, _) = catalog.resolve("~a/big-latest").unwrap();
        assert_eq!(newest.id.as_str(), "a/big-5.5", "though nobody knows when it was published");
    }

    #[test]
    fn names_never_hide_ids() {
        let named = |id: &str, canonical: &str, alias: &str| Model {
            canonical_slug: canonical.into(),
            aliases: vec![alias.into()],
            ..model(id, 1, true)
        };
        let catalog = Catalog::new(vec![
            named("a/one", "a/one-2025-01-01", "a/two"),
            named("a/two", "a/two-2025-01-01", "a/uno"),
        ]);
        for (name, id, how) in [
            ("a/two", "a/two", How::Id),
            ("a/uno", "a/two", How::Alias),
            ("a/one-2025-01-01", "a/one", How::Canonical),
        ] {
            let (model, found) = catalog.resolve(name).unwrap();
            assert_eq!((model.id.as_str(), found), (id, how), "{name}");
        }
    }
}
