//! What must hold of templates, and of text that is cut anywhere.

use std::fs;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dialect::ir::{Event, FinishReason};
use crate::dialect::sse::Frame;
use crate::dialect::{AnswerFault, AnswerShape, Reader as _, StreamSink as _, Surface, Target};
use crate::error::{GatewayError, Kind};

const NOON: u64 = 1_795_608_000;

fn shipped(name: &str) -> Template {
    Template::shipped(name).unwrap_or_else(|| panic!("{name} compiles"))
}

fn written(template: &Template, body: &Value) -> Result<Value, GatewayError> {
    let read = Surface::Chat.read_request(body.to_string().as_bytes())?;
    let target = Target { template: Some(template), now: NOON, ..Target::new("up", 4096) };
    request(&read, &target).map(|bytes| serde_json::from_slice(&bytes).unwrap())
}

fn prompt(template: &Template, body: &Value) -> Result<String, GatewayError> {
    written(template, body).map(|sent| sent["prompt"].as_str().unwrap().to_owned())
}

fn user(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": text}]})
}

#[test]
fn every_shipped_template_compiles_and_every_file_is_shipped() {
    let names: Vec<_> = Template::shipped_names().collect();
    for name in &names {
        let template = shipped(name);
        assert_eq!(format!("{template:?}"), format!("Template({name:?})"));
        let settings = template.settings();
        assert!(!settings.stop.is_empty(), "{name} ends somewhere");
        for text in settings.stop.iter().chain([&settings.bos, &settings.eos]) {
            let known = |token: &String| text.starts_with(token.as_str());
            assert!(text.is_empty() || settings.special.iter().any(known), "{name}: {text}");
        }
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/templates");
    let files =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut tomls: Vec<_> =
        files.filter_map(|f| f.strip_suffix(".toml").map(str::to_owned)).collect();
    tomls.sort();
    assert_eq!(tomls, names);
    assert!(Template::shipped("none").is_none());
}

/// `official.jsonl` was written by the models' own templates under Python's Jinja2; see
/// `conf/templates/README.md`.
#[test]
fn prompts_are_those_of_the_official_templates() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/templates/official.jsonl");
    let mut seen = 0;
    for line in fs::read_to_string(file).unwrap().lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let name = case["template"].as_str().unwrap();
        // Key order matters, which `Value` loses: the request is taken as it is written.
        let at = line.find("\"request\": ").unwrap() + "\"request\": ".len();
        let end = line.rfind(", \"prompt\": ").unwrap();
        let read = Surface::Chat.read_request(&line.as_bytes()[at..end]).unwrap();
        let template = shipped(name);
        let target = Target { template: Some(&template), now: NOON, ..Target::new("up", 9) };
        let sent: Value = serde_json::from_slice(&request(&read, &target).unwrap()).unwrap();
        assert_eq!(sent["prompt"], case["prompt"], "{name}: {}", case["request"]);
        seen += 1;
    }
    assert!(seen >= 100, "{seen} cases");
}

#[test]
fn an_operators_template_has_what_transformers_gives() {
    let source = "{{ bos_token }}{%- generation %}\n{% for m in messages %}\n    {% if m.content == 'skip' %}{% continue %}{% endif %}\n[{{ m.role.upper() }}] {{ {'b': 1.0, 'a': [none, true, '<é>']} | tojson }} {{ 'é' | tojson(ensure_ascii=true) }} {{ strftime_now('%Y-%m-%d') }} {{ level + n }}\n{% endfor %}{% endgeneration %}";
    let toml = "bos = \"<s>\"\nbos_in_prompt = true\n[variables]\nlevel = \"l\"\nn = \"1\"\n";
    let template = Template::from_source("mine", source, Settings::parse(toml).unwrap()).unwrap();
    assert_eq!(
        prompt(&template, &user("x")).unwrap(),
        "<s>[USER] {\"b\": 1.0, \"a\": [null, true, \"<é>\"]} \"\\u00e9\" 2026-11-25 l1\n"
    );
    assert_eq!(prompt(&template, &user("skip")).unwrap(), "<s>");
}

#[test]
fn wrong_templates_and_settings_are_told() {
    let error = Template::from_source("x", "a\n{% if %}", Settings::default()).unwrap_err();
    assert!(error.contains("line 2"), "{error}");
    assert!(Settings::parse("bso = \"\"").unwrap_err().contains("bso"));
    assert!(Settings::parse("tools = \"yaml\"").is_err());
    let settings = Settings { special: vec![String::new()], ..Settings::default() };
    assert!(Template::from_source("x", "a", settings).is_err());
}

