//! Streams as a strict client of each surface reads them: what does not belong is a failure.

use serde_json::Value;
use turnpike::dialect::Surface;

use super::Answer;

/// What a stream said.
#[derive(Debug, Default)]
pub(crate) struct Streamed {
    /// The text.
    pub(crate) text: String,
    /// Calls: name and arguments.
    pub(crate) calls: Vec<(String, Value)>,
    /// The last usage.
    pub(crate) usage: Value,
    /// `openrouter_metadata`, if it was asked for.
    pub(crate) metadata: Option<Value>,
}

/// Reads a stream that must be complete and well formed.
pub(crate) fn read(surface: Surface, answer: &Answer) -> Streamed {
    let text = answer.text();
    assert_eq!(answer.status, 200, "{text}");
    assert!(answer.whole, "{text}");
    assert_eq!(answer.header("content-type"), Some("text/event-stream"), "{text}");
    match surface {
        Surface::Chat => chat(answer),
        Surface::Completions => completions(answer),
        Surface::Responses => responses(answer),
        Surface::Messages => messages(answer),
    }
}

/// A stream that began and ends with a well-formed error.
pub(crate) fn assert_failed(surface: Surface, answer: &Answer) {
    let text = answer.text();
    assert_eq!(answer.status, 200, "{text}");
    assert!(answer.whole, "{text}");
    let events = answer.events();
    let json = |event: &String| serde_json::from_str::<Value>(event).expect("JSON");
    let last = match surface {
        Surface::Chat | Surface::Completions => {
            assert_eq!(events.last().map(String::as_str), Some("[DONE]"), "{text}");
            json(&events[events.len() - 2])
        }
        Surface::Responses | Surface::Messages => json(events.last().expect("events")),
    };
    match surface {
        Surface::Chat | Surface::Completions => {
            assert_eq!(last["choices"][0]["finish_reason"], "error", "{text}");
            assert!(last["error"]["message"].is_string(), "{text}");
        }
        Surface::Responses => {
            assert_eq!(last["type"], "response.failed", "{text}");
            assert_eq!(last["sequence_number"], events.len() - 1, "{text}");
        }
        Surface::Messages => assert_eq!(last["type"], "error", "{text}"),
    }
}

fn done(answer: &Answer) -> Vec<Value> {
    let (text, mut events) = (answer.text(), answer.events());
    assert_eq!(events.pop().as_deref(), Some("[DONE]"), "{text}");
    events
        .iter()
        .map(|e| serde_json::from_str(e).unwrap_or_else(|e| panic!("{e}: {text}")))
        .collect()
}

/// Every chunk has the same of these, and is no error.
fn alike(chunks: &[Value], names: &[&str], text: &str) {
    for name in names {
        let first = &chunks[0][name];
        assert!(first.is_string(), "{name}: {text}");
        assert!(chunks.iter().all(|chunk| chunk[name] == *first), "{name} is the same: {text}");
    }
    assert!(chunks.iter().all(|chunk| chunk["error"].is_null()), "{text}");
}

/// One usage, in the last chunk, and one finish reason.
fn ended(chunks: &[Value], text: &str) -> Value {
    let finished = chunks.iter().filter(|c| c["choices"][0]["finish_reason"].is_string());
    assert_eq!(finished.count(), 1, "{text}");
    assert_eq!(chunks.iter().filter(|c| c["usage"].is_object()).count(), 1, "{text}");
    chunks.last().expect("chunks")["usage"].clone()
}

fn chat(answer: &Answer) -> Streamed {
    let (text, chunks) = (answer.text(), done(answer));
    alike(&chunks, &["id", "object", "model"], &text);
    let mut said = Streamed { usage: ended(&chunks, &text), ..Streamed::default() };
    let roles = chunks.iter().filter(|c| c["choices"][0]["delta"]["role"].is_string());
    assert_eq!(roles.count(), 1, "one beginning: {text}");
    let mut calls: Vec<(String, String)> = Vec::new();
    for chunk in &chunks {
        let delta = &chunk["choices"][0]["delta"];
        said.text.push_str(delta["content"].as_str().unwrap_or_default());
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let at = usize::try_from(call["index"].as_u64().expect("an index")).expect("small");
            let function = &call["function"];
            if call["id"].is_string() {
                assert_eq!(at, calls.len(), "calls begin in order and once: {text}");
                calls.push((function["name"].as_str().expect("a name").to_owned(), String::new()));
            }
            calls[at].1.push_str(function["arguments"].as_str().unwrap_or_default());
        }
        if chunk["openrouter_metadata"].is_object() {
            said.metadata = Some(chunk["openrouter_metadata"].clone());
        }
    }
    said.calls = parsed(calls, &text);
    said
}

