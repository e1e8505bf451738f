//! The whole ledger on a disk: random work through its interface, crashes at every byte of what was
//! not acknowledged, and the history goes on from what recovery made of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::future::Future;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use turnpike::ledger::{
    Book, Charge, GenerationRecord, Hold, HoldAsk, KeyEntry, Ledger, Made, ManageError, OpenError,
    Options, verify,
};
use turnpike::terms::{AccountTerms, MemberTerms, Reset};
use turnpike::vocab::{GenerationId, KeyId, NanoUsd, ProviderId};

use crate::crash::{Damage, copy, entries, rot};
use crate::model::{Do, Model};
use crate::pure::{account, terms};
use crate::{Dice, number};

/// 2026-01-31 at 20:00, so that a day, a month and a week end soon.
const START_MS: u64 = 1_769_889_600_000;
const ACCOUNTS: u8 = 3;
const MEMBERS: u8 = 2;
const KEYS: u8 = 8;

/// An opened ledger, and what should be in it.
struct World {
    ledger: Ledger,
    clock: Arc<AtomicU64>,
    model: Model,
    /// The ledger's names of the model's keys.
    names: BTreeMap<u8, KeyId>,
    holds: BTreeMap<u64, Hold>,
    next_generation: u64,
    next_receipt: u64,
    steps: u64,
}

fn options(clock: &Arc<AtomicU64>, dice: &mut Dice) -> Options {
    let clock = Arc::clone(clock);
    let mut options = Options::new(move || clock.load(Ordering::Relaxed));
    options.queue_capacity = 1_024;
    options.segment_bytes = 4_096 << dice.roll(6);
    options.checkpoint_every = Duration::from_millis(1 << dice.roll(11));
    options
}

/// Runs a future on this thread.
fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}

fn id(g: u64) -> GenerationId {
    GenerationId::new(START_MS + g, u128::from(g) + 1)
}

impl World {
    fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    fn key(&self, k: u8) -> Option<Arc<KeyEntry>> {
        let name = self.names.get(&k).filter(|_| !self.model.keys[&k].deleted)?;
        Some(self.ledger.key(name).expect("the key is there"))
    }

    /// Something that is acknowledged when it returns.
    fn manage(&mut self, step: Do) {
        let known = |k: u8| self.names.get(&k).cloned();
        let outcome = match step {
            Do::Account(a) => self.ledger.create_account(&account(a), AccountTerms::default()),
            Do::Member(a, m, limit) => {
                let terms = MemberTerms { limit: limit.map(NanoUsd), ..MemberTerms::default() };
                self.ledger.set_member(&account(a), &format!("user-{m}"), terms)
            }
            Do::Leave(a, m) => self.ledger.remove_member(&account(a), &format!("user-{m}")),
            Do::Key(k, a, m, limit) => {
                if self.model.keys.contains_key(&k) {
                    return;
                }
                let made = self.ledger.create_key(&account(a), terms(m, limit));
                made.map(|(name, _secret)| {
                    self.names.insert(k, name);
                })
            }
            Do::KeyTerms(k, limit) => {
                let Some(name) = known(k) else { return };
                let member = self.model.keys[&k].member;
                self.ledger.change_key(&name, terms(member, limit))
            }
            Do::KeyGone(k) => {
                let Some(name) = known(k) else { return };
                self.ledger.delete_key(&name)
            }
            Do::TopUp(..) | Do::Adjust(..) | Do::Move(..) => return self.pay(step),
            Do::Hold(..)
            | Do::Ahead(..)
            | Do::Unused(_)
            | Do::Settle(..)
            | Do::Void(_)
            | Do::Record(..) => unreachable!("not managed"),
        };
        let allowed = self.model.does(step);
        assert_eq!(outcome.is_ok(), allowed, "{step:?}: {outcome:?}");
    }

    fn transfer(&self, step: Do) -> Result<Made, ManageError> {
        let receipt = |r: u64| format!("receipt-{r}");
        match step {
            Do::TopUp(a, n, fee, r) => {
                self.ledger.purchase(&account(a), (NanoUsd(n), NanoUsd(fee)), "card", &receipt(r))
            }
            Do::Adjust(a, n, r) => {
                self.ledger.adjust(&account(a), NanoUsd(n), Book::Promotions, "why", &receipt(r))
            }
            Do::Move(from, to, n, r) => {
                let pair = (&account(from), &account(to));
                self.ledger.transfer(pair, NanoUsd(n), "why", &receipt(r))
            }
            _ => unreachable!("no transfer"),
        }
    }

