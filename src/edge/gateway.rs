//! What all requests share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::admin::Desk;
use crate::attempt;
use crate::balance::{HealthRegistry, HedgeSettings, RetryBudget};
use crate::cache;
use crate::catalog::listing::{self, Live, Query, Scope, View};
use crate::catalog::{Catalog, Habits, Provider, Share, Typical};
use crate::config;
use crate::content::Keeper;
use crate::dialect::preset::Preset;
use crate::edge::body::BodyLimits;
use crate::edge::cachestore::ResponseCache;
use crate::edge::calls::Calls;
use crate::edge::clock;
use crate::edge::decisions::Decisions;
use crate::edge::fetch::Fetcher;
use crate::edge::hedge::Hedges;
use crate::edge::own::OwnKeys;
use crate::edge::peer::Upstream;
use crate::events::Events;
use crate::ledger::Ledger;
use crate::observe::{self, AccessLog, Meters, Metrics};
use crate::plugins::Chain;
use crate::route::auto::Rule;
use crate::route::{Conversations, Plan, RoutingTable, record};
use crate::vocab::{KeyId, ModelId, ProviderId};

/// Everything that a request needs and that outlives it.
pub(crate) struct Gateway {
    /// What a reload swaps.
    pub(crate) now: ArcSwap<Snapshot>,
    /// Prepaid credit, keys and records.
    pub(crate) ledger: Ledger,
    /// Changes of it by management.
    pub(crate) desk: Arc<Desk>,
    /// What happens to accounts and keys.
    pub(crate) events: Arc<Events>,
    /// Retries that all requests together may make.
    pub(crate) retries: RetryBudget,
    /// Second attempts beside slow first ones.
    pub(crate) hedges: Hedges,
    /// Which endpoint has the prompt of a conversation in its cache.
    pub(crate) conversations: Conversations,
    /// Where decisions are written down; `None` where they are not.
    pub(crate) decisions: Option<Decisions>,
    /// Counters and histograms.
    pub(crate) metrics: Arc<Metrics>,
    /// One line per request; `None` where it is switched off.
    pub(crate) access: Option<AccessLog>,
    /// Whole answers; `None` where it is switched off.
    pub(crate) cache: Option<&'static ResponseCache>,
    /// Prompts and answers of accounts that have asked for it; `None` where there is no key.
    pub(crate) content: Option<Arc<Keeper>>,
    /// What plugins ask of the outside.
    pub(crate) calls: Calls,
    /// Memory for request bodies, in bytes.
    pub(crate) body_memory: Arc<Semaphore>,
    /// Requests that have arrived and not yet ended.
    pub(crate) in_flight: AtomicUsize,
    /// The server is shutting down: connections are not kept.
    pub(crate) draining: AtomicBool,
}

/// The configuration and what is built from it, as one immutable whole.
pub(crate) struct Snapshot {
    /// Latency and breakers by endpoint; they outlive a reload.
    pub(crate) health: HealthRegistry,
    /// Models by id, ready for a plan.
    pub(crate) table: RoutingTable,
    /// The same models, for listings.
    pub(crate) catalog: Arc<Catalog>,
    /// Which catalog it is, for records of decisions; empty where none are made.
    pub(crate) catalog_version: String,
    /// What `turnpike/auto` chooses by.
    pub(crate) auto: Vec<Rule>,
    /// What requests may build on, by name.
    pub(crate) presets: HashMap<String, Preset>,
    /// Where and how each provider is reached.
    pub(crate) upstreams: HashMap<ProviderId, Arc<Upstream>>,
    /// Accounts' own keys at providers.
    pub(crate) own: OwnKeys,
    /// What requests and answers go through.
    pub(crate) plugins: Arc<Chain>,
    /// Fetches what requests only point to.
    pub(crate) fetcher: Fetcher,
    /// The usual answer to `GET /v1/models`; `None` if it changes with the time of day.
    pub(crate) models_json: Option<Bytes>,
    /// Metric handles by model and provider.
    pub(crate) meters: Meters,
    /// Limits on request bodies.
    pub(crate) body: BodyLimits,
    /// The largest head, in bytes.
    pub(crate) header_bytes_max: usize,
    /// How long a client may take to accept a write.
    pub(crate) client_write_timeout: Duration,
    /// How long an idle connection is kept, in whole seconds (Pingora knows no others).
    pub(crate) keepalive_secs: u64,
    /// What accounts get off every price for letting their prompts and answers be learned from.
    pub(crate) logging_discount: Share,
    /// Attempts at most per request.
    pub(crate) attempts: attempt::Settings,
    /// When requests are hedged; `None`: never.
    pub(crate) hedging: Option<HedgeSettings>,
    /// How long each model's answers usually are.
    typical: HashMap<ModelId, Arc<Typical>>,
    /// How long they are for each caller.
    habits: Arc<Habits>,
    /// When the cache is used.
    pub(crate) cache: cache::Settings,
    /// There are providers whose answers are read on when the client has left.
    pub(crate) drains: bool,
}

