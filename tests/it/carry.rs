//! A ledger carried to another directory by the command line.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use turnpike::dialect::Dialect;

use crate::support::gateway::MODEL;
use crate::support::{Gateway, Setup, ask, providers};

fn turnpike(dir: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_turnpike"))
        .args(words)
        .current_dir(dir)
        .output()
        .expect("the command runs")
}

fn done(dir: &Path, words: &[&str]) -> String {
    let output = turnpike(dir, words);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {error}");
    String::from_utf8(output.stdout).expect("text")
}

fn refused(dir: &Path, words: &[&str]) -> String {
    let output = turnpike(dir, words);
    assert!(!output.status.success(), "{words:?} succeeds");
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn an_export_is_imported_and_serves_on() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let mut gateway = Gateway::start(&running, &Setup::default());
    let answer = gateway.client().chat(&ask(MODEL, "Hello", false, 8));
    assert!(answer.is_good(), "{}", answer.text());
    let id = answer.header("x-generation-id").expect("an id").to_owned();
    gateway.signal("TERM");
    assert!(gateway.wait(Duration::from_secs(30)).success());
    let dir = gateway.dir.path().to_owned();
    for format in ["jsonl", "csv"] {
        let file = format!("ledger.{format}");
        let export = ["ledger", "export", "--format", format, "--output", &file, "--data"];
        done(&dir, &[&export[..], &["data"]].concat());
        let new = format!("data-{format}");
        let import = ["ledger", "import", &file, "--data", &new];
        let said = done(&dir, &import);
        assert!(said.contains("entries: "), "{said}");
        assert!(refused(&dir, &import).contains("there is a ledger already"));
        let again = ["ledger", "export", "--format", format, "--output", "again", "--data", &new];
        done(&dir, &again);
        let read = |name: &str| std::fs::read(dir.join(name)).expect("an export");
        assert!(read("again") == read(&file), "the same, to the last hash");
        assert!(done(&dir, &["ledger", "verify", "--data", &new]).contains("sound"));
    }
    // A line that is left out breaks the chain.
    let text = std::fs::read_to_string(dir.join("ledger.jsonl")).expect("an export");
    let rest: Vec<&str> = text.lines().skip(1).collect();
    std::fs::write(dir.join("broken.jsonl"), rest.join("\n")).expect("a file");
    let error = refused(&dir, &["ledger", "import", "broken.jsonl", "--data", "data-broken"]);
    assert!(error.contains("line 1"), "{error}");

    std::fs::copy(dir.join("data/secret"), dir.join("data-jsonl/secret")).expect("the secret");
    std::fs::rename(dir.join("data"), dir.join("data-before")).expect("moved away");
    std::fs::rename(dir.join("data-jsonl"), dir.join("data")).expect("in its place");
    gateway.restart();
    let mut client = gateway.client();
    let record = client.get(&format!("/api/v1/generation?id={id}"));
    assert_eq!(record.status, 200, "{}", record.text());
    assert!(client.chat(&ask(MODEL, "Hello", false, 8)).is_good());
}
