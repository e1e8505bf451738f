//! The wire forms, and that the words are the same however they travel.

use super::*;

fn tools(dialect: Dialect) -> Value {
    let schema = json!({"type": "object", "properties": {
        "city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["c", "f"]}}});
    match dialect {
        Dialect::Anthropic => json!([{"name": "get_weather", "input_schema": schema}]),
        _ => json!([{"type": "function", "function": {
            "name": "get_weather", "parameters": schema}}]),
    }
}

#[tokio::test]
async fn openai_whole() {
    let (_running, a) = start(Dialect::OpenAi, Behaviour::default()).await;
    let reply = post(&a, &ask(false, "12345678é")).await.unwrap();
    assert_eq!((reply.status, reply.whole), (200, true));
    assert!(reply.header("x-request-id").is_some());
    let answer = reply.json();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "m");
    assert_eq!(answer["choices"][0]["message"]["role"], "assistant");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(reply.said().split(' ').count(), 32);
    // Eight ASCII bytes, two others, one message.
    assert_eq!(answer["usage"]["prompt_tokens"], 2 + 1 + 4);
    assert_eq!(answer["usage"]["completion_tokens"], 32);
    assert_eq!(answer["usage"]["total_tokens"], 39);
}

#[tokio::test]
async fn openai_stream() {
    let (_running, a) =
        start(Dialect::OpenAi, Behaviour { tokens: 3, ..Behaviour::default() }).await;
    let mut body = ask(true, "hi");
    let reply = post(&a, &body).await.unwrap();
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    assert_eq!(reply.events().last().unwrap().1, "[DONE]");
    let chunks = reply.data();
    assert_eq!(chunks.len(), 1 + 3 + 1, "role, tokens, finish; no usage unless asked for");
    assert_eq!(reply.pieces, 6, "an event is an HTTP chunk");
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(chunks[4]["choices"][0]["finish_reason"], "stop");
    assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"]));
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()));

    body["stream_options"] = json!({"include_usage": true});
    let reply = post(&a, &body).await.unwrap();
    let chunks = reply.data();
    assert_eq!(chunks.len(), 6);
    assert!(chunks[..5].iter().all(|chunk| chunk["usage"].is_null()));
    assert_eq!(chunks[5]["choices"], json!([]));
    assert_eq!(chunks[5]["usage"]["completion_tokens"], 3);
    body["stream"] = json!(false);
    assert_eq!(post(&a, &body).await.unwrap().said(), reply.said(), "whole and streamed agree");
}

#[tokio::test]
async fn anthropic_whole() {
    let (_running, a) = start(Dialect::Anthropic, Behaviour::default()).await;
    let mut body = ask(false, "12345678");
    body["system"] = json!([{"type": "text", "text": "1234"}]);
    let answer = post(&a, &body).await.unwrap().json();
    assert_eq!(answer["type"], "message");
    assert_eq!(answer["content"][0]["type"], "text");
    assert_eq!(answer["stop_reason"], "end_turn");
    assert_eq!(answer["usage"]["input_tokens"], 3 + 8);
    assert_eq!(answer["usage"]["output_tokens"], 32);
}

#[tokio::test]
async fn anthropic_stream_with_thinking() {
    let (_running, a) =
        start(Dialect::Anthropic, Behaviour { tokens: 2, ..Behaviour::default() }).await;
    let mut body = ask(true, "hi");
    body["thinking"] = json!({"type": "enabled", "budget_tokens": 1024});
    let reply = post(&a, &body).await.unwrap();
    let events = reply.events();
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    let mut wanted = vec!["message_start", "ping", "content_block_start"];
    wanted.extend(["content_block_delta"; 9]);
    wanted.extend(["content_block_stop", "content_block_start"]);
    wanted.extend(["content_block_delta"; 2]);
    wanted.extend(["content_block_stop", "message_delta", "message_stop"]);
    assert_eq!(names, wanted);
    let data = reply.data();
    for ((name, _), data) in events.iter().zip(&data) {
        assert_eq!(data["type"], name.as_str());
    }
    assert_eq!(data[2]["content_block"]["type"], "thinking");
    assert_eq!(data[11]["delta"]["type"], "signature_delta");
    assert_eq!(data[13]["index"], 1);
    let end = &data[data.len() - 2];
    assert_eq!(end["delta"]["stop_reason"], "end_turn");
    assert_eq!(end["usage"]["output_tokens"], 10);
    assert_eq!(end["usage"]["output_tokens_details"]["thinking_tokens"], 8);

    body["stream"] = json!(false);
    let whole = post(&a, &body).await.unwrap();
    assert_eq!(whole.json()["content"][0]["type"], "thinking");
    assert!(whole.json()["content"][0]["signature"].as_str().is_some_and(|s| !s.is_empty()));
    assert_eq!(whole.said(), reply.said());
}