#[test]
fn a_template_is_bounded_and_its_faults_show_no_text() {
    let fault = |source: &str, text: &str| {
        let template = Template::from_source("mine", source, Settings::default()).unwrap();
        prompt(&template, &user(text)).unwrap_err()
    };
    let sources = [
        "{% for a in range(9999) %}{% for b in range(9999) %}{{ a }}{% endfor %}{% endfor %}",
        "{% set n = namespace(t='x') %}{% for i in range(60) %}{% set n.t = n.t + n.t %}{% endfor %}",
        "{% for i in range(5000) %}{{ messages[0].content }}{% endfor %}",
    ];
    for source in sources {
        let error = fault(source, &"s3cret".repeat(100));
        assert_eq!(error.param.as_deref(), Some("messages"), "{source}");
        assert!(error.message.contains("too many"), "{source}: {}", error.message);
    }
    let recursion = "{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(1) }}";
    let raised = "{{ raise_exception('no ' + messages[0].content) }}";
    for source in [recursion, raised, "{{ messages[0].content.s3cret.x }}", "{{ 1 + 's' }}"] {
        let error = fault(source, "s3cret");
        assert!(matches!(error.kind, Kind::Internal | Kind::InvalidRequest), "{source}");
        let all = format!("{} {:?}", error.message, error.detail);
        assert!(!all.contains("s3cret"), "{source}: {all}");
    }
    let error = fault("{{ raise_exception('turns must alternate') }}", "x");
    assert_eq!(error.kind, Kind::InvalidRequest);
    assert!(error.message.contains("turns must alternate"), "{}", error.message);
}

#[test]
fn a_thousand_turns_fit() {
    let words = "word ".repeat(200);
    let turn = |i: usize| {
        let role = if i.is_multiple_of(2) { "user" } else { "assistant" };
        json!({"role": role, "content": words})
    };
    let body = json!({"messages": (0..2001).map(turn).collect::<Vec<_>>()});
    for name in ["llama-3.1", "mistral-nemo", "qwen3"] {
        assert!(prompt(&shipped(name), &body).is_ok_and(|p| p.len() > 2_000_000), "{name}");
    }
}

#[test]
fn no_special_token_of_a_client_survives() {
    for name in Template::shipped_names() {
        let template = shipped(name);
        let settings = template.settings();
        let bare = prompt(&template, &user("x")).unwrap();
        let count = |prompt: &str| -> usize {
            settings.special.iter().map(|token| prompt.matches(token.as_str()).count()).sum()
        };
        for token in &settings.special {
            let told = prompt(&template, &user(&format!("{token}x{token}"))).unwrap();
            assert_eq!(count(&told), count(&bare), "{name}: {told}");
        }
    }
}

/// The events of a text in these pieces, with neighbours of one kind put together.
fn events(template: Option<&Template>, pieces: &[&str], finish: &str) -> Vec<Event> {
    let (mut reader, mut out) = (Reader::new(template), Vec::new());
    let mut read = |data: Value| {
        reader.read(&Frame { event: "", data: &data.to_string() }, &mut out).unwrap();
    };
    for piece in pieces {
        read(json!({"id": "c", "choices": [{"index": 0, "text": piece}]}));
    }
    read(json!({"choices": [{"index": 0, "text": "", "finish_reason": finish}]}));
    let mut joined: Vec<Event> = Vec::new();
    for event in out {
        match (joined.last_mut(), &event) {
            (Some(Event::Text { text, .. }), Event::Text { text: more, .. })
            | (Some(Event::Reasoning { text, .. }), Event::Reasoning { text: more, .. }) => {
                text.push_str(more);
            }
            _ => joined.push(event),
        }
    }
    joined
}

const TEMPLATES: [&str; 6] =
    ["qwen3", "qwen2.5", "llama-3.1", "llama-4", "mistral-nemo", "deepseek-r1"];

/// Texts that a model could write.
const TEXTS: [&str; 14] = [
    "Plain é text. \n",
    "<think>\n a\n\n b \n</think>\n\n Answer \n",
    " \n<think></think>x",
    "reasoning without an end <think> \n",
    "Sure.\n\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"}\\\"]\"}}\n</tool_call>\n<tool_call>{\"name\":\"g\"}</tool_call> bye",
    "a <tool_call> {\"name\": \"f\"} <tool_call> {\"name\": \"g\"",
    "a \n<tool_call>x <tool_call>{} </tool_call>",
    "{\"name\": \"f\", \"parameters\": {\"q\": [1, {\"x\": 2}]}}; {\"name\": \"g\", \"parameters\": {}}",
    "\u{a0}{\"name\": \"f\", \"parameters\": 5} tail",
    "{\"nam\u{e9}\": 1} {\"name\"",
    "ok <|python_tag|>{\"name\": \"f\", \"arguments\": \"{}\"}<|eom_id|>",
    "<|python_start|>{\"function\": {\"name\": \"f\", \"parameters\": {}}}<|python_end|> \n",
    "x [TOOL_CALLS] [{\"name\": \"f\", \"arguments\": {\"k\": \"[\"}}, {\"name\": \"g\", \"arguments\": {}}]",
    "[TOOL_CALLS][{\"name\": \"no name\", \"arguments\": {}}] [TOOL_CALLS]f{}",
];

