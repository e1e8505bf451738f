//! Values with variables.

use std::borrow::Cow;
use std::collections::BTreeMap;

use turnpike_plugin_api::{Head, Surface};

use crate::names;
use crate::pattern::Pattern;

/// A variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Variable {
    /// A header's value; empty where it is not there.
    Header(String),
    /// The model's name as the client wrote it.
    Model,
    /// The key's id.
    Key,
    /// The account's id.
    Account,
    /// The API.
    Surface,
    /// `true` or `false`.
    Stream,
}

/// A value with variables.
#[derive(Clone, Debug, Default)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Variable(Variable),
    /// What a map makes of its variable.
    Map(usize),
}

/// Values by what a variable is.
#[derive(Clone, Debug)]
pub(crate) struct Map {
    pub(crate) from: Variable,
    pub(crate) exact: BTreeMap<String, String>,
    /// The longest first.
    pub(crate) globs: Vec<(Pattern, String)>,
    pub(crate) default: String,
}

/// Names of surfaces, as options have them.
pub(crate) const SURFACES: [(&str, Surface); 6] = [
    ("chat", Surface::Chat),
    ("responses", Surface::Responses),
    ("messages", Surface::Messages),
    ("completions", Surface::Completions),
    ("embeddings", Surface::Embeddings),
    ("rerank", Surface::Rerank),
];

impl Variable {
    /// Reads a variable's name.
    ///
    /// # Errors
    /// There is none of this name.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        Ok(match name {
            "model" => Self::Model,
            "key" => Self::Key,
            "account" => Self::Account,
            "surface" => Self::Surface,
            "stream" => Self::Stream,
            name => match name.strip_prefix("header:") {
                Some(header) => Self::Header(names::seen(header)?),
                None => {
                    return Err(format!(
                        "{name:?} is no variable: there are header:<name>, model, key, account, \
                         surface and stream"
                    ));
                }
            },
        })
    }

    fn value<'a>(&self, head: &Head<'a>) -> Cow<'a, str> {
        match self {
            Self::Header(name) => names::value(head, name).unwrap_or_default(),
            Self::Model => Cow::Borrowed(head.model),
            Self::Key => Cow::Borrowed(head.key.as_str()),
            Self::Account => Cow::Borrowed(head.account.as_str()),
            Self::Surface => {
                let name = SURFACES.iter().find(|(_, surface)| *surface == head.surface);
                Cow::Borrowed(name.map_or("", |(name, _)| *name))
            }
            Self::Stream => Cow::Borrowed(if head.stream { "true" } else { "false" }),
        }
    }
}

impl Template {
    /// Reads a value. `${…}` is a variable, `$${` is `${` itself; `map` gives the number of a map.
    ///
    /// # Errors
    /// A variable is not known or has no end, or something cannot stand in a header.
    pub(crate) fn parse(text: &str, map: &dyn Fn(&str) -> Option<usize>) -> Result<Self, String> {
        if text.len() > names::VALUE_BYTES_MAX || !text.bytes().all(names::may_stand) {
            return Err(format!(
                "it may have up to {} visible characters of ASCII and blanks",
                names::VALUE_BYTES_MAX
            ));
        }
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                plain += before;
                plain += "${";
                rest = after;
                continue;
            }
            let Some((name, after)) = after.split_once('}') else {
                return Err("a variable has no end: write ${…}, or $${ for ${ itself".to_owned());
            };
            plain += before;
            parts.push(Part::Text(std::mem::take(&mut plain)));
            parts.push(match name.strip_prefix("map:") {
                Some(name) => Part::Map(
                    map(name).ok_or_else(|| format!("there is no map {name:?} among maps"))?,
                ),
                None => Part::Variable(Variable::parse(name)?),
            });
            rest = after;
        }
        plain += rest;
        parts.push(Part::Text(plain));
        parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        Ok(Self(parts))
    }

    /// The value for a request; it may be empty. `None`: it cannot stand in a header.
    pub(crate) fn value(&self, head: &Head<'_>, maps: &[Map]) -> Option<String> {
        let mut value = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => value += text,
                Part::Variable(variable) => value += &variable.value(head),
                Part::Map(map) => value += maps.get(*map).map_or("", |map| map.value(head)),
            }
        }
        let fit = names::fit(&value)?;
        Some(if fit.len() == value.len() { value } else { fit.to_owned() })
    }
}

impl Map {
    fn value(&self, head: &Head<'_>) -> &str {
        let from = self.from.value(head);
        let glob = || self.globs.iter().find(|(glob, _)| glob.fits(&from)).map(|(_, value)| value);
        self.exact.get(&*from).or_else(glob).unwrap_or(&self.default)
    }
}
