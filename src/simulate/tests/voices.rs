//! Every voice is heard by the gateway's own reader, and speaks to its own writer.

use super::*;

fn weather(stream: bool, text: &str) -> Value {
    let mut body = ask(stream, text);
    body["tools"] = json!([{"type": "function", "function": {"name": "get_weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}}}]);
    body
}

/// All but those that never call: a template without tools is behind the completions.
fn calling() -> impl Iterator<Item = Dialect> {
    Dialect::ALL.into_iter().filter(|dialect| *dialect != Dialect::Completions)
}

#[tokio::test]
async fn words_usage_and_finish_agree_whole_and_streamed() {
    for dialect in Dialect::ALL {
        let (_running, a) = start(dialect, Behaviour::default()).await;
        let mut seen = Vec::new();
        for stream in [false, true] {
            let mut body = ask(stream, "Grüße, 世界 🌍");
            if stream && dialect == Dialect::OpenAi {
                body["stream_options"] = json!({"include_usage": true});
            }
            let reply = post(&a, &body).await.unwrap();
            assert_eq!((reply.status, reply.whole), (200, true), "{dialect}: {reply:?}");
            let heard = reply.heard();
            assert_eq!(heard.end, Ok(()), "{dialect} {stream}");
            assert_eq!(heard.finish, Some(FinishReason::Stop), "{dialect} {stream}");
            // Gemini's streams end with their connection.
            let ended = heard.ended || (stream && dialect.ends_softly());
            assert!(ended && heard.thought.is_empty(), "{dialect} {stream}: {heard:?}");
            assert_eq!(heard.said.split(' ').count(), 32, "{dialect} {stream}");
            let usage = heard.usage.unwrap();
            assert_eq!(usage.completion, 32, "{dialect} {stream}");
            if dialect != Dialect::Completions {
                assert_eq!(usage.prompt, 2 + 7 + 4, "{dialect} {stream}: text and one message");
            }
            seen.push((heard.said, usage));
        }
        assert_eq!(seen[0], seen[1], "{dialect}");
    }
}

#[tokio::test]
async fn limits_and_stops_end_an_answer() {
    for dialect in Dialect::ALL {
        let (_running, a) =
            start(dialect, Behaviour { numbered: true, tokens: 6, ..Behaviour::default() }).await;
        for stream in [false, true] {
            if dialect == Dialect::Responses {
                // It has no word for stops, and no limit below 16 tokens.
                continue;
            }
            let mut body = ask(stream, "count");
            body["max_tokens"] = json!(2);
            let heard = post(&a, &body).await.unwrap().heard();
            assert_eq!((&*heard.said, heard.finish), ("w0 w1", Some(FinishReason::Length)));
            let mut body = ask(stream, "count");
            let stop = if dialect == Dialect::Anthropic { "stop_sequences" } else { "stop" };
            body[stop] = json!(["w4", " w3"]);
            let heard = post(&a, &body).await.unwrap().heard();
            assert_eq!(
                (&*heard.said, heard.finish),
                ("w0 w1 w2", Some(FinishReason::Stop)),
                "{dialect}"
            );
        }
    }
}

#[tokio::test]
async fn tools_are_called_and_their_results_answered() {
    for dialect in calling() {
        let (_running, a) = start(dialect, Behaviour::default()).await;
        for stream in [false, true] {
            let mut body = weather(stream, "What is the Weather?");
            let reply = post_chat(&a, &body).await.unwrap();
            let heard = reply.heard();
            assert_eq!(heard.end, Ok(()), "{dialect} {stream}: {:?}", reply.head);
            assert_eq!(heard.finish, Some(FinishReason::ToolCalls), "{dialect} {stream}");
            let [(name, arguments)] = &heard.calls[..] else { panic!("{dialect}: {heard:?}") };
            let arguments: Value = serde_json::from_str(arguments).unwrap();
            assert_eq!((&**name, arguments), ("get_weather", json!({"city": "Oslo", "days": 1})));
            assert!(heard.said.is_empty());

            body["messages"].as_array_mut().unwrap().extend([
                json!({"role": "assistant", "content": null, "tool_calls": [
                    {"id": "c1", "type": "function",
                     "function": {"name": "get_weather", "arguments": "{\"city\":\"Oslo\"}"}},
                    {"id": "c2", "type": "function",
                     "function": {"name": "get_weather", "arguments": "{}"}}]}),
                json!({"role": "tool", "tool_call_id": "c2", "content": "snow"}),
                json!({"role": "tool", "tool_call_id": "c1", "content": "rain"}),
            ]);
            let heard = post_chat(&a, &body).await.unwrap().heard();
            assert_eq!(heard.end, Ok(()), "{dialect} {stream}");
            assert_eq!(heard.said.split(' ').count(), 32, "{dialect} {stream}");
        }
    }
}

#[tokio::test]
async fn a_choice_of_tools_is_followed() {
    for dialect in calling() {
        let (_running, a) = start(dialect, Behaviour::default()).await;
        let named = json!({"type": "function", "function": {"name": "get_weather"}});
        // Ollama can't be told that it must.
        let must = dialect != Dialect::Ollama;
        let cases = [
            (json!("required"), must),
            (json!("none"), false),
            (json!("auto"), false),
            (named, must),
        ];
        for (choice, called) in cases {
            let mut body = weather(false, "hi");
            body["tool_choice"] = choice.clone();
            let heard = post_chat(&a, &body).await.unwrap().heard();
            assert_eq!(heard.calls.len(), usize::from(called), "{dialect} {choice}: {heard:?}");
        }
    }
}

#[tokio::test]
async fn what_can_think_does_when_asked() {
    let thinks = [
        Dialect::Responses,
        Dialect::Anthropic,
        Dialect::VertexAnthropic,
        Dialect::Gemini,
        Dialect::Vertex,
        Dialect::Bedrock,
        Dialect::Cohere,
        Dialect::Ollama,
    ];
    for dialect in thinks {
        let (_running, a) = start(dialect, Behaviour::default()).await;
        for stream in [false, true] {
            let mut body = ask(stream, "hi");
            body["max_tokens"] = json!(4000);
            body["reasoning"] = json!({"effort": "high"});
            if [Dialect::Gemini, Dialect::Vertex].contains(&dialect) {
                body["model"] = json!("gemini-2.5-pro");
            }
            let reply = post_chat(&a, &body).await.unwrap();
            assert_eq!(reply.status, 200, "{dialect}: {:?}", reply.text());
            let heard = reply.heard();
            assert_eq!(heard.end, Ok(()), "{dialect} {stream}");
            assert_eq!(heard.thought.split(' ').count(), 8, "{dialect} {stream}: {heard:?}");
            assert_eq!(heard.said.split(' ').count(), 32, "{dialect} {stream}");
            assert_eq!(heard.usage.unwrap().completion, 40, "{dialect} {stream}");
        }
    }
}

#[tokio::test]
async fn credentials_and_paths_are_checked() {
    use Dialect::*;
    let signed = "AWS4-HMAC-SHA256 Credential=AKID/20261101/us-east-1/bedrock/aws4_request, \
                  SignedHeaders=host;x-amz-date, Signature=00";
    let bearer = ("authorization", "Bearer k");
    let none = ("x-nothing", "");
    let body = r#"{"messages":[],"contents":[]}"#;
    // A request that passes is refused for its body, 400 or 422.
    let cases = [
        (Azure, "/openai/deployments/d/chat/completions?api-version=1", ("api-key", "k"), 400),
        (Azure, "/openai/deployments/d/chat/completions?api-version=1", none, 401),
        (Azure, "/openai/deployments/d/chat/completions", ("api-key", "k"), 404),
        (Gemini, "/v1beta/models/m:generateContent", ("x-goog-api-key", "k"), 400),
        (Gemini, "/v1beta/models/m:streamGenerateContent", ("x-goog-api-key", "k"), 404),
        (Gemini, "/v1beta/models/m:other", ("x-goog-api-key", "k"), 404),
        (
            Vertex,
            "/v1/projects/sim/locations/sim/publishers/google/models/m:generateContent",
            none,
            401,
        ),
        (
            VertexAnthropic,
            "/v1/projects/sim/locations/sim/publishers/anthropic/models/m:rawPredict",
            bearer,
            400,
        ),
        (Bedrock, "/model/a%3A0/converse", ("authorization", signed), 400),
        (Bedrock, "/model/a%3A0/converse-stream", bearer, 400),
        (Bedrock, "/model/a%3A0/converse", ("authorization", "Basic eA=="), 403),
        (Bedrock, "/model/a%3A0/invoke", bearer, 404),
        (Cohere, "/v2/chat", bearer, 400),
        (Cohere, "/v2/chat", none, 401),
        (Mistral, "/v1/chat/completions", bearer, 422),
        (Mistral, "/v1/chat/completions", none, 401),
        (Ollama, "/api/chat", none, 400),
        (Responses, "/v1/responses", none, 400),
        (Completions, "/v1/completions", none, 400),
    ];
    for (dialect, path, header, status) in cases {
        let (_running, a) = start(dialect, Behaviour::default()).await;
        let mut client = Client::to(a.addr()).await;
        client.send(path, &[header], body.as_bytes()).await;
        let reply = client.read().await.unwrap();
        assert_eq!(reply.status, status, "{dialect} {path} {header:?}: {}", reply.text());
    }
}

#[tokio::test]
async fn what_a_dialect_does_not_define_is_refused() {
    use Dialect::*;
    let cases = [
        (Responses, "/responses", r#"{"model":"m","input":"hi","stop":["x"]}"#),
        (
            Responses,
            "/responses",
            r#"{"model":"m","input":[{"type":"function_call_output","call_id":"c","output":"x"}]}"#,
        ),
        (
            Gemini,
            "/models/m:generateContent",
            r#"{"contents":[{"parts":[{"text":"hi"}]}],"model":"m"}"#,
        ),
        (
            Gemini,
            "/models/m:generateContent",
            r#"{"contents":[{"role":"assistant","parts":[{"text":"hi"}]}]}"#,
        ),
        (
            Bedrock,
            "/model/m/converse",
            r#"{"messages":[{"role":"assistant","content":[{"text":"hi"}]}]}"#,
        ),
        (
            Bedrock,
            "/model/m/converse",
            r#"{"messages":[{"role":"user","content":[{"text":" "}]}]}"#,
        ),
        (Bedrock, "/model/m/converse", r#"{"messages":[{"role":"user","content":"hi"}]}"#),
        (Cohere, "/chat", r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"top_p":1}"#),
        (
            Cohere,
            "/chat",
            r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"tool_choice":"auto"}"#,
        ),
        (
            Mistral,
            "/chat/completions",
            r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"stream_options":{}}"#,
        ),
        (
            Mistral,
            "/chat/completions",
            r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"user":"u"}"#,
        ),
        (Ollama, "/api/chat", r#"{"model":"m","messages":[{"role":"user","content":[]}]}"#),
        (Completions, "/completions", r#"{"model":"m","prompt":["a","b"]}"#),
    ];
    for (dialect, path, body) in cases {
        let (_running, a) = start(dialect, Behaviour::default()).await;
        let reply = post_raw(&a, path, body).await.unwrap();
        assert!([400, 422].contains(&reply.status), "{dialect} {body}: {}", reply.status);
    }
}

/// The bytes themselves, where the readers are too forgiving to tell.
#[tokio::test]
async fn the_wire_is_the_providers_own() {
    let two = Behaviour { tokens: 2, numbered: true, ..Behaviour::default() };
    let cases = [
        (Dialect::Gemini, "text/event-stream", "\"candidatesTokenCount\":2"),
        (Dialect::Bedrock, "application/vnd.amazon.eventstream", "contentBlockDelta"),
        (Dialect::Ollama, "application/x-ndjson", "\"eval_count\":2"),
        (Dialect::Cohere, "text/event-stream", "event: message-end\n"),
        (Dialect::Responses, "text/event-stream", "event: response.completed\n"),
        (Dialect::Azure, "text/event-stream", "prompt_filter_results"),
        (Dialect::Mistral, "text/event-stream", "\"finish_reason\":\"stop\""),
        (Dialect::Completions, "text/event-stream", "\"object\":\"text_completion\""),
    ];
    for (dialect, kind, part) in cases {
        let (_running, a) = start(dialect, two.clone()).await;
        let reply = post_chat(&a, &ask(true, "hi")).await.unwrap();
        assert_eq!(reply.header("content-type"), Some(kind), "{dialect}");
        let found = memchr::memmem::find(&reply.body, part.as_bytes()).is_some();
        assert!(found, "{dialect}: {part} in {}", String::from_utf8_lossy(&reply.body));
    }
    let (_running, a) = start(Dialect::Responses, two).await;
    let events = post_chat(&a, &ask(true, "hi")).await.unwrap().data();
    for (at, event) in (0_u64..).zip(&events) {
        assert_eq!(event["sequence_number"], at, "every event is counted");
    }
}
