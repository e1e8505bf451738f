//! Requests: what is refused and where, what is read as what, and what comes through unchanged.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::read_request;
use crate::dialect::ir::{
    Effort, FileSource, Message, Part, PartBody, Reasoning, ReasoningBody, Request, ToolChoice,
};
use crate::dialect::{Target, anthropic};

fn read(body: &Value) -> Request {
    read_request(body.to_string().as_bytes()).map_err(|e| e.message).unwrap()
}

fn with(member: &str, value: Value) -> Value {
    let mut body = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "x"}]});
    body[member] = value;
    body
}

fn user(block: Value) -> Value {
    with("messages", json!([{"role": "user", "content": [block]}]))
}

fn param(body: &Value) -> String {
    let error = read_request(body.to_string().as_bytes()).map(|_| ()).unwrap_err();
    assert_eq!(error.kind.status(), 400, "{body}");
    assert!(error.message.ends_with('.'), "{}", error.message);
    error.param.unwrap_or(error.message)
}

#[test]
fn what_is_wrong_is_told_by_its_place() {
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "w", "input": {}});
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "r"});
    let turns = |turns: &[(&str, Value)]| {
        let turns: Vec<Value> =
            turns.iter().map(|(role, content)| json!({"role": role, "content": content})).collect();
        with("messages", turns.into())
    };
    let tool = json!({"name": "w", "input_schema": {"type": "object"}});
    let mut with_choice = with("tools", json!([tool]));
    with_choice["tool_choice"] = json!({"type": "tool", "name": "v"});
    for (body, place) in [
        (json!({"messages": [{"role": "user", "content": "x"}]}), "max_tokens"),
        (with("max_tokens", json!(0)), "max_tokens"),
        (with("messages", Value::Null), "messages"),
        (with("messages", json!([])), "messages"),
        (with("messages", json!("x")), "messages"),
        (turns(&[("tool", json!("x"))]), "messages[0].role"),
        (turns(&[("user", json!(5))]), "messages[0].content"),
        (turns(&[("user", Value::Null)]), "messages[0].content"),
        (turns(&[("user", json!([{"text": "x"}]))]), "messages[0].content[0].type"),
        (user(json!({"type": "text"})), "messages[0].content[0].text"),
        (user(json!({"type": "image"})), "messages[0].content[0].source"),
        (
            user(json!({"type": "image", "source": {"type": "file", "file_id": "f"}})),
            "messages[0].content[0].source.type",
        ),
        (
            user(json!({"type": "image", "source": {"type": "url", "url": "ftp://x"}})),
            "messages[0].content[0].source.url",
        ),
        (
            user(json!({"type": "image", "source": {
                "type": "base64", "media_type": "image/png,", "data": "AA=="}})),
            "messages[0].content[0].source.media_type",
        ),
        (
            user(json!({"type": "document", "source": {"type": "new"}})),
            "messages[0].content[0].source.type",
        ),
        (
            user(json!({"type": "text", "text": "x", "cache_control": {"type": "long"}})),
            "messages[0].content[0].cache_control.type",
        ),
        (
            user(json!({"type": "text", "text": "x",
                "cache_control": {"type": "ephemeral", "ttl": "2h"}})),
            "messages[0].content[0].cache_control.ttl",
        ),
        (user(result("t")), "messages[0].content[0].tool_use_id"),
        (turns(&[("assistant", json!([call("a")]))]), "messages[0].content[0]"),
        (
            turns(&[("assistant", json!([call("a"), call("b")])), ("user", json!([result("a")]))]),
            "messages[0].content[1]",
        ),
        (
            turns(&[
                ("assistant", json!([call("a")])),
                ("user", json!([result("a"), result("a")])),
            ]),
            "messages[1].content[1].tool_use_id",
        ),
        (turns(&[("assistant", json!([call("a"), call("a")]))]), "messages[0].content[1].id"),
        (turns(&[("assistant", json!([call("")]))]), "messages[0].content[0].id"),
        (
            turns(&[(
                "assistant",
                json!([{"type": "tool_use", "id": "a", "name": "w", "input": "{}"}]),
            )]),
            "messages[0].content[0].input",
        ),
        (
            turns(&[("assistant", json!([{"type": "tool_use", "id": "a", "name": "a b"}]))]),
            "messages[0].content[0].name",
        ),
        (with("system", json!([{"type": "image"}])), "system[0].type"),
        (with("tools", json!([{"name": "w"}])), "tools[0].input_schema"),
        (with("tools", json!([{"name": "w", "input_schema": 5}])), "tools[0].input_schema"),
        (with("tools", json!([{"name": "", "input_schema": {}}])), "tools[0].name"),
        (with("tool_choice", json!({"type": "any"})), "tool_choice"),
        (with("tool_choice", json!("auto")), "tool_choice"),
        (with("tool_choice", json!({"type": "required"})), "tool_choice.type"),
        (with_choice, "tool_choice.name"),
        (with("temperature", json!(1.5)), "temperature"),
        (with("top_p", json!(-1)), "top_p"),
        (with("top_k", json!(-1)), "top_k"),
        (with("stop_sequences", json!("END")), "stop_sequences"),
        (with("stop_sequences", json!(["a", 5])), "stop_sequences[1]"),
        (with("stream", json!("yes")), "stream"),
        (with("thinking", json!({"type": "on"})), "thinking.type"),
        (with("thinking", json!({"type": "enabled"})), "thinking.budget_tokens"),
        (with("thinking", json!({"type": "adaptive", "display": "x"})), "thinking.display"),
        (with("output_config", json!({"effort": "minimal"})), "output_config.effort"),
        (with("output_config", json!({"format": {"type": "json"}})), "output_config.format.type"),
        (
            with("output_config", json!({"format": {"type": "json_schema"}})),
            "output_config.format.schema",
        ),
        (with("metadata", json!({"user_id": 5})), "metadata.user_id"),
    ] {
        assert_eq!(param(&body), place, "{body}");
    }
    let twice = r#"{"max_tokens":1,"max_tokens":2,"messages":[]}"#;
    assert_eq!(read_request(twice.as_bytes()).unwrap_err().param.unwrap(), "max_tokens");
    for bad in [&b"{"[..], b"[]", b"\xff", b"{\"messages\":"] {
        assert_eq!(read_request(bad).unwrap_err().kind.status(), 400);
    }
}

