//! What the operator sets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use turnpike_plugin_api::{BadOption, OptionDoc, Secret, Setup};
use url::Url;

/// The most categories that can be named, and that an answer may have.
pub(crate) const CATEGORIES_MAX: usize = 64;
/// The most bytes of a category's name.
const NAME_BYTES_MAX: usize = 64;

/// The operator's options, documented.
pub(crate) const OPTIONS: &[OptionDoc] = &[
    OptionDoc {
        name: "base_url",
        about: "Where the endpoint is, without /moderations: as https://api.openai.com/v1. Required",
    },
    OptionDoc {
        name: "api_key",
        about: "The endpoint's key, sent as a bearer: env:NAME or file:PATH. Optional",
    },
    OptionDoc {
        name: "model",
        about: "The moderation model, at most 200 bytes. Default \"omni-moderation-latest\"",
    },
    OptionDoc {
        name: "scope",
        about: "What is checked: last_user (the user's last turn), user (all of the user's turns) or all (every text, those of tools included). Default \"last_user\"",
    },
    OptionDoc {
        name: "categories",
        about: "Only these categories count, at most 64. Default every category of the endpoint",
    },
    OptionDoc {
        name: "thresholds",
        about: "Scores from which a category counts as flagged, 0 to 1, whatever the endpoint says of it: a table as { violence = 0.7 }. Default {}: the endpoint's own verdict",
    },
    OptionDoc {
        name: "text_bytes_max",
        about: "The most bytes of text that are checked, 1,024 to 1,048,576; of a longer one on_failure decides. Default 262144",
    },
    OptionDoc {
        name: "on_failure",
        about: "Where the text cannot be checked: closed (the request is refused) or open (it goes on, with a note). Default \"closed\"",
    },
    OptionDoc {
        name: "timeout_ms",
        about: "The most milliseconds that one call may take, 100 to 60,000. Default 5000",
    },
    OptionDoc {
        name: "cache_ttl_secs",
        about: "Seconds for which verdicts are kept and used again for the same text, 0 to 86,400; 0: not at all. Default 0",
    },
];

/// Which texts are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scope {
    /// The user's last turn that has a text.
    LastUser,
    /// All of the user's turns.
    User,
    /// Every text.
    All,
}

/// What becomes of a request that cannot be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnFailure {
    /// It goes on.
    Open,
    /// It is refused.
    Closed,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    base_url: Option<String>,
    api_key: Option<String>,
    model: String,
    scope: Scope,
    categories: Option<BTreeSet<String>>,
    thresholds: BTreeMap<String, f64>,
    text_bytes_max: usize,
    on_failure: OnFailure,
    timeout_ms: u64,
    cache_ttl_secs: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            base_url: None,
            api_key: None,
            model: "omni-moderation-latest".to_owned(),
            scope: Scope::LastUser,
            categories: None,
            thresholds: BTreeMap::new(),
            text_bytes_max: 256 * 1024,
            on_failure: OnFailure::Closed,
            timeout_ms: 5000,
            cache_ttl_secs: 0,
        }
    }
}

/// The operator's options, judged.
pub(crate) struct Config {
    /// The whole URL that is called.
    pub(crate) url: String,
    pub(crate) origin: String,
    pub(crate) key: Option<Secret>,
    pub(crate) model: String,
    pub(crate) scope: Scope,
    pub(crate) rules: Rules,
    pub(crate) text_bytes_max: usize,
    pub(crate) on_failure: OnFailure,
    pub(crate) timeout: Duration,
    /// Zero: nothing is kept.
    pub(crate) keep: Duration,
}

/// What counts as flagged.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// Only these; `None`: all.
    pub(crate) categories: Option<BTreeSet<String>>,
    /// Scores from which a category is flagged; others go by the endpoint's verdict.
    pub(crate) thresholds: BTreeMap<String, f64>,
}

