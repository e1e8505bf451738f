//! A Bloom filter: which keys a run may have, and which it surely has not.

/// Ten bits a key and six probes: one key in a hundred that is not there seems to be.
const BITS: u64 = 10;
const PROBES: u64 = 6;

/// Over keys that are scattered by themselves, because they are hashes.
pub(crate) struct Filter(Box<[u8]>);

impl Filter {
    pub(crate) fn with_room(keys: u64) -> Self {
        let bytes = keys.saturating_mul(BITS).div_ceil(8).max(8);
        Self(vec![0; usize::try_from(bytes).unwrap_or(8)].into())
    }

    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    pub(crate) const fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The byte and the bit of each probe.
    fn probes(&self, key: &[u8]) -> impl Iterator<Item = (usize, u8)> + use<> {
        let hash = key.last_chunk::<8>().map_or(0, |tail| u64::from_le_bytes(*tail));
        let step = (hash >> 32) | 1;
        let bits = self.0.len() as u64 * 8;
        (0..PROBES).map(move |n| {
            // Multiplied rather than taken modulo: all of the hash counts.
            let mixed = hash.wrapping_add(step.wrapping_mul(n)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let bit = ((u128::from(mixed) * u128::from(bits)) >> 64) as u64;
            ((bit / 8) as usize, 1 << (bit % 8))
        })
    }

    pub(crate) fn insert(&mut self, key: &[u8]) {
        for (byte, bit) in self.probes(key) {
            if let Some(byte) = self.0.get_mut(byte) {
                *byte |= bit;
            }
        }
    }

    pub(crate) fn may_have(&self, key: &[u8]) -> bool {
        self.probes(key).all(|(byte, bit)| self.0.get(byte).is_none_or(|byte| byte & bit != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> [u8; 9] {
        let mut key = [b'u'; 9];
        key[1..].copy_from_slice(&blake3::hash(&n.to_le_bytes()).as_bytes()[..8]);
        key
    }

    #[test]
    fn it_knows_what_is_there_and_most_of_what_is_not() {
        let mut filter = Filter::with_room(20_000);
        (0..20_000).for_each(|n| filter.insert(&key(n)));
        assert!((0..20_000).all(|n| filter.may_have(&key(n))));
        let wrong = (20_000..40_000).filter(|n| filter.may_have(&key(*n))).count();
        assert!(wrong < 400, "{wrong} of 20,000");
        assert!(!Filter::with_room(0).may_have(&key(1)), "an empty one has nothing");
    }
}
