//! Slow endpoints that are raced against a second one: one answer, from whoever is quicker, paid for
//! once; and nothing but the first request where it is not slow, not allowed or not wanted.

mod failures;
mod http2;

use std::io::{BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use turnpike::dialect::Dialect;
use turnpike::simulate::{Behaviour, Fault, FaultRule, Provider, Running, Stats};

use crate::support::gateway::MODEL;
use crate::support::{Answer, Client, Gateway, Setup, eventually, providers, runtime};

const TOKENS: u32 = 20;
/// Longer than any test waits.
const NEVER_MS: u32 = 50_000;
/// Hedged at once, as often as it helps.
const EAGER: &str = "enabled = true\nrequests_max = \"100%\"\nspend_max = \"100%\"\n\
                     delay_default_ms = 100\ndelay_min_ms = 10";

/// The same, but nothing is slow that is only held up by the machine.
const PATIENT: &str = "enabled = true\nrequests_max = \"100%\"\nspend_max = \"100%\"";

/// A gateway over `one`, `two` and `three`, asked in this order, whose prompts cost nothing.
struct Stage {
    running: Running,
    gateway: Gateway,
}

impl Stage {
    fn new(dialects: [Dialect; 3], hedging: &str) -> Self {
        Self::with(dialects, hedging, Setup { prices: ("0", "2"), ..Setup::default() })
    }

    fn with(dialects: [Dialect; 3], hedging: &str, mut setup: Setup) -> Self {
        let running =
            providers(&[("one", dialects[0]), ("two", dialects[1]), ("three", dialects[2])]);
        if !hedging.is_empty() {
            setup.settings.push(("routing.hedging", hedging.to_owned()));
        }
        setup.settings.push(("routing", "breaker_failures = 255".to_owned()));
        let gateway = Gateway::start(&running, &setup);
        let stage = Self { running, gateway };
        for name in ["one", "two", "three"] {
            stage.set(name, counting(1));
        }
        stage
    }

    fn openai(hedging: &str) -> Self {
        Self::new([Dialect::OpenAi; 3], hedging)
    }

    fn provider(&self, name: &str) -> Provider {
        self.running.provider(name).expect("a provider")
    }

    fn set(&self, name: &str, behaviour: Behaviour) {
        self.provider(name).set(behaviour).expect("a behaviour");
    }

    fn fails(&self, name: &str, ttft_ms: u32, fault: Fault) {
        let faults = vec![FaultRule::always(fault)];
        self.set(name, Behaviour { faults, ..counting(ttft_ms) });
    }

    /// Waits until a provider has counted what is wanted.
    fn until(&self, name: &str, what: &str, wanted: impl Fn(&Stats) -> bool) {
        let provider = self.provider(name);
        let waited = provider.wait_until(Duration::from_secs(20), wanted);
        runtime().block_on(waited).unwrap_or_else(|stats| panic!("{name}: {what}: {stats:?}"));
    }

    fn requests(&self) -> [u64; 3] {
        ["one", "two", "three"].map(|name| self.provider(name).stats().requests)
    }

    fn ask(&self) -> Answer {
        self.gateway.client().chat(&body(json!({})))
    }

    /// A connection on which an answer is about to come.
    fn open(&self, more: Value) -> BufReader<TcpStream> {
        let mut connection = self.gateway.client().connect();
        let (body, key) = (body(more), &self.gateway.key);
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        connection.get_mut().write_all(head.as_bytes()).expect("the request is sent");
        connection
    }

    /// A good answer of [`TOKENS`] words that was tried with these outcomes.
    fn expect(&self, outcomes: &[&str]) -> Answer {
        let answer = self.ask();
        self.check(&answer, outcomes);
        answer
    }

    fn check(&self, answer: &Answer, outcomes: &[&str]) {
        assert!(answer.is_good(), "{}", answer.text());
        assert_eq!(answer.content(), whole_text(), "{}", answer.text());
        assert_eq!(tried(&self.line(answer)), outcomes, "{}", answer.text());
    }

    /// The access log's line of an answer, once it is written.
    fn line(&self, answer: &Answer) -> Value {
        let id = answer.header("x-generation-id").expect("a generation id");
        eventually("a line in the log", || {
            let log = self.gateway.log("access.log");
            let line = log.lines().rev().find(|l| l.contains(id) && l.ends_with('}'))?;
            serde_json::from_str(line).ok()
        })
    }

    /// How many hedges came to this result.
    fn hedges(&self, result: &str) -> u64 {
        let count = self.gateway.metric("turnpike_hedges_total", &[&format!("\"{result}\"")]);
        format!("{:.0}", count.abs()).parse().expect("a count")
    }

    /// Stops the gateway: its ledger is sound, and has charged so many nano-dollars.
    fn close(mut self, charged: u64) {
        let mut client = self.gateway.client();
        let mut seen = String::new();
        eventually(&format!("{charged} are charged"), || {
            let data = client.get("/api/v1/credits").json()["data"]["total_usage"].clone();
            seen = format!("{:.0}", data.as_f64()? * 1e9);
            (seen == charged.to_string()).then_some(())
        });
        self.gateway.signal("TERM");
        assert!(self.gateway.wait(Duration::from_secs(30)).success());
        let said = self.gateway.verify().unwrap_or_else(|error| panic!("{error}"));
        assert!(said.contains("sound"), "{said}");
    }
}

fn counting(ttft_ms: u32) -> Behaviour {
    Behaviour { ttft_ms, tokens: TOKENS, numbered: true, ..Behaviour::default() }
}

fn whole_text() -> String {
    (0..TOKENS).map(|i| if i == 0 { "w0".to_owned() } else { format!(" w{i}") }).collect()
}

fn body(more: Value) -> String {
    let mut body = json!({
        "model": MODEL,
        "stream": true,
        "max_tokens": 1000,
        "messages": [{"role": "user", "content": "Count"}],
        "provider": {"order": ["one", "two", "three"]},
    });
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body.to_string()
}

fn tried(line: &Value) -> Vec<&str> {
    line["tried"].as_array().into_iter().flatten().filter_map(|t| t["outcome"].as_str()).collect()
}

/// What [`TOKENS`] cost at [`Setup::prices`] of `("0", "2")`, in nano-dollars.
const COST: u64 = TOKENS as u64 * 2_000;

#[test]
fn a_slow_endpoint_is_overtaken() {
    let stage = Stage::openai(EAGER);
    stage.set("one", counting(NEVER_MS));
    let begun = Instant::now();
    let answer = stage.expect(&["beaten", "ok"]);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(100), "the first was left alone for a while: {took:?}");
    assert!(took < Duration::from_secs(10), "nobody waited for the first: {took:?}");
    stage.until("one", "its connection is closed", |stats| stats.cancelled == 1);
    stage.until("two", "it has answered", |stats| stats.completed == 1);
    assert_eq!(stage.requests(), [1, 1, 0]);
    assert_eq!((stage.hedges("won"), stage.hedges("beaten")), (1, 0));
    let line = stage.line(&answer);
    assert_eq!(line["gen_ai.provider.name"], "two", "{line}");
    assert_eq!(stage.gateway.metric("turnpike_fallbacks_total", &[]).abs().to_string(), "0");
    stage.close(COST);
}

