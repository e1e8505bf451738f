//! Streams: blocks one after another whatever comes, and the same message as when it is whole.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{StreamWriter, WholeWriter};
use crate::dialect::ir::{Citation, Event, FinishReason};
use crate::dialect::sink::{AnswerShape, StreamSink, WholeSink};
use crate::error::{GatewayError, Kind};
use crate::vocab::{NanoUsd, Usage};

fn shape() -> AnswerShape {
    AnswerShape {
        id: "gen-1".into(),
        model: "author/model".into(),
        provider: "Host".into(),
        reasoning_format: "anthropic-claude-v1",
        ..AnswerShape::default()
    }
}

fn text(text: &str) -> Event {
    Event::Text { choice: 0, text: text.into() }
}

fn call(index: u32) -> Event {
    let (id, name) = (format!("call_{index}"), "w".to_owned());
    Event::ToolStart { choice: 0, index, id, name }
}

fn arguments(index: u32, json: &str) -> Event {
    Event::ToolArguments { choice: 0, index, json: json.into() }
}

fn finish(reason: FinishReason) -> Event {
    Event::Finish { choice: 0, reason, native: reason.as_str().into(), stop: None }
}

fn wire(events: &[Event]) -> String {
    let (mut writer, mut wire) = (StreamWriter::new(&shape()), Vec::new());
    for event in events {
        writer.write(event, Some(NanoUsd(5).into()), &mut wire);
    }
    String::from_utf8(wire).unwrap()
}

/// The data of every event; its name must be its type.
fn data(wire: &str) -> Vec<Value> {
    let events = wire.split_terminator("\n\n").map(|event| {
        let (name, data) = event.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
        data
    });
    events.collect()
}

/// Puts a message together as Anthropic's SDKs do, and checks the order on the way.
fn put_together(wire: &str) -> Value {
    let mut message = Value::Null;
    let (mut open, mut partial, mut stopped): (Option<u64>, String, bool) =
        (None, String::new(), false);
    for event in data(wire) {
        assert!(!stopped, "nothing comes after message_stop");
        let kind = event["type"].as_str().unwrap();
        assert_eq!(kind == "message_start", message.is_null(), "message_start is first, once");
        match kind {
            "message_start" => message = event["message"].clone(),
            "content_block_start" => {
                assert_eq!(open, None, "the block before is closed");
                let content = message["content"].as_array_mut().unwrap();
                assert_eq!(event["index"], content.len() as u64, "indices count up");
                content.push(event["content_block"].clone());
                (open, partial) = (event["index"].as_u64(), String::new());
            }
            "content_block_delta" => {
                assert!(open.is_some() && event["index"].as_u64() == open, "within its block");
                let block = message["content"].as_array_mut().unwrap().last_mut().unwrap();
                add(block, &event["delta"], &mut partial);
            }
            "content_block_stop" => {
                assert!(open.is_some() && event["index"].as_u64() == open, "of the open block");
                open = None;
            }
            "message_delta" => {
                assert_eq!(open, None, "every block is closed");
                for name in ["stop_reason", "stop_sequence", "stop_details"] {
                    message[name] = event["delta"][name].clone();
                }
                message["usage"] = event["usage"].clone();
            }
            "message_stop" => stopped = true,
            other => panic!("{other}"),
        }
    }
    assert!(stopped);
    message
}

fn add(block: &mut Value, delta: &Value, partial: &mut String) {
    let append = |block: &mut Value, name: &str| {
        let text = block[name].as_str().unwrap().to_owned() + delta[name].as_str().unwrap();
        block[name] = text.into();
    };
    match (block["type"].as_str().unwrap(), delta["type"].as_str().unwrap()) {
        ("text", "text_delta") => append(block, "text"),
        ("text", "citations_delta") => {
            if block["citations"].is_null() {
                block["citations"] = json!([]);
            }
            block["citations"].as_array_mut().unwrap().push(delta["citation"].clone());
        }
        ("thinking", "thinking_delta") => append(block, "thinking"),
        ("thinking", "signature_delta") => block["signature"] = delta["signature"].clone(),
        ("tool_use", "input_json_delta") => {
            partial.push_str(delta["partial_json"].as_str().unwrap());
            block["input"] = serde_json::from_str(partial).unwrap_or(Value::Null);
        }
        pair => panic!("{pair:?}"),
    }
}

fn whole(events: &[Event]) -> Value {
    let (mut writer, mut usage) = (Box::new(WholeWriter::new(&shape())), None);
    for event in events {
        writer.write(event);
        if let Event::Usage(counters) = event {
            usage = Some(*counters);
        }
    }
    serde_json::from_slice(&writer.finish(usage.as_ref(), Some(NanoUsd(5).into()))).unwrap()
}

