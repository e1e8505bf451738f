//! The state machine and the codec, in memory: every entry is written, read back and applied, and
//! crashes lose what was not acknowledged.

use std::collections::BTreeSet;
use std::sync::Arc;

use turnpike::ledger::entry::{Cause, Entry, Event, GENESIS, NewKeyEntry};
use turnpike::ledger::state::{AccountState, History, State};
use turnpike::ledger::{Book, GenerationRecord};
use turnpike::terms::{AccountTerms, KeyTerms, MemberTerms, Reset};
use turnpike::vocab::{AccountId, GenerationId, KeyId, NanoUsd, ProviderId};

use crate::model::{Do, Model};
use crate::{Dice, number};

/// The length of a frame's head.
const HEAD: usize = 10;

pub(crate) fn account(n: u8) -> AccountId {
    AccountId::parse(&format!("acct-{n}")).unwrap()
}

fn key(n: u8) -> KeyId {
    KeyId::parse(&format!("key-{n}")).unwrap()
}

/// In an order of time that is nearly, and not quite, that of their numbers.
pub(crate) fn generation(g: u64) -> GenerationId {
    GenerationId::new(g ^ 5, u128::from(g) + 1)
}

pub(crate) fn terms(member: Option<u8>, limit: Option<(i64, Option<Reset>)>) -> KeyTerms {
    KeyTerms {
        limit: limit.map(|(limit, _)| NanoUsd(limit)),
        reset: limit.and_then(|(_, reset)| reset),
        member: member.map(|member| format!("user-{member}")),
        ..KeyTerms::default()
    }
}

fn record(model: &Model, g: u64, k: u8, cost: i64) -> GenerationRecord {
    let account = account(model.keys.get(&k).map_or(0, |key| key.account));
    let mut record = GenerationRecord::bare(generation(g), 0, account, key(k));
    record.cost = NanoUsd(cost);
    record.provider = g.is_multiple_of(2).then(|| ProviderId::parse("even").unwrap());
    record
}

fn event(step: Do, model: &Model) -> Event {
    let holder = |g: u64| model.open.get(&g).map_or(0, |open| open.key);
    match step {
        Do::Account(a) => Event::AccountCreated {
            account: account(a),
            terms: Box::new(AccountTerms { name: format!("No. {a}"), ..AccountTerms::default() }),
        },
        Do::Member(a, m, limit) => Event::MemberSet {
            account: account(a),
            user: format!("user-{m}"),
            terms: MemberTerms { limit: limit.map(NanoUsd), ..MemberTerms::default() },
        },
        Do::Leave(a, m) => Event::MemberRemoved { account: account(a), user: format!("user-{m}") },
        Do::Key(k, a, m, limit) => Event::KeyCreated(Box::new(NewKeyEntry {
            key: key(k),
            account: account(a),
            hash: [k; 32],
            shown: format!("sk-{k}"),
            terms: terms(m, limit),
        })),
        Do::KeyTerms(k, limit) => {
            let member = model.keys.get(&k).and_then(|key| key.member);
            Event::KeyChanged { key: key(k), terms: Box::new(terms(member, limit)) }
        }
        Do::KeyGone(k) => Event::KeyDeleted { key: key(k) },
        Do::TopUp(a, n, fee, r) => Event::ToppedUp {
            account: account(a),
            method: account(99),
            amount: NanoUsd(n),
            fee: NanoUsd(fee),
            receipt: r.to_string(),
        },
        Do::Adjust(a, n, r) => Event::Adjusted {
            account: account(a),
            against: Book::Promotions,
            amount: NanoUsd(n),
            reason: "a reason".to_owned(),
            receipt: r.to_string(),
        },
        Do::Move(from, to, n, r) => Event::Moved {
            from: account(from),
            to: account(to),
            amount: NanoUsd(n),
            reason: String::new(),
            receipt: r.to_string(),
        },
        Do::Hold(g, k, n, placed_ms) => {
            Event::Held { generation: generation(g), key: key(k), granted: NanoUsd(n), placed_ms }
        }
        Do::Ahead(g, k, placed_ms) => {
            Event::HeldAhead { generation: generation(g), key: key(k), placed_ms }
        }
        Do::Unused(g) => Event::Unused { cause: Cause::Asked, generation: generation(g) },
        Do::Settle(g, cost, discount) => {
            let mut record = record(model, g, holder(g), cost);
            record.details.discount = NanoUsd(discount);
            Event::Settled { cause: Cause::Asked, record: Arc::new(record) }
        }
        Do::Void(g) => {
            Event::Voided { cause: Cause::Asked, record: Arc::new(record(model, g, holder(g), 0)) }
        }
        Do::Record(g, k) => Event::Recorded { record: Arc::new(record(model, g, k, 0)) },
    }
}

