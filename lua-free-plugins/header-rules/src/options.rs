//! The plugin's options, and the rules that they come to.

use std::collections::BTreeMap;

use serde::Deserialize;
use turnpike_plugin_api::{BadOption, OptionDoc, Setup};

use crate::names;
use crate::pattern::Pattern;
use crate::rule::{Deny, Rule, Rules, When};
use crate::template::{Map, SURFACES, Template, Variable};

const RULES_MAX: usize = 256;
/// The most headers that a rule looks at, requires or sets, each.
const HEADERS_MAX: usize = 32;
const MAPS_MAX: usize = 64;
const VALUES_MAX: usize = 1024;
const TEXT_BYTES_MAX: usize = 1024;
const CODE_BYTES_MAX: usize = 64;
/// Statuses that a refusal may have.
const STATUSES: [u16; 13] = [400, 401, 402, 403, 404, 408, 413, 415, 429, 500, 502, 503, 504];

pub(crate) const OPTIONS: &[OptionDoc] = &[
    OptionDoc {
        name: "rules",
        about: "List of up to 256 rules, tried in order; all that match act, and one that refuses \
                ends it. Required",
    },
    OptionDoc {
        name: "rules.match",
        about: "What must hold, all of it: `header = {name = pattern}`, `model`, `key`, `account` \
                (patterns), `surface` (chat, responses, messages, completions, embeddings, \
                rerank), `stream` (true or false). A pattern is a value, a glob with `*`, or a \
                regular expression after `~`; the empty one is for a header that is not there. \
                Default all requests",
    },
    OptionDoc {
        name: "rules.set_upstream",
        about: "Headers for the provider: {name = value}, up to 32. A value may have \
                `${header:<name>}`, `${model}`, `${key}`, `${account}`, `${surface}`, \
                `${stream}` and `${map:<name>}`; an empty one is not sent. Optional",
    },
    OptionDoc { name: "rules.set_answer", about: "Headers for the client, likewise. Optional" },
    OptionDoc {
        name: "rules.require",
        about: "List of up to 32 headers that the request must have, not empty. Optional",
    },
    OptionDoc {
        name: "rules.require_status",
        about: "The status where one is missing: 400, 401, 402, 403, 404, 408, 413, 415, 429, \
                500, 502, 503 or 504. Default 400",
    },
    OptionDoc {
        name: "rules.require_code",
        about: "The error's code where one is missing: lower-case letters, digits and \
                underscores, up to 64. Default missing_header",
    },
    OptionDoc {
        name: "rules.deny",
        about: "Refuses the request: {status, code, text}; status as above, text up to 1024 \
                bytes. Default 403, denied, and a text that says so, for what is left out of it",
    },
    OptionDoc {
        name: "maps",
        about: "Up to 64 tables by name: `from` is a variable as `header:x-team`, `values` has up \
                to 1024 values by what it is (first as it stands, then globs, the longest first), \
                `default` is for anything else. Default none; of `default`, the empty value",
    },
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    rules: Vec<RuleOptions>,
    #[serde(default)]
    maps: BTreeMap<String, MapOptions>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RuleOptions {
    r#match: MatchOptions,
    set_upstream: BTreeMap<String, String>,
    set_answer: BTreeMap<String, String>,
    require: Vec<String>,
    require_status: Option<u16>,
    require_code: Option<String>,
    deny: Option<DenyOptions>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct MatchOptions {
    header: BTreeMap<String, String>,
    model: Option<String>,
    key: Option<String>,
    account: Option<String>,
    surface: Option<String>,
    stream: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DenyOptions {
    status: u16,
    code: String,
    text: String,
}

impl Default for DenyOptions {
    fn default() -> Self {
        Self {
            status: 403,
            code: "denied".to_owned(),
            text: "The request is not allowed by a rule of the gateway.".to_owned(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MapOptions {
    from: String,
    values: BTreeMap<String, String>,
    #[serde(default)]
    default: String,
}

/// The rules that the options say.
///
/// # Errors
/// One is unknown or wrong.
pub(crate) fn read(setup: &Setup<'_>) -> Result<Rules, BadOption> {
    let options: Options = setup.read()?;
    bounded("rules", options.rules.len(), RULES_MAX)?;
    bounded("maps", options.maps.len(), MAPS_MAX)?;
    if options.rules.is_empty() {
        return Err(BadOption::new("rules", "there must be one"));
    }
    let names: Vec<&String> = options.maps.keys().collect();
    let maps = options.maps.iter().map(|(name, map)| map.read(&format!("maps.{name}")));
    let maps = maps.collect::<Result<_, _>>()?;
    let map = |name: &str| names.iter().position(|known| *known == name);
    let rules = options.rules.iter().enumerate();
    let list =
        rules.map(|(i, rule)| rule.read(&format!("rules.{i}"), &map)).collect::<Result<_, _>>()?;
    Ok(Rules { list, maps })
}

fn bounded(option: &str, count: usize, max: usize) -> Result<(), BadOption> {
    match count > max {
        true => Err(BadOption::new(option, format!("there may be {max}"))),
        false => Ok(()),
    }
}

fn status(option: String, status: u16) -> Result<u16, BadOption> {
    if STATUSES.contains(&status) {
        return Ok(status);
    }
    let all: Vec<String> = STATUSES.iter().map(u16::to_string).collect();
    Err(BadOption::new(option, format!("it must be one of {}", all.join(", "))))
}

fn code(option: String, code: &str) -> Result<String, BadOption> {
    let sign = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if code.is_empty() || code.len() > CODE_BYTES_MAX || !code.bytes().all(sign) {
        let why = "it must have 1 to 64 lower-case letters, digits and underscores";
        return Err(BadOption::new(option, why));
    }
    Ok(code.to_owned())
}

/// Reads names and what belongs to them; two spellings of one name are a fault.
fn headers<T>(
    path: &str,
    options: &BTreeMap<String, String>,
    name: fn(&str) -> Result<String, String>,
    value: &dyn Fn(&str) -> Result<T, String>,
) -> Result<Vec<(String, T)>, BadOption> {
    bounded(path, options.len(), HEADERS_MAX)?;
    let mut all: Vec<(String, T)> = Vec::new();
    for (written, text) in options {
        let bad = |why| BadOption::new(format!("{path}.{written}"), why);
        let lower = name(written).map_err(bad)?;
        if all.iter().any(|(known, _)| *known == lower) {
            return Err(bad("it is there twice: names of headers have no case".to_owned()));
        }
        all.push((lower, value(text).map_err(bad)?));
    }
    Ok(all)
}

impl RuleOptions {
    fn read(&self, path: &str, map: &dyn Fn(&str) -> Option<usize>) -> Result<Rule, BadOption> {
        let at = |field: &str| format!("{path}.{field}");
        let sets = !self.set_upstream.is_empty() || !self.set_answer.is_empty();
        if !sets && self.require.is_empty() && self.deny.is_none() {
            let why = "it does nothing: give it set_upstream, set_answer, require or deny";
            return Err(BadOption::new(path, why));
        }
        if sets && self.deny.is_some() {
            return Err(BadOption::new(at("deny"), "a rule that refuses sets nothing"));
        }
        let lacks = [
            ("require_status", self.require_status.is_some()),
            ("require_code", self.require_code.is_some()),
        ];
        if let Some((field, _)) = lacks.iter().find(|(_, is)| *is && self.require.is_empty()) {
            return Err(BadOption::new(at(field), "without require it has no effect"));
        }
        bounded(&at("require"), self.require.len(), HEADERS_MAX)?;
        let template = |text: &str| Template::parse(text, map);
        let require = self.require.iter().enumerate().map(|(i, name)| {
            names::seen(name).map_err(|why| BadOption::new(at(&format!("require.{i}")), why))
        });
        let code_or = self.require_code.as_deref().unwrap_or("missing_header");
        Ok(Rule {
            when: self.r#match.read(&at("match"))?,
            require: require.collect::<Result<_, _>>()?,
            lacking: (
                status(at("require_status"), self.require_status.unwrap_or(400))?,
                code(at("require_code"), code_or)?,
            ),
            deny: self.deny.as_ref().map(|deny| deny.read(&at("deny"))).transpose()?,
            upstream: headers(&at("set_upstream"), &self.set_upstream, names::set, &template)?,
            answer: headers(&at("set_answer"), &self.set_answer, names::set, &template)?,
        })
    }
}

impl MatchOptions {
    fn read(&self, path: &str) -> Result<When, BadOption> {
        let pattern = |field: &str, text: &Option<String>| {
            let pattern = text.as_ref().map(|text| Pattern::parse(text)).transpose();
            pattern.map_err(|why| BadOption::new(format!("{path}.{field}"), why))
        };
        let surface = self.surface.as_ref().map(|name| {
            let found = SURFACES.iter().find(|(known, _)| known == name);
            found.map(|(_, surface)| *surface).ok_or_else(|| {
                let names: Vec<&str> = SURFACES.iter().map(|(name, _)| *name).collect();
                let why = format!("it must be one of {}", names.join(", "));
                BadOption::new(format!("{path}.surface"), why)
            })
        });
        let header = format!("{path}.header");
        Ok(When {
            headers: headers(&header, &self.header, names::seen, &Pattern::parse)?,
            model: pattern("model", &self.model)?,
            key: pattern("key", &self.key)?,
            account: pattern("account", &self.account)?,
            surface: surface.transpose()?,
            stream: self.stream,
        })
    }
}

impl DenyOptions {
    fn read(&self, path: &str) -> Result<Deny, BadOption> {
        if self.text.is_empty() || self.text.len() > TEXT_BYTES_MAX {
            let why = format!("it must have 1 to {TEXT_BYTES_MAX} bytes");
            return Err(BadOption::new(format!("{path}.text"), why));
        }
        Ok(Deny {
            status: status(format!("{path}.status"), self.status)?,
            code: code(format!("{path}.code"), &self.code)?,
            text: self.text.clone(),
        })
    }
}

impl MapOptions {
    fn read(&self, path: &str) -> Result<Map, BadOption> {
        let bad = |field: &str, why: String| BadOption::new(format!("{path}.{field}"), why);
        bounded(&format!("{path}.values"), self.values.len(), VALUES_MAX)?;
        let sound = |value: &str| {
            value.len() <= names::VALUE_BYTES_MAX && value.bytes().all(names::may_stand)
        };
        if let Some((key, _)) = self.values.iter().find(|(_, value)| !sound(value)) {
            let why = "it may have up to 4096 visible characters of ASCII and blanks";
            return Err(bad(&format!("values.{key}"), why.to_owned()));
        }
        if !sound(&self.default) {
            let why = "it may have up to 4096 visible characters of ASCII and blanks";
            return Err(bad("default", why.to_owned()));
        }
        let from = Variable::parse(&self.from).map_err(|why| bad("from", why))?;
        let (mut exact, mut globs) = (BTreeMap::new(), Vec::new());
        for (key, value) in &self.values {
            match Pattern::parse(key).map_err(|why| bad(&format!("values.{key}"), why))? {
                Pattern::Exact(key) => {
                    exact.insert(key, value.clone());
                }
                glob @ Pattern::Glob(_) => globs.push((key.len(), (glob, value.clone()))),
                Pattern::Regex(_) => {
                    let why = "a table has no order, so it has no regular expressions; use a rule";
                    return Err(bad(&format!("values.{key}"), why.to_owned()));
                }
            }
        }
        globs.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        let globs = globs.into_iter().map(|(_, glob)| glob).collect();
        Ok(Map { from, exact, globs, default: self.default.clone() })
    }
}
