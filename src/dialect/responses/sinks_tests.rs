//! What the SDKs of OpenAI need to find in a stream, whatever the order of events.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{StreamWriter, WholeWriter, echo, read_request};
use crate::dialect::Bill;
use crate::dialect::ir::{Citation, Event, FinishReason};
use crate::dialect::{AnswerShape, StreamSink as _, WholeSink as _};
use crate::error::{GatewayError, Kind};
use crate::vocab::{NanoUsd, Usage};

const COST: Option<Bill> = Some(Bill { cost: NanoUsd(5_000), upstream: None });

fn shape(format: &'static str) -> AnswerShape {
    let body = r#"{"model":"m","input":"x","tools":[{"type":"custom","name":"free"}],
        "metadata":{
          "a": "b"}}"#;
    AnswerShape {
        id: "gen-1".into(),
        created: 7,
        model: "lab/\"quoted\"".into(),
        provider: "Prov".into(),
        reasoning_format: format,
        echo: Some(echo(&read_request(body.as_bytes()).unwrap()).into()),
        ..AnswerShape::default()
    }
}

/// The events of a stream: each has its name twice, and is one line of JSON.
fn steps(wire: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(wire).unwrap();
    let mut out = Vec::new();
    for frame in text.split_terminator("\n\n") {
        let (name, data) = frame.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
        let value: Value = serde_json::from_str(data).unwrap();
        assert_eq!(value["type"], name);
        out.push(value);
    }
    out
}

fn stream(shape: &AnswerShape, events: &[Event]) -> Vec<Value> {
    let (mut writer, mut wire) = (StreamWriter::new(shape), Vec::new());
    events.iter().for_each(|event| writer.write(event, COST, &mut wire));
    steps(&wire)
}

fn whole(shape: &AnswerShape, events: &[Event]) -> Value {
    let mut writer = WholeWriter::new(shape);
    events.iter().for_each(|event| writer.write(event));
    serde_json::from_slice(&Box::new(writer).finish(None, COST)).unwrap()
}

fn finish(reason: FinishReason) -> Event {
    Event::Finish { choice: 0, reason, native: "x".into(), stop: None }
}

fn text(text: &str) -> Event {
    Event::Text { choice: 0, text: text.into() }
}

#[test]
fn the_events_of_a_text_come_in_openais_order() {
    let usage = Usage { prompt: 3, completion: 2, ..Usage::default() };
    let events = [
        Event::Start { id: None, model: None },
        text("Hi"),
        text("!"),
        finish(FinishReason::Stop),
        Event::Usage(usage),
        Event::End,
    ];
    let got = stream(&shape("unknown"), &events);
    let names: Vec<&str> = got.iter().map(|step| step["type"].as_str().unwrap()).collect();
    let expected = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ];
    assert_eq!(names, expected);
    let response = &got[9]["response"];
    assert_eq!(response["id"], "resp_1");
    assert_eq!(response["usage"]["total_tokens"], 5);
    assert_eq!(response["usage"]["cost"], json!(0.000_005));
    assert_eq!(
        response["metadata"],
        json!({"a": "b"}),
        "a line break in an echo is no event's end"
    );
    assert_eq!(got[0]["response"]["status"], "in_progress");
    assert_eq!(got[0]["response"]["output"], json!([]));
}

#[test]
fn nothing_is_said_before_the_first_step_of_the_answer() {
    let (mut writer, mut wire) = (StreamWriter::new(&shape("unknown")), Vec::new());
    writer.write(&Event::Start { id: None, model: None }, None, &mut wire);
    writer.write(&Event::Usage(Usage::default()), None, &mut wire);
    assert!(wire.is_empty(), "another provider may still take over");
}

#[test]
fn an_aborted_stream_ends_in_a_failed_response() {
    for (kind, code) in [
        (Kind::RateLimited, "rate_limit_exceeded"),
        (Kind::ContextLength, "invalid_prompt"),
        (Kind::InvalidRequest, "invalid_prompt"),
        (Kind::ProviderFailed, "server_error"),
        (Kind::ProviderTimeout, "server_error"),
    ] {
        let (mut writer, mut wire) = (StreamWriter::new(&shape("unknown")), Vec::new());
        writer.write(&text("Hel"), None, &mut wire);
        writer.abort(&GatewayError::new(kind, "It broke."), &mut wire);
        let got = steps(&wire);
        let last = got.last().unwrap();
        assert_eq!(last["type"], "response.failed");
        assert_eq!(last["sequence_number"], got.len() - 1);
        let response = &last["response"];
        assert_eq!(response["status"], "failed");
        assert_eq!(response["error"], json!({"code": code, "message": "It broke."}));
        assert_eq!(response["error_type"], kind.code());
        assert_eq!(response["output"][0]["status"], "incomplete");
        assert_eq!(response["usage"], Value::Null);
    }
    let (mut writer, mut wire) = (StreamWriter::new(&shape("unknown")), Vec::new());
    writer.abort(&GatewayError::new(Kind::Internal, "x"), &mut wire);
    assert_eq!(steps(&wire)[0]["type"], "response.created", "SDKs want it first, always");
}

