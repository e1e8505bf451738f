//! What a request may use, and how much of it.

use serde::{Deserialize, Serialize};

use super::TEXT_MAX;
use super::pattern::matches;

/// Restrictions. By default there are none. Where several apply (the key's, its account's, its
/// organisation's), each of them must allow what is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Only these models, as patterns with `*`; all if empty.
    pub allowed_models: Vec<String>,
    /// Not these models.
    pub ignored_models: Vec<String>,
    /// Only these providers, as patterns with `*`; all if empty.
    pub allowed_providers: Vec<String>,
    /// Not these providers.
    pub ignored_providers: Vec<String>,
    /// Only endpoints that do not train on what they are sent.
    pub no_training: bool,
    /// Only endpoints that keep nothing.
    pub zdr: bool,
    /// The most requests in a minute; more than 0.
    pub rpm: Option<u32>,
    /// The most tokens in a minute, prompt and answer; more than 0.
    pub tpm: Option<u64>,
    /// The most requests at the same time; more than 0.
    pub concurrency: Option<u32>,
}

/// How much may be asked in a minute and at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// The most requests in a minute.
    pub rpm: Option<u32>,
    /// The most tokens in a minute.
    pub tpm: Option<u64>,
    /// The most requests at the same time.
    pub concurrency: Option<u32>,
}

impl Rates {
    /// What both allow.
    pub fn and(self, other: Self) -> Self {
        fn less<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
            match (a, b) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            }
        }
        Self {
            rpm: less(self.rpm, other.rpm),
            tpm: less(self.tpm, other.tpm),
            concurrency: less(self.concurrency, other.concurrency),
        }
    }
}

impl Policy {
    /// How much it allows to be asked.
    pub const fn rates(&self) -> Rates {
        Rates { rpm: self.rpm, tpm: self.tpm, concurrency: self.concurrency }
    }

    /// The most patterns in all four lists together.
    pub const PATTERNS_MAX: usize = 64;

    /// The most bytes in all patterns together.
    pub const BYTES_MAX: usize = 2_000;

    /// Whether it says nothing of models, providers and data: then routing need not know of it.
    pub fn is_open(&self) -> bool {
        self.lists().all(|(_, list)| list.is_empty()) && !self.no_training && !self.zdr
    }

    /// Whether it allows a model, by its id.
    pub fn allows_model(&self, id: &str) -> bool {
        allows(&self.allowed_models, &self.ignored_models, id)
    }

    /// Whether it allows a provider, by its id.
    pub fn allows_provider(&self, id: &str) -> bool {
        allows(&self.allowed_providers, &self.ignored_providers, id)
    }

    fn lists(&self) -> impl Iterator<Item = (&'static str, &Vec<String>)> {
        [
            ("allowed_models", &self.allowed_models),
            ("ignored_models", &self.ignored_models),
            ("allowed_providers", &self.allowed_providers),
            ("ignored_providers", &self.ignored_providers),
        ]
        .into_iter()
    }

    /// Checks what a caller has put together.
    ///
    /// # Errors
    /// The field that is not possible, and why.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let (mut count, mut bytes) = (0, 0);
        for (name, list) in self.lists() {
            for pattern in list {
                let printable = pattern.bytes().all(|b| b.is_ascii_graphic());
                if pattern.is_empty() || pattern.len() > TEXT_MAX || !printable {
                    let why = format!(
                        "must hold patterns of 1 to {TEXT_MAX} printable ASCII characters without \
                         spaces, for instance \"openai/*\""
                    );
                    return Err((name, why));
                }
                count += 1;
                bytes += pattern.len();
            }
            if count > Self::PATTERNS_MAX || bytes > Self::BYTES_MAX {
                let why = format!(
                    "is too long: all lists together may hold {} patterns and {} bytes; use `*`",
                    Self::PATTERNS_MAX,
                    Self::BYTES_MAX
                );
                return Err((name, why));
            }
        }
        let zero = [
            ("rpm", self.rpm == Some(0)),
            ("tpm", self.tpm == Some(0)),
            ("concurrency", self.concurrency == Some(0)),
        ];
        match zero.into_iter().find(|(_, zero)| *zero) {
            Some((name, _)) => Err((name, "must be more than 0; leave it out for no limit".into())),
            None => Ok(()),
        }
    }
}

fn allows(allowed: &[String], ignored: &[String], id: &str) -> bool {
    let named = |list: &[String]| list.iter().any(|pattern| matches(pattern, id));
    (allowed.is_empty() || named(allowed)) && !named(ignored)
}
