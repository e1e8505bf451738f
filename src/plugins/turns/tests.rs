use serde_json::{Value, json};
use turnpike_plugin_api::{Request, Role, TextKind};

use super::Turns;
use crate::dialect::scan::{Form, scan_as};

fn read(form: Form, body: &str) -> (Vec<turnpike_plugin_api::Turn>, super::Places) {
    let head = scan_as(form, body.as_bytes()).expect("a head");
    Turns::read(&head, body.as_bytes(), true).expect("turns").take()
}

/// Changes a request and gives what comes out, which must be sound.
fn changed(form: Form, body: &Value, change: impl Fn(&mut Request)) -> Value {
    // White space where a careless splice would stumble.
    let body = serde_json::to_string_pretty(body).expect("JSON");
    let head = scan_as(form, body.as_bytes()).expect("a head");
    let (turns, places) = read(form, &body);
    let mut request = Request::new(turns);
    change(&mut request);
    let written = places.write(&head, body.as_bytes(), &request).expect("a body");
    scan_as(form, &written)
        .unwrap_or_else(|e| panic!("{}: {e}", String::from_utf8_lossy(&written)));
    serde_json::from_slice(&written).expect("JSON")
}

fn shout(request: &mut Request) {
    request.texts_mut().filter(|(_, text)| text.kind != TextKind::Arguments).for_each(
        |(_, text)| {
            let upper = text.as_str().to_uppercase();
            text.set(upper);
        },
    );
}

#[test]
fn texts_are_found_and_replaced_in_chat() {
    let body = json!({"model": "a/b", "stream": false, "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [
            {"type": "text", "text": "what \"is\" ü\n?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,xx"}},
        ]},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"q\":1}"}},
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": "seven"},
    ], "n": 1});
    let (turns, _) = read(Form::Chat, &body.to_string());
    let roles: Vec<Role> = turns.iter().map(|turn| turn.role).collect();
    assert_eq!(roles, [Role::System, Role::User, Role::Assistant, Role::Tool]);
    assert!(turns[1].has_media && turns[1].tokens > 1_000);
    assert_eq!((&turns[2].calls, &turns[3].results), (&vec!["c1".into()], &vec!["c1".into()]));
    let mut want = body.clone();
    want["messages"][0]["content"] = json!("BE BRIEF");
    want["messages"][1]["content"][0]["text"] = json!("WHAT \"IS\" Ü\n?");
    want["messages"][3]["content"] = json!("SEVEN");
    assert_eq!(changed(Form::Chat, &body, shout), want);
}

#[test]
fn texts_are_found_and_replaced_in_messages() {
    let body = json!({"model": "a/b", "max_tokens": 9, "system": [{"type": "text", "text": "s"}],
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "secret", "signature": "x"},
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": "b"}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "r"}]},
        ]},
        {"role": "user", "content": [
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}},
            {"type": "text", "text": "u"},
        ]},
    ]});
    let (turns, _) = read(Form::Messages, &body.to_string());
    assert_eq!(turns[2].texts[0].as_str(), "{\"a\":\"b\"}");
    assert_eq!((turns[3].role, &turns[3].results), (Role::Tool, &vec!["t1".to_owned()]));
    let got = changed(Form::Messages, &body, |request| {
        shout(request);
        request.text_mut(2, 0).expect("arguments").set("{\"a\":\"c\"}".to_owned());
        request.instruct("More.");
    });
    let mut want = body.clone();
    want["system"] = json!([{"type": "text", "text": "S"}, {"type": "text", "text": "More."}]);
    want["messages"][0]["content"] = json!("HI");
    want["messages"][1]["content"][1]["input"] = json!({"a": "c"});
    want["messages"][2]["content"][0]["content"][0]["text"] = json!("R");
    want["messages"][3]["content"][0]["source"]["data"] = json!("D");
    want["messages"][3]["content"][1]["text"] = json!("U");
    assert_eq!(got, want, "signed thinking stays as it is");
}

