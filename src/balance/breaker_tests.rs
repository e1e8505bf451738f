//! The life of a breaker, and many threads at once.

use std::sync::atomic::{AtomicU32, AtomicU64 as Counter};

use proptest::prelude::*;

use super::*;

const SET: Settings = Settings {
    failures_in_a_row: 5,
    failure_rate: 0.5,
    failure_rate_min: 20,
    window: Duration::from_secs(10),
    cool_down_min: Duration::from_secs(1),
    cool_down_max: Duration::from_secs(30),
};

fn at(ms: u64) -> Nanos {
    Nanos(ms * 1_000_000)
}

fn fail_times(breaker: &Breaker, times: u32, now: Nanos) {
    for seed in 0..times {
        let ticket = breaker.enter(now).unwrap_or_else(|| breaker.enter_anyway());
        breaker.failure(ticket, &SET, now, u64::from(seed));
    }
}

/// Fails the trial as soon as there is one; gives the length of the cool-down before it.
fn fail_next_trial(breaker: &Breaker, now: &mut u64) -> u64 {
    let begun = *now;
    let ticket = loop {
        if let Some(ticket) = breaker.enter(at(*now)) {
            break ticket;
        }
        *now += 1;
    };
    assert!(breaker.failure(ticket, &SET, at(*now), *now), "a failed trial opens again");
    *now - begun
}

#[test]
fn five_failures_open_it_and_a_trial_closes_it() {
    let breaker = Breaker::default();
    fail_times(&breaker, 4, at(0));
    assert_eq!(breaker.state(at(0)), BreakerState::Closed, "four are not enough");
    fail_times(&breaker, 1, at(0));
    assert_eq!(breaker.state(at(0)), BreakerState::Open);
    assert_eq!(breaker.enter(at(799)), None, "the cool-down is at least 0.8 s");
    assert_eq!(breaker.state(at(1_200)), BreakerState::HalfOpen, "and at most 1.2 s");
    let trial = breaker.enter(at(1_200)).expect("the trial");
    assert_eq!(breaker.enter(at(1_200)), None, "one trial at a time");
    assert_eq!(breaker.gate(at(99_000)), Gate::TrialTaken);
    breaker.success(trial, &SET, at(1_300));
    assert_eq!(breaker.state(at(1_300)), BreakerState::Closed);
    fail_times(&breaker, 4, at(1_300));
    assert_eq!(breaker.state(at(1_300)), BreakerState::Closed, "the count began anew");
}

#[test]
fn a_success_between_failures_begins_the_count_anew() {
    let breaker = Breaker::default();
    for _ in 0..4 {
        fail_times(&breaker, 4, at(0));
        let ticket = breaker.enter(at(0)).expect("closed");
        breaker.success(ticket, &SET, at(0));
    }
    assert_eq!(breaker.state(at(0)), BreakerState::Closed, "16 of 20, but the 20th was good");
    fail_times(&breaker, 1, at(0));
    assert_eq!(breaker.state(at(0)), BreakerState::Open, "the rate opens it at the next failure");
}

#[test]
fn the_rate_needs_enough_outcomes_and_forgets() {
    let breaker = Breaker::default();
    for i in 0..100_u64 {
        let now = at(i * 1_100);
        let ticket = breaker.enter(now).expect("closed");
        if i % 2 == 0 {
            breaker.failure(ticket, &SET, now, i);
        } else {
            breaker.success(ticket, &SET, now);
        }
        assert_eq!(breaker.state(now), BreakerState::Closed, "too few in any window");
    }
}

#[test]
fn cool_downs_double_up_to_the_limit() {
    let breaker = Breaker::default();
    fail_times(&breaker, 5, at(0));
    let mut now = 0;
    for expected in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
        let waited = fail_next_trial(&breaker, &mut now);
        let allowed = expected * 8 / 10 - 1..=(expected * 12 / 10 + 1).min(30_001);
        assert!(allowed.contains(&waited), "{waited} ms, expected about {expected}");
    }
}

#[test]
fn a_first_token_closes_on_probation_only() {
    let breaker = Breaker::default();
    fail_times(&breaker, 5, at(0));
    let trial = breaker.enter(at(2_000)).expect("the trial");
    breaker.alive(trial, &SET);
    assert_eq!(breaker.state(at(2_000)), BreakerState::Closed);
    assert!(breaker.failure(trial, &SET, at(2_100), 1), "cut in the middle: open at once");
    assert_eq!(breaker.enter(at(2_100 + 1_500)), None, "and for twice as long");
}

#[test]
fn outcomes_of_an_earlier_epoch_do_not_count() {
    let breaker = Breaker::default();
    let old: Vec<Ticket> = (0..20).filter_map(|_| breaker.enter(at(0))).collect();
    fail_times(&breaker, 5, at(0));
    breaker.success(old[0], &SET, at(1));
    breaker.alive(old[1], &SET);
    assert_eq!(breaker.state(at(1)), BreakerState::Open, "an old success does not end the outage");
    let trial = breaker.enter(at(2_000)).expect("the trial");
    breaker.success(trial, &SET, at(2_000));
    for &late in &old {
        assert!(!breaker.failure(late, &SET, at(3_000), 3), "a late failure does not count");
    }
    assert_eq!(breaker.state(at(3_000)), BreakerState::Closed);
}

