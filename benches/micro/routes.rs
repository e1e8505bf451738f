//! Choosing an endpoint.

use std::sync::Arc;

use criterion::{BenchmarkId, Criterion};
use turnpike::balance::{HealthRegistry, Nanos, Settings, Wait};
use turnpike::catalog::{Catalog, Endpoint, Model};
use turnpike::route::{self, Features, RoutingTable};
use turnpike::vocab::{EndpointId, ModelId, Usage};

use crate::data;

/// When the endpoints were measured.
const MEASURED: Nanos = Nanos(1_000_000_000_000);

/// A plan, and its first candidate admitted: over so many endpoints of one model, and over ten in a
/// catalog of ten thousand.
pub(crate) fn plan(c: &mut Criterion) {
    let mut group = c.benchmark_group("plan");
    let sizes = [(3, 0), (10, 0), (1_000, 0), (10, 1_000)];
    for (endpoints, others) in sizes {
        let catalog = catalog(endpoints, others);
        let registry = HealthRegistry::new(&catalog, Settings::default());
        let table = RoutingTable::new(&catalog, &registry);
        measure(&table);
        let features = Features {
            model: "bench/model",
            prompt_tokens: 200,
            max_tokens: Some(256),
            expected_tokens: 100,
            ..Features::default()
        };
        let mut seed = 0;
        let all = endpoints + 10 * others;
        let id = BenchmarkId::from_parameter(format!("{endpoints}-of-{all}"));
        group.bench_function(id, |b| {
            b.iter(|| {
                seed += 1;
                let now = Nanos(MEASURED.0 + seed * 1_000);
                let mut plan = route::plan(&table, &features, seed, now).expect("a plan");
                plan.next(now).expect("a candidate")
            });
        });
    }
    group.finish();
}

/// The benches' model with so many endpoints, among others with ten each.
fn catalog(endpoints: usize, others: usize) -> Arc<Catalog> {
    let config = data::config(endpoints);
    let model = config.catalog.models().first().expect("a model");
    let copy = |id: ModelId, most: usize| {
        let endpoints = model.endpoints.iter().take(most).map(|endpoint| {
            let name = format!("{}/{id}", endpoint.provider.id);
            let own = EndpointId::parse(&name).expect("an id");
            let provider = Arc::clone(&endpoint.provider);
            let bare = Endpoint::new(own, provider, id.clone(), "m", endpoint.context_length);
            Arc::new(Endpoint { prices: endpoint.prices.clone(), ..bare })
        });
        Model { endpoints: endpoints.collect(), ..Model::new(id.clone()) }
    };
    let other = |i| copy(ModelId::parse(&format!("bench/other-{i}")).expect("an id"), 10);
    let own = copy(model.id.clone(), endpoints);
    Arc::new(Catalog::new(std::iter::once(own).chain((0..others).map(other)).collect()))
}

/// Every endpoint has answered, each at a speed of its own.
fn measure(table: &RoutingTable) {
    for (i, slot) in table.slots("bench/model").expect("the model").iter().enumerate() {
        let took = 100_000_000 + (i as u64 * 7_919 % 1_000) * 1_000_000;
        let started = Nanos(MEASURED.0 - took);
        let guard = slot.health.admit_anyway(Wait::FirstToken, started);
        guard.first_token(MEASURED);
        guard.served(&Usage { prompt: 200, completion: 50, ..Usage::default() }, MEASURED);
        guard.success(MEASURED);
    }
}