#[test]
fn a_second_one_that_is_slower_still_is_cancelled() {
    let stage = Stage::openai(EAGER);
    stage.set("one", counting(1_200));
    stage.set("two", counting(NEVER_MS));
    let answer = stage.expect(&["beaten", "ok"]);
    assert_eq!(stage.line(&answer)["gen_ai.provider.name"], "one");
    stage.until("two", "its connection is closed", |stats| stats.cancelled == 1);
    assert_eq!(stage.requests(), [1, 1, 0]);
    assert_eq!((stage.hedges("won"), stage.hedges("beaten")), (0, 1));
    stage.close(COST);
}

#[test]
fn dialects_may_differ_on_every_surface() {
    let pairs = [
        (Dialect::OpenAi, Dialect::Anthropic),
        (Dialect::Anthropic, Dialect::OpenAi),
        (Dialect::Gemini, Dialect::Responses),
        (Dialect::Ollama, Dialect::Bedrock),
    ];
    for (first, second) in pairs {
        // Some of these bill on.
        let hedging = format!("{EAGER}\nbilled_losers = true");
        let setup = Setup { prices: ("0", "0"), ..Setup::default() };
        let stage = Stage::with([first, second, Dialect::OpenAi], &hedging, setup);
        stage.set("one", counting(NEVER_MS));
        stage.expect(&["beaten", "ok"]);
        let messages = body(json!({"provider": {"order": ["one", "two", "three"]}}));
        let answer = stage.gateway.client().send("POST", "/v1/messages", &[], messages.as_bytes());
        let streamed = crate::support::stream::read(turnpike::dialect::Surface::Messages, &answer);
        assert_eq!(streamed.text, whole_text(), "{first}, then {second}: {}", answer.text());
        assert_eq!(tried(&stage.line(&answer)), ["beaten", "ok"]);
        // The other way round: the first one wins while the second is asked.
        stage.set("one", counting(1_200));
        stage.set("two", counting(NEVER_MS));
        stage.expect(&["beaten", "ok"]);
        assert_eq!((stage.hedges("won"), stage.hedges("beaten")), (2, 1), "{first}, {second}");
        stage.close(0);
    }
}

