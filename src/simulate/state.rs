//! A simulated provider's live state: its behaviour, its counters, and the last request it saw.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::Notify;

use super::behaviour::{BadKnob, Behaviour};
use super::config::ProviderConfig;
use super::script::Script;

/// A provider as the listeners and the control see it.
pub(super) struct State {
    pub(super) config: ProviderConfig,
    pub(super) seed: u64,
    live: ArcSwap<Live>,
    pub(super) counters: Counters,
    last: Mutex<Option<Arc<LastRequest>>>,
    changed: Notify,
}

/// A behaviour and how many requests came since it was set.
pub(super) struct Live {
    pub(super) behaviour: Behaviour,
    requests: AtomicU64,
    /// Prebuilt answers: whole, streamed, streamed with usage.
    pub(super) canned: [OnceLock<Option<Script>>; 3],
}

impl Live {
    fn new(behaviour: Behaviour) -> Self {
        Self { behaviour, requests: AtomicU64::new(0), canned: Default::default() }
    }

    /// The next request's number, from 0.
    pub(super) fn number(&self) -> u64 {
        self.requests.fetch_add(1, Relaxed)
    }
}

/// What a provider counted since it started or was last reset.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) requests: AtomicU64,
    completed: AtomicU64,
    refused: AtomicU64,
    broken: AtomicU64,
    cancelled: AtomicU64,
    in_flight: AtomicU64,
    in_flight_max: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) connections_open: AtomicU64,
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
}

/// Counters of one provider at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Requests that were read to their end.
    pub requests: u64,
    /// Answers that were given to the end, error answers included.
    pub completed: u64,
    /// Of these, answers with an error status (4xx, 5xx).
    pub refused: u64,
    /// Answers that a fault broke off: reset or cut.
    pub broken: u64,
    /// Requests whose client went away before the answer's end.
    pub cancelled: u64,
    /// Requests being answered.
    pub in_flight: u64,
    /// The most that were being answered at once.
    pub in_flight_max: u64,
    /// Connections that its listener accepted.
    pub connections: u64,
    /// Connections that are open.
    pub connections_open: u64,
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of answer bodies handed to the connection.
    pub bytes_out: u64,
}

/// The last request that a provider saw. `Debug` shows sizes only.
pub struct LastRequest {
    /// `POST /v1/chat/completions`.
    pub path: String,
    /// The headers as they arrived.
    pub headers: HeaderMap,
    /// The body's length in bytes.
    pub body_len: usize,
    /// The body, unless it is longer than [`ProviderConfig::record_body_max`].
    pub body: Option<Bytes>,
    hash: Option<blake3::Hash>,
}

impl LastRequest {
    pub(super) fn of(path: String, headers: HeaderMap, body: &Bytes, keep_max: usize) -> Self {
        let keep = body.len() <= keep_max;
        Self {
            path,
            headers,
            body_len: body.len(),
            body: keep.then(|| body.clone()),
            hash: (!keep).then(|| blake3::hash(body)),
        }
    }

    /// The body's BLAKE3 hash. (Computed when asked for, unless the body was too long to keep.)
    pub fn body_blake3(&self) -> blake3::Hash {
        self.hash.unwrap_or_else(|| blake3::hash(self.body.as_deref().unwrap_or_default()))
    }
}

impl fmt::Debug for LastRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, headers, body_len, .. } = self;
        write!(f, "LastRequest({path}, {} headers, {body_len} bytes)", headers.len())
    }
}

impl State {
    pub(super) fn new(config: ProviderConfig, seed: u64) -> Self {
        let behaviour = config.behaviour.clone();
        Self {
            config,
            seed,
            live: ArcSwap::from_pointee(Live::new(behaviour)),
            counters: Counters::default(),
            last: Mutex::new(None),
            changed: Notify::new(),
        }
    }

    pub(super) fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    pub(super) fn set(&self, behaviour: Behaviour) -> Result<(), BadKnob> {
        behaviour.check()?;
        self.live.store(Arc::new(Live::new(behaviour)));
        Ok(())
    }

    pub(super) fn remember(&self, request: LastRequest) {
        *self.last.lock() = Some(Arc::new(request));
    }

    pub(super) fn last(&self) -> Option<Arc<LastRequest>> {
        self.last.lock().clone()
    }

    pub(super) fn stats(&self) -> Stats {
        let c = &self.counters;
        Stats {
            requests: c.requests.load(Relaxed),
            completed: c.completed.load(Relaxed),
            refused: c.refused.load(Relaxed),
            broken: c.broken.load(Relaxed),
            cancelled: c.cancelled.load(Relaxed),
            in_flight: c.in_flight.load(Relaxed),
            in_flight_max: c.in_flight_max.load(Relaxed),
            connections: c.connections.load(Relaxed),
            connections_open: c.connections_open.load(Relaxed),
            bytes_in: c.bytes_in.load(Relaxed),
            bytes_out: c.bytes_out.load(Relaxed),
        }
    }

    /// Zeroes what is counted over time; gauges (in flight, open connections) stay true.
    pub(super) fn reset_counters(&self) {
        let c = &self.counters;
        for counter in [
            &c.requests,
            &c.completed,
            &c.refused,
            &c.broken,
            &c.cancelled,
            &c.connections,
            &c.bytes_in,
            &c.bytes_out,
        ] {
            counter.store(0, Relaxed);
        }
        c.in_flight_max.store(c.in_flight.load(Relaxed), Relaxed);
        *self.last.lock() = None;
        self.notify();
    }

    pub(super) fn notify(&self) {
        self.changed.notify_waiters();
    }

    /// Waits until the counters satisfy `wanted`.
    pub(super) async fn wait_until(&self, wanted: impl Fn(&Stats) -> bool) -> Stats {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            let stats = self.stats();
            if wanted(&stats) {
                return stats;
            }
            changed.await;
        }
    }
}

/// One request being answered. Dropped before its end, the request counts as cancelled.
pub(super) struct InFlight {
    state: Arc<State>,
    over: bool,
}

impl InFlight {
    pub(super) fn begin(state: Arc<State>) -> Self {
        let c = &state.counters;
        let now = c.in_flight.fetch_add(1, Relaxed) + 1;
        c.in_flight_max.fetch_max(now, Relaxed);
        Self { state, over: false }
    }

    /// The whole request was read and remembered.
    pub(super) fn received(&self) {
        self.state.counters.requests.fetch_add(1, Relaxed);
        self.state.notify();
    }

    pub(super) fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Requests being answered, this one included.
    pub(super) fn in_flight(&self) -> u64 {
        self.state.counters.in_flight.load(Relaxed)
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.state.counters.bytes_out.fetch_add(bytes as u64, Relaxed);
    }

    /// The answer was given to its end.
    pub(super) fn complete(&mut self, error: bool) {
        if !self.over {
            let c = &self.state.counters;
            c.completed.fetch_add(1, Relaxed);
            c.refused.fetch_add(u64::from(error), Relaxed);
            self.leave();
        }
    }

    /// A fault broke the answer off.
    pub(super) fn broken(&mut self) {
        if !self.over {
            self.state.counters.broken.fetch_add(1, Relaxed);
            self.leave();
        }
    }

    fn leave(&mut self) {
        self.over = true;
        self.state.counters.in_flight.fetch_sub(1, Relaxed);
        self.state.notify();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.over {
            self.state.counters.cancelled.fetch_add(1, Relaxed);
            self.leave();
        }
    }
}
