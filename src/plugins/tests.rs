use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use turnpike_plugin_api::{
    self as api, Ask, BadOption, Call, CallFault, Definition, Keep, Kind, Mark, Method, Needs,
    Piece, Plugin, Record, Refusal, Reply, Request, Setup, Step,
};

use super::{About, Chain, Configured, Enabled, Filtered, OnError, Outcome, Progress, Runs};
use crate::dialect::AnswerFault;
use crate::dialect::ir::{Event, FinishReason};
use crate::dialect::scan::scan;
use crate::error::{GatewayError, Kind as ErrorKind};
use crate::stream::Filter;
use crate::vocab::{AccountId, GenerationId, KeyId, NanoUsd, Usage};

/// A plugin that does what a test says.
#[derive(Clone, Copy)]
struct Script {
    needs: Needs,
    begin: fn(&Ask<'_>) -> Result<bool, Refusal>,
    request: fn(&mut Request) -> Result<Step, Refusal>,
    reply: fn(Result<Reply, CallFault>, &mut Request) -> Result<Step, Refusal>,
    piece: fn(Piece, &mut Vec<Piece>),
    mark: fn(&Mark, &mut Vec<Piece>) -> Keep,
    answer: fn(u32, &mut String),
    done: fn(&Record),
}

const PLAIN: Script = Script {
    needs: Needs { text: true, events: true, answer: true, ..Needs::HEAD },
    begin: |_| Ok(true),
    request: |_| Ok(Step::Done),
    reply: |_, _| Ok(Step::Done),
    piece: |piece, out| out.push(piece),
    mark: |_, _| Keep::Yes,
    answer: |_, _| {},
    done: |_| {},
};

impl Plugin for Script {
    fn needs(&self) -> Needs {
        self.needs
    }

    fn begin(&self, ask: &Ask<'_>) -> Result<Option<Box<dyn api::Run>>, Refusal> {
        Ok((self.begin)(ask)?.then(|| Box::new(*self) as Box<dyn api::Run>))
    }
}

impl api::Run for Script {
    fn on_request(&mut self, request: &mut Request) -> Result<Step, Refusal> {
        (self.request)(request)
    }

    fn on_reply(
        &mut self,
        reply: Result<Reply, CallFault>,
        request: &mut Request,
    ) -> Result<Step, Refusal> {
        (self.reply)(reply, request)
    }

    fn on_piece(&mut self, piece: Piece, out: &mut Vec<Piece>) {
        (self.piece)(piece, out);
    }

    fn on_mark(&mut self, mark: &Mark, out: &mut Vec<Piece>) -> Keep {
        (self.mark)(mark, out)
    }

    fn on_answer(&mut self, choice: u32, text: &mut String) {
        (self.answer)(choice, text);
    }

