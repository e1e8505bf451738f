//! What a chunk of a translated answer costs in allocations.

use turnpike::dialect::frames::{Frames, Framing};
use turnpike::dialect::openai::Host;
use turnpike::dialect::{AnswerShape, Dialect, Surface};

const CHUNKS: u32 = 1000;

fn chunk(dialect: Dialect, n: u32) -> Vec<u8> {
    let data = match dialect {
        Dialect::Anthropic => format!(
            r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":" word{n}\n"}}}}"#
        ),
        Dialect::Gemini => format!(
            r#"{{"candidates":[{{"content":{{"parts":[{{"text":" word{n}\n"}}],"role":"model"}},"index":0}}],"usageMetadata":{{"promptTokenCount":200,"candidatesTokenCount":{n},"totalTokenCount":300}},"modelVersion":"gemini-2.5-flash","responseId":"r"}}"#
        ),
        Dialect::Bedrock => {
            let payload = format!(r#"{{"contentBlockIndex":0,"delta":{{"text":" word{n}\n"}}}}"#);
            return turnpike::dialect::bedrock::encode("contentBlockDelta", &payload);
        }
        _ => format!(
            r#"{{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{{"index":0,"delta":{{"content":" word{n}\n"}},"finish_reason":null}}]}}"#
        ),
    };
    format!("data: {data}\n\n").into_bytes()
}

/// What begins a stream where a delta does not.
fn start(dialect: Dialect) -> Vec<u8> {
    match dialect {
        Dialect::Anthropic => concat!(
            "data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"c\"}}\n\n",
            "data: {\"type\":\"content_block_start\",\"index\":0,",
            "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
        )
        .into(),
        Dialect::Bedrock => {
            turnpike::dialect::bedrock::encode("messageStart", r#"{"role":"assistant"}"#)
        }
        _ => chunk(dialect, 0),
    }
}

/// Allocations per chunk from the provider's bytes to the client's.
fn allocations(dialect: Dialect, surface: Surface) -> u64 {
    let framing = match dialect {
        Dialect::Bedrock => Framing::EventStream,
        _ => Framing::Sse,
    };
    let chunks: Vec<Vec<u8>> = (0..CHUNKS).map(|n| chunk(dialect, n)).collect();
    let mut frames = Frames::new(framing).expect("a stream");
    let mut reader = dialect.reader(&Host::GENERIC, None);
    let mut sink = surface.stream_sink(&AnswerShape::default());
    let (mut events, mut wire) = (Vec::new(), Vec::with_capacity(1 << 16));
    let mut written = 0;
    let mut push = |bytes: &[u8]| {
        let pushed = frames.push(bytes, |frame| {
            let read = reader.read(&frame, &mut events);
            for event in events.drain(..) {
                sink.write(&event, None, &mut wire);
            }
            read
        });
        pushed.expect("a sound chunk");
        written += wire.len();
        wire.clear();
    };
    push(&start(dialect));
    let info = allocation_counter::measure(|| chunks.iter().for_each(|chunk| push(chunk)));
    assert!(written > 10 * chunks.len(), "{dialect} to {surface} writes");
    info.count_total / u64::from(CHUNKS)
}

#[test]
fn a_chunk_costs_few() {
    let mut costly = Vec::new();
    for dialect in [Dialect::Anthropic, Dialect::Gemini, Dialect::Bedrock, Dialect::OpenAi] {
        for surface in [Surface::Chat, Surface::Messages, Surface::Responses] {
            let count = allocations(dialect, surface);
            let line = format!("{dialect} to {surface}: {count}");
            // `cargo test … -- --nocapture` shows them.
            eprintln!("allocations per chunk, {line}");
            if count > MOST {
                costly.push(line);
            }
        }
    }
    assert!(costly.is_empty(), "{}", costly.join("; "));
}

/// The text of the event, what reads its escapes, and what a reader keeps; AWS's frames have headers.
const MOST: u64 = 12;
