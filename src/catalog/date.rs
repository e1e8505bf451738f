//! Days of the Gregorian calendar in UTC, as seconds since 1970.

const DAY: u64 = 86_400;

/// Reads `YYYY-MM-DD`, from 1970 to 9999, as the second at which the day begins.
pub fn parse_day(text: &str) -> Option<u64> {
    let (year, month, day) = parts(text)?;
    Some((days_before(year, month?) + day? - 1) * DAY)
}

/// Whether the text is a day, a month or a year: `YYYY-MM-DD`, `YYYY-MM` or `YYYY`.
pub fn is_day_or_part(text: &str) -> bool {
    parts(text).is_some()
}

/// Reads a point in time as milliseconds since 1970: a day (its beginning), a time in UTC
/// (`2026-11-26T08:30:00Z`, with or without a fraction), or the number itself.
pub fn parse_time(text: &str) -> Option<u64> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok();
    }
    let Some((day, time)) = text.split_once('T') else {
        return parse_day(text)?.checked_mul(1_000);
    };
    let (clock, fraction) = match time.strip_suffix('Z')?.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (time.strip_suffix('Z')?, None),
    };
    let mut parts = clock.split(':').map(|part| {
        let plain = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| part.parse::<u64>().ok()).flatten()
    });
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let fits = hours < 24 && minutes < 60 && seconds < 60 && parts.next().is_none();
    let ms = match fraction {
        None => 0,
        Some(digits) if (1..=9).contains(&digits.len()) => {
            digits.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
            format!("{digits:0<3}").get(..3)?.parse().ok()?
        }
        Some(_) => return None,
    };
    let secs = parse_day(day)? + hours * 3_600 + minutes * 60 + seconds;
    fits.then_some(secs * 1_000 + ms)
}

/// The day of a second since 1970, as `YYYY-MM-DD`.
pub fn day_text(secs: u64) -> String {
    let days = secs / DAY;
    let mut year = 1970 + days / 366;
    while days_before(year + 1, 1) <= days {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| days_before(year, *month) <= days).unwrap_or(1);
    format!("{year:04}-{month:02}-{:02}", days - days_before(year, month) + 1)
}

/// Year, month and day; the last two as far as they are given.
fn parts(text: &str) -> Option<(u64, Option<u64>, Option<u64>)> {
    let number = |text: &str, digits: usize| {
        let plain = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| text.parse::<u64>().ok()).flatten()
    };
    let mut fields = text.split('-');
    let year = number(fields.next()?, 4).filter(|year| *year >= 1970)?;
    let Some(month) = fields.next() else { return Some((year, None, None)) };
    let month = number(month, 2).filter(|month| (1..=12).contains(month))?;
    let Some(day) = fields.next() else { return Some((year, Some(month), None)) };
    let last = days_before(year, month + 1) - days_before(year, month);
    let day = number(day, 2).filter(|day| (1..=last).contains(day))?;
    fields.next().is_none().then_some((year, Some(month), Some(day)))
}

/// Days from the beginning of 1970 to the beginning of a month, 1 to 13.
fn days_before(year: u64, month: u64) -> u64 {
    /// Days from the beginning of a year to the beginning of each month.
    const BEFORE: [u64; 13] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let leaps = |through: u64| through / 4 - through / 100 + through / 400;
    let of_years = 365 * (year - 1970) + leaps(year - 1) - leaps(1969);
    let of_months = usize::try_from(month - 1).ok().and_then(|i| BEFORE.get(i)).unwrap_or(&365);
    of_years + of_months + u64::from(leap && month > 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time_are_read() {
        let noon = 1_767_225_600_000 + 43_200_000;
        for (text, ms) in [
            ("2026-01-01", 1_767_225_600_000),
            ("2026-01-01T12:00:00Z", noon),
            ("2026-01-01T12:00:00.5Z", noon + 500),
            ("2026-01-01T12:00:00.123456Z", noon + 123),
            ("1767225600001", 1_767_225_600_001),
        ] {
            assert_eq!(parse_time(text), Some(ms), "{text}");
        }
        for wrong in [
            "",
            "now",
            "2026-01",
            "2026-01-01T12:00:00",
            "2026-01-01T24:00:00Z",
            "2026-01-01T12:00Z",
            "2026-01-01T12:00:00.Z",
            "2026-01-01T12:00:00+01:00",
            "2026-01-01T1:00:00Z",
            "99999999999999999999999",
        ] {
            assert_eq!(parse_time(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn days_round_trip() {
        for (text, secs) in [
            ("1970-01-01", 0),
            ("1972-02-29", 68_169_600),
            ("2000-03-01", 951_868_800),
            ("2024-12-31", 1_735_603_200),
            ("2026-11-26", 1_795_651_200),
            ("2100-03-01", 4_107_542_400),
        ] {
            assert_eq!(parse_day(text), Some(secs), "{text}");
            assert_eq!(day_text(secs + 86_399), text, "{secs}");
        }
        for day in 0..60_000 {
            assert_eq!(parse_day(&day_text(day * DAY)), Some(day * DAY), "day {day}");
        }
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for wrong in ["", "2026", "2026-11", "2026-13-01", "2025-02-29", "2026-1-1", "26-11-01"] {
            assert_eq!(parse_day(wrong), None, "{wrong:?}");
        }
        for wrong in ["", "1969", "2026-", "2026-00", "2026-11-31", "2026-11-01-1", "+026"] {
            assert!(!is_day_or_part(wrong), "{wrong:?}");
        }
        for good in ["2024", "2024-06", "2024-06-30"] {
            assert!(is_day_or_part(good), "{good:?}");
        }
    }
}
