//! Money as integers: balances in nano-dollars, prices in pico-dollars.
//!
//! A price of $0.15 per million tokens is 150,000 pico-dollars per token. Products of tokens and
//! prices are summed exactly in pico-dollars; rounding to nano-dollars happens once per request
//! ([`NanoUsd::from_pico`]).

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

use serde::{Deserialize, Serialize};

/// An amount of money in billionths of a US dollar; about ±9.2 thousand million dollars.
///
/// Arithmetic saturates: an amount never wraps around.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct NanoUsd(pub i64);

impl NanoUsd {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount.
    pub const MAX: Self = Self(i64::MAX);

    /// Whole dollars.
    pub const fn from_dollars(dollars: i64) -> Self {
        Self(dollars.saturating_mul(1_000_000_000))
    }

    /// Rounds an exact sum in pico-dollars half up to nano-dollars: the only rounding there is.
    pub fn from_pico(pico: i128) -> Self {
        let nano = pico.saturating_add(500).div_euclid(1_000);
        Self(i64::try_from(nano).unwrap_or(if nano < 0 { i64::MIN } else { i64::MAX }))
    }

    /// Rounds an exact sum in pico-dollars up to nano-dollars: for amounts that must suffice.
    pub fn from_pico_up(pico: i128) -> Self {
        Self::from_pico(pico.saturating_add(499))
    }

    /// Reads a decimal amount of dollars, for instance `5`, `0.25` or `-1.5`.
    ///
    /// # Errors
    /// The text is no decimal number, has more than nine decimal places, or is out of range.
    pub fn parse_dollars(text: &str) -> Result<Self, BadPrice> {
        let nano = parse_decimal(text, 9)?;
        i64::try_from(nano).map(Self).map_err(|_| BadPrice::OutOfRange)
    }

    /// The amount, so many times.
    #[must_use]
    pub const fn times(self, n: i64) -> Self {
        Self(self.0.saturating_mul(n))
    }

    /// The amount as a float, for metrics only: never for arithmetic on money.
    #[expect(clippy::cast_precision_loss, reason = "metrics show an approximation")]
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

/// Prints dollars with as many decimal places as are needed, at least one digit before the point.
impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let abs = self.0.unsigned_abs();
        let (whole, nanos) = (abs / 1_000_000_000, abs % 1_000_000_000);
        if nanos == 0 {
            return write!(f, "{sign}{whole}");
        }
        let digits = format!("{nanos:09}");
        write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl Add for NanoUsd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for NanoUsd {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for NanoUsd {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl AddAssign for NanoUsd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for NanoUsd {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for NanoUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// A price in millionths of a millionth of a US dollar, per token or per other unit.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct PicoUsd(pub u64);

impl PicoUsd {
    /// Free of charge.
    pub const ZERO: Self = Self(0);

    /// Reads a price in dollars per million units, as price lists give it: `0.15`.
    ///
    /// # Errors
    /// The text is no decimal number, is negative, has more than six decimal places, or is out of
    /// range.
    pub fn parse_per_million(text: &str) -> Result<Self, BadPrice> {
        Self::from_exact(parse_decimal(text, 6)?)
    }

    /// Reads a price in dollars per single unit, as OpenRouter's API gives it: `0.00000015`.
    ///
    /// # Errors
    /// As [`Self::parse_per_million`], with at most twelve decimal places.
    pub fn parse_per_unit(text: &str) -> Result<Self, BadPrice> {
        Self::from_exact(parse_decimal(text, 12)?)
    }

    fn from_exact(pico: i128) -> Result<Self, BadPrice> {
        if pico < 0 {
            return Err(BadPrice::Negative);
        }
        u64::try_from(pico).map(Self).map_err(|_| BadPrice::OutOfRange)
    }

    /// The exact price of `units`, in pico-dollars; past the end of the numbers it is the largest.
    pub fn times(self, units: u64) -> i128 {
        i128::from(self.0).saturating_mul(i128::from(units))
    }

    /// The price of a million units as a decimal string in dollars: `0.15`.
    pub fn per_million_text(self) -> String {
        let (whole, rest) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if rest == 0 {
            return whole.to_string();
        }
        let digits = format!("{rest:06}");
        format!("{whole}.{}", digits.trim_end_matches('0'))
    }

    /// The price per unit as a decimal string in dollars, without exponent: `0.00000015`.
    pub fn per_unit_text(self) -> String {
        let (whole, rest) = (self.0 / 1_000_000_000_000, self.0 % 1_000_000_000_000);
        if rest == 0 {
            return whole.to_string();
        }
        let digits = format!("{rest:012}");
        format!("{whole}.{}", digits.trim_end_matches('0'))
    }
}

/// Why a text is not an amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPrice {
    /// Not a decimal number; an exponent is not allowed.
    NotDecimal,
    /// More decimal places than the unit holds exactly.
    TooPrecise,
    /// A price must not be negative.
    Negative,
    /// Larger than the unit can hold.
    OutOfRange,
}

impl fmt::Display for BadPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotDecimal => "must be a plain decimal number such as \"0.15\"",
            Self::TooPrecise => "has more decimal places than can be held exactly",
            Self::Negative => "must not be negative",
            Self::OutOfRange => "is too large",
        })
    }
}

