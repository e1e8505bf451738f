//! Embeddings: the vectors as data, and what they do not say.

use proptest::prelude::*;

use super::vectors::{COST, Runner};
use super::*;
use crate::dialect::{AnswerFault, AnswerShape, Target};
use crate::error::Kind;
use crate::vocab::Usage;

#[test]
fn cases_hold() {
    let runner = Runner {
        root: "vectors-embed",
        write: |dialect, body, target| write(dialect, &read_request(body)?, target).map(Vec::from),
        answer: |dialect, request, body, shape| {
            let answer = read_answer(dialect, body, &read_request(request).unwrap())?;
            Ok(write_answer(&answer, shape, answer.usage.as_ref(), COST))
        },
    };
    assert!(runner.run() >= 12, "there are cases");
}

fn request(body: &str) -> Request {
    read_request(body.as_bytes()).unwrap()
}

fn answered(request: &str, answer: &str) -> Result<String, AnswerFault> {
    let answer = read_answer(Dialect::OpenAi, answer.as_bytes(), &self::request(request))?;
    let usage = Usage { prompt: 3, ..Usage::default() };
    let bytes = write_answer(&answer, &AnswerShape::default(), Some(&usage), None);
    Ok(String::from_utf8(bytes).unwrap())
}

#[test]
fn wrong_requests_are_told_where() {
    let many = format!(r#"{{"input":[{}"a"]}}"#, r#""a","#.repeat(2048));
    let tokens = format!(r#"{{"input":[[{}1],[1]]}}"#, "1,".repeat(299_999));
    let parts = format!(
        r#"{{"input":[{{"content":[{}{{"type":"text","text":"a"}}]}}]}}"#,
        r#"{"type":"text","text":"a"},"#.repeat(64)
    );
    let cases: [(&str, &str); 22] = [
        ("{}", "input"),
        (r#"{"input":null}"#, "input"),
        (r#"{"input":5}"#, "input"),
        (r#"{"input":""}"#, "input"),
        (r#"{"input":[]}"#, "input"),
        (r#"{"input":["a",""]}"#, "input[1]"),
        (r#"{"input":["a",5]}"#, "input[1]"),
        (r#"{"input":[1,-1]}"#, "input[1]"),
        (r#"{"input":[1,1.5]}"#, "input[1]"),
        (r#"{"input":[[1],[]]}"#, "input[1]"),
        (r#"{"input":[[1],"a"]}"#, "input[1]"),
        (r#"{"input":[{"content":[]}]}"#, "input[0].content"),
        (r#"{"input":[{"content":[{"type":"x"}]}]}"#, "input[0].content[0].type"),
        (
            r#"{"input":[{"content":[{"type":"image_url","image_url":{"url":"ftp://x"}}]}]}"#,
            "input[0].content[0].image_url.url",
        ),
        (&many, "input"),
        (&tokens, "input"),
        (&parts, "input[0].content"),
        (r#"{"input":"a","input":"b"}"#, "input"),
        (r#"{"input":"a","dimensions":0}"#, "dimensions"),
        (r#"{"input":"a","encoding_format":"int8"}"#, "encoding_format"),
        (r#"{"input":"a","x":1,"x":2}"#, "x"),
        (r#"{"input":"a","input_type":["query"]}"#, "input_type"),
    ];
    for (body, param) in cases {
        let error = read_request(body.as_bytes()).unwrap_err();
        let shown = &body[..body.len().min(80)];
        assert_eq!(
            (error.kind, error.param.as_deref()),
            (Kind::InvalidRequest, Some(param)),
            "{shown}"
        );
    }
    let least = many.replacen(r#""a","#, "", 1);
    assert_eq!(request(&least).count(), 2048);
    assert_eq!(read_request(b"\xff").unwrap_err().kind, Kind::InvalidRequest);
}

#[test]
fn nothing_of_the_input_is_in_debug() {
    let debug = format!("{:?}", request(r#"{"input":["secret"],"model":"m"}"#));
    assert!(!debug.contains("secret") && debug.contains("inputs: 1"), "{debug}");
}

#[test]
fn what_a_request_consumes_is_estimated() {
    let tokens = |body: &str| request(body).estimate().prompt;
    assert_eq!(tokens(r#"{"input":[[1,2],[3]]}"#), 3);
    assert_eq!(tokens(r#"{"input":["12345678","éé"]}"#), 4);
    let image = r#"{"input":[{"content":[{"type":"text","text":"1234"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}]}"#;
    assert_eq!(tokens(image), 1001);
    assert!(request(image).estimate().estimated);
}

#[test]
fn every_dialect_embeds_or_says_that_it_does_not() {
    let request = request(r#"{"input":"a"}"#);
    for dialect in Dialect::ALL {
        let written = write(dialect, &request, &Target::new("m", 0));
        assert_eq!(written.is_ok(), path(dialect, "m").is_some(), "{dialect}");
        if let Err(error) = written {
            assert_eq!(error.param.as_deref(), Some("model"));
            assert!(error.message.contains(dialect.name()));
        }
    }
    let at = |dialect| path(dialect, "m-1").unwrap();
    assert_eq!(at(Dialect::OpenAi), "/embeddings");
    assert_eq!(at(Dialect::Azure), "/openai/deployments/m-1/embeddings");
    assert_eq!(at(Dialect::Gemini), "/models/m-1:batchEmbedContents");
    assert_eq!(at(Dialect::Vertex), "/publishers/google/models/m-1:predict");
    assert_eq!(at(Dialect::Cohere), "/embed");
    assert_eq!(at(Dialect::Ollama), "/api/embed");
}

#[test]
fn limits_of_providers_are_told() {
    let body = format!(r#"{{"input":[{}"a"]}}"#, r#""a","#.repeat(250));
    let request = request(&body);
    for (dialect, fits) in [
        (Dialect::OpenAi, true),
        (Dialect::Ollama, true),
        (Dialect::Gemini, false),
        (Dialect::Vertex, false),
        (Dialect::Cohere, false),
    ] {
        let written = write(dialect, &request, &Target::new("m", 0));
        assert_eq!(written.is_ok(), fits, "{dialect}");
        assert!(fits || written.unwrap_err().param.as_deref() == Some("input"));
    }
}

#[test]
fn the_digits_of_a_float_stay() {
    let numbers = "[0.10, -1.2300E-5, 12345678901234567890, 1e-320,\n\t0]";
    let answer = format!(r#"{{"data":[{{"index":0,"embedding":{numbers}}}]}}"#);
    let got = answered(r#"{"input":"a"}"#, &answer).unwrap();
    let expected = "\"embedding\":[0.10,-1.2300E-5,12345678901234567890,1e-320,0]";
    assert!(got.contains(expected), "{got}");
    assert!(got.contains(r#""usage":{"prompt_tokens":3,"total_tokens":3}"#), "{got}");
}

#[test]
fn base64_and_floats_are_turned_into_each_other() {
    // 1.0 and -2.5, the lowest byte first.
    let data = "AACAPwAAIMA=";
    let floats = format!(r#"{{"data":[{{"embedding":"{data}"}}]}}"#);
    let got = answered(r#"{"input":"a"}"#, &floats).unwrap();
    assert!(got.contains("\"embedding\":[1.0,-2.5]"), "{got}");
    let base64 = r#"{"data":[{"embedding":[1, -2.50]}]}"#;
    let got = answered(r#"{"input":"a","encoding_format":"base64"}"#, base64).unwrap();
    assert!(got.contains(&format!("\"embedding\":\"{data}\"")), "{got}");
    let got = answered(r#"{"input":"a","encoding_format":"base64"}"#, &floats).unwrap();
    assert!(got.contains(data), "{got}");
}

#[test]
fn faults_of_answers_are_named() {
    let one = r#"{"input":"a","encoding_format":"float"}"#;
    let two = r#"{"input":["a","b"]}"#;
    let datum = |embedding: &str| format!(r#"{{"data":[{{"embedding":{embedding}}}]}}"#);
    let garbled =
        |request: &str, body: &str| matches!(answered(request, body), Err(AnswerFault::Garbled(_)));
    for embedding in [
        "[]", "[ ]", "[null]", "[1,[2]]", "[\"1\"]", "[true]", "{}", "5", "\"\"", "\"A\"",
        "\"AAAA\"",
    ] {
        assert!(garbled(one, &datum(embedding)), "{embedding}");
    }
    // Infinity and no number.
    assert!(garbled(one, &datum("\"AACAfw==\"")));
    assert!(garbled(one, &datum("\"AADAfw==\"")));
    assert!(garbled(r#"{"input":"a","encoding_format":"base64"}"#, &datum("[1e39]")));
    assert!(garbled(two, &datum("[1]")), "one vector for two inputs");
    let twice = r#"{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[2]}]}"#;
    assert!(garbled(two, twice), "an index twice");
    for body in ["{}", "[]", "<html>", r#"{"data":5}"#, r#"{"data":[{}]}"#] {
        assert!(garbled(one, body), "{body}");
    }
    assert_eq!(answered(one, " "), Err(AnswerFault::Empty));
    assert_eq!(answered(one, r#"{"data":[]}"#), Err(AnswerFault::Empty));
    assert_eq!(answered(one, r#"{"data":[{"#), Err(AnswerFault::Truncated));
    let in_band = answered(one, r#"{"error":{"message":"x","code":"c"}}"#);
    let fault = AnswerFault::InBand { code: Some("c".into()), message: "x".into() };
    assert_eq!(in_band, Err(fault));
}

proptest! {
    #[test]
    fn any_vector_survives_base64(values in prop::collection::vec(
        prop::num::f32::NORMAL | prop::num::f32::ZERO | prop::num::f32::SUBNORMAL, 1..40)
    ) {
        let list = values.iter().map(|v| format!("{v:e}")).collect::<Vec<_>>().join(",");
        let plain = format!(r#"{{"data":[{{"embedding":[{list}]}}]}}"#);
        let got = answered(r#"{"input":"a","encoding_format":"base64"}"#, &plain).unwrap();
        let json: serde_json::Value = serde_json::from_str(&got).unwrap();
        let data = json["data"][0]["embedding"].as_str().unwrap();
        let coded = format!(r#"{{"data":[{{"embedding":"{data}"}}]}}"#);
        let got = answered(r#"{"input":"a"}"#, &coded).unwrap();
        let at = got.find("\"embedding\":[").unwrap() + 13;
        let inner = &got[at..at + got[at..].find(']').unwrap()];
        let back: Vec<u32> = inner.split(',').map(|n| n.parse::<f32>().unwrap().to_bits()).collect();
        let bits: Vec<u32> = values.iter().map(|v| v.to_bits()).collect();
        prop_assert_eq!(back, bits);
    }

    #[test]
    fn any_bytes_are_an_answer_or_a_fault(body in any::<Vec<u8>>()) {
        let request = request(r#"{"input":"a"}"#);
        for dialect in Dialect::ALL {
            prop_assert!(read_answer(dialect, &body, &request).is_err());
        }
        let _either = read_request(&body);
    }
}
