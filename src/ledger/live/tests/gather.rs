//! How long a group gathers.

use super::*;
use crate::ledger::entry::Cause;
use crate::ledger::live::pace::Pause;
use crate::ledger::live::queue::{End, Op, Shared};
use crate::ledger::store::progress::Progress;

fn hold(key: &Arc<KeyEntry>, n: u64) -> Op {
    Op::Hold { key: Arc::clone(key), generation: id(n), granted: NanoUsd(1), placed_ms: 5 }
}

fn end(key: &Arc<KeyEntry>, n: u64, ticket: u64) -> Op {
    let Charge { record, .. } = charge(key, n, 1);
    let key = Arc::clone(key);
    let cause = Cause::Asked;
    Op::End(Box::new(End { key, ticket, slot: None, cause, placed_ms: 5, charged: true, record }))
}

/// Takes a group that has an hour to gather.
fn take(shared: &Shared) -> usize {
    let hour = Duration::from_hours(1);
    let mut ops = Vec::new();
    shared.take(hour, || Pause { most: hour, ..Pause::default() }, &mut ops).unwrap();
    ops.len()
}

#[test]
fn a_group_gathers_while_somebody_could_join_it() {
    let dir = tempfile::tempdir().unwrap();
    let (_ledger, key) = with_credit(dir.path(), options(), 1_000);
    let progress = Progress::create(&dir.path().join("notes"), 8).unwrap();
    let shared = Shared::new(64, progress, Arc::new(|_| ()));
    let first = shared.push(hold(&key, 1)).unwrap();
    assert_eq!(take(&shared), 1, "nobody else is at work");
    // The first request goes on: what it does next may join the second's group.
    shared.push(hold(&key, 2)).unwrap();
    thread::scope(|scope| {
        let group = scope.spawn(|| take(&shared));
        shared.push(end(&key, 1, first)).unwrap();
        assert_eq!(group.join().unwrap(), 2, "and now nobody is left");
    });
}
