//! Requests: what is refused and where, and what is read as what.

use serde_json::{Value, json};

use super::read_request;
use crate::dialect::ir::{
    Effort, FileSource, Message, Part, PartBody, Reasoning, ReasoningBody, Request, ToolChoice,
};

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

fn turns(turns: &[(&str, Value)]) -> Value {
    let turns: Vec<Value> =
        turns.iter().map(|(role, content)| json!({"role": role, "content": content})).collect();
    with("messages", turns.into())
}

fn param(body: &Value) -> String {
    let error = read_request(body.to_string().as_bytes()).map(|_| ()).unwrap_err();
    assert_eq!(error.kind.status(), 400, "{body}");
    assert!(error.message.ends_with('.'), "{}", error.message);
    error.param.unwrap_or(error.message)
}

#[test]
fn messages_that_are_wrong_are_told_by_their_place() {
    for (body, place) in [
        (json!({"messages": [{"role": "user", "content": "x"}]}), "max_tokens"),
        (with("max_tokens", json!(0)), "max_tokens"),
        (with("messages", Value::Null), "messages"),
        (with("messages", json!([])), "messages"),
        (with("messages", json!("x")), "messages"),
        (
            turns(&[("user", json!([])), ("system", json!("")), ("assistant", json!([]))]),
            "messages",
        ),
        (user(json!({"type": "container_upload", "file_id": "f"})), "messages"),
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
                "type": "base64", "media_type": "image/bmp", "data": "AA=="}})),
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
    ] {
        assert_eq!(param(&body), place, "{body}");
    }
}

#[test]
fn calls_and_results_that_do_not_match_are_told_by_their_place() {
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "w", "input": {}});
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "r"});
    for (body, place) in [
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
    ] {
        assert_eq!(param(&body), place, "{body}");
    }
}

#[test]
fn options_that_are_wrong_are_told_by_their_place() {
    let tool = json!({"name": "w", "input_schema": {"type": "object"}});
    let mut with_choice = with("tools", json!([tool]));
    with_choice["tool_choice"] = json!({"type": "tool", "name": "v"});
    for (body, place) in [
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