#[test]
fn a_quick_endpoint_is_asked_alone() {
    let stage = Stage::openai(PATIENT);
    let mut client = stage.gateway.client();
    for _ in 0..5 {
        let answer = client.chat(&body(json!({})));
        stage.check(&answer, &["ok"]);
    }
    assert_eq!(stage.requests(), [5, 0, 0]);
    assert_eq!(stage.provider("one").stats().connections, 1, "its connection is used again");
    stage.close(5 * COST);
}

#[test]
fn without_hedging_one_request_is_made() {
    for hedging in ["", "enabled = false\ndelay_default_ms = 1"] {
        let stage = Stage::openai(hedging);
        stage.set("one", counting(1_000));
        stage.expect(&["ok"]);
        assert_eq!(stage.requests(), [1, 0, 0], "{hedging}");
        stage.close(COST);
    }
}

#[test]
fn what_is_not_hedged() {
    let stage = Stage::openai(EAGER);
    stage.set("one", counting(1_000));
    for more in [
        json!({"stream": false}),
        json!({"provider": {"order": ["one"], "allow_fallbacks": false}}),
        json!({"provider": {"only": ["one"]}}),
    ] {
        let answer = stage.gateway.client().chat(&body(more.clone()));
        assert!(answer.is_good(), "{}", answer.text());
        assert_eq!(tried(&stage.line(&answer)), ["ok"], "{more}");
    }
    assert_eq!(stage.requests(), [3, 0, 0]);
    stage.close(3 * COST);
}

#[test]
fn providers_that_bill_a_cancelled_answer_take_part_only_if_they_may() {
    for (may, requests) in [(false, [1, 0, 0]), (true, [1, 1, 0])] {
        let provider = "bills_after_cancel = true".to_owned();
        let setup = Setup { provider, prices: ("0", "0"), ..Setup::default() };
        let hedging = format!("{EAGER}\nbilled_losers = {may}");
        let stage = Stage::with([Dialect::OpenAi; 3], &hedging, setup);
        stage.set("one", counting(1_200));
        assert!(stage.ask().is_good());
        assert_eq!(stage.requests(), requests, "allowed: {may}");
    }
}

#[test]
fn a_share_of_requests_is_hedged() {
    let half = EAGER.replace("requests_max = \"100%\"", "requests_max = \"50%\"");
    let stage = Stage::openai(&half);
    stage.set("one", counting(1_000));
    stage.expect(&["ok"]);
    stage.expect(&["beaten", "ok"]);
    stage.expect(&["ok"]);
    stage.expect(&["beaten", "ok"]);
    assert_eq!(stage.requests(), [4, 2, 0]);
    assert_eq!((stage.hedges("refused"), stage.hedges("won")), (2, 2));
    stage.close(4 * COST);
}

