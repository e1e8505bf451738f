//! What a decision was made from, so that it can be made again.
//!
//! A record holds the request's features (never its text), the numbers that health gave for each
//! endpoint that passed the filters, the seed, and the version of the catalog. [`Record::decide`]
//! over the same catalog gives the same plan bit for bit; over another catalog it tells what would
//! have been decided there.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::numbers::Numbers;
use super::plan::{Plan, plan_from};
use super::{Features, Prefs, RoutingTable};
use crate::balance::{Nanos, Wait};
use crate::catalog::{Catalog, Model, Param, Tier};
use crate::error::GatewayError;
use crate::terms::Policy;

/// The inputs of one decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The generation's id.
    pub id: String,
    /// The version of the catalog that it was made over.
    pub catalog: String,
    /// What the draws come from.
    pub seed: u64,
    /// The model asked for.
    pub model: String,
    /// Models to fall back to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// What the caller is restricted to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Policy>,
    /// The caller's wishes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefs: Option<Prefs>,
    /// Tokens in the prompt, estimated.
    pub prompt_tokens: u64,
    /// The longest completion asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// The completion expected.
    pub expected_tokens: u64,
    /// What the caller waits for.
    pub wait: Wait,
    /// Names of parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<String>,
    /// The service tier asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// All models together.
    pub together: bool,
    /// The endpoint that has the prompt in its cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticky: Option<u32>,
    /// When the request arrived, in milliseconds since 1970.
    pub unix_ms: u64,
    /// What health said, by endpoint.
    pub health: Vec<(String, Numbers)>,
    /// The first choice; empty if the request was refused.
    pub first: String,
    /// [`digest`] of what was decided.
    pub digest: String,
}

/// A mark of all that a plan says, in sixteen hexadecimal digits: the same for two plans that are
/// the same to the last bit of every number.
pub fn digest(plan: &Plan) -> String {
    let mut hash = blake3::Hasher::new();
    for candidate in &plan.candidates {
        let score = &candidate.score;
        hash.update(candidate.slot.endpoint.id.as_str().as_bytes());
        hash.update(format!("{:?}{}", candidate.why, candidate.thinking).as_bytes());
        for number in [score.price_pico, score.price, score.speed, score.trouble, score.share] {
            hash.update(&number.to_bits().to_le_bytes());
        }
    }
    for (slot, by) in plan.dropped() {
        hash.update(slot.endpoint.id.as_str().as_bytes());
        hash.update(format!("{by:?}").as_bytes());
    }
    short(&hash)
}

/// A mark of all that routing reads of a catalog, in sixteen hexadecimal digits.
pub fn version(catalog: &Catalog) -> String {
    let mut hash = blake3::Hasher::new();
    for model in catalog.models() {
        let Model { id, canonical_slug, aliases, family, created, distillable, .. } = &**model;
        let facts = (&model.reasoning, model.expires);
        let named = (id, canonical_slug, aliases, family, created, distillable, facts);
        hash.update(format!("{named:?}").as_bytes());
        for endpoint in &model.endpoints {
            let e = &**endpoint;
            let named = (&e.id, &e.tag, &e.provider.id, &e.provider.name, e.tier);
            let limits = (e.context_length, e.max_output, e.weight.to_bits(), e.expires);
            let facts = (e.parameters, e.quantization, e.policy, &e.prices);
            hash.update(format!("{named:?}{limits:?}{facts:?}").as_bytes());
        }
    }
    short(&hash)
}

fn short(hash: &blake3::Hasher) -> String {
    hash.finalize().to_hex().as_str().chars().take(16).collect()
}

impl Record {
    /// Decides as [`plan`](super::plan()) does, and keeps what it was decided from.
    pub fn plan(
        table: &RoutingTable,
        features: &Features<'_>,
        seed: u64,
        now: Nanos,
    ) -> (Self, Result<Plan, GatewayError>) {
        let mut health = Vec::new();
        let plan = plan_from(table, features, seed, |slot, features| {
            let numbers = Numbers::read(&slot.health, features.wait, features.needs(), now);
            health.push((slot.endpoint.id.to_string(), numbers.clone()));
            numbers
        });
        let decided = plan.as_ref().ok();
        let first = decided.and_then(|plan| plan.candidates.first());
        let record = Self {
            first: first.map_or_else(String::new, |c| c.slot.endpoint.id.to_string()),
            digest: decided.map_or_else(String::new, digest),
            id: String::new(),
            catalog: String::new(),
            seed,
            model: features.model.to_owned(),
            models: features.models.to_vec(),
            policies: features.policies.iter().map(|policy| (*policy).clone()).collect(),
            prefs: features.prefs.cloned(),
            prompt_tokens: features.prompt_tokens,
            max_tokens: features.max_tokens,
            expected_tokens: features.expected_tokens,
            wait: features.wait,
            params: features.params.iter().map(|param| param.as_str().to_owned()).collect(),
            tier: features.tier.map(|tier| tier.as_str().to_owned()),
            together: features.together,
            sticky: features.sticky,
            unix_ms: features.unix_ms,
            health,
        };
        (record, plan)
    }

    /// Decides again, over this table's catalog; its own health is not looked at. An endpoint that
    /// the record does not know is taken for one that was never used.
    ///
    /// # Errors
    /// As [`plan`](super::plan()).
    pub fn decide(&self, table: &RoutingTable) -> Result<Plan, GatewayError> {
        let known: HashMap<&str, &Numbers> =
            self.health.iter().map(|(id, numbers)| (id.as_str(), numbers)).collect();
        let policies: Vec<&Policy> = self.policies.iter().collect();
        let features = Features {
            model: &self.model,
            models: &self.models,
            policies: &policies,
            prefs: self.prefs.as_ref(),
            prompt_tokens: self.prompt_tokens,
            max_tokens: self.max_tokens,
            expected_tokens: self.expected_tokens,
            wait: self.wait,
            params: self.params.iter().filter_map(|name| Param::parse(name)).collect(),
            tier: self.tier.as_deref().and_then(Tier::parse),
            together: self.together,
            sticky: self.sticky,
            unix_ms: self.unix_ms,
        };
        plan_from(table, &features, self.seed, |slot, _| {
            known
                .get(slot.endpoint.id.as_str())
                .map_or_else(Numbers::default, |numbers| (*numbers).clone())
        })
    }
}
