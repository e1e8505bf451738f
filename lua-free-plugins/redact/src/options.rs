//! The plugin's options, and what they come to.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use turnpike_plugin_api::{BadOption, OptionDoc, Refusal, Setup};

use crate::builtin::BUILTINS;
use crate::detector::{Check, Detector};
use crate::scan::Rules;

/// The most patterns of the operator's own.
const PATTERNS_MAX: usize = 32;
/// The most bytes of their automata together.
const PATTERNS_BYTES_MAX: usize = 64 << 20;
/// The most bytes of one as it is written.
const PATTERN_BYTES_MAX: usize = 4096;
const MATCH_BYTES_MAX: usize = 4096;
/// The most bytes of a pattern's name.
const NAME_BYTES_MAX: usize = 32;
/// What is looked for in answers to give placeholders' values back. It has no action.
const PLACEHOLDER: &str = r"\[[A-Z][A-Z0-9_]{0,31}_[0-9]{1,9}\]";
const PLACEHOLDER_BYTES_MAX: usize = 64;

pub(crate) const OPTIONS: &[OptionDoc] = &[
    OptionDoc {
        name: "detectors",
        about: "List of what is looked for: private_key, jwt, ai_key, aws_key, google_key, \
                github_token, slack_token, email, iban, card, ssn, ip, phone. \
                Default all but ip",
    },
    OptionDoc {
        name: "patterns",
        about: "List of up to 32 more, {name, pattern}: a name of lower-case letters, digits and \
                underscores, up to 32 bytes, that begins with a letter; a regular expression of \
                the crate regex, up to 4096 bytes, that does not match the empty text. \
                Default none",
    },
    OptionDoc {
        name: "match_bytes_max",
        about: "For how many bytes it may be open whether a match of a pattern comes about or \
                goes on, 1 to 4096; so much of a streamed answer may be held back. Default 256",
    },
    OptionDoc {
        name: "action",
        about: "What is done with what is found: `redact` replaces it, `block` refuses a request \
                with 403 and replaces in answers, `flag` only notes it. Default redact",
    },
    OptionDoc {
        name: "actions",
        about: "Actions of single detectors and patterns, by name. Default action for all",
    },
    OptionDoc { name: "input", about: "Requests are looked through. Default true" },
    OptionDoc { name: "output", about: "Answers are looked through. Default true" },
    OptionDoc { name: "tools", about: "So are arguments and results of tool calls. Default true" },
    OptionDoc {
        name: "placeholders",
        about: "What is redacted in a request gets a number, and the answer gets its values back; \
                needs input. Default false",
    },
];

pub(crate) const PER_REQUEST: &[OptionDoc] = &[
    OptionDoc {
        name: "detectors",
        about: "List of built-in detectors to be used as well. Default none",
    },
    OptionDoc {
        name: "action",
        about: "What is done at least: `flag`, `redact` or `block`. Where the operator's is \
                stricter, that stays. Default flag",
    },
];

/// What is done with a match; the later, the stricter.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    Flag,
    #[default]
    Redact,
    Block,
}

/// The options as the operator writes them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    detectors: Option<Vec<String>>,
    patterns: Vec<Pattern>,
    match_bytes_max: usize,
    action: Action,
    actions: BTreeMap<String, Action>,
    input: bool,
    output: bool,
    tools: bool,
    placeholders: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            detectors: None,
            patterns: Vec::new(),
            match_bytes_max: 256,
            action: Action::Redact,
            actions: BTreeMap::new(),
            input: true,
            output: true,
            tools: true,
            placeholders: false,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pattern {
    name: String,
    pattern: String,
}

/// The options of a request's own entry.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Entry {
    detectors: Vec<String>,
    action: Option<Action>,
}

/// The options, judged.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) input: bool,
    pub(crate) output: bool,
    pub(crate) tools: bool,
    pub(crate) placeholders: bool,
    /// What the operator wants.
    pub(crate) policy: Arc<Policy>,
    /// All that can be wanted, in order of precedence: patterns, then what is built in.
    all: Vec<Known>,
    placeholder: Arc<Detector>,
}

/// A detector that can be used.
#[derive(Clone, Debug)]
struct Known {
    detector: Arc<Detector>,
    /// The operator wants it.
    used: bool,
    action: Action,
}

/// What is looked for in a request and its answer.
#[derive(Debug)]
pub(crate) struct Policy {
    /// What is replaced or refused.
    pub(crate) acting: Rules,
    /// Which of it is refused.
    pub(crate) blocks: Vec<bool>,
    /// What of it is built in: a request is looked through again with this.
    pub(crate) again: Rules,
    /// What is only noted.
    pub(crate) noting: Rules,
    /// What is replaced in an answer: placeholders first.
    pub(crate) answer: Rules,
    /// Placeholders alone.
    pub(crate) restore: Rules,
    /// Nothing.
    pub(crate) nothing: Rules,
}

