//! Bedrock's counters → ours.
//!
//! Bedrock's `inputTokens` leaves cached tokens out; ours (OpenAI's sense) has them in.

use std::borrow::Cow;

use serde::Deserialize;

use crate::vocab::Usage;

/// `usage` of an answer or of the event `metadata`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counters<'a> {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_write_input_tokens: Option<u64>,
    #[serde(borrow)]
    cache_details: Option<Vec<CacheDetail<'a>>>,
}

/// What was written to the cache for one lifetime.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CacheDetail<'a> {
    #[serde(borrow)]
    ttl: Option<Cow<'a, str>>,
    input_tokens: Option<u64>,
}

impl Counters<'_> {
    /// The counters in our sense. Bedrock does not count reasoning apart.
    pub(super) fn usage(&self) -> Usage {
        let details = self.cache_details.as_deref().unwrap_or_default();
        let sum = |hour: bool| {
            let of_kind =
                details.iter().filter(|detail| (detail.ttl.as_deref() == Some("1h")) == hour);
            of_kind.fold(0_u64, |sum, detail| sum.saturating_add(detail.input_tokens.unwrap_or(0)))
        };
        let cache_write_1h = sum(true);
        // What the details do not explain has the usual lifetime.
        let explained = cache_write_1h.saturating_add(sum(false));
        let written = self.cache_write_input_tokens.unwrap_or(0).max(explained);
        let cache_read = self.cache_read_input_tokens.unwrap_or(0);
        let fresh = self.input_tokens.unwrap_or(0);
        Usage {
            prompt: fresh.saturating_add(written).saturating_add(cache_read),
            cache_read,
            cache_write_5m: written - cache_write_1h,
            cache_write_1h,
            completion: self.output_tokens.unwrap_or(0),
            ..Usage::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(json: &str) -> Usage {
        serde_json::from_str::<Counters<'_>>(json).unwrap().usage()
    }

    #[test]
    fn cached_tokens_are_part_of_the_prompt() {
        let got = usage(
            r#"{"inputTokens":10,"outputTokens":30,"totalTokens":200,"cacheReadInputTokens":90,
                "cacheWriteInputTokens":70,
                "cacheDetails":[{"ttl":"1h","inputTokens":50},{"ttl":"5m","inputTokens":20}]}"#,
        );
        let expected = Usage {
            prompt: 170,
            cache_read: 90,
            cache_write_5m: 20,
            cache_write_1h: 50,
            completion: 30,
            ..Usage::default()
        };
        assert_eq!(got, expected);
        let unsplit = usage(r#"{"inputTokens":1,"cacheWriteInputTokens":5,"cacheDetails":null}"#);
        assert_eq!((unsplit.prompt, unsplit.cache_write_5m, unsplit.cache_write_1h), (6, 5, 0));
        let absurd = usage(
            r#"{"inputTokens":18446744073709551615,"cacheReadInputTokens":9,"cacheDetails":[
                {"ttl":"1h","inputTokens":18446744073709551615},{"inputTokens":9}]}"#,
        );
        assert_eq!(absurd.prompt, u64::MAX);
    }
}
