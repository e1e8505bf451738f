//! Ids of tool calls that Bedrock accepts: 1 to 64 letters, digits, `_`, `.`, `:` and `-` (service
//! model, 2026-11), and each used once.
//!
//! Ids come from whichever provider made the call, so they may be longer, hold other characters, or
//! be `call_0` in every turn. What does not fit is spelled `tp<n>_…`, where `n` counts the uses of
//! the id and every byte outside letters, digits and `-` is `_` and two hexadecimal digits; if that
//! is too long, its end gives way to a hash of the whole. The spelling depends only on the
//! conversation, so a prompt cache is not missed.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;

/// The longest id.
const MAX: usize = 64;
/// How much of a hash stands for the rest of an id: 128 bits.
const HASH: usize = 32;

/// The ids of one request.
#[derive(Default)]
pub(super) struct Ids<'r> {
    uses: HashMap<&'r str, u32>,
    /// The calls of the latest turn: the client's id → ours.
    turn: HashMap<&'r str, Cow<'r, str>>,
}

impl<'r> Ids<'r> {
    /// Forgets the calls of the turn before: results always belong to the latest turn.
    pub(super) fn begin_turn(&mut self) {
        self.turn.clear();
    }

    /// The id of a new call.
    pub(super) fn call(&mut self, id: &'r str) -> Cow<'r, str> {
        let uses = self.uses.entry(id).or_insert(0);
        *uses += 1;
        let ours = spell(id, *uses);
        self.turn.insert(id, ours.clone());
        ours
    }

    /// The id of the call that a result belongs to.
    pub(super) fn result(&self, id: &'r str) -> Cow<'r, str> {
        self.turn.get(id).cloned().unwrap_or_else(|| spell(id, 1))
    }
}

fn spell(id: &str, uses: u32) -> Cow<'_, str> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-');
    if uses == 1 && (1..=MAX).contains(&id.len()) && id.bytes().all(fits) && !is_spelled(id) {
        return Cow::Borrowed(id);
    }
    let mut out = format!("tp{uses}_");
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _infallible = write!(out, "_{byte:02x}");
        }
    }
    if out.len() > MAX {
        let hash = blake3::hash(out.as_bytes()).to_hex();
        out.truncate(MAX - HASH - 1);
        out.push('.');
        out.push_str(&hash[..HASH]);
    }
    Cow::Owned(out)
}

/// Whether an id could be taken for one of our spellings.
fn is_spelled(id: &str) -> bool {
    id.strip_prefix("tp")
        .map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()))
        .is_some_and(|rest| rest.starts_with('_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn spellings_fit_and_differ(
            ids in prop::collection::hash_set(
                prop_oneof!["[ -~é]{1,90}", "tp[0-9]{0,2}_[a-z0-9_]{0,6}", "call_.{70}[ab]"],
                2..6,
            ),
        ) {
            let fits = |b: u8| b.is_ascii_alphanumeric() || b"_.:-".contains(&b);
            let mut seen = std::collections::HashSet::new();
            for id in &ids {
                for uses in 1..3 {
                    let ours = spell(id, uses).into_owned();
                    prop_assert!((1..=MAX).contains(&ours.len()) && ours.bytes().all(fits), "{ours}");
                    prop_assert_eq!(&ours, &spell(id, uses), "the same every time");
                    prop_assert!(seen.insert(ours), "{} {}", id, uses);
                }
            }
        }
    }

    #[test]
    fn what_fits_stays_and_an_id_used_in_two_turns_is_two_ids() {
        let mut ids = Ids::default();
        assert_eq!(ids.call("functions.x:0"), "functions.x:0");
        assert_eq!(ids.result("functions.x:0"), "functions.x:0");
        ids.begin_turn();
        assert_eq!(ids.call("functions.x:0"), "tp2_functions_2ex_3a0");
        assert_eq!(ids.result("functions.x:0"), "tp2_functions_2ex_3a0");
        assert_eq!(spell("", 1), "tp1_");
    }
}