impl Config {
    /// Judges the options.
    ///
    /// # Errors
    /// One is unknown or wrong.
    pub(crate) fn read(setup: &Setup<'_>) -> Result<Self, BadOption> {
        let options: Options = setup.read()?;
        if !options.input && !options.output {
            return Err(BadOption::new("input", "input, output or both must be true"));
        }
        if options.placeholders && !options.input {
            return Err(BadOption::new("placeholders", "they need input = true"));
        }
        if !(1..=MATCH_BYTES_MAX).contains(&options.match_bytes_max) {
            let why = format!("it must be 1 to {MATCH_BYTES_MAX}");
            return Err(BadOption::new("match_bytes_max", why));
        }
        let mut all = patterns(&options)?;
        for (i, name) in options.detectors.iter().flatten().enumerate() {
            if !BUILTINS.iter().any(|builtin| builtin.name == name) {
                return Err(BadOption::new(format!("detectors.{i}"), unknown()));
            }
        }
        for builtin in BUILTINS {
            let named = |names: &Vec<String>| names.iter().any(|name| name == builtin.name);
            let used = options.detectors.as_ref().map_or(builtin.usual, named);
            let detector = builtin.detector();
            let detector = detector.map_err(|why| BadOption::new(builtin.name, why))?;
            all.push(Known { detector: Arc::new(detector), used, action: options.action });
        }
        for (name, action) in &options.actions {
            match all.iter_mut().find(|known| known.detector.name == *name) {
                Some(known) if known.used => known.action = *action,
                Some(_) => {
                    let why = "it is not among the detectors, so the action has no effect";
                    return Err(BadOption::new(format!("actions.{name}"), why));
                }
                None => {
                    let why = format!("it is no pattern's name; {}", unknown());
                    return Err(BadOption::new(format!("actions.{name}"), why));
                }
            }
        }
        if !all.iter().any(|known| known.used) {
            return Err(BadOption::new("detectors", "there must be one, or a pattern"));
        }
        let placeholder = Detector::new("placeholder", PLACEHOLDER, PLACEHOLDER_BYTES_MAX);
        let mut placeholder = placeholder.map_err(|why| BadOption::new("placeholders", why))?;
        placeholder.check = Check::Placeholder;
        let placeholder = Arc::new(placeholder);
        let Options { input, output, tools, placeholders, .. } = options;
        let policy = Arc::new(Policy::new(&all, &placeholder));
        Ok(Self { input, output, tools, placeholders, policy, all, placeholder })
    }

    /// What is looked for on behalf of a request with this entry.
    ///
    /// # Errors
    /// It names a detector that there is not.
    pub(crate) fn policy(&self, entry: &Entry) -> Result<Arc<Policy>, Refusal> {
        let mut all = self.all.clone();
        for name in &entry.detectors {
            let builtin = BUILTINS.iter().any(|builtin| builtin.name == name);
            match all.iter_mut().find(|known| known.detector.name == *name) {
                Some(known) if builtin => known.used = true,
                _ => {
                    return Err(Refusal::invalid(format!("The entry's detectors: {}.", unknown())));
                }
            }
        }
        for known in &mut all {
            known.action = known.action.max(entry.action.unwrap_or(Action::Flag));
        }
        Ok(Arc::new(Policy::new(&all, &self.placeholder)))
    }
}

impl Entry {
    /// It asks for nothing that the operator does not.
    pub(crate) fn is_empty(&self) -> bool {
        self.detectors.is_empty() && self.action.is_none()
    }
}

impl Policy {
    fn new(all: &[Known], placeholder: &Arc<Detector>) -> Self {
        let used = || all.iter().filter(|known| known.used);
        let of = |known: &Known| Arc::clone(&known.detector);
        let acting = || used().filter(|known| known.action != Action::Flag);
        let placeholder = || [Arc::clone(placeholder)].into_iter();
        let is_builtin =
            |known: &&Known| BUILTINS.iter().any(|builtin| builtin.name == known.detector.name);
        let mut again = Rules::new(acting().filter(is_builtin).map(of).collect());
        // Patterns come first.
        again.base = acting().count() - again.list.len();
        Self {
            acting: Rules::new(acting().map(of).collect()),
            again,
            blocks: acting().map(|known| known.action == Action::Block).collect(),
            noting: Rules::new(used().filter(|k| k.action == Action::Flag).map(of).collect()),
            answer: Rules::new(placeholder().chain(acting().map(of)).collect()),
            restore: Rules::new(placeholder().collect()),
            nothing: Rules::new(Vec::new()),
        }
    }
}

fn unknown() -> String {
    let names: Vec<&str> = BUILTINS.iter().map(|builtin| builtin.name).collect();
    format!("there are {}", names.join(", "))
}

fn patterns(options: &Options) -> Result<Vec<Known>, BadOption> {
    if options.patterns.len() > PATTERNS_MAX {
        return Err(BadOption::new("patterns", format!("there may be {PATTERNS_MAX}")));
    }
    let mut all: Vec<Known> = Vec::new();
    let mut bytes = 0;
    for (i, Pattern { name, pattern }) in options.patterns.iter().enumerate() {
        let bad = |field: &str, why: String| BadOption::new(format!("patterns.{i}.{field}"), why);
        let sign = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let sound = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(sign);
        if !sound || name.len() > NAME_BYTES_MAX {
            let why = "it must have lower-case letters, digits and underscores, begin with a \
                       letter, and have at most 32 bytes";
            return Err(bad("name", why.to_owned()));
        }
        let twice = all.iter().any(|known| known.detector.name == *name);
        if twice || BUILTINS.iter().any(|builtin| builtin.name == name) {
            return Err(bad("name", "there is another of this name".to_owned()));
        }
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(bad("pattern", format!("it may have {PATTERN_BYTES_MAX} bytes")));
        }
        let detector = Detector::new(name, pattern, options.match_bytes_max);
        let detector = detector.map_err(|why| bad("pattern", why))?;
        bytes += detector.bytes();
        if bytes > PATTERNS_BYTES_MAX {
            return Err(bad("pattern", "the patterns together are too large".to_owned()));
        }
        all.push(Known { detector: Arc::new(detector), used: true, action: options.action });
    }
    Ok(all)
}