    /// A transfer, and the same again.
    fn pay(&mut self, step: Do) {
        // The process knows of more that is set aside than the journal does.
        let (taker, taken) = match step {
            Do::Adjust(a, n, _) if n < 0 => (a, -n),
            Do::Move(from, _, n, _) => (from, n),
            _ => (0, 0),
        };
        let there = self.model.accounts.contains_key(&taker);
        let short = taken > 0 && there && self.model.available(taker) < taken;
        let outcome = self.transfer(step);
        let allowed = !short && self.model.does(step);
        assert_eq!(outcome == Ok(Made::Now), allowed, "{step:?}: {outcome:?}");
        if allowed {
            assert_eq!(self.transfer(step), Ok(Made::Before), "again: {step:?}");
        }
    }

    fn hold(&mut self, k: u8, want: i64, floor: i64) -> Option<Do> {
        let key = self.key(k)?;
        let (g, now_ms) = (self.next_generation, self.now());
        self.next_generation += 1;
        let ask = HoldAsk { generation: id(g), want: NanoUsd(want), floor: NanoUsd(floor), now_ms };
        let expected = self.model.grants(k, (want, floor.min(want)), now_ms);
        let hold = self.ledger.hold(&key, ask);
        let granted = hold.as_ref().ok().map(|hold| hold.granted().0);
        assert_eq!(granted, expected, "key {k} wants {want}, at least {floor}: {hold:?}");
        let hold = hold.ok()?;
        let step = Do::Hold(g, k, hold.granted().0, now_ms);
        assert!(self.model.does(step));
        self.holds.insert(g, hold);
        Some(step)
    }

    fn note(&mut self, g: u64, cost: i64) {
        let hold = &self.holds[&g];
        wait(hold.durable()).expect("a disk that works");
        hold.progress(NanoUsd(cost)).expect("a note");
        self.model.open.get_mut(&g).unwrap().note = Some(cost);
    }

    fn extend(&mut self, g: u64, extra: i64) {
        let open = self.model.open[&g].clone();
        let expected = self.model.grants(open.key, (extra, extra), open.placed_ms);
        let done = self.holds.get_mut(&g).unwrap().extend(NanoUsd(extra));
        assert_eq!(done.is_ok(), expected.is_some(), "{g} by {extra}: {done:?}");
        if done.is_ok() {
            self.model.open.get_mut(&g).unwrap().extended += extra;
        }
    }

    fn end(&mut self, g: u64, dice: &mut Dice) -> Do {
        let hold = self.holds.remove(&g).unwrap();
        let record = GenerationRecord::bare(
            id(g),
            hold.placed_ms(),
            hold.key().account().id().clone(),
            hold.key().id().clone(),
        );
        let step = match dice.roll(6) {
            0 => {
                hold.void(Some(record));
                Do::Void(g)
            }
            1 => {
                drop(hold);
                self.model.open[&g].note.map_or(Do::Void(g), |cost| Do::Settle(g, cost, 0))
            }
            _ => {
                let (cost, discount) = (dice.amount(400), dice.amount(3));
                let mut record = record;
                record.provider = ProviderId::parse("p").ok();
                record.details.discount = NanoUsd(discount);
                hold.settle(Charge { cost: NanoUsd(cost), record });
                Do::Settle(g, cost, discount)
            }
        };
        assert!(self.model.does(step), "{step:?}");
        step
    }

    fn record(&mut self, k: u8) -> Option<Do> {
        let key = self.key(k)?;
        let g = self.next_generation;
        self.next_generation += 1;
        let account = key.account().id().clone();
        let record = GenerationRecord::bare(id(g), self.now(), account, key.id().clone());
        self.ledger.record(record).expect("it is kept");
        let step = Do::Record(g, k);
        assert!(self.model.does(step));
        Some(step)
    }

