//! "A plugin in 15 minutes" (`lua-free-plugins/example-stamp/README.md`), step by step, in a copy of
//! the repository. With `TURNPIKE_NEWCOMER=1` it is also built and run, which takes minutes; without,
//! the steps must still fit the files that they change, and cargo must find the plugin.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use turnpike::dialect::Dialect;

use crate::support::{Gateway, Setup, ask, providers};

/// Copies a folder without what is built and what is hidden.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("UTF-8");
        let (from, to) = (entry.path(), to.join(&name));
        if name.starts_with('.') || ["target", "node_modules"].contains(&name.as_str()) {
            continue;
        }
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("a copy");
        }
    }
}

fn replace(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).expect("a file");
    assert!(text.contains(from), "{} has {from:?}", file.display());
    fs::write(file, text.replacen(from, to, 1)).expect("written");
}

fn cargo(root: &Path, target: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO"));
    let command = command.args(arguments).current_dir(root).env("CARGO_TARGET_DIR", target);
    let output = command.output().expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_newcomer_makes_a_plugin_by_the_readme() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("turnpike");
    copy(here, &root);
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(here.join("target"), PathBuf::from);
    let target = target.join("newcomer");
    // 1 and 2: copy the folder, give it its name, test it alone.
    let plugins = root.join("lua-free-plugins");
    copy(&plugins.join("example-stamp"), &plugins.join("my-stamp"));
    let own = plugins.join("my-stamp");
    replace(&own.join("Cargo.toml"), "turnpike-plugin-example-stamp", "turnpike-plugin-my-stamp");
    replace(&own.join("src/lib.rs"), "id: \"example-stamp\"", "id: \"my-stamp\"");
    replace(&own.join("example.toml"), "id = \"example-stamp\"", "id = \"my-stamp\"");
    // 5: register it.
    let manifest = root.join("Cargo.toml");
    replace(&manifest, "\nplugins = [", "\nplugins = [\"plugin-my-stamp\", ");
    let feature = "plugin-my-stamp = [\"dep:turnpike-plugin-my-stamp\"]\n";
    replace(&manifest, "plugin-redact = [", &format!("{feature}plugin-redact = ["));
    let dependency = "turnpike-plugin-my-stamp = { path = \"lua-free-plugins/my-stamp\", \
                      version = \"0.1.0\", optional = true }";
    let heading = "\n[dependencies]\n";
    replace(&manifest, heading, &format!("{heading}{dependency}\n"));
    let before = "    #[cfg(feature = \"plugin-redact\")]\n";
    let line =
        "    #[cfg(feature = \"plugin-my-stamp\")]\n    turnpike_plugin_my_stamp::DEFINITION,\n";
    replace(&root.join("src/plugins/table.rs"), before, &format!("{line}{before}"));
    let metadata = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let found = cargo(&root, &target, &metadata);
    assert!(found.contains("\"name\":\"turnpike-plugin-my-stamp\""), "cargo finds it");
    if std::env::var_os("TURNPIKE_NEWCOMER").is_none() {
        return;
    }
    cargo(&root, &target, &["test", "-p", "turnpike-plugin-my-stamp"]);
    cargo(&root, &target, &["build", "--bin", "turnpike"]);
    // 6 and 7: configure it, run it, see it.
    let program = target.join("debug/turnpike");
    let more = "[[plugins]]\nid = \"my-stamp\"\nenabled = \"default\"\non_error = \"open\"\n\
                [plugins.options]\ntext = \"Answer in one sentence.\"\n\
                footer = \"\\n\\n-- passed through the gateway\"\n";
    let providers = providers(&[("one", Dialect::OpenAi)]);
    let setup = Setup { program: Some(program), more: more.to_owned(), ..Setup::default() };
    let gateway = Gateway::start(&providers, &setup);
    for streamed in [false, true] {
        let answer =
            gateway.client().chat(&ask("test/model", "What is a toll road?", streamed, 20));
        let text = answer.content();
        assert!(text.ends_with("-- passed through the gateway"), "{text}");
    }
    let last = providers.provider("one").expect("a provider").last_request().expect("a request");
    let asked = String::from_utf8_lossy(last.body.as_ref().expect("a body")).into_owned();
    assert!(asked.contains("Answer in one sentence."), "{asked}");
}
