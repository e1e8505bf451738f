//! What Anthropic is asked is what a client of Messages asked: random requests through the hub.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{WholeWriter, read_request};
use crate::dialect::ir::{Event, Message, ReasoningBlock, ReasoningBody};
use crate::dialect::sink::{AnswerShape, WholeSink};
use crate::dialect::{Target, anthropic};

/// Draws choices from bytes.
struct Dice(Vec<u8>, usize);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        let at = self.1 % self.0.len();
        self.1 += 1;
        usize::from(self.0[at].wrapping_add(u8::try_from(self.1 % 251).unwrap())) % sides
    }

    fn text(&mut self) -> String {
        const WORDS: [&str; 6] = ["Hé", "a\"b\\", "\n c", "中文 x", "{\"k\":1}", "tail "];
        let count = 1 + self.roll(3);
        (0..count).map(|_| WORDS[self.roll(WORDS.len())]).collect()
    }

    fn marked(&mut self, mut block: Value) -> Value {
        match self.roll(8) {
            0 => block["cache_control"] = json!({"type": "ephemeral"}),
            1 => block["cache_control"] = json!({"type": "ephemeral", "ttl": "1h"}),
            _ => {}
        }
        block
    }

    fn text_block(&mut self) -> Value {
        json!({"type": "text", "text": self.text()})
    }

    fn image(&mut self) -> Value {
        match self.roll(2) {
            0 => json!({"type": "image", "source": {"type": "url", "url": "https://a/i.png"}}),
            _ => json!({"type": "image", "source":
                {"type": "base64", "media_type": "image/webp", "data": "UklGRg=="}}),
        }
    }

    fn user_block(&mut self) -> Value {
        let block = match self.roll(6) {
            0 => self.image(),
            1 => json!({"type": "document", "title": "T", "source":
                {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}}),
            2 => json!({"type": "document", "source":
                {"type": "text", "media_type": "text/plain", "data": self.text()}}),
            _ => self.text_block(),
        };
        self.marked(block)
    }

    fn result(&mut self, id: &str) -> Value {
        let mut result = json!({"type": "tool_result", "tool_use_id": id});
        match self.roll(4) {
            0 => return result,
            1 => result["content"] = json!([self.text_block(), self.image()]),
            2 => {
                result["content"] = json!(self.text());
                result["is_error"] = json!(true);
            }
            _ => result["content"] = json!(self.text()),
        }
        self.marked(result)
    }

    fn thinking(&mut self) -> Value {
        match self.roll(4) {
            0 => json!({"type": "redacted_thinking", "data": "EmwK+/=="}),
            1 => json!({"type": "thinking", "thinking": "", "signature": "ErUB+/=="}),
            _ => json!({"type": "thinking", "thinking": self.text(), "signature": "Er\u{e9}U B="}),
        }
    }

    /// What the model said, and the ids of its calls.
    fn said(&mut self, turn: usize) -> (Vec<Value>, Vec<String>) {
        let (mut blocks, mut ids) = (Vec::new(), Vec::new());
        for _ in 0..self.roll(3) {
            for _ in 0..self.roll(3) {
                blocks.push(self.thinking());
            }
            let text = self.text_block();
            blocks.push(self.marked(text));
        }
        if self.roll(3) > 0 || blocks.is_empty() {
            for _ in 0..self.roll(2) {
                blocks.push(self.thinking());
            }
            for i in 0..=self.roll(3) {
                let id = format!("toolu_{turn}-{i}");
                let input = [json!({}), json!({"c": "é\n", "n": [1, 2.5, null]})];
                let input = &input[self.roll(2)];
                blocks.push(json!({"type": "tool_use", "id": id, "name": "w", "input": input}));
                ids.push(id);
            }
        }
        (blocks, ids)
    }

    fn messages(&mut self) -> Value {
        let mut messages = Vec::new();
        let mut ids: Vec<String> = Vec::new();
        let turns = self.roll(4);
        for turn in 0..=turns {
            let mut blocks: Vec<Value> = ids.iter().map(|id| self.result(id)).collect();
            for _ in 0..self.roll(3) {
                blocks.push(self.user_block());
            }
            if blocks.is_empty() || turn == turns {
                let text = self.text_block();
                blocks.push(self.marked(text));
            }
            messages.push(json!({"role": "user", "content": blocks}));
            if turn < turns {
                let (said, calls) = self.said(turn);
                messages.push(json!({"role": "assistant", "content": said}));
                ids = calls;
            }
        }
        messages.into()
    }

    fn request(&mut self) -> Value {
        let mut out = json!({"max_tokens": 9000, "messages": self.messages()});
        let system: Vec<Value> = (0..self.roll(3))
            .map(|_| {
                let text = self.text_block();
                self.marked(text)
            })
            .collect();
        if !system.is_empty() {
            out["system"] = system.into();
        }
        let tool = json!({"name": "w", "description": self.text(), "strict": true,
            "input_schema": {"type": "object", "properties": {"c": {"type": "string"}}}});
        let bare = json!({"name": "v-2", "input_schema": {"type": "object"}});
        out["tools"] = json!([self.marked(tool), self.marked(bare)]);
        let choices = [
            json!({"type": "auto"}),
            json!({"type": "auto", "disable_parallel_tool_use": true}),
            json!({"type": "none"}),
            Value::Null,
            json!({"type": "any"}),
            json!({"type": "tool", "name": "v-2", "disable_parallel_tool_use": true}),
        ];
        let thinking = [
            json!({"type": "disabled"}),
            Value::Null,
            json!({"type": "adaptive"}),
            json!({"type": "adaptive", "display": "omitted"}),
            json!({"type": "enabled", "budget_tokens": 1024}),
            json!({"type": "enabled", "budget_tokens": 8999, "display": "omitted"}),
        ];
        let thinking = thinking[self.roll(thinking.len())].clone();
        let thinks = thinking["type"] == "adaptive" || thinking["type"] == "enabled";
        // A call that must be made and thinking exclude each other.
        let choice = choices[self.roll(if thinks { 4 } else { choices.len() })].clone();
        let format = json!({"type": "json_schema", "schema": {"type": "object"}});
        let config = match self.roll(4) {
            0 => json!({ "format": format }),
            1 if thinking["type"] != "enabled" && thinking["type"] != "disabled" => {
                json!({"format": format, "effort": "xhigh"})
            }
            _ => Value::Null,
        };
        let mut maybe = |name: &str, value: Value, wanted: bool| {
            if wanted && !value.is_null() {
                out[name] = value;
            }
        };
        maybe("thinking", thinking, true);
        maybe("tool_choice", choice, true);
        maybe("output_config", config, true);
        maybe("temperature", json!(0.25), !thinks && self.roll(2) == 0);
        maybe("top_k", json!(40), !thinks && self.roll(2) == 0);
        maybe("stop_sequences", json!(["END", "\n\nHuman:", "a", "b", "c"]), self.roll(2) == 0);
        maybe("metadata", json!({"user_id": "user_é"}), self.roll(2) == 0);
        maybe("service_tier", json!("standard_only"), self.roll(2) == 0);
        maybe("stream", json!(true), self.roll(2) == 0);
        let mut left = 4;
        limit_marks(&mut out, &mut left);
        if left > 0 && self.roll(2) == 0 {
            out["cache_control"] = json!({"type": "ephemeral"});
        }
        out
    }
}