#[tokio::test]
async fn a_tool_is_called_and_its_result_is_answered_in_text() {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let (_running, a) = start(dialect, Behaviour::default()).await;
        let mut body = ask(false, "What is the Weather?");
        body["tools"] = tools(dialect);
        let whole = post(&a, &body).await.unwrap().json();
        body["stream"] = json!(true);
        let stream = post(&a, &body).await.unwrap().data();
        let arguments: String;
        match dialect {
            Dialect::Anthropic => {
                assert_eq!(whole["stop_reason"], "tool_use");
                assert_eq!(whole["content"][0]["name"], "get_weather");
                assert_eq!(stream[2]["content_block"]["type"], "tool_use");
                let part =
                    |event: &Value| event["delta"]["partial_json"].as_str().map(str::to_owned);
                arguments = stream.iter().filter_map(part).collect();
                let input: Value = serde_json::from_str(&arguments).unwrap();
                assert_eq!(whole["content"][0]["input"], input);
            }
            _ => {
                assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
                let call = &whole["choices"][0]["message"]["tool_calls"][0];
                assert_eq!(call["function"]["name"], "get_weather");
                let delta = |event: &Value| event["choices"][0]["delta"]["tool_calls"][0].clone();
                assert_eq!(delta(&stream[1])["type"], "function");
                assert_eq!(delta(&stream[1])["index"], 0);
                let parts = stream.iter().filter_map(|event| {
                    delta(event)["function"]["arguments"].as_str().map(str::to_owned)
                });
                arguments = parts.collect();
                assert_eq!(call["function"]["arguments"], arguments.as_str());
            }
        }
        let arguments: Value = serde_json::from_str(&arguments).unwrap();
        assert_eq!(arguments, json!({"city": "Oslo", "days": 1, "unit": "c"}));

        let (call, result) = match dialect {
            Dialect::Anthropic => (
                json!({"role": "assistant", "content": [
                    {"type": "tool_use", "id": "c1", "name": "get_weather", "input": {}}]}),
                json!({"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": "snow"}]}),
            ),
            _ => (
                json!({"role": "assistant", "content": null, "tool_calls": [{"id": "c1",
                    "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]}),
                json!({"role": "tool", "tool_call_id": "c1", "content": "snow"}),
            ),
        };
        let messages = body["messages"].as_array_mut().unwrap();
        messages.extend([call, result]);
        body["stream"] = json!(false);
        assert!(!post(&a, &body).await.unwrap().said().is_empty());
        body["messages"].as_array_mut().unwrap().pop();
        assert_eq!(post(&a, &body).await.unwrap().status, 400, "{dialect}: an unanswered call");
    }
}

#[tokio::test]
async fn tool_choice_decides() {
    let (_running, a) = start(Dialect::OpenAi, Behaviour::default()).await;
    let cases = [
        (json!("required"), true),
        (json!("none"), false),
        (json!("auto"), false),
        (json!({"type": "function", "function": {"name": "get_weather"}}), true),
    ];
    for (choice, called) in cases {
        let mut body = ask(false, "hi");
        body["tools"] = tools(Dialect::OpenAi);
        body["tool_choice"] = choice.clone();
        let answer = post(&a, &body).await.unwrap().json();
        assert_eq!(answer["choices"][0]["finish_reason"] == "tool_calls", called, "{choice}");
    }
}

#[tokio::test]
async fn length_stop_and_continuation() {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let (_running, a) =
            start(dialect, Behaviour { numbered: true, tokens: 6, ..Behaviour::default() }).await;
        let finish = |answer: &Value| match dialect {
            Dialect::Anthropic => answer["stop_reason"].clone(),
            _ => answer["choices"][0]["finish_reason"].clone(),
        };
        let mut body = ask(false, "count");
        assert_eq!(post(&a, &body).await.unwrap().said(), "w0 w1 w2 w3 w4 w5");
        body["max_tokens"] = json!(2);
        let cut = post(&a, &body).await.unwrap();
        assert_eq!(cut.said(), "w0 w1");
        assert!(["length", "max_tokens"].contains(&finish(&cut.json()).as_str().unwrap()));

        body["max_tokens"] = json!(100);
        let messages = body["messages"].as_array_mut().unwrap();
        messages.push(json!({"role": "assistant", "content": "w0 w1"}));
        assert_eq!(post(&a, &body).await.unwrap().said(), " w2 w3 w4 w5", "{dialect}");
        // Asked to go on, some repeat what they said.
        let go_on = json!({"role": "user", "content": crate::dialect::resume::GO_ON});
        body["messages"].as_array_mut().unwrap().push(go_on);
        for (repeat, said) in
            [(0, " w2 w3 w4 w5"), (1, " w1 w2 w3 w4 w5"), (9, "w0 w1 w2 w3 w4 w5")]
        {
            a.set(Behaviour { repeat, ..a.behaviour() }).unwrap();
            assert_eq!(post(&a, &body).await.unwrap().said(), said, "{dialect} {repeat}");
        }

        let stop = if dialect == Dialect::OpenAi { "stop" } else { "stop_sequences" };
        let mut body = ask(false, "count");
        body[stop] = json!(["w4", " w3"]);
        let stopped = post(&a, &body).await.unwrap();
        assert_eq!(stopped.said(), "w0 w1 w2");
        assert!(["stop", "stop_sequence"].contains(&finish(&stopped.json()).as_str().unwrap()));
    }
}

