//! What the admin listener needs of the gateway: the bank, the state of health, and the readings
//! that other parts keep.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::admin::{
    self, AccountRow, AdminState, Bank, BankError, EndpointRow, Generations, IssuedKey, KeyRow,
    NewAccount, NewKey, NotReady, Page, Status, TopUp, TopUpDone,
};
use crate::balance::{Availability, BreakerState, Wait};
use crate::catalog::Secret;
use crate::edge::clock;
use crate::edge::gateway::Gateway;
use crate::ledger::{
    self, COMMIT_BUCKETS_US, GenerationPage, GenerationQuery, GenerationRecord, Ledger, Made,
    ManageError,
};
use crate::observe::gauges::{CacheGauges, CommitTimes, LedgerGauges};
use crate::observe::{self, Readings};
use crate::terms::{AccountTerms, KeyTerms};
use crate::vocab::{AccountId, GenerationId, KeyId};

/// The admin listener's routes over this gateway.
pub(super) fn router(gateway: &Arc<Gateway>, token: Option<Secret>) -> axum::Router {
    let bank = Arc::new(LedgerBank(gateway.ledger.clone()));
    let status = Arc::new(GatewayStatus(Arc::clone(gateway)));
    let generations = Arc::new(LedgerGenerations(gateway.ledger.clone()));
    let metrics = Arc::clone(&gateway.metrics);
    admin::router(AdminState::new(bank, generations, status, metrics, token))
}

/// Tells the metrics where to read what other parts keep.
pub(super) fn connect(gateway: &Arc<Gateway>) {
    let source = Arc::downgrade(gateway);
    let connected = gateway.metrics.set_source(move || {
        source.upgrade().map_or_else(Readings::default, |gateway| readings(&gateway))
    });
    debug_assert!(connected, "the metrics are connected once");
}

fn readings(gateway: &Gateway) -> Readings {
    let (now, stats) = (clock::now(), gateway.ledger.stats());
    let cache = gateway.cache.map(|cache| cache.stats()).unwrap_or_default();
    let snapshot = gateway.now.load();
    let breakers = snapshot.health.iter().map(|(id, h)| (id.clone(), shown(h.breaker_state(now))));
    Readings {
        ledger: LedgerGauges {
            entries_total: stats.entries,
            commits: CommitTimes {
                bounds_us: &COMMIT_BUCKETS_US,
                counts: stats.commit_buckets.to_vec(),
                total: stats.commit_time,
            },
            commit_errors_total: stats.commit_errors,
            archived_total: stats.archived_segments,
            archive_errors_total: stats.archive_errors,
            queue_depth: stats.queue_depth as u64,
            holds_open: stats.open_holds as u64,
            healthy: stats.healthy,
        },
        cache: CacheGauges {
            entries: cache.entries,
            bytes: cache.bytes,
            evicted_total: cache.evicted,
        },
        breakers: breakers.collect(),
        retry_budget: gateway.retries.left(now),
        access_log_dropped_total: gateway.access.as_ref().map_or(0, observe::AccessLog::dropped),
    }
}

const fn shown(state: BreakerState) -> observe::BreakerState {
    match state {
        BreakerState::Closed => observe::BreakerState::Closed,
        BreakerState::HalfOpen => observe::BreakerState::HalfOpen,
        BreakerState::Open => observe::BreakerState::Open,
    }
}

struct GatewayStatus(Arc<Gateway>);

impl Status for GatewayStatus {
    fn not_ready(&self) -> Vec<NotReady> {
        let draining = self.0.draining.load(Ordering::Relaxed).then_some(NotReady::Draining);
        let down = (!self.0.ledger.healthy()).then_some(NotReady::LedgerDown);
        draining.into_iter().chain(down).collect()
    }

    fn endpoints(&self) -> Vec<EndpointRow> {
        let (now, snapshot) = (clock::now(), self.0.now.load());
        let row = |endpoint: &Arc<crate::catalog::Endpoint>| {
            let health = snapshot.health.get(endpoint.id.as_str())?;
            let gauge = health.gauge(Wait::FirstToken, now);
            let available = gauge.availability;
            let until = match available {
                Availability::Cooling(until) | Availability::Open(until) => Some(until),
                Availability::Ready
                | Availability::Trial
                | Availability::Trying
                | Availability::Down => None,
            };
            Some(EndpointRow {
                id: endpoint.id.clone(),
                model: endpoint.model.clone(),
                provider: endpoint.provider.id.clone(),
                breaker: shown(health.breaker_state(now)),
                probe_healthy: endpoint
                    .provider
                    .probe
                    .as_ref()
                    .map(|_| available != Availability::Down),
                in_flight: u64::from(gauge.in_flight),
                ttft_ms: gauge.latency.map(|l| l.faded * 1_000.0),
                retry_after_ms: until
                    .map(|until| until.since(now).as_millis().try_into().unwrap_or(u64::MAX)),
            })
        };
        snapshot.catalog.endpoints().filter_map(row).collect()
    }
}

