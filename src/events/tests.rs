//! Thresholds, invoices and what is told of them, over a real ledger.

use super::*;
use crate::ledger::Options;
use crate::payment::Manual;
use crate::terms::{AccountTerms, AutoTopUp, KeyTerms};

const fn usd(dollars: i64) -> NanoUsd {
    NanoUsd::from_dollars(dollars)
}

fn acme() -> AccountId {
    AccountId::parse("acme").unwrap()
}

fn ledger(dir: &Path, terms: AccountTerms, credit: i64) -> Ledger {
    let (ledger, _) = Ledger::open(dir, Options::new(|| 5)).unwrap();
    ledger.create_account(&acme(), terms).unwrap();
    ledger.top_up(&acme(), usd(credit), "test", "first").unwrap();
    ledger
}

fn open(dir: &Path) -> Events {
    Events::open(dir, Arc::new(Manual), true).unwrap()
}

fn kinds(events: &Events) -> Vec<String> {
    events.waiting().iter().map(|event| event.kind.clone()).collect()
}

/// Takes credit away, as use does.
fn lose(ledger: &Ledger, dollars: i64, name: &str) {
    let against = crate::ledger::Book::Promotions;
    ledger.adjust(&acme(), usd(-dollars), against, "used", name).unwrap();
}

#[test]
fn a_low_balance_is_told_once_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let terms = AccountTerms { low_balance: Some(usd(10)), ..AccountTerms::default() };
    let ledger = ledger(dir.path(), terms, 20);
    let events = open(dir.path());
    events.look(&ledger, 1).unwrap();
    assert!(kinds(&events).is_empty());
    lose(&ledger, 11, "a");
    events.look(&ledger, 2).unwrap();
    events.look(&ledger, 3).unwrap();
    assert_eq!(kinds(&events), ["account.low_balance"]);
    let events = open(dir.path());
    events.look(&ledger, 4).unwrap();
    assert_eq!(kinds(&events), ["account.low_balance"], "not told again under another id");
    let id = events.waiting()[0].id.clone();
    events.sent(vec![(id.clone(), Err("503".to_owned()))], 5, 0).unwrap();
    assert!(events.due(5, 9).is_empty(), "it is tried later");
    events.sent(vec![(id, Ok(()))], 6, 0).unwrap();
    assert!(kinds(&open(dir.path())).is_empty(), "delivered for good");
}

#[test]
fn credit_is_asked_for_once_per_crossing_and_added_when_it_is_paid() {
    let dir = tempfile::tempdir().unwrap();
    let auto = AutoTopUp { below: usd(5), amount: usd(50) };
    let terms = AccountTerms { auto_top_up: Some(auto), ..AccountTerms::default() };
    let ledger = ledger(dir.path(), terms, 6);
    let events = open(dir.path());
    lose(&ledger, 2, "a");
    for now in 0..3 {
        events.look(&ledger, now).unwrap();
    }
    let invoices = events.invoices();
    assert_eq!(invoices.len(), 1, "one per crossing");
    let id = invoices[0].id.clone();
    assert_eq!((invoices[0].amount, invoices[0].cause), (usd(50), Cause::AutoTopUp));
    for before in [false, true] {
        let (paid, repeated) = events.pay(&ledger, &id, Some("bank-7".to_owned()), 9).unwrap();
        assert_eq!((paid.status, repeated), (Status::Paid, before));
    }
    assert_eq!(ledger.account(&acme()).unwrap().balance, usd(54), "added once");
    events.look(&ledger, 10).unwrap();
    assert_eq!(events.invoices().len(), 1);
    lose(&ledger, 53, "b");
    events.look(&ledger, 11).unwrap();
    assert_eq!(events.invoices().len(), 2, "another crossing");
}

#[test]
fn a_keys_limit_is_told_at_its_steps() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(dir.path(), AccountTerms::default(), 100);
    let terms = KeyTerms { limit: Some(usd(10)), ..KeyTerms::default() };
    let (id, _) = ledger.create_key(&acme(), terms).unwrap();
    let events = open(dir.path());
    let key = ledger.key(&id).unwrap();
    for (n, dollars) in (0..).zip([7, 1, 2]) {
        let generation = crate::vocab::GenerationId::new(1_000, n);
        let floor = NanoUsd::ZERO;
        let ask = crate::ledger::HoldAsk { generation, want: usd(dollars), floor, now_ms: 6 };
        let hold = ledger.hold(&key, ask).unwrap();
        let record = crate::ledger::GenerationRecord::bare(generation, 6, acme(), id.clone());
        hold.settle(crate::ledger::Charge { cost: usd(dollars), record });
        events.look(&ledger, 7).unwrap();
    }
    let steps: Vec<Value> =
        events.waiting().iter().map(|event| event.data["percent"].clone()).collect();
    assert_eq!(steps, [json!(80), json!(100)]);
}

