//! The catalog as clients list it: `GET /v1/models` and its kin.
//!
//! The objects are OpenRouter's (its public API reference, read 2026-09, and the schemas of its
//! SDK 1.3.19) with OpenAI's fields (`object`, `owned_by`) beside them, so that SDKs of both
//! understand them. Prices are those of the model's cheapest endpoint, as decimal strings in dollars
//! per token or unit. A special price that an endpoint does not have is left out: clients take its
//! presence as the ability to cache.
//!
//! What is listed includes endpoints that lack a credential here; [`Scope::Usable`] leaves out the
//! models that have no other.

mod entry;
mod query;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use serde::Serialize;

use super::{Catalog, Endpoint, How, Modality, Model, Param};
use entry::{Entry, Hosted, Names};

pub use query::{BadQuery, Query};

/// What is measured of an endpoint, where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Live {
    /// Per cent of requests that did not fail in the last 5 minutes.
    pub uptime_last_5m: Option<f64>,
    /// The same of the last 30 minutes.
    pub uptime_last_30m: Option<f64>,
    /// The same of the last day.
    pub uptime_last_1d: Option<f64>,
    /// Milliseconds to the first token in the last 30 minutes.
    pub latency_last_30m: Option<Percentiles>,
    /// Completion tokens per second in the last 30 minutes.
    pub throughput_last_30m: Option<Percentiles>,
}

/// The value that so many of the samples do not do worse than: at most this latency, at least this
/// throughput.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half of them.
    pub p50: f64,
    /// Three quarters.
    pub p75: f64,
    /// Nine tenths.
    pub p90: f64,
    /// 99 of a hundred.
    pub p99: f64,
}

/// Tells what is measured of an endpoint.
pub type Measured<'a> = &'a dyn Fn(&Endpoint) -> Live;

/// What a listing is made of.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The models.
    pub catalog: &'a Catalog,
    /// What is measured of their endpoints.
    pub live: Measured<'a>,
    /// Now, in milliseconds since 1970.
    pub now_ms: u64,
}

impl std::fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("now_ms", &self.now_ms).finish_non_exhaustive()
    }
}

/// Which models are listed before any filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those that answer in words, unless the query says otherwise (`/models`).
    All,
    /// The same, as far as they can be asked here (`/models/user`).
    Usable,
    /// Those that make embeddings (`/embeddings/models`).
    Embeddings,
}

impl View<'_> {
    /// The body of `GET /v1/models`, `/v1/models/user` and `/v1/embeddings/models`. `path` is that
    /// of the request, for the link to the next page.
    pub fn models(&self, scope: Scope, query: &Query, path: &str) -> Bytes {
        let found = self.find(scope, query);
        let total = found.len();
        let (offset, limit) = query.page().unwrap_or((0, total));
        let page = found.into_iter().skip(offset).take(limit);
        let minute = super::utc_minute(self.now_ms);
        let data: Vec<Entry<'_>> =
            page.map(|listed| Entry::new(listed.model, listed.alias, minute)).collect();
        let more = offset + data.len() < total && !data.is_empty();
        let next = more.then(|| query.next(path, offset + limit, limit));
        json(&List { object: "list", data, total_count: total, links: Links { next } })
    }

    /// The body of `GET /v1/models/count`.
    pub fn count(&self, query: &Query) -> Bytes {
        #[derive(Serialize)]
        struct Count {
            count: usize,
        }
        json(&Data { data: Count { count: self.find(Scope::All, query).len() } })
    }

    /// The body of `GET /v1/models/{id}`: OpenAI's bare object, and OpenRouter's `data` beside its
    /// members.
    pub fn one(&self, model: &Model) -> Bytes {
        #[derive(Serialize)]
        struct Both<'a> {
            #[serde(flatten)]
            bare: &'a Entry<'a>,
            data: &'a Entry<'a>,
        }
        let entry = Entry::new(model, None, super::utc_minute(self.now_ms));
        json(&Both { bare: &entry, data: &entry })
    }

    /// The body of `GET /v1/models/{author}/{slug}/endpoints`. `hosts` is false for a variant of
    /// the model that nobody hosts.
    pub fn endpoints(&self, model: &Model, hosts: bool, perf: bool) -> Bytes {
        #[derive(Serialize)]
        struct Listed<'a> {
            id: &'a str,
            name: &'a str,
            created: u64,
            description: &'a str,
            architecture: entry::Architecture<'a>,
            endpoints: Vec<Hosted<'a>>,
        }
        let endpoints = model.all_endpoints().filter(|_| hosts);
        json(&Data {
            data: Listed {
                id: model.id.as_str(),
                name: &model.name,
                created: model.created,
                description: &model.description,
                architecture: entry::Architecture::new(model),
                endpoints: endpoints.map(|e| self.hosted(model, e, perf)).collect(),
            },
        })
    }

    /// The body of `GET /v1/endpoints/zdr`: all endpoints that keep nothing.
    pub fn zero_retention(&self, perf: bool) -> Bytes {
        let models = self.catalog.models().iter();
        let pairs = models.flat_map(|model| model.all_endpoints().map(move |e| (model, e)));
        let kept = pairs.filter(|(_, endpoint)| endpoint.policy.zero_retention());
        json(&Data { data: kept.map(|(m, e)| self.hosted(m, e, perf)).collect::<Vec<_>>() })
    }

    /// Percentiles are shown to callers only, as OpenRouter does.
    fn hosted<'a>(&self, model: &'a Model, endpoint: &'a Endpoint, perf: bool) -> Hosted<'a> {
        let mut live = (self.live)(endpoint);
        if !perf {
            live.latency_last_30m = None;
            live.throughput_last_30m = None;
        }
        Hosted::new(model, endpoint, live, super::utc_minute(self.now_ms))
    }

    /// The models that the query asks for, in its order.
    fn find(&self, scope: Scope, query: &Query) -> Vec<Listed<'_>> {
        let models = self.catalog.models().iter();
        let mut found: Vec<Listed<'_>> =
            models.map(|model| Listed { model, alias: None }).collect();
        let mut latest: Vec<Listed<'_>> = self
            .catalog
            .latest()
            .map(|(alias, model)| Listed { model, alias: Some(alias) })
            .collect();
        latest.sort_by_key(|listed| listed.alias);
        found.extend(latest);
        found.retain(|listed| self.is_listed(listed, scope, query));
        query.sort(&mut found, self.live);
        found
    }

    fn is_listed(&self, listed: &Listed<'_>, scope: Scope, query: &Query) -> bool {
        let model = listed.model;
        let now = self.now_ms / 1_000;
        let in_scope = match scope {
            Scope::All => query.fits_output(model),
            Scope::Usable => query.fits_output(model) && !model.endpoints.is_empty(),
            Scope::Embeddings => model.output_modalities.contains(Modality::Embeddings),
        };
        in_scope && !model.is_expired(now) && query.fits(listed, now)
    }
}

