//! What keys, members and accounts may spend, over restarts and midnights.

use super::*;
use crate::terms::{MemberTerms, OrganisationTerms, Policy, Reset, Role};

const DAY: u64 = 86_400_000;

/// Some noon.
const NOON: u64 = 20_783 * DAY + DAY / 2;

fn ask_at(n: u64, want: i64, now_ms: u64) -> HoldAsk {
    HoldAsk { generation: id(n), want: NanoUsd(want), floor: NanoUsd(want), now_ms }
}

fn daily(limit: i64) -> KeyTerms {
    KeyTerms { limit: Some(NanoUsd(limit)), reset: Some(Reset::Daily), ..KeyTerms::default() }
}

fn spend(ledger: &Ledger, key: &Arc<KeyEntry>, n: u64, cost: i64, now_ms: u64) -> bool {
    let Ok(hold) = ledger.hold(key, ask_at(n, cost, now_ms)) else { return false };
    block_on(hold.durable()).unwrap();
    hold.settle(charge(key, n, cost));
    true
}

fn reopen(ledger: Ledger, dir: &Path) -> Ledger {
    ledger.close().unwrap();
    drop(ledger);
    assert_sound(dir);
    Ledger::open(dir, options()).unwrap().0
}

fn find(ledger: &Ledger, key: &KeyEntry) -> Arc<KeyEntry> {
    Arc::clone(ledger.keys().key(key.id().as_str()).unwrap())
}

#[test]
fn a_daily_limit_begins_anew_at_midnight_and_survives_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = with_credit(dir.path(), options(), 1_000);
    let limited = key(&ledger, daily(100));
    assert!(spend(&ledger, &limited, 1, 70, NOON));
    assert!(!spend(&ledger, &limited, 2, 40, NOON + 1), "30 are left");
    let ledger = reopen(ledger, dir.path());
    let limited = find(&ledger, &limited);
    assert_eq!(limited.limit_left(NOON + 2), Some(NanoUsd(30)));
    // One that was begun before midnight and ends after it counts for the day before.
    let late = ledger.hold(&limited, ask_at(3, 30, NOON + 3)).unwrap();
    assert!(spend(&ledger, &limited, 4, 100, NOON + DAY), "a new day");
    late.settle(charge(&limited, 3, 30));
    assert_eq!(limited.limit_left(NOON + DAY), Some(NanoUsd(0)));
    let usage = limited.usage(NOON + DAY);
    assert_eq!(usage.spent, NanoUsd(200));
    assert_eq!(usage.in_period(Reset::Daily).0, NanoUsd(100));
    assert_eq!(usage.in_period(Reset::Monthly).0, NanoUsd(200));
    let ledger = reopen(ledger, dir.path());
    let limited = find(&ledger, &limited);
    assert_eq!(limited.usage(NOON + DAY), usage, "the journal says the same");
    assert_eq!(limited.limit_left(NOON + 2 * DAY), Some(NanoUsd(100)));
}

#[test]
fn racing_holds_never_pass_a_daily_limit() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = with_credit(dir.path(), options(), 1_000_000);
    let limited = key(&ledger, daily(500));
    let barrier = Barrier::new(8);
    let granted: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|t| {
                let (ledger, limited, barrier) = (&ledger, &limited, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    (0..20).filter(|n| spend(ledger, limited, t * 100 + n, 10, NOON)).count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(granted, 50);
    assert_eq!(limited.spent(), NanoUsd(500));
}

#[test]
fn a_member_has_one_budget_for_all_keys() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = with_credit(dir.path(), options(), 1_000);
    let terms = MemberTerms { role: Role::Member, limit: Some(NanoUsd(100)), reset: None };
    let mine = KeyTerms { member: Some("ann".to_owned()), ..KeyTerms::default() };
    let missing = ledger.create_key(&acme(), mine.clone()).err();
    assert_eq!(missing, Some(ManageError::Refused(Refused::NoSuchMember)));
    ledger.set_member(&acme(), "ann", terms).unwrap();
    let (one, two) = (key(&ledger, mine.clone()), key(&ledger, mine.clone()));
    assert!(spend(&ledger, &one, 1, 60, NOON));
    assert_eq!(two.left(NOON), Some(NanoUsd(40)), "without a limit of its own");
    let short = ledger.hold(&two, ask_at(2, 60, NOON)).err();
    let (want, floor) = (NanoUsd(60), NanoUsd(60));
    assert_eq!(short, Some(HoldRefused::Member { available: NanoUsd(40), want, floor }));
    assert!(spend(&ledger, &two, 3, 40, NOON));
    let ledger = reopen(ledger, dir.path());
    let (one, two) = (find(&ledger, &one), find(&ledger, &two));
    assert!(!spend(&ledger, &one, 4, 1, NOON), "also after a restart");
    ledger.set_member(&acme(), "ann", MemberTerms { limit: None, ..terms }).unwrap();
    assert!(spend(&ledger, &one, 5, 1, NOON), "a change holds at once");
    let moved = KeyTerms { member: None, ..mine };
    let fixed = ledger.change_key(two.id(), moved).err();
    assert_eq!(fixed, Some(ManageError::Refused(Refused::MemberIsFixed)));
    ledger.remove_member(&acme(), "ann").unwrap();
    assert!(one.disabled() && two.disabled(), "who has left has no keys");
}