#[test]
fn results_come_before_what_the_user_says() {
    let mut body = with(
        "messages",
        json!([
            {"role": "user", "content": "Snow?"},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "t1", "name": "w", "input": {"c": 1.0}},
                {"type": "tool_use", "id": "t2", "name": "w", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "text", "text": "And?"},
                {"type": "tool_result", "tool_use_id": "t2", "is_error": true},
            ]},
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": [
                    {"type": "text", "text": "snow"},
                    {"type": "image", "source":
                        {"type": "base64", "media_type": "image/png", "data": "AA=="}},
                ], "cache_control": {"type": "ephemeral"}},
            ]},
        ]),
    );
    body["system"] = json!("S");
    body["tools"] = json!([{"name": "w", "input_schema": {"type": "object"}}]);
    body["tool_choice"] = json!({"type": "any", "disable_parallel_tool_use": true});
    body["stop_sequences"] = json!(["A", "B", "C", "D", "E"]);
    let request = read(&body);
    let roles: String = request
        .messages
        .iter()
        .map(|message| match message {
            Message::System { .. } => 's',
            Message::User { .. } => 'u',
            Message::Assistant(_) => 'a',
            Message::Tool { .. } => 't',
        })
        .collect();
    assert_eq!(roles, "suattus");
    let Message::Assistant(turn) = &request.messages[2] else { panic!("the calls") };
    assert_eq!(turn.tool_calls[0].arguments, r#"{"c":1.0}"#, "as written");
    let Message::Tool { call_id, parts, is_error } = &request.messages[3] else { panic!() };
    assert_eq!((call_id.as_str(), parts.len(), *is_error), ("t2", 0, true));
    let Message::Tool { parts, .. } = &request.messages[4] else { panic!() };
    assert!(parts[1].cache.is_some() && parts[0].cache.is_none());
    assert!(request.tool_choice == Some(ToolChoice::Required));
    assert_eq!(request.parallel_tool_calls, Some(false));
    assert_eq!(request.stop.len(), 5, "Anthropic documents no limit");
}