#[test]
fn losers_cost_at_most_a_share_of_charges() {
    // A prompt costs as much as 10 words of an answer of 20.
    let setup = Setup { prices: ("2", "2"), ..Setup::default() };
    let stage = Stage::with([Dialect::OpenAi; 3], EAGER, setup);
    stage.set("one", counting(1_000));
    let answer = stage.ask();
    assert_eq!(tried(&stage.line(&answer)), ["ok"], "nothing has been charged");
    assert_eq!(stage.hedges("refused"), 1);
    let answer = stage.ask();
    assert_eq!(tried(&stage.line(&answer)), ["beaten", "ok"]);
    assert_eq!(stage.requests(), [2, 1, 0]);
    let costs = stage.gateway.log("access.log").lines().count();
    assert_eq!(costs, 2, "a line per request, whatever was tried");
}

#[test]
fn the_winners_price_is_charged() {
    let endpoint = |provider: &str, price: u32| {
        format!(
            "[[models.endpoints]]\nprovider = \"{provider}\"\nupstream_model = \"m\"\n\
             max_output = 4096\nprices = {{ prompt = \"0\", completion = \"{price}\" }}\n"
        )
    };
    let more = format!(
        "[[models]]\nid = \"test/priced\"\nname = \"Priced\"\ncontext_length = 100000\n{}{}",
        endpoint("one", 3),
        endpoint("two", 7),
    );
    let stage = Stage::with([Dialect::OpenAi; 3], EAGER, Setup { more, ..Setup::default() });
    stage.set("one", counting(NEVER_MS));
    let answer = stage.gateway.client().chat(&body(json!({"model": "test/priced"})));
    stage.check(&answer, &["beaten", "ok"]);
    let id = answer.header("x-generation-id").expect("an id").to_owned();
    let mut client = stage.gateway.client();
    let record = eventually("the record", || {
        let found = client.get(&format!("/api/v1/generation?id={id}"));
        (found.status == 200).then(|| found.json()["data"].clone())
    });
    assert_eq!(record["provider_name"], "two", "{record}");
    stage.close(u64::from(TOKENS) * 7_000);
}

/// A provider that answers one request with more than the buffers of all sockets in between hold. Says
/// after how many bytes it could write no more, if it came to that; then it goes on.
fn floods(listener: &TcpListener, blocked: &Sender<usize>) {
    let mut socket = listener.accept().expect("the gateway connects").0;
    socket.set_write_timeout(Some(Duration::from_millis(700))).expect("a socket option");
    let _asked = socket.read(&mut [0; 8192]).expect("a request");
    let event = |delta: &str, finish: &str| {
        let choice = format!("{{\"index\":0,\"delta\":{{{delta}}},\"finish_reason\":{finish}}}");
        format!("data: {{\"id\":\"x\",\"model\":\"m\",\"choices\":[{choice}]}}\n\n")
    };
    let text = format!("\"content\":\"{}\"", "x".repeat(FLOOD / FLOOD_EVENTS));
    let mut wire = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n".to_owned();
    wire += &event(&text, "null").repeat(FLOOD_EVENTS);
    wire += &event("", "\"stop\"");
    wire += "data: [DONE]\n\n";
    let (wire, mut sent) = (wire.as_bytes(), 0);
    while sent < wire.len() {
        match socket.write(&wire[sent..]) {
            Ok(bytes) => sent += bytes,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                blocked.send(sent).expect("the test listens");
            }
            Err(error) => panic!("after {sent} bytes: {error}"),
        }
    }
    // Closed with something unread, it would be a reset, which overtakes what was sent.
    socket.shutdown(Shutdown::Write).expect("a socket option");
    std::io::copy(&mut socket, &mut std::io::sink()).expect("the gateway closes");
}

/// Bytes of text, and in how many events.
const FLOOD: usize = 64 << 20;
const FLOOD_EVENTS: usize = 4_096;

