//! The error-policy table (`src/attempt`) from end to end: what a client sees when a provider
//! fails, with another one left and with none.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use turnpike::dialect::Dialect;
use turnpike::simulate::{Behaviour, Chunk, End, ErrorBody, Fault, FaultRule, Replay, Running};

use crate::support::gateway::MODEL;
use crate::support::{Answer, Client, Gateway, Setup, ask, providers, runtime};

const PROMPT: &str = "Tell me about bridges";
const TOKENS: u32 = 12;

// The table.

/// What goes wrong at the bad provider.
#[derive(Clone)]
enum Wrong {
    /// A fault of the simulator.
    Sim(Fault),
    /// The same, with more knobs.
    Behaves(Behaviour),
    /// Nobody listens.
    Closed,
    /// A provider of our own at this address.
    Stranger(String),
}

struct Row {
    name: &'static str,
    wrong: Wrong,
    /// Limits on time, for the bad provider alone.
    timeouts: &'static str,
    /// The attempt's outcome in the access log.
    outcome: &'static str,
    /// What the client sees if there is no other provider: status and code.
    alone: (u16, &'static str),
    /// Another provider is asked.
    another: bool,
}

const QUICK: &str = "first_token_ms = 250\nwhole_answer_ms = 250\nconnect_ms = 250";
const FAILED: (u16, &str) = (502, "provider_unavailable");
const LATE: (u16, &str) = (504, "timeout");
const BUSY: (u16, &str) = (503, "provider_overloaded");
const INVALID: (u16, &str) = (400, "invalid_request");

fn row(name: &'static str, wrong: Wrong, outcome: &'static str, alone: (u16, &'static str)) -> Row {
    Row { name, wrong, timeouts: "", outcome, alone, another: true }
}

fn rows(strangers: &Strangers) -> Vec<Row> {
    let sim = |name, fault, outcome, alone| row(name, Wrong::Sim(fault), outcome, alone);
    let status = |code, outcome, alone| {
        let name: &'static str = Box::leak(format!("status-{code}").into_boxed_str());
        row(name, Wrong::Sim(Fault::Status(code)), outcome, alone)
    };
    let error = |kind: ErrorBody, outcome, alone| {
        let name: &'static str = Box::leak(format!("error-{}", kind.name()).into_boxed_str());
        row(name, Wrong::Sim(Fault::Error(kind)), outcome, alone)
    };
    let quick = |row: Row| Row { timeouts: QUICK, ..row };
    let stay = |row: Row| Row { another: false, ..row };
    let stranger =
        |name, url: String, outcome, alone| quick(row(name, Wrong::Stranger(url), outcome, alone));
    vec![
        row("refused", Wrong::Closed, "connect_refused", FAILED),
        stranger("dns", "http://nowhere.invalid/v1".to_owned(), "dns", FAILED),
        stranger("tls", format!("https://{}/v1", strangers.plain), "tls", FAILED),
        stranger("connect", format!("http://{}/v1", strangers.full.0), "connect_timeout", LATE),
        stranger("noise", format!("http://{}/v1", strangers.noise), "connection_reset", FAILED),
        sim("reset", Fault::Reset, "connection_reset", FAILED),
        quick(sim("hang", Fault::Hang, "LATE", LATE)),
        quick(sim("hang-after-header", Fault::HangAfterHeader, "LATE", LATE)),
        quick(row("dribble", Wrong::Behaves(dribble()), "LATE", LATE)),
        Row {
            // Here the limit on silence is the shorter one, and never reached.
            timeouts: "first_token_ms = 300\ninter_event_ms = 250\nwhole_answer_ms = 300",
            ..row("dribble-by-the-clock", Wrong::Behaves(dribble()), "LATE", LATE)
        },
        status(408, "status_timeout", LATE),
        status(409, "status_conflict", FAILED),
        status(429, "status_rate_limited", (429, "rate_limit_exceeded")),
        status(500, "status_server", FAILED),
        status(503, "status_overloaded", BUSY),
        status(504, "status_timeout", LATE),
        status(529, "status_overloaded", BUSY),
        status(401, "status_authentication", FAILED),
        status(402, "status_billing", FAILED),
        status(403, "status_permission", FAILED),
        status(404, "status_not_found", FAILED),
        quick(row("half-said", Wrong::Behaves(half_said()), "status_server", FAILED)),
        error(ErrorBody::Html, "status_server", FAILED),
        error(ErrorBody::ContextLength, "status_context_length", (400, "context_length_exceeded")),
        error(ErrorBody::ContentPolicy, "status_content_policy", (403, "content_policy_violation")),
        stay(error(ErrorBody::InvalidRequest, "status_invalid_request", INVALID)),
        stay(status(422, "status_invalid_request", INVALID)),
        sim("in-band", Fault::InBand, "in_band_error", FAILED),
        sim("empty", Fault::Empty, "empty_answer", FAILED),
        sim("empty-body", Fault::EmptyBody, "empty_answer", FAILED),
        sim("cut-before", Fault::CutBefore, "early_eof", FAILED),
        sim("garbage", Fault::Garbage, "garbled", FAILED),
    ]
}

/// Comments for ever, and no token.
fn dribble() -> Behaviour {
    let pings = (0..500).map(|_| Chunk { delay_ms: 20, data: ": ping\n\n".into() });
    let mut replay = Replay::sse(Vec::<String>::new()).ending(End::Hang);
    replay.chunks = pings.collect();
    Behaviour::replaying(replay)
}

/// An error answer that never ends.
fn half_said() -> Behaviour {
    Behaviour::replaying(Replay::json(500, "{\"error\":").ending(End::Hang))
}

/// Providers that are none.
struct Strangers {
    /// Speaks no TLS.
    plain: SocketAddr,
    /// Accepts nothing.
    full: (SocketAddr, Vec<TcpStream>, TcpListener),
    /// Answers with something that is not HTTP.
    noise: SocketAddr,
}

impl Strangers {
    fn new() -> Self {
        let talk = |line: &'static [u8]| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = listener.local_addr().expect("an address");
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let mut stream = stream;
                    let _read = stream.read(&mut [0; 4096]);
                    let _sent = stream.write_all(line);
                }
            });
            address
        };
        Self { plain: talk(b"HTTP/1.1 400 \r\n\r\n"), full: full(), noise: talk(b"\x00\xffno\n") }
    }
}

