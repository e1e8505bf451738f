//! Whether JSON fits a schema.
//!
//! The schema comes from a client, so that all is bounded: its size, and the steps that a check may
//! take. A chain of references in each other's `anyOf` would otherwise take time without end. What
//! cannot be judged within that, or needs what is not here (references to elsewhere, `unevaluated…`,
//! patterns that are not regular), is told as not known, never guessed.
//!
//! Keywords as in JSON Schema 2020-12 and, where they differ, draft 7 (json-schema.org, 2026-10).

mod keywords;
mod pattern;

use std::collections::HashMap;

use regex::Regex;
use serde_json::Value;

/// The most bytes of a schema that is looked at.
pub(crate) const SCHEMA_BYTES_MAX: usize = 256 << 10;
/// The most bytes of JSON that is checked.
const VALUE_BYTES_MAX: usize = 1 << 20;
/// The most steps of all checks of a request: a keyword, a member, an element, a comparison.
const STEPS_MAX: u64 = 4_000_000;
/// What compiling a pattern counts as.
const PATTERN_STEPS: usize = 10_000;
/// How deep schemas may lead into each other.
const DEPTH_MAX: u32 = 256;

/// Whether JSON is what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It is; there is no schema.
    Json,
    /// It fits the schema.
    Schema,
    /// It does not.
    Misfit,
    /// Nobody knows.
    Unknown,
}

impl Fit {
    /// As it is shown: `null` is not known.
    pub(crate) const fn valid(self) -> Option<bool> {
        match self {
            Self::Json | Self::Schema => Some(true),
            Self::Misfit => Some(false),
            Self::Unknown => None,
        }
    }
}

/// A schema, and the steps that are left for checks against it.
pub(crate) struct Schema {
    /// `None`: it cannot be used.
    root: Option<Value>,
    steps: u64,
}

impl Schema {
    /// Reads a schema.
    pub(crate) fn read(text: &str) -> Self {
        let text = Some(text).filter(|text| text.len() <= SCHEMA_BYTES_MAX);
        Self { root: text.and_then(|text| serde_json::from_str(text).ok()), steps: STEPS_MAX }
    }

    /// Whether JSON fits.
    pub(crate) fn judge(&mut self, json: &str) -> Fit {
        let value = Some(json).filter(|json| json.len() <= VALUE_BYTES_MAX);
        let value = value.and_then(|json| serde_json::from_str::<Value>(json).ok());
        let (Some(root), Some(value)) = (&self.root, &value) else { return Fit::Unknown };
        let mut judge = Judge { root, steps: self.steps, patterns: HashMap::new() };
        let judged = judge.fits(root, value, DEPTH_MAX);
        self.steps = judge.steps;
        match judged {
            Ok(Some(true)) => Fit::Schema,
            Ok(Some(false)) => Fit::Misfit,
            Ok(None) | Err(Spent) => Fit::Unknown,
        }
    }
}

/// All steps are taken.
struct Spent;

/// Whether something fits; `None`: not known.
type Judged = Result<Option<bool>, Spent>;

/// A check of one value.
struct Judge<'s> {
    root: &'s Value,
    steps: u64,
    /// Patterns that are compiled; `None`: it is not regular, or too large.
    patterns: HashMap<&'s str, Option<Regex>>,
}

/// Both must be: what is false stays so, whatever is not known beside it.
const fn and(one: Option<bool>, other: Option<bool>) -> Option<bool> {
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        (None, _) | (_, None) => None,
    }
}

fn not(one: Option<bool>) -> Option<bool> {
    one.map(|one| !one)
}

impl<'s> Judge<'s> {
    fn spend(&mut self, steps: usize) -> Result<(), Spent> {
        let left = self.steps.checked_sub(steps as u64);
        self.steps = left.unwrap_or(0);
        left.map(|_| ()).ok_or(Spent)
    }

    fn fits(&mut self, schema: &'s Value, value: &Value, depth: u32) -> Judged {
        self.spend(1)?;
        let Some(depth) = depth.checked_sub(1) else { return Ok(None) };
        let keywords = match schema {
            Value::Bool(fits) => return Ok(Some(*fits)),
            Value::Object(keywords) => keywords,
            _ => return Ok(None),
        };
        let mut fits = Some(true);
        for (name, argument) in keywords {
            self.spend(1)?;
            let keyword = keywords::Keyword { name, argument, all: keywords, depth };
            fits = and(fits, self.keyword(&keyword, value)?);
            if fits == Some(false) {
                break;
            }
        }
        Ok(fits)
    }

    /// How many of these schemas a value fits, how many not, and of how many it is not known; no
    /// more are tried once so many fit, or so many do not.
    fn count(
        &mut self,
        schemas: &'s [Value],
        value: &Value,
        depth: u32,
        (enough, too_many): (usize, usize),
    ) -> Result<(usize, usize, usize), Spent> {
        let (mut fit, mut misfit, mut unknown) = (0, 0, 0);
        for schema in schemas {
            match self.fits(schema, value, depth)? {
                Some(true) => fit += 1,
                Some(false) => misfit += 1,
                None => unknown += 1,
            }
            if fit == enough || misfit == too_many {
                break;
            }
        }
        Ok((fit, misfit, unknown))
    }

    /// A reference within the schema: `#`, or `#` and a JSON pointer.
    fn reference(&mut self, to: &str, value: &Value, depth: u32) -> Judged {
        let target = to.strip_prefix('#').filter(|pointer| !pointer.contains('%'));
        let root: &'s Value = self.root;
        match target.and_then(|pointer| root.pointer(pointer)) {
            Some(schema) => self.fits(schema, value, depth),
            None => Ok(None),
        }
    }

    /// Whether two values are the same: numbers by their value, objects in any order.
    fn same(&mut self, one: &Value, other: &Value) -> Result<bool, Spent> {
        self.spend(1)?;
        match (one, other) {
            (Value::Number(a), Value::Number(b)) => {
                Ok(keywords::order(a, b).is_some_and(|o| o.is_eq()))
            }
            (Value::Array(a), Value::Array(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (a, b) in a.iter().zip(b) {
                    if !self.same(a, b)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Value::Object(a), Value::Object(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (name, a) in a {
                    let same = match b.get(name) {
                        Some(b) => self.same(a, b)?,
                        None => false,
                    };
                    if !same {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Value::String(a), Value::String(b)) => {
                self.spend(a.len() / 64)?;
                Ok(a == b)
            }
            (one, other) => Ok(one == other),
        }
    }

    /// Whether one of these is the value.
    fn is_among(&mut self, values: &[Value], value: &Value) -> Judged {
        for one in values {
            if self.same(one, value)? {
                return Ok(Some(true));
            }
        }
        Ok(Some(false))
    }

    /// Whether a text has a part that is like this pattern.
    fn is_like(&mut self, pattern: &'s str, text: &str) -> Judged {
        self.spend(1 + text.len().saturating_mul(8))?;
        if !self.patterns.contains_key(pattern) {
            if self.patterns.len() == pattern::PATTERNS_MAX {
                return Ok(None);
            }
            self.spend(PATTERN_STEPS)?;
            self.patterns.insert(pattern, pattern::compile(pattern));
        }
        let regex = self.patterns.get(pattern).and_then(Option::as_ref);
        Ok(regex.map(|regex| regex.is_match(text)))
    }
}

#[cfg(test)]
mod tests;