/// A step; generations come from a window that moves on, and now and then from long ago.
fn step(dice: &mut Dice, newest: &mut u64, model: &Model) -> Do {
    let (a, k) = (u8::try_from(dice.roll(5)).unwrap(), u8::try_from(dice.roll(12)).unwrap());
    let m = u8::try_from(dice.roll(3)).unwrap();
    let r = dice.roll(*newest / 4 + 40);
    *newest += u64::from(dice.one_in(4));
    let g = match dice.roll(50) {
        0 => dice.roll(*newest + 1),
        _ => newest.saturating_sub(dice.roll(40)),
    };
    let limit = dice.one_in(2).then(|| (dice.amount(5_000), Reset::ALL.get(dice.pick(4)).copied()));
    let open = model.open.keys().nth(dice.pick(model.open.len().max(1))).copied().unwrap_or(g);
    match dice.roll(100) {
        0 => Do::Account(a),
        1 => Do::Member(a, m, dice.one_in(2).then(|| dice.amount(5_000))),
        2 => Do::Leave(a, m),
        3 => Do::Key(k, a, dice.one_in(2).then_some(m), limit),
        4 => Do::KeyTerms(k, limit),
        5 if dice.one_in(50) => Do::KeyGone(k),
        5..=11 => Do::TopUp(a, dice.amount(10_000) - 10, dice.amount(100) - 1, r),
        12..=15 => Do::Adjust(a, dice.amount(200) - 100, r),
        16..=20 => Do::Move(a, u8::try_from(dice.roll(5)).unwrap(), dice.amount(3_000) - 10, r),
        21..=26 => Do::Ahead(g, k, dice.roll(1 << 40)),
        27..=29 => Do::Unused(open),
        30..=55 => Do::Hold(g, k, dice.amount(300) - 1, dice.roll(1 << 40)),
        56..=65 => Do::Settle(g, dice.amount(400) - 1, 0),
        66..=80 => Do::Settle(open, dice.amount(400) - 1, dice.amount(20) - 1),
        81..=92 => Do::Void(if dice.one_in(2) { open } else { g }),
        _ => Do::Record(g, k),
    }
}

/// Looks up in the model what the state's window has forgotten.
struct Remembered<'a>(&'a BTreeSet<u64>);

impl History for Remembered<'_> {
    fn ended(&self, id: GenerationId) -> Result<bool, String> {
        let number = u64::try_from(id.bits() & u128::from(u32::MAX)).unwrap() - 1;
        assert_eq!(generation(number), id, "the test's own arithmetic");
        Ok(self.0.contains(&number))
    }
}

/// One history: the model, the state, and what is written since the last checkpoint.
struct World {
    model: Model,
    state: State,
    head: [u8; 32],
    checkpoint: (Model, State, [u8; 32]),
    /// Frames and their steps since the checkpoint.
    journal: Vec<u8>,
    steps: Vec<(usize, Do)>,
}

impl World {
    fn new(window: usize) -> Self {
        let (model, state) = (Model::default(), State::new(window));
        let checkpoint = (model.clone(), state.clone(), GENESIS);
        Self { model, state, head: GENESIS, checkpoint, journal: vec![], steps: vec![] }
    }

