//! What of a generation's record is there only where it applies: what was asked for, by whose
//! hand, who was tried, and by which prices it was charged.
//!
//! Each part is spelled as a tag, a length and so many bytes, in rising order of tags and ended by a
//! zero; what is absent costs nothing. An unknown tag is [`Malformed`]: a part that this version
//! cannot read must not get lost silently.

use serde::{Deserialize, Serialize};

use crate::vocab::{EndpointId, GenerationId, NanoUsd, PicoUsd, Usage};

use super::{id, text_of_id};
use crate::ledger::wire::{Malformed, Put, Take, cut};

/// The parts of a [`super::GenerationRecord`] that apply to some generations only.
///
/// Texts come from callers and providers and are cut to their bounds. None is of a prompt or an
/// answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// The model as it was asked for, if the one that answered is called otherwise; 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_model: Option<Box<str>>,
    /// The choice among models that was asked for (`turnpike/auto`); 128 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router: Option<Box<str>>,
    /// The preset that the request built on; 128 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Box<str>>,
    /// The caller's own id of the request (`X-Request-Id`); 128 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Box<str>>,
    /// The session (`session_id`, `X-Session-Id`); 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Box<str>>,
    /// The application's name (`X-OpenRouter-Title`, `X-Title`), if it gave its address; 128 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_title: Option<Box<str>>,
    /// The application's address (`HTTP-Referer`, `Referer`) without query; 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_referer: Option<Box<str>>,
    /// The page's origin (`Origin`), if it is not the referer's; 128 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Box<str>>,
    /// The client program (`User-Agent`); 96 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<Box<str>>,
    /// Tells the caller's users (`user`) apart: a keyed hash of the name; 128 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_user: Option<Box<str>>,
    /// The service tier that answered, if it is not the usual one; 32 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<Box<str>>,
    /// Where the data was processed, if that is known; 32 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_region: Option<Box<str>>,
    /// The stable code of the error that the client was told; 64 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Box<str>>,
    /// The format that the client spoke; absent in old records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiType>,
    /// The request had tools.
    pub had_tools: bool,
    /// Calls of tools in the answer.
    pub tool_calls: u32,
    /// Pictures, sounds, films and files in the prompt.
    pub media_prompt: u32,
    /// The generation whose answer was repeated from the cache.
    #[serde(skip_serializing_if = "Option::is_none", with = "text_of_id::optional")]
    pub cache_source: Option<GenerationId>,
    /// Attempts that failed before the answer, in order and at most [`Self::TRIED_MAX`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<Tried>,
    /// The prices that the last provider's part was charged by, frozen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prices: Option<UnitPrices>,
    /// The prices of each leg, in the legs' order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub leg_prices: Vec<UnitPrices>,
    /// What was taken off the price, for instance for opting in to logging. The record's cost is
    /// what remained.
    #[serde(skip_serializing_if = "is_nothing")]
    pub discount: NanoUsd,
    /// The provider was paid by a key of the caller's or operator's own: the record's cost is only
    /// the fee, and this is what the provider charges for the usage by its list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_cost: Option<NanoUsd>,
    /// What plugins added to the charge, for instance for a web search; a part of the record's cost.
    #[serde(skip_serializing_if = "is_nothing")]
    pub plugins: NanoUsd,
    /// Why the gateway ended the answer itself (for instance `credit`); 32 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<Box<str>>,
    /// The client left, and the provider was read to its end to learn what it charges.
    pub drained: bool,
    /// The answer was empty and so is not charged.
    pub insured: bool,
}

fn is_nothing(amount: &NanoUsd) -> bool {
    *amount == NanoUsd::ZERO
}

/// The formats in which clients ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiType {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Completions,
    /// `/v1/responses`.
    Responses,
    /// `/v1/messages`.
    Messages,
    /// `/v1/embeddings`.
    Embeddings,
    /// `/v1/rerank`.
    Rerank,
}

impl ApiType {
    const ALL: [Self; 6] = [
        Self::Chat,
        Self::Completions,
        Self::Responses,
        Self::Messages,
        Self::Embeddings,
        Self::Rerank,
    ];

