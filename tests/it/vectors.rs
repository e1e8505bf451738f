//! The cases of `tests/vectors` through the real binary: what the client sends → what the provider
//! gets, and what the provider answers → what the client gets.
//!
//! Every case has a provider of its own, which replays its answer, and a model of its own there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use turnpike::dialect::sse::{Frame, Framer};
use turnpike::dialect::{AnswerFault, Dialect, Surface, bedrock};
use turnpike::simulate::{Behaviour, Config, Provider, ProviderConfig, Replay, Running, Simulator};

use crate::support::gateway::free;
use crate::support::{Answer, Client, Gateway, Setup, runtime};

/// A vector, and where it lives in this test.
struct Case {
    name: String,
    folder: PathBuf,
    surface: Surface,
    dialect: Dialect,
    /// The id of its provider, and what follows the `/` in the id of its model.
    id: String,
}

impl Case {
    fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
        let mut cases = Vec::new();
        for pair in folders(&root) {
            let (surface, dialect) = pair.split_once("-to-").expect("<surface>-to-<dialect>");
            for name in folders(&root.join(&pair)) {
                cases.push(Self {
                    folder: root.join(&pair).join(&name),
                    name: format!("{pair}/{name}"),
                    surface: Surface::parse(surface).expect("a surface"),
                    dialect: Dialect::parse(dialect).expect("a dialect"),
                    id: format!("c{}", cases.len()),
                });
            }
        }
        cases
    }

    fn file(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.join(name)).ok()
    }

    fn json(&self, name: &str) -> Option<Value> {
        self.file(name).map(|bytes| serde_json::from_slice(&bytes).expect("JSON"))
    }

    fn target(&self) -> Value {
        self.json("target.json").unwrap_or_default()
    }

    fn upstream_model(&self) -> String {
        self.target()["upstream_model"].as_str().unwrap_or("up-model").to_owned()
    }

    /// Why it cannot be run here.
    fn skip(&self) -> Option<&'static str> {
        let target = self.target();
        if self.fetches() {
            return Some("the internet is not here");
        }
        let steers = |body: Value| {
            ["models", "provider", "plugins", "preset"].iter().any(|name| !body[name].is_null())
        };
        if self.json("request.json").is_some_and(steers) {
            return Some("the request steers where it goes");
        }
        if self.name == "chat-to-bedrock/thinking-raises-limit" {
            return Some("thinking is kept to the limit that was paid for");
        }
        if target["max_output"] == 0 {
            return Some("a configured endpoint has a longest answer");
        }
        if self.dialect == Dialect::Completions && !target["template"].is_string() {
            return Some("a configured raw model has a template");
        }
        if !target["credit_limit"].is_null() {
            return Some("what the account can pay follows from its credit");
        }
        None
    }

    /// The request with the case's model, and with `stream` as the answer needs it.
    fn request(&self, stream: Option<bool>) -> Vec<u8> {
        let minimal = || match self.surface {
            Surface::Chat => json!({"messages": [{"role": "user", "content": "Hi"}]}),
            Surface::Completions => json!({"prompt": "Hi"}),
            Surface::Responses => json!({"input": "Hi"}),
            Surface::Messages => {
                json!({"max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]})
            }
        };
        // The order of members matters to a model, so the text is kept but for these two.
        let mut body = self.file("request.json").unwrap_or_else(|| minimal().to_string().into());
        let text = std::str::from_utf8(&body).expect("text");
        let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).expect("JSON");
        let mut edits = Vec::new();
        let mut front = String::new();
        let stream = stream.map(|stream| ("stream", stream.to_string()));
        let model = ("model", format!("\"vectors/{}\"", self.id));
        for (name, value) in [Some(model), stream].into_iter().flatten() {
            match members.get(name) {
                Some(old) => {
                    let raw: &RawValue = old;
                    let of_member = |at: &(usize, &str)| {
                        let before = text[..at.0].trim_end();
                        before.ends_with(':')
                            && before[..before.len() - 1]
                                .trim_end()
                                .ends_with(&format!("\"{name}\""))
                    };
                    let found = text.match_indices(raw.get()).find(of_member).expect("a member");
                    edits.push((found.0, raw.get().len(), value));
                }
                None => {
                    write!(front, "\"{name}\":{value},").expect("text");
                }
            }
        }
        edits.sort_unstable_by_key(|(at, ..)| std::cmp::Reverse(*at));
        for (at, len, value) in edits {
            body.splice(at..at + len, value.into_bytes());
        }
        let inside = body.iter().position(|b| *b == b'{').expect("an object") + 1;
        body.splice(inside..inside, front.into_bytes());
        body
    }

    /// Whether both sides speak the same format, so that the bytes pass: what goes through the hub
    /// in such a case is tested in the library.
    fn passes(&self) -> bool {
        matches!(
            (self.surface, self.dialect),
            (Surface::Chat, Dialect::OpenAi | Dialect::Azure)
                | (Surface::Messages, Dialect::Anthropic)
                | (Surface::Responses, Dialect::Responses)
                | (Surface::Completions, Dialect::Completions)
        )
    }

    /// Whether the gateway would fetch something first.
    fn fetches(&self) -> bool {
        let request = self.file("request.json").map(|body| self.surface.read_request(&body));
        request.is_some_and(|read| read.is_ok_and(|r| !r.to_fetch(self.dialect).is_empty()))
    }

    fn path(&self) -> &'static str {
        match self.surface {
            Surface::Chat => "/v1/chat/completions",
            Surface::Completions => "/v1/completions",
            Surface::Responses => "/v1/responses",
            Surface::Messages => "/v1/messages",
        }
    }

    fn streamed(&self) -> Option<Replay> {
        if let Some(bytes) = self.file("answer.sse") {
            return Some(Replay::sse([bytes]));
        }
        let of = |kind: &str, bytes: Vec<u8>| {
            let mut replay = Replay::sse([bytes]);
            replay.headers = vec![("content-type".to_owned(), kind.to_owned())];
            replay
        };
        if let Some(bytes) = self.file("answer.ndjson") {
            return Some(of("application/x-ndjson", bytes));
        }
        let lines = String::from_utf8(self.file("answer.frames")?).expect("text");
        let frames = lines.lines().filter_map(|line| line.split_once(' '));
        let bytes = frames.flat_map(|(kind, payload)| bedrock::encode(kind, payload)).collect();
        Some(of("application/vnd.amazon.eventstream", bytes))
    }
}

