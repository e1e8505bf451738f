//! Reranking: the vectors as data, and what they do not say.

use proptest::prelude::*;

use super::*;
use crate::dialect::embed::vectors::{COST, Runner};
use crate::dialect::{AnswerFault, AnswerShape, Target};
use crate::error::Kind;

#[test]
fn cases_hold() {
    let runner = Runner {
        root: "vectors-rerank",
        write: |dialect, body, target| write(dialect, &read_request(body)?, target).map(Vec::from),
        answer: |_, request, body, shape| {
            let request = read_request(request).unwrap();
            let answer = read_answer(body, &request)?;
            Ok(write_answer(&answer, &request, shape, answer.usage.as_ref(), COST))
        },
    };
    assert!(runner.run() >= 4, "there are cases");
}

#[test]
fn wrong_requests_are_told_where() {
    let many = format!(r#"{{"query":"q","documents":[{}"a"]}}"#, r#""a","#.repeat(10_000));
    let cases: [(&str, &str); 13] = [
        (r#"{"documents":["a"]}"#, "query"),
        (r#"{"query":"","documents":["a"]}"#, "query"),
        (r#"{"query":"q"}"#, "documents"),
        (r#"{"query":"q","documents":[]}"#, "documents"),
        (r#"{"query":"q","documents":"a"}"#, "documents"),
        (&many, "documents"),
        (r#"{"query":"q","documents":["a",5]}"#, "documents[1]"),
        (r#"{"query":"q","documents":[{"title":"a"}]}"#, "documents[0]"),
        (r#"{"query":"q","documents":[{"text":5}]}"#, "documents[0].text"),
        (r#"{"query":"q","documents":[{"image":"x"}]}"#, "documents[0].image"),
        (r#"{"query":"q","documents":["a"],"top_n":0}"#, "top_n"),
        (r#"{"query":"q","documents":["a"],"return_documents":1}"#, "return_documents"),
        (r#"{"query":"q","documents":["a"],"query":"p"}"#, "query"),
    ];
    for (body, param) in cases {
        let error = read_request(body.as_bytes()).unwrap_err();
        assert_eq!((error.kind, error.param.as_deref()), (Kind::InvalidRequest, Some(param)));
    }
}

fn request() -> Request {
    read_request(br#"{"query":"secret","documents":["secret","b"],"model":"m"}"#).unwrap()
}

#[test]
fn every_dialect_reranks_or_says_that_it_does_not() {
    for dialect in Dialect::ALL {
        let written = write(dialect, &request(), &Target::new("m", 0));
        assert_eq!(written.is_ok(), path(dialect, "m").is_some(), "{dialect}");
    }
    assert!(!format!("{:?}", request()).contains("secret"));
}

#[test]
fn faults_of_answers_are_named_and_scores_keep_their_digits() {
    let read = |body: &str| read_answer(body.as_bytes(), &request());
    let garbled = |body: &str| matches!(read(body), Err(AnswerFault::Garbled(_)));
    for body in [
        "{}",
        "[]",
        "<html>",
        r#"{"results":5}"#,
        r#"{"results":[{"index":2,"relevance_score":1}]}"#,
        r#"{"results":[{"index":-1,"relevance_score":1}]}"#,
        r#"{"results":[{"index":0,"relevance_score":"1"}]}"#,
        r#"{"results":[{"index":0,"relevance_score":null}]}"#,
        r#"{"results":[{"index":0,"relevance_score":1},{"index":0,"relevance_score":1}]}"#,
    ] {
        assert!(garbled(body), "{body}");
    }
    assert_eq!(read(" "), Err(AnswerFault::Empty));
    assert_eq!(read(r#"{"results":[]}"#), Err(AnswerFault::Empty));
    assert_eq!(read(r#"{"results":[{"#), Err(AnswerFault::Truncated));
    let fault = AnswerFault::InBand { code: None, message: "x".into() };
    assert_eq!(read(r#"{"message":"x"}"#), Err(fault));
    let answer = read(r#"{"results":[{"index":1,"relevance_score":0.90}]}"#).unwrap();
    let bytes = write_answer(&answer, &request(), &AnswerShape::default(), None, None);
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains(r#"{"index":1,"relevance_score":0.90,"document":{"text":"b"}}"#));
    assert!(!text.contains("usage"));
}

#[test]
fn what_a_request_consumes_is_estimated() {
    let long = "1234".repeat(1000);
    let body = format!(r#"{{"query":"1234","documents":["{long}","12345678"]}}"#);
    let request = read_request(body.as_bytes()).unwrap();
    assert_eq!(request.estimate(Dialect::OpenAi).prompt, 1001 + 3);
    let cohere = request.estimate(Dialect::Cohere);
    assert_eq!((cohere.searches, cohere.prompt, cohere.estimated), (1, 0, true));
    let many = format!(r#"{{"query":"q","documents":["{long}"{}]}}"#, r#","a""#.repeat(99));
    let request = read_request(many.as_bytes()).unwrap();
    assert_eq!(request.estimate(Dialect::Cohere).searches, 2, "the long one counts thrice");
}

#[test]
fn the_best_are_kept_where_more_come_than_were_asked_for() {
    let request = read_request(br#"{"query":"q","documents":["a","b","c"],"top_n":2}"#).unwrap();
    let body = br#"{"results":[{"index":0,"relevance_score":-1e-3},{"index":1,"relevance_score":0.5},{"index":2,"relevance_score":5e-1}]}"#;
    let answer = read_answer(body, &request).unwrap();
    assert_eq!(answer.hits.iter().map(|hit| hit.index).collect::<Vec<_>>(), [1, 2]);
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer_or_a_fault(body in any::<Vec<u8>>()) {
        prop_assert!(read_answer(&body, &request()).is_err());
        let _either = read_request(&body);
    }
}
