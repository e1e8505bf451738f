//! Routing, health and retries together, in virtual time: thousands of requests against endpoints
//! that are slow, down, silent, rate limited or cut, and not one second of waiting.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test support")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use turnpike::attempt::{Context, Next, Outcome, decide, judge};
use turnpike::balance::{BreakerState, HealthRegistry, Nanos, RetryBudget, Settings, mix};
use turnpike::catalog::{Catalog, Endpoint, Model, Origin, Provider};
use turnpike::dialect::{Dialect, FaultClass};
use turnpike::route::{Admitted, Features, Plan, RoutingTable, plan};
use turnpike::vocab::{EndpointId, ModelId, ProviderId};

/// How an endpoint behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    /// First token after so many milliseconds, complete 300 ms later.
    Good(u64),
    Refuses,
    Hangs,
    /// Rate limits, with `Retry-After` in seconds.
    Limits(Option<u64>),
    Unauthorized,
    /// Ends after 30 ms, before the first token.
    Cuts,
    /// Fails this percentage of requests, else as `Good(100)`.
    Flaky(u64),
}

const MODEL: &str = "meta/llama";
const ATTEMPTS_MAX: u32 = 4;

struct World {
    table: RoutingTable,
    budget: RetryBudget,
    now: Nanos,
    seed: u64,
    queue: BinaryHeap<Reverse<(Nanos, u64, usize)>>,
    events: u64,
    requests: Vec<Request>,
    tally: Tally,
}

/// A request under way; its place in the list is its number.
struct Request {
    plan: Plan,
    step: Step,
}

enum Step {
    Arrives,
    /// The first token comes, or the failure does.
    Waits(Admitted, Option<Outcome>),
    Streams(Admitted),
    Over,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Tally {
    answered: usize,
    failed: usize,
    /// Attempts by endpoint.
    attempts: Vec<usize>,
    /// The longest wait for a request's end, in milliseconds of virtual time.
    ended: Nanos,
}

impl World {
    fn new(endpoints: usize, seed: u64) -> Self {
        let catalog = Arc::new(Catalog::new(vec![model(endpoints)]));
        let registry = HealthRegistry::new(&catalog, Settings::default());
        Self {
            table: RoutingTable::new(&catalog, &registry),
            budget: RetryBudget::default(),
            now: Nanos(0),
            seed,
            queue: BinaryHeap::new(),
            events: 0,
            requests: Vec::new(),
            tally: Tally { attempts: vec![0; endpoints], ..Tally::default() },
        }
    }

    fn draw(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(1);
        mix(self.seed)
    }

    fn wake(&mut self, request: usize, ms: u64) {
        self.events += 1;
        let at = self.now.after(Duration::from_millis(ms));
        self.queue.push(Reverse((at, self.events, request)));
    }

    fn arrive(&mut self, in_ms: u64) {
        self.requests.push(Request { plan: Plan::default(), step: Step::Arrives });
        self.wake(self.requests.len() - 1, in_ms);
    }

    /// `clients` callers that ask again as soon as they are answered, `total` requests in all.
    fn closed_loop(&mut self, clients: usize, total: usize, modes: &[Mode]) -> Tally {
        let mut left = total - clients;
        (0..clients).for_each(|_| self.arrive(0));
        self.run(modes, |world| {
            if left > 0 {
                left -= 1;
                world.arrive(0);
            }
        })
    }

    /// A request every `every_ms`.
    fn open_loop(&mut self, every_ms: u64, total: u64, modes: &[Mode]) -> Tally {
        (0..total).for_each(|i| self.arrive(i * every_ms));
        self.run(modes, |_| {})
    }

    /// Runs until nothing is left to happen. Gives the tally of this run.
    fn run(&mut self, modes: &[Mode], mut done: impl FnMut(&mut Self)) -> Tally {
        while let Some(Reverse((at, _, request))) = self.queue.pop() {
            self.now = at;
            self.advance(request, modes);
            if matches!(self.requests[request].step, Step::Over) {
                self.requests[request].plan = Plan::default();
                done(self);
            }
        }
        let fresh = Tally { attempts: vec![0; modes.len()], ..Tally::default() };
        let mut tally = std::mem::replace(&mut self.tally, fresh);
        tally.ended = self.now;
        for slot in self.table.slots(MODEL).unwrap() {
            assert_eq!(slot.health.in_flight(), 0, "nothing is left in flight");
        }
        tally
    }

