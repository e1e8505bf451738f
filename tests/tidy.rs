//! The rules of ARCHITECTURE.md and CONTRIBUTING.md that a machine can check.
//!
//! The checks read source as text. They are a fence, not a proof: comments are cut at `//`, and
//! names are found where `crate::` or enough `super::` lead to them.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const ALL: &[&str] = &["*"];

/// Which module may name which, the lowest first.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("vocab", &[]),
    ("error", &["vocab"]),
    ("terms", &["vocab"]),
    ("limits", &["vocab", "terms"]),
    ("dialect", &["vocab", "error"]),
    ("catalog", &["vocab", "error", "dialect"]),
    ("auth", &["vocab", "error", "terms", "ledger"]),
    ("ledger", &["vocab", "error", "terms", "limits", "auth"]),
    ("payment", &["vocab", "catalog"]),
    ("events", &["vocab", "error", "terms", "catalog", "auth", "ledger", "payment"]),
    ("cache", &["vocab", "error", "dialect"]),
    ("content", &["vocab", "error", "dialect", "catalog"]),
    ("observe", &["vocab", "error", "dialect", "catalog"]),
    ("balance", &["vocab", "error", "catalog"]),
    ("charge", &["vocab", "dialect", "catalog"]),
    ("stream", &["vocab", "error", "dialect", "catalog", "charge"]),
    ("plugins", &["vocab", "error", "dialect", "stream"]),
    ("route", &["vocab", "error", "terms", "dialect", "catalog", "balance"]),
    ("attempt", &["vocab", "error", "dialect", "catalog", "balance"]),
    (
        "config",
        &[
            "vocab", "error", "terms", "dialect", "catalog", "auth", "ledger", "cache", "observe",
            "balance", "stream", "plugins", "route", "attempt", "payment",
        ],
    ),
    ("reconcile", &["vocab", "catalog", "ledger"]),
    ("simulate", &["vocab", "error", "dialect", "catalog", "config"]),
    (
        "admin",
        &[
            "vocab", "error", "terms", "dialect", "catalog", "auth", "ledger", "cache", "observe",
            "balance", "stream", "route", "attempt", "config", "payment", "events", "content",
        ],
    ),
    ("edge", ALL),
    ("cli", ALL),
    ("lib", ALL),
    ("main", ALL),
];

/// Files over [`LINES_MAX`], each with its reason.
const LONG_FILES: &[(&str, &str)] = &[
    ("tests/it/failover.rs", "the error-policy table, row by row, with its simulated faults"),
    ("tests/it/money.rs", "one story per way of paying; each stands alone and reads in one go"),
    (
        "tests/it/vectors.rs",
        "a case from its folder to the comparison; every step needs the others",
    ),
];