    /// Anything.
    fn step(&mut self, dice: &mut Dice) {
        self.steps += 1;
        let small = |dice: &mut Dice, n: u8| u8::try_from(dice.roll(n.into())).unwrap();
        let (a, k, m) = (small(dice, ACCOUNTS), small(dice, KEYS), small(dice, MEMBERS));
        let limit =
            dice.one_in(2).then(|| (dice.amount(20_000), Reset::ALL.get(dice.pick(4)).copied()));
        let r = if dice.one_in(4) { dice.roll(self.next_receipt) } else { self.next_receipt };
        self.next_receipt += 1;
        let open = self.holds.keys().nth(dice.pick(self.holds.len().max(1))).copied();
        match dice.roll(200) {
            0 => self.manage(Do::Account(a)),
            1 => self.manage(Do::Member(a, m, dice.one_in(2).then(|| dice.amount(20_000)))),
            2 => self.manage(Do::Leave(a, m)),
            3..=4 => self.manage(Do::Key(k, a, dice.one_in(2).then_some(m), limit)),
            5 => self.manage(Do::KeyTerms(k, limit)),
            6 if dice.one_in(40) => self.manage(Do::KeyGone(k)),
            6..=8 => self.manage(Do::TopUp(a, dice.amount(9_000) + 1, dice.amount(50), r)),
            9 => self.manage(Do::Adjust(a, dice.amount(400) - 200, r)),
            10..=11 => self.manage(Do::Move(a, small(dice, ACCOUNTS), dice.amount(2_000) + 1, r)),
            12 if dice.one_in(4) => {
                // Up to a third of a day.
                self.clock.fetch_add(dice.roll(30_000_000), Ordering::Relaxed);
            }
            12..=90 => {
                self.hold(k, dice.amount(500), dice.amount(300));
            }
            91..=110 => {
                if let Some(g) = open {
                    self.note(g, dice.amount(400));
                }
            }
            111..=120 => {
                if let Some(g) = open {
                    self.extend(g, dice.amount(100));
                }
            }
            121..=185 => {
                if let Some(g) = open {
                    self.end(g, dice);
                }
            }
            _ => {
                self.record(k);
            }
        }
    }

    /// Everything so far is durable when this returns.
    fn sync(&mut self) {
        let a = *self.model.accounts.keys().next().expect("an account");
        self.next_receipt += 1;
        self.manage(Do::TopUp(a, 1, 0, self.next_receipt));
        self.next_receipt += 1;
    }

    fn compare(&mut self, when: &str) {
        let now = self.now();
        for (a, expected) in &self.model.accounts {
            let balance = self.ledger.account(&account(*a)).expect("the account is there");
            let numbers = (balance.bought.0, balance.used.0);
            assert_eq!(numbers, (expected.bought, expected.used), "{when}: account {a}");
            let free = (balance.balance - balance.held).0;
            assert_eq!(free, self.model.available(*a), "{when}: account {a}");
        }
        for (k, expected) in self.model.keys.iter_mut().filter(|(_, key)| !key.deleted) {
            let key = self.ledger.key(&self.names[k]).expect("the key is there");
            let spent = key.usage(now);
            let purse = &mut expected.purse;
            purse.latest_ms = purse.latest_ms.max(now);
            assert_eq!(spent.spent.0, purse.spent(), "{when}: key {k}");
            for reset in Reset::ALL {
                let in_period = spent.in_period(reset).0.0;
                assert_eq!(in_period, purse.spent_in(reset, now), "{when}: key {k} {reset:?}");
            }
        }
        let newest = self.next_generation;
        for g in newest.saturating_sub(30)..newest {
            let found = self.ledger.generation(id(g)).expect("a readable disk");
            assert_eq!(found.is_some(), self.model.ended.contains(&g), "{when}: generation {g}");
        }
    }

    /// Work whose outcome nobody waits for; what the journal will say of it, in order.
    fn unacknowledged(&mut self, dice: &mut Dice) -> Vec<Do> {
        let mut after = Vec::new();
        for _ in 0..dice.roll(40) {
            let k = u8::try_from(dice.roll(KEYS.into())).unwrap();
            let open = self.holds.keys().nth(dice.pick(self.holds.len().max(1))).copied();
            match (dice.roll(5), open) {
                (0 | 1, Some(g)) => after.push(self.end(g, dice)),
                (2, _) => after.extend(self.record(k)),
                _ => after.extend(self.hold(k, dice.amount(500), dice.amount(300))),
            }
            self.steps += 1;
        }
        after
    }
}

/// What verify adds up must be what the model does.
fn sound(root: &Path, model: &Model, when: &str) {
    let report = verify(root).expect("a readable ledger");
    assert!(report.ok(), "{when}: {report}");
    let counts = (report.entries, report.generations_charged, report.open_holds);
    assert_eq!(counts, (model.entries, model.charged, 0), "{when}: {report}");
    assert_eq!(report.total_debits, report.total_credits, "{when}");
    assert_eq!(report.total_debits, model.books.debits, "{when}");
    let customers: i64 = model.accounts.values().map(|a| a.bought - a.used).sum();
    let books = &model.books;
    assert_eq!(customers + books.fees + books.owed, books.cash + books.gifts, "nothing is lost");
}

