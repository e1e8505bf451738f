//! What is wrong with a configuration: every fault, each with its place.

use std::fmt;

/// One thing that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where: a key such as `providers[1].base_url`, a place such as `line 3, column 7`, or a
    /// file's path.
    pub path: String,
    /// What is wrong, and what is allowed. Never holds a secret.
    pub message: String,
}

impl Fault {
    /// A fault at this place.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl std::error::Error for Fault {}

/// Everything that is wrong with the configuration; printed one fault a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// The most faults that are kept; one more line says that there are others.
    pub const MAX: usize = 200;

    /// No fault yet.
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    /// Whether this place, or one around it, has a fault already.
    pub(super) fn has(&self, path: &str) -> bool {
        self.0.iter().any(|fault| {
            path.strip_prefix(fault.path.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Whether nothing could be read at all, so that there is nothing left to judge.
    pub(super) fn is_fatal(&self) -> bool {
        self.0.iter().any(|f| f.path.starts_with("line ") || f.path == "…")
    }

    /// Notes a fault. One place has one fault: what follows from it is not told.
    pub(super) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        let path = path.into();
        if self.has(&path) {
            return;
        }
        match self.0.len() {
            n if n < Self::MAX => self.0.push(Fault::new(path, message)),
            Self::MAX => self.0.push(Fault::new("…", "there are more faults; mend these first")),
            _ => {}
        }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            fmt::Display::fmt(fault, f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// A place in the file and the list that its faults go to: `at.key("base_url")`.
pub(super) struct At<'a> {
    path: String,
    faults: &'a mut Faults,
}

impl<'a> At<'a> {
    /// The section of this name, for instance `server` or `providers[1]`.
    pub(super) fn new(path: impl Into<String>, faults: &'a mut Faults) -> Self {
        Self { path: path.into(), faults }
    }

    /// A section within this one.
    pub(super) fn within(&mut self, key: &str) -> At<'_> {
        At { path: format!("{}.{key}", self.path), faults: self.faults }
    }

    /// The element of a list within this section.
    pub(super) fn element(&mut self, key: &str, index: usize) -> At<'_> {
        At { path: format!("{}.{key}[{index}]", self.path), faults: self.faults }
    }

    /// Whether a key has a fault already.
    pub(super) fn has(&self, key: &str) -> bool {
        self.faults.has(&format!("{}.{key}", self.path))
    }

    /// Notes a fault of a key.
    pub(super) fn fault(&mut self, key: &str, message: impl Into<String>) {
        self.faults.add(format!("{}.{key}", self.path), message);
    }

    /// A whole number within a range; out of range is noted and clamped, so that reading goes on.
    pub(super) fn int(&mut self, key: &str, value: i64, min: u32, max: u64) -> u64 {
        match u64::try_from(value) {
            Ok(v) if (u64::from(min)..=max).contains(&v) => v,
            _ => {
                self.fault(key, format!("is {value}; must be from {min} to {max}"));
                u64::from(min)
            }
        }
    }

    /// As [`Self::int`], for ranges within `u32`.
    pub(super) fn int32(&mut self, key: &str, value: i64, min: u32, max: u32) -> u32 {
        let value = self.int(key, value, min, u64::from(max));
        u32::try_from(value).unwrap_or(max)
    }

    /// As [`Self::int`], for sizes in memory.
    pub(super) fn size(&mut self, key: &str, value: i64, min: u32, max: u64) -> usize {
        let value = self.int(key, value, min, max);
        usize::try_from(value).unwrap_or(usize::MAX)
    }

    /// A duration in milliseconds, in a range as in [`Self::int`].
    pub(super) fn ms(&mut self, key: &str, value: i64, min: u32, max: u64) -> std::time::Duration {
        std::time::Duration::from_millis(self.int(key, value, min, max))
    }

    /// A number within a range.
    pub(super) fn float(&mut self, key: &str, value: f64, min: f64, max: f64) -> f64 {
        if (min..=max).contains(&value) {
            return value;
        }
        self.fault(key, format!("is {value}; must be from {min} to {max}"));
        min
    }
}
