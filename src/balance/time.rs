//! Monotonic time as a plain number.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in monotonic time, in nanoseconds since some fixed point such as the start of the
/// process. Arithmetic saturates.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The fixed point.
    pub const ZERO: Self = Self(0);

    /// This much later.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(nanos_of(wait)))
    }

    /// The time that has passed since `earlier`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Whole milliseconds since the fixed point.
    pub const fn millis(self) -> u64 {
        self.0 / 1_000_000
    }
}

/// A duration in nanoseconds, saturating after 584 years.
pub(crate) fn nanos_of(wait: Duration) -> u64 {
    u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Nanos(u64::MAX).after(Duration::from_secs(1)), Nanos(u64::MAX));
        assert_eq!(Nanos(5).since(Nanos(9)), Duration::ZERO);
        assert_eq!(Nanos(0).after(Duration::MAX), Nanos(u64::MAX));
        assert_eq!(Nanos(2_999_999).millis(), 2);
    }
}
