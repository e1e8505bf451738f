//! Runs `tests/vectors`: what a client sends → what a provider gets, and what the provider answers →
//! what the client gets. A case is a folder below `<surface>-to-<dialect>`; tests/vectors/README.md
//! says what its files mean.
//!
//! With `TURNPIKE_BLESS=1` expected files that a case lacks are written, to be read and committed.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::completions::Template;
use super::frames::{Frames, Framing};
use super::ir::Event;
use super::openai::Host;
use super::places::named_for;
use super::sse::{self, Frame};
use super::{AnswerFault, AnswerShape, Dialect, Surface, Target, bedrock};
use crate::dialect::Bill;
use crate::error::GatewayError;
use crate::vocab::{NanoUsd, Usage};

const COST: Option<Bill> = Some(Bill { cost: NanoUsd(123_000), upstream: None });

/// The time that templates see: 2026-11-25T12:00:00Z.
const NOW: u64 = 1_795_608_000;

struct Case {
    surface: Surface,
    dialect: Dialect,
    folder: PathBuf,
}

impl Case {
    fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
        let folders = |at: &Path| {
            let entries = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path());
            let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
            folders.sort();
            folders
        };
        let mut cases = Vec::new();
        for pair in folders(&root) {
            let name = pair.file_name().unwrap().to_str().unwrap().to_owned();
            let (surface, dialect) = name.split_once("-to-").expect("<surface>-to-<dialect>");
            let surface = Surface::parse(surface).expect("a surface");
            let dialect = Dialect::parse(dialect).expect("a dialect");
            cases.extend(folders(&pair).into_iter().map(|folder| Self {
                surface,
                dialect,
                folder,
            }));
        }
        cases
    }

    fn file(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.join(name)).ok()
    }

    fn json(&self, name: &str) -> Option<Value> {
        let bytes = self.file(name)?;
        let read = serde_json::from_slice(&bytes);
        Some(read.unwrap_or_else(|e| panic!("{:?} {name}: {e}", self.folder)))
    }

    /// The file's JSON; where it is missing and `TURNPIKE_BLESS` is set, it is written.
    fn expected(&self, name: &str, got: &Value) -> Option<Value> {
        if self.file(name).is_none() && std::env::var_os("TURNPIKE_BLESS").is_some() {
            let text = serde_json::to_string_pretty(got).unwrap() + "\n";
            fs::write(self.folder.join(name), text).unwrap();
        }
        self.json(name)
    }

    fn target(&self) -> Settings {
        let raw = self.json("target.json").unwrap_or_default();
        let text = |name: &str| raw[name].as_str().map(str::to_owned);
        let number = |name: &str| raw[name].as_u64().map(|n| u32::try_from(n).unwrap());
        let host = text("host").map_or(&Host::GENERIC, |name| Host::parse(&name).expect("a host"));
        Settings {
            model: text("upstream_model").unwrap_or_else(|| "up-model".to_owned()),
            max_output: number("max_output").unwrap_or(8192),
            credit_limit: number("credit_limit"),
            host,
            template: text("template").map(|name| Template::shipped(&name).expect("a template")),
        }
    }

    fn shape(&self) -> AnswerShape {
        let request = self.file("request.json");
        let parsed = request.and_then(|body| self.surface.read_request(&body).ok());
        AnswerShape {
            id: "gen-test".into(),
            created: 0,
            model: "author/model".into(),
            provider: "Host".into(),
            hide_reasoning: parsed.as_ref().is_some_and(|request| request.hides_reasoning()),
            reasoning_format: self.dialect.reasoning_format(),
            metadata: None,
            echo: parsed.as_ref().and_then(|request| self.surface.echo(request)),
        }
    }

    /// The streamed answer's bytes and their framing.
    fn stream(&self) -> Option<(Framing, Vec<u8>)> {
        if let Some(bytes) = self.file("answer.sse") {
            return Some((Framing::Sse, bytes));
        }
        if let Some(bytes) = self.file("answer.ndjson") {
            return Some((Framing::Lines, bytes));
        }
        let lines = String::from_utf8(self.file("answer.frames")?).unwrap();
        let mut bytes = Vec::new();
        for line in lines.lines().filter(|line| !line.trim().is_empty()) {
            let (kind, payload) = line.split_once(' ').expect("<type> <payload>");
            bytes.extend(bedrock::encode(kind, payload));
        }
        Some((Framing::EventStream, bytes))
    }

    fn check_fault(&self, got: &Result<(), AnswerFault>) {
        let expected = match self.json("fault.json") {
            None => Ok(()),
            Some(fault) if fault["kind"] == "truncated" => Err(AnswerFault::Truncated),
            Some(fault) if fault["kind"] == "empty" => Err(AnswerFault::Empty),
            Some(fault) => Err(AnswerFault::InBand {
                code: fault["in_band"].as_str().map(Into::into),
                message: fault["message"].as_str().unwrap().into(),
            }),
        };
        assert_eq!(*got, expected, "{:?}", self.folder);
    }
}