/// Records of generations, out of the ledger.
struct LedgerGenerations(Ledger);

impl Generations for LedgerGenerations {
    fn page(&self, query: &GenerationQuery) -> Result<GenerationPage, BankError> {
        self.0.generations(query).map_err(|error| BankError::Internal(error.to_string()))
    }

    fn one(&self, id: &str) -> Result<Arc<GenerationRecord>, BankError> {
        let found = match GenerationId::parse(id) {
            Some(id) => self.0.generation(id),
            None => self.0.generation_by_upstream(id),
        };
        let found = found.map_err(|error| BankError::Internal(error.to_string()))?;
        found.ok_or(BankError::NotFound("generation"))
    }
}

struct LedgerBank(Ledger);

impl LedgerBank {
    fn row(&self, id: &AccountId) -> Option<AccountRow> {
        let keys = self.0.keys();
        let account = keys.account(id.as_str())?;
        let balance = account.balance();
        Some(AccountRow {
            id: id.clone(),
            bought: balance.bought,
            used: balance.used,
            balance: balance.balance,
            held: balance.held,
            created_ms: account.created_ms(),
        })
    }
}

fn key_row(key: &ledger::KeyEntry) -> KeyRow {
    let terms = key.terms();
    KeyRow {
        id: key.id().clone(),
        account: key.account().id().clone(),
        label: terms.label.clone(),
        shown: key.shown().to_owned(),
        limit: terms.limit,
        spent: key.spent(),
        expires_ms: terms.expires_ms,
        disabled: key.disabled(),
        created_ms: key.created_ms(),
    }
}

fn failed(error: ManageError) -> BankError {
    match error {
        ManageError::Invalid(..) => BankError::Invalid(error.to_string()),
        ManageError::Refused(_) => BankError::Conflict(error.to_string()),
        ManageError::Down => BankError::Unavailable,
    }
}

/// The part of a sorted list that a page asks for.
fn cut<T>(mut rows: Vec<T>, page: &Page, id: impl Fn(&T) -> &str) -> Vec<T> {
    rows.sort_unstable_by(|a, b| id(a).cmp(id(b)));
    let after = |row: &T| page.after.as_deref().is_none_or(|after| id(row) > after);
    rows.into_iter().filter(after).take(page.limit).collect()
}

impl Bank for LedgerBank {
    fn create_account(&self, new: NewAccount) -> Result<AccountRow, BankError> {
        self.0.create_account(&new.id, AccountTerms::default()).map_err(failed)?;
        self.account(&new.id)
    }

    fn account(&self, id: &AccountId) -> Result<AccountRow, BankError> {
        self.row(id).ok_or(BankError::NotFound("account"))
    }

    fn accounts(&self, page: &Page) -> Result<Vec<AccountRow>, BankError> {
        let ids: Vec<AccountId> = self.0.list_accounts().into_iter().map(|(id, _)| id).collect();
        let rows = ids.iter().filter_map(|id| self.row(id)).collect();
        Ok(cut(rows, page, |row: &AccountRow| row.id.as_str()))
    }

    fn top_up(&self, top_up: TopUp) -> Result<TopUpDone, BankError> {
        self.account(&top_up.account)?;
        let TopUp { account, amount, method, idempotency_key } = top_up;
        let made = self.0.top_up(&account, amount, &method, &idempotency_key).map_err(failed)?;
        Ok(TopUpDone { account: self.account(&account)?, repeated: made == Made::Before })
    }

    fn create_key(&self, new: NewKey) -> Result<IssuedKey, BankError> {
        self.account(&new.account)?;
        let wanted = KeyTerms {
            label: new.label,
            limit: new.limit,
            expires_ms: new.expires_ms,
            ..KeyTerms::default()
        };
        let (id, secret) = self.0.create_key(&new.account, wanted).map_err(failed)?;
        let row = self.0.keys().key(id.as_str()).map(|key| key_row(key));
        let row =
            row.ok_or_else(|| BankError::Internal("a new key is not in the table".to_owned()))?;
        Ok(IssuedKey { row, secret: Secret::new(secret.reveal().to_owned()) })
    }

    fn disable_key(&self, id: &KeyId) -> Result<KeyRow, BankError> {
        let key = self.0.keys().key(id.as_str()).map(Arc::clone);
        let key = key.ok_or(BankError::NotFound("key"))?;
        self.0.disable_key(id).map_err(failed)?;
        Ok(key_row(&key))
    }

    fn keys(&self, account: Option<&AccountId>, page: &Page) -> Result<Vec<KeyRow>, BankError> {
        let ours = |key: &&Arc<ledger::KeyEntry>| account.is_none_or(|a| a == key.account().id());
        let keys = self.0.list_keys();
        let rows = keys.iter().filter(ours).map(|key| key_row(key)).collect();
        Ok(cut(rows, page, |row: &KeyRow| row.id.as_str()))
    }
}
