//! Plugins end to end: through the binary, whole and streaming, behind two dialects.

mod compression;
mod healing;
mod moderation;
mod newcomer;
mod redact;
mod rules;
mod stamp;
mod web;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use turnpike::dialect::{Dialect, Surface};
use turnpike::simulate::{Behaviour, Replay, Running};

use crate::support::{Answer, Gateway, Setup, providers, stream};

/// A gateway with plugins, over one provider of each of two dialects.
struct World {
    providers: Running,
    gateway: Gateway,
}

const HOSTS: [(&str, Dialect); 2] = [("open", Dialect::OpenAi), ("anth", Dialect::Anthropic)];

fn world(plugins: &str) -> World {
    let providers = providers(&HOSTS);
    let models = HOSTS.map(|(host, _)| (format!("test/{host}"), vec![host.to_owned()]));
    let setup = Setup { models: models.to_vec(), more: plugins.to_owned(), ..Setup::default() };
    let gateway = Gateway::start(&providers, &setup);
    World { providers, gateway }
}

impl World {
    /// Makes both providers answer in these pieces of text.
    fn say(&self, pieces: &[&str], stream: bool) {
        for (host, dialect) in HOSTS {
            let replay = match dialect {
                Dialect::Anthropic => anthropic(pieces, stream),
                _ => openai(pieces, stream),
            };
            let behaviour = Behaviour::replaying(replay);
            self.providers.provider(host).expect("a provider").set(behaviour).expect("a behaviour");
        }
    }

    /// What a provider was last asked.
    fn asked(&self, host: &str) -> Value {
        let last = self.providers.provider(host).expect("a provider").last_request();
        let body = last.expect("a request").body.clone().expect("a body");
        serde_json::from_slice(&body).expect("JSON")
    }

    fn requests(&self, host: &str) -> u64 {
        self.providers.provider(host).expect("a provider").stats().requests
    }

    /// Asks for a chat completion.
    fn chat(&self, body: &Value) -> Answer {
        let told = [("x-openrouter-metadata", "enabled")];
        self.gateway.client().chat_with(&body.to_string(), &told)
    }
}

/// A request of one turn.
fn ask(model: &str, text: &str, stream: bool) -> Value {
    json!({
        "model": model, "stream": stream, "max_tokens": 50,
        "messages": [{"role": "user", "content": text}],
    })
}

/// The request with a plugin of its own.
fn with(mut body: Value, entry: Value) -> Value {
    body["plugins"] = json!([entry]);
    body
}

/// What a chat completion said, streamed or whole: its text, the URLs of its citations, and what was
/// told of its plugins.
struct Said {
    text: String,
    cited: Vec<Value>,
    pipeline: Value,
}

fn said(answer: &Answer, streamed: bool) -> Said {
    assert_eq!(answer.status, 200, "{}", answer.text());
    if !streamed {
        let json = answer.json();
        let message = &json["choices"][0]["message"];
        return Said {
            text: message["content"].as_str().unwrap_or_default().to_owned(),
            cited: message["annotations"].as_array().cloned().unwrap_or_default(),
            pipeline: json["openrouter_metadata"]["pipeline"].clone(),
        };
    }
    let read = stream::read(Surface::Chat, answer);
    let chunks = answer.events();
    let chunks = chunks.iter().filter_map(|data| serde_json::from_str::<Value>(data).ok());
    let cited =
        chunks.filter_map(|chunk| chunk["choices"][0]["delta"]["annotations"].as_array().cloned());
    let pipeline = read.metadata.expect("metadata")["pipeline"].clone();
    Said { text: read.text, cited: cited.flatten().collect(), pipeline }
}

fn openai(pieces: &[&str], stream: bool) -> Replay {
    let usage = json!({"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10});
    if !stream {
        let body = json!({
            "id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": usage,
            "choices": [{"index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": pieces.concat()}}],
        });
        return Replay::json(200, body.to_string());
    }
    let chunk = |choices: Value, usage: &Value| {
        let body = json!({
            "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": choices, "usage": usage,
        });
        format!("data: {body}\n\n")
    };
    let delta = |delta: Value, finish: Option<&str>| {
        let choices = json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
        chunk(choices, &Value::Null)
    };
    let mut chunks = vec![delta(json!({"role": "assistant", "content": ""}), None)];
    chunks.extend(pieces.iter().map(|text| delta(json!({"content": text}), None)));
    chunks.push(delta(json!({}), Some("stop")));
    chunks.push(chunk(json!([]), &usage));
    chunks.push("data: [DONE]\n\n".to_owned());
    Replay::sse(chunks)
}

fn anthropic(pieces: &[&str], stream: bool) -> Replay {
    let message = |content: Value, stop: Value| {
        json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
            "content": content, "stop_reason": stop, "stop_sequence": null,
            "usage": {"input_tokens": 5, "output_tokens": 5},
        })
    };
    if !stream {
        let content = json!([{"type": "text", "text": pieces.concat()}]);
        return Replay::json(200, message(content, json!("end_turn")).to_string());
    }
    let event = |body: Value| {
        let name = body["type"].as_str().expect("a type").to_owned();
        format!("event: {name}\ndata: {body}\n\n")
    };
    let block = json!({"type": "text", "text": ""});
    let mut events = vec![
        event(json!({"type": "message_start", "message": message(json!([]), Value::Null)})),
        event(json!({"type": "content_block_start", "index": 0, "content_block": block})),
    ];
    events.extend(pieces.iter().map(|text| {
        let delta = json!({"type": "text_delta", "text": text});
        event(json!({"type": "content_block_delta", "index": 0, "delta": delta}))
    }));
    events.push(event(json!({"type": "content_block_stop", "index": 0})));
    let delta = json!({"stop_reason": "end_turn", "stop_sequence": null});
    let usage = json!({"output_tokens": 5});
    events.push(event(json!({"type": "message_delta", "delta": delta, "usage": usage})));
    events.push(event(json!({"type": "message_stop"})));
    Replay::sse(events)
}

/// What something outside was asked: the first line, the head and the body.
#[derive(Clone)]
struct Exchange {
    line: String,
    head: String,
    body: String,
}

/// Something outside that plugins ask: a small HTTP server.
struct Engine {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Exchange>>>,
    answer: Arc<Mutex<(u16, String)>>,
}

impl Engine {
    fn start(status: u16, body: &Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new(Mutex::new((status, body.to_string())));
        let (all, said) = (Arc::clone(&seen), Arc::clone(&answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let Some(exchange) = read(&stream) else { continue };
                all.lock().expect("no test panics here").push(exchange);
                let (status, body) = said.lock().expect("no test panics here").clone();
                let answer = format!(
                    "HTTP/1.1 {status} So\r\ncontent-type: application/json\r\n\
                     content-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                // Whoever asked may have given up meanwhile.
                let _gone = stream.write_all(answer.as_bytes());
            }
        });
        Self { address, seen, answer }
    }

    fn answers(&self, status: u16, body: impl Into<String>) {
        *self.answer.lock().expect("no test panics here") = (status, body.into());
    }

    fn seen(&self) -> Vec<Exchange> {
        self.seen.lock().expect("no test panics here").clone()
    }
}

fn read(stream: &TcpStream) -> Option<Exchange> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut head, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut line).ok()?;
    loop {
        let mut next = String::new();
        reader.read_line(&mut next).ok()?;
        let Some((name, value)) = next.trim_end().split_once(": ") else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().ok()?;
        }
        head.push_str(&next.to_ascii_lowercase());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Exchange { line, head, body: String::from_utf8(body).ok()? })
}
