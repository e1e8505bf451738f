//! That runs say what a plain map says, whatever is written, merged, reopened or cut short.

use std::sync::atomic::AtomicUsize;

use proptest::prelude::*;

use super::super::index::tests::conforms;
use super::*;

fn rows(seq: u64, put: &[(Vec<u8>, Vec<u8>)]) -> Rows {
    Rows { put: put.to_vec(), delete: Vec::new(), seq }
}

fn small(dir: &Path) -> Layers {
    Layers::open_with(&dir.join("index"), &dir.join("generations"), Files::default(), 300).unwrap()
}

/// All rows of ours, forwards.
fn all(store: &dyn Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut seen = Vec::new();
    for kind in [b"g", b"i", b"u"] {
        store
            .scan(kind, &mut |key, value| {
                seen.push((key.to_vec(), value.to_vec()));
                true
            })
            .unwrap();
    }
    seen
}

fn back(store: &dyn Store, prefix: &[u8], below: &[u8]) -> Vec<Vec<u8>> {
    let mut seen = Vec::new();
    store
        .scan_back(prefix, below, &mut |key, _| {
            seen.push(key.to_vec());
            true
        })
        .unwrap();
    seen
}

fn runs_of(layers: &Layers) -> usize {
    layers.runs.load().len()
}

#[test]
fn the_whole_conforms() {
    let dir = tempfile::tempdir().unwrap();
    conforms(&Layers::open(&dir.path().join("index"), &dir.path().join("generations")).unwrap());
}

/// Rows of generations: few keys, so that some are written again.
fn some_rows() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    let key =
        (prop_oneof![Just(b'g'), Just(b'u'), Just(b'i')], 0_u16..400).prop_map(|(kind, n)| {
            let mut key = vec![kind];
            key.extend_from_slice(&blake3::hash(&n.to_le_bytes()).as_bytes()[..8]);
            key.extend_from_slice(&n.to_be_bytes());
            key
        });
    proptest::collection::vec((key, proptest::collection::vec(any::<u8>(), 0..60)), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn they_say_what_a_map_says(
        writes in proptest::collection::vec(some_rows(), 1..60),
        reopens in proptest::collection::vec(any::<bool>(), 60),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut layers = small(dir.path());
        let mut map = BTreeMap::new();
        for (seq, write) in (1..).zip(&writes) {
            layers.apply(&rows(seq, write)).unwrap();
            map.extend(write.iter().cloned());
            if reopens[usize::try_from(seq).unwrap() % 60] {
                // What is only in memory is lost: it is to be written again.
                layers.seal().unwrap();
                prop_assert!(layers.durable_rows() <= seq);
                drop(layers);
                layers = small(dir.path());
            }
        }
        prop_assert_eq!(all(&layers), map.clone().into_iter().collect::<Vec<_>>());
        for key in map.keys().step_by(7) {
            let found = layers.get(key).unwrap();
            prop_assert_eq!(found.as_ref(), map.get(key));
            let prefix = &key[..3];
            let expected: Vec<_> = map.range(prefix.to_vec()..key.clone()).rev()
                .map(|(key, _)| key.clone()).collect();
            prop_assert_eq!(back(&layers, prefix, key), expected);
        }
        prop_assert_eq!(layers.get(b"g-not-there").unwrap(), None);
        prop_assert_eq!(layers.get(b"u-not-there").unwrap(), None);
    }
}

fn row(n: u64) -> (Vec<u8>, Vec<u8>) {
    let mut key = vec![if n.is_multiple_of(3) { b'u' } else { b'g' }];
    key.extend_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    (key, vec![7; 50])
}

#[test]
fn many_become_few() {
    let dir = tempfile::tempdir().unwrap();
    let layers = small(dir.path());
    let mut most = 0;
    for n in 1..=1_000 {
        layers.apply(&rows(n, &[row(n)])).unwrap();
        most = most.max(runs_of(&layers));
    }
    assert!(most < 3 * FAN, "{most} at a time");
    layers.seal().unwrap();
    assert_eq!(layers.durable_rows(), 1_000);
    let files = fs::read_dir(dir.path().join("generations")).unwrap().count();
    assert_eq!(files, runs_of(&layers), "those that were merged are gone");
    assert_eq!(all(&layers).len(), 1_000);
}

#[test]
fn a_crash_at_any_step_loses_nothing_that_was_durable() {
    let whole = {
        let dir = tempfile::tempdir().unwrap();
        let layers = small(dir.path());
        (1..=60).for_each(|n| layers.apply(&rows(n, &[row(n)])).unwrap());
        all(&layers)
    };
    let mut done = false;
    let mut steps = 0;
    while !done {
        let dir = tempfile::tempdir().unwrap();
        let files = Files { steps_left: Some(Arc::new(AtomicUsize::new(steps))) };
        let (index, runs) = (dir.path().join("index"), dir.path().join("generations"));
        let layers = Layers::open_with(&index, &runs, files, 300).unwrap();
        // A merge that fails is told of, and is no failure.
        let ok = (1..=60)
            .all(|n| layers.apply(&rows(n, &[row(n)])).is_ok() && layers.complaint().is_none());
        done = ok;
        drop(layers);
        let layers = small(dir.path());
        let durable = layers.durable_rows();
        for n in durable + 1..=60 {
            layers.apply(&rows(n, &[row(n)])).unwrap();
        }
        assert_eq!(all(&layers), whole, "after {steps} steps, with {durable} durable");
        steps += 1;
    }
    assert!(steps > 50, "it died at {steps} steps");
}

#[test]
fn damage_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let layers = small(dir.path());
    (1..=40).for_each(|n| layers.apply(&rows(n, &[row(n)])).unwrap());
    layers.seal().unwrap();
    drop(layers);
    let files = fs::read_dir(dir.path().join("generations")).unwrap();
    let path = files.map(|file| file.unwrap().path()).max().unwrap();
    let sound = fs::read(&path).unwrap();
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x20;
        fs::write(&path, &bytes).unwrap();
        let found = match Run::open(&path) {
            Err(_) => true,
            Ok(run) => {
                let mut rows = run.rows_from(b"");
                loop {
                    match rows.as_mut().map(|rows| rows.next()) {
                        Ok(Ok(Some(_))) => {}
                        Ok(Ok(None)) => break false,
                        Ok(Err(_)) | Err(_) => break true,
                    }
                }
            }
        };
        assert!(found, "byte {at}");
    }
    fs::remove_file(&path).unwrap();
    fs::write(path.with_extension("run.new"), b"half").unwrap();
    let (index, runs) = (dir.path().join("index"), dir.path().join("generations"));
    let left = Layers::open(&index, &runs);
    assert!(left.is_ok_and(|left| left.durable_rows() < 40), "the newest may be missing");
    let oldest = fs::read_dir(&runs).unwrap().map(|file| file.unwrap().path()).min();
    if let Some(path) = oldest
        && fs::read_dir(&runs).unwrap().count() > 2
    {
        let middle = fs::read_dir(&runs).unwrap().map(|file| file.unwrap().path());
        let mut middle: Vec<_> = middle.filter(|file| *file != path).collect();
        middle.sort();
        fs::remove_file(&middle[0]).unwrap();
        let error = Layers::open(&index, &runs).err().unwrap();
        assert!(error.0.contains("is missing"), "{error}");
    }
}