#[tokio::test]
async fn the_same_seed_model_and_prompt_say_the_same() {
    let run = async |seed: u64, text: &str| {
        let providers = Dialect::ALL.map(|dialect| ProviderConfig::new(dialect.name(), dialect));
        let config = Config { seed, ..Config::of(providers) };
        let running = Simulator::start(config).await.unwrap();
        let mut said = Vec::new();
        for provider in running.providers() {
            let mut body = ask(true, text);
            body["model"] = json!(MODEL);
            let reply = match provider.config().dialect {
                // The prompt itself, as no template has rendered it.
                Dialect::Completions => {
                    let body = json!({"model": MODEL, "prompt": text, "max_tokens": 100});
                    post_raw(&provider, "/completions", &body.to_string()).await
                }
                _ => post(&provider, &body).await,
            };
            said.push(reply.unwrap().said());
        }
        assert_eq!(said[0].split(' ').count(), 32);
        assert!(said.iter().all(|words| *words == said[0]), "in every dialect: {said:#?}");
        said.remove(0)
    };
    let first = run(1, "hi").await;
    assert_eq!(first, run(1, "hi").await);
    assert_ne!(first, run(2, "hi").await);
    assert_ne!(first, run(1, "ho").await);
}

#[tokio::test]
async fn knobs_shape_the_answer() {
    let (_running, a) = start(Dialect::OpenAi, Behaviour::default()).await;
    let reply = post(&a, &ask(true, "[[sim tokens=10 chunk_tokens=4 numbered]] go")).await.unwrap();
    assert_eq!(reply.data().len(), 1 + 3 + 1);
    assert_eq!(reply.said(), "w0 w1 w2 w3 w4 w5 w6 w7 w8 w9");
    let reply = post(&a, &ask(true, "[[sim coalesce tokens=10]]")).await.unwrap();
    assert_eq!(reply.pieces, 1);
    let reply = post(&a, &ask(false, "[[sim bytes=5000]] [[sim@other fail=500]]")).await.unwrap();
    assert_eq!(reply.status, 200, "a directive for another provider");
    assert!((5000..5020).contains(&reply.said().len()));
    assert_eq!(post(&a, &ask(false, "[[sim@a fail=503]]")).await.unwrap().status, 503);
    assert_eq!(post(&a, &ask(false, "[[sim tokns=1]]")).await.unwrap().status, 400);

    let mut client = Client::to(a.addr()).await;
    let body = ask(false, "hi").to_string();
    client.send(OPENAI, &[("x-sim-tokens", "3")], body.as_bytes()).await;
    assert_eq!(client.read().await.unwrap().said().split(' ').count(), 3);
    let echo = ask(false, "[[sim echo]]").to_string();
    client.send(OPENAI, &[], echo.as_bytes()).await;
    let hash = blake3::hash(echo.as_bytes()).to_hex();
    let said = client.read().await.unwrap().said();
    assert_eq!(said, format!("bytes={} blake3={hash}", echo.len()));

    a.set(Behaviour { canned: true, tokens: 4, ..Behaviour::default() }).unwrap();
    assert_eq!(post(&a, &ask(false, "hi")).await.unwrap().said().split(' ').count(), 4);
    assert_eq!(post(&a, &ask(true, "hi")).await.unwrap().data().len(), 6);
}

