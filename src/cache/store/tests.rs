use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;
use crate::cache::entry::OVERHEAD;
use crate::vocab::GenerationId;

const SMALL: Limits = Limits { bytes_max: 10_000, entry_bytes_max: 4_000, fill_bytes_max: 100_000 };

fn key(n: u64) -> Key {
    *blake3::hash(&n.to_le_bytes()).as_bytes()
}

fn entry(store: &Store, body: &[u8], stored_ms: u64, ttl_secs: u32) -> Entry {
    let mut fill = store.fill();
    assert!(fill.push(body), "fits");
    let source = GenerationId::from_bits(u128::from(stored_ms));
    fill.finish((Vec::new(), Vec::new()), stored_ms, ttl_secs, source).expect("an entry")
}

/// Stores a body of such a size that the entry weighs `weight` bytes.
fn put(store: &Store, n: u64, weight: usize) -> bool {
    let entry = entry(store, &vec![b'x'; weight - OVERHEAD - 4], 0, 60);
    assert_eq!(entry.weight(), weight as u64);
    store.put(key(n), entry)
}

#[test]
fn a_hit_gives_back_what_was_stored() {
    let store = Store::new(Limits::default());
    assert!(store.put(key(1), entry(&store, b"answer", 1_000, 60)), "stored");
    let hit = store.get(&key(1), 2_000).expect("a hit");
    assert_eq!(
        (&hit.body()[..], hit.stored_ms(), hit.expires_ms()),
        (&b"answer"[..], 1_000, 61_000)
    );
    assert_eq!(hit.source(), GenerationId::from_bits(1_000));
    assert!(store.get(&key(2), 2_000).is_none(), "another key misses");
    assert!(store.remove(&key(1)), "it was there");
    assert!(!store.remove(&key(1)), "it is gone");
    assert!(store.get(&key(1), 2_000).is_none(), "removed");
    let stats = store.stats();
    assert_eq!((stats.hits, stats.misses, stats.stored), (1, 2, 1));
    assert_eq!((stats.entries, stats.bytes, stats.fill_bytes), (0, 0, 0));
}

#[test]
fn the_largest_entry_always_fits_into_a_shard() {
    for bytes_max in [10_000, 100_000, 1_000_000] {
        let store = Store::new(Limits { bytes_max, ..SMALL });
        assert!(store.shards.len().is_power_of_two());
        let mut fill = store.fill();
        assert!(fill.push(&[0; 3_996]), "the limit exactly");
        let entry = fill.finish((Vec::new(), Vec::new()), 0, 1, GenerationId::from_bits(0));
        assert!(store.put(key(1), entry.expect("an entry")), "stored in {bytes_max}");
    }
    assert_eq!(Store::new(Limits::default()).shards.len(), 16);
}

#[test]
fn the_least_recently_used_makes_room() {
    let store = Store::new(SMALL);
    assert_eq!(store.shards.len(), 1, "one shard, so that the order is total");
    for n in 0..5 {
        assert!(put(&store, n, 2_000), "{n} fits");
    }
    assert!(store.get(&key(0), 0).is_some(), "0 is used again");
    assert!(put(&store, 5, 3_000), "takes the room of two");
    let there: Vec<u64> = (0..6).filter(|n| store.get(&key(*n), 0).is_some()).collect();
    assert_eq!(there, [0, 3, 4, 5], "1 and 2 were the oldest");
    let stats = store.stats();
    assert_eq!((stats.evicted, stats.entries, stats.bytes), (2, 4, 9_000));
}

#[test]
fn putting_again_replaces() {
    let store = Store::new(SMALL);
    for weight in [2_000, 3_000, 1_000] {
        assert!(put(&store, 1, weight), "stored");
        let stats = store.stats();
        assert_eq!((stats.entries, stats.bytes, stats.evicted), (1, weight as u64, 0));
    }
}

#[test]
fn an_entry_that_is_too_large_is_not_stored_and_its_forerunner_is_gone() {
    let store = Store::new(Limits { bytes_max: 2_000, ..SMALL });
    assert!(put(&store, 1, 1_000), "fits");
    assert!(!put(&store, 1, 2_001), "does not");
    let stats = store.stats();
    assert_eq!((stats.refused, stats.entries, stats.bytes), (1, 0, 0));
    let nothing = Store::new(Limits { bytes_max: 0, entry_bytes_max: 0, fill_bytes_max: 0 });
    assert!(!nothing.fill().push(b"x"), "a store of nothing stores nothing");
}

