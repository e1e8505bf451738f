//! The ledger as a whole: races, bounds, broken disks.

use std::fs;
use std::path::Path;
use std::pin::pin;
use std::sync::Barrier;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Wake, Waker};

use super::*;
use crate::ledger::state::Refused;
use crate::ledger::verify;
use crate::ledger::{Book, export};
use crate::terms::{AccountTerms, KeyTerms};
use crate::vocab::{AccountId, ProviderId};

mod ahead;
mod archive;
mod carry;
mod crash;
mod gather;
mod lists;
mod terms;

fn options() -> Options {
    let time = AtomicU64::new(1_000);
    let clock = move || time.fetch_add(1, Ordering::Relaxed);
    Options { queue_capacity: 1_024, index_upstream_ids: true, ..Options::new(clock) }
}

fn acme() -> AccountId {
    AccountId::parse("acme").unwrap()
}

fn id(n: u64) -> GenerationId {
    GenerationId::new(1_000_000 + n / 7, u128::from(n) + 1)
}

fn ask(n: u64, want: i64, floor: i64) -> HoldAsk {
    HoldAsk { generation: id(n), want: NanoUsd(want), floor: NanoUsd(floor), now_ms: 5 }
}

/// Waits for a future on this thread, by parking it.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => thread::park(),
        }
    }
}

/// A ledger with one account, its credit, and one key.
fn with_credit(dir: &Path, options: Options, credit: i64) -> (Ledger, Arc<KeyEntry>) {
    let (ledger, _) = Ledger::open(dir, options).unwrap();
    ledger.create_account(&acme(), AccountTerms::default()).unwrap();
    if credit > 0 {
        ledger.top_up(&acme(), NanoUsd(credit), "test", "first").unwrap();
    }
    let key = key(&ledger, KeyTerms::default());
    (ledger, key)
}

fn key(ledger: &Ledger, new: KeyTerms) -> Arc<KeyEntry> {
    let (_, text) = ledger.create_key(&acme(), new).unwrap();
    Arc::clone(ledger.keys().find(text.reveal().as_bytes()).unwrap())
}

fn charge(key: &KeyEntry, n: u64, cost: i64) -> Charge {
    let account = key.account().id().clone();
    let mut record = GenerationRecord::bare(id(n), 7, account, key.id().clone());
    record.provider = Some(ProviderId::parse("fast").unwrap());
    record.upstream_id = Some(format!("up-{n}"));
    record.status = 200;
    Charge { cost: NanoUsd(cost), record }
}

fn assert_sound(dir: &Path) -> crate::ledger::VerifyReport {
    let report = verify(dir).unwrap();
    assert!(report.ok(), "{report}");
    report
}

#[test]
fn a_hold_grows_as_far_as_the_credit_reaches() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, key) = with_credit(dir.path(), options(), 1_000);
    let mut hold = ledger.hold(&key, ask(1, 300, 10)).unwrap();
    hold.extend(NanoUsd(500)).unwrap();
    assert_eq!(hold.granted(), NanoUsd(800));
    assert_eq!(key.account().available(), NanoUsd(200));
    let refused = hold.extend(NanoUsd(201)).unwrap_err();
    let (available, want) = (NanoUsd(200), NanoUsd(201));
    assert_eq!(refused, HoldRefused::Credit { available, want, floor: want });
    assert_eq!((hold.granted(), key.account().available()), (NanoUsd(800), available));
    hold.settle(charge(&key, 1, 700));
    assert_eq!(key.account().available(), NanoUsd(300), "what was not used is free again");
    ledger.close().unwrap();
    drop(ledger);
    let balance = Ledger::open(dir.path(), options()).unwrap().0.account(&acme()).unwrap();
    assert_eq!((balance.used, balance.held), (NanoUsd(700), NanoUsd::ZERO));
    assert_sound(dir.path());
}

