//! Replaces what is found in a text that comes in pieces.

use std::collections::BTreeMap;

use crate::scan::{Found, Rules, Scanner};
use crate::shifts::Shifts;
use crate::vault::Vault;

/// What was found, by detector.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// What was replaced, or would have been in a request that is refused.
    pub(crate) replaced: BTreeMap<String, u64>,
    /// What was only noted.
    pub(crate) noted: BTreeMap<String, u64>,
    /// Which rules found something that was replaced, one bit each.
    pub(crate) rules: u64,
    /// How often.
    pub(crate) hits: u64,
}

/// What a text is read with.
pub(crate) struct Reading<'a> {
    /// What is replaced.
    pub(crate) acting: &'a Rules,
    /// What is only noted.
    pub(crate) noting: &'a Rules,
    pub(crate) values: Values<'a>,
    pub(crate) tally: &'a mut Tally,
}

/// What becomes of values.
pub(crate) enum Values<'a> {
    /// They are lost.
    Drop,
    /// They are kept, and get numbers.
    Keep(&'a mut Vault),
    /// Placeholders get them back; others are lost.
    Restore(&'a Vault),
}

/// A text that comes in pieces. What is noted is looked for apart from what is replaced, so that
/// neither hides the other.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    acting: Part,
    noting: Part,
    shifts: Shifts,
}

/// A scanner and the text that it did not let go.
#[derive(Debug, Default)]
struct Part {
    scanner: Scanner,
    held: String,
    found: Vec<Found>,
}

impl Filter {
    /// The text that can go out once this piece is there; `last`: the text ends with it.
    pub(crate) fn read(&mut self, with: &mut Reading<'_>, text: String, last: bool) -> String {
        if !with.noting.list.is_empty() {
            self.note(with, &text, last);
        }
        if with.acting.list.is_empty() {
            return text;
        }
        self.acting.take(with, text, last, &mut self.shifts)
    }

    /// Where the text's characters have gone.
    pub(crate) const fn shifts(&self) -> &Shifts {
        &self.shifts
    }

    /// Bytes that are held back.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.acting.held.len()
    }

    /// A whole text, if anything in it was replaced.
    pub(crate) fn whole(with: &mut Reading<'_>, text: &str) -> Option<String> {
        let mut filter = Self::default();
        if !with.noting.list.is_empty() {
            filter.note(with, text, true);
        }
        let part = &mut filter.acting;
        let known = |text: &str| with.values.get(text).is_some();
        part.scanner.read(with.acting, text, true, &known, &mut part.found);
        let shifts = &mut filter.shifts;
        (!part.found.is_empty()).then(|| replace(&part.found, text, text.len(), with, shifts))
    }

    fn note(&mut self, with: &mut Reading<'_>, text: &str, last: bool) {
        let Part { scanner, held, found } = &mut self.noting;
        found.clear();
        if held.is_empty() {
            let keep = scanner.read(with.noting, text, last, &|_| false, found);
            held.push_str(&text[keep..]);
        } else {
            held.push_str(text);
            let keep = scanner.read(with.noting, held, last, &|_| false, found);
            held.drain(..keep);
        }
        for hit in found.iter().filter(|hit| !hit.rest) {
            if let Some(detector) = with.noting.list.get(hit.rule) {
                count(&mut with.tally.noted, &detector.name);
            }
        }
    }
}

impl Part {
    fn take(
        &mut self,
        with: &mut Reading<'_>,
        mut text: String,
        last: bool,
        shifts: &mut Shifts,
    ) -> String {
        self.found.clear();
        if !self.held.is_empty() {
            self.held.push_str(&text);
            std::mem::swap(&mut self.held, &mut text);
            self.held.clear();
        }
        let known = |text: &str| with.values.get(text).is_some();
        let keep = self.scanner.read(with.acting, &text, last, &known, &mut self.found);
        self.held.push_str(&text[keep..]);
        if self.found.is_empty() {
            text.truncate(keep);
            shifts.same(&text);
            return text;
        }
        replace(&self.found, &text, keep, with, shifts)
    }
}

/// The text up to `keep` with what was found replaced.
fn replace(
    found: &[Found],
    text: &str,
    keep: usize,
    with: &mut Reading<'_>,
    shifts: &mut Shifts,
) -> String {
    let mut out = String::with_capacity(keep);
    let mut from = 0;
    for hit in found {
        let same = text.get(from..hit.start).unwrap_or_default();
        shifts.same(same);
        out.push_str(same);
        let wrote = out.len();
        let value = text.get(hit.start..hit.end).unwrap_or_default();
        from = hit.end;
        if !hit.rest {
            put(hit, value, with, &mut out);
        }
        shifts.replaced(value, out.get(wrote..).unwrap_or_default());
    }
    let same = text.get(from..keep).unwrap_or_default();
    shifts.same(same);
    out.push_str(same);
    out
}

/// Writes what stands for a value.
fn put(hit: &Found, value: &str, with: &mut Reading<'_>, out: &mut String) {
    if let Some(back) = with.values.get(value) {
        return out.push_str(back);
    }
    let Some(detector) = with.acting.list.get(hit.rule) else { return };
    with.tally.rules |= 1 << (with.acting.base + hit.rule);
    with.tally.hits += 1;
    count(&mut with.tally.replaced, &detector.name);
    let placeholder = match &mut with.values {
        Values::Keep(vault) => vault.placeholder(&detector.name, value),
        Values::Drop | Values::Restore(_) => None,
    };
    if let Some(placeholder) = placeholder {
        return out.push_str(placeholder);
    }
    out.push('[');
    out.extend(detector.name.chars().map(|c| c.to_ascii_uppercase()));
    out.push(']');
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => {
            counts.insert(name.to_owned(), 1);
        }
    }
}

impl Values<'_> {
    /// The value that a placeholder gets back.
    fn get(&self, placeholder: &str) -> Option<&str> {
        match self {
            Self::Restore(vault) => vault.value(placeholder),
            Self::Drop | Self::Keep(_) => None,
        }
    }
}
