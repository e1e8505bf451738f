//! Handles on the series of each model and provider of a catalog.
//!
//! Finding a series by its labels costs a hash over them and a lock. The labels of a request are
//! known when its catalog is, so they are found once per catalog: [`Meters`] is built with each
//! snapshot and swapped with it. Its handles are made at first use, so that a catalog of a
//! thousand models does not begin with ten thousand empty series.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::{Counter, Histogram, IntCounter};

use super::labels::{Outcome, StatusClass, Surface, TokenKind};
use super::metrics::{MODELS_MAX, Metrics, OTHER, PROVIDERS_MAX, Report, UNKNOWN, bool_label};
use crate::catalog::Catalog;
use crate::vocab::{ModelId, ProviderId};

/// The handles for one catalog: immutable, shared by reference.
#[derive(Debug)]
pub struct Meters {
    models: HashMap<ModelId, Arc<ModelMeter>>,
    providers: HashMap<ProviderId, Arc<ProviderMeter>>,
    unknown: Arc<ModelMeter>,
    other: Arc<ProviderMeter>,
}

impl Meters {
    /// The handles for this catalog's models and providers.
    ///
    /// Models beyond [`MODELS_MAX`] and providers beyond [`PROVIDERS_MAX`] (counted over all
    /// catalogs of the process, since a series stays) share the label [`OTHER`].
    pub fn new(metrics: &Metrics, catalog: &Catalog) -> Self {
        let live = catalog.models().iter().filter(|model| !model.endpoints.is_empty());
        let models = live.map(|model| {
            let label = admit(&metrics.models, model.id.as_str(), MODELS_MAX);
            (model.id.clone(), Arc::new(ModelMeter::new(label)))
        });
        let mut providers: HashMap<ProviderId, Arc<ProviderMeter>> = HashMap::new();
        for endpoint in catalog.endpoints() {
            let id = &endpoint.provider.id;
            if !providers.contains_key(id) {
                let label = admit(&metrics.providers, id.as_str(), PROVIDERS_MAX);
                providers.insert(id.clone(), Arc::new(ProviderMeter::new(metrics, label)));
            }
        }
        Self {
            models: models.collect(),
            providers,
            unknown: Arc::new(ModelMeter::new(UNKNOWN)),
            other: Arc::new(ProviderMeter::new(metrics, OTHER)),
        }
    }

    /// The meter of this model, or the one for models that the catalog does not have.
    pub fn model(&self, id: &str) -> &Arc<ModelMeter> {
        self.models.get(id).unwrap_or(&self.unknown)
    }

    /// The meter for requests that name no known model.
    pub const fn unknown(&self) -> &Arc<ModelMeter> {
        &self.unknown
    }

    /// The meter of this provider.
    pub fn provider(&self, id: &str) -> &Arc<ProviderMeter> {
        self.providers.get(id).unwrap_or(&self.other)
    }
}

/// The label that a name may have: itself, while there is room.
fn admit<'a>(admitted: &Mutex<HashSet<String>>, name: &'a str, max: usize) -> &'a str {
    let mut admitted = admitted.lock();
    if admitted.contains(name) {
        return name;
    }
    if admitted.len() >= max || name == OTHER || name == UNKNOWN {
        return OTHER;
    }
    admitted.insert(name.to_owned());
    name
}

type ByClass = [[OnceLock<IntCounter>; 2]; StatusClass::COUNT];

/// The series of one model.
pub struct ModelMeter {
    label: Box<str>,
    requests: [OnceLock<Box<ByClass>>; Surface::COUNT],
    consumed: OnceLock<Box<Consumed>>,
}

struct Consumed {
    tokens: [IntCounter; TokenKind::COUNT],
    cost: Counter,
}

impl fmt::Debug for ModelMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ModelMeter").field(&self.label).finish()
    }
}

impl ModelMeter {
    fn new(label: &str) -> Self {
        Self { label: label.into(), requests: Default::default(), consumed: OnceLock::new() }
    }

    /// Counts an ended request; called by [`Metrics::finish`].
    pub(super) fn count(&self, metrics: &Metrics, report: &Report) {
        if let Some(surface) = self.requests.get(report.surface.index()) {
            let by_class = surface.get_or_init(Default::default);
            by_class[report.class.index()][usize::from(report.stream)]
                .get_or_init(|| {
                    metrics.requests.with_label_values(&[
                        report.surface.as_str(),
                        report.class.as_str(),
                        &self.label,
                        bool_label(report.stream),
                    ])
                })
                .inc();
        }
        let usage = &report.usage;
        if usage.total() == 0 && report.cost.0 <= 0 {
            return;
        }
        let consumed = self.consumed.get_or_init(|| Box::new(self.consumed(metrics)));
        for (counter, tokens) in consumed.tokens.iter().zip([
            usage.prompt,
            usage.cache_read,
            usage.cache_write_5m.saturating_add(usage.cache_write_1h),
            usage.completion,
            usage.reasoning,
        ]) {
            if tokens > 0 {
                counter.inc_by(tokens);
            }
        }
        if report.cost.0 > 0 {
            consumed.cost.inc_by(report.cost.to_f64());
        }
    }

    fn consumed(&self, metrics: &Metrics) -> Consumed {
        let kinds = [
            TokenKind::Prompt,
            TokenKind::CacheRead,
            TokenKind::CacheWrite,
            TokenKind::Completion,
            TokenKind::Reasoning,
        ];
        Consumed {
            tokens: kinds
                .map(|kind| metrics.tokens.with_label_values(&[&*self.label, kind.as_str()])),
            cost: metrics.cost.with_label_values(&[&*self.label]),
        }
    }
}

/// The series of one provider.
pub struct ProviderMeter {
    label: Box<str>,
    attempts: [OnceLock<IntCounter>; Outcome::COUNT],
    counters: prometheus::IntCounterVec,
    ttft: OnceLock<Histogram>,
    histograms: prometheus::HistogramVec,
}

impl fmt::Debug for ProviderMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProviderMeter").field(&self.label).finish()
    }
}

impl ProviderMeter {
    fn new(metrics: &Metrics, label: &str) -> Self {
        Self {
            label: label.into(),
            attempts: std::array::from_fn(|_| OnceLock::new()),
            counters: metrics.attempts.clone(),
            ttft: OnceLock::new(),
            histograms: metrics.ttft.clone(),
        }
    }

    /// Counts an attempt that has ended.
    pub fn attempt(&self, outcome: Outcome) {
        if let Some(counter) = self.attempts.get(outcome.index()) {
            let labels = [&*self.label, outcome.as_str()];
            counter.get_or_init(|| self.counters.with_label_values(&labels)).inc();
        }
    }

    /// Records the time from an attempt's start to its first token.
    pub fn first_token(&self, after: Duration) {
        self.ttft
            .get_or_init(|| self.histograms.with_label_values(&[&*self.label]))
            .observe(after.as_secs_f64());
    }
}
