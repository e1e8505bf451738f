//! Reasoning that a host leaves inside the text, between `<think>` and `</think>`.
//!
//! Only an answer that begins with the opening tag has some; a tag further on is the model talking
//! about tags.

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// The most white space that may stand before the opening tag, in bytes.
const LEAD_MAX: usize = 64;

/// Tells reasoning from text, piece by piece. Holds back at most what may be a part of a tag.
#[derive(Debug, Default)]
pub(super) struct Tags {
    state: State,
    held: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The opening tag may come.
    #[default]
    Before,
    /// The opening tag has come, and a line may end.
    Opened,
    Inside,
    /// The closing tag has come, and white space may follow.
    Closed,
    /// All the rest is text.
    Text,
}

/// What a piece turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Reasoning(String),
    Text(String),
}

impl Tags {
    /// Takes a piece of the text.
    pub(super) fn push(&mut self, piece: String, mut on: impl FnMut(Found)) {
        if self.state == State::Text {
            return on(Found::Text(piece));
        }
        self.held.push_str(&piece);
        if self.state == State::Before {
            self.begin();
        }
        if self.state == State::Opened {
            let skip = self.held.len() - self.held.trim_start_matches(['\n', '\r']).len();
            self.held.drain(..skip);
            if !self.held.is_empty() {
                self.state = State::Inside;
            }
        }
        if self.state == State::Inside {
            self.reason(&mut on);
        }
        if self.state == State::Closed {
            self.held.drain(..self.held.len() - self.held.trim_start().len());
            if !self.held.is_empty() {
                self.state = State::Text;
            }
        }
        if self.state == State::Text {
            self.flush(on);
        }
    }

    /// Whether something is held back.
    pub(super) const fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Gives what was held back: the text is over.
    pub(super) fn flush(&mut self, mut on: impl FnMut(Found)) {
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() {
            let inside = self.state == State::Inside;
            on(if inside { Found::Reasoning(held) } else { Found::Text(held) });
        }
    }

    fn begin(&mut self) {
        let text = self.held.trim_start();
        if let Some(rest) = text.strip_prefix(OPEN) {
            self.held = rest.to_owned();
            self.state = State::Opened;
        } else if !OPEN.starts_with(text) || self.held.len() > LEAD_MAX {
            self.state = State::Text;
        }
    }

    fn reason(&mut self, on: &mut impl FnMut(Found)) {
        let (end, closed) = match self.held.find(CLOSE) {
            Some(at) => (at, true),
            None => (self.held.len() - partial(&self.held), false),
        };
        let mut rest = self.held.split_off(end);
        std::mem::swap(&mut self.held, &mut rest);
        if !rest.is_empty() {
            on(Found::Reasoning(rest));
        }
        if closed {
            self.held.drain(..CLOSE.len());
            self.state = State::Closed;
        }
    }
}

/// How many bytes at the end may be the beginning of the closing tag.
fn partial(text: &str) -> usize {
    let longest = text.len().min(CLOSE.len() - 1);
    (1..=longest).rev().find(|&n| text.as_bytes().ends_with(&CLOSE.as_bytes()[..n])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&str]) -> (String, String) {
        let (mut tags, mut reasoning, mut text) = (Tags::default(), String::new(), String::new());
        let mut on = |found| match found {
            Found::Reasoning(piece) => reasoning.push_str(&piece),
            Found::Text(piece) => text.push_str(&piece),
        };
        for piece in pieces {
            tags.push((*piece).to_owned(), &mut on);
        }
        tags.flush(&mut on);
        (reasoning, text)
    }

    #[test]
    fn any_cut_tells_the_same() {
        for (whole, reasoning, text) in [
            (
                "<think>\nHm, < 5 </thin king?\n</think>\n\nÖ <think>x</think>",
                "Hm, < 5 </thin king?\n",
                "Ö <think>x</think>",
            ),
            (" \n<think></think>A", "", "A"),
            ("<think>cut", "cut", ""),
            ("<think>cut</thi", "cut</thi", ""),
            ("<thinking>no", "", "<thinking>no"),
            ("<thi", "", "<thi"),
            ("plain <think>x</think>", "", "plain <think>x</think>"),
            ("  plain", "", "  plain"),
        ] {
            let want = (reasoning.to_owned(), text.to_owned());
            assert_eq!(read(&[whole]), want, "{whole}");
            for (a, _) in whole.char_indices() {
                for (b, _) in whole.char_indices().filter(|(b, _)| *b >= a) {
                    let pieces = [&whole[..a], &whole[a..b], &whole[b..]];
                    assert_eq!(read(&pieces), want, "{whole} {a} {b}");
                }
            }
        }
    }
}
