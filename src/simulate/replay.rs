//! Answers given verbatim: for tests that replay recorded provider bytes.

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::behaviour::{BadKnob, DELAY_MS_MAX};

/// An answer, byte for byte above HTTP's framing. The body is chunked unless the headers say
/// `content-length`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// The status, 200 to 599.
    pub status: u16,
    /// Header names and values.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The body, in the pieces in which it is sent.
    #[serde(default)]
    pub chunks: Vec<Chunk>,
    /// How the answer ends.
    #[serde(default)]
    pub end: End,
}

/// A piece of a replayed body.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Chunk {
    /// The wait before the piece is sent, in milliseconds.
    #[serde(default)]
    pub delay_ms: u32,
    /// The bytes (text, when read from JSON or TOML).
    #[serde(serialize_with = "write_text", deserialize_with = "read_text")]
    pub data: Bytes,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// As HTTP says that it should.
    #[default]
    Clean,
    /// The connection closes in the middle.
    Cut,
    /// The connection is reset in the middle.
    Reset,
    /// Nothing more is sent, and the connection stays open.
    Hang,
}

impl Replay {
    /// A stream of server-sent events, in these pieces.
    pub fn sse<B: Into<Bytes>>(chunks: impl IntoIterator<Item = B>) -> Self {
        Self::of("text/event-stream", chunks)
    }

    /// A whole JSON answer.
    pub fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, ..Self::of("application/json", [body]) }
    }

    /// The same, but ending like this.
    #[must_use]
    pub const fn ending(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    fn of<B: Into<Bytes>>(kind: &str, chunks: impl IntoIterator<Item = B>) -> Self {
        let chunks = chunks.into_iter().map(|data| Chunk { delay_ms: 0, data: data.into() });
        Self {
            status: 200,
            headers: vec![("content-type".to_owned(), kind.to_owned())],
            chunks: chunks.collect(),
            end: End::Clean,
        }
    }

    pub(super) fn check(&self) -> Result<(), BadKnob> {
        if !(200..=599).contains(&self.status) {
            return Err(BadKnob::new("replay.status", "200 to 599"));
        }
        if self.chunks.iter().any(|chunk| chunk.delay_ms > DELAY_MS_MAX) {
            return Err(BadKnob::new("replay.chunks.delay_ms", "0 to 3600000"));
        }
        let good = |(name, value): &(String, String)| {
            http::HeaderName::try_from(name.as_str()).is_ok()
                && http::HeaderValue::try_from(value.as_str()).is_ok()
        };
        if !self.headers.iter().all(good) {
            return Err(BadKnob::new("replay.headers", "valid header names and values"));
        }
        Ok(())
    }
}

impl std::fmt::Debug for Chunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chunk({} ms, {} bytes)", self.delay_ms, self.data.len())
    }
}

fn write_text<S: Serializer>(data: &Bytes, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&String::from_utf8_lossy(data))
}

fn read_text<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
    String::deserialize(from).map(Bytes::from)
}
