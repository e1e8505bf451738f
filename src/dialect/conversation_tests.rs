//! A conversation goes on: what a model thought and called, handed back by the client as its SDK
//! does, reaches the same provider byte for byte, and another one not at all.

use serde_json::{Value, json};

use super::frames::{Frames, Framing};
use super::ir::Request;
use super::openai::Host;
use super::{AnswerShape, Dialect, Surface, Target, abilities};

const SIGNATURE: &str = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pk+/==";
const REDACTED: &str = "EmwKAhgBEgy3va3pzix/LafPsn4a+/==";

/// Thinking, hidden thinking, words and two calls.
fn answer() -> String {
    let block = |index: u32, block: Value, deltas: Vec<Value>| {
        let start = json!({"type": "content_block_start", "index": index, "content_block": block});
        let deltas = deltas.into_iter().map(
            move |delta| json!({"type": "content_block_delta", "index": index, "delta": delta}),
        );
        let stop = json!({"type": "content_block_stop", "index": index});
        [start].into_iter().chain(deltas).chain([stop]).collect::<Vec<_>>()
    };
    let tool = |id: &str| json!({"type": "tool_use", "id": id, "name": "weather", "input": {}});
    let input = |json: &str| json!({"type": "input_json_delta", "partial_json": json});
    let mut events = vec![json!({"type": "message_start", "message": {"id": "msg_1", "model": "c",
        "usage": {"input_tokens": 9, "output_tokens": 1}}})];
    events.extend(block(
        0,
        json!({"type": "thinking", "thinking": "", "signature": ""}),
        vec![
            json!({"type": "thinking_delta", "thinking": "Two cities: \"Köln\"\n"}),
            json!({"type": "thinking_delta", "thinking": "and Bonn."}),
            json!({"type": "signature_delta", "signature": SIGNATURE}),
        ],
    ));
    events.extend(block(1, json!({"type": "redacted_thinking", "data": REDACTED}), vec![]));
    let text = json!({"type": "text_delta", "text": "I look it up."});
    events.extend(block(2, json!({"type": "text", "text": ""}), vec![text]));
    events.extend(block(3, tool("toolu_1"), vec![input("{\"city\""), input(":\"Köln\"}")]));
    events.extend(block(4, tool("toolu_2"), vec![input("{\"city\":\"Bonn\"}")]));
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"},
        "usage": {"output_tokens": 80}}));
    events.push(json!({"type": "message_stop"}));
    events.iter().map(|event| format!("data: {event}\n\n")).collect()
}

/// The whole answer as the client of this surface gets it.
fn told(surface: Surface) -> Value {
    let dialect = Dialect::Anthropic;
    let shape = AnswerShape {
        id: "gen-1".into(),
        model: "a/m".into(),
        reasoning_format: dialect.reasoning_format(),
        ..AnswerShape::default()
    };
    let (mut reader, mut events) = (dialect.reader(&Host::GENERIC, None), Vec::new());
    let mut frames = Frames::new(Framing::Sse).unwrap();
    frames.push(answer().as_bytes(), |frame| reader.read(&frame, &mut events)).unwrap();
    let mut sink = surface.whole_sink(&shape);
    events.iter().for_each(|event| sink.write(event));
    serde_json::from_slice(&sink.finish(None, None)).unwrap()
}