    /// The name, as in the path.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::Embeddings => "embeddings",
            Self::Rerank => "rerank",
        }
    }
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// Which endpoint.
    pub endpoint: EndpointId,
    /// How it failed, in one word of ours; 32 bytes.
    pub outcome: Box<str>,
    /// The provider's status; 0 if it gave none.
    pub status: u16,
    /// How long it took, in milliseconds.
    pub ms: u32,
}

/// Prices per unit, as they were in force for one charge. An absent one is as the price it falls
/// back to (the catalog's rule).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnitPrices {
    /// Per input token.
    pub prompt: PicoUsd,
    /// Per output token.
    pub completion: PicoUsd,
    /// Per input token read from a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<PicoUsd>,
    /// Per input token written to a cache for 5 minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<PicoUsd>,
    /// Per input token written to a cache for an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<PicoUsd>,
    /// Per reasoning token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<PicoUsd>,
    /// Per input token of sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_prompt: Option<PicoUsd>,
    /// Per output token of sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_completion: Option<PicoUsd>,
    /// Per request; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<PicoUsd>,
    /// Per image put out; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<PicoUsd>,
    /// Per web search; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<PicoUsd>,
}

impl UnitPrices {
    /// What cached tokens cost less than others, in pico-dollars.
    pub(super) fn saved(&self, usage: &Usage) -> i128 {
        let write_5m = self.cache_write_5m.unwrap_or(self.prompt);
        let write_1h = self.cache_write_1h.unwrap_or(write_5m);
        let less = |price: PicoUsd, tokens: u64| self.prompt.times(tokens) - price.times(tokens);
        less(self.cache_read.unwrap_or(self.prompt), usage.cache_read)
            + less(write_5m, usage.cache_write_5m)
            + less(write_1h, usage.cache_write_1h)
    }

    fn optional(&self) -> [Option<PicoUsd>; 9] {
        [
            self.cache_read,
            self.cache_write_5m,
            self.cache_write_1h,
            self.reasoning,
            self.audio_prompt,
            self.audio_completion,
            self.request,
            self.image,
            self.search,
        ]
    }

    fn put(&self, to: &mut Put<'_>) {
        to.u64(self.prompt.0);
        to.u64(self.completion.0);
        let optional = self.optional();
        let there = optional.iter().enumerate();
        to.u64(there.fold(0, |bits, (i, price)| bits | u64::from(price.is_some()) << i));
        optional.into_iter().flatten().for_each(|price| to.u64(price.0));
    }

    fn take(from: &mut Take<'_>) -> Result<Self, Malformed> {
        let prompt = PicoUsd(from.u64("price")?);
        let completion = PicoUsd(from.u64("price")?);
        let there = from.u64("prices")?;
        if there >= 1 << 9 {
            return Err(Malformed("prices"));
        }
        let mut next = |i: u32| -> Result<Option<PicoUsd>, Malformed> {
            if there & 1 << i == 0 { Ok(None) } else { from.u64("price").map(|p| Some(PicoUsd(p))) }
        };
        Ok(Self {
            prompt,
            completion,
            cache_read: next(0)?,
            cache_write_5m: next(1)?,
            cache_write_1h: next(2)?,
            reasoning: next(3)?,
            audio_prompt: next(4)?,
            audio_completion: next(5)?,
            request: next(6)?,
            image: next(7)?,
            search: next(8)?,
        })
    }
}

/// The tags of the parts that are no plain texts; texts have the lower ones.
const API: u8 = 32;
const FLAGS: u8 = 33;
const TOOL_CALLS: u8 = 34;
const MEDIA_PROMPT: u8 = 35;
const CACHE_SOURCE: u8 = 36;
const TRIED: u8 = 37;
const PRICES: u8 = 38;
const LEG_PRICES: u8 = 39;
const DISCOUNT: u8 = 40;
const UPSTREAM_COST: u8 = 41;
const PLUGINS: u8 = 42;

impl Details {
    /// The most failed attempts that are kept.
    pub const TRIED_MAX: usize = 5;

    /// The longest outcome of a failed attempt, in bytes.
    const OUTCOME_MAX: usize = 32;