/// The names of the folders in a folder, in order.
fn folders(at: &Path) -> Vec<String> {
    let entries = fs::read_dir(at).expect("a folder").map(|entry| entry.expect("an entry"));
    let folders = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<_> =
        folders.map(|entry| entry.file_name().into_string().expect("a name")).collect();
    names.sort();
    names
}

/// One listener for all providers, which differ by their prefixes.
fn providers(cases: &[Case]) -> Running {
    let listen = free();
    let configs = cases.iter().map(|case| ProviderConfig {
        listen,
        prefix: format!("/{}", case.id),
        ..ProviderConfig::new(&*case.id, case.dialect).replaying_only()
    });
    Simulator::start_on(Config::of(configs), runtime().handle()).expect("simulated providers")
}

fn tables(cases: &[Case], providers: &Running) -> String {
    let mut text = String::new();
    for case in cases {
        let (id, target) = (&case.id, case.target());
        let provider = providers.provider(id).expect("its provider");
        let mut more = String::new();
        if let Some(host) = target["host"].as_str() {
            writeln!(more, "host = {host:?}").expect("text");
        }
        if case.dialect == Dialect::Azure {
            more.push_str("api_version = \"2024-10-21\"\n");
        }
        let (dialect, url) = (case.dialect, provider.base_url());
        let mut endpoint = String::new();
        if let Some(template) = target["template"].as_str() {
            writeln!(endpoint, "template = {template:?}").expect("text");
        }
        let most = target["max_output"].as_u64().unwrap_or(8192);
        let upstream = case.upstream_model();
        write!(
            text,
            "[[providers]]\nid = \"{id}\"\nname = \"Host\"\ndialect = \"{dialect}\"\n\
             base_url = \"{url}\"\napi_key = \"env:SIM_KEY\"\n{more}\n\
             [[models]]\nid = \"vectors/{id}\"\nname = \"{id}\"\ncontext_length = 1000000\n\
             [[models.endpoints]]\nprovider = \"{id}\"\nupstream_model = \"{upstream}\"\n\
             max_output = {most}\n{endpoint}prices = {{ prompt = \"1\", completion = \"2\" }}\n",
        )
        .expect("text");
    }
    text
}

