//! A small HTTP/1.1 client: one connection, one request at a time, no more work than reading an
//! answer takes. What the client uses, the proxies have to share the machine with.

use std::net::SocketAddr;
use std::time::Duration;

use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::Fault;

/// The largest head of an answer, in bytes.
const HEAD_MAX: usize = 64 * 1024;
/// The largest body of an answer, in bytes.
const BODY_MAX: usize = 64 * 1024 * 1024;
const READ: usize = 32 * 1024;

/// A connection that is kept alive.
pub(super) struct Conn {
    stream: TcpStream,
    /// What was read and not yet understood.
    raw: Vec<u8>,
    /// The body of the last answer, without its framing.
    pub(super) body: Vec<u8>,
}

/// What is known of an answer besides its body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// To the first byte of the body.
    pub(super) first: Duration,
    /// To the last.
    pub(super) whole: Duration,
    /// The server ends the connection.
    pub(super) closes: bool,
}

/// What the head says.
struct Head {
    status: u16,
    framing: Framing,
    closes: bool,
    bytes: usize,
}

/// Where in a body the reader is.
enum Framing {
    /// So many bytes are left of a body of known length.
    Length(usize),
    /// Before the size line of a chunk.
    Size,
    /// So many bytes are left of a chunk, and the line end after it.
    Chunk(usize),
    /// In the lines after the last chunk.
    Trailer,
    /// After the end.
    Over,
}

impl Conn {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub(super) async fn open(to: SocketAddr) -> Result<Self, Fault> {
        let stream = TcpStream::connect(to).await.map_err(|e| format!("connect to {to}: {e}"))?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        Ok(Self { stream, raw: Vec::with_capacity(READ), body: Vec::new() })
    }

    /// Sends a request and reads its whole answer into [`Conn::body`]; `seen` is shown each new
    /// part of the body as it comes.
    ///
    /// # Errors
    /// The connection broke, or the answer is not HTTP.
    pub(super) async fn ask(
        &mut self,
        request: &[u8],
        mut seen: impl FnMut(&[u8]),
    ) -> Result<Answer, Fault> {
        let start = Instant::now();
        self.raw.clear();
        self.body.clear();
        self.stream.write_all(request).await.map_err(|e| format!("write: {e}"))?;
        let head = self.head().await?;
        self.raw.drain(..head.bytes);
        let mut framing = head.framing;
        let mut first = None;
        loop {
            let known = self.body.len();
            let used = decode(&self.raw, &mut framing, &mut self.body)?;
            self.raw.drain(..used);
            let new = self.body.get(known..).unwrap_or_default();
            if !new.is_empty() {
                first.get_or_insert_with(|| start.elapsed());
                seen(new);
            }
            if matches!(framing, Framing::Over) {
                break;
            }
            if self.body.len() > BODY_MAX {
                return Err("the answer is too large".to_owned());
            }
            self.more().await?;
        }
        let whole = start.elapsed();
        let first = first.unwrap_or(whole);
        Ok(Answer { status: head.status, first, whole, closes: head.closes })
    }

    /// Reads until the head is complete.
    async fn head(&mut self) -> Result<Head, Fault> {
        loop {
            self.more().await?;
            if let Some(end) = memmem::find(&self.raw, b"\r\n\r\n") {
                let lines = self.raw.get(..end).unwrap_or_default();
                return parse(lines, end + 4);
            }
            if self.raw.len() > HEAD_MAX {
                return Err("the head of the answer is too large".to_owned());
            }
        }
    }

    async fn more(&mut self) -> Result<(), Fault> {
        self.raw.reserve(READ);
        match self.stream.read_buf(&mut self.raw).await {
            Ok(0) => Err("the answer was cut".to_owned()),
            Ok(_) => Ok(()),
            Err(e) => Err(format!("read: {e}")),
        }
    }
}

fn parse(lines: &[u8], bytes: usize) -> Result<Head, Fault> {
    let text = std::str::from_utf8(lines).map_err(|_| "the head is not text")?;
    let mut lines = text.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok())
        .ok_or("the answer has no status")?;
    let mut framing = None;
    let mut closes = false;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            let length = value.parse().map_err(|_| "the content length is not a number")?;
            framing = Some(if length == 0 { Framing::Over } else { Framing::Length(length) });
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            framing = Some(Framing::Size);
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case("close");
        }
    }
    let framing = framing.ok_or("the answer has neither a length nor chunks")?;
    Ok(Head { status, framing, closes, bytes })
}

/// Takes the framing off, as far as the bytes go; says how many were used.
fn decode(raw: &[u8], framing: &mut Framing, body: &mut Vec<u8>) -> Result<usize, Fault> {
    let mut at = 0;
    loop {
        let rest = raw.get(at..).unwrap_or_default();
        match framing {
            Framing::Over if rest.is_empty() => return Ok(at),
            Framing::Over => return Err("there are bytes after the answer".to_owned()),
            Framing::Length(left) => {
                let part = rest.get(..*left).unwrap_or(rest);
                body.extend_from_slice(part);
                at += part.len();
                *left -= part.len();
                if *left > 0 {
                    return Ok(at);
                }
                *framing = Framing::Over;
            }
            Framing::Size => {
                let Some(end) = memmem::find(rest, b"\r\n") else { return Ok(at) };
                let size = size(rest.get(..end).unwrap_or_default())?;
                at += end + 2;
                *framing = if size == 0 { Framing::Trailer } else { Framing::Chunk(size) };
            }
            Framing::Chunk(0) => match rest {
                [b'\r', b'\n', ..] => {
                    at += 2;
                    *framing = Framing::Size;
                }
                [] | [b'\r'] => return Ok(at),
                _ => return Err("a chunk has the wrong length".to_owned()),
            },
            Framing::Chunk(left) => {
                let part = rest.get(..*left).unwrap_or(rest);
                body.extend_from_slice(part);
                at += part.len();
                *left -= part.len();
                if *left > 0 {
                    return Ok(at);
                }
            }
            Framing::Trailer => {
                let Some(end) = memmem::find(rest, b"\r\n") else { return Ok(at) };
                at += end + 2;
                if end == 0 {
                    *framing = Framing::Over;
                }
            }
        }
    }
}

fn size(line: &[u8]) -> Result<usize, Fault> {
    let digits = line.split(|&b| b == b';').next().unwrap_or_default();
    std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| usize::from_str_radix(digits.trim(), 16).ok())
        .ok_or_else(|| "the size of a chunk is not a number".to_owned())
}
