//! What a generation costs: prices per unit, exact sums, one rounding.

use crate::vocab::{NanoUsd, PicoUsd, Usage};

/// An endpoint's prices. Absent special prices fall back to the plain ones: that is what providers
/// charge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prices {
    /// Per input token.
    pub prompt: PicoUsd,
    /// Per output token.
    pub completion: PicoUsd,
    /// Per input token read from a cache; absent: as `prompt`.
    pub cache_read: Option<PicoUsd>,
    /// Per input token written to a cache for 5 minutes; absent: as `prompt`.
    pub cache_write_5m: Option<PicoUsd>,
    /// Per input token written to a cache for an hour; absent: as `cache_write_5m`.
    pub cache_write_1h: Option<PicoUsd>,
    /// Per reasoning token; absent: as `completion`.
    pub reasoning: Option<PicoUsd>,
    /// Per request.
    pub request: PicoUsd,
    /// Per image put out.
    pub image: PicoUsd,
    /// Per web search made by the provider.
    pub search: PicoUsd,
}

impl Prices {
    /// The exact cost of a usage, in pico-dollars.
    pub fn exact(&self, usage: &Usage) -> i128 {
        let cache_read = self.cache_read.unwrap_or(self.prompt);
        let write_5m = self.cache_write_5m.unwrap_or(self.prompt);
        let write_1h = self.cache_write_1h.unwrap_or(write_5m);
        let reasoning = self.reasoning.unwrap_or(self.completion);
        let plain_completion = usage.completion.saturating_sub(usage.reasoning);
        self.prompt.times(usage.fresh_prompt())
            + cache_read.times(usage.cache_read)
            + write_5m.times(usage.cache_write_5m)
            + write_1h.times(usage.cache_write_1h)
            + self.completion.times(plain_completion)
            + reasoning.times(usage.completion.min(usage.reasoning))
            + self.request.times(1)
            + self.image.times(usage.images)
            + self.search.times(usage.searches)
    }

    /// The cost of a usage, rounded once, half up.
    pub fn cost(&self, usage: &Usage) -> NanoUsd {
        NanoUsd::from_pico(self.exact(usage))
    }

    /// The most that a prompt token can cost, whether it is written to a cache or not.
    pub fn prompt_at_most(&self) -> PicoUsd {
        let write_5m = self.cache_write_5m.unwrap_or(self.prompt);
        let write_1h = self.cache_write_1h.unwrap_or(write_5m);
        self.prompt.max(write_5m).max(write_1h)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices() -> Prices {
        Prices {
            prompt: PicoUsd(3_000_000),
            completion: PicoUsd(15_000_000),
            cache_read: Some(PicoUsd(300_000)),
            cache_write_5m: Some(PicoUsd(3_750_000)),
            ..Prices::default()
        }
    }

    #[test]
    fn each_kind_of_token_has_its_price() {
        let usage = Usage {
            prompt: 1_000,
            cache_read: 600,
            cache_write_5m: 100,
            cache_write_1h: 100,
            completion: 50,
            reasoning: 20,
            ..Usage::default()
        };
        // 200 fresh, 600 read, 200 written, 50 out (reasoning as plain output).
        let pico = 200 * 3_000_000 + 600 * 300_000 + 200 * 3_750_000 + 50 * 15_000_000;
        assert_eq!(prices().exact(&usage), pico);
        assert_eq!(prices().cost(&usage), NanoUsd::from_pico(pico));
    }

    #[test]
    fn absent_prices_fall_back() {
        let plain = Prices { prompt: PicoUsd(2), completion: PicoUsd(5), ..Prices::default() };
        let usage =
            Usage { prompt: 10, cache_read: 4, completion: 3, reasoning: 9, ..Usage::default() };
        assert_eq!(plain.exact(&usage), 10 * 2 + 3 * 5, "reasoning never exceeds completion");
        assert_eq!(plain.prompt_at_most(), PicoUsd(2));
    }
}
