//! Ids of tool calls that a provider accepts, and each used once.
//!
//! Ids come from whichever provider made the call, so they may look like `functions.x:0`, be longer
//! than this provider takes, or be `call_0` in every turn. What does not fit is spelled `tp<n>_…`,
//! where `n` counts the uses of the id and every byte outside letters, digits and `-` is `_` and two
//! hexadecimal digits; if that is too long, its end gives way to a hash of the whole. The spelling
//! depends only on the conversation, so a prompt cache is not missed.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;

/// How much of a hash stands for the rest of an id: 128 bits.
const HASH: usize = 32;

/// What a provider takes as an id, besides letters and digits.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Other characters; `_` and `-` are among them, and `.` where there is a limit.
    pub(crate) punctuation: &'static [u8],
    /// The longest id, in bytes; 0: any length.
    pub(crate) max: usize,
}

/// The ids of one request.
pub(crate) struct Ids<'r> {
    rule: &'static Rule,
    uses: HashMap<&'r str, u32>,
    /// The calls of the latest turn: the client's id → ours.
    turn: HashMap<&'r str, Cow<'r, str>>,
}

impl<'r> Ids<'r> {
    /// At the beginning of a request.
    pub(crate) fn of(rule: &'static Rule) -> Self {
        Self { rule, uses: HashMap::new(), turn: HashMap::new() }
    }

    /// Forgets the calls of the turn before: results always belong to the latest turn.
    pub(crate) fn begin_turn(&mut self) {
        self.turn.clear();
    }

    /// The id of a new call.
    pub(crate) fn call(&mut self, id: &'r str) -> Cow<'r, str> {
        let uses = self.uses.entry(id).or_insert(0);
        *uses += 1;
        let ours = self.rule.spell(id, *uses);
        self.turn.insert(id, ours.clone());
        ours
    }

    /// The id of the call that a result belongs to.
    pub(crate) fn result(&self, id: &'r str) -> Cow<'r, str> {
        self.turn.get(id).cloned().unwrap_or_else(|| self.rule.spell(id, 1))
    }
}

impl Rule {
    fn spell<'r>(&self, id: &'r str, uses: u32) -> Cow<'r, str> {
        let fits = id.bytes().all(|b| b.is_ascii_alphanumeric() || self.punctuation.contains(&b));
        if fits && uses == 1 && !id.is_empty() && !self.exceeds(id) && !is_spelled(id) {
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
        if self.exceeds(&out) {
            let hash = blake3::hash(out.as_bytes()).to_hex();
            out.truncate(self.max - HASH - 1);
            out.push('.');
            out.push_str(&hash[..HASH]);
        }
        Cow::Owned(out)
    }

    const fn exceeds(&self, id: &str) -> bool {
        self.max > 0 && id.len() > self.max
    }
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

    const ANY: Rule = Rule { punctuation: b"_-", max: 0 };
    const SHORT: Rule = Rule { punctuation: b"_.:-", max: 64 };

    fn fits(rule: &Rule, id: &str) -> bool {
        let fits = |b: u8| b.is_ascii_alphanumeric() || rule.punctuation.contains(&b);
        !id.is_empty() && !rule.exceeds(id) && id.bytes().all(fits)
    }

    /// Undoes the spelling of [`ANY`].
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
        fn a_spelling_of_any_length_fits_and_can_be_undone(
            id in prop_oneof!["[ -~é]{1,20}", "tp[0-9]{0,2}_[a-z0-9_]{0,6}"],
            uses in 1_u32..4,
        ) {
            let ours = ANY.spell(&id, uses);
            prop_assert!(fits(&ANY, &ours), "{}", ours);
            prop_assert_eq!(read(&ours), (id, uses));
        }

        #[test]
        fn short_spellings_fit_and_differ(
            ids in prop::collection::hash_set(
                prop_oneof!["[ -~é]{1,90}", "tp[0-9]{0,2}_[a-z0-9_]{0,6}", "call_.{70}[ab]"],
                2..6,
            ),
        ) {
            let mut seen = std::collections::HashSet::new();
            for id in &ids {
                for uses in 1..3 {
                    let ours = SHORT.spell(id, uses).into_owned();
                    prop_assert!(fits(&SHORT, &ours), "{}", ours);
                    prop_assert_eq!(&ours, &SHORT.spell(id, uses), "the same every time");
                    prop_assert!(seen.insert(ours), "{} {}", id, uses);
                }
            }
        }
    }

    #[test]
    fn what_fits_stays_and_an_id_used_in_two_turns_is_two_ids() {
        for (rule, id, again) in
            [(&SHORT, "functions.x:0", "tp2_functions_2ex_3a0"), (&ANY, "call_0", "tp2_call_5f0")]
        {
            let mut ids = Ids::of(rule);
            assert_eq!((ids.call(id), ids.result(id)), (id.into(), id.into()));
            ids.begin_turn();
            assert_eq!((ids.call(id), ids.result(id)), (again.into(), again.into()));
            assert_eq!(rule.spell("", 1), "tp1_");
        }
    }
}