#[test]
fn a_trial_without_a_verdict_is_free_again() {
    let breaker = Breaker::default();
    fail_times(&breaker, 5, at(0));
    let trial = breaker.enter(at(2_000)).expect("the trial");
    breaker.release(trial);
    let second = breaker.enter(at(2_000)).expect("free again");
    assert_eq!(breaker.gate(at(2_000)), Gate::TrialTaken);
    breaker.release(second);
    assert!(breaker.enter(at(2_000)).is_some());
}

#[test]
fn the_last_resort_can_close_but_not_prolong() {
    let breaker = Breaker::default();
    fail_times(&breaker, 5, at(0));
    let before = breaker.gate(at(0));
    fail_times(&breaker, 50, at(500));
    assert_eq!(breaker.gate(at(0)), before, "failures while open change nothing");
    let ticket = breaker.enter_anyway();
    breaker.success(ticket, &SET, at(500));
    assert_eq!(breaker.state(at(500)), BreakerState::Closed);
}

#[test]
fn one_thread_opens_and_one_thread_gets_the_trial() {
    for round in 0..200_u64 {
        let breaker = Breaker::default();
        let (opened, trials) = (AtomicU32::new(0), AtomicU32::new(0));
        let tickets: Vec<Ticket> = (0..8).filter_map(|_| breaker.enter(at(0))).collect();
        std::thread::scope(|scope| {
            for ticket in &tickets {
                let (breaker, opened, trials) = (&breaker, &opened, &trials);
                scope.spawn(move || {
                    if breaker.failure(*ticket, &SET, at(round), round) {
                        opened.fetch_add(1, Ordering::Relaxed);
                    }
                });
                scope.spawn(move || {
                    // Long after the cool-down: everybody wants to be the trial.
                    while breaker.gate(at(60_000)) == Gate::Closed {
                        std::hint::spin_loop();
                    }
                    if breaker.enter(at(60_000)).is_some() {
                        trials.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(opened.load(Ordering::Relaxed), 1, "round {round}: opened once");
        assert_eq!(trials.load(Ordering::Relaxed), 1, "round {round}: one trial");
    }
}

#[test]
fn trials_never_overlap_under_hammering() {
    let breaker = Breaker::default();
    fail_times(&breaker, 5, at(0));
    let (inside, clock, trials) = (AtomicU32::new(0), Counter::new(2_000), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let (breaker, inside, clock, trials) = (&breaker, &inside, &clock, &trials);
            scope.spawn(move || {
                for round in 0..3_000_u64 {
                    let now = at(clock.fetch_add(40, Ordering::Relaxed));
                    let Some(ticket) = breaker.enter(now) else { continue };
                    assert!(ticket.trial, "never closed in this test");
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "alone inside");
                    trials.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                    if (round + thread) % 3 == 0 {
                        breaker.release(ticket);
                    } else {
                        assert!(breaker.failure(ticket, &SET, now, round), "mine to open");
                    }
                }
            });
        }
    });
    assert!(trials.load(Ordering::Relaxed) > 20, "the test did something");
    assert_ne!(breaker.gate(at(u64::from(u32::MAX))), Gate::TrialTaken, "no trial was lost");
}

proptest! {
    #[test]
    fn words_round_trip(until in 0..=UNTIL_MAX, trial: bool, epoch: u8, twice in 0..32_u8, row: u8, s in 0..3_usize) {
        let state = [BreakerState::Closed, BreakerState::HalfOpen, BreakerState::Open][s];
        let word = Word { state, until_ms: until, trial, epoch, doublings: twice, in_a_row: row };
        prop_assert_eq!(Word::of(word.word()), word);
    }

    #[test]
    fn any_history_recovers(steps in proptest::collection::vec((0..5_u8, 0..5_000_u64), 0..200)) {
        let breaker = Breaker::default();
        let mut now = 0;
        for (what, wait) in steps {
            now += wait;
            let ticket = breaker.enter(at(now)).unwrap_or_else(|| breaker.enter_anyway());
            match what {
                0 => breaker.release(ticket),
                1 => { breaker.alive(ticket, &SET); breaker.release(ticket); }
                2 => breaker.success(ticket, &SET, at(now)),
                _ => { breaker.failure(ticket, &SET, at(now), now); }
            }
        }
        let ticket = breaker.enter(at(now + 30_001)).expect("never out for longer than the limit");
        breaker.success(ticket, &SET, at(now + 30_001));
        prop_assert_eq!(breaker.state(at(now + 30_001)), BreakerState::Closed);
    }
}
