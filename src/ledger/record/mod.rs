//! What is kept about a generation once it is over: metadata and counters, never content.

mod details;
mod spelling;

use serde::{Deserialize, Serialize};

use crate::vocab::{AccountId, EndpointId, GenerationId, KeyId, ModelId, NanoUsd};
use crate::vocab::{ProviderId, Usage};

use super::wire::{Malformed, cut};

pub use details::{ApiType, Details, Tried, UnitPrices};

/// The record of one generation.
///
/// It is part of the journal entry that ends the generation, so that a charge and its explanation
/// cannot be separated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationRecord {
    /// The generation.
    #[serde(with = "text_of_id")]
    pub id: GenerationId,
    /// When the request arrived, in milliseconds since 1970.
    pub created_ms: u64,
    /// Who pays.
    pub account: AccountId,
    /// The key that was used.
    pub key: KeyId,
    /// The model that answered. Absent only if the gateway died before it could say.
    pub model: Option<ModelId>,
    /// The provider that answered; absent if none did.
    pub provider: Option<ProviderId>,
    /// The endpoint that answered; absent if none did.
    pub endpoint: Option<EndpointId>,
    /// The provider's own id of the answer, at most [`Self::TEXT_MAX`] bytes.
    pub upstream_id: Option<String>,
    /// The answer was a stream.
    pub streamed: bool,
    /// The client left before the end.
    pub cancelled: bool,
    /// Why the answer ended, in our words, at most [`Self::TEXT_MAX`] bytes.
    pub finish_reason: Option<String>,
    /// Why the answer ended, in the provider's words, at most [`Self::TEXT_MAX`] bytes.
    pub native_finish_reason: Option<String>,
    /// What was consumed.
    pub usage: Usage,
    /// What the account pays. [`super::Charge::cost`] overrides it.
    pub cost: NanoUsd,
    /// The answer came from the cache.
    pub cache_hit: bool,
    /// From the arrival of the request to the first byte of the provider's answer, in ms.
    pub latency_ms: u32,
    /// From the arrival of the request to the first token, in ms; absent if none came.
    pub ttft_ms: Option<u32>,
    /// From the first to the last token, in ms.
    pub generation_ms: u32,
    /// How many attempts were made.
    pub attempts: u32,
    /// The HTTP status that the client got; 0 if it got none.
    pub status: u16,
    /// The record was made by recovery after a crash: only ids, time and cost are known.
    pub recovered: bool,
    /// Parts of the answer whose providers broke off, in order and at most [`Self::LEGS_MAX`]: the
    /// provider above went on after the last of them. What they used and cost is part of `usage`
    /// and `cost`.
    pub legs: Vec<Leg>,
    /// What applies to some generations only.
    #[serde(default)]
    pub details: Details,
}

/// A part of an answer, by a provider that broke off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// Who gave it.
    pub endpoint: EndpointId,
    /// What was consumed.
    pub usage: Usage,
    /// What that cost.
    pub cost: NanoUsd,
}

impl GenerationRecord {
    /// The longest text field, in bytes; longer ones are cut.
    pub const TEXT_MAX: usize = 256;

    /// The most legs that are kept.
    pub const LEGS_MAX: usize = 4;

    /// A record that knows no more than who asked and when.
    pub fn bare(id: GenerationId, created_ms: u64, account: AccountId, key: KeyId) -> Self {
        Self {
            id,
            created_ms,
            account,
            key,
            model: None,
            provider: None,
            endpoint: None,
            upstream_id: None,
            streamed: false,
            cancelled: false,
            finish_reason: None,
            native_finish_reason: None,
            usage: Usage::default(),
            cost: NanoUsd::ZERO,
            cache_hit: false,
            latency_ms: 0,
            ttft_ms: None,
            generation_ms: 0,
            attempts: 0,
            status: 0,
            recovered: false,
            legs: Vec::new(),
            details: Details::default(),
        }
    }

