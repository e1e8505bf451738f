//! Patterns that a value may fit.

use regex::{Regex, RegexBuilder};

/// The most bytes of a pattern as it is written.
const PATTERN_BYTES_MAX: usize = 1024;
/// The most bytes of a compiled one.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// A pattern.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    /// This value and no other.
    Exact(String),
    /// Parts that follow each other, with anything between them.
    Glob(Vec<String>),
    /// What the expression finds.
    Regex(Regex),
}

impl Pattern {
    /// Reads a pattern: `~regex`, a glob with `*`, or a value.
    ///
    /// # Errors
    /// It is too long, or no regular expression.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(format!("it may have {PATTERN_BYTES_MAX} bytes"));
        }
        if let Some(regex) = text.strip_prefix('~') {
            let regex = RegexBuilder::new(regex).size_limit(COMPILED_BYTES_MAX).build();
            return regex.map(Self::Regex).map_err(|error| {
                // The error's own text shows the expression over several lines.
                let text = error.to_string();
                let why = text.lines().last().unwrap_or_default();
                format!("it is no regular expression: {}", why.trim_start_matches("error: "))
            });
        }
        Ok(match text.contains('*') {
            true => Self::Glob(text.split('*').map(str::to_owned).collect()),
            false => Self::Exact(text.to_owned()),
        })
    }

    /// Whether a value fits.
    pub(crate) fn fits(&self, value: &str) -> bool {
        match self {
            Self::Exact(text) => text == value,
            Self::Glob(parts) => fits(parts, value),
            Self::Regex(regex) => regex.is_match(value),
        }
    }

    /// Whether a header fits. One that is not there fits the empty pattern and no other.
    pub(crate) fn fits_header(&self, value: Option<&str>) -> bool {
        match (value, self) {
            (Some(value), _) => self.fits(value),
            (None, Self::Exact(text)) => text.is_empty(),
            (None, Self::Glob(_) | Self::Regex(_)) => false,
        }
    }
}

/// Whether a value begins with the first part, ends with the last, and has the others in between in
/// order. To take each as early as can be leaves the most to those after it.
fn fits(parts: &[String], value: &str) -> bool {
    let [first, middle @ .., last] = parts else { return false };
    let inner = value.strip_prefix(first.as_str()).and_then(|v| v.strip_suffix(last.as_str()));
    let Some(mut rest) = inner else { return false };
    for part in middle {
        let Some((_, after)) = rest.split_once(part.as_str()) else { return false };
        rest = after;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_kind_fits_what_it_says() {
        for (pattern, value, expected) in [
            ("blue", "blue", true),
            ("blue", "Blue", false),
            ("", "", true),
            ("*", "", true),
            ("*", "é", true),
            ("a*", "ba", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*b*", "abc", true),
            ("a**c", "abc", true),
            ("a*b*c", "a-c-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("openai/*:free", "openai/gpt-5:free", true),
            ("~^v[0-9]+$", "v12", true),
            ("~^v[0-9]+$", "v12x", false),
            ("~(?i)BLUE", "light blue", true),
        ] {
            let parsed = Pattern::parse(pattern).expect(pattern);
            assert_eq!(parsed.fits(value), expected, "{pattern} and {value}");
        }
    }

    #[test]
    fn a_header_that_is_not_there_fits_only_the_empty_pattern() {
        for (pattern, expected) in [("", true), ("*", false), ("~", false), ("a", false)] {
            let parsed = Pattern::parse(pattern).expect(pattern);
            assert_eq!(parsed.fits_header(None), expected, "{pattern:?}");
        }
    }

    proptest! {
        /// A glob is the expression that says the same.
        #[test]
        fn a_glob_is_its_expression(pattern in "[ab*]{1,8}", value in "[ab]{0,10}") {
            prop_assume!(pattern.contains('*'));
            let expression = format!("~^{}$", pattern.replace('*', ".*"));
            let (glob, regex) = (Pattern::parse(&pattern), Pattern::parse(&expression));
            let (glob, regex) = (glob.expect("a glob"), regex.expect("an expression"));
            prop_assert_eq!(glob.fits(&value), regex.fits(&value));
        }
    }
}
