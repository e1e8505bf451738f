//! The search engines: how each is asked, and how its answer is read.
//!
//! Sources, read 2026-11: the `SearXNG` documentation, "Search API" and "Search syntax"; Brave Search
//! API reference, "Web Search"; Exa API reference, "Search"; Tavily API reference, "Search".

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use turnpike_plugin_api::{Call, Method, Secret};
use url::form_urlencoded::Serializer;

use crate::clean;
use crate::domains::{Domain, Sites};

/// The most results that are asked for: what Brave and Tavily allow.
pub(crate) const RESULTS_MAX: usize = 20;
/// The most characters of a query: what Brave and Tavily allow.
const QUERY_CHARS_MAX: usize = 400;
/// The most words of a query: what Brave allows.
const QUERY_WORDS_MAX: usize = 50;
/// How much of a query may be operators that name sites.
const OPERATORS_CHARS_MAX: usize = 160;
/// How many of an answer's results are looked at.
const ITEMS_MAX: usize = 60;

/// A search engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Engine {
    /// A metasearch engine that the operator runs.
    Searxng,
    /// Brave Search.
    Brave,
    /// Exa.
    Exa,
    /// Tavily.
    Tavily,
}

/// What is searched for.
pub(crate) struct Search<'a> {
    /// What the user said.
    pub(crate) text: &'a str,
    /// How many results are wanted.
    pub(crate) count: usize,
    /// Characters of each that are wanted.
    pub(crate) snippet_chars: usize,
    /// Where they may come from.
    pub(crate) sites: &'a Sites,
}

/// A result as it came.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Found {
    pub(crate) url: String,
    title: Option<String>,
    content: Option<String>,
    description: Option<String>,
    text: Option<String>,
    highlights: Option<Vec<String>>,
    extra_snippets: Option<Vec<String>>,
}

impl Found {
    /// Its title; may be empty.
    pub(crate) fn title(&self) -> &str {
        self.title.as_deref().unwrap_or_default()
    }

    /// What it says: `content` of `SearXNG` and Tavily, `description` and `extra_snippets` of Brave,
    /// `text` or `highlights` of Exa.
    pub(crate) fn snippet(&self) -> String {
        let whole = [&self.content, &self.description, &self.text];
        let parts = [&self.extra_snippets, &self.highlights];
        let whole = whole.into_iter().flatten().map(String::as_str);
        let parts = parts.into_iter().flatten().flatten().map(String::as_str);
        let all: Vec<&str> = whole.chain(parts).filter(|text| !text.trim().is_empty()).collect();
        all.join(" … ")
    }
}

