//! What plugins' folders promise, and the reference of their options.

use std::fmt::Write as _;
use std::path::Path;

use super::config;
use crate::plugins::table;

const REFERENCE: &str = include_str!("../../../conf/plugins.md");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_plugin_has_a_folder_with_a_sound_example() {
    const SMALLEST: &str = include_str!("../../../conf/turnpike.toml");
    let mut before = "";
    for plugin in table::ALL {
        assert!(before < plugin.id, "{} is in its place", plugin.id);
        before = plugin.id;
        let folder = root().join("lua-free-plugins").join(plugin.id);
        assert!(folder.join("README.md").is_file(), "{} has a README", plugin.id);
        let example = std::fs::read_to_string(folder.join("example.toml")).expect("an example");
        let config = config(&format!("{SMALLEST}\n{example}"));
        let config = config.unwrap_or_else(|faults| panic!("{}: {faults}", plugin.id));
        assert_eq!(config.plugins.plugins().len(), 1, "{}", plugin.id);
    }
    let features = std::fs::read_dir(root().join("lua-free-plugins")).expect("a folder");
    let folders = features.filter(|entry| entry.as_ref().is_ok_and(|e| e.path().is_dir()));
    assert_eq!(folders.count(), table::ALL.len() + 2, "each but api and testkit is in the table");
}

#[test]
fn faults_of_options_are_told_with_their_place() {
    for (text, path) in [
        ("[[plugins]]", "plugins[0].id"),
        ("[[plugins]]\nid = \"nothing\"", "plugins[0].id"),
        ("[[plugins]]\nid = \"web\"\nenabled = \"yes\"", "plugins[0].enabled"),
        ("[[plugins]]\nid = \"web\"\non_error = \"\"", "plugins[0].on_error"),
        ("[[plugins]]\nid = \"web\"\ncalls_max = 0", "plugins[0].calls_max"),
        ("[[plugins]]\nid = \"web\"\n[plugins.options]\nengine = 1", "plugins[0].options"),
        (
            "[[plugins]]\nid = \"web\"\n[plugins.options]\nengine = \"brave\"\napi_key = \"sk-1\"",
            "plugins[0].options.api_key",
        ),
    ] {
        let base = include_str!("../../../conf/turnpike.toml");
        let faults = config(&format!("{base}\n{text}\n")).expect_err("refused");
        assert!(
            faults.0.iter().any(|fault| fault.path.starts_with(path)),
            "{text}: {faults} at {path}"
        );
        assert!(!faults.to_string().contains("sk-1"), "a secret is not repeated");
    }
    let twice = "[[plugins]]\nid = \"web\"\n[[plugins]]\nid = \"web\"\n";
    let base = include_str!("../../../conf/turnpike.toml");
    let faults = config(&format!("{base}\n{twice}")).expect_err("refused");
    assert!(faults.0.iter().any(|fault| fault.path == "plugins[1].id"), "{faults}");
}

/// The reference, made from what plugins say of themselves.
fn reference() -> String {
    let mut text = String::from(
        "# Plugins\n\n\
         Made from the plugins' own definitions; `TURNPIKE_BLESS=1 cargo test --lib reference` writes \
         it anew. Each has a folder in `lua-free-plugins/` with more of it and an example. How a plugin \
         is switched on stands in `conf/reference.md` under `[[plugins]]`; what is listed here goes into \
         its `[plugins.options]`, or into the request's own entry of `plugins` beside `id` and \
         `enabled`.\n",
    );
    for plugin in table::ALL {
        write!(text, "\n## `{}`\n\n{}\n", plugin.id, plugin.about).expect("text");
        for (what, options) in [("option", plugin.options), ("of a request", plugin.per_request)] {
            if options.is_empty() {
                continue;
            }
            write!(text, "\n| {what} | what |\n|---|---|\n").expect("text");
            for option in options {
                writeln!(text, "| `{}` | {} |", option.name, option.about).expect("text");
            }
        }
    }
    text
}

#[test]
fn the_reference_of_plugins_is_up_to_date() {
    if std::env::var_os("TURNPIKE_BLESS").is_some() {
        std::fs::write(root().join("conf/plugins.md"), reference()).expect("written");
        return;
    }
    assert!(reference() == REFERENCE, "run again with TURNPIKE_BLESS=1 to write it anew");
}