    /// The variant of the model that was asked for: what follows the first colon of its name.
    pub fn variant(&self) -> Option<&str> {
        let asked = self.details.requested_model.as_deref();
        let (_, variant) = asked.or(self.model.as_ref().map(ModelId::as_str))?.split_once(':')?;
        Some(variant)
    }

    /// What the account paid to the provider by a contract of its own.
    pub(crate) fn paid_directly(&self) -> NanoUsd {
        self.details.upstream_cost.unwrap_or_default()
    }

    /// What the provider that ended the answer did of it, and what that cost: all, less the legs.
    pub fn last_part(&self) -> (Usage, NanoUsd) {
        let (mut usage, mut cost) = (self.usage, self.cost);
        for leg in &self.legs {
            for (all, part) in [
                (&mut usage.prompt, leg.usage.prompt),
                (&mut usage.cache_read, leg.usage.cache_read),
                (&mut usage.cache_write_5m, leg.usage.cache_write_5m),
                (&mut usage.cache_write_1h, leg.usage.cache_write_1h),
                (&mut usage.audio_prompt, leg.usage.audio_prompt),
                (&mut usage.completion, leg.usage.completion),
                (&mut usage.reasoning, leg.usage.reasoning),
                (&mut usage.audio_completion, leg.usage.audio_completion),
                (&mut usage.images, leg.usage.images),
                (&mut usage.searches, leg.usage.searches),
            ] {
                *all = all.saturating_sub(part);
            }
            cost -= leg.cost;
        }
        (usage, cost)
    }

    /// What the provider's prompt cache saved, by the prices that were in force: below zero where
    /// writing to it cost more than was saved. Absent if it was not used, or the prices are not
    /// known.
    pub fn cache_discount(&self) -> Option<NanoUsd> {
        let prices = self.details.prices.as_ref()?;
        let mut pico = prices.saved(&self.last_part().0);
        for (leg, prices) in self.legs.iter().zip(&self.details.leg_prices) {
            pico += prices.saved(&leg.usage);
        }
        let used =
            self.usage.cache_read + self.usage.cache_write_5m + self.usage.cache_write_1h > 0;
        used.then(|| NanoUsd::from_pico(pico))
    }

    /// Cuts the texts to the length that is stored.
    pub(crate) fn bound(&mut self) {
        for text in [&mut self.upstream_id, &mut self.finish_reason, &mut self.native_finish_reason]
        {
            if let Some(text) = text
                && text.len() > Self::TEXT_MAX
            {
                text.truncate(cut(text, Self::TEXT_MAX).len());
            }
        }
        self.legs.truncate(Self::LEGS_MAX);
        self.details.bound(self.legs.len());
    }
}

/// Reads an id, whose own rules apply.
pub(crate) fn id<T, E>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, E>,
    what: &'static str,
) -> Result<T, Malformed> {
    parse(text).map_err(|_| Malformed(what))
}

/// The text form of a generation's id, in JSON.
pub(super) mod text_of_id {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::vocab::GenerationId;

    pub(crate) fn serialize<S: Serializer>(id: &GenerationId, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(id.text().as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<GenerationId, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        GenerationId::parse(&text).ok_or_else(|| D::Error::custom("not a generation's id"))
    }

    /// The same, where it may be absent.
    pub(crate) mod optional {
        use serde::{Deserialize, Deserializer, Serializer};

        use crate::vocab::GenerationId;

        pub(crate) fn serialize<S: Serializer>(
            id: &Option<GenerationId>,
            to: S,
        ) -> Result<S::Ok, S::Error> {
            match id {
                Some(id) => super::serialize(id, to),
                None => to.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
            from: D,
        ) -> Result<Option<GenerationId>, D::Error> {
            #[derive(Deserialize)]
            struct Id(#[serde(with = "super")] GenerationId);
            Ok(Option::<Id>::deserialize(from)?.map(|id| id.0))
        }
    }
}

#[cfg(test)]
mod tests;
