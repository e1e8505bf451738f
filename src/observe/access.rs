//! What is known of a request at its end, as one line.
//!
//! The line has no field that could hold a prompt, an answer or a key. The only texts in it that
//! a caller chooses freely are the path (without its query, which may hold a key) and the name of
//! the requested model; both are cut to a bound.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use super::fields;
use super::labels::{CacheStatus, Outcome, Surface};
use super::write::{Fields, Json, Text};
use crate::vocab::{
    AccountId, EndpointId, GenerationId, KeyId, ModelId, NanoUsd, ProviderId, Usage,
};

/// The longest text of a caller in a line, in bytes.
pub const TEXT_MAX: usize = 256;
/// The most attempts that are spelled out in a line; further ones are only counted.
pub const ATTEMPTS_MAX: usize = 16;

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptMark {
    /// Which endpoint was tried.
    pub endpoint: EndpointId,
    /// How it ended.
    pub outcome: Outcome,
}

/// One request, as far as it came. What is not known is left out of the line.
#[derive(Clone, Debug)]
pub struct AccessLine {
    /// When it arrived, in milliseconds since 1970.
    pub ts_ms: u64,
    /// Its id.
    pub generation: GenerationId,
    /// The public name of the caller's key.
    pub key: Option<KeyId>,
    /// Who pays.
    pub account: Option<AccountId>,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The client's wire format.
    pub surface: Surface,
    method: &'static str,
    path: Cow<'static, str>,
    model_requested: Option<Box<str>>,
    /// The model that answered.
    pub model_served: Option<ModelId>,
    /// The provider that answered.
    pub provider: Option<ProviderId>,
    /// The endpoint that answered.
    pub endpoint: Option<EndpointId>,
    attempts: u64,
    tried: Vec<AttemptMark>,
    /// The status that the client got; `None` if it left before.
    pub status: Option<u16>,
    /// The stable code of the error that the client got.
    pub error: Option<&'static str>,
    /// The answer was to be streamed.
    pub stream: bool,
    /// What the response cache did.
    pub cache: Option<CacheStatus>,
    /// From arrival to the first token sent to the client.
    pub ttft: Option<Duration>,
    /// From arrival to the end.
    pub duration: Duration,
    /// Our own share of the time to the first byte.
    pub overhead: Option<Duration>,
    /// What was consumed.
    pub usage: Option<Usage>,
    /// What was charged.
    pub cost: Option<NanoUsd>,
    /// Why the answer ended, in OpenAI's words.
    pub finish: Option<&'static str>,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
}

impl AccessLine {
    /// A line for a request that has just arrived.
    pub const fn new(ts_ms: u64, generation: GenerationId) -> Self {
        Self {
            ts_ms,
            generation,
            key: None,
            account: None,
            client: None,
            surface: Surface::Other,
            method: "OTHER",
            path: Cow::Borrowed(""),
            model_requested: None,
            model_served: None,
            provider: None,
            endpoint: None,
            attempts: 0,
            tried: Vec::new(),
            status: None,
            error: None,
            stream: false,
            cache: None,
            ttft: None,
            duration: Duration::ZERO,
            overhead: None,
            usage: None,
            cost: None,
            finish: None,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// Sets method and path. An unusual method becomes `OTHER`; a query or fragment is cut off,
    /// and so is what is longer than [`TEXT_MAX`].
    pub fn set_request(&mut self, method: &str, target: &str) {
        self.method = METHODS.iter().find(|m| **m == method).copied().unwrap_or("OTHER");
        let path = target.split(['?', '#']).next().unwrap_or_default();
        self.path = match PATHS.iter().find(|p| **p == path) {
            Some(known) => Cow::Borrowed(known),
            None => Cow::Owned(clipped(path).to_owned()),
        };
    }

    /// Sets the name of the requested model, cut to [`TEXT_MAX`].
    pub fn set_model_requested(&mut self, name: &str) {
        self.model_requested = Some(clipped(name).into());
    }

    /// Adds an attempt that has ended.
    pub fn push_attempt(&mut self, mark: AttemptMark) {
        self.attempts += 1;
        if self.tried.len() < ATTEMPTS_MAX {
            self.tried.push(mark);
        }
    }

    /// How many attempts were added.
    pub const fn attempts(&self) -> u64 {
        self.attempts
    }

    /// The first [`ATTEMPTS_MAX`] attempts.
    pub fn tried(&self) -> &[AttemptMark] {
        &self.tried
    }

    /// Appends the line as a JSON object and a line feed.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let mut json = Json::begin(out);
        self.write(&mut json);
        json.end();
    }

    /// Appends the line as `name=value` pairs and a line feed.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        let mut text = Text::begin(out);
        self.write(&mut text);
        text.end();
    }