/// Takes away all marks but the first few.
fn limit_marks(value: &mut Value, left: &mut u32) {
    match value {
        Value::Object(members) => {
            if members.contains_key("cache_control") {
                match left.checked_sub(1) {
                    Some(less) => *left = less,
                    None => {
                        members.remove("cache_control");
                    }
                }
            }
            members.values_mut().for_each(|value| limit_marks(value, left));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| limit_marks(item, left)),
        _ => {}
    }
}

/// Texts that stand alone are written as strings; Anthropic reads both as the same.
fn as_blocks(mut request: Value) -> Value {
    fn blocks(content: &mut Value) {
        if let Value::String(text) = content {
            *content = json!([{"type": "text", "text": text}]);
        }
    }
    let members: &mut Map<String, Value> = request.as_object_mut().unwrap();
    members.remove("model");
    if let Some(system) = members.get_mut("system") {
        blocks(system);
    }
    for message in request["messages"].as_array_mut().unwrap() {
        blocks(&mut message["content"]);
    }
    request
}

/// What the client gets of an answer's reasoning and hands back, as the hub then has it.
fn handed_back(events: &[Event], reasoning_format: &'static str) -> Vec<ReasoningBlock> {
    let shape = AnswerShape { reasoning_format, ..AnswerShape::default() };
    let mut writer = Box::new(WholeWriter::new(&shape));
    events.iter().for_each(|event| writer.write(event));
    let message: Value = serde_json::from_slice(&writer.finish(None, None)).unwrap();
    let turn = json!({"role": "assistant", "content": message["content"]});
    let user = json!({"role": "user", "content": "go on"});
    let body = json!({"max_tokens": 9, "messages": [turn, user]});
    let request = read_request(body.to_string().as_bytes()).map_err(|e| e.message).unwrap();
    request.messages.into_iter().fold(Vec::new(), |mut all, message| {
        if let Message::Assistant(turn) = message {
            all.extend(turn.reasoning);
        }
        all
    })
}

