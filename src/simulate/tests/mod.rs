//! Over real sockets, through a client that shows every byte.

mod control;
mod dialects;
mod faults;
mod voices;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::dialect::completions::Template;
use crate::dialect::frames::{Frames, Framing};
use crate::dialect::ir::{Event, FinishReason};
use crate::dialect::openai::Host;
use crate::dialect::sse::Frame;
use crate::dialect::{AnswerFault, Dialect, Surface, Target};
use crate::vocab::Usage;

const SOON: Duration = Duration::from_secs(10);
const OPENAI: &str = "/v1/chat/completions";
const ANTHROPIC: &str = "/v1/messages";

/// An answer as it came off the wire.
#[derive(Debug)]
struct Reply {
    dialect: Dialect,
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

    /// What the answer says, whole or streamed.
    fn said(&self) -> String {
        self.heard().said
    }

    /// What the gateway makes of the answer.
    fn heard(&self) -> Heard {
        let template = Template::shipped("chatml");
        let (host, mut events) = (&Host::GENERIC, Vec::new());
        let framing = Framing::of(self.header("content-type").unwrap().as_bytes());
        let end = match Frames::new(framing) {
            None => self.dialect.read_whole(host, template.as_ref(), &self.body, &mut events),
            Some(mut frames) => {
                let mut reader = self.dialect.reader(host, template.as_ref());
                let mut on = |frame: Frame<'_>| reader.read(&frame, &mut events);
                frames.push(&self.body, &mut on).and_then(|()| frames.finish(&mut on))
            }
        };
        Heard::of(events, end)
    }
}

/// An answer as the gateway's readers see it.
#[derive(Debug)]
struct Heard {
    said: String,
    thought: String,
    /// Names and arguments.
    calls: Vec<(String, String)>,
    finish: Option<FinishReason>,
    stop: Option<String>,
    usage: Option<Usage>,
    /// The terminal event came.
    ended: bool,
    end: Result<(), AnswerFault>,
}

impl Heard {
    fn of(events: Vec<Event>, end: Result<(), AnswerFault>) -> Self {
        let mut heard = Self {
            said: String::new(),
            thought: String::new(),
            calls: Vec::new(),
            finish: None,
            stop: None,
            usage: None,
            ended: false,
            end,
        };
        for event in events {
            match event {
                Event::Text { text, .. } => heard.said += &text,
                Event::Reasoning { text, .. } | Event::ReasoningSummary { text, .. } => {
                    heard.thought += &text;
                }
                Event::ToolStart { name, .. } => heard.calls.push((name, String::new())),
                Event::ToolArguments { json, .. } => heard.calls.last_mut().unwrap().1 += &json,
                Event::Finish { reason, stop, .. } => {
                    (heard.finish, heard.stop) = (Some(reason), stop);
                }
                Event::Usage(usage) => heard.usage = Some(usage),
                Event::End => heard.ended = true,
                _ => {}
            }
        }
        heard
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
        let dialect = Dialect::OpenAi;
        let mut reply = Reply { dialect, status, head, body: Vec::new(), whole: false, pieces: 0 };
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

/// Posts a body. It is in the dialect's own form for OpenAI and Anthropic, and otherwise a chat
/// completion that the gateway writes anew.
async fn post(provider: &Provider, body: &Value) -> io::Result<Reply> {
    match provider.config().dialect {
        Dialect::OpenAi => post_raw(provider, "/chat/completions", &body.to_string()).await,
        Dialect::Anthropic => post_raw(provider, "/messages", &body.to_string()).await,
        _ => post_chat(provider, body).await,
    }
}

/// Posts a chat completion as the gateway would.
async fn post_chat(provider: &Provider, chat: &Value) -> io::Result<Reply> {
    let dialect = provider.config().dialect;
    let request = Surface::Chat.read_request(chat.to_string().as_bytes()).unwrap();
    let template = Template::shipped("chatml");
    let template = template.as_ref().filter(|_| dialect == Dialect::Completions);
    let model = chat["model"].as_str().filter(|model| *model != "m").unwrap_or(MODEL);
    let target = Target { template, ..Target::new(model, 4096) };
    let body = dialect.write_request(&request, &target).unwrap();
    let path = dialect.path(model, request.stream);
    post_raw(provider, &path, std::str::from_utf8(&body).unwrap()).await
}

/// A name by which Bedrock's writer knows what the model can do.
const MODEL: &str = "us.anthropic.claude-sonnet-4-20250514-v1:0";

async fn post_raw(provider: &Provider, path: &str, body: &str) -> io::Result<Reply> {
    let config = provider.config();
    let mut client = Client::to(provider.addr()).await;
    let query = if config.dialect == Dialect::Azure { "?api-version=1" } else { "" };
    let path = format!("{}{}{path}{query}", config.prefix, route::base(config.dialect));
    let keys = [("authorization", "Bearer k"), ("api-key", "k"), ("x-goog-api-key", "k")];
    client.send(&path, &keys, body.as_bytes()).await;
    let mut reply = client.read().await?;
    reply.dialect = config.dialect;
    Ok(reply)
}