#[tokio::test]
async fn times_are_kept() {
    let behaviour = Behaviour { ttft_ms: 60, token_ms: 20.0, tokens: 4, ..Behaviour::default() };
    let (_running, a) = start(Dialect::OpenAi, behaviour).await;
    for (stream, early) in [(false, false), (true, false), (true, true), (false, true)] {
        let text = if early { "[[sim early_header]]" } else { "hi" };
        let began = tokio::time::Instant::now();
        post(&a, &ask(stream, text)).await.unwrap();
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(120), "{stream} {early}: {took:?}");
    }
}

#[tokio::test]
async fn what_the_real_ones_refuse_is_refused() {
    let message = json!([{"role": "user", "content": "hi"}]);
    let anthropic = [
        json!({"model": "m", "messages": message}),
        json!({"model": "m", "max_tokens": 1, "messages": []}),
        json!({"model": "m", "max_tokens": 1, "messages": message, "provider": {}}),
        json!({"model": "m", "max_tokens": 1, "messages": [{"role": "system", "content": "x"}]}),
        json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": [
            {"type": "text", "text": " "}]}]}),
        json!({"model": "m", "max_tokens": "1", "messages": message}),
        json!([]),
    ];
    let (_running, a) = start(Dialect::Anthropic, Behaviour::default()).await;
    for body in anthropic {
        let reply = post(&a, &body).await.unwrap();
        assert_eq!(reply.status, 400, "{body}");
        assert_eq!(reply.json()["error"]["type"], "invalid_request_error");
    }
    let mut client = Client::to(a.addr()).await;
    let body = ask(false, "hi").to_string();
    let head =
        format!("POST {ANTHROPIC} HTTP/1.1\r\nhost: s\r\ncontent-length: {}\r\n", body.len());
    for (header, status) in [("", 401), ("x-api-key: k\r\n", 400)] {
        let wire = format!("{head}{header}\r\n{body}");
        client.0.write_all(wire.as_bytes()).await.unwrap();
        assert_eq!(client.read().await.unwrap().status, status);
    }

    let mut config = ProviderConfig::new("o", Dialect::OpenAi).serving(&["m"]);
    config.api_key = Some(ApiKey::new("sesame"));
    config.strict = true;
    let running = Simulator::start(Config::of([config])).await.unwrap();
    let mut client = Client::to(running.addr()).await;
    let good = ("authorization", "Bearer sesame");
    let mut other = ask(false, "hi");
    other["model"] = json!("other");
    let mut extra = ask(false, "hi");
    extra["provider"] = json!({});
    let cases = [
        (OPENAI, ("authorization", "Bearer wrong"), ask(false, "hi"), 401),
        (OPENAI, good, other, 404),
        (OPENAI, good, extra, 400),
        (OPENAI, good, ask(false, "hi"), 200),
        ("/v1/other", good, ask(false, "hi"), 404),
        ("/nobody", good, ask(false, "hi"), 404),
    ];
    for (path, header, body, status) in cases {
        client.send(path, &[header], body.to_string().as_bytes()).await;
        assert_eq!(client.read().await.unwrap().status, status, "{path} {body}");
    }
    client.send(OPENAI, &[good], b"{").await;
    assert_eq!(client.read().await.unwrap().status, 400, "not JSON");
}

#[tokio::test]
async fn models_are_listed() {
    let running = Simulator::start(Config::of(demo_providers())).await.unwrap();
    for provider in running.providers() {
        let mut client = Client::to(provider.addr()).await;
        let path = route::models(provider.config().dialect);
        let head = format!("GET {path} HTTP/1.1\r\nhost: s\r\n\r\n");
        client.0.write_all(head.as_bytes()).await.unwrap();
        let list = client.read().await.unwrap().json();
        assert!(list.to_string().contains(&provider.config().models[0]), "{list}");
    }
}
