//! `[[models]]` → [`Model`]s.

use std::collections::HashSet;
use std::sync::Arc;

use super::endpoints::{self, CONTEXT_MAX, Ids, Parent, Templates};
use super::facts;
use super::fault::{At, Faults};
use super::file;
use super::providers::{Providers, display_name};
use crate::catalog::{Endpoint, Modalities, Modality, Model, Params};
use crate::vocab::ModelId;

/// The most models of one configuration.
const MODELS_MAX: usize = 100_000;
/// The most endpoints of one model.
const ENDPOINTS_MAX: usize = 1_000;
/// The most other names of one model.
const ALIASES_MAX: usize = 64;
/// What a prompt may hold.
const INPUTS: [Modality; 5] =
    [Modality::Text, Modality::Image, Modality::File, Modality::Audio, Modality::Video];
/// What an answer may hold.
const OUTPUTS: [Modality; 6] = [
    Modality::Text,
    Modality::Image,
    Modality::Audio,
    Modality::Video,
    Modality::Embeddings,
    Modality::Rerank,
];

/// Resolves every `[[models]]`. Endpoints at providers that are switched off are left out, and
/// so are models without another. `alone` says that there are no catalog files.
pub(super) fn resolve(
    raw: &[file::Model],
    providers: &Providers,
    alone: bool,
    (ids, templates): (&mut Ids, &mut Templates<'_>),
    faults: &mut Faults,
) -> Vec<Model> {
    if raw.is_empty() && alone {
        faults.add("models", "is empty; at least one [[models]] is needed");
    }
    if raw.len() > MODELS_MAX {
        faults.add("models", format!("has more than {MODELS_MAX} entries"));
        return Vec::new();
    }
    let mut models = Vec::with_capacity(raw.len());
    for (i, raw) in raw.iter().enumerate() {
        let mut at = At::new(format!("models[{i}]"), faults);
        let model = model(raw, providers, (ids, templates), &mut at);
        models.extend(model.filter(|m| m.all_endpoints().next().is_some()));
    }
    models
}

/// An alias means one model, and no model has it as its id.
pub(super) fn check_aliases(raw: &[file::Model], ids: &Ids, faults: &mut Faults) {
    let mut seen = HashSet::new();
    for (i, model) in raw.iter().enumerate() {
        let mut at = At::new(format!("models[{i}]"), faults);
        for (j, alias) in model.aliases.iter().enumerate().take(ALIASES_MAX) {
            let key = format!("aliases[{j}]");
            if let Err(error) = ModelId::parse(alias) {
                at.fault(&key, error.to_string());
            } else if ids.models.contains(alias.as_str()) {
                at.fault(&key, format!("is {alias}, which is the id of a model"));
            } else if !seen.insert(alias) {
                at.fault(&key, format!("is {alias}, which is an alias already"));
            }
        }
    }
}

/// `None` after a fault of the id.
fn model(
    raw: &file::Model,
    providers: &Providers,
    (ids, templates): (&mut Ids, &mut Templates<'_>),
    at: &mut At<'_>,
) -> Option<Model> {
    let id = id(raw, ids, at);
    let context = raw.context_length.map(|n| at.int32("context_length", n, 1, CONTEXT_MAX));
    let hosts = hosts(raw, id.as_ref(), context, providers, (ids, templates), at)?;
    describe(raw, id, hosts, at)
}

/// The model with these endpoints; `None` without an id.
pub(super) fn describe(
    raw: &file::Model,
    id: Option<ModelId>,
    hosts: Vec<Arc<Endpoint>>,
    at: &mut At<'_>,
) -> Option<Model> {
    if raw.description.len() > 16_384 {
        at.fault("description", "must have at most 16384 bytes");
    }
    if raw.aliases.len() > ALIASES_MAX {
        at.fault("aliases", format!("has more than {ALIASES_MAX} entries"));
    }
    let name = display_name(at, raw.name.as_deref(), &raw.id);
    let created = at.int("created", raw.created, 0, 253_402_300_799);
    let input_modalities = modalities(at, "input_modalities", &raw.input_modalities, &INPUTS);
    let output_modalities = modalities(at, "output_modalities", &raw.output_modalities, &OUTPUTS);
    let context_length = hosts.iter().map(|e| e.context_length).max().unwrap_or_default();
    let supported_parameters = hosts.iter().fold(Params::NONE, |all, e| all.union(e.parameters));
    let (endpoints, dormant) = hosts.into_iter().partition(|e| e.provider.is_live());
    let model = Model {
        canonical_slug: facts::canonical_slug(raw, at),
        aliases: raw.aliases.clone(),
        family: facts::family(raw.family.as_deref(), at),
        name,
        created,
        description: raw.description.clone(),
        context_length,
        input_modalities,
        output_modalities,
        tokenizer: facts::line(at, "tokenizer", raw.tokenizer.as_deref()),
        instruct_type: facts::line(at, "instruct_type", raw.instruct_type.as_deref()),
        hugging_face_id: facts::line(at, "hugging_face_id", raw.hugging_face_id.as_deref()),
        open_weights: raw.open_weights,
        distillable: raw.distillable,
        reasoning: raw.reasoning.as_ref().map(|r| facts::reasoning(r, &mut at.within("reasoning"))),
        knowledge_cutoff: facts::cutoff(raw.knowledge_cutoff.as_deref(), at),
        expires: facts::day(at, "expires", raw.expires.as_deref()),
        default_parameters: facts::default_parameters(
            &raw.default_parameters,
            &mut at.within("default_parameters"),
        ),
        supported_parameters,
        endpoints,
        dormant,
        ..Model::new(id?)
    };
    Some(model)
}

/// The id, if it is one that no other model has.
pub(super) fn id(raw: &file::Model, ids: &mut Ids, at: &mut At<'_>) -> Option<ModelId> {
    let id = match ModelId::parse(&raw.id) {
        Ok(id) => id,
        Err(error) => {
            let empty = raw.id.is_empty();
            at.fault("id", if empty { "is required".into() } else { error.to_string() });
            return None;
        }
    };
    if !ids.models.insert(id.clone()) {
        at.fault("id", format!("is {id}, which another model has; each needs its own"));
    }
    Some(id)
}

/// The model's endpoints; `None` if there are too many.
fn hosts(
    raw: &file::Model,
    id: Option<&ModelId>,
    context: Option<u32>,
    providers: &Providers,
    (ids, templates): (&mut Ids, &mut Templates<'_>),
    at: &mut At<'_>,
) -> Option<Vec<Arc<Endpoint>>> {
    if raw.endpoints.is_empty() {
        at.fault("endpoints", "is empty; at least one [[models.endpoints]] is needed");
    }
    if raw.endpoints.len() > ENDPOINTS_MAX {
        at.fault("endpoints", format!("has more than {ENDPOINTS_MAX} entries"));
        return None;
    }
    let mut hosts: Vec<Arc<Endpoint>> = Vec::with_capacity(raw.endpoints.len());
    let mut places = HashSet::new();
    for (i, raw) in raw.endpoints.iter().enumerate() {
        let mut at = at.element("endpoints", i);
        let variant = (&raw.variant, &raw.tier, &raw.region);
        if !raw.provider.is_empty() && !places.insert((&raw.provider, &raw.upstream_model, variant))
        {
            at.fault(
                "upstream_model",
                "is the same at the same provider as in another endpoint; a variant can tell them \
                 apart",
            );
        }
        let parent = Parent { id, context };
        let endpoint = endpoints::endpoint(raw, &parent, providers, (ids, templates), &mut at);
        hosts.extend(endpoint.map(Arc::new));
    }
    Some(hosts)
}

/// A list of kinds out of a closed set, each at most once, at least one.
fn modalities(at: &mut At<'_>, key: &str, list: &[String], allowed: &[Modality]) -> Modalities {
    let names = || allowed.iter().map(|m| m.as_str()).collect::<Vec<_>>().join(", ");
    if list.is_empty() {
        at.fault(key, format!("is empty; allowed are {}", names()));
    }
    let mut set = Modalities::default();
    for (i, name) in list.iter().enumerate().take(allowed.len() + 1) {
        match Modality::parse(name).filter(|modality| allowed.contains(modality)) {
            None => at.fault(&format!("{key}[{i}]"), format!("must be one of {}", names())),
            Some(modality) if !set.insert(modality) => {
                at.fault(&format!("{key}[{i}]"), format!("is {name}, which is listed already"));
            }
            Some(_) => {}
        }
    }
    set
}
