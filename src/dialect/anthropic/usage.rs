//! Anthropic's counters → ours.
//!
//! Anthropic's `input_tokens` leaves cached tokens out; ours (OpenAI's sense) has them in.

use serde::Deserialize;

use crate::vocab::Usage;

/// `usage` of a message or of `message_delta`. Counters that are absent say nothing.
#[derive(Clone, Copy, Default, Deserialize)]
pub(super) struct Counters {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation: Option<CacheCreation>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
    server_tool_use: Option<ServerToolUse>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Option<u64>,
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct OutputDetails {
    thinking_tokens: Option<u64>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct ServerToolUse {
    web_search_requests: Option<u64>,
}

impl Counters {
    /// Takes over every counter that the later report gives: they are cumulative.
    pub(super) fn merge(&mut self, later: &Self) {
        fn newer<T: Copy>(old: &mut Option<T>, new: Option<T>) {
            *old = new.or(*old);
        }
        newer(&mut self.input_tokens, later.input_tokens);
        newer(&mut self.cache_creation_input_tokens, later.cache_creation_input_tokens);
        newer(&mut self.cache_read_input_tokens, later.cache_read_input_tokens);
        newer(&mut self.cache_creation, later.cache_creation);
        newer(&mut self.output_tokens, later.output_tokens);
        newer(&mut self.output_tokens_details, later.output_tokens_details);
        newer(&mut self.server_tool_use, later.server_tool_use);
    }

    /// The counters in our sense.
    pub(super) fn usage(&self) -> Usage {
        let split = self.cache_creation.unwrap_or_default();
        let cache_write_1h = split.ephemeral_1h_input_tokens.unwrap_or(0);
        let split_5m = split.ephemeral_5m_input_tokens.unwrap_or(0);
        let split_sum = split_5m.saturating_add(cache_write_1h);
        // What the split does not explain has the usual lifetime.
        let written = self.cache_creation_input_tokens.unwrap_or(0).max(split_sum);
        let cache_read = self.cache_read_input_tokens.unwrap_or(0);
        let fresh = self.input_tokens.unwrap_or(0);
        let completion = self.output_tokens.unwrap_or(0);
        let thinking = self.output_tokens_details.and_then(|d| d.thinking_tokens).unwrap_or(0);
        Usage {
            prompt: fresh.saturating_add(written).saturating_add(cache_read),
            cache_read,
            cache_write_5m: written - cache_write_1h,
            cache_write_1h,
            completion,
            reasoning: thinking.min(completion),
            searches: self.server_tool_use.and_then(|s| s.web_search_requests).unwrap_or(0),
            ..Usage::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(json: &str) -> Usage {
        serde_json::from_str::<Counters>(json).unwrap().usage()
    }

    #[test]
    fn cached_tokens_are_part_of_the_prompt() {
        let got = usage(
            r#"{"input_tokens":10,"cache_creation_input_tokens":70,"cache_read_input_tokens":90,
                "cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":50},
                "output_tokens":30,"output_tokens_details":{"thinking_tokens":12},
                "server_tool_use":{"web_search_requests":2},"service_tier":"standard"}"#,
        );
        let expected = Usage {
            prompt: 170,
            cache_read: 90,
            cache_write_5m: 20,
            cache_write_1h: 50,
            completion: 30,
            reasoning: 12,
            searches: 2,
            ..Usage::default()
        };
        assert_eq!(got, expected);
        let unsplit =
            usage(r#"{"input_tokens":1,"cache_creation_input_tokens":5,"output_tokens":1}"#);
        assert_eq!((unsplit.prompt, unsplit.cache_write_5m, unsplit.cache_write_1h), (6, 5, 0));
        let absurd = usage(r#"{"input_tokens":18446744073709551615,"cache_read_input_tokens":9}"#);
        assert_eq!(absurd.prompt, u64::MAX);
    }

    #[test]
    fn later_counters_win_and_absent_ones_do_not() {
        let mut counters: Counters =
            serde_json::from_str(r#"{"input_tokens":10,"output_tokens":1}"#).unwrap();
        counters
            .merge(&serde_json::from_str(r#"{"input_tokens":null,"output_tokens":7}"#).unwrap());
        assert_eq!((counters.usage().prompt, counters.usage().completion), (10, 7));
    }
}
