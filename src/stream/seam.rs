//! Where the text of another provider meets what the client has: what is repeated is cut away.
//!
//! Two ways lead on. A provider that was handed the text as its own beginning goes on *exactly*,
//! save that white space at the end had to be taken off it, and that some repeat the beginning. A
//! provider that was *asked* to go on may begin a few words, or a whole answer, early: then the
//! longest end of the delivered text that the new one begins with is cut away, and so is a repeat
//! from the start.
//!
//! Text is held back only as long as it repeats something. Any cut of the new text gives the same.

/// How the next provider was made to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seam {
    /// It was handed the text, without this white space at its end.
    Exact {
        /// The white space.
        blank: String,
    },
    /// It was asked to.
    Asked,
}

/// How far back an overlap may begin, in bytes.
const BACK_MAX: usize = 1 << 10;

/// An overlap that begins inside a word must have so many bytes: shorter ones come by chance.
const INSIDE_MIN: usize = 16;

/// The two texts, while they meet.
pub(super) struct Meeting {
    /// What the client has, as far as it may be repeated.
    sent: String,
    /// New text that may be a repeat.
    held: String,
    /// Offsets in `sent` from which `held` repeats it so far.
    from: Vec<usize>,
    /// The longest end of `sent` that was repeated whole.
    overlap: usize,
    /// White space that the client has, and that may come again.
    blank: String,
    over: bool,
}

impl Meeting {
    pub(super) fn new(mut sent: String, seam: Seam) -> Self {
        let (from, blank) = match seam {
            Seam::Exact { blank } => {
                sent.truncate(sent.len().saturating_sub(blank.len()));
                let from = if sent.len() >= INSIDE_MIN { vec![0] } else { Vec::new() };
                (from, blank)
            }
            Seam::Asked => (beginnings(&sent), String::new()),
        };
        Self { sent, held: String::new(), from, overlap: 0, blank, over: false }
    }

    /// What the client gets of a piece of new text.
    pub(super) fn push(&mut self, text: &str) -> String {
        if self.over {
            return text.to_owned();
        }
        if self.from.is_empty() {
            return self.blank(text.to_owned());
        }
        let before = self.held.len();
        self.held.push_str(text);
        let (sent, held) = (self.sent.as_bytes(), self.held.as_bytes());
        let overlap = &mut self.overlap;
        self.from.retain(|&at| {
            let rest = sent.len() - at;
            let end = rest.min(held.len());
            let same = sent[at + before..at + end] == held[before..end];
            if same && rest <= held.len() {
                *overlap = rest.max(*overlap);
            }
            same && rest > held.len()
        });
        if self.from.is_empty() { self.meet() } else { String::new() }
    }

    /// What is still held back, at the end of the new text.
    pub(super) fn finish(&mut self) -> String {
        if self.over {
            return String::new();
        }
        let anew = self.from.first() == Some(&0) && self.held.len() >= INSIDE_MIN;
        self.from.clear();
        // It began anew, and ended before it came to anything new.
        if anew && self.overlap == 0 {
            self.held.clear();
        }
        let rest = self.meet();
        self.over = true;
        rest
    }

    /// The repeat is over.
    fn meet(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        let rest = held.get(self.overlap..).unwrap_or_default().to_owned();
        self.overlap = 0;
        self.sent = String::new();
        self.blank(rest)
    }

    /// Cuts away white space that the client has.
    fn blank(&mut self, text: String) -> String {
        if text.is_empty() {
            return text;
        }
        let same = text.chars().zip(self.blank.chars()).take_while(|(a, b)| a == b);
        let same: usize = same.map(|(c, _)| c.len_utf8()).sum();
        if same < text.len() || same == self.blank.len() {
            self.over = true;
        } else {
            self.blank.drain(..same);
        }
        text.get(same..).unwrap_or_default().to_owned()
    }
}

