//! What a simulated model says: deterministic words, a tool call, or thinking and words.
//!
//! The same seed, model and prompt give the same text on every provider, and a request that ends
//! in the start of an answer gets its continuation, so that a test can tell a gap, a repeat or a
//! mix-up from a faithful relay.

use std::fmt::Write as _;

use serde_json::Value;

use super::ask::{Ask, Content};
use super::behaviour::Behaviour;

/// An answer, in pieces of one token each.
pub(super) struct Answer {
    pub(super) id: u64,
    pub(super) model: String,
    pub(super) thinking: Option<Pieces>,
    pub(super) said: Said,
    pub(super) finish: Finish,
    /// The stop sequence that ended it.
    pub(super) stopped_by: Option<String>,
    pub(super) prompt_tokens: u64,
}

/// What the answer consists of.
pub(super) enum Said {
    Text(Pieces),
    Call { name: String, arguments: Pieces },
}

/// Why the answer ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    Stop,
    Length,
    ToolCalls,
}

impl Answer {
    /// Answers a request. `number` makes the id unique.
    pub(super) fn to(ask: &Ask<'_>, b: &Behaviour, seed: u64, number: u64) -> Self {
        let hash = prompt_hash(ask, seed);
        let mut answer = Self {
            id: mix(hash ^ mix(number)),
            model: ask.model.0.clone().into_owned(),
            thinking: None,
            said: Said::Text(Pieces::default()),
            finish: Finish::Stop,
            stopped_by: None,
            prompt_tokens: prompt_tokens(ask),
        };
        if ask.thinking {
            let limit = ask.max_tokens.unwrap_or(u64::MAX) / 2;
            answer.thinking = Some(Pieces::words(hash ^ 1, 0, limit.min(THINKING_TOKENS), false));
        }
        if let Some((name, arguments)) = tool_call(ask) {
            answer.said = Said::Call { name, arguments: Pieces::fragments(arguments) };
            answer.finish = Finish::ToolCalls;
            return answer;
        }
        let mut text = words(ask, b, hash);
        if let Some(stop) = text.stop_at(ask) {
            answer.stopped_by = Some(stop);
        }
        let limit = ask.max_tokens.map_or(u64::MAX, |max| max - answer.thinking_tokens().min(max));
        if text.truncate(limit) {
            answer.finish = Finish::Length;
            answer.stopped_by = None;
        }
        answer.said = Said::Text(text);
        answer
    }

    /// An answer with this text.
    pub(super) fn saying(text: String, ask: &Ask<'_>, seed: u64, number: u64) -> Self {
        Self {
            id: mix(seed ^ mix(number)),
            model: ask.model.0.clone().into_owned(),
            thinking: None,
            said: Said::Text(Pieces::fragments(text)),
            finish: Finish::Stop,
            stopped_by: None,
            prompt_tokens: prompt_tokens(ask),
        }
    }

    pub(super) fn thinking_tokens(&self) -> u64 {
        self.thinking.as_ref().map_or(0, Pieces::count)
    }

    /// All that was written, thinking included.
    pub(super) fn completion_tokens(&self) -> u64 {
        let (Said::Text(said) | Said::Call { arguments: said, .. }) = &self.said;
        said.count() + self.thinking_tokens()
    }
}

const THINKING_TOKENS: u64 = 8;

/// Text and where its tokens end.
#[derive(Default)]
pub(super) struct Pieces {
    pub(super) text: String,
    ends: Vec<usize>,
}

impl Pieces {
    /// Words number `from` to `from + count`. The first of all has no space before it.
    fn words(hash: u64, from: u64, count: u64, numbered: bool) -> Self {
        let mut pieces = Self::default();
        for i in from..from.saturating_add(count) {
            pieces.push_word(hash, i, numbered);
        }
        pieces
    }

    fn push_word(&mut self, hash: u64, i: u64, numbered: bool) {
        if i > 0 {
            self.text.push(' ');
        }
        if numbered {
            self.text.push('w');
            self.text.push_str(itoa::Buffer::new().format(i));
        } else {
            let at = mix(hash.wrapping_add(i)) % WORDS.len() as u64;
            self.text.push_str(usize::try_from(at).map_or("", |at| WORDS[at]));
        }
        self.ends.push(self.text.len());
    }

