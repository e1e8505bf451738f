//! Over real sockets, through a client that shows every byte.

mod control;
mod dialects;
mod faults;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::dialect::Dialect;

const SOON: Duration = Duration::from_secs(10);
const OPENAI: &str = "/v1/chat/completions";
const ANTHROPIC: &str = "/v1/messages";

/// An answer as it came off the wire.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
    /// HTTP's framing says that the body is whole.
    whole: bool,
    /// The pieces of a chunked body.
    pieces: usize,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The events' names and data.
    fn events(&self) -> Vec<(String, String)> {
        assert!(
            self.text().is_empty() || self.text().ends_with("\n\n"),
            "events end in a blank line"
        );
        let event = |text: &str| {
            let (mut name, mut data) = (String::new(), String::new());
            for line in text.lines() {
                match line.split_once(": ").unwrap() {
                    ("event", value) => name = value.to_owned(),
                    ("data", value) => data = value.to_owned(),
                    other => panic!("odd line {other:?}"),
                }
            }
            (name, data)
        };
        self.text().split("\n\n").filter(|text| !text.is_empty()).map(event).collect()
    }

    /// The events' data as JSON, without `[DONE]`.
    fn data(&self) -> Vec<Value> {
        let events = self.events();
        let data = events.iter().filter(|(_, data)| data != "[DONE]");
        data.map(|(_, data)| serde_json::from_str(data).unwrap()).collect()
    }

    /// What the answer says, whole or streamed, in either dialect.
    fn said(&self) -> String {
        if self.header("content-type") == Some("application/json") {
            let answer = self.json();
            let text = answer["choices"][0]["message"]["content"].as_str();
            let block = answer["content"].as_array().and_then(|blocks| blocks.last());
            return text.or_else(|| block.unwrap()["text"].as_str()).unwrap().to_owned();
        }
        let text = |event: &Value| {
            let openai = event["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
            openai.or_else(|| event["delta"]["text"].as_str().map(str::to_owned))
        };
        self.data().iter().filter_map(text).collect()
    }
}

/// A keep-alive connection.
struct Client(TcpStream);

impl Client {
    async fn to(addr: SocketAddr) -> Self {
        Self(TcpStream::connect(addr).await.unwrap())
    }

    async fn send(&mut self, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("POST {path} HTTP/1.1\r\nhost: sim\r\n");
        if path.ends_with(ANTHROPIC) {
            head.push_str("x-api-key: k\r\nanthropic-version: 2023-06-01\r\n");
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        self.0.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    }

    /// Reads an answer; an error is the connection's (a reset).
    async fn read(&mut self) -> io::Result<Reply> {
        tokio::time::timeout(SOON, self.read_untimed()).await.expect("an answer in time")
    }

    async fn read_untimed(&mut self) -> io::Result<Reply> {
        let mut seen = Vec::new();
        let head_end = loop {
            if let Some(at) = memchr::memmem::find(&seen, b"\r\n\r\n") {
                break at + 4;
            }
            if self.0.read_buf(&mut seen).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let mut body = seen.split_off(head_end);
        let head = String::from_utf8(seen).unwrap();
        let status = head[9..12].parse().unwrap();
        let mut reply = Reply { status, head, body: Vec::new(), whole: false, pieces: 0 };
        let length = reply.header("content-length").map(|length| length.parse::<usize>().unwrap());
        loop {
            let done = match length {
                Some(length) => body.len() >= length,
                None => body.ends_with(b"0\r\n\r\n"),
            };
            if done || self.0.read_buf(&mut body).await? == 0 {
                break;
            }
        }
        match length {
            Some(length) => (reply.whole, reply.body) = (body.len() == length, body),
            None => reply.unchunk(&body),
        }
        Ok(reply)
    }
}

impl Reply {
    fn unchunk(&mut self, mut wire: &[u8]) {
        while let Some(at) = memchr::memmem::find(wire, b"\r\n") {
            let size = std::str::from_utf8(&wire[..at]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            if size == 0 {
                self.whole = true;
                return;
            }
            self.body.extend_from_slice(&wire[at + 2..at + 2 + size]);
            self.pieces += 1;
            wire = &wire[at + 2 + size + 2..];
        }
    }
}

const fn path(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAi => OPENAI,
        Dialect::Anthropic => ANTHROPIC,
    }
}

fn ask(stream: bool, text: &str) -> Value {
    json!({"model": "m", "max_tokens": 1000, "stream": stream,
           "messages": [{"role": "user", "content": text}]})
}

async fn start(dialect: Dialect, behaviour: Behaviour) -> (Running, Provider) {
    let config = Config::of([ProviderConfig::new("a", dialect).behaving(behaviour)]);
    let running = Simulator::start(config).await.unwrap();
    let provider = running.provider("a").unwrap();
    (running, provider)
}

async fn post(provider: &Provider, body: &Value) -> io::Result<Reply> {
    let mut client = Client::to(provider.addr()).await;
    let path = format!("{}{}", provider.config().prefix, path(provider.config().dialect));
    client.send(&path, &[], body.to_string().as_bytes()).await;
    client.read().await
}
