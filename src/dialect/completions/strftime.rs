//! Dates as Python's `strftime` prints them, in UTC and in English.

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// The longest format that is looked at, in bytes.
const FORMAT_MAX: usize = 1024;

/// Prints the time, in seconds since 1970. What is not known is left as it stands.
pub(super) fn strftime(format: &str, now: u64) -> String {
    let at = Moment::new(now);
    let format = &format[..format.floor_char_boundary(FORMAT_MAX)];
    let (mut out, mut rest) = (String::new(), format);
    while let Some(percent) = rest.find('%') {
        out.push_str(&rest[..percent]);
        rest = &rest[percent + 1..];
        // GNU's `-`: without a leading zero.
        let (bare, code) = match rest.strip_prefix('-') {
            Some(code) => (true, code),
            None => (false, rest),
        };
        let code = code.chars().next();
        match code.and_then(|code| at.field(code, bare)) {
            Some(text) => {
                out.push_str(&text);
                rest = &rest[usize::from(bare) + code.map_or(0, char::len_utf8)..];
            }
            None => out.push('%'),
        }
    }
    out.push_str(rest);
    out
}

struct Moment {
    year: u64,
    /// 0 to 11.
    month: usize,
    day: u64,
    /// 1 to 366.
    day_of_year: u64,
    weekday: usize,
    second_of_day: u64,
}

impl Moment {
    fn new(now: u64) -> Self {
        // The year 9999 is the last that Python knows.
        let now = now.min(253_402_300_799);
        let (mut days, second_of_day) = (now / 86_400, now % 86_400);
        let weekday = usize::try_from(days % 7).unwrap_or_default();
        let mut year = 1970;
        while days >= length_of_year(year) {
            days -= length_of_year(year);
            year += 1;
        }
        let day_of_year = days + 1;
        let mut month = 0;
        while days >= length_of_month(year, month) {
            days -= length_of_month(year, month);
            month += 1;
        }
        Self { year, month, day: days + 1, day_of_year, weekday, second_of_day }
    }

    fn field(&self, code: char, bare: bool) -> Option<String> {
        let (hour, minute) = (self.second_of_day / 3600, self.second_of_day / 60 % 60);
        let padded = |number: u64, width: usize| {
            if bare { number.to_string() } else { format!("{number:0width$}") }
        };
        let all = |codes: &str| {
            let parts = codes.chars().map(|c| {
                self.field(c, false).filter(|_| c.is_alphabetic()).unwrap_or_else(|| c.to_string())
            });
            Some(parts.collect())
        };
        let (month, weekday) = (MONTHS[self.month], DAYS[self.weekday]);
        Some(match code {
            'Y' => self.year.to_string(),
            'y' => padded(self.year % 100, 2),
            'm' => padded(self.month as u64 + 1, 2),
            'd' => padded(self.day, 2),
            'e' => format!("{:2}", self.day),
            'j' => padded(self.day_of_year, 3),
            'H' => padded(hour, 2),
            'I' => padded((hour + 11) % 12 + 1, 2),
            'M' => padded(minute, 2),
            'S' => padded(self.second_of_day % 60, 2),
            'p' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            'B' => month.to_owned(),
            'b' | 'h' => month[..3].to_owned(),
            'A' => weekday.to_owned(),
            'a' => weekday[..3].to_owned(),
            'F' => return all("Y-m-d"),
            'T' | 'X' => return all("H:M:S"),
            'D' | 'x' => return all("m/d/y"),
            'c' => return all("a b e H:M:S Y"),
            'Z' => "UTC".to_owned(),
            'z' => "+0000".to_owned(),
            '%' => "%".to_owned(),
            _ => return None,
        })
    }
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn length_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

const fn length_of_month(year: u64, month: usize) -> u64 {
    match month {
        3 | 5 | 8 | 10 => 30,
        1 if is_leap(year) => 29,
        1 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_pythons() {
        for (now, format, text) in [
            (1_795_608_000, "%d %b %Y", "25 Nov 2026"),
            (1_795_608_000, "%A, %B %-d, %Y %I:%M %p", "Wednesday, November 25, 2026 12:00 PM"),
            (1_709_164_799, "%F %T %j %a", "2024-02-28 23:59:59 059 Wed"),
            (1_709_164_800, "%c|%e|%y%%%q", "Thu Feb 29 00:00:00 2024|29|24%%q"),
            (0, "%H%I%p %Z%z é%", "0012AM UTC+0000 é%"),
            (u64::MAX, "%Y", "9999"),
        ] {
            assert_eq!(strftime(format, now), text);
        }
    }
}
