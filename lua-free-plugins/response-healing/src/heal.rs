//! Finds the JSON of an answer, and repairs it.

use serde::de::IgnoredAny;

use crate::repair::{FENCE, Failure, Kind, Kinds, Repaired, repair};
use crate::schema::Fit;

/// The most bytes of an answer that are looked at.
pub(crate) const TEXT_BYTES_MAX: usize = 8 << 20;
/// The most values that are found in one answer.
const FOUND_MAX: usize = 64;

/// What becomes of an answer's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Healed {
    /// It is JSON.
    Sound(Fit),
    /// This is put in its place.
    Repaired { json: String, kinds: Kinds, fit: Fit },
    /// It is no JSON, and nobody can tell what it should have been.
    Beyond,
    /// It is too long to be looked at.
    TooLong,
}

/// Whether a text is JSON and nothing else.
pub(crate) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Repairs a text. `fit` says whether JSON fits what was asked for.
pub(crate) fn heal(text: &str, mut fit: impl FnMut(&str) -> Fit) -> Healed {
    if text.len() > TEXT_BYTES_MAX {
        return Healed::TooLong;
    }
    if is_json(text) {
        return Healed::Sound(fit(text));
    }
    let mut marks = Kinds::default();
    let body = text.trim_start_matches('\u{feff}');
    if body.len() < text.len() {
        marks.add(Kind::Mark);
    }
    let search = match bare(body) {
        Some(found) => Search { found: vec![found], broken: false },
        None => search(body),
    };
    let Some((found, fit)) = choose(search, &mut fit).filter(|(found, _)| is_json(&found.json))
    else {
        return Healed::Beyond;
    };
    let Found { json, mut kinds, fenced: _ } = found;
    kinds.add_all(marks);
    Healed::Repaired { json, kinds, fit }
}

/// JSON in an answer.
#[derive(Debug)]
struct Found {
    json: String,
    kinds: Kinds,
    /// It is a block of code.
    fenced: bool,
}

impl Found {
    /// Whether it is JSON beyond doubt, and not a part of prose as `[1]` or `{}` may be.
    fn is_plain(&self) -> bool {
        self.fenced || !self.kinds.has(Kind::Prose) || self.is_object() && !self.is_empty()
    }

    fn is_object(&self) -> bool {
        self.json.starts_with('{')
    }

    fn is_empty(&self) -> bool {
        let inner = self.json.get(1..self.json.len() - 1).unwrap_or_default();
        inner.bytes().all(|c| c.is_ascii_whitespace())
    }
}

/// What is JSON once a mark or a fence around it is gone: also texts, numbers and the like.
fn bare(text: &str) -> Option<Found> {
    let inner = text.trim();
    let (json, fenced) = match inner.strip_prefix(FENCE).and_then(|t| t.strip_suffix(FENCE)) {
        Some(block) => {
            let word = block.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(0);
            (block[word..].trim(), true)
        }
        None => (inner, false),
    };
    let mut kinds = Kinds::default();
    if fenced {
        kinds.add(Kind::Fence);
    }
    is_json(json).then(|| Found { json: json.to_owned(), kinds, fenced })
}

/// All that was found, and whether there was something else that is JSON beyond repair.
#[derive(Default)]
struct Search {
    found: Vec<Found>,
    broken: bool,
}

/// Looks for brackets, and reads what begins there.
fn search(text: &str) -> Search {
    let mut search = Search::default();
    // What is read in vain is read again from the next bracket on, but not for ever.
    let mut budget = text.len().saturating_mul(4).saturating_add(4_096);
    let (mut at, mut strays) = (0, 0_usize);
    while let Some(start) = text[at..].find(['{', '[']).map(|next| at + next) {
        let broken = match repair(text, start) {
            Ok(repaired) => {
                let end = repaired.end;
                match within(text, start, repaired, strays) {
                    Some(_) if search.found.len() == FOUND_MAX => {
                        search.found.clear();
                        None
                    }
                    Some((found, next)) => {
                        search.found.push(found);
                        (at, strays) = (next, 0);
                        continue;
                    }
                    None => Some(end),
                }
            }
            Err((Failure::Stray, read)) => match budget.checked_sub(read - start + 1) {
                Some(left) => {
                    (at, budget, strays) = (start + 1, left, strays + 1);
                    continue;
                }
                None => None,
            },
            Err((Failure::Broken, read)) => Some(read),
        };
        search.broken = true;
        match broken.and_then(|read| next_block(text, read)) {
            Some(next) => (at, strays) = (next, 0),
            None => break,
        }
    }
    search
}

