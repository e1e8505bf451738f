//! The anthropic dialect, as a provider writes it (`POST /v1/messages`).

use super::IN_BAND;
use crate::simulate::answer::{Answer, Finish, Said};
use crate::simulate::ask::{Ask, Form};
use crate::simulate::behaviour::ErrorBody;
use crate::simulate::script::{Speaker, Wire, push_json, push_number};

const KNOWN: &[&str] = &[
    "cache_control",
    "container",
    "context_management",
    "inference_geo",
    "mcp_servers",
    "metadata",
    "output_config",
    "output_format",
    "service_tier",
    "speed",
    "temperature",
    "top_k",
    "top_p",
];

const FORM: Form = Form { openai: false, known: &[KNOWN], thinks: None, refuses: &[] };
/// On Vertex AI the body has one member more.
const VERTEX: Form = Form { known: &[KNOWN, &["anthropic_version"]], ..FORM };

/// Reads a request.
pub(super) fn read(body: &[u8]) -> Result<Ask<'_>, String> {
    Ask::read(&FORM, body)
}

/// Reads a request of Vertex AI: the version is in the body, and the model is not.
pub(super) fn read_vertex(body: &[u8]) -> Result<Ask<'_>, String> {
    if !body.windows(VERSION.len()).any(|at| at == VERSION) {
        return Err("anthropic_version: Field required".to_owned());
    }
    let ask = Ask::read(&VERTEX, body)?;
    if !ask.model.0.is_empty() {
        return Err("model: Extra inputs are not permitted".to_owned());
    }
    Ok(ask)
}

const VERSION: &[u8] = b"\"vertex-2023-10-16\"";