#[test]
fn vectors_hold_from_end_to_end() {
    let (skipped, cases): (Vec<_>, Vec<_>) =
        Case::all().into_iter().partition(|case| case.skip().is_some());
    let providers = providers(&cases);
    let base = crate::support::providers(&[("base", Dialect::OpenAi)]);
    let setup = Setup { more: tables(&cases, &providers), ..Setup::default() };
    let gateway = Gateway::start(&base, &setup);
    let mut client = gateway.client();
    let mut wrong = BTreeMap::new();
    for case in &cases {
        let provider = providers.provider(&case.id).expect("its provider");
        let mut run = Run { case, provider, client: &mut client, faults: Vec::new() };
        run.all();
        if !run.faults.is_empty() {
            wrong.insert(case.name.clone(), run.faults);
        }
    }
    let mut reasons = BTreeMap::<_, Vec<_>>::new();
    for case in &skipped {
        reasons.entry(case.skip()).or_default().push(&*case.name);
    }
    assert!(skipped.len() <= SKIPPED_MAX, "{} are skipped: {reasons:#?}", skipped.len());
    for (name, faults) in &wrong {
        eprintln!("--- {name}\n{}", faults.join("\n"));
    }
    assert!(wrong.is_empty(), "{} of {} are wrong", wrong.len(), cases.len());
}

/// The most cases that may be skipped.
const SKIPPED_MAX: usize = 60;

/// A case being run.
struct Run<'a> {
    case: &'a Case,
    provider: Provider,
    client: &'a mut Client,
    faults: Vec<String>,
}

