//! The completions dialect, as a server of a raw model writes it (`POST /v1/completions`). Errors
//! are those of the openai dialect.

use serde::Deserialize;
use serde_json::{Value, json};

use super::openai::finish_name;
use super::{CREATED, IN_BAND};
use crate::simulate::answer::{Answer, Said};
use crate::simulate::ask::{Ask, Content, Message, Stop, Text};
use crate::simulate::behaviour::ErrorBody;
use crate::simulate::body::Body;
use crate::simulate::script::{Speaker, Wire};

/// What is generated where the request does not say.
const MAX_TOKENS: u64 = 16;

/// Members that are passed over.
const KNOWN: &[&str] = &[
    "best_of",
    "echo",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "presence_penalty",
    "response_format",
    "seed",
    "suffix",
    "temperature",
    "top_p",
    "user",
    // vLLM's.
    "add_special_tokens",
    "min_p",
    "repetition_penalty",
    "skip_special_tokens",
    "top_k",
];

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// Reads a request: the prompt is what a user said.
pub(super) fn read(body: &[u8]) -> Result<Ask<'_>, String> {
    let mut body = Body::read(body)?;
    let Stop(prompts) = body.take("prompt")?.unwrap_or_default();
    if prompts.len() > 1 {
        return Err("prompt: the simulator takes one".to_owned());
    }
    let message = |Text(prompt)| Message {
        role: Text("user".into()),
        content: Content::Text(prompt),
        tool_calls: None,
        tool_call_id: None,
    };
    let options: Option<StreamOptions> = body.take("stream_options")?;
    let mut ask = Ask {
        model: body.take("model")?.unwrap_or_default(),
        messages: prompts.into_iter().map(message).collect(),
        stream: body.take("stream")?.unwrap_or(false),
        include_usage: options.is_some_and(|options| options.include_usage.unwrap_or(false)),
        max_tokens: Some(body.take("max_tokens")?.unwrap_or(MAX_TOKENS)),
        stop: body.take("stop")?.unwrap_or_default(),
        ..Ask::default()
    };
    if body.take::<u64>("n")?.is_some_and(|n| n != 1) {
        return Err("n: the simulator gives one choice".to_owned());
    }
    ask.unknown = body.unknown(KNOWN);
    Ok(ask)
}

/// A whole answer.
pub(super) fn whole(answer: &Answer, usage: bool, empty: bool) -> Value {
    let text = if empty { "" } else { said(answer) };
    let mut value = chunk(answer, text, (!empty).then(|| finish_name(answer.finish)));
    if usage {
        value["usage"] = self::usage(answer, empty);
    }
    value
}

fn said(answer: &Answer) -> &str {
    let (Said::Text(pieces) | Said::Call { arguments: pieces, .. }) = &answer.said;
    &pieces.text
}

fn chunk(answer: &Answer, text: &str, reason: Option<&str>) -> Value {
    let choice = json!({"index": 0, "text": text, "logprobs": null, "finish_reason": reason,
                        "stop_reason": answer.stopped_by.as_ref().filter(|_| reason.is_some())});
    json!({"id": format!("cmpl-sim{}", answer.id), "object": "text_completion",
           "created": CREATED, "model": answer.model, "choices": [choice]})
}

fn usage(answer: &Answer, empty: bool) -> Value {
    let completion = if empty { 0 } else { answer.completion_tokens() };
    json!({"prompt_tokens": answer.prompt_tokens, "completion_tokens": completion,
           "total_tokens": answer.prompt_tokens.saturating_add(completion)})
}

/// Writes the chunks of a streamed answer.
pub(super) struct Chunks<'a> {
    answer: &'a Answer,
    include_usage: bool,
}

impl<'a> Chunks<'a> {
    pub(super) const fn of(answer: &'a Answer, include_usage: bool) -> Self {
        Self { answer, include_usage }
    }

    fn usage(&self, wire: &mut Wire, empty: bool) {
        if self.include_usage {
            let mut chunk = chunk(self.answer, "", None);
            chunk["choices"] = json!([]);
            chunk["usage"] = usage(self.answer, empty);
            wire.event("", &chunk);
        }
    }
}

impl Speaker for Chunks<'_> {
    /// Nothing comes before the first token; so that a cut there shows, an empty text does.
    fn open(&mut self, wire: &mut Wire) {
        wire.event("", &chunk(self.answer, "", None));
    }

    fn think(&mut self, _wire: &mut Wire, _text: &str) {}

    fn text(&mut self, wire: &mut Wire, text: &str) {
        wire.event("", &chunk(self.answer, text, None));
    }

    fn call(&mut self, _wire: &mut Wire, _name: &str) {}

    fn arguments(&mut self, wire: &mut Wire, text: &str) {
        self.text(wire, text);
    }

    fn finish(&mut self, wire: &mut Wire, usage: bool) {
        wire.event("", &chunk(self.answer, "", Some(finish_name(self.answer.finish))));
        if usage {
            self.usage(wire, false);
        }
    }

    fn finish_empty(&mut self, wire: &mut Wire) {
        self.usage(wire, true);
    }

    fn done(&mut self, wire: &mut Wire, _usage: bool, _empty: bool) {
        wire.buf.extend_from_slice(b"data: [DONE]\n\n");
        wire.end_event();
    }

    fn error(&mut self, wire: &mut Wire) {
        let (_, body) = super::openai::error(ErrorBody::Server, 0, IN_BAND);
        wire.buf.extend_from_slice(b"data: ");
        wire.buf.extend_from_slice(&body);
        wire.buf.extend_from_slice(b"\n\n");
        wire.end_event();
    }
}
