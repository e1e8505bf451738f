//! The files in `conf/` hold what they promise, and the comments of `file.rs` hold too.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::config;
use crate::config::Faults;
use crate::config::file::{self, File};
use crate::config::read::read;

const FULL: &str = include_str!("../../../conf/full.toml");
const SMALLEST: &str = include_str!("../../../conf/turnpike.toml");
const SHAPES: &str = concat!(
    include_str!("../file.rs"),
    include_str!("../file/byok.rs"),
    include_str!("../file/catalog.rs"),
    include_str!("../file/choices.rs"),
    include_str!("../file/content.rs"),
    include_str!("../file/hedging.rs"),
    include_str!("../file/payment.rs"),
    include_str!("../file/plugins.rs"),
    include_str!("../file/webhooks.rs")
);
const REFERENCE: &str = include_str!("../../../conf/reference.md");

/// The shapes without a fault.
fn shapes(text: &str) -> File {
    let mut faults = Faults::none();
    let file = read(text, &mut faults);
    assert!(faults.0.is_empty(), "{faults}");
    file
}

/// The text with the keys that are absent by default.
fn with_absent_keys() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase()) => format!("{key}\n"),
        _ => format!("{line}\n"),
    };
    // A certificate needs an address to be of use, and the shipped catalog real variables.
    let text: String = FULL.lines().map(line).collect();
    text.replace("tls_listen = []", "tls_listen = [\"127.0.0.1:8443\"]")
        .replace("shipped = true", "shipped = false")
}

/// The text up to its plugins, which stand last.
fn without_plugins(text: &str) -> &str {
    text.split("[[plugins]]").next().unwrap_or_default()
}

#[test]
fn shipped_files_have_no_fault() {
    for text in [SMALLEST, FULL, &with_absent_keys()] {
        // A build without plugins has none to set up.
        let text = if cfg!(feature = "plugins") { text } else { without_plugins(text) };
        config(text).unwrap_or_else(|faults| panic!("{faults}"));
    }
}

#[test]
fn the_full_file_states_the_defaults() {
    let file = shapes(FULL);
    let default = File::default();
    assert_eq!(file.server, default.server);
    assert_eq!(file.admin, default.admin);
    assert_eq!(file.ledger, default.ledger);
    assert_eq!(file.content, default.content);
    assert_eq!(file.cache, default.cache);
    assert_eq!(file.routing, default.routing);
    assert_eq!(file.timeouts, default.timeouts);
    assert_eq!(file.media, default.media);
    assert_eq!(file.webhooks, default.webhooks);
    assert_eq!(file.payment, default.payment);
    assert_eq!(file.log, default.log);
    let provider = file.providers.first().expect("a provider");
    assert!(provider.enabled);
    assert_eq!(provider.timeouts, file::TimeoutsOverride::default());
    assert_eq!(provider.probe, Some(file::Probe::default()));
    let (model, default) = (file.models.first().expect("a model"), file::Model::default());
    assert_eq!((model.created, &model.description), (default.created, &default.description));
    assert_eq!(model.input_modalities, default.input_modalities);
    assert_eq!(model.output_modalities, default.output_modalities);
    let (endpoint, default) = (&model.endpoints[0], file::Endpoint::default());
    assert_eq!((endpoint.weight, &endpoint.parameters), (default.weight, &default.parameters));
}

/// A key of a shape: its name, its type as written, its comment.
struct Key {
    name: String,
    kind: String,
    comment: String,
}

/// The shapes as `file.rs` writes them: name → (comment, keys).
fn written_shapes() -> BTreeMap<String, (String, Vec<Key>)> {
    let mut shapes = BTreeMap::new();
    let (mut comment, mut current) = (String::new(), None::<(String, String, Vec<Key>)>);
    for line in SHAPES.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            comment.push_str(if comment.is_empty() { "" } else { " " });
            comment.push_str(text.trim());
        } else if let Some(rest) = line.strip_prefix("pub struct ") {
            let name = rest.trim_end_matches(" {").to_owned();
            current = Some((name, std::mem::take(&mut comment), Vec::new()));
        } else if let Some((name, kind)) =
            line.strip_prefix("pub ").and_then(|l| l.split_once(": "))
        {
            let (_, _, keys) = current.as_mut().expect("a key is in a struct");
            let kind = kind.trim_end_matches(',').to_owned();
            keys.push(Key { name: name.to_owned(), kind, comment: std::mem::take(&mut comment) });
        } else if line == "}"
            && let Some((name, comment, keys)) = current.take()
        {
            shapes.insert(name, (comment, keys));
        }
    }
    assert!(shapes.len() > 10, "the scan finds the shapes");
    shapes
}

/// The name of the shape within a type, and whether it is a list of them.
fn shape_of(kind: &str) -> (&str, bool) {
    let inner = kind.strip_prefix("Option<").and_then(|k| k.strip_suffix('>')).unwrap_or(kind);
    match inner.strip_prefix("Vec<").and_then(|k| k.strip_suffix('>')) {
        Some(element) => (element, true),
        None => (inner, false),
    }
}

/// A table of the file as `file.rs` describes it.
struct Section {
    /// For instance `models.endpoints`; empty for the file.
    path: String,
    is_list: bool,
    comment: String,
    /// Those that are no tables.
    keys: Vec<Key>,
}