#[test]
fn a_generation_from_hold_to_record() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, key) = with_credit(dir.path(), options(), 1_000);
    let hold = ledger.hold(&key, ask(1, 300, 10)).unwrap();
    assert_eq!(hold.granted(), NanoUsd(300));
    block_on(hold.durable()).unwrap();
    assert_eq!(ledger.account(&acme()).unwrap().held, NanoUsd(300));
    hold.settle(charge(&key, 1, 120));
    let free = ledger.hold(&key, ask(2, 0, 0)).unwrap();
    block_on(free.durable()).unwrap();
    free.void(None);
    let mut cached = charge(&key, 3, 0).record;
    cached.cache_hit = true;
    ledger.record(cached.clone()).unwrap();
    // A cost in the record of a charge is the charge's; here it is still zero.
    ledger.record(charge(&key, 4, 1).record).unwrap();
    cached.cost = NanoUsd(1);
    assert_eq!(ledger.record(cached), Err(RecordRefused::Charged));
    ledger.close().unwrap();
    assert_eq!(ledger.hold(&key, ask(5, 1, 1)).err(), Some(HoldRefused::Unavailable));
    drop(ledger);

    let (ledger, recovery) = Ledger::open(dir.path(), options()).unwrap();
    assert_eq!(recovery, Recovery::default(), "a clean close leaves nothing to recover");
    let balance = ledger.account(&acme()).unwrap();
    assert_eq!((balance.bought.0, balance.used.0, balance.held.0), (1_000, 120, 0));
    assert_eq!(balance.balance, NanoUsd(880));
    let record = ledger.generation(id(1)).unwrap().unwrap();
    assert_eq!((record.cost, record.status), (NanoUsd(120), 200));
    assert_eq!(ledger.generation_by_upstream("up-1").unwrap().unwrap().id, id(1));
    assert_eq!(ledger.generation(id(2)).unwrap().unwrap().cost, NanoUsd::ZERO);
    assert!(ledger.generation(id(3)).unwrap().unwrap().cache_hit);
    assert_eq!(ledger.generation(id(9)).unwrap(), None);
    assert_eq!(ledger.generation_by_upstream("up-9").unwrap(), None);
    drop(ledger);
    let report = assert_sound(dir.path());
    assert_eq!((report.generations_charged, report.generations_free), (1, 3));
    let mut lines = Vec::new();
    assert_eq!(export(dir.path(), &mut lines).unwrap(), report.entries);
    let text = String::from_utf8(lines).unwrap();
    assert!(text.contains(r#""debit":"customer:acme","credit":"provider:fast""#), "{text}");
}

#[test]
fn racing_threads_take_exactly_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, key) = with_credit(dir.path(), options(), 37 * 100 + 99);
    let start = Barrier::new(64);
    let taken = AtomicU64::new(0);
    thread::scope(|scope| {
        for n in 0..64 {
            let (ledger, key, start, taken) = (&ledger, &key, &start, &taken);
            scope.spawn(move || {
                start.wait();
                match ledger.hold(key, ask(n, 100, 100)) {
                    Ok(hold) => {
                        block_on(hold.durable()).unwrap();
                        taken.fetch_add(1, Ordering::Relaxed);
                        hold.settle(charge(key, n, 100));
                    }
                    Err(HoldRefused::Credit { available, want, .. }) => {
                        assert!(available < want, "refused only when it does not fit");
                    }
                    Err(other) => panic!("{other}"),
                }
            });
        }
    });
    assert_eq!(taken.into_inner(), 37);
    assert_eq!(ledger.account(&acme()).unwrap().balance, NanoUsd(99));
    drop(ledger);
    assert_eq!(assert_sound(dir.path()).generations_charged, 37);
}

#[test]
fn holds_give_what_is_left_down_to_the_floor() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, rich) = with_credit(dir.path(), options(), 100);
    let limited = key(&ledger, KeyTerms { limit: Some(NanoUsd(30)), ..KeyTerms::default() });
    let first = ledger.hold(&limited, ask(1, 50, 20)).unwrap();
    assert_eq!(first.granted(), NanoUsd(30), "the limit");
    let short = ledger.hold(&limited, ask(2, 50, 1)).err();
    let (want, floor) = (NanoUsd(50), NanoUsd(1));
    assert_eq!(short, Some(HoldRefused::Limit { available: NanoUsd(0), want, floor }));
    let second = ledger.hold(&rich, ask(3, 500, 1)).unwrap();
    assert_eq!(second.granted(), NanoUsd(70), "the account");
    // More than was held is posted in full; the balance goes below zero by the difference.
    second.settle(charge(&rich, 3, 110));
    first.settle(charge(&limited, 1, 10));
    assert_eq!(limited.limit_left(5), Some(NanoUsd(20)));
    assert_eq!(ledger.account(&acme()).unwrap().balance, NanoUsd(-20));
    let short = ledger.hold(&rich, ask(4, 5, 1)).err();
    let (want, available) = (NanoUsd(5), NanoUsd(-20));
    assert_eq!(short, Some(HoldRefused::Credit { available, want, floor: NanoUsd(1) }));
    drop(ledger);
    assert_sound(dir.path());
}

