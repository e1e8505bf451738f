//! What each day adds up to, for people and for reconciliation.

use serde::{Deserialize, Serialize};

use crate::vocab::{AccountId, EndpointId, KeyId, ModelId, NanoUsd, Usage};

/// Whose sums.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Who {
    /// Who paid.
    pub account: AccountId,
    /// The key that was used.
    pub key: KeyId,
    /// The model that answered, if it is known.
    pub model: Option<ModelId>,
    /// The endpoint that answered; absent for answers from the cache.
    pub endpoint: Option<EndpointId>,
}

impl Who {
    /// The provider: an endpoint's id begins with it.
    pub fn provider(&self) -> Option<&str> {
        self.endpoint.as_ref().and_then(|id| id.as_str().split('/').next())
    }
}

/// Sums over generations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Answers that ended at this endpoint.
    pub requests: u64,
    /// Parts of answers that this endpoint began and another one ended: a request to the provider
    /// each, and none of the caller's.
    pub legs: u64,
    /// Requests and legs whose usage the provider did not tell.
    pub estimated: u64,
    /// All input tokens, cached ones included.
    pub prompt_tokens: u64,
    /// Input tokens read from the provider's cache.
    pub cache_read_tokens: u64,
    /// Input tokens written to the provider's cache.
    pub cache_write_tokens: u64,
    /// All output tokens, reasoning included.
    pub completion_tokens: u64,
    /// Reasoning tokens.
    pub reasoning_tokens: u64,
    /// What was charged.
    pub cost: NanoUsd,
    /// What providers charge for usage that was paid by a key of the caller's or operator's own.
    pub upstream_cost: NanoUsd,
}

impl Sums {
    /// How many counts there are.
    pub(crate) const COUNTS: usize = 8;

    /// The tokens of one usage.
    pub(crate) const fn of(usage: &Usage) -> Self {
        Self {
            requests: 0,
            legs: 0,
            estimated: 0,
            prompt_tokens: usage.prompt,
            cache_read_tokens: usage.cache_read,
            cache_write_tokens: usage.cache_write_5m.saturating_add(usage.cache_write_1h),
            completion_tokens: usage.completion,
            reasoning_tokens: usage.reasoning,
            cost: NanoUsd::ZERO,
            upstream_cost: NanoUsd::ZERO,
        }
    }

    pub(crate) const fn counts(&self) -> [u64; Self::COUNTS] {
        [
            self.requests,
            self.legs,
            self.estimated,
            self.prompt_tokens,
            self.cache_read_tokens,
            self.cache_write_tokens,
            self.completion_tokens,
            self.reasoning_tokens,
        ]
    }

    pub(crate) const fn from_counts(
        counts: [u64; Self::COUNTS],
        cost: NanoUsd,
        upstream_cost: NanoUsd,
    ) -> Self {
        let [requests, legs, estimated, prompt, cache_read, cache_write, completion, reasoning] =
            counts;
        Self {
            requests,
            legs,
            estimated,
            prompt_tokens: prompt,
            cache_read_tokens: cache_read,
            cache_write_tokens: cache_write,
            completion_tokens: completion,
            reasoning_tokens: reasoning,
            cost,
            upstream_cost,
        }
    }

    /// Adds others; sums that would overflow stay at their largest.
    pub fn add(&mut self, more: &Self) {
        let (mine, theirs) = (self.counts(), more.counts());
        let sums = std::array::from_fn(|i| mine[i].saturating_add(theirs[i]));
        let upstream_cost = self.upstream_cost + more.upstream_cost;
        *self = Self::from_counts(sums, self.cost + more.cost, upstream_cost);
    }
}

/// The sums of one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// The day in UTC, counted from the first of January 1970.
    pub day: u16,
    /// Whose.
    #[serde(flatten)]
    pub who: Who,
    /// How much.
    #[serde(flatten)]
    pub sums: Sums,
}

/// Which days' sums are wanted; what is absent does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActivityQuery {
    /// The first day in UTC, counted from the first of January 1970.
    pub from_day: u16,
    /// The last day.
    pub to_day: u16,
    /// Who paid.
    pub account: Option<AccountId>,
    /// The key that was used.
    pub key: Option<KeyId>,
    /// The provider.
    pub provider: Option<String>,
}

impl ActivityQuery {
    pub(crate) fn wants(&self, who: &Who) -> bool {
        self.account.as_ref().is_none_or(|account| *account == who.account)
            && self.key.as_ref().is_none_or(|key| *key == who.key)
            && self.provider.as_deref().is_none_or(|provider| who.provider() == Some(provider))
    }
}