impl Snapshot {
    /// Builds the snapshot of a configuration. Health is kept for endpoints that remain.
    ///
    /// # Errors
    /// A provider's path or credential cannot stand in a request's head.
    pub(crate) fn new(
        config: &config::Config,
        metrics: &Metrics,
        before: Option<&Self>,
    ) -> pingora::Result<Self> {
        let catalog = Arc::clone(&config.catalog);
        let mut upstreams = HashMap::new();
        for endpoint in catalog.endpoints() {
            let provider: &Arc<Provider> = &endpoint.provider;
            if !upstreams.contains_key(&provider.id) {
                let known = before.and_then(|b| b.upstreams.get(&provider.id));
                let upstream = Upstream::new(provider, known.map(Arc::as_ref))?;
                upstreams.insert(provider.id.clone(), Arc::new(upstream));
            }
        }
        let live = catalog.models().iter().filter(|model| !model.endpoints.is_empty());
        let typical = live.map(|model| {
            let known = before.and_then(|b| b.typical.get(&model.id)).map(Arc::clone);
            (model.id.clone(), known.unwrap_or_default())
        });
        let settings = config.routing.balance();
        let health = match before {
            Some(before) => before.health.reload(&catalog, settings),
            None => HealthRegistry::new(&catalog, settings),
        };
        let own = OwnKeys::new(&config.byok, &catalog, settings, before.map(|before| &before.own))?;
        Ok(Self {
            own,
            typical: typical.collect(),
            habits: before.map(|b| Arc::clone(&b.habits)).unwrap_or_default(),
            table: RoutingTable::new(&catalog, &health).with_online(config.plugins.has_web()),
            plugins: Arc::clone(&config.plugins),
            catalog_version: match &config.routing.decisions {
                Some(_) => record::version(&catalog),
                None => String::new(),
            },
            health,
            auto: config.auto.clone(),
            presets: config.presets.clone(),
            fetcher: Fetcher::new(config.media)?,
            models_json: usual_list(&catalog),
            meters: Meters::new(metrics, &catalog),
            upstreams,
            body: BodyLimits {
                bytes_max: config.server.body_bytes_max,
                pause: config.server.request_body_timeout,
            },
            header_bytes_max: config.server.header_bytes_max,
            client_write_timeout: config.server.client_write_timeout,
            keepalive_secs: whole_seconds(config.server.keepalive_timeout),
            logging_discount: config.ledger.logging_discount,
            attempts: config.routing.attempts(),
            hedging: config.routing.hedging,
            cache: cache::Settings {
                standing: cache::Standing::OnRequest,
                ttl_secs: u32::try_from(config.cache.ttl_default.as_secs()).unwrap_or(u32::MAX),
            },
            drains: config.catalog.endpoints().any(|endpoint| endpoint.provider.drains),
            catalog,
        })
    }

    /// The usual length of this plan's first choice's answers to a caller, in tokens: the model's
    /// as long as the caller's is not known.
    pub(crate) fn typical(&self, plan: &Plan, caller: &KeyId) -> u64 {
        let Some(first) = plan.candidates.first() else { return 0 };
        let model = &first.slot.endpoint.model;
        let known = self.habits.tokens(caller.as_str(), model.as_str());
        known.unwrap_or_else(|| self.typical.get(model).map_or(0, |t| t.tokens()))
    }

    /// The usual length of an answer of the model that this name means, in tokens.
    pub(crate) fn expected(&self, name: &str) -> u64 {
        let model = self.table.model(name);
        model.and_then(|model| self.typical.get(&model.id)).map_or(0, |t| t.tokens())
    }

    /// Learns from an answer of this length to a caller.
    pub(crate) fn learn_length(&self, model: &ModelId, caller: &KeyId, tokens: u64) {
        if let Some(typical) = self.typical.get(model) {
            typical.learn(tokens);
            self.habits.learn(caller.as_str(), model.as_str(), tokens, typical.tokens());
        }
    }
}

/// The answer to `GET /v1/models` without a query.
fn usual_list(catalog: &Catalog) -> Option<Bytes> {
    if listing::depends_on_time(catalog) {
        return None;
    }
    let view = View { catalog, live: &|_| Live::default(), now_ms: clock::unix_ms() };
    Some(view.models(Scope::All, &Query::default(), "/v1/models"))
}

/// Rounded up, since 0 would mean for ever.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Counts a request as in flight until it is dropped.
pub(crate) struct Presence {
    gateway: Arc<Gateway>,
    _gauge: observe::InFlight,
}

impl Presence {
    pub(crate) fn enter(gateway: &Arc<Gateway>) -> Self {
        gateway.in_flight.fetch_add(1, Ordering::Relaxed);
        Self { gateway: Arc::clone(gateway), _gauge: gateway.metrics.enter() }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.gateway.in_flight.fetch_sub(1, Ordering::Release);
    }
}
