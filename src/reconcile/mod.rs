//! Our records against a provider's own account of what we used, by day and model.
//!
//! A provider's export is read ([`read`]: OpenAI's and Anthropic's usage and cost reports, or any CSV
//! with named columns), its models' names are matched with ours ([`Names`]), and what both sides say
//! is laid side by side ([`Report`]). What an export does not tell (a cost report has no tokens) is
//! not compared.
//!
//! Days are UTC. We count a request on the day on which it arrived, providers mostly on the day on
//! which they finished it: around midnight a request may stand on either side.

mod amounts;
mod names;
mod ours;
mod read;
mod report;

use std::collections::BTreeMap;

pub use amounts::{Day, Percent};
pub use names::Names;
pub use ours::Ours;
pub use read::{BadExport, Column, Columns, Theirs, read};
pub use report::{Limits, Line, Report};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// Requests that the provider answered.
    Requests,
    /// Input tokens, cached ones included.
    Prompt,
    /// Input tokens that were read from the provider's cache; part of [`Self::Prompt`].
    Cached,
    /// Output tokens, reasoning included.
    Completion,
    /// What the provider charges, in nano-dollars.
    Cost,
}

impl Measure {
    /// Every measure, in the order in which reports show them.
    pub const ALL: [Self; 5] =
        [Self::Requests, Self::Prompt, Self::Cached, Self::Completion, Self::Cost];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Prompt => "prompt_tokens",
            Self::Cached => "cached_tokens",
            Self::Completion => "completion_tokens",
            Self::Cost => "cost_usd",
        }
    }
}

/// A sum for each measure that is told; costs in nano-dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums([Option<i128>; 5]);

impl Sums {
    /// The sum of a measure; absent where nothing tells it.
    pub const fn get(&self, measure: Measure) -> Option<i128> {
        self.0[measure as usize]
    }

    /// Adds to a measure, which is told from now on.
    pub fn add(&mut self, measure: Measure, more: i128) {
        *self.0[measure as usize].get_or_insert(0) += more;
    }

    /// Adds all measures that `other` tells.
    pub fn merge(&mut self, other: &Self) {
        for measure in Measure::ALL {
            if let Some(more) = other.get(measure) {
                self.add(measure, more);
            }
        }
    }
}

/// Sums by day and by a model's name.
pub type Table = BTreeMap<(Day, String), Sums>;

#[cfg(test)]
mod tests;
