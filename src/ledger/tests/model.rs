//! The state machine against a model that is too simple to be wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// What a test does next. Accounts, keys and generations are few, so that they meet often.
#[derive(Clone, Debug)]
enum Do {
    Account(u8),
    Key(u8, u8),
    TopUp(u8, i64, u8),
    Adjust(u8, i64, u8),
    Hold(u8, u8, i64),
    Ahead(u8, u8),
    Unused(u8),
    Settle(u8, i64),
    Void(u8),
    Record(u8, u8),
}

fn steps() -> impl Strategy<Value = Vec<Do>> {
    let step = prop_oneof![
        1 => (0..3_u8).prop_map(Do::Account),
        1 => (0..4_u8, 0..3_u8).prop_map(|(k, a)| Do::Key(k, a)),
        2 => (0..3_u8, -1..1_000_i64, 0..20_u8).prop_map(|(a, n, r)| Do::TopUp(a, n, r)),
        1 => (0..3_u8, -50..50_i64, 0..20_u8).prop_map(|(a, n, r)| Do::Adjust(a, n, r)),
        5 => (0..30_u8, 0..4_u8, -1..300_i64).prop_map(|(g, k, n)| Do::Hold(g, k, n)),
        2 => (0..30_u8, 0..4_u8).prop_map(|(g, k)| Do::Ahead(g, k)),
        1 => (0..30_u8).prop_map(Do::Unused),
        4 => (0..30_u8, -1..400_i64).prop_map(|(g, n)| Do::Settle(g, n)),
        2 => (0..30_u8).prop_map(Do::Void),
        1 => (0..30_u8, 0..4_u8).prop_map(|(g, k)| Do::Record(g, k)),
    ];
    proptest::collection::vec(step, 0..200)
}

/// The model: a few maps and additions.
#[derive(Default)]
struct Model {
    accounts: BTreeMap<u8, (i64, i64)>,
    keys: BTreeMap<u8, u8>,
    receipts: BTreeSet<u8>,
    open: BTreeMap<u8, (u8, i64)>,
    ahead: BTreeSet<u8>,
    ended: BTreeSet<u8>,
}

impl Model {
    /// Whether the step is allowed; if so, does it.
    fn does(&mut self, step: &Do) -> bool {
        match *step {
            Do::Account(a) => {
                !self.accounts.contains_key(&a) && self.accounts.insert(a, (0, 0)).is_none()
            }
            Do::Key(k, a) => {
                self.accounts.contains_key(&a)
                    && !self.keys.contains_key(&k)
                    && self.keys.insert(k, a).is_none()
            }
            Do::TopUp(a, n, r) => n > 0 && self.buys(a, n, r),
            Do::Adjust(a, n, r) => n != 0 && self.buys(a, n, r),
            Do::Hold(g, k, n) => {
                let fits = n >= 0
                    && self.keys.contains_key(&k)
                    && !self.open.contains_key(&g)
                    && !self.ended.contains(&g);
                fits && self.open.insert(g, (k, n)).is_none()
            }
            Do::Ahead(g, k) => {
                let fits = self.does(&Do::Hold(g, k, 0));
                fits && self.ahead.insert(g)
            }
            Do::Unused(g) => self.ahead.remove(&g) && self.open.remove(&g).is_some(),
            Do::Settle(g, n) => n >= 0 && self.ends(g, n),
            Do::Void(g) => self.ends(g, 0),
            Do::Record(g, k) => {
                self.keys.contains_key(&k) && !self.open.contains_key(&g) && self.ended.insert(g)
            }
        }
    }

    fn buys(&mut self, a: u8, n: i64, r: u8) -> bool {
        let Some(account) = self.accounts.get_mut(&a) else { return false };
        if !self.receipts.insert(r) {
            return false;
        }
        account.0 += n;
        true
    }

    fn ends(&mut self, g: u8, n: i64) -> bool {
        let Some((k, _)) = self.open.remove(&g) else { return false };
        self.ahead.remove(&g);
        self.accounts.get_mut(&self.keys[&k]).unwrap().1 += n;
        self.ended.insert(g);
        true
    }
}

