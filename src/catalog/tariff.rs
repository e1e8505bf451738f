//! Prices that depend on the length of the prompt or the time of day.
//!
//! The rules are OpenRouter's (`pricing.overrides` of its models API, read 2026-09): an override
//! applies when all its conditions hold; of several that apply, the later one wins key by key; a
//! key that it does not have is inherited. The time of day is the request's arrival, the length is
//! that of the prompt as the provider counted it.

use std::sync::Arc;

use super::{Prices, Share};
use crate::vocab::{NanoUsd, PicoUsd, Usage};

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// The minute of the day in UTC, 0 to 1439, of a time in milliseconds since 1970.
#[expect(clippy::cast_possible_truncation, reason = "it is below 1440")]
pub const fn utc_minute(unix_ms: u64) -> u16 {
    (unix_ms / 60_000 % DAY as u64) as u16
}

/// A part of the day in UTC, in minutes from midnight: from `start` on, until before `end`. It may
/// go over midnight; where both are the same it is the whole day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// The first minute, 0 to 1439.
    pub start: u16,
    /// The first minute after, 0 to 1439.
    pub end: u16,
}

impl Hours {
    /// Whether the minute of the day lies within.
    pub const fn contain(self, minute: u16) -> bool {
        if self.start < self.end {
            self.start <= minute && minute < self.end
        } else {
            self.start <= minute || minute < self.end
        }
    }

    /// Reads a time of day as `HHMM`, in minutes.
    pub fn parse(text: &str) -> Option<u16> {
        if text.len() != 4 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let (hours, minutes) = (text[..2].parse::<u16>().ok()?, text[2..].parse::<u16>().ok()?);
        (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
    }

    /// A time of day as `HHMM`.
    pub fn text(minute: u16) -> String {
        format!("{:02}{:02}", minute / 60, minute % 60)
    }
}

/// Prices that apply under a condition; absent ones are inherited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Override {
    /// Only for prompts of more tokens than this.
    pub min_prompt_tokens: Option<u64>,
    /// Only in these hours.
    pub hours: Option<Hours>,
    /// Per input token.
    pub prompt: Option<PicoUsd>,
    /// Per output token.
    pub completion: Option<PicoUsd>,
    /// Per input token read from a cache.
    pub cache_read: Option<PicoUsd>,
    /// Per input token written to a cache for 5 minutes.
    pub cache_write_5m: Option<PicoUsd>,
    /// Per input token written to a cache for an hour.
    pub cache_write_1h: Option<PicoUsd>,
    /// Per reasoning token.
    pub reasoning: Option<PicoUsd>,
    /// Per input token of sound.
    pub audio_prompt: Option<PicoUsd>,
    /// Per output token of sound.
    pub audio_completion: Option<PicoUsd>,
}

impl Override {
    fn applies(&self, prompt_tokens: u64, minute: u16) -> bool {
        self.min_prompt_tokens.is_none_or(|min| prompt_tokens > min)
            && self.hours.is_none_or(|hours| hours.contain(minute))
    }

    fn apply(&self, to: &mut Prices) {
        to.prompt = self.prompt.unwrap_or(to.prompt);
        to.completion = self.completion.unwrap_or(to.completion);
        to.cache_read = self.cache_read.or(to.cache_read);
        to.cache_write_5m = self.cache_write_5m.or(to.cache_write_5m);
        to.cache_write_1h = self.cache_write_1h.or(to.cache_write_1h);
        to.reasoning = self.reasoning.or(to.reasoning);
        to.audio_prompt = self.audio_prompt.or(to.audio_prompt);
        to.audio_completion = self.audio_completion.or(to.audio_completion);
    }
}

/// An endpoint's prices with all their conditions. Cloning is cheap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tariff {
    /// What applies where no override does.
    pub base: Prices,
    /// In order; `None` where there is none, as usual.
    overrides: Option<Arc<[Override]>>,
}

impl Tariff {
    /// These prices with these overrides, the later ones winning.
    pub fn new(base: Prices, overrides: Vec<Override>) -> Self {
        Self { base, overrides: (!overrides.is_empty()).then(|| overrides.into()) }
    }

    /// The overrides, in order.
    pub fn overrides(&self) -> &[Override] {
        self.overrides.as_deref().unwrap_or_default()
    }

    /// The prices for a prompt of this length at this minute of the day ([`utc_minute`]).
    #[inline]
    pub fn at(&self, prompt_tokens: u64, minute: u16) -> Prices {
        let mut prices = self.base;
        if let Some(overrides) = &self.overrides {
            let applying = overrides.iter().filter(|o| o.applies(prompt_tokens, minute));
            applying.for_each(|o| o.apply(&mut prices));
        }
        prices
    }

    /// What a request that arrived at this minute of the day is charged by.
    #[inline]
    pub fn quote(&self, minute: u16) -> Quote {
        let tariff = self.clone();
        Quote { tariff, minute, share: Share::ALL, fee: false, added: NanoUsd::ZERO }
    }
}

impl From<Prices> for Tariff {
    fn from(base: Prices) -> Self {
        Self { base, overrides: None }
    }
}

/// A tariff at the moment of a request: what it costs depends on nothing but its usage any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quote {
    tariff: Tariff,
    minute: u16,
    share: Share,
    /// The provider charges the caller directly; the share is a fee.
    fee: bool,
    /// What the request costs beside its usage.
    added: NanoUsd,
}

impl Quote {
    /// The same, of which the caller pays only this share.
    #[must_use]
    pub const fn shared(mut self, share: Share) -> Self {
        self.share = share;
        self
    }

