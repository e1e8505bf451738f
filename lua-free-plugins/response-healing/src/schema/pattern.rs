//! Patterns of schemas, which are JavaScript's.

use regex::{Regex, RegexBuilder};

/// The most patterns of one check.
pub(super) const PATTERNS_MAX: usize = 64;
/// The most bytes of a pattern, and of what it compiles to: a match takes no more steps than the
/// text has bytes times what there is to match.
const PATTERN_BYTES_MAX: usize = 1_024;
const COMPILED_BYTES_MAX: usize = 32 << 10;

/// Compiles a pattern; `None`: it is too large, or says what only a backtracking engine can tell
/// (looking around, or back at what was matched).
pub(super) fn compile(pattern: &str) -> Option<Regex> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return None;
    }
    let mut builder = RegexBuilder::new(&ascii(pattern));
    builder.size_limit(COMPILED_BYTES_MAX).dfa_size_limit(COMPILED_BYTES_MAX * 8).nest_limit(32);
    builder.build().ok()
}

/// Says what JavaScript means by its classes: ASCII only.
fn ascii(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('d') => out.push_str("[0-9]"),
            Some('D') => out.push_str("[^0-9]"),
            Some('w') => out.push_str("[0-9A-Za-z_]"),
            Some('W') => out.push_str("[^0-9A-Za-z_]"),
            Some('b') => out.push_str(r"(?-u:\b)"),
            Some('/') => out.push('/'),
            Some(c) => out.extend(['\\', c]),
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_javascripts() {
        for (pattern, text, like) in [
            (r"^\d{2}$", "12", true),
            (r"^\d{2}$", "١٢", false),
            (r"^[\w-]+$", "a-b_1", true),
            (r"^[\w-]+$", "é", false),
            (r"b", "abc", true),
            (r"^a\/b\.c$", "a/b.c", true),
            (r"\bx\b", "a x b", true),
            (r"^\\d$", r"\d", true),
        ] {
            let regex = compile(pattern).unwrap_or_else(|| panic!("{pattern}"));
            assert_eq!(regex.is_match(text), like, "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_not_linear_is_not_compiled() {
        let long = "a".repeat(2_000);
        for pattern in [r"(a)\1", "(?=a)b", "(?<!a)b", "(((a{99}){99}){99})", "[", &long] {
            assert!(compile(pattern).is_none(), "{pattern}");
        }
    }
}
