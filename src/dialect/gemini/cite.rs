//! Sources: what grounding found on the web, and what the model recited.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::{List, Text};
use crate::dialect::ir::Citation;

/// The most sources of one choice; more are left out.
const CITATIONS_MAX: usize = 256;
/// The longest address or title, in bytes; longer ones are left out.
const TEXT_MAX: usize = 4096;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Grounding<'a> {
    #[serde(borrow)]
    grounding_chunks: Option<List<Found<'a>, 1024>>,
    grounding_supports: Option<List<Support, 4096>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Found<'a> {
    #[serde(borrow)]
    web: Option<Source<'a>>,
    #[serde(borrow)]
    retrieved_context: Option<Source<'a>>,
    #[serde(borrow)]
    maps: Option<Source<'a>>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow)]
    uri: Option<Text<'a>>,
    #[serde(borrow)]
    title: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Support {
    segment: Option<Segment>,
    grounding_chunk_indices: Option<List<usize, 64>>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Segment {
    start_index: Option<u64>,
    end_index: Option<u64>,
    /// The part that the positions are counted in; absent for the first.
    part_index: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recited<'a> {
    /// Vertex's name, and the Gemini API's.
    #[serde(borrow, alias = "citationSources")]
    citations: Option<List<Recitation<'a>, 1024>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recitation<'a> {
    start_index: Option<u64>,
    end_index: Option<u64>,
    #[serde(borrow)]
    uri: Option<Text<'a>>,
    #[serde(borrow)]
    title: Option<Text<'a>>,
}

/// The sources of one choice. They are told again with every chunk, and go out at its end.
#[derive(Debug, Default)]
pub(super) struct Sources {
    list: Vec<Citation>,
}

impl Sources {
    /// Takes `groundingMetadata`. What cannot be read is passed over: it is not the answer.
    pub(super) fn ground(&mut self, raw: &RawValue, text: Positions) {
        let Ok(grounding) = serde_json::from_str::<Grounding<'_>>(raw.get()) else { return };
        let found = List::items(grounding.grounding_chunks.as_ref());
        let source = |found: &Found<'_>| {
            let source = [&found.web, &found.retrieved_context, &found.maps];
            let source = source.into_iter().find_map(Option::as_ref)?;
            citation(source.uri.as_ref(), source.title.as_ref())
        };
        let mut cited = vec![false; found.len()];
        for support in List::items(grounding.grounding_supports.as_ref()) {
            let places = List::items(support.grounding_chunk_indices.as_ref());
            let segment = support.segment.unwrap_or_default();
            let end = segment.end_index.filter(|_| segment.part_index.is_none_or(|at| at == 0));
            for &at in places {
                if self.is_full() {
                    return;
                }
                let Some(mut citation) = found.get(at).and_then(source) else { continue };
                cited[at] = true;
                (citation.start, citation.end) = text.range(segment.start_index, end);
                self.add(citation);
            }
        }
        for (found, _) in found.iter().zip(cited).filter(|(_, cited)| !cited) {
            if let Some(citation) = source(found) {
                self.add(citation);
            }
        }
    }

    /// Takes `citationMetadata`.
    pub(super) fn recite(&mut self, raw: &RawValue, text: Positions) {
        let Ok(recited) = serde_json::from_str::<Recited<'_>>(raw.get()) else { return };
        for from in List::items(recited.citations.as_ref()) {
            let Some(mut citation) = citation(from.uri.as_ref(), from.title.as_ref()) else {
                continue;
            };
            (citation.start, citation.end) = text.range(from.start_index, from.end_index);
            self.add(citation);
        }
    }

    fn add(&mut self, citation: Citation) {
        // The cheap members first: addresses can be long, and alike.
        let key = |c: &Citation| (c.start, c.end, c.url.len());
        let known = |k: &Citation| key(k) == key(&citation) && *k == citation;
        if !self.is_full() && !self.list.iter().any(known) {
            self.list.push(citation);
        }
    }

    const fn is_full(&self) -> bool {
        self.list.len() >= CITATIONS_MAX
    }

    /// The sources, which are then forgotten.
    pub(super) fn take(&mut self) -> Vec<Citation> {
        std::mem::take(&mut self.list)
    }
}

fn citation(uri: Option<&Text<'_>>, title: Option<&Text<'_>>) -> Option<Citation> {
    let short = |text: &Text<'_>| Some(text.0.as_ref().to_owned()).filter(|t| t.len() <= TEXT_MAX);
    let url = uri.and_then(short).filter(|url| !url.is_empty())?;
    let title = title.and_then(short).unwrap_or_default();
    Some(Citation { url, title, ..Citation::default() })
}

/// What is known of the positions in a choice's text. Google counts bytes and ours are characters:
/// they agree as long as all is ASCII, and otherwise nothing is said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Positions {
    pub(super) ascii: bool,
}

impl Positions {
    fn range(self, start: Option<u64>, end: Option<u64>) -> (u64, u64) {
        match end {
            Some(end) if self.ascii && start.unwrap_or(0) <= end => (start.unwrap_or(0), end),
            _ => (0, 0),
        }
    }
}