#[test]
fn thinking_is_read_as_reasoning() {
    let reasoning = |thinking: Value, config: Value| {
        let mut body = with("thinking", thinking);
        body["output_config"] = config;
        let request = read(&body);
        (request.reasoning, request.losses.len())
    };
    let on = Reasoning { enabled: Some(true), ..Reasoning::default() };
    let effort = |effort| json!({ "effort": effort });
    for (thinking, config, expected) in [
        (Value::Null, Value::Null, (None, 0)),
        (
            json!({"type": "enabled", "budget_tokens": 2000}),
            effort("high"),
            (Some(Reasoning { max_tokens: Some(2000), ..on }), 1),
        ),
        (json!({"type": "adaptive"}), Value::Null, (Some(on), 0)),
        (
            json!({"type": "adaptive", "display": "omitted"}),
            effort("max"),
            (Some(Reasoning { effort: Some(Effort::Max), exclude: true, ..on }), 0),
        ),
        (
            json!({"type": "disabled"}),
            effort("low"),
            (Some(Reasoning { enabled: Some(false), ..Reasoning::default() }), 1),
        ),
        (
            Value::Null,
            effort("low"),
            (Some(Reasoning { effort: Some(Effort::Low), ..Reasoning::default() }), 0),
        ),
    ] {
        assert_eq!(reasoning(thinking.clone(), config), expected, "{thinking}");
    }
}

fn parts_of(message: &Message) -> &[Part] {
    match message {
        Message::System { parts, .. }
        | Message::User { parts, .. }
        | Message::Tool { parts, .. } => parts,
        Message::Assistant(turn) => &turn.parts,
    }
}