#[test]
fn transfers_are_idempotent_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, key) = with_credit(dir.path(), options(), 100);
    assert_eq!(ledger.top_up(&acme(), NanoUsd(100), "test", "first"), Ok(Made::Before));
    let other = ledger.top_up(&acme(), NanoUsd(101), "test", "first");
    assert_eq!(other, Err(ManageError::Refused(Refused::ReceiptUsed)));
    let promo = Book::Promotions;
    assert_eq!(ledger.adjust(&acme(), NanoUsd(5), promo.clone(), "", "gift"), Ok(Made::Now));
    let hold = ledger.hold(&key, ask(1, 50, 50)).unwrap();
    for (amount, fits) in [(-56, false), (-55, true), (-1, false)] {
        let name = format!("back{amount}");
        let made = ledger.adjust(&acme(), NanoUsd(amount), promo.clone(), "", &name);
        assert_eq!(made.is_ok(), fits, "{amount}: {made:?}");
    }
    assert_eq!(ledger.account(&acme()).unwrap().balance, NanoUsd(50));
    assert!(ledger.top_up(&acme(), NanoUsd(0), "test", "x").is_err());
    assert!(ledger.top_up(&acme(), NanoUsd(1), "te st", "x").is_err());
    assert!(ledger.top_up(&acme(), NanoUsd(1), "test", "").is_err());
    assert!(ledger.create_account(&acme(), AccountTerms::default()).is_err());
    hold.void(None);
    ledger.disable_key(key.id()).unwrap();
    assert!(key.disabled());
    drop(ledger);
    let (ledger, _) = Ledger::open(dir.path(), options()).unwrap();
    assert!(ledger.list_keys()[0].disabled());
    assert_eq!(ledger.top_up(&acme(), NanoUsd(100), "test", "first"), Ok(Made::Before));
    assert_eq!(ledger.account(&acme()).unwrap().balance, NanoUsd(50));
    drop(ledger);
    assert_sound(dir.path());
}

#[test]
fn a_second_charge_of_a_generation_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, key) = with_credit(dir.path(), options(), 1_000);
    let first = ledger.hold(&key, ask(1, 100, 1)).unwrap();
    let second = ledger.hold(&key, ask(1, 100, 1)).unwrap();
    block_on(first.durable()).unwrap();
    assert_eq!(block_on(second.durable()), Err(LedgerDown), "one hold per generation");
    second.settle(charge(&key, 1, 40));
    first.settle(charge(&key, 1, 40));
    // Also when the first is long over.
    let third = ledger.hold(&key, ask(1, 100, 1)).unwrap();
    assert_eq!(block_on(third.durable()), Err(LedgerDown));
    third.settle(charge(&key, 1, 40));
    let last = ledger.hold(&key, ask(2, 100, 1)).unwrap();
    block_on(last.durable()).unwrap();
    last.void(None);
    assert_eq!(ledger.account(&acme()).unwrap().balance, NanoUsd(960), "charged once");
    assert_eq!(key.spent(), NanoUsd(40));
    let stats = ledger.stats();
    assert_eq!((stats.refused_ops, stats.open_holds, stats.held.0), (4, 0, 0));
    drop(ledger);
    let (ledger, _) = Ledger::open(dir.path(), options()).unwrap();
    let again = ledger.hold(&key_of(&ledger), ask(1, 100, 1)).unwrap();
    assert_eq!(block_on(again.durable()), Err(LedgerDown), "found in the index");
    drop(again);
    drop(ledger);
    assert_eq!(assert_sound(dir.path()).generations_charged, 1);
}

fn key_of(ledger: &Ledger) -> Arc<KeyEntry> {
    Arc::clone(&ledger.list_keys()[0])
}

