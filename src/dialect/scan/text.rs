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
        let wide = census(text.as_bytes()).wide;
        self.ascii_bytes += (text.len() - wide) as u64;
        self.wide_bytes += wide as u64;
    }
}

/// What a run of bytes holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Census {
    /// A byte below 0x20.
    pub(crate) control: bool,
    /// Bytes from 0x80.
    pub(crate) wide: usize,
}

/// Counts a run of bytes. The inner loop has byte-sized counters so that it becomes vector code.
pub(crate) fn census(bytes: &[u8]) -> Census {
    let mut sum = Census::default();
    let mut control = 0_u8;
    for block in bytes.chunks(128) {
        let mut wide = 0_u8;
        for &b in block {
            wide += b >> 7;
            control |= u8::from(b < 0x20);
        }
        sum.wide += usize::from(wide);
    }
    sum.control = control != 0;
    sum
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
