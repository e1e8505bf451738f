//! What an answer rests on, and pictures in it: in the odd places where hosts put them.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::{Chunk, Count};
use crate::dialect::ir::Citation;

/// The most sources of one answer.
const SOURCES_MAX: usize = 256;

/// The list in a value that may be one; what is in it that cannot be read is left out.
fn list<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Vec<T> {
    let text = raw.map(RawValue::get).filter(|raw| raw.starts_with('['));
    let items: Vec<&'a RawValue> =
        text.and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default();
    let read = items.into_iter().take(SOURCES_MAX);
    read.filter_map(|item| serde_json::from_str(item.get()).ok()).collect()
}

/// OpenAI's `url_citation`, its members in an object of their own or not.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Annotation {
    url_citation: Option<Source>,
    #[serde(flatten)]
    flat: Source,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Source {
    url: String,
    title: Option<String>,
    content: Option<String>,
    start_index: Count,
    end_index: Count,
}

impl From<Source> for Citation {
    fn from(source: Source) -> Self {
        Self {
            url: source.url,
            title: source.title.unwrap_or_default(),
            content: source.content,
            start: source.start_index.0,
            end: source.end_index.0,
        }
    }
}

/// The sources in `annotations`.
pub(super) fn annotations(raw: Option<&RawValue>) -> impl Iterator<Item = Citation> {
    let found = list::<Annotation>(raw).into_iter();
    let sources = found.map(|annotation| annotation.url_citation.unwrap_or(annotation.flat));
    sources.map(Citation::from).filter(|citation| !citation.url.is_empty())
}

/// The sources beside the choices (Perplexity, xAI): the list is repeated in every chunk.
pub(super) fn of_chunk(chunk: &Chunk<'_>) -> Vec<Citation> {
    let named: Vec<Source> = list(chunk.search_results);
    if !named.is_empty() {
        return named.into_iter().map(Citation::from).filter(|c| !c.url.is_empty()).collect();
    }
    let urls: Vec<String> = list(chunk.citations);
    urls.into_iter().map(|url| Citation { url, ..Citation::default() }).collect()
}

/// A picture, as OpenRouter and others send it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Picture {
    Part { image_url: Url },
    Bare(Url),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Url {
    Object { url: String },
    Text(String),
}

/// The addresses in `images`.
pub(super) fn pictures(raw: Option<&RawValue>) -> Vec<String> {
    let found: Vec<Picture> = list(raw);
    let url = |picture| match picture {
        Picture::Part { image_url: url } | Picture::Bare(url) => match url {
            Url::Object { url } | Url::Text(url) => url,
        },
    };
    found.into_iter().map(url).filter(|url| !url.is_empty()).collect()
}