    /// Every text with its tag and its longest length in bytes.
    fn texts(&mut self) -> [(u8, &mut Option<Box<str>>, usize); 14] {
        [
            (1, &mut self.requested_model, 256),
            (2, &mut self.router, 128),
            (3, &mut self.preset, 128),
            (4, &mut self.request_id, 128),
            (5, &mut self.session_id, 256),
            (6, &mut self.app_title, 128),
            (7, &mut self.http_referer, 256),
            (8, &mut self.origin, 128),
            (9, &mut self.user_agent, 96),
            (10, &mut self.external_user, 128),
            (11, &mut self.service_tier, 32),
            (12, &mut self.data_region, 32),
            (13, &mut self.error, 64),
            (14, &mut self.ended_by, 32),
        ]
    }

    /// The same, to be read only.
    fn texts_of(&self) -> [(u8, Option<&str>); 14] {
        [
            (1, self.requested_model.as_deref()),
            (2, self.router.as_deref()),
            (3, self.preset.as_deref()),
            (4, self.request_id.as_deref()),
            (5, self.session_id.as_deref()),
            (6, self.app_title.as_deref()),
            (7, self.http_referer.as_deref()),
            (8, self.origin.as_deref()),
            (9, self.user_agent.as_deref()),
            (10, self.external_user.as_deref()),
            (11, self.service_tier.as_deref()),
            (12, self.data_region.as_deref()),
            (13, self.error.as_deref()),
            (14, self.ended_by.as_deref()),
        ]
    }

    /// Cuts texts and lists to what is stored.
    pub(super) fn bound(&mut self, legs: usize) {
        for (_, text, max) in self.texts() {
            if let Some(long) = text.take_if(|text| text.len() > max) {
                *text = Some(cut(&long, max).into());
            }
        }
        self.tried.truncate(Self::TRIED_MAX);
        for tried in &mut self.tried {
            if tried.outcome.len() > Self::OUTCOME_MAX {
                tried.outcome = cut(&tried.outcome, Self::OUTCOME_MAX).into();
            }
        }
        self.leg_prices.truncate(legs);
    }

    /// Appends the parts that are there, and the end.
    pub(super) fn put(&self, to: &mut Put<'_>) {
        for (tag, text) in self.texts_of() {
            if let Some(text) = text {
                to.u8(tag);
                to.text(text, text.len());
            }
        }
        if let Some(api) = self.api {
            part(to, API, |to| to.u8(api as u8));
        }
        let flags = [self.had_tools, self.drained, self.insured];
        if flags.contains(&true) {
            let bits = flags.iter().enumerate().fold(0, |bits, (i, on)| bits | u8::from(*on) << i);
            part(to, FLAGS, |to| to.u8(bits));
        }
        for (tag, count) in [(TOOL_CALLS, self.tool_calls), (MEDIA_PROMPT, self.media_prompt)] {
            if count > 0 {
                part(to, tag, |to| to.u64(count.into()));
            }
        }
        if let Some(source) = self.cache_source {
            part(to, CACHE_SOURCE, |to| to.u128(source.bits()));
        }
        if !self.tried.is_empty() {
            part(to, TRIED, |to| self.tried.iter().for_each(|tried| tried.put(to)));
        }
        if let Some(prices) = &self.prices {
            part(to, PRICES, |to| prices.put(to));
        }
        if !self.leg_prices.is_empty() {
            part(to, LEG_PRICES, |to| self.leg_prices.iter().for_each(|prices| prices.put(to)));
        }
        if self.discount != NanoUsd::ZERO {
            part(to, DISCOUNT, |to| to.i64(self.discount.0));
        }
        if let Some(cost) = self.upstream_cost {
            part(to, UPSTREAM_COST, |to| to.i64(cost.0));
        }
        if self.plugins != NanoUsd::ZERO {
            part(to, PLUGINS, |to| to.i64(self.plugins.0));
        }
        to.u8(0);
    }

