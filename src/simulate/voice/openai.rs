//! The openai dialect, as a provider writes it (`POST /v1/chat/completions`).

use serde_json::json;

use super::{CREATED, IN_BAND};
use crate::simulate::answer::{Answer, Finish, Said};
use crate::simulate::ask::{Ask, Form};
use crate::simulate::behaviour::ErrorBody;
use crate::simulate::script::{Speaker, Wire, push_json, push_number};

const FORM: Form = Form { openai: true, thinks: None, refuses: &[], known: &[KNOWN] };

const KNOWN: &[&str] = &[
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "metadata",
    "modalities",
    "moderation",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "store",
    "temperature",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

/// Reads a request.
pub(super) fn read(body: &[u8]) -> Result<Ask<'_>, String> {
    Ask::read(&FORM, body)
}

/// A whole answer.
pub(super) fn whole(answer: &Answer, usage: bool, empty: bool) -> Vec<u8> {
    let (Said::Text(pieces) | Said::Call { arguments: pieces, .. }) = &answer.said;
    let mut out = Vec::with_capacity(pieces.text.len() + 640);
    head(&mut out, answer, b"chat.completion");
    out.extend_from_slice(br#","choices":[{"index":0,"message":{"role":"assistant","content":"#);
    match &answer.said {
        _ if empty => out.extend_from_slice(br#""","refusal":null"#),
        Said::Text(pieces) => {
            push_json(&mut out, &pieces.text);
            out.extend_from_slice(br#","refusal":null"#);
        }
        Said::Call { name, arguments } => {
            out.extend_from_slice(br#"null,"refusal":null,"tool_calls":["#);
            call(&mut out, answer.id, name, &arguments.text);
            out.push(b'}');
            out.push(b']');
        }
    }
    out.extend_from_slice(br#"},"logprobs":null,"finish_reason":"#);
    if empty {
        out.extend_from_slice(b"null");
    } else {
        push_json(&mut out, finish_name(answer.finish));
    }
    out.extend_from_slice(b"}]");
    if usage {
        out.extend_from_slice(br#","usage":"#);
        push_usage(&mut out, answer, empty);
    }
    out.push(b'}');
    out
}

/// Writes the chunks of a streamed answer.
pub(super) struct Chunks<'a> {
    answer: &'a Answer,
    include_usage: bool,
    azure: bool,
    /// A chunk up to and with `"delta":`.
    before: Vec<u8>,
}

impl<'a> Chunks<'a> {
    pub(super) fn of(answer: &'a Answer, include_usage: bool) -> Self {
        let mut before = Vec::with_capacity(256);
        before.extend_from_slice(b"data: ");
        head(&mut before, answer, b"chat.completion.chunk");
        before.extend_from_slice(br#","choices":[{"index":0,"delta":"#);
        Self { answer, include_usage, azure: false, before }
    }

    /// The same on Azure, which begins with a chunk of its own.
    pub(super) fn of_azure(answer: &'a Answer, include_usage: bool) -> Self {
        Self { azure: true, ..Self::of(answer, include_usage) }
    }

    fn chunk(&self, wire: &mut Wire, delta: impl FnOnce(&mut Vec<u8>)) {
        wire.buf.extend_from_slice(&self.before);
        delta(&mut wire.buf);
        wire.buf.extend_from_slice(br#","logprobs":null,"finish_reason":null}]"#);
        self.end(wire);
    }

    fn end(&self, wire: &mut Wire) {
        if self.include_usage {
            wire.buf.extend_from_slice(br#","usage":null"#);
        }
        wire.buf.extend_from_slice(b"}\n\n");
        wire.end_event();
    }
}

impl Speaker for Chunks<'_> {
    fn open(&mut self, wire: &mut Wire) {
        if self.azure {
            wire.buf.extend_from_slice(PROMPT_FILTER);
            wire.end_event();
        }
        let content: &[u8] = match self.answer.said {
            Said::Text(_) => br#"{"role":"assistant","content":"","refusal":null}"#,
            Said::Call { .. } => br#"{"role":"assistant","content":null}"#,
        };
        self.chunk(wire, |out| out.extend_from_slice(content));
    }

    fn think(&mut self, wire: &mut Wire, text: &str) {
        self.chunk(wire, |out| {
            out.extend_from_slice(br#"{"reasoning_content":"#);
            push_json(out, text);
            out.push(b'}');
        });
    }

    fn text(&mut self, wire: &mut Wire, text: &str) {
        self.chunk(wire, |out| {
            out.extend_from_slice(br#"{"content":"#);
            push_json(out, text);
            out.push(b'}');
        });
    }

    fn call(&mut self, wire: &mut Wire, name: &str) {
        self.chunk(wire, |out| {
            out.extend_from_slice(br#"{"tool_calls":["#);
            call(out, self.answer.id, name, "");
            out.extend_from_slice(br#","index":0}]}"#);
        });
    }

    fn arguments(&mut self, wire: &mut Wire, text: &str) {
        self.chunk(wire, |out| {
            out.extend_from_slice(br#"{"tool_calls":[{"index":0,"function":{"arguments":"#);
            push_json(out, text);
            out.extend_from_slice(b"}}]}");
        });
    }

    fn finish(&mut self, wire: &mut Wire, usage: bool) {
        wire.buf.extend_from_slice(&self.before);
        wire.buf.extend_from_slice(br#"{},"logprobs":null,"finish_reason":"#);
        push_json(&mut wire.buf, finish_name(self.answer.finish));
        wire.buf.extend_from_slice(b"}]");
        self.end(wire);
        if self.include_usage && usage {
            self.usage(wire, false);
        }
    }

    fn finish_empty(&mut self, wire: &mut Wire) {
        if self.include_usage {
            self.usage(wire, true);
        }
    }

    fn done(&mut self, wire: &mut Wire, _usage: bool, _empty: bool) {
        wire.buf.extend_from_slice(b"data: [DONE]\n\n");
        wire.end_event();
    }

    fn error(&mut self, wire: &mut Wire) {
        wire.buf.extend_from_slice(b"data: ");
        let (_, body) = error(ErrorBody::Server, 0, IN_BAND);
        wire.buf.extend_from_slice(&body);
        wire.buf.extend_from_slice(b"\n\n");
        wire.end_event();
    }
}

impl Chunks<'_> {
    fn usage(&self, wire: &mut Wire, empty: bool) {
        wire.buf.extend_from_slice(b"data: ");
        head(&mut wire.buf, self.answer, b"chat.completion.chunk");
        wire.buf.extend_from_slice(br#","choices":[],"usage":"#);
        push_usage(&mut wire.buf, self.answer, empty);
        wire.buf.extend_from_slice(b"}\n\n");
        wire.end_event();
    }
}

/// What Azure's filter found in the prompt.
const PROMPT_FILTER: &[u8] = b"data: {\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\
    \"object\":\"\",\"prompt_filter_results\":[{\"prompt_index\":0,\"content_filter_results\":\
    {\"hate\":{\"filtered\":false,\"severity\":\"safe\"}}}]}\n\n";

pub(super) const fn finish_name(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
    }
}

fn head(out: &mut Vec<u8>, answer: &Answer, object: &[u8]) {
    out.extend_from_slice(br#"{"id":"chatcmpl-sim"#);
    push_number(out, answer.id);
    out.extend_from_slice(br#"","object":""#);
    out.extend_from_slice(object);
    out.extend_from_slice(br#"","created":"#);
    push_number(out, CREATED);
    out.extend_from_slice(br#","model":"#);
    push_json(out, &answer.model);
    out.extend_from_slice(br#","system_fingerprint":"fp_sim""#);
}

/// A tool call, without its last brace.
fn call(out: &mut Vec<u8>, id: u64, name: &str, arguments: &str) {
    out.extend_from_slice(br#"{"id":"call_sim"#);
    push_number(out, id);
    out.extend_from_slice(br#"","type":"function","function":{"name":"#);
    push_json(out, name);
    out.extend_from_slice(br#","arguments":"#);
    push_json(out, arguments);
    out.push(b'}');
}

fn push_usage(out: &mut Vec<u8>, answer: &Answer, empty: bool) {
    let completion = if empty { 0 } else { answer.completion_tokens() };
    out.extend_from_slice(br#"{"prompt_tokens":"#);
    push_number(out, answer.prompt_tokens);
    out.extend_from_slice(br#","completion_tokens":"#);
    push_number(out, completion);
    out.extend_from_slice(br#","total_tokens":"#);
    push_number(out, answer.prompt_tokens.saturating_add(completion));
    out.extend_from_slice(br#","prompt_tokens_details":{"cached_tokens":0},"#);
    out.extend_from_slice(br#""completion_tokens_details":{"reasoning_tokens":"#);
    push_number(out, answer.thinking_tokens());
    out.extend_from_slice(b"}}");
}

/// The status and body of an error; `message` is used where the kind has no text of its own.
pub(super) fn error(kind: ErrorBody, prompt_tokens: u64, message: &str) -> (u16, Vec<u8>) {
    let too_long = format!(
        "This model's maximum context length is 8192 tokens. However, your messages resulted in \
         {prompt_tokens} tokens. Please reduce the length of the messages."
    );
    let (status, class, code, param, text) = match kind {
        ErrorBody::ContextLength => {
            (400, "invalid_request_error", "context_length_exceeded", "messages", &*too_long)
        }
        ErrorBody::ContentPolicy => {
            (400, "invalid_request_error", "content_policy_violation", "", POLICY)
        }
        ErrorBody::InvalidRequest => (400, "invalid_request_error", "", "", message),
        ErrorBody::Auth => (401, "invalid_request_error", "invalid_api_key", "", BAD_KEY),
        ErrorBody::Billing => (429, "insufficient_quota", "insufficient_quota", "", NO_QUOTA),
        ErrorBody::Permission => (403, "permission_error", "permission_denied", "", message),
        ErrorBody::NotFound => (404, "invalid_request_error", "model_not_found", "", message),
        ErrorBody::TooLarge => (413, "invalid_request_error", "request_too_large", "", message),
        ErrorBody::RateLimit => (429, "requests", "rate_limit_exceeded", "", RATE_LIMIT),
        ErrorBody::Overloaded => (503, "server_error", "overloaded", "", OVERLOADED),
        ErrorBody::Server | ErrorBody::Html => (500, "server_error", "", "", message),
    };
    let mut out = Vec::with_capacity(text.len() + 96);
    out.extend_from_slice(br#"{"error":{"message":"#);
    push_json(&mut out, text);
    out.extend_from_slice(br#","type":"#);
    push_json(&mut out, class);
    out.extend_from_slice(br#","param":"#);
    push_or_null(&mut out, param);
    out.extend_from_slice(br#","code":"#);
    push_or_null(&mut out, code);
    out.extend_from_slice(b"}}");
    (status, out)
}

/// The same on Azure, which says some things in other words.
pub(super) fn azure_error(kind: ErrorBody, prompt_tokens: u64, message: &str) -> (u16, Vec<u8>) {
    let body = match kind {
        ErrorBody::Auth => json!({"error": {"code": "401", "message":
            "Access denied due to invalid subscription key or wrong API endpoint."}}),
        ErrorBody::NotFound => json!({"error": {"code": "DeploymentNotFound", "message":
            "The API deployment for this resource does not exist."}}),
        ErrorBody::RateLimit => json!({"error": {"code": "429", "message":
            "Requests have exceeded the call rate limit. Please retry after 1 second."}}),
        ErrorBody::ContentPolicy => json!({"error": {"message": AZURE_POLICY, "type": null,
            "param": "prompt", "code": "content_filter", "status": 400, "innererror": {
                "code": "ResponsibleAIPolicyViolation", "content_filter_result": {
                    "violence": {"filtered": true, "severity": "high"}}}}}),
        _ => return error(kind, prompt_tokens, message),
    };
    (error(kind, prompt_tokens, message).0, body.to_string().into_bytes())
}

const AZURE_POLICY: &str = "The response was filtered due to the prompt triggering Azure OpenAI's \
                            content management policy.";

fn push_or_null(out: &mut Vec<u8>, text: &str) {
    if text.is_empty() { out.extend_from_slice(b"null") } else { push_json(out, text) }
}

const POLICY: &str = "The prompt was refused by the simulated provider's content policy.";
const BAD_KEY: &str = "Incorrect API key provided.";
const NO_QUOTA: &str = "You exceeded your current quota, please check your plan and billing.";
const RATE_LIMIT: &str = "Rate limit reached for requests.";
const OVERLOADED: &str = "The simulated provider is overloaded.";
