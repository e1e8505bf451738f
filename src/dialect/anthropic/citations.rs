//! What a text of Anthropic's rests on.
//!
//! Sources come within the text block that they are for, before or after its text, and have no
//! offsets: the whole block rests on them. Only those with a URL have a form elsewhere: results of
//! a web search, and `search_result` blocks whose source is one (2026-11).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::ir::{Citation, Event};
use crate::dialect::media::bounded;

/// The most sources of one block.
const CITATIONS_MAX: usize = 256;
/// The longest URL, in bytes.
const URL_MAX: usize = 8192;
/// The longest title or passage, in bytes; Anthropic's passages have at most 150 characters.
const TEXT_MAX: usize = 4096;

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    url: Option<Cow<'a, str>>,
    #[serde(borrow)]
    source: Option<Cow<'a, str>>,
    #[serde(borrow)]
    title: Option<Cow<'a, str>>,
    #[serde(borrow)]
    cited_text: Option<Cow<'a, str>>,
}

/// The sources of one text block.
#[derive(Default)]
pub(super) struct Cited {
    /// Where the block begins, in characters of the message's text.
    start: u64,
    list: Vec<Citation>,
}

impl Cited {
    /// Of a block that begins here.
    pub(super) const fn new(start: u64) -> Self {
        Self { start, list: Vec::new() }
    }

    /// Adds a source. One without a URL, or that cannot be read, has no form elsewhere.
    pub(super) fn add(&mut self, raw: &RawValue) {
        let Ok(wire) = serde_json::from_str::<Wire<'_>>(raw.get()) else { return };
        let Some(url) = wire.url.or(wire.source) else { return };
        let is_url = url.starts_with("https://") || url.starts_with("http://");
        if !is_url || url.len() > URL_MAX || self.list.len() >= CITATIONS_MAX {
            return;
        }
        self.list.push(Citation {
            url: url.into_owned(),
            title: bounded(&wire.title.unwrap_or_default(), TEXT_MAX),
            content: wire.cited_text.map(|text| bounded(&text, TEXT_MAX)),
            start: self.start,
            end: self.start,
        });
    }

    /// Adds the sources of a whole block.
    pub(super) fn add_all(&mut self, raw: &RawValue) {
        let list = serde_json::from_str::<Option<Vec<&RawValue>>>(raw.get());
        list.ok().flatten().unwrap_or_default().into_iter().for_each(|raw| self.add(raw));
    }

    /// The block ends here.
    pub(super) fn end(self, choice: u32, end: u64, out: &mut Vec<Event>) {
        for mut citation in self.list {
            citation.end = end;
            out.push(Event::Citation { choice, citation });
        }
    }
}