impl Engine {
    /// Its name in options and notes.
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::Searxng => "searxng",
            Self::Brave => "brave",
            Self::Exa => "exa",
            Self::Tavily => "tavily",
        }
    }

    /// Its public address; the operator's own engine has none.
    pub(crate) const fn base_url(self) -> Option<&'static str> {
        match self {
            Self::Searxng => None,
            Self::Brave => Some("https://api.search.brave.com"),
            Self::Exa => Some("https://api.exa.ai"),
            Self::Tavily => Some("https://api.tavily.com"),
        }
    }

    /// Whether it wants a key.
    pub(crate) const fn has_key(self) -> bool {
        !matches!(self, Self::Searxng)
    }

    /// Asks it; `None`: there is nothing to search for.
    pub(crate) fn call(
        self,
        base: &str,
        key: Option<&Secret>,
        search: &Search<'_>,
    ) -> Option<Call> {
        let sites = search.sites;
        // Some results may have to be left out again.
        let count = if sites.is_open() { search.count } else { RESULTS_MAX };
        let key = key.map(Secret::reveal).unwrap_or_default();
        let call = match self {
            Self::Searxng => {
                let url =
                    self.url(base, "/search", &[("q", &self.query(search)?), ("format", "json")]);
                Call::new(Method::Get, url)
            }
            Self::Brave => {
                let (query, count) = (self.query(search)?, count.to_string());
                let pairs = [
                    ("q", query.as_str()),
                    ("count", &count),
                    ("result_filter", "web"),
                    ("text_decorations", "false"),
                ];
                let url = self.url(base, "/res/v1/web/search", &pairs);
                Call::new(Method::Get, url).header("x-subscription-token", key)
            }
            Self::Exa => {
                let mut body = json!({
                    "query": self.query(search)?,
                    "numResults": count,
                    "type": "auto",
                    "contents": {"text": {"maxCharacters": search.snippet_chars}},
                });
                name(&mut body, "includeDomains", sites.include.iter().map(Domain::to_string));
                name(&mut body, "excludeDomains", sites.exclude.iter().map(Domain::to_string));
                Call::new(Method::Post, format!("{base}/search"))
                    .header("x-api-key", key)
                    .json(&body)
            }
            Self::Tavily => {
                let mut body = json!({
                    "query": self.query(search)?,
                    "max_results": count,
                    "search_depth": "basic",
                    "include_answer": false,
                    "include_raw_content": false,
                });
                let hosts = |list: &[Domain]| -> Vec<String> {
                    list.iter().map(|domain| domain.host().to_owned()).collect()
                };
                let whole = sites.exclude.iter().filter(|domain| domain.is_whole());
                name(&mut body, "include_domains", hosts(&sites.include).into_iter());
                name(&mut body, "exclude_domains", whole.map(Domain::to_string));
                let call = Call::new(Method::Post, format!("{base}/search"));
                call.header("authorization", format!("Bearer {key}")).json(&body)
            }
        };
        Some(call.header("accept", "application/json"))
    }

    fn url(self, base: &str, path: &str, pairs: &[(&str, &str)]) -> String {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(pairs);
        format!("{base}{path}?{}", query.finish())
    }

    /// The query; `None` where nothing can be searched for. Engines without parameters for sites
    /// get operators, as many as fit: results are judged again in any case.
    fn query(self, search: &Search<'_>) -> Option<String> {
        let operators = match self {
            Self::Searxng | Self::Brave => operators(search.sites),
            Self::Exa | Self::Tavily => String::new(),
        };
        // SearXNG takes words that begin so for its own: `!!g` would send us to another host,
        // `!images` and `:de` choose engines and languages, `<3` sets a time limit.
        let bare: &[char] = if self == Self::Searxng { &['!', ':', '<', '?'] } else { &[] };
        let chars = QUERY_CHARS_MAX - operators.chars().count();
        let words = QUERY_WORDS_MAX - operators.split_whitespace().count();
        let query = clean::query(search.text, chars, words, bare);
        (!query.is_empty()).then(|| query + &operators)
    }

    /// Its results; `None`: it is no answer of this engine. What is wrong in one result costs that
    /// result only.
    pub(crate) fn read(self, body: &[u8]) -> Option<Vec<Found>> {
        let items = match self {
            Self::Searxng | Self::Exa | Self::Tavily => {
                serde_json::from_slice::<Results<'_>>(body).ok()?.results?
            }
            Self::Brave => {
                let answer: Brave<'_> = serde_json::from_slice(body).ok()?;
                match answer.web {
                    Some(web) => web.results?,
                    // It says nothing of the web where it found nothing.
                    None if answer.kind.as_deref() == Some("search") => Vec::new(),
                    None => return None,
                }
            }
        };
        let items = items.iter().take(ITEMS_MAX);
        Some(items.filter_map(|item| serde_json::from_str(item.get()).ok()).collect())
    }
}

#[derive(Deserialize)]
struct Results<'a> {
    #[serde(borrow)]
    results: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Brave<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(borrow)]
    web: Option<Results<'a>>,
}

/// Sets a list, if it has anything.
fn name(body: &mut Value, field: &str, domains: impl Iterator<Item = String>) {
    let domains: Vec<String> = domains.collect();
    if !domains.is_empty() {
        body[field] = json!(domains);
    }
}