    fn apply(&mut self, step: Do) -> bool {
        let event = event(step, &self.model);
        let entry = Entry { seq: self.state.seq() + 1, time_ms: self.state.seq(), event };
        let start = self.journal.len();
        let next = entry.write(&self.head, 0, &mut self.journal);
        let payload = &self.journal[start + HEAD..];
        let (read, prev) = Entry::read(payload).unwrap();
        assert_eq!((&read, prev), (&entry, self.head), "it reads back as it was written");
        let accounts = self.accounts();
        let applied = self.state.apply(&read, &Remembered(&self.model.ended));
        let allowed = self.model.does(step);
        assert_eq!(applied.is_ok(), allowed, "{step:?}: {applied:?}");
        if allowed {
            self.head = next;
            self.steps.push((self.journal.len(), step));
        } else {
            self.journal.truncate(start);
            assert_eq!(self.accounts(), accounts, "a refused entry changes nothing: {step:?}");
        }
        assert_eq!(self.state.sum_of_balances(), 0, "{step:?}");
        assert_eq!(self.state.seq(), self.model.entries);
        allowed
    }

    fn accounts(&self) -> Vec<Option<AccountState>> {
        (0..5).map(|a| self.state.account(&account(a)).cloned()).collect()
    }

    fn compare(&self) {
        for a in 0..5 {
            let model = self.model.accounts.get(&a);
            let state = self.state.account(&account(a));
            let shown = state.map(|state| (state.bought.0, state.used.0, state.held.0));
            assert_eq!(shown, model.map(|m| (m.bought, m.used, self.model.held(a))), "{a}");
        }
        for (g, open) in &self.model.open {
            let hold = self.state.hold(generation(*g)).expect("the hold is open");
            let told = (hold.granted.0, hold.placed_ms);
            assert_eq!((told, &hold.key), ((open.granted, open.placed_ms), &key(open.key)));
        }
    }

    /// What is on disk becomes what everything starts from.
    fn checkpoint(&mut self) {
        self.checkpoint = (self.model.clone(), self.state.clone(), self.head);
        self.journal.clear();
        self.steps.clear();
    }

    /// Loses what is written after a byte, and starts again from the checkpoint.
    fn crash(&mut self, kept: usize) {
        let (mut model, mut state, mut head) = self.checkpoint.clone();
        let mut at = 0;
        for (end, step) in std::mem::take(&mut self.steps) {
            if end > kept {
                break;
            }
            let (entry, prev) = Entry::read(&self.journal[at + HEAD..end]).unwrap();
            assert_eq!(prev, head, "the chain holds");
            state.apply(&entry, &Remembered(&model.ended)).expect("it fitted before");
            assert!(model.does(step));
            head = *blake3::hash(&self.journal[at + HEAD..end]).as_bytes();
            at = end;
            self.steps.push((end, step));
        }
        self.journal.truncate(at);
        (self.model, self.state, self.head) = (model, state, head);
        self.compare();
    }
}

#[test]
fn the_state_machine_does_what_the_model_does() {
    let steps = number("TURNPIKE_MODEL_STEPS", 60_000);
    let mut dice = Dice::new("state machine");
    let mut world = World::new(64);
    let (mut newest, mut done, mut refused, mut repeated, mut crashes) = (0, 0_u64, 0_u64, 0, 0);
    // What is acknowledged is in the journal up to here.
    let mut acknowledged = 0;
    for _ in 0..steps {
        let step = step(&mut dice, &mut newest, &world.model);
        if world.apply(step) {
            done += 1;
            let moves_money = !matches!(step, Do::Member(..) | Do::KeyTerms(..));
            if moves_money && dice.one_in(3) {
                assert!(!world.apply(step), "a repetition is refused: {step:?}");
                repeated += 1;
            }
        } else {
            refused += 1;
        }
        if dice.one_in(8) {
            acknowledged = world.journal.len();
        }
        if dice.one_in(500) {
            let open = world.journal.len() - acknowledged;
            world.crash(acknowledged + dice.pick(open + 1));
            acknowledged = world.journal.len();
            crashes += 1;
        }
        if dice.one_in(2_000) {
            world.compare();
            world.checkpoint();
            acknowledged = 0;
        }
    }
    world.compare();
    eprintln!(
        "{steps} steps: {done} done, {refused} refused, {repeated} repeated in vain; {crashes} \
         crashes; {} generations, {} of them charged",
        world.model.ended.len(),
        world.model.charged
    );
    assert!(done > steps / 4 && refused > steps / 10 && crashes > 0, "the steps were real");
}
