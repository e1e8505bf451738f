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
    /// Per input token of sound; absent: as `prompt`.
    pub audio_prompt: Option<PicoUsd>,
    /// Per output token of sound; absent: as `completion`.
    pub audio_completion: Option<PicoUsd>,
    /// Per request.
    pub request: PicoUsd,
    /// Per image put out.
    pub image: PicoUsd,
    /// Per web search made by the provider.
    pub search: PicoUsd,
}

impl Prices {
    /// The exact cost of a usage, in pico-dollars; past the end of the numbers it is the largest.
    ///
    /// Providers do not say how much of the sound was cached, so that cached tokens are taken to be
    /// words as long as there are enough of them.
    pub fn exact(&self, usage: &Usage) -> i128 {
        let cache_read = self.cache_read.unwrap_or(self.prompt);
        let write_5m = self.cache_write_5m.unwrap_or(self.prompt);
        let write_1h = self.cache_write_1h.unwrap_or(write_5m);
        let audio_in = usage.audio_prompt.min(usage.fresh_prompt());
        let reasoning = usage.reasoning.min(usage.completion);
        let audio_out = usage.audio_completion.min(usage.completion - reasoning);
        let parts = [
            self.prompt.times(usage.fresh_prompt() - audio_in),
            self.audio_prompt.unwrap_or(self.prompt).times(audio_in),
            cache_read.times(usage.cache_read),
            write_5m.times(usage.cache_write_5m),
            write_1h.times(usage.cache_write_1h),
            self.completion.times(usage.completion - reasoning - audio_out),
            self.reasoning.unwrap_or(self.completion).times(reasoning),
            self.audio_completion.unwrap_or(self.completion).times(audio_out),
            self.request.times(1),
            self.image.times(usage.images),
            self.search.times(usage.searches),
        ];
        parts.into_iter().fold(0, i128::saturating_add)
    }

    /// The cost of a usage, rounded once, half up.
    pub fn cost(&self, usage: &Usage) -> NanoUsd {
        NanoUsd::from_pico(self.exact(usage))
    }

    /// The most that a prompt token can cost, whatever it is and whether it is written to a cache
    /// or not.
    pub fn prompt_at_most(&self) -> PicoUsd {
        let write_5m = self.cache_write_5m.unwrap_or(self.prompt);
        let write_1h = self.cache_write_1h.unwrap_or(write_5m);
        let audio = self.audio_prompt.unwrap_or_default();
        self.prompt.max(write_5m).max(write_1h).max(audio)
    }

    /// The most that a completion token can cost, whatever it is.
    pub fn completion_at_most(&self) -> PicoUsd {
        let special = [self.reasoning, self.audio_completion].into_iter().flatten();
        special.fold(self.completion, PicoUsd::max)
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
        assert_eq!(plain.completion_at_most(), PicoUsd(5));
    }

    #[test]
    fn sound_has_its_price_and_is_counted_once() {
        let prices = Prices {
            prompt: PicoUsd(2),
            completion: PicoUsd(3),
            cache_read: Some(PicoUsd(1)),
            audio_prompt: Some(PicoUsd(20)),
            audio_completion: Some(PicoUsd(30)),
            ..Prices::default()
        };
        let usage = Usage {
            prompt: 10,
            cache_read: 4,
            audio_prompt: 5,
            completion: 6,
            audio_completion: 6,
            reasoning: 1,
            ..Usage::default()
        };
        // 1 word and 5 of sound fresh, 4 read; 1 of reasoning as words, 5 of sound.
        assert_eq!(prices.exact(&usage), 2 + 5 * 20 + 4 + 3 + 5 * 30);
        assert_eq!(prices.prompt_at_most(), PicoUsd(20));
        assert_eq!(prices.completion_at_most(), PicoUsd(30));
        let all_sound = Usage { prompt: 3, audio_prompt: 9, cache_read: 3, ..Usage::default() };
        assert_eq!(prices.exact(&all_sound), 3, "never more tokens than there are");
    }
}