struct Settings {
    model: String,
    max_output: u32,
    credit_limit: Option<u32>,
    host: &'static Host,
    template: Option<Template>,
}

impl Settings {
    fn target(&self) -> Target<'_> {
        Target {
            credit_limit: self.credit_limit,
            host: self.host,
            template: self.template.as_ref(),
            now: NOW,
            ..Target::new(&self.model, self.max_output)
        }
    }
}

#[test]
fn there_are_enough_cases_and_each_says_something() {
    let cases = Case::all();
    assert!(cases.len() >= 30, "{} cases", cases.len());
    for case in cases {
        let some = |name: &str| case.file(name).is_some();
        let streams = case.stream().is_some();
        assert!(
            some("request.json") || some("answer.json") || streams,
            "{:?} has neither request nor answer",
            case.folder
        );
    }
}

#[test]
fn requests_become_the_providers() {
    for case in Case::all() {
        let Some(body) = case.file("request.json") else { continue };
        let settings = case.target();
        let read = case.surface.read_request(&body);
        let written = read.and_then(|read| {
            let written = case.dialect.write_request(&read, &settings.target());
            written.map_err(|error| named_for(case.surface, error))
        });
        check_request(&case, written.map(Vec::from));
    }
}

fn check_request(case: &Case, written: Result<Vec<u8>, GatewayError>) {
    match (written, case.json("error.json")) {
        (Ok(bytes), None) => {
            let got: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(
                Some(&got),
                case.expected("upstream.json", &got).as_ref(),
                "{:?}",
                case.folder
            );
        }
        (Err(error), Some(expected)) => {
            let got = json!({"status": error.kind.status(), "param": error.param});
            assert_eq!(got["status"], expected["status"], "{:?}", case.folder);
            assert_eq!(got["param"], expected["param"], "{:?}", case.folder);
        }
        (written, _) => panic!(
            "{:?}: {:?}",
            case.folder,
            written.map(|_| "a request").map_err(|e| (e.message, e.param))
        ),
    }
}

#[test]
fn whole_answers_become_the_clients() {
    let mut seen = 0;
    for case in Case::all() {
        let Some(answer) = case.file("answer.json") else { continue };
        seen += 1;
        let mut events = Vec::new();
        let settings = case.target();
        let template = settings.template.as_ref();
        let result = case.dialect.read_whole(settings.host, template, &answer, &mut events);
        case.check_fault(&result);
        if result.is_err() {
            assert!(events.is_empty(), "{:?}: a fault leaves no events", case.folder);
            continue;
        }
        assert_eq!(events.last(), Some(&Event::End), "{:?}", case.folder);
        let (mut writer, mut usage) = (case.surface.whole_sink(&case.shape()), None::<Usage>);
        for event in &events {
            writer.write(event);
            if let Event::Usage(counters) = event {
                usage = Some(*counters);
            }
        }
        let got: Value = serde_json::from_slice(&writer.finish(usage.as_ref(), COST)).unwrap();
        let expected = case.expected("client.json", &got);
        assert_eq!(Some(got), expected, "{:?}", case.folder);
    }
    assert!(seen >= 10, "whole answers were seen");
}

/// A case's streamed answer, with what does not change from one way of cutting it to the next.
struct Stream<'a> {
    case: &'a Case,
    framing: Framing,
    answer: Vec<u8>,
    settings: Settings,
    shape: AnswerShape,
    /// The frames of the whole answer: name and data.
    frames: Vec<(String, String)>,
    /// How the framing of the whole answer ends.
    framed: Result<(), AnswerFault>,
}

/// What the framer made of some bytes: the leading frames that are those of the whole answer, the
/// first that is not, and how it ended.
#[derive(Debug, PartialEq)]
struct Framed {
    same: usize,
    odd: Option<(String, String)>,
    end: Result<(), AnswerFault>,
}

