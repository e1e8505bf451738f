//! Days, decimals and percentages as exports and operators write them.

use std::fmt;

use crate::catalog::date::{day_text, parse_day};

const DAY_SECS: u64 = 86_400;

/// A day in UTC, counted from 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(u64);

impl Day {
    /// The day of a second since 1970.
    pub const fn of_secs(secs: u64) -> Self {
        Self(secs / DAY_SECS)
    }

    /// Reads `YYYY-MM-DD`, alone or with a time of day in UTC behind it (`T…Z`, `T…+00:00`, or
    /// without a zone), or whole seconds since 1970.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > 4 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().ok().map(Self::of_secs);
        }
        let day = parse_day(text.get(..10)?)?;
        let rest = text.get(10..)?;
        let time = rest.strip_prefix(['T', ' ']).unwrap_or(rest);
        let time = ["Z", "z", "+00:00", " UTC"]
            .iter()
            .find_map(|zone| time.strip_suffix(zone))
            .unwrap_or(time);
        let is_time = |c: char| c.is_ascii_digit() || c == ':' || c == '.';
        time.chars().all(is_time).then_some(Self::of_secs(day))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&day_text(self.0 * DAY_SECS))
    }
}

/// Reads a decimal number, also with an exponent, times ten to the power of `shift`; rounds half
/// away from zero to a whole number. Floats written as `0.06000000000000001` are read as they stand.
pub(super) fn decimal(text: &str, shift: i32) -> Option<i128> {
    let text = text.trim();
    let (digits, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+').unwrap_or(digits)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    if all.is_empty() || !all.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // So many of the digits stand before the point of the result.
    let point = i64::try_from(whole.len()).ok()? + i64::from(exponent) + i64::from(shift);
    let mut value: i128 = 0;
    for place in 0..point.max(0) {
        let digit = usize::try_from(place).ok().and_then(|at| all.get(at)).unwrap_or(&b'0');
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let first_cut = usize::try_from(point).ok().and_then(|at| all.get(at));
    if first_cut.is_some_and(|digit| *digit >= b'5') {
        value += 1;
    }
    Some(if negative { -value } else { value })
}

/// A share, in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u128);

impl Percent {
    /// Reads a percentage that is not negative: `1`, `0.5`, `2.5%`.
    pub fn parse(text: &str) -> Option<Self> {
        let millionths = decimal(text.trim().trim_end_matches('%'), 4)?;
        u128::try_from(millionths).ok().map(Self)
    }

    /// What `part` is of `whole`, rounded up; absent if something is to be a part of nothing.
    pub(super) fn of(part: u128, whole: u128) -> Option<Self> {
        match (part, whole) {
            (0, _) => Some(Self(0)),
            (_, 0) => None,
            _ => Some(Self(part.saturating_mul(1_000_000).div_ceil(whole))),
        }
    }

    /// Whole millionths.
    pub const fn millionths(self) -> u128 {
        self.0
    }
}

/// With two decimal places.
impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = self.0.div_ceil(100);
        f.pad(&format!("{}.{:02}%", hundredths / 100, hundredths % 100))
    }
}
