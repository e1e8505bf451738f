//! What a generation consumed, as typed counters.

use serde::{Deserialize, Serialize};

/// The counters of one generation, in OpenAI's sense: `prompt` includes what was read from or
/// written to a prompt cache, `completion` includes reasoning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// All input tokens, cached ones included.
    pub prompt: u64,
    /// Input tokens read from the provider's prompt cache; part of `prompt`.
    pub cache_read: u64,
    /// Input tokens written to a cache with the usual (5 minutes) lifetime; part of `prompt`.
    pub cache_write_5m: u64,
    /// Input tokens written to a cache with a lifetime of an hour; part of `prompt`.
    pub cache_write_1h: u64,
    /// Audio input tokens; part of `prompt`.
    pub audio_prompt: u64,
    /// All output tokens, reasoning included.
    pub completion: u64,
    /// Reasoning tokens; part of `completion`.
    pub reasoning: u64,
    /// Audio output tokens; part of `completion`.
    pub audio_completion: u64,
    /// Images put out.
    pub images: u64,
    /// Web searches that the provider made.
    pub searches: u64,
    /// The provider did not say: these are our own counts.
    pub estimated: bool,
}

impl Usage {
    /// Prompt and completion tokens together.
    pub const fn total(&self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }

    /// Both together.
    #[must_use]
    pub const fn and(&self, other: &Self) -> Self {
        Self {
            prompt: self.prompt.saturating_add(other.prompt),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            cache_write_5m: self.cache_write_5m.saturating_add(other.cache_write_5m),
            cache_write_1h: self.cache_write_1h.saturating_add(other.cache_write_1h),
            audio_prompt: self.audio_prompt.saturating_add(other.audio_prompt),
            completion: self.completion.saturating_add(other.completion),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            audio_completion: self.audio_completion.saturating_add(other.audio_completion),
            images: self.images.saturating_add(other.images),
            searches: self.searches.saturating_add(other.searches),
            estimated: self.estimated || other.estimated,
        }
    }

    /// Input tokens that were neither read from nor written to a cache.
    pub const fn fresh_prompt(&self) -> u64 {
        self.prompt
            .saturating_sub(self.cache_read)
            .saturating_sub(self.cache_write_5m)
            .saturating_sub(self.cache_write_1h)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_prompt_never_goes_below_zero() {
        let usage = Usage { prompt: 10, cache_read: 8, cache_write_5m: 5, ..Usage::default() };
        assert_eq!(usage.fresh_prompt(), 0);
        assert_eq!(usage.total(), 10);
    }
}
