//! Finds matches in a text that comes in pieces.
//!
//! The leftmost match wins; at one place the earlier rule. A match is found by reading from its
//! beginning, so what is found does not depend on where the text is cut: text is let go as soon as
//! nothing can begin in it any more, and not before.

use std::sync::Arc;

use crate::detector::{Attempt, Check, Detector};

/// The most rules: one bit each.
pub(crate) const RULES_MAX: usize = 64;

/// Detectors in the order of their precedence.
#[derive(Debug)]
pub(crate) struct Rules {
    /// At most [`RULES_MAX`].
    pub(crate) list: Vec<Arc<Detector>>,
    /// Where the first of them is among all that a tally counts.
    pub(crate) base: usize,
    /// Which of them may begin with a byte.
    first: [u64; 256],
    /// Which of them may begin right after a letter or digit of ASCII.
    inside: u64,
}

impl Rules {
    /// Rules of these detectors, of which those beyond [`RULES_MAX`] are left out.
    pub(crate) fn new(mut list: Vec<Arc<Detector>>) -> Self {
        list.truncate(RULES_MAX);
        let (mut first, mut inside) = ([0; 256], 0);
        for (byte, mask) in (0..=u8::MAX).zip(first.iter_mut()) {
            for (i, detector) in list.iter().enumerate() {
                *mask |= u64::from(detector.may_begin(byte)) << i;
            }
        }
        for (i, detector) in list.iter().enumerate() {
            inside |= u64::from(detector.may_begin_inside()) << i;
        }
        Self { list, base: 0, first, inside }
    }
}

/// A part of the text at hand that is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// From this byte …
    pub(crate) start: usize,
    /// … to before this one.
    pub(crate) end: usize,
    /// By this rule.
    pub(crate) rule: usize,
    /// It is the rest of a match that was found before.
    pub(crate) rest: bool,
}

/// Where a text has been read to.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    /// The place that is being looked at.
    at: usize,
    /// What is before the text at hand.
    before: Option<char>,
    /// Attempts at that place, in order of precedence.
    attempts: Vec<Attempt>,
    /// A match that has no end yet; the text at hand begins with what it may yet take.
    open: Option<Attempt>,
    /// Where the last match ended in the text at hand: its replacement is what is before.
    replaced: Option<usize>,
}

/// What there is to say about a place.
enum Verdict {
    /// More text is needed.
    Wait,
    /// Nothing begins here.
    Nothing,
    /// A match.
    Match(Found),
    /// A match that may go on.
    Open(Attempt),
}

impl Scanner {
    /// Reads a text that begins with what was not let go before; `last`: no more will come, and the
    /// scanner is as new after it. `known` says whether a text is a placeholder. Gives up to where
    /// the text can be let go.
    pub(crate) fn read(
        &mut self,
        rules: &Rules,
        text: &str,
        last: bool,
        known: &dyn Fn(&str) -> bool,
        found: &mut Vec<Found>,
    ) -> usize {
        self.replaced = None;
        let keep = loop {
            if let Some(mut open) = self.open.take() {
                let Some(detector) = rules.list.get(open.rule) else { break text.len() };
                let alive = detector.read(&mut open, text.as_bytes(), last);
                if open.end > 0 {
                    found.push(Found { start: 0, end: open.end, rule: open.rule, rest: true });
                }
                self.taken_to(open.end);
                if alive {
                    self.open = Some(open);
                    break open.end;
                }
            }
            if self.attempts.is_empty() && !self.begin(rules, text) {
                break text.len();
            }
            match self.judge(rules, text, last, known) {
                Verdict::Wait => break self.at,
                // No automaton begins within a character, so the next byte will do.
                Verdict::Nothing => {
                    self.attempts.clear();
                    self.at += 1;
                }
                Verdict::Match(hit) => {
                    found.push(hit);
                    self.taken_to(hit.end);
                }
                Verdict::Open(open) => {
                    let (start, end, rule) = (self.at, open.end, open.rule);
                    found.push(Found { start, end, rule, rest: false });
                    self.taken_to(end);
                    self.open = Some(open);
                    break end;
                }
            }
        };
        self.let_go(text, keep, last);
        keep
    }

    /// Goes to the next place where something may begin; gives whether there is one.
    fn begin(&mut self, rules: &Rules, text: &str) -> bool {
        let bytes = text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            let mut mask = rules.first[usize::from(*byte)];
            // Most places are within a word, where few may begin.
            let previous = self.at.checked_sub(1).and_then(|at| bytes.get(at));
            if mask & !rules.inside != 0
                && self.replaced != Some(self.at)
                && previous.is_some_and(u8::is_ascii_alphanumeric)
            {
                mask &= rules.inside;
            }
            if mask != 0 {
                let before = self.before(text, self.at);
                while mask != 0 {
                    let rule = mask.trailing_zeros() as usize;
                    mask &= mask - 1;
                    let attempt =
                        rules.list.get(rule).and_then(|d| d.attempt(rule, before, self.at));
                    self.attempts.extend(attempt);
                }
                if !self.attempts.is_empty() {
                    return true;
                }
            }
            self.at += 1;
        }
        false
    }

    /// The character before a place. What was replaced counts as what it is replaced by.
    fn before(&self, text: &str, at: usize) -> Option<char> {
        match at {
            _ if self.replaced == Some(at) => Some(']'),
            0 => self.before,
            _ => text.get(..at).and_then(|text| text.chars().next_back()),
        }
    }

    fn judge(
        &mut self,
        rules: &Rules,
        text: &str,
        last: bool,
        known: &dyn Fn(&str) -> bool,
    ) -> Verdict {
        for attempt in &mut self.attempts {
            let Some(detector) = rules.list.get(attempt.rule) else { continue };
            let alive = detector.read(attempt, text.as_bytes(), last);
            match detector.check {
                Check::Always if alive && attempt.matched => return Verdict::Open(*attempt),
                _ if alive => return Verdict::Wait,
                _ => {}
            }
            if !attempt.matched {
                continue;
            }
            let whole = text.get(self.at..attempt.end).unwrap_or_default();
            let bytes = match detector.check {
                Check::Always => Some(whole.len()),
                Check::By(check) => check(whole),
                Check::Placeholder => known(whole).then_some(whole.len()),
            };
            if let Some(bytes) = bytes.filter(|bytes| *bytes > 0) {
                let (start, end) = (self.at, self.at + bytes);
                return Verdict::Match(Found { start, end, rule: attempt.rule, rest: false });
            }
        }
        Verdict::Nothing
    }

    fn taken_to(&mut self, end: usize) {
        self.attempts.clear();
        (self.at, self.replaced) = (end, Some(end));
    }

    /// Counts from the first byte that is kept.
    fn let_go(&mut self, text: &str, keep: usize, last: bool) {
        if last {
            self.attempts.clear();
            (self.at, self.before, self.open, self.replaced) = (0, None, None, None);
            return;
        }
        self.before = self.before(text, keep);
        self.replaced = None;
        self.at -= keep;
        for attempt in self.attempts.iter_mut().chain(&mut self.open) {
            attempt.shift(keep);
        }
    }
}
