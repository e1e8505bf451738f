//! The mistral dialect, as a provider writes it: OpenAI's form, with usage in the last chunk, calls
//! that come whole, reasoning as parts of the content, and errors of its own.

use serde_json::{Value, json};

use super::openai::finish_name;
use super::{CREATED, IN_BAND};
use crate::simulate::answer::{Answer, Said};
use crate::simulate::ask::{Ask, Form};
use crate::simulate::behaviour::ErrorBody;
use crate::simulate::script::{Speaker, Wire};

const FORM: Form = Form {
    openai: true,
    thinks: Some(("reasoning_effort", &["low", "medium", "high"])),
    refuses: &["max_completion_tokens", "stream_options"],
    known: &[&[
        "frequency_penalty",
        "guardrails",
        "logprobs",
        "metadata",
        "min_tokens",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_mode",
        "random_seed",
        "repetition_penalty",
        "response_format",
        "safe_prompt",
        "service_tier",
        "temperature",
        "top_k",
        "top_logprobs",
        "top_p",
    ]],
};

/// Reads a request.
pub(super) fn read(body: &[u8]) -> Result<Ask<'_>, String> {
    let ask = Ask::read(&FORM, body)?;
    let wrong = |id: &str| id.len() != 9 || !id.bytes().all(|b| b.is_ascii_alphanumeric());
    for (i, message) in ask.messages.iter().enumerate() {
        let calls = message.tool_calls.iter().flatten().map(|call| &call.id);
        if calls.chain(&message.tool_call_id).any(|id| wrong(&id.0)) {
            return Err(format!("messages.{i}: ids of calls must be 9 of a-z A-Z 0-9"));
        }
        if ["developer", "function"].contains(&&*message.role.0) {
            return Err(format!("messages.{i}.role: not a role"));
        }
    }
    Ok(ask)
}

/// A whole answer.
pub(super) fn whole(answer: &Answer, usage: bool, empty: bool) -> Value {
    let mut message = json!({"role": "assistant", "content": "", "tool_calls": null});
    match (&answer.said, &answer.thinking) {
        _ if empty => {}
        (Said::Call { .. }, _) => message["tool_calls"] = calls(answer),
        (Said::Text(pieces), None) => message["content"] = pieces.text.as_str().into(),
        (Said::Text(pieces), Some(told)) => {
            let text = json!({"type": "text", "text": pieces.text});
            message["content"] = json!([thinking(&told.text), text]);
        }
    }
    let reason = (!empty).then(|| finish_name(answer.finish));
    let choice = json!({"index": 0, "message": message, "finish_reason": reason});
    let mut value = object(answer, "chat.completion", &choice);
    if usage {
        value["usage"] = self::usage(answer, empty);
    }
    value
}

fn object(answer: &Answer, kind: &str, choice: &Value) -> Value {
    json!({"id": format!("{:032x}", answer.id), "object": kind, "created": CREATED,
           "model": answer.model, "choices": [choice]})
}

fn thinking(text: &str) -> Value {
    json!({"type": "thinking", "thinking": [{"type": "text", "text": text}]})
}

fn calls(answer: &Answer) -> Value {
    match &answer.said {
        Said::Text(_) => Value::Null,
        Said::Call { name, arguments } => json!([{
            "id": format!("{:09}", answer.id % 1_000_000_000), "index": 0,
            "function": {"name": name, "arguments": arguments.text},
        }]),
    }
}

fn usage(answer: &Answer, empty: bool) -> Value {
    let completion = if empty { 0 } else { answer.completion_tokens() };
    json!({"prompt_tokens": answer.prompt_tokens, "completion_tokens": completion,
           "total_tokens": answer.prompt_tokens.saturating_add(completion)})
}

/// Writes the chunks of a streamed answer.
pub(super) struct Chunks<'a>(pub(super) &'a Answer);

impl Chunks<'_> {
    fn chunk(&self, delta: &Value, reason: Option<&str>) -> Value {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
        object(self.0, "chat.completion.chunk", &choice)
    }
}

impl Speaker for Chunks<'_> {
    fn open(&mut self, wire: &mut Wire) {
        wire.event("", &self.chunk(&json!({"role": "assistant", "content": ""}), None));
    }

    fn think(&mut self, wire: &mut Wire, text: &str) {
        wire.event("", &self.chunk(&json!({"content": [thinking(text)]}), None));
    }

    fn text(&mut self, wire: &mut Wire, text: &str) {
        wire.event("", &self.chunk(&json!({"content": text}), None));
    }

    /// A call comes whole, with the reason.
    fn call(&mut self, _wire: &mut Wire, _name: &str) {}

    fn arguments(&mut self, _wire: &mut Wire, _text: &str) {}

    fn finish(&mut self, wire: &mut Wire, usage: bool) {
        let mut delta = json!({"content": ""});
        if let Said::Call { .. } = self.0.said {
            delta["tool_calls"] = calls(self.0);
        }
        let mut chunk = self.chunk(&delta, Some(finish_name(self.0.finish)));
        if usage {
            chunk["usage"] = self::usage(self.0, false);
        }
        wire.event("", &chunk);
    }

    fn finish_empty(&mut self, _wire: &mut Wire) {}

    fn done(&mut self, wire: &mut Wire, _usage: bool, _empty: bool) {
        wire.buf.extend_from_slice(b"data: [DONE]\n\n");
        wire.end_event();
    }

    fn error(&mut self, wire: &mut Wire) {
        wire.event(
            "",
            &json!({"error": {"message": IN_BAND, "type": "server_error", "code": "1000"}}),
        );
    }
}

/// The status and body of an error.
pub(super) fn error(kind: ErrorBody, prompt_tokens: u64, message: &str) -> (u16, Value) {
    let too_long = format!(
        "Prompt contains {prompt_tokens} tokens and 0 draft tokens, too large for model with 32768 \
         maximum context length"
    );
    let (status, class, code, text) = match kind {
        ErrorBody::Auth => return (401, json!({"detail": "Unauthorized"})),
        ErrorBody::InvalidRequest => {
            let detail = json!([{"type": "extra_forbidden", "loc": ["body"], "msg": message}]);
            let error = json!({"object": "error", "message": {"detail": detail},
                               "type": "invalid_request_error", "param": null, "code": null});
            return (422, error);
        }
        ErrorBody::ContextLength => (400, "invalid_request_prompt", "3051", too_long.as_str()),
        ErrorBody::ContentPolicy => {
            (403, "guardrail_violation", "3060", "The prompt was blocked by the content policy.")
        }
        ErrorBody::Billing => (402, "payment_required", "1402", "Payment is required."),
        ErrorBody::Permission => (403, "forbidden", "1403", message),
        ErrorBody::NotFound => (400, "invalid_model", "1500", "Invalid model"),
        ErrorBody::TooLarge => (413, "request_too_large", "1413", message),
        ErrorBody::RateLimit => (429, "rate_limited", "1300", "Rate limit exceeded"),
        ErrorBody::Overloaded => (503, "unreachable_backend", "1100", "Service unavailable."),
        ErrorBody::Server | ErrorBody::Html => (500, "internal_server_error", "1000", message),
    };
    let error = json!({"object": "error", "message": text, "type": class, "param": null,
                       "code": code});
    (status, error)
}
