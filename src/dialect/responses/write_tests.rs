//! That what the hub carries comes out of a Responses request as it went in.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{read_request, write};
use crate::dialect::{Surface, Target, chat};

const TARGET: Target<'_> = Target::new("up", 8192);

fn through(body: &Value) -> Value {
    let read = read_request(body.to_string().as_bytes());
    let read = read.unwrap_or_else(|e| panic!("{body}: {}", e.message));
    serde_json::from_slice(&write(&read, &TARGET).unwrap()).unwrap()
}

fn text() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "", "é \"q\"\\\n", "😀\u{2028}", "  "]).prop_map(str::to_owned)
}

fn user_part() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(|text| json!({"type": "input_text", "text": text})),
        prop::sample::select(vec!["auto", "low", "high"]).prop_map(|detail| {
            json!({"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": detail})
        }),
        Just(json!({"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="})),
        Just(json!({"type": "input_file", "file_url": "https://a.example/a.pdf"})),
        Just(json!({"type": "input_file", "file_id": "file-1"})),
        Just(json!({"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}})),
    ]
}

/// What somebody said to the model.
fn said() -> impl Strategy<Value = Vec<Value>> {
    let user = prop::collection::vec(user_part(), 1..3)
        .prop_map(|parts| vec![json!({"type": "message", "role": "user", "content": parts})]);
    let system = text().prop_map(|text| {
        vec![json!({"type": "message", "role": "system", "content": [{"type": "input_text", "text": text}]})]
    });
    prop_oneof![3 => user, 1 => system]
}

/// A turn of the model, and what its calls returned; the ids of calls are made from `n`.
fn turn(n: usize) -> impl Strategy<Value = Vec<Value>> {
    let reasoning = (text(), prop::option::of(text())).prop_map(move |(data, summary)| {
        let summary: Vec<Value> =
            summary.into_iter().map(|text| json!({"type": "summary_text", "text": text})).collect();
        json!({"type": "reasoning", "id": format!("rs_{n}"), "summary": summary, "encrypted_content": format!("g{data}")})
    });
    let part = prop_oneof![
        text().prop_map(|text| json!({"type": "output_text", "text": text})),
        text().prop_map(|text| json!({"type": "refusal", "refusal": text})),
    ];
    let message = prop::collection::vec(part, 1..3)
        .prop_map(|parts| json!({"type": "message", "role": "assistant", "content": parts}));
    let call = (any::<bool>(), text(), text());
    (prop::option::of(reasoning), message, prop::collection::vec(call, 0..3)).prop_map(
        move |(reasoning, message, calls)| {
            let mut items: Vec<Value> = reasoning.into_iter().chain([message]).collect();
            let mut outputs = Vec::new();
            for (i, (custom, input, output)) in calls.into_iter().enumerate() {
                let id = format!("call_{n}_{i}");
                if custom {
                    items.push(json!({"type": "custom_tool_call", "call_id": id, "name": "free", "input": input}));
                    outputs.push(json!({"type": "custom_tool_call_output", "call_id": id, "output": output}));
                } else {
                    items.push(json!({"type": "function_call", "call_id": id, "name": "f", "arguments": format!("{input}{{}}")}));
                    let parts = json!([{"type": "input_text", "text": output}, {"type": "input_text", "text": "x"}]);
                    outputs.push(json!({"type": "function_call_output", "call_id": id, "output": parts}));
                }
            }
            items.append(&mut outputs);
            // The next turn is another's.
            items.push(json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go on"}]}));
            items
        },
    )
}

fn options() -> impl Strategy<Value = Value> {
    let choice = prop::sample::select(vec![
        json!("auto"),
        json!("none"),
        json!("required"),
        json!({"type": "function", "name": "f"}),
        json!({"type": "custom", "name": "free"}),
        json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "free"}, {"type": "function", "name": "f"}]}),
    ]);
    let format = prop::sample::select(vec![
        json!({"format": {"type": "text"}}),
        json!({"format": {"type": "json_object"}, "verbosity": "low"}),
        json!({"format": {"type": "json_schema", "name": "n", "description": "d", "schema": {"b": 1.0, "a": []}, "strict": false}}),
    ]);
    let reasoning = prop::sample::select(vec![
        json!({"effort": "none"}),
        json!({"effort": "high", "summary": "concise"}),
        json!({"effort": "low"}),
    ]);
    (choice, format, reasoning, any::<bool>(), 16_u32..9000).prop_map(
        |(choice, format, reasoning, parallel, limit)| {
            json!({
                "tool_choice": choice, "text": format, "reasoning": reasoning, "parallel_tool_calls": parallel,
                "max_output_tokens": limit.min(8192), "service_tier": "flex", "prompt_cache_key": "k", "user": "u",
                "metadata": {"a": "b"}, "truncation": "auto", "store": false, "stream": true,
                "tools": [
                    {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true},
                    {"type": "custom", "name": "free", "format": {"type": "grammar", "syntax": "regex", "definition": "a+"}},
                ],
            })
        },
    )
}

