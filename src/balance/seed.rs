//! Random choices from a seed that is passed in.

/// Spreads a seed over all 64 bits (the finaliser of SplitMix64; Steele, Lea and Flood 2014), so
/// that `mix(seed + 1)`, `mix(seed + 2)` … are independent draws.
pub const fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number below `bound` from a draw of [`mix`]; 0 if `bound` is 0. The bias is below
/// `bound` / 2⁶⁴.
pub fn below(draw: u64, bound: usize) -> usize {
    let bound = u128::try_from(bound).unwrap_or(0);
    usize::try_from((u128::from(draw) * bound) >> 64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_below_the_bound_and_spread() {
        let mut counts = [0_u32; 7];
        for seed in 0..70_000 {
            counts[below(mix(seed), 7)] += 1;
        }
        assert!(counts.iter().all(|&n| (9_500..10_500).contains(&n)), "even: {counts:?}");
        assert_eq!(below(u64::MAX, 0), 0, "no bound, no panic");
        assert_eq!(below(u64::MAX, 3), 2);
    }
}
