//! What streamed and whole answers spell alike.

use crate::dialect::Bill;
use crate::dialect::ir::{Citation, Event, FinishReason};
use crate::dialect::json;
use crate::dialect::media::bounded;
use crate::dialect::sink::AnswerShape;
use crate::vocab::Usage;

/// The longest refusal that is told, in bytes.
const REFUSAL_MAX: usize = 64 << 10;

/// The message's members up to its content, after an opening brace: `"id":…,"role":…`.
pub(super) fn head(shape: &AnswerShape) -> Vec<u8> {
    let mut out = b"{".to_vec();
    // Clients know messages by the prefix; what follows tells the generation.
    let id: String =
        shape.id.trim_start_matches("gen-").chars().filter(char::is_ascii_alphanumeric).collect();
    json::text_member(&mut out, "id", &format!("msg_{id}"));
    out.extend_from_slice(b",\"type\":\"message\",\"role\":\"assistant\"");
    json::text_member(&mut out, "model", &shape.model);
    json::text_member(&mut out, "provider", &shape.provider);
    out
}

/// The object `usage`. Anthropic counts cached tokens apart; `cost` is OpenRouter's.
pub(super) fn usage(out: &mut Vec<u8>, usage: &Usage, cost: Option<Bill>) {
    out.push(b'{');
    let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
    json::number_member(out, "input_tokens", usage.fresh_prompt());
    json::number_member(out, "cache_creation_input_tokens", written);
    json::number_member(out, "cache_read_input_tokens", usage.cache_read);
    if written > 0 {
        out.extend_from_slice(b",\"cache_creation\":{");
        json::number_member(out, "ephemeral_5m_input_tokens", usage.cache_write_5m);
        json::number_member(out, "ephemeral_1h_input_tokens", usage.cache_write_1h);
        out.push(b'}');
    }
    json::number_member(out, "output_tokens", usage.completion);
    if usage.reasoning > 0 {
        out.extend_from_slice(b",\"output_tokens_details\":{");
        json::number_member(out, "thinking_tokens", usage.reasoning);
        out.push(b'}');
    }
    if usage.searches > 0 {
        out.extend_from_slice(b",\"server_tool_use\":{");
        json::number_member(out, "web_search_requests", usage.searches);
        out.extend_from_slice(b",\"web_fetch_requests\":0}");
    }
    if let Some(cost) = cost {
        json::key(out, "cost");
        cost.put(out);
    }
    out.push(b'}');
}

/// A source, as a result of a web search: the one form with a URL.
pub(super) fn citation(out: &mut Vec<u8>, citation: &Citation) {
    out.extend_from_slice(b"{\"type\":\"web_search_result_location\"");
    json::text_member(out, "cited_text", citation.content.as_deref().unwrap_or_default());
    json::text_member(out, "url", &citation.url);
    json::text_member(out, "title", &citation.title);
    out.extend_from_slice(b",\"encrypted_index\":\"\"}");
}

/// How the answer ended.
#[derive(Debug, Default)]
pub(super) struct Ending {
    finish: Option<Finish>,
    refusal: String,
    called: bool,
}

#[derive(Debug)]
struct Finish {
    reason: FinishReason,
    native: String,
    stop: Option<String>,
}

impl Ending {
    /// Remembers what an event says of the end.
    pub(super) fn note(&mut self, event: &Event) {
        match event {
            Event::Refusal { choice: 0, text } => {
                let room = REFUSAL_MAX.saturating_sub(self.refusal.len());
                self.refusal.push_str(&bounded(text, room));
            }
            Event::ToolStart { choice: 0, .. } => self.called = true,
            Event::Finish { choice: 0, reason, native, stop } => {
                let (native, stop) = (native.clone(), stop.clone());
                self.finish = Some(Finish { reason: *reason, native, stop });
            }
            _ => {}
        }
    }

    /// Whether the provider failed and said so in the place of a reason.
    pub(super) fn failed(&self) -> bool {
        self.finish.as_ref().is_some_and(|finish| finish.reason == FinishReason::Error)
    }

    /// Whether the answer has come to its end.
    pub(super) const fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// A refusal that has to be told as text. Anthropic's own is the explanation of its reason; what
    /// the models of others refuse with is all that they say.
    pub(super) fn refusal(&self) -> Option<&str> {
        let own = self.finish.as_ref().is_some_and(|finish| finish.native == "refusal");
        Some(self.refusal.as_str()).filter(|text| !own && !text.is_empty())
    }