fn parsed(calls: Vec<(String, String)>, text: &str) -> Vec<(String, Value)> {
    let parse = |(name, json): (String, String)| {
        let value = serde_json::from_str(&json).unwrap_or_else(|e| panic!("{e}: {json} in {text}"));
        (name, value)
    };
    calls.into_iter().map(parse).collect()
}

fn completions(answer: &Answer) -> Streamed {
    let (text, chunks) = (answer.text(), done(answer));
    alike(&chunks, &["id", "object", "model"], &text);
    let usage = ended(&chunks, &text);
    let texts = chunks.iter().filter_map(|chunk| chunk["choices"][0]["text"].as_str());
    Streamed { text: texts.collect(), usage, ..Streamed::default() }
}

fn messages(answer: &Answer) -> Streamed {
    let text = answer.text();
    let mut said = Streamed::default();
    let mut calls: Vec<(String, String)> = Vec::new();
    let (mut started, mut stopped, mut open, mut next) = (false, false, None, 0_u64);
    for event in answer.events() {
        let event: Value = serde_json::from_str(&event).expect("JSON");
        assert!(!stopped, "nothing follows the end: {text}");
        let kind = event["type"].as_str().expect("a type");
        assert_eq!(kind == "message_start", !std::mem::replace(&mut started, true), "{text}");
        if kind.starts_with("content_block_") && kind != "content_block_start" {
            assert_eq!(event["index"].as_u64(), open, "the open block: {text}");
        }
        match kind {
            "content_block_start" => {
                assert_eq!((open, event["index"].as_u64()), (None, Some(next)), "{text}");
                (open, next) = (Some(next), next + 1);
                if let Some(name) = event["content_block"]["name"].as_str() {
                    calls.push((name.to_owned(), String::new()));
                }
            }
            "content_block_delta" => {
                let delta = &event["delta"];
                said.text.push_str(delta["text"].as_str().unwrap_or_default());
                if let (Some(json), Some(call)) = (delta["partial_json"].as_str(), calls.last_mut())
                {
                    call.1.push_str(json);
                }
            }
            "content_block_stop" => open = None,
            "message_delta" => {
                assert_eq!(open, None, "{text}");
                assert!(said.usage.is_null(), "one end: {text}");
                assert!(event["delta"]["stop_reason"].is_string(), "{text}");
                said.usage = event["usage"].clone();
            }
            "message_stop" => stopped = true,
            "message_start" | "ping" => {}
            _ => panic!("{kind}: {text}"),
        }
    }
    assert!(stopped, "{text}");
    said.calls = parsed(calls, &text);
    said
}

fn responses(answer: &Answer) -> Streamed {
    let text = answer.text();
    let mut said = Streamed::default();
    let events: Vec<Value> =
        answer.events().iter().map(|e| serde_json::from_str(e).expect("JSON")).collect();
    let mut items: Vec<(Value, bool)> = Vec::new();
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], at, "{text}");
        let place = || usize::try_from(event["output_index"].as_u64().expect("an index"));
        match event["type"].as_str().expect("a type") {
            "response.created" => assert_eq!(at, 0, "{text}"),
            "response.output_item.added" => {
                assert_eq!(place(), Ok(items.len()), "{text}");
                items.push((event["item"]["id"].clone(), false));
            }
            "response.output_item.done" => {
                let (id, is_done) = &mut items[place().expect("small")];
                assert!(event["item"]["id"] == *id && !std::mem::replace(is_done, true), "{text}");
            }
            "response.output_text.delta" => {
                let (id, is_done) = &items[place().expect("small")];
                assert!(event["item_id"] == *id && !is_done, "{text}");
                said.text.push_str(event["delta"].as_str().expect("a text"));
            }
            _ => {}
        }
    }
    let last = events.last().expect("events");
    assert_eq!(last["type"], "response.completed", "{text}");
    let response = &last["response"];
    assert_eq!(response["id"], events[0]["response"]["id"], "{text}");
    said.usage = response["usage"].clone();
    let output = response["output"].as_array().expect("items");
    assert_eq!(output.len(), items.len(), "{text}");
    let mut whole = String::new();
    for (item, (id, is_done)) in output.iter().zip(&items) {
        assert!(item["id"] == *id && *is_done, "{text}");
        for part in item["content"].as_array().into_iter().flatten() {
            whole.push_str(part["text"].as_str().unwrap_or_default());
        }
        if let (Some(name), Some(json)) = (item["name"].as_str(), item["arguments"].as_str()) {
            said.calls.extend(parsed(vec![(name.to_owned(), json.to_owned())], &text));
        }
    }
    assert_eq!(whole, said.text, "the end repeats what was said: {text}");
    said
}
