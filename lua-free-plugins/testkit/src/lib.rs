//! Fake views and a harness for plugins.
//!
//! A plugin's tests are data: files in its `cases/`, each a request, what the plugin asks of the
//! outside and is answered, an answer, and what is expected of all that ([`Case`]). [`cases`] runs
//! them, and holds every plugin to what all must keep: two runs of a case do the same, an answer
//! cut anywhere comes out the same, and nothing is held back beyond the end of its choice.
//!
//! ```json
//! {
//!   "options": {"max_results": 2},
//!   "entry": {"max_results": 1},
//!   "head": {"model": "a/b:online", "stream": true},
//!   "turns": [{"role": "user", "texts": ["What is new?"]}],
//!   "calls": [{"method": "GET", "url": "http://search:8080/search?q=new", "reply": {"status": 200, "json": {}}}],
//!   "expect": {"instructions": ["…"], "texts": [["What is new?"]], "fee_nano": 0},
//!   "answer": {"pieces": ["It ", "rains."], "expect": "It rains.", "citations": ["https://a.example/"]}
//! }
//! ```

// A harness speaks by panicking, as the tests do that it is for.
#![allow(clippy::panic, clippy::expect_used, reason = "only tests use it")]

mod case;
mod play;

pub use case::{
    Case, Exchange, Expected, ExpectedAnswer, ExpectedRefusal, HeadCase, ReplyCase, TurnCase,
};
pub use play::{Played, Said, build, play, say, say_marked};

use turnpike_plugin_api::Definition;

/// Runs all cases of a directory, in the order of their names.
///
/// # Panics
/// One of them comes out otherwise; the text says which and how. There must be at least one.
pub fn cases(definition: &Definition, dir: &str) {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap_or_else(|error| panic!("{dir}: {error}"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{dir} has no cases");
    for file in files {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(&file).expect("a readable file");
        let case: Case = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        case.check(definition, &name);
    }
}

/// Holds a plugin's options to what every plugin's must keep: each option is documented and says
/// whether it must be given, and one that is not known is refused.
///
/// # Panics
/// It does not.
pub fn options(definition: &Definition, options: &serde_json::Value) {
    build(definition, options).expect("sound options");
    for doc in definition.options.iter().chain(definition.per_request) {
        let ends = ["Default ", "Optional", "Required"];
        let says = ends.iter().any(|end| doc.about.contains(end));
        assert!(says, "{}: say `Default …`, `Optional` or `Required`", doc.name);
    }
    let mut unknown = options.clone();
    unknown["no_such_option"] = serde_json::json!(1);
    let refused = build(definition, &unknown).err().expect("an unknown option must be refused");
    assert!(refused.to_string().contains("no_such_option"), "it must be named: {refused}");
}

/// Holds a plugin's folder to what every plugin's must have: an example that is sound, and a README
/// that names every option.
///
/// # Panics
/// It does not.
pub fn folder(definition: &Definition, dir: &str) {
    let read = |name: &str| {
        let path = format!("{dir}/{name}");
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let example: toml::Value = toml::from_str(&read("example.toml")).expect("TOML");
    let entry = &example["plugins"][0];
    assert_eq!(entry["id"].as_str(), Some(definition.id), "the example is this plugin's");
    let empty = toml::Value::Table(toml::Table::new());
    let given = serde_json::to_value(entry.get("options").unwrap_or(&empty)).expect("JSON");
    options(definition, &given);
    let readme = read("README.md");
    for doc in definition.options.iter().chain(definition.per_request) {
        assert!(readme.contains(&format!("`{}`", doc.name)), "README.md has no {}", doc.name);
    }
}