/// A listener whose queue is full, so that a connection attempt is left without an answer.
fn full() -> (SocketAddr, Vec<TcpStream>, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let backlog = nix::sys::socket::Backlog::new(0).expect("a backlog");
    nix::sys::socket::listen(&listener, backlog).expect("a shorter queue");
    assert!(listener.as_raw_fd() >= 0);
    let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
    let taken = (0..8).map_while(connect).collect::<Vec<_>>();
    assert!(taken.len() < 8, "the queue is full");
    (address, taken, listener)
}

/// A row in one mode, with a provider of its own, so that no row suffers from another's penalty.
struct Case<'a> {
    row: &'a Row,
    stream: bool,
    provider: String,
}

impl Case<'_> {
    fn name(&self) -> String {
        let mode = if self.stream { "streamed" } else { "whole" };
        format!("{} {mode}", self.row.name)
    }

    fn outcome(&self) -> &'static str {
        match self.row.outcome {
            "LATE" if self.stream => "first_token_timeout",
            "LATE" => "answer_timeout",
            outcome => outcome,
        }
    }
}

fn cases(rows: &[Row]) -> Vec<Case<'_>> {
    let modes = rows.iter().flat_map(|row| [(row, false), (row, true)]);
    modes
        .map(|(row, stream)| {
            let provider = format!("{}-{}", row.name, if stream { "s" } else { "w" });
            Case { row, stream, provider }
        })
        .collect()
}

#[test]
fn every_row_of_the_table_openai() {
    table(Dialect::OpenAi);
}

#[test]
fn every_row_of_the_table_anthropic() {
    table(Dialect::Anthropic);
}

