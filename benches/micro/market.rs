//! Reading the shipped catalog: what it adds to the start of a gateway and to a reload.

use criterion::Criterion;

/// The whole of it, as if every provider had its key.
pub(crate) fn catalog_load(c: &mut Criterion) {
    c.bench_function("catalog-load", |b| {
        b.iter(|| {
            let (_, catalog) = turnpike::config::judge_catalog(&[]).expect("a sound catalog");
            catalog
        });
    });
}
