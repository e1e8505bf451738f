//! How a simulated provider behaves: speed, length and faults.
//!
//! The same knobs can be set in three places, and the later wins: the provider's configuration,
//! request headers (`x-sim-ttft-ms: 200`), and directives in the last user text
//! (`[[sim ttft_ms=200 fault=hang]]`, or `[[sim@provider-id fail=429]]` for one provider only).
//! The directive exists because a gateway must not forward a client's headers: the prompt is the
//! only thing that always gets through.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::replay::Replay;

/// The longest delay that any knob may ask for, in milliseconds (one hour).
pub const DELAY_MS_MAX: u32 = 3_600_000;
/// The longest answer, in tokens.
pub const TOKENS_MAX: u32 = 1_000_000;
/// The longest padded answer, in bytes.
pub const BYTES_MAX: u32 = 64 * 1024 * 1024;
/// The most fault rules that one behaviour holds.
pub const FAULTS_MAX: usize = 32;

/// Speed, length and faults of one provider, or of one request to it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Behaviour {
    /// From the request's last byte to the answer's first token, in milliseconds, at most
    /// [`DELAY_MS_MAX`].
    pub ttft_ms: u32,
    /// Between two tokens, in milliseconds; fractions are kept on average. A whole answer takes
    /// `ttft_ms + tokens × token_ms`.
    pub token_ms: f64,
    /// How much delays vary, as a fraction (0 to 1) of each.
    pub jitter: f64,
    /// Length of an answer in tokens (words), 1 to [`TOKENS_MAX`]; the request's limit may cut it.
    pub tokens: u32,
    /// Tokens per streamed event, 1 or more.
    pub chunk_tokens: u32,
    /// Lengthens the answer to at least this many bytes of text, at most [`BYTES_MAX`].
    pub bytes: u32,
    /// Words are `w0 w1 w2 …`, so that a gap or a repeat shows.
    pub numbered: bool,
    /// Asked to go on with an answer of its own that was cut off, it repeats so many words of it
    /// first: all of them, if there are no more.
    pub repeat: u32,
    /// The answer's text says the length and BLAKE3 hash of the body that arrived.
    pub echo: bool,
    /// The answer's header (and a stream's preamble) is sent at once, not with the first token.
    pub early_header: bool,
    /// Events that are due together travel as one HTTP chunk.
    pub coalesce: bool,
    /// Answers from prebuilt bytes without reading the request, except for `"stream":true`: the
    /// quickest that the simulator can be. Directives are not looked for.
    pub canned: bool,
    /// Requests served at a time; more are answered with 429. Zero means no limit.
    pub max_in_flight: u32,
    /// Faults; for each request the first rule that applies is taken.
    pub faults: Vec<FaultRule>,
    /// Answers given verbatim instead of simulated ones: the k-th request since this behaviour was
    /// set gets the k-th, and the last one repeats.
    pub replay: Vec<Replay>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            ttft_ms: 0,
            token_ms: 0.0,
            jitter: 0.0,
            tokens: 32,
            chunk_tokens: 1,
            bytes: 0,
            numbered: false,
            repeat: 0,
            echo: false,
            early_header: false,
            coalesce: false,
            canned: false,
            max_in_flight: 0,
            faults: Vec::new(),
            replay: Vec::new(),
        }
    }
}

impl Behaviour {
    /// The default behaviour with one fault on every request.
    pub fn failing(fault: Fault) -> Self {
        Self { faults: vec![FaultRule::always(fault)], ..Self::default() }
    }

    /// Answers every request with these bytes.
    pub fn replaying(replay: Replay) -> Self {
        Self { replay: vec![replay], ..Self::default() }
    }

    /// Checks every range.
    ///
    /// # Errors
    /// The first knob that is out of range, and what is allowed.
    pub fn check(&self) -> Result<(), BadKnob> {
        let delay = f64::from(DELAY_MS_MAX);
        within("ttft_ms", self.ttft_ms <= DELAY_MS_MAX, "0 to 3600000")?;
        within("token_ms", (0.0..=delay).contains(&self.token_ms), "0 to 3600000")?;
        within("jitter", (0.0..=1.0).contains(&self.jitter), "0 to 1")?;
        within("tokens", (1..=TOKENS_MAX).contains(&self.tokens), "1 to 1000000")?;
        within("chunk_tokens", self.chunk_tokens >= 1, "1 or more")?;
        within("bytes", self.bytes <= BYTES_MAX, "0 to 67108864")?;
        within("faults", self.faults.len() <= FAULTS_MAX, "at most 32 rules")?;
        for rule in &self.faults {
            rule.check()?;
        }
        self.replay.iter().try_for_each(Replay::check)
    }

