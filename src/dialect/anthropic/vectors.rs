//! Runs `tests/vectors/chat-to-anthropic`: what a client sends → what Anthropic gets, and what
//! Anthropic answers → what the client gets.
//!
//! A case is a folder. `request.json` gives `upstream.json`, for the limits in `target.json` if it
//! is there, or is refused as `error.json` says. `answer.json` gives `client.json`, and `answer.sse`
//! gives `client.sse`; a `fault.json` beside them is how the answer ends instead.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Reader, read_whole, request};
use crate::dialect::chat::{AnswerShape, StreamWriter, WholeWriter, read_request};
use crate::dialect::ir::Event;
use crate::dialect::sse::{Frame, Framer};
use crate::dialect::{AnswerFault, Reader as _, Target};
use crate::vocab::{NanoUsd, Usage};

const COST: Option<NanoUsd> = Some(NanoUsd(123_000));

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/chat-to-anthropic");
    let mut cases: Vec<PathBuf> =
        fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 30, "the vectors are there");
    cases
}

fn file(case: &Path, name: &str) -> Option<Vec<u8>> {
    fs::read(case.join(name)).ok()
}

fn json(case: &Path, name: &str) -> Option<Value> {
    let bytes = file(case, name)?;
    Some(serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{case:?} {name}: {e}")))
}

fn shape() -> AnswerShape {
    AnswerShape {
        id: "gen-test".into(),
        created: 0,
        model: "anthropic/claude-test".into(),
        provider: "Anthropic".into(),
    }
}

#[test]
fn requests_become_anthropics() {
    for case in cases() {
        let limits = json(&case, "target.json").unwrap_or_default();
        let number = |name: &str| limits[name].as_u64().map(|n| u32::try_from(n).unwrap());
        let target = Target {
            upstream_model: "claude-up",
            max_output: number("max_output").unwrap_or(8192),
            credit_limit: number("credit_limit"),
        };
        let body = file(&case, "request.json").unwrap();
        let result = read_request(&body).and_then(|read| request(&read, &target));
        match (result, json(&case, "upstream.json"), json(&case, "error.json")) {
            (Ok(bytes), Some(expected), None) => {
                let got: Value = serde_json::from_slice(&bytes).unwrap();
                assert_eq!(got, expected, "{case:?}");
            }
            (Err(error), None, Some(expected)) => {
                assert_eq!(error.kind.status(), expected["status"], "{case:?}");
                assert_eq!(error.param.as_deref(), expected["param"].as_str(), "{case:?}");
            }
            (result, ..) => {
                panic!("{case:?}: {:?}", result.map(|_| "a request").map_err(|e| e.message))
            }
        }
    }
}

fn check_fault(case: &Path, got: Result<(), AnswerFault>) {
    let expected = match json(case, "fault.json") {
        None => Ok(()),
        Some(fault) => Err(AnswerFault::InBand {
            code: fault["in_band"].as_str().map(Into::into),
            message: fault["message"].as_str().unwrap().into(),
        }),
    };
    assert_eq!(got, expected, "{case:?}");
}

#[test]
fn whole_answers_become_chat_completions() {
    let mut seen = 0;
    for case in cases() {
        let Some(answer) = file(&case, "answer.json") else { continue };
        seen += 1;
        let mut events = Vec::new();
        let result = read_whole(&answer, &mut events);
        if result.is_ok() {
            let (mut writer, mut usage) = (WholeWriter::new(&shape()), None::<Usage>);
            for event in &events {
                writer.write(event);
                if let Event::Usage(counters) = event {
                    usage = Some(*counters);
                }
            }
            let got: Value = serde_json::from_slice(&writer.finish(usage.as_ref(), COST)).unwrap();
            assert_eq!(Some(got), json(&case, "client.json"), "{case:?}");
            assert_eq!(events.last(), Some(&Event::End), "{case:?}");
            check_fault(&case, Ok(()));
        } else {
            assert!(events.is_empty(), "{case:?}: a fault leaves no events");
            check_fault(&case, result);
        }
    }
    assert!(seen >= 10, "whole answers were seen");
}

fn translate(pieces: &[&[u8]]) -> (Vec<u8>, Result<(), AnswerFault>) {
    let (mut framer, mut reader) = (Framer::new(1 << 16), Reader::new());
    let (mut writer, mut wire) = (StreamWriter::new(&shape()), Vec::new());
    let mut events = Vec::new();
    let mut on = |frame: Frame<'_>| {
        let result = reader.read(&frame, &mut events);
        events.drain(..).for_each(|event| writer.write(&event, COST, &mut wire));
        result
    };
    let mut result = Ok(());
    for piece in pieces {
        result = result.and_then(|()| framer.push(piece, &mut on));
    }
    result = result.and_then(|()| framer.finish(&mut on));
    (wire, result)
}

fn payloads(wire: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(wire).unwrap();
    let data = text.split_terminator("\n\n").map(|frame| frame.strip_prefix("data: ").unwrap());
    data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| data.into())).collect()
}

#[test]
fn streams_become_chunks_however_they_are_cut() {
    let mut seen = 0;
    for case in cases() {
        let Some(answer) = file(&case, "answer.sse") else { continue };
        seen += 1;
        let (wire, result) = translate(&[&answer]);
        check_fault(&case, result.clone());
        let expected = file(&case, "client.sse").unwrap();
        for (got, wanted) in payloads(&wire).iter().zip(payloads(&expected).iter()) {
            assert_eq!(got, wanted, "{case:?}");
        }
        assert_eq!(payloads(&wire).len(), payloads(&expected).len(), "{case:?}");
        assert_eq!(wire.ends_with(b"data: [DONE]\n\n"), result.is_ok(), "{case:?}");
        let with_crlf = String::from_utf8(answer.clone()).unwrap().replace('\n', "\r\n");
        assert_eq!(translate(&[with_crlf.as_bytes()]), (wire.clone(), result.clone()), "{case:?}");
        for cut in 0..answer.len() {
            let (head, tail) = answer.split_at(cut);
            assert_eq!(translate(&[head, tail]), (wire.clone(), result.clone()), "{case:?} {cut}");
        }
    }
    assert!(seen >= 8, "streams were seen");
}

#[test]
fn a_stream_that_is_cut_never_ends() {
    for case in cases() {
        let Some(answer) = file(&case, "answer.sse") else { continue };
        let end = answer.windows(19).position(|at| at == b"event: message_stop");
        let (wire, _) = translate(&[&answer[..end.unwrap_or(answer.len())]]);
        assert!(!wire.ends_with(b"[DONE]\n\n"), "{case:?}");
    }
}
