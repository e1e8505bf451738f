//! How much text a prompt has, and what that makes in tokens, roughly.

use super::lexer::{Text, Watch};
use super::notes::Notes;

/// A string longer than this many bytes that holds a file is media, not text.
const MEDIA_MIN: usize = 512;
/// What a message costs beside its text, in tokens.
const PER_MESSAGE: u64 = 4;
/// What an image or file is taken to cost, in tokens.
const PER_MEDIA: u64 = 1_000;

/// How much text there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextStats {
    /// ASCII bytes.
    pub ascii_bytes: u64,
    /// Bytes of all other characters, in UTF-8.
    pub wide_bytes: u64,
    /// Images, sounds and files.
    pub media: u32,
    /// Messages.
    pub messages: u32,
}

impl TextStats {
    /// An estimate of the tokens: four ASCII bytes or two others make one.
    pub const fn estimate_prompt_tokens(&self) -> u64 {
        self.ascii_bytes.div_ceil(4)
            + self.wide_bytes.div_ceil(2)
            + self.messages as u64 * PER_MESSAGE
            + self.media as u64 * PER_MEDIA
    }

    /// Counts a string of a document.
    pub(crate) fn add(&mut self, text: &Text<'_>) {
        self.ascii_bytes += text.ascii as u64;
        self.wide_bytes += text.wide as u64;
    }

    /// Counts a piece of plain text.
    pub(crate) fn add_plain(&mut self, text: &str) {
        let wide = wide_bytes(text.as_bytes());
        self.ascii_bytes += (text.len() - wide) as u64;
        self.wide_bytes += wide as u64;
    }
}

/// A run of bytes of a string without a quote, a backslash or a control character.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    /// How many bytes.
    pub(crate) len: usize,
    /// Of those, bytes from 0x80.
    pub(crate) wide: usize,
}

/// A byte's lowest and highest bit, eight times.
const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// How far the text goes on plainly: to the first quote, backslash or control character, or to
/// the end. One pass: eight bytes at a time where strings are short or end, 32 in between, in a
/// loop that becomes vector code.
pub(crate) fn plain_run(bytes: &[u8]) -> Run {
    const SHORT: usize = 16;
    const BLOCK: usize = 32;
    let mut run = words(bytes.get(..SHORT).unwrap_or(bytes));
    if run.len < SHORT {
        return run;
    }
    while let Some(block) = bytes.get(run.len..).and_then(<[u8]>::first_chunk::<BLOCK>) {
        let (mut special, mut wide) = (0_u8, 0_u8);
        for &b in block {
            special |= u8::from(b < 0x20) | u8::from(b == b'"') | u8::from(b == b'\\');
            wide += b >> 7;
        }
        if special != 0 {
            break;
        }
        run.len += BLOCK;
        run.wide += usize::from(wide);
    }
    let rest = words(bytes.get(run.len..).unwrap_or_default());
    Run { len: run.len + rest.len, wide: run.wide + rest.wide }
}

/// The same, eight bytes at a time.
fn words(bytes: &[u8]) -> Run {
    let zeros = |word: u64| word.wrapping_sub(LOW) & !word & HIGH;
    let mut run = Run::default();
    while let Some(eight) = bytes.get(run.len..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*eight);
        let control = word.wrapping_sub(LOW * 0x20) & !word & HIGH;
        let quote = zeros(word ^ (LOW * u64::from(b'"')));
        let backslash = zeros(word ^ (LOW * u64::from(b'\\')));
        // A borrow may flag a byte above the first true one, never below it.
        let special = control | quote | backslash;
        let before = if special == 0 { u64::MAX } else { (special & special.wrapping_neg()) - 1 };
        if word & HIGH != 0 {
            run.wide += (word & HIGH & before).count_ones() as usize;
        }
        if special != 0 {
            run.len += special.trailing_zeros() as usize / 8;
            return run;
        }
        run.len += 8;
    }
    for &b in bytes.get(run.len..).unwrap_or_default() {
        if b < 0x20 || matches!(b, b'"' | b'\\') {
            break;
        }
        run.len += 1;
        run.wide += usize::from(b >> 7);
    }
    run
}

