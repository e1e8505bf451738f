//! Whether a request uses the cache, and for how long its answer stays.
//!
//! The headers are OpenRouter's (documentation of response caching, read 2026-11):
//! `X-OpenRouter-Cache: true|false`, `X-OpenRouter-Cache-TTL: <seconds>` and
//! `X-OpenRouter-Cache-Clear: true`. The time to live is read as JavaScript's `parseInt(text, 10)`
//! reads it and clamped to 1–86,400 seconds; what cannot be read is ignored. A time to live or a
//! clear alone does not switch the cache on.

/// Header that asks for the cache or forbids it, in lower case.
pub const HEADER_CACHE: &str = "x-openrouter-cache";
/// Header with the time to live in seconds, in lower case.
pub const HEADER_TTL: &str = "x-openrouter-cache-ttl";
/// Header that replaces the stored answer, in lower case.
pub const HEADER_CLEAR: &str = "x-openrouter-cache-clear";

/// The shortest time to live, in seconds.
pub const TTL_SECS_MIN: u32 = 1;
/// The longest time to live, in seconds.
pub const TTL_SECS_MAX: u32 = 86_400;
/// The time to live where neither the request nor the configuration gives one, in seconds.
pub const TTL_SECS_DEFAULT: u32 = 300;

/// What the configuration says about the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is no cache: headers are ignored.
    Disabled,
    /// A request must ask for it.
    OnRequest,
    /// Every request uses it unless it says `X-OpenRouter-Cache: false`.
    Always,
}

/// What holds for requests that do not say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether the cache is used without being asked for.
    pub standing: Standing,
    /// Time to live in seconds; clamped to [`TTL_SECS_MIN`]–[`TTL_SECS_MAX`] when used.
    pub ttl_secs: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { standing: Standing::OnRequest, ttl_secs: TTL_SECS_DEFAULT }
    }
}

/// The values of the three headers of one request, as sent; `None` where a header is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked<'a> {
    /// [`HEADER_CACHE`].
    pub cache: Option<&'a [u8]>,
    /// [`HEADER_TTL`].
    pub ttl: Option<&'a [u8]>,
    /// [`HEADER_CLEAR`].
    pub clear: Option<&'a [u8]>,
}

/// What to do with the cache for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Neither look nor store.
    Off,
    /// Look, and store the answer on a miss.
    Use {
        /// Time to live of a stored answer, in seconds, [`TTL_SECS_MIN`]–[`TTL_SECS_MAX`].
        ttl_secs: u32,
        /// Remove the stored answer first, so that this request is a miss and stores anew.
        clear: bool,
    },
}

impl Intent {
    /// Decides for one request.
    pub fn of(asked: Asked<'_>, settings: Settings) -> Self {
        let wanted = match (settings.standing, asked.cache.and_then(parse_bool)) {
            (Standing::Disabled, _) | (_, Some(false)) | (Standing::OnRequest, None) => false,
            (Standing::Always, None) | (Standing::OnRequest | Standing::Always, Some(true)) => true,
        };
        if !wanted {
            return Self::Off;
        }
        let ttl_secs = asked.ttl.and_then(parse_int).unwrap_or(i64::from(settings.ttl_secs));
        let ttl_secs = ttl_secs.clamp(i64::from(TTL_SECS_MIN), i64::from(TTL_SECS_MAX));
        Self::Use {
            ttl_secs: u32::try_from(ttl_secs).unwrap_or(TTL_SECS_MAX),
            clear: asked.clear.and_then(parse_bool) == Some(true),
        }
    }
}

/// `true` or `false` in any case, with white space around it; anything else says nothing.
fn parse_bool(value: &[u8]) -> Option<bool> {
    let value = value.trim_ascii();
    if value.eq_ignore_ascii_case(b"true") {
        return Some(true);
    }
    value.eq_ignore_ascii_case(b"false").then_some(false)
}

/// The leading integer of the text, as `parseInt(text, 10)` has it; `None` is its `NaN`.
fn parse_int(value: &[u8]) -> Option<i64> {
    let value = value.trim_ascii_start();
    let (negative, digits) = match value {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, value),
    };
    let len = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    if len == 0 {
        return None;
    }
    let magnitude = digits[..len]
        .iter()
        .fold(0_i64, |sum, b| sum.saturating_mul(10).saturating_add(i64::from(b - b'0')));
    Some(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: Settings = Settings { standing: Standing::OnRequest, ttl_secs: 300 };

    fn intent(cache: Option<&str>, ttl: Option<&str>, clear: Option<&str>, s: Settings) -> Intent {
        let asked = Asked {
            cache: cache.map(str::as_bytes),
            ttl: ttl.map(str::as_bytes),
            clear: clear.map(str::as_bytes),
        };
        Intent::of(asked, s)
    }

    #[test]
    fn the_header_decides_unless_the_cache_is_disabled() {
        let used = Intent::Use { ttl_secs: 300, clear: false };
        let disabled = Settings { standing: Standing::Disabled, ..ON };
        let always = Settings { standing: Standing::Always, ..ON };
        for (cache, settings, want) in [
            (None, ON, Intent::Off),
            (Some("true"), ON, used),
            (Some(" TRUE "), ON, used),
            (Some("false"), ON, Intent::Off),
            (Some("1"), ON, Intent::Off),
            (Some(""), ON, Intent::Off),
            (Some("true"), disabled, Intent::Off),
            (None, always, used),
            (Some("maybe"), always, used),
            (Some("False"), always, Intent::Off),
        ] {
            assert_eq!(intent(cache, None, None, settings), want, "{cache:?} under {settings:?}");
        }
        assert_eq!(intent(None, Some("60"), Some("true"), ON), Intent::Off, "only cache enables");
    }

    #[test]
    fn ttl_is_read_as_parse_int_reads_and_clamped() {
        for (text, want) in [
            ("60", 60),
            ("  60", 60),
            ("60s", 60),
            ("60.9", 60),
            ("+7", 7),
            ("0", 1),
            ("-5", 1),
            ("0x10", 1),
            ("86400", 86_400),
            ("86401", 86_400),
            ("99999999999999999999999999", 86_400),
            ("-99999999999999999999999999", 1),
            ("", 300),
            ("abc", 300),
            ("s60", 300),
            ("+", 300),
            ("--5", 300),
        ] {
            assert_eq!(
                intent(Some("true"), Some(text), None, ON),
                Intent::Use { ttl_secs: want, clear: false },
                "{text:?}"
            );
        }
        let huge = Settings { ttl_secs: u32::MAX, ..ON };
        assert_eq!(
            intent(Some("true"), None, None, huge),
            Intent::Use { ttl_secs: TTL_SECS_MAX, clear: false },
            "the configured value is clamped too"
        );
    }

    #[test]
    fn clear_is_only_true() {
        for (text, want) in [("true", true), ("True", true), ("false", false), ("yes", false)] {
            assert_eq!(
                intent(Some("true"), None, Some(text), ON),
                Intent::Use { ttl_secs: 300, clear: want },
                "{text:?}"
            );
        }
    }
}
