//! Choosing an endpoint.

use criterion::{BenchmarkId, Criterion};
use turnpike::balance::{HealthRegistry, Nanos, Settings, Wait};
use turnpike::route::{self, Features, RoutingTable};

use crate::data;

/// A plan, and its first candidate admitted.
pub(crate) fn plan(c: &mut Criterion) {
    let mut group = c.benchmark_group("plan");
    for endpoints in [3, 10, 1000] {
        let config = data::config(endpoints);
        let registry = HealthRegistry::new(&config.catalog, Settings::default());
        let table = RoutingTable::new(&config.catalog, &registry);
        let features = Features {
            model: "bench/model",
            models: &[],
            prefs: None,
            prompt_tokens: 200,
            max_tokens: Some(256),
            wait: Wait::FirstToken,
        };
        let mut seed = 0;
        group.bench_function(BenchmarkId::from_parameter(endpoints), |b| {
            b.iter(|| {
                seed += 1;
                let now = Nanos(seed * 1000);
                let mut plan = route::plan(&table, &features, seed, now).expect("a plan");
                plan.next(now).expect("a candidate")
            });
        });
    }
    group.finish();
}