    /// Sets one knob from text, as headers and directives do. `fault` (or its short forms `fail`
    /// and `error_body`) starts a new rule; the rule's own knobs follow it.
    ///
    /// # Errors
    /// The knob is unknown, its value can't be read, or the value is out of range.
    pub fn apply(&mut self, knob: &str, value: &str) -> Result<(), BadKnob> {
        match knob {
            "ttft_ms" => self.ttft_ms = read(knob, value)?,
            "token_ms" => self.token_ms = read(knob, value)?,
            "jitter" => self.jitter = read(knob, value)?,
            "tokens" => self.tokens = read(knob, value)?,
            "chunk_tokens" => self.chunk_tokens = read(knob, value)?,
            "bytes" => self.bytes = read(knob, value)?,
            "numbered" => self.numbered = read(knob, value)?,
            "repeat" => self.repeat = read(knob, value)?,
            "echo" => self.echo = read(knob, value)?,
            "early_header" => self.early_header = read(knob, value)?,
            "coalesce" => self.coalesce = read(knob, value)?,
            "max_in_flight" => self.max_in_flight = read(knob, value)?,
            "fault" if value == "none" => self.faults.clear(),
            "fault" => self.faults.push(FaultRule::always(value.parse()?)),
            "fail" => self.faults.push(FaultRule::always(Fault::Status(read(knob, value)?))),
            "error_body" => self.error_body(value.parse()?),
            _ => self.rule(knob)?.apply(knob, value)?,
        }
        self.check()
    }

    /// `error_body` refines a `status` rule that stands before it, or is a rule of its own.
    fn error_body(&mut self, kind: ErrorBody) {
        match self.faults.last_mut() {
            Some(rule) if matches!(rule.fault, Fault::Status(_)) && rule.error_body.is_none() => {
                rule.error_body = Some(kind);
            }
            _ => self.faults.push(FaultRule::always(Fault::Error(kind))),
        }
    }

    fn rule(&mut self, knob: &str) -> Result<&mut FaultRule, BadKnob> {
        if !FaultRule::KNOBS.contains(&knob) {
            return Err(BadKnob::new(knob, "is not a knob of the simulator"));
        }
        self.faults.last_mut().ok_or_else(|| BadKnob::new(knob, "must follow a fault"))
    }
}

/// One fault and when it strikes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// What goes wrong.
    pub fault: Fault,
    /// The share of requests that it strikes, 0 to 1; which ones follows from the seed and the
    /// request's number.
    #[serde(default = "always")]
    pub rate: f64,
    /// Strikes only the first so many requests since the behaviour was set.
    #[serde(default)]
    pub first: Option<u64>,
    /// Spares the first so many requests since the behaviour was set.
    #[serde(default)]
    pub after: u64,
    /// Strikes only requests whose credential ends like this.
    #[serde(default)]
    pub key_ends: Option<String>,
    /// The `Retry-After` of an error answer, in seconds.
    #[serde(default)]
    pub retry_after: Option<u32>,
    /// What the body of a `status` fault says; by default what fits the status.
    #[serde(default)]
    pub error_body: Option<ErrorBody>,
}

const fn always() -> f64 {
    1.0
}