#[test]
fn a_key_refused_just_below_its_limit_is_told_as_at_it() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(dir.path(), AccountTerms::default(), 100);
    let terms = KeyTerms { limit: Some(usd(10)), ..KeyTerms::default() };
    let (id, _) = ledger.create_key(&acme(), terms.clone()).unwrap();
    let events = open(dir.path());
    let key = ledger.key(&id).unwrap();
    let ask = |n, dollars| {
        let generation = crate::vocab::GenerationId::new(1_000, n);
        let (want, floor) = (usd(dollars), usd(dollars));
        crate::ledger::HoldAsk { generation, want, floor, now_ms: 6 }
    };
    let spend = |n, dollars| {
        let hold = ledger.hold(&key, ask(n, dollars)).unwrap();
        let generation = hold.generation();
        let record = crate::ledger::GenerationRecord::bare(generation, 6, acme(), id.clone());
        hold.settle(crate::ledger::Charge { cost: usd(dollars), record });
    };
    let percents = |events: &Events| -> Vec<Value> {
        events.waiting().iter().map(|event| event.data["percent"].clone()).collect()
    };
    spend(1, 4);
    assert!(ledger.hold(&key, ask(2, 7)).is_err());
    events.look(&ledger, 7).unwrap();
    assert!(percents(&events).is_empty(), "most of the limit is left");
    ledger.change_key(&id, terms).unwrap();
    spend(3, 5);
    events.look(&ledger, 8).unwrap();
    assert_eq!(percents(&events), [json!(80)]);
    assert!(ledger.hold(&key, ask(4, 2)).is_err());
    for now in [9, 10] {
        events.look(&ledger, now).unwrap();
        assert_eq!(percents(&events), [json!(80), json!(100)]);
    }
    assert_eq!(events.waiting()[1].data["used_usd"], usd(9).to_string(), "what it really used");
}

#[test]
fn invoices_are_made_once_and_void_ones_are_not_paid() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(dir.path(), AccountTerms::default(), 1);
    let events = open(dir.path());
    let ask = |amount| NewInvoice { account: acme(), amount, idempotency_key: "i".to_owned() };
    let (first, before) = events.invoice(ask(usd(3)), 1).unwrap();
    assert!(!before);
    assert_eq!(events.invoice(ask(usd(3)), 2).unwrap(), (first.clone(), true));
    assert!(matches!(events.invoice(ask(usd(4)), 3), Err(InvoiceError::Conflict(_))));
    assert!(!events.void(&first.id, 4).unwrap().1);
    assert!(matches!(events.pay(&ledger, &first.id, None, 5), Err(InvoiceError::Conflict(_))));
    assert!(matches!(events.pay(&ledger, "inv_0", None, 5), Err(InvoiceError::Unknown)));
    assert_eq!(ledger.account(&acme()).unwrap().balance, usd(1));
}

#[test]
fn an_invoice_has_the_fee_of_its_day_which_is_booked_apart() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(dir.path(), AccountTerms::default(), 1);
    let share = crate::catalog::Share::basis_points(550);
    let fee = Fee { share, minimum: NanoUsd(800_000_000) };
    let ask = |name: &str, dollars| NewInvoice {
        account: acme(),
        amount: usd(dollars),
        idempotency_key: name.to_owned(),
    };
    let events = open(dir.path()).with_fee(fee);
    let large = events.invoice(ask("large", 100), 1).unwrap().0;
    let small = events.invoice(ask("small", 10), 2).unwrap().0;
    assert_eq!((large.fee, small.fee), (NanoUsd(5_500_000_000), NanoUsd(800_000_000)));
    let shown = view(&large);
    assert_eq!((&shown["fee_usd"], &shown["total_usd"]), (&json!("5.5"), &json!("105.5")));
    // After a restart without a fee.
    let events = open(dir.path());
    assert_eq!(events.invoice(ask("later", 10), 3).unwrap().0.fee, NanoUsd::ZERO);
    for id in [&large.id, &small.id, &large.id] {
        events.pay(&ledger, id, None, 4).unwrap();
    }
    assert_eq!(ledger.account(&acme()).unwrap().balance, usd(111), "the credit alone");
    drop(ledger);
    let report = crate::ledger::verify(dir.path()).unwrap();
    let moved = i128::from(usd(111).0) + 6_300_000_000;
    assert!(report.findings.is_empty(), "{report}");
    assert_eq!((report.total_debits, report.total_credits), (moved, moved));
}

#[test]
fn an_invoice_whose_credit_may_be_booked_cannot_be_voided() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(dir.path(), AccountTerms::default(), 1);
    let events = open(dir.path());
    let new = NewInvoice { account: acme(), amount: usd(3), idempotency_key: "i".to_owned() };
    let id = events.invoice(new, 1).unwrap().0.id;
    // The process dies after the credit was added and before that was noted.
    events.begin_payment(&id, Some("bank-7".to_owned())).unwrap();
    ledger.top_up(&acme(), usd(3), Manual.method(), &id).unwrap();
    let events = open(dir.path());
    assert!(matches!(events.void(&id, 4), Err(InvoiceError::Conflict(_))));
    events.look(&ledger, 5).unwrap();
    let paid = &events.invoices()[0];
    assert_eq!((paid.status, paid.reference.as_deref()), (Status::Paid, Some("bank-7")));
    assert_eq!(ledger.account(&acme()).unwrap().balance, usd(4), "added once");
}

#[test]
fn an_invoice_whose_credit_is_refused_is_open_again() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = ledger(dir.path(), AccountTerms::default(), 1);
    let events = open(dir.path());
    let account = AccountId::parse("nobody").unwrap();
    let new = NewInvoice { account, amount: usd(3), idempotency_key: "i".to_owned() };
    let id = events.invoice(new, 1).unwrap().0.id;
    assert!(matches!(events.pay(&ledger, &id, None, 2), Err(InvoiceError::Ledger(_))));
    assert_eq!(events.void(&id, 3).unwrap().0.status, Status::Void, "nothing was added");
}
