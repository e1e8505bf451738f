//! Days, weeks and months in UTC, and what was spent in them.

/// When a limit begins anew. All in UTC; weeks begin on Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// At midnight.
    Daily,
    /// At midnight between Sunday and Monday.
    Weekly,
    /// At midnight before the first of a month.
    Monthly,
}

const DAY_MS: u64 = 86_400_000;

impl Reset {
    /// All of them, shortest first.
    pub const ALL: [Self; 3] = [Self::Daily, Self::Weekly, Self::Monthly];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }

    /// The one of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reset| reset.as_str() == name)
    }

    /// The number of the period that a moment is in, counted from the one of 1970-01-01.
    pub fn period(self, unix_ms: u64) -> u32 {
        let days = unix_ms / DAY_MS;
        let number = match self {
            Self::Daily => days,
            // 1970-01-01 was a Thursday.
            Self::Weekly => (days + 3) / 7,
            Self::Monthly => months(days),
        };
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// When the period that a moment is in ends, in milliseconds since 1970.
    pub fn ends_ms(self, unix_ms: u64) -> u64 {
        let next = u64::from(self.period(unix_ms)) + 1;
        let days = match self {
            Self::Daily => next,
            Self::Weekly => next * 7 - 3,
            Self::Monthly => first_day(next),
        };
        days * DAY_MS
    }
}

/// Months since January 1970, from days since its first.
///
/// Years are counted from March, so that the leap day is a year's last and every month's first day
/// is a linear function of its number.
fn months(days: u64) -> u64 {
    // From 0000-03-01; 719,468 days lie between that and 1970-01-01.
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    // Month 0 is March; January 1970 is month 10 of year 1969.
    (era * 400 + year) * 12 + month - (1_969 * 12 + 10)
}

/// Days from 1970-01-01 to the first of a month, counted as in [`months`].
fn first_day(month: u64) -> u64 {
    let from_march = month + 1_969 * 12 + 10;
    let (year, month) = (from_march / 12, from_march % 12);
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * month + 2) / 5;
    era * 146_097 + 365 * of_era + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// What was spent in the latest day, week and month in which anything was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Which period it is, by [`Reset::period`].
    pub period: [u32; 3],
    /// Charged in it, in nano-dollars.
    pub spent: [i64; 3],
    /// Paid to providers by the account's own contracts in it, in nano-dollars.
    pub byok: [i64; 3],
}

impl Span {
    /// Adds what a request cost that was begun at `at_ms`. One of an earlier period than the
    /// latest is not counted.
    pub fn add(&mut self, at_ms: u64, spent: i64, byok: i64) {
        for (i, reset) in Reset::ALL.into_iter().enumerate() {
            let period = reset.period(at_ms);
            if period < self.period[i] {
                continue;
            }
            if period > self.period[i] {
                (self.period[i], self.spent[i], self.byok[i]) = (period, 0, 0);
            }
            self.spent[i] += spent;
            self.byok[i] += byok;
        }
    }

    /// What was charged, and paid to providers, in the period that `now_ms` is in.
    pub fn in_period(&self, reset: Reset, now_ms: u64) -> (i64, i64) {
        let i = reset as usize;
        if self.period[i] == reset.period(now_ms) { (self.spent[i], self.byok[i]) } else { (0, 0) }
    }
}
