//! An answer as bytes with times: what is sent, when, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::answer::{Answer, Said, unit};
use super::behaviour::{Behaviour, Fault};
use super::replay::{End, Replay};

/// An answer that is ready to be played.
#[derive(Clone)]
pub(super) struct Script {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The wait before the header.
    pub(super) header_delay: Duration,
    pub(super) wire: Bytes,
    /// Where the pieces end, and when each is due after the header.
    pub(super) pieces: Arc<[Piece]>,
    pub(super) end: End,
    /// The whole body's length is announced.
    pub(super) sized: bool,
}

/// A piece of a body.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    pub(super) end: usize,
    pub(super) due: Duration,
}

impl Script {
    /// A body that is sent at once.
    pub(super) fn whole(status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        Self {
            status,
            headers,
            header_delay: Duration::ZERO,
            pieces: Arc::new([Piece { end: body.len(), due: Duration::ZERO }]),
            wire: body,
            end: End::Clean,
            sized: true,
        }
    }

    /// A recorded answer.
    pub(super) fn of_replay(replay: &Replay) -> Self {
        let mut wire = Vec::with_capacity(replay.chunks.iter().map(|chunk| chunk.data.len()).sum());
        let mut due = Duration::ZERO;
        let mut pieces = Vec::with_capacity(replay.chunks.len());
        for chunk in &replay.chunks {
            wire.extend_from_slice(&chunk.data);
            due += Duration::from_millis(u64::from(chunk.delay_ms));
            pieces.push(Piece { end: wire.len(), due });
        }
        // `Replay::check` has seen that all of these are valid.
        let headers = replay.headers.iter().filter_map(|(name, value)| {
            Some((http::HeaderName::try_from(name).ok()?, http::HeaderValue::try_from(value).ok()?))
        });
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value);
        }
        Self {
            status: StatusCode::from_u16(replay.status).unwrap_or(StatusCode::OK),
            headers: map,
            header_delay: Duration::ZERO,
            wire: Bytes::from(wire),
            pieces: pieces.into(),
            end: replay.end,
            sized: false,
        }
    }

    /// Breaks a whole answer: the header promises all, and about half of it comes (nothing, if
    /// `before`), and then this end.
    pub(super) fn cut_whole(&mut self, before: bool, end: End) {
        let half = if before { 0 } else { self.wire.len() / 2 };
        self.headers.insert(http::header::CONTENT_LENGTH, self.wire.len().into());
        self.pieces = Arc::new([Piece { end: half, due: Duration::ZERO }]);
        self.end = end;
        self.sized = false;
    }
}

/// Spells the parts of a streamed answer in one dialect. Each call writes whole events.
pub(super) trait Speaker {
    /// What comes before the first token.
    fn open(&mut self, wire: &mut Wire);
    /// A run of thinking.
    fn think(&mut self, wire: &mut Wire, text: &str);
    /// A run of text.
    fn text(&mut self, wire: &mut Wire, text: &str);
    /// The start of a tool call.
    fn call(&mut self, wire: &mut Wire, name: &str);
    /// A run of the call's arguments.
    fn arguments(&mut self, wire: &mut Wire, text: &str);
    /// The finish and the usage.
    fn finish(&mut self, wire: &mut Wire, usage: bool);
    /// The end of an answer that has neither content nor finish.
    fn finish_empty(&mut self, wire: &mut Wire);
    /// The terminal event. Where it is also the one that tells usage, it may be told to leave that
    /// out, or that the answer is empty.
    fn done(&mut self, wire: &mut Wire, usage: bool, empty: bool);
    /// An error in the middle.
    fn error(&mut self, wire: &mut Wire);
}

/// Events being written, with the number of tokens sent before each.
#[derive(Default)]
pub(super) struct Wire {
    pub(super) buf: Vec<u8>,
    events: Vec<(usize, Option<u32>)>,
    tokens: Option<u32>,
}

impl Wire {
    /// Ends an event.
    pub(super) fn end_event(&mut self) {
        self.events.push((self.buf.len(), self.tokens));
    }

    /// Writes an event of a server-sent stream, with its name if it has one.
    pub(super) fn event(&mut self, name: &str, data: &Value) {
        if !name.is_empty() {
            self.buf.extend_from_slice(b"event: ");
            self.buf.extend_from_slice(name.as_bytes());
            self.buf.push(b'\n');
        }
        self.buf.extend_from_slice(b"data: ");
        self.value(data);
        self.buf.extend_from_slice(b"\n\n");
        self.end_event();
    }

    /// Writes JSON.
    pub(super) fn value(&mut self, value: &Value) {
        // Writing to memory can't fail.
        serde_json::to_writer(&mut self.buf, value).unwrap_or(());
    }

    fn has_room(&self, limit: u32) -> bool {
        self.tokens_sent() < limit
    }

    fn tokens_sent(&self) -> u32 {
        self.tokens.map_or(0, |last| last.saturating_add(1))
    }

    fn token_is_due(&mut self) {
        self.tokens = Some(self.tokens_sent());
    }

    /// The rest of a run of tokens that travelled in one event.
    fn more_tokens(&mut self, more: u32) {
        self.tokens = self.tokens.map(|last| last.saturating_add(more));
    }
}