impl Run<'_> {
    fn all(&mut self) {
        if self.case.passes() && self.case.file("error.json").is_some() {
            // The provider judges what passes.
            return;
        }
        if let Some(error) = self.case.json("error.json") {
            let answer = self.send(None, Replay::json(500, "{}"));
            if u64::from(answer.status) != error["status"].as_u64().unwrap_or_default() {
                self.faults.push(format!(
                    "wanted {error}, got {}: {}",
                    answer.status,
                    answer.text()
                ));
            }
            return;
        }
        let whole = self.case.file("answer.json").map(|bytes| Replay::json(200, bytes));
        let streamed = self.case.streamed();
        if whole.is_none() && streamed.is_none() {
            let refusal = Replay::json(400, "{\"error\":{\"message\":\"no\"}}");
            let _answer = self.send(None, refusal);
            self.check_request();
        }
        if let Some(replay) = whole {
            let answer = self.send(Some(false), replay);
            self.check_request();
            self.check_whole(&answer);
        }
        if let Some(replay) = streamed {
            let answer = self.send(Some(true), replay);
            self.check_request();
            self.check_stream(&answer);
        }
    }

    fn send(&mut self, stream: Option<bool>, replay: Replay) -> Answer {
        self.provider.set(Behaviour::replaying(replay)).expect("a behaviour");
        self.provider.reset_counters();
        let body = self.case.request(stream);
        self.client.send("POST", self.case.path(), &[], &body)
    }

    fn check_request(&mut self) {
        let Some(mut wanted) = self.case.json("upstream.json") else { return };
        let last = self.provider.last_request();
        let Some(body) = last.as_ref().and_then(|last| last.body.as_ref()) else {
            self.faults.push("the provider got no request".to_owned());
            return;
        };
        let mut got: Value = serde_json::from_slice(body).expect("the provider gets JSON");
        for body in [&mut got, &mut wanted].into_iter().filter_map(Value::as_object_mut) {
            // Which answer a case has decides what is asked for.
            body.remove("stream");
            body.remove("stream_options");
        }
        if self.case.passes() {
            let model = self.case.upstream_model();
            if self.case.dialect != Dialect::Azure && got["model"] != *model {
                self.faults.push(format!("the model is {}", got["model"]));
            }
            return;
        }
        self.compare("upstream", &got, &wanted);
    }

    fn check_whole(&mut self, answer: &Answer) {
        if let Some(fault) = self.case.json("fault.json") {
            if answer.status < 500 && answer.status != 429 {
                let text = answer.text();
                self.faults.push(format!("{fault}: whole gives {}: {text}", answer.status));
            }
            return;
        }
        if answer.status != 200 {
            self.faults.push(format!("whole: {}: {}", answer.status, answer.text()));
            return;
        }
        if self.case.passes() {
            return;
        }
        let wanted = self.case.json("client.json").expect("client.json");
        let got = self.normal(answer).first().map(|(_, json)| json.clone()).unwrap_or_default();
        self.compare("client.json", &got, &plain(wanted));
    }

    fn check_stream(&mut self, answer: &Answer) {
        let wanted = events(&self.case.file("client.sse").expect("client.sse"));
        let wanted: Vec<_> = wanted.into_iter().map(|(name, json)| (name, plain(json))).collect();
        let fails = self.case.file("fault.json").is_some();
        if fails && answer.status >= 400 {
            return;
        }
        if answer.status != 200 || !answer.whole {
            self.faults.push(format!("stream: {}: {}", answer.status, answer.text()));
            return;
        }
        let got = self.normal(answer);
        if self.case.passes() && !fails {
            return;
        }
        if fails {
            if looks_complete(self.case.surface, &got) {
                self.faults.push(format!("a broken stream looks complete: {}", answer.text()));
            }
            return;
        }
        for (i, (got, wanted)) in got.iter().zip(&wanted).enumerate() {
            if got.0 != wanted.0 {
                self.faults.push(format!("client.sse[{i}]: {} for {}", got.0, wanted.0));
            }
            self.compare(&format!("client.sse[{i}]"), &got.1, &wanted.1);
        }
        if got.len() != wanted.len() {
            let (got, wanted) = (got.len(), wanted.len());
            self.faults.push(format!("client.sse: {got} events for {wanted}"));
        }
    }

    /// The events of an answer, or its only document, with what differs from run to run replaced.
    fn normal(&self, answer: &Answer) -> Vec<(String, Value)> {
        let generation = answer.header("x-generation-id").unwrap_or("gen-?");
        let id = generation.strip_prefix("gen-").unwrap_or(generation);
        let text = answer
            .text()
            .replace(id, "test")
            .replace(&format!("vectors/{}", self.case.id), "author/model");
        let streamed = answer.header("content-type").is_some_and(|t| t.contains("event-stream"));
        let documents = if streamed {
            events(text.as_bytes())
        } else {
            vec![(String::new(), serde_json::from_str(&text).unwrap_or_else(|_| text.into()))]
        };
        documents.into_iter().map(|(name, json)| (name, plain(json))).collect()
    }

    fn compare(&mut self, what: &str, got: &Value, wanted: &Value) {
        let (mut got, mut wanted) = (got.clone(), wanted.clone());
        forget_estimates(&mut got, &mut wanted);
        if let Some((at, got, wanted)) = difference(&got, &wanted) {
            self.faults.push(format!("{what}{at}:\n   got {got}\nwanted {wanted}"));
        }
    }
}

