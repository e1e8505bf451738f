//! What the operator sets, and what a request may.

use std::time::Duration;

use serde::Deserialize;
use turnpike_plugin_api::{BadOption, NanoUsd, OptionDoc, Refusal, Secret, Setup};
use url::Url;

use crate::domains::{Domain, Sites};
use crate::engine::{Engine, RESULTS_MAX};
use crate::sources::PROMPT;

/// The most characters of a prompt.
const PROMPT_CHARS_MAX: usize = 8_000;

/// The operator's options, documented.
pub(crate) const OPTIONS: &[OptionDoc] = &[
    OptionDoc { name: "engine", about: "Who searches: searxng, brave, exa or tavily. Required" },
    OptionDoc {
        name: "base_url",
        about: "Where the engine is: http or https, a path is allowed. Required for searxng. Default the engine's public API",
    },
    OptionDoc {
        name: "api_key",
        about: "The engine's key: env:NAME or file:PATH. Required for brave, exa and tavily; searxng takes none",
    },
    OptionDoc {
        name: "max_results",
        about: "Results for a request that does not say how many, 1 to max_results_allowed. Default 5, or max_results_allowed where that is less",
    },
    OptionDoc {
        name: "max_results_allowed",
        about: "The most results that a request may ask for, 1 to 20. Default 20",
    },
    OptionDoc {
        name: "search_prompt",
        about: "How the model is to use the results, at most 8,000 characters. Default to use them where they help, and to cite them as markdown links named by domain",
    },
    OptionDoc {
        name: "include_domains",
        about: "Results come from these sites only, whatever a request says; at most 50. Default []",
    },
    OptionDoc {
        name: "exclude_domains",
        about: "Results never come from these sites; at most 50. Default []",
    },
    OptionDoc {
        name: "snippet_chars",
        about: "Characters of each result that the model sees, 100 to 10,000. Default 1000",
    },
    OptionDoc {
        name: "price_usd_per_search",
        about: "What a caller is charged for a search, in US dollars as a string, \"0\" to \"100\"; kept results and failures are free. Default \"0\"",
    },
    OptionDoc {
        name: "timeout_ms",
        about: "The most milliseconds that a search may take, 100 to 60,000. Default 5000",
    },
    OptionDoc {
        name: "cache_ttl_secs",
        about: "Seconds for which results are kept and given again, 0 to 86,400; 0: not at all. Default 300",
    },
    OptionDoc {
        name: "on_failure",
        about: "When the search fails: answer (without results, with a note) or refuse (502). Default \"answer\"",
    },
];

/// What a request's entry may say, documented.
pub(crate) const PER_REQUEST: &[OptionDoc] = &[
    OptionDoc {
        name: "engine",
        about: "The configured engine's name; any other is refused. Optional",
    },
    OptionDoc {
        name: "max_results",
        about: "Results, 1 to the operator's max_results_allowed. Default the operator's max_results",
    },
    OptionDoc {
        name: "search_prompt",
        about: "How the model is to use the results, at most 8,000 characters. Default the operator's",
    },
    OptionDoc {
        name: "include_domains",
        about: "Results come from these sites only: example.com with subdomains, *.example.com, example.com/path; at most 50. Default []",
    },
    OptionDoc {
        name: "exclude_domains",
        about: "Results never come from these sites; at most 50. Default []",
    },
];

/// The operator's options as they are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    engine: Option<Engine>,
    base_url: Option<String>,
    api_key: Option<String>,
    max_results: Option<usize>,
    max_results_allowed: usize,
    search_prompt: String,
    include_domains: Vec<String>,
    exclude_domains: Vec<String>,
    snippet_chars: usize,
    price_usd_per_search: String,
    timeout_ms: u64,
    cache_ttl_secs: u64,
    on_failure: OnFailure,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            engine: None,
            base_url: None,
            api_key: None,
            max_results: None,
            max_results_allowed: RESULTS_MAX,
            search_prompt: PROMPT.to_owned(),
            include_domains: Vec::new(),
            exclude_domains: Vec::new(),
            snippet_chars: 1000,
            price_usd_per_search: "0".to_owned(),
            timeout_ms: 5000,
            cache_ttl_secs: 300,
            on_failure: OnFailure::Answer,
        }
    }
}

/// What becomes of a request whose search fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnFailure {
    /// It is answered without results.
    Answer,
    /// It is refused.
    Refuse,
}

/// The operator's options, judged.
pub(crate) struct Config {
    pub(crate) engine: Engine,
    /// Without a slash at its end.
    pub(crate) base: String,
    pub(crate) origin: String,
    pub(crate) key: Option<Secret>,
    max_results: usize,
    max_results_allowed: usize,
    pub(crate) search_prompt: String,
    pub(crate) sites: Sites,
    pub(crate) snippet_chars: usize,
    pub(crate) price: NanoUsd,
    pub(crate) timeout: Duration,
    /// Zero: nothing is kept.
    pub(crate) keep: Duration,
    pub(crate) on_failure: OnFailure,
}