/// The client's next request: the answer as it came, and what its tools returned.
fn goes_on(surface: Surface) -> Request {
    let answer = told(surface);
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let function = json!({"name": "weather", "parameters": schema});
    let body = match surface {
        Surface::Messages => json!({
            "model": "m", "max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 2000},
            "tools": [{"name": "weather", "input_schema": schema}],
            "messages": [
                {"role": "user", "content": "Weather?"},
                {"role": "assistant", "content": answer["content"]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sun"},
                    {"type": "tool_result", "tool_use_id": "toolu_2", "content": "rain"},
                ]},
            ],
        }),
        Surface::Responses => {
            let mut input = vec![json!({"role": "user", "content": "Weather?"})];
            input.extend(answer["output"].as_array().unwrap().iter().cloned());
            for (id, output) in [("toolu_1", "sun"), ("toolu_2", "rain")] {
                input
                    .push(json!({"type": "function_call_output", "call_id": id, "output": output}));
            }
            json!({
                "model": "m", "input": input, "reasoning": {"effort": "medium"},
                "tools": [{"type": "function", "name": "weather", "parameters": schema}],
            })
        }
        Surface::Chat | Surface::Completions => json!({
            "model": "m", "reasoning": {"max_tokens": 2000},
            "tools": [{"type": "function", "function": function}],
            "messages": [
                {"role": "user", "content": "Weather?"},
                answer["choices"][0]["message"],
                {"role": "tool", "tool_call_id": "toolu_1", "content": "sun"},
                {"role": "tool", "tool_call_id": "toolu_2", "content": "rain"},
            ],
        }),
    };
    let read = surface.read_request(body.to_string().as_bytes());
    read.unwrap_or_else(|error| panic!("{surface}: {} in {body}", error.message))
}

fn sent(request: &Request, dialect: Dialect, host: &'static Host, model: &str) -> Value {
    let target = Target { host, ..Target::new(model, 16_000) };
    let body = dialect.write_request(request, &target);
    let body = body.unwrap_or_else(|error| panic!("{dialect}: {}", error.message));
    serde_json::from_slice(&body).unwrap()
}

fn loses_reasoning(request: &Request, dialect: Dialect) -> bool {
    abilities::losses(request, dialect).iter().any(|loss| loss.param == "reasoning_details")
}

const SURFACES: [Surface; 3] = [Surface::Chat, Surface::Messages, Surface::Responses];

#[test]
fn what_anthropic_signed_comes_back_to_it_unchanged() {
    for surface in SURFACES {
        let request = goes_on(surface);
        let dialects = [
            (Dialect::Anthropic, "claude-sonnet-4-5"),
            (Dialect::VertexAnthropic, "claude-sonnet-4-5@20250929"),
        ];
        for (dialect, model) in dialects {
            let body = sent(&request, dialect, &Host::GENERIC, model);
            let blocks = body["messages"][1]["content"].clone();
            let thought = "Two cities: \"Köln\"\nand Bonn.";
            let expected = json!([
                {"type": "thinking", "thinking": thought, "signature": SIGNATURE},
                {"type": "redacted_thinking", "data": REDACTED},
                {"type": "text", "text": "I look it up."},
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Köln"}},
                {"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {"city": "Bonn"}},
            ]);
            assert_eq!(blocks, expected, "{surface} to {dialect}");
            let results = &body["messages"][2]["content"];
            assert_eq!(results[0]["tool_use_id"], "toolu_1", "{surface}");
            assert_eq!(results[1]["tool_use_id"], "toolu_2", "{surface}");
            assert!(!loses_reasoning(&request, dialect), "{surface} to {dialect}");
        }
        assert!(!loses_reasoning(&request, Dialect::Bedrock), "{surface}: Bedrock has Claude, too");
    }
}

#[test]
fn what_anthropic_signed_does_not_reach_others_and_is_told_as_lost() {
    let openai = Host::parse("openai").unwrap();
    for surface in SURFACES {
        let request = goes_on(surface);
        let others = [
            (Dialect::OpenAi, openai, "gpt-5"),
            (Dialect::Responses, openai, "gpt-5"),
            (Dialect::Gemini, &Host::GENERIC, "gemini-3-pro"),
            (Dialect::Cohere, &Host::GENERIC, "command-a-03-2025"),
            (Dialect::Mistral, &Host::GENERIC, "magistral-medium-latest"),
            (Dialect::Ollama, &Host::GENERIC, "qwen3"),
        ];
        for (dialect, host, model) in others {
            let body = sent(&request, dialect, host, model).to_string();
            assert!(!body.contains(SIGNATURE), "{surface} to {dialect}: the signature");
            assert!(!body.contains(REDACTED), "{surface} to {dialect}: the hidden thought");
            assert!(body.contains("sun") && body.contains("rain"), "{surface} to {dialect}");
            assert!(loses_reasoning(&request, dialect), "{surface} to {dialect}");
        }
    }
}