#[test]
fn credit_moves_between_accounts_once() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, key) = with_credit(dir.path(), options(), 100);
    let other = AccountId::parse("other").unwrap();
    ledger.create_account(&other, AccountTerms::default()).unwrap();
    let hold = ledger.hold(&key, ask(1, 40, 40)).unwrap();
    let acme = acme();
    let pair = (&acme, &other);
    assert!(ledger.transfer(pair, NanoUsd(61), "", "a").is_err(), "40 are held");
    assert_eq!(ledger.transfer(pair, NanoUsd(60), "", "a"), Ok(Made::Now));
    assert_eq!(ledger.transfer(pair, NanoUsd(60), "", "a"), Ok(Made::Before), "without credit");
    assert!(ledger.transfer((&acme, &acme), NanoUsd(1), "", "b").is_err());
    hold.void(None);
    let balance = |id: &AccountId| ledger.account(id).unwrap().balance;
    assert_eq!((balance(&acme), balance(&other)), (NanoUsd(40), NanoUsd(60)));
    let ledger = reopen(ledger, dir.path());
    let balance = |id: &AccountId| ledger.account(id).unwrap().balance;
    assert_eq!((balance(&acme), balance(&other)), (NanoUsd(40), NanoUsd(60)));
}

#[test]
fn a_purchase_books_its_fee_apart() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = with_credit(dir.path(), options(), 0);
    let made = ledger.purchase(&acme(), (NanoUsd(1_000), NanoUsd(55)), "card", "p");
    assert_eq!(made, Ok(Made::Now));
    assert_eq!(ledger.account(&acme()).unwrap().bought, NanoUsd(1_000));
    assert!(ledger.purchase(&acme(), (NanoUsd(1), NanoUsd(-1)), "card", "q").is_err());
    drop(ledger);
    let report = verify(dir.path()).unwrap();
    assert!(report.findings.is_empty(), "{report}");
    assert_eq!((report.total_debits, report.total_credits), (1_055, 1_055));
}

#[test]
fn terms_change_at_once_and_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, key) = with_credit(dir.path(), options(), 100);
    let group = AccountId::parse("group").unwrap();
    let in_group = AccountTerms { organisation: Some(group.clone()), ..AccountTerms::default() };
    let unknown = ledger.change_account(&acme(), in_group.clone()).err();
    assert_eq!(unknown, Some(ManageError::Refused(Refused::NoSuchOrganisation)));
    let policy = Policy { rpm: Some(3), ..Policy::default() };
    let terms = OrganisationTerms { name: "Group".to_owned(), policy };
    ledger.set_organisation(&group, terms.clone()).unwrap();
    ledger.change_account(&acme(), in_group).unwrap();
    let seen = |key: &KeyEntry| key.account().organisation().map(|group| (*group.terms()).clone());
    assert_eq!(seen(&key), Some(terms.clone()));
    let labelled = KeyTerms { label: "new".to_owned(), ..KeyTerms::default() };
    ledger.change_key(key.id(), labelled.clone()).unwrap();
    assert_eq!(**key.terms(), labelled);
    let ledger = reopen(ledger, dir.path());
    let key = find(&ledger, &key);
    assert_eq!((seen(&key), (**key.terms()).clone()), (Some(terms), labelled));
    let held = ledger.hold(&key, ask(1, 10, 10)).unwrap();
    ledger.delete_key(key.id()).unwrap();
    assert!(ledger.keys().key(key.id().as_str()).is_none() && ledger.list_keys().is_empty());
    held.settle(charge(&key, 1, 10));
    let again = ledger.delete_key(key.id()).err();
    assert_eq!(again, Some(ManageError::Refused(Refused::NoSuchKey)));
    let ledger = reopen(ledger, dir.path());
    assert!(ledger.list_keys().is_empty(), "it is gone for good");
    assert_eq!(ledger.account(&acme()).unwrap().used, NanoUsd(10));
}