impl FaultRule {
    const KNOBS: [&'static str; 4] = ["rate", "first", "after", "retry_after"];

    /// The fault, on every request.
    pub const fn always(fault: Fault) -> Self {
        Self {
            fault,
            rate: always(),
            first: None,
            after: 0,
            key_ends: None,
            retry_after: None,
            error_body: None,
        }
    }

    /// Whether the rule strikes the request of this number (from 0); `chance` is uniform in
    /// 0 to 1 and belongs to the request.
    pub fn strikes(&self, number: u64, chance: f64) -> bool {
        number >= self.after && self.first.is_none_or(|n| number < n) && chance < self.rate
    }

    /// Whether the rule is for requests with this credential.
    pub fn concerns(&self, credential: Option<&[u8]>) -> bool {
        let ends = |end: &String| credential.is_some_and(|sent| sent.ends_with(end.as_bytes()));
        self.key_ends.as_ref().is_none_or(ends)
    }

    fn apply(&mut self, knob: &str, value: &str) -> Result<(), BadKnob> {
        match knob {
            "rate" => self.rate = read(knob, value)?,
            "first" => self.first = Some(read(knob, value)?),
            "after" => self.after = read(knob, value)?,
            _ => self.retry_after = Some(read(knob, value)?),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), BadKnob> {
        within("rate", (0.0..=1.0).contains(&self.rate), "0 to 1")?;
        if let Fault::Status(code) = self.fault {
            within("fault", (400..=599).contains(&code), "status:400 to status:599")?;
        }
        let body_has_status = matches!(self.fault, Fault::Status(_)) || self.error_body.is_none();
        within("error_body", body_has_status, "only with fault = \"status:<code>\"")
    }
}

/// What can go wrong. (That nobody listens is a switch of the provider, not of a request: see
/// [`super::ProviderConfig::listening`].)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Fault {
    /// `reset`: the connection is reset before any byte of an answer.
    Reset,
    /// `reset_reused`: the same, but only if the connection has carried a request before.
    ResetReused,
    /// `hang`: the request is taken and never answered.
    Hang,
    /// `hang_after_header`: 200 and the header, then nothing.
    HangAfterHeader,
    /// `slow_header`: the answer's first 64 bytes come one at a time, 20 ms apart.
    SlowHeader,
    /// `status:<code>`: an error answer.
    Status(u16),
    /// `error:<kind>`: an error answer of this kind, with the status that the dialect uses for it.
    Error(ErrorBody),
    /// `in_band`: 200, then an error event before the first token.
    InBand,
    /// `in_band_after:<n>`: an error event after so many tokens.
    InBandAfter(u32),
    /// `cut_before`: 200 and the preamble, then the connection closes before the first token.
    CutBefore,
    /// `cut_after:<n>`: the connection closes after so many tokens.
    CutAfter(u32),
    /// `reset_after:<n>`: the connection is reset after so many tokens.
    ResetAfter(u32),
    /// `end_after:<n>`: the answer ends after so many tokens, as HTTP says that it should.
    EndAfter(u32),
    /// `hang_after:<n>`: nothing more comes after so many tokens.
    HangAfter(u32),
    /// `empty`: a well-formed answer with no content and no finish reason.
    Empty,
    /// `empty_body`: 200 with no body at all.
    EmptyBody,
    /// `no_usage`: the answer does not say what it used.
    NoUsage,
    /// `no_done`: the stream ends cleanly, but without its dialect's terminal event.
    NoDone,
    /// `garbage`: 200 and bytes that are not the dialect.
    Garbage,
}

const SIMPLE: [(&str, Fault); 12] = [
    ("reset", Fault::Reset),
    ("reset_reused", Fault::ResetReused),
    ("hang", Fault::Hang),
    ("hang_after_header", Fault::HangAfterHeader),
    ("slow_header", Fault::SlowHeader),
    ("in_band", Fault::InBand),
    ("cut_before", Fault::CutBefore),
    ("empty", Fault::Empty),
    ("empty_body", Fault::EmptyBody),
    ("no_usage", Fault::NoUsage),
    ("no_done", Fault::NoDone),
    ("garbage", Fault::Garbage),
];

impl FromStr for Fault {
    type Err = BadKnob;