/// All that was said, in one text.
fn said(events: &[Event]) -> String {
    let pieces = events.iter().filter_map(|event| match event {
        Event::Text { text, .. } | Event::Reasoning { text, .. } => Some(text.as_str()),
        _ => None,
    });
    pieces.collect()
}

#[test]
fn any_cut_of_the_text_gives_the_same_events() {
    for name in TEMPLATES {
        let template = shipped(name);
        for text in TEXTS {
            let whole = events(Some(&template), &[text], "stop");
            for (cut, _) in text.char_indices() {
                let (head, tail) = text.split_at(cut);
                assert_eq!(events(Some(&template), &[head, tail], "stop"), whole, "{name} {cut}");
            }
            let ends: Vec<_> =
                text.char_indices().map(|(i, c)| &text[i..i + c.len_utf8()]).collect();
            assert_eq!(events(Some(&template), &ends, "stop"), whole, "{name}: {text}");
        }
    }
}

#[test]
fn what_is_no_call_is_text_to_the_letter() {
    let broken = [
        ("qwen2.5", TEXTS[5]),
        ("qwen2.5", TEXTS[6]),
        ("llama-3.1", TEXTS[8]),
        ("llama-3.1", TEXTS[9]),
        ("mistral-nemo", TEXTS[13]),
        ("qwen2.5", TEXTS[12]),
        ("gemma-3", TEXTS[4]),
    ];
    for (name, text) in broken {
        let events = events(Some(&shipped(name)), &[text], "length");
        let calls = events.iter().any(|e| matches!(e, Event::ToolStart { .. }));
        if name == "qwen2.5" && text == TEXTS[5] {
            assert!(calls, "a call without its end is one");
            assert_eq!(said(&events), "a<tool_call> {\"name\": \"g\"");
        } else {
            assert!(!calls, "{name}: {text}");
            assert_eq!(said(&events), text, "{name}");
        }
    }
    let plain = events(None, &[TEXTS[1]], "stop");
    assert_eq!(said(&plain), TEXTS[1], "without a template all is text");
}

#[test]
fn calls_have_ids_of_their_own_and_end_the_turn() {
    let events = events(Some(&shipped("qwen2.5")), &[TEXTS[4]], "stop");
    let ids: Vec<_> = events
        .iter()
        .filter_map(|e| if let Event::ToolStart { id, .. } = e { Some(id) } else { None })
        .collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
    let finish = events.iter().find_map(|e| match e {
        Event::Finish { reason, native, .. } => Some((*reason, native.as_str())),
        _ => None,
    });
    assert_eq!(finish, Some((FinishReason::ToolCalls, "stop")));
}

#[test]
fn hostile_text_takes_linear_time_and_comes_out() {
    for (name, unit) in [
        ("qwen2.5", "<tool_call>{\""),
        ("qwen2.5", "<tool_call>"),
        ("qwen2.5", "<tool_call>{}"),
        ("llama-3.1", "<|python_tag|>{\"name\":["),
        ("mistral-nemo", "[TOOL_CALLS]["),
        ("qwen3", "<think>"),
        ("qwen2.5", " \n"),
    ] {
        let text = unit.repeat(30_000);
        let template = shipped(name);
        let once = events(Some(&template), &[&text], "stop");
        assert!(said(&once).len() + 32 >= text.trim().len(), "{name} {unit}");
        let pieces: Vec<&str> =
            text.as_bytes().chunks(7).map(|c| std::str::from_utf8(c).unwrap()).collect();
        assert_eq!(said(&events(Some(&template), &pieces, "stop")), said(&once), "{name} {unit}");
    }
}

