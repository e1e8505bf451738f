//! What is measured.

use super::Fault;
use super::check::Form;
use super::provider::{self, Place};

/// One thing to measure.
#[derive(Debug)]
pub(super) struct Case {
    /// As `--only` takes it.
    pub(super) name: &'static str,
    /// As the report heads it.
    pub(super) title: &'static str,
    pub(super) load: Load,
}

/// What the client does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Load {
    /// As many requests as come through: for the cost. Then a fixed number per second: for the
    /// latency, which means little while everyone queues.
    Requests(Requests),
    /// A thousand streams at a time, each a token every tenth of a second.
    Streams {
        /// The provider speaks Anthropic's dialect, and the gateway translates. (The others can't;
        /// they are sent Anthropic's own requests.)
        translated: bool,
    },
}

/// Requests one after the other on some connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Requests {
    /// The length of the request's body, in bytes.
    pub(super) body: usize,
    pub(super) connections: usize,
    /// Requests per second of the paced phase, on all connections together.
    pub(super) rate: u32,
    pub(super) stream: bool,
    /// Asks for a cached answer.
    pub(super) cached: bool,
}

/// Streams at a time.
pub(super) const STREAMS: usize = 1000;

const WHOLE: Requests =
    Requests { body: 1024, connections: 32, rate: 2000, stream: false, cached: false };

/// Every case, in the order of the report.
pub(super) static ALL: [Case; 6] = [
    Case {
        name: "json-1k",
        title: "1 KB chat request, 1 KB JSON answer; 32 connections, kept alive",
        load: Load::Requests(WHOLE),
    },
    Case {
        name: "prompt-32k",
        title: "32 KB chat request, 1 KB JSON answer; 32 connections, kept alive",
        load: Load::Requests(Requests { body: 32 * 1024, rate: 1000, ..WHOLE }),
    },
    Case {
        name: "sse-100",
        title: "1 KB chat request, streamed answer of 100 chunks at once; 16 connections",
        load: Load::Requests(Requests { connections: 16, rate: 100, stream: true, ..WHOLE }),
    },
    Case {
        name: "slow-1000",
        title: "1,000 slow streams at a time, 10 chunks per second each",
        load: Load::Streams { translated: false },
    },
    Case {
        name: "cache-hit",
        title: "1 KB chat request, the answer from the cache (nginx: proxy_cache); 32 connections",
        load: Load::Requests(Requests { cached: true, ..WHOLE }),
    },
    Case {
        name: "slow-translated",
        title: "1,000 slow streams at a time; Anthropic upstream, translated by the gateway",
        load: Load::Streams { translated: true },
    },
];

/// Every name, a line each.
pub(super) fn list() -> String {
    ALL.iter().map(|case| format!("{:16} {}\n", case.name, case.title)).collect()
}

/// The case of this name.
///
/// # Errors
/// There is none.
pub(super) fn find(name: &str) -> Result<&'static Case, Fault> {
    let found = ALL.iter().find(|case| case.name == name);
    found.ok_or_else(|| format!("{name} is not a case; they are:\n{}", list()))
}

impl Case {
    /// Where the provider answers it.
    pub(super) fn place(&self) -> Place {
        match self.load {
            Load::Requests(Requests { stream: true, .. }) => provider::QUICK_STREAM,
            Load::Requests(_) => provider::JSON,
            Load::Streams { translated: false } => provider::SLOW_STREAM,
            Load::Streams { translated: true } => provider::ANTHROPIC_STREAM,
        }
    }

    /// The wire format of the provider's own answer.
    pub(super) fn form(&self) -> Form {
        match self.load {
            Load::Requests(Requests { stream: false, .. }) => Form::Json,
            Load::Streams { translated: true } => Form::Anthropic,
            Load::Requests(_) | Load::Streams { .. } => Form::Chat,
        }
    }

    /// Whether the client asks for a cached answer.
    pub(super) fn is_cached(&self) -> bool {
        matches!(self.load, Load::Requests(Requests { cached: true, .. }))
    }

    /// The body of its request, in the provider's dialect, or in OpenAI's for the gateway.
    pub(super) fn body(&self, translated: bool) -> String {
        let (bytes, stream) = match self.load {
            Load::Requests(requests) => (requests.body, requests.stream),
            Load::Streams { .. } => (1024, true),
        };
        let model = self.place().model;
        let anthropic = self.form() == Form::Anthropic && !translated;
        let options = match (stream, anthropic) {
            (false, _) => "",
            (true, false) => r#","stream":true,"stream_options":{"include_usage":true}"#,
            (true, true) => r#","stream":true"#,
        };
        let system = "You are a helpful assistant. Answer briefly.";
        let (system, first) = if anthropic {
            (format!(r#","system":"{system}""#), String::new())
        } else {
            (String::new(), format!(r#"{{"role":"system","content":"{system}"}},"#))
        };
        let head = format!(
            r#"{{"model":"{model}"{options}{system},"max_tokens":256,"temperature":0.7,"messages":[{first}{{"role":"user","content":"Hello."}},{{"role":"assistant","content":"Hello! How can I help?"}},{{"role":"user","content":""#
        );
        let tail = r#""}]}"#;
        let text = prose(bytes.saturating_sub(head.len() + tail.len()));
        format!("{head}{text}{tail}")
    }
}

/// So many bytes of text as people send it: words, line ends (escaped in JSON), a quoted word here
/// and there.
fn prose(bytes: usize) -> String {
    const WORDS: [&str; 16] = [
        "the", "report", "shows", "that", "in", "spring", "most", "of", "the", "lines", "were",
        "moved", "to", "another", "place,", "and",
    ];
    let mut text = String::with_capacity(bytes + 16);
    let mut state = 1_u32;
    let mut count = 0_u32;
    while text.len() < bytes {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let word = usize::try_from(state >> 28).ok().and_then(|at| WORDS.get(at));
        text.push_str(word.unwrap_or(&"and"));
        count += 1;
        match count {
            n if n % 97 == 0 => text.push_str(r#" \"so\" "#),
            n if n % 23 == 0 => text.push_str(r".\n"),
            _ => text.push(' '),
        }
    }
    text.truncate(bytes);
    // Half an escape would swallow the closing quote.
    let cut = text.trim_end_matches('\\').len();
    text.truncate(cut);
    text.extend(std::iter::repeat_n('.', bytes - cut));
    text
}