impl std::error::Error for BadPrice {}

/// Reads a decimal number exactly, scaled by ten to the power of `places`.
fn parse_decimal(text: &str, places: usize) -> Result<i128, BadPrice> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || whole.len() > 18 {
        return Err(BadPrice::NotDecimal);
    }
    if digits.contains('.') && fraction.is_empty() {
        return Err(BadPrice::NotDecimal);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > places {
        return Err(BadPrice::TooPrecise);
    }
    let padded = format!("{whole}{fraction:0<places$}");
    let value: i128 = padded.parse().map_err(|_| BadPrice::OutOfRange)?;
    Ok(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_round_trip() {
        for (text, nano) in [
            ("5", 5_000_000_000),
            ("0.25", 250_000_000),
            ("-1.5", -1_500_000_000),
            ("0.000000001", 1),
        ] {
            assert_eq!(NanoUsd::parse_dollars(text), Ok(NanoUsd(nano)), "{text}");
            assert_eq!(NanoUsd(nano).to_string(), text, "{nano}");
        }
    }

    #[test]
    fn bad_amounts_are_refused() {
        for (text, why) in [
            ("", BadPrice::NotDecimal),
            ("1e3", BadPrice::NotDecimal),
            (".5", BadPrice::NotDecimal),
            ("5.", BadPrice::NotDecimal),
            ("+5", BadPrice::NotDecimal),
            ("0.0000000001", BadPrice::TooPrecise),
            ("99999999999", BadPrice::OutOfRange),
        ] {
            assert_eq!(NanoUsd::parse_dollars(text), Err(why), "{text:?}");
        }
        assert_eq!(PicoUsd::parse_per_million("-1"), Err(BadPrice::Negative));
    }

    #[test]
    fn prices_keep_their_scale() {
        let price = PicoUsd::parse_per_million("0.15").expect("a price");
        assert_eq!(price, PicoUsd(150_000));
        assert_eq!(price.per_unit_text(), "0.00000015");
        assert_eq!(price.per_million_text(), "0.15");
        assert_eq!(PicoUsd(30_000_000).per_million_text(), "30");
        assert_eq!(PicoUsd::parse_per_unit("0.00000015"), Ok(price));
        assert_eq!(price.times(1_000_000), 150_000_000_000);
    }

    #[test]
    fn rounding_is_half_up_and_once() {
        assert_eq!(NanoUsd::from_pico(499), NanoUsd(0));
        assert_eq!(NanoUsd::from_pico(500), NanoUsd(1));
        assert_eq!(NanoUsd::from_pico_up(0), NanoUsd(0));
        assert_eq!(NanoUsd::from_pico_up(1), NanoUsd(1));
        assert_eq!(NanoUsd::from_pico_up(1_000), NanoUsd(1));
        assert_eq!(NanoUsd::from_pico(-500), NanoUsd(0));
        assert_eq!(NanoUsd::from_pico(-501), NanoUsd(-1));
        assert_eq!(NanoUsd::from_pico(i128::MAX - 1_000), NanoUsd::MAX);
    }
}