proptest! {
    #[test]
    fn what_the_hub_carries_is_the_same_again(
        turns in prop::collection::vec(prop_oneof![
            said().boxed(),
            (0_usize..1000).prop_flat_map(turn).boxed(),
        ], 1..6),
        options in options(),
    ) {
        // Ids of calls may be drawn twice over several turns; that is allowed once answered.
        let mut body = options;
        body["input"] = Value::Array(turns.concat());
        let got = through(&body);
        prop_assert_eq!(&got["model"], "up");
        for (name, value) in body.as_object().unwrap() {
            prop_assert_eq!(&got[name], value, "{}", name);
        }
        let again = through(&got);
        prop_assert_eq!(again, got, "a fixed point");
    }
}

#[test]
fn sampling_goes_along_only_without_reasoning() {
    for (reasoning, sampled) in [
        (json!(null), true),
        (json!({"effort": "none"}), true),
        (json!({"enabled": false}), true),
        (json!({"exclude": true}), true),
        (json!({"enabled": true}), false),
        (json!({"effort": "minimal"}), false),
        (json!({"max_tokens": 100}), false),
        (json!({"summary": "auto"}), false),
    ] {
        let got = through(
            &json!({"input": "x", "temperature": 0.5, "top_p": 0.5, "reasoning": reasoning}),
        );
        assert_eq!(got.get("temperature").is_some(), sampled, "{reasoning}");
        assert_eq!(got.get("top_p").is_some(), sampled, "{reasoning}");
        assert_eq!(got.get("include").is_none(), sampled, "{reasoning}");
        assert_eq!(got["store"], false);
    }
    let asked = through(&json!({"input": "x", "include": ["reasoning.encrypted_content"]}));
    assert_eq!(asked["include"], json!(["reasoning.encrypted_content"]));
}

#[test]
fn budgets_become_the_nearest_level() {
    for (tokens, level) in
        [(1, "low"), (340, "low"), (360, "medium"), (640, "medium"), (700, "high"), (9000, "high")]
    {
        let body =
            json!({"input": "x", "max_output_tokens": 1000, "reasoning": {"max_tokens": tokens}});
        assert_eq!(through(&body)["reasoning"]["effort"], level, "{tokens}");
    }
}

#[test]
fn nothing_of_the_gateways_own_reaches_a_provider() {
    let got = through(&json!({
        "input": "x", "models": ["a/b"], "provider": {}, "plugins": [], "session_id": "s", "trace": {},
        "stop_server_tools_when": [], "debug": {}, "include": ["file_search_call.results"],
        "max_tool_calls": 3, "route": "fallback", "tools": [{"type": "mcp", "server_label": "x"}],
    }));
    let mut names: Vec<&String> = got.as_object().unwrap().keys().collect();
    names.sort_unstable();
    assert_eq!(names, ["input", "model", "store"]);
}

#[test]
fn members_of_another_surface_are_not_taken_for_its_own() {
    let body = r#"{"messages":[{"role":"user","content":"x"}],"truncation":"auto","include":["reasoning.encrypted_content"]}"#;
    let read = chat::read_request(body.as_bytes()).unwrap();
    assert_eq!(read.surface, Surface::Chat);
    let got: Value = serde_json::from_slice(&write(&read, &TARGET).unwrap()).unwrap();
    assert!(got.get("truncation").is_none() && got.get("include").is_none());
}
