//! What the admin listener needs of the gateway: the state of health, and the readings
//! that other parts keep.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::admin::{self, AdminState, EndpointRow, NotReady, Status};
use crate::balance::{Availability, BreakerState, Wait};
use crate::catalog::Secret;
use crate::edge::clock;
use crate::edge::gateway::Gateway;
use crate::ledger::COMMIT_BUCKETS_US;
use crate::observe::gauges::{CacheGauges, CommitTimes, ContentGauges, LedgerGauges};
use crate::observe::{self, Readings};

/// The admin listener's routes over this gateway.
pub(super) fn router(gateway: &Arc<Gateway>, token: Option<Secret>) -> axum::Router {
    let desk = Arc::clone(&gateway.desk);
    let status = Arc::new(GatewayStatus(Arc::clone(gateway)));
    admin::router(AdminState::new(desk, status, Arc::clone(&gateway.metrics), token))
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
        hedge_budget: gateway.hedges.budget.left(),
        content: content(gateway),
        access_log_dropped_total: gateway.access.as_ref().map_or(0, observe::AccessLog::dropped),
    }
}

fn content(gateway: &Gateway) -> ContentGauges {
    let stats = gateway.content.as_ref().map(|keeper| keeper.stats()).unwrap_or_default();
    ContentGauges {
        written_total: stats.written,
        dropped_total: stats.dropped,
        failed_total: stats.failed,
        bytes: stats.bytes,
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
            let slots = snapshot.table.slots(endpoint.model.as_str()).unwrap_or_default();
            let slot = slots.iter().find(|slot| slot.endpoint.id == endpoint.id);
            let keys = slot.and_then(|slot| slot.keys.as_ref());
            Some(EndpointRow {
                keys_resting: keys.map(|keys| keys.resting(now) as u64),
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
                ttft_ms: gauge.latency.map(|l| l.faded() * 1_000.0),
                retry_after_ms: until
                    .map(|until| until.since(now).as_millis().try_into().unwrap_or(u64::MAX)),
            })
        };
        snapshot.catalog.endpoints().filter_map(row).collect()
    }
}
