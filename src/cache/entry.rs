//! A stored answer, and how it is gathered.
//!
//! The body of an answer is one allocation of exactly its size, with the boundaries of its chunks
//! beside it. Slices of the buffers that were read from the network would pin those buffers: a
//! token of 80 bytes would hold 64 KiB for the entry's lifetime. A hit copies nothing: every
//! [`Bytes`] that is handed out refers to the entry's allocation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::vocab::GenerationId;

/// What is kept with a body: opaque to the store.
pub type Meta = (Vec<u8>, Vec<u8>);

/// A whole answer.
#[derive(Debug)]
pub struct Entry {
    meta: Meta,
    body: Bytes,
    /// Where each chunk ends in `body`; the last is the body's length.
    ends: Box<[u32]>,
    stored_ms: u64,
    expires_ms: u64,
    source: GenerationId,
}

impl Entry {
    /// What [`Fill::finish`] was given.
    pub const fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The whole body; a reference, no copy.
    pub fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// How many chunks the body came in.
    pub const fn chunks(&self) -> usize {
        self.ends.len()
    }

    /// The chunk of this number, from 0; a reference, no copy.
    pub fn chunk(&self, index: usize) -> Option<Bytes> {
        let end = *self.ends.get(index)? as usize;
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)? as usize,
            None => 0,
        };
        Some(self.body.slice(start..end))
    }

    /// When it was stored, in milliseconds since 1970.
    pub const fn stored_ms(&self) -> u64 {
        self.stored_ms
    }

    /// From when on it is not served, in milliseconds since 1970.
    pub const fn expires_ms(&self) -> u64 {
        self.expires_ms
    }

    /// The generation that was paid for.
    pub const fn source(&self) -> GenerationId {
        self.source
    }

    /// Whole seconds since it was stored; 0 if the clock went back.
    pub const fn age_secs(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.stored_ms) / 1_000
    }

    /// Seconds that it stays, rounded up, so that a live entry never shows 0.
    pub const fn remaining_secs(&self, now_ms: u64) -> u64 {
        self.expires_ms.saturating_sub(now_ms).div_ceil(1_000)
    }

    /// Whether it must not be served any more.
    pub const fn is_expired(&self, now_ms: u64) -> bool {
        now_ms >= self.expires_ms
    }

    /// What it weighs against the store's limit, in bytes: its data and a flat share for the
    /// bookkeeping.
    pub fn weight(&self) -> u64 {
        let data = self.meta.0.capacity() + self.meta.1.capacity() + self.body.len();
        (data + size_of_val(&*self.ends) + OVERHEAD) as u64
    }
}

/// Bookkeeping of one entry in bytes: the entry, its counters, its place in the list and the map
/// (which is at most half empty), and allocator headers; rounded up.
pub(super) const OVERHEAD: usize = 384;

/// The bytes that unfinished answers may hold together.
#[derive(Debug)]
pub(super) struct FillBudget {
    used: AtomicU64,
    max: u64,
}