#[test]
fn calls_that_interleave_come_one_after_another() {
    let events = [
        call(0),
        arguments(0, "{\"a\":"),
        call(1),
        arguments(1, "{\"b\""),
        arguments(0, "1}"),
        arguments(1, ":2}"),
        text("done"),
        finish(FinishReason::ToolCalls),
        Event::End,
    ];
    let message = put_together(&wire(&events));
    let content = message["content"].as_array().unwrap();
    assert_eq!(content[0]["input"], json!({"a": 1}));
    assert_eq!(content[1]["input"], json!({"b": 2}));
    assert_eq!(content[2]["text"], "done");
    // The second call is not held back longer than the first is open.
    let (mut writer, mut out) = (StreamWriter::new(&shape()), Vec::new());
    events[..5].iter().for_each(|event| writer.write(event, None, &mut out));
    let wire = String::from_utf8(out).unwrap();
    assert!(wire.ends_with("\"partial_json\":\"{\\\"b\\\"\"}}\n\n"), "{wire}");
}

#[test]
fn usage_is_told_where_it_is_known() {
    let early = Usage { prompt: 100, cache_read: 60, cache_write_5m: 10, ..Usage::default() };
    let late = Usage { completion: 7, reasoning: 2, searches: 1, ..early };
    let events = [
        Event::Start { id: None, model: None },
        Event::Usage(early),
        text("Hi"),
        finish(FinishReason::Stop),
        Event::Usage(late),
        Event::End,
    ];
    let all = data(&wire(&events));
    let first = &all[0]["message"]["usage"];
    assert_eq!(
        (&first["input_tokens"], &first["cache_read_input_tokens"]),
        (&json!(30), &json!(60))
    );
    let expected = json!({
        "input_tokens": 30, "cache_creation_input_tokens": 10, "cache_read_input_tokens": 60,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 7, "output_tokens_details": {"thinking_tokens": 2},
        "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0},
        "cost": 0.000_000_005,
    });
    assert_eq!(all[all.len() - 2]["usage"], expected);
    assert_eq!(whole(&events)["usage"], expected);
}

#[test]
fn an_abort_never_looks_like_an_end() {
    let error = GatewayError::new(Kind::ProviderTimeout, "Too slow.");
    for events in [&[][..], &[text("Hi")], &[call(0), arguments(0, "{")]] {
        let (mut writer, mut wire) = (StreamWriter::new(&shape()), Vec::new());
        events.iter().for_each(|event| writer.write(event, None, &mut wire));
        writer.abort(&error, &mut wire);
        writer.abort(&error, &mut wire);
        writer.write(&Event::End, None, &mut wire);
        let all = data(std::str::from_utf8(&wire).unwrap());
        let last = json!({"type": "error", "error": {
            "type": "timeout_error", "message": "Too slow.", "error_type": "timeout",
        }});
        assert_eq!(all.last(), Some(&last));
        assert!(all.iter().all(|event| event["type"] != "message_stop"));
        assert_eq!(all.iter().filter(|event| event["type"] == "error").count(), 1);
    }
}

#[test]
fn a_failure_told_as_a_reason_is_an_error() {
    let all = data(&wire(&[text("Hi"), finish(FinishReason::Error), Event::End]));
    assert_eq!(all.last().unwrap()["error"]["type"], "api_error");
    assert!(all.iter().all(|event| event["type"] != "message_stop"));
}

#[test]
fn a_refusal_is_text_unless_it_is_anthropics_own() {
    let refusal = |text: &str| Event::Refusal { choice: 0, text: text.into() };
    for (native, blocks) in [
        ("stop", json!([{"type": "text", "text": "Hm."}, {"type": "text", "text": "I can't."}])),
        ("refusal", json!([{"type": "text", "text": "Hm."}])),
    ] {
        let reason =
            if native == "stop" { FinishReason::Stop } else { FinishReason::ContentFilter };
        let events = [
            text("Hm."),
            refusal("I "),
            refusal("can't."),
            Event::Finish { choice: 0, reason, native: native.into(), stop: None },
            Event::End,
        ];
        let message = put_together(&wire(&events));
        assert_eq!(message, whole(&events));
        assert_eq!(message["content"], blocks);
        assert_eq!(message["stop_reason"], "refusal");
        assert_eq!(message["stop_details"]["explanation"], "I can't.");
    }
}