#[test]
fn a_long_answer_passes_whole_and_a_slow_client_holds_it_back() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    let strangers = vec![("flood".to_owned(), "openai", url)];
    let setup = Setup { prices: ("0", "0"), strangers, ..Setup::default() };
    let stage = Stage::with([Dialect::OpenAi; 3], EAGER, setup);
    stage.set("one", counting(NEVER_MS));
    let (blocked, told) = channel();
    let flood = std::thread::spawn(move || floods(&listener, &blocked));
    let mut connection = stage.open(json!({"provider": {"order": ["one", "flood"]}}));
    let sent = told.recv().expect("nobody reads, so it has to wait");
    assert!(sent < FLOOD, "{sent} bytes were taken");
    let (answer, _) = crate::support::client::read_answer(&mut connection).expect("an answer");
    flood.join().expect("all of it was taken");
    assert!(answer.is_good(), "a whole stream");
    assert_eq!(answer.content().len(), FLOOD, "bytes of text");
}

#[test]
fn many_at_once_are_each_paid_for_once() {
    let stage = Stage::openai(EAGER);
    // Some are hedged and some are not, and now the one wins and now the other.
    stage.set("one", Behaviour { jitter: 1.0, ..counting(400) });
    stage.set("two", Behaviour { jitter: 1.0, ..counting(200) });
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let answer = stage.ask();
                    assert!(answer.is_good(), "{}", answer.text());
                    assert_eq!(answer.content(), whole_text());
                }
            });
        }
    });
    let [one, two, three] = stage.requests();
    assert_eq!((one, three), (40, 0));
    assert!(two > 0, "some were slow");
    // One may be cancelled before it has read its request.
    assert!(stage.hedges("won") + stage.hedges("beaten") >= two, "each second has its end");
    for name in ["one", "two"] {
        stage.until(name, "nothing is left running", |stats| stats.in_flight == 0);
    }
    stage.close(40 * COST);
}

#[test]
fn the_client_is_told_on_request() {
    let stage = Stage::openai(EAGER);
    stage.set("one", counting(NEVER_MS));
    let mut client = stage.gateway.client();
    let answer = client.chat_with(&body(json!({})), &[("x-openrouter-metadata", "enabled")]);
    stage.check(&answer, &["beaten", "ok"]);
    let metadata = answer.events().iter().find_map(|event| {
        let json: Value = serde_json::from_str(event).ok()?;
        json.get("openrouter_metadata").cloned()
    });
    let metadata = metadata.expect("metadata");
    assert_eq!(metadata["strategy"], "hedge", "{metadata}");
    let attempts = metadata["attempts"].as_array().expect("attempts");
    let told = attempts.iter().map(|a| (a["provider"].clone(), a["outcome"].clone()));
    let told: Vec<_> = told.collect();
    assert_eq!(told, [(json!("one"), json!("beaten")), (json!("two"), json!("ok"))]);
    assert_eq!((&attempts[0]["status"], &attempts[1]["status"]), (&Value::Null, &json!(200)));
}

#[test]
fn an_endpoint_is_waited_for_as_long_as_usual() {
    let careful = format!("{PATIENT}\ndelay_default_ms = 0\ndelay_min_ms = 700");
    let stage = Stage::openai(&careful);
    let slow = counting(2_000);
    stage.set("one", slow.clone());
    stage.expect(&["ok"]);
    assert_eq!(stage.requests(), [1, 0, 0], "nobody knows what is usual");
    stage.set("one", counting(1));
    let mut client: Client = stage.gateway.client();
    for _ in 0..40 {
        stage.check(&client.chat(&body(json!({}))), &["ok"]);
    }
    assert_eq!(stage.requests()[1], 0, "they were as quick as usual");
    stage.set("one", slow);
    // What is usual is looked at once a second.
    eventually("a slow one is hedged", || {
        let answer = stage.ask();
        assert!(answer.is_good(), "{}", answer.text());
        (stage.requests()[1] == 1).then_some(())
    });
    assert_eq!(stage.hedges("won"), 1);
}
