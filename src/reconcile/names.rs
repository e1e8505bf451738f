//! Which of our models a provider means by a name.

use std::collections::{BTreeMap, BTreeSet};

/// What is known of the provider's names.
#[derive(Clone, Debug, Default)]
pub struct Names {
    told: BTreeMap<String, String>,
    upstream: BTreeMap<String, BTreeSet<String>>,
}

impl Names {
    /// What the operator says: the provider's name and our model. Goes before everything else.
    pub fn tell(&mut self, theirs: &str, ours: &str) {
        self.told.insert(theirs.to_owned(), base(ours).to_owned());
    }

    /// An endpoint's name of a model, as the configuration has it.
    pub fn configured(&mut self, upstream: &str, ours: &str) {
        self.upstream.entry(upstream.to_owned()).or_default().insert(base(ours).to_owned());
    }

    /// The one of `known`, our models without suffixes, that the provider means by a name: as the
    /// operator says, as the configuration says, or as the names agree once case, separators and,
    /// if need be, the date of a snapshot are left aside. Absent if none does, or if several do.
    pub(super) fn ours(&self, theirs: &str, known: &BTreeSet<String>) -> Option<String> {
        if let Some(told) = self.told.get(theirs) {
            return Some(told.clone());
        }
        if let Some(one) = self.upstream.get(theirs).and_then(only) {
            return Some(one);
        }
        let plain = plain(theirs);
        let undated = undated(&plain);
        [plain.as_str(), undated].iter().find_map(|name| {
            let same: BTreeSet<String> =
                known.iter().filter(|id| slug(id) == *name).cloned().collect();
            only(&same)
        })
    }
}

fn only(of: &BTreeSet<String>) -> Option<String> {
    of.first().filter(|_| of.len() == 1).cloned()
}

/// A model's id without its suffixes (`:free`), which no provider knows of.
pub(super) fn base(id: &str) -> &str {
    id.split(':').next().unwrap_or(id)
}

/// The name after the author, spelled plainly.
fn slug(id: &str) -> String {
    plain(id.rsplit('/').next().unwrap_or(id))
}

/// Lower case, and one kind of separator: `Claude Opus 4.5` is `claude-opus-4-5`.
fn plain(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or(name).trim();
    name.chars().map(|c| if " ._".contains(c) { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// Without `-YYYY-MM-DD` or `-YYYYMMDD` at its end.
fn undated(name: &str) -> &str {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    for (len, parts) in [(11, [4, 2, 2].as_slice()), (9, &[8])] {
        let Some((rest, end)) =
            name.len().checked_sub(len).and_then(|at| name.split_at_checked(at))
        else {
            continue;
        };
        let dated = end.strip_prefix('-').is_some_and(|date| {
            date.split('-').map(str::len).eq(parts.iter().copied()) && date.split('-').all(digits)
        });
        if dated {
            return rest;
        }
    }
    name
}