/// The longest file that is read in one sitting.
const LINES_MAX: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file under these folders, as (path from the root, text).
fn rust_files(folders: &[&str]) -> Vec<(PathBuf, String)> {
    fn visit(folder: &Path, files: &mut Vec<(PathBuf, String)>) {
        let entries = fs::read_dir(folder).expect("a readable folder");
        for path in entries.map(|entry| entry.expect("a readable entry").path()) {
            if path.is_dir() {
                if path.file_name().is_none_or(|name| name != "target") {
                    visit(&path, files);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("UTF-8");
                files.push((path.strip_prefix(root()).expect("below the root").into(), text));
            }
        }
    }
    let mut files = Vec::new();
    for folder in folders.iter().map(|f| root().join(f)).filter(|f| f.is_dir()) {
        visit(&folder, &mut files);
    }
    files.sort();
    assert!(!files.is_empty(), "there are files to check");
    files
}

/// The text without what follows `//` on a line.
fn without_comments(text: &str) -> String {
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The top-level module of a file in `src/`, and how many `super` lead out of it.
fn module_of(path: &Path) -> (String, usize) {
    let inner = path.strip_prefix("src").expect("in src").with_extension("");
    let parts: Vec<String> =
        inner.iter().map(|p| p.to_string_lossy().into_owned()).filter(|p| p != "mod").collect();
    (parts.first().expect("a name").clone(), parts.len())
}

/// The modules that the code names, by `crate::a`, `crate::{a, b::c}` or `super::…::a`.
fn named_modules(code: &str, depth: usize) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let out_of_module = "super::".repeat(depth);
    let mut names = BTreeSet::new();
    for lead in ["crate::", out_of_module.as_str()] {
        for (at, _) in code.match_indices(lead) {
            let own = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
            let rest = code[at + lead.len()..].trim_start();
            if !own {
                continue;
            }
            let Some(group) = rest.strip_prefix('{') else {
                names.insert(word(rest));
                continue;
            };
            let mut level = 0;
            let mut start = true;
            for (i, c) in group.char_indices() {
                match c {
                    '{' => level += 1,
                    '}' if level == 0 => break,
                    '}' => level -= 1,
                    ',' if level == 0 => start = true,
                    c if start && level == 0 && !c.is_whitespace() => {
                        names.insert(word(&group[i..]));
                        start = false;
                    }
                    _ => {}
                }
            }
        }
    }
    names
}

#[test]
fn names_are_found_however_they_are_led_to() {
    let code = "use crate::{vocab::{A, B}, error};\nfn f(x: crate::ledger::X) -> super::route::Y;\n\
                pub(in crate::config) z; $crate::macros; super::super::edge::Q";
    let named = named_modules(code, 1);
    for name in ["vocab", "error", "ledger", "route", "config"] {
        assert!(named.contains(name), "{name} is found in {named:?}");
    }
    assert!(!named.contains("A") && !named.contains("macros"), "and no other: {named:?}");
    assert!(named_modules(code, 2).contains("edge"), "two levels up");
}

#[test]
fn modules_name_only_lower_modules() {
    let mut wrong = Vec::new();
    for (path, text) in rust_files(&["src"]) {
        let (module, depth) = module_of(&path);
        let Some((_, may)) = MAY_NAME.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{}: {module} is not in the table MAY_NAME", path.display()));
            continue;
        };
        for named in named_modules(&without_comments(&text), depth) {
            let is_module = MAY_NAME.iter().any(|(name, _)| *name == named);
            if is_module && named != module && *may != ALL && !may.contains(&named.as_str()) {
                wrong.push(format!("{}: {module} may not name {named}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports against the direction:\n{}", wrong.join("\n"));
}

#[test]
fn the_table_of_modules_is_in_order_and_complete() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("lib.rs");
    let declared: BTreeSet<&str> =
        lib.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let table: BTreeSet<&str> =
        MAY_NAME.iter().map(|(name, _)| *name).filter(|n| !["lib", "main"].contains(n)).collect();
    assert_eq!(table, declared, "the table MAY_NAME has the modules of lib.rs");
    for (i, (module, may)) in MAY_NAME.iter().enumerate().filter(|(_, (_, may))| *may != ALL) {
        for name in *may {
            let lower = MAY_NAME.iter().take(i).any(|(earlier, _)| earlier == name);
            // The one pair of siblings that know each other: keys live in the ledger.
            let siblings = *module == "auth" && *name == "ledger";
            assert!(lower || siblings, "{module} may name {name}, which is not lower");
        }
    }
}

#[test]
fn only_the_edge_names_pingora() {
    for (path, text) in rust_files(&["src", "lua-free-plugins"]) {
        if !path.starts_with("src/edge") {
            let named = without_comments(&text).contains("pingora");
            assert!(!named, "{} names pingora; only src/edge may", path.display());
        }
    }
}

#[test]
fn files_are_short_or_say_why_not() {
    let files = rust_files(&["src", "tests", "benches", "lua-free-plugins"]);
    let long: BTreeSet<String> = files
        .iter()
        .filter(|(_, text)| text.lines().count() > LINES_MAX)
        .map(|(path, _)| path.display().to_string())
        .collect();
    let excused: BTreeSet<String> = LONG_FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(long, excused, "files over {LINES_MAX} lines and the list LONG_FILES agree");
    for (path, reason) in LONG_FILES {
        assert!(reason.len() > 20, "{path} has a reason");
    }
}

#[test]
fn nothing_is_left_undone_or_ignored() {
    // In two parts, so that this file does not find itself.
    let undone = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("#[ig", "nore"),
        concat!("thread::", "sleep("),
    ];
    for (path, text) in rust_files(&["src", "tests", "benches", "lua-free-plugins"]) {
        let code = without_comments(&text);
        for what in undone {
            // Tests never sleep to get an order of events; end to end they do while they poll, with
            // a deadline, what another process does, or play a slow client.
            let sleeps = what.contains("sleep")
                && (path.starts_with("tests/it")
                    || !path
                        .components()
                        .any(|c| c.as_os_str().to_string_lossy().contains("test")));
            assert!(sleeps || !code.contains(what), "{} has {what}", path.display());
        }
    }
}

#[test]
fn the_architecture_mentions_every_folder() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md exists");
    for entry in fs::read_dir(root().join("src")).expect("src") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            let mentioned =
                text.contains(&format!("{name}/")) || text.contains(&format!("`{name}`"));
            assert!(mentioned, "ARCHITECTURE.md mentions `{name}/`");
        }
    }
}

#[test]
fn every_shipped_configuration_is_good() {
    let env = |_: &str| Some("a-secret-that-is-long-enough".to_owned());
    let read_file = |path: &Path| -> io::Result<String> {
        Err(io::Error::other(format!("{} is not there", path.display())))
    };
    let mut count = 0;
    for entry in fs::read_dir(root().join("conf")).expect("conf") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = fs::read_to_string(&path).expect("UTF-8");
            if let Err(faults) = turnpike::config::parse(&text, &env, &read_file) {
                panic!("{}:\n{faults}", path.display());
            }
            count += 1;
        }
    }
    assert!(count >= 2, "turnpike.toml and full.toml are there");
}