    fn on_done(&mut self, record: &Record) {
        (self.done)(record);
    }
}

fn never(_: &Setup<'_>) -> Result<Box<dyn Plugin>, BadOption> {
    Err(BadOption::new("", "tests make instances themselves"))
}

const fn definition(id: &'static str) -> Definition {
    Definition { id, about: "", options: &[], per_request: &[], build: never }
}

static FIRST: Definition = definition("first");
static SECOND: Definition = definition("second");
static WEB: Definition = definition("web");

fn configured(definition: &'static Definition, script: Script) -> Configured {
    let plugin = Configured::new(definition, Box::new(script));
    Configured { enabled: Enabled::Default, ..plugin }
}

fn chain(script: Script, on_error: OnError) -> Chain {
    Chain::new(vec![Configured { on_error, ..configured(&FIRST, script) }], b"1".to_vec())
}

fn body(members: &Value) -> Bytes {
    let mut body = json!({"model": "a/b", "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in members.as_object().expect("members") {
        body[name] = value.clone();
    }
    body.to_string().into()
}

fn begin_as(chain: &Chain, body: &Bytes, online: bool) -> Result<Option<Box<Runs>>, GatewayError> {
    let (key, account) = (KeyId::parse("k").expect("an id"), AccountId::parse("a").expect("an id"));
    let header = |_: &str| None;
    let about = About {
        key: &key,
        account: &account,
        unix_ms: 0,
        context: &|| 8_192,
        online,
        header: &header,
    };
    chain.begin(&scan(body).expect("a head"), body, &about)
}

fn begin(chain: &Chain, members: &Value) -> Result<Option<Box<Runs>>, GatewayError> {
    begin_as(chain, &body(members), false)
}

/// Runs a request through, answering calls with a status; gives the body.
fn prepare(chain: &Chain, status: u16) -> Result<(Value, Box<Runs>), GatewayError> {
    let mut body = body(&json!({}));
    let mut head = scan(&body).expect("a head");
    let mut runs = begin(chain, &json!({}))?.expect("runs");
    let mut reply = None;
    loop {
        let view = (&mut head, &mut body);
        match runs.step(view, reply.take(), 1 << 20, chain.plugins())? {
            Progress::Done => break,
            Progress::Next => {}
            Progress::Call(0, _) => {
                reply = Some(Ok(Reply { status, body: Vec::new(), kept: false }));
            }
            Progress::Call(place, _) => panic!("a call of plugin {place}"),
        }
    }
    assert_eq!(scan(&body).expect("a head"), head, "the head is the body's");
    Ok((serde_json::from_slice(&body).expect("JSON"), runs))
}

#[test]
fn who_runs_is_the_operators_and_the_requests_choice() {
    let with = |enabled| {
        let plugin = Configured { enabled, ..configured(&FIRST, PLAIN) };
        Chain::new(vec![plugin], Vec::new())
    };
    let asks = json!({"plugins": [{"id": "first"}]});
    let declines = json!({"plugins": [{"id": "first", "enabled": false}]});
    let options = json!({"plugins": [{"id": "first", "x": 1}]});
    for (enabled, members, runs) in [
        (Enabled::OnRequest, json!({}), Some(false)),
        (Enabled::OnRequest, asks.clone(), Some(true)),
        (Enabled::OnRequest, declines.clone(), Some(false)),
        (Enabled::Default, json!({}), Some(true)),
        (Enabled::Default, declines.clone(), Some(false)),
        (Enabled::Always, json!({}), Some(true)),
        (Enabled::Always, asks, Some(true)),
        (Enabled::Always, declines, None),
        (Enabled::Always, options, None),
    ] {
        let begun = begin(&with(enabled), &members).map(|runs| runs.is_some());
        assert_eq!(begun.ok(), runs, "{enabled:?} {members}");
    }
    let unknown = json!({"plugins": [{"id": "other"}]});
    let error = begin(&with(Enabled::OnRequest), &unknown).expect_err("refused");
    assert!(error.message.contains("first"), "{error}");
    let off = json!({"plugins": [{"id": "other", "enabled": false}]});
    assert!(begin(&with(Enabled::OnRequest), &off).expect("served").is_none());
    assert!(begin(&Chain::default(), &unknown).is_err(), "also where there are none");
    assert!(begin(&Chain::default(), &json!({"plugins": []})).expect("served").is_none());
    let web = Configured { enabled: Enabled::OnRequest, ..configured(&WEB, PLAIN) };
    let web = Chain::new(vec![web], Vec::new());
    assert!(begin_as(&web, &body(&json!({})), true).expect("served").is_some(), "`:online`");
    assert!(begin_as(&web, &body(&json!({})), false).expect("served").is_none());
}

#[test]
fn what_a_plugin_changes_is_the_next_ones_request() {
    let upper = Script {
        request: |request| {
            request.texts_mut().for_each(|(_, text)| text.set(text.as_str().to_uppercase()));
            request.charge(NanoUsd(3));
            assert!(request.upstream_header("x-a", "1") && request.answer_header("x-b", "2"));
            request.note("Upper.", json!({"n": 1}));
            Ok(Step::Done)
        },
        ..PLAIN
    };
    let tell = Script {
        request: |request| {
            let said = request.last_user_text().unwrap_or_default().to_owned();
            request.instruct(format!("They said {said}."));
            request.charge(NanoUsd(4));
            Ok(Step::Done)
        },
        ..PLAIN
    };
    let both = vec![configured(&FIRST, upper), configured(&SECOND, tell)];
    let (body, runs) = prepare(&Chain::new(both, Vec::new()), 200).expect("served");
    let want = json!([
        {"role": "system", "content": "They said HI."}, {"role": "user", "content": "HI"},
    ]);
    assert_eq!(body["messages"], want);
    assert_eq!(runs.fee(), NanoUsd(7));
    assert_eq!(runs.upstream_headers(), [("x-a".to_owned(), "1".to_owned())]);
    assert_eq!(runs.answer_headers(), [("x-b".to_owned(), "2".to_owned())]);
    let told = super::pipeline(&runs);
    assert_eq!(
        told[0],
        json!({
            "type": "plugin", "name": "first", "summary": "Upper.", "data": {"n": 1}, "cost_usd": 3e-9,
        })
    );
}

fn ask_more(_: Result<Reply, CallFault>, _: &mut Request) -> Result<Step, Refusal> {
    Ok(Step::Call(Call::new(Method::Get, "http://engine/")))
}

#[test]
fn what_is_asked_of_the_outside_comes_back_and_ends() {
    let asks = Script {
        request: |request| ask_more(Err(CallFault::Busy), request),
        reply: |reply, request| {
            request.instruct(format!("It says {}.", reply.expect("a reply").status));
            Ok(Step::Done)
        },
        ..PLAIN
    };
    let (body, _) = prepare(&chain(asks, OnError::Closed), 418).expect("served");
    assert_eq!(body["messages"][0]["content"], "It says 418.");
    let forever = Script { reply: ask_more, ..asks };
    let error = prepare(&chain(forever, OnError::Closed), 200).expect_err("refused");
    assert_eq!(error.kind, ErrorKind::Internal);
    let (body, runs) = prepare(&chain(forever, OnError::Open), 200).expect("served");
    assert_eq!(body["messages"].as_array().map(Vec::len), Some(1));
    assert_eq!(runs.reports().next().expect("a report").outcome, Outcome::Failed);
}

#[test]
fn refusals_are_told_in_the_plugins_own_words_within_bounds() {
    let refuses = Script {
        request: |_| {
            let refusal = Refusal::new(403, "flagged", "No. ".repeat(10_000));
            Err(refusal.with_reasons(vec!["violence".to_owned(); 100]))
        },
        ..PLAIN
    };
    let error = prepare(&chain(refuses, OnError::Open), 200).expect_err("refused");
    assert_eq!((error.kind, error.message.len()), (ErrorKind::ContentPolicy, 2_048));
    let blocked = error.blocked.expect("a plugin");
    assert_eq!((blocked.plugin, &*blocked.code, blocked.reasons.len()), ("first", "flagged", 32));
    let early = Script { begin: |_| Err(Refusal::new(429, "busy", "Later.")), ..PLAIN };
    let error = begin(&chain(early, OnError::Open), &json!({})).expect_err("refused");
    assert_eq!(error.kind, ErrorKind::RateLimited);
}

#[test]
fn a_failure_before_the_answer_takes_nothing_with_it() {
    let half = |request: &mut Request| -> Result<Step, Refusal> {
        request.texts_mut().for_each(|(_, text)| text.set("half".to_owned()));
        panic!("in a plugin")
    };
    let large = |request: &mut Request| {
        request.instruct("x".repeat(10 << 20));
        Ok(Step::Done)
    };
    for script in [
        Script { begin: |_| panic!("in a plugin"), ..PLAIN },
        Script { request: half, ..PLAIN },
        Script { request: large, ..PLAIN },
        Script {
            request: |request| {
                request.remove(0);
                Ok(Step::Done)
            },
            ..PLAIN
        },
    ] {
        let closed = prepare(&chain(script, OnError::Closed), 200).map(|(body, _)| body);
        assert_eq!(closed.expect_err("refused").kind, ErrorKind::Internal);
        let (body, runs) = prepare(&chain(script, OnError::Open), 200).expect("served");
        assert_eq!(body["messages"], json!([{"role": "user", "content": "hi"}]));
        assert_eq!(runs.reports().next().expect("a report").outcome, Outcome::Failed);
        assert!(!runs.hear(true), "it hears no answer");
    }
}

fn text(text: &str) -> Event {
    Event::Text { choice: 0, text: text.to_owned() }
}

fn finish() -> Event {
    let (reason, native) = (FinishReason::Stop, "stop".to_owned());
    Event::Finish { choice: 0, reason, native, stop: None }
}

/// What comes of an answer in these events; its text, and the fault that ends it.
fn said(chain: &Chain, events: &[Event], stream: bool) -> (String, Option<AnswerFault>) {
    let runs = begin(chain, &json!({})).expect("begun").expect("runs");
    let mut filter = Filtered::new(Arc::new(Mutex::new(runs)), stream);
    let mut out = Vec::new();
    let fault = events.iter().find_map(|event| filter.take(event.clone(), &mut out).err());
    let texts = out.into_iter().filter_map(|event| match event {
        Event::Text { text, .. } => Some(text),
        Event::Finish { .. } => Some(".".to_owned()),
        _ => None,
    });
    (texts.collect(), fault)
}

fn double(piece: Piece, out: &mut Vec<Piece>) {
    out.push(piece.clone());
    out.push(piece);
}

#[test]
fn pieces_go_through_all_plugins_in_order() {
    let shout = Script {
        piece: |piece, out| match piece {
            Piece::Text { choice, kind, text } => {
                out.push(Piece::Text { choice, kind, text: text.to_uppercase() });
            }
            other => out.push(other),
        },
        mark: |mark, out| {
            if let Mark::Finish { choice } = *mark {
                out.push(Piece::Text { choice, kind: Kind::Text, text: "end".to_owned() });
            }
            Keep::No
        },
        ..PLAIN
    };
    let twice = Script { piece: double, ..PLAIN };
    let both = vec![configured(&FIRST, shout), configured(&SECOND, twice)];
    let chain = Chain::new(both, Vec::new());
    let events = [text("a"), text("b"), finish(), Event::End];
    assert_eq!(said(&chain, &events, true), ("AABBendend.".to_owned(), None));
    assert_eq!(said(&chain, &events, false), ("AABBendend.".to_owned(), None));
}

#[test]
fn whole_answers_are_seen_whole_and_streams_are_not() {
    let swap = Script { answer: |_, text| *text = text.replace("ab", "AB"), ..PLAIN };
    let chain = chain(swap, OnError::Closed);
    let events = [text("xa"), text("b"), finish(), Event::End];
    assert_eq!(said(&chain, &events, false).0, "xAB.");
    assert_eq!(said(&chain, &events, true).0, "xab.");
}

#[test]
fn a_failure_in_an_answer_ends_it_unless_nothing_can_be_missing() {
    let on = |script: Script, on_error| {
        said(&chain(script, on_error), &[text("a"), text("boom"), text("c"), finish()], true)
    };
    let careful = Script {
        piece: |piece, out| match &piece {
            Piece::Text { text, .. } if text == "boom" => panic!("in a plugin"),
            _ => out.push(piece),
        },
        ..PLAIN
    };
    assert_eq!(on(careful, OnError::Open), ("aboomc.".to_owned(), None));
    assert_eq!(on(careful, OnError::Closed), ("a".to_owned(), Some(AnswerFault::Plugin)));
    // It may have held something back, which nobody has now.
    let holding = Script {
        piece: |piece, _| match &piece {
            Piece::Text { text, .. } if text == "boom" => panic!("in a plugin"),
            _ => {}
        },
        ..PLAIN
    };
    assert_eq!(on(holding, OnError::Open), (String::new(), Some(AnswerFault::Plugin)));
    let endless = Script {
        piece: |_, out| {
            let text = "x".repeat(10 << 20);
            out.push(Piece::Text { choice: 0, kind: Kind::Text, text });
        },
        ..PLAIN
    };
    assert_eq!(on(endless, OnError::Open).1, Some(AnswerFault::Plugin));
    let last = Script { answer: |_, _| panic!("in a plugin"), ..PLAIN };
    let whole = [text("a"), finish()];
    assert_eq!(said(&chain(last, OnError::Open), &whole, false), ("a.".to_owned(), None));
    let closed = said(&chain(last, OnError::Closed), &whole, false);
    assert_eq!(closed.1, Some(AnswerFault::Plugin));
}

#[test]
fn who_wants_to_know_is_told_how_it_ended() {
    let record = Record {
        generation: GenerationId::new(1, 2),
        model: None,
        endpoint: None,
        usage: Usage { completion: 7, ..Usage::default() },
        cost: NanoUsd(9),
        status: 200,
        took: Duration::from_secs(1),
    };
    // A failed assertion is a plugin's panic, and shows as its failure.
    let told = Script {
        needs: Needs { record: true, ..Needs::HEAD },
        done: |record| assert_eq!((record.usage.completion, record.cost), (7, NanoUsd(9))),
        ..PLAIN
    };
    let broken = Script { done: |_| panic!("in a plugin"), ..told };
    let deaf = Script { needs: Needs::HEAD, ..broken };
    for (script, outcome) in
        [(told, Outcome::Done), (broken, Outcome::Failed), (deaf, Outcome::Done)]
    {
        let begun = begin(&chain(script, OnError::Closed), &json!({})).expect("begun");
        let mut runs = begun.expect("runs");
        runs.done(&record);
        assert_eq!(runs.reports().next().expect("a report").outcome, outcome);
    }
}