#[test]
fn expired_entries_are_never_served_and_are_swept() {
    let store = Store::new(SMALL);
    assert!(store.put(key(1), entry(&store, b"a", 1_000, 1)), "stored");
    assert!(store.put(key(2), entry(&store, b"b", 1_000, 2)), "stored");
    assert!(store.get(&key(1), 1_999).is_some(), "the last millisecond");
    assert!(store.get(&key(1), 2_000).is_none(), "over");
    assert!(store.get(&key(1), 1_500).is_none(), "gone, even if the clock goes back");
    store.sweep(2_999);
    assert_eq!(store.stats().entries, 1, "2 is still alive");
    store.sweep(3_000);
    let stats = store.stats();
    assert_eq!((stats.entries, stats.bytes, stats.expired), (0, 0, 2));
}

#[test]
fn hammered_from_many_threads_it_keeps_its_bounds() {
    let limits = Limits { bytes_max: 64_000, entry_bytes_max: 2_000, fill_bytes_max: 1 << 20 };
    let store = Store::new(limits);
    let clock = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for seed in 1..=8_u64 {
            let (store, clock) = (&store, &clock);
            scope.spawn(move || {
                let mut state = seed;
                for _ in 0..5_000 {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    let (n, now) = (state % 200, clock.fetch_add(1, Ordering::Relaxed));
                    match state >> 60 {
                        0 => drop(store.remove(&key(n))),
                        1..=4 => {
                            let body = n.to_string().repeat(1 + (state >> 32) as usize % 400);
                            assert!(store.put(key(n), entry(store, body.as_bytes(), now, 3)));
                        }
                        5 => store.sweep(now),
                        _ => {
                            if let Some(hit) = store.get(&key(n), now) {
                                assert!(!hit.is_expired(now), "never an expired one");
                                assert!(
                                    hit.body().starts_with(n.to_string().as_bytes()),
                                    "its own"
                                );
                            }
                        }
                    }
                    assert!(store.stats().bytes <= limits.bytes_max, "the bound holds");
                }
            });
        }
    });
    let stats = store.stats();
    assert!(stats.hits > 0 && stats.evicted > 0 && stats.stored > 0, "{stats:?}");
    assert_eq!(stats.fill_bytes, 0, "no fill is left");
    let kept: usize = store.shards.iter().map(|shard| shard.lock().check().len()).sum();
    assert_eq!(kept as u64, stats.entries);
}

#[derive(Clone, Debug)]
enum Step {
    Get(u64),
    Put(u64, usize),
    Remove(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..12_u64).prop_map(Step::Get),
        (0..12_u64, 400..4_000_usize).prop_map(|(n, weight)| Step::Put(n, weight)),
        (0..12_u64).prop_map(Step::Remove),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Against the plainest model there is: a list in order of use.
    #[test]
    fn behaves_like_a_list_in_order_of_use(steps in steps()) {
        let store = Store::new(SMALL);
        let mut model: Vec<(u64, usize)> = Vec::new();
        for step in steps {
            match step {
                Step::Get(n) => {
                    let at = model.iter().position(|(m, _)| *m == n);
                    prop_assert_eq!(store.get(&key(n), 0).is_some(), at.is_some());
                    if let Some(at) = at {
                        let used = model.remove(at);
                        model.insert(0, used);
                    }
                }
                Step::Put(n, weight) => {
                    model.retain(|(m, _)| *m != n);
                    while model.iter().map(|(_, w)| w).sum::<usize>() + weight > 10_000 {
                        model.pop();
                    }
                    model.insert(0, (n, weight));
                    prop_assert!(put(&store, n, weight));
                }
                Step::Remove(n) => {
                    prop_assert_eq!(store.remove(&key(n)), model.iter().any(|(m, _)| *m == n));
                    model.retain(|(m, _)| *m != n);
                }
            }
            let keys = store.shards[0].lock().check();
            let want: Vec<Key> = model.iter().map(|(n, _)| key(*n)).collect();
            prop_assert_eq!(keys, want);
        }
    }
}