    /// Reads the parts up to the end.
    pub(super) fn take(from: &mut Take<'_>) -> Result<Self, Malformed> {
        let mut details = Self::default();
        let mut before = 0;
        loop {
            let tag = from.u8("part of a record")?;
            if tag == 0 {
                return Ok(details);
            }
            if tag <= before {
                return Err(Malformed("part of a record (out of order)"));
            }
            before = tag;
            let len = usize::try_from(from.u64("part of a record")?);
            let len = len.map_err(|_| Malformed("part of a record"))?;
            let mut part = Take(from.bytes(len, "part of a record")?);
            details.take_part(tag, &mut part)?;
            part.end("part of a record (bytes left over)")?;
        }
    }

    fn take_part(&mut self, tag: u8, from: &mut Take<'_>) -> Result<(), Malformed> {
        if let Some((_, text, max)) = self.texts().into_iter().find(|(known, ..)| *known == tag) {
            let bytes = from.bytes(from.0.len(), "text")?;
            let read = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= max);
            *text = Some(read.ok_or(Malformed("text"))?.into());
            return Ok(());
        }
        match tag {
            API => {
                let code = usize::from(from.u8("api")?);
                self.api = Some(*ApiType::ALL.get(code).ok_or(Malformed("api"))?);
            }
            FLAGS => {
                let bits = from.u8("flags")?;
                if !(1..8).contains(&bits) {
                    return Err(Malformed("flags"));
                }
                self.had_tools = bits & 1 != 0;
                self.drained = bits & 2 != 0;
                self.insured = bits & 4 != 0;
            }
            TOOL_CALLS => self.tool_calls = from.u32("calls of tools")?,
            MEDIA_PROMPT => self.media_prompt = from.u32("media")?,
            CACHE_SOURCE => {
                self.cache_source = Some(GenerationId::from_bits(from.u128("source")?));
            }
            TRIED => self.tried = several(from, Self::TRIED_MAX, Tried::take)?,
            PRICES => self.prices = Some(UnitPrices::take(from)?),
            LEG_PRICES => {
                let most = super::GenerationRecord::LEGS_MAX;
                self.leg_prices = several(from, most, UnitPrices::take)?;
            }
            DISCOUNT => self.discount = NanoUsd(from.i64("discount")?),
            UPSTREAM_COST => self.upstream_cost = Some(NanoUsd(from.i64("upstream cost")?)),
            PLUGINS => self.plugins = NanoUsd(from.i64("plugins")?),
            _ => return Err(Malformed("part of a record (written by a newer Turnpike?)")),
        }
        Ok(())
    }
}

/// Appends a part: its tag, its length and its bytes.
fn part(to: &mut Put<'_>, tag: u8, body: impl FnOnce(&mut Put<'_>)) {
    to.u8(tag);
    let at = to.0.len();
    // Nearly every part is shorter than 128 bytes, whose length is one byte.
    to.u8(0);
    body(to);
    let len = to.0.len() - at - 1;
    match u8::try_from(len).ok().filter(|len| *len < 0x80) {
        Some(len) => to.0[at] = len,
        None => {
            let bytes = to.0.split_off(at + 1);
            to.0.truncate(at);
            to.u64(len as u64);
            to.0.extend_from_slice(&bytes);
        }
    }
}

/// Reads as many values as there are.
fn several<T>(
    from: &mut Take<'_>,
    most: usize,
    one: impl Fn(&mut Take<'_>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let mut all = Vec::new();
    while !from.0.is_empty() {
        if all.len() == most {
            return Err(Malformed("list (too long)"));
        }
        all.push(one(from)?);
    }
    Ok(all)
}

impl Tried {
    fn put(&self, to: &mut Put<'_>) {
        to.text(self.endpoint.as_str(), EndpointId::LEN_MAX);
        to.text(&self.outcome, Details::OUTCOME_MAX);
        to.u64(self.status.into());
        to.u64(self.ms.into());
    }

    fn take(from: &mut Take<'_>) -> Result<Self, Malformed> {
        let endpoint = from.text(EndpointId::LEN_MAX, "attempt")?;
        Ok(Self {
            endpoint: id(endpoint, EndpointId::parse, "attempt")?,
            outcome: from.text(Details::OUTCOME_MAX, "outcome")?.into(),
            status: u16::try_from(from.u64("status")?).map_err(|_| Malformed("status"))?,
            ms: from.u32("time")?,
        })
    }
}