    fn from_str(text: &str) -> Result<Self, BadKnob> {
        if let Some((_, fault)) = SIMPLE.iter().find(|(name, _)| *name == text) {
            return Ok(*fault);
        }
        match text.split_once(':') {
            Some(("status", code)) => Ok(Self::Status(read("fault", code)?)),
            Some(("error", kind)) => Ok(Self::Error(kind.parse()?)),
            Some(("in_band_after", n)) => Ok(Self::InBandAfter(read("fault", n)?)),
            Some(("cut_after", n)) => Ok(Self::CutAfter(read("fault", n)?)),
            Some(("reset_after", n)) => Ok(Self::ResetAfter(read("fault", n)?)),
            Some(("end_after", n)) => Ok(Self::EndAfter(read("fault", n)?)),
            Some(("hang_after", n)) => Ok(Self::HangAfter(read("fault", n)?)),
            _ if text == "refuse" => {
                Err(BadKnob::new("fault", "refuse is a switch of the provider (`listening`)"))
            }
            _ => Err(BadKnob::new("fault", "is not a fault of the simulator")),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(code) => write!(f, "status:{code}"),
            Self::Error(kind) => write!(f, "error:{}", kind.name()),
            Self::InBandAfter(n) => write!(f, "in_band_after:{n}"),
            Self::CutAfter(n) => write!(f, "cut_after:{n}"),
            Self::ResetAfter(n) => write!(f, "reset_after:{n}"),
            Self::EndAfter(n) => write!(f, "end_after:{n}"),
            Self::HangAfter(n) => write!(f, "hang_after:{n}"),
            other => {
                let name = SIMPLE.iter().find(|(_, fault)| fault == other).map_or("", |(n, _)| n);
                f.write_str(name)
            }
        }
    }
}

impl TryFrom<String> for Fault {
    type Error = BadKnob;

    fn try_from(text: String) -> Result<Self, BadKnob> {
        text.parse()
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        fault.to_string()
    }
}

/// What an error body says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorBody {
    /// The prompt does not fit the model.
    ContextLength,
    /// The content policy refuses the prompt.
    ContentPolicy,
    /// The request is wrong.
    InvalidRequest,
    /// The credential is wrong.
    Auth,
    /// The account has no credit.
    Billing,
    /// The credential may not do this.
    Permission,
    /// The model or path is unknown.
    NotFound,
    /// The request is too large.
    TooLarge,
    /// Too many requests.
    RateLimit,
    /// The provider is overloaded.
    Overloaded,
    /// Any other failure.
    Server,
    /// A page of HTML, as a load balancer sends it.
    Html,
}

impl ErrorBody {
    const NAMES: [(&'static str, Self); 12] = [
        ("context_length", Self::ContextLength),
        ("content_policy", Self::ContentPolicy),
        ("invalid_request", Self::InvalidRequest),
        ("auth", Self::Auth),
        ("billing", Self::Billing),
        ("permission", Self::Permission),
        ("not_found", Self::NotFound),
        ("too_large", Self::TooLarge),
        ("rate_limit", Self::RateLimit),
        ("overloaded", Self::Overloaded),
        ("server", Self::Server),
        ("html", Self::Html),
    ];

    /// The name as written in the config.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// What fits a status best.
    pub const fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Auth,
            402 => Self::Billing,
            403 => Self::Permission,
            404 => Self::NotFound,
            413 => Self::TooLarge,
            429 => Self::RateLimit,
            503 | 529 => Self::Overloaded,
            500..=599 => Self::Server,
            _ => Self::InvalidRequest,
        }
    }
}

impl FromStr for ErrorBody {
    type Err = BadKnob;

    fn from_str(text: &str) -> Result<Self, BadKnob> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, kind)| *kind).ok_or_else(|| BadKnob::new("error_body", "is not a kind"))
    }
}

/// A knob that is unknown or out of range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadKnob {
    /// The knob, at most 64 bytes of it.
    pub knob: String,
    /// What is wrong with it, or what is allowed.
    pub problem: &'static str,
}

impl BadKnob {
    pub(super) fn new(knob: &str, problem: &'static str) -> Self {
        Self { knob: knob.chars().take(64).collect(), problem }
    }
}

impl fmt::Display for BadKnob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.knob, self.problem)
    }
}

impl std::error::Error for BadKnob {}

fn read<T: FromStr>(knob: &str, value: &str) -> Result<T, BadKnob> {
    value.parse().map_err(|_| BadKnob::new(knob, "has a value that can't be read"))
}

fn within(knob: &str, ok: bool, allowed: &'static str) -> Result<(), BadKnob> {
    if ok { Ok(()) } else { Err(BadKnob::new(knob, allowed)) }
}