    /// The same, of which the caller pays the provider directly, and here this share as a fee.
    #[must_use]
    pub const fn fee(mut self, share: Share) -> Self {
        (self.share, self.fee) = (share, true);
        self
    }

    /// The same, of a request that costs so much more, whatever its usage.
    #[must_use]
    pub const fn with(mut self, added: NanoUsd) -> Self {
        self.added = added;
        self
    }

    /// What the provider charges the caller for a usage, if it does: by the list, rounded once.
    pub fn paid_directly(&self, usage: &Usage) -> Option<NanoUsd> {
        self.fee.then(|| self.list_cost(usage))
    }

    /// The share of the list price that the caller pays.
    pub const fn share(&self) -> Share {
        self.share
    }

    /// The prices for a prompt of this length, as listed.
    pub fn prices(&self, prompt_tokens: u64) -> Prices {
        self.tariff.at(prompt_tokens, self.minute)
    }

    /// What a usage costs the caller, rounded once, half up.
    pub fn cost(&self, usage: &Usage) -> NanoUsd {
        self.share.of(self.prices(usage.prompt).exact(usage)) + self.added
    }

    /// What a usage costs by the list, rounded once, half up.
    pub fn list_cost(&self, usage: &Usage) -> NanoUsd {
        self.prices(usage.prompt).cost(usage)
    }
}

impl From<Prices> for Quote {
    fn from(base: Prices) -> Self {
        let (tariff, added) = (base.into(), NanoUsd::ZERO);
        Self { tariff, minute: 0, share: Share::ALL, fee: false, added }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Override = Override {
        min_prompt_tokens: Some(200_000),
        hours: None,
        prompt: Some(PicoUsd(6)),
        completion: Some(PicoUsd(22)),
        cache_read: None,
        cache_write_5m: None,
        cache_write_1h: None,
        reasoning: None,
        audio_prompt: None,
        audio_completion: None,
    };
    const NIGHT: Override = Override {
        min_prompt_tokens: None,
        hours: Some(Hours { start: 16 * 60 + 30, end: 30 }),
        prompt: Some(PicoUsd(1)),
        completion: None,
        ..LONG
    };

    fn tariff(overrides: &[Override]) -> Tariff {
        let base = Prices {
            prompt: PicoUsd(3),
            completion: PicoUsd(15),
            cache_read: Some(PicoUsd(2)),
            ..Prices::default()
        };
        Tariff::new(base, overrides.to_vec())
    }

    #[test]
    fn the_length_must_be_passed() {
        let tariff = tariff(&[LONG]);
        assert_eq!(tariff.at(200_000, 0), tariff.base, "strictly more");
        let dear = tariff.at(200_001, 0);
        assert_eq!((dear.prompt, dear.completion), (PicoUsd(6), PicoUsd(22)));
        assert_eq!(dear.cache_read, Some(PicoUsd(2)), "what it does not have is inherited");
    }

    #[test]
    fn hours_wrap_around_midnight_and_end_before_their_end() {
        let tariff = tariff(&[NIGHT]);
        let day = |minute| tariff.at(1, minute).prompt;
        for (minute, expected) in [(0, 1), (29, 1), (30, 3), (989, 3), (990, 1), (1439, 1)] {
            assert_eq!(day(minute), PicoUsd(expected), "minute {minute}");
        }
        assert!(!Hours { start: 60, end: 120 }.contain(120));
        assert!(Hours { start: 60, end: 60 }.contain(0), "the whole day");
    }

    #[test]
    fn the_later_of_two_wins_key_by_key() {
        let both = tariff(&[LONG, NIGHT]).at(300_000, 0);
        assert_eq!((both.prompt, both.completion), (PicoUsd(1), PicoUsd(22)));
        let both = tariff(&[NIGHT, LONG]).at(300_000, 0);
        assert_eq!(both.prompt, PicoUsd(6));
    }

    #[test]
    fn a_quote_charges_by_arrival_and_counted_prompt() {
        let quote = tariff(&[LONG, NIGHT]).quote(700);
        let usage = Usage { prompt: 200_001, completion: 10, ..Usage::default() };
        assert_eq!(quote.cost(&usage), NanoUsd::from_pico(200_001 * 6 + 10 * 22));
        let plain = tariff(&[]);
        assert!(plain.overrides().is_empty());
        assert_eq!(plain.quote(0).prices(u64::MAX), plain.base);
    }

    #[test]
    fn a_fee_is_beside_what_the_provider_takes() {
        let usage = Usage { prompt: 1_000_000, completion: 0, ..Usage::default() };
        let quote = tariff(&[]).quote(0);
        assert_eq!(quote.paid_directly(&usage), None);
        let own = quote.fee(Share::parse("5%").unwrap());
        assert_eq!(own.cost(&usage), NanoUsd(150));
        assert_eq!(own.paid_directly(&usage), Some(NanoUsd(3_000)));
    }

    #[test]
    fn times_of_day_round_trip() {
        for (text, minute) in [("0000", 0), ("0930", 570), ("2359", 1439)] {
            assert_eq!(Hours::parse(text), Some(minute));
            assert_eq!(Hours::text(minute), text);
        }
        for wrong in ["2400", "0960", "930", "09:30", "+930", ""] {
            assert_eq!(Hours::parse(wrong), None, "{wrong:?}");
        }
        assert_eq!(utc_minute(1_767_225_600_000), 0, "a new year begins at midnight");
        assert_eq!(utc_minute(1_767_225_600_000 + 61 * 60_000), 61);
    }
}