#[test]
fn reasoning_of_every_family_finds_home() {
    let choice = 0;
    for format in ["anthropic-claude-v1", "google-gemini-v1", "openai-responses-v1", "unknown"] {
        let id = (format != "anthropic-claude-v1").then(|| "rs:1\u{e9}".to_owned());
        let events = [
            Event::Reasoning { choice, text: "Hm.".into() },
            Event::ReasoningSignature { choice, signature: "Er+/= :é".into() },
            Event::ReasoningEncrypted { choice, id: id.clone(), data: "gAAA:b/=".into() },
            Event::Text { choice, text: "Hi".into() },
        ];
        let signature = Some("Er+/= :é".to_owned());
        let body = ReasoningBody::Text { text: "Hm.".into(), signature };
        let block = |id, body| ReasoningBlock { id, body, format: Some(format.to_owned()) };
        let expected = [block(None, body), block(id, ReasoningBody::Encrypted("gAAA:b/=".into()))];
        assert!(handed_back(&events, format) == expected, "{format}");
    }
    let unsigned = [Event::ReasoningSummary { choice, text: "Hm.".into() }];
    let back = handed_back(&unsigned, "openai-responses-v1");
    assert!(matches!(
        &back[..],
        [ReasoningBlock { body: ReasoningBody::Text { signature: None, .. }, format: None, .. }]
    ));
}

fn is_the_clients_fault(body: &[u8]) -> bool {
    read_request(body).is_err_and(|error| error.kind.status() == 400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn what_anthropic_is_asked_is_what_the_client_asked(bytes in prop::collection::vec(any::<u8>(), 40..200)) {
        let asked = Dice(bytes, 0).request();
        let read = read_request(asked.to_string().as_bytes()).map_err(|e| e.message).unwrap();
        prop_assert!(read.losses.is_empty());
        let written = anthropic::request(&read, &Target::new("m", 0)).map_err(|e| e.message);
        let written: Value = serde_json::from_slice(&written.unwrap()).unwrap();
        prop_assert_eq!(as_blocks(written), as_blocks(asked));
    }

    #[test]
    fn any_bytes_are_a_request_or_an_error(body in any::<Vec<u8>>()) {
        prop_assert!(read_request(&body).is_ok() || is_the_clients_fault(&body));
    }

    #[test]
    fn a_damaged_request_is_no_panic(
        bytes in prop::collection::vec(any::<u8>(), 40..80),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut body = Dice(bytes, 0).request().to_string().into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        prop_assert!(read_request(&body).is_ok() || is_the_clients_fault(&body));
    }
}