#[test]
fn documents_and_results_of_searches_are_kept() {
    let part = |block: Value| {
        let request = read(&user(block));
        let parts = parts_of(&request.messages[0]);
        parts
            .iter()
            .map(|part| match &part.body {
                PartBody::Text(text) => format!("text {text}"),
                PartBody::Image { url, .. } => format!("image {url}"),
                PartBody::File { name, source: FileSource::Url(url) } => {
                    format!("file {} {url}", name.as_deref().unwrap_or("-"))
                }
                PartBody::File { source: FileSource::Id(id), .. } => format!("id {id}"),
                _ => "other".to_owned(),
            })
            .collect::<Vec<_>>()
            .join("|")
    };
    let document = |source: Value| json!({"type": "document", "title": "T", "source": source});
    for (block, expected) in [
        (
            document(json!({"type": "base64", "media_type": "application/pdf", "data": "JVBE"})),
            "file T data:application/pdf;base64,JVBE",
        ),
        (document(json!({"type": "url", "url": "https://a/b.pdf"})), "file T https://a/b.pdf"),
        (
            document(json!({"type": "text", "media_type": "text/plain", "data": "hé"})),
            "file T data:text/plain;base64,aMOp",
        ),
        (document(json!({"type": "file", "file_id": "file_1"})), "id file_1"),
        (document(json!({"type": "content", "content": "a"})), "text T|text a"),
        (
            document(json!({"type": "content", "content": [
                {"type": "text", "text": "a"},
                {"type": "image", "source": {"type": "url", "url": "https://i"}},
            ]})),
            "text T|text a|image https://i",
        ),
        (
            json!({"type": "search_result", "title": "T", "source": "https://s", "content": [
                {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}),
            "text T\nhttps://s\na\nb",
        ),
        (json!({"type": "text", "text": ""}), "text "),
    ] {
        assert_eq!(part(block.clone()), expected, "{block}");
    }
}

#[test]
fn what_is_lost_is_listed_and_the_rest_rides_along() {
    let body = json!({
        "max_tokens": 9,
        "models": ["a/b"],
        "provider": {"order": ["x"]},
        "context_management": {"edits": []},
        "tools": [
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
            {"type": "custom", "name": "w", "input_schema": {"type": "object"}},
        ],
        "messages": [
            {"role": "user", "content": [
                {"type": "document", "context": "c", "citations": {"enabled": true},
                    "source": {"type": "text", "media_type": "text/plain", "data": "d"}},
                {"type": "container_upload", "file_id": "f", "cache_control": {"type": "ephemeral"}},
            ]},
            {"role": "assistant", "content": [
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
                {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
                {"type": "text", "text": "It snows.", "citations": [{"type": "char_location"}]},
                {"type": "text", "text": "Truly.", "citations": []},
            ]},
            {"role": "assistant", "content": [
                {"type": "server_tool_use", "id": "srvtoolu_2", "name": "web_search", "input": {}},
            ]},
            {"role": "user", "content": "Thanks."},
        ],
    });
    let request = read(&body);
    let lost: Vec<&str> = request.losses.iter().map(|loss| loss.param.as_ref()).collect();
    let expected = [
        "tools[0]",
        "messages[0].content[0].citations",
        "messages[0].content[0].context",
        "messages[0].content[1]",
        "messages[1].content[0]",
        "messages[1].content[1]",
        "messages[1].content[2].citations",
        "messages[2].content[0]",
    ];
    assert_eq!(lost, expected);
    assert_eq!(request.messages.len(), 3, "a turn of which nothing is left is no turn");
    assert!(parts_of(&request.messages[0])[0].cache.is_some(), "a mark moves to what is left");
    assert_eq!((request.tools.len(), request.tools[0].name.as_str()), (1, "w"));
    let mut rest: Vec<&str> = request.rest.iter().map(|(name, _)| name.as_str()).collect();
    rest.sort_unstable();
    assert_eq!(rest, ["context_management", "models", "provider"]);
}

#[test]
fn reasoning_comes_back_as_whose_it_was() {
    let body = with(
        "messages",
        json!([{"role": "assistant", "content": [
            {"type": "thinking", "thinking": "a", "signature": "SIG=="},
            {"type": "redacted_thinking", "data": "turnpike:google-gemini-v1:6:call_1c2ln"},
            {"type": "thinking", "thinking": "b", "signature": ""},
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "text", "text": "x"},
            {"type": "thinking", "thinking": "c", "signature": "turnpike:unknown::S"},
            {"type": "thinking", "thinking": "", "signature": "SIG2"},
            {"type": "text", "text": "y"},
        ]}, {"role": "user", "content": "go on"}]),
    );
    let request = read(&body);
    let mut seen = Vec::new();
    for message in &request.messages {
        let Message::Assistant(turn) = message else { continue };
        for block in &turn.reasoning {
            let body = match &block.body {
                ReasoningBody::Text { text, signature } => {
                    format!("{text}/{}", signature.as_deref().unwrap_or("-"))
                }
                ReasoningBody::Encrypted(data) => data.clone(),
                ReasoningBody::Summary(text) => text.clone(),
            };
            let (id, format) = (block.id.as_deref(), block.format.as_deref());
            seen.push(format!("{body} {} {}", id.unwrap_or("-"), format.unwrap_or("-")));
        }
        seen.push("|".to_owned());
    }
    let expected = [
        "a/SIG== - anthropic-claude-v1",
        "c2ln call_1 google-gemini-v1",
        "b/- - -",
        "c/S - unknown",
        "|",
        "/SIG2 - anthropic-claude-v1",
        "|",
    ];
    assert_eq!(seen, expected);
}

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

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn what_anthropic_is_asked_is_what_the_client_asked(bytes in prop::collection::vec(any::<u8>(), 40..200)) {
        let asked = Dice(bytes, 0).request();
        let read = read(&asked);
        prop_assert!(read.losses.is_empty());
        let written = anthropic::request(&read, &Target::new("m", 0)).map_err(|e| e.message);
        let written: Value = serde_json::from_slice(&written.unwrap()).unwrap();
        prop_assert_eq!(as_blocks(written), as_blocks(asked));
    }

    #[test]
    fn any_bytes_are_a_request_or_an_error(body in any::<Vec<u8>>()) {
        let _ = read_request(&body).map_err(|error| error.kind.status());
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
        let _ = read_request(&body).map_err(|error| error.kind.status());
    }
}