impl Config {
    /// Judges the options.
    ///
    /// # Errors
    /// Which option is wrong, and what is allowed.
    pub(crate) fn read(setup: &Setup<'_>) -> Result<Self, BadOption> {
        let options: Options = setup.read()?;
        let engine = options.engine.ok_or_else(|| {
            BadOption::new("engine", "write who searches: searxng, brave, exa or tavily")
        })?;
        let key = key(setup, engine, options.api_key.as_deref())?;
        let (base, origin) = base(engine, options.base_url.as_deref())?;
        within("max_results_allowed", options.max_results_allowed, 1, RESULTS_MAX)?;
        let allowed = options.max_results_allowed;
        let max_results = options.max_results.unwrap_or(5.min(allowed));
        within("max_results", max_results, 1, allowed)?;
        within("snippet_chars", options.snippet_chars, 100, 10_000)?;
        within("timeout_ms", options.timeout_ms, 100, 60_000)?;
        within("cache_ttl_secs", options.cache_ttl_secs, 0, 86_400)?;
        prompt(&options.search_prompt).map_err(|why| BadOption::new("search_prompt", why))?;
        let sites = Sites::parse(&options.include_domains, &options.exclude_domains);
        Ok(Self {
            engine,
            base,
            origin,
            key,
            max_results,
            max_results_allowed: allowed,
            search_prompt: options.search_prompt,
            sites: sites.map_err(|(list, why)| BadOption::new(list, why))?,
            snippet_chars: options.snippet_chars,
            price: price(&options.price_usd_per_search)?,
            timeout: Duration::from_millis(options.timeout_ms),
            keep: Duration::from_secs(options.cache_ttl_secs),
            on_failure: options.on_failure,
        })
    }
}

fn key(
    setup: &Setup<'_>,
    engine: Engine,
    reference: Option<&str>,
) -> Result<Option<Secret>, BadOption> {
    let wrong = |why: String| Err(BadOption::new("api_key", why));
    let key = reference.map(|reference| setup.secret("api_key", reference)).transpose()?;
    match &key {
        Some(_) if !engine.has_key() => wrong(format!("{} takes none", engine.id())),
        None if engine.has_key() => {
            wrong(format!("{} wants one: write env:NAME or file:PATH", engine.id()))
        }
        Some(key)
            if key.reveal().is_empty() || !key.reveal().bytes().all(|b| b.is_ascii_graphic()) =>
        {
            wrong("the key must be visible ASCII without blanks".to_owned())
        }
        _ => Ok(key),
    }
}

/// The base without a slash at its end, and its origin.
fn base(engine: Engine, text: Option<&str>) -> Result<(String, String), BadOption> {
    let wrong = |why: &str| BadOption::new("base_url", why);
    let text = text.or(engine.base_url());
    let text = text.ok_or_else(|| wrong("write where it runs, as http://searxng:8080"))?;
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    let url = url.ok_or_else(|| {
        wrong("write http:// or https://, a host and perhaps a path; no credentials, query or fragment")
    })?;
    let origin = url.origin().ascii_serialization();
    Ok((url.as_str().trim_end_matches('/').to_owned(), origin))
}

fn price(text: &str) -> Result<NanoUsd, BadOption> {
    let price = NanoUsd::parse_dollars(text).ok();
    let price = price.filter(|price| (NanoUsd::ZERO..=NanoUsd::from_dollars(100)).contains(price));
    price.ok_or_else(|| {
        let why = "write US dollars as \"0.005\", \"0\" to \"100\", at most nine decimal places";
        BadOption::new("price_usd_per_search", why)
    })
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

fn prompt(text: &str) -> Result<(), String> {
    let fits = !text.trim().is_empty() && text.chars().count() <= PROMPT_CHARS_MAX;
    fits.then_some(()).ok_or_else(|| format!("write 1 to {PROMPT_CHARS_MAX} characters"))
}

/// A request's entry as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Entry {
    engine: Option<String>,
    max_results: Option<usize>,
    search_prompt: Option<String>,
    include_domains: Vec<String>,
    exclude_domains: Vec<String>,
}

/// What one request wants.
pub(crate) struct Wish {
    pub(crate) count: usize,
    /// How results are to be used; `None`: as the operator has it.
    pub(crate) prompt: Option<String>,
    pub(crate) sites: Sites,
}

impl Wish {
    /// Judges a request's entry.
    ///
    /// # Errors
    /// What is wrong and what is allowed, as 400.
    pub(crate) fn judge(entry: Entry, config: &Config) -> Result<Self, Refusal> {
        let own = config.engine.id();
        match entry.engine.as_deref() {
            Some(engine) if engine == own => {}
            None => {}
            Some("native") => {
                return Err(Refusal::invalid(format!(
                    "engine: a provider's native search is not offered here; leave engine out, or write \"{own}\"."
                )));
            }
            Some(_) => {
                return Err(Refusal::invalid(format!(
                    "engine: only \"{own}\" is configured here; leave engine out, or write \"{own}\"."
                )));
            }
        }
        let count = entry.max_results.unwrap_or(config.max_results);
        let most = config.max_results_allowed;
        if !(1..=most).contains(&count) {
            return Err(Refusal::invalid(format!("max_results: write 1 to {most}.")));
        }
        if let Some(text) = &entry.search_prompt {
            prompt(text).map_err(|why| Refusal::invalid(format!("search_prompt: {why}.")))?;
        }
        let sites = Sites::parse(&entry.include_domains, &entry.exclude_domains);
        Ok(Self {
            count,
            prompt: entry.search_prompt,
            sites: sites.map_err(|(list, why)| Refusal::invalid(format!("{list}: {why}.")))?,
        })
    }

    /// What the engine is told of sites: the request's wishes where it has any, and never what the
    /// operator excludes. Results are judged by both ([`crate::sources::choose`]).
    pub(crate) fn asked(&self, config: &Config) -> Sites {
        let include = if self.sites.include.is_empty() { &config.sites } else { &self.sites };
        let mut exclude: Vec<Domain> = self.sites.exclude.clone();
        exclude.extend(config.sites.exclude.iter().cloned());
        Sites { include: include.include.clone(), exclude }
    }
}
