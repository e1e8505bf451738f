//! Whatever happens to a file, reading it gives a configuration or faults, never a panic.

use proptest::prelude::*;

use super::{MINIMAL, config};

const FULL: &str = include_str!("../../../conf/full.toml");

/// One change: where (as a fraction of the text), how much is cut, what is put there.
type Change = (f64, usize, String);

fn change() -> impl Strategy<Value = Change> {
    let pieces = prop_oneof![
        Just(String::new()),
        "[\\[\\]{}=\"'.,#\n a-z0-9_-]{0,12}",
        any::<String>().prop_map(|s| s.chars().take(8).collect()),
        Just("[[providers]]\n".to_owned()),
        Just("\n[server]\n".to_owned()),
        Just("-9223372036854775808".to_owned()),
        Just("nan".to_owned()),
        Just("1e999".to_owned()),
    ];
    (0.0..1.0_f64, 0..40_usize, pieces)
}

fn apply(text: &str, changes: &[Change]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for (at, cut, piece) in changes {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a fraction of a small length"
        )]
        let at = (at * chars.len() as f64) as usize;
        let end = (at + cut).min(chars.len());
        chars.splice(at..end, piece.chars());
    }
    chars.into_iter().collect()
}

/// Exchanges the values of two `key = value` lines: the syntax stays good, the types do not.
fn exchange(text: &str, pairs: &[(prop::sample::Index, prop::sample::Index)]) -> String {
    let mut lines: Vec<(String, Option<String>)> = text
        .lines()
        .map(|line| match line.split_once(" = ") {
            Some((key, value)) if !line.starts_with("# ") => {
                (key.to_owned(), Some(value.to_owned()))
            }
            _ => (line.to_owned(), None),
        })
        .collect();
    let valued: Vec<usize> = (0..lines.len()).filter(|i| lines[*i].1.is_some()).collect();
    for (a, b) in pairs {
        let (a, b) = (*a.get(&valued), *b.get(&valued));
        let taken = lines[a].1.take();
        lines[a].1 = lines[b].1.take().or_else(|| taken.clone());
        lines[b].1 = taken;
    }
    let line = |(key, value): &(String, Option<String>)| match value {
        Some(value) => format!("{key} = {value}\n"),
        None => format!("{key}\n"),
    };
    lines.iter().map(line).collect()
}

fn check(text: &str) {
    if let Err(faults) = config(text) {
        assert!(!faults.0.is_empty(), "an error names its faults");
        for fault in &faults.0 {
            assert!(!fault.path.is_empty() && !fault.message.is_empty(), "{faults:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_damage_gives_faults_or_a_configuration(
        changes in prop::collection::vec(change(), 1..6),
        minimal in any::<bool>(),
    ) {
        check(&apply(if minimal { MINIMAL } else { FULL }, &changes));
    }

    #[test]
    fn values_in_the_wrong_place_are_told(
        pairs in prop::collection::vec(any::<(prop::sample::Index, prop::sample::Index)>(), 1..12),
    ) {
        check(&exchange(FULL, &pairs));
    }

    #[test]
    fn any_text_is_read(text in any::<String>()) {
        check(&text);
    }
}

#[test]
fn deep_and_long_texts_are_bounded() {
    let deep_keys = format!("{}a = 1", "a.".repeat(100_000));
    let deep_lists = format!("a = {}", "[".repeat(100_000));
    let deep_tables = format!("a = {}", "{a=".repeat(100_000));
    let deep_header = format!("[{}a]", "a.".repeat(100_000));
    let key = format!("{}a", "a.".repeat(78));
    let deep_both = format!("{}1{}", format!("{key} = {{").repeat(78), "}".repeat(78));
    let many_unknown: String = (0..5_000).map(|i| format!("k{i} = 1\n")).collect();
    let many_providers = "[[providers]]\n".repeat(10_001);
    let many_faulty = "[[providers]]\nid = 1\n".repeat(1_000);
    for text in [
        deep_keys,
        deep_lists,
        deep_tables,
        deep_header,
        deep_both,
        many_unknown,
        many_providers,
        many_faulty,
    ] {
        let faults = config(&text).expect_err("a fault");
        assert!(faults.0.len() <= crate::config::Faults::MAX + 1, "bounded");
    }
}