impl Config {
    /// Judges the options.
    ///
    /// # Errors
    /// Which option is wrong, and what is allowed.
    pub(crate) fn read(setup: &Setup<'_>) -> Result<Self, BadOption> {
        let options: Options = setup.read()?;
        let (url, origin) = endpoint(options.base_url.as_deref())?;
        let key = options.api_key.as_deref();
        let key = key.map(|reference| setup.secret("api_key", reference)).transpose()?;
        let sound = |key: &Secret| {
            !key.reveal().is_empty() && key.reveal().bytes().all(|b| b.is_ascii_graphic())
        };
        if key.as_ref().is_some_and(|key| !sound(key)) {
            let why = "the key must be visible ASCII without blanks";
            return Err(BadOption::new("api_key", why));
        }
        if options.model.is_empty() || options.model.len() > 200 {
            return Err(BadOption::new("model", "write 1 to 200 bytes"));
        }
        within("text_bytes_max", options.text_bytes_max, 1024, 1 << 20)?;
        within("timeout_ms", options.timeout_ms, 100, 60_000)?;
        within("cache_ttl_secs", options.cache_ttl_secs, 0, 86_400)?;
        Ok(Self {
            url,
            origin,
            key,
            model: options.model,
            scope: options.scope,
            rules: Rules::judge(options.categories, options.thresholds)?,
            text_bytes_max: options.text_bytes_max,
            on_failure: options.on_failure,
            timeout: Duration::from_millis(options.timeout_ms),
            keep: Duration::from_secs(options.cache_ttl_secs),
        })
    }
}

impl Rules {
    fn judge(
        categories: Option<BTreeSet<String>>,
        thresholds: BTreeMap<String, f64>,
    ) -> Result<Self, BadOption> {
        let wrong = |option: &str, why: &str| Err(BadOption::new(option, why));
        let named = categories.iter().flatten();
        if named.clone().count() > CATEGORIES_MAX || !named.clone().all(|name| is_name(name)) {
            let why = "write at most 64 names as violence/graphic, each of at most 64 bytes";
            return wrong("categories", why);
        }
        if categories.as_ref().is_some_and(BTreeSet::is_empty) {
            return wrong("categories", "write at least one, or leave it out: nothing would count");
        }
        if thresholds.len() > CATEGORIES_MAX {
            return wrong("thresholds", "at most 64 categories");
        }
        for (name, score) in &thresholds {
            let option = format!("thresholds.{name}");
            if !is_name(name) {
                return wrong("thresholds", "write names as violence/graphic");
            }
            if !(0.0..=1.0).contains(score) {
                return wrong(&option, "write 0 to 1");
            }
            if categories.as_ref().is_some_and(|categories| !categories.contains(name)) {
                return wrong(&option, "it is not among the categories that count");
            }
        }
        Ok(Self { categories, thresholds })
    }

    /// Whether a category counts.
    pub(crate) fn count(&self, category: &str) -> bool {
        self.categories.as_ref().is_none_or(|categories| categories.contains(category))
    }

    /// Every category that the operator names.
    pub(crate) fn named(&self) -> impl Iterator<Item = &String> {
        self.categories.iter().flatten().chain(self.thresholds.keys())
    }
}

/// Whether this can be shown as the name of a category: OpenAI's are as `self-harm/intent`, others'
/// as `dangerous_and_criminal_content`.
pub(crate) fn is_name(text: &str) -> bool {
    let usual = |b: u8| b.is_ascii_alphanumeric() || b"-_/. ".contains(&b);
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(usual)
}

/// The URL that is called, and its origin.
fn endpoint(base: Option<&str>) -> Result<(String, String), BadOption> {
    let wrong = |why: &str| BadOption::new("base_url", why);
    let base = base.ok_or_else(|| wrong("write where it is, as https://api.openai.com/v1"))?;
    let url = Url::parse(base).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    let url = url.ok_or_else(|| {
        wrong("write http:// or https://, a host and perhaps a path; no credentials, query or fragment")
    })?;
    let base = url.as_str().trim_end_matches('/');
    Ok((format!("{base}/moderations"), url.origin().ascii_serialization()))
}

fn within<T: PartialOrd + std::fmt::Display>(
    option: &str,
    value: T,
    least: T,
    most: T,
) -> Result<(), BadOption> {
    if value >= least && value <= most {
        return Ok(());
    }
    Err(BadOption::new(option, format!("{value} is not {least} to {most}")))
}