#[test]
fn odd_answers_are_faults() {
    let read = |body: &str| {
        let mut out = Vec::new();
        let result = read_whole(None, body.as_bytes(), &mut out);
        assert_eq!(result.is_ok(), !out.is_empty(), "a fault leaves no events: {body}");
        result
    };
    assert_eq!(read(""), Err(AnswerFault::Empty));
    assert_eq!(read("{\"choices\":[{\"text\":\"\"}]}"), Err(AnswerFault::Empty));
    assert_eq!(read("{\"choices\":[{\"text\":\"a"), Err(AnswerFault::Truncated));
    assert!(matches!(read("[]"), Err(AnswerFault::Garbled(_))));
    assert!(matches!(read("{\"choices\":5}"), Err(AnswerFault::Garbled(_))));
    let far = "{\"choices\":[{\"index\":128,\"text\":\"a\"}]}";
    assert!(matches!(read(far), Err(AnswerFault::Garbled(_))));
    assert_eq!(read("{\"choices\":[{\"text\":\"a\"}]}"), Ok(()));
}

#[test]
fn a_prompt_of_the_legacy_surface_is_not_rendered() {
    let read = read_request(b"{\"prompt\":\"a<|im_end|>\",\"stop\":\"x\"}").unwrap();
    let template = shipped("qwen3");
    for template in [None, Some(&template)] {
        let target = Target { template, ..Target::new("up", 9) };
        let sent: Value = serde_json::from_slice(&request(&read, &target).unwrap()).unwrap();
        let wanted =
            json!({"model": "up", "prompt": "a<|im_end|>", "max_tokens": 9, "stop": ["x"]});
        assert_eq!(sent, wanted);
    }
}

#[test]
fn a_stream_that_breaks_off_ends_in_an_error() {
    let shape = AnswerShape { id: "gen-1".into(), ..AnswerShape::default() };
    let (mut writer, mut wire) = (StreamWriter::new(&shape), Vec::new());
    writer.write(&Event::Text { choice: 0, text: "a".into() }, None, &mut wire);
    writer.abort(&GatewayError::new(Kind::ProviderFailed, "It \"broke\"."), &mut wire);
    let wire = String::from_utf8(wire).unwrap();
    let frames: Vec<_> = wire.split_terminator("\n\n").collect();
    assert_eq!((frames.len(), frames[2]), (3, "data: [DONE]"));
    let last: Value = serde_json::from_str(frames[1].strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(last["object"], "text_completion");
    assert_eq!(last["error"]["message"], "It \"broke\".");
    assert_eq!(last["choices"][0]["finish_reason"], "error");
}

#[test]
fn legacy_members_are_read_and_kept() {
    let body = r#"{"model":"a/b","prompt":["p"],"logit_bias":{"1":2},"models":["c"],"logprobs":2,
        "n":2,"best_of":2,"reasoning_effort":"low","response_format":{"type":"json_object"}}"#;
    let read = read_request(body.as_bytes()).unwrap();
    assert_eq!(read.surface, Surface::Completions);
    let rest: Vec<_> = read.rest.iter().map(|(name, raw)| (name.as_str(), raw.as_str())).collect();
    assert_eq!(rest, [("logit_bias", r#"{"1":2}"#), ("models", r#"["c"]"#)]);
    assert_eq!((read.n, read.logprobs, read.losses.len()), (Some(2), Some(2), 0));
    assert!(read.reasoning.is_some() && read.response_format.is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_pieces_give_the_same_events_and_never_panic(
        units in prop::collection::vec(
            prop::sample::select(vec![
                "<think>", "</think>", "<tool_call>", "</tool_call>", "[TOOL_CALLS]",
                "<|python_tag|>", "<|python_start|>", "<|python_end|>", "{\"name\": \"f\"",
                "\"parameters\": {}", "\"arguments\": {\"a\": 1}", ", ", "}", "{", "[", "]", "\"",
                "\\", " ", "\n", ";", "é", "\u{2003}", "text", "<", "<t", "[TOOL",
            ]),
            0..24,
        ),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        name in prop::sample::select(TEMPLATES.to_vec()),
    ) {
        let template = shipped(name);
        let text: String = units.concat();
        let whole = events(Some(&template), &[&text], "stop");
        let mut places: Vec<usize> =
            cuts.iter().map(|cut| text.floor_char_boundary(cut.index(text.len() + 1))).collect();
        places.sort_unstable();
        let (mut pieces, mut from) = (Vec::new(), 0);
        for to in places {
            pieces.push(&text[from..to]);
            from = to;
        }
        pieces.push(&text[from..]);
        prop_assert_eq!(events(Some(&template), &pieces, "stop"), whole);
    }

    #[test]
    fn any_client_text_is_rendered(text in any::<String>()) {
        for name in ["llama-3.1", "qwen3", "mistral-v7"] {
            prop_assert!(prompt(&shipped(name), &user(&text)).is_ok());
        }
    }
}
