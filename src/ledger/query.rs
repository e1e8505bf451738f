//! Pages of generations, the newest first.

use std::fmt;
use std::sync::Arc;

use super::record::GenerationRecord;
use crate::vocab::{AccountId, KeyId, ModelId, ProviderId};

/// Which generations are wanted; what is absent does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenerationQuery {
    /// Who paid.
    pub account: Option<AccountId>,
    /// The key that was used.
    pub key: Option<KeyId>,
    /// The model that answered.
    pub model: Option<ModelId>,
    /// The provider that answered.
    pub provider: Option<ProviderId>,
    /// Only those that ended at this time or later, in milliseconds since 1970.
    pub from_ms: Option<u64>,
    /// Only those that ended before this time.
    pub to_ms: Option<u64>,
    /// Go on after the page that gave this.
    pub after: Option<Cursor>,
    /// The most generations in the page, 1 to [`Self::LIMIT_MAX`].
    pub limit: usize,
}

impl GenerationQuery {
    /// The most generations in a page.
    pub const LIMIT_MAX: usize = 1_000;

    /// How many records are looked at for one page.
    pub(crate) const LOOKS_MAX: usize = 20_000;

    /// Whether the record is wanted, which ended at this time.
    pub(crate) fn wants(&self, record: &GenerationRecord, ended_ms: u64) -> bool {
        self.account.as_ref().is_none_or(|account| *account == record.account)
            && self.key.as_ref().is_none_or(|key| *key == record.key)
            && self.model.as_ref().is_none_or(|model| record.model.as_ref() == Some(model))
            && self.provider.as_ref().is_none_or(|p| record.provider.as_ref() == Some(p))
            && self.from_ms.is_none_or(|from| ended_ms >= from)
            && self.to_ms.is_none_or(|to| ended_ms < to)
    }
}

/// One page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenerationPage {
    /// Generations, the last that ended first.
    pub records: Vec<Arc<GenerationRecord>>,
    /// Where the next page goes on; absent where there is nothing more. A page may have fewer
    /// records than asked for, or none, and yet go on: so much was looked at that was not wanted.
    pub next: Option<Cursor>,
}

/// A place in the order of ends. Its text form is for callers to hand back as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) time_ms: u64,
    pub(crate) seq: u64,
}

impl Cursor {
    /// Reads the text form.
    pub fn parse(text: &str) -> Option<Self> {
        let (time, seq) = text.split_once('-')?;
        let number = |text: &str| {
            let hex = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
            hex.then(|| u64::from_str_radix(text, 16).ok()).flatten()
        };
        Some(Self { time_ms: number(time)?, seq: number(seq)? })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.time_ms, self.seq)
    }
}
