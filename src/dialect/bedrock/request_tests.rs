//! What cannot be expressed, what a path is, and what each family is told.

use serde_json::{Value, json};

use super::{path, request};
use crate::dialect::Target;
use crate::dialect::chat::read_request;

const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const OLD_CLAUDE: &str = "anthropic.claude-3-7-sonnet-20250219-v1:0";
const NOVA: &str = "us.amazon.nova-pro-v1:0";
const NOVA_2: &str = "us.amazon.nova-2-lite-v1:0";
const LLAMA: &str = "us.meta.llama4-scout-17b-instruct-v1:0";

fn written(model: &str, body: &str) -> Value {
    let read = read_request(body.as_bytes()).unwrap();
    let bytes = request(&read, &Target::new(model, 8192)).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// A request of one user's word with these members.
fn with(model: &str, members: &str) -> Value {
    written(model, &format!(r#"{{"messages":[{{"role":"user","content":"x"}}]{members}}}"#))
}

fn refused(model: &str, body: &str) -> String {
    let read = read_request(body.as_bytes()).unwrap();
    let error = request(&read, &Target::new(model, 8192)).unwrap_err();
    assert_eq!(error.kind.status(), 400, "{body}");
    error.param.unwrap()
}

fn user(part: &str) -> String {
    format!(r#"{{"messages":[{{"role":"user","content":[{part}]}}]}}"#)
}

#[test]
fn ids_are_encoded_into_the_path() {
    assert_eq!(path(NOVA, false), "/model/us.amazon.nova-pro-v1%3A0/converse");
    assert_eq!(
        path("arn:aws:bedrock:us-east-1:1:inference-profile/us.a-v1:0", true),
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.a-v1%3A0/converse-stream"
    );
    assert_eq!(path("a b/../é?", false), "/model/a%20b%2F..%2F%C3%A9%3F/converse");
}

#[test]
fn what_bedrock_cannot_do_is_refused_by_name() {
    let file = |file: &str| user(&format!(r#"{{"type":"file","file":{{{file}}}}}"#));
    let image =
        |url: &str| user(&format!(r#"{{"type":"image_url","image_url":{{"url":"{url}"}}}}"#));
    let video =
        |url: &str| user(&format!(r#"{{"type":"video_url","video_url":{{"url":"{url}"}}}}"#));
    let marks = r#"{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}"#;
    let long = "n".repeat(65);
    let tool = format!(
        r#"{{"messages":[{{"role":"user","content":"x"}}],"tools":[{{"type":"function","function":{{"name":"{long}"}}}}]}}"#
    );
    let call = format!(
        r#"{{"messages":[{{"role":"user","content":"x"}},{{"role":"assistant","tool_calls":[{{"id":"a","type":"function","function":{{"name":"{long}","arguments":""}}}}]}},{{"role":"tool","tool_call_id":"a","content":""}}]}}"#
    );
    for (model, body, param) in [
        (NOVA, r#"{"n":2,"messages":[{"role":"user","content":"x"}]}"#.to_owned(), "n"),
        (
            NOVA,
            r#"{"modalities":["text","image"],"messages":[{"role":"user","content":"x"}]}"#.into(),
            "modalities",
        ),
        (NOVA, r#"{"messages":[{"role":"user","content":" \n"}]}"#.into(), "messages"),
        (NOVA, image("https://a/b.png"), "messages[0].content[0].image_url.url"),
        (NOVA, image("data:image/bmp;base64,AA=="), "messages[0].content[0].image_url.url"),
        (NOVA, image("data:image/png,raw"), "messages[0].content[0].image_url.url"),
        (NOVA, image("data:image/png;base64,A-_A"), "messages[0].content[0].image_url.url"),
        (NOVA, video("https://a/b.mp4"), "messages[0].content[0].video_url.url"),
        (NOVA, video("data:video/x-msvideo;base64,AA=="), "messages[0].content[0].video_url.url"),
        (CLAUDE, video("data:video/mp4;base64,AA=="), "messages[0].content[0].type"),
        (
            CLAUDE,
            user(r#"{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}"#),
            "messages[0].content[0].type",
        ),
        (NOVA, file(r#""file_id":"file-1""#), "messages[0].content[0].file.file_id"),
        (
            NOVA,
            file(r#""file_data":"data:application/zip;base64,AA==""#),
            "messages[0].content[0].file.file_data",
        ),
        (
            NOVA,
            file(r#""filename":"a.zip","file_data":"data:;base64,AA==""#),
            "messages[0].content[0].file.file_data",
        ),
        (CLAUDE, user(&[marks; 5].join(",")), "cache_control"),
        (NOVA, tool, "tools[0].function.name"),
        (NOVA, call, "messages[1].tool_calls[0].function.name"),
    ] {
        assert_eq!(refused(model, &body), param, "{body}");
    }
    // Where marks are not taken they cannot be too many.
    written(LLAMA, &user(&[marks; 5].join(",")));
}

#[test]
fn each_family_thinks_in_its_own_words() {
    let own =
        |model: &str, members: &str| with(model, members)["additionalModelRequestFields"].clone();
    let high = r#","reasoning":{"effort":"high"},"top_k":5"#;
    let thinking = json!({"thinking": {"type": "enabled", "budget_tokens": 6553}});
    assert_eq!(own(CLAUDE, high), thinking, "top_k is left out with thinking");
    assert_eq!(own(NOVA, high), json!({"inferenceConfig": {"topK": 5}}), "cannot think");
    let nova = json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}});
    assert_eq!(own(NOVA_2, high), nova, "with the highest level no number is taken");
    assert_eq!(with(NOVA_2, high).get("inferenceConfig"), None);
    let limited = with(NOVA_2, &format!(r#"{high},"max_tokens":900,"temperature":2"#));
    assert_eq!(limited["inferenceConfig"], json!({"maxTokens": 900, "temperature": 1}));
    assert_eq!(
        limited["additionalModelRequestFields"],
        json!({
            "inferenceConfig": {"topK": 5},
            "reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"},
        })
    );
    let effort = json!({"top_k": 5, "reasoning_effort": "high"});
    assert_eq!(own("openai.gpt-oss-20b-1:0", high), effort);
    let effort = json!({"top_k": 5, "reasoning": {"effort": "high"}});
    assert_eq!(own("us.openai.gpt-5.2", high), effort);
    assert_eq!(own(LLAMA, high), json!({"top_k": 5}));
    for off in [r#","reasoning":{"effort":"none"}"#, r#","reasoning":{"enabled":false}"#, ""] {
        for model in [CLAUDE, NOVA_2, "openai.gpt-oss-20b-1:0"] {
            assert_eq!(own(model, off), Value::Null, "{model} {off}");
        }
    }
}

#[test]
fn a_schema_goes_where_the_model_takes_it() {
    let schema = r#","response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object"}}},"reasoning":{"max_tokens":2000}"#;
    let by_format = with(CLAUDE, schema);
    let expected = json!({"textFormat": {"type": "json_schema", "structure": {"jsonSchema":
        {"schema": "{\"type\":\"object\"}", "name": "a"}}}});
    assert_eq!(by_format["outputConfig"], expected);
    assert_eq!(by_format["additionalModelRequestFields"]["thinking"]["budget_tokens"], 2000);
    for model in [OLD_CLAUDE, NOVA] {
        let by_tool = with(model, schema);
        assert_eq!(by_tool.get("outputConfig"), None);
        assert_eq!(
            by_tool.get("additionalModelRequestFields"),
            None,
            "no thinking with a forced call"
        );
        let name = json!({"tool": {"name": "turnpike_structured_answer"}});
        assert_eq!(by_tool["toolConfig"]["toolChoice"], name);
        assert_eq!(by_tool["toolConfig"]["tools"].as_array().unwrap().len(), 1);
    }
    let tools = r#","tools":[{"type":"function","function":{"name":"w"}}]"#;
    let both = with(NOVA, &format!("{schema}{tools}"));
    assert_eq!(both["toolConfig"]["toolChoice"], json!({"any": {}}));
    assert_eq!(both["toolConfig"]["tools"].as_array().unwrap().len(), 2);
    let named = r#","tool_choice":{"type":"function","function":{"name":"w"}}"#;
    let named = with(NOVA, &format!("{schema}{tools}{named}"));
    assert_eq!(named["toolConfig"]["toolChoice"], json!({"tool": {"name": "w"}}));
    assert_eq!(named["toolConfig"]["tools"].as_array().unwrap().len(), 1);
    let told = with(LLAMA, schema);
    assert_eq!(told.get("toolConfig"), None);
    assert!(told["system"][0]["text"].as_str().unwrap().ends_with("\n{\"type\":\"object\"}"));
}

#[test]
fn claude_is_told_to_call_one_tool_at_a_time() {
    let members = |choice: &str| {
        format!(
            r#","parallel_tool_calls":false,"tools":[{{"type":"function","function":{{"name":"w"}}}}]{choice}"#
        )
    };
    for (choice, own) in [
        ("", json!({"type": "auto", "disable_parallel_tool_use": true})),
        (r#","tool_choice":"required""#, json!({"type": "any", "disable_parallel_tool_use": true})),
        (
            r#","tool_choice":{"type":"function","function":{"name":"w"}}"#,
            json!({"type": "tool", "name": "w", "disable_parallel_tool_use": true}),
        ),
    ] {
        let got = with(CLAUDE, &members(choice));
        assert_eq!(got["additionalModelRequestFields"]["tool_choice"], own);
        assert_eq!(got["toolConfig"].get("toolChoice"), None, "said once only");
    }
    let nova = with(NOVA, &members(r#","tool_choice":"required""#));
    assert_eq!(nova["toolConfig"]["toolChoice"], json!({"any": {}}));
    assert_eq!(nova.get("additionalModelRequestFields"), None);
}

#[test]
fn limits_are_left_out_only_where_nobody_knows_any() {
    let read = read_request(br#"{"messages":[{"role":"user","content":"x"}]}"#).unwrap();
    for (max_output, credit_limit, expected) in [
        (0, None, Value::Null),
        (0, Some(50), json!(50)),
        (100, None, json!(100)),
        (100, Some(50), json!(50)),
    ] {
        for model in [CLAUDE, LLAMA] {
            let target = Target { credit_limit, ..Target::new(model, max_output) };
            let bytes = request(&read, &target).unwrap();
            let got: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(got["inferenceConfig"]["maxTokens"], expected, "{max_output} {model}");
        }
    }
}

#[test]
fn long_conversations_are_written_whole_and_in_order() {
    let text = "All work \\u00e9 and no play\\n".repeat(2_000);
    let turns: Vec<String> = (0..20)
        .map(|i| {
            let role = if i % 2 == 0 { "user" } else { "assistant" };
            format!(r#"{{"role":"{role}","content":"{i}{text}"}}"#)
        })
        .chain([r#"{"role":"user","content":"end"}"#.to_owned()])
        .collect();
    let out = written(NOVA, &format!(r#"{{"messages":[{}]}}"#, turns.join(",")));
    for i in 0..20 {
        let got = out["messages"][i]["content"][0]["text"].as_str().unwrap();
        let expected = format!("{i}{}", "All work é and no play\n".repeat(2_000));
        assert_eq!(got, expected, "{i}");
    }
}