/// Where a provider tells no usage, the gateway counts; a vector has zeros.
fn forget_estimates(got: &mut Value, wanted: &mut Value) {
    match (got, wanted) {
        (Value::Object(got), Value::Object(wanted)) => {
            let zero = |usage: &Value, name: &str| usage[name] == 0;
            let untold = wanted.get("usage").is_some_and(|usage| {
                (zero(usage, "completion_tokens") && zero(usage, "prompt_tokens"))
                    || (zero(usage, "output_tokens") && zero(usage, "input_tokens"))
            });
            if untold {
                got.remove("usage");
                wanted.remove("usage");
            }
            for (name, wanted) in wanted {
                if let Some(got) = got.get_mut(name) {
                    forget_estimates(got, wanted);
                }
            }
        }
        (Value::Array(got), Value::Array(wanted)) => {
            for (got, wanted) in got.iter_mut().zip(wanted) {
                forget_estimates(got, wanted);
            }
        }
        _ => {}
    }
}

/// Times and costs are the run's own.
fn plain(mut json: Value) -> Value {
    fn walk(json: &mut Value) {
        match json {
            Value::Object(members) => {
                for time in ["created", "created_at", "completed_at"] {
                    if let Some(value) = members.get_mut(time).filter(|value| value.is_number()) {
                        *value = json!(0);
                    }
                }
                members.remove("cost");
                members.values_mut().for_each(walk);
            }
            Value::Array(items) => items.iter_mut().for_each(walk),
            _ => {}
        }
    }
    walk(&mut json);
    json
}

/// The first place where two documents differ, and what is there.
fn difference(got: &Value, wanted: &Value) -> Option<(String, String, String)> {
    let inner = |at: String, pair: (&Value, &Value)| {
        difference(pair.0, pair.1).map(|(rest, got, wanted)| (at + &rest, got, wanted))
    };
    match (got, wanted) {
        (Value::Object(a), Value::Object(b)) => {
            let names: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            let get = |map: &Map<String, Value>, name: &str| map.get(name).cloned();
            names.into_iter().find_map(|name| match (get(a, name), get(b, name)) {
                (Some(a), Some(b)) => inner(format!(".{name}"), (&a, &b)),
                (a, b) => {
                    let text = |v: Option<Value>| v.map_or("nothing".to_owned(), |v| v.to_string());
                    Some((format!(".{name}"), text(a), text(b)))
                }
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(i, pair)| inner(format!("[{i}]"), pair))
        }
        _ if got == wanted => None,
        _ => Some((String::new(), got.to_string(), wanted.to_string())),
    }
}

/// The names and documents of a stream of events; comments are passed over.
fn events(wire: &[u8]) -> Vec<(String, Value)> {
    let (mut framer, mut got) = (Framer::new(1 << 24), Vec::new());
    let mut on = |frame: Frame<'_>| {
        let data = serde_json::from_str(frame.data).unwrap_or_else(|_| frame.data.into());
        got.push((frame.event.to_owned(), data));
        Ok::<_, AnswerFault>(())
    };
    framer.push(wire, &mut on).expect("a stream of events");
    framer.finish(&mut on).expect("a stream of events");
    got
}

/// Whether a client would take the stream for a good and whole one.
fn looks_complete(surface: Surface, events: &[(String, Value)]) -> bool {
    let has = |kind: &str| events.iter().any(|(_, json)| json["type"] == kind);
    let failed = events.iter().any(|(_, json)| json["error"].is_object());
    match surface {
        Surface::Chat | Surface::Completions => !failed,
        Surface::Messages => has("message_stop") || !has("error"),
        Surface::Responses => {
            has("response.completed")
                || has("response.incomplete")
                || !(has("response.failed") || has("error"))
        }
    }
}