#[test]
fn texts_are_found_and_replaced_in_responses() {
    let body = json!({"model": "a/b", "instructions": "i", "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "u"}]},
        {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "x"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "o"},
    ]});
    let (turns, _) = read(Form::Responses, &body.to_string());
    assert!(!turns[2].removable, "reasoning belongs to its call");
    assert_eq!((&turns[3].calls, &turns[4].results), (&vec!["c".into()], &vec!["c".into()]));
    let mut want = body.clone();
    want["instructions"] = json!("I\n\nMore.");
    want["input"][0]["content"][0]["text"] = json!("U");
    want["input"][3]["output"] = json!("O");
    let got = changed(Form::Responses, &body, |request| {
        shout(request);
        request.instruct("More.");
    });
    assert_eq!(got, want);
    let bare = changed(Form::Responses, &json!({"model": "a/b", "input": "q"}), |request| {
        shout(request);
        request.instruct("More.");
    });
    assert_eq!(bare, json!({"model": "a/b", "input": "Q", "instructions": "More."}));
}

#[test]
fn other_forms_have_texts_too() {
    for (form, body, want) in [
        (
            Form::Completions,
            json!({"model": "a/b", "prompt": "once"}),
            json!({"model": "a/b", "prompt": "ONCE"}),
        ),
        (
            Form::Embeddings,
            json!({"model": "a/b", "input": ["x", "y"]}),
            json!({"model": "a/b", "input": ["X", "Y"]}),
        ),
        (
            Form::Rerank,
            json!({"model": "a/b", "query": "q", "documents": ["d", {"text": "e"}]}),
            json!({"model": "a/b", "query": "Q", "documents": ["D", {"text": "E"}]}),
        ),
    ] {
        assert_eq!(changed(form, &body, shout), want);
    }
}

#[test]
fn instructions_find_a_place_in_any_conversation() {
    let user = json!({"role": "user", "content": "x"});
    for (before, after) in [
        (json!([user]), json!([{"role": "system", "content": "New."}, user])),
        (
            json!([{"role": "developer", "content": "Old."}, user]),
            json!([{"role": "developer", "content": "Old.\n\nNew."}, user]),
        ),
        (
            json!([{"role": "system", "content": []}, user]),
            json!([{"role": "system", "content": [{"type": "text", "text": "New."}]}, user]),
        ),
        (
            json!([{"role": "system", "content": null}, user]),
            json!([{"role": "system", "content": "New."}, {"role": "system", "content": null}, user]),
        ),
    ] {
        let body = json!({"model": "a/b", "messages": before});
        let got = changed(Form::Chat, &body, |request| request.instruct("New."));
        assert_eq!(got["messages"], after);
    }
    for (system, want) in [(json!(null), "New."), (json!("Old."), "Old.\n\nNew.")] {
        let mut body = json!({"model": "a/b", "max_tokens": 1, "messages": [user]});
        body["system"] = system;
        let got = changed(Form::Messages, &body, |request| request.instruct("New."));
        assert_eq!(got["system"], want);
    }
}

#[test]
fn any_turns_can_be_taken_out() {
    let message = |i: usize| json!({"role": "user", "content": format!("m{i}")});
    let all: Vec<Value> = (0..5).map(message).collect();
    for mask in 1_u32..31 {
        let body = json!({"messages": all, "model": "a/b"});
        let got = changed(Form::Chat, &body, |request| {
            (0..5).filter(|i| mask >> i & 1 == 1).for_each(|i| assert!(request.remove(i)));
        });
        let left: Vec<&Value> =
            all.iter().enumerate().filter(|(i, _)| mask >> i & 1 == 0).map(|(_, m)| m).collect();
        assert_eq!(got["messages"], json!(left), "mask {mask:b}");
    }
}

#[test]
fn arguments_that_are_no_object_any_more_are_refused() {
    let body =
        json!({"model": "a/b", "max_tokens": 1, "messages": [{"role": "assistant", "content": [
            {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        ]}]})
        .to_string();
    let head = scan_as(Form::Messages, body.as_bytes()).expect("a head");
    let (turns, places) = read(Form::Messages, &body);
    let mut request = Request::new(turns);
    request.text_mut(0, 0).expect("arguments").set("[EMAIL]".to_owned());
    assert!(places.write(&head, body.as_bytes(), &request).is_none());
}