/// Runs `count` generations, some of them left open, on several threads.
fn work(ledger: &Ledger, key: &Arc<KeyEntry>, from: u64, count: u64) {
    thread::scope(|scope| {
        for part in 0..4 {
            scope.spawn(move || {
                for n in (from..from + count).filter(|n| n % 4 == part) {
                    let hold = ledger.hold(key, ask(n, 100, 1)).unwrap();
                    block_on(hold.durable()).unwrap();
                    hold.progress(NanoUsd(1)).unwrap();
                    match n % 3 {
                        0 => hold.settle(charge(key, n, 17)),
                        1 => hold.void(None),
                        _ => drop(hold),
                    }
                }
            });
        }
    });
}

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(dir.path(), options()).unwrap();
    assert!(matches!(Ledger::open(dir.path(), options()), Err(OpenError::Locked(_))));
    assert!(matches!(verify(dir.path()), Err(OpenError::Locked(_))));
    ledger.close().unwrap();
    ledger.close().unwrap();
    assert_sound(dir.path());
    assert!(matches!(verify(dir.path().join("none")), Err(OpenError::Io(..))));
}

#[test]
fn a_broken_disk_stops_holds_until_it_works_again() {
    let dir = tempfile::tempdir().unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let hear = Arc::clone(&told);
    let tell: Tell = Arc::new(move |condition: &Condition| hear.lock().push(condition.clone()));
    let options = Options { tell, ..options() };
    let broken = Arc::clone(&options.broken);
    let (ledger, key) = with_credit(dir.path(), options, 1_000);
    let running = ledger.hold(&key, ask(1, 100, 1)).unwrap();
    block_on(running.durable()).unwrap();
    broken.store(true, Ordering::Release);
    let lost = ledger.hold(&key, ask(2, 100, 1)).unwrap();
    assert_eq!(block_on(lost.durable()), Err(LedgerDown), "never acknowledged");
    assert!(!ledger.healthy());
    assert_eq!(ledger.hold(&key, ask(3, 1, 1)).err(), Some(HoldRefused::Unavailable));
    assert_eq!(ledger.top_up(&acme(), NanoUsd(1), "t", "u"), Err(ManageError::Down));
    running.settle(charge(&key, 1, 60));
    drop(lost);
    broken.store(false, Ordering::Release);
    while !ledger.healthy() {
        thread::yield_now();
    }
    let next = ledger.hold(&key, ask(3, 100, 1)).unwrap();
    block_on(next.durable()).unwrap();
    next.settle(charge(&key, 3, 40));
    assert_eq!(ledger.account(&acme()).unwrap().balance, NanoUsd(900));
    assert!(ledger.stats().commit_errors > 0);
    ledger.close().unwrap();
    match &told.lock()[..] {
        [Condition::JournalFails(why), Condition::Works] => assert!(!why.is_empty()),
        other => panic!("told once of each: {other:?}"),
    }
    let report = assert_sound(dir.path());
    assert_eq!((report.generations_charged, report.generations_free), (2, 1));
}

#[test]
fn the_queue_is_bounded_and_ends_always_fit() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { queue_capacity: 16, ..options() };
    let (ledger, key) = with_credit(dir.path(), options, 1_000);
    let mut holds = Vec::new();
    for n in 0.. {
        match ledger.hold(&key, ask(n, 1, 1)) {
            Ok(hold) => {
                block_on(hold.durable()).unwrap();
                hold.progress(NanoUsd(1)).unwrap();
                holds.push(hold);
            }
            Err(refused) => {
                assert_eq!(refused, HoldRefused::Unavailable);
                break;
            }
        }
    }
    assert_eq!(holds.len(), 15);
    drop(holds);
    assert_eq!(ledger.stats().open_holds, 0);
    assert_eq!(ledger.account(&acme()).unwrap().balance, NanoUsd(985), "dropped: at progress");
    ledger.close().unwrap();
    assert_eq!(assert_sound(dir.path()).generations_charged, 15);
}

#[test]
fn a_lost_secret_is_not_replaced_silently() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = with_credit(dir.path(), options(), 0);
    drop(ledger);
    fs::remove_file(dir.path().join("secret")).unwrap();
    assert!(matches!(Ledger::open(dir.path(), options()), Err(OpenError::Io(..))));
}