    /// Any text, in tokens of about eight bytes.
    fn fragments(text: String) -> Self {
        let mut ends: Vec<usize> = Vec::with_capacity(text.len() / 8 + 1);
        let mut next = 8;
        for (at, _) in text.char_indices() {
            if at >= next {
                ends.push(at);
                next = at + 8;
            }
        }
        if !text.is_empty() {
            ends.push(text.len());
        }
        Self { text, ends }
    }

    pub(super) fn count(&self) -> u64 {
        self.ends.len() as u64
    }

    /// The text in runs of so many tokens, each with its number of tokens.
    pub(super) fn runs(&self, tokens: u32) -> impl Iterator<Item = (&str, u32)> {
        let mut start = 0;
        self.ends.chunks(usize::try_from(tokens).unwrap_or(usize::MAX)).map(move |run| {
            let end = run.last().copied().unwrap_or(start);
            let text = self.text.get(start..end).unwrap_or("");
            start = end;
            (text, u32::try_from(run.len()).unwrap_or(u32::MAX))
        })
    }

    /// Keeps at most so many tokens; says whether any were cut.
    fn truncate(&mut self, tokens: u64) -> bool {
        let keep = usize::try_from(tokens).unwrap_or(usize::MAX);
        if keep >= self.ends.len() {
            return false;
        }
        self.ends.truncate(keep);
        self.text.truncate(self.ends.last().copied().unwrap_or(0));
        true
    }

    /// Cuts before the first stop sequence and says which it was.
    fn stop_at(&mut self, ask: &Ask<'_>) -> Option<String> {
        let found = |stop: &&str| self.text.find(*stop).map(|at| (at, (*stop).to_owned()));
        let stops = ask.stop.0.iter().map(|stop| &*stop.0).filter(|stop| !stop.is_empty());
        let (at, stop) = stops.filter_map(|stop| found(&stop)).min()?;
        self.text.truncate(at);
        self.ends.retain(|end| *end < at);
        if at > 0 {
            self.ends.push(at);
        }
        Some(stop)
    }
}

/// The words of a text answer: after those that a prefill already has, to the configured length.
fn words(ask: &Ask<'_>, b: &Behaviour, hash: u64) -> Pieces {
    let mut said = 0_u64;
    match ask.prefill() {
        Some(prefill) => {
            prefill.each(&mut |text| said += text.split_ascii_whitespace().count() as u64);
        }
        // A prompt of plain text may have the beginning of the answer at its end.
        None if b.numbered => said = ask.last_user_text().map_or(0, words_at_end),
        None => {}
    }
    if ask.is_asked_to_go_on() {
        said = said.saturating_sub(u64::from(b.repeat));
    }
    let mut pieces =
        Pieces::words(hash, said, u64::from(b.tokens).saturating_sub(said), b.numbered);
    let least = usize::try_from(b.bytes).unwrap_or(usize::MAX);
    let mut i = said + pieces.count();
    while pieces.text.len() < least {
        pieces.push_word(hash, i, b.numbered);
        i += 1;
    }
    pieces
}

/// How many numbered words a text ends in.
fn words_at_end(text: &str) -> u64 {
    let last = text.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    let number = last.rsplit('w').next().filter(|number| number.len() < last.len());
    number.and_then(|number| number.parse::<u64>().ok()).map_or(0, |last| last.saturating_add(1))
}

/// Seed, model and every message but the start of an answer.
fn prompt_hash(ask: &Ask<'_>, seed: u64) -> u64 {
    let mut crc = crc32c::crc32c(ask.model.0.as_bytes());
    let mut add = |text: &str| crc = crc32c::crc32c_append(crc, text.as_bytes());
    ask.system.each(&mut add);
    for message in ask.prompt() {
        message.content.each(&mut add);
    }
    mix(seed ^ u64::from(crc))
}

/// The estimate: a quarter of the ASCII bytes and half of the others, each rounded up, and four
/// for each message.
pub(super) fn prompt_tokens(ask: &Ask<'_>) -> u64 {
    let (mut ascii, mut other) = (0_u64, 0_u64);
    let mut add = |text: &str| {
        let plain = text.as_bytes().iter().filter(|b| b.is_ascii()).count();
        ascii += plain as u64;
        other += (text.len() - plain) as u64;
    };
    ask.system.each(&mut add);
    for message in &ask.messages {
        message.content.each(&mut add);
    }
    let system = u64::from(!matches!(ask.system, Content::None));
    ascii.div_ceil(4) + other.div_ceil(2) + 4 * (ask.messages.len() as u64 + system)
}