#[test]
fn hidden_reasoning_leaves_its_signature() {
    let shape = AnswerShape { hide_reasoning: true, ..shape() };
    let (mut writer, mut wire) = (StreamWriter::new(&shape), Vec::new());
    for event in [
        Event::Reasoning { choice: 0, text: "secret".into() },
        Event::ReasoningSignature { choice: 0, signature: "SIG".into() },
        text("Hi"),
        finish(FinishReason::Stop),
        Event::End,
    ] {
        writer.write(&event, None, &mut wire);
    }
    let message = put_together(std::str::from_utf8(&wire).unwrap());
    let expected = json!([
        {"type": "thinking", "thinking": "", "signature": "SIG"},
        {"type": "text", "text": "Hi"},
    ]);
    assert_eq!(message["content"], expected);
}

#[test]
fn what_cannot_be_held_back_ends_the_stream_as_an_error() {
    let big = "x".repeat(1 << 20);
    let mut events = vec![call(0), arguments(0, "{")];
    events.extend(std::iter::repeat_n(text(&big), 20));
    events.extend([finish(FinishReason::Stop), Event::End]);
    let all = data(&wire(&events));
    assert_eq!(all.last().unwrap()["type"], "error");
    let odd: Vec<Event> = std::iter::once(call(0))
        .chain(std::iter::repeat_n(arguments(0, &big), 20))
        .chain([Event::End])
        .collect();
    assert_eq!(data(&wire(&odd)).last().unwrap()["type"], "error");
}

/// The objects that calls are given, and where they may be cut.
const OBJECTS: [&[&str]; 4] =
    [&[], &["{}"], &["{\"a\"", ":\"}\\", "\"{é\"", "}"], &[" {", "\"b\":[", "{\"c\":1}", ",2]}"]];

/// Events in any order, of up to four calls whose pieces come between each other and between
/// everything else.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let calls = prop::collection::vec(0..OBJECTS.len(), 0..4);
    (calls, prop::collection::vec((0_u8..14, 0_usize..4), 0..40)).prop_map(|(calls, steps)| {
        let mut at: Vec<Option<usize>> = vec![None; calls.len()];
        let mut out = vec![Event::Start { id: None, model: None }];
        for (kind, which) in steps {
            match kind {
                0..=5 => out.push(say(kind)),
                6 => out.push(Event::Usage(Usage { prompt: 3, completion: 1, ..Usage::default() })),
                7 => out.push(Event::Text { choice: 1, text: "other".into() }),
                _ => step(&calls, &mut at, which, &mut out),
            }
        }
        for which in 0..calls.len() {
            while at[which].is_none_or(|done| done < OBJECTS[calls[which]].len()) {
                step(&calls, &mut at, which, &mut out);
            }
        }
        out.push(finish(FinishReason::Stop));
        out.push(Event::End);
        out
    })
}

fn say(kind: u8) -> Event {
    let choice = 0;
    match kind {
        0 => text("Hé\n"),
        1 => Event::Reasoning { choice, text: "hm ".into() },
        2 => Event::ReasoningSignature { choice, signature: "SIG".into() },
        3 => Event::ReasoningEncrypted { choice, id: None, data: "x".into() },
        4 => {
            let citation = Citation { url: "https://a".into(), ..Citation::default() };
            Event::Citation { choice, citation }
        }
        _ => Event::Image { choice, url: "https://i".into() },
    }
}

/// The next event of a call. Calls begin in order.
fn step(calls: &[usize], at: &mut [Option<usize>], which: usize, out: &mut Vec<Event>) {
    let first = at.iter().position(Option::is_none).unwrap_or(calls.len());
    let which = which.min(first);
    let Some(place) = at.get_mut(which) else { return };
    let index = u32::try_from(which).unwrap();
    match place {
        None => {
            out.push(call(index));
            *place = Some(0);
        }
        Some(done) => {
            if let Some(piece) = OBJECTS[calls[which]].get(*done) {
                out.push(arguments(index, piece));
                *done += 1;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn a_stream_is_the_whole_message_block_by_block(events in events()) {
        let (streamed, whole) = (put_together(&wire(&events)), whole(&events));
        prop_assert_eq!(&streamed, &whole);
        let said: String = events.iter().filter_map(|event| match event {
            Event::Text { choice: 0, text } => Some(text.as_str()),
            Event::Image { .. } => Some("![image](https://i)"),
            _ => None,
        }).collect();
        let blocks = whole["content"].as_array().unwrap();
        let told: String = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
        prop_assert_eq!(told, said);
    }
}
