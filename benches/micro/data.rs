//! What clients and providers send.

use std::fmt::Write as _;

use bytes::Bytes;
use turnpike::catalog::Quote;
use turnpike::config::{self, Config};
use turnpike::dialect::openai::Host;
use turnpike::dialect::{Surface, bedrock};
use turnpike::stream::Shape;
use turnpike::vocab::{GenerationId, ModelId};

/// A chat request of about so many bytes: a conversation of messages of up to 4 KB.
pub(crate) fn chat_request(bytes: usize) -> Vec<u8> {
    let mut body = String::with_capacity(bytes + 256);
    body.push_str(
        r#"{"model":"bench/model","stream":true,"stream_options":{"include_usage":true},"max_tokens":256,"temperature":0.7,"messages":[{"role":"system","content":"You are a helpful assistant."}"#,
    );
    let mut user = true;
    while body.len() + 64 < bytes {
        let role = if user { "user" } else { "assistant" };
        let length = (bytes - body.len() - 40).min(4096);
        // Writing into a String can't fail.
        let _infallible = write!(body, r#",{{"role":"{role}","content":"{}"}}"#, prose(length));
        user = !user;
    }
    body.push_str("]}");
    body.into_bytes()
}

/// Text with a line end or a quoted word here and there, as it stands in JSON.
fn prose(bytes: usize) -> String {
    const PARTS: [&str; 4] = [
        "the report shows that in spring most of the lines were moved ",
        r"to another place,\nand nobody wrote down why ",
        r#"except \"in the margin\" of the second page; "#,
        "what it says there can be read in either of two ways, ",
    ];
    let mut text = String::with_capacity(bytes + 64);
    for part in PARTS.iter().cycle() {
        if text.len() + part.len() > bytes {
            break;
        }
        text.push_str(part);
    }
    text
}

/// A streamed answer's chunk in OpenAI's form.
pub(crate) fn openai_chunk(token: u32) -> Bytes {
    Bytes::from(format!(
        "data: {{\"id\":\"chatcmpl-9d2c1b0a\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":\"gpt-4o-mini-2024-07-18\",\"system_fingerprint\":\"fp_0123456789\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" word{token}\"}},\"logprobs\":null,\"finish_reason\":null}}],\"usage\":null}}\n\n"
    ))
}

/// A whole answer in OpenAI's form, about 1 KB.
pub(crate) fn openai_answer() -> Bytes {
    let text = prose(512);
    Bytes::from(format!(
        "{{\"id\":\"chatcmpl-9d2c1b0a\",\"object\":\"chat.completion\",\"created\":1767225600,\"model\":\"gpt-4o-mini-2024-07-18\",\"system_fingerprint\":\"fp_0123456789\",\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"{text}\",\"refusal\":null}},\"logprobs\":null,\"finish_reason\":\"stop\"}}],\"usage\":{{\"prompt_tokens\":200,\"completion_tokens\":100,\"total_tokens\":300,\"prompt_tokens_details\":{{\"cached_tokens\":0}},\"completion_tokens_details\":{{\"reasoning_tokens\":0}}}}}}"
    ))
}

/// What an Anthropic stream begins with.
pub(crate) fn anthropic_start() -> Bytes {
    Bytes::from_static(
        b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_01\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"model\":\"claude-sonnet-4-20250514\",\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":200,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    )
}

/// A chunk of it.
pub(crate) fn anthropic_chunk(token: u32) -> Bytes {
    Bytes::from(format!(
        "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\" word{token}\"}}}}\n\n"
    ))
}

/// What a Gemini stream consists of: each chunk repeats everything.
pub(crate) fn gemini_chunk(token: u32) -> Bytes {
    Bytes::from(format!(
        "data: {{\"candidates\":[{{\"content\":{{\"parts\":[{{\"text\":\" word{token}\"}}],\"role\":\"model\"}},\"index\":0}}],\"usageMetadata\":{{\"promptTokenCount\":200,\"candidatesTokenCount\":{token},\"totalTokenCount\":300,\"promptTokensDetails\":[{{\"modality\":\"TEXT\",\"tokenCount\":200}}],\"thoughtsTokenCount\":40}},\"modelVersion\":\"gemini-2.5-flash\",\"responseId\":\"mAitaLmkHPPlz7IPvtfUqQ4\"}}\r\n\r\n"
    ))
}

/// What a Bedrock stream begins with.
pub(crate) fn bedrock_start() -> Bytes {
    bedrock::encode("messageStart", r#"{"p":"abcd","role":"assistant"}"#).into()
}

/// A chunk of it.
pub(crate) fn bedrock_chunk(token: u32) -> Bytes {
    let payload = format!(
        "{{\"contentBlockIndex\":0,\"delta\":{{\"text\":\" word{token}\"}},\"p\":\"abcdefghijk\"}}"
    );
    bedrock::encode("contentBlockDelta", &payload).into()
}

/// A gateway's configuration with so many endpoints of one model, each at a provider of its own.
pub(crate) fn config(endpoints: usize) -> Config {
    let mut text = String::new();
    for at in 0..endpoints {
        // Writing into a String can't fail.
        let _infallible = write!(
            text,
            "[[providers]]\nid = \"p{at}\"\ndialect = \"openai\"\n\
             base_url = \"http://127.0.0.1:9/v1\"\nauth = \"none\"\n"
        );
    }
    text.push_str("[[models]]\nid = \"bench/model\"\ncontext_length = 131072\n");
    for at in 0..endpoints {
        let _infallible = write!(
            text,
            "[[models.endpoints]]\nprovider = \"p{at}\"\nupstream_model = \"model\"\n\
             max_output = 8192\nprices = {{ prompt = \"0.15\", completion = \"0.60\" }}\n"
        );
    }
    config::parse(&text, &|_| None, &|_| Err(std::io::ErrorKind::NotFound.into()))
        .expect("a sound configuration")
}

/// What a client of this surface is answered with.
pub(crate) fn shape(surface: Surface, stream: bool) -> Shape {
    Shape {
        surface,
        asked: None,
        host: &Host::GENERIC,
        template: None,
        echo: (surface == Surface::Responses).then(|| "\"temperature\":1".into()),
        metadata: None,
        generation: GenerationId::new(1_767_225_600_000, 42),
        created: 1_767_225_600,
        model: ModelId::parse("bench/model").expect("a model id"),
        provider: "Bench".into(),
        stream,
        prices: prices(),
        prompt_estimate: 200,
        request: Bytes::from_static(b"{}"),
        completion_max: 4096,
        hide_reasoning: false,
    }
}

fn prices() -> Quote {
    let config = config(1);
    let endpoint = config.catalog.endpoints().next().expect("one endpoint");
    endpoint.prices.quote(0)
}