/// A ledger after a crash, opened and compared.
fn reopen(root: &Path, world: World, mut model: Model, dice: &mut Dice, when: &str) -> World {
    let (settled, voided) = model.recover();
    let (ledger, recovery) =
        Ledger::open(root, options(&world.clock, dice)).unwrap_or_else(|e| panic!("{when}: {e}"));
    assert_eq!((recovery.settled, recovery.voided), (settled, voided), "{when}: {recovery:?}");
    for purse in model.keys.values_mut().map(|key| &mut key.purse) {
        purse.latest_ms = 0;
    }
    for member in model.members.values_mut() {
        member.purse.latest_ms = 0;
    }
    let mut world = World { ledger, model, holds: BTreeMap::new(), ..world };
    world.compare(when);
    // What was paid before the crash is not paid again.
    let receipts: Vec<_> = world.model.receipts.iter().map(|(r, paid)| (*r, *paid)).collect();
    for _ in 0..3 {
        let (r, (a, n)) = receipts[dice.pick(receipts.len())];
        let again = Do::TopUp(a, n.abs() + 1, 0, r);
        assert!(matches!(world.transfer(again), Err(ManageError::Refused(_))), "{when}: {r}");
        if n > 0 {
            assert_eq!(world.transfer(Do::TopUp(a, n, 0, r)), Ok(Made::Before), "{when}: {r}");
        }
    }
    world.compare(when);
    world
}

/// Damage that no crash does is found, and the files are left as they are.
fn refuses_rot(root: &Path, clock: &Arc<AtomicU64>, dice: &mut Dice) -> bool {
    let index = root.join("index");
    if index.exists() {
        std::fs::remove_dir_all(index).unwrap();
    }
    let Some((segment, at, was)) = rot(root, dice) else { return false };
    let damaged = std::fs::read(&segment).unwrap();
    match Ledger::open(root, options(clock, dice)) {
        Err(OpenError::Corrupt(_)) => {}
        other => panic!("{} byte {at}: {other:?}", segment.display()),
    }
    assert!(!verify(root).expect("a readable ledger").ok());
    assert_eq!(std::fs::read(&segment).unwrap(), damaged, "left as it is");
    File::options().write(true).open(&segment).unwrap().write_all_at(&[was], at).unwrap();
    true
}

#[test]
fn whatever_a_crash_leaves_is_what_was_acknowledged() {
    let crashes = number("TURNPIKE_MODEL_CRASHES", 25);
    let mut dice = Dice::new("crashes");
    let clock = Arc::new(AtomicU64::new(START_MS));
    let mut root = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::open(root.path(), options(&clock, &mut dice)).unwrap();
    let (model, names, holds) = (Model::default(), BTreeMap::new(), BTreeMap::new());
    let (next_generation, next_receipt, steps) = (1, 1, 0);
    let mut world =
        World { ledger, clock, model, names, holds, next_generation, next_receipt, steps };
    world.manage(Do::Account(0));
    let (mut lost, mut kept, mut rotten, mut by_rule) = (0, 0, 0, 0);
    for crash in 1..=crashes {
        for _ in 0..dice.roll(400) {
            world.step(&mut dice);
        }
        world.sync();
        world.compare("before the crash");
        let acknowledged = world.model.clone();
        let after = world.unacknowledged(&mut dice);
        world.sync();
        let written = world.model.clone();
        let crashed = tempfile::tempdir().unwrap();
        let damage = Damage::ALL[dice.pick(Damage::ALL.len())];
        // An index is never ahead of the journal.
        copy(root.path(), crashed.path(), damage == Damage::None);
        let when = format!("crash {crash}, {damage:?}");
        let count = usize::try_from(acknowledged.entries).unwrap();
        assert_eq!(entries(crashed.path()).len() as u64, written.entries, "{when}");
        let left = damage.inflict(crashed.path(), count, &mut dice);
        let mut survived = acknowledged;
        for step in after.iter().take(left - count) {
            assert!(survived.does(*step), "{when}: {step:?}");
        }
        if left - count > after.len() {
            survived = written.clone();
        }
        assert_eq!(survived.entries, left as u64, "{when}");
        by_rule += survived.open.len();
        lost += written.entries - left as u64;
        kept += left as u64 - count as u64;
        drop(std::mem::take(&mut world.holds));
        world = reopen(crashed.path(), world, survived, &mut dice, &when);
        root = crashed;
        if crash.is_multiple_of((crashes / 25).max(1)) {
            world.ledger.close().expect("it closes");
            sound(root.path(), &world.model, &when);
            let model = world.model.clone();
            rotten += u64::from(refuses_rot(root.path(), &world.clock, &mut dice));
            world = reopen(root.path(), world, model, &mut dice, &when);
        }
    }
    world.ledger.close().expect("it closes");
    sound(root.path(), &world.model, "at the end");
    eprintln!(
        "{} steps, {} entries, {crashes} crashes: {lost} entries that nobody waited for were lost \
         and {kept} kept; {by_rule} holds were ended by rule; {rotten} changed bits were found",
        world.steps, world.model.entries
    );
    assert!(rotten > 0 && kept > 0 && lost > 0, "the crashes were real");
}
