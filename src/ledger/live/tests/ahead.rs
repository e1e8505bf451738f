//! Holds that are placed before anybody asks for them.

use super::crash::copy;
use super::*;

/// A clock that stands still: at the moment that holds are asked for.
fn still() -> Options {
    Options { queue_capacity: 1_024, ..Options::new(|| 5) }
}

/// Far enough apart for their twins to be nobody's.
fn id(n: u64) -> GenerationId {
    super::id(2 * n)
}

fn ask(n: u64, want: i64, floor: i64) -> HoldAsk {
    super::ask(2 * n, want, floor)
}

fn is_durable(hold: &Hold) -> bool {
    let mut durable = pin!(hold.durable());
    durable.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// Holds of a busy key, settled one after the other, until one is taken over.
fn first_taken_over(ledger: &Ledger, key: &Arc<KeyEntry>, from: u64) -> (u64, Hold) {
    for n in from.. {
        let hold = ledger.hold_ahead(key, ask(n, 100, 1)).unwrap();
        if hold.generation() != id(n) {
            return (n, hold);
        }
        block_on(hold.durable()).unwrap();
        hold.settle(charge(key, n, 1));
        if n > from {
            wait_for_stock(key);
        }
    }
    unreachable!()
}

fn wait_for_stock(key: &KeyEntry) {
    while key.stock.len() == 0 {
        thread::yield_now();
    }
}

#[test]
fn a_busy_key_waits_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, key) = with_credit(dir.path(), still(), 10_000);
    let (n, hold) = first_taken_over(&ledger, &key, 1);
    assert!(n >= 3, "the first request of a key tells nothing of a second");
    assert!(is_durable(&hold), "before anybody could have waited");
    assert_eq!(hold.granted(), NanoUsd(100));
    assert_eq!(ledger.stats().open_holds, 1, "those that nobody asked for are none");
    assert_eq!(ledger.account(&acme()).unwrap().held, NanoUsd(100));
    let generation = hold.generation();
    let before = key.spent();
    hold.settle(charge(&key, n, 40));
    assert_eq!(key.spent() - before, NanoUsd(40));
    ledger.close().unwrap();
    let record = Ledger::open(dir.path(), still()).unwrap().0.generation(generation).unwrap();
    assert_eq!(record.unwrap().cost, NanoUsd(40), "under the id that the hold has");
    let report = assert_sound(dir.path());
    assert_eq!(report.open_holds, 0, "what nobody used was taken back at the end");
}

#[test]
fn a_refusal_leaves_it_for_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, key) = with_credit(dir.path(), still(), 1_000);
    let (n, hold) = first_taken_over(&ledger, &key, 1);
    hold.void(None);
    wait_for_stock(&key);
    let refused = ledger.hold_ahead(&key, ask(n + 1, 5_000, 5_000)).unwrap_err();
    assert!(matches!(refused, HoldRefused::Credit { .. }), "{refused:?}");
    assert_eq!(ledger.stats().open_holds, 0);
    let free = key.account().available();
    let again = ledger.hold_ahead(&key, ask(n + 2, 10, 1)).unwrap();
    assert_ne!(again.generation(), id(n + 2), "taken over");
    again.void(None);
    assert_eq!(key.account().available(), free);
}

#[test]
fn after_a_crash_only_what_was_used_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, key) = with_credit(dir.path(), still(), 1_000);
    let (n, used) = first_taken_over(&ledger, &key, 1);
    wait_for_stock(&key);
    let (_, silent) = first_taken_over(&ledger, &key, n + 1);
    used.progress(NanoUsd(33)).unwrap();
    wait_for_stock(&key);
    let spent = key.spent();
    let crashed = tempfile::tempdir().unwrap();
    copy(dir.path(), crashed.path());
    let (after, recovery) = Ledger::open(crashed.path(), still()).unwrap();
    assert_eq!((recovery.settled, recovery.voided), (1, 0), "nobody asked for the others");
    assert!(recovery.unused >= 2, "the silent one, and the stock: {recovery:?}");
    let account = after.account(&acme()).unwrap();
    assert_eq!((account.used, account.held), (spent + NanoUsd(33), NanoUsd::ZERO));
    let record = after.generation(used.generation()).unwrap().unwrap();
    assert!(record.recovered && record.cost == NanoUsd(33), "{record:?}");
    assert_eq!(after.generation(silent.generation()).unwrap(), None, "nothing came of it");
    drop(after);
    assert_eq!(assert_sound(crashed.path()).open_holds, 0);
}

#[test]
fn racing_requests_get_what_the_credit_reaches_for() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, key) = with_credit(dir.path(), still(), 1_000);
    let (n, hold) = first_taken_over(&ledger, &key, 1);
    hold.void(None);
    let reaches_for = key.account().available().0 / 100;
    let start = Barrier::new(32);
    let taken: Vec<Hold> = thread::scope(|scope| {
        let one = |t: u64| {
            let (ledger, key, start) = (&ledger, &key, &start);
            scope.spawn(move || {
                start.wait();
                ledger.hold_ahead(key, ask(n + 1 + t, 100, 100)).ok()
            })
        };
        let all: Vec<_> = (0..32).map(one).collect();
        all.into_iter().filter_map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(taken.len() as u64, reaches_for.cast_unsigned());
    let mut ids: Vec<_> = taken.iter().map(Hold::generation).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), taken.len(), "no two of them are the same generation");
    drop(taken);
    ledger.close().unwrap();
    assert_sound(dir.path());
}

#[test]
fn what_nobody_takes_over_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(AtomicU64::new(5));
    let now = Arc::clone(&clock);
    let options = Options {
        queue_capacity: 1_024,
        checkpoint_every: Duration::from_millis(1),
        ..Options::new(move || now.load(Ordering::Relaxed))
    };
    let (ledger, key) = with_credit(dir.path(), options, 1_000);
    let (_, hold) = first_taken_over(&ledger, &key, 1);
    hold.void(None);
    clock.store(5_000, Ordering::Relaxed);
    let entries = ledger.stats().entries;
    while key.stock.watched.load(Ordering::Relaxed) {
        thread::yield_now();
    }
    assert!(ledger.stats().entries > entries, "the journal says so");
    let fresh = HoldAsk { now_ms: 5_000, ..ask(900, 1, 1) };
    assert_eq!(ledger.hold_ahead(&key, fresh).unwrap().generation(), id(900), "none is left");
}
