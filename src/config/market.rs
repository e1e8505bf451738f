//! Catalog files and the configuration's own entries, laid together → [`Catalog`].
//!
//! The shipped catalog comes first, then `[catalog] files` in their order, a later line winning
//! over an earlier one of the same provider, model or endpoint; then the configuration's own
//! `[[providers]]` and `[[models]]`, which replace whole entries. A provider of a catalog file is
//! live if every environment variable that its line names is set; else it is listed, and so are
//! its endpoints, but nothing is routed there.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::endpoints::{self, Ids, Parent, Templates};
use super::fault::{At, Faults};
use super::file::{self, File};
use super::outside::Outside;
use super::providers::{self, Providers};
use super::settings::Byok;
use super::sheet::{Row, Sheet};
use super::{byok, models, shipped};
use crate::catalog::{Catalog, Endpoint, Model, Provider, Timeouts};

/// The most catalog files of one configuration.
const FILES_MAX: usize = 64;

/// Resolves providers and models, from wherever they come.
pub(super) fn resolve(
    file: &File,
    timeouts: Timeouts,
    outside: Outside<'_>,
    faults: &mut Faults,
) -> (Catalog, Vec<Byok>) {
    let sheet = rows_in_force(file, outside, faults);
    let alone = sheet.is_none();
    lay(file, &sheet.unwrap_or_default(), alone, timeouts, outside, faults)
}

/// Lays the configuration's own entries over those of the catalog files. `alone` says that there
/// are none of the latter.
fn lay(
    file: &File,
    sheet: &Sheet,
    alone: bool,
    timeouts: Timeouts,
    outside: Outside<'_>,
    faults: &mut Faults,
) -> (Catalog, Vec<Byok>) {
    let own = byok::providers(&file.byok);
    let mut providers =
        providers::resolve(&file.providers, timeouts, outside, (alone, &own), faults);
    let named = file.providers.iter().filter_map(|raw| providers.enabled.get(raw.id.as_str()));
    let mut listed: Vec<Arc<Provider>> = named.map(Arc::clone).collect();
    let tools = (&mut providers, &own);
    listed.extend(providers::of_sheet(&sheet.providers, tools, timeouts, outside, faults));
    let byok = byok::resolve(file, (sheet, &providers), timeouts, outside, faults);
    let (mut ids, mut templates) = (Ids::default(), Templates::new(outside));
    let tools = (&mut ids, &mut templates);
    let mut all = models::resolve(&file.models, &providers, alone, tools, faults);
    let own: HashSet<&str> = file.models.iter().map(|model| model.id.as_str()).collect();
    for laid in laid(sheet, &own, faults) {
        all.extend(laid.resolve(&providers, (&mut ids, &mut templates), faults));
    }
    models::check_aliases(&file.models, &ids, faults);
    if alone && all.iter().all(|model| model.endpoints.is_empty()) && faults.0.is_empty() {
        faults.add("models", "has no model whose provider is enabled; at least one is needed");
    }
    (Catalog::with_providers(all, listed), byok)
}

/// The catalog of these rows alone.
pub(super) fn of_sheet(sheet: &Sheet, outside: Outside<'_>, faults: &mut Faults) -> Catalog {
    lay(&File::default(), sheet, false, Timeouts::default(), outside, faults).0
}

/// The rows of the catalog files in force; `None` if none is.
fn rows_in_force(file: &File, outside: Outside<'_>, faults: &mut Faults) -> Option<Sheet> {
    let raw = &file.catalog;
    let is_shipped = raw.shipped.unwrap_or(file.models.is_empty());
    if raw.files.len() > FILES_MAX {
        faults.add("catalog.files", format!("has more than {FILES_MAX} entries"));
    }
    let mut sheet = if is_shipped { shipped::read(faults) } else { Sheet::default() };
    for (i, path) in raw.files.iter().enumerate().take(FILES_MAX) {
        match (outside.read_file)(Path::new(path)) {
            Ok(text) => sheet.read(path, &text, faults),
            Err(error) => faults.add(
                format!("catalog.files[{i}]"),
                format!("is {path}, which cannot be read: {error}"),
            ),
        }
    }
    (is_shipped || !raw.files.is_empty()).then_some(sheet)
}

/// A model of the catalog files with the lines that hold for it.
struct Laid<'a> {
    model: &'a Row<file::Model>,
    endpoints: Vec<&'a Row<(String, file::Endpoint)>>,
}

/// What tells an endpoint of a model from the others.
fn place_of(raw: &file::Endpoint) -> impl Eq + std::hash::Hash + '_ {
    (&raw.provider, &raw.upstream_model, &raw.variant, &raw.tier, &raw.region)
}

/// The models of the catalog files that the configuration does not replace, in the order in which
/// they were first told, each with its endpoints; later lines win.
fn laid<'a>(sheet: &'a Sheet, own: &HashSet<&str>, faults: &mut Faults) -> Vec<Laid<'a>> {
    let mut laid: Vec<Laid<'a>> = Vec::with_capacity(sheet.models.len());
    let mut at: HashMap<&str, usize> = HashMap::with_capacity(sheet.models.len());
    for model in sheet.models.iter().filter(|row| !own.contains(row.entry.id.as_str())) {
        match at.get(model.entry.id.as_str()) {
            Some(&i) => laid[i].model = model,
            None => {
                at.insert(&model.entry.id, laid.len());
                laid.push(Laid { model, endpoints: Vec::new() });
            }
        }
    }
    let mut places = HashMap::with_capacity(sheet.endpoints.len());
    for row in &sheet.endpoints {
        let (of, endpoint) = &row.entry;
        let Some(&i) = at.get(of.as_str()) else {
            if !own.contains(of.as_str()) {
                faults.add(format!("{}.of", row.place), format!("is {of:?}, which is no model"));
            }
            continue;
        };
        let endpoints = &mut laid[i].endpoints;
        match places.get(&(i, place_of(endpoint))) {
            Some(&j) => endpoints[j] = row,
            None => {
                places.insert((i, place_of(endpoint)), endpoints.len());
                endpoints.push(row);
            }
        }
    }
    laid
}

impl Laid<'_> {
    /// `None` after a fault of the id, or if no provider of it is there.
    fn resolve(
        &self,
        providers: &Providers,
        (ids, templates): (&mut Ids, &mut Templates<'_>),
        faults: &mut Faults,
    ) -> Option<Model> {
        let raw = &self.model.entry;
        let id = models::id(raw, ids, &mut At::new(&*self.model.place, faults));
        let parent = Parent { id: id.as_ref(), context: None };
        let mut hosts: Vec<Arc<Endpoint>> = Vec::with_capacity(self.endpoints.len());
        for row in &self.endpoints {
            let mut at = At::new(&*row.place, faults);
            let tools = (&mut *ids, &mut *templates);
            let endpoint = endpoints::endpoint(&row.entry.1, &parent, providers, tools, &mut at);
            hosts.extend(endpoint.map(Arc::new));
        }
        let mut at = At::new(&*self.model.place, faults);
        models::describe(raw, id, hosts, &mut at).filter(|m| m.all_endpoints().next().is_some())
    }
}
