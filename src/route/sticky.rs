//! Which endpoint has a conversation's prompt in its cache.
//!
//! A provider that has read a prompt before reads it again at a fraction of the price, but only the
//! same provider. So the endpoint that answered a conversation is remembered for ten minutes, as
//! long as providers keep what they cached (OpenRouter's prompt caching page, read 2026-08), and
//! [`super::score`] weighs what that saves against what another would cost.
//!
//! The table has a fixed number of places; a conversation that falls on another's place takes it.
//! An entry is one atomic word: 20 bits of the conversation's key, 24 of the endpoint's mark, 20 of
//! the time in seconds. Two conversations whose keys agree in the place and in 20 more bits are
//! taken for one, which costs one a cache miss.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::balance::{Nanos, mix};

/// Places, as a power of two.
const PLACES_BITS: u32 = 16;
/// How long an endpoint is remembered after its last answer, in seconds.
pub const REMEMBERED_S: u64 = 600;
const TIME_BITS: u32 = 20;
const MARK_BITS: u32 = 24;

/// The endpoints of the conversations of the last ten minutes.
#[derive(Debug)]
pub struct Conversations {
    places: Box<[AtomicU64]>,
}

/// A conversation, as far as it is told from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    hash: u64,
    /// It was named by the client, not guessed from its beginning.
    pub named: bool,
}

impl Key {
    /// The key of a conversation: whose it is, with which model, and its name or beginning.
    pub fn new(account: &str, model: &str, parts: &[&[u8]], named: bool) -> Self {
        let mut hash = hash(u64::from(named), account.as_bytes());
        hash = self::hash(hash, model.as_bytes());
        for part in parts {
            hash = self::hash(hash, part);
        }
        Self { hash, named }
    }
}

/// Of longer parts, this many bytes at both ends.
const ENDS: usize = 1_024;

/// Mixes a text in, eight bytes at a time.
fn hash(seed: u64, text: &[u8]) -> u64 {
    let eight = |hash: u64, bytes: &[u8]| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        mix(hash ^ u64::from_le_bytes(word))
    };
    let start = mix(seed ^ text.len() as u64);
    if text.len() <= 2 * ENDS {
        return text.chunks(8).fold(start, eight);
    }
    let head = text[..ENDS].chunks(8).fold(start, eight);
    text[text.len() - ENDS..].chunks(8).fold(head, eight)
}

impl Default for Conversations {
    fn default() -> Self {
        Self { places: (0..1 << PLACES_BITS).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Conversations {
    /// The mark of the endpoint that answered this conversation lately.
    pub fn endpoint(&self, key: Key, now: Nanos) -> Option<u32> {
        let word = self.place(key).load(Ordering::Relaxed);
        let (tag, mark, seen) = apart(word);
        let age = seconds(now).wrapping_sub(seen) & ((1 << TIME_BITS) - 1);
        let known = word != 0 && tag == tag_of(key) && age <= REMEMBERED_S;
        known.then(|| u32::try_from(mark).unwrap_or_default())
    }

    /// Remembers that this endpoint has answered, and thereby cached, the conversation.
    pub fn remember(&self, key: Key, mark: u32, now: Nanos) {
        let mark = u64::from(mark) & ((1 << MARK_BITS) - 1);
        let word = tag_of(key) << (MARK_BITS + TIME_BITS) | mark << TIME_BITS | seconds(now);
        self.place(key).store(word, Ordering::Relaxed);
    }

    fn place(&self, key: Key) -> &AtomicU64 {
        let place = usize::try_from(key.hash & ((1 << PLACES_BITS) - 1)).unwrap_or_default();
        &self.places[place]
    }
}

const fn tag_of(key: Key) -> u64 {
    key.hash >> (MARK_BITS + TIME_BITS)
}

const fn apart(word: u64) -> (u64, u64, u64) {
    let mark = word >> TIME_BITS & ((1 << MARK_BITS) - 1);
    (word >> (MARK_BITS + TIME_BITS), mark, word & ((1 << TIME_BITS) - 1))
}

/// From 1 on, so that no entry is 0.
const fn seconds(now: Nanos) -> u64 {
    (now.millis() / 1_000 + 1) & ((1 << TIME_BITS) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Nanos {
        Nanos(seconds * 1_000_000_000)
    }

    fn key(account: &str, session: &str) -> Key {
        Key::new(account, "a/b", &[session.as_bytes()], true)
    }

    #[test]
    fn an_endpoint_is_remembered_for_ten_minutes_after_its_last_answer() {
        let table = Conversations::default();
        let mine = key("acme", "s-1");
        assert_eq!(table.endpoint(mine, at(0)), None);
        table.remember(mine, 0xab_cdef, at(0));
        assert_eq!(table.endpoint(mine, at(600)), Some(0xab_cdef));
        assert_eq!(table.endpoint(mine, at(601)), None, "idle for too long");
        table.remember(mine, 7, at(500));
        assert_eq!(table.endpoint(mine, at(1_100)), Some(7), "the last one counts");
        for other in [key("acme", "s-2"), key("other", "s-1")] {
            assert_eq!(table.endpoint(other, at(1_000)), None);
        }
        let guessed = Key::new("acme", "a/b", &[b"s-1"], false);
        assert_ne!(guessed, mine, "a name is no beginning");
    }

    #[test]
    fn every_byte_of_short_parts_and_both_ends_of_long_ones_count() {
        let of = |text: &[u8]| Key::new("a", "m", &[text], false);
        assert_ne!(of(b"abcdefgh1"), of(b"abcdefgh2"));
        assert_ne!(of(b"a"), of(b"a\0"));
        let mut long = vec![b'x'; 5_000];
        let first = of(&long);
        long[4_999] = b'y';
        assert_ne!(of(&long), first);
        let two = Key::new("a", "m", &[b"x", b"y"], false);
        assert_ne!(two, Key::new("a", "m", &[b"xy"], false));
    }
}
