//! Rules, and what they make of a request.

use std::borrow::Cow;

use turnpike_plugin_api::{Head, Refusal, Surface};

use crate::names;
use crate::pattern::Pattern;
use crate::template::{Map, Template};

/// Rules in the order in which they are tried.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) list: Vec<Rule>,
    pub(crate) maps: Vec<Map>,
}

/// A rule: what it is about, and what it does.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) when: When,
    /// Headers that must be there.
    pub(crate) require: Vec<String>,
    /// The status and code of a request that lacks one.
    pub(crate) lacking: (u16, String),
    pub(crate) deny: Option<Deny>,
    pub(crate) upstream: Vec<(String, Template)>,
    pub(crate) answer: Vec<(String, Template)>,
}

/// What a rule is about: all of it must hold.
#[derive(Debug, Default)]
pub(crate) struct When {
    pub(crate) headers: Vec<(String, Pattern)>,
    pub(crate) model: Option<Pattern>,
    pub(crate) key: Option<Pattern>,
    pub(crate) account: Option<Pattern>,
    pub(crate) surface: Option<Surface>,
    pub(crate) stream: Option<bool>,
}

/// How a request is refused.
#[derive(Debug)]
pub(crate) struct Deny {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) text: String,
}

/// Headers that a request gets: of each name the value of the last rule that sets it; `None` where
/// that cannot stand in a header.
#[derive(Default)]
pub(crate) struct Sets {
    pub(crate) upstream: Vec<(String, Option<String>)>,
    pub(crate) answer: Vec<(String, Option<String>)>,
}

impl Rules {
    /// What the rules set.
    ///
    /// # Errors
    /// One of them refuses the request.
    pub(crate) fn apply(&self, head: &Head<'_>) -> Result<Sets, Refusal> {
        let mut sets = Sets::default();
        for rule in self.list.iter().filter(|rule| rule.when.holds(head)) {
            rule.judge(head)?;
            for (name, template) in &rule.upstream {
                put(&mut sets.upstream, name, template.value(head, &self.maps));
            }
            for (name, template) in &rule.answer {
                put(&mut sets.answer, name, template.value(head, &self.maps));
            }
        }
        // An empty value only takes away what an earlier rule set.
        let says = |(_, value): &(String, Option<String>)| value.as_deref() != Some("");
        sets.upstream.retain(says);
        sets.answer.retain(says);
        Ok(sets)
    }
}

fn put(sets: &mut Vec<(String, Option<String>)>, name: &str, value: Option<String>) {
    match sets.iter_mut().find(|(set, _)| set == name) {
        Some(set) => set.1 = value,
        None => sets.push((name.to_owned(), value)),
    }
}

impl Rule {
    /// Whether the request may go on.
    fn judge(&self, head: &Head<'_>) -> Result<(), Refusal> {
        let lacks = |name: &&String| names::value(head, name).is_none_or(|value| value.is_empty());
        if let Some(name) = self.require.iter().find(lacks) {
            let text = format!("The request has no header {name}, which it must have.");
            let (status, code) = &self.lacking;
            return Err(refusal(*status, code, text).with_reasons(vec![name.clone()]));
        }
        match &self.deny {
            Some(Deny { status, code, text }) => Err(refusal(*status, code, text.clone())),
            None => Ok(()),
        }
    }
}

fn refusal(status: u16, code: &str, text: String) -> Refusal {
    Refusal { status, code: Cow::Owned(code.to_owned()), text, reasons: Vec::new() }
}

impl When {
    fn holds(&self, head: &Head<'_>) -> bool {
        let fits = |pattern: &Option<Pattern>, value: &str| {
            pattern.as_ref().is_none_or(|pattern| pattern.fits(value))
        };
        let header = |(name, pattern): &(String, Pattern)| {
            pattern.fits_header(names::value(head, name).as_deref())
        };
        self.surface.is_none_or(|surface| surface == head.surface)
            && self.stream.is_none_or(|stream| stream == head.stream)
            && fits(&self.model, head.model)
            && fits(&self.key, head.key.as_str())
            && fits(&self.account, head.account.as_str())
            && self.headers.iter().all(header)
    }
}

impl Sets {
    /// There is nothing to set or to tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.upstream.is_empty() && self.answer.is_empty()
    }
}