    /// What the edge does with a request, without the edge.
    fn advance(&mut self, request: usize, modes: &[Mode]) {
        match std::mem::replace(&mut self.requests[request].step, Step::Over) {
            Step::Arrives => {
                let features = Features { model: MODEL, prompt_tokens: 10, ..Features::default() };
                let seed = self.draw();
                self.requests[request].plan = plan(&self.table, &features, seed, self.now).unwrap();
                self.budget.deposit(self.now);
                self.attempt(request, modes);
            }
            Step::Waits(admitted, None) => {
                admitted.guard.first_token(self.now);
                self.requests[request].step = Step::Streams(admitted);
                self.wake(request, 300);
            }
            Step::Waits(admitted, Some(outcome)) => self.failed(request, admitted, outcome, modes),
            Step::Streams(admitted) => {
                admitted.guard.success(self.now);
                self.tally.answered += 1;
            }
            Step::Over => unreachable!("nothing happens after the end"),
        }
    }

    fn attempt(&mut self, request: usize, modes: &[Mode]) {
        let admitted = self.requests[request].plan.next(self.now).unwrap();
        let name = admitted.slot.endpoint.provider.id.as_str();
        let endpoint: usize = name[1..].parse().unwrap();
        self.tally.attempts[endpoint] += 1;
        let (ms, outcome) = self.behave(modes[endpoint]);
        self.requests[request].step = Step::Waits(admitted, outcome);
        self.wake(request, ms);
    }

    fn failed(&mut self, request: usize, admitted: Admitted, outcome: Outcome, modes: &[Mode]) {
        let policy = judge(&outcome);
        let seed = self.draw();
        policy.penalty.apply(admitted.guard, self.now, seed);
        let walked = &self.requests[request].plan;
        let context = Context {
            other_key: false,
            sent: false,
            resumable: false,
            resumes: false,
            candidates_left: walked.has_next() && walked.tried() < ATTEMPTS_MAX,
            same_retried: false,
        };
        match decide(&policy, &context, || self.budget.withdraw(self.now)) {
            Next::AnotherEndpoint => self.attempt(request, modes),
            Next::SameEndpointOnce | Next::SameEndpointOtherKey => {
                unreachable!("no pooled connections and no pools of keys here")
            }
            Next::GiveUp => self.tally.failed += 1,
        }
    }