impl FillBudget {
    pub(super) const fn new(max: u64) -> Self {
        Self { used: AtomicU64::new(0), max }
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> bool {
        // Nothing else hangs on the counter, so no ordering is needed.
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.max {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        true
    }

    fn give(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// An answer that is being gathered. Nobody sees it before it is finished and stored; dropped, it
/// leaves nothing behind.
#[derive(Debug)]
pub struct Fill {
    body: Vec<u8>,
    ends: Vec<u32>,
    /// The most that body and chunk ends may take.
    max: u64,
    taken: u64,
    over: bool,
    budget: Arc<FillBudget>,
}

impl Fill {
    pub(super) const fn new(max: u64, budget: Arc<FillBudget>) -> Self {
        Self { body: Vec::new(), ends: Vec::new(), max, taken: 0, over: false, budget }
    }

    /// Adds a copy of a chunk; an empty one is not a chunk. Returns `false` from when on the
    /// answer is too large to be stored: what was gathered is freed, later chunks are ignored,
    /// and [`Self::finish`] gives nothing.
    pub fn push(&mut self, chunk: &[u8]) -> bool {
        if self.over || chunk.is_empty() {
            return !self.over;
        }
        let more = (chunk.len() + size_of::<u32>()) as u64;
        let end = u32::try_from(self.body.len() + chunk.len());
        match end {
            Ok(end) if self.taken + more <= self.max && self.budget.take(more) => {
                self.taken += more;
                self.body.extend_from_slice(chunk);
                self.ends.push(end);
                true
            }
            _ => {
                self.give_up();
                false
            }
        }
    }

    /// The bytes gathered so far.
    pub const fn len(&self) -> usize {
        self.body.len()
    }

    /// Nothing was gathered.
    pub const fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    /// The whole answer, to be put into the store. Nothing if it was too large or is empty: an
    /// empty answer is never worth repeating. `stored_ms` is milliseconds since 1970.
    pub fn finish(
        mut self,
        mut meta: Meta,
        stored_ms: u64,
        ttl_secs: u32,
        source: GenerationId,
    ) -> Option<Entry> {
        if self.over || self.body.is_empty() {
            return None;
        }
        meta.0.shrink_to_fit();
        meta.1.shrink_to_fit();
        Some(Entry {
            meta,
            body: Bytes::from(std::mem::take(&mut self.body).into_boxed_slice()),
            ends: std::mem::take(&mut self.ends).into_boxed_slice(),
            stored_ms,
            expires_ms: stored_ms.saturating_add(u64::from(ttl_secs) * 1_000),
            source,
        })
    }

    fn give_up(&mut self) {
        self.over = true;
        self.body = Vec::new();
        self.ends = Vec::new();
        self.budget.give(std::mem::take(&mut self.taken));
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        self.budget.give(self.taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(max: u64, budget: u64) -> (Fill, Arc<FillBudget>) {
        let budget = Arc::new(FillBudget::new(budget));
        (Fill::new(max, Arc::clone(&budget)), budget)
    }

    fn done(fill: Fill) -> Option<Entry> {
        fill.finish((b"head".to_vec(), Vec::new()), 10_000, 5, GenerationId::from_bits(7))
    }

    #[test]
    fn chunks_keep_their_boundaries_in_one_allocation() {
        let (mut fill, budget) = fill(1_000, 1_000);
        for chunk in ["data: a\n\n", "", "data: b\n\n", "data: [DONE]\n\n"] {
            assert!(fill.push(chunk.as_bytes()), "{chunk:?} fits");
        }
        assert!(budget.used() > 0, "the fill counts");
        let entry = done(fill).expect("an entry");
        assert_eq!(budget.used(), 0, "finishing gives the budget back");
        assert_eq!(entry.chunks(), 3, "the empty chunk is none");
        assert_eq!(entry.chunk(1).as_deref(), Some(&b"data: b\n\n"[..]));
        assert_eq!(entry.chunk(3), None);
        let all: Vec<u8> = (0..3).flat_map(|i| entry.chunk(i).expect("a chunk")).collect();
        assert_eq!(entry.body(), all);
        let (body, chunk) = (entry.body(), entry.chunk(0).expect("a chunk"));
        assert_eq!(body.as_ptr(), chunk.as_ptr(), "a hit copies nothing");
    }

    #[test]
    fn too_large_is_nothing_and_frees_what_it_held() {
        let (mut large, budget) = fill(20, 1_000);
        assert!(large.push(&[0; 16]), "16 bytes and an end of 4 fit exactly");
        assert!(!large.push(&[0; 1]), "one more does not");
        assert_eq!((budget.used(), large.len()), (0, 0), "freed at once");
        assert!(!large.push(&[0; 1]), "nothing fits after that");
        assert!(done(large).is_none());
        assert_eq!(budget.used(), 0, "given back once, not twice");
    }

    #[test]
    fn fills_share_a_budget() {
        let budget = Arc::new(FillBudget::new(30));
        let mut one = Fill::new(1_000, Arc::clone(&budget));
        let mut two = Fill::new(1_000, Arc::clone(&budget));
        assert!(one.push(&[0; 20]), "fits");
        assert!(!two.push(&[0; 20]), "the other has the rest");
        drop(one);
        assert_eq!(budget.used(), 0, "dropping gives it back");
        assert!(done(two).is_none());
    }

    #[test]
    fn empty_answers_are_not_stored() {
        assert!(done(fill(10, 10).0).is_none());
    }

    #[test]
    fn age_and_rest_are_whole_seconds() {
        let (mut fill, _budget) = fill(100, 100);
        assert!(fill.push(b"x"), "fits");
        let entry = done(fill).expect("an entry");
        for (now, age, rest, expired) in [
            (9_000, 0, 6, false),
            (10_000, 0, 5, false),
            (10_001, 0, 5, false),
            (11_000, 1, 4, false),
            (14_999, 4, 1, false),
            (15_000, 5, 0, true),
            (u64::MAX, (u64::MAX - 10_000) / 1_000, 0, true),
        ] {
            assert_eq!(entry.age_secs(now), age, "age at {now}");
            assert_eq!(entry.remaining_secs(now), rest, "rest at {now}");
            assert_eq!(entry.is_expired(now), expired, "expired at {now}");
        }
    }
}