impl<'a> Stream<'a> {
    fn of(case: &'a Case) -> Option<Self> {
        let (framing, answer) = case.stream()?;
        let (mut frames, mut framer) = (Vec::new(), Frames::new(framing).unwrap());
        let mut on = |frame: Frame<'_>| {
            frames.push((frame.event.to_owned(), frame.data.to_owned()));
            Ok(())
        };
        let framed = framer.push(&answer, &mut on).and_then(|()| framer.finish(&mut on));
        let (settings, shape) = (case.target(), case.shape());
        Some(Self { case, framing, answer, settings, shape, frames, framed })
    }

    /// Runs the framer alone: what reads the frames cannot see how the bytes were cut.
    fn frame(&self, pieces: &[&[u8]]) -> Framed {
        let (mut same, mut odd) = (0, None);
        let mut on = |frame: Frame<'_>| {
            let whole = self.frames.get(same).filter(|_| odd.is_none());
            if whole.is_some_and(|(event, data)| frame.event == event && frame.data == data) {
                same += 1;
            } else if odd.is_none() {
                odd = Some((frame.event.to_owned(), frame.data.to_owned()));
            }
            Ok(())
        };
        let mut framer = Frames::new(self.framing).unwrap();
        let mut end = Ok(());
        for piece in pieces {
            end = end.and_then(|()| framer.push(piece, &mut on));
        }
        end = end.and_then(|()| framer.finish(&mut on));
        Framed { same, odd, end }
    }

    /// The frames as the client gets them, and how the provider's stream ended. As in the gateway,
    /// a soft end counts once every choice has finished.
    fn translate(&self, framed: &Framed) -> (Vec<u8>, Result<(), AnswerFault>) {
        let dialect = self.case.dialect;
        let mut reader = dialect.reader(self.settings.host, self.settings.template.as_ref());
        let mut writer = self.case.surface.stream_sink(&self.shape);
        let (mut wire, mut events) = (Vec::new(), Vec::new());
        let (mut ended, mut finished, mut result) = (false, false, Ok(()));
        for (event, data) in self.frames[..framed.same].iter().chain(&framed.odd) {
            result = reader.read(&Frame { event, data }, &mut events);
            for event in events.drain(..) {
                if ended {
                    break;
                }
                ended = event == Event::End;
                finished |= matches!(event, Event::Finish { .. });
                writer.write(&event, COST, &mut wire);
            }
            if result.is_err() {
                break;
            }
        }
        result = result.and_then(|()| framed.end.clone());
        if result.is_ok() && !ended {
            if finished && dialect.ends_softly() {
                writer.write(&Event::End, COST, &mut wire);
            } else {
                result = Err(AnswerFault::Truncated);
            }
        }
        (wire, result)
    }

    fn whole(&self) -> Framed {
        Framed { same: self.frames.len(), odd: None, end: self.framed.clone() }
    }
}

/// The events of a client's stream: names and data, which is JSON unless it is `[DONE]`.
fn payloads(wire: &[u8]) -> Vec<(String, Value)> {
    let (mut framer, mut got) = (sse::Framer::new(1 << 24), Vec::new());
    let mut on = |frame: Frame<'_>| {
        let data = serde_json::from_str(frame.data).unwrap_or_else(|_| frame.data.into());
        got.push((frame.event.to_owned(), data));
        Ok::<_, AnswerFault>(())
    };
    framer.push(wire, &mut on).unwrap();
    framer.finish(&mut on).unwrap();
    got
}

#[test]
fn streams_become_the_clients_however_they_are_cut() {
    let mut seen = 0;
    for case in Case::all() {
        let Some(stream) = Stream::of(&case) else { continue };
        seen += 1;
        let whole = stream.whole();
        let (wire, result) = stream.translate(&whole);
        case.check_fault(&result);
        if case.file("client.sse").is_none() && std::env::var_os("TURNPIKE_BLESS").is_some() {
            fs::write(case.folder.join("client.sse"), &wire).unwrap();
        }
        let expected = case.file("client.sse").unwrap_or_else(|| panic!("{:?}", case.folder));
        let (got, wanted) = (payloads(&wire), payloads(&expected));
        for (got, wanted) in got.iter().zip(&wanted) {
            assert_eq!(got, wanted, "{:?}", case.folder);
        }
        assert_eq!(got.len(), wanted.len(), "{:?}", case.folder);
        let answer = &stream.answer;
        if stream.framing == Framing::Sse {
            let text = String::from_utf8(answer.clone()).unwrap().replace("\r\n", "\n");
            let crlf = text.replace('\n', "\r\n");
            let again = stream.frame(&[crlf.as_bytes()]);
            assert_eq!(again, whole, "{:?} with CRLF", case.folder);
        }
        for cut in 0..answer.len() {
            let (head, tail) = answer.split_at(cut);
            assert_eq!(stream.frame(&[head, tail]), whole, "{:?} {cut}", case.folder);
        }
    }
    assert!(seen >= 8, "streams were seen");
}

#[test]
fn a_stream_that_is_cut_short_never_looks_complete() {
    for case in Case::all() {
        let Some(stream) = Stream::of(&case) else { continue };
        let (whole, result) = stream.translate(&stream.whole());
        if result.is_err() {
            continue;
        }
        let (mut complete, mut last) = (0, None);
        for cut in 0..stream.answer.len() {
            let framed = stream.frame(&[&stream.answer[..cut]]);
            // The data of a frame that is no JSON is the same to every reader, whatever it lacks.
            let odd = framed.odd.as_ref().map(|(_, data)| {
                serde_json::from_str::<serde::de::IgnoredAny>(data).map(|_| cut).ok()
            });
            let key = (framed.same, odd, framed.end.clone());
            if last.as_ref().is_some_and(|(seen, _)| *seen == key) {
                complete += usize::from(last.as_ref().is_some_and(|(_, ok)| *ok));
                continue;
            }
            let (wire, result) = stream.translate(&framed);
            if result.is_err() {
                assert_ne!(wire, whole, "{:?} {cut}", case.folder);
            }
            complete += usize::from(result.is_ok());
            last = Some((key, result.is_ok()));
        }
        // Only the provider's very last words may be missing: its usage and terminal event.
        assert!(complete < stream.answer.len(), "{:?}", case.folder);
    }
}