/// A generation of the test, in an order of time that is not the order of their numbers.
fn generation(g: u8) -> GenerationId {
    GenerationId::new(u64::from(g).wrapping_mul(37) % 31, u128::from(g) + 1)
}

fn event(step: &Do, model: &Model) -> Event {
    let record = |g: u8, k: u8, cost: i64| {
        let account = account(model.keys.get(&k).copied().unwrap_or(0));
        let mut record = GenerationRecord::bare(generation(g), 0, account, key(k));
        record.cost = NanoUsd(cost);
        record.provider = g.is_multiple_of(2).then(|| ProviderId::parse("even").unwrap());
        Arc::new(record)
    };
    let holder = |g: u8| model.open.get(&g).map_or(0, |(k, _)| *k);
    match *step {
        Do::Account(a) => Event::AccountCreated { account: account(a), terms: Box::default() },
        Do::Key(k, a) => Event::KeyCreated(Box::new(NewKeyEntry {
            key: key(k),
            account: account(a),
            hash: [k; 32],
            shown: String::new(),
            terms: KeyTerms::default(),
        })),
        Do::TopUp(a, n, r) => Event::ToppedUp {
            account: account(a),
            method: account(7),
            amount: NanoUsd(n),
            fee: NanoUsd(n / 10),
            receipt: r.to_string(),
        },
        Do::Adjust(a, n, r) => Event::Adjusted {
            account: account(a),
            against: Book::Promotions,
            amount: NanoUsd(n),
            reason: String::new(),
            receipt: r.to_string(),
        },
        Do::Hold(g, k, n) => Event::Held {
            generation: generation(g),
            key: key(k),
            granted: NanoUsd(n),
            placed_ms: 0,
        },
        Do::Ahead(g, k) => {
            Event::HeldAhead { generation: generation(g), key: key(k), placed_ms: 0 }
        }
        Do::Unused(g) => Event::Unused { cause: Cause::Asked, generation: generation(g) },
        Do::Settle(g, n) => Event::Settled { cause: Cause::Asked, record: record(g, holder(g), n) },
        Do::Void(g) => Event::Voided { cause: Cause::Asked, record: record(g, holder(g), 0) },
        Do::Record(g, k) => Event::Recorded { record: record(g, k, 0) },
    }
}

/// Remembers what the state's own window has forgotten.
struct Remembered(BTreeSet<GenerationId>);

impl History for Remembered {
    fn ended(&self, id: GenerationId) -> Result<bool, String> {
        Ok(self.0.contains(&id))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn the_state_does_what_the_model_does(steps in steps(), window in 0..8_usize) {
        let mut model = Model::default();
        let mut whole = State::new(usize::MAX);
        let mut windowed = State::new(window);
        for step in &steps {
            let event = event(step, &model);
            let remembered =
                |model: &Model| Remembered(model.ended.iter().map(|g| generation(*g)).collect());
            let before = remembered(&model);
            let allowed = model.does(step);
            // Twice: the second time must change nothing.
            for (history, allowed) in [(before, allowed), (remembered(&model), false)] {
                let entry = Entry { seq: whole.seq() + 1, time_ms: 0, event: event.clone() };
                let done = whole.apply(&entry, &NoHistory);
                prop_assert_eq!(done.is_ok(), allowed, "{:?}: {:?}", step, done);
                prop_assert_eq!(windowed.apply(&entry, &history), done, "windowed: {:?}", step);
            }
            prop_assert_eq!(whole.sum_of_balances(), 0);
            for (a, (bought, used)) in &model.accounts {
                let got = whole.account(&account(*a)).unwrap();
                let held: i64 = model
                    .open
                    .values()
                    .filter(|(k, _)| model.keys[k] == *a)
                    .map(|(_, n)| *n)
                    .sum();
                prop_assert_eq!((got.bought.0, got.used.0, got.held.0), (*bought, *used, held));
                prop_assert_eq!(windowed.account(&account(*a)), Some(got));
            }
        }
        prop_assert_eq!(whole.holds.len(), model.open.len());
        prop_assert_eq!(whole.ended_count, model.ended.len() as u64);
    }
}