/// Where a repeat may begin: at the start, or at a word near the end, or further back.
fn beginnings(sent: &str) -> Vec<usize> {
    let near = sent.len().saturating_sub(BACK_MAX);
    let mut before = None;
    let mut found = Vec::new();
    for (at, c) in sent.char_indices() {
        let word = before.is_none_or(|b: char| !b.is_alphanumeric()) || !c.is_alphanumeric();
        before = Some(c);
        let rest = &sent[at..];
        // A line feed more may be meant; a space more is not.
        let blank = rest.len() < INSIDE_MIN && rest.contains('\n') && rest.trim().is_empty();
        if at == 0 || at >= near && (word || rest.len() >= INSIDE_MIN) && !blank {
            found.push(at);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn join(sent: &str, new: &[&str], seam: Seam) -> String {
        let mut meeting = Meeting::new(sent.to_owned(), seam);
        let mut all = sent.to_owned();
        new.iter().for_each(|piece| all.push_str(&meeting.push(piece)));
        all + &meeting.finish()
    }

    fn exact(blank: &str) -> Seam {
        Seam::Exact { blank: blank.to_owned() }
    }

    #[test]
    fn what_is_asked_for_meets_what_is_there() {
        for (sent, new, all) in [
            ("one two", " three", "one two three"),
            ("one two", " two three", "one two three"),
            ("one two", "two three", "one two three"),
            ("one two", "one two three", "one two three"),
            ("one two", "one two", "one two"),
            ("one two ", " three", "one two three"),
            ("one two th", "three four", "one two three four"),
            ("one two th", "ree four", "one two three four"),
            // A letter that is the same by chance is no overlap.
            ("a cat", "tle", "a cattle"),
            ("line\n", "\nline", "line\n\nline"),
            ("Zwölf Bögen über", " über den Fluß", "Zwölf Bögen über den Fluß"),
            ("橋は川を渡り、町を結ぶ", "川を渡り、町を結ぶ。", "橋は川を渡り、町を結ぶ。"),
            ("", "all of it", "all of it"),
        ] {
            assert_eq!(join(sent, &[new], Seam::Asked), all, "{sent:?} + {new:?}");
        }
    }

    #[test]
    fn what_was_handed_over_goes_on_exactly() {
        for (sent, blank, new, all) in [
            ("ha ha", "", " ha ha", "ha ha ha ha"),
            ("one two", "", " two", "one two two"),
            ("one ", " ", " two", "one two"),
            ("one ", " ", "two", "one two"),
            ("one\n\n", "\n\n", "\n\ntwo", "one\n\ntwo"),
            ("one\n", "\n", "\n\ntwo", "one\n\ntwo"),
            // Some repeat what they were handed.
            (
                "a beginning of some length",
                "",
                "a beginning of some length, and on",
                "a beginning of some length, and on",
            ),
            (
                "a beginning of some length ",
                " ",
                "a beginning of some length on",
                "a beginning of some length on",
            ),
        ] {
            assert_eq!(join(sent, &[new], exact(blank)), all, "{sent:?} + {new:?}");
        }
    }

    #[test]
    fn an_answer_that_begins_anew_and_ends_early_adds_nothing() {
        let sent = "this was said before the provider fell silent";
        assert_eq!(join(sent, &["this was said before"], Seam::Asked), sent);
    }

    fn numbered(from: usize, to: usize) -> String {
        (from..to).map(|i| if i == 0 { "w0".to_owned() } else { format!(" w{i}") }).collect()
    }

    proptest! {
        #[test]
        fn no_gap_and_no_repeat_wherever_it_was_cut(
            words in 2_usize..120, cut in 0_usize..700, back in 0_usize..40, chunk in 1_usize..23,
            anew: bool,
        ) {
            let all = numbered(0, words);
            let cut = cut.min(all.len());
            let sent = &all[..cut];
            // It goes on at once, from a word before, or from the start.
            let back = match (anew, back) {
                (true, _) => 0,
                (_, 0) => cut,
                (_, n) => sent.match_indices(' ').rev().nth(n - 1).map_or(0, |(at, _)| at),
            };
            let rest = &all[back..];
            let pieces: Vec<&str> =
                rest.as_bytes().chunks(chunk).map(|c| std::str::from_utf8(c).unwrap()).collect();
            prop_assert_eq!(join(sent, &pieces, Seam::Asked), all.clone());
            let handed = sent.trim_end();
            let rest = &all[handed.len()..];
            let pieces: Vec<&str> =
                rest.as_bytes().chunks(chunk).map(|c| std::str::from_utf8(c).unwrap()).collect();
            prop_assert_eq!(join(sent, &pieces, exact(&sent[handed.len()..])), all);
        }

        #[test]
        fn any_cut_of_the_new_text_gives_the_same(
            sent in "[ab é\n]{0,30}", new in "[ab é\n]{0,30}", cuts in prop::collection::vec(0_usize..31, 0..4),
        ) {
            for seam in [Seam::Asked, exact(&sent[sent.trim_end().len()..])] {
                let whole = join(&sent, &[&new], seam.clone());
                let mut ends: Vec<usize> =
                    cuts.iter().map(|cut| new.floor_char_boundary(*cut)).collect();
                ends.extend([0, new.len()]);
                ends.sort_unstable();
                let pieces: Vec<&str> = ends.windows(2).map(|w| &new[w[0]..w[1]]).collect();
                prop_assert_eq!(join(&sent, &pieces, seam), whole);
            }
        }
    }
}