/// ` (site:a OR site:b) -site:c`. What is asked for is named as a whole or not at all, since a part
/// of it would leave out what is wanted.
fn operators(sites: &Sites) -> String {
    let hosts: Vec<String> =
        sites.include.iter().map(|domain| format!("site:{}", domain.host())).collect();
    let mut out = match hosts.as_slice() {
        [] => String::new(),
        [one] => format!(" {one}"),
        several => format!(" ({})", several.join(" OR ")),
    };
    if out.len() > OPERATORS_CHARS_MAX {
        out.clear();
    }
    for domain in sites.exclude.iter().filter(|domain| domain.is_whole()) {
        let one = format!(" -site:{}", domain.host());
        if out.len() + one.len() <= OPERATORS_CHARS_MAX {
            out.push_str(&one);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    const ALL: [Engine; 4] = [Engine::Searxng, Engine::Brave, Engine::Exa, Engine::Tavily];

    fn url(engine: Engine, text: &str, sites: &Sites) -> String {
        let search = Search { text, count: 5, snippet_chars: 1000, sites };
        engine.call("http://search", None, &search).expect("a call").url
    }

    #[test]
    fn queries_are_encoded() {
        let url = url(Engine::Searxng, "50% off & more? #1 = über+alles\n日本", &Sites::default());
        assert_eq!(
            url,
            "http://search/search?q=50%25+off+%26+more%3F+%231+%3D+%C3%BCber%2Balles+%E6%97%A5%E6%9C%AC&format=json"
        );
    }

    #[test]
    fn many_sites_leave_room_for_the_query() {
        let names: Vec<String> = (0..50).map(|n| format!("a-long-name-{n}.example")).collect();
        let sites = Sites::parse(&names, &names).expect("sites");
        for engine in ALL {
            let text = "word ".repeat(500);
            let search = Search { text: &text, count: 5, snippet_chars: 9, sites: &sites };
            let query = engine.query(&search).expect("a query");
            assert!(query.chars().count() <= QUERY_CHARS_MAX, "{engine:?}");
            assert!(query.split_whitespace().count() <= QUERY_WORDS_MAX, "{engine:?}");
            assert!(!query.contains(" OR "), "too many to name");
        }
    }

    #[test]
    fn garbage_is_no_answer() {
        let garbage: [&[u8]; 8] = [
            b"",
            b"null",
            b"[]",
            b"{}",
            b"{\"error\": \"no\"}",
            b"<html>",
            b"{\"results\": 5}",
            b"\xff\xfe",
        ];
        for body in garbage {
            for engine in ALL {
                assert!(engine.read(body).is_none(), "{engine:?} {body:?}");
            }
        }
        let deep = "[".repeat(200_000);
        assert!(Engine::Exa.read(format!("{{\"results\": {deep}").as_bytes()).is_none());
        assert!(
            Engine::Brave.read(br#"{"type": "search", "query": {}}"#).is_some_and(|r| r.is_empty())
        );
    }

    #[test]
    fn a_wrong_result_costs_only_itself() {
        let body = br#"{"results": [null, 5, {"url": 7}, {"url": "u", "title": [1]},
            {"url": "v", "title": null, "content": "c"}, {"title": "without"}]}"#;
        let found = Engine::Searxng.read(body).expect("an answer");
        let urls: Vec<&str> = found.iter().map(|found| found.url.as_str()).collect();
        assert_eq!(urls, ["v", ""]);
    }

    proptest! {
        #[test]
        fn a_url_holds_its_query_exactly(text in "\\PC{1,60}") {
            let search = Search { text: &text, count: 5, snippet_chars: 9, sites: &Sites::default() };
            if let Some(call) = Engine::Brave.call("http://search", None, &search) {
                let url = Url::parse(&call.url).expect("a URL");
                let query = url.query_pairs().next().expect("a query").1.into_owned();
                prop_assert_eq!(query, Engine::Brave.query(&search).expect("a query"));
                prop_assert!(call.url.is_ascii() && !call.url.contains(' '));
            }
        }

        #[test]
        fn reading_never_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            for engine in ALL {
                drop(engine.read(&body));
            }
        }
    }
}
