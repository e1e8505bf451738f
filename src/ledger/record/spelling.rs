//! A record's bytes.
//!
//! What another field says already is not spelled again: a provider and a model that the endpoint's
//! id is made of, and a finish reason in the provider's words that is ours as well.

use crate::vocab::{AccountId, EndpointId, GenerationId, KeyId, ModelId, NanoUsd};
use crate::vocab::{ProviderId, Usage};

use super::{Details, GenerationRecord, Leg, id};
use crate::ledger::wire::{Malformed, Put, Take};

/// In place of "absent" and "present": as another field says.
const AS_SAID: u8 = 2;
const MODEL: &str = "model";
/// The model is called as the whole endpoint.
const WHOLE: u8 = 3;

impl GenerationRecord {
    /// Appends the record. The texts must be [bounded](Self::bound) for it to read back the same.
    pub(crate) fn put(&self, to: &mut Put<'_>) {
        to.u128(self.id.bits());
        to.u64(self.created_ms);
        to.text(self.account.as_str(), AccountId::LEN_MAX);
        to.text(self.key.as_str(), KeyId::LEN_MAX);
        let (provider, model) = named_by(self.endpoint.as_ref());
        let said = |text: Option<&str>, same: Option<&str>| text.is_some() && text == same;
        match self.model.as_ref().map(ModelId::as_str) {
            text if said(text, model) => to.u8(AS_SAID),
            text if said(text, self.endpoint.as_ref().map(EndpointId::as_str)) => to.u8(WHOLE),
            text => to.opt_text(text, ModelId::LEN_MAX),
        }
        match self.provider.as_ref().map(ProviderId::as_str) {
            text if said(text, provider) => to.u8(AS_SAID),
            text => to.opt_text(text, ProviderId::LEN_MAX),
        }
        to.opt_text(self.endpoint.as_ref().map(EndpointId::as_str), EndpointId::LEN_MAX);
        to.opt_text(self.upstream_id.as_deref(), Self::TEXT_MAX);
        to.opt_text(self.finish_reason.as_deref(), Self::TEXT_MAX);
        match self.native_finish_reason.as_deref() {
            text if said(text, self.finish_reason.as_deref()) => to.u8(AS_SAID),
            text => to.opt_text(text, Self::TEXT_MAX),
        }
        let detailed = self.details != Details::default();
        let flags = [
            self.streamed,
            self.cancelled,
            self.cache_hit,
            self.recovered,
            self.usage.estimated,
            !self.legs.is_empty(),
            detailed,
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
        if detailed {
            self.details.put(to);
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
        let model = Named::take(from, ModelId::LEN_MAX, MODEL)?;
        let provider = Named::take(from, ProviderId::LEN_MAX, "provider")?;
        record.endpoint = from
            .opt_text(EndpointId::LEN_MAX, "endpoint")?
            .map(|text| id(text, EndpointId::parse, "endpoint"))
            .transpose()?;
        let named = named_by(record.endpoint.as_ref());
        let whole = record.endpoint.as_ref().map(EndpointId::as_str);
        let said = if model.is_whole() { whole } else { named.1 };
        let model = model.resolve(said, MODEL)?;
        let provider = provider.resolve(named.0, "provider")?;
        record.model = model.map(|text| id(text, ModelId::parse, MODEL)).transpose()?;
        record.provider =
            provider.map(|text| id(text, ProviderId::parse, "provider")).transpose()?;
        record.upstream_id = from.opt_text(Self::TEXT_MAX, "upstream id")?.map(str::to_owned);
        record.finish_reason = from.opt_text(Self::TEXT_MAX, "finish reason")?.map(str::to_owned);
        let native = Named::take(from, Self::TEXT_MAX, "native finish reason")?;
        let native = native.resolve(record.finish_reason.as_deref(), "native finish reason")?;
        record.native_finish_reason = native.map(str::to_owned);
        let flags = from.u8("flags")?;
        if flags >= 1 << 7 {
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
        if flags & 64 != 0 {
            record.details = Details::take(from)?;
        }
        Ok(record)
    }
}

/// The provider and the model that an endpoint's id is made of, if it is.
fn named_by(endpoint: Option<&EndpointId>) -> (Option<&str>, Option<&str>) {
    endpoint.and_then(|id| id.as_str().split_once('/')).unzip()
}

/// A text that another field may say.
enum Named<'a> {
    Spelled(Option<&'a str>),
    AsSaid,
    Whole,
}

impl<'a> Named<'a> {
    fn take(from: &mut Take<'a>, max: usize, what: &'static str) -> Result<Self, Malformed> {
        let named = match from.0.first() {
            Some(&AS_SAID) => Self::AsSaid,
            Some(&WHOLE) if what == MODEL => Self::Whole,
            _ => return from.opt_text(max, what).map(Self::Spelled),
        };
        from.u8(what)?;
        Ok(named)
    }

    const fn is_whole(&self) -> bool {
        matches!(self, Self::Whole)
    }

    fn resolve<'b>(
        self,
        said: Option<&'b str>,
        what: &'static str,
    ) -> Result<Option<&'b str>, Malformed>
    where
        'a: 'b,
    {
        match self {
            Self::Spelled(text) => Ok(text),
            Self::AsSaid | Self::Whole => said.map(Some).ok_or(Malformed(what)),
        }
    }
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