#[test]
fn an_answer_beyond_the_limit_fails_and_stays_bounded() {
    let (mut writer, mut wire) = (StreamWriter::new(&shape("unknown")), Vec::new());
    let piece = text(&"x".repeat(8 << 20));
    let mut sent = 0;
    for _ in 0..12 {
        writer.write(&piece, None, &mut wire);
        sent += wire.len();
        wire.clear();
    }
    assert!(sent < 70 << 20, "what is beyond the limit is not passed on");
    writer.write(&finish(FinishReason::Stop), None, &mut wire);
    writer.write(&Event::End, COST, &mut wire);
    let got = steps(&wire);
    assert_eq!(got.last().unwrap()["type"], "response.failed");
}

#[test]
fn sources_are_counted_from_the_beginning_of_their_message() {
    let cite = |start, end| Event::Citation {
        choice: 0,
        citation: Citation { url: "u".into(), start, end, ..Citation::default() },
    };
    let tool = Event::ToolStart { choice: 0, index: 0, id: "c".into(), name: "f".into() };
    let events = [
        text("Snö."),
        tool,
        text("More."),
        cite(4, 6),
        cite(0, 3),
        cite(0, 0),
        finish(FinishReason::Stop),
        Event::End,
    ];
    let got = whole(&shape("unknown"), &events);
    let places = |item: usize| -> Vec<(u64, u64)> {
        let list = got["output"][item]["content"][0]["annotations"].as_array().unwrap();
        list.iter()
            .map(|a| (a["start_index"].as_u64().unwrap(), a["end_index"].as_u64().unwrap()))
            .collect()
    };
    assert_eq!(places(0), [(0, 3)]);
    assert_eq!(places(2), [(0, 2), (0, 0)]);
}

fn any_event() -> impl Strategy<Value = Event> {
    let choice = 0;
    let piece = || prop::sample::select(vec!["a", "é\n", "\"\\", "😀 "]).prop_map(str::to_owned);
    let index = || 0_u32..3;
    prop_oneof![
        piece().prop_map(move |text| Event::Text { choice, text }),
        piece().prop_map(move |text| Event::Text { choice, text }),
        piece().prop_map(move |text| Event::Refusal { choice, text }),
        piece().prop_map(move |text| Event::Reasoning { choice, text }),
        piece().prop_map(move |text| Event::ReasoningSummary { choice, text }),
        piece().prop_map(move |signature| Event::ReasoningSignature { choice, signature }),
        (prop::option::of(piece()), piece())
            .prop_map(move |(id, data)| Event::ReasoningEncrypted { choice, id, data }),
        (index(), prop::sample::select(vec!["f", "free"])).prop_map(move |(index, name)| {
            Event::ToolStart { choice, index, id: format!("call_{index}"), name: name.to_owned() }
        }),
        (index(), piece()).prop_map(move |(index, json)| Event::ToolArguments {
            choice,
            index,
            json
        }),
        (index(), piece()).prop_map(move |(index, json)| Event::ToolArguments {
            choice,
            index,
            json
        }),
        Just(Event::Image { choice, url: "data:image/png;base64,AA==".into() }),
        (0_u64..9).prop_map(move |start| {
            let citation =
                Citation { url: "u".into(), start, end: start + 1, ..Citation::default() };
            Event::Citation { choice, citation }
        }),
        piece().prop_map(|text| Event::Text { choice: 1, text }),
    ]
}

/// The pieces of each part as they came, and what their ends said of them.
#[derive(Default)]
struct Seen {
    deltas: BTreeMap<(u64, String, u64), String>,
    dones: BTreeMap<(u64, String, u64), String>,
    added: BTreeMap<u64, Value>,
    done: BTreeMap<u64, Value>,
}

