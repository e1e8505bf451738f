//! Exports carry a whole ledger into an empty directory.

use proptest::prelude::*;

use super::*;
use crate::ledger::{ExportFormat, ExportRange, OpenError, compact, export_as, import};

fn exported(dir: &Path, format: ExportFormat) -> Vec<u8> {
    let mut out = Vec::new();
    export_as(dir, format, ExportRange::ALL, &mut out).unwrap();
    out
}

fn import_into(dir: &Path, export: &[u8]) -> Result<crate::ledger::Imported, OpenError> {
    import(dir, &mut &*export)
}

/// A ledger with texts that are hard to spell.
fn closed(dir: &Path, count: u64, label: &str) {
    let small = Options { segment_bytes: 8_192, ..options() };
    let (ledger, key) = with_credit(dir, small, 1_000_000);
    work(&ledger, &key, 0, count);
    let terms = KeyTerms { label: label.to_owned(), ..KeyTerms::default() };
    ledger.create_key(&acme(), terms).unwrap();
    ledger.adjust(&acme(), NanoUsd(5), Book::Promotions, label, "gift").unwrap();
    ledger.close().unwrap();
}

fn assert_carried(from: &Path, format: ExportFormat, count: u64) {
    let export = exported(from, format);
    let dir = tempfile::tempdir().unwrap();
    let imported = import_into(dir.path(), &export).unwrap();
    assert!(imported.secret_missing, "{imported:?}");
    for kind in [ExportFormat::Jsonl, ExportFormat::Csv] {
        assert!(exported(dir.path(), kind) == exported(from, kind), "the same, to the last hash");
    }
    match Ledger::open(dir.path(), options()) {
        Err(OpenError::Io(path, _)) => assert!(path.ends_with("secret"), "{}", path.display()),
        other => panic!("{other:?}"),
    }
    fs::copy(from.join("secret"), dir.path().join("secret")).unwrap();
    let (ledger, _) = Ledger::open(dir.path(), options()).unwrap();
    let (original, _) = Ledger::open(from, options()).unwrap();
    assert_eq!(ledger.account(&acme()), original.account(&acme()));
    for n in 0..count {
        let record = ledger.generation(id(n)).unwrap();
        assert!(record.is_some() && record == original.generation(id(n)).unwrap(), "{n}");
    }
    drop((ledger, original));
    assert_sound(dir.path());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn an_import_is_the_ledger_that_was_exported(
        count in 0_u64..60,
        label in "(\\PC|[=@,\"\n\t]){0,20}",
        pack: bool,
    ) {
        let dir = tempfile::tempdir().unwrap();
        closed(dir.path(), count, &label);
        if pack {
            compact(dir.path(), 0).unwrap();
        }
        assert_carried(dir.path(), ExportFormat::Jsonl, count);
        assert_carried(dir.path(), ExportFormat::Csv, count);
    }
}

#[test]
fn only_a_whole_and_unchanged_export_is_imported() {
    let from = tempfile::tempdir().unwrap();
    closed(from.path(), 8, "laptop");
    for format in [ExportFormat::Jsonl, ExportFormat::Csv] {
        let export = String::from_utf8(exported(from.path(), format)).unwrap();
        let lines: Vec<&str> = export.lines().collect();
        let dir = tempfile::tempdir().unwrap();
        let refused = |text: &str, why: &str| match import_into(dir.path(), text.as_bytes()) {
            Err(OpenError::Import(what)) => assert!(what.contains(why), "{what}"),
            other => panic!("{other:?}"),
        };
        let head = usize::from(format == ExportFormat::Csv);
        refused("", "no entries");
        refused("nonsense\n", "line 1");
        refused(&lines[head + 1..].join("\n"), "is it the whole");
        let without_one: Vec<&str> =
            lines.iter().enumerate().filter(|(i, _)| *i != 4).map(|(_, line)| *line).collect();
        refused(&without_one.join("\n"), "is it the whole");
        // The last characters are the entry's own bytes.
        let line = lines[5];
        let at = line.len() - 12;
        let other = if &line[at..=at] == "A" { "B" } else { "A" };
        let changed = format!("{}{other}{}", &line[..at], &line[at + 1..]);
        let mut forged = lines.clone();
        forged[5] = &changed;
        refused(&forged.join("\n"), "was changed");
        // What failed left no ledger.
        import_into(dir.path(), export.as_bytes()).unwrap();
        refused(&export, "there is a ledger already");
    }
}

#[test]
fn a_range_of_time_is_a_part() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path(), 20, "laptop");
    let all = String::from_utf8(exported(dir.path(), ExportFormat::Jsonl)).unwrap();
    let time = |line: &str| -> u64 {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["time_ms"].as_u64().unwrap()
    };
    let times: Vec<u64> = all.lines().map(time).collect();
    let (from_ms, to_ms) = (times[times.len() / 3], times[times.len() / 2] + 1);
    let mut out = Vec::new();
    let range = ExportRange { from_ms, to_ms };
    let count = export_as(dir.path(), ExportFormat::Jsonl, range, &mut out).unwrap();
    let part = String::from_utf8(out).unwrap();
    let expected: Vec<&str> =
        all.lines().filter(|line| (from_ms..to_ms).contains(&time(line))).collect();
    assert_eq!(part.lines().collect::<Vec<_>>(), expected);
    assert_eq!(count, expected.len() as u64);
    assert!(!expected.is_empty() && expected.len() < times.len());
}
