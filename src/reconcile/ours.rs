//! What our records say of one provider.

use super::amounts::Day;
use super::names::base;
use super::{Measure, Sums, Table};
use crate::ledger::GenerationRecord;
use crate::vocab::{NanoUsd, ProviderId, Usage};

/// Our side of the comparison.
#[derive(Clone, Debug)]
pub struct Ours {
    provider: ProviderId,
    pub(super) table: Table,
    /// Requests whose tokens we counted ourselves.
    pub(super) estimated: Table,
    /// Generations that recovery ended, which name no provider, and what they cost.
    pub(super) unattributed: Table,
}

impl Ours {
    /// Nothing yet of this provider.
    pub fn of(provider: ProviderId) -> Self {
        Self { provider, table: Table::new(), estimated: Table::new(), unattributed: Table::new() }
    }

    /// Adds what a generation used at the provider: its answer, or the part of it that the provider
    /// gave before another went on. Answers from the cache used nothing, and what an account's own
    /// key was used for stands on the account's bill.
    pub fn add(&mut self, record: &GenerationRecord) {
        let day = Day::of_secs(record.created_ms / 1_000);
        let model = record.model.as_ref().map_or("", |model| base(model.as_str()));
        let key = (day, model.to_owned());
        if record.recovered {
            let sums = self.unattributed.entry(key).or_default();
            sums.add(Measure::Requests, 1);
            sums.add(Measure::Cost, record.cost.0.into());
            return;
        }
        if record.cache_hit || record.details.upstream_cost.is_some() {
            return;
        }
        // What the provider is owed, whatever the caller got off it.
        let owed = record.cost - record.details.plugins + record.details.discount;
        let mut last = (record.usage, owed);
        for leg in &record.legs {
            last = (less(&last.0, &leg.usage), last.1 - leg.cost);
            let host = leg.endpoint.as_str().split('/').next();
            if host == Some(self.provider.as_str()) {
                self.used(&key, &leg.usage, leg.cost);
            }
        }
        if record.provider.as_ref() == Some(&self.provider) {
            self.used(&key, &last.0, last.1);
        }
    }

    fn used(&mut self, key: &(Day, String), usage: &Usage, cost: NanoUsd) {
        if *usage == Usage::default() && cost == NanoUsd::ZERO {
            return;
        }
        let mut sums = Sums::default();
        sums.add(Measure::Requests, 1);
        sums.add(Measure::Prompt, usage.prompt.into());
        sums.add(Measure::Cached, usage.cache_read.into());
        sums.add(Measure::Completion, usage.completion.into());
        sums.add(Measure::Cost, cost.0.into());
        self.table.entry(key.clone()).or_default().merge(&sums);
        if usage.estimated {
            self.estimated.entry(key.clone()).or_default().add(Measure::Requests, 1);
        }
    }
}

fn less(all: &Usage, part: &Usage) -> Usage {
    Usage {
        prompt: all.prompt.saturating_sub(part.prompt),
        cache_read: all.cache_read.saturating_sub(part.cache_read),
        completion: all.completion.saturating_sub(part.completion),
        ..*all
    }
}
