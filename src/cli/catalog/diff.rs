//! Two catalogs side by side.

use std::collections::BTreeMap;

use super::show;
use crate::catalog::{Catalog, Endpoint};

/// What `b` has and `a` has not (`+`), the other way round (`-`), and what differs (`~`), a line
/// each, in the order of the ids; the last line counts them.
pub(super) fn between(a: &Catalog, b: &Catalog) -> Vec<String> {
    let (before, after) = (models(a), models(b));
    let mut lines = Vec::new();
    let (mut models_changed, mut prices_changed) = (0, 0);
    for id in union(&before, &after) {
        match (before.get(id), after.get(id)) {
            (Some(_), None) => lines.push(format!("- model {id}")),
            (None, Some(_)) => lines.push(format!("+ model {id}")),
            (Some(_), Some(_)) => continue,
            (None, None) => {}
        }
        models_changed += 1;
    }
    let (before, after) = (endpoints(a), endpoints(b));
    let mut endpoints_changed = 0;
    for key in union(&before, &after) {
        let (id, endpoint) = key;
        match (before.get(key), after.get(key)) {
            (Some(_), None) => lines.push(format!("- endpoint {endpoint} of {id}")),
            (None, Some(_)) => lines.push(format!("+ endpoint {endpoint} of {id}")),
            (Some(before), Some(after)) => {
                let (was, is) = (show::prices(&before.prices), show::prices(&after.prices));
                if was != is {
                    lines.push(format!("~ endpoint {endpoint} of {id}: {was} -> {is}"));
                    prices_changed += 1;
                }
                continue;
            }
            (None, None) => {}
        }
        endpoints_changed += 1;
    }
    lines.push(format!(
        "{models_changed} models and {endpoints_changed} endpoints added or removed, \
         {prices_changed} prices changed"
    ));
    lines
}

/// The keys of both, each once, in order.
fn union<'a, K: Ord, V>(a: &'a BTreeMap<K, V>, b: &'a BTreeMap<K, V>) -> Vec<&'a K> {
    let all: std::collections::BTreeSet<&K> = a.keys().chain(b.keys()).collect();
    all.into_iter().collect()
}

fn models(catalog: &Catalog) -> BTreeMap<&str, ()> {
    catalog.models().iter().map(|model| (model.id.as_str(), ())).collect()
}

/// Endpoints by model and by id.
fn endpoints(catalog: &Catalog) -> BTreeMap<(&str, &str), &Endpoint> {
    let all = catalog.models().iter().flat_map(|model| model.all_endpoints());
    all.map(|e| ((e.model.as_str(), e.id.as_str()), e.as_ref())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROVIDER: &str =
        r#"{"provider":{"id":"p","dialect":"openai","base_url":"https://h/v1","auth":"none"}}"#;

    fn catalog(models: &[(&str, &str)]) -> Catalog {
        let mut text = format!("{PROVIDER}\n");
        for (id, prompt) in models {
            text += &format!("{{\"model\":{{\"id\":\"{id}\"}}}}\n");
            text += &format!(
                "{{\"of\":\"{id}\",\"endpoint\":{{\"provider\":\"p\",\"upstream_model\":\"{id}\",\
                 \"context_length\":9,\"prices\":{{\"prompt\":\"{prompt}\",\"completion\":\"2\"}}}}}}\n"
            );
        }
        let judged = crate::config::judge_catalog(&[("f".to_owned(), text)]);
        judged.unwrap_or_else(|faults| panic!("{faults}")).1
    }

    #[test]
    fn what_differs_is_told_once() {
        let lines = between(
            &catalog(&[("a/gone", "1"), ("a/same", "1"), ("a/dear", "1")]),
            &catalog(&[("a/same", "1"), ("a/dear", "1.5"), ("a/new", "1")]),
        );
        assert_eq!(
            lines,
            [
                "- model a/gone",
                "+ model a/new",
                "~ endpoint p/a/dear of a/dear: prompt $1, completion $2 -> prompt $1.5, \
                 completion $2",
                "- endpoint p/a/gone of a/gone",
                "+ endpoint p/a/new of a/new",
                "2 models and 2 endpoints added or removed, 1 prices changed",
            ]
        );
        let same = catalog(&[("a/m", "1")]);
        assert_eq!(between(&same, &same).len(), 1, "nothing differs");
    }
}
