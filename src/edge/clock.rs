//! The only place that reads a clock. Everything below takes time as an argument.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::balance::Nanos;

static START: OnceLock<Instant> = OnceLock::new();

/// Monotonic time since the process first asked.
pub(crate) fn now() -> Nanos {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    let now = Instant::now();
    let start = *START.get_or_init(|| now);
    Nanos(u64::try_from(now.duration_since(start).as_nanos()).unwrap_or(u64::MAX))
}

/// Wall time in milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