    fn behave(&mut self, mode: Mode) -> (u64, Option<Outcome>) {
        let refusal = |class, status, retry_s: Option<u64>| Outcome::Status {
            class,
            status,
            retry_after: retry_s.map(Duration::from_secs),
        };
        // ± 10 %, so that nothing marches in step.
        let jitter = |ms: u64, draw: u64| ms * (90 + draw % 21) / 100;
        let draw = self.draw();
        match mode {
            Mode::Good(ms) => (jitter(ms, draw), None),
            Mode::Refuses => (1, Some(Outcome::ConnectRefused)),
            Mode::Hangs => (60_000, Some(Outcome::FirstTokenTimeout)),
            Mode::Limits(retry) => (5, Some(refusal(FaultClass::RateLimited, 429, retry))),
            Mode::Unauthorized => (5, Some(refusal(FaultClass::Authentication, 401, None))),
            Mode::Cuts => (30, Some(Outcome::EarlyEof)),
            Mode::Flaky(percent) if self.draw() % 100 < percent => (20, Some(Outcome::EarlyEof)),
            Mode::Flaky(_) => (jitter(100, draw), None),
        }
    }
}

fn model(endpoints: usize) -> Model {
    let endpoint = |i: usize| {
        let origin =
            Origin { tls: false, host: "h".to_owned(), port: 1, authority: "h:1".to_owned() };
        let provider = ProviderId::parse(&format!("p{i}")).unwrap();
        let id = EndpointId::parse(&format!("p{i}/m")).unwrap();
        let name = format!("P{i}");
        let provider = Provider { name, ..Provider::new(provider, Dialect::OpenAi, origin) };
        let model = ModelId::parse(MODEL).unwrap();
        Arc::new(Endpoint::new(id, Arc::new(provider), model, "m", 8_000))
    };
    Model {
        context_length: 8_000,
        endpoints: (0..endpoints).map(endpoint).collect(),
        ..Model::new(ModelId::parse(MODEL).unwrap())
    }
}

fn share(tally: &Tally, endpoint: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    {
        tally.attempts[endpoint] as f64 / tally.attempts.iter().sum::<usize>() as f64
    }
}

const GOOD: Mode = Mode::Good(100);

#[test]
fn no_request_fails_while_one_of_three_endpoints_is_bad() {
    let bad = [
        Mode::Refuses,
        Mode::Hangs,
        Mode::Limits(None),
        Mode::Limits(Some(2)),
        Mode::Unauthorized,
        Mode::Cuts,
        Mode::Flaky(30),
        Mode::Flaky(80),
    ];
    for mode in bad {
        for seed in 0..5 {
            let mut world = World::new(3, seed * 1_000_003);
            let tally = world.closed_loop(64, 10_000, &[GOOD, mode, GOOD]);
            assert_eq!((tally.answered, tally.failed), (10_000, 0), "{mode:?}, seed {seed}");
            let attempts: usize = tally.attempts.iter().sum();
            assert!(attempts < 10_600, "{mode:?}: {attempts} attempts");
        }
    }
}

#[test]
fn no_request_fails_while_one_of_three_endpoints_is_good() {
    for mode in [Mode::Refuses, Mode::Limits(None), Mode::Unauthorized, Mode::Cuts] {
        let mut world = World::new(3, 7);
        let tally = world.closed_loop(64, 10_000, &[mode, GOOD, mode]);
        assert_eq!((tally.answered, tally.failed), (10_000, 0), "{mode:?}: {tally:?}");
    }
}

#[test]
fn an_outage_in_the_middle_of_the_load_is_not_seen() {
    for mode in [Mode::Refuses, Mode::Hangs, Mode::Limits(None), Mode::Cuts] {
        let mut world = World::new(3, 99);
        world.closed_loop(64, 5_000, &[GOOD; 3]);
        let tally = world.closed_loop(64, 10_000, &[mode, GOOD, GOOD]);
        assert_eq!(tally.failed, 0, "{mode:?}: {tally:?}");
    }
}

#[test]
fn a_total_outage_adds_a_fifth_to_the_load() {
    for mode in [Mode::Refuses, Mode::Limits(None), Mode::Unauthorized, Mode::Cuts] {
        let mut world = World::new(3, 5);
        // A hundred requests per second for five minutes.
        let tally = world.open_loop(10, 30_000, &[mode; 3]);
        assert_eq!(tally.failed, 30_000, "{mode:?}: every failure is told");
        let attempts: usize = tally.attempts.iter().sum();
        let reserve = 100 * (300 / 10 + 1);
        assert!(attempts <= 36_000 + reserve, "{mode:?}: {attempts} attempts");

        let mut world = World::new(3, 5);
        let tally = world.open_loop(1, 200_000, &[mode; 3]);
        let attempts: usize = tally.attempts.iter().sum();
        assert!(attempts <= 242_200, "{mode:?}: {attempts} attempts under heavy load");
    }
}

#[test]
fn a_five_times_slower_endpoint_loses_its_traffic_and_regains_it() {
    for (endpoints, fair) in [(2, 0.5), (3, 1.0 / 3.0)] {
        let mut world = World::new(endpoints, 11);
        let mut modes = vec![GOOD; endpoints];
        let before = share(&world.closed_loop(64, 20_000, &modes), 0);
        assert!((before - fair).abs() < 0.05, "{endpoints} equals share: {before}");

        modes[0] = Mode::Good(500);
        world.closed_loop(64, 2_000, &modes);
        let slow = share(&world.closed_loop(64, 20_000, &modes), 0);
        assert!(slow < fair * 0.2, "{endpoints}: the slow one has {slow} of the traffic");
        assert!(slow > 0.0, "but is still looked at");

        modes[0] = GOOD;
        world.closed_loop(64, 5_000, &modes);
        let after = share(&world.closed_loop(64, 20_000, &modes), 0);
        assert!(after > fair * 0.8, "{endpoints}: recovered to {after}");
    }
}

#[test]
fn five_seconds_of_traffic_are_enough_to_notice_that_one_is_slow() {
    for endpoints in [2, 3, 5] {
        let mut world = World::new(endpoints, 31);
        let mut modes = vec![GOOD; endpoints];
        let before = share(&world.open_loop(10, 3_000, &modes), 0);
        modes[0] = Mode::Good(500);
        world.open_loop(10, 500, &modes);
        let slow = share(&world.open_loop(10, 3_000, &modes), 0);
        assert!(slow <= before * 0.2, "{endpoints}: {slow} of {before} is left");
        modes[0] = GOOD;
        world.open_loop(10, 3_000, &modes);
        let after = share(&world.open_loop(10, 3_000, &modes), 0);
        assert!(after >= before * 0.8, "{endpoints}: {after} of {before} came back");
    }
}

#[test]
fn one_provider_that_is_down_adds_less_than_a_tenth_to_the_attempts() {
    for mode in [Mode::Refuses, Mode::Limits(None), Mode::Unauthorized, Mode::Cuts] {
        for endpoints in [2, 5] {
            let mut world = World::new(endpoints, 77);
            let mut modes = vec![GOOD; endpoints];
            modes[endpoints - 1] = mode;
            // Two requests every millisecond for ten seconds.
            (0..20_000).for_each(|i| world.arrive(i / 2));
            let tally = world.run(&modes, |_| {});
            assert_eq!((tally.answered, tally.failed), (20_000, 0), "{mode:?}: {tally:?}");
            let attempts: usize = tally.attempts.iter().sum();
            assert!(attempts <= 22_000, "{mode:?} of {endpoints}: {attempts} attempts");
        }
    }
}

#[test]
fn an_endpoint_that_falls_silent_loses_its_traffic_before_the_first_timeout() {
    let mut world = World::new(3, 13);
    world.open_loop(5, 1_000, &[GOOD; 3]);
    // Two hundred requests per second for a minute, which is the timeout.
    let tally = world.open_loop(5, 12_000, &[Mode::Hangs, GOOD, GOOD]);
    assert_eq!(tally.failed, 0);
    assert!(share(&tally, 0) < 0.05, "{tally:?}");
}

#[test]
fn with_little_traffic_the_slow_one_is_avoided_too() {
    let mut world = World::new(3, 23);
    let modes = [GOOD, Mode::Good(500), GOOD];
    let tally = world.open_loop(1_000, 2_000, &modes);
    assert!(share(&tally, 1) < 0.2 / 3.0, "one request per second: {tally:?}");
}

#[test]
fn an_endpoint_that_recovers_from_an_outage_comes_back() {
    for mode in [Mode::Refuses, Mode::Hangs, Mode::Limits(None), Mode::Unauthorized] {
        let mut world = World::new(3, 41);
        world.open_loop(10, 12_000, &[mode, GOOD, GOOD]);
        let table = &world.table;
        assert!(
            mode == Mode::Limits(None)
                || mode == Mode::Unauthorized
                || table.slots(MODEL).unwrap()[0].health.breaker_state(world.now)
                    != BreakerState::Closed,
            "{mode:?} is noticed"
        );
        // Half a minute to the longest cool-down, and a minute for the latency to fade.
        world.open_loop(10, 9_000, &[GOOD; 3]);
        let tally = world.open_loop(10, 6_000, &[GOOD; 3]);
        assert!(share(&tally, 0) > 0.2, "{mode:?}: {tally:?}");
        assert_eq!(tally.failed, 0);
    }
}

#[test]
fn the_same_seed_gives_the_same_day() {
    let day = |seed| World::new(3, seed).closed_loop(64, 5_000, &[GOOD, Mode::Flaky(40), GOOD]);
    assert_eq!(day(1), day(1));
    assert_ne!(day(1).attempts, day(2).attempts, "and another seed another one");
}