/// How many bytes from 0x80 a text has. The inner loop has a byte-sized counter so that it becomes
/// vector code.
fn wide_bytes(bytes: &[u8]) -> usize {
    let wide = |block: &[u8]| usize::from(block.iter().fold(0_u8, |sum, b| sum + (b >> 7)));
    bytes.chunks(128).map(wide).sum()
}

/// Counts the text of `messages`.
#[derive(Debug, Default)]
pub(crate) struct Prompt {
    pub(crate) text: TextStats,
    pub(crate) images: bool,
    pub(crate) media: bool,
    pub(super) notes: Notes,
    /// Functions whose name has not come yet: a `name` that is none of theirs is a speaker's.
    pub(super) functions: u32,
    /// The latest role is the model's.
    pub(super) assistant: bool,
}

impl Prompt {
    /// What hosts differ in.
    pub(super) fn notes(&self) -> Notes {
        self.notes.and(Notes::PREFILL.when(self.assistant))
    }
}

impl Watch for Prompt {
    fn key(&mut self, key: &Text<'_>) {
        let note = match key.raw {
            b"image_url" => {
                self.images = true;
                Notes::IMAGE
            }
            b"input_audio" => Notes::SOUND,
            b"file" => Notes::FILE,
            b"video_url" | b"input_video" => Notes::FILM,
            b"cache_control" => return self.notes.add(Notes::MARK),
            b"reasoning" | b"reasoning_content" | b"reasoning_details" => {
                return self.notes.add(Notes::REPLAY);
            }
            b"function" => {
                self.functions = self.functions.saturating_add(1);
                return;
            }
            b"name" => match self.functions.checked_sub(1) {
                Some(left) => {
                    self.functions = left;
                    return;
                }
                None => return self.notes.add(Notes::NAME),
            },
            _ => return,
        };
        self.media = true;
        self.notes.add(note);
    }

    fn text(&mut self, key: Option<&[u8]>, text: &Text<'_>) {
        let long = text.raw.len() > MEDIA_MIN;
        let is_media = match key {
            Some(b"role") => {
                self.assistant = text.raw == b"assistant";
                self.notes.add(Notes::DEVELOPER.when(text.raw == b"developer"));
                false
            }
            Some(b"url" | b"image_url") => true,
            Some(b"data" | b"file_data") => long,
            _ => long && text.raw.starts_with(b"data:"),
        };
        if is_media {
            self.text.media = self.text.media.saturating_add(1);
        } else {
            self.text.add(text);
        }
    }
}

/// Counts the text of `tools`, whose keys the model reads too.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    pub(crate) text: TextStats,
    pub(crate) notes: Notes,
}

impl Watch for Tools {
    fn key(&mut self, key: &Text<'_>) {
        self.text.add(key);
        if key.raw == b"cache_control" {
            self.notes.add(Notes::MARK);
        }
    }

    fn text(&mut self, _key: Option<&[u8]>, text: &Text<'_>) {
        self.text.add(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The plain meaning of [`plain_run`].
    fn slow_run(bytes: &[u8]) -> Run {
        let plain = |b: &u8| *b >= 0x20 && !matches!(*b, b'"' | b'\\');
        let len = bytes.iter().position(|b| !plain(b)).unwrap_or(bytes.len());
        Run { len, wide: bytes[..len].iter().filter(|b| **b >= 0x80).count() }
    }

    #[test]
    fn every_byte_is_judged_alike_at_every_offset() {
        for byte in 0..=u8::MAX {
            for filling in [b'a', 0x20, 0x21, 0x7f, 0x80, 0xff] {
                for at in 0..90 {
                    let mut bytes = vec![filling; 97];
                    bytes[at] = byte;
                    assert_eq!(plain_run(&bytes), slow_run(&bytes), "{byte} at {at} in {filling}");
                    assert_eq!(plain_run(&bytes[..=at]), slow_run(&bytes[..=at]), "at the end");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_what_counting_one_by_one_gives(
            bytes in prop::collection::vec(
                prop_oneof![20 => 0x20..=0x7e_u8, 5 => 0x80..=0xff_u8, 1 => any::<u8>()],
                0..300,
            ),
        ) {
            for from in 0..bytes.len().min(40) {
                prop_assert_eq!(plain_run(&bytes[from..]), slow_run(&bytes[from..]));
            }
        }
    }
}