    /// Appends `"stop_reason":…,"stop_sequence":…,"stop_details":…`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let (reason, stop) = self.reason();
        json::text_member(out, "stop_reason", reason);
        json::key(out, "stop_sequence");
        json::string_or_null(out, stop);
        json::key(out, "stop_details");
        if reason == "refusal" {
            out.extend_from_slice(b"{\"type\":\"refusal\",\"category\":null");
            json::key(out, "explanation");
            let text = Some(self.refusal.as_str()).filter(|text| !text.is_empty());
            json::string_or_null(out, text);
            out.push(b'}');
        } else {
            out.extend_from_slice(b"null");
        }
    }

    /// The reason in Anthropic's words: the provider's own where it is one of them and says more
    /// than ours.
    fn reason(&self) -> (&'static str, Option<&str>) {
        let Some(Finish { reason, native, stop }) = &self.finish else { return ("end_turn", None) };
        match (reason, native.as_str()) {
            (FinishReason::ContentFilter, _) => ("refusal", None),
            (FinishReason::Length, "model_context_window_exceeded") => {
                ("model_context_window_exceeded", None)
            }
            // An answer that was cut by a failure is as good as one cut by its limit.
            (FinishReason::Length | FinishReason::Error, _) => ("max_tokens", None),
            // Clients look for calls under this word only, and find none elsewhere.
            (FinishReason::Stop | FinishReason::ToolCalls, _) if self.called => ("tool_use", None),
            (FinishReason::Stop, "pause_turn") => ("pause_turn", None),
            (FinishReason::Stop, _) if !self.refusal.is_empty() => ("refusal", None),
            (FinishReason::Stop, "stop_sequence") => ("stop_sequence", stop.as_deref()),
            (FinishReason::Stop, _) if stop.is_some() => ("stop_sequence", stop.as_deref()),
            (FinishReason::Stop | FinishReason::ToolCalls, _) => ("end_turn", None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(reason: FinishReason, native: &str, stop: Option<&str>, called: bool) -> String {
        let mut ending = Ending::default();
        if called {
            let (id, name) = (String::new(), String::new());
            ending.note(&Event::ToolStart { choice: 0, index: 0, id, name });
        }
        let (native, stop) = (native.to_owned(), stop.map(str::to_owned));
        ending.note(&Event::Finish { choice: 0, reason, native, stop });
        let mut out = b"{".to_vec();
        ending.write(&mut out);
        out.push(b'}');
        let got: serde_json::Value = serde_json::from_slice(&out).unwrap();
        format!("{} {}", got["stop_reason"].as_str().unwrap(), got["stop_sequence"])
    }

    #[test]
    fn reasons_are_told_in_anthropics_words() {
        use FinishReason::{ContentFilter, Length, Stop, ToolCalls};
        for (reason, native, stop, called, expected) in [
            (Stop, "stop", None, false, "end_turn null"),
            (Stop, "", None, false, "end_turn null"),
            (Stop, "end_turn", None, false, "end_turn null"),
            (Stop, "stop", Some("END"), false, "stop_sequence \"END\""),
            (Stop, "stop_sequence", Some("END"), false, "stop_sequence \"END\""),
            (Stop, "stop_sequence", None, false, "stop_sequence null"),
            (Stop, "pause_turn", None, false, "pause_turn null"),
            (Stop, "stop", None, true, "tool_use null"),
            (ToolCalls, "tool_calls", None, true, "tool_use null"),
            (ToolCalls, "tool_calls", None, false, "end_turn null"),
            (Length, "length", None, false, "max_tokens null"),
            (Length, "MAX_TOKENS", None, true, "max_tokens null"),
            (
                Length,
                "model_context_window_exceeded",
                None,
                false,
                "model_context_window_exceeded null",
            ),
            (ContentFilter, "content_filter", None, false, "refusal null"),
            (ContentFilter, "refusal", None, true, "refusal null"),
        ] {
            assert_eq!(ending(reason, native, stop, called), expected, "{reason:?} {native}");
        }
    }

    #[test]
    fn a_message_has_an_id_of_its_own_kind() {
        let id = |id: &str| {
            let shape = AnswerShape { id: id.into(), ..AnswerShape::default() };
            String::from_utf8(head(&shape)).unwrap()
        };
        assert!(
            id("gen-0199aabb-ccdd-7eee-8fff-001122334455")
                .starts_with(r#"{"id":"msg_0199aabbccdd7eee8fff001122334455","#)
        );
        assert!(id("gen-1-\"x").starts_with(r#"{"id":"msg_1x","#));
    }
}
