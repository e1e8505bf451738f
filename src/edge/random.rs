//! Randomness for ids and for the balancer: one generator per thread, seeded by the operating
//! system. It is quick and well spread, and not meant to keep secrets: keys and the like are made
//! with `getrandom`.

use std::cell::Cell;

thread_local! {
    static STATE: Cell<u64> = Cell::new(seed());
}

fn seed() -> u64 {
    let mut bytes = [0; 8];
    if getrandom::fill(&mut bytes).is_ok() {
        return u64::from_le_bytes(bytes);
    }
    // No entropy source: the clock still tells two processes apart.
    crate::edge::clock::unix_ms() ^ u64::from(std::process::id()) << 32
}

/// 64 random bits (SplitMix64, Steele, Lea and Flood 2014).
pub(crate) fn u64() -> u64 {
    STATE.with(|state| {
        let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(next);
        let mut z = next;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

/// 128 random bits.
pub(crate) fn u128() -> u128 {
    u128::from(u64()) << 64 | u128::from(u64())
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_differ_and_fill_all_bits() {
        let (mut ones, mut zeros) = (0, 0);
        for _ in 0..200 {
            let n = super::u64();
            ones |= n;
            zeros |= !n;
        }
        assert_eq!((ones, zeros), (u64::MAX, u64::MAX));
    }
}
