//! What a purchase of credit costs beside the credit.

use crate::catalog::Share;
use crate::vocab::NanoUsd;

/// A fee on purchases of credit: a share of what is bought, and at least so much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fee {
    /// The share of the credit that is bought.
    pub share: Share,
    /// The least that a purchase costs, in nano-dollars; not negative.
    pub minimum: NanoUsd,
}

impl Fee {
    /// Purchases cost nothing beside the credit.
    pub const NONE: Self = Self { share: Share::NONE, minimum: NanoUsd::ZERO };

    /// The fee on so much credit, rounded once, half up, to nano-dollars.
    pub fn on(self, amount: NanoUsd) -> NanoUsd {
        self.share.of(i128::from(amount.0) * 1_000).max(self.minimum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fee_is_a_share_and_at_least_the_minimum() {
        let fee = Fee { share: Share::basis_points(550), minimum: NanoUsd(800_000_000) };
        let cases = [
            (NanoUsd::from_dollars(100), NanoUsd(5_500_000_000)),
            (NanoUsd::from_dollars(10), NanoUsd(800_000_000)),
            (NanoUsd(20_000_000_009), NanoUsd(1_100_000_000)),
            (NanoUsd(20_000_000_010), NanoUsd(1_100_000_001)),
        ];
        for (amount, want) in cases {
            assert_eq!(fee.on(amount), want, "{amount}");
            assert_eq!(Fee::NONE.on(amount), NanoUsd::ZERO, "{amount}");
        }
    }
}
