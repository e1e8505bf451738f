//! Ids of tool calls that Anthropic accepts: `^[a-zA-Z0-9_-]+$`, and each used once.
//!
//! Ids come from whichever provider made the call, so they may look like `functions.x:0`, or be
//! `call_0` in every turn. What does not fit is spelled `tp<n>_…`, where `n` counts the uses of the
//! id and every byte outside letters, digits and `-` is `_` and two hexadecimal digits. The spelling
//! depends only on the conversation, so a prompt cache is not missed, and can be undone.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;

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
    let fits = id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if fits && uses == 1 && !id.is_empty() && !is_spelled(id) {
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

    /// Undoes [`spell`].
    fn read(id: &str) -> (String, u32) {
        if !is_spelled(id) {
            return (id.to_owned(), 1);
        }
        let (uses, mut rest) = id[2..].split_once('_').unwrap();
        let mut bytes = Vec::new();
        while let Some(byte) = rest.bytes().next() {
            if byte == b'_' {
                bytes.push(u8::from_str_radix(&rest[1..3], 16).unwrap());
                rest = &rest[3..];
            } else {
                bytes.push(byte);
                rest = &rest[1..];
            }
        }
        (String::from_utf8(bytes).unwrap(), uses.parse().unwrap())
    }

    proptest! {
        #[test]
        fn spelling_fits_and_can_be_undone(
            id in prop_oneof!["[ -~é]{1,20}", "tp[0-9]{0,2}_[a-z0-9_]{0,6}"],
            uses in 1_u32..4,
        ) {
            let ours = spell(&id, uses);
            let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
            prop_assert!(!ours.is_empty() && ours.bytes().all(fits));
            prop_assert_eq!(read(&ours), (id, uses));
        }
    }

    #[test]
    fn an_id_used_in_two_turns_is_two_ids() {
        let mut ids = Ids::default();
        assert_eq!(ids.call("call_0"), "call_0");
        assert_eq!(ids.result("call_0"), "call_0");
        ids.begin_turn();
        assert_eq!(ids.call("call_0"), "tp2_call_5f0");
        assert_eq!(ids.result("call_0"), "tp2_call_5f0");
    }
}