    fn write(&self, out: &mut impl Fields) {
        out.number(fields::TIME, self.ts_ms);
        out.text(fields::GENERATION, self.generation.text().as_str());
        out.text(fields::METHOD, self.method);
        out.text(fields::PATH, &self.path);
        if let Some(status) = self.status {
            out.number(fields::STATUS, u64::from(status));
        }
        optional(out, fields::ERROR, self.error);
        out.text(fields::SURFACE, self.surface.as_str());
        optional(out, fields::KEY, self.key.as_ref().map(KeyId::as_str));
        optional(out, fields::ACCOUNT, self.account.as_ref().map(AccountId::as_str));
        if let Some(client) = self.client {
            out.text(fields::CLIENT, AddressText::of(client).as_str());
        }
        self.write_routing(out);
        out.millis(fields::DURATION, micros(self.duration));
        if let Some(ttft) = self.ttft {
            out.millis(fields::TTFT, micros(ttft));
        }
        if let Some(overhead) = self.overhead {
            out.number(fields::OVERHEAD, micros(overhead));
        }
        self.write_consumption(out);
        out.number(fields::BYTES_IN, self.bytes_in);
        out.number(fields::BYTES_OUT, self.bytes_out);
    }

    fn write_routing(&self, out: &mut impl Fields) {
        optional(out, fields::MODEL_REQUESTED, self.model_requested.as_deref());
        optional(out, fields::MODEL_SERVED, self.model_served.as_ref().map(ModelId::as_str));
        optional(out, fields::PROVIDER, self.provider.as_ref().map(ProviderId::as_str));
        optional(out, fields::ENDPOINT, self.endpoint.as_ref().map(EndpointId::as_str));
        out.flag(fields::STREAM, self.stream);
        optional(out, fields::CACHE, self.cache.map(CacheStatus::as_str));
        out.number(fields::ATTEMPTS, self.attempts);
        if !self.tried.is_empty() {
            let mut tried = self.tried.iter().map(|m| (m.endpoint.as_str(), m.outcome.as_str()));
            out.pairs(fields::TRIED, (fields::TRIED_ENDPOINT, fields::TRIED_OUTCOME), &mut tried);
        }
    }

    fn write_consumption(&self, out: &mut impl Fields) {
        if let Some(usage) = &self.usage {
            out.number(fields::INPUT_TOKENS, usage.prompt);
            out.number(fields::OUTPUT_TOKENS, usage.completion);
            let cache_write = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
            for (name, tokens) in [
                (fields::REASONING_TOKENS, usage.reasoning),
                (fields::CACHE_READ_TOKENS, usage.cache_read),
                (fields::CACHE_WRITE_TOKENS, cache_write),
            ] {
                if tokens > 0 {
                    out.number(name, tokens);
                }
            }
            if usage.estimated {
                out.flag(fields::ESTIMATED, true);
            }
        }
        if let Some(cost) = self.cost {
            out.money(fields::COST, cost);
        }
        if let Some(finish) = self.finish {
            out.single(fields::FINISH, finish);
        }
    }
}

const METHODS: [&str; 8] = ["POST", "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "CONNECT"];

/// Paths that cost no allocation.
const PATHS: [&str; 8] = [
    "/v1/chat/completions",
    "/api/v1/chat/completions",
    "/v1/models",
    "/api/v1/models",
    "/v1/messages",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/completions",
];

fn optional(out: &mut impl Fields, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        out.text(name, value);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The longest beginning that has at most [`TEXT_MAX`] bytes and cuts no character.
fn clipped(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_MAX)).unwrap_or_default()
}

/// An address spelled on the stack.
struct AddressText {
    bytes: [u8; 48],
    len: usize,
}

impl AddressText {
    fn of(address: IpAddr) -> Self {
        use std::io::Write as _;
        let mut text = Self { bytes: [0; 48], len: 0 };
        let mut rest = &mut text.bytes[..];
        let before = rest.len();
        // The longest address has 45 characters, so that this always fits.
        text.len = if write!(rest, "{address}").is_ok() { before - rest.len() } else { 0 };
        text
    }

    fn as_str(&self) -> &str {
        self.bytes.get(..self.len).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
