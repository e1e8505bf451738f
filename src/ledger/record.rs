//! What is kept about a generation once it is over: metadata and counters, never content.

use serde::Serialize;

use crate::vocab::{AccountId, EndpointId, GenerationId, KeyId, ModelId, NanoUsd};
use crate::vocab::{ProviderId, Usage};

use super::wire::{Malformed, Put, Take, cut};

/// The record of one generation.
///
/// It is part of the journal entry that ends the generation, so that a charge and its explanation
/// cannot be separated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GenerationRecord {
    /// The generation.
    #[serde(serialize_with = "as_text")]
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
}

/// A part of an answer, by a provider that broke off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leg {
    /// Who gave it.
    pub endpoint: EndpointId,
    /// What was consumed.
    pub usage: Usage,
    /// What that cost.
    pub cost: NanoUsd,
}

fn as_text<S: serde::Serializer>(id: &GenerationId, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(id.text().as_str())
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
        }
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
    }

    /// Appends the record. The texts must be [bounded](Self::bound) for it to read back the same.
    pub(crate) fn put(&self, to: &mut Put<'_>) {
        to.u128(self.id.bits());
        to.u64(self.created_ms);
        to.text(self.account.as_str(), AccountId::LEN_MAX);
        to.text(self.key.as_str(), KeyId::LEN_MAX);
        to.opt_text(self.model.as_ref().map(ModelId::as_str), ModelId::LEN_MAX);
        to.opt_text(self.provider.as_ref().map(ProviderId::as_str), ProviderId::LEN_MAX);
        to.opt_text(self.endpoint.as_ref().map(EndpointId::as_str), EndpointId::LEN_MAX);
        to.opt_text(self.upstream_id.as_deref(), Self::TEXT_MAX);
        to.opt_text(self.finish_reason.as_deref(), Self::TEXT_MAX);
        to.opt_text(self.native_finish_reason.as_deref(), Self::TEXT_MAX);
        let flags = [
            self.streamed,
            self.cancelled,
            self.cache_hit,
            self.recovered,
            self.usage.estimated,
            !self.legs.is_empty(),
        ];
        to.u8(flags.iter().enumerate().fold(0, |bits, (i, on)| bits | u8::from(*on) << i));
        for count in counters(&self.usage) {
            to.u64(count);
        }
        to.i64(self.cost.0);
        to.u64(self.latency_ms.into());
        to.opt_u64(self.ttft_ms.map(u64::from));
        to.u64(self.generation_ms.into());
        to.u64(self.attempts.into());
        to.u64(self.status.into());
        if !self.legs.is_empty() {
            to.u64(self.legs.len() as u64);
        }
        for leg in &self.legs {
            to.text(leg.endpoint.as_str(), EndpointId::LEN_MAX);
            to.u8(leg.usage.estimated.into());
            for count in counters(&leg.usage) {
                to.u64(count);
            }
            to.i64(leg.cost.0);
        }
    }

    /// Reads a record.
    pub(crate) fn take(from: &mut Take<'_>) -> Result<Self, Malformed> {
        let mut record = Self::bare(
            GenerationId::from_bits(from.u128("generation id")?),
            from.u64("creation time")?,
            id(from.text(AccountId::LEN_MAX, "account")?, AccountId::parse, "account")?,
            id(from.text(KeyId::LEN_MAX, "key")?, KeyId::parse, "key")?,
        );
        record.model = from
            .opt_text(ModelId::LEN_MAX, "model")?
            .map(|text| id(text, ModelId::parse, "model"))
            .transpose()?;
        record.provider = from
            .opt_text(ProviderId::LEN_MAX, "provider")?
            .map(|text| id(text, ProviderId::parse, "provider"))
            .transpose()?;
        record.endpoint = from
            .opt_text(EndpointId::LEN_MAX, "endpoint")?
            .map(|text| id(text, EndpointId::parse, "endpoint"))
            .transpose()?;
        record.upstream_id = from.opt_text(Self::TEXT_MAX, "upstream id")?.map(str::to_owned);
        record.finish_reason = from.opt_text(Self::TEXT_MAX, "finish reason")?.map(str::to_owned);
        record.native_finish_reason =
            from.opt_text(Self::TEXT_MAX, "native finish reason")?.map(str::to_owned);
        let flags = from.u8("flags")?;
        if flags >= 1 << 6 {
            return Err(Malformed("flags"));
        }
        record.streamed = flags & 1 != 0;
        record.cancelled = flags & 2 != 0;
        record.cache_hit = flags & 4 != 0;
        record.recovered = flags & 8 != 0;
        record.usage = take_usage(from, flags & 16 != 0)?;
        record.cost = NanoUsd(from.i64("cost")?);
        record.latency_ms = from.u32("latency")?;
        record.ttft_ms = match from.opt_u64("time to first token")? {
            None => None,
            Some(ms) => Some(u32::try_from(ms).map_err(|_| Malformed("time to first token"))?),
        };
        record.generation_ms = from.u32("generation time")?;
        record.attempts = from.u32("attempts")?;
        record.status = u16::try_from(from.u64("status")?).map_err(|_| Malformed("status"))?;
        if flags & 32 != 0 {
            record.legs = take_legs(from)?;
        }
        Ok(record)
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

fn take_legs(from: &mut Take<'_>) -> Result<Vec<Leg>, Malformed> {
    let count = from.u64("number of legs")?;
    let count =
        usize::try_from(count).ok().filter(|n| (1..=GenerationRecord::LEGS_MAX).contains(n));
    let one = |_| {
        let endpoint = from.text(EndpointId::LEN_MAX, "leg")?;
        let endpoint = id(endpoint, EndpointId::parse, "leg")?;
        let estimated = match from.u8("leg")? {
            0 => false,
            1 => true,
            _ => return Err(Malformed("leg")),
        };
        let usage = take_usage(from, estimated)?;
        Ok(Leg { endpoint, usage, cost: NanoUsd(from.i64("leg")?) })
    };
    (0..count.ok_or(Malformed("number of legs"))?).map(one).collect()
}

const fn counters(usage: &Usage) -> [u64; 10] {
    [
        usage.prompt,
        usage.cache_read,
        usage.cache_write_5m,
        usage.cache_write_1h,
        usage.audio_prompt,
        usage.completion,
        usage.reasoning,
        usage.audio_completion,
        usage.images,
        usage.searches,
    ]
}

fn take_usage(from: &mut Take<'_>, estimated: bool) -> Result<Usage, Malformed> {
    let mut next = || from.u64("usage");
    Ok(Usage {
        prompt: next()?,
        cache_read: next()?,
        cache_write_5m: next()?,
        cache_write_1h: next()?,
        audio_prompt: next()?,
        completion: next()?,
        reasoning: next()?,
        audio_completion: next()?,
        images: next()?,
        searches: next()?,
        estimated,
    })
}