/// A model in a list, under its id or under `~author/family-latest`.
#[derive(Clone, Copy, Debug)]
struct Listed<'a> {
    model: &'a Model,
    alias: Option<&'a str>,
}

/// The model that a path of the catalog's API names, and whether the variant that it names is
/// there. Variants that only say how to route are dropped.
pub fn find<'a>(catalog: &'a Catalog, id: &str) -> Option<(&'a Model, bool)> {
    /// Suffixes that have entries of their own.
    const OF_CATALOG: [&str; 4] = ["free", "thinking", "extended", "batch"];
    /// Suffixes that say how to route.
    const OF_ROUTING: [&str; 4] = ["nitro", "floor", "exacto", "online"];
    let exact = |id: &str| catalog.resolve(id).map(|(model, _): (_, How)| model.as_ref());
    if let Some(model) = exact(id) {
        return Some((model, true));
    }
    let mut parts = id.split(':');
    let base = parts.next()?;
    let mut variant = None;
    for suffix in parts {
        if OF_CATALOG.contains(&suffix) && variant.is_none() {
            variant = Some(suffix);
        } else if !OF_ROUTING.contains(&suffix) {
            return None;
        }
    }
    let found = match variant {
        Some(variant) => exact(&format!("{base}:{variant}")),
        None => exact(base),
    };
    found.map(|model| (model, true)).or_else(|| exact(base).map(|model| (model, false)))
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
        headquarters: Option<&'a str>,
        datacenters: Option<&'a [String]>,
    }
    let data = catalog.providers().iter().map(|provider| {
        let profile = &provider.profile;
        Entry {
            name: &provider.name,
            slug: provider.id.as_str(),
            privacy_policy_url: profile.privacy_policy_url.as_deref(),
            terms_of_service_url: profile.terms_of_service_url.as_deref(),
            status_page_url: profile.status_page_url.as_deref(),
            headquarters: profile.headquarters.as_deref(),
            datacenters: Some(profile.datacenters.as_slice()).filter(|list| !list.is_empty()),
        }
    });
    json(&Data { data: data.collect::<Vec<_>>() })
}

/// The body of `GET /v1/parameters/{author}/{slug}`: what the model takes anywhere, or at one
/// provider, given by slug, tag or name; `None` if it does not host the model.
pub fn parameters(model: &Model, provider: Option<&str>) -> Option<Bytes> {
    #[derive(Serialize)]
    struct Taken<'a> {
        model: &'a str,
        supported_parameters: Names<Param>,
    }
    let set = match provider {
        None => model.supported_parameters,
        Some(name) => {
            let named = model.all_endpoints().filter(|endpoint| endpoint.is_at(name));
            named.map(|endpoint| endpoint.parameters).reduce(super::Params::union)?
        }
    };
    let supported_parameters = entry::parameters(set);
    Some(json(&Data { data: Taken { model: model.id.as_str(), supported_parameters } }))
}

/// Whether the list of models changes with the time of day.
pub fn depends_on_time(catalog: &Catalog) -> bool {
    let mut models = catalog.models().iter();
    models.any(|model| {
        let hours = |e: &Endpoint| e.prices.overrides().iter().any(|o| o.hours.is_some());
        model.expires.is_some() || model.all_endpoints().any(|endpoint| hours(endpoint))
    })
}

/// OpenRouter wraps most answers in `data`.
#[derive(Serialize)]
struct Data<T> {
    data: T,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Entry<'a>>,
    total_count: usize,
    links: Links,
}

#[derive(Serialize)]
struct Links {
    next: Option<String>,
}

fn json(value: &impl Serialize) -> Bytes {
    #[expect(clippy::expect_used, reason = "texts and numbers always have a JSON form")]
    let text = serde_json::to_vec(value).expect("plain data");
    text.into()
}

/// The endpoint that costs least for a prompt token and a completion token together, the earlier
/// of equals; endpoints of a tier that must be asked for come last.
fn cheapest(model: &Model) -> Option<&Endpoint> {
    let price = |e: &Endpoint| {
        let prices = e.prices.base;
        let tokens = u128::from(prices.prompt.0) + u128::from(prices.completion.0);
        (e.tier != super::Tier::Default, tokens, prices.request)
    };
    model.all_endpoints().map(AsRef::as_ref).min_by_key(|e| price(e))
}
