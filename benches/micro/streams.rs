//! Streams of answers as providers send them.

use bytes::Bytes;
use turnpike::catalog::price::Prices;
use turnpike::catalog::tariff::Tariff;
use turnpike::dialect::frames::Framing;
use turnpike::dialect::openai::Host;
use turnpike::dialect::{Dialect, Surface, bedrock};
use turnpike::stream::{Pipe, Shape};
use turnpike::vocab::{GenerationId, ModelId, PicoUsd};

/// A pipe that a stream has begun to flow through, and so many chunks to come, each with one word
/// of the answer.
pub(crate) fn begun(dialect: Dialect, surface: Surface, chunks: u32) -> (Pipe, Vec<Bytes>) {
    let (start, chunk): (Bytes, fn(u32) -> Bytes) = match dialect {
        Dialect::Anthropic => (anthropic_start(), anthropic_chunk),
        Dialect::Gemini => (gemini_chunk(0), gemini_chunk),
        Dialect::Bedrock => (bedrock_start(), bedrock_chunk),
        _ => (openai_chunk(0), openai_chunk),
    };
    let framing = if dialect == Dialect::Bedrock { Framing::EventStream } else { Framing::Sse };
    let passed = dialect == Dialect::OpenAi && surface == Surface::Chat;
    let mut pipe = Pipe::new(dialect, shape(surface, true), framing, passed);
    pipe.push(start).expect("a sound start");
    (pipe, (0..chunks).map(chunk).collect())
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
        prices: Tariff::from(Prices {
            prompt: PicoUsd(150_000),
            completion: PicoUsd(600_000),
            ..Prices::default()
        })
        .quote(0),
        prompt_estimate: 200,
        request: Bytes::from_static(b"{}"),
        completion_max: 4096,
        hide_reasoning: false,
    }
}

/// A streamed answer's chunk in OpenAI's form.
pub(crate) fn openai_chunk(token: u32) -> Bytes {
    Bytes::from(format!(
        "data: {{\"id\":\"chatcmpl-9d2c1b0a\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":\"gpt-4o-mini-2024-07-18\",\"system_fingerprint\":\"fp_0123456789\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" word{token}\"}},\"logprobs\":null,\"finish_reason\":null}}],\"usage\":null}}\n\n"
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
