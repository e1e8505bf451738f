//! What a provider does with prompts and answers.
//!
//! These are declarations, not audits. Where nothing is declared, the worst is assumed, as
//! OpenRouter does (its page on provider logging, read 2026-09): the provider trains on what it is
//! sent and keeps it.

/// How long prompts and answers are kept after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retention {
    /// Not at all, beyond what answering needs.
    None,
    /// For this many days, at least one.
    Days(u32),
    /// Nobody says for how long: taken as for ever.
    Unknown,
}

/// What is done with prompts and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DataPolicy {
    /// They may be used for training.
    pub trains: bool,
    /// How long they are kept.
    pub retention: Retention,
    /// They may be published.
    pub publishes: bool,
}

impl DataPolicy {
    /// What is assumed where nothing is declared.
    pub const UNKNOWN: Self =
        Self { trains: true, retention: Retention::Unknown, publishes: false };

    /// Nothing is kept, learned from or published: what `provider.zdr` asks for.
    pub const fn zero_retention(self) -> bool {
        matches!(self.retention, Retention::None) && !self.trains && !self.publishes
    }

    /// Something is kept, learned from or published: what `provider.data_collection = "deny"`
    /// excludes.
    pub const fn collects(self) -> bool {
        !self.zero_retention()
    }
}

impl Default for DataPolicy {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_declared_is_assumed_to_be_bad() {
        assert!(!DataPolicy::default().zero_retention());
        assert!(DataPolicy::default().collects());
    }

    #[test]
    fn each_use_of_the_data_counts() {
        let none = DataPolicy { trains: false, retention: Retention::None, publishes: false };
        assert!(none.zero_retention() && !none.collects());
        for other in [
            DataPolicy { trains: true, ..none },
            DataPolicy { retention: Retention::Days(30), ..none },
            DataPolicy { retention: Retention::Unknown, ..none },
            DataPolicy { publishes: true, ..none },
        ] {
            assert!(!other.zero_retention() && other.collects(), "{other:?}");
        }
    }
}