/// All tables, in the file's order.
fn sections() -> Vec<Section> {
    fn go(name: &str, path: &str, is_list: bool, into: &mut Vec<Section>) {
        let mut shapes = written_shapes();
        let (comment, keys) = shapes.remove(name).expect("a shape");
        let (tables, keys): (Vec<Key>, Vec<Key>) =
            keys.into_iter().partition(|key| shapes.contains_key(shape_of(&key.kind).0));
        into.push(Section { path: path.to_owned(), is_list, comment, keys });
        for key in tables {
            let (shape, is_list) = shape_of(&key.kind);
            let path = format!("{path}{}{}", if path.is_empty() { "" } else { "." }, key.name);
            go(shape, &path, is_list, into);
        }
    }
    let mut all = Vec::new();
    go("File", "", false, &mut all);
    all
}

#[test]
fn the_reader_knows_which_keys_are_tables() {
    let name = |s: &Section| s.path.rsplit('.').next().unwrap_or_default().to_owned();
    for section in sections().iter().filter(|s| !s.path.is_empty()) {
        let (tables, lists) = (&crate::config::read::TABLES, &crate::config::read::LISTS);
        assert_eq!(lists.contains(&name(section).as_str()), section.is_list, "{}", section.path);
        assert_eq!(tables.contains(&name(section).as_str()), !section.is_list, "{}", section.path);
    }
}

#[test]
fn the_full_file_has_every_key() {
    /// Every table at this path, through lists.
    fn at<'a>(table: &'a Table, path: &str) -> Vec<&'a Table> {
        path.split('.').filter(|p| !p.is_empty()).fold(vec![table], |tables, part| {
            let values = tables.into_iter().filter_map(|table| table.get(part));
            values
                .flat_map(|value| match value {
                    Value::Table(table) => vec![table],
                    Value::Array(list) => list.iter().filter_map(Value::as_table).collect(),
                    _ => Vec::new(),
                })
                .collect()
        })
    }
    let full: Table = with_absent_keys().parse().expect("TOML");
    for Section { path, keys, .. } in &sections() {
        let tables = at(&full, path);
        assert!(!tables.is_empty(), "full.toml has [{path}]");
        for key in keys {
            let found = tables.iter().any(|table| table.contains_key(&key.name));
            assert!(found, "full.toml has {path}.{}", key.name);
        }
    }
}

#[test]
fn comments_state_the_defaults_of_the_code() {
    let file = File {
        providers: vec![file::Provider {
            probe: Some(file::Probe::default()),
            ..file::Provider::default()
        }],
        models: vec![file::Model {
            reasoning: Some(file::Reasoning::default()),
            endpoints: vec![file::Endpoint::default()],
            ..file::Model::default()
        }],
        byok: vec![file::Byok::default()],
        auto: vec![file::Auto::default()],
        presets: vec![file::Preset::default()],
        plugins: vec![file::Plugin::default()],
        ..File::default()
    };
    let code = Value::try_from(&file).expect("TOML");
    for Section { path, keys, .. } in &sections() {
        for key in keys {
            let named = format!("{path}.{}", key.name);
            let Some((_, stated)) = key.comment.split_once("Default `") else {
                let other = key.comment.contains("Optional") || key.comment.contains("Required");
                assert!(other, "{named} states a default, or Optional or Required");
                assert_eq!(
                    key.kind.starts_with("Option<"),
                    key.comment.contains("Optional") || path.ends_with("prices"),
                    "{named} is an Option if it is optional"
                );
                continue;
            };
            let (stated, _) = stated.split_once('`').expect("a closing tick");
            let stated: Table = format!("v = {stated}").parse().expect("a TOML value");
            let mut value = &code;
            for part in named.split('.') {
                value = match value {
                    Value::Array(list) => list[0].get(part),
                    table => table.get(part),
                }
                .unwrap_or_else(|| panic!("{named} has a default"));
            }
            assert_eq!(value, &stated["v"], "default of {named}");
        }
    }
}

/// The reference, made from the comments.
fn reference() -> String {
    let mut text = String::from(
        "# Configuration reference\n\n\
         Made from the comments in `src/config/file.rs`; `TURNPIKE_BLESS=1 cargo test --lib \
         --no-default-features reference` writes it anew. `conf/full.toml` shows every key in its \
         place.\n\n\
         Units stand in the names: `_ms`, `_s`, `_bytes`. Paths are relative to the working \
         directory. Unknown keys are refused, and `turnpike check` lists every fault at once.\n",
    );
    for Section { path, is_list, comment, keys } in sections() {
        if path.is_empty() {
            continue;
        }
        let heading = if is_list { format!("[[{path}]]") } else { format!("[{path}]") };
        text += &format!("\n## `{heading}`\n\n{comment}\n\n| key | type | what |\n|---|---|---|\n");
        for key in keys {
            let kind = match shape_of(&key.kind) {
                ("String", true) => "list of texts",
                ("String", false) => "text",
                ("i64", _) => "whole number",
                ("f64", _) => "number",
                ("bool", _) => "true or false",
                ("toml::Table", _) => "table",
                (other, _) => panic!("a word for the type {other}"),
            };
            text += &format!("| `{}` | {kind} | {} |\n", key.name, key.comment);
        }
    }
    text
}

#[test]
fn the_reference_is_up_to_date() {
    if std::env::var_os("TURNPIKE_BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/reference.md");
        std::fs::write(path, reference()).expect("written");
        return;
    }
    assert_eq!(reference(), REFERENCE, "run again with TURNPIKE_BLESS=1 to write it anew");
}