/// A whole answer.
pub(super) fn whole(answer: &Answer, usage: bool, empty: bool) -> Vec<u8> {
    let (Said::Text(pieces) | Said::Call { arguments: pieces, .. }) = &answer.said;
    let mut out = Vec::with_capacity(pieces.text.len() + 640);
    head(&mut out, answer);
    out.extend_from_slice(br#","content":["#);
    if !empty {
        blocks(&mut out, answer);
    }
    out.extend_from_slice(b"],");
    if empty {
        out.extend_from_slice(br#""stop_reason":null,"stop_sequence":null"#);
    } else {
        stop(&mut out, answer);
    }
    if usage {
        out.extend_from_slice(br#","usage":{"input_tokens":"#);
        push_number(&mut out, answer.prompt_tokens);
        out.extend_from_slice(br#","cache_creation_input_tokens":0,"cache_read_input_tokens":0"#);
        out.extend_from_slice(br#","output_tokens":"#);
        push_number(&mut out, if empty { 0 } else { answer.completion_tokens() });
        thinking_usage(&mut out, answer);
        out.push(b'}');
    }
    out.push(b'}');
    out
}

fn blocks(out: &mut Vec<u8>, answer: &Answer) {
    if let Some(thinking) = &answer.thinking {
        out.extend_from_slice(br#"{"type":"thinking","thinking":"#);
        push_json(out, &thinking.text);
        out.extend_from_slice(br#","signature":""#);
        signature(out, answer);
        out.extend_from_slice(br#""}"#);
    }
    match &answer.said {
        Said::Text(pieces) if pieces.text.is_empty() => {}
        Said::Text(pieces) => {
            comma(out, answer);
            out.extend_from_slice(br#"{"type":"text","text":"#);
            push_json(out, &pieces.text);
            out.push(b'}');
        }
        Said::Call { name, arguments } => {
            comma(out, answer);
            call(out, answer.id, name, &arguments.text);
        }
    }
}

fn comma(out: &mut Vec<u8>, answer: &Answer) {
    if answer.thinking.is_some() {
        out.push(b',');
    }
}

/// Writes the events of a streamed answer.
pub(super) struct Events<'a> {
    answer: &'a Answer,
    index: u64,
    open: Open,
}

/// The content block that is being written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    None,
    Thinking,
    Text,
    Call,
}

impl<'a> Events<'a> {
    pub(super) const fn of(answer: &'a Answer) -> Self {
        Self { answer, index: 0, open: Open::None }
    }

    /// Opens a block, after closing another.
    fn block(&mut self, wire: &mut Wire, kind: Open, block: impl FnOnce(&mut Vec<u8>)) {
        if self.open == kind {
            return;
        }
        self.close(wire);
        self.open = kind;
        wire.buf.extend_from_slice(b"event: content_block_start\ndata: ");
        wire.buf.extend_from_slice(br#"{"type":"content_block_start","index":"#);
        push_number(&mut wire.buf, self.index);
        wire.buf.extend_from_slice(br#","content_block":"#);
        block(&mut wire.buf);
        end(wire);
    }

    fn close(&mut self, wire: &mut Wire) {
        if self.open == Open::None {
            return;
        }
        if self.open == Open::Thinking {
            let answer = self.answer;
            self.delta(wire, |out| {
                out.extend_from_slice(br#"{"type":"signature_delta","signature":""#);
                signature(out, answer);
                out.push(b'"');
            });
        }
        wire.buf.extend_from_slice(b"event: content_block_stop\ndata: ");
        wire.buf.extend_from_slice(br#"{"type":"content_block_stop","index":"#);
        push_number(&mut wire.buf, self.index);
        end(wire);
        self.open = Open::None;
        self.index += 1;
    }

    /// A delta; `delta` leaves its last brace away.
    fn delta(&self, wire: &mut Wire, delta: impl FnOnce(&mut Vec<u8>)) {
        wire.buf.extend_from_slice(b"event: content_block_delta\ndata: ");
        wire.buf.extend_from_slice(br#"{"type":"content_block_delta","index":"#);
        push_number(&mut wire.buf, self.index);
        wire.buf.extend_from_slice(br#","delta":"#);
        delta(&mut wire.buf);
        wire.buf.push(b'}');
        end(wire);
    }
}

impl Speaker for Events<'_> {
    fn open(&mut self, wire: &mut Wire) {
        wire.buf.extend_from_slice(b"event: message_start\ndata: ");
        wire.buf.extend_from_slice(br#"{"type":"message_start","message":"#);
        head(&mut wire.buf, self.answer);
        wire.buf.extend_from_slice(br#","content":[],"stop_reason":null,"stop_sequence":null"#);
        wire.buf.extend_from_slice(br#","usage":{"input_tokens":"#);
        push_number(&mut wire.buf, self.answer.prompt_tokens);
        wire.buf.extend_from_slice(br#","cache_creation_input_tokens":0"#);
        wire.buf.extend_from_slice(br#","cache_read_input_tokens":0,"output_tokens":1}}"#);
        end(wire);
        wire.buf.extend_from_slice(b"event: ping\ndata: {\"type\":\"ping\"");
        end(wire);
    }

    fn think(&mut self, wire: &mut Wire, text: &str) {
        self.block(wire, Open::Thinking, |out| {
            out.extend_from_slice(br#"{"type":"thinking","thinking":"","signature":""}"#);
        });
        self.delta(wire, |out| {
            out.extend_from_slice(br#"{"type":"thinking_delta","thinking":"#);
            push_json(out, text);
        });
    }

    fn text(&mut self, wire: &mut Wire, text: &str) {
        self.block(wire, Open::Text, |out| {
            out.extend_from_slice(br#"{"type":"text","text":""}"#);
        });
        self.delta(wire, |out| {
            out.extend_from_slice(br#"{"type":"text_delta","text":"#);
            push_json(out, text);
        });
    }

    fn call(&mut self, wire: &mut Wire, name: &str) {
        let id = self.answer.id;
        self.block(wire, Open::Call, |out| call(out, id, name, "{}"));
        self.arguments(wire, "");
    }

    fn arguments(&mut self, wire: &mut Wire, text: &str) {
        self.delta(wire, |out| {
            out.extend_from_slice(br#"{"type":"input_json_delta","partial_json":"#);
            push_json(out, text);
        });
    }

    fn finish(&mut self, wire: &mut Wire, usage: bool) {
        self.close(wire);
        message_delta(wire, |out| {
            out.push(b'{');
            stop(out, self.answer);
            out.push(b'}');
            if usage {
                out.extend_from_slice(br#","usage":{"output_tokens":"#);
                push_number(out, self.answer.completion_tokens());
                thinking_usage(out, self.answer);
                out.push(b'}');
            }
        });
    }

    fn finish_empty(&mut self, wire: &mut Wire) {
        message_delta(wire, |out| {
            out.extend_from_slice(br#"{"stop_reason":null,"stop_sequence":null}"#);
            out.extend_from_slice(br#","usage":{"output_tokens":0}"#);
        });
    }

    fn done(&mut self, wire: &mut Wire, _usage: bool, _empty: bool) {
        wire.buf.extend_from_slice(b"event: message_stop\ndata: {\"type\":\"message_stop\"");
        end(wire);
    }

    fn error(&mut self, wire: &mut Wire) {
        wire.buf.extend_from_slice(b"event: error\ndata: ");
        let (_, body) = error(ErrorBody::Overloaded, 0, IN_BAND);
        wire.buf.extend_from_slice(&body);
        wire.buf.extend_from_slice(b"\n\n");
        wire.end_event();
    }
}

fn message_delta(wire: &mut Wire, delta: impl FnOnce(&mut Vec<u8>)) {
    wire.buf.extend_from_slice(b"event: message_delta\ndata: ");
    wire.buf.extend_from_slice(br#"{"type":"message_delta","delta":"#);
    delta(&mut wire.buf);
    end(wire);
}

/// The last brace of an event's data and the end of the event.
fn end(wire: &mut Wire) {
    wire.buf.extend_from_slice(b"}\n\n");
    wire.end_event();
}

fn head(out: &mut Vec<u8>, answer: &Answer) {
    out.extend_from_slice(br#"{"id":"msg_sim"#);
    push_number(out, answer.id);
    out.extend_from_slice(br#"","type":"message","role":"assistant","model":"#);
    push_json(out, &answer.model);
}

fn call(out: &mut Vec<u8>, id: u64, name: &str, input: &str) {
    out.extend_from_slice(br#"{"type":"tool_use","id":"toolu_sim"#);
    push_number(out, id);
    out.extend_from_slice(br#"","name":"#);
    push_json(out, name);
    out.extend_from_slice(br#","input":"#);
    out.extend_from_slice(input.as_bytes());
    out.push(b'}');
}

fn stop(out: &mut Vec<u8>, answer: &Answer) {
    let sequence = answer.stopped_by.as_deref().filter(|_| answer.finish == Finish::Stop);
    out.extend_from_slice(br#""stop_reason":"#);
    push_json(out, finish_name(answer.finish, sequence.is_some()));
    out.extend_from_slice(br#","stop_sequence":"#);
    match sequence {
        Some(sequence) => push_json(out, sequence),
        None => out.extend_from_slice(b"null"),
    }
}

const fn finish_name(finish: Finish, by_stop: bool) -> &'static str {
    match finish {
        Finish::Stop if by_stop => "stop_sequence",
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
    }
}

fn thinking_usage(out: &mut Vec<u8>, answer: &Answer) {
    if answer.thinking.is_some() {
        out.extend_from_slice(br#","output_tokens_details":{"thinking_tokens":"#);
        push_number(out, answer.thinking_tokens());
        out.push(b'}');
    }
}

fn signature(out: &mut Vec<u8>, answer: &Answer) {
    out.extend_from_slice(b"c2ltLXNpZ25hdHVyZS0");
    push_number(out, answer.id);
}

/// The status and body of an error; `message` is used where the kind has no text of its own.
pub(super) fn error(kind: ErrorBody, prompt_tokens: u64, message: &str) -> (u16, Vec<u8>) {
    let too_long = format!("prompt is too long: {prompt_tokens} tokens > 200000 maximum");
    let (status, class, text) = match kind {
        ErrorBody::ContextLength => (400, "invalid_request_error", &*too_long),
        ErrorBody::ContentPolicy => {
            (400, "invalid_request_error", "Output blocked by content filtering policy")
        }
        ErrorBody::InvalidRequest => (400, "invalid_request_error", message),
        ErrorBody::Auth => (401, "authentication_error", "invalid x-api-key"),
        ErrorBody::Billing => (
            400,
            "invalid_request_error",
            "Your credit balance is too low to access the Anthropic API.",
        ),
        ErrorBody::Permission => (403, "permission_error", message),
        ErrorBody::NotFound => (404, "not_found_error", message),
        ErrorBody::TooLarge => (413, "request_too_large", message),
        ErrorBody::RateLimit => {
            (429, "rate_limit_error", "This request would exceed your rate limit.")
        }
        ErrorBody::Overloaded => (529, "overloaded_error", "Overloaded"),
        ErrorBody::Server | ErrorBody::Html => (500, "api_error", message),
    };
    let mut out = Vec::with_capacity(text.len() + 96);
    out.extend_from_slice(br#"{"type":"error","error":{"type":"#);
    push_json(&mut out, class);
    out.extend_from_slice(br#","message":"#);
    push_json(&mut out, text);
    out.extend_from_slice(br#"},"request_id":"req_sim"}"#);
    (status, out)
}