fn table(dialect: Dialect) {
    let strangers = Strangers::new();
    let rows = rows(&strangers);
    let cases = cases(&rows);
    let simulated = cases.iter().filter(|c| !matches!(c.row.wrong, Wrong::Stranger(_)));
    let mut wanted: Vec<(&str, Dialect)> =
        simulated.map(|case| (case.provider.as_str(), dialect)).collect();
    wanted.push(("good", dialect));
    let providers = providers(&wanted);
    let mut setup = Setup {
        settings: vec![("routing", "retry_budget_reserve = 1000".to_owned())],
        ..Setup::default()
    };
    for case in &cases {
        if !case.row.timeouts.is_empty() {
            setup.timeouts.push((case.provider.clone(), case.row.timeouts.to_owned()));
        }
        match &case.row.wrong {
            Wrong::Sim(fault) => spoil(&providers, &case.provider, &Behaviour::failing(*fault)),
            Wrong::Behaves(behaviour) => spoil(&providers, &case.provider, behaviour),
            Wrong::Closed => {
                runtime().block_on(providers.provider(&case.provider).unwrap().close());
            }
            Wrong::Stranger(url) => {
                setup.strangers.push((case.provider.clone(), dialect.name(), url.clone()));
            }
        }
    }
    let gateway = Gateway::start(&providers, &setup);
    let mut client = gateway.client();
    let expected = client.chat(&prefer(&["good"], false, PROMPT)).content();
    let mut wrong = Vec::new();
    for case in &cases {
        let run = || one_case(&gateway, &providers, case, &expected);
        if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
            let text = panic.downcast_ref::<String>().cloned();
            wrong.push(format!("{}: {}", case.name(), text.unwrap_or_default()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    nothing_is_charged_for_failures(&gateway, &expected);
}

fn one_case(gateway: &Gateway, providers: &Running, case: &Case<'_>, expected: &str) {
    let mut client = gateway.client();
    let name = case.name();
    let both = client.chat(&prefer(&[&case.provider, "good"], case.stream, PROMPT));
    if case.row.another {
        assert_flawless(&both, case.stream, expected);
        assert_eq!(tried(gateway, &both), [case.outcome(), "ok"], "{name}: {}", both.text());
    } else {
        let good = providers.provider("good").unwrap().stats().requests;
        assert_error(&both, case.row.alone, &case.provider);
        let said = &both.json()["error"]["metadata"];
        assert_eq!(said["provider_name"], case.provider.as_str(), "{name}: {said}");
        assert!(said["raw"].as_str().is_some_and(|raw| raw.contains("error")), "{name}: {said}");
        assert_eq!(providers.provider("good").unwrap().stats().requests, good, "{name}");
    }
    let alone = client.chat(&prefer(&[&case.provider], case.stream, PROMPT));
    assert_error(&alone, case.row.alone, &case.provider);
    assert_eq!(tried(gateway, &alone), [case.outcome()], "{name}: {}", alone.text());
}

fn spoil(providers: &Running, id: &str, behaviour: &Behaviour) {
    providers.provider(id).unwrap().set(behaviour.clone()).unwrap();
}

/// A request that may use only these providers, in this order.
fn prefer(names: &[&str], stream: bool, prompt: &str) -> String {
    with(&ask(MODEL, prompt, stream, TOKENS), "provider", json!({"order": names, "only": names}))
}

fn with(body: &str, key: &str, value: Value) -> String {
    let mut body: Value = serde_json::from_str(body).unwrap();
    body[key] = value;
    body.to_string()
}

/// A good answer with nothing odd about it.
fn assert_flawless(answer: &Answer, stream: bool, expected: &str) {
    let text = answer.text();
    assert!(answer.is_good(), "{} {text}", answer.status);
    assert!(answer.header("x-generation-id").is_some(), "{:?}", answer.headers);
    assert_eq!(answer.content(), expected, "{text}");
    if !stream {
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert!(answer.json()["usage"]["cost"].as_f64().unwrap() > 0.0, "{text}");
        return;
    }
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let events = answer.events();
    let done = events.iter().filter(|e| *e == "[DONE]").count();
    assert_eq!(done, 1, "{text}");
    let chunks = chunks(answer);
    let role = |c: &&Value| c["choices"][0]["delta"]["role"].is_string();
    assert_eq!(chunks.iter().filter(role).count(), 1, "{text}");
    let finish = |c: &&Value| c["choices"][0]["finish_reason"].is_string();
    assert_eq!(chunks.iter().filter(finish).count(), 1, "{text}");
    let usage: Vec<_> = chunks.iter().filter(|c| c["usage"].is_object()).collect();
    assert_eq!(usage.len(), 1, "{text}");
    assert!(usage[0]["usage"]["cost"].as_f64().unwrap() > 0.0, "{text}");
    assert!(chunks.iter().all(|c| c["error"].is_null()), "{text}");
    let ids: std::collections::HashSet<_> = chunks.iter().map(|c| c["id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "one answer: {text}");
}

fn chunks(answer: &Answer) -> Vec<Value> {
    let events = answer.events();
    let parse = |e: &String| {
        serde_json::from_str(e).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
    };
    events.iter().filter(|e| *e != "[DONE]").map(parse).collect()
}

/// A well-formed error, whatever was asked for.
fn assert_error(answer: &Answer, (status, code): (u16, &str), provider: &str) {
    let text = answer.text();
    assert!(answer.whole, "{text}");
    assert_eq!(answer.status, status, "{text}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{text}");
    let id = answer.header("x-generation-id").unwrap_or_default();
    assert!(id.starts_with("gen-"), "{:?}", answer.headers);
    let json = answer.json();
    let error = &json["error"];
    assert_eq!(error["code"], status, "{text}");
    assert_eq!(error["type"], code, "{text}");
    assert_eq!(error["metadata"]["error_type"], code, "{text}");
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.contains(provider), "it names the provider: {text}");
    assert!(message.len() > 40, "it says what to do: {text}");
    for secret in ["provider-secret-canary", PROMPT] {
        assert!(!text.contains(secret), "{text}");
    }
}

/// An answer's line in the access log.
fn line(gateway: &Gateway, answer: &Answer) -> Value {
    let id = answer.header("x-generation-id").expect("a generation id");
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let log = gateway.log("access.log");
        if let Some(line) = log.lines().rev().find(|l| l.contains(id) && l.ends_with('}')) {
            return serde_json::from_str(line).expect("a JSON line");
        }
        assert!(Instant::now() < deadline, "no line for {id}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The outcomes of an answer's attempts.
fn tried(gateway: &Gateway, answer: &Answer) -> Vec<String> {
    let outcome = |t: &Value| t["outcome"].as_str().unwrap().to_owned();
    let line = line(gateway, answer);
    line["tried"].as_array().map_or_else(Vec::new, |tried| tried.iter().map(outcome).collect())
}

/// Who answered.
fn served_by(gateway: &Gateway, answer: &Answer) -> String {
    line(gateway, answer)["gen_ai.provider.name"].as_str().unwrap_or_default().to_owned()
}

/// The account has paid for the good answers alone.
fn nothing_is_charged_for_failures(gateway: &Gateway, expected: &str) {
    let mut client = gateway.client();
    let one = client.chat(&prefer(&["good"], false, PROMPT));
    assert_eq!(one.content(), expected);
    let cost = one.json()["usage"]["cost"].as_f64().unwrap();
    let good = || {
        let log = gateway.log("access.log");
        log.lines().filter(|l| l.contains("\"outcome\":\"ok\"")).count()
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let used = client.get("/v1/credits").json()["data"]["total_usage"].as_f64().unwrap();
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let owed = good() as f64 * cost;
        if (used - owed).abs() < 1e-12 {
            return;
        }
        assert!(Instant::now() < deadline, "{used} was charged, {owed} is owed");
        std::thread::sleep(Duration::from_millis(10));
    }
}

// After the first token.

#[test]
fn a_stream_that_breaks_off_ends_with_an_error() {
    let silent = Behaviour { tokens: 8, token_ms: 600_000.0, ..Behaviour::default() };
    let quiet_gap = "inter_event_ms = 300";
    let quiet_both = "first_token_ms = 200\ninter_event_ms = 300";
    let faults: [(&str, Behaviour, &str, usize, &str, u16); 5] = [
        ("cut", Behaviour::failing(Fault::CutAfter(5)), "", 5, "cut_mid_stream", 502),
        ("in-band", Behaviour::failing(Fault::InBandAfter(5)), "", 5, "cut_mid_stream", 502),
        ("silent", silent.clone(), quiet_gap, 1, "inter_event_timeout", 504),
        ("silent-later", silent, quiet_both, 1, "inter_event_timeout", 504),
        ("cut-first", Behaviour::failing(Fault::CutAfter(1)), "", 1, "cut_mid_stream", 502),
    ];
    for dialect in [Dialect::OpenAi, Dialect::Anthropic] {
        let names = faults.iter().map(|(name, ..)| (*name, dialect));
        let providers = providers(&names.chain([("good", dialect)]).collect::<Vec<_>>());
        let mut setup = Setup {
            settings: vec![("routing", "continuations_max = 0".to_owned())],
            ..Setup::default()
        };
        for (name, behaviour, timeouts, ..) in &faults {
            spoil(&providers, name, behaviour);
            setup.timeouts.push(((*name).to_owned(), (*timeouts).to_owned()));
        }
        let gateway = Gateway::start(&providers, &setup);
        let mut client = gateway.client();
        for (name, _, _, tokens, outcome, status) in &faults {
            let answer = client.chat(&prefer(&[name, "good"], true, PROMPT));
            let text = format!("{dialect} {name}: {}", answer.text());
            assert_eq!(answer.status, 200, "{text}");
            assert!(answer.whole, "{text}");
            assert_eq!(answer.events().iter().filter(|e| *e == "[DONE]").count(), 1, "{text}");
            assert_eq!(answer.events().last().map(String::as_str), Some("[DONE]"), "{text}");
            let chunks = chunks(&answer);
            let (last, before) = chunks.split_last().expect("chunks");
            assert_eq!(last["choices"][0]["finish_reason"], "error", "{text}");
            assert_eq!(last["error"]["code"], *status, "{text}");
            assert!(before.iter().all(|c| c["error"].is_null()), "{text}");
            let words = answer.content().split_whitespace().count();
            assert_eq!(words, *tokens, "what came before is there: {text}");
            assert_eq!(tried(&gateway, &answer), [*outcome], "{text}");
            let id = answer.header("x-generation-id").unwrap();
            let record = generation(&mut client, id);
            let (cost, sent) = (&record["total_cost"], &record["tokens_completion"]);
            assert!(cost.as_f64() > Some(0.0), "what was delivered is charged: {record}");
            let sent = sent.as_u64().unwrap();
            assert!((*tokens as u64..=2 * *tokens as u64 + 2).contains(&sent), "{name}: {record}");
            // A whole answer that breaks off has shown nothing yet.
            if name.starts_with("cut") {
                let whole = client.chat(&prefer(&[name, "good"], false, PROMPT));
                assert_flawless(&whole, false, &good_words(&mut client));
            }
        }
    }
}

fn good_words(client: &mut Client) -> String {
    client.chat(&prefer(&["good"], false, PROMPT)).content()
}

/// The record of a generation, once it is there.
fn generation(client: &mut Client, id: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = client.get(&format!("/v1/generation?id={id}"));
        if answer.status == 200 {
            return answer.json()["data"].clone();
        }
        assert!(Instant::now() < deadline, "no record of {id}: {}", answer.text());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_endpoint_that_breaks_off_every_stream_is_left_alone() {
    for fault in [Fault::InBandAfter(3), Fault::CutAfter(3)] {
        let providers = providers(&[("bad", Dialect::OpenAi), ("good", Dialect::OpenAi)]);
        spoil(&providers, "bad", &Behaviour::failing(fault));
        let lasting = "breaker_open_min_ms = 600000\nbreaker_open_max_ms = 600000\n\
                       continuations_max = 0";
        let setup = Setup { settings: vec![("routing", lasting.to_owned())], ..Setup::default() };
        let gateway = Gateway::start(&providers, &setup);
        let mut client = gateway.client();
        let body = with(&ask(MODEL, PROMPT, true, TOKENS), "provider", json!({"order": ["bad"]}));
        let answers: Vec<_> = (0..12).map(|_| client.chat(&body)).collect();
        let broken = answers.iter().filter(|a| !a.is_good()).count();
        assert_eq!(broken, 5, "{fault}: five failures open the breaker");
        assert!(answers[5..].iter().all(Answer::is_good), "{fault}");
    }
}

#[test]
fn small_omissions_are_made_good() {
    let providers = providers(&[("openai", Dialect::OpenAi), ("anthropic", Dialect::Anthropic)]);
    let gateway = Gateway::start(&providers, &Setup::default());
    let mut client = gateway.client();
    for (name, stream) in
        [("openai", true), ("openai", false), ("anthropic", true), ("anthropic", false)]
    {
        let expected = client.chat(&prefer(&[name], false, PROMPT)).content();
        spoil(&providers, name, &Behaviour::failing(Fault::NoUsage));
        let answer = client.chat(&prefer(&[name], stream, PROMPT));
        assert_flawless(&answer, stream, &expected);
        let record = generation(&mut client, answer.header("x-generation-id").unwrap());
        assert_eq!(record["estimated"], true, "{name} {stream}: {record}");
        spoil(&providers, name, &Behaviour::default());
    }
    // OpenAI's terminal event is often forgotten; Anthropic's never.
    spoil(&providers, "openai", &Behaviour::failing(Fault::NoDone));
    let expected = client.chat(&prefer(&["openai"], false, PROMPT)).content();
    assert_flawless(&client.chat(&prefer(&["openai"], true, PROMPT)), true, &expected);
    spoil(&providers, "anthropic", &Behaviour::failing(Fault::NoDone));
    let answer = client.chat(&prefer(&["anthropic"], true, PROMPT));
    let last = chunks(&answer).pop().expect("chunks");
    assert_eq!(last["choices"][0]["finish_reason"], "error", "{}", answer.text());
}

#[test]
fn what_comes_after_the_end_does_no_harm() {
    let whole = "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":\
                 {\"role\":\"assistant\",\"content\":\"fine\"},\"finish_reason\":null}]}\n\n\
                 data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\
                 \"finish_reason\":\"stop\"}]}\n\n\
                 data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[],\"usage\":\
                 {\"prompt_tokens\":3,\"completion_tokens\":1,\"total_tokens\":4}}\n\n\
                 data: [DONE]\n\n";
    let providers = providers(&[
        ("cut", Dialect::OpenAi),
        ("hang", Dialect::OpenAi),
        ("more", Dialect::OpenAi),
    ]);
    let replay = |end| Behaviour::replaying(Replay::sse([whole]).ending(end));
    spoil(&providers, "cut", &replay(End::Cut));
    spoil(&providers, "hang", &replay(End::Hang));
    let twice = Replay::sse([whole, "data: {\"error\":{\"message\":\"late\"}}\n\n"]);
    spoil(&providers, "more", &Behaviour::replaying(twice));
    let setup = Setup {
        timeouts: vec![("hang".to_owned(), "inter_event_ms = 300".to_owned())],
        ..Setup::default()
    };
    let gateway = Gateway::start(&providers, &setup);
    let mut client = gateway.client();
    for name in ["cut", "hang", "more"] {
        let answer = client.chat(&prefer(&[name], true, PROMPT));
        assert_flawless(&answer, true, "fine");
        assert_eq!(tried(&gateway, &answer), ["ok"], "{name}");
    }
}

// What the gateway remembers.

#[test]
fn retry_after_is_honoured_and_handed_on() {
    let providers = providers(&[("busy", Dialect::OpenAi), ("good", Dialect::OpenAi)]);
    let later = FaultRule { retry_after: Some(2), ..FaultRule::always(Fault::Status(429)) };
    let limited = Behaviour {
        faults: vec![FaultRule { first: Some(1), ..later.clone() }],
        ..Behaviour::default()
    };
    spoil(&providers, "busy", &limited);
    let gateway = Gateway::start(&providers, &Setup::default());
    let mut client = gateway.client();
    let busy = providers.provider("busy").unwrap();
    let body = with(&ask(MODEL, PROMPT, false, TOKENS), "provider", json!({"order": ["busy"]}));
    assert!(client.chat(&body).is_good());
    let asked = Instant::now();
    assert_eq!(busy.stats().requests, 1);
    while busy.stats().requests == 1 {
        assert!(client.chat(&body).is_good());
        assert!(asked.elapsed() < Duration::from_secs(20), "it is never asked again");
    }
    // The pause began a little before our clock did.
    assert!(
        asked.elapsed() > Duration::from_millis(1_900),
        "asked again after {:?}",
        asked.elapsed()
    );
    // The shortest wait of all is what the client is told.
    let good = FaultRule { retry_after: Some(7), ..later };
    for (name, rule) in
        [("busy", FaultRule { retry_after: Some(9), ..good.clone() }), ("good", good)]
    {
        spoil(&providers, name, &Behaviour { faults: vec![rule], ..Behaviour::default() });
    }
    let refused = client.chat(&body);
    assert_error(&refused, (429, "rate_limit_exceeded"), "busy");
    assert_eq!(refused.header("retry-after"), Some("7"), "{}", refused.text());
}

#[test]
fn stale_connections_are_retried_unseen() {
    let providers = providers(&[("only", Dialect::OpenAi)]);
    let only = providers.provider("only").unwrap();
    let gateway = Gateway::start(&providers, &Setup::default());
    // Many pooled connections, so that the second one is stale, too.
    only.set(Behaviour { ttft_ms: 100, ..Behaviour::default() }).unwrap();
    let made = hammer(&gateway, 16, 16, |_| ask(MODEL, PROMPT, false, TOKENS));
    assert_eq!(made.failures, 0);
    assert!(only.stats().connections_open > 4, "{:?}", only.stats());
    only.set(Behaviour::failing(Fault::ResetReused)).unwrap();
    let mut client = gateway.client();
    for i in 0..20 {
        let answer = client.chat(&ask(MODEL, PROMPT, i % 2 == 0, TOKENS));
        assert!(answer.is_good(), "{i}: {} {}", answer.status, answer.text());
        let outcomes = tried(&gateway, &answer);
        assert_eq!(outcomes.last().map(String::as_str), Some("ok"));
        assert!(outcomes.len() <= 2, "{outcomes:?}");
    }
    assert!(gateway.metric("turnpike_attempts_total", &["stale_connection"]) > 10.0);
}

#[test]
fn probes_take_an_endpoint_out_and_bring_it_back() {
    let providers = providers(&[("one", Dialect::OpenAi), ("two", Dialect::OpenAi)]);
    let probe =
        "[providers.probe]\ninterval_ms = 100\ntimeout_ms = 100\nfailures = 2\nsuccesses = 2";
    // Requests that fail must not be what takes it out.
    let patient = "breaker_failures = 255\nbreaker_failure_rate = 1.0";
    let setup = Setup {
        provider: probe.to_owned(),
        settings: vec![("routing", patient.to_owned())],
        ..Setup::default()
    };
    let gateway = Gateway::start(&providers, &setup);
    let mut client = gateway.client();
    let one = providers.provider("one").unwrap();
    let body = with(&ask(MODEL, PROMPT, false, TOKENS), "provider", json!({"order": ["one"]}));
    assert_eq!(served_by(&gateway, &client.chat(&body)), "one");
    runtime().block_on(one.close());
    // Once probes have seen it, requests no longer try it first.
    wait_until("it is taken out", || {
        let answer = client.chat(&body);
        assert!(answer.is_good(), "{}", answer.text());
        tried(&gateway, &answer) == ["ok"]
    });
    wait_until("a probe says so", || gateway.log("stderr").contains("A probe has changed"));
    one.open().unwrap();
    wait_until("it is brought back", || served_by(&gateway, &client.chat(&body)) == "one");
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

// Preferences.

#[test]
fn preferences_and_model_chains_are_followed() {
    let providers =
        providers(&[("a", Dialect::OpenAi), ("b", Dialect::OpenAi), ("c", Dialect::Anthropic)]);
    let all = || vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
    let setup = Setup {
        models: vec![(MODEL.to_owned(), all()), ("test/other".to_owned(), vec!["c".to_owned()])],
        ..Setup::default()
    };
    let gateway = Gateway::start(&providers, &setup);
    let mut client = gateway.client();
    let mut count = |body: &str, times: usize| {
        let mut served: HashMap<String, usize> = HashMap::new();
        for _ in 0..times {
            let answer = client.chat(body);
            let by = match answer.status {
                200 => served_by(&gateway, &answer),
                status => format!("{status} {}", answer.json()["error"]["type"].as_str().unwrap()),
            };
            *served.entry(by).or_default() += 1;
        }
        served
    };
    let plain = ask(MODEL, PROMPT, false, TOKENS);
    let prefs = |value| with(&plain, "provider", value);
    assert!(count(&plain, 60).len() >= 2, "more than one takes part");
    for (value, expected) in [
        (json!({"only": ["b"]}), "b"),
        (json!({"ignore": ["a", "b"]}), "c"),
        (json!({"order": ["c", "a"]}), "c"),
        (json!({"order": ["b"], "allow_fallbacks": false}), "b"),
    ] {
        let served = count(&prefs(value.clone()), 12);
        assert_eq!(served, HashMap::from([(expected.to_owned(), 12)]), "{value}");
    }
    for (value, expected) in [
        (json!({"only": ["nobody"]}), "404 no_endpoints"),
        (json!({"ignore": ["a", "b", "c"]}), "404 no_endpoints"),
        (json!({"order": ["nobody"], "allow_fallbacks": false}), "404 no_endpoints"),
        (json!({"ordre": ["a"]}), "400 invalid_request"),
        (json!({"only": "a"}), "400 invalid_request"),
    ] {
        let served = count(&prefs(value.clone()), 1);
        assert_eq!(served, HashMap::from([(expected.to_owned(), 1)]), "{value}");
    }
    // Without fallbacks the first choice's failure is the client's.
    for name in ["a", "b"] {
        spoil(&providers, name, &Behaviour::failing(Fault::Status(500)));
    }
    let only_b = prefs(json!({"order": ["b"], "allow_fallbacks": false}));
    assert_eq!(count(&only_b, 1).into_keys().next().unwrap(), "502 provider_unavailable");
    // The next model is tried when the first one's endpoints have failed.
    let chain = with(&prefs(json!({"ignore": []})), "models", json!([MODEL, "test/other"]));
    spoil(&providers, "c", &Behaviour { faults: vec![], ..Behaviour::default() });
    let served = client_model(&gateway, &with(&chain, "provider", json!({"order": ["a", "b"]})));
    assert_eq!(served, MODEL, "c hosts the first model, too");
    spoil(
        &providers,
        "c",
        &Behaviour {
            faults: vec![FaultRule { first: Some(1), ..FaultRule::always(Fault::Status(500)) }],
            ..Behaviour::default()
        },
    );
    assert_eq!(client_model(&gateway, &chain), "test/other");
    let unknown = with(&plain, "models", json!(["test/nowhere"]));
    assert_eq!(count(&unknown, 1).into_keys().next().unwrap(), "404 model_not_found");
}

fn client_model(gateway: &Gateway, body: &str) -> String {
    let answer = gateway.client().chat(body);
    assert!(answer.is_good(), "{}", answer.text());
    answer.json()["model"].as_str().unwrap().to_owned()
}

#[test]
fn the_slower_one_gets_less() {
    let providers = providers(&[("fast", Dialect::OpenAi), ("slow", Dialect::OpenAi)]);
    spoil(&providers, "fast", &Behaviour { ttft_ms: 15, ..Behaviour::default() });
    spoil(&providers, "slow", &Behaviour { ttft_ms: 150, ..Behaviour::default() });
    let gateway = Gateway::start(&providers, &Setup::default());
    let made = hammer(&gateway, 300, 4, |i| ask(MODEL, PROMPT, i % 2 == 0, TOKENS));
    assert_eq!(made.failures, 0, "{:?}", made.first);
    let slow = providers.provider("slow").unwrap().stats().requests;
    assert!(slow < 75, "{slow} of 300 went to the slow one");
    assert!(slow > 0, "it is looked at now and then");
}

// Under load.

/// How a run of many requests went.
struct Made {
    failures: usize,
    first: Option<String>,
    errors: HashMap<u16, usize>,
}

/// Sends so many requests from so many threads at once.
fn hammer(
    gateway: &Gateway,
    requests: usize,
    threads: usize,
    body: impl Fn(usize) -> String + Sync,
) -> Made {
    let next = AtomicUsize::new(0);
    let bad = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut client = gateway.client();
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= requests {
                        break;
                    }
                    let answer = client.chat(&body(i));
                    if !answer.is_good() {
                        bad.lock().unwrap().push((answer.status, answer.text()));
                    }
                }
            });
        }
    });
    let bad = bad.into_inner().unwrap();
    let mut errors = HashMap::new();
    bad.iter().for_each(|(status, _)| *errors.entry(*status).or_default() += 1);
    Made { failures: bad.len(), first: bad.into_iter().next().map(|(_, text)| text), errors }
}

/// Requests per fault; more when asked for by hand.
fn requests() -> usize {
    std::env::var("FAILOVER_REQUESTS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_500)
}

fn load(name: &str, fault: Option<Fault>) {
    let providers = providers(&[
        ("one", Dialect::OpenAi),
        ("two", Dialect::Anthropic),
        ("bad", Dialect::OpenAi),
    ]);
    match fault {
        Some(fault) => spoil(&providers, "bad", &Behaviour::failing(fault)),
        None => runtime().block_on(providers.provider("bad").unwrap().close()),
    }
    let setup = Setup { timeouts: vec![("bad".to_owned(), QUICK.to_owned())], ..Setup::default() };
    let gateway = Gateway::start(&providers, &setup);
    let total = requests();
    let made = hammer(&gateway, total, 48, |i| ask(MODEL, PROMPT, i % 2 == 0, TOKENS));
    assert_eq!(made.failures, 0, "{name}: {:?} {:?}", made.errors, made.first);
    let arrived: u64 = providers.providers().iter().map(|p| p.stats().requests).sum();
    wait_until("every attempt is counted", || {
        gateway.metric("turnpike_attempts_total", &["\"ok\""]) >= total as f64
    });
    let attempts = gateway.metric("turnpike_attempts_total", &[]);
    let most = total as f64 * 1.2;
    assert!(arrived as f64 <= most, "{name}: {arrived} arrived for {total} requests");
    assert!(attempts <= most, "{name}: {attempts} attempts for {total} requests");
    eprintln!("{name}: {total} requests, {attempts} attempts, 0 failures");
}

#[test]
fn no_request_fails_while_one_provider_is_down() {
    load("down", None);
}

#[test]
fn no_request_fails_while_one_provider_hangs() {
    load("hang", Some(Fault::Hang));
}

#[test]
fn no_request_fails_while_one_provider_rate_limits() {
    load("429", Some(Fault::Status(429)));
}

#[test]
fn no_request_fails_while_one_provider_cuts_before_its_first_token() {
    load("cut before", Some(Fault::CutBefore));
}

#[test]
fn no_request_fails_while_one_provider_reports_errors_in_band() {
    load("in band", Some(Fault::InBand));
}

#[test]
fn an_outage_is_not_multiplied() {
    let providers = providers(&[
        ("one", Dialect::OpenAi),
        ("two", Dialect::OpenAi),
        ("three", Dialect::OpenAi),
    ]);
    for provider in providers.providers() {
        provider.set(Behaviour::failing(Fault::Status(500))).unwrap();
    }
    let setup = Setup {
        settings: vec![("routing", "retry_budget_reserve = 20".to_owned())],
        ..Setup::default()
    };
    let gateway = Gateway::start(&providers, &setup);
    let total = 600;
    let began = Instant::now();
    let made = hammer(&gateway, total, 32, |i| ask(MODEL, PROMPT, i % 2 == 0, TOKENS));
    assert_eq!(made.failures, total);
    assert_eq!(made.errors, HashMap::from([(502, total)]), "{:?}", made.first);
    let arrived: u64 = providers.providers().iter().map(|p| p.stats().requests).sum();
    // The reserve comes back every ten seconds.
    let reserve = 20 * (1 + began.elapsed().as_secs() / 10);
    let most = total as u64 * 6 / 5 + reserve;
    assert!((total as u64..=most).contains(&arrived), "{arrived} attempts for {total} requests");
}
