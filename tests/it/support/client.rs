//! A small blocking HTTP/1.1 client that shows what really came.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Sends requests to one address; keeps its connection while the server does.
pub(crate) struct Client {
    address: SocketAddr,
    key: Option<String>,
    stream: Option<BufReader<TcpStream>>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The body ended as its framing says.
    pub(crate) whole: bool,
}

impl Answer {
    /// The first header of this (lower-case) name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// The `data:` of a stream's events, in order.
    pub(crate) fn events(&self) -> Vec<String> {
        let text = self.text();
        text.lines().filter_map(|l| l.strip_prefix("data: ")).map(str::to_owned).collect()
    }

    /// The text of the answer, streamed or whole.
    pub(crate) fn content(&self) -> String {
        let streamed = self.header("content-type").is_some_and(|t| t.contains("event-stream"));
        if !streamed {
            return self.json()["choices"][0]["message"]["content"]
                .as_str()
                .unwrap_or("")
                .to_owned();
        }
        let chunk = |data: &String| {
            let json: serde_json::Value = serde_json::from_str(data).ok()?;
            Some(json["choices"][0]["delta"]["content"].as_str()?.to_owned())
        };
        self.events().iter().filter_map(chunk).collect()
    }

    /// A good, complete answer.
    pub(crate) fn is_good(&self) -> bool {
        let streamed = self.header("content-type").is_some_and(|t| t.contains("event-stream"));
        let ended = !streamed || self.events().last().is_some_and(|e| e == "[DONE]");
        let failed = streamed && self.text().contains("\"finish_reason\":\"error\"");
        self.status == 200 && self.whole && ended && !failed
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr, key: Option<String>) -> Self {
        Self { address, key, stream: None }
    }

    /// `GET path`.
    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    /// A chat completion.
    pub(crate) fn chat(&mut self, body: &str) -> Answer {
        self.send("POST", "/v1/chat/completions", &[], body.as_bytes())
    }

    /// A chat completion with more headers.
    pub(crate) fn chat_with(&mut self, body: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("POST", "/v1/chat/completions", headers, body.as_bytes())
    }

    /// Sends a request with `Content-Length` and reads the whole answer.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        if let Some(key) = &self.key {
            head.push_str(&format!("authorization: Bearer {key}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if method != "GET" {
            head.push_str(&format!(
                "content-type: application/json\r\ncontent-length: {}\r\n",
                body.len()
            ));
        }
        head.push_str("\r\n");
        let mut raw = head.into_bytes();
        raw.extend_from_slice(body);
        self.exchange(&raw)
    }

    /// Writes bytes as they are and reads one answer.
    pub(crate) fn exchange(&mut self, raw: &[u8]) -> Answer {
        let reused = self.stream.is_some();
        let mut stream = self.stream.take().unwrap_or_else(|| self.connect());
        let sent = stream.get_mut().write_all(raw);
        match sent.and_then(|()| read_answer(&mut stream)) {
            Ok((answer, keep)) => {
                if keep {
                    self.stream = Some(stream);
                }
                answer
            }
            // The server had closed the kept connection meanwhile.
            Err(_) if reused => self.exchange(raw),
            Err(error) => panic!("no answer: {error}"),
        }
    }

    /// A fresh connection.
    pub(crate) fn connect(&self) -> BufReader<TcpStream> {
        let stream = TcpStream::connect(self.address).expect("the gateway accepts");
        stream.set_nodelay(true).expect("a socket option");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket option");
        BufReader::new(stream)
    }
}

/// Reads an answer; also tells whether the connection may be used again.
pub(crate) fn read_answer(stream: &mut BufReader<TcpStream>) -> std::io::Result<(Answer, bool)> {
    let mut status = 100;
    let mut headers = Vec::new();
    while (100..200).contains(&status) {
        headers.clear();
        status = read_head(stream, &mut headers)?;
    }
    let mut answer = Answer { status, headers, body: Vec::new(), whole: true };
    let chunked =
        answer.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked"));
    let length = answer.header("content-length").and_then(|v| v.parse::<usize>().ok());
    if chunked {
        answer.whole = read_chunks(stream, &mut answer.body)?;
    } else if let Some(length) = length {
        answer.body.resize(length, 0);
        answer.whole = stream.read_exact(&mut answer.body).is_ok();
    } else {
        stream.read_to_end(&mut answer.body)?;
    }
    let close = answer.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
    let keep = answer.whole && !close && (chunked || length.is_some());
    Ok((answer, keep))
}

/// Reads a status line and headers.
pub(crate) fn read_head(
    stream: &mut BufReader<TcpStream>,
    headers: &mut Vec<(String, String)>,
) -> std::io::Result<u16> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let status = line.split(' ').nth(1).and_then(|s| s.parse().ok());
    let status =
        status.ok_or_else(|| std::io::Error::other(format!("no status line: {line:?}")))?;
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let text = line.trim_end();
        if text.is_empty() {
            return Ok(status);
        }
        if let Some((name, value)) = text.split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
}

/// Reads a chunked body; `false` if it was cut.
fn read_chunks(stream: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> std::io::Result<bool> {
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        let size = line.trim_end().split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size, 16).map_err(std::io::Error::other)?;
        let start = body.len();
        body.resize(start + size, 0);
        let read = stream.read_exact(&mut body[start..]);
        let mut end = [0; 2];
        if read.is_err() || stream.read_exact(&mut end).is_err() {
            return Ok(false);
        }
        if size == 0 {
            return Ok(true);
        }
    }
}
