//! Values that were replaced in a request, and what they were replaced by.

use std::collections::{HashMap, HashSet};
use std::fmt;

/// The most values that get a number; those after them are replaced for good.
const VALUES_MAX: usize = 10_000;

/// Placeholders of one request. The same value has the same one.
#[derive(Default)]
pub(crate) struct Vault {
    placeholders: HashMap<String, HashMap<String, String>>,
    values: HashMap<String, String>,
    /// What looks like a placeholder in the request as it came.
    taken: HashSet<String>,
    next: HashMap<String, usize>,
}

/// How many; no values.
impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.values.len())
    }
}

impl Vault {
    /// Sees a text of the request before anything is replaced: what it has is nobody's placeholder.
    pub(crate) fn avoid(&mut self, text: &str) {
        let sign = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_';
        let mut rest = text;
        while let Some(at) = rest.find('[') {
            let inner = &rest[at + 1..];
            let length = inner.bytes().take(64).take_while(|b| sign(b)).count();
            if inner.as_bytes().get(length) == Some(&b']') {
                self.taken.insert(rest[at..at + length + 2].to_owned());
            }
            rest = inner;
        }
    }

    /// The placeholder for a value that a detector found; `None`: there are too many.
    pub(crate) fn placeholder(&mut self, detector: &str, value: &str) -> Option<&str> {
        if !self.placeholders.contains_key(detector) {
            self.placeholders.insert(detector.to_owned(), HashMap::new());
            self.next.insert(detector.to_owned(), 1);
        }
        let known = self.placeholders.get_mut(detector)?;
        if !known.contains_key(value) {
            if self.values.len() >= VALUES_MAX {
                return None;
            }
            let next = self.next.get_mut(detector)?;
            let upper = detector.to_ascii_uppercase();
            let free = loop {
                let name = format!("[{upper}_{next}]");
                *next += 1;
                // The one is another detector's where a pattern's name ends in a number.
                if !self.taken.contains(&name) && !self.values.contains_key(&name) {
                    break name;
                }
            };
            self.values.insert(free.clone(), value.to_owned());
            known.insert(value.to_owned(), free);
        }
        known.get(value).map(String::as_str)
    }

    /// The value behind a placeholder.
    pub(crate) fn value(&self, placeholder: &str) -> Option<&str> {
        self.values.get(placeholder).map(String::as_str)
    }

    /// Nothing was replaced.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_numbers_until_there_are_too_many() {
        let mut vault = Vault::default();
        for i in 1..=VALUES_MAX {
            let expected = format!("[X_{i}]");
            assert_eq!(vault.placeholder("x", &i.to_string()), Some(expected.as_str()));
        }
        assert_eq!(vault.placeholder("x", "one more"), None);
        assert_eq!(vault.placeholder("x", "1"), Some("[X_1]"), "known ones stay");
        assert_eq!(format!("{vault:?}"), "Vault(10000)");
    }

    #[test]
    fn no_two_values_share_a_placeholder() {
        let mut vault = Vault::default();
        vault.avoid("[A_2] [[A_4]x [a_5] [A_6");
        let mut all: Vec<String> = Vec::new();
        for (detector, value) in [("a", "p"), ("a_1", "p"), ("a", "q"), ("a", "p"), ("a", "r")] {
            all.push(vault.placeholder(detector, value).expect("a number").to_owned());
        }
        assert_eq!(all, ["[A_1]", "[A_1_1]", "[A_3]", "[A_1]", "[A_5]"]);
        assert_eq!(vault.value("[A_3]"), Some("q"));
    }
}