/// The tool that the model calls and its arguments, if it calls one.
fn tool_call(ask: &Ask<'_>) -> Option<(String, String)> {
    let choice: Value =
        ask.tool_choice.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    // Gemini's words stand in an object of their own, and Bedrock's are the name of the only member.
    let choice = choice.get("functionCallingConfig").unwrap_or(&choice);
    let only = choice.as_object().and_then(|members| members.keys().next());
    let kind = choice.as_str().or_else(|| choice["type"].as_str());
    let kind = kind.or_else(|| choice["mode"].as_str()).or_else(|| only.map(String::as_str));
    let kind = kind.unwrap_or("auto").to_ascii_lowercase();
    let named = choice["function"]["name"].as_str().or_else(|| choice["name"].as_str());
    let named = named.or_else(|| choice["tool"]["name"].as_str());
    let named = named.or_else(|| choice["allowedFunctionNames"][0].as_str());
    let wanted = match kind.as_str() {
        "none" => false,
        "required" | "any" | "tool" | "function" => true,
        _ => ask.last_user_text().is_some_and(|text| {
            let lower = text.to_ascii_lowercase();
            lower.contains("weather") || lower.contains("use the tool")
        }),
    };
    if !wanted || ask.tools.is_empty() || ask.has_tool_result() {
        return None;
    }
    let tools = ask.tools.iter().filter_map(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    tools.into_iter().find_map(|tool| {
        let wrapped = ["function", "toolSpec"].into_iter().find(|name| tool[*name].is_object());
        let body = wrapped.map_or(&tool, |name| &tool[name]);
        let name = body["name"].as_str()?;
        if named.is_some_and(|named| named != name) {
            return None;
        }
        let names = ["parameters", "input_schema", "parametersJsonSchema"];
        let schema = names.into_iter().find_map(|name| body.get(name));
        let schema = schema.or_else(|| body.get("inputSchema").map(|schema| &schema["json"]));
        let arguments = schema.map_or_else(|| Value::Object(Default::default()), sample);
        Some((name.to_owned(), arguments.to_string()))
    })
}

/// A value that fits a JSON schema: enough of the standard for tool parameters.
fn sample(schema: &Value) -> Value {
    sample_at(schema, 0)
}

fn sample_at(schema: &Value, depth: u8) -> Value {
    if let Some(given) = schema.get("const").or_else(|| schema["enum"].get(0)) {
        return given.clone();
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind.unwrap_or("object") {
        "string" => Value::from("Oslo"),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or_else(|| Value::from(1)),
        "boolean" => Value::from(true),
        "null" => Value::Null,
        "array" if depth < 8 => Value::Array(vec![sample_at(&schema["items"], depth + 1)]),
        _ if depth < 8 => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            fields.map(|(name, field)| (name.clone(), sample_at(field, depth + 1))).collect()
        }
        _ => Value::Null,
    }
}

/// The text of an `echo` answer.
pub(super) fn echo(body: &[u8]) -> String {
    let mut text = String::with_capacity(96);
    // Writing to a string can't fail.
    write!(text, "bytes={} blake3={}", body.len(), blake3::hash(body).to_hex()).unwrap_or(());
    text
}

/// SplitMix64's finaliser: spreads a counter over all 64 bits.
pub(super) const fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Uniform in 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
pub(super) fn unit(x: u64) -> f64 {
    (mix(x) >> 11) as f64 / (1_u64 << 53) as f64
}

const WORDS: [&str; 64] = [
    "amber", "anchor", "apple", "arrow", "autumn", "bamboo", "basket", "beacon", "birch", "bottle",
    "bridge", "candle", "canyon", "cedar", "circle", "cloud", "copper", "coral", "cotton", "dawn",
    "delta", "desert", "dove", "ember", "falcon", "feather", "fern", "field", "flint", "forest",
    "garden", "glacier", "granite", "harbor", "hazel", "heron", "island", "ivory", "juniper",
    "lantern", "linen", "maple", "marble", "meadow", "mirror", "mountain", "oak", "ocean", "olive",
    "orchard", "pebble", "pepper", "prairie", "quartz", "raven", "ribbon", "river", "saddle",
    "silver", "sparrow", "stone", "thunder", "valley", "willow",
];
