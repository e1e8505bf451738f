//! Accounts' own keys at providers (bring your own key).
//!
//! An account's own key makes an endpoint of its own of every endpoint of its provider, with a
//! credential, a health and a price of its own. They come before all others in a plan, whatever the
//! plan's order, as at OpenRouter. Nothing is done for a gateway without such keys.

use std::collections::HashMap;
use std::sync::Arc;

use crate::balance::{EndpointHealth, Settings};
use crate::catalog::{Access, Catalog, Endpoint};
use crate::config::Byok;
use crate::edge::peer::Upstream;
use crate::error::{GatewayError, Kind};
use crate::route::{Candidate, Plan, Slot};
use crate::vocab::{AccountId, EndpointId};

/// The most candidates of a plan.
const CANDIDATES_MAX: usize = 64;

/// All accounts' own keys.
#[derive(Default)]
pub(crate) struct OwnKeys {
    by_account: HashMap<AccountId, Vec<Arc<OwnKey>>>,
    /// There are providers at which only accounts have keys.
    only: bool,
}

/// A key, and what it can be used for.
struct OwnKey {
    upstream: Arc<Upstream>,
    /// The endpoints of its provider.
    slots: HashMap<EndpointId, Arc<Slot>>,
    /// Whether the gateway's own key may be used after it.
    fallback: bool,
}

impl OwnKeys {
    /// The keys of a configuration. Of a key that was there before a reload, what is known of its
    /// endpoints and addresses stays.
    ///
    /// # Errors
    /// A key cannot stand in a request's head.
    pub(crate) fn new(
        keys: &[Byok],
        catalog: &Catalog,
        settings: Settings,
        before: Option<&Self>,
    ) -> pingora::Result<Self> {
        let only = catalog.endpoints().any(|e| e.provider.access == Access::OwnOnly);
        let mut own = Self { only, ..Self::default() };
        for key in keys {
            let id = &key.provider.id;
            let known = key.accounts.first().zip(before);
            let known = known.and_then(|(account, before)| before.by_account.get(account));
            let known = known.and_then(|keys| {
                keys.iter().find(|known| known.upstream.provider.auth == key.provider.auth)
            });
            let upstream = Upstream::new(&key.provider, known.map(|known| &*known.upstream))?;
            let slot = |endpoint: &Arc<Endpoint>| {
                let known = known.and_then(|known| known.slots.get(&endpoint.id));
                let health = known.map(|slot| Arc::clone(&slot.health));
                let health = health.unwrap_or_else(|| Arc::new(EndpointHealth::new(settings)));
                health.set_settings(settings);
                let provider = Arc::clone(&key.provider);
                let endpoint = Arc::new(Endpoint { provider, ..Endpoint::clone(endpoint) });
                (endpoint.id.clone(), Arc::new(Slot::new(endpoint, health)))
            };
            let endpoints = catalog.endpoints().filter(|endpoint| endpoint.provider.id == *id);
            let made = Arc::new(OwnKey {
                upstream: Arc::new(upstream),
                slots: endpoints.map(slot).collect(),
                fallback: key.fallback,
            });
            for account in &key.accounts {
                own.by_account.entry(account.clone()).or_default().push(Arc::clone(&made));
            }
        }
        Ok(own)
    }

    /// Puts the endpoints of the account's own keys first. What only other accounts' keys can be
    /// used for goes.
    ///
    /// # Errors
    /// Nothing is left.
    pub(crate) fn expand(&self, plan: &mut Plan, account: &AccountId) -> Result<(), GatewayError> {
        let keys = self.by_account.get(account).map(Vec::as_slice).unwrap_or_default();
        if keys.is_empty() && !self.only {
            return Ok(());
        }
        let mut first: Vec<Candidate> = Vec::with_capacity(plan.candidates.len());
        let mut rest = Vec::with_capacity(plan.candidates.len());
        for candidate in plan.candidates.drain(..) {
            let mut shared = candidate.slot.endpoint.provider.access == Access::Shared;
            for key in keys {
                if let Some(slot) = key.slots.get(&candidate.slot.endpoint.id) {
                    first.push(Candidate { slot: Arc::clone(slot), ..candidate.clone() });
                    shared &= key.fallback;
                }
            }
            if shared {
                rest.push(candidate);
            }
        }
        first.extend(rest);
        first.truncate(CANDIDATES_MAX);
        plan.candidates = first;
        if plan.candidates.is_empty() {
            let text = "This model is served here only to accounts with a key of their own at its \
                        provider, and this account has none. Ask the operator, or name another \
                        model; GET /v1/models lists them.";
            return Err(GatewayError::new(Kind::NoEndpoints, text).with_param("model"));
        }
        Ok(())
    }

    /// How the provider of an account's own endpoint is reached; absent for the gateway's.
    pub(crate) fn upstream(&self, account: &AccountId, slot: &Arc<Slot>) -> Option<Arc<Upstream>> {
        let id = &slot.endpoint.id;
        let has = |key: &&Arc<OwnKey>| key.slots.get(id).is_some_and(|own| Arc::ptr_eq(own, slot));
        let key = self.by_account.get(account)?.iter().find(has)?;
        Some(Arc::clone(&key.upstream))
    }

    /// How all providers are reached with accounts' own keys, each key once or more.
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.by_account.values().flatten().map(|key| &key.upstream)
    }
}

/// Leaves the account's own endpoints of a plan, if it has some beside others. Says whether anything
/// went.
pub(crate) fn keep(plan: &mut Plan) -> bool {
    let all = plan.candidates.len();
    let own = plan.candidates.iter().filter(|c| is_own(&c.slot.endpoint)).count();
    if own == 0 || own == all {
        return false;
    }
    plan.candidates.retain(|candidate| is_own(&candidate.slot.endpoint));
    true
}

/// Whether an endpoint is an account's own.
pub(crate) fn is_own(endpoint: &Endpoint) -> bool {
    matches!(endpoint.provider.access, Access::Own(_))
}