impl Seen {
    fn step(&mut self, step: &Value) {
        let kind = step["type"].as_str().unwrap();
        let at = step["output_index"].as_u64().unwrap_or_default();
        match kind {
            "response.output_item.added" => {
                assert_eq!(at, self.added.len() as u64, "items are numbered as they begin");
                assert!(self.added.insert(at, step["item"].clone()).is_none());
                return;
            }
            "response.output_item.done" => {
                assert!(self.done.insert(at, step["item"].clone()).is_none(), "done once");
                return;
            }
            _ => {}
        }
        if let Some(id) = step.get("item_id") {
            assert_eq!(*id, self.added[&at]["id"], "{kind}");
            assert!(!self.done.contains_key(&at) || kind.contains("annotation"), "{kind} {at}");
        }
        let part = step.get("content_index").or_else(|| step.get("summary_index"));
        let part = part.and_then(Value::as_u64).unwrap_or_default();
        if let Some(name) = kind.strip_suffix(".delta") {
            let text = self.deltas.entry((at, name.to_owned(), part)).or_default();
            text.push_str(step["delta"].as_str().unwrap());
        } else if let Some(name) = kind.strip_suffix(".done").filter(|name| !name.ends_with("part"))
        {
            let text =
                ["text", "refusal", "arguments", "input"].iter().find_map(|n| step[n].as_str());
            let known = self.dones.insert((at, name.to_owned(), part), text.unwrap().to_owned());
            assert!(known.is_none(), "a part is done once");
        }
    }
}

/// What an item's parts say, under the names of their events.
fn parts_of(at: u64, item: &Value) -> BTreeMap<(u64, String, u64), String> {
    let mut out = BTreeMap::new();
    let mut put = |name: &str, part: usize, text: &Value| {
        let text = text.as_str().unwrap().to_owned();
        out.insert((at, format!("response.{name}"), part as u64), text);
    };
    for (i, part) in item["content"].as_array().into_iter().flatten().enumerate() {
        match part["type"].as_str().unwrap() {
            "refusal" => put("refusal", i, &part["refusal"]),
            "output_text" => put("output_text", i, &part["text"]),
            kind => put(kind, i, &part["text"]),
        }
    }
    for (i, part) in item["summary"].as_array().into_iter().flatten().enumerate() {
        put("reasoning_summary_text", i, &part["text"]);
    }
    match item["type"].as_str().unwrap() {
        "function_call" => put("function_call_arguments", 0, &item["arguments"]),
        "custom_tool_call" => put("custom_tool_call_input", 0, &item["input"]),
        _ => {}
    }
    out
}

fn without_annotations(item: &Value) -> Value {
    let mut item = item.clone();
    for part in item["content"].as_array_mut().into_iter().flatten() {
        part.as_object_mut().unwrap().remove("annotations");
    }
    item
}

proptest! {
    #[test]
    fn pieces_ends_and_the_last_object_agree(
        mut events in prop::collection::vec(any_event(), 0..40),
        format in prop::sample::select(vec!["unknown", "openai-responses-v1"]),
        reason in prop::sample::select(vec![FinishReason::Stop, FinishReason::ToolCalls, FinishReason::Length, FinishReason::ContentFilter]),
    ) {
        events.push(finish(reason));
        events.push(Event::End);
        let shape = shape(format);
        let got = stream(&shape, &events);
        let mut seen = Seen::default();
        for (i, step) in got.iter().enumerate() {
            prop_assert_eq!(&step["sequence_number"], &json!(i));
            seen.step(step);
        }
        prop_assert_eq!(&got[0]["type"], "response.created");
        let last = got.last().unwrap();
        let cut = matches!(reason, FinishReason::Length | FinishReason::ContentFilter);
        prop_assert_eq!(&last["type"], if cut { "response.incomplete" } else { "response.completed" });
        prop_assert_eq!(&seen.deltas.iter().filter(|(_, text)| !text.is_empty()).collect::<Vec<_>>(),
            &seen.dones.iter().filter(|(_, text)| !text.is_empty()).collect::<Vec<_>>());
        let output = last["response"]["output"].as_array().unwrap();
        prop_assert_eq!(output.len(), seen.added.len());
        let mut ids = std::collections::HashSet::new();
        let mut said = BTreeMap::new();
        for (i, item) in output.iter().enumerate() {
            let at = i as u64;
            prop_assert!(ids.insert(item["id"].as_str().unwrap()), "ids are unique");
            prop_assert_eq!(without_annotations(item), without_annotations(&seen.done[&at]));
            prop_assert_eq!(&item["id"], &seen.added[&at]["id"]);
            said.extend(parts_of(at, item));
        }
        prop_assert_eq!(&said, &seen.dones);
        let whole = whole(&shape, &events);
        prop_assert_eq!(&whole["status"], &last["response"]["status"]);
        if format == "unknown" {
            prop_assert_eq!(&whole["output"], &last["response"]["output"], "both forms agree");
        }
    }
}
