//! Gemini's counters → ours.
//!
//! `promptTokenCount` has the cached tokens in, `candidatesTokenCount` does not have the thoughts
//! in, and what Google's own tools fed back is counted apart; ours (OpenAI's sense) are sums.

use serde::Deserialize;

use super::wire::List;
use crate::vocab::Usage;

/// `usageMetadata`: a running total. Counters that are absent say nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counters {
    prompt_token_count: Option<u64>,
    tool_use_prompt_token_count: Option<u64>,
    cached_content_token_count: Option<u64>,
    candidates_token_count: Option<u64>,
    thoughts_token_count: Option<u64>,
    prompt_tokens_details: Option<List<OfKind, 64>>,
    candidates_tokens_details: Option<List<OfKind, 64>>,
}

/// Tokens of one modality.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfKind {
    #[serde(default)]
    modality: Modality,
    token_count: Option<u64>,
}

#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
enum Modality {
    #[serde(rename = "AUDIO")]
    Audio,
    #[default]
    #[serde(other)]
    Other,
}

impl Counters {
    /// Takes over every counter that the later report gives.
    pub(super) fn merge(&mut self, later: Self) {
        fn newer<T>(old: &mut Option<T>, new: Option<T>) {
            if new.is_some() {
                *old = new;
            }
        }
        newer(&mut self.prompt_token_count, later.prompt_token_count);
        newer(&mut self.tool_use_prompt_token_count, later.tool_use_prompt_token_count);
        newer(&mut self.cached_content_token_count, later.cached_content_token_count);
        newer(&mut self.candidates_token_count, later.candidates_token_count);
        newer(&mut self.thoughts_token_count, later.thoughts_token_count);
        newer(&mut self.prompt_tokens_details, later.prompt_tokens_details);
        newer(&mut self.candidates_tokens_details, later.candidates_tokens_details);
    }

    /// The counters in our sense.
    pub(super) fn usage(&self) -> Usage {
        let some = |counter: Option<u64>| counter.unwrap_or(0);
        let prompt =
            some(self.prompt_token_count).saturating_add(some(self.tool_use_prompt_token_count));
        let reasoning = some(self.thoughts_token_count);
        let completion = some(self.candidates_token_count).saturating_add(reasoning);
        Usage {
            prompt,
            cache_read: some(self.cached_content_token_count).min(prompt),
            audio_prompt: audio(self.prompt_tokens_details.as_ref()).min(prompt),
            completion,
            reasoning,
            audio_completion: audio(self.candidates_tokens_details.as_ref()).min(completion),
            ..Usage::default()
        }
    }
}

fn audio(details: Option<&List<OfKind, 64>>) -> u64 {
    let of_audio = List::items(details).iter().filter(|d| d.modality == Modality::Audio);
    of_audio.fold(0, |sum, detail| sum.saturating_add(detail.token_count.unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Counters {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn thoughts_and_tool_prompts_are_added() {
        let got = read(
            r#"{"promptTokenCount":100,"cachedContentTokenCount":64,"candidatesTokenCount":9,
                "thoughtsTokenCount":30,"toolUsePromptTokenCount":7,"totalTokenCount":146,
                "promptTokensDetails":[{"modality":"TEXT","tokenCount":80},
                {"modality":"AUDIO","tokenCount":20},{"modality":"NEW"}],
                "candidatesTokensDetails":[{"modality":"AUDIO","tokenCount":4}],
                "trafficType":"ON_DEMAND"}"#,
        )
        .usage();
        let expected = Usage {
            prompt: 107,
            cache_read: 64,
            audio_prompt: 20,
            completion: 39,
            reasoning: 30,
            audio_completion: 4,
            ..Usage::default()
        };
        assert_eq!(got, expected);
        assert_eq!(read("{}").usage(), Usage::default());
        let max = u64::MAX;
        let absurd = format!(r#"{{"candidatesTokenCount":{max},"thoughtsTokenCount":{max}}}"#);
        assert_eq!(read(&absurd).usage().completion, max);
    }

    #[test]
    fn later_counters_win_and_absent_ones_do_not() {
        let mut counters = read(r#"{"promptTokenCount":8,"thoughtsTokenCount":3}"#);
        counters.merge(read(r#"{"candidatesTokenCount":9,"thoughtsTokenCount":4}"#));
        let usage = counters.usage();
        assert_eq!((usage.prompt, usage.completion, usage.reasoning), (8, 13, 4));
    }
}
