//! The part of a list price that a caller pays.

use std::fmt;

use crate::vocab::NanoUsd;

/// A part of a list price, in hundredths of a percent: all of it, what a discount leaves, or the
/// fee where the caller has paid the provider already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u16);

/// All of it.
const WHOLE: u16 = 10_000;

impl Share {
    /// All of it.
    pub const ALL: Self = Self(WHOLE);

    /// Nothing of it.
    pub const NONE: Self = Self(0);

    /// So many hundredths of a percent; more than 10000 counts as that.
    pub const fn basis_points(points: u16) -> Self {
        Self(if points > WHOLE { WHOLE } else { points })
    }

    /// In hundredths of a percent, 0 to 10000.
    pub const fn points(self) -> u16 {
        self.0
    }

    /// Reads a percentage from `0%` to `100%` with at most two decimal places: `5%`, `0.25%`.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, part) = match text.strip_suffix('%')?.split_once('.') {
            Some((whole, part)) if (1..=2).contains(&part.len()) => (whole, part),
            Some(_) => return None,
            None => (text.strip_suffix('%')?, ""),
        };
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if !(1..=3).contains(&whole.len()) || !digits(whole) || !digits(part) {
            return None;
        }
        let points: u32 = format!("{whole}{part:0<2}").parse().ok()?;
        u16::try_from(points).ok().filter(|points| *points <= WHOLE).map(Self)
    }

    /// What is left of everything after a discount of this share.
    #[must_use]
    pub const fn rest(self) -> Self {
        Self(WHOLE - self.0)
    }

    /// This share of an exact sum in pico-dollars, rounded once, half up, to nano-dollars.
    pub fn of(self, pico: i128) -> NanoUsd {
        self.rounded(pico, 5_000_000)
    }

    /// The same, rounded up: for amounts that must suffice.
    pub fn of_up(self, pico: i128) -> NanoUsd {
        self.rounded(pico, 9_999_999)
    }

    fn rounded(self, pico: i128, bias: i128) -> NanoUsd {
        // Pico-dollars times ten thousandths, to nano-dollars.
        let nano = pico.saturating_mul(self.0.into()).saturating_add(bias).div_euclid(10_000_000);
        NanoUsd(i64::try_from(nano).unwrap_or(if nano < 0 { i64::MIN } else { i64::MAX }))
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::ALL
    }
}

/// As a percentage: `5%`, `0.25%`.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}%"),
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{}%", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_trip() {
        for (text, points) in
            [("0%", 0), ("5%", 500), ("0.25%", 25), ("99.9%", 9_990), ("100%", 10_000)]
        {
            assert_eq!(Share::parse(text), Some(Share::basis_points(points)), "{text}");
            assert_eq!(Share::basis_points(points).to_string(), text);
        }
        for wrong in ["", "5", "%", "-1%", "100.01%", "1.234%", "1.%", ".5%", "1e1%", "0005%"] {
            assert_eq!(Share::parse(wrong), None, "{wrong:?}");
        }
        assert_eq!(Share::parse("1%").map(Share::rest), Some(Share::basis_points(9_900)));
    }

    #[test]
    fn a_share_is_rounded_once() {
        let half = Share::basis_points(5_000);
        for (pico, usual, up) in [(0, 0, 0), (1, 0, 1), (999, 0, 1), (1_000, 1, 1), (2_001, 1, 2)] {
            assert_eq!((half.of(pico), half.of_up(pico)), (NanoUsd(usual), NanoUsd(up)), "{pico}");
        }
        assert_eq!(Share::ALL.of(1_500), NanoUsd::from_pico(1_500));
        assert_eq!(Share::ALL.of_up(1_001), NanoUsd::from_pico_up(1_001));
        assert_eq!(Share::ALL.of(i128::MAX), NanoUsd::MAX);
        assert_eq!(Share::NONE.of(i128::MAX), NanoUsd::ZERO);
    }
}
