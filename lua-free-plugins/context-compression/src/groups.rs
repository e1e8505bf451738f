//! Turns that stay or go together.

use std::collections::HashMap;
use std::ops::Range;

use turnpike_plugin_api::{Role, Turn};

use crate::is_live;

/// Turns in a row that stay or go together: an exchange, from what the user says to before what the
/// user says next, or an instruction. A tool call and its results are never in different groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Which turns; none of another group among them.
    pub(crate) turns: Range<usize>,
    /// They must stay.
    pub(crate) fixed: bool,
    /// Their tokens, estimated.
    pub(crate) tokens: u64,
    /// How many of them are messages: instructions are none.
    pub(crate) messages: usize,
}

/// The turns in groups, in order. The last group with a user's turn and all after it are fixed.
pub(crate) fn of(turns: &[Turn]) -> Vec<Group> {
    let joined = joined(turns);
    let mut groups: Vec<Group> = Vec::new();
    let mut start = 0;
    for at in 1..=turns.len() {
        if at == turns.len() || !joined[at] && parts(&turns[at - 1], &turns[at]) {
            groups.push(group(turns, start..at));
            start = at;
        }
    }
    let last = last(turns);
    for group in groups.iter_mut().filter(|group| group.turns.end > last) {
        group.fixed = true;
    }
    groups
}

/// Where the end of the conversation begins, which stays: what the user said last.
pub(crate) fn last(turns: &[Turn]) -> usize {
    let of = |wanted: fn(&Turn) -> bool| turns.iter().rposition(|t| is_live(t) && wanted(t));
    let user = of(|turn| turn.role == Role::User);
    user.or_else(|| of(|turn| turn.role != Role::System)).unwrap_or(turns.len())
}

/// Whether a new group begins between two turns that nothing joins.
fn parts(before: &Turn, after: &Turn) -> bool {
    after.role == Role::User || after.role == Role::System || before.role == Role::System
}

/// For each turn: whether it belongs with the one before it, as a result with its call.
fn joined(turns: &[Turn]) -> Vec<bool> {
    let mut calls: HashMap<&str, usize> = HashMap::new();
    // How many joints begin and end at a turn.
    let mut steps = vec![0_isize; turns.len() + 1];
    for (at, turn) in turns.iter().enumerate() {
        for id in &turn.results {
            if let Some(call) = calls.get(id.as_str()) {
                steps[call + 1] += 1;
                steps[at + 1] -= 1;
            }
        }
        for id in &turn.calls {
            calls.insert(id, at);
        }
    }
    let mut open = 0;
    let joined = steps.iter().zip(0_usize..).map(|(step, at)| {
        open += step;
        // What cannot be taken out and is no instruction is reasoning, which belongs to what
        // follows it.
        let bound = at.checked_sub(1).and_then(|before| turns.get(before));
        open > 0 || bound.is_some_and(|turn| !turn.removable && turn.role != Role::System)
    });
    joined.collect()
}

fn group(turns: &[Turn], range: Range<usize>) -> Group {
    let live = || turns[range.clone()].iter().filter(|turn| is_live(turn));
    Group {
        fixed: live().any(|turn| !turn.removable || turn.role == Role::System),
        tokens: live().map(|turn| turn.tokens).sum(),
        messages: live().filter(|turn| turn.role != Role::System).count(),
        turns: range,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(role: Role, calls: &[&str], results: &[&str]) -> Turn {
        let mut turn = Turn::new(role);
        turn.calls = calls.iter().map(|id| (*id).to_owned()).collect();
        turn.results = results.iter().map(|id| (*id).to_owned()).collect();
        turn
    }

    fn ranges(turns: &[Turn]) -> Vec<(Range<usize>, bool)> {
        of(turns).into_iter().map(|group| (group.turns, group.fixed)).collect()
    }

    #[test]
    fn exchanges_begin_with_the_user() {
        use Role::{Assistant, System, User};
        let roles = [System, System, User, Assistant, User, Assistant, Assistant, User, Assistant];
        let turns: Vec<Turn> = roles.into_iter().map(Turn::new).collect();
        let want = [(0..1, true), (1..2, true), (2..4, false), (4..7, false), (7..9, true)];
        assert_eq!(ranges(&turns), want);
        assert_eq!(ranges(&[]), []);
    }

    #[test]
    fn a_call_and_its_results_are_one() {
        let turns = [
            turn(Role::User, &[], &[]),
            turn(Role::Assistant, &["a", "b"], &[]),
            turn(Role::Tool, &[], &["a"]),
            turn(Role::User, &[], &[]),
            turn(Role::Tool, &[], &["b"]),
            turn(Role::User, &[], &[]),
            // The same id once more: its own pair.
            turn(Role::Assistant, &["a"], &[]),
            turn(Role::Tool, &[], &["a"]),
            turn(Role::User, &[], &[]),
        ];
        assert_eq!(ranges(&turns), [(0..5, false), (5..8, false), (8..9, true)]);
    }

    #[test]
    fn reasoning_holds_what_follows_it() {
        let mut turns: Vec<Turn> =
            [Role::User, Role::Assistant, Role::Assistant, Role::User].map(Turn::new).into();
        turns[1].removable = false;
        assert_eq!(ranges(&turns), [(0..3, true), (3..4, true)]);
        turns.insert(2, Turn::new(Role::User));
        assert_eq!(ranges(&turns), [(0..4, true), (4..5, true)], "whatever it is");
    }
}