/// Judges what was read by what is around it: where it is a part of something larger that could
/// not be read, it is not the answer. Gives it, and where the text goes on.
fn within(text: &str, start: usize, repaired: Repaired, strays: usize) -> Option<(Found, usize)> {
    let Repaired { json, end, mut kinds } = repaired;
    let before = text[..start].trim_end();
    let key = before.strip_suffix(':').map(str::trim_end);
    if key.is_some_and(|key| key.ends_with(['"', '\'', '”', '’'])) {
        return None;
    }
    let after = text[end..].trim_start();
    let closers = |c: char| matches!(c, '}' | ']') || c.is_whitespace();
    let rest = after.trim_start_matches(closers);
    if after.starts_with(['}', ']']) {
        // Those of stray brackets before it, if they stand right before it. Some that are missing
        // and some too many are more likely one that is missing elsewhere.
        if strays > 0 && !before.ends_with(['{', '[']) || kinds.has(Kind::Brackets) {
            return None;
        }
        kinds.add(Kind::Brackets);
    }
    if goes_on(rest) && !(strays == 0 && rest.len() == after.len() && is_prose(rest)) {
        return None;
    }
    let (before, fenced) = match block_begin(before) {
        Some(before) => (before, true),
        None if before.ends_with(['{', '[']) => {
            kinds.add(Kind::Brackets);
            (before.trim_end_matches(['{', '[']), false)
        }
        None => (before, false),
    };
    let rest = if fenced { rest.strip_prefix(FENCE).unwrap_or(rest) } else { rest };
    if fenced {
        kinds.add(Kind::Fence);
    }
    if !before.trim().is_empty() || !rest.trim().is_empty() {
        kinds.add(Kind::Prose);
    }
    let at = text.len() - rest.len();
    Some((Found { json, kinds, fenced }, at))
}

/// Whether JSON goes on where it should have ended.
fn goes_on(rest: &str) -> bool {
    rest.starts_with([',', ':', '"'])
}

/// Whether a comma is one of prose: a word follows it that is no JSON.
fn is_prose(rest: &str) -> bool {
    let Some(next) = rest.strip_prefix(',').map(str::trim_start) else { return false };
    let len = next.find(|c: char| !c.is_alphabetic()).unwrap_or(next.len());
    !matches!(&next[..len], "" | "true" | "false" | "null" | "True" | "False" | "None")
}

/// If a text ends with the opening fence of a block, perhaps with a language: what is before it.
fn block_begin(before: &str) -> Option<&str> {
    const LANGUAGE_BYTES_MAX: usize = 32;
    let end = before.bytes().rev().take(LANGUAGE_BYTES_MAX);
    let language = end.take_while(u8::is_ascii_alphanumeric).count();
    before[..before.len() - language].strip_suffix(FENCE)
}

/// Where the next block of code begins whose fence begins a line.
fn next_block(text: &str, from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    let mut at = from;
    for line in rest.split_inclusive('\n') {
        // The first is the rest of a line.
        if at > from && line.trim_start().starts_with(FENCE) {
            return Some(at);
        }
        at += line.len();
    }
    None
}

/// The one that is the answer: what fits the schema before what does not, a block of code before
/// what is not, an object before a list, something before nothing. `None` where several are left
/// that say different things.
fn choose(search: Search, fit: &mut impl FnMut(&str) -> Fit) -> Option<(Found, Fit)> {
    type Rule = fn(&(Found, Fit)) -> bool;
    const RULES: [Rule; 4] = [
        |(_, fit)| matches!(fit, Fit::Schema),
        |(found, _)| found.fenced,
        |(found, _)| found.is_object(),
        |(found, _)| !found.is_empty(),
    ];
    let Search { found, broken } = search;
    let judged = found.into_iter().map(|found| {
        let fit = fit(&found.json);
        (found, fit)
    });
    let sure = |found: &Found| found.is_plain() && (found.fenced || !broken);
    let mut pool: Vec<(Found, Fit)> =
        judged.filter(|(found, fit)| *fit == Fit::Schema || sure(found)).collect();
    for better in RULES {
        if pool.iter().any(better) {
            pool.retain(better);
        }
    }
    let same = pool.windows(2).all(|pair| pair[0].0.json == pair[1].0.json);
    pool.truncate(usize::from(same));
    pool.pop()
}

#[cfg(test)]
mod tests;