/// Writes a streamed answer, with the fault that breaks it, if one does.
pub(super) fn stream(
    speaker: &mut dyn Speaker,
    answer: &Answer,
    b: &Behaviour,
    fault: Option<Fault>,
) -> (Wire, End) {
    let mut wire = Wire::default();
    let limit = match fault {
        Some(Fault::InBand | Fault::CutBefore | Fault::Empty) => 0,
        Some(
            Fault::InBandAfter(n)
            | Fault::CutAfter(n)
            | Fault::ResetAfter(n)
            | Fault::EndAfter(n)
            | Fault::HangAfter(n),
        ) => n,
        _ => u32::MAX,
    };
    speaker.open(&mut wire);
    speak(speaker, &mut wire, answer, b.chunk_tokens, limit);
    match fault {
        Some(Fault::InBand | Fault::InBandAfter(_)) => speaker.error(&mut wire),
        Some(Fault::CutBefore | Fault::CutAfter(_)) => return (wire, End::Cut),
        Some(Fault::ResetAfter(_)) => return (wire, End::Reset),
        Some(Fault::HangAfter(_)) => return (wire, End::Hang),
        Some(Fault::EndAfter(_)) => {}
        Some(Fault::Empty) => {
            speaker.finish_empty(&mut wire);
            speaker.done(&mut wire, true, true);
        }
        Some(Fault::NoDone) => speaker.finish(&mut wire, true),
        fault => {
            let usage = fault != Some(Fault::NoUsage);
            speaker.finish(&mut wire, usage);
            speaker.done(&mut wire, usage, false);
        }
    }
    (wire, End::Clean)
}

/// The content, up to so many tokens (to the event that reaches them).
fn speak(s: &mut dyn Speaker, wire: &mut Wire, answer: &Answer, run: u32, limit: u32) {
    if let Some(thinking) = &answer.thinking {
        for (text, tokens) in thinking.runs(run) {
            if !wire.has_room(limit) {
                return;
            }
            wire.token_is_due();
            s.think(wire, text);
            wire.more_tokens(tokens - 1);
        }
    }
    let (Said::Text(pieces) | Said::Call { arguments: pieces, .. }) = &answer.said;
    let mut called = false;
    for (text, tokens) in pieces.runs(run) {
        if !wire.has_room(limit) {
            return;
        }
        wire.token_is_due();
        match &answer.said {
            Said::Text(_) => s.text(wire, text),
            Said::Call { name, .. } => {
                if !called {
                    s.call(wire, name);
                    called = true;
                }
                s.arguments(wire, text);
            }
        }
        wire.more_tokens(tokens - 1);
    }
}

/// Gives each event its time.
pub(super) fn pace(wire: Wire, end: End, b: &Behaviour, seed: u64) -> Script {
    let ttft = jittered(f64::from(b.ttft_ms), b.jitter, seed);
    let (header_delay, first) =
        if b.early_header { (Duration::ZERO, ttft) } else { (ttft, Duration::ZERO) };
    let mut pieces: Vec<Piece> = Vec::with_capacity(wire.events.len());
    let mut last = Duration::ZERO;
    for (i, (end, token)) in wire.events.into_iter().enumerate() {
        let due = token.map_or(Duration::ZERO, |token| {
            first + millis(f64::from(token) * b.token_ms) + wobble(b, seed, i)
        });
        last = last.max(due);
        match pieces.last_mut() {
            Some(before) if b.coalesce && before.due == last => before.end = end,
            _ => pieces.push(Piece { end, due: last }),
        }
    }
    Script {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        header_delay,
        wire: Bytes::from(wire.buf),
        pieces: pieces.into(),
        end,
        sized: false,
    }
}

/// The time that a whole answer takes.
pub(super) fn whole_delay(b: &Behaviour, tokens: u64, seed: u64) -> Duration {
    let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
    jittered(f64::from(b.ttft_ms) + f64::from(tokens) * b.token_ms, b.jitter, seed)
}

/// Later by up to `jitter` of the time between tokens: the schedule as a whole does not drift.
fn wobble(b: &Behaviour, seed: u64, i: usize) -> Duration {
    if b.jitter == 0.0 || b.token_ms == 0.0 {
        return Duration::ZERO;
    }
    millis(b.token_ms * b.jitter * unit(seed ^ (i as u64).wrapping_mul(3)))
}

fn jittered(ms: f64, jitter: f64, seed: u64) -> Duration {
    if jitter == 0.0 { millis(ms) } else { millis(ms * (1.0 + jitter * (2.0 * unit(seed) - 1.0))) }
}

/// At most ten years, so that adding to a clock can't overflow.
fn millis(ms: f64) -> Duration {
    Duration::from_secs_f64(ms.clamp(0.0, 3e11) / 1000.0)
}

/// Writes a JSON string with its quotes.
pub(super) fn push_json(out: &mut Vec<u8>, text: &str) {
    let plain = |b: &u8| *b >= 0x20 && *b != b'"' && *b != b'\\';
    out.push(b'"');
    if text.as_bytes().iter().all(plain) {
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            c if c < ' ' => out.extend_from_slice(format!("\\u{:04x}", c as u32).as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

/// Writes a decimal number.
pub(super) fn push_number(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}
